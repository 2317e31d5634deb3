/* What settings mean together, and what follows from them where nothing is said. */
#include <stdlib.h>
#include <string.h>

#include "config_table.h"

static bool check_required(struct reading *r)
{
	for (unsigned i = 0; i < config_n_settings; i++) {
		const struct setting *s = &config_settings[i];

		if (s->scope == IN_CONFIG && s->required && r->seen[i] == 0)
			return config_fail(r, 0, s->key, "the setting is missing: %s", s->doc);
	}
	return true;
}

/* An address that a host can have and others can reach. */
static bool is_unicast(const struct addr *a)
{
	if (addr_is4(a))
		return a->ip[12] != 0 && a->ip[12] != 127 && a->ip[12] < 224;
	static const struct addr any, loopback = { .ip = { [15] = 1 } };
	return a->ip[0] != 0xFF && !addr_equal(a, &any) && !addr_equal(a, &loopback);
}

/* All bits behind the length zero, or all one: the network itself, or its broadcast. */
static bool is_edge(const struct prefix *p)
{
	bool zeros = true, ones = true;

	if (!addr_is4(&p->addr) || p->len >= 127)
		return false;
	for (unsigned bit = p->len; bit < 128; bit++) {
		if (p->addr.ip[bit / 8] & (0x80u >> bit % 8))
			zeros = false;
		else
			ones = false;
	}
	return zeros || ones;
}

static bool check_port_addresses(struct reading *r, unsigned port)
{
	struct config *cfg = r->cfg;
	const struct config_port *p = &cfg->ports[port];
	char text[PREFIX_TEXT_MAX];

	for (unsigned i = 0; i < p->n_addresses; i++) {
		const struct prefix *a = &p->addresses[i];

		if (!is_unicast(&a->addr) || is_edge(a))
			return config_fail(r, r->port_line[port], "ports.addresses",
			                   "'%s' is not an address a host can have",
			                   prefix_print(a, text));
		for (unsigned k = 0; k < cfg->n_links; k++)
			if (addr_equal(&cfg->links[k].addr, &a->addr))
				return config_fail(r, r->port_line[port], "ports.addresses",
				                   "'%s' is given twice", prefix_print(a, text));
		cfg->links[cfg->n_links++] = *a;
	}
	return true;
}

static bool check_ports(struct reading *r)
{
	struct config *cfg = r->cfg;

	if (cfg->n_ports == 0)
		return config_fail(r, config_line(r, "ports"), "ports",
		                   "there must be at least one");
	cfg->links =
		calloc((size_t)CONFIG_PORTS_MAX * CONFIG_PORT_ADDRESSES_MAX, sizeof(*cfg->links));
	if (cfg->links == NULL)
		return config_fail(r, 0, NULL, "out of memory");
	for (unsigned i = 0; i < cfg->n_ports; i++) {
		struct config_port *p = &cfg->ports[i];

		if (p->name[0] == '\0')
			snprintf(p->name, sizeof(p->name), "tp%u", i);
	}
	for (unsigned i = 0; i < cfg->n_ports; i++) {
		const struct config_port *p = &cfg->ports[i];

		for (unsigned k = 0; k < i; k++) {
			if (strcmp(cfg->ports[k].name, p->name) == 0)
				return config_fail(r, r->port_line[i], "ports.name",
				                   "two ports are named '%s'", p->name);
			if (cfg->ports[k].kind == p->kind &&
			    strcmp(cfg->ports[k].device, p->device) == 0)
				return config_fail(r, r->port_line[i], "ports.device",
				                   "'%s' is given to two ports", p->device);
		}
		if ((p->kind == DEVICE_AF_PACKET || p->kind == DEVICE_AF_XDP) &&
		    strcmp(p->name, p->device) == 0)
			return config_fail(r, r->port_line[i], "ports.name",
			                   "'%s' is the kernel's name of the device itself; the "
			                   "exception TAP needs another",
			                   p->name);
		if (!check_port_addresses(r, i))
			return false;
	}
	return true;
}

static bool is_port_address(const struct config *cfg, const struct addr *a)
{
	for (unsigned i = 0; i < cfg->n_links; i++)
		if (addr_equal(&cfg->links[i].addr, a))
			return true;
	return false;
}

static struct config_relay *relay_find(struct config *cfg, const struct addr *a)
{
	for (unsigned i = 0; i < cfg->n_relays; i++)
		if (addr_equal(&cfg->relays[i].addr, a))
			return &cfg->relays[i];
	return NULL;
}

/* An address of no port is an address of its own: routed here, held by no host. */
static bool check_relays(struct reading *r)
{
	struct config *cfg = r->cfg;
	char text[ADDR_TEXT_MAX];

	if (cfg->n_relays == 0)
		return config_fail(r, config_line(r, "relay.addresses"), "relay.addresses",
		                   "there must be at least one");
	for (unsigned i = 0; i < cfg->n_relays; i++) {
		const struct addr *a = &cfg->relays[i].addr;

		if (!is_unicast(a))
			return config_fail(r, r->relay_line[i], "relay.addresses",
			                   "'%s' is not an address a host can have",
			                   addr_print(a, text));
		if (relay_find(cfg, a) != &cfg->relays[i])
			return config_fail(r, r->relay_line[i], "relay.addresses",
			                   "'%s' is given twice", addr_print(a, text));
		for (unsigned k = 0; k < cfg->n_links; k++) {
			struct prefix edge = { .addr = *a, .len = cfg->links[k].len };

			if (prefix_contains(&cfg->links[k], a) && is_edge(&edge))
				return config_fail(r, r->relay_line[i], "relay.addresses",
				                   "'%s' is the network or broadcast address of a "
				                   "port's network",
				                   addr_print(a, text));
		}
	}
	return true;
}

static bool check_advertise(struct reading *r)
{
	char text[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];

	for (unsigned i = 0; i < r->n_advertise; i++) {
		const struct addr *real = &r->advertise[i].real, *told = &r->advertise[i].told;
		struct config_relay *relay = relay_find(r->cfg, real);

		if (relay == NULL)
			return config_fail(r, r->advertise_line[i], "relay.advertise",
			                   "'%s' is not in relay.addresses",
			                   addr_print(real, text));
		if (addr_is4(real) != addr_is4(told))
			return config_fail(r, r->advertise_line[i], "relay.advertise",
			                   "'%s' and '%s' are of different families",
			                   addr_print(real, text), addr_print(told, other));
		if (!is_unicast(told))
			return config_fail(r, r->advertise_line[i], "relay.advertise",
			                   "'%s' is not an address a host can have",
			                   addr_print(told, text));
		for (unsigned k = 0; k < i; k++) {
			if (addr_equal(&r->advertise[k].real, real))
				return config_fail(r, r->advertise_line[i], "relay.advertise",
				                   "'%s' is given twice", addr_print(real, text));
			/* Else a peer address would name two relayed addresses (TURN-211). */
			if (addr_equal(&r->advertise[k].told, told))
				return config_fail(r, r->advertise_line[i], "relay.advertise",
				                   "'%s' is advertised for two relay addresses",
				                   addr_print(told, text));
		}
		const struct config_relay *same = relay_find(r->cfg, told);
		if (same != NULL && same != relay)
			return config_fail(r, r->advertise_line[i], "relay.advertise",
			                   "'%s' is another relay address", addr_print(told, text));
		relay->advertise = *told;
	}
	return true;
}

static bool check_listeners(struct reading *r)
{
	struct config *cfg = r->cfg;
	char text[ENDPOINT_TEXT_MAX];

	if (cfg->n_listeners == 0)
		return config_fail(r, config_line(r, "listeners"), "listeners",
		                   "there must be at least one");
	for (unsigned i = 0; i < cfg->n_listeners; i++) {
		const struct endpoint *at = &cfg->listeners[i].at;
		const bool relayed = relay_find(cfg, &at->addr) != NULL;

		if (!relayed && !is_port_address(cfg, &at->addr))
			return config_fail(
				r, r->listener_line[i], "listeners",
				"the address of '%s' is neither in a port's addresses nor in "
				"relay.addresses",
				endpoint_print(at, text));
		if (relayed && at->port >= cfg->relay_port_min && at->port <= cfg->relay_port_max)
			return config_fail(r, r->listener_line[i], "listeners",
			                   "'%s' lies in relay.ports (%u-%u) of a relay address",
			                   endpoint_print(at, text), cfg->relay_port_min,
			                   cfg->relay_port_max);
		for (unsigned k = 0; k < i; k++)
			if (endpoint_equal(&cfg->listeners[k].at, at))
				return config_fail(r, r->listener_line[i], "listeners",
				                   "'%s' is given twice", endpoint_print(at, text));
	}
	return true;
}

static bool check_cores(struct reading *r)
{
	const struct config *cfg = r->cfg;
	const unsigned line = config_line(r, "cores");

	if (r->n_cores > 0 && r->n_cores != cfg->workers)
		return config_fail(r, line, "cores",
		                   "lists %u where workers is %u; one for each worker", r->n_cores,
		                   cfg->workers);
	for (unsigned i = 0; i < r->n_cores; i++) {
		if (cfg->cores[i] < 0)
			continue;
		if (cfg->cores[i] == cfg->service_core)
			return config_fail(r, line, "cores", "core %d is the service-core too",
			                   cfg->cores[i]);
		for (unsigned k = 0; k < i; k++)
			if (cfg->cores[k] == cfg->cores[i])
				return config_fail(r, line, "cores",
				                   "core %d is given to two workers",
				                   cfg->cores[i]);
	}
	return true;
}

static bool check_translators(struct reading *r)
{
	static const uint8_t lengths[] = { 32, 40, 48, 56, 64, 96 }; /* RFC 6052 §2.2 */
	const struct config *cfg = r->cfg;
	char text[PREFIX_TEXT_MAX];

	for (unsigned i = 0; i < cfg->n_nat64; i++) {
		const struct prefix *p = &cfg->nat64[i];

		if (memchr(lengths, p->len, sizeof(lengths)) == NULL ||
		    (p->len == 96 && addr_is4(&p->addr)))
			return config_fail(
				r, config_line(r, "peers.nat64"), "peers.nat64",
				"'%s' is not an IPv6 prefix of length 32, 40, 48, 56, 64 or 96",
				prefix_print(p, text));
	}
	for (unsigned i = 0; i < cfg->n_sixrd; i++) {
		const struct prefix *p = &cfg->sixrd[i];

		if (p->len > 64)
			return config_fail(r, config_line(r, "peers.sixrd"), "peers.sixrd",
			                   "'%s' is not an IPv6 prefix of at most 64 bits",
			                   prefix_print(p, text));
	}
	return true;
}

static unsigned characters(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += ((uint8_t)*text & 0xC0) != 0x80;
	return n;
}

static bool check_texts(struct reading *r)
{
	const struct config *cfg = r->cfg;
	const struct {
		const char *key, *text;
	} short_ones[] = { { "auth.realm", cfg->realm }, { "software", cfg->software } };

	for (unsigned i = 0; i < sizeof(short_ones) / sizeof(short_ones[0]); i++)
		if (characters(short_ones[i].text) > 127) /* RFC 8489 §14.9, §14.14 */
			return config_fail(r, config_line(r, short_ones[i].key), short_ones[i].key,
			                   "the text has %u characters; at most 127 are allowed",
			                   characters(short_ones[i].text));
	if (!cfg->auth_md5 && !cfg->auth_sha256)
		return config_fail(r, config_line(r, "auth.algorithms"), "auth.algorithms",
		                   "there must be at least one");
	return true;
}

/* FNV-1a: two files must not share a run directory by accident; nobody attacks it. */
static uint32_t path_hash(const char *path)
{
	uint32_t h = 2166136261u;

	for (; *path != '\0'; path++)
		h = (h ^ (uint8_t)*path) * 16777619u;
	return h;
}

static bool fill_in(struct reading *r)
{
	struct config *cfg = r->cfg;

	if (cfg->name[0] == '\0')
		snprintf(cfg->name, sizeof(cfg->name), "%08x", path_hash(cfg->path));
	if (cfg->run_dir == NULL && asprintf(&cfg->run_dir, "/run/turnpike/%s", cfg->name) < 0) {
		cfg->run_dir = NULL;
		return config_fail(r, 0, NULL, "out of memory");
	}
	return true;
}

bool config_check(struct reading *r)
{
	return check_required(r) && check_ports(r) && check_relays(r) && check_advertise(r) &&
	       check_listeners(r) && check_cores(r) && check_translators(r) && check_texts(r) &&
	       fill_in(r);
}
