/*
 * What a run found, for people, scripts and browsers. main.c fills it, three writers read it.
 *
 * JSON       One object: {"program","version","command","what",
 *            "machine":{"cpu","cores","kernel","hugepages":{"total","free","kb"},"steal"},
 *            "setup":{"seconds","per_second", counts of struct fleet_counts by their names,
 *            "errors":{CODE: n},"rtt_us":{...}},
 *            "trials":[{"offered_pps" (0: as fast as it goes),"seconds","sent_pps","received_pps",
 *            every name of TALLY_LIST,"loss","generator_bound",
 *            "latency_us":{"min","p50","p90","p99","p999","p9999","max"}}],
 *            "ndr":{"found","pps","upper_pps" (0: nothing was lost),"gbps" (of payload),"loss",
 *            "end" (found|all_lost|generator|trials|budget)},"pdr":{...},"mrr_pps",
 *            "latency":[{"percent","pps","latency_us":{...}}],"bias_us":{...},
 *            "capacity":{"calls","pps","loss","p99_us","end"},
 *            "storm":{"name","seconds","sent","answered","failed","per_second","codes":{CODE: n},
 *            "said","media":{"before","during","after" (each like a trial)}},
 *            "series":[{"s","sent_pps","received_pps","lost"}],"ok","why"}. What was not asked for
 *            is left out; every number is finite; steal and loss are ratios.
 * Secrets    The command is told without them.
 * Threads    Main.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "pkt-gen/fleet.h"
#include "pkt-gen/machine.h"
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

/* Where the series is in the trial that runs. */
struct report_pace {
	unsigned first; /* its first point */
	double base_s;  /* of all trials before */
	double s;       /* in it */
	uint64_t sent, received;
};

struct report {
	const struct options *options;
	char *command; /* of argv, quoted, without secrets */
	struct machine machine;
	double steal; /* until the last trial ended */
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
	int64_t *missing; /* of each point: sent and not received in its trial until then */
	struct report_pace pace;
	bool ok;
	char why[256]; /* if not ok */
};

/* NULL: no memory. `o` has to outlive it; ok until it is said otherwise. */
struct report *report_new(const struct options *o, int argc, char **argv);
void report_free(struct report *r);
struct report_latency report_latency(const struct histogram *h);
/* One of storms and latencies, which stand beside the list. */
struct report_trial report_trial(const struct outcome *o);
/* Ends the trial whose ticks came before it, without listing it: its `lost` is known now. */
void report_end_trial(struct report *r, const struct outcome *o);
/* Ends it and lists it. Beyond REPORT_TRIALS_MAX the last one is replaced. */
void report_add_trial(struct report *r, const struct outcome *o);
/*
 * Fits as crew_tick with the report as its argument: one point of the series. `now` counts from the
 * trial's beginning, `seconds` too; a trial that begins again without report_end_trial() is told by
 * seconds that went back. A series that gets too long is thinned to half.
 */
void report_tick(void *report, const struct tally *now, double seconds);

/* "198.18.0.1:3478, 100 clients of 1 peer, ..." */
void report_what(const struct report *r, char *text, size_t cap);
/* Of payload, at the profile's mean size. */
double report_bits(const struct report *r, double pps);

void report_text(const struct report *r, FILE *out);
/* "-" is stdout. false: it could not be written, one line says why on stderr. */
bool report_json(const struct report *r, const char *path);
bool report_html(const struct report *r, const char *path);

/* The live view: a few lines drawn over themselves on a terminal, a line a second elsewhere. */
struct live;
struct live *live_new(FILE *out, bool on);
void live_free(struct live *l);
/* What would be shown is looked at. */
bool live_on(const struct live *l);
/* `what`: "allocating", "trial 4: 120 kpps" ...; progress 0..1, below 0: not known. */
void live_show(struct live *l, const char *what, const struct tally *now, double seconds,
               double progress, double left_s);
