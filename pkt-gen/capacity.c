#include "pkt-gen/capacity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRIALS_LIMIT = 256, PHASES = 2 };

struct sample {
	uint32_t calls;
	double seconds, pps, loss, p99_us;
	enum capacity_end why; /* CAPACITY_GOES_ON: carried */
};

struct capacity {
	struct capacity_config cfg;
	struct sample m[TRIALS_LIMIT];
	unsigned n, phase;
	uint32_t seed_low, seed_high; /* bounds of the phase before */
	uint32_t ceiling;             /* more do not stand */
	unsigned code;
	double spent_s;
	bool asked;
	struct capacity_step step;
	enum capacity_end end;
};

struct bounds {
	uint32_t low, high; /* 0: none */
	uint32_t open;
	unsigned n_held, n_lost;
};

enum verdict { UNKNOWN, OPEN, HELD, LOST };

static double clamp(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

struct capacity *capacity_new(const struct capacity_config *given)
{
	struct capacity *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->cfg = *given;
	struct capacity_config *k = &c->cfg;
	k->most = k->most > 0 ? k->most : 1;
	k->first = k->first > 0 ? k->first : k->most / 16;
	k->first = k->first < 1 ? 1 : k->first > k->most ? k->most : k->first;
	k->final_s = k->final_s > 0 ? k->final_s : 2;
	k->first_s = clamp(k->first_s > 0 ? k->first_s : 0.5, 0, k->final_s);
	k->precision = clamp(k->precision > 0 ? k->precision : 0.02, 1e-4, 0.5);
	k->trials_max = k->trials_max > 0 ? k->trials_max : 40;
	k->trials_max = k->trials_max < TRIALS_LIMIT ? k->trials_max : TRIALS_LIMIT;
	c->ceiling = k->most;
	return c;
}

void capacity_free(struct capacity *c)
{
	free(c);
}

static double seconds_of(const struct capacity *c, unsigned phase)
{
	return phase == 0 ? c->cfg.first_s : c->cfg.final_s;
}

static enum verdict verdict(const struct capacity *c, uint32_t calls)
{
	unsigned held = 0, lost = 0;

	for (unsigned i = 0; i < c->n; i++) {
		const struct sample *m = &c->m[i];
		if (m->calls != calls || m->seconds < seconds_of(c, c->phase))
			continue;
		held += m->why == CAPACITY_GOES_ON;
		lost += m->why != CAPACITY_GOES_ON;
	}
	const unsigned enough = c->phase == PHASES - 1 ? 2 : 1;
	if (lost >= enough && lost > held)
		return LOST;
	if (held > 0 && (held > lost || (enough == 1 && held == lost)))
		return HELD;
	return lost > 0 ? OPEN : UNKNOWN;
}

static struct bounds bounds(const struct capacity *c)
{
	struct bounds b = { 0 };

	for (unsigned i = 0; i < c->n; i++) {
		if (verdict(c, c->m[i].calls) != LOST)
			continue;
		b.n_lost++;
		if (b.high == 0 || c->m[i].calls < b.high)
			b.high = c->m[i].calls;
	}
	for (unsigned i = 0; i < c->n; i++) {
		const uint32_t calls = c->m[i].calls;
		if ((b.high > 0 && calls >= b.high) || verdict(c, calls) != HELD)
			continue;
		b.n_held++;
		if (calls > b.low)
			b.low = calls;
	}
	for (unsigned i = 0; i < c->n; i++) {
		const uint32_t calls = c->m[i].calls;
		if (calls > b.low && (b.high == 0 || calls < b.high) && verdict(c, calls) == OPEN &&
		    (b.open == 0 || calls < b.open))
			b.open = calls;
	}
	return b;
}

static double width_of(const struct capacity *c)
{
	return c->cfg.precision * (c->phase == 0 ? 4 : 1);
}

/* Doubling at first; later steps begin at the interval's width and double. */
static double stride(const struct capacity *c, unsigned taken)
{
	return c->phase == 0 ? 2 : 1 + width_of(c) * (double)(1u << (taken < 20 ? taken : 20));
}

/* Why so many were not carried, by the longest of the trials that say so. */
static enum capacity_end why_lost(const struct capacity *c, uint32_t calls)
{
	enum capacity_end why = CAPACITY_LOSS;
	double seconds = 0;

	for (unsigned i = 0; i < c->n; i++) {
		const struct sample *m = &c->m[i];
		if (m->calls == calls && m->why != CAPACITY_GOES_ON && m->seconds >= seconds) {
			seconds = m->seconds;
			why = m->why;
		}
	}
	return why;
}

static bool fits(uint32_t calls, const struct bounds *b)
{
	return calls > b->low && (b->high == 0 || calls < b->high);
}

/* 0: the phase has what it can have, and *end says why. */
static uint32_t phase_next(const struct capacity *c, const struct bounds *b, enum capacity_end *end)
{
	uint32_t next;

	*end = CAPACITY_GOES_ON;
	if (b->low >= c->ceiling)
		return *end = c->ceiling < c->cfg.most ? CAPACITY_REFUSED : CAPACITY_MOST, 0;
	if (b->high > 0 && b->high - b->low <= fmax(1, b->low * width_of(c)))
		return *end = why_lost(c, b->high), 0;
	if (b->open > 0)
		return b->open;
	if (fits(c->seed_low, b))
		next = c->seed_low;
	else if (fits(c->seed_high, b))
		next = c->seed_high;
	else if (b->low > 0 && b->high > 0)
		next = (uint32_t)sqrt((double)b->low * b->high);
	else if (b->high > 0)
		next = (uint32_t)(b->high / stride(c, b->n_lost - 1));
	else if (b->low > 0)
		next = (uint32_t)fmin(b->low * stride(c, b->n_held - 1), c->ceiling);
	else
		next = c->cfg.first;
	/* Whole calls, and never one of the bounds again. */
	if (next <= b->low)
		next = b->low + 1;
	return next > c->ceiling ? c->ceiling : next;
}

bool capacity_next(struct capacity *c, struct capacity_step *out)
{
	uint32_t calls = 0;

	while (c->end == CAPACITY_GOES_ON && calls == 0) {
		const struct bounds b = bounds(c);
		enum capacity_end end;
		calls = c->ceiling > 0 ? phase_next(c, &b, &end) : 0;
		if (c->ceiling == 0)
			c->end = CAPACITY_REFUSED;
		else if (calls == 0 && c->phase == PHASES - 1)
			c->end = end;
		else if (calls == 0) {
			c->phase++;
			c->seed_low = b.low;
			c->seed_high = b.high;
		}
	}
	const double seconds = seconds_of(c, c->phase);
	if (calls > 0 && c->n >= c->cfg.trials_max)
		c->end = CAPACITY_TRIALS;
	else if (calls > 0 && c->cfg.budget_s > 0 && c->spent_s + seconds > c->cfg.budget_s)
		c->end = CAPACITY_BUDGET;
	c->asked = calls > 0 && c->end == CAPACITY_GOES_ON;
	c->step = (struct capacity_step){ calls, seconds };
	if (c->asked)
		*out = c->step;
	return c->asked;
}

void capacity_told(struct capacity *c, const struct capacity_result *r)
{
	if (!c->asked || c->n == TRIALS_LIMIT)
		return;
	c->asked = false;
	if (r->calls < c->step.calls && r->calls < c->ceiling) {
		c->ceiling = r->calls;
		c->code = r->code;
		/* A bound that does not stand any more is none. */
		if (c->seed_high > c->ceiling)
			c->seed_high = 0;
	}
	if (r->calls == 0)
		return;
	c->spent_s += c->step.seconds;
	struct sample *m = &c->m[c->n++];
	*m = (struct sample){ .calls = r->calls < c->step.calls ? r->calls : c->step.calls,
		              .seconds = c->step.seconds,
		              .pps = isfinite(r->sent_pps) ? r->sent_pps : 0,
		              .loss = isfinite(r->loss) ? clamp(r->loss, 0, 1) : 1,
		              .p99_us = isfinite(r->p99_us) ? r->p99_us : 0 };
	if (r->bound)
		m->why = CAPACITY_GENERATOR;
	else if (m->loss > c->cfg.loss)
		m->why = CAPACITY_LOSS;
	else if (c->cfg.p99_us > 0 && m->p99_us > c->cfg.p99_us)
		m->why = CAPACITY_P99;
}

struct capacity_answer capacity_answer(const struct capacity *c)
{
	struct capacity_answer a = { .end = c->end, .code = c->code };
	struct bounds b = bounds(c);
	double seconds = 0;

	/* An unfinished search says what its short trials said. */
	if (b.low == 0 && b.high == 0)
		b = (struct bounds){ .low = c->seed_low, .high = c->seed_high };
	a.calls = b.low;
	a.too_many = b.high;
	for (unsigned i = 0; i < c->n; i++) {
		const struct sample *m = &c->m[i];
		if (m->calls != b.low || m->why != CAPACITY_GOES_ON || m->seconds < seconds)
			continue;
		seconds = m->seconds;
		a.pps = m->pps;
		a.loss = m->loss;
		a.p99_us = m->p99_us;
	}
	return a;
}

char *capacity_said(const struct capacity_answer *a, char *text, size_t cap)
{
	static const char *const said[] = {
		[CAPACITY_GOES_ON] = "not at its end",
		[CAPACITY_LOSS] = "more calls lose too many packets",
		[CAPACITY_P99] = "more calls wait too long (p99)",
		[CAPACITY_GENERATOR] = "the generator cannot offer more",
		[CAPACITY_MOST] = "all calls there are were carried; more clients would tell more",
		[CAPACITY_TRIALS] = "no trials were left",
		[CAPACITY_BUDGET] = "no time was left",
	};

	if (a->end == CAPACITY_REFUSED && a->code > 0)
		snprintf(text, cap, "more allocations are refused with %u", a->code);
	else if (a->end == CAPACITY_REFUSED)
		snprintf(text, cap, "more allocations are not answered");
	else
		snprintf(text, cap, "%s", said[a->end]);
	return text;
}

double capacity_progress(const struct capacity *c, double *left_s)
{
	double left = c->asked ? c->step.seconds : 0;
	const struct bounds b = bounds(c);

	if (c->end == CAPACITY_GOES_ON) {
		double steps = 4;
		if (b.low > 0 && b.high > 0)
			steps = clamp(ceil(log2(log((double)b.high / b.low) / log1p(width_of(c)))),
			              0, 8);
		left += steps * seconds_of(c, c->phase);
		if (c->phase < PHASES - 1)
			left += 5 * seconds_of(c, PHASES - 1);
	}
	if (c->cfg.budget_s > 0)
		left = fmin(left, fmax(0, c->cfg.budget_s - c->spent_s));
	if (left_s != NULL)
		*left_s = left;
	return c->spent_s + left > 0 ? c->spent_s / (c->spent_s + left) : 0;
}
