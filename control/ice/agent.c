/* The agent: made, told, asked, fed with datagrams and time. */
#include <stdlib.h>

#include "control/ice/parts.h"
#include "control/ice/text.h"

enum { TA_FLOOR_MS = 5, PAC_MIN_MS = 5000 };

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
		.bases_max = ICE_BASES_MAX,
		.locals_max = 160,
		.candidates_max = ICE_CANDIDATES_MAX,
		.learned_max = 32,
		.pairs_max = 100,
		.transactions_max = 512,
		.answers_max = 64,
		.early_max = 32,
		.told_max = 256,
	};
}

struct ice_config ice_defaults_leg(bool lite)
{
	struct ice_config c = ice_defaults();

	c.lite = lite;
	c.bases_max = 4;
	c.locals_max = 12;
	c.candidates_max = 16;
	c.learned_max = 8;
	c.pairs_max = 24;
	c.transactions_max = 24;
	c.answers_max = 8;
	c.early_max = 8;
	c.told_max = 16;
	return c;
}

struct ice_agent *ice_new(const struct ice_config *c, uint64_t now_ms)
{
	const struct room room = room_of(c);
	const size_t octets = ice_octets(c);
	struct ice_agent *const a = calloc(1, octets);

	if (!a)
		return NULL;
	room_lay(a, &room, a + 1);
	a->octets = octets;
	a->c = *c;
	a->now_ms = now_ms;
	a->controlling = c->controlling;
	a->ta_ms = c->ta_ms < TA_FLOOR_MS ? TA_FLOOR_MS : c->ta_ms;
	if (a->c.pac_ms < PAC_MIN_MS) /* ICE-155 */
		a->c.pac_ms = PAC_MIN_MS;
	a->c.n_streams = room.streams;
	a->c.n_components = room.components;
	a->c.pairs_max = c->lite ? room.pairs : room.pairs / 2;
	a->c.n_servers = room.servers;
	a->c.server = NULL;
	if (room.servers)
		memcpy(a->server, c->server, room.servers * sizeof(*a->server));
	c->random(c->random_arg, &a->tie, sizeof(a->tie));
	for (unsigned i = 0; i < a->c.n_streams; i++) {
		struct stream *const s = &a->stream[i];

		s->n_components = a->c.n_components;
		snprintf(s->mid, sizeof(s->mid), "%u", i);
		for (unsigned k = 0; k < a->c.n_components; k++)
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
	crypto_wipe(a, a->octets);
	free(a);
}

void agent_tell(struct ice_agent *a, const struct told *t)
{
	if (a->n_told == a->room.told)
		return; /* the caller does not poll: the state can still be asked for */
	a->told[(a->told_first + a->n_told++) % a->room.told] = *t;
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
	check_end(a, t);
	if (t->use_candidate)
		conclude_nomination_failed(a, t->pair);
	else if (a->pair[t->pair].state == ICE_IN_PROGRESS)
		pair_state(a, t->pair, ICE_PAIR_FAILED, "unreachable");
}

/* Before anything is selected: the best pair that has worked (ICE-189). */
static const struct pair *working(const struct ice_agent *a, unsigned stream, unsigned component)
{
	const struct pair *best = NULL;

	for (int i = 0; i < a->room.pairs; i++) {
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
	if (path && a->c.lite && path == &a->stream[stream].path[component - 1] &&
	    !conclude_all_done(a, stream))
		return false; /* ICE-164 */
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
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_DATA,
	                                         .stream = (uint8_t)stream,
	                                         .component = (uint8_t)component,
	                                         .id = path ? path->pair_id : p->id,
	                                         .peer = to });
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
	a->told_first = (a->told_first + 1) % a->room.told;
	a->n_told--;
	out->kind = t->kind;
	out->stream = t->stream;
	out->component = t->component;
	out->state = t->state;
	out->why = t->why;
	if (t->kind == ICE_EVENT_CANDIDATE) {
		out->candidate = a->local[t->local].c;
		if (a->c.policy == ICE_RELAY_ONLY) /* ICE-215 */
			out->candidate.related = (struct endpoint){ .port = 0 };
	} else if (t->kind == ICE_EVENT_SELECTED)
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
	for (unsigned i = 0; i < a->room.transactions; i++)
		check_end(a, &a->transaction[i]);
	a->n_answers = 0;
	gather_close(a);
	agent_state(a, ICE_CLOSED, ICE_WHY_CLOSED);
}

/* --- for people --- */

size_t ice_explain(const struct ice_agent *a, char *out, size_t cap)
{
	static const char *const states[] = { "frozen", "waiting", "in progress", "succeeded",
		                              "failed" };
	struct text_out o = { out, cap, 0 };
	char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

	text_put(&o, "%-22s %-6s %-22s %-6s %-12s %s\n", "local", "", "remote", "", "state", "");
	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (!p->id)
			continue;
		const struct local *const l = &a->local[p->local];
		const struct ice_candidate *const r = &a->stream[p->stream].remote[p->remote].c;

		text_put(&o, "%-22s %-6s %-22s %-6s %-12s%s%s", endpoint_print(&l->c.at, from),
		         ice_type_name[l->c.type], endpoint_print(&r->at, to),
		         ice_type_name[r->type], states[p->state], p->valid ? " valid" : "",
		         p->nominated ? " nominated" : "");
		if (p->rtt_ms)
			text_put(&o, " %u ms", p->rtt_ms);
		text_put(&o, "\n");
	}
	for (unsigned i = 0; i < a->n_counted; i++)
		text_put(&o, "counted %s: %u\n", a->counted[i].why, a->counted[i].n);
	if (o.len >= cap && cap > 0)
		o.len = cap - 1;
	return o.len;
}
