#include "pkt-gen/search.h"

#include <math.h>
#include <stdlib.h>

enum { TRIALS_LIMIT = 512, PHASES = 3, VERDICT_LOSSES = 2 };

/* What was measured. */
struct measured {
	double asked, load; /* load: what the server was given; asked unless the generator failed */
	double seconds, loss;
	bool bound;
};

enum goal_name { NDR, PDR, GOALS };

/* One of the two rates looked for. */
struct goal {
	bool wanted;
	double loss;
	unsigned
		phase; /* never goes back: a short trial cannot open again what a long one closed */
	double seed_low, seed_high; /* bounds of the phase before, 0: none */
	enum search_end end;
};

struct search {
	struct search_config cfg;
	struct measured m[TRIALS_LIMIT];
	unsigned n;
	struct goal goal[GOALS];
	double seconds[PHASES], width[PHASES];
	double ceiling; /* what the generator can offer, as far as known */
	double mrr, spent_s;
	bool asked; /* a trial is out */
	struct search_trial trial;
	enum search_end cut; /* trials or budget ran out */
};

/* The bounds of one goal in one phase. 0: none. */
struct bounds {
	double low, high;
	double open; /* a rate between them with one loss and no verdict */
	unsigned n_held, n_lost;
};

enum verdict { UNKNOWN, OPEN, HELD, LOST };

static double clamp(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

struct search *search_new(const struct search_config *c)
{
	struct search *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->cfg = *c;
	struct search_config *k = &s->cfg;
	if (k->trials_max == 0)
		k->trials_max = 60;
	if (k->trials_max > TRIALS_LIMIT)
		k->trials_max = TRIALS_LIMIT;
	k->precision = clamp(k->precision > 0 ? k->precision : 0.01, 1e-4, 0.5);
	k->final_s = k->final_s > 0 ? k->final_s : 2;
	k->first_s = clamp(k->first_s > 0 ? k->first_s : 0.3, 0, k->final_s);
	k->min_pps = k->min_pps > 0 ? k->min_pps : 1;
	for (unsigned i = 0; i < PHASES; i++) {
		s->seconds[i] = k->first_s * pow(k->final_s / k->first_s, (double)i / (PHASES - 1));
		s->width[i] = k->precision * (1 << (PHASES - 1 - i));
	}
	s->seconds[PHASES - 1] = k->final_s; /* exactly: trials are compared with it */
	s->goal[NDR] = (struct goal){ .wanted = k->want_ndr, .loss = k->ndr_loss };
	s->goal[PDR] = (struct goal){ .wanted = k->want_pdr, .loss = k->pdr_loss };
	s->ceiling = k->max_pps;
	return s;
}

void search_free(struct search *s)
{
	free(s);
}

/* How a rate stands in a phase, by all trials that are long enough for it. */
static enum verdict verdict(const struct search *s, const struct goal *g, unsigned phase,
                            double load)
{
	unsigned held = 0, lost = 0;

	for (unsigned i = 0; i < s->n; i++) {
		const struct measured *m = &s->m[i];
		if (m->load != load || m->seconds < s->seconds[phase])
			continue;
		if (m->loss <= g->loss)
			held++;
		else if (!m->bound)
			lost++;
	}
	const unsigned enough = phase == PHASES - 1 ? VERDICT_LOSSES : 1;
	if (lost >= enough && lost > held)
		return LOST;
	if (held > 0 && held >= lost && (held > lost || enough == 1))
		return HELD;
	return lost > 0 ? OPEN : UNKNOWN;
}

static struct bounds bounds(const struct search *s, const struct goal *g, unsigned phase)
{
	struct bounds b = { 0 };

	for (unsigned i = 0; i < s->n; i++) {
		if (verdict(s, g, phase, s->m[i].load) != LOST)
			continue;
		b.n_lost++;
		if (b.high == 0 || s->m[i].load < b.high)
			b.high = s->m[i].load;
	}
	for (unsigned i = 0; i < s->n; i++) {
		const double load = s->m[i].load;
		if (b.high > 0 && load >= b.high)
			continue;
		const enum verdict v = verdict(s, g, phase, load);
		b.n_held += v == HELD;
		if (v == HELD && load > b.low)
			b.low = load;
	}
	for (unsigned i = 0; i < s->n; i++) {
		const double load = s->m[i].load;
		if (load > b.low && (b.high == 0 || load < b.high) &&
		    verdict(s, g, phase, load) == OPEN && (b.open == 0 || load < b.open))
			b.open = load;
	}
	return b;
}

/* Above the lower bound nothing can be offered. */
static bool at_ceiling(const struct search *s, const struct bounds *b)
{
	return b->low > 0 && b->low >= s->ceiling * (1 - s->cfg.precision / 4);
}

/* Steps double, so that a bound that was far off is found in a few trials. */
static double stride(const struct search *s, unsigned phase, unsigned taken)
{
	return 1 + s->width[phase] * (double)(1u << (taken < 20 ? taken : 20));
}

/* The rate to try next in this phase; 0: the phase has what it can have, and *end says what. */
static double phase_next(const struct search *s, const struct goal *g, const struct bounds *b,
                         enum search_end *end)
{
	const double floor = s->cfg.min_pps < s->ceiling ? s->cfg.min_pps : s->ceiling;
	double next;

	*end = SEARCH_GOES_ON;
	if (at_ceiling(s, b))
		return *end = SEARCH_GENERATOR, 0;
	if (b->high > 0 && b->high <= floor)
		return *end = SEARCH_ALL_LOST, 0;
	if (b->low > 0 && b->high > 0 && b->high <= b->low * (1 + s->width[g->phase]))
		return *end = SEARCH_FOUND, 0;
	if (b->open > 0 && b->open <= s->ceiling)
		return b->open;
	const bool low_fits = g->seed_low > b->low && (b->high == 0 || g->seed_low < b->high);
	const bool high_fits = g->seed_high > b->low && (b->high == 0 || g->seed_high < b->high);
	if (low_fits)
		next = g->seed_low;
	else if (high_fits)
		next = g->seed_high;
	else if (b->low > 0 && b->high > 0)
		next = sqrt(b->low * b->high);
	else if (b->low > 0)
		next = b->low * stride(s, g->phase, b->n_held - 1);
	else if (b->high > 0)
		next = b->high / stride(s, g->phase, b->n_lost - 1);
	else
		next = floor;
	return clamp(next, floor, s->ceiling);
}

/* The goal's next trial, going through its phases; false: it needs none. */
static bool goal_next(struct search *s, struct goal *g, struct search_trial *out)
{
	while (g->wanted && g->end == SEARCH_GOES_ON) {
		const struct bounds b = bounds(s, g, g->phase);
		enum search_end end;
		const double pps = phase_next(s, g, &b, &end);
		if (end == SEARCH_GOES_ON) {
			*out = (struct search_trial){ pps, s->seconds[g->phase] };
			return true;
		}
		if (g->phase == PHASES - 1) {
			g->end = end;
			return false;
		}
		g->phase++;
		g->seed_low = b.low;
		g->seed_high = b.high;
	}
	return false;
}

bool search_next(struct search *s, struct search_trial *out)
{
	struct search_trial best = { 0 };
	bool any = s->n == 0 && (s->goal[NDR].wanted || s->goal[PDR].wanted);

	if (s->cut != SEARCH_GOES_ON)
		return false;
	if (any)
		best = (struct search_trial){ s->cfg.max_pps, s->cfg.first_s };
	/* The shorter trial first: what it says may spare the longer one. */
	for (unsigned i = 0; s->n > 0 && i < GOALS; i++) {
		struct search_trial t;
		if (goal_next(s, &s->goal[i], &t) && (!any || t.seconds < best.seconds)) {
			best = t;
			any = true;
		}
	}
	if (any && s->n >= s->cfg.trials_max)
		s->cut = SEARCH_TRIALS;
	else if (any && s->cfg.budget_s > 0 && s->spent_s + best.seconds > s->cfg.budget_s)
		s->cut = SEARCH_BUDGET;
	s->asked = any && s->cut == SEARCH_GOES_ON;
	s->trial = best;
	if (s->asked)
		*out = best;
	return s->asked;
}

/* After the second time at the same rate, what was sent is all that can be. */
static void lower_ceiling(struct search *s, double asked)
{
	unsigned times = 0;
	double sent = 0;

	for (unsigned i = 0; i < s->n; i++) {
		if (s->m[i].asked != asked || !s->m[i].bound)
			continue;
		times++;
		if (s->m[i].load > sent)
			sent = s->m[i].load;
	}
	/* Always by something: else a generator that is short by a hair is asked for ever. */
	const double most = asked * (1 - s->cfg.precision / 2);
	if (times >= 2)
		s->ceiling = fmin(s->ceiling, fmin(sent, most));
}

void search_told(struct search *s, double sent_pps, double loss, bool bound)
{
	if (!s->asked || s->n == TRIALS_LIMIT)
		return;
	s->asked = false;
	s->spent_s += s->trial.seconds;
	if (!isfinite(sent_pps) || sent_pps < 0)
		sent_pps = 0;
	loss = isfinite(loss) ? clamp(loss, 0, 1) : 1;
	const bool first = s->n == 0;
	const bool paced = s->trial.pps > 0;
	struct measured *m = &s->m[s->n++];
	*m = (struct measured){ .asked = s->trial.pps,
		                .load = paced && !bound ? s->trial.pps : sent_pps,
		                .seconds = s->trial.seconds,
		                .loss = loss,
		                .bound = bound || sent_pps == 0 };
	if (first) {
		s->mrr = sent_pps * (1 - loss);
		s->ceiling = paced && !bound ? s->trial.pps : sent_pps;
		for (unsigned i = 0; i < GOALS; i++)
			s->goal[i].seed_low = s->mrr;
		if (sent_pps == 0) /* nothing to search with */
			for (unsigned i = 0; i < GOALS; i++)
				s->goal[i].end = SEARCH_GENERATOR;
	} else if (m->bound) {
		lower_ceiling(s, m->asked);
	}
}

static enum search_end goal_end(const struct search *s, const struct goal *g)
{
	return g->end != SEARCH_GOES_ON ? g->end : s->cut;
}

enum search_end search_ended(const struct search *s)
{
	enum search_end worst = SEARCH_FOUND;

	for (unsigned i = 0; i < GOALS; i++) {
		const enum search_end end = goal_end(s, &s->goal[i]);
		if (!s->goal[i].wanted)
			continue;
		if (end == SEARCH_GOES_ON)
			return end;
		if (end > worst)
			worst = end;
	}
	return worst;
}

const char *search_said(enum search_end end)
{
	static const char *const said[] = {
		[SEARCH_GOES_ON] = "not at its end",
		[SEARCH_FOUND] = "found",
		[SEARCH_ALL_LOST] = "even the smallest rate was lost",
		[SEARCH_GENERATOR] = "even the largest rate was held: the generator is the limit",
		[SEARCH_TRIALS] = "no trials were left",
		[SEARCH_BUDGET] = "no time was left",
	};

	return said[end];
}

const char *search_word(enum search_end end)
{
	static const char *const words[] = {
		[SEARCH_GOES_ON] = "goes_on",   [SEARCH_FOUND] = "found",
		[SEARCH_ALL_LOST] = "all_lost", [SEARCH_GENERATOR] = "generator",
		[SEARCH_TRIALS] = "trials",     [SEARCH_BUDGET] = "budget",
	};

	return words[end];
}

/* Of the longest trial at that load; the worst of equals that held. */
static double loss_at(const struct search *s, const struct goal *g, double load)
{
	double seconds = 0, loss = 0;

	for (unsigned i = 0; i < s->n; i++) {
		const struct measured *m = &s->m[i];
		if (m->load != load || m->loss > g->loss || m->seconds < seconds)
			continue;
		loss = m->seconds > seconds ? m->loss : fmax(loss, m->loss);
		seconds = m->seconds;
	}
	return loss;
}

static struct search_rate rate(const struct search *s, const struct goal *g)
{
	struct search_rate r = { .end = goal_end(s, g) };
	struct bounds b = { 0 };

	/* An unfinished search says what its longest trials said. */
	for (unsigned phase = g->phase + 1; phase-- > 0 && b.low == 0 && b.high == 0;)
		b = bounds(s, g, phase);
	if (!g->wanted)
		return (struct search_rate){ 0 };
	r.found = r.end == SEARCH_FOUND || (r.end == SEARCH_GENERATOR && b.low > 0);
	r.pps = b.low;
	r.upper_pps = b.high;
	r.loss = b.low > 0 ? loss_at(s, g, b.low) : 0;
	return r;
}

struct search_rate search_ndr(const struct search *s)
{
	return rate(s, &s->goal[NDR]);
}

struct search_rate search_pdr(const struct search *s)
{
	return rate(s, &s->goal[PDR]);
}

double search_mrr(const struct search *s)
{
	return s->mrr;
}

/* Trials that a phase likely still needs. */
static double trials_left(const struct search *s, const struct goal *g, unsigned phase)
{
	const struct bounds b = bounds(s, g, phase);
	const double whole = phase == PHASES - 1 ? 5 : 4;

	if (phase > g->phase)
		return whole;
	if (b.low == 0 || b.high == 0)
		return whole - 1;
	const double steps = log2(log(b.high / b.low) / log1p(s->width[phase]));
	return clamp(ceil(steps), 0, whole) * (phase == PHASES - 1 ? 1.5 : 1);
}

double search_progress(const struct search *s, double *left_s)
{
	double left = s->asked ? s->trial.seconds : 0;

	for (unsigned i = 0; i < GOALS && s->cut == SEARCH_GOES_ON; i++) {
		const struct goal *g = &s->goal[i];
		for (unsigned phase = g->phase; phase < PHASES; phase++)
			if (g->wanted && g->end == SEARCH_GOES_ON)
				left += trials_left(s, g, phase) * s->seconds[phase];
	}
	if (s->cfg.budget_s > 0)
		left = fmin(left, fmax(0, s->cfg.budget_s - s->spent_s));
	if (left_s != NULL)
		*left_s = left;
	return s->spent_s + left > 0 ? s->spent_s / (s->spent_s + left) : 0;
}
