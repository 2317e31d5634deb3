#include "control/ctl/manual.h"

#include <string.h>

#include "abi/stats.h"
#include "control/session/stats.h"
#include "control/stats.h"
#include "control/turn/stats.h"

static const struct {
	const char *option, *help;
} globals[] = {
	{ "-c FILE", "configuration of the relay to talk to (TURNPIKE_CONFIG, else "
	             "/etc/turnpike/turnpike.yaml)" },
	{ "--socket PATH", "its control socket, where the file cannot be read" },
	{ "--json", "the result as it came, for scripts" },
	{ "--version", "version, and the end" },
	{ "-h, --help", "this, and the end" },
};
enum { N_GLOBALS = sizeof(globals) / sizeof(globals[0]) };

static const struct {
	int status;
	const char *meaning;
} statuses[] = {
	{ 0, "done" },
	{ 1, "refused: the message says why" },
	{ 2, "wrong usage" },
	{ 75, "the relay cannot be reached, or has too many connections" },
};
enum { N_STATUSES = sizeof(statuses) / sizeof(statuses[0]) };

static const struct {
	const char *name, *help;
} own_stats[] = {
#define ROW(id, name, help) { name, help },
	TURN_STATS(ROW) SESSION_STATS(ROW) CONTROL_STATS(ROW)
#undef ROW
};
enum { N_OWN_STATS = sizeof(own_stats) / sizeof(own_stats[0]) };

static const char *level_name(const struct ctl_command *c)
{
	return c->level == CTL_ADMIN ? "admin" : "read";
}

void manual_help(FILE *out)
{
	char usage[256];

	fprintf(out, "usage: turnpikectl [-c FILE | --socket PATH] [--json] COMMAND...\n\n");
	for (unsigned i = 0; i < N_GLOBALS; i++)
		fprintf(out, "  %-16s %s\n", globals[i].option, globals[i].help);
	fprintf(out, "\ncommands:\n");
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++) {
		const struct ctl_command *const c = &ctl_commands[i];

		ctl_usage(c, usage, sizeof(usage));
		if (strlen(usage) <= 34)
			fprintf(out, "  %-34s %s\n", usage, c->help);
		else
			fprintf(out, "  %s\n  %-34s %s\n", usage, "", c->help);
	}
	fprintf(out, "\n'turnpikectl help COMMAND' says more. Exit status:");
	for (unsigned i = 0; i < N_STATUSES; i++)
		fprintf(out, "%s %d %s", i ? ";" : "", statuses[i].status, statuses[i].meaning);
	fprintf(out, ".\n");
}

void manual_command(FILE *out, const struct ctl_command *c)
{
	char usage[256];

	fprintf(out, "usage: turnpikectl %s\n\n%s", ctl_usage(c, usage, sizeof(usage)), c->help);
	fprintf(out, ".%s%s\n", c->about ? " " : "", c->about ? c->about : "");
	if (c->params[0].type != CTL_END)
		fputc('\n', out);
	for (const struct ctl_param *p = c->params; p->type != CTL_END; p++) {
		char name[40];

		snprintf(name, sizeof(name), "%s%s", p->use == CTL_OPTION ? "--" : "", p->name);
		fprintf(out, "  %-16s %s", name, p->help);
		if (p->type == CTL_WORD)
			fprintf(out, "; one of: %s", p->words);
		if (p->type == CTL_SECONDS)
			fprintf(out, "; seconds, or 90s, 10m, 24h, 7d");
		fputc('\n', out);
	}
	fprintf(out, "\nneeds the level: %s\n", level_name(c));
}

/* Troff text: a hyphen is a minus, a leading dot or quote is a request. */
static void troff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void entry(FILE *out, const char *head, const char *text)
{
	fputs(".TP\n.B ", out);
	troff(out, head);
	fputc('\n', out);
	troff(out, text);
	fputc('\n', out);
}

static void page_command(FILE *out, const struct ctl_command *c)
{
	char usage[256];

	entry(out, ctl_usage(c, usage, sizeof(usage)), c->help);
	fprintf(out, "(%s)\n", level_name(c));
	if (c->about) {
		fputs(".br\n", out);
		troff(out, c->about);
		fputc('\n', out);
	}
	if (c->params[0].type == CTL_END)
		return;
	fputs(".RS\n", out);
	for (const struct ctl_param *p = c->params; p->type != CTL_END; p++) {
		char head[64];

		snprintf(head, sizeof(head), "%s%s", p->use == CTL_OPTION ? "--" : "", p->name);
		entry(out, head, p->help);
	}
	fputs(".RE\n", out);
}

void manual_page(FILE *out)
{
	char text[8];

	fputs(".TH TURNPIKECTL 8 \"\" \"turnpike " TURNPIKE_VERSION "\"\n"
	      ".SH NAME\nturnpikectl \\- operate a turnpike relay\n.SH SYNOPSIS\n.B turnpikectl\n"
	      "[\\-c FILE | \\-\\-socket PATH] [\\-\\-json] COMMAND...\n.SH DESCRIPTION\n"
	      "Talks to the control socket of a running relay, control.sock in its run directory:\n"
	      "newline\\-delimited JSON\\-RPC 2.0 over a UNIX stream socket. Who is asking is "
	      "known from\n"
	      "the socket itself. Root and the user the control process runs as have the level\n"
	      ".I admin;\nmembers of the socket's group may\n.I read.\n.SH OPTIONS\n",
	      out);
	for (unsigned i = 0; i < N_GLOBALS; i++)
		entry(out, globals[i].option, globals[i].help);
	fputs(".SH COMMANDS\n", out);
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++)
		page_command(out, &ctl_commands[i]);
	fputs(".SH COUNTERS\nOf the data plane:\n", out);
	for (unsigned i = 0; i < STAT_COUNT; i++)
		entry(out, stat_names[i].name, stat_names[i].help);
	fputs(".PP\nOf the control process:\n", out);
	for (unsigned i = 0; i < N_OWN_STATS; i++)
		entry(out, own_stats[i].name, own_stats[i].help);
	fputs(".SH EXIT STATUS\n", out);
	for (unsigned i = 0; i < N_STATUSES; i++) {
		snprintf(text, sizeof(text), "%d", statuses[i].status);
		entry(out, text, statuses[i].meaning);
	}
	fputs(".SH SEE ALSO\n.BR turnpike.yaml (5)\n", out);
}

void manual_markdown(FILE *out)
{
	char usage[256];

	fputs("| Command | Level | What it does |\n|---|---|---|\n", out);
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++) {
		const struct ctl_command *const c = &ctl_commands[i];

		fprintf(out, "| `%s` | %s | %s |\n", ctl_usage(c, usage, sizeof(usage)),
		        level_name(c), c->help);
	}
	fputs("\n| Counter | Meaning |\n|---|---|\n", out);
	for (unsigned i = 0; i < STAT_COUNT; i++)
		fprintf(out, "| `%s` | %s |\n", stat_names[i].name, stat_names[i].help);
	for (unsigned i = 0; i < N_OWN_STATS; i++)
		fprintf(out, "| `%s` | %s |\n", own_stats[i].name, own_stats[i].help);
}

static void completion_words(FILE *out, const struct ctl_command *c)
{
	for (const struct ctl_param *p = c->params; p->type != CTL_END; p++) {
		if (p->use == CTL_OPTION)
			fprintf(out, " --%s", p->name);
		else if (p->type == CTL_WORD)
			fprintf(out, " %s", p->words);
	}
}

/*
 * Words so far decide: what is a command's name in full gets its options, what begins names gets
 * their next words.
 */
void manual_completion(FILE *out)
{
	fputs("# bash completion for turnpikectl\n_turnpikectl()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words='' i w skip=0 name next\n"
	      "\tlocal -a names options\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tw=${COMP_WORDS[i]}\n"
	      "\t\tif ((skip)); then skip=0; continue; fi\n"
	      "\t\tcase $w in\n"
	      "\t\t-c|--socket) skip=1 ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) words=${words:+$words }$w ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase ${COMP_WORDS[COMP_CWORD-1]} in\n"
	      "\t-c|--socket) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	      "\tesac\n"
	      "\tcase $words in\n",
	      out);
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++) {
		const struct ctl_command *const c = &ctl_commands[i];

		if (c->params[0].type == CTL_END)
			continue;
		fprintf(out, "\t'%s'*) options=(", c->name);
		completion_words(out, c);
		fputs(" ) ;;\n", out);
	}
	fputs("\t'') options=(-c --socket --json --help --version) ;;\n\tesac\n\tnames=(\n", out);
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++)
		fprintf(out, "\t\t'%s'\n", ctl_commands[i].name);
	fputs("\t)\n"
	      "\tfor name in \"${names[@]}\"; do\n"
	      "\t\tcase $name in\n"
	      "\t\t${words:+\"$words \"}*) next=${name#\"${words:+$words }\"}; "
	      "options+=(\"${next%% *}\") ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tCOMPREPLY=($(compgen -W \"${options[*]}\" -- \"$cur\"))\n"
	      "}\ncomplete -F _turnpikectl turnpikectl\n",
	      out);
}
