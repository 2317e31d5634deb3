/*
 * A TURN engine that does what a test says: stands in for control/turn/ where the subject is what
 * surrounds it. Link engine_stub.c before the control library.
 */
#pragma once

#include "control/turn/turn.h"

enum { STUB_ACTIONS_MAX = 32768, STUB_ALLOCATIONS_MAX = 5000, STUB_BURST = 0xB0 };

struct turn_server {
	struct turn_action *actions[STUB_ACTIONS_MAX]; /* malloc'd; a queue */
	unsigned first, last;

	unsigned requests, rows, hangups, syncs, sync_steps, reloads, tables, ended_all;
	unsigned n_listeners, n_relays;
	uint32_t rows_max;
	uint8_t request[2048];
	size_t request_len;
	struct punt punt;
	const uint8_t *expected[TURN_BURST];
	unsigned n_expected, as_expected; /* of the burst; requests that came in that order */
	struct punt_row row;
	bool draining;

	uint64_t ids[STUB_ALLOCATIONS_MAX]; /* ascending; 0: deleted */
	unsigned n_ids;
	uint64_t deleted;
	char added[64], added_password[64];
	enum turn_user_result user_result;

	unsigned ports, ports_back; /* taken for legs, and given back */
	int wide_rows;
	turn_also *also;
	void *also_arg;
};

struct turn_server *stub_new(void);
turn_random stub_random;
void stub_command(struct turn_server *srv, enum cmd_kind kind, const void *body, uint32_t octets);
void stub_record(struct turn_server *srv, enum turn_action_kind kind, uint64_t id);
void stub_allocate(struct turn_server *srv, uint64_t id);
unsigned stub_waiting(const struct turn_server *srv);
