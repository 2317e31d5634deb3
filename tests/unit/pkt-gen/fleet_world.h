/*
 * A fleet and the real server engine with a bad network between them, under one clock: datagrams
 * are lost, doubled, delayed and so overtaken, by a seed.
 *
 * Ownership  world_open() makes everything, world_close() removes it.
 */
#pragma once

#include "pkt-gen/fleet.h"
#include "tests/rig/turn_rig.h"

enum { WORLD_CLIENTS_MAX = 4096 };

struct parcel {
	uint64_t at_ms;
	uint32_t order; /* of equal times */
	struct endpoint client;
	bool up; /* to the server */
	size_t len;
	uint8_t *octets;
};

struct world {
	struct rig rig;
	struct fleet *fleet;
	struct fleet_config cfg;
	/* of 1000 datagrams; a datagram takes delay_min_ms to delay_max_ms */
	unsigned lost, doubled, delay_min_ms, delay_max_ms;
	bool dead; /* the server answers nothing */
	/* Sees every datagram on its way to the server; false: it is dropped. */
	bool (*watch)(struct world *w, const struct endpoint *from, const uint8_t *octets,
	              size_t len);
	/* May change answers, or drop them (returns 0). */
	size_t (*mangle)(struct world *w, uint8_t *octets, size_t len);
	unsigned seen; /* for watchers */
	uint16_t moved[WORLD_CLIENTS_MAX];
	unsigned n_ready, n_failed, n_lost; /* events */
	struct parcel *heap;
	size_t n, cap;
	uint32_t order;
};

/* `tweak` changes the server's configuration; *cfg what the fleet does (places are the world's). */
void world_open(struct world *w, rig_tweak *tweak, const struct fleet_config *cfg);
void world_close(struct world *w);
void world_run(struct world *w, uint64_t ms);
/* Until nobody is under way or waiting; false: not within `ms`. */
bool world_settle(struct world *w, uint64_t ms);
uint64_t world_now_ns(const struct world *w);
