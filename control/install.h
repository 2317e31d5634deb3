/*
 * Actions of the TURN engine, carried out in order: commands into the command ring, begin and end
 * records into the log.
 *
 * Order      An action stays in the engine's queue until it is carried out. When the ring is full
 *            everything behind waits with it, so a response never overtakes the flows it implies.
 * Absence    Without a data plane commands are dropped: the sync after the next join makes the
 *            tables equal to the store.
 * Threads    Control thread only.
 */
#pragma once

#include "abi/ring.h"
#include "control/stats.h"
#include "control/turn/turn.h"

struct install {
	struct ring_writer *ring; /* NULL: no data plane */
	struct control_stats *stats;
};

enum install_result {
	INSTALL_IDLE,   /* nothing waits */
	INSTALL_MORE,   /* the budget is used up; call again soon */
	INSTALL_FULL,   /* the ring is full; call again when the data plane may have read */
	INSTALL_BROKEN, /* the other side lies about what it has read: disconnect */
};

/* Carries out at most `budget` actions, publishes them together and wakes the data plane. */
enum install_result install_run(struct install *in, struct turn_server *srv, unsigned budget);

/* One command that is not the engine's (CMD_RELOAD). false: no data plane or no room. */
bool install_command(struct install *in, enum cmd_kind kind, const void *body, uint32_t octets);
