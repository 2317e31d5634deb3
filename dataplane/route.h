/*
 * Routes and neighbours, read from the kernel by netlink (libmnl): destination -> adjacency index.
 * Neighbours are asked for with NTF_EXT_MANAGED (NTF_USE where refused) and resynchronised after
 * ENOBUFS. We write no ARP and no routing protocol: the kernel does both on the TAPs.
 *
 * Threads    Service turn only; the adjacency table it writes is read by workers.
 */
#pragma once

#include <stdbool.h>

#include "dataplane/adjacency.h"
#include "dataplane/dataplane.h"

struct route;

/* Opens netlink in the current network namespace and reads links, addresses, routes, neighbours of
 * the TAPs. Needs the TAPs (kernel.h). NULL with a logged reason on failure. */
struct route *route_open(struct dataplane *dp);
void route_close(struct route *r);

/*
 * The adjacency for packets to `dest`, its use count raised; resolution is started when it is new.
 * ADJACENCY_NONE: no route by a port, an address of the host itself, a broadcast address, or no
 * entry left. One that nobody uses any more is kept for a while, so asking again is cheap.
 */
uint16_t route_adjacency(struct route *r, const struct addr *dest);
void route_release(struct route *r, uint16_t adjacency);

/* A frame waits for this adjacency: solicit now. */
void route_kick(struct route *r, uint16_t adjacency);

/* Takes what netlink has to say; returns the number of messages. Cheap when there is none. */
unsigned route_poll(struct route *r);
int route_fd(const struct route *r);

/* A broadcast address of a link of ours, either form, or 255.255.255.255 (policy refuses them). */
bool route_is_broadcast(const struct route *r, const struct addr *a);

/*
 * After a route change rows keep their adjacency index; entries are re-pointed in place. Only a new
 * route inside the prefix of one in use, or the first to somewhere that was asked for in vain,
 * cannot be followed that way: the epoch then goes up, and whoever holds indexes by destination
 * asks route_adjacency() again for each (service_routes.c).
 */
uint32_t route_epoch(const struct route *r);

/* Called for each adjacency that became RESOLVED or FAILED, from inside route_poll(). */
typedef void route_event(struct dataplane *dp, uint16_t adjacency, enum neighbour_state state);
void route_on_event(struct route *r, route_event *fn);
