/*
 * What every payload carries: who sent it, which one it is, when it was meant to leave, and a sum
 * over all of it. Whoever holds a payload can say whether it is ours, whole, and where it belongs.
 *
 * Layout     The first STAMP_LEN octets of a payload, host order: only the process that wrote it
 *            reads it. Payloads are never shorter.
 * Threads    Pure functions; no state.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

enum { STAMP_LEN = 24 };

struct stamp {
	uint32_t run;    /* drawn at start, so that frames of an earlier run are strangers */
	uint32_t stream; /* index of the stream, stream.h */
	uint32_t seq;    /* counts from 0 in every trial */
	uint32_t sum;    /* over the whole payload, this field taken as zero */
	uint64_t due;    /* TSC when it was meant to leave, whenever it did (open loop) */
};
static_assert(sizeof(struct stamp) == STAMP_LEN, "");
