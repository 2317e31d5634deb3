/*
 * The short way through the decision table, for the frames that are nearly all of the load:
 * ChannelData, Send with nothing but its two attributes in their usual order, and datagrams of
 * peers, without options, extension headers or fragments. It decides or declines; what it declines
 * goes to classify(), and what it decides, classify() decides alike (tested, fuzzed).
 */
#pragma once

#include "dataplane/classify.h"
#include "dataplane/flow_table.h"
#include "wire/turn.h"

static inline uint16_t fast_load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static inline uint32_t fast_load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline uint64_t fast_load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* The low half of the 16-octet form of an IPv4 address, as it lies in memory. */
static inline uint64_t addr_word4(uint32_t ip)
{
	return UINT64_C(0xFFFF0000) | (uint64_t)ip << 32;
}

/* A sum of words with every carry taken back in: the rotated copy adds each half to the other. */
static inline uint16_t fast_fold(uint64_t sum)
{
	const uint64_t wide = sum + (sum >> 32 | sum << 32);
	const uint32_t half = (uint32_t)(wide >> 32);
	const uint32_t folded = half + (half >> 16 | half << 16);

	return (uint16_t)(folded >> 16);
}

/*
 * The slot of a destination at its home, or NULL: a collision, or not ours. A slot not in use holds
 * no address that a packet may go to; one of a broadcast address serves nothing.
 */
static inline const struct local_slot *fast_slot(const struct local_table *t, uint64_t high,
                                                 uint64_t low)
{
	const struct local_slot *const s = &t->slot[local_home(high, low)];

	if ((fast_load64(s->addr.ip) ^ high) | (fast_load64(s->addr.ip + 8) ^ low))
		return NULL;
	return s;
}

/* Port, channel, listener and kind in one store: they are read back as one word soon. */
static inline void fast_tail(struct parsed *out, uint16_t port, uint16_t channel, uint16_t listener,
                             uint16_t kind)
{
	const uint64_t tail = flow_key_tail(port, channel, listener, kind);

	memcpy(&out->key.port, &tail, 8);
}

/*
 * A Send indication of XOR-PEER-ADDRESS and DATA, in that order, and no more: RFC 8656 §11.1 as
 * clients write it. `n` octets at `p`, at offset `at` of the frame.
 */
static __attribute__((noinline, unused)) bool fast_send(const uint8_t *p, uint32_t n, uint32_t at,
                                                        uint16_t port, uint16_t listener,
                                                        struct parsed *out)
{
	/* Type and cookie together; the length stands between them. */
	if (n < 36 ||
	    (fast_load64(p) & UINT64_C(0xFFFFFFFF0000FFFF)) != UINT64_C(0x42A4122100001600) ||
	    be16_load(p + 2) != n - STUN_HDR_LEN || n % 4 != 0)
		return false;
	const uint32_t peer = fast_load32(p + 20);
	const bool four = peer == 0x08001200, six = peer == 0x14001200;
	const uint32_t data = STUN_HDR_LEN + (four ? 12 : 24);

	if (!(four || six) || p[25] != (four ? TURN_FAMILY_IPV4 : TURN_FAMILY_IPV6) ||
	    fast_load16(p + 26) == 0x1221 || n < data + 4 || fast_load16(p + data) != 0x1300)
		return false;
	const uint32_t len = be16_load(p + data + 2);

	if (data + 4 + pad4(len) != n)
		return false;
	out->path = PATH_SEND;
	out->dont_fragment = false;
	out->peer_at = at + 24;
	out->data_at = at + data + 4;
	out->data_len = len;
	fast_tail(out, port, 0, listener, four ? FLOW_ALLOCATION4 : FLOW_ALLOCATION6);
	return true;
}

/* From the UDP header on, which lies in the frame as far as `room` octets. */
static inline __attribute__((always_inline)) bool fast_udp(const struct local_slot *s,
                                                           const uint8_t *f, const uint32_t at,
                                                           uint32_t room, unsigned channel_mask,
                                                           struct parsed *out)
{
	const uint64_t h = fast_load64(f + at);
	const uint32_t len = __builtin_bswap16((uint16_t)(h >> 32));
	const uint32_t port = __builtin_bswap16((uint16_t)(h >> 16));
	const uint32_t n = len - 8;

	if (n > room - 8 || (uint16_t)h == 0)
		return false;
	out->udp_at = (uint16_t)at;
	out->payload = (uint16_t)n;
	if (port - s->port_min <= (uint32_t)(s->port_max - s->port_min)) {
		if (s->relay == LOCAL_NONE)
			return false;
		out->path = PATH_PEER;
		out->local = s->relay;
		out->data_at = at + 8;
		out->data_len = n;
		fast_tail(out, (uint16_t)h, (uint16_t)(h >> 16), 0, 0);
		return true;
	}
	if (s->listener[0] == LOCAL_NONE || s->port[0] != port || n < 4)
		return false;
	const uint32_t word = fast_load32(f + at + 8);
	const uint32_t data = __builtin_bswap16((uint16_t)(word >> 16));

	out->local = s->listener[0];
	if ((word & channel_mask) == 0x40) {
		if (data > n - 4)
			return false;
		out->path = PATH_CHANNEL;
		out->data_at = at + 12;
		out->data_len = data;
		fast_tail(out, (uint16_t)h, (uint16_t)word, s->listener[0], FLOW_CHANNEL);
		return true;
	}
	return fast_send(f + at + 8, n, at + 8, (uint16_t)h, s->listener[0], out);
}

static inline __attribute__((always_inline)) bool fast_ip4(const struct local_table *t,
                                                           const uint8_t *f, uint32_t len,
                                                           unsigned channel_mask,
                                                           struct parsed *out)
{
	const uint64_t mid = fast_load64(f + 16); /* length, id, fragment, TTL, protocol */
	const uint64_t a = fast_load64(f + 14), b = fast_load64(f + 22);
	const uint32_t src = fast_load32(f + 26), dst = fast_load32(f + 30);
	const uint32_t total = __builtin_bswap16((uint16_t)mid), first = src & 0xFF;

	if ((mid & UINT64_C(0xFF00FF3F00000000)) != UINT64_C(0x1100000000000000) ||
	    total > len - 14 || total < 28 || first - 1 >= 223 || first == 127)
		return false;
	uint64_t sum = a + b;

	sum += sum < b;
	sum += dst;
	sum += sum < dst;
	if (fast_fold(sum) != 0xFFFF)
		return false;
	const uint64_t low = addr_word4(src);
	const struct local_slot *const s = fast_slot(t, 0, addr_word4(dst));

	if (!s || local_may_hold(t, local_home(0, low)))
		return false;
	out->family = 4;
	memset(out->key.ip, 0, 8);
	memcpy(out->key.ip + 8, &low, 8);
	return fast_udp(s, f, 34, total - 20, channel_mask, out);
}

static inline __attribute__((always_inline)) bool fast_ip6(const struct local_table *t,
                                                           const uint8_t *f, uint32_t len,
                                                           unsigned channel_mask,
                                                           struct parsed *out)
{
	const uint32_t payload = be16_load(f + 18);
	const uint64_t src[2] = { fast_load64(f + 22), fast_load64(f + 30) };

	/* An address that begins with zeros or is multicast is looked at closely elsewhere. */
	if (len < 62 || f[20] != 17 || payload > len - 54 || payload < 8 || src[0] == 0 ||
	    f[22] == 0xFF || fast_load16(f + 60) == 0 || fast_load64(f + 38) == 0)
		return false;
	const struct local_slot *const s = fast_slot(t, fast_load64(f + 38), fast_load64(f + 46));

	if (!s || local_may_hold(t, local_home(src[0], src[1])))
		return false;
	out->family = 6;
	memcpy(out->key.ip, src, 16);
	return fast_udp(s, f, 54, payload, channel_mask, out);
}

/*
 * `mac` is ours in the low six octets, `channel_mask` what tells ChannelData by its first octet:
 * 0xF0, or 0xC0 with RFC 5766's numbers. false: ask classify(), or here also classify_fast(), which
 * knows IPv6.
 */
static inline __attribute__((always_inline)) bool
classify_fast4(const struct local_table *t, const uint8_t *f, uint32_t len, uint64_t mac,
               unsigned channel_mask, struct parsed *out)
{
	if (len < 42 || (fast_load64(f) ^ mac) << 16 != 0 ||
	    (fast_load32(f + 12) & 0xFFFFFF) != 0x450008)
		return false;
	return fast_ip4(t, f, len, channel_mask, out);
}

static inline __attribute__((always_inline)) bool classify_fast(const struct local_table *t,
                                                                const uint8_t *f, uint32_t len,
                                                                uint64_t mac, unsigned channel_mask,
                                                                struct parsed *out)
{
	if (classify_fast4(t, f, len, mac, channel_mask, out))
		return true;
	if (len < 42 || (fast_load64(f) ^ mac) << 16 != 0 ||
	    (fast_load32(f + 12) & 0xF0FFFF) != 0x60DD86)
		return false;
	return fast_ip6(t, f, len, channel_mask, out);
}
