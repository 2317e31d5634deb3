/* The table of lengths behind stun_well_formed(). */
#include "wire/attr.h"

enum { TEXT_MAX = 763 }; /* octets of USERNAME, REALM, NONCE, SOFTWARE that must parse (STUN-071) */

enum shape { PLAIN, ADDRESS, ERROR, ALGORITHMS };

static const struct {
	uint16_t type;
	uint16_t min, max, step; /* length: min, min + step ... max */
	enum shape shape;
} attrs[] = {
	/* clang-format off */
	{ STUN_MAPPED_ADDRESS,               8,  20,       12, ADDRESS },
	{ STUN_RESPONSE_ADDRESS,             8,  20,       12, ADDRESS },
	{ STUN_SOURCE_ADDRESS,               8,  20,       12, ADDRESS },
	{ STUN_CHANGED_ADDRESS,              8,  20,       12, ADDRESS },
	{ STUN_REFLECTED_FROM,               8,  20,       12, ADDRESS },
	{ TURN_XOR_PEER_ADDRESS,             8,  20,       12, ADDRESS },
	{ TURN_XOR_RELAYED_ADDRESS,          8,  20,       12, ADDRESS },
	{ STUN_XOR_MAPPED_ADDRESS,           8,  20,       12, ADDRESS },
	{ STUN_ALTERNATE_SERVER,             8,  20,       12, ADDRESS },
	{ STUN_RESPONSE_ORIGIN,              8,  20,       12, ADDRESS },
	{ STUN_OTHER_ADDRESS,                8,  20,       12, ADDRESS },
	{ STUN_CHANGE_REQUEST,               4,  4,        1,  PLAIN },
	{ STUN_USERNAME,                     0,  TEXT_MAX, 1,  PLAIN },
	{ STUN_MESSAGE_INTEGRITY,            20, 20,       1,  PLAIN },
	{ STUN_ERROR_CODE,                   4,  767,      1,  ERROR },
	{ STUN_UNKNOWN_ATTRIBUTES,           0,  0xFFFE,   2,  PLAIN },
	{ TURN_CHANNEL_NUMBER,               4,  4,        1,  PLAIN },
	{ TURN_LIFETIME,                     4,  4,        1,  PLAIN },
	{ STUN_REALM,                        0,  TEXT_MAX, 1,  PLAIN },
	{ STUN_NONCE,                        0,  TEXT_MAX, 1,  PLAIN },
	{ TURN_REQUESTED_ADDRESS_FAMILY,     4,  4,        1,  PLAIN },
	{ TURN_EVEN_PORT,                    1,  1,        1,  PLAIN },
	{ TURN_REQUESTED_TRANSPORT,          4,  4,        1,  PLAIN },
	{ TURN_DONT_FRAGMENT,                0,  0,        1,  PLAIN },
	{ STUN_MESSAGE_INTEGRITY_SHA256,     16, 32,       4,  PLAIN },
	{ STUN_PASSWORD_ALGORITHM,           4,  0xFFFF,   1,  ALGORITHMS },
	{ STUN_USERHASH,                     32, 32,       1,  PLAIN },
	{ TURN_RESERVATION_TOKEN,            TURN_RESERVATION_TOKEN_LEN, TURN_RESERVATION_TOKEN_LEN, 1, PLAIN },
	{ STUN_PRIORITY,                     4,  4,        1,  PLAIN },
	{ STUN_USE_CANDIDATE,                0,  0,        1,  PLAIN },
	{ STUN_RESPONSE_PORT,                2,  4,        2,  PLAIN },
	{ TURN_CONNECTION_ID,                4,  4,        1,  PLAIN },
	{ TURN_ADDITIONAL_ADDRESS_FAMILY,    4,  4,        1,  PLAIN },
	{ TURN_ADDRESS_ERROR_CODE,           4,  767,      1,  ERROR },
	{ STUN_PASSWORD_ALGORITHMS,          4,  0xFFFF,   1,  ALGORITHMS },
	{ STUN_ALTERNATE_DOMAIN,             1,  255,      1,  PLAIN },
	{ TURN_ICMP_ATTR,                    8,  8,        1,  PLAIN },
	{ STUN_SOFTWARE,                     0,  TEXT_MAX, 1,  PLAIN },
	{ STUN_TRANSACTION_TRANSMIT_COUNTER, 4,  4,        1,  PLAIN },
	{ STUN_FINGERPRINT,                  4,  4,        1,  PLAIN },
	{ STUN_ICE_CONTROLLED,               8,  8,        1,  PLAIN },
	{ STUN_ICE_CONTROLLING,              8,  8,        1,  PLAIN },
	{ STUN_ECN_CHECK,                    4,  4,        1,  PLAIN },
	{ STUN_THIRD_PARTY_AUTHORIZATION,    0,  TEXT_MAX, 1,  PLAIN },
	/* clang-format on */
};

static bool algorithms_well_formed(const struct stun_attr *attr)
{
	struct stun_algorithm_iter it = stun_algorithms(attr);
	struct stun_algorithm a;
	unsigned n = 0;

	while (stun_algorithms_next(&it, &a))
		n++;
	return !it.bad && (attr->type == STUN_PASSWORD_ALGORITHM ? n == 1 : n > 0);
}

static bool shape_well_formed(enum shape shape, const struct stun_attr *attr)
{
	struct endpoint e;
	const uint8_t *reason;
	size_t reason_len;

	switch (shape) {
	case ADDRESS: return stun_addr(attr, &e) != 0;
	case ERROR: return stun_error_code(attr, &reason, &reason_len) != 0;
	case ALGORITHMS: return algorithms_well_formed(attr);
	case PLAIN: break;
	}
	return true;
}

bool stun_well_formed(const struct stun_attr *attr)
{
	for (size_t i = 0; i < sizeof(attrs) / sizeof(attrs[0]); i++) {
		if (attrs[i].type != attr->type)
			continue;
		return attr->len >= attrs[i].min && attr->len <= attrs[i].max &&
		       (attr->len - attrs[i].min) % attrs[i].step == 0 &&
		       shape_well_formed(attrs[i].shape, attr);
	}
	return true;
}
