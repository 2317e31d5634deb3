/*
 * The table of options and what walks it; private to options*.c.
 *
 * An option is written --name VALUE or --name=VALUE. Flags take no value.
 */
#pragma once

#include <stddef.h>

#include "pkt-gen/options.h"

enum option_kind {
	OPTION_FLAG,   /* bool */
	OPTION_U32,    /* uint32_t, min to max */
	OPTION_U64,    /* uint64_t */
	OPTION_NUMBER, /* double, min to max */
	OPTION_TEXT,   /* const char *, not empty */
	OPTION_SECRET, /* the same, taken out of the command line */
	OPTION_CHOICE, /* one of `choices`, into an int-sized enum */
	OPTION_DEVICE, /* the next struct option_port */
	OPTION_ADDRESS,
	OPTION_PREFIX,
	OPTION_PORTS, /* two uint16_t, A-B */
	OPTION_MAC,
	OPTION_CORES,
	OPTION_SERVER,
	OPTION_FAMILY,
	OPTION_SIZE,
	OPTION_RATE,
	OPTION_CAPACITY, /* a flag that is a value of `find` */
	OPTION_SAY,      /* --help, --version, --manual: prints, and the end */
};

struct option_choice {
	const char *name;
	int value;
};

struct option_row {
	const char *name;
	enum option_kind kind;
	size_t at; /* offset in struct options */
	double min, max;
	const struct option_choice *choices; /* ends with a NULL name */
	const char *argument;                /* how the value is called; NULL: a flag */
	const char *def;                     /* as it would be written; NULL: none */
	const char *doc;                     /* one sentence, no full stop */
	bool again;                          /* may be given more than once */
};

/* A row without a kind's name, only `doc`, begins a section. */
extern const struct option_row option_rows[];
extern const unsigned option_n_rows;

bool option_is_section(const struct option_row *row);

/* "a whole number from 1 to 64": what may stand there. */
void option_allowed(const struct option_row *row, char *out, size_t cap);

/* How far two words are apart: letters changed, left out, put in, or swapped. */
unsigned option_distance(const char *a, const char *b);

/* What no option can tell by itself; also fills in what follows from others. 0 or an exit code. */
int options_check(struct options *o);

/* "turnpike-gen: --name: ..." on stderr; EXIT_CODE_USAGE. */
int option_fail(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void options_help(FILE *out);
