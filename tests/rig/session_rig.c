/* The engine of sessions under test, its data plane, and the other ends of legs. */
#include "tests/rig/session_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ice/sdp.h"
#include "wire/check.h"

static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(2685821657736338717);
}

static void random_octets(void *state, void *out, size_t n)
{
	for (uint8_t *p = out; n > 0; n--)
		*p++ = (uint8_t)(draw(state) >> 56);
}

static void world_random(void *arg, void *out, size_t n)
{
	struct session_rig *const r = arg;

	random_octets(&r->random, out, n);
	if (n == 8 && r->n_same > 0) {
		r->n_same--;
		memset(out, 0, n);
	}
}

static struct endpoint at(const char *text)
{
	struct endpoint e;

	if (!endpoint_parse(text, &e))
		abort();
	return e;
}

/* --- the world --- */

static unsigned relay_of(const struct session_rig *r, const struct addr *a)
{
	return addr_equal(a, &r->relay[0].addr) ? 0 : 1;
}

static bool take_this(void *arg, const struct addr *relay, uint16_t port)
{
	struct session_rig *const r = arg;
	const uint8_t bit = (uint8_t)(1 << relay_of(r, relay));

	if (r->port_taken[port] & bit || r->n_ports == r->ports_max)
		return false;
	r->port_taken[port] |= bit;
	r->n_ports++;
	return true;
}

static uint16_t take_port(void *arg, const struct addr *relay)
{
	struct session_rig *const r = arg;

	for (unsigned i = 0; i < 1000 && r->n_ports < r->ports_max; i++) {
		const uint16_t port = (uint16_t)(49152 + draw(&r->random) % r->port_span);

		if (take_this(r, relay, port))
			return port;
	}
	return 0;
}

static void release_port(void *arg, const struct addr *relay, uint16_t port)
{
	struct session_rig *const r = arg;
	const uint8_t bit = (uint8_t)(1 << relay_of(r, relay));

	if (!(r->port_taken[port] & bit))
		abort();
	r->port_taken[port] &= (uint8_t)~bit;
	r->n_ports--;
}

static bool rows(void *arg, int n)
{
	struct session_rig *const r = arg;

	if (n > 0 && r->rows_left < (unsigned)n)
		return false;
	r->rows_left -= (unsigned)n;
	r->n_rows += (unsigned)n;
	return true;
}

enum { QUEUE = 1024 };

static bool room(void *arg, uint32_t octets)
{
	const struct session_rig *const r = arg;

	(void)octets;
	return r->joined && !r->no_room && r->n_queue < QUEUE / 2;
}

static void *command(void *arg, enum cmd_kind kind, uint32_t octets)
{
	struct session_rig *const r = arg;

	if (!r->joined || r->no_room || r->n_queue == QUEUE)
		return NULL;
	struct sr_command *const c = &r->queue[r->n_queue++];

	if (octets > sizeof(c->body))
		abort();
	c->kind = kind;
	c->octets = octets;
	return c->body;
}

/* 10.0.0.0/8 is denied. */
static bool peer_allowed(void *arg, const struct endpoint *peer)
{
	(void)arg;
	return !addr_is4(&peer->addr) || peer->addr.ip[12] != 10;
}

static bool counts(void *arg, uint32_t row, struct session_counts *out)
{
	const struct session_rig *const r = arg;

	for (unsigned i = 0; i < SR_ROWS; i++)
		if (r->row[i].used && r->row[i].row == row) {
			*out = r->row[i].counts;
			return true;
		}
	return false;
}

/* --- the data plane --- */

struct sr_row *sr_row(struct session_rig *r, uint16_t relay, uint16_t port)
{
	for (unsigned i = 0; i < SR_ROWS; i++)
		if (r->row[i].used && r->row[i].leg.relay == relay && r->row[i].leg.port == port)
			return &r->row[i];
	return NULL;
}

static void tell_row(struct session_rig *r, uint64_t tag, uint32_t row, enum row_status status,
                     const struct session_counts *c)
{
	const struct punt_row ev = {
		.tag = tag,
		.row = row,
		.status = status,
		.packets = c ? c->to_packets : 0,
		.octets = c ? c->to_octets : 0,
		.from_packets = c ? c->from_packets : 0,
		.from_octets = c ? c->from_octets : 0,
	};

	if (!r->deaf)
		session_on_row(r->srv, &ev, net_now(r->net));
}

/* Where the network finds the port; one it knew before comes back. */
static int host_of(struct session_rig *r, unsigned relay, uint16_t port)
{
	const struct endpoint e = { r->advertise[relay].addr, port };

	for (unsigned i = 0; i < r->n_hosts; i++)
		if (r->host[i].relay == relay && r->host[i].port == port) {
			net_kill(r->net, r->host[i].host, false);
			return r->host[i].host;
		}
	if (r->n_hosts == SR_HOSTS)
		abort();
	r->host[r->n_hosts].relay = relay;
	r->host[r->n_hosts].port = port;
	r->host[r->n_hosts].host = net_add_host(r->net, 0, &e, 1000 + (int)r->n_hosts);
	return r->host[r->n_hosts++].host;
}

static struct sr_row *new_row(struct session_rig *r, const struct cmd_leg *c)
{
	for (unsigned i = 0; i < SR_ROWS; i++) {
		struct sr_row *const row = &r->row[i];

		if (row->used)
			continue;
		*row = (struct sr_row){ .used = true };
		row->host = host_of(r, c->relay - r->first_id, c->port);
		return row;
	}
	abort();
}

/* All but tag, deadline and whether an event is wanted: then it is the same row. */
static bool same_leg(const struct sr_row *row, const struct cmd_leg *c)
{
	struct cmd_leg now = *c;

	now.tag = row->leg.tag;
	now.deadline_s = row->leg.deadline_s;
	now.flags = (uint8_t)((c->flags & ~LEG_SILENT) | (row->leg.flags & LEG_SILENT));
	return memcmp(&now, &row->leg, sizeof(now)) == 0 &&
	       memcmp(row->to, c + 1, c->n_to * sizeof(row->to[0])) == 0;
}

static void apply_set(struct session_rig *r, const struct cmd_leg *c, uint32_t octets)
{
	struct sr_row *row = sr_row(r, c->relay, c->port);
	const bool other = row && !same_leg(row, c);

	r->n_set++;
	if (octets != sizeof(*c) + c->n_to * sizeof(struct cmd_leg_to) || c->relay < r->first_id ||
	    c->relay >= r->first_id + 2)
		abort();
	if (r->full || (r->refuse_peer_port && c->peer_port == r->refuse_peer_port)) {
		tell_row(r, c->tag, ROW_NONE, r->full ? ROW_FULL : ROW_REFUSED, NULL);
		r->n_refused++;
		return;
	}
	const struct sr_row old = row ? *row : (struct sr_row){ .used = false };

	if (!row)
		row = new_row(r, c);
	if (!old.used || other) {
		row->row = r->next_row++;
		row->counts = (struct session_counts){ .heard_s = row->counts.heard_s };
	}
	const uint32_t had_s = row->leg.deadline_s;

	row->leg = *c;
	if (old.used && !other && c->patience_s && had_s > c->deadline_s)
		row->leg.deadline_s = had_s; /* workers have heard the peer since */
	row->named = true;
	memcpy(row->to, c + 1, c->n_to * sizeof(row->to[0]));
	if (!(c->flags & LEG_SILENT) || !old.used || other)
		tell_row(r, c->tag, row->row, ROW_OK, NULL);
	if (other)
		tell_row(r, old.leg.tag, old.row, ROW_DELETED, &old.counts);
}

static void apply_delete(struct session_rig *r, const struct cmd_leg *c)
{
	struct sr_row *const row = sr_row(r, c->relay, c->port);

	r->n_deleted++;
	if (!row) {
		tell_row(r, c->tag, ROW_NONE, ROW_UNKNOWN, NULL);
		return;
	}
	net_kill(r->net, row->host, true);
	row->used = false;
	tell_row(r, c->tag, row->row, ROW_DELETED, &row->counts);
}

static void apply_transmit(struct session_rig *r, const struct cmd_transmit *c)
{
	struct sr_row *const row = sr_row(r, c->source, c->source_port);
	struct endpoint to = { .port = c->dest_port };

	r->n_transmit++;
	memcpy(to.addr.ip, c->dest_ip, 16);
	if (row)
		net_send(r->net, row->host, &to, c + 1, c->octets);
}

static void apply(struct session_rig *r, const struct sr_command *c)
{
	const void *const body = c->body;

	switch (c->kind) {
	case CMD_LEG: apply_set(r, body, c->octets); break;
	case CMD_LEG_DELETE: apply_delete(r, body); break;
	case CMD_TRANSMIT: apply_transmit(r, body); break;
	default: abort();
	}
}

static void fetch_events(struct session_rig *r)
{
	struct session_event e;

	while (session_next_event(r->srv, &e)) {
		if (r->n_events < SR_EVENTS)
			r->event[r->n_events++] = e;
		if (e.kind == SESSION_EVENT_CONSENT_LOST && sr_flowing(r, e.session, e.leg))
			r->flowing_at_loss++;
	}
}

void sr_drain(struct session_rig *r)
{
	while (r->n_queue > 0) {
		const unsigned n = r->n_queue;

		for (unsigned i = 0; i < n; i++)
			apply(r, &r->queue[i]);
		memmove(r->queue, r->queue + n, (r->n_queue - n) * sizeof(r->queue[0]));
		r->n_queue -= n;
	}
	fetch_events(r);
}

static bool known_source(const struct sr_row *row, const struct endpoint *from, bool *selected)
{
	*selected = row->leg.peer_port && row->leg.peer_port == from->port &&
	            memcmp(row->leg.peer_ip, from->addr.ip, 16) == 0;
	if (*selected)
		return true;
	for (unsigned i = 0; i < LEG_SOURCES_MAX; i++)
		if (row->leg.source[i].port && row->leg.source[i].port == from->port &&
		    memcmp(row->leg.source[i].ip, from->addr.ip, 16) == 0)
			return true;
	return false;
}

/* What a worker answers by itself: command.h. */
static bool answer(struct session_rig *r, struct sr_row *row, const struct endpoint *from,
                   const struct stun_msg *m)
{
	struct crypto_hmac_sha1 key;
	uint8_t out[CHECK_ANSWER_MAX];
	bool selected, found = false;
	struct check c;

	if (stun_class(m->type) != STUN_REQUEST || !check_read(m, &c))
		return false;
	for (unsigned i = 0; i < LEG_KEYS && !found; i++) {
		const struct cmd_leg_key k = row->leg.key[i];

		if (!k.ufrag_len || !check_is_for(&c, k.ufrag, k.ufrag_len))
			continue;
		memcpy(key.inner, k.inner, sizeof(key.inner));
		memcpy(key.outer, k.outer, sizeof(key.outer));
		found = check_verify(m, &c.marks, &key);
	}
	if (!found || !(row->leg.flags & LEG_ANSWERS) || !c.has_priority || c.unknown ||
	    (row->leg.flags & LEG_CONTROLLING ? c.has_controlling : c.has_controlled) ||
	    !known_source(row, from, &selected) || (!selected && c.use_candidate))
		return false;
	if (selected) {
		row->counts.heard_s = (uint32_t)(net_now(r->net) / 1000);
		if (row->leg.patience_s)
			row->leg.deadline_s = row->counts.heard_s + row->leg.patience_s;
	}
	if (check_judge(&c, &key) != 0)
		return false;
	net_send(r->net, row->host, from, out, check_answer(m->txid, from, &key, out));
	r->n_answered++;
	return true;
}

static void forward(struct session_rig *r, struct sr_row *row, const struct net_arrival *a)
{
	bool selected;

	if (!known_source(row, &a->from, &selected)) {
		r->dropped_media++;
		return;
	}
	row->counts.from_packets++;
	row->counts.from_octets += a->len;
	for (unsigned i = 0; i < row->leg.n_to; i++) {
		struct sr_row *const to = sr_row(r, row->to[i].relay, row->to[i].port);
		struct endpoint peer = { .port = 0 };

		if (!to || !to->leg.peer_port || to->leg.deadline_s <= net_now(r->net) / 1000)
			continue;
		memcpy(peer.addr.ip, to->leg.peer_ip, 16);
		peer.port = to->leg.peer_port;
		to->counts.to_packets++;
		to->counts.to_octets += a->len;
		net_send(r->net, to->host, &peer, a->octets, a->len);
	}
}

static void at_relay(struct session_rig *r, const struct net_arrival *a)
{
	const struct sr_host *const h = &r->host[a->owner - 1000];
	struct sr_row *const row = sr_row(r, (uint16_t)(r->first_id + h->relay), h->port);
	struct stun_msg m;

	if (!row)
		return;
	if (a->len == 0 || a->octets[0] > 3 || !stun_open(a->octets, a->len, &m)) {
		forward(r, row, a);
		return;
	}
	if (answer(r, row, &a->from, &m))
		return;
	struct punt p = {
		.local_kind = LOCAL_RELAY,
		.local = row->leg.relay,
		.local_port = row->leg.port,
		.remote_port = a->from.port,
		.received_ns = net_now(r->net) * 1000000,
		.cookie = 7,
		.octets = (uint32_t)a->len,
	};
	uint8_t *const exact = malloc(a->len);

	memcpy(p.remote_ip, a->from.addr.ip, 16);
	memcpy(exact, a->octets, a->len);
	r->n_punts++;
	if (r->srv)
		session_on_ice(r->srv, &p, exact, a->len, net_now(r->net));
	free(exact);
}

/* --- the other ends --- */

struct sr_peer *sr_peer(struct session_rig *r, uint64_t session, unsigned leg, bool controlling,
                        bool lite, bool six)
{
	struct sr_peer *const p = &r->peer[r->n_peers];
	struct ice_config c = ice_defaults();
	struct ice_base b = { .component = 1, .default_route = true };
	char text[64];

	snprintf(text, sizeof(text), six ? "[fd00:19::%x]:%u" : "198.18.1.%u:%u", 10 + r->n_peers,
	         5000 + r->n_peers);
	*p = (struct sr_peer){
		.session = session, .leg = leg, .at = at(text), .random = 77 + r->n_peers * 1000
	};
	p->host = net_add_host(r->net, r->network, &p->at, (int)r->n_peers);
	c.controlling = controlling;
	c.lite = lite;
	c.random = random_octets;
	c.random_arg = &p->random;
	p->agent = ice_new(&c, net_now(r->net));
	b.at = p->at;
	if (ice_add_base(p->agent, net_now(r->net), &b) != 0)
		abort();
	ice_gather(p->agent, net_now(r->net));
	r->n_peers++;
	return p;
}

enum session_result sr_exchange(struct session_rig *r, struct sr_peer *p)
{
	static struct ice_description d;
	static char text[SESSION_DESCRIPTION_MAX];
	struct session_leg_info info;
	char why[128];

	if (!session_leg(r->srv, p->session, p->leg, &info))
		return SESSION_UNKNOWN;
	if (ice_remote(p->agent, net_now(r->net), info.local) != ICE_OK)
		return SESSION_BAD;
	ice_local(p->agent, &d);
	return session_set_remote(r->srv, p->session, p->leg, text,
	                          sdp_line_print(&d, text, sizeof(text)), net_now(r->net), why);
}

static void poll_peer(struct session_rig *r, struct sr_peer *p)
{
	struct ice_event e;

	while (ice_poll(p->agent, net_now(r->net), &e)) {
		if (e.kind == ICE_EVENT_SEND && !p->silent)
			net_send(r->net, p->host, &e.datagram.to, e.datagram.octets,
			         e.datagram.len);
		if (e.kind == ICE_EVENT_STATE)
			p->state = e.state;
	}
}

bool sr_say(struct session_rig *r, struct sr_peer *p)
{
	struct ice_datagram d;

	if (!ice_send(p->agent, net_now(r->net), 0, 1, "\x80media", 6, &d))
		return false;
	net_send(r->net, p->host, &d.to, d.octets, d.len);
	return true;
}

static void at_peer(struct session_rig *r, struct sr_peer *p, const struct net_arrival *a)
{
	struct ice_data data;

	if (ice_input(p->agent, net_now(r->net), 0, &a->from, a->octets, a->len, &data) ==
	    ICE_DATA) {
		p->data++;
		p->data_from = a->from;
	}
}

/* --- time --- */

static void poll_all(struct session_rig *r)
{
	if (r->srv) {
		if (session_deadline_ms(r->srv) <= net_now(r->net))
			session_on_time(r->srv, net_now(r->net));
		sr_drain(r);
	}
	for (unsigned i = 0; i < r->n_peers; i++)
		poll_peer(r, &r->peer[i]);
}

static uint64_t next_ms(const struct session_rig *r, uint64_t until_ms)
{
	const uint64_t now = net_now(r->net);
	uint64_t next = r->srv ? session_deadline_ms(r->srv) : UINT64_MAX;

	for (unsigned i = 0; i < r->n_peers; i++) {
		const uint64_t ms = ice_next_ms(r->peer[i].agent);

		next = ms < next ? ms : next;
	}
	if (next <= now)
		next = now + 1;
	return next < until_ms ? next : until_ms;
}

void sr_run(struct session_rig *r, uint64_t ms)
{
	const uint64_t until_ms = net_now(r->net) + ms;
	static struct net_arrival a;

	poll_all(r);
	while (net_now(r->net) < until_ms) {
		if (net_next(r->net, next_ms(r, until_ms), &a)) {
			if (a.owner >= 1000)
				at_relay(r, &a);
			else
				at_peer(r, &r->peer[a.owner], &a);
		}
		poll_all(r);
	}
}

/* --- life --- */

static void tables(struct session_rig *r)
{
	struct abi_relay relays[2] = { { .live = 1 }, { .live = 1 } };

	for (unsigned i = 0; i < 2; i++) {
		memcpy(relays[i].ip, r->relay[i].addr.ip, 16);
		memcpy(relays[i].advertise, r->advertise[i].addr.ip, 16);
		relays[i].id = (uint16_t)(r->first_id + i);
	}
	session_set_tables(r->srv, relays, r->n_relays, net_now(r->net));
}

void sr_join(struct session_rig *r)
{
	r->joined = true;
	for (unsigned i = 0; i < SR_ROWS; i++)
		r->row[i].named = false;
	tables(r);
	session_sync(r->srv, net_now(r->net));
	while (!session_sync_step(r->srv, net_now(r->net)))
		sr_drain(r);
	sr_drain(r);
	for (unsigned i = 0; i < SR_ROWS; i++)
		if (r->row[i].used && !r->row[i].named) {
			net_kill(r->net, r->row[i].host, true);
			r->row[i].used = false;
		}
}

void sr_hangup(struct session_rig *r)
{
	r->joined = false;
	r->n_queue = 0;
	session_on_hangup(r->srv, net_now(r->net));
	for (unsigned i = 0; i < SR_ROWS; i++)
		if (r->row[i].used) {
			net_kill(r->net, r->row[i].host, true);
			r->row[i].used = false;
		}
	r->first_id = (uint16_t)(r->first_id + 100);
	fetch_events(r);
}

static void open_store(struct session_rig *r)
{
	bool found;

	if (r->n_records && store_open(&r->setup.store, r->path, r->n_records, &found) != 0)
		abort();
}

unsigned sr_up(struct session_rig *r)
{
	unsigned n;

	open_store(r);
	memset(r->port_taken, 0, sizeof(r->port_taken));
	r->n_ports = r->n_queue = 0;
	r->rows_left += r->n_rows;
	r->n_rows = 0;
	r->srv = session_server_new(&r->setup, net_now(r->net));
	if (!r->srv)
		abort();
	n = session_restore(r->srv, net_now(r->net));
	if (r->joined)
		sr_join(r);
	return n;
}

void sr_down(struct session_rig *r)
{
	session_server_free(r->srv);
	r->srv = NULL;
	if (r->n_records)
		store_close(r->setup.store, true);
	r->setup.store = NULL;
	r->n_queue = 0;
}

void sr_open(struct session_rig *r, sr_tweak *tweak)
{
	const struct net_link link = { .delay_ms = 10 };

	memset(r, 0, sizeof(*r));
	r->net = net_new(1, &link);
	r->queue = calloc(QUEUE, sizeof(*r->queue));
	r->random = 88172645463325252u;
	r->relay[0] = r->advertise[0] = at("198.18.0.9:1");
	r->relay[1] = r->advertise[1] = at("[fd00:18::9]:1");
	r->n_relays = 2;
	r->first_id = SR_RELAY4;
	r->rows_left = SR_ROWS;
	r->ports_max = 20000;
	r->port_span = 16384;
	r->next_row = 1;
	r->setup = (struct session_setup){
		.world = { r, take_port, take_this, release_port, rows, room, command, peer_allowed,
		           counts, world_random },
		.legs_max = 64,
		.ta_ms = 50,
		.patience_s = 30,
		.follow_ms = 2000,
	};
	if (tweak)
		tweak(r);
	r->setup.world.arg = r;
	if (r->n_records)
		snprintf(r->path, sizeof(r->path), "/tmp/turnpike-session-%d", (int)getpid());
	r->joined = true;
	sr_up(r);
}

void sr_close(struct session_rig *r)
{
	session_server_free(r->srv);
	for (unsigned i = 0; i < r->n_peers; i++)
		ice_free(r->peer[i].agent);
	if (r->setup.store)
		store_close(r->setup.store, false);
	net_free(r->net);
	free(r->queue);
}

/* --- what tests ask --- */

uint64_t sr_create(struct session_rig *r, unsigned n, bool full, bool controlling)
{
	struct session_wanted w = { .name = "test", .n_legs = n };
	uint64_t id = 0;
	char why[128];

	for (unsigned i = 0; i < n; i++)
		w.leg[i] = (struct session_leg_wanted){
			.full = full, .controlling = controlling, .ip4 = true, .ip6 = true
		};
	if (session_create(r->srv, &w, net_now(r->net), &id, why) != SESSION_OK)
		return 0;
	sr_drain(r);
	return id;
}

struct sr_row *sr_flowing(struct session_rig *r, uint64_t session, unsigned leg)
{
	struct session_leg_info info;

	if (!session_leg(r->srv, session, leg, &info))
		return NULL;
	for (unsigned i = 0; i < info.local->stream[0].n_candidates; i++) {
		const struct endpoint *const e = &info.local->stream[0].candidate[i].at;
		const uint16_t id = (uint16_t)(r->first_id + (addr_is4(&e->addr) ? 0 : 1));
		struct sr_row *const row = sr_row(r, id, e->port);

		if (row && row->leg.peer_port)
			return row;
	}
	return NULL;
}

const struct session_event *sr_last(const struct session_rig *r, enum session_event_kind kind,
                                    uint64_t session, unsigned leg)
{
	for (unsigned i = r->n_events; i-- > 0;)
		if (r->event[i].kind == kind && r->event[i].session == session &&
		    (leg == 0 || r->event[i].leg == leg))
			return &r->event[i];
	return NULL;
}

unsigned sr_count(const struct session_rig *r, enum session_event_kind kind, uint64_t session,
                  unsigned leg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_events; i++)
		n += r->event[i].kind == kind && r->event[i].session == session &&
		     (leg == 0 || r->event[i].leg == leg);
	return n;
}

uint64_t sr_stat(const struct session_rig *r, const char *name)
{
	const struct session_stat_name *names;
	const uint64_t *values;
	const unsigned n = session_stats(r->srv, &names, &values);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(names[i].name, name) == 0)
			return values[i];
	return UINT64_MAX;
}
