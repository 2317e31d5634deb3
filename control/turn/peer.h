/*
 * Permissions and channels as entries of an allocation: found by address and number, kept alive,
 * ended. perm.c and chan.c decide about requests; nothing here refuses anything but for room.
 */
#pragma once

#include "control/turn/server.h"

uint32_t peer_find_perm(const struct turn_server *srv, const struct alloc *a,
                        const struct addr *ip);
uint32_t peer_find_number(const struct turn_server *srv, const struct alloc *a, uint16_t number);
uint32_t peer_find_bound(const struct turn_server *srv, const struct alloc *a,
                         const struct endpoint *at);

/* A live entry with its place in a record; NONE: no room. channel 0: a permission. */
uint32_t peer_make(struct turn_server *srv, struct alloc *a, const struct endpoint *at,
                   uint16_t channel);
/* Sets the deadline and the timer, a channel's also those of its permission. */
void peer_until(struct turn_server *srv, uint32_t peer, uint32_t deadline_s);
/* The same, and marks the record: flow_set_peer() then tells the data plane. */
void peer_renew(struct turn_server *srv, uint32_t peer, uint32_t deadline_s);

/* Live becomes dying: found no more, its flow is deleted; peer_done() frees it. */
void peer_end(struct turn_server *srv, uint32_t peer);
/* The same in the middle of its life (policy): the record is written, the refusal told if `why`. */
void peer_revoke(struct turn_server *srv, uint32_t peer, uint16_t code, const char *why);
/* The delete is acknowledged, or never will be. */
void peer_done(struct turn_server *srv, uint32_t peer);
/* Its timer. */
void peer_on_timer(struct turn_server *srv, uint32_t peer);
