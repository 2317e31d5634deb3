/*
 * The hot loop: paced sending of streams, checking what comes back. One engine a core; it owns a
 * slice of the streams and some queue pairs.
 *
 * What arrives without a stamp (ARP, STUN answers, strangers) goes to `other`, which consumes it.
 * Datagrams among them that carry data to us are counted as `stray` besides.
 *
 * Pace       Open loop: due times follow from the plan alone and are what stamps carry. Who comes
 *            late sends at once what is due, up to a burst a turn, and shifts nothing.
 *            Plan and profile without a rate: as fast as the ports take it, without loss on our
 *            side; what a port refuses waits.
 * Order      Uniform random over the streams that are not idle; or, for profiles of calls and with
 *            round_robin, one after the other in a fixed order, so that each stream sends at equal
 *            distances. A profile of calls sets the rate where the plan has none.
 * Judgement  In this order, one name for each frame: without stamp (other, stray), corrupted, late,
 *            checksum, misdelivered, duplicated; else received, perhaps reordered.
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

/* A queue pair. Buffers of the pool hold a frame and STAMP_OVERRUN octets behind it. */
struct lane {
	uint16_t ethdev, queue;
	struct rte_mempool *pool;
	bool software; /* frames may carry a partial checksum: completed before they are judged */
	/*
	 * A full queue is the receiver's, as with rings: what a paced plan finds no room for counts
	 * as sent, and so as lost. Else it is ours and counts as tx_full, and not as sent.
	 */
	bool full_is_loss;
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
	double pps;       /* of this engine; 0: see above */
	uint64_t packets; /* ends after so many; 0: by time alone */
	double seconds;   /* 0: by packets alone */
	struct profile profile;
	bool round_robin;   /* instead of uniform random order */
	bool check_payload; /* else the stamp only: neither sum nor body are made or looked at,
	                       checksums only where the family demands them */
	bool spin;          /* else sleeps where nothing is due (trial.c) */
};

struct engine;

/* `other` NULL: they are freed. NULL: no memory. */
struct engine *engine_new(struct streams *s, uint32_t first, uint32_t n, const struct lane *lanes,
                          unsigned n_lanes, engine_other *other, void *arg);
void engine_free(struct engine *e);

/* Tally, numbers and windows of its streams from zero. The clock starts with the first turn. */
void engine_start(struct engine *e, const struct engine_plan *plan);
/*
 * One turn: receive a burst from each lane, send what is due. false: the plan is done (keep calling
 * to receive what is under way). Without a plan it only receives.
 */
bool engine_turn(struct engine *e);
/* Frames received, sent or refused in the last turn: 0 is an idle one. */
unsigned engine_moved(const struct engine *e);
/* Sends ready frames of others (control traffic) by a lane, freeing what does not go. */
void engine_send(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n);
/*
 * The trial is over: what was not heard is lost. Both arrays of streams of this engine are read, so
 * all engines rest meanwhile.
 */
void engine_finish(struct engine *e);
const struct tally *engine_tally(const struct engine *e);
/* The counters as they are now; from any thread. */
struct tally engine_snapshot(const struct engine *e);
/* Nanoseconds until something is due; for sleeping. UINT64_MAX: nothing will be. */
uint64_t engine_next_ns(const struct engine *e);
/* What sending took so far, and what the plan and the streams come to (0: as fast as it goes). */
double engine_seconds(const struct engine *e);
double engine_pps(const struct engine *e);
/* Streams of it that are not idle. */
uint32_t engine_active(const struct engine *e);
