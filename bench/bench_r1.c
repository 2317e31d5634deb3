/*
 * What does the relay carry from ring to ring, and with what delay? Rig R1 (rings.h), with the
 * generator that ships, in uniform random order over all bindings and both directions.
 *
 *   bench_r1 [--quick | --long] [--out FILE] [PREFIX]   only the lines that begin with PREFIX
 *   bench_r1 --count check|nocheck PACKETS     the generator alone, for callgrind
 *
 * Payloads of 24 octets (frames of 66 and 70) where nothing else is said: the smallest that carry a
 * stamp. All payload checks are on but for goodput, where the generator neither writes nor reads
 * the 1176 octets behind the stamp.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/asking.h"
#include "bench/bench.h"
#include "bench/rings.h"
#include "pkt-gen/search.h"

enum { SAMPLES_MAX = 16, WARM = 1000, FAR = 1 << 20, MIDDLE = 65536, LARGE = 1200 };

static const char *only = "";
static struct bench b;
static struct profile small, usual, large;
static double gen_ns[2]; /* of small ones, without and with checks */
static double found_pdr; /* Mpps, warm */

/* A line that begins as asked, or a part of which one is. */
static bool asked(const char *name)
{
	const size_t a = strlen(name), o = strlen(only);

	return strncmp(name, only, a < o ? a : o) == 0;
}

static unsigned pairs(void)
{
	return b.quick ? 4 : b.lengthy ? 12 : 7;
}

/* --- the generator alone --- */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Nanoseconds of CPU a packet, sent and received by this thread. */
static double alone(struct stage *st, const struct profile *p, bool check, uint64_t packets)
{
	const struct engine_plan plan = { .packets = packets,
		                          .profile = *p,
		                          .check_payload = check };

	engine_start(st->e, &plan);
	const uint64_t start = cpu_ns();

	while (engine_turn(st->e))
		;
	const uint64_t ns = cpu_ns() - start;

	while (engine_turn(st->e) || engine_moved(st->e))
		;
	engine_finish(st->e);
	if (engine_tally(st->e)->received != packets)
		bench_fail(&b, "the generator does not receive what it sends");
	return (double)ns / (double)packets;
}

static void measure_generator(void)
{
	const struct profile *const profiles[] = { &small, &usual };
	double v[2][2][SAMPLES_MAX];
	const unsigned n = b.quick ? 8 : SAMPLES_MAX;
	struct stage st;

	stage_open(&st, WARM, true);
	stage_expect(&st, EXPECT_SAME);
	rings_pin_generator();
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < 4; k++)
			v[k / 2][k % 2][i] = 1e3 / alone(&st, profiles[k / 2], k % 2,
			                                 b.quick ? 1000000 : 4000000);
	stage_close(&st);
	gen_ns[0] = 1e3 / bench_median(v[0][0], n);
	gen_ns[1] = 1e3 / bench_median(v[0][1], n);
	if (!asked("gen."))
		return;
	bench_report(&b, &(struct bench_line){ "gen.r1", "Mpps", v[0][1], n, NULL, NULL });
	bench_report(&b, &(struct bench_line){ "gen.r1.nocheck", "Mpps", v[0][0], n, NULL, NULL });
	bench_report(&b, &(struct bench_line){ "gen.r1.160", "Mpps", v[1][1], n, NULL, NULL });
	bench_report(&b,
	             &(struct bench_line){ "gen.r1.160.nocheck", "Mpps", v[1][0], n, NULL, NULL });
	printf("#   a packet sent and received, ns of CPU: %.1f with all checks, %.1f without;"
	       " of 160 octets %.1f and %.1f\n",
	       gen_ns[1], gen_ns[0], 1e3 / bench_median(v[1][1], n),
	       1e3 / bench_median(v[1][0], n));
}

static int count_mode(char **argv)
{
	struct stage st;

	profile_parse("160", &usual);
	rings_begin(false);
	stage_open(&st, WARM, true);
	stage_expect(&st, EXPECT_SAME);
	alone(&st, &usual, strcmp(argv[2], "check") == 0, strtoull(argv[3], NULL, 10));
	stage_close(&st);
	return b.failed;
}

/* --- searches --- */

struct found {
	double pdr, ndr, mrr; /* pps */
	bool bound;           /* the generator was the limit */
};

/* Of the last trials, and of a whole search: some forty searches in a share of the 20 minutes. */
static double trial_s(void)
{
	return b.quick ? 0.1 : b.lengthy ? 2 : 0.5;
}

static double search_s(void)
{
	return b.quick ? 1 : b.lengthy ? 16 : 3.5;
}

static struct found find(struct stage *st, const struct profile *p, bool check)
{
	const struct search_config c = { .min_pps = 1e5,
		                         /* Frames that come from another core cost more. */
		                         .max_pps = 0.8e9 / gen_ns[check],
		                         .pdr_loss = 0.005,
		                         .precision = b.quick ? 0.02 : 0.01,
		                         .first_s = b.quick ? 0.05 : 0.1,
		                         .final_s = trial_s(),
		                         .trials_max = b.quick ? 24 : 60,
		                         .want_ndr = true,
		                         .want_pdr = true,
		                         .budget_s = search_s() };
	struct search *const s = search_new(&c);
	struct search_trial t;
	struct found found = { 0 };

	while (s && search_next(s, &t)) {
		struct outcome o = stage_trial(st, t.pps, t.seconds, p, check);

		search_told(s, o.sent_pps, tally_loss(&o.tally), o.generator_bound);
		outcome_free(&o);
	}
	if (s)
		found = (struct found){ search_pdr(s).pps, search_ndr(s).pps, search_mrr(s),
			                search_pdr(s).end == SEARCH_GENERATOR };
	search_free(s);
	return found;
}

static struct found find_forward(struct stage *st, enum forward how, const struct profile *p,
                                 bool check)
{
	stage_expect(st, how == FORWARD_5TSWAP ? EXPECT_SWAPPED : EXPECT_SAME);
	rings_device(DEVICE_FORWARD, NULL, how);
	const struct found f = find(st, p, check);

	rings_device(DEVICE_REST, NULL, how);
	return f;
}

static struct found find_relay(struct stage *st, struct dut *d, const struct profile *p, bool check)
{
	stage_expect(st, EXPECT_RELAYED);
	rings_device(DEVICE_RELAY, d, FORWARD_IO);
	const struct found f = find(st, p, check);

	rings_device(DEVICE_REST, NULL, FORWARD_IO);
	return f;
}

/* A line for each baseline that was found at all. */
static void report(const char *name, const char *unit, const double *v, unsigned n,
                   const char *baseline, const double *base)
{
	bool whole = base != NULL;

	for (unsigned i = 0; base && i < n; i++)
		whole &= base[i] > 0;
	if (bench_median(v, n) <= 0) {
		printf("%-32s every rate lost something in this run\n", name);
		return;
	}
	bench_report(&b, &(struct bench_line){ name, unit, v, n, whole ? baseline : NULL,
	                                       whole ? base : NULL });
}

static void measure_rates(struct stage *st, struct dut *d)
{
	double pdr[3][SAMPLES_MAX], ndr[3][SAMPLES_MAX], mrr[3][SAMPLES_MAX];
	const unsigned n = pairs();
	unsigned bound[3] = { 0 };
	double near = 1e9, far = 0, of_swap[SAMPLES_MAX], of_mrr[SAMPLES_MAX];

	for (unsigned i = 0; i < n; i++) {
		const double ns = rings_distance();

		near = ns < near ? ns : near;
		far = ns > far ? ns : far;
		const struct found f[3] = { find_relay(st, d, &small, true),
			                    find_forward(st, FORWARD_5TSWAP, &small, true),
			                    find_forward(st, FORWARD_IO, &small, true) };

		for (unsigned k = 0; k < 3; k++) {
			pdr[k][i] = f[k].pdr / 1e6;
			ndr[k][i] = f[k].ndr / 1e6;
			mrr[k][i] = f[k].mrr / 1e6;
			bound[k] += f[k].bound;
		}
	}
	found_pdr = bench_median(pdr[0], n);
	report("r1.pdr", "Mpps", pdr[0], n, "5tswap", pdr[1]);
	report("r1.pdr", "Mpps", pdr[0], n, "io", pdr[2]);
	report("r1.ndr", "Mpps", ndr[0], n, "5tswap", ndr[1]);
	report("r1.ndr", "Mpps", ndr[0], n, "io", ndr[2]);
	report("r1.mrr", "Mpps", mrr[0], n, "5tswap", mrr[1]);
	report("r1.mrr", "Mpps", mrr[0], n, "io", mrr[2]);
	printf("#   a cache line from core to core and back: %.0f to %.0f ns in this run\n", near,
	       far);
	if (bound[0] + bound[1] + bound[2] > 0)
		printf("#   the generator was the limit in %u of %u searches of the relay, %u of "
		       "5tswap,"
		       " %u of io:\n#   these carry more, and a ratio to them is an upper bound\n",
		       bound[0], n, bound[1], bound[2]);
	/* Pair by pair: places change in between. */
	for (unsigned i = 0; i < n; i++) {
		of_swap[i] = pdr[0][i] / pdr[1][i];
		of_mrr[i] = ndr[0][i] / mrr[0][i];
	}
	bench_bar("r1.pdr / 5tswap", bench_median(of_swap, n), ">= 0.70",
	          bench_median(of_swap, n) >= 0.7);
	bench_bar("r1.ndr / r1.mrr", bench_median(of_mrr, n), ">= 0.95",
	          bench_median(of_mrr, n) >= 0.95);
	bench_bar("generator with checks / r1.pdr", 1e3 / gen_ns[1] / found_pdr, ">= 1.3",
	          1e3 / gen_ns[1] >= 1.3 * found_pdr);
	bench_bar("generator without checks / r1.pdr", 1e3 / gen_ns[0] / found_pdr, ">= 2.0",
	          1e3 / gen_ns[0] >= 2 * found_pdr);
}

/* --- latencies --- */

enum { QUANTILES = 4 };
static const double quantile[QUANTILES] = { 0.5, 0.99, 0.999, 0 /* the least */ };

static void latencies(struct stage *st, double pps, double us[QUANTILES])
{
	struct outcome o = stage_trial(st, pps, b.quick ? 0.1 : 1, &small, true);

	for (unsigned i = 0; i < QUANTILES; i++)
		us[i] = (double)histogram_at(o.tally.latency, quantile[i]) / 1e3;
	us[3] = (double)histogram_min(o.tally.latency) / 1e3;
	outcome_free(&o);
}

/* Of what came, without what the generator itself takes; a clock has a resolution too. */
static double above(double v, double bias)
{
	return v > bias + 0.01 ? v - bias : 0.01;
}

static void measure_latency(struct stage *st, struct stage *looped, struct dut *d, unsigned percent,
                            bool pdv)
{
	static const char *const name[3] = { "p50", "p99", "p999" };
	double v[QUANTILES][SAMPLES_MAX], base[QUANTILES][SAMPLES_MAX],
		bias[QUANTILES][SAMPLES_MAX];
	double spread[SAMPLES_MAX], own[SAMPLES_MAX];
	const unsigned n = pairs();
	const double pps = found_pdr * 1e6 * percent / 100;
	char line[64];

	for (unsigned i = 0; i < n; i++) {
		double us[3][QUANTILES];

		stage_expect(st, EXPECT_RELAYED);
		rings_device(DEVICE_RELAY, d, FORWARD_IO);
		latencies(st, pps, us[0]);
		stage_expect(st, EXPECT_SAME);
		rings_device(DEVICE_FORWARD, NULL, FORWARD_IO);
		latencies(st, pps, us[1]);
		rings_device(DEVICE_REST, NULL, FORWARD_IO);
		latencies(looped, pps, us[2]);
		for (unsigned k = 0; k < QUANTILES; k++) {
			bias[k][i] = us[2][k];
			v[k][i] = above(us[0][k], us[2][k]);
			base[k][i] = above(us[1][k], us[2][k]);
		}
		spread[i] = us[0][2] - us[0][3];
		own[i] = us[2][2] - us[2][3];
	}
	if (pdv) {
		bench_report(&b, &(struct bench_line){ "pdv.r1", "us", spread, n, NULL, NULL });
		printf("#   of it the generator's own, back to back: %.1f us\n",
		       bench_median(own, n));
		bench_bar("p99.9 - least at 80 % of PDR, us", bench_median(spread, n), "<= 15",
		          bench_median(spread, n) <= 15);
		return;
	}
	for (unsigned k = 0; k < 3; k++) {
		snprintf(line, sizeof(line), "latency.r1.%u.%s", percent, name[k]);
		bench_report(&b, &(struct bench_line){ line, "us", v[k], n, "io", base[k] });
	}
	printf("#   taken off: what the generator itself takes back to back, p50 %.2f, p99 %.2f,"
	       " p99.9 %.2f us\n",
	       bench_median(bias[0], n), bench_median(bias[1], n), bench_median(bias[2], n));
}

static void measure_latencies(struct stage *st, struct dut *d)
{
	struct stage looped;

	stage_open(&looped, WARM, true);
	stage_expect(&looped, EXPECT_SAME);
	for (unsigned percent = 10; percent <= 90; percent += 40)
		if (asked("latency."))
			measure_latency(st, &looped, d, percent, false);
	if (asked("pdv.r1"))
		measure_latency(st, &looped, d, 80, true);
	stage_close(&looped);
}

/* --- the rest --- */

static void measure_goodput(struct stage *st, struct dut *d)
{
	double v[SAMPLES_MAX], base[SAMPLES_MAX];
	const unsigned n = b.quick ? 3 : b.lengthy ? pairs() : 4;
	const double gbps = LARGE * 8 / 1e9;
	unsigned bound = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct found f = find_relay(st, d, &large, false);
		const struct found g = find_forward(st, FORWARD_5TSWAP, &large, false);

		v[i] = f.pdr * gbps;
		base[i] = g.pdr * gbps;
		bound += f.bound;
	}
	report("r1.goodput", "Gbit/s", v, n, "5tswap", base);
	if (bound)
		printf("#   the generator was the limit in %u of %u searches\n", bound, n);
	bench_bar("goodput at 1200 octets, Gbit/s", bench_median(v, n), ">= 150",
	          bench_median(v, n) >= 150);
}

/* Against warm, both in this run. */
static void measure_far(struct stage *warm, struct dut *warm_dut, uint32_t flows, const char *name)
{
	double v[SAMPLES_MAX], base[SAMPLES_MAX];
	const unsigned n = b.quick ? 3 : b.lengthy ? pairs() : 4;
	struct stage far;
	struct dut *const d = dut_new(flows, rings_device_port(), rings_pool());
	unsigned bound = 0;

	stage_open(&far, flows, false);
	for (unsigned i = 0; i < n; i++) {
		const struct found f = find_relay(&far, d, &small, true);
		const struct found g = find_relay(warm, warm_dut, &small, true);

		v[i] = f.pdr / 1e6;
		base[i] = g.pdr / 1e6;
		bound += f.bound;
	}
	stage_close(&far);
	dut_free(d);
	report(name, "Mpps", v, n, "warm", base);
	if (bound)
		printf("#   the generator was the limit in %u of %u searches\n", bound, n);
	if (flows == FAR)
		bench_bar("PDR at 1 M bindings / warm", bench_median(v, n) / bench_median(base, n),
		          ">= 0.75", bench_median(v, n) >= 0.75 * bench_median(base, n));
}

/* STUN Binding with FINGERPRINT, answered by the worker alone. */
static void measure_binding(struct dut *d)
{
	double v[SAMPLES_MAX];
	const unsigned n = b.quick ? 4 : pairs();

	rings_device(DEVICE_RELAY, d, FORWARD_IO);
	for (unsigned i = 0; i < n; i++) {
		const double pps = asking_run(b.quick ? 0.1 : 0.5);

		if (pps < 0)
			bench_fail(&b, "not every Binding request was answered as it ought to be");
		v[i] = pps / 1e6;
	}
	rings_device(DEVICE_REST, NULL, FORWARD_IO);
	bench_report(&b, &(struct bench_line){ "binding.r1", "Mpps", v, n, NULL, NULL });
	bench_bar("Binding from ring to ring, Mpps", bench_median(v, n), ">= 8",
	          bench_median(v, n) >= 8);
}

int main(int argc, char **argv)
{
	struct stage warm;

	if (argc == 4 && strcmp(argv[1], "--count") == 0)
		return count_mode(argv);
	if (argc > 1 && argv[argc - 1][0] != '-' && strcmp(argv[argc - 2], "--out") != 0)
		only = argv[--argc];
	bench_begin(&b, argc, argv);
	rings_begin(true);
	profile_parse("24", &small);
	profile_parse("160", &usual);
	profile_parse("1200", &large);
	measure_generator();
	struct dut *const d = dut_new(WARM, rings_device_port(), rings_pool());

	stage_open(&warm, WARM, false);
	if (asked("r1.pdr") || asked("r1.ndr") || asked("r1.mrr") || asked("latency.") ||
	    asked("pdv."))
		measure_rates(&warm, d);
	if (asked("latency.") || asked("pdv."))
		measure_latencies(&warm, d);
	if (asked("r1.goodput"))
		measure_goodput(&warm, d);
	if (asked("r1.pdr.64k") && !b.quick)
		measure_far(&warm, d, MIDDLE, "r1.pdr.64k");
	if (asked("r1.pdr.1m"))
		measure_far(&warm, d, FAR, "r1.pdr.1m");
	stage_close(&warm);
	if (asked("binding.r1"))
		measure_binding(d);
	dut_free(d);
	return bench_end(&b);
}
