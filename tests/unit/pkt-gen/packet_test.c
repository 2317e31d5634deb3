/* Mirrors pkt-gen/packet.c: what is made is read back, with right checksums. */
#include "pkt-gen/packet.h"
#include "tests/support.h"

static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

static struct endpoint at(const char *text)
{
	struct endpoint e = { .port = 0 };

	CHECK(endpoint_parse(text, &e), text);
	return e;
}

static bool sums_right(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + PACKET_ETH;

	if (be16_load(frame + 12) == 0x0800)
		return csum_right(csum_add(0, ip, 20)) &&
		       csum_udp_right(ip + 12, ip + 16, 4, ip + 20, (uint16_t)(len - 34));
	return csum_udp_right(ip + 8, ip + 24, 16, ip + 40, (uint16_t)(len - 54));
}

static void round_trip(const char *from, const char *to)
{
	const struct endpoint a = at(from), b = at(to);
	uint8_t payload[300], frame[PACKET_MAX];
	struct packet p;

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof(payload); len++) {
		const size_t n = packet_make(frame, sizeof(frame), macs, &a, &b, payload, len);
		uint8_t *exact = copy_exact(frame, n);

		CU_ASSERT_EQUAL(n, packet_len(&b, len));
		CHECK(sums_right(exact, n), "checksums");
		CHECK(memcmp(exact, macs, 12) == 0, "MACs");
		CHECK(packet_read(exact, n, &p) && endpoint_equal(&p.from, &a) &&
		              endpoint_equal(&p.to, &b) && p.len == len &&
		              memcmp(p.octets, payload, len) == 0,
		      "read back");
		free(exact);
		CU_ASSERT_EQUAL(packet_make(frame, n - 1, macs, &a, &b, payload, len), 0);
	}
}

static void test_make(void)
{
	round_trip("198.18.0.2:1", "198.18.0.1:65535");
	round_trip("[fd00:18::2]:50000", "[fd00:18::1]:3478");
}

/* A stamped template is the very frame that packet_make() makes. */
static void same_as_made(const char *to_text, const char *const *sources)
{
	const struct endpoint to = at(to_text);
	uint8_t payload[28] = { 0, 3, 0, 8, 0x21, 0x12, 0xA4, 0x42 };
	uint8_t want[PACKET_MAX], got[PACKET_MAX];
	struct packet_template t;

	payload[20] = 0x19;
	packet_template(&t, macs, &to.addr, payload, sizeof(payload));
	for (unsigned i = 0; sources[i] != NULL; i++) {
		const struct endpoint from = at(sources[i]);
		uint8_t txid[STUN_TXID_LEN], filled[28];

		memset(txid, (int)(0xF0 + i), sizeof(txid));
		memcpy(filled, payload, sizeof(filled));
		memcpy(filled + 8, txid, sizeof(txid));
		const size_t n = packet_make(want, sizeof(want), macs, &from, &to, filled, 28);
		packet_stamp(got, &t, &from, to.port, txid);
		CU_ASSERT_EQUAL(n, t.len);
		CHECK(memcmp(want, got, n) == 0, sources[i]);
		packet_stamp(got, &t, &from, to.port, NULL);
		CHECK(sums_right(got, n), "without a transaction id");
	}
}

static void test_template(void)
{
	static const char *const four[] = { "198.18.0.2:1024", "198.19.255.255:65535",
		                            "198.19.0.0:1", NULL };
	static const char *const six[] = { "[2001:2::1]:1024", "[fd00:18::ffff]:65535", NULL };

	same_as_made("198.18.0.1:3478", four);
	same_as_made("[fd00:18::1]:3478", six);
}

/* Every shorter frame, and every length that lies, is refused or stays inside. */
static void test_hostile(void)
{
	static const char *const ends[2][2] = { { "198.18.0.2:9", "198.18.0.1:7" },
		                                { "[fd00::2]:9", "[fd00::1]:7" } };

	for (unsigned f = 0; f < 2; f++) {
		const struct endpoint a = at(ends[f][0]), b = at(ends[f][1]);
		uint8_t frame[128];
		const size_t n = packet_make(frame, sizeof(frame), macs, &a, &b, "payload", 7);
		const size_t ip_len = PACKET_ETH + (f == 0 ? 2 : 4);
		const size_t udp_len = PACKET_ETH + (f == 0 ? 20 : 40) + 4;
		struct packet p;

		for (size_t len = 0; len < n; len++) {
			uint8_t *cut = copy_exact(frame, len);

			CHECK(!packet_read(cut, len, &p), "cut short");
			free(cut);
		}
		for (unsigned v = 0; v < 65536; v += 5) {
			uint8_t *lie = copy_exact(frame, n);

			be16_store(lie + (v % 2 ? ip_len : udp_len), (uint16_t)v);
			if (packet_read(lie, n, &p))
				CHECK(p.octets >= lie && p.octets + p.len <= lie + n, "inside");
			free(lie);
		}
	}
}

int main(void)
{
	CU_TestInfo tests[] = { { "made and read back", test_make },
		                { "templates", test_template },
		                { "hostile frames", test_hostile },
		                CU_TEST_INFO_NULL };

	return run_suite("packet", tests);
}
