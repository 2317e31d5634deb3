/*
 * Damaged packets of every kind, from a seed: a sound frame is built, then its payload or its
 * headers are damaged in one or two ways. What is damaged inside is wrapped soundly (lengths and
 * checksums right), so that it gets past the first checks.
 *
 * Never touched: the MACs, both addresses (a flood must not wander off), the source port.
 * Same seed and same calls: the same packets.
 *
 * Threads    A struct mutants belongs to its thread.
 */
#pragma once

#include "addr.h"

/* name, what it begins as */
#define MUTANT_KINDS(X)                                                  \
	X(binding, "Binding request with FINGERPRINT")                   \
	X(classic, "Binding request of RFC 3489")                        \
	X(allocate, "Allocate request with every attribute it may have") \
	X(bare, "Allocate request without credentials")                  \
	X(refresh, "Refresh request")                                    \
	X(permission, "CreatePermission request with three peers")       \
	X(channel_bind, "ChannelBind request")                           \
	X(connect, "Connect request")                                    \
	X(send, "Send indication")                                       \
	X(data, "Data indication, which only a server sends")            \
	X(channel, "ChannelData")                                        \
	X(success, "success response")                                   \
	X(error, "error response with unknown attributes")               \
	X(dtls, "DTLS record")                                           \
	X(media, "RTP packet")                                           \
	X(icmp, "ICMP error that quotes a relayed packet")

/* name, what it does */
#define MUTANT_DAMAGES(X)                                                 \
	X(nothing, "stays as it is")                                      \
	X(bits, "some bits of the payload turned")                        \
	X(octet, "an octet of the payload set")                           \
	X(cut, "the payload cut short")                                   \
	X(longer, "octets behind the payload")                            \
	X(message_length, "STUN's or ChannelData's length field wrong")   \
	X(attribute_length, "an attribute's length wrong")                \
	X(attribute_type, "an attribute of another type")                 \
	X(attribute_twice, "an attribute once more, at the end")          \
	X(cookie, "another magic cookie")                                 \
	X(first_octet, "another first octet")                             \
	X(udp_length, "UDP length wrong")                                 \
	X(udp_checksum, "UDP checksum wrong or none")                     \
	X(udp_port, "another destination port")                           \
	X(ip_length, "IP length wrong")                                   \
	X(ip_checksum, "IPv4 header checksum wrong")                      \
	X(ip_header, "another octet of the IP header, addresses spared")  \
	X(ip_options, "IPv4 options, IPv6 extension headers")             \
	X(fragment, "a fragment: first, middle, last, tiny, overlapping") \
	X(frame_cut, "the frame cut short")                               \
	X(frame_longer, "octets behind the datagram")

enum mutant_kind {
#define X(name, what) MUTANT_##name,
	MUTANT_KINDS(X)
#undef X
		MUTANT_KIND_COUNT
};
enum mutant_damage {
#define X(name, what) DAMAGE_##name,
	MUTANT_DAMAGES(X)
#undef X
		MUTANT_DAMAGE_COUNT
};

enum { MUTANT_MAX = 1024 /* octets of a frame, at most */ };

struct mutants {
	uint64_t random; /* the seed */
	uint8_t macs[12];
	struct endpoint server;
	uint64_t kind[MUTANT_KIND_COUNT], damage[MUTANT_DAMAGE_COUNT]; /* how many of each */
};

/* Who seems to send it. */
struct mutant_source {
	struct endpoint from;
	uint16_t channel;     /* that is bound for it, or any */
	struct endpoint peer; /* that is permitted to it, or any */
	const char *user;
};

/* Writes a frame of at most MUTANT_MAX octets and returns its length. */
size_t mutant_next(struct mutants *g, const struct mutant_source *source, uint8_t out[MUTANT_MAX]);
