/*
 * What a run found, for people, scripts and browsers. main.c fills it, three writers read it.
 *
 * JSON       One object: {"program","version","command","machine":{...},"setup":{...},
 *            "trials":[{"offered_pps","seconds","sent_pps","received_pps", every name of
 * TALLY_LIST, "loss","latency_us":{"min","p50","p90","p99","p999","p9999","max"}}],
 *            "ndr":{"pps","upper_pps","gbps","loss","end"},"pdr":{...},"mrr_pps",
 *            "latency":[{"percent","pps","latency_us":{...}}],"bias_us":{...},
 *            "capacity":{"calls","pps","loss","p99_us","end"},
 *            "storm":{"name","sent","answered","per_second","codes":{},"media":{before,during,after}},
 *            "series":[{"s","sent_pps","received_pps","lost"}],"ok","why"}. What was not asked for
 *            is left out.
 * Threads    Main.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "pkt-gen/fleet.h"
#include "pkt-gen/options.h"
#include "pkt-gen/search.h"
#include "pkt-gen/trial.h"

enum { REPORT_TRIALS_MAX = 512, REPORT_SERIES_MAX = 8192, REPORT_STORM_TEXT = 64 };

/* Microseconds. */
struct report_latency {
	double min, p50, p90, p99, p999, p9999, max;
};

struct report_trial {
	struct tally tally; /* latency pointer not used */
	double offered_pps, seconds, sent_pps, received_pps;
	bool generator_bound;
	struct report_latency latency;
};

struct report_point {
	double s, sent_pps, received_pps;
	uint64_t lost;
};

struct report_storm {
	char name[REPORT_STORM_TEXT];
	double seconds;
	uint64_t sent, answered, failed;
	uint64_t code[700];                        /* by STUN error code */
	struct report_trial before, during, after; /* of the media beside it */
	char said[256];                            /* one line for people */
};

struct report {
	const struct options *options;
	int argc;
	char **argv;
	bool has_setup;
	double setup_s;
	struct fleet_counts setup;
	struct report_latency setup_rtt;
	struct report_trial *trials; /* REPORT_TRIALS_MAX */
	unsigned n_trials;
	bool has_search;
	struct search_rate ndr, pdr;
	double mrr_pps;
	const char *search_end;
	struct {
		unsigned percent;
		double pps;
		struct report_latency latency;
	} at[3];
	unsigned n_at;
	bool has_bias;
	struct report_latency bias;
	bool has_capacity;
	uint32_t calls;
	double calls_pps, calls_loss, calls_p99_us;
	const char *capacity_end;
	bool has_storm;
	struct report_storm storm;
	struct report_point *series; /* REPORT_SERIES_MAX */
	unsigned n_series;
	bool ok;
	char why[256]; /* if not ok */
};

struct report *report_new(const struct options *o, int argc, char **argv);
void report_free(struct report *r);
struct report_latency report_latency(const struct histogram *h);
void report_add_trial(struct report *r, const struct outcome *o);
/* Fits as crew_tick with the report as its argument: one point of the series. */
void report_tick(void *report, const struct tally *now, double seconds);

void report_text(const struct report *r, FILE *out);
bool report_json(const struct report *r, const char *path);
bool report_html(const struct report *r, const char *path);

/* The live view: a few lines drawn over themselves on a terminal, a line a second elsewhere. */
struct live;
struct live *live_new(FILE *out, bool on);
void live_free(struct live *l);
/* `what`: "allocating", "trial 4: 120 kpps" ...; progress 0..1, below 0: not known. */
void live_show(struct live *l, const char *what, const struct tally *now, double seconds,
               double progress, double left_s);
