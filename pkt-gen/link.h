/*
 * The generator's ports: the data plane's own library for devices, exception ports, routes and
 * neighbours, without its workers. Clients and peers live behind one port or two.
 *
 * With --next-hop, --setup reflect or swap, or --bias the kernel is not asked for neighbours; a
 * port without a kernel device then needs no TAP, and so no privilege for one.
 *
 * Threads    link_open() and link_close(): main. link_service(), link_frame() and link_give(): the
 *            thread of engine 0. link_next_hop(): main while engine 0 runs, or engine 0.
 */
#pragma once

#include "pkt-gen/engine.h"
#include "pkt-gen/options.h"

struct link;

/* NULL, with the reason logged and *code an enum exit_code. */
struct link *link_open(const struct options *o, int *code);
/* Gives back what the ports took from the kernel. */
void link_close(struct link *l);
/* Links are up, and IPv6 addresses are known to be ours alone; before that nobody finds us. */
bool link_ready(struct link *l);
/*
 * What link_close() would have given back, in a process that never opened the ports: after one that
 * was killed. 0 or an enum exit_code; told on stdout what was done.
 */
int link_restore(const struct options *o);

/* Ports, and how one is called in messages. */
unsigned link_ports(const struct link *l);
const char *link_device(const struct link *l, unsigned port);

/* Queue pairs for engine i of n. Lane 0 is the clients' port, the next the peers' if they have one
 * of their own. */
unsigned link_lanes(struct link *l, unsigned engine, struct lane *out, unsigned n);

/* An address of ours: of clients or of peers. */
bool link_ours(const struct link *l, const struct addr *a);

/* TAPs and netlink; frames of the kernel leave through engine 0. How much it did. */
unsigned link_service(struct link *l, struct engine *e, unsigned budget);
/* Frames that are not ours go to the kernel. */
void link_give(struct link *l, unsigned lane, struct rte_mbuf **m, unsigned n);

/*
 * Both MACs for frames to `to`, and the lane they leave by: from the kernel's routes and
 * neighbours, or as --next-hop says. false after `wait_ms`: nobody answers there. Engine 0's thread
 * never waits: it gets what is known, and asking again later may give more. `from` decides the lane
 * where the kernel is not asked: a peer's address leaves by the last port, any other by the first.
 */
bool link_next_hop(struct link *l, const struct addr *from, const struct addr *to, unsigned wait_ms,
                   uint8_t macs[12], uint8_t *lane);

/* A whole UDP frame, or NULL when no buffer is left. */
struct rte_mbuf *link_frame(struct link *l, const struct endpoint *from, const struct endpoint *to,
                            const uint8_t macs[12], unsigned lane, const void *octets, size_t len);
