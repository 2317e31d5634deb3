/*
 * Storms: what a relay meets besides media. Each is one row of a table: a name, a line of help, and
 * the frames or fleet moves it makes; media runs beside it, measured before, during and after.
 *
 *   allocate    new allocations a second to a target count, with codes of the refused
 *   binding     a flood of Binding requests
 *   spoofed     unauthenticated Allocate requests from spoofed sources
 *   mutated     mutated packets of every kind, seeded
 *   churn       permissions and channels made anew all the time
 *   vanish      clients that go without a word, then come back
 *   scan        a port scan of the relayed range
 *
 * Addresses  A storm sends from the clients' addresses, by ports that are neither clients' nor
 *            peers' (apart.h), so its answers are known by where they arrive; `spoofed`, and `scan`
 *            where clients' addresses are peers' too, from the benchmark blocks 198.19.0.0/16 and
 *            2001:2::/48. What comes back to those is counted if the server's way to them is here.
 * Pace       Open loop: --storm-rate a second, 0 for the row's own; what a turn comes too late for
 *            by more than a tenth of a second is skipped and told.
 * Life       storm_new(), storm_turn() and storm_input() as often as there is time, storm_stop()
 *            at the end of the trial beside it, further turns until storm_done() (it takes down
 *            what it made), storm_report(), storm_judge(), storm_free().
 * Threads    A storm's turn runs in engine 0's thread, from its chore.
 */
#pragma once

#include "pkt-gen/engine.h"
#include "pkt-gen/fleet.h"
#include "pkt-gen/link.h"
#include "pkt-gen/report.h"

struct storm; /* one that runs */

/* What a storm works with. */
struct storm_field {
	const struct options *options;
	struct link *link;
	struct engine *engine; /* of the thread */
	struct fleet *fleet;   /* the media's, for where it is relayed; or NULL */
	uint8_t macs[12];      /* towards the server */
	uint8_t lane;
	struct rte_mempool *pool;    /* of that lane */
	const char *user, *password; /* as the media's fleet has them; NULL: the options' */
};

/* NULL: no such storm, the known ones are printed. */
struct storm *storm_new(const char *name, const struct storm_field *field);
void storm_free(struct storm *s);
/* Does what is due; returns how much. */
unsigned storm_turn(struct storm *s, uint64_t now_ns);
/* A datagram to the storm's own addresses; false: not the storm's. */
bool storm_input(struct storm *s, uint64_t now_ns, const struct endpoint *at,
                 const struct endpoint *from, const void *octets, size_t len);
/* No new load from here on; what stands is taken down by the turns that follow. */
void storm_stop(struct storm *s, uint64_t now_ns);
/* After storm_stop(): nothing is left to take down, or nobody answers any more. */
bool storm_done(const struct storm *s);
/* Fills everything but the media's figures. */
void storm_report(const struct storm *s, struct report_storm *out);
/* With the media's figures filled in: adds to out->said what happened to it. */
void storm_judge(struct report_storm *out);
/* "name  help" lines. */
void storm_list(FILE *out);
