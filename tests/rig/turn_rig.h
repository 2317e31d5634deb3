/*
 * A TURN server under test: the engine with a store of its own, a clock and a random source the
 * test owns, and a data plane made of one array, which answers commands as the real one does. Used
 * by unit tests, the fuzz target and the bench.
 *
 * Ownership  rig_open() makes everything, rig_close() removes it, the store's file too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/turn/turn.h"
#include "wire/stun_build.h"

enum { RIG_LISTENERS = 3, RIG_USERS = 8 };

/* A client: where it is, who it says it is, what it has learned. */
struct rig_client {
	struct endpoint at;
	uint16_t listener; /* data plane id: 10 IPv4, 11 IPv6, 12 a second IPv4 */
	const char *user, *password;
	char realm[128];
	uint8_t nonce[64];
	unsigned nonce_len;
	bool sha256;   /* uses PASSWORD-ALGORITHM SHA-256 */
	bool userhash; /* instead of USERNAME */
	bool fingerprint;
};

/* One message being built. */
struct rig_message {
	struct stun_builder b;
	uint8_t buf[2048];
	unsigned method;
};

struct rig_flow {
	struct cmd_flow flow;
	uint32_t row;
};

struct rig {
	struct config cfg;
	struct config_user users[RIG_USERS];
	struct prefix allow[8], deny[8];
	struct store *store;
	char path[64];
	uint32_t n_records;
	struct turn_server *srv;
	uint64_t now_ms;
	uint32_t wall_s;

	bool retry; /* rig_ask() asks again after 438, as clients do */

	/* the data plane */
	bool deaf;     /* does not answer commands */
	bool full;     /* answers every set ROW_FULL */
	bool detached; /* commands are thrown away, uncounted */
	struct rig_flow *flows;
	size_t n_flows, flows_cap;
	bool index_flows; /* false: flows are not kept, for speed */
	uint32_t next_row;
	/* Another data plane than the array: carries a CMD_SET or CMD_DELETE out, fills the event.
	 */
	void (*on_flow)(enum cmd_kind kind, const struct cmd_flow *c, struct punt_row *ev);
	uint64_t count_packets, count_octets; /* what every row shows */

	/* what came out */
	struct turn_info begin, end, refused; /* the last of each */
	unsigned n_begin, n_end, n_refused, n_sets, n_deletes, n_keys, n_templates, n_synced;
	unsigned sets_before_answer; /* sets since the last answer, when one came out */
	unsigned sets_since;
	uint8_t answer[2048];
	size_t answer_len; /* 0: silence */
	struct cmd_transmit transmit;
	struct cmd_template templates[16];
	uint8_t template_octets[16][256];
	struct cmd_realm realms[16];
	unsigned n_realms;
};

/* `tweak` changes the default configuration before the server is made; NULL: none. */
typedef void rig_tweak(struct rig *r);
void rig_open(struct rig *r, rig_tweak *tweak);
void rig_close(struct rig *r);
/* The process dies and comes back on the same store; the data plane lives on, and is synced. */
void rig_restart(struct rig *r);
/* The two halves of it: nothing is open between them. */
void rig_down(struct rig *r);
void rig_up(struct rig *r);
/* Carries out actions until there are none. */
void rig_drain(struct rig *r);
/* Time passes, with every timer on its way. */
void rig_wait(struct rig *r, uint64_t ms);
void rig_sync(struct rig *r);

/* An IPv4 or IPv6 client of user "alice" with its own address. */
struct rig_client rig_client4(unsigned i);
struct rig_client rig_client6(unsigned i);
struct endpoint rig_at(const char *text);
struct endpoint rig_peer4(unsigned i, uint16_t port); /* allowed by policy */
struct endpoint rig_peer6(unsigned i, uint16_t port);

/* A message with a fresh transaction id. */
void rig_begin(struct rig *r, struct rig_message *m, unsigned method);
/* Credentials and integrity as the client has them, FINGERPRINT if it sends them. */
void rig_sign(struct rig *r, struct rig_message *m, const struct rig_client *c);
/* Sends it; the error code, 0 for success, -1 for silence. Learns realm and nonce from 401, 438. */
int rig_send(struct rig *r, struct rig_client *c, const struct rig_message *m);
int rig_send_octets(struct rig *r, struct rig_client *c, const uint8_t *octets, size_t len);
/* sign and send, fetching a nonce first if there is none. */
int rig_ask(struct rig *r, struct rig_client *c, struct rig_message *m);

/* The usual requests. */
int rig_allocate(struct rig *r, struct rig_client *c);
int rig_refresh(struct rig *r, struct rig_client *c, int64_t lifetime_s); /* -1: no LIFETIME */
int rig_permit(struct rig *r, struct rig_client *c, const struct endpoint *peer, unsigned n);
int rig_bind(struct rig *r, struct rig_client *c, uint16_t number, const struct endpoint *peer);

/* Of the last answer. */
bool rig_attr(const struct rig *r, uint16_t type, struct stun_attr *out);
unsigned rig_attr_count(const struct rig *r, uint16_t type);
struct endpoint rig_relayed(const struct rig *r, unsigned i); /* i-th XOR-RELAYED-ADDRESS; port 0 */
uint32_t rig_lifetime(const struct rig *r);                   /* UINT32_MAX: none */
/* Integrity is there and right under the client's key; `type` is its attribute, 0 for any. */
bool rig_signed(const struct rig *r, const struct rig_client *c, uint16_t type);

/* A flow of the data plane, or NULL. peer NULL: the allocation's. */
const struct cmd_flow *rig_flow_of(const struct rig *r, const struct rig_client *c, uint8_t kind,
                                   const struct endpoint *peer);

uint32_t rig_random(uint32_t below); /* seeded; rig_seed() begins a run again */
void rig_seed(uint64_t seed);
