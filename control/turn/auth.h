/*
 * Who asks: long-term credentials with either kind of integrity, USERHASH, time-limited names.
 *
 * Source     RFC 8489 §9.2.4; requirements TURN-022 to TURN-036, TURN-194 to TURN-197, STUN-086 to
 *            STUN-102. The order of refusals is that of TURN's table: 401 bare, 400, 438 for a
 * nonce that is not ours, 401, 438 for an expired one.
 */
#pragma once

#include "control/turn/request.h"

/*
 * TURN_OK with r->who set, or 400, 401, 438, or TURN_SILENT when the source has failed too often.
 * A 438 for an expired nonce has r->who set too: it is signed (STUN-095).
 */
int auth_check(struct turn_server *srv, struct request *r) MUST_CHECK;

/* MESSAGE-INTEGRITY of the kind that is due, if the request was authenticated. */
void auth_seal(struct request *r, struct stun_builder *b);

/* REALM, NONCE and PASSWORD-ALGORITHMS of a 401 or 438; returns where the nonce stands. */
size_t auth_put_challenge(struct turn_server *srv, uint8_t listener, uint8_t realm,
                          const struct endpoint *client, struct stun_builder *b);
