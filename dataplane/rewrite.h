/*
 * A relayed frame rewritten in place: the headers of one leg become those of the other, the data
 * stays where it is. Checksums are updated, never recomputed over the data (RFC 1624; DEMUX-070 to
 * DEMUX-077), so that a wrong one stays wrong; header fields follow TURN-127 to TURN-148.
 *
 * The function is one, and inline: called with constants for families and wraps it becomes the
 * straight code of that case, called with variables it is the general one (hairpin).
 *
 * Threads    A worker, with its own frames.
 */
#pragma once

#include <rte_mbuf.h>

#include "dataplane/adjacency.h"
#include "dataplane/classify_fast.h"
#include "dataplane/flow_table.h"
#include "dataplane/worker.h"
#include "wire/checksum.h"
#include "wire/turn.h"

/* How the data is wrapped on a leg. */
enum wrap { WRAP_NONE, WRAP_CHANNEL, WRAP_INDICATION };

enum {
	REWRITE_ETH = 14,
	REWRITE_UDP = 8,
	REWRITE_DF = 0x40,
	REWRITE_SEND4 = 36, /* what stands before the data of an IPv4 peer, as clients write it */
	REWRITE_MIN_MTU6 = 1280,
	REWRITE_DF0_MAX =
		1260, /* IPv6 to IPv4: at most this long, and a router may cut it (TURN-142) */
};

/* The leg that leaves. */
struct leg {
	const uint8_t *src, *dst; /* 16-octet forms; never inside the frame */
	union {
		struct {
			uint16_t sport, dport; /* network order */
		};
		uint32_t ports; /* both, as they lie in the header */
	};
	const uint8_t *ports_at; /* where to read them, late; NULL: above */
	uint32_t channel;        /* WRAP_CHANNEL: network order */
	uint32_t peer_port;      /* WRAP_INDICATION: network order */
	const uint8_t *peer;     /* WRAP_INDICATION: 16-octet form */
	/* Where the ready part of the checksum change is: addresses, ports and channel number of
	 * both legs. */
	const uint16_t *delta;
};

enum rewrite_result {
	REWRITE_OK,
	REWRITE_TTL,  /* used up, IPv4 to IPv4 */
	REWRITE_SLOW, /* too big for the next hop, or an error is due to the sender: slow.c */
};

static inline unsigned rewrite_ip_len(bool six)
{
	return six ? 40 : 20;
}

/* Octets in front of the data. */
static inline unsigned rewrite_wrap_len(enum wrap wrap, bool peer6)
{
	switch (wrap) {
	case WRAP_CHANNEL: return CHANNEL_HDR_LEN;
	case WRAP_INDICATION: return peer6 ? 48 : 36;
	default: return 0;
	}
}

/* Words of a field of 2 octets, as they lie, of a number in host order. */
static inline uint16_t rewrite_be(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint64_t rewrite_add16(uint64_t sum, const uint8_t *ip)
{
	uint32_t w[4];

	memcpy(w, ip, sizeof(w));
	return sum + w[0] + w[1] + w[2] + w[3];
}

/* The complements of 16 octets. */
static inline uint64_t rewrite_sub16(uint64_t sum, const uint8_t *ip)
{
	return sum + UINT64_C(0x3FFFFFFFC) - rewrite_add16(0, ip);
}

static inline uint32_t rewrite_load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline uint64_t rewrite_load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline uint32_t rewrite_ports(const struct leg *leg)
{
	return leg->ports_at ? rewrite_load32(leg->ports_at) : leg->ports;
}

/*
 * The change that comes of addresses and ports, where no row has it ready: what the frame holds
 * away, the leg's own in. `ip` and `udp` are the headers that came.
 */
static inline uint64_t rewrite_legs(const uint8_t *ip, const uint8_t *udp, bool in6, bool out6,
                                    const struct leg *leg)
{
	uint64_t sum = rewrite_ports(leg);

	sum += (uint32_t)~rewrite_load32(udp); /* both ports */
	if (in6)
		sum = rewrite_sub16(rewrite_sub16(sum, ip + 8), ip + 24);
	else
		sum += (uint64_t)(uint32_t)~rewrite_load32(ip + 12) +
		       (uint32_t)~rewrite_load32(ip + 16);
	if (out6)
		return rewrite_add16(rewrite_add16(sum, leg->src), leg->dst);
	return sum + rewrite_load32(leg->src + 12) + rewrite_load32(leg->dst + 12);
}

/* The complements of REWRITE_SEND4 octets. */
static inline uint64_t rewrite_sub_send4(uint64_t sum, const uint8_t *p)
{
	uint32_t w[REWRITE_SEND4 / 4];

	memcpy(w, p, sizeof(w));
	return sum + 9 * UINT64_C(0xFFFFFFFF) -
	       ((uint64_t)w[0] + w[1] + w[2] + w[3] + w[4] + w[5] + w[6] + w[7] + w[8]);
}

/* The same for every packet of a flow, and not to be guessed (TURN-137). */
static inline uint32_t rewrite_flow_label(uint64_t secret, const struct leg *leg)
{
	const uint64_t a = rewrite_load64(leg->src) ^ rewrite_load64(leg->dst + 8);
	const uint64_t b = rewrite_load64(leg->src + 8) ^ rewrite_load64(leg->dst);
	const uint64_t h = flow_fold(flow_fold(a ^ secret, b ^ UINT64_C(0x9E3779B97F4A7C15)) ^
	                                     rewrite_ports(leg),
	                             secret | 1);

	return (uint32_t)(h >> 44);
}

/* A sum to 32 bits: the rotated copy adds each half to the other, and the carry. */
static inline uint32_t rewrite_half(uint64_t sum)
{
	return (uint32_t)((sum + (sum >> 32 | sum << 32)) >> 32);
}

/* The same to 16 bits, which are the upper ones. */
static inline uint32_t rewrite_fold(uint32_t half)
{
	return half + (half >> 16 | half << 16);
}

/* One more word, its carry taken back in. */
static inline uint32_t rewrite_carry(uint32_t sum, uint32_t word)
{
#if defined(__x86_64__)
	__asm__("addl %1, %0\n\tadcl $0, %0" : "+r"(sum) : "rm"(word) : "cc");
	return sum;
#else
	sum += word;
	return sum + (sum < word);
#endif
}

/* Five words. */
static inline uint32_t rewrite_carry5(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
#if defined(__x86_64__)
	__asm__("addl %1, %0\n\tadcl %2, %0\n\tadcl %3, %0\n\tadcl %4, %0\n\tadcl $0, %0"
	        : "+r"(a)
	        : "r"(b), "r"(c), "r"(d), "r"(e)
	        : "cc");
	return a;
#else
	return rewrite_half((uint64_t)a + b + c + d + e);
#endif
}

/* Keeps the compiler from computing both ways where one is as good as never taken. */
#define REWRITE_SELDOM(cond)             \
	(__builtin_expect(cond, 0) && ({ \
		 __asm__ volatile("");   \
		 1;                      \
	 }))

/*
 * `first` is version, header length and TOS as they lie, `frag` the flags likewise. The sum ends in
 * the upper half of its word, next to the TTL: see rewrite_fold().
 */
static inline void rewrite_put_ip4(uint8_t *ip, uint32_t first, uint32_t frag, uint32_t ttl_proto,
                                   uint32_t total, uint16_t id, uint32_t src, uint32_t dst)
{
	const uint32_t w0 = first | __builtin_bswap32(total);
	const uint32_t w1 = frag | id;
	const uint32_t sum = rewrite_carry5(w0, w1, ttl_proto, src, dst);
	const uint32_t w2 = (~rewrite_fold(sum) & 0xFFFF0000) | ttl_proto;

	memcpy(ip, &w0, 4);
	memcpy(ip + 4, &w1, 4);
	memcpy(ip + 8, &w2, 4);
	memcpy(ip + 12, &src, 4);
	memcpy(ip + 16, &dst, 4);
}

static inline void rewrite_put_ip6(uint8_t *ip, uint32_t tos, uint32_t ttl, uint16_t payload,
                                   uint32_t label, const struct leg *leg)
{
	be32_store(ip, 6u << 28 | tos << 20 | label);
	be32_store(ip + 4, (uint32_t)payload << 16 | 17u << 8 | ttl);
	memcpy(ip + 8, leg->src, 16);
	memcpy(ip + 24, leg->dst, 16);
}

/* Stores a word and adds it up. */
static inline uint64_t rewrite_put64(uint8_t *p, uint64_t word, uint64_t sum)
{
	memcpy(p, &word, 8);
	return sum + (word & 0xFFFFFFFF) + (word >> 32);
}

static inline uint64_t rewrite_put32(uint8_t *p, uint32_t word, uint64_t sum)
{
	memcpy(p, &word, 4);
	return sum + word;
}

/*
 * A Data indication's header and attributes up to the data (RFC 8656 §11.3). Returns their sum, of
 * words: reading back what was just written in pieces is slow.
 */
static inline __attribute__((always_inline)) uint64_t rewrite_put_data(struct worker *w, uint8_t *p,
                                                                       const bool peer6,
                                                                       uint32_t data_len,
                                                                       const struct leg *leg)
{
	const uint32_t xor_len = peer6 ? 20 : 8, rest = peer6 ? 44 : 32;
	const uint32_t cookie = __builtin_bswap32(STUN_COOKIE);
	uint8_t drawn[STUN_TXID_LEN];
	const uint8_t *fresh = drawn;

	if (__builtin_expect(w->random_left >= STUN_TXID_LEN, 1))
		fresh = w->random + (w->random_left -= STUN_TXID_LEN);
	else
		worker_random(w, drawn, STUN_TXID_LEN);
	const uint64_t id = rewrite_load64(fresh);
	const uint32_t id2 = rewrite_load32(fresh + 8);
	const uint32_t first =
		0x1700u | __builtin_bswap32(8 + xor_len + ((data_len + 3) & ~UINT32_C(3)));
	const uint32_t attr = 0x1200u | __builtin_bswap32(xor_len);
	const uint32_t at = (uint32_t)(peer6 ? TURN_FAMILY_IPV6 : TURN_FAMILY_IPV4) << 8 |
	                    (leg->peer_port ^ cookie) << 16;
	const uint32_t data = 0x1300u | __builtin_bswap32(data_len);

	memcpy(p, &first, 4);
	memcpy(p + 4, &cookie, 4);
	memcpy(p + 8, &id, 8);
	memcpy(p + 16, &id2, 4);
	memcpy(p + 20, &attr, 4);
	memcpy(p + 24, &at, 4);
	memcpy(p + rest, &data, 4);
	uint64_t sum =
		(uint64_t)first + cookie + (uint32_t)id + (id >> 32) + id2 + attr + at + data;

	if (peer6) {
		sum = rewrite_put64(p + 28, rewrite_load64(leg->peer) ^ (cookie | id << 32), sum);
		return rewrite_put64(
			p + 36, rewrite_load64(leg->peer + 8) ^ (id >> 32 | (uint64_t)id2 << 32),
			sum);
	}
	return rewrite_put32(p + 28, rewrite_load32(leg->peer + 12) ^ cookie, sum);
}

/* MACs and type. Returns the neighbour's state; without RESOLVED the MACs are not yet right. */
static inline unsigned rewrite_put_eth(uint8_t *eth, const struct adjacency *a, bool six)
{
	const uint64_t to = atomic_load_explicit(&a->mac_state, memory_order_acquire);
	const uint64_t from = rewrite_load64(a->src_mac);
	const uint16_t type = six ? 0xDD86 : 0x0008;

	memcpy(eth, &to, 8);
	memcpy(eth + 6, &from, 8);
	memcpy(eth + 12, &type, 2);
	return (unsigned)(to >> 48);
}

/* What was behind the data goes away: apart so that the rest keeps its registers. */
static __attribute__((noinline, unused)) uint64_t rewrite_trail(uint64_t sum, const uint8_t *trail,
                                                                uint32_t len, uint32_t at)
{
	return csum_sub_at(sum, trail, len, at);
}

/*
 * The rewrite. On REWRITE_OK the frame is the one that leaves, *state that of its next hop; on
 * anything else it is untouched. `peer6`: of leg->peer. `ready`: leg->delta holds. The frame has
 * neither options nor extension headers: classify() sees to that.
 */
static inline __attribute__((always_inline)) enum rewrite_result
rewrite(struct worker *w, struct rte_mbuf *m, const struct parsed *p, const bool in6,
        const bool out6, const enum wrap in, const enum wrap out, const bool peer6,
        const bool ready, const struct leg *leg, const struct adjacency *a, unsigned *state)
{
	uint8_t *const frame = rte_pktmbuf_mtod(m, uint8_t *);
	const uint8_t *const ip = frame + REWRITE_ETH;
	const uint32_t udp_at = REWRITE_ETH + rewrite_ip_len(in6), body = udp_at + REWRITE_UDP;
	const uint8_t *const udp = frame + udp_at;
	const uint32_t data_at = in == WRAP_NONE      ? body
	                         : in == WRAP_CHANNEL ? body + CHANNEL_HDR_LEN
	                                              : p->data_at;
	const uint32_t data_len = p->data_len;
	const uint32_t wrap_len = rewrite_wrap_len(out, peer6);
	const uint32_t pad = out == WRAP_INDICATION ? -data_len & 3 : 0;
	const uint32_t udp_len = REWRITE_UDP + wrap_len + data_len + pad;
	const uint32_t ip_len = rewrite_ip_len(out6) + udp_len;
	/* Where the new frame begins, from the old one. */
	const int32_t start = (int32_t)data_at - (int32_t)(wrap_len + REWRITE_UDP + REWRITE_ETH +
	                                                   rewrite_ip_len(out6));
	uint32_t limit = a->mtu;

	if (!in6 && out6 && limit > w->dp->cfg->fragment_mtu && !(ip[6] & REWRITE_DF))
		limit = w->dp->cfg->fragment_mtu; /* TURN-141 */
	if (__builtin_expect(ip_len > limit, 0))
		return REWRITE_SLOW;
	if (start < 0 && __builtin_expect((int32_t)m->data_off + start < 0, 0))
		return REWRITE_SLOW;
	if (out == WRAP_INDICATION &&
	    (uint32_t)((int32_t)m->data_off + start) + REWRITE_ETH + ip_len > m->buf_len)
		return REWRITE_SLOW;

	/* Everything that goes away is read before anything is written: first what the sums need.
	 */
	const uint32_t old = fast_wide16(udp + 6);
	const uint32_t head = data_at - body; /* in front of the data */
	uint64_t sum = ready ? *leg->delta : rewrite_legs(ip, udp, in6, out6, leg);

	/*
	 * Lengths, all in one number: UDP's counts twice, ChannelData's once. Four times 65,535 is
	 * nothing here and keeps it positive; swapped as one word its halves are swapped each.
	 */
	uint32_t lengths = 4 * 0xFFFF + 2 * (wrap_len + pad - head);

	if (in == WRAP_CHANNEL && ready) /* the number is in the delta */
		lengths -= data_len;
	else if (in == WRAP_INDICATION && head == REWRITE_SEND4)
		sum = rewrite_sub_send4(sum, frame + body);
	else if (in != WRAP_NONE)
		sum = csum_sub(sum, frame + body, head);
	if (out == WRAP_CHANNEL && ready)
		lengths += data_len;
	if (in != WRAP_NONE && __builtin_expect(p->payload != head + data_len, 0)) {
		const uint32_t trail = p->payload - head - data_len;

		lengths -= 2 * trail;
		sum = rewrite_half(rewrite_trail(sum, frame + data_at + data_len, trail, data_len));
	}
	uint32_t ttl = in6 ? ip[7] : ip[8];

	if (!in6 && !out6 && __builtin_expect(w->keep_ttl, 0))
		ttl = 65;
	if (__builtin_expect(ttl <= 1, 0))
		return in6 || out6 ? REWRITE_SLOW : REWRITE_TTL; /* TURN-134, TURN-135 */
	ttl--;
	/* As they lie in an IPv4 header, version and header length before TOS. */
	const uint32_t tos = !in6    ? fast_load16(ip)
	                     : !out6 ? 0x45u | (uint32_t)(uint8_t)(be16_load(ip) >> 4) << 8
	                             : (uint32_t)(uint8_t)(be16_load(ip) >> 4) << 8;
	uint32_t frag = 0;

	if (!in6 && !out6) {
		frag = rewrite_load32(ip + 4) & REWRITE_DF << 16;
		if (in == WRAP_INDICATION && p->dont_fragment)
			frag = REWRITE_DF << 16; /* TURN-131 */
	} else if (in6 && !out6) {
		frag = ip_len > REWRITE_DF0_MAX ? REWRITE_DF << 16 : 0; /* TURN-142 */
	}

	uint8_t *const eth = frame + start;
	uint8_t *const new_ip = eth + REWRITE_ETH;
	uint8_t *const new_udp = new_ip + rewrite_ip_len(out6);
	uint8_t *const wrap = new_udp + REWRITE_UDP;

	if (out6)
		rewrite_put_ip6(new_ip, tos >> 8, ttl, (uint16_t)udp_len,
		                rewrite_flow_label(w->secret, leg), leg);
	else
		rewrite_put_ip4(new_ip, tos, frag, ttl | 17u << 8, ip_len, w->ip_id++,
		                rewrite_load32(leg->src + 12), rewrite_load32(leg->dst + 12));
	if (out == WRAP_CHANNEL) {
		const uint32_t word = leg->channel | __builtin_bswap32(data_len);

		memcpy(wrap, &word, 4);
		if (!ready)
			sum += word;
	} else if (out == WRAP_INDICATION) {
		sum += rewrite_put_data(w, wrap, peer6, data_len, leg);
		for (unsigned i = 0; i < pad; i++)
			wrap[wrap_len + data_len + i] = 0;
	}
	/* A ready change and the sum that was have room for a carry. */
	const uint32_t gone = old ^ 0xFFFF;
	const uint32_t change =
		ready ? rewrite_carry((uint32_t)sum, gone) : rewrite_half(sum + gone);
	uint32_t udp_sum =
		~rewrite_fold(rewrite_carry(change, __builtin_bswap32(lengths))) & 0xFFFF0000;

	/* UDP's sum is never 0, unless there is none. */
	if (REWRITE_SELDOM(udp_sum == 0))
		udp_sum = 0xFFFF0000;
	if (REWRITE_SELDOM(old == 0))
		udp_sum = 0;
	const uint32_t ports = rewrite_ports(leg);
	const uint32_t udp_word = udp_sum | __builtin_bswap32(udp_len) >> 16;

	memcpy(new_udp, &ports, 4);
	memcpy(new_udp + 4, &udp_word, 4);
	if (!in6 && out6 && __builtin_expect(old == 0, 0)) /* DEMUX-073 */
		csum_store(new_udp + 6,
		           csum_udp(leg->src, leg->dst, 16, new_udp, (uint16_t)udp_len));
	*state = rewrite_put_eth(eth, a, out6);
	m->data_off = (uint16_t)((int32_t)m->data_off + start);
	m->pkt_len = REWRITE_ETH + ip_len;
	m->data_len = (uint16_t)m->pkt_len;
	m->ol_flags = 0;
	return REWRITE_OK;
}
