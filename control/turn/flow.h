/*
 * Allocations, permissions and channels as flows of the data plane (abi/command.h).
 *
 * A flow is set when it comes or its deadline changes, deleted when it goes; a delete waits for its
 * acknowledgement, which brings the final counts, for at most ACK_MS. While no data plane is joined
 * nothing is sent and flows are OFF; turn_sync() names all of them.
 *
 * Counts     Rows of permissions and channels count towards the peer (from_client), rows of
 *            allocations towards the client (to_client).
 * Rows       Counted conservatively, so that a success is not followed by ROW_FULL: an allocation
 *            and a permission one each, a channel two.
 */
#pragma once

#include "control/turn/server.h"

enum { ROWS_LEG = 1, ROWS_PERM = 1, ROWS_CHAN = 2 };

/* The data plane can take that many more rows. */
bool flow_room(const struct turn_server *srv, uint32_t rows);

void flow_set_leg(struct turn_server *srv, struct alloc *a, unsigned leg);
void flow_set_peer(struct turn_server *srv, uint32_t peer);
/* After a change of the leg's expiry: every peer whose deadline it caps. */
void flow_set_peers(struct turn_server *srv, struct alloc *a, unsigned leg);

/* true: an acknowledgement is awaited; flow_done_*() will be called. */
bool flow_delete_leg(struct turn_server *srv, struct alloc *a, unsigned leg);
bool flow_delete_peer(struct turn_server *srv, uint32_t peer);

/* No acknowledgement came, or none will: books what the row still shows. */
void flow_forget_leg(struct turn_server *srv, struct alloc *a, unsigned leg);
void flow_forget_peer(struct turn_server *srv, uint32_t peer);

/* Until when the data plane should relay for it, towards the peer and from it. */
uint32_t flow_deadline(const struct turn_server *srv, const struct peer *p, uint32_t *in_s);

/* Adds what live rows show now. */
void flow_live_counts(struct turn_server *srv, const struct alloc *a, struct turn_info *info);
