/* The report for people. */
#include <inttypes.h>
#include <string.h>

#include "pkt-gen/figure.h"
#include "pkt-gen/report.h"

/* Names that are no fault: the sum, and amounts. */
static const char *const no_faults[] = { "sent", "received", "in_flight", "octets_sent",
	                                 "octets_received" };

static bool is_fault(const char *name)
{
	for (size_t i = 0; i < sizeof(no_faults) / sizeof(*no_faults); i++)
		if (strcmp(name, no_faults[i]) == 0)
			return false;
	return true;
}

static void heading(FILE *out, const char *text)
{
	fprintf(out, "\n%s\n", text);
}

static void put_machine(const struct report *r, FILE *out)
{
	const struct machine *m = &r->machine;
	char what[512];

	report_what(r, what, sizeof(what));
	fprintf(out, "turnpike-gen %s\n", TURNPIKE_VERSION);
	fprintf(out, "  target   %s\n", what);
	fprintf(out, "  machine  %s, %u core%s, %s\n", m->cpu[0] != '\0' ? m->cpu : "unknown",
	        m->cores, m->cores == 1 ? "" : "s", m->kernel);
	fprintf(out, "           hugepages %u of %u free (%u kB each), steal %s\n", m->huge_free,
	        m->hugepages, m->huge_kb, FIGURE(ratio, r->steal));
	fprintf(out, "  command  %s\n", r->command);
}

static void put_codes(FILE *out, const char *label, const uint64_t *code, unsigned n)
{
	const char *between = "";

	for (unsigned i = 0; i < n; i++) {
		if (code[i] == 0)
			continue;
		fprintf(out, "%s%s%s with %u", between[0] != '\0' ? "" : label, between,
		        FIGURE(count, code[i]), i);
		between = ", ";
	}
	if (between[0] != '\0')
		fputc('\n', out);
}

static void put_setup(const struct report *r, FILE *out)
{
	const struct fleet_counts *c = &r->setup;

	heading(out, "Setup");
	fprintf(out, "  %s of %s clients ready in %s", FIGURE(count, c->ready),
	        FIGURE(count, c->wanted), FIGURE(seconds, r->setup_s));
	if (r->setup_s > 0)
		fprintf(out, " (%.0f a second)", (double)c->ready / r->setup_s);
	fprintf(out, "; %s failed", FIGURE(count, c->failed));
	if (c->lost > 0)
		fprintf(out, ", %s lost while they were up", FIGURE(count, c->lost));
	fprintf(out,
	        "\n  %s transactions, %s challenges, %s retransmissions, %s without an answer\n",
	        FIGURE(count, c->transactions), FIGURE(count, c->challenges),
	        FIGURE(count, c->retransmissions), FIGURE(count, c->timeouts));
	put_codes(out, "  refused: ", c->error, sizeof(c->error) / sizeof(*c->error));
	if (r->setup_rtt.max > 0)
		fprintf(out, "  round trip p50 %s, p99 %s, largest %s\n",
		        FIGURE(time, r->setup_rtt.p50), FIGURE(time, r->setup_rtt.p99),
		        FIGURE(time, r->setup_rtt.max));
}

static const char trial_head[] = "  %-8s %11s %11s %11s %7s %11s %9s %9s %9s %9s\n";

static void put_trial_head(FILE *out)
{
	fprintf(out, trial_head, "", "offered", "sent", "received", "seconds", "loss", "p50", "p99",
	        "p99.9", "largest");
}

static void put_trial(FILE *out, const char *name, const struct report_trial *t)
{
	const bool timed = t->latency.max > 0;

	fprintf(out, "  %-8s %11s %11s %11s %7.2f %11s %9s %9s %9s %9s%s\n", name,
	        t->offered_pps > 0 ? FIGURE(rate, t->offered_pps) : "max",
	        FIGURE(rate, t->sent_pps), FIGURE(rate, t->received_pps), t->seconds,
	        FIGURE(ratio, tally_loss(&t->tally)), timed ? FIGURE(time, t->latency.p50) : "-",
	        timed ? FIGURE(time, t->latency.p99) : "-",
	        timed ? FIGURE(time, t->latency.p999) : "-",
	        timed ? FIGURE(time, t->latency.max) : "-",
	        t->generator_bound ? "  (the generator could not offer more)" : "");
}

/* One name a line: how many, and what it means. */
static void put_faults(FILE *out, const struct tally *t)
{
	bool none = true;

#define X(name, what)                                                        \
	if (t->name > 0 && is_fault(#name)) {                                \
		fprintf(out, "  %15s %s\n", FIGURE(count, t->name), (what)); \
		none = false;                                                \
	}
	TALLY_LIST(X)
#undef X
	if (none)
		fprintf(out, "  no faults: each packet came once, whole, in order, where it "
		             "belongs\n");
}

static void put_sum(FILE *out, const struct tally *t)
{
	const int64_t gap = tally_gap(t);

	fprintf(out, "  sent %s = received %s + lost %s + in flight %s: ", FIGURE(count, t->sent),
	        FIGURE(count, t->received), FIGURE(count, t->lost), FIGURE(count, t->in_flight));
	if (gap == 0)
		fprintf(out, "the sum closes\n");
	else
		fprintf(out, "the sum does NOT close, by %" PRId64 "\n", gap);
}

/* Of several trials together. */
static struct tally sum_of(const struct report_trial *t, unsigned n)
{
	struct tally all = { .latency = NULL };

	for (unsigned i = 0; i < n; i++)
		tally_add(&all, &t[i].tally);
	return all;
}

static void put_trials(const struct report *r, FILE *out)
{
	const struct tally all = sum_of(r->trials, r->n_trials);
	char name[16];

	heading(out, r->n_trials == 1 ? "Trial" : "Trials");
	put_trial_head(out);
	for (unsigned i = 0; i < r->n_trials; i++) {
		snprintf(name, sizeof(name), "%u", i + 1);
		put_trial(out, name, &r->trials[i]);
	}
	heading(out, r->n_trials == 1 ? "Accounting" : "Accounting, all trials");
	put_sum(out, &all);
	put_faults(out, &all);
}

static void put_rate(const struct report *r, FILE *out, const char *name,
                     const struct search_rate *f)
{
	if (f->end == SEARCH_GOES_ON) /* not wanted */
		return;
	if (f->pps == 0) {
		fprintf(out, "  %s  none: %s\n", name, search_said(f->end));
		return;
	}
	fprintf(out, "  %s  %s%s (%s of payload), loss %s", name,
	        f->end == SEARCH_GENERATOR ? "at least " : "", FIGURE(rate, f->pps),
	        FIGURE(bits, report_bits(r, f->pps)), FIGURE(ratio, f->loss));
	if (f->upper_pps > 0)
		fprintf(out, "; lost at %s (+%.1f %%)", FIGURE(rate, f->upper_pps),
		        (f->upper_pps / f->pps - 1) * 100);
	if (f->end != SEARCH_FOUND)
		fprintf(out, "%s %s",
		        f->end == SEARCH_GENERATOR ? ";" : "; not closed:", search_said(f->end));
	fputc('\n', out);
}

static void put_search(const struct report *r, FILE *out)
{
	heading(out, "Rate search");
	put_rate(r, out, "NDR", &r->ndr);
	put_rate(r, out, "PDR", &r->pdr);
	if (r->mrr_pps > 0)
		fprintf(out, "  MRR  %s came through at full speed\n", FIGURE(rate, r->mrr_pps));
	if (r->search_end != NULL && r->search_end[0] != '\0')
		fprintf(out, "  ended: %s\n", r->search_end);
}

static void put_latency_row(FILE *out, const char *name, const char *rate,
                            const struct report_latency *l)
{
	fprintf(out, "  %-12s %11s %9s %9s %9s %9s %9s %9s %9s\n", name, rate, FIGURE(time, l->min),
	        FIGURE(time, l->p50), FIGURE(time, l->p90), FIGURE(time, l->p99),
	        FIGURE(time, l->p999), FIGURE(time, l->p9999), FIGURE(time, l->max));
}

static void put_latency(const struct report *r, FILE *out)
{
	char name[24];

	heading(out, "Latency, from the intended send time");
	fprintf(out, "  %-12s %11s %9s %9s %9s %9s %9s %9s %9s\n", "", "rate", "least", "p50",
	        "p90", "p99", "p99.9", "p99.99", "largest");
	for (unsigned i = 0; i < r->n_at; i++) {
		snprintf(name, sizeof(name), "%u %%", r->at[i].percent);
		put_latency_row(out, name, FIGURE(rate, r->at[i].pps), &r->at[i].latency);
	}
	if (r->has_bias)
		put_latency_row(out, "own bias", "", &r->bias);
}

static void put_capacity(const struct report *r, FILE *out)
{
	heading(out, "Capacity");
	fprintf(out, "  %s calls (%s, %s of payload), loss %s", FIGURE(count, r->calls),
	        FIGURE(rate, r->calls_pps), FIGURE(bits, report_bits(r, r->calls_pps)),
	        FIGURE(ratio, r->calls_loss));
	if (r->calls_p99_us > 0)
		fprintf(out, ", p99 %s", FIGURE(time, r->calls_p99_us));
	fprintf(out, "\n  ended: %s\n", r->capacity_end != NULL ? r->capacity_end : "");
}

static void put_storm(const struct report_storm *s, FILE *out)
{
	char title[REPORT_STORM_TEXT + 16];
	struct report_trial media[3] = { s->before, s->during, s->after };
	const struct tally all = sum_of(media, 3);

	snprintf(title, sizeof(title), "Storm: %s", s->name);
	heading(out, title);
	fprintf(out, "  %s sent in %s", FIGURE(count, s->sent), FIGURE(seconds, s->seconds));
	if (s->seconds > 0)
		fprintf(out, " (%.0f a second)", (double)s->sent / s->seconds);
	fprintf(out, ", %s answered, %s failed\n", FIGURE(count, s->answered),
	        FIGURE(count, s->failed));
	put_codes(out, "  refused: ", s->code, sizeof(s->code) / sizeof(*s->code));
	if (s->said[0] != '\0')
		fprintf(out, "  %s\n", s->said);
	if (all.sent == 0)
		return;
	heading(out, "Media beside it");
	put_trial_head(out);
	put_trial(out, "before", &s->before);
	put_trial(out, "during", &s->during);
	put_trial(out, "after", &s->after);
	put_sum(out, &all);
	put_faults(out, &all);
}

void report_text(const struct report *r, FILE *out)
{
	put_machine(r, out);
	if (r->has_setup)
		put_setup(r, out);
	if (r->n_trials > 0)
		put_trials(r, out);
	if (r->has_search)
		put_search(r, out);
	if (r->n_at > 0 || r->has_bias)
		put_latency(r, out);
	if (r->has_capacity)
		put_capacity(r, out);
	if (r->has_storm)
		put_storm(&r->storm, out);
	fprintf(out, "\n%s%s%s\n", r->ok ? "ok" : "NOT ok", r->why[0] != '\0' ? ": " : "", r->why);
}
