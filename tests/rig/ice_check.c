/* The checker of invariants. */
#include "tests/rig/ice_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ice/ice.h"
#include "wire/stun.h"

enum { PAIRS = 1024, TRANSACTIONS = 4096, TAIL = 60, TOLD_MAX = 8, ASKS = 256 };

struct seen_pair {
	bool live, succeeded, valid, nominated, queued;
	uint8_t state, stream, component;
	uint64_t priority;
	char foundation[2 * ICE_FOUNDATION_MAX + 2];
	struct endpoint base, peer;
};

struct seen_tx {
	uint8_t txid[12], what;
	uint32_t pair;
	struct endpoint base, peer;
	uint64_t first_ms, last_ms, gap_ms;
	unsigned sends;
	bool use_candidate, held;
};

struct ice_check {
	char who[8];
	bool lite, closed, loud;
	uint64_t now_ms, ta_ms, last_new_ms, consent_ms;
	bool controlling, has_new, has_tie;
	uint64_t tie;
	struct seen_pair pair[PAIRS];
	struct seen_tx tx[TRANSACTIONS];
	unsigned n_tx, breaches, switches, conflicts;
	struct {
		struct endpoint base, peer;
		uint8_t txid[12];
		uint64_t ms;
		bool open;
	} ask[ASKS];
	unsigned n_asks;
	bool done[ICE_STREAMS_MAX][ICE_COMPONENTS_MAX + 1];
	uint32_t selected[ICE_STREAMS_MAX][ICE_COMPONENTS_MAX + 1]; /* pair, 0: none */
	uint32_t before[ICE_STREAMS_MAX][ICE_COMPONENTS_MAX + 1];   /* of the last generation */
	uint8_t session;
	char tail[TAIL][400];
	unsigned n_tail;
};

struct ice_check *ice_check_new(const char *who, bool lite)
{
	struct ice_check *const c = calloc(1, sizeof(*c));

	snprintf(c->who, sizeof(c->who), "%s", who);
	c->lite = lite;
	c->loud = getenv("ICE_TRACE") != NULL;
	return c;
}

void ice_check_free(struct ice_check *c)
{
	free(c);
}

void ice_check_dump(const struct ice_check *c)
{
	const unsigned n = c->n_tail < TAIL ? c->n_tail : TAIL;

	for (unsigned i = 0; i < n; i++)
		fprintf(stderr, "    %s %s\n", c->who, c->tail[(c->n_tail - n + i) % TAIL]);
}

static void breach(struct ice_check *c, const char *what)
{
	if (c->breaches++ >= TOLD_MAX)
		return;
	fprintf(stderr, "%s at %lu: %s\n", c->who, (unsigned long)c->now_ms, what);
	if (c->breaches == 1)
		ice_check_dump(c);
}

#define HOLDS(cond, what)                \
	do {                             \
		if (!(cond))             \
			breach(c, what); \
	} while (0)

static struct seen_pair *pair_of(struct ice_check *c, uint32_t id)
{
	return &c->pair[id % PAIRS];
}

static struct seen_tx *tx_of(struct ice_check *c, const uint8_t *txid)
{
	for (unsigned i = 0; i < c->n_tx; i++)
		if (memcmp(c->tx[i].txid, txid, 12) == 0)
			return &c->tx[i];
	return NULL;
}

/* --- pairs --- */

static void on_pair(struct ice_check *c, const struct ice_trace_record *r)
{
	struct seen_pair *const p = pair_of(c, r->id);
	const bool added = strcmp(r->why, "formed") == 0 || strcmp(r->why, "triggered") == 0 ||
	                   strcmp(r->why, "valid") == 0 || strcmp(r->why, "followed") == 0;

	if (strcmp(r->why, "changed") == 0) {
		p->priority = r->pair_priority;
		return;
	}
	if (!added) {
		HOLDS(p->live, "INV-1: a pair is dropped that was not there");
		HOLDS(strcmp(r->why, "concluded") == 0 || strcmp(r->why, "restart") == 0 ||
		              strcmp(r->why, "base_gone") == 0 ||
		              (p->state != ICE_IN_PROGRESS && p->state != ICE_SUCCEEDED),
		      "INV-9: a pair is dropped that was at work or had succeeded");
		p->live = false;
		return;
	}
	for (unsigned i = 0; i < PAIRS && strcmp(r->why, "valid") != 0; i++)
		HOLDS(!c->pair[i].live || c->pair[i].stream != r->stream ||
		              c->pair[i].component != r->component ||
		              !endpoint_equal(&c->pair[i].base, &r->at) ||
		              !endpoint_equal(&c->pair[i].peer, &r->peer) || c->pair[i].valid,
		      "INV-8: two pairs of one base and one remote");
	HOLDS(addr_family(&r->at.addr) == addr_family(&r->peer.addr),
	      "INV-7: a pair of two families");
	*p = (struct seen_pair){ .live = true,
		                 .stream = r->stream,
		                 .component = r->component,
		                 .priority = r->pair_priority,
		                 .base = r->at,
		                 .peer = r->peer };
	snprintf(p->foundation, sizeof(p->foundation), "%s", r->foundation);
}

/* INV-12: what has the foundation of a success waits for nothing. */
static void nothing_frozen(struct ice_check *c)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		const struct seen_pair *const p = &c->pair[i];

		for (unsigned k = 0; p->live && p->state == ICE_FROZEN && k < PAIRS; k++)
			HOLDS(!c->pair[k].live || c->pair[k].state != ICE_SUCCEEDED ||
			              strcmp(c->pair[k].foundation, p->foundation) != 0,
			      "INV-12: a pair stays frozen although its foundation has succeeded");
	}
}

/* ICE-102: by which reason each step may happen. */
static bool may_step(uint8_t from, uint8_t to, const char *why)
{
	static const struct {
		uint8_t from, to;
		const char *why;
	} steps[] = {
		{ ICE_FROZEN, ICE_WAITING, "first unfreeze idle trigger added" },
		{ ICE_WAITING, ICE_IN_PROGRESS, "sent" },
		{ ICE_WAITING, ICE_SUCCEEDED, "response followed agreed" },
		{ ICE_WAITING, ICE_PAIR_FAILED, "nomination_failed" },
		{ ICE_IN_PROGRESS, ICE_SUCCEEDED, "response" },
		{ ICE_IN_PROGRESS, ICE_PAIR_FAILED,
		  "timeout asymmetric error unreachable nomination_failed" },
		{ ICE_IN_PROGRESS, ICE_WAITING, "trigger conflict" },
		{ ICE_PAIR_FAILED, ICE_WAITING, "trigger" },
		{ ICE_PAIR_FAILED, ICE_SUCCEEDED, "response" }, /* a late answer */
		{ ICE_SUCCEEDED, ICE_PAIR_FAILED, "nomination_failed" },
		{ ICE_FROZEN, ICE_SUCCEEDED,
		  "response followed agreed" }, /* a valid pair of its own */
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i].from == from && steps[i].to == to && strstr(steps[i].why, why))
			return true;
	return false;
}

static void on_state(struct ice_check *c, const struct ice_trace_record *r)
{
	struct seen_pair *const p = pair_of(c, r->id);

	HOLDS(p->live, "INV-1: a state of no pair");
	HOLDS(p->state == r->from, "INV-11: a state changes from what it was not");
	HOLDS(may_step(r->from, r->to, r->why), "INV-11: a step that no rule allows");
	HOLDS(!c->lite || r->to != ICE_IN_PROGRESS, "INV-30: a lite agent checks");
	p->state = r->to;
	p->succeeded |= r->to == ICE_SUCCEEDED;
}

/* --- what is sent --- */

static void retransmitted(struct ice_check *c, struct seen_tx *t, const struct ice_trace_record *r)
{
	const uint64_t gap = r->now_ms - t->last_ms;

	HOLDS(endpoint_equal(&t->peer, &r->peer) && endpoint_equal(&t->base, &r->base),
	      "INV-2: a retransmission to elsewhere");
	HOLDS(r->what != ICE_CONSENT, "INV-35: a consent request is sent twice");
	HOLDS(t->sends > 1 || gap >= 500, "INV-23: the first retransmission comes too soon");
	/* One that was held back counts as lost (ICE-216); the next gap is measured from before it.
	 */
	t->held |= r->what != ICE_GATHER && r->number != t->sends;
	HOLDS(t->sends == 1 || t->held || gap + 1 >= 2 * t->gap_ms, "INV-23: gaps do not double");
	HOLDS(++t->sends <= 7, "INV-42: more than seven sends");
	HOLDS(r->what == ICE_GATHER || r->what == ICE_NOMINATING ||
	              !c->done[r->stream][r->component],
	      "INV-27: a check goes on after the component was decided");
	t->gap_ms = gap;
	t->last_ms = r->now_ms;
}

static void began(struct ice_check *c, const struct ice_trace_record *r)
{
	const bool paced = r->what != ICE_CONSENT && r->what != ICE_KEEPALIVE;

	if (paced && c->has_new)
		HOLDS(r->now_ms >= c->last_new_ms + c->ta_ms, "INV-20: two transactions within Ta");
	if (paced) {
		c->last_new_ms = r->now_ms;
		c->has_new = true;
	}
	if (r->what == ICE_ORDINARY || r->what == ICE_TRIGGERED) {
		nothing_frozen(c);
		HOLDS(!c->done[r->stream][r->component],
		      "INV-27: a check begins after the component was decided");
	}
	if (c->n_tx < TRANSACTIONS)
		c->tx[c->n_tx++] = (struct seen_tx){ .pair = r->id,
			                             .what = r->what,
			                             .base = r->base,
			                             .peer = r->peer,
			                             .first_ms = r->now_ms,
			                             .last_ms = r->now_ms,
			                             .sends = 1,
			                             .use_candidate = r->use_candidate };
	memcpy(c->tx[c->n_tx - 1].txid, r->txid, 12);
}

static void answered(struct ice_check *c, const struct ice_trace_record *r)
{
	for (unsigned i = 0; i < ASKS; i++)
		if (c->ask[i].open && memcmp(c->ask[i].txid, r->txid, 12) == 0) {
			HOLDS(endpoint_equal(&c->ask[i].peer, &r->peer),
			      "INV-19: an answer to somebody else");
			HOLDS(c->ask[i].ms == r->now_ms, "INV-19: an answer that comes late");
			c->ask[i].open = false;
			return;
		}
}

static void on_tx(struct ice_check *c, const struct ice_trace_record *r)
{
	struct seen_tx *t;

	HOLDS(!c->closed || r->what == ICE_GATHER, "INV-41: something is sent after the end");
	if (r->what == ICE_ANSWER) {
		answered(c, r);
		return;
	}
	if (r->what == ICE_GATHER && r->cls != STUN_REQUEST)
		return;
	HOLDS(!c->lite || r->what == ICE_KEEPALIVE, "INV-30: a lite agent sends requests");
	if (r->what != ICE_GATHER && r->cls == STUN_REQUEST) {
		HOLDS(r->controlling == c->controlling || r->number > 0,
		      "INV-13: the role sent is not the role held");
		HOLDS(r->what == ICE_CONSENT || r->priority >> 24 == 110,
		      "INV-13: PRIORITY is not that of a peer-reflexive candidate");
		HOLDS(!r->use_candidate || c->controlling || r->number > 0,
		      "INV-24: a controlled agent nominates");
		HOLDS(!r->use_candidate || pair_of(c, r->id)->succeeded,
		      "INV-24: a pair is nominated that has not succeeded");
	}
	if (r->cls == STUN_INDICATION)
		return;
	t = tx_of(c, r->txid);
	if (t)
		retransmitted(c, t, r);
	else
		began(c, r);
}

static void on_rx(struct ice_check *c, const struct ice_trace_record *r)
{
	struct seen_tx *t;

	if (r->cls == STUN_REQUEST) {
		const unsigned k = c->n_asks++ % ASKS;

		HOLDS(!c->ask[k].open, "INV-19: a request was never answered");
		c->ask[k].open = true;
		c->ask[k].peer = r->peer;
		c->ask[k].ms = r->now_ms;
		memcpy(c->ask[k].txid, r->txid, 12);
		return;
	}
	t = tx_of(c, r->txid);
	HOLDS(t != NULL, "INV-16: an answer to nothing is taken");
	HOLDS(r->verified, "INV-16: an answer without integrity is taken");
}

/* --- conclusions --- */

static void on_valid(struct ice_check *c, const struct ice_trace_record *r)
{
	struct seen_pair *const p = pair_of(c, r->id);

	p->valid = strcmp(r->why, "added") == 0;
	HOLDS(!p->valid || p->state == ICE_SUCCEEDED, "INV-18: a valid pair has not succeeded");
}

static void on_nominated(struct ice_check *c, const struct ice_trace_record *r)
{
	HOLDS(!c->done[r->stream][r->component], "INV-25: a component is nominated twice");
	HOLDS(pair_of(c, r->id)->valid, "INV-25: a pair is nominated that is not valid");
	c->done[r->stream][r->component] = true;
}

static void on_selected(struct ice_check *c, const struct ice_trace_record *r)
{
	c->selected[r->stream][r->component] = r->id;
}

/* Over the selected pair; before there is one, over a valid one or that of before. */
static void on_data(struct ice_check *c, const struct ice_trace_record *r)
{
	const uint32_t selected = c->selected[r->stream][r->component];

	if (selected)
		HOLDS(r->id == selected, "INV-32: data over another pair than the selected one");
	else
		HOLDS(r->id == c->before[r->stream][r->component] || pair_of(c, r->id)->valid,
		      "INV-32: data over a pair that is not valid");
	HOLDS(!c->closed, "INV-32: data after the end");
}

static void on_role(struct ice_check *c, const struct ice_trace_record *r)
{
	c->controlling = r->controlling;
	c->switches++;
	HOLDS(c->switches <= 4, "INV-31: the role keeps changing");
}

static void on_param(struct ice_check *c, const struct ice_trace_record *r)
{
	if (!r->local)
		return;
	if (!c->has_tie)
		c->tie = r->tie;
	c->has_tie = true;
	c->controlling = r->controlling;
	c->ta_ms = r->number;
}

static void on_restart(struct ice_check *c, const struct ice_trace_record *r)
{
	(void)r;
	memset(c->done, 0, sizeof(c->done));
	memcpy(c->before, c->selected, sizeof(c->before));
	memset(c->selected, 0, sizeof(c->selected));
}

static void on_session(struct ice_check *c, const struct ice_trace_record *r)
{
	HOLDS(!(r->to == ICE_FAILED && r->from == ICE_NEW), "INV-28: failed before it began");
	c->session = r->to;
	c->closed |= r->to == ICE_CLOSED;
}

void ice_check_record(void *check, const struct ice_trace_record *r)
{
	static void (*const on[ICE_TRACE_EVENTS])(struct ice_check *,
	                                          const struct ice_trace_record *) = {
		[ICE_TRACE_PAIR] = on_pair,
		[ICE_TRACE_STATE] = on_state,
		[ICE_TRACE_TX] = on_tx,
		[ICE_TRACE_RX] = on_rx,
		[ICE_TRACE_VALID] = on_valid,
		[ICE_TRACE_NOMINATED] = on_nominated,
		[ICE_TRACE_ROLE] = on_role,
		[ICE_TRACE_PARAM] = on_param,
		[ICE_TRACE_RESTART] = on_restart,
		[ICE_TRACE_SESSION] = on_session,
		[ICE_TRACE_SELECTED] = on_selected,
		[ICE_TRACE_DATA] = on_data,
	};
	struct ice_check *const c = check;

	char *const line = c->tail[c->n_tail++ % TAIL];

	ice_trace_text(r, line, sizeof(c->tail[0]));
	if (c->loud)
		fprintf(stderr, "%s %s\n", c->who, line);
	HOLDS(r->now_ms >= c->now_ms, "INV-1: time goes back");
	c->now_ms = r->now_ms;
	if (on[r->event])
		on[r->event](c, r);
}

uint64_t ice_check_tie(const struct ice_check *c)
{
	return c->tie;
}

unsigned ice_check_end(struct ice_check *c)
{
	for (unsigned i = 0; i < ASKS && !c->closed; i++)
		HOLDS(!c->ask[i].open || c->ask[i].ms >= c->now_ms,
		      "INV-19: a request was never answered");
	return c->breaches;
}
