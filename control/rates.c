#include "control/rates.h"

enum { SAMPLE_MS = 950 };

uint64_t rates_stat(const struct dp_link *l, enum stat_id id)
{
	uint64_t total = 0;

	for (uint16_t i = 0; l->state == LINK_UP && i < l->n_punt; i++) {
		const struct stats *const s =
			region_find(&l->d, SECTION_COUNTERS, i, sizeof(struct stats));

		total += s ? stat_read(s, id) : 0;
	}
	return total;
}

/* Neighbours in the list of counters. */
static uint64_t sum(const struct dp_link *l, enum stat_id first, enum stat_id last)
{
	uint64_t total = 0;

	for (unsigned i = first; i <= (unsigned)last; i++)
		total += rates_stat(l, (enum stat_id)i);
	return total;
}

void rates_sample(struct rates *r, const struct dp_link *l, uint64_t now_ms)
{
	const uint64_t passed_ms = now_ms - r->sampled_ms;
	static const enum stat_id range[RATE_COUNT][2] = {
		[RATE_RX_PACKETS] = { STAT_RX_PACKETS, STAT_RX_PACKETS },
		[RATE_RX_OCTETS] = { STAT_RX_OCTETS, STAT_RX_OCTETS },
		[RATE_TX_PACKETS] = { STAT_TX_PACKETS, STAT_TX_PACKETS },
		[RATE_TX_OCTETS] = { STAT_TX_OCTETS, STAT_TX_OCTETS },
		[RATE_RELAYED] = { STAT_CHANNEL_TO_PEER, STAT_HAIRPIN },
		[RATE_DROPPED] = { STAT_FRAME_SHORT, STAT_NO_MBUF },
		[RATE_PUNTED] = { STAT_PUNTED, STAT_PUNTED },
	};

	if (passed_ms < SAMPLE_MS)
		return;
	for (unsigned i = 0; i < RATE_COUNT; i++) {
		const uint64_t total = sum(l, range[i][0], range[i][1]);

		/* A new data plane counts from zero. */
		r->per_s[i] = total >= r->total[i]
		                      ? (double)(total - r->total[i]) * 1000.0 / (double)passed_ms
		                      : 0;
		r->total[i] = total;
	}
	r->sampled_ms = now_ms;
}
