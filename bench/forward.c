#include "bench/forward.h"

#include <rte_ethdev.h>
#include <rte_prefetch.h>
#include <string.h>

const char *const forward_name[FORWARDS] = { "io", "macswap", "5tswap" };

static inline void swap_macs(uint8_t *f)
{
	uint8_t to[6];

	memcpy(to, f, 6);
	memcpy(f, f + 6, 6);
	memcpy(f + 6, to, 6);
}

static inline void swap_ip(uint8_t *f)
{
	if (f[12] == 0x08) {
		uint32_t src, dst, ports;

		memcpy(&src, f + 26, 4);
		memcpy(&dst, f + 30, 4);
		memcpy(&ports, f + 34, 4);
		ports = ports << 16 | ports >> 16;
		memcpy(f + 26, &dst, 4);
		memcpy(f + 30, &src, 4);
		memcpy(f + 34, &ports, 4);
	} else if (f[12] == 0x86) {
		uint64_t src[2], dst[2];
		uint32_t ports;

		memcpy(src, f + 22, 16);
		memcpy(dst, f + 38, 16);
		memcpy(&ports, f + 54, 4);
		ports = ports << 16 | ports >> 16;
		memcpy(f + 22, dst, 16);
		memcpy(f + 38, src, 16);
		memcpy(f + 54, &ports, 4);
	}
}

void forward_turn(enum forward how, uint16_t ethdev, uint16_t queue)
{
	struct rte_mbuf *m[FORWARD_BURST];
	const uint16_t n = rte_eth_rx_burst(ethdev, queue, m, FORWARD_BURST);

	if (n == 0)
		return;
	if (how != FORWARD_IO) {
		for (uint16_t i = 0; i < n; i++)
			rte_prefetch0(m[i]);
		for (uint16_t i = 0; i < n; i++)
			rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
		for (uint16_t i = 0; i < n; i++) {
			uint8_t *const f = rte_pktmbuf_mtod(m[i], uint8_t *);

			swap_macs(f);
			if (how == FORWARD_5TSWAP)
				swap_ip(f);
		}
	}
	const uint16_t sent = rte_eth_tx_burst(ethdev, queue, m, n);

	if (sent < n)
		rte_pktmbuf_free_bulk(m + sent, (unsigned)(n - sent));
}
