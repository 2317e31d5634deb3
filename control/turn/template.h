/*
 * What workers answer with (design: the unauthenticated world never reaches control): realms,
 * templates for 401, 400 and 438 of each listener, and the nonce keys they need to recognise ours.
 *
 * Source     STUN-104 to STUN-110, TURN-030 to TURN-033. Keys last a day of wall clock, the one
 *            before stays valid; with `auth.nonce-secret` they follow from the secret and the date,
 * so that a fleet agrees.
 */
#pragma once

#include "control/turn/server.h"

/* Everything, for a data plane that has nothing. */
void template_emit(struct turn_server *srv);

/* Listener scopes, feature bits and PASSWORD-ALGORITHMS after a change of configuration. */
void template_prepare(struct turn_server *srv);

/* Keys at start, restored ones in srv->nonce_key; false: no memory or no room in the store. */
bool template_keys(struct turn_server *srv);
/* Changes keys when it is time, and sets the timer. */
void template_on_time(struct turn_server *srv);
