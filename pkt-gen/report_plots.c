/* The page's plots: which figures of the report go where. plot.c draws. */
#include <math.h>
#include <string.h>

#include "pkt-gen/html.h"
#include "pkt-gen/plot.h"
#include "pkt-gen/report_parts.h"

enum { POINTS_MAX = 400, CURVES_MAX = 4, NINES = 7 };

static void figure_open(FILE *out, const char *title)
{
	fputs("<figure class=\"card\"><figcaption>", out);
	html_text(out, title);
	fputs("</figcaption>\n", out);
}

static void legend_line(FILE *out, const char *class, const char *name)
{
	fprintf(out, "<li><i class=\"key %s\"></i>", class);
	html_text(out, name);
	fputs("</li>", out);
}

static void legend_mark(FILE *out, const char *class, unsigned shape, const char *name)
{
	fputs("<li>", out);
	plot_legend_mark(out, class, (enum plot_mark)shape);
	html_text(out, name);
	fputs("</li>", out);
}

static double unit_of(double high_pps, const char **name)
{
	const double unit = high_pps >= 1e6 ? 1e6 : high_pps >= 1e3 ? 1e3 : 1;

	*name = unit == 1e6 ? "Mpps" : unit == 1e3 ? "kpps" : "pps";
	return unit;
}

/* --- over time --- */

/* The series, with as many points as a drawing can show. */
struct thinned {
	double s[POINTS_MAX], sent[POINTS_MAX], received[POINTS_MAX], loss[POINTS_MAX];
	double high_pps, high_loss;
	unsigned n;
};

static void thin(const struct report *r, struct thinned *t)
{
	const unsigned every = (r->n_series + POINTS_MAX - 1) / POINTS_MAX;
	double before = 0;

	*t = (struct thinned){ .n = 0 };
	for (unsigned i = 0; i < r->n_series; t->n++) {
		const double began = before;
		double sent = 0, received = 0, lost = 0;
		for (unsigned k = 0; k < every && i < r->n_series; k++, i++) {
			const struct report_point *p = &r->series[i];
			sent += p->sent_pps * (p->s - before);
			received += p->received_pps * (p->s - before);
			lost += (double)p->lost;
			before = p->s;
		}
		const double dt = before > began ? before - began : 1;
		t->s[t->n] = before;
		t->sent[t->n] = sent / dt;
		t->received[t->n] = received / dt;
		t->loss[t->n] = sent > 0 ? fmin(1, lost / sent) : 0;
		t->high_pps = fmax(t->high_pps, fmax(t->sent[t->n], t->received[t->n]));
		t->high_loss = fmax(t->high_loss, t->loss[t->n]);
	}
}

static struct plot_axis seconds_axis(double high)
{
	struct plot_axis a = plot_linear(high, 1, "seconds of measuring");

	a.high = high; /* no empty room behind the end */
	while (a.n_ticks > 0 && a.tick[a.n_ticks - 1].at > high * (1 + 1e-6))
		a.n_ticks--;
	return a;
}

static void plot_throughput(const struct thinned *t, FILE *out)
{
	const char *unit;
	const double scale = unit_of(t->high_pps, &unit);
	const struct plot_axis x = seconds_axis(t->s[t->n - 1]);
	const struct plot_axis y = plot_linear(t->high_pps, scale, unit);
	struct plot p;

	figure_open(out, "Throughput over time");
	fputs("<ul class=\"legend\">", out);
	legend_line(out, "s1", "sent");
	legend_line(out, "s2", "received");
	fputs("</ul>\n", out);
	plot_open(&p, out, "Packets a second sent and received over time", &x, &y);
	plot_line(&p, "s1 wide", t->s, t->sent, t->n);
	plot_line(&p, "s2", t->s, t->received, t->n);
	plot_close(&p);
	fputs("</figure>\n", out);
}

static void plot_loss(const struct thinned *t, FILE *out)
{
	const struct plot_axis x = seconds_axis(t->s[t->n - 1]);
	const struct plot_axis y =
		plot_linear(t->high_loss > 0 ? t->high_loss : 0.01, 0.01, "lost, %");
	struct plot p;

	figure_open(out, "Loss over time");
	fputs("<ul class=\"legend\">", out);
	if (t->high_loss > 0)
		legend_line(out, "bad", "lost of what was sent then");
	else
		fputs("<li>no packet was lost</li>", out);
	fputs("</ul>\n", out);
	plot_open(&p, out, "Share of packets lost over time", &x, &y);
	plot_steps(&p, "bad", t->s, t->loss, t->n);
	plot_close(&p);
	fputs("</figure>\n", out);
}

/* --- latency --- */

struct curve {
	char name[64];
	const char *class;
	struct report_latency l;
};

/* The longest trial at about that rate, the last of equals. 1, or 0: none was timed. */
static unsigned curve_at(const struct report *r, const char *name, double pps, struct curve *c)
{
	const struct report_trial *best = NULL;

	for (unsigned i = 0; i < r->n_trials; i++) {
		const struct report_trial *t = &r->trials[i];
		if (t->latency.max > 0 && fabs(t->sent_pps - pps) <= pps * 0.002 &&
		    (best == NULL || t->seconds >= best->seconds * 0.99))
			best = t;
	}
	if (best == NULL)
		return 0;
	*c = (struct curve){ .l = best->latency };
	snprintf(c->name, sizeof(c->name), "%s, %s", name, FIGURE(rate, best->sent_pps));
	return 1;
}

/* By what was asked for: loads, storm, trials; at most so many that they can be told apart. */
static unsigned curves(const struct report *r, struct curve c[CURVES_MAX + 1])
{
	static const char *const class[] = { "s1", "s2", "s3", "s4" };
	const struct report_trial *media[] = { &r->storm.before, &r->storm.during,
		                               &r->storm.after };
	static const char *const when[] = { "before", "during", "after" };
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_at && n < CURVES_MAX; i++, n++) {
		c[n] = (struct curve){ .l = r->at[i].latency };
		snprintf(c[n].name, sizeof(c[n].name), "%u %% of the rate, %s", r->at[i].percent,
		         FIGURE(rate, r->at[i].pps));
	}
	for (unsigned i = 0; n < 3 && r->n_at == 0 && r->has_storm && i < 3; i++, n++) {
		c[n] = (struct curve){ .l = media[i]->latency };
		snprintf(c[n].name, sizeof(c[n].name), "%s", when[i]);
	}
	if (n == 0 && r->has_search) {
		n += curve_at(r, "NDR", r->ndr.pps, &c[n]);
		n += curve_at(r, "PDR", r->pdr.pps, &c[n]);
	}
	if (n == 0 && r->has_capacity)
		n += curve_at(r, "all calls", r->calls_pps, &c[n]);
	if (n == 0 && r->n_trials > 0 && !r->has_bias) /* the last one */
		n += curve_at(r, "trial", r->trials[r->n_trials - 1].sent_pps, &c[n]);
	for (unsigned i = 0; i < n; i++)
		c[i].class = class[i];
	if (r->has_bias) {
		c[n] = (struct curve){ .class = "grey", .l = r->bias };
		snprintf(c[n++].name, sizeof(c[n].name), "own bias, back to back");
	}
	return n;
}

/* By the number of nines: what lies right of 99 % is as wide as what lies left of it. */
static void plot_latency(const struct report *r, FILE *out)
{
	static const char *const names[NINES] = { "least",  "50 %",    "90 %",   "99 %",
		                                  "99.9 %", "99.99 %", "largest" };
	static const double at[NINES] = { 0, 0.6, 1.2, 2.2, 3.2, 4.2, 5.2 };
	struct plot_axis x = {
		.low = 0, .high = 5.2, .title = "share of packets", .n_ticks = NINES
	};
	struct curve c[CURVES_MAX + 1];
	const unsigned n = curves(r, c);
	double low = INFINITY, high = 0;
	struct plot p;

	for (unsigned i = 0; i < n; i++) {
		if (c[i].l.max <= 0)
			continue;
		low = fmin(low, fmax(c[i].l.min, 0.01));
		high = fmax(high, c[i].l.max);
	}
	if (high == 0)
		return;
	for (unsigned i = 0; i < NINES; i++) {
		x.tick[i].at = at[i];
		snprintf(x.tick[i].text, FIGURE_MAX, "%s", names[i]);
	}
	const struct plot_axis y = plot_log_time(low, high, NULL);
	figure_open(out, "Latency, from the intended send time");
	fputs("<ul class=\"legend\">", out);
	for (unsigned i = 0; i < n; i++)
		if (c[i].l.max > 0)
			legend_line(out, c[i].class, c[i].name);
	fputs("</ul>\n", out);
	plot_open(&p, out, "Latency by percentile", &x, &y);
	for (unsigned i = 0; i < n; i++) {
		const struct report_latency *l = &c[i].l;
		const double v[NINES] = {
			l->min, l->p50, l->p90, l->p99, l->p999, l->p9999, l->max
		};
		if (l->max <= 0)
			continue;
		plot_line(&p, c[i].class, at, v, NINES);
		for (unsigned k = 0; k < NINES; k++) {
			char said[2 * FIGURE_MAX];
			snprintf(said, sizeof(said), "%s: %s", names[k], FIGURE(time, v[k]));
			plot_mark(&p, c[i].class, PLOT_DOT, at[k], v[k], said);
		}
	}
	plot_close(&p);
	fputs("</figure>\n", out);
}

/* --- the search --- */

struct report_mark report_mark(const struct report *r, const struct report_trial *t)
{
	const double loss = tally_loss(&t->tally);

	if (t->generator_bound)
		return (struct report_mark){ "grey", "generator limit", PLOT_TRIANGLE };
	if (loss == 0)
		return (struct report_mark){ "good", "no loss", PLOT_DOT };
	if (r->has_search && r->pdr.end == SEARCH_GOES_ON) /* NDR alone was looked for */
		return (struct report_mark){ "bad", "loss", PLOT_CROSS };
	if (loss <= r->options->loss)
		return (struct report_mark){ "fair", "loss within the limit", PLOT_RING };
	return (struct report_mark){ "bad", "more loss", PLOT_CROSS };
}

static void search_legend(const struct report *r, unsigned n, FILE *out)
{
	const char *seen[4] = { NULL };

	fputs("<ul class=\"legend\">", out);
	for (unsigned i = 0; i < n; i++) {
		const struct report_mark m = report_mark(r, &r->trials[i]);
		if (seen[m.shape] == NULL)
			legend_mark(out, m.class, m.shape, m.word);
		seen[m.shape] = m.word;
	}
	fputs("</ul>\n", out);
}

static struct plot_axis count_axis(unsigned n, const char *title)
{
	/* Levels have their names in the room behind the last one. */
	struct plot_axis a = { .low = 0, .high = n * 1.3 + 0.5, .title = title };
	const unsigned step = n <= 10 ? 1 : n <= 25 ? 2 : n <= 60 ? 5 : n <= 150 ? 10 : 50;

	for (unsigned i = step; i <= n && a.n_ticks < PLOT_TICKS_MAX; i += step) {
		a.tick[a.n_ticks].at = i;
		snprintf(a.tick[a.n_ticks++].text, FIGURE_MAX, "%u", i);
	}
	return a;
}

static void plot_search(const struct report *r, FILE *out)
{
	/* Those of the latencies came behind it. */
	const unsigned n = r->n_trials > r->n_at ? r->n_trials - r->n_at : 0;
	const char *unit;
	double high = fmax(r->ndr.pps, r->pdr.pps);
	char name[64];
	struct plot p;

	if (n == 0)
		return;
	for (unsigned i = 0; i < n; i++)
		high = fmax(high, r->trials[i].sent_pps);
	const double scale = unit_of(high, &unit);
	const struct plot_axis x = count_axis(n, "trial");
	const struct plot_axis y = plot_linear(high * 1.04, scale, unit);
	figure_open(out, r->has_capacity ? "Search for the number of calls" : "Rate search");
	search_legend(r, n, out);
	plot_open(&p, out, "Rate of each trial, by whether it was held", &x, &y);
	if (r->has_search && r->pdr.pps > 0) {
		snprintf(name, sizeof(name), "PDR %s", FIGURE(rate, r->pdr.pps));
		plot_level(&p, "s1", r->pdr.pps, name, false);
	}
	if (r->has_search && r->ndr.pps > 0) {
		snprintf(name, sizeof(name), "NDR %s", FIGURE(rate, r->ndr.pps));
		plot_level(&p, "s3", r->ndr.pps, name, true);
	}
	if (r->has_capacity && r->calls > 0) {
		snprintf(name, sizeof(name), "%s calls", FIGURE(count, r->calls));
		plot_level(&p, "s1", r->calls_pps, name, true);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct report_trial *t = &r->trials[i];
		const struct report_mark m = report_mark(r, t);
		char said[160];
		snprintf(said, sizeof(said), "trial %u: %s for %s, loss %s", i + 1,
		         FIGURE(rate, t->sent_pps), FIGURE(seconds, t->seconds),
		         FIGURE(ratio, tally_loss(&t->tally)));
		plot_mark(&p, m.class, (enum plot_mark)m.shape, i + 1, t->sent_pps, said);
	}
	plot_close(&p);
	fputs("</figure>\n", out);
}

/* --- media beside a storm --- */

/* Three bars with their figures, one of three such groups side by side. */
static void bars(FILE *out, unsigned group, const char *title, const double v[3], const char *text)
{
	static const char *const when[] = { "before", "during", "after" };
	static const char *const class[] = { "s1", "s2", "s3" };
	const double left = 2 + group * 161.0, bottom = 196, tall = 140;
	const double high = fmax(v[0], fmax(v[1], v[2]));

	fprintf(out, "<text class=\"title\" x=\"%.0f\" y=\"16\" text-anchor=\"middle\">",
	        left + 78);
	html_text(out, title);
	fputs("</text>", out);
	for (unsigned i = 0; i < 3; i++, text += FIGURE_MAX) {
		const double h = high > 0 ? v[i] / high * tall : 0, x = left + 4 + i * 52;
		fprintf(out,
		        "<rect class=\"fill %s\" x=\"%.1f\" y=\"%.1f\" width=\"44\" "
		        "height=\"%.1f\"/>",
		        class[i], x, bottom - h, h);
		fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
		        x + 22, bottom - h - 5);
		html_text(out, text);
		fprintf(out,
		        "</text><text class=\"tick\" x=\"%.1f\" y=\"%.1f\" "
		        "text-anchor=\"middle\">%s</text>\n",
		        x + 22, bottom + 16, when[i]);
	}
	fprintf(out, "<line class=\"axis\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.0f\" y2=\"%.0f\"/>\n",
	        left, left + 154, bottom, bottom);
}

static void plot_storm(const struct report_storm *s, FILE *out)
{
	const struct report_trial *t[] = { &s->before, &s->during, &s->after };
	char text[3][3][FIGURE_MAX], title[FIGURE_MAX];
	double v[3][3], high_pps = 0, high_us = 0;
	const char *unit;

	for (unsigned i = 0; i < 3; i++) {
		high_pps = fmax(high_pps, t[i]->received_pps);
		high_us = fmax(high_us, t[i]->latency.p99);
	}
	if (high_pps == 0)
		return;
	const double scale = unit_of(high_pps, &unit);
	const double us = high_us >= 1e6 ? 1e6 : high_us >= 1000 ? 1000 : 1;
	for (unsigned i = 0; i < 3; i++) {
		v[0][i] = t[i]->received_pps / scale;
		v[1][i] = tally_loss(&t[i]->tally) * 100;
		v[2][i] = t[i]->latency.p99 / us;
		snprintf(text[0][i], FIGURE_MAX, "%.4g", v[0][i]);
		figure_ratio(text[1][i], tally_loss(&t[i]->tally));
		text[1][i][strcspn(text[1][i], "%")] = '\0'; /* the title says it */
		snprintf(text[2][i], FIGURE_MAX, "%.*f",
		         v[2][i] < 1    ? 3
		         : v[2][i] < 10 ? 2
		                        : 0,
		         v[2][i]);
	}
	figure_open(out, "Media before, during and after the storm");
	fprintf(out,
	        "<svg viewBox=\"0 0 %d 222\" role=\"img\" aria-label=\"Media beside the "
	        "storm\">\n",
	        PLOT_WIDTH);
	snprintf(title, sizeof(title), "received, %s", unit);
	bars(out, 0, title, v[0], text[0][0]);
	bars(out, 1, "lost, %", v[1], text[1][0]);
	bars(out, 2,
	     us == 1e6   ? "p99, s"
	     : us == 1e3 ? "p99, ms"
	                 : "p99, \xC2\xB5s",
	     v[2], text[2][0]);
	fputs("</svg></figure>\n", out);
}

void report_plots(const struct report *r, FILE *out)
{
	struct thinned t;

	fputs("<div class=\"cards\">\n", out);
	if (r->n_series > 0) {
		thin(r, &t);
		plot_throughput(&t, out);
		plot_loss(&t, out);
	}
	plot_latency(r, out);
	if (r->has_search || r->has_capacity)
		plot_search(r, out);
	if (r->has_storm)
		plot_storm(&r->storm, out);
	fputs("</div>\n", out);
}
