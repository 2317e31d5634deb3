#include "pkt-gen/stream.h"

#include <assert.h>

#include "wire/attr.h"
#include "wire/checksum.h"
#include "wire/stun_build.h"

enum { ETH = 14, UDP = 8, TTL = 64 };

/* What stands in front of the payload; lengths are zero. Returns its octets. */
static unsigned put_wrap(uint8_t *out, size_t room, const struct stream_leg *leg)
{
	struct stun_builder b;
	uint8_t txid[STUN_TXID_LEN];

	if (leg->wrap == WRAP_NONE)
		return 0;
	if (leg->wrap == WRAP_CHANNEL) {
		channel_put(out, leg->channel, 0);
		return CHANNEL_HDR_LEN;
	}
	/* Nobody answers an indication: one id does for all of a stream. */
	uint64_t id = (uint64_t)leg->from.port << 16 | leg->peer.port;

	for (unsigned i = 0; i < sizeof(txid); i++) {
		id = (id ^ leg->from.addr.ip[i + 4] ^ leg->peer.addr.ip[i + 4]) *
		     UINT64_C(0x9E3779B97F4A7C15);
		txid[i] = (uint8_t)(id >> 56);
	}
	stun_begin(&b, out, room, stun_type(TURN_SEND, STUN_INDICATION), txid);
	stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, &leg->peer);
	stun_put(&b, TURN_DATA_ATTR, NULL, 0);
	/* Without the data: its length is added for each packet. */
	be16_store(out + 2, 0);
	return (unsigned)b.len;
}

void stream_make(struct stream *s, const struct stream_leg *leg)
{
	const bool six = !addr_is4(&leg->from.addr);
	const unsigned ip_len = six ? 40 : 20, addr_len = six ? 16 : 4;
	uint8_t *const ip = s->head + ETH, *const udp = ip + ip_len;

	*s = (struct stream){ .lane = leg->lane, .wrap = (uint8_t)leg->wrap, .six = six };
	memcpy(s->head, leg->macs, 12);
	be16_store(s->head + 12, six ? 0x86DD : 0x0800);
	if (six) {
		be32_store(ip, 6u << 28);
		be32_store(ip + 4, 17u << 8 | TTL);
		memcpy(ip + 8, leg->from.addr.ip, 16);
		memcpy(ip + 24, leg->to.addr.ip, 16);
	} else {
		be32_store(ip, 0x45000000);
		be32_store(ip + 4, 0x4000); /* DF: the id may be the same for all (RFC 6864) */
		be32_store(ip + 8, (uint32_t)TTL << 24 | 17u << 16);
		memcpy(ip + 12, leg->from.addr.ip + 12, 4);
		memcpy(ip + 16, leg->to.addr.ip + 12, 4);
		s->ip_sum = csum_fold(csum_add(0, ip, 20));
	}
	be16_store(udp, leg->from.port);
	be16_store(udp + 2, leg->to.port);
	const unsigned room = (unsigned)(s->head + STREAM_HEAD_MAX - udp) - UDP;
	const unsigned wrap = put_wrap(udp + UDP, room, leg);

	s->head_len = (uint8_t)(ETH + ip_len + UDP + wrap);
	const uint8_t *const src = ip + (six ? 8 : 12);
	uint64_t sum = csum_pseudo_udp(src, src + addr_len, addr_len, 0);

	sum = csum_add(sum, udp, UDP + wrap);
	s->sum = csum_fold(sum);
}
