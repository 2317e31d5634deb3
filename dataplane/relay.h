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

/* A finished frame whose next hop has no MAC yet waits with the service turn. */
void relay_hold(struct worker *w, struct rte_mbuf *m, uint16_t adjacency, enum stat_id outcome);

/* A finished frame leaves. */
static inline void relay_out(struct worker *w, struct rte_mbuf *m, uint16_t index, unsigned state,
                             enum stat_id outcome)
{
	if (__builtin_expect(state != NEIGHBOUR_RESOLVED, 0)) {
		relay_hold(w, m, index, outcome);
		return;
	}
	stat_add(w->stats, outcome, 1);
	worker_send(w, relay_adjacency(w, index)->port, m);
}

/* The client's side: from its listener to the client of an allocation. */
static inline void relay_leg_to_client(const struct worker *w, const struct row *allocation,
                                       struct leg *leg)
{
	const struct local_listener *const l = &w->local->listener[allocation->key.listener];

	leg->src = l->at.addr.ip;
	leg->dst = allocation->key.ip;
	leg->ports_at = NULL;
	leg->ports = rewrite_be(l->at.port) | (uint32_t)allocation->key.port << 16;
}

/*
 * Turned datagrams (TURN-211 to TURN-213): from a client of ours to a relayed address of ours.
 * `sender` is the sender's row with relayed address and port (channel or allocation), `counted` the
 * one that counts what it sends. Consumes m. hairpin.c.
 */
void hairpin(struct worker *w, const struct port *port, struct rte_mbuf *m, const struct parsed *p,
             const struct row *sender, uint32_t counted, const struct addr *peer,
             uint16_t peer_port);
