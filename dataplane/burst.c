/*
 * One burst through the relay, in stages: each ends for the whole burst before the next begins, so
 * the memory it touches was asked for one stage earlier. The last stage goes in the order the
 * frames came in, which keeps the order within a flow (TURN-148).
 *
 * This file is built for several processors, under several names; worker.c chooses at start.
 */
#include "dataplane/burst.h"

#include "dataplane/answer.h"
#include "dataplane/relay.h"

enum { HEADER_AT = sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM };

struct burst {
	struct worker *w;
	const struct port *port;
	struct flow_table *flows;
	unsigned n, n_second;
	struct rte_mbuf *m[WORKER_BURST];
	struct parsed p[WORKER_BURST];
	uint64_t hash[WORKER_BURST];
	uint32_t row[WORKER_BURST]; /* the client's, or the allocation behind the relayed port */
	/* Second look-up: the permission, or the peer bound in a row of its own. */
	struct flow_key key2[WORKER_BURST], key3[WORKER_BURST];
	uint64_t hash2[WORKER_BURST], hash3[WORKER_BURST];
	uint32_t row2[WORKER_BURST], row3[WORKER_BURST];
	uint8_t second[WORKER_BURST];   /* enum second */
	uint16_t channel[WORKER_BURST]; /* PATH_PEER: of the inline peer; 0: not that one */
};

enum second { SECOND_NONE, SECOND_PERMISSION = 1, SECOND_BOUND = 2 };

/* --- stage 1: what is it, and where would its row be --- */

/* Every frame as classify() needs it. false: it is gone. */
static inline bool admit(struct worker *w, const struct port *port, struct rte_mbuf *m)
{
	if (__builtin_expect(m->nb_segs > 1, 0) && rte_pktmbuf_linearize(m) != 0) {
		worker_drop(w, m, STAT_TOO_BIG);
		return false;
	}
	if (port->software && port_complete_checksum(m))
		stat_add(w->stats, STAT_CHECKSUM_COMPLETED, 1);
	return true;
}

static inline void find_out(struct burst *b, struct rte_mbuf **rx, unsigned n)
{
	struct worker *const w = b->w;
	const unsigned channel_mask = w->serve & DEMUX_SERVE_RFC5766 ? 0xC0 : 0xF0;
	uint64_t octets = 0, mac = 0;

	memcpy(&mac, b->port->mac.addr_bytes, 6);

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *const m = rx[i];
		struct parsed *const p = &b->p[b->n];

		octets += m->pkt_len;
		if (!admit(w, b->port, m))
			continue;
		const uint8_t *const f = rte_pktmbuf_mtod(m, const uint8_t *);

		if (!classify_fast(w->local, f, m->data_len, mac, channel_mask, p))
			classify(w->local, f, m->data_len, b->port->mac.addr_bytes, w->serve, p);
		if (p->path == PATH_CHANNEL || p->path == PATH_SEND) {
			b->hash[b->n] = flow_hash(b->flows, &p->key);
			flow_prefetch(b->flows, b->hash[b->n]);
		} else if (p->path == PATH_PEER) {
			rte_prefetch0(flow_port(b->flows, p->local, p->key.channel));
		}
		b->m[b->n++] = m;
	}
	stat_add(w->stats, STAT_RX_PACKETS, n);
	stat_add(w->stats, STAT_RX_OCTETS, octets);
}

/* --- stage 2: the row, probably --- */

static inline void suggest(struct burst *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		const struct parsed *const p = &b->p[i];

		if (p->path == PATH_CHANNEL || p->path == PATH_SEND) {
			b->row[i] = flow_candidate(b->flows, b->hash[i]);
		} else if (p->path == PATH_PEER) {
			b->row[i] = flow_port_row(b->flows, p->local, p->key.channel);
			if (b->row[i] != ROW_NONE)
				flow_prefetch_row(b->flows, b->row[i]);
		}
	}
}

/* --- stage 3: what else has to be looked up --- */

static inline void ask_second(struct burst *b, unsigned i, const uint64_t ip[2], uint16_t port,
                              const struct row *allocation)
{
	b->hash2[i] = flow_peer_hash(b->flows, &b->key2[i], ip, 0, b->row[i],
	                             allocation->generation, FLOW_PERMISSION);
	flow_prefetch(b->flows, b->hash2[i]);
	b->second[i] = SECOND_PERMISSION;
	b->n_second++;
	if (port == 0 || !(allocation->flags & ROW_FLAG_SPILL))
		return;
	b->hash3[i] = flow_peer_hash(b->flows, &b->key3[i], ip, port, b->row[i],
	                             allocation->generation, FLOW_BOUND_PEER);
	flow_prefetch(b->flows, b->hash3[i]);
	b->second[i] |= SECOND_BOUND;
}

/* The peer named in a Send indication, which classify() saw to be well formed. */
static inline void peer_ip(const uint8_t *frame, const struct parsed *p, uint64_t ip[2])
{
	const uint8_t *const v = frame + p->peer_at + 4;
	const uint8_t *const key = frame + p->udp_at + REWRITE_UDP + 4; /* cookie, transaction id */

	if (p->key.kind == FLOW_ALLOCATION4) {
		ip[0] = 0;
		ip[1] = addr_word4(rewrite_load32(v) ^ rewrite_load32(key));
		return;
	}
	ip[0] = rewrite_load64(v) ^ rewrite_load64(key);
	ip[1] = rewrite_load64(v + 8) ^ rewrite_load64(key + 8);
}

static inline bool expired(const struct worker *w, const struct row *r)
{
	return w->now_s >= atomic_load_explicit(&r->deadline_s, memory_order_relaxed);
}

/*
 * The first bound peer stands in the allocation's row. The channel is read once, before the rest:
 * the writer leaves the rest alone for a grace period after it cleared the channel.
 */
static inline uint16_t inline_channel(const struct row *r, const struct parsed *p)
{
	const uint16_t channel = __atomic_load_n(&r->channel, __ATOMIC_ACQUIRE);

	if (channel == 0 || r->peer_port != p->key.port)
		return 0;
	if (r->flags & ROW_FLAG_WIDE)
		return memcmp(((const struct row_wide *)r)->peer_ip6, p->key.ip, 16) == 0 ? channel
		                                                                          : 0;
	return rewrite_load32(r->peer_ip4) == rewrite_load32(p->key.ip + 12) ? channel : 0;
}

static inline void ask(struct burst *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		const struct parsed *const p = &b->p[i];

		b->second[i] = SECOND_NONE;
		if (p->path == PATH_PEER && b->row[i] != ROW_NONE) {
			const struct row *const r = flow_at(b->flows, b->row[i]);

			b->channel[i] = inline_channel(r, p);
			/* After the binding the permission may live on (TURN-076). */
			if (b->channel[i] == 0 || expired(b->w, r))
				ask_second(b, i,
				           (const uint64_t[]){ rewrite_load64(p->key.ip),
				                               rewrite_load64(p->key.ip + 8) },
				           p->key.port, r);
		} else if (p->path == PATH_SEND) {
			b->row[i] = flow_verify(b->flows, &p->key, b->hash[i], b->row[i]);
			if (b->row[i] == ROW_NONE)
				continue;
			uint64_t ip[2];

			peer_ip(rte_pktmbuf_mtod(b->m[i], const uint8_t *), p, ip);
			ask_second(b, i, ip, 0, flow_at(b->flows, b->row[i]));
		}
	}
}

static inline void suggest_second(struct burst *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		if (b->second[i] & SECOND_PERMISSION)
			b->row2[i] = flow_candidate(b->flows, b->hash2[i]);
		if (b->second[i] & SECOND_BOUND)
			b->row3[i] = flow_candidate(b->flows, b->hash3[i]);
	}
}

/* --- last stage: out --- */

/* What is left to do after a rewrite, whichever it was. */
static inline void settle(struct burst *b, unsigned i, enum rewrite_result result, uint32_t counted,
                          uint16_t adjacency, unsigned state, enum stat_id outcome)
{
	struct worker *const w = b->w;
	struct rte_mbuf *const m = b->m[i];

	if (__builtin_expect(result == REWRITE_OK, 1)) {
		flow_count_inline(b->flows, counted, flow_at(b->flows, counted), (uint8_t)w->index,
		                  b->p[i].data_len);
		relay_out(w, m, adjacency, state, outcome);
	} else if (result == REWRITE_TTL) {
		worker_drop(w, m, STAT_TTL_EXPIRED);
	} else {
		relay_slow(w, b->port, m);
	}
}

/* The 16-octet form of peer_ip4 as far as anyone reads it: its last four octets. */
static inline const uint8_t *ip4_form(const struct row *r)
{
	return (const uint8_t *)r + offsetof(struct row, peer_ip4) - 12;
}

static inline void channel_to_peer(struct burst *b, unsigned i)
{
	struct worker *const w = b->w;
	const struct parsed *const p = &b->p[i];
	const uint32_t row = flow_verify(b->flows, &p->key, b->hash[i], b->row[i]);
	struct rte_mbuf *const m = b->m[i];

	if (__builtin_expect(row == ROW_NONE, 0))
		return worker_drop(w, m, STAT_CD_UNBOUND);
	const struct row *const r = flow_at(b->flows, row);
	const bool out6 = r->flags & ROW_FLAG_PEER6;
	struct addr peer;

	if (__builtin_expect(expired(w, r), 0))
		return worker_drop(w, m, STAT_CD_EXPIRED);
	if (__builtin_expect(r->flags & ROW_FLAG_TURNED, 0)) {
		peer = out6 ? (struct addr){ .ip = { 0 } } : addr_from4(r->peer_ip4);
		if (out6)
			memcpy(peer.ip, ((const struct row_wide *)r)->peer_ip6, 16);
		return hairpin(w, b->port, m, p, r, row, &peer, r->peer_port);
	}
	const struct leg leg = {
		.src = w->local->relay[r->relay].addr.ip,
		.dst = out6 ? ((const struct row_wide *)r)->peer_ip6 : ip4_form(r),
		.sport = r->relayed_port,
		.dport = r->peer_port,
		.delta = r->udp_delta,
	};
	const struct adjacency *const a = relay_adjacency(w, r->adjacency);
	enum rewrite_result result;
	unsigned state = 0;

	if (p->family == 4 && !out6)
		result = rewrite(w, m, p, false, false, WRAP_CHANNEL, WRAP_NONE, true, &leg, a,
		                 &state);
	else if (p->family == 6 && out6)
		result = rewrite(w, m, p, true, true, WRAP_CHANNEL, WRAP_NONE, true, &leg, a,
		                 &state);
	else if (out6)
		result = rewrite(w, m, p, false, true, WRAP_CHANNEL, WRAP_NONE, true, &leg, a,
		                 &state);
	else
		result = rewrite(w, m, p, true, false, WRAP_CHANNEL, WRAP_NONE, true, &leg, a,
		                 &state);
	settle(b, i, result, row, r->adjacency, state, STAT_CHANNEL_TO_PEER);
}

/* Without an inline peer the row's deadline is the allocation's own. */
static inline bool ended(const struct worker *w, const struct row *allocation)
{
	return __atomic_load_n(&allocation->channel, __ATOMIC_ACQUIRE) == 0 &&
	       expired(w, allocation);
}

static inline void send_to_peer(struct burst *b, unsigned i)
{
	struct worker *const w = b->w;
	const struct parsed *const p = &b->p[i];
	struct rte_mbuf *const m = b->m[i];

	if (b->row[i] == ROW_NONE)
		return worker_drop(w, m, STAT_NO_ALLOCATION);
	const struct row *const allocation = flow_at(b->flows, b->row[i]);

	if (__builtin_expect(ended(w, allocation), 0))
		return worker_drop(w, m, STAT_NO_ALLOCATION);
	const uint32_t row = flow_verify(b->flows, &b->key2[i], b->hash2[i], b->row2[i]);

	if (row == ROW_NONE || expired(w, flow_at(b->flows, row)))
		return worker_drop(w, m, STAT_NO_PERMISSION);
	const struct row *const r = flow_at(b->flows, row);
	const uint8_t *const frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint16_t peer_port =
		fast_load16(frame + p->peer_at + 2) ^ rewrite_be(STUN_COOKIE >> 16);
	struct addr peer;

	peer_ip(frame, p, (uint64_t *)(void *)peer.ip);
	if (r->flags & ROW_FLAG_TURNED)
		return hairpin(w, b->port, m, p, allocation, row, &peer, peer_port);
	const struct leg leg = {
		.src = w->local->relay[allocation->relay].addr.ip,
		.dst = peer.ip,
		.sport = allocation->relayed_port,
		.dport = peer_port,
	};
	const struct adjacency *const a = relay_adjacency(w, r->adjacency);
	const bool out6 = p->key.kind == FLOW_ALLOCATION6;
	enum rewrite_result result;
	unsigned state = 0;

	if (p->family == 4 && !out6)
		result = rewrite(w, m, p, false, false, WRAP_INDICATION, WRAP_NONE, false, &leg, a,
		                 &state);
	else if (p->family == 6 && out6)
		result = rewrite(w, m, p, true, true, WRAP_INDICATION, WRAP_NONE, false, &leg, a,
		                 &state);
	else if (out6)
		result = rewrite(w, m, p, false, true, WRAP_INDICATION, WRAP_NONE, false, &leg, a,
		                 &state);
	else
		result = rewrite(w, m, p, true, false, WRAP_INDICATION, WRAP_NONE, false, &leg, a,
		                 &state);
	settle(b, i, result, row, r->adjacency, state, STAT_SEND_TO_PEER);
}

static inline void peer_to_channel(struct burst *b, unsigned i, const struct row *r,
                                   uint16_t channel, uint16_t delta)
{
	struct worker *const w = b->w;
	const struct parsed *const p = &b->p[i];
	const struct adjacency *const a = relay_adjacency(w, r->adjacency);
	const bool out6 = r->flags & ROW_FLAG_CLIENT6;
	struct leg leg = { .channel = channel, .delta = delta };
	enum rewrite_result result;
	unsigned state = 0;

	relay_leg_to_client(w, r, &leg);
	if (p->family == 4 && !out6)
		result = rewrite(w, b->m[i], p, false, false, WRAP_NONE, WRAP_CHANNEL, true, &leg,
		                 a, &state);
	else if (p->family == 6 && out6)
		result = rewrite(w, b->m[i], p, true, true, WRAP_NONE, WRAP_CHANNEL, true, &leg, a,
		                 &state);
	else if (out6)
		result = rewrite(w, b->m[i], p, false, true, WRAP_NONE, WRAP_CHANNEL, true, &leg, a,
		                 &state);
	else
		result = rewrite(w, b->m[i], p, true, false, WRAP_NONE, WRAP_CHANNEL, true, &leg, a,
		                 &state);
	settle(b, i, result, b->row[i], r->adjacency, state, STAT_PEER_TO_CHANNEL);
}

static inline void peer_to_data(struct burst *b, unsigned i, const struct row *r)
{
	struct worker *const w = b->w;
	const struct parsed *const p = &b->p[i];
	const struct adjacency *const a = relay_adjacency(w, r->adjacency);
	const bool out6 = r->flags & ROW_FLAG_CLIENT6;
	struct leg leg = { .peer_port = p->key.port };
	enum rewrite_result result;
	unsigned state = 0;

	memcpy(leg.peer.ip, p->key.ip, 16);
	relay_leg_to_client(w, r, &leg);
	if (p->family == 4 && !out6)
		result = rewrite(w, b->m[i], p, false, false, WRAP_NONE, WRAP_INDICATION, false,
		                 &leg, a, &state);
	else if (p->family == 6 && out6)
		result = rewrite(w, b->m[i], p, true, true, WRAP_NONE, WRAP_INDICATION, false, &leg,
		                 a, &state);
	else if (out6)
		result = rewrite(w, b->m[i], p, false, true, WRAP_NONE, WRAP_INDICATION, false,
		                 &leg, a, &state);
	else
		result = rewrite(w, b->m[i], p, true, false, WRAP_NONE, WRAP_INDICATION, false,
		                 &leg, a, &state);
	settle(b, i, result, b->row[i], r->adjacency, state, STAT_PEER_TO_DATA);
}

static inline void from_peer(struct burst *b, unsigned i)
{
	struct worker *const w = b->w;
	struct rte_mbuf *const m = b->m[i];

	if (b->row[i] == ROW_NONE)
		return worker_drop(w, m, STAT_RELAY_NO_ALLOCATION);
	const struct row *const r = flow_at(b->flows, b->row[i]);

	if (b->second[i] == SECOND_NONE)
		return peer_to_channel(b, i, r, b->channel[i], r->udp_delta);
	if (ended(w, r))
		return worker_drop(w, m, STAT_RELAY_NO_ALLOCATION);
	if (b->second[i] & SECOND_BOUND) {
		const uint32_t bound = flow_verify(b->flows, &b->key3[i], b->hash3[i], b->row3[i]);

		if (bound != ROW_NONE && !expired(w, flow_at(b->flows, bound))) {
			const struct row *const s = flow_at(b->flows, bound);

			return peer_to_channel(b, i, r, s->channel, s->udp_delta);
		}
	}
	const uint32_t row = flow_verify(b->flows, &b->key2[i], b->hash2[i], b->row2[i]);

	if (row == ROW_NONE || expired(w, flow_at(b->flows, row)))
		return worker_drop(w, m, STAT_NO_PERMISSION);
	peer_to_data(b, i, r);
}

/* To the service turn, or lost under the name of the full ring. STAT_COUNT: it counts itself. */
static void give(struct burst *b, struct rte_mbuf *m, enum give why, enum stat_id outcome,
                 enum stat_id full)
{
	m->port = b->port->index;
	if (!service_give(b->w->dp, m, why, 0))
		worker_drop(b->w, m, full);
	else if (outcome != STAT_COUNT)
		stat_add(b->w->stats, outcome, 1);
}

static inline void dispatch(struct burst *b, unsigned i)
{
	struct rte_mbuf *const m = b->m[i];

	switch ((enum path)b->p[i].path) {
	case PATH_CHANNEL: return channel_to_peer(b, i);
	case PATH_PEER: return from_peer(b, i);
	case PATH_SEND: return send_to_peer(b, i);
	case PATH_ANSWER: return answer_request(b->w, b->port, m, &b->p[i]);
	case PATH_KERNEL: return give(b, m, GIVE_KERNEL, STAT_TO_KERNEL, STAT_EXCEPTION_FULL);
	case PATH_SLOW: return relay_slow(b->w, b->port, m);
	case PATH_FRAGMENT: return give(b, m, GIVE_FRAGMENT, STAT_FRAGMENT_HELD, STAT_SERVICE_FULL);
	case PATH_ICMP: return give(b, m, GIVE_ICMP, STAT_COUNT, STAT_SERVICE_FULL);
	case PATH_DROP: return worker_drop(b->w, m, b->p[i].drop);
	}
}

void BURST_NAME(struct worker *w, const struct port *port, struct rte_mbuf **rx, unsigned n)
{
	struct burst b;

	b.w = w;
	b.port = port;
	b.flows = w->dp->flows;
	b.n = b.n_second = 0;
	w->local = __atomic_load_n(&w->dp->local, __ATOMIC_ACQUIRE);
	/* Where the headers of an ordinary mbuf lie, without reading it. */
	for (unsigned i = 0; i < n; i++)
		rte_prefetch0((const uint8_t *)rx[i] + HEADER_AT);
	find_out(&b, rx, n);
	suggest(&b);
	ask(&b);
	if (b.n_second)
		suggest_second(&b);
	for (unsigned i = 0; i < b.n; i++)
		dispatch(&b, i);
}
