/* Addresses and ports change places; sums are made anew. */
#include "dataplane/reply.h"

#include <netinet/in.h>

#include "dataplane/datagram.h"
#include "dataplane/rewrite.h"
#include "wire/checksum.h"

static void swap(uint8_t *a, uint8_t *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const uint8_t t = a[i];

		a[i] = b[i];
		b[i] = t;
	}
}

bool reply_sum_right(const struct port *port, const struct rte_mbuf *m, const struct parsed *p)
{
	const uint8_t *const ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, DATAGRAM_ETH);
	const uint8_t *const udp = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->udp_at);
	const bool is4 = p->family == 4;

	if (port->rx_checksum &&
	    (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return true;
	if (csum_load(udp + 6) == 0)
		return is4;
	return csum_udp_right(ip + (is4 ? 12 : 8), ip + (is4 ? 16 : 24), is4 ? 4 : 16, udp,
	                      be16_load(udp + 4));
}

static void turn_ip4(struct worker *w, uint8_t *ip, uint16_t udp_len)
{
	swap(ip + 12, ip + 16, 4);
	be16_store(ip + 2, (uint16_t)(DATAGRAM_IP4 + udp_len));
	worker_random(w, ip + 4, 2);
	be16_store(ip + 6, 0);
	ip[1] &= 0xFC; /* DSCP as it came, not ECN */
	ip[8] = DATAGRAM_TTL;
	csum_store(ip + 10, 0);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, DATAGRAM_IP4)));
}

static void turn_ip6(struct worker *w, uint8_t *ip, const uint8_t *udp, uint16_t udp_len)
{
	swap(ip + 8, ip + 24, 16);
	/* As of the data that may follow (TURN-137). */
	const struct leg leg = { .src = ip + 8, .dst = ip + 24, .ports_at = udp };

	be32_store(ip, (be32_load(ip) & 0x0FC00000) | UINT32_C(6) << 28 |
	                       rewrite_flow_label(w->secret, &leg));
	be16_store(ip + 4, udp_len);
	ip[7] = DATAGRAM_TTL;
}

bool reply_in_place(struct worker *w, const struct port *port, struct rte_mbuf *m,
                    const struct parsed *p, const uint8_t *body, uint32_t len)
{
	const bool is4 = p->family == 4;
	const uint32_t frame = p->udp_at + DATAGRAM_UDP + len;
	const uint16_t udp_len = (uint16_t)(DATAGRAM_UDP + len);

	if (frame <= m->data_len)
		rte_pktmbuf_trim(m, (uint16_t)(m->data_len - frame));
	else if (rte_pktmbuf_append(m, (uint16_t)(frame - m->data_len)) == NULL)
		return false;
	uint8_t *const eth = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *const ip = eth + DATAGRAM_ETH, *const udp = eth + p->udp_at;

	memcpy(udp + DATAGRAM_UDP, body, len);
	swap(eth, eth + 6, 6);
	swap(udp, udp + 2, 2);
	if (is4)
		turn_ip4(w, ip, udp_len);
	else
		turn_ip6(w, ip, udp, udp_len);
	be16_store(udp + 4, udp_len);
	csum_store(udp + 6, 0);
	csum_store(udp + 6,
	           csum_udp(ip + (is4 ? 12 : 8), ip + (is4 ? 16 : 24), is4 ? 4 : 16, udp, udp_len));
	worker_send(w, port->index, m);
	return true;
}
