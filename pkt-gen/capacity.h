/*
 * How many calls does a server carry? A search over the number of calls of a profile, sans I/O: it
 * says with how many to run the next trial and is told what came of it. A call is carried if its
 * loss and its p99 latency stay under their limits while all the others talk too.
 *
 * Method     Doubles from `first` until something gives, then halves the interval: first with short
 *            trials, then with long ones that count. Like search.h: held by one clean trial of full
 *            length, not carried by two of at most three.
 * Running    A call is one binding that sends at its profile's rate in each direction asked for.
 *            Before a step of n calls allocations have to stand for n: what is missing is added,
 *            and bindings beyond n rest but are not taken down. If fewer stand in the end, the
 *            trial is run with those and told so, with the code the others were refused with;
 *            more is not asked for again.
 * Threads    Main.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capacity_config {
	uint32_t first, most; /* calls to begin with (0: a sixteenth of most), and that there are */
	double loss;          /* ratio allowed, 0.005 */
	double p99_us;        /* allowed; 0: any */
	double first_s, final_s; /* trial lengths, 0.5 and 2 */
	double precision; /* relative width of the interval at the end, 0.02; one call at least */
	unsigned trials_max; /* 40; 256 at most */
	double budget_s;     /* of all trials; 0: none */
};

struct capacity;

enum capacity_end {
	CAPACITY_GOES_ON,
	CAPACITY_LOSS,
	CAPACITY_P99,
	CAPACITY_GENERATOR /* could not offer more */,
	CAPACITY_REFUSED /* allocations */,
	CAPACITY_MOST /* all there are were carried */,
	CAPACITY_TRIALS,
	CAPACITY_BUDGET
};

struct capacity_step {
	uint32_t calls;
	double seconds;
};

struct capacity_result {
	uint32_t calls; /* that stood and sent; fewer than asked for: the others were refused */
	unsigned code;  /* STUN error code they were refused with; 0: no answer came */
	double sent_pps, loss, p99_us;
	bool bound; /* the generator could not offer what these calls send */
};

struct capacity_answer {
	uint32_t calls;           /* that were carried, 0: not even the fewest tried */
	uint32_t too_many;        /* the fewest that were not; 0: never happened */
	double pps, loss, p99_us; /* of the longest trial with `calls` */
	enum capacity_end end;
	unsigned code; /* CAPACITY_REFUSED */
};

/* NULL: no memory. */
struct capacity *capacity_new(const struct capacity_config *c);
void capacity_free(struct capacity *c);
/* false: it is over. */
bool capacity_next(struct capacity *c, struct capacity_step *out);
void capacity_told(struct capacity *c, const struct capacity_result *r);
struct capacity_answer capacity_answer(const struct capacity *c);
/* A clause for people: "more calls lose packets", "allocations are refused with 486" ... */
char *capacity_said(const struct capacity_answer *a, char *text, size_t cap);
/* 0..1, and seconds that are likely left; for the live view. */
double capacity_progress(const struct capacity *c, double *left_s);
