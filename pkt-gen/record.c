/*
 * Frames of a run as pcapng. The engines' receive and transmit callbacks copy into a ring; whoever
 * calls record_turn() writes. What the pool or the ring has no room for is counted.
 */
#define ALLOW_EXPERIMENTAL_API /* rte_pcapng */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_pcapng.h>
#include <rte_ring.h>

#include "log.h"
#include "pkt-gen/record.h"

enum {
	SNAP = 2048,   /* octets of a frame */
	COPIES = 8191, /* that may be under way */
	RING = 8192,
	CACHE = 64,
	BURST = 64,
	QUEUES_MAX = 64,
};

struct record_queue {
	struct record *record;
	uint16_t ethdev, queue;
	const struct rte_eth_rxtx_callback *rx, *tx;
};

struct record {
	int fd;
	rte_pcapng_t *out;
	struct rte_mempool *pool;
	struct rte_ring *ring;
	struct record_queue queue[QUEUES_MAX];
	unsigned n;
	bool failed; /* the disk is full, or so */
	uint64_t written, unwritten;
	_Atomic uint64_t lost;
};

static void copy(struct record_queue *q, struct rte_mbuf **m, unsigned n,
                 enum rte_pcapng_direction direction)
{
	struct record *r = q->record;
	const uint64_t now = rte_get_tsc_cycles();
	struct rte_mbuf *copies[BURST];
	unsigned done = 0, lost = 0;

	while (done < n) {
		const unsigned chunk = n - done < BURST ? n - done : BURST;
		unsigned k = 0, taken;

		for (unsigned i = 0; i < chunk; i++) {
			copies[k] = rte_pcapng_copy(q->ethdev, q->queue, m[done + i], r->pool, SNAP,
			                            now, direction);
			k += copies[k] != NULL;
		}
		taken = rte_ring_enqueue_burst(r->ring, (void **)copies, k, NULL);
		rte_pktmbuf_free_bulk(copies + taken, k - taken);
		lost += chunk - taken;
		done += chunk;
	}
	if (lost != 0)
		atomic_fetch_add_explicit(&r->lost, lost, memory_order_relaxed);
}

static uint16_t on_rx(uint16_t port, uint16_t queue, struct rte_mbuf **m, uint16_t n, uint16_t room,
                      void *arg)
{
	(void)port;
	(void)queue;
	(void)room;
	copy(arg, m, n, RTE_PCAPNG_DIRECTION_IN);
	return n;
}

static uint16_t on_tx(uint16_t port, uint16_t queue, struct rte_mbuf **m, uint16_t n, void *arg)
{
	(void)port;
	(void)queue;
	copy(arg, m, n, RTE_PCAPNG_DIRECTION_OUT);
	return n;
}

/* A frame that the port then had no room for is in the file nevertheless. */
static bool listen_to(struct record *r, const struct lane *lane)
{
	struct record_queue *q = &r->queue[r->n++];

	q->record = r;
	q->ethdev = lane->ethdev;
	q->queue = lane->queue;
	q->rx = rte_eth_add_rx_callback(lane->ethdev, lane->queue, on_rx, q);
	q->tx = rte_eth_add_tx_callback(lane->ethdev, lane->queue, on_tx, q);
	return q->rx != NULL && q->tx != NULL;
}

static void drop(struct record *r)
{
	void *left[BURST];
	unsigned n;

	for (unsigned i = 0; i < r->n; i++) {
		struct record_queue *q = &r->queue[i];

		if (q->rx != NULL)
			rte_eth_remove_rx_callback(q->ethdev, q->queue, q->rx);
		if (q->tx != NULL)
			rte_eth_remove_tx_callback(q->ethdev, q->queue, q->tx);
	}
	while (r->ring != NULL && (n = rte_ring_dequeue_burst(r->ring, left, BURST, NULL)) != 0)
		rte_pktmbuf_free_bulk((struct rte_mbuf **)left, n);
	rte_ring_free(r->ring);
	rte_mempool_free(r->pool);
	if (r->out != NULL)
		rte_pcapng_close(r->out); /* and the file */
	else if (r->fd >= 0)
		close(r->fd);
	free(r);
}

static bool make(struct record *r, const char *path)
{
	const int socket = (int)rte_socket_id();
	char name[32], os[2 * sizeof(((struct utsname *)0)->sysname) + 2];
	struct utsname u;

	snprintf(name, sizeof(name), "record%d", (int)getpid());
	r->pool = rte_pktmbuf_pool_create(name, COPIES, CACHE, 0,
	                                  (uint16_t)rte_pcapng_mbuf_size(SNAP), socket);
	r->ring = rte_ring_create(name, RING, socket, RING_F_SC_DEQ);
	if (r->pool == NULL || r->ring == NULL) {
		log_error("record", "memory", "file=%s error=\"%s\"", path,
		          rte_strerror(rte_errno));
		return false;
	}
	r->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (r->fd < 0) {
		log_error("record", "file", "file=%s error=\"%s\"", path, strerror(errno));
		return false;
	}
	if (uname(&u) == 0)
		snprintf(os, sizeof(os), "%s %s", u.sysname, u.release);
	else
		os[0] = '\0';
	r->out = rte_pcapng_fdopen(r->fd, os, NULL, "turnpike-gen " TURNPIKE_VERSION, NULL);
	if (r->out == NULL)
		log_error("record", "file", "file=%s error=\"%s\"", path, strerror(errno));
	return r->out != NULL;
}

struct record *record_open(const char *path, const struct lane *lanes, unsigned n)
{
	struct record *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->fd = -1;
	if (n > QUEUES_MAX) {
		log_error("record", "lanes", "lanes=%u max=%d", n, QUEUES_MAX);
		drop(r);
		return NULL;
	}
	if (!make(r, path)) {
		drop(r);
		return NULL;
	}
	for (unsigned i = 0; i < n; i++)
		if (!listen_to(r, &lanes[i])) {
			log_error("record", "callback", "port=%u queue=%u error=\"%s\"",
			          lanes[i].ethdev, lanes[i].queue, rte_strerror(rte_errno));
			drop(r);
			return NULL;
		}
	return r;
}

unsigned record_turn(struct record *r)
{
	struct rte_mbuf *m[BURST];
	const unsigned n = rte_ring_dequeue_burst(r->ring, (void **)m, BURST, NULL);

	if (n == 0)
		return 0;
	if (r->failed) {
		rte_pktmbuf_free_bulk(m, n);
		r->unwritten += n;
		return n;
	}
	if (rte_pcapng_write_packets(r->out, m, (uint16_t)n) < 0) {
		log_error("record", "write", "error=\"%s\"", strerror(errno));
		r->failed = true;
		r->unwritten += n;
	} else {
		r->written += n;
	}
	return n;
}

uint64_t record_close(struct record *r)
{
	uint64_t lost;

	if (r == NULL)
		return 0;
	while (record_turn(r) != 0)
		;
	lost = atomic_load_explicit(&r->lost, memory_order_relaxed) + r->unwritten;
	drop(r);
	return lost;
}
