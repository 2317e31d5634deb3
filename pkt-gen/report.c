#include "pkt-gen/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Options whose value is nobody's business; options_parse() has overwritten it, or should have. */
static const char *const secrets[] = { "--password", "--rest-secret" };

static bool is_secret(const char *arg, size_t len)
{
	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
		if (strlen(secrets[i]) == len && memcmp(arg, secrets[i], len) == 0)
			return true;
	return false;
}

/* As a shell would take it. */
static void quote(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_=+,./:@%[]";

	if (*word != '\0' && word[strspn(word, plain)] == '\0') {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc((unsigned char)*word < ' ' || *word == 0x7F ? '?' : *word, out);
	}
	fputc('\'', out);
}

/* NULL: no memory. */
static char *command_of(int argc, char **argv)
{
	char *text = NULL;
	size_t len;
	bool hide = false;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return NULL;
	for (int i = 0; i < argc; i++) {
		const size_t name = strcspn(argv[i], "=");
		if (i > 0)
			fputc(' ', out);
		if (hide)
			fputs("***", out);
		else if (argv[i][name] == '=' && is_secret(argv[i], name))
			fprintf(out, "%.*s=***", (int)name, argv[i]);
		else
			quote(out, argv[i]);
		hide = !hide && is_secret(argv[i], strlen(argv[i]));
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

struct report *report_new(const struct options *o, int argc, char **argv)
{
	struct report *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->options = o;
	r->ok = true;
	machine_read(&r->machine);
	r->command = command_of(argc, argv);
	r->trials = calloc(REPORT_TRIALS_MAX, sizeof(*r->trials));
	r->series = calloc(REPORT_SERIES_MAX, sizeof(*r->series));
	r->missing = calloc(REPORT_SERIES_MAX, sizeof(*r->missing));
	if (r->command == NULL || r->trials == NULL || r->series == NULL || r->missing == NULL) {
		report_free(r);
		return NULL;
	}
	return r;
}

void report_free(struct report *r)
{
	if (r == NULL)
		return;
	free(r->command);
	free(r->trials);
	free(r->series);
	free(r->missing);
	free(r);
}

struct report_latency report_latency(const struct histogram *h)
{
	const double us = 1e-3;

	if (h == NULL || histogram_count(h) == 0)
		return (struct report_latency){ 0 };
	return (struct report_latency){
		.min = (double)histogram_min(h) * us,
		.p50 = (double)histogram_at(h, 0.5) * us,
		.p90 = (double)histogram_at(h, 0.9) * us,
		.p99 = (double)histogram_at(h, 0.99) * us,
		.p999 = (double)histogram_at(h, 0.999) * us,
		.p9999 = (double)histogram_at(h, 0.9999) * us,
		.max = (double)histogram_max(h) * us,
	};
}

struct report_trial report_trial(const struct outcome *o)
{
	struct report_trial t = { .tally = o->tally,
		                  .offered_pps = o->offered_pps,
		                  .seconds = o->seconds,
		                  .sent_pps = o->sent_pps,
		                  .received_pps = o->received_pps,
		                  .generator_bound = o->generator_bound,
		                  .latency = report_latency(o->tally.latency) };

	t.tally.latency = NULL; /* the outcome's */
	return t;
}

/*
 * What is missing at a moment is lost or under way; what is still missing at every later moment was
 * lost by then. So the smallest deficit from there to the end says when.
 */
static void spread_loss(struct report *r, uint64_t lost)
{
	int64_t rest = (int64_t)lost, before;

	for (unsigned i = r->n_series; i-- > r->pace.first; r->missing[i] = rest)
		if (r->missing[i] < rest)
			rest = r->missing[i] > 0 ? r->missing[i] : 0;
	before = 0;
	for (unsigned i = r->pace.first; i < r->n_series; i++) {
		r->series[i].lost = (uint64_t)(r->missing[i] - before);
		before = r->missing[i];
	}
	if (r->n_series > r->pace.first)
		r->series[r->n_series - 1].lost += lost - (uint64_t)before;
}

static void next_trial(struct report *r)
{
	r->pace =
		(struct report_pace){ .first = r->n_series, .base_s = r->pace.base_s + r->pace.s };
}

void report_end_trial(struct report *r, const struct outcome *o)
{
	spread_loss(r, o->tally.lost);
	next_trial(r);
	r->steal = machine_steal(&r->machine);
}

void report_add_trial(struct report *r, const struct outcome *o)
{
	if (r->n_trials < REPORT_TRIALS_MAX)
		r->n_trials++;
	r->trials[r->n_trials - 1] = report_trial(o);
	report_end_trial(r, o);
}

/* Every two points become one. */
static void thin(struct report *r)
{
	double before = 0;
	unsigned n = 0;

	for (unsigned i = 0; i + 1 < r->n_series; i += 2, n++) {
		const struct report_point a = r->series[i], b = r->series[i + 1];
		const double wa = fmax(a.s - before, 0), wb = fmax(b.s - a.s, 0);
		const double w = wa + wb > 0 ? wa + wb : 1;
		before = b.s;
		r->series[n] = (struct report_point){
			.s = b.s,
			.sent_pps = (a.sent_pps * wa + b.sent_pps * wb) / w,
			.received_pps = (a.received_pps * wa + b.received_pps * wb) / w,
			.lost = a.lost + b.lost,
		};
		r->missing[n] = r->missing[i + 1];
	}
	r->n_series = n;
	r->pace.first /= 2;
}

void report_tick(void *report, const struct tally *now, double seconds)
{
	struct report *r = report;

	if (seconds < r->pace.s)
		next_trial(r);
	const double dt = seconds - r->pace.s;
	if (!(dt > 0) || now->sent < r->pace.sent || now->received < r->pace.received)
		return;
	if (r->n_series == REPORT_SERIES_MAX)
		thin(r);
	r->missing[r->n_series] = (int64_t)(now->sent - now->received);
	r->series[r->n_series++] = (struct report_point){
		.s = r->pace.base_s + seconds,
		.sent_pps = (double)(now->sent - r->pace.sent) / dt,
		.received_pps = (double)(now->received - r->pace.received) / dt,
	};
	r->pace.s = seconds;
	r->pace.sent = now->sent;
	r->pace.received = now->received;
}

static double mean_size(const struct options *o)
{
	double sum = 0;

	for (unsigned i = 0; i < o->profile.n_sizes && i < PROFILE_SIZES_MAX; i++)
		sum += o->profile.size[i];
	return o->profile.n_sizes > 0 ? sum / o->profile.n_sizes : 0;
}

double report_bits(const struct report *r, double pps)
{
	return pps * mean_size(r->options) * 8;
}

void report_what(const struct report *r, char *text, size_t cap)
{
	static const char *const way[] = { "client to peer", "peer to client", "both directions",
		                           "client to client" };
	static const char *const wrap[] = { "ChannelData", "Send indications",
		                            "ChannelData and Send indications" };
	const struct options *o = r->options;
	char server[2 * ENDPOINT_TEXT_MAX] = "", one[ENDPOINT_TEXT_MAX], size[64];

	for (unsigned i = 0; i < 2; i++)
		if (o->server[i].port != 0)
			snprintf(server + strlen(server), sizeof(server) - strlen(server), "%s%s",
			         server[0] != '\0' ? " " : "", endpoint_print(&o->server[i], one));
	if (o->profile.n_sizes == 1 && o->profile.pps == 0)
		snprintf(size, sizeof(size), "%u octets", o->profile.size[0]);
	else
		snprintf(size, sizeof(size), "%.24s (%.0f octets in the mean)",
		         o->profile.name != NULL ? o->profile.name : "own sizes", mean_size(o));
	if (o->bias)
		snprintf(text, cap, "back to back, no server: %u streams, %s, %s",
		         o->clients * o->peers, way[o->direction], size);
	else if (o->setup != SETUP_TURN)
		snprintf(text, cap, "a forwarder, %u streams of %s", o->clients * o->peers, size);
	else
		snprintf(text, cap, "TURN server %s, %u client%s of %u peer%s, %s, %s, %s",
		         server[0] != '\0' ? server : "(none)", o->clients,
		         o->clients == 1 ? "" : "s", o->peers, o->peers == 1 ? "" : "s",
		         way[o->direction], wrap[o->wrap], size);
}
