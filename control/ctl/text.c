#include "control/ctl/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "abi/stats.h"
#include "control/session/stats.h"
#include "control/stats.h"
#include "control/turn/stats.h"

enum { COLUMNS_MAX = 16, CELL_MAX = 128 };

const char *text_amount(double n)
{
	static char ring[8][24];
	static unsigned next;
	static const char units[] = " kMGTP";
	char *const out = ring[next++ % 8];
	unsigned unit = 0;

	while (fabs(n) >= 999.5 && unit < sizeof(units) - 2) {
		n /= 1000;
		unit++;
	}
	if (unit == 0)
		snprintf(out, sizeof(ring[0]), "%.0f", n);
	else
		snprintf(out, sizeof(ring[0]), "%.3g%c", n, units[unit]);
	return out;
}

static const json_t *at(const json_t *row, const char *path)
{
	char key[64];

	while (row && *path) {
		const size_t len = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		row = json_object_get(row, key);
		path += len + (path[len] == '.');
	}
	return row;
}

static const char *text_at(const json_t *row, const char *path)
{
	const char *const text = json_string_value(at(row, path));

	return text ? text : "-";
}

static json_int_t number_at(const json_t *row, const char *path)
{
	return json_integer_value(at(row, path));
}

static char *cell(const json_t *value, char out[CELL_MAX])
{
	size_t n = 0, i;
	const json_t *item;

	snprintf(out, CELL_MAX, "-");
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING: snprintf(out, CELL_MAX, "%s", json_string_value(value)); break;
	case JSON_INTEGER:
		snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_REAL: snprintf(out, CELL_MAX, "%.1f", json_real_value(value)); break;
	case JSON_TRUE:
	case JSON_FALSE: snprintf(out, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no"); break;
	case JSON_ARRAY:
		json_array_foreach(value, i, item)
		{
			if (n < CELL_MAX)
				n += (size_t)snprintf(
					out + n, CELL_MAX - n, "%s%s", n ? "," : "",
					json_string_value(item) ? json_string_value(item) : "?");
		}
		break;
	default: break;
	}
	return out;
}

static void pad(FILE *out, const char *text, int width, bool right, bool last)
{
	if (last && !right)
		fprintf(out, "%s\n", text);
	else
		fprintf(out, right ? "%*s%s" : "%-*s%s", width, text, last ? "\n" : "  ");
}

void text_table(FILE *out, const json_t *rows, const struct text_column *columns)
{
	int width[COLUMNS_MAX] = { 0 };
	unsigned n = 0;
	char text[CELL_MAX];
	const json_t *row;
	size_t i;

	for (; columns[n].head; n++) {
		width[n] = (int)strlen(columns[n].head);
		json_array_foreach(rows, i, row)
		{
			const int w = (int)strlen(cell(at(row, columns[n].path), text));

			width[n] = w > width[n] ? w : width[n];
		}
	}
	for (unsigned k = 0; k < n; k++)
		pad(out, columns[k].head, width[k], columns[k].right, k + 1 == n);
	json_array_foreach(rows, i, row) for (unsigned k = 0; k < n; k++) pad(
		out, cell(at(row, columns[k].path), text), width[k], columns[k].right, k + 1 == n);
}

static const struct text_column allocations[] = {
	{ "ID", "id", true },
	{ "USER", "user", false },
	{ "CLIENT", "client", false },
	{ "RELAYED", "relayed", false },
	{ "VIA", "transport", false },
	{ "EXPIRES", "expires_s", true },
	{ "PERM", "permissions", true },
	{ "CHAN", "channels", true },
	{ "FROM-CLIENT", "from_client.packets", true },
	{ "OCTETS", "from_client.octets", true },
	{ "TO-CLIENT", "to_client.packets", true },
	{ "OCTETS", "to_client.octets", true },
	{ NULL, NULL, false },
};

static const struct text_column peers[] = {
	{ "KIND", "kind", false },
	{ "PEER", "peer", false },
	{ "CHANNEL", "channel", true },
	{ "EXPIRES", "expires_s", true },
	{ "TO-PEER", "to_peer.packets", true },
	{ "OCTETS", "to_peer.octets", true },
	{ NULL, NULL, false },
};

static const struct text_column workers[] = {
	{ "WORKER", "worker", true },       { "RX", "rx_packets", true },
	{ "RX-OCTETS", "rx_octets", true }, { "TX", "tx_packets", true },
	{ "TX-OCTETS", "tx_octets", true }, { "RELAYED", "relayed", true },
	{ "PUNTED", "punted", true },       { "DROPPED", "dropped", true },
	{ "SLEEPS", "sleeps", true },       { NULL, NULL, false },
};

static const struct text_column ports[] = {
	{ "PORT", "name", false },
	{ "KIND", "kind", false },
	{ "DEVICE", "device", false },
	{ "MAC", "mac", false },
	{ "MTU", "mtu", true },
	{ "QUEUES", "queues", true },
	{ "LINK", "link", false },
	{ "RX", "rx_packets", true },
	{ "TX", "tx_packets", true },
	{ "MISSED", "rx_missed", true },
	{ "ERRORS", "tx_errors", true },
	{ "FROM-KERNEL", "from_kernel", true },
	{ "TO-KERNEL", "to_kernel", true },
	{ NULL, NULL, false },
};

static const struct text_column neighbours[] = {
	{ "ADDRESS", "address", false }, { "MAC", "mac", false },  { "STATE", "state", false },
	{ "PORT", "port", false },       { "ROWS", "rows", true }, { NULL, NULL, false },
};

static const struct text_column users[] = {
	{ "USER", "name", false },
	{ "FROM", "from", false },
	{ "ALLOCATIONS", "allocations", true },
	{ NULL, NULL, false },
};

static const char *span(json_int_t s)
{
	static char ring[4][32];
	static unsigned next;
	char *const out = ring[next++ % 4];

	if (s >= 86400)
		snprintf(out, sizeof(ring[0]), "%lldd %02lldh", (long long)(s / 86400),
		         (long long)(s / 3600 % 24));
	else if (s >= 3600)
		snprintf(out, sizeof(ring[0]), "%lldh %02lldm", (long long)(s / 3600),
		         (long long)(s / 60 % 60));
	else if (s >= 60)
		snprintf(out, sizeof(ring[0]), "%lldm %02llds", (long long)(s / 60),
		         (long long)(s % 60));
	else
		snprintf(out, sizeof(ring[0]), "%llds", (long long)s);
	return out;
}

static void of(FILE *out, const char *label, const json_t *r, const char *used, const char *max)
{
	const json_int_t u = number_at(r, used), m = number_at(r, max);

	fprintf(out, "%-14s%lld of %lld (%.1f %%)\n", label, (long long)u, (long long)m,
	        m ? 100.0 * (double)u / (double)m : 0.0);
}

static double rate(const json_t *r, const char *name)
{
	return json_number_value(at(at(r, "rates"), name));
}

static void status(FILE *out, const json_t *r)
{
	const json_t *const dp = at(r, "dataplane"), *item;
	char text[CELL_MAX];
	size_t i;

	fprintf(out, "%-14s%s (%s)\n", "relay", text_at(r, "state"), text_at(r, "name"));
	fprintf(out, "%-14s%s, pid %lld, up %s, log level %s\n", "control", text_at(r, "version"),
	        (long long)number_at(r, "control.pid"), span(number_at(r, "control.uptime_s")),
	        text_at(r, "control.log-level"));
	if (json_is_true(at(dp, "joined")))
		fprintf(out,
		        "%-14spid %lld, up %s, %lld worker(s), hugepages %s, generation %s, "
		        "life %lld, last turn %.3f s ago\n",
		        "data plane", (long long)number_at(dp, "pid"),
		        span(number_at(dp, "uptime_s")), (long long)number_at(dp, "workers"),
		        json_is_true(at(dp, "hugepages")) ? "yes" : "no", text_at(dp, "generation"),
		        (long long)number_at(dp, "lives"),
		        json_number_value(at(dp, "heartbeat_s")));
	else
		fprintf(out, "%-14snot there; start turnpike-dataplane\n", "data plane");
	of(out, "allocations", r, "allocations.live", "allocations.max");
	of(out, "rows", r, "rows.used", "rows.max");
	of(out, "store", r, "store.used", "store.max");
	fprintf(out, "%-14s%s\n", "listeners", cell(at(r, "listeners"), text));
	json_array_foreach(at(r, "relays"), i, item)
	{
		const bool same = strcmp(text_at(item, "address"), text_at(item, "advertise")) == 0;

		fprintf(out, "%-14s%s ports %lld-%lld%s%s\n", i ? "" : "relay from",
		        text_at(item, "address"), (long long)number_at(item, "port_min"),
		        (long long)number_at(item, "port_max"), same ? "" : ", advertised as ",
		        same ? "" : text_at(item, "advertise"));
	}
	fprintf(out, "%-14sin %s packets/s %sbit/s, out %s packets/s %sbit/s\n", "traffic",
	        text_amount(rate(r, "rx_packets")), text_amount(8 * rate(r, "rx_octets")),
	        text_amount(rate(r, "tx_packets")), text_amount(8 * rate(r, "tx_octets")));
	fprintf(out, "%-14s%s relayed/s, %s dropped/s, %s requests/s\n", "",
	        text_amount(rate(r, "relayed")), text_amount(rate(r, "dropped")),
	        text_amount(rate(r, "punted")));
}

static void allocation(FILE *out, const json_t *r)
{
	char text[CELL_MAX];
	static const struct text_column fields[] = {
		{ "id", "id", false },
		{ "user", "user", false },
		{ "realm", "realm", false },
		{ "client", "client", false },
		{ "server", "server", false },
		{ "relayed", "relayed", false },
		{ "transport", "transport", false },
		{ "age_s", "age_s", false },
		{ "expires_s", "expires_s", false },
		{ "from client", "from_client.packets", false },
		{ "  octets", "from_client.octets", false },
		{ "to client", "to_client.packets", false },
		{ "  octets", "to_client.octets", false },
	};

	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		fprintf(out, "%-14s%s\n", fields[i].head, cell(at(r, fields[i].path), text));
	fputc('\n', out);
	text_table(out, at(r, "peers"), peers);
}

struct described {
	const char *name, *help;
};

static const char *describe(const char *name)
{
#define ROW(id, name, help) { name, help },
	static const struct described own[] = { TURN_STATS(ROW) SESSION_STATS(ROW)
		                                        CONTROL_STATS(ROW) };
#undef ROW
	for (unsigned i = 0; i < STAT_COUNT; i++)
		if (strcmp(stat_names[i].name, name) == 0)
			return stat_names[i].help;
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcmp(own[i].name, name) == 0)
			return own[i].help;
	return "";
}

void text_counters(FILE *out, const json_t *result, bool described)
{
	const char *name;
	json_t *value;
	int width = 0;

	json_object_foreach((json_t *)(uintptr_t)result, name, value) width =
		(int)strlen(name) > width ? (int)strlen(name) : width;
	json_object_foreach((json_t *)(uintptr_t)result, name, value)
		fprintf(out, "%-*s  %*lld%s%s\n", width, name, described ? 12 : 0,
	                (long long)json_integer_value(value), described ? "  " : "",
	                described ? describe(name) : "");
}

static void credential(FILE *out, const json_t *r)
{
	char text[CELL_MAX];

	fprintf(out, "username  %s\npassword  %s\nrealm     %s\nvalid     %s\nuris      %s\n",
	        text_at(r, "username"), text_at(r, "password"), text_at(r, "realm"),
	        span(number_at(r, "ttl")), cell(at(r, "uris"), text));
}

void text_ice_servers(FILE *out, const json_t *r)
{
	json_t *const servers =
		json_pack("{s:[{s:O, s:O, s:O}]}", "iceServers", "urls", at(r, "uris"), "username",
	                  at(r, "username"), "credential", at(r, "password"));

	json_dumpf(servers, out, JSON_INDENT(2));
	fputc('\n', out);
	json_decref(servers);
}

/* "turn:[fd00::1]:3478?transport=udp" → host and port as turnutils_uclient takes them. */
void text_uclient(FILE *out, const json_t *r)
{
	const char *uri = json_string_value(json_array_get(at(r, "uris"), 0));
	char host[64] = "ADDRESS", port[8] = "3478";

	if (uri && (uri = strchr(uri, ':'))) {
		const char *const end = *++uri == '[' ? strchr(uri, ']') : strchr(uri, ':');

		if (*uri == '[')
			uri++;
		if (end) {
			snprintf(host, sizeof(host), "%.*s", (int)(end - uri), uri);
			const char *const p = strchr(end, ':');

			if (p)
				snprintf(port, sizeof(port), "%.*s", (int)strcspn(p + 1, "?"),
				         p + 1);
		}
	}
	fprintf(out, "turnutils_uclient -p %s -u '%s' -w '%s' -y %s\n", port,
	        text_at(r, "username"), text_at(r, "password"), host);
}

static void help(FILE *out, const json_t *r)
{
	const json_t *c;
	size_t i;

	json_array_foreach(at(r, "commands"), i, c)
		fprintf(out, "%-40s %s\n", text_at(c, "usage"), text_at(c, "help"));
}

void text_print(FILE *out, enum ctl_id id, const json_t *r)
{
	switch (id) {
	case CTL_STATUS: status(out, r); break;
	case CTL_SHOW_ALLOCATIONS: text_table(out, at(r, "allocations"), allocations); break;
	case CTL_SHOW_ALLOCATION: allocation(out, r); break;
	case CTL_SHOW_WORKERS: text_table(out, at(r, "workers"), workers); break;
	case CTL_SHOW_PORTS: text_table(out, at(r, "ports"), ports); break;
	case CTL_SHOW_NEIGHBOURS: text_table(out, at(r, "neighbours"), neighbours); break;
	case CTL_SHOW_COUNTERS: text_counters(out, r, false); break;
	case CTL_SHOW_CONFIG: fputs(text_at(r, "yaml"), out); break;
	case CTL_SHOW_USERS: text_table(out, at(r, "users"), users); break;
	case CTL_DELETE_ALLOCATION:
		fprintf(out, "allocation %lld ended\n", (long long)number_at(r, "deleted"));
		break;
	case CTL_SESSION_CREATE:
	case CTL_SESSION_SHOW:
	case CTL_SESSION_SET_REMOTE:
	case CTL_SESSION_ADD_CANDIDATE:
	case CTL_SESSION_ADD_LEG:
	case CTL_SESSION_RESTART:
	case CTL_SESSION_DELETE: text_session(out, id, r); break;
	case CTL_ADD_USER: fprintf(out, "user %s added\n", text_at(r, "added")); break;
	case CTL_DELETE_USER: fprintf(out, "user %s deleted\n", text_at(r, "deleted")); break;
	case CTL_CREDENTIAL: credential(out, r); break;
	case CTL_RELOAD:
		fprintf(out, "%s taken%s\n", text_at(r, "reloaded"),
		        json_is_true(at(r, "dataplane")) ? ", the data plane is told"
		                                         : "; there is no data plane to tell");
		break;
	case CTL_SET_LOG_LEVEL: fprintf(out, "log level is %s\n", text_at(r, "log-level")); break;
	case CTL_DRAIN:
		fprintf(out, "%s, %lld allocations left\n",
		        json_is_true(at(r, "draining")) ? "draining: no new allocations"
		                                        : "serving new allocations",
		        (long long)number_at(r, "allocations"));
		break;
	case CTL_STOP:
		fprintf(out, "%s\n",
		        json_is_true(at(r, "keep")) ? "stopping, allocations are kept"
		                                    : "stopping");
		break;
	case CTL_HELP: help(out, r); break;
	case CTL_SESSION_EVENTS:
	case CTL_WATCH:
	case CTL_COMPLETION:
	case CTL_COMMAND_COUNT: break;
	}
}

void text_watch_head(FILE *out)
{
	fprintf(out, "%-8s  %11s  %9s  %9s  %9s  %9s  %9s  %9s  %9s\n", "TIME", "ALLOCATIONS",
	        "IN/s", "IN-bit/s", "OUT/s", "OUT-bit/s", "RELAYED/s", "DROPPED/s", "REQUEST/s");
}

static double delta(const json_t *before, const json_t *now, const char *name, double passed_s)
{
	const json_int_t d = number_at(now, name) - number_at(before, name);

	return d > 0 && passed_s > 0 ? (double)d / passed_s : 0;
}

void text_watch(FILE *out, const json_t *status_now, const json_t *before, const json_t *now,
                double passed_s)
{
	const time_t wall = time(NULL);
	struct tm tm;
	char clock[16];
	double relayed = 0, dropped = 0;

	for (unsigned i = STAT_CHANNEL_TO_PEER; i <= STAT_HAIRPIN; i++)
		relayed += delta(before, now, stat_names[i].name, passed_s);
	for (unsigned i = STAT_FRAME_SHORT; i <= STAT_NO_MBUF; i++)
		dropped += delta(before, now, stat_names[i].name, passed_s);
	localtime_r(&wall, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	fprintf(out, "%-8s  %11lld  %9s  %9s  %9s  %9s  %9s  %9s  %9s\n", clock,
	        (long long)number_at(status_now, "allocations.live"),
	        text_amount(delta(before, now, "rx_packets", passed_s)),
	        text_amount(8 * delta(before, now, "rx_octets", passed_s)),
	        text_amount(delta(before, now, "tx_packets", passed_s)),
	        text_amount(8 * delta(before, now, "tx_octets", passed_s)), text_amount(relayed),
	        text_amount(dropped), text_amount(delta(before, now, "punted", passed_s)));
	fflush(out);
}
