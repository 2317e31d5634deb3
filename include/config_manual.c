/* The settings table as turnpike.yaml(5) and as rows of a Markdown table. */
#include <string.h>

#include "config_table.h"

static const char *default_of(const struct setting *s)
{
	return s->required ? "required" : s->def != NULL ? s->def : s->def_told;
}

/* A bar would end the cell. */
static void put_cell(FILE *out, const char *text)
{
	fputs(" ", out);
	for (; *text != '\0'; text++)
		fprintf(out, "%s%c", *text == '|' ? "\\" : "", *text);
	fputs(" |", out);
}

static void markdown_rows(FILE *out)
{
	fputs("| Setting | Value | Default | Meaning |\n|---|---|---|---|\n", out);
	for (unsigned i = 0; i < config_n_settings; i++) {
		const struct setting *s = &config_settings[i];
		char allowed[320];

		config_table_allowed(s, allowed, sizeof(allowed));
		fprintf(out, "| `%s` |", s->key);
		put_cell(out, allowed);
		put_cell(out, default_of(s));
		put_cell(out, s->doc);
		fputc('\n', out);
	}
}

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

static void troff_entry(FILE *out, const struct setting *s)
{
	char allowed[320];

	config_table_allowed(s, allowed, sizeof(allowed));
	fputs(".TP\n.B ", out);
	put_troff(out, s->key);
	fputc('\n', out);
	put_troff(out, s->doc);
	fputs(".\n.br\nValue: ", out);
	put_troff(out, allowed);
	fputs(s->required ? ".\nIt must be given" : ".\nDefault: ", out);
	if (!s->required)
		put_troff(out, default_of(s));
	fputs(".\n", out);
}

static const char troff_head[] =
	".TH TURNPIKE.YAML 5 \"\" \"turnpike " TURNPIKE_VERSION "\" \"File formats\"\n"
	".SH NAME\n"
	"turnpike.yaml \\- the configuration of a relay\n"
	".SH DESCRIPTION\n"
	"All programs of a relay read one YAML file. A key with a dot names a key in a map:\n"
	".B limits.allocations\n"
	"is\n"
	".B allocations\n"
	"in the map\n"
	".BR limits ;\n"
	"it may also be written with the dot.\n"
	"Keys of\n"
	".B ports\n"
	"and\n"
	".B listeners\n"
	"stand in each entry of the list. Unknown keys, keys given twice and values out of range "
	"are\n"
	"refused with file, line and setting.\n"
	".PP\n"
	"A secret is written as text, as\n"
	".B { file: PATH }\n"
	"(the file's octets less a newline at the end; a relative path starts where the "
	"configuration\n"
	"lies), or as\n"
	".BR \"{ env: NAME }\" .\n"
	"The text (redacted) stands for a secret that nobody knows.\n"
	".SH SETTINGS\n";

static const char troff_tail[] = ".SH SEE ALSO\n"
				 ".BR turnpike (8),\n"
				 ".BR turnpikectl (1)\n";

void config_manual(FILE *out, bool markdown)
{
	if (markdown) {
		markdown_rows(out);
		return;
	}
	fputs(troff_head, out);
	for (unsigned i = 0; i < config_n_settings; i++)
		troff_entry(out, &config_settings[i]);
	fputs(troff_tail, out);
}
