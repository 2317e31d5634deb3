/* One list by age; a neighbour resolves seldom, so its frames are found by walking it. */
#include "dataplane/hold.h"

#include <stdlib.h>

#define NOBODY UINT16_C(0xFFFF)

struct hold {
	struct held {
		struct rte_mbuf *m;
		uint64_t since_ns;
		uint16_t adjacency, next;
	} held[HOLD_MAX];
	uint16_t first, last, free; /* indexes; oldest first */
	uint8_t waiting[ADJACENCY_MAX + 1];
};
static_assert(HOLD_PER_NEIGHBOUR <= UINT8_MAX && HOLD_MAX < NOBODY, "");

struct hold *hold_new(void)
{
	struct hold *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->first = h->last = NOBODY;
	for (unsigned i = 0; i < HOLD_MAX; i++)
		h->held[i].next = i + 1 < HOLD_MAX ? (uint16_t)(i + 1) : NOBODY;
	return h;
}

void hold_free(struct hold *h)
{
	if (h == NULL)
		return;
	for (uint16_t i = h->first; i != NOBODY; i = h->held[i].next)
		rte_pktmbuf_free(h->held[i].m);
	free(h);
}

bool hold_put(struct hold *h, uint16_t adjacency, struct rte_mbuf *m, uint64_t now_ns)
{
	const uint16_t i = h->free;

	if (i == NOBODY || h->waiting[adjacency] >= HOLD_PER_NEIGHBOUR)
		return false;
	h->free = h->held[i].next;
	h->held[i] = (struct held){ m, now_ns, adjacency, NOBODY };
	if (h->first == NOBODY)
		h->first = i;
	else
		h->held[h->last].next = i;
	h->last = i;
	h->waiting[adjacency]++;
	return true;
}

/* Unlinks `i`, which stands behind `before` (NOBODY: is the first). */
static struct rte_mbuf *unlink_one(struct hold *h, uint16_t before, uint16_t i)
{
	struct held *x = &h->held[i];

	if (before == NOBODY)
		h->first = x->next;
	else
		h->held[before].next = x->next;
	if (h->last == i)
		h->last = before;
	h->waiting[x->adjacency]--;
	x->next = h->free;
	h->free = i;
	return x->m;
}

struct rte_mbuf *hold_take(struct hold *h, uint16_t adjacency)
{
	uint16_t before = NOBODY;

	if (h->waiting[adjacency] == 0)
		return NULL;
	for (uint16_t i = h->first; i != NOBODY; before = i, i = h->held[i].next)
		if (h->held[i].adjacency == adjacency)
			return unlink_one(h, before, i);
	return NULL;
}

struct rte_mbuf *hold_expired(struct hold *h, uint64_t now_ns)
{
	if (h->first == NOBODY || now_ns - h->held[h->first].since_ns < HOLD_NS)
		return NULL;
	return unlink_one(h, NOBODY, h->first);
}

unsigned hold_count(const struct hold *h, uint16_t adjacency)
{
	return h->waiting[adjacency];
}
