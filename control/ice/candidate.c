/* Local and remote candidates: foundations, priorities, what is redundant (ICE-002 to ICE-051). */
#include <stdio.h>

#include "control/ice/parts.h"

enum { PREFERENCE_MAX = 65535, OTHER_FAMILY = 32768 };

static const uint8_t type_preference[ICE_TYPES] = {
	[ICE_HOST] = 126, [ICE_PRFLX] = 110, [ICE_SRFLX] = 100, [ICE_RELAY] = 0
};

/* ICE-032. */
uint32_t candidate_priority(enum ice_type type, unsigned preference, unsigned component)
{
	return (uint32_t)type_preference[type] << 24 | preference << 8 | (256 - component);
}

/*
 * ICE-035 to ICE-037, ICE-043: bases in the order of their rank, servers of a base in theirs; what
 * a server gave of the other family comes behind all of the client leg's own.
 */
unsigned local_preference(const struct ice_agent *a, int base, int server, enum ice_type type,
                          bool other_family)
{
	const unsigned rank = a->base[base].rank;

	if (type == ICE_HOST)
		return PREFERENCE_MAX - rank * 2;
	return (other_family ? OTHER_FAMILY : PREFERENCE_MAX) - rank * ICE_SERVERS_MAX -
	       (unsigned)server;
}

bool candidate_allowed(const struct ice_agent *a, const struct addr *at)
{
	for (unsigned i = 0; i < a->c.n_deny; i++)
		if (prefix_contains(&a->c.deny[i], at))
			return false;
	for (unsigned i = 0; i < a->c.n_allow; i++)
		if (prefix_contains(&a->c.allow[i], at))
			return true;
	return a->c.n_allow == 0;
}

/* --- local --- */

/* ICE-027: a number for each (type, base, server, protocol). */
static void set_foundation(struct ice_agent *a, struct local *l)
{
	const struct foundation f = {
		.type = (uint8_t)l->c.type,
		.protocol = (uint8_t)l->c.protocol,
		.base = a->c.lite ? l->c.at.addr : l->base.addr, /* ICE-031 */
		.server = l->server == NONE ? (struct addr){ .ip = { 0 } }
		                            : a->server[l->server].at.addr,
	};
	unsigned i = 0;

	while (i < a->n_foundations && memcmp(&a->foundation[i], &f, sizeof(f)) != 0)
		i++;
	if (i == a->n_foundations && i < a->room.locals)
		a->foundation[a->n_foundations++] = f;
	snprintf(l->c.foundation, sizeof(l->c.foundation), "%u", i + 1);
}

int local_at(const struct ice_agent *a, unsigned stream, unsigned component,
             const struct endpoint *at, const struct endpoint *base)
{
	for (int i = 0; i < a->room.locals; i++) {
		const struct local *const l = &a->local[i];

		if (l->id && !l->hidden && l->stream == stream && l->c.component == component &&
		    endpoint_equal(&l->c.at, at) && (!base || endpoint_equal(&l->base, base)))
			return i;
	}
	return NONE;
}

int local_of_via(const struct ice_agent *a, unsigned stream, struct via via, unsigned family)
{
	int found = NONE;

	for (int i = 0; i < a->room.locals; i++) {
		const struct local *const l = &a->local[i];

		if (!l->id || l->stream != stream || !via_equal(l->via, via))
			continue;
		if (via.alloc != NONE
		            ? addr_family(&l->c.at.addr) != family || l->c.type != ICE_RELAY
		            : l->c.type != ICE_HOST)
			continue;
		if (found == NONE || a->local[found].hidden)
			found = i;
	}
	return found;
}

static void trace_local(struct ice_agent *a, const struct local *l, const char *why)
{
	trace_put(a, &(struct ice_trace_record){
			     .event = ICE_TRACE_CAND,
			     .stream = l->stream,
			     .component = (uint8_t)l->c.component,
			     .id = l->id,
			     .local = true,
			     .type = (uint8_t)l->c.type,
			     .at = l->c.at,
			     .base = l->base,
			     .priority = l->c.priority,
			     .foundation = l->c.foundation,
			     .signalled = l->signalled,
			     .why = why,
		     });
}

/* The place, or NONE: redundant (ICE-048, ICE-049), off policy, or no room. */
int local_add(struct ice_agent *a, const struct local *given)
{
	struct local l = *given;

	if (!l.hidden && local_at(a, l.stream, l.c.component, &l.c.at, &l.base) != NONE) {
		trace_local(a, &l, "redundant");
		return NONE;
	}
	for (int i = 0; i < a->room.locals; i++) {
		if (a->local[i].id)
			continue;
		l.id = ++a->last_id;
		if (!*l.c.foundation)
			set_foundation(a, &l);
		a->local[i] = l;
		trace_local(a, &l, l.hidden ? "hidden" : "added");
		return i;
	}
	trace_local(a, &l, "full");
	return NONE;
}

void local_drop(struct ice_agent *a, int i, const char *why)
{
	for (int k = 0; k < a->room.pairs; k++)
		if (a->pair[k].id && a->pair[k].local == i)
			pair_drop(a, k, why);
	trace_local(a, &a->local[i], why);
	a->local[i].id = 0;
}

/* ICE-127, ICE-039: the address that the peer saw. */
int local_learn(struct ice_agent *a, const struct pair *p, const struct endpoint *mapped,
                uint32_t priority)
{
	const struct local *const of = &a->local[p->local];
	struct local l = {
		.stream = p->stream,
		.via = of->via,
		.base = of->base,
		.server = NONE,
		.signalled = false,
		.c = { .component = p->component,
		       .protocol = of->c.protocol,
		       .type = ICE_PRFLX,
		       .priority = priority,
		       .at = *mapped,
		       .related = of->base },
	};

	return local_add(a, &l);
}

/* --- remote --- */

int remote_at(const struct ice_agent *a, const struct stream *s, unsigned component,
              enum ice_protocol protocol, const struct endpoint *at)
{
	for (int i = 0; i < a->room.remotes; i++) {
		const struct remote *const r = &s->remote[i];

		if (r->id && r->c.component == component && r->c.protocol == protocol &&
		    endpoint_equal(&r->c.at, at))
			return i;
	}
	return NONE;
}

static void trace_remote(struct ice_agent *a, unsigned stream, const struct remote *r,
                         const char *why)
{
	trace_put(a, &(struct ice_trace_record){
			     .event = ICE_TRACE_CAND,
			     .stream = (uint8_t)stream,
			     .component = (uint8_t)r->c.component,
			     .id = r->id,
			     .type = (uint8_t)r->c.type,
			     .at = r->c.at,
			     .base = r->c.at,
			     .priority = r->c.priority,
			     .foundation = r->c.foundation,
			     .signalled = !r->learned,
			     .why = why,
		     });
}

static int remote_place(const struct stream *s, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		if (!s->remote[i].id)
			return (int)i;
	return NONE;
}

/* ICE-029: a foundation that none of the signalled ones has. */
static void own_foundation(const struct ice_agent *a, struct stream *s, char *out, size_t cap)
{
	bool taken;

	do {
		snprintf(out, cap, "p%u", ++s->next_foundation);
		taken = false;
		for (int i = 0; i < a->room.remotes; i++)
			taken |= s->remote[i].id && strcmp(s->remote[i].c.foundation, out) == 0;
	} while (taken);
}

/* ICE-137. Learned ones have places of their own, so that they cannot crowd out the signalled. */
int remote_learn(struct ice_agent *a, unsigned stream, unsigned component,
                 const struct endpoint *from, uint32_t priority)
{
	struct stream *const s = &a->stream[stream];
	const int i = remote_place(s, a->room.signalled, a->room.remotes);

	char foundation[ICE_FOUNDATION_MAX + 1];

	if (i == NONE)
		return NONE;
	own_foundation(a, s, foundation, sizeof(foundation));
	s->remote[i] = (struct remote){
		.id = ++a->last_id,
		.learned = true,
		.answered = rate_has_answered(a, &from->addr),
		.c = { .component = (uint16_t)component,
		       .type = ICE_PRFLX,
		       .priority = priority,
		       .at = *from },
	};
	memcpy(s->remote[i].c.foundation, foundation, sizeof(foundation));
	trace_remote(a, stream, &s->remote[i], "learned");
	return i;
}

/* ICE-042: old peers send what RFC 8839 does not allow. */
static void usual_priority(struct ice_agent *a, struct ice_candidate *c)
{
	if (c->priority == 0 || c->priority > INT32_MAX)
		trace_count(a, "priority_odd");
	if (c->priority == 0)
		c->priority = 1;
}

/* ICE-205: what was learned gets its name; pairs keep all they have, and their new priority. */
static void remote_merge(struct ice_agent *a, unsigned stream, struct remote *r,
                         const struct ice_candidate *c)
{
	const struct stream *const s = &a->stream[stream];

	r->c = *c;
	usual_priority(a, &r->c);
	r->learned = false;
	trace_remote(a, stream, r, "changed");
	pair_reprice(a);
	for (int i = 0; i < a->room.pairs; i++) /* it has another foundation now */
		if (a->pair[i].id && a->pair[i].stream == stream &&
		    a->pair[i].state == ICE_SUCCEEDED && &s->remote[a->pair[i].remote] == r)
			pair_unfreeze(a, i);
}

enum ice_refused remote_add(struct ice_agent *a, unsigned stream, const struct ice_candidate *c)
{
	struct stream *const s = &a->stream[stream];
	const int known = remote_at(a, s, c->component, c->protocol, &c->at);

	if (c->component == 0 || c->component > a->c.n_components || c->protocol != ICE_UDP ||
	    c->at.port == 0 || !*c->foundation)
		return ICE_BAD_CANDIDATE;
	if (!candidate_allowed(a, &c->at.addr))
		return ICE_OFF_POLICY;
	if (known != NONE && !s->remote[known].learned)
		return ICE_KNOWN;
	if (known != NONE) {
		remote_merge(a, stream, &s->remote[known], c);
		return ICE_OK;
	}
	const int i = remote_place(s, 0, a->room.signalled);

	if (i == NONE)
		return ICE_TOO_MANY;
	s->remote[i] = (struct remote){ .id = ++a->last_id,
		                        .c = *c,
		                        .answered = rate_has_answered(a, &c->at.addr) };
	usual_priority(a, &s->remote[i].c);
	trace_remote(a, stream, &s->remote[i], "added");
	gather_permit(a, &c->at.addr);
	return ICE_OK;
}
