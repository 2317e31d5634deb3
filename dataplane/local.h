/*
 * Our own addresses: interface addresses, listeners, relayed addresses. Ids are indexes that are
 * never reused within one life of the data plane.
 *
 * Threads    Built by main, replaced by the service turn on reload (the old one is freed after a
 *            grace period); workers read it through dataplane.local with an acquire load per burst.
 */
#pragma once

#include <stdbool.h>

#include "addr.h"
#include "config.h"

enum { LOCAL_LISTENERS_MAX = 256, LOCAL_RELAYS_MAX = 256, LOCAL_ADDRESSES_MAX = 512 };
#define LOCAL_NONE UINT16_C(0xFFFF)

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
	/* What classify asks, by destination address; open addressing, keyed by the address. */
	struct local_slot {
		struct addr addr;
		bool used;
		uint16_t relay;       /* id or LOCAL_NONE */
		uint16_t listener[8]; /* ids with this address, LOCAL_NONE ends */
	} slot[2 * LOCAL_ADDRESSES_MAX];
};

/* Keeps the ids of `old` (may be NULL) for what stays; what is gone becomes live = false. NULL: too many. */
struct local_table *local_build(const struct config *cfg, const struct local_table *old);
void local_free(struct local_table *t);

/* NULL: not an address of ours. Ports in host order below. */
const struct local_slot *local_find(const struct local_table *t, const struct addr *a);
uint16_t local_listener_at(const struct local_table *t, const struct local_slot *s, uint16_t port);
/* Relay id if (address, port) is a relayed transport address, real or advertised; else LOCAL_NONE. */
uint16_t local_relay_at(const struct local_table *t, const struct addr *a, uint16_t port);
