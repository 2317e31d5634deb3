/* Legs: set, delete, and what belongs to their rows. The writer's half. */
#include "dataplane/flow_leg.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "crypto.h"

/* All but tag, deadline and whether an event is wanted. */
static bool same(const struct flow_leg *l, const struct cmd_leg *c, const struct cmd_leg_to *to)
{
	struct cmd_leg now = *c;
	const bool same = (l->c.flags | LEG_SILENT) == (c->flags | LEG_SILENT);

	now.tag = l->c.tag;
	now.flags = l->c.flags;
	now.deadline_s = l->c.deadline_s;
	const bool equal = same && memcmp(&now, &l->c, sizeof(now)) == 0 &&
	                   memcmp(l->to, to, c->n_to * sizeof(*to)) == 0;

	crypto_wipe(&now, sizeof(now));
	return equal;
}

static enum flow_result refresh(struct flow_table *t, uint32_t row, const struct cmd_leg *c,
                                uint16_t adjacency)
{
	struct row *const r = flow_at(t, row);
	struct flow_meta *const m = flow_meta(t, row);

	if (!flow_row_let_go(t, r->adjacency))
		return FLOW_FULL;
	__atomic_store_n(&r->adjacency, adjacency, __ATOMIC_RELAXED);
	/* Workers may have heard the peer since control did. */
	if (!c->patience_s ||
	    atomic_load_explicit(&r->deadline_s, memory_order_relaxed) < c->deadline_s)
		atomic_store_explicit(&r->deadline_s, c->deadline_s, memory_order_relaxed);
	m->epoch = t->epoch;
	m->tag = c->tag;
	return FLOW_OK;
}

static void fill(struct row_leg *l, const struct cmd_leg *c, const struct cmd_leg_to *to,
                 uint16_t adjacency, bool turned)
{
	struct row *const r = &l->row;
	const bool six = !addr_is4((const struct addr *)c->peer_ip);

	memcpy(r->key.ip, c->peer_ip, 16);
	r->key.port = r->peer_port = htons(c->peer_port);
	r->key.kind = FLOW_LEG;
	r->adjacency = adjacency;
	r->relay = c->relay;
	r->relayed_port = htons(c->port);
	r->flags = (uint16_t)(ROW_FLAG_LEG | ROW_FLAG_WIDE | (turned ? ROW_FLAG_TURNED : 0) |
	                      (six ? ROW_FLAG_PEER6 : 0));
	atomic_store_explicit(&r->deadline_s, c->deadline_s, memory_order_relaxed);
	atomic_store_explicit(&l->from_owner, 0xFF, memory_order_relaxed);
	if (c->n_to == 1) {
		l->next_relay = to->relay;
		l->next_port = htons(to->port);
	}
}

enum flow_result flow_leg_set(struct flow_table *t, const struct cmd_leg *c,
                              const struct cmd_leg_to *to, uint16_t adjacency, bool turned,
                              uint32_t *row, bool *fresh)
{
	const uint32_t old = flow_port_row(t, c->relay, htons(c->port));
	const size_t list = c->n_to * sizeof(*to);

	*fresh = false;
	if (old != ROW_NONE && !(flow_at(t, old)->flags & ROW_FLAG_LEG))
		return FLOW_UNKNOWN;
	if (old != ROW_NONE && !(flow_at(t, old)->flags & ROW_FLAG_TURNED) == !turned &&
	    same(flow_leg_of(t, flow_at(t, old)), c, to)) {
		*row = old;
		return refresh(t, old, c, adjacency);
	}
	struct flow_leg *const l = malloc(sizeof(*l) + list);
	const uint32_t index = l ? flow_row_new(t, true) : ROW_NONE;

	if (index == ROW_NONE) {
		free(l);
		return FLOW_FULL;
	}
	struct row_leg *const r = flow_row_leg(flow_at(t, index));
	struct flow_meta *const m = flow_meta(t, index);

	l->c = *c;
	memcpy(l->to, to, list);
	fill(r, c, to, adjacency, turned);
	if (old != ROW_NONE)
		r->heard_s = atomic_load_explicit(&flow_row_leg(flow_at(t, old))->heard_s,
		                                  memory_order_relaxed);
	t->leg[index & ~ROW_WIDE] = l;
	m->kind = FLOW_LEG;
	m->epoch = t->epoch;
	m->tag = c->tag;
	atomic_store_explicit(flow_port(t, c->relay, htons(c->port)), ~index, memory_order_release);
	if (old != ROW_NONE)
		flow_row_bury(t, old, flow_meta(t, old)->tag);
	*row = index;
	*fresh = true;
	return FLOW_OK;
}

bool flow_leg_source(const struct flow_leg *l, const uint8_t ip[16], uint16_t port)
{
	for (unsigned i = 0; i < LEG_SOURCES_MAX; i++)
		if (l->c.source[i].port == ntohs(port) && port != 0 &&
		    memcmp(l->c.source[i].ip, ip, 16) == 0)
			return true;
	return false;
}

void flow_leg_drop(struct flow_table *t, uint32_t row, uint64_t tag)
{
	const struct row *const r = flow_at(t, row);

	if (flow_port_row(t, r->relay, r->relayed_port) == row)
		atomic_store_explicit(flow_port(t, r->relay, r->relayed_port), 0,
		                      memory_order_release);
	flow_row_bury(t, row, tag);
}

enum flow_result flow_leg_delete(struct flow_table *t, const struct cmd_leg *c)
{
	const uint32_t row = flow_port_row(t, c->relay, htons(c->port));

	if (row == ROW_NONE || !(flow_at(t, row)->flags & ROW_FLAG_LEG))
		return FLOW_UNKNOWN;
	flow_leg_drop(t, row, c->tag);
	return FLOW_OK;
}

void flow_leg_free(struct flow_table *t, uint32_t row)
{
	struct flow_leg **const l = &t->leg[row & ~ROW_WIDE];

	if (!*l)
		return;
	crypto_wipe(&(*l)->c, sizeof((*l)->c)); /* keys */
	free(*l);
	*l = NULL;
}
