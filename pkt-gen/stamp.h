/*
 * What every payload carries: who sent it, which one it is, when it was meant to leave, and a sum
 * over all of it. Whoever holds a payload can say whether it is ours, whole, and where it belongs.
 *
 * Layout     The first STAMP_LEN octets of a payload, host order: only the process that wrote it
 *            reads it. Payloads are never shorter.
 * Body       What follows is a slice of one fixed pattern; which slice depends on stream and
 *            number. So the receiver knows every octet that ought to be there: it compares, and
 *            finds any change whatever, and what sums of the body are needed (stamp, UDP) come
 *            from a table and not from a pass over it.
 * Threads    stamp_prepare(): once, main. The rest are pure functions of the pattern.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	STAMP_LEN = 24,
	STAMP_PAYLOAD_MAX = 9000,
	STAMP_SLICES = 64,   /* of the pattern, two octets apart */
	STAMP_OVERRUN = 128, /* octets behind a slice that may be read, and are copied */
#ifdef __AVX512BW__
	STAMP_WIDE = 64, /* octets compared at once */
#else
	STAMP_WIDE = 32,
#endif
};

struct stamp {
	uint32_t run;    /* drawn at start, so that frames of an earlier run are strangers */
	uint32_t stream; /* index of the stream, stream.h */
	uint32_t seq;    /* counts from 0 in every trial */
	uint32_t sum;    /* over the whole payload, this field taken as zero */
	uint64_t due;    /* TSC when it was meant to leave, whenever it did (open loop) */
};
static_assert(sizeof(struct stamp) == STAMP_LEN, "");

enum { STAMP_PATTERN_LEN = STAMP_PAYLOAD_MAX + 2 * STAMP_SLICES + STAMP_OVERRUN };

extern uint8_t stamp_pattern[STAMP_PATTERN_LEN];
/* One's complement sum of the words before: at [i] of octets 0 .. 2i - 1, not folded. */
extern uint32_t stamp_prefix[STAMP_PATTERN_LEN / 2 + 1];

void stamp_prepare(void);
/* Of a run: no payload that begins with it is ChannelData or STUN (first octet from 128). */
uint32_t stamp_run(uint64_t random);

/* Where in the pattern the body of a payload begins: even. */
static inline uint32_t stamp_slice(uint32_t stream, uint32_t seq)
{
	return (stream ^ seq) % STAMP_SLICES * 2;
}

/* One's complement sum, as in wire/checksum.h, of n octets of the body at `slice`. */
static inline uint32_t stamp_body_sum(uint32_t slice, uint32_t n)
{
	const uint32_t end = slice + n;
	const uint32_t odd = n % 2 ? stamp_pattern[end - 1] : 0;

	return stamp_prefix[end / 2] - stamp_prefix[slice / 2] + odd;
}

static inline uint32_t stamp_mix(uint32_t sum, uint64_t word)
{
#ifdef __SSE4_2__
	return (uint32_t)__builtin_ia32_crc32di(sum, word);
#else
	const __uint128_t wide = (__uint128_t)(word ^ sum ^ UINT64_C(0x9E3779B97F4A7C15)) *
	                         UINT64_C(0xD6E8FEB86659FD93);
	const uint64_t fold = (uint64_t)wide ^ (uint64_t)(wide >> 64);

	return (uint32_t)(fold ^ fold >> 32);
#endif
}

/* One's complement sums in 64 bits: the carry comes back in. Fold with stamp_fold(). */
static inline uint64_t stamp_add(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

/* The rotated copy adds each half to the other, and the carry with it. */
static inline uint16_t stamp_fold(uint64_t sum)
{
	const uint32_t half = (uint32_t)((sum + (sum >> 32 | sum << 32)) >> 32);

	return (uint16_t)((half + (half >> 16 | half << 16)) >> 16);
}

/*
 * The sum of a whole payload of `len` octets whose body has this sum. The first word is run and
 * stream (CRC-32C of the words, of length and body's sum: any change within 32 bits is found, of
 * others all but one in 2^32).
 */
static inline uint32_t stamp_sum(uint64_t first, uint32_t seq, uint64_t due, uint32_t len,
                                 uint32_t body_sum)
{
	return stamp_mix(stamp_mix(stamp_mix(~len, first), seq | (uint64_t)body_sum << 32), due);
}

/* n octets are the same. Any alignment; never reads beyond n. */
static inline bool stamp_same(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	typedef uint64_t wide __attribute__((vector_size(STAMP_WIDE), aligned(1), may_alias));
	wide diff = { 0 };
	uint32_t i = 0;

	if (n == 0)
		return true;
	if (n < STAMP_WIDE) {
		uint64_t x, y, d = 0;

		for (; i + 8 <= n; i += 8) {
			memcpy(&x, a + i, 8);
			memcpy(&y, b + i, 8);
			d |= x ^ y;
		}
		for (; i < n; i++)
			d |= a[i] ^ b[i];
		return d == 0;
	}
	for (; i + STAMP_WIDE <= n; i += STAMP_WIDE)
		diff |= *(const wide *)(a + i) ^ *(const wide *)(b + i);
	diff |= *(const wide *)(a + n - STAMP_WIDE) ^ *(const wide *)(b + n - STAMP_WIDE);
	uint64_t any = 0;

	for (unsigned k = 0; k < STAMP_WIDE / 8; k++)
		any |= diff[k];
	return any == 0;
}

/*
 * Writes a payload: stamp and body. Up to 63 octets behind it are overwritten. Returns its sum, for
 * stamp_add() and stamp_fold().
 */
static inline uint64_t stamp_make(uint8_t *payload, uint32_t len, uint32_t run, uint32_t stream,
                                  uint32_t seq, uint64_t due)
{
	const uint32_t slice = stamp_slice(stream, seq), n = len - STAMP_LEN;
	const uint32_t body = stamp_body_sum(slice, n);
	const uint64_t word0 = run | (uint64_t)stream << 32;
	const uint64_t word1 = seq | (uint64_t)stamp_sum(word0, seq, due, len, body) << 32;
	const uint8_t *const from = stamp_pattern + slice;
	uint8_t *const to = payload + STAMP_LEN;

	memcpy(payload, &word0, 8);
	memcpy(payload + 8, &word1, 8);
	memcpy(payload + 16, &due, 8);
	for (uint32_t i = 0; i < n; i += 64)
		memcpy(to + i, from + i, 64);
	return stamp_add(stamp_add(stamp_add(word0, word1), due), body);
}

/*
 * Whether `len` octets are a payload as it left, of whatever run. *sum is then its sum, for
 * stamp_add() and stamp_fold(); `len` is at least STAMP_LEN.
 */
static inline bool stamp_check(const uint8_t *payload, uint32_t len, uint64_t *sum)
{
	uint64_t word0, word1, due;

	memcpy(&word0, payload, 8);
	memcpy(&word1, payload + 8, 8);
	memcpy(&due, payload + 16, 8);
	if (len > STAMP_PAYLOAD_MAX)
		return false;
	const uint32_t seq = (uint32_t)word1, n = len - STAMP_LEN;
	const uint32_t slice = stamp_slice((uint32_t)(word0 >> 32), seq);
	const uint32_t body = stamp_body_sum(slice, n);

	*sum = stamp_add(stamp_add(stamp_add(word0, word1), due), body);
	return stamp_same(payload + STAMP_LEN, stamp_pattern + slice, n) &&
	       (uint32_t)(word1 >> 32) == stamp_sum(word0, seq, due, len, body);
}
