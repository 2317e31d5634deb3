/*
 * What a receiver makes of a STUN vector, composed of nothing but include/wire, a HMAC and the
 * vector's context: the order of checks of STUN-023 to STUN-029. State is not asked.
 */
#pragma once

#include "tests/vectors.h"
#include "wire/attr.h"

struct verdict {
	const char *action, *why; /* as in the file; action "left": RFC 7635, which is not served */
	unsigned code;
	struct stun_unknown unknown; /* code 420 */
};

struct verdict judge(const struct vector *v);

/* Opens the message of an accepted vector, with or without the cookie. */
bool judge_open(const struct vector *v, struct stun_msg *msg);

/* The MAC in `attr` is right under `key`; shortened SHA-256 MACs are compared as far as they go. */
bool judge_mac(const struct stun_msg *msg, const struct stun_attr *attr, const void *key,
               size_t key_len);

/*
 * Several reasons of the file are one to wire code: stun_open() says no, and does not say whether
 * for being short, unaligned or of another length; turn_serves() knows no difference between an
 * unknown method and a class that is not allowed.
 */
const char *judge_why(const char *why);
