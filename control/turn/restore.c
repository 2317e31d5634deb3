/*
 * Reading the store back: names, credentials, nonce keys, allocations, reservations, then overflow
 * records. What counts for nothing (orphans of a request that was not committed, users without
 * allocation, what has expired) is freed. Called once, before anything is served.
 */
#include <stdlib.h>
#include <string.h>

#include "control/turn/alloc.h"
#include "control/turn/peer.h"
#include "control/turn/record.h"
#include "control/turn/reserve.h"
#include "control/turn/user.h"

/* Which element a record became; by ref. */
struct map {
	uint32_t *element;
	uint8_t *replaced;
	uint32_t n;
};

void restore_count(const struct store *s, uint32_t count[STORE_KIND_END])
{
	memset(count, 0, STORE_KIND_END * sizeof(count[0]));
	for (store_ref r = store_next(s, 0); r != 0; r = store_next(s, r)) {
		enum store_kind kind;

		if (store_body(s, r, &kind) != NULL && kind < STORE_KIND_END)
			count[kind]++;
	}
}

static void sweep(struct turn_server *srv, store_ref ref)
{
	store_free(srv->store, ref);
	stat_count(srv, TURN_STAT_SWEPT);
}

static const void *body_of(const struct turn_server *srv, store_ref ref, enum store_kind want)
{
	enum store_kind kind;
	const void *body = store_body(srv->store, ref, &kind);

	return body != NULL && kind == want ? body : NULL;
}

static uint32_t element_of(const struct map *m, store_ref ref)
{
	return ref != 0 && ref < m->n ? m->element[ref] : NONE;
}

/* Slot of a realm or listener that a record names; NONE: it names something else. */
static uint32_t named(const struct turn_server *srv, const struct map *m, store_ref ref,
                      uint8_t sort)
{
	const uint32_t slot = element_of(m, ref);
	const struct body_name *b = slot != NONE ? body_of(srv, ref, STORE_NAME) : NULL;

	return b != NULL && b->sort == sort ? slot : NONE;
}

static void load_name(struct turn_server *srv, store_ref ref, struct map *m)
{
	const struct body_name *b = body_of(srv, ref, STORE_NAME);
	int slot = -1;

	if (b->sort == NAME_REALM) {
		slot = server_realm_slot(srv, b->text, strnlen(b->text, sizeof(b->text)));
		if (slot >= 0 && srv->realms[slot].ref == 0)
			srv->realms[slot].ref = ref;
	} else if (b->sort == NAME_LISTENER) {
		struct endpoint at = { .port = b->port };

		memcpy(at.addr.ip, b->ip, 16);
		slot = server_listener_slot(srv, &at, b->transport);
		if (slot == 0xFF)
			slot = -1;
		else if (srv->listeners[slot].ref == 0)
			srv->listeners[slot].ref = ref;
	}
	if (slot < 0)
		sweep(srv, ref);
	else
		m->element[ref] = (uint32_t)slot;
}

static void load_user(struct turn_server *srv, store_ref ref, struct map *m)
{
	const struct body_user *b = body_of(srv, ref, STORE_USER);
	const uint32_t realm = named(srv, m, b->realm, NAME_REALM);
	struct name owner = b->name;
	uint64_t expiry_s;
	uint32_t c;

	if (realm == NONE) {
		sweep(srv, ref);
		return;
	}
	if (b->rest != 0 && b->name.len <= NAME_SHORT)
		user_rest_name(srv, b->name.text, b->name.len, &expiry_s, &owner);
	c = user_make(srv, &b->name, &owner, (uint8_t)realm, b->md5, b->sha256);
	if (c == NONE) {
		sweep(srv, ref);
		return;
	}
	srv->creds[c].ref = ref;
	m->element[ref] = c;
	if (b->name.len <= NAME_SHORT)
		crypto_userhash(b->name.text, b->name.len, srv->realms[realm].text,
		                srv->creds[c].userhash);
	if (b->runtime != 0)
		user_publish(srv, c, CRED_RUNTIME);
	else if (b->rest != 0)
		user_publish(srv, c, CRED_REST);
}

static void load_nonce(struct turn_server *srv, store_ref ref)
{
	const struct body_nonce *b = body_of(srv, ref, STORE_NONCE);
	struct nonce_key *k = &srv->nonce_key[b->current != 0 ? 0 : 1];

	/* Killed between the two commits of a change, both may say current: the newer one is. */
	if (k->used) {
		struct nonce_key *other = &srv->nonce_key[b->current != 0 ? 1 : 0];

		if (other->used) {
			sweep(srv, ref);
			return;
		}
		if (b->current != 0 && b->made_s >= k->made_s)
			*other = *k;
		else
			k = other;
	}
	*k = (struct nonce_key){ .made_s = b->made_s, .epoch = b->epoch, .used = true, .ref = ref };
	memcpy(k->key, b->key, sizeof(k->key));
}

static bool load_leg(struct turn_server *srv, struct leg *leg, const uint8_t ip[16], uint16_t port,
                     uint32_t expires_s)
{
	struct addr addr;

	memcpy(addr.ip, ip, 16);
	const uint8_t slot = server_relay_slot(srv, &addr);
	if (slot == NO_RELAY ||
	    (srv->relays[slot].ports != NULL && !ports_take_this(srv->relays[slot].ports, port)))
		return false;
	*leg = (struct leg){ .relay = slot, .port = port, .expires_s = expires_s, .row = NONE };
	return true;
}

static bool load_legs(struct turn_server *srv, const struct body_alloc *b, struct alloc *a)
{
	struct addr relay;

	memcpy(relay.ip, b->relay_ip, 16);
	if (!load_leg(srv, &a->leg[leg_of(&relay)], b->relay_ip, b->relay_port, b->expires_s))
		return false;
	if ((b->flags & BODY_DUAL) == 0)
		return true;
	if (leg_of(&relay) != 0) /* IPv4 first, always */
		return false;
	memcpy(relay.ip, b->peer_ip, 16);
	if (leg_of(&relay) != 1)
		return false;
	return load_leg(srv, &a->leg[1], b->peer_ip, b->peer_port, b->perm_s);
}

/* An entry as the store has it; the longer deadline wins where an old record says less. */
static void load_peer(struct turn_server *srv, struct alloc *a, const uint8_t ip[16],
                      uint16_t channel, uint16_t port, uint32_t deadline_s)
{
	struct endpoint at = { .port = port };
	uint32_t n;

	memcpy(at.addr.ip, ip, 16);
	if (!leg_live(&a->leg[leg_of(&at.addr)]))
		return;
	n = channel == 0 ? peer_find_perm(srv, a, &at.addr) : peer_find_number(srv, a, channel);
	if (n == NONE && channel != 0 && peer_find_bound(srv, a, &at) != NONE)
		return;
	if (n != NONE && channel != 0 && !endpoint_equal(&srv->peers[n].at, &at))
		return;
	if (n == NONE) {
		n = peer_make(srv, a, &at, channel);
		if (n != NONE)
			peer_until(srv, n, deadline_s);
	} else if (srv->peers[n].deadline_s < deadline_s) {
		peer_renew(srv, n, deadline_s); /* its record says less */
	}
}

static bool passed(const struct turn_server *srv, uint32_t deadline_s)
{
	return (uint64_t)deadline_s * 1000 <= srv->now_ms;
}

static void load_alloc(struct turn_server *srv, store_ref ref, struct map *m)
{
	const struct body_alloc *b = body_of(srv, ref, STORE_ALLOCATION);
	const uint32_t listener = named(srv, m, b->listener, NAME_LISTENER);
	const uint32_t user = element_of(m, b->user);
	struct endpoint client = { .port = b->client_port };
	struct alloc *a = NULL;

	memcpy(client.addr.ip, b->client_ip, 16);
	if (listener != NONE && user != NONE && body_of(srv, b->user, STORE_USER) != NULL &&
	    alloc_find(srv, &client, (uint8_t)listener) == NULL &&
	    alloc_find_id(srv, b->id) == NULL)
		a = alloc_take(srv);
	if (a == NULL || !load_legs(srv, b, a)) {
		if (a != NULL) {
			for (unsigned i = 0; i < 2; i++)
				if (leg_live(&a->leg[i]) &&
				    srv->relays[a->leg[i].relay].ports != NULL)
					ports_release(srv->relays[a->leg[i].relay].ports,
					              a->leg[i].port, srv->now_s, 0);
			a->state = ELEMENT_FREE;
			pool_give(&srv->pool_alloc, (uint32_t)(a - srv->allocs));
		}
		sweep(srv, ref);
		return;
	}
	m->element[ref] = (uint32_t)(a - srv->allocs);
	a->id = b->id;
	a->client = client;
	a->listener = (uint8_t)listener;
	a->cred = user;
	a->created_s = b->created_s;
	a->stamp = b->stamp;
	a->ref = ref;
	memcpy(a->txid, b->txid, sizeof(a->txid));
	if (a->id >= srv->next_id)
		srv->next_id = a->id + 1;
	alloc_publish(srv, a);
	stat_count(srv, TURN_STAT_RESTORED);
}

/* The entries inside the allocation's record, then those of its overflow records. */
static void load_inline(struct turn_server *srv, const struct body_alloc *b, struct alloc *a)
{
	if ((b->flags & BODY_PERM) != 0)
		load_peer(srv, a, b->peer_ip, 0, 0, b->perm_s);
	if ((b->flags & BODY_CHAN) != 0 && !passed(srv, b->chan_s))
		load_peer(srv, a, b->peer_ip, b->channel, b->peer_port, b->chan_s);
}

static struct alloc *parent_of(struct turn_server *srv, const struct map *m,
                               const struct body_over *b)
{
	const uint32_t n = element_of(m, b->parent);
	struct alloc *a = NULL;

	if (n != NONE && body_of(srv, b->parent, STORE_ALLOCATION) != NULL)
		a = &srv->allocs[n];
	return a != NULL && a->id == b->id && b->stamp <= a->stamp ? a : NULL;
}

/* Places that a committed change has replaced, and that a kill kept from being freed. */
static void mark_replaced(struct turn_server *srv, store_ref ref, struct map *m)
{
	const struct body_over *b = body_of(srv, ref, STORE_OVERFLOW), *old;

	if (parent_of(srv, m, b) == NULL || b->replaces == 0 || b->replaces >= m->n)
		return;
	old = body_of(srv, b->replaces, STORE_OVERFLOW);
	if (old != NULL && old->id == b->id && old->stamp < b->stamp)
		m->replaced[b->replaces] = 1;
}

static void load_over(struct turn_server *srv, store_ref ref, struct map *m)
{
	const struct body_over *b = body_of(srv, ref, STORE_OVERFLOW);
	struct alloc *a = parent_of(srv, m, b);

	if (a == NULL || m->replaced[ref] != 0)
		return;
	srv->placing = record_adopt(srv, a, ref);
	if (srv->placing == NONE)
		return;
	m->element[ref] = srv->placing;
	for (unsigned i = 0; i < OVER_SLOTS; i++) {
		const struct body_peer *e = &b->peer[i];

		srv->placing_slot = (uint8_t)i;
		if (e->perm_s != 0)
			load_peer(srv, a, e->ip, 0, 0, e->perm_s);
		if (e->channel != 0 && !passed(srv, e->chan_s))
			load_peer(srv, a, e->ip, e->channel, e->port, e->chan_s);
	}
	const uint32_t over = srv->placing;
	srv->placing = NONE;
	record_peers(srv, a); /* what was merged */
	record_drop_empty(srv, a, over);
}

static void load_reservation(struct turn_server *srv, store_ref ref)
{
	const struct body_reservation *b = body_of(srv, ref, STORE_RESERVATION);
	struct addr addr;
	uint32_t n = NONE, owner = NONE;
	uint8_t relay;

	memcpy(addr.ip, b->ip, 16);
	relay = server_relay_slot(srv, &addr);
	if (!passed(srv, b->expires_s) && relay != NO_RELAY &&
	    (owner = owner_take(srv, &b->owner)) != NONE &&
	    (n = pool_take(&srv->pool_reservation)) != NONE &&
	    (srv->relays[relay].ports == NULL ||
	     ports_take_this(srv->relays[relay].ports, b->port))) {
		struct reservation *r = &srv->reservations[n];
		struct alloc *a = alloc_find_id(srv, b->alloc_id);

		*r = (struct reservation){
			.relay = relay,
			.port = b->port,
			.expires_s = b->expires_s,
			.owner = owner,
			.alloc_id = b->alloc_id,
			.ref = ref,
		};
		memcpy(r->token, b->token, sizeof(r->token));
		reserve_publish(srv, r);
		if (a != NULL) {
			a->has_token = true;
			memcpy(a->token, b->token, sizeof(a->token));
		}
		return;
	}
	if (n != NONE)
		pool_give(&srv->pool_reservation, n);
	if (owner != NONE)
		owner_drop(srv, owner);
	sweep(srv, ref);
}

/* Permissions that neither their own time nor a channel keeps. */
static void drop_passed(struct turn_server *srv, struct alloc *a)
{
	for (uint32_t n = a->peers, next; n != NONE; n = next) {
		const struct peer *p = &srv->peers[n];

		next = p->next;
		if (passed(srv, p->deadline_s) &&
		    (p->channel != 0 || srv->cfg->strict_permissions || passed(srv, p->keep_s)))
			peer_end(srv, n);
	}
}

typedef void each_fn(struct turn_server *srv, store_ref ref, struct map *m);

static void each(struct turn_server *srv, enum store_kind want, each_fn *fn, struct map *m)
{
	for (store_ref r = store_next(srv->store, 0); r != 0; r = store_next(srv->store, r))
		if (body_of(srv, r, want) != NULL)
			fn(srv, r, m);
}

static void each_nonce(struct turn_server *srv, store_ref ref, struct map *m)
{
	(void)m;
	load_nonce(srv, ref);
}

static void each_reservation(struct turn_server *srv, store_ref ref, struct map *m)
{
	(void)m;
	load_reservation(srv, ref);
}

static void each_inline(struct turn_server *srv, store_ref ref, struct map *m)
{
	if (m->element[ref] != NONE)
		load_inline(srv, body_of(srv, ref, STORE_ALLOCATION),
		            &srv->allocs[m->element[ref]]);
}

static void each_orphan(struct turn_server *srv, store_ref ref, struct map *m)
{
	if (m->element[ref] == NONE)
		sweep(srv, ref);
}

bool restore_all(struct turn_server *srv)
{
	struct map m = { .n = store_capacity(srv->store) + 1 };

	if (store_used(srv->store) == 0)
		return true;
	m.element = malloc(m.n * sizeof(*m.element));
	m.replaced = calloc(m.n, 1);
	if (m.element == NULL || m.replaced == NULL) {
		free(m.element);
		free(m.replaced);
		return false;
	}
	memset(m.element, 0xFF, m.n * sizeof(*m.element));
	each(srv, STORE_NAME, load_name, &m);
	each(srv, STORE_USER, load_user, &m);
	each(srv, STORE_NONCE, each_nonce, &m);
	each(srv, STORE_ALLOCATION, load_alloc, &m);
	each(srv, STORE_RESERVATION, each_reservation, &m);
	each(srv, STORE_OVERFLOW, mark_replaced, &m);
	each(srv, STORE_ALLOCATION, each_inline, &m);
	each(srv, STORE_OVERFLOW, load_over, &m);
	each(srv, STORE_OVERFLOW, each_orphan, &m);
	for (uint32_t n = 0; n < srv->pool_alloc.fresh; n++)
		if (srv->allocs[n].state == ELEMENT_LIVE) {
			srv->allocs[n].dirty = false;
			drop_passed(srv, &srv->allocs[n]);
		}
	free(m.element);
	free(m.replaced);
	return true;
}
