/*
 * Baseline A3, the relay a textbook would build from DPDK's own parts: rte_hash bulk look-up,
 * headers built by struct, the whole UDP checksum computed anew. No deadlines, no permissions, no
 * counters by flow beyond two words.
 */
#pragma once

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

enum { TEXTBOOK_BURST = 64 };

struct textbook_key {
	uint8_t ip[16]; /* who sent it */
	uint16_t port, channel;
	uint16_t local_port, zero; /* ours, where it arrived */
};

struct textbook_flow {
	uint8_t src[16], dst[16];
	uint16_t sport, dport; /* network order */
	uint16_t channel;      /* to put in front, network order; 0: none */
	uint8_t eth[12];
	uint64_t packets, octets;
};

struct textbook;

/* How a path is wrapped when it arrives and when it leaves. */
enum textbook_wrap { TEXTBOOK_PLAIN, TEXTBOOK_CHANNEL, TEXTBOOK_STUN };

struct textbook *textbook_new(unsigned n);
void textbook_free(struct textbook *t);
bool textbook_add(struct textbook *t, const struct textbook_key *key,
                  const struct textbook_flow *flow);
/* Rewrites n <= TEXTBOOK_BURST frames; returns how many were found. */
unsigned textbook_burst(struct textbook *t, struct rte_mbuf **m, unsigned n, enum textbook_wrap in,
                        enum textbook_wrap out);
