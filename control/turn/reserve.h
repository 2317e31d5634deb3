/*
 * Reserved ports (EVEN-PORT with R, RFC 8656 §7.2, §18.7) and the memory of requests whose
 * allocation is gone (TURN-039, TURN-067).
 */
#pragma once

#include "control/turn/server.h"

/* Holds the port for its token; r->ref is written. NULL: no room, the port is the caller's again.
 */
struct reservation *reserve_make(struct turn_server *srv, uint8_t relay, uint16_t port,
                                 uint32_t owner, uint64_t alloc_id);
/* By token; NULL if there is none, or another owner's (TURN-045). */
struct reservation *reserve_find(const struct turn_server *srv, const uint8_t *token,
                                 const struct name *owner);
/* The reservation is over; `port_too`: the port goes back to the pool. */
void reserve_end(struct turn_server *srv, struct reservation *r, bool port_too);
/* restore.c: into indexes and timers. */
void reserve_publish(struct turn_server *srv, struct reservation *r);

void memo_add(struct turn_server *srv, const struct endpoint *client, uint8_t listener,
              unsigned method, const uint8_t *txid, uint32_t until_s);
bool memo_find(const struct turn_server *srv, const struct endpoint *client, uint8_t listener,
               unsigned method, const uint8_t *txid);
