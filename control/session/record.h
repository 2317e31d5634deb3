/*
 * What the store holds of sessions, and when it is written. All bodies are of kind STORE_SESSION
 * and begin with what they are.
 *
 *   session   its id and name. It makes its legs count: written last, freed first.
 *   leg       the head of a leg's image: who it is, how many octets there are, the first of them
 *   more      the other octets, in pieces. A piece counts if it names the head and its stamp.
 *   ids       up to where ids may have been given out: none of them is used again
 *
 * A leg's change is written to new pieces, then the head is flipped, whose stamp makes them count,
 * then the old pieces are freed. A kill at any instruction leaves the old image or the new.
 *
 * Errors     false: the store is full; what it held before is there still.
 * Secrets    Images hold passwords, as the store holds nonce keys: mode 0600, wiped when freed.
 */
#pragma once

#include "control/session/parts.h"

enum record_sort { RECORD_SESSION = 1, RECORD_LEG = 2, RECORD_MORE = 3, RECORD_IDS = 4 };
enum {
	IDS_AHEAD = 1024,
	HEAD_PART = 88,
	MORE_PART = 92,
	IMAGE_MAX = HEAD_PART + LEG_PIECES_MAX * MORE_PART
};

struct body_session {
	uint8_t sort, reserved[7];
	uint64_t id, created_ms;
	char name[SESSION_NAME_MAX];
	uint8_t reserved2[24];
};

struct body_leg {
	uint8_t sort, number;
	uint16_t octets; /* of the whole image */
	uint32_t stamp;
	uint64_t session;
	uint8_t part[HEAD_PART];
	uint32_t heard_s; /* the peer, last: of its consent */
	uint8_t reserved[4];
};

struct body_more {
	uint8_t sort, piece; /* from 0 */
	uint16_t reserved;
	uint32_t stamp;
	uint64_t session;
	store_ref head;
	uint8_t part[MORE_PART];
};

struct body_ids {
	uint8_t sort, reserved[7];
	uint64_t next;
	uint8_t reserved2[96];
};

static_assert(sizeof(struct body_session) == STORE_BODY, "");
static_assert(sizeof(struct body_leg) == STORE_BODY, "");
static_assert(sizeof(struct body_more) == STORE_BODY, "");
static_assert(sizeof(struct body_ids) == STORE_BODY, "");

/* The leg as it is now. */
bool record_leg(struct session_server *srv, uint32_t n);
/* Only when its peer was last heard: one flip. */
void record_heard(struct session_server *srv, uint32_t n, uint32_t heard_s);
void record_leg_free(struct session_server *srv, uint32_t n);
/* After its legs. */
bool record_session(struct session_server *srv, uint32_t n);
void record_session_free(struct session_server *srv, uint32_t n);
/* The next id, which the store will not give out again. 0: no room. */
uint64_t record_next_id(struct session_server *srv);

/* A record that holds passwords becomes free, and holds none. */
void record_wipe(struct store *store, store_ref ref);

/* image.c: a leg as octets, and back. 0, false: does not fit, cannot be. */
struct image {
	struct leg_plan plan; /* ports are not taken yet */
	bool has_remote;
	const uint8_t *agent; /* what leg_save() gave; inside what was unpacked */
	size_t agent_len;
	uint32_t heard_s;
};
bool image_unpack(struct session_server *srv, const uint8_t *in, size_t len, struct image *out);
size_t image_pack(const struct session_server *srv, const struct leg *l, uint8_t out[IMAGE_MAX]);
