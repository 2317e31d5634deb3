/* Mirrors pkt-gen/capacity.c, against servers that are a formula. */
#include <math.h>
#include <stdint.h>

#include "pkt-gen/capacity.h"
#include "tests/support.h"

enum { SEEDS = 3000 };

struct model {
	double carries;   /* calls without loss */
	double slow_from; /* p99 passes 1,000 us beyond so many; 0: never */
	uint32_t quota;   /* allocations granted; 0: all */
	unsigned code;
	double offers; /* calls the generator can; 0: all */
	double stall;  /* chance that a trial loses by a stall */
	uint64_t seed;
};

struct run {
	unsigned trials;
	double spent_s;
	uint32_t largest;
	struct capacity_answer a;
};

static const struct capacity_config usual = { .first = 10,
	                                      .most = 1000000,
	                                      .loss = 0.005,
	                                      .first_s = 0.5,
	                                      .final_s = 2,
	                                      .precision = 0.02,
	                                      .trials_max = 60 };

static double chance(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (double)(*seed >> 11) / (double)(UINT64_C(1) << 53);
}

static struct run run(const struct capacity_config *cfg, const struct model *given)
{
	struct model m = *given;
	struct capacity *c = capacity_new(cfg);
	struct capacity_step s;
	struct run r = { 0 };

	for (; r.trials < 1000 && capacity_next(c, &s); r.trials++) {
		struct capacity_result t = { .calls = s.calls, .p99_us = 100 };
		double left_s;
		CHECK(s.calls >= 1 && s.calls <= cfg->most, "a number of calls that there are");
		if (m.quota > 0 && t.calls > m.quota) {
			t.calls = m.quota;
			t.code = m.code;
		}
		r.largest = t.calls > r.largest ? t.calls : r.largest;
		t.sent_pps = t.calls * 50.0;
		if (t.calls > m.carries)
			t.loss = 1 - m.carries / t.calls;
		t.loss *= 10; /* a steep knee: beyond is clearly beyond */
		if (m.slow_from > 0 && t.calls > m.slow_from)
			t.p99_us = 5000;
		if (m.offers > 0 && t.calls > m.offers) {
			t.bound = true;
			t.loss = 0;
		}
		if (m.stall > 0 && chance(&m.seed) < m.stall)
			t.loss = 0.5;
		capacity_told(c, &t);
		r.spent_s += s.seconds;
		const double p = capacity_progress(c, &left_s);
		CHECK(p >= 0 && p <= 1 && left_s >= 0 && isfinite(left_s), "progress");
	}
	r.a = capacity_answer(c);
	CHECK(!capacity_next(c, &s), "what has ended stays so");
	capacity_free(c);
	return r;
}

/* Within precision, or within one call. Loss of 0.5 % begins at carries * 1.0005. */
static bool close_to(const struct capacity_answer *a, double truth)
{
	const double least = fmin(floor(truth) - 1, truth / 1.021);

	return a->calls <= truth * 1.001 && a->calls >= least &&
	       (a->too_many == 0 || a->too_many > truth * 0.999);
}

static void test_loss(void)
{
	unsigned most = 0, bad = 0;
	uint64_t seed = 88172645463325252;

	for (unsigned i = 0; i < SEEDS; i++) {
		const double truth = pow(10, 5.5 * chance(&seed));
		const struct run r = run(&usual, &(struct model){ .carries = truth });
		most = r.trials > most ? r.trials : most;
		bad += !(close_to(&r.a, truth) && r.a.end == CAPACITY_LOSS && r.a.loss <= 0.005 &&
		         r.a.p99_us == 100 && r.a.pps == r.a.calls * 50.0);
	}
	CHECK(bad == 0, "from one call to three hundred thousand");
	CHECK(most <= 45, "trials are few");
	printf(" [at most %u trials]", most);
}

static void test_noise(void)
{
	unsigned most = 0, right = 0;
	uint64_t seed = 0xD1B54A32D192ED03;

	for (unsigned i = 0; i < SEEDS; i++) {
		const double truth = pow(10, 1 + 4 * chance(&seed));
		const struct model m = { .carries = truth, .stall = 0.08, .seed = seed };
		const struct run r = run(&usual, &m);
		most = r.trials > most ? r.trials : most;
		right += close_to(&r.a, truth);
		CHECK(r.a.calls <= truth * 1.001, "noise makes no server larger");
	}
	CHECK(right >= SEEDS * 0.9, "right in spite of stalls");
	CHECK(most <= 60, "trials are bounded");
	printf(" [right in %.1f %%, at most %u trials]", 100.0 * right / SEEDS, most);
}

static void test_latency(void)
{
	struct capacity_config c = usual;
	struct run r;

	c.p99_us = 1000;
	r = run(&c, &(struct model){ .carries = 9000, .slow_from = 4000 });
	CHECK(r.a.end == CAPACITY_P99 && close_to(&r.a, 4000), "too slow before it loses");
	r = run(&usual, &(struct model){ .carries = 9000, .slow_from = 4000 });
	CHECK(r.a.end == CAPACITY_LOSS && close_to(&r.a, 9000), "no limit, no matter");
}

static void test_refused(void)
{
	char said[128];
	struct run r = run(&usual, &(struct model){ .carries = 1e9, .quota = 777, .code = 486 });

	CHECK(r.a.end == CAPACITY_REFUSED && r.a.code == 486 && r.a.calls == 777, "a quota");
	CHECK(strcmp(capacity_said(&r.a, said, sizeof(said)), "more allocations are refused with "
	                                                      "486") == 0,
	      "said");
	CHECK(r.trials <= 12, "soon over");
	/* The quota lies beyond what it carries: loss says more. */
	r = run(&usual, &(struct model){ .carries = 500, .quota = 777, .code = 486 });
	CHECK(r.a.end == CAPACITY_LOSS && close_to(&r.a, 500), "loss before the quota");
	r = run(&usual, &(struct model){ .carries = 1e9, .quota = 3, .code = 508 });
	CHECK(r.a.end == CAPACITY_REFUSED && r.a.calls == 3, "fewer than it began with");
	/* Nobody answers at all. */
	struct capacity *c = capacity_new(&usual);
	struct capacity_step s;
	CHECK(capacity_next(c, &s), "asks");
	capacity_told(c, &(struct capacity_result){ .calls = 0 });
	CHECK(!capacity_next(c, &s), "and ends");
	const struct capacity_answer a = capacity_answer(c);
	CHECK(a.end == CAPACITY_REFUSED && a.calls == 0 && a.code == 0, "none");
	CHECK(strstr(capacity_said(&a, said, sizeof(said)), "not answered") != NULL, "said");
	capacity_free(c);
}

static void test_generator(void)
{
	const struct run r = run(&usual, &(struct model){ .carries = 1e9, .offers = 12345 });

	CHECK(r.a.end == CAPACITY_GENERATOR && close_to(&r.a, 12345), "the generator's limit");
}

/* More calls are carried after fewer were not: the fewer stand. And the limit itself is allowed. */
static void test_inversion(void)
{
	struct capacity *c = capacity_new(&usual);
	struct capacity_step s;
	uint32_t hole = 0;

	while (capacity_next(c, &s)) {
		if (hole == 0 && s.seconds == 2)
			hole = s.calls;
		capacity_told(c, &(struct capacity_result){
					 .calls = s.calls,
					 .loss = s.calls == hole || s.calls > 5000 ? 0.5 : 0.005 });
	}
	const struct capacity_answer a = capacity_answer(c);
	CHECK(a.end == CAPACITY_LOSS && a.calls > 0 && a.calls < hole && a.too_many <= hole,
	      "the lower loss stands");
	CHECK(a.loss == 0.005, "as much as is allowed");
	capacity_free(c);
}

static void test_ends(void)
{
	struct capacity_config c = usual;
	struct run r;

	c.most = 100;
	r = run(&c, &(struct model){ .carries = 1e9 });
	CHECK(r.a.end == CAPACITY_MOST && r.a.calls == 100 && r.a.too_many == 0, "all there are");
	r = run(&c, &(struct model){ .carries = 0.5 });
	CHECK(r.a.end == CAPACITY_LOSS && r.a.calls == 0 && r.a.too_many == 1, "not even one");
	c.most = 1;
	r = run(&c, &(struct model){ .carries = 1 });
	CHECK(r.a.calls == 1 && r.a.end == CAPACITY_MOST && r.trials == 2, "one");
	c = usual;
	c.trials_max = 7;
	r = run(&c, &(struct model){ .carries = 123456 });
	CHECK(r.a.end == CAPACITY_TRIALS && r.trials == 7 && r.a.calls > 0, "trials");
	c = usual;
	c.budget_s = 5;
	r = run(&c, &(struct model){ .carries = 123456 });
	CHECK(r.a.end == CAPACITY_BUDGET && r.spent_s <= 5 && r.a.calls > 0, "budget");
	for (unsigned i = 1; i < 500; i++) {
		r = run(&usual, &(struct model){ .carries = 1e4, .stall = 0.5, .seed = i });
		CHECK(r.trials <= 60 && r.a.end != CAPACITY_GOES_ON, "always ends");
	}
	/* Says something of each end. */
	for (enum capacity_end e = CAPACITY_GOES_ON; e <= CAPACITY_BUDGET; e++) {
		char said[128] = "";
		CHECK(capacity_said(&(struct capacity_answer){ .end = e }, said, sizeof(said))[0] !=
		              '\0',
		      "a clause for each");
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "loss", test_loss },           { "noise", test_noise },
		{ "latency", test_latency },     { "refused", test_refused },
		{ "generator", test_generator }, { "inversion", test_inversion },
		{ "ends", test_ends },           CU_TEST_INFO_NULL,
	};

	return run_suite("pkt-gen/capacity", tests);
}
