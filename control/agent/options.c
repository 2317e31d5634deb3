/* The command line of turnpike-agent. */
#include "control/agent/options.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "control/agent/sock.h"
#include "exit.h"

struct option_row {
	const char *name, *argument; /* NULL: none */
	const char *what;
	bool (*take)(struct agent_options *o, char *value);
};

static bool fail(const char *option, const char *found, const char *why)
{
	fprintf(stderr, "turnpike-agent: --%s %s: %s\n", option, found, why);
	return false;
}

/* HOST:PORT; an IPv6 address in brackets. Every address that the name has is a server. */
static bool add_servers(struct agent_options *o, const char *option, char *host, bool turn,
                        const char *user, const char *password)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	struct addrinfo *all = NULL;
	char *const colon = strrchr(host, ':');
	char *name = host;

	if (!colon || colon == host || !colon[1])
		return fail(option, host, "HOST:PORT is wanted");
	*colon = '\0';
	if (*name == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		name++;
	}
	const int rc = getaddrinfo(name, colon + 1, &hints, &all);

	if (rc != 0)
		return fail(option, name, gai_strerror(rc));
	for (const struct addrinfo *i = all; i && o->n_servers < ICE_SERVERS_MAX; i = i->ai_next) {
		struct ice_server *const s = &o->server[o->n_servers];
		union sock at;

		*s = (struct ice_server){ .turn = turn, .user = user, .password = password };
		memcpy(&at, i->ai_addr, i->ai_addrlen < sizeof(at) ? i->ai_addrlen : sizeof(at));
		s->at = sock_endpoint(&at);
		if (!s->at.port)
			continue;
		o->n_servers++;
	}
	freeaddrinfo(all);
	return true;
}

static bool take_stun(struct agent_options *o, char *v)
{
	return add_servers(o, "stun", v, false, NULL, NULL);
}

/* HOST:PORT,USER,PASSWORD; the password may hold commas. */
static bool take_turn(struct agent_options *o, char *v)
{
	char *const user = strchr(v, ','), *const password = user ? strchr(user + 1, ',') : NULL;

	if (!password || user + 1 == password || !password[1])
		return fail("turn", "", "HOST:PORT,USER,PASSWORD is wanted");
	*user = *password = '\0';
	char *const copy = strdup(password + 1);

	explicit_bzero(password + 1, strlen(password + 1)); /* not for `ps` */
	return add_servers(o, "turn", v, true, user + 1, copy);
}

static bool take_policy(struct agent_options *o, char *v)
{
	o->relay_only = strcmp(v, "relay") == 0;
	return o->relay_only || strcmp(v, "all") == 0 ||
	       fail("policy", v, "all or relay is wanted");
}

static bool take_timeout(struct agent_options *o, char *v)
{
	char *end;
	const unsigned long s = strtoul(v, &end, 10);

	if (!*v || *end || s > 86400)
		return fail("timeout", v, "0 to 86400 seconds are wanted");
	o->timeout_s = (uint32_t)s;
	return true;
}

#define FLAG(field)                                                \
	static bool take_##field(struct agent_options *o, char *v) \
	{                                                          \
		(void)v;                                           \
		o->field = true;                                   \
		return true;                                       \
	}
#define TEXT(field)                                                \
	static bool take_##field(struct agent_options *o, char *v) \
	{                                                          \
		o->field = v;                                      \
		return true;                                       \
	}
FLAG(offer)
FLAG(answer)
FLAG(stream)
FLAG(explain)
FLAG(nat_type)
FLAG(loopback)
TEXT(local)
TEXT(remote)
TEXT(stats)
TEXT(trace)

static const struct option_row rows[] = {
	{ "stun", "HOST:PORT", "a STUN server; may be given several times", take_stun },
	{ "turn", "HOST:PORT,USER,PASSWORD", "a TURN server; may be given several times",
	  take_turn },
	{ "policy", "all|relay", "which paths may be used: all (default), or relayed ones only",
	  take_policy },
	{ "offer", NULL, "this side controls; exactly one side does", take_offer },
	{ "answer", NULL, "the other side controls", take_answer },
	{ "local", "FILE", "write the description of this side there; else it is printed on stderr",
	  take_local },
	{ "remote", "FILE",
	  "read the other side's description from there, wait until it is there; else from the "
	  "terminal",
	  take_remote },
	{ "stream", NULL, "carry stdin to stdout as a reliable stream of octets, not line by line",
	  take_stream },
	{ "stats", "FILE", "write what came of it there, as JSON, at the end", take_stats },
	{ "explain", NULL, "print the table of checks on stderr at the end", take_explain },
	{ "trace", "FILE", "write every step there, one JSON object a line", take_trace },
	{ "nat-type", NULL,
	  "ask the first --stun server what kind of NAT this is (RFC 5780), and end",
	  take_nat_type },
	{ "timeout", "SECONDS", "longest wait for the other side's description, 0 for ever (600)",
	  take_timeout },
	{ "loopback", NULL, "use loopback addresses too", take_loopback },
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]), OPTION_HELP = 1000, OPTION_VERSION, OPTION_MANUAL };

static void help(FILE *out)
{
	char left[64];

	fputs("usage: turnpike-agent (--offer | --answer) [OPTION]...\n"
	      "       turnpike-agent --nat-type --stun HOST:PORT\n\n"
	      "Finds a path to another turnpike-agent through any NATs and carries stdin and "
	      "stdout\n"
	      "over it. Exit codes: 0 connected, 1 no path (stderr says why), 2 usage.\n\n",
	      out);
	for (unsigned i = 0; i < ROWS; i++) {
		snprintf(left, sizeof(left), "--%s %s", rows[i].name,
		         rows[i].argument ? rows[i].argument : "");
		fprintf(out, "  %-32s %s\n", left, rows[i].what);
	}
}

void agent_options_manual(FILE *out)
{
	fputs(".TH TURNPIKE-AGENT 1\n.SH NAME\nturnpike-agent \\- connect two machines through any "
	      "NATs\n.SH SYNOPSIS\n.B turnpike-agent\n(\\-\\-offer | \\-\\-answer) [OPTION]...\n"
	      ".SH DESCRIPTION\nGathers addresses, writes them as one line, waits for the line of "
	      "the other side, connects by ICE (RFC 8445), then carries each line of stdin as a "
	      "datagram, or with \\-\\-stream all of stdin as a reliable stream. It ends when "
	      "stdin "
	      "has ended here and there.\n.SH OPTIONS\n",
	      out);
	for (unsigned i = 0; i < ROWS; i++)
		fprintf(out, ".TP\n.B \\-\\-%s %s\n%s\n", rows[i].name,
		        rows[i].argument ? rows[i].argument : "", rows[i].what);
	fputs(".SH EXIT STATUS\n0 connected, 1 no path, 2 usage.\n", out);
}

static int bad_usage(const char *why)
{
	fprintf(stderr, "turnpike-agent: %s; see turnpike-agent --help\n", why);
	return EXIT_CODE_USAGE;
}

static int judge(const struct agent_options *o, bool more)
{
	if (more)
		return bad_usage("an argument that belongs to no option");
	if (o->nat_type)
		return o->n_servers ? 0 : bad_usage("--nat-type needs --stun HOST:PORT");
	if (o->offer == o->answer)
		return bad_usage("either --offer or --answer is wanted");
	if (o->relay_only) {
		for (unsigned i = 0; i < o->n_servers; i++)
			if (o->server[i].turn)
				return 0;
		return bad_usage("--policy relay needs --turn HOST:PORT,USER,PASSWORD");
	}
	return 0;
}

int agent_options_parse(struct agent_options *o, int argc, char **argv)
{
	struct option table[ROWS + 4] = { 0 };
	int c;

	*o = (struct agent_options){ .timeout_s = 600 };
	for (unsigned i = 0; i < ROWS; i++)
		table[i] = (struct option){ rows[i].name,
			                    rows[i].argument ? required_argument : no_argument,
			                    NULL, (int)i + 256 };
	table[ROWS] = (struct option){ "help", no_argument, NULL, OPTION_HELP };
	table[ROWS + 1] = (struct option){ "version", no_argument, NULL, OPTION_VERSION };
	table[ROWS + 2] = (struct option){ "manual", no_argument, NULL, OPTION_MANUAL };
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case OPTION_HELP: help(stdout); return -1;
		case OPTION_VERSION: puts("turnpike-agent " TURNPIKE_VERSION); return -1;
		case OPTION_MANUAL: agent_options_manual(stdout); return -1;
		case '?': return EXIT_CODE_USAGE; /* getopt has said it */
		default:
			if (!rows[c - 256].take(o, optarg))
				return EXIT_CODE_USAGE;
		}
	}
	return judge(o, optind < argc);
}
