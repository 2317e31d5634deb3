/*
 * ICE sessions in the control process: what they need of the TURN engine and the data plane, and
 * who hears what happened to them.
 *
 * Threads    Control thread only.
 */
#pragma once

#include "control/loop.h"

/* The session server of this configuration; NULL: limits.legs is 0, or no memory. */
struct session_server *world_sessions(struct control *c);

/* Writes what happened since into the log, and tells those who listen at the control socket. */
void world_tell(struct control *c);
