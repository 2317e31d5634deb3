/* Mirrors control/turn/auth.c, user.c, limit.c and template.c: who asks, and with what nonce. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "nonce.h"
#include "tests/rig/turn_rig.h"
#include "tests/support.h"
#include "tests/unit/control/turn/suite.h"
#include "wire/integrity.h"

/* What a request lacks or has wrong, one thing at a time and two together. */
enum {
	NO_MI = 1,
	NO_USER = 2,
	NO_REALM = 4,
	NO_NONCE = 8,
	BAD_USER = 16,
	BAD_REALM = 32,
	BAD_PASSWORD = 64,
	FOREIGN = 128,
	OLD = 256,
	UNKNOWN = 512,
	NO_TRANSPORT = 1024,
	HASH_TOO = 2048,
	SHORT_MI = 4096,
};

/* The order of refusals, steps 3 to 11, for an Allocate without allocation. */
static const struct {
	const char *name;
	unsigned faults;
	int want;
	bool is_signed;
} orders[] = {
	/* clang-format off */
	{ "nothing wrong",                           0,                             0,   true },
	{ "3: no integrity",                         NO_MI,                         401, false },
	{ "3 before 4",                              NO_MI | NO_USER | NO_REALM,    401, false },
	{ "3 before 8 (STUN-028)",                   NO_MI | UNKNOWN,               401, false },
	{ "4: no USERNAME (STUN-087)",               NO_USER,                       400, false },
	{ "4: no REALM",                             NO_REALM,                      400, false },
	{ "4: no NONCE",                             NO_NONCE,                      400, false },
	{ "4: USERNAME and USERHASH (STUN-099)",     HASH_TOO,                      400, false },
	{ "4: integrity of 16 octets (STUN-059)",    SHORT_MI,                      400, false },
	{ "4 before 5",                              NO_REALM | BAD_USER,           400, false },
	{ "4 before 6",                              NO_USER | FOREIGN,             400, false },
	{ "6, not ours, before 5 (STUN-092)",        FOREIGN | BAD_USER,            438, false },
	{ "6, not ours, before wrong password",      FOREIGN | BAD_PASSWORD,        438, false },
	{ "6, not ours, before foreign realm",       FOREIGN | BAD_REALM,           438, false },
	{ "5: unknown user (STUN-089)",              BAD_USER,                      401, false },
	{ "5: foreign realm (STUN-076)",             BAD_REALM,                     401, false },
	{ "5: wrong password (STUN-090)",            BAD_PASSWORD,                  401, false },
	{ "5 before 6: wrong password, old nonce",   BAD_PASSWORD | OLD,            401, false },
	{ "5 before 6: unknown user, old nonce",     BAD_USER | OLD,                401, false },
	{ "6: old nonce (TURN-032, STUN-095)",       OLD,                           438, true },
	{ "6 before 8",                              OLD | UNKNOWN,                 438, true },
	{ "5 before 8",                              BAD_PASSWORD | UNKNOWN,        401, false },
	{ "8: unknown attribute",                    UNKNOWN,                       420, true },
	{ "8 before 11",                             UNKNOWN | NO_TRANSPORT,        420, true },
	{ "11: no transport",                        NO_TRANSPORT,                  400, true },
	/* clang-format on */
};

static void put_faulty(struct rig *r, struct rig_message *m, struct rig_client *c, unsigned faults)
{
	struct rig_client bad = *c;
	uint8_t hash[32];
	size_t covered;
	uint8_t *mac;

	rig_begin(r, m, TURN_ALLOCATE);
	if ((faults & NO_TRANSPORT) == 0)
		stun_put_u8(&m->b, TURN_REQUESTED_TRANSPORT, 17);
	if ((faults & UNKNOWN) != 0)
		stun_put_u32(&m->b, 0x7FFE, 1);
	if ((faults & BAD_USER) != 0)
		bad.user = "nobody";
	if ((faults & BAD_PASSWORD) != 0)
		bad.password = "wrong";
	if ((faults & BAD_REALM) != 0)
		snprintf(bad.realm, sizeof(bad.realm), "example.net");
	if ((faults & FOREIGN) != 0)
		bad.nonce[20] ^= 1;
	if ((faults & (NO_MI | NO_USER | NO_REALM | NO_NONCE | HASH_TOO | SHORT_MI)) == 0) {
		rig_sign(r, m, &bad);
		return;
	}
	if ((faults & NO_USER) == 0)
		stun_put(&m->b, STUN_USERNAME, bad.user, (uint16_t)strlen(bad.user));
	if ((faults & HASH_TOO) != 0) {
		crypto_userhash(bad.user, strlen(bad.user), bad.realm, hash);
		stun_put(&m->b, STUN_USERHASH, hash, 32);
	}
	if ((faults & NO_REALM) == 0)
		stun_put(&m->b, STUN_REALM, bad.realm, (uint16_t)strlen(bad.realm));
	if ((faults & NO_NONCE) == 0)
		stun_put(&m->b, STUN_NONCE, bad.nonce, (uint16_t)bad.nonce_len);
	if ((faults & SHORT_MI) != 0)
		stun_reserve(&m->b, STUN_MESSAGE_INTEGRITY, 16);
	else if ((faults & NO_MI) == 0 &&
	         (mac = stun_reserve_integrity(&m->b, STUN_MESSAGE_INTEGRITY, &covered)) != NULL)
		memset(mac, 1, 20);
}

static void test_order(void)
{
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct rig r;
		struct rig_client c = rig_client4(1), asker;
		struct rig_message m;
		struct stun_attr attr = { 0 };

		rig_open(&r, NULL);
		learn_nonce(&r, &c);
		if ((orders[i].faults & OLD) != 0)
			rig_wait(&r, 601000);
		put_faulty(&r, &m, &c, orders[i].faults);
		asker = c;
		const int got = rig_send(&r, &c, &m);
		CHECK(got == orders[i].want, orders[i].name);
		CHECK(rig_signed(&r, &asker, 0) == orders[i].is_signed, orders[i].name);
		const bool challenge = got == 401 || got == 438;
		CHECK(rig_attr(&r, STUN_REALM, &attr) == challenge, "TURN-029: REALM");
		CHECK(rig_attr(&r, STUN_NONCE, &attr) == challenge, "TURN-029: NONCE");
		CHECK(rig_attr(&r, STUN_PASSWORD_ALGORITHMS, &attr) == challenge, "STUN-093");
		CHECK(rig_attr_count(&r, STUN_USERNAME) == 0, "STUN-053");
		CHECK(turn_allocations(r.srv) == (got == 0), "no state but on success");
		if (challenge) {
			rig_sign(&r, (rig_begin(&r, &m, TURN_REFRESH), &m), &c);
			CHECK(rig_send(&r, &c, &m) == 437, "the retry passes (TURN-032)");
		}
		rig_close(&r);
	}
}

/* Step 1: silence. */
static void test_silence(void)
{
	static const uint16_t types[] = { 0x0001, 0x0006, 0x0013, 0x0016, 0x0017, 0x0103,
		                          0x0113, 0x0014, 0x0018, 0x0000, 0x0002, 0x0005,
		                          0x000A, 0x000B, 0x0200, 0x0017 };
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message m;

	rig_open(&r, NULL);
	learn_nonce(&r, &c);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		rig_begin(&r, &m, TURN_ALLOCATE);
		be16_store(m.buf, types[i]);
		rig_sign(&r, &m, &c);
		CHECK(rig_send(&r, &c, &m) == -1, "TURN-002, STUN-033 to STUN-036");
	}
	CHECK(stat_of(&r, "turn_drop_method") == sizeof(types) / sizeof(types[0]), "counted");
	c.fingerprint = true;
	rig_begin(&r, &m, TURN_ALLOCATE);
	stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, 17);
	rig_sign(&r, &m, &c);
	m.buf[m.b.len - 1] ^= 1;
	CHECK(rig_send(&r, &c, &m) == -1 && stat_of(&r, "turn_drop_fingerprint") == 1,
	      "STUN-026: wrong FINGERPRINT");
	m.buf[m.b.len - 1] ^= 1;
	CHECK(rig_send(&r, &c, &m) == 0, "and the right one");
	CHECK(rig_send_octets(&r, &c, m.buf, m.b.len - 4) == -1, "STUN-008: cut short");
	CHECK(rig_send_octets(&r, &c, m.buf, 19) == -1 && stat_of(&r, "turn_drop_malformed") == 2,
	      "STUN-001");
	c.listener = 99;
	CHECK(rig_send(&r, &c, &m) == -1 && stat_of(&r, "turn_drop_listener") == 1,
	      "a listener nobody has");
	rig_close(&r);
}

/* TURN-008, STUN-017: what stands behind the integrity. */
static void test_behind(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message m;

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0, "one");
	rig_begin(&r, &m, TURN_REFRESH);
	rig_sign(&r, &m, &c);
	stun_put_u32(&m.b, TURN_LIFETIME, 0);
	stun_put_u32(&m.b, 0x7FFE, 0);
	CHECK(rig_send(&r, &c, &m) == 0 && turn_allocations(r.srv) == 1, "no effect, no 420");
	rig_begin(&r, &m, TURN_ALLOCATE); /* pion puts them there */
	struct rig_client d = rig_client4(2);
	learn_nonce(&r, &d);
	stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, 17);
	rig_sign(&r, &m, &d);
	stun_put_u8(&m.b, TURN_REQUESTED_ADDRESS_FAMILY, 2);
	CHECK(rig_send(&r, &d, &m) == 0, "served");
	const struct endpoint at = rig_relayed(&r, 0);
	CHECK(addr_is4(&at.addr), "asked IPv6 there, gets IPv4");
	rig_close(&r);
}

/* STUN-038 to STUN-040. */
static void test_unknown(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message m;
	struct stun_attr attr = { 0 };

	rig_open(&r, NULL);
	rig_begin(&r, &m, TURN_ALLOCATE);
	stun_put_u32(&m.b, 0x0021, 0);
	stun_put_u32(&m.b, 0x0010, 0);
	stun_put_u32(&m.b, 0x0021, 0);
	CHECK(rig_ask(&r, &c, &m) == 420, "TURN-006");
	CHECK(rig_attr(&r, STUN_UNKNOWN_ATTRIBUTES, &attr) && attr.len == 4 &&
	              be16_load(attr.value) == 0x21 && be16_load(attr.value + 2) == 0x10,
	      "both listed, each once, in order");
	rig_begin(&r, &m, TURN_ALLOCATE);
	for (unsigned i = 0; i < 40; i++)
		stun_put_u32(&m.b, (uint16_t)(0x7000 + i), 0);
	CHECK(rig_ask(&r, &c, &m) == 420, "forty");
	CHECK(rig_attr(&r, STUN_UNKNOWN_ATTRIBUTES, &attr) && attr.len == 32, "sixteen listed");
	rig_close(&r);
}

/* The combinations of stun.md D4: which key, which integrity, which answer. */
static void test_algorithms(void)
{
	static const struct {
		const char *name;
		uint8_t list[8];
		unsigned list_len;
		uint8_t one[8];
		unsigned one_len;
		bool key256, mac256;
		int want;
		bool answer256;
	} cases[] = {
		/* clang-format off */
		{ "(i) none, SHA-1",          { 0 }, 0, { 0 }, 0,                               false, false, 400, false },
		{ "(ii) none, SHA-256",       { 0 }, 0, { 0 }, 0,                               false, true,  400, false },
		{ "(iii) SHA-256, SHA-256",   { 0, 2, 0, 0, 0, 1, 0, 0 }, 8, { 0, 2, 0, 0 }, 4, true,  true,  400, true },
		{ "(iv) MD5 chosen, SHA-256", { 0, 2, 0, 0, 0, 1, 0, 0 }, 8, { 0, 1, 0, 0 }, 4, false, true,  400, true },
		{ "(iv) MD5 chosen, SHA-1",   { 0, 2, 0, 0, 0, 1, 0, 0 }, 8, { 0, 1, 0, 0 }, 4, false, false, 400, true },
		{ "(v) SHA-256, SHA-1",       { 0, 2, 0, 0, 0, 1, 0, 0 }, 8, { 0, 2, 0, 0 }, 4, true,  false, 400, true },
		{ "STUN-088 only the choice", { 0 }, 0, { 0, 2, 0, 0 }, 4,                      true,  true,  -400, false },
		{ "STUN-088 only the list",   { 0, 2, 0, 0, 0, 1, 0, 0 }, 8, { 0 }, 0,          true,  true,  -400, false },
		{ "STUN-088 list reordered",  { 0, 1, 0, 0, 0, 2, 0, 0 }, 8, { 0, 2, 0, 0 }, 4, true,  true,  -400, false },
		{ "STUN-088 list shortened",  { 0, 1, 0, 0 }, 4, { 0, 1, 0, 0 }, 4,             false, true,  -400, false },
		{ "STUN-088 not in the list", { 0, 2, 0, 0, 0, 1, 0, 0 }, 8, { 0, 3, 0, 0 }, 4, true,  true,  -400, false },
		{ "STUN-111 overrun",         { 0, 2, 0, 0, 0, 1, 0, 0 }, 8, { 0, 2, 0, 9 }, 4, true,  true,  -400, false },
		/* clang-format on */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;
		struct rig_client c = rig_client4(1);
		struct rig_message m;
		uint8_t md5[16], sha256[32];
		size_t covered;

		rig_open(&r, NULL);
		learn_nonce(&r, &c);
		rig_begin(&r, &m, TURN_ALLOCATE); /* no transport: 400, signed if authenticated */
		stun_put(&m.b, STUN_USERNAME, c.user, (uint16_t)strlen(c.user));
		stun_put(&m.b, STUN_REALM, c.realm, (uint16_t)strlen(c.realm));
		stun_put(&m.b, STUN_NONCE, c.nonce, (uint16_t)c.nonce_len);
		if (cases[i].list_len > 0)
			stun_put(&m.b, STUN_PASSWORD_ALGORITHMS, cases[i].list,
			         (uint16_t)cases[i].list_len);
		if (cases[i].one_len > 0)
			stun_put(&m.b, STUN_PASSWORD_ALGORITHM, cases[i].one,
			         (uint16_t)cases[i].one_len);
		crypto_long_term(c.user, strlen(c.user), c.realm, c.password, strlen(c.password),
		                 md5, sha256);
		uint8_t *mac = stun_reserve_integrity(
			&m.b,
			cases[i].mac256 ? STUN_MESSAGE_INTEGRITY_SHA256 : STUN_MESSAGE_INTEGRITY,
			&covered);
		const struct crypto_piece piece = { m.buf, covered };
		const uint8_t *key = cases[i].key256 ? sha256 : md5;
		const size_t key_len = cases[i].key256 ? 32 : 16;
		struct crypto_hmac_sha1 k1;
		struct crypto_hmac_sha256 k256;

		crypto_hmac_sha1_key(&k1, key, key_len);
		crypto_hmac_sha256_key(&k256, key, key_len);
		if (cases[i].mac256)
			crypto_hmac_sha256(&k256, &piece, 1, mac);
		else
			crypto_hmac_sha1(&k1, &piece, 1, mac);
		CHECK(rig_send(&r, &c, &m) == 400, cases[i].name);

		const bool mi = rig_attr_count(&r, STUN_MESSAGE_INTEGRITY) == 1;
		const bool mi256 = rig_attr_count(&r, STUN_MESSAGE_INTEGRITY_SHA256) == 1;
		CHECK(mi == (cases[i].want > 0 && !cases[i].answer256),
		      cases[i].name); /* TURN-027 */
		CHECK(mi256 == (cases[i].want > 0 && cases[i].answer256), cases[i].name);
		struct stun_msg msg = { 0 };
		struct stun_attr attr = { 0 };
		uint8_t ours[32];
		if (cases[i].want > 0 && stun_open(r.answer, r.answer_len, &msg) &&
		    stun_find(&msg, mi256 ? STUN_MESSAGE_INTEGRITY_SHA256 : STUN_MESSAGE_INTEGRITY,
		              &attr)) {
			const struct crypto_piece p = { r.answer,
				                        (size_t)(attr.value - 4 - r.answer) };

			if (mi256)
				crypto_hmac_sha256(&k256, &p, 1, ours);
			else
				crypto_hmac_sha1(&k1, &p, 1, ours);
			CHECK(memcmp(ours, attr.value, attr.len) == 0, "STUN-094: the same key");
		}
		rig_close(&r);
	}
}

static void only_sha256(struct rig *r)
{
	r->cfg.auth_md5 = false;
}

static void only_md5(struct rig *r)
{
	r->cfg.auth_sha256 = false;
}

static void rest(struct rig *r)
{
	static char north[] = "north", south[] = "south";

	r->cfg.rest_secrets[0] = north;
	r->cfg.rest_secrets[1] = south;
	r->cfg.n_rest_secrets = 2;
}

/* STUN-104, STUN-105, STUN-110, STUN-100. */
static void test_features(void)
{
	static const struct {
		const char *name;
		rig_tweak *tweak;
		const char *prefix;
		unsigned algorithms;
	} cases[] = {
		{ "both algorithms, static users", NULL, "obMatJos2wAAA", 8 },
		{ "SHA-256 only", only_sha256, "obMatJos2wAAA", 4 },
		{ "MD5 only: not offered", only_md5, "obMatJos2QAAA", 0 },
		{ "with secrets: no USERHASH", rest, "obMatJos2gAAA", 8 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;
		struct rig_client c = rig_client4(1);
		struct stun_attr attr = { .len = 0 };

		rig_open(&r, cases[i].tweak);
		learn_nonce(&r, &c);
		CHECK(c.nonce_len == 31 && memcmp(c.nonce, cases[i].prefix, 13) == 0,
		      cases[i].name);
		CHECK(rig_attr(&r, STUN_PASSWORD_ALGORITHMS, &attr) == (cases[i].algorithms > 0),
		      cases[i].name);
		CHECK(attr.len == cases[i].algorithms, cases[i].name);
		if (cases[i].tweak == only_sha256) {
			CHECK(rig_allocate(&r, &c) == 401, "STUN-112: MD5 implied");
		} else {
			CHECK(rig_allocate(&r, &c) == 0, cases[i].name);
		}
		c = rig_client4(2);
		c.userhash = true;
		CHECK(rig_allocate(&r, &c) ==
		              (cases[i].tweak == rest || cases[i].tweak == only_sha256 ? 401 : 0),
		      "STUN-098, STUN-100");
		rig_close(&r);
	}
}

static void test_userhash(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1), plain;

	rig_open(&r, NULL);
	c.userhash = true;
	c.sha256 = true;
	CHECK(rig_allocate(&r, &c) == 0 && rig_signed(&r, &c, STUN_MESSAGE_INTEGRITY_SHA256),
	      "STUN-098");
	plain = c;
	plain.userhash = false;
	CHECK(rig_refresh(&r, &plain, -1) == 0, "STUN-097: the same user by name");
	CHECK(rig_refresh(&r, &c, -1) == 0, "and by hash");
	c.user = "bob";
	c.password = "correct horse battery staple";
	CHECK(rig_refresh(&r, &c, -1) == 441, "another one by hash");
	c.user = "nobody";
	CHECK(rig_refresh(&r, &c, -1) == 401, "nobody");
	rig_close(&r);
}

/* TURN-209, STUN-152. */
static void test_guessing(void)
{
	struct rig r;
	struct rig_client bad = rig_client4(1), good = rig_client4(2), far = rig_client6(1);
	unsigned silent = 0;

	rig_open(&r, NULL);
	bad.password = "guess";
	for (unsigned i = 0; i < 100; i++)
		silent += rig_allocate(&r, &bad) == -1;
	CHECK(silent == 84, "sixteen are answered, the rest is silence");
	CHECK(r.n_refused == 16 && r.refused.code == 401, "told, to be logged");
	good.user = "bob";
	good.password = "correct horse battery staple";
	CHECK(rig_allocate(&r, &good) == 0, "another user behind the same NAT gets in");
	CHECK(rig_allocate(&r, &far) == 0, "and the user himself from elsewhere");
	rig_wait(&r, 5000);
	silent = 0;
	for (unsigned i = 0; i < 20; i++)
		silent += rig_allocate(&r, &bad) == -1;
	CHECK(silent >= 14 && silent <= 15, "one more a second");
	rig_close(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "order of refusals", test_order },
		{ "silence", test_silence },
		{ "behind the integrity", test_behind },
		{ "unknown attributes", test_unknown },
		{ "algorithms and keys", test_algorithms },
		{ "feature bits", test_features },
		{ "USERHASH", test_userhash },
		{ "guessing", test_guessing },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/auth", tests);
}
