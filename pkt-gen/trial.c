#include "pkt-gen/trial.h"

#include <errno.h>
#include <pthread.h>
#include <rte_lcore.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "log.h"

enum {
	NAP_FROM_NS = 100000, /* next packet is due later than that: sleep */
	NAP_NS = 100000,
	REST_NS = 1000000, /* between trials */
	IDLE_TURNS = 64,   /* in a row, before it sleeps */
	TICK_NS = 100000000,
	LOOK_NS = 2000000,    /* how often main looks whether engines are done */
	SETTLE_NS = 10000000, /* all came: so long is waited for what comes twice */
	GRACE_S = 5           /* behind the latest end of a plan */
};

enum phase { PARK, RUN, STOP };

struct member {
	struct crew *crew;
	struct engine *engine;
	pthread_t thread;
	int core;
	bool started;
	_Atomic unsigned parked; /* number of the parking it stands in */
	_Atomic bool done;       /* its plan */
};

struct crew {
	struct member *member;
	unsigned n;
	crew_chore *chore;
	crew_tick *tick;
	void *arg, *tick_arg;
	_Atomic unsigned phase;   /* enum phase */
	_Atomic unsigned parking; /* counts parkings */
	_Atomic bool interrupted, spin, in_trial;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	const struct timespec t = { .tv_sec = (time_t)(ns / 1000000000),
		                    .tv_nsec = (long)(ns % 1000000000) };

	nanosleep(&t, NULL);
}

/* --- an engine's thread --- */

static void nap(const struct crew *c, const struct engine *e)
{
	const uint64_t next = engine_next_ns(e);

	if (!atomic_load_explicit(&c->in_trial, memory_order_relaxed))
		sleep_ns(REST_NS);
	else if (next > NAP_FROM_NS)
		sleep_ns(next == UINT64_MAX || next - NAP_FROM_NS / 2 > NAP_NS
		                 ? NAP_NS
		                 : next - NAP_FROM_NS / 2);
}

static void run(struct member *me)
{
	struct crew *const c = me->crew;
	unsigned idle = 0;

	while (atomic_load_explicit(&c->phase, memory_order_acquire) == RUN) {
		unsigned work = 0;

		if (!engine_turn(me->engine))
			atomic_store_explicit(&me->done, true, memory_order_release);
		if (c->chore && me == c->member)
			work = c->chore(c->arg, now_ns());
		if (work + engine_moved(me->engine) > 0) {
			idle = 0;
			continue;
		}
		if (++idle < IDLE_TURNS || atomic_load_explicit(&c->spin, memory_order_relaxed))
			continue;
		nap(c, me->engine);
	}
}

static void *member_main(void *arg)
{
	struct member *const me = arg;
	struct crew *const c = me->crew;
	cpu_set_t one;

	prctl(PR_SET_TIMERSLACK, 1);
	if (me->core >= 0) {
		CPU_ZERO(&one);
		CPU_SET(me->core, &one);
		if (sched_setaffinity(0, sizeof(one), &one) < 0)
			log_warning("trial", "pin_failed", "core=%d error=%m", me->core);
	}
	/* A number of its own in EAL gives it caches in the pools. */
	if (rte_thread_register() < 0)
		log_warning("trial", "not_registered", "engine=%u: pools without cache",
		            (unsigned)(me - c->member));
	for (;;) {
		const unsigned phase = atomic_load_explicit(&c->phase, memory_order_acquire);

		if (phase == STOP)
			break;
		if (phase == RUN) {
			run(me);
			continue;
		}
		const unsigned parking = atomic_load_explicit(&c->parking, memory_order_acquire);

		if (atomic_load_explicit(&me->parked, memory_order_relaxed) != parking)
			atomic_store_explicit(&me->parked, parking, memory_order_release);
		else
			sleep_ns(NAP_NS);
	}
	rte_thread_unregister();
	return NULL;
}

/* --- main's side --- */

/* All engines stand still, and what they wrote is seen. */
static void park(struct crew *c)
{
	const unsigned parking = atomic_fetch_add(&c->parking, 1) + 1;

	atomic_store_explicit(&c->phase, PARK, memory_order_release);
	for (unsigned i = 0; i < c->n; i++)
		while (atomic_load_explicit(&c->member[i].parked, memory_order_acquire) != parking)
			sleep_ns(NAP_NS);
}

static void go(struct crew *c)
{
	atomic_store_explicit(&c->phase, RUN, memory_order_release);
}

struct crew *crew_new(struct engine **engines, const int *cores, unsigned n, crew_chore *chore,
                      void *arg)
{
	struct crew *const c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->member = calloc(n, sizeof(*c->member));
	c->chore = chore;
	c->arg = arg;
	atomic_store(&c->phase, RUN);
	for (unsigned i = 0; c->member && i < n; i++) {
		struct member *const m = &c->member[i];

		*m = (struct member){ .crew = c, .engine = engines[i], .core = cores[i] };
		c->n = i + 1;
		const int error = pthread_create(&m->thread, NULL, member_main, m);

		m->started = error == 0;
		if (error == 0)
			continue;
		log_error("trial", "no_thread", "engine=%u error=\"%s\"", i, strerror(error));
		crew_free(c);
		return NULL;
	}
	if (!c->member) {
		free(c);
		return NULL;
	}
	return c;
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	atomic_store(&c->phase, STOP);
	for (unsigned i = 0; i < c->n; i++)
		if (c->member[i].started)
			pthread_join(c->member[i].thread, NULL);
	free(c->member);
	free(c);
}

void crew_on_tick(struct crew *c, crew_tick *fn, void *arg)
{
	c->tick = fn;
	c->tick_arg = arg;
}

void crew_interrupt(struct crew *c)
{
	atomic_store_explicit(&c->interrupted, true, memory_order_relaxed);
}

static void start(struct crew *c, const struct trial *t)
{
	struct engine_plan plan = { .seconds = t->seconds,
		                    .profile = *t->profile,
		                    .round_robin = t->round_robin,
		                    .check_payload = t->check_payload,
		                    .spin = t->spin };
	uint64_t active = 0;

	park(c);
	/* The first time says how many streams there are. */
	for (unsigned i = 0; i < c->n; i++) {
		engine_start(c->member[i].engine, &plan);
		active += engine_active(c->member[i].engine);
	}
	for (unsigned i = 0; i < c->n; i++) {
		struct engine *const e = c->member[i].engine;

		if (t->pps > 0 && active > 0) {
			plan.pps = t->pps * engine_active(e) / (double)active;
			if (plan.pps > 0)
				engine_start(e, &plan);
		}
		atomic_store(&c->member[i].done, false);
	}
	atomic_store(&c->spin, t->spin);
	atomic_store(&c->in_trial, true);
	go(c);
}

static struct tally snapshot(const struct crew *c)
{
	struct tally all = { 0 };

	for (unsigned i = 0; i < c->n; i++) {
		const struct tally one = engine_snapshot(c->member[i].engine);

		tally_add(&all, &one);
	}
	/* Sent is counted behind the port: an answer may be counted first. */
	all.in_flight = all.sent > all.received ? all.sent - all.received : 0;
	return all;
}

static bool all_done(const struct crew *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (!atomic_load_explicit(&c->member[i].done, memory_order_acquire))
			return false;
	return true;
}

/* Calls tick when it is time. Returns when the next look is due. */
static void look(struct crew *c, uint64_t began, uint64_t *next_tick)
{
	const uint64_t now = now_ns();

	if (now >= *next_tick) {
		const struct tally t = snapshot(c);

		if (c->tick)
			c->tick(c->tick_arg, &t, (double)(now - began) / 1e9);
		*next_tick += TICK_NS;
		if (*next_tick < now)
			*next_tick = now + TICK_NS;
	}
	sleep_ns(LOOK_NS);
}

/* false: interrupted. */
static bool wait_sent(struct crew *c, const struct trial *t, uint64_t began, uint64_t *next_tick)
{
	const uint64_t latest = began + (uint64_t)((t->seconds * 1.2 + GRACE_S) * 1e9);

	while (!all_done(c) && now_ns() < latest) {
		if (atomic_load_explicit(&c->interrupted, memory_order_relaxed))
			return false;
		look(c, began, next_tick);
	}
	return true;
}

static bool wait_received(struct crew *c, const struct trial *t, uint64_t began,
                          uint64_t *next_tick)
{
	const uint64_t sent = now_ns(), latest = sent + (uint64_t)(t->drain_s * 1e9);
	uint64_t whole = 0;

	for (uint64_t now = sent; now < latest; now = now_ns()) {
		const struct tally s = snapshot(c);

		if (atomic_load_explicit(&c->interrupted, memory_order_relaxed))
			return false;
		if (s.in_flight > 0)
			whole = 0;
		else if (whole == 0)
			whole = now;
		else if (now - whole >= SETTLE_NS)
			break;
		look(c, began, next_tick);
	}
	return true;
}

static void sum_up(struct crew *c, const struct trial *t, struct outcome *out)
{
	*out = (struct outcome){ .offered_pps = t->pps, .tally.latency = histogram_new() };
	double offered = 0;

	for (unsigned i = 0; i < c->n; i++) {
		const struct engine *const e = c->member[i].engine;
		const double seconds = engine_seconds(e);

		tally_add(&out->tally, engine_tally(e));
		out->seconds = seconds > out->seconds ? seconds : out->seconds;
		offered += engine_pps(e);
	}
	if (t->pps <= 0)
		out->offered_pps = offered;
	if (out->seconds <= 0)
		return;
	out->sent_pps = (double)out->tally.sent / out->seconds;
	out->received_pps = (double)out->tally.received / out->seconds;
	out->generator_bound = out->sent_pps < 0.995 * out->offered_pps;
}

int trial_run(struct crew *c, const struct trial *t, struct outcome *out)
{
	start(c, t);
	const uint64_t began = now_ns();
	uint64_t next_tick = began + TICK_NS;
	const bool whole =
		wait_sent(c, t, began, &next_tick) && wait_received(c, t, began, &next_tick);

	park(c);
	for (unsigned i = 0; i < c->n; i++)
		engine_finish(c->member[i].engine);
	sum_up(c, t, out);
	atomic_store(&c->in_trial, false);
	atomic_store(&c->spin, false);
	go(c);
	return whole ? 0 : -EINTR;
}

void outcome_free(struct outcome *o)
{
	histogram_free(o->tally.latency);
	o->tally.latency = NULL;
}
