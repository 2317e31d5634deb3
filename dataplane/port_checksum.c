/*
 * Partial checksums. A kernel that sends to a software port leaves the transport checksum to an
 * offload that never comes: the field then holds the folded sum of the pseudo-header.
 *
 * There is nothing to guess: where a right checksum happens to equal that sum, completing it gives
 * the same value again.
 */
#include <netinet/in.h>

#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/port.h"

enum { ETHERNET = 14, EXTENSIONS_MAX = 8 };

struct segment {
	uint32_t at, len; /* of the transport header and all behind it, from the frame's start */
	uint8_t proto;
	uint32_t pseudo;
};

static uint16_t be16_at(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t sum_of(const uint8_t *p, unsigned len)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < len; i += 2)
		sum += be16_at(p + i);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* Twenty octets may be read at `ip`; `have` there are in all. */
static bool find4(const uint8_t *ip, uint32_t have, struct segment *s)
{
	const unsigned header = (ip[0] & 0x0Fu) * 4, total = be16_at(ip + 2);

	if (header < 20 || total < header || total > have || (be16_at(ip + 6) & 0x3FFF) != 0)
		return false;
	s->at = ETHERNET + header;
	s->len = total - header;
	s->proto = ip[9];
	s->pseudo = sum_of(ip + 12, 8);
	return true;
}

/* `linear` octets of the packet may be read at `ip`; `have` there are in all. */
static bool find6(const uint8_t *ip, uint32_t linear, uint32_t have, struct segment *s)
{
	uint32_t at = 40;
	uint8_t next;

	if (linear < 40 || 40u + be16_at(ip + 4) > have)
		return false;
	next = ip[6];
	for (unsigned i = 0; next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS; i++) {
		if (i == EXTENSIONS_MAX || at + 8 > linear)
			return false;
		next = ip[at];
		at += 8u * (ip[at + 1] + 1u);
	}
	if (at > 40u + be16_at(ip + 4))
		return false;
	s->at = ETHERNET + at;
	s->len = 40u + be16_at(ip + 4) - at;
	s->proto = next;
	s->pseudo = sum_of(ip + 8, 32);
	return true;
}

bool port_complete_checksum(struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	const uint32_t linear = rte_pktmbuf_data_len(m), whole = rte_pktmbuf_pkt_len(m);
	struct segment s;
	uint16_t raw;
	uint8_t *field;

	if (linear < ETHERNET + 20)
		return false;
	const uint8_t *ip = frame + ETHERNET;

	if (be16_at(frame + 12) == 0x0800 && ip[0] >> 4 == 4) {
		if (!find4(ip, whole - ETHERNET, &s))
			return false;
	} else if (be16_at(frame + 12) == 0x86DD && ip[0] >> 4 == 6) {
		if (!find6(ip, linear - ETHERNET, whole - ETHERNET, &s))
			return false;
	} else {
		return false;
	}
	if (s.proto == IPPROTO_UDP && s.len >= 8)
		field = frame + s.at + 6;
	else if (s.proto == IPPROTO_TCP && s.len >= 20)
		field = frame + s.at + 16;
	else
		return false;
	if ((uint32_t)(field - frame) + 2 > linear ||
	    be16_at(field) != fold(s.pseudo + s.proto + s.len))
		return false;
	if (rte_raw_cksum_mbuf(m, s.at, s.len, &raw) != 0)
		return false;
	raw = (uint16_t)~raw;
	if (raw == 0 && s.proto == IPPROTO_UDP)
		raw = 0xFFFF;
	memcpy(field, &raw, 2); /* sums of octet pairs are in the frame's own order */
	return true;
}
