/* Ports, exception ports and next hops for the generator. */
#include "pkt-gen/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_malloc.h>

#include "dataplane/adjacency.h"
#include "dataplane/eal.h"
#include "dataplane/kernel.h"
#include "dataplane/port.h"
#include "dataplane/route.h"
#include "exit.h"
#include "log.h"
#include "pkt-gen/link_config.h"
#include "pkt-gen/place.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

enum {
	TAP_BURST = 32,
	ETHER = 14,
	IP4 = 20,
	IP6 = 40,
	UDP = 8,
	HOPS = 64,
	LINK_PATIENCE_MS = 3000
};

/* A next hop that main waits for; engine 0's thread finds it. */
struct question {
	pthread_mutex_t lock;
	_Atomic bool asked;
	bool answered;
	struct addr to;
	uint16_t adjacency;
	uint8_t macs[12];
	uint8_t lane;
};

struct link {
	const struct options *options;
	struct config *cfg;
	struct dataplane dp;
	struct route *route; /* NULL: the kernel is not asked */
	int lock;
	bool eal, kernel;
	bool has_ipv6;
	uint64_t opened_ms;
	struct question question;
	pthread_t service;
	_Atomic bool served; /* `service` counts */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- beginning and end --- */

static int open_ports(struct link *l)
{
	struct dataplane *dp = &l->dp;
	int rc;

	dp->cfg = l->cfg;
	dp->n_workers = l->cfg->workers;
	dp->n_ports = l->cfg->n_ports;
	dp->ports = calloc(dp->n_ports, sizeof(*dp->ports));
	dp->adjacency = rte_zmalloc("adjacency", sizeof(*dp->adjacency), 64);
	if (dp->ports == NULL || dp->adjacency == NULL) {
		log_error("link", "memory", "error=\"no room for the tables\"");
		dp->n_ports = 0;
		return EXIT_CODE_RESOURCE;
	}
	rc = port_open_all(dp);
	if (rc != EXIT_CODE_OK)
		return rc;
	for (unsigned i = 0; i < dp->n_ports; i++) {
		if (dp->ports[i].n_queues >= dp->n_workers)
			continue;
		log_error("link", "queues",
		          "port=%s error=\"it has %u queues, but --cores names %u cores\"",
		          l->options->port[i].device, dp->ports[i].n_queues, dp->n_workers);
		return EXIT_CODE_RESOURCE;
	}
	return EXIT_CODE_OK;
}

static int open_kernel(struct link *l)
{
	int rc;

	l->kernel = link_wants_kernel(l->options);
	if (!l->kernel)
		return EXIT_CODE_OK;
	rc = kernel_take_over(&l->dp);
	if (rc != EXIT_CODE_OK || l->options->has_next_hop || l->options->bias ||
	    l->options->setup != SETUP_TURN)
		return rc;
	l->route = route_open(&l->dp);
	return l->route != NULL ? EXIT_CODE_OK : EXIT_CODE_RESOURCE;
}

struct link *link_open(const struct options *o, int *code)
{
	struct link *l = calloc(1, sizeof(*l));

	*code = EXIT_CODE_RESOURCE;
	if (l == NULL)
		return NULL;
	l->options = o;
	l->lock = -1;
	pthread_mutex_init(&l->question.lock, NULL);
	l->cfg = link_config_new(o);
	if (l->cfg == NULL) {
		log_error("link", "memory", "error=\"out of memory\"");
		link_close(l);
		return NULL;
	}
	*code = link_config_lock(l->cfg, &l->lock);
	if (*code == EXIT_CODE_OK)
		*code = eal_start(l->cfg);
	l->eal = *code == EXIT_CODE_OK;
	if (*code == EXIT_CODE_OK)
		*code = open_ports(l);
	if (*code == EXIT_CODE_OK)
		*code = open_kernel(l);
	if (*code != EXIT_CODE_OK) {
		link_close(l);
		return NULL;
	}
	for (unsigned i = 0; i < o->n_ports; i++)
		for (unsigned k = 0; k < o->port[i].n_addresses; k++)
			l->has_ipv6 |= !addr_is4(&o->port[i].address[k].addr);
	l->opened_ms = now_ms();
	return l;
}

void link_close(struct link *l)
{
	if (l == NULL)
		return;
	route_close(l->route);
	if (l->dp.ports != NULL) {
		port_close_all(&l->dp);
		if (l->kernel)
			kernel_give_back(&l->dp);
	}
	free(l->dp.ports);
	rte_free(l->dp.adjacency);
	if (l->eal)
		eal_stop();
	if (l->cfg != NULL)
		link_config_unlock(l->cfg, l->lock);
	link_config_free(l->cfg);
	pthread_mutex_destroy(&l->question.lock);
	free(l);
}

bool link_ready(struct link *l)
{
	if (l->kernel && l->has_ipv6)
		return kernel_ready(&l->dp);
	for (unsigned i = 0; i < l->dp.n_ports; i++)
		if (!port_link_up(&l->dp.ports[i]) && now_ms() - l->opened_ms < LINK_PATIENCE_MS)
			return false;
	return true;
}

unsigned link_ports(const struct link *l)
{
	return l->dp.n_ports;
}

const char *link_device(const struct link *l, unsigned port)
{
	return l->options->port[port].device;
}

/* Rings in shared memory that the other end empties: that they are full is its doing. */
static bool is_shared_ring(const struct config_port *port)
{
	return port->kind == DEVICE_MEMIF || port->kind == DEVICE_VDEV;
}

unsigned link_lanes(struct link *l, unsigned engine, struct lane *out, unsigned n)
{
	unsigned i;

	for (i = 0; i < l->dp.n_ports && i < n; i++)
		out[i] = (struct lane){ .ethdev = l->dp.ports[i].ethdev,
			                .queue = (uint16_t)engine,
			                .pool = l->dp.ports[i].pool,
			                .software = l->dp.ports[i].software,
			                .full_is_loss = is_shared_ring(&l->cfg->ports[i]) };
	return i;
}

bool link_ours(const struct link *l, const struct addr *a)
{
	return place_is_ours(l->options, a);
}

/* --- next hops --- */

static bool is_peer(const struct options *o, const struct addr *a)
{
	const struct prefix peers = place_of_peers(o);

	return peers.len != 0 && prefix_contains(&peers, a);
}

static void fixed_hop(const struct link *l, const struct addr *from, uint8_t macs[12],
                      uint8_t *lane)
{
	static const uint8_t anybody[6] = { 0x02, 0, 0, 0, 0, 0x01 };
	const struct options *o = l->options;
	const unsigned last = l->dp.n_ports - 1;
	const unsigned at = last > 0 && is_peer(o, from) ? last : 0;

	if (o->has_next_hop)
		memcpy(macs, o->next_hop, 6);
	else if (o->bias)
		memcpy(macs, l->dp.ports[last - at].mac.addr_bytes, 6);
	else
		memcpy(macs, anybody, 6);
	memcpy(macs + 6, l->dp.ports[at].mac.addr_bytes, 6);
	*lane = (uint8_t)at;
}

/* Engine 0's thread. */
static bool look(struct link *l, struct question *q)
{
	if (q->adjacency == ADJACENCY_NONE)
		q->adjacency = route_adjacency(l->route, &q->to);
	if (q->adjacency == ADJACENCY_NONE)
		return false;
	if (adjacency_fill(&l->dp.adjacency->entry[q->adjacency], q->macs) == NEIGHBOUR_RESOLVED) {
		q->lane = (uint8_t)l->dp.adjacency->entry[q->adjacency].port;
		return true;
	}
	route_kick(l->route, q->adjacency);
	return false;
}

static bool wait_for_answer(struct question *q, const struct addr *to, unsigned wait_ms)
{
	const uint64_t began = now_ms();
	bool answered = false;

	pthread_mutex_lock(&q->lock);
	q->to = *to;
	q->adjacency = ADJACENCY_NONE;
	q->answered = false;
	atomic_store(&q->asked, true);
	pthread_mutex_unlock(&q->lock);
	while (!answered && now_ms() - began <= wait_ms) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		pthread_mutex_lock(&q->lock);
		answered = q->answered;
		pthread_mutex_unlock(&q->lock);
	}
	pthread_mutex_lock(&q->lock);
	atomic_store(&q->asked, false);
	pthread_mutex_unlock(&q->lock);
	return answered;
}

bool link_next_hop(struct link *l, const struct addr *from, const struct addr *to, unsigned wait_ms,
                   uint8_t macs[12], uint8_t *lane)
{
	struct question own = { .to = *to };
	const struct question *q = &own;

	if (l->route == NULL) {
		fixed_hop(l, from, macs, lane);
		return true;
	}
	if (atomic_load(&l->served) && pthread_equal(l->service, pthread_self())) {
		if (!look(l, &own))
			return false;
	} else {
		if (!wait_for_answer(&l->question, to, wait_ms))
			return false;
		q = &l->question;
	}
	memcpy(macs, q->macs, 12);
	*lane = q->lane;
	return true;
}

static void answer(struct link *l)
{
	struct question *q = &l->question;

	if (!atomic_load_explicit(&q->asked, memory_order_relaxed))
		return;
	pthread_mutex_lock(&q->lock);
	if (atomic_load(&q->asked) && !q->answered)
		q->answered = look(l, q);
	pthread_mutex_unlock(&q->lock);
}

/* --- frames --- */

unsigned link_service(struct link *l, struct engine *e, unsigned budget)
{
	unsigned work = 0;

	if (!atomic_load_explicit(&l->served, memory_order_relaxed)) {
		l->service = pthread_self();
		atomic_store(&l->served, true);
	}
	for (unsigned i = 0; i < l->dp.n_ports && l->kernel; i++) {
		struct port *p = &l->dp.ports[i];
		struct rte_mbuf *m[TAP_BURST];
		const unsigned n =
			kernel_take(p, p->pool, m, budget < TAP_BURST ? budget : TAP_BURST);

		if (n > 0)
			engine_send(e, i, m, n);
		work += n;
	}
	if (l->route != NULL) {
		work += route_poll(l->route);
		answer(l);
	}
	return work;
}

void link_give(struct link *l, unsigned lane, struct rte_mbuf **m, unsigned n)
{
	struct port *p = &l->dp.ports[lane];

	for (unsigned i = 0; i < n; i++) {
		if (p->software)
			port_complete_checksum(m[i]);
		kernel_give(p, m[i]); /* without a TAP, or a full one, it is gone: nobody waits */
	}
}

static void put_ip4(uint8_t *ip, const struct endpoint *from, const struct endpoint *to, size_t len)
{
	memset(ip, 0, IP4);
	ip[0] = 0x45;
	be16_store(ip + 2, (uint16_t)(IP4 + len));
	ip[8] = HOPS;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, from->addr.ip + 12, 4);
	memcpy(ip + 16, to->addr.ip + 12, 4);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, IP4)));
}

static void put_ip6(uint8_t *ip, const struct endpoint *from, const struct endpoint *to, size_t len)
{
	memset(ip, 0, IP6);
	ip[0] = 0x60;
	be16_store(ip + 4, (uint16_t)len);
	ip[6] = IPPROTO_UDP;
	ip[7] = HOPS;
	memcpy(ip + 8, from->addr.ip, 16);
	memcpy(ip + 24, to->addr.ip, 16);
}

struct rte_mbuf *link_frame(struct link *l, const struct endpoint *from, const struct endpoint *to,
                            const uint8_t macs[12], unsigned lane, const void *octets, size_t len)
{
	const bool four = addr_is4(&to->addr);
	const size_t ip_len = four ? IP4 : IP6, addr_len = four ? 4 : 16;
	struct rte_mbuf *m = rte_pktmbuf_alloc(l->dp.ports[lane].pool);
	uint8_t *frame, *udp;

	if (m == NULL)
		return NULL;
	frame = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(ETHER + ip_len + UDP + len));
	if (frame == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	memcpy(frame, macs, 12);
	be16_store(frame + 12, four ? 0x0800 : 0x86DD);
	if (four)
		put_ip4(frame + ETHER, from, to, UDP + len);
	else
		put_ip6(frame + ETHER, from, to, UDP + len);
	udp = frame + ETHER + ip_len;
	be16_store(udp, from->port);
	be16_store(udp + 2, to->port);
	be16_store(udp + 4, (uint16_t)(UDP + len));
	be16_store(udp + 6, 0);
	memcpy(udp + UDP, octets, len);
	csum_store(udp + 6, csum_udp(from->addr.ip + 16 - addr_len, to->addr.ip + 16 - addr_len,
	                             addr_len, udp, (uint16_t)(UDP + len)));
	return m;
}
