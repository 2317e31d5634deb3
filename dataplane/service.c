/* The service turn: the loop. What it is asked by control is in service_commands.c. */
#include "dataplane/service_state.h"

#include <errno.h>
#include <poll.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/flow.h"
#include "dataplane/icmp.h"
#include "dataplane/kernel.h"
#include "dataplane/limit.h"
#include "dataplane/reassembly.h"
#include "dataplane/slow.h"
#include "log.h"

enum {
	RING = 2048,
	EMPTY_TURNS = 256, /* in a row, before a core of its own sleeps */
	SLEEP_MS = 100,
	EXCEPTION_RATE = 150000, /* frames to the kernel, per second (DEMUX-062) */
	EXCEPTION_BURST = 4096,
	READY_NS = 20000000,
};
#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)

/* --- from the workers --- */

static void wake(struct dataplane *dp, struct service *s)
{
	const uint64_t one = 1;

	if (!s->own_core) {
		worker_wake(&dp->workers[0]);
		return;
	}
	/* Put before the look; service_sleep() has the other half. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&s->sleeping, memory_order_relaxed) &&
	    write(s->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it is awake anyway */
}

bool service_give(struct dataplane *dp, struct rte_mbuf *m, enum give why, uint16_t aux)
{
	struct service *s = dp->service;

	m->hash.usr = (uint32_t)aux << 16 | (uint32_t)why;
	if (rte_ring_enqueue(why == GIVE_KERNEL ? s->kernel : s->work, m) != 0)
		return false;
	wake(dp, s);
	return true;
}

/* --- to the workers --- */

void service_inject(struct service *s, unsigned worker, uint16_t port, struct rte_mbuf *m)
{
	struct worker *w = &s->dp->workers[worker];

	m->port = port;
	if (rte_ring_enqueue(w->inject, m) != 0) {
		worker_drop(&s->self, m, STAT_INJECT_FULL);
		return;
	}
	worker_wake(w);
}

static void send_or_hold(struct service *s, uint16_t adjacency, unsigned worker, struct rte_mbuf *m,
                         bool may_hold)
{
	const struct adjacency *a = &s->dp->adjacency->entry[adjacency];
	const unsigned state = adjacency_fill(a, rte_pktmbuf_mtod(m, uint8_t *));

	if (state == NEIGHBOUR_RESOLVED) {
		const struct port *p = &s->dp->ports[a->port];

		if (worker >= s->dp->n_workers || port_queue_of(p, worker) < 0)
			worker = p->owner[0];
		service_inject(s, worker, a->port, m);
		return;
	}
	if (!may_hold || !hold_put(s->hold, adjacency, m, s->self.now_ns)) {
		worker_drop(&s->self, m, STAT_NEIGHBOUR_UNRESOLVED);
		return;
	}
	if (hold_count(s->hold, adjacency) == 1)
		route_kick(s->route, adjacency);
}

void service_leave(struct service *s, uint16_t adjacency, unsigned worker, struct rte_mbuf *m)
{
	if (adjacency == ADJACENCY_NONE)
		worker_drop(&s->self, m, STAT_NO_ROUTE);
	else
		send_or_hold(s, adjacency, worker, m, true);
}

/* From route_poll(). */
static void on_neighbour(struct dataplane *dp, uint16_t adjacency, enum neighbour_state state)
{
	struct service *s = dp->service;
	struct rte_mbuf *m;

	if (state != NEIGHBOUR_RESOLVED && state != NEIGHBOUR_FAILED)
		return;
	while ((m = hold_take(s->hold, adjacency)) != NULL)
		send_or_hold(s, adjacency, UINT_MAX, m, false);
}

/* --- events to control --- */

bool service_event_room(const struct service *s, unsigned n)
{
	return s->n_events + n <= SERVICE_EVENTS;
}

void service_event(struct service *s, uint16_t kind, const struct punt_row *row)
{
	const unsigned at = (s->first_event + s->n_events++) % SERVICE_EVENTS;

	s->event[at].kind = kind;
	if (row != NULL)
		s->event[at].row = *row;
}

static unsigned tell(struct service *s)
{
	struct ring_writer *w = &s->self.punt;
	unsigned told = 0;

	if (s->n_events == 0)
		return 0;
	if (!atomic_load_explicit(&s->dp->control_joined, memory_order_relaxed)) {
		s->n_events = 0;
		return 0;
	}
	for (; s->n_events; told++) {
		const uint16_t kind = s->event[s->first_event].kind;
		const uint32_t octets = kind == PUNT_ROW ? sizeof(struct punt_row) : 0;
		void *body = ring_reserve(w, kind, octets);

		if (body == NULL)
			break;
		memcpy(body, &s->event[s->first_event].row, octets);
		s->first_event = (s->first_event + 1) % SERVICE_EVENTS;
		s->n_events--;
	}
	if (told) {
		ring_publish(w);
		ring_wake(w);
	}
	return told;
}

/* --- chores --- */

static void tick(struct service *s)
{
	struct worker *w = &s->self;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	w->now_ns = (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
	if (w->now_s != (uint32_t)t.tv_sec || w->wall_s == 0) {
		w->now_s = (uint32_t)t.tv_sec;
		clock_gettime(CLOCK_REALTIME, &t);
		w->wall_s = (uint32_t)t.tv_sec;
	}
	w->local = s->dp->local;
	w->serve = classify_serve(s->dp->cfg);
	atomic_store_explicit(&s->life->turn_ns, w->now_ns, memory_order_relaxed);
}

static unsigned to_kernel(struct service *s, unsigned budget)
{
	struct rte_mbuf *m[64];
	const uint64_t passed = s->self.now_ns - s->exception_ns;
	const uint64_t gained =
		passed >= SECOND_NS ? EXCEPTION_BURST : passed * EXCEPTION_RATE / SECOND_NS;

	if (gained) {
		s->exception_ns = s->self.now_ns;
		s->exception_tokens =
			(uint32_t)RTE_MIN(s->exception_tokens + gained, (uint64_t)EXCEPTION_BURST);
	}
	const unsigned n = rte_ring_dequeue_burst(s->kernel, (void **)m,
	                                          RTE_MIN(budget, (unsigned)RTE_DIM(m)), NULL);

	for (unsigned i = 0; i < n; i++) {
		if (s->exception_tokens == 0) {
			worker_drop(&s->self, m[i], STAT_EXCEPTION_FULL);
			continue;
		}
		s->exception_tokens--;
		if (!kernel_give(&s->dp->ports[m[i]->port], m[i]))
			stat_add(s->self.stats, STAT_EXCEPTION_FULL, 1);
	}
	return n;
}

static unsigned from_kernel(struct service *s, unsigned budget)
{
	unsigned total = 0;

	for (unsigned p = 0; p < s->dp->n_ports; p++) {
		struct port *port = &s->dp->ports[p];
		struct rte_mbuf *m[64];
		const unsigned n =
			kernel_take(port, port->pool, m, RTE_MIN(budget, (unsigned)RTE_DIM(m)));

		for (unsigned i = 0; i < n; i++)
			service_inject(s, port->owner[0], port->index, m[i]);
		stat_add(s->self.stats, STAT_FROM_KERNEL, n);
		total += n;
	}
	return total;
}

static unsigned from_workers(struct service *s, unsigned budget)
{
	struct rte_mbuf *m[64];
	const unsigned n = rte_ring_dequeue_burst(s->work, (void **)m,
	                                          RTE_MIN(budget, (unsigned)RTE_DIM(m)), NULL);

	for (unsigned i = 0; i < n; i++) {
		const uint16_t aux = (uint16_t)(m[i]->hash.usr >> 16);

		switch (m[i]->hash.usr & 0xFFFF) {
		case GIVE_FRAGMENT:
			reassembly_take(s->reassembly, &s->self, &s->dp->ports[m[i]->port], m[i]);
			break;
		case GIVE_ICMP:
			icmp_take(s->icmp, &s->self, &s->dp->ports[m[i]->port], m[i]);
			break;
		case GIVE_UNRESOLVED: service_leave(s, aux, UINT_MAX, m[i]); break;
		default: rte_pktmbuf_free(m[i]);
		}
	}
	return n;
}

/* What is due once a millisecond, and once a second. */
static void chores(struct service *s)
{
	struct dataplane *dp = s->dp;
	struct rte_mbuf *m;

	if (s->self.now_ns < s->next_ms)
		return;
	s->next_ms = s->self.now_ns + MS_NS;
	while ((m = hold_expired(s->hold, s->self.now_ns)) != NULL)
		worker_drop(&s->self, m, STAT_NEIGHBOUR_UNRESOLVED);
	reassembly_expire(s->reassembly, &s->self);
	retire_run(&s->retire);
	service_follow_routes(s);
	if (!s->ready && kernel_ready(dp)) {
		s->ready = true;
		atomic_store_explicit(&s->life->ready, 1, memory_order_release);
	}
	if (!s->ready)
		s->next_ms = s->self.now_ns + READY_NS;
	if (s->self.now_ns < s->next_s)
		return;
	s->next_s = s->self.now_ns + SECOND_NS;
	port_publish(dp);
	atomic_store_explicit(&s->life->flows, flow_used(dp->flows), memory_order_relaxed);
}

static unsigned control(struct service *s, unsigned budget)
{
	unsigned work = 0;

	switch (join_poll(s->join, s->self.now_ns / MS_NS)) {
	case JOIN_NONE: break;
	case JOIN_JOINED:
		service_commands_begin(s);
		log_info("control", "joined", "pid=%u", join_pid(s->join));
		work++;
		break;
	case JOIN_LEFT:
		/* What it said before it died counts; nobody hears what became of it. */
		do {
			s->n_events = 0;
			service_finals(s);
		} while (service_commands(s, UINT_MAX));
		log_warning("control", "left",
		            "effect=established media goes on, new requests wait");
		work++;
		break;
	}
	work += service_commands(s, budget);
	work += service_finals(s);
	return work + tell(s);
}

unsigned service_turn(struct service *s, unsigned budget)
{
	unsigned work;

	tick(s);
	work = control(s, budget);
	work += from_workers(s, budget);
	work += to_kernel(s, budget);
	work += from_kernel(s, budget);
	work += route_poll(s->route);
	chores(s);
	worker_flush(&s->self);
	return work;
}

/* --- sleeping --- */

unsigned service_fds(struct service *s, int *fds, unsigned cap)
{
	unsigned n = 0;

	if (n < cap)
		fds[n++] = s->wake_fd;
	if (n < cap && route_fd(s->route) >= 0)
		fds[n++] = route_fd(s->route);
	for (unsigned p = 0; p < s->dp->n_ports && n < cap; p++)
		if (s->dp->ports[p].tap_fd >= 0)
			fds[n++] = s->dp->ports[p].tap_fd;
	return n + join_fds(s->join, fds + n, cap - n);
}

bool service_sleep(struct service *s)
{
	atomic_store_explicit(&s->sleeping, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	/* Grace periods end without a wake-up. */
	return rte_ring_empty(s->work) && rte_ring_empty(s->kernel) && !s->n_events &&
	       !s->syncing && !s->deletes && !s->retire.n && join_sleep(s->join);
}

void service_awake(struct service *s)
{
	uint64_t count;

	atomic_store_explicit(&s->sleeping, 0, memory_order_relaxed);
	join_awake(s->join);
	if (read(s->wake_fd, &count, sizeof(count)) < 0)
		return; /* nobody woke us */
}

static void nap(struct service *s)
{
	int fds[64];
	struct pollfd poll_fd[64];
	const bool sleep = service_sleep(s);
	const unsigned n = service_fds(s, fds, RTE_DIM(fds));

	for (unsigned i = 0; i < n; i++)
		poll_fd[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	/* What waits for a grace period or for readiness is looked at every millisecond. */
	poll(poll_fd, n, sleep ? SLEEP_MS : 1);
	service_awake(s);
}

void service_run(struct service *s)
{
	unsigned empty = 0;

	while (!atomic_load_explicit(&s->dp->stop, memory_order_relaxed)) {
		if (service_turn(s, 32)) {
			empty = 0;
		} else if (++empty >= EMPTY_TURNS && s->dp->cfg->idle == IDLE_ADAPTIVE) {
			nap(s);
			empty = EMPTY_TURNS / 2;
		}
	}
}

/* --- beginning and end --- */

static uint64_t grace_start(void *arg)
{
	return rte_rcu_qsbr_start(arg);
}

static bool grace_over(void *arg, uint64_t token)
{
	return rte_rcu_qsbr_check(arg, token, false) == 1;
}

static bool open_join(struct service *s)
{
	struct dataplane *dp = s->dp;
	static char path[256];
	int rc;

	if (!config_run_path(dp->cfg, "dataplane.sock", path, sizeof(path))) {
		log_error("service", "path", "why=run-dir is too long for a socket run-dir=%s",
		          dp->cfg->run_dir);
		return false;
	}
	for (unsigned i = 0; i < dp->n_workers; i++)
		s->punts[i] = &dp->workers[i].punt;
	s->punts[dp->n_workers] = &s->self.punt;
	const struct join_setup setup = {
		.path = path,
		.group = dp->cfg->socket_group,
		.region = &dp->region,
		.n_workers = dp->n_workers,
		.punt = s->punts,
		.joined = &dp->control_joined,
		.grace = { grace_start, grace_over, dp->qsbr },
	};

	s->join = join_open(&setup, &rc);
	return s->join != NULL;
}

/* The service turn as a worker without queues. */
static bool open_self(struct service *s)
{
	struct dataplane *dp = s->dp;
	struct worker *w = &s->self;

	w->dp = dp;
	w->index = dp->n_workers;
	w->core = -1;
	w->wake_fd = -1;
	w->stats = region_find(&dp->region, SECTION_COUNTERS, (uint16_t)dp->n_workers,
	                       sizeof(struct stats));
	w->limit = limit_new(dp->cfg);
	w->scratch = malloc(WORKER_SCRATCH);
	w->secret = dp->workers[0].secret;
	w->pool = dp->n_ports ? dp->ports[0].pool : dp->workers[0].pool;
	for (unsigned p = 0; p < CONFIG_PORTS_MAX; p++)
		w->tx[p].queue = -1;
	for (unsigned i = 0; i <= dp->n_workers; i++) {
		s->answers[i] = answer_new(dp);
		if (s->answers[i] == NULL)
			return false;
		*(i < dp->n_workers ? &dp->workers[i].answer : &w->answer) = s->answers[i];
	}
	return w->stats != NULL && w->limit != NULL && w->scratch != NULL;
}

struct service *service_new(struct dataplane *dp)
{
	struct service *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	dp->service = s;
	s->dp = dp;
	s->retire.qsbr = dp->qsbr;
	s->first = dp->cfg;
	s->own_core = dp->cfg->service_core >= 0;
	s->policy = config_policy(dp->cfg);
	s->life = region_find(&dp->region, SECTION_LIFE, 0, sizeof(*s->life));
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->work = rte_ring_create("service_work", RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	s->kernel = rte_ring_create("service_kernel", RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	s->hold = hold_new();
	s->reassembly = reassembly_new(dp->cfg);
	s->icmp = icmp_new();
	if (s->life == NULL || s->wake_fd < 0 || s->work == NULL || s->kernel == NULL ||
	    s->hold == NULL || s->reassembly == NULL || s->icmp == NULL || !open_self(s)) {
		log_error("service", "memory", "why=not enough memory for the service turn");
		service_free(s);
		return NULL;
	}
	s->route = route_open(dp);
	if (s->route == NULL || !open_join(s)) {
		service_free(s);
		return NULL;
	}
	route_on_event(s->route, on_neighbour);
	s->route_epoch = route_epoch(s->route);
	s->followed = flow_places(dp->flows);
	flow_use_local(dp->flows, dp->local);
	tick(s);
	atomic_store_explicit(&s->life->started_ns, s->self.now_ns, memory_order_relaxed);
	service_publish(s);
	return s;
}

static void drain(struct rte_ring *ring)
{
	struct rte_mbuf *m;

	while (ring != NULL && rte_ring_dequeue(ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

void service_free(struct service *s)
{
	if (s == NULL)
		return;
	if (s->join != NULL)
		join_close(s->join);
	if (s->route != NULL)
		route_close(s->route);
	retire_all(&s->retire);
	for (unsigned i = 0; i <= s->dp->n_workers; i++) {
		answer_free(s->answers[i]);
		if (i < s->dp->n_workers)
			s->dp->workers[i].answer = NULL;
	}
	drain(s->work);
	drain(s->kernel);
	hold_free(s->hold);
	reassembly_free(s->reassembly);
	icmp_free(s->icmp);
	limit_free(s->self.limit);
	free(s->self.scratch);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	s->dp->cfg = s->first;
	config_free(s->reloaded);
	s->dp->service = NULL;
	free(s);
}
