/* Mirrors dataplane/tx.c: what a port or an owner's ring refuses is counted and freed. */
#include "lab.h"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>

enum { FRAMES = 100, PORT_ROOM = 63, RING_ROOM = WORKER_RING - 1 };

static const uint8_t frame[60] = { 2 };

static void send_frames(struct worker *w, uint16_t port, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		worker_send(w, port, lab_mbuf(frame, sizeof(frame)));
	worker_flush(w);
}

/* The port takes 63 frames and no more. */
static void test_tx_full(void)
{
	struct rte_ring *ring = rte_ring_create("tx", 64, SOCKET_ID_ANY, 0);
	const int ethdev = rte_eth_from_ring(ring);
	const unsigned before = rte_mempool_avail_count(lab.pool);
	struct worker *const w = &lab.worker[0];
	struct rte_eth_conf conf = { .link_speeds = 0 };
	struct rte_mbuf *m = NULL;

	CHECK(ethdev >= 0 && rte_eth_dev_configure((uint16_t)ethdev, 1, 1, &conf) == 0, "device");
	CHECK(rte_eth_tx_queue_setup((uint16_t)ethdev, 0, 64, 0, NULL) == 0 &&
	              rte_eth_rx_queue_setup((uint16_t)ethdev, 0, 64, 0, NULL, lab.pool) == 0 &&
	              rte_eth_dev_start((uint16_t)ethdev) == 0,
	      "started");
	lab_clear();
	lab.port[0].ethdev = (uint16_t)ethdev;
	w->tx[0].queue = 0;
	send_frames(w, 0, FRAMES);
	CHECK(lab_count(0, STAT_TX_PACKETS) == PORT_ROOM, "sent");
	CHECK(lab_count(0, STAT_TX_OCTETS) == PORT_ROOM * sizeof(frame), "octets");
	CHECK(lab_count(0, STAT_TX_FULL) == FRAMES - PORT_ROOM, "tx_full");
	CHECK(lab_outcomes(0) == 0, "not an outcome: the frames had theirs");
	while (rte_ring_dequeue(ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	CHECK(rte_mempool_avail_count(lab.pool) == before, "no mbuf is lost");
	send_frames(w, 0, 1);
	CHECK(lab_count(0, STAT_TX_PACKETS) == PORT_ROOM + 1, "room comes back");
	rte_ring_dequeue(ring, (void **)&m);
	rte_pktmbuf_free(m);
	rte_eth_dev_stop((uint16_t)ethdev);
}

/* A worker without a queue on the port: by its owner's ring, in order, named with the port. */
static void test_foreign(void)
{
	struct worker *const w = &lab.worker[1], *const owner = &lab.worker[0];
	const unsigned before = rte_mempool_avail_count(lab.pool);
	struct rte_mbuf *m;
	unsigned n = 0, wrong = 0;

	lab_clear();
	lab.port[1].owner[0] = 0;
	w->tx[1].queue = -1;
	for (unsigned i = 0; i < RING_ROOM + 10; i++) {
		m = lab_mbuf(frame, sizeof(frame));
		m->hash.usr = i;
		worker_send(w, 1, m);
	}
	worker_flush(w);
	CHECK(lab_count(1, STAT_FOREIGN_FULL) == 10, "foreign_full");
	CHECK(lab_count(1, STAT_TX_PACKETS) == 0, "the owner will count them");
	while (rte_ring_dequeue(owner->foreign, (void **)&m) == 0) {
		wrong += m->port != 1 || m->hash.usr != n++;
		rte_pktmbuf_free(m);
	}
	CHECK(n == RING_ROOM && wrong == 0, "in order, for port 1");
	CHECK(rte_mempool_avail_count(lab.pool) == before, "no mbuf is lost");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "tx_full", test_tx_full },
		{ "foreign_full", test_foreign },
		CU_TEST_INFO_NULL,
	};

	lab_start(64, 16, 2047);
	const int status = run_suite("dataplane/tx", tests);

	lab_stop();
	return status;
}
