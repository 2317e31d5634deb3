/* Operators' calls. One that is refused has changed nothing. */
#include <stdio.h>
#include <string.h>

#include "control/ice/sdp.h"
#include "control/session/record.h"
#include "crypto.h"

static enum session_result refuse(struct session_server *srv, enum session_result r,
                                  const char *text, char why[128])
{
	session_stat(srv, r == SESSION_BAD             ? SESSION_STAT_REFUSED_BAD
	                  : r == SESSION_STALE         ? SESSION_STAT_REFUSED_STALE
	                  : r == SESSION_NO_ADDRESS    ? SESSION_STAT_REFUSED_ADDRESS
	                  : r == SESSION_NO_DATA_PLANE ? SESSION_STAT_REFUSED_ALONE
	                                               : SESSION_STAT_REFUSED_FULL);
	snprintf(why, 128, "%s", text);
	return r;
}

/* --- sessions and legs --- */

static const char no_record[] = "the store is full; give run-dir more room";

/* The first relayed address of each family that is wanted. */
static void plan_bases(const struct session_server *srv, struct leg_plan *p)
{
	bool has[2] = { false, false };

	for (unsigned i = 0; i < srv->n_relays; i++) {
		const struct relay *const r = &srv->relay[i];
		const unsigned six = !addr_is4(&r->addr);

		if (!r->known || has[six] || !(six ? p->wanted.ip6 : p->wanted.ip4))
			continue;
		has[six] = true;
		p->relay[p->n_bases++] = (uint8_t)i;
	}
}

/* What does not depend on how much there is of anything. */
static enum session_result judge(struct session_server *srv, const struct session_leg_wanted *w,
                                 unsigned n, char why[128])
{
	if (!srv->connected)
		return refuse(srv, SESSION_NO_DATA_PLANE,
		              "no data plane is joined; start turnpike-dataplane", why);
	for (unsigned i = 0; i < n; i++) {
		struct leg_plan p = { .wanted = w[i] };

		if (w[i].controlling && !w[i].full)
			return refuse(srv, SESSION_BAD, "a lite leg cannot be controlling", why);
		plan_bases(srv, &p);
		if (p.n_bases == 0)
			return refuse(srv, SESSION_NO_ADDRESS,
			              "no relayed address of a family that is wanted; see "
			              "relay.addresses",
			              why);
	}
	if (srv->n_legs + n > srv->setup.legs_max)
		return refuse(srv, SESSION_FULL,
		              "as many legs as the relay is configured for are there already", why);
	if (!row_room(srv, n + 1))
		return refuse(srv, SESSION_FULL, "the queue to the data plane is full; try again",
		              why);
	return SESSION_OK;
}

static uint32_t make(struct session_server *srv, uint32_t session,
                     const struct session_leg_wanted *w, const char **text)
{
	struct leg_plan p = { .wanted = *w };

	plan_bases(srv, &p);
	return leg_make(srv, session, &p, text);
}

static void undo(struct session_server *srv, uint32_t session)
{
	record_session_free(srv, session);
	while (srv->sessions[session].first != NONE)
		leg_undo(srv, srv->sessions[session].first);
	life_give_session(srv, session);
}

/* The session last: with it its legs count. */
static bool record_all(struct session_server *srv, uint32_t n)
{
	bool done = true;

	for (uint32_t l = srv->sessions[n].first; l != NONE && done; l = srv->legs[l].next)
		done = record_leg(srv, l);
	return done && record_session(srv, n);
}

static void begin(struct session_server *srv, uint32_t leg)
{
	row_touch(srv, leg, -1);
	media_run(srv, leg);
	session_stat(srv, SESSION_STAT_LEGS);
}

enum session_result session_create(struct session_server *srv, const struct session_wanted *w,
                                   uint64_t now_ms, uint64_t *id, char why[128])
{
	const char *text = "as many sessions as the relay is configured for are there already";
	enum session_result r;
	uint32_t n;

	life_now(srv, now_ms);
	if (w->n_legs == 0 || w->n_legs > SESSION_LEGS_MAX)
		return refuse(srv, SESSION_BAD, "a session has 1 to 64 legs", why);
	r = judge(srv, w->leg, w->n_legs, why);
	if (r != SESSION_OK)
		return r;
	n = life_take_session(srv);
	if (n == NONE)
		return refuse(srv, SESSION_FULL, text, why);
	for (unsigned i = 0; i < w->n_legs; i++)
		if (make(srv, n, &w->leg[i], &text) == NONE) {
			undo(srv, n);
			return refuse(srv, SESSION_FULL, text, why);
		}
	struct session *const s = &srv->sessions[n];

	memcpy(s->name, w->name, sizeof(s->name));
	s->name[sizeof(s->name) - 1] = '\0';
	s->created_ms = srv->now_ms;
	s->id = record_next_id(srv);
	if (s->id == 0 || !record_all(srv, n)) {
		undo(srv, n);
		return refuse(srv, SESSION_FULL, no_record, why);
	}
	life_publish(srv, n);
	session_stat(srv, SESSION_STAT_CREATED);
	tell_push(srv, &(struct session_event){ .kind = SESSION_EVENT_CREATED, .session = s->id },
	          NONE);
	for (uint32_t l = s->first; l != NONE; l = srv->legs[l].next)
		begin(srv, l);
	row_flush(srv);
	*id = s->id;
	return SESSION_OK;
}

enum session_result session_add_leg(struct session_server *srv, uint64_t id,
                                    const struct session_leg_wanted *w, uint64_t now_ms,
                                    unsigned *leg, char why[128])
{
	const uint32_t n = life_find(srv, id);
	const char *text = "";
	enum session_result r;
	uint32_t l;

	life_now(srv, now_ms);
	if (n == NONE) {
		snprintf(why, 128, "no such session");
		return SESSION_UNKNOWN;
	}
	if (srv->sessions[n].n_legs == SESSION_LEGS_MAX)
		return refuse(srv, SESSION_FULL, "a session has at most 64 legs", why);
	r = judge(srv, w, 1, why);
	if (r == SESSION_OK && !row_room(srv, srv->sessions[n].n_legs + 1u))
		r = refuse(srv, SESSION_FULL, "the queue to the data plane is full; try again",
		           why);
	if (r != SESSION_OK)
		return r;
	l = make(srv, n, w, &text);
	if (l != NONE && !record_leg(srv, l)) {
		leg_undo(srv, l);
		l = NONE;
		text = no_record;
	}
	if (l == NONE)
		return refuse(srv, SESSION_FULL, text, why);
	begin(srv, l);
	if (leg_receives(&srv->legs[l]))
		row_touch_senders(srv, l);
	row_flush(srv);
	*leg = srv->legs[l].number;
	return SESSION_OK;
}

enum session_result session_delete(struct session_server *srv, uint64_t id, uint64_t now_ms)
{
	const uint32_t n = life_find(srv, id);

	life_now(srv, now_ms);
	if (n == NONE)
		return SESSION_UNKNOWN;
	life_end(srv, n);
	row_flush(srv);
	return SESSION_OK;
}

/* --- the other side --- */

static const char *const refusals[] = {
	[ICE_NO_CREDENTIALS] = "no ice-ufrag and ice-pwd in it",
	[ICE_BAD_CREDENTIALS] = "ice-ufrag has 4 characters at least, ice-pwd 22",
	[ICE_MISMATCH] = "the default destination is none of the candidates (ice-mismatch)",
	[ICE_HALF_RESTART] = "a restart changes ice-ufrag and ice-pwd, not one alone",
	[ICE_TOO_MANY] = "more candidates than a leg takes",
	[ICE_BAD_CANDIDATE] = "no candidate a pair can be made with",
	[ICE_OLD_GENERATION] = "of another generation: its ufrag is not the one of now",
	[ICE_OFF_POLICY] = "an address the relay may not talk to; see peers.allow",
	[ICE_KNOWN] = "known already",
	[ICE_CLOSED_ALREADY] = "the end of candidates was told before",
};

static enum session_result result_of(struct session_server *srv, enum ice_refused r, char why[128])
{
	if (r == ICE_OK || r == ICE_KNOWN) {
		why[0] = '\0';
		return SESSION_OK;
	}
	return refuse(srv, r == ICE_OLD_GENERATION ? SESSION_STALE : SESSION_BAD, refusals[r], why);
}

static bool allowed(struct session_server *srv, const struct endpoint *at)
{
	const struct session_world *const w = &srv->setup.world;

	if (w->peer_allowed(w->arg, at))
		return true;
	session_stat(srv, SESSION_STAT_OFF_POLICY);
	return false;
}

/* ICE-216: what the relay may not talk to is taken out. */
static void filter(struct session_server *srv, struct ice_stream_description *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->n_candidates; i++) {
		if (allowed(srv, &d->candidate[i].at)) {
			d->candidate[n++] = d->candidate[i];
			continue;
		}
		for (unsigned c = 0; c < ICE_COMPONENTS_MAX; c++)
			if (endpoint_equal(&d->chosen[c], &d->candidate[i].at))
				d->chosen[c].port = 0;
	}
	d->n_candidates = n;
}

static bool begins(const char *text, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static bool parse(struct session_server *srv, const char *text, size_t len, char err[128])
{
	struct sdp_skipped skipped = { 0 };

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		if (begins(text, len, "ice1 "))
			len--;
		else
			break;
	if (begins(text, len, "ice1 "))
		return sdp_line_parse(text, len, srv->theirs, err);
	if (begins(text, len, "v="))
		return sdp_parse(text, len, srv->theirs, &skipped, err);
	return sdp_fragment_parse(text, len, srv->theirs, err);
}

enum session_result session_set_remote(struct session_server *srv, uint64_t id, unsigned leg,
                                       const char *text, size_t len, uint64_t now_ms, char why[128])
{
	const uint32_t n = list_leg(srv, id, leg);
	struct ice_stream_description *const d = &srv->theirs->stream[0];
	enum session_result r;
	char err[128] = "";

	life_now(srv, now_ms);
	if (n == NONE) {
		snprintf(why, 128, "no such session or leg");
		return SESSION_UNKNOWN;
	}
	if (len > SESSION_DESCRIPTION_MAX)
		return refuse(srv, SESSION_BAD, "the description is too long", why);
	if (!parse(srv, text, len, err))
		return refuse(srv, SESSION_BAD, err, why);
	if (srv->theirs->n_streams == 0)
		return refuse(srv, SESSION_BAD, "no media in it", why);
	filter(srv, d); /* a host behind a NAT may have no others, and is found by its checks */
	r = result_of(srv, ice_remote(srv->legs[n].agent, srv->now_ms, srv->theirs), why);
	crypto_wipe(d->pwd, sizeof(d->pwd));
	if (r == SESSION_OK)
		srv->legs[n].has_remote = srv->legs[n].unsaved = true;
	media_run(srv, n);
	row_flush(srv);
	return r;
}

static bool is_end(const char *text, size_t len)
{
	return len == 0 || (len == 17 && memcmp(text, "end-of-candidates", 17) == 0) ||
	       (len == 19 && memcmp(text, "a=end-of-candidates", 19) == 0);
}

static enum ice_refused add(struct session_server *srv, struct leg *l, const char *ufrag,
                            const char *text, size_t len)
{
	struct sdp_skipped skipped = { 0 };
	struct ice_candidate c;

	if (is_end(text, len))
		return ice_remote_end(l->agent, srv->now_ms, -1, ufrag);
	switch (sdp_candidate_parse(text, len, &c, &skipped)) {
	case SDP_BAD: return ICE_BAD_CANDIDATE;
	case SDP_SKIPPED: return ICE_OK; /* TCP, names: of no use here, and no error (ICE-062) */
	case SDP_CANDIDATE: break;
	}
	if (!allowed(srv, &c.at))
		return ICE_OK; /* counted, and of no use */
	return ice_remote_candidate(l->agent, srv->now_ms, 0, ufrag, &c);
}

enum session_result session_add_candidate(struct session_server *srv, uint64_t id, unsigned leg,
                                          const char *ufrag, const char *text, size_t len,
                                          uint64_t now_ms, char why[128])
{
	const uint32_t n = list_leg(srv, id, leg);
	enum session_result r;

	life_now(srv, now_ms);
	if (n == NONE) {
		snprintf(why, 128, "no such session or leg");
		return SESSION_UNKNOWN;
	}
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	r = result_of(srv, add(srv, &srv->legs[n], ufrag, text, len), why);
	media_run(srv, n);
	row_flush(srv);
	return r;
}

enum session_result session_restart(struct session_server *srv, uint64_t id, unsigned leg,
                                    uint64_t now_ms)
{
	const uint32_t n = list_leg(srv, id, leg);
	char why[128];

	life_now(srv, now_ms);
	if (n == NONE)
		return SESSION_UNKNOWN;
	if (!row_room(srv, srv->sessions[srv->legs[n].session].n_legs))
		return refuse(srv, srv->connected ? SESSION_FULL : SESSION_NO_DATA_PLANE, "", why);
	srv->legs[n].has_remote = false;
	srv->legs[n].unsaved = true;
	ice_restart(srv->legs[n].agent, srv->now_ms);
	media_run(srv, n);
	row_flush(srv);
	return SESSION_OK;
}
