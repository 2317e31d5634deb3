/*
 * A connectivity check of ICE and the answer to it: what the agent and the packet workers, which
 * answer checks of legs they know by themselves, have to say in the same octets.
 *
 *   check_read    the attributes of a Binding request, FINGERPRINT looked at
 *   check_judge   refused with which code, under the key of the password it names?
 *   check_answer  the success response
 *
 * Source     RFC 8445 §7.3, RFC 8489 §9.1.3; ICE-134, ICE-135, ICE-137, ICE-168.
 * Ownership  Pointers of a check are into the message.
 * Threads    Pure functions; no state, no allocation.
 */
#pragma once

#include "crypto.h"
#include "wire/stun_build.h"

struct check {
	const struct stun_msg *msg;
	struct stun_marks marks;
	bool has_name;         /* USERNAME is there; ours NULL: without a colon in it */
	const uint8_t *ours;   /* ufrag of whom is asked, before the colon */
	const uint8_t *theirs; /* ufrag of who asks */
	uint16_t ours_len, theirs_len;
	bool has_priority, use_candidate;
	bool has_controlling, has_controlled; /* both: refused (ICE-089) */
	bool malformed;                       /* one of these has an impossible length */
	bool verified;                        /* check_judge(): the sender knows the password */
	uint32_t priority;
	uint16_t unknown; /* first type that had to be understood; 0: none */
	uint64_t tie;     /* with the role */
};

/*
 * Reads a Binding request. false: an attribute overruns it, or FINGERPRINT is missing or wrong:
 * dropped without an answer.
 */
bool check_read(const struct stun_msg *msg, struct check *c);

/* Is it for the owner of that ufrag? */
static inline bool check_is_for(const struct check *c, const char *ufrag, size_t len)
{
	return c->ours != NULL && c->ours_len == len && memcmp(c->ours, ufrag, len) == 0;
}

/* Is MESSAGE-INTEGRITY there and made with that key? For requests and answers. */
bool check_verify(const struct stun_msg *msg, const struct stun_marks *marks,
                  const struct crypto_hmac_sha1 *key);

/*
 * 0, or the code of the refusal: 400, 401 (`key` NULL: nobody here has the ufrag), 420 with
 * c->unknown. Whether PRIORITY may be missing and whose role gives way is the caller's question.
 * A refusal of what is not verified is answered without integrity.
 */
unsigned check_judge(struct check *c, const struct crypto_hmac_sha1 *key);

enum { CHECK_ANSWER_MAX = 76 };

/*
 * The success response to the check with that transaction id that came from `from`: 64 octets, 76
 * over IPv6. `out` holds CHECK_ANSWER_MAX and does not overlap `txid`.
 */
size_t check_answer(const uint8_t *txid, const struct endpoint *from,
                    const struct crypto_hmac_sha1 *key, uint8_t *out);
