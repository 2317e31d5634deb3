/* Mirrors include/wire/check.c: ICE-089, ICE-134, ICE-135, ICE-168. */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/support.h"
#include "wire/check.h"
#include "wire/crc.h"
#include "wire/integrity.h"

static const uint8_t txid[STUN_TXID_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static const char pwd[] = "abcdefghijklmnopqrstuvwx";

/* What a check under test is made of. */
struct made {
	const char *name;
	uint16_t priority_len, use_len, role_len; /* UINT16_MAX: not there */
	bool controlling, controlled, no_integrity, sha256, no_fingerprint;
	uint16_t extra; /* 0: none */
};

#define ABSENT UINT16_MAX
#define SIZES(priority, use, role) .priority_len = priority, .use_len = use, .role_len = role
#define GOOD .name = "ours:them", SIZES(4, ABSENT, 8)

static void put_mac(struct stun_builder *b, uint16_t type)
{
	size_t covered;
	uint8_t *const mac = stun_reserve_integrity(b, type, &covered);

	HMAC(type == STUN_MESSAGE_INTEGRITY ? EVP_sha1() : EVP_sha256(), pwd, (int)strlen(pwd),
	     b->buf, covered, mac, NULL);
}

/* An exactly sized message; the caller frees it. */
static uint8_t *make(const struct made *m, size_t *len)
{
	static const uint8_t octets[16] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	uint8_t buf[512];
	struct stun_builder b;

	stun_begin(&b, buf, sizeof(buf), stun_type(STUN_BINDING, STUN_REQUEST), txid);
	if (m->name)
		stun_put(&b, STUN_USERNAME, m->name, (uint16_t)strlen(m->name));
	if (m->priority_len != ABSENT)
		stun_put(&b, STUN_PRIORITY, octets, m->priority_len);
	if (m->controlling)
		stun_put(&b, STUN_ICE_CONTROLLING, octets, m->role_len);
	if (m->controlled)
		stun_put(&b, STUN_ICE_CONTROLLED, octets, m->role_len);
	if (m->use_len != ABSENT)
		stun_put(&b, STUN_USE_CANDIDATE, octets, m->use_len);
	if (m->extra)
		stun_put(&b, m->extra, octets, 4);
	if (m->sha256)
		put_mac(&b, STUN_MESSAGE_INTEGRITY_SHA256);
	if (!m->no_integrity)
		put_mac(&b, STUN_MESSAGE_INTEGRITY);
	if (!m->no_fingerprint)
		stun_put_fingerprint(&b);
	*len = stun_finish(&b);
	return copy_exact(buf, *len);
}

static struct crypto_hmac_sha1 key_of(const char *password)
{
	struct crypto_hmac_sha1 key;

	crypto_hmac_sha1_key(&key, password, strlen(password));
	return key;
}

/* ICE-134: which refusal for what, with and without knowing who asks. */
static void test_judge(void)
{
	static const struct {
		const char *what;
		struct made made;
		unsigned code;
		bool verified;
	} cases[] = {
		{ "good", { GOOD, .controlling = true }, 0, true },
		{ "no role", { GOOD }, 0, true },
		{ "no name", { SIZES(4, ABSENT, 8) }, 400, false },
		{ "no integrity", { GOOD, .no_integrity = true }, 400, false },
		{ "SHA-256 alone", { GOOD, .no_integrity = true, .sha256 = true }, 400, false },
		{ "both integrities", { GOOD, .sha256 = true }, 0, true },
		{ "ICE-089", { GOOD, .controlling = true, .controlled = true }, 400, true },
		{ "unknown required", { GOOD, .extra = 0x7FFE }, 420, true },
		{ "unknown of the low ones", { GOOD, .extra = STUN_NONCE }, 420, true },
		{ "unknown optional", { GOOD, .extra = 0xC057 }, 0, true },
		{ "no PRIORITY", { .name = "ours:them", SIZES(ABSENT, ABSENT, 8) }, 0, true },
		{ "PRIORITY of 3", { .name = "ours:them", SIZES(3, ABSENT, 8) }, 400, true },
		{ "USE-CANDIDATE of 4", { .name = "ours:them", SIZES(4, 4, 8) }, 400, true },
		{ "role of 4",
		  { .name = "ours:them", SIZES(4, ABSENT, 4), .controlling = true },
		  400,
		  true },
	};
	const struct crypto_hmac_sha1 right = key_of(pwd), wrong = key_of("another one");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stun_msg m;
		struct check c = { 0 };
		size_t len;
		uint8_t *const octets = make(&cases[i].made, &len);

		CHECK(stun_open(octets, len, &m) && check_read(&m, &c), cases[i].what);
		CHECK(check_judge(&c, &right) == cases[i].code, cases[i].what);
		CHECK(c.verified == cases[i].verified, cases[i].what);
		CHECK(cases[i].code != 420 || c.unknown == cases[i].made.extra, cases[i].what);
		const unsigned without = c.has_name && c.marks.integrity.value ? 401 : 400;

		CHECK(check_judge(&c, &wrong) == without && !c.verified, cases[i].what);
		CHECK(check_judge(&c, NULL) == without && !c.verified, cases[i].what);
		free(octets);
	}
}

static void test_read(void)
{
	const struct made made = { .name = "ours:them", SIZES(4, 0, 8), .controlled = true };
	struct stun_msg m;
	struct check c = { 0 };
	size_t len;
	uint8_t *const octets = make(&made, &len);

	CHECK(stun_open(octets, len, &m) && check_read(&m, &c), "reads");
	CHECK(c.has_priority && c.priority == 0x11223344, "PRIORITY");
	CHECK(c.use_candidate && c.has_controlled && !c.has_controlling, "flags");
	CHECK(c.tie == UINT64_C(0x1122334455667788), "tie");
	CHECK(check_is_for(&c, "ours", 4) && !check_is_for(&c, "our", 3) &&
	              !check_is_for(&c, "ourss", 5) && !check_is_for(&c, "them", 4),
	      "ours");
	CHECK(c.theirs_len == 4 && memcmp(c.theirs, "them", 4) == 0, "theirs");
	free(octets);
}

static void test_names(void)
{
	static const struct {
		const char *name;
		const char *ours, *theirs;
	} cases[] = { { "", NULL, NULL },       { "plain", NULL, NULL }, { ":", "", "" },
		      { "a:", "a", "" },        { ":b", "", "b" },       { "a:b:c", "a", "b:c" },
		      { "ab:cde", "ab", "cde" } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct made made = { .name = cases[i].name, SIZES(4, ABSENT, 8) };
		const char *const ours = cases[i].ours, *const theirs = cases[i].theirs;
		struct stun_msg m;
		struct check c = { 0 };
		size_t len;
		uint8_t *const octets = make(&made, &len);

		CHECK(stun_open(octets, len, &m) && check_read(&m, &c), cases[i].name);
		CHECK(c.has_name && (c.ours != NULL) == (ours != NULL), cases[i].name);
		if (ours) {
			CHECK(check_is_for(&c, ours, strlen(ours)), cases[i].name);
			CHECK(c.theirs_len == strlen(theirs) &&
			              memcmp(c.theirs, theirs, c.theirs_len) == 0,
			      cases[i].name);
		} else {
			CHECK(!check_is_for(&c, "", 0), cases[i].name);
		}
		free(octets);
	}
}

/* Without FINGERPRINT, or with any bit of it or under it changed, it is not a check. */
static void test_fingerprint(void)
{
	const struct crypto_hmac_sha1 key = key_of(pwd);
	const struct made bare = { GOOD, .no_fingerprint = true },
			  made = { GOOD, .controlling = true };
	struct stun_msg m;
	struct check c = { 0 };
	size_t len;
	uint8_t *octets = make(&bare, &len);

	CHECK(stun_open(octets, len, &m) && !check_read(&m, &c), "none");
	free(octets);
	octets = make(&made, &len);
	for (size_t bit = STUN_HDR_LEN * 8; bit < len * 8; bit++) {
		octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (stun_open(octets, len, &m))
			CHECK(!check_read(&m, &c), "a bit");
		octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* Integrity by itself: FINGERPRINT made right again over a change. */
	for (size_t bit = STUN_HDR_LEN * 8; bit < (len - 8) * 8; bit++) {
		octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
		be32_store(octets + len - 4, crc32_ieee(octets, len - 8) ^ STUN_FINGERPRINT_XOR);
		if (stun_open(octets, len, &m) && check_read(&m, &c))
			CHECK(check_judge(&c, &key) != 0, "a bit under integrity");
		octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(octets);
}

/* What stands behind the integrity does not count, were it USE-CANDIDATE itself. */
static void test_behind_integrity(void)
{
	const struct crypto_hmac_sha1 key = key_of(pwd);
	const struct made made = { GOOD, .no_fingerprint = true };
	struct stun_msg m;
	struct check c = { 0 };
	struct stun_builder b;
	uint8_t buf[512];
	size_t len;
	uint8_t *octets = make(&made, &len);

	memcpy(buf, octets, len);
	free(octets);
	b = (struct stun_builder){ .buf = buf, .cap = sizeof(buf), .len = len };
	stun_put(&b, STUN_USE_CANDIDATE, NULL, 0);
	stun_put_u32(&b, 0x7FFE, 1);
	stun_put_fingerprint(&b);
	octets = copy_exact(buf, stun_finish(&b));
	CHECK(stun_open(octets, stun_finish(&b), &m) && check_read(&m, &c), "reads");
	CHECK(check_judge(&c, &key) == 0 && !c.use_candidate && !c.unknown, "not counted");
	free(octets);
}

/* ICE-135, ICE-168: built by hand, attribute by attribute. */
static void test_answer(void)
{
	static const char *const from[] = { "198.18.0.7:40000", "[fd00:18::7]:40001" };
	const struct crypto_hmac_sha1 key = key_of(pwd), wrong = key_of("another one");

	for (unsigned i = 0; i < 2; i++) {
		uint8_t want[128], *const out = malloc(CHECK_ANSWER_MAX);
		struct stun_builder b;
		struct endpoint to, seen = { .port = 0 };
		struct stun_msg m;
		struct stun_marks marks;
		struct stun_attr attr;

		CHECK(endpoint_parse(from[i], &to), from[i]);
		stun_begin(&b, want, sizeof(want), stun_type(STUN_BINDING, STUN_SUCCESS), txid);
		stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, &to);
		put_mac(&b, STUN_MESSAGE_INTEGRITY);
		stun_put_fingerprint(&b);
		const size_t len = check_answer(txid, &to, &key, out);

		CHECK(len == (i ? 76 : 64), "length");
		CHECK(len == stun_finish(&b) && memcmp(out, want, len) == 0, "octets");
		CHECK(stun_open(out, len, &m) && stun_scan(&m, &marks), "reads");
		CHECK(check_verify(&m, &marks, &key) && !check_verify(&m, &marks, &wrong),
		      "integrity");
		CHECK(stun_find(&m, STUN_XOR_MAPPED_ADDRESS, &attr) &&
		              stun_xor_addr(&m, &attr, &seen) && endpoint_equal(&seen, &to),
		      "address");
		free(out);
	}
}

int main(void)
{
	CU_TestInfo tests[] = { { "ICE-134 refusals", test_judge },
		                { "attributes", test_read },
		                { "USERNAME", test_names },
		                { "ICE-134 FINGERPRINT and integrity", test_fingerprint },
		                { "behind integrity", test_behind_integrity },
		                { "ICE-135 ICE-168 answer", test_answer },
		                CU_TEST_INFO_NULL };

	return run_suite("check", tests);
}
