/*
 * ICMP errors: those about packets we relayed become Data indications (RFC 8656 §11.5; TURN-119 to
 * TURN-126), and the few that the relay itself owes a sender (TURN-135, TURN-140 to TURN-144).
 *
 * Threads    icmp_take(): service turn. The others: any worker, limited by its own bucket.
 */
#pragma once

#include "dataplane/slow.h"

enum { ICMP_PER_ALLOCATION = 10 /* a second, and as many at once (TURN-124) */ };

struct icmp;

struct icmp *icmp_new(void);
void icmp_free(struct icmp *x);

/* Consumes m, an error that quotes UDP from a relayed address. Outcome counted in w's block. */
void icmp_take(struct icmp *x, struct worker *w, const struct port *port, struct rte_mbuf *m);

/*
 * To the sender of `frame`, a datagram from the Ethernet header on without options: it may send
 * packets of `mtu` octets; or: its hops are used up. Silent when the rate is used up, or the sender
 * is none that is told (TURN-126).
 */
void icmp_too_big(struct worker *w, const struct port *port, const uint8_t *frame, uint32_t len,
                  uint32_t mtu, slow_send *send);
void icmp_time_exceeded(struct worker *w, const struct port *port, const uint8_t *frame,
                        uint32_t len, slow_send *send);
