/* Mirrors pkt-gen/capture.c: every link type, everything that may stand before UDP, every lie. */
#include <pcap/dlt.h>

#include "pkt-gen/capture.h"
#include "tests/support.h"

enum { LINKS = 7 };

static const struct {
	int link;
	uint8_t head[20];
	unsigned len, type_at; /* where the ethertype stands; 99: nowhere */
} links[LINKS] = {
	{ DLT_EN10MB, { 0 }, 14, 12 },       { DLT_LINUX_SLL, { 0 }, 16, 14 },
	{ DLT_LINUX_SLL2, { 0 }, 20, 0 },    { DLT_RAW, { 0 }, 0, 99 },
	{ DLT_IPV4, { 0 }, 0, 99 },          { DLT_NULL, { 2 }, 4, 99 },
	{ DLT_LOOP, { 0, 0, 0, 2 }, 4, 99 },
};

static struct endpoint at(const char *text)
{
	struct endpoint e = { .port = 0 };

	CHECK(endpoint_parse(text, &e), text);
	return e;
}

/* An IP packet without Ethernet. */
static size_t ip_packet(uint8_t *out, bool six, const char *payload)
{
	static const uint8_t macs[12];
	const struct endpoint from = at(six ? "[fd00::2]:1234" : "198.18.0.2:1234");
	const struct endpoint to = at(six ? "[fd00::1]:3478" : "198.18.0.1:3478");
	uint8_t frame[256];
	const size_t n =
		packet_make(frame, sizeof(frame), macs, &from, &to, payload, strlen(payload));

	memcpy(out, frame + PACKET_ETH, n - PACKET_ETH);
	return n - PACKET_ETH;
}

static size_t linked(unsigned l, bool six, uint8_t *out)
{
	memcpy(out, links[l].head, links[l].len);
	if (links[l].type_at != 99)
		be16_store(out + links[l].type_at, six ? 0x86DD : 0x0800);
	return links[l].len + ip_packet(out + links[l].len, six, "hello");
}

static enum capture read_exact(int link, const uint8_t *p, size_t captured, size_t len,
                               struct packet *out)
{
	uint8_t *exact = copy_exact(p, captured);
	const enum capture c = capture_datagram(link, exact, captured, len, out);

	if (c == CAPTURE_UDP) {
		CHECK(out->octets >= exact && out->octets + out->len <= exact + captured, "inside");
		/* Still there when the copy is gone. */
		out->octets = p + (out->octets - exact);
	}
	free(exact);
	return c;
}

static void test_links(void)
{
	for (unsigned l = 0; l < LINKS; l++)
		for (unsigned six = 0; six < 2; six++) {
			uint8_t p[256];
			const size_t n = linked(l, six != 0, p);
			struct packet out;

			CHECK(capture_knows(links[l].link), "known");
			CHECK(read_exact(links[l].link, p, n, n, &out) == CAPTURE_UDP, "read");
			CHECK(out.len == 5 && memcmp(out.octets, "hello", 5) == 0, "payload");
			CHECK(out.from.port == 1234 && out.to.port == 3478, "ports");
			CU_ASSERT_EQUAL(addr_is4(&out.from.addr), six == 0);
			/* Ethernet pads what is short. */
			memset(p + n, 0xEE, 10);
			CHECK(read_exact(links[l].link, p, n + 10, n + 10, &out) == CAPTURE_UDP &&
			              out.len == 5,
			      "padding");
		}
	CHECK(!capture_knows(DLT_IEEE802_11), "no radio");
}

/* An 802.1Q tag, two, and more than there may be. */
static void test_tags(void)
{
	for (unsigned tags = 1; tags <= 5; tags++) {
		uint8_t p[256] = { 0 };
		struct packet out;
		size_t n = 12;

		for (unsigned i = 0; i < tags; i++, n += 4) {
			be16_store(p + n, i == 0 && tags > 1 ? 0x88A8 : 0x8100);
			be16_store(p + n + 2, 100);
		}
		be16_store(p + n, 0x0800);
		n += 2 + ip_packet(p + n + 2, false, "hello");
		CU_ASSERT_EQUAL(read_exact(DLT_EN10MB, p, n, n, &out),
		                tags <= 4 ? CAPTURE_UDP : CAPTURE_OTHER);
	}
}

/* IPv6 headers before UDP, and a fragment header that says it is no fragment. */
static void test_extensions(void)
{
	static const struct {
		uint8_t next, head[8];
		enum capture want;
	} rows[] = {
		{ 0, { 17, 0, 1, 4 }, CAPTURE_UDP },
		{ 60, { 17, 0 }, CAPTURE_UDP },
		{ 43, { 17, 0, 4, 0 }, CAPTURE_UDP },
		{ 51, { 17, 0 }, CAPTURE_UDP },
		{ 44, { 17, 0, 0, 0 }, CAPTURE_UDP },
		{ 44, { 17, 0, 0, 1 }, CAPTURE_FRAGMENT },
		{ 44, { 17, 0, 0, 8 }, CAPTURE_FRAGMENT },
		{ 0, { 17, 9 }, CAPTURE_MALFORMED },
		{ 0, { 6, 0 }, CAPTURE_OTHER },
		{ 50, { 17, 0 }, CAPTURE_OTHER },
		{ 58, { 128, 0 }, CAPTURE_OTHER },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t p[256], ip[256];
		struct packet out;
		size_t n = ip_packet(ip, true, "hello");

		memcpy(p, ip, 40);
		p[6] = rows[i].next;
		be16_store(p + 4, (uint16_t)(be16_load(ip + 4) + 8));
		memcpy(p + 40, rows[i].head, 8);
		memcpy(p + 48, ip + 40, n - 40);
		CU_ASSERT_EQUAL(read_exact(DLT_RAW, p, n + 8, n + 8, &out), rows[i].want);
	}
}

static void test_four(void)
{
	static const struct {
		unsigned at;
		uint16_t value;
		enum capture want;
	} rows[] = {
		{ 6, 0x2000, CAPTURE_FRAGMENT },
		{ 6, 0x0001, CAPTURE_FRAGMENT },
		{ 6, 0x4000, CAPTURE_UDP },
		{ 8, 0x4006, CAPTURE_OTHER },
		{ 2, 0xFFFF, CAPTURE_MALFORMED },
		{ 2, 19, CAPTURE_MALFORMED },
		{ 2, 0, CAPTURE_UDP },
		{ 0, 0x4400, CAPTURE_MALFORMED },
		{ 24, 7, CAPTURE_MALFORMED },
		{ 24, 0xFFFF, CAPTURE_MALFORMED },
		{ 24, 8, CAPTURE_UDP },
		{ 0, 0x6500, CAPTURE_MALFORMED },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t p[256];
		struct packet out;
		const size_t n = ip_packet(p, false, "hello");

		be16_store(p + rows[i].at, rows[i].value);
		CU_ASSERT_EQUAL(read_exact(DLT_RAW, p, n, n, &out), rows[i].want);
	}
}

/* With options the header is longer. */
static void test_options(void)
{
	uint8_t ip[256], p[256];
	struct packet out;
	const size_t n = ip_packet(ip, false, "hello");

	memcpy(p, ip, 20);
	p[0] = 0x46;
	be16_store(p + 2, (uint16_t)(n + 4));
	memset(p + 20, 1, 4);
	memcpy(p + 24, ip + 20, n - 20);
	CHECK(read_exact(DLT_RAW, p, n + 4, n + 4, &out) == CAPTURE_UDP && out.len == 5 &&
	              out.to.port == 3478,
	      "options");
}

/* Cut at every octet: never read past, and known as cut where lengths tell. */
static void test_cut(void)
{
	for (unsigned l = 0; l < LINKS; l++)
		for (unsigned six = 0; six < 2; six++) {
			uint8_t p[256];
			const size_t n = linked(l, six != 0, p);
			const size_t head = links[l].len + (six ? 40u : 20u);
			struct packet out;

			for (size_t cut = 0; cut < n; cut++) {
				const enum capture c = read_exact(links[l].link, p, cut, n, &out);

				CHECK(c != CAPTURE_UDP, "whole only");
				CHECK(cut < head || c == CAPTURE_CUT, "cut");
			}
		}
}

/* Any octet set to any value stays inside. */
static void test_any(void)
{
	for (unsigned l = 0; l < LINKS; l++)
		for (unsigned six = 0; six < 2; six++) {
			uint8_t p[256];
			const size_t n = linked(l, six != 0, p);
			struct packet out;

			for (size_t i = 0; i < n; i++)
				for (unsigned v = 0; v < 256; v += 3) {
					const uint8_t old = p[i];

					p[i] = (uint8_t)v;
					CHECK(read_exact(links[l].link, p, n, n, &out) <
					              CAPTURE_COUNT,
					      "an outcome");
					p[i] = old;
				}
		}
}

int main(void)
{
	CU_TestInfo tests[] = { { "link types", test_links },
		                { "VLAN tags", test_tags },
		                { "IPv6 extension headers", test_extensions },
		                { "IPv4 headers", test_four },
		                { "IPv4 options", test_options },
		                { "cut short", test_cut },
		                { "any octet", test_any },
		                CU_TEST_INFO_NULL };

	return run_suite("capture", tests);
}
