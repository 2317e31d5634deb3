/*
 * An engine in a loop: what it sends lands in one ring, a test does to it what it likes and puts it
 * into the other, from which the engine receives. Frames come back as they left, so streams are
 * expected where they were sent.
 *
 * Threads    One.
 */
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "pkt-gen/engine.h"
#include "tests/support.h"

enum { LOOP_RING = 1024, LOOP_MBUFS = 4095, LOOP_STREAMS = 12 };

struct loop {
	struct rte_mempool *pool;
	struct rte_ring *out, *back;
	uint16_t ethdev;
	struct streams *streams;
	struct engine *engine;
	struct lane lane;
	unsigned strangers; /* frames that went to `other` */
	unsigned in_pool;   /* free buffers at the start */
};

/* EAL once; ends the program on failure. */
void loop_start_eal(void);
/* A ring port of its own, in the name of test and number. */
void loop_open(struct loop *l, unsigned ring_octets);
/* Everything back; CHECKs that no buffer is lost. */
void loop_close(struct loop *l);
/* A stream: number i mod 6 says which wrapping and family. */
struct stream_leg loop_leg(unsigned i);

/* Sends n packets of `octets` as fast as it goes, nothing lost, and keeps them in `out`. */
unsigned loop_send(struct loop *l, unsigned n, unsigned octets, bool check);
/* Takes up to n of what was sent. */
unsigned loop_take(struct loop *l, struct rte_mbuf **m, unsigned n);
/* Gives frames back and lets the engine receive them. */
void loop_give(struct loop *l, struct rte_mbuf **m, unsigned n);
/* A copy of a frame, in a buffer of its own. */
struct rte_mbuf *loop_copy(struct loop *l, const struct rte_mbuf *m);
