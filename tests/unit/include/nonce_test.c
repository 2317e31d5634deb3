/* Nonces: STUN-104 to STUN-109, TURN-030 to TURN-033. */
#include <stdlib.h>

#include "nonce.h"
#include "tests/support.h"

static const uint8_t key_a[NONCE_KEY_LEN] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
};
static const uint8_t key_b[NONCE_KEY_LEN] = { 99 };
enum { NOW = 1800000000, LIFETIME = 600 };

static struct endpoint ep(const char *text)
{
	struct endpoint e;

	CHECK(endpoint_parse(text, &e), text);
	return e;
}

struct fixture {
	struct nonce_keys *keys;
	char prefix[NONCE_PREFIX_LEN], nonce[NONCE_LEN];
	uint8_t scope[NONCE_SCOPE_LEN];
	struct endpoint client;
};

static void begin(struct fixture *f)
{
	const struct endpoint listener = ep("198.18.0.1:3478");

	f->keys = nonce_keys_new();
	CU_ASSERT_FATAL(f->keys != NULL);
	CHECK(nonce_keys_set(f->keys, 7, key_a, true), "set");
	nonce_prefix(true, false, f->prefix);
	nonce_scope(&listener, 1, "example.org", "\0\2\0\0", 4, f->scope);
	f->client = ep("198.18.0.9:40000");
	nonce_make(f->keys, f->prefix, f->scope, &f->client, NOW, f->nonce);
}

static enum nonce_verdict check(struct fixture *f, const char *nonce, unsigned len, uint32_t now_s)
{
	uint8_t *exact = malloc(len ? len : 1); /* ASan sees an overread */

	memcpy(exact, nonce, len);
	const enum nonce_verdict v =
		nonce_check(f->keys, f->prefix, f->scope, &f->client, exact, len, now_s, LIFETIME);
	free(exact);
	return v;
}

/* STUN-104, STUN-105 */
static void test_prefix(void)
{
	static const struct {
		bool algorithms, anonymity;
		const char *text;
	} rows[] = {
		{ false, false, "obMatJos2AAAA" },
		{ true, false, "obMatJos2gAAA" },
		{ false, true, "obMatJos2QAAA" },
		{ true, true, "obMatJos2wAAA" },
	};

	for (unsigned i = 0; i < 4; i++) {
		char prefix[NONCE_PREFIX_LEN];

		nonce_prefix(rows[i].algorithms, rows[i].anonymity, prefix);
		CHECK(memcmp(prefix, rows[i].text, NONCE_PREFIX_LEN) == 0, rows[i].text);
	}
}

/*
 * STUN-107: the MAC is SipHash-2-4 with 8 octets, recomputed here from its definition, so that a
 * fleet of differently built servers agrees.
 */
#define ROTL(x, b) ((x) << (b) | (x) >> (64 - (b)))

static void rounds(uint64_t v[4], unsigned n)
{
	while (n--) {
		v[0] += v[1], v[1] = ROTL(v[1], 13), v[1] ^= v[0], v[0] = ROTL(v[0], 32);
		v[2] += v[3], v[3] = ROTL(v[3], 16), v[3] ^= v[2];
		v[0] += v[3], v[3] = ROTL(v[3], 21), v[3] ^= v[0];
		v[2] += v[1], v[1] = ROTL(v[1], 17), v[1] ^= v[2], v[2] = ROTL(v[2], 32);
	}
}

static uint64_t le64(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static uint64_t siphash24(const uint8_t key[16], const uint8_t *in, size_t len)
{
	const uint64_t k0 = le64(key, 8), k1 = le64(key + 8, 8);
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
		          k1 ^ 0x7465646279746573 };
	size_t at = 0;

	for (;; at += 8) {
		const bool last = len - at < 8;
		const uint64_t m =
			last ? le64(in + at, len - at) | (uint64_t)len << 56 : le64(in + at, 8);

		v[3] ^= m, rounds(v, 2), v[0] ^= m;
		if (last)
			break;
	}
	v[2] ^= 0xff, rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void test_mac(void)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct fixture f;
	uint8_t in[52] = { 0 },
		stamp[14] = { 7, NOW >> 24, (NOW >> 16) & 255, (NOW >> 8) & 255, NOW & 255 };
	char text[NONCE_LEN];

	CHECK(siphash24(key_a, in, 0) ==
	              le64((const uint8_t *)"\x31\x0e\x0e\xdd\x47\xdb\x6f\x72", 8),
	      "the published vector of SipHash-2-4");
	begin(&f);
	memcpy(in, f.prefix, 13);
	memcpy(in + 13, stamp, 5);
	memcpy(in + 18, f.scope, 16);
	memcpy(in + 34, f.client.addr.ip, 16);
	in[50] = 40000 >> 8, in[51] = 40000 & 255;
	const uint64_t mac = siphash24(key_a, in, sizeof(in));

	for (unsigned i = 0; i < 8; i++)
		stamp[5 + i] = (uint8_t)(mac >> 8 * i);
	memcpy(text, f.prefix, 13);
	for (unsigned i = 0; i < 18; i++) {
		const unsigned bit = 6 * i, at = bit / 8,
			       two = (unsigned)stamp[at] << 8 | stamp[at + 1];

		text[13 + i] = alphabet[two >> (10 - bit % 8) & 63];
	}
	CHECK(memcmp(text, f.nonce, NONCE_LEN) == 0, "nonce recomputed from its definition");
	nonce_keys_free(f.keys);
}

/* TURN-031: forge any bit and it is not ours. TURN-030: age. */
static void test_check(void)
{
	struct fixture f;

	begin(&f);
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FRESH, "fresh");
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW + LIFETIME) == NONCE_FRESH, "last second");
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW + LIFETIME + 1) == NONCE_EXPIRED,
	      "expired is ours");
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW - 1) == NONCE_FRESH, "a clock one tick behind");
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW - 2) == NONCE_FOREIGN, "from the future");
	CHECK(check(&f, f.nonce, NONCE_LEN - 1, NOW) == NONCE_FOREIGN, "short");
	CHECK(check(&f, f.nonce, 0, NOW) == NONCE_FOREIGN, "empty");
	for (unsigned bit = 0; bit < 8 * NONCE_LEN; bit++) {
		char forged[NONCE_LEN];

		memcpy(forged, f.nonce, NONCE_LEN);
		forged[bit / 8] ^= (char)(1 << bit % 8);
		CHECK(check(&f, forged, NONCE_LEN, NOW) == NONCE_FOREIGN, "one bit forged");
	}
	nonce_keys_free(f.keys);
}

/* STUN-106, STUN-107: bound to client, listener, realm, algorithms, feature bits. */
static void test_bound(void)
{
	struct fixture f;
	const struct endpoint listener = ep("198.18.0.1:3478"), other = ep("198.18.0.1:3479");
	uint8_t scope[NONCE_SCOPE_LEN];

	begin(&f);
	const struct endpoint client = f.client;
	f.client.port++;
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "another client port");
	f.client = ep("198.18.0.8:40000");
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "another client address");
	f.client = client;
	memcpy(scope, f.scope, sizeof(scope));
	nonce_scope(&other, 1, "example.org", "\0\2\0\0", 4, f.scope);
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "another listener");
	nonce_scope(&listener, 2, "example.org", "\0\2\0\0", 4, f.scope);
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "another transport");
	nonce_scope(&listener, 1, "example.com", "\0\2\0\0", 4, f.scope);
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "another realm");
	nonce_scope(&listener, 1, "example.org", "\0\1\0\0", 4, f.scope);
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "another algorithm list");
	nonce_scope(&listener, 1, "example.org", NULL, 0, f.scope);
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "no algorithm list");
	memcpy(f.scope, scope, sizeof(scope));
	nonce_prefix(false, false, f.prefix);
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "other feature bits");
	nonce_keys_free(f.keys);
}

/* TURN-033, STUN-108: rotation overlaps by one epoch. STUN-109: another process agrees. */
static void test_rotation(void)
{
	struct fixture f;
	char newer[NONCE_LEN];

	begin(&f);
	CHECK(nonce_keys_set(f.keys, 8, key_b, true), "next epoch");
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FRESH, "the old one stays good");
	nonce_make(f.keys, f.prefix, f.scope, &f.client, NOW, newer);
	CHECK(memcmp(newer, f.nonce, NONCE_LEN) != 0, "new ones are made with the new key");
	CHECK(check(&f, newer, NONCE_LEN, NOW) == NONCE_FRESH, "and are good");
	CHECK(nonce_keys_set(f.keys, 9, key_a, false), "a third epoch, not current");
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "the oldest is gone");
	CHECK(check(&f, newer, NONCE_LEN, NOW) == NONCE_FRESH, "the current one is not");
	CHECK(nonce_keys_set(f.keys, 8, key_a, true), "an epoch's key is replaced");
	CHECK(check(&f, newer, NONCE_LEN, NOW) == NONCE_FOREIGN, "with the key goes the nonce");

	struct nonce_keys *there = nonce_keys_new();
	CHECK(nonce_keys_set(there, 7, key_a, true), "set");
	CHECK(nonce_check(there, f.prefix, f.scope, &f.client, f.nonce, NONCE_LEN, NOW, LIFETIME) ==
	              NONCE_FRESH,
	      "another holder of the key agrees");
	nonce_keys_free(there);
	nonce_keys_free(f.keys);
	nonce_keys_free(NULL);
}

static void test_no_key(void)
{
	struct fixture f;

	begin(&f);
	nonce_keys_free(f.keys);
	f.keys = nonce_keys_new();
	nonce_make(f.keys, f.prefix, f.scope, &f.client, NOW, f.nonce);
	CHECK(check(&f, f.nonce, NONCE_LEN, NOW) == NONCE_FOREIGN, "no key, no nonce of ours");
	nonce_keys_free(f.keys);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "prefix (STUN-104, STUN-105)", test_prefix },
		{ "MAC by its definition (STUN-107)", test_mac },
		{ "fresh, expired, forged (TURN-031)", test_check },
		{ "bound to what it vouches for (STUN-106, STUN-107)", test_bound },
		{ "rotation (TURN-033, STUN-108, STUN-109)", test_rotation },
		{ "no key", test_no_key },
		CU_TEST_INFO_NULL,
	};

	return run_suite("nonce", tests);
}
