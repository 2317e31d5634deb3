/* Legs as rows of the data plane (abi/command.h, struct cmd_leg), and the sync. */
#include <string.h>

#include "control/session/parts.h"

/* tag: SESSION_TAG, leg and base, generation of the base. */
static uint64_t tag_of(const struct session_server *srv, const struct leg *l, unsigned base)
{
	const uint64_t n = (uint64_t)(l - srv->legs) * SESSION_ADDRESSES_MAX + base;

	return (uint64_t)SESSION_TAG << 60 | n << 32 | l->base[base].gen;
}

bool row_room(const struct session_server *srv, unsigned n_legs)
{
	const uint32_t rows = n_legs * SESSION_ADDRESSES_MAX;
	const uint32_t one = sizeof(struct cmd_leg) + n_legs * (uint32_t)sizeof(struct cmd_leg_to);

	return srv->connected &&
	       srv->setup.world.room(srv->setup.world.arg, rows * (one + COMMAND_OCTETS));
}

static void queue(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];

	if (l->queued)
		return;
	l->queued = true;
	l->dirty_next = NONE;
	if (srv->dirty_last != NONE)
		srv->legs[srv->dirty_last].dirty_next = n;
	else
		srv->dirty_first = n;
	srv->dirty_last = n;
}

void row_touch(struct session_server *srv, uint32_t n, int base)
{
	struct leg *const l = &srv->legs[n];

	for (int b = 0; b < l->n_bases; b++)
		if (base < 0 || base == b)
			l->base[b].dirty = l->base[b].changed = true;
	queue(srv, n);
}

void row_renew(struct session_server *srv, uint32_t n, int base)
{
	srv->legs[n].base[base].dirty = true;
	queue(srv, n);
}

void row_touch_senders(struct session_server *srv, uint32_t n)
{
	for (uint32_t i = srv->sessions[srv->legs[n].session].first; i != NONE;
	     i = srv->legs[i].next)
		if (i != n && srv->legs[i].stage == STAGE_LIVE && leg_sends(&srv->legs[i]))
			row_touch(srv, i, -1);
}

/* --- commands --- */

/* Where a leg is: the base of its selected pair, else its first one. */
static const struct base *place(const struct leg *l)
{
	return &l->base[l->at < 0 ? 0 : l->at];
}

static unsigned targets(const struct session_server *srv, const struct leg *l,
                        struct cmd_leg_to *to)
{
	unsigned n = 0;

	for (uint32_t i = srv->sessions[l->session].first; i != NONE && leg_sends(l);
	     i = srv->legs[i].next) {
		const struct leg *const other = &srv->legs[i];

		if (other == l || other->stage != STAGE_LIVE || !leg_receives(other) ||
		    !srv->relay[place(other)->relay].known)
			continue;
		to[n++] = (struct cmd_leg_to){ srv->relay[place(other)->relay].id,
			                       place(other)->port };
	}
	return n;
}

static void sources(const struct leg *l, unsigned base, struct cmd_leg *c)
{
	unsigned n = 0;

	for (unsigned i = l->n_sources; i-- > 0;) {
		const struct source *const s = &l->source[i];

		if (s->base != base || endpoint_equal(&s->at, &l->base[base].peer))
			continue;
		memcpy(c->source[n].ip, s->at.addr.ip, 16);
		c->source[n++].port = s->at.port;
	}
}

static void await(struct session_server *srv, const struct leg *l)
{
	timer_set(srv->timers, srv->setup.legs_max + (uint32_t)(l - srv->legs),
	          srv->now_ms + ACK_MS);
}

/* What is told from now on has a tag of its own. */
static void change(struct session_server *srv, struct leg *l, unsigned base)
{
	struct base *const b = &l->base[base];

	b->peer = l->at == (int)base ? l->peer : (struct endpoint){ .port = 0 };
	b->changed = false;
	b->gen++;
	b->n_asked++;
	await(srv, l);
}

/* Workers move the deadline of a lite leg: it is never set back. */
static uint32_t deadline(const struct session_server *srv, struct leg *l, const struct base *b)
{
	const struct session_world *const w = &srv->setup.world;
	uint32_t s = l->deadline_s;
	struct session_counts c;

	if (!b->peer.port)
		return 0;
	if (!l->full && b->row != ROW_NONE && w->counts(w->arg, b->row, &c) &&
	    c.heard_s + l->patience_s > s)
		s = c.heard_s + l->patience_s;
	l->told_s = s;
	return s;
}

static bool set(struct session_server *srv, struct leg *l, unsigned base)
{
	const struct session_world *const w = &srv->setup.world;
	struct base *const b = &l->base[base];
	const struct relay *const r = &srv->relay[b->relay];
	struct cmd_leg_to to[LEG_TO_MAX + 1];
	const unsigned n_to = targets(srv, l, to);
	struct cmd_leg *c;

	if (!r->known)
		return true;
	c = w->command(w->arg, CMD_LEG, (uint32_t)(sizeof(*c) + n_to * sizeof(to[0])));
	if (!c)
		return false;
	const bool silent = b->state == BASE_SET && !b->changed;

	if (!silent)
		change(srv, l, base);
	*c = (struct cmd_leg){
		.tag = tag_of(srv, l, base),
		.relay = r->id,
		.port = b->port,
		.peer_port = b->peer.port,
		.flags = (uint8_t)((silent ? LEG_SILENT : 0) | (l->answers ? LEG_ANSWERS : 0) |
		                   (ice_role(l->agent) == ICE_CONTROLLING ? LEG_CONTROLLING : 0) |
		                   (l->full ? 0 : LEG_LITE)),
		.n_to = (uint8_t)n_to,
		.deadline_s = deadline(srv, l, b),
		.patience_s = b->peer.port ? l->patience_s : 0,
		.key = { l->key[0], l->key[1] },
	};
	memcpy(c->peer_ip, b->peer.addr.ip, 16);
	sources(l, base, c);
	memcpy(c + 1, to, n_to * sizeof(to[0]));
	b->state = BASE_SET;
	return true;
}

/* It is there no more, or never was. */
static void off(struct session_server *srv, struct leg *l, unsigned base)
{
	struct base *const b = &l->base[base];

	b->state = BASE_OFF;
	b->row = b->old_row = ROW_NONE;
	b->n_leaving = b->n_asked = 0;
	b->peer.port = 0;
	if (l->stage == STAGE_DYING)
		leg_close_base(srv, b);
}

static bool unset(struct session_server *srv, struct leg *l, unsigned base)
{
	const struct session_world *const w = &srv->setup.world;
	struct base *const b = &l->base[base];
	struct cmd_leg *c;

	if (b->state == BASE_DELETING)
		return true;
	if (b->state == BASE_OFF || !srv->relay[b->relay].known) {
		off(srv, l, base);
		return true;
	}
	c = w->command(w->arg, CMD_LEG_DELETE, sizeof(*c));
	if (!c)
		return false;
	*c = (struct cmd_leg){ .tag = tag_of(srv, l, base),
		               .relay = srv->relay[b->relay].id,
		               .port = b->port };
	b->state = BASE_DELETING;
	await(srv, l);
	return true;
}

/* A leg that ends has ended with its last row. */
static void done(struct session_server *srv, uint32_t n)
{
	const struct leg *const l = &srv->legs[n];

	if (l->stage != STAGE_DYING || l->queued)
		return;
	for (unsigned b = 0; b < l->n_bases; b++)
		if (l->base[b].state != BASE_OFF || l->base[b].dirty)
			return;
	life_leg_done(srv, n);
}

/* false: no room. */
static bool tell(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];

	for (unsigned b = 0; b < l->n_bases; b++) {
		if (!l->base[b].dirty)
			continue;
		if (srv->connected &&
		    !(l->stage == STAGE_DYING ? unset(srv, l, b) : set(srv, l, b)))
			return false;
		if (!srv->connected && l->stage == STAGE_DYING)
			off(srv, l, b);
		l->base[b].dirty = l->base[b].changed = false;
	}
	return true;
}

void row_flush(struct session_server *srv)
{
	srv->flush_ms = UINT64_MAX;
	while (srv->dirty_first != NONE) {
		const uint32_t n = srv->dirty_first;

		if (!tell(srv, n)) {
			srv->flush_ms = srv->now_ms + QUEUE_FULL_MS;
			return;
		}
		srv->dirty_first = srv->legs[n].dirty_next;
		if (srv->dirty_first == NONE)
			srv->dirty_last = NONE;
		srv->legs[n].queued = false;
		done(srv, n);
	}
}

bool row_settled(const struct session_server *srv, uint32_t n)
{
	const struct leg *const l = &srv->legs[n];

	for (unsigned b = 0; b < l->n_bases; b++)
		if (l->base[b].dirty || l->base[b].full || l->base[b].n_asked > 0 ||
		    l->base[b].n_leaving > 0)
			return false;
	return true;
}

/* --- what became of them --- */

static void book(struct leg *l, const struct session_counts *c)
{
	l->booked.to_packets += c->to_packets;
	l->booked.to_octets += c->to_octets;
	l->booked.from_packets += c->from_packets;
	l->booked.from_octets += c->from_octets;
	if (c->heard_s > l->booked.heard_s)
		l->booked.heard_s = c->heard_s;
}

static void gone(struct session_server *srv, uint32_t n, unsigned base, const struct punt_row *ev)
{
	const struct session_counts final = { .to_packets = ev->packets,
		                              .to_octets = ev->octets,
		                              .from_packets = ev->from_packets,
		                              .from_octets = ev->from_octets };
	struct leg *const l = &srv->legs[n];
	struct base *const b = &l->base[base];

	if (b->state == BASE_DELETING && (uint32_t)ev->tag == b->gen) {
		book(l, &final);
		off(srv, l, base);
		done(srv, n);
	} else if (ev->status == ROW_DELETED && b->n_leaving > 0) { /* another has its place */
		book(l, &final);
		b->n_leaving--;
		b->old_row = ROW_NONE;
	} else {
		session_stat(srv, SESSION_STAT_ROW_LATE);
	}
}

static void asked(struct base *b)
{
	if (b->n_asked > 0)
		b->n_asked--;
}

static void set_done(struct base *b, const struct punt_row *ev)
{
	asked(b);
	if (b->row != ROW_NONE && b->row != ev->row) {
		b->old_row = b->row;
		b->n_leaving++;
	}
	b->row = ev->row;
}

/* The peer is none it may have, as the data plane sees it, or the port is not its. */
static void refused(struct session_server *srv, uint32_t n, unsigned base)
{
	struct leg *const l = &srv->legs[n];

	session_stat(srv, SESSION_STAT_ROW_REFUSED);
	if (l->stage != STAGE_LIVE || l->base[base].gone)
		return;
	l->base[base].gone = true;
	ice_drop_base(l->agent, srv->now_ms, (int)base);
	media_run(srv, n);
}

void session_on_row(struct session_server *srv, const struct punt_row *ev, uint64_t now_ms)
{
	const uint32_t ref = (uint32_t)(ev->tag >> 32) & 0x0FFFFFFF;
	const uint32_t n = ref / SESSION_ADDRESSES_MAX, base = ref % SESSION_ADDRESSES_MAX;
	const uint32_t gen = (uint32_t)ev->tag;

	life_now(srv, now_ms);
	if (ev->tag >> 60 != SESSION_TAG)
		return;
	if (n >= srv->legs_fresh || srv->legs[n].stage == STAGE_FREE ||
	    base >= srv->legs[n].n_bases ||
	    gen - srv->legs[n].base[base].gen_first >
	            srv->legs[n].base[base].gen - srv->legs[n].base[base].gen_first) {
		session_stat(srv, SESSION_STAT_ROW_LATE);
		return;
	}
	struct base *const b = &srv->legs[n].base[base];

	switch (ev->status) {
	case ROW_OK:
		set_done(b, ev);
		if (!srv->legs[n].full) /* its row may know more than the store did */
			media_run(srv, n);
		break;
	case ROW_DELETED:
	case ROW_UNKNOWN: gone(srv, n, base, ev); break;
	case ROW_FULL:
		session_stat(srv, SESSION_STAT_ROW_FULL);
		asked(b);
		b->full = true;
		timer_set(srv->timers, srv->setup.legs_max + n, srv->now_ms + RETRY_MS);
		break;
	default: asked(b); refused(srv, n, base);
	}
	row_flush(srv);
}

void row_overdue(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];

	for (unsigned i = 0; i < l->n_bases; i++) {
		struct base *const b = &l->base[i];

		if (b->full && l->stage == STAGE_LIVE) {
			b->full = false;
			row_touch(srv, n, (int)i);
		}
		if (b->n_leaving == 0 && b->n_asked == 0 && b->state != BASE_DELETING)
			continue;
		session_stat(srv, SESSION_STAT_ROW_UNANSWERED);
		b->n_leaving = b->n_asked = 0;
		b->old_row = ROW_NONE;
		if (b->state == BASE_DELETING)
			off(srv, l, i);
	}
	done(srv, n);
}

/* --- losing a data plane, and a new one --- */

static void book_live(const struct session_server *srv, struct leg *l, uint32_t row)
{
	const struct session_world *const w = &srv->setup.world;
	struct session_counts c;

	if (row != ROW_NONE && w->counts(w->arg, row, &c))
		book(l, &c);
}

/* Every row is off, with its last counts booked; ends under way are over. */
static void forget_all(struct session_server *srv)
{
	for (uint32_t n = 0; n < srv->legs_fresh; n++) {
		struct leg *const l = &srv->legs[n];

		for (unsigned i = 0; i < l->n_bases; i++) {
			struct base *const b = &l->base[i];

			book_live(srv, l, b->row);
			book_live(srv, l, b->old_row);
			off(srv, l, i);
			b->dirty = b->changed = b->full = false;
		}
	}
	while (srv->dirty_first != NONE) {
		const uint32_t n = srv->dirty_first;

		srv->dirty_first = srv->legs[n].dirty_next;
		srv->legs[n].queued = false;
	}
	srv->dirty_last = NONE;
	for (uint32_t n = 0; n < srv->legs_fresh; n++)
		done(srv, n);
}

void session_on_hangup(struct session_server *srv, uint64_t now_ms)
{
	life_now(srv, now_ms);
	srv->connected = false;
	srv->sync_cursor = NONE;
	srv->flush_ms = UINT64_MAX;
	forget_all(srv);
}

void session_sync(struct session_server *srv, uint64_t now_ms)
{
	session_on_hangup(srv, now_ms);
	srv->connected = true;
	srv->sync_cursor = 0;
}

bool session_sync_step(struct session_server *srv, uint64_t now_ms)
{
	life_now(srv, now_ms);
	for (; srv->sync_cursor < srv->legs_fresh; srv->sync_cursor++) {
		const uint32_t n = srv->sync_cursor;

		if (srv->legs[n].stage != STAGE_LIVE)
			continue;
		row_touch(srv, n, -1);
		row_flush(srv);
		if (srv->dirty_first != NONE)
			return false;
	}
	srv->sync_cursor = NONE;
	return true;
}
