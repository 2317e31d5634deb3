#include "bench/rings.h"

#include <inttypes.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench.h"
#include "dataplane/eal.h"
#include "tests/rig/eal.h"

enum { MBUFS = 16383, HUGE_WANTED = 64, DRAIN_MS = 50, LOOPED_SLOTS = 1024 };

static struct rte_mempool *pool;
static uint16_t port_gen, port_dev, port_loop;
static int core_gen, core_dev;

static _Atomic unsigned wanted, standing; /* numbers of what the device is */
static _Atomic bool in_trial;
static struct {
	_Alignas(64) _Atomic uint64_t n; /* odd: the device's turn */
} ball;
static bool realtime;
static _Atomic enum device what;
static struct stage *used; /* whose engine has a thread */
static struct dut *relay;
static enum forward how;

static void die(const char *why)
{
	fprintf(stderr, "bench: rings: %s\n", why);
	exit(1);
}

/* Threads made from here on begin with it. Main stands above those that spin, or it never runs. */
static void set_level(int priority)
{
	const struct sched_param p = { .sched_priority = priority };

	if (realtime && sched_setscheduler(0, SCHED_FIFO, &p) < 0)
		die("no right to SCHED_FIFO");
}

/* --- the device --- */

static void *device_main(void *arg)
{
	cpu_set_t one;

	(void)arg;
	CPU_ZERO(&one);
	CPU_SET(core_dev, &one);
	sched_setaffinity(0, sizeof(one), &one);
	if (rte_thread_register() < 0)
		die("a thread that EAL does not want");
	for (;;) {
		const unsigned number = atomic_load_explicit(&wanted, memory_order_acquire);

		if (atomic_load_explicit(&standing, memory_order_relaxed) == number) {
			usleep(1000);
			continue;
		}
		atomic_store_explicit(&standing, number, memory_order_release);
		const enum device now = what;

		if (now == DEVICE_RELAY)
			dut_run(relay);
		while (now == DEVICE_ECHO &&
		       atomic_load_explicit(&wanted, memory_order_relaxed) == number)
			if (atomic_load(&ball.n) % 2)
				atomic_fetch_add(&ball.n, 1);
		while (now == DEVICE_FORWARD &&
		       atomic_load_explicit(&wanted, memory_order_relaxed) == number)
			if (atomic_load_explicit(&in_trial, memory_order_relaxed))
				for (unsigned i = 0; i < 64; i++)
					forward_turn(how, port_dev, 0);
			else
				usleep(200);
	}
	return NULL;
}

static void stand(unsigned number)
{
	atomic_store_explicit(&wanted, number, memory_order_release);
	while (atomic_load_explicit(&standing, memory_order_acquire) != number)
		usleep(100);
}

void rings_device(enum device new, struct dut *d, enum forward f)
{
	const unsigned number = atomic_load(&wanted) + 1;
	const enum device old = what;

	/* First to rest: the thread reads what it is only where it stands anew. */
	what = DEVICE_REST;
	if (old == DEVICE_RELAY)
		dut_stop(relay);
	stand(number);
	if (old == DEVICE_RELAY)
		dut_end(relay);
	if (new == DEVICE_REST)
		return;
	if (new == DEVICE_RELAY)
		dut_start(d);
	relay = d;
	how = f;
	what = new;
	stand(number + 1);
	usleep(1000);
}

void rings_spin(bool spin)
{
	atomic_store(&in_trial, spin);
	if (what == DEVICE_RELAY)
		dut_spin(relay, spin);
	if (spin)
		usleep(2000);
}

double rings_distance(void)
{
	enum { TURNS = 50000 };

	if (used && used->crew) {
		crew_free(used->crew);
		used->crew = NULL;
	}
	rings_pin_generator();
	rings_device(DEVICE_ECHO, NULL, FORWARD_IO);
	const uint64_t start = rte_rdtsc();

	for (unsigned i = 0; i < TURNS; i++) {
		atomic_fetch_add(&ball.n, 1);
		while (atomic_load(&ball.n) % 2)
			;
	}
	const double ns = (double)(rte_rdtsc() - start) / TURNS * 1e9 / (double)rte_get_tsc_hz();

	rings_device(DEVICE_REST, NULL, FORWARD_IO);
	return ns;
}

/* --- EAL and ports --- */

static void start_eal(bool may_huge)
{
	const unsigned last = bench_cores() - 1; /* before a pin: it counts what is allowed */

	core_gen = bench_pin(0);
	core_dev = bench_pin(last);
	if (core_gen < 0 || core_dev < 0 || core_gen == core_dev)
		die("two cores are needed");
	const bool huge = eal_rig_start("rings", 512, core_dev, may_huge ? HUGE_WANTED : 0);

	printf("# packet memory on %s; generator on core %d, device on core %d\n",
	       huge ? "hugepages" : "ordinary pages: no hugepages", core_gen, core_dev);
}

static struct rte_ring *ring_new(const char *name, unsigned slots)
{
	struct rte_ring *const r =
		rte_ring_create(name, slots, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);

	if (!r)
		die("no room for a ring");
	return r;
}

static uint16_t port_new(const char *name, struct rte_ring *in, struct rte_ring *out)
{
	struct rte_eth_conf conf = { .link_speeds = 0 };
	const int port = rte_eth_from_rings(name, &in, 1, &out, 1, 0);

	if (port < 0 || rte_eth_dev_configure((uint16_t)port, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup((uint16_t)port, 0, RINGS_SLOTS, 0, NULL, pool) != 0 ||
	    rte_eth_tx_queue_setup((uint16_t)port, 0, RINGS_SLOTS, 0, NULL) != 0 ||
	    rte_eth_dev_start((uint16_t)port) != 0)
		die("no port of rings");
	return (uint16_t)port;
}

void rings_begin(bool may_huge)
{
	pthread_t thread;

	const char *const wish = getenv("TURNPIKE_BENCH_REALTIME");

	realtime = wish && strcmp(wish, "1") == 0;
	start_eal(may_huge);
	pool = rte_pktmbuf_pool_create("rings", MBUFS, 256, EAL_PRIVATE, 2176, SOCKET_ID_ANY);
	if (!pool)
		die("no room for buffers");
	struct rte_ring *const there = ring_new("there", RINGS_SLOTS);
	struct rte_ring *const back = ring_new("back", RINGS_SLOTS);
	struct rte_ring *const looped = ring_new("looped", LOOPED_SLOTS);

	port_gen = port_new("gen", back, there);
	port_dev = port_new("dev", there, back);
	port_loop = port_new("loop", looped, looped);
	set_level(1);
	if (pthread_create(&thread, NULL, device_main, NULL) != 0)
		die("no thread");
	set_level(2);
	pthread_detach(thread);
}

void rings_pin_generator(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(core_gen, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

void *rings_pool(void)
{
	return pool;
}

uint16_t rings_device_port(void)
{
	return port_dev;
}

/* --- the generator --- */

static struct stream_leg leg_of(uint32_t stream)
{
	const uint32_t i = stream / 2;
	struct stream_leg leg = { .wrap = WRAP_NONE };

	memcpy(leg.macs, dut_macs, 12);
	if (stream % 2) {
		leg.from = dut_peer(i);
		leg.to = dut_relayed(i);
		return leg;
	}
	leg.from = dut_client(i);
	leg.to = dut_listener();
	leg.wrap = WRAP_CHANNEL;
	leg.channel = dut_channel();
	return leg;
}

void stage_expect(struct stage *st, enum expect from_where)
{
	for (uint32_t i = 0; i < st->s->n; i++) {
		const struct stream_leg leg = leg_of(i);
		struct stream_arrival at = { .at = from_where == EXPECT_SWAPPED ? leg.from : leg.to,
			                     .wrap = leg.wrap,
			                     .channel = leg.channel };

		if (from_where == EXPECT_RELAYED && i % 2 == 0)
			at = (struct stream_arrival){ .at = dut_peer(i / 2), .wrap = WRAP_NONE };
		else if (from_where == EXPECT_RELAYED)
			at = (struct stream_arrival){ .at = dut_client(i / 2),
				                      .wrap = WRAP_CHANNEL,
				                      .channel = dut_channel() };
		streams_expect(st->s, i, &at);
	}
}

void stage_open(struct stage *st, uint32_t flows, bool looped)
{
	const struct lane lane = { .ethdev = looped ? port_loop : port_gen,
		                   .pool = pool,
		                   .full_is_loss = true };

	*st = (struct stage){ .flows = flows, .s = streams_new(2 * flows) };
	if (!st->s)
		die("no memory for streams");
	for (uint32_t i = 0; i < 2 * flows; i++) {
		const struct stream_leg leg = leg_of(i);

		stream_make(&st->s->out[i], &leg);
	}
	st->e = engine_new(st->s, 0, 2 * flows, &lane, 1, NULL, NULL);
	if (!st->e)
		die("no engine");
}

/* An engine with a thread receives: only one stage has one, for rings have one reader. */
static void use(struct stage *st)
{
	if (used == st && st->crew)
		return;
	if (used && used->crew) {
		crew_free(used->crew);
		used->crew = NULL;
	}
	used = st;
	rings_pin_generator(); /* where a thread begins, and the device does not spin */
	set_level(1);
	st->crew = crew_new(&st->e, &core_gen, 1, NULL, NULL);
	set_level(2);
	if (!st->crew)
		die("no thread");
}

uint16_t rings_take_port(void)
{
	if (used && used->crew) {
		crew_free(used->crew);
		used->crew = NULL;
	}
	rings_pin_generator();
	return port_gen;
}

void stage_close(struct stage *st)
{
	crew_free(st->crew);
	st->crew = NULL;
	engine_free(st->e);
	streams_free(st->s);
}

struct outcome stage_trial(struct stage *st, double pps, double seconds,
                           const struct profile *profile, bool check)
{
	const struct trial t = { .pps = pps,
		                 .seconds = seconds,
		                 .drain_s = DRAIN_MS / 1e3,
		                 .profile = profile,
		                 .check_payload = check,
		                 .spin = true };
	struct outcome o;

	use(st);
	rings_spin(true);
	trial_run(st->crew, &t, &o);
	rings_spin(false);
	if (realtime) /* the kernel takes a twentieth of each second for others: not from a trial */
		usleep((useconds_t)(seconds * 2e5));
	const struct tally *const y = &o.tally;

	if (tally_gap(y) != 0 || y->corrupted + y->checksum + y->misdelivered + y->stray > 0) {
		fprintf(stderr,
		        "bench: rings: a trial that is wrong: gap %" PRId64 ", corrupted %" PRIu64
		        ", checksum %" PRIu64 ", misdelivered %" PRIu64 ", stray %" PRIu64 "\n",
		        tally_gap(y), y->corrupted, y->checksum, y->misdelivered, y->stray);
		exit(1);
	}
	return o;
}
