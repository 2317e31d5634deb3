/* Life of the server: pools, sessions, tables of the data plane, time. */
#include <stdlib.h>
#include <string.h>

#include "control/memory.h"
#include "control/session/record.h"
#include "crypto.h"

void life_now(struct session_server *srv, uint64_t now_ms)
{
	if (now_ms > srv->now_ms)
		srv->now_ms = now_ms;
	srv->pacer.by_peer = true;
}

struct session_server *session_server_new(const struct session_setup *setup, uint64_t now_ms)
{
	struct session_server *const srv = calloc(1, sizeof(*srv));
	const unsigned n = setup->legs_max;
	uint64_t key[2];

	if (!srv)
		return NULL;
	srv->setup = *setup;
	srv->now_ms = now_ms;
	srv->legs_spare = srv->sessions_spare = srv->oldest = srv->newest = NONE;
	srv->dirty_first = srv->dirty_last = srv->sync_cursor = NONE;
	srv->flush_ms = UINT64_MAX;
	srv->next_id = 1;
	setup->world.random(setup->world.arg, key, sizeof(key));
	srv->legs = memory_array(n ? n : 1, sizeof(*srv->legs));
	srv->sessions = memory_array(n ? n : 1, sizeof(*srv->sessions));
	srv->events = memory_array(EVENTS_MAX, sizeof(*srv->events));
	srv->theirs = calloc(1, sizeof(*srv->theirs));
	srv->ours = calloc(1, sizeof(*srv->ours));
	srv->timers = timer_new(2 * n + 1, now_ms);
	if (!srv->legs || !srv->sessions || !srv->events || !srv->theirs || !srv->ours ||
	    !srv->timers || !index_init(&srv->by_id, n ? n : 1, n ? n : 1, key) ||
	    !index_init(&srv->by_ufrag, n ? n : 1, n ? n : 1, key)) {
		session_server_free(srv);
		return NULL;
	}
	return srv;
}

void session_server_free(struct session_server *srv)
{
	if (!srv)
		return;
	for (uint32_t i = 0; srv->legs && i < srv->legs_fresh; i++)
		ice_free(srv->legs[i].agent);
	for (unsigned i = 0; i < srv->n_relays; i++)
		memory_free(srv->relay[i].by_port);
	if (srv->legs)
		crypto_wipe(srv->legs, srv->legs_fresh * sizeof(*srv->legs));
	if (srv->theirs)
		crypto_wipe(srv->theirs, sizeof(*srv->theirs));
	if (srv->ours)
		crypto_wipe(srv->ours, sizeof(*srv->ours));
	memory_free(srv->legs);
	memory_free(srv->sessions);
	memory_free(srv->events);
	free(srv->theirs);
	free(srv->ours);
	timer_free(srv->timers);
	index_done(&srv->by_id);
	index_done(&srv->by_ufrag);
	free(srv);
}

/* --- sessions --- */

uint32_t life_take_session(struct session_server *srv)
{
	uint32_t n = srv->sessions_spare;

	if (n != NONE)
		srv->sessions_spare = srv->sessions[n].next;
	else if (srv->sessions_fresh < srv->setup.legs_max)
		n = srv->sessions_fresh++;
	else
		return NONE;
	srv->sessions[n] =
		(struct session){ .stage = STAGE_LIVE, .first = NONE, .prev = NONE, .next = NONE };
	return n;
}

void life_give_session(struct session_server *srv, uint32_t n)
{
	srv->sessions[n] = (struct session){ .next = srv->sessions_spare };
	srv->sessions_spare = n;
}

static uint64_t hash_id(const struct session_server *srv, uint64_t id)
{
	return index_hash(&srv->by_id, &id, 1);
}

uint32_t life_find(const struct session_server *srv, uint64_t id)
{
	uint32_t n = index_first(&srv->by_id, hash_id(srv, id));

	while (n != NONE && srv->sessions[n].id != id)
		n = index_after(&srv->by_id, n);
	return n;
}

void life_publish(struct session_server *srv, uint32_t n)
{
	struct session *const s = &srv->sessions[n];

	index_add(&srv->by_id, hash_id(srv, s->id), n);
	s->prev = srv->newest;
	s->next = NONE;
	if (s->prev != NONE)
		srv->sessions[s->prev].next = n;
	else
		srv->oldest = n;
	srv->newest = n;
	srv->n_sessions++;
}

/* Whoever looks for it finds it no more. */
static void hide(struct session_server *srv, uint32_t n)
{
	struct session *const s = &srv->sessions[n];

	index_remove(&srv->by_id, hash_id(srv, s->id), n);
	if (s->prev != NONE)
		srv->sessions[s->prev].next = s->next;
	else
		srv->oldest = s->next;
	if (s->next != NONE)
		srv->sessions[s->next].prev = s->prev;
	else
		srv->newest = s->prev;
	srv->n_sessions--;
}

static void finish(struct session_server *srv, uint32_t n)
{
	const struct session *const s = &srv->sessions[n];

	tell_push(srv,
	          &(struct session_event){
			  .kind = SESSION_EVENT_ENDED, .session = s->id, .counts = s->final },
	          NONE);
	session_stat(srv, SESSION_STAT_ENDED);
	srv->n_ending--;
	life_give_session(srv, n);
}

void life_end(struct session_server *srv, uint32_t n)
{
	struct session *const s = &srv->sessions[n];

	hide(srv, n);
	record_session_free(srv, n); /* first: its legs count no more */
	s->stage = STAGE_DYING;
	s->n_dying = s->n_legs;
	srv->n_ending++;
	if (s->n_dying == 0) {
		finish(srv, n);
		return;
	}
	for (uint32_t l = s->first, next; l != NONE; l = next) {
		next = srv->legs[l].next;
		record_leg_free(srv, l);
		leg_end(srv, l);
	}
}

static void add(struct session_counts *to, const struct session_counts *c)
{
	to->to_packets += c->to_packets;
	to->to_octets += c->to_octets;
	to->from_packets += c->from_packets;
	to->from_octets += c->from_octets;
	if (c->heard_s > to->heard_s)
		to->heard_s = c->heard_s;
}

void life_leg_done(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];
	const uint32_t session = l->session;
	struct session *const s = &srv->sessions[session];

	add(&s->final, &l->booked);
	leg_give(srv, n);
	if (--s->n_dying == 0)
		finish(srv, session);
}

static void end_some(struct session_server *srv)
{
	for (unsigned i = 0; i < END_BURST && srv->oldest != NONE; i++) {
		if (srv->connected && !row_room(srv, srv->sessions[srv->oldest].n_legs))
			return;
		life_end(srv, srv->oldest);
		row_flush(srv);
	}
	srv->ending_all = srv->oldest != NONE;
}

void session_end_all(struct session_server *srv, uint64_t now_ms)
{
	life_now(srv, now_ms);
	srv->ending_all = true;
	end_some(srv);
}

/* --- tables of the data plane --- */

int life_relay(struct session_server *srv, const struct addr *a)
{
	for (unsigned i = 0; i < srv->n_relays; i++)
		if (addr_equal(&srv->relay[i].addr, a))
			return (int)i;
	if (srv->n_relays == RELAYS_MAX)
		return -1;
	struct relay *const r = &srv->relay[srv->n_relays];

	r->by_port = memory_array(65536, sizeof(*r->by_port));
	if (!r->by_port)
		return -1;
	r->addr = r->advertise = *a;
	return (int)srv->n_relays++;
}

/* An address that went: what stands on it can neither be heard nor hear. */
static void lose_bases(struct session_server *srv)
{
	for (uint32_t n = 0; n < srv->legs_fresh; n++) {
		struct leg *const l = &srv->legs[n];
		bool lost = false;

		for (unsigned b = 0; b < l->n_bases && l->stage == STAGE_LIVE; b++) {
			if (srv->relay[l->base[b].relay].known || l->base[b].gone)
				continue;
			lost = l->base[b].gone = true;
			ice_drop_base(l->agent, srv->now_ms, (int)b);
		}
		if (lost)
			media_run(srv, n);
	}
}

void session_set_tables(struct session_server *srv, const struct abi_relay *relays, unsigned n,
                        uint64_t now_ms)
{
	life_now(srv, now_ms);
	memset(srv->relay_of_id, 0, sizeof(srv->relay_of_id));
	for (unsigned i = 0; i < srv->n_relays; i++)
		srv->relay[i].known = false;
	for (unsigned i = 0; i < n; i++) {
		struct addr a, advertise;

		memcpy(a.ip, relays[i].ip, 16);
		memcpy(advertise.ip, relays[i].advertise, 16);
		const int slot = relays[i].live ? life_relay(srv, &a) : -1;

		if (slot < 0)
			continue;
		srv->relay[slot].known = true;
		srv->relay[slot].id = relays[i].id;
		srv->relay[slot].advertise = advertise;
		srv->relay_of_id[relays[i].id] = (uint8_t)(slot + 1);
	}
	lose_bases(srv);
	row_flush(srv);
}

/* --- time --- */

static void leg_due(struct session_server *srv, uint32_t node)
{
	const uint32_t n = node % srv->setup.legs_max;

	if (node < srv->setup.legs_max)
		media_run(srv, n);
	else
		row_overdue(srv, n);
}

void session_on_time(struct session_server *srv, uint64_t now_ms)
{
	uint32_t node;

	life_now(srv, now_ms);
	while (timer_take(srv->timers, srv->now_ms, &node))
		leg_due(srv, node);
	if (srv->ending_all)
		end_some(srv);
	row_flush(srv);
}

uint64_t session_deadline_ms(const struct session_server *srv)
{
	const uint64_t next = timer_next(srv->timers);
	const uint64_t soon = srv->ending_all ? srv->now_ms + QUEUE_FULL_MS : srv->flush_ms;

	return next < soon ? next : soon;
}
