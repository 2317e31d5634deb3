#include "pkt-gen/plot.h"

#include <math.h>
#include <string.h>

#include "pkt-gen/html.h"

/* Room for the labels around what is drawn. */
enum { LEFT = 72, RIGHT = 16, TOP = 12, BOTTOM = 44 };

static double across(const struct plot_axis *a, double v)
{
	double t;

	if (a->log)
		t = log(v / a->low) / log(a->high / a->low);
	else
		t = (v - a->low) / (a->high - a->low);
	return isfinite(t) ? t < 0 ? 0 : t > 1 ? 1 : t : 0;
}

static double px(const struct plot *p, double x)
{
	return LEFT + across(&p->x, x) * (PLOT_WIDTH - LEFT - RIGHT);
}

static double py(const struct plot *p, double y)
{
	return PLOT_HEIGHT - BOTTOM - across(&p->y, y) * (PLOT_HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, so that about five fit. */
static double round_step(double span)
{
	const double rough = span / 5, power = pow(10, floor(log10(rough)));
	const double lead = rough / power;

	return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

struct plot_axis plot_linear(double high, double unit, const char *title)
{
	struct plot_axis a = { .title = title };

	if (!isfinite(high) || high <= 0)
		high = unit;
	const double step = round_step(high / unit);
	const int places = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
	a.n_ticks = (unsigned)ceil(high / unit / step - 1e-9) + 1;
	if (a.n_ticks > PLOT_TICKS_MAX)
		a.n_ticks = PLOT_TICKS_MAX;
	for (unsigned i = 0; i < a.n_ticks; i++) {
		a.tick[i].at = i * step * unit;
		snprintf(a.tick[i].text, FIGURE_MAX, "%.*f", places, i * step);
	}
	a.high = a.tick[a.n_ticks - 1].at;
	return a;
}

static void time_tick(struct plot_axis *a, double us)
{
	const char *const unit = us < 0.9995   ? "ns"
	                         : us < 999.5  ? "\xC2\xB5s"
	                         : us < 999500 ? "ms"
	                                       : "s";
	const double scale = us < 0.9995 ? 1e-3 : us < 999.5 ? 1 : us < 999500 ? 1e3 : 1e6;

	if (a->n_ticks == PLOT_TICKS_MAX)
		return;
	a->tick[a->n_ticks].at = us;
	snprintf(a->tick[a->n_ticks++].text, FIGURE_MAX, "%.4g %s", us / scale, unit);
}

struct plot_axis plot_log_time(double low, double high, const char *title)
{
	static const double leads[] = { 1, 2, 5 };
	struct plot_axis a = { .log = true, .title = title };

	low = isfinite(low) && low > 1e-3 ? low : 1e-3;
	high = isfinite(high) && high > low * 1.01 ? high : low * 1.01;
	/* Whole decades where there are many, else 1, 2, 5. */
	const unsigned n = log10(high / low) > 2.5 ? 1 : 3;
	for (int e = (int)floor(log10(low)); a.high < high && e < 12; e++) {
		for (unsigned i = 0; i < n && a.high < high; i++) {
			const double next = i + 1 < n ? leads[i + 1] * pow(10, e) : pow(10, e + 1);
			if (next <= low)
				continue;
			if (a.n_ticks == 0)
				time_tick(&a, leads[i] * pow(10, e));
			time_tick(&a, next);
			a.high = next;
		}
	}
	a.low = a.tick[0].at;
	a.high = a.tick[a.n_ticks - 1].at;
	return a;
}

static void axes(const struct plot *p)
{
	FILE *out = p->out;
	const double right = PLOT_WIDTH - RIGHT, bottom = PLOT_HEIGHT - BOTTOM;

	for (unsigned i = 0; i < p->y.n_ticks; i++) {
		const double y = py(p, p->y.tick[i].at);
		fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
		        LEFT, right, y, y);
		fprintf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
		        LEFT - 8, y + 4);
		html_text(out, p->y.tick[i].text);
		fputs("</text>\n", out);
	}
	for (unsigned i = 0; i < p->x.n_ticks; i++) {
		const double x = px(p, p->x.tick[i].at);
		fprintf(out,
		        "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x,
		        x, bottom, bottom + 4);
		const double half = (double)strlen(p->x.tick[i].text) * 3.5; /* about */
		const bool edge = x + half > PLOT_WIDTH - 2;
		fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
		        edge ? right + RIGHT - 2 : x, bottom + 17, edge ? "end" : "middle");
		html_text(out, p->x.tick[i].text);
		fputs("</text>\n", out);
	}
	fprintf(out, "<line class=\"axis\" x1=\"%d\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
	        right, bottom, bottom);
	fprintf(out, "<text class=\"title\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">",
	        (LEFT + right) / 2, PLOT_HEIGHT - 7);
	html_text(out, p->x.title);
	fputs("</text>\n", out);
	if (p->y.title == NULL)
		return;
	fprintf(out,
	        "<text class=\"title\" transform=\"translate(12 %.1f) rotate(-90)\" "
	        "text-anchor=\"middle\">",
	        (TOP + bottom) / 2);
	html_text(out, p->y.title);
	fputs("</text>\n", out);
}

void plot_open(struct plot *p, FILE *out, const char *name, const struct plot_axis *x,
               const struct plot_axis *y)
{
	*p = (struct plot){ .out = out, .x = *x, .y = *y };
	fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", PLOT_WIDTH,
	        PLOT_HEIGHT);
	html_text(out, name);
	fputs("\">\n", out);
	axes(p);
}

void plot_line(struct plot *p, const char *class, const double *x, const double *y, unsigned n)
{
	if (n == 0)
		return;
	fprintf(p->out, "<path class=\"line %s\" d=\"", class);
	for (unsigned i = 0; i < n; i++)
		fprintf(p->out, "%c%.1f %.1f", i == 0 ? 'M' : 'L', px(p, x[i]), py(p, y[i]));
	fputs("\"/>\n", p->out);
}

void plot_steps(struct plot *p, const char *class, const double *x, const double *y, unsigned n)
{
	if (n == 0)
		return;
	fprintf(p->out, "<path class=\"area %s\" d=\"M%.1f %.1f", class, px(p, 0), py(p, p->y.low));
	for (unsigned i = 0; i < n; i++)
		fprintf(p->out, "V%.1fH%.1f", py(p, y[i]), px(p, x[i]));
	fprintf(p->out, "V%.1fZ\"/>\n", py(p, p->y.low));
}

static void mark_at(FILE *out, const char *class, enum plot_mark mark, double x, double y)
{
	switch (mark) {
	case PLOT_DOT:
		fprintf(out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>", class, x, y);
		break;
	case PLOT_RING:
		fprintf(out, "<circle class=\"open %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>", class,
		        x, y);
		break;
	case PLOT_CROSS:
		fprintf(out, "<path class=\"line %s\" d=\"M%.1f %.1fl7 7m0 -7l-7 7\"/>", class,
		        x - 3.5, y - 3.5);
		break;
	case PLOT_TRIANGLE:
		fprintf(out, "<path class=\"%s\" d=\"M%.1f %.1fl4.5 8h-9z\"/>", class, x, y - 5);
		break;
	}
}

void plot_mark(struct plot *p, const char *class, enum plot_mark mark, double x, double y,
               const char *said)
{
	fputs("<g><title>", p->out);
	html_text(p->out, said);
	fputs("</title>", p->out);
	mark_at(p->out, class, mark, px(p, x), py(p, y));
	fputs("</g>\n", p->out);
}

void plot_level(struct plot *p, const char *class, double y, const char *name, bool below)
{
	const double at = py(p, y);

	fprintf(p->out,
	        "<line class=\"line dashed %s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
	        "<text class=\"note\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
	        class, LEFT, PLOT_WIDTH - RIGHT, at, at, PLOT_WIDTH - RIGHT - 2,
	        below ? at + 14 : at - 5);
	html_text(p->out, name);
	fputs("</text>\n", p->out);
}

void plot_close(struct plot *p)
{
	fputs("</svg>\n", p->out);
}

void plot_legend_mark(FILE *out, const char *class, enum plot_mark mark)
{
	fputs("<svg class=\"mark\" viewBox=\"0 0 14 14\" aria-hidden=\"true\">", out);
	mark_at(out, class, mark, 7, 7);
	fputs("</svg>", out);
}
