/*
 * CreatePermission, and whom an allocation may talk to.
 *
 * Source     RFC 8656 §9, §10; requirements TURN-075 to TURN-085, TURN-211 to TURN-226.
 */
#pragma once

#include "control/turn/request.h"

/*
 * May the allocation have this peer? TURN_OK, 443 or 403; a 403 is counted by reason and told.
 * port 0: any port of the address, as a permission has it.
 */
int perm_judge(struct turn_server *srv, const struct alloc *a,
               const struct endpoint *peer) MUST_CHECK;

/* The same question for no allocation in particular; nothing is counted or told. */
bool perm_allowed(const struct turn_server *srv, const struct endpoint *peer);

int perm_on_create(struct turn_server *srv, struct request *r, struct stun_builder *b) MUST_CHECK;

/* In strict mode channels follow their permission: tells the data plane. */
void perm_tell_channels(struct turn_server *srv, uint32_t perm);
