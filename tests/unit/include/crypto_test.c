/* Mirrors control/crypto.h. Vectors of RFC 2202, RFC 4231, RFC 1321, RFC 4648; STUN-084, STUN-085.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "tests/support.h"
#include "tests/vectors.h"

static const struct {
	const char *name;
	unsigned key_octet, key_len; /* the key is one octet repeated; 0: the text */
	const char *key, *data;
	unsigned data_octet, data_len;
	const char *sha1, *sha256; /* "" where the RFC has none of these inputs */
} macs[] = {
	/* clang-format off */
	{ "2202/4231 1", 0x0b, 20, "", "Hi There", 0, 0, "b617318655057264e28bc0b6fb378c8ef146be00",
	  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	{ "2202/4231 2", 0, 0, "Jefe", "what do ya want for nothing?", 0, 0,
	  "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
	  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
	{ "2202/4231 3", 0xaa, 20, "", "", 0xdd, 50, "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
	  "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
	{ "2202 6: key longer than a block", 0xaa, 80, "",
	  "Test Using Larger Than Block-Size Key - Hash Key First", 0, 0,
	  "aa4ae5e15272d00e95705637ce8a3b55ed402112", "" },
	{ "4231 6: key longer than a block", 0xaa, 131, "",
	  "Test Using Larger Than Block-Size Key - Hash Key First", 0, 0, "",
	  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
	/* clang-format on */
};

static bool is_hex(const uint8_t *octets, size_t len, const char *hex)
{
	char text[2 * 64 + 1];

	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", octets[i]);
	return strcmp(text, hex) == 0;
}

static void test_hmac(void)
{
	for (size_t i = 0; i < sizeof(macs) / sizeof(macs[0]); i++) {
		uint8_t key[200], data[200], mac[32];
		size_t key_len = macs[i].key_len, data_len = macs[i].data_len;
		struct crypto_hmac_sha1 k1;
		struct crypto_hmac_sha256 k256;

		memset(key, (int)macs[i].key_octet, sizeof(key));
		memset(data, (int)macs[i].data_octet, sizeof(data));
		if (key_len == 0) {
			key_len = strlen(macs[i].key);
			memcpy(key, macs[i].key, key_len);
		}
		if (data_len == 0) {
			data_len = strlen(macs[i].data);
			memcpy(data, macs[i].data, data_len);
		}
		crypto_hmac_sha1_key(&k1, key, key_len);
		crypto_hmac_sha256_key(&k256, key, key_len);
		for (size_t cut = 0; cut <= data_len; cut++) { /* pieces at every place */
			const struct crypto_piece pieces[] = { { data, cut },
				                               { data + cut, data_len - cut } };

			crypto_hmac_sha1(&k1, pieces, 2, mac);
			CHECK(macs[i].sha1[0] == '\0' || is_hex(mac, 20, macs[i].sha1),
			      macs[i].name);
			crypto_hmac_sha256(&k256, pieces, 2, mac);
			CHECK(macs[i].sha256[0] == '\0' || is_hex(mac, 32, macs[i].sha256),
			      macs[i].name);
		}
	}
}

static void test_digests(void)
{
	uint8_t out[32];

	crypto_md5(&(struct crypto_piece){ "abc", 3 }, 1, out);
	CHECK(is_hex(out, 16, "900150983cd24fb0d6963f7d28e17f72"), "RFC 1321 abc");
	crypto_sha256(&(struct crypto_piece){ "abc", 3 }, 1, out);
	CHECK(is_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
	      "FIPS 180 abc");
}

static void test_base64(void)
{
	static const char *const want[] = { "",         "Zg==",     "Zm8=",    "Zm9v",
		                            "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
	char out[16];

	for (size_t i = 0; i < 7; i++) {
		CHECK(crypto_base64("foobar", i, out) == strlen(want[i]), want[i]);
		CHECK(strcmp(out, want[i]) == 0, "RFC 4648 §10");
	}
}

/* The tables of the vectors: STUN-084, STUN-085, STUN-098, STUN-102. */
static void test_keys(void)
{
	struct vectors *vs = vectors_load();
	const json_t *tables = json_object_get(vs->doc, "tables");
	size_t i;
	json_t *e;

	json_array_foreach(json_object_get(tables, "keys"), i, e)
	{
		const char *user = vectors_text(e, "username"), *realm = vectors_text(e, "realm");
		const char *password = vectors_text(e, "password");
		uint8_t md5[16], sha256[32], hash[32];

		crypto_long_term(user, strlen(user), realm, password, strlen(password), md5,
		                 sha256);
		crypto_userhash(user, strlen(user), realm, hash);
		CHECK(is_hex(md5, 16, vectors_text(e, "md5")), user);
		CHECK(is_hex(sha256, 32, vectors_text(e, "sha256")), user);
		CHECK(is_hex(hash, 32, vectors_text(e, "userhash")), user);
	}
	CHECK(i > 0, "there are keys");
	json_array_foreach(json_object_get(tables, "rest_credentials"), i, e)
	{
		const char *secret = vectors_text(e, "secret");
		const char *user = vectors_text(e, "username");
		struct crypto_hmac_sha1 key;
		char password[CRYPTO_BASE64_SHA1 + 1];

		crypto_hmac_sha1_key(&key, secret, strlen(secret));
		crypto_rest_password(&key, user, strlen(user), password);
		CHECK(strcmp(password, vectors_text(e, "password")) == 0, user); /* TURN-195 */
	}
	CHECK(i > 0, "there are time-limited credentials");
	vectors_free(vs);
}

static void test_equal(void)
{
	uint8_t a[20] = { 0 }, b[20] = { 0 };

	CHECK(crypto_equal(a, b, 20), "equal");
	for (unsigned i = 0; i < 20; i++) {
		b[i] = 1;
		CHECK(!crypto_equal(a, b, 20), "every octet counts");
		b[i] = 0;
	}
	memset(a, 7, sizeof(a));
	crypto_wipe(a, sizeof(a));
	CHECK(crypto_equal(a, b, 20), "wiped");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "HMAC, RFC 2202 and RFC 4231", test_hmac },
		{ "digests", test_digests },
		{ "base64", test_base64 },
		{ "long-term keys", test_keys },
		{ "compare, wipe", test_equal },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/crypto", tests);
}
