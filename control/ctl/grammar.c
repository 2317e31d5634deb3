#include "control/ctl/grammar.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"

enum { DAY_S = 24 * 3600 };

/* Names of words that stand in their place are shown in capitals. */
const struct ctl_command ctl_commands[CTL_COMMAND_COUNT] = {
	[CTL_STATUS] = { "status",
	                 CTL_READ,
	                 false,
	                 "one screen: is it up, how full, how busy",
	                 "Versions, uptimes, whether the data plane is joined, allocations and "
	                 "rows "
	                 "against their limits, listeners, relayed addresses and rates of the last "
	                 "second.",
	                 { { 0 } } },
	[CTL_SHOW_ALLOCATIONS] = { "show allocations",
	                           CTL_READ,
	                           false,
	                           "allocations",
	                           "Filters add up. Long lists come in pages: --after takes the id "
	                           "of the last row "
	                           "seen.",
	                           {
					   { "user", CTL_TEXT, CTL_OPTION, false, 1,
	                                     CTL_TEXT_MAX - 1, NULL,
	                                     "only of this user; for time-limited names the part "
	                                     "behind the "
	                                     "time is enough" },
					   { "client", CTL_ADDRESS, CTL_OPTION, false, 0, 0, NULL,
	                                     "only of clients at this address" },
					   { "peer", CTL_ADDRESS, CTL_OPTION, false, 0, 0, NULL,
	                                     "only with a permission or channel for this address" },
					   { "limit", CTL_NUMBER, CTL_OPTION, false, 1, 100000,
	                                     NULL, "at most so many rows (1000)" },
					   { "after", CTL_NUMBER, CTL_OPTION, false, 0, INT64_MAX,
	                                     NULL, "begin behind this id" },
				   } },
	[CTL_SHOW_ALLOCATION] = { "show allocation",
	                          CTL_READ,
	                          false,
	                          "one allocation with its permissions and channels",
	                          NULL,
	                          { { "id", CTL_NUMBER, CTL_REQUIRED, false, 1, INT64_MAX, NULL,
	                              "as `show allocations` prints it" } } },
	[CTL_SHOW_WORKERS] = { "show workers",
	                       CTL_READ,
	                       false,
	                       "workers of the data plane and what each has done",
	                       NULL,
	                       { { 0 } } },
	[CTL_SHOW_PORTS] = { "show ports",
	                     CTL_READ,
	                     false,
	                     "ports: device, link, packets",
	                     NULL,
	                     { { 0 } } },
	[CTL_SHOW_NEIGHBOURS] = { "show neighbours",
	                          CTL_READ,
	                          false,
	                          "next hops: address, MAC, state, rows that use them",
	                          NULL,
	                          { { 0 } } },
	[CTL_SHOW_COUNTERS] = { "show counters",
	                        CTL_READ,
	                        false,
	                        "every counter by name",
	                        "Sums over all workers since the data plane or the control process "
	                        "started.",
	                        { { "match", CTL_TEXT, CTL_OPTIONAL, false, 1, 64, NULL,
	                            "only names that contain this" },
	                          { "nonzero", CTL_FLAG, CTL_OPTION, false, 0, 0, NULL,
	                            "leave out what is zero" },
	                          { "describe", CTL_FLAG, CTL_OPTION, true, 0, 0, NULL,
	                            "with a line of explanation each" } } },
	[CTL_SHOW_CONFIG] = { "show config",
	                      CTL_READ,
	                      false,
	                      "the configuration in force, as a file that parses again",
	                      "Secrets are left out unless asked for, which needs the admin level.",
	                      { { "secrets", CTL_FLAG, CTL_OPTION, false, 0, 0, NULL,
	                          "with passwords and secrets" } } },
	[CTL_SHOW_USERS] = { "show users",
	                     CTL_READ,
	                     false,
	                     "users with a password, and their allocations",
	                     "Users of time-limited credentials are not listed: they exist by "
	                     "calculation only.",
	                     { { 0 } } },
	[CTL_DELETE_ALLOCATION] = { "delete allocation",
	                            CTL_ADMIN,
	                            false,
	                            "end it now, with its end record",
	                            NULL,
	                            { { "id", CTL_NUMBER, CTL_REQUIRED, false, 1, INT64_MAX, NULL,
	                                "as `show allocations` prints it" } } },
	[CTL_SESSION_CREATE] = { "session create",
	                         CTL_ADMIN,
	                         false,
	                         "an ICE session: legs whose media goes to each other",
	                         "Two legs are bridged one to one, more are one to many. Prints "
	                         "what each "
	                         "leg's other side has to be told.",
	                         { { "legs", CTL_NUMBER, CTL_OPTION, false, 1, 64, NULL,
	                             "how many (2)" },
	                           { "role", CTL_WORD, CTL_OPTION, false, 0, 0, "lite full",
	                             "of ICE: lite, unless said otherwise" },
	                           { "controlling", CTL_TEXT, CTL_OPTION, false, 1, 256, NULL,
	                             "full legs that offer: their numbers with commas, or all" },
	                           { "direction", CTL_TEXT, CTL_OPTION, false, 1, 511, NULL,
	                             "what each leg's peer does, with commas: sendrecv, sendonly, "
	                             "recvonly; "
	                             "the last goes for the rest" },
	                           { "family", CTL_WORD, CTL_OPTION, false, 0, 0, "ip4 ip6 both",
	                             "of candidates: both, where there are relayed addresses" },
	                           { "name", CTL_TEXT, CTL_OPTION, false, 1, 63, NULL,
	                             "for people" } } },
	[CTL_SESSION_SHOW] = { "session show",
	                       CTL_READ,
	                       false,
	                       "sessions, or one with its legs",
	                       "A list has at most 1000 rows; --after takes the id of the last one "
	                       "seen.",
	                       { { "id", CTL_NUMBER, CTL_OPTIONAL, false, 1, INT64_MAX, NULL,
	                           "which one" },
	                         { "after", CTL_NUMBER, CTL_OPTION, false, 0, INT64_MAX, NULL,
	                           "begin behind this id" } } },
	[CTL_SESSION_SET_REMOTE] = { "session set-remote",
	                             CTL_ADMIN,
	                             false,
	                             "what the other side of a leg said of itself",
	                             "SDP, a trickle fragment, or the line turnpike-agent writes. "
	                             "New user name "
	                             "and password are a restart by the other side.",
	                             { { "id", CTL_NUMBER, CTL_REQUIRED, false, 1, INT64_MAX, NULL,
	                                 "as `session show` prints it" },
	                               { "leg", CTL_NUMBER, CTL_REQUIRED, false, 1, 64, NULL,
	                                 "from 1" },
	                               { "description", CTL_LONG, CTL_REQUIRED, false, 1,
	                                 CTL_LONG_MAX, NULL,
	                                 "or - to read standard input, or @FILE" } } },
	[CTL_SESSION_ADD_CANDIDATE] = { "session add-candidate",
	                                CTL_ADMIN,
	                                false,
	                                "one more candidate of a leg's other side",
	                                "A candidate line of SDP; end-of-candidates when there are "
	                                "no more.",
	                                { { "id", CTL_NUMBER, CTL_REQUIRED, false, 1, INT64_MAX,
	                                    NULL, "as `session show` prints it" },
	                                  { "leg", CTL_NUMBER, CTL_REQUIRED, false, 1, 64, NULL,
	                                    "from 1" },
	                                  { "candidate", CTL_TEXT, CTL_REQUIRED, false, 1, 511,
	                                    NULL, "candidate:... or end-of-candidates" },
	                                  { "ufrag", CTL_TEXT, CTL_OPTION, false, 1, 256, NULL,
	                                    "whose generation it is of (that of now)" } } },
	[CTL_SESSION_ADD_LEG] = { "session add-leg",
	                          CTL_ADMIN,
	                          false,
	                          "one more leg of a session",
	                          NULL,
	                          { { "id", CTL_NUMBER, CTL_REQUIRED, false, 1, INT64_MAX, NULL,
	                              "as `session show` prints it" },
	                            { "role", CTL_WORD, CTL_OPTION, false, 0, 0, "lite full",
	                              "of ICE: lite, unless said otherwise" },
	                            { "controlling", CTL_FLAG, CTL_OPTION, false, 0, 0, NULL,
	                              "a full leg that offers" },
	                            { "direction", CTL_WORD, CTL_OPTION, false, 0, 0,
	                              "sendrecv sendonly recvonly",
	                              "what its peer does (sendrecv)" },
	                            { "family", CTL_WORD, CTL_OPTION, false, 0, 0, "ip4 ip6 both",
	                              "of candidates: both, where there are relayed "
	                              "addresses" } } },
	[CTL_SESSION_RESTART] = { "session restart",
	                          CTL_ADMIN,
	                          false,
	                          "new credentials for a leg",
	                          "Media goes on over the old pair until a new one is selected.",
	                          { { "id", CTL_NUMBER, CTL_REQUIRED, false, 1, INT64_MAX, NULL,
	                              "as `session show` prints it" },
	                            { "leg", CTL_NUMBER, CTL_REQUIRED, false, 1, 64, NULL,
	                              "from 1" } } },
	[CTL_SESSION_DELETE] = { "session delete",
	                         CTL_ADMIN,
	                         false,
	                         "end a session, with its record",
	                         NULL,
	                         { { "id", CTL_NUMBER, CTL_REQUIRED, false, 1, INT64_MAX, NULL,
	                             "as `session show` prints it" } } },
	[CTL_SESSION_EVENTS] = { "session events",
	                         CTL_READ,
	                         false,
	                         "what happens to sessions, one line each, until interrupted",
	                         "Candidates, states, selected pairs, lost consent. On the socket "
	                         "each is a "
	                         "JSON-RPC notification, method session.event.",
	                         { { "session", CTL_NUMBER, CTL_OPTION, false, 1, INT64_MAX, NULL,
	                             "of this one only" } } },
	[CTL_ADD_USER] = { "add user",
	                   CTL_ADMIN,
	                   false,
	                   "a user beside those of the configuration",
	                   "Kept across a restart of the control process, gone after a clean stop. "
	                   "A password "
	                   "of - is read from standard input, so that it stands in no process "
	                   "list.",
	                   { { "name", CTL_TEXT, CTL_REQUIRED, false, 1, 508, NULL, "of the user" },
	                     { "password", CTL_TEXT, CTL_REQUIRED, false, 1, CTL_TEXT_MAX - 1, NULL,
	                       "or - to read it from standard input" } } },
	[CTL_DELETE_USER] = { "delete user",
	                      CTL_ADMIN,
	                      false,
	                      "a user made by `add user`",
	                      "Its allocations live on until they are not refreshed.",
	                      { { "name", CTL_TEXT, CTL_REQUIRED, false, 1, 508, NULL,
	                          "of the user" } } },
	[CTL_CREDENTIAL] = { "credential",
	                     CTL_ADMIN,
	                     false,
	                     "a time-limited credential, to paste somewhere",
	                     "Made under the first of auth.rest-secrets. The name it prints is the "
	                     "one to log in "
	                     "with.",
	                     {
				     { "user", CTL_TEXT, CTL_REQUIRED, false, 1, 400, NULL,
	                               "whom it is for; any name" },
				     { "ttl", CTL_SECONDS, CTL_OPTION, false, 1, 366 * DAY_S, NULL,
	                               "how long it is valid (24h)" },
				     { "ice-servers", CTL_FLAG, CTL_OPTION, true, 0, 0, NULL,
	                               "print the iceServers object for a browser" },
				     { "uclient", CTL_FLAG, CTL_OPTION, true, 0, 0, NULL,
	                               "print a command line for turnutils_uclient" },
			     } },
	[CTL_RELOAD] = { "reload",
	                 CTL_ADMIN,
	                 false,
	                 "read the configuration file again, both processes",
	                 "A file with an error is refused and the old configuration stays. The "
	                 "same as "
	                 "signal HUP.",
	                 { { 0 } } },
	[CTL_SET_LOG_LEVEL] = { "set log-level",
	                        CTL_ADMIN,
	                        false,
	                        "of the control process, until it restarts",
	                        NULL,
	                        { { "level", CTL_WORD, CTL_REQUIRED, false, 0, 0,
	                            "error warning info debug",
	                            "least important line to write" } } },
	[CTL_WATCH] = { "watch",
	                CTL_READ,
	                true,
	                "rates, one line each interval",
	                NULL,
	                { { "interval", CTL_SECONDS, CTL_OPTION, true, 1, 3600, NULL,
	                    "seconds between lines (1)" },
	                  { "count", CTL_NUMBER, CTL_OPTION, true, 1, INT64_MAX, NULL,
	                    "stop after so many lines" } } },
	[CTL_DRAIN] = { "drain",
	                CTL_ADMIN,
	                false,
	                "take no new allocations; those there are go on",
	                "New Allocate requests are answered 508. Signal USR1 drains too.",
	                { { "state", CTL_WORD, CTL_OPTIONAL, false, 0, 0, "on off",
	                    "on, unless said otherwise" } } },
	[CTL_STOP] = { "stop",
	               CTL_ADMIN,
	               false,
	               "stop the relay; every allocation ends with its record",
	               "With --keep allocations stay in the store and go on after the next start.",
	               { { "keep", CTL_FLAG, CTL_OPTION, false, 0, 0, NULL,
	                   "leave the allocations to the next start" } } },
	[CTL_HELP] = { "help",
	               CTL_READ,
	               false,
	               "commands, or one command",
	               NULL,
	               { { "command", CTL_TEXT, CTL_OPTIONAL, false, 1, 64, NULL,
	                   "its words, quoted or not" } } },
	[CTL_COMPLETION] = { "completion",
	                     CTL_READ,
	                     true,
	                     "a script for the shell: source <(turnpikectl completion bash)",
	                     NULL,
	                     { { "shell", CTL_WORD, CTL_REQUIRED, true, 0, 0, "bash",
	                         "whose completion" } } },
};

static bool complain(struct ctl_complaint *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static bool complain(struct ctl_complaint *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return false;
}

const struct ctl_command *ctl_find(const char *name)
{
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++)
		if (strcmp(ctl_commands[i].name, name) == 0)
			return &ctl_commands[i];
	return NULL;
}

enum ctl_id ctl_id_of(const struct ctl_command *c)
{
	return (enum ctl_id)(c - ctl_commands);
}

int ctl_param_find(const struct ctl_command *c, const char *name, size_t len)
{
	for (int i = 0; c->params[i].type != CTL_END; i++)
		if (strlen(c->params[i].name) == len && memcmp(c->params[i].name, name, len) == 0)
			return i;
	return -1;
}

static bool word_listed(const char *words, const char *text, size_t len)
{
	for (; *words; words += strcspn(words, " "), words += *words == ' ')
		if (strcspn(words, " ") == len && memcmp(words, text, len) == 0)
			return true;
	return false;
}

static uint64_t unit_s(char unit)
{
	switch (unit) {
	case 's': return 1;
	case 'm': return 60;
	case 'h': return 3600;
	case 'd': return DAY_S;
	default: return 0;
	}
}

/* Digits, and a unit where it is a duration; -1: not a number, or one beyond INT64_MAX. */
static int64_t read_number(const struct ctl_param *p, const char *text, size_t len)
{
	uint64_t n = 0, unit = 1;

	if (p->type == CTL_SECONDS && len > 1 && (unit = unit_s(text[len - 1])) != 0)
		len--;
	else
		unit = 1;
	if (len == 0 || len > 19)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		n = n * 10 + (uint64_t)(text[i] - '0');
	}
	return n > INT64_MAX / unit ? -1 : (int64_t)(n * unit);
}

bool ctl_take_number(const struct ctl_param *p, int64_t number, struct ctl_value *out,
                     struct ctl_complaint *why)
{
	if (p->type != CTL_NUMBER && p->type != CTL_SECONDS)
		return complain(why, "'%s' is not a number", p->name);
	if (number < 0 || (uint64_t)number < p->min || (uint64_t)number > p->max)
		return complain(why, "'%s' must be %llu to %llu%s", p->name,
		                (unsigned long long)p->min, (unsigned long long)p->max,
		                p->type == CTL_SECONDS ? " seconds" : "");
	out->number = (uint64_t)number;
	snprintf(out->text, sizeof(out->text), "%llu", (unsigned long long)number);
	out->given = true;
	return true;
}

static bool take_long(const struct ctl_param *p, const char *text, size_t len,
                      struct ctl_value *out, struct ctl_complaint *why)
{
	if (len < p->min || len > p->max || memchr(text, '\0', len))
		return complain(why, "'%s' must have %llu to %llu octets, none of them NUL",
		                p->name, (unsigned long long)p->min, (unsigned long long)p->max);
	free(out->longer);
	out->longer = strndup(text, len);
	out->given = out->longer != NULL;
	return out->given || complain(why, "no memory");
}

void ctl_args_release(struct ctl_args *a)
{
	for (unsigned i = 0; i < CTL_PARAMS_MAX; i++) {
		if (a->value[i].longer)
			OPENSSL_cleanse(a->value[i].longer, strlen(a->value[i].longer));
		free(a->value[i].longer);
	}
	OPENSSL_cleanse(a, sizeof(*a));
}

bool ctl_take_text(const struct ctl_param *p, const char *text, size_t len, struct ctl_value *out,
                   struct ctl_complaint *why)
{
	struct addr addr;
	struct ctl_value v = { .given = true };

	if (p->type == CTL_LONG)
		return take_long(p, text, len, out, why);
	if (len >= sizeof(v.text) || memchr(text, '\0', len))
		return complain(why, "'%s' is longer than %d octets or holds a NUL", p->name,
		                CTL_TEXT_MAX - 1);
	memcpy(v.text, text, len);
	switch (p->type) {
	case CTL_TEXT:
		if (len < p->min || len > p->max)
			return complain(why, "'%s' must have %llu to %llu octets", p->name,
			                (unsigned long long)p->min, (unsigned long long)p->max);
		break;
	case CTL_WORD:
		if (!word_listed(p->words, text, len))
			return complain(why, "'%s' must be one of: %s", p->name, p->words);
		break;
	case CTL_NUMBER:
	case CTL_SECONDS: return ctl_take_number(p, read_number(p, text, len), out, why);
	case CTL_ADDRESS:
		if (!addr_parse(v.text, &addr))
			return complain(why, "'%s' must be an IPv4 or IPv6 address", p->name);
		addr_print(&addr, v.text);
		break;
	case CTL_LONG:
	case CTL_FLAG:
	case CTL_END: return complain(why, "'%s' is a flag and takes no value", p->name);
	}
	*out = v;
	return true;
}

static void upper(const char *name, char out[32])
{
	size_t i = 0;

	for (; name[i] && i < 31; i++)
		out[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
	out[i] = '\0';
}

char *ctl_usage(const struct ctl_command *c, char *out, size_t cap)
{
	size_t n = (size_t)snprintf(out, cap, "%s", c->name);

	for (const struct ctl_param *p = c->params; p->type != CTL_END && n < cap; p++) {
		char word[32];

		upper(p->name, word);
		if (p->use == CTL_REQUIRED)
			n += (size_t)snprintf(out + n, cap - n, " %s", word);
		else if (p->use == CTL_OPTIONAL)
			n += (size_t)snprintf(out + n, cap - n, " [%s]", word);
		else if (p->type == CTL_FLAG)
			n += (size_t)snprintf(out + n, cap - n, " [--%s]", p->name);
		else
			n += (size_t)snprintf(out + n, cap - n, " [--%s %s]", p->name, word);
	}
	return out;
}

/* Levenshtein, of short names. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64];
	const size_t n = strlen(b);

	if (n >= sizeof(row) / sizeof(row[0]) || strlen(a) >= 64)
		return 64;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			const unsigned swap = diagonal + (*a != b[j - 1]);

			diagonal = row[j];
			row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
			if (swap < row[j])
				row[j] = swap;
		}
	}
	return row[n];
}

/* "sh alloc" abbreviates "show allocations": word by word a beginning. */
static bool abbreviates(const char *name, const char *known)
{
	while (*name && *known) {
		const size_t len = strcspn(name, " ");

		if (len == 0 || strncmp(name, known, len) != 0)
			return false;
		name += len + (name[len] == ' ');
		known += strcspn(known, " ");
		known += *known == ' ';
	}
	return !*name;
}

const char *ctl_nearest(const char *name)
{
	const char *best = NULL;
	unsigned least = 64;

	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++) {
		const char *const known = ctl_commands[i].name;
		unsigned d = distance(name, known);

		if (d > 1 && abbreviates(name, known))
			d = 1;
		if (d < least) {
			least = d;
			best = known;
		}
	}
	return least <= 1 + strlen(name) / 4 ? best : NULL;
}
