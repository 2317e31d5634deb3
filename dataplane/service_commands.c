/*
 * What control asks: every field is checked before anything changes (design 3, "commands cannot
 * hurt"). A record that no right control writes is counted and ends the connection; what control
 * may ask in good faith, because it has not heard yet of a reload, is refused by a row event.
 */
#include "dataplane/service_state.h"

#include <arpa/inet.h>

#include "dataplane/datagram.h"
#include "dataplane/flow_leg.h"
#include "dataplane/punt.h"
#include "dataplane/slow.h"
#include "log.h"
#include "wire/turn.h"

enum { SYNC_BUDGET = 64, DEADLINE_MAX_S = 7 * 86400, FINALS = 64 };

enum verdict {
	DONE,
	INVALID, /* disconnects */
	LATER,   /* not now: the command is asked again in the next turn */
};

/* --- rows --- */

static bool unicast(const struct addr *a)
{
	static const struct addr zero;

	if (addr_is4(a))
		return a->ip[12] != 0 && a->ip[12] < 224;
	return a->ip[0] != 0xFF && !addr_equal(a, &zero);
}

/* Ours, or the broadcast address of a network of ours. */
static bool own(const struct service *s, const struct addr *a)
{
	uint64_t half[2];

	memcpy(half, a->ip, sizeof(half));
	return local_probe(s->dp->local, local_home(half[0], half[1]), a) != NULL ||
	       local_relay_of(s->dp->local, a) != LOCAL_NONE;
}

static bool is_allocation(unsigned kind)
{
	return kind == FLOW_ALLOCATION4 || kind == FLOW_ALLOCATION6;
}

/* What holds of a flow's name, for SET and DELETE. */
static bool key_right(const struct service *s, const struct cmd_flow *c)
{
	struct addr client;

	memcpy(client.ip, c->client_ip, 16);
	if (!is_allocation(c->kind) && c->kind != FLOW_CHANNEL && c->kind != FLOW_PERMISSION)
		return false;
	if (c->listener >= s->dp->local->n_listeners || c->client_port == 0 || !unicast(&client) ||
	    (c->flags & ~FLOW_FLAG_SILENT) || c->reserved)
		return false;
	if (addr_family(&client) != addr_family(&s->dp->local->listener[c->listener].at.addr))
		return false;
	return c->kind != FLOW_CHANNEL ||
	       (c->channel >= CHANNEL_MIN && c->channel <= CHANNEL_MAX_5766);
}

static bool deadline_right(const struct service *s, uint32_t deadline_s)
{
	return deadline_s <= s->self.now_s + DEADLINE_MAX_S;
}

static bool set_right(const struct service *s, const struct cmd_flow *c)
{
	struct addr peer;

	if (!key_right(s, c) || !deadline_right(s, c->deadline_s))
		return false;
	if (is_allocation(c->kind)) {
		if (c->relay >= s->dp->local->n_relays)
			return false;
		const struct local_relay *r = &s->dp->local->relay[c->relay];

		return addr_family(&r->addr) == c->kind && c->relayed_port != 0;
	}
	memcpy(peer.ip, c->peer_ip, 16);
	if (c->kind == FLOW_PERMISSION)
		return true;
	return c->peer_port != 0 && deadline_right(s, c->deadline_in_s);
}

/*
 * TURN-214, TURN-215: of our own addresses only relayed ones are peers; everybody else is judged
 * by the policy (TURN-217). *turned: the datagrams turn round inside.
 */
static bool peer_allowed(const struct service *s, const struct cmd_flow *c, bool *turned)
{
	const struct local_table *local = s->dp->local;
	struct addr peer;

	memcpy(peer.ip, c->peer_ip, 16);
	*turned = c->kind == FLOW_CHANNEL ? local_relay_at(local, &peer, c->peer_port) != LOCAL_NONE
	                                  : local_relay_of(local, &peer) != LOCAL_NONE;
	if (*turned)
		return true;
	return !own(s, &peer) && policy_check(&s->policy, &peer) == POLICY_OK;
}

/* In good faith, but what is meant is gone or denied. */
static bool set_allowed(const struct service *s, const struct cmd_flow *c, bool *turned)
{
	const struct local_table *local = s->dp->local;
	struct addr client;

	*turned = false;
	memcpy(client.ip, c->client_ip, 16);
	if (!local->listener[c->listener].live || own(s, &client))
		return false;
	if (is_allocation(c->kind)) {
		const struct local_relay *r = &local->relay[c->relay];

		return r->live && c->relayed_port >= r->port_min && c->relayed_port <= r->port_max;
	}
	if (c->kind == FLOW_CHANNEL && c->channel > CHANNEL_MAX && !s->dp->cfg->rfc5766_channels)
		return false;
	return peer_allowed(s, c, turned);
}

static void row_event(struct service *s, const struct cmd_flow *c, uint32_t row,
                      enum row_status status)
{
	const struct punt_row ev = { .tag = c->tag, .row = row, .status = status };

	service_event(s, PUNT_ROW, &ev);
}

static enum verdict set(struct service *s, const struct cmd_flow *c)
{
	static const enum row_status status[] = {
		[FLOW_OK] = ROW_OK,
		[FLOW_FULL] = ROW_FULL,
		[FLOW_NO_PARENT] = ROW_NO_PARENT,
		[FLOW_UNKNOWN] = ROW_REFUSED,
	};
	struct addr towards;
	uint32_t row = ROW_NONE;
	bool turned;

	if (!set_right(s, c))
		return INVALID;
	if (!set_allowed(s, c, &turned)) {
		row_event(s, c, ROW_NONE, ROW_REFUSED);
		return DONE;
	}
	memcpy(towards.ip, is_allocation(c->kind) ? c->client_ip : c->peer_ip, 16);
	/* A datagram that turns round has no next hop of its own. */
	const uint16_t adjacency = turned ? ADJACENCY_NONE : route_adjacency(s->route, &towards);
	const enum flow_result result =
		flow_set(s->dp->flows, c, adjacency, turned, s->dp->cfg->strict_permissions, &row);

	if (result != FLOW_OK && adjacency != ADJACENCY_NONE)
		route_release(s->route, adjacency);
	if (result == FLOW_FULL)
		stat_add(s->self.stats, STAT_CMD_TABLE_FULL, 1);
	if (result != FLOW_OK || !(c->flags & FLOW_FLAG_SILENT))
		row_event(s, c, result == FLOW_OK ? row : ROW_NONE, status[result]);
	return DONE;
}

static enum verdict delete (struct service *s, const struct cmd_flow *c) {
	uint16_t adjacency;

	if (!key_right(s, c)) return INVALID;
	if (flow_delete(s->dp->flows, c, c->tag, &adjacency) != FLOW_OK)
		row_event(s, c, ROW_NONE, ROW_UNKNOWN);
	else s->deletes++;
	return DONE;
}

/* --- legs of ICE sessions --- */

static bool leg_key_right(const struct service *s, const struct cmd_leg *c)
{
	return c->relay < s->dp->local->n_relays && c->port != 0;
}

static bool leg_address_right(const struct service *s, const struct cmd_leg *c,
                              const uint8_t ip[16])
{
	struct addr a;

	memcpy(a.ip, ip, 16);
	return unicast(&a) && addr_family(&a) == addr_family(&s->dp->local->relay[c->relay].addr);
}

static bool leg_right(const struct service *s, const struct cmd_leg *c, uint32_t octets)
{
	const struct cmd_leg_to *const to = (const struct cmd_leg_to *)(const void *)(c + 1);

	if (octets < sizeof(*c) || octets != sizeof(*c) + c->n_to * sizeof(*to) ||
	    !leg_key_right(s, c) || c->n_to > LEG_TO_MAX ||
	    (c->flags & ~(LEG_SILENT | LEG_ANSWERS | LEG_CONTROLLING | LEG_LITE)) ||
	    (c->deadline_s != UINT32_MAX && !deadline_right(s, c->deadline_s)) ||
	    c->patience_s > DEADLINE_MAX_S ||
	    (c->peer_port != 0 && !leg_address_right(s, c, c->peer_ip)))
		return false;
	for (unsigned i = 0; i < LEG_SOURCES_MAX; i++)
		if (c->source[i].port != 0 && !leg_address_right(s, c, c->source[i].ip))
			return false;
	for (unsigned i = 0; i < LEG_KEYS; i++)
		if (c->key[i].ufrag_len > LEG_UFRAG_MAX)
			return false;
	for (unsigned i = 0; i < c->n_to; i++)
		if (to[i].relay >= s->dp->local->n_relays || to[i].port == 0)
			return false;
	return true;
}

/* As of channels: of our own addresses only relayed ones are peers. */
static bool leg_allowed(const struct service *s, const struct cmd_leg *c, bool *turned)
{
	const struct local_relay *const r = &s->dp->local->relay[c->relay];
	struct addr peer;

	memcpy(peer.ip, c->peer_ip, 16);
	*turned = c->peer_port != 0 &&
	          local_relay_at(s->dp->local, &peer, c->peer_port) != LOCAL_NONE;
	return r->live && c->port >= r->port_min && c->port <= r->port_max &&
	       (c->peer_port == 0 || *turned ||
	        (!own(s, &peer) && policy_check(&s->policy, &peer) == POLICY_OK));
}

static enum verdict leg_set(struct service *s, const struct cmd_leg *c, uint32_t octets)
{
	static const enum row_status status[] = {
		[FLOW_OK] = ROW_OK, [FLOW_FULL] = ROW_FULL, [FLOW_UNKNOWN] = ROW_REFUSED
	};
	struct punt_row ev = { .tag = c->tag, .row = ROW_NONE, .status = ROW_REFUSED };
	enum flow_result result = FLOW_UNKNOWN;
	uint16_t adjacency = ADJACENCY_NONE;
	bool fresh = false, turned;
	struct addr peer;

	if (!leg_right(s, c, octets))
		return INVALID;
	memcpy(peer.ip, c->peer_ip, 16);
	const bool had = flow_leg_at(s->dp->flows, c->relay, htons(c->port)) != NULL;

	if (leg_allowed(s, c, &turned)) {
		if (c->peer_port != 0 && !turned)
			adjacency = route_adjacency(s->route, &peer);
		result = flow_leg_set(s->dp->flows, c,
		                      (const struct cmd_leg_to *)(const void *)(c + 1), adjacency,
		                      turned, &ev.row, &fresh);
	}
	if (result != FLOW_OK && adjacency != ADJACENCY_NONE)
		route_release(s->route, adjacency);
	if (result == FLOW_FULL)
		stat_add(s->self.stats, STAT_CMD_TABLE_FULL, 1);
	ev.status = status[result];
	if (result != FLOW_OK || fresh || !(c->flags & LEG_SILENT))
		service_event(s, PUNT_ROW, &ev);
	s->deletes += fresh && had;
	return DONE;
}

static enum verdict leg_delete(struct service *s, const struct cmd_leg *c, uint32_t octets)
{
	const struct punt_row ev = { .tag = c->tag, .row = ROW_NONE, .status = ROW_UNKNOWN };

	if (octets != sizeof(*c) || !leg_key_right(s, c))
		return INVALID;
	if (flow_leg_delete(s->dp->flows, c) != FLOW_OK)
		service_event(s, PUNT_ROW, &ev);
	else
		s->deletes++;
	return DONE;
}

unsigned service_finals(struct service *s)
{
	struct flow_final final[FINALS];
	unsigned total = 0, n;

	do {
		if (!service_event_room(s, FINALS))
			break;
		n = flow_reclaim(s->dp->flows, final, FINALS);
		for (unsigned i = 0; i < n; i++) {
			const struct flow_final *f = &final[i];

			if (f->adjacency != ADJACENCY_NONE)
				route_release(s->route, f->adjacency);
			if (f->row == ROW_NONE)
				continue;
			s->deletes -= s->deletes > 0;
			if (f->tag == 0)
				continue;
			const struct punt_row ev = { .tag = f->tag,
				                     .row = f->row,
				                     .status = ROW_DELETED,
				                     .packets = f->packets,
				                     .octets = f->octets,
				                     .from_packets = f->from_packets,
				                     .from_octets = f->from_octets };

			service_event(s, PUNT_ROW, &ev);
		}
		total += n;
	} while (n == FINALS);
	return total;
}

/* --- transmissions --- */

/* Listener or relayed address, or false. */
static bool transmit_source(const struct service *s, const struct cmd_transmit *c,
                            struct endpoint *src, bool *live)
{
	const struct local_table *local = s->dp->local;

	if (c->source_kind == LOCAL_LISTENER) {
		if (c->source >= local->n_listeners)
			return false;
		*src = local->listener[c->source].at;
		*live = local->listener[c->source].live;
		return true;
	}
	if (c->source_kind != LOCAL_RELAY || c->source >= local->n_relays)
		return false;
	const struct local_relay *r = &local->relay[c->source];

	*src = (struct endpoint){ r->addr, c->source_port };
	*live = r->live && c->source_port >= r->port_min && c->source_port <= r->port_max;
	return true;
}

static enum verdict transmit(struct service *s, const struct cmd_transmit *c, uint32_t octets)
{
	struct rte_mbuf *m[DATAGRAM_PIECES_MAX];
	struct punt_cookie cookie = { .worker = UINT16_MAX };
	struct datagram d = { .ttl = DATAGRAM_TTL };
	unsigned n;
	bool live;

	if (octets < sizeof(*c) || c->octets != octets - sizeof(*c) || c->octets > CMD_OCTETS_MAX ||
	    c->dscp > 63 || c->dest_port == 0 || c->reserved ||
	    !transmit_source(s, c, &d.src, &live))
		return INVALID;
	memcpy(d.dst.addr.ip, c->dest_ip, 16);
	d.dst.port = c->dest_port;
	const bool inside = own(s, &d.dst.addr);

	if (!unicast(&d.dst.addr) || (inside && c->source_kind != LOCAL_RELAY) ||
	    addr_family(&d.dst.addr) != addr_family(&d.src.addr) ||
	    (c->cookie && !punt_cookie_read(s->dp, c->cookie, &cookie)))
		return INVALID;
	if (!live) /* a reload took it away meanwhile */
		return DONE;
	d.tos = (uint8_t)(c->dscp << 2);
	d.data = (const uint8_t *)(c + 1);
	d.data_len = c->octets;
	if (inside) {
		const enum stat_id drop = slow_transmit(&s->self, s->dp->ports, c->source,
		                                        c->source_port, &d, worker_send);

		stat_add(s->self.stats, drop == STAT_COUNT ? STAT_TRANSMITTED : drop, 1);
		return DONE;
	}
	const uint16_t adjacency = route_adjacency(s->route, &d.dst.addr);

	if (adjacency == ADJACENCY_NONE) {
		stat_add(s->self.stats, STAT_NO_ROUTE, 1);
		return DONE;
	}
	switch (datagram_build(&s->self, &d, s->dp->adjacency->entry[adjacency].mtu, m, &n)) {
	case DATAGRAM_OK:
		if (n > 1) {
			stat_add(s->self.stats, STAT_FRAGMENTED, 1);
			stat_add(s->self.stats, STAT_FRAGMENTS_SENT, n);
		}
		for (unsigned i = 0; i < n; i++)
			service_leave(s, adjacency, cookie.worker, m[i]);
		stat_add(s->self.stats, STAT_TRANSMITTED, 1);
		break;
	case DATAGRAM_NO_MBUF: stat_add(s->self.stats, STAT_NO_MBUF, 1); break;
	default: stat_add(s->self.stats, STAT_TOO_BIG, 1);
	}
	/* Held frames go without a use: HOLD_NS is shorter than an unused entry's rest. */
	route_release(s->route, adjacency);
	return DONE;
}

/* --- all of them --- */

/* The body is a private copy, 8-aligned. */
static enum verdict apply(struct service *s, uint16_t kind, const void *body, uint32_t octets)
{
	switch (kind) {
	case CMD_SYNC_BEGIN:
		if (octets != sizeof(struct cmd_sync))
			return INVALID;
		flow_sync_begin(s->dp->flows);
		return DONE;
	case CMD_SYNC_END:
		if (octets != sizeof(struct cmd_sync))
			return INVALID;
		s->syncing = true;
		s->sync_tag = ((const struct cmd_sync *)body)->tag;
		return DONE;
	case CMD_SET: return octets == sizeof(struct cmd_flow) ? set(s, body) : INVALID;
	case CMD_DELETE: return octets == sizeof(struct cmd_flow) ? delete (s, body) : INVALID;
	case CMD_REALM:
	case CMD_TEMPLATE:
	case CMD_NONCE_KEY:
		return answer_apply(s->answers, s->dp->n_workers + 1, &s->retire, kind, body,
		                    octets)
		               ? DONE
		               : INVALID;
	case CMD_LEG: return leg_set(s, body, octets);
	case CMD_LEG_DELETE: return leg_delete(s, body, octets);
	case CMD_TRANSMIT: return transmit(s, body, octets);
	case CMD_RELOAD:
		if (octets != 0)
			return INVALID;
		if (service_reload(s))
			service_event(s, PUNT_TABLES, NULL);
		return DONE;
	default: return INVALID;
	}
}

void service_commands_begin(struct service *s)
{
	s->first_event = s->n_events = 0;
	s->syncing = false;
}

/* The sweep of a sync goes on before anything else is read. */
static bool sync_done(struct service *s)
{
	if (!s->syncing)
		return true;
	if (!flow_sync_end(s->dp->flows, SYNC_BUDGET))
		return false;
	s->syncing = false;
	const struct punt_row ev = { .tag = s->sync_tag, .row = ROW_NONE, .status = ROW_SYNCED };

	service_event(s, PUNT_ROW, &ev);
	return true;
}

unsigned service_commands(struct service *s, unsigned budget)
{
	struct ring_reader *r = join_command(s->join);
	alignas(8) uint8_t body[RING_RECORD_MAX];
	unsigned n = 0;

	while (r != NULL && n < budget) {
		uint16_t kind;

		/* Each command says one thing at most, and retires one per worker and one more. */
		if (!service_event_room(s, 2) || !retire_room(&s->retire, s->dp->n_workers + 2) ||
		    !sync_done(s))
			break;
		const int octets = ring_read(r, &kind, body, sizeof(body));

		if (octets < 0)
			break;
		n++;
		if (apply(s, kind, body, (uint32_t)octets) == INVALID) {
			stat_add(s->self.stats, STAT_CMD_INVALID, 1);
			log_error("control", "invalid-command", "kind=%u octets=%d", kind, octets);
			ring_release(r);
			join_disconnect(s->join, "a command that cannot be");
			return n;
		}
		stat_add(s->self.stats, STAT_COMMANDS, 1);
	}
	if (r != NULL) {
		if (n)
			ring_release(r);
		if (r->broken)
			join_disconnect(s->join, "a command ring that cannot be");
	}
	/* A sync that ends with nothing behind it. */
	if (s->syncing && service_event_room(s, 2) && sync_done(s))
		n++;
	return n;
}
