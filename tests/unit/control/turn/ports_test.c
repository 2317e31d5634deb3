/* Mirrors control/turn/ports.h: TURN-046, TURN-047, TURN-056 to TURN-060. */
#include <stdlib.h>
#include <string.h>

#include "control/turn/ports.h"
#include "tests/support.h"

static uint64_t seed;

static uint32_t draw(void *arg, uint32_t below)
{
	(void)arg;
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 32) * below >> 32);
}

static void test_all(void)
{
	struct ports *p = ports_new(49152, 65535);
	uint8_t *seen = calloc(65536, 1);

	seed = 1;
	for (unsigned round = 0; round < 3; round++) { /* TURN-058: emptied and refilled */
		memset(seen, 0, 65536);
		for (unsigned i = 0; i < 16384; i++) {
			const uint16_t port = ports_take(p, PORTS_ANY, 100, draw, NULL);

			CHECK(port >= 49152 && seen[port] == 0, "TURN-056, TURN-059");
			seen[port] = 1;
		}
		CHECK(ports_take(p, PORTS_ANY, 100, draw, NULL) == 0, "none left");
		for (unsigned port = 49152; port < 65536; port++)
			ports_release(p, (uint16_t)port, 100, round == 1 ? 30 : 0);
		CHECK(ports_left(p) == 16384, "all back");
	}
	free(seen);
	ports_free(p);
}

static void test_even(void)
{
	struct ports *p = ports_new(49152, 65535);

	for (unsigned i = 0; i < 8192; i++) /* TURN-046: N+1 stays free for others */
		CHECK(ports_take(p, PORTS_EVEN, 0, draw, NULL) % 2 == 0, "even");
	CHECK(ports_take(p, PORTS_EVEN, 0, draw, NULL) == 0, "no even one left");
	for (unsigned i = 0; i < 8192; i++)
		CHECK(ports_take(p, PORTS_ANY, 0, draw, NULL) % 2 == 1, "8192 ordinary ones after");
	CHECK(ports_left(p) == 0, "none lost");
	ports_free(p);
}

static void test_pairs(void)
{
	static const struct {
		uint16_t min, max;
		unsigned pairs;
	} ranges[] = { { 1024, 1031, 4 }, { 1025, 1031, 3 }, { 1024, 1030, 3 },
		       { 1025, 1030, 2 }, { 1024, 1024, 0 }, { 1025, 1026, 0 } };

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct ports *p = ports_new(ranges[i].min, ranges[i].max);
		unsigned n = 0;
		uint16_t port;

		while ((port = ports_take(p, PORTS_PAIR, 0, draw, NULL)) != 0) {
			CHECK(port % 2 == 0 && port < ranges[i].max, "TURN-047: N even, N+1 there");
			CHECK(ports_taken(p, port) && ports_taken(p, (uint16_t)(port + 1)), "both");
			n++;
		}
		CHECK(n == ranges[i].pairs, "every pair");
		CHECK(ports_left(p) == (uint32_t)(ranges[i].max - ranges[i].min + 1) - 2 * n,
		      "the odd ends are free");
		ports_free(p);
	}
}

/* One half of a pair taken and given back: the pair is whole again, once. */
static void test_pair_again(void)
{
	struct ports *p = ports_new(1024, 1025);

	for (unsigned i = 0; i < 4; i++) {
		CHECK(ports_take_this(p, 1024) && ports_take_this(p, 1025), "both");
		CHECK(!ports_take_this(p, 1024), "once");
		ports_release(p, (uint16_t)(1024 + i % 2), 0, 0);
		CHECK(ports_take(p, PORTS_PAIR, 0, draw, NULL) == 0, "half a pair");
		ports_release(p, (uint16_t)(1025 - i % 2), 0, 0);
		CHECK(ports_take(p, PORTS_PAIR, 0, draw, NULL) == 1024, "a pair");
		CHECK(ports_take(p, PORTS_PAIR, 0, draw, NULL) == 0, "one pair");
		ports_release(p, 1024, 0, 0);
		ports_release(p, 1024, 0, 0); /* twice is once */
		ports_release(p, 1025, 0, 0);
		CHECK(ports_left(p) == 2, "two");
	}
	CHECK(!ports_take_this(p, 1023) && !ports_take_this(p, 1026), "out of range");
	ports_free(p);
}

static void test_rest(void)
{
	struct ports *p = ports_new(2000, 2009);
	bool again = false;
	uint16_t port;

	CHECK(ports_take_this(p, 2004), "taken");
	ports_release(p, 2004, 100, 30);
	for (unsigned i = 0; i < 9; i++) /* TURN-060 */
		again |= ports_take(p, PORTS_ANY, 129, draw, NULL) == 2004;
	CHECK(!again, "a freed port rests");
	CHECK(ports_take(p, PORTS_ANY, 129, draw, NULL) == 2004, "less when the pool is short");
	ports_release(p, 2004, 200, 30);
	ports_release(p, 2005, 201, 30);
	port = ports_take(p, PORTS_ANY, 230, draw, NULL);
	CHECK(port == 2004, "rested long enough");
	CHECK(ports_take(p, PORTS_EVEN, 230, draw, NULL) == 0, "the other one is odd");
	CHECK(ports_left(p) == 1, "and still there");
	ports_free(p);
}

/* TURN-057: 16 bins, and no correlation of a port with the next one. */
static void test_random(void)
{
	enum { N = 16000 };
	struct ports *p = ports_new(49152, 65535);
	unsigned bin[16] = { 0 }, up = 0;
	uint16_t last = 0;
	double chi = 0;

	seed = 7;
	for (unsigned i = 0; i < N; i++) {
		const uint16_t port =
			ports_take(p, i % 3 == 0 ? PORTS_EVEN : PORTS_ANY, 0, draw, NULL);

		bin[(port - 49152) / 1024]++;
		up += port > last;
		last = port;
		ports_release(p, port, 0, 0);
	}
	for (unsigned i = 0; i < 16; i++)
		chi += (bin[i] - N / 16.0) * (bin[i] - N / 16.0) / (N / 16.0);
	CHECK(chi < 37.7, "chi-square, 15 degrees, 0.1 %");
	CHECK(up > N * 0.47 && up < N * 0.53, "no serial order");
	ports_free(p);
}

/* The same when nearly everything is taken, where a draw selects instead of guessing. */
static void test_random_full(void)
{
	enum { LEFT = 16, N = LEFT * 1000 };
	struct ports *p = ports_new(1024, 65535);
	unsigned bin[65536] = { 0 };
	double chi = 0;

	seed = 11;
	for (unsigned port = 1024; port < 65536; port++)
		if (port % 4032 != 7)
			CHECK(ports_take_this(p, (uint16_t)port), "taken");
	CHECK(ports_left(p) == LEFT, "16 left");
	for (unsigned i = 0; i < N; i++) {
		const uint16_t port = ports_take(p, PORTS_ANY, 0, draw, NULL);

		bin[port]++;
		ports_release(p, port, 0, 0);
	}
	for (unsigned port = 1024; port < 65536; port++)
		if (port % 4032 == 7)
			chi += (bin[port] - N / 16.0) * (bin[port] - N / 16.0) / (N / 16.0);
		else
			CHECK(bin[port] == 0, "taken ones are not drawn");
	CHECK(chi < 37.7, "TURN-057: chi-square, 15 degrees, 0.1 %");
	ports_free(p);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "every port, again and again", test_all },
		{ "EVEN-PORT without R", test_even },
		{ "pairs", test_pairs },
		{ "a pair made whole", test_pair_again },
		{ "rest", test_rest },
		{ "randomness", test_random },
		{ "random when nearly full", test_random_full },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/ports", tests);
}
