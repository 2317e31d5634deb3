/*
 * The client's half of long-term credentials: what a challenge teaches, how a request is signed,
 * whose answer it is.
 *
 * Source     RFC 8489 §9.2; STUN-095 and on, TURN-235 to TURN-238.
 * Threads    One at a time; no state but the struct.
 * Secrets    Keys stay in the struct: longterm_wipe() when done.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto.h"
#include "wire/stun_build.h"

enum { LONGTERM_REALM_MAX = 255, LONGTERM_NONCE_MAX = 255, LONGTERM_ALGORITHMS_MAX = 64 };

struct longterm {
	bool known;    /* requests can be signed */
	bool sha256;   /* the algorithm chosen: MESSAGE-INTEGRITY-SHA256 with it */
	bool userhash; /* instead of USERNAME */
	char realm[LONGTERM_REALM_MAX + 1];
	uint8_t nonce[LONGTERM_NONCE_MAX];
	uint16_t nonce_len;
	uint8_t algorithms[LONGTERM_ALGORITHMS_MAX]; /* as they came, to be sent back */
	uint16_t algorithms_len;
	struct crypto_hmac_sha1 sha1_key;
	struct crypto_hmac_sha256 sha256_key;
};

enum longterm_learned {
	LONGTERM_AGAIN,   /* ask again, signed, in a new transaction */
	LONGTERM_REFUSED, /* nothing would change: the credentials are wrong */
	LONGTERM_IGNORED  /* no challenge to believe (bid-down, too long, realm missing) */
};

/* A 401 or 438 answer. Wraps no judgement of who sent it: it carries no integrity. */
enum longterm_learned longterm_learn(struct longterm *l, const struct stun_msg *m, unsigned code,
                                     const char *user, const char *password);
/* USERNAME or USERHASH, REALM, NONCE, algorithms and integrity; nothing if not known yet. */
void longterm_sign(const struct longterm *l, struct stun_builder *b, const char *user);
/* The message is signed with our key. */
bool longterm_verify(const struct longterm *l, const struct stun_msg *m);
void longterm_wipe(struct longterm *l);
