/* The report as one JSON object; report.h says its keys. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "pkt-gen/report.h"

static void put_real(json_t *o, const char *key, double v)
{
	json_object_set_new(o, key, json_real(isfinite(v) ? v : 0));
}

static void put_count(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

/* What is no UTF-8 (a file name may be anything) is told octet by octet. */
static void put_text(json_t *o, const char *key, const char *text)
{
	json_t *s = json_string(text != NULL ? text : "");

	if (s == NULL) {
		char plain[1024];
		size_t n = 0;
		for (; text[n] != '\0' && n + 1 < sizeof(plain); n++)
			plain[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
		plain[n] = '\0';
		s = json_string(plain);
	}
	json_object_set_new(o, key, s);
}

static json_t *latency(const struct report_latency *l)
{
	json_t *o = json_object();

	put_real(o, "min", l->min);
	put_real(o, "p50", l->p50);
	put_real(o, "p90", l->p90);
	put_real(o, "p99", l->p99);
	put_real(o, "p999", l->p999);
	put_real(o, "p9999", l->p9999);
	put_real(o, "max", l->max);
	return o;
}

static json_t *trial(const struct report_trial *t)
{
	json_t *o = json_object();

	put_real(o, "offered_pps", t->offered_pps);
	put_real(o, "seconds", t->seconds);
	put_real(o, "sent_pps", t->sent_pps);
	put_real(o, "received_pps", t->received_pps);
#define X(name, what) put_count(o, #name, t->tally.name);
	TALLY_LIST(X)
#undef X
	put_real(o, "loss", tally_loss(&t->tally));
	json_object_set_new(o, "generator_bound", json_boolean(t->generator_bound));
	json_object_set_new(o, "latency_us", latency(&t->latency));
	return o;
}

/* Only codes that came. */
static json_t *codes(const uint64_t *count, unsigned n)
{
	json_t *o = json_object();
	char code[8];

	for (unsigned i = 0; i < n; i++) {
		if (count[i] == 0)
			continue;
		snprintf(code, sizeof(code), "%u", i % 1000);
		put_count(o, code, count[i]);
	}
	return o;
}

static json_t *machine(const struct report *r)
{
	json_t *o = json_object(), *huge = json_object();

	put_text(o, "cpu", r->machine.cpu);
	put_count(o, "cores", r->machine.cores);
	put_text(o, "kernel", r->machine.kernel);
	put_count(huge, "total", r->machine.hugepages);
	put_count(huge, "free", r->machine.huge_free);
	put_count(huge, "kb", r->machine.huge_kb);
	json_object_set_new(o, "hugepages", huge);
	put_real(o, "steal", r->steal);
	return o;
}

static json_t *setup(const struct report *r)
{
	const struct fleet_counts *c = &r->setup;
	json_t *o = json_object();

	put_real(o, "seconds", r->setup_s);
	put_real(o, "per_second", r->setup_s > 0 ? (double)c->ready / r->setup_s : 0);
	put_count(o, "wanted", c->wanted);
	put_count(o, "ready", c->ready);
	put_count(o, "failed", c->failed);
	put_count(o, "under_way", c->under_way);
	put_count(o, "lost", c->lost);
	put_count(o, "gone", c->gone);
	put_count(o, "transactions", c->transactions);
	put_count(o, "retransmissions", c->retransmissions);
	put_count(o, "timeouts", c->timeouts);
	put_count(o, "stray", c->stray);
	put_count(o, "challenges", c->challenges);
	json_object_set_new(o, "errors", codes(c->error, sizeof(c->error) / sizeof(*c->error)));
	json_object_set_new(o, "rtt_us", latency(&r->setup_rtt));
	return o;
}

static json_t *rate(const struct report *r, const struct search_rate *f)
{
	json_t *o = json_object();

	json_object_set_new(o, "found", json_boolean(f->found));
	put_real(o, "pps", f->pps);
	put_real(o, "upper_pps", f->upper_pps);
	put_real(o, "gbps", report_bits(r, f->pps) / 1e9);
	put_real(o, "loss", f->loss);
	put_text(o, "end", search_word(f->end));
	return o;
}

static json_t *capacity(const struct report *r)
{
	json_t *o = json_object();

	put_count(o, "calls", r->calls);
	put_real(o, "pps", r->calls_pps);
	put_real(o, "loss", r->calls_loss);
	put_real(o, "p99_us", r->calls_p99_us);
	put_text(o, "end", r->capacity_end);
	return o;
}

static json_t *storm(const struct report_storm *s)
{
	json_t *o = json_object(), *media = json_object();

	put_text(o, "name", s->name);
	put_real(o, "seconds", s->seconds);
	put_count(o, "sent", s->sent);
	put_count(o, "answered", s->answered);
	put_count(o, "failed", s->failed);
	put_real(o, "per_second", s->seconds > 0 ? (double)s->sent / s->seconds : 0);
	json_object_set_new(o, "codes", codes(s->code, sizeof(s->code) / sizeof(*s->code)));
	put_text(o, "said", s->said);
	json_object_set_new(media, "before", trial(&s->before));
	json_object_set_new(media, "during", trial(&s->during));
	json_object_set_new(media, "after", trial(&s->after));
	json_object_set_new(o, "media", media);
	return o;
}

static void put_lists(const struct report *r, json_t *o)
{
	json_t *trials = json_array(), *series = json_array(), *at = json_array();

	for (unsigned i = 0; i < r->n_trials; i++)
		json_array_append_new(trials, trial(&r->trials[i]));
	for (unsigned i = 0; i < r->n_at; i++) {
		json_t *l = json_object();
		put_count(l, "percent", r->at[i].percent);
		put_real(l, "pps", r->at[i].pps);
		json_object_set_new(l, "latency_us", latency(&r->at[i].latency));
		json_array_append_new(at, l);
	}
	for (unsigned i = 0; i < r->n_series; i++) {
		json_t *p = json_object();
		put_real(p, "s", r->series[i].s);
		put_real(p, "sent_pps", r->series[i].sent_pps);
		put_real(p, "received_pps", r->series[i].received_pps);
		put_count(p, "lost", r->series[i].lost);
		json_array_append_new(series, p);
	}
	json_object_set_new(o, "trials", trials);
	json_object_set_new(o, "series", series);
	if (r->n_at > 0)
		json_object_set(o, "latency", at);
	json_decref(at);
}

static json_t *whole(const struct report *r)
{
	json_t *o = json_object();
	char what[512];

	report_what(r, what, sizeof(what));
	put_text(o, "program", "turnpike-gen");
	put_text(o, "version", TURNPIKE_VERSION);
	put_text(o, "command", r->command);
	put_text(o, "what", what);
	json_object_set_new(o, "machine", machine(r));
	if (r->has_setup)
		json_object_set_new(o, "setup", setup(r));
	if (r->has_search) {
		if (r->ndr.end != SEARCH_GOES_ON)
			json_object_set_new(o, "ndr", rate(r, &r->ndr));
		if (r->pdr.end != SEARCH_GOES_ON)
			json_object_set_new(o, "pdr", rate(r, &r->pdr));
		put_real(o, "mrr_pps", r->mrr_pps);
	}
	if (r->has_bias)
		json_object_set_new(o, "bias_us", latency(&r->bias));
	if (r->has_capacity)
		json_object_set_new(o, "capacity", capacity(r));
	if (r->has_storm)
		json_object_set_new(o, "storm", storm(&r->storm));
	put_lists(r, o);
	json_object_set_new(o, "ok", json_boolean(r->ok));
	put_text(o, "why", r->why);
	return o;
}

bool report_json(const struct report *r, const char *path)
{
	const bool to_stdout = strcmp(path, "-") == 0;
	FILE *out = to_stdout ? stdout : fopen(path, "we");
	json_t *o = whole(r);
	bool ok = out != NULL && o != NULL;

	/* Ten digits: microseconds of a day, or a rate to the packet. */
	ok = ok && json_dumpf(o, out, JSON_INDENT(1) | JSON_REAL_PRECISION(10)) == 0;
	json_decref(o);
	if (ok)
		ok = fputc('\n', out) != EOF && fflush(out) == 0;
	if (out != NULL && !to_stdout)
		ok = fclose(out) == 0 && ok;
	if (!ok)
		fprintf(stderr, "turnpike-gen: report: %s: %s\n", path, strerror(errno));
	return ok;
}
