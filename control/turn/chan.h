/*
 * ChannelBind: a number standing for one peer address inside one allocation.
 *
 * Source     RFC 8656 §12; requirements TURN-098 to TURN-110. Permissions, which a bind also
 *            refreshes, are in perm.h.
 */
#pragma once

#include "control/turn/request.h"

int chan_on_bind(struct turn_server *srv, struct request *r, struct stun_builder *b) MUST_CHECK;
