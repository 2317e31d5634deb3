/* What the run*.c files share: the one run of the process. */
#pragma once

#include <rte_ring.h>
#include <stdatomic.h>

#include "pkt-gen/fleet.h"
#include "pkt-gen/link.h"
#include "pkt-gen/record.h"
#include "pkt-gen/replay.h"
#include "pkt-gen/report.h"
#include "pkt-gen/storm.h"
#include "pkt-gen/trial.h"

enum { RUN_FLEET_BURST = 32, RUN_CREDENTIAL_MAX = 512 };

struct run;

/* Who calls run_other(). */
struct run_ear {
	struct run *run;
	unsigned engine;
};

/* Something that main asks engine 0's thread to do, and waits for. */
typedef void run_task(struct run *r, void *arg);

struct run {
	const struct options *options;
	struct report *report;
	struct live *live;
	struct link *link;
	struct record *record;

	struct streams *streams;
	uint32_t n_streams, n_bindings;
	unsigned ways; /* streams of a binding */
	struct engine *engine[OPTIONS_CORES_MAX];
	struct run_ear ear[OPTIONS_CORES_MAX];
	struct lane lane[OPTIONS_CORES_MAX][OPTIONS_PORTS_MAX];
	unsigned n_engines, n_lanes;
	struct crew *crew;
	struct rte_ring *handed; /* frames that other engines heard and engine 0 has to look at */

	/* Engine 0's thread, once the crew runs. */
	struct fleet *fleet;
	struct storm *storm;
	struct replay *replay;
	struct endpoint server;
	uint8_t server_macs[12];
	uint8_t server_lane;
	_Atomic uint64_t strangers; /* datagrams to us that nobody waited for */

	run_task *task;
	void *task_arg;
	_Atomic int task_state;

	char user[RUN_CREDENTIAL_MAX], password[RUN_CREDENTIAL_MAX];
	const char *what;          /* is being done; for the live view */
	double progress, left_s;   /* of a search; below 0: a trial for itself */
	struct histogram *latency; /* for the live view */
	uint32_t grown;            /* clients that were told to stand */
	double grown_s;            /* that took so long */
	uint32_t made;             /* bindings whose streams were compiled, or do not stand */
	uint32_t calls;            /* bindings that send */
};

/* True after the first (second) signal. */
bool run_stopped(void);
bool run_hurried(void);
/* Marks the run as failed, and says why; the first reason stays. */
void run_fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void run_nap(unsigned ms);
uint64_t run_now_ns(void);

/* --- run_field.c: engine 0's thread --- */

engine_other run_other;
crew_chore run_chore;
/* Main; returns when it was done. */
void run_ask(struct run *r, run_task *task, void *arg);
/* What storms and replays work with. */
struct storm_field run_storm_field(struct run *r);

/* --- run_setup.c: main --- */

/* Neighbours, then the fleet: false after run_fail(). */
bool run_setup(struct run *r);
/*
 * Lets clients up to the first n have their allocations; those that do, stand. false: none does.
 * *code: with what most of the others were refused, 0: with no answer.
 */
bool run_grow(struct run *r, uint32_t n, unsigned *code);
/* Refresh of zero for all, unless hurried. */
void run_teardown(struct run *r);

/* --- run_streams.c: main, engines at rest --- */

/* Compiles a stream for each way of each binding of clients that stands. How many bindings do. */
uint32_t run_streams_make(struct run *r);
/* Only the first n bindings that stand send. How many that are. */
uint32_t run_streams_use(struct run *r, uint32_t n);

/* --- run_deeds.c: main --- */

/* Whatever the options ask for, into the report. */
void run_deeds(struct run *r);
