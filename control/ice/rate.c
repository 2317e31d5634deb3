/*
 * How fast checks may leave: towards one destination that has not answered yet (ICE-216), and over
 * all agents of a process (ICE-103).
 */
#include "control/ice/parts.h"

enum {
	WINDOW_MS = 1000,
	WINDOW_MAX = 5,
	FLOOR_MS = 5,
};

/* --- one pacer for all agents --- */

/* Equal addresses share a place; others may, and then wait for one another, too. */
static unsigned place_of(const struct ice_pacer *p, const struct addr *local, const struct addr *to)
{
	const unsigned prefix = addr_is4(to) ? 15 : 6; /* octets: /24, /48 */
	uint32_t h = UINT32_C(2166136261);

	if (!p->by_peer)
		return 0;
	for (unsigned i = 0; i < 16; i++)
		h = (h ^ local->ip[i]) * UINT32_C(16777619);
	for (unsigned i = 0; i < prefix; i++)
		h = (h ^ to->ip[i]) * UINT32_C(16777619);
	return (h ^ h >> 16) % ICE_PACER_PLACES;
}

uint64_t rate_pacer_ms(const struct ice_agent *a, int base, const struct addr *to)
{
	const struct ice_pacer *const p = a->c.pacer;

	return p ? p->next_ms[place_of(p, &a->base[base].b.at.addr, to)] : 0;
}

void rate_pacer_take(struct ice_agent *a, int base, const struct addr *to)
{
	struct ice_pacer *const p = a->c.pacer;

	if (p)
		p->next_ms[place_of(p, &a->base[base].b.at.addr, to)] = a->now_ms + FLOOR_MS;
}

/* --- destinations that have not answered --- */

/* When the next request may leave there; a retransmission counts like a first one. */
static uint64_t window_ms(const struct ice_agent *a, const struct addr *to)
{
	uint64_t oldest = UINT64_MAX;
	unsigned n = 0;

	for (unsigned i = 0; i < a->room.transactions; i++) {
		const struct transaction *const t = &a->transaction[i];

		for (unsigned k = 0; k < 2; k++) {
			if (!t->sent_ms[k] || t->sent_ms[k] + WINDOW_MS <= a->now_ms ||
			    !addr_equal(&t->to.addr, to))
				continue;
			n++;
			oldest = t->sent_ms[k] < oldest ? t->sent_ms[k] : oldest;
		}
	}
	return n < WINDOW_MAX ? 0 : oldest + WINDOW_MS;
}

uint64_t rate_ms(const struct ice_agent *a, int pair)
{
	const struct pair *const p = &a->pair[pair];
	const struct remote *const r = &a->stream[p->stream].remote[p->remote];
	const struct via via = a->local[p->local].via;
	const struct addr *const next =
		via.alloc == NONE ? &r->c.at.addr : &a->server[a->gather[via.alloc].server].at.addr;
	const uint64_t pacer = rate_pacer_ms(a, via.base, next);
	const uint64_t window = r->answered ? 0 : window_ms(a, &r->c.at.addr);

	return pacer > window ? pacer : window;
}

bool rate_exhausted(struct ice_agent *a, int pair)
{
	unsigned n = 0;

	if (a->stream[a->pair[pair].stream].remote[a->pair[pair].remote].answered)
		return false;
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned i = 0; i < a->room.remotes; i++) {
			const struct remote *const r = &a->stream[s].remote[i];

			n += r->id && !r->answered ? r->checks : 0;
		}
	if (n < CHECKS_MAX)
		return false;
	trace_count(a, "checks_limit");
	return true;
}

bool rate_skips(const struct ice_agent *a, const struct transaction *t)
{
	const struct pair *const p = &a->pair[t->pair];

	return p->id == t->pair_id && !a->stream[p->stream].remote[p->remote].answered &&
	       window_ms(a, &t->to.addr) > a->now_ms;
}

void rate_sent(struct ice_agent *a, struct transaction *t)
{
	t->sent_ms[1] = t->sent_ms[0];
	t->sent_ms[0] = a->now_ms;
	rate_pacer_take(a, t->via.base,
	                t->via.alloc == NONE ? &t->to.addr
	                                     : &a->server[a->gather[t->via.alloc].server].at.addr);
}

void rate_answered(struct ice_agent *a, const struct addr *from)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned i = 0; i < a->room.remotes; i++)
			if (a->stream[s].remote[i].id &&
			    addr_equal(&a->stream[s].remote[i].c.at.addr, from))
				a->stream[s].remote[i].answered = true;
}

bool rate_has_answered(const struct ice_agent *a, const struct addr *at)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned i = 0; i < a->room.remotes; i++)
			if (a->stream[s].remote[i].id && a->stream[s].remote[i].answered &&
			    addr_equal(&a->stream[s].remote[i].c.at.addr, at))
				return true;
	return false;
}
