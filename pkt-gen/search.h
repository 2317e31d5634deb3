/*
 * Which rate can a server carry? A search in the manner of MLRsearch, sans I/O: it says which trial
 * to run next and is told what came of it. NDR (no loss) and PDR (a loss ratio, 0.5 % by default)
 * are found together.
 *
 * Method     One trial at full speed: what comes through of it (MRR) is where the search begins.
 *            Then three phases with longer trials and narrower intervals: bounds of the phase
 *            before are measured again, widened where they do not hold, halved where they do.
 *            Only trials of full length count in the end.
 * Noise      A stall of the machine loses packets, nothing creates them. So at full length a rate
 *            is held by one clean trial, and lost by two of at most three.
 * Inversion  A rate that is held above one that is lost does not count: the upper bound is the
 *            smallest rate that was lost, the lower bound the largest held one below it.
 * Generator  A trial whose rate the generator could not offer is never an upper bound. If it was
 *            held, it holds for what was sent; if twice, no higher rate is tried.
 * Source     RFC 2544 section 26.1 as practised; RFC 9971, Multiple Loss Ratio search.
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
	unsigned trials_max;     /* 60; 512 at most */
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
/* A clause for people: "found", "even the smallest rate was lost", ... */
const char *search_said(enum search_end end);
/* A word for scripts: found, all_lost, generator, trials, budget. */
const char *search_word(enum search_end end);

struct search_trial {
	double pps, seconds; /* pps 0: as fast as it goes */
};

struct search_rate {
	bool found;          /* pps was held at full length, and the interval is closed or end says
	                        SEARCH_GENERATOR */
	double pps;          /* lower bound that held, as far as one is known; else 0 */
	double upper_pps;    /* bound that was lost; 0: none was (the generator was the limit) */
	double loss;         /* at the lower bound, of its longest trial */
	enum search_end end; /* of this one */
};

struct search *search_new(const struct search_config *c);
void search_free(struct search *s);
/* false: it is over. */
bool search_next(struct search *s, struct search_trial *out);
/* `sent_pps` is what really left; `bound`: the generator could not offer the rate. */
void search_told(struct search *s, double sent_pps, double loss, bool bound);
/* The worse of what is wanted; of one alone: search_rate.end. */
enum search_end search_ended(const struct search *s);
struct search_rate search_ndr(const struct search *s);
struct search_rate search_pdr(const struct search *s);
/* Receive rate of the trial at full speed. */
double search_mrr(const struct search *s);
/* 0..1, and seconds that are likely left; for the live view. */
double search_progress(const struct search *s, double *left_s);
