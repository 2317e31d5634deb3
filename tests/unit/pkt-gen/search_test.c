/* Mirrors pkt-gen/search.c, against servers that are a formula. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "pkt-gen/search.h"
#include "tests/support.h"

enum { SEEDS = 3000 };

/* A server and what stands around it. */
struct model {
	double capacity; /* packets a second */
	double softness; /* 0: loss begins at once; else as the square of the overload times this */
	double always;   /* ratio lost at any rate */
	double stall_per_s; /* chance of a stall in a second of trial, */
	double stall_s;     /* and how long it is */
	double offers;      /* what the generator can; 0: anything */
	double bursty;      /* ratio lost whenever it cannot, whatever the server does */
	double buffer_s;    /* overload that the server's buffers take before anything is lost */
	uint64_t seed;
};

static double chance(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (double)(*seed >> 11) / (double)(UINT64_C(1) << 53);
}

static double loss_of(const struct model *m, double pps)
{
	const double over = pps > m->capacity ? pps / m->capacity - 1 : 0;
	const double loss = m->softness > 0 ? fmin(m->softness * over * over, over / (1 + over))
	                                    : over / (1 + over);

	return fmax(loss, m->always);
}

struct run {
	unsigned trials;
	double spent_s, longest_s;
	struct search_rate ndr, pdr;
	enum search_end end;
	bool orderly; /* progress within 0..1, trials as the configuration says */
};

static struct run run(const struct search_config *c, const struct model *given)
{
	struct model m = *given;
	struct search *s = search_new(c);
	struct search_trial t;
	struct run r = { .orderly = true };

	for (; search_next(s, &t); r.trials++) {
		double left_s, sent = t.pps > 0 ? t.pps : 40e6;
		bool bound = false;
		if (m.offers > 0 && sent > m.offers) {
			sent = m.offers * (1 - 0.02 * chance(&m.seed));
			bound = t.pps > 0;
		}
		double loss = loss_of(&m, sent);
		if (m.buffer_s > 0)
			loss = fmax(0, loss - m.buffer_s / t.seconds);
		if (m.bursty > 0 && (bound || t.pps == 0))
			loss = m.bursty;
		if (m.stall_per_s > 0 && chance(&m.seed) < m.stall_per_s * t.seconds)
			loss = fmax(loss, fmin(1, m.stall_s / t.seconds));
		if (r.trials > 2000)
			break;
		r.spent_s += t.seconds;
		r.longest_s = fmax(r.longest_s, t.seconds);
		r.orderly &= t.seconds >= c->first_s && t.seconds <= c->final_s && t.pps >= 0 &&
		             (c->max_pps == 0 || t.pps <= c->max_pps);
		search_told(s, sent, loss, bound);
		const double p = search_progress(s, &left_s);
		r.orderly &= p >= 0 && p <= 1 && left_s >= 0 && isfinite(left_s);
	}
	r.ndr = search_ndr(s);
	r.pdr = search_pdr(s);
	r.end = search_ended(s);
	CHECK(!search_next(s, &t), "what has ended stays so");
	search_free(s);
	return r;
}

static const struct search_config usual = { .min_pps = 10,
	                                    .pdr_loss = 0.005,
	                                    .precision = 0.01,
	                                    .first_s = 0.3,
	                                    .final_s = 2,
	                                    .trials_max = 60,
	                                    .want_ndr = true,
	                                    .want_pdr = true };

/* The truth lies between the bounds, and these are close. */
static bool closed(const struct search_rate *r, double truth, double precision)
{
	return r->found && r->end == SEARCH_FOUND && r->pps <= truth * (1 + 1e-9) &&
	       r->upper_pps >= truth && r->upper_pps <= r->pps * (1 + precision) * (1 + 1e-9);
}

static void test_sharp(void)
{
	unsigned most = 0, bad = 0;
	uint64_t seed = 88172645463325252;

	for (unsigned i = 0; i < SEEDS; i++) {
		/* From a slow kernel path to a fast ring. */
		const struct model m = { .capacity = pow(10, 3 + 4.5 * chance(&seed)) };
		const struct run r = run(&usual, &m);
		most = r.trials > most ? r.trials : most;
		bad += !(closed(&r.ndr, m.capacity, 0.01) &&
		         closed(&r.pdr, m.capacity / (1 - 0.005), 0.01) && r.orderly &&
		         r.ndr.pps <= r.pdr.pps && r.ndr.loss == 0 && r.pdr.loss <= 0.005 &&
		         r.end == SEARCH_FOUND && r.longest_s == 2);
	}
	CHECK(bad == 0, "both rates within precision of the truth, always");
	CHECK(most <= 30, "trials are few");
	printf(" [at most %u trials]", most);
}

static void test_soft(void)
{
	unsigned most = 0, bad = 0;
	uint64_t seed = 0x9E3779B97F4A7C15;

	for (unsigned i = 0; i < SEEDS; i++) {
		const struct model m = { .capacity = pow(10, 4 + 3 * chance(&seed)),
			                 .softness = 0.05 + 2 * chance(&seed) };
		const double pdr = m.capacity * (1 + fmax(sqrt(0.005 / m.softness), 0.005 / 0.995));
		const struct run r = run(&usual, &m);
		most = r.trials > most ? r.trials : most;
		bad += !(closed(&r.ndr, m.capacity, 0.01) && closed(&r.pdr, pdr, 0.01));
	}
	CHECK(bad == 0, "NDR and PDR that lie far apart");
	CHECK(most <= 45, "trials are few");
	printf(" [at most %u trials]", most);
}

/* One trial of final length in ten loses packets by a stall that is none of the server's. */
static void test_noise(void)
{
	unsigned most = 0, above = 0, ndr = 0, pdr = 0;
	double worst = 1, sum = 0;
	uint64_t seed = 0xD1B54A32D192ED03;

	for (unsigned i = 0; i < SEEDS; i++) {
		const struct model m = { .capacity = pow(10, 4 + 3 * chance(&seed)),
			                 .stall_per_s = 0.05,
			                 .stall_s = 0.004,
			                 .seed = seed };
		const struct run r = run(&usual, &m);
		const double pdr_true = m.capacity / (1 - 0.005);
		most = r.trials > most ? r.trials : most;
		above += r.ndr.pps > m.capacity * (1 + 1e-9) || r.pdr.pps > pdr_true * (1 + 1e-9);
		ndr += closed(&r.ndr, m.capacity, 0.01);
		pdr += closed(&r.pdr, pdr_true, 0.01);
		worst = fmin(worst, r.ndr.pps / m.capacity);
		sum += r.ndr.pps / m.capacity;
	}
	CHECK(above == 0, "noise never makes a server faster");
	CHECK(ndr >= SEEDS * 0.92, "NDR is right in spite of stalls");
	CHECK(pdr >= SEEDS * 0.99, "PDR does not mind short stalls");
	CHECK(sum / SEEDS > 0.985, "NDR in the mean");
	CHECK(most <= 60, "trials are bounded");
	printf(" [NDR right in %.1f %%, worst %.2f of it, mean %.4f; PDR in %.1f %%; at most %u "
	       "trials]",
	       100.0 * ndr / SEEDS, worst, sum / SEEDS, 100.0 * pdr / SEEDS, most);
}

static void test_always_lossy(void)
{
	const struct run r = run(&usual, &(struct model){ .capacity = 1e6, .always = 0.001 });

	CHECK(r.ndr.end == SEARCH_ALL_LOST && !r.ndr.found && r.ndr.pps == 0, "no NDR");
	CHECK(closed(&r.pdr, 1e6 / (1 - 0.005), 0.01), "PDR all the same");
	CHECK(r.pdr.loss >= 0.001 && r.pdr.loss <= 0.005, "its loss is told");
	CHECK(r.end == SEARCH_ALL_LOST, "the worse end is the search's");
	CHECK(r.trials <= 60, "trials are bounded");
	const struct run all = run(&usual, &(struct model){ .capacity = 1e6, .always = 1 });
	CHECK(all.end == SEARCH_ALL_LOST && !all.pdr.found && all.trials <= 60, "nothing comes");
}

/* A rate that the generator cannot go beyond says nothing about more. */
static void test_never_lossy(void)
{
	for (unsigned i = 0; i < 200; i++) {
		const struct model m = { .capacity = 1e12, .offers = 3e6, .seed = 77 + i };
		const struct run r = run(&usual, &m);
		CHECK(r.end == SEARCH_GENERATOR && r.ndr.found && r.pdr.found, "end");
		CHECK(r.ndr.upper_pps == 0 && r.pdr.upper_pps == 0, "nothing was lost");
		CHECK(r.ndr.pps >= 3e6 * 0.97 && r.ndr.pps <= 3e6, "what could be sent was held");
		CHECK(r.trials <= 12, "soon over");
	}
	struct search_config c = usual;
	c.max_pps = 1e6;
	const struct run r = run(&c, &(struct model){ .capacity = 1e12 });
	CHECK(r.end == SEARCH_GENERATOR && r.ndr.pps == 1e6 && r.trials <= 5, "a given maximum");
}

/* The generator is the limit and what it offers too much of is lost: never an upper bound. */
static void test_bound(void)
{
	struct search_config c = usual;
	c.max_pps = 8e6;
	for (unsigned i = 0; i < 200; i++) {
		const struct model m = { .capacity = 2.999e6, .offers = 3e6, .seed = 5 + i };
		const struct run r = run(&c, &m);
		CHECK(r.ndr.upper_pps == 0 || r.ndr.upper_pps <= 3e6, "no bound beyond its reach");
		CHECK(r.ndr.pps >= 2.9e6 && r.ndr.pps <= 2.999e6, "what was held");
		CHECK(r.trials <= 60 && r.end != SEARCH_TRIALS, "ends");
	}
	const struct run slow =
		run(&c, &(struct model){ .capacity = 1e6, .offers = 3e6, .seed = 3 });
	CHECK(closed(&slow.ndr, 1e6, 0.01), "a slow server is measured all the same");
}

/* What is told of a trial, by hand. */
static void told(struct search *s, struct search_trial *t, double capacity, bool lost_anyway)
{
	const double pps = t->pps > 0 ? t->pps : 4e6;
	search_told(s, pps, lost_anyway || pps > capacity ? 0.5 : 0, false);
}

/* Held although the generator was short: it holds for what was sent. */
static void test_bound_held(void)
{
	struct search_config c = usual;
	c.max_pps = 8e6;
	const struct run r = run(&c, &(struct model){ .capacity = 1e12, .offers = 3e6, .seed = 9 });
	CHECK(r.end == SEARCH_GENERATOR && r.ndr.pps > 2.9e6 && r.ndr.pps <= 3e6, "what was sent");
}

/* At its limit the generator sends in bursts that are lost: nothing about the server. */
static void test_bursty(void)
{
	struct search_config c = usual;
	c.max_pps = 3.5e6;
	const struct model m = { .capacity = 1e12, .offers = 3e6, .bursty = 0.3, .seed = 21 };
	const struct run r = run(&c, &m);
	CHECK(r.end == SEARCH_GENERATOR && r.ndr.upper_pps == 0, "no upper bound");
	CHECK(r.ndr.pps > 2.8e6 && r.ndr.pps < 3e6, "what it could offer in order");
}

/* Short of the rate by a hair, and lossy, above some rate: the search goes down and ends. */
static void test_hair(void)
{
	struct search *s = search_new(&usual);
	struct search_trial t;
	unsigned n = 0;

	for (; search_next(s, &t); n++) {
		const double pps = t.pps > 0 ? t.pps : 3e6;
		const bool bound = pps > 2.9e6;
		search_told(s, bound ? pps * 0.9999 : pps, bound ? 0.5 : 0, bound);
	}
	CHECK(search_ended(s) == SEARCH_GENERATOR && n < 40, "ends");
	CHECK(search_ndr(s).pps > 2.8e6 && search_ndr(s).pps <= 2.9e6, "below it");
	search_free(s);
}

/* It sends a tenth less than asked above some rate, and that in bursts which are lost. */
static void test_short(void)
{
	for (double limit = 1e6; limit < 3e6; limit *= 1.01) {
		struct search *s = search_new(&usual);
		struct search_trial t;
		while (search_next(s, &t)) {
			const double pps = t.pps > 0 ? t.pps : 3e6;
			const bool bound = t.pps == 0 || pps > limit;
			search_told(s, bound ? pps * 0.9 : pps, bound ? 0.4 : 0, bound);
		}
		CHECK(search_ended(s) == SEARCH_GENERATOR && search_ndr(s).upper_pps == 0,
		      "no upper bound");
		CHECK(search_ndr(s).pps > limit * 0.88 && search_ndr(s).pps <= limit, "held");
		search_free(s);
	}
}

/* The generator stumbles once: that is no limit. */
static void test_stumble(void)
{
	struct search_config c = usual;
	struct search *s;
	struct search_trial t;
	unsigned n = 0;

	c.want_pdr = false;
	s = search_new(&c);
	for (; search_next(s, &t); n++) {
		const double pps = t.pps > 0 ? t.pps : 4e6;
		if (n == 1)
			search_told(s, pps / 2, 0.5, true);
		else
			search_told(s, pps, loss_of(&(struct model){ .capacity = 1e6 }, pps),
			            false);
	}
	const struct search_rate r = search_ndr(s);
	CHECK(closed(&r, 1e6, 0.01), "asked again, and found");
	search_free(s);
}

/* Buffers hide an overload from short trials: those of full length decide. */
static void test_buffers(void)
{
	for (unsigned i = 1; i < 100; i++) {
		const double capacity = 1e5 * i;
		const struct model m = { .capacity = capacity, .buffer_s = 0.1 };
		/* Lost at full length where over / (1 + over) > 0.1 / 2. */
		const double ndr = capacity / (1 - 0.1 / 2), pdr = capacity / (1 - 0.1 / 2 - 0.005);
		const struct run r = run(&usual, &m);
		CHECK(closed(&r.ndr, ndr, 0.01) && closed(&r.pdr, pdr, 0.01), "full length");
	}
}

/* Each rate is lost once before it is held: its losses of then are not those of the result. */
static void test_first_look(void)
{
	struct search_config c = usual;
	struct search *s;
	struct search_trial t;
	double seen[100];
	unsigned n = 0;

	c.want_pdr = false;
	s = search_new(&c);
	while (search_next(s, &t) && n < 100) {
		bool first = t.seconds == 2;
		for (unsigned i = 0; i < n; i++)
			first &= seen[i] != t.pps;
		if (first)
			seen[n++] = t.pps;
		told(s, &t, 1e6, first);
	}
	const struct search_rate r = search_ndr(s);
	CHECK(closed(&r, 1e6, 0.01) && r.loss == 0, "two of three");
	search_free(s);
}

static void test_below_minimum(void)
{
	struct search_config c = usual;
	c.min_pps = 5e5;
	const struct run r = run(&c, &(struct model){ .capacity = 1e5 });
	CHECK(r.end == SEARCH_ALL_LOST && !r.ndr.found && !r.pdr.found, "below the minimum");
	CHECK(r.ndr.upper_pps == 5e5, "the minimum was lost");
	CHECK(r.trials <= 20, "soon over");
}

static void test_one_goal(void)
{
	struct search_config c = usual;
	c.want_ndr = false;
	const struct run r = run(&c, &(struct model){ .capacity = 7e5, .softness = 0.5 });
	CHECK(closed(&r.pdr, 7e5 * 1.1, 0.01), "PDR alone");
	CHECK(!r.ndr.found && r.ndr.pps == 0, "no NDR where none was asked for");
	c.want_pdr = false;
	CHECK(run(&c, &(struct model){ .capacity = 1e6 }).trials == 0, "nothing wanted");
}

/* A rate loses at full length three times while higher ones are held: it is the upper bound. */
static void test_inversion(void)
{
	struct search_config c = usual;
	struct search *s;
	struct search_trial t;
	double hole = 0;
	unsigned n = 0;

	c.want_pdr = false;
	s = search_new(&c);
	for (; search_next(s, &t); n++) {
		if (hole == 0 && t.seconds == 2 && t.pps < 1e6)
			hole = t.pps;
		told(s, &t, 1e6, t.pps == hole && hole > 0);
	}
	const struct search_rate r = search_ndr(s);
	CHECK(r.found && r.upper_pps <= hole && r.pps < hole, "the lower loss stands");
	CHECK(n <= 60, "ends");
	search_free(s);
}

/* One loss at full length is asked again before it counts; a second time it counts. */
static void test_second_look(void)
{
	struct search_config c = usual;
	struct search *s;
	struct search_trial t;
	double once = 0, next = 0;

	c.want_pdr = false;
	s = search_new(&c);
	while (search_next(s, &t)) {
		const bool first = once == 0 && t.seconds == 2 && t.pps < 1e6;
		if (once > 0 && next == 0)
			next = t.pps;
		if (first)
			once = t.pps;
		told(s, &t, 1e6, first);
	}
	const struct search_rate r = search_ndr(s);
	CHECK(next == once, "asked again at once");
	CHECK(closed(&r, 1e6, 0.01), "a single loss is no bound");
	search_free(s);
}

static void test_cuts(void)
{
	struct search_config c = usual;
	c.trials_max = 9;
	struct run r = run(&c, &(struct model){ .capacity = 1e6, .softness = 0.1 });
	CHECK(r.trials == 9 && r.end == SEARCH_TRIALS && !r.ndr.found, "trials");
	CHECK(r.ndr.pps <= 1e6, "what it knows is no more than the truth");
	c = usual;
	c.budget_s = 6;
	r = run(&c, &(struct model){ .capacity = 1e6, .softness = 0.1 });
	CHECK(r.spent_s <= 6 && r.end == SEARCH_BUDGET, "budget");
	CHECK(r.trials > 3, "which was used");
	/* A mad server: a coin for each trial. */
	for (unsigned i = 1; i < 500; i++) {
		const struct model coin = {
			.capacity = 1e6, .stall_per_s = 0.25, .stall_s = 1, .offers = 3e6, .seed = i
		};
		r = run(&usual, &coin);
		CHECK(r.trials <= 60 && r.end != SEARCH_GOES_ON && r.orderly, "always ends");
	}
}

static void test_odd_answers(void)
{
	struct search *s = search_new(&usual);
	struct search_trial t;

	search_told(s, 1e6, 0, false);
	CHECK(search_mrr(s) == 0, "an answer without a question");
	CHECK(search_next(s, &t) && t.pps == 0 && t.seconds == 0.3, "first at full speed");
	search_told(s, 0, NAN, false);
	CHECK(!search_next(s, &t), "nothing can be sent");
	CHECK(search_ended(s) == SEARCH_GENERATOR && !search_ndr(s).found, "so it says");
	search_free(s);
	s = search_new(&usual);
	for (unsigned i = 0; search_next(s, &t) && i < 100; i++)
		search_told(s, t.pps > 0 ? t.pps : 1e6, NAN, false);
	CHECK(search_ended(s) == SEARCH_ALL_LOST, "no number is a loss");
	search_free(s);
	for (enum search_end e = SEARCH_GOES_ON; e <= SEARCH_BUDGET; e++)
		CHECK(search_said(e) != NULL && search_said(e)[0] != '\0', "a clause for each");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "sharp knee", test_sharp },
		{ "soft knee", test_soft },
		{ "noise", test_noise },
		{ "always lossy", test_always_lossy },
		{ "never lossy", test_never_lossy },
		{ "generator", test_bound },
		{ "generator, but held", test_bound_held },
		{ "generator, and bursts", test_bursty },
		{ "generator, by a hair", test_hair },
		{ "generator, short", test_short },
		{ "generator, once", test_stumble },
		{ "buffers", test_buffers },
		{ "first look", test_first_look },
		{ "below the minimum", test_below_minimum },
		{ "one goal", test_one_goal },
		{ "inversion", test_inversion },
		{ "second look", test_second_look },
		{ "cuts", test_cuts },
		{ "odd answers", test_odd_answers },
		CU_TEST_INFO_NULL,
	};

	return run_suite("pkt-gen/search", tests);
}
