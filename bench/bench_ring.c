/*
 * The ring of abi/ring.h between two pinned processes: one-line messages in bursts of 32, and a
 * ping-pong. Baselines of the same run: rte_ring SP/SC with 64-octet elements in shared memory, and
 * a bare cache line for the round trip.
 */
#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/ring.h"
#include "bench/bench.h"

enum { LINES = 4096, BURST = 32, PAIRS_MAX = 16, ROUNDS = 100000 };

enum job { JOB_REST, JOB_STREAM, JOB_STREAM_RTE, JOB_PING, JOB_PING_LINE, JOB_END };

struct message { /* the body of a one-line record */
	uint64_t number;
	uint8_t rest[48];
};
static_assert(sizeof(struct message) + RING_MARK == ABI_LINE, "");

struct element { /* what rte_ring moves: the same and eight octets more */
	struct message message;
	uint64_t more;
};

/* Everything both processes see. */
struct shared {
	alignas(ABI_LINE) _Atomic uint32_t job;
	alignas(ABI_LINE) _Atomic uint32_t taken; /* the child has seen the job */
	alignas(ABI_LINE) _Atomic uint64_t received;
	_Atomic uint64_t wrong;
	alignas(ABI_LINE) _Atomic uint64_t line_there;
	alignas(ABI_LINE) _Atomic uint64_t line_back;
	struct ring_tail tail_there, tail_back;
	alignas(ABI_LINE) uint8_t there[sizeof(struct ring_head) + LINES * ABI_LINE];
	alignas(ABI_LINE) uint8_t back[sizeof(struct ring_head) + LINES * ABI_LINE];
	alignas(ABI_LINE) uint8_t rte[];
};

/* --- the child: reads, or answers --- */

/* A copied message counts whole: without this the compiler would copy only what is looked at. */
static inline void use(const void *octets)
{
	__asm__ volatile("" : : "r"(octets) : "memory");
}

static void child_stream(struct shared *s, struct ring_reader *r)
{
	uint64_t wanted = atomic_load_explicit(&s->received, memory_order_relaxed);
	struct message m;
	uint16_t kind;

	while (atomic_load_explicit(&s->job, memory_order_acquire) == JOB_STREAM) {
		unsigned n = 0;

		for (; n < BURST && ring_read(r, &kind, &m, sizeof(m)) >= 0; n++) {
			use(&m);
			if (m.number != wanted++)
				s->wrong++;
		}
		if (n) {
			ring_release(r);
			atomic_store_explicit(&s->received, wanted, memory_order_release);
		} else {
			rte_pause();
		}
	}
}

static void child_stream_rte(struct shared *s, struct rte_ring *ring)
{
	uint64_t wanted = atomic_load_explicit(&s->received, memory_order_relaxed);
	struct element e[BURST];

	while (atomic_load_explicit(&s->job, memory_order_acquire) == JOB_STREAM_RTE) {
		const unsigned n =
			rte_ring_sc_dequeue_burst_elem(ring, e, sizeof(e[0]), BURST, NULL);

		use(e);
		for (unsigned i = 0; i < n; i++)
			if (e[i].message.number != wanted++)
				s->wrong++;
		if (n)
			atomic_store_explicit(&s->received, wanted, memory_order_release);
		else
			rte_pause();
	}
}

static void child_ping(struct shared *s, struct ring_reader *r, struct ring_writer *w)
{
	struct message m;
	uint16_t kind;

	while (atomic_load_explicit(&s->job, memory_order_relaxed) == JOB_PING) {
		if (ring_read(r, &kind, &m, sizeof(m)) < 0)
			continue;
		ring_release(r);
		struct message *const answer = ring_reserve(w, kind, sizeof(m));

		if (!answer)
			_exit(3);
		*answer = m;
		ring_publish(w);
	}
}

static void child_ping_line(struct shared *s)
{
	while (atomic_load_explicit(&s->job, memory_order_relaxed) == JOB_PING_LINE)
		atomic_store_explicit(&s->line_back,
		                      atomic_load_explicit(&s->line_there, memory_order_acquire),
		                      memory_order_release);
}

static void child(struct shared *s)
{
	struct ring_reader reader;
	struct ring_writer writer;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(1);
	ring_reader_init(&reader, s->there, LINES, &s->tail_there);
	ring_writer_init(&writer, s->back, LINES, &s->tail_back, -1);
	for (;;) {
		const uint32_t job = atomic_load_explicit(&s->job, memory_order_acquire);

		atomic_store_explicit(&s->taken, job, memory_order_release);
		switch (job) {
		case JOB_STREAM: child_stream(s, &reader); break;
		case JOB_STREAM_RTE: child_stream_rte(s, (struct rte_ring *)s->rte); break;
		case JOB_PING: child_ping(s, &reader, &writer); break;
		case JOB_PING_LINE: child_ping_line(s); break;
		case JOB_END: _exit(0);
		}
		rte_pause();
	}
}

/* --- the parent: writes, times --- */

static void order(struct shared *s, enum job job)
{
	atomic_store_explicit(&s->job, job, memory_order_release);
	while (atomic_load_explicit(&s->taken, memory_order_acquire) != job)
		rte_pause();
}

static void await(struct shared *s, uint64_t number)
{
	while (atomic_load_explicit(&s->received, memory_order_acquire) != number)
		rte_pause();
}

/* Million messages a second, everything received. */
static double stream(struct shared *s, struct ring_writer *w, uint64_t for_ns)
{
	struct message m = { .rest = { 1 } };
	uint64_t number = 0, now;

	atomic_store(&s->received, 0);
	order(s, JOB_STREAM);
	const uint64_t begin = bench_now_ns();

	do {
		/* 64 bursts between two looks at the clock. */
		for (unsigned burst = 0; burst < 64; burst++) {
			for (unsigned i = 0; i < BURST; i++) {
				struct message *const slot = ring_reserve(w, 1, sizeof(m));

				if (!slot)
					break;
				m.number = number++;
				*slot = m;
			}
			ring_publish(w);
		}
		now = bench_now_ns();
	} while (now - begin < for_ns);
	await(s, number);
	now = bench_now_ns();
	order(s, JOB_REST);
	return (double)number * 1e3 / (double)(now - begin);
}

static double stream_rte(struct shared *s, struct rte_ring *ring, uint64_t for_ns)
{
	struct element e[BURST];
	uint64_t number = 0, now;

	memset(e, 1, sizeof(e));
	atomic_store(&s->received, 0);
	order(s, JOB_STREAM_RTE);
	const uint64_t begin = bench_now_ns();

	do {
		for (unsigned burst = 0; burst < 64; burst++) {
			for (unsigned i = 0; i < BURST; i++)
				e[i].message.number = number + i;
			number +=
				rte_ring_sp_enqueue_burst_elem(ring, e, sizeof(e[0]), BURST, NULL);
		}
		now = bench_now_ns();
	} while (now - begin < for_ns);
	await(s, number);
	now = bench_now_ns();
	order(s, JOB_REST);
	return (double)number * 1e3 / (double)(now - begin);
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double median_ns(uint32_t *ticks, double ns_per_tick)
{
	qsort(ticks, ROUNDS, sizeof(*ticks), compare);
	return ticks[ROUNDS / 2] * ns_per_tick;
}

/* p50 of ROUNDS round trips, each timed alone. */
static double ping(struct shared *s, struct ring_writer *w, struct ring_reader *r, uint32_t *ticks,
                   double ns_per_tick)
{
	struct message m = { .rest = { 1 } };
	uint16_t kind;

	order(s, JOB_PING);
	for (unsigned i = 0; i < ROUNDS; i++) {
		const uint64_t begin = rte_rdtsc();
		struct message *const slot = ring_reserve(w, 1, sizeof(m));

		m.number = i;
		*slot = m;
		ring_publish(w);
		while (ring_read(r, &kind, &m, sizeof(m)) < 0)
			;
		ring_release(r);
		ticks[i] = (uint32_t)(rte_rdtsc() - begin);
		if (m.number != i)
			s->wrong++;
	}
	order(s, JOB_REST);
	return median_ns(ticks, ns_per_tick);
}

static double ping_line(struct shared *s, uint32_t *ticks, double ns_per_tick)
{
	static uint64_t number;

	order(s, JOB_PING_LINE);
	for (unsigned i = 0; i < ROUNDS; i++) {
		const uint64_t begin = rte_rdtsc();

		atomic_store_explicit(&s->line_there, ++number, memory_order_release);
		while (atomic_load_explicit(&s->line_back, memory_order_acquire) != number)
			;
		ticks[i] = (uint32_t)(rte_rdtsc() - begin);
	}
	order(s, JOB_REST);
	return median_ns(ticks, ns_per_tick);
}

static double ns_per_tick(void)
{
	const uint64_t ns = bench_now_ns(), ticks = rte_rdtsc();

	while (bench_now_ns() - ns < 20000000)
		;
	return (double)(bench_now_ns() - ns) / (double)(rte_rdtsc() - ticks);
}

static void measure(struct bench *b, struct shared *s)
{
	double own[PAIRS_MAX], rte[PAIRS_MAX], rtt[PAIRS_MAX], line[PAIRS_MAX];
	const unsigned pairs = b->quick ? 8 : PAIRS_MAX;
	const uint64_t for_ns = 300000000;
	const double scale = ns_per_tick();
	uint32_t *const ticks = calloc(ROUNDS, sizeof(*ticks));
	struct ring_writer writer;
	struct ring_reader reader;

	ring_writer_init(&writer, s->there, LINES, &s->tail_there, -1);
	ring_reader_init(&reader, s->back, LINES, &s->tail_back);
	for (unsigned i = 0; i < pairs; i++) {
		own[i] = stream(s, &writer, for_ns);
		rte[i] = stream_rte(s, (struct rte_ring *)s->rte, for_ns);
	}
	bench_report(b, &(struct bench_line){ "ring.stream", "M/s", own, pairs, "rte_ring", rte });
	bench_bar("one-line messages, M/s", bench_median(own, pairs), ">= 60",
	          bench_median(own, pairs) >= 60);
	bench_bar("times rte_ring", bench_median(own, pairs) / bench_median(rte, pairs), ">= 3",
	          bench_median(own, pairs) >= 3 * bench_median(rte, pairs));
	for (unsigned i = 0; i < pairs; i++) {
		rtt[i] = ping(s, &writer, &reader, ticks, scale);
		line[i] = ping_line(s, ticks, scale);
	}
	bench_report(b, &(struct bench_line){ "ring.rtt", "ns", rtt, pairs, "line", line });
	bench_bar("round trip p50, ns", bench_median(rtt, pairs), "<= 250",
	          bench_median(rtt, pairs) <= 250);
	free(ticks);
	if (s->wrong || writer.broken || reader.broken)
		bench_fail(b, "messages came out of order or torn");
}

int main(int argc, char **argv)
{
	struct bench b;

	bench_begin(&b, argc, argv);
	if (bench_cores() < 2) {
		fprintf(stderr, "bench_ring: needs two cores\n");
		return 77;
	}
	const ssize_t rte_octets = rte_ring_get_memsize_elem(sizeof(struct element), LINES);
	struct shared *const s = mmap(NULL, sizeof(*s) + (size_t)rte_octets, PROT_READ | PROT_WRITE,
	                              MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (s == MAP_FAILED || rte_ring_init((struct rte_ring *)s->rte, "bench", LINES,
	                                     RING_F_SP_ENQ | RING_F_SC_DEQ)) {
		fprintf(stderr, "bench_ring: no shared memory\n");
		return 1;
	}
	const pid_t pid = fork();

	if (pid < 0) {
		fprintf(stderr, "bench_ring: fork: %m\n");
		return 1;
	}
	if (pid == 0)
		child(s);
	/* Not before: a child that begins on a core where we spin may never get to its own. */
	bench_pin(0);
	measure(&b, s);
	atomic_store(&s->job, JOB_END);
	waitpid(pid, NULL, 0);
	return bench_end(&b);
}
