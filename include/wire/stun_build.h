/*
 * Writing STUN. Errors are sticky: put everything, then ask stun_finish() once.
 *
 * Ownership  The buffer is the caller's; every octet up to stun_finish() is written here, padding
 *            included (TURN-021).
 * Order      Integrity, then FINGERPRINT, last (STUN-021): wire/integrity.h and wire/crc.h.
 */
#pragma once

#include <assert.h>
#include <string.h>
#include "addr.h"
#include "wire/attr.h"
#include "wire/turn.h"

struct stun_builder {
	uint8_t *buf;
	size_t cap, len;
	bool overflow; /* an attribute did not fit; later puts are no-ops */
};

/* `buf` must not overlap `txid`: build a reply in its own buffer. cap: at least STUN_HDR_LEN. */
static inline void stun_begin(struct stun_builder *b, uint8_t *buf, size_t cap, uint16_t type,
                              const uint8_t *txid)
{
	assert(cap >= STUN_HDR_LEN && (type & 0xC000) == 0);
	*b = (struct stun_builder){ .buf = buf, .cap = cap, .len = STUN_HDR_LEN };
	be16_store(buf, type);
	be16_store(buf + 2, 0);
	be32_store(buf + 4, STUN_COOKIE);
	memcpy(buf + 8, txid, STUN_TXID_LEN);
}

/* An answer to what stun_open_classic() accepted: octets 4..19 are copied from it (STUN-133). */
static inline void stun_begin_classic(struct stun_builder *b, uint8_t *buf, size_t cap,
                                      enum stun_class cls, const struct stun_msg *request)
{
	stun_begin(b, buf, cap, stun_type(STUN_BINDING, cls), request->txid);
	memcpy(buf + 4, request->octets + 4, 4);
}

/*
 * Room for one attribute, value zeroed, or NULL after an overflow. The header length is right
 * after every call, so MESSAGE-INTEGRITY and FINGERPRINT, which hash a header that already
 * counts them (RFC 8489 §14.5, §14.7), are plain attributes.
 */
static inline uint8_t *stun_reserve(struct stun_builder *b, uint16_t type, uint16_t len)
{
	const size_t need = STUN_ATTR_HDR_LEN + pad4(len);
	uint8_t *attr = b->buf + b->len;

	if (b->overflow || need > b->cap - b->len || b->len + need > STUN_LEN_MAX) {
		b->overflow = true;
		return NULL;
	}
	memset(attr, 0, need);
	be16_store(attr, type);
	be16_store(attr + 2, len);
	b->len += need;
	be16_store(b->buf + 2, (uint16_t)(b->len - STUN_HDR_LEN));
	return attr + STUN_ATTR_HDR_LEN;
}

static inline void stun_put(struct stun_builder *b, uint16_t type, const void *value, uint16_t len)
{
	uint8_t *dst = stun_reserve(b, type, len);

	if (dst != NULL && len > 0)
		memcpy(dst, value, len);
}

static inline void stun_put_u32(struct stun_builder *b, uint16_t type, uint32_t v)
{
	uint8_t *dst = stun_reserve(b, type, 4);

	if (dst != NULL)
		be32_store(dst, v);
}

/* A number in the first octet, three zero ones behind it: families and REQUESTED-TRANSPORT. */
static inline void stun_put_u8(struct stun_builder *b, uint16_t type, uint8_t v)
{
	stun_put_u32(b, type, (uint32_t)v << 24);
}

/* MAPPED-ADDRESS, ALTERNATE-SERVER, RESPONSE-ORIGIN, OTHER-ADDRESS (RFC 8489 §14.1). */
static inline void stun_put_addr(struct stun_builder *b, uint16_t type, const struct endpoint *e)
{
	const bool is4 = addr_is4(&e->addr);
	uint8_t *dst = stun_reserve(b, type, is4 ? 8 : 20);

	if (dst == NULL)
		return;
	dst[1] = is4 ? TURN_FAMILY_IPV4 : TURN_FAMILY_IPV6;
	be16_store(dst + 2, e->port);
	if (is4)
		memcpy(dst + 4, e->addr.ip + 12, 4);
	else
		memcpy(dst + 4, e->addr.ip, 16);
}

/* XOR-MAPPED-, XOR-PEER- and XOR-RELAYED-ADDRESS (RFC 8489 §14.2). */
static inline void stun_put_xor_addr(struct stun_builder *b, uint16_t type,
                                     const struct endpoint *e)
{
	const size_t at = b->len;

	stun_put_addr(b, type, e);
	if (!b->overflow)
		stun_xor(b->buf + at + STUN_ATTR_HDR_LEN, b->len - at - STUN_ATTR_HDR_LEN,
		         b->buf + 4);
}

static inline void stun_put_code(struct stun_builder *b, uint16_t type, uint8_t family,
                                 unsigned code, const char *reason)
{
	const size_t len = reason == NULL ? 0 : strlen(reason);

	assert(code >= 300 && code <= 699 && len <= 509);
	uint8_t *dst = stun_reserve(b, type, (uint16_t)(4 + len));
	if (dst == NULL)
		return;
	dst[0] = family;
	dst[2] = (uint8_t)(code / 100);
	dst[3] = (uint8_t)(code % 100);
	if (len > 0)
		memcpy(dst + 4, reason, len);
}

/*
 * ERROR-CODE (RFC 8489 §14.8). `reason` is UTF-8 of at most 509 octets, NULL for none;
 * stun_reason() has the usual ones. `code` is 300..699.
 */
static inline void stun_put_error(struct stun_builder *b, unsigned code, const char *reason)
{
	stun_put_code(b, STUN_ERROR_CODE, 0, code, reason);
}

/* ADDRESS-ERROR-CODE: why there is no relayed address of `family`, 1 or 2 (RFC 8656 §18.12). */
static inline void stun_put_address_error(struct stun_builder *b, uint8_t family, unsigned code,
                                          const char *reason)
{
	stun_put_code(b, TURN_ADDRESS_ERROR_CODE, family, code, reason);
}

/* The same for a client of RFC 3489, which knows no padding: blanks fill the reason (STUN-136). */
static inline void stun_put_error_classic(struct stun_builder *b, unsigned code, const char *reason)
{
	char filled[512];
	const size_t len = strlen(reason);

	assert(len <= 509);
	memset(filled, ' ', sizeof(filled));
	memcpy(filled, reason, len);
	filled[pad4(len) < 508 ? pad4(len) : 508] = '\0';
	stun_put_error(b, code, filled);
}

/* UNKNOWN-ATTRIBUTES (STUN-039, STUN-040). */
static inline void stun_put_unknown(struct stun_builder *b, const struct stun_unknown *u)
{
	uint8_t *dst = stun_reserve(b, STUN_UNKNOWN_ATTRIBUTES, (uint16_t)(2 * u->listed));

	for (unsigned i = 0; dst != NULL && i < u->listed; i++)
		be16_store(dst + 2 * i, u->type[i]);
}

/* The same for a client of RFC 3489, which knows no padding: an odd list repeats its last type. */
static inline void stun_put_unknown_classic(struct stun_builder *b, const struct stun_unknown *u)
{
	const unsigned n = (u->listed + 1u) & ~1u;
	uint8_t *dst = stun_reserve(b, STUN_UNKNOWN_ATTRIBUTES, (uint16_t)(2 * n));

	for (unsigned i = 0; dst != NULL && i < n; i++)
		be16_store(dst + 2 * i, u->type[i < u->listed ? i : u->listed - 1u]);
}

/* PASSWORD-ALGORITHMS or one PASSWORD-ALGORITHM, without parameters (RFC 8489 §14.11, §14.12). */
static inline void stun_put_algorithms(struct stun_builder *b, uint16_t type,
                                       const uint16_t *algorithms, unsigned n)
{
	uint8_t *dst = stun_reserve(b, type, (uint16_t)(4 * n));

	for (unsigned i = 0; dst != NULL && i < n; i++)
		be16_store(dst + 4 * i, algorithms[i]);
}

/* ICMP (RFC 8656 §18.13). */
static inline void stun_put_icmp(struct stun_builder *b, const struct turn_icmp *icmp)
{
	uint8_t *dst = stun_reserve(b, TURN_ICMP_ATTR, 8);

	if (dst == NULL)
		return;
	dst[2] = icmp->type;
	dst[3] = icmp->code;
	be32_store(dst + 4, icmp->data);
}

/* Length of the finished message in octets, or 0 if anything did not fit. */
static inline size_t stun_finish(const struct stun_builder *b)
{
	return b->overflow ? 0 : b->len;
}
