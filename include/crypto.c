/* Midstates, digests, base64. */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA_CTX is the only way to a midstate */

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include "crypto.h"
#include "wire/bytes.h"

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

static void sha1_resume(SHA_CTX *c, const uint32_t h[5])
{
	c->h0 = h[0];
	c->h1 = h[1];
	c->h2 = h[2];
	c->h3 = h[3];
	c->h4 = h[4];
	c->Nl = c->Nh = 0; /* counted by finish_blocks() */
	c->num = 0;        /* whole blocks only */
}

static void sha256_resume(SHA256_CTX *c, const uint32_t h[8])
{
	memcpy(c->h, h, sizeof(c->h));
	c->Nl = c->Nh = 0;
	c->num = 0;
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

/*
 * The rest of a message behind its first block, padded (RFC 3174 §4, RFC 6234 §4.1): gathered, then
 * compressed in one go. The library's Update and Final of each piece cost as much as a compression.
 */
typedef void compress(void *ctx, const uint8_t *blocks, size_t octets);
enum { GATHER = 8 * BLOCK };

static inline __attribute__((always_inline)) void
finish_blocks(compress *whole, void *ctx, const struct crypto_piece *pieces, unsigned n)
{
	uint8_t buf[GATHER];
	uint64_t total = BLOCK;
	size_t have = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = pieces[i].octets;
		size_t len = pieces[i].len;

		total += len;
		while (len > GATHER - have) {
			memcpy(buf + have, p, GATHER - have);
			p += GATHER - have;
			len -= GATHER - have;
			whole(ctx, buf, GATHER);
			have = 0;
		}
		if (len > 0) /* an empty piece may be NULL */
			memcpy(buf + have, p, len);
		have += len;
	}
	if (have > GATHER - 9) { /* the mark and the length go into a block of their own */
		const size_t full = have & ~(size_t)(BLOCK - 1);

		whole(ctx, buf, full);
		memmove(buf, buf + full, have - full);
		have -= full;
	}
	const size_t end = (have + 9 + BLOCK - 1) & ~(size_t)(BLOCK - 1);

	buf[have] = 0x80;
	memset(buf + have + 1, 0, end - have - 1);
	be64_store(buf + end - 8, total * 8);
	whole(ctx, buf, end);
}

static void sha1_blocks(void *ctx, const uint8_t *blocks, size_t octets)
{
	SHA1_Update(ctx, blocks, octets);
}

static void sha256_blocks(void *ctx, const uint8_t *blocks, size_t octets)
{
	SHA256_Update(ctx, blocks, octets);
}

static void sha1_digest(const SHA_CTX *c, uint8_t out[CRYPTO_SHA1_LEN])
{
	const uint32_t h[] = { c->h0, c->h1, c->h2, c->h3, c->h4 };

	for (unsigned i = 0; i < 5; i++)
		be32_store(out + 4 * i, h[i]);
}

static void sha256_digest(const SHA256_CTX *c, uint8_t out[CRYPTO_SHA256_LEN])
{
	for (unsigned i = 0; i < 8; i++)
		be32_store(out + 4 * i, c->h[i]);
}

void crypto_hmac_sha1(const struct crypto_hmac_sha1 *key, const struct crypto_piece *pieces,
                      unsigned n, uint8_t mac[CRYPTO_SHA1_LEN])
{
	SHA_CTX c;

	sha1_resume(&c, key->inner);
	finish_blocks(sha1_blocks, &c, pieces, n);
	sha1_digest(&c, mac);
	sha1_resume(&c, key->outer);
	finish_blocks(sha1_blocks, &c, &(struct crypto_piece){ mac, CRYPTO_SHA1_LEN }, 1);
	sha1_digest(&c, mac);
}

void crypto_hmac_sha256(const struct crypto_hmac_sha256 *key, const struct crypto_piece *pieces,
                        unsigned n, uint8_t mac[CRYPTO_SHA256_LEN])
{
	SHA256_CTX c;

	sha256_resume(&c, key->inner);
	finish_blocks(sha256_blocks, &c, pieces, n);
	sha256_digest(&c, mac);
	sha256_resume(&c, key->outer);
	finish_blocks(sha256_blocks, &c, &(struct crypto_piece){ mac, CRYPTO_SHA256_LEN }, 1);
	sha256_digest(&c, mac);
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
