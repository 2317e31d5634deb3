/*
 * What MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 are computed over (RFC 8489 §14.5, §14.6).
 * Here are the ranges; the HMAC is the caller's, and so is comparing in constant time (STUN-065).
 *
 * Ownership  Pointers are into the message.
 * Threads    Pure functions; no state.
 */
#pragma once

#include "wire/stun_build.h"

enum { STUN_SHA1_LEN = 20, STUN_SHA256_LEN = 32, STUN_SHA256_LEN_MIN = 16 };

/*
 * HMAC input: the four octets of `head`, then `rest_len` octets from `rest` on. `head` is the
 * message's type and the Length it would have if it ended behind this attribute (STUN-060,
 * STUN-063).
 */
struct stun_integrity {
	uint8_t head[4];
	const uint8_t *rest;
	size_t rest_len;
	const uint8_t *mac;
	uint16_t mac_len;
};

/* 20; or 16 to 32 by fours. RFC 8656 and RFC 8445 take 32 only: STUN-062 is the caller's. */
static inline bool stun_integrity_len_ok(uint16_t attr_type, uint16_t len)
{
	if (attr_type == STUN_MESSAGE_INTEGRITY)
		return len == STUN_SHA1_LEN;
	return len >= STUN_SHA256_LEN_MIN && len <= STUN_SHA256_LEN && len % 4 == 0;
}

/* The ranges for `attr`, an attribute of `msg`: marks.integrity, marks.sha256 or one found. */
static inline struct stun_integrity stun_integrity_locate(const struct stun_msg *msg,
                                                          const struct stun_attr *attr)
{
	const uint8_t *rest = msg->octets + 4;
	struct stun_integrity in = {
		.rest = rest,
		.rest_len = (size_t)(attr->value - STUN_ATTR_HDR_LEN - rest),
		.mac = attr->value,
		.mac_len = attr->len,
	};

	be16_store(in.head, msg->type);
	be16_store(in.head + 2, (uint16_t)((size_t)(attr->value - msg->attrs) + attr->len));
	return in;
}

/*
 * Room for the MAC of what was put so far: NULL after an overflow, else where to write it (20 or
 * 32 octets by `attr_type`). Its input is the *covered octets from b->buf on, in one piece: the
 * header counts the attribute already.
 */
static inline uint8_t *stun_reserve_integrity(struct stun_builder *b, uint16_t attr_type,
                                              size_t *covered)
{
	*covered = b->len;
	return stun_reserve(b, attr_type,
	                    attr_type == STUN_MESSAGE_INTEGRITY ? STUN_SHA1_LEN : STUN_SHA256_LEN);
}
