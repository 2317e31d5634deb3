/*
 * Allocate and Refresh.
 *
 * Source     RFC 8656 §7, §8; refusals in the order of the table that request.c begins.
 */
#pragma once

#include "control/turn/request.h"

/* Each returns TURN_OK with the success's attributes in `b`, or the error code. */
int allocate_on_request(struct turn_server *srv, struct request *r,
                        struct stun_builder *b) MUST_CHECK;
int allocate_on_refresh(struct turn_server *srv, struct request *r,
                        struct stun_builder *b) MUST_CHECK;
/* The creating request came again: the same success (TURN-039). */
void allocate_replay(struct turn_server *srv, const struct alloc *a, struct stun_builder *b);
