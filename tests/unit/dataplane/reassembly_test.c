/* Fragments of our UDP (TURN-145): in order, reversed, missing, overlapping, flood. */
#include "dataplane/reassembly.h"

#include "tests/unit/dataplane/bed.h"
#include "wire/checksum.h"
#include "wire/stun_build.h"

#define CLIENT4 "198.18.0.9:40000"
#define CLIENT6 "[fd00:18::9]:40000"
static uint8_t whole[BED_FRAME], out[BED_FRAME], payload[BED_FRAME];

static void begin(const char *more)
{
	bed_start(more);
	for (unsigned six = 0; six < 2; six++) {
		const char *client = six ? CLIENT6 : CLIENT4;
		const struct cmd_flow a =
			bed_allocation(client, (uint16_t)six, (uint16_t)(50000 + six));
		const struct cmd_flow c = bed_channel(
			client, 0x4000, six ? "[fd00:18::1:5]:5000" : "198.18.1.5:5000");

		bed_set(&a);
		bed_set(&c);
	}
	bed_zero();
}

/* A ChannelData datagram of `len` octets of data; its frame stands in `whole`. */
static uint32_t make(bool six, uint32_t len)
{
	channel_put(payload, 0x4000, (uint16_t)len);
	for (uint32_t i = 0; i < len; i++)
		payload[4 + i] = (uint8_t)(i * 31 + (i >> 8));
	return bed_udp(whole, six ? CLIENT6 : CLIENT4,
	               six ? "[fd00:18::1]:3478" : "198.18.0.1:3478", payload, len + 4);
}

/* The piece of `whole` from `at` on, `len` octets of what IP carries, as a frame. */
static struct rte_mbuf *piece(uint32_t at, uint32_t len, bool more, uint32_t id)
{
	static uint8_t f[BED_FRAME];
	const bool six = whole[14] >> 4 == 6;
	const uint32_t head = 14 + (six ? 48 : 20);

	memcpy(f, whole, six ? 54 : 34);
	if (six) {
		be16_store(f + 18, (uint16_t)(8 + len));
		f[20] = 44;
		f[54] = 17;
		f[55] = 0;
		be16_store(f + 56, (uint16_t)(at | more));
		be32_store(f + 58, id);
	} else {
		be16_store(f + 16, (uint16_t)(20 + len));
		be16_store(f + 18, (uint16_t)id);
		be16_store(f + 20, (uint16_t)((more ? 0x2000 : 0) | at / 8));
		csum_store(f + 24, 0);
		csum_store(f + 24, csum_finish(csum_add(0, f + 14, 20)));
	}
	memcpy(f + head, whole + (six ? 54 : 34) + at, len);
	return bed_mbuf(f, head + len);
}

/* Through the worker and the service turn. */
static void come(struct rte_mbuf *m)
{
	const uint64_t held = bed_count(STAT_FRAGMENT_HELD);

	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	CHECK(bed_count(STAT_FRAGMENT_HELD) == held + 1, "taken");
	bed_turn();
}

static unsigned pieces_of(uint32_t carried, uint32_t step)
{
	return (carried + step - 1) / step;
}

static struct rte_mbuf *nth(uint32_t carried, uint32_t step, unsigned i, uint32_t id)
{
	const uint32_t at = i * step, len = RTE_MIN(step, carried - at);

	return piece(at, len, at + len < carried, id);
}

static void relayed(uint32_t len, const char *name)
{
	struct rte_mbuf *m[BED_REPLIES];
	const unsigned n = bed_sent(m);
	unsigned fragments;

	CU_ASSERT_FATAL(n > 0);
	const uint32_t octets = bed_join(m, n, out, &fragments);
	const bool six = out[14] >> 4 == 6;
	const uint8_t *udp = out + (six ? 54 : 34);

	CHECK(octets == (uint32_t)(udp - out) + 8 + len && memcmp(udp + 8, payload + 4, len) == 0,
	      name);
	/* TURN-143: what came in fragments leaves with a Fragment header. */
	CHECK(!six || fragments == n, name);
	CHECK(csum_udp_right(out + (six ? 22 : 26), out + (six ? 38 : 30), six ? 16 : 4, udp,
	                     be16_load(udp + 4)),
	      name);
	bed_free(m, n);
}

static void test_orders(void)
{
	static const uint32_t sizes[] = { 1000, 3000, 9000, 65000 };

	begin(NULL);
	for (unsigned six = 0; six < 2; six++)
		for (unsigned s = 0; s < RTE_DIM(sizes); s++)
			for (unsigned order = 0; order < 3; order++) {
				const uint32_t carried = make(six, sizes[s]) - (six ? 54 : 34);
				const uint32_t step = sizes[s] == 1000 ? 8 * 60 : 1448;
				const unsigned n = pieces_of(carried, step);

				for (unsigned i = 0; i < n; i++) {
					const unsigned k = order == 0   ? i
					                   : order == 1 ? n - 1 - i
					                   : i < (n + 1) / 2
					                           ? 2 * i
					                           : 2 * (i - (n + 1) / 2) + 1;

					come(nth(carried, step, k, 100 * s + order));
				}
				relayed(sizes[s], "in order, reversed, evens first");
			}
	CHECK(bed_count(STAT_REASSEMBLED) == 24 && bed_count(STAT_CHANNEL_TO_PEER) == 24,
	      "counted");
	CHECK(reassembly_count(bed.service->reassembly) == 0, "no place is kept");
	bed_stop();
}

static void test_missing(void)
{
	struct rte_mbuf *m[BED_REPLIES];
	const uint32_t step = 1448;

	begin(NULL);
	const uint32_t carried = make(false, 3000) - 34;

	come(nth(carried, step, 0, 1));
	come(nth(carried, step, 2, 1));
	come(nth(carried, step, 1, 2)); /* another datagram's */
	CHECK(bed_sent(m) == 0 && reassembly_count(bed.service->reassembly) == 2, "waits");
	bed.service->self.now_ns += REASSEMBLY_NS + UINT64_C(1000000000);
	reassembly_expire(bed.service->reassembly, &bed.service->self);
	CHECK(reassembly_count(bed.service->reassembly) == 0 && bed_count(STAT_REASSEMBLY_BAD) == 2,
	      "late");
	bed_stop();
}

static void test_bad(void)
{
	struct rte_mbuf *m[BED_REPLIES];
	const uint32_t step = 1448;

	for (unsigned six = 0; six < 2; six++) {
		begin(NULL);
		const uint32_t carried = make(six, 3000) - (six ? 54 : 34);
		unsigned bad = 0;
#define SPOILED(what)                                                         \
	do {                                                                  \
		CHECK(bed_count(STAT_REASSEMBLY_BAD) == ++bad &&              \
		              reassembly_count(bed.service->reassembly) == 0, \
		      what);                                                  \
	} while (0)
		come(nth(carried, step, 0, 1));
		come(piece(step - 8, step, true, 1));
		SPOILED("overlaps (RFC 5722)");
		come(nth(carried, step, 1, 2));
		whole[(six ? 54 : 34) + step + 20] ^= 1;
		come(piece(step + 8, 80, true, 2));
		whole[(six ? 54 : 34) + step + 20] ^= 1;
		SPOILED("inside of another, other octets");
		come(nth(carried, step, 1, 3));
		come(piece(step - 8, step + 16, true, 3));
		SPOILED("around another");
		come(nth(carried, step, 0, 4));
		whole[(six ? 54 : 34) + 20] ^= 1;
		come(nth(carried, step, 0, 4));
		whole[(six ? 54 : 34) + 20] ^= 1;
		SPOILED("the same place, other octets");
		come(piece(0, 12, true, 5));
		SPOILED("no multiple of eight, and more to come");
		come(nth(carried, step, 2, 6));
		come(piece(3200, 80, true, 6));
		SPOILED("behind the last");
		come(piece(3200, 80, true, 7));
		come(piece(1448, 100, false, 7));
		SPOILED("a last one before another");
		come(piece(65528, 80, true, 8));
		SPOILED("larger than a packet");
		/* An exact copy does no harm. */
		come(nth(carried, step, 0, 9));
		come(nth(carried, step, 0, 9));
		come(nth(carried, step, 2, 9));
		come(nth(carried, step, 2, 9));
		CHECK(bed_sent(m) == 0, "not yet");
		come(nth(carried, step, 1, 9));
		relayed(3000, "copies are ignored");
		CHECK(bed_count(STAT_REASSEMBLY_BAD) == bad, "and not counted");
		bed_stop();
	}
}

/* A source gets a share, all of them no more than there is. */
static void test_flood(void)
{
	static char source[40];

	begin("limits: { reassembly: 128 }\n");
	make(false, 3000);
	for (uint32_t id = 0; id < 50; id++)
		come(piece(0, 1448, true, id));
	CHECK(reassembly_count(bed.service->reassembly) == 8 &&
	              bed_count(STAT_REASSEMBLY_FULL) == 42,
	      "one prefix: a sixteenth");
	for (uint32_t i = 0; i < 400; i++) {
		snprintf(source, sizeof(source), "9.%u.%u.1:40000", i >> 6, i & 63);
		bed_udp(whole, source, "198.18.0.1:3478", payload, 3004);
		come(piece(0, 1448, true, i));
	}
	CHECK(reassembly_count(bed.service->reassembly) == 128, "full");
	bed.service->self.now_ns += REASSEMBLY_NS + UINT64_C(1000000000);
	reassembly_expire(bed.service->reassembly, &bed.service->self);
	CHECK(reassembly_count(bed.service->reassembly) == 0, "late");
	const uint32_t carried = make(false, 3000) - 34;

	for (unsigned i = 0; i < 3; i++)
		come(nth(carried, 1448, i, 7));
	relayed(3000, "and it recovers");
	bed_stop();
}

/* The host's own fragments are not swallowed; STUN in fragments is answered. */
static void test_others(void)
{
	struct rte_mbuf *m[BED_REPLIES];
	static const uint8_t txid[12] = { 1 };
	struct stun_builder b;
	unsigned fragments;

	begin(NULL);
	for (unsigned six = 0; six < 2; six++) {
		memset(payload, 0x77, 3000);
		const uint32_t len =
			bed_udp(whole, six ? "[fd00:18::1:5]:53" : "198.18.1.5:53",
		                six ? "[fd00:18::1]:33333" : "198.18.0.1:33333", payload, 3000);
		const uint32_t carried = len - (six ? 54 : 34);

		for (unsigned i = 0; i < 3; i++)
			come(nth(carried, 1448, i, 7));
		bed_turn();
		CHECK(bed_sent(m) == 0 && bed.n_kernel == 3, "to the kernel, in fragments");
		CHECK(bed_join(bed.kernel, bed.n_kernel, out, &fragments) == len &&
		              memcmp(out + len - 3008, whole + len - 3008, 3008) == 0,
		      "whole");
		bed_free(bed.kernel, bed.n_kernel);
		bed.n_kernel = 0;
	}
	stun_begin(&b, payload, sizeof(payload), STUN_BINDING, txid);
	static const uint8_t filler[1500];

	stun_put(&b, 0x8055, filler, 1500);
	const uint32_t carried =
		bed_udp(whole, CLIENT4, "198.18.0.1:3478", payload, (uint32_t)b.len) - 34;

	come(nth(carried, 800, 1, 9));
	come(nth(carried, 800, 0, 9));
	CHECK(bed_sent(m) == 1 && bed_see(m[0], "Binding").len == 32, "answered");
	bed_free(m, 1);
	/* More than a packet buffer holds cannot be punted. */
	stun_put(&b, 0x8055, filler, 1500);
	stun_put(&b, 0x8055, filler, 1500);
	const uint32_t more =
		bed_udp(whole, CLIENT4, "198.18.0.1:3478", payload, (uint32_t)b.len) - 34;

	for (unsigned i = 0; i < pieces_of(more, 1448); i++)
		come(nth(more, 1448, i, 10));
	CHECK(bed_sent(m) == 0 && bed_count(STAT_PUNT_TOO_LONG) == 1, "too long");
	bed_stop();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "orders (TURN-145)", test_orders },  { "missing", test_missing },
		{ "overlapping and worse", test_bad }, { "flood", test_flood },
		{ "others' and STUN", test_others },   CU_TEST_INFO_NULL,
	};

	return run_suite("dataplane/reassembly", tests);
}
