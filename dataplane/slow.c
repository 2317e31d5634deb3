/* One datagram at a time, read whole, written anew. */
#include "dataplane/slow.h"

#include <netinet/in.h>
#include <rte_ether.h>

#include "dataplane/answer.h"
#include "dataplane/icmp.h"
#include "dataplane/service.h"
#include "dataplane/slow_parts.h"
#include "dataplane/slow_plain.h"
#include "wire/attr.h"
#include "wire/checksum.h"
#include "wire/stun_build.h"

enum {
	DATA_OVERHEAD = 48, /* TURN-144: what a Data indication adds at most */
	DF4_UP_TO = 1260,   /* TURN-142 */
};

/* --- what came --- */

static void read_packet(struct passage *x)
{
	const uint8_t *ip = x->frame + DATAGRAM_ETH, *udp = x->frame + x->p.udp_at;
	const uint16_t udp_len = be16_load(udp + 4);
	uint64_t sum;

	x->src.port = be16_load(udp);
	x->dst.port = be16_load(udp + 2);
	if (x->p.family == 4) {
		x->src.addr = addr_from4(ip + 12);
		x->dst.addr = addr_from4(ip + 16);
		x->tos = ip[1];
		x->ttl = ip[8];
		x->df = (ip[6] & 0x40) != 0;
		sum = csum_pseudo_udp(ip + 12, ip + 16, 4, udp_len);
	} else {
		memcpy(x->src.addr.ip, ip + 8, 16);
		memcpy(x->dst.addr.ip, ip + 24, 16);
		x->tos = (uint8_t)(be16_load(ip) >> 4);
		x->ttl = ip[7];
		sum = csum_pseudo_udp(ip + 8, ip + 24, 16, udp_len);
	}
	x->no_checksum = csum_load(udp + 6) == 0;
	const uint16_t off = csum_fold(csum_add(sum, udp, udp_len));

	/* What the sum lacks to be right is what the checksum has too much (DEMUX-077). */
	x->error = x->no_checksum || off == 0xFFFF ? 0 : off;
	x->data = udp + DATAGRAM_UDP;
	x->data_len = udp_len - DATAGRAM_UDP;
}

/* --- sending --- */

static void leave(struct worker *w, uint16_t adjacency, struct rte_mbuf *m, slow_send *send)
{
	const struct adjacency *a = &w->dp->adjacency->entry[adjacency];

	if (adjacency_fill(a, rte_pktmbuf_mtod(m, uint8_t *)) == NEIGHBOUR_RESOLVED)
		send(w, a->port, m);
	else if (!service_give(w->dp, m, GIVE_UNRESOLVED, adjacency))
		worker_drop(w, m, STAT_SERVICE_FULL);
}

enum stat_id slow_emit(struct worker *w, const struct datagram *d, uint16_t adjacency,
                       slow_send *send)
{
	struct rte_mbuf *m[DATAGRAM_PIECES_MAX];
	unsigned n;

	if (adjacency == ADJACENCY_NONE)
		return STAT_NO_ROUTE;
	switch (datagram_build(w, d, w->dp->adjacency->entry[adjacency].mtu, m, &n)) {
	case DATAGRAM_OK: break;
	case DATAGRAM_NO_MBUF: return STAT_NO_MBUF;
	default: return STAT_TOO_BIG;
	}
	if (n > 1) {
		stat_add(w->stats, STAT_FRAGMENTED, 1);
		stat_add(w->stats, STAT_FRAGMENTS_SENT, n);
	}
	for (unsigned i = 0; i < n; i++)
		leave(w, adjacency, m[i], send);
	return STAT_COUNT;
}

/* The largest packet that the sender of this one may send again, of its own family. */
static uint32_t usable_mtu(const struct passage *x, unsigned out_family, uint32_t mtu)
{
	if (x->to_client)
		mtu -= DATA_OVERHEAD; /* TURN-144 */
	if (out_family == 6)
		mtu -= DATAGRAM_IP6 - DATAGRAM_IP4;
	return mtu;
}

/*
 * Fields of the IP header by RFC 8656 §13 and §14. false: the packet's life is over.
 *
 * From IPv6, where nobody asks for DF, what outgrows the link is fragmented as a kernel socket
 * would (the alternate behaviour of §13.2 and §13.3): a datagram that filled its sender's MTU
 * outgrows ours by the wrapping alone, and dropping it would lose media to teach a smaller size.
 */
static bool head_rules(struct passage *x, struct datagram *d, uint16_t mtu)
{
	const struct config *cfg = __atomic_load_n(&x->w->dp->cfg, __ATOMIC_ACQUIRE);
	const bool in4 = x->p.family == 4, out4 = addr_is4(&d->dst.addr);
	const bool reset = in4 && out4 && !cfg->ttl_decrement;

	if (!reset && x->ttl <= 1)
		return false;
	d->ttl = reset ? DATAGRAM_TTL : (uint8_t)(x->ttl - 1);
	d->tos = x->tos;
	d->error = x->error;
	d->no_checksum = x->no_checksum && out4;
	if (in4 && out4) {
		d->df = x->df || x->dont_fragment; /* TURN-131 */
	} else if (in4) {
		/* TURN-141 */
		d->no_fragments = x->df;
		d->piece_max = x->df ? 0 : (uint16_t)cfg->fragment_mtu;
	} else if (out4) {
		/* TURN-142 */
		d->df = !x->fragmented && datagram_packet(d) > DF4_UP_TO &&
		        datagram_packet(d) <= mtu;
	} else {
		/* TURN-143 */
		d->fragment_header = x->fragmented;
		d->piece_max = x->fragmented ? DATAGRAM_MTU6_MIN : 0;
	}
	return true;
}

enum stat_id slow_pass(struct passage *x, const struct endpoint *src, const struct endpoint *dst,
                       uint16_t adjacency)
{
	struct datagram d = {
		.src = *src,
		.dst = *dst,
		.head = x->head,
		.head_len = x->head_len,
		.data = x->data,
		.data_len = x->data_len,
		.pad = x->pad,
	};
	const unsigned out_family = addr_family(&dst->addr);
	const uint16_t mtu = x->w->dp->adjacency->entry[adjacency].mtu;

	if (!head_rules(x, &d, mtu)) {
		if (x->p.family == 6 || out_family == 6) /* TURN-135 */
			icmp_time_exceeded(x->w, x->port, x->frame, x->len, x->send);
		return STAT_TTL_EXPIRED;
	}
	const enum stat_id drop = slow_emit(x->w, &d, adjacency, x->send);

	if (drop == STAT_TOO_BIG && (d.df || d.no_fragments))
		icmp_too_big(x->w, x->port, x->frame, x->len, usable_mtu(x, out_family, mtu),
		             x->send);
	return drop;
}

/* --- towards the client --- */

static void key_by_peer(struct flow_key *k, const struct addr *ip, uint16_t port, uint32_t row,
                        const struct row *r, enum flow_kind kind)
{
	flow_peer_key(k, ip->ip, htons(port), row, r->generation, kind);
}

/* The first bound peer, which stands in the allocation's row. */
static bool inline_peer(const struct row *r, const struct endpoint *peer)
{
	struct addr a;

	if (r->flags & ROW_FLAG_WIDE)
		memcpy(a.ip, ((const struct row_wide *)r)->peer_ip6, 16);
	else
		a = addr_from4(r->peer_ip4);
	return r->peer_port == htons(peer->port) && addr_equal(&a, &peer->addr);
}

/*
 * The channel that `peer` is bound to, in network order; 0: none that lives. *expired: it is the
 * first peer's, and that is over (control deletes it at that second).
 */
static uint16_t channel_of(const struct passage *x, uint32_t row, const struct row *r,
                           const struct endpoint *peer, bool *expired)
{
	struct flow_key k;
	const uint16_t first = __atomic_load_n(&r->channel, __ATOMIC_ACQUIRE);

	if (first && inline_peer(r, peer)) {
		*expired = !slow_live(x, r);
		return first;
	}
	if (!(r->flags & ROW_FLAG_SPILL))
		return 0;
	key_by_peer(&k, &peer->addr, peer->port, row, r, FLOW_BOUND_PEER);
	const uint32_t bound = flow_find(x->w->dp->flows, &k);

	if (bound == ROW_NONE)
		return 0;
	const struct row *b = flow_row(x->w->dp->flows, bound);

	return slow_live(x, b) ? b->channel : 0;
}

static bool permitted(const struct passage *x, uint32_t row, const struct row *r,
                      const struct addr *peer, uint32_t *permission)
{
	struct flow_key k;

	key_by_peer(&k, peer, 0, row, r, FLOW_PERMISSION);
	*permission = flow_find(x->w->dp->flows, &k);
	return *permission != ROW_NONE && slow_live(x, flow_row(x->w->dp->flows, *permission));
}

/* What stands before the data in a Data indication (TURN-093 to TURN-095). */
static void put_data_head(struct passage *x, const struct endpoint *peer)
{
	uint8_t txid[STUN_TXID_LEN];
	struct stun_builder b;

	worker_random(x->w, txid, sizeof(txid));
	stun_begin(&b, x->head, sizeof(x->head), stun_type(TURN_DATA, STUN_INDICATION), txid);
	stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, peer);
	be16_store(x->head + b.len, TURN_DATA_ATTR);
	be16_store(x->head + b.len + 2, (uint16_t)x->data_len);
	x->head_len = (uint32_t)b.len + STUN_ATTR_HDR_LEN;
	be16_store(x->head + 2, (uint16_t)(x->head_len - STUN_HDR_LEN + pad4(x->data_len)));
}

enum stat_id slow_client_gets(struct passage *x, uint32_t row, const struct endpoint *peer,
                              enum stat_id *outcome)
{
	struct flow_table *flows = x->w->dp->flows;
	struct row *r = flow_row(flows, row);
	const struct local_listener *l = &x->w->dp->local->listener[r->key.listener];
	const uint32_t octets = x->data_len;
	bool expired = false;
	const uint16_t channel = channel_of(x, row, r, peer, &expired);
	uint32_t permission;

	x->to_client = true;
	if (expired)
		return STAT_NO_PERMISSION;
	/* Without an inline peer the deadline is the allocation's own. */
	if (__atomic_load_n(&r->channel, __ATOMIC_ACQUIRE) == 0 && !slow_live(x, r))
		return STAT_RELAY_NO_ALLOCATION;
	if (channel) {
		channel_put(x->head, ntohs(channel), (uint16_t)octets);
		x->head_len = CHANNEL_HDR_LEN;
		*outcome = STAT_PEER_TO_CHANNEL;
	} else {
		if (!permitted(x, row, r, &peer->addr, &permission))
			return STAT_NO_PERMISSION;
		put_data_head(x, peer);
		x->pad = (uint32_t)pad4(octets) - octets;
		*outcome = STAT_PEER_TO_DATA;
	}
	struct endpoint client = { .port = ntohs(r->key.port) };

	memcpy(client.addr.ip, r->key.ip, 16);
	const enum stat_id drop = slow_pass(x, &l->at, &client, r->adjacency);

	if (drop == STAT_COUNT)
		flow_count(flows, row, r, (uint8_t)x->w->index, octets);
	return drop;
}

static enum stat_id from_peer(struct passage *x, enum stat_id *outcome)
{
	const uint32_t row = flow_by_port(x->w->dp->flows, x->p.local, htons(x->dst.port));

	if (row == ROW_NONE)
		return STAT_RELAY_NO_ALLOCATION;
	return slow_client_gets(x, row, &x->src, outcome);
}

/* --- towards the peer --- */

/* TURN-211 to TURN-213: to one of ours as if it had come from our relayed address. */
static enum stat_id turn_round(struct passage *x, const struct row *r, const struct endpoint *peer,
                               enum stat_id *outcome)
{
	const struct endpoint sender = { x->w->dp->local->relay[r->relay].advertise,
		                         ntohs(r->relayed_port) };

	return slow_turn(x, &sender, peer, outcome);
}

/* `row` is what counts: the channel's, or the permission's. */
static enum stat_id peer_gets(struct passage *x, uint32_t row, const struct endpoint *peer,
                              enum stat_id *outcome)
{
	struct flow_table *flows = x->w->dp->flows;
	struct row *r = flow_row(flows, row);
	const struct local_relay *relay = &x->w->dp->local->relay[r->relay];
	const struct endpoint src = { relay->addr, ntohs(r->relayed_port) };
	const uint32_t octets = x->data_len;
	const enum stat_id drop = r->flags & ROW_FLAG_TURNED
	                                  ? turn_round(x, r, peer, outcome)
	                                  : slow_pass(x, &src, peer, r->adjacency);

	if (drop == STAT_COUNT)
		flow_count(flows, row, r, (uint8_t)x->w->index, octets);
	return drop;
}

static enum stat_id by_channel(struct passage *x, enum stat_id *outcome)
{
	const uint32_t row = flow_find(x->w->dp->flows, &x->p.key);
	struct endpoint peer;

	if (row == ROW_NONE)
		return STAT_CD_UNBOUND;
	const struct row *r = flow_row(x->w->dp->flows, row);

	if (!slow_live(x, r))
		return STAT_CD_EXPIRED;
	peer.port = ntohs(r->peer_port);
	if (r->flags & ROW_FLAG_WIDE)
		memcpy(peer.addr.ip, ((const struct row_wide *)r)->peer_ip6, 16);
	else
		peer.addr = addr_from4(r->peer_ip4);
	x->data_len = be16_load(x->data + 2);
	x->data += CHANNEL_HDR_LEN;
	*outcome = STAT_CHANNEL_TO_PEER;
	return peer_gets(x, row, &peer, outcome);
}

static enum stat_id by_send(struct passage *x, enum stat_id *outcome)
{
	struct flow_table *flows = x->w->dp->flows;
	struct stun_attr at_peer, at_data, at_df;
	struct endpoint peer;
	struct stun_msg msg;
	uint32_t permission;

	if (!stun_open(x->data, x->data_len, &msg) ||
	    !stun_find(&msg, TURN_XOR_PEER_ADDRESS, &at_peer) ||
	    !stun_find(&msg, TURN_DATA_ATTR, &at_data))
		return STAT_SEND_MALFORMED;
	if (stun_xor_addr(&msg, &at_peer, &peer) == 0 || peer.port == 0)
		return STAT_SEND_MALFORMED;
	const uint32_t row = flow_find(flows, &x->p.key);

	if (row == ROW_NONE)
		return STAT_NO_ALLOCATION;
	if (!permitted(x, row, flow_row(flows, row), &peer.addr, &permission))
		return STAT_NO_PERMISSION;
	x->dont_fragment = stun_find(&msg, TURN_DONT_FRAGMENT, &at_df);
	x->data = at_data.value;
	x->data_len = at_data.len;
	*outcome = STAT_SEND_TO_PEER;
	return peer_gets(x, permission, &peer, outcome);
}

/* --- the rest --- */

/* As a frame of its own, or NULL: counted. */
static struct rte_mbuf *own_frame(const struct passage *x)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(x->w->pool);

	if (m == NULL) {
		stat_add(x->w->stats, STAT_NO_MBUF, 1);
		return NULL;
	}
	uint8_t *to = (uint8_t *)(x->len <= rte_pktmbuf_tailroom(m)
	                                  ? rte_pktmbuf_append(m, (uint16_t)x->len)
	                                  : NULL);

	if (to == NULL) {
		worker_drop(x->w, m, STAT_PUNT_TOO_LONG);
		return NULL;
	}
	memcpy(to, x->frame, x->len);
	return m;
}

/* STUN to a listener, or to a leg of a session. */
static void ask(const struct passage *x, struct row *leg)
{
	struct rte_mbuf *const m = own_frame(x);

	if (m && leg)
		leg_stun(x->w, x->port, m, &x->p, leg);
	else if (m)
		answer_request(x->w, x->port, m, &x->p);
}

/* Reassembled, and the host's: in fragments again, as the TAP takes no more than its MTU. */
static void give_back(struct passage *x)
{
	struct rte_mbuf *m[DATAGRAM_PIECES_MAX];
	struct datagram d = { .piece_max = x->port->mtu };
	unsigned n;

	x->p.udp_at = DATAGRAM_ETH + (x->p.family == 4 ? DATAGRAM_IP4 : DATAGRAM_IP6);
	read_packet(x);
	d.src = x->src;
	d.dst = x->dst;
	d.tos = x->tos;
	d.ttl = x->ttl;
	d.data = x->data;
	d.data_len = x->data_len;
	d.error = x->error;
	d.no_checksum = x->no_checksum;
	if (datagram_build(x->w, &d, x->port->mtu, m, &n) != DATAGRAM_OK) {
		stat_add(x->w->stats, STAT_NO_MBUF, 1);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		memcpy(rte_pktmbuf_mtod(m[i], uint8_t *), x->frame, 12);
		m[i]->port = x->port->index;
		if (!service_give(x->w->dp, m[i], GIVE_KERNEL, 0))
			worker_drop(x->w, m[i], STAT_EXCEPTION_FULL);
	}
	stat_add(x->w->stats, STAT_TO_KERNEL, 1);
}

static void relay(struct passage *x)
{
	enum stat_id outcome = STAT_COUNT, drop;

	drop = slow_plain(x->w->scratch, &x->frame, &x->len, &x->fragmented);
	if (drop != STAT_COUNT) {
		stat_add(x->w->stats, drop, 1);
		return;
	}
	classify(x->w->dp->local, x->frame, x->len, x->port->mac.addr_bytes,
	         __atomic_load_n(&x->w->serve, __ATOMIC_RELAXED), &x->p);
	switch ((enum path)x->p.path) {
	case PATH_ANSWER: ask(x, NULL); return;
	case PATH_KERNEL: give_back(x); return;
	case PATH_CHANNEL:
	case PATH_SEND:
	case PATH_PEER: break;
	default:
		stat_add(x->w->stats,
		         x->p.path == PATH_DROP ? (enum stat_id)x->p.drop : STAT_IP_MALFORMED, 1);
		return;
	}
	read_packet(x);
	struct row *const leg = x->p.path == PATH_PEER ? flow_leg_at(x->w->dp->flows, x->p.local,
	                                                             htons(x->dst.port))
	                                               : NULL;

	if (leg && leg_is_stun(x->data, x->data_len)) {
		ask(x, leg);
		return;
	}
	drop = leg                         ? slow_leg_gets(x, leg, &outcome)
	       : x->p.path == PATH_CHANNEL ? by_channel(x, &outcome)
	       : x->p.path == PATH_SEND    ? by_send(x, &outcome)
	                                   : from_peer(x, &outcome);
	stat_add(x->w->stats, drop == STAT_COUNT ? outcome : drop, 1);
}

void slow_relay(struct worker *w, const struct port *port, const uint8_t *frame, uint32_t len,
                slow_send *send)
{
	struct passage x = { .w = w,
		             .port = port,
		             .frame = frame,
		             .len = len,
		             .left = SLOW_SENDS_MAX,
		             .send = send };

	relay(&x);
}

void slow_reassembled(struct worker *w, const struct port *port, const uint8_t *frame, uint32_t len,
                      slow_send *send)
{
	struct passage x = {
		.w = w,
		.port = port,
		.frame = frame,
		.len = len,
		.left = SLOW_SENDS_MAX,
		.fragmented = true,
		.send = send,
	};

	relay(&x);
}
