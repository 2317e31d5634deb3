/* Rates over workers, and over a data plane that began again. */
#include "control/rates.h"

#include "tests/support.h"

enum { RINGS = 3 };

static void link_up(struct dp_link *l)
{
	struct region_want want[RINGS];

	for (uint16_t i = 0; i < RINGS; i++)
		want[i] = (struct region_want){ SECTION_COUNTERS, i, sizeof(struct stats) };
	memset(l, 0, sizeof(*l));
	CHECK(region_create(&l->d, "rates-test", 1, want, RINGS, false, -1) == 0, "a region");
	l->state = LINK_UP;
	l->n_punt = RINGS;
}

static void add(struct dp_link *l, uint16_t worker, enum stat_id id, uint64_t n)
{
	stat_add(region_section(&l->d, SECTION_COUNTERS, worker, NULL), id, n);
}

static void workers_add_up(void)
{
	struct dp_link l;
	struct rates r = { .sampled_ms = 1000 };

	link_up(&l);
	add(&l, 0, STAT_RX_PACKETS, 100);
	add(&l, 1, STAT_RX_PACKETS, 50);
	add(&l, 0, STAT_CHANNEL_TO_PEER, 30);
	add(&l, 1, STAT_HAIRPIN, 3);
	add(&l, 2, STAT_NO_MBUF, 7);
	add(&l, 2, STAT_FRAME_SHORT, 1);
	add(&l, 0, STAT_FRAGMENT_HELD, 9); /* an outcome, but neither relayed nor dropped */
	rates_sample(&r, &l, 3000);
	CHECK(rates_stat(&l, STAT_RX_PACKETS) == 150, "sum");
	CHECK(r.per_s[RATE_RX_PACKETS] == 75.0, "over two seconds");
	CHECK(r.per_s[RATE_RELAYED] == 16.5, "from channel to hairpin");
	CHECK(r.per_s[RATE_DROPPED] == 4.0, "all drop reasons");
	add(&l, 0, STAT_RX_PACKETS, 1000);
	rates_sample(&r, &l, 3100);
	CHECK(r.per_s[RATE_RX_PACKETS] == 75.0, "too soon to say");
	rates_sample(&r, &l, 4000);
	CHECK(r.per_s[RATE_RX_PACKETS] == 1000.0, "the last second alone");
	region_leave(&l.d);
}

static void a_new_life_counts_from_zero(void)
{
	struct dp_link l;
	struct rates r = { .sampled_ms = 0 };

	link_up(&l);
	add(&l, 0, STAT_RX_PACKETS, 1000);
	rates_sample(&r, &l, 1000);
	region_leave(&l.d);
	l.state = LINK_OVER;
	CHECK(rates_stat(&l, STAT_RX_PACKETS) == 0, "nobody there");
	rates_sample(&r, &l, 2000);
	CHECK(r.per_s[RATE_RX_PACKETS] == 0.0, "no rate below zero");
	link_up(&l);
	add(&l, 0, STAT_RX_PACKETS, 10);
	rates_sample(&r, &l, 3000);
	CHECK(r.per_s[RATE_RX_PACKETS] == 10.0, "from zero");
	region_leave(&l.d);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "workers add up", workers_add_up },
		{ "a new life counts from zero", a_new_life_counts_from_zero },
		CU_TEST_INFO_NULL,
	};

	return run_suite("rates", tests);
}
