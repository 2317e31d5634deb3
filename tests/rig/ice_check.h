/*
 * The checker of invariants: reads the trace of an agent and nothing else, knows no code of it
 * (spec: INV-1 to INV-42). What it finds is told once, with the record that broke it.
 */
#pragma once

#include "control/ice/trace.h"

struct ice_check;

/* `who` is for messages. ICE_TRACE in the environment prints every record. */
struct ice_check *ice_check_new(const char *who, bool lite);
void ice_check_free(struct ice_check *c);
/* As trace of an agent's config; arg is the checker. */
void ice_check_record(void *check, const struct ice_trace_record *r);
/* The first tie-breaker it held. */
uint64_t ice_check_tie(const struct ice_check *c);
/* At the end of a run; the number of breaches. */
unsigned ice_check_end(struct ice_check *c);
/* The last lines of the trace, to say what led to a breach. */
void ice_check_dump(const struct ice_check *c);
