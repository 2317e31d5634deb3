/*
 * A small STUN and TURN server for the simulated network: what RFC 8656 asks of one as far as an
 * agent can see it, in one page, written apart from the product's own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

struct ice_server_sim;

typedef void ice_server_send(void *arg, const struct endpoint *from, const struct endpoint *to,
                             const void *octets, size_t len);

struct ice_server_sim *ice_server_new(uint64_t seed);
void ice_server_free(struct ice_server_sim *s);
unsigned ice_server_allocations(const struct ice_server_sim *s);
/* A datagram to one of the server's addresses: to port 3478 from a client, else to a relayed one.
 */
void ice_server_input(struct ice_server_sim *s, uint64_t now_ms, const struct endpoint *from,
                      const struct endpoint *to, const void *octets, size_t len,
                      ice_server_send *send, void *arg);
