/*
 * The control process as one event loop: punts, one timer, the data plane's socket, the control
 * socket. Whoever is called runs to completion in a bounded time.
 *
 * Life       loop_new() → loop_run() → loop_free(). The data plane may come and go meanwhile:
 *            while it is away it is looked for every 100 ms; on its return everything is set again.
 * Threads    One.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "control/install.h"
#include "control/intake.h"
#include "control/join.h"
#include "control/rates.h"
#include "control/session/session.h"
#include "control/stats.h"
#include "control/store.h"
#include "control/turn/turn.h"

struct ctl_socket;
struct event;
struct event_base;

enum { LOOP_COMMAND_LINES = 16384 /* 1 MiB of command ring */ };

enum loop_stop { LOOP_RUNS, LOOP_STOPS, LOOP_STOPS_KEEPING };

struct control {
	struct config *cfg;
	struct store *store;
	struct turn_server *turn;
	struct session_server *sessions; /* NULL: none are served */
	turn_random *random;

	struct event_base *base;
	struct event *link_event, *wake_event; /* of the join */
	struct event *timer_event;             /* the engine's deadline */
	struct event *more_event;   /* work was left over: go on after the other events */
	struct event *retry_event;  /* ring full, or no data plane: look again */
	struct event *second_event; /* rates, readiness */

	struct dp_link link;
	bool joined;
	bool syncing; /* turn_sync_step() has more */
	bool absence_told, ready_told;
	bool reload_owed; /* CMD_RELOAD found the ring full */
	struct install install;
	struct intake intake;
	struct ctl_socket *ctl;
	/* The client being answered asked for events; of one session, or 0: of all. */
	struct {
		bool asked;
		uint64_t session;
	} listen;
	uint64_t events_lost; /* of sessions, told so far */

	bool draining;
	enum loop_stop stop;
	uint64_t stop_progress_ms, stop_begun_ms;
	uint32_t stop_left;

	uint64_t started_ms;
	uint32_t lives; /* data planes joined so far */
	struct rates rates;
	struct control_stats stats;
};

/*
 * `cfg` belongs to the loop from now on (reload replaces it); store and engine are the caller's to
 * close. NULL: err says why.
 */
struct control *loop_new(struct config *cfg, struct store *store, struct turn_server *turn,
                         turn_random *random, struct config_error *err);
/* Until a signal or a command stops it. */
void loop_run(struct control *c);
void loop_free(struct control *c);

/* Carries out what the engine wants now and sets the timer anew: after any call into the engine. */
void loop_pump(struct control *c);

/* Reads the configuration again and tells the data plane to. false: err, the old one stays. */
bool loop_reload(struct control *c, struct config_error *err);
void loop_drain(struct control *c, bool on);
/* Ends the run: now, or when the last counts are booked. Only the first call counts. */
void loop_stop(struct control *c, enum loop_stop how);

uint64_t loop_now_ms(void);
uint32_t loop_wall_s(void);
