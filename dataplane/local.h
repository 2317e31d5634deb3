/*
 * Our own addresses: interface addresses, listeners, relayed addresses. Ids are indexes that are
 * never reused within one life of the data plane.
 *
 * Threads    Built by main, replaced by the service turn on reload (the old one is freed after a
 *            grace period); workers read it through dataplane.local with an acquire load per burst.
 */
#pragma once

#include <stdalign.h>
#include <stdbool.h>

#include "abi/abi.h"
#include "addr.h"
#include "config.h"

enum { LOCAL_LISTENERS_MAX = 256, LOCAL_RELAYS_MAX = 256, LOCAL_ADDRESSES_MAX = 512 };
enum { LOCAL_SLOTS = 2 * LOCAL_ADDRESSES_MAX, LOCAL_PER_ADDRESS = 8 };
enum { LOCAL_HOMES4 = 1024, LOCAL_OWN4_MAX = 256 };
#define LOCAL_NONE UINT16_C(0xFFFF)
#define LOCAL_NO_PORT UINT32_C(0x10000) /* no port equals it */

struct local_listener {
	struct endpoint at;
	uint8_t transport;
	bool live;
};

struct local_relay {
	struct addr addr, advertise;
	uint16_t port_min, port_max; /* host order; 1024 and up for an address of its own */
	bool live;
};

struct local_table {
	struct local_listener listener[LOCAL_LISTENERS_MAX];
	struct local_relay relay[LOCAL_RELAYS_MAX];
	unsigned n_listeners, n_relays;
	/*
	 * What classify asks, by address; open addressing. A bit of `filter` is set for each home
	 * that is taken: one test says of almost every foreign address that it is not here.
	 */
	uint64_t filter[LOCAL_SLOTS / 64];
	struct local_slot {
		alignas(ABI_LINE) struct addr addr;
		bool used;
		bool broadcast; /* of a network of ours: nobody's source; not found by local_find()
		                 */
		bool whole;     /* a relay address of its own: all its UDP is ours */
		uint16_t relay; /* id or LOCAL_NONE */
		uint16_t port_min, port_max;          /* of the relay, host order */
		uint16_t listener[LOCAL_PER_ADDRESS]; /* ids of UDP listeners here, LOCAL_NONE ends
		                                       */
		uint16_t port[LOCAL_PER_ADDRESS];     /* their ports, host order */
	} slot[LOCAL_SLOTS];
	/*
	 * The same of IPv4 addresses, for classify_fast.h: one step from an address to what is
	 * there. home4[] has the place in own4[] of the one address that is at home there, or 0:
	 * none, or one that had to make room (it takes the long way). `odd4` marks homes of any
	 * address of ours, and first octets that no source has, in another bit.
	 */
	uint8_t home4[LOCAL_HOMES4];
	uint8_t odd4[LOCAL_HOMES4];
	uint32_t relay4[LOCAL_RELAYS_MAX]; /* address of an id, as it lies in a header */
	struct local_at4 {
		uint32_t ip, port; /* the same of a listener */
	} listen4[LOCAL_LISTENERS_MAX];
	uint32_t mix4; /* chosen so that as few as possible share a home */
	struct local_own4 {
		alignas(32) uint32_t ip; /* as it lies in a header */
		uint32_t listen;         /* port, network order; LOCAL_NO_PORT: no listener */
		uint64_t tail; /* of the key of a channel there, but for port and number */
		uint32_t port_min, port_span; /* of the relay; LOCAL_NO_PORT, 0: no relay */
		uint16_t listener, relay;     /* ids */
	} own4[LOCAL_OWN4_MAX];
};

/* Keeps the ids of `old` (may be NULL) for what stays; what is gone becomes live = false. NULL: too
 * many. */
struct local_table *local_build(const struct config *cfg, const struct local_table *old);
void local_free(struct local_table *t);

/* Where the search for an address begins. The two halves of the 16 octets as they lie in memory. */
static inline unsigned local_home(uint64_t high, uint64_t low)
{
	return (unsigned)((low ^ high * UINT64_C(0x9E3779B97F4A7C15)) *
	                          UINT64_C(0xD6E8FEB86659FD93) >>
	                  54);
}
static_assert(LOCAL_SLOTS == 1 << 10, "ten bits of hash");

enum { LOCAL_ODD_HOME = 1, LOCAL_ODD_OCTET = 2 };

static inline unsigned local_home4(const struct local_table *t, uint32_t ip)
{
	return ip * t->mix4 >> 22;
}
static_assert(LOCAL_HOMES4 == 1 << 10, "ten bits of hash");

/* Unspecified, loopback, multicast, broadcast or, perhaps, ours: not a source to take unseen. */
static inline bool local_odd4(const struct local_table *t, uint32_t ip)
{
	return t->odd4[local_home4(t, ip)] & LOCAL_ODD_HOME || t->odd4[ip & 0xFF] & LOCAL_ODD_OCTET;
}

/* false: certainly not in the table. */
static inline bool local_may_hold(const struct local_table *t, unsigned home)
{
	return t->filter[home / 64] >> (home % 64) & 1;
}

/* The slot of an address, broadcast ones too, or NULL. `home` is its local_home(). */
const struct local_slot *local_probe(const struct local_table *t, unsigned home,
                                     const struct addr *a);

/* NULL: not an address of ours. Ports in host order below. */
const struct local_slot *local_find(const struct local_table *t, const struct addr *a);

/* Id of the UDP listener at that port of the slot's address, or LOCAL_NONE. */
static inline uint16_t local_listener_at(const struct local_slot *s, uint16_t port)
{
	for (unsigned i = 0; i < LOCAL_PER_ADDRESS && s->listener[i] != LOCAL_NONE; i++)
		if (s->port[i] == port)
			return s->listener[i];
	return LOCAL_NONE;
}

/* Relay id if (address, port) is a relayed transport address, real or advertised; else LOCAL_NONE.
 */
uint16_t local_relay_at(const struct local_table *t, const struct addr *a, uint16_t port);

/* Relay id whose real or advertised address this is, or LOCAL_NONE. */
uint16_t local_relay_of(const struct local_table *t, const struct addr *a);
