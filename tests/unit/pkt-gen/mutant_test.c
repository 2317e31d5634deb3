/* Mirrors pkt-gen/mutant.c: seeded, of every kind, never astray. */
#include "pkt-gen/mutant.h"
#include "pkt-gen/packet.h"
#include "tests/support.h"

enum { MANY = 40000 };

static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

static struct endpoint at(const char *text)
{
	struct endpoint e = { .port = 0 };

	CHECK(endpoint_parse(text, &e), text);
	return e;
}

static struct mutants open_at(uint64_t seed, const char *server)
{
	struct mutants g = { .random = seed, .server = at(server) };

	memcpy(g.macs, macs, sizeof(macs));
	return g;
}

static struct mutant_source source(const char *from, const char *peer)
{
	return (struct mutant_source){
		.from = at(from), .peer = at(peer), .channel = 0x4001, .user = "alice"
	};
}

static uint64_t mix(uint64_t h, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001B3);
	return h ^ len;
}

static uint64_t digest(uint64_t seed)
{
	const struct mutant_source s = source("198.18.0.2:50000", "198.18.0.9:7");
	struct mutants g = open_at(seed, "198.18.0.1:3478");
	uint64_t h = UINT64_C(0xCBF29CE484222325);

	for (unsigned i = 0; i < 2000; i++) {
		/* Old contents of the buffer must not shine through. */
		uint8_t out[MUTANT_MAX];

		memset(out, (int)(i & 0xFF) ^ (int)(h & 0xFF), sizeof(out));
		h = mix(h, out, mutant_next(&g, &s, out));
	}
	return h;
}

static uint64_t digest_over(uint8_t stale)
{
	const struct mutant_source s = source("198.18.0.2:50000", "198.18.0.9:7");
	struct mutants g = open_at(7, "198.18.0.1:3478");
	uint64_t h = UINT64_C(0xCBF29CE484222325);

	for (unsigned i = 0; i < 5000; i++) {
		uint8_t out[MUTANT_MAX];

		memset(out, stale, sizeof(out));
		h = mix(h, out, mutant_next(&g, &s, out));
	}
	return h;
}

static void test_seed(void)
{
	CHECK(digest(1) == digest(1), "same seed, same packets");
	CHECK(digest(1) != digest(2), "another seed, other packets");
	CHECK(digest_over(0x00) == digest_over(0xA5), "nothing of the buffer's past");
}

static void reach(const char *server, const struct mutant_source *s)
{
	struct mutants g = open_at(42, server);
	const bool six = !addr_is4(&g.server.addr);
	unsigned sound = 0, fragments = 0;

	for (unsigned i = 0; i < MANY; i++) {
		uint8_t *out = malloc(MUTANT_MAX);
		const size_t len = mutant_next(&g, s, out);
		struct packet p;

		CHECK(len >= PACKET_ETH + (six ? 40u : 20u) && len <= MUTANT_MAX, "length");
		CHECK(memcmp(out, macs, 12) == 0, "MACs spared");
		if (six)
			CHECK(memcmp(out + PACKET_ETH + 24, g.server.addr.ip, 16) == 0 &&
			              memcmp(out + PACKET_ETH + 8, s->from.addr.ip, 16) == 0,
			      "addresses spared");
		else
			CHECK(memcmp(out + PACKET_ETH + 16, g.server.addr.ip + 12, 4) == 0 &&
			              memcmp(out + PACKET_ETH + 12, s->from.addr.ip + 12, 4) == 0,
			      "addresses spared");
		if (packet_read(out, len, &p)) {
			sound++;
			CHECK(p.from.port == s->from.port, "source port spared");
		}
		fragments += six ? out[PACKET_ETH + 6] == 44
		                 : (be16_load(out + PACKET_ETH + 6) & 0x3FFF) != 0;
		free(out);
	}
	for (unsigned i = 0; i < MUTANT_KIND_COUNT; i++)
		CHECK(g.kind[i] > MANY / MUTANT_KIND_COUNT / 2, "every kind");
	for (unsigned i = 0; i < MUTANT_DAMAGE_COUNT; i++)
		CHECK(g.damage[i] > MANY / MUTANT_DAMAGE_COUNT / 2, "every damage");
	/* Most get past the first checks, or the flood would test those alone. */
	CHECK(sound > MANY / 2, "sound wrapping");
	CHECK(fragments > MANY / 50, "fragments");
}

static void test_reach(void)
{
	const struct mutant_source four = source("198.18.0.2:50000", "198.18.0.9:7");
	const struct mutant_source six = source("[fd00:18::2]:50000", "[fd00:18::9]:7");
	const struct mutant_source crossed = source("198.18.0.2:50000", "[fd00:18::9]:7");

	reach("198.18.0.1:3478", &four);
	reach("[fd00:18::1]:3478", &six);
	reach("198.18.0.1:3478", &crossed);
}

int main(void)
{
	CU_TestInfo tests[] = { { "seed", test_seed },
		                { "every kind and damage, none astray", test_reach },
		                CU_TEST_INFO_NULL };

	return run_suite("mutant", tests);
}
