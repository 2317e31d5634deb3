/* A leg: its agent, and what the agent tells. */
#include <string.h>

#include "control/session/parts.h"
#include "crypto.h"

/* --- made and ended --- */

static uint32_t take(struct session_server *srv)
{
	uint32_t n = srv->legs_spare;

	if (n != NONE)
		srv->legs_spare = srv->legs[n].next;
	else if (srv->legs_fresh < srv->setup.legs_max)
		n = srv->legs_fresh++;
	return n;
}

/* Tags of an earlier leg of the place mean nothing to the next. */
static void clear(struct leg *l)
{
	uint32_t gen[SESSION_ADDRESSES_MAX];

	for (unsigned b = 0; b < SESSION_ADDRESSES_MAX; b++)
		gen[b] = l->base[b].gen + 1;
	crypto_wipe(l, sizeof(*l));
	for (unsigned b = 0; b < SESSION_ADDRESSES_MAX; b++)
		l->base[b].gen = l->base[b].gen_first = gen[b];
	l->session = l->next = l->dirty_next = NONE;
	l->at = -1;
}

void leg_give(struct session_server *srv, uint32_t n)
{
	clear(&srv->legs[n]);
	timer_clear(srv->timers, n);
	timer_clear(srv->timers, srv->setup.legs_max + n);
	srv->legs[n].next = srv->legs_spare;
	srv->legs_spare = n;
}

static bool take_base(struct session_server *srv, uint32_t n, uint8_t slot, uint16_t port)
{
	const struct session_world *const w = &srv->setup.world;
	struct leg *const l = &srv->legs[n];
	struct base *const b = &l->base[l->n_bases];

	if (!w->rows(w->arg, ROWS_BASE))
		return false;
	if (port == 0)
		port = w->take_port(w->arg, &srv->relay[slot].addr);
	if (port == 0) {
		w->rows(w->arg, -ROWS_BASE);
		return false;
	}
	b->port = port;
	b->relay = slot;
	b->row = b->old_row = ROW_NONE;
	srv->relay[slot].by_port[port] = 1 + n * SESSION_ADDRESSES_MAX + l->n_bases++;
	return true;
}

void leg_close_base(struct session_server *srv, struct base *b)
{
	const struct session_world *const w = &srv->setup.world;

	if (!b->port)
		return;
	w->release_port(w->arg, &srv->relay[b->relay].addr, b->port);
	w->rows(w->arg, -ROWS_BASE);
	b->port = 0;
}

static struct ice_agent *make_agent(struct session_server *srv, const struct leg *l,
                                    bool controlling)
{
	struct ice_config c = ice_defaults();
	struct ice_agent *a;

	c.lite = !l->full;
	c.controlling = l->full && controlling;
	c.ta_ms = srv->setup.ta_ms;
	c.allow_loopback = true; /* the relay's addresses are the operator's choice */
	c.random = srv->setup.world.random;
	c.random_arg = srv->setup.world.arg;
	a = ice_new(&c, srv->now_ms);
	for (unsigned i = 0; a && i < l->n_bases; i++) {
		const struct base *const b = &l->base[i];
		const struct ice_base is = {
			.component = 1,
			/* Whoever is told another address than the one here sends there. */
			.at = { srv->relay[b->relay].advertise, b->port },
			.default_route = true,
		};

		if (ice_add_base(a, srv->now_ms, &is) != (int)i) {
			ice_free(a);
			return NULL;
		}
	}
	if (a)
		ice_gather(a, srv->now_ms);
	return a;
}

static void link_leg(struct session_server *srv, uint32_t n)
{
	struct session *const s = &srv->sessions[srv->legs[n].session];
	uint32_t *at = &s->first;

	while (*at != NONE)
		at = &srv->legs[*at].next;
	*at = n;
	srv->legs[n].number = ++s->n_legs;
	srv->n_legs++;
}

static void unlink_leg(struct session_server *srv, uint32_t n)
{
	struct session *const s = &srv->sessions[srv->legs[n].session];
	uint32_t *at = &s->first;

	while (*at != n)
		at = &srv->legs[*at].next;
	*at = srv->legs[n].next;
	s->n_legs--;
	srv->n_legs--;
}

/* ICE-054 and the keys by which workers know checks. */
static void take_keys(struct session_server *srv, struct leg *l)
{
	const struct ice_stream_description *const d = &srv->ours->stream[0];
	struct cmd_leg_key *const k = &l->key[0];
	struct crypto_hmac_sha1 key;

	ice_local(l->agent, srv->ours);
	if (k->ufrag_len)
		l->key[1] = l->key[0];
	*k = (struct cmd_leg_key){ .ufrag_len = (uint32_t)strlen(d->ufrag) };
	memcpy(k->ufrag, d->ufrag, k->ufrag_len);
	crypto_hmac_sha1_key(&key, d->pwd, strlen(d->pwd));
	memcpy(k->inner, key.inner, sizeof(k->inner));
	memcpy(k->outer, key.outer, sizeof(k->outer));
	crypto_wipe(&key, sizeof(key));
	l->generation = (uint16_t)ice_generation(l->agent);
}

uint32_t leg_make(struct session_server *srv, uint32_t session, const struct leg_plan *plan,
                  const char **why)
{
	const uint32_t n = take(srv);
	struct leg *const l = n != NONE ? &srv->legs[n] : NULL;

	if (!l) {
		*why = "as many legs as the relay is configured for are there already";
		return NONE;
	}
	clear(l);
	l->stage = STAGE_LIVE;
	l->session = session;
	l->full = plan->wanted.full;
	l->direction = (uint8_t)plan->wanted.direction;
	link_leg(srv, n);
	for (unsigned i = 0; i < plan->n_bases; i++)
		if (!take_base(srv, n, plan->relay[i], plan->port[i])) {
			*why = "no relayed port or no row of the data plane is left";
			leg_undo(srv, n);
			return NONE;
		}
	l->agent = make_agent(srv, l, plan->wanted.controlling);
	if (!l->agent) {
		*why = "no memory for another leg";
		leg_undo(srv, n);
		return NONE;
	}
	take_keys(srv, l);
	return n;
}

static void unhear(struct session_server *srv, struct leg *l)
{
	for (unsigned b = 0; b < l->n_bases; b++)
		srv->relay[l->base[b].relay].by_port[l->base[b].port] = 0;
}

void leg_undo(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];

	ice_free(l->agent);
	l->agent = NULL;
	unhear(srv, l);
	for (unsigned b = 0; b < l->n_bases; b++)
		leg_close_base(srv, &l->base[b]);
	unlink_leg(srv, n);
	leg_give(srv, n);
}

void leg_end(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];

	ice_free(l->agent);
	l->agent = NULL;
	l->stage = STAGE_DYING;
	unhear(srv, l);
	timer_clear(srv->timers, n);
	srv->n_legs--;
	row_touch(srv, n, -1);
}

/* --- where media goes --- */

struct session_counts leg_counts(const struct session_server *srv, const struct leg *l)
{
	const struct session_world *const w = &srv->setup.world;
	struct session_counts sum = l->booked, c;

	for (unsigned b = 0; b < l->n_bases; b++) {
		if (l->base[b].row == ROW_NONE || !w->counts(w->arg, l->base[b].row, &c))
			continue;
		sum.to_packets += c.to_packets;
		sum.to_octets += c.to_octets;
		sum.from_packets += c.from_packets;
		sum.from_octets += c.from_octets;
		if (c.heard_s > sum.heard_s)
			sum.heard_s = c.heard_s;
	}
	return sum;
}

/*
 * While something is to be decided the agent sees every check: a full one learns from all of them,
 * and during a restart the peer nominates anew from where it is already.
 */
static bool answers(const struct leg *l)
{
	const enum ice_state state = ice_state(l->agent, NULL);

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

void leg_look(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];
	const uint64_t until_ms = ice_send_until_ms(l->agent, 0, 1);
	const uint32_t deadline_s =
		until_ms >= (uint64_t)UINT32_MAX * 1000 ? UINT32_MAX : (uint32_t)(until_ms / 1000);
	const bool may = answers(l), generation = l->generation != ice_generation(l->agent);
	int8_t at;
	const struct endpoint peer = peer_now(l, until_ms, &at);
	const bool moved = at != l->at, other = !endpoint_equal(&peer, &l->peer);
	const bool ended = l->peer.port && !peer.port;

	if (generation) {
		take_keys(srv, l);
		session_stat(srv, SESSION_STAT_RESTARTS);
	}
	if (moved || other || generation || may != l->answers) {
		row_touch(srv, n, -1);
	} else if (deadline_s != l->deadline_s && peer.port) {
		row_touch(srv, n, at);
		session_stat(srv, SESSION_STAT_RENEWED);
	}
	l->peer = peer;
	l->at = at;
	l->answers = may;
	l->deadline_s = deadline_s;
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
		leg_look(srv, n); /* its rows go first */
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
		leg_look(srv, n);
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

void leg_run(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];
	struct ice_event e;

	if (l->stage != STAGE_LIVE)
		return;
	leg_look(srv, n);
	row_flush(srv); /* what an answer implies stands before it */
	while (ice_poll(l->agent, srv->now_ms, &e))
		on_event(srv, n, &e);
	leg_look(srv, n);
	const uint64_t next_ms = ice_next_ms(l->agent);

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
	leg_run(srv, n);
	srv->cookie = 0;
	row_flush(srv);
}
