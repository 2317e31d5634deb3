/*
 * Rows: compiled flows. The data plane writes them; control reads only the counts, by the index a
 * set returned, and keeps its mapping when the data plane dies.
 *
 * A row index has its top bit set when it names a wide row (IPv6 peer).
 * Counting: the first worker to hit a row owns it and counts in the row without locked
 * instructions; any other worker adds atomically in the cold parallel array (SECTION_FOREIGN).
 * The total is the sum of both.
 */
#pragma once

#include "abi/abi.h"

#define ROW_NONE UINT32_C(0xFFFFFFFF)
#define ROW_WIDE UINT32_C(0x80000000)

struct row_counts {
	_Atomic uint64_t packets, octets; /* octets of application data */
};
static_assert(sizeof(struct row_counts) == 16, "");

enum flow_kind {
	FLOW_CHANNEL = 0,
	FLOW_BOUND_PEER = 1,
	FLOW_PERMISSION = 2,
	FLOW_ALLOCATION4 = 4,
	FLOW_ALLOCATION6 = 6,
	FLOW_LEG = 8 /* in no table by key: found by its port */
};

/* Key by client:     client ip | client port | channel | listener id | kind 0, 4, 6.
 * Key by peer:       peer ip | peer port | allocation row (2 x 16 bits) | kind 1, 2 and
 *                    generation << 4.
 * Ports and channel are in network order, as they come. */
struct flow_key {
	uint8_t ip[16];
	uint16_t port;
	uint16_t channel;  /* by peer: low half of the allocation row */
	uint16_t listener; /* by peer: high half */
	uint16_t kind;
};
static_assert(sizeof(struct flow_key) == 24, "");

struct row {
	alignas(ABI_LINE) struct flow_key key;
	uint16_t adjacency; /* towards where this row's packets leave */
	uint16_t flags;
	_Atomic uint32_t deadline_s;      /* CLOCK_MONOTONIC seconds; refused from then on */
	uint8_t peer_ip4[4];              /* wide rows: in the second line */
	uint16_t relayed_port, peer_port; /* network order */
	uint16_t relay;                   /* relayed address id */
	uint16_t udp_delta;               /* precomputed part of the checksum change */
	uint16_t channel;      /* allocation row: of the first bound peer, network order; 0 none */
	_Atomic uint8_t owner; /* worker that counts here; 0xFF nobody */
	uint8_t generation;
	struct row_counts counts;
};
static_assert(sizeof(struct row) == ABI_LINE && offsetof(struct row, deadline_s) == 28 &&
                      offsetof(struct row, relay) == 40 && offsetof(struct row, counts) == 48,
              "a row is one line");

struct row_wide {
	struct row row;
	uint8_t peer_ip6[16];
	uint8_t reserved[48];
};
static_assert(sizeof(struct row_wide) == 2 * ABI_LINE, "");

/*
 * A leg of an ICE session is a wide row (command.h, struct cmd_leg). As one that media goes to: the
 * first line; key.ip and key.port are the peer, `counts` what went to it. As one that media comes
 * from: the second.
 */
struct row_leg {
	struct row row;
	struct row_counts from;       /* by its owner, as `counts` */
	struct row_counts from_other; /* by the other workers, atomically */
	_Atomic uint32_t heard_s;     /* of the last check of the peer that a worker answered; 0 */
	uint16_t next_relay;          /* id; where media goes, if that is one leg */
	uint16_t next_port;           /* network order; 0: none, or several */
	_Atomic uint8_t from_owner;   /* 0xFF nobody */
	uint8_t reserved[23];
};
static_assert(sizeof(struct row_leg) == sizeof(struct row_wide), "");
