/* Selected pairs: data, keepalives, consent (ICE-178 to ICE-194). */
#include "control/ice/parts.h"
#include "wire/attr.h"

enum {
	CONSENT_MIN_MS = 4000, /* 5 s times 0.8 to 1.2 */
	CONSENT_SPAN_MS = 2001,
	CONSENT_LOST_MS = 30000,
	SHAKY_MS = 10000,
	SHAKY_MISSED = 2,
	KEEPALIVE_MS = 15000,
	SILENT_MS = 6500, /* an agent asks for consent every 6 s at most */
};

static uint32_t draw(struct ice_agent *a, uint32_t below)
{
	uint32_t n;

	a->c.random(a->c.random_arg, &n, sizeof(n));
	return n % below;
}

static bool asks(const struct ice_agent *a)
{
	return !a->c.no_consent && !a->c.lite;
}

static void describe(const struct ice_agent *a, int pair, struct ice_selected *out)
{
	const struct pair *const p = &a->pair[pair];
	const struct local *const l = &a->local[p->local];
	const struct remote *const r = &a->stream[p->stream].remote[p->remote];

	*out = (struct ice_selected){
		.local = l->c,
		.remote = r->c,
		.local_seen = l->c.type,
		.remote_seen = r->learned ? ICE_PRFLX : r->c.type,
		.base = l->via.base,
		.rtt_ms = p->rtt_ms,
		.channel = l->via.alloc != NONE &&
		           allocation_bound(a->gather[l->via.alloc].al, &r->c.at),
	};
}

/* When silence ends consent. */
static uint64_t end_ms(const struct ice_agent *a, const struct path *path)
{
	if (asks(a))
		return path->consent_ms + CONSENT_LOST_MS;
	return a->c.lite && a->c.patience_ms ? path->consent_ms + a->c.patience_ms : UINT64_MAX;
}

void path_select(struct ice_agent *a, unsigned stream, unsigned component, int pair)
{
	struct stream *const s = &a->stream[stream];
	struct path *const path = &s->path[component - 1];
	const struct pair *const p = &a->pair[pair];
	const struct local *const l = &a->local[p->local];

	if (path->live && path->pair == pair)
		return;
	*path = (struct path){
		.live = true,
		.via = l->via,
		.to = s->remote[p->remote].c.at,
		.pair = pair,
		.pair_id = p->id,
		.consent_ms = a->now_ms,
		.ask_ms = a->now_ms + CONSENT_MIN_MS + draw(a, CONSENT_SPAN_MS),
		.sent_ms = a->now_ms,
	};
	if (l->via.alloc != NONE) /* ICE-192 */
		allocation_bind(a->gather[l->via.alloc].al, a->now_ms, &path->to);
	describe(a, pair, &path->facts);
	s->old_path[component - 1].live = false;
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_SELECTED,
	                                         .stream = (uint8_t)stream,
	                                         .component = (uint8_t)component,
	                                         .id = p->id,
	                                         .at = l->c.at,
	                                         .peer = path->to });
	agent_tell(a, &(struct told){ .kind = ICE_EVENT_SELECTED,
	                              .stream = (uint8_t)stream,
	                              .component = (uint8_t)component });
}

/* ICE-193: asked within the first interval, so that many do not ask at one moment. */
void path_resume(struct ice_agent *a, int pair, uint64_t heard_ms)
{
	const struct pair *const p = &a->pair[pair];
	struct path *const path = &a->stream[p->stream].path[p->component - 1];

	path_select(a, p->stream, p->component, pair);
	path->consent_ms = heard_ms < a->now_ms ? heard_ms : a->now_ms;
	path->ask_ms = a->now_ms + draw(a, CONSENT_MIN_MS + CONSENT_SPAN_MS);
}

bool ice_selected(const struct ice_agent *a, unsigned stream, unsigned component,
                  struct ice_selected *out)
{
	const struct path *const path = &a->stream[stream].path[component - 1];

	if (!path->live)
		return false;
	if (path->pair != NONE)
		describe(a, path->pair, out);
	else
		*out = path->facts;
	return true;
}

/* --- consent --- */

static void trace_path(struct ice_agent *a, const struct path *path, unsigned stream,
                       enum ice_what what, const uint8_t *txid)
{
	struct ice_trace_record r = { .event = ICE_TRACE_TX,
		                      .stream = (uint8_t)stream,
		                      .id = path->pair_id,
		                      .base = a->base[path->via.base].b.at,
		                      .peer = path->to,
		                      .what = (uint8_t)what,
		                      .cls = what == ICE_KEEPALIVE ? STUN_INDICATION : STUN_REQUEST,
		                      .method = STUN_BINDING,
		                      .controlling = a->controlling,
		                      .tie = a->tie };

	if (txid)
		memcpy(r.txid, txid, sizeof(r.txid));
	trace_put(a, &r);
}

/* ICE-182, ICE-183: sent once, a new transaction each time. */
static bool ask(struct ice_agent *a, struct path *path, unsigned stream, bool old,
                struct ice_event *out)
{
	const struct stream *const s = &a->stream[stream];
	uint8_t octets[1024], *const txid = path->asked[path->n_asked++ % 8];
	struct transaction t = {
		.controlling = a->controlling,
		.tie = a->tie,
		.priority = candidate_priority(ICE_PRFLX, path->facts.local.priority >> 8 & 0xFFFF,
		                               path->facts.local.component),
	};

	a->c.random(a->c.random_arg, txid, STUN_TXID_LEN);
	memcpy(t.txid, txid, STUN_TXID_LEN);
	trace_path(a, path, stream, ICE_CONSENT, txid);
	path->ask_ms = a->now_ms + CONSENT_MIN_MS + draw(a, CONSENT_SPAN_MS);
	path->sent_ms = a->now_ms;
	path->unanswered++;
	return message_send(a, path->via, &path->to, octets,
	                    message_check(old ? &s->before : &s->now, &t, octets, sizeof(octets)),
	                    out);
}

static void lose(struct ice_agent *a, struct path *path, enum ice_reason why)
{
	path->lost = true;
	if (a->state != ICE_COMPLETED && a->state != ICE_DISCONNECTED)
		return; /* an old path during a restart */
	agent_state(a, ICE_FAILED, why);
	if (a->now_ms >= a->auto_restart_ms) { /* ICE-177 */
		a->auto_restart_ms = a->now_ms + 10000;
		agent_tell(a, &(struct told){ .kind = ICE_EVENT_RESTART, .why = why });
	}
}

/* Looks after one path; true: *out is to be sent. */
static bool tend(struct ice_agent *a, struct path *path, unsigned stream, bool old,
                 struct ice_event *out)
{
	uint8_t octets[64];

	if (!path->live || path->lost)
		return false;
	if (a->now_ms >= end_ms(a, path)) {
		lose(a, path, ICE_WHY_CONSENT_LOST);
		return false;
	}
	if (asks(a)) {
		if (!old && a->state == ICE_COMPLETED &&
		    (path->unanswered > SHAKY_MISSED || a->now_ms >= path->consent_ms + SHAKY_MS))
			agent_state(a, ICE_DISCONNECTED, ICE_WHY_NONE); /* ICE-187 */
		return a->now_ms >= path->ask_ms && ask(a, path, stream, old, out);
	}
	if (a->now_ms < path->sent_ms + KEEPALIVE_MS)
		return false;
	path->sent_ms = a->now_ms;
	trace_path(a, path, stream, ICE_KEEPALIVE, NULL);
	return message_send(a, path->via, &path->to, octets,
	                    message_keepalive(a, octets, sizeof(octets)), out);
}

bool path_poll(struct ice_agent *a, struct ice_event *out)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 0; c < a->c.n_components; c++)
			if (tend(a, &a->stream[s].path[c], s, false, out) ||
			    tend(a, &a->stream[s].old_path[c], s, true, out))
				return true;
	return false;
}

/*
 * When a lite agent takes the other source for its peer: heard there for so long, and nothing from
 * where it was for longer than an agent waits between two consent requests. Browsers check paths in
 * reserve meanwhile, which is no move.
 */
static uint64_t follow_ms(const struct ice_agent *a, const struct path *p)
{
	const uint64_t heard = p->other_ms + a->c.follow_ms, silent = p->consent_ms + SILENT_MS;

	if (!a->c.lite || !a->c.follow_ms || !p->other.port || p->consent_ms >= p->other_ms)
		return UINT64_MAX;
	return heard > silent ? heard : silent;
}

bool path_follow_due(const struct ice_agent *a, unsigned stream, unsigned component)
{
	const struct path *const p = &a->stream[stream].path[component - 1];

	return p->live && !p->lost && follow_ms(a, p) <= a->now_ms;
}

static uint64_t path_due(const struct ice_agent *a, const struct path *path)
{
	uint64_t ms;

	if (!path->live || path->lost)
		return UINT64_MAX;
	ms = end_ms(a, path);
	if (follow_ms(a, path) < ms)
		ms = follow_ms(a, path);
	if (!asks(a))
		return ms < path->sent_ms + KEEPALIVE_MS ? ms : path->sent_ms + KEEPALIVE_MS;
	if (path->ask_ms < ms)
		ms = path->ask_ms;
	if (a->state == ICE_COMPLETED && path->consent_ms + SHAKY_MS < ms)
		ms = path->consent_ms + SHAKY_MS;
	return ms;
}

uint64_t path_next_ms(const struct ice_agent *a)
{
	uint64_t next = UINT64_MAX;

	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 0; c < a->c.n_components; c++) {
			const uint64_t now = path_due(a, &a->stream[s].path[c]);
			const uint64_t old = path_due(a, &a->stream[s].old_path[c]);

			next = now < next ? now : next;
			next = old < next ? old : next;
		}
	return next;
}

static bool asked(const struct path *path, const uint8_t *txid)
{
	for (unsigned i = 0; i < 8 && i < path->n_asked; i++)
		if (memcmp(path->asked[i], txid, STUN_TXID_LEN) == 0)
			return true;
	return false;
}

/* ICE-184, ICE-185: only what is authenticated and from the path's own far end. */
static bool answered(struct ice_agent *a, struct path *path, const struct generation *g,
                     unsigned stream, struct via via, const struct endpoint *from,
                     const struct stun_msg *m)
{
	struct stun_marks marks;
	struct stun_attr attr;
	const uint8_t *reason;
	size_t len;

	if (!path->live || path->lost || !asked(path, m->txid))
		return false;
	if (!stun_scan(m, &marks) || !message_verify(m, &marks, &g->theirs) ||
	    !via_equal(via, path->via) || !endpoint_equal(from, &path->to)) {
		trace_drop(a, via.base, from, "bad_consent");
		return true;
	}
	struct ice_trace_record r = { .event = ICE_TRACE_RX,
		                      .stream = (uint8_t)stream,
		                      .id = path->pair_id,
		                      .base = a->base[via.base].b.at,
		                      .peer = *from,
		                      .cls = (uint8_t)stun_class(m->type),
		                      .method = STUN_BINDING,
		                      .what = ICE_CONSENT,
		                      .verified = true };

	memcpy(r.txid, m->txid, sizeof(r.txid));
	trace_put(a, &r);
	if (stun_class(m->type) == STUN_SUCCESS) {
		path->consent_ms = a->now_ms;
		path->unanswered = 0;
		if (a->state == ICE_DISCONNECTED)
			agent_state(a, ICE_COMPLETED, ICE_WHY_NONE);
	} else if (stun_find(m, STUN_ERROR_CODE, &attr) &&
	           stun_error_code(&attr, &reason, &len) == 403) {
		lose(a, path, ICE_WHY_REVOKED);
	}
	return true;
}

bool path_answered(struct ice_agent *a, struct via via, const struct endpoint *from,
                   const struct stun_msg *m)
{
	const unsigned stream = a->base[via.base].b.stream;
	struct stream *const s = &a->stream[stream];

	for (unsigned c = 0; c < a->c.n_components; c++)
		if (answered(a, &s->path[c], &s->now, stream, via, from, m) ||
		    answered(a, &s->old_path[c], &s->before, stream, via, from, m))
			return true;
	return false;
}

/* --- data --- */

/* ICE-189: the selected pair, else that of before, else the best valid one. */
struct path *path_for_data(struct ice_agent *a, unsigned stream, unsigned component)
{
	struct stream *const s = &a->stream[stream];
	struct path *const p = &s->path[component - 1], *const old = &s->old_path[component - 1];

	if (p->live)
		return p->lost ? NULL : p;
	return old->live && !old->lost ? old : NULL;
}

uint64_t ice_send_until_ms(struct ice_agent *a, unsigned stream, unsigned component)
{
	const struct path *const p = path_for_data(a, stream, component);

	if (!p || a->state == ICE_CLOSED)
		return 0;
	return end_ms(a, p);
}

/* An answer went out with it: no keepalive is due (ICE-178). */
static void refresh(struct path *p, uint64_t ms)
{
	if (ms > p->consent_ms)
		p->consent_ms = ms;
	if (ms > p->sent_ms)
		p->sent_ms = ms;
}

void ice_heard(struct ice_agent *a, uint64_t heard_ms)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 1; c <= a->c.n_components; c++) {
			struct path *const p = path_for_data(a, s, c);

			if (p)
				refresh(p, heard_ms);
		}
}

bool path_heard(struct ice_agent *a, unsigned stream, unsigned component, struct via via,
                const struct endpoint *from)
{
	struct path *const p = path_for_data(a, stream, component);

	if (!p)
		return false;
	if (via_equal(p->via, via) && endpoint_equal(&p->to, from)) {
		refresh(p, a->now_ms);
		return false;
	}
	if (p != &a->stream[stream].path[component - 1] || !a->c.follow_ms)
		return false; /* during a restart it is the peer that decides */
	if (!endpoint_equal(&p->other, from) || p->consent_ms >= p->other_ms) {
		p->other = *from;
		p->other_ms = a->now_ms;
		p->other_via = via;
		return false;
	}
	return a->now_ms >= p->other_ms + a->c.follow_ms;
}

/* ICE-191: whoever has shown that it is the peer. */
bool path_known(const struct ice_agent *a, unsigned stream, struct via via,
                const struct endpoint *from)
{
	const struct stream *const s = &a->stream[stream];

	for (unsigned c = 0; c < a->c.n_components; c++) {
		const struct path *const p[] = { &s->path[c], &s->old_path[c] };

		for (unsigned k = 0; k < 2; k++)
			if (p[k]->live && via_equal(p[k]->via, via) &&
			    endpoint_equal(&p[k]->to, from))
				return true;
	}
	/* Before its description is here its checks are good all the same (ICE-136). */
	for (unsigned i = 0; i < s->n_early; i++)
		if (via_equal(a->local[s->early[i].local].via, via) &&
		    endpoint_equal(&s->early[i].from, from))
			return true;
	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (p->id && p->stream == stream && (p->heard || p->state == ICE_SUCCEEDED) &&
		    via_equal(a->local[p->local].via, via) &&
		    endpoint_equal(&s->remote[p->remote].c.at, from))
			return true;
	}
	return false;
}
