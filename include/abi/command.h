/*
 * Control -> data plane: the one command ring. Rows, templates, keys and transmissions share it,
 * which keeps the order promise: what a success response implies is visible to every worker before
 * the response leaves.
 *
 * Flows are named by key, never by index; set is idempotent. Nothing here carries a MAC, an egress
 * port or a source address as octets: rows name a listener id and a relayed address id. Every field
 * is range-checked by the service turn; a bad record is counted (cmd_invalid) and disconnects.
 *
 * The kind of a record is the ring record's kind; the body begins with the struct below, octets
 * behind it where it says so. Bodies are 8-aligned. Host byte order unless said otherwise.
 */
#pragma once

#include "abi/row.h"

enum cmd_kind {
	CMD_SYNC_BEGIN = 1, /* struct cmd_sync */
	CMD_SYNC_END = 2,   /* struct cmd_sync: sweeps every flow that was not set since BEGIN */
	CMD_SET = 3,        /* struct cmd_flow */
	CMD_DELETE = 4,     /* struct cmd_flow; only key and tag count */
	CMD_REALM = 5,      /* struct cmd_realm, per listener */
	CMD_TEMPLATE = 6,   /* struct cmd_template + octets */
	CMD_NONCE_KEY = 7,  /* struct cmd_nonce_key */
	CMD_TRANSMIT = 8,   /* struct cmd_transmit + octets */
	CMD_RELOAD = 9,     /* no body: read the configuration file again */
	CMD_KIND_END
};

enum { CMD_OCTETS_MAX = 2048 /* payload of a TRANSMIT or TEMPLATE */ };

struct cmd_sync {
	uint64_t tag; /* returned in the PUNT_ROW event of END */
};

/*
 * A flow as control knows it. Which fields name it:
 *   FLOW_ALLOCATION4|6   client, listener            -> relay, relayed_port, deadline_s
 *   FLOW_CHANNEL         client, listener, channel   -> peer; deadline_s towards the peer,
 *                        deadline_in_s from it. The parent is the allocation of the peer's family.
 *   FLOW_PERMISSION      client, listener, peer ip   -> deadline_s, both directions
 * Set parents first, delete children first. A channel may not outlive or precede its allocation.
 */
struct cmd_flow {
	uint64_t tag; /* chosen by control, returned in the row event */
	uint8_t client_ip[16];
	uint8_t peer_ip[16];
	uint16_t client_port, peer_port;
	uint16_t listener; /* id */
	uint16_t channel;
	uint16_t relay; /* id */
	uint16_t relayed_port;
	uint8_t kind;  /* enum flow_kind, never FLOW_BOUND_PEER */
	uint8_t flags; /* FLOW_FLAG_* */
	uint16_t reserved;
	uint32_t deadline_s, deadline_in_s;
};
static_assert(sizeof(struct cmd_flow) == 64, "");
enum { FLOW_FLAG_SILENT = 1 /* no row event is wanted for this set */ };

/* Of a listener: what the workers need to recognise nonces. */
struct cmd_realm {
	uint16_t listener;
	uint16_t reserved;
	uint32_t nonce_lifetime_s;
	uint8_t scope[16];  /* nonce.h: digest over realm, algorithms and the listener's address */
	uint8_t prefix[13]; /* "obMatJos2" and four characters of feature bits */
	uint8_t reserved2[3];
};
static_assert(sizeof(struct cmd_realm) == 40, "");

struct cmd_nonce_key {
	uint8_t epoch;
	uint8_t current; /* 1: new nonces are made with it; the others stay valid */
	uint8_t reserved[6];
	uint8_t key[16];
};
static_assert(sizeof(struct cmd_nonce_key) == 24, "");

/*
 * A whole STUN error response for one listener and code. The worker copies it, patches transaction
 * id (always at 8), the method bits of the type, the nonce at `nonce_at` (0: none, 31 characters)
 * and, where the request had one, appends FINGERPRINT.
 */
struct cmd_template {
	uint16_t listener;
	uint16_t code;   /* 400, 401, 438 */
	uint16_t octets; /* of the message behind this struct, FINGERPRINT not included */
	uint16_t nonce_at;
};

enum { LOCAL_LISTENER = 1, LOCAL_RELAY = 2 };

struct cmd_transmit {
	uint8_t source_kind; /* LOCAL_LISTENER or LOCAL_RELAY */
	uint8_t dscp;
	uint16_t source;      /* listener id or relayed address id */
	uint16_t source_port; /* of a relayed address */
	uint16_t dest_port;
	uint8_t dest_ip[16];
	uint64_t cookie; /* the punt's, or 0 */
	uint32_t octets; /* of payload behind this struct */
	uint32_t reserved;
};
static_assert(sizeof(struct cmd_transmit) == 40, "");
