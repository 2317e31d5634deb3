/*
 * The exception port: what is not ours goes to Linux and comes back (design 2.2). Per port a
 * persistent TAP of our own with the port's MAC and MTU; the configured addresses live there and
 * nowhere else. Where the port has a kernel device, its addresses and routes move to the TAP and
 * its ingress is muted; a clean stop gives everything back, a crash leaves the mute in place.
 *
 * Threads    Setup and teardown: main. Read and write: service turn.
 */
#pragma once

#include <rte_mbuf.h>

#include "dataplane/port.h"

/* Detaches our own XDP program that a life with af_packet left on the port's device. */
void kernel_clear_pass(const struct port *p);

/* Takes over; needs the ports probed (MAC, MTU known) but runs before they start to receive. 0 or
 * an exit code. */
int kernel_take_over(struct dataplane *dp);
/* Clean stop: addresses, routes, sysctls, XDP program, nft table back; TAPs removed. */
void kernel_give_back(struct dataplane *dp);
/* IPv6 duplicate address detection is over on all TAPs, and links are up. */
bool kernel_ready(struct dataplane *dp);

/* Writes one frame to the port's TAP; consumes m. false: counted by the caller as exception_full.
 */
bool kernel_give(struct port *p, struct rte_mbuf *m);
/* Up to n frames from the kernel, mbufs from `pool`. */
unsigned kernel_take(struct port *p, struct rte_mempool *pool, struct rte_mbuf **out, unsigned n);

/* Where a relay address is also an address of the host or a listener, the relay port range is added
 * to ip_local_reserved_ports; part of take over. */
