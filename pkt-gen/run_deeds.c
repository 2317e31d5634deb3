/* What a run is for: trials, searches, storms, replays. */
#include <stdlib.h>

#include "log.h"
#include "pkt-gen/capacity.h"
#include "pkt-gen/figure.h"
#include "pkt-gen/run_parts.h"

enum { SEARCH_TRIALS_MAX = 60, CAPACITY_TRIALS_MAX = 40, DONE_MS = 10000, TURN_MS = 50 };
static const unsigned percents[] = { 10, 50, 90 };

/* --- one trial --- */

/* Latencies of the trial that runs, as far as they can be read while engines write them. */
static struct histogram *latency_now(struct run *r)
{
	if (r->latency == NULL)
		r->latency = histogram_new();
	if (r->latency == NULL)
		return NULL;
	histogram_clear(r->latency);
	for (unsigned i = 0; i < r->n_engines; i++)
		histogram_add(r->latency, engine_tally(r->engine[i])->latency);
	return r->latency;
}

static void tick(void *arg, const struct tally *now, double seconds)
{
	struct run *r = arg;
	struct tally seen = *now;
	const double left_s = r->options->duration_s - seconds;

	report_tick(r->report, now, seconds);
	if (!live_on(r->live))
		return;
	seen.latency = latency_now(r);
	if (r->progress >= 0)
		live_show(r->live, r->what, &seen, seconds, r->progress, r->left_s);
	else /* a trial for itself */
		live_show(r->live, r->what, &seen, seconds, seconds / r->options->duration_s,
		          left_s);
}

/* What must never be, whatever the load. */
static void judge(struct run *r, const struct tally *t)
{
	if (tally_gap(t) != 0)
		run_fail(r, "the accounting does not close: %lld packets are unexplained",
		         (long long)tally_gap(t));
	if (t->corrupted != 0)
		run_fail(r, "%llu packets were corrupted", (unsigned long long)t->corrupted);
	if (t->misdelivered != 0)
		run_fail(r, "%llu packets were misdelivered", (unsigned long long)t->misdelivered);
	if (t->checksum != 0)
		run_fail(r, "%llu packets had a wrong checksum", (unsigned long long)t->checksum);
	if (!r->options->strict)
		return;
	if (t->lost != 0)
		run_fail(r, "%llu packets were lost", (unsigned long long)t->lost);
	if (t->duplicated != 0)
		run_fail(r, "%llu packets came twice", (unsigned long long)t->duplicated);
	if (t->reordered != 0)
		run_fail(r, "%llu packets came out of order", (unsigned long long)t->reordered);
}

/* 0 into *out, which the caller frees; else it was interrupted, and *out is of what was done. */
static int trial(struct run *r, const char *what, double pps, double seconds, struct outcome *out)
{
	const struct options *o = r->options;
	const struct trial t = { .pps = pps,
		                 .seconds = seconds,
		                 .drain_s = o->drain_s,
		                 .profile = &o->profile,
		                 .round_robin = o->round_robin,
		                 .check_payload = !o->no_check,
		                 .spin = o->poll };
	int rc;

	r->what = what;
	rc = trial_run(r->crew, &t, out);
	if (r->options->storm == NULL)
		report_add_trial(r->report, out);
	else /* a storm's stand beside the list */
		report_end_trial(r->report, out);
	judge(r, &out->tally);
	if (rc != 0)
		run_fail(r, "interrupted");
	return rc;
}

/* --rate as packets a second of all streams; 0: as fast as it goes. */
static double rate_of(const struct run *r)
{
	const struct options *o = r->options;

	switch (o->rate_kind) {
	case RATE_PPS: return o->rate;
	case RATE_BPS: return o->rate / 8 / profile_mean(&o->profile);
	case RATE_CALLS: return (double)r->calls * r->ways * o->profile.pps;
	default: return 0;
	}
}

/* --- latency --- */

static void measure_latency(struct run *r, double full)
{
	for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]) && !run_stopped(); i++) {
		const double pps = full * percents[i] / 100;
		struct outcome out;
		char what[64];

		snprintf(what, sizeof(what), "latency at %u %%: %s", percents[i],
		         FIGURE(rate, pps));
		r->progress = (double)i / (sizeof(percents) / sizeof(percents[0]));
		r->left_s = (3 - i) * (r->options->trial_s + r->options->drain_s);
		if (trial(r, what, pps, r->options->trial_s, &out) == 0) {
			const unsigned n = r->report->n_at++;

			r->report->at[n].percent = percents[i];
			r->report->at[n].pps = out.sent_pps;
			r->report->at[n].latency = report_latency(out.tally.latency);
		}
		outcome_free(&out);
	}
}

/* --- the deeds --- */

static void do_trial(struct run *r)
{
	struct outcome out;
	char what[64];
	const double pps = rate_of(r);

	if (pps > 0)
		snprintf(what, sizeof(what), "trial: %s", FIGURE(rate, pps));
	else
		snprintf(what, sizeof(what), "trial: as fast as it goes");
	r->progress = -1;
	trial(r, what, pps, r->options->duration_s, &out);
	if (r->options->bias) {
		r->report->has_bias = true;
		r->report->bias = report_latency(out.tally.latency);
	}
	outcome_free(&out);
}

static void do_find(struct run *r)
{
	const struct options *o = r->options;
	const struct search_config cfg = { .min_pps = 100,
		                           .max_pps = rate_of(r),
		                           .pdr_loss = o->loss,
		                           .precision = o->precision,
		                           .first_s = o->trial_s < 0.3 ? o->trial_s : 0.3,
		                           .final_s = o->trial_s,
		                           .trials_max = SEARCH_TRIALS_MAX,
		                           .want_ndr = o->find != FIND_PDR,
		                           .want_pdr = o->find != FIND_NDR,
		                           .budget_s = o->budget_s };
	struct search *s = search_new(&cfg);
	struct search_trial next;
	struct search_rate found;

	if (s == NULL) {
		run_fail(r, "no memory for a search");
		return;
	}
	for (unsigned n = 1; !run_stopped() && search_next(s, &next); n++) {
		struct outcome out;
		char what[64];

		snprintf(what, sizeof(what), "trial %u: %s", n,
		         next.pps > 0 ? FIGURE(rate, next.pps) : "full speed");
		r->progress = search_progress(s, &r->left_s);
		if (trial(r, what, next.pps, next.seconds, &out) == 0)
			search_told(s, out.sent_pps, tally_loss(&out.tally), out.generator_bound);
		outcome_free(&out);
	}
	r->report->has_search = true;
	r->report->ndr = search_ndr(s);
	r->report->pdr = search_pdr(s);
	r->report->mrr_pps = search_mrr(s);
	r->report->search_end = search_said(search_ended(s));
	found = o->find == FIND_NDR ? r->report->ndr : r->report->pdr;
	if (o->latency && found.found)
		measure_latency(r, found.pps);
	search_free(s);
}

/* Lets as many stand as the step asks for, and all that is asked for send. */
static bool run_step(struct run *r, const struct capacity_step *step, struct capacity_result *out)
{
	const struct options *o = r->options;
	struct outcome trial_out;
	char what[64];

	*out = (struct capacity_result){ 0 };
	if (r->fleet != NULL && r->grown < o->clients)
		run_grow(r, (step->calls + o->peers - 1) / o->peers, &out->code);
	run_streams_make(r);
	out->calls = run_streams_use(r, step->calls);
	if (out->calls == 0 || run_stopped())
		return !run_stopped();
	snprintf(what, sizeof(what), "%u calls", out->calls);
	if (trial(r, what, (double)out->calls * r->ways * o->profile.pps, step->seconds,
	          &trial_out) == 0) {
		out->sent_pps = trial_out.sent_pps;
		out->loss = tally_loss(&trial_out.tally);
		out->p99_us = report_latency(trial_out.tally.latency).p99;
		out->bound = trial_out.generator_bound;
	}
	outcome_free(&trial_out);
	return !run_stopped();
}

static void do_capacity(struct run *r)
{
	const struct options *o = r->options;
	const struct capacity_config cfg = { .most = r->n_bindings,
		                             .loss = o->loss,
		                             .p99_us = o->p99_ms * 1000,
		                             .first_s = o->trial_s < 0.5 ? o->trial_s : 0.5,
		                             .final_s = o->trial_s,
		                             .precision = o->precision,
		                             .trials_max = CAPACITY_TRIALS_MAX,
		                             .budget_s = o->budget_s };
	static char said[128];
	struct capacity *c = capacity_new(&cfg);
	struct capacity_step step;
	struct capacity_result result;
	struct capacity_answer found;

	if (c == NULL) {
		run_fail(r, "no memory for a search");
		return;
	}
	while (!run_stopped() && capacity_next(c, &step)) {
		r->progress = capacity_progress(c, &r->left_s);
		if (run_step(r, &step, &result))
			capacity_told(c, &result);
	}
	found = capacity_answer(c);
	r->report->has_capacity = true;
	r->report->calls = found.calls;
	r->report->calls_pps = found.pps;
	r->report->calls_loss = found.loss;
	r->report->calls_p99_us = found.p99_us;
	r->report->capacity_end = capacity_said(&found, said, sizeof(said));
	capacity_free(c);
}

static void make_storm(struct run *r, void *arg)
{
	const struct storm_field field = run_storm_field(r);

	(void)arg;
	r->storm = storm_new(r->options->storm, &field);
}

static void stop_storm(struct run *r, void *arg)
{
	(void)arg;
	storm_stop(r->storm, run_now_ns());
}

static void drop_storm(struct run *r, void *arg)
{
	(void)arg;
	storm_report(r->storm, &r->report->storm);
	storm_free(r->storm);
	r->storm = NULL;
}

static void wait_with_view(struct run *r, const char *what, double seconds,
                           bool (*done)(struct run *))
{
	const struct tally none = { 0 };
	const uint64_t began = run_now_ns();

	while (!run_stopped() && (done == NULL || !done(r))) {
		const double s = (double)(run_now_ns() - began) / 1e9;

		if (seconds > 0 && s >= seconds)
			break;
		live_show(r->live, what, &none, s, seconds > 0 ? s / seconds : -1, seconds - s);
		run_nap(TURN_MS);
	}
}

static bool storm_is_done(struct run *r)
{
	return storm_done(r->storm);
}

static struct report_trial storm_trial(struct run *r, const char *what)
{
	struct report_trial t = { 0 };
	struct outcome out;

	if (r->calls == 0 || run_stopped())
		return t;
	trial(r, what, rate_of(r), r->options->duration_s, &out);
	t = report_trial(&out);
	outcome_free(&out);
	return t;
}

/* Media alone, media and storm, media alone again. */
static void do_storm(struct run *r)
{
	const struct options *o = r->options;
	struct report_trial before, during, after;

	r->progress = -1;
	before = storm_trial(r, "media before the storm");
	run_ask(r, make_storm, NULL);
	if (r->storm == NULL) {
		run_fail(r, "there is no such storm, or it cannot be made: %s", o->storm);
		return;
	}
	during = storm_trial(r, "media in the storm");
	if (r->calls == 0)
		wait_with_view(r, "storm", o->duration_s, NULL);
	run_ask(r, stop_storm, NULL);
	wait_with_view(r, "the storm takes its leave", DONE_MS / 1e3, storm_is_done);
	run_ask(r, drop_storm, NULL);
	after = storm_trial(r, "media after the storm");
	r->report->has_storm = true;
	r->report->storm.before = before;
	r->report->storm.during = during;
	r->report->storm.after = after;
	storm_judge(&r->report->storm);
}

static void make_replay(struct run *r, void *arg)
{
	const struct storm_field field = run_storm_field(r);

	(void)arg;
	r->replay = replay_open(r->options->replay, r->options->replay_speed, &field);
}

static void drop_replay(struct run *r, void *arg)
{
	(void)arg;
	replay_report(r->replay, &r->report->storm);
	replay_free(r->replay);
	r->replay = NULL;
}

static bool replay_is_done(struct run *r)
{
	return replay_done(r->replay);
}

static void do_replay(struct run *r)
{
	const enum log_level level = log_get_level();

	if (!r->options->quiet)
		log_set_level(LOG_LEVEL_INFO); /* it says what it reads, and a line a method */
	run_ask(r, make_replay, NULL);
	if (r->replay == NULL) {
		run_fail(r, "the capture cannot be replayed: %s", r->options->replay);
		return;
	}
	wait_with_view(r, "replay", 0, replay_is_done);
	if (run_stopped())
		run_fail(r, "interrupted");
	run_ask(r, drop_replay, NULL);
	log_set_level(level);
	r->report->has_storm = true;
}

void run_deeds(struct run *r)
{
	const struct options *o = r->options;
	const uint32_t want =
		o->rate_kind == RATE_CALLS && o->rate < UINT32_MAX ? (uint32_t)o->rate : UINT32_MAX;

	crew_on_tick(r->crew, tick, r);
	if (o->replay != NULL) {
		do_replay(r);
		return;
	}
	if (o->find == FIND_CAPACITY) {
		do_capacity(r);
		return;
	}
	if (r->n_bindings > 0 && (run_streams_make(r) == 0 || run_streams_use(r, want) == 0)) {
		if (!run_stopped())
			run_fail(r, "no call stands");
		return;
	}
	if (o->storm != NULL)
		do_storm(r);
	else if (o->find == FIND_NDR || o->find == FIND_PDR || o->find == FIND_BOTH)
		do_find(r);
	else if (o->latency)
		measure_latency(r, rate_of(r));
	else
		do_trial(r);
}
