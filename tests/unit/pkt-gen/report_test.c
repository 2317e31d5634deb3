/* Mirrors pkt-gen/report.c, report_text.c, report_json.c, figure.c and machine.c. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "pkt-gen/figure.h"
#include "pkt-gen/report.h"
#include "tests/support.h"

static const struct options options = {
	.clients = 100,
	.peers = 1,
	.direction = DIRECTION_BOTH,
	.profile = { .name = "160", .size = { 160 }, .n_sizes = 1, .burst = 1 },
	.server = { { .port = 3478,
	              .addr = { .ip = { [10] = 0xFF, [11] = 0xFF, 198, 18, 0, 1 } } } },
};

static struct report *empty(void)
{
	static char *argv[] = { "turnpike-gen", "--password",
		                "s3cret",       "--rest-secret=n0rth",
		                "--html",       "it's <a> \"page\" \x01.html",
		                "--user",       "bj\xF6rn" };

	return report_new(&options, 8, argv);
}

static struct outcome outcome(uint64_t sent, uint64_t lost, double pps)
{
	return (struct outcome){
		.tally = { .sent = sent,
		           .received = sent - lost - 2,
		           .lost = lost,
		           .in_flight = 2,
		           .duplicated = 3,
		           .octets_sent = sent * 160 },
		.seconds = 2,
		.offered_pps = pps,
		.sent_pps = (double)sent / 2,
		.received_pps = (double)(sent - lost) / 2,
	};
}

/* A report with everything in it. */
static struct report *full(void)
{
	struct report *r = empty();
	struct outcome o = outcome(2000000, 1234, 1e6);

	o.tally.latency = histogram_new();
	for (unsigned i = 1; i <= 1000; i++)
		histogram_record(o.tally.latency, i * 100);
	for (unsigned i = 1; i <= 20; i++) {
		const struct tally now = { .sent = i * 100000,
			                   .received = i * 100000 - (i > 10 ? 1234 : 0) - 50 };
		report_tick(r, &now, i * 0.1);
	}
	report_add_trial(r, &o);
	histogram_free(o.tally.latency);
	o = outcome(1000000, 0, 0);
	o.generator_bound = true;
	report_add_trial(r, &o);
	r->has_setup = true;
	r->setup_s = 0.5;
	r->setup =
		(struct fleet_counts){ .wanted = 100, .ready = 98, .failed = 2, .challenges = 98 };
	r->setup.error[486] = 2;
	r->setup_rtt = (struct report_latency){ .p50 = 900, .p99 = 2100, .max = 3000 };
	r->has_search = true;
	r->ndr = (struct search_rate){ true, 900000, 905000, 0, SEARCH_FOUND };
	r->pdr = (struct search_rate){ true, 1000000, 0, 0.0006, SEARCH_GENERATOR };
	r->mrr_pps = 1.1e6;
	r->search_end = "found";
	r->n_at = 2;
	r->at[0].percent = 10;
	r->at[0].pps = 1e5;
	r->at[0].latency = r->trials[0].latency;
	r->at[1] = r->at[0];
	r->at[1].percent = 50;
	r->has_bias = true;
	r->bias = (struct report_latency){ 1, 2, 3, 4, 5, 6, 7 };
	r->has_capacity = true;
	r->calls = 1250;
	r->calls_pps = 125000;
	r->calls_loss = 0.0001;
	r->calls_p99_us = 850;
	r->capacity_end = "loss";
	r->has_storm = true;
	snprintf(r->storm.name, sizeof(r->storm.name), "allocate");
	r->storm.seconds = 4;
	r->storm.sent = 8000;
	r->storm.answered = 7990;
	r->storm.failed = 10;
	r->storm.code[508] = 10;
	r->storm.before = r->storm.during = r->storm.after = r->trials[0];
	snprintf(r->storm.said, sizeof(r->storm.said), "media did not notice");
	return r;
}

static void test_figures(void)
{
	static const struct {
		double v;
		const char *rate, *time, *ratio;
	} rows[] = {
		{ 0, "0 pps", "0 us", "0 %" },
		{ 0.85, "0.850 pps", "0.85 us", "85.0 %" },
		{ 1, "1 pps", "1.00 us", "100 %" },
		{ 950, "950 pps", "950 us", "100 %" },
		{ 12345.6, "12.35 kpps", "12.3 ms", "100 %" },
		{ 999999, "1.000 Mpps", "1.00 s", "100 %" },
		{ 1234567, "1.235 Mpps", "1.23 s", "100 %" },
		{ 25e6, "25.00 Mpps", "25.0 s", "100 %" },
		{ 0.0000123, "0.000 pps", "0.00 us", "0.0012 %" },
		{ 0.004999, "0.005 pps", "0.00 us", "0.50 %" },
		{ 0.0123, "0.012 pps", "0.01 us", "1.23 %" },
		{ 1e-9, "0.000 pps", "0.00 us", "< 0.00001 %" },
		{ NAN, "0 pps", "0 us", "0 %" },
		{ -1, "0 pps", "0 us", "0 %" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		CHECK(strcmp(FIGURE(rate, rows[i].v), rows[i].rate) == 0, rows[i].rate);
		CHECK(strcmp(FIGURE(time, rows[i].v), rows[i].time) == 0, rows[i].time);
		CHECK(strcmp(FIGURE(ratio, rows[i].v), rows[i].ratio) == 0, rows[i].ratio);
	}
	CHECK(strcmp(FIGURE(count, 0), "0") == 0, "count 0");
	CHECK(strcmp(FIGURE(count, 999), "999") == 0, "count 999");
	CHECK(strcmp(FIGURE(count, 1234567), "1,234,567") == 0, "count");
	CHECK(strcmp(FIGURE(count, UINT64_MAX), "18,446,744,073,709,551,615") == 0, "largest");
	CHECK(strcmp(FIGURE(seconds, 4.21), "4.2 s") == 0, "seconds");
	CHECK(strcmp(FIGURE(seconds, 0.0451), "45 ms") == 0, "milliseconds");
	CHECK(strcmp(FIGURE(seconds, 200), "3 min 20 s") == 0, "minutes");
	CHECK(strcmp(FIGURE(seconds, 7260), "2 h 01 min") == 0, "hours");
	CHECK(strcmp(FIGURE(seconds, INFINITY), "0.0 s") == 0, "for ever");
}

static void test_command(void)
{
	struct report *r = empty();

	CHECK(strcmp(r->command, "turnpike-gen --password *** --rest-secret=*** --html "
	                         "'it'\\''s <a> \"page\" ?.html' --user 'bj\xF6rn'") == 0,
	      "quoted, without secrets");
	CHECK(r->machine.cores > 0 && r->machine.kernel[0] != '\0', "the machine");
	CHECK(machine_steal(&r->machine) >= 0 && machine_steal(&r->machine) <= 1, "steal");
	report_free(r);
	report_free(NULL);
}

static uint64_t lost_in(const struct report *r, unsigned from, unsigned to)
{
	uint64_t n = 0;

	for (unsigned i = from; i < to; i++)
		n += r->series[i].lost;
	return n;
}

/* Packets under way are no loss; what is lost is lost when it went missing for good. */
static void test_series(void)
{
	struct report *r = full();

	CHECK(r->n_series == 20, "a point a tick");
	CHECK(lost_in(r, 0, 20) == 1234, "all that was lost");
	CHECK(r->series[10].lost == 1184 && lost_in(r, 0, 10) == 50, "in its tenth of a second");
	CHECK(fabs(r->series[3].sent_pps - 1e6) < 1, "rate");
	CHECK(fabs(r->series[19].s - 2) < 1e-9, "seconds");
	/* A second trial goes on behind the first; late packets come in. */
	for (unsigned i = 1; i <= 10; i++) {
		const struct tally now = { .sent = i * 1000, .received = i * 1000 - (10 - i) * 7 };
		report_tick(r, &now, i * 0.1);
	}
	struct outcome o = outcome(10000, 0, 1e4);
	report_add_trial(r, &o);
	CHECK(r->n_series == 30 && lost_in(r, 20, 30) == 0, "what came late was not lost");
	CHECK(fabs(r->series[29].s - 3) < 1e-9, "time goes on");
	/* Ticks that say nothing new, or nonsense. */
	report_tick(r, &(struct tally){ .sent = 5 }, 0);
	report_tick(r, &(struct tally){ .sent = 5 }, NAN);
	CHECK(r->n_series == 30, "no time went by");
	/* A trial that is not listed has its losses in the series too. */
	report_tick(r, &(struct tally){ .sent = 100, .received = 40 }, 0.1);
	o = outcome(100, 60, 1000);
	report_end_trial(r, &o);
	CHECK(r->n_trials == 3 && r->series[30].lost == 60, "not listed, but lost");
	/* Lost without ticks that show it. */
	report_tick(r, &(struct tally){ .sent = 100, .received = 100 }, 0.1);
	o = outcome(200, 100, 1000);
	report_add_trial(r, &o);
	CHECK(r->series[31].lost == 100, "at the end then");
	report_free(r);
}

static void test_long_series(void)
{
	struct report *r = empty();
	struct tally now = { .sent = 0 };

	for (unsigned i = 1; i <= 20000; i++) {
		now.sent += 1000;
		now.received += i % 100 == 0 ? 0 : 1000;
		report_tick(r, &now, i * 0.1);
	}
	struct outcome o = outcome(now.sent, now.sent - now.received, 1e4);
	report_add_trial(r, &o);
	CHECK(r->n_series <= REPORT_SERIES_MAX && r->n_series > REPORT_SERIES_MAX / 4, "thinned");
	CHECK(lost_in(r, 0, r->n_series) == now.sent - now.received, "nothing is lost by it");
	for (unsigned i = 1; i < r->n_series; i++)
		if (!(r->series[i].s > r->series[i - 1].s) || fabs(r->series[i].sent_pps - 1e4) > 1)
			CU_FAIL("order and rate");
	for (unsigned i = 0; i < 2 * REPORT_TRIALS_MAX; i++)
		report_add_trial(r, &o);
	CHECK(r->n_trials == REPORT_TRIALS_MAX, "trials are bounded");
	report_free(r);
}

static char *text_of(const struct report *r)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	report_text(r, out);
	fclose(out);
	return text;
}

static void test_text(void)
{
	static const char *const said[] = {
		"TURN server 198.18.0.1:3478, 100 clients of 1 peer, both directions, ChannelData, "
		"160 "
		"octets",
		"98 of 100 clients ready in 0.5 s (196 a second); 2 failed",
		"refused: 2 with 486",
		"sent 3,000,000 = received 2,998,762 + lost 1,234 + in flight 4: the sum closes",
		"1,234 never came",
		"6 came again",
		"(the generator could not offer more)",
		"NDR  900.0 kpps (1.152 Gbit/s of payload), loss 0 %; lost at 905.0 kpps (+0.6 %)",
		"PDR  at least 1.000 Mpps (1.280 Gbit/s of payload), loss 0.060 %; even",
		"1,250 calls (125.0 kpps, 160.0 Mbit/s of payload), loss 0.010 %, p99 850 us",
		"ended: loss",
		"8,000 sent in 4.0 s (2000 a second), 7,990 answered, 10 failed",
		"refused: 10 with 508",
		"media did not notice",
		"own bias",
		"50.0 us", /* of 1..1000 tenths */
	};
	struct report *r = full();
	char *text = text_of(r);

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++)
		CHECK(strstr(text, said[i]) != NULL, said[i]);
	CHECK(strstr(text, "s3cret") == NULL && strstr(text, "n0rth") == NULL, "no secrets");
	free(text);
	/* A sum that does not close is said, and so is failure. */
	r->trials[0].tally.received -= 7;
	r->ok = false;
	snprintf(r->why, sizeof(r->why), "nobody answers");
	text = text_of(r);
	CHECK(strstr(text, "the sum does NOT close, by 7") != NULL, "a gap");
	CHECK(strstr(text, "NOT ok: nobody answers") != NULL, "why");
	free(text);
	report_free(r);
	/* Back to back there is no server. */
	struct options bias = options;
	char what[256];
	bias.bias = true;
	r = report_new(&bias, 0, NULL);
	report_what(r, what, sizeof(what));
	CHECK(strcmp(what, "back to back, no server: 100 streams, both directions, 160 octets") ==
	              0,
	      "back to back");
	report_free(r);
	/* What was not asked for is not there. */
	r = empty();
	text = text_of(r);
	CHECK(strstr(text, "Trial") == NULL && strstr(text, "NDR") == NULL &&
	              strstr(text, "Storm") == NULL && strstr(text, "\nok\n") != NULL,
	      "empty");
	free(text);
	report_free(r);
}

/* Each row of the table of trials is as wide as its head, less its note. */
static void test_aligned(void)
{
	struct report *r = full();
	FILE *text = tmpfile();
	char line[512];
	size_t head = 0;
	unsigned rows = 0;

	report_text(r, text);
	rewind(text);
	while (fgets(line, sizeof(line), text) != NULL && strncmp(line, "Media", 5) != 0) {
		char *note = strstr(line, "  (the");
		const size_t len = note != NULL ? (size_t)(note - line) : strlen(line) - 1;
		if (strstr(line, "offered") != NULL)
			head = len;
		else if (len == 0)
			head = 0;
		else if (head > 0 && ++rows > 0)
			CHECK(len == head, line);
	}
	CHECK(rows == 2, "a row a trial");
	fclose(text);
	report_free(r);
}

static json_t *json_of(const struct report *r)
{
	char path[] = "/tmp/turnpike-report-XXXXXX";
	json_error_t err;
	const int fd = mkstemp(path);
	json_t *o = NULL;

	CHECK(fd >= 0, "a file");
	CHECK(report_json(r, path), "written");
	o = json_load_file(path, JSON_REJECT_DUPLICATES, &err);
	CHECK(o != NULL, err.text);
	close(fd);
	unlink(path);
	return o;
}

static bool has(const json_t *o, const char *const *keys)
{
	bool all = true;

	for (; *keys != NULL; keys++) {
		if (json_object_get(o, *keys) == NULL) {
			CHECK(false, *keys);
			all = false;
		}
	}
	return all;
}
#define HAS(o, ...) CHECK(has((o), (const char *const[]){ __VA_ARGS__, NULL }), #o)

static void check_latency(const json_t *l)
{
	HAS(l, "min", "p50", "p90", "p99", "p999", "p9999", "max");
}

static void check_trial(const json_t *t)
{
	HAS(t, "offered_pps", "seconds", "sent_pps", "received_pps", "loss", "generator_bound",
	    "latency_us");
#define X(name, what) HAS(t, #name);
	TALLY_LIST(X)
#undef X
	check_latency(json_object_get(t, "latency_us"));
}

static double real_at(const json_t *o, const char *a, const char *b)
{
	return json_number_value(json_object_get(json_object_get(o, a), b));
}

static void test_json(void)
{
	struct report *r = full();
	json_t *o = json_of(r);
	json_t *trials = json_object_get(o, "trials"), *storm = json_object_get(o, "storm");
	json_t *media = json_object_get(storm, "media"), *at = json_object_get(o, "latency");

	HAS(o, "program", "version", "command", "what", "machine", "setup", "trials", "ndr", "pdr",
	    "mrr_pps", "latency", "bias_us", "capacity", "storm", "series", "ok", "why");
	HAS(json_object_get(o, "machine"), "cpu", "cores", "kernel", "hugepages", "steal");
	HAS(json_object_get(json_object_get(o, "machine"), "hugepages"), "total", "free", "kb");
	HAS(json_object_get(o, "setup"), "seconds", "per_second", "wanted", "ready", "failed",
	    "under_way", "lost", "gone", "transactions", "retransmissions", "timeouts", "stray",
	    "challenges", "errors", "rtt_us");
	HAS(json_object_get(o, "ndr"), "found", "pps", "upper_pps", "gbps", "loss", "end");
	HAS(json_object_get(o, "pdr"), "found", "pps", "upper_pps", "gbps", "loss", "end");
	HAS(json_object_get(o, "capacity"), "calls", "pps", "loss", "p99_us", "end");
	HAS(storm, "name", "seconds", "sent", "answered", "failed", "per_second", "codes", "said");
	HAS(media, "before", "during", "after");
	check_latency(json_object_get(o, "bias_us"));
	for (unsigned i = 0; i < 2; i++)
		check_trial(json_array_get(trials, i));
	check_trial(json_object_get(media, "during"));
	HAS(json_array_get(at, 0), "percent", "pps", "latency_us");
	HAS(json_array_get(json_object_get(o, "series"), 0), "s", "sent_pps", "received_pps",
	    "lost");
	CHECK(json_array_size(trials) == 2 && json_array_size(at) == 2 &&
	              json_array_size(json_object_get(o, "series")) == 20,
	      "as many as there are");
	CHECK(real_at(o, "ndr", "pps") == 900000, "a rate");
	CHECK(fabs(real_at(o, "ndr", "gbps") - 1.152) < 1e-9, "of payload");
	CHECK(strcmp(json_string_value(json_object_get(json_object_get(o, "pdr"), "end")),
	             "generator") == 0,
	      "end");
	CHECK(real_at(storm, "codes", "508") == 10, "codes");
	CHECK(real_at(json_object_get(o, "setup"), "errors", "486") == 2, "errors");
	CHECK(fabs(real_at(json_array_get(trials, 0), "latency_us", "p50") - 50) < 0.1, "p50");
	CHECK(json_integer_value(json_object_get(json_array_get(trials, 0), "lost")) == 1234,
	      "lost");
	CHECK(json_is_true(json_object_get(json_array_get(trials, 1), "generator_bound")), "bound");
	/* Latin-1 in an argument is no UTF-8, and the file is JSON all the same. */
	const char *command = json_string_value(json_object_get(o, "command"));
	CHECK(command != NULL && strstr(command, "bj?rn") != NULL, "odd octets");
	CHECK(strstr(command, "s3cret") == NULL && strstr(command, "n0rth") == NULL, "no secrets");
	json_decref(o);
	report_free(r);
}

static void test_json_odd(void)
{
	struct report *r = empty();
	json_t *o;

	r->mrr_pps = NAN;
	r->has_search = true;
	r->ndr = (struct search_rate){ false, INFINITY, -INFINITY, NAN, SEARCH_TRIALS };
	snprintf(r->why, sizeof(r->why), "a \"quote\", a \\ and a \x02 control");
	r->ok = false;
	o = json_of(r);
	CHECK(real_at(o, "ndr", "pps") == 0 && real_at(o, "ndr", "loss") == 0, "finite");
	CHECK(strcmp(json_string_value(json_object_get(o, "why")), r->why) == 0, "escaped");
	CHECK(json_object_get(o, "pdr") == NULL && json_object_get(o, "storm") == NULL &&
	              json_object_get(o, "setup") == NULL &&
	              json_object_get(o, "bias_us") == NULL &&
	              json_object_get(o, "capacity") == NULL &&
	              json_object_get(o, "latency") == NULL,
	      "what was not asked for is left out");
	CHECK(json_is_false(json_object_get(o, "ok")), "not ok");
	CHECK(json_array_size(json_object_get(o, "trials")) == 0, "no trials");
	json_decref(o);
	CHECK(!report_json(r, "/proc/no/such"), "cannot be written");
	report_free(r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "figures", test_figures }, { "command and machine", test_command },
		{ "series", test_series },   { "long series", test_long_series },
		{ "text", test_text },       { "aligned", test_aligned },
		{ "json", test_json },       { "json, odd values", test_json_odd },
		CU_TEST_INFO_NULL,
	};

	return run_suite("pkt-gen/report", tests);
}
