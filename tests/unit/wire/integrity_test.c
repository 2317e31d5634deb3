/* Mirrors include/wire/integrity.h: STUN-059 to STUN-063. */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/support.h"
#include "wire/crc.h"
#include "wire/integrity.h"

static const uint8_t txid[12] = { 1, 2, 3 };

static void test_lengths(void)
{
	for (uint16_t len = 0; len <= 40; len++) {
		CHECK(stun_integrity_len_ok(STUN_MESSAGE_INTEGRITY, len) == (len == 20), "SHA-1");
		CHECK(stun_integrity_len_ok(STUN_MESSAGE_INTEGRITY_SHA256, len) ==
		              (len == 16 || len == 20 || len == 24 || len == 28 || len == 32),
		      "SHA-256");
	}
}

static void put(struct stun_builder *b, uint16_t type)
{
	size_t covered;
	uint8_t *mac = stun_reserve_integrity(b, type, &covered);

	HMAC(type == STUN_MESSAGE_INTEGRITY ? EVP_sha1() : EVP_sha256(), "key", 3, b->buf, covered,
	     mac, NULL);
}

static bool right(const struct stun_msg *msg, const struct stun_attr *attr)
{
	const struct stun_integrity in = stun_integrity_locate(msg, attr);
	uint8_t input[256], mac[EVP_MAX_MD_SIZE];

	memcpy(input, in.head, 4);
	memcpy(input + 4, in.rest, in.rest_len);
	HMAC(attr->type == STUN_MESSAGE_INTEGRITY ? EVP_sha1() : EVP_sha256(), "key", 3, input,
	     4 + in.rest_len, mac, NULL);
	return memcmp(mac, in.mac, in.mac_len) == 0;
}

/* Both MACs and FINGERPRINT; each MAC is over a Length that ends with it. */
static void test_ranges(void)
{
	uint8_t buf[256];
	struct stun_builder b;
	struct stun_msg msg = { 0 };
	struct stun_marks marks = { 0 };

	stun_begin(&b, buf, sizeof(buf), 0x0103, txid);
	stun_put(&b, STUN_SOFTWARE, "abc", 3);
	put(&b, STUN_MESSAGE_INTEGRITY);
	put(&b, STUN_MESSAGE_INTEGRITY_SHA256);
	stun_put_fingerprint(&b);
	CHECK(stun_finish(&b) == 20 + 8 + 24 + 36 + 8, "length");
	uint8_t *exact = copy_exact(buf, stun_finish(&b));
	CHECK(stun_open(exact, stun_finish(&b), &msg) && stun_scan(&msg, &marks), "reads");

	struct stun_integrity in = stun_integrity_locate(&msg, &marks.integrity);
	CHECK(be16_load(in.head) == 0x0103 && be16_load(in.head + 2) == 8 + 24, "SHA-1: head");
	CHECK(in.rest == exact + 4 && in.rest_len == 24, "SHA-1: rest");
	CHECK(in.mac == exact + 32 && in.mac_len == 20, "SHA-1: mac");
	in = stun_integrity_locate(&msg, &marks.sha256);
	CHECK(be16_load(in.head + 2) == 8 + 24 + 36, "SHA-256: head");
	CHECK(in.rest_len == 20 + 8 + 24 - 4, "SHA-256: rest");
	CHECK(in.mac == exact + 56 && in.mac_len == 32, "SHA-256: mac");
	CHECK(right(&msg, &marks.integrity) && right(&msg, &marks.sha256), "both verify");
	exact[24] ^= 1;
	CHECK(!right(&msg, &marks.integrity) && !right(&msg, &marks.sha256), "a bit of SOFTWARE");
	exact[24] ^= 1;
	exact[32] ^= 1;
	CHECK(!right(&msg, &marks.integrity) && !right(&msg, &marks.sha256), "STUN-063: the first");
	exact[32] ^= 1;
	exact[0] ^= 1;
	CHECK(stun_open(exact, stun_finish(&b), &msg) && !right(&msg, &marks.integrity),
	      "the type");
	free(exact);
}

/* The first attribute of all. */
static void test_bare(void)
{
	uint8_t buf[64];
	struct stun_builder b;
	struct stun_msg msg = { 0 };
	struct stun_marks marks = { 0 };

	stun_begin(&b, buf, 44, 0x0001, txid);
	put(&b, STUN_MESSAGE_INTEGRITY);
	CHECK(stun_finish(&b) == 44, "just fits");
	CHECK(stun_open(buf, 44, &msg) && stun_scan(&msg, &marks), "reads");
	CHECK(right(&msg, &marks.integrity), "verifies");

	size_t covered;
	stun_begin(&b, buf, 43, 0x0001, txid);
	CHECK(stun_reserve_integrity(&b, STUN_MESSAGE_INTEGRITY, &covered) == NULL, "no room");
	stun_begin(&b, buf, 55, 0x0001, txid);
	CHECK(stun_reserve_integrity(&b, STUN_MESSAGE_INTEGRITY_SHA256, &covered) == NULL,
	      "no room");
	CHECK(stun_finish(&b) == 0, "sticky");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "lengths", test_lengths },
		{ "ranges", test_ranges },
		{ "nothing but integrity", test_bare },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/integrity", tests);
}
