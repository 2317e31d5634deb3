/* Destinations to next hops: indexes that rows name, pointed at neighbours of the links. */
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/route_parts.h"
#include "log.h"

enum {
	BUCKETS = 1 << 15,
	IDLE_MS = 60000, /* an unused index is kept so long */
	KICK_MS = 500,
	EXPIRE_BUDGET = 64,
};

static uint32_t hash(const struct addr *a, unsigned salt)
{
	uint64_t half[2], h;

	memcpy(half, a->ip, sizeof(half));
	h = (half[0] ^ (half[1] << 32 | half[1] >> 32) ^ salt) * UINT64_C(0x9E3779B97F4A7C15);
	h ^= (half[1] ^ h >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
	return (uint32_t)(h >> 40) & (BUCKETS - 1);
}

/* --- lists of hops --- */

static void list_append(struct route *r, struct list *l, uint16_t i)
{
	r->hop[i].list_next = 0;
	r->hop[i].list_prev = l->last;
	if (l->last != 0)
		r->hop[l->last].list_next = i;
	else
		l->first = i;
	l->last = i;
}

static void list_remove(struct route *r, struct list *l, uint16_t i)
{
	struct hop *h = &r->hop[i];

	if (h->list_prev != 0)
		r->hop[h->list_prev].list_next = h->list_next;
	else
		l->first = h->list_next;
	if (h->list_next != 0)
		r->hop[h->list_next].list_prev = h->list_prev;
	else
		l->last = h->list_prev;
}

/* --- what workers see --- */

static void show(struct route *r, uint16_t i)
{
	const struct hop *h = &r->hop[i];
	const struct neighbour *n = &r->neighbour[h->neighbour];
	struct abi_neighbour *out = i < r->n_shown ? &r->shown[i] : NULL;

	if (out == NULL)
		return;
	if (h->neighbour != 0 && h->life == HOP_LIVE) {
		memcpy(out->ip, n->ip.ip, 16);
		memcpy(out->mac, n->mac, 6);
		out->port = n->port;
	}
	atomic_store_explicit(&out->users, h->users, memory_order_relaxed);
	atomic_store_explicit(&out->state,
	                      h->life != HOP_LIVE ? NEIGHBOUR_NONE
	                      : h->neighbour == 0 ? NEIGHBOUR_FAILED
	                                          : n->state,
	                      memory_order_release);
}

static void publish(struct route *r, uint16_t i)
{
	const struct hop *h = &r->hop[i];
	const struct neighbour *n = &r->neighbour[h->neighbour];
	struct adjacency *a = &r->dp->adjacency->entry[i];
	union {
		uint64_t word;
		uint8_t octet[8];
	} u = { .word = 0 };

	if (h->life == HOP_LIVE) {
		u.octet[6] = h->neighbour == 0 ? NEIGHBOUR_FAILED : n->state;
		if (u.octet[6] == NEIGHBOUR_RESOLVED)
			memcpy(u.octet, n->mac, 6);
	}
	atomic_store_explicit(&a->mac_state, u.word, memory_order_release);
	show(r, i);
}

/* Port, source and MTU change under a state that keeps workers from using them. */
static void publish_link(struct route *r, uint16_t i, uint16_t mtu)
{
	const struct port *p = &r->dp->ports[r->neighbour[r->hop[i].neighbour].port];
	struct adjacency *a = &r->dp->adjacency->entry[i];

	atomic_store_explicit(&a->mac_state, 0, memory_order_release);
	memcpy(a->src_mac, p->mac.addr_bytes, 6);
	a->port = p->index;
	a->mtu = mtu != 0 && mtu < p->mtu ? mtu : p->mtu;
	a->kind = ADJACENCY_WIRE;
}

/* --- neighbours --- */

struct neighbour *route_neighbour_find(struct route *r, uint16_t port, const struct addr *ip)
{
	uint16_t i = r->neighbour_bucket[hash(ip, port)];

	while (i != 0 && (r->neighbour[i].port != port || !addr_equal(&r->neighbour[i].ip, ip)))
		i = r->neighbour[i].hash_next;
	return i != 0 ? &r->neighbour[i] : NULL;
}

static uint16_t neighbour_get(struct route *r, uint16_t port, const struct addr *ip)
{
	const struct neighbour *old = route_neighbour_find(r, port, ip);
	uint16_t *bucket = &r->neighbour_bucket[hash(ip, port)];
	uint16_t i;

	if (old != NULL)
		return (uint16_t)(old - r->neighbour);
	if (r->neighbour_free != 0) {
		i = r->neighbour_free;
		r->neighbour_free = r->neighbour[i].hash_next;
	} else if (r->neighbour_fresh < NEIGHBOURS_MAX) {
		i = ++r->neighbour_fresh;
	} else {
		return 0;
	}
	r->neighbour[i] = (struct neighbour){ .ip = *ip,
		                              .port = port,
		                              .state = NEIGHBOUR_RESOLVING,
		                              .generation = r->generation,
		                              .hash_next = *bucket };
	*bucket = i;
	route_ask(r, &r->neighbour[i]);
	return i;
}

static void neighbour_put(struct route *r, uint16_t i)
{
	struct neighbour *n = &r->neighbour[i];
	uint16_t *at = &r->neighbour_bucket[hash(&n->ip, n->port)];

	if (n->first_hop != 0)
		return;
	route_forget(r, n);
	while (*at != i)
		at = &r->neighbour[*at].hash_next;
	*at = n->hash_next;
	*n = (struct neighbour){ .hash_next = r->neighbour_free };
	r->neighbour_free = i;
}

void route_neighbour_set(struct route *r, struct neighbour *n, enum neighbour_state state,
                         const uint8_t *mac)
{
	const bool moved = mac != NULL && memcmp(n->mac, mac, 6) != 0;

	n->generation = r->generation;
	if (n->state == state && !moved)
		return;
	n->state = (uint8_t)state;
	if (mac != NULL)
		memcpy(n->mac, mac, 6);
	for (uint16_t i = n->first_hop; i != 0; i = r->hop[i].same_next) {
		publish(r, i);
		if (r->on_event != NULL &&
		    (state == NEIGHBOUR_RESOLVED || state == NEIGHBOUR_FAILED))
			r->on_event(r->dp, i, state);
	}
}

/* --- hops --- */

static void leave_neighbour(struct route *r, uint16_t i)
{
	struct hop *h = &r->hop[i];
	const uint16_t from = h->neighbour;

	if (from == 0)
		return;
	if (h->same_prev != 0)
		r->hop[h->same_prev].same_next = h->same_next;
	else
		r->neighbour[from].first_hop = h->same_next;
	if (h->same_next != 0)
		r->hop[h->same_next].same_prev = h->same_prev;
	h->neighbour = 0;
	neighbour_put(r, from);
}

/* To whom the routes of now send this hop. */
static void point(struct route *r, uint16_t i)
{
	struct hop *h = &r->hop[i];
	const struct lpm_route *way =
		lpm_find(r->lpm, &h->key.addr, h->by_route ? h->key.len : 128);
	uint16_t n = 0;

	if (way != NULL && way->port != LPM_NO_PORT)
		n = neighbour_get(r, way->port, way->has_via ? &way->via : &h->key.addr);
	if (n != h->neighbour) {
		leave_neighbour(r, i);
		h->neighbour = n;
		h->same_prev = 0;
		h->same_next = r->neighbour[n].first_hop;
		if (n != 0) {
			if (h->same_next != 0)
				r->hop[h->same_next].same_prev = i;
			r->neighbour[n].first_hop = i;
		}
	}
	if (n != 0)
		publish_link(r, i, way->mtu);
	publish(r, i);
}

static bool same_key(const struct hop *h, const struct prefix *key, bool by_route)
{
	return h->by_route == by_route && h->key.len == key->len &&
	       addr_equal(&h->key.addr, &key->addr);
}

static uint16_t *hop_bucket(struct route *r, const struct prefix *key, bool by_route)
{
	return &r->hop_bucket[hash(&key->addr, key->len + (by_route ? 256u : 0))];
}

static void rest(struct route *r, uint16_t i)
{
	struct hop *h = &r->hop[i];
	uint16_t *at = hop_bucket(r, &h->key, h->by_route);

	list_remove(r, &r->idle, i);
	while (*at != i)
		at = &r->hop[*at].hash_next;
	*at = h->hash_next;
	leave_neighbour(r, i);
	h->life = HOP_RESTING;
	publish(r, i);
	h->token = r->dp->qsbr != NULL ? rte_rcu_qsbr_start(r->dp->qsbr) : 0;
	list_append(r, &r->resting, i);
}

/* Only an index that no worker can still hold is given again. */
static uint16_t hop_take(struct route *r)
{
	uint16_t i = r->hop_free;

	if (i != 0) {
		r->hop_free = r->hop[i].list_next;
		return i;
	}
	if (r->hop_fresh < ADJACENCY_MAX)
		return ++r->hop_fresh;
	i = r->resting.first;
	if (i == 0 && r->idle.first != 0) {
		rest(r, r->idle.first);
		i = r->resting.first;
	}
	if (i == 0 ||
	    (r->dp->qsbr != NULL && rte_rcu_qsbr_check(r->dp->qsbr, r->hop[i].token, false) != 1))
		return 0;
	list_remove(r, &r->resting, i);
	return i;
}

uint16_t route_adjacency(struct route *r, const struct addr *dest)
{
	const struct lpm_route *way = lpm_find(r->lpm, dest, 128);
	struct prefix key = { .addr = *dest, .len = 128 };
	uint16_t *bucket, i;
	bool by_route;

	if (route_is_own(r, dest) || route_is_broadcast(r, dest))
		return ADJACENCY_NONE;
	if (way == NULL || way->port == LPM_NO_PORT) {
		r->missed = true;
		return ADJACENCY_NONE;
	}
	by_route = way->has_via;
	if (by_route)
		key = way->prefix;
	bucket = hop_bucket(r, &key, by_route);
	for (i = *bucket; i != 0 && !same_key(&r->hop[i], &key, by_route); i = r->hop[i].hash_next)
		;
	if (i == 0) {
		i = hop_take(r);
		if (i == 0)
			return ADJACENCY_NONE;
		r->hop[i] = (struct hop){
			.key = key, .by_route = by_route, .life = HOP_LIVE, .hash_next = *bucket
		};
		*bucket = i;
		point(r, i);
	} else if (r->hop[i].users == 0) {
		list_remove(r, &r->idle, i);
	}
	r->hop[i].users++;
	show(r, i);
	return i;
}

void route_release(struct route *r, uint16_t adjacency)
{
	struct hop *h = &r->hop[adjacency];

	if (adjacency == ADJACENCY_NONE || h->life != HOP_LIVE || h->users == 0)
		return;
	if (--h->users == 0) {
		h->idle_ms = r->now_ms;
		list_append(r, &r->idle, adjacency);
	}
	show(r, adjacency);
}

void route_kick(struct route *r, uint16_t adjacency)
{
	const struct hop *h = &r->hop[adjacency];
	struct neighbour *n = &r->neighbour[h->neighbour];

	if (adjacency == ADJACENCY_NONE || h->life != HOP_LIVE || h->neighbour == 0 ||
	    n->state == NEIGHBOUR_RESOLVED || r->now_ms - n->asked_ms < KICK_MS)
		return;
	if (n->state == NEIGHBOUR_FAILED)
		route_neighbour_set(r, n, NEIGHBOUR_RESOLVING, NULL);
	route_ask(r, n);
}

void route_expire(struct route *r)
{
	for (unsigned k = 0; k < EXPIRE_BUDGET; k++) {
		const uint16_t i = r->idle.first;

		if (i == 0 || r->now_ms - r->hop[i].idle_ms < IDLE_MS)
			break;
		rest(r, i);
	}
	for (unsigned k = 0; k < EXPIRE_BUDGET; k++) {
		const uint16_t i = r->resting.first;

		if (i == 0 || (r->dp->qsbr != NULL &&
		               rte_rcu_qsbr_check(r->dp->qsbr, r->hop[i].token, false) != 1))
			break;
		list_remove(r, &r->resting, i);
		r->hop[i].life = HOP_FREE;
		r->hop[i].list_next = r->hop_free;
		r->hop_free = i;
	}
}

/* --- changes --- */

static bool inside(const struct prefix *inner, const struct prefix *outer)
{
	return inner->len >= outer->len && prefix_contains(outer, &inner->addr);
}

void route_changed(struct route *r, const struct prefix *p, bool added)
{
	if (r->n_changes < CHANGES_MAX)
		r->change[r->n_changes] = *p;
	if (r->n_changes <= CHANGES_MAX)
		r->n_changes++;
	if (!added)
		return;
	if (r->missed) { /* whoever was told that there is no way may ask again */
		r->missed = false;
		r->epoch++;
		return;
	}
	for (uint16_t i = 1; i <= r->hop_fresh && i != 0; i++) {
		const struct hop *h = &r->hop[i];

		if (h->life == HOP_LIVE && h->by_route && h->users > 0 && h->key.len < p->len &&
		    inside(p, &h->key)) {
			r->epoch++;
			return;
		}
	}
}

void route_point_all(struct route *r)
{
	if (r->n_changes == 0)
		return;
	for (unsigned i = 1; i <= r->hop_fresh; i++) {
		bool touched = r->n_changes > CHANGES_MAX;

		if (r->hop[i].life != HOP_LIVE)
			continue;
		for (unsigned k = 0; k < r->n_changes && !touched; k++)
			touched = inside(&r->hop[i].key, &r->change[k]);
		if (touched)
			point(r, (uint16_t)i);
	}
	r->n_changes = 0;
}

uint32_t route_epoch(const struct route *r)
{
	return r->epoch;
}

/* --- addresses of the links --- */

bool route_is_own(const struct route *r, const struct addr *a)
{
	for (unsigned i = 0; i < r->n_own; i++)
		if (addr_equal(&r->own[i].prefix.addr, a))
			return true;
	return false;
}

bool route_is_broadcast(const struct route *r, const struct addr *a)
{
	static const uint8_t limited[4] = { 255, 255, 255, 255 };

	if (!addr_is4(a))
		return false;
	if (memcmp(a->ip + 12, limited, 4) == 0)
		return true;
	for (unsigned i = 0; i < r->n_own; i++) {
		const struct prefix *p = &r->own[i].prefix;
		bool ones = true, zeros = true;

		if (!addr_is4(&p->addr) || p->len > 126 || !prefix_contains(p, a))
			continue;
		for (unsigned bit = p->len; bit < 128; bit++) {
			const bool set = (a->ip[bit / 8] >> (7 - bit % 8) & 1) != 0;

			ones &= set;
			zeros &= !set;
		}
		if (ones || zeros)
			return true;
	}
	return false;
}

/* --- beginning and end --- */

struct route *route_open(struct dataplane *dp)
{
	struct route *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->dp = dp;
	r->lpm = lpm_new(LPM_ROUTES_MAX);
	r->neighbour = calloc(NEIGHBOURS_MAX + 1, sizeof(*r->neighbour));
	r->hop = calloc(ADJACENCY_MAX + 1, sizeof(*r->hop));
	r->neighbour_bucket = calloc(BUCKETS, sizeof(*r->neighbour_bucket));
	r->hop_bucket = calloc(BUCKETS, sizeof(*r->hop_bucket));
	r->shown = region_section(&dp->region, SECTION_NEIGHBOURS, 0, &r->n_shown);
	r->n_shown = r->shown != NULL ? r->n_shown / sizeof(*r->shown) : 0;
	if (r->lpm == NULL || r->neighbour == NULL || r->hop == NULL ||
	    r->neighbour_bucket == NULL || r->hop_bucket == NULL) {
		log_error("route", "open", "error=\"out of memory\"");
		route_close(r);
		return NULL;
	}
	if (route_kernel_open(r))
		return r;
	route_close(r);
	return NULL;
}

void route_close(struct route *r)
{
	if (r == NULL)
		return;
	route_kernel_close(r);
	lpm_free(r->lpm);
	free(r->neighbour);
	free(r->hop);
	free(r->neighbour_bucket);
	free(r->hop_bucket);
	free(r);
}

void route_on_event(struct route *r, route_event *fn)
{
	r->on_event = fn;
}
