/*
 * One request: what was read from it, and what was found out about who asks. alloc.c, perm.c and
 * chan.c decide; request.c answers.
 *
 * Ownership  Lives on the stack of turn_on_request(), or in the server from turn_expect() until its
 *            turn comes; attributes point into the message.
 */
#pragma once

#include "control/turn/server.h"
#include "wire/integrity.h"
#include "wire/stun_build.h"

struct request {
	const uint8_t *octets;
	size_t len;
	struct stun_msg msg;
	struct stun_marks marks;
	uint16_t method;
	uint8_t decision;    /* its place among the methods */
	enum turn_stat drop; /* why it gets no answer; TURN_STAT_COUNT: it gets one */
	struct endpoint client;
	uint8_t listener; /* slot */
	uint64_t cookie;
	bool unknown; /* a comprehension-required attribute that is not known */

	/* The first of each that counts; value NULL: none. */
	struct stun_attr username, userhash, realm, nonce, algorithm, algorithms;
	struct stun_attr lifetime, transport, family, additional, even_port, token, dont_fragment,
		ticket, channel, peer;

	uint64_t hash_tuple; /* of client and listener */
	uint64_t hash_name;  /* of `name` and `hashed_realm`, if `named` */
	uint8_t hashed_realm;
	bool named;          /* `name` is USERNAME */
	struct alloc *alloc; /* on this five-tuple, or NULL */

	/* From auth_check(). */
	uint8_t realm_slot;  /* the one that counts here */
	struct name name;    /* of the user */
	struct name owner;   /* time-limited names: who is counted */
	struct cred *who;    /* NULL: not authenticated, the answer is not signed */
	unsigned key;        /* KEY_MD5, KEY_SHA256 */
	bool answer_sha256;  /* the kind of integrity due (STUN-094) */
	const char *refusal; /* why a login was refused, for logs */
};

static inline bool attr_there(const struct stun_attr *a)
{
	return a->value != NULL;
}
