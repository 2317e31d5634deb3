#include "bench/textbook.h"

#include <rte_ether.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/attr.h"
#include "wire/stun_build.h"
#include "wire/turn.h"

enum { ETH = 14, UDP = 8 };

struct textbook {
	struct rte_hash *hash;
	struct textbook_flow *flow;
	unsigned n;
};

/* What one frame says, before its flow is known. */
struct seen {
	const uint8_t *udp;
	unsigned data_at, data_len;
	struct endpoint from; /* TEXTBOOK_STUN out: the peer */
};

struct textbook *textbook_new(unsigned n)
{
	const struct rte_hash_parameters p = {
		.name = "textbook",
		.entries = n,
		.key_len = sizeof(struct textbook_key),
		.hash_func = rte_hash_crc,
		.extra_flag =
			RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
		.socket_id = SOCKET_ID_ANY,
	};
	struct textbook *const t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->hash = rte_hash_create(&p);
	/* Two lines a flow, on their own. */
	t->flow = aligned_alloc(64, (size_t)n * 128);
	if (t->hash && t->flow)
		return t;
	textbook_free(t);
	return NULL;
}

void textbook_free(struct textbook *t)
{
	rte_hash_free(t->hash);
	free(t->flow);
	free(t);
}

static struct textbook_flow *flow_at(struct textbook *t, uintptr_t i)
{
	return (struct textbook_flow *)((uint8_t *)t->flow + i * 128);
}

bool textbook_add(struct textbook *t, const struct textbook_key *key,
                  const struct textbook_flow *flow)
{
	*flow_at(t, t->n) = *flow;
	return rte_hash_add_key_data(t->hash, key, (void *)(uintptr_t)t->n++) == 0;
}

static void look(const struct rte_mbuf *m, enum textbook_wrap in, struct textbook_key *key,
                 struct seen *s)
{
	const uint8_t *const f = rte_pktmbuf_mtod(m, const uint8_t *);
	const bool six = be16_load(f + 12) == RTE_ETHER_TYPE_IPV6;
	const uint8_t *const ip = f + ETH;
	struct stun_msg msg;
	struct stun_attr a;

	*key = (struct textbook_key){ .zero = 0 };
	s->udp = ip + (six ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr));
	if (six) {
		memcpy(key->ip, ip + 8, 16);
	} else {
		const struct addr from = addr_from4(ip + 12);

		memcpy(key->ip, from.ip, 16);
	}
	memcpy(s->from.addr.ip, key->ip, 16);
	memcpy(&key->port, s->udp, 2);
	s->from.port = be16_load(s->udp);
	memcpy(&key->local_port, s->udp + 2, 2);
	s->data_at = (unsigned)(s->udp + UDP - f);
	s->data_len = be16_load(s->udp + 4) - UDP;
	if (in == TEXTBOOK_CHANNEL) {
		memcpy(&key->channel, s->udp + UDP, 2);
		s->data_len = be16_load(s->udp + UDP + 2);
		s->data_at += CHANNEL_HDR_LEN;
	} else if (in == TEXTBOOK_STUN && stun_open(s->udp + UDP, s->data_len, &msg) &&
	           stun_find(&msg, TURN_DATA_ATTR, &a)) {
		s->data_at = (unsigned)(a.value - f);
		s->data_len = a.len;
	}
}

static unsigned put_wrap(uint8_t *end, enum textbook_wrap out, const struct textbook_flow *t,
                         const struct seen *s)
{
	struct stun_builder b;
	static const uint8_t txid[12];
	uint8_t head[64];

	if (out == TEXTBOOK_PLAIN)
		return 0;
	if (out == TEXTBOOK_CHANNEL) {
		memcpy(end - 4, &t->channel, 2);
		be16_store(end - 2, (uint16_t)s->data_len);
		return CHANNEL_HDR_LEN;
	}
	stun_begin(&b, head, sizeof(head), stun_type(TURN_DATA, STUN_INDICATION), txid);
	stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, &s->from);
	stun_put(&b, TURN_DATA_ATTR, NULL, 0);
	const unsigned n = (unsigned)stun_finish(&b);

	be16_store(head + 2, (uint16_t)(n - STUN_HDR_LEN + pad4(s->data_len)));
	be16_store(head + n - 2, (uint16_t)s->data_len);
	memcpy(end - n, head, n);
	return n;
}

static void put_headers(struct rte_mbuf *m, const struct textbook_flow *t, const struct seen *s,
                        unsigned wrap)
{
	uint8_t *const data = rte_pktmbuf_mtod(m, uint8_t *) + s->data_at;
	const bool six = !addr_is4((const struct addr *)t->src);
	const unsigned head = six ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	const uint16_t udp_len = (uint16_t)(UDP + wrap + s->data_len);
	struct rte_udp_hdr *const udp = (struct rte_udp_hdr *)(data - wrap - UDP);
	uint8_t *const ip = (uint8_t *)udp - head;
	uint8_t *const eth = ip - ETH;

	udp->src_port = t->sport;
	udp->dst_port = t->dport;
	udp->dgram_len = rte_cpu_to_be_16(udp_len);
	udp->dgram_cksum = 0;
	if (six) {
		struct rte_ipv6_hdr *const h = (struct rte_ipv6_hdr *)ip;

		h->vtc_flow = rte_cpu_to_be_32(6u << 28);
		h->payload_len = udp->dgram_len;
		h->proto = 17;
		h->hop_limits = 63;
		memcpy(h->src_addr, t->src, 16);
		memcpy(h->dst_addr, t->dst, 16);
		udp->dgram_cksum = rte_ipv6_udptcp_cksum(h, udp);
	} else {
		struct rte_ipv4_hdr *const h = (struct rte_ipv4_hdr *)ip;

		*h = (struct rte_ipv4_hdr){ .version_ihl = 0x45,
			                    .total_length =
			                            rte_cpu_to_be_16((uint16_t)(head + udp_len)),
			                    .time_to_live = 63,
			                    .next_proto_id = 17 };
		memcpy(&h->src_addr, t->src + 12, 4);
		memcpy(&h->dst_addr, t->dst + 12, 4);
		h->hdr_checksum = rte_ipv4_cksum(h);
		udp->dgram_cksum = rte_ipv4_udptcp_cksum(h, udp);
	}
	memcpy(eth, t->eth, 12);
	be16_store(eth + 12, six ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	m->data_off = (uint16_t)(m->data_off + (eth - rte_pktmbuf_mtod(m, uint8_t *)));
	m->data_len = (uint16_t)(ETH + head + udp_len);
	m->pkt_len = m->data_len;
}

unsigned textbook_burst(struct textbook *t, struct rte_mbuf **m, unsigned n, enum textbook_wrap in,
                        enum textbook_wrap out)
{
	struct textbook_key key[TEXTBOOK_BURST];
	struct seen seen[TEXTBOOK_BURST];
	const void *keys[TEXTBOOK_BURST];
	void *data[TEXTBOOK_BURST];
	uint64_t hits = 0;
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++) {
		look(m[i], in, &key[i], &seen[i]);
		keys[i] = &key[i];
	}
	rte_hash_lookup_bulk_data(t->hash, keys, n, &hits, data);
	for (unsigned i = 0; i < n; i++)
		if (hits >> i & 1)
			rte_prefetch0(flow_at(t, (uintptr_t)data[i]));
	for (unsigned i = 0; i < n; i++) {
		if (!(hits >> i & 1))
			continue;
		struct textbook_flow *const flow = flow_at(t, (uintptr_t)data[i]);
		uint8_t *const at = rte_pktmbuf_mtod(m[i], uint8_t *) + seen[i].data_at;

		put_headers(m[i], flow, &seen[i], put_wrap(at, out, flow, &seen[i]));
		flow->packets++;
		flow->octets += seen[i].data_len;
		done++;
	}
	return done;
}
