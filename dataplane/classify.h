/*
 * Frame -> one outcome (spec: DEMUX-017, the decision table). The only hot parser: Ethernet, IPv4
 * without options and IPv6 without extension headers are parsed here; anything odd that is UDP of
 * ours takes PATH_SLOW.
 */
#pragma once

#include "abi/row.h"
#include "abi/stats.h"
#include "dataplane/local.h"
#include "wire/demux.h"

enum path {
	PATH_CHANNEL, /* ChannelData on a listener: key in `key` */
	PATH_PEER,    /* datagram to a relayed transport address */
	PATH_SEND,    /* Send indication, walked: peer and data found */
	PATH_LEG,     /* PATH_PEER whose row turned out to be a leg's (burst.c) */
	PATH_ANSWER,  /* Binding or a request to answer or punt: answer.c decides */
	PATH_KERNEL,
	PATH_SLOW,     /* options, extension headers: slow.c, in the worker */
	PATH_FRAGMENT, /* fragment of UDP: service turn */
	PATH_ICMP,     /* ICMP error that quotes a relayed packet: service turn */
	PATH_DROP,     /* `drop` says why */
};

/* Where things are in a parsed frame; offsets from the Ethernet header. */
struct parsed {
	/*
	 * PATH_CHANNEL, PATH_SEND (kind by the peer's family): key of the client. PATH_PEER:
	 * address and port are the peer's, `channel` is the relayed port in network order.
	 */
	alignas(16) struct flow_key key;
	union {
		struct {
			uint8_t path;     /* enum path */
			uint8_t family;   /* 4 or 6 */
			uint16_t drop;    /* enum stat_id */
			uint16_t udp_at;  /* UDP header */
			uint16_t payload; /* octets of UDP payload */
		};
		uint64_t head; /* the same, for one store */
	};
	uint16_t local;     /* listener id or relay id */
	bool dont_fragment; /* PATH_SEND: the attribute is there */
	uint32_t data_len;  /* PATH_CHANNEL, PATH_SEND, PATH_PEER: octets of application data */
	uint32_t data_at;   /* and where they are */
	uint32_t peer_at;   /* PATH_SEND: XOR-PEER-ADDRESS value */
};
static_assert(sizeof(struct parsed) == 48, "its key never straddles a line in an array");

/*
 * `frame` is contiguous, `len` octets from the Ethernet header on. Total: any octets give an
 * outcome. `serve` is made of enum demux_serve.
 */
void classify(const struct local_table *local, const uint8_t *frame, uint32_t len,
              const uint8_t mac[6], unsigned serve, struct parsed *out);

/* enum demux_serve of a configuration: the same for every listener. */
unsigned classify_serve(const struct config *cfg);
