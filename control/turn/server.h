/*
 * What the files of this folder share: the server's tables. The contract is turn.h.
 *
 *   request.c  one request in, one response out      auth.c    who asks
 *   alloc.c    Allocate, Refresh, end                ports.c   relayed ports
 *   perm.c     CreatePermission, peer policy         chan.c    ChannelBind
 *   peer.c     permissions and channels as entries   user.c    users, names, quotas
 *   flow.c     flows towards the data plane          action.c  the queue of actions
 *   record.c   what the store holds                  restore.c reading it back
 *   template.c answers of the workers, nonce keys    list.c    what operators see
 *   server.c   life of the server, its configuration check.c   invariants, for tests
 *   share.c    what ICE sessions share with it
 *
 * Everything is an element of a fixed pool, named by its number; NONE is no element. Times of
 * allocations, permissions and channels are whole seconds of CLOCK_MONOTONIC, rounded up, in
 * memory, in the store and in rows alike, so that all three agree to the second.
 */
#pragma once

#include "abi/command.h"
#include "addr.h"
#include "config.h"
#include "crypto.h"
#include "control/store.h"
#include "control/timer.h"
#include "control/turn/error.h"
#include "control/turn/index.h"
#include "control/turn/ports.h"
#include "control/turn/stats.h"
#include "control/turn/turn.h"
#include "nonce.h"
#include "wire/stun.h"

static const uint32_t NONE = INDEX_NONE;

enum {
	PERMISSION_S = 300,   /* RFC 8656 §9 */
	CHANNEL_S = 600,      /* RFC 8656 §12 */
	LIFETIME_MIN_S = 600, /* RFC 8656 §7.2 */
	MEMORY_S = 40,        /* retransmissions, TURN-039 */
	ACK_MS = 2000,        /* how long a delete may stay unacknowledged */
	NONCE_KEY_S = 86400,  /* STUN-108 */
	REALM_MAX = 92,       /* octets: a 401 has to stay within its bounds */
	REALMS_MAX = 16,
	LISTENER_SLOTS = 255,
	RELAY_SLOTS = 128,
	NAME_MAX_WIRE = 763, /* STUN-071 */
	RUNTIME_USERS_MAX = 4096,
	MEMO_MAX = 32768,
	LIST_HINTS = 64,
	DIRTY_MAX = 512, /* more addresses than one request has room for */
};

/* A user name by value: whole if it is short, else its beginning and a digest of all of it. */
enum { NAME_SHORT = 54, NAME_HEAD = NAME_SHORT - CRYPTO_SHA256_LEN };
struct name {
	uint16_t len;
	uint8_t text[NAME_SHORT];
};

struct realm {
	char text[REALM_MAX + 1]; /* empty: a free slot */
	store_ref ref;
	uint32_t refs;
};

struct listener {
	struct endpoint at;
	uint8_t transport; /* 0: a free slot */
	bool known;        /* the data plane serves it */
	uint16_t id;       /* there */
	store_ref ref;
	uint32_t refs;
	uint8_t scope[NONCE_SCOPE_LEN];
};

struct relay {
	struct addr addr, advertise;
	struct ports *ports; /* NULL: only allocations of an earlier life */
	bool used, configured, known;
	uint16_t id;
};

/* Whom allocations are counted for: a user name, or the id part of a time-limited one. */
struct owner {
	struct name name;
	uint32_t count; /* live allocations */
	uint32_t refs;  /* credentials and reservations */
};

/* A credential: one name, realm and password, as keys. Fixed for what uses it (TURN-025). */
enum {
	CRED_USED = 1,
	CRED_FILE = 2,    /* a user of the configuration */
	CRED_RUNTIME = 4, /* added by an operator, in the store */
	CRED_REST = 8,    /* a time-limited name; lives as long as its allocations */
};
enum { KEY_MD5, KEY_SHA256, KEYS };

struct cred {
	/* The line by which it is found, and the line a MAC needs. */
	struct name name;
	uint32_t owner;
	uint8_t realm, flags;
	uint8_t ready; /* midstates computed: 1 << key for SHA-1, 4 << key for SHA-256 */
	struct crypto_hmac_sha1 hmac_sha1[KEYS]; /* [KEY_MD5] is what nearly every client uses */
	uint32_t refs;                           /* allocations */
	store_ref ref;                           /* 0: not in the store yet */
	uint32_t list_at;
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN], userhash[CRYPTO_SHA256_LEN];
	struct crypto_hmac_sha256 hmac_sha256[KEYS];
};

enum flow_state { FLOW_OFF, FLOW_SET, FLOW_DELETING };

/* One relayed address of an allocation: leg[0] IPv4, leg[1] IPv6. */
struct leg {
	uint8_t relay; /* slot; 0xFF: this allocation has no such leg */
	uint8_t flow;  /* enum flow_state */
	uint16_t port;
	uint32_t expires_s;
	uint32_t row;
};
enum { NO_RELAY = 0xFF };

enum { ELEMENT_FREE, ELEMENT_LIVE, ELEMENT_DYING };

struct alloc {
	uint64_t id;
	uint64_t from_packets, from_octets, to_packets, to_octets; /* of rows that are gone */
	struct endpoint client;
	uint8_t listener, state, end;
	bool has_token, dirty, doomed; /* doomed: to end for `end` when there is room */
	uint16_t partial;              /* dual asked, one given: the other's error (TURN-053) */
	uint8_t txid[STUN_TXID_LEN];   /* of the creating Allocate (TURN-039) */
	uint8_t token[TURN_RESERVATION_TOKEN_LEN];
	struct leg leg[2];
	uint32_t gen; /* of the pool element */
	uint32_t cred;
	uint32_t created_s;
	uint32_t peers, n_perms, n_chans; /* list of live and dying entries; live ones of each */
	uint32_t n_orphans; /* channels whose permission has lapsed (strict permissions) */
	uint32_t overs;     /* list of overflow records */
	uint32_t inline_perm, inline_chan;
	uint32_t pending; /* deletes not acknowledged */
	uint32_t synced;  /* sync epoch in which its flows were named */
	store_ref ref;
	uint32_t stamp; /* of the parent record: overflow records up to it count */
};

/* A permission (channel 0, port 0) or a channel. */
struct peer {
	struct endpoint at;
	uint16_t channel;
	uint8_t state, slot; /* slot: in the overflow record */
	uint8_t flow;        /* enum flow_state */
	uint32_t gen;
	uint32_t alloc, prev, next;
	uint32_t deadline_s;        /* by the letter: 300 or 600 after the last request */
	uint32_t keep_s;            /* permission: until when a channel keeps it alive (TURN-109) */
	uint32_t told_s, told_in_s; /* deadlines the data plane has */
	uint32_t row;
	uint32_t perm;                 /* channel: its permission; permission: NONE */
	uint32_t chans, sib_prev, sib; /* permission: its channels; channel: the next of the list */
	uint32_t over;                 /* overflow record it lies in; NONE: the parent record */
};

/* An overflow record: three permissions, each with a channel to the same address. */
enum { OVER_SLOTS = 3 };
struct over {
	uint32_t alloc, prev, next;
	store_ref ref;
	uint32_t perm[OVER_SLOTS], chan[OVER_SLOTS];
	bool dirty;
};

struct reservation {
	uint8_t token[TURN_RESERVATION_TOKEN_LEN];
	uint8_t relay;
	uint16_t port;
	uint32_t expires_s;
	uint32_t owner;
	uint64_t alloc_id;
	store_ref ref;
};

/* What became of a request whose allocation is gone (TURN-067): a ring, the oldest is overwritten.
 */
struct memo {
	struct endpoint client;
	uint16_t method;
	uint8_t txid[STUN_TXID_LEN];
	uint32_t until_s;
	uint8_t listener;
	bool used;
};

/* Numbers of free elements; LIFO. Those never taken are not written down: no page for them. */
struct pool {
	uint32_t *spare;
	uint32_t n_spare, n; /* free ones, all */
	uint32_t fresh;      /* the first that was never taken */
};

struct nonce_key {
	uint8_t key[NONCE_KEY_LEN];
	uint32_t made_s; /* wall clock */
	uint8_t epoch;
	bool used;
	store_ref ref;
};

struct login;   /* limit.c */
struct request; /* request.h */

struct turn_server {
	const struct config *cfg;
	struct policy policy;
	struct store *store;
	turn_random *random;
	turn_counts *counts;
	uint64_t now_ms;
	uint32_t now_s; /* rounded up */
	uint32_t wall_s;

	alignas(8) uint8_t entropy[512];
	unsigned entropy_left;

	struct alloc *allocs;
	struct peer *peers;
	struct over *overs;
	struct reservation *reservations;
	struct cred *creds;
	struct owner *owners;
	struct memo *memos;
	struct pool pool_alloc, pool_peer, pool_over, pool_reservation, pool_cred, pool_owner;
	struct index by_tuple, by_id, by_perm, by_number, by_peer, by_token, by_name, by_userhash,
		by_owner, by_memo;
	uint32_t memo_next, memo_until_s; /* latest of all */
	uint32_t dirty[DIRTY_MAX];        /* overflow records to write with this request */
	unsigned n_dirty;
	uint32_t placing; /* overflow record that restored entries go to; NONE */
	uint8_t placing_slot;
	uint32_t n_live, n_ending;
	uint64_t next_id;

	struct realm realms[REALMS_MAX];
	uint8_t realm; /* the configured one */
	struct listener listeners[LISTENER_SLOTS];
	uint8_t listener_of_id[65536];
	struct relay relays[RELAY_SLOTS];
	unsigned n_relays;
	struct endpoint *own; /* addresses that are no peers; port 0: the whole address */
	unsigned n_own;

	uint32_t *listed; /* credentials of current users, for listing */
	uint32_t n_listed, n_runtime;
	struct crypto_hmac_sha1 rest[CONFIG_REST_SECRETS_MAX];
	unsigned n_rest;
	uint8_t algorithms[8]; /* PASSWORD-ALGORITHMS; empty: not offered */
	unsigned algorithms_len;
	bool anonymity; /* USERHASH is offered */
	char prefix[NONCE_PREFIX_LEN];
	struct nonce_keys *nonces;
	struct nonce_key nonce_key[2]; /* [0] is the current one */
	uint32_t nonce_half;           /* half day of the derived keys */
	struct login *logins;
	struct cred tried; /* of a time-limited name without allocation; wiped after each request */

	struct request *expected; /* turn_expect(): TURN_BURST of them */
	unsigned n_expected, next_expected;

	struct timer_wheel *timers;
	uint32_t timer_peer, timer_reservation, timer_nonce; /* first node of each kind */

	uint8_t *queue; /* actions, see action.c */
	uint64_t queue_size, queue_head, queue_tail, queue_burst;
	uint32_t n_queued;

	bool connected, draining;
	uint32_t epoch;       /* of the sync */
	uint32_t sync_cursor; /* next allocation to name; NONE: no sync is under way */
	uint32_t rows_used, rows_max;
	uint32_t end_cursor; /* turn_end_all; NONE: nothing to do */
	enum turn_end end_why;
	uint32_t policy_cursor; /* peers to judge again after a reload; NONE */

	struct {
		uint64_t id;
		uint32_t at;
	} hints[LIST_HINTS]; /* what turn_list() gave out last */
	unsigned next_hint;

	turn_also *also;
	void *also_arg;

	uint64_t stats[TURN_STAT_COUNT];
};

static inline void stat_count(struct turn_server *srv, enum turn_stat id)
{
	srv->stats[id]++;
}

/* server.c */
void server_set_now(struct turn_server *srv, uint64_t now_ms);
void server_random(struct turn_server *srv, void *out, size_t len);
uint32_t server_below(void *srv, uint32_t below); /* ports_draw */
bool pool_init(struct pool *p, uint32_t n);
uint32_t pool_take(struct pool *p);                   /* NONE: empty */
uint32_t pool_peek(const struct pool *p, uint32_t i); /* what the i-th take from now will give */
void pool_give(struct pool *p, uint32_t element);
/* Work that was put off because it could fill the queue; true while more is left. */
bool server_background(struct turn_server *srv);
uint8_t server_listener_slot(struct turn_server *srv, const struct endpoint *at, uint8_t transport);
uint8_t server_relay_slot(struct turn_server *srv, const struct addr *addr);
int server_realm_slot(struct turn_server *srv, const char *text, size_t len);

static inline unsigned leg_of(const struct addr *a)
{
	return addr_is4(a) ? 0 : 1;
}

static inline bool leg_live(const struct leg *l)
{
	return l->relay != NO_RELAY;
}
