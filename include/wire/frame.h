/*
 * Cutting a TCP or TLS stream into messages (RFC 8489 §6.2.2, RFC 8656 §12.5; DEMUX-040 to
 * DEMUX-044). No buffer here: the caller keeps the octets and asks again when more have come.
 *
 * Threads    Pure functions; no state.
 */
#pragma once

#include "wire/turn.h"

enum frame {
	FRAME_WAIT,    /* more octets are needed */
	FRAME_STUN,    /* a whole message, for stun_open() */
	FRAME_CHANNEL, /* a whole ChannelData message with its padding, for channel_open() */
	FRAME_CLOSE,   /* neither: there is no resynchronisation (STUN-142) */
};

enum { FRAME_LEN_MAX = STUN_LEN_MAX }; /* ChannelData needs less: 65,540 */

enum frame_sniff { SNIFF_STUN, SNIFF_TLS, SNIFF_CLOSE };

/* What a new connection begins with (DEMUX-040): ChannelData cannot come first. */
static inline enum frame_sniff frame_sniff(uint8_t first)
{
	return first <= 3 ? SNIFF_STUN : first == 22 ? SNIFF_TLS : SNIFF_CLOSE;
}

/*
 * The message at the front of `n` octets. STUN and CHANNEL: *len are its octets. First octets
 * 64..127 are framed as ChannelData whatever numbers are served, so that an unbound or old one
 * costs one message and not the connection (TURN-101).
 */
static inline enum frame frame_next(const uint8_t *p, size_t n, size_t *len)
{
	if (n == 0)
		return FRAME_WAIT;

	const bool stun = p[0] <= 3;
	if (!stun && (p[0] < 64 || p[0] > 127))
		return FRAME_CLOSE;
	/* STUN's cookie and alignment are looked at as soon as they are there (DEMUX-044). */
	if (stun && n >= 8 && (be32_load(p + 4) != STUN_COOKIE || p[3] % 4 != 0))
		return FRAME_CLOSE;
	if (n < (stun ? STUN_HDR_LEN : CHANNEL_HDR_LEN))
		return FRAME_WAIT;

	const size_t whole = (stun ? STUN_HDR_LEN : CHANNEL_HDR_LEN) + pad4(be16_load(p + 2));
	if (n < whole)
		return FRAME_WAIT;
	*len = whole;
	return stun ? FRAME_STUN : FRAME_CHANNEL;
}
