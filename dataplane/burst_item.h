/*
 * What the stages of a burst (burst.c) hand on to each other. Inside of the hot code.
 */
#pragma once

#include "dataplane/relay.h"

/* A function of its own keeps its registers; the usual ones pay a call for that. */
#define APART __attribute__((noinline))
#define COLD __attribute__((noinline, cold))
#define ALWAYS inline __attribute__((always_inline))

/* One frame, in lines: the first two are all that a channel's frame needs. */
struct item {
	alignas(ABI_LINE) struct parsed p;
	uint64_t hash;
	struct rte_mbuf *m;
	struct row *r; /* the client's, or that of the relayed port, probably. NULL: none, once that
	                  is sure */
	union {
		const struct flow_bucket *home; /* of the client's */
		const _Atomic uint32_t *entry;  /* PATH_PEER: of the port table */
	};
	uint16_t channel; /* PATH_PEER: of the inline peer; 0: not that one */
	uint8_t second;   /* enum second: looked up besides */
	/* The permission, and the peer bound in a row of its own. PATH_LEG: where it goes. */
	struct row *r2, *r3;
	const struct flow_bucket *home2, *home3;
	uint64_t hash2;
	struct flow_key key2, key3; /* flow_key_is() reads what is behind */
	uint64_t hash3;
};
static_assert(sizeof(struct item) == 3 * ABI_LINE && offsetof(struct item, second) < 2 * ABI_LINE,
              "an odd number of lines spreads over the cache");

/* SECOND_NO_ROW: there is nothing to look up for. */
enum second {
	SECOND_NONE,
	SECOND_PERMISSION = 1,
	SECOND_BOUND = 2,
	SECOND_NO_ROW = 4,
	SECOND_LEG = 8, /* `entry` is that of the leg it goes to */
};

struct burst {
	struct fast_frame4 want; /* of this port */
	struct worker *w;
	const struct port *port;
	struct flow_table *flows;
	const struct local_table *local;
	const struct adjacency *adjacency;
	unsigned n;
	uint32_t now_s;
	uint8_t worker;
	uint16_t out_port;            /* where out[] leaves */
	bool first, more, second_due; /* some have a row; more to ask; a second look-up */
	struct rte_mbuf *out[WORKER_BURST];
	struct item item[WORKER_BURST + 1]; /* one more to end at: of no path that is relayed */
};

static inline bool burst_expired(const struct burst *b, const struct row *r)
{
	return b->now_s >= atomic_load_explicit(&r->deadline_s, memory_order_relaxed);
}

/* The long way, for few. */
static COLD struct row *burst_search(const struct burst *b, const struct flow_key *key,
                                     const uint64_t *hash)
{
	return flow_row_or_null(b->flows, flow_search(b->flows, key, *hash));
}

/* What is really there, given what flow_candidate() said. The key stands in an item. */
static ALWAYS struct row *burst_found(const struct burst *b, struct row *r,
                                      const struct flow_key *key, const uint64_t *hash)
{
	if (__builtin_expect(flow_key_is(r, key), 1))
		return r;
	return burst_search(b, key, hash);
}
