/*
 * A trial: so many packets a second for so long over all engines, then a pause for what is under
 * way, then one tally. Everything that is measured is made of trials.
 *
 * Threads    Engines run in threads of their own (or one of them in the caller's); trial_run() is
 *            called by main and blocks. `tick` is called by main ten times a second.
 */
#pragma once

#include "pkt-gen/engine.h"

struct trial {
	double pps;     /* over all engines; 0: as fast as they go */
	double seconds; /* of sending */
	double drain_s; /* of waiting for what is under way */
	const struct profile *profile;
	bool round_robin, check_payload, spin;
};

struct outcome {
	struct tally tally; /* latency is owned by the outcome: outcome_free() */
	double seconds;     /* that sending took */
	double offered_pps; /* wanted; 0: as fast as it goes */
	double sent_pps, received_pps;
	bool generator_bound; /* it could not offer what was wanted: says nothing of the server */
};

struct crew; /* the engines and their threads */

typedef void crew_tick(void *arg, const struct tally *now, double seconds);
/* Called by engine 0's thread every turn: TAPs, netlink, TURN clients. Returns how much it did. */
typedef unsigned crew_chore(void *arg, uint64_t now_ns);

struct crew *crew_new(struct engine **engines, const int *cores, unsigned n, crew_chore *chore,
                      void *arg);
/* Stops and joins the threads. */
void crew_free(struct crew *c);
void crew_on_tick(struct crew *c, crew_tick *fn, void *arg);

/* 0, or -EINTR after crew_interrupt(): the outcome is of what was done until then. */
int trial_run(struct crew *c, const struct trial *t, struct outcome *out);
void outcome_free(struct outcome *o);
/* From a signal handler. */
void crew_interrupt(struct crew *c);
