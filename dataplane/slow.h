/*
 * The slow path: one datagram of any size in flat memory, relayed by the same rules as the fast
 * path, without hurry: IPv4 options, IPv6 extension headers, reassembled datagrams, and everything
 * whose result is larger than the egress MTU (fragmented as a kernel socket would, or refused with
 * the ICMP that RFC 8656 §12-15 asks for). Also the oracle of the fast path in tests.
 *
 * Threads    Any worker with its own scratch, or the service turn (then frames go to inject rings).
 */
#pragma once

#include "dataplane/worker.h"

/* Frame from the Ethernet header on, already classified as UDP of ours; `ip_octets` may be up to
 * 65,535 + header. Outcome counted; frames leave through `send`. */
typedef void slow_send(struct worker *w, uint16_t port, struct rte_mbuf *m);

void slow_relay(struct worker *w, const struct port *port, const uint8_t *frame, uint32_t len,
                slow_send *send);
