/*
 * What attributes hold (RFC 8489 §14, RFC 8656 §18). Each reader checks the length, and what
 * content must be right, and leaves its output alone when it says no: that is STUN-020's
 * "malformed". Reserved bits are not looked at (STUN-022).
 *
 * Units      Ports and numbers in host order.
 * Threads    Pure functions; no state.
 */
#pragma once

#include <string.h>
#include "addr.h"
#include "wire/turn.h"

/* Port and address of an address attribute xor the octets from the cookie on (RFC 8489 §14.2). */
static inline void stun_xor(uint8_t *value, size_t len, const uint8_t cookie_txid[16])
{
	value[2] ^= cookie_txid[0];
	value[3] ^= cookie_txid[1];
	for (size_t i = 4; i < len; i++)
		value[i] ^= cookie_txid[i - 4];
}

/*
 * MAPPED-ADDRESS form (RFC 8489 §14.1). The family on the wire, 4 or 6; 0: malformed (STUN-057).
 * An IPv4 address in IPv6 clothes comes back as 6 with an IPv4 endpoint: where the family decides
 * anything, compare with addr_family().
 */
static inline unsigned stun_addr(const struct stun_attr *attr, struct endpoint *out)
{
	if (attr->len == 8 && attr->value[1] == TURN_FAMILY_IPV4) {
		out->addr = addr_from4(attr->value + 4);
		out->port = be16_load(attr->value + 2);
		return 4;
	}
	if (attr->len == 20 && attr->value[1] == TURN_FAMILY_IPV6) {
		memcpy(out->addr.ip, attr->value + 4, 16);
		out->port = be16_load(attr->value + 2);
		return 6;
	}
	return 0;
}

/* The XOR form (RFC 8489 §14.2, RFC 8656 §18.3, §18.5); `msg` is the attribute's own message. */
static inline unsigned stun_xor_addr(const struct stun_msg *msg, const struct stun_attr *attr,
                                     struct endpoint *out)
{
	uint8_t plain[20];

	if (attr->len != 8 && attr->len != 20)
		return 0;
	memcpy(plain, attr->value, attr->len);
	stun_xor(plain, attr->len, msg->octets + 4);
	return stun_addr(&(struct stun_attr){ .len = attr->len, .value = plain }, out);
}

/* Attributes of four octets: LIFETIME, PRIORITY, CONNECTION-ID, FINGERPRINT. */
static inline bool stun_u32(const struct stun_attr *attr, uint32_t *v)
{
	if (attr->len != 4)
		return false;
	*v = be32_load(attr->value);
	return true;
}

/* A number in the first octet of four: REQUESTED-TRANSPORT and the address families. */
static inline bool stun_u8(const struct stun_attr *attr, uint8_t *v)
{
	if (attr->len != 4)
		return false;
	*v = attr->value[0];
	return true;
}

/* CHANNEL-NUMBER. Whether the number is in range is another question. */
static inline bool stun_channel(const struct stun_attr *attr, uint16_t *number)
{
	if (attr->len != 4)
		return false;
	*number = be16_load(attr->value);
	return true;
}

/* EVEN-PORT: *reserve tells whether the next higher port is wanted too. */
static inline bool stun_even_port(const struct stun_attr *attr, bool *reserve)
{
	if (attr->len != 1)
		return false;
	*reserve = (attr->value[0] & TURN_EVEN_PORT_RESERVE) != 0;
	return true;
}

/* RESPONSE-PORT: 4 octets, or the 2 that erratum 2844 forgot (STUN-158). */
static inline bool stun_response_port(const struct stun_attr *attr, uint16_t *port)
{
	if (attr->len != 4 && attr->len != 2)
		return false;
	*port = be16_load(attr->value);
	return true;
}

enum { STUN_REASON_MAX = 763 };

/* ERROR-CODE: 300..699 with the reason's octets; 0: malformed (STUN-046, STUN-047). */
static inline unsigned stun_error_code(const struct stun_attr *attr, const uint8_t **reason,
                                       size_t *reason_len)
{
	if (attr->len < 4 || attr->len > 4 + STUN_REASON_MAX)
		return 0;

	const unsigned hundreds = attr->value[2] & 7u, number = attr->value[3];
	if (hundreds < 3 || hundreds > 6 || number > 99)
		return 0;
	*reason = attr->value + 4;
	*reason_len = attr->len - 4u;
	return hundreds * 100 + number;
}

/* CHANGE-REQUEST (RFC 5780 §7.2). */
enum { STUN_CHANGE_IP = 4, STUN_CHANGE_PORT = 2 };

/*
 * Length and structure are possible for an attribute of this type (STUN-020; attr.c has the table).
 * Types without a rule pass. Text is measured, not decoded (STUN-077); whether values are in range
 * (families, transports, channel numbers) is another question.
 */
bool stun_well_formed(const struct stun_attr *attr);

/* ICMP (RFC 8656 §18.13). */
struct turn_icmp {
	uint8_t type, code;
	uint32_t data; /* next-hop MTU for "too big", else 0 (TURN-122) */
};

static inline bool stun_icmp(const struct stun_attr *attr, struct turn_icmp *out)
{
	if (attr->len != 8)
		return false;
	*out = (struct turn_icmp){ attr->value[2], attr->value[3], be32_load(attr->value + 4) };
	return true;
}

enum { STUN_UNKNOWN_MAX = 16 };

/* Comprehension-required types not understood, each once, in order (STUN-040). */
struct stun_unknown {
	uint16_t type[STUN_UNKNOWN_MAX];
	uint8_t listed;
	bool any; /* true also where the list is full */
};

/*
 * Goes through the attributes that count; `known` is made with STUN_BIT() (STUN-019, STUN-038).
 * Returns u->any.
 */
static inline bool stun_unknown(const struct stun_msg *msg, uint64_t known, struct stun_unknown *u)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr attr;

	u->listed = 0;
	u->any = false;
	while (stun_next_counted(&it, &attr)) {
		unsigned i = 0;

		if (!stun_required(attr.type) || (attr.type < 64 && (known >> attr.type & 1) != 0))
			continue;
		u->any = true;
		while (i < u->listed && u->type[i] != attr.type)
			i++;
		if (i == u->listed && i < STUN_UNKNOWN_MAX)
			u->type[u->listed++] = attr.type;
	}
	return u->any;
}

enum { STUN_ALGORITHM_MD5 = 1, STUN_ALGORITHM_SHA256 = 2 };

/* One entry of PASSWORD-ALGORITHMS, or the one of PASSWORD-ALGORITHM. */
struct stun_algorithm {
	uint16_t number;
	uint16_t parameters_len;
	const uint8_t *parameters;
};

struct stun_algorithm_iter {
	const uint8_t *pos;
	size_t left;
	bool bad; /* parameters overran the attribute */
};

static inline struct stun_algorithm_iter stun_algorithms(const struct stun_attr *attr)
{
	return (struct stun_algorithm_iter){ .pos = attr->value, .left = attr->len };
}

static inline bool stun_algorithms_next(struct stun_algorithm_iter *it, struct stun_algorithm *a)
{
	if (it->left == 0 || it->bad)
		return false;
	if (it->left < 4 || be16_load(it->pos + 2) > it->left - 4) {
		it->bad = true;
		return false;
	}
	a->number = be16_load(it->pos);
	a->parameters_len = be16_load(it->pos + 2);
	a->parameters = it->pos + 4;

	/* The last one's padding is the attribute's, not in its length. */
	const size_t whole = 4 + pad4(a->parameters_len);
	const size_t step = whole < it->left ? whole : it->left;
	it->pos += step;
	it->left -= step;
	return true;
}

/*
 * What a client chose (STUN-088): PASSWORD-ALGORITHMS must be the very octets sent with the nonce,
 * PASSWORD-ALGORITHM one of its entries. Returns the algorithm's number; 0: answer 400.
 */
static inline unsigned stun_algorithm_chosen(const struct stun_attr *one,
                                             const struct stun_attr *list, const uint8_t *sent,
                                             size_t sent_len)
{
	struct stun_algorithm_iter it = stun_algorithms(one);
	struct stun_algorithm chosen, offered;

	if (!stun_algorithms_next(&it, &chosen) || it.left != 0)
		return 0;
	if (list->len != sent_len || memcmp(list->value, sent, sent_len) != 0)
		return 0;
	it = stun_algorithms(list);
	while (stun_algorithms_next(&it, &offered))
		if (offered.number == chosen.number &&
		    offered.parameters_len == chosen.parameters_len &&
		    memcmp(offered.parameters, chosen.parameters, chosen.parameters_len) == 0)
			return chosen.number;
	return 0;
}
