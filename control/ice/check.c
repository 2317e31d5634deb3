/* Ta, transactions, and what is sent when (ICE-103 to ICE-119). */
#include "control/ice/parts.h"

/* A decided list has work when the peer names another pair (ICE-148). */
static bool idle(const struct stream *s)
{
	return !(s->list == LIST_RUNNING || (s->list == LIST_COMPLETED && s->n_queue)) ||
	       !s->formed || !s->now.theirs.set;
}

/* --- which pair (ICE-105) --- */

/* When a check of the pair may leave; UINT64_MAX: a permission is still to come. */
static uint64_t go_ms(const struct ice_agent *a, int i)
{
	const struct pair *const p = &a->pair[i];

	return gather_permitted(a, a->local[p->local].via,
	                        &a->stream[p->stream].remote[p->remote].c.at.addr)
	               ? rate_ms(a, i)
	               : UINT64_MAX;
}

static int best_waiting(const struct ice_agent *a, unsigned stream, bool *any)
{
	int best = NONE;

	*any = false;
	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (!p->id || !p->listed || p->stream != stream || p->state != ICE_WAITING ||
		    p->queued)
			continue;
		*any = true;
		if (go_ms(a, i) > a->now_ms)
			continue;
		if (best == NONE || p->priority > a->pair[best].priority ||
		    (p->priority == a->pair[best].priority &&
		     p->component < a->pair[best].component))
			best = i;
	}
	return best;
}

/* A foundation that nobody in the whole set is at work on. */
static bool foundation_idle(const struct ice_agent *a, int i)
{
	for (int k = 0; k < a->room.pairs; k++)
		if (a->pair[k].id && a->pair[k].listed &&
		    (a->pair[k].state == ICE_WAITING || a->pair[k].state == ICE_IN_PROGRESS) &&
		    pair_same_foundation(a, i, k))
			return false;
	return true;
}

/* Step 2: lowest component first, then highest priority, one of each foundation. */
static void thaw(struct ice_agent *a, unsigned stream)
{
	for (;;) {
		int best = NONE;

		for (int i = 0; i < a->room.pairs; i++) {
			const struct pair *const p = &a->pair[i];

			if (!p->id || !p->listed || p->stream != stream || p->state != ICE_FROZEN ||
			    !foundation_idle(a, i))
				continue;
			if (best == NONE || p->component < a->pair[best].component ||
			    (p->component == a->pair[best].component &&
			     p->priority > a->pair[best].priority))
				best = i;
		}
		if (best == NONE)
			return;
		pair_state(a, best, ICE_WAITING, "idle");
	}
}

static int pick(struct ice_agent *a, unsigned stream, bool *triggered)
{
	bool any;
	int i = NONE;

	for (unsigned k = 0; k < a->stream[stream].n_queue && i == NONE; k++)
		if (rate_ms(a, a->stream[stream].queue[k]) <= a->now_ms)
			i = a->stream[stream].queue[k];
	*triggered = i != NONE;
	if (i != NONE) {
		queue_take(a, i);
		return i;
	}
	i = best_waiting(a, stream, &any);
	if (any)
		return i;
	thaw(a, stream);
	return best_waiting(a, stream, &any);
}

/* --- transactions --- */

struct transaction *check_find(struct ice_agent *a, const uint8_t *txid)
{
	for (unsigned i = 0; a->n_transactions && i < a->room.transactions; i++)
		if (a->transaction[i].live &&
		    memcmp(a->transaction[i].txid, txid, STUN_TXID_LEN) == 0)
			return &a->transaction[i];
	return NULL;
}

void check_end(struct ice_agent *a, struct transaction *t)
{
	a->n_transactions -= t->live;
	t->live = false;
}

/* ICE-109. */
static uint32_t rto(const struct ice_agent *a)
{
	unsigned n = 0;

	for (int i = 0; i < a->room.pairs; i++)
		n += a->pair[i].id && a->pair[i].listed &&
		     (a->pair[i].state == ICE_WAITING || a->pair[i].state == ICE_IN_PROGRESS);
	const uint64_t ms = (uint64_t)a->ta_ms * n;

	return ms < RTO_MIN_MS ? RTO_MIN_MS : ms > RTO_MAX_MS ? RTO_MAX_MS : (uint32_t)ms;
}

static struct transaction *begin(struct ice_agent *a, int i, enum ice_what what)
{
	const struct pair *const p = &a->pair[i];
	const struct local *const l = &a->local[p->local];
	struct transaction *t = NULL;

	for (unsigned k = 0; k < a->room.transactions && !t; k++)
		if (!a->transaction[k].live)
			t = &a->transaction[k];
	if (!t)
		return NULL;
	*t = (struct transaction){
		.live = true,
		.pair = (int16_t)i,
		.what = (uint8_t)what,
		.controlling = a->controlling,
		.use_candidate = p->nominate && a->controlling,
		.stream = p->stream,
		.pair_id = p->id,
		/* ICE-038: as if it were learned from us. */
		.priority =
			candidate_priority(ICE_PRFLX, l->c.priority >> 8 & 0xFFFF, p->component),
		.rto_ms = rto(a),
		.tie = a->tie,
		.first_ms = a->now_ms,
		.via = l->via,
		.to = a->stream[p->stream].remote[p->remote].c.at,
	};
	a->n_transactions++;
	a->c.random(a->c.random_arg, t->txid, sizeof(t->txid));
	return t;
}

static void trace_tx(struct ice_agent *a, const struct transaction *t)
{
	struct ice_trace_record r = {
		.event = ICE_TRACE_TX,
		.stream = t->stream,
		.component = a->pair[t->pair].component,
		.id = t->pair_id,
		.base = a->local[a->pair[t->pair].local].base,
		.peer = t->to,
		.what = t->what,
		.cls = STUN_REQUEST,
		.method = STUN_BINDING,
		.controlling = t->controlling,
		.use_candidate = t->use_candidate,
		.tie = t->tie,
		.priority = t->priority,
		.number = t->sends,
	};

	memcpy(r.txid, t->txid, sizeof(r.txid));
	trace_put(a, &r);
}

/* ICE-107: the next one after twice the time; after the seventh, sixteen times the first. */
static void count_send(const struct ice_agent *a, struct transaction *t)
{
	t->sends++;
	t->next_ms = a->now_ms + (t->sends < SENDS_MAX ? (uint64_t)t->rto_ms << (t->sends - 1)
	                                               : (uint64_t)t->rto_ms * 16);
}

static bool transmit(struct ice_agent *a, struct transaction *t, struct ice_event *out)
{
	uint8_t octets[1024];
	const size_t len = message_check(&a->stream[t->stream].now, t, octets, sizeof(octets));

	trace_tx(a, t);
	rate_sent(a, t);
	count_send(a, t);
	return message_send(a, t->via, &t->to, octets, len, out); /* ICE-112 */
}

static bool check_one(struct ice_agent *a, struct ice_event *out)
{
	for (unsigned k = 0; k < a->c.n_streams; k++) {
		const unsigned stream = (a->list_turn + k) % a->c.n_streams;
		struct transaction *t;
		bool triggered;
		int i;

		if (idle(&a->stream[stream]))
			continue;
		i = pick(a, stream, &triggered);
		if (i == NONE)
			continue;
		if (rate_exhausted(a, i)) {
			pair_drop(a, i, "limit");
			continue;
		}
		t = begin(a, i,
		          a->pair[i].nominate || a->stream[stream].done[a->pair[i].component - 1]
		                  ? ICE_NOMINATING
		          : triggered ? ICE_TRIGGERED
		                      : ICE_ORDINARY);
		if (!t)
			return false;
		a->stream[stream].remote[a->pair[i].remote].checks++;
		if (a->pair[i].state != ICE_SUCCEEDED)
			pair_state(a, i, ICE_IN_PROGRESS, "sent");
		a->list_turn = stream + 1;
		return transmit(a, t, out);
	}
	return false;
}

/* Someone waits for it: a peer that asked, or a nomination. */
static bool triggered_waits(const struct ice_agent *a)
{
	for (unsigned i = 0; i < a->c.n_streams; i++)
		if (a->stream[i].n_queue > 0)
			return true;
	return false;
}

bool check_tick(struct ice_agent *a, struct ice_event *out)
{
	if (a->now_ms < a->tick_ms || a->state == ICE_CLOSED)
		return false;
	for (unsigned k = 0; k < 2; k++) {
		const bool gather = triggered_waits(a) ? k == 1 : a->tick_turn == (k == 0);

		if (!(gather ? gather_tick(a, out) : !a->c.lite && check_one(a, out)))
			continue;
		a->tick_turn = !gather;
		a->tick_ms = a->now_ms + a->ta_ms; /* ICE-113: a late one starts no burst */
		return true;
	}
	return false;
}

bool check_retransmit(struct ice_agent *a, struct ice_event *out)
{
	for (unsigned i = 0; a->n_transactions && i < a->room.transactions; i++) {
		struct transaction *const t = &a->transaction[i];

		if (!t->live || t->cancelled || t->sends >= SENDS_MAX || t->next_ms > a->now_ms)
			continue;
		if (rate_skips(a, t))
			count_send(a, t);
		else if (transmit(a, t, out))
			return true;
	}
	return false;
}

/* ICE-125. */
void check_expire(struct ice_agent *a)
{
	for (unsigned i = 0; a->n_transactions && i < a->room.transactions; i++) {
		struct transaction *const t = &a->transaction[i];

		if (!t->live || t->next_ms > a->now_ms || (!t->cancelled && t->sends < SENDS_MAX))
			continue;
		const bool cancelled = t->cancelled;
		const int pair = t->pair;

		check_end(a, t);
		if (cancelled || a->pair[pair].id != t->pair_id)
			continue;
		if (t->use_candidate)
			conclude_nomination_failed(a, pair);
		else if (a->pair[pair].state == ICE_IN_PROGRESS)
			pair_state(a, pair, ICE_PAIR_FAILED, "timeout");
	}
}

/* No more is sent, silence is no failure, a late answer counts (ICE-138). */
void check_cancel(struct ice_agent *a, int pair)
{
	for (unsigned i = 0; a->n_transactions && i < a->room.transactions; i++) {
		struct transaction *const t = &a->transaction[i];

		if (!t->live || t->cancelled || t->pair != pair || t->pair_id != a->pair[pair].id)
			continue;
		t->cancelled = true;
		t->next_ms = t->first_ms + (uint64_t)t->rto_ms * 79;
	}
}

/* The earliest time at which a list has something to send; UINT64_MAX: nothing. */
static uint64_t list_ms(const struct ice_agent *a, unsigned stream)
{
	const struct stream *const s = &a->stream[stream];
	uint64_t next = UINT64_MAX;
	bool waiting = false, frozen = false;

	for (unsigned k = 0; k < s->n_queue; k++) {
		const uint64_t ms = rate_ms(a, s->queue[k]);

		next = ms < next ? ms : next;
	}
	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (!p->id || !p->listed || p->stream != stream || p->queued)
			continue;
		frozen |= p->state == ICE_FROZEN && foundation_idle(a, i);
		if (p->state != ICE_WAITING)
			continue;
		waiting = true;
		const uint64_t ms = go_ms(a, i);

		next = ms < next ? ms : next;
	}
	return frozen && !waiting ? 0 : next;
}

uint64_t check_next_ms(const struct ice_agent *a)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; a->n_transactions && i < a->room.transactions; i++)
		if (a->transaction[i].live && a->transaction[i].next_ms < next)
			next = a->transaction[i].next_ms;
	for (unsigned s = 0; !a->c.lite && a->tick_ms < next && s < a->c.n_streams; s++) {
		const uint64_t ms = idle(&a->stream[s]) ? UINT64_MAX : list_ms(a, s);

		if (ms != UINT64_MAX && (ms > a->tick_ms ? ms : a->tick_ms) < next)
			next = ms > a->tick_ms ? ms : a->tick_ms;
	}
	return next;
}
