/*
 * Reading STUN (RFC 8489 §5, §14). No allocation, no logging, no DPDK: fuzz targets link it.
 *
 *   stun_open          the fixed header and the lengths     STUN-001 to STUN-008
 *   stun_scan          every attribute fits; where integrity and FINGERPRINT stand  STUN-015
 *   stun_next          all attributes, as they stand
 *   stun_next_counted  those that count                     STUN-017, STUN-018
 *   stun_find          the first that counts, of a type     STUN-016
 *
 * What an attribute holds is read by wire/attr.h.
 *
 * Ownership  Pointers are into the datagram; nothing is copied. Any alignment.
 * Threads    Pure functions; no state.
 */
#pragma once

#include <stdbool.h>
#include "wire/bytes.h"

#define STUN_COOKIE UINT32_C(0x2112A442)
enum { STUN_HDR_LEN = 20, STUN_ATTR_HDR_LEN = 4, STUN_TXID_LEN = 12 };
enum { STUN_LEN_MAX = STUN_HDR_LEN + 0xFFFC };

enum stun_class { STUN_REQUEST, STUN_INDICATION, STUN_SUCCESS, STUN_ERROR };

enum { STUN_BINDING = 0x001, STUN_METHOD_MAX = 0x0FF /* RFC 7983 §3 */ };

/* RFC 8489 §18.3, RFC 5780 §9.1, RFC 8445 §16.1, RFC 7635, RFC 7982, RFC 6679. */
enum stun_attr_type {
	STUN_MAPPED_ADDRESS = 0x0001,
	STUN_RESPONSE_ADDRESS = 0x0002, /* RFC 3489, reserved since */
	STUN_CHANGE_REQUEST = 0x0003,
	STUN_SOURCE_ADDRESS = 0x0004,  /* RFC 3489, reserved since */
	STUN_CHANGED_ADDRESS = 0x0005, /* RFC 3489, reserved since */
	STUN_USERNAME = 0x0006,
	STUN_MESSAGE_INTEGRITY = 0x0008,
	STUN_ERROR_CODE = 0x0009,
	STUN_UNKNOWN_ATTRIBUTES = 0x000A,
	STUN_REFLECTED_FROM = 0x000B, /* RFC 3489, reserved since */
	STUN_REALM = 0x0014,
	STUN_NONCE = 0x0015,
	STUN_ACCESS_TOKEN = 0x001B,
	STUN_MESSAGE_INTEGRITY_SHA256 = 0x001C,
	STUN_PASSWORD_ALGORITHM = 0x001D,
	STUN_USERHASH = 0x001E,
	STUN_XOR_MAPPED_ADDRESS = 0x0020,
	STUN_PRIORITY = 0x0024,
	STUN_USE_CANDIDATE = 0x0025,
	STUN_PADDING = 0x0026,
	STUN_RESPONSE_PORT = 0x0027,
	STUN_PASSWORD_ALGORITHMS = 0x8002,
	STUN_ALTERNATE_DOMAIN = 0x8003,
	STUN_SOFTWARE = 0x8022,
	STUN_ALTERNATE_SERVER = 0x8023,
	STUN_TRANSACTION_TRANSMIT_COUNTER = 0x8025,
	STUN_CACHE_TIMEOUT = 0x8027,
	STUN_FINGERPRINT = 0x8028,
	STUN_ICE_CONTROLLED = 0x8029,
	STUN_ICE_CONTROLLING = 0x802A,
	STUN_RESPONSE_ORIGIN = 0x802B,
	STUN_OTHER_ADDRESS = 0x802C,
	STUN_ECN_CHECK = 0x802D,
	STUN_THIRD_PARTY_AUTHORIZATION = 0x802E,
};

/* A datagram stun_open() accepted. */
struct stun_msg {
	uint16_t type;         /* method and class bits, host order */
	const uint8_t *octets; /* the message from its first octet */
	const uint8_t *txid;
	const uint8_t *attrs, *end;
};

struct stun_attr {
	uint16_t type;
	uint16_t len; /* octets of value, padding excluded */
	const uint8_t *value;
};

struct stun_iter {
	const uint8_t *pos, *end;
	bool bad;    /* the last attribute overran the message; sticky */
	bool sealed; /* an integrity attribute went by (stun_next_counted) */
};

/* STUN-003: the class bits stand between the method bits. */
static inline uint16_t stun_type(unsigned method, enum stun_class cls)
{
	const unsigned c = (unsigned)cls;

	return (uint16_t)((method & 0xF80) << 2 | (method & 0x070) << 1 | (method & 0x00F) |
	                  (c & 2) << 7 | (c & 1) << 4);
}

static inline unsigned stun_method(uint16_t type)
{
	return (type & 0x3E00u) >> 2 | (type & 0x00E0u) >> 1 | (type & 0x000Fu);
}

static inline enum stun_class stun_class(uint16_t type)
{
	return (enum stun_class)((type & 0x0100u) >> 7 | (type & 0x0010u) >> 4);
}

static inline bool stun_required(uint16_t attr_type)
{
	return attr_type < 0x8000;
}

/* Octets of the whole message. */
static inline size_t stun_len(const struct stun_msg *msg)
{
	return (size_t)(msg->end - msg->octets);
}

/* Everything of stun_open() but the cookie (RFC 3489 had none: STUN-133). */
static inline bool stun_open_any(const uint8_t *pkt, size_t len, struct stun_msg *msg)
{
	if (len < STUN_HDR_LEN || pkt[0] > 3)
		return false;
	if (len % 4 != 0 || be16_load(pkt + 2) != len - STUN_HDR_LEN)
		return false;
	msg->type = be16_load(pkt);
	msg->octets = pkt;
	msg->txid = pkt + 8;
	msg->attrs = pkt + STUN_HDR_LEN;
	msg->end = pkt + len;
	return true;
}

/*
 * The way to get a stun_msg. Over UDP the datagram and the message end together (STUN-008); octet 0
 * above 3 is another protocol (STUN-005). false leaves *msg untouched or unspecified: do not use
 * it.
 */
static inline bool stun_open(const uint8_t *pkt, size_t len, struct stun_msg *msg)
{
	return len >= STUN_HDR_LEN && be32_load(pkt + 4) == STUN_COOKIE &&
	       stun_open_any(pkt, len, msg);
}

/*
 * A Binding request of RFC 3489: type 0x0001 and no cookie (STUN-133). Its transaction id is 16
 * octets, from octet 4 on; answer it with stun_begin_classic().
 */
static inline bool stun_open_classic(const uint8_t *pkt, size_t len, struct stun_msg *msg)
{
	return len >= STUN_HDR_LEN && be32_load(pkt + 4) != STUN_COOKIE &&
	       be16_load(pkt) == STUN_BINDING && stun_open_any(pkt, len, msg);
}

static inline struct stun_iter stun_attrs(const struct stun_msg *msg)
{
	return (struct stun_iter){ .pos = msg->attrs, .end = msg->end };
}

/* false at the end of the message or at the first malformed attribute; check it->bad to tell. */
static inline bool stun_next(struct stun_iter *it, struct stun_attr *attr)
{
	/* A multiple of 4, like the message: stun_open() saw to it. */
	const size_t left = (size_t)(it->end - it->pos);

	if (left == 0 || it->bad)
		return false;
	if (pad4(be16_load(it->pos + 2)) > left - STUN_ATTR_HDR_LEN) {
		it->bad = true;
		return false;
	}
	attr->type = be16_load(it->pos);
	attr->len = be16_load(it->pos + 2);
	attr->value = it->pos + STUN_ATTR_HDR_LEN;
	it->pos = attr->value + pad4(attr->len);
	return true;
}

/* MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 or FINGERPRINT: what may follow an integrity
 * attribute. */
static inline bool stun_seals(uint16_t attr_type)
{
	return attr_type == STUN_MESSAGE_INTEGRITY || attr_type == STUN_MESSAGE_INTEGRITY_SHA256 ||
	       attr_type == STUN_FINGERPRINT;
}

/*
 * As stun_next(), without what integrity does not cover: behind the first integrity attribute only
 * integrity and FINGERPRINT count (STUN-017, STUN-018). RFC 8489 §9 would let attributes between a
 * MESSAGE-INTEGRITY-SHA256 and a later MESSAGE-INTEGRITY count; the former decides, and does not
 * cover them, so here they do not.
 */
static inline bool stun_next_counted(struct stun_iter *it, struct stun_attr *attr)
{
	while (stun_next(it, attr)) {
		const bool seals = stun_seals(attr->type);

		if (it->sealed && !seals)
			continue;
		it->sealed |= seals && attr->type != STUN_FINGERPRINT;
		return true;
	}
	return false;
}

/* The first attribute of a type that counts (STUN-016). false: none, and attr->value is NULL. */
static inline bool stun_find(const struct stun_msg *msg, uint16_t type, struct stun_attr *attr)
{
	struct stun_iter it = stun_attrs(msg);

	while (stun_next_counted(&it, attr))
		if (attr->type == type)
			return true;
	*attr = (struct stun_attr){ .type = type };
	return false;
}

/* Where the three attributes stand that say something about the others. */
struct stun_marks {
	struct stun_attr integrity, sha256, fingerprint; /* the first of each; value NULL: none */
	const uint8_t *counted; /* end of the attributes that count, but for these three */
	bool fingerprint_last;
};

/*
 * One walk over all attributes, before any is acted on. false: one overran the message, which makes
 * all of it malformed (STUN-015).
 */
static inline bool stun_scan(const struct stun_msg *msg, struct stun_marks *marks)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr attr;

	*marks = (struct stun_marks){ .counted = msg->end };
	while (stun_next(&it, &attr)) {
		struct stun_attr *mark = attr.type == STUN_MESSAGE_INTEGRITY ? &marks->integrity
		                         : attr.type == STUN_MESSAGE_INTEGRITY_SHA256
		                                 ? &marks->sha256
		                         : attr.type == STUN_FINGERPRINT ? &marks->fingerprint
		                                                         : NULL;

		if (mark == NULL || mark->value != NULL)
			continue;
		*mark = attr;
		if (mark != &marks->fingerprint && marks->counted == msg->end)
			marks->counted = attr.value - STUN_ATTR_HDR_LEN;
		else if (mark == &marks->fingerprint)
			marks->fingerprint_last = it.pos == msg->end;
	}
	return !it.bad;
}
