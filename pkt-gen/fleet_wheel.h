/*
 * Timers of a fleet: each client stands in at most one place, a slot of a timing wheel or one of a
 * few queues. Four wheels of 256 slots, a millisecond a slot in the first; moving, arming and
 * removing cost the same for any number of clients.
 *
 * Units      Milliseconds since the fleet's own zero.
 * Memory     12 octets a client.
 * Threads    One.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { WHEEL_LEVELS = 4, WHEEL_SLOTS = 256 };
enum wheel_queue { WHEEL_DUE, WHEEL_WAITING, WHEEL_QUEUES };
#define WHEEL_NONE UINT32_MAX

struct wheel_node {
	uint32_t next, prev; /* itself where it stands nowhere */
	uint32_t due_ms;
};

struct wheel {
	struct wheel_node *node; /* clients, then the heads of slots, then those of queues */
	uint32_t n;
	uint32_t now_ms;
	/* Bits of slots that may hold something: set with the first, cleared when found empty. */
	uint64_t used[WHEEL_LEVELS][WHEEL_SLOTS / 64];
};

bool wheel_open(struct wheel *w, uint32_t n);
void wheel_close(struct wheel *w);

/* To the end of a queue, from wherever it stands. */
void wheel_queue(struct wheel *w, uint32_t i, enum wheel_queue q);
/* Due at due_ms: then it moves to WHEEL_DUE. Past times: at once. */
void wheel_arm(struct wheel *w, uint32_t i, uint32_t due_ms);
void wheel_remove(struct wheel *w, uint32_t i);
/* The first of a queue, or WHEEL_NONE. */
uint32_t wheel_first(const struct wheel *w, enum wheel_queue q);

void wheel_advance(struct wheel *w, uint32_t now_ms);
/* A time before which no timer fires; false: none is armed. */
bool wheel_next(const struct wheel *w, uint32_t *at_ms);
