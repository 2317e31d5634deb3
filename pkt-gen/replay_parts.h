/* What the replay's files share: replay_load.c reads a capture into a plan, replay_message.c makes
 * its messages anew for the target, replay.c sends them and hears the answers. */
#pragma once

#include "crypto.h"
#include "pkt-gen/apart.h"
#include "pkt-gen/capture.h"
#include "pkt-gen/replay.h"
#include "pkt-gen/storm_parts.h"
#include "wire/turn.h"

enum {
	REPLAY_KEY = 18,
	REPLAY_ITEMS_MAX = 4 << 20,
	REPLAY_PAYLOAD_MAX = 1440, /* of a datagram, with room for our credentials */
	REPLAY_TEXT_MAX = 255,     /* of a realm, of a nonce */
	REPLAY_METHODS = 16,
	REPLAY_NONE = -1,
};

/* Keys numbered in the order they came: endpoints, transactions. */
struct index {
	uint8_t (*key)[REPLAY_KEY];
	int32_t *slot;
	int32_t n, cap;
	uint32_t slots;
};

enum replay_kind {
	REPLAY_REQUEST,
	REPLAY_INDICATION, /* its XOR addresses hang on the transaction id */
	REPLAY_DATA,       /* as it is: ChannelData and whatever else a client sent */
	REPLAY_PEER        /* from a peer to a relayed address */
};

struct replay_item {
	uint64_t at_ns; /* since the first */
	size_t octets;  /* offset of the payload */
	uint16_t len;
	uint8_t kind;
	int32_t client;
	int32_t what; /* REQUEST: transaction; PEER: relayed address */
	int32_t peer; /* PEER: its sender */
	int32_t next; /* of those that wait for the client's answer */
};

enum replay_state { REPLAY_UNSENT, REPLAY_PENDING, REPLAY_ANSWERED, REPLAY_UNANSWERED };

struct replay_transaction {
	int32_t client, item; /* the first that carries it */
	uint16_t method;
	int16_t code;  /* that the capture's server answered; 0: success, -1: nothing */
	int16_t got;   /* the target's */
	uint8_t state; /* enum replay_state */
	uint8_t attempt;
	bool authenticated;
	uint8_t txid[STUN_TXID_LEN]; /* that was sent last */
};

struct replay_client {
	int32_t pending; /* transaction, or REPLAY_NONE */
	int32_t first, last;
	uint64_t until_ns; /* that the answer is waited for */
	struct crypto_hmac_sha1 key;
	uint8_t realm_len, nonce_len; /* nonce_len 0: the target has not said one */
	char realm[REPLAY_TEXT_MAX + 1], nonce[REPLAY_TEXT_MAX];
};

struct replay_relayed {
	struct endpoint live; /* port 0: not known yet */
	int32_t client, transaction;
};

struct replay {
	struct storm_field field;
	struct endpoint server; /* the target */
	struct apart apart;
	double speed;
	uint32_t tag;                /* first word of our transaction ids */
	const char *user, *password; /* NULL: authenticated requests stay as they are */
	uint8_t peer_macs[12];
	uint8_t peer_lane;

	uint8_t *octets;
	size_t octets_n, octets_cap;
	struct replay_item *item;
	int32_t items, items_cap;
	struct index txids, clients, peers, peer_ips, relays, relay_ips;
	struct replay_transaction *transaction;
	int32_t transactions_cap;
	struct replay_client *client;
	struct replay_relayed *relayed;
	int32_t relayed_cap;
	struct endpoint captured; /* the server */
	uint64_t seen[CAPTURE_COUNT], foreign, too_long;

	bool begun;
	uint64_t begin_ns, now_ns, last_ns;
	int32_t next, look;
	int32_t waiting, pending; /* items in backlogs; transactions under way */
	struct rte_mbuf *out[ENGINE_BURST];
	unsigned out_n;
	uint8_t out_lane;
	struct {
		uint64_t asked, answered, differs, unanswered;
		uint64_t code[700];
	} method[REPLAY_METHODS];
	uint64_t sent, from_peers, to_clients, to_peers, repeats, unmapped, no_room, stray;
};

/* The number of a key; REPLAY_NONE: it has none. */
int32_t index_find(const struct index *x, const uint8_t key[REPLAY_KEY]);
/* Gives it one if it has none; REPLAY_NONE: no memory. */
int32_t index_add(struct index *x, const uint8_t key[REPLAY_KEY]);
void index_free(struct index *x);
void index_endpoint(uint8_t key[REPLAY_KEY], const struct endpoint *e);
void index_txid(uint8_t key[REPLAY_KEY], int32_t client, uint16_t method,
                const uint8_t txid[STUN_TXID_LEN]);

/* Reads the capture: items, transactions, clients, relayed addresses. false, logged. */
bool replay_load(struct replay *r, FILE *in, const char *path);

/* What to send for a request or an indication; 0: it cannot be made. txid as given. */
size_t replay_message(const struct replay *r, const struct replay_item *item,
                      const uint8_t txid[STUN_TXID_LEN], uint8_t *out, size_t cap);
/* Realm and nonce of a 401 or 438, and the key that follows. false: it has none. */
bool replay_learn(const struct replay *r, int32_t client, const struct stun_msg *msg);
/* Where a captured peer is now; port 0: not known yet. */
struct endpoint replay_peer(const struct replay *r, const struct endpoint *captured);
