/*
 * Digests, HMAC and base64, for whoever authenticates or is authenticated: with nonce.c the only
 * code that includes the crypto library.
 *
 * A key is kept as midstates: the two compression states behind the inner and the outer pad. A MAC
 * then costs the compressions of the message and two more, no context, no allocation. EVP would set
 * a context up for every message (148 ns against 271 re-initialised and 937 new, 120 octets).
 *
 * Source     RFC 2104, RFC 3174, RFC 6234; RFC 8489 §9.2.2, §14.4 to §14.6; RFC 4648 §4.
 * Threads    Pure functions; any thread.
 * Secrets    Temporaries are wiped; compare MACs with crypto_equal() only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CRYPTO_MD5_LEN = 16,
	CRYPTO_SHA1_LEN = 20,
	CRYPTO_SHA256_LEN = 32,
	CRYPTO_BASE64_SHA1 = 28 /* characters of a SHA-1 digest, padding included */
};

struct crypto_hmac_sha1 {
	uint32_t inner[5], outer[5];
};

struct crypto_hmac_sha256 {
	uint32_t inner[8], outer[8];
};

/* One piece of HMAC input; the pieces are hashed in order. */
struct crypto_piece {
	const void *octets;
	size_t len;
};

void crypto_hmac_sha1_key(struct crypto_hmac_sha1 *out, const void *key, size_t len);
void crypto_hmac_sha256_key(struct crypto_hmac_sha256 *out, const void *key, size_t len);

void crypto_hmac_sha1(const struct crypto_hmac_sha1 *key, const struct crypto_piece *pieces,
                      unsigned n, uint8_t mac[CRYPTO_SHA1_LEN]);
void crypto_hmac_sha256(const struct crypto_hmac_sha256 *key, const struct crypto_piece *pieces,
                        unsigned n, uint8_t mac[CRYPTO_SHA256_LEN]);

/* Digests of the pieces, one behind the other. */
void crypto_md5(const struct crypto_piece *pieces, unsigned n, uint8_t out[CRYPTO_MD5_LEN]);
void crypto_sha256(const struct crypto_piece *pieces, unsigned n, uint8_t out[CRYPTO_SHA256_LEN]);

/* Long-term keys, MD5 and SHA-256 over name ":" realm ":" password (STUN-084, STUN-085). */
void crypto_long_term(const void *name, size_t name_len, const char *realm, const void *password,
                      size_t password_len, uint8_t md5[CRYPTO_MD5_LEN],
                      uint8_t sha256[CRYPTO_SHA256_LEN]);

/* USERHASH: SHA-256 over name ":" realm (STUN-098). */
void crypto_userhash(const void *name, size_t name_len, const char *realm,
                     uint8_t out[CRYPTO_SHA256_LEN]);

/* The password of a time-limited name: base64 with padding of HMAC-SHA1 (TURN-195). NUL-terminated.
 */
void crypto_rest_password(const struct crypto_hmac_sha1 *secret, const void *name, size_t len,
                          char out[CRYPTO_BASE64_SHA1 + 1]);

/* Characters written, NUL not counted; `out` has room for 4 * ((len + 2) / 3) + 1. */
size_t crypto_base64(const void *octets, size_t len, char *out);

/* In constant time. */
bool crypto_equal(const void *a, const void *b, size_t len);
void crypto_wipe(void *p, size_t len);
