/*
 * Begin and end records of allocations, and refusals, as log lines. Begin and end are never held
 * back: operators bill by them. Refusals are rate-limited.
 *
 * Privacy    Names come escaped from the engine (TURN-210); no secret is in an action.
 */
#pragma once

#include "control/stats.h"
#include "control/turn/turn.h"

/* Any action that is not a command. */
void logbook_write(const struct turn_action *a, struct control_stats *stats);
