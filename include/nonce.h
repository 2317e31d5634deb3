/*
 * Stateless nonces: 31 characters = 13 of RFC 8489 §9.2 cookie and feature bits, then base64 of
 * key epoch (1 octet), wall-clock seconds (4) and 8 octets of SipHash-2-4 over everything the nonce
 * vouches for. Requirements TURN-031 to TURN-033, STUN-104 to STUN-109.
 *
 * Threads    A nonce_keys belongs to one thread (it holds keyed EVP_MAC contexts).
 * Source     OpenSSL 3 EVP_MAC "SIPHASH".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

enum { NONCE_LEN = 31, NONCE_PREFIX_LEN = 13, NONCE_KEY_LEN = 16, NONCE_SCOPE_LEN = 16 };

struct nonce_keys; /* up to two live epochs */

struct nonce_keys *nonce_keys_new(void);
void nonce_keys_free(struct nonce_keys *k); /* wipes */

/* Adds or replaces the key of an epoch; `current` makes it the one new nonces are made with. */
bool nonce_keys_set(struct nonce_keys *k, uint8_t epoch, const uint8_t key[NONCE_KEY_LEN],
                    bool current);

/* What a listener's nonces are bound to; computed once per listener. */
void nonce_scope(const struct endpoint *listener, uint8_t transport, const char *realm,
                 const void *algorithms, unsigned algorithms_len, uint8_t scope[NONCE_SCOPE_LEN]);

/* "obMatJos2" + feature bits: bit 0 password algorithms, bit 1 username anonymity. */
void nonce_prefix(bool algorithms, bool anonymity, char prefix[NONCE_PREFIX_LEN]);

void nonce_make(struct nonce_keys *k, const char prefix[NONCE_PREFIX_LEN],
                const uint8_t scope[NONCE_SCOPE_LEN], const struct endpoint *client, uint32_t now_s,
                char out[NONCE_LEN]);

enum nonce_verdict { NONCE_FRESH, NONCE_EXPIRED, NONCE_FOREIGN };

/* EXPIRED: ours, but older than lifetime_s. FOREIGN: everything else, the future beyond one second
 * included. */
enum nonce_verdict nonce_check(struct nonce_keys *k, const char prefix[NONCE_PREFIX_LEN],
                               const uint8_t scope[NONCE_SCOPE_LEN], const struct endpoint *client,
                               const void *nonce, unsigned len, uint32_t now_s,
                               uint32_t lifetime_s);
