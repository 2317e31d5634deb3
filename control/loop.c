#include "control/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/counts.h"
#include "control/ctl/socket.h"
#include "control/ready.h"
#include "control/world.h"
#include "log.h"

enum {
	INTAKE_BUDGET = 64,     /* records a ring and pump */
	INSTALL_BUDGET = 4096,  /* actions a pump */
	LEFTOVER_MAX = 1 << 16, /* punts read after a death: more than any ring holds */
	LOOK_MS = 100,          /* between looks for an absent data plane */
	REFUSED_MS = 1000,      /* and after one that would not have us */
	FULL_MS = 1,            /* between looks at a full ring */
	SETTLE_MS = 50,         /* until ready */
	SECOND_MS = 1000,
	STOP_STALL_MS = 1000, /* a stop waits no longer than this for the next acknowledgement, */
	STOP_MAX_MS = 10000,  /* and no longer than this in all */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t loop_now_ms(void)
{
	return now_ns() / 1000000;
}

uint32_t loop_wall_s(void)
{
	return (uint32_t)time(NULL);
}

static void arm(struct event *e, uint64_t ms)
{
	const struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
		                    .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	event_add(e, &tv);
}

/* --- what the data plane serves --- */

/* A private copy of a section's array: the shared one may change while it is read. */
static void *copy_section(const struct region *d, uint16_t kind, size_t size, uint32_t want,
                          unsigned *n)
{
	uint64_t octets = 0;
	const void *const from = region_section(d, kind, 0, &octets);
	void *to = NULL;

	*n = from && want <= octets / size ? want : (unsigned)(octets / size);
	if (*n)
		to = malloc(*n * size);
	if (!to)
		*n = 0;
	else
		memcpy(to, from, *n * size);
	return to;
}

static void read_tables(struct control *c)
{
	const struct life *const life = region_section(&c->link.d, SECTION_LIFE, 0, NULL);
	unsigned n_listeners, n_relays;
	struct abi_listener *const listeners =
		copy_section(&c->link.d, SECTION_LISTENERS, sizeof(*listeners),
	                     atomic_load(&life->n_listeners), &n_listeners);
	struct abi_relay *const relays = copy_section(&c->link.d, SECTION_RELAYS, sizeof(*relays),
	                                              atomic_load(&life->n_relays), &n_relays);

	turn_set_capacity(c->turn, atomic_load(&life->flows_max));
	turn_set_tables(c->turn, listeners, n_listeners, relays, n_relays, loop_now_ms());
	if (c->sessions)
		session_set_tables(c->sessions, relays, n_relays, loop_now_ms());
	free(listeners);
	free(relays);
}

static const char *const transports[] = {
	[TRANSPORT_UDP] = "udp",
	[TRANSPORT_TCP] = "tcp",
	[TRANSPORT_TLS] = "tls",
	[TRANSPORT_DTLS] = "dtls",
};

/* "udp:198.18.0.1:3478 udp:[fd00:18::1]:3478" */
static void print_listeners(const struct control *c, char *out, size_t cap)
{
	const struct life *const life = region_section(&c->link.d, SECTION_LIFE, 0, NULL);
	unsigned n;
	struct abi_listener *const l = copy_section(&c->link.d, SECTION_LISTENERS, sizeof(*l),
	                                            atomic_load(&life->n_listeners), &n);
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < n && len < cap; i++) {
		struct endpoint at = { .port = l[i].port };
		char text[ENDPOINT_TEXT_MAX];

		if (!l[i].live || l[i].transport < TRANSPORT_UDP || l[i].transport > TRANSPORT_DTLS)
			continue;
		memcpy(at.addr.ip, l[i].ip, sizeof(at.addr.ip));
		len += (size_t)snprintf(out + len, cap - len, "%s%s:%s", len ? " " : "",
		                        transports[l[i].transport], endpoint_print(&at, text));
	}
	free(l);
}

static void check_ready(struct control *c)
{
	if (c->ready_told || !c->joined || c->syncing || !c->intake.synced)
		return;
	const struct life *const life = region_section(&c->link.d, SECTION_LIFE, 0, NULL);
	char listeners[4096];

	if (!atomic_load_explicit(&life->ready, memory_order_acquire))
		return;
	c->ready_told = true;
	print_listeners(c, listeners, sizeof(listeners));
	log_info("relay", "ready", "listeners=\"%s\" allocations=%u", listeners,
	         turn_allocations(c->turn));
	ready_tell(listeners);
}

/* --- joining and losing the data plane --- */

static void on_wake(evutil_socket_t fd, short what, void *arg);
static void on_link(evutil_socket_t fd, short what, void *arg);

static void forget_events(struct control *c)
{
	if (c->link_event)
		event_free(c->link_event);
	if (c->wake_event)
		event_free(c->wake_event);
	c->link_event = c->wake_event = NULL;
}

static void joined(struct control *c)
{
	/* What still waits was meant for another life's ids; the sync says it anew. */
	while (install_run(&c->install, c->turn, INSTALL_BUDGET) == INSTALL_MORE)
		;
	c->joined = true;
	c->ready_told = c->reload_owed = false;
	c->lives++;
	c->stats.count[CONTROL_JOINS]++;
	intake_begin(&c->intake, c->link.punt, c->link.n_punt);
	counts_open(&c->link.d);
	c->install.ring = &c->link.command;
	c->wake_event = event_new(c->base, c->link.wake_fd, EV_READ | EV_PERSIST, on_wake, c);
	if (c->wake_event)
		event_add(c->wake_event, NULL);
	log_info("dataplane", "joined", "pid=%u generation=%016llx allocations=%u", c->link.pid,
	         (unsigned long long)c->link.d.generation, turn_allocations(c->turn));
	read_tables(c);
	turn_sync(c->turn, loop_now_ms());
	if (c->sessions)
		session_sync(c->sessions, loop_now_ms());
	c->syncing = true;
	c->absence_told = false;
	arm(c->second_event, SETTLE_MS);
}

/* Reads what was punted before the end, books the last counts and goes on without. */
static void lost(struct control *c)
{
	const bool was_joined = c->joined;

	forget_events(c);
	if (was_joined) {
		c->stats.count[CONTROL_HANGUPS]++;
		for (unsigned i = 0; i < LEFTOVER_MAX / INTAKE_BUDGET; i++) {
			const enum intake_result r = intake_run(&c->intake, c->turn, INTAKE_BUDGET,
			                                        now_ns(), loop_wall_s());

			if (r == INTAKE_EMPTY || r == INTAKE_BROKEN)
				break;
		}
		turn_on_hangup(c->turn, loop_now_ms());
		if (c->sessions)
			session_on_hangup(c->sessions, loop_now_ms());
	}
	counts_open(NULL);
	intake_begin(&c->intake, NULL, 0);
	c->install.ring = NULL;
	c->joined = c->syncing = false;
	while (install_run(&c->install, c->turn, INSTALL_BUDGET) == INSTALL_MORE)
		;
	arm(c->retry_event, LOOK_MS);
}

static void let_go(struct control *c, const char *why)
{
	log_error("dataplane", "disconnected", "pid=%u reason=\"%s\"", c->link.pid, why);
	join_link_hang_up(&c->link, why);
	lost(c);
}

static void on_link(evutil_socket_t fd, short what, void *arg)
{
	struct control *const c = arg;

	(void)fd, (void)what;
	switch (join_link_poll(&c->link, loop_now_ms())) {
	case LINK_NONE: return;
	case LINK_JOINED: joined(c); break;
	case LINK_REFUSED:
		c->stats.count[CONTROL_JOINS_REFUSED]++;
		if (!c->absence_told)
			log_error("dataplane", "refused", "reason=\"%s\" retry_ms=%d",
			          c->link.reason, REFUSED_MS);
		c->absence_told = true;
		lost(c);
		arm(c->retry_event, REFUSED_MS);
		break;
	case LINK_LEFT:
		log_warning("dataplane", "left", "pid=%u reason=\"%s\"", c->link.pid,
		            c->link.reason);
		lost(c);
		break;
	}
	loop_pump(c);
}

/* Looks for a data plane; one line the first time there is none. */
static void look(struct control *c)
{
	struct dp_link link;
	char path[128];
	int rc = -ENAMETOOLONG;

	if (config_run_path(c->cfg, "dataplane.sock", path, sizeof(path)))
		rc = join_link_open(&link, path, LOOP_COMMAND_LINES, false, loop_now_ms());
	if (rc == 0) {
		join_link_close(&c->link);
		c->link = link;
		c->link_event = event_new(c->base, join_link_fd(&c->link), EV_READ | EV_PERSIST,
		                          on_link, c);
		if (c->link_event)
			event_add(c->link_event, NULL);
	} else if (!c->absence_told) {
		c->absence_told = true;
		log_info("dataplane", "absent", "socket=%s reason=\"%s\" retry_ms=%d do=\"%s\"",
		         path, strerror(-rc), LOOK_MS,
		         rc == -EACCES ? "put this user into the group of the socket"
		                       : "start turnpike-dataplane; everything waits for it");
	}
	arm(c->retry_event, LOOK_MS);
}

/* --- pumping --- */

static void stop_progress(struct control *c, enum install_result idle)
{
	const uint64_t now_ms = loop_now_ms();
	const uint32_t left =
		turn_ending(c->turn) + (c->sessions ? session_ending(c->sessions) : 0);

	if (left != c->stop_left) {
		c->stop_left = left;
		c->stop_progress_ms = now_ms;
	}
	if (left == 0 && idle == INSTALL_IDLE) {
		event_base_loopbreak(c->base);
		return;
	}
	if (!c->joined || now_ms - c->stop_progress_ms > STOP_STALL_MS ||
	    now_ms - c->stop_begun_ms > STOP_MAX_MS) {
		if (c->joined)
			log_warning("relay", "stop", "unacknowledged=%u counts=\"as last seen\"",
			            left);
		turn_on_hangup(c->turn, now_ms);
		if (c->sessions)
			session_on_hangup(c->sessions, now_ms);
		c->install.ring = NULL;
		while (install_run(&c->install, c->turn, INSTALL_BUDGET) == INSTALL_MORE)
			;
		event_base_loopbreak(c->base);
		return;
	}
	arm(c->retry_event, FULL_MS * 10);
}

static void set_timer(struct control *c)
{
	const uint64_t now_ms = loop_now_ms();
	uint64_t due_ms = turn_deadline_ms(c->turn);

	if (c->sessions && session_deadline_ms(c->sessions) < due_ms)
		due_ms = session_deadline_ms(c->sessions);

	if (due_ms == UINT64_MAX)
		event_del(c->timer_event);
	else
		arm(c->timer_event, due_ms > now_ms ? due_ms - now_ms : 0);
}

void loop_pump(struct control *c)
{
	enum intake_result in = INTAKE_EMPTY;

	if (c->joined)
		in = intake_run(&c->intake, c->turn, INTAKE_BUDGET, now_ns(), loop_wall_s());
	if (in == INTAKE_TABLES)
		read_tables(c);
	if (in == INTAKE_BROKEN) {
		let_go(c, "a punt record that cannot be");
		in = INTAKE_EMPTY;
	}
	if (c->syncing && turn_sync_step(c->turn, loop_now_ms()))
		c->syncing = false;
	if (c->reload_owed)
		c->reload_owed = !install_command(&c->install, CMD_RELOAD, NULL, 0);
	const enum install_result out = install_run(&c->install, c->turn, INSTALL_BUDGET);

	if (out == INSTALL_BROKEN)
		let_go(c, "a command ring position that cannot be");
	if (c->stop == LOOP_STOPS)
		stop_progress(c, out);
	if (out == INSTALL_FULL)
		arm(c->retry_event, FULL_MS);
	if (in != INTAKE_EMPTY || out == INSTALL_MORE || (c->syncing && out != INSTALL_FULL) ||
	    (c->joined && !join_link_sleep(&c->link)))
		event_active(c->more_event, EV_TIMEOUT, 1);
	if (c->sessions)
		world_tell(c);
	set_timer(c);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct control *const c = arg;

	(void)fd, (void)what;
	join_link_awake(&c->link);
	loop_pump(c);
}

static void on_more(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	loop_pump(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct control *const c = arg;

	(void)fd, (void)what;
	turn_on_time(c->turn, loop_now_ms(), loop_wall_s());
	if (c->sessions)
		session_on_time(c->sessions, loop_now_ms());
	loop_pump(c);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct control *const c = arg;

	if (!c->joined && c->link_event)
		on_link(fd, what, c); /* bounds the wait for an answer */
	else if (!c->joined && c->stop == LOOP_RUNS)
		look(c);
	else
		loop_pump(c);
	if (!c->joined)
		arm(c->retry_event, LOOK_MS);
}

/* --- once a second --- */

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	struct control *const c = arg;

	(void)fd, (void)what;
	check_ready(c);
	rates_sample(&c->rates, &c->link, loop_now_ms());
	arm(c->second_event, c->joined && !c->ready_told ? SETTLE_MS : SECOND_MS);
}

/* --- operators --- */

/* What a running process cannot change. */
static void warn_fixed(const struct config *old, const struct config *new)
{
	if (strcmp(old->run_dir, new->run_dir) != 0)
		log_warning("config", "fixed", "setting=run-dir do=\"restart to move it\"");
	if (old->limit_allocations < new->limit_allocations)
		log_warning("config", "fixed",
		            "setting=limits.allocations do=\"restart for a larger store\"");
	if (old->limit_legs != new->limit_legs)
		log_warning("config", "fixed",
		            "setting=limits.legs do=\"restart for another number of legs\"");
}

bool loop_reload(struct control *c, struct config_error *err)
{
	struct config *const new = config_load(c->cfg->path, CONFIG_ALL, err);

	if (!new || !turn_reload(c->turn, new, err)) {
		c->stats.count[CONTROL_RELOADS_FAILED]++;
		log_error("config", "refused", "reason=\"%s\" kept=\"the one before\"", err->text);
		config_free(new);
		return false;
	}
	struct config *const old = c->cfg;

	warn_fixed(old, new);
	free(new->run_dir); /* sockets and store stay where they are */
	new->run_dir = old->run_dir;
	old->run_dir = NULL;
	c->cfg = new;
	if (new->log_level != old->log_level)
		log_set_level(new->log_level);
	config_free(old);
	c->stats.count[CONTROL_RELOADS]++;
	c->reload_owed = c->joined;
	log_info("config", "reloaded", "file=%s", new->path);
	loop_pump(c);
	return true;
}

void loop_drain(struct control *c, bool on)
{
	c->draining = on;
	turn_set_drain(c->turn, on);
	log_info("relay", on ? "draining" : "serving", "allocations=%u", turn_allocations(c->turn));
}

void loop_stop(struct control *c, enum loop_stop how)
{
	if (c->stop != LOOP_RUNS)
		return;
	c->stop = how;
	log_info("relay", "stopping", "keep=%s allocations=%u",
	         how == LOOP_STOPS_KEEPING ? "yes" : "no", turn_allocations(c->turn));
	ready_tell_stopping();
	if (how == LOOP_STOPS_KEEPING) {
		event_base_loopexit(c->base, NULL); /* after the events of this turn */
		return;
	}
	turn_set_drain(c->turn, true);
	turn_end_all(c->turn, END_STOPPED, loop_now_ms());
	if (c->sessions)
		session_end_all(c->sessions, loop_now_ms());
	c->stop_begun_ms = c->stop_progress_ms = loop_now_ms();
	event_active(c->more_event, EV_TIMEOUT, 1);
}

static void on_signal(evutil_socket_t signal, short what, void *arg)
{
	struct control *const c = arg;
	struct config_error err;

	(void)what;
	switch (signal) {
	case SIGHUP:
		loop_reload(c, &err); /* it has logged what was wrong */
		break;
	case SIGUSR1: loop_drain(c, true); break;
	default: loop_stop(c, LOOP_STOPS);
	}
}

/* --- life --- */

static const int signals[] = { SIGHUP, SIGUSR1, SIGTERM, SIGINT };
enum { N_SIGNALS = sizeof(signals) / sizeof(signals[0]) };
static struct event *signal_events[N_SIGNALS];

static bool watch_signals(struct control *c)
{
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < N_SIGNALS; i++) {
		signal_events[i] = evsignal_new(c->base, signals[i], on_signal, c);
		if (!signal_events[i] || event_add(signal_events[i], NULL) < 0)
			return false;
	}
	return true;
}

static bool make_events(struct control *c)
{
	struct {
		struct event **event;
		event_callback_fn call;
	} const timers[] = {
		{ &c->timer_event, on_timer },
		{ &c->more_event, on_more },
		{ &c->retry_event, on_retry },
		{ &c->second_event, on_second },
	};

	c->base = event_base_new();
	if (!c->base)
		return false;
	for (unsigned i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
		*timers[i].event = evtimer_new(c->base, timers[i].call, c);
		if (!*timers[i].event)
			return false;
	}
	return watch_signals(c);
}

struct control *loop_new(struct config *cfg, struct store *store, struct turn_server *turn,
                         turn_random *random, struct config_error *err)
{
	struct control *const c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->cfg = cfg;
	c->store = store;
	c->turn = turn;
	c->install.stats = c->intake.stats = &c->stats;
	c->started_ms = loop_now_ms();
	c->random = random;
	turn_set_counts(turn, counts_read);
	c->sessions = c->intake.sessions = world_sessions(c);
	if (!make_events(c)) {
		snprintf(err->text, sizeof(err->text), "no event loop: %s", strerror(errno));
		loop_free(c);
		return NULL;
	}
	c->ctl = ctl_socket_new(c, err);
	if (!c->ctl) {
		loop_free(c);
		return NULL;
	}
	return c;
}

void loop_run(struct control *c)
{
	look(c);
	arm(c->second_event, SECOND_MS);
	set_timer(c);
	event_base_dispatch(c->base);
	/* Whoever asked for the stop is told, and sees the end by the hang-up. */
	ctl_socket_free(c->ctl);
	c->ctl = NULL;
}

void loop_free(struct control *c)
{
	struct event *const timers[] = { c->timer_event, c->more_event, c->retry_event,
		                         c->second_event };

	if (c->ctl)
		ctl_socket_free(c->ctl);
	forget_events(c);
	for (unsigned i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
		if (timers[i])
			event_free(timers[i]);
	for (unsigned i = 0; i < N_SIGNALS; i++) {
		if (signal_events[i])
			event_free(signal_events[i]);
		signal_events[i] = NULL;
	}
	counts_open(NULL);
	session_server_free(c->sessions);
	join_link_close(&c->link);
	if (c->base)
		event_base_free(c->base);
	config_free(c->cfg);
	free(c);
}
