/* The command line: every option, every error. */
#include <stdio.h>
#include <unistd.h>

#include "exit.h"
#include "pkt-gen/options.h"
#include "tests/support.h"

enum { WORDS_MAX = 128 };

/* A copy of each word on the heap, for secrets are overwritten where they stand. */
struct line {
	char *argv[WORDS_MAX];
	int argc;
	char said[4096]; /* what was printed to `fd` */
	int code;
	struct options o;
};

static void add_words(struct line *l, const char *text)
{
	char *copy = strdup(text), *save = NULL;

	for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		l->argv[l->argc++] = copy_exact(w, strlen(w) + 1);
	free(copy);
}

/* Parses, with what goes to descriptor `fd` caught. */
static struct line *parse(const char *text, int fd)
{
	struct line *l = calloc(1, sizeof(*l));
	FILE *caught = tmpfile();
	const int kept = dup(fd);

	add_words(l, "turnpike-gen");
	add_words(l, text);
	fflush(stdout);
	fflush(stderr);
	dup2(fileno(caught), fd);
	l->code = options_parse(&l->o, l->argc, l->argv);
	fflush(stdout);
	fflush(stderr);
	dup2(kept, fd);
	close(kept);
	rewind(caught);
	l->said[fread(l->said, 1, sizeof(l->said) - 1, caught)] = '\0';
	fclose(caught);
	return l;
}

static void forget(struct line *l)
{
	const char *const texts[] = { l->o.user,   l->o.password, l->o.rest_secret, l->o.storm,
		                      l->o.replay, l->o.json,     l->o.html,        l->o.record };

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free((void *)(uintptr_t)texts[i]); /* a process that lives on would leak them */
	for (int i = 0; i < l->argc; i++)
		free(l->argv[i]);
	free(l);
}

#define BASE "--port af_packet:eth0 --address 198.18.0.2/24 "
#define SERVER "--server 198.18.0.1:3478 --user alice --password secret "

static void refuses(const char *text, const char *wanted)
{
	struct line *l = parse(text, STDERR_FILENO);

	CHECK(l->code == EXIT_CODE_USAGE, text);
	CHECK(strncmp(l->said, "turnpike-gen: ", 14) == 0, text);
	CHECK(strstr(l->said, wanted) != NULL, l->said);
	if (strstr(l->said, wanted) == NULL)
		printf("  for: %s\n  said: %s  wanted: %s\n", text, l->said, wanted);
	/* One line. */
	CHECK(strchr(l->said, '\n') == l->said + strlen(l->said) - 1, text);
	forget(l);
}

static struct line *takes(const char *text)
{
	struct line *l = parse(text, STDERR_FILENO);

	CHECK(l->code == 0, text);
	if (l->code != 0)
		printf("  for: %s\n  said: %s", text, l->said);
	return l;
}

static void test_defaults(void)
{
	struct line *l = takes(BASE SERVER);

	CHECK(l->o.n_ports == 1 && l->o.port[0].n_addresses == 1, "one port");
	CHECK(strcmp(l->o.port[0].device, "af_packet:eth0") == 0, "device with its kind");
	CHECK(l->o.clients == 1 && l->o.peers == 1, "one call");
	CHECK(l->o.client_family == 4 && l->o.peer_family == 4, "IPv4");
	CHECK(l->o.client_port_min == 10000 && l->o.client_port_max == 29999, "ports of clients");
	CHECK(l->o.peer_port_min == 30000 && l->o.peer_port_max == 49999, "ports of peers");
	CHECK(l->o.rate_kind == RATE_PPS && l->o.rate == 1000, "1kpps");
	CHECK(l->o.duration_s == 5 && l->o.drain_s == 0.5, "times");
	CHECK(l->o.direction == DIRECTION_C2P && l->o.wrap == OPTION_CHANNEL, "ChannelData");
	CHECK(l->o.profile.n_sizes == 1 && l->o.profile.size[0] == 160, "160 octets");
	CHECK(l->o.find == FIND_NOTHING && !l->o.latency && !l->o.bias, "one trial");
	CHECK(l->o.loss == 0.005 && l->o.precision == 0.01 && l->o.trial_s == 2, "of a search");
	CHECK(!l->o.round_robin && !l->o.no_check && !l->o.poll && !l->o.give_back, "flags");
	CHECK(l->o.seed == 1 && l->o.replay_speed == 1, "seed and speed");
	CHECK(l->o.clients_from.len == 0 && l->o.peers_from.len == 0, "the port's own address");
	forget(l);
}

static void test_every_option(void)
{
	struct line *l =
		takes("--port=af_packet:eth0 --address=198.18.0.2/24 --address fd00:18::2/64 "
	              "--port af_xdp:eth1 --address 198.19.0.2/24 "
	              "--clients-from 10.1.0.0/16 --client-ports 1024-2047 "
	              "--peers-from fd00:19::/64 --peer-ports 7-7 "
	              "--next-hop 02:11:22:aa:bB:CC --cores 1,4-6 --poll "
	              "--server 198.18.0.1:3478 --server [fd00:18::1]:3479 "
	              "--user u%u --password p%u --clients 1000 --peers 3 --family 46 "
	              "--lifetime 777 --setup-rate 12.5 --setup-window 9 --old-channels "
	              "--direction both --wrap mixed --size audio --rate 500calls "
	              "--duration 7.5 --drain 0 --order round --no-check --find pdr --latency "
	              "--trial 3 --precision 0.02 --loss 0.001 --p99 30 --budget 60 "
	              "--json - --html r.html --record r.pcapng --live --quiet "
	              "--storm-rate 50 --storm-seed 18446744073709551615 --replay-speed 2");
	const struct options *o = &l->o;

	CHECK(o->n_ports == 2 && o->port[0].n_addresses == 2 && o->port[1].n_addresses == 1,
	      "ports");
	CHECK(o->clients_from.len == 112 && o->peers_from.len == 64, "prefixes");
	CHECK(o->client_port_min == 1024 && o->client_port_max == 2047, "client ports");
	CHECK(o->peer_port_min == 7 && o->peer_port_max == 7, "one peer port");
	CHECK(o->has_next_hop && o->next_hop[0] == 2 && o->next_hop[5] == 0xCC, "next hop");
	CHECK(o->n_cores == 4 && o->cores[0] == 1 && o->cores[3] == 6, "cores");
	CHECK(o->server[0].port == 3478 && o->server[1].port == 3479, "two families");
	CHECK(strcmp(o->user, "u%u") == 0 && strcmp(o->password, "p%u") == 0, "credentials");
	CHECK(o->clients == 1000 && o->peers == 3, "clients");
	CHECK(o->client_family == 4 && o->peer_family == 6, "crossing");
	CHECK(o->lifetime_s == 777 && o->setup_rate == 12.5 && o->setup_window == 9, "setup");
	CHECK(o->old_channels && !o->permissions_only, "channels");
	CHECK(o->direction == DIRECTION_BOTH && o->wrap == OPTION_MIXED, "way");
	CHECK(o->profile.pps == 50, "audio");
	CHECK(o->rate_kind == RATE_CALLS && o->rate == 500, "calls");
	CHECK(o->duration_s == 7.5 && o->drain_s == 0, "times");
	CHECK(o->round_robin && o->no_check && o->poll && o->live && o->quiet, "flags");
	CHECK(o->find == FIND_PDR && o->latency && o->trial_s == 3, "search");
	CHECK(o->precision == 0.02 && o->loss == 0.001 && o->budget_s == 60 && o->p99_ms == 30,
	      "search's ends");
	CHECK(strcmp(o->json, "-") == 0 && strcmp(o->html, "r.html") == 0 &&
	              strcmp(o->record, "r.pcapng") == 0,
	      "files");
	CHECK(o->storm_rate == 50 && o->seed == UINT64_MAX && o->replay_speed == 2, "storm");
	forget(l);
}

static void test_rates(void)
{
	static const struct {
		const char *text;
		enum option_rate kind;
		double rate;
	} rows[] = { { "100kpps", RATE_PPS, 100e3 }, { "1.5Mpps", RATE_PPS, 1.5e6 },
		     { "2Gbps", RATE_BPS, 2e9 },     { "64kbps", RATE_BPS, 64e3 },
		     { "7pps", RATE_PPS, 7 },        { "1calls", RATE_CALLS, 1 },
		     { "max", RATE_MAX, 0 } };
	static const char *const bad[] = { "",       "100",     "pps",    "0pps",
		                           "-1pps",  "1e3pps ", "2Gpps",  "3Tbps",
		                           "1kHz",   "maxi",    "infpps", "0x10pps",
		                           "nanpps", "1 kpps",  "+5pps",  "20Mcalls" };

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		struct line *l;

		snprintf(text, sizeof(text), BASE SERVER "--size audio --rate %s", rows[i].text);
		l = takes(text);
		CHECK(l->o.rate_kind == rows[i].kind && l->o.rate == rows[i].rate, rows[i].text);
		forget(l);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[256], *argument = strchr(bad[i], ' ');

		if (argument != NULL || bad[i][0] == '\0')
			continue;
		snprintf(text, sizeof(text), BASE SERVER "--rate %s", bad[i]);
		refuses(text, "--rate: '");
	}
}

/* What was found, what is allowed, and the nearest known one. */
static void test_bad_values(void)
{
	static const char *const rows[][2] = {
		{ "--prot x", "--prot: there is no such option; did you mean --port?" },
		{ "--adress 1", "--adress: there is no such option; did you mean --address?" },
		{ "--zzzzzzzz", "--zzzzzzzz: there is no such option (" },
		{ "eth0", "'eth0' is no option" },
		{ "--", "'--' is no option" },
		{ "--port eth0", "--port: 'eth0' is not a device of at most 255 octets" },
		{ "--port af_packet:", "--port: 'af_packet:' is not a device" },
		{ "--port af_packet:abcdefghijklmnop", "is not a device" },
		{ "--port memif:x", "--port: 'memif:x' is not a device" },
		{ "--port", "--port: nothing was given; it takes a device" },
		{ "--address 1.2.3.4/24",
		  "--address: stands before the --port that it belongs to" },
		{ BASE "--address 1.2.3.400/24",
		  "--address: '1.2.3.400/24' is not an address with its" },
		{ BASE "--clients-from 10.0.0.1/8",
		  "--clients-from: '10.0.0.1/8' is not a prefix whose" },
		{ BASE "--peers-from x", "--peers-from: 'x' is not a prefix" },
		{ BASE "--client-ports 5",
		  "--client-ports: '5' is not a range of ports A-B from 1" },
		{ BASE "--client-ports 9-5", "'9-5' is not a range" },
		{ BASE "--client-ports 0-5", "'0-5' is not a range" },
		{ BASE "--peer-ports 1-65536", "--peer-ports: '1-65536' is not a range" },
		{ BASE "--peer-ports 1-2x", "'1-2x' is not a range" },
		{ BASE "--next-hop 1:2:3:4:5:6", "--next-hop: '1:2:3:4:5:6' is not a unicast MAC" },
		{ BASE "--next-hop 01:00:5e:00:00:01", "is not a unicast MAC address" },
		{ BASE "--next-hop 02:00:00:00:00:0g", "is not a unicast MAC address" },
		{ BASE "--cores 1,1",
		  "--cores: '1,1' is not a list of at most 16 different cores" },
		{ BASE "--cores 5-2", "'5-2' is not a list" },
		{ BASE "--cores 0-16", "'0-16' is not a list" },
		{ BASE "--cores a", "'a' is not a list" },
		{ BASE "--cores 1,", "'1,' is not a list" },
		{ BASE "--server 1.2.3.4",
		  "--server: '1.2.3.4' is not an address and a port, as in" },
		{ BASE "--user=", "--user: '' is not a text that is not empty" },
		{ BASE "--setup trun", "is not one of turn, reflect, swap; did you mean turn?" },
		{ BASE "--clients 16777217",
		  "--clients: '16777217' is not a whole number from 0 to 16777216" },
		{ BASE "--clients -1", "'-1' is not a whole number" },
		{ BASE "--clients 1k", "'1k' is not a whole number" },
		{ BASE "--peers 0", "--peers: '0' is not a whole number from 1 to 4096" },
		{ BASE "--family 5", "--family: '5' is not one of 4, 6, 46, 64" },
		{ BASE "--family 464", "'464' is not one of" },
		{ BASE "--lifetime 86401",
		  "--lifetime: '86401' is not a whole number from 0 to 86400" },
		{ BASE "--setup-rate x", "--setup-rate: 'x' is not a number from 0 to 10000000" },
		{ BASE "--setup-window 0", "--setup-window: '0' is not" },
		{ BASE "--direction c2d",
		  "--direction: 'c2d' is not one of c2p, p2c, both, c2c; did you" },
		{ BASE "--wrap chanel", "did you mean channel?" },
		{ BASE "--size 5x",
		  "--size: '5x' is not a number of octets from 24 to 1400, or one of" },
		{ BASE "--duration 0.05", "--duration: '0.05' is not a number from 0.1 to 86400" },
		{ BASE "--duration 1s", "'1s' is not a number" },
		{ BASE "--duration inf", "'inf' is not a number" },
		{ BASE "--drain 61", "--drain: '61' is not a number from 0 to 60" },
		{ BASE "--order rand", "--order: 'rand' is not one of random, round" },
		{ BASE "--find ndx",
		  "--find: 'ndx' is not one of ndr, pdr, both; did you mean ndr?" },
		{ BASE "--storm-rate -1", "--storm-rate: '-1' is not a number from 0" },
		{ BASE "--storm-seed 18446744073709551616", "is not a whole number" },
		{ BASE "--replay-speed 0", "--replay-speed: '0' is not a number from 0.001" },
		{ BASE "--trial 0", "--trial: '0' is not a number from 0.1" },
		{ BASE "--precision 0.6", "--precision: '0.6' is not a number from 0.0001 to 0.5" },
		{ BASE "--loss 1", "--loss: '1' is not a number from 0 to 0.5" },
		{ BASE "--p99 x", "--p99: 'x' is not a number from 0 to 10000" },
		{ BASE "--budget 99999", "--budget: '99999' is not a number from 0 to 86400" },
		{ BASE "--poll=yes", "--poll: 'yes' was given, but it takes no value" },
		{ BASE "--clients 1 --clients 2", "--clients: was given twice" },
		{ BASE "--password=",
		  "--password: what was given is not a text that is not empty" },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refuses(rows[i][0], rows[i][1]);
}

/* What no option can tell by itself. */
static void test_bad_together(void)
{
	static const char *const rows[][2] = {
		{ SERVER, "--port: must be given, as in --port af_packet:eth0" },
		{ "--port af_packet:a --port af_packet:b --port af_packet:c",
		  "--port: 'af_packet:c' is the third port; at most two are taken" },
		{ "--port af_packet:a --port af_packet:a",
		  "--port: 'af_packet:a' was given twice" },
		{ BASE, "--server: must be given with an IPv4 address" },
		{ BASE "--address fd00:18::2/64 --family 64 " SERVER,
		  "--server: must be given with an IPv6 address" },
		{ BASE "--server 198.18.0.1:3478", "--user: must be given" },
		{ BASE "--server 198.18.0.1:3478 --user a",
		  "--password: or --rest-secret must be given" },
		{ BASE SERVER "--rest-secret x", "--rest-secret: goes not with --password" },
		{ BASE "--server 198.18.0.1:3478 --user a%u --rest-secret x",
		  "mints one name for all" },
		{ BASE "--server 198.18.0.1:3478 --user a%s --password x",
		  "--user: 'a%s' was given; of" },
		{ BASE "--server 198.18.0.1:3478 --user a%u%u --password x", "only one %u" },
		{ BASE "--server 198.18.0.1:3478 --user a% --password x", "only one %u" },
		{ BASE "--server 198.18.0.1:3478 --user a --password %d",
		  "--password: something else" },
		{ "--port af_packet:eth0 " SERVER "--next-hop 02:00:00:00:00:01",
		  "--clients-from: or an --address with IPv4 must be given" },
		{ BASE SERVER "--family 46",
		  "--peers-from: or an --address with IPv6 must be given" },
		{ BASE SERVER "--clients-from fd00::/64",
		  "--clients-from: an IPv6 prefix was given, but --family wants IPv4" },
		{ BASE SERVER "--clients 20001",
		  "--clients-from: there is room for 20000, but 20001 are wanted" },
		{ BASE SERVER "--clients 20000 --peers 2",
		  "--peers-from: there is room for 20000, but 40000 are wanted" },
		{ BASE SERVER "--clients-from 198.18.0.128/25",
		  "--clients-from: the prefix lies inside the network of --address" },
		{ BASE SERVER "--peers-from 198.18.0.128/25",
		  "--peers-from: the prefix lies inside" },
		{ BASE SERVER "--peer-ports 29999-30000",
		  "--peer-ports: 29999-30000 overlaps --client-ports 10000-29999" },
		{ BASE SERVER "--size 23", "--size: '23' is not a number of octets" },
		{ BASE SERVER "--size 1401", "--size: '1401' is not a number of octets" },
		{ BASE SERVER "--permissions-only",
		  "--permissions-only: goes only with --wrap send" },
		{ BASE SERVER "--rate 1calls", "--size: calls need a profile" },
		{ BASE SERVER "--find-capacity", "--size: calls need a profile" },
		{ BASE SERVER "--size audio --rate 2calls", "--rate: 2 calls need as many" },
		{ BASE SERVER "--direction c2c", "--clients: 1 were given; with --direction c2c" },
		{ BASE SERVER "--direction c2c --peers 2 --clients 6", "a multiple of 4" },
		{ BASE SERVER "--storm scan --find ndr", "--storm: goes not with another" },
		{ BASE SERVER "--find ndr --bias", "--bias: goes not with another" },
		{ BASE SERVER "--replay x --find ndr", "--replay: goes not with another" },
		{ BASE SERVER "--find ndr --find-capacity --size audio",
		  "--find-capacity: goes not with" },
		{ BASE SERVER "--storm scan --latency", "--latency: goes only with" },
		{ BASE SERVER "--rate max --latency", "--latency: needs a --rate or --find" },
		{ BASE SERVER "--clients 0", "--clients: 0 were given; only a --storm" },
		{ BASE "--setup reflect --storm scan",
		  "--setup: a --storm or --replay needs a server" },
		{ BASE "--bias --direction c2c --clients 2",
		  "--direction: c2c goes not with --bias" },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refuses(rows[i][0], rows[i][1]);
}

/* The default rate is no bound of a search, a given one is. */
static void test_search_rate(void)
{
	struct line *l = takes(BASE SERVER "--find ndr");

	CHECK(l->o.rate_kind == RATE_MAX, "none");
	forget(l);
	l = takes(BASE SERVER "--find ndr --rate 5kpps");
	CHECK(l->o.rate_kind == RATE_PPS && l->o.rate == 5000, "the one that was given");
	forget(l);
}

static void test_good_together(void)
{
	static const char *const rows[] = {
		BASE SERVER "--clients-from 10.0.0.0/24 --clients 5080000 --peers-from 10.0.1.0/24",
		BASE SERVER "--clients-from 198.18.0.128/25 --next-hop 02:00:00:00:00:01",
		BASE "--setup reflect", /* needs no server */
		BASE "--setup swap --clients 100",
		BASE "--bias",
		BASE "--give-back",
		"--port af_packet:eth0 --give-back",
		BASE "--server 198.18.0.1:3478 --storm spoofed --clients 0",
		BASE SERVER "--direction c2c --clients 8 --peers 3",
		BASE SERVER "--wrap send --permissions-only",
		BASE SERVER "--find pdr --latency --rate max",
		BASE "--server 198.18.0.1:3478 --user alice --rest-secret north",
		BASE SERVER "--peer-ports 10000-29999 --peers-from 10.0.0.0/24",
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		forget(takes(rows[i]));
}

/* A list of processes, and a report, show the command line. */
static void test_secrets(void)
{
	struct line *l = takes(BASE "--server 198.18.0.1:3478 --user alice --password=xyzzy");

	CHECK(strcmp(l->o.password, "xyzzy") == 0, "kept");
	for (int i = 0; i < l->argc; i++)
		CHECK(strstr(l->argv[i], "xyzzy") == NULL, "not in argv");
	forget(l);
	l = takes(BASE "--server 198.18.0.1:3478 --user alice --rest-secret xyzzy");
	CHECK(strcmp(l->o.rest_secret, "xyzzy") == 0, "kept");
	CHECK(strcmp(l->argv[l->argc - 1], "*****") == 0, "overwritten");
	forget(l);
	l = parse(BASE SERVER "--rest-secret xyzzy", STDERR_FILENO);
	CHECK(strstr(l->said, "xyzzy") == NULL, "not in a message");
	forget(l);
}

/* One table drives them all. */
static void test_told(void)
{
	static const char *const names[] = { "--port DEVICE", "--find-capacity", "--storm-seed N",
		                             "--rate RATE",   "--give-back",     "--version" };
	static const char *const manual[] = { ".SS \"Traffic\"", ".B \\-\\-rate \\fIRATE\\fR",
		                              ".SH EXIT STATUS", "Default: 10000\\-29999" };
	char *text = NULL;
	size_t len = 0;
	FILE *f;
	struct line *l = parse("--help", STDOUT_FILENO);

	CHECK(l->code == -1, "the end");
	forget(l);
	l = parse("--version", STDOUT_FILENO);
	CHECK(l->code == -1 && strncmp(l->said, "turnpike-gen ", 13) == 0, "version");
	forget(l);
	l = parse("-h", STDOUT_FILENO);
	CHECK(l->code == -1 && strncmp(l->said, "usage: turnpike-gen", 19) == 0, "short");
	forget(l);

	f = open_memstream(&text, &len);
	options_manual(f, false);
	fclose(f);
	for (unsigned i = 0; i < sizeof(manual) / sizeof(manual[0]); i++)
		CHECK(strstr(text, manual[i]) != NULL, manual[i]);
	free(text);
	f = open_memstream(&text, &len);
	options_manual(f, true);
	fclose(f);
	CHECK(strstr(text, "| `--family` |") != NULL && strstr(text, "4\\|6\\|46\\|64") == NULL,
	      "a row a value");
	free(text);
	f = open_memstream(&text, &len);
	fclose(f);
	free(text);
	/* --help is longer than what parse() keeps. */
	f = tmpfile();
	const int kept = dup(STDOUT_FILENO);

	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	l = parse("--help", STDERR_FILENO);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	rewind(f);
	text = calloc(1, 65536);
	len = fread(text, 1, 65535, f);
	fclose(f);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(strstr(text, names[i]) != NULL, names[i]);
	CHECK(strstr(text, " \n") == NULL, "no space at the end of a line");
	for (char *save = NULL, *at = strtok_r(text, "\n", &save); at != NULL;
	     at = strtok_r(NULL, "\n", &save))
		CHECK(strlen(at) <= 100, at);
	free(text);
	forget(l);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "defaults", test_defaults },
		{ "every option", test_every_option },
		{ "rates", test_rates },
		{ "bad values", test_bad_values },
		{ "what goes not together", test_bad_together },
		{ "what goes together", test_good_together },
		{ "rate of a search", test_search_rate },
		{ "secrets", test_secrets },
		{ "help and manual", test_told },
		CU_TEST_INFO_NULL,
	};

	return run_suite("options", tests);
}
