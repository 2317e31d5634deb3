/*
 * Data plane -> control: one ring per worker, one of the service turn. Packets that need a
 * decision, and what became of commands. Payload inside the record, behind the struct.
 */
#pragma once

#include "abi/command.h"

enum punt_kind {
	PUNT_REQUEST = 1, /* struct punt + the STUN message: nonce ours, UDP sum right */
	PUNT_ROW = 2,     /* struct punt_row */
	PUNT_ICMP = 3,    /* later: struct punt + the quoted packet */
	PUNT_ICE = 4,     /* struct punt + the STUN message: of a leg; LOCAL_RELAY, see cmd_leg */
	PUNT_CLOSE = 5,   /* later: a stream ended */
	PUNT_TABLES = 6,  /* no body: listeners, relays or ports changed; read the sections again */
};

enum { PUNT_OCTETS_MAX = 2048 };

struct punt {
	uint8_t local_kind; /* LOCAL_LISTENER or LOCAL_RELAY */
	uint8_t ecn_dscp;
	uint16_t local; /* id */
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t remote_ip[16];
	uint64_t received_ns; /* CLOCK_MONOTONIC; control drops what is staler than PUNT_STALE_NS */
	uint64_t cookie;      /* returned in the reply's cmd_transmit */
	uint32_t octets;
	uint32_t reserved;
};
static_assert(sizeof(struct punt) == 48, "");
#define PUNT_STALE_NS UINT64_C(2000000000)

enum row_status {
	ROW_OK = 0,
	ROW_DELETED = 1, /* after the grace period; packets and octets are final */
	ROW_UNKNOWN = 2, /* delete of what is not there */
	ROW_FULL = 3,    /* no row, no bucket or no room in the defer queue: answer 508 */
	ROW_REFUSED = 4, /* own address or denied peer: control and data plane disagree */
	ROW_SYNCED = 5,  /* CMD_SYNC_END was applied */
	ROW_NO_PARENT = 6,
};

struct punt_row {
	uint64_t tag;
	uint32_t row; /* index whose counts are this flow's; ROW_NONE */
	uint32_t status;
	uint64_t packets, octets;           /* ROW_DELETED: final */
	uint64_t from_packets, from_octets; /* the same, of a leg: from its peer */
};
static_assert(sizeof(struct punt_row) == 48, "");
