/*
 * The timing harness of every bench: what ran where, medians with an interval, one JSON line per
 * figure and baseline.
 *
 *   struct bench b;
 *   bench_begin(&b, argc, argv);            --quick or --long, --out FILE (or TURNPIKE_BENCH_OUT)
 *   for (pair = 0; pair < n; pair++) { ours[pair] = ...; theirs[pair] = ...; }   A, B, A, B
 *   bench_report(&b, &(struct bench_line){ "ring.stream", "M/s", ours, n, "rte_ring", theirs });
 *   return bench_end(&b);
 *
 * Method     Own and baseline alternate in one run; pair 0 is warm-up and dropped. `value` is the
 *            median, `low` and `high` its bootstrap 95 % interval, `ratio` the median of the
 *            per-pair ratios (own / baseline). A line is noisy if the hypervisor stole more than
 *            1 % since the last line, or the interval's half-width is above 3 %: claim nothing from
 *            it.
 * Line       {"name","value","unit","low","high","baseline","ratio","noisy"}; baseline and ratio
 *            are null without one.
 * Threads    Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { BENCH_SAMPLES_MAX = 256 };

struct bench {
	bool quick, lengthy; /* neither: a share of the 20 minutes that the whole bench may take */
	FILE *out;           /* NULL: the table only */
	const char *out_path;
	uint64_t steal, total; /* of /proc/stat at the last line */
	bool failed;
};

struct bench_line {
	const char *name, *unit;
	const double *value; /* n samples, the first is dropped */
	unsigned n;
	const char *baseline; /* NULL: none */
	const double *base;   /* n samples, taken in turn with `value` */
};

static inline uint64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Parses the arguments above, prints the machine; exits 2 on an unknown argument. */
void bench_begin(struct bench *b, int argc, char **argv);
void bench_report(struct bench *b, const struct bench_line *line);
/* A bar the project set itself, told beside the figure; not part of the exit status. */
void bench_bar(const char *what, double found, const char *wanted, bool met);
/* A result that is wrong rather than slow: the exit status becomes 1. */
void bench_fail(struct bench *b, const char *why);
int bench_end(struct bench *b);

/* Median of n samples, the first dropped as in a report. */
double bench_median(const double *sample, unsigned n);

/* Pins the calling thread to the i-th core this process may use; -1 if there is no such core. */
int bench_pin(unsigned i);
unsigned bench_cores(void);
