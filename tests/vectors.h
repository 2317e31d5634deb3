/*
 * The test vectors of tests/vectors/vectors.json: octets, and what a receiver makes of them.
 *
 * The file   `contexts`: who receives (credentials, valid nonces, features). `tables`: message
 * types, keys and more. `vectors`: each with `name`, `kind`, `req` (requirements), `hex` (empty: an
 * empty datagram), `expect`. A missing key means none or empty. Kinds      stun         `message`
 * and `attributes` where accepted (every attribute in order, with type, offset of its header,
 * length and value), `keys` of its MACs, `answer`: the vector that answers it channeldata  channel,
 * length, data, padding stream       frames, rest; new_connection: the first octets of a connection
 *            demux        outcome of a listener with (`dtls`) or without DTLS
 *            sum          checksum arithmetic: old_sum, old, new, new_sum; or whole IP packets
 *                         `before` and `after` with the octets that left or joined between them
 *            token        RFC 7635 tokens
 * Actions    accept; error with `code` (and `unknown` for 420); discard; reject (tokens); idle,
 * wait, close (streams, once `frames` are cut out); stun, dtls, channeldata, "drop NAME" (demux) A
 * server with a context goes on, after accept, to what needs state, and may still answer 437 or
 * 508.
 *
 * Ownership  Everything belongs to the struct vectors. `octets` is a heap block of exactly `len`.
 * Errors     A file that cannot be read ends the program with status 2 and a line that says why.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vector {
	const char *name, *kind;
	const char *context;   /* stun only, else "" */
	const char *transport; /* "udp" or "tcp" */
	uint8_t *octets;
	size_t len;
	const char *action, *why; /* "" where there is none */
	unsigned code;            /* 0: none */
	const json_t *receiver;   /* the context's object, or NULL */
	const json_t *json;       /* everything else */
};

struct vectors {
	json_t *doc;
	struct vector *list;
	size_t n;
};

/* The file is VECTORS_JSON, which the build defines, or the one named by the environment. */
struct vectors *vectors_load(void);
void vectors_free(struct vectors *vs);

/* NULL: there is none of this name. */
const struct vector *vectors_find(const struct vectors *vs, const char *name);

/* Hex to a heap block of exactly *len octets (the caller frees it); NULL where text is not hex. */
uint8_t *vectors_hex(const char *text, size_t *len);

/* A string of an object, "" if it is not there. */
const char *vectors_text(const json_t *object, const char *key);
