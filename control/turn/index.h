/*
 * A hash index over numbered nodes: chained by number, sized once. Keys are the owner's; it hashes
 * them with index_hash() and compares them itself.
 *
 * Hash       SipHash-1-3 over whole words under a random key: keys hold what strangers choose.
 * Threads    One owner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { INDEX_NONE = 0xFFFFFFFF };

struct index {
	uint32_t *bucket; /* node + 1; 0: none, so that what is not used has no page */
	uint32_t *next;
	uint32_t mask;
	uint64_t key[2];
};

/* Room for nodes 0..n_nodes-1, buckets for n_usual of them. false: no memory. */
bool index_init(struct index *x, uint32_t n_nodes, uint32_t n_usual, const uint64_t key[2]);
void index_done(struct index *x);

uint64_t index_hash(const struct index *x, const uint64_t *words, unsigned n);

/* The hash will be looked for soon. */
static inline void index_prefetch(const struct index *x, uint64_t hash)
{
	__builtin_prefetch(&x->bucket[hash & x->mask]);
}

/* for (n = index_first(x, h); n != INDEX_NONE; n = index_after(x, n)): compare. */
static inline uint32_t index_first(const struct index *x, uint64_t hash)
{
	return x->bucket[hash & x->mask] - 1;
}

static inline uint32_t index_after(const struct index *x, uint32_t node)
{
	return x->next[node];
}

static inline void index_add(struct index *x, uint64_t hash, uint32_t node)
{
	x->next[node] = index_first(x, hash);
	x->bucket[hash & x->mask] = node + 1;
}

/* The node must be there, under that hash. */
void index_remove(struct index *x, uint64_t hash, uint32_t node);
