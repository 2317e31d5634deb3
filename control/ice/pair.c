/* Check lists: pairs, their order, their states (ICE-092 to ICE-102, ICE-200). */
#include <stdio.h>

#include "control/ice/parts.h"

/* ICE-040. */
uint64_t pair_priority(const struct ice_agent *a, uint32_t local, uint32_t remote)
{
	const uint64_t g = a->controlling ? local : remote, d = a->controlling ? remote : local;

	return ((g < d ? g : d) << 32) + (g > d ? g : d) * 2 + (g > d);
}

static const struct ice_candidate *remote_of(const struct ice_agent *a, const struct pair *p)
{
	return &a->stream[p->stream].remote[p->remote].c;
}

static void trace_pair(struct ice_agent *a, const struct pair *p, const char *why)
{
	const struct ice_candidate *const l = &a->local[p->local].c, *const r = remote_of(a, p);
	char foundation[2 * ICE_FOUNDATION_MAX + 2];

	snprintf(foundation, sizeof(foundation), "%s %s", l->foundation, r->foundation);
	trace_put(a, &(struct ice_trace_record){
			     .event = ICE_TRACE_PAIR,
			     .stream = p->stream,
			     .component = p->component,
			     .id = p->id,
			     .at = a->local[p->local].base,
			     .peer = r->at,
			     .foundation = foundation,
			     .pair_priority = p->priority,
			     .why = why,
		     });
}

void pair_state(struct ice_agent *a, int i, enum ice_pair_state to, const char *why)
{
	struct pair *const p = &a->pair[i];

	if (p->state == to)
		return;
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_STATE,
	                                         .stream = p->stream,
	                                         .component = p->component,
	                                         .id = p->id,
	                                         .from = p->state,
	                                         .to = (uint8_t)to,
	                                         .why = why });
	p->state = (uint8_t)to;
}

/* ICE-030: both halves, each by itself. */
bool pair_same_foundation(const struct ice_agent *a, int i, int k)
{
	const struct pair *const p = &a->pair[i], *const q = &a->pair[k];

	return strcmp(a->local[p->local].c.foundation, a->local[q->local].c.foundation) == 0 &&
	       strcmp(remote_of(a, p)->foundation, remote_of(a, q)->foundation) == 0;
}

/* --- the triggered-check queue --- */

void queue_remove(struct ice_agent *a, int i)
{
	struct stream *const s = &a->stream[a->pair[i].stream];
	unsigned n = 0;

	for (unsigned k = 0; k < s->n_queue; k++)
		if (s->queue[k] != i)
			s->queue[n++] = s->queue[k];
	s->n_queue = n;
	a->pair[i].queued = false;
}

static void trace_queue(struct ice_agent *a, int i, const char *why)
{
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_QUEUE,
	                                         .stream = a->pair[i].stream,
	                                         .component = a->pair[i].component,
	                                         .id = a->pair[i].id,
	                                         .why = why });
}

void queue_push(struct ice_agent *a, int i, bool front)
{
	struct pair *const p = &a->pair[i];
	struct stream *const s = &a->stream[p->stream];

	if (p->queued && !front)
		return;
	queue_remove(a, i);
	if (s->n_queue == a->room.queue)
		return; /* never: it holds no more than the listed pairs */
	if (front)
		memmove(s->queue + 1, s->queue, s->n_queue * sizeof(s->queue[0]));
	s->queue[front ? 0 : s->n_queue] = (int16_t)i;
	s->n_queue++;
	p->queued = true;
	trace_queue(a, i, "pushed");
}

void queue_take(struct ice_agent *a, int i)
{
	queue_remove(a, i);
	trace_queue(a, i, "popped");
}

/* --- pairs come and go --- */

int pair_find(const struct ice_agent *a, unsigned stream, struct via via, unsigned component,
              const struct endpoint *remote)
{
	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (p->id && p->listed && p->stream == stream && p->component == component &&
		    via_equal(a->local[p->local].via, via) &&
		    endpoint_equal(&remote_of(a, p)->at, remote))
			return i;
	}
	return NONE;
}

void pair_drop(struct ice_agent *a, int i, const char *why)
{
	struct pair *const p = &a->pair[i];

	check_cancel(a, i);
	queue_remove(a, i);
	trace_pair(a, p, why);
	for (unsigned c = 0; c < a->c.n_components; c++)
		if (a->stream[p->stream].path[c].pair == i)
			a->stream[p->stream].path[c].pair = NONE;
	for (int k = 0; k < a->room.pairs; k++)
		if (a->pair[k].id && a->pair[k].valid_pair == i)
			a->pair[k].valid_pair = NONE;
	*p = (struct pair){ .id = 0 };
}

/* ICE-095: the lowest that nothing has been done with makes room. false: none is lower. */
static bool make_room(struct ice_agent *a, uint64_t priority)
{
	int worst = NONE;
	unsigned listed = 0;

	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (!p->id || !p->listed)
			continue;
		listed++;
		if (p->queued || p->valid || p->state == ICE_IN_PROGRESS ||
		    p->state == ICE_SUCCEEDED)
			continue;
		if (p->state != ICE_PAIR_FAILED && p->priority >= priority)
			continue;
		if (worst == NONE ||
		    (p->state == ICE_PAIR_FAILED) > (a->pair[worst].state == ICE_PAIR_FAILED) ||
		    ((p->state == ICE_PAIR_FAILED) == (a->pair[worst].state == ICE_PAIR_FAILED) &&
		     p->priority < a->pair[worst].priority))
			worst = i;
	}
	if (listed < a->c.pairs_max)
		return true;
	if (worst == NONE)
		return false;
	pair_drop(a, worst, "limit");
	return true;
}

int pair_add(struct ice_agent *a, unsigned stream, int local, int remote, bool listed,
             const char *why)
{
	const struct local *const l = &a->local[local];
	const struct remote *const r = &a->stream[stream].remote[remote];
	const uint64_t priority = pair_priority(a, l->c.priority, r->c.priority);

	if (listed && !make_room(a, priority))
		return NONE;
	for (int i = 0; i < a->room.pairs; i++) {
		if (a->pair[i].id)
			continue;
		a->pair[i] = (struct pair){
			.id = ++a->last_id,
			.stream = (uint8_t)stream,
			.component = (uint8_t)l->c.component,
			.state = ICE_FROZEN,
			.local = local,
			.remote = remote,
			.priority = priority,
			.listed = listed,
			.valid_pair = NONE,
		};
		trace_pair(a, &a->pair[i], why);
		return i;
	}
	return NONE;
}

/* ICE-041: the role or a remote priority has changed. Order is looked up, never stored. */
void pair_reprice(struct ice_agent *a)
{
	for (int i = 0; i < a->room.pairs; i++) {
		struct pair *const p = &a->pair[i];

		if (!p->id)
			continue;
		const uint64_t now =
			pair_priority(a, a->local[p->local].c.priority, remote_of(a, p)->priority);

		if (now == p->priority)
			continue;
		p->priority = now;
		trace_pair(a, p, "changed");
	}
}

/* --- forming --- */

static bool link_local(const struct addr *a)
{
	return a->ip[0] == 0xFE && (a->ip[1] & 0xC0) == 0x80;
}

/* ICE-092, ICE-094, ICE-199: of one base only the best that stands for it. */
static bool joins(const struct ice_agent *a, unsigned stream, int local, const struct remote *r)
{
	const struct local *const l = &a->local[local];

	if (!l->id || l->stream != stream || l->hidden || !l->signalled || l->c.type == ICE_PRFLX ||
	    l->c.component != r->c.component || l->c.protocol != r->c.protocol ||
	    addr_family(&l->base.addr) != addr_family(&r->c.at.addr) ||
	    link_local(&l->base.addr) != link_local(&r->c.at.addr))
		return false;
	if (l->c.component > a->stream[stream].n_components)
		return false;
	if (l->c.type != ICE_SRFLX)
		return true;
	for (int i = 0; i < a->room.locals;
	     i++) { /* replaced by its base, if that is a candidate */
		const struct local *const k = &a->local[i];

		if (i != local && k->id && !k->hidden && k->signalled && k->stream == stream &&
		    k->c.component == l->c.component && via_equal(k->via, l->via) &&
		    (k->c.type == ICE_HOST || (k->c.type == ICE_SRFLX && i < local)))
			return false;
	}
	return true;
}

/* ICE-101: topmost of its foundation, or one of it has succeeded. */
static void settle_new(struct ice_agent *a, int i)
{
	const struct pair *const p = &a->pair[i];
	bool top = true, succeeded = false;

	for (int k = 0; k < a->room.pairs; k++) {
		const struct pair *const q = &a->pair[k];

		if (k == i || !q->id || !q->listed || !pair_same_foundation(a, i, k))
			continue;
		succeeded |= q->state == ICE_SUCCEEDED;
		if (q->component < p->component ||
		    (q->component == p->component && q->priority >= p->priority))
			top = false;
	}
	if (top || succeeded)
		pair_state(a, i, ICE_WAITING, "added");
}

void pair_form(struct ice_agent *a, unsigned stream)
{
	struct stream *const s = &a->stream[stream];
	const uint32_t before = a->last_id;

	for (int r = 0; r < a->room.remotes; r++) {
		if (!s->remote[r].id || s->remote[r].learned)
			continue;
		if (s->done[s->remote[r].c.component - 1])
			continue;
		for (int l = 0; l < a->room.locals; l++) {
			if (!joins(a, stream, l, &s->remote[r]) ||
			    pair_find(a, stream, a->local[l].via, s->remote[r].c.component,
			              &s->remote[r].c.at) != NONE)
				continue;
			pair_add(a, stream, l, r, true, "formed");
		}
	}
	/* Once all are there, so that of a foundation only the topmost goes. */
	for (int i = 0; s->formed && i < a->room.pairs; i++)
		if (a->pair[i].id > before && a->pair[i].state == ICE_FROZEN)
			settle_new(a, i);
}

/* Lower component first, then higher priority (ICE-098). */
static bool before(const struct pair *p, const struct pair *q)
{
	if (p->stream != q->stream)
		return p->stream < q->stream;
	if (p->component != q->component)
		return p->component < q->component;
	return p->priority > q->priority || (p->priority == q->priority && p->id < q->id);
}

/* ICE-098: one of each foundation in the whole set may go. */
void pair_begin(struct ice_agent *a)
{
	bool fresh[ICE_STREAMS_MAX] = { false };

	for (unsigned s = 0; s < a->c.n_streams; s++) {
		fresh[s] = !a->stream[s].formed;
		a->stream[s].formed = true;
	}
	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];
		bool first = p->id && p->listed && p->state == ICE_FROZEN && fresh[p->stream];

		for (int k = 0; first && k < a->room.pairs; k++)
			if (k != i && a->pair[k].id && a->pair[k].listed &&
			    before(&a->pair[k], p) && pair_same_foundation(a, i, k))
				first = false;
		if (first)
			pair_state(a, i, ICE_WAITING, "first");
	}
}

/* ICE-099. */
void pair_unfreeze(struct ice_agent *a, int i)
{
	for (int k = 0; k < a->room.pairs; k++)
		if (a->pair[k].id && a->pair[k].listed && a->pair[k].state == ICE_FROZEN &&
		    pair_same_foundation(a, i, k))
			pair_state(a, k, ICE_WAITING, "unfreeze");
}
