/*
 * Counters of the joined data plane, summed over its workers, and what they came to in the last
 * second.
 *
 * Threads    Control thread only; the counters are read live.
 */
#pragma once

#include "abi/stats.h"
#include "control/join.h"

enum rate {
	RATE_RX_PACKETS,
	RATE_RX_OCTETS,
	RATE_TX_PACKETS,
	RATE_TX_OCTETS,
	RATE_RELAYED,
	RATE_DROPPED,
	RATE_PUNTED,
	RATE_COUNT
};

struct rates {
	uint64_t total[RATE_COUNT];
	double per_s[RATE_COUNT];
	uint64_t sampled_ms;
};

/* 0 where the link is not up. */
uint64_t rates_stat(const struct dp_link *l, enum stat_id id);
/* Once a second; sooner calls change nothing. */
void rates_sample(struct rates *r, const struct dp_link *l, uint64_t now_ms);
