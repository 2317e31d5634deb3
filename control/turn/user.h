/*
 * Users: names, credentials and whom allocations are counted for.
 *
 * A credential is what an allocation keeps for life. Those of the configuration and of operators
 * are found by name; one that was deleted or changed stays as long as an allocation refers to it
 * (TURN-035). Time-limited names (TURN-194 to TURN-197) become credentials with their first
 * allocation.
 *
 * Threads    Control thread only.
 * Secrets    Passwords are not kept, only keys (TURN-026); freed credentials are wiped.
 */
#pragma once

#include "control/turn/server.h"

void name_make(struct name *n, const void *text, size_t len);
static inline bool name_equal(const struct name *a, const struct name *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* The configuration's users, at start and at reload. false: err says why. */
bool user_load(struct turn_server *srv, struct config_error *err);

/* A current user's credential by name or USERHASH, or NONE. */
uint32_t user_find(const struct turn_server *srv, const struct name *name, uint8_t realm);
/* The same under a hash computed before. */
uint64_t user_hash(const struct turn_server *srv, const struct name *name, uint8_t realm);
uint32_t user_find_hashed(const struct turn_server *srv, uint64_t hash, const struct name *name,
                          uint8_t realm);
uint32_t user_find_hash(const struct turn_server *srv, const uint8_t hash[CRYPTO_SHA256_LEN]);

/* A new credential in the pool with its owner, not yet findable; NONE: no room. */
uint32_t user_make(struct turn_server *srv, const struct name *name, const struct name *owner,
                   uint8_t realm, const uint8_t md5[CRYPTO_MD5_LEN],
                   const uint8_t sha256[CRYPTO_SHA256_LEN]);
/* Findable by name from now on, and listed unless it is time-limited. */
void user_publish(struct turn_server *srv, uint32_t cred, uint8_t flags);
/* One allocation more or less uses the credential; it goes with the last one if it is not current.
 */
void user_ref(struct turn_server *srv, uint32_t cred);
void user_unref(struct turn_server *srv, uint32_t cred);

/*
 * A time-limited name: its expiry in seconds since 1970 and the part that is counted; false: it is
 * no such name (TURN-194).
 */
bool user_rest_name(const struct turn_server *srv, const uint8_t *name, size_t len,
                    uint64_t *expiry_s, struct name *owner);
/* Keys of a time-limited name under secret `i`. */
void user_rest_keys(const struct turn_server *srv, unsigned i, const uint8_t *name, size_t len,
                    const char *realm, struct cred *out);
/* The credential of a time-limited name, made or found; NONE: no room. */
uint32_t user_rest_intern(struct turn_server *srv, const struct cred *like,
                          const struct name *owner);

/* An owner's number, made if need be; NONE: no room. Each take needs a drop. */
uint32_t owner_take(struct turn_server *srv, const struct name *name);
void owner_drop(struct turn_server *srv, uint32_t owner);

/* Midstates, computed at first use. `cred` may be outside the pool. */
const struct crypto_hmac_sha1 *user_hmac_sha1(struct cred *cred, unsigned key);
const struct crypto_hmac_sha256 *user_hmac_sha256(struct cred *cred, unsigned key);
