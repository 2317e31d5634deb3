/* The inside of a TURN client: what allocation.c and allocation_answer.c share. */
#pragma once

#include "control/ice/allocation.h"
#include "longterm.h"
#include "wire/attr.h"
#include "wire/crc.h"
#include "wire/integrity.h"

enum {
	TRIES_MAX = 7,
	CHALLENGES_MAX = 4, /* in a row */
	PERMISSION_MS = 300000,
	PERMISSION_AGAIN_MS = 240000, /* TURN-248, TURN-249 */
	CHANNEL_MS = 600000,
	KEEPALIVE_MS = 15000,
	RETRY_MS = 60000, /* what was refused for now */
	OCTETS_MAX = 1024,
};

/* One request at a time of each kind. */
enum kind { KIND_MAIN /* Allocate, Binding, Refresh */, KIND_PERMIT, KIND_BIND, KINDS };

struct transaction {
	bool live;
	uint16_t method;
	uint8_t txid[STUN_TXID_LEN];
	uint8_t sends;
	uint64_t next_ms;
	uint16_t len;
	bool is_signed;
	uint8_t octets[OCTETS_MAX];
};

struct peer {
	bool used;
	struct endpoint at; /* port 0: a permission only */
	uint16_t channel;   /* 0: none wanted */
	bool alone;         /* asked for by itself, after a refusal together with others */
	bool asked;         /* in the request that is under way */
	bool bound;
	uint64_t until_ms; /* of the permission; of the channel if one is bound */
	uint64_t again_ms; /* when it is asked for (again) */
};

struct allocation {
	struct allocation_config c;
	enum allocation_state state;
	struct allocation_facts facts;
	struct longterm credentials;
	struct transaction transaction[KINDS];
	unsigned challenges;
	uint16_t want;     /* method the main transaction is wanted for, 0: none */
	uint64_t want_ms;  /* and from when on */
	bool binding_only; /* no TURN, or refused */
	uint64_t until_ms; /* of the allocation */
	uint64_t sent_ms;
	struct peer peer[ALLOCATION_PEERS_MAX];
	uint16_t next_channel;
};

void allocation_want(struct allocation *al, uint16_t method, uint64_t at_ms);
struct peer *allocation_channel_of(const struct allocation *al, const struct endpoint *at);
/* A transaction has ended without success; code 0: nobody answered. */
void allocation_refused(struct allocation *al, enum kind kind, uint16_t method, uint64_t now_ms,
                        unsigned code);
