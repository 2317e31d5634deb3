/*
 * One's complement sums: RFC 1071, updated by RFC 1624 equation 3 (DEMUX-070 to DEMUX-077).
 *
 * A sum is a uint64_t of words as they lie in memory: one's complement addition does not mind byte
 * order (RFC 1071 §2), so no word is swapped, and a finished checksum is stored as it comes. Start
 * with 0, add and subtract, end with one of the csum_* that returns uint16_t.
 *
 * The 16-octet form of an IPv4 address adds 0xFFFF more than its four octets, which is zero here: a
 * struct addr may be summed whole whatever its family.
 *
 * Units      Checksum fields as in memory: csum_load() and csum_store().
 * Limits     2^32 octets a sum.
 * Threads    Pure functions; no state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A checksum field, or any 16-bit word, as it lies in memory. */
static inline uint16_t csum_load(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static inline void csum_store(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

/* `len` octets that begin at an even offset; an odd last one is a high half (DEMUX-075). */
static inline uint64_t csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = (const uint8_t *)data;
	uint32_t w;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&w, p, 4);
		sum += w;
	}
	if (len == 0)
		return sum;
	w = 0;
	memcpy(&w, p, len & 3); /* as the compiler cannot see: len < 4 */
	return sum + w;
}

/* Adds the complements: what was there goes away (~m of equation 3). */
static inline uint64_t csum_sub(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = (const uint8_t *)data;
	uint32_t w;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&w, p, 4);
		sum += ~w;
	}
	if (len == 0)
		return sum;
	w = 0;
	memcpy(&w, p, len & 3); /* as the compiler cannot see: len < 4 */
	return sum + (uint32_t)~w;
}

/* A word given in host order: a port, a length, a channel number. */
static inline uint64_t csum_add16(uint64_t sum, uint16_t v)
{
	const uint8_t p[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	return sum + csum_load(p);
}

static inline uint64_t csum_sub16(uint64_t sum, uint16_t v)
{
	const uint8_t p[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	return sum + (uint16_t)~csum_load(p);
}

/*
 * End-around carries until none is left: the second line leaves at most 0x1FFFE. 0 only for a sum
 * of nothing but zeros.
 */
static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFF) + (sum >> 16 & 0xFFFF) + (sum >> 32);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)sum;
}

/*
 * The same for octets `at` octets behind an even offset: at an odd one the first octet is a low
 * half. For padding cut off behind an odd payload (DEMUX-075).
 */
static inline uint64_t csum_sub_at(uint64_t sum, const void *data, size_t len, size_t at)
{
	if (at % 2 == 0)
		return csum_sub(sum, data, len);

	const uint16_t part = csum_fold(csum_add(0, data, len));
	return sum + (uint16_t) ~(uint16_t)(part << 8 | part >> 8);
}

/* The checksum of a finished sum. IPv4 header: sum it with the field zero. */
static inline uint16_t csum_finish(uint64_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

/* True of octets summed together with their checksum. */
static inline bool csum_right(uint64_t sum)
{
	return csum_fold(sum) == 0xFFFF;
}

/* RFC 1624 equation 3: `change` holds ~m (csum_sub) and m' (csum_add) of every word changed. */
static inline uint16_t csum_update(uint16_t old, uint64_t change)
{
	return csum_finish(change + (uint16_t)~old);
}

/*
 * The same for UDP: "none" (0, IPv4 only) stays none, and a computed 0 is 0xFFFF (DEMUX-072). From
 * none to IPv6 the whole sum is needed: csum_udp(), DEMUX-073.
 */
static inline uint16_t csum_udp_update(uint16_t old, uint64_t change)
{
	const uint16_t new = csum_update(old, change);

	return old == 0 ? 0 : new == 0 ? 0xFFFF : new;
}

/* Pseudo-header and UDP of either family: addresses in 4 or 16 octets, `udp_len` in host order. */
static inline uint64_t csum_pseudo_udp(const void *src, const void *dst, size_t addr_len,
                                       uint16_t udp_len)
{
	uint64_t sum = csum_add(0, src, addr_len);

	sum = csum_add(sum, dst, addr_len);
	return csum_add16(csum_add16(sum, 17), udp_len);
}

/* The whole checksum of `udp_len` octets from the UDP header on, whose field must be zero. Never 0.
 */
static inline uint16_t csum_udp(const void *src, const void *dst, size_t addr_len, const void *udp,
                                uint16_t udp_len)
{
	const uint16_t sum =
		csum_finish(csum_add(csum_pseudo_udp(src, dst, addr_len, udp_len), udp, udp_len));

	return sum == 0 ? 0xFFFF : sum;
}

/* Of a received datagram. The field is not 0: "none" is the caller's (DEMUX-008). */
static inline bool csum_udp_right(const void *src, const void *dst, size_t addr_len,
                                  const void *udp, uint16_t udp_len)
{
	return csum_right(csum_add(csum_pseudo_udp(src, dst, addr_len, udp_len), udp, udp_len));
}
