/*
 * TURN's numbers (RFC 8656 §17 to §19; TCP allocations RFC 6062, mobility RFC 8016) and ChannelData
 * (§12.4 to §12.6).
 *
 * Units      Channel numbers and lengths in host order.
 * Threads    Pure functions; no state.
 */
#pragma once

#include "wire/stun.h"

enum turn_method {
	TURN_ALLOCATE = 0x003,
	TURN_REFRESH = 0x004,
	TURN_SEND = 0x006,
	TURN_DATA = 0x007,
	TURN_CREATE_PERMISSION = 0x008,
	TURN_CHANNEL_BIND = 0x009,
	TURN_CONNECT = 0x00A,
	TURN_CONNECTION_BIND = 0x00B,
	TURN_CONNECTION_ATTEMPT = 0x00C,
};

/* _ATTR where a method or a struct has the plain name. */
enum turn_attr_type {
	TURN_CHANNEL_NUMBER = 0x000C,
	TURN_LIFETIME = 0x000D,
	TURN_XOR_PEER_ADDRESS = 0x0012,
	TURN_DATA_ATTR = 0x0013,
	TURN_XOR_RELAYED_ADDRESS = 0x0016,
	TURN_REQUESTED_ADDRESS_FAMILY = 0x0017,
	TURN_EVEN_PORT = 0x0018,
	TURN_REQUESTED_TRANSPORT = 0x0019,
	TURN_DONT_FRAGMENT = 0x001A,
	TURN_RESERVATION_TOKEN = 0x0022,
	TURN_CONNECTION_ID = 0x002A,
	TURN_ADDITIONAL_ADDRESS_FAMILY = 0x8000,
	TURN_ADDRESS_ERROR_CODE = 0x8001,
	TURN_ICMP_ATTR = 0x8004,
	TURN_MOBILITY_TICKET = 0x8030,
};

enum { TURN_FAMILY_IPV4 = 1, TURN_FAMILY_IPV6 = 2 };
enum { TURN_TRANSPORT_TCP = 6, TURN_TRANSPORT_UDP = 17 };
enum { TURN_RESERVATION_TOKEN_LEN = 8, TURN_EVEN_PORT_RESERVE = 0x80 };

/* X(number, name, reason phrase): RFC 8489 §14.8, RFC 8656 §19, RFC 6062, RFC 8016, RFC 8445. */
/* clang-format off */
#define STUN_CODES(X)                                          \
	X(300, TRY_ALTERNATE, "Try Alternate")                 \
	X(400, BAD_REQUEST, "Bad Request")                     \
	X(401, UNAUTHENTICATED, "Unauthenticated")             \
	X(403, FORBIDDEN, "Forbidden")                         \
	X(405, MOBILITY_FORBIDDEN, "Mobility Forbidden")       \
	X(420, UNKNOWN_ATTRIBUTE, "Unknown Attribute")         \
	X(437, ALLOCATION_MISMATCH, "Allocation Mismatch")     \
	X(438, STALE_NONCE, "Stale Nonce")                     \
	X(440, FAMILY_NOT_SUPPORTED, "Address Family not Supported") \
	X(441, WRONG_CREDENTIALS, "Wrong Credentials")         \
	X(442, UNSUPPORTED_TRANSPORT, "Unsupported Transport Protocol") \
	X(443, PEER_FAMILY_MISMATCH, "Peer Address Family Mismatch") \
	X(446, CONNECTION_EXISTS, "Connection Already Exists") \
	X(447, CONNECTION_FAILED, "Connection Timeout or Failure") \
	X(486, QUOTA_REACHED, "Allocation Quota Reached")      \
	X(487, ROLE_CONFLICT, "Role Conflict")                 \
	X(500, SERVER_ERROR, "Server Error")                   \
	X(508, INSUFFICIENT_CAPACITY, "Insufficient Capacity")
/* clang-format on */

#define STUN_CODE_ENUM(number, name, reason) STUN_##name = number,
enum stun_code { STUN_CODES(STUN_CODE_ENUM) };
#undef STUN_CODE_ENUM

/* The phrase of a code; "" for one that is not in the list. */
static inline const char *stun_reason(unsigned code)
{
#define STUN_CODE_CASE(number, name, reason) \
	case number: return reason;
	switch (code) {
		STUN_CODES(STUN_CODE_CASE)
	default: return "";
	}
#undef STUN_CODE_CASE
}

/*
 * Comprehension-required types one knows, as bits: all that are assigned lie below 64. What the
 * configuration switches off is taken out by the caller (STUN-043).
 */
#define STUN_BIT(attr_type) (UINT64_C(1) << (attr_type))

/* On a relay listener, and for a plain Binding server. ICE's are known and ignored (STUN-043). */
#define TURN_KNOWN                                                                              \
	(STUN_BIT(STUN_MAPPED_ADDRESS) | STUN_BIT(STUN_USERNAME) |                              \
	 STUN_BIT(STUN_MESSAGE_INTEGRITY) | STUN_BIT(STUN_ERROR_CODE) |                         \
	 STUN_BIT(STUN_UNKNOWN_ATTRIBUTES) | STUN_BIT(TURN_CHANNEL_NUMBER) |                    \
	 STUN_BIT(TURN_LIFETIME) | STUN_BIT(TURN_XOR_PEER_ADDRESS) | STUN_BIT(TURN_DATA_ATTR) | \
	 STUN_BIT(STUN_REALM) | STUN_BIT(STUN_NONCE) | STUN_BIT(TURN_XOR_RELAYED_ADDRESS) |     \
	 STUN_BIT(TURN_REQUESTED_ADDRESS_FAMILY) | STUN_BIT(TURN_EVEN_PORT) |                   \
	 STUN_BIT(TURN_REQUESTED_TRANSPORT) | STUN_BIT(TURN_DONT_FRAGMENT) |                    \
	 STUN_BIT(STUN_MESSAGE_INTEGRITY_SHA256) | STUN_BIT(STUN_PASSWORD_ALGORITHM) |          \
	 STUN_BIT(STUN_USERHASH) | STUN_BIT(STUN_XOR_MAPPED_ADDRESS) |                          \
	 STUN_BIT(TURN_RESERVATION_TOKEN) | STUN_BIT(STUN_PRIORITY) |                           \
	 STUN_BIT(STUN_USE_CANDIDATE) | STUN_BIT(TURN_CONNECTION_ID))

/*
 * What a server takes (STUN-024, STUN-032 to STUN-035): Binding requests and indications, TURN's
 * requests, and Send. Everything else is dropped unanswered: responses, Data, unknown methods.
 */
static inline bool turn_serves(uint16_t type)
{
	switch (type) {
	case STUN_BINDING:
	case STUN_BINDING | 0x0010: /* indication */
	case TURN_ALLOCATE:
	case TURN_REFRESH:
	case TURN_SEND | 0x0010: /* indication */
	case TURN_CREATE_PERMISSION:
	case TURN_CHANNEL_BIND: return true;
	default: return false;
	}
}

/* With TCP allocations on, also these (STUN-034). */
static inline bool turn_serves_tcp(uint16_t type)
{
	return type == TURN_CONNECT || type == TURN_CONNECTION_BIND || turn_serves(type);
}

enum { CHANNEL_HDR_LEN = 4 };
enum {
	CHANNEL_MIN = 0x4000,
	CHANNEL_MAX = 0x4FFF,      /* RFC 8656 §12 */
	CHANNEL_MAX_5766 = 0x7FFF, /* `compat.rfc5766-channels` (TURN-100) */
};

/* One ChannelData message; `data` points into the datagram. */
struct channel_data {
	uint16_t number;
	uint16_t len;
	const uint8_t *data;
};

/*
 * Reads a datagram (DEMUX-012, DEMUX-013): what follows the first `len` octets of data is padding
 * and is ignored. `max` is CHANNEL_MAX or CHANNEL_MAX_5766. false: not ChannelData, or cut short.
 */
static inline bool channel_open(const uint8_t *pkt, size_t len, uint16_t max,
                                struct channel_data *cd)
{
	if (len < CHANNEL_HDR_LEN)
		return false;
	cd->number = be16_load(pkt);
	cd->len = be16_load(pkt + 2);
	cd->data = pkt + CHANNEL_HDR_LEN;
	return cd->number >= CHANNEL_MIN && cd->number <= max && cd->len <= len - CHANNEL_HDR_LEN;
}

/* The four octets in front of `len` octets of data. No padding in datagrams (DEMUX-014). */
static inline void channel_put(uint8_t hdr[CHANNEL_HDR_LEN], uint16_t number, uint16_t len)
{
	be16_store(hdr, number);
	be16_store(hdr + 2, len);
}
