/* Prints lines of known samples as bench/bench.c makes them, for stats_test.py to compare. */
#include "bench/bench.h"

static const double ours[] = { 99, 12.5, 13.25, 11, 14.75, 12, 16, 10.5, 13, 12.25 };
static const double theirs[] = { 1, 25, 26, 24, 31, 23.5, 30, 22, 27, 24.25 };

int main(int argc, char **argv)
{
	struct bench b;

	bench_begin(&b, argc, argv);
	bench_report(&b, &(struct bench_line){ "same.odd", "x", ours, 10, "theirs", theirs });
	bench_report(&b, &(struct bench_line){ "same.even", "x", ours, 9, NULL, NULL });
	bench_report(&b, &(struct bench_line){ "same.one", "x", ours, 1, NULL, NULL });
	return bench_end(&b);
}
