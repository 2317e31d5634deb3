/*
 * The TURN server, sans I/O: requests, deletions and now_ms in; actions out. No socket, clock, log
 * or random source inside, so every timer and every loss is a unit test and a recorded run replays
 * bit for bit.
 *
 * Source     RFC 8656, RFC 8489 §9.2; requirements TURN-001 to TURN-227 as far as UDP goes.
 * Units      now_ms: CLOCK_MONOTONIC milliseconds. wall_s: seconds since 1970, for time-limited
 *            names and nonces only.
 * Threads    Control thread only.
 * Order      Actions come out in the order they must be carried out: the flows that a response
 *            implies stand before it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/command.h"
#include "abi/punt.h"
#include "addr.h"
#include "config.h"
#include "control/store.h"

struct turn_server;

/* Fills `out` with unpredictable octets. The tests pass a seeded one. */
typedef void turn_random(void *out, size_t len);

/* NULL on failure with err filled. Restores what the store holds: allocations, users, nonce keys.
 */
struct turn_server *turn_new(const struct config *cfg, struct store *store, turn_random *random,
                             uint64_t now_ms, uint32_t wall_s, struct config_error *err);
void turn_free(struct turn_server *srv);

/* A new configuration (borrowed until the next one): users, limits, policy, realm. */
bool turn_reload(struct turn_server *srv, const struct config *cfg, struct config_error *err);

/*
 * What the data plane serves; control and store keep addresses and translate at join. Call after
 * each join with what the sections say, before turn_sync(). Allocations whose listener or relayed
 * address is gone end.
 */
void turn_set_tables(struct turn_server *srv, const struct abi_listener *listeners,
                     unsigned n_listeners, const struct abi_relay *relays, unsigned n_relays,
                     uint64_t now_ms);

/*
 * Rows the data plane has (life.flows_max); 0: unknown, not limited. Requests are answered 508
 * before more could be needed: a set refused after its success was sent cannot become a 508 any
 * more. A ROW_FULL event nevertheless ends the allocation (END_ROLLED_BACK).
 */
void turn_set_capacity(struct turn_server *srv, uint32_t rows);

/*
 * Records a store for this configuration may need, and those it surely will at its limit: one for
 * each allocation and each user of the file.
 */
uint32_t turn_store_records(const struct config *cfg);
uint32_t turn_store_first(const struct config *cfg);

enum turn_action_kind {
	ACTION_COMMAND, /* body: one command of abi/command.h, kind `command` */
	ACTION_BEGIN,   /* an allocation began: log it */
	ACTION_END,     /* an allocation ended: log it; counts are in the info */
	ACTION_REFUSED, /* a peer or a login was refused: count and log, rate-limited */
};

enum turn_end { END_EXPIRED, END_REFRESH, END_DELETED, END_STOPPED, END_ROLLED_BACK, END_GONE };
const char *turn_end_name(enum turn_end e);

struct turn_info {
	uint64_t id; /* of the allocation, never reused while control lives; shown to operators */
	char user[64], realm[64]; /* escaped, cut */
	struct endpoint client, server;
	struct endpoint relayed[2]; /* port 0: none; what clients are told */
	uint8_t transport;
	uint32_t expires_s; /* time left */
	uint32_t permissions, channels;
	uint64_t from_client_packets, from_client_octets, to_client_packets, to_client_octets;
	uint64_t age_s;
	enum turn_end end;
	uint16_t code; /* ACTION_REFUSED: the STUN error */
	struct endpoint peer;
	char why[32];
};

struct turn_action {
	enum turn_action_kind kind;
	enum cmd_kind command;
	uint32_t octets;
	union {
		struct turn_info info;
		uint8_t body[sizeof(struct cmd_transmit) + CMD_OCTETS_MAX];
	};
};

/*
 * The next action, or NULL. Valid until the next call that takes the server non-const. The caller
 * may leave actions in the queue when its ring is full; they stay, in order. While more than
 * TURN_BACKLOG_MAX wait, requests are dropped unanswered (the client retransmits), counted.
 */
const struct turn_action *turn_next_action(struct turn_server *srv);
void turn_pop_action(struct turn_server *srv);
enum { TURN_BACKLOG_MAX = 4096 };

/* One punted request; `octets` is the STUN message, already copied out of the ring. */
void turn_on_request(struct turn_server *srv, const struct punt *p, const uint8_t *octets,
                     size_t len, uint64_t now_ms, uint32_t wall_s);

/*
 * Requests that turn_on_request() will be given next, in this order, the octets unchanged until
 * then: they are read now, and the memory they need is fetched for all at once. A hint, nothing is
 * decided; another request in between makes the server forget the rest. n 0: none.
 */
struct turn_request {
	const struct punt *punt;
	const uint8_t *octets;
	size_t len;
};
enum { TURN_BURST = 16 };
void turn_expect(struct turn_server *srv, const struct turn_request *list, unsigned n);

/* What became of a command (PUNT_ROW). */
void turn_on_row(struct turn_server *srv, const struct punt_row *ev, uint64_t now_ms);

/* Expiry and key rotation. Call at turn_deadline_ms() or later, and after any other call ask again.
 */
void turn_on_time(struct turn_server *srv, uint64_t now_ms, uint32_t wall_s);
uint64_t turn_deadline_ms(const struct turn_server *srv);

/*
 * Emits sync begin, nonce keys, realms, templates, every live flow and sync end. Incremental: call
 * turn_sync_step() until it returns true; it stops when the action queue is full.
 */
void turn_sync(struct turn_server *srv, uint64_t now_ms);
bool turn_sync_step(struct turn_server *srv, uint64_t now_ms);

/*
 * The data plane is gone: what was sent to it and not acknowledged never will be. Allocations that
 * wait for the final counts of their deletes end now, with the counts `turn_counts` still gives
 * (the mapping outlives the process), and so do requests that wait for a row event, unanswered.
 * Until the next turn_sync() commands come out as ever and need not be carried out.
 */
void turn_on_hangup(struct turn_server *srv, uint64_t now_ms);

/* Draining: Allocate is answered 508, everything else goes on. */
void turn_set_drain(struct turn_server *srv, bool on);

/* Live allocations; those that ended, but whose ACTION_END still waits for final counts. */
uint32_t turn_allocations(const struct turn_server *srv);
uint32_t turn_ending(const struct turn_server *srv);

/*
 * Counts of a live row, by index; H asks the region. Called while listing and at the end. Rows of
 * permissions and channels count towards the peer (from_client), rows of allocations towards the
 * client (to_client). Counts of rows that went before a restart of control are not kept.
 */
typedef bool turn_counts(uint32_t row, uint64_t *packets, uint64_t *octets);
void turn_set_counts(struct turn_server *srv, turn_counts *counts);

/* Operators. `after` 0 begins; returns false at the end. Filters are the caller's. */
bool turn_list(struct turn_server *srv, uint64_t after, struct turn_info *out);
bool turn_find(struct turn_server *srv, uint64_t id, struct turn_info *out);
/* Peers of one allocation: i-th permission or channel; false past the end. */
struct turn_peer {
	struct endpoint peer; /* port 0: a permission */
	uint16_t channel;
	uint32_t expires_s;
	uint64_t packets, octets; /* towards the peer */
};
bool turn_peer(struct turn_server *srv, uint64_t id, unsigned i, struct turn_peer *out);
bool turn_delete(struct turn_server *srv, uint64_t id, enum turn_end why, uint64_t now_ms);
/* Ends everything (stop without --keep). */
void turn_end_all(struct turn_server *srv, enum turn_end why, uint64_t now_ms);

/*
 * Users added at run time live in the store, as keys under the realm of that moment; names of at
 * most 54 octets. Those of the file are not deletable.
 */
enum turn_user_result {
	USER_OK,
	USER_EXISTS,
	USER_UNKNOWN,
	USER_FROM_FILE,
	USER_FULL,
	USER_BAD_NAME
};
enum turn_user_result turn_user_add(struct turn_server *srv, const char *name,
                                    const char *password);
enum turn_user_result turn_user_delete(struct turn_server *srv, const char *name);
struct turn_user_info {
	char name[64];
	bool from_file;
	uint32_t allocations;
};
bool turn_user_list(struct turn_server *srv, unsigned i, struct turn_user_info *out);

/*
 * A time-limited credential under the first REST secret. false if there is none, or `user` does not
 * fit. TURN-195: password = base64(HMAC-SHA1(secret, username)).
 */
bool turn_credential(const struct config *cfg, const char *user, uint32_t ttl_s, uint32_t wall_s,
                     char *username, size_t username_cap, char password[32]);

/*
 * What ICE sessions (session.h) share with allocations. Ports come from the same pool and rest as
 * long; rows are counted against the same capacity; commands stand in the same queue, in order.
 */
/* A relayed port of that address, 0: none left. The second: that very one, when state is restored.
 */
uint16_t turn_port_take(struct turn_server *srv, const struct addr *relay);
bool turn_port_take_this(struct turn_server *srv, const struct addr *relay, uint16_t port);
void turn_port_release(struct turn_server *srv, const struct addr *relay, uint16_t port);
/* `n` rows more; less, if negative. false: the data plane has not so many. */
bool turn_rows(struct turn_server *srv, int n);
/* A joined data plane, and room for commands of so many octets in all, 32 more for each. */
bool turn_room(const struct turn_server *srv, uint32_t octets);
/* The body of a new command, to be filled (8-aligned); NULL: no data plane, or no room. */
void *turn_command(struct turn_server *srv, enum cmd_kind kind, uint32_t octets);
/* May the relay talk to it? As for permissions; nothing is counted. */
bool turn_peer_allowed(const struct turn_server *srv, const struct endpoint *peer);
/*
 * What else a sync has to name before its end: turn_sync_step() asks until it says true. Ask
 * turn_sync() first, then whoever names more begins.
 */
typedef bool turn_also(void *arg, uint64_t now_ms);
void turn_set_also(struct turn_server *srv, turn_also *also, void *arg);

/* Counters of the engine: requests by method, answers by code, refusals. One list, see
 * turn_stats.h. */
struct turn_stat_name {
	const char *name, *help;
};
unsigned turn_stats(const struct turn_server *srv, const struct turn_stat_name **names,
                    const uint64_t **values);

/* For tests: NULL when every invariant of TURN's state model holds, else which one does not. */
const char *turn_check_invariants(const struct turn_server *srv);
