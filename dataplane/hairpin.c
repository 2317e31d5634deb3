/* Turned datagrams: from a client of ours to a relayed address of ours, without the wire. */
#include "dataplane/relay.h"

void relay_hold(struct worker *w, struct rte_mbuf *m, uint16_t adjacency, enum stat_id outcome)
{
	m->port = relay_adjacency(w, adjacency)->port;
	if (service_give(w->dp, m, GIVE_UNRESOLVED, adjacency))
		stat_add(w->stats, outcome, 1);
	else
		worker_drop(w, m, STAT_SERVICE_FULL);
}

/*
 * The receiver's channel for this sender (network order), 0 for a permission only, or
 * HAIRPIN_REFUSED.
 */
enum { HAIRPIN_REFUSED = -1 };

static bool live(const struct worker *w, const struct flow_key *key)
{
	const uint32_t row = flow_find(w->dp->flows, key);

	return row != ROW_NONE &&
	       w->now_s < atomic_load_explicit(&flow_row(w->dp->flows, row)->deadline_s,
	                                       memory_order_relaxed);
}

static int inline_for(const struct worker *w, const struct row *r, const struct addr *from,
                      uint16_t port)
{
	const uint16_t channel = __atomic_load_n(&r->channel, __ATOMIC_ACQUIRE);
	const struct addr peer =
		r->flags & ROW_FLAG_WIDE ? (struct addr){ .ip = { 0 } } : addr_from4(r->peer_ip4);
	const uint8_t *const ip =
		r->flags & ROW_FLAG_WIDE ? ((const struct row_wide *)r)->peer_ip6 : peer.ip;

	if (channel == 0 || r->peer_port != port || memcmp(ip, from->ip, 16) != 0 ||
	    w->now_s >= atomic_load_explicit(&r->deadline_s, memory_order_relaxed))
		return HAIRPIN_REFUSED;
	return channel;
}

static int accepts(const struct worker *w, uint32_t row, const struct addr *from, uint16_t port)
{
	struct flow_table *const t = w->dp->flows;
	const struct row *const r = flow_row(t, row);
	const int channel = inline_for(w, r, from, port);
	struct flow_key key;

	if (channel != HAIRPIN_REFUSED)
		return channel;
	flow_peer_key(&key, from->ip, port, row, r->generation, FLOW_BOUND_PEER);
	if (live(w, &key)) {
		const uint32_t bound = flow_find(t, &key);

		if (bound != ROW_NONE)
			return flow_row(t, bound)->channel;
	}
	flow_peer_key(&key, from->ip, 0, row, r->generation, FLOW_PERMISSION);
	return live(w, &key) ? 0 : HAIRPIN_REFUSED;
}

void hairpin(struct worker *w, const struct port *port, struct rte_mbuf *m, const struct parsed *p,
             const struct row *sender, uint32_t counted, const struct addr *peer,
             uint16_t peer_port)
{
	struct flow_table *const t = w->dp->flows;
	const struct local_relay *const relay = &w->local->relay[sender->relay];
	const uint16_t id = local_relay_at(w->local, peer, rewrite_be(peer_port));

	if (id == LOCAL_NONE) /* a listener or another port of ours (TURN-215) */
		return worker_drop(w, m, STAT_PEER_DENIED);
	const uint32_t row = flow_by_port(t, id, peer_port);

	if (row == ROW_NONE)
		return worker_drop(w, m, STAT_RELAY_NO_ALLOCATION);
	if (flow_row(t, row)->flags & ROW_FLAG_LEG)
		return relay_slow(w, port, m);
	/* The receiver knows the sender by its advertised address, or by its real one. */
	int channel = accepts(w, row, &relay->advertise, sender->relayed_port);

	if (channel == HAIRPIN_REFUSED && !addr_equal(&relay->advertise, &relay->addr))
		channel = accepts(w, row, &relay->addr, sender->relayed_port);
	if (channel == HAIRPIN_REFUSED)
		return worker_drop(w, m, STAT_NO_PERMISSION);
	struct row *const r = flow_row(t, row);
	const struct adjacency *const a = relay_adjacency(w, r->adjacency);
	struct leg leg = { .channel = (uint16_t)channel,
		           .peer = relay->advertise.ip,
		           .peer_port = sender->relayed_port };
	unsigned state = 0;

	relay_leg_to_client(w, r, &leg);
	switch (rewrite(w, m, p, p->family == 6, r->flags & ROW_FLAG_CLIENT6,
	                p->path == PATH_CHANNEL ? WRAP_CHANNEL : WRAP_INDICATION,
	                channel ? WRAP_CHANNEL : WRAP_INDICATION, !addr_is4(&relay->advertise),
	                false, &leg, a, &state)) {
	case REWRITE_OK:
		flow_count(t, counted, flow_row(t, counted), (uint8_t)w->index, p->data_len);
		flow_count(t, row, r, (uint8_t)w->index, p->data_len);
		relay_out(w, m, r->adjacency, state, STAT_HAIRPIN);
		break;
	case REWRITE_TTL: worker_drop(w, m, STAT_TTL_EXPIRED); break;
	case REWRITE_SLOW: relay_slow(w, port, m); break;
	}
}
