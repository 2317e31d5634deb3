/*
 * Punt rings: bound, copy out, validate, then use. Requests go to turn_on_request(), checks of legs
 * to session_on_ice(), what became of commands to whose command it was. Records are taken in
 * bursts, so that the engine can fetch the memory that all requests of a burst need at once.
 *
 * Trust      The data plane reads the network, so control believes none of its lengths; a record
 *            that cannot be ends the connection.
 * Threads    Control thread only.
 */
#pragma once

#include "abi/punt.h"
#include "abi/ring.h"
#include "control/session/session.h"
#include "control/stats.h"
#include "control/turn/turn.h"

struct intake {
	struct ring_reader *rings; /* of the join */
	unsigned n_rings;          /* 0: no data plane */
	unsigned next;             /* the ring that is served first, in turn */
	bool synced;               /* the data plane confirmed a sync since the join */
	struct control_stats *stats;
	struct session_server *sessions; /* NULL: none are served */
	/* What was taken from a ring and comes to the engine together. */
	struct intake_record {
		alignas(8) uint8_t body[RING_RECORD_MAX];
		uint16_t kind;
		bool stale;
		uint32_t octets;
	} record[TURN_BURST];
};

enum intake_result {
	INTAKE_EMPTY,
	INTAKE_MORE,   /* the budget is used up */
	INTAKE_TABLES, /* listeners or relays changed: read the sections, then call again */
	INTAKE_BROKEN, /* disconnect */
};

/* Begins with the rings of a new join, or with none (NULL, 0). */
void intake_begin(struct intake *in, struct ring_reader *rings, unsigned n_rings);

/* At most `budget` records of each ring. */
enum intake_result intake_run(struct intake *in, struct turn_server *srv, unsigned budget,
                              uint64_t now_ns, uint32_t wall_s);
