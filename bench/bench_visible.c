/*
 * How long a command of control's takes until a worker's look-up finds it, and how long a request
 * takes from a worker to control and back. Two pinned threads, as the programs have it on a machine
 * of two cores: a worker with the service turn inside its loop, and control. The worker relays
 * ChannelData at half of what it can meanwhile, open loop. Everything between the two ends is the
 * code that ships (the ports, routes and the join are stand-ins); both threads poll.
 *
 *   visible   control reads the clock, then puts a CMD_SET of a channel into the command ring; the
 *             worker reads it when flow_find() knows the channel; baseline `line`: when it sees the
 *             number in a line of memory, so what the machine does to two threads is in both
 *   punt.rtt  a worker is given a signed Refresh; its answer is in the worker's inject ring
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/visible_control.h"
#include "dataplane/flow.h"
#include "dataplane/service.h"
#include "tests/unit/dataplane/bed.h"

enum {
	SAMPLES = 20000,
	TRIPS = 20000,
	ROUNDS_MAX = 8,
	BURST = 32,
	CALIBRATE = 2000,
	PAYLOAD = 160,
	CHANNEL = 0x4000,
	GAP_US = 4, /* at most, between a channel seen and the next */
	LINE = 1,   /* as a channel: the worker need only see the number */
};
static const char client[] = "198.18.0.50:2000", peer[] = "198.18.1.9:7000";

/* --- what both threads see --- */

static struct {
	alignas(64) _Atomic uint64_t enqueued; /* TSC of the channel that is on its way */
	alignas(64) _Atomic uint32_t wanted;   /* its number, 0: none */
	alignas(64) _Atomic uint32_t seen;     /* samples taken */
	alignas(64) _Atomic bool stop;
} shared;
static double ns_per_tick;
static struct flow_key wanted_key; /* of what is looked up, but for the channel */

/* --- the worker's half --- */

static struct {
	uint8_t frame[256];
	uint32_t len;
	double burst_ticks; /* one burst, with making and dropping its frames */
	uint64_t next;      /* TSC when the next burst is due */
	uint64_t relayed, due;
} media;

static void drain(struct rte_ring *ring)
{
	struct rte_mbuf *m[64];
	unsigned n;

	while ((n = rte_ring_dequeue_burst(ring, (void **)m, 64, NULL)) > 0) {
		rte_pktmbuf_free_bulk(m, n);
		media.relayed += n;
	}
}

static void relay_burst(void)
{
	struct rte_mbuf *m[BURST];

	if (rte_pktmbuf_alloc_bulk(bed.pool, m, BURST) != 0)
		abort();
	for (unsigned i = 0; i < BURST; i++) {
		memcpy(rte_pktmbuf_mtod(m[i], void *), media.frame, media.len);
		m[i]->data_len = (uint16_t)media.len;
		m[i]->pkt_len = media.len;
	}
	worker_burst(&bed.worker[0], &bed.port, m, BURST);
	worker_flush(&bed.worker[0]);
	drain(bed.worker[0].foreign);
	media.due += BURST;
}

static void make_media(void)
{
	uint8_t data[4 + PAYLOAD] = { CHANNEL >> 8, 1, 0, PAYLOAD };
	struct cmd_flow c = bed_allocation(client, 0, 50000);

	bed_set(&c);
	c = bed_permission(client, peer);
	bed_set(&c);
	c = bed_channel(client, CHANNEL + 1, peer);
	bed_set(&c);
	media.len = bed_udp(media.frame, client, "198.18.0.1:3478", data, sizeof(data));
	const struct endpoint at = bed_ep(client);

	wanted_key = (struct flow_key){ .port = htons(at.port), .kind = FLOW_CHANNEL };
	memcpy(wanted_key.ip, at.addr.ip, 16);
	const uint64_t from = rte_rdtsc();

	for (unsigned i = 0; i < CALIBRATE; i++)
		relay_burst();
	media.burst_ticks = (double)(rte_rdtsc() - from) / CALIBRATE;
}

/* What worker_run() does in one turn: media if some is due, then the service turn. */
static void turn(void)
{
	const uint64_t now = rte_rdtsc();

	if (now >= media.next) {
		relay_burst();
		media.next += (uint64_t)(2 * media.burst_ticks);
		if (media.next + (uint64_t)(64 * media.burst_ticks) < now)
			media.next = now; /* the hypervisor took the core away */
	}
	service_turn(bed.service, 32);
	rte_rcu_qsbr_quiescent(bed.dp.qsbr, 0);
}

static void look(void)
{
	const uint32_t number = atomic_load_explicit(&shared.wanted, memory_order_acquire);

	if (number == 0)
		return;
	wanted_key.channel = htons((uint16_t)number);
	if (number != LINE && flow_find(bed.dp.flows, &wanted_key) == ROW_NONE)
		return;
	atomic_store_explicit(&shared.enqueued,
	                      rte_rdtsc() -
	                              atomic_load_explicit(&shared.enqueued, memory_order_relaxed),
	                      memory_order_relaxed);
	atomic_store_explicit(&shared.wanted, 0, memory_order_release);
	atomic_fetch_add_explicit(&shared.seen, 1, memory_order_relaxed);
}

/* --- control's half of `visible` --- */

static uint32_t ticks[SAMPLES], lines[SAMPLES];

static void put(uint16_t kind, const struct cmd_flow *c)
{
	while (!bed_flow(kind, c))
		rte_pause();
}

/* TSC ticks from the store of `number`, and the command if any, until the worker knows of it. */
static uint32_t until_seen(uint32_t number, const struct cmd_flow *c)
{
	atomic_store_explicit(&shared.enqueued, rte_rdtsc(), memory_order_relaxed);
	atomic_store_explicit(&shared.wanted, number, memory_order_release);
	if (c != NULL)
		put(CMD_SET, c);
	while (atomic_load_explicit(&shared.wanted, memory_order_acquire) != 0)
		rte_pause();
	return (uint32_t)atomic_load_explicit(&shared.enqueued, memory_order_relaxed);
}

static void *command(void *arg)
{
	uint64_t state = 88172645463325252;
	struct cmd_flow c;
	struct punt_row ev;

	(void)arg;
	bench_pin(1);
	for (unsigned i = 0; i < SAMPLES; i++) {
		const uint32_t number = CHANNEL + 2 + i % 4000;

		state ^= state << 13, state ^= state >> 7, state ^= state << 17;
		const uint64_t until =
			rte_rdtsc() + (uint64_t)((double)(state % (GAP_US * 1000)) / ns_per_tick);

		while (rte_rdtsc() < until)
			rte_pause();
		c = bed_channel(client, (uint16_t)number, peer);
		c.peer_port = (uint16_t)(8000 + i);
		ticks[i] = until_seen(number, &c);
		lines[i] = until_seen(LINE, NULL);
		put(CMD_DELETE, &c);
		while (bed_status(&ev) >= 0) /* nobody else reads them */
			;
	}
	atomic_store(&shared.stop, true);
	return NULL;
}

/* --- figures --- */

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double percentile_us(uint32_t *sample, unsigned n, double part)
{
	qsort(sample, n, sizeof(*sample), compare);
	return sample[(unsigned)(n * part)] * ns_per_tick * 1e-3;
}

static void visible_round(struct bench *b, double *const p50[2], double *const p99[2])
{
	pthread_t thread;

	atomic_store(&shared.stop, false);
	media.next = rte_rdtsc();
	media.relayed = media.due = 0;
	if (pthread_create(&thread, NULL, command, NULL) != 0)
		abort();
	while (!atomic_load_explicit(&shared.stop, memory_order_relaxed)) {
		turn();
		look();
	}
	pthread_join(thread, NULL);
	bed_turn();
	if (media.relayed != media.due)
		bench_fail(b, "media was lost beside the commands");
	*p50[0] = percentile_us(ticks, SAMPLES, 0.5);
	*p99[0] = percentile_us(ticks, SAMPLES, 0.99);
	*p50[1] = percentile_us(lines, SAMPLES, 0.5);
	*p99[1] = percentile_us(lines, SAMPLES, 0.99);
}

/* --- a request and its answer --- */

static uint32_t trips[TRIPS];

/* Gives the worker one frame and waits for an answer to it. */
static bool trip(const uint8_t *octets, uint32_t len, struct rte_mbuf **answer, uint32_t *took)
{
	uint8_t frame[512];
	const uint32_t n = bed_udp(frame, client, "198.18.0.1:3478", octets, len);
	struct rte_mbuf *m = bed_mbuf(frame, n);
	const uint64_t from = rte_rdtsc();
	const uint64_t end = from + (uint64_t)(1e9 / ns_per_tick);

	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	worker_flush(&bed.worker[0]);
	while (rte_ring_dequeue(bed.worker[0].inject, (void **)answer) != 0 &&
	       rte_ring_dequeue(bed.worker[0].foreign, (void **)answer) != 0) {
		turn();
		if (rte_rdtsc() > end)
			return false;
	}
	*took = (uint32_t)(rte_rdtsc() - from);
	return true;
}

static bool ask(const uint8_t *octets, uint32_t len, uint32_t *took)
{
	struct rte_mbuf *answer;

	if (!trip(octets, len, &answer, took))
		return false;
	const bool good =
		visible_control_learn(rte_pktmbuf_mtod_offset(answer, const uint8_t *, 14 + 20 + 8),
	                              answer->data_len - (14u + 20 + 8));

	rte_pktmbuf_free(answer);
	return good;
}

/* An allocation with the channel that the media comes by. */
static bool make_client(void)
{
	static const enum visible_ask asks[] = {
		VISIBLE_BARE, /* 401 of the worker's own: realm and nonce */
		VISIBLE_ALLOCATE,
		VISIBLE_BIND,
	};
	uint8_t message[VISIBLE_MESSAGE_MAX];
	uint32_t took;

	bed.worker[0].now_ns = bed.service->self.now_ns;
	for (unsigned i = 0; i < 3; i++)
		if (!ask(message, visible_control_ask(message, asks[i]), &took))
			return false;
	return true;
}

static double punt_round(struct bench *b)
{
	uint8_t message[VISIBLE_MESSAGE_MAX];
	const uint32_t len = visible_control_ask(message, VISIBLE_REFRESH);

	media.relayed = media.due = 0;
	for (unsigned i = 0; i < TRIPS; i++) {
		bed.worker[0].now_ns = bed.service->self.now_ns;
		/* One that became stale because the core was taken away is asked again. */
		if (!ask(message, len, &trips[i]) && !ask(message, len, &trips[i])) {
			bench_fail(b, "a request was not answered, or refused");
			return 0;
		}
	}
	if (media.relayed != media.due)
		bench_fail(b, "media was lost beside the requests");
	return percentile_us(trips, TRIPS, 0.5);
}

int main(int argc, char **argv)
{
	double p50[2][ROUNDS_MAX], p99[2][ROUNDS_MAX], rtt[ROUNDS_MAX];
	struct bench b;

	bench_begin(&b, argc, argv);
	if (bench_cores() < 2) {
		fprintf(stderr, "bench_visible: needs two cores\n");
		return 77;
	}
	const unsigned rounds = b.quick ? 3 : ROUNDS_MAX;

	bench_pin(0); /* before EAL does */
	bed_start("limits: { requests-per-prefix: 10000000 }\n");
	bench_pin(0);
	ns_per_tick = 1e9 / (double)rte_get_tsc_hz();
	rte_rcu_qsbr_thread_register(bed.dp.qsbr, 0);
	rte_rcu_qsbr_thread_online(bed.dp.qsbr, 0);
	make_media();
	for (unsigned i = 0; i < rounds; i++)
		visible_round(&b, (double *[]){ &p50[0][i], &p50[1][i] },
		              (double *[]){ &p99[0][i], &p99[1][i] });
	bench_report(&b,
	             &(struct bench_line){ "visible.p50", "us", p50[0], rounds, "line", p50[1] });
	bench_report(&b,
	             &(struct bench_line){ "visible.p99", "us", p99[0], rounds, "line", p99[1] });
	bench_bar("visible p99, us", bench_median(p99[0], rounds), "<= 20",
	          bench_median(p99[0], rounds) <= 20);

	visible_control_start(bed.file, &bed.command, &bed.punts, &bed.events);
	while (!visible_control_ready())
		turn();
	if (!make_client())
		bench_fail(&b, "no allocation");
	for (unsigned i = 0; i < rounds; i++)
		rtt[i] = punt_round(&b);
	visible_control_stop();
	bench_report(&b, &(struct bench_line){ "punt.rtt", "us", rtt, rounds, NULL, NULL });
	rte_rcu_qsbr_thread_offline(bed.dp.qsbr, 0);
	rte_rcu_qsbr_thread_unregister(bed.dp.qsbr, 0);
	bed_stop();
	return bench_end(&b);
}
