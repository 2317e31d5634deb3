/* Local addresses: which are fit for candidates, in which order, and what when one goes (ICE-006 to
 * ICE-014, ICE-043, ICE-044). */
#include "control/ice/parts.h"

/* ICE-007 to ICE-009: what is no address for a candidate. */
static const char *unfit(const struct ice_agent *a, const struct ice_base *b)
{
	const uint8_t *const ip = b->at.addr.ip;

	if (addr_is4(&b->at.addr)) {
		if (ip[12] == 127)
			return a->c.allow_loopback ? NULL : "loopback";
		return ip[12] == 0 || ip[12] >= 224 ? "no_unicast" : NULL;
	}
	if (ip[0] == 0xFF)
		return "no_unicast";
	if (ip[0] == 0xFE && (ip[1] & 0xC0) == 0xC0)
		return "site_local";
	for (unsigned i = 0; i < 12; i++)
		if (ip[i])
			return NULL;
	if (ip[12] == 0 && ip[13] == 0 && ip[14] == 0 && ip[15] == 1)
		return a->c.allow_loopback ? NULL : "loopback";
	return "ipv4_compatible";
}

/*
 * ICE-043, ICE-044: families take turns by their numbers, IPv6 first; what costs comes last. Ranks
 * are dealt anew whenever a base comes while nothing has been handed out.
 */
static void rank(struct ice_agent *a)
{
	unsigned n4 = 0, n6 = 0, next = 0, run;
	bool taken[ICE_BASES_MAX] = { false };

	for (unsigned i = 0; i < a->n_bases; i++)
		if (!a->base[i].b.costly)
			*(addr_is4(&a->base[i].b.at.addr) ? &n4 : &n6) += 1;
	run = n4 ? (n4 + n6) / n4 : n6;
	for (unsigned six = 1, left = run; next < n4 + n6;) {
		unsigned i = 0;

		while (i < a->n_bases && (taken[i] || a->base[i].b.costly ||
		                          addr_is4(&a->base[i].b.at.addr) == (six != 0)))
			i++;
		if (i < a->n_bases) {
			taken[i] = true;
			a->base[i].rank = next++;
		}
		if (i == a->n_bases || !six || --left == 0) {
			six = !six;
			left = run;
		}
	}
	for (unsigned i = 0; i < a->n_bases; i++)
		if (!taken[i])
			a->base[i].rank = next++;
}

static void reprice_hosts(struct ice_agent *a)
{
	for (int i = 0; i < LOCALS_MAX; i++) {
		struct local *const l = &a->local[i];

		if (l->id && l->c.type == ICE_HOST && !l->signalled)
			l->c.priority = candidate_priority(
				ICE_HOST,
				local_preference(a, l->via.base, NONE, ICE_HOST, false) -
					(endpoint_equal(&l->c.at, &l->base) ? 0 : 1),
				l->c.component);
	}
}

static void add_host(struct ice_agent *a, int base, const struct endpoint *at)
{
	const struct ice_base *const b = &a->base[base].b;
	const bool hidden = a->c.policy == ICE_RELAY_ONLY ||
	                    a->c.policy == ICE_DEFAULT_ROUTE_ONLY ||
	                    !candidate_allowed(a, &at->addr);
	const struct local l = {
		.stream = b->stream,
		.via = { base, NONE },
		.base = b->at,
		.server = NONE,
		.hidden = hidden,
		.c = { .component = b->component,
		       .type = ICE_HOST,
		       .priority = candidate_priority(
			       ICE_HOST, local_preference(a, base, NONE, ICE_HOST, false),
			       b->component),
		       .at = *at },
	};

	local_add(a, &l);
}

int ice_add_base(struct ice_agent *a, uint64_t now_ms, const struct ice_base *b)
{
	const char *const why =
		b->stream >= a->c.n_streams || b->component == 0 || b->component > a->c.n_components
			? "no_such_component"
		: a->n_bases == ICE_BASES_MAX ? "full"
		: (a->c.policy == ICE_DEFAULT_ROUTE || a->c.policy == ICE_DEFAULT_ROUTE_ONLY) &&
				!b->default_route
			? "off_policy"
			: unfit(a, b);
	const int i = (int)a->n_bases;

	a->now_ms = now_ms;
	if (why) {
		trace_put(a, &(struct ice_trace_record){
				     .event = ICE_TRACE_DROP, .base = b->at, .why = why });
		return NONE;
	}
	a->base[i].b = *b;
	a->base[i].used = true;
	a->n_bases++;
	rank(a);
	add_host(a, i, &b->at);
	if (b->outside.port) /* ICE-014 */
		add_host(a, i, &b->outside);
	reprice_hosts(a);
	return i;
}

void ice_drop_base(struct ice_agent *a, uint64_t now_ms, int base)
{
	bool selected = false;

	a->now_ms = now_ms;
	a->base[base].gone = true;
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 0; c < ICE_COMPONENTS_MAX; c++) {
			struct path *const p = &a->stream[s].path[c];

			if (!p->live || p->via.base != base)
				continue;
			p->lost = selected = true;
		}
	for (int i = 0; i < LOCALS_MAX; i++)
		if (a->local[i].id && a->local[i].via.base == base)
			local_drop(a, i, "base_gone");
	if (!selected)
		return;
	agent_state(a, ICE_FAILED, ICE_WHY_BASE_GONE);
	agent_tell(a, &(struct told){ .kind = ICE_EVENT_RESTART, .why = ICE_WHY_BASE_GONE });
}
