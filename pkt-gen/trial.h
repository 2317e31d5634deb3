/*
 * A trial: so many packets a second for so long over all engines, then a pause for what is under
 * way, then one tally. Everything that is measured is made of trials.
 *
 * Threads    Each engine runs in a thread of its own, from crew_new() to crew_free(), and receives
 *            between trials too. trial_run() is called by main and blocks. `tick` is called by main
 *            ten times a second. Engines are parked while main resets and reads them; nothing but
 *            one word is shared with them in a turn.
 * Sleeping   Without `spin`, an idle engine whose next packet is due in more than 100 us sleeps, up
 *            to 100 us at a time, and between trials up to a millisecond: so long what comes may
 *            wait. For latencies: spin.
 */
#pragma once

#include "pkt-gen/engine.h"

struct trial {
	double pps;     /* over all engines; 0: as fast as they go */
	double seconds; /* of sending */
	double drain_s; /* of waiting for what is under way, at most */
	const struct profile *profile;
	bool round_robin, check_payload, spin;
};

struct outcome {
	struct tally tally; /* latency is owned by the outcome: outcome_free() */
	double seconds;     /* that sending took, of the engine that took longest */
	double offered_pps; /* wanted; 0: as fast as it goes */
	double sent_pps, received_pps;
	bool generator_bound; /* it offered less than 0.995 of it: says nothing of the server */
};

struct crew; /* the engines and their threads */

/* `now`: counters only; in_flight is what is neither received nor known to be lost. */
typedef void crew_tick(void *arg, const struct tally *now, double seconds);
/* Called by engine 0's thread every turn: TAPs, netlink, TURN clients. Returns how much it did. */
typedef unsigned crew_chore(void *arg, uint64_t now_ns);

/* Core -1: not pinned. NULL: no thread, the reason logged. */
struct crew *crew_new(struct engine **engines, const int *cores, unsigned n, crew_chore *chore,
                      void *arg);
/* Stops and joins the threads. */
void crew_free(struct crew *c);
void crew_on_tick(struct crew *c, crew_tick *fn, void *arg);

/* The rate is shared out by streams that are not idle.
 * 0, or -EINTR after crew_interrupt(): the outcome is of what was done until then. */
int trial_run(struct crew *c, const struct trial *t, struct outcome *out);
void outcome_free(struct outcome *o);
/* From a signal handler. */
void crew_interrupt(struct crew *c);
