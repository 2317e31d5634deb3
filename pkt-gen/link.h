/*
 * The generator's ports: the data plane's own library for devices, exception ports, routes and
 * neighbours, without its workers. Clients and peers live behind one port or two.
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
 * neighbours, or as --next-hop says. false after `wait_ms`: nobody answers there.
 */
bool link_next_hop(struct link *l, const struct addr *from, const struct addr *to, unsigned wait_ms,
                   uint8_t macs[12], uint8_t *lane);

/* A whole UDP frame, or NULL when no buffer is left. */
struct rte_mbuf *link_frame(struct link *l, const struct endpoint *from, const struct endpoint *to,
                            const uint8_t macs[12], unsigned lane, const void *octets, size_t len);
