/* Mirrors include/wire/checksum.h: DEMUX-070 to DEMUX-077. */
#include "tests/support.h"
#include "addr.h"
#include "wire/checksum.h"

static uint32_t state = 1;

static uint8_t octet(void)
{
	state = state * 1664525 + 1013904223;
	return (uint8_t)(state >> 24);
}

/* Word by word, in host order, as RFC 1071 tells it. */
static uint16_t textbook(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum > 0xFFFF)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint16_t host(uint16_t field)
{
	uint8_t p[2];

	csum_store(p, field);
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* Every length, at any alignment, against the textbook. */
static void test_sum(void)
{
	uint8_t octets[80];

	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = octet();
	for (size_t at = 0; at < 8; at++) {
		for (size_t len = 0; len <= 70; len++) {
			uint8_t *exact = copy_exact(octets + at, len);

			CHECK(host(csum_finish(csum_add(0, exact, len))) == textbook(exact, len),
			      "add");
			CHECK(host(csum_finish(csum_add(0, octets + at, len))) ==
			              textbook(exact, len),
			      "unaligned");
			/* What is subtracted again leaves nothing. */
			CHECK(csum_fold(csum_sub(csum_add(0, exact, len), exact, len)) % 0xFFFF ==
			              0,
			      "sub");
			free(exact);
		}
	}
}

static void test_fold(void)
{
	CHECK(csum_fold(0) == 0, "zero");
	CHECK(csum_fold(0xFFFF) == 0xFFFF, "ones stay");
	CHECK(csum_fold(0x10000) == 1, "one carry");
	CHECK(csum_fold(0x1FFFE) == 0xFFFF, "a carry to ones");
	CHECK(csum_fold(0xFFFF0000) == 0xFFFF, "high half");
	CHECK(csum_fold(0xFFFFFFFF) == 0xFFFF, "32 bits");
	CHECK(csum_fold(UINT64_C(0x100000000)) == 1, "bit 32");
	CHECK(csum_fold(UINT64_C(0xFFFFFFFFFFFFFFFF)) == 0xFFFF, "64 bits");
	CHECK(csum_fold(UINT64_C(0xFFFFFFFF0001FFFF)) == 1, "carries that carry");
	CHECK(csum_right(0xFFFF) && !csum_right(0) && !csum_right(0xFFFE), "right");
}

/* RFC 1624 §4, and the edges where equation 2 goes wrong. */
static void test_equation_3(void)
{
	static const struct {
		uint16_t old_sum, old, new, new_sum;
	} rows[] = {
		{ 0xDD2F, 0x5555, 0x3285, 0x0000 }, { 0xFFFF, 0x0000, 0x0001, 0xFFFE },
		{ 0x0000, 0x0001, 0x0000, 0x0001 }, { 0x0001, 0xFFFF, 0x0000, 0x0001 },
		{ 0xFFFF, 0xFFFF, 0x0000, 0xFFFF }, { 0x1234, 0x4321, 0x4321, 0x1234 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint64_t change = csum_add16(csum_sub16(0, rows[i].old), rows[i].new);
		uint8_t field[2] = { (uint8_t)(rows[i].old_sum >> 8), (uint8_t)rows[i].old_sum };

		CHECK(host(csum_update(csum_load(field), change)) == rows[i].new_sum, "equation 3");
	}
}

/* A packet: IPv4 or IPv6 addresses, ports, channel header, data, padding; its sum kept by updates.
 */
static void test_rewrite(void)
{
	for (unsigned round = 0; round < 2000; round++) {
		const size_t data = round % 40, pad = round % 7, len = 8 + 4 + data + pad;
		struct addr from, to, peer_from, peer_to;
		uint8_t udp[64], out[64];
		uint64_t change = 0;

		for (size_t i = 0; i < 16; i++) {
			from.ip[i] = octet();
			to.ip[i] = octet();
			peer_from.ip[i] = octet();
			peer_to.ip[i] = octet();
		}
		if (round & 1)
			from = addr_from4(from.ip), to = addr_from4(to.ip);
		if (round & 2)
			peer_from = addr_from4(peer_from.ip), peer_to = addr_from4(peer_to.ip);
		for (size_t i = 0; i < len; i++)
			udp[i] = octet();
		udp[4] = 0, udp[5] = (uint8_t)len, udp[6] = 0, udp[7] = 0;
		csum_store(udp + 6, csum_udp(from.ip, to.ip, 16, udp, (uint16_t)len));
		CHECK(csum_udp_right(from.ip, to.ip, 16, udp, (uint16_t)len), "right before");
		/* 16 octets of an IPv4 address, or its four: the same. */
		if (round & 1)
			CHECK(csum_udp_right(from.ip + 12, to.ip + 12, 4, udp, (uint16_t)len),
			      "four octets");

		memcpy(out, udp, 8);
		memcpy(out + 8, udp + 12, data);
		for (size_t i = 0; i < 4; i++)
			out[i] = octet();
		out[5] = (uint8_t)(8 + data);
		change = csum_sub(change, from.ip, 16);
		change = csum_sub(change, to.ip, 16);
		change = csum_add(change, peer_from.ip, 16);
		change = csum_add(change, peer_to.ip, 16);
		change = csum_add(csum_sub(change, udp, 4), out, 4);
		change = csum_add16(csum_sub16(change, (uint16_t)len), (uint16_t)(8 + data));
		change = csum_add16(csum_sub16(change, (uint16_t)len), (uint16_t)(8 + data));
		change = csum_sub(change, udp + 8, 4);
		change = csum_sub_at(change, udp + 12 + data, pad, data);
		const uint16_t was = csum_load(udp + 6);
		csum_store(out + 6, csum_udp_update(was, change));
		CHECK(csum_udp_right(peer_from.ip, peer_to.ip, 16, out, (uint16_t)(8 + data)),
		      "DEMUX-071");

		/* DEMUX-077: a wrong one stays as wrong. */
		const uint16_t wrong = (uint16_t)(was ^ 0x0100);
		csum_store(out + 6, csum_udp_update(wrong == 0 ? 1 : wrong, change));
		CHECK(!csum_udp_right(peer_from.ip, peer_to.ip, 16, out, (uint16_t)(8 + data)),
		      "DEMUX-077");
		CHECK(csum_udp_update(0, change) == 0, "DEMUX-072: none stays none");
	}
}

static void test_udp_zero(void)
{
	/* The sum is 0xFFFF, so the checksum would be 0. */
	static const uint8_t src[4] = { 0, 0, 0, 0 }, dst[4] = { 0, 0, 0, 0 };
	uint8_t udp[10] = { 0, 0, 0, 0, 0, 10, 0, 0, 0, 0 };

	/* 17 + 10 + 10 = 0x25 */
	udp[8] = 0xFF, udp[9] = 0xDA;
	CHECK(csum_udp(src, dst, 4, udp, 10) == 0xFFFF, "DEMUX-072: 0 is sent as 0xFFFF");
	CHECK(csum_udp_update(csum_load((const uint8_t *)"\xDD\x2F"),
	                      csum_add16(csum_sub16(0, 0x5555), 0x3285)) == 0xFFFF,
	      "and by an update");
	csum_store(udp + 6, 0xFFFF);
	CHECK(csum_udp_right(src, dst, 4, udp, 10), "DEMUX-074: 0xFFFF is right");
	udp[9]++;
	CHECK(!csum_udp_right(src, dst, 4, udp, 10), "one off");
}

/* DEMUX-075. */
static void test_odd(void)
{
	static const uint8_t padding[3] = { 0xDE, 0xAD, 0xBF };

	CHECK(csum_fold(csum_sub_at(0, padding, 3, 8)) == csum_fold(csum_sub(0, padding, 3)),
	      "even");
	/* At an odd offset the octets are 00DE ADBF. */
	static const uint8_t shifted[4] = { 0, 0xDE, 0xAD, 0xBF };
	CHECK(csum_fold(csum_sub_at(0, padding, 3, 9)) == csum_fold(csum_sub(0, shifted, 4)),
	      "odd");
	CHECK(csum_fold(csum_sub_at(5, padding, 0, 9)) % 0xFFFF == 5, "nothing");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "sum", test_sum },
		{ "fold", test_fold },
		{ "equation 3", test_equation_3 },
		{ "rewrite", test_rewrite },
		{ "udp and zero", test_udp_zero },
		{ "odd offsets", test_odd },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/checksum", tests);
}
