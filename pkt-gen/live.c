/* The live view. Each frame is one write over the last one, so that nothing flickers. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pkt-gen/figure.h"
#include "pkt-gen/report.h"

enum {
	LINES_MAX = 4,
	LINE_MAX_TEXT = 256,
	PAST = 16,
	WIDTH_MIN = 20,
	WIDTH_DEFAULT = 80,
	BAR_MAX = 24
};

#define RATE_WINDOW_S 1.0
#define LINE_EVERY_S 1.0

struct past {
	double s;
	uint64_t sent, received;
};

struct live {
	FILE *out;
	bool on, terminal;
	int width;
	unsigned drawn;         /* lines that stand on the terminal */
	double base_s, last_s;  /* of trials before; in the one that runs */
	double said_s;          /* when the last line was printed, -1: never */
	struct past past[PAST]; /* of the last second */
	unsigned n_past;
	char line[LINES_MAX][LINE_MAX_TEXT];
	unsigned n;
};

struct live *live_new(FILE *out, bool on)
{
	struct live *l = calloc(1, sizeof(*l));
	const char *term = getenv("TERM");

	if (l == NULL)
		return NULL;
	l->out = out;
	l->on = on;
	l->said_s = -1;
	l->terminal = on && fileno(out) >= 0 && isatty(fileno(out)) && term != NULL &&
	              strcmp(term, "dumb") != 0;
	return l;
}

/* Wipes what was drawn: the report stands in its place. */
static void wipe(struct live *l)
{
	if (l->drawn > 0) {
		fprintf(l->out, "\r\033[%uA\033[J", l->drawn);
		fflush(l->out);
	}
	l->drawn = 0;
}

void live_free(struct live *l)
{
	if (l == NULL)
		return;
	wipe(l);
	free(l);
}

bool live_on(const struct live *l)
{
	return l->on;
}

static void __attribute__((format(printf, 2, 3))) add(struct live *l, const char *fmt, ...)
{
	va_list args;

	if (l->n == LINES_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(l->line[l->n++], LINE_MAX_TEXT, fmt, args);
	va_end(args);
}

static void bar(char text[BAR_MAX + 3], int width, double progress)
{
	text[0] = '[';
	for (int i = 0; i < width; i++)
		text[1 + i] = i < (int)(progress * width) ? '#' : '.';
	strcpy(text + 1 + width, "]");
}

/* Rates of the last second. */
static void rates(struct live *l, const struct tally *now, double seconds, double *sent,
                  double *received)
{
	const struct past *from;

	if (l->n_past == PAST)
		memmove(l->past, l->past + 1, --l->n_past * sizeof(*l->past));
	l->past[l->n_past++] = (struct past){ seconds, now->sent, now->received };
	while (l->n_past > 2 && l->past[1].s <= seconds - RATE_WINDOW_S)
		memmove(l->past, l->past + 1, --l->n_past * sizeof(*l->past));
	from = &l->past[0];
	const double dt = seconds - from->s;
	*sent = dt > 0 ? (double)(now->sent - from->sent) / dt : 0;
	*received = dt > 0 ? (double)(now->received - from->received) / dt : 0;
	if (!(dt > 0) && seconds > 0) { /* the trial's first */
		*sent = (double)now->sent / seconds;
		*received = (double)now->received / seconds;
	}
}

static uint64_t missing(const struct tally *t)
{
	return t->sent > t->received ? t->sent - t->received : 0;
}

static double missing_ratio(const struct tally *t)
{
	return t->sent > 0 ? (double)missing(t) / (double)t->sent : 0;
}

/* ", 3 again, 2 behind": what is not zero. Missing packets may still be under way. */
static void faults(const struct tally *t, char *text, size_t cap)
{
	const struct {
		uint64_t n;
		const char *name;
	} rows[] = {
		{ t->duplicated, "again" },
		{ t->reordered, "behind" },
		{ t->corrupted + t->checksum, "damaged" },
		{ t->misdelivered, "astray" },
	};
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows) && len < cap; i++)
		if (rows[i].n > 0)
			len += (size_t)snprintf(text + len, cap - len, ", %s %s",
			                        FIGURE(count, rows[i].n), rows[i].name);
}

static void compose(struct live *l, const char *what, const struct tally *now, double seconds,
                    double progress, double left_s)
{
	const bool wide = l->width >= WIDTH_DEFAULT - 1;
	char b[BAR_MAX + 3], text[128];
	double sent, received;

	l->n = 0;
	rates(l, now, seconds, &sent, &received);
	if (progress >= 0) {
		bar(b, wide ? BAR_MAX : BAR_MAX / 3, progress);
		add(l, "%-*s %s %3.0f %%  %s left", wide ? 30 : 0, what, b, progress * 100,
		    FIGURE(seconds, left_s));
	} else {
		add(l, "%-30s %s", what, FIGURE(seconds, seconds));
	}
	if (now->sent == 0)
		return;
	add(l, "  rate     sent %s, received %s", FIGURE(rate, sent), FIGURE(rate, received));
	faults(now, text, sizeof(text));
	add(l, "  packets  sent %s, missing %s (%s)%s", FIGURE(count, now->sent),
	    FIGURE(count, missing(now)), FIGURE(ratio, missing_ratio(now)), text);
	if (now->latency != NULL && histogram_count(now->latency) > 0) {
		const struct report_latency t = report_latency(now->latency);
		add(l, "  latency  p50 %s, p99 %s, p99.9 %s, largest %s", FIGURE(time, t.p50),
		    FIGURE(time, t.p99), FIGURE(time, t.p999), FIGURE(time, t.max));
	}
}

/* The last column stays free: a full line would wrap on some terminals. */
static void measure(struct live *l)
{
	struct winsize size = { .ws_col = 0 };

	l->width = WIDTH_DEFAULT - 1;
	if (l->terminal && ioctl(fileno(l->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		l->width = size.ws_col > WIDTH_MIN ? size.ws_col - 1 : WIDTH_MIN - 1;
}

static void draw(struct live *l)
{
	char frame[LINES_MAX * (LINE_MAX_TEXT + 16) + 32];
	size_t len = 0;

	if (l->drawn > 0)
		len += (size_t)snprintf(frame, sizeof(frame), "\r\033[%uA", l->drawn);
	for (unsigned i = 0; i < l->n; i++)
		len += (size_t)snprintf(frame + len, sizeof(frame) - len, "%.*s\033[K\n", l->width,
		                        l->line[i]);
	/* What an earlier frame had more. */
	len += (size_t)snprintf(frame + len, sizeof(frame) - len, "\033[J");
	fwrite(frame, 1, len, l->out);
	fflush(l->out);
	l->drawn = l->n;
}

/* For a file or a pipe. */
static void say(struct live *l, const char *what, const struct tally *now, double progress,
                double left_s)
{
	const struct past *from = &l->past[0], *to = &l->past[l->n_past - 1];
	const double dt = to->s - from->s;

	fprintf(l->out, "%s:", what);
	if (progress >= 0)
		fprintf(l->out, " %.0f %%, %s left", progress * 100, FIGURE(seconds, left_s));
	else
		fprintf(l->out, " %s", FIGURE(seconds, l->last_s));
	if (now->sent > 0 && dt > 0)
		fprintf(l->out, ", sent %s, received %s",
		        FIGURE(rate, (double)(to->sent - from->sent) / dt),
		        FIGURE(rate, (double)(to->received - from->received) / dt));
	if (now->sent > 0)
		fprintf(l->out, ", %s missing", FIGURE(count, missing(now)));
	if (now->latency != NULL && histogram_count(now->latency) > 0)
		fprintf(l->out, ", p99 %s",
		        FIGURE(time, (double)histogram_at(now->latency, 0.99) / 1000));
	fputc('\n', l->out);
	fflush(l->out);
}

void live_show(struct live *l, const char *what, const struct tally *now, double seconds,
               double progress, double left_s)
{
	if (!l->on)
		return;
	if (!isfinite(seconds) || seconds < 0)
		seconds = 0;
	if (progress > 1 || !isfinite(progress))
		progress = 1;
	if (seconds < l->last_s || (l->n_past > 0 && now->sent < l->past[l->n_past - 1].sent)) {
		l->base_s += l->last_s;
		l->n_past = 0; /* another trial */
	}
	l->last_s = seconds;
	measure(l);
	compose(l, what, now, seconds, progress, left_s);
	if (l->terminal) {
		draw(l);
	} else if (l->said_s < 0 || l->base_s + seconds - l->said_s >= LINE_EVERY_S - 0.05) {
		l->said_s = l->base_s + seconds;
		say(l, what, now, progress, left_s);
	}
}
