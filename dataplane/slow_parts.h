/*
 * Inside of the slow path: one datagram on its way (slow.c), and between the legs of sessions and
 * other relayed addresses of our own (slow_leg.c).
 */
#pragma once

#include "dataplane/adjacency.h"
#include "dataplane/classify.h"
#include "dataplane/flow_table.h"
#include "dataplane/leg.h"
#include "dataplane/slow.h"

enum {
	SLOW_HEAD_MAX = 64, /* ChannelData header, or a Data indication up to its data */
	/* Legs that have each other as peers would send for ever, and all the more with others. */
	SLOW_TURNS_MAX = 4,
	SLOW_SENDS_MAX = 2 * LEG_TO_MAX,
};

/* One datagram on its way. */
struct passage {
	struct worker *w;
	const struct port *port;
	slow_send *send;
	const uint8_t *frame; /* as classified: no options, no extension headers */
	uint32_t len;
	bool fragmented; /* it came in fragments */
	struct parsed p;

	/* Of the packet that came. */
	struct endpoint src, dst;
	uint8_t tos, ttl;
	bool df;
	bool no_checksum;
	uint16_t error;

	/* What it carries. */
	const uint8_t *data;
	uint32_t data_len;
	bool dont_fragment; /* asked for by a Send indication */
	bool to_client;     /* the overhead is still to come */
	uint8_t head[SLOW_HEAD_MAX];
	uint32_t head_len, pad;

	/* Of one that turns round inside. */
	unsigned turns; /* so far */
	unsigned left;  /* copies that legs may still make of it */
};

static inline bool slow_live(const struct passage *x, const struct row *r)
{
	return x->w->now_s < atomic_load_explicit(&r->deadline_s, memory_order_relaxed);
}

/*
 * These return STAT_COUNT, what they were asked for being on its way, or the name of the drop;
 * *outcome is what a frame received counts as.
 */

/* What is in the passage, by itself to that next hop. */
enum stat_id slow_pass(struct passage *x, const struct endpoint *src, const struct endpoint *dst,
                       uint16_t adjacency);
/* The client of the allocation in `row` gets it as from `peer`. */
enum stat_id slow_client_gets(struct passage *x, uint32_t row, const struct endpoint *peer,
                              enum stat_id *outcome);
/* Media for a leg from x->src goes to the legs it goes to. */
enum stat_id slow_leg_gets(struct passage *x, struct row *leg, enum stat_id *outcome);
/*
 * TURN-211: from `sender`, a relayed address of ours as others know it, to `to`, one of ours: the
 * client of an allocation, or a leg, which hears or relays it. A receiver's answer comes back.
 */
enum stat_id slow_turn(struct passage *x, const struct endpoint *sender, const struct endpoint *to,
                       enum stat_id *outcome);
