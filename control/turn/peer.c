/* Permissions and channels as entries. */
#include <string.h>

#include "control/turn/action.h"
#include "control/turn/alloc.h"
#include "control/turn/flow.h"
#include "control/turn/list.h"
#include "control/turn/peer.h"
#include "control/turn/record.h"

static uint64_t hash_perm(const struct turn_server *srv, uint32_t alloc, const struct addr *ip)
{
	uint64_t words[3] = { [2] = alloc };

	memcpy(words, ip->ip, 16);
	return index_hash(&srv->by_perm, words, 3);
}

static uint64_t hash_number(const struct turn_server *srv, uint32_t alloc, uint16_t number)
{
	const uint64_t word = (uint64_t)alloc << 16 | number;

	return index_hash(&srv->by_number, &word, 1);
}

static uint64_t hash_bound(const struct turn_server *srv, uint32_t alloc, const struct endpoint *at)
{
	uint64_t words[3] = { [2] = (uint64_t)alloc << 16 | at->port };

	memcpy(words, at->addr.ip, 16);
	return index_hash(&srv->by_peer, words, 3);
}

static uint32_t number_of(const struct turn_server *srv, const struct alloc *a)
{
	return (uint32_t)(a - srv->allocs);
}

uint32_t peer_find_perm(const struct turn_server *srv, const struct alloc *a, const struct addr *ip)
{
	const uint32_t alloc = number_of(srv, a);
	uint32_t n = index_first(&srv->by_perm, hash_perm(srv, alloc, ip));

	while (n != NONE &&
	       (srv->peers[n].alloc != alloc || !addr_equal(&srv->peers[n].at.addr, ip)))
		n = index_after(&srv->by_perm, n);
	return n;
}

uint32_t peer_find_number(const struct turn_server *srv, const struct alloc *a, uint16_t number)
{
	const uint32_t alloc = number_of(srv, a);
	uint32_t n = index_first(&srv->by_number, hash_number(srv, alloc, number));

	while (n != NONE && (srv->peers[n].alloc != alloc || srv->peers[n].channel != number))
		n = index_after(&srv->by_number, n);
	return n;
}

uint32_t peer_find_bound(const struct turn_server *srv, const struct alloc *a,
                         const struct endpoint *at)
{
	const uint32_t alloc = number_of(srv, a);
	uint32_t n = index_first(&srv->by_peer, hash_bound(srv, alloc, at));

	while (n != NONE &&
	       (srv->peers[n].alloc != alloc || !endpoint_equal(&srv->peers[n].at, at)))
		n = index_after(&srv->by_peer, n);
	return n;
}

/* A channel joins the list of its address's permission. */
static void attach(struct turn_server *srv, uint32_t chan, uint32_t perm)
{
	struct peer *c = &srv->peers[chan];

	c->perm = perm;
	c->sib_prev = NONE;
	c->sib = srv->peers[perm].chans;
	if (c->sib != NONE)
		srv->peers[c->sib].sib_prev = chan;
	srv->peers[perm].chans = chan;
}

static void detach(struct turn_server *srv, uint32_t chan)
{
	struct peer *c = &srv->peers[chan];

	if (c->perm == NONE)
		return;
	if (c->sib_prev != NONE)
		srv->peers[c->sib_prev].sib = c->sib;
	else
		srv->peers[c->perm].chans = c->sib;
	if (c->sib != NONE)
		srv->peers[c->sib].sib_prev = c->sib_prev;
	c->perm = NONE;
}

/* A permission came back: channels to its address that had lost theirs. */
static void adopt(struct turn_server *srv, struct alloc *a, uint32_t perm)
{
	for (uint32_t n = a->peers; n != NONE && a->n_orphans > 0; n = srv->peers[n].next) {
		const struct peer *p = &srv->peers[n];

		if (p->state == ELEMENT_LIVE && p->channel != 0 && p->perm == NONE &&
		    addr_equal(&p->at.addr, &srv->peers[perm].at.addr)) {
			attach(srv, n, perm);
			a->n_orphans--;
			if (srv->peers[perm].keep_s < p->deadline_s)
				srv->peers[perm].keep_s = p->deadline_s;
		}
	}
}

uint32_t peer_make(struct turn_server *srv, struct alloc *a, const struct endpoint *at,
                   uint16_t channel)
{
	const uint32_t alloc = number_of(srv, a), n = pool_take(&srv->pool_peer);
	struct peer *p;

	if (n == NONE)
		return NONE;
	p = &srv->peers[n];
	*p = (struct peer){
		.at = *at,
		.channel = channel,
		.state = ELEMENT_LIVE,
		.gen = p->gen + 1,
		.alloc = alloc,
		.prev = NONE,
		.next = a->peers,
		.row = NONE,
		.perm = NONE,
		.chans = NONE,
		.sib = NONE,
		.sib_prev = NONE,
		.over = NONE,
	};
	if (channel == 0)
		p->at.port = 0;
	else if (peer_find_perm(srv, a, &at->addr) != NONE)
		attach(srv, n, peer_find_perm(srv, a, &at->addr));
	if (!record_place(srv, n)) {
		detach(srv, n);
		p->state = ELEMENT_FREE;
		pool_give(&srv->pool_peer, n);
		return NONE;
	}
	if (p->next != NONE)
		srv->peers[p->next].prev = n;
	a->peers = n;
	if (channel == 0) {
		index_add(&srv->by_perm, hash_perm(srv, alloc, &at->addr), n);
		a->n_perms++;
		adopt(srv, a, n);
	} else {
		index_add(&srv->by_number, hash_number(srv, alloc, channel), n);
		index_add(&srv->by_peer, hash_bound(srv, alloc, at), n);
		a->n_chans++;
		a->n_orphans += p->perm == NONE;
	}
	return n;
}

/* Its timer: in default mode a channel keeps its permission (TURN-109). */
static void peer_time(struct turn_server *srv, uint32_t n)
{
	const struct peer *p = &srv->peers[n];
	uint32_t at_s = p->deadline_s;

	if (p->channel == 0 && !srv->cfg->strict_permissions && p->keep_s > at_s)
		at_s = p->keep_s;
	timer_set(srv->timers, srv->timer_peer + n, (uint64_t)at_s * 1000);
}

void peer_renew(struct turn_server *srv, uint32_t n, uint32_t deadline_s)
{
	peer_until(srv, n, deadline_s);
	record_touch(srv, n);
}

void peer_until(struct turn_server *srv, uint32_t n, uint32_t deadline_s)
{
	struct peer *p = &srv->peers[n];

	p->deadline_s = deadline_s;
	peer_time(srv, n);
	if (p->channel != 0 && p->perm != NONE) {
		struct peer *perm = &srv->peers[p->perm];

		if (perm->keep_s < deadline_s) {
			perm->keep_s = deadline_s;
			peer_time(srv, p->perm);
		}
	}
}

/* Nothing finds it any more. */
static void hide(struct turn_server *srv, uint32_t n)
{
	struct peer *p = &srv->peers[n];
	struct alloc *a = &srv->allocs[p->alloc];

	if (p->channel == 0) {
		index_remove(&srv->by_perm, hash_perm(srv, p->alloc, &p->at.addr), n);
		for (; p->chans != NONE; a->n_orphans++)
			detach(srv, p->chans);
		a->n_perms--;
	} else {
		index_remove(&srv->by_number, hash_number(srv, p->alloc, p->channel), n);
		index_remove(&srv->by_peer, hash_bound(srv, p->alloc, &p->at), n);
		if (p->perm == NONE)
			a->n_orphans--;
		detach(srv, n);
		a->n_chans--;
	}
	record_displace(srv, n);
}

void peer_end(struct turn_server *srv, uint32_t n)
{
	struct peer *p = &srv->peers[n];

	hide(srv, n);
	p->state = ELEMENT_DYING;
	srv->allocs[p->alloc].pending++;
	if (flow_delete_peer(srv, n))
		timer_set(srv->timers, srv->timer_peer + n, srv->now_ms + ACK_MS);
	else
		peer_done(srv, n);
}

void peer_done(struct turn_server *srv, uint32_t n)
{
	struct peer *p = &srv->peers[n];
	struct alloc *a = &srv->allocs[p->alloc];

	timer_clear(srv->timers, srv->timer_peer + n);
	if (p->prev != NONE)
		srv->peers[p->prev].next = p->next;
	else
		a->peers = p->next;
	if (p->next != NONE)
		srv->peers[p->next].prev = p->prev;
	p->state = ELEMENT_FREE;
	pool_give(&srv->pool_peer, n);
	alloc_done_one(srv, a);
}

void peer_revoke(struct turn_server *srv, uint32_t n, uint16_t code, const char *why)
{
	struct peer *p = &srv->peers[n];
	struct alloc *a = &srv->allocs[p->alloc];
	const struct endpoint at = p->at;

	while (p->channel == 0 && p->chans != NONE)
		peer_revoke(srv, p->chans, code, why);
	record_touch(srv, n); /* its deadline has not passed: the next life must not find it */
	peer_end(srv, n);
	record_peers(srv, a);
	if (why != NULL)
		list_refused(srv, a, &at, code, why);
}

void peer_on_timer(struct turn_server *srv, uint32_t n)
{
	struct peer *p = &srv->peers[n];

	if (p->state == ELEMENT_LIVE) {
		peer_end(srv, n);
	} else if (p->state == ELEMENT_DYING) {
		stat_count(srv, TURN_STAT_ROW_UNANSWERED);
		flow_forget_peer(srv, n);
		peer_done(srv, n);
	}
}
