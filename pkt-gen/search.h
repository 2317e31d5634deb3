/*
 * Which rate can a server carry? A search in the manner of MLRsearch, sans I/O: it says which trial
 * to run next and is told what came of it. NDR (no loss) and PDR (a loss ratio, 0.5 % by default)
 * are found together; trials grow longer as the interval gets narrow; the upper bound is lost, the
 * lower bound held, and both are confirmed at full length.
 *
 * Source     RFC 2544 §26.1 as practised; method of Multiple Loss Ratio search.
 */
#pragma once

#include <stdbool.h>

struct search_config {
	double min_pps, max_pps; /* max: what the generator can offer; 0: found by one trial at full
	                            speed */
	double pdr_loss;         /* 0.005 */
	double ndr_loss;         /* 0 */
	double precision;        /* relative width of the interval at the end, 0.01 */
	double first_s, final_s; /* trial lengths, 0.3 and 2 */
	unsigned trials_max;     /* 60 */
	bool want_ndr, want_pdr;
	double budget_s; /* of all trials; 0: none */
};

struct search;

/* Why a search ended. */
enum search_end {
	SEARCH_GOES_ON,
	SEARCH_FOUND,
	SEARCH_ALL_LOST /* even the smallest rate */,
	SEARCH_GENERATOR /* even the largest passes: the generator is the limit */,
	SEARCH_TRIALS,
	SEARCH_BUDGET
};

struct search_trial {
	double pps, seconds; /* pps 0: as fast as it goes */
};

struct search_rate {
	bool found;
	double pps;       /* lower bound that held */
	double upper_pps; /* bound that was lost */
	double loss;      /* at the lower bound */
};

struct search *search_new(const struct search_config *c);
void search_free(struct search *s);
/* false: it is over. */
bool search_next(struct search *s, struct search_trial *out);
/* `sent_pps` is what really left; `bound`: the generator could not offer the rate. */
void search_told(struct search *s, double sent_pps, double loss, bool bound);
enum search_end search_ended(const struct search *s);
struct search_rate search_ndr(const struct search *s);
struct search_rate search_pdr(const struct search *s);
/* Receive rate of the trial at full speed. */
double search_mrr(const struct search *s);
/* 0..1, and seconds that are likely left; for the live view. */
double search_progress(const struct search *s, double *left_s);
