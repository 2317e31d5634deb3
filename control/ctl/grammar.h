/*
 * The commands of the control socket, as one table. Dispatch, argument checks, `help`, shell
 * completion, turnpikectl(8) and the parser of turnpikectl all read it.
 *
 * On the wire a command is a JSON-RPC 2.0 method of the same name, its parameters an object with
 * the names below; numbers and durations (seconds) are integers, flags are booleans.
 * Threads    Constant data.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CTL_PARAMS_MAX = 6,
	CTL_LONG_MAX = 16 * 1024, /* octets of a long one */
	CTL_TEXT_MAX = 512, /* octets of a text parameter, NUL included: a user name has 508 */
	CTL_LINE_MAX = 64 * 1024, /* octets of a request line, newline included */
};

/* Who may: identity comes from SO_PEERCRED. */
enum ctl_level {
	CTL_NOBODY = 0,
	CTL_READ = 1,  /* members of the socket's group */
	CTL_ADMIN = 2, /* root and the user the control process runs as */
};

enum ctl_type {
	CTL_END = 0, /* behind the last parameter */
	CTL_TEXT,
	CTL_LONG,    /* text of any length; turnpikectl takes - for stdin, @FILE for a file */
	CTL_WORD,    /* one of `words` */
	CTL_NUMBER,  /* min..max */
	CTL_SECONDS, /* the same; people may write 90s, 10m, 24h, 7d */
	CTL_ADDRESS, /* IPv4 or IPv6 */
	CTL_FLAG,
};

enum ctl_use {
	CTL_REQUIRED, /* a word in its place */
	CTL_OPTIONAL, /* a word that may be left out; behind the required ones */
	CTL_OPTION,   /* --name VALUE, or --name for a flag */
};

struct ctl_param {
	const char *name;
	enum ctl_type type;
	enum ctl_use use;
	bool local; /* for turnpikectl alone; never sent */
	uint64_t min, max;
	const char *words; /* CTL_WORD: separated by one space */
	const char *help;
};

enum ctl_id {
	CTL_STATUS,
	CTL_SHOW_ALLOCATIONS,
	CTL_SHOW_ALLOCATION,
	CTL_SHOW_WORKERS,
	CTL_SHOW_PORTS,
	CTL_SHOW_NEIGHBOURS,
	CTL_SHOW_COUNTERS,
	CTL_SHOW_CONFIG,
	CTL_SHOW_USERS,
	CTL_DELETE_ALLOCATION,
	CTL_SESSION_CREATE,
	CTL_SESSION_SHOW,
	CTL_SESSION_SET_REMOTE,
	CTL_SESSION_ADD_CANDIDATE,
	CTL_SESSION_ADD_LEG,
	CTL_SESSION_RESTART,
	CTL_SESSION_DELETE,
	CTL_SESSION_EVENTS,
	CTL_ADD_USER,
	CTL_DELETE_USER,
	CTL_CREDENTIAL,
	CTL_RELOAD,
	CTL_SET_LOG_LEVEL,
	CTL_WATCH,
	CTL_DRAIN,
	CTL_STOP,
	CTL_HELP,
	CTL_COMPLETION,
	CTL_COMMAND_COUNT
};

struct ctl_command {
	const char *name;
	enum ctl_level level;
	bool local;        /* turnpikectl does it; not a method of the socket */
	const char *help;  /* one line, no full stop */
	const char *about; /* more, in sentences; may be NULL */
	struct ctl_param params[CTL_PARAMS_MAX + 1];
};

extern const struct ctl_command ctl_commands[CTL_COMMAND_COUNT]; /* index: enum ctl_id */

/* The command of exactly this name, or NULL. */
const struct ctl_command *ctl_find(const char *name);
enum ctl_id ctl_id_of(const struct ctl_command *c);

/* Index of the parameter in c->params, or -1. */
int ctl_param_find(const struct ctl_command *c, const char *name, size_t len);

/* Values by index in c->params. */
struct ctl_value {
	bool given;
	uint64_t number; /* NUMBER, SECONDS; 1 for a flag */
	char text[CTL_TEXT_MAX];
	char *longer; /* CTL_LONG: malloc'd, NUL-terminated; see ctl_args_release() */
};
struct ctl_args {
	struct ctl_value value[CTL_PARAMS_MAX];
};

/* Wipes and frees. */
void ctl_args_release(struct ctl_args *a);

struct ctl_complaint {
	char text[256];
};

/* Checks and stores a value given as text. false: `why` says what is allowed. */
bool ctl_take_text(const struct ctl_param *p, const char *text, size_t len, struct ctl_value *out,
                   struct ctl_complaint *why);
/* The same for a number from JSON. */
bool ctl_take_number(const struct ctl_param *p, int64_t number, struct ctl_value *out,
                     struct ctl_complaint *why);

/* "show allocation ID", "credential USER [--ttl SECONDS] [--ice-servers]": into `out`. */
char *ctl_usage(const struct ctl_command *c, char *out, size_t cap);

/* The nearest command name to a mistyped one, or NULL if nothing is near. */
const char *ctl_nearest(const char *name);
