/*
 * The hot loop: paced sending of streams, checking what comes back. One engine a core; it owns a
 * slice of the streams and some queue pairs.
 *
 * What arrives without a stamp (ARP, STUN answers, strangers) goes to `other`, which consumes it.
 *
 * Threads    An engine belongs to the thread that calls engine_turn(). Between engine_start() and
 *            the end of the trial nobody else touches it; a snapshot of its tally may be read at
 *            any time (single words, no order).
 */
#pragma once

#include <rte_mbuf.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pkt-gen/profile.h"
#include "pkt-gen/stream.h"
#include "pkt-gen/tally.h"

enum { ENGINE_BURST = 64, ENGINE_LANES_MAX = 8 };

/* A queue pair. */
struct lane {
	uint16_t ethdev, queue;
	struct rte_mempool *pool;
	bool software; /* frames may carry a partial checksum: completed before they are judged */
};

/* Consumes n frames that carry no stamp of this run. */
typedef void engine_other(void *arg, unsigned lane, struct rte_mbuf **m, unsigned n);

/* All streams of the run; shared by all engines. */
struct streams {
	struct stream *out;
	struct heard *in;
	uint32_t n;
	uint32_t run; /* of stamps */
};

/* NULL: no memory. Zeroed; on hugepages where there are any. */
struct streams *streams_new(uint32_t n);
void streams_free(struct streams *s);
void streams_expect(struct streams *s, uint32_t stream, const struct stream_arrival *at);

struct engine_plan {
	double pps;       /* of this engine; 0: as fast as it goes */
	uint64_t packets; /* ends after so many; 0: by time alone */
	double seconds;
	struct profile profile;
	bool round_robin;   /* instead of uniform random order */
	bool check_payload; /* else the stamp only: sum and checksums are neither made nor looked at
	                     */
	bool spin;          /* else sleeps where nothing is due */
};

struct engine;

struct engine *engine_new(struct streams *s, uint32_t first, uint32_t n, const struct lane *lanes,
                          unsigned n_lanes, engine_other *other, void *arg);
void engine_free(struct engine *e);

void engine_start(struct engine *e, const struct engine_plan *plan);
/*
 * One turn: receive a burst from each lane, send what is due. false: the plan is done (keep calling
 * to receive what is under way). Without a plan it only receives.
 */
bool engine_turn(struct engine *e);
/* Sends ready frames of others (control traffic) by a lane, freeing what does not go. */
void engine_send(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n);
/* The trial is over: what was not heard is lost. Both arrays of streams of this engine are read. */
void engine_finish(struct engine *e);
const struct tally *engine_tally(const struct engine *e);
/* Nanoseconds until something is due; for sleeping. */
uint64_t engine_next_ns(const struct engine *e);
