/* Mirrors control/timer.h: the wheel against a list of deadlines. */
#include <stdlib.h>
#include <string.h>

#include "control/timer.h"
#include "tests/support.h"

static uint64_t seed = 42;

static uint32_t draw(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void test_exact(void)
{
	static const uint64_t after[] = {
		0,      1,      2,       62,       63,       64,
		65,     4095,   4096,    4097,     262143,   262144,
		262145, 600000, 3600000, 16777216, 86400000, UINT64_C(5000000000)
	};
	enum { N = sizeof(after) / sizeof(after[0]) };

	for (uint64_t start = 0; start < 70; start += 7) {
		const uint64_t base = start * 977 + (start << 33);
		struct timer_wheel *w = timer_new(N, base);
		uint32_t n;

		for (uint32_t i = 0; i < N; i++)
			timer_set(w, i, base + after[i]);
		for (uint32_t i = 0; i < N; i++) {
			const uint64_t at = base + after[i];

			if (after[i] > 0)
				CHECK(!timer_take(w, at - 1, &n), "not a millisecond early");
			CHECK(timer_next(w) <= at, "asked in time");
			CHECK(timer_take(w, at, &n) && n == i, "on the millisecond");
		}
		CHECK(timer_next(w) == UINT64_MAX, "empty");
		timer_free(w);
	}
}

/* Sets, moves, clears and takes at random; a plain array says what is due. */
static void test_model(void)
{
	enum { NODES = 300 };
	uint64_t deadline[NODES], now = 123456789;
	struct timer_wheel *w = timer_new(NODES, now);
	static const uint32_t spans[] = { 3, 70, 5000, 700000, 90000000 };
	unsigned taken = 0;

	for (unsigned i = 0; i < NODES; i++)
		deadline[i] = UINT64_MAX;
	for (unsigned step = 0; step < 40000; step++) {
		const uint32_t n = draw(NODES);
		uint64_t earliest = UINT64_MAX;
		uint32_t got;

		if (draw(10) < 7) {
			deadline[n] = now + draw(spans[draw(5)]);
			timer_set(w, n, deadline[n]);
		} else if (draw(2) == 0) {
			deadline[n] = UINT64_MAX;
			timer_clear(w, n);
		}
		for (unsigned i = 0; i < NODES; i++)
			if (deadline[i] < earliest)
				earliest = deadline[i];
		CHECK(timer_next(w) <= (earliest < now ? now : earliest), "never late");
		now += draw(spans[draw(4)]);
		while (timer_take(w, now, &got)) {
			CHECK(deadline[got] <= now, "not early");
			deadline[got] = UINT64_MAX;
			taken++;
		}
		for (unsigned i = 0; i < NODES; i++)
			if (deadline[i] <= now) {
				CHECK(false, "one was forgotten");
				deadline[i] = UINT64_MAX;
			}
	}
	CHECK(taken > 1000, "timers went off");
	timer_free(w);
}

static void test_stop_early(void)
{
	struct timer_wheel *w = timer_new(8, 1000);
	uint32_t n, seen = 0;

	for (uint32_t i = 0; i < 8; i++)
		timer_set(w, i, 1500);
	CHECK(timer_take(w, 2000, &n), "the first");
	seen |= 1u << n;
	timer_set(w, n, 2001); /* set again while others are due */
	while (timer_take(w, 2000, &n))
		seen |= 1u << n;
	CHECK(seen == 0xFF, "the rest comes next time");
	CHECK(timer_take(w, 2001, &n), "and the one set again");
	CHECK(!timer_is_set(w, n) && timer_deadline_of(w, n) == UINT64_MAX, "cleared by taking");
	timer_free(w);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "deadlines to the millisecond", test_exact },
		{ "against a list", test_model },
		{ "stopping early", test_stop_early },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/timer", tests);
}
