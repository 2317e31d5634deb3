/* Mirrors include/wire/crc.h and crc.c: STUN-026, STUN-067, STUN-068. */
#include "tests/support.h"
#include "wire/crc.h"

static const uint8_t txid[12] = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2 };

/* Bit by bit, from the polynomial. */
static uint32_t plain(const uint8_t *p, size_t len)
{
	uint32_t c = 0xFFFFFFFF;

	for (size_t i = 0; i < len; i++) {
		c ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? 0xEDB88320 : 0);
	}
	return ~c;
}

static void test_crc(void)
{
	uint8_t octets[72];
	uint32_t random = 1;

	CHECK(crc32_ieee((const uint8_t *)"123456789", 9) == 0xCBF43926, "the check value");
	CHECK(crc32_ieee(octets, 0) == 0, "nothing");
	for (size_t i = 0; i < sizeof(octets); i++) {
		random = random * 1664525 + 1013904223;
		octets[i] = (uint8_t)(random >> 24);
	}
	/* Every length and alignment about the step of eight. */
	for (size_t at = 0; at < 8; at++) {
		for (size_t len = 0; len <= 64; len++) {
			uint8_t *exact = copy_exact(octets + at, len);

			CHECK(crc32_ieee(exact, len) == plain(octets + at, len), "exact");
			CHECK(crc32_ieee(octets + at, len) == plain(octets + at, len), "unaligned");
			free(exact);
		}
	}
}

/* Each entry of each table: an octet and so many zeros behind it. */
static void test_table(void)
{
	for (unsigned k = 0; k < 8; k++) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (unsigned bit = 0; bit < 8 * (k + 1); bit++)
				c = c >> 1 ^ (c & 1 ? 0xEDB88320 : 0);
			CHECK(crc_table[k][i] == c, "entry");
		}
	}
}

static enum stun_fingerprint check(const uint8_t *buf, size_t len)
{
	uint8_t *exact = copy_exact(buf, len);
	struct stun_msg msg = { 0 };
	struct stun_marks marks = { 0 };

	CHECK(stun_open(exact, len, &msg) && stun_scan(&msg, &marks), "reads");
	const enum stun_fingerprint is = stun_fingerprint_check(&msg, &marks);
	free(exact);
	return is;
}

static void test_fingerprint(void)
{
	uint8_t buf[64];
	struct stun_builder b;

	stun_begin(&b, buf, sizeof(buf), 0x0001, txid);
	stun_put(&b, STUN_SOFTWARE, "abc", 3);
	CHECK(check(buf, stun_finish(&b)) == STUN_FINGERPRINT_NONE, "none");
	stun_put_fingerprint(&b);
	CHECK(stun_finish(&b) == 36, "eight octets");
	CHECK(be32_load(buf + 32) == (plain(buf, 28) ^ 0x5354554E), "over a header that counts it");
	CHECK(check(buf, 36) == STUN_FINGERPRINT_RIGHT, "right");

	/* Any bit but those of the fixed header's fields that must be as they are. */
	for (size_t bit = 8 * 8; bit < 36 * 8; bit++) {
		struct stun_msg msg = { 0 };
		struct stun_marks marks;

		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (stun_open(buf, 36, &msg) && stun_scan(&msg, &marks))
			CHECK(stun_fingerprint_check(&msg, &marks) != STUN_FINGERPRINT_RIGHT,
			      "a bit");
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void test_misplaced(void)
{
	uint8_t buf[64];
	struct stun_builder b;

	stun_begin(&b, buf, sizeof(buf), 0x0001, txid);
	stun_put_fingerprint(&b);
	stun_put(&b, STUN_SOFTWARE, "", 0);
	/* Make the value right for where it stands. */
	be32_store(buf + 24, plain(buf, 20) ^ 0x5354554E);
	CHECK(check(buf, stun_finish(&b)) == STUN_FINGERPRINT_WRONG, "not last");

	stun_begin(&b, buf, sizeof(buf), 0x0001, txid);
	stun_put(&b, STUN_FINGERPRINT, "abc", 3);
	be32_store(buf + 24, plain(buf, 20) ^ 0x5354554E);
	CHECK(check(buf, stun_finish(&b)) == STUN_FINGERPRINT_WRONG, "three octets");

	stun_begin(&b, buf, sizeof(buf), 0x0001, txid);
	stun_put(&b, STUN_FINGERPRINT, "abcdefgh", 8);
	be32_store(buf + 24, plain(buf, 20) ^ 0x5354554E);
	CHECK(check(buf, stun_finish(&b)) == STUN_FINGERPRINT_WRONG, "eight octets");

	/* It may not be what an empty value reads beyond the end. */
	stun_begin(&b, buf, sizeof(buf), 0x0001, txid);
	stun_put(&b, STUN_FINGERPRINT, "", 0);
	CHECK(check(buf, stun_finish(&b)) == STUN_FINGERPRINT_WRONG, "empty");

	stun_begin(&b, buf, 20, 0x0001, txid);
	stun_put_fingerprint(&b);
	CHECK(stun_finish(&b) == 0, "no room");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "crc-32", test_crc },
		{ "tables", test_table },
		{ "fingerprint", test_fingerprint },
		{ "fingerprint in the wrong place or form", test_misplaced },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/crc", tests);
}
