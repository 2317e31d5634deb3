/* Writing the store. */
#include <string.h>

#include "control/turn/record.h"

bool record_room(const struct turn_server *srv, uint32_t n)
{
	return store_room(srv->store, n);
}

/* --- what others refer to --- */

static bool intern_realm(struct turn_server *srv, uint8_t slot)
{
	struct realm *r = &srv->realms[slot];
	struct body_name b = { .sort = NAME_REALM };

	if (r->ref != 0)
		return true;
	r->ref = store_take(srv->store);
	if (r->ref == 0)
		return false;
	memcpy(b.text, r->text, strlen(r->text));
	store_commit(srv->store, r->ref, STORE_NAME, &b);
	return true;
}

static bool intern_listener(struct turn_server *srv, uint8_t slot)
{
	struct listener *l = &srv->listeners[slot];
	struct body_name b = { .sort = NAME_LISTENER,
		               .transport = l->transport,
		               .port = l->at.port };

	if (l->ref != 0)
		return true;
	l->ref = store_take(srv->store);
	if (l->ref == 0)
		return false;
	memcpy(b.ip, l->at.addr.ip, 16);
	store_commit(srv->store, l->ref, STORE_NAME, &b);
	return true;
}

bool record_user(struct turn_server *srv, uint32_t c)
{
	struct cred *cred = &srv->creds[c];
	struct body_user b = {
		.runtime = (cred->flags & CRED_RUNTIME) != 0,
		.rest = (cred->flags & CRED_REST) != 0,
		.name = cred->name,
	};

	if (!intern_realm(srv, cred->realm))
		return false;
	if (cred->ref == 0)
		cred->ref = store_take(srv->store);
	if (cred->ref == 0)
		return false;
	b.realm = srv->realms[cred->realm].ref;
	memcpy(b.md5, cred->md5, sizeof(b.md5));
	memcpy(b.sha256, cred->sha256, sizeof(b.sha256));
	store_commit(srv->store, cred->ref, STORE_USER, &b);
	crypto_wipe(&b, sizeof(b));
	return true;
}

/* --- allocations --- */

static void commit_alloc(struct turn_server *srv, struct alloc *a)
{
	const bool dual = leg_live(&a->leg[0]) && leg_live(&a->leg[1]);
	const struct leg *leg = &a->leg[leg_live(&a->leg[0]) ? 0 : 1];
	struct body_alloc b = {
		.id = a->id,
		.client_port = a->client.port,
		.relay_port = leg->port,
		.user = srv->creds[a->cred].ref,
		.listener = srv->listeners[a->listener].ref,
		.expires_s = leg->expires_s,
		.created_s = a->created_s,
		.stamp = a->stamp,
		.flags = dual ? BODY_DUAL : 0,
	};

	memcpy(b.client_ip, a->client.addr.ip, 16);
	memcpy(b.relay_ip, srv->relays[leg->relay].addr.ip, 16);
	memcpy(b.txid, a->txid, sizeof(b.txid));
	if (dual) {
		memcpy(b.peer_ip, srv->relays[a->leg[1].relay].addr.ip, 16);
		b.peer_port = a->leg[1].port;
		b.perm_s = a->leg[1].expires_s;
	}
	if (a->inline_perm != NONE) {
		const struct peer *p = &srv->peers[a->inline_perm];

		memcpy(b.peer_ip, p->at.addr.ip, 16);
		b.perm_s = p->deadline_s;
		b.flags |= BODY_PERM;
	}
	if (a->inline_chan != NONE) {
		const struct peer *p = &srv->peers[a->inline_chan];

		memcpy(b.peer_ip, p->at.addr.ip, 16);
		b.peer_port = p->at.port;
		b.channel = p->channel;
		b.chan_s = p->deadline_s;
		b.flags |= BODY_CHAN;
	}
	store_commit(srv->store, a->ref, STORE_ALLOCATION, &b);
	a->dirty = false;
}

bool record_alloc(struct turn_server *srv, struct alloc *a)
{
	if (!intern_listener(srv, a->listener))
		return false;
	if (srv->creds[a->cred].ref == 0 && !record_user(srv, a->cred))
		return false;
	a->ref = store_take(srv->store);
	if (a->ref == 0)
		return false;
	commit_alloc(srv, a);
	return true;
}

void record_alloc_again(struct turn_server *srv, struct alloc *a)
{
	commit_alloc(srv, a);
}

static void commit_over(struct turn_server *srv, const struct alloc *a, const struct over *o,
                        store_ref ref, store_ref replaces, uint32_t stamp)
{
	struct body_over b = {
		.id = a->id, .parent = a->ref, .replaces = replaces, .stamp = stamp
	};

	for (unsigned i = 0; i < OVER_SLOTS; i++) {
		struct body_peer *e = &b.peer[i];

		if (o->perm[i] != NONE) {
			const struct peer *p = &srv->peers[o->perm[i]];

			memcpy(e->ip, p->at.addr.ip, 16);
			e->perm_s = p->deadline_s;
		}
		if (o->chan[i] != NONE) {
			const struct peer *p = &srv->peers[o->chan[i]];

			memcpy(e->ip, p->at.addr.ip, 16);
			e->port = p->at.port;
			e->channel = p->channel;
			e->chan_s = p->deadline_s;
		}
	}
	store_commit(srv->store, ref, STORE_OVERFLOW, &b);
}

/* One overflow record, nothing else: its own flip is the commit. */
static void commit_single(struct turn_server *srv, struct alloc *a, struct over *o)
{
	if (o->ref == 0)
		o->ref = store_take(srv->store);
	commit_over(srv, a, o, o->ref, 0, a->stamp);
}

/* Several: new places first, then the parent that makes them count, then the old places go. */
static void commit_several(struct turn_server *srv, struct alloc *a)
{
	store_ref old[DIRTY_MAX];

	for (unsigned i = 0; i < srv->n_dirty; i++) {
		struct over *o = &srv->overs[srv->dirty[i]];
		const store_ref ref = store_take(srv->store);

		old[i] = o->ref;
		o->ref = ref;
		commit_over(srv, a, o, ref, old[i], a->stamp + 1);
	}
	a->stamp++;
	commit_alloc(srv, a);
	for (unsigned i = 0; i < srv->n_dirty; i++)
		if (old[i] != 0)
			store_free(srv->store, old[i]);
}

void record_peers(struct turn_server *srv, struct alloc *a)
{
	if (srv->n_dirty == 0) {
		if (a->dirty)
			commit_alloc(srv, a);
	} else if (srv->n_dirty == 1 && !a->dirty) {
		commit_single(srv, a, &srv->overs[srv->dirty[0]]);
	} else {
		commit_several(srv, a);
	}
	for (unsigned i = 0; i < srv->n_dirty; i++)
		srv->overs[srv->dirty[i]].dirty = false;
	srv->n_dirty = 0;
}

static void free_over(struct turn_server *srv, struct alloc *a, uint32_t n)
{
	struct over *o = &srv->overs[n];

	if (o->dirty)
		for (unsigned i = 0; i < srv->n_dirty; i++)
			if (srv->dirty[i] == n)
				srv->dirty[i--] = srv->dirty[--srv->n_dirty];
	if (o->prev != NONE)
		srv->overs[o->prev].next = o->next;
	else
		a->overs = o->next;
	if (o->next != NONE)
		srv->overs[o->next].prev = o->prev;
	if (o->ref != 0)
		store_free(srv->store, o->ref);
	pool_give(&srv->pool_over, n);
}

void record_alloc_free(struct turn_server *srv, struct alloc *a)
{
	if (a->ref != 0) /* first: what names it as parent then counts no more */
		store_free(srv->store, a->ref);
	a->ref = 0;
	while (a->overs != NONE)
		free_over(srv, a, a->overs);
}

/* --- places --- */

static void mark_over(struct turn_server *srv, uint32_t n)
{
	if (srv->overs[n].dirty)
		return;
	srv->overs[n].dirty = true;
	srv->dirty[srv->n_dirty++] = n;
}

static void push_over(struct turn_server *srv, struct alloc *a, uint32_t n)
{
	struct over *o = &srv->overs[n];

	o->prev = NONE;
	o->next = a->overs;
	if (o->next != NONE)
		srv->overs[o->next].prev = n;
	a->overs = n;
}

static uint32_t new_over(struct turn_server *srv, struct alloc *a)
{
	const uint32_t n = pool_take(&srv->pool_over);

	if (n == NONE)
		return NONE;
	srv->overs[n] = (struct over){ .alloc = (uint32_t)(a - srv->allocs) };
	for (unsigned i = 0; i < OVER_SLOTS; i++)
		srv->overs[n].perm[i] = srv->overs[n].chan[i] = NONE;
	push_over(srv, a, n);
	return n;
}

uint32_t record_adopt(struct turn_server *srv, struct alloc *a, store_ref ref)
{
	const uint32_t n = new_over(srv, a);

	if (n != NONE)
		srv->overs[n].ref = ref;
	return n;
}

void record_drop_empty(struct turn_server *srv, struct alloc *a, uint32_t over)
{
	const struct over *o = &srv->overs[over];

	for (unsigned i = 0; i < OVER_SLOTS; i++)
		if (o->perm[i] != NONE || o->chan[i] != NONE)
			return;
	free_over(srv, a, over);
}

/* A slot of the first overflow record with nothing in it; OVER_SLOTS: none. */
static unsigned empty_slot(const struct over *o)
{
	unsigned i = 0;

	while (i < OVER_SLOTS && (o->perm[i] != NONE || o->chan[i] != NONE))
		i++;
	return i;
}

static bool place_inline(struct turn_server *srv, struct alloc *a, uint32_t n)
{
	const struct peer *p = &srv->peers[n];
	uint32_t *mine = p->channel == 0 ? &a->inline_perm : &a->inline_chan;
	const uint32_t other = p->channel == 0 ? a->inline_chan : a->inline_perm;

	if (leg_live(&a->leg[0]) && leg_live(&a->leg[1]))
		return false;
	if (*mine != NONE)
		return false;
	if (other != NONE && !addr_equal(&srv->peers[other].at.addr, &p->at.addr))
		return false;
	*mine = n;
	a->dirty = true;
	return true;
}

bool record_place(struct turn_server *srv, uint32_t n)
{
	struct peer *p = &srv->peers[n];
	struct alloc *a = &srv->allocs[p->alloc];
	uint32_t over = a->overs;
	unsigned slot;

	p->over = NONE;
	if (srv->placing != NONE) { /* restored: where the record has it */
		over = srv->placing;
		(p->channel == 0 ? srv->overs[over].perm
		                 : srv->overs[over].chan)[srv->placing_slot] = n;
		p->over = over;
		p->slot = srv->placing_slot;
		return true;
	}
	if (place_inline(srv, a, n))
		return true;
	if (p->perm != NONE && srv->peers[p->perm].over != NONE &&
	    srv->overs[srv->peers[p->perm].over].chan[srv->peers[p->perm].slot] == NONE) {
		over = srv->peers[p->perm].over; /* beside its permission */
		slot = srv->peers[p->perm].slot;
	} else {
		slot = over == NONE ? OVER_SLOTS : empty_slot(&srv->overs[over]);
		if (slot == OVER_SLOTS) {
			over = new_over(srv, a);
			slot = 0;
		}
	}
	if (over == NONE)
		return false;
	if (p->channel == 0)
		srv->overs[over].perm[slot] = n;
	else
		srv->overs[over].chan[slot] = n;
	p->over = over;
	p->slot = (uint8_t)slot;
	mark_over(srv, over);
	return true;
}

void record_displace(struct turn_server *srv, uint32_t n)
{
	struct peer *p = &srv->peers[n];
	struct alloc *a = &srv->allocs[p->alloc];
	struct over *o;

	if (p->over == NONE) {
		if (a->inline_perm == n)
			a->inline_perm = NONE;
		if (a->inline_chan == n)
			a->inline_chan = NONE;
		return;
	}
	o = &srv->overs[p->over];
	if (p->channel == 0)
		o->perm[p->slot] = NONE;
	else
		o->chan[p->slot] = NONE;
	for (unsigned i = 0; i < OVER_SLOTS; i++)
		if (o->perm[i] != NONE || o->chan[i] != NONE) {
			if (a->overs != p->over) { /* room is looked for at the head */
				srv->overs[o->prev].next = o->next;
				if (o->next != NONE)
					srv->overs[o->next].prev = o->prev;
				push_over(srv, a, p->over);
			}
			p->over = NONE;
			return;
		}
	free_over(srv, a, p->over);
	p->over = NONE;
}

void record_touch(struct turn_server *srv, uint32_t n)
{
	const struct peer *p = &srv->peers[n];

	if (p->over == NONE)
		srv->allocs[p->alloc].dirty = true;
	else
		mark_over(srv, p->over);
}

/* --- reservations and nonce keys --- */

bool record_reservation(struct turn_server *srv, struct reservation *r)
{
	struct body_reservation b = {
		.alloc_id = r->alloc_id,
		.expires_s = r->expires_s,
		.port = r->port,
		.owner = srv->owners[r->owner].name,
	};

	r->ref = store_take(srv->store);
	if (r->ref == 0)
		return false;
	memcpy(b.token, r->token, sizeof(b.token));
	memcpy(b.ip, srv->relays[r->relay].addr.ip, 16);
	store_commit(srv->store, r->ref, STORE_RESERVATION, &b);
	return true;
}

bool record_nonce(struct turn_server *srv, struct nonce_key *k)
{
	struct body_nonce b = { .made_s = k->made_s,
		                .epoch = k->epoch,
		                .current = k == &srv->nonce_key[0] };

	if (k->ref == 0)
		k->ref = store_take(srv->store);
	if (k->ref == 0)
		return false;
	memcpy(b.key, k->key, sizeof(b.key));
	store_commit(srv->store, k->ref, STORE_NONCE, &b);
	crypto_wipe(&b, sizeof(b));
	return true;
}
