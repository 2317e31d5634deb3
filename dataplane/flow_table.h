/*
 * Inside of the flow table: what flow.c writes and the hot path reads inline. Everybody else uses
 * flow.h.
 *
 * A bucket is one line: eight tags, then the eight row indexes they stand for. A key may lie in two
 * buckets; the second follows from the first and the tag, so an entry can move without its key. The
 * key itself stands in the row and is compared there.
 *
 * Threads    As flow.h. Publication: index before tag (release); a reader that finds a tag whose
 *            row has another key just has not found anything there.
 */
#pragma once

#include <rte_prefetch.h>
#include <string.h>

#include "dataplane/flow.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { FLOW_WAYS = 8 };

struct flow_bucket {
	alignas(ABI_LINE) _Atomic uint32_t tag[FLOW_WAYS]; /* 0: empty */
	_Atomic uint32_t row[FLOW_WAYS];
};
static_assert(sizeof(struct flow_bucket) == ABI_LINE, "a bucket is one line");

/* What the writer knows of a row; never read by workers. */
struct flow_meta {
	uint64_t tag;
	uint32_t parent; /* allocation row; ROW_NONE: it is one itself, or a twin */
	uint32_t first_child;
	uint32_t epoch; /* of the last sync that set it */
	uint8_t kind;
	uint8_t state; /* enum flow_state */
	uint8_t generation;
	union {
		struct {               /* of a channel or permission */
			uint32_t twin; /* channel: its FLOW_BOUND_PEER row, TWIN_INLINE or ROW_NONE
			                */
			uint32_t next, prev; /* among the children of one allocation */
		};
		struct {                      /* of an allocation */
			uint64_t inline_free; /* grace period after which the inline peer may be
			                         set; 0 now */
			uint32_t deadline_s;  /* its own, while the row's is the inline peer's */
			uint32_t spilled;     /* how many FLOW_BOUND_PEER rows it has */
		};
	};
};
static_assert(sizeof(struct flow_meta) == 40, "there is one for each row");

enum flow_state { FLOW_FREE, FLOW_LIVE, FLOW_DYING };
#define TWIN_INLINE UINT32_C(0xFFFFFFFE)

struct flow_grave {
	uint64_t token, tag;
	uint32_t row;
	uint16_t adjacency;
};

struct flow_table {
	struct flow_bucket *buckets;
	uint64_t bucket_mask;
	uint64_t secret[4];
	struct row *rows;
	struct row_wide *wide;
	struct row_counts *foreign, *foreign_wide;
	struct flow_leg **leg;   /* of wide rows that are legs (flow_leg.h) */
	_Atomic uint32_t *ports; /* flow_port(); complement of the row, 0: none */
	uint32_t n_rows, n_wide;
	_Atomic uint32_t moves; /* displacements so far */

	/* The writer's. */
	alignas(ABI_LINE) struct rte_rcu_qsbr *qsbr;
	const struct local_table *local;
	struct flow_meta *meta; /* narrow rows, then wide ones */
	uint32_t *free, *free_wide;
	uint32_t n_free, n_free_wide; /* that were taken before */
	uint32_t fresh, fresh_wide;   /* the first that never was */
	struct flow_grave *grave;     /* queue, one place for each row and some */
	uint32_t n_grave, grave_head, grave_tail, n_let_go;
	uint32_t epoch, sweep;
	bool syncing;
	uint32_t used;
	size_t bucket_octets, port_octets;
};

/* --- keys and rows --- */

static inline uint64_t flow_fold(uint64_t a, uint64_t b)
{
	const unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/*
 * A key is three words. Where it is made and hashed at once the words stay in registers: octets
 * just written in small pieces are slow to read back as one.
 */
static inline __attribute__((always_inline)) uint64_t
flow_hash_words(const struct flow_table *t, uint64_t w0, uint64_t w1, uint64_t w2)
{
	const uint64_t h = flow_fold(w0 ^ t->secret[0], w1 ^ t->secret[1]);

	return flow_fold(h ^ w2 ^ t->secret[2], t->secret[3]);
}

static inline uint64_t flow_key_word(const struct flow_key *k, unsigned i)
{
	uint64_t w;

	memcpy(&w, (const uint8_t *)k + i * sizeof(w), sizeof(w));
	return w;
}

static inline uint64_t flow_hash(const struct flow_table *t, const struct flow_key *k)
{
	return flow_hash_words(t, flow_key_word(k, 0), flow_key_word(k, 1), flow_key_word(k, 2));
}

/* The last word of a key. */
static inline uint64_t flow_key_tail(uint16_t port, uint16_t channel, uint16_t listener,
                                     uint16_t kind)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return port | (uint64_t)channel << 16 | (uint64_t)listener << 32 | (uint64_t)kind << 48;
#else
	return kind | (uint64_t)listener << 16 | (uint64_t)channel << 32 | (uint64_t)port << 48;
#endif
}

/* Never 0. */
static inline uint32_t flow_tag(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1;
}

static inline uint64_t flow_other(const struct flow_table *t, uint64_t bucket, uint32_t tag)
{
	/* Odd, so never the same bucket, and its own inverse. */
	return (bucket ^ (tag * UINT64_C(0x9E3779B97F4A7C15) >> 20 | 1)) & t->bucket_mask;
}

static inline struct row *flow_at(const struct flow_table *t, uint32_t row)
{
	return row & ROW_WIDE ? &t->wide[row & ~ROW_WIDE].row : &t->rows[row];
}

static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	return ((flow_key_word(a, 0) ^ flow_key_word(b, 0)) |
	        (flow_key_word(a, 1) ^ flow_key_word(b, 1)) |
	        (flow_key_word(a, 2) ^ flow_key_word(b, 2))) == 0;
}

/* Key of a bound peer or a permission (port 0). `ip` has the 16-octet form. Returns its hash. */
static inline uint64_t flow_peer_hash(const struct flow_table *t, struct flow_key *k,
                                      const uint64_t ip[2], uint16_t port, uint32_t row,
                                      uint8_t generation, enum flow_kind kind)
{
	const uint64_t tail = flow_key_tail(port, (uint16_t)row, (uint16_t)(row >> 16),
	                                    (uint16_t)(kind | generation << 4));

	memcpy(k->ip, &ip[0], 8);
	memcpy(k->ip + 8, &ip[1], 8);
	memcpy(&k->port, &tail, 8);
	return flow_hash_words(t, ip[0], ip[1], tail);
}

/* The same from octets, for those in no hurry. */
static inline void flow_peer_key(struct flow_key *k, const void *ip, uint16_t port, uint32_t row,
                                 uint8_t generation, enum flow_kind kind)
{
	const uint64_t tail = flow_key_tail(port, (uint16_t)row, (uint16_t)(row >> 16),
	                                    (uint16_t)(kind | generation << 4));

	memcpy(k->ip, ip, 16);
	memcpy(&k->port, &tail, sizeof(tail));
}

static inline _Atomic uint32_t *flow_port(const struct flow_table *t, uint16_t relay, uint16_t port)
{
	return &t->ports[(uint32_t)relay << 16 | __builtin_bswap16(port)];
}

static inline uint32_t flow_port_row(const struct flow_table *t, uint16_t relay, uint16_t port)
{
	return ~atomic_load_explicit(flow_port(t, relay, port), memory_order_acquire);
}

/* --- looking up, in stages --- */

/* Bit i: tag i is `tag`. */
static inline unsigned flow_match(const struct flow_bucket *b, uint32_t tag)
{
#if defined(__AVX2__)
	const __m256i tags = _mm256_load_si256((const __m256i *)(const void *)b);
	const __m256i hit = _mm256_cmpeq_epi32(tags, _mm256_set1_epi32((int)tag));

	return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(hit));
#elif defined(__SSE2__)
	const __m128i *const tags = (const __m128i *)(const void *)b;
	const __m128i want = _mm_set1_epi32((int)tag);
	const __m128i low = _mm_cmpeq_epi32(_mm_load_si128(tags), want);
	const __m128i high = _mm_cmpeq_epi32(_mm_load_si128(tags + 1), want);

	return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(low)) |
	       (unsigned)_mm_movemask_ps(_mm_castsi128_ps(high)) << 4;
#else
	unsigned hit = 0;

	for (unsigned i = 0; i < FLOW_WAYS; i++)
		hit |= (unsigned)(atomic_load_explicit(&b->tag[i], memory_order_relaxed) == tag)
		       << i;
	return hit;
#endif
}

static inline void flow_prefetch_row(const struct flow_table *t, uint32_t row)
{
	const struct row *r = flow_at(t, row);

	__builtin_prefetch(r, 1); /* it will be counted in */
	if (row & ROW_WIDE)
		rte_prefetch0((const uint8_t *)r + ABI_LINE);
}

/* The row of an index, or NULL. */
static inline struct row *flow_row_or_null(const struct flow_table *t, uint32_t row)
{
	return row == ROW_NONE ? NULL : flow_at(t, row);
}

/* The index of a row that is one. */
static inline uint32_t flow_index(const struct flow_table *t, const struct row *r)
{
	const uintptr_t at = (uintptr_t)r - (uintptr_t)t->rows;

	if (at < (uintptr_t)t->n_rows * sizeof(struct row))
		return (uint32_t)(at / sizeof(struct row));
	return (uint32_t)(((uintptr_t)r - (uintptr_t)t->wide) / sizeof(struct row_wide)) | ROW_WIDE;
}

/* Where a key lies, if not in its other bucket; prefetched. */
static inline const struct flow_bucket *flow_home(const struct flow_table *t, uint64_t hash)
{
	const struct flow_bucket *const b = &t->buckets[hash & t->bucket_mask];

	rte_prefetch0(b);
	return b;
}

/*
 * The row that a key's home suggests, prefetched, or `none` with the other bucket prefetched. Only
 * flow_verify() makes an answer of it.
 */
static inline struct row *flow_candidate(const struct flow_table *t, const struct flow_bucket *b,
                                         uint64_t hash, struct row *none)
{
	const uint64_t hit = flow_match(b, flow_tag(hash));

	if (__builtin_expect(hit == 0, 0)) {
		rte_prefetch0(&t->buckets[flow_other(t, hash & t->bucket_mask, flow_tag(hash))]);
		return none;
	}
	const uint32_t row =
		atomic_load_explicit(&b->row[__builtin_ctzll(hit)], memory_order_acquire);
	struct row *const r = flow_at(t, row);

	__builtin_prefetch(r, 1); /* it will be counted in */
	if (row & ROW_WIDE)
		rte_prefetch0((const uint8_t *)r + ABI_LINE);
	return r;
}

/* The whole search, both buckets, again if something moved meanwhile. flow_table.c. */
uint32_t flow_search(const struct flow_table *t, const struct flow_key *key, uint64_t hash);

/* What is really there, given what flow_candidate() said. */
static inline struct row *flow_verify(const struct flow_table *t, const struct flow_key *key,
                                      uint64_t hash, struct row *r)
{
	if (__builtin_expect(r != NULL, 1) && __builtin_expect(flow_key_equal(&r->key, key), 1))
		return r;
	return flow_row_or_null(t, flow_search(t, key, hash));
}

/*
 * The key of `r` is `key`, behind which 8 octets more can be read: as a row's key and one in
 * struct item stand.
 */
static inline bool flow_key_is(const struct row *r, const struct flow_key *key)
{
#if defined(__AVX2__)
	const __m256i a = _mm256_load_si256((const __m256i *)(const void *)r);
	const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)key);

	return _mm256_testz_si256(_mm256_xor_si256(a, b), _mm256_set_epi64x(0, -1, -1, -1));
#else
	return flow_key_equal(&r->key, key);
#endif
}

/* --- counting --- */

/* Not the owner, or nobody is yet. flow.c. */
void flow_count_other(struct flow_table *t, uint32_t row, struct row *r, uint8_t worker,
                      uint32_t octets);

static inline void flow_count_inline(struct flow_table *t, struct row *r, uint8_t worker,
                                     uint32_t octets)
{
	if (__builtin_expect(atomic_load_explicit(&r->owner, memory_order_relaxed) != worker, 0)) {
		flow_count_other(t, flow_index(t, r), r, worker, octets);
		return;
	}
	abi_count(&r->counts.packets, 1);
	abi_count(&r->counts.octets, octets);
}

/* --- the writer's table (flow_table.c) --- */

/* false: no place even after displacing others; nothing changed. */
bool flow_insert(struct flow_table *t, const struct flow_key *key, uint32_t row);
/* The entry that names `old` names `row` from now on: one store. Both have that key. */
void flow_replace(struct flow_table *t, const struct flow_key *key, uint32_t old, uint32_t row);
void flow_remove(struct flow_table *t, const struct flow_key *key, uint32_t row);
/* Tables of n_keys at two thirds. */
bool flow_table_init(struct flow_table *t, uint32_t n_keys);
void flow_table_fini(struct flow_table *t);

/* --- the writer's rows (flow_rows.c) --- */

static inline struct flow_meta *flow_meta(struct flow_table *t, uint32_t row)
{
	return &t->meta[row & ROW_WIDE ? t->n_rows + (row & ~ROW_WIDE) : row];
}

bool flow_rows_init(struct flow_table *t);
void flow_rows_fini(struct flow_table *t);
/* A row with zero counts and a new generation, in no table yet; ROW_NONE: none is left. */
uint32_t flow_row_new(struct flow_table *t, bool wide);
/* Back at once: no reader has ever seen it. */
void flow_row_unused(struct flow_table *t, uint32_t row);
/* Back after the grace period; flow_reclaim() reports it with `tag`. */
void flow_row_bury(struct flow_table *t, uint32_t row, uint64_t tag);
/* An adjacency no row names any more goes back after the grace period. false: no room. */
bool flow_row_let_go(struct flow_table *t, uint16_t adjacency);
