/* Beginning and end of a run. */
#include "pkt-gen/run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/eal.h"
#include "exit.h"
#include "log.h"
#include "pkt-gen/run_parts.h"

enum { HANDED = 4096 };

static _Atomic int interrupts;
static struct crew *_Atomic crew_now;

void run_interrupt(void)
{
	struct crew *c;

	atomic_fetch_add(&interrupts, 1);
	c = atomic_load(&crew_now);
	if (c != NULL)
		crew_interrupt(c);
}

bool run_stopped(void)
{
	return atomic_load_explicit(&interrupts, memory_order_relaxed) > 0;
}

bool run_hurried(void)
{
	return atomic_load_explicit(&interrupts, memory_order_relaxed) > 1;
}

void run_nap(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

void run_fail(struct run *r, const char *fmt, ...)
{
	va_list args;

	if (!r->report->ok)
		return;
	r->report->ok = false;
	va_start(args, fmt);
	vsnprintf(r->report->why, sizeof(r->report->why), fmt, args);
	va_end(args);
}

/* --- engines --- */

static bool make_streams(struct run *r)
{
	const struct options *o = r->options;

	r->ways = o->direction == DIRECTION_BOTH ? 2 : 1;
	r->n_bindings = o->replay != NULL ? 0 : o->clients * o->peers;
	r->n_streams = r->n_bindings * r->ways;
	r->streams = streams_new(r->n_streams > 0 ? r->n_streams : 1);
	if (r->streams == NULL) {
		log_error("run", "memory", "error=\"no room for %u streams\"", r->n_streams);
		return false;
	}
	for (uint32_t i = 0; i < r->streams->n; i++)
		r->streams->out[i].idle = 1; /* until it stands */
	return true;
}

/* Both ways of a binding belong to one engine. */
static bool make_engines(struct run *r)
{
	const struct options *o = r->options;
	const uint32_t n = r->n_streams > 0 ? r->n_streams : 1;
	uint32_t first = 0;

	r->n_engines = o->n_cores > 0 ? o->n_cores : 1;
	for (unsigned i = 0; i < r->n_engines; i++) {
		uint32_t last = (uint32_t)((uint64_t)n * (i + 1) / r->n_engines);

		last -= i + 1 < r->n_engines ? last % r->ways : 0;
		r->n_lanes = link_lanes(r->link, i, r->lane[i], OPTIONS_PORTS_MAX);
		r->ear[i] = (struct run_ear){ .run = r, .engine = i };
		r->engine[i] = engine_new(r->streams, first, last - first, r->lane[i], r->n_lanes,
		                          run_other, &r->ear[i]);
		if (r->engine[i] == NULL) {
			log_error("run", "memory", "error=\"no room for engine %u\"", i);
			return false;
		}
		first = last;
	}
	if (r->n_engines == 1)
		return true;
	r->handed = rte_ring_create("handed", HANDED, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (r->handed == NULL)
		log_error("run", "memory", "error=\"no room for a ring\"");
	return r->handed != NULL;
}

static bool make_record(struct run *r)
{
	struct lane all[OPTIONS_CORES_MAX * OPTIONS_PORTS_MAX];
	unsigned n = 0;

	if (r->options->record == NULL)
		return true;
	for (unsigned i = 0; i < r->n_engines; i++)
		for (unsigned k = 0; k < r->n_lanes; k++)
			all[n++] = r->lane[i][k];
	r->record = record_open(r->options->record, all, n);
	return r->record != NULL;
}

static bool make_crew(struct run *r)
{
	int cores[OPTIONS_CORES_MAX];

	for (unsigned i = 0; i < r->n_engines; i++)
		cores[i] = r->options->n_cores > 0 ? r->options->cores[i] : -1;
	r->crew = crew_new(r->engine, cores, r->n_engines, run_chore, r);
	atomic_store(&crew_now, r->crew);
	return r->crew != NULL;
}

/* The reverse; any part may never have been made. */
static void unmake(struct run *r)
{
	struct rte_mbuf *m;
	uint64_t missed;

	atomic_store(&crew_now, NULL);
	if (r->crew != NULL)
		crew_free(r->crew);
	while (r->handed != NULL && rte_ring_dequeue(r->handed, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(r->handed);
	if (r->record != NULL) {
		missed = record_close(r->record);
		if (missed > 0)
			fprintf(stderr, "turnpike-gen: %llu frames are not in the record\n",
			        (unsigned long long)missed);
	}
	for (unsigned i = 0; i < r->n_engines; i++)
		if (r->engine[i] != NULL)
			engine_free(r->engine[i]);
	if (r->streams != NULL)
		streams_free(r->streams);
}

/* --- all of it --- */

/* 0, or a resource is missing; what failed otherwise is in the report. */
static int work(struct run *r)
{
	int rc = EXIT_CODE_RESOURCE;

	if (make_streams(r) && make_engines(r) && make_record(r) && make_crew(r)) {
		rc = EXIT_CODE_OK;
		if (run_setup(r) && !run_stopped())
			run_deeds(r);
		if (run_stopped())
			run_fail(r, "interrupted");
		run_teardown(r);
	}
	unmake(r);
	return rc;
}

static void tell(struct run *r)
{
	const struct options *o = r->options;
	const uint64_t strangers = atomic_load(&r->strangers);
	FILE *out = o->json != NULL && strcmp(o->json, "-") == 0 ? stderr : stdout;

	report_text(r->report, out);
	if (strangers > 0)
		fprintf(out, "%llu datagrams came that nobody waited for\n",
		        (unsigned long long)strangers);
	if (o->json != NULL && !report_json(r->report, o->json))
		run_fail(r, "cannot write %s", o->json);
	if (o->html != NULL && !report_html(r->report, o->html))
		run_fail(r, "cannot write %s", o->html);
}

int run(const struct options *o, int argc, char **argv)
{
	struct run *r = calloc(1, sizeof(*r));
	int rc = EXIT_CODE_RESOURCE;

	if (r == NULL)
		return rc;
	r->options = o;
	r->report = report_new(o, argc, argv);
	r->live = live_new(stderr, o->live || (!o->quiet && isatty(STDERR_FILENO)));
	if (r->report != NULL && r->live != NULL) {
		r->report->ok = true;
		r->link = link_open(o, &rc);
		if (r->link != NULL) {
			rc = work(r);
			link_close(r->link);
		}
		live_free(r->live);
		r->live = NULL;
		if (rc == EXIT_CODE_OK) {
			tell(r);
			rc = r->report->ok ? EXIT_CODE_OK : EXIT_CODE_FAILURE;
		}
	}
	if (r->live != NULL)
		live_free(r->live);
	if (r->report != NULL)
		report_free(r->report);
	histogram_free(r->latency);
	free(r);
	return rc;
}
