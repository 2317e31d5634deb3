/* Mirrors pkt-gen/report_html.c, report_plots.c, plot.c and html.c. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "pkt-gen/html.h"
#include "pkt-gen/plot.h"
#include "pkt-gen/report.h"
#include "tests/support.h"

static const struct options options = {
	.clients = 100,
	.peers = 1,
	.loss = 0.005,
	.profile = { .name = "imix", .size = { 24, 544, 1400 }, .n_sizes = 3, .burst = 1 },
	.server = { { .port = 3478,
	              .addr = { .ip = { [10] = 0xFF, [11] = 0xFF, 198, 18, 0, 1 } } } },
};

static char evil[] = "<script>alert('x')</script> & \"quotes\" \xFF\xC0\x80 \x01 ]]>";

static void add_trial(struct report *r, double pps, double loss)
{
	struct outcome o = { .seconds = 2, .offered_pps = pps, .sent_pps = pps };
	struct tally now = { 0 };

	for (unsigned i = 1; i <= 20; i++) {
		now.sent = (uint64_t)(pps * i * 0.1);
		now.received = (uint64_t)((double)now.sent * (1 - loss));
		report_tick(r, &now, i * 0.1);
	}
	o.received_pps = pps * (1 - loss);
	o.tally = (struct tally){ .sent = now.sent,
		                  .received = now.received,
		                  .lost = now.sent - now.received,
		                  .latency = histogram_new() };
	for (unsigned i = 1; i <= 1000; i++)
		histogram_record(o.tally.latency, i * 1000);
	report_add_trial(r, &o);
	histogram_free(o.tally.latency);
}

static struct report *full(void)
{
	char name[] = "turnpike-gen", *argv[] = { name, evil };
	struct report *r = report_new(&options, 2, argv);

	add_trial(r, 900000, 0.2);
	add_trial(r, 700000, 0);
	add_trial(r, 720000, 0.003);
	r->trials[1].generator_bound = true;
	r->has_search = true;
	r->ndr = (struct search_rate){ true, 700000, 705000, 0, SEARCH_FOUND };
	r->pdr = (struct search_rate){ true, 720000, 725000, 0.003, SEARCH_FOUND };
	r->n_at = 1;
	r->at[0].percent = 50;
	r->at[0].pps = 350000;
	r->at[0].latency = r->trials[0].latency;
	r->has_bias = true;
	r->bias = r->trials[0].latency;
	r->has_setup = true;
	r->setup.error[486] = 3;
	r->has_capacity = true;
	r->calls = 1234;
	r->capacity_end = evil;
	r->has_storm = true;
	snprintf(r->storm.name, sizeof(r->storm.name), "%s", evil);
	snprintf(r->storm.said, sizeof(r->storm.said), "%s", evil);
	snprintf(r->why, sizeof(r->why), "%s", evil);
	r->storm.before = r->storm.after = r->trials[1];
	r->storm.during = r->trials[0];
	r->storm.code[508] = 7;
	return r;
}

/* A page as a heap string. */
static char *page_of(const struct report *r)
{
	char path[] = "/tmp/turnpike-page-XXXXXX";
	const int fd = mkstemp(path);
	char *text = calloc(1, 1 << 20);

	CHECK(report_html(r, path), "written");
	CHECK(read(fd, text, (1 << 20) - 1) > 0, "read");
	close(fd);
	unlink(path);
	return text;
}

/*
 * As an XML parser would: tags nest and are closed, attributes are quoted, no stray '<' or '&'.
 * NULL, or where it is not so.
 */
static const char *malformed(const char *s)
{
	static char open[64][16];
	unsigned depth = 0;

	while (*s != '\0') {
		if (*s == '&') {
			const size_t len = strcspn(s + 1, ";<& ");
			if (len < 2 || len > 7 || s[1 + len] != ';')
				return s;
		}
		if ((unsigned char)*s < ' ' && *s != '\n' && *s != '\t')
			return s;
		if (*s++ != '<' || strncmp(s, "!DOCTYPE html>", 14) == 0)
			continue;
		const char *tag = s - 1;
		const bool closes = *s == '/';
		s += closes;
		const size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789");
		char name[16] = "";
		if (len == 0 || len >= sizeof(name))
			return tag;
		memcpy(name, s, len);
		s += len;
		while (isspace((unsigned char)*s)) {
			s += strspn(s, " \n\t");
			const size_t attr =
				strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
			                  "UVWXYZ0123456789-:");
			if (attr == 0 || s[attr] != '=' || s[attr + 1] != '"')
				return s;
			s += attr + 2;
			s += strcspn(s, "\"<");
			if (*s++ != '"')
				return tag;
		}
		const bool empty = *s == '/';
		s += empty;
		if (*s++ != '>')
			return tag;
		if (closes && (depth == 0 || strcmp(open[--depth], name) != 0))
			return tag;
		if (!closes && !empty) {
			if (depth == 64)
				return tag;
			strcpy(open[depth++], name);
		}
	}
	return depth == 0 ? NULL : s;
}

static void check_well_formed(const char *page)
{
	const char *where = malformed(page);
	char what[64];

	snprintf(what, sizeof(what), "malformed at: %.40s", where != NULL ? where : "");
	CHECK(where == NULL, what);
}

/* The checker itself can fail. */
static void test_checker(void)
{
	CHECK(malformed("<p>a &amp; b<br/></p>") == NULL, "good");
	CHECK(malformed("<p><b></p></b>") != NULL, "nesting");
	CHECK(malformed("<p>a & b</p>") != NULL, "ampersand");
	CHECK(malformed("<p x=y></p>") != NULL, "quotes");
	CHECK(malformed("<p>") != NULL, "closed");
	CHECK(malformed("a \x01") != NULL, "controls");
}

static void test_page(void)
{
	struct report *r = full();
	char *page = page_of(r);

	check_well_formed(page);
	CHECK(strstr(page, "<script") == NULL && strstr(page, "alert(&#39;x&#39;)") != NULL,
	      "what others said is text");
	CHECK(strstr(page, "src=") == NULL && strstr(page, "url(") == NULL &&
	              strstr(page, "href") == NULL && strstr(page, "@import") == NULL,
	      "nothing is fetched");
	CHECK(strstr(page, "nan") == NULL && strstr(page, "inf\"") == NULL, "no odd numbers");
	CHECK(strstr(page, "Throughput over time") && strstr(page, "Loss over time") &&
	              strstr(page, "Latency, from") && strstr(page, "calls") &&
	              strstr(page, "before, during and after") && strstr(page, "Accounting"),
	      "all sections");
	CHECK(strstr(page, "PDR 720.0 kpps") != NULL && strstr(page, "NDR 700.0 kpps") != NULL,
	      "levels");
	CHECK(strstr(page, "generator limit") != NULL, "the generator's trial is told apart");
	free(page);
	report_free(r);
}

/* The value of the n-th cell of a row that begins with <td>name</td>. */
static double cell_of(const char *table, const char *name, unsigned n)
{
	char begins[64];
	const char *at;

	snprintf(begins, sizeof(begins), "<tr><td>%s</td>", name);
	at = strstr(table, begins);
	for (unsigned i = 0; at != NULL && i <= n; i++)
		at = strstr(at + 1, "data-v=\"");
	return at != NULL ? strtod(at + strlen("data-v=\""), NULL) : NAN;
}

static void test_figures(void)
{
	struct report *r = full();
	char *page = page_of(r), name[16];
	const char *trials = strstr(page, "id=\"trials\""),
		   *sums = strstr(page, "id=\"accounting\"");

	CHECK(trials != NULL && sums != NULL, "tables");
	for (unsigned i = 0; i < r->n_trials && trials != NULL; i++) {
		const struct report_trial *t = &r->trials[i];
		snprintf(name, sizeof(name), "%u", i + 1);
		CHECK(cell_of(trials, name, 0) == t->offered_pps, "offered");
		CHECK(cell_of(trials, name, 1) == t->sent_pps, "sent");
		CHECK(cell_of(trials, name, 2) == t->received_pps, "received");
		CHECK(cell_of(trials, name, 4) == (double)t->tally.sent, "packets");
		CHECK(cell_of(trials, name, 5) == (double)t->tally.lost, "lost");
		CHECK(fabs(cell_of(trials, name, 6) - tally_loss(&t->tally)) < 1e-9, "loss");
		CHECK(fabs(cell_of(trials, name, 8) - t->latency.p99) < 1e-3, "p99");
	}
	if (sums != NULL) {
		double sent = 0, lost = 0;
		for (unsigned i = 0; i < r->n_trials; i++) {
			sent += (double)r->trials[i].tally.sent;
			lost += (double)r->trials[i].tally.lost;
		}
		CHECK(cell_of(sums, "sent", 0) == sent && cell_of(sums, "lost", 0) == lost, "sums");
	}
	free(page);
	report_free(r);
}

/* What has no data has no section, and nothing divides by it. */
static void test_empty(void)
{
	struct report *r = report_new(&options, 0, NULL);
	char *page = page_of(r);

	check_well_formed(page);
	CHECK(strstr(page, "<svg") == NULL && strstr(page, "<table") == NULL, "no empty sections");
	free(page);
	/* Asked for and nothing came of it. */
	r->has_search = r->has_bias = r->has_storm = r->has_capacity = r->has_setup = true;
	r->ndr.end = r->pdr.end = SEARCH_ALL_LOST;
	r->n_at = 3;
	report_add_trial(r, &(struct outcome){ 0 });
	report_tick(r, &(struct tally){ 0 }, 0.1);
	report_add_trial(r, &(struct outcome){ 0 });
	page = page_of(r);
	check_well_formed(page);
	CHECK(strstr(page, "nan") == NULL && strstr(page, "inf\"") == NULL, "no odd numbers");
	CHECK(strstr(page, "even the smallest rate was lost") != NULL, "says why");
	free(page);
	CHECK(!report_html(r, "/proc/no/such"), "cannot be written");
	report_free(r);
}

/* A storm's media is all there is. */
static void test_storm(void)
{
	struct report *r = full();

	r->n_trials = r->n_at = 0;
	r->has_search = r->has_capacity = r->has_bias = false;
	char *page = page_of(r);
	check_well_formed(page);
	CHECK(strstr(page, "media lost meanwhile") != NULL, "a key figure");
	CHECK(strstr(page, "Accounting of the media") != NULL, "accounted for");
	CHECK(strstr(page, "id=\"trials\"") == NULL, "no list of trials");
	/* Seconds are no powers of ten of milliseconds. */
	r->storm.during.latency.p99 = 2.1e6;
	free(page);
	page = page_of(r);
	CHECK(strstr(page, ">2.10<") != NULL && strstr(page, "p99, s<") != NULL, "seconds");
	CHECK(strstr(page, "e+0") == NULL, "no powers of ten");
	const char *media = strstr(page, "id=\"media\"");
	CHECK(media != NULL && cell_of(media, "during", 5) == (double)r->storm.during.tally.lost,
	      "its losses");
	free(page);
	report_free(r);
}

static void test_long(void)
{
	struct report *r = report_new(&options, 0, NULL);

	for (unsigned i = 0; i < 600; i++)
		add_trial(r, 1000 + i, i % 7 == 0 ? 0.1 : 0);
	r->has_search = true;
	char *page = page_of(r);
	check_well_formed(page);
	CHECK(strlen(page) < 600000, "a long search is no huge page");
	free(page);
	report_free(r);
}

static void test_text(void)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain", "plain" },
		{ "<&>\"'", "&lt;&amp;&gt;&quot;&#39;" },
		{ "\xC2\xB5s \xE2\x82\xAC \xF0\x9F\x98\x80",
		  "\xC2\xB5s \xE2\x82\xAC \xF0\x9F\x98\x80" },
		{ "\x01\x7F", "\xEF\xBF\xBD\xEF\xBF\xBD" },
		{ "\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD" }, /* longer than need be */
		{ "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" }, /* a surrogate */
		{ "\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD" },                 /* cut off */
		{ "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
		{ "\xEF\xBF\xBE", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" }, /* no character */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *in = copy_exact(rows[i].in, strlen(rows[i].in) + 1), *out = NULL;
		size_t len;
		FILE *f = open_memstream(&out, &len);
		html_text(f, in);
		fclose(f);
		CHECK(strcmp(out, rows[i].out) == 0, rows[i].in);
		free(out);
		free(in);
	}
}

static void test_axes(void)
{
	for (double high = 1e-6; high < 1e9; high *= 1.37) {
		const struct plot_axis a = plot_linear(high, high >= 1e3 ? 1e3 : 1, "");
		CHECK(a.n_ticks >= 3 && a.n_ticks <= 12 && a.high >= high * (1 - 1e-9) &&
		              a.high <= high * 2.1,
		      "a linear axis holds its data and no more");
		for (unsigned i = 1; i < a.n_ticks; i++)
			CHECK(strcmp(a.tick[i].text, a.tick[i - 1].text) != 0, "ticks differ");
		for (double span = 1; span < 1e6; span *= 3.7) {
			const struct plot_axis t = plot_log_time(high, high * span, "");
			CHECK(t.n_ticks >= 2 && t.high > t.low, "a log axis has ticks");
			CHECK(high < 1e-3 ||
			              (t.low <= high * 1.001 && t.high >= high * span * 0.999) ||
			              t.high > 1e11,
			      "and holds its data");
		}
	}
	CHECK(plot_linear(NAN, 1, "").high > 0 && plot_linear(0, 1, "").high > 0, "nothing");
	CHECK(plot_log_time(NAN, NAN, "").n_ticks >= 2, "no time");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the checker", test_checker },
		{ "page", test_page },
		{ "figures", test_figures },
		{ "storm", test_storm },
		{ "empty", test_empty },
		{ "long", test_long },
		{ "text", test_text },
		{ "axes", test_axes },
		CU_TEST_INFO_NULL,
	};

	return run_suite("pkt-gen/report_html", tests);
}
