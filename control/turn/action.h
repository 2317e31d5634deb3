/*
 * The queue of actions: a ring of octets, records whole and in order. Requests are taken only while
 * it has room for the largest burst one request or one ended allocation can make, so pushing never
 * fails.
 */
#pragma once

#include "control/turn/server.h"

bool action_init(struct turn_server *srv);

/* Room for one more request, or the end of one more allocation. */
bool action_room(const struct turn_server *srv);

/* Room for commands of a caller outside: all of them, `octets` with 32 for each; one of them. */
bool action_room_for(const struct turn_server *srv, uint32_t octets);
bool action_room_small(const struct turn_server *srv, uint32_t octets);

/* A command with `octets` of body; fill what is returned (8-aligned). */
void *action_command(struct turn_server *srv, enum cmd_kind command, uint32_t octets);
/* A zeroed info to fill. */
struct turn_info *action_info(struct turn_server *srv, enum turn_action_kind kind);
/* Commands for a data plane that is gone. */
void action_void_commands(struct turn_server *srv);
