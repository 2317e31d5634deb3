/* Mirrors pkt-gen/profile.c and tally.c. */
#include "pkt-gen/profile.h"

#include "pkt-gen/tally.h"
#include "tests/support.h"

static void test_numbers(void)
{
	static const char *const good[] = { "24", "160", "1472", "9000" };
	static const char *const bad[] = { "",     "23",   "9001", "-1",    "160x",
		                           " 160", "0x40", "big",  "audio2" };
	struct profile p = { .pps = 7 };

	for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++)
		CHECK(profile_parse(good[i], &p) && p.n_sizes == 1 && p.pps == 0 && p.burst == 1 &&
		              p.size[0] == atoi(good[i]) && profile_mean(&p) == atoi(good[i]),
		      good[i]);
	p.pps = 7;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK(!profile_parse(bad[i], &p) && p.pps == 7, bad[i]);
}

static void test_named(void)
{
	struct profile p;
	unsigned count[3] = { 0 };

	CHECK(profile_parse("imix", &p) && p.n_sizes == 12 && p.pps == 0, "imix");
	for (unsigned i = 0; i < p.n_sizes; i++)
		count[p.size[i] == 24 ? 0 : p.size[i] == 544 ? 1 : 2]++;
	CHECK(count[0] == 7 && count[1] == 4 && count[2] == 1, "seven, four, one");
	CHECK(profile_parse("audio", &p) && p.pps == 50 && p.size[0] == 160, "audio");
	CHECK(profile_parse("video", &p), "video");
	const double bits = profile_mean(&p) * 8 * p.pps;

	CHECK(bits > 1.95e6 && bits < 2.05e6 && p.pps / p.burst == 30, "2 Mbit/s in 30 frames");
}

static void test_tally(void)
{
	struct tally a = { .sent = 10, .received = 7, .lost = 2, .in_flight = 1 };
	struct tally b = { .sent = 5, .received = 5, .corrupted = 1 };

	CHECK(tally_gap(&a) == 0 && tally_loss(&a) > 0.222 && tally_loss(&a) < 0.223, "closes");
	tally_add(&a, &b);
	CHECK(a.sent == 15 && a.received == 12 && a.corrupted == 1 && tally_gap(&a) == 0, "adds");
	a.lost++;
	CHECK(tally_gap(&a) == -1, "by how much it does not");
	a.latency = histogram_new();
	histogram_record(a.latency, 3);
	tally_clear(&a);
	CHECK(a.sent == 0 && a.latency && histogram_count(a.latency) == 0 && tally_loss(&a) == 0,
	      "cleared");
	histogram_free(a.latency);
}

int main(void)
{
	CU_TestInfo tests[] = { { "numbers", test_numbers },
		                { "named", test_named },
		                { "tally", test_tally },
		                CU_TEST_INFO_NULL };

	return run_suite("profile", tests);
}
