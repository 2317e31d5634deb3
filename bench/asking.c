#include "bench/asking.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <stdlib.h>
#include <string.h>

#include "bench/rings.h"
#include "wire/attr.h"
#include "wire/checksum.h"
#include "wire/crc.h"
#include "wire/stun_build.h"

enum {
	SOURCES = 4096, /* prefixes: none is limited */
	BODY = STUN_HDR_LEN + 8,
	FRAME = 14 + 20 + 8 + BODY,
	BURST = 64,
	ANSWER = 14 + 20 + 8 + STUN_HDR_LEN + 12 + 8,
	LOOKED_AT = 64, /* one of so many answers is read whole */
	DRAIN_MS = 200,
	UNDER_WAY = 1024, /* at most: what comes back finds room */
};

static uint8_t frame[SOURCES][FRAME + 2];

static uint32_t source_ip(unsigned i)
{
	return 0x0B000001 + (uint32_t)i * 256;
}

static void make_frames(void)
{
	const struct endpoint to = dut_listener();

	for (unsigned i = 0; i < SOURCES; i++) {
		uint8_t *const f = frame[i], *const ip = f + 14, *const udp = ip + 20;
		uint8_t txid[12] = { 0 };
		struct stun_builder s;

		memcpy(f, dut_macs, 12);
		be16_store(f + 12, 0x0800);
		be32_store(ip, 0x45000000 | (FRAME - 14));
		be32_store(ip + 4, 0x4000);
		be32_store(ip + 8, 64u << 24 | 17u << 16);
		be32_store(ip + 12, source_ip(i));
		memcpy(ip + 16, to.addr.ip + 12, 4);
		csum_store(ip + 10, csum_finish(csum_add(0, ip, 20)));
		be16_store(udp, (uint16_t)(1024 + i));
		be16_store(udp + 2, to.port);
		be16_store(udp + 4, 8 + BODY);
		be32_store(txid + 4, i);
		stun_begin(&s, udp + 8, BODY, stun_type(STUN_BINDING, STUN_REQUEST), txid);
		stun_put_fingerprint(&s);
	}
}

/* The source's own address and port, and the id it asked with. */
static bool right(const struct rte_mbuf *m)
{
	const uint8_t *const f = rte_pktmbuf_mtod(m, const uint8_t *);
	struct stun_msg s;
	struct stun_attr attr;
	struct endpoint who;

	if (m->data_len != ANSWER || !stun_open(f + 42, ANSWER - 42, &s) ||
	    s.type != stun_type(STUN_BINDING, STUN_SUCCESS) ||
	    !stun_find(&s, STUN_XOR_MAPPED_ADDRESS, &attr) || stun_xor_addr(&s, &attr, &who) != 4)
		return false;
	const unsigned i = be32_load(f + 42 + 8 + 4);

	return i < SOURCES && who.port == 1024 + i && be32_load(who.addr.ip + 12) == source_ip(i) &&
	       be32_load(f + 30) == source_ip(i);
}

struct asking {
	uint16_t port;
	uint64_t asked, answered, wrong;
	unsigned next;
};

static void hear(struct asking *a)
{
	struct rte_mbuf *m[BURST];
	const uint16_t n = rte_eth_rx_burst(a->port, 0, m, BURST);

	if (n == 0)
		return;
	if (a->answered / LOOKED_AT != (a->answered + n) / LOOKED_AT)
		a->wrong += !right(m[0]);
	for (uint16_t i = 0; i < n; i++)
		a->wrong += m[i]->data_len != ANSWER;
	a->answered += n;
	rte_pktmbuf_free_bulk(m, n);
}

static void ask(struct asking *a, struct rte_mbuf **m, unsigned *held)
{
	if (*held == 0 && rte_pktmbuf_alloc_bulk(rings_pool(), m, BURST) == 0) {
		for (unsigned i = 0; i < BURST; i++) {
			memcpy(rte_pktmbuf_append(m[i], FRAME), frame[a->next], FRAME);
			a->next = (a->next + 1) % SOURCES;
		}
		*held = BURST;
	}
	const unsigned sent = rte_eth_tx_burst(a->port, 0, m, (uint16_t)*held);

	a->asked += sent;
	*held -= sent;
	memmove(m, m + sent, *held * sizeof(*m));
}

double asking_run(double seconds)
{
	struct asking a = { .port = rings_take_port() };
	struct rte_mbuf *m[BURST];
	unsigned held = 0;

	make_frames();
	rings_spin(true);
	const uint64_t start = rte_rdtsc();
	const uint64_t end = start + (uint64_t)(seconds * (double)rte_get_tsc_hz());

	while (rte_rdtsc() < end) {
		if (a.asked - a.answered < UNDER_WAY)
			ask(&a, m, &held);
		hear(&a);
	}
	const double pps = (double)a.answered / seconds;
	const uint64_t drained = rte_rdtsc() + rte_get_tsc_hz() * DRAIN_MS / 1000;

	while (a.answered < a.asked && rte_rdtsc() < drained)
		hear(&a);
	rings_spin(false);
	rte_pktmbuf_free_bulk(m, held);
	return a.answered == a.asked && a.wrong == 0 ? pps : -1;
}
