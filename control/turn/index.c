/* Chained hash index by node number. */
#include "control/memory.h"
#include "control/turn/index.h"

bool index_init(struct index *x, uint32_t n_nodes, uint32_t n_usual, const uint64_t key[2])
{
	uint32_t n_buckets = 64;

	while (n_buckets < n_usual && n_buckets < UINT32_C(1) << 30)
		n_buckets *= 2;
	x->bucket = memory_array(n_buckets, sizeof(*x->bucket));
	x->next = memory_array(n_nodes, sizeof(*x->next));
	x->mask = n_buckets - 1;
	x->key[0] = key[0];
	x->key[1] = key[1];
	if (x->bucket == NULL || x->next == NULL) {
		index_done(x);
		return false;
	}
	return true;
}

void index_done(struct index *x)
{
	memory_free(x->bucket);
	memory_free(x->next);
	x->bucket = x->next = NULL;
}

static inline uint64_t rotl(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t index_hash(const struct index *x, const uint64_t *words, unsigned n)
{
	uint64_t v[4] = {
		x->key[0] ^ UINT64_C(0x736f6d6570736575),
		x->key[1] ^ UINT64_C(0x646f72616e646f6d),
		x->key[0] ^ UINT64_C(0x6c7967656e657261),
		x->key[1] ^ UINT64_C(0x7465646279746573),
	};
	const uint64_t last = (uint64_t)(n * 8) << 56;

	for (unsigned i = 0; i <= n; i++) {
		const uint64_t w = i < n ? words[i] : last;

		v[3] ^= w;
		sip_round(v);
		v[0] ^= w;
	}
	v[2] ^= 0xFF;
	for (unsigned i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void index_remove(struct index *x, uint64_t hash, uint32_t node)
{
	uint32_t n = index_first(x, hash);

	if (n == node) {
		x->bucket[hash & x->mask] = x->next[node] + 1;
		return;
	}
	while (x->next[n] != node)
		n = x->next[n];
	x->next[n] = x->next[node];
}
