/*
 * One burst through the relay, in stages: each ends for the whole burst before the next begins, so
 * the memory it touches was asked for one stage earlier. The last stage (burst_out.h) goes in the
 * order the frames came in, which keeps the order within a flow (TURN-148).
 *
 * This file is built for several processors, under several names; worker.c chooses at start.
 */
#include "dataplane/burst.h"

#include "dataplane/answer.h"
#include "dataplane/burst_leg.h"

enum { HEADER_AT = sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM };

/* --- stage 1: what is it, and where would its row be --- */

/* Every frame as classify() needs it. false: it is gone. */
static APART bool admit(struct worker *w, const struct port *port, struct rte_mbuf *m)
{
	if (m->nb_segs > 1 && rte_pktmbuf_linearize(m) != 0) {
		worker_drop(w, m, STAT_TOO_BIG);
		return false;
	}
	if (port->software && port_complete_checksum(m))
		stat_add(w->stats, STAT_CHECKSUM_COMPLETED, 1);
	return true;
}

/* Apart, so that the registers are for IPv4. */
static APART enum fast find_out_other(const struct burst *b, const struct rte_mbuf *m, uint64_t mac,
                                      unsigned channel_mask, struct item *it)
{
	const struct worker *const w = b->w;
	const uint8_t *const f = rte_pktmbuf_mtod(m, const uint8_t *);
	struct parsed *const p = &it->p;
	struct fast_key key;
	enum fast fast = fast_ip6(b->local, f, m->data_len, mac, channel_mask, p, &key);

	if (fast == FAST_NO) {
		classify(b->local, f, m->data_len, b->port->mac.addr_bytes,
		         __atomic_load_n(&w->serve, __ATOMIC_RELAXED), p);
		fast = p->path == PATH_CHANNEL ? FAST_CHANNEL
		       : p->path == PATH_PEER  ? FAST_PEER
		       : p->path == PATH_SEND  ? FAST_SEND
		                               : FAST_NO;
		memcpy(&key, &p->key, sizeof(key));
	}
	if (fast == FAST_CHANNEL || fast == FAST_SEND) {
		it->hash = fast_hash(b->flows, &key);
		it->home = flow_home(b->flows, it->hash);
	} else if (fast == FAST_PEER) {
		it->entry = flow_port(b->flows, p->local, p->key.channel);
		rte_prefetch0((const void *)(uintptr_t)it->entry);
	}
	return fast;
}

/* Counts in registers: through memory each would wait for the one before. */
static ALWAYS void find_out(struct burst *b, struct rte_mbuf **rx, const unsigned n,
                            const bool software)
{
	struct worker *const w = b->w;
	const struct local_table *const local = b->local;
	const struct flow_table *const flows = b->flows;
	const unsigned serve = __atomic_load_n(&w->serve, __ATOMIC_RELAXED); /* a reload writes */
	const unsigned channel_mask = serve & DEMUX_SERVE_RFC5766 ? 0xC0 : 0xF0;
	struct item *it = b->item;
	uint64_t octets = 0, mac = 0;
	unsigned found = 0; /* bits of enum fast */

	memcpy(&mac, b->port->mac.addr_bytes, 6);
	fast_want4(&b->want, mac);
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *const m = rx[i];

		octets += m->pkt_len;
		if ((software || __builtin_expect(m->nb_segs > 1, 0)) && !admit(w, b->port, m))
			continue;
		struct fast_key key;
		const uint8_t *const f = rte_pktmbuf_mtod(m, const uint8_t *);

		it->m = m;
		switch (fast_ip4(local, f, m->data_len, &b->want, channel_mask, &it->p, &key)) {
		case FAST_CHANNEL:
			it->hash = fast_hash(flows, &key);
			it->home = flow_home(flows, it->hash);
			found |= 1 << FAST_CHANNEL;
			break;
		case FAST_PEER:
			it->entry = &flows->ports[key.entry];
			rte_prefetch0((const void *)(uintptr_t)it->entry);
			found |= 1 << FAST_PEER;
			break;
		case FAST_SEND:
			it->hash = fast_hash(flows, &key);
			it->home = flow_home(flows, it->hash);
			found |= 1 << FAST_SEND;
			break;
		default: found |= 1u << find_out_other(b, m, mac, channel_mask, it);
		}
		it++;
	}
	it->p.path = PATH_DROP;
	b->n = (unsigned)(it - b->item);
	b->first = found & (1 << FAST_CHANNEL | 1 << FAST_PEER | 1 << FAST_SEND);
	b->more = found & (1 << FAST_PEER | 1 << FAST_SEND);
	stat_add(w->stats, STAT_RX_PACKETS, n);
	stat_add(w->stats, STAT_RX_OCTETS, octets);
}

static APART void find_out_software(struct burst *b, struct rte_mbuf **rx, unsigned n)
{
	find_out(b, rx, n, true);
}

static APART void find_out_hardware(struct burst *b, struct rte_mbuf **rx, unsigned n)
{
	find_out(b, rx, n, false);
}

/* --- stage 2: the row, probably --- */

/* Of no key that a frame has: found not to be the one, without a question of its own. */
static struct row nobody;

static APART void suggest(struct burst *b)
{
	const struct flow_table *const flows = b->flows;
	const struct item *const end = b->item + b->n;

	for (struct item *it = b->item; it < end; it++) {
		if (it->p.path == PATH_CHANNEL || it->p.path == PATH_SEND) {
			it->r = flow_candidate(flows, it->home, it->hash, &nobody);
		} else if (it->p.path == PATH_PEER) {
			const uint32_t row = atomic_load_explicit(it->entry, memory_order_acquire);

			it->r = NULL;
			if (__builtin_expect(row != 0, 1)) {
				it->r = flow_at(flows, ~row);
				flow_prefetch_row(flows, ~row);
			}
		}
	}
}

/* --- stage 3: what else has to be looked up --- */

static ALWAYS void ask_second(struct burst *b, struct item *it, const uint64_t ip[2], uint16_t port)
{
	const struct row *const allocation = it->r;
	const uint32_t row = flow_index(b->flows, allocation);

	it->hash2 = flow_peer_hash(b->flows, &it->key2, ip, 0, row, allocation->generation,
	                           FLOW_PERMISSION);
	it->home2 = flow_home(b->flows, it->hash2);
	it->second = SECOND_PERMISSION;
	b->second_due = true;
	if (port == 0 || !(allocation->flags & ROW_FLAG_SPILL))
		return;
	it->hash3 = flow_peer_hash(b->flows, &it->key3, ip, port, row, allocation->generation,
	                           FLOW_BOUND_PEER);
	it->home3 = flow_home(b->flows, it->hash3);
	it->second |= SECOND_BOUND;
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

/* Media for a leg, or STUN: which, is seen in the last stage. */
static APART void ask_leg(struct burst *b, struct item *it)
{
	const struct row_leg *const l = flow_row_leg(it->r);

	it->p.path = PATH_LEG;
	it->r2 = NULL;
	if (!l->next_port)
		return;
	it->entry = flow_port(b->flows, l->next_relay, l->next_port);
	rte_prefetch0((const void *)(uintptr_t)it->entry);
	it->second = SECOND_LEG;
	b->second_due = true;
}

static APART void ask(struct burst *b)
{
	const struct item *const end = b->item + b->n;

	for (struct item *it = b->item; it < end; it++) {
		const struct parsed *const p = &it->p;
		uint64_t ip[2];

		it->second = SECOND_NONE;
		if (p->path == PATH_PEER) {
			if (__builtin_expect(!it->r, 0)) {
				it->second = SECOND_NO_ROW;
				continue;
			}
			it->channel = inline_channel(it->r, p);
			/* After the binding the permission may live on (TURN-076). */
			if (it->channel != 0 && !burst_expired(b, it->r))
				continue;
			if (__builtin_expect(it->r->flags & ROW_FLAG_LEG, 0)) {
				ask_leg(b, it);
				continue;
			}
			memcpy(ip, p->key.ip, sizeof(ip));
			ask_second(b, it, ip, p->key.port);
		} else if (p->path == PATH_SEND) {
			it->r = burst_found(b, it->r, &p->key, &it->hash);
			if (!it->r)
				continue;
			peer_ip(rte_pktmbuf_mtod(it->m, const uint8_t *), p, ip);
			ask_second(b, it, ip, 0);
		}
	}
}

static APART void suggest_second(struct burst *b)
{
	const struct item *const end = b->item + b->n;

	for (struct item *it = b->item; it < end; it++) {
		if (it->second & SECOND_PERMISSION)
			it->r2 = flow_candidate(b->flows, it->home2, it->hash2, &nobody);
		if (it->second & SECOND_BOUND)
			it->r3 = flow_candidate(b->flows, it->home3, it->hash3, &nobody);
		if (it->second & SECOND_LEG) {
			const uint32_t row = atomic_load_explicit(it->entry, memory_order_acquire);

			it->r2 = flow_row_or_null(b->flows, ~row);
			__builtin_prefetch(it->r2, 1);
		}
	}
}

/* --- what is not relayed --- */

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

static APART void other(struct burst *b, const struct item *it)
{
	struct rte_mbuf *const m = it->m;

	switch ((enum path)it->p.path) {
	case PATH_CHANNEL:
	case PATH_PEER:
	case PATH_SEND:
	case PATH_LEG: return; /* runs */
	case PATH_ANSWER: return answer_request(b->w, b->port, m, &it->p);
	case PATH_KERNEL: return give(b, m, GIVE_KERNEL, STAT_TO_KERNEL, STAT_EXCEPTION_FULL);
	case PATH_SLOW: return relay_slow(b->w, b->port, m);
	case PATH_FRAGMENT: return give(b, m, GIVE_FRAGMENT, STAT_FRAGMENT_HELD, STAT_SERVICE_FULL);
	case PATH_ICMP: return give(b, m, GIVE_ICMP, STAT_COUNT, STAT_SERVICE_FULL);
	case PATH_DROP: return worker_drop(b->w, m, it->p.drop);
	}
}

void BURST_NAME(struct worker *w, const struct port *port, struct rte_mbuf **rx, unsigned n)
{
	struct burst b;

	b.w = w;
	b.port = port;
	b.flows = w->dp->flows;
	b.second_due = false;
	b.now_s = w->now_s;
	b.adjacency = w->dp->adjacency->entry;
	b.worker = (uint8_t)w->index;
	b.out_port = 0;
	b.local = w->local = __atomic_load_n(&w->dp->local, __ATOMIC_ACQUIRE);
	/* The mbufs, and where the headers of ordinary ones lie, without waiting for the former. */
	for (unsigned i = 0; i + 1 < n; i += 2) {
		rte_prefetch0(rx[i]);
		rte_prefetch0((const uint8_t *)rx[i] + HEADER_AT);
		rte_prefetch0(rx[i + 1]);
		rte_prefetch0((const uint8_t *)rx[i + 1] + HEADER_AT);
	}
	if (port->software)
		find_out_software(&b, rx, n);
	else
		find_out_hardware(&b, rx, n);
	if (b.first)
		suggest(&b);
	if (b.more)
		ask(&b);
	if (b.second_due)
		suggest_second(&b);
	for (struct item *it = b.item, *const end = b.item + b.n; it < end;) {
		if (burst_is_relayed(it))
			it = burst_run(&b, it);
		else if (it->p.path == PATH_LEG)
			it = leg_run(&b, it);
		else
			other(&b, it++);
	}
}
