/* The table for people: --help, turnpike-gen(1), and rows of a Markdown table. */
#include <string.h>

#include "pkt-gen/options_table.h"

enum { INDENT = 30, WIDTH = 100 };

/* Words of `text` from column `at` on, later lines indented. Where it ended. */
static unsigned put_words(FILE *out, const char *text, unsigned at)
{
	const unsigned first = at;

	while (*text != '\0') {
		const unsigned len = (unsigned)strcspn(text, " ");

		if (at > INDENT && at + 1 + len > WIDTH) {
			fprintf(out, "\n%*s", INDENT, "");
			at = INDENT;
		} else if (at > first || first > INDENT) {
			fputc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", (int)len, text);
		at += len;
		text += len + (text[len] == ' ');
	}
	return at;
}

static void help_row(FILE *out, const struct option_row *row)
{
	char head[64];
	unsigned at = (unsigned)snprintf(head, sizeof(head), "  --%s%s%s", row->name,
	                                 row->argument != NULL ? " " : "",
	                                 row->argument != NULL ? row->argument : "");

	fputs(head, out);
	if (at + 1 > INDENT) {
		fputc('\n', out);
		at = 0;
	}
	fprintf(out, "%*s", (int)(INDENT - at), "");
	at = put_words(out, row->doc, INDENT);
	if (row->def != NULL) {
		snprintf(head, sizeof(head), "[%s]", row->def);
		put_words(out, head, at);
	}
	fputc('\n', out);
}

void options_help(FILE *out)
{
	fputs("usage: turnpike-gen --port DEVICE [--address A/LEN] --server A:PORT --user NAME "
	      "--password TEXT\n                    [options]\n\n"
	      "A fleet of TURN clients and their peers: sets allocations up at any TURN server, "
	      "sends\n"
	      "through them, and accounts for every packet.\n",
	      out);
	for (unsigned i = 0; i < option_n_rows; i++) {
		if (option_is_section(&option_rows[i]))
			fprintf(out, "\n%s\n", option_rows[i].doc);
		else
			help_row(out, &option_rows[i]);
	}
}

/* --- troff --- */

/* Hyphens are minus signs in a manual page, and a backslash would begin an escape. */
static void put_troff(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
	}
}

static void troff_row(FILE *out, const struct option_row *row)
{
	char allowed[256];

	fputs(".TP\n.B \\-\\-", out);
	put_troff(out, row->name);
	if (row->argument != NULL) {
		fputs(" \\fI", out);
		put_troff(out, row->argument);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	put_troff(out, row->doc);
	fputs(".\n", out);
	if (row->argument == NULL)
		return;
	option_allowed(row, allowed, sizeof(allowed));
	fputs(".br\nValue: ", out);
	put_troff(out, allowed);
	fputs(".\n", out);
	if (row->def != NULL) {
		fputs(".br\nDefault: ", out);
		put_troff(out, row->def);
		fputs(".\n", out);
	}
	if (row->again)
		fputs(".br\nIt may be given more than once.\n", out);
}

static const char troff_head[] =
	".TH TURNPIKE\\-GEN 1 \"\" \"turnpike " TURNPIKE_VERSION "\" \"User commands\"\n"
	".SH NAME\n"
	"turnpike\\-gen \\- measure a TURN server with a fleet of clients and peers\n"
	".SH SYNOPSIS\n"
	".B turnpike\\-gen \\-\\-port\n"
	".I DEVICE\n"
	".RB [ \\-\\-address\n"
	".IR A/LEN ]\n"
	".B \\-\\-server\n"
	".I A:PORT\n"
	".B \\-\\-user\n"
	".I NAME\n"
	".B \\-\\-password\n"
	".I TEXT\n"
	".RI [ options ]\n"
	".SH DESCRIPTION\n"
	".B turnpike\\-gen\n"
	"is clients and peers in one process, on ports of DPDK. It sets up authenticated "
	"allocations,\n"
	"permissions and channels at any TURN server, sends through them at a rate that does not "
	"wait\n"
	"for answers, and checks what arrives: loss, duplicates, order, octets, and that each "
	"packet\n"
	"came to where it belongs. What was sent is what was received, lost, or is still under "
	"way;\n"
	"if that sum does not close, the run failed.\n"
	".PP\n"
	"A port over a kernel device takes the device over while it runs, as\n"
	".BR turnpike\\-dataplane (8)\n"
	"does: its addresses move to an exception port, from which the kernel answers ARP, "
	"neighbour\n"
	"solicitations and pings. Every end but SIGKILL gives it back; after that,\n"
	".B \\-\\-give\\-back\n"
	"or the next run does.\n"
	".PP\n"
	"A call is one binding of a client and a peer that sends as its profile says, in both\n"
	"directions with\n"
	".BR \"\\-\\-direction both\" .\n"
	"Bits of a rate are bits of payload. Latency runs from when a packet was due, not from "
	"when it\n"
	"left.\n";

static const char troff_tail[] =
	".SH EXIT STATUS\n"
	".TP\n.B 0\nDone; everything is accounted for and nothing came wrong.\n"
	".TP\n.B 1\nPackets were corrupted or misdelivered, the sum does not close, or the setup "
	"failed: "
	"the last line says why.\n"
	".TP\n.B 2\nWrong usage.\n"
	".TP\n.B 75\nA device, memory, or a permission is missing, or busy.\n"
	".SH SIGNALS\n"
	"INT, TERM, HUP and QUIT end a run early: the report says so, allocations are given up by "
	"a Refresh of "
	"zero, devices are given back. A second one skips the server.\n"
	".SH SEE ALSO\n"
	".BR turnpike (8),\n"
	".BR turnpikectl (8)\n";

/* --- Markdown --- */

static void put_cell(FILE *out, const char *text)
{
	fputs(" ", out);
	for (; *text != '\0'; text++)
		fprintf(out, "%s%c", *text == '|' ? "\\" : "", *text);
	fputs(" |", out);
}

static void markdown_rows(FILE *out)
{
	fputs("| Option | Value | Default | Meaning |\n|---|---|---|---|\n", out);
	for (unsigned i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];
		char allowed[256];

		if (option_is_section(row))
			continue;
		option_allowed(row, allowed, sizeof(allowed));
		fprintf(out, "| `--%s` |", row->name);
		put_cell(out, allowed);
		put_cell(out, row->def != NULL ? row->def : "");
		put_cell(out, row->doc);
		fputc('\n', out);
	}
}

void options_manual(FILE *out, bool markdown)
{
	const char *section = NULL;

	if (markdown) {
		markdown_rows(out);
		return;
	}
	fputs(troff_head, out);
	fputs(".SH OPTIONS\n", out);
	for (unsigned i = 0; i < option_n_rows; i++) {
		if (!option_is_section(&option_rows[i])) {
			troff_row(out, &option_rows[i]);
			continue;
		}
		section = option_rows[i].doc;
		fputs(".SS \"", out);
		put_troff(out, section);
		fputs("\"\n", out);
	}
	fputs(troff_tail, out);
}
