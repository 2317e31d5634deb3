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

/*
 * The same as a whole register from the start: the compiler would put away 16 bits and fetch 32,
 * and the processor wait until the former are in the cache.
 */
static inline uint32_t fast_wide16(const void *p)
{
	uint32_t v = fast_load16((const uint8_t *)p);

	__asm__("" : "+r"(v));
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

/* A sum with its checksum in it is zero: all ones, when something went in. */
static inline bool fast_zero(uint64_t sum)
{
	const uint32_t half = (uint32_t)((sum + (sum >> 32 | sum << 32)) >> 32);

	return half + (half >> 16 | half << 16) >= 0xFFFF0000;
}

/* What the short way found; the frame's key too, in registers. FAST_NO: ask another way. */
enum fast { FAST_NO, FAST_CHANNEL, FAST_PEER, FAST_SEND };

#define FAST_INLINE static inline __attribute__((always_inline))

/* The words of a key. FAST_PEER: which entry of the port table. */
struct fast_key {
	uint64_t w0, w1, w2;
	uint32_t entry;
};

FAST_INLINE uint64_t fast_hash(const struct flow_table *t, const struct fast_key *k)
{
	return flow_hash_words(t, k->w0, k->w1, k->w2);
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

/* To where it is read again: word by word, as it was made. */
FAST_INLINE void fast_keep(struct parsed *out, const struct fast_key *k)
{
	memcpy(out->key.ip, &k->w0, 8);
	memcpy(out->key.ip + 8, &k->w1, 8);
	memcpy(&out->key.port, &k->w2, 8);
}

/* What is where, of UDP at `at` with `n` octets in it. */
FAST_INLINE void fast_place(struct parsed *out, enum path path, unsigned family, uint32_t at,
                            uint32_t n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	out->head = (path | family << 8 | (uint64_t)at << 32) | (uint64_t)n << 48;
#else
	out->path = path;
	out->family = (uint8_t)family;
	out->udp_at = (uint16_t)at;
	out->payload = (uint16_t)n;
#endif
}

/* Two octets in network order, and two more behind them, as one number. */
FAST_INLINE uint32_t fast_be32(const uint8_t *p)
{
	return __builtin_bswap32(fast_load32(p));
}

/*
 * A Send indication of XOR-PEER-ADDRESS and DATA, in that order, and no more: RFC 8656 §11.1 as
 * clients write it. `n` octets at `p`, at offset `at` of the frame. Returns the kind of the
 * allocation it is for, or 0: it is something else.
 */
FAST_INLINE unsigned fast_send(const uint8_t *p, uint32_t n, uint32_t at, struct parsed *out)
{
	/* Type and cookie together; the length stands between them. */
	if (n < 36 ||
	    (fast_load64(p) & UINT64_C(0xFFFFFFFF0000FFFF)) != UINT64_C(0x42A4122100001600) ||
	    be16_load(p + 2) != n - STUN_HDR_LEN || n % 4 != 0)
		return 0;
	const uint64_t peer = fast_load64(p + 20);
	const bool four = (peer & UINT64_C(0xFF00FFFFFFFF)) == UINT64_C(0x010008001200);
	const bool six = (peer & UINT64_C(0xFF00FFFFFFFF)) == UINT64_C(0x020014001200);
	const uint32_t data = STUN_HDR_LEN + (four ? 12 : 24);

	if (!(four || six) || peer >> 48 == 0x1221 || n < data + 4)
		return 0;
	const uint32_t attr = fast_be32(p + data), len = attr & 0xFFFF;

	if (attr >> 16 != TURN_DATA_ATTR || data + 4 + pad4(len) != n)
		return 0;
	out->dont_fragment = false;
	out->peer_at = at + 24;
	out->data_at = at + data + 4;
	out->data_len = len;
	return four ? FLOW_ALLOCATION4 : FLOW_ALLOCATION6;
}

/*
 * What came to a listener: `n` octets of payload behind the UDP header at `at`. `tail` is a
 * channel's, port and number left out.
 */
FAST_INLINE enum fast fast_listener(const uint8_t *f, const unsigned family, const uint32_t at,
                                    uint32_t n, unsigned channel_mask, uint16_t listener,
                                    uint64_t tail, struct parsed *out, struct fast_key *k)
{
	const uint32_t word = fast_load32(f + at + 8); /* number and length, of a channel */

	out->local = listener;
	if ((word & channel_mask) == 0x40) {
		const uint32_t data = __builtin_bswap32(word) & 0xFFFF;

		if ((int32_t)data > (int32_t)n - 4)
			return FAST_NO;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		k->w2 = tail | (word << 16) | fast_load16(f + at);
#else
		k->w2 = tail | flow_key_tail(fast_load16(f + at), fast_load16(f + at + 8), 0, 0);
#endif
		fast_keep(out, k);
		fast_place(out, PATH_CHANNEL, family, at, n);
		out->data_at = at + 12;
		out->data_len = data;
		return FAST_CHANNEL;
	}
	const unsigned kind = fast_send(f + at + 8, n, at + 8, out);

	if (kind == 0)
		return FAST_NO;
	k->w2 = flow_key_tail(fast_load16(f + at), 0, listener, (uint16_t)kind);
	fast_keep(out, k);
	fast_place(out, PATH_SEND, family, at, n);
	return FAST_SEND;
}

/* What came to a relayed port. */
FAST_INLINE enum fast fast_peer(const uint8_t *f, const unsigned family, const uint32_t at,
                                uint32_t n, uint16_t relay, uint32_t port, struct parsed *out,
                                struct fast_key *k)
{
	if ((int32_t)n < 0)
		return FAST_NO;
	k->w2 = fast_load32(f + at); /* peer's port, relayed port */
	fast_keep(out, k);
	fast_place(out, PATH_PEER, family, at, n);
	k->entry = (uint32_t)relay << 16 | port;
	out->local = relay;
	out->data_at = at + 8;
	out->data_len = n;
	return FAST_PEER;
}

/*
 * The first 32 octets of a frame to our MAC, IPv4 without options, not a fragment, UDP: made once,
 * compared under a mask.
 */
struct fast_frame4 {
	alignas(32) uint8_t octets[32], mask[32];
};

static inline void fast_want4(struct fast_frame4 *want, uint64_t mac)
{
	memset(want, 0, sizeof(*want));
	memcpy(want->octets, &mac, 6);
	memset(want->mask, 0xFF, 6);
	want->octets[12] = 0x08; /* Ethernet type */
	want->octets[14] = 0x45;
	memset(want->mask + 12, 0xFF, 3);
	want->mask[20] = 0x3F; /* offset and "more" */
	want->mask[21] = 0xFF;
	want->octets[23] = 17;
	want->mask[23] = 0xFF;
}

FAST_INLINE bool fast_is4(const uint8_t *f, const struct fast_frame4 *want)
{
#if defined(__AVX2__)
	const __m256i head = _mm256_loadu_si256((const __m256i *)(const void *)f);
	const __m256i octets = _mm256_load_si256((const __m256i *)(const void *)want->octets);

	return _mm256_testz_si256(_mm256_xor_si256(head, octets),
	                          _mm256_load_si256((const __m256i *)(const void *)want->mask));
#else
	uint64_t other = 0;

	for (unsigned i = 0; i < 24; i += 8)
		other |= (fast_load64(f + i) ^ fast_load64(want->octets + i)) &
		         fast_load64(want->mask + i);
	return other == 0;
#endif
}

/* The sum of an IPv4 header without options, carries and all. */
FAST_INLINE uint64_t fast_sum20(const uint8_t *p)
{
	uint64_t sum = fast_load64(p);
	const uint64_t second = fast_load64(p + 8), third = fast_load32(p + 16);

#if defined(__x86_64__)
	__asm__("addq %1, %0\n\tadcq %2, %0\n\tadcq $0, %0"
	        : "+r"(sum)
	        : "rm"(second), "r"(third)
	        : "cc");
#else
	sum += second;
	sum += sum < second;
	sum += third;
	sum += sum < third;
#endif
	return sum;
}

/* 46 octets can be read at `f`, however many the frame has: it is checked that it has them. */
FAST_INLINE enum fast fast_ip4(const struct local_table *t, const uint8_t *f, uint32_t len,
                               const struct fast_frame4 *want, unsigned channel_mask,
                               struct parsed *out, struct fast_key *k)
{
	if (!fast_is4(f, want))
		return FAST_NO;
	const uint32_t total = fast_be32(f + 14) & 0xFFFF;
	const uint32_t udp_len = fast_be32(f + 38) >> 16;
	const uint32_t src = fast_load32(f + 26), dst = fast_load32(f + 30);

	/* Nothing behind the datagram in the packet. */
	if (total + 14 > len || total != udp_len + 20 || local_odd4(t, src) ||
	    fast_load16(f + 34) == 0 || !fast_zero(fast_sum20(f + 14)))
		return FAST_NO;
	const struct local_own4 *const own = &t->own4[t->home4[local_home4(t, dst)]];
	const uint32_t dport = fast_load16(f + 36);

	if (own->ip != dst)
		return FAST_NO;
	k->w0 = 0;
	k->w1 = addr_word4(src);
	if (dport == own->listen)
		return fast_listener(f, 4, 34, udp_len - 8, channel_mask, own->listener, own->tail,
		                     out, k);
	const uint32_t port = __builtin_bswap32(dport) >> 16;

	if (port - own->port_min > own->port_span)
		return FAST_NO;
	return fast_peer(f, 4, 34, udp_len - 8, own->relay, port, out, k);
}

FAST_INLINE enum fast fast_ip6(const struct local_table *t, const uint8_t *f, uint32_t len,
                               uint64_t mac, unsigned channel_mask, struct parsed *out,
                               struct fast_key *k)
{
	if (len < 66 || (fast_load64(f) ^ mac) << 16 != 0 ||
	    (fast_load32(f + 12) & 0xF0FFFF) != 0x60DD86)
		return FAST_NO;
	const uint32_t payload = be16_load(f + 18);
	const uint64_t high = fast_load64(f + 38);

	k->w0 = fast_load64(f + 22);
	k->w1 = fast_load64(f + 30);
	/* An address that begins with zeros or is multicast is looked at closely elsewhere. */
	if (f[20] != 17 || payload > len - 54 || payload < 12 || payload != be16_load(f + 58) ||
	    k->w0 == 0 || f[22] == 0xFF || fast_load16(f + 60) == 0 || high == 0 ||
	    fast_load16(f + 54) == 0)
		return FAST_NO;
	const struct local_slot *const s = fast_slot(t, high, fast_load64(f + 46));

	if (!s || local_may_hold(t, local_home(k->w0, k->w1)))
		return FAST_NO;
	const uint32_t port = __builtin_bswap16(fast_load16(f + 56));

	if (port - s->port_min <= (uint32_t)(s->port_max - s->port_min)) {
		if (s->relay == LOCAL_NONE)
			return FAST_NO;
		return fast_peer(f, 6, 54, payload - 8, s->relay, port, out, k);
	}
	if (s->listener[0] == LOCAL_NONE || s->port[0] != port)
		return FAST_NO;
	return fast_listener(f, 6, 54, payload - 8, channel_mask, s->listener[0],
	                     flow_key_tail(0, 0, s->listener[0], FLOW_CHANNEL), out, k);
}

/*
 * `mac` is ours in the low six octets, `channel_mask` what tells ChannelData by its first octet:
 * 0xF0, or 0xC0 with RFC 5766's numbers. false: ask classify().
 */
FAST_INLINE bool classify_fast(const struct local_table *t, const uint8_t *f, uint32_t len,
                               uint64_t mac, unsigned channel_mask, struct parsed *out)
{
	struct fast_frame4 want;
	struct fast_key k;

	fast_want4(&want, mac);
	return (len >= 46 && fast_ip4(t, f, len, &want, channel_mask, out, &k) != FAST_NO) ||
	       fast_ip6(t, f, len, mac, channel_mask, out, &k) != FAST_NO;
}
