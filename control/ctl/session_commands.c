#include "control/ctl/session_commands.h"

#include <stdlib.h>
#include <string.h>

#include "control/ctl/events.h"
#include "control/loop.h"

enum { PAGE_MAX = 1000 };

/* NULL, or who serves sessions. */
static struct session_server *served(struct control *c, struct ctl_error *err)
{
	if (!c->sessions)
		ctl_fail(err, CTL_ERROR_UNAVAILABLE,
		         "no sessions are served; set limits.legs, then restart");
	return c->sessions;
}

static json_t *refused(enum session_result r, const struct ctl_request *req, const char *why,
                       struct ctl_error *err)
{
	switch (r) {
	case SESSION_OK: break;
	case SESSION_UNKNOWN:
		return ctl_fail(err, CTL_ERROR_NOT_FOUND, "no session %s%s%s; see 'session show'",
		                ctl_arg(req, "id")->text,
		                ctl_arg(req, "leg")->given ? " with leg " : "",
		                ctl_arg(req, "leg")->text);
	case SESSION_FULL: return ctl_fail(err, CTL_ERROR_UNAVAILABLE, "no room for it: %s", why);
	case SESSION_NO_ADDRESS:
		return ctl_fail(err, CTL_ERROR_UNAVAILABLE,
		                "no relayed address of that family; see relay.addresses");
	case SESSION_NO_DATA_PLANE:
		return ctl_fail(err, CTL_ERROR_UNAVAILABLE,
		                "the data plane is not there; start turnpike-dataplane");
	case SESSION_BAD: return ctl_fail(err, CTL_ERROR_PARAMS, "%s", why);
	case SESSION_STALE:
		return ctl_fail(err, CTL_ERROR_REFUSED,
		                "of another generation: the leg, or its other side, began anew");
	}
	return ctl_fail(err, CTL_ERROR_INTERNAL, "unknown result");
}

static json_t *whole(struct session_server *srv, uint64_t id, bool secrets)
{
	struct session_info s;
	struct session_leg_info *const l = malloc(sizeof(*l));
	json_t *const legs = json_array();

	if (!l || !session_find(srv, id, &s)) {
		free(l);
		json_decref(legs);
		return NULL;
	}
	for (unsigned i = 1; i <= s.n_legs; i++)
		if (session_leg(srv, id, i, l))
			json_array_append_new(legs, events_leg(l, secrets));
	free(l);
	json_t *const out = events_session(&s);

	json_object_set_new(out, "legs", legs);
	return out;
}

static json_t *one_leg(struct session_server *srv, uint64_t id, unsigned leg, bool secrets)
{
	struct session_leg_info *const l = malloc(sizeof(*l));
	json_t *const out = l && session_leg(srv, id, leg, l) ? events_leg(l, secrets) : NULL;

	free(l);
	if (out)
		json_object_set_new(out, "session", json_integer((json_int_t)id));
	return out;
}

/* What its other side is told now, or why nothing was done. */
static json_t *leg_result(struct control *c, enum session_result r, const struct ctl_request *req,
                          unsigned leg, const char *why, struct ctl_error *err)
{
	if (r != SESSION_OK)
		return refused(r, req, why, err);
	json_t *const out = one_leg(c->sessions, ctl_arg(req, "id")->number, leg, true);

	loop_pump(c);
	return out;
}

/* --- making --- */

static bool direction_of(const char *word, size_t len, enum session_direction *out)
{
	static const char *const words[] = { [SESSION_SENDRECV] = "sendrecv",
		                             [SESSION_SENDONLY] = "sendonly",
		                             [SESSION_RECVONLY] = "recvonly" };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && memcmp(words[i], word, len) == 0) {
			*out = (enum session_direction)i;
			return true;
		}
	return false;
}

/* "sendonly,recvonly": the last goes for the rest. */
static bool read_directions(const char *list, struct session_wanted *w)
{
	enum session_direction d = SESSION_SENDRECV;

	for (unsigned i = 0; i < w->n_legs; i++) {
		const size_t len = strcspn(list, ",");

		if (len && !direction_of(list, len, &d))
			return false;
		list += len + (list[len] == ',');
		w->leg[i].direction = d;
	}
	return *list == '\0';
}

/* "2", "1,3", "all". */
static bool read_controlling(const char *list, struct session_wanted *w)
{
	char *end;

	if (strcmp(list, "all") == 0) {
		for (unsigned i = 0; i < w->n_legs; i++)
			w->leg[i].controlling = true;
		return true;
	}
	for (; *list; list = end + (*end == ',')) {
		const unsigned long n = strtoul(list, &end, 10);

		if (end == list || n < 1 || n > w->n_legs || (*end != ',' && *end != '\0'))
			return false;
		w->leg[n - 1].controlling = true;
	}
	return true;
}

static void read_families(const struct ctl_request *req, bool *ip4, bool *ip6)
{
	const char *const family = ctl_arg(req, "family")->text;

	*ip4 = strcmp(family, "ip6") != 0;
	*ip6 = strcmp(family, "ip4") != 0;
}

json_t *session_create_body(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const struct ctl_value *const legs = ctl_arg(req, "legs");
	const bool full = strcmp(ctl_arg(req, "role")->text, "full") == 0;
	struct session_wanted w = { .n_legs = legs->given ? (unsigned)legs->number : 2 };
	char why[128] = "";
	uint64_t id;

	if (!served(c, err))
		return NULL;
	for (unsigned i = 0; i < w.n_legs; i++) {
		w.leg[i].full = full;
		read_families(req, &w.leg[i].ip4, &w.leg[i].ip6);
	}
	if (!read_directions(ctl_arg(req, "direction")->text, &w))
		return ctl_fail(err, CTL_ERROR_PARAMS,
		                "'direction' must be sendrecv, sendonly or recvonly for each leg, "
		                "with commas");
	if (ctl_arg(req, "controlling")->given &&
	    (!full || !read_controlling(ctl_arg(req, "controlling")->text, &w)))
		return ctl_fail(err, CTL_ERROR_PARAMS,
		                "'controlling' must be numbers of legs, with commas, or all; and "
		                "the role full");
	memcpy(w.name, ctl_arg(req, "name")->text, sizeof(w.name) - 1);
	const enum session_result r = session_create(c->sessions, &w, loop_now_ms(), &id, why);

	if (r != SESSION_OK)
		return refused(r, req, why, err);
	json_t *const out = whole(c->sessions, id, true);

	loop_pump(c);
	return out;
}

json_t *session_add_leg_body(struct control *c, const struct ctl_request *req,
                             struct ctl_error *err)
{
	const char *const direction = ctl_arg(req, "direction")->text;
	const uint64_t id = ctl_arg(req, "id")->number;
	struct session_leg_wanted w = {
		.full = strcmp(ctl_arg(req, "role")->text, "full") == 0,
		.controlling = ctl_arg(req, "controlling")->given,
	};
	char why[128] = "";
	unsigned leg;

	if (!served(c, err))
		return NULL;
	read_families(req, &w.ip4, &w.ip6);
	direction_of(direction, strlen(direction), &w.direction);
	const enum session_result r =
		session_add_leg(c->sessions, id, &w, loop_now_ms(), &leg, why);

	return leg_result(c, r, req, leg, why, err);
}

/* --- what the other side says --- */

json_t *session_set_remote_body(struct control *c, const struct ctl_request *req,
                                struct ctl_error *err)
{
	const char *const text = ctl_arg(req, "description")->longer;
	const uint64_t id = ctl_arg(req, "id")->number;
	const unsigned leg = (unsigned)ctl_arg(req, "leg")->number;
	char why[128] = "";

	if (!served(c, err))
		return NULL;
	const enum session_result r =
		session_set_remote(c->sessions, id, leg, text, strlen(text), loop_now_ms(), why);

	return leg_result(c, r, req, leg, why, err);
}

json_t *session_add_candidate_body(struct control *c, const struct ctl_request *req,
                                   struct ctl_error *err)
{
	const char *const text = ctl_arg(req, "candidate")->text;
	const struct ctl_value *const ufrag = ctl_arg(req, "ufrag");
	const uint64_t id = ctl_arg(req, "id")->number;
	const unsigned leg = (unsigned)ctl_arg(req, "leg")->number;
	char why[128] = "";

	if (!served(c, err))
		return NULL;
	const enum session_result r =
		session_add_candidate(c->sessions, id, leg, ufrag->given ? ufrag->text : NULL, text,
	                              strlen(text), loop_now_ms(), why);

	if (r != SESSION_OK)
		return refused(r, req, why, err);
	loop_pump(c);
	return json_pack("{s:I, s:i}", "session", (json_int_t)id, "leg", (int)leg);
}

json_t *session_restart_body(struct control *c, const struct ctl_request *req,
                             struct ctl_error *err)
{
	const uint64_t id = ctl_arg(req, "id")->number;
	const unsigned leg = (unsigned)ctl_arg(req, "leg")->number;

	if (!served(c, err))
		return NULL;
	const enum session_result r = session_restart(c->sessions, id, leg, loop_now_ms());

	return leg_result(c, r, req, leg, "", err);
}

json_t *session_delete_body(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const uint64_t id = ctl_arg(req, "id")->number;

	if (!served(c, err))
		return NULL;
	const enum session_result r = session_delete(c->sessions, id, loop_now_ms());

	if (r != SESSION_OK)
		return refused(r, req, "", err);
	loop_pump(c);
	return json_pack("{s:I}", "deleted", (json_int_t)id);
}

/* --- looking --- */

json_t *session_show_body(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const struct ctl_value *const id = ctl_arg(req, "id");
	uint64_t after = ctl_arg(req, "after")->number;
	struct session_info s;
	unsigned legs = 0;

	if (!served(c, err))
		return NULL;
	if (id->given) {
		json_t *const one = whole(c->sessions, id->number, false);

		return one ? one : refused(SESSION_UNKNOWN, req, "", err);
	}
	json_t *const rows = json_array();
	bool more = false;

	while (json_array_size(rows) < PAGE_MAX && (more = session_list(c->sessions, after, &s))) {
		json_array_append_new(rows, events_session(&s));
		after = s.id;
	}
	const unsigned n = session_count(c->sessions, &legs);

	return json_pack("{s:o, s:o, s:i, s:i}", "sessions", rows, "next",
	                 more ? json_integer((json_int_t)after) : json_null(), "total", (int)n,
	                 "legs", (int)legs);
}

json_t *session_events_body(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const uint64_t session = ctl_arg(req, "session")->number;

	if (!served(c, err))
		return NULL;
	c->listen.asked = true;
	c->listen.session = session;
	return json_pack("{s:b}", "listening", 1);
}
