/*
 * What a datagram to a listener is (RFC 7983 §7; DEMUX-001 to DEMUX-022): steps 12 to 16 of the
 * decision table. Every refusal has the name of its counter. Attributes are not looked at.
 *
 * Threads    Pure functions; no state: each datagram is judged by itself (DEMUX-004).
 */
#pragma once

#include "wire/turn.h"

/* X(ID, name). Refusals carry the names of abi/stats.h. */
/* clang-format off */
#define DEMUX_OUTCOMES(X)                        \
	X(STUN, "stun")                          \
	X(CLASSIC, "classic")                    \
	X(CHANNEL, "channeldata")                \
	X(DTLS, "dtls")                          \
	X(EMPTY, "demux_empty")                  \
	X(RESERVED, "demux_reserved")            \
	X(ZRTP, "demux_zrtp")                    \
	X(DTLS_OFF, "demux_dtls_off")            \
	X(DTLS_MALFORMED, "dtls_malformed")      \
	X(RTP, "demux_rtp")                      \
	X(CD_MALFORMED, "cd_malformed")          \
	X(STUN_MALFORMED, "stun_malformed")      \
	X(STUN_BAD_COOKIE, "stun_bad_cookie")
/* clang-format on */

#define DEMUX_ENUM(id, name) DEMUX_##id,
enum demux { DEMUX_OUTCOMES(DEMUX_ENUM) DEMUX_COUNT };
#undef DEMUX_ENUM

/* Dropped, under its own name. */
static inline bool demux_refuses(enum demux d)
{
	return d >= DEMUX_EMPTY;
}

static inline const char *demux_name(enum demux d)
{
#define DEMUX_NAME(id, name) name,
	static const char *const names[DEMUX_COUNT + 1] = { DEMUX_OUTCOMES(DEMUX_NAME) "" };
#undef DEMUX_NAME

	return names[d < DEMUX_COUNT ? d : DEMUX_COUNT];
}

/* What a listener serves beside STUN and ChannelData; or them together. */
enum demux_serve {
	DEMUX_SERVE_DTLS = 1,
	DEMUX_SERVE_RFC3489 = 2, /* Binding requests without the cookie (STUN-134) */
	DEMUX_SERVE_RFC5766 = 4, /* channel numbers up to 0x7FFF (TURN-100) */
};

/* What can be a DTLS record: a plaintext one of 1.0 or 1.2, or ciphertext of 1.3 (DEMUX-020). */
static inline bool demux_dtls_record(const uint8_t *p, size_t n)
{
	if (n >= 13 && p[0] >= 20 && p[0] <= 26)
		return p[1] == 0xFE && be16_load(p + 11) <= n - 13;
	return n >= 3 && p[0] >= 32 && p[0] <= 63;
}

/* DEMUX-010: first octet 0..3 is taken as given. */
static inline enum demux demux_stun(const uint8_t *p, size_t n, unsigned serve)
{
	if (n < STUN_HDR_LEN || n % 4 != 0 || be16_load(p + 2) != n - STUN_HDR_LEN)
		return DEMUX_STUN_MALFORMED;
	if (be32_load(p + 4) == STUN_COOKIE)
		return DEMUX_STUN;
	if ((serve & DEMUX_SERVE_RFC3489) != 0 && be16_load(p) == STUN_BINDING)
		return DEMUX_CLASSIC;
	return DEMUX_STUN_BAD_COOKIE;
}

/*
 * Total: any octets give an outcome. `p` is the UDP payload of `n` octets; `serve` is made of enum
 * demux_serve. STUN and CHANNEL mean that stun_open() and channel_open() will accept it.
 */
static inline enum demux demux_datagram(const uint8_t *p, size_t n, unsigned serve)
{
	const unsigned channels = (serve & DEMUX_SERVE_RFC5766) != 0 ? 127 : 79;

	if (n == 0)
		return DEMUX_EMPTY;

	const unsigned o = p[0];
	if (o >= 64 && o <= channels) {
		if (n < CHANNEL_HDR_LEN || be16_load(p + 2) > n - CHANNEL_HDR_LEN)
			return DEMUX_CD_MALFORMED;
		return DEMUX_CHANNEL;
	}
	if (o <= 3)
		return demux_stun(p, n, serve);
	if (o >= 20 && o <= 63) {
		if ((serve & DEMUX_SERVE_DTLS) == 0)
			return DEMUX_DTLS_OFF;
		return demux_dtls_record(p, n) ? DEMUX_DTLS : DEMUX_DTLS_MALFORMED;
	}
	if (o >= 16 && o <= 19)
		return DEMUX_ZRTP;
	return o >= 128 && o <= 191 ? DEMUX_RTP : DEMUX_RESERVED;
}
