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
	CMD_SYNC_BEGIN = 1,  /* struct cmd_sync */
	CMD_SYNC_END = 2,    /* struct cmd_sync: sweeps every flow that was not set since BEGIN */
	CMD_SET = 3,         /* struct cmd_flow */
	CMD_DELETE = 4,      /* struct cmd_flow; only key and tag count */
	CMD_REALM = 5,       /* struct cmd_realm, per listener */
	CMD_TEMPLATE = 6,    /* struct cmd_template + octets */
	CMD_NONCE_KEY = 7,   /* struct cmd_nonce_key */
	CMD_TRANSMIT = 8,    /* struct cmd_transmit + octets */
	CMD_RELOAD = 9,      /* no body: read the configuration file again */
	CMD_LEG = 10,        /* struct cmd_leg + n_to times struct cmd_leg_to */
	CMD_LEG_DELETE = 11, /* struct cmd_leg; only tag, relay and port count */
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

/*
 * A leg of an ICE session: a relayed address id and port, which name it. On that port STUN belongs
 * to ICE, everything else is media. Media is taken from the selected peer and from `source`, the
 * other addresses that had a good check (ICE-191), and goes to every leg of the list behind the
 * struct, from that leg's own port to that leg's peer. Set is idempotent; a set replaces all of it.
 *
 * A check (Binding request) for one of the keys is answered by the worker, if LEG_ANSWERS is set
 * and it needs no decision (ICE-168): PRIORITY there, no attribute unknown, no role conflict, and
 * the source is the selected peer, or is one of `source` and does not nominate. Every other check
 * with right integrity, and for a full leg every response, is punted (PUNT_ICE). What is not right
 * is dropped by name.
 *
 * Consent    From deadline_s on nothing is sent to the peer; UINT32_MAX: nothing ends it. Where
 * patience_s is not 0 (a lite leg) each authenticated check of the selected peer that a worker
 * answers moves the deadline to now + patience_s; control sees the last one in row_leg.heard_s.
 * Events     As flows: ROW_OK with the row of the leg's counts (struct row_leg), ROW_FULL,
 *            ROW_REFUSED, ROW_DELETED with final counts to the peer and, as `from_*`, from it. A
 *            set that changes more than the deadline takes a new row, which ROW_OK tells whatever
 *            LEG_SILENT says; the old one comes back as ROW_DELETED with the tag it was set with. A
 *            sync sweeps legs it did not name.
 */
enum {
	LEG_SILENT = 1,      /* no row event is wanted if nothing fails and the row stays */
	LEG_ANSWERS = 2,     /* workers answer checks of known sources */
	LEG_CONTROLLING = 4, /* ours is the controlling role: ICE-CONTROLLING conflicts */
	LEG_LITE = 8,        /* sends no checks: responses are not for it */
};
enum { LEG_UFRAG_MAX = 32, LEG_SOURCES_MAX = 4, LEG_TO_MAX = 63, LEG_KEYS = 2 };

struct cmd_leg_source {
	uint8_t ip[16];
	uint16_t port; /* 0: none */
	uint8_t reserved[6];
};

/* Of a generation of the leg: its own ufrag, and the two midstates of its password. */
struct cmd_leg_key {
	char ufrag[LEG_UFRAG_MAX];
	uint32_t ufrag_len; /* 0: no such generation */
	uint32_t inner[5], outer[5];
	uint32_t reserved;
};

/* Where media goes: a leg. One that is not there, or has no peer, gets nothing. */
struct cmd_leg_to {
	uint16_t relay, port;
};

struct cmd_leg {
	uint64_t tag;
	uint16_t relay, port; /* id, and port in host order */
	uint16_t peer_port;   /* 0: no path yet */
	uint8_t flags;        /* LEG_* */
	uint8_t n_to;
	uint8_t peer_ip[16];
	uint32_t deadline_s, patience_s;
	struct cmd_leg_source source[LEG_SOURCES_MAX];
	struct cmd_leg_key key[LEG_KEYS]; /* of now, and of before a restart */
};
static_assert(sizeof(struct cmd_leg_key) == 80 && sizeof(struct cmd_leg) == 296, "");
