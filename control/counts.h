/*
 * Counts of live rows, read in the data plane's region.
 *
 * Threads    Control thread only. One data plane at a time, which is why this may be a function
 *            without a place to keep things (turn_counts).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/region.h"

/* Reads rows there from now on; NULL: nowhere. The region must outlive the next call. */
void counts_open(const struct region *d);

/* A turn_counts: packets and octets of a row by its index, both owners added up. */
bool counts_read(uint32_t row, uint64_t *packets, uint64_t *octets);

/* The same of a leg's row, both ways, and when its peer was heard last. */
struct session_counts;
bool counts_read_leg(uint32_t row, struct session_counts *out);
