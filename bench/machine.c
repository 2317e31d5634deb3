/*
 * What the machine under a bench is, as one JSON object: clocks that the kernel does not tell and
 * how far apart the first two cores are.
 *
 * tsc_ghz    of the time stamp counter; core_ghz from a chain of dependent additions, one a cycle.
 * pingpong_ns A cache line there and back between two pinned threads, the median of 21 rounds:
 * about 50 for two threads of a core, 100 to 150 within a complex, 300 and more across.
 */
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_version.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"

enum { TURNS = 20000, ROUNDS = 21 };

static struct {
	alignas(128) _Atomic uint32_t there;
	alignas(128) _Atomic uint32_t back;
} line;

static void *answer(void *arg)
{
	(void)arg;
	if (bench_pin(1) < 0)
		return NULL;
	for (uint32_t turn = 1; turn <= TURNS * ROUNDS; turn++) {
		while (atomic_load_explicit(&line.there, memory_order_acquire) != turn)
			rte_pause();
		atomic_store_explicit(&line.back, turn, memory_order_release);
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* 0 on a machine with one core. */
static double pingpong_ns(void)
{
	double ns[ROUNDS];
	uint32_t turn = 0;
	pthread_t other;

	if (bench_cores() < 2 || bench_pin(0) < 0 ||
	    pthread_create(&other, NULL, answer, NULL) != 0)
		return 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		const uint64_t start = bench_now_ns();

		for (unsigned i = 0; i < TURNS; i++) {
			atomic_store_explicit(&line.there, ++turn, memory_order_release);
			while (atomic_load_explicit(&line.back, memory_order_acquire) != turn)
				rte_pause();
		}
		ns[round] = (double)(bench_now_ns() - start) / TURNS;
	}
	pthread_join(other, NULL);
	qsort(ns, ROUNDS, sizeof(*ns), compare);
	return ns[ROUNDS / 2];
}

static double core_ghz(void)
{
	double best = 0;

	for (unsigned round = 0; round < 5; round++) {
		const uint64_t n = 20000000;
		uint64_t x = round;
		const uint64_t start = bench_now_ns();

		for (uint64_t i = 0; i < n; i += 8)
			__asm__ volatile("add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n"
			                 "add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n"
			                 : "+r"(x));
		const double ghz = (double)n / (double)(bench_now_ns() - start);

		if (ghz > best)
			best = ghz;
	}
	return best;
}

int main(void)
{
	const uint64_t ns = bench_now_ns(), tsc = rte_rdtsc();
	const double ghz = core_ghz(), away = pingpong_ns();
	const double tsc_ghz = (double)(rte_rdtsc() - tsc) / (double)(bench_now_ns() - ns);

	printf("{\"tsc_ghz\":%.3f,\"core_ghz\":%.2f,\"pingpong_ns\":%.0f,\"compiler\":\"%s\","
	       "\"dpdk\":\"%s\"}\n",
	       tsc_ghz, ghz, away, __VERSION__, rte_version());
	return 0;
}
