/*
 * Frames that are made rather than rewritten: replies of control, slow-path datagrams, ICMP. One
 * UDP datagram of up to 64 KiB becomes one frame, or IP fragments as a kernel socket would send
 * them (design 2.7).
 *
 * Threads    The worker whose pool and random octets are used.
 */
#pragma once

#include <rte_mbuf.h>

#include "addr.h"
#include "dataplane/worker.h"

enum {
	DATAGRAM_ETH = 14,
	DATAGRAM_UDP = 8,
	DATAGRAM_IP4 = 20,
	DATAGRAM_IP6 = 40,
	DATAGRAM_FRAGMENT6 = 8,
	DATAGRAM_MTU6_MIN = 1280,
	DATAGRAM_TTL = 64,        /* TURN-136 */
	DATAGRAM_PIECES_MAX = 128 /* 64 KiB in packets of 576 octets */
};

struct datagram {
	struct endpoint src, dst; /* of one family */
	uint8_t tos;              /* TOS or traffic class, ECN included */
	uint8_t ttl;
	bool df;              /* IPv4: DF is set, and what is too big is refused */
	bool fragment_header; /* IPv6: a Fragment header even where it fits (TURN-143) */
	bool no_fragments;    /* IPv6: what is too big is refused (TURN-143) */
	uint16_t piece_max;   /* largest packet when fragmented; 0: the MTU */
	/* Payload: `head` (an even length), `data`, `pad` zero octets (0 to 3). */
	const uint8_t *head, *data;
	uint32_t head_len, data_len, pad;
	/*
	 * One's complement difference between the checksum that came and the right one, as it lies
	 * in memory: 0 for a right one. What was wrong stays wrong by as much (DEMUX-009,
	 * DEMUX-077).
	 */
	uint16_t error;
	bool no_checksum; /* IPv4: sent as 0 (DEMUX-072) */
};

/* Octets of the IP packet if it is sent whole, Fragment header not counted. */
uint32_t datagram_packet(const struct datagram *d);

enum datagram_result { DATAGRAM_OK, DATAGRAM_TOO_BIG, DATAGRAM_NO_MBUF, DATAGRAM_TOO_LONG };

/*
 * Makes the frames; Ethernet addresses are left zero. DATAGRAM_OK: *n of them in out, more than one
 * if fragmented. TOO_BIG: larger than `mtu` and not to be fragmented. TOO_LONG: no UDP datagram
 * holds it. On failure nothing is left allocated.
 */
enum datagram_result datagram_build(struct worker *w, const struct datagram *d, uint16_t mtu,
                                    struct rte_mbuf *out[DATAGRAM_PIECES_MAX], unsigned *n);
