/*
 * Addresses beside the media's: those of the clients, by ports that belong to neither clients nor
 * peers, so that an answer says by where it arrives that it is a storm's or a replay's.
 *
 * Threads    Pure functions; no state.
 */
#pragma once

#include "pkt-gen/options.h"

enum { APART_ADDRESSES_MAX = 1 << 20 };

struct apart {
	struct addr client, peer; /* the first address of each */
	uint32_t clients, peers;  /* how many */
	uint16_t port_min, ports; /* of the storm's clients; as many for its peers follow */
};

/* false, with one line logged: the port has no address of the family, or no port is left. */
bool apart_open(struct apart *a, const struct options *o);

/* How many endpoints there are. */
static inline uint64_t apart_count(const struct apart *a)
{
	return (uint64_t)a->clients * a->ports;
}

/* Endpoint i, modulo apart_count(): ports first. */
struct endpoint apart_at(const struct apart *a, uint64_t i);
/* The number of an endpoint that apart_at() gives; apart_count() for any other. */
uint64_t apart_index(const struct apart *a, const struct endpoint *at);
/* On the peers' side: addresses first, so that each is a permission of its own. */
struct endpoint apart_peer(const struct apart *a, uint64_t i);
/* The same by number of address and of port, each modulo how many there are. */
struct endpoint apart_peer_at(const struct apart *a, uint32_t address, uint32_t port);
bool apart_is_peer(const struct apart *a, const struct endpoint *at);
