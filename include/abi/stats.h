/*
 * The one list of data plane counters and drop reasons: the enum, the CLI, the metrics and the
 * manual are all made from it. Every frame received is counted under exactly one outcome; a
 * fragment counts as held, and its datagram once more when it is whole or given up.
 *
 * Threads    One block per worker and one for the service turn, each with one writer; read live.
 */
#pragma once

#include "abi/abi.h"

/* `enum stat_id`, because <sys/stat.h> owns the tag `stat`. X(ID, name, help). Outcomes of a
 * received frame first; a test adds them up to rx_packets. */
/* clang-format off */
#define STATS_TRAFFIC(X)                                                                       \
	X(RX_PACKETS, "rx_packets", "frames taken from the ports")                             \
	X(RX_OCTETS, "rx_octets", "octets in those frames")                                    \
	X(TX_PACKETS, "tx_packets", "frames handed to the ports")                              \
	X(TX_OCTETS, "tx_octets", "octets in those frames")

#define STATS_OUTCOME(X)                                                                       \
	X(CHANNEL_TO_PEER, "channel_to_peer", "ChannelData relayed to a peer")                 \
	X(SEND_TO_PEER, "send_to_peer", "Send indications relayed to a peer")                  \
	X(PEER_TO_CHANNEL, "peer_to_channel", "peer datagrams relayed as ChannelData")         \
	X(PEER_TO_DATA, "peer_to_data", "peer datagrams relayed as Data indications")          \
	X(HAIRPIN, "hairpin", "datagrams turned round to another client of this relay")        \
	X(LEG_TO_LEG, "leg_to_leg", "media from one leg of an ICE session to others")          \
	X(LEG_CHECK, "leg_check", "connectivity checks of legs answered")                      \
	X(LEG_KEEPALIVE, "leg_keepalive", "Binding indications to legs")                       \
	X(ICMP_TO_CLIENT, "icmp_to_client", "ICMP errors told to a client")                    \
	X(BINDING, "binding", "Binding requests answered")                                     \
	X(BINDING_INDICATION, "binding_indication", "Binding indications (no answer is due)")  \
	X(ANSWER_401, "answer_401", "requests without credentials answered 401")               \
	X(ANSWER_400, "answer_400", "requests with incomplete credentials answered 400")       \
	X(ANSWER_420, "answer_420", "Binding requests with unknown attributes answered 420")   \
	X(ANSWER_438, "answer_438", "requests with a nonce not ours answered 438")             \
	X(PUNTED, "punted", "requests passed to control")                                      \
	X(TO_KERNEL, "to_kernel", "frames given to the exception port")                        \
	X(FRAGMENT_HELD, "fragment_held", "fragments of our UDP taken for reassembly")

#define STATS_DROP(X)                                                                          \
	X(FRAME_SHORT, "frame_short", "frame shorter than Ethernet and its tags")              \
	X(IP_MALFORMED, "ip_malformed", "IP lengths or header checksum that cannot be")        \
	X(UDP_MALFORMED, "udp_malformed", "UDP length below 8 or beyond the IP payload")       \
	X(UDP_ZERO_CHECKSUM6, "udp_zero_checksum6", "IPv6 UDP without checksum")               \
	X(UDP_CHECKSUM, "udp_checksum", "wrong checksum on a message meant for us")            \
	X(BAD_SOURCE, "bad_source", "source port 0, or unspecified, multicast, broadcast, loopback source") \
	X(LOOP, "loop", "one of our own addresses as source, from the wire")                   \
	X(SOURCE_ROUTE, "source_route", "unexpired source route or routing header")            \
	X(DEMUX_EMPTY, "demux_empty", "datagram without payload on a listener")                \
	X(DEMUX_RESERVED, "demux_reserved", "first octet 4..15, 80..127 or 192..255")          \
	X(DEMUX_ZRTP, "demux_zrtp", "first octet 16..19")                                      \
	X(DEMUX_DTLS_OFF, "demux_dtls_off", "DTLS where no DTLS is served")                    \
	X(DTLS_MALFORMED, "dtls_malformed", "first octet of DTLS, but no DTLS record")         \
	X(DEMUX_RTP, "demux_rtp", "first octet 128..191 on a listener")                        \
	X(STUN_MALFORMED, "stun_malformed", "STUN lengths or attributes that cannot be")       \
	X(STUN_BAD_COOKIE, "stun_bad_cookie", "STUN without the magic cookie")                 \
	X(STUN_FINGERPRINT, "stun_fingerprint", "FINGERPRINT that does not match")             \
	X(STUN_RESPONSE, "stun_response", "STUN response nobody asked for")                    \
	X(STUN_METHOD, "stun_method", "STUN method or class not served here")                  \
	X(STUN_UNKNOWN_ATTRIBUTE, "stun_unknown_attribute", "indication with an unknown required attribute") \
	X(SEND_MALFORMED, "send_malformed", "Send without peer or data, or malformed")         \
	X(CD_MALFORMED, "cd_malformed", "ChannelData longer than its datagram")                \
	X(CD_UNBOUND, "cd_unbound", "ChannelData on a number that is not bound")               \
	X(CD_EXPIRED, "cd_expired", "ChannelData on a binding that has expired")               \
	X(NO_ALLOCATION, "no_allocation", "Send from a five-tuple without allocation")         \
	X(NO_PERMISSION, "no_permission", "peer without a live permission, either direction")  \
	X(PEER_DENIED, "peer_denied", "peer that the policy or our own addresses refuse")      \
	X(RELAY_NO_ALLOCATION, "relay_no_allocation", "relay port without a live allocation")  \
	X(LEG_UNAUTHENTICATED, "leg_unauthenticated", "check of a leg with another password or user name") \
	X(LEG_RESPONSE, "leg_response", "response to a lite leg, which asks nothing")          \
	X(LEG_UNKNOWN_SOURCE, "leg_unknown_source", "media for a leg from where no good check came") \
	X(LEG_NOT_CONNECTED, "leg_not_connected", "media with no other leg that has a path")   \
	X(TTL_EXPIRED, "ttl_expired", "TTL or hop limit used up")                              \
	X(TOO_BIG, "too_big", "larger than the path takes, and not to be fragmented")          \
	X(REASSEMBLY_FULL, "reassembly_full", "no room to reassemble, or too many from one source") \
	X(REASSEMBLY_BAD, "reassembly_bad", "overlapping, oversized or late fragments")        \
	X(ICMP_UNMATCHED, "icmp_unmatched", "ICMP error that matches no current flow")         \
	X(ICMP_LIMITED, "icmp_limited", "ICMP errors beyond an allocation's rate")             \
	X(NO_ROUTE, "no_route", "no route to the destination")                                 \
	X(LIMIT_BINDING, "limit_binding", "Binding requests beyond the prefix's rate")         \
	X(LIMIT_ERROR, "limit_error", "401, 400 or 438 withheld from a prefix over its budget") \
	X(LIMIT_PUNT, "limit_punt", "requests to control beyond the prefix's rate")            \
	X(AMPLIFICATION, "amplification", "answer withheld: it would outgrow the question")    \
	X(PUNT_FULL, "punt_full", "the ring to control was full")                              \
	X(PUNT_TOO_LONG, "punt_too_long", "request longer than a record")                      \
	X(NO_CONTROL, "no_control", "control is not there, and the packet needs it")           \
	X(EXCEPTION_FULL, "exception_full", "exception port over its rate, or its queue full") \
	X(SERVICE_FULL, "service_full", "the ring to the service turn was full")               \
	X(NO_MBUF, "no_mbuf", "no packet buffer left")

/*
 * Not outcomes of a received frame. NEIGHBOUR_UNRESOLVED, TX_FULL and FOREIGN_FULL befall a frame
 * that already has its outcome, or one that was made here.
 */
#define STATS_OTHER(X)                                                                         \
	X(NEIGHBOUR_UNRESOLVED, "neighbour_unresolved", "next hop did not answer in time")     \
	X(FOREIGN_FULL, "foreign_full", "the ring to the worker that owns the egress port was full") \
	X(TX_FULL, "tx_full", "the port refused the frame")                                    \
	X(INJECT_FULL, "inject_full", "replies or kernel frames lost: a worker's inject ring was full") \
	X(FRAGMENTS_SENT, "fragments_sent", "fragments made because the egress MTU is smaller")  \
	X(FRAGMENTED, "fragmented", "datagrams sent as fragments")                             \
	X(REASSEMBLED, "reassembled", "datagrams put together from fragments")                 \
	X(FROM_KERNEL, "from_kernel", "frames taken from the exception port")                  \
	X(CHECKSUM_COMPLETED, "checksum_completed", "frames that came with a partial checksum") \
	X(LEG_COPY, "leg_copy", "further copies of media that goes to several legs")           \
	X(LEG_COPY_LOST, "leg_copy_lost", "copies not made: no packet buffer, or too many of one") \
	X(LEG_NO_CONSENT, "leg_no_consent", "media not sent to a leg whose consent ran out")   \
	X(COMMANDS, "commands", "commands applied")                                            \
	X(CMD_INVALID, "cmd_invalid", "commands refused by a range check")                     \
	X(CMD_TABLE_FULL, "cmd_table_full", "sets refused: no row, bucket or defer room")      \
	X(TRANSMITTED, "transmitted", "replies of control sent")                               \
	X(SLEEPS, "sleeps", "times a worker went to sleep")
/* clang-format on */

#define STATS_ALL(X) STATS_TRAFFIC(X) STATS_OUTCOME(X) STATS_DROP(X) STATS_OTHER(X)

#define STAT_ENUM(id, name, help) STAT_##id,
enum stat_id { STATS_ALL(STAT_ENUM) STAT_COUNT };
#undef STAT_ENUM

struct stats {
	alignas(ABI_LINE) _Atomic uint64_t count[STAT_COUNT];
};

struct stat_name {
	const char *name, *help;
};
extern const struct stat_name stat_names[STAT_COUNT]; /* stats.c */

/* Owner only: a relaxed load and store, no locked instruction. */
static inline void stat_add(struct stats *s, enum stat_id id, uint64_t n)
{
	abi_count(&s->count[id], n);
}

/* Any process: never torn, not a consistent snapshot. */
static inline uint64_t stat_read(const struct stats *s, enum stat_id id)
{
	return atomic_load_explicit(&s->count[id], memory_order_relaxed);
}
