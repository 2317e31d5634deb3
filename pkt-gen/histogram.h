/*
 * A latency histogram in the manner of HDR: values keep three significant digits whatever their
 * size, recording is an increment. Our own, since recording stands on the packet path and Debian
 * has no C library for it.
 *
 * Units      What is recorded is in ticks; what is asked for comes in nanoseconds, by the scale.
 *            A new histogram's tick is a nanosecond.
 * Limits     2^44 ticks (above an hour); what is longer counts as that.
 * Threads    One writer; merge when it rests.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

enum {
	HISTOGRAM_DIGITS = 10, /* values from 2^d to 2^(d+1) differ by less than 1/2^10 */
	HISTOGRAM_TOP = 44,    /* bits of the largest value */
	HISTOGRAM_SLOTS = (HISTOGRAM_TOP - HISTOGRAM_DIGITS + 1) << HISTOGRAM_DIGITS,
};

struct histogram {
	double ns_per_tick;
	uint64_t min, max, total;
	uint64_t slot[HISTOGRAM_SLOTS];
};

/* NULL: no memory. */
struct histogram *histogram_new(void);
void histogram_free(struct histogram *h);
void histogram_clear(struct histogram *h);
void histogram_scale(struct histogram *h, double ns_per_tick);
/* An empty one takes the scale of what is added. */
void histogram_add(struct histogram *to, const struct histogram *from);

/* One slot for each value below 2^11, then 2^10 for each doubling. */
static inline uint32_t histogram_slot(uint64_t ticks)
{
	const uint32_t shift =
		63 - (uint32_t)__builtin_clzll(ticks | 1u << HISTOGRAM_DIGITS) - HISTOGRAM_DIGITS;

	return (shift << HISTOGRAM_DIGITS) + (uint32_t)(ticks >> shift);
}

/*
 * A value in its slot only; what is known of all that were so placed is told afterwards, once for a
 * burst.
 */
static inline void histogram_place(struct histogram *h, uint64_t ticks)
{
	const uint64_t most = (UINT64_C(1) << HISTOGRAM_TOP) - 1;

	h->slot[histogram_slot(ticks < most ? ticks : most)]++;
}

static inline void histogram_placed(struct histogram *h, uint64_t n, uint64_t min, uint64_t max)
{
	const uint64_t most = (UINT64_C(1) << HISTOGRAM_TOP) - 1;

	min = min < most ? min : most;
	max = max < most ? max : most;
	h->total += n;
	h->min = min < h->min ? min : h->min;
	h->max = max > h->max ? max : h->max;
}

static inline void histogram_record(struct histogram *h, uint64_t ticks)
{
	histogram_place(h, ticks);
	histogram_placed(h, 1, ticks, ticks);
}

uint64_t histogram_count(const struct histogram *h);
/* The value that `q` (0..1) of all are not above; 0 if empty. */
uint64_t histogram_at(const struct histogram *h, double q);
uint64_t histogram_min(const struct histogram *h);
uint64_t histogram_max(const struct histogram *h);
