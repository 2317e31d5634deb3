/*
 * A stream: one direction of one binding, the unit that is sent, numbered and checked. What sending
 * needs is compiled into it once (headers, constant part of the checksums), so that a packet costs
 * a copy and a few adds; what receiving needs to know lies in an array of its own.
 *
 * Threads    Made by main between trials. Then the engine that owns a stream sends it, and only the
 *            engine that receives it writes its `struct heard`.
 */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "wire/turn.h"

enum {
	STREAM_HEAD_MAX = 112, /* Ethernet, IPv6, UDP, Send indication with an IPv6 peer */
};

enum stream_wrap { WRAP_NONE, WRAP_CHANNEL, WRAP_INDICATION };

struct stream {
	alignas(64) uint32_t seq; /* of the next packet */
	uint32_t sum;             /* constant part of the UDP checksum: csum_* of wire/checksum.h */
	uint16_t ip_sum;          /* IPv4: of the header without length */
	uint8_t head_len;
	uint8_t lane; /* index of the lane it leaves by, engine.h */
	uint8_t wrap; /* enum stream_wrap */
	uint8_t six;
	uint8_t idle; /* not sent in this trial */
	uint8_t reserved;
	uint8_t head[STREAM_HEAD_MAX];
};
static_assert(sizeof(struct stream) == 128, "two lines; one for ChannelData over IPv4");

/* How a stream leaves. */
struct stream_leg {
	uint8_t macs[12]; /* destination, source */
	struct endpoint from, to;
	enum stream_wrap wrap;
	uint16_t channel;     /* WRAP_CHANNEL */
	struct endpoint peer; /* WRAP_INDICATION: XOR-PEER-ADDRESS */
	uint8_t lane;
};

/* How it has to arrive; anywhere else it is misdelivered. */
struct stream_arrival {
	struct endpoint at;
	enum stream_wrap wrap;
	uint16_t channel;
	struct endpoint peer; /* WRAP_INDICATION */
};

struct heard; /* stream.c, one for each stream */

void stream_make(struct stream *s, const struct stream_leg *leg);
