/* The worker: everything a packet core does, in the order it does it. */
#include "dataplane/worker.h"

#include <errno.h>
#include <openssl/rand.h>
#include <poll.h>
#include <rte_ethdev.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/burst.h"
#include "dataplane/classify.h"
#include "dataplane/limit.h"
#include "dataplane/service.h"

enum {
	WORKER_SERVICE_BUDGET = 32, /* units of each kind of service work in one loop */
	WORKER_EMPTY_TURNS = 256,   /* in a row, before it sleeps */
	WORKER_NAP_MS = 1,          /* where a port has no descriptor to sleep on */
	WORKER_SLEEP_MS = 100,      /* else: the service turn's timers, and dp->stop */
	WORKER_FDS_MAX = CONFIG_PORTS_MAX * 4 + 64,
};

void worker_random(struct worker *w, void *out, unsigned n)
{
	if (w->random_left < n) {
		if (RAND_bytes(w->random, sizeof(w->random)) != 1)
			abort(); /* no unpredictable ids, no service */
		w->random_left = sizeof(w->random);
	}
	w->random_left -= n;
	memcpy(out, w->random + w->random_left, n);
}

void worker_drop(struct worker *w, struct rte_mbuf *m, enum stat_id why)
{
	stat_add(w->stats, why, 1);
	rte_pktmbuf_free(m);
}

/* The build of the hot code for this processor; the same for all workers. */
static burst_fn *burst_chosen = burst_v2;

static void choose_burst(void)
{
#ifdef BURST_BUILDS
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
	    __builtin_cpu_supports("fma"))
		burst_chosen = burst_v3;
	if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq"))
		burst_chosen = burst_v4;
#endif
}

void worker_burst(struct worker *w, const struct port *port, struct rte_mbuf **rx, unsigned n)
{
	burst_chosen(w, port, rx, n);
}

/* Finished frames of others, to leave by our queues. */
static unsigned drain(struct worker *w, struct rte_ring *ring)
{
	struct rte_mbuf *m[WORKER_INJECT_BUDGET];
	const unsigned n = rte_ring_dequeue_burst(ring, (void **)m, WORKER_INJECT_BUDGET, NULL);

	for (unsigned i = 0; i < n; i++)
		worker_send(w, m[i]->port, m[i]);
	return n;
}

static void tick(struct worker *w)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	w->now_ns = (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
	if (w->now_s != (uint32_t)t.tv_sec || w->wall_s == 0) {
		w->now_s = (uint32_t)t.tv_sec;
		clock_gettime(CLOCK_REALTIME, &t);
		w->wall_s = (uint32_t)t.tv_sec;
	}
}

/* A reload puts another in its place; that one goes after the grace period. */
static const struct config *config_of(const struct worker *w)
{
	return __atomic_load_n(&w->dp->cfg, __ATOMIC_ACQUIRE);
}

static bool serves(const struct worker *w)
{
	return w->index == 0 && w->dp->service && config_of(w)->service_core < 0;
}

/* One loop. How much there was to do. */
static unsigned turn(struct worker *w)
{
	struct rte_mbuf *rx[WORKER_BURST];
	unsigned work = 0;

	tick(w);
	for (unsigned i = 0; i < w->n_rx; i++) {
		const struct port *port = &w->dp->ports[w->rx[i].port];
		const unsigned n = rte_eth_rx_burst(port->ethdev, w->rx[i].queue, rx, WORKER_BURST);

		if (n)
			worker_burst(w, port, rx, n);
		work += n;
	}
	work += drain(w, w->foreign);
	if (serves(w))
		work += service_turn(w->dp->service, WORKER_SERVICE_BUDGET);
	work += drain(w, w->inject);
	worker_flush(w);
	rte_rcu_qsbr_quiescent(w->dp->qsbr, w->index);
	return work;
}

void worker_wake(struct worker *w)
{
	const uint64_t one = 1;

	/* Put before the look; nap() has the other half. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&w->sleeping, memory_order_relaxed) &&
	    write(w->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it is awake anyway */
}

/*
 * Sleeps until something happens (design 6). The flag is up before the last look, so that whoever
 * puts something in afterwards sees it; a sleeper is offline, or it would hold every grace period.
 */
static void nap(struct worker *w)
{
	struct pollfd fds[WORKER_FDS_MAX];
	int service_fd[64];
	unsigned n = 0;
	int limit_ms = WORKER_SLEEP_MS;
	uint64_t count;

	atomic_store_explicit(&w->sleeping, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	const bool service = serves(w);

	if (turn(w) == 0 && (!service || service_sleep(w->dp->service))) {
		fds[n++] = (struct pollfd){ .fd = w->wake_fd, .events = POLLIN };
		for (unsigned i = 0; i < w->n_rx; i++) {
			const int fd = w->dp->ports[w->rx[i].port].rx_fd[w->rx[i].queue];

			if (fd < 0)
				limit_ms = WORKER_NAP_MS;
			else
				fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		}
		if (service) {
			const unsigned more = service_fds(w->dp->service, service_fd, 64);

			for (unsigned i = 0; i < more; i++)
				fds[n++] = (struct pollfd){ .fd = service_fd[i], .events = POLLIN };
		}
		stat_add(w->stats, STAT_SLEEPS, 1);
		rte_rcu_qsbr_thread_offline(w->dp->qsbr, w->index);
		poll(fds, n, limit_ms);
		rte_rcu_qsbr_thread_online(w->dp->qsbr, w->index);
	}
	atomic_store_explicit(&w->sleeping, 0, memory_order_relaxed);
	if (service)
		service_awake(w->dp->service);
	if (read(w->wake_fd, &count, sizeof(count)) < 0)
		return; /* nobody woke us */
}

void worker_run(struct worker *w)
{
	unsigned empty = 0;

	rte_rcu_qsbr_thread_register(w->dp->qsbr, w->index);
	rte_rcu_qsbr_thread_online(w->dp->qsbr, w->index);
	while (!atomic_load_explicit(&w->dp->stop, memory_order_relaxed)) {
		if (turn(w)) {
			empty = 0;
		} else if (++empty >= WORKER_EMPTY_TURNS && config_of(w)->idle == IDLE_ADAPTIVE) {
			nap(w);
			empty = WORKER_EMPTY_TURNS /
			        2; /* what woke us brings more, or it does not */
		}
	}
	worker_flush(w);
	rte_rcu_qsbr_thread_offline(w->dp->qsbr, w->index);
	rte_rcu_qsbr_thread_unregister(w->dp->qsbr, w->index);
}

static struct rte_ring *ring_new(const char *what, unsigned index, unsigned flags)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%u", what, index);
	return rte_ring_create(name, WORKER_RING, SOCKET_ID_ANY, flags);
}

int worker_init(struct worker *w, struct dataplane *dp, unsigned index)
{
	w->dp = dp;
	w->index = index;
	w->core = dp->cfg->cores[index];
	w->serve = classify_serve(dp->cfg);
	w->keep_ttl = !dp->cfg->ttl_decrement;
	choose_burst();
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->stats =
		region_find(&dp->region, SECTION_COUNTERS, (uint16_t)index, sizeof(struct stats));
	w->inject = ring_new("inject", index, RING_F_SP_ENQ | RING_F_SC_DEQ);
	w->foreign = ring_new("foreign", index, RING_F_SC_DEQ);
	w->limit = limit_new(dp->cfg);
	w->scratch = malloc(WORKER_SCRATCH);
	if (w->wake_fd < 0)
		return -errno;
	if (!w->stats || !w->inject || !w->foreign || !w->limit || !w->scratch)
		return -ENOMEM;
	for (unsigned p = 0; p < dp->n_ports; p++) {
		const struct port *port = &dp->ports[p];

		w->tx[p].queue = port_queue_of(port, index);
		if (!w->pool)
			w->pool = port->pool;
		for (uint16_t q = 0; q < port->n_queues; q++)
			if (port->owner[q] == index && w->n_rx < RTE_DIM(w->rx)) {
				w->rx[w->n_rx].port = (uint16_t)p;
				w->rx[w->n_rx++].queue = q;
			}
	}
	worker_random(w, &w->ip_id, sizeof(w->ip_id));
	w->secret = dp->workers[0].secret;
	if (index == 0)
		worker_random(w, &w->secret, sizeof(w->secret));
	tick(w);
	return 0;
}

void worker_fini(struct worker *w)
{
	struct rte_mbuf *m;

	while (w->inject && rte_ring_dequeue(w->inject, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	while (w->foreign && rte_ring_dequeue(w->foreign, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(w->inject);
	rte_ring_free(w->foreign);
	if (w->limit)
		limit_free(w->limit);
	free(w->scratch);
	if (w->wake_fd > 0)
		close(w->wake_fd);
	*w = (struct worker){ .wake_fd = -1 };
}
