/* Control's flows compiled into rows: set, delete, sync. The writer's half of the flow table. */
#include "dataplane/flow_leg.h"

#include <arpa/inet.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>

#include "dataplane/local.h"
#include "wire/checksum.h"

static bool is_allocation(unsigned kind)
{
	return kind == FLOW_ALLOCATION4 || kind == FLOW_ALLOCATION6;
}

/* --- the whole --- */

struct flow_table *flow_create(struct region *region, uint32_t n_rows, uint32_t n_rows_wide,
                               unsigned n_relays, const uint64_t secret[2],
                               struct rte_rcu_qsbr *qsbr)
{
	struct flow_table *t = aligned_alloc(ABI_LINE, sizeof(*t));

	if (!t || n_relays > LOCAL_RELAYS_MAX) {
		free(t);
		return NULL;
	}
	memset(t, 0, sizeof(*t));
	t->n_rows = n_rows;
	t->n_wide = n_rows_wide;
	t->qsbr = qsbr;
	t->rows = region_find(region, SECTION_ROWS, 0, (uint64_t)n_rows * sizeof(struct row));
	t->wide = region_find(region, SECTION_ROWS_WIDE, 0,
	                      (uint64_t)n_rows_wide * sizeof(struct row_wide));
	t->foreign = region_find(region, SECTION_FOREIGN, 0,
	                         (uint64_t)n_rows * sizeof(struct row_counts));
	t->foreign_wide = region_find(region, SECTION_FOREIGN, 1,
	                              (uint64_t)n_rows_wide * sizeof(struct row_counts));
	t->secret[0] = secret[0];
	t->secret[1] = secret[1];
	t->secret[2] = flow_fold(secret[0] ^ UINT64_C(0xA0761D6478BD642F), secret[1]);
	t->secret[3] = flow_fold(secret[1] ^ UINT64_C(0xE7037ED1A0B428DB), secret[0]) | 1;
	if (t->rows && t->foreign && (n_rows_wide == 0 || (t->wide && t->foreign_wide)) &&
	    flow_table_init(t, n_rows + n_rows_wide) && flow_rows_init(t))
		return t;
	flow_destroy(t);
	return NULL;
}

void flow_destroy(struct flow_table *t)
{
	if (!t)
		return;
	flow_table_fini(t);
	flow_rows_fini(t);
	free(t);
}

void flow_use_local(struct flow_table *t, const struct local_table *local)
{
	t->local = local;
}

uint32_t flow_used(const struct flow_table *t)
{
	return t->used;
}

/* --- readers --- */

struct row *flow_row(const struct flow_table *t, uint32_t row)
{
	return flow_at(t, row);
}

uint32_t flow_by_port(const struct flow_table *t, uint16_t relay, uint16_t port)
{
	return relay < LOCAL_RELAYS_MAX ? flow_port_row(t, relay, port) : ROW_NONE;
}

uint32_t flow_find(const struct flow_table *t, const struct flow_key *key)
{
	return flow_search(t, key, flow_hash(t, key));
}

void flow_lookup_bulk(const struct flow_table *t, const struct flow_key *keys, unsigned n,
                      uint32_t *rows)
{
	uint64_t hash[64];
	const struct flow_bucket *home[64];
	struct row *hit[64];

	for (unsigned i = 0; i < n; i++) {
		hash[i] = flow_hash(t, &keys[i]);
		home[i] = flow_home(t, hash[i]);
	}
	for (unsigned i = 0; i < n; i++)
		hit[i] = flow_candidate(t, home[i], hash[i], NULL);
	for (unsigned i = 0; i < n; i++) {
		hit[i] = flow_verify(t, &keys[i], hash[i], hit[i]);
		rows[i] = hit[i] ? flow_index(t, hit[i]) : ROW_NONE;
	}
}

/* --- children --- */

static void adopt(struct flow_table *t, uint32_t parent, uint32_t row)
{
	struct flow_meta *const p = flow_meta(t, parent), *const m = flow_meta(t, row);

	m->parent = parent;
	m->next = p->first_child;
	if (m->next != ROW_NONE)
		flow_meta(t, m->next)->prev = row;
	p->first_child = row;
}

static void orphan(struct flow_table *t, uint32_t row)
{
	struct flow_meta *const m = flow_meta(t, row);

	if (m->parent == ROW_NONE)
		return;
	if (m->prev != ROW_NONE)
		flow_meta(t, m->prev)->next = m->next;
	else
		flow_meta(t, m->parent)->first_child = m->next;
	if (m->next != ROW_NONE)
		flow_meta(t, m->next)->prev = m->prev;
	m->parent = m->next = m->prev = ROW_NONE;
}

/* --- the first bound peer, inside the allocation's row --- */

static void store_deadline(struct row *r, uint32_t deadline_s)
{
	atomic_store_explicit(&r->deadline_s, deadline_s, memory_order_relaxed);
}

/*
 * A worker reads the channel first and uses the rest only with it; so the rest may be written only
 * while nobody can still hold an older channel: a grace period after it was cleared.
 */
static bool inline_usable(struct flow_table *t, uint32_t row)
{
	struct flow_meta *const m = flow_meta(t, row);

	if (flow_at(t, row)->channel != 0)
		return false;
	if (m->inline_free && rte_rcu_qsbr_check(t->qsbr, m->inline_free, false) != 1)
		return false;
	m->inline_free = 0;
	return true;
}

static void inline_set(struct flow_table *t, uint32_t row, const struct cmd_flow *c, uint16_t delta)
{
	struct row *const r = flow_at(t, row);

	if (row & ROW_WIDE)
		memcpy(((struct row_wide *)r)->peer_ip6, c->peer_ip, 16);
	else
		memcpy(r->peer_ip4, c->peer_ip + 12, 4);
	r->peer_port = htons(c->peer_port);
	r->udp_delta = delta;
	store_deadline(r, c->deadline_in_s);
	__atomic_store_n(&r->channel, htons(c->channel), __ATOMIC_RELEASE);
}

static void inline_clear(struct flow_table *t, uint32_t row)
{
	struct row *const r = flow_at(t, row);
	struct flow_meta *const m = flow_meta(t, row);

	__atomic_store_n(&r->channel, 0, __ATOMIC_RELEASE);
	store_deadline(r, m->deadline_s);
	m->inline_free = rte_rcu_qsbr_start(t->qsbr);
}

/* --- taking rows out --- */

static void spill_flag(struct flow_table *t, uint32_t allocation)
{
	struct row *const r = flow_at(t, allocation);
	const uint16_t flags = flow_meta(t, allocation)->spilled ? r->flags | ROW_FLAG_SPILL
	                                                         : r->flags & ~ROW_FLAG_SPILL;

	__atomic_store_n(&r->flags, flags, __ATOMIC_RELEASE);
}

/* The inward half of a channel. */
static void drop_twin(struct flow_table *t, uint32_t channel)
{
	struct flow_meta *const m = flow_meta(t, channel);

	if (m->twin == TWIN_INLINE) {
		inline_clear(t, m->parent);
	} else if (m->twin != ROW_NONE) {
		flow_remove(t, &flow_at(t, m->twin)->key, m->twin);
		flow_row_bury(t, m->twin, 0);
		flow_meta(t, m->parent)->spilled--;
		spill_flag(t, m->parent);
	}
	m->twin = ROW_NONE;
}

static void drop_child(struct flow_table *t, uint32_t row, uint64_t tag)
{
	if (flow_meta(t, row)->kind == FLOW_CHANNEL)
		drop_twin(t, row);
	flow_remove(t, &flow_at(t, row)->key, row);
	orphan(t, row);
	flow_row_bury(t, row, tag);
}

/* With all that is still under it: those rows are reported with the tags they were set with, or
 * with 0 as their allocation is. */
static void drop_allocation(struct flow_table *t, uint32_t row, uint64_t tag)
{
	struct flow_meta *const m = flow_meta(t, row);
	const struct row *const r = flow_at(t, row);
	if (flow_port_row(t, r->relay, r->relayed_port) == row)
		atomic_store_explicit(flow_port(t, r->relay, r->relayed_port), 0,
		                      memory_order_release);
	flow_remove(t, &r->key, row);
	while (m->first_child != ROW_NONE)
		drop_child(t, m->first_child, tag ? flow_meta(t, m->first_child)->tag : 0);
	flow_row_bury(t, row, tag);
}

/* --- set --- */

static void client_key(const struct cmd_flow *c, uint16_t channel, unsigned kind,
                       struct flow_key *k)
{
	memcpy(k->ip, c->client_ip, 16);
	k->port = htons(c->client_port);
	k->channel = htons(channel);
	k->listener = c->listener;
	k->kind = (uint16_t)kind;
}

static uint32_t parent_of(const struct flow_table *t, const struct cmd_flow *c)
{
	const struct addr *const peer = (const struct addr *)c->peer_ip;
	struct flow_key k;

	client_key(c, 0, addr_is4(peer) ? FLOW_ALLOCATION4 : FLOW_ALLOCATION6, &k);
	return flow_find(t, &k);
}

/* The key a flow has; false: it needs an allocation, and there is none. */
static bool key_of(struct flow_table *t, const struct cmd_flow *c, struct flow_key *k,
                   uint32_t *parent)
{
	*parent = ROW_NONE;
	if (is_allocation(c->kind)) {
		client_key(c, 0, c->kind, k);
		return true;
	}
	*parent = parent_of(t, c);
	if (c->kind == FLOW_CHANNEL) {
		client_key(c, c->channel, FLOW_CHANNEL, k);
		return true;
	}
	if (*parent == ROW_NONE)
		return false;
	flow_peer_key(k, c->peer_ip, 0, *parent, flow_at(t, *parent)->generation, FLOW_PERMISSION);
	return true;
}

/* What the addresses and ports of both legs do to a UDP checksum, from the peer's to the client's.
 */
static uint64_t legs(const struct flow_table *t, const struct row *allocation,
                     const struct cmd_flow *c)
{
	const struct local_listener *const l = &t->local->listener[c->listener];
	uint64_t sum = 0;

	sum = csum_add(sum, l->at.addr.ip, 16);
	sum = csum_add(sum, c->client_ip, 16);
	sum = csum_add16(csum_add16(sum, l->at.port), c->client_port);
	sum = csum_sub(sum, t->local->relay[allocation->relay].addr.ip, 16);
	sum = csum_sub(sum, c->peer_ip, 16);
	sum = csum_sub16(sum, c->peer_port);
	return sum + (uint16_t)~allocation->relayed_port;
}

/* The flow's rows were set in this sync. */
static void stamp(struct flow_table *t, uint32_t row, const struct cmd_flow *c)
{
	struct flow_meta *const m = flow_meta(t, row);

	m->epoch = t->epoch;
	m->tag = c->tag;
}

static void set_flags(struct row *r, const struct cmd_flow *c, uint32_t row, bool turned,
                      bool strict)
{
	const struct addr *const client = (const struct addr *)c->client_ip;
	const bool peer6 = c->kind == FLOW_ALLOCATION6 ||
	                   (!is_allocation(c->kind) && !addr_is4((const struct addr *)c->peer_ip));
	const uint16_t flags =
		(uint16_t)((row & ROW_WIDE ? ROW_FLAG_WIDE : 0) | (turned ? ROW_FLAG_TURNED : 0) |
	                   (strict ? ROW_FLAG_STRICT : 0) |
	                   (addr_is4(client) ? 0 : ROW_FLAG_CLIENT6) |
	                   (peer6 ? ROW_FLAG_PEER6 : 0) | (r->flags & ROW_FLAG_SPILL));

	if (r->flags != flags)
		__atomic_store_n(&r->flags, flags, __ATOMIC_RELAXED);
}

/* Another next hop for a row that workers read. false: no room to let the old one go. */
static bool change_adjacency(struct flow_table *t, struct row *r, uint16_t adjacency)
{
	/* The caller raised a use for this set; one of the two goes back. */
	if (!flow_row_let_go(t, r->adjacency))
		return false;
	__atomic_store_n(&r->adjacency, adjacency, __ATOMIC_RELAXED);
	return true;
}

static enum flow_result set_allocation(struct flow_table *t, const struct cmd_flow *c,
                                       const struct flow_key *k, uint16_t adjacency, bool strict,
                                       uint32_t *row)
{
	const uint32_t index = flow_row_new(t, c->kind == FLOW_ALLOCATION6);

	if (index == ROW_NONE)
		return FLOW_FULL;
	struct row *const r = flow_at(t, index);
	struct flow_meta *const m = flow_meta(t, index);

	r->key = *k;
	r->adjacency = adjacency;
	r->relay = c->relay;
	r->relayed_port = htons(c->relayed_port);
	m->kind = c->kind;
	m->inline_free = 0;
	m->deadline_s = c->deadline_s;
	m->spilled = 0;
	store_deadline(r, c->deadline_s);
	set_flags(r, c, index, false, strict);
	if (!flow_insert(t, k, index)) {
		flow_row_unused(t, index);
		return FLOW_FULL;
	}
	atomic_store_explicit(flow_port(t, c->relay, r->relayed_port), ~index,
	                      memory_order_release);
	stamp(t, index, c);
	*row = index;
	return FLOW_OK;
}

/* The inward half of a channel: in the allocation's row if that is free, else a row of its own. */
static bool set_twin(struct flow_table *t, const struct cmd_flow *c, uint32_t channel)
{
	struct flow_meta *const m = flow_meta(t, channel);
	const struct row *const allocation = flow_at(t, m->parent);
	const uint16_t delta = csum_fold(csum_add16(legs(t, allocation, c), c->channel));

	if (inline_usable(t, m->parent)) {
		inline_set(t, m->parent, c, delta);
		m->twin = TWIN_INLINE;
		return true;
	}
	const uint32_t twin = flow_row_new(t, false);

	if (twin == ROW_NONE)
		return false;
	struct row *const r = flow_at(t, twin);

	flow_peer_key(&r->key, c->peer_ip, htons(c->peer_port), m->parent, allocation->generation,
	              FLOW_BOUND_PEER);
	flow_meta(t, twin)->kind = FLOW_BOUND_PEER;
	r->channel = htons(c->channel);
	r->udp_delta = delta;
	r->flags = allocation->flags & ~(ROW_FLAG_WIDE | ROW_FLAG_SPILL);
	store_deadline(r, c->deadline_in_s);
	/* A worker looks for such rows only where the flag says so. */
	flow_meta(t, m->parent)->spilled++;
	spill_flag(t, m->parent);
	if (!flow_insert(t, &r->key, twin)) {
		flow_row_unused(t, twin);
		flow_meta(t, m->parent)->spilled--;
		spill_flag(t, m->parent);
		return false;
	}
	m->twin = twin;
	return true;
}

static enum flow_result set_child(struct flow_table *t, const struct cmd_flow *c,
                                  const struct flow_key *k, uint32_t parent, uint16_t adjacency,
                                  bool turned, uint32_t *row)
{
	const struct row *const allocation = flow_at(t, parent);
	const bool channel = c->kind == FLOW_CHANNEL;
	const bool wide = channel && !addr_is4((const struct addr *)c->peer_ip);
	const uint32_t index = flow_row_new(t, wide);

	if (index == ROW_NONE)
		return FLOW_FULL;
	struct row *const r = flow_at(t, index);

	r->key = *k;
	r->adjacency = adjacency;
	r->relay = allocation->relay;
	r->relayed_port = allocation->relayed_port;
	flow_meta(t, index)->kind = c->kind;
	store_deadline(r, c->deadline_s);
	set_flags(r, c, index, turned, allocation->flags & ROW_FLAG_STRICT);
	adopt(t, parent, index);
	if (channel) {
		r->peer_port = htons(c->peer_port);
		if (wide)
			memcpy(((struct row_wide *)r)->peer_ip6, c->peer_ip, 16);
		else
			memcpy(r->peer_ip4, c->peer_ip + 12, 4);
		const uint16_t inward = csum_fold(csum_add16(legs(t, allocation, c), c->channel));

		r->udp_delta = (uint16_t)~inward;
		if (!set_twin(t, c, index)) {
			orphan(t, index);
			flow_row_unused(t, index);
			return FLOW_FULL;
		}
	}
	if (!flow_insert(t, k, index)) {
		if (channel)
			drop_twin(t, index);
		orphan(t, index);
		flow_row_unused(t, index);
		return FLOW_FULL;
	}
	stamp(t, index, c);
	*row = index;
	return FLOW_OK;
}

/* Is this the same flow with new deadlines, or another under the same key? */
static bool same(const struct flow_table *t, uint32_t row, uint32_t parent,
                 const struct cmd_flow *c)
{
	const struct row *const r = flow_at(t, row);

	if (is_allocation(c->kind))
		return r->relay == c->relay && r->relayed_port == htons(c->relayed_port);
	if (t->meta[row & ROW_WIDE ? t->n_rows + (row & ~ROW_WIDE) : row].parent != parent)
		return false;
	if (c->kind == FLOW_PERMISSION)
		return true;
	if (r->peer_port != htons(c->peer_port))
		return false;
	if (row & ROW_WIDE)
		return memcmp(((const struct row_wide *)r)->peer_ip6, c->peer_ip, 16) == 0;
	return addr_is4((const struct addr *)c->peer_ip) &&
	       memcmp(r->peer_ip4, c->peer_ip + 12, 4) == 0;
}

static enum flow_result refresh(struct flow_table *t, uint32_t row, const struct cmd_flow *c,
                                uint16_t adjacency, bool turned, bool strict)
{
	struct row *const r = flow_at(t, row);
	struct flow_meta *const m = flow_meta(t, row);

	if (!change_adjacency(t, r, adjacency))
		return FLOW_FULL;
	set_flags(r, c, row, turned, strict);
	stamp(t, row, c);
	if (is_allocation(c->kind)) {
		m->deadline_s = c->deadline_s;
		if (r->channel == 0)
			store_deadline(r, c->deadline_s);
		return FLOW_OK;
	}
	store_deadline(r, c->deadline_s);
	if (c->kind == FLOW_CHANNEL)
		store_deadline(flow_at(t, m->twin == TWIN_INLINE ? m->parent : m->twin),
		               c->deadline_in_s);
	return FLOW_OK;
}

/*
 * A channel number bound to another peer: a new row takes the place of the old one in the table by
 * one store, so readers see the old peer or the new one, never neither and never half of each.
 */
static enum flow_result rebind(struct flow_table *t, uint32_t old, const struct cmd_flow *c,
                               uint32_t parent, uint16_t adjacency, bool turned, uint32_t *row)
{
	struct flow_key k = flow_at(t, old)->key;
	enum flow_result result;

	/* set_child() inserts: under a key no packet has, then the real entry is pointed here. */
	k.kind = 0xFFFF;
	result = set_child(t, c, &k, parent, adjacency, turned, row);
	if (result != FLOW_OK)
		return result;
	flow_remove(t, &k, *row);
	flow_at(t, *row)->key.kind = FLOW_CHANNEL;
	flow_replace(t, &flow_at(t, old)->key, old, *row);
	drop_twin(t, old);
	orphan(t, old);
	flow_row_bury(t, old, flow_meta(t, old)->tag);
	return FLOW_OK;
}

enum flow_result flow_set(struct flow_table *t, const struct cmd_flow *c, uint16_t adjacency,
                          bool turned, bool strict, uint32_t *row)
{
	struct flow_key k;
	uint32_t parent;

	if (!is_allocation(c->kind) && c->kind != FLOW_CHANNEL && c->kind != FLOW_PERMISSION)
		return FLOW_UNKNOWN;
	if (!key_of(t, c, &k, &parent))
		return FLOW_NO_PARENT;
	if (is_allocation(c->kind) && c->relay >= LOCAL_RELAYS_MAX)
		return FLOW_UNKNOWN;
	if (!is_allocation(c->kind) && parent == ROW_NONE)
		return FLOW_NO_PARENT;
	const uint32_t old = flow_find(t, &k);

	if (old != ROW_NONE && same(t, old, parent, c)) {
		const enum flow_result result = refresh(t, old, c, adjacency, turned, strict);

		if (result == FLOW_OK)
			*row = old;
		return result;
	}
	if (is_allocation(c->kind)) {
		if (flow_leg_at(t, c->relay, htons(c->relayed_port)))
			return FLOW_UNKNOWN;
		if (old != ROW_NONE)
			drop_allocation(t, old, flow_meta(t, old)->tag);
		return set_allocation(t, c, &k, adjacency, strict, row);
	}
	if (old != ROW_NONE)
		return rebind(t, old, c, parent, adjacency, turned, row);
	return set_child(t, c, &k, parent, adjacency, turned, row);
}

enum flow_result flow_delete(struct flow_table *t, const struct cmd_flow *c, uint64_t tag,
                             uint16_t *adjacency)
{
	struct flow_key k;
	uint32_t parent;

	if (!key_of(t, c, &k, &parent))
		return FLOW_UNKNOWN;
	const uint32_t row = flow_find(t, &k);

	if (row == ROW_NONE)
		return FLOW_UNKNOWN;
	*adjacency = flow_at(t, row)->adjacency;
	if (is_allocation(c->kind))
		drop_allocation(t, row, tag);
	else
		drop_child(t, row, tag);
	return FLOW_OK;
}

/* --- sync --- */

void flow_sync_begin(struct flow_table *t)
{
	t->epoch++;
	t->sweep = 0;
	t->syncing = true;
}

bool flow_sync_end(struct flow_table *t, unsigned budget)
{
	const uint32_t n = t->n_rows + t->fresh_wide;

	if (!t->syncing)
		return true;
	for (; t->sweep < n && budget > 0; t->sweep++) {
		if (t->sweep == t->fresh && t->fresh < t->n_rows) { /* those never taken */
			t->sweep = t->n_rows - 1;
			continue;
		}
		const uint32_t row =
			t->sweep < t->n_rows ? t->sweep : (t->sweep - t->n_rows) | ROW_WIDE;
		const struct flow_meta *const m = flow_meta(t, row);

		/* Free rows cost little; a budget counts what was swept and strides of those. */
		if (t->sweep % 64 == 63)
			budget--;
		if (m->state != FLOW_LIVE || m->epoch == t->epoch || m->kind == FLOW_BOUND_PEER)
			continue;
		/* An earlier control's tags may mean something else to this one: nobody is told. */
		if (is_allocation(m->kind))
			drop_allocation(t, row, 0);
		else if (m->kind == FLOW_LEG)
			flow_leg_drop(t, row, 0);
		else
			drop_child(t, row, 0);
		if (budget > 0)
			budget--;
	}
	t->syncing = t->sweep < n;
	return !t->syncing;
}
