/* Making frames: headers, checksum, fragments. */
#include "dataplane/datagram.h"

#include <netinet/in.h>
#include <rte_ether.h>

#include "dataplane/rewrite.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

static unsigned family_of(const struct datagram *d)
{
	return addr_family(&d->dst.addr);
}

/* What IP carries. */
static uint32_t carried_octets(const struct datagram *d)
{
	return DATAGRAM_UDP + d->head_len + d->data_len + d->pad;
}

uint32_t datagram_packet(const struct datagram *d)
{
	return (family_of(d) == 4 ? DATAGRAM_IP4 : DATAGRAM_IP6) + carried_octets(d);
}

/* The UDP header with its checksum; `head` has an even length, so sums simply add. */
static void put_udp(const struct datagram *d, uint8_t udp[DATAGRAM_UDP])
{
	const bool is4 = family_of(d) == 4;
	const unsigned skip = is4 ? 12 : 0;
	const uint16_t len = (uint16_t)carried_octets(d);

	be16_store(udp, d->src.port);
	be16_store(udp + 2, d->dst.port);
	be16_store(udp + 4, len);
	csum_store(udp + 6, 0);
	if (d->no_checksum && is4)
		return;
	uint64_t sum =
		csum_pseudo_udp(d->src.addr.ip + skip, d->dst.addr.ip + skip, 16 - skip, len);

	sum = csum_add(sum, udp, DATAGRAM_UDP);
	sum = csum_add(sum, d->head, d->head_len);
	sum = csum_add(sum, d->data, d->data_len);
	const uint16_t check = csum_fold((uint64_t)csum_finish(sum) + d->error);

	csum_store(udp + 6, check == 0 ? 0xFFFF : check); /* RFC 768 */
}

/* Copies `len` octets from position `at` of what IP carries: UDP header, head, data, pad. */
static void copy_part(const struct datagram *d, const uint8_t udp[DATAGRAM_UDP], uint32_t at,
                      uint32_t len, uint8_t *to)
{
	static const uint8_t zeros[4];
	const struct {
		const uint8_t *p;
		uint32_t len;
	} parts[] = { { udp, DATAGRAM_UDP },
		      { d->head, d->head_len },
		      { d->data, d->data_len },
		      { zeros, d->pad } };

	for (unsigned i = 0; i < RTE_DIM(parts) && len; i++) {
		if (at >= parts[i].len) {
			at -= parts[i].len;
			continue;
		}
		const uint32_t n = RTE_MIN(len, parts[i].len - at);

		memcpy(to, parts[i].p + at, n);
		to += n;
		len -= n;
		at = 0;
	}
}

struct piece {
	uint32_t at, len; /* of what IP carries */
	uint32_t id, label;
	bool more, fragment;
};

static void put_ip4(const struct datagram *d, const struct piece *p, uint8_t *ip)
{
	be16_store(ip, 0x4500 | d->tos);
	be16_store(ip + 2, (uint16_t)(DATAGRAM_IP4 + p->len));
	be16_store(ip + 4, (uint16_t)p->id);
	be16_store(ip + 6, (uint16_t)((d->df ? 0x4000 : 0) | (p->more ? 0x2000 : 0) | p->at / 8));
	ip[8] = d->ttl;
	ip[9] = IPPROTO_UDP;
	csum_store(ip + 10, 0);
	memcpy(ip + 12, d->src.addr.ip + 12, 4);
	memcpy(ip + 16, d->dst.addr.ip + 12, 4);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, DATAGRAM_IP4)));
}

/* The same for every packet of a flow, whoever makes it (TURN-137). */
static uint32_t flow_label(const struct worker *w, const struct datagram *d)
{
	const struct leg leg = { .src = d->src.addr.ip,
		                 .dst = d->dst.addr.ip,
		                 .sport = htons(d->src.port),
		                 .dport = htons(d->dst.port) };

	return rewrite_flow_label(w->secret, &leg);
}

static void put_ip6(const struct datagram *d, const struct piece *p, uint8_t *ip)
{
	be32_store(ip, UINT32_C(6) << 28 | (uint32_t)d->tos << 20 | p->label);
	be16_store(ip + 4, (uint16_t)(p->len + (p->fragment ? DATAGRAM_FRAGMENT6 : 0)));
	ip[6] = p->fragment ? IPPROTO_FRAGMENT : IPPROTO_UDP;
	ip[7] = d->ttl;
	memcpy(ip + 8, d->src.addr.ip, 16);
	memcpy(ip + 24, d->dst.addr.ip, 16);
	if (p->fragment) {
		ip[40] = IPPROTO_UDP;
		ip[41] = 0;
		be16_store(ip + 42, (uint16_t)(p->at | (p->more ? 1 : 0)));
		be32_store(ip + 44, p->id);
	}
}

static void put_piece(const struct datagram *d, const struct piece *p, const uint8_t *udp,
                      struct rte_mbuf *m)
{
	const bool is4 = family_of(d) == 4;
	const uint16_t ip_len = is4           ? DATAGRAM_IP4
	                        : p->fragment ? DATAGRAM_IP6 + DATAGRAM_FRAGMENT6
	                                      : DATAGRAM_IP6;
	uint8_t *eth = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(DATAGRAM_ETH + ip_len + p->len));

	memset(eth, 0, 12);
	be16_store(eth + 12, is4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	if (is4)
		put_ip4(d, p, eth + DATAGRAM_ETH);
	else
		put_ip6(d, p, eth + DATAGRAM_ETH);
	copy_part(d, udp, p->at, p->len, eth + DATAGRAM_ETH + ip_len);
}

/* Octets that one fragment carries, a multiple of 8; 0: such an MTU carries nothing. */
static uint32_t piece_room(const struct datagram *d, uint32_t mtu)
{
	const uint32_t headers =
		family_of(d) == 4 ? DATAGRAM_IP4 : DATAGRAM_IP6 + DATAGRAM_FRAGMENT6;

	if (d->piece_max && d->piece_max < mtu)
		mtu = d->piece_max;
	return mtu < headers + 8 ? 0 : (mtu - headers) & ~7u;
}

enum datagram_result datagram_build(struct worker *w, const struct datagram *d, uint16_t mtu,
                                    struct rte_mbuf *out[DATAGRAM_PIECES_MAX], unsigned *n)
{
	const uint32_t packet = datagram_packet(d), carried = carried_octets(d);
	const bool is4 = family_of(d) == 4;
	const uint32_t room_max = rte_pktmbuf_data_room_size(w->pool) - RTE_PKTMBUF_HEADROOM;
	uint32_t largest = RTE_MIN((uint32_t)mtu, room_max - DATAGRAM_ETH);
	uint8_t udp[DATAGRAM_UDP];
	unsigned pieces = 1;
	uint32_t step = carried, id;

	assert(d->head_len % 2 == 0);
	if ((is4 ? packet : carried) > UINT16_MAX)
		return DATAGRAM_TOO_LONG;
	const bool fits = packet + (!is4 && d->fragment_header ? DATAGRAM_FRAGMENT6 : 0) <=
	                  (d->piece_max ? RTE_MIN(largest, d->piece_max) : largest);

	if (!fits) {
		if (is4 ? d->df : d->no_fragments)
			return DATAGRAM_TOO_BIG;
		step = piece_room(d, largest);
		if (!step || (carried + step - 1) / step > DATAGRAM_PIECES_MAX)
			return DATAGRAM_TOO_BIG;
		pieces = (carried + step - 1) / step;
	}
	if (rte_pktmbuf_alloc_bulk(w->pool, out, pieces) != 0)
		return DATAGRAM_NO_MBUF;
	worker_random(w, &id, sizeof(id));
	const uint32_t label = is4 ? 0 : flow_label(w, d);

	put_udp(d, udp);
	for (unsigned i = 0; i < pieces; i++) {
		const struct piece p = {
			.at = i * step,
			.len = RTE_MIN(step, carried - i * step),
			.id = id,
			.label = label,
			.more = i + 1 < pieces,
			.fragment = pieces > 1 || (!is4 && d->fragment_header),
		};

		put_piece(d, &p, udp, out[i]);
	}
	*n = pieces;
	return DATAGRAM_OK;
}
