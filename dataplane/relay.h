/*
 * What becomes of one datagram whose rows are known: deadlines, permissions, turning, rewrite,
 * counts, and out. Shared by the burst (all constants, inline) and by hairpin.c (the general case).
 */
#pragma once

#include "dataplane/rewrite.h"
#include "dataplane/service.h"
#include "dataplane/slow.h"

static inline const struct adjacency *relay_adjacency(const struct worker *w, uint16_t index)
{
	return &w->dp->adjacency->entry[index];
}

/* No hurry for these: the long way, from the frame as it came. */
static inline void relay_slow(struct worker *w, const struct port *port, struct rte_mbuf *m)
{
	slow_relay(w, port, rte_pktmbuf_mtod(m, const uint8_t *), m->pkt_len, worker_send);
	rte_pktmbuf_free(m);
}

/* A finished frame leaves, or waits for its neighbour with the service turn. */
static inline void relay_out(struct worker *w, struct rte_mbuf *m, uint16_t index, unsigned state,
                             enum stat_id outcome)
{
	const struct adjacency *const a = relay_adjacency(w, index);

	if (__builtin_expect(state != NEIGHBOUR_RESOLVED, 0)) {
		m->port = a->port;
		if (!service_give(w->dp, m, GIVE_UNRESOLVED, index)) {
			worker_drop(w, m, STAT_SERVICE_FULL);
			return;
		}
		stat_add(w->stats, outcome, 1);
		return;
	}
	stat_add(w->stats, outcome, 1);
	worker_send(w, a->port, m);
}

/* The peer's side of a leg: from the relayed address of `r` to the peer. */
static inline void relay_leg_to_client(const struct worker *w, const struct row *allocation,
                                       struct leg *leg)
{
	const struct local_listener *const l = &w->local->listener[allocation->key.listener];

	leg->src = l->at.addr.ip;
	leg->sport = rewrite_be(l->at.port);
	leg->dst = allocation->key.ip;
	leg->dport = allocation->key.port;
}

/*
 * Turned datagrams (TURN-211 to TURN-213): from a client of ours to a relayed address of ours.
 * `sender` is the sender's row with relayed address and port (channel or allocation), `counted` the
 * one that counts what it sends. Consumes m. hairpin.c.
 */
void hairpin(struct worker *w, const struct port *port, struct rte_mbuf *m, const struct parsed *p,
             const struct row *sender, uint32_t counted, const struct addr *peer,
             uint16_t peer_port);
