/*
 * Rig R0, the self-pump: frames of every path are made again and again in the same mbufs, each for
 * a flow drawn at random, and pushed through worker_burst() without ports. Making them is timed
 * alone and subtracted.
 */
#pragma once

#include <rte_mbuf.h>

#include "bench/textbook.h"
#include "dataplane/worker.h"

/* HAIRPIN: ChannelData from one client to the relayed address of another, out as ChannelData. */
enum pump_path { CD2UDP, UDP2CD, SEND2UDP, UDP2DATA, HAIRPIN, PUMP_PATHS };
/* Client leg, then peer leg. */
enum pump_family { V4, V6, V4V6, V6V4, PUMP_FAMILIES };

enum { PUMP_MBUFS = 1024, PUMP_PAYLOAD = 160 };

extern const char *const pump_path_name[PUMP_PATHS];
extern const char *const pump_family_name[PUMP_FAMILIES];

struct pump;

/*
 * Flows: an allocation, a channel and a permission each. `turned`: for HAIRPIN, and only for that;
 * two and two are bound to each other. Ends the program on failure.
 */
struct pump *pump_new(enum pump_family family, unsigned flows, bool turned, bool textbook);
void pump_free(struct pump *p);
/* What the next rounds carry. */
void pump_load(struct pump *p, enum pump_path path, unsigned payload);

enum pump_run { PUMP_REST, PUMP_OURS, PUMP_TEXTBOOK };
/* Makes PUMP_MBUFS frames and does with them what `run` says; how many were relayed. */
unsigned pump_round(struct pump *p, enum pump_run run);
/* The first frame that the last round relayed. */
const struct rte_mbuf *pump_frame(const struct pump *p);
