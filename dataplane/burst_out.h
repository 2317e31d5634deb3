/*
 * The last stage of a burst: verified, rewritten, counted, out. Frames that are alike (path and
 * families) go in runs, each through straight code of its own; what that costs to enter, and the
 * outcome's count, are paid once a run.
 */
#pragma once

#include "dataplane/burst_item.h"

static_assert(offsetof(struct row, peer_port) == offsetof(struct row, relayed_port) + 2,
              "one load gives both ports as a header has them");

/* What a run has done. */
struct tally {
	unsigned queued; /* in b->out[], for b->out_port */
	unsigned left;   /* relayed and no longer there */
	unsigned bound;  /* of those, with another outcome: to a channel where the rest goes as Data
	                  */
};

static ALWAYS void flush(struct burst *b, struct tally *t)
{
	if (t->queued)
		worker_send_burst(b->w, b->out_port, b->out, t->queued);
	t->left += t->queued;
	t->queued = 0;
}

static APART void flush_apart(struct burst *b, unsigned queued)
{
	if (queued)
		worker_send_burst(b->w, b->out_port, b->out, queued);
}

/*
 * What is left to do after a rewrite that was not one. Those before it leave first: the order of
 * its flow.
 */
static COLD void refused(struct burst *b, struct rte_mbuf *m, enum rewrite_result result,
                         unsigned queued)
{
	flush_apart(b, queued);
	if (result == REWRITE_TTL)
		worker_drop(b->w, m, STAT_TTL_EXPIRED);
	else
		relay_slow(b->w, b->port, m);
}

static COLD void count_other(const struct burst *b, struct row *r, uint32_t octets)
{
	flow_count_inline(b->flows, r, b->worker, octets);
}

/* The rewrite, and what follows. `counted` is the row that counts the datagram and has the next
 * hop; `tail` its data, where that is a segment of its own. */
static ALWAYS void forward(struct burst *b, struct item *it, const bool in6, const bool out6,
                           const enum wrap in, const enum wrap out, const bool ready,
                           const struct leg *leg, struct row *counted, struct rte_mbuf *const tail,
                           enum stat_id outcome, struct tally *t)
{
	struct worker *const w = b->w;
	struct rte_mbuf *const m = it->m;
	const struct adjacency *const a = &b->adjacency[counted->adjacency];
	const uint32_t data_len = it->p.data_len;
	unsigned state = 0;
	const enum rewrite_result result =
		rewrite(w, m, &it->p, in6, out6, in, out, in6, ready, leg, a, &state);

	if (tail && result == REWRITE_OK) {
		m->data_len = (uint16_t)(m->pkt_len - data_len);
		m->next = tail;
		m->nb_segs = 2;
	} else if (tail) {
		rte_pktmbuf_free(tail);
		return worker_drop(w, m, STAT_LEG_COPY_LOST);
	}
	if (__builtin_expect(result != REWRITE_OK, 0)) {
		refused(b, m, result, t->queued);
		t->left += t->queued;
		t->queued = 0;
		return;
	}
	if (__builtin_expect(
		    atomic_load_explicit(&counted->owner, memory_order_relaxed) != b->worker, 0)) {
		count_other(b, counted, data_len);
	} else {
		abi_count(&counted->counts.packets, 1);
		abi_count(&counted->counts.octets, data_len);
	}
	if (__builtin_expect(state != NEIGHBOUR_RESOLVED, 0))
		return relay_hold(w, m, counted->adjacency, outcome);
	if (__builtin_expect(a->port != b->out_port, 0)) {
		flush_apart(b, t->queued);
		t->left += t->queued;
		t->queued = 0;
		b->out_port = a->port;
	}
	b->out[t->queued++] = m;
}

/* --- ChannelData to a peer --- */

/* The 16-octet form of peer_ip4 as far as anyone reads it: its last four octets. */
static inline const uint8_t *ip4_form(const struct row *r)
{
	return (const uint8_t *)r + offsetof(struct row, peer_ip4) - 12;
}

/* What a peer sees as sender, likewise. */
static ALWAYS const uint8_t *relay_source(const struct burst *b, const struct row *r, bool six)
{
	return six ? b->local->relay[r->relay].addr.ip
	           : (const uint8_t *)&b->local->relay4[r->relay] - 12;
}

static COLD void channel_turned(struct burst *b, struct item *it)
{
	const struct row *const r = it->r;
	struct addr peer = { .ip = { 0 } };

	if (r->flags & ROW_FLAG_PEER6)
		memcpy(peer.ip, ((const struct row_wide *)r)->peer_ip6, 16);
	else
		peer = addr_from4(r->peer_ip4);
	hairpin(b->w, b->port, it->m, &it->p, r, flow_index(b->flows, r), &peer, r->peer_port);
}

/* false: it is one of another run. */
static ALWAYS bool channel_to_peer(struct burst *b, struct item *it, const bool in6,
                                   const bool out6, struct tally *t)
{
	struct row *r = it->r;

	/* A second time only if the run before had it found. */
	if (__builtin_expect(!flow_key_is(r, &it->p.key), 0)) {
		it->r = r = burst_search(b, &it->p.key, &it->hash);
		if (!r) {
			worker_drop(b->w, it->m, STAT_CD_UNBOUND);
			return true;
		}
	}
	if (__builtin_expect(burst_expired(b, r), 0)) {
		worker_drop(b->w, it->m, STAT_CD_EXPIRED);
		return true;
	}
	const unsigned flags = r->flags & (ROW_FLAG_TURNED | ROW_FLAG_PEER6);

	if (__builtin_expect(flags != (out6 ? ROW_FLAG_PEER6 : 0), 0)) {
		if (!(flags & ROW_FLAG_TURNED))
			return false;
		channel_turned(b, it);
		return true;
	}
	/* What else a leg has is not read for a channel. */
	struct leg leg;

	leg.src = relay_source(b, r, out6);
	leg.dst = out6 ? ((const struct row_wide *)r)->peer_ip6 : ip4_form(r);
	leg.ports_at = (const uint8_t *)r + offsetof(struct row, relayed_port);
	leg.delta = &r->udp_delta;
	forward(b, it, in6, out6, WRAP_CHANNEL, WRAP_NONE, true, &leg, r, NULL,
	        STAT_CHANNEL_TO_PEER, t);
	return true;
}

/* --- Send to a peer --- */

/* Without an inline peer the row's deadline is the allocation's own. */
static inline bool ended(const struct burst *b, const struct row *allocation)
{
	return __atomic_load_n(&allocation->channel, __ATOMIC_ACQUIRE) == 0 &&
	       burst_expired(b, allocation);
}

static ALWAYS bool send_to_peer(struct burst *b, struct item *it, const bool in6, const bool out6,
                                struct tally *t)
{
	struct worker *const w = b->w;
	const struct row *const allocation = it->r;

	if ((it->p.key.kind == FLOW_ALLOCATION6) != out6)
		return false;
	if (__builtin_expect(!allocation, 0) || __builtin_expect(ended(b, allocation), 0)) {
		worker_drop(w, it->m, STAT_NO_ALLOCATION);
		return true;
	}
	struct row *const r = burst_found(b, it->r2, &it->key2, &it->hash2);

	if (__builtin_expect(!r, 0) || __builtin_expect(burst_expired(b, r), 0)) {
		worker_drop(w, it->m, STAT_NO_PERMISSION);
		return true;
	}
	const uint8_t *const frame = rte_pktmbuf_mtod(it->m, const uint8_t *);
	const uint32_t peer_port =
		fast_wide16(frame + it->p.peer_at + 2) ^ rewrite_be(STUN_COOKIE >> 16);

	if (__builtin_expect(r->flags & ROW_FLAG_TURNED, 0)) {
		struct addr peer;

		memcpy(peer.ip, it->key2.ip, 16);
		hairpin(w, b->port, it->m, &it->p, allocation, flow_index(b->flows, r), &peer,
		        (uint16_t)peer_port);
		return true;
	}
	const struct leg leg = {
		.src = relay_source(b, allocation, out6),
		.dst = it->key2.ip,
		.ports = fast_wide16(&allocation->relayed_port) | peer_port << 16,
	};

	forward(b, it, in6, out6, WRAP_INDICATION, WRAP_NONE, false, &leg, r, NULL,
	        STAT_SEND_TO_PEER, t);
	return true;
}

/* --- a peer's datagram to the client --- */

/* relay_leg_to_client(), from the burst's table. */
static ALWAYS void leg_to_client(const struct burst *b, const struct row *allocation,
                                 const bool six, struct leg *leg)
{
	const uint32_t id = fast_wide16(&allocation->key.listener);
	const struct local_at4 *const four = &b->local->listen4[id];

	leg->src = six ? b->local->listener[id].at.addr.ip : (const uint8_t *)&four->ip - 12;
	leg->dst = allocation->key.ip;
	leg->ports_at = NULL;
	leg->ports = four->port | fast_wide16(&allocation->key.port) << 16;
}

static ALWAYS void peer_to_channel(struct burst *b, struct item *it, const bool in6,
                                   const bool out6, uint32_t channel, const uint16_t *delta,
                                   struct tally *t)
{
	struct leg leg;

	leg.channel = channel;
	leg.delta = delta;
	leg_to_client(b, it->r, out6, &leg);
	forward(b, it, in6, out6, WRAP_NONE, WRAP_CHANNEL, true, &leg, it->r, NULL,
	        STAT_PEER_TO_CHANNEL, t);
}

/* Of the inline peer. */
static ALWAYS bool peer_to_inline(struct burst *b, struct item *it, const bool in6, const bool out6,
                                  struct tally *t)
{
	const struct row *const r = it->r;

	if (it->second != SECOND_NONE || !(r->flags & ROW_FLAG_CLIENT6) == out6)
		return false;
	peer_to_channel(b, it, in6, out6, fast_wide16(&it->channel), &r->udp_delta, t);
	return true;
}

/* Of a peer bound in a row of its own. false: this one is not. */
static ALWAYS bool peer_to_bound(struct burst *b, struct item *it, const bool in6, const bool out6,
                                 struct tally *t)
{
	if (!(it->second & SECOND_BOUND))
		return false;
	const struct row *const bound = burst_found(b, it->r3, &it->key3, &it->hash3);

	if (!bound || burst_expired(b, bound) || bound->channel == 0)
		return false;
	const unsigned before = t->left + t->queued;

	peer_to_channel(b, it, in6, out6, bound->channel, &bound->udp_delta, t);
	t->bound += t->left + t->queued - before;
	return true;
}

/* Of a peer that has a permission, perhaps, and no binding. */
static ALWAYS bool peer_to_data(struct burst *b, struct item *it, const bool in6, const bool out6,
                                struct tally *t)
{
	const struct row *const r = it->r;
	struct leg leg;

	if (it->second == SECOND_NONE || it->second == SECOND_NO_ROW ||
	    !(r->flags & ROW_FLAG_CLIENT6) == out6)
		return false;
	if (__builtin_expect(ended(b, r), 0)) {
		worker_drop(b->w, it->m, STAT_RELAY_NO_ALLOCATION);
		return true;
	}
	if (peer_to_bound(b, it, in6, out6, t))
		return true;
	const struct row *const permission = burst_found(b, it->r2, &it->key2, &it->hash2);

	if (__builtin_expect(!permission, 0) || __builtin_expect(burst_expired(b, permission), 0)) {
		worker_drop(b->w, it->m, STAT_NO_PERMISSION);
		return true;
	}
	leg.peer_port = fast_wide16(&it->p.key.port);
	leg.peer = it->p.key.ip;
	leg_to_client(b, r, out6, &leg);
	forward(b, it, in6, out6, WRAP_NONE, WRAP_INDICATION, false, &leg, it->r, NULL,
	        STAT_PEER_TO_DATA, t);
	return true;
}

/* --- runs --- */

typedef struct item *run_fn(struct burst *b, struct item *it);

/* Both octets at once. What follows the last item is of no kind that goes on. */
static ALWAYS bool goes_on(const struct item *it, enum path path, bool in6)
{
	const uint8_t want[2] = { (uint8_t)path, in6 ? 6 : 4 };

	static_assert(offsetof(struct parsed, family) == offsetof(struct parsed, path) + 1, "");
	return fast_load16(&it->p.path) == fast_load16(want);
}

/* From an item on as long as they are of one kind: NAME_io, families in and out. */
#define RUN(name, body, kind, io, in6, out6, outcome)                           \
	static APART struct item *name##_##io(struct burst *b, struct item *it) \
	{                                                                       \
		struct tally t = { 0 };                                         \
                                                                                \
		while (body(b, it, in6, out6, &t) && goes_on(++it, kind, in6))  \
			;                                                       \
		flush(b, &t);                                                   \
		stat_add(b->w->stats, outcome, t.left - t.bound);               \
		if (t.bound)                                                    \
			stat_add(b->w->stats, STAT_PEER_TO_CHANNEL, t.bound);   \
		return it;                                                      \
	}

#define RUNS(name, body, kind, outcome)                  \
	RUN(name, body, kind, 44, false, false, outcome) \
	RUN(name, body, kind, 46, false, true, outcome)  \
	RUN(name, body, kind, 64, true, false, outcome)  \
	RUN(name, body, kind, 66, true, true, outcome)   \
	static run_fn *const name[4] = { name##_44, name##_46, name##_64, name##_66 };

RUNS(run_channel, channel_to_peer, PATH_CHANNEL, STAT_CHANNEL_TO_PEER)
RUNS(run_send, send_to_peer, PATH_SEND, STAT_SEND_TO_PEER)
RUNS(run_inline, peer_to_inline, PATH_PEER, STAT_PEER_TO_CHANNEL)
RUNS(run_data, peer_to_data, PATH_PEER, STAT_PEER_TO_DATA)

static inline bool burst_is_relayed(const struct item *it)
{
	return it->p.path <= PATH_SEND;
}
static_assert(PATH_CHANNEL == 0 && PATH_PEER == 1 && PATH_SEND == 2, "the first three");

/* Returns the item after those it dealt with: none if the row was not what it looked like. */
static inline struct item *burst_run(struct burst *b, struct item *it)
{
	const struct row *const r = it->r;
	const unsigned in = it->p.family == 6 ? 2 : 0;

	if (it->p.path == PATH_CHANNEL)
		return run_channel[in + !!(r->flags & ROW_FLAG_PEER6)](b, it);
	if (it->p.path == PATH_SEND)
		return run_send[in + (it->p.key.kind == FLOW_ALLOCATION6)](b, it);
	if (!r) {
		worker_drop(b->w, it->m, STAT_RELAY_NO_ALLOCATION);
		return it + 1;
	}
	const unsigned io = in + !!(r->flags & ROW_FLAG_CLIENT6);

	return it->second == SECOND_NONE ? run_inline[io](b, it) : run_data[io](b, it);
}
