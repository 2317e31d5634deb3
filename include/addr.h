/*
 * One address form for both families: 16 octets, network order. IPv4 a.b.c.d is ::ffff:a.b.c.d,
 * in memory only: the mapped form is never written to the wire (STUN-058).
 *
 * Units      Ports are host order everywhere but in packets.
 * Threads    Pure functions; no state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct addr {
	uint8_t ip[16];
};

struct endpoint {
	struct addr addr;
	uint16_t port;
};

/* An address block. `len` counts the bits of the 16-octet form: 10.0.0.0/8 has len 104. */
struct prefix {
	struct addr addr;
	uint8_t len;
};

enum { ADDR_TEXT_MAX = 48, ENDPOINT_TEXT_MAX = 56, PREFIX_TEXT_MAX = 52 };

static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return memcmp(a->ip, b->ip, 16) == 0;
}

static inline bool addr_is4(const struct addr *a)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF };

	return memcmp(a->ip, mapped, 12) == 0;
}

/* 4 or 6. */
static inline unsigned addr_family(const struct addr *a)
{
	return addr_is4(a) ? 4 : 6;
}

/* From four octets in network order. */
static inline struct addr addr_from4(const uint8_t ip4[4])
{
	struct addr a = { .ip = { [10] = 0xFF, [11] = 0xFF } };

	memcpy(a.ip + 12, ip4, 4);
	return a;
}

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

/*
 * The first `p->len` bits of `a` are those of the block. Right for any length (TURN-222). A block
 * of IPv6 never holds an IPv4 address: ::/0 is all of IPv6, 0.0.0.0/0 all of IPv4.
 */
bool prefix_contains(const struct prefix *p, const struct addr *a);

/*
 * "192.0.2.1", "2001:db8::1". IPv4 in IPv6 notation (::ffff:...) and zones are refused.
 * false leaves *out untouched.
 */
bool addr_parse(const char *text, struct addr *out);

/* "192.0.2.1:3478", "[2001:db8::1]:3478"; the port is 1..65535 and must be there. */
bool endpoint_parse(const char *text, struct endpoint *out);

/* "10.0.0.0/8", "fd00::/8", or a bare address (a block of one). Host bits must be zero. */
bool prefix_parse(const char *text, struct prefix *out);

/*
 * "198.18.0.1/24": an interface address with its network; host bits are kept. Without a length it
 * is a network of one. len as in prefix.
 */
bool cidr_parse(const char *text, struct prefix *out);

/* Each returns `text`, NUL-terminated, in the form that the parser above takes. */
char *addr_print(const struct addr *a, char text[ADDR_TEXT_MAX]);
char *endpoint_print(const struct endpoint *e, char text[ENDPOINT_TEXT_MAX]);
char *prefix_print(const struct prefix *p, char text[PREFIX_TEXT_MAX]);
