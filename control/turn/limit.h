/*
 * Failed logins (TURN-209, STUN-152): a token bucket for each source prefix (/24, /56) and user
 * name together, so that neither a guesser nor a flood of wrong integrity costs a good client
 * behind the same NAT its way in. A request over the limit is dropped before any HMAC.
 *
 * Memory     A fixed table; an entry is written only for a source that proved itself by a nonce.
 * The entry of its set that has recovered most gives way.
 */
#pragma once

#include "control/turn/server.h"

enum { LIMIT_BURST = 16, LIMIT_REFILL_MS = 1000 /* a token */ };

bool limit_init(struct turn_server *srv);
bool limit_passes(struct turn_server *srv, const struct addr *client, const void *name, size_t len);
void limit_failed(struct turn_server *srv, const struct addr *client, const void *name, size_t len);
