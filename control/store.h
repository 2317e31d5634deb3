/*
 * The mapped truth: fixed-size records in a tmpfs file that outlives the process.
 *
 * A record has two bodies and one word that says which is valid. A change is written to the other
 * body and published by one release store, so a writer killed at any instruction leaves the old
 * body or the new one, never a mixture. What a kill cannot undo needs no journal: the page cache
 * keeps every executed store. Promised: death of either process. Not promised: reboot (the header
 * carries the boot id; another boot id means start empty and say so), power loss.
 *
 * One request commits in one record. Overflow records are written first and count only when their
 * parent's flip names their generation. Indexes, quotas, port bitmaps, timers are derived at start.
 *
 * Units      Sizes in octets. `ref` is a record index, 1-based; 0 is none.
 * Threads    Control thread only; a reader in another process may map it read-only.
 * Errors     store_open: -ENOSPC (tmpfs full: posix_fallocate said so), -EBUSY (another control
 *            holds the lock), -EPROTO (another layout version), -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORE_BODY = 112 /* octets of body; two of them and the word make a 256-octet record */ };

enum store_kind {
	STORE_FREE = 0,
	STORE_ALLOCATION = 1,
	STORE_OVERFLOW = 2,
	STORE_RESERVATION = 3,
	STORE_USER = 4,
	STORE_SESSION = 5, /* later */
	STORE_NONCE = 6,   /* nonce keys */
	STORE_NAME = 7,    /* realms and listener addresses, named by others */
	STORE_KIND_END
};

typedef uint32_t store_ref;

struct store;

/*
 * `found` tells whether an earlier life's records are there. A file with more records keeps them
 * all (store_capacity() says how many); one with fewer grows. Errors are logged, with what to do.
 */
int store_open(struct store **out, const char *path, uint32_t n_records, bool *found);
/* The same with room for n_first now and, as they are needed, n_max. */
int store_open_growing(struct store **out, const char *path, uint32_t n_first, uint32_t n_max,
                       bool *found);
/* keep: leave the file for the next life; else unlink it. */
void store_close(struct store *s, bool keep);

/* Room for n more records, made if need be. false: full, or the file system is; told once. */
bool store_room(struct store *s, uint32_t n);
/* The i-th record that will be taken from now is about to be written: fetch it. A hint. */
void store_prefetch(const struct store *s, uint32_t i);
/* A free record's index, or 0 when the store is full. Reserved in memory only until committed. */
store_ref store_take(struct store *s);
/* Publishes `body` (STORE_BODY octets) as the record's content. One release store. */
void store_commit(struct store *s, store_ref ref, enum store_kind kind, const void *body);
/* The record becomes free, by one release store; a taken one that was never committed too. */
void store_free(struct store *s, store_ref ref);

/* The valid body, or NULL if the record is free. Valid until the second next commit to it. */
const void *store_body(const struct store *s, store_ref ref, enum store_kind *kind);
/* Counts the commits of a record; an overflow record is named with it. */
uint32_t store_generation(const struct store *s, store_ref ref);

/* Next record in use after `ref` (0 to begin), or 0. */
store_ref store_next(const struct store *s, store_ref ref);
uint32_t store_used(const struct store *s);     /* committed, not merely taken */
uint32_t store_capacity(const struct store *s); /* the most there may be */
