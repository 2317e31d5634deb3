#include "control/world.h"

#include <stdlib.h>

#include "control/counts.h"
#include "control/ctl/events.h"
#include "control/ctl/socket.h"
#include "control/session/stats.h"
#include "log.h"

enum { PATIENCE_S = 30, FOLLOW_MS = 2000, TA_MS = 50 };

static uint16_t take_port(void *arg, const struct addr *relay)
{
	return turn_port_take(((struct control *)arg)->turn, relay);
}

static bool take_this(void *arg, const struct addr *relay, uint16_t port)
{
	return turn_port_take_this(((struct control *)arg)->turn, relay, port);
}

static void release_port(void *arg, const struct addr *relay, uint16_t port)
{
	turn_port_release(((struct control *)arg)->turn, relay, port);
}

static bool rows(void *arg, int n)
{
	return turn_rows(((struct control *)arg)->turn, n);
}

static bool room(void *arg, uint32_t octets)
{
	return turn_room(((struct control *)arg)->turn, octets);
}

static void *command(void *arg, enum cmd_kind kind, uint32_t octets)
{
	return turn_command(((struct control *)arg)->turn, kind, octets);
}

static bool peer_allowed(void *arg, const struct endpoint *peer)
{
	return turn_peer_allowed(((struct control *)arg)->turn, peer);
}

static bool counts(void *arg, uint32_t row, struct session_counts *out)
{
	(void)arg;
	return counts_read_leg(row, out);
}

static void draw(void *arg, void *out, size_t n)
{
	((struct control *)arg)->random(out, n);
}

static bool also(void *arg, uint64_t now_ms)
{
	return session_sync_step(arg, now_ms);
}

struct session_server *world_sessions(struct control *c)
{
	const struct session_setup setup = {
		.world = {
			.arg = c,
			.take_port = take_port,
			.take_this = take_this,
			.release_port = release_port,
			.rows = rows,
			.room = room,
			.command = command,
			.peer_allowed = peer_allowed,
			.counts = counts,
			.random = draw,
		},
		.store = c->store,
		.legs_max = c->cfg->limit_legs,
		.ta_ms = TA_MS,
		.patience_s = PATIENCE_S,
		.follow_ms = FOLLOW_MS,
	};
	struct session_server *const srv =
		setup.legs_max ? session_server_new(&setup, loop_now_ms()) : NULL;

	if (!srv)
		return NULL;
	turn_set_also(c->turn, also, srv);
	const unsigned n = session_restore(srv, loop_now_ms());

	if (n)
		log_info("session", "restored", "sessions=%u", n);
	return srv;
}

/* --- what happened --- */

/* Begin and end are never held back: they can be billed by. */
static void write_log(const struct session_event *e)
{
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];
	const unsigned long long id = e->session;

	if (log_get_level() < LOG_LEVEL_INFO)
		return;
	switch (e->kind) {
	case SESSION_EVENT_CREATED:
		log_line(NULL, LOG_LEVEL_INFO, "session", "begin", "id=%llu", id);
		break;
	case SESSION_EVENT_CANDIDATE: break;
	case SESSION_EVENT_STATE:
		log_info("session", "state", "id=%llu leg=%u state=%s reason=%s", id, e->leg,
		         events_state(e->state), events_reason(e->why));
		break;
	case SESSION_EVENT_SELECTED:
		log_info("session", "selected",
		         "id=%llu leg=%u local=%s local_type=%s remote=%s remote_type=%s", id,
		         e->leg, endpoint_print(&e->pair.local.at, local),
		         ice_type_name[e->pair.local.type],
		         endpoint_print(&e->pair.remote.at, remote),
		         ice_type_name[e->pair.remote.type]);
		break;
	case SESSION_EVENT_CONSENT_LOST:
		log_info("session", "consent-lost", "id=%llu leg=%u reason=%s", id, e->leg,
		         events_reason(e->why));
		break;
	case SESSION_EVENT_ENDED:
		log_line(
			NULL, LOG_LEVEL_INFO, "session", "end",
			"id=%llu to_packets=%llu to_octets=%llu from_packets=%llu from_octets=%llu",
			id, (unsigned long long)e->counts.to_packets,
			(unsigned long long)e->counts.to_octets,
			(unsigned long long)e->counts.from_packets,
			(unsigned long long)e->counts.from_octets);
		break;
	}
}

static void say(struct control *c, const struct session_event *e)
{
	json_t *const said = events_json(e);

	ctl_socket_tell(c->ctl, e->session, said);
	json_decref(said);
}

/* A leg has all its candidates at once: they are the data plane's own addresses. */
static void say_candidates(struct control *c, const struct session_event *of)
{
	struct session_event e = { .kind = SESSION_EVENT_CANDIDATE,
		                   .session = of->session,
		                   .leg = of->leg };
	struct session_leg_info *const l = malloc(sizeof(*l));

	if (l && session_leg(c->sessions, of->session, of->leg, l))
		for (unsigned i = 0; i < l->local->stream[0].n_candidates; i++) {
			e.candidate = l->local->stream[0].candidate[i];
			say(c, &e);
		}
	free(l);
}

/* The oldest were dropped: before those that are still there it is told how many. */
static void say_lost(struct control *c)
{
	const struct session_stat_name *names;
	const uint64_t *values;

	session_stats(c->sessions, &names, &values);
	const uint64_t n = values[SESSION_STAT_EVENTS_DROPPED] - c->events_lost;

	if (n == 0)
		return;
	c->events_lost += n;
	log_warning("session", "events-lost", "count=%llu", (unsigned long long)n);
	if (!c->ctl)
		return;
	json_t *const said = events_lost(n);

	ctl_socket_tell(c->ctl, 0, said);
	json_decref(said);
}

void world_tell(struct control *c)
{
	struct session_event e;

	say_lost(c);
	while (session_next_event(c->sessions, &e)) {
		write_log(&e);
		if (!c->ctl || !ctl_socket_listeners(c->ctl))
			continue;
		say(c, &e);
		if (e.kind == SESSION_EVENT_STATE && e.state == ICE_GATHERING)
			say_candidates(c, &e);
	}
}
