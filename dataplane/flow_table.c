/* The bucket table: search, insert with displacement, remove. */
#include "dataplane/flow_table.h"

#include <sys/mman.h>

#include "dataplane/local.h"

enum {
	FLOW_PATHS = 512,      /* buckets looked at for a free place before an insert fails */
	HUGE_OCTETS = 2 << 20, /* what is larger is worth a huge page */
};

static uint32_t search_bucket(const struct flow_table *t, const struct flow_bucket *b, uint32_t tag,
                              const struct flow_key *key)
{
	for (unsigned hit = flow_match(b, tag); hit; hit &= hit - 1) {
		const uint32_t row =
			atomic_load_explicit(&b->row[__builtin_ctz(hit)], memory_order_acquire);

		if (flow_key_equal(&flow_at(t, row)->key, key))
			return row;
	}
	return ROW_NONE;
}

uint32_t flow_search(const struct flow_table *t, const struct flow_key *key, uint64_t hash)
{
	const uint32_t tag = flow_tag(hash);
	const uint64_t first = hash & t->bucket_mask;
	const struct flow_bucket *const a = &t->buckets[first];
	const struct flow_bucket *const b = &t->buckets[flow_other(t, first, tag)];

	for (;;) {
		const uint32_t moves = atomic_load_explicit(&t->moves, memory_order_acquire);
		uint32_t row = search_bucket(t, a, tag, key);

		if (row == ROW_NONE)
			row = search_bucket(t, b, tag, key);
		if (row != ROW_NONE)
			return row;
		/* It may have gone from the second to the first while we went the other way. */
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&t->moves, memory_order_relaxed) == moves)
			return ROW_NONE;
	}
}

static unsigned free_way(const struct flow_bucket *b)
{
	const unsigned hit = flow_match(b, 0);

	return hit ? (unsigned)__builtin_ctz(hit) : FLOW_WAYS;
}

static void publish(struct flow_bucket *b, unsigned way, uint32_t tag, uint32_t row)
{
	atomic_store_explicit(&b->row[way], row, memory_order_release);
	atomic_store_explicit(&b->tag[way], tag, memory_order_release);
}

/* How a bucket was come to: by moving `way` of path[from] there. */
struct step {
	uint64_t bucket;
	uint16_t from, way;
};

/*
 * Makes a place in path[at] by moving along the path, last entry first, each copied to its new
 * place before the old one is cleared. Returns the bucket at its root and the free way in it.
 */
static uint64_t make_room(struct flow_table *t, const struct step *path, unsigned at, unsigned *way)
{
	unsigned to_way = free_way(&t->buckets[path[at].bucket]);

	while (path[at].from != at) {
		struct flow_bucket *const from = &t->buckets[path[path[at].from].bucket];
		struct flow_bucket *const to = &t->buckets[path[at].bucket];
		const unsigned w = path[at].way;

		publish(to, to_way, atomic_load_explicit(&from->tag[w], memory_order_relaxed),
		        atomic_load_explicit(&from->row[w], memory_order_relaxed));
		atomic_fetch_add_explicit(&t->moves, 1, memory_order_release);
		atomic_store_explicit(&from->tag[w], 0, memory_order_release);
		to_way = w;
		at = path[at].from;
	}
	*way = to_way;
	return path[at].bucket;
}

/* Breadth first: the shortest way to a free place. */
bool flow_insert(struct flow_table *t, const struct flow_key *key, uint32_t row)
{
	const uint64_t hash = flow_hash(t, key);
	const uint32_t tag = flow_tag(hash);
	const uint64_t first = hash & t->bucket_mask;
	struct step path[FLOW_PATHS];
	unsigned n = 2;

	path[0] = (struct step){ .bucket = first, .from = 0 };
	path[1] = (struct step){ .bucket = flow_other(t, first, tag), .from = 1 };
	for (unsigned i = 0; i < n; i++) {
		const struct flow_bucket *const b = &t->buckets[path[i].bucket];
		unsigned way;

		if (free_way(b) < FLOW_WAYS) {
			const uint64_t bucket = make_room(t, path, i, &way);

			publish(&t->buckets[bucket], way, tag, row);
			return true;
		}
		for (way = 0; way < FLOW_WAYS && n < FLOW_PATHS; way++) {
			const uint32_t moved =
				atomic_load_explicit(&b->tag[way], memory_order_relaxed);

			path[n++] = (struct step){ .bucket = flow_other(t, path[i].bucket, moved),
				                   .from = (uint16_t)i,
				                   .way = (uint16_t)way };
		}
	}
	return false;
}

/* Where `row` stands under its key. */
static struct flow_bucket *entry_of(struct flow_table *t, const struct flow_key *key, uint32_t row,
                                    unsigned *way)
{
	const uint64_t hash = flow_hash(t, key);
	const uint32_t tag = flow_tag(hash);
	uint64_t at = hash & t->bucket_mask;

	for (unsigned i = 0; i < 2; i++, at = flow_other(t, at, tag)) {
		struct flow_bucket *const b = &t->buckets[at];

		for (unsigned hit = flow_match(b, tag); hit; hit &= hit - 1) {
			*way = (unsigned)__builtin_ctz(hit);
			if (atomic_load_explicit(&b->row[*way], memory_order_relaxed) == row)
				return b;
		}
	}
	return NULL;
}

void flow_replace(struct flow_table *t, const struct flow_key *key, uint32_t old, uint32_t row)
{
	unsigned way;
	struct flow_bucket *const b = entry_of(t, key, old, &way);

	if (b)
		atomic_store_explicit(&b->row[way], row, memory_order_release);
}

void flow_remove(struct flow_table *t, const struct flow_key *key, uint32_t row)
{
	unsigned way;
	struct flow_bucket *const b = entry_of(t, key, row, &way);

	if (b)
		atomic_store_explicit(&b->tag[way], 0, memory_order_release);
}

/* Zeroed; on huge pages where there are any, for a lookup touches a page at random. */
static void *memory(size_t octets, bool now)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	if (octets >= HUGE_OCTETS && now) {
		void *huge = mmap(NULL, octets, prot, flags | MAP_HUGETLB | MAP_POPULATE, -1, 0);

		if (huge != MAP_FAILED)
			return huge;
	}
	void *p = mmap(NULL, octets, prot, flags, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (octets >= HUGE_OCTETS)
		(void)madvise(p, octets, MADV_HUGEPAGE);
	return p;
}

static size_t round_huge(size_t octets)
{
	return octets < HUGE_OCTETS ? octets : (octets + HUGE_OCTETS - 1) & -(size_t)HUGE_OCTETS;
}

bool flow_table_init(struct flow_table *t, uint32_t n_keys)
{
	uint64_t buckets = 4;

	while (buckets * FLOW_WAYS * 2 < (uint64_t)n_keys * 3)
		buckets *= 2;
	t->bucket_mask = buckets - 1;
	t->bucket_octets = round_huge(buckets * sizeof(*t->buckets));
	t->port_octets = round_huge((size_t)LOCAL_RELAYS_MAX * 65536 * sizeof(*t->ports));
	t->buckets = memory(t->bucket_octets, true);
	/* For every id there can be: a page is there once its relay has allocations. */
	t->ports = memory(t->port_octets, false);
	return t->buckets && t->ports;
}

void flow_table_fini(struct flow_table *t)
{
	if (t->buckets)
		munmap(t->buckets, t->bucket_octets);
	if (t->ports)
		munmap(t->ports, t->port_octets);
}
