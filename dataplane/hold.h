/*
 * Finished frames whose next hop has no MAC yet: kept for a second at most, a few per neighbour,
 * and sent when it resolves. Only the Ethernet addresses are missing.
 *
 * Threads    Service turn only.
 */
#pragma once

#include <rte_mbuf.h>

#include "dataplane/adjacency.h"

enum { HOLD_MAX = 1024, HOLD_PER_NEIGHBOUR = 64 };
#define HOLD_NS UINT64_C(1000000000)

struct hold;

struct hold *hold_new(void);
/* Frees the frames too. */
void hold_free(struct hold *h);

/* false: full, in all or for this neighbour; m stays the caller's. */
bool hold_put(struct hold *h, uint16_t adjacency, struct rte_mbuf *m, uint64_t now_ns);
/* The oldest frame for this neighbour, or NULL. */
struct rte_mbuf *hold_take(struct hold *h, uint16_t adjacency);
/* A frame that has waited too long, or NULL. */
struct rte_mbuf *hold_expired(struct hold *h, uint64_t now_ns);
unsigned hold_count(const struct hold *h, uint16_t adjacency);
