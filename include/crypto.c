/* Midstates, digests, base64. */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA_CTX is the only way to a midstate */

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include "crypto.h"

enum { BLOCK = 64 };

/* A key longer than a block is replaced by its digest (RFC 2104 §2). */
static void pad_key(uint8_t block[BLOCK], const void *key, size_t len,
                    unsigned char *(*digest)(const unsigned char *, size_t, unsigned char *))
{
	memset(block, 0, BLOCK);
	if (len > BLOCK)
		digest(key, len, block);
	else if (len > 0)
		memcpy(block, key, len);
}

static void xor_block(uint8_t block[BLOCK], uint8_t with)
{
	for (unsigned i = 0; i < BLOCK; i++)
		block[i] ^= with;
}

static void sha1_save(const SHA_CTX *c, uint32_t h[5])
{
	h[0] = c->h0;
	h[1] = c->h1;
	h[2] = c->h2;
	h[3] = c->h3;
	h[4] = c->h4;
}

/* A context that has taken exactly one block. */
static void sha1_resume(SHA_CTX *c, const uint32_t h[5])
{
	c->h0 = h[0];
	c->h1 = h[1];
	c->h2 = h[2];
	c->h3 = h[3];
	c->h4 = h[4];
	c->Nl = BLOCK * 8;
	c->Nh = 0;
	c->num = 0;
}

static void sha256_resume(SHA256_CTX *c, const uint32_t h[8])
{
	memcpy(c->h, h, sizeof(c->h));
	c->Nl = BLOCK * 8;
	c->Nh = 0;
	c->num = 0;
	c->md_len = SHA256_DIGEST_LENGTH;
}

void crypto_hmac_sha1_key(struct crypto_hmac_sha1 *out, const void *key, size_t len)
{
	uint8_t block[BLOCK];
	SHA_CTX c;

	pad_key(block, key, len, SHA1);
	xor_block(block, 0x36);
	SHA1_Init(&c);
	SHA1_Update(&c, block, BLOCK);
	sha1_save(&c, out->inner);
	xor_block(block, 0x36 ^ 0x5C);
	SHA1_Init(&c);
	SHA1_Update(&c, block, BLOCK);
	sha1_save(&c, out->outer);
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(&c, sizeof(c));
}

void crypto_hmac_sha256_key(struct crypto_hmac_sha256 *out, const void *key, size_t len)
{
	uint8_t block[BLOCK];
	SHA256_CTX c;

	pad_key(block, key, len, SHA256);
	xor_block(block, 0x36);
	SHA256_Init(&c);
	SHA256_Update(&c, block, BLOCK);
	memcpy(out->inner, c.h, sizeof(out->inner));
	xor_block(block, 0x36 ^ 0x5C);
	SHA256_Init(&c);
	SHA256_Update(&c, block, BLOCK);
	memcpy(out->outer, c.h, sizeof(out->outer));
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(&c, sizeof(c));
}

void crypto_hmac_sha1(const struct crypto_hmac_sha1 *key, const struct crypto_piece *pieces,
                      unsigned n, uint8_t mac[CRYPTO_SHA1_LEN])
{
	SHA_CTX c;

	sha1_resume(&c, key->inner);
	for (unsigned i = 0; i < n; i++)
		SHA1_Update(&c, pieces[i].octets, pieces[i].len);
	SHA1_Final(mac, &c);
	sha1_resume(&c, key->outer);
	SHA1_Update(&c, mac, CRYPTO_SHA1_LEN);
	SHA1_Final(mac, &c);
}

void crypto_hmac_sha256(const struct crypto_hmac_sha256 *key, const struct crypto_piece *pieces,
                        unsigned n, uint8_t mac[CRYPTO_SHA256_LEN])
{
	SHA256_CTX c;

	sha256_resume(&c, key->inner);
	for (unsigned i = 0; i < n; i++)
		SHA256_Update(&c, pieces[i].octets, pieces[i].len);
	SHA256_Final(mac, &c);
	sha256_resume(&c, key->outer);
	SHA256_Update(&c, mac, CRYPTO_SHA256_LEN);
	SHA256_Final(mac, &c);
}

void crypto_md5(const struct crypto_piece *pieces, unsigned n, uint8_t out[CRYPTO_MD5_LEN])
{
	MD5_CTX c;

	MD5_Init(&c);
	for (unsigned i = 0; i < n; i++)
		MD5_Update(&c, pieces[i].octets, pieces[i].len);
	MD5_Final(out, &c);
	OPENSSL_cleanse(&c, sizeof(c));
}

void crypto_sha256(const struct crypto_piece *pieces, unsigned n, uint8_t out[CRYPTO_SHA256_LEN])
{
	SHA256_CTX c;

	SHA256_Init(&c);
	for (unsigned i = 0; i < n; i++)
		SHA256_Update(&c, pieces[i].octets, pieces[i].len);
	SHA256_Final(out, &c);
	OPENSSL_cleanse(&c, sizeof(c));
}

void crypto_long_term(const void *name, size_t name_len, const char *realm, const void *password,
                      size_t password_len, uint8_t md5[CRYPTO_MD5_LEN],
                      uint8_t sha256[CRYPTO_SHA256_LEN])
{
	const struct crypto_piece pieces[] = {
		{ name, name_len },         { ":", 1 }, { realm, strlen(realm) }, { ":", 1 },
		{ password, password_len },
	};

	crypto_md5(pieces, 5, md5);
	crypto_sha256(pieces, 5, sha256);
}

void crypto_userhash(const void *name, size_t name_len, const char *realm,
                     uint8_t out[CRYPTO_SHA256_LEN])
{
	const struct crypto_piece pieces[] = {
		{ name, name_len },
		{ ":", 1 },
		{ realm, strlen(realm) },
	};

	crypto_sha256(pieces, 3, out);
}

void crypto_rest_password(const struct crypto_hmac_sha1 *secret, const void *name, size_t len,
                          char out[CRYPTO_BASE64_SHA1 + 1])
{
	const struct crypto_piece piece = { name, len };
	uint8_t mac[CRYPTO_SHA1_LEN];

	crypto_hmac_sha1(secret, &piece, 1, mac);
	crypto_base64(mac, sizeof(mac), out);
	OPENSSL_cleanse(mac, sizeof(mac));
}

size_t crypto_base64(const void *octets, size_t len, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = octets;
	char *o = out;

	for (; len > 0; p += 3, o += 4) {
		const size_t n = len < 3 ? len : 3;
		const uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) |
		                   (n > 2 ? p[2] : 0u);

		o[0] = digits[v >> 18];
		o[1] = digits[v >> 12 & 63];
		o[2] = n > 1 ? digits[v >> 6 & 63] : '=';
		o[3] = n > 2 ? digits[v & 63] : '=';
		len -= n;
	}
	*o = '\0';
	return (size_t)(o - out);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void crypto_wipe(void *p, size_t len)
{
	OPENSSL_cleanse(p, len);
}
