#include "control/ctl/events.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "control/ice/sdp.h"

static const char *const states[] = {
	[ICE_NEW] = "new",
	[ICE_GATHERING] = "gathering",
	[ICE_RUNNING] = "running",
	[ICE_COMPLETED] = "completed",
	[ICE_DISCONNECTED] = "disconnected",
	[ICE_FAILED] = "failed",
	[ICE_CLOSED] = "closed",
};

static const char *const reasons[] = {
	[ICE_WHY_NONE] = "none",
	[ICE_WHY_NO_LOCAL] = "no-local",
	[ICE_WHY_NO_REMOTE] = "no-remote",
	[ICE_WHY_NO_ANSWER] = "no-answer",
	[ICE_WHY_ASYMMETRIC] = "asymmetric",
	[ICE_WHY_NEVER_NOMINATED] = "never-nominated",
	[ICE_WHY_NOMINATION_LOST] = "nomination-lost",
	[ICE_WHY_CONSENT_LOST] = "consent-lost",
	[ICE_WHY_REVOKED] = "revoked",
	[ICE_WHY_ROLE] = "role",
	[ICE_WHY_CREDENTIALS] = "credentials",
	[ICE_WHY_BASE_GONE] = "base-gone",
	[ICE_WHY_ALLOCATION_LOST] = "allocation-lost",
	[ICE_WHY_CLOSED] = "closed",
};

static const char *const directions[] = {
	[SESSION_SENDRECV] = "sendrecv",
	[SESSION_SENDONLY] = "sendonly",
	[SESSION_RECVONLY] = "recvonly",
};

static const char *const kinds[] = {
	[SESSION_EVENT_CREATED] = "created",
	[SESSION_EVENT_CANDIDATE] = "candidate",
	[SESSION_EVENT_STATE] = "state",
	[SESSION_EVENT_SELECTED] = "selected",
	[SESSION_EVENT_CONSENT_LOST] = "consent-lost",
	[SESSION_EVENT_ENDED] = "ended",
};

const char *events_state(enum ice_state s)
{
	return states[s];
}

const char *events_reason(enum ice_reason why)
{
	return reasons[why];
}

static json_t *endpoint(const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];

	return json_string(endpoint_print(e, text));
}

static json_t *candidate(const struct ice_candidate *c)
{
	char text[256];

	return sdp_candidate_print(c, false, text, sizeof(text)) ? json_string(text) : json_null();
}

static json_t *pair(const struct ice_selected *p)
{
	return json_pack("{s:o, s:s, s:o, s:s, s:i}", "local", endpoint(&p->local.at), "local_type",
	                 ice_type_name[p->local.type], "remote", endpoint(&p->remote.at),
	                 "remote_type", ice_type_name[p->remote_seen], "rtt_ms", (int)p->rtt_ms);
}

static json_t *amount(uint64_t packets, uint64_t octets)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)packets, "octets",
	                 (json_int_t)octets);
}

static void put_reason(json_t *to, enum ice_reason why)
{
	if (why == ICE_WHY_NONE)
		return;
	json_object_set_new(to, "reason", json_string(reasons[why]));
	json_object_set_new(to, "text", json_string(ice_reason_text(why)));
}

static json_t *notification(json_t *params)
{
	return json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", "session.event", "params",
	                 params);
}

json_t *events_lost(uint64_t n)
{
	return notification(json_pack("{s:s, s:I}", "event", "lost", "count", (json_int_t)n));
}

json_t *events_json(const struct session_event *e)
{
	json_t *const p =
		json_pack("{s:s, s:I}", "event", kinds[e->kind], "session", (json_int_t)e->session);

	if (e->leg)
		json_object_set_new(p, "leg", json_integer(e->leg));
	switch (e->kind) {
	case SESSION_EVENT_CREATED: break;
	case SESSION_EVENT_CANDIDATE:
		json_object_set_new(p, "candidate", candidate(&e->candidate));
		break;
	case SESSION_EVENT_STATE:
		json_object_set_new(p, "state", json_string(states[e->state]));
		put_reason(p, e->why);
		break;
	case SESSION_EVENT_SELECTED: json_object_set_new(p, "pair", pair(&e->pair)); break;
	case SESSION_EVENT_CONSENT_LOST: put_reason(p, e->why); break;
	case SESSION_EVENT_ENDED:
		json_object_set_new(p, "to_peers",
		                    amount(e->counts.to_packets, e->counts.to_octets));
		json_object_set_new(p, "from_peers",
		                    amount(e->counts.from_packets, e->counts.from_octets));
		break;
	}
	return notification(p);
}

json_t *events_session(const struct session_info *s)
{
	return json_pack("{s:I, s:s, s:i, s:I}", "id", (json_int_t)s->id, "name", s->name, "n_legs",
	                 (int)s->n_legs, "age_s", (json_int_t)s->age_s);
}

/* What the other side is told, in the forms that people and programs take. */
static void put_secrets(json_t *leg, const struct ice_description *d)
{
	char *const text = malloc(SESSION_DESCRIPTION_MAX);

	json_object_set_new(leg, "pwd", json_string(d->stream[0].pwd));
	if (!text)
		return;
	sdp_print(d, text, SESSION_DESCRIPTION_MAX);
	json_object_set_new(leg, "sdp", json_string(text));
	sdp_line_print(d, text, SESSION_DESCRIPTION_MAX);
	json_object_set_new(leg, "line", json_string(text));
	OPENSSL_cleanse(text, SESSION_DESCRIPTION_MAX);
	free(text);
}

json_t *events_leg(const struct session_leg_info *l, bool secrets)
{
	const struct ice_stream_description *const s = &l->local->stream[0];
	json_t *const candidates = json_array();

	for (unsigned i = 0; i < s->n_candidates; i++)
		json_array_append_new(candidates, candidate(&s->candidate[i]));
	json_t *const leg = json_pack(
		"{s:i, s:s, s:b, s:s, s:s, s:i, s:b, s:s, s:o, s:o, s:o, s:o}", "leg", (int)l->leg,
		"role", l->full ? "full" : "lite", "controlling", l->controlling, "direction",
		directions[l->direction], "state", states[l->state], "generation",
		(int)l->generation, "described", l->has_remote, "ufrag", s->ufrag, "candidates",
		candidates, "pair", l->selected ? pair(&l->pair) : json_null(), "to_peer",
		amount(l->counts.to_packets, l->counts.to_octets), "from_peer",
		amount(l->counts.from_packets, l->counts.from_octets));

	put_reason(leg, l->why);
	if (secrets)
		put_secrets(leg, l->local);
	return leg;
}
