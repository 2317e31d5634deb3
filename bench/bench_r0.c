/*
 * What does one relayed packet cost, and what would a textbook relay cost? Rig R0 (pump.h): names
 * r0.PATH.FAMILY.FLOWS, csum.slope, insn.PATH.
 *
 *   bench_r0 [--quick | --long] [--out FILE] [PREFIX]   only the lines that begin with PREFIX
 *   bench_r0 --count PATH ROUNDS relay|rest    work for callgrind, no timing
 *   bench_r0 --insn FILE           instructions a packet against a baseline: 1 if one grew by more
 *                                  than 2 %, 77 if they cannot be compared here
 *   bench_r0 --insn-update FILE    writes that baseline, on purpose
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/pump.h"
#include "tests/rig/eal.h"

enum { PAIRS = 16, PAIRS_QUICK = 8, COUNT_FLOWS = 1000, HUGE_WANTED = 500 };

static const struct {
	const char *name;
	unsigned n;
	bool quick;
} sizes[] = { { "1k", 1000, true }, { "64k", 65536, false }, { "1m", 1 << 20, true } };

static const char *only = "";

/* --- EAL, with hugepages when there are enough --- */

/* Callgrind has no room for what EAL reserves with hugepages. */
static void start_eal(bool may_huge)
{
	const int core = bench_pin(bench_cores() - 1);
	const bool huge = eal_rig_start("bench", 1024, core, may_huge ? HUGE_WANTED : 0);

	printf("packet memory on %s\n", huge ? "hugepages" : "ordinary pages: no hugepages");
}

/* --- times --- */

/* Of this thread: what others do on the core meanwhile is not ours. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Nanoseconds a packet, frame making included. */
static double timed(struct pump *p, enum pump_run run, unsigned rounds, struct bench *b)
{
	const uint64_t start = cpu_ns();
	unsigned relayed = 0;

	for (unsigned i = 0; i < rounds; i++)
		relayed += pump_round(p, run);
	const uint64_t ns = cpu_ns() - start;

	if (relayed != rounds * PUMP_MBUFS)
		bench_fail(b, "not every packet was relayed");
	return (double)ns / ((double)rounds * PUMP_MBUFS);
}

/* Rounds of a pair that takes about so long, whatever a packet costs: a full bench has 48 lines. */
static unsigned fitting(struct pump *p, struct bench *b)
{
	enum { TRY = 100 };
	const uint64_t wanted_ns = b->quick ? 60000000 : b->lengthy ? 600000000 : 200000000;
	const uint64_t start = cpu_ns();

	timed(p, PUMP_REST, TRY / 2, b);
	timed(p, PUMP_OURS, TRY, b);
	timed(p, PUMP_TEXTBOOK, TRY, b);
	const uint64_t rounds = TRY * wanted_ns / (cpu_ns() - start + 1);

	return rounds < TRY ? TRY : rounds > 4000 ? 4000 : (unsigned)rounds;
}

static bool line_wanted(const char *name)
{
	return strncmp(name, only, strlen(only)) == 0;
}

/* One of the lines that begin so is asked for. */
static bool wanted(const char *prefix)
{
	const size_t a = strlen(prefix), b = strlen(only);

	return strncmp(prefix, only, a < b ? a : b) == 0;
}

static double measure(struct bench *b, struct pump *p, enum pump_path path, const char *family,
                      const char *size)
{
	double ours[PAIRS], theirs[PAIRS];
	const unsigned n = b->quick ? PAIRS_QUICK : PAIRS;
	char name[64];

	snprintf(name, sizeof(name), "r0.%s.%s.%s", pump_path_name[path], family, size);
	if (!line_wanted(name))
		return 0;
	pump_load(p, path, PUMP_PAYLOAD);
	const unsigned rounds = fitting(p, b);

	for (unsigned i = 0; i < n; i++) {
		const double rest = timed(p, PUMP_REST, rounds / 2, b);

		ours[i] = timed(p, PUMP_OURS, rounds, b) - rest;
		theirs[i] = timed(p, PUMP_TEXTBOOK, rounds, b) - rest;
	}
	bench_report(b, &(struct bench_line){ name, "ns/packet", ours, n, "textbook", theirs });
	return bench_median(ours, n);
}

/* DEMUX-070: the cost does not depend on the size. */
static void slope(struct bench *b, struct pump *p)
{
	double ns[PAIRS];
	const unsigned n = b->quick ? PAIRS_QUICK : PAIRS;

	if (!line_wanted("csum.slope"))
		return;
	for (unsigned i = 0; i < n; i++) {
		double at[2];

		for (unsigned k = 0; k < 2; k++) {
			pump_load(p, CD2UDP, k ? 1400 : 64);
			const double rest = timed(p, PUMP_REST, 400, b);

			at[k] = timed(p, PUMP_OURS, 800, b) - rest;
		}
		ns[i] = (at[1] - at[0]) * 1000 / (1400 - 64);
	}
	bench_report(b, &(struct bench_line){ "csum.slope", "ns/1000 octets", ns, n, NULL, NULL });
	bench_bar("checksum cost by size", bench_median(ns, n), "0 +- 1",
	          bench_median(ns, n) < 1 && bench_median(ns, n) > -1);
}

/* --- instructions --- */

/* Instructions of a run of this program under callgrind; 0: no valgrind. */
static double counted(const char *path, unsigned rounds, const char *what)
{
	char command[512], line[256], self[256];
	unsigned long long n = 0;
	const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len <= 0)
		return 0;
	self[len] = '\0';
	snprintf(command, sizeof(command),
	         "valgrind --tool=callgrind --callgrind-out-file=/dev/null %s --count %s %u %s "
	         "2>&1 >/dev/null",
	         self, path, rounds, what);
	FILE *const f = popen(command, "re");

	while (f && fgets(line, sizeof(line), f)) {
		const char *const at = strstr(line, "Collected : ");

		if (at)
			n = strtoull(at + 12, NULL, 10);
	}
	if (f)
		pclose(f);
	return (double)n;
}

/* Of one packet: what 40 more rounds cost, less what making their frames costs. 0: not counted. */
static double instructions_of(const char *path)
{
	const double relay = counted(path, 50, "relay") - counted(path, 10, "relay");
	const double rest = counted(path, 50, "rest") - counted(path, 10, "rest");

	return relay > 0 && rest > 0 ? (relay - rest) / (40.0 * PUMP_MBUFS) : 0;
}

static void instructions(struct bench *b)
{
	static const double goal[PUMP_PATHS] = { [CD2UDP] = 240, [UDP2CD] = 220 };

	for (unsigned path = 0; path < PUMP_PATHS; path++) {
		const char *const name = pump_path_name[path];
		char line[64];
		double v[2] = { 0 };

		snprintf(line, sizeof(line), "insn.%s", name);
		if (strncmp(line, only, strlen(only)) != 0)
			continue;
		v[0] = v[1] = instructions_of(name);
		if (v[0] <= 0) {
			printf("%-28s not counted: valgrind is not there\n", line);
			return;
		}
		bench_report(b, &(struct bench_line){ strdup(line), "instructions/packet", v, 2,
		                                      NULL, NULL });
		if (goal[path] > 0)
			bench_bar(line, v[1], path == CD2UDP ? "<= 240" : "<= 220",
			          v[1] <= goal[path]);
	}
}

/* --- instructions against a baseline: the same everywhere that has the same compiler --- */

enum { GATE_SKIP = 77, GATE_PERCENT = 2 };

static int gate_skip(const char *why)
{
	printf("instructions not compared: %s\n", why);
	return GATE_SKIP;
}

static int gate_update(const char *file)
{
	double v[PUMP_PATHS];

	for (unsigned path = 0; path < PUMP_PATHS; path++) {
		v[path] = instructions_of(pump_path_name[path]);
		if (v[path] <= 0)
			return gate_skip("valgrind is not there");
	}
	FILE *const f = fopen(file, "we");

	if (!f) {
		fprintf(stderr, "bench_r0: %s cannot be written: %s\n", file, strerror(errno));
		return 1;
	}
	fprintf(f,
	        "# Instructions a packet, callgrind, build for AVX2, 1,000 flows, IPv4.\n"
	        "# Written by: build/bench/bench_r0 --insn-update bench/insn.baseline\n"
	        "compiler %s\n",
	        BENCH_COMPILER);
	for (unsigned path = 0; path < PUMP_PATHS; path++)
		fprintf(f, "%s %.1f\n", pump_path_name[path], v[path]);
	return fclose(f) == 0 ? 0 : 1;
}

/* One line of the baseline. false: it grew. */
static bool gate_path(const char *path, double was)
{
	const double now = instructions_of(path), percent = (now - was) * 100 / was;
	const bool grew = percent > GATE_PERCENT;

	printf("insn.%-10s %7.1f, baseline %7.1f: %+.1f %%%s\n", path, now, was, percent,
	       grew ? ": GREW; if on purpose: bench_r0 --insn-update bench/insn.baseline"
	       : percent < -GATE_PERCENT
	               ? ": shrank; keep it: bench_r0 --insn-update bench/insn.baseline"
	               : "");
	return !grew;
}

static int gate(const char *file)
{
	char line[256], path[32], compiler[128];
	FILE *const f = fopen(file, "re");
	bool held = true;
	double was;

	if (!f) {
		fprintf(stderr, "bench_r0: %s cannot be read: %s\n", file, strerror(errno));
		return 1;
	}
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "compiler %127[^\n]", compiler) == 1) {
			if (strcmp(compiler, BENCH_COMPILER) != 0) {
				fclose(f);
				printf("baseline: %s; here: %s\n", compiler, BENCH_COMPILER);
				return gate_skip("another compiler or build type");
			}
			if (!__builtin_cpu_supports("avx2") || counted("cd2udp", 1, "rest") <= 0) {
				fclose(f);
				return gate_skip("valgrind or AVX2 is not there");
			}
		} else if (sscanf(line, "%31[a-z0-9] %lf", path, &was) == 2) {
			held &= gate_path(path, was);
		}
	}
	fclose(f);
	return held ? 0 : 1;
}

static int count_mode(char **argv)
{
	const unsigned rounds = (unsigned)atoi(argv[3]);
	unsigned path = 0;

	while (path < PUMP_PATHS && strcmp(pump_path_name[path], argv[2]) != 0)
		path++;
	if (path == PUMP_PATHS)
		return 2;
	start_eal(false);
	struct pump *const p = pump_new(V4, COUNT_FLOWS, path == HAIRPIN, false);

	pump_load(p, (enum pump_path)path, PUMP_PAYLOAD);
	for (unsigned i = 0; i < rounds; i++)
		if (pump_round(p, strcmp(argv[4], "rest") ? PUMP_OURS : PUMP_REST) != PUMP_MBUFS)
			return 1;
	pump_free(p);
	return 0;
}

/* --- all --- */

static void bars(const double cost[PUMP_PATHS], const char *size)
{
	const bool warm = strcmp(size, "1k") == 0;

	if (cost[CD2UDP] > 0)
		bench_bar("floor: ChannelData to UDP, ns", cost[CD2UDP], warm ? "<= 25" : "<= 60",
		          cost[CD2UDP] <= (warm ? 25 : 60));
	if (cost[UDP2CD] > 0)
		bench_bar("floor: UDP to ChannelData, ns", cost[UDP2CD], warm ? "<= 25" : "<= 60",
		          cost[UDP2CD] <= (warm ? 25 : 60));
	if (cost[SEND2UDP] > 0 && cost[CD2UDP] > 0)
		bench_bar("Send / ChannelData", cost[SEND2UDP] / cost[CD2UDP], "<= 2.0",
		          cost[SEND2UDP] <= 2 * cost[CD2UDP]);
	if (cost[UDP2DATA] > 0 && cost[UDP2CD] > 0)
		bench_bar("Data / ChannelData", cost[UDP2DATA] / cost[UDP2CD], "<= 2.0",
		          cost[UDP2DATA] <= 2 * cost[UDP2CD]);
}

/* Is there a line for a pump of that kind? One with a million flows takes seconds to make. */
static bool pump_wanted(unsigned family, unsigned size)
{
	char name[64];

	if (family == V4 && size == 0 && line_wanted("csum.slope"))
		return true;
	for (unsigned path = 0; path < PUMP_PATHS; path++) {
		snprintf(name, sizeof(name), "r0.%s.%s.%s", pump_path_name[path],
		         pump_family_name[family], sizes[size].name);
		if (line_wanted(name))
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct bench b;

	if (argc == 5 && strcmp(argv[1], "--count") == 0)
		return count_mode(argv);
	if (argc == 3 && strcmp(argv[1], "--insn") == 0)
		return gate(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--insn-update") == 0)
		return gate_update(argv[2]);
	if (argc > 1 && argv[argc - 1][0] != '-' && strcmp(argv[argc - 2], "--out") != 0)
		only = argv[--argc];
	bench_begin(&b, argc, argv);
	start_eal(true);
	for (unsigned f = 0; f < PUMP_FAMILIES; f++) {
		for (unsigned s = 0; s < RTE_DIM(sizes); s++) {
			double cost[PUMP_PATHS] = { 0 };

			if (!pump_wanted(f, s) ||
			    (b.quick && (f != V4 || !sizes[s].quick) && !*only))
				continue;
			const char *const family = pump_family_name[f], *const size = sizes[s].name;
			struct pump *p = pump_new((enum pump_family)f, sizes[s].n, false, true);

			for (unsigned path = 0; path < HAIRPIN; path++)
				cost[path] = measure(&b, p, (enum pump_path)path, family, size);
			if (f == V4)
				bars(cost, size);
			if (f == V4 && s == 0)
				slope(&b, p);
			pump_free(p);
			if (f != V4 || !wanted("r0.hairpin.v4."))
				continue;
			p = pump_new((enum pump_family)f, sizes[s].n, true, true);
			measure(&b, p, HAIRPIN, family, size);
			pump_free(p);
		}
	}
	instructions(&b);
	return bench_end(&b);
}
