/* Mirrors include/wire/stun_build.h: STUN-011 to STUN-014, STUN-039, STUN-046, STUN-056, TURN-021.
 */
#include "tests/support.h"
#include "wire/stun_build.h"

static const uint8_t txid[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static const uint8_t v4[4] = { 192, 0, 2, 1 };

/* A buffer of exactly `cap` octets that holds what was there before. */
static uint8_t *begin(struct stun_builder *b, size_t cap)
{
	uint8_t *buf = malloc(cap);

	memset(buf, 0xA5, cap);
	stun_begin(b, buf, cap, stun_type(STUN_BINDING, STUN_SUCCESS), txid);
	return buf;
}

static void test_header(void)
{
	static const uint8_t want[] = { 1, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1,  2,
		                        3, 4, 5, 6, 7,    8,    9,    10,   11, 12 };
	struct stun_builder b;
	uint8_t *buf = begin(&b, 20);

	CHECK(stun_finish(&b) == 20 && memcmp(buf, want, 20) == 0, "header");
	stun_put(&b, STUN_SOFTWARE, "", 0);
	CHECK(stun_finish(&b) == 0 && b.overflow, "no room for an empty attribute");
	free(buf);
}

/* STUN-014, TURN-021: padding is zero whatever was in the buffer; the length is right after each.
 */
static void test_padding(void)
{
	for (uint16_t len = 0; len <= 9; len++) {
		const size_t whole = 24 + pad4(len);
		struct stun_builder b;
		uint8_t *buf = begin(&b, whole);

		stun_put(&b, STUN_SOFTWARE, len == 0 ? NULL : "abcdefghi", len);
		CHECK(stun_finish(&b) == whole, "length");
		CHECK(be16_load(buf + 2) == whole - 20, "Length counts the padding");
		CHECK(be16_load(buf + 22) == len, "the attribute's does not");
		CHECK(memcmp(buf + 24, "abcdefghi", len) == 0, "value");
		for (size_t i = 24 + len; i < whole; i++)
			CHECK(buf[i] == 0, "padding");
		free(buf);
	}
}

static void test_overflow(void)
{
	for (size_t cap = 20; cap <= 33; cap++) {
		struct stun_builder b;
		uint8_t *buf = begin(&b, cap);
		const bool first = cap >= 28, second = cap >= 32;

		stun_put(&b, STUN_SOFTWARE, "abc", 3);
		CHECK((stun_finish(&b) == 28) == first, "the first fits or not");
		CHECK((stun_reserve(&b, STUN_USE_CANDIDATE, 0) != NULL) == second, "the second");
		CHECK(stun_finish(&b) == (second ? 32u : 0), "sticky");
		CHECK(be16_load(buf + 2) == (second  ? 12
		                             : first ? 8
		                                     : 0),
		      "Length is of what fits");
		free(buf);
	}
}

/* An overflow stays, even where a smaller attribute would fit; every put is then a no-op. */
static void test_sticky(void)
{
	static const uint16_t algorithms[2] = { 2, 1 };
	const struct endpoint e = { addr_from4(v4), 1 };
	const struct stun_unknown u = { { 0x7000 }, 1, true };
	const struct turn_icmp icmp = { 3, 4, 5 };
	struct stun_builder b;
	uint8_t *buf = begin(&b, 32), before[32];

	stun_put(&b, STUN_SOFTWARE, "0123456789", 10);
	memcpy(before, buf, 32);
	stun_put(&b, STUN_SOFTWARE, "a", 1);
	stun_put_u32(&b, TURN_LIFETIME, 600);
	stun_put_u8(&b, TURN_REQUESTED_TRANSPORT, 17);
	stun_put_addr(&b, STUN_MAPPED_ADDRESS, &e);
	stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, &e);
	stun_put_error(&b, 400, "");
	stun_put_address_error(&b, 2, 440, NULL);
	stun_put_unknown(&b, &u);
	stun_put_unknown_classic(&b, &u);
	stun_put_algorithms(&b, STUN_PASSWORD_ALGORITHMS, algorithms, 2);
	stun_put_icmp(&b, &icmp);
	CHECK(stun_finish(&b) == 0 && b.len == 20, "nothing was put");
	CHECK(memcmp(before, buf, 32) == 0, "nothing was written");
	free(buf);
}

/* The Length field cannot say more than 65,532. */
static void test_largest(void)
{
	uint8_t *buf = malloc(STUN_LEN_MAX + 8), *value = calloc(1, 0xFFFC);
	struct stun_builder b;

	stun_begin(&b, buf, STUN_LEN_MAX + 8, 0x0016, txid);
	stun_put(&b, TURN_DATA_ATTR, value, 0xFFF8);
	CHECK(stun_finish(&b) == STUN_LEN_MAX && be16_load(buf + 2) == 0xFFFC, "fits");
	stun_begin(&b, buf, STUN_LEN_MAX + 8, 0x0016, txid);
	stun_put(&b, TURN_DATA_ATTR, value, 0xFFF9);
	CHECK(stun_finish(&b) == 0, "does not");
	free(buf);
	free(value);
}

static void test_addresses(void)
{
	/* The mapped addresses of RFC 5769 §2.2 and §2.3, with their transaction id. */
	static const uint8_t id[12] = { 0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34,
		                        0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE };
	static const uint8_t six[16] = { 0x20, 0x01, 0x0D, 0xB8, 0x12, 0x34, 0x56, 0x78,
		                         0,    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77 };
	static const uint8_t xor4[] = { 0, 0x20, 0, 8, 0, 1, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43 };
	static const uint8_t xor6[] = { 0,    0x20, 0,    20,   0,    2,    0xA1, 0x47,
		                        0x01, 0x13, 0xA9, 0xFA, 0xA5, 0xD3, 0xF1, 0x79,
		                        0xBC, 0x25, 0xF4, 0xB5, 0xBE, 0xD2, 0xB9, 0xD9 };
	static const uint8_t plain4[] = { 0, 1, 0, 8, 0, 1, 0x80, 0x55, 192, 0, 2, 1 };
	const struct endpoint e4 = { addr_from4(v4), 32853 };
	struct endpoint e6 = { .port = 32853 };
	struct stun_builder b;
	uint8_t buf[128];

	memcpy(e6.addr.ip, six, 16);
	stun_begin(&b, buf, sizeof(buf), 0x0101, id);
	stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, &e4);
	stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, &e6);
	stun_put_addr(&b, STUN_MAPPED_ADDRESS, &e4);
	stun_put_addr(&b, STUN_MAPPED_ADDRESS, &e6);
	CHECK(stun_finish(&b) == 20 + 12 + 24 + 12 + 24, "length");
	CHECK(memcmp(buf + 20, xor4, sizeof(xor4)) == 0, "xor IPv4");
	CHECK(memcmp(buf + 32, xor6, sizeof(xor6)) == 0, "xor IPv6");
	CHECK(memcmp(buf + 56, plain4, sizeof(plain4)) == 0, "plain IPv4");
	CHECK(buf[73] == TURN_FAMILY_IPV6 && memcmp(buf + 76, six, 16) == 0, "plain IPv6");
	CHECK(be16_load(buf + 74) == 32853, "plain port");
}

static void test_codes(void)
{
	static const uint8_t want[] = { 0,   9,   0,   15,  0,   0,   4,   38,  'S', 't',
		                        'a', 'l', 'e', ' ', 'N', 'o', 'n', 'c', 'e', 0 };
	static const uint8_t bare[] = { 0, 9, 0, 4, 0, 0, 6, 99 };
	static const uint8_t family[] = { 0x80, 1, 0, 6, 2, 0, 4, 40, 'n', 'o', 0, 0 };
	static const uint8_t blanks[] = { 0, 9, 0, 8, 0, 0, 4, 20, 'a', ' ', ' ', ' ' };
	char longest[510];
	struct stun_builder b;
	uint8_t buf[600];

	stun_begin(&b, buf, sizeof(buf), 0x0111, txid);
	stun_put_error(&b, 438, stun_reason(438));
	stun_put_error(&b, 699, NULL);
	stun_put_address_error(&b, TURN_FAMILY_IPV6, 440, "no");
	stun_put_error_classic(&b, 420, "a");
	CHECK(memcmp(buf + 20, want, sizeof(want)) == 0, "438");
	CHECK(memcmp(buf + 40, bare, sizeof(bare)) == 0, "699 without reason");
	CHECK(memcmp(buf + 48, family, sizeof(family)) == 0, "ADDRESS-ERROR-CODE");
	CHECK(memcmp(buf + 60, blanks, sizeof(blanks)) == 0, "STUN-136: blanks");
	CHECK(stun_finish(&b) == 72, "length");
	stun_put_error(&b, 400, "x");
	CHECK(be16_load(buf + 74) == 5 && buf[80] == 'x', "a reason of one octet");

	memset(longest, 'r', 509);
	longest[509] = '\0';
	stun_begin(&b, buf, sizeof(buf), 0x0111, txid);
	stun_put_error(&b, 300, longest);
	CHECK(be16_load(buf + 22) == 4 + 509 && stun_finish(&b) == 20 + 4 + 4 + 512, "509 octets");
	stun_begin(&b, buf, sizeof(buf), 0x0111, txid);
	stun_put_error_classic(&b, 300, longest);
	CHECK(be16_load(buf + 22) == 4 + 508, "a multiple of 4 within the limit");
}

static void test_numbers(void)
{
	static const uint16_t algorithms[2] = { 2, 1 };
	static const uint8_t want[] = {
		0,    0x0D, 0, 4, 0x12, 0x34, 0x56, 0x78, 0, 0x19, 0, 4, 17, 0,    0, 0,
		0x80, 2,    0, 8, 0,    2,    0,    0,    0, 1,    0, 0, 0,  0x1D, 0, 4,
		0,    2,    0, 0, 0x80, 4,    0,    8,    0, 0,    3, 4, 0,  0,    5, 0x78
	};
	const struct turn_icmp icmp = { 3, 4, 1400 };
	struct stun_builder b;
	uint8_t buf[128];

	stun_begin(&b, buf, sizeof(buf), 0x0103, txid);
	stun_put_u32(&b, TURN_LIFETIME, 0x12345678);
	stun_put_u8(&b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
	stun_put_algorithms(&b, STUN_PASSWORD_ALGORITHMS, algorithms, 2);
	stun_put_algorithms(&b, STUN_PASSWORD_ALGORITHM, algorithms, 1);
	stun_put_icmp(&b, &icmp);
	CHECK(stun_finish(&b) == 20 + sizeof(want), "length");
	CHECK(memcmp(buf + 20, want, sizeof(want)) == 0, "octets");
}

static void test_unknown(void)
{
	static const uint8_t odd[] = { 0, 10, 0, 6, 0x70, 0, 0x70, 1, 0x70, 2, 0, 0 };
	static const uint8_t even[] = { 0, 10, 0, 8, 0x70, 0, 0x70, 1, 0x70, 2, 0x70, 2 };
	struct stun_unknown u = { { 0x7000, 0x7001, 0x7002 }, 3, true };
	struct stun_builder b;
	uint8_t buf[64];

	stun_begin(&b, buf, sizeof(buf), 0x0111, txid);
	stun_put_unknown(&b, &u);
	stun_put_unknown_classic(&b, &u);
	CHECK(memcmp(buf + 20, odd, sizeof(odd)) == 0, "STUN-039: padded");
	CHECK(memcmp(buf + 32, even, sizeof(even)) == 0, "STUN-136: repeated");
	u.listed = 2;
	uint8_t *exact = begin(&b, 28);
	stun_put_unknown_classic(&b, &u);
	CHECK(be16_load(exact + 22) == 4 && stun_finish(&b) == 28, "an even list is left alone");
	free(exact);
	u.listed = 0;
	stun_begin(&b, buf, sizeof(buf), 0x0111, txid);
	stun_put_unknown(&b, &u);
	CHECK(stun_finish(&b) == 24, "an empty list");
}

static void test_classic(void)
{
	static const uint8_t request[20] = { 0, 1, 0, 0, 9, 8, 7, 6, 5, 4,
		                             3, 2, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct stun_builder b;
	struct stun_msg msg = { 0 };
	uint8_t buf[20];

	CHECK(stun_open_classic(request, sizeof(request), &msg), "opens");
	stun_begin_classic(&b, buf, sizeof(buf), STUN_SUCCESS, &msg);
	CHECK(stun_finish(&b) == 20 && be16_load(buf) == 0x0101, "type");
	CHECK(memcmp(buf + 4, request + 4, 16) == 0, "STUN-133: 16 octets copied");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "header", test_header },
		{ "padding", test_padding },
		{ "overflow", test_overflow },
		{ "overflow is sticky", test_sticky },
		{ "the largest", test_largest },
		{ "addresses", test_addresses },
		{ "error codes", test_codes },
		{ "numbers", test_numbers },
		{ "unknown attributes", test_unknown },
		{ "classic", test_classic },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/stun_build", tests);
}
