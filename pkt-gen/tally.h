/*
 * What became of everything that was sent. Each fault has one name, and the sum closes:
 *
 *   sent = received + lost + in_flight
 *
 * `received` counts each packet once, at its right receiver with its right octets. A duplicate, a
 * packet that was corrupted, one that reached another flow are each counted under their own name
 * and are no reception: their original is lost unless it comes too.
 *
 * Threads    Each engine has its own; tally_add() when they rest.
 */
#pragma once

#include <stdint.h>

#include "pkt-gen/histogram.h"

/* name, what it says. One list for counting, JSON, live view and report. */
#define TALLY_LIST(X)                                                             \
	X(sent, "left by a port")                                                 \
	X(received, "came whole to where they belong")                            \
	X(lost, "never came")                                                     \
	X(in_flight, "sent so late that they may still come")                     \
	X(duplicated, "came again")                                               \
	X(reordered, "came behind a later one of their stream")                   \
	X(corrupted, "came with other octets than they left with")                \
	X(misdelivered, "came to another flow or in another wrapping")            \
	X(checksum, "came with a wrong IP or UDP checksum")                       \
	X(late, "came after the trial they belong to, or 128 behind")             \
	X(stray, "came without a stamp of this run")                              \
	X(tx_full, "could not be sent: the port was full")                        \
	X(behind, "left later than a tenth of a millisecond after they were due") \
	X(octets_sent, "octets of payload sent")                                  \
	X(octets_received, "octets of payload received")

struct tally {
#define X(name, what) uint64_t name;
	TALLY_LIST(X)
#undef X
	struct histogram *latency; /* from due to received */
};

void tally_clear(struct tally *t);
void tally_add(struct tally *to, const struct tally *from);
/* 0 if the sum closes, else by how much it does not. */
int64_t tally_gap(const struct tally *t);
/* lost / (sent - in_flight); 0 if nothing was sent. */
double tally_loss(const struct tally *t);
