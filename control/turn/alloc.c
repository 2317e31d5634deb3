/* Allocations: made, refreshed, ended. */
#include <string.h>

#include "control/turn/action.h"
#include "control/turn/alloc.h"
#include "control/turn/flow.h"
#include "control/turn/list.h"
#include "control/turn/peer.h"
#include "control/turn/record.h"
#include "control/turn/reserve.h"
#include "control/turn/user.h"

static uint32_t number_of(const struct turn_server *srv, const struct alloc *a)
{
	return (uint32_t)(a - srv->allocs);
}

uint64_t alloc_hash(const struct turn_server *srv, const struct endpoint *client, uint8_t listener)
{
	uint64_t words[3];

	memcpy(words, client->addr.ip, 16);
	words[2] = (uint64_t)client->port << 8 | listener;
	return index_hash(&srv->by_tuple, words, 3);
}

struct alloc *alloc_find(const struct turn_server *srv, const struct endpoint *client,
                         uint8_t listener)
{
	return alloc_find_hashed(srv, alloc_hash(srv, client, listener), client, listener);
}

struct alloc *alloc_find_hashed(const struct turn_server *srv, uint64_t hash,
                                const struct endpoint *client, uint8_t listener)
{
	uint32_t n = index_first(&srv->by_tuple, hash);

	for (; n != NONE; n = index_after(&srv->by_tuple, n))
		if (srv->allocs[n].listener == listener &&
		    endpoint_equal(&srv->allocs[n].client, client))
			return &srv->allocs[n];
	return NULL;
}

struct alloc *alloc_find_id(const struct turn_server *srv, uint64_t id)
{
	uint32_t n = index_first(&srv->by_id, id); /* ids are ours, and in sequence */

	for (; n != NONE; n = index_after(&srv->by_id, n))
		if (srv->allocs[n].id == id)
			return &srv->allocs[n];
	return NULL;
}

/* --- life --- */

struct alloc *alloc_take(struct turn_server *srv)
{
	const uint32_t n = pool_take(&srv->pool_alloc);
	struct alloc *a;

	if (n == NONE)
		return NULL;
	a = &srv->allocs[n];
	*a = (struct alloc){
		.gen = a->gen + 1,
		.state = ELEMENT_LIVE,
		.peers = NONE,
		.overs = NONE,
		.inline_perm = NONE,
		.inline_chan = NONE,
		.leg = { { .relay = NO_RELAY, .row = NONE }, { .relay = NO_RELAY, .row = NONE } },
	};
	return a;
}

void alloc_time(struct turn_server *srv, struct alloc *a)
{
	uint32_t at_s = UINT32_MAX;

	for (unsigned i = 0; i < 2; i++)
		if (leg_live(&a->leg[i]) && a->leg[i].expires_s < at_s)
			at_s = a->leg[i].expires_s;
	timer_set(srv->timers, number_of(srv, a), (uint64_t)at_s * 1000);
}

void alloc_publish(struct turn_server *srv, struct alloc *a)
{
	const uint32_t n = number_of(srv, a);

	index_add(&srv->by_tuple, alloc_hash(srv, &a->client, a->listener), n);
	index_add(&srv->by_id, a->id, n);
	srv->owners[srv->creds[a->cred].owner].count++;
	user_ref(srv, a->cred);
	srv->listeners[a->listener].refs++;
	srv->n_live++;
	alloc_time(srv, a);
}

/* Told, and its element free. Put off while the queue is full. */
static void finish(struct turn_server *srv, struct alloc *a)
{
	const uint32_t n = number_of(srv, a);

	if (!action_room(srv)) {
		timer_set(srv->timers, n, srv->now_ms + 10);
		return;
	}
	list_end(srv, a);
	timer_clear(srv->timers, n);
	user_unref(srv, a->cred);
	srv->listeners[a->listener].refs--;
	a->state = ELEMENT_FREE;
	srv->n_ending--;
	stat_count(srv, TURN_STAT_ENDED);
	pool_give(&srv->pool_alloc, n);
}

void alloc_done_one(struct turn_server *srv, struct alloc *a)
{
	if (--a->pending == 0 && a->state == ELEMENT_DYING)
		finish(srv, a);
}

void alloc_done_leg(struct turn_server *srv, struct alloc *a, unsigned leg)
{
	(void)leg;
	alloc_done_one(srv, a);
}

static void release_port(struct turn_server *srv, const struct leg *leg)
{
	if (srv->relays[leg->relay].ports != NULL)
		ports_release(srv->relays[leg->relay].ports, leg->port, srv->now_s,
		              srv->cfg->port_rest_s);
}

static void end_peers(struct turn_server *srv, struct alloc *a, bool all, unsigned leg)
{
	for (uint32_t n = a->peers, next; n != NONE; n = next) {
		struct peer *p = &srv->peers[n];

		next = p->next;
		if (p->state == ELEMENT_LIVE && (all || leg_of(&p->at.addr) == leg))
			peer_end(srv, n);
	}
}

static void delete_leg(struct turn_server *srv, struct alloc *a, unsigned i)
{
	a->pending++;
	if (!flow_delete_leg(srv, a, i))
		alloc_done_one(srv, a);
}

void alloc_end(struct turn_server *srv, struct alloc *a, enum turn_end why)
{
	const uint32_t n = number_of(srv, a);

	a->state = ELEMENT_DYING;
	a->end = (uint8_t)why;
	a->pending++; /* held until everything below is done */
	index_remove(&srv->by_tuple, alloc_hash(srv, &a->client, a->listener), n);
	index_remove(&srv->by_id, a->id, n);
	srv->owners[srv->creds[a->cred].owner].count--;
	srv->n_live--;
	srv->n_ending++;
	if (srv->now_s < a->created_s + MEMORY_S)
		memo_add(srv, &a->client, a->listener, TURN_ALLOCATE, a->txid,
		         a->created_s + MEMORY_S);

	record_alloc_free(srv, a);
	a->inline_perm = a->inline_chan = NONE;
	for (uint32_t p = a->peers; p != NONE; p = srv->peers[p].next)
		srv->peers[p].over = NONE;
	end_peers(srv, a, true, 0);
	for (unsigned i = 0; i < 2; i++)
		if (leg_live(&a->leg[i])) {
			release_port(srv, &a->leg[i]);
			delete_leg(srv, a, i);
		}
	timer_set(srv->timers, n, srv->now_ms + ACK_MS);
	alloc_done_one(srv, a);
}

void alloc_end_soon(struct turn_server *srv, struct alloc *a, enum turn_end why)
{
	if (action_room(srv)) {
		alloc_end(srv, a, why);
		return;
	}
	a->doomed = true;
	a->end = (uint8_t)why;
	timer_set(srv->timers, number_of(srv, a), srv->now_ms);
}

void alloc_end_leg(struct turn_server *srv, struct alloc *a, unsigned i)
{
	end_peers(srv, a, false, i);
	release_port(srv, &a->leg[i]);
	delete_leg(srv, a, i);
	a->leg[i].relay = NO_RELAY;
	a->leg[i].port = 0;
	alloc_time(srv, a);
	record_alloc_again(srv, a);
}

static bool leg_passed(const struct turn_server *srv, const struct leg *leg)
{
	return leg_live(leg) && (uint64_t)leg->expires_s * 1000 <= srv->now_ms;
}

void alloc_on_timer(struct turn_server *srv, struct alloc *a)
{
	if (a->state == ELEMENT_LIVE) {
		const bool four = leg_passed(srv, &a->leg[0]), six = leg_passed(srv, &a->leg[1]);

		if (a->doomed)
			alloc_end(srv, a, (enum turn_end)a->end);
		else if ((four || !leg_live(&a->leg[0])) && (six || !leg_live(&a->leg[1])))
			alloc_end(srv, a, END_EXPIRED);
		else if (four || six)
			alloc_end_leg(srv, a, four ? 0 : 1);
		return;
	}
	if (a->state != ELEMENT_DYING)
		return;
	if (a->pending == 0) {
		finish(srv, a);
		return;
	}
	a->pending++; /* held, as in alloc_end() */
	for (unsigned i = 0; i < 2; i++)
		if (a->leg[i].flow == FLOW_DELETING) {
			stat_count(srv, TURN_STAT_ROW_UNANSWERED);
			flow_forget_leg(srv, a, i);
			alloc_done_one(srv, a);
		}
	while (a->peers != NONE)
		peer_on_timer(srv, a->peers);
	alloc_done_one(srv, a);
}

bool turn_delete(struct turn_server *srv, uint64_t id, enum turn_end why, uint64_t now_ms)
{
	struct alloc *a = alloc_find_id(srv, id);

	server_set_now(srv, now_ms);
	if (a == NULL)
		return false;
	alloc_end_soon(srv, a, why);
	return true;
}

void turn_end_all(struct turn_server *srv, enum turn_end why, uint64_t now_ms)
{
	server_set_now(srv, now_ms);
	srv->end_cursor = 0;
	srv->end_why = why;
}
