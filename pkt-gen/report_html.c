/* The report as a page of its own: no script, nothing fetched, light and dark. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "pkt-gen/figure.h"
#include "pkt-gen/html.h"
#include "pkt-gen/plot.h"
#include "pkt-gen/report_parts.h"

/* clang-format off: CSS. */
static const char style[] =
	"<style>\n"
	":root{color-scheme:light "
	"dark;--paper:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5d6878;--line:#dfe3e9;"
	"--s1:#2f67c7;--s2:#d1650a;--s3:#1f8a5b;--s4:#8a4fbf;--good:#1f8a5b;--fair:#b07a00;--bad:#"
	"c8323c;--grey:#7d8896}\n"
	"@media(prefers-color-scheme:dark){:root{--paper:#12161c;--card:#1b212a;--ink:#e6eaf0;--"
	"soft:#9aa6b5;--line:#323b47;"
	"--s1:#6ea2f5;--s2:#f29a4a;--s3:#4dc48d;--s4:#bb8cf0;--good:#4dc48d;--fair:#e0b040;--bad:#"
	"f0727a;--grey:#9aa6b5}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 "
	"system-ui,-apple-system,\"Segoe UI\",Roboto,"
	"\"DejaVu Sans\",sans-serif}\n"
	"main{max-width:1180px;margin:0 auto;padding:24px 16px 48px}\n"
	"h1{font-size:22px;margin:0}h2{font-size:17px;margin:32px 0 10px}p{margin:4px 0}\n"
	".soft{color:var(--soft)}.said{overflow-wrap:anywhere}\n"
	".badge{display:inline-block;border-radius:4px;padding:0 "
	"8px;margin-left:8px;font-size:14px;color:var(--card);"
	"vertical-align:2px}.badge.good{background:var(--good);color:var(--card)}.badge.bad{"
	"background:var(--bad);color:var(--card)}\n"
	".tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(165px,1fr));gap:12px;"
	"margin:20px 0}\n"
	".tile,.card,.table{background:var(--card);border:1px solid "
	"var(--line);border-radius:8px}\n"
	".tile{padding:10px 14px}.tile b{display:block;font-size:21px;line-height:1.3}.tile "
	"span{color:var(--soft);font-size:13px;"
	"display:block}\n"
	".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr));"
	"gap:16px}\n"
	".card{margin:0;padding:12px 14px}figcaption{font-weight:600}\n"
	".legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 16px;margin:4px "
	"0;padding:0;font-size:13px;color:var(--soft);"
	"min-height:20px}.legend li{display:flex;align-items:center;gap:6px}\n"
	".key{width:18px;height:3px;border-radius:2px;background:currentColor}.mark{width:14px;"
	"height:14px}\n"
	"svg{display:block;width:100%;height:auto;font-size:12px}svg text{fill:var(--ink)}svg "
	".tick,svg .title{fill:var(--soft)}\n"
	"svg "
	".note{font-size:12px;font-weight:600;stroke:var(--card);stroke-width:3px;paint-order:"
	"stroke}\n"
	"svg .grid{stroke:var(--line);fill:none}svg .axis{stroke:var(--soft);fill:none}\n"
	"svg .line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}svg "
	".wide{stroke-width:4;opacity:.55}\n"
	"svg .dashed{stroke-dasharray:5 4;stroke-width:1.5}svg "
	".area{fill:currentColor;fill-opacity:.35;stroke:currentColor}\n"
	"svg circle,svg .fill,svg path:not(.line):not(.area){fill:currentColor}\n"
	"svg circle.open{fill:var(--card);stroke:currentColor;stroke-width:2}\n"
	".s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}.s4{color:var(--s4)}.good{"
	"color:var(--good)}"
	".fair{color:var(--fair)}.bad{color:var(--bad)}.grey{color:var(--grey)}\n"
	".table{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:"
	"tabular-nums;font-size:14px}\n"
	"th,td{padding:5px 9px;text-align:right;white-space:nowrap;border-bottom:1px solid "
	"var(--line)}tr:last-child td{border:0}\n"
	"th{font-weight:600;color:var(--soft)}th:first-child,td:first-child,.words{text-align:left}"
	"\n"
	"pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;font:13px/1.5 "
	"ui-monospace,\"DejaVu Sans Mono\",monospace}\n"
	"dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:0;padding:12px "
	"14px}dt{color:var(--soft)}"
	"dd{margin:0;min-width:0}\n"
	"@media(max-width:540px){svg{font-size:14.5px}svg .note{font-size:14px}}\n"
	"</style>\n";
/* clang-format on */

/* With the letter that ASCII lacks. */
static char *time_text(char text[FIGURE_MAX], double us)
{
	const size_t len = strlen(figure_time(text, us));

	if (len > 3 && strcmp(text + len - 3, " us") == 0)
		strcpy(text + len - 2, "\xC2\xB5s");
	return text;
}

static void put_time(FILE *out, double us)
{
	fputs(time_text((char[FIGURE_MAX]){ 0 }, us), out);
}

/* --- key figures --- */

static void tile_open(FILE *out, const char *name)
{
	fprintf(out, "<div class=\"tile\"><span>%s</span><b>", name);
}

static void tile_close(FILE *out, const char *note)
{
	fputs("</b><span>", out);
	html_text(out, note);
	fputs("</span></div>\n", out);
}

static void tile_rate(const struct report *r, FILE *out, const char *name,
                      const struct search_rate *f)
{
	char note[128];

	if (f->end == SEARCH_GOES_ON) /* not wanted */
		return;
	if (f->pps == 0)
		snprintf(note, sizeof(note), "%s", search_said(f->end));
	else if (f->end == SEARCH_FOUND)
		snprintf(note, sizeof(note), "%s of payload, loss %s",
		         FIGURE(bits, report_bits(r, f->pps)), FIGURE(ratio, f->loss));
	else
		snprintf(note, sizeof(note), "%s",
		         f->end == SEARCH_GENERATOR ? "at least: the generator was the limit"
		         : f->end == SEARCH_BUDGET  ? "not closed: no time was left"
		                                    : "not closed: no trials were left");
	tile_open(out, name);
	fputs(f->pps > 0 ? FIGURE(rate, f->pps) : "none", out);
	tile_close(out, note);
}

static void tiles_of_sum(const struct report *r, const struct tally *all, FILE *out)
{
	char note[128];

	if (r->n_trials == 1) {
		const struct report_trial *t = &r->trials[0];
		tile_open(out, "received");
		fputs(FIGURE(rate, t->received_pps), out);
		snprintf(note, sizeof(note), "of %s sent for %s", FIGURE(rate, t->sent_pps),
		         FIGURE(seconds, t->seconds));
		tile_close(out, note);
		if (t->latency.max > 0) {
			tile_open(out, "latency p99");
			put_time(out, t->latency.p99);
			tile_close(out, "from the intended send time");
		}
	}
	if (!r->has_search && !r->has_capacity) { /* which lose by design */
		tile_open(out, "lost");
		fputs(FIGURE(ratio, tally_loss(all)), out);
		snprintf(note, sizeof(note), "%s of %s packets%s", FIGURE(count, all->lost),
		         FIGURE(count, all->sent), r->n_trials == 1 ? "" : ", all trials");
		tile_close(out, note);
	}
	const uint64_t bad = all->corrupted + all->misdelivered + all->checksum;
	tile_open(out, "damaged or astray");
	fputs(FIGURE(count, bad), out);
	tile_close(out,
	           tally_gap(all) == 0 ? "the accounting closes" : "the accounting does NOT close");
}

static void tiles_of_storm(const struct report_storm *s, FILE *out)
{
	char note[128];

	tile_open(out, "sent by the storm");
	fputs(FIGURE(count, s->sent), out);
	snprintf(note, sizeof(note), "%s answered, %s failed", FIGURE(count, s->answered),
	         FIGURE(count, s->failed));
	tile_close(out, note);
	if (s->during.tally.sent == 0)
		return;
	tile_open(out, "media lost meanwhile");
	fputs(FIGURE(ratio, tally_loss(&s->during.tally)), out);
	snprintf(note, sizeof(note), "%s before", FIGURE(ratio, tally_loss(&s->before.tally)));
	tile_close(out, note);
	if (s->during.latency.max > 0) {
		tile_open(out, "media p99 meanwhile");
		put_time(out, s->during.latency.p99);
		snprintf(note, sizeof(note), "%s before",
		         time_text((char[FIGURE_MAX]){ 0 }, s->before.latency.p99));
		tile_close(out, note);
	}
}

/* Of all trials, or of the media beside a storm. */
static struct tally sum(const struct report *r)
{
	struct tally all = { .latency = NULL };

	for (unsigned i = 0; i < r->n_trials; i++)
		tally_add(&all, &r->trials[i].tally);
	if (r->n_trials == 0 && r->has_storm) {
		tally_add(&all, &r->storm.before.tally);
		tally_add(&all, &r->storm.during.tally);
		tally_add(&all, &r->storm.after.tally);
	}
	return all;
}

static void tiles(const struct report *r, FILE *out)
{
	const struct tally all = sum(r);
	char note[128];

	fputs("<div class=\"tiles\">\n", out);
	if (r->has_search) {
		tile_rate(r, out, "NDR (no loss)", &r->ndr);
		tile_rate(r, out, "PDR (some loss)", &r->pdr);
		tile_open(out, "MRR");
		fputs(FIGURE(rate, r->mrr_pps), out);
		tile_close(out, "came through at full speed");
	}
	if (r->has_capacity) {
		tile_open(out, "calls carried");
		fputs(FIGURE(count, r->calls), out);
		tile_close(out, r->capacity_end != NULL ? r->capacity_end : "");
	}
	if (r->has_setup) {
		tile_open(out, "clients ready");
		fprintf(out, "%s of %s", FIGURE(count, r->setup.ready),
		        FIGURE(count, r->setup.wanted));
		snprintf(note, sizeof(note), "in %s, %s failed", FIGURE(seconds, r->setup_s),
		         FIGURE(count, r->setup.failed));
		tile_close(out, note);
	}
	if (r->has_storm)
		tiles_of_storm(&r->storm, out);
	if (all.sent > 0)
		tiles_of_sum(r, &all, out);
	fputs("</div>\n", out);
}

/* --- tables --- */

/* A cell with the figure for people and the value for scripts. */
static void cell(FILE *out, double v, const char *text)
{
	fprintf(out, "<td data-v=\"%.10g\">%s</td>", v, text);
}

static void cell_time(FILE *out, double us)
{
	if (us <= 0) {
		fputs("<td>\xE2\x80\x93</td>", out);
		return;
	}
	fprintf(out, "<td data-v=\"%.10g\">", us);
	put_time(out, us);
	fputs("</td>", out);
}

static const char trial_head[] =
	"<tr><th>%s</th><th>offered</th><th>sent</th><th>received</th><th>seconds</th>"
	"<th>packets</th><th>lost</th><th>loss</th><th>p50</th><th>p99</th><th>p99.9</th>"
	"<th>largest</th><th class=\"words\">%s</th></tr>\n";

static void trial_row(FILE *out, const char *name, const struct report_trial *t, const char *class,
                      const char *word)
{
	char seconds[FIGURE_MAX];

	snprintf(seconds, sizeof(seconds), "%.2f", t->seconds);
	fprintf(out, "<tr><td>%s</td>", name);
	cell(out, t->offered_pps, t->offered_pps > 0 ? FIGURE(rate, t->offered_pps) : "max");
	cell(out, t->sent_pps, FIGURE(rate, t->sent_pps));
	cell(out, t->received_pps, FIGURE(rate, t->received_pps));
	cell(out, t->seconds, seconds);
	cell(out, (double)t->tally.sent, FIGURE(count, t->tally.sent));
	cell(out, (double)t->tally.lost, FIGURE(count, t->tally.lost));
	cell(out, tally_loss(&t->tally), FIGURE(ratio, tally_loss(&t->tally)));
	cell_time(out, t->latency.p50);
	cell_time(out, t->latency.p99);
	cell_time(out, t->latency.p999);
	cell_time(out, t->latency.max);
	fprintf(out, "<td class=\"words %s\">%s</td></tr>\n", class, word);
}

static void trials(const struct report *r, FILE *out)
{
	char name[16];

	fputs("<h2>Trials</h2>\n<div class=\"table\"><table id=\"trials\">\n", out);
	fprintf(out, trial_head, "trial", "");
	for (unsigned i = 0; i < r->n_trials; i++) {
		const struct report_mark m = report_mark(r, &r->trials[i]);
		const bool judged = r->has_search || r->has_capacity;
		snprintf(name, sizeof(name), "%u", i + 1);
		trial_row(out, name, &r->trials[i], judged ? m.class : "soft",
		          judged || r->trials[i].generator_bound ? m.word : "");
	}
	fputs("</table></div>\n", out);
}

static void latency_table(const struct report *r, FILE *out)
{
	fputs("<h2>Latency</h2>\n<div class=\"table\"><table id=\"latency\">\n"
	      "<tr><th>load</th><th>rate</th><th>least</th><th>p50</th><th>p90</th><th>p99</th>"
	      "<th>p99.9</th><th>p99.99</th><th>largest</th></tr>\n",
	      out);
	for (unsigned i = 0; i < r->n_at + r->has_bias; i++) {
		const bool bias = i == r->n_at;
		const struct report_latency *l = bias ? &r->bias : &r->at[i].latency;
		const double v[] = { l->min, l->p50, l->p90, l->p99, l->p999, l->p9999, l->max };
		if (bias) {
			fputs("<tr><td>own bias</td><td></td>", out);
		} else {
			fprintf(out, "<tr><td>%u %%</td>", r->at[i].percent);
			cell(out, r->at[i].pps, FIGURE(rate, r->at[i].pps));
		}
		for (size_t k = 0; k < sizeof(v) / sizeof(*v); k++)
			cell_time(out, v[k]);
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
}

static void codes(FILE *out, const char *title, const uint64_t *code, unsigned n)
{
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		if (code[i] == 0)
			continue;
		if (!any)
			fprintf(out,
			        "<h2>%s</h2>\n<div class=\"table\"><table>\n"
			        "<tr><th>STUN error</th><th>times</th></tr>\n",
			        title);
		any = true;
		fprintf(out, "<tr><td>%u</td>", i);
		cell(out, (double)code[i], FIGURE(count, code[i]));
		fputs("</tr>\n", out);
	}
	if (any)
		fputs("</table></div>\n", out);
}

static void storm(const struct report_storm *s, FILE *out)
{
	fputs("<h2>Storm: ", out);
	html_text(out, s->name);
	fprintf(out, "</h2>\n<p>%s sent in %s", FIGURE(count, s->sent),
	        FIGURE(seconds, s->seconds));
	if (s->seconds > 0)
		fprintf(out, " (%.0f a second)", (double)s->sent / s->seconds);
	fprintf(out, ", %s answered, %s failed.</p>\n<p>", FIGURE(count, s->answered),
	        FIGURE(count, s->failed));
	html_text(out, s->said);
	fputs("</p>\n", out);
	if (s->before.tally.sent + s->during.tally.sent + s->after.tally.sent > 0) {
		fputs("<div class=\"table\"><table id=\"media\">\n", out);
		fprintf(out, trial_head, "media", "");
		trial_row(out, "before", &s->before, "", "");
		trial_row(out, "during", &s->during, "", "");
		trial_row(out, "after", &s->after, "", "");
		fputs("</table></div>\n", out);
	}
	codes(out, "Refused in the storm", s->code, sizeof(s->code) / sizeof(*s->code));
}

static void accounting(const struct report *r, FILE *out)
{
	const struct tally all = sum(r);

	fprintf(out, "<h2>Accounting%s</h2>\n",
	        r->n_trials == 0   ? " of the media"
	        : r->n_trials == 1 ? ""
	                           : ", all trials");
	fprintf(out, "<p>sent %s = received %s + lost %s + in flight %s: %s</p>\n",
	        FIGURE(count, all.sent), FIGURE(count, all.received), FIGURE(count, all.lost),
	        FIGURE(count, all.in_flight),
	        tally_gap(&all) == 0 ? "the sum closes."
	                             : "<span class=\"bad\">the sum does NOT close.</span>");
	fputs("<div class=\"table\"><table id=\"accounting\">\n"
	      "<tr><th>name</th><th>packets</th><th class=\"words\">meaning</th></tr>\n",
	      out);
#define X(name, what)                                                            \
	if (all.name > 0 || strcmp(#name, "lost") == 0) {                        \
		fprintf(out, "<tr><td>%s</td>", #name);                          \
		cell(out, (double)all.name, FIGURE(count, all.name));            \
		fprintf(out, "<td class=\"words soft\">%s</td></tr>\n", (what)); \
	}
	TALLY_LIST(X)
#undef X
	fputs("</table></div>\n", out);
}

/* --- the rest of the page --- */

static void row(FILE *out, const char *name, const char *text)
{
	fprintf(out, "<dt>%s</dt><dd class=\"said\">", name);
	html_text(out, text);
	fputs("</dd>\n", out);
}

static void origin(const struct report *r, FILE *out)
{
	const struct machine *m = &r->machine;
	char text[160];

	fputs("<h2>Where it was measured</h2>\n<div class=\"table\"><dl>\n", out);
	row(out, "processor", m->cpu[0] != '\0' ? m->cpu : "unknown");
	snprintf(text, sizeof(text), "%u", m->cores);
	row(out, "cores", text);
	row(out, "kernel", m->kernel);
	snprintf(text, sizeof(text), "%u of %u free, %u kB each", m->huge_free, m->hugepages,
	         m->huge_kb);
	row(out, "hugepages", text);
	snprintf(text, sizeof(text), "%s of the processors' time%s", FIGURE(ratio, r->steal),
	         r->steal > 0.01 ? ": figures are noisy" : "");
	row(out, "steal", text);
	fputs("<dt>command</dt><dd><pre>", out);
	html_text(out, r->command);
	fputs("</pre></dd>\n</dl></div>\n", out);
}

static void head(const struct report *r, FILE *out)
{
	const time_t now = time(NULL);
	struct tm tm;
	char what[512], when[64] = "";

	report_what(r, what, sizeof(what));
	if (gmtime_r(&now, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm);
	fputs("<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
	      "<meta charset=\"utf-8\"/>\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
	      "<title>turnpike-gen: ",
	      out);
	html_text(out, what);
	fputs("</title>\n", out);
	fputs(style, out);
	fprintf(out,
	        "</head>\n<body>\n<main>\n<h1>turnpike-gen %s<span class=\"badge "
	        "%s\">%s</span></h1>\n"
	        "<p class=\"said\">",
	        TURNPIKE_VERSION, r->ok ? "good" : "bad", r->ok ? "ok" : "not ok");
	html_text(out, what);
	fprintf(out, "</p>\n<p class=\"soft\">%s</p>\n", when);
	if (r->why[0] != '\0') {
		fprintf(out, "<p class=\"said %s\">", r->ok ? "" : "bad");
		html_text(out, r->why);
		fputs("</p>\n", out);
	}
}

static void page(const struct report *r, FILE *out)
{
	head(r, out);
	tiles(r, out);
	report_plots(r, out);
	if (r->has_storm)
		storm(&r->storm, out);
	if (r->n_trials > 0)
		trials(r, out);
	if (r->n_at > 0 || r->has_bias)
		latency_table(r, out);
	if (r->has_setup)
		codes(out, "Refused at setup", r->setup.error,
		      sizeof(r->setup.error) / sizeof(*r->setup.error));
	if (sum(r).sent > 0)
		accounting(r, out);
	origin(r, out);
	fputs("</main>\n</body>\n</html>\n", out);
}

bool report_html(const struct report *r, const char *path)
{
	const bool to_stdout = strcmp(path, "-") == 0;
	FILE *out = to_stdout ? stdout : fopen(path, "we");
	bool ok = out != NULL;

	if (ok) {
		page(r, out);
		ok = ferror(out) == 0 && fflush(out) == 0;
		if (!to_stdout)
			ok = fclose(out) == 0 && ok;
	}
	if (!ok)
		fprintf(stderr, "turnpike-gen: report: %s: %s\n", path, strerror(errno));
	return ok;
}
