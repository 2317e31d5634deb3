/*
 * What the store holds, and when it is written. Bodies are STORE_BODY octets; addresses, not ids.
 *
 *   allocation   one record, with the first permission and a channel to the same address inside
 *   overflow     up to three more of each. It names its parent by record and id, and counts if its
 *                stamp is not above the parent's and no later record replaces it.
 *   user         a credential: name, keys, realm. Time-limited names have one for each name in use.
 *   name         realms and listener addresses, interned
 *   reservation  a held port with its token
 *   nonce        a nonce key
 *
 * A request that touches one record is committed by that record's own flip. One that touches more
 * writes its overflow records to new places, stamped one higher, and then flips the parent, whose
 * stamp makes them count; the places they replace are freed last.
 *
 * Errors     false: the store is full; nothing was written.
 */
#pragma once

#include "control/turn/server.h"

/* Room for `n` more records. */
bool record_room(const struct turn_server *srv, uint32_t n);

/* A new allocation with what it refers to; a->ref is then set. */
bool record_alloc(struct turn_server *srv, struct alloc *a);
/* Its own fields changed: expiry, legs. */
void record_alloc_again(struct turn_server *srv, struct alloc *a);
/*
 * Every record of the allocation marked dirty, as one change. Needs room for as many records as
 * are dirty, and one: ask record_room() before the first change.
 */
void record_peers(struct turn_server *srv, struct alloc *a);
/* The allocation and its overflow records are free. */
void record_alloc_free(struct turn_server *srv, struct alloc *a);

/* Restored: an overflow record that is in the store; entries placed while srv->placing names it. */
uint32_t record_adopt(struct turn_server *srv, struct alloc *a, store_ref ref);
void record_drop_empty(struct turn_server *srv, struct alloc *a, uint32_t over);

bool record_user(struct turn_server *srv, uint32_t cred);
bool record_reservation(struct turn_server *srv, struct reservation *r);
bool record_nonce(struct turn_server *srv, struct nonce_key *k);

/*
 * Gives a permission or channel its place, in the parent or in an overflow record, and marks that
 * dirty. false: no overflow record left.
 */
bool record_place(struct turn_server *srv, uint32_t peer);
/* Takes it away again. An overflow record without entries is free at once. */
void record_displace(struct turn_server *srv, uint32_t peer);
/* Its record has to be written. */
void record_touch(struct turn_server *srv, uint32_t peer);

/* restore.c: what an earlier life left. Elements by kind, to size the pools by; then all of it. */
void restore_count(const struct store *s, uint32_t count[STORE_KIND_END]);
bool restore_all(struct turn_server *srv);

/* --- bodies --- */

enum { BODY_DUAL = 1, BODY_PERM = 2, BODY_CHAN = 4, BODY_TOKEN = 8 };

/* Single: `peer` is the inline permission's address. Dual: it is the IPv6 relay's. */
struct body_alloc {
	uint64_t id;
	uint8_t client_ip[16], relay_ip[16], peer_ip[16];
	uint16_t client_port, relay_port, peer_port, channel;
	store_ref user, listener;
	uint32_t expires_s;
	uint32_t perm_s; /* dual: expiry of the IPv6 leg */
	uint32_t chan_s;
	uint32_t created_s, stamp;
	uint8_t txid[STUN_TXID_LEN];
	uint8_t flags;
	uint8_t reserved[7];
};

struct body_peer {
	uint8_t ip[16];
	uint32_t perm_s, chan_s; /* 0: none */
	uint16_t channel, port;
};

struct body_over {
	uint64_t id;
	store_ref parent, replaces;
	uint32_t stamp;
	uint32_t reserved;
	struct body_peer peer[OVER_SLOTS];
	uint8_t reserved2[4];
};

struct body_user {
	uint8_t runtime;
	uint8_t rest;
	uint8_t reserved[2];
	store_ref realm;
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN];
	struct name name;
};

enum { NAME_REALM = 1, NAME_LISTENER = 2 };
struct body_name {
	uint8_t sort, transport;
	uint16_t port;
	uint8_t ip[16];
	char text[92];
};

struct body_reservation {
	uint64_t alloc_id;
	uint8_t token[TURN_RESERVATION_TOKEN_LEN], ip[16];
	uint32_t expires_s;
	uint16_t port;
	uint8_t reserved[2];
	struct name owner;
	uint8_t reserved2[16];
};

struct body_nonce {
	uint8_t key[NONCE_KEY_LEN];
	uint32_t made_s;
	uint8_t epoch, current;
	uint8_t reserved[90];
};

static_assert(sizeof(struct body_alloc) == STORE_BODY, "");
static_assert(sizeof(struct body_over) == STORE_BODY, "");
static_assert(sizeof(struct body_user) == STORE_BODY, "");
static_assert(sizeof(struct body_name) == STORE_BODY, "");
static_assert(sizeof(struct body_reservation) == STORE_BODY, "");
static_assert(sizeof(struct body_nonce) == STORE_BODY, "");
