/*
 * FINGERPRINT (RFC 8489 §14.7): CRC-32 of IEEE 802.3, reflected, as in zlib, xor 0x5354554E.
 *
 * Cost       Eight octets a step from 8 kB of constant tables.
 * Threads    Pure functions; the table is constant.
 */
#pragma once

#include "wire/stun_build.h"

#define STUN_FINGERPRINT_XOR UINT32_C(0x5354554E)

extern const uint32_t crc_table[8][256]; /* crc.c */

static inline uint32_t crc32_ieee(const uint8_t *p, size_t len)
{
	uint32_t c = UINT32_C(0xFFFFFFFF);

	for (; len >= 8; p += 8, len -= 8) {
		const uint32_t lo = c ^ ((uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 |
		                         (uint32_t)p[1] << 8 | p[0]);

		c = crc_table[7][lo & 0xFF] ^ crc_table[6][lo >> 8 & 0xFF] ^
		    crc_table[5][lo >> 16 & 0xFF] ^ crc_table[4][lo >> 24] ^ crc_table[3][p[4]] ^
		    crc_table[2][p[5]] ^ crc_table[1][p[6]] ^ crc_table[0][p[7]];
	}
	for (; len > 0; p++, len--)
		c = c >> 8 ^ crc_table[0][(c ^ *p) & 0xFF];
	return ~c;
}

enum stun_fingerprint { STUN_FINGERPRINT_NONE, STUN_FINGERPRINT_RIGHT, STUN_FINGERPRINT_WRONG };

/* WRONG: not 4 octets, not the last attribute, or another value (STUN-026, STUN-068). */
static inline enum stun_fingerprint stun_fingerprint_check(const struct stun_msg *msg,
                                                           const struct stun_marks *marks)
{
	const struct stun_attr *fp = &marks->fingerprint;

	if (fp->value == NULL)
		return STUN_FINGERPRINT_NONE;
	if (fp->len != 4 || !marks->fingerprint_last)
		return STUN_FINGERPRINT_WRONG;

	const size_t covered = (size_t)(fp->value - STUN_ATTR_HDR_LEN - msg->octets);
	const uint32_t want = crc32_ieee(msg->octets, covered) ^ STUN_FINGERPRINT_XOR;
	return be32_load(fp->value) == want ? STUN_FINGERPRINT_RIGHT : STUN_FINGERPRINT_WRONG;
}

/* The last attribute, over everything put before it. Nothing may be put or changed afterwards. */
static inline void stun_put_fingerprint(struct stun_builder *b)
{
	const size_t covered = b->len;
	uint8_t *dst = stun_reserve(b, STUN_FINGERPRINT, 4);

	if (dst != NULL)
		be32_store(dst, crc32_ieee(b->buf, covered) ^ STUN_FINGERPRINT_XOR);
}
