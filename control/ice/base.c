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

static bool link_local(const struct addr *a)
{
	return a->ip[0] == 0xFE && (a->ip[1] & 0xC0) == 0x80;
}

/* ICE-009: by `b` this host could be told again elsewhere, and `beside` cannot be so. */
static bool tracks(const struct ice_base *b, const struct ice_base *beside)
{
	const uint8_t *const ip = b->at.addr.ip;

	if (b->temporary || !beside->temporary || !*b->interface || addr_is4(&b->at.addr) ||
	    strncmp(b->interface, beside->interface, sizeof(b->interface)) != 0)
		return false;
	return link_local(&b->at.addr) ||
	       (memcmp(ip, beside->at.addr.ip, 8) == 0 && ip[11] == 0xFF && ip[12] == 0xFE);
}

static bool same_group(const struct ice_base *b, const struct ice_base *c)
{
	return b->stream == c->stream && b->component == c->component;
}

/* The next of the group that has no rank yet; temporary ones first (ICE-010). */
static int next_of(const struct ice_agent *a, const struct ice_base *group, const bool *taken,
                   bool costly, bool six)
{
	int best = NONE;

	for (int i = 0; i < (int)a->n_bases; i++) {
		const struct ice_base *const b = &a->base[i].b;

		if (taken[i] || a->base[i].gone || !same_group(b, group) || b->costly != costly ||
		    (!costly && addr_is4(&b->at.addr) == six))
			continue;
		if (best == NONE || (b->temporary && !a->base[best].b.temporary))
			best = i;
	}
	return best;
}

/*
 * ICE-043, ICE-044: the families of a component take turns by their numbers, IPv6 first; what costs
 * comes last. Ranks are dealt anew whenever a base comes.
 */
static void rank(struct ice_agent *a, const struct ice_base *group)
{
	unsigned n4 = 0, n6 = 0, next = 0;
	bool taken[ICE_BASES_MAX] = { false };

	for (unsigned i = 0; i < a->n_bases; i++)
		if (!a->base[i].gone && !a->base[i].b.costly && same_group(&a->base[i].b, group))
			*(addr_is4(&a->base[i].b.at.addr) ? &n4 : &n6) += 1;
	const unsigned run = n4 ? (n4 + n6) / n4 : n6;

	for (unsigned turn = 0; next < n4 + n6; turn++) {
		const int i = next_of(a, group, taken, false, turn % (run + 1) < run);

		if (i == NONE)
			continue;
		taken[i] = true;
		a->base[i].rank = next++;
	}
	for (int i; (i = next_of(a, group, taken, true, false)) != NONE; next++) {
		taken[i] = true;
		a->base[i].rank = next;
	}
}

static void reprice_hosts(struct ice_agent *a)
{
	for (int i = 0; i < a->room.locals; i++) {
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

/* What the bases that are there have against another one. */
static const char *superfluous(const struct ice_agent *a, const struct ice_base *b)
{
	for (unsigned i = 0; i < a->n_bases; i++) {
		const struct ice_base *const k = &a->base[i].b;

		if (a->base[i].gone)
			continue;
		if (tracks(b, k))
			return "trackable";
		if (a->c.lite && same_group(b, k) && addr_equal(&b->at.addr, &k->at.addr))
			return "same_address"; /* ICE-161 */
	}
	return NULL;
}

int ice_add_base(struct ice_agent *a, uint64_t now_ms, const struct ice_base *b)
{
	const char *why =
		b->stream >= a->c.n_streams || b->component == 0 || b->component > a->c.n_components
			? "no_such_component"
		: a->n_bases == a->room.bases ? "full"
		: (a->c.policy == ICE_DEFAULT_ROUTE || a->c.policy == ICE_DEFAULT_ROUTE_ONLY) &&
				!b->default_route
			? "off_policy"
			: unfit(a, b);
	const int i = (int)a->n_bases;

	a->now_ms = now_ms;
	if (!why)
		why = superfluous(a, b);
	if (why) {
		trace_put(a, &(struct ice_trace_record){
				     .event = ICE_TRACE_DROP, .base = b->at, .why = why });
		return NONE;
	}
	a->base[i].b = *b;
	a->base[i].used = true;
	for (int k = 0; k < i; k++)
		if (!a->base[k].gone && !a->described && tracks(&a->base[k].b, b))
			ice_drop_base(a, now_ms, k);
	a->n_bases++;
	rank(a, b);
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
		for (unsigned c = 0; c < a->c.n_components; c++) {
			struct path *const p = &a->stream[s].path[c];

			if (!p->live || p->via.base != base)
				continue;
			p->lost = selected = true;
		}
	for (int i = 0; i < a->room.locals; i++)
		if (a->local[i].id && a->local[i].via.base == base)
			local_drop(a, i, "base_gone");
	if (!selected)
		return;
	agent_state(a, ICE_FAILED, ICE_WHY_BASE_GONE);
	agent_tell(a, &(struct told){ .kind = ICE_EVENT_RESTART, .why = ICE_WHY_BASE_GONE });
}
