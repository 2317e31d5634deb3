/*
 * Whole UDP frames in plain memory: made from nothing, or from a template with another source,
 * another transaction id, another destination port. For what is sent besides streams.
 *
 * Source     RFC 768, RFC 791, RFC 8200; sums as in wire/checksum.h.
 * Threads    Pure functions; no state.
 */
#pragma once

#include "addr.h"
#include "wire/checksum.h"
#include "wire/stun.h"

enum {
	PACKET_ETH = 14,
	PACKET_HEAD4 = PACKET_ETH + 20 + 8,
	PACKET_HEAD6 = PACKET_ETH + 40 + 8,
	PACKET_MAX = 1514,
	PACKET_TEMPLATE_MAX = 512,
};

/* Octets of a frame with `len` octets of payload. */
static inline size_t packet_len(const struct endpoint *to, size_t len)
{
	return (addr_is4(&to->addr) ? PACKET_HEAD4 : PACKET_HEAD6) + len;
}

/* Writes packet_len() octets; 0: they are more than cap. Both ends are of one family. */
size_t packet_make(uint8_t *out, size_t cap, const uint8_t macs[12], const struct endpoint *from,
                   const struct endpoint *to, const void *octets, size_t len);

/* UDP in a frame: where its payload is, whence and whither. Unfragmented, lengths right. */
struct packet {
	struct endpoint from, to;
	const uint8_t *octets;
	size_t len;
};
bool packet_read(const uint8_t *frame, size_t len, struct packet *out);

struct packet_template {
	uint8_t octets[PACKET_TEMPLATE_MAX]; /* source, destination port, transaction id: zero */
	uint16_t len;
	bool six;
	uint64_t ip_sum, udp_sum; /* of what is in octets */
};

/* `octets`: the payload, at most PACKET_TEMPLATE_MAX - PACKET_HEAD6 of them. */
void packet_template(struct packet_template *t, const uint8_t macs[12], const struct addr *to,
                     const void *octets, size_t len);

/* A frame of t->len octets. txid NULL: the payload stays as it is. */
static inline void packet_stamp(uint8_t *out, const struct packet_template *t,
                                const struct endpoint *from, uint16_t to_port,
                                const uint8_t txid[STUN_TXID_LEN])
{
	uint8_t *ip = out + PACKET_ETH, *udp = ip + (t->six ? 40 : 20);
	uint64_t sum = t->udp_sum;

	memcpy(out, t->octets, t->len);
	if (t->six) {
		memcpy(ip + 8, from->addr.ip, 16);
		sum = csum_add(sum, from->addr.ip, 16);
	} else {
		memcpy(ip + 12, from->addr.ip + 12, 4);
		csum_store(ip + 10, csum_finish(csum_add(t->ip_sum, from->addr.ip + 12, 4)));
		sum = csum_add(sum, from->addr.ip + 12, 4);
	}
	be16_store(udp, from->port);
	be16_store(udp + 2, to_port);
	sum = csum_add(sum, udp, 4);
	if (txid != NULL) {
		memcpy(udp + 16, txid, STUN_TXID_LEN);
		sum = csum_add(sum, txid, STUN_TXID_LEN);
	}
	const uint16_t c = csum_finish(sum);
	csum_store(udp + 6, c == 0 ? 0xFFFF : c);
}
