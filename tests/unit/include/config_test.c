/* Mirrors include/config*.c: what parses, what is refused and how it is told, what is printed. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_table.h"
#include "tests/support.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define PORTS "ports: [{ device: af_packet:eth0, addresses: [198.18.0.1/24, \"fd00:18::1/64\"] }]\n"
#define LISTENERS "listeners: [198.18.0.1:3478]\n"
#define RELAY "relay: { addresses: [198.18.0.1] }\n"
#define AUTH "auth: { realm: example.org }\n"
#define BASE PORTS LISTENERS RELAY AUTH

/* As a newcomer writes it. */
static const char newcomer[] = "ports:\n"
			       "  - device: af_packet:eth0        # or af_xdp:eth0\n"
			       "    addresses: [198.18.0.1/24, \"fd00:18::1/64\"]\n"
			       "listeners: [198.18.0.1:3478, \"[fd00:18::1]:3478\"]   # udp\n"
			       "relay:\n"
			       "  addresses: [198.18.0.1, \"fd00:18::1\"]\n"
			       "  ports: 49152-65535\n"
			       "  # advertise: { 198.18.0.1: 203.0.113.7 }   # behind 1:1 NAT\n"
			       "auth:\n"
			       "  realm: example.org\n"
			       "  users: { alice: secret }\n"
			       "  rest-secrets: [north, south]    # or {file: PATH}, {env: NAME}\n"
			       "limits: { allocations-per-user: 100, allocations: 100000 }\n"
			       "peers:\n"
			       "  allow: [198.18.0.0/15, \"fd00:18::/32\"]\n"
			       "# compat: { rfc5766-channels: true, strict-permissions: false }\n";

/* From a buffer of exactly its size, so that ASan sees a read behind it. */
static struct config *parse(const char *text, enum config_view view, struct config_error *err)
{
	const size_t len = strlen(text);
	char *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, text, len);
	struct config *cfg = config_parse(copy, len, "relay.yaml", view, err);
	free(copy);
	return cfg;
}

static char *print(const struct config *cfg, bool secrets)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	config_print(cfg, f, secrets);
	fclose(f);
	return text;
}

static void test_newcomer(void)
{
	struct config_error err;
	struct config *c = parse(newcomer, CONFIG_ALL, &err);
	struct addr a;

	CHECK(c != NULL, err.text);
	if (c == NULL)
		return;
	CHECK(c->n_ports == 1 && c->ports[0].kind == DEVICE_AF_PACKET, "device");
	CHECK(strcmp(c->ports[0].device, "eth0") == 0, "device name");
	CHECK(strcmp(c->ports[0].name, "tp0") == 0, "port name");
	CHECK(c->ports[0].n_addresses == 2 && c->ports[0].addresses[0].len == 120, "addresses");
	CHECK(c->ports[0].addresses[1].len == 64 && c->n_links == 2, "addresses 6");
	CHECK(c->n_listeners == 2 && c->listeners[1].at.port == 3478, "listeners");
	CHECK(c->listeners[0].transport == TRANSPORT_UDP, "transport");
	addr_parse("fd00:18::1", &a);
	CHECK(c->n_relays == 2 && addr_equal(&c->relays[1].addr, &a), "relays");
	CHECK(addr_equal(&c->relays[1].advertise, &a), "advertised as it is");
	CHECK(c->relay_port_min == 49152 && c->relay_port_max == 65535, "relay ports");
	CHECK(strcmp(c->realm, "example.org") == 0, "realm");
	CHECK(c->n_users == 1 && strcmp(c->users[0].name, "alice") == 0, "user");
	CHECK(strcmp(c->users[0].password, "secret") == 0, "password");
	CHECK(c->n_rest_secrets == 2 && strcmp(c->rest_secrets[1], "south") == 0, "rest secrets");
	CHECK(c->n_allow == 2 && c->allow[0].len == 111 && c->n_deny == 0, "peers");
	CHECK(config_policy(c).n_allow == 2 && config_policy(c).n_links == 2, "policy");
	config_free(c);
}

static void test_defaults(void)
{
	struct config_error err;
	struct config *c = parse(BASE, CONFIG_ALL, &err);

	CHECK(c != NULL, err.text);
	if (c == NULL)
		return;
	CHECK(c->rest_separator == ':' && c->nonce_secret == NULL, "rest");
	CHECK(c->nonce_lifetime_s == 600 && c->auth_md5 && c->auth_sha256, "nonce");
	CHECK(c->limit_allocations == 100000 && c->limit_allocations_per_user == 100,
	      "allocations");
	CHECK(c->limit_permissions == 1024 && c->limit_channels == 4096, "permissions");
	CHECK(c->limit_lifetime_s == 3600 && c->limit_binding_per_prefix == 10000, "lifetime");
	CHECK(c->limit_error_per_prefix == 64 && c->reservation_s == 30, "errors");
	CHECK(c->port_rest_s == 30 && c->fragment_mtu == 1280 && c->ttl_decrement, "relay");
	CHECK(!c->rfc5766_channels && !c->strict_permissions && !c->rfc3489, "compat");
	CHECK(c->workers == 1 && c->cores[0] == -1 && c->service_core == -1, "workers");
	CHECK(c->idle == IDLE_ADAPTIVE && c->hugepages == HUGEPAGES_AUTO, "idle");
	CHECK(c->memory_mib == 0 && c->software[0] == '\0' && !c->allow_loopback, "memory");
	CHECK(c->log_level == LOG_LEVEL_INFO && c->log_format == LOG_TEXT, "log");
	CHECK(c->socket_group == NULL, "group");
	CHECK(strlen(c->name) == 8 && strspn(c->name, "0123456789abcdef") == 8, "name");
	CHECK(strcmp(c->run_dir + strlen("/run/turnpike/"), c->name) == 0, "run directory");
	config_free(c);
}

static const struct {
	const char *name, *text;
	const char *printed; /* stands in what is printed with secrets */
} good[] = {
	/* clang-format off */
	{ "newcomer",            newcomer, "    \"alice\": \"secret\"\n  rest-secrets: [\"north\", \"south\"]\n" },
	{ "dotted keys",         BASE "limits.allocations: 7\n", "  allocations: 7\n" },
	{ "one entry, no list",  BASE "peers: { allow: 10.0.0.0/8, deny: 10.1.0.0/16 }\n", "  allow: [\"10.0.0.0/8\"]\n  deny: [\"10.1.0.0/16\"]\n" },
	{ "one port, no list",   "ports: { device: net_null0, addresses: 198.18.0.1/24 }\n" LISTENERS RELAY AUTH, "  - device: \"net_null0\"\n" },
	{ "empty groups",        BASE "limits:\npeers:\n", "  allow: []\n" },
	{ "empty lists",         BASE "peers: { allow: [] }\ncores: []\n", "  allow: []\n" },
	{ "named",               BASE "name: west-1.a_b\n", "run-dir: \"/run/turnpike/west-1.a_b\"\n" },
	{ "run directory",       BASE "run-dir: /tmp/x y\n", "run-dir: \"/tmp/x y\"\n" },
	{ "pci",                 "ports: [{ device: 'pci:0000:03:00.0', addresses: 198.18.0.1/24 }]\n" LISTENERS RELAY AUTH, "device: \"pci:0000:03:00.0\"\n" },
	{ "memif",               "ports: [{ device: 'memif:/run/x.sock,role=client,id=0', addresses: 198.18.0.1/24 }]\n" LISTENERS RELAY AUTH, "device: \"memif:/run/x.sock,role=client,id=0\"\n" },
	{ "two ports",           "ports:\n- { device: af_xdp:eth0, name: west, queues: 2, mtu: 1500, addresses: 198.18.0.1/24 }\n- { device: 'net_ring0,a=b' }\n" LISTENERS RELAY AUTH, "    name: \"west\"\n    addresses: [\"198.18.0.1/24\"]\n    queues: 2\n    mtu: 1500\n  - device: \"net_ring0,a=b\"\n    name: \"tp1\"\n    addresses: []\n    queues: auto\n" },
	{ "udp listener",        PORTS "listeners: ['udp:198.18.0.1:3478', 'udp:[fd00:18::1]:3478']\n" RELAY AUTH, "listeners: [\"udp:198.18.0.1:3478\", \"udp:[fd00:18::1]:3478\"]\n" },
	{ "listener as a map",   PORTS "listeners: [{ address: 198.18.0.1:3478, transport: udp }, { address: '198.18.0.1:53' }]\n" RELAY AUTH, "listeners: [\"udp:198.18.0.1:3478\", \"udp:198.18.0.1:53\"]\n" },
	{ "relay of its own",    PORTS LISTENERS "relay: { addresses: [192.0.2.7], ports: 1024-65535 }\n" AUTH, "  ports: 1024-65535\n" },
	{ "listener on a relay", PORTS "listeners: 192.0.2.7:3478\nrelay: { addresses: 192.0.2.7 }\n" AUTH, "listeners: [\"udp:192.0.2.7:3478\"]\n" },
	{ "one relayed port",    PORTS LISTENERS "relay: { addresses: [198.18.0.1], ports: 50000 }\n" AUTH, "  ports: 50000-50000\n" },
	{ "advertise",           PORTS LISTENERS "relay: { advertise: { 198.18.0.1: 203.0.113.7 }, addresses: [198.18.0.1] }\n" AUTH, "  advertise: { \"198.18.0.1\": \"203.0.113.7\" }\n" },
	{ "two in exchange",     PORTS LISTENERS "relay: { advertise: { 198.18.0.1: 203.0.113.7, 'fd00:18::1': '2001:db8::1' }, addresses: [198.18.0.1, 'fd00:18::1'] }\n" AUTH, "  advertise: { \"198.18.0.1\": \"203.0.113.7\", \"fd00:18::1\": \"2001:db8::1\" }\n" },
	{ "advertised as it is", PORTS LISTENERS "relay: { advertise: { 198.18.0.1: 198.18.0.1 }, addresses: [198.18.0.1] }\n" AUTH, "  advertise: {}\n" },
	{ "cores",               BASE "workers: 3\ncores: [4, none, 5]\nservice-core: 6\n", "cores: [4, none, 5]\nservice-core: 6\n" },
	{ "quoting",             PORTS LISTENERS RELAY "auth: { realm: 'a \"b\" \\ c: #d', users: { 'x: y': \"p\\\\'\\\"\" } }\n", "  realm: \"a \\\"b\\\" \\\\ c: #d\"\n  users:\n    \"x: y\": \"p\\\\'\\\"\"\n" },
	{ "a number as a name",  PORTS LISTENERS RELAY "auth: { realm: 1, users: { 2: 3 } }\n", "    \"2\": \"3\"\n" },
	{ "not ASCII",           PORTS LISTENERS RELAY "auth: { realm: \"\\u03c0\\u00df\", users: { caf\303\251: x } }\n", "  realm: \"\317\200\303\237\"\n  users:\n    \"caf\303\251\": \"x\"\n" },
	{ "one algorithm",       PORTS LISTENERS RELAY "auth: { realm: x, algorithms: [sha256] }\n", "  algorithms: [sha256]\n" },
	{ "nonce secret",        PORTS LISTENERS RELAY "auth: { realm: x, nonce-secret: 0123456789abcdef, rest-separator: '+' }\n", "  rest-separator: \"+\"\n  nonce-secret: \"0123456789abcdef\"\n" },
	{ "translators",         BASE "peers: { nat64: ['64:ff9b:1::/48', '2001:db8::/96'], sixrd: '2001:db8::/30' }\n", "  nat64: [\"64:ff9b:1::/48\", \"2001:db8::/96\"]\n  sixrd: [\"2001:db8::/30\"]\n" },
	{ "all of IPv6",         BASE "peers: { allow: ['::/0', 0.0.0.0/0] }\n", "  allow: [\"::/0\", \"0.0.0.0/0\"]\n" },
	{ "choices",             BASE "idle: poll\nhugepages: off\nmemory: 512\nlog: { level: debug, format: json }\n", "idle: poll\nhugepages: off\nmemory: 512\n" },
	{ "software, group",     BASE "software: Turnpike\nsocket-group: staff\n", "socket-group: \"staff\"\n" },
	{ "an alias",            BASE "peers: { allow: &l [10.0.0.0/8], deny: *l }\n", "  deny: [\"10.0.0.0/8\"]\n" },
	{ "limits of numbers",   BASE "limits: { lifetime: 86400, errors-per-prefix: 1 }\n", "  lifetime: 86400\n" },
	/* clang-format on */
};

static void test_good(void)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		struct config_error err;
		struct config *c = parse(good[i].text, CONFIG_ALL, &err);

		CHECK(c != NULL, good[i].name);
		if (c == NULL) {
			printf("%s\n", err.text);
			continue;
		}
		char *text = print(c, true);
		CHECK(strstr(text, good[i].printed) != NULL, good[i].name);
		struct config *again = parse(text, CONFIG_ALL, &err);
		CHECK(again != NULL, err.text);
		char *second = again != NULL ? print(again, true) : NULL;
		CHECK(second != NULL && strcmp(text, second) == 0, good[i].name);
		free(text);
		free(second);
		config_free(c);
		config_free(again);
	}
}

/* An octet form too long, a name too long: made at run time below. */
static const struct {
	const char *name, *text, *error;
} bad[] = {
	/* clang-format off */
	{ "empty",               "", "relay.yaml: the file is empty; at least ports, listeners, relay.addresses and auth.realm are needed" },
	{ "only a comment",      "# nothing\n", "relay.yaml: the file is empty; at least ports, listeners, relay.addresses and auth.realm are needed" },
	{ "a list",              "- a\n", "relay.yaml:1: a map of settings is expected" },
	{ "a word",              "hello\n", "relay.yaml:1: a map of settings is expected" },
	{ "syntax",              "ports: [\nlisteners: 1\n", "relay.yaml:3: not YAML: did not find expected ',' or ']', while parsing a flow sequence" },
	{ "tab",                 BASE "peers:\n\tallow: x\n", "relay.yaml:6: not YAML: found character that cannot start any token, while scanning for the next token" },
	{ "not UTF-8",           BASE "software: \377\n", "relay.yaml:5: not YAML: invalid leading UTF-8 octet" },
	{ "two documents",       BASE "---\nidle: poll\n", "relay.yaml:6: a second document begins; there may be one" },
	{ "undefined alias",     BASE "idle: *x\n", "relay.yaml:5: not YAML: found undefined alias" },
	{ "unknown key",         BASE "frobnicate: 1\n", "relay.yaml:5: 'frobnicate' is not a setting; see turnpike.yaml(5) for those there are" },
	{ "near key",            BASE "worker: 1\n", "relay.yaml:5: 'worker' is not a setting; did you mean 'workers'?" },
	{ "near key in a group", BASE "limits:\n  alocations-per-user: 1\n", "relay.yaml:6: 'limits.alocations-per-user' is not a setting; did you mean 'limits.allocations-per-user'?" },
	{ "group left out",      BASE "allocations-per-user: 1\n", "relay.yaml:5: 'allocations-per-user' is not a setting; did you mean 'limits.allocations-per-user'?" },
	{ "near group",          BASE "limts: { allocations: 1 }\n", "relay.yaml:5: 'limts' is not a setting; did you mean 'limits'?" },
	{ "key of a port",       "ports:\n  - device: net_null0\n    adresses: 198.18.0.1/24\n", "relay.yaml:3: 'ports.adresses' is not a setting; did you mean 'ports.addresses'?" },
	{ "letters swapped",     BASE "idel: poll\n", "relay.yaml:5: 'idel' is not a setting; did you mean 'idle'?" },
	{ "key far too long",    BASE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1\n", "relay.yaml:5: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' is not a setting; see turnpike.yaml(5) for those there are" },
	{ "a list as a key",     BASE "? [a]\n: 1\n", "relay.yaml:5: a list stands where a single value is expected" },
	{ "twice",               BASE "idle: poll\nidle: poll\n", "relay.yaml:6: idle: given twice" },
	{ "twice, dotted",       BASE "log: { level: info }\nlog.level: info\n", "relay.yaml:6: log.level: given twice, first in line 5" },
	{ "group twice",         BASE "log: { level: info }\nlog: { format: text }\n", "relay.yaml:6: log: given twice" },
	{ "group as a value",    BASE "limits: 5\n", "relay.yaml:5: limits: a single value stands where a map of settings is expected" },
	{ "value as a list",     BASE "workers: [1]\n", "relay.yaml:5: workers: a list stands where a number of threads from 1 to 32 is expected" },
	{ "value missing",       BASE "workers:\n", "relay.yaml:5: workers: the value is missing; expected a number of threads from 1 to 32" },
	{ "list missing",        BASE "peers: { allow: }\n", "relay.yaml:5: peers.allow: the value is missing; expected an address block ADDRESS/LENGTH with no bits after the length" },
	{ "number too small",    BASE "workers: 0\n", "relay.yaml:5: workers: '0' is not a number of threads from 1 to 32" },
	{ "number too large",    BASE "workers: 33\n", "relay.yaml:5: workers: '33' is not a number of threads from 1 to 32" },
	{ "number overflows",    BASE "workers: 4294967297\n", "relay.yaml:5: workers: '4294967297' is not a number of threads from 1 to 32" },
	{ "number with a sign",  BASE "workers: +1\n", "relay.yaml:5: workers: '+1' is not a number of threads from 1 to 32" },
	{ "number with a unit",  BASE "auth.nonce-lifetime: 10m\n", "relay.yaml:5: auth.nonce-lifetime: '10m' is not a number of seconds from 1 to 86400" },
	{ "boolean",             BASE "compat: { rfc3489: yes }\n", "relay.yaml:5: compat.rfc3489: 'yes' is not true or false" },
	{ "choice",              BASE "idle: spin\n", "relay.yaml:5: idle: 'spin' is not adaptive or poll" },
	{ "three choices",       BASE "hugepages: maybe\n", "relay.yaml:5: hugepages: 'maybe' is not auto, on or off" },
	{ "control character",   BASE "software: \"a\\x07b\"\n", "relay.yaml:5: software: the value holds a control character" },
	{ "zero octet",          BASE "software: \"a\\0b\"\n", "relay.yaml:5: software: the value holds a control character" },
	{ "line separator",      BASE "software: \"a\\u2028b\"\n", "relay.yaml:5: software: the value holds a control character" },
	{ "bad name",            BASE "name: ../x\n", "relay.yaml:5: name: '../x' is not a name of 1 to 63 letters, digits, '-', '_' and '.', the first a letter or digit" },
	{ "relative run-dir",    BASE "run-dir: run\n", "relay.yaml:5: run-dir: 'run' is not an absolute path" },
	{ "no ports",            LISTENERS RELAY AUTH, "relay.yaml: ports: the setting is missing: Network devices that the data plane drives" },
	{ "no port in it",       "ports: []\n" LISTENERS RELAY AUTH, "relay.yaml:1: ports: there must be at least one" },
	{ "no device",           "ports:\n  - { name: a }\n", "relay.yaml:2: ports.device: the setting is missing" },
	{ "port as text",        "ports: [eth0]\n", "relay.yaml:1: ports: a single value stands where a list of ports, each a map with at least device is expected" },
	{ "bare device",         "ports: [{ device: eth0 }]\n", "relay.yaml:1: ports.device: 'eth0' is not a device: af_packet:IFNAME, af_xdp:IFNAME, pci:ADDRESS, memif:/SOCKET,role=ROLE,id=N or net_DRIVER,ARGS" },
	{ "device unnamed",      "ports: [{ device: 'af_packet:' }]\n", "relay.yaml:1: ports.device: 'af_packet:' is not a device: af_packet:IFNAME, af_xdp:IFNAME, pci:ADDRESS, memif:/SOCKET,role=ROLE,id=N or net_DRIVER,ARGS" },
	{ "interface too long",  "ports: [{ device: 'af_packet:abcdefghijklmnop' }]\n", "relay.yaml:1: ports.device: 'af_packet:abcdefghijklmnop' is not a device: af_packet:IFNAME, af_xdp:IFNAME, pci:ADDRESS, memif:/SOCKET,role=ROLE,id=N or net_DRIVER,ARGS" },
	{ "device twice",        "ports: [{ device: net_null0 }, { device: net_null0 }]\n" LISTENERS RELAY AUTH, "relay.yaml:1: ports.device: 'net_null0' is given to two ports" },
	{ "name twice",          "ports:\n- { device: net_null0, name: tp1 }\n- { device: net_null1 }\n" LISTENERS RELAY AUTH, "relay.yaml:3: ports.name: two ports are named 'tp1'" },
	{ "name of the device",  "ports: [{ device: af_packet:eth0, name: eth0 }]\n" LISTENERS RELAY AUTH, "relay.yaml:1: ports.name: 'eth0' is the kernel's name of the device itself; the exception TAP needs another" },
	{ "port address",        "ports: [{ device: net_null0, addresses: 198.18.0.1/33 }]\n", "relay.yaml:1: ports.addresses: '198.18.0.1/33' is not an interface address ADDRESS/LENGTH" },
	{ "network address",     "ports: [{ device: net_null0, addresses: 198.18.0.0/24 }]\n" LISTENERS RELAY AUTH, "relay.yaml:1: ports.addresses: '198.18.0.0/24' is not an address a host can have" },
	{ "broadcast address",   "ports: [{ device: net_null0, addresses: 198.18.0.255/24 }]\n" LISTENERS RELAY AUTH, "relay.yaml:1: ports.addresses: '198.18.0.255/24' is not an address a host can have" },
	{ "multicast address",   "ports: [{ device: net_null0, addresses: 'ff02::1/64' }]\n" LISTENERS RELAY AUTH, "relay.yaml:1: ports.addresses: 'ff02::1/64' is not an address a host can have" },
	{ "address twice",       "ports:\n- { device: net_null0, addresses: 198.18.0.1/24 }\n- { device: net_null1, addresses: 198.18.0.1/16 }\n" LISTENERS RELAY AUTH, "relay.yaml:3: ports.addresses: '198.18.0.1/16' is given twice" },
	{ "mtu too small",       "ports: [{ device: net_null0, mtu: 1279 }]\n", "relay.yaml:1: ports.mtu: '1279' is not auto or a number of octets from 1280 to 9216" },
	{ "no listener",         PORTS "listeners: []\n" RELAY AUTH, "relay.yaml:2: listeners: there must be at least one" },
	{ "listener, no port",   PORTS "listeners: [198.18.0.1]\n", "relay.yaml:2: listeners: '198.18.0.1' is not ADDRESS:PORT, as 192.0.2.1:3478 or \"[2001:db8::1]:3478\"" },
	{ "listener, port 0",    PORTS "listeners: [198.18.0.1:0]\n", "relay.yaml:2: listeners: '198.18.0.1:0' is not ADDRESS:PORT, as 192.0.2.1:3478 or \"[2001:db8::1]:3478\"" },
	{ "listener, tcp",       PORTS "listeners: ['tcp:198.18.0.1:3478']\n", "relay.yaml:2: listeners: tcp listeners are not served yet; udp is" },
	{ "listener, tls",       PORTS "listeners: ['tls:198.18.0.1:5349']\n", "relay.yaml:2: listeners: tls listeners are not served yet; udp is" },
	{ "listener, dtls map",  PORTS "listeners: [{ transport: dtls, address: '198.18.0.1:5349' }]\n", "relay.yaml:2: listeners: dtls listeners are not served yet; udp is" },
	{ "listener, sctp",      PORTS "listeners: [{ transport: sctp, address: '198.18.0.1:5349' }]\n", "relay.yaml:2: listeners.transport: 'sctp' is not udp, tcp, tls or dtls" },
	{ "listener, no address", PORTS "listeners: [{ transport: udp }]\n", "relay.yaml:2: listeners.address: the setting is missing" },
	{ "listener elsewhere",  PORTS "listeners: [198.18.0.2:3478]\n" RELAY AUTH, "relay.yaml:2: listeners: the address of '198.18.0.2:3478' is neither in a port's addresses nor in relay.addresses" },
	{ "listener twice",      PORTS "listeners:\n- 198.18.0.1:3478\n- udp:198.18.0.1:3478\n" RELAY AUTH, "relay.yaml:4: listeners: '198.18.0.1:3478' is given twice" },
	{ "listener in relay.ports", PORTS "listeners: [198.18.0.1:50000]\n" RELAY AUTH, "relay.yaml:2: listeners: '198.18.0.1:50000' lies in relay.ports (49152-65535) of a relay address" },
	{ "relay, no address",   PORTS LISTENERS "relay: { ports: 50000-60000 }\n" AUTH, "relay.yaml: relay.addresses: the setting is missing: Addresses from which media is relayed: of a port, or routed here and of no host" },
	{ "relay address",       PORTS LISTENERS "relay: { addresses: [198.18.0.1/24] }\n", "relay.yaml:3: relay.addresses: '198.18.0.1/24' is not an IP address" },
	{ "relay mapped",        PORTS LISTENERS "relay: { addresses: ['::ffff:198.18.0.1'] }\n", "relay.yaml:3: relay.addresses: '::ffff:198.18.0.1' is not an IP address" },
	{ "relay any",           PORTS LISTENERS "relay: { addresses: [0.0.0.0] }\n" AUTH, "relay.yaml:3: relay.addresses: '0.0.0.0' is not an address a host can have" },
	{ "relay loopback",      PORTS LISTENERS "relay: { addresses: ['::1'] }\n" AUTH, "relay.yaml:3: relay.addresses: '::1' is not an address a host can have" },
	{ "relay broadcast",     PORTS LISTENERS "relay: { addresses: [198.18.0.255] }\n" AUTH, "relay.yaml:3: relay.addresses: '198.18.0.255' is the network or broadcast address of a port's network" },
	{ "relay twice",         PORTS LISTENERS "relay:\n  addresses:\n  - 198.18.0.1\n  - 198.18.0.1\n" AUTH, "relay.yaml:6: relay.addresses: '198.18.0.1' is given twice" },
	{ "ports below 1024",    PORTS LISTENERS "relay: { addresses: [198.18.0.1], ports: 1023-2000 }\n", "relay.yaml:3: relay.ports: '1023-2000' is not a range FIRST-LAST within 1024-65535" },
	{ "ports backwards",     PORTS LISTENERS "relay: { addresses: [198.18.0.1], ports: 3000-2000 }\n", "relay.yaml:3: relay.ports: '3000-2000' is not a range FIRST-LAST within 1024-65535" },
	{ "ports above",         PORTS LISTENERS "relay: { addresses: [198.18.0.1], ports: 3000-65536 }\n", "relay.yaml:3: relay.ports: '3000-65536' is not a range FIRST-LAST within 1024-65535" },
	{ "advertise unknown",   PORTS LISTENERS "relay: { addresses: [198.18.0.1], advertise: { 198.18.0.2: 192.0.2.1 } }\n" AUTH, "relay.yaml:3: relay.advertise: '198.18.0.2' is not in relay.addresses" },
	{ "advertise family",    PORTS LISTENERS "relay: { addresses: [198.18.0.1], advertise: { 198.18.0.1: '2001:db8::1' } }\n" AUTH, "relay.yaml:3: relay.advertise: '198.18.0.1' and '2001:db8::1' are of different families" },
	{ "advertise twice",     PORTS LISTENERS "relay: { addresses: [198.18.0.1], advertise: { 198.18.0.1: 192.0.2.1, 198.18.0.1: 192.0.2.2 } }\n" AUTH, "relay.yaml:3: relay.advertise: '198.18.0.1' is given twice" },
	{ "advertise shared",    PORTS LISTENERS "relay: { addresses: [198.18.0.1, 198.18.0.2], advertise: { 198.18.0.1: 192.0.2.1, 198.18.0.2: 192.0.2.1 } }\n" AUTH, "relay.yaml:3: relay.advertise: '192.0.2.1' is advertised for two relay addresses" },
	{ "advertise another",   PORTS LISTENERS "relay: { addresses: [198.18.0.1, 198.18.0.2], advertise: { 198.18.0.1: 198.18.0.2 } }\n" AUTH, "relay.yaml:3: relay.advertise: '198.18.0.2' is another relay address" },
	{ "no realm",            PORTS LISTENERS RELAY, "relay.yaml: auth.realm: the setting is missing: Realm of the long-term credentials; a longer one would make 401 outgrow a small Allocate 2.5 times, and then it is not sent" },
	{ "empty realm",         PORTS LISTENERS RELAY "auth: { realm: '' }\n", "relay.yaml:4: auth.realm: the text is empty" },
	{ "STUN-075 soft hyphen", PORTS LISTENERS RELAY "auth: { realm: \"a\\u00adb\" }\n", "relay.yaml:4: auth.realm: the text holds U+00AD, which names and passwords may not" },
	{ "STUN-075 user",       PORTS LISTENERS RELAY "auth:\n  realm: x\n  users:\n    \"a\\u00adb\": x\n", "relay.yaml:7: auth.users: the text holds U+00AD, which names and passwords may not" },
	{ "password told not",   PORTS LISTENERS RELAY "auth: { realm: x, users: { a: \"hush\\u00ad\" } }\n", "relay.yaml:4: auth.users: the secret holds U+00AD, which names and passwords may not" },
	{ "empty password",      PORTS LISTENERS RELAY "auth: { realm: x, users: { a: '' } }\n", "relay.yaml:4: auth.users: the secret is empty" },
	{ "password missing",    PORTS LISTENERS RELAY "auth: { realm: x, users: { a: } }\n", "relay.yaml:4: auth.users: the secret is empty" },
	{ "users as a list",     PORTS LISTENERS RELAY "auth: { realm: x, users: [a] }\n", "relay.yaml:4: auth.users: a list stands where a map of names and passwords is expected" },
	{ "user twice",          PORTS LISTENERS RELAY "auth:\n  realm: x\n  users:\n    a: x\n    b: x\n    a: y\n", "relay.yaml:9: auth.users: user 'a' is given twice" },
	{ "secret of no kind",   PORTS LISTENERS RELAY "auth: { realm: x, rest-secrets: [{ url: x }] }\n", "relay.yaml:4: auth.rest-secrets: a secret is a text, { file: PATH } or { env: NAME }" },
	{ "secret of two kinds", PORTS LISTENERS RELAY "auth: { realm: x, rest-secrets: [{ file: x, env: y }] }\n", "relay.yaml:4: auth.rest-secrets: a secret is a text, { file: PATH } or { env: NAME }" },
	{ "secret as a list",    PORTS LISTENERS RELAY "auth: { realm: x, rest-secrets: [[x]] }\n", "relay.yaml:4: auth.rest-secrets: a list stands where a single value is expected" },
	{ "file not there",      PORTS LISTENERS RELAY "auth: { realm: x, rest-secrets: [{ file: /nowhere/x }] }\n", "relay.yaml:4: auth.rest-secrets: file '/nowhere/x': No such file or directory" },
	{ "a device as a file",  PORTS LISTENERS RELAY "auth: { realm: x, rest-secrets: [{ file: /dev/zero }] }\n", "relay.yaml:4: auth.rest-secrets: file '/dev/zero' is not a regular file" },
	{ "environment not set", PORTS LISTENERS RELAY "auth: { realm: x, rest-secrets: [{ env: TURNPIKE_NO_SUCH }] }\n", "relay.yaml:4: auth.rest-secrets: environment variable 'TURNPIKE_NO_SUCH' is not set" },
	{ "five secrets",        PORTS LISTENERS RELAY "auth: { realm: x, rest-secrets: [a, b, c, d, e] }\n", "relay.yaml:4: auth.rest-secrets: more than 4 secrets" },
	{ "short nonce secret",  PORTS LISTENERS RELAY "auth: { realm: x, nonce-secret: 0123456789abcde }\n", "relay.yaml:4: auth.nonce-secret: the secret has 15 octets, fewer than 16" },
	{ "separator",           PORTS LISTENERS RELAY "auth: { realm: x, rest-separator: '::' }\n", "relay.yaml:4: auth.rest-separator: '::' is not one printable ASCII character that is no letter, digit or space" },
	{ "no algorithm",        PORTS LISTENERS RELAY "auth: { realm: x, algorithms: [] }\n", "relay.yaml:4: auth.algorithms: there must be at least one" },
	{ "algorithm",           PORTS LISTENERS RELAY "auth: { realm: x, algorithms: [sha1] }\n", "relay.yaml:4: auth.algorithms: 'sha1' is not a list of md5 or sha256" },
	{ "TURN-223 no block",   BASE "peers:\n  deny:\n  - 10.0.0.0/8\n  - 10.0.0/8\n", "relay.yaml:8: peers.deny: '10.0.0/8' is not an address block ADDRESS/LENGTH with no bits after the length" },
	{ "TURN-223 a name",     BASE "peers: { deny: [localhost] }\n", "relay.yaml:5: peers.deny: 'localhost' is not an address block ADDRESS/LENGTH with no bits after the length" },
	{ "TURN-223 host bits",  BASE "peers: { allow: [198.18.0.1/15] }\n", "relay.yaml:5: peers.allow: '198.18.0.1/15' has bits after its length; did you mean 198.18.0.0/15?" },
	{ "TURN-223 mapped",     BASE "peers: { deny: ['::ffff:10.0.0.0/104'] }\n", "relay.yaml:5: peers.deny: '::ffff:10.0.0.0/104' is not an address block ADDRESS/LENGTH with no bits after the length" },
	{ "TURN-223 empty",      BASE "peers: { deny: [10.0.0.0/8, ] }\nx: ''\n", "relay.yaml:6: 'x' is not a setting; see turnpike.yaml(5) for those there are" },
	{ "TURN-223 a map",      BASE "peers: { deny: [{ a: b }] }\n", "relay.yaml:5: peers.deny: a map stands where a single value is expected" },
	{ "NAT64 length",        BASE "peers: { nat64: '2001:db8::/50' }\n", "relay.yaml:5: peers.nat64: '2001:db8::/50' is not an IPv6 prefix of length 32, 40, 48, 56, 64 or 96" },
	{ "NAT64 family",        BASE "peers: { nat64: 0.0.0.0/0 }\n", "relay.yaml:5: peers.nat64: '0.0.0.0/0' is not an IPv6 prefix of length 32, 40, 48, 56, 64 or 96" },
	{ "6rd family",          BASE "peers: { sixrd: 10.0.0.0/8 }\n", "relay.yaml:5: peers.sixrd: '10.0.0.0/8' is not an IPv6 prefix of at most 64 bits" },
	{ "cores for workers",   BASE "workers: 2\ncores: [1]\n", "relay.yaml:6: cores: lists 1 where workers is 2; one for each worker" },
	{ "a core twice",        BASE "workers: 2\ncores: [1, 1]\n", "relay.yaml:6: cores: core 1 is given to two workers" },
	{ "service core taken",  BASE "service-core: 3\ncores: [3]\n", "relay.yaml:6: cores: core 3 is the service-core too" },
	{ "not a core",          BASE "cores: [x]\n", "relay.yaml:5: cores: 'x' is not none or a core number from 0 to 1023" },
	/* clang-format on */
};

static void test_bad(void)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct config_error err;
		struct config *c = parse(bad[i].text, CONFIG_ALL, &err);

		CHECK(c == NULL, bad[i].name);
		CHECK(strcmp(err.text, bad[i].error) == 0, bad[i].name);
		if (strcmp(err.text, bad[i].error) != 0)
			printf("%s:\n got      %s\n expected %s\n", bad[i].name, err.text,
			       bad[i].error);
		config_free(c);
	}
}

/* Texts just as long as they may be, and one more. */
static void test_lengths(void)
{
	static const struct {
		const char *head, *tail;
		unsigned most;
	} limits[] = {
		{ PORTS LISTENERS RELAY "auth.realm: ", "\n", 32 },
		{ BASE "software: ", "\n", 127 },
		{ BASE "name: ", "\n", 63 },
		{ PORTS LISTENERS RELAY "auth: { realm: x, users: { ? ", " : x } }\n", 508 },
		{ PORTS LISTENERS RELAY "auth: { realm: x, users: { x: ", " } }\n", 1000 },
		{ PORTS LISTENERS RELAY "auth: { realm: x, rest-secrets: [", "] }\n", 1024 },
		{ "ports: [{ device: 'net_",
		  "', addresses: 198.18.0.1/24 }]\n" LISTENERS RELAY AUTH, 251 },
		{ "ports: [{ device: net_null0, name: ",
		  ", addresses: 198.18.0.1/24 }]\n" LISTENERS RELAY AUTH, 15 },
	};

	for (size_t i = 0; i < COUNT(limits); i++)
		for (unsigned over = 0; over < 2; over++) {
			char text[2048], fill[1100];
			struct config_error err;

			memset(fill, 'x', sizeof(fill));
			snprintf(text, sizeof(text), "%s%.*s%s", limits[i].head,
			         (int)(limits[i].most + over), fill, limits[i].tail);
			struct config *c = parse(text, CONFIG_ALL, &err);
			CHECK((c != NULL) == (over == 0), limits[i].head);
			config_free(c);
		}
}

static void test_views_and_redaction(void)
{
	static const char secret[] =
		PORTS LISTENERS RELAY "auth: { realm: x, users: { alice: hush1 }, rest-secrets: "
				      "[hush2, { env: TURNPIKE_NO }],"
				      " nonce-secret: hush3-0123456789 }\n";
	static const char text[] = PORTS LISTENERS RELAY
		"auth: { realm: x, users: { alice: hush1 }, rest-secrets: [hush2],"
		" nonce-secret: hush3-0123456789 }\n";
	struct config_error err;
	struct config *c = parse(secret, CONFIG_NO_SECRETS, &err);

	CHECK(c != NULL, err.text);
	CHECK(c != NULL && c->n_users == 1 && c->users[0].password == NULL, "no password");
	CHECK(c != NULL && c->n_rest_secrets == 0 && c->nonce_secret == NULL, "no secret");
	config_free(c);
	c = parse(text, CONFIG_ALL, &err);
	CHECK(c != NULL, err.text);
	char *shown = print(c, false), *open = print(c, true);
	CHECK(strstr(shown, "hush") == NULL, "redacted");
	CHECK(strstr(open, "hush1") && strstr(open, "hush2") && strstr(open, "hush3"), "asked for");
	struct config *again = parse(shown, CONFIG_ALL, &err),
		      *other = parse(shown, CONFIG_ALL, &err);
	CHECK(again != NULL && other != NULL, err.text);
	CHECK(strcmp(again->users[0].password, "(redacted)") != 0, "no known password");
	CHECK(strcmp(again->users[0].password, other->users[0].password) != 0, "nor a fixed one");
	char *second = print(again, false);
	CHECK(strcmp(shown, second) == 0, "redacted text parses");
	free(second);
	free(shown);
	free(open);
	config_free(c);
	config_free(again);
	config_free(other);
}

static void write_file(const char *dir, const char *name, const char *text, size_t len)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	CHECK(f != NULL && fwrite(text, 1, len, f) == len && fclose(f) == 0, name);
}

/* From files, relative to the configuration, and the environment. */
static void test_files(void)
{
	static const char text[] = PORTS LISTENERS RELAY
		"auth: { realm: x, users: { a: { file: pw } },"
		" rest-secrets: [{ file: ./s }, { env: TURNPIKE_CONFIG_TEST }] }\n";
	static const struct {
		const char *name, *octets;
		size_t len;
	} refused[] = { { "is empty", "\n", 1 },
		        { "is not UTF-8", "a\377", 2 },
		        { "holds a zero octet", "a\0b", 3 },
		        { "holds U+000A", "a\nb\n", 4 } };
	char dir[] = "/tmp/turnpike-config-XXXXXX", path[256], sub[256];
	struct config_error err;

	CHECK(mkdtemp(dir) != NULL, "directory");
	setenv("TURNPIKE_CONFIG_TEST", "from the environment", 1);
	write_file(dir, "relay.yaml", text, sizeof(text) - 1);
	write_file(dir, "pw", "p w\n", 4);
	write_file(dir, "s", "\316\261", 2);
	snprintf(path, sizeof(path), "%s/relay.yaml", dir);
	struct config *c = config_load(path, CONFIG_ALL, &err);
	CHECK(c != NULL, err.text);
	if (c != NULL) {
		CHECK(strcmp(c->users[0].password, "p w") == 0, "password");
		CHECK(strcmp(c->rest_secrets[0], "\316\261") == 0, "secret");
		CHECK(strcmp(c->rest_secrets[1], "from the environment") == 0, "environment");
		CHECK(strcmp(c->path, path) == 0, "real path");
		CHECK(config_run_path(c, "x", sub, sizeof(sub)), "run path");
		CHECK(strncmp(sub, c->run_dir, strlen(c->run_dir)) == 0, "run path");
		CHECK(!config_run_path(c, "x", sub, strlen(c->run_dir) + 2), "too small");
		memset(sub, 'x', sizeof(sub));
		sub[100] = '\0';
		CHECK(!config_run_path(c, sub, path, sizeof(path)), "too long for a socket");
	}
	config_free(c);
	snprintf(path, sizeof(path), "%s/relay.yaml", dir);
	for (size_t i = 0; i < COUNT(refused); i++) {
		write_file(dir, "pw", refused[i].octets, refused[i].len);
		c = config_load(path, CONFIG_ALL, &err);
		CHECK(c == NULL && strstr(err.text, refused[i].name) != NULL, refused[i].name);
		config_free(c);
	}
	c = config_load(path, CONFIG_NO_SECRETS, &err);
	CHECK(c != NULL, "files are not read where secrets are not wanted");
	config_free(c);
	static const char *const names[] = { "relay.yaml", "pw", "s" };
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(sub, sizeof(sub), "%s/%s", dir, names[i]);
		unlink(sub);
	}
	c = config_load(path, CONFIG_ALL, &err);
	CHECK(c == NULL && strstr(err.text, "cannot read the configuration: No such file"),
	      "missing");
	rmdir(dir);
	c = config_load("/", CONFIG_ALL, &err);
	CHECK(c == NULL && strstr(err.text, "Is a directory") != NULL, "a directory");
}

/* 5,000 users: neither reading nor the search for doubles may be quadratic to the eye. */
static void test_many_users(void)
{
	char *text = NULL;
	size_t len;
	struct config_error err;
	FILE *f = open_memstream(&text, &len);

	fputs(PORTS LISTENERS RELAY "auth:\n  realm: x\n  users:\n", f);
	for (unsigned i = 0; i < 5000; i++)
		fprintf(f, "    user%u: password%u\n", i, i);
	fclose(f);
	struct config *c = parse(text, CONFIG_ALL, &err);
	CHECK(c != NULL && c->n_users == 5000, "many users");
	CHECK(c != NULL && strcmp(c->users[4999].password, "password4999") == 0, "in order");
	config_free(c);
	free(text);
}

/* The table itself: every key can be found, said and defaulted, and is in both manuals. */
static void test_table(void)
{
	char *forms[2] = { NULL, NULL }, allowed[320];
	size_t len;
	bool group;

	for (unsigned i = 0; i < 2; i++) {
		FILE *f = open_memstream(&forms[i], &len);
		config_manual(f, i == 1);
		fclose(f);
	}
	CHECK(strncmp(forms[0], ".TH TURNPIKE.YAML 5", 19) == 0, "troff");
	for (unsigned i = 0; i < config_n_settings; i++) {
		const struct setting *s = &config_settings[i];
		char row[64], troff[128] = "\n.B ";
		size_t n = strlen(troff);

		CHECK(config_table_find(s->key, s->scope, &group) == s, s->key);
		config_table_allowed(s, allowed, sizeof(allowed));
		CHECK(allowed[0] != '\0' && strlen(allowed) < sizeof(allowed) - 1, s->key);
		CHECK(s->required || s->def != NULL || s->def_told != NULL, s->key);
		CHECK(s->doc[strlen(s->doc) - 1] != '.', s->key);
		CHECK(strlen(s->key) < CONFIG_KEY_MAX - 1, s->key);
		snprintf(row, sizeof(row), "\n| `%s` |", s->key);
		CHECK(strstr(forms[1], row) != NULL, s->key);
		for (const char *k = s->key; *k != '\0'; k++)
			n += (size_t)snprintf(troff + n, sizeof(troff) - n, "%s%c",
			                      *k == '-' ? "\\" : "", *k);
		CHECK(strstr(forms[0], strcat(troff, "\n")) != NULL, s->key);
	}
	free(forms[0]);
	free(forms[1]);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the newcomer's file", test_newcomer },
		{ "defaults", test_defaults },
		{ "good ones, printed and read again", test_good },
		{ "bad ones, and what is said (TURN-223, STUN-075)", test_bad },
		{ "lengths", test_lengths },
		{ "views and redaction", test_views_and_redaction },
		{ "secrets from files and environment", test_files },
		{ "many users", test_many_users },
		{ "settings table and manual", test_table },
		CU_TEST_INFO_NULL,
	};
	return run_suite("include/config", tests);
}
