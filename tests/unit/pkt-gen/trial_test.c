/* Mirrors pkt-gen/trial.c: whole trials over ports that loop, one engine and two. */
#include "loop.h"

#include <errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <unistd.h>

#include "pkt-gen/trial.h"

static struct profile small;
static unsigned ticks, chores;
static uint64_t last_sent;
static struct crew *to_interrupt;

/* A port that receives what it sends. */
static struct lane looped(struct rte_mempool *pool, unsigned slots)
{
	static unsigned count;
	struct rte_eth_conf conf = { .link_speeds = 0 };
	char name[32];

	snprintf(name, sizeof(name), "looped%u", count++);
	struct rte_ring *const ring =
		rte_ring_create(name, slots, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	const int port = ring ? rte_eth_from_ring(ring) : -1;

	CU_ASSERT_FATAL(port >= 0 && rte_eth_dev_configure((uint16_t)port, 1, 1, &conf) == 0 &&
	                rte_eth_rx_queue_setup((uint16_t)port, 0, 64, 0, NULL, pool) == 0 &&
	                rte_eth_tx_queue_setup((uint16_t)port, 0, 64, 0, NULL) == 0 &&
	                rte_eth_dev_start((uint16_t)port) == 0);
	return (struct lane){ .ethdev = (uint16_t)port, .pool = pool };
}

static struct rte_mempool *pool(void)
{
	static unsigned count;
	char name[32];

	snprintf(name, sizeof(name), "trial%u", count++);
	struct rte_mempool *const p =
		rte_pktmbuf_pool_create(name, 16383, 0, 8, 2176, SOCKET_ID_ANY);

	CU_ASSERT_FATAL(p != NULL);
	return p;
}

static struct streams *streams(unsigned n)
{
	struct streams *const s = streams_new(n);

	CU_ASSERT_FATAL(s != NULL);
	for (unsigned i = 0; i < n; i++) {
		struct stream_leg leg = loop_leg(i % 6);

		leg.from.port = (uint16_t)(1024 + i);
		const struct stream_arrival at = { leg.to, leg.wrap, leg.channel, leg.peer };

		stream_make(&s->out[i], &leg);
		streams_expect(s, i, &at);
	}
	return s;
}

static void tick(void *arg, const struct tally *now, double seconds)
{
	(void)arg;
	CHECK(now->sent >= last_sent && seconds > 0, "it goes on");
	CHECK(tally_gap(now) <= 0 && now->in_flight <= now->sent, "a snapshot");
	last_sent = now->sent;
	if (++ticks == 2 && to_interrupt)
		crew_interrupt(to_interrupt);
}

static unsigned chore(void *arg, uint64_t now_ns)
{
	(void)arg;
	chores += now_ns > 0;
	return 0;
}

static void test_one(void)
{
	struct rte_mempool *const p = pool();
	const struct lane lane = looped(p, 16384);
	struct streams *const s = streams(30);
	struct engine *e = engine_new(s, 0, 30, &lane, 1, NULL, NULL);
	const int core = -1;
	struct crew *const c = crew_new(&e, &core, 1, chore, NULL);
	const struct trial t = { .pps = 20000,
		                 .seconds = 0.35,
		                 .drain_s = 1,
		                 .profile = &small,
		                 .check_payload = true };
	struct outcome o;

	CU_ASSERT_FATAL(c != NULL);
	ticks = chores = 0;
	last_sent = 0;
	to_interrupt = NULL;
	crew_on_tick(c, tick, NULL);
	CHECK(trial_run(c, &t, &o) == 0, "run");
	CHECK(o.tally.sent == 7000 && o.tally.received == 7000 && o.tally.lost == 0 &&
	              tally_gap(&o.tally) == 0,
	      "7000 packets");
	/* The pace itself is held to a simulated clock in engine_test; here the machine may be
	 * busy, which makes a trial longer and never faster. */
	CHECK(o.sent_pps < 20060 && o.sent_pps * o.seconds > 6900 && o.sent_pps * o.seconds < 7100,
	      "the rate");
	CHECK(o.offered_pps == 20000 && o.seconds > 0.349, "as asked");
	CHECK(histogram_count(o.tally.latency) == 7000 &&
	              histogram_at(o.tally.latency, 0.5) > 10 /* ns */,
	      "latencies in nanoseconds");
	CHECK(ticks >= 2 && chores > 100, "ticks and chores");
	outcome_free(&o);
	last_sent = 0;
	/* Again: numbers begin anew, nothing of the first is left. */
	CHECK(trial_run(c, &t, &o) == 0 && o.tally.sent == 7000 && o.tally.received == 7000 &&
	              o.tally.late == 0 && o.tally.duplicated == 0,
	      "the second is as the first");
	outcome_free(&o);
	crew_free(c);
	engine_free(e);
	streams_free(s);
}

/* Two engines: what one sends, the other receives, and the sum closes over both. */
static void test_two(void)
{
	struct rte_mempool *const p = pool();
	struct rte_ring *ring[2];
	struct rte_eth_conf conf = { .link_speeds = 0 };
	struct lane lane[2];
	struct streams *const s = streams(40);
	struct engine *e[2];
	struct outcome o;
	const int cores[2] = { -1, -1 };
	const unsigned flags = RING_F_SP_ENQ | RING_F_SC_DEQ;

	/* Room for all that is sent: a thread that waits for its core loses nothing. */
	ring[0] = rte_ring_create("cross0", 16384, SOCKET_ID_ANY, flags);
	ring[1] = rte_ring_create("cross1", 16384, SOCKET_ID_ANY, flags);
	for (unsigned i = 0; i < 2; i++) {
		const int port = rte_eth_from_rings(i ? "cross_b" : "cross_a", &ring[i], 1,
		                                    &ring[1 - i], 1, 0);

		CU_ASSERT_FATAL(port >= 0 &&
		                rte_eth_dev_configure((uint16_t)port, 1, 1, &conf) == 0 &&
		                rte_eth_rx_queue_setup((uint16_t)port, 0, 64, 0, NULL, p) == 0 &&
		                rte_eth_tx_queue_setup((uint16_t)port, 0, 64, 0, NULL) == 0 &&
		                rte_eth_dev_start((uint16_t)port) == 0);
		lane[i] = (struct lane){ .ethdev = (uint16_t)port, .pool = p };
		e[i] = engine_new(s, i ? 10 : 0, i ? 30 : 10, &lane[i], 1, NULL, NULL);
	}
	struct crew *const c = crew_new(e, cores, 2, NULL, NULL);
	const struct trial t = {
		.pps = 40000, .seconds = 0.2, .drain_s = 1, .profile = &small, .check_payload = true
	};

	CU_ASSERT_FATAL(c != NULL);
	CHECK(trial_run(c, &t, &o) == 0, "run");
	CHECK(o.tally.sent == 8000 && o.tally.received == 8000 && tally_gap(&o.tally) == 0,
	      "over both");
	CHECK(engine_tally(e[0])->sent == 2000 && engine_tally(e[0])->received == 6000,
	      "by their streams");
	outcome_free(&o);
	crew_free(c);
	engine_free(e[0]);
	engine_free(e[1]);
	streams_free(s);
}

static void test_interrupt(void)
{
	struct rte_mempool *const p = pool();
	const struct lane lane = looped(p, 2048);
	struct streams *const s = streams(30);
	struct engine *e = engine_new(s, 0, 30, &lane, 1, NULL, NULL);
	const int core = -1;
	struct crew *const c = crew_new(&e, &core, 1, NULL, NULL);
	const struct trial t = {
		.pps = 10000, .seconds = 20, .drain_s = 1, .profile = &small, .check_payload = true
	};
	struct outcome o;

	CU_ASSERT_FATAL(c != NULL);
	ticks = 0;
	last_sent = 0;
	to_interrupt = c;
	crew_on_tick(c, tick, NULL);
	CHECK(trial_run(c, &t, &o) == -EINTR, "interrupted");
	CHECK(o.tally.sent > 100 && o.tally.sent < 30000 && tally_gap(&o.tally) == 0,
	      "what was done until then");
	CHECK(o.seconds > 0.1 && o.seconds < 3 && o.sent_pps < 11000, "rate");
	outcome_free(&o);
	to_interrupt = NULL;
	crew_free(c);
	engine_free(e);
	streams_free(s);
}

/* A server that is not there: all is lost, said after the drain. And a rate out of reach. */
static void test_limits(void)
{
	struct rte_mempool *const p = pool();
	const struct lane lane = looped(p, 2048);
	struct streams *const s = streams(30);
	struct engine *e = engine_new(s, 0, 30, &lane, 1, NULL, NULL);
	const int core = -1;
	struct crew *const c = crew_new(&e, &core, 1, NULL, NULL);
	struct trial t = { .pps = 1e12,
		           .seconds = 0.1,
		           .drain_s = 0.2,
		           .profile = &small,
		           .check_payload = true };
	struct outcome o;

	CU_ASSERT_FATAL(c != NULL);
	CHECK(trial_run(c, &t, &o) == 0 && o.generator_bound && o.sent_pps > 1000 &&
	              tally_gap(&o.tally) == 0,
	      "the generator is the limit, and says so");
	outcome_free(&o);
	t.pps = 0;
	CHECK(trial_run(c, &t, &o) == 0 && !o.generator_bound && o.offered_pps == 0 &&
	              o.tally.sent == o.tally.received && o.tally.tx_full == 0,
	      "as fast as it goes: without loss");
	outcome_free(&o);
	t.pps = 1000;
	for (unsigned i = 0; i < 30; i++) {
		const struct stream_arrival nowhere = { .wrap = WRAP_NONE };

		streams_expect(s, i, &nowhere);
	}
	CHECK(trial_run(c, &t, &o) == 0 && o.tally.lost == 100 && o.tally.received == 0 &&
	              o.tally.misdelivered == 100 && tally_loss(&o.tally) == 1.0,
	      "nothing comes where it belongs");
	outcome_free(&o);
	crew_free(c);
	engine_free(e);
	streams_free(s);
}

int main(void)
{
	CU_TestInfo tests[] = { { "one engine", test_one },
		                { "two engines", test_two },
		                { "interrupt", test_interrupt },
		                { "limits", test_limits },
		                CU_TEST_INFO_NULL };

	profile_parse("64", &small);
	loop_start_eal();
	return run_suite("trial", tests);
}
