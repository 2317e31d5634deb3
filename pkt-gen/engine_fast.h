/*
 * The short way for the frames that are nearly all of the load: plain UDP and ChannelData over
 * IPv4. Receiving, it accepts or declines: what it accepts is whole and where it belongs, what it
 * declines engine_hot.c judges the long way, which accepts it alike (tested).
 */
#pragma once

#include "pkt-gen/engine_parts.h"

/* The two builds of each, with and without payload checks, are straight code. */
#define INLINE inline __attribute__((always_inline))

static inline uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline void store64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

enum { FAST_UDP = 34, FAST_BODY = 42 };

/* The line of the stream that a frame seems to be of, on its way; any frame of a stamp's length. */
static INLINE void fast_fetch(const struct streams *all, const uint8_t *f)
{
	const uint32_t at = load32(f + FAST_BODY) == all->run ? FAST_BODY + 4 : FAST_BODY + 8;
	const uint32_t stream = load32(f + at);

	if (stream < all->n)
		__builtin_prefetch(&all->in[stream], 1, 3);
}

/* IPv4 and UDP checksums of a frame whose payload sums up to `sum`; "none" is right. */
static INLINE bool fast_sums(const uint8_t *f, uint32_t udp_len, uint32_t wrap, uint64_t sum)
{
	const uint64_t a = load64(f + 14), b = load64(f + 22), addresses = load64(f + 26);
	const uint64_t udp = load64(f + FAST_UDP);
	const uint64_t ip = stamp_add(stamp_add(a, b), load32(f + 30));

	sum = stamp_add(sum, addresses);
	sum = stamp_add(sum, udp);
	sum = stamp_add(sum, (uint64_t)wrap + __builtin_bswap16((uint16_t)udp_len) + 0x1100);
	return stamp_fold(ip) == 0xFFFF && (stamp_fold(sum) == 0xFFFF || udp >> 48 == 0);
}

/* What was accepted. */
struct fast {
	struct heard *heard;
	uint64_t due;
	uint32_t seq, len;
};

/* false: declined. `len` is at least that of headers and a stamp. */
static INLINE bool fast_accept(const struct streams *all, const uint8_t *f, uint32_t len,
                               uint64_t reset_at, const bool check, struct fast *out)
{
	const uint64_t mid = load64(f + 16); /* length, id, fragment, TTL, protocol */
	const uint32_t word = load32(f + FAST_BODY), udp_len = __builtin_bswap16(load16(f + 38));
	const bool plain = word == all->run;
	const uint32_t wrap = plain ? 0 : word, n = udp_len - 8 - (plain ? 0 : 4);
	const uint8_t *const p = f + FAST_BODY + (plain ? 0 : 4);
	const uint32_t total = __builtin_bswap16((uint16_t)mid);

	if ((load32(f + 12) & 0xFFFFFF) != 0x450008 ||
	    (mid & UINT64_C(0xFF00FF3F00000000)) != UINT64_C(0x1100000000000000) ||
	    total != udp_len + 20 || total + 14 > len || (int32_t)n < STAMP_LEN ||
	    n > STAMP_PAYLOAD_MAX)
		return false;
	/* ChannelData without padding: its length is the rest. */
	const uint32_t told = plain ? 0 : (wrap >> 16) ^ __builtin_bswap16((uint16_t)n);
	const uint64_t word0 = load64(p), word1 = load64(p + 8), due = load64(p + 16);
	const uint32_t stream = (uint32_t)(word0 >> 32), seq = (uint32_t)word1;

	if (told | ((uint32_t)word0 ^ all->run) || stream >= all->n ||
	    (int64_t)(due - reset_at) < 0)
		return false;
	struct heard *const h = &all->in[stream];
	const uint64_t here =
		(load64(f + 30) & UINT64_C(0xFFFF0000FFFFFFFF)) | (uint64_t)(wrap & 0xFFFF) << 32;

	if (here != h->quick)
		return false;
	if (check) {
		const uint32_t slice = stamp_slice(stream, seq), body = n - STAMP_LEN;
		const uint32_t body_sum = stamp_body_sum(slice, body);
		const uint32_t sum = stamp_sum(word0, seq, due, n, body_sum);
		const uint64_t all_of_it =
			stamp_add(stamp_add(stamp_add(word0, word1), due), body_sum);

		if (sum != (uint32_t)(word1 >> 32) || !fast_sums(f, udp_len, wrap, all_of_it) ||
		    !stamp_same(p + STAMP_LEN, stamp_pattern + slice, body))
			return false;
	}
	*out = (struct fast){ h, due, seq, n };
	return true;
}

/* Writes the frame of a stream that leaves as plain UDP or ChannelData over IPv4. Its octets. */
static INLINE uint32_t fast_make(uint8_t *f, const struct stream *s, uint32_t seq, uint32_t run,
                                 uint32_t index, uint32_t len, uint64_t due, const bool check)
{
	typedef uint64_t wide __attribute__((vector_size(16), aligned(1), may_alias));
	const uint32_t head = s->head_len, udp_len = head - FAST_UDP + len;
	const uint16_t be_udp = __builtin_bswap16((uint16_t)udp_len);
	const uint16_t be_len = __builtin_bswap16((uint16_t)len);
	const uint16_t total = __builtin_bswap16((uint16_t)(udp_len + 20));
	const uint32_t ip = (uint32_t)s->ip_sum + total;
	const uint16_t ip_sum = (uint16_t) ~(uint16_t)(ip + (ip >> 16));
	uint16_t udp_sum = 0;

	for (unsigned i = 0; i < 48; i += 16)
		*(wide *)(f + i) = *(const wide *)(s->head + i);
	memcpy(f + 16, &total, 2);
	memcpy(f + 24, &ip_sum, 2);
	memcpy(f + FAST_UDP + 4, &be_udp, 2);
	/* ChannelData's length; of plain UDP the same octets are the checksum, below. */
	memcpy(f + head - 2, &be_len, 2);
	if (check) {
		const uint64_t payload = stamp_make(f + head, len, run, index, seq, due);
		const uint64_t sum =
			stamp_add(payload, (uint64_t)s->sum + 2u * be_udp + (s->wrap ? be_len : 0));

		udp_sum = (uint16_t)~stamp_fold(sum);
		udp_sum = udp_sum ? udp_sum : 0xFFFF;
	} else {
		store64(f + head, run | (uint64_t)index << 32);
		store64(f + head + 8, seq);
		store64(f + head + 16, due);
	}
	memcpy(f + FAST_UDP + 6, &udp_sum, 2);
	return head + len;
}
