/*
 * Frames of a run as pcapng (rte_pcapng), both directions. Copies a frame a time: for looking, not
 * for measuring; a run with it says so.
 *
 * Threads    The engines' DPDK callbacks copy; engine 0's thread writes.
 */
#pragma once

#include "pkt-gen/engine.h"

struct record;

/* NULL with one line logged. */
struct record *record_open(const char *path, const struct lane *lanes, unsigned n);
/* Writes what was copied since; how many frames. */
unsigned record_turn(struct record *r);
/* Frames that were not written since the copies ran out. */
uint64_t record_close(struct record *r);
