/*
 * A worker: everything a packet core does, in the order it does it (worker.c). One burst goes
 * through in stages, each prefetching for the next; arrays stay dense.
 *
 * Threads    A struct worker belongs to its thread. Others reach it only through `inject` (service
 *            turn, SP/SC) and `foreign` (other workers, MP/SC).
 */
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "abi/ring.h"
#include "abi/stats.h"
#include "dataplane/dataplane.h"
#include "dataplane/port.h"
#include "nonce.h"

enum { WORKER_BURST = 64, WORKER_RANDOM = 4096, WORKER_INJECT_BUDGET = 64 };

enum { WORKER_RING = 1024, WORKER_SCRATCH = 2 * 65536 };

struct worker_tx {
	int queue; /* ours on that port, -1: through the owner's foreign ring */
	uint16_t n;
	struct rte_mbuf *m[WORKER_BURST];
};

struct worker {
	struct dataplane *dp;
	unsigned index;
	int core; /* -1: not pinned */
	struct {
		uint16_t port, queue;
	} rx[CONFIG_PORTS_MAX * 4];
	unsigned n_rx;
	struct worker_tx tx[CONFIG_PORTS_MAX];
	/* Finished frames; m->port is the port they leave by (index in dataplane.ports). */
	struct rte_ring *inject, *foreign;
	int wake_fd; /* eventfd; see worker_wake() */
	_Atomic uint32_t sleeping;

	struct stats *stats;             /* in region D */
	uint64_t now_ns;                 /* CLOCK_MONOTONIC of this loop */
	uint32_t now_s;                  /* the same in seconds, what deadlines are compared with */
	uint32_t wall_s;                 /* CLOCK_REALTIME, for nonces */
	const struct local_table *local; /* of this burst */
	unsigned serve;                  /* enum demux_serve */
	bool keep_ttl;                   /* IPv4 to IPv4: reset to 64 (TURN-134) */

	struct ring_writer punt;  /* to control; valid while dp->control_joined */
	struct answer *answer;    /* templates, realms, nonce keys: answer.h */
	struct limit *limit;      /* token buckets: limit.h */
	struct rte_mempool *pool; /* for frames this worker makes */

	uint8_t random[WORKER_RANDOM]; /* from OpenSSL, refilled when used up: Data transaction ids,
	                                  IP ids */
	unsigned random_left;
	uint16_t ip_id;  /* of the next IPv4 packet (TURN-131) */
	uint64_t secret; /* of flow labels, the same for all workers (TURN-137) */
	uint8_t *
		scratch; /* WORKER_SCRATCH octets: one datagram of 64 KiB and headers, for slow.c */
};

/*
 * After port_open_all() and the region: rings, eventfd, buckets, queues. 0 or -errno; on error
 * worker_fini() is still due.
 */
int worker_init(struct worker *w, struct dataplane *dp, unsigned index);
void worker_fini(struct worker *w);

/* From any thread, after something was put into w->inject or w->foreign, or dp->stop was set. */
void worker_wake(struct worker *w);

/* The loop, until dp->stop. Runs service_turn() too when the service turn has no core of its own.
 */
void worker_run(struct worker *w);

/*
 * One burst of frames as they came from `port`: every one is consumed, into w->tx, a ring, the
 * kernel or a named drop. No I/O of its own; the bench drives it without ports.
 */
void worker_burst(struct worker *w, const struct port *port, struct rte_mbuf **rx, unsigned n);

/*
 * Queues a finished frame for a port (or for its owner); flushes when full. Never fails: counts
 * what is lost, besides the outcome the frame already has. tx.c.
 */
void worker_send(struct worker *w, uint16_t port, struct rte_mbuf *m);
/* The same for several, in their order. */
void worker_send_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n);
void worker_flush(struct worker *w);

/* `n` unpredictable octets; at most WORKER_RANDOM. */
void worker_random(struct worker *w, void *out, unsigned n);

/* Frees and counts: the outcome of the frame. */
void worker_drop(struct worker *w, struct rte_mbuf *m, enum stat_id why);
