/* Server-reflexive and relayed candidates (ICE-015 to ICE-026), and the way through relays. */
#include "control/ice/parts.h"

/* --- one allocation for each base and server of its family (ICE-016) --- */

static void plan(struct ice_agent *a, int base, int server)
{
	const struct ice_base *const b = &a->base[base].b;
	const struct ice_server *const s = &a->server[server];
	struct gather *const g = &a->gather[a->n_gather];
	struct allocation *const al = g->al;

	if (addr_family(&b->at.addr) != addr_family(&s->at.addr) ||
	    (a->c.policy == ICE_RELAY_ONLY && !s->turn))
		return;
	for (unsigned i = 0; i < a->n_gather; i++)
		if (a->gather[i].base == base && a->gather[i].server == server)
			return;
	*g = (struct gather){
		.used = true, .base = (int16_t)base, .server = (int16_t)server, .al = al
	};
	bool ipv4 = false;

	for (unsigned i = 0; i < a->n_bases; i++)
		ipv4 |= a->base[i].used && !a->base[i].gone && addr_is4(&a->base[i].b.at.addr);
	allocation_init(g->al, &(struct allocation_config){
				       .server = *s,
				       .want_ipv4 = !ipv4 && !addr_is4(&b->at.addr),
				       .rto_ms = RTO_MIN_MS,
				       .random = a->c.random,
				       .random_arg = a->c.random_arg,
			       });
	allocation_start(g->al, a->now_ms);
	a->n_gather++;
}

void ice_gather(struct ice_agent *a, uint64_t now_ms)
{
	a->now_ms = now_ms;
	a->gathering = true;
	a->gathered = false;
	a->gather_until_ms = now_ms + a->c.gather_ms;
	for (unsigned b = 0; !a->c.lite && b < a->n_bases; b++)
		for (unsigned s = 0; a->base[b].used && !a->base[b].gone && s < a->c.n_servers; s++)
			plan(a, (int)b, (int)s);
	if (a->state == ICE_NEW)
		agent_state(a, ICE_GATHERING, ICE_WHY_NONE);
	gather_look(a);
}

/* --- candidates come --- */

/* ICE-199: handed out, then paired. */
static void announce(struct ice_agent *a, int local)
{
	struct local *const l = &a->local[local];

	if (!a->described || !a->c.trickle || a->no_trickle ||
	    a->stream[l->stream].list == LIST_COMPLETED) /* ICE-196, ICE-202 */
		return;
	l->signalled = true;
	agent_tell(a, &(struct told){ .kind = ICE_EVENT_CANDIDATE,
	                              .stream = l->stream,
	                              .component = (uint8_t)l->c.component,
	                              .local = local });
	if (a->stream[l->stream].now.theirs.set)
		pair_form(a, l->stream);
}

static void add(struct ice_agent *a, int slot, enum ice_type type, const struct endpoint *at,
                const struct endpoint *related)
{
	const struct gather *const g = &a->gather[slot];
	const struct ice_base *const b = &a->base[g->base].b;
	const bool other = addr_family(&at->addr) != addr_family(&b->at.addr);
	struct local l = {
		.stream = b->stream,
		.via = { g->base, type == ICE_RELAY ? slot : NONE },
		.base = type == ICE_RELAY ? *at : b->at,
		.server = g->server,
		.c = { .component = b->component,
		       .type = type,
		       .priority = candidate_priority(
			       type, local_preference(a, g->base, g->server, type, other),
			       b->component),
		       .at = *at,
		       .related = *related },
	};

	if (!candidate_allowed(a, &at->addr))
		return;
	if (type == ICE_RELAY && local_at(a, b->stream, b->component, at, NULL) != NONE)
		return; /* ICE-021 */
	const int i = local_add(a, &l);

	if (i == NONE)
		return;
	if (type == ICE_RELAY)
		for (int r = 0; r < a->room.remotes; r++)
			if (a->stream[b->stream].remote[r].id)
				allocation_permit(g->al, a->now_ms,
				                  &a->stream[b->stream].remote[r].c.at.addr);
	announce(a, i);
}

/* Two slots with the same outcome are one candidate: local_add() sees to that (ICE-049). */
static void look(struct ice_agent *a, int slot)
{
	struct gather *const g = &a->gather[slot];
	const struct allocation_facts f = allocation_facts(g->al);

	if (a->base[g->base].gone)
		g->done = true;
	if (f.mapped.port && !g->has_srflx) {
		g->has_srflx = true;
		if (a->c.policy != ICE_RELAY_ONLY)
			add(a, slot, ICE_SRFLX, &f.mapped, &a->base[g->base].b.at);
	}
	for (unsigned i = 0; i < 2; i++)
		if (f.relayed[i].port && !g->has_relay[i]) {
			g->has_relay[i] = true;
			add(a, slot, ICE_RELAY, &f.relayed[i], &f.mapped);
		}
	if (f.state != ALLOCATION_IDLE && f.state != ALLOCATION_ASKING)
		g->done = true;
}

/* ICE-177: the allocation under the selected path is gone. */
static void look_for_loss(struct ice_agent *a)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 0; c < a->c.n_components; c++) {
			struct path *const p = &a->stream[s].path[c];

			if (!p->live || p->lost || p->via.alloc == NONE ||
			    allocation_facts(a->gather[p->via.alloc].al).state != ALLOCATION_LOST)
				continue;
			p->lost = true;
			agent_state(a, ICE_FAILED, ICE_WHY_ALLOCATION_LOST);
			agent_tell(a, &(struct told){ .kind = ICE_EVENT_RESTART,
			                              .why = ICE_WHY_ALLOCATION_LOST });
		}
}

void gather_look(struct ice_agent *a)
{
	bool all = true;

	for (unsigned i = 0; i < a->n_gather; i++)
		look(a, (int)i);
	look_for_loss(a);
	for (unsigned i = 0; i < a->n_gather; i++)
		all &= a->gather[i].done;
	if (!a->gathering ||
	    (!all && ((a->c.trickle && !a->no_trickle) || a->now_ms < a->gather_until_ms)))
		return;
	a->gathering = false; /* ICE-025 */
	a->gathered = true;
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_EOC, .local = true });
	agent_tell(a, &(struct told){ .kind = ICE_EVENT_GATHERED });
	if (a->state == ICE_GATHERING && a->has_remote)
		agent_state(a, ICE_RUNNING, ICE_WHY_NONE);
}

/* --- sending --- */

static bool to_server(struct ice_agent *a, const struct gather *g, size_t len, bool first,
                      struct ice_event *out)
{
	if (len == 0)
		return false;
	rate_pacer_take(a, g->base, &a->server[g->server].at.addr);
	out->kind = ICE_EVENT_SEND;
	out->datagram.base = g->base;
	out->datagram.to = a->server[g->server].at;
	out->datagram.dscp = 0;
	out->datagram.len = len;
	struct ice_trace_record r = { .event = ICE_TRACE_TX,
		                      .stream = a->base[g->base].b.stream,
		                      .base = a->base[g->base].b.at,
		                      .peer = a->server[g->server].at,
		                      .what = ICE_GATHER,
		                      .number = !first };
	const uint16_t type = be16_load(out->datagram.octets);

	r.method = (uint16_t)stun_method(type);
	r.cls = (uint8_t)stun_class(type);
	memcpy(r.txid, out->datagram.octets + 8, sizeof(r.txid));
	trace_put(a, &r);
	return true;
}

bool gather_tick(struct ice_agent *a, struct ice_event *out)
{
	for (unsigned k = 0; k < a->n_gather; k++) {
		const unsigned i = (a->gather_turn + k) % a->n_gather;
		const struct gather *const g = &a->gather[i];

		if (a->base[g->base].gone || !allocation_wants(g->al, a->now_ms) ||
		    rate_pacer_ms(a, g->base, &a->server[g->server].at.addr) > a->now_ms)
			continue;
		a->gather_turn = i + 1;
		if (to_server(a, g,
		              allocation_begin(g->al, a->now_ms, out->datagram.octets,
		                               sizeof(out->datagram.octets)),
		              true, out))
			return true;
	}
	return false;
}

bool gather_poll(struct ice_agent *a, struct ice_event *out)
{
	for (unsigned i = 0; i < a->n_gather; i++) {
		const struct gather *const g = &a->gather[i];

		if (!a->base[g->base].gone &&
		    to_server(a, g,
		              allocation_poll(g->al, a->now_ms, out->datagram.octets,
		                              sizeof(out->datagram.octets)),
		              false, out))
			return true;
	}
	return false;
}

uint64_t gather_next_ms(const struct ice_agent *a)
{
	uint64_t next =
		a->gathering && (!a->c.trickle || a->no_trickle) ? a->gather_until_ms : UINT64_MAX;

	for (unsigned i = 0; i < a->n_gather; i++) {
		const struct gather *const g = &a->gather[i];
		uint64_t ms = allocation_next_ms(g->al);

		if (allocation_wants(g->al, a->now_ms)) {
			ms = rate_pacer_ms(a, g->base, &a->server[g->server].at.addr);
			ms = ms > a->tick_ms ? ms : a->tick_ms;
		}
		if (!a->base[a->gather[i].base].gone && ms < next)
			next = ms;
	}
	return next;
}

/* --- receiving --- */

enum allocation_input gather_input(struct ice_agent *a, int base, const struct endpoint *from,
                                   const uint8_t *octets, size_t len, struct via *via,
                                   struct endpoint *peer, const uint8_t **data, size_t *data_len)
{
	for (unsigned i = 0; i < a->n_gather; i++) {
		const struct gather *const g = &a->gather[i];

		if (g->base != base || !endpoint_equal(from, &a->server[g->server].at))
			continue;
		*via = (struct via){ base, (int)i };
		const enum allocation_input what =
			allocation_input(g->al, a->now_ms, octets, len, peer, data, data_len);

		if (what != ALLOCATION_OTHER)
			return what;
	}
	return ALLOCATION_OTHER;
}

/* --- permissions (ICE-117) --- */

void gather_permit(struct ice_agent *a, const struct addr *peer)
{
	for (unsigned i = 0; i < a->n_gather; i++)
		if (a->gather[i].has_relay[0] || a->gather[i].has_relay[1])
			allocation_permit(a->gather[i].al, a->now_ms, peer);
}

bool gather_permitted(const struct ice_agent *a, struct via via, const struct addr *peer)
{
	return via.alloc == NONE || allocation_permitted(a->gather[via.alloc].al, a->now_ms, peer);
}

/* --- the end --- */

static bool in_use(const struct ice_agent *a, int slot)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 0; c < a->c.n_components; c++)
			if ((a->stream[s].path[c].live && a->stream[s].path[c].via.alloc == slot) ||
			    (a->stream[s].old_path[c].live &&
			     a->stream[s].old_path[c].via.alloc == slot))
				return true;
	return false;
}

/* ICE-151. */
void gather_free_unused(struct ice_agent *a)
{
	for (unsigned i = 0; i < a->n_gather; i++)
		if (!in_use(a, (int)i))
			allocation_close(a->gather[i].al, a->now_ms);
}

void gather_close(struct ice_agent *a)
{
	for (unsigned i = 0; i < a->n_gather; i++)
		allocation_close(a->gather[i].al, a->now_ms);
}

bool gather_closed(const struct ice_agent *a)
{
	for (unsigned i = 0; i < a->n_gather; i++) {
		const enum allocation_state s = allocation_facts(a->gather[i].al).state;

		if (s == ALLOCATION_CLOSING && !a->base[a->gather[i].base].gone)
			return false;
	}
	return true;
}
