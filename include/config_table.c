/* Every setting: the one list that parser, errors, `show config` and the manual read. */
#include <stddef.h>
#include <string.h>

#include "config_table.h"

#define AT(field) offsetof(struct config, field)
#define PORT_AT(field) offsetof(struct config_port, field)
#define LISTENER_AT(field) offsetof(struct config_listener, field)

static const struct setting_choice idles[] = { { "adaptive", IDLE_ADAPTIVE },
	                                       { "poll", IDLE_POLL },
	                                       { NULL, 0 } };
static const struct setting_choice hugepages[] = {
	{ "auto", HUGEPAGES_AUTO }, { "on", HUGEPAGES_ON }, { "off", HUGEPAGES_OFF }, { NULL, 0 }
};
static const struct setting_choice levels[] = { { "error", LOG_LEVEL_ERROR },
	                                        { "warning", LOG_LEVEL_WARNING },
	                                        { "info", LOG_LEVEL_INFO },
	                                        { "debug", LOG_LEVEL_DEBUG },
	                                        { NULL, 0 } };
static const struct setting_choice formats[] = { { "text", LOG_TEXT },
	                                         { "json", LOG_JSON },
	                                         { NULL, 0 } };
static const struct setting_choice algorithms[] = { { "md5", AT(auth_md5) },
	                                            { "sha256", AT(auth_sha256) },
	                                            { NULL, 0 } };
static const struct setting_choice transports[] = { { "udp", TRANSPORT_UDP },
	                                            { "tcp", TRANSPORT_TCP },
	                                            { "tls", TRANSPORT_TLS },
	                                            { "dtls", TRANSPORT_DTLS },
	                                            { NULL, 0 } };

/* In the order in which they are printed; the keys of one group stand together. */
const struct setting config_settings[] = {
	{ .key = "name",
	  .type = SETTING_NAME,
	  .at = AT(name),
	  .min = 1,
	  .max = 63,
	  .def_told = "eight hexadecimal digits drawn from the file's real path",
	  .doc = "Name of this relay; it names the run directory" },
	{ .key = "run-dir",
	  .type = SETTING_PATH,
	  .at = AT(run_dir),
	  .min = 2,
	  .max = 80,
	  .def_told = "/run/turnpike/NAME",
	  .doc = "Directory of the sockets, the store and the lock; made at start, removed at a "
	         "clean stop" },
	{ .key = "ports",
	  .type = SETTING_PORTS,
	  .max = CONFIG_PORTS_MAX,
	  .required = true,
	  .doc = "Network devices that the data plane drives" },
	{ .key = "ports.device",
	  .type = SETTING_DEVICE,
	  .scope = IN_PORT,
	  .at = PORT_AT(kind),
	  .min = 1,
	  .max = CONFIG_DEVICE_MAX - 1,
	  .required = true,
	  .doc = "Device: af_packet:IFNAME, af_xdp:IFNAME, pci:ADDRESS, "
	         "memif:/SOCKET,role=client|server,id=N, or any DPDK virtual device as "
	         "net_NAME,ARGS" },
	{ .key = "ports.name",
	  .type = SETTING_NAME,
	  .scope = IN_PORT,
	  .at = PORT_AT(name),
	  .min = 1,
	  .max = 15,
	  .def_told = "tp0, tp1 ... in the order of the list",
	  .doc = "Name of the port and of its exception TAP in the kernel" },
	{ .key = "ports.addresses",
	  .type = SETTING_CIDRS,
	  .scope = IN_PORT,
	  .at = PORT_AT(addresses),
	  .count = PORT_AT(n_addresses),
	  .max = CONFIG_PORT_ADDRESSES_MAX,
	  .def_told = "none",
	  .doc = "Interface addresses with their networks; they live on the exception TAP" },
	{ .key = "ports.queues",
	  .type = SETTING_U32_OR_AUTO,
	  .scope = IN_PORT,
	  .at = PORT_AT(queues),
	  .min = 1,
	  .max = CONFIG_WORKERS_MAX,
	  .unit = "queues",
	  .def_told = "auto: as many as workers, as far as the device goes",
	  .doc = "Queue pairs of the port" },
	{ .key = "ports.mtu",
	  .type = SETTING_U32_OR_AUTO,
	  .scope = IN_PORT,
	  .at = PORT_AT(mtu),
	  .min = 1280,
	  .max = 9216,
	  .unit = "octets",
	  .def_told = "auto: the device's",
	  .doc = "Largest IP packet of the port" },
	{ .key = "listeners",
	  .type = SETTING_LISTENERS,
	  .max = CONFIG_LISTENERS_MAX,
	  .required = true,
	  .doc = "Where clients are served: ADDRESS:PORT, udp:ADDRESS:PORT, or a map" },
	{ .key = "listeners.transport",
	  .type = SETTING_TRANSPORT,
	  .scope = IN_LISTENER,
	  .at = LISTENER_AT(transport),
	  .choices = transports,
	  .def_told = "udp",
	  .doc = "Transport of the listener; tcp, tls and dtls are not served yet and refused" },
	{ .key = "listeners.address",
	  .type = SETTING_ENDPOINT,
	  .scope = IN_LISTENER,
	  .at = LISTENER_AT(at),
	  .required = true,
	  .doc = "Address and port of the listener" },
	{ .key = "relay.addresses",
	  .type = SETTING_RELAYS,
	  .max = CONFIG_RELAYS_MAX,
	  .required = true,
	  .doc = "Addresses from which media is relayed: of a port, or routed here and of no "
	         "host" },
	{ .key = "relay.ports",
	  .type = SETTING_RANGE,
	  .at = AT(relay_port_min),
	  .count = AT(relay_port_max),
	  .min = 1024,
	  .max = 65535,
	  .def = "49152-65535",
	  .doc = "Relayed ports, of every relay address" },
	{ .key = "relay.advertise",
	  .type = SETTING_ADVERTISE,
	  .max = CONFIG_ADVERTISE_MAX,
	  .def_told = "none",
	  .doc = "What clients are told instead of a relay address, behind 1:1 NAT: "
	         "{ RELAY-ADDRESS: ADDRESS }" },
	{ .key = "relay.port-rest",
	  .type = SETTING_U32,
	  .at = AT(port_rest_s),
	  .min = 0,
	  .max = 3600,
	  .unit = "seconds",
	  .def = "30",
	  .doc = "How long a freed relayed port rests before another user gets it" },
	{ .key = "relay.reservation",
	  .type = SETTING_U32,
	  .at = AT(reservation_s),
	  .min = 1,
	  .max = 600,
	  .unit = "seconds",
	  .def = "30",
	  .doc = "How long the second port of an EVEN-PORT request is held" },
	{ .key = "relay.fragment-mtu",
	  .type = SETTING_U32,
	  .at = AT(fragment_mtu),
	  .min = 1280,
	  .max = 9216,
	  .unit = "octets",
	  .def = "1280",
	  .doc = "Largest IPv6 fragment made of what arrived as IPv4" },
	{ .key = "relay.ttl-decrement",
	  .type = SETTING_BOOL,
	  .at = AT(ttl_decrement),
	  .def = "true",
	  .doc = "Relay IPv4 to IPv4 with the sender's TTL less one instead of 64" },
	{ .key = "auth.realm",
	  .type = SETTING_OPAQUE,
	  .at = AT(realm),
	  .min = 1,
	  .max = 32, /* a 401 stays within 2.5 times the smallest Allocate (RFC 8656 §7.2) */
	  .required = true,
	  .doc = "Realm of the long-term credentials; a longer one would make 401 outgrow a small "
	         "Allocate 2.5 times, and then it is not sent" },
	{ .key = "auth.users",
	  .type = SETTING_USERS,
	  .min = 1,
	  .max = 508,
	  .def_told = "none",
	  .doc = "Users with their passwords: { NAME: PASSWORD }; a password may be { file: PATH } "
	         "or { env: NAME }" },
	{ .key = "auth.rest-secrets",
	  .type = SETTING_SECRETS,
	  .at = AT(rest_secrets),
	  .count = AT(n_rest_secrets),
	  .min = 1,
	  .max = 1024,
	  .def_told = "none",
	  .doc = "Secrets of time-limited credentials, up to four, all valid at once; each a text, "
	         "{ file: PATH } or { env: NAME }" },
	{ .key = "auth.rest-separator",
	  .type = SETTING_LETTER,
	  .at = AT(rest_separator),
	  .def = "\":\"",
	  .doc = "What stands between expiry time and user in a time-limited user name" },
	{ .key = "auth.nonce-secret",
	  .type = SETTING_SECRET,
	  .at = AT(nonce_secret),
	  .min = 16,
	  .max = 1024,
	  .def_told = "drawn at random and kept in the store",
	  .doc = "Secret from which nonce keys are derived, the same in a fleet behind one "
	         "address; "
	         "a text of at least 16 octets, { file: PATH } or { env: NAME }" },
	{ .key = "auth.nonce-lifetime",
	  .type = SETTING_U32,
	  .at = AT(nonce_lifetime_s),
	  .min = 1,
	  .max = 86400,
	  .unit = "seconds",
	  .def = "600",
	  .doc = "How long a nonce is taken before 438 Stale Nonce" },
	{ .key = "auth.algorithms",
	  .type = SETTING_FLAGS,
	  .choices = algorithms,
	  .def = "[md5, sha256]",
	  .doc = "Password algorithms offered" },
	{ .key = "limits.allocations",
	  .type = SETTING_U32,
	  .at = AT(limit_allocations),
	  .min = 1,
	  .max = 4194304,
	  .unit = "allocations",
	  .def = "100000",
	  .doc = "Allocations in all" },
	{ .key = "limits.allocations-per-user",
	  .type = SETTING_U32,
	  .at = AT(limit_allocations_per_user),
	  .min = 1,
	  .max = 4194304,
	  .unit = "allocations",
	  .def = "100",
	  .doc = "Allocations of one user" },
	{ .key = "limits.permissions",
	  .type = SETTING_U32,
	  .at = AT(limit_permissions),
	  .min = 1,
	  .max = 65535,
	  .unit = "permissions",
	  .def = "1024",
	  .doc = "Permissions of one allocation" },
	{ .key = "limits.channels",
	  .type = SETTING_U32,
	  .at = AT(limit_channels),
	  .min = 1,
	  .max = 16384,
	  .unit = "channels",
	  .def = "4096",
	  .doc = "Channels of one allocation" },
	{ .key = "limits.legs",
	  .type = SETTING_U32,
	  .at = AT(limit_legs),
	  .min = 0,
	  .max = 1048576,
	  .unit = "legs",
	  .def = "1000",
	  .doc = "Legs of all ICE sessions; 0: no sessions" },
	{ .key = "limits.lifetime",
	  .type = SETTING_U32,
	  .at = AT(limit_lifetime_s),
	  .min = 600,
	  .max = 86400,
	  .unit = "seconds",
	  .def = "3600",
	  .doc = "Longest allocation lifetime that is granted" },
	{ .key = "limits.binding-per-prefix",
	  .type = SETTING_U32,
	  .at = AT(limit_binding_per_prefix),
	  .min = 1,
	  .max = 100000000,
	  .unit = "requests a second",
	  .def = "10000",
	  .doc = "Binding requests answered for one source prefix (/24, /56)" },
	{ .key = "limits.requests-per-prefix",
	  .type = SETTING_U32,
	  .at = AT(limit_punt_per_prefix),
	  .min = 1,
	  .max = 100000000,
	  .unit = "requests a second",
	  .def = "5000",
	  .doc = "Requests with a nonce of ours that one source prefix (/24, /56) may bring to "
	         "control" },
	{ .key = "limits.errors-per-prefix",
	  .type = SETTING_U32,
	  .at = AT(limit_error_per_prefix),
	  .min = 1,
	  .max = 1000000,
	  .unit = "answers a second",
	  .def = "64",
	  .doc = "Answers 400, 401 and 438 that a source prefix (/24, /56) always gets; beyond "
	         "them "
	         "octets out never exceed octets in" },
	{ .key = "limits.errors-total",
	  .type = SETTING_U32,
	  .at = AT(limit_error_total),
	  .min = 1,
	  .max = 100000000,
	  .unit = "answers a second",
	  .def = "1000000",
	  .doc = "Answers 400, 401 and 438 to all sources together, in equal parts by worker; a "
	         "prefix that has just shown a nonce of ours is exempt" },
	{ .key = "limits.reassembly",
	  .type = SETTING_U32,
	  .at = AT(limit_reassembly),
	  .min = 16,
	  .max = 65536,
	  .unit = "datagrams",
	  .def = "1024",
	  .doc = "Fragmented datagrams being put together at one time" },
	{ .key = "peers.allow",
	  .type = SETTING_PREFIXES,
	  .at = AT(allow),
	  .count = AT(n_allow),
	  .max = 65535,
	  .def_told = "none",
	  .doc = "Peer blocks to open; private and special ranges are denied unless allowed here" },
	{ .key = "peers.deny",
	  .type = SETTING_PREFIXES,
	  .at = AT(deny),
	  .count = AT(n_deny),
	  .max = 65535,
	  .def_told = "none",
	  .doc = "Peer blocks to refuse; the longest of all matching entries wins, deny on a tie" },
	{ .key = "peers.nat64",
	  .type = SETTING_PREFIXES,
	  .at = AT(nat64),
	  .count = AT(n_nat64),
	  .max = 64,
	  .def_told = "none",
	  .doc = "The network's own NAT64 prefixes; addresses in them are judged by the IPv4 "
	         "inside" },
	{ .key = "peers.sixrd",
	  .type = SETTING_PREFIXES,
	  .at = AT(sixrd),
	  .count = AT(n_sixrd),
	  .max = 64,
	  .def_told = "none",
	  .doc = "The network's own 6rd prefixes; addresses in them are judged by the IPv4 "
	         "inside" },
	{ .key = "peers.allow-loopback",
	  .type = SETTING_BOOL,
	  .at = AT(allow_loopback),
	  .def = "false",
	  .doc = "DANGEROUS: let peers be 127.0.0.0/8 and ::1, the services of this machine" },
	{ .key = "compat.rfc5766-channels",
	  .type = SETTING_BOOL,
	  .at = AT(rfc5766_channels),
	  .def = "false",
	  .doc = "Take channel numbers 0x5000 to 0x7FFF too, which old clients draw" },
	{ .key = "compat.strict-permissions",
	  .type = SETTING_BOOL,
	  .at = AT(strict_permissions),
	  .def = "false",
	  .doc = "Let a permission expire under a live channel, by the letter of RFC 8656" },
	{ .key = "compat.rfc3489",
	  .type = SETTING_BOOL,
	  .at = AT(rfc3489),
	  .def = "false",
	  .doc = "Answer Binding requests of classic STUN, without magic cookie" },
	{ .key = "workers",
	  .type = SETTING_U32,
	  .at = AT(workers),
	  .min = 1,
	  .max = CONFIG_WORKERS_MAX,
	  .unit = "threads",
	  .def = "1",
	  .doc = "Packet threads" },
	{ .key = "cores",
	  .type = SETTING_CORES,
	  .at = AT(cores),
	  .max = 1023,
	  .def_told = "not pinned",
	  .doc = "The core of each worker, or none" },
	{ .key = "service-core",
	  .type = SETTING_CORE,
	  .at = AT(service_core),
	  .max = 1023,
	  .def = "none",
	  .doc = "Core of the service turn; none: it runs inside worker 0" },
	{ .key = "idle",
	  .type = SETTING_CHOICE,
	  .at = AT(idle),
	  .choices = idles,
	  .def = "adaptive",
	  .doc = "What a worker without packets does: sleep until there are some, or spin" },
	{ .key = "hugepages",
	  .type = SETTING_CHOICE,
	  .at = AT(hugepages),
	  .choices = hugepages,
	  .def = "auto",
	  .doc = "Memory of the data plane in huge pages; auto: if there are free ones" },
	{ .key = "memory",
	  .type = SETTING_U32_OR_AUTO,
	  .at = AT(memory_mib),
	  .min = 64,
	  .max = 1048576,
	  .unit = "MiB",
	  .def = "auto",
	  .doc = "Memory of the data plane; auto: from ports, workers and limits" },
	{ .key = "software",
	  .type = SETTING_TEXT,
	  .at = AT(software),
	  .min = 0,
	  .max = 508,
	  .def = "\"\"",
	  .doc = "Text of the SOFTWARE attribute, at most 127 characters; empty: left out" },
	{ .key = "log.level",
	  .type = SETTING_CHOICE,
	  .at = AT(log_level),
	  .choices = levels,
	  .def = "info",
	  .doc = "What is logged" },
	{ .key = "log.format",
	  .type = SETTING_CHOICE,
	  .at = AT(log_format),
	  .choices = formats,
	  .def = "text",
	  .doc = "Form of a log line" },
	{ .key = "socket-group",
	  .type = SETTING_TEXT,
	  .at = AT(socket_group),
	  .min = 1,
	  .max = 32,
	  .def_told = "the process's own",
	  .doc = "Group whose members may use the control socket" },
};
const unsigned config_n_settings = sizeof(config_settings) / sizeof(config_settings[0]);
_Static_assert(sizeof(config_settings) / sizeof(config_settings[0]) <= CONFIG_SETTINGS_MAX,
               "struct reading has a line for each");
_Static_assert(sizeof(enum config_idle) == sizeof(int) && sizeof(enum log_level) == sizeof(int),
               "a choice is stored as an int");

static void list_choices(const struct setting_choice *c, char *out, size_t cap)
{
	size_t n = 0;

	for (unsigned i = 0; c[i].name != NULL && n < cap; i++)
		n += (size_t)snprintf(out + n, cap - n, "%s%s",
		                      i == 0                  ? ""
		                      : c[i + 1].name == NULL ? " or "
		                                              : ", ",
		                      c[i].name);
}

void config_table_allowed(const struct setting *s, char *out, size_t cap)
{
	static const char *const said[] = {
		[SETTING_BOOL] = "true or false",
		[SETTING_CORES] = "a list of core numbers or none, one for each worker",
		[SETTING_PATH] = "an absolute path",
		[SETTING_LETTER] =
			"one printable ASCII character that is no letter, digit or space",
		[SETTING_SECRETS] = "a list of secrets",
		[SETTING_USERS] = "a map of names and passwords",
		[SETTING_PORTS] = "a list of ports, each a map with at least device",
		[SETTING_DEVICE] = "a device: af_packet:IFNAME, af_xdp:IFNAME, pci:ADDRESS, "
				   "memif:/SOCKET,role=ROLE,id=N or net_DRIVER,ARGS",
		[SETTING_CIDRS] = "an interface address ADDRESS/LENGTH",
		[SETTING_LISTENERS] = "a list of ADDRESS:PORT, IPv6 addresses in brackets",
		[SETTING_ENDPOINT] = "ADDRESS:PORT, an IPv6 address in brackets",
		[SETTING_RELAYS] = "an IP address",
		[SETTING_ADVERTISE] = "a map of relay address and address told",
		[SETTING_PREFIXES] =
			"an address block ADDRESS/LENGTH with no bits after the length",
	};
	char names[128];

	switch (s->type) {
	case SETTING_U32:
	case SETTING_U32_OR_AUTO:
		snprintf(out, cap, "%sa number of %s from %u to %u",
		         s->type == SETTING_U32 ? "" : "auto or ", s->unit, s->min, s->max);
		break;
	case SETTING_CHOICE:
	case SETTING_TRANSPORT:
	case SETTING_FLAGS:
		list_choices(s->choices, names, sizeof(names));
		snprintf(out, cap, "%s%s", s->type == SETTING_FLAGS ? "a list of " : "", names);
		break;
	case SETTING_CORE: snprintf(out, cap, "none or a core number from 0 to %u", s->max); break;
	case SETTING_NAME:
		snprintf(out, cap,
		         "a name of %u to %u letters, digits, '-', '_' and '.', the first a letter "
		         "or "
		         "digit",
		         s->min, s->max);
		break;
	case SETTING_TEXT:
	case SETTING_OPAQUE:
	case SETTING_SECRET: snprintf(out, cap, "a text of %u to %u octets", s->min, s->max); break;
	case SETTING_RANGE:
		snprintf(out, cap, "a range FIRST-LAST within %u-%u", s->min, s->max);
		break;
	default: snprintf(out, cap, "%s", said[s->type]); break;
	}
}

const struct setting *config_table_find(const char *key, enum setting_scope scope, bool *group)
{
	const size_t len = strlen(key);

	*group = false;
	for (unsigned i = 0; i < config_n_settings; i++) {
		const struct setting *s = &config_settings[i];

		if (s->scope != scope)
			continue;
		if (strcmp(s->key, key) == 0)
			return s;
		if (strncmp(s->key, key, len) == 0 && s->key[len] == '.')
			*group = true;
	}
	return NULL;
}

/* Letters to add, drop, change or swap with their neighbour between two keys. */
static unsigned distance(const char *a, const char *b)
{
	enum { LEN = 40 };
	unsigned row[3][LEN + 1];
	const size_t n = strlen(a), m = strlen(b);

	if (n > LEN || m > LEN)
		return LEN;
	for (unsigned j = 0; j <= m; j++)
		row[0][j] = j;
	for (unsigned i = 1; i <= n; i++) {
		unsigned *now = row[i % 3];
		const unsigned *up = row[(i - 1) % 3], *up2 = row[(i + 1) % 3];

		now[0] = i;
		for (unsigned j = 1; j <= m; j++) {
			unsigned best = up[j - 1] + (a[i - 1] != b[j - 1]);

			if (up[j] + 1 < best)
				best = up[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    up2[j - 2] + 1 < best)
				best = up2[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[n % 3][m];
}

static const char *last_word(const char *key)
{
	const char *dot = strrchr(key, '.');

	return dot != NULL ? dot + 1 : key;
}

bool config_table_nearest(const char *key, enum setting_scope scope, char *out, size_t cap)
{
	const unsigned tolerated = 1 + (unsigned)strlen(last_word(key)) / 3;
	unsigned best = tolerated + 1;

	for (unsigned i = 0; i < config_n_settings; i++) {
		const struct setting *s = &config_settings[i];
		const unsigned away = s->scope != scope;
		char group[CONFIG_KEY_MAX];

		/* The whole key, the right word in the wrong group, or the group. */
		const unsigned whole = distance(key, s->key) + away;
		const unsigned word = distance(last_word(key), last_word(s->key)) + 1 + away;
		snprintf(group, sizeof(group), "%.*s", (int)strcspn(s->key, "."), s->key);
		const unsigned of_group = distance(key, group) + away;

		const unsigned d = whole < word ? whole : word;
		if (d < best) {
			best = d;
			snprintf(out, cap, "%s", s->key);
		}
		if (of_group < best) {
			best = of_group;
			snprintf(out, cap, "%s", group);
		}
	}
	return best <= tolerated;
}
