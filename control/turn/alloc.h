/*
 * Allocations: found, timed, ended. allocate.c decides about requests.
 *
 * Source     RFC 8656 §6 to §8. Times in seconds, see server.h.
 * Ownership  An allocation is an element of a pool; LIVE until it ends, then DYING until its
 * deletes are acknowledged and its end is told.
 */
#pragma once

#include "control/turn/request.h"

struct alloc *alloc_find(const struct turn_server *srv, const struct endpoint *client,
                         uint8_t listener);
/* The same under a hash computed before. */
uint64_t alloc_hash(const struct turn_server *srv, const struct endpoint *client, uint8_t listener);
struct alloc *alloc_find_hashed(const struct turn_server *srv, uint64_t hash,
                                const struct endpoint *client, uint8_t listener);
struct alloc *alloc_find_id(const struct turn_server *srv, uint64_t id);

void alloc_end(struct turn_server *srv, struct alloc *a, enum turn_end why);
/* The same when the queue has room. */
void alloc_end_soon(struct turn_server *srv, struct alloc *a, enum turn_end why);

/* One family of a dual allocation goes, the other stays (TURN-070). */
void alloc_end_leg(struct turn_server *srv, struct alloc *a, unsigned leg);

/* One delete less is awaited. */
void alloc_done_one(struct turn_server *srv, struct alloc *a);
void alloc_done_leg(struct turn_server *srv, struct alloc *a, unsigned leg);
void alloc_on_timer(struct turn_server *srv, struct alloc *a);

/* An element of the pool, live, with nothing in it; NULL: none left. Restore makes them too. */
struct alloc *alloc_take(struct turn_server *srv);
/* Findable, counted, timed. cred, listener, client, id, legs are set. */
void alloc_publish(struct turn_server *srv, struct alloc *a);
void alloc_time(struct turn_server *srv, struct alloc *a);
