/*
 * The last stage for legs of ICE sessions: STUN to leg.c, media from the leg's peer to the peers of
 * the legs it goes to. One receiver gets the frame itself; several get copies, or, where the
 * payload is worth it and the port takes several segments, headers in front of the same payload.
 */
#pragma once

#include "dataplane/burst_out.h"
#include "dataplane/flow_leg.h"
#include "dataplane/leg.h"

enum { LEG_CLONE_FROM = 256 /* octets of payload */ };

/* There is a peer to send to, if it consents. */
static inline bool leg_has_peer(const struct row *to)
{
	return to && to->flags & ROW_FLAG_LEG && to->key.port != 0;
}

#define LEG_PASS(io, in6, out6)                                                                 \
	static APART void leg_pass_##io(struct burst *b, struct item *it, struct row *to,       \
	                                struct rte_mbuf *tail, enum stat_id outcome,            \
	                                struct tally *t)                                        \
	{                                                                                       \
		const struct leg leg = {                                                        \
			.src = relay_source(b, to, out6),                                       \
			.dst = to->key.ip,                                                      \
			.ports_at = (const uint8_t *)to + offsetof(struct row, relayed_port),   \
		};                                                                              \
                                                                                                \
		forward(b, it, in6, out6, WRAP_NONE, WRAP_NONE, false, &leg, to, tail, outcome, \
		        t);                                                                     \
	}

LEG_PASS(44, false, false)
LEG_PASS(46, false, true)
LEG_PASS(64, true, false)
LEG_PASS(66, true, true)

/* `tail`: the payload, if it is not in the frame itself. */
static inline void leg_pass(struct burst *b, struct item *it, struct row *to, struct rte_mbuf *tail,
                            enum stat_id outcome, struct tally *t)
{
	if (t->queued == WORKER_BURST)
		flush(b, t);
	switch ((it->p.family == 6 ? 2 : 0) + !!(to->flags & ROW_FLAG_PEER6)) {
	case 0: return leg_pass_44(b, it, to, tail, outcome, t);
	case 1: return leg_pass_46(b, it, to, tail, outcome, t);
	case 2: return leg_pass_64(b, it, to, tail, outcome, t);
	default: return leg_pass_66(b, it, to, tail, outcome, t);
	}
}

/* --- to several --- */

/* As rewrite() will find: whole, to the next hop of that leg, with life left. What turns round
 * inside has none. */
static inline bool leg_fits(const struct burst *b, const struct item *it, const struct row *to)
{
	const uint8_t *const ip = rte_pktmbuf_mtod_offset(it->m, const uint8_t *, REWRITE_ETH);
	const bool in6 = it->p.family == 6, out6 = to->flags & ROW_FLAG_PEER6;
	uint32_t limit = b->adjacency[to->adjacency].mtu;

	if (to->flags & ROW_FLAG_TURNED)
		return false;
	if (!in6 && out6 && limit > b->w->dp->cfg->fragment_mtu && !(ip[6] & REWRITE_DF))
		limit = b->w->dp->cfg->fragment_mtu;
	return rewrite_ip_len(out6) + REWRITE_UDP + it->p.data_len <= limit &&
	       (in6 ? ip[7] : ip[8]) > 1;
}

/* The payload of another frame, as a segment of its own. */
static struct rte_mbuf *leg_tail(const struct burst *b, const struct item *it)
{
	struct rte_mbuf *const c = rte_pktmbuf_clone(it->m, b->w->pool);

	if (!c)
		return NULL;
	c->data_off = (uint16_t)(c->data_off + it->p.data_at);
	c->data_len = (uint16_t)it->p.data_len;
	c->pkt_len = it->p.data_len;
	return c;
}

/* The frame once more; *tail: without its payload, which is that. false: no buffer. */
static bool leg_copy(const struct burst *b, const struct item *it, const struct row *to,
                     struct item *copy, struct rte_mbuf **tail)
{
	const uint8_t *const f = rte_pktmbuf_mtod(it->m, const uint8_t *);
	const bool apart = it->p.data_len >= LEG_CLONE_FROM &&
	                   b->w->dp->ports[b->adjacency[to->adjacency].port].segments &&
	                   fast_load16(f + it->p.udp_at + 6) != 0;
	const uint32_t len = it->p.data_at + (apart ? 0 : it->p.data_len);
	struct rte_mbuf *const m = rte_pktmbuf_alloc(b->w->pool);

	*tail = m && apart ? leg_tail(b, it) : NULL;
	if (!m || (apart && !*tail) || len > rte_pktmbuf_tailroom(m)) {
		rte_pktmbuf_free(m);
		rte_pktmbuf_free(*tail);
		return false;
	}
	m->data_len = (uint16_t)len;
	m->pkt_len = it->p.data_at + it->p.data_len;
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), f, len);
	copy->p = it->p;
	copy->m = m;
	return true;
}

/* The long way, where it is counted, too. */
static COLD void leg_slow(struct burst *b, struct item *it, struct tally *t)
{
	flush(b, t);
	relay_slow(b->w, b->port, it->m);
}

static COLD void leg_fan(struct burst *b, struct item *it, struct tally *t)
{
	const struct flow_leg *const l = flow_leg_of(b->flows, it->r);
	struct row *to[LEG_TO_MAX];
	unsigned n = 0, ended = 0;
	bool fits = true;

	for (unsigned i = 0; i < l->c.n_to; i++) {
		to[n] = flow_leg_at(b->flows, l->to[i].relay, rewrite_be(l->to[i].port));
		if (!leg_has_peer(to[n]))
			continue;
		if (burst_expired(b, to[n])) {
			ended++;
			continue;
		}
		fits = fits && leg_fits(b, it, to[n]);
		n++;
	}
	if (!fits)
		return leg_slow(b, it, t);
	flow_leg_count(flow_row_leg(it->r), b->worker, it->p.data_len);
	stat_add(b->w->stats, STAT_LEG_NO_CONSENT, ended);
	if (n == 0)
		return worker_drop(b->w, it->m, STAT_LEG_NOT_CONNECTED);
	for (unsigned i = 0; i + 1 < n; i++) {
		struct rte_mbuf *tail;
		struct item copy;

		if (!leg_copy(b, it, to[i], &copy, &tail)) {
			stat_add(b->w->stats, STAT_LEG_COPY_LOST, 1);
			continue;
		}
		const unsigned before = t->left + t->queued;

		leg_pass(b, &copy, to[i], tail, STAT_LEG_COPY, t);
		t->bound += t->left + t->queued - before;
	}
	leg_pass(b, it, to[n - 1], NULL, STAT_LEG_TO_LEG, t);
}

/* --- one frame, and runs of them --- */

static inline bool leg_from_peer(const struct row *r, const struct flow_key *from)
{
	return ((flow_key_word(&r->key, 0) ^ flow_key_word(from, 0)) |
	        (flow_key_word(&r->key, 1) ^ flow_key_word(from, 1)) |
	        (uint64_t)(r->key.port ^ from->port)) == 0;
}

static inline void leg_frame(struct burst *b, struct item *it, struct tally *t)
{
	struct row_leg *const l = flow_row_leg(it->r);
	const uint8_t *const data = rte_pktmbuf_mtod_offset(it->m, const uint8_t *, it->p.data_at);

	if (leg_is_stun(data, it->p.data_len)) {
		flush(b, t); /* an answer stands behind what came before it */
		return leg_stun(b->w, b->port, it->m, &it->p, it->r);
	}
	if (__builtin_expect(!leg_from_peer(it->r, &it->p.key), 0) &&
	    !flow_leg_source(flow_leg_of(b->flows, it->r), it->p.key.ip, it->p.key.port))
		return worker_drop(b->w, it->m, STAT_LEG_UNKNOWN_SOURCE);
	if (!l->next_port)
		return leg_fan(b, it, t);
	const bool peer = leg_has_peer(it->r2), open = peer && !burst_expired(b, it->r2);

	if (__builtin_expect(open && !leg_fits(b, it, it->r2), 0))
		return leg_slow(b, it, t);
	flow_leg_count(l, b->worker, it->p.data_len);
	if (__builtin_expect(!open, 0)) {
		stat_add(b->w->stats, STAT_LEG_NO_CONSENT, peer);
		return worker_drop(b->w, it->m, STAT_LEG_NOT_CONNECTED);
	}
	leg_pass(b, it, it->r2, NULL, STAT_LEG_TO_LEG, t);
}

/* Returns the item after the last of a leg's. */
static APART struct item *leg_run(struct burst *b, struct item *it)
{
	struct tally t = { 0 };

	do
		leg_frame(b, it, &t);
	while ((++it)->p.path == PATH_LEG);
	flush(b, &t);
	stat_add(b->w->stats, STAT_LEG_TO_LEG, t.left - t.bound);
	if (t.bound)
		stat_add(b->w->stats, STAT_LEG_COPY, t.bound);
	return it;
}
