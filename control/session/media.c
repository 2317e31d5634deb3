/* What the agent of a leg tells: where media goes, how long, what has happened. */
#include <string.h>

#include "control/session/record.h"

/* --- where media goes --- */

static void add_row(const struct session_server *srv, uint32_t row, struct session_counts *sum)
{
	const struct session_world *const w = &srv->setup.world;
	struct session_counts c;

	if (row == ROW_NONE || !w->counts(w->arg, row, &c))
		return;
	sum->to_packets += c.to_packets;
	sum->to_octets += c.to_octets;
	sum->from_packets += c.from_packets;
	sum->from_octets += c.from_octets;
	if (c.heard_s > sum->heard_s)
		sum->heard_s = c.heard_s;
}

struct session_counts media_counts(const struct session_server *srv, const struct leg *l)
{
	struct session_counts sum = l->booked;

	for (unsigned b = 0; b < l->n_bases; b++) {
		add_row(srv, l->base[b].row, &sum);
		add_row(srv, l->base[b].old_row, &sum);
	}
	return sum;
}

/*
 * While something is to be decided the agent sees every check: a full one learns from all of them,
 * during a restart the peer nominates anew from where it is already, and a peer that a NAT has
 * moved is heard at one address and no more at the other.
 */
static bool answers(const struct session_server *srv, const struct leg *l)
{
	const enum ice_state state = ice_state(l->agent, NULL);

	if (srv->now_ms < l->watch_ms)
		return false;
	return state == ICE_COMPLETED || state == ICE_DISCONNECTED || (!l->full && !l->peer.port);
}

/* The peer of the selected pair, or of the one before while a restart is under way. */
static struct endpoint peer_now(const struct leg *l, uint64_t until_ms, int8_t *at)
{
	struct ice_selected s;

	*at = l->at;
	if (until_ms == 0)
		return (struct endpoint){ .port = 0 };
	if (!ice_selected(l->agent, 0, 1, &s))
		return l->peer;
	*at = (int8_t)s.base;
	return s.remote.at;
}

static void lost(struct session_server *srv, uint32_t n)
{
	const struct leg *const l = &srv->legs[n];
	struct session_event e = { .kind = SESSION_EVENT_CONSENT_LOST,
		                   .session = srv->sessions[l->session].id,
		                   .leg = l->number };

	e.state = ice_state(l->agent, &e.why);
	if (e.state != ICE_FAILED)
		e.why = ICE_WHY_CONSENT_LOST; /* of the path of before a restart */
	if (e.why != ICE_WHY_CONSENT_LOST && e.why != ICE_WHY_REVOKED)
		return;
	tell_push(srv, &e, n);
	session_stat(srv, SESSION_STAT_CONSENT_LOST);
}

void media_look(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];
	const uint64_t until_ms = ice_send_until_ms(l->agent, 0, 1);
	const uint32_t deadline_s =
		until_ms >= (uint64_t)UINT32_MAX * 1000 ? UINT32_MAX : (uint32_t)(until_ms / 1000);
	const bool may = answers(srv, l), generation = l->generation != ice_generation(l->agent);
	int8_t at;
	const struct endpoint peer = peer_now(l, until_ms, &at);
	const bool moved = at != l->at, other = !endpoint_equal(&peer, &l->peer);
	const bool ended = l->peer.port && !peer.port;
	const bool role = l->controlling != (ice_role(l->agent) == ICE_CONTROLLING);

	if (generation) {
		leg_take_keys(srv, l);
		session_stat(srv, SESSION_STAT_RESTARTS);
	}
	const bool changed = moved || other || generation || role;

	l->unsaved |= changed;
	if (changed || may != l->answers) {
		row_touch(srv, n, -1);
	} else if (peer.port && (l->full ? deadline_s != l->deadline_s : deadline_s > l->told_s)) {
		row_renew(srv, n, at);
		session_stat(srv, SESSION_STAT_RENEWED);
	}
	if (other && l->peer.port && peer.port) {
		l->watch_ms = 0;
		session_stat(srv, SESSION_STAT_MOVED);
	}
	if (peer.port && deadline_s != UINT32_MAX)
		record_heard(srv, n, deadline_s - (l->full ? CONSENT_S : l->patience_s));
	l->peer = peer;
	l->at = at;
	l->answers = may;
	l->deadline_s = deadline_s;
	l->controlling ^= role;
	if (moved && at > 0) /* until now they named the first */
		row_touch_senders(srv, n);
	if (ended)
		lost(srv, n);
}

/* --- what the agent tells --- */

static void add_source(struct session_server *srv, uint32_t n, uint8_t base,
                       const struct endpoint *from)
{
	struct leg *const l = &srv->legs[n];

	for (unsigned i = 0; i < l->n_sources; i++)
		if (l->source[i].base == base && endpoint_equal(&l->source[i].at, from))
			return;
	if (l->n_sources == LEG_SOURCES_MAX)
		memmove(l->source, l->source + 1, --l->n_sources * sizeof(l->source[0]));
	l->source[l->n_sources++] = (struct source){ *from, base };
	if (!l->full && l->peer.port && !endpoint_equal(from, &l->peer) && srv->setup.follow_ms)
		l->watch_ms = srv->now_ms + WATCH_MS;
	row_touch(srv, n, base);
}

static bool is_success(const struct ice_datagram *d)
{
	return d->len >= 20 && d->octets[0] == 0x01 && d->octets[1] == 0x01;
}

static void transmit(struct session_server *srv, uint32_t n, const struct ice_datagram *d)
{
	const struct session_world *const w = &srv->setup.world;
	const struct base *const b = &srv->legs[n].base[d->base];
	const struct relay *const r = &srv->relay[b->relay];
	struct cmd_transmit *c = NULL;

	if (is_success(d)) {
		add_source(srv, n, (uint8_t)d->base, &d->to);
		session_stat(srv, SESSION_STAT_ANSWERED);
	}
	if (srv->connected && r->known)
		c = w->command(w->arg, CMD_TRANSMIT, (uint32_t)(sizeof(*c) + d->len));
	if (!c) {
		session_stat(srv, SESSION_STAT_SEND_FULL);
		return;
	}
	*c = (struct cmd_transmit){
		.source_kind = LOCAL_RELAY,
		.dscp = d->dscp,
		.source = r->id,
		.source_port = b->port,
		.dest_port = d->to.port,
		.cookie = endpoint_equal(&d->to, &srv->cookie_to) ? srv->cookie : 0,
		.octets = (uint32_t)d->len,
	};
	memcpy(c->dest_ip, d->to.addr.ip, 16);
	memcpy(c + 1, d->octets, d->len);
	session_stat(srv, SESSION_STAT_SENT);
}

static void on_event(struct session_server *srv, uint32_t n, const struct ice_event *e)
{
	struct leg *const l = &srv->legs[n];
	struct session_event out = { .session = srv->sessions[l->session].id, .leg = l->number };
	uint32_t behind = NONE;

	switch (e->kind) {
	case ICE_EVENT_SEND: transmit(srv, n, &e->datagram); return;
	case ICE_EVENT_CANDIDATE:
		out.kind = SESSION_EVENT_CANDIDATE;
		out.candidate = e->candidate;
		break;
	case ICE_EVENT_STATE:
		media_look(srv, n); /* its rows go first */
		out.kind = SESSION_EVENT_STATE;
		out.state = e->state;
		out.why = e->why;
		l->state = (uint8_t)e->state;
		if (e->state == ICE_FAILED) {
			behind = n;
			session_stat(srv, SESSION_STAT_FAILED);
		}
		break;
	case ICE_EVENT_SELECTED:
		media_look(srv, n);
		out.kind = SESSION_EVENT_SELECTED;
		out.pair = e->selected;
		session_stat(srv, SESSION_STAT_SELECTED);
		break;
	case ICE_EVENT_GATHERED:
	case ICE_EVENT_STREAM_FAILED:
	case ICE_EVENT_RESTART:
	default: return;
	}
	tell_push(srv, &out, behind);
}

/* What workers have heard in the agent's place. */
static void hear(const struct session_server *srv, struct leg *l)
{
	const struct session_world *const w = &srv->setup.world;
	struct session_counts c;

	if (l->full || !l->peer.port || l->base[l->at].row == ROW_NONE ||
	    !w->counts(w->arg, l->base[l->at].row, &c) || c.heard_s == 0)
		return;
	ice_heard(l->agent, (uint64_t)c.heard_s * 1000);
	if (c.heard_s + l->patience_s > l->told_s)
		l->told_s = c.heard_s + l->patience_s;
}

static uint64_t due_ms(const struct session_server *srv, const struct leg *l)
{
	const uint64_t next = ice_next_ms(l->agent);

	return srv->now_ms < l->watch_ms && l->watch_ms < next ? l->watch_ms : next;
}

void media_run(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];
	struct ice_event e;

	if (l->stage != STAGE_LIVE)
		return;
	hear(srv, l);
	media_look(srv, n);
	row_flush(srv); /* what an answer implies stands before it */
	while (ice_poll(l->agent, srv->now_ms, &e))
		on_event(srv, n, &e);
	media_look(srv, n);
	if (l->unsaved && !record_leg(srv, n))
		session_stat(srv, SESSION_STAT_STORE_FULL);
	l->unsaved = false;
	const uint64_t next_ms = due_ms(srv, l);

	if (next_ms == UINT64_MAX)
		timer_clear(srv->timers, n);
	else
		timer_set(srv->timers, n, next_ms > srv->now_ms ? next_ms : srv->now_ms + 1);
}

void session_on_ice(struct session_server *srv, const struct punt *p, const uint8_t *octets,
                    size_t len, uint64_t now_ms)
{
	struct endpoint from = { .port = p->remote_port };
	struct ice_data data;
	uint32_t ref = 0;

	life_now(srv, now_ms);
	const uint8_t slot = p->local_kind == LOCAL_RELAY ? srv->relay_of_id[p->local] : 0;

	session_stat(srv, SESSION_STAT_CHECKS);
	memcpy(from.addr.ip, p->remote_ip, 16);
	if (slot)
		ref = srv->relay[slot - 1].by_port[p->local_port];
	if (!ref || !from.port) {
		session_stat(srv, SESSION_STAT_DROP_UNKNOWN);
		return;
	}
	if (p->received_ns && p->received_ns + PUNT_STALE_NS < srv->now_ms * 1000000) {
		session_stat(srv, SESSION_STAT_DROP_STALE);
		return;
	}
	if (!srv->setup.world.peer_allowed(srv->setup.world.arg, &from)) {
		session_stat(srv, SESSION_STAT_DROP_SOURCE);
		return;
	}
	const uint32_t n = (ref - 1) / SESSION_ADDRESSES_MAX;

	srv->cookie = p->cookie;
	srv->cookie_to = from;
	if (ice_input(srv->legs[n].agent, srv->now_ms, (int)((ref - 1) % SESSION_ADDRESSES_MAX),
	              &from, octets, len, &data) != ICE_TAKEN)
		session_stat(srv, SESSION_STAT_DROP_REFUSED);
	media_run(srv, n);
	srv->cookie = 0;
	row_flush(srv);
}
