/*
 * Token buckets by source prefix (/24, /56) in fixed tables per worker: no allocation, bounded
 * time, nothing remembered of a source but its bucket. Rates are per worker.
 *
 * A table that is full forgets the bucket that was asked for longest ago; a newcomer begins with a
 * full one. Verified prefixes stand in a table of their own, which strangers cannot crowd.
 *
 * Source     design 2.11; STUN-150.
 * Threads    A struct limit belongs to its worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "config.h"

enum { LIMIT_VERIFIED_S = 10, LIMIT_ICMP = 100 /* a second */ };

struct limit;

struct limit *limit_new(const struct config *cfg);
void limit_free(struct limit *l);
/* Other rates from now on (reload); buckets stay. Any thread: each rate is one word. */
void limit_set(struct limit *l, const struct config *cfg);

/* Each takes its share and says whether the packet may be answered or passed. */
bool limit_binding(struct limit *l, const struct addr *source, uint64_t now_ns);
/*
 * 401, 400, 438: after the first N a second, octets out never exceed octets in. `in` counts even
 * when the answer is withheld. All prefixes together have this worker's part of a total.
 */
bool limit_error(struct limit *l, const struct addr *source, uint64_t now_ns, uint32_t in,
                 uint32_t out);
bool limit_punt(struct limit *l, const struct addr *source, uint64_t now_ns);
/* A nonce was verified: the prefix is exempt from limit_error for 10 s. */
void limit_verified(struct limit *l, const struct addr *source, uint64_t now_ns);
/* ICMP errors of our own making, whoever they go to (TURN-126, TURN-135). */
bool limit_icmp(struct limit *l, uint64_t now_ns);
