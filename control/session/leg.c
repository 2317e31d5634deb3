/* A leg: its agent, and what the agent tells. */
#include <string.h>

#include "control/session/record.h"
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
	else if (!w->take_this(w->arg, &srv->relay[slot].addr, port))
		port = 0;
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

static uint64_t hash_ufrag(const struct session_server *srv, const char ufrag[LEG_UFRAG_MAX])
{
	uint64_t words[LEG_UFRAG_MAX / 8];

	memcpy(words, ufrag, sizeof(words));
	return index_hash(&srv->by_ufrag, words, LEG_UFRAG_MAX / 8);
}

/* ICE-054. */
static bool ufrag_taken(void *arg, const char *ufrag)
{
	const struct session_server *const srv = arg;
	char padded[LEG_UFRAG_MAX] = "";

	memcpy(padded, ufrag, strnlen(ufrag, sizeof(padded)));
	for (uint32_t n = index_first(&srv->by_ufrag, hash_ufrag(srv, padded)); n != NONE;
	     n = index_after(&srv->by_ufrag, n))
		if (memcmp(srv->legs[n].key[0].ufrag, padded, sizeof(padded)) == 0)
			return true;
	return false;
}

static struct ice_config config_of(struct session_server *srv, const struct leg *l,
                                   bool controlling)
{
	struct ice_config c = ice_defaults_leg(!l->full);

	c.controlling = l->full && controlling;
	c.ta_ms = srv->setup.ta_ms;
	c.patience_ms = l->full ? 0 : srv->setup.patience_s * 1000;
	c.follow_ms = srv->setup.follow_ms;
	c.allow_loopback = true; /* the relay's addresses are the operator's choice */
	c.random = srv->setup.world.random;
	c.random_arg = srv->setup.world.arg;
	c.taken = ufrag_taken;
	c.taken_arg = srv;
	c.pacer = &srv->pacer;
	return c;
}

/* In the form that peers are told and reach: which it is here, only rows know. */
static struct ice_base base_of(const struct session_server *srv, const struct base *b)
{
	return (struct ice_base){ .component = 1,
		                  .at = { srv->relay[b->relay].advertise, b->port },
		                  .default_route = true };
}

static struct ice_agent *make_agent(struct session_server *srv, const struct leg *l,
                                    bool controlling)
{
	const struct ice_config c = config_of(srv, l, controlling);
	struct ice_agent *const a = ice_new(&c, srv->now_ms);

	for (unsigned i = 0; a && i < l->n_bases; i++) {
		const struct ice_base is = base_of(srv, &l->base[i]);

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

static void unindex(struct session_server *srv, struct leg *l)
{
	if (l->indexed)
		index_remove(&srv->by_ufrag, hash_ufrag(srv, l->key[0].ufrag),
		             (uint32_t)(l - srv->legs));
	l->indexed = false;
}

static void take_key(const struct leg *l, bool before, struct cmd_leg_key *k)
{
	struct ice_key key;

	*k = (struct cmd_leg_key){ .ufrag_len = 0 };
	if (!ice_local_key(l->agent, 0, before, &key))
		return;
	k->ufrag_len = (uint32_t)strnlen(key.ufrag, LEG_UFRAG_MAX);
	memcpy(k->ufrag, key.ufrag, k->ufrag_len);
	memcpy(k->inner, key.key.inner, sizeof(k->inner));
	memcpy(k->outer, key.key.outer, sizeof(k->outer));
	crypto_wipe(&key, sizeof(key));
}

/* The keys by which workers know checks, of both generations. */
static void take_keys(struct session_server *srv, struct leg *l)
{
	unindex(srv, l);
	take_key(l, false, &l->key[0]);
	take_key(l, true, &l->key[1]);
	l->generation = (uint16_t)ice_generation(l->agent);
	index_add(&srv->by_ufrag, hash_ufrag(srv, l->key[0].ufrag), (uint32_t)(l - srv->legs));
	l->indexed = true;
}

/* With its ports, without an agent. */
static uint32_t begin(struct session_server *srv, uint32_t session, const struct leg_plan *plan,
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
	l->patience_s = l->full ? 0 : srv->setup.patience_s;
	link_leg(srv, n);
	for (unsigned i = 0; i < plan->n_bases; i++)
		if (!take_base(srv, n, plan->relay[i], plan->port[i])) {
			*why = "no relayed port or no row of the data plane is left";
			leg_undo(srv, n);
			return NONE;
		}
	return n;
}

static uint32_t finish(struct session_server *srv, uint32_t n, const char **why)
{
	if (!srv->legs[n].agent) {
		*why = "no memory for another leg";
		leg_undo(srv, n);
		return NONE;
	}
	take_keys(srv, &srv->legs[n]);
	srv->legs[n].controlling = ice_role(srv->legs[n].agent) == ICE_CONTROLLING;
	return n;
}

uint32_t leg_make(struct session_server *srv, uint32_t session, const struct leg_plan *plan,
                  const char **why)
{
	const uint32_t n = begin(srv, session, plan, why);
	struct leg *const l = n != NONE ? &srv->legs[n] : NULL;

	if (!l)
		return NONE;
	l->agent = make_agent(srv, l, plan->wanted.controlling);
	return finish(srv, n, why);
}

size_t leg_save(const struct leg *l, void *out, size_t cap)
{
	return ice_save(l->agent, out, cap);
}

/*
 * When its peer last consented, as far as is known: of a lite leg the row will show it, so that it
 * gets a little more time than the record says.
 */
static uint64_t heard_ms(const struct session_server *srv, const struct leg *l,
                         const struct image *image)
{
	const uint64_t known = (uint64_t)image->heard_s * 1000;
	const uint64_t spent = (uint64_t)l->patience_s * 1000 - GRANT_MS;
	const uint64_t granted = srv->now_ms > spent ? srv->now_ms - spent : 0;

	return l->full || l->patience_s * 1000 <= GRANT_MS || known > granted ? known : granted;
}

uint32_t leg_restore(struct session_server *srv, uint32_t session, const struct image *image)
{
	struct ice_base bases[SESSION_ADDRESSES_MAX];
	const char *why;
	const uint32_t n = begin(srv, session, &image->plan, &why);
	struct leg *const l = n != NONE ? &srv->legs[n] : NULL;

	if (!l)
		return NONE;
	const struct ice_config c = config_of(srv, l, false);

	for (unsigned i = 0; i < l->n_bases; i++)
		bases[i] = base_of(srv, &l->base[i]);
	l->agent = ice_resume(&c, bases, l->n_bases, image->agent, image->agent_len,
	                      heard_ms(srv, l, image), srv->now_ms);
	if (finish(srv, n, &why) == NONE)
		return NONE;
	l->has_remote = image->has_remote;
	l->heard_s = image->heard_s;
	l->state = (uint8_t)ice_state(l->agent, NULL);
	session_stat(srv, ice_selected(l->agent, 0, 1, &(struct ice_selected){ .base = 0 })
	                          ? SESSION_STAT_RESTORED
	                          : SESSION_STAT_REMADE);
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
	unindex(srv, l);
	record_leg_free(srv, n);
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
	unindex(srv, l);
	l->stage = STAGE_DYING;
	unhear(srv, l);
	timer_clear(srv->timers, n);
	srv->n_legs--;
	row_touch(srv, n, -1);
}

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

struct session_counts leg_counts(const struct session_server *srv, const struct leg *l)
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

void leg_look(struct session_server *srv, uint32_t n)
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
		take_keys(srv, l);
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

void leg_run(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];
	struct ice_event e;

	if (l->stage != STAGE_LIVE)
		return;
	hear(srv, l);
	leg_look(srv, n);
	row_flush(srv); /* what an answer implies stands before it */
	while (ice_poll(l->agent, srv->now_ms, &e))
		on_event(srv, n, &e);
	leg_look(srv, n);
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
	leg_run(srv, n);
	srv->cookie = 0;
	row_flush(srv);
}
