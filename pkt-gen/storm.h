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
	struct fleet *fleet;
	uint8_t macs[12]; /* towards the server */
	uint8_t lane;
};

/* NULL: no such storm, the known ones are printed. */
struct storm *storm_new(const char *name, const struct storm_field *field);
void storm_free(struct storm *s);
/* Does what is due; returns how much. */
unsigned storm_turn(struct storm *s, uint64_t now_ns);
/* A datagram to the storm's own addresses; false: not the storm's. */
bool storm_input(struct storm *s, uint64_t now_ns, const struct endpoint *at,
                 const struct endpoint *from, const void *octets, size_t len);
/* Fills everything but the media's figures. */
void storm_report(const struct storm *s, struct report_storm *out);
/* "name  help" lines. */
void storm_list(FILE *out);
