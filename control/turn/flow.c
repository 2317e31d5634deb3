/* Flows towards the data plane. */
#include <string.h>

#include "control/turn/action.h"
#include "control/turn/alloc.h"
#include "control/turn/flow.h"
#include "control/turn/peer.h"
#include "control/turn/template.h"

/* tag: what it is, its number in the pool, the generation of the element. */
enum tag_kind { TAG_LEG4 = 1, TAG_LEG6 = 2, TAG_PEER = 3, TAG_SYNC = 4 };

static uint64_t tag_make(enum tag_kind kind, uint32_t element, uint32_t gen)
{
	return (uint64_t)kind << 60 | (uint64_t)(element & 0x0FFFFFFF) << 32 | gen;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

bool flow_room(const struct turn_server *srv, uint32_t rows)
{
	return srv->rows_max == 0 || srv->rows_used + rows <= srv->rows_max;
}

uint32_t flow_deadline(const struct turn_server *srv, const struct peer *p, uint32_t *in_s)
{
	const struct alloc *a = &srv->allocs[p->alloc];
	const uint32_t end_s = a->leg[leg_of(&p->at.addr)].expires_s;
	const bool strict = srv->cfg->strict_permissions;
	uint32_t out_s;

	if (p->channel == 0) {
		const uint32_t keep_s =
			strict || p->keep_s < p->deadline_s ? p->deadline_s : p->keep_s;

		out_s = min_u32(keep_s, end_s);
		*in_s = out_s;
		return out_s;
	}
	out_s = min_u32(p->deadline_s, end_s);
	if (!strict)
		*in_s = out_s;
	else
		*in_s = p->perm == NONE ? 0 : min_u32(out_s, srv->peers[p->perm].deadline_s);
	return out_s;
}

static struct cmd_flow *push_flow(struct turn_server *srv, enum cmd_kind command,
                                  const struct alloc *a)
{
	struct cmd_flow *c = action_command(srv, command, sizeof(*c));

	memset(c, 0, sizeof(*c));
	memcpy(c->client_ip, a->client.addr.ip, 16);
	c->client_port = a->client.port;
	c->listener = srv->listeners[a->listener].id;
	return c;
}

static void push_leg(struct turn_server *srv, enum cmd_kind command, const struct alloc *a,
                     unsigned i)
{
	const struct leg *leg = &a->leg[i];
	struct cmd_flow *c = push_flow(srv, command, a);

	c->tag = tag_make(i == 0 ? TAG_LEG4 : TAG_LEG6, (uint32_t)(a - srv->allocs), a->gen);
	c->kind = i == 0 ? FLOW_ALLOCATION4 : FLOW_ALLOCATION6;
	c->relay = srv->relays[leg->relay].id;
	c->relayed_port = leg->port;
	c->deadline_s = c->deadline_in_s = leg->expires_s;
	c->flags = leg->row != NONE ? FLOW_FLAG_SILENT : 0;
}

static void push_peer(struct turn_server *srv, enum cmd_kind command, uint32_t n)
{
	const struct peer *p = &srv->peers[n];
	struct cmd_flow *c = push_flow(srv, command, &srv->allocs[p->alloc]);

	c->tag = tag_make(TAG_PEER, n, p->gen);
	c->kind = p->channel != 0 ? FLOW_CHANNEL : FLOW_PERMISSION;
	memcpy(c->peer_ip, p->at.addr.ip, 16);
	c->peer_port = p->at.port;
	c->channel = p->channel;
	c->deadline_s = p->told_s;
	c->deadline_in_s = p->told_in_s;
	c->flags = p->row != NONE ? FLOW_FLAG_SILENT : 0;
}

/* Names every flow of the allocation in the sync under way. */
static void sync_alloc(struct turn_server *srv, struct alloc *a)
{
	a->synced = srv->epoch;
	for (unsigned i = 0; i < 2; i++)
		if (leg_live(&a->leg[i]))
			flow_set_leg(srv, a, i);
	for (uint32_t n = a->peers; n != NONE; n = srv->peers[n].next)
		if (srv->peers[n].state == ELEMENT_LIVE)
			flow_set_peer(srv, n);
}

/* A parent has to be named before its children, and a sync may not have come to it yet. */
static bool synced(struct turn_server *srv, struct alloc *a)
{
	if (srv->sync_cursor == NONE || a->synced == srv->epoch)
		return true;
	sync_alloc(srv, a);
	return false;
}

void flow_set_leg(struct turn_server *srv, struct alloc *a, unsigned i)
{
	struct leg *leg = &a->leg[i];

	if (!srv->connected || !synced(srv, a))
		return;
	if (leg->flow == FLOW_OFF)
		srv->rows_used += ROWS_LEG;
	leg->flow = FLOW_SET;
	push_leg(srv, CMD_SET, a, i);
}

static uint32_t rows_of(const struct peer *p)
{
	return p->channel != 0 ? ROWS_CHAN : ROWS_PERM;
}

void flow_set_peer(struct turn_server *srv, uint32_t n)
{
	struct peer *p = &srv->peers[n];
	uint32_t in_s;
	const uint32_t out_s = flow_deadline(srv, p, &in_s);

	if (!srv->connected || !synced(srv, &srv->allocs[p->alloc]))
		return;
	if (p->flow == FLOW_SET && p->told_s == out_s && p->told_in_s == in_s)
		return;
	if (p->flow == FLOW_OFF)
		srv->rows_used += rows_of(p);
	p->flow = FLOW_SET;
	p->told_s = out_s;
	p->told_in_s = in_s;
	push_peer(srv, CMD_SET, n);
}

void flow_set_peers(struct turn_server *srv, struct alloc *a, unsigned leg)
{
	for (uint32_t n = a->peers; n != NONE; n = srv->peers[n].next)
		if (srv->peers[n].state == ELEMENT_LIVE && leg_of(&srv->peers[n].at.addr) == leg)
			flow_set_peer(srv, n);
}

bool flow_delete_leg(struct turn_server *srv, struct alloc *a, unsigned i)
{
	struct leg *leg = &a->leg[i];

	if (leg->flow != FLOW_SET || !srv->connected) {
		flow_forget_leg(srv, a, i);
		return false;
	}
	push_leg(srv, CMD_DELETE, a, i);
	leg->flow = FLOW_DELETING;
	return true;
}

bool flow_delete_peer(struct turn_server *srv, uint32_t n)
{
	struct peer *p = &srv->peers[n];

	if (p->flow != FLOW_SET || !srv->connected) {
		flow_forget_peer(srv, n);
		return false;
	}
	push_peer(srv, CMD_DELETE, n);
	p->flow = FLOW_DELETING;
	return true;
}

static void book(struct turn_server *srv, uint32_t row, uint64_t *packets, uint64_t *octets)
{
	uint64_t p = 0, o = 0;

	if (row != NONE && srv->counts != NULL && srv->counts(row, &p, &o)) {
		*packets += p;
		*octets += o;
	}
}

void flow_forget_leg(struct turn_server *srv, struct alloc *a, unsigned i)
{
	struct leg *leg = &a->leg[i];

	if (leg->flow == FLOW_OFF)
		return;
	book(srv, leg->row, &a->to_packets, &a->to_octets);
	srv->rows_used -= ROWS_LEG;
	leg->flow = FLOW_OFF;
	leg->row = NONE;
}

void flow_forget_peer(struct turn_server *srv, uint32_t n)
{
	struct peer *p = &srv->peers[n];
	struct alloc *a = &srv->allocs[p->alloc];

	if (p->flow == FLOW_OFF)
		return;
	book(srv, p->row, &a->from_packets, &a->from_octets);
	srv->rows_used -= rows_of(p);
	p->flow = FLOW_OFF;
	p->row = NONE;
}

void flow_live_counts(struct turn_server *srv, const struct alloc *a, struct turn_info *info)
{
	for (unsigned i = 0; i < 2; i++)
		book(srv, a->leg[i].flow != FLOW_OFF ? a->leg[i].row : NONE,
		     &info->to_client_packets, &info->to_client_octets);
	for (uint32_t n = a->peers; n != NONE; n = srv->peers[n].next)
		book(srv, srv->peers[n].flow != FLOW_OFF ? srv->peers[n].row : NONE,
		     &info->from_client_packets, &info->from_client_octets);
}

/* --- what became of commands --- */

static void count_refusal(struct turn_server *srv, uint32_t status)
{
	stat_count(srv, status == ROW_FULL      ? TURN_STAT_ROW_FULL
	                : status == ROW_REFUSED ? TURN_STAT_ROW_REFUSED
	                                        : TURN_STAT_ROW_ORPHAN);
}

static void on_leg(struct turn_server *srv, const struct punt_row *ev, struct alloc *a, unsigned i)
{
	struct leg *leg = &a->leg[i];

	switch (ev->status) {
	case ROW_OK:
		if (leg->flow == FLOW_SET)
			leg->row = ev->row;
		return;
	case ROW_DELETED:
	case ROW_UNKNOWN:
		if (leg->flow != FLOW_DELETING) {
			stat_count(srv, TURN_STAT_ROW_LATE);
			return;
		}
		leg->row = NONE; /* the event has the final counts */
		flow_forget_leg(srv, a, i);
		a->to_packets += ev->packets;
		a->to_octets += ev->octets;
		alloc_done_leg(srv, a, i);
		return;
	default:
		count_refusal(srv, ev->status);
		if (a->state == ELEMENT_LIVE)
			alloc_end(srv, a, END_ROLLED_BACK);
	}
}

static void on_peer(struct turn_server *srv, const struct punt_row *ev, uint32_t n)
{
	struct peer *p = &srv->peers[n];
	struct alloc *a = &srv->allocs[p->alloc];

	switch (ev->status) {
	case ROW_OK:
		if (p->flow == FLOW_SET)
			p->row = ev->row;
		return;
	case ROW_DELETED:
	case ROW_UNKNOWN:
		if (p->flow != FLOW_DELETING) {
			stat_count(srv, TURN_STAT_ROW_LATE);
			return;
		}
		p->row = NONE;
		flow_forget_peer(srv, n);
		a->from_packets += ev->packets;
		a->from_octets += ev->octets;
		peer_done(srv, n);
		return;
	default:
		count_refusal(srv, ev->status);
		if (p->state != ELEMENT_LIVE)
			return;
		if (ev->status == ROW_REFUSED) /* its policy says otherwise: that peer only */
			peer_revoke(srv, n, 403, "data plane");
		else
			alloc_end(srv, a, END_ROLLED_BACK);
	}
}

void turn_on_row(struct turn_server *srv, const struct punt_row *ev, uint64_t now_ms)
{
	const uint32_t kind = (uint32_t)(ev->tag >> 60), gen = (uint32_t)ev->tag;
	const uint32_t n = (uint32_t)(ev->tag >> 32) & 0x0FFFFFFF;

	server_set_now(srv, now_ms);
	if (ev->status == ROW_SYNCED)
		return;
	if ((kind == TAG_LEG4 || kind == TAG_LEG6) && n < srv->pool_alloc.n &&
	    srv->allocs[n].gen == gen && srv->allocs[n].state != ELEMENT_FREE)
		on_leg(srv, ev, &srv->allocs[n], kind == TAG_LEG4 ? 0 : 1);
	else if (kind == TAG_PEER && n < srv->pool_peer.n && srv->peers[n].gen == gen &&
	         srv->peers[n].state != ELEMENT_FREE)
		on_peer(srv, ev, n);
	else
		stat_count(srv, TURN_STAT_ROW_LATE);
}

/* --- joining and losing a data plane --- */

/* Every flow is OFF, with its last counts booked; deletes under way are done. */
static void forget_all(struct turn_server *srv)
{
	for (uint32_t n = 0; n < srv->pool_peer.fresh; n++) {
		if (srv->peers[n].state == ELEMENT_FREE)
			continue;
		flow_forget_peer(srv, n);
		if (srv->peers[n].state == ELEMENT_DYING)
			peer_done(srv, n);
	}
	for (uint32_t n = 0; n < srv->pool_alloc.fresh; n++) {
		struct alloc *a = &srv->allocs[n];

		for (unsigned i = 0; i < 2 && a->state != ELEMENT_FREE; i++) {
			const bool deleting = a->leg[i].flow == FLOW_DELETING;

			flow_forget_leg(srv, a, i);
			if (deleting)
				alloc_done_leg(srv, a, i);
		}
	}
}

void turn_on_hangup(struct turn_server *srv, uint64_t now_ms)
{
	server_set_now(srv, now_ms);
	srv->connected = false;
	srv->sync_cursor = NONE;
	action_void_commands(srv);
	forget_all(srv);
}

void turn_sync(struct turn_server *srv, uint64_t now_ms)
{
	struct cmd_sync *c;

	turn_on_hangup(srv, now_ms);
	srv->connected = true;
	srv->epoch++;
	srv->sync_cursor = 0;
	c = action_command(srv, CMD_SYNC_BEGIN, sizeof(*c));
	c->tag = tag_make(TAG_SYNC, 0, srv->epoch);
	template_emit(srv);
}

bool turn_sync_step(struct turn_server *srv, uint64_t now_ms)
{
	struct cmd_sync *c;

	server_set_now(srv, now_ms);
	while (srv->sync_cursor != NONE && srv->sync_cursor < srv->pool_alloc.fresh) {
		struct alloc *a = &srv->allocs[srv->sync_cursor];

		if (!action_room(srv))
			return false;
		if (a->state == ELEMENT_LIVE && a->synced != srv->epoch)
			sync_alloc(srv, a);
		srv->sync_cursor++;
	}
	if (srv->sync_cursor == NONE)
		return true;
	if (srv->also != NULL && !srv->also(srv->also_arg, now_ms))
		return false;
	if (!action_room(srv))
		return false;
	srv->sync_cursor = NONE;
	c = action_command(srv, CMD_SYNC_END, sizeof(*c));
	c->tag = tag_make(TAG_SYNC, 0, srv->epoch);
	return true;
}

void turn_set_counts(struct turn_server *srv, turn_counts *counts)
{
	srv->counts = counts;
}
