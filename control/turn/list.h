/* What operators see: allocations as turn_info, the begin, end and refusals that are logged. */
#pragma once

#include "control/turn/server.h"

void list_fill(struct turn_server *srv, const struct alloc *a, struct turn_info *out);
void list_begin(struct turn_server *srv, const struct alloc *a);
void list_end(struct turn_server *srv, const struct alloc *a);
/* A peer of an allocation was refused. */
void list_refused(struct turn_server *srv, const struct alloc *a, const struct endpoint *peer,
                  uint16_t code, const char *why);
/* A login was refused; `name` is what the client sent. */
void list_login(struct turn_server *srv, const struct endpoint *client, uint8_t listener,
                const void *name, size_t len, uint16_t code, const char *why);
