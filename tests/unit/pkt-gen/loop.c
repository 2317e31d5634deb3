#include "loop.h"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <stdio.h>

#include "tests/rig/eal.h"

static void die(const char *what)
{
	fprintf(stderr, "loop: %s\n", what);
	exit(2);
}

void loop_start_eal(void)
{
	eal_rig_start("loop", 512, EAL_RIG_ANY_CORE, 0);
}

struct stream_leg loop_leg(unsigned i)
{
	struct stream_leg leg = { .macs = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 },
		                  .wrap = (enum stream_wrap)(i % 3),
		                  .channel = (uint16_t)(0x4000 + i) };
	const bool six = i % 6 >= 3, peer6 = i % 2;
	const uint8_t from4[4] = { 198, 18, 0, (uint8_t)(1 + i) }, to4[4] = { 198, 18, 1, 1 };
	const struct addr from6 = { { 0x20, 1, 0xD, 0xB8, [15] = (uint8_t)(1 + i) } };
	const struct addr to6 = { { 0x20, 1, 0xD, 0xB8, [14] = 1, [15] = 1 } };

	leg.from = (struct endpoint){ six ? from6 : addr_from4(from4), (uint16_t)(4000 + i) };
	leg.to = (struct endpoint){ six ? to6 : addr_from4(to4), (uint16_t)(5000 + i) };
	leg.peer = (struct endpoint){ peer6 ? from6 : addr_from4(from4), 7000 };
	return leg;
}

static struct rte_ring *ring_new(const char *what, unsigned slots)
{
	static unsigned count;
	char name[32];

	snprintf(name, sizeof(name), "%s%u", what, count++);
	return rte_ring_create(name, slots, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

void loop_open(struct loop *l, unsigned slots)
{
	static unsigned count;
	struct rte_eth_conf conf = { .link_speeds = 0 };
	char name[32];

	memset(l, 0, sizeof(*l));
	snprintf(name, sizeof(name), "pool%u", count);
	l->pool = rte_pktmbuf_pool_create(name, LOOP_MBUFS, 0, 8, 2176, SOCKET_ID_ANY);
	l->out = ring_new("out", slots);
	l->back = ring_new("back", LOOP_RING);
	if (!l->pool || !l->out || !l->back)
		die("memory");
	snprintf(name, sizeof(name), "loop%u", count++);
	const int ethdev = rte_eth_from_rings(name, &l->back, 1, &l->out, 1, 0);

	if (ethdev < 0 || rte_eth_dev_configure((uint16_t)ethdev, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup((uint16_t)ethdev, 0, 64, 0, NULL, l->pool) != 0 ||
	    rte_eth_tx_queue_setup((uint16_t)ethdev, 0, 64, 0, NULL) != 0 ||
	    rte_eth_dev_start((uint16_t)ethdev) != 0)
		die("port");
	l->ethdev = (uint16_t)ethdev;
	l->in_pool = rte_mempool_avail_count(l->pool);
	l->lane = (struct lane){ .ethdev = l->ethdev, .pool = l->pool };
	l->streams = streams_new(LOOP_STREAMS);
	if (!l->streams)
		die("streams");
	for (unsigned i = 0; i < LOOP_STREAMS; i++) {
		const struct stream_leg leg = loop_leg(i);
		const struct stream_arrival at = {
			.at = leg.to, .wrap = leg.wrap, .channel = leg.channel, .peer = leg.peer
		};

		stream_make(&l->streams->out[i], &leg);
		streams_expect(l->streams, i, &at);
	}
}

static void other(void *arg, unsigned lane, struct rte_mbuf **m, unsigned n)
{
	struct loop *const l = arg;

	(void)lane;
	l->strangers += n;
	rte_pktmbuf_free_bulk(m, n);
}

unsigned loop_send(struct loop *l, unsigned n, unsigned octets, bool check)
{
	const struct engine_plan plan = {
		.packets = n,
		.profile = { .size = { (uint16_t)octets }, .n_sizes = 1, .burst = 1 },
		.round_robin = true,
		.check_payload = check
	};

	if (!l->engine)
		l->engine = engine_new(l->streams, 0, l->streams->n, &l->lane, 1, other, l);
	if (!l->engine)
		die("engine");
	engine_start(l->engine, &plan);
	for (unsigned turns = 0; engine_turn(l->engine) && turns < 10000; turns++)
		;
	return rte_ring_count(l->out);
}

unsigned loop_take(struct loop *l, struct rte_mbuf **m, unsigned n)
{
	return rte_ring_dequeue_burst(l->out, (void **)m, n, NULL);
}

void loop_give(struct loop *l, struct rte_mbuf **m, unsigned n)
{
	for (unsigned i = 0; i < n;) {
		i += rte_ring_enqueue_burst(l->back, (void **)(m + i), n - i, NULL);
		engine_turn(l->engine);
	}
	while (rte_ring_count(l->back))
		engine_turn(l->engine);
}

struct rte_mbuf *loop_copy(struct loop *l, const struct rte_mbuf *m)
{
	struct rte_mbuf *const c = rte_pktmbuf_alloc(l->pool);

	if (!c)
		die("mbuf");
	memcpy(rte_pktmbuf_append(c, m->data_len), rte_pktmbuf_mtod(m, const void *), m->data_len);
	return c;
}

void loop_close(struct loop *l)
{
	struct rte_mbuf *m;

	engine_free(l->engine);
	while (rte_ring_dequeue(l->out, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	while (rte_ring_dequeue(l->back, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	CHECK(rte_mempool_avail_count(l->pool) == l->in_pool, "no buffer is lost");
	rte_eth_dev_stop(l->ethdev);
	rte_eth_dev_close(l->ethdev);
	rte_ring_free(l->out);
	rte_ring_free(l->back);
	rte_mempool_free(l->pool);
	streams_free(l->streams);
}
