#include "bench/bench.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum { RESAMPLES = 1000 };

/* --- the machine --- */

static bool read_stat(uint64_t *steal, uint64_t *total)
{
	FILE *const f = fopen("/proc/stat", "re");
	unsigned long long v[8];

	if (!f)
		return false;
	const int n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2],
	                     &v[3], &v[4], &v[5], &v[6], &v[7]);

	fclose(f);
	if (n != 8)
		return false;
	*total = 0;
	for (int i = 0; i < 8; i++)
		*total += v[i];
	*steal = v[7];
	return true;
}

/* The value behind `key` in a "key : value" file, or "?". */
static void read_key(const char *path, const char *key, char *out, size_t cap)
{
	FILE *const f = fopen(path, "re");
	char line[512];

	snprintf(out, cap, "?");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		const char *const colon = strchr(line, ':');

		if (!colon)
			continue;
		const char *const value = colon + 1 + strspn(colon + 1, " \t");

		snprintf(out, cap, "%.*s", (int)strcspn(value, "\n"), value);
		break;
	}
	fclose(f);
}

static void print_machine(void)
{
	char model[128], mhz[64], huge[64], free_[64];
	struct utsname u = { 0 };

	uname(&u);
	read_key("/proc/cpuinfo", "model name", model, sizeof(model));
	read_key("/proc/cpuinfo", "cpu MHz", mhz, sizeof(mhz));
	read_key("/proc/meminfo", "HugePages_Total", huge, sizeof(huge));
	read_key("/proc/meminfo", "HugePages_Free", free_, sizeof(free_));
	printf("# %s, %s MHz, %u cores, linux %s, compiler %s\n", model, mhz, bench_cores(),
	       u.release, __VERSION__);
	printf("# hugepages of 2 MB: %s, free %s\n", huge, free_);
	printf("%-32s %12s %-6s %12s %12s  %s\n", "name", "value", "unit", "low", "high",
	       "ratio to baseline");
}

unsigned bench_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

int bench_pin(unsigned i)
{
	static cpu_set_t all; /* as the process started; a pin must not narrow the next one */
	static bool known;

	if (!known && sched_getaffinity(0, sizeof(all), &all) < 0)
		return -1;
	known = true;
	for (int core = 0; core < CPU_SETSIZE; core++) {
		if (!CPU_ISSET(core, &all) || i-- > 0)
			continue;
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(core, &one);
		return sched_setaffinity(0, sizeof(one), &one) < 0 ? -1 : core;
	}
	return -1;
}

/* --- figures --- */

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *sample, unsigned n)
{
	double sorted[BENCH_SAMPLES_MAX];

	memcpy(sorted, sample, n * sizeof(*sample));
	qsort(sorted, n, sizeof(*sorted), compare);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static uint32_t random_next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Bootstrap: the middle 95 % of the medians of resamples; the same seed every time. */
static void interval(const double *sample, unsigned n, double *low, double *high)
{
	double medians[RESAMPLES], drawn[BENCH_SAMPLES_MAX];
	uint32_t state = 0x9E3779B9;

	for (unsigned r = 0; r < RESAMPLES; r++) {
		for (unsigned i = 0; i < n; i++)
			drawn[i] = sample[random_next(&state) % n];
		medians[r] = median(drawn, n);
	}
	qsort(medians, RESAMPLES, sizeof(*medians), compare);
	*low = medians[RESAMPLES * 25 / 1000];
	*high = medians[RESAMPLES * 975 / 1000 - 1];
}

double bench_median(const double *sample, unsigned n)
{
	return n > 1 ? median(sample + 1, n - 1) : median(sample, n);
}

static bool stolen(struct bench *b)
{
	uint64_t steal = 0, total = 0;

	if (!read_stat(&steal, &total))
		return false;
	const uint64_t of = total - b->total;
	const bool much = of > 0 && (steal - b->steal) * 100 > of;

	b->steal = steal;
	b->total = total;
	return much;
}

void bench_report(struct bench *b, const struct bench_line *line)
{
	const unsigned skip = line->n > 1;
	const unsigned n = line->n - skip;
	double ratios[BENCH_SAMPLES_MAX], low, high, ratio = 0;

	if (!line->n || n > BENCH_SAMPLES_MAX) {
		bench_fail(b, line->name);
		return;
	}
	const double value = median(line->value + skip, n);

	interval(line->value + skip, n, &low, &high);
	if (line->base) {
		for (unsigned i = 0; i < n; i++)
			ratios[i] = line->value[skip + i] / line->base[skip + i];
		ratio = median(ratios, n);
	}
	const bool steal = stolen(b);
	const bool noisy = steal || fabs(high - low) / 2 > 0.03 * fabs(value);

	printf("%-32s %12.3f %-6s %12.3f %12.3f  ", line->name, value, line->unit, low, high);
	if (line->base)
		printf("%.3f x %s", ratio, line->baseline);
	printf("%s\n", noisy ? "  noisy" : "");
	fflush(stdout);
	if (!b->out)
		return;
	fprintf(b->out,
	        "{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"low\":%.6g,\"high\":%.6g,",
	        line->name, value, line->unit, low, high);
	if (line->base)
		fprintf(b->out, "\"baseline\":\"%s\",\"ratio\":%.6g,", line->baseline, ratio);
	else
		fprintf(b->out, "\"baseline\":null,\"ratio\":null,");
	fprintf(b->out, "\"noisy\":%s}\n", noisy ? "true" : "false");
	fflush(b->out);
}

void bench_bar(const char *what, double found, const char *wanted, bool met)
{
	printf("#   bar: %s: %.3g, wanted %s: %s\n", what, found, wanted, met ? "met" : "MISSED");
}

void bench_fail(struct bench *b, const char *why)
{
	fprintf(stderr, "bench: %s\n", why);
	b->failed = true;
}

void bench_begin(struct bench *b, int argc, char **argv)
{
	*b = (struct bench){ .out_path = getenv("TURNPIKE_BENCH_OUT") };
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			b->quick = true;
		} else if (strcmp(argv[i], "--long") == 0) {
			b->lengthy = true;
		} else if (strcmp(argv[i], "--out") == 0 && i + 1 < argc) {
			b->out_path = argv[++i];
		} else {
			fprintf(stderr, "usage: %s [--quick | --long] [--out FILE]\n", argv[0]);
			exit(2);
		}
	}
	if (b->out_path && *b->out_path) {
		b->out = fopen(b->out_path, "ae");
		if (!b->out) {
			fprintf(stderr, "bench: cannot append to %s: %m\n", b->out_path);
			exit(1);
		}
	}
	print_machine();
	stolen(b);
}

int bench_end(struct bench *b)
{
	if (b->out && fclose(b->out) != 0) {
		fprintf(stderr, "bench: cannot write %s: %m\n", b->out_path);
		return 1;
	}
	return b->failed;
}
