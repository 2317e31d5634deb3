/*
 * The fleet inside: what its files share.
 *
 *   fleet.c         goals, pace, timers: when a client moves
 *   fleet_ask.c     requests
 *   fleet_answer.c  answers: read, proven, decided
 *   fleet_key.c     realms, names and keys
 *   fleet_wheel.c   timers
 */
#pragma once

#include "crypto.h"
#include "pkt-gen/fleet.h"
#include "pkt-gen/fleet_wheel.h"
#include "wire/integrity.h"

enum {
	REALMS_MAX = 16,
	ALGORITHMS_MAX = 32, /* octets of PASSWORD-ALGORITHMS */
	BATCH_MAX = 24,      /* peers of one CreatePermission */
	STALE_MAX = 3,       /* 438 in a row (STUN-118) */
	TRIES_MAX = 4,       /* of 5xx (TURN-244) */
	MOVES_MAX = 3,       /* ports, where one is taken (TURN-243) */
	WAITS_MAX = 30,
	WAIT_MS = 120000,
	RENEW_MS = 240000, /* permissions, and channels with them (TURN-248, TURN-249) */
	LAPSE_MS = 300000,
	ASK_AGAIN_MS = 20, /* for a peer that is not known yet; doubled up to a second */
	SENDS = 7,         /* Rc; the last waits LAST_WAIT times the first RTO (STUN-120) */
	LAST_WAIT = 16
};

/* What a client is about. */
enum phase {
	PHASE_REST,    /* nothing of it moves */
	PHASE_WAITING, /* for its turn to go where its goal is */
	PHASE_RISING,
	PHASE_READY,
	PHASE_SINKING,
	PHASE_FAILED,
	PHASE_LOST
};

/* The transaction under way. */
enum doing {
	DO_NOTHING,
	DO_ALLOCATE,
	DO_PERMIT,
	DO_BIND,
	DO_REFRESH,
	DO_DELETE, /* Refresh of zero, the goal */
	DO_CLEAR,  /* Refresh of zero because of 437; Allocate comes next */
	DO_CHURN_PERMIT,
	DO_CHURN_BIND
};

enum {
	IN_WINDOW = 1,
	ALLOCATED = 2, /* the server said so, and it has not ended */
	PERHAPS = 4,   /* an Allocate that may have worked went unanswered */
	PROVEN = 8     /* an answer to its credentials had right integrity */
};

struct client {
	uint64_t first_ns; /* of the transaction under way */
	struct addr relay;
	uint16_t relay_port; /* 0: none */
	uint16_t nonce_len;
	uint32_t seq;                /* of the transaction under way */
	uint32_t refresh_ms, end_ms; /* of the allocation */
	uint32_t peer;               /* the next to be bound or renewed */
	uint32_t extra;              /* of a churn: the peer */
	uint16_t bare;               /* code of an error that came without integrity */
	uint8_t realm;               /* index; REALMS_MAX: not known */
	uint8_t goal, phase, doing, flags;
	uint8_t sends;        /* of the transaction */
	uint8_t batch;        /* peers in it */
	uint8_t stale, tries; /* 438 in a row; goes at what failed */
	uint8_t asked;        /* for a peer that is not known */
	uint8_t reserved[4];
	union {
		uint8_t octets[FLEET_NONCE_INLINE];
		uint8_t *heap; /* nonce_len > FLEET_NONCE_INLINE */
	} nonce;
};
static_assert(sizeof(struct client) == 112, "what fleet.h says");

/* How messages are signed, by what the server offers. */
enum key_kind { KEY_SHA1, KEY_SHA256_MD5, KEY_SHA256 };

struct realm {
	char text[FLEET_TEXT_MAX + 1];
	uint8_t text_len;
	uint8_t algorithms_len; /* 0: none were offered */
	uint8_t algorithms[ALGORITHMS_MAX];
	bool userhash;
	uint8_t kind;
	uint8_t hash[CRYPTO_SHA256_LEN]; /* USERHASH of the one name there is */
};

struct key {
	uint32_t made_for; /* realm index + 1; 0: nothing */
	union {
		struct crypto_hmac_sha1 sha1;
		struct crypto_hmac_sha256 sha256;
	} u;
};

/* A text with the client's number in it. */
struct pattern {
	char head[FLEET_TEXT_MAX + 1], tail[FLEET_TEXT_MAX + 1];
	uint16_t head_len, tail_len;
	bool numbered;
};

struct fleet {
	struct fleet_config cfg;
	struct pattern user, password;
	struct crypto_hmac_sha1 secret; /* of cfg.rest_secret */
	struct realm realm[REALMS_MAX];
	unsigned n_realms;
	bool key_each; /* a key a client; else one a realm */
	struct key *key;

	struct client *client;
	uint32_t *renew_ms; /* of each peer of each client; 0: not bound */
	struct wheel wheel;
	struct histogram *rtt;
	struct fleet_counts counts;
	fleet_told *told;
	void *told_arg;

	bool started;
	uint64_t zero_ms; /* of the wheel's time */
	uint64_t now_ns;
	uint64_t next_start_ns;
	uint64_t gap_ns; /* between two that set out; 0: none */
	uint64_t in_window;
	uint64_t random;
	uint32_t tag;
	bool turn; /* whose turn it is in fleet_poll(): those that wait */
};

/* --- fleet.c --- */

uint32_t fleet_ms(const struct fleet *f);
/* A new transaction, sent by the next fleet_poll(). */
void fleet_begin(struct fleet *f, uint32_t i, enum doing doing);
/* Nothing is under way any more: what the client has to do next, or when. */
void fleet_step(struct fleet *f, uint32_t i);
/* fleet_step() after a pause, outside the window. */
void fleet_park(struct fleet *f, uint32_t i, uint32_t ms);
/* It cannot get or keep what it wants, or be sure that it is gone. */
void fleet_fail(struct fleet *f, uint32_t i);
/* Its allocation is gone as it should be. */
void fleet_gone(struct fleet *f, uint32_t i);
/* When peer 0 of the client is to be renewed; the others follow. */
uint32_t *fleet_renewals(const struct fleet *f, uint32_t i);

/* --- fleet_answer.c --- */

/* The transaction ended with an error. */
void fleet_refused(struct fleet *f, uint32_t i, unsigned code);

/* --- fleet_ask.c --- */

/* Octets of the request that the client's state stands for; the same for every retransmission. */
size_t fleet_ask(struct fleet *f, uint32_t i, uint8_t *out, size_t cap);
/* Peers from `first` on that go into one CreatePermission; 0: the first is not known yet. */
unsigned fleet_ask_batch(struct fleet *f, uint32_t i, uint32_t first);
uint16_t fleet_number(const struct fleet *f, uint32_t i, uint32_t peer);
unsigned fleet_method(enum doing doing);
/* Requests of the client carry credentials. */
bool fleet_signs(const struct fleet *f, const struct client *c);

/* --- fleet_key.c --- */

bool fleet_key_open(struct fleet *f);
void fleet_key_close(struct fleet *f);
/* The realm with just these properties; REALMS_MAX: it cannot be used. */
unsigned fleet_key_realm(struct fleet *f, const struct stun_attr *realm,
                         const struct stun_attr *algorithms, bool userhash);
const struct key *fleet_key(struct fleet *f, uint32_t i, unsigned realm);
/* The client's name. */
size_t fleet_key_user(const struct fleet *f, uint32_t i, char out[FLEET_TEXT_MAX + 1]);
void fleet_key_mac(const struct key *k, enum key_kind kind, const struct crypto_piece *pieces,
                   unsigned n, uint8_t mac[CRYPTO_SHA256_LEN]);
const uint8_t *fleet_nonce(const struct client *c);
/* false: too long, or no memory. */
bool fleet_set_nonce(struct client *c, const uint8_t *octets, size_t len);
void fleet_forget_nonce(struct client *c);
