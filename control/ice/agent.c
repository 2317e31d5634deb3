/* The agent: made, told, asked, fed with datagrams and time. */
#include <stdlib.h>

#include "control/ice/parts.h"
#include "control/ice/text.h"

enum { TA_FLOOR_MS = 5, PACING_DEFAULT_MS = 50 };

struct ice_config ice_defaults(void)
{
	return (struct ice_config){
		.controlling = true,
		.trickle = true,
		.n_streams = 1,
		.n_components = 1,
		.ta_ms = PACING_DEFAULT_MS,
		.gather_ms = 5000,
		.pac_ms = 39500,
		.nominate_ms = 500,
		.nominate_relay_ms = 1500,
		.wait_nomination_ms = 30000,
		.pairs_max = 100,
	};
}

struct ice_agent *ice_new(const struct ice_config *c, uint64_t now_ms)
{
	struct ice_agent *const a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->c = *c;
	a->now_ms = now_ms;
	a->controlling = c->controlling;
	a->ta_ms = c->ta_ms < TA_FLOOR_MS ? TA_FLOOR_MS : c->ta_ms;
	if (a->c.pairs_max > PAIRS_HARD_MAX / 2)
		a->c.pairs_max = PAIRS_HARD_MAX / 2;
	memcpy(a->server, c->server, sizeof(a->server));
	c->random(c->random_arg, &a->tie, sizeof(a->tie));
	for (unsigned i = 0; i < c->n_streams; i++) {
		struct stream *const s = &a->stream[i];

		s->n_components = c->n_components;
		snprintf(s->mid, sizeof(s->mid), "%u", i);
		for (unsigned k = 0; k < ICE_COMPONENTS_MAX; k++)
			s->path[k].pair = s->old_path[k].pair = NONE;
		credentials_draw(a, &s->now.mine);
		trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_PARAM,
		                                         .stream = (uint8_t)i,
		                                         .local = true,
		                                         .lite = c->lite,
		                                         .controlling = a->controlling,
		                                         .tie = a->tie,
		                                         .number = a->ta_ms,
		                                         .text = s->now.mine.ufrag });
	}
	return a;
}

void ice_free(struct ice_agent *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->n_gather; i++) {
		allocation_wipe(a->gather[i].al);
		free(a->gather[i].al);
	}
	free(a->gather);
	crypto_wipe(a, sizeof(*a));
	free(a);
}

void agent_tell(struct ice_agent *a, const struct told *t)
{
	if (a->n_told == TOLD_MAX)
		return; /* the caller does not poll: the state can still be asked for */
	a->told[(a->told_first + a->n_told++) % TOLD_MAX] = *t;
}

/* --- local side --- */

/* ICE-007 to ICE-009: what is no address for a candidate. */
static const char *unfit(const struct ice_agent *a, const struct ice_base *b)
{
	const uint8_t *const ip = b->at.addr.ip;

	if (addr_is4(&b->at.addr)) {
		if (ip[12] == 127)
			return a->c.allow_loopback ? NULL : "loopback";
		return ip[12] == 0 || ip[12] >= 224 ? "no_unicast" : NULL;
	}
	if (ip[0] == 0xFF)
		return "no_unicast";
	if (ip[0] == 0xFE && (ip[1] & 0xC0) == 0xC0)
		return "site_local";
	for (unsigned i = 0; i < 12; i++)
		if (ip[i])
			return NULL;
	if (ip[12] == 0 && ip[13] == 0 && ip[14] == 0 && ip[15] == 1)
		return a->c.allow_loopback ? NULL : "loopback";
	return "ipv4_compatible";
}

/*
 * ICE-043, ICE-044: families take turns by their numbers, IPv6 first; what costs comes last. Ranks
 * are dealt anew whenever a base comes while nothing has been handed out.
 */
static void rank(struct ice_agent *a)
{
	unsigned n4 = 0, n6 = 0, next = 0, run;
	bool taken[ICE_BASES_MAX] = { false };

	for (unsigned i = 0; i < a->n_bases; i++)
		if (!a->base[i].b.costly)
			*(addr_is4(&a->base[i].b.at.addr) ? &n4 : &n6) += 1;
	run = n4 ? (n4 + n6) / n4 : n6;
	for (unsigned six = 1, left = run; next < n4 + n6;) {
		unsigned i = 0;

		while (i < a->n_bases && (taken[i] || a->base[i].b.costly ||
		                          addr_is4(&a->base[i].b.at.addr) == (six != 0)))
			i++;
		if (i < a->n_bases) {
			taken[i] = true;
			a->base[i].rank = next++;
		}
		if (i == a->n_bases || !six || --left == 0) {
			six = !six;
			left = run;
		}
	}
	for (unsigned i = 0; i < a->n_bases; i++)
		if (!taken[i])
			a->base[i].rank = next++;
}

static void reprice_hosts(struct ice_agent *a)
{
	for (int i = 0; i < LOCALS_MAX; i++) {
		struct local *const l = &a->local[i];

		if (l->id && l->c.type == ICE_HOST && !l->signalled)
			l->c.priority = candidate_priority(
				ICE_HOST,
				local_preference(a, l->via.base, NONE, ICE_HOST, false) -
					(endpoint_equal(&l->c.at, &l->base) ? 0 : 1),
				l->c.component);
	}
}

static void add_host(struct ice_agent *a, int base, const struct endpoint *at)
{
	const struct ice_base *const b = &a->base[base].b;
	const bool hidden = a->c.policy == ICE_RELAY_ONLY ||
	                    a->c.policy == ICE_DEFAULT_ROUTE_ONLY ||
	                    !candidate_allowed(a, &at->addr);
	const struct local l = {
		.stream = b->stream,
		.via = { base, NONE },
		.base = b->at,
		.server = NONE,
		.hidden = hidden,
		.c = { .component = b->component,
		       .type = ICE_HOST,
		       .priority = candidate_priority(
			       ICE_HOST, local_preference(a, base, NONE, ICE_HOST, false),
			       b->component),
		       .at = *at },
	};

	local_add(a, &l);
}

int ice_add_base(struct ice_agent *a, uint64_t now_ms, const struct ice_base *b)
{
	const char *const why =
		b->stream >= a->c.n_streams || b->component == 0 || b->component > a->c.n_components
			? "no_such_component"
		: a->n_bases == ICE_BASES_MAX ? "full"
		: (a->c.policy == ICE_DEFAULT_ROUTE || a->c.policy == ICE_DEFAULT_ROUTE_ONLY) &&
				!b->default_route
			? "off_policy"
			: unfit(a, b);
	const int i = (int)a->n_bases;

	a->now_ms = now_ms;
	if (why) {
		trace_put(a, &(struct ice_trace_record){
				     .event = ICE_TRACE_DROP, .base = b->at, .why = why });
		return NONE;
	}
	a->base[i].b = *b;
	a->base[i].used = true;
	a->n_bases++;
	rank(a);
	add_host(a, i, &b->at);
	if (b->outside.port) /* ICE-014 */
		add_host(a, i, &b->outside);
	reprice_hosts(a);
	return i;
}

void ice_drop_base(struct ice_agent *a, uint64_t now_ms, int base)
{
	bool selected = false;

	a->now_ms = now_ms;
	a->base[base].gone = true;
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 0; c < ICE_COMPONENTS_MAX; c++) {
			struct path *const p = &a->stream[s].path[c];

			if (!p->live || p->via.base != base)
				continue;
			p->lost = selected = true;
		}
	for (int i = 0; i < LOCALS_MAX; i++)
		if (a->local[i].id && a->local[i].via.base == base)
			local_drop(a, i, "base_gone");
	if (!selected)
		return;
	agent_state(a, ICE_FAILED, ICE_WHY_BASE_GONE);
	agent_tell(a, &(struct told){ .kind = ICE_EVENT_RESTART, .why = ICE_WHY_BASE_GONE });
}

/* ICE-076. */
static const struct local *default_of(const struct ice_agent *a, unsigned stream,
                                      unsigned component)
{
	static const uint8_t order[ICE_TYPES] = {
		[ICE_RELAY] = 3, [ICE_SRFLX] = 2, [ICE_HOST] = 1
	};
	const struct local *best = NULL;

	for (int i = 0; i < LOCALS_MAX; i++) {
		const struct local *const l = &a->local[i];

		if (!l->id || l->hidden || l->stream != stream || l->c.component != component ||
		    l->c.type == ICE_PRFLX)
			continue;
		if (!best || order[l->c.type] > order[best->c.type] ||
		    (order[l->c.type] == order[best->c.type] && l->c.priority > best->c.priority))
			best = l;
	}
	return best;
}

void ice_local(struct ice_agent *a, struct ice_description *out)
{
	*out = (struct ice_description){ .lite = a->c.lite,
		                         .ice2 = true,
		                         .trickle = a->c.trickle,
		                         .pacing_ms = a->c.lite ? 0 : a->c.ta_ms,
		                         .n_streams = a->c.n_streams };
	for (unsigned s = 0; s < a->c.n_streams; s++) {
		struct ice_stream_description *const d = &out->stream[s];
		const struct stream *const mine = &a->stream[s];

		memcpy(d->mid, mine->mid, sizeof(d->mid));
		memcpy(d->ufrag, mine->now.mine.ufrag, sizeof(d->ufrag));
		memcpy(d->pwd, mine->now.mine.pwd, sizeof(d->pwd));
		d->n_components = a->c.n_components;
		d->mismatch = mine->mismatch;
		d->end_of_candidates = a->gathered || a->c.lite;
		for (unsigned c = 1; c <= a->c.n_components; c++) {
			const struct local *const l = default_of(a, s, c);

			if (l)
				d->chosen[c - 1] = l->c.at;
		}
		for (int i = 0; i < LOCALS_MAX && !mine->mismatch; i++) {
			struct local *const l = &a->local[i];

			if (!l->id || l->hidden || l->stream != s || l->c.type == ICE_PRFLX ||
			    d->n_candidates == ICE_CANDIDATES_MAX)
				continue;
			l->signalled = true;
			d->candidate[d->n_candidates++] = l->c;
			if (a->c.policy == ICE_RELAY_ONLY) /* ICE-215 */
				d->candidate[d->n_candidates - 1].related.port = 0;
		}
		if (mine->now.theirs.set)
			pair_form(a, s);
	}
	a->described = true;
}

/* --- remote side --- */

/* ICE-072. */
static bool mismatched(const struct ice_stream_description *d)
{
	for (unsigned c = 0; c < ICE_COMPONENTS_MAX && c < d->n_components; c++) {
		const struct endpoint *const to = &d->chosen[c];
		bool found = to->port == 0;
		uint8_t any = 0;

		for (unsigned k = addr_is4(&to->addr) ? 12 : 0; k < 16; k++)
			any |= to->addr.ip[k];
		found |= to->port == 9 && !any;
		for (unsigned i = 0; i < d->n_candidates && !found; i++)
			found = d->candidate[i].component == c + 1 &&
			        endpoint_equal(&d->candidate[i].at, to);
		if (!found)
			return true;
	}
	return false;
}

/* ICE-064, ICE-072, ICE-170: before anything is changed. */
static enum ice_refused judge(struct ice_agent *a, const struct ice_description *d, bool *restart)
{
	*restart = false;
	if (a->state == ICE_CLOSED)
		return ICE_CLOSED_ALREADY;
	if (d->n_streams < a->c.n_streams)
		return ICE_NO_CREDENTIALS;
	for (unsigned s = 0; s < a->c.n_streams; s++) {
		const struct ice_stream_description *const t = &d->stream[s];
		const struct credentials *const known = &a->stream[s].now.theirs;

		if (!*t->ufrag || !*t->pwd)
			return ICE_NO_CREDENTIALS;
		if (strlen(t->ufrag) < 4 || strlen(t->pwd) < 22)
			return ICE_BAD_CREDENTIALS;
		if (known->set) {
			const bool ufrag = strcmp(known->ufrag, t->ufrag) != 0;
			const bool pwd = strcmp(known->pwd, t->pwd) != 0;

			if (ufrag != pwd)
				return ICE_HALF_RESTART;
			*restart |= ufrag;
		}
		if (mismatched(t)) {
			a->stream[s].mismatch = true;
			return ICE_MISMATCH;
		}
	}
	return ICE_OK;
}

static void take_stream(struct ice_agent *a, unsigned i, const struct ice_description *d)
{
	const struct ice_stream_description *const t = &d->stream[i];
	struct stream *const s = &a->stream[i];

	memcpy(s->mid, t->mid, sizeof(s->mid));
	s->now.theirs_ice2 = d->ice2;
	s->now.theirs_lite = d->lite;
	if (!s->now.theirs.set) {
		credentials_set(&s->now.theirs, t->ufrag, t->pwd);
		trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_PARAM,
		                                         .stream = (uint8_t)i,
		                                         .lite = d->lite,
		                                         .text = s->now.theirs.ufrag });
	}
	if (t->n_components < s->n_components) /* ICE-093 */
		s->n_components = t->n_components ? t->n_components : 1;
	for (unsigned k = 0; k < t->n_candidates; k++)
		remote_add(a, i, &t->candidate[k]);
	s->their_end |= t->end_of_candidates;
	pair_form(a, i);
}

/* ICE-081, ICE-057. */
static void settle(struct ice_agent *a, const struct ice_description *d)
{
	const uint32_t theirs = d->pacing_ms ? d->pacing_ms : d->lite ? 0 : PACING_DEFAULT_MS;

	a->their_lite = d->lite;
	a->their_ice2 = d->ice2;
	a->their_trickle = d->trickle;
	if (theirs > a->ta_ms)
		a->ta_ms = theirs;
	if (d->lite && !a->c.lite)
		role_switch(a, true, false, "peer_lite");
	else if (a->c.lite && !d->lite)
		role_switch(a, false, false, "lite");
}

enum ice_refused ice_remote(struct ice_agent *a, uint64_t now_ms, const struct ice_description *d)
{
	bool restart;

	a->now_ms = now_ms;
	const enum ice_refused refused = judge(a, d, &restart);

	if (refused != ICE_OK)
		return refused;
	if (restart) /* ICE-172 */
		ice_restart(a, now_ms);
	const bool first = !a->has_remote;

	settle(a, d);
	a->has_remote = true;
	for (unsigned s = 0; s < a->c.n_streams; s++)
		take_stream(a, s, d);
	if (!first)
		return ICE_OK;
	pair_begin(a);
	a->pac_ms = now_ms + a->c.pac_ms; /* ICE-155 */
	agent_state(a, ICE_RUNNING, ICE_WHY_NONE);
	for (unsigned s = 0; s < a->c.n_streams; s++)
		request_replay_early(a, s);
	return ICE_OK;
}

/* ICE-175: of the generation that is. */
static bool current(const struct ice_agent *a, unsigned stream, const char *ufrag)
{
	return !ufrag || !*ufrag || strcmp(a->stream[stream].now.theirs.ufrag, ufrag) == 0;
}

enum ice_refused ice_remote_candidate(struct ice_agent *a, uint64_t now_ms, unsigned stream,
                                      const char *ufrag, const struct ice_candidate *c)
{
	a->now_ms = now_ms;
	if (a->state == ICE_CLOSED || stream >= a->c.n_streams)
		return ICE_CLOSED_ALREADY;
	if (a->stream[stream].now.theirs.set && !current(a, stream, ufrag))
		return ICE_OLD_GENERATION;
	if (a->stream[stream].their_end) /* ICE-202 */
		return ICE_CLOSED_ALREADY;
	const enum ice_refused refused = remote_add(a, stream, c);

	if (refused == ICE_OK && a->stream[stream].now.theirs.set)
		pair_form(a, stream);
	return refused;
}

enum ice_refused ice_remote_end(struct ice_agent *a, uint64_t now_ms, int stream, const char *ufrag)
{
	a->now_ms = now_ms;
	for (unsigned s = 0; s < a->c.n_streams; s++) {
		if (stream != NONE && s != (unsigned)stream)
			continue;
		if (!current(a, s, ufrag))
			return ICE_OLD_GENERATION;
		a->stream[s].their_end = true;
	}
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_EOC });
	return ICE_OK;
}

/* --- datagrams --- */

static enum ice_input stun(struct ice_agent *a, struct via via, const struct endpoint *from,
                           const struct stun_msg *m)
{
	struct transaction *t;

	if (stun_method(m->type) != STUN_BINDING) {
		trace_drop(a, via.base, from, "method");
		return ICE_DROPPED;
	}
	switch (stun_class(m->type)) {
	case STUN_REQUEST: return request_take(a, via, from, m);
	case STUN_INDICATION: return ICE_TAKEN;
	default: break;
	}
	t = check_find(a, m->txid);
	if (t) {
		response_take(a, t, via, from, m);
		return ICE_TAKEN;
	}
	if (path_answered(a, via, from, m))
		return ICE_TAKEN;
	trace_drop(a, via.base, from, "unknown_transaction");
	return ICE_DROPPED;
}

enum ice_input ice_input(struct ice_agent *a, uint64_t now_ms, int base,
                         const struct endpoint *from, const void *octets, size_t len,
                         struct ice_data *data)
{
	struct via via = { base, NONE };
	struct endpoint peer = *from;
	const uint8_t *inner = octets;
	size_t inner_len = len;
	struct stun_msg m;
	enum ice_input what;

	a->now_ms = now_ms;
	if (a->base[base].gone || (a->state == ICE_CLOSED && gather_closed(a)))
		return ICE_DROPPED;
	switch (gather_input(a, base, from, octets, len, &via, &peer, &inner, &inner_len)) {
	case ALLOCATION_TAKEN: gather_look(a); return ICE_TAKEN;
	case ALLOCATION_ICMP: return ICE_TAKEN;
	case ALLOCATION_OTHER: via.alloc = NONE; break;
	case ALLOCATION_DATA: break;
	}
	conclude_run(a);
	if (stun_open(inner, inner_len, &m)) {
		what = stun(a, via, &peer, &m);
		conclude_run(a);
		return what;
	}
	if (a->state == ICE_CLOSED || !path_known(a, a->base[base].b.stream, via, &peer)) {
		trace_drop(a, base, &peer, "unknown_source");
		return ICE_DROPPED;
	}
	*data = (struct ice_data){ a->base[base].b.stream, a->base[base].b.component, inner,
		                   inner_len };
	return ICE_DATA;
}

/* ICE-124: believed late, since a NAT in the middle of its work answers so for a moment. */
void ice_unreachable(struct ice_agent *a, uint64_t now_ms, int base, const struct endpoint *to,
                     const void *quoted, size_t len, bool hard)
{
	struct stun_msg m;
	struct transaction *t;

	a->now_ms = now_ms;
	if (!hard || len < STUN_HDR_LEN || !stun_open(quoted, len, &m))
		return;
	t = check_find(a, m.txid);
	if (!t || t->cancelled || t->via.base != base || !endpoint_equal(to, &t->to) ||
	    a->pair[t->pair].id != t->pair_id)
		return;
	if (++a->pair[t->pair].unreachable < 2 && t->sends < 3)
		return;
	t->live = false;
	if (t->use_candidate)
		conclude_nomination_failed(a, t->pair);
	else if (a->pair[t->pair].state == ICE_IN_PROGRESS)
		pair_state(a, t->pair, ICE_PAIR_FAILED, "unreachable");
}

/* Before anything is selected: the best pair that has worked (ICE-189). */
static const struct pair *working(const struct ice_agent *a, unsigned stream, unsigned component)
{
	const struct pair *best = NULL;

	for (int i = 0; i < PAIRS_HARD_MAX; i++) {
		const struct pair *const p = &a->pair[i];

		if (p->id && p->valid && p->stream == stream && p->component == component &&
		    (!best || p->priority > best->priority))
			best = p;
	}
	return best;
}

bool ice_send(struct ice_agent *a, uint64_t now_ms, unsigned stream, unsigned component,
              const void *octets, size_t len, struct ice_datagram *out)
{
	struct path *const path = path_for_data(a, stream, component);
	const struct pair *p = NULL;
	struct ice_event e;

	a->now_ms = now_ms;
	if (a->state == ICE_CLOSED)
		return false;
	if (!path) {
		if (a->stream[stream].path[component - 1].live || a->c.lite)
			return false;
		p = working(a, stream, component);
		if (!p)
			return false;
	}
	const struct via via = path ? path->via : a->local[p->local].via;
	const struct endpoint to = path ? path->to : a->stream[stream].remote[p->remote].c.at;

	if (!message_send(a, via, &to, octets, len, &e))
		return false;
	if (path)
		path->sent_ms = now_ms;
	*out = e.datagram;
	return true;
}

/* --- what is due --- */

static bool next_answer(struct ice_agent *a, struct ice_event *out)
{
	uint8_t octets[1024];

	while (a->n_answers > 0) {
		const struct answer w = a->answer[0];
		struct ice_trace_record r = { .event = ICE_TRACE_TX,
			                      .stream = w.stream,
			                      .base = a->base[w.via.base].b.at,
			                      .peer = w.to,
			                      .what = ICE_ANSWER,
			                      .cls = w.code ? STUN_ERROR : STUN_SUCCESS,
			                      .method = STUN_BINDING,
			                      .code = w.code };

		memmove(a->answer, a->answer + 1, --a->n_answers * sizeof(a->answer[0]));
		memcpy(r.txid, w.txid, sizeof(r.txid));
		trace_put(a, &r);
		if (message_send(a, w.via, &w.to, octets,
		                 message_answer(a, &w, octets, sizeof(octets)), out))
			return true;
	}
	return false;
}

static bool next_told(struct ice_agent *a, struct ice_event *out)
{
	const struct told *const t = &a->told[a->told_first];

	if (a->n_told == 0)
		return false;
	a->told_first = (a->told_first + 1) % TOLD_MAX;
	a->n_told--;
	out->kind = t->kind;
	out->stream = t->stream;
	out->component = t->component;
	out->state = t->state;
	out->why = t->why;
	if (t->kind == ICE_EVENT_CANDIDATE)
		out->candidate = a->local[t->local].c;
	else if (t->kind == ICE_EVENT_SELECTED)
		ice_selected(a, t->stream, t->component, &out->selected);
	return true;
}

bool ice_poll(struct ice_agent *a, uint64_t now_ms, struct ice_event *out)
{
	a->now_ms = now_ms;
	gather_look(a);
	conclude_run(a);
	if (next_answer(a, out) || next_told(a, out) || gather_poll(a, out))
		return true;
	if (a->state == ICE_CLOSED)
		return check_tick(a, out) || gather_tick(a, out);
	if (check_retransmit(a, out) || path_poll(a, out) || check_tick(a, out))
		return true;
	return next_told(a, out); /* what these have brought about */
}

uint64_t ice_next_ms(const struct ice_agent *a)
{
	uint64_t next = gather_next_ms(a);
	const uint64_t other[] = { check_next_ms(a), conclude_next_ms(a), path_next_ms(a) };

	if (a->n_answers || a->n_told)
		return a->now_ms;
	for (unsigned i = 0; i < 3 && a->state != ICE_CLOSED; i++)
		next = other[i] < next ? other[i] : next;
	return next;
}

enum ice_state ice_state(const struct ice_agent *a, enum ice_reason *why)
{
	if (why)
		*why = a->why;
	return a->state;
}

enum ice_role ice_role(const struct ice_agent *a)
{
	return a->controlling ? ICE_CONTROLLING : ICE_CONTROLLED;
}

unsigned ice_generation(const struct ice_agent *a)
{
	return a->generation;
}

void ice_close(struct ice_agent *a, uint64_t now_ms)
{
	a->now_ms = now_ms;
	for (unsigned i = 0; i < TRANSACTIONS_MAX; i++)
		a->transaction[i].live = false;
	a->n_answers = 0;
	gather_close(a);
	agent_state(a, ICE_CLOSED, ICE_WHY_CLOSED);
}

/* --- for people --- */

size_t ice_explain(const struct ice_agent *a, char *out, size_t cap)
{
	static const char *const types[] = { "host", "srflx", "prflx", "relay" };
	static const char *const states[] = { "frozen", "waiting", "in progress", "succeeded",
		                              "failed" };
	struct text_out o = { out, cap, 0 };
	char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

	text_put(&o, "%-22s %-6s %-22s %-6s %-12s %s\n", "local", "", "remote", "", "state", "");
	for (int i = 0; i < PAIRS_HARD_MAX; i++) {
		const struct pair *const p = &a->pair[i];

		if (!p->id)
			continue;
		const struct local *const l = &a->local[p->local];
		const struct ice_candidate *const r = &a->stream[p->stream].remote[p->remote].c;

		text_put(&o, "%-22s %-6s %-22s %-6s %-12s%s%s", endpoint_print(&l->c.at, from),
		         types[l->c.type], endpoint_print(&r->at, to), types[r->type],
		         states[p->state], p->valid ? " valid" : "",
		         p->nominated ? " nominated" : "");
		if (p->rtt_ms)
			text_put(&o, " %u ms", p->rtt_ms);
		text_put(&o, "\n");
	}
	for (unsigned i = 0; i < a->n_dropped; i++)
		text_put(&o, "dropped %s: %u\n", a->dropped[i].why, a->dropped[i].n);
	if (o.len >= cap && cap > 0)
		o.len = cap - 1;
	return o.len;
}
