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

/* A function of its own keeps its registers; the usual ones pay a call for that. */
#define APART __attribute__((noinline))
#define COLD __attribute__((noinline, cold))
#define ALWAYS inline __attribute__((always_inline))

enum { HEADER_AT = sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM };

struct burst {
	struct worker *w;
	const struct port *port;
	struct flow_table *flows;
	unsigned n;
	bool first, more, second_due; /* some have a row; more to ask; a second look-up */
	alignas(ABI_LINE) struct rte_mbuf *m[WORKER_BURST];
	alignas(ABI_LINE) struct parsed p[WORKER_BURST];
	uint64_t hash[WORKER_BURST];
	struct flow_hit hit[WORKER_BURST]; /* the client's row, or that of the relayed port */
	/* Second look-up: the permission, or the peer bound in a row of its own. */
	struct flow_key key2[WORKER_BURST], key3[WORKER_BURST];
	uint64_t hash2[WORKER_BURST], hash3[WORKER_BURST];
	struct flow_hit hit2[WORKER_BURST], hit3[WORKER_BURST];
	uint8_t second[WORKER_BURST];   /* enum second */
	uint16_t channel[WORKER_BURST]; /* PATH_PEER: of the inline peer; 0: not that one */
};

enum second { SECOND_NONE, SECOND_PERMISSION = 1, SECOND_BOUND = 2 };

/* One register instead of the sum that every access would make again: the compiler cannot see how.
 */
static ALWAYS struct parsed *parsed_at(struct burst *b, unsigned i)
{
	struct parsed *p = &b->p[i];

	__asm__("" : "+r"(p));
	return p;
}

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

/* Apart, so that the registers are for IPv4. */
static APART void find_out_other(const struct burst *b, const struct rte_mbuf *m, uint64_t mac,
                                 unsigned channel_mask, struct parsed *p)
{
	const struct worker *const w = b->w;
	const uint8_t *const f = rte_pktmbuf_mtod(m, const uint8_t *);

	if (!classify_fast(w->local, f, m->data_len, mac, channel_mask, p))
		classify(w->local, f, m->data_len, b->port->mac.addr_bytes, w->serve, p);
}

/* Counts in registers: through memory each would wait for the one before. */
static inline void find_out(struct burst *b, struct rte_mbuf **rx, const unsigned n)
{
	struct worker *const w = b->w;
	const unsigned channel_mask = w->serve & DEMUX_SERVE_RFC5766 ? 0xC0 : 0xF0;
	const struct local_table *const local = w->local;
	unsigned kept = 0, first = 0, more = 0;
	uint64_t octets = 0, mac = 0;

	memcpy(&mac, b->port->mac.addr_bytes, 6);
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *const m = rx[i];
		struct parsed *const p = parsed_at(b, kept);

		octets += m->pkt_len;
		if (!admit(w, b->port, m))
			continue;
		const uint8_t *const f = rte_pktmbuf_mtod(m, const uint8_t *);

		if (!classify_fast4(local, f, m->data_len, mac, channel_mask, p))
			find_out_other(b, m, mac, channel_mask, p);
		if (p->path == PATH_CHANNEL || p->path == PATH_SEND) {
			b->hash[kept] = flow_hash(b->flows, &p->key);
			flow_prefetch(b->flows, b->hash[kept]);
			first = 1;
			more |= p->path == PATH_SEND;
		} else if (p->path == PATH_PEER) {
			rte_prefetch0(flow_port(b->flows, p->local, p->key.channel));
			first = more = 1;
		}
		b->m[kept++] = m;
	}
	b->n = kept;
	b->first = first;
	b->more = more;
	stat_add(w->stats, STAT_RX_PACKETS, n);
	stat_add(w->stats, STAT_RX_OCTETS, octets);
}

/* --- stage 2: the row, probably --- */

static inline void suggest(struct burst *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		const struct parsed *const p = &b->p[i];

		if (p->path == PATH_CHANNEL || p->path == PATH_SEND) {
			b->hit[i] = flow_candidate(b->flows, b->hash[i]);
		} else if (p->path == PATH_PEER) {
			b->hit[i] = flow_hit(b->flows,
			                     flow_port_row(b->flows, p->local, p->key.channel));
			if (b->hit[i].r)
				flow_prefetch_row(b->flows, b->hit[i].row);
		}
	}
}

/* --- stage 3: what else has to be looked up --- */

static inline void ask_second(struct burst *b, unsigned i, const uint64_t ip[2], uint16_t port,
                              const struct row *allocation)
{
	b->hash2[i] = flow_peer_hash(b->flows, &b->key2[i], ip, 0, b->hit[i].row,
	                             allocation->generation, FLOW_PERMISSION);
	flow_prefetch(b->flows, b->hash2[i]);
	b->second[i] = SECOND_PERMISSION;
	b->second_due = true;
	if (port == 0 || !(allocation->flags & ROW_FLAG_SPILL))
		return;
	b->hash3[i] = flow_peer_hash(b->flows, &b->key3[i], ip, port, b->hit[i].row,
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
		uint64_t ip[2];

		b->second[i] = SECOND_NONE;
		if (p->path == PATH_PEER && b->hit[i].r) {
			const struct row *const r = b->hit[i].r;

			b->channel[i] = inline_channel(r, p);
			/* After the binding the permission may live on (TURN-076). */
			if (b->channel[i] != 0 && !expired(b->w, r))
				continue;
			memcpy(ip, p->key.ip, sizeof(ip));
			ask_second(b, i, ip, p->key.port, r);
		} else if (p->path == PATH_SEND) {
			if (!flow_verify(b->flows, &p->key, b->hash[i], &b->hit[i]))
				continue;
			peer_ip(rte_pktmbuf_mtod(b->m[i], const uint8_t *), p, ip);
			ask_second(b, i, ip, 0, b->hit[i].r);
		}
	}
}

static inline void suggest_second(struct burst *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		if (b->second[i] & SECOND_PERMISSION)
			b->hit2[i] = flow_candidate(b->flows, b->hash2[i]);
		if (b->second[i] & SECOND_BOUND)
			b->hit3[i] = flow_candidate(b->flows, b->hash3[i]);
	}
}

/* --- last stage: out --- */

/* What is left to do after a rewrite that was not one. */
static COLD void refused(struct burst *b, unsigned i, enum rewrite_result result)
{
	if (result == REWRITE_TTL)
		worker_drop(b->w, b->m[i], STAT_TTL_EXPIRED);
	else
		relay_slow(b->w, b->port, b->m[i]);
}

/*
 * After one that was. `counted` is the row that counts the datagram, `next` what it leaves by. By
 * value: a store into the frame could be one into the burst, for all the compiler knows. *sent is
 * counted under `outcome` by whoever has it.
 */
static ALWAYS void settle(struct burst *b, struct worker *w, struct rte_mbuf *m,
                          struct flow_hit counted, uint32_t data_len, uint16_t next,
                          const struct adjacency *a, unsigned state, enum stat_id outcome,
                          unsigned *sent)
{
	flow_count_inline(b->flows, counted.row, counted.r, (uint8_t)w->index, data_len);
	if (__builtin_expect(state != NEIGHBOUR_RESOLVED, 0))
		return relay_hold(w, m, next, outcome);
	++*sent;
	worker_send(w, a->port, m);
}

/* The family pairs other than IPv4 on both legs, for forward(). */
static ALWAYS void forward_six(struct burst *b, unsigned i, const enum wrap in, const enum wrap out,
                               const bool ready, const bool out6, const struct leg *leg,
                               const struct flow_hit *counted, uint16_t next, enum stat_id outcome)
{
	struct worker *const w = b->w;
	struct rte_mbuf *const m = b->m[i];
	const struct parsed *const p = &b->p[i];
	const struct adjacency *const a = relay_adjacency(w, next);
	enum rewrite_result result;
	unsigned state = 0, sent = 0;

	if (p->family == 6 && out6)
		result = rewrite(w, m, p, true, true, in, out, ready, leg, a, &state);
	else if (out6)
		result = rewrite(w, m, p, false, true, in, out, ready, leg, a, &state);
	else
		result = rewrite(w, m, p, true, false, in, out, ready, leg, a, &state);
	if (__builtin_expect(result != REWRITE_OK, 0))
		return refused(b, i, result);
	settle(b, w, m, *counted, p->data_len, next, a, state, outcome, &sent);
	stat_add(w->stats, outcome, sent);
}

/* The 16-octet form of peer_ip4 as far as anyone reads it: its last four octets. */
static inline const uint8_t *ip4_form(const struct row *r)
{
	return (const uint8_t *)r + offsetof(struct row, peer_ip4) - 12;
}

static_assert(offsetof(struct row, peer_port) == offsetof(struct row, relayed_port) + 2,
              "one load gives both ports as a header has them");

/* Of a channel: what else a leg has is not read for it. */
static ALWAYS void channel_leg(const struct worker *w, const struct row *r, bool out6,
                               struct leg *leg)
{
	leg->src = w->local->relay[r->relay].addr.ip;
	leg->dst = out6 ? ((const struct row_wide *)r)->peer_ip6 : ip4_form(r);
	leg->ports = fast_load32((const uint8_t *)r + offsetof(struct row, relayed_port));
	leg->delta = r->udp_delta;
}

static APART void channel_six(struct burst *b, unsigned i, bool out6)
{
	struct leg leg;

	channel_leg(b->w, b->hit[i].r, out6, &leg);
	forward_six(b, i, WRAP_CHANNEL, WRAP_NONE, true, out6, &leg, &b->hit[i],
	            b->hit[i].r->adjacency, STAT_CHANNEL_TO_PEER);
}

static APART void send_six(struct burst *b, unsigned i, bool out6, struct leg leg)
{
	forward_six(b, i, WRAP_INDICATION, WRAP_NONE, false, out6, &leg, &b->hit2[i],
	            b->hit2[i].r->adjacency, STAT_SEND_TO_PEER);
}

static APART void peer_channel_six(struct burst *b, unsigned i, uint16_t channel, uint16_t delta)
{
	const struct row *const r = b->hit[i].r;
	const bool out6 = r->flags & ROW_FLAG_CLIENT6;
	struct leg leg;

	leg.channel = channel;
	leg.delta = delta;
	relay_leg_to_client(b->w, r, &leg);
	forward_six(b, i, WRAP_NONE, WRAP_CHANNEL, true, out6, &leg, &b->hit[i],
	            b->hit[i].r->adjacency, STAT_PEER_TO_CHANNEL);
}

static ALWAYS void data_leg(const struct burst *b, unsigned i, struct leg *leg)
{
	leg->peer_port = b->p[i].key.port;
	memcpy(leg->peer.ip, b->p[i].key.ip, 16);
	relay_leg_to_client(b->w, b->hit[i].r, leg);
}

static APART void peer_data_six(struct burst *b, unsigned i)
{
	const struct row *const r = b->hit[i].r;
	struct leg leg;

	data_leg(b, i, &leg);
	forward_six(b, i, WRAP_NONE, WRAP_INDICATION, false, r->flags & ROW_FLAG_CLIENT6, &leg,
	            &b->hit[i], r->adjacency, STAT_PEER_TO_DATA);
}

/*
 * The rewrite, IPv4 on both legs. The other pairs are apart (forward_six), so that the registers
 * are for the usual case.
 */
static ALWAYS void forward(struct burst *b, unsigned i, const enum wrap in, const enum wrap out,
                           const bool ready, const struct leg *leg, const struct flow_hit *counted,
                           enum stat_id outcome, unsigned *sent)
{
	struct worker *const w = b->w;
	struct rte_mbuf *const m = b->m[i];
	const struct flow_hit by = *counted;
	const uint16_t next = by.r->adjacency;
	const struct adjacency *const a = relay_adjacency(w, next);
	const struct parsed *const p = parsed_at(b, i);
	const uint32_t data_len = p->data_len;
	unsigned state = 0;
	const enum rewrite_result result =
		rewrite(w, m, p, false, false, in, out, ready, leg, a, &state);

	if (__builtin_expect(result != REWRITE_OK, 0))
		return refused(b, i, result);
	settle(b, w, m, by, data_len, next, a, state, outcome, sent);
}

static inline bool any_six(const struct burst *b, unsigned i, bool out6)
{
	return __builtin_expect(b->p[i].family != 4 || out6, 0);
}

static COLD void channel_turned(struct burst *b, unsigned i)
{
	const struct row *const r = b->hit[i].r;
	struct addr peer = { .ip = { 0 } };

	if (r->flags & ROW_FLAG_PEER6)
		memcpy(peer.ip, ((const struct row_wide *)r)->peer_ip6, 16);
	else
		peer = addr_from4(r->peer_ip4);
	hairpin(b->w, b->port, b->m[i], &b->p[i], r, b->hit[i].row, &peer, r->peer_port);
}

static ALWAYS void channel_to_peer(struct burst *b, unsigned i, unsigned *sent)
{
	struct worker *const w = b->w;

	if (__builtin_expect(!flow_verify(b->flows, &b->p[i].key, b->hash[i], &b->hit[i]), 0))
		return worker_drop(w, b->m[i], STAT_CD_UNBOUND);
	const struct row *const r = b->hit[i].r;

	if (__builtin_expect(expired(w, r), 0))
		return worker_drop(w, b->m[i], STAT_CD_EXPIRED);
	if (__builtin_expect(r->flags & ROW_FLAG_TURNED, 0))
		return channel_turned(b, i);
	const bool out6 = r->flags & ROW_FLAG_PEER6;
	struct leg leg;

	if (any_six(b, i, out6))
		return channel_six(b, i, out6);
	channel_leg(w, r, false, &leg);
	forward(b, i, WRAP_CHANNEL, WRAP_NONE, true, &leg, &b->hit[i], STAT_CHANNEL_TO_PEER, sent);
}

/* Without an inline peer the row's deadline is the allocation's own. */
static inline bool ended(const struct worker *w, const struct row *allocation)
{
	return __atomic_load_n(&allocation->channel, __ATOMIC_ACQUIRE) == 0 &&
	       expired(w, allocation);
}

static ALWAYS void send_to_peer(struct burst *b, unsigned i, unsigned *sent)
{
	struct worker *const w = b->w;
	const struct parsed *const p = &b->p[i];
	struct rte_mbuf *const m = b->m[i];
	const struct row *const allocation = b->hit[i].r;

	if (!allocation || __builtin_expect(ended(w, allocation), 0))
		return worker_drop(w, m, STAT_NO_ALLOCATION);
	if (!flow_verify(b->flows, &b->key2[i], b->hash2[i], &b->hit2[i]) ||
	    expired(w, b->hit2[i].r))
		return worker_drop(w, m, STAT_NO_PERMISSION);
	const struct row *const r = b->hit2[i].r;
	const uint8_t *const frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint16_t peer_port =
		fast_load16(frame + p->peer_at + 2) ^ rewrite_be(STUN_COOKIE >> 16);

	if (__builtin_expect(r->flags & ROW_FLAG_TURNED, 0)) {
		struct addr peer;

		memcpy(peer.ip, b->key2[i].ip, 16);
		return hairpin(w, b->port, m, p, allocation, b->hit2[i].row, &peer, peer_port);
	}
	const struct leg leg = {
		.src = w->local->relay[allocation->relay].addr.ip,
		.dst = b->key2[i].ip,
		.ports = allocation->relayed_port | (uint32_t)peer_port << 16,
	};

	if (any_six(b, i, p->key.kind == FLOW_ALLOCATION6))
		return send_six(b, i, p->key.kind == FLOW_ALLOCATION6, leg);
	forward(b, i, WRAP_INDICATION, WRAP_NONE, false, &leg, &b->hit2[i], STAT_SEND_TO_PEER,
	        sent);
}

static ALWAYS void peer_to_channel(struct burst *b, unsigned i, uint16_t channel, uint16_t delta,
                                   unsigned *sent)
{
	const struct row *const r = b->hit[i].r;
	struct leg leg;

	if (any_six(b, i, r->flags & ROW_FLAG_CLIENT6))
		return peer_channel_six(b, i, channel, delta);
	leg.channel = channel;
	leg.delta = delta;
	relay_leg_to_client(b->w, r, &leg);
	forward(b, i, WRAP_NONE, WRAP_CHANNEL, true, &leg, &b->hit[i], STAT_PEER_TO_CHANNEL, sent);
}

static APART void peer_to_data(struct burst *b, unsigned i)
{
	unsigned sent = 0;
	struct leg leg;

	if (any_six(b, i, b->hit[i].r->flags & ROW_FLAG_CLIENT6))
		return peer_data_six(b, i);
	data_leg(b, i, &leg);
	forward(b, i, WRAP_NONE, WRAP_INDICATION, false, &leg, &b->hit[i], STAT_PEER_TO_DATA,
	        &sent);
	stat_add(b->w->stats, STAT_PEER_TO_DATA, sent);
}

static ALWAYS void from_peer(struct burst *b, unsigned i, unsigned *sent)
{
	struct worker *const w = b->w;
	struct rte_mbuf *const m = b->m[i];
	const struct row *const r = b->hit[i].r;

	if (__builtin_expect(!r, 0))
		return worker_drop(w, m, STAT_RELAY_NO_ALLOCATION);
	uint16_t channel = b->channel[i], delta = r->udp_delta;

	if (__builtin_expect(b->second[i] != SECOND_NONE, 0)) {
		channel = 0;
		if (ended(w, r))
			return worker_drop(w, m, STAT_RELAY_NO_ALLOCATION);
		if (b->second[i] & SECOND_BOUND &&
		    flow_verify(b->flows, &b->key3[i], b->hash3[i], &b->hit3[i]) &&
		    !expired(w, b->hit3[i].r)) {
			channel = b->hit3[i].r->channel;
			delta = b->hit3[i].r->udp_delta;
		}
	}
	if (__builtin_expect(channel != 0, 1))
		return peer_to_channel(b, i, channel, delta, sent);
	if (!flow_verify(b->flows, &b->key2[i], b->hash2[i], &b->hit2[i]) ||
	    expired(w, b->hit2[i].r))
		return worker_drop(w, m, STAT_NO_PERMISSION);
	peer_to_data(b, i);
}

/*
 * From frame i on as long as they are of one kind; returns the first that is not. What a function
 * costs to enter, and its count, are paid once a run.
 */
static inline bool goes_on(const struct burst *b, unsigned i, enum path path)
{
	return i < b->n && b->p[i].path == path;
}

static APART unsigned channel_run(struct burst *b, unsigned i)
{
	unsigned sent = 0;

	do
		channel_to_peer(b, i, &sent);
	while (goes_on(b, ++i, PATH_CHANNEL));
	stat_add(b->w->stats, STAT_CHANNEL_TO_PEER, sent);
	return i;
}

static APART unsigned peer_run(struct burst *b, unsigned i)
{
	unsigned sent = 0;

	do
		from_peer(b, i, &sent);
	while (goes_on(b, ++i, PATH_PEER));
	stat_add(b->w->stats, STAT_PEER_TO_CHANNEL, sent);
	return i;
}

static APART unsigned send_run(struct burst *b, unsigned i)
{
	unsigned sent = 0;

	do
		send_to_peer(b, i, &sent);
	while (goes_on(b, ++i, PATH_SEND));
	stat_add(b->w->stats, STAT_SEND_TO_PEER, sent);
	return i;
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

static inline void dispatch_other(struct burst *b, unsigned i)
{
	struct rte_mbuf *const m = b->m[i];

	switch ((enum path)b->p[i].path) {
	case PATH_CHANNEL:
	case PATH_PEER:
	case PATH_SEND: return; /* runs */
	case PATH_ANSWER: return answer_request(b->w, b->port, m, &b->p[i]);
	case PATH_KERNEL: return give(b, m, GIVE_KERNEL, STAT_TO_KERNEL, STAT_EXCEPTION_FULL);
	case PATH_SLOW: return relay_slow(b->w, b->port, m);
	case PATH_FRAGMENT: return give(b, m, GIVE_FRAGMENT, STAT_FRAGMENT_HELD, STAT_SERVICE_FULL);
	case PATH_ICMP: return give(b, m, GIVE_ICMP, STAT_COUNT, STAT_SERVICE_FULL);
	case PATH_DROP: return worker_drop(b->w, m, b->p[i].drop);
	}
}

/* Returns the frame after those it dealt with. */
static inline unsigned dispatch(struct burst *b, unsigned i)
{
	switch ((enum path)b->p[i].path) {
	case PATH_CHANNEL: return channel_run(b, i);
	case PATH_PEER: return peer_run(b, i);
	case PATH_SEND: return send_run(b, i);
	default: dispatch_other(b, i); return i + 1;
	}
}

void BURST_NAME(struct worker *w, const struct port *port, struct rte_mbuf **rx, unsigned n)
{
	struct burst b;

	b.w = w;
	b.port = port;
	b.flows = w->dp->flows;
	b.second_due = false;
	w->local = __atomic_load_n(&w->dp->local, __ATOMIC_ACQUIRE);
	/* The mbufs, and where the headers of ordinary ones lie, without waiting for the former. */
	for (unsigned i = 0; i < n; i++) {
		rte_prefetch0(rx[i]);
		rte_prefetch0((const uint8_t *)rx[i] + HEADER_AT);
	}
	find_out(&b, rx, n);
	if (b.first)
		suggest(&b);
	if (b.more)
		ask(&b);
	if (b.second_due)
		suggest_second(&b);
	for (unsigned i = 0; i < b.n;)
		i = dispatch(&b, i);
}
