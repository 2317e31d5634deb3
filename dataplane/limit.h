/*
 * Token buckets by source prefix (/24, /56) in a fixed table per worker: no allocation, bounded
 * time, nothing remembered of a source but its bucket.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "config.h"

struct limit;

struct limit *limit_new(const struct config *cfg);
void limit_free(struct limit *l);

/* Each takes its share and says whether the packet may be answered or passed. */
bool limit_binding(struct limit *l, const struct addr *source, uint64_t now_ns);
/* 401, 400, 438: after the first N a second, octets out never exceed octets in. */
bool limit_error(struct limit *l, const struct addr *source, uint64_t now_ns, uint32_t in,
                 uint32_t out);
bool limit_punt(struct limit *l, const struct addr *source, uint64_t now_ns);
/* A nonce was verified: the prefix is exempt from limit_error for 10 s. */
void limit_verified(struct limit *l, const struct addr *source, uint64_t now_ns);
