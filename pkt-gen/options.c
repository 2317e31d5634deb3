/* The command line, option by option. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "exit.h"
#include "pkt-gen/options_table.h"

/* One command line being read. */
struct reading {
	struct options *o;
	unsigned seen[128]; /* by row */
};

int option_fail(const char *name, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "turnpike-gen: %s%s", name != NULL ? "--" : "", name != NULL ? name : "");
	fputs(name != NULL ? ": " : "", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs(" (--help lists all)\n", stderr);
	return EXIT_CODE_USAGE;
}

static int fail_value(const struct option_row *row, const char *text)
{
	char allowed[256];
	const char *near = NULL;
	unsigned best = 3;

	option_allowed(row, allowed, sizeof(allowed));
	for (const struct option_choice *c = row->choices; c != NULL && c->name != NULL; c++) {
		const unsigned d = option_distance(text, c->name);

		if (d < best) {
			best = d;
			near = c->name;
		}
	}
	if (row->kind == OPTION_SECRET)
		return option_fail(row->name, "what was given is not %s", allowed);
	if (near != NULL)
		return option_fail(row->name, "'%.80s' is not %s; did you mean %s?", text, allowed,
		                   near);
	return option_fail(row->name, "'%.80s' is not %s", text, allowed);
}

/* --- values --- */

static bool read_whole(const char *text, double max, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && (max == 0 || (double)*out <= max);
}

/* Decimal, no sign, nothing behind it but what `end` then points at. */
static bool read_decimal(const char *text, double *out, char **end)
{
	if ((text[0] < '0' || text[0] > '9') && text[0] != '.')
		return false;
	if (text[strspn(text, "0123456789.")] == 'x')
		return false;
	*out = strtod(text, end);
	return *end != text && isfinite(*out);
}

static bool read_rate(struct options *o, const char *text)
{
	static const struct {
		const char *name;
		enum option_rate kind;
		double max;
	} units[] = { { "pps", RATE_PPS, 1e9 },
		      { "bps", RATE_BPS, 1e12 },
		      { "calls", RATE_CALLS, 1e7 } };
	double scale = 1, n;
	char *end;

	if (strcmp(text, "max") == 0) {
		o->rate_kind = RATE_MAX;
		o->rate = 0;
		return true;
	}
	if (!read_decimal(text, &n, &end))
		return false;
	if (*end == 'k' || *end == 'M' || *end == 'G') {
		scale = *end == 'k' ? 1e3 : *end == 'M' ? 1e6 : 1e9;
		end++;
	}
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		o->rate_kind = units[i].kind;
		o->rate = n * scale;
		return o->rate > 0 && o->rate <= units[i].max;
	}
	return false;
}

static bool read_ports(uint16_t out[2], const char *text)
{
	unsigned long first, last;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	first = strtoul(text, &end, 10);
	if (*end != '-' || end[1] < '0' || end[1] > '9')
		return false;
	last = strtoul(end + 1, &end, 10);
	if (*end != '\0' || first < 1 || last > UINT16_MAX || first > last)
		return false;
	out[0] = (uint16_t)first;
	out[1] = (uint16_t)last;
	return true;
}

static bool read_mac(struct options *o, const char *text)
{
	unsigned octet[6];
	char after;

	if (strlen(text) != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &octet[0], &octet[1],
	                                 &octet[2], &octet[3], &octet[4], &octet[5], &after) != 6)
		return false;
	if ((octet[0] & 1) != 0)
		return false;
	for (unsigned i = 0; i < 6; i++)
		o->next_hop[i] = (uint8_t)octet[i];
	o->has_next_hop = true;
	return true;
}

static bool add_core(struct options *o, unsigned long core)
{
	if (core >= 1024 || o->n_cores == OPTIONS_CORES_MAX)
		return false;
	for (unsigned i = 0; i < o->n_cores; i++)
		if (o->cores[i] == (int)core)
			return false;
	o->cores[o->n_cores++] = (int)core;
	return true;
}

static bool read_cores(struct options *o, const char *text)
{
	for (;;) {
		unsigned long first, last;
		char *end;

		if (text[0] < '0' || text[0] > '9')
			return false;
		first = last = strtoul(text, &end, 10);
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return false;
			last = strtoul(end + 1, &end, 10);
			if (last < first)
				return false;
		}
		for (unsigned long core = first; core <= last; core++)
			if (!add_core(o, core))
				return false;
		if (*end == '\0')
			return true;
		if (*end != ',')
			return false;
		text = end + 1;
	}
}

/* The same form as in turnpike.yaml. */
static bool read_device(struct options *o, const char *text)
{
	static const char *const kinds[] = { "pci:",    "af_packet:", "af_xdp:",
		                             "memif:/", "net_",       "eth_" };
	bool known = false;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		known |= strncmp(text, kinds[i], strlen(kinds[i])) == 0 &&
		         text[strlen(kinds[i])] != '\0';
	if (!known || strlen(text) >= sizeof(o->port[0].device) || strchr(text, ' ') != NULL)
		return false;
	if (strncmp(text, "af_", 3) == 0 && strcspn(strchr(text, ':') + 1, ",") > 15)
		return false; /* a kernel interface name */
	if (o->n_ports == OPTIONS_PORTS_MAX)
		return false;
	strcpy(o->port[o->n_ports++].device, text);
	return true;
}

static bool read_server(struct options *o, const char *text)
{
	struct endpoint at;

	if (!endpoint_parse(text, &at))
		return false;
	o->server[addr_is4(&at.addr) ? 0 : 1] = at;
	return true;
}

static bool read_family(struct options *o, const char *text)
{
	if (strspn(text, "46") != strlen(text) || strlen(text) < 1 || strlen(text) > 2)
		return false;
	o->client_family = (unsigned)(text[0] - '0');
	o->peer_family = text[1] != '\0' ? (unsigned)(text[1] - '0') : o->client_family;
	return true;
}

static bool read_choice(const struct option_row *row, int *out, const char *text)
{
	for (const struct option_choice *c = row->choices; c->name != NULL; c++)
		if (strcmp(text, c->name) == 0) {
			*out = c->value;
			return true;
		}
	return false;
}

static bool read_text(const char **out, const char *text)
{
	if (text[0] == '\0')
		return false;
	*out = strdup(text);
	return *out != NULL;
}

static bool read_u32(const struct option_row *row, uint32_t *out, const char *text)
{
	uint64_t n;

	if (!read_whole(text, row->max, &n) || (double)n < row->min)
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool read_number(const struct option_row *row, double *out, const char *text)
{
	double n;
	char *end;

	if (!read_decimal(text, &n, &end) || *end != '\0' || n < row->min || n > row->max)
		return false;
	*out = n;
	return true;
}

static bool read_value(const struct option_row *row, struct options *o, const char *text)
{
	void *at = (char *)o + row->at;
	struct option_port *port = &o->port[o->n_ports > 0 ? o->n_ports - 1 : 0];

	switch (row->kind) {
	case OPTION_U32: return read_u32(row, at, text);
	case OPTION_U64: return read_whole(text, 0, at);
	case OPTION_NUMBER: return read_number(row, at, text);
	case OPTION_TEXT:
	case OPTION_SECRET: return read_text(at, text);
	case OPTION_CHOICE: return read_choice(row, at, text);
	case OPTION_DEVICE: return read_device(o, text);
	case OPTION_ADDRESS:
		return port->n_addresses < OPTIONS_ADDRESSES_MAX &&
		       cidr_parse(text, &port->address[port->n_addresses]) &&
		       ++port->n_addresses > 0;
	case OPTION_PREFIX: return prefix_parse(text, at);
	case OPTION_PORTS: return read_ports(at, text);
	case OPTION_MAC: return read_mac(o, text);
	case OPTION_CORES: return read_cores(o, text);
	case OPTION_SERVER: return read_server(o, text);
	case OPTION_FAMILY: return read_family(o, text);
	case OPTION_SIZE: return profile_parse(text, at);
	case OPTION_RATE: return read_rate(o, text);
	default: return false;
	}
}

/* --- the line --- */

static int fail_unknown(const char *name, size_t len)
{
	char word[64];
	const char *near = NULL;
	unsigned best;

	snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1),
	         name);
	best = 2 + (unsigned)strlen(word) / 4;
	for (unsigned i = 0; i < option_n_rows; i++) {
		if (option_is_section(&option_rows[i]))
			continue;
		const unsigned d = option_distance(word, option_rows[i].name);

		if (d < best) {
			best = d;
			near = option_rows[i].name;
		}
	}
	if (near != NULL)
		return option_fail(word, "there is no such option; did you mean --%s?", near);
	return option_fail(word, "there is no such option");
}

static int say(const char *name)
{
	if (strcmp(name, "version") == 0)
		puts("turnpike-gen " TURNPIKE_VERSION);
	else if (strcmp(name, "manual") == 0)
		options_manual(stdout, false);
	else
		options_help(stdout);
	return -1;
}

static const struct option_row *find_row(const char *name, size_t len)
{
	for (unsigned i = 0; i < option_n_rows; i++)
		if (!option_is_section(&option_rows[i]) && strlen(option_rows[i].name) == len &&
		    memcmp(option_rows[i].name, name, len) == 0)
			return &option_rows[i];
	return NULL;
}

static int take_flag(struct reading *r, const struct option_row *row, const char *value)
{
	if (value != NULL)
		return option_fail(row->name, "'%.80s' was given, but it takes no value", value);
	if (row->kind == OPTION_SAY)
		return say(row->name);
	if (row->kind == OPTION_CAPACITY)
		r->o->find = FIND_CAPACITY;
	else
		*((bool *)((char *)r->o + row->at)) = true;
	return 0;
}

static int take_value(struct reading *r, const struct option_row *row, char *value)
{
	struct options *o = r->o;

	if (value == NULL) {
		char allowed[256];

		option_allowed(row, allowed, sizeof(allowed));
		return option_fail(row->name, "nothing was given; it takes %s", allowed);
	}
	if (row->kind == OPTION_ADDRESS && o->n_ports == 0)
		return option_fail(row->name, "stands before the --port that it belongs to");
	if (row->kind == OPTION_DEVICE && o->n_ports == OPTIONS_PORTS_MAX)
		return option_fail(row->name, "'%.80s' is the third port; at most two are taken",
		                   value);
	if (!read_value(row, o, value))
		return fail_value(row, value);
	if (row->kind == OPTION_SECRET)
		memset(value, '*', strlen(value));
	return 0;
}

/* One option, and its value where it takes one. */
static int take(struct reading *r, int argc, char **argv, int *i)
{
	char *name = argv[*i], *value;
	const struct option_row *row;
	size_t len;

	if (strcmp(name, "-h") == 0)
		return say("help");
	if (strcmp(name, "-V") == 0)
		return say("version");
	if (strncmp(name, "--", 2) != 0 || name[2] == '\0')
		return option_fail(NULL, "'%.80s' is no option", name);
	name += 2;
	len = strcspn(name, "=");
	value = name[len] == '=' ? name + len + 1 : NULL;
	row = find_row(name, len);
	if (row == NULL)
		return fail_unknown(name, len);
	if (r->seen[row - option_rows]++ > 0 && !row->again)
		return option_fail(row->name, "was given twice");
	if (row->argument == NULL)
		return take_flag(r, row, value);
	if (value == NULL && *i + 1 < argc)
		value = argv[++*i];
	return take_value(r, row, value);
}

static void set_defaults(struct options *o)
{
	*o = (struct options){ 0 };
	for (unsigned i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];

		/* What the table says of a place is no value: it is where the port is. */
		if (row->def != NULL && row->kind != OPTION_PREFIX && !read_value(row, o, row->def))
			abort(); /* a slip in the table, seen by the first test */
	}
}

int options_parse(struct options *o, int argc, char **argv)
{
	struct reading r = { .o = o };

	set_defaults(o);
	for (int i = 1; i < argc; i++) {
		const int rc = take(&r, argc, argv, &i);

		if (rc != 0)
			return rc;
	}
	if (r.seen[find_row("find", 4) - option_rows] > 0 &&
	    r.seen[find_row("find-capacity", 13) - option_rows] > 0)
		return option_fail("find-capacity", "goes not with --find: one search at a time");
	/* A search looks for the rate; one that is given is where it ends. */
	if (o->find != FIND_NOTHING && r.seen[find_row("rate", 4) - option_rows] == 0)
		o->rate_kind = RATE_MAX;
	return options_check(o);
}
