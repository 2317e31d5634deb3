#include "pkt-gen/histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct histogram *histogram_new(void)
{
	struct histogram *const h = malloc(sizeof(*h));

	if (!h)
		return NULL;
	h->ns_per_tick = 1;
	histogram_clear(h);
	return h;
}

void histogram_free(struct histogram *h)
{
	free(h);
}

void histogram_clear(struct histogram *h)
{
	memset(h->slot, 0, sizeof(h->slot));
	h->total = h->max = 0;
	h->min = UINT64_MAX;
}

void histogram_scale(struct histogram *h, double ns_per_tick)
{
	h->ns_per_tick = ns_per_tick;
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
	if (from->total == 0)
		return;
	if (to->total == 0)
		to->ns_per_tick = from->ns_per_tick;
	for (unsigned i = 0; i < HISTOGRAM_SLOTS; i++)
		to->slot[i] += from->slot[i];
	to->total += from->total;
	to->min = from->min < to->min ? from->min : to->min;
	to->max = from->max > to->max ? from->max : to->max;
}

/* The largest value of a slot. */
static uint64_t top_of(uint32_t slot)
{
	const uint32_t first = 1u << HISTOGRAM_DIGITS;

	if (slot < 2 * first)
		return slot;
	const uint32_t shift = (slot >> HISTOGRAM_DIGITS) - 1;
	const uint64_t lead = slot - (shift << HISTOGRAM_DIGITS);

	return (lead + 1) * (UINT64_C(1) << shift) - 1;
}

static uint64_t to_ns(const struct histogram *h, uint64_t ticks)
{
	return (uint64_t)llround((double)ticks * h->ns_per_tick);
}

uint64_t histogram_count(const struct histogram *h)
{
	return h->total;
}

uint64_t histogram_at(const struct histogram *h, double q)
{
	const double want = q < 0 ? 0 : q > 1 ? (double)h->total : ceil(q * (double)h->total);
	const uint64_t rank = want < 1 ? 1 : (uint64_t)want;
	uint64_t seen = 0;

	if (h->total == 0)
		return 0;
	if (rank >= h->total)
		return histogram_max(h);
	for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++) {
		seen += h->slot[i];
		if (seen < rank)
			continue;
		const uint64_t top = top_of(i);

		return to_ns(h, top > h->max ? h->max : top < h->min ? h->min : top);
	}
	return histogram_max(h);
}

uint64_t histogram_min(const struct histogram *h)
{
	return h->total ? to_ns(h, h->min) : 0;
}

uint64_t histogram_max(const struct histogram *h)
{
	return h->total ? to_ns(h, h->max) : 0;
}
