/* The ICE agent of the program: its timer, what it tells, what people are told. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "control/agent/agent.h"

enum { LOOK_MS = 500 };

uint64_t agent_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void agent_end(struct agent *g, int code)
{
	g->code = code;
	event_base_loopbreak(g->loop);
}

static void draw(void *arg, void *out, size_t n)
{
	(void)arg;
	if (getrandom(out, n, 0) != (ssize_t)n)
		abort(); /* no unpredictable octets, no credentials */
}

static void on_trace(void *arg, const struct ice_trace_record *r)
{
	struct agent *const g = arg;
	char line[1024];

	if (ice_trace_json(r, line, sizeof(line)))
		fprintf(g->trace, "%s\n", line);
}

/* --- for people --- */

static const char *const type_names[ICE_TYPES] = { "host", "reflexive", "reflexive", "relay" };

const char *session_path_text(const struct agent *g, char *out, size_t cap)
{
	const struct ice_selected *const s = &g->first;
	char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

	snprintf(out, cap, "%s %s -> %s %s", type_names[s->local.type],
	         endpoint_print(&s->local.at, from), type_names[s->remote.type],
	         endpoint_print(&s->remote.at, to));
	return out;
}

/* Why this path and no better one. */
static const char *why_path(const struct agent *g)
{
	const bool relay = g->first.local.type == ICE_RELAY || g->first.remote.type == ICE_RELAY;

	if (relay)
		return g->o.relay_only ? "as --policy relay says"
		                       : "no direct path answered, the relay carries it";
	if (g->first.local.type == ICE_HOST && g->first.remote.type == ICE_HOST)
		return "direct, nothing in between translates";
	return "direct, through NATs that both sides have opened";
}

static void on_selected(struct agent *g)
{
	char text[160];

	if (!ice_selected(g->ice, 0, 1, &g->first))
		return;
	g->lost_generation = ice_generation(g->ice);
	if (!g->connected)
		g->connect_ms = agent_now_ms() - g->remote_ms;
	fprintf(stderr, "turnpike-agent: %s in %" PRIu64 " ms: %s (%s)\n",
	        g->connected ? "path changed" : "connected",
	        g->connected ? agent_now_ms() - g->remote_ms : g->connect_ms,
	        session_path_text(g, text, sizeof(text)), why_path(g));
}

static void on_connected(struct agent *g)
{
	if (g->connected || g->finished)
		return;
	g->connected = true;
	if (g->o.stream)
		reliable_open(g);
	else
		lines_open(g);
}

/* A path that fails before the first connection is the end; afterwards a restart may heal it, and
 * ends by itself where nobody answers it. */
static void on_state(struct agent *g, enum ice_state state, enum ice_reason why)
{
	if (state == ICE_COMPLETED) {
		on_connected(g);
	} else if (state == ICE_DISCONNECTED && g->o.offer && g->connected) {
		fprintf(stderr,
		        "turnpike-agent: no answer for a while, looking for another path\n");
		session_restart(g);
	} else if (state == ICE_FAILED && !g->connected) {
		fprintf(stderr, "turnpike-agent: no path: %s\n", ice_reason_text(why));
		agent_end(g, 1);
	} else if (state == ICE_FAILED) {
		fprintf(stderr, "turnpike-agent: path lost: %s\n", ice_reason_text(why));
		if (ice_generation(g->ice) > g->lost_generation) /* a restart has failed too */
			agent_end(g, 0);
	}
}

void session_restart(struct agent *g)
{
	sockets_look(g);
	sockets_open(g);
	g->gathered = g->described = false;
	g->remote_ms = agent_now_ms();
	g->lost_generation = ice_generation(g->ice);
	rendezvous_await(g);
	ice_restart(g->ice, agent_now_ms());
}

/* --- running --- */

static void take(struct agent *g, const struct ice_event *e)
{
	switch (e->kind) {
	case ICE_EVENT_SEND: sockets_send(g, &e->datagram); break;
	case ICE_EVENT_GATHERED: g->gathered = true; break;
	case ICE_EVENT_SELECTED: on_selected(g); break;
	case ICE_EVENT_STATE: on_state(g, e->state, e->why); break;
	case ICE_EVENT_RESTART: session_restart(g); break;
	default: break;
	}
}

static void set_timer(struct agent *g)
{
	const uint64_t now = agent_now_ms(), next = ice_next_ms(g->ice);
	const uint64_t wait = next <= now ? 1 : next - now > 1000 ? 1000 : next - now;
	const struct timeval t = { .tv_sec = (time_t)(wait / 1000),
		                   .tv_usec = (suseconds_t)(wait % 1000 * 1000) };

	evtimer_add(g->timer, &t);
}

void session_run(struct agent *g)
{
	struct ice_event e;

	while (ice_poll(g->ice, agent_now_ms(), &e))
		take(g, &e);
	if (g->gathered && !g->described) {
		g->described = true;
		if (!rendezvous_write(g))
			agent_end(g, 1);
	}
	set_timer(g);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	session_run(arg);
}

/* ICE-012. */
static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct agent *const g = arg;

	(void)fd;
	(void)what;
	rendezvous_look(g);
	if (g->connected && sockets_look(g))
		session_run(g);
}

bool session_send(struct agent *g, const void *octets, size_t len)
{
	struct ice_datagram d;

	if (!ice_send(g->ice, agent_now_ms(), 0, 1, octets, len, &d))
		return false;
	sockets_send(g, &d);
	return true;
}

bool session_open(struct agent *g)
{
	const struct timeval look = { .tv_usec = LOOK_MS * 1000 };
	struct ice_config c = ice_defaults();

	c.controlling = g->o.offer;
	c.trickle = false; /* descriptions go over whole */
	c.policy = g->o.relay_only ? ICE_RELAY_ONLY : ICE_ALL;
	c.allow_loopback = g->o.loopback;
	c.random = draw;
	c.server = g->o.server;
	c.n_servers = g->o.n_servers;
	if (g->o.trace) {
		g->trace = fopen(g->o.trace, "we");
		if (!g->trace) {
			fprintf(stderr, "turnpike-agent: cannot write %s\n", g->o.trace);
			return false;
		}
		c.trace = on_trace;
		c.trace_arg = g;
	}
	g->ice = ice_new(&c, agent_now_ms());
	g->timer = evtimer_new(g->loop, on_timer, g);
	g->watch = event_new(g->loop, -1, EV_PERSIST, on_look, g);
	if (!g->ice || !g->timer || !g->watch || sockets_open(g) == 0) {
		fprintf(stderr, "turnpike-agent: no local address to begin from: bring an "
		                "interface up, or try --loopback\n");
		return false;
	}
	event_add(g->watch, &look);
	ice_gather(g->ice, agent_now_ms());
	return true;
}

/* Allocations are given back; a server that does not answer is not waited for. */
static void give_back(struct agent *g)
{
	const uint64_t until = agent_now_ms() + 500;
	struct ice_event e;

	ice_close(g->ice, agent_now_ms());
	while (agent_now_ms() < until && ice_next_ms(g->ice) != UINT64_MAX) {
		const struct timeval t = { .tv_usec = 20000 };

		while (ice_poll(g->ice, agent_now_ms(), &e))
			if (e.kind == ICE_EVENT_SEND)
				sockets_send(g, &e.datagram);
		event_base_loopexit(g->loop, &t);
		event_base_dispatch(g->loop);
	}
}

void session_close(struct agent *g)
{
	static char table[16384];

	if (!g->ice)
		return;
	if (g->o.explain) {
		ice_explain(g->ice, table, sizeof(table));
		fputs(table, stderr);
	}
	give_back(g);
	sockets_close(g);
	if (g->timer)
		event_free(g->timer);
	if (g->watch)
		event_free(g->watch);
	ice_free(g->ice);
	if (g->trace)
		fclose(g->trace);
}
