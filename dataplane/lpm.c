/* Prefixes in a hash, lengths in a count. */
#include <stdlib.h>

#include "dataplane/lpm.h"

enum { NONE = 0, LENGTHS = 129, FIRST4 = 96 };

struct node {
	struct lpm_route route;
	uint32_t next; /* in its bucket or in the free list; index + 1, 0 ends */
};

struct lpm {
	struct node *node;
	uint32_t *bucket;
	uint32_t n_buckets; /* power of two */
	uint32_t max, used, fresh, free;
	uint32_t count4[LENGTHS], count6[LENGTHS];
};

struct addr lpm_mask(const struct addr *a, unsigned len)
{
	struct addr out = *a;

	for (unsigned i = 0; i < 16; i++) {
		const unsigned bits = len < 8 * i ? 0 : len - 8 * i >= 8 ? 8 : len - 8 * i;

		out.ip[i] &= (uint8_t) ~(0xFFu >> bits);
	}
	return out;
}

static uint32_t *bucket_of(const struct lpm *t, const struct addr *a, unsigned len)
{
	uint64_t half[2], h;

	memcpy(half, a->ip, sizeof(half));
	h = (half[0] ^ (half[1] << 32 | half[1] >> 32) ^ len) * UINT64_C(0x9E3779B97F4A7C15);
	h ^= (half[1] ^ h >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
	h ^= h >> 32;
	return &t->bucket[h & (t->n_buckets - 1)];
}

/* IPv6's lengths are counted apart: ::/0 says nothing about IPv4. */
static uint32_t *count_of(struct lpm *t, const struct prefix *p)
{
	return p->len >= FIRST4 && addr_is4(&p->addr) ? &t->count4[p->len] : &t->count6[p->len];
}

struct lpm *lpm_new(unsigned max)
{
	struct lpm *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->max = max;
	for (t->n_buckets = 64; t->n_buckets < max; t->n_buckets *= 2)
		;
	t->node = calloc(max, sizeof(*t->node));
	t->bucket = calloc(t->n_buckets, sizeof(*t->bucket));
	if (t->node != NULL && t->bucket != NULL)
		return t;
	lpm_free(t);
	return NULL;
}

void lpm_free(struct lpm *t)
{
	if (t == NULL)
		return;
	free(t->node);
	free(t->bucket);
	free(t);
}

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

static bool same_route(const struct lpm_route *a, const struct lpm_route *b)
{
	return same_prefix(&a->prefix, &b->prefix) && a->metric == b->metric &&
	       a->link == b->link && a->has_via == b->has_via &&
	       (!a->has_via || addr_equal(&a->via, &b->via));
}

static uint32_t *find_link(struct lpm *t, const struct lpm_route *r)
{
	uint32_t *at = bucket_of(t, &r->prefix.addr, r->prefix.len);

	while (*at != NONE && !same_route(&t->node[*at - 1].route, r))
		at = &t->node[*at - 1].next;
	return at;
}

bool lpm_set(struct lpm *t, const struct lpm_route *r)
{
	uint32_t *at = find_link(t, r), new;

	if (*at != NONE) {
		t->node[*at - 1].route = *r;
		return true;
	}
	if (t->free != NONE) {
		new = t->free;
		t->free = t->node[new - 1].next;
	} else if (t->fresh < t->max) {
		new = ++t->fresh;
	} else {
		return false;
	}
	t->node[new - 1] = (struct node){ .route = *r };
	*at = new; /* the last of its chain: of equal metrics the older route wins */
	t->used++;
	++*count_of(t, &r->prefix);
	return true;
}

static void unlink_at(struct lpm *t, uint32_t *at)
{
	const uint32_t old = *at;
	struct node *n = &t->node[old - 1];

	--*count_of(t, &n->route.prefix);
	*at = n->next;
	n->next = t->free;
	t->free = old;
	t->used--;
}

bool lpm_remove(struct lpm *t, const struct lpm_route *r)
{
	uint32_t *at = find_link(t, r);

	if (*at == NONE)
		return false;
	unlink_at(t, at);
	return true;
}

void lpm_remove_all(struct lpm *t, const struct prefix *prefix, uint32_t metric)
{
	uint32_t *at = bucket_of(t, &prefix->addr, prefix->len);

	while (*at != NONE) {
		const struct lpm_route *r = &t->node[*at - 1].route;

		if (r->metric == metric && same_prefix(&r->prefix, prefix))
			unlink_at(t, at);
		else
			at = &t->node[*at - 1].next;
	}
}

const struct lpm_route *lpm_find(const struct lpm *t, const struct addr *dest, unsigned longest)
{
	const bool ip4 = addr_is4(dest);
	const uint32_t *count = ip4 ? t->count4 : t->count6;
	const int first = ip4 ? FIRST4 : 0;

	for (int len = (int)longest; len >= first; len--) {
		const struct lpm_route *best = NULL;
		struct prefix p = { .len = (uint8_t)len };

		if (count[len] == 0)
			continue;
		p.addr = lpm_mask(dest, (unsigned)len);
		for (uint32_t i = *bucket_of(t, &p.addr, p.len); i != NONE;
		     i = t->node[i - 1].next) {
			const struct lpm_route *r = &t->node[i - 1].route;

			if (same_prefix(&r->prefix, &p) &&
			    (best == NULL || r->metric < best->metric))
				best = r;
		}
		if (best != NULL)
			return best;
	}
	return NULL;
}

unsigned lpm_sweep(struct lpm *t, uint8_t generation)
{
	unsigned n = 0;

	for (uint32_t b = 0; b < t->n_buckets && t->used > 0; b++)
		for (uint32_t *at = &t->bucket[b]; *at != NONE;) {
			if (t->node[*at - 1].route.generation == generation) {
				at = &t->node[*at - 1].next;
				continue;
			}
			unlink_at(t, at);
			n++;
		}
	return n;
}

unsigned lpm_count(const struct lpm *t)
{
	return t->used;
}
