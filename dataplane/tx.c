/* Frames out: one burst per port and turn; what the device refuses is counted. */
#include <rte_ethdev.h>

#include "dataplane/worker.h"

static void give_up(struct worker *w, struct rte_mbuf **m, unsigned n, enum stat_id why)
{
	if (n == 0)
		return;
	stat_add(w->stats, why, n);
	rte_pktmbuf_free_bulk(m, n);
}

/* The port's queues belong to others: its owner sends, in the order of our ring (design 2.9). */
static void flush_foreign(struct worker *w, const struct port *port, struct worker_tx *tx)
{
	struct worker *owner = &w->dp->workers[port->owner[0]];

	for (unsigned i = 0; i < tx->n; i++)
		tx->m[i]->port = port->index;
	const unsigned sent = rte_ring_enqueue_burst(owner->foreign, (void **)tx->m, tx->n, NULL);

	if (sent)
		worker_wake(owner);
	give_up(w, tx->m + sent, tx->n - sent, STAT_FOREIGN_FULL);
}

static void flush_port(struct worker *w, unsigned index)
{
	const struct port *port = &w->dp->ports[index];
	struct worker_tx *tx = &w->tx[index];

	if (tx->queue < 0) {
		flush_foreign(w, port, tx);
		tx->n = 0;
		return;
	}
	uint64_t octets = 0;

	for (unsigned i = 0; i < tx->n; i++)
		octets += tx->m[i]->pkt_len;
	const unsigned sent = rte_eth_tx_burst(port->ethdev, (uint16_t)tx->queue, tx->m, tx->n);

	for (unsigned i = sent; i < tx->n; i++)
		octets -= tx->m[i]->pkt_len;
	stat_add(w->stats, STAT_TX_PACKETS, sent);
	stat_add(w->stats, STAT_TX_OCTETS, octets);
	give_up(w, tx->m + sent, tx->n - sent, STAT_TX_FULL);
	tx->n = 0;
}

void worker_send(struct worker *w, uint16_t port, struct rte_mbuf *m)
{
	struct worker_tx *tx = &w->tx[port];

	tx->m[tx->n++] = m;
	if (tx->n == WORKER_BURST)
		flush_port(w, port);
}

void worker_send_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n)
{
	struct worker_tx *const tx = &w->tx[port];

	while (n > 0) {
		const unsigned room = WORKER_BURST - tx->n, some = n < room ? n : room;

		memcpy(tx->m + tx->n, m, some * sizeof(*m));
		tx->n = (uint16_t)(tx->n + some);
		m += some;
		n -= some;
		if (tx->n == WORKER_BURST)
			flush_port(w, port);
	}
}

void worker_flush(struct worker *w)
{
	for (unsigned i = 0; i < w->dp->n_ports; i++)
		if (w->tx[i].n)
			flush_port(w, i);
}
