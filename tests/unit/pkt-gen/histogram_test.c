/* Mirrors pkt-gen/histogram.c: percentiles against sorted samples, to three digits. */
#include "pkt-gen/histogram.h"

#include "tests/support.h"

enum { N = 20000 };

static uint64_t sample[N];

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* From a tick to minutes, most of them small. */
static void draw(struct histogram *h, uint64_t seed)
{
	uint64_t x = seed;

	for (unsigned i = 0; i < N; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		sample[i] = x >> (24 + x % 40);
		histogram_record(h, sample[i]);
	}
	qsort(sample, N, sizeof(*sample), compare);
}

static void test_percentiles(void)
{
	static const double q[] = { 0, 0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1 };
	struct histogram *const h = histogram_new();

	for (uint64_t seed = 1; seed < 20; seed++) {
		histogram_clear(h);
		draw(h, seed);
		CHECK(histogram_count(h) == N, "count");
		CHECK(histogram_min(h) == sample[0] && histogram_max(h) == sample[N - 1], "ends");
		for (unsigned i = 0; i < sizeof(q) / sizeof(*q); i++) {
			uint64_t rank = (uint64_t)(q[i] * N + 0.9999);

			rank = rank < 1 ? 1 : rank;
			const double want = (double)sample[rank - 1];
			const double found = (double)histogram_at(h, q[i]);

			CHECK(found >= want && found <= want * 1.001 + 1, "within a thousandth");
		}
	}
	histogram_free(h);
}

/* Every value has a slot, slots are in the order of values, and no wider than a thousandth. */
static void test_slots(void)
{
	uint32_t before = 0;

	for (uint64_t v = 0; v < UINT64_C(1) << HISTOGRAM_TOP; v += 1 + v / 3000) {
		const uint32_t slot = histogram_slot(v);

		CHECK(slot >= before && slot - before <= 1 && slot < HISTOGRAM_SLOTS, "in order");
		before = slot;
	}
	CHECK(histogram_slot((UINT64_C(1) << HISTOGRAM_TOP) - 1) == HISTOGRAM_SLOTS - 1,
	      "the last one is used");
}

static void test_empty_and_large(void)
{
	struct histogram *const h = histogram_new();

	CHECK(histogram_at(h, 0.5) == 0 && histogram_min(h) == 0 && histogram_max(h) == 0 &&
	              histogram_count(h) == 0,
	      "empty");
	histogram_record(h, UINT64_MAX);
	CHECK(histogram_max(h) == (UINT64_C(1) << HISTOGRAM_TOP) - 1, "counts as the largest");
	CHECK(histogram_at(h, 1) == histogram_max(h), "and is found there");
	histogram_free(h);
}

static void test_merge(void)
{
	struct histogram *const a = histogram_new(), *const b = histogram_new();

	histogram_scale(b, 0.5);
	histogram_record(b, 1000);
	histogram_record(b, 3000);
	histogram_add(a, b);
	CHECK(histogram_min(a) == 500 && histogram_max(a) == 1500, "takes the scale when empty");
	histogram_add(a, b);
	CHECK(histogram_count(a) == 4 && histogram_at(a, 0.5) == 500, "sums");
	histogram_clear(b);
	histogram_add(a, b);
	CHECK(histogram_count(a) == 4 && histogram_min(a) == 500, "nothing adds nothing");
	/* Placed in a burst: the same as one by one. */
	histogram_place(b, 10);
	histogram_place(b, 20);
	histogram_placed(b, 2, 10, 20);
	CHECK(histogram_count(b) == 2 && histogram_at(b, 0.5) == 5 && histogram_max(b) == 10,
	      "placed");
	histogram_free(a);
	histogram_free(b);
}

int main(void)
{
	CU_TestInfo tests[] = { { "percentiles", test_percentiles },
		                { "slots", test_slots },
		                { "empty and large", test_empty_and_large },
		                { "merge", test_merge },
		                CU_TEST_INFO_NULL };

	return run_suite("histogram", tests);
}
