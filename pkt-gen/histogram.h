/*
 * A latency histogram in the manner of HDR: values keep three significant digits whatever their
 * size, recording is an increment. Our own, since recording stands on the packet path and Debian
 * has no C library for it.
 *
 * Units      TSC ticks in, nanoseconds out, by the scale given.
 * Threads    One writer; merge when it rests.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

struct histogram;

struct histogram *histogram_new(void);
void histogram_free(struct histogram *h);
void histogram_clear(struct histogram *h);
void histogram_add(struct histogram *to, const struct histogram *from);
void histogram_record(struct histogram *h, uint64_t ticks);

uint64_t histogram_count(const struct histogram *h);
/* The value that `q` (0..1) of all are not above; 0 if empty. */
uint64_t histogram_at(const struct histogram *h, double q);
uint64_t histogram_min(const struct histogram *h);
uint64_t histogram_max(const struct histogram *h);
