/*
 * The slow path: one datagram of any size in flat memory, relayed by the same rules as the fast
 * path, without hurry: IPv4 options, IPv6 extension headers, reassembled datagrams, and everything
 * whose result is larger than the egress MTU (fragmented as a kernel socket would, or refused with
 * the ICMP that RFC 8656 §12-15 asks for). Also the oracle of the fast path in tests.
 *
 * Source     RFC 8656 §11 to §14; TURN-086 to TURN-148, DEMUX-070 to DEMUX-078.
 * Threads    Any worker with its own scratch, or the service turn, which is a worker without
 *            queues.
 */
#pragma once

#include "dataplane/datagram.h"
#include "dataplane/worker.h"

typedef void slow_send(struct worker *w, uint16_t port, struct rte_mbuf *m);

/*
 * Frame from the Ethernet header on, already found to be UDP of ours; the IP packet may have up to
 * 65,535 octets and its header. Outcome counted; frames leave through `send`.
 */
void slow_relay(struct worker *w, const struct port *port, const uint8_t *frame, uint32_t len,
                slow_send *send);
/* The same for a datagram that came in fragments; one that is not ours goes to the kernel in some.
 */
void slow_reassembled(struct worker *w, const struct port *port, const uint8_t *frame, uint32_t len,
                      slow_send *send);

/*
 * Makes the frames of a datagram and sends them to a next hop, or lets them wait for it.
 * STAT_COUNT: they are on their way; else the name of the drop (too_big, no_route, no_mbuf).
 */
enum stat_id slow_emit(struct worker *w, const struct datagram *d, uint16_t adjacency,
                       slow_send *send);

/*
 * What control sends from a relayed address of ours (id, port) to another one, d->dst, turns round
 * inside. Only payload, destination and TOS of `d` count. STAT_COUNT, or the name of the drop.
 */
enum stat_id slow_transmit(struct worker *w, const struct port *port, uint16_t relay,
                           uint16_t relayed_port, const struct datagram *d, slow_send *send);
