/*
 * Where clients and peers are: first all ports of an address, then the next address.
 *
 * Threads    Pure functions of the options.
 */
#pragma once

#include "pkt-gen/options.h"

/* The prefix that clients or peers have, or the address of their port; len 0: there is none. */
struct prefix place_of_clients(const struct options *o);
struct prefix place_of_peers(const struct options *o);

/* How many endpoints there are. */
uint64_t place_room(const struct prefix *from, uint16_t port_min, uint16_t port_max);

struct endpoint place_client(const struct options *o, uint32_t client);
struct endpoint place_peer(const struct options *o, uint32_t client, uint32_t peer);

/* An address of a port, of a client or of a peer. */
bool place_is_ours(const struct options *o, const struct addr *a);
/* A client of ours; false: none is there. */
bool place_find_client(const struct options *o, const struct endpoint *at, uint32_t *client);
