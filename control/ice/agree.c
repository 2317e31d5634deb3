/*
 * Two lite agents: nobody checks. Both work the same pair out of what they have told one another;
 * where there was a choice, the controlling one tells once more what it has chosen (ICE-165).
 */
#include "control/ice/parts.h"

static bool both_lite(const struct ice_agent *a)
{
	return a->c.lite && a->their_lite && a->has_remote && a->described;
}

/* The best of a component; *n: of how many. */
static int best_of(const struct ice_agent *a, unsigned stream, unsigned component, unsigned *n)
{
	int best = NONE;

	*n = 0;
	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (!p->id || !p->listed || p->stream != stream || p->component != component)
			continue;
		*n += 1;
		if (best == NONE || p->priority > a->pair[best].priority)
			best = i;
	}
	return best;
}

/* What the controlling side has chosen, by its second description. */
static int named(const struct ice_agent *a, unsigned stream, unsigned component,
                 const struct ice_stream_description *d)
{
	const struct endpoint *const mine = &d->remote[component - 1];

	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (!p->id || !p->listed || p->stream != stream || p->component != component ||
		    !endpoint_equal(mine, &a->local[p->local].c.at))
			continue;
		for (unsigned k = 0; k < d->n_candidates; k++)
			if (d->candidate[k].component == component &&
			    endpoint_equal(&d->candidate[k].at,
			                   &a->stream[stream].remote[p->remote].c.at))
				return i;
	}
	return NONE;
}

static void take(struct ice_agent *a, int i)
{
	pair_state(a, i, ICE_SUCCEEDED, "agreed");
	a->pair[i].valid_pair = (int16_t)i;
	conclude_valid(a, i);
	conclude_nominated(a, i);
}

static void take_all(struct ice_agent *a, const struct ice_description *d)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 1; c <= a->stream[s].n_components; c++) {
			unsigned n;
			const int by_name = d ? named(a, s, c, &d->stream[s]) : NONE;
			const int i = by_name != NONE ? by_name : best_of(a, s, c, &n);

			if (i != NONE && !a->stream[s].done[c - 1])
				take(a, i);
		}
	a->agreeing = a->agree_told = false;
}

/* A description that merely comes again names nothing. */
static bool names_all(const struct ice_agent *a, const struct ice_description *d)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 1; c <= a->stream[s].n_components; c++)
			if (named(a, s, c, &d->stream[s]) == NONE)
				return false;
	return true;
}

void agree_run(struct ice_agent *a, const struct ice_description *update)
{
	bool choice = false;

	if (!both_lite(a))
		return;
	if (update && a->agreeing) {
		if (!a->controlling && names_all(a, update))
			take_all(a, update);
		else if (a->controlling && a->agree_told)
			take_all(a, NULL);
		return;
	}
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 1; c <= a->stream[s].n_components; c++) {
			unsigned n;

			if (best_of(a, s, c, &n) == NONE)
				return; /* more may come */
			choice |= n > 1;
		}
	a->agreeing = choice;
	if (!choice)
		take_all(a, NULL);
}

bool ice_wants_update(const struct ice_agent *a)
{
	return a->agreeing && a->controlling && !a->agree_told;
}

void agree_describe(struct ice_agent *a, struct ice_description *d)
{
	if (!a->agreeing || !a->controlling)
		return;
	for (unsigned s = 0; s < a->c.n_streams; s++) {
		struct ice_stream_description *const t = &d->stream[s];

		t->n_candidates = 0;
		for (unsigned c = 1; c <= a->stream[s].n_components; c++) {
			unsigned n;
			const int i = best_of(a, s, c, &n);

			if (i == NONE)
				continue;
			t->candidate[t->n_candidates++] = a->local[a->pair[i].local].c;
			t->chosen[c - 1] = a->local[a->pair[i].local].c.at;
			t->remote[c - 1] = a->stream[s].remote[a->pair[i].remote].c.at;
		}
	}
	a->agree_told = true;
}
