/*
 * What one compares a relay with on the same rings: forwarders in the manner of testpmd's `io`
 * (frames go back untouched), `macswap` (Ethernet addresses turned round) and `5tswap` (Ethernet
 * and IP addresses and UDP ports turned round). No lookup, no lengths, no checksums: swapping keeps
 * sums right.
 *
 * Threads    The caller's.
 */
#pragma once

#include <rte_mbuf.h>

enum forward { FORWARD_IO, FORWARD_MACSWAP, FORWARD_5TSWAP, FORWARDS };

enum { FORWARD_BURST = 64 };

extern const char *const forward_name[FORWARDS];

/* One turn: a burst from the queue, swapped, back to it; what does not fit is freed. */
void forward_turn(enum forward how, uint16_t ethdev, uint16_t queue);
