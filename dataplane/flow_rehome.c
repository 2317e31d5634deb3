/*
 * Rows follow routes. An adjacency index follows most changes by itself; a new route inside the
 * prefix of one in use, or the first one to somewhere, does not reach rows that are there already.
 */
#include "dataplane/flow_table.h"

static uint32_t row_at(const struct flow_table *t, uint32_t place)
{
	return place < t->n_rows ? place : (place - t->n_rows) | ROW_WIDE;
}

uint32_t flow_places(const struct flow_table *t)
{
	return t->n_rows + t->n_wide;
}

bool flow_towards(struct flow_table *t, uint32_t place, struct addr *to, uint16_t *adjacency)
{
	const uint32_t row = row_at(t, place);
	const struct flow_meta *const m = flow_meta(t, row);
	const struct row *const r = flow_at(t, row);

	if (m->state != FLOW_LIVE || r->flags & ROW_FLAG_TURNED || m->kind == FLOW_BOUND_PEER)
		return false;
	if (m->kind == FLOW_LEG && r->key.port == 0) /* no path yet */
		return false;
	/* An allocation's, a permission's and a leg's key begin with the address they lead to. */
	if (m->kind != FLOW_CHANNEL)
		memcpy(to->ip, r->key.ip, 16);
	else if (row & ROW_WIDE)
		memcpy(to->ip, ((const struct row_wide *)r)->peer_ip6, 16);
	else
		*to = addr_from4(r->peer_ip4);
	*adjacency = r->adjacency;
	return true;
}

bool flow_lead(struct flow_table *t, uint32_t place, uint16_t adjacency)
{
	struct row *const r = flow_at(t, row_at(t, place));

	if (!flow_row_let_go(t, r->adjacency))
		return false;
	__atomic_store_n(&r->adjacency, adjacency, __ATOMIC_RELAXED);
	return true;
}
