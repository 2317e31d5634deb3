/* Values with parts: lists, entries of lists, maps with free keys. */
#include <stdlib.h>
#include <string.h>

#include "config_table.h"

static const char *after_transport(const char *text, enum config_transport *out)
{
	static const struct {
		const char *prefix;
		enum config_transport transport;
	} transports[] = {
		{ "udp:", TRANSPORT_UDP },
		{ "tcp:", TRANSPORT_TCP },
		{ "tls:", TRANSPORT_TLS },
		{ "dtls:", TRANSPORT_DTLS },
	};

	*out = TRANSPORT_UDP;
	for (unsigned i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		const size_t len = strlen(transports[i].prefix);

		if (strncmp(text, transports[i].prefix, len) == 0) {
			*out = transports[i].transport;
			return text + len;
		}
	}
	return text;
}

static bool read_listener(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	static const char *const names[] = { "", "udp", "tcp", "tls", "dtls" };
	struct config_listener *l = &r->cfg->listeners[r->cfg->n_listeners];

	if (r->cfg->n_listeners == CONFIG_LISTENERS_MAX)
		return config_fail(r, config_node_line(node), s->key, "more than %u listeners",
		                   s->max);
	*l = (struct config_listener){ .transport = TRANSPORT_UDP };
	if (node->type == YAML_MAPPING_NODE) {
		if (!config_read_entry(r, s, IN_LISTENER, l, node))
			return false;
	} else {
		const char *text = config_read_text(r, s->key, node);

		if (text == NULL)
			return false;
		if (!endpoint_parse(after_transport(text, &l->transport), &l->at)) {
			char quoted[CONFIG_QUOTE_MAX];

			return config_fail(r, config_node_line(node), s->key,
			                   "'%s' is not ADDRESS:PORT, as 192.0.2.1:3478 or "
			                   "\"[2001:db8::1]:3478\"",
			                   config_quote(text, quoted));
		}
	}
	if (l->transport != TRANSPORT_UDP)
		return config_fail(r, config_node_line(node), s->key,
		                   "%s listeners are not served yet; udp is", names[l->transport]);
	r->listener_line[r->cfg->n_listeners++] = config_node_line(node);
	return true;
}

static bool read_port(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	struct config_port *port = &r->cfg->ports[r->cfg->n_ports];

	if (r->cfg->n_ports == CONFIG_PORTS_MAX)
		return config_fail(r, config_node_line(node), s->key, "more than %u ports", s->max);
	if (node->type != YAML_MAPPING_NODE)
		return config_fail_kind(r, s, node);
	r->port_line[r->cfg->n_ports] = config_node_line(node);
	if (!config_read_entry(r, s, IN_PORT, port, node))
		return false;
	r->cfg->n_ports++;
	return true;
}

static bool read_cidr(struct reading *r, const struct setting *s, struct config_port *port,
                      const yaml_node_t *node)
{
	const char *text = config_read_text(r, s->key, node);

	if (text == NULL)
		return false;
	if (port->n_addresses == CONFIG_PORT_ADDRESSES_MAX)
		return config_fail(r, config_node_line(node), s->key, "more than %u addresses",
		                   s->max);
	if (!cidr_parse(text, &port->addresses[port->n_addresses]))
		return config_fail_value(r, s, node, text);
	port->n_addresses++;
	return true;
}

static bool read_relay(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	struct config_relay *relay = &r->cfg->relays[r->cfg->n_relays];
	const char *text = config_read_text(r, s->key, node);

	if (text == NULL)
		return false;
	if (r->cfg->n_relays == CONFIG_RELAYS_MAX)
		return config_fail(r, config_node_line(node), s->key, "more than %u addresses",
		                   s->max);
	if (!addr_parse(text, &relay->addr))
		return config_fail_value(r, s, node, text);
	relay->advertise = relay->addr;
	r->relay_line[r->cfg->n_relays++] = config_node_line(node);
	return true;
}

static bool read_flag(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	const char *text = config_read_text(r, s->key, node);

	if (text == NULL)
		return false;
	for (const struct setting_choice *c = s->choices; c->name != NULL; c++)
		if (strcmp(c->name, text) == 0) {
			*(bool *)((char *)r->cfg + c->value) = true;
			return true;
		}
	return config_fail_value(r, s, node, text);
}

/* TURN-223: nothing is skipped; the message says what is wrong with the entry. */
static bool read_prefix(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	struct prefix **list = (struct prefix **)((char *)r->cfg + s->at);
	unsigned *n = (unsigned *)((char *)r->cfg + s->count);
	const char *text = config_read_text(r, s->key, node);
	char quoted[CONFIG_QUOTE_MAX], fixed[PREFIX_TEXT_MAX];
	struct prefix p;

	if (text == NULL)
		return false;
	if (!prefix_parse(text, &p)) {
		if (!cidr_parse(text, &p))
			return config_fail_value(r, s, node, text);
		for (unsigned bit = p.len; bit < 128; bit++)
			p.addr.ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
		return config_fail(r, config_node_line(node), s->key,
		                   "'%s' has bits after its length; did you mean %s?",
		                   config_quote(text, quoted), prefix_print(&p, fixed));
	}
	if (*n == s->max)
		return config_fail(r, config_node_line(node), s->key, "more than %u entries",
		                   s->max);
	if ((*n & (*n - 1)) == 0) { /* grows at powers of two */
		struct prefix *grown = realloc(*list, (*n > 0 ? 2 * *n : 1) * sizeof(**list));

		if (grown == NULL)
			return config_fail(r, config_node_line(node), s->key, "out of memory");
		*list = grown;
	}
	(*list)[(*n)++] = p;
	return true;
}

static bool read_core_item(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	const char *text = config_read_text(r, s->key, node);

	if (text == NULL)
		return false;
	if (r->n_cores == CONFIG_WORKERS_MAX)
		return config_fail(r, config_node_line(node), s->key, "more than %u cores",
		                   CONFIG_WORKERS_MAX);
	if (!config_read_core(s, text, &r->cfg->cores[r->n_cores]))
		return config_fail(r, config_node_line(node), s->key,
		                   "'%s' is not none or a core number from 0 to %u", text, s->max);
	r->n_cores++;
	return true;
}

static bool read_secret_item(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	struct config *cfg = r->cfg;
	char *secret = NULL;

	if (cfg->n_rest_secrets == CONFIG_REST_SECRETS_MAX)
		return config_fail(r, config_node_line(node), s->key, "more than %u secrets",
		                   CONFIG_REST_SECRETS_MAX);
	if (!config_read_secret(r, s, node, &secret))
		return false;
	if (secret != NULL)
		cfg->rest_secrets[cfg->n_rest_secrets++] = secret;
	return true;
}

static bool read_item(struct reading *r, const struct setting *s, void *base,
                      const yaml_node_t *node)
{
	switch (s->type) {
	case SETTING_PORTS: return read_port(r, s, node);
	case SETTING_LISTENERS: return read_listener(r, s, node);
	case SETTING_CIDRS: return read_cidr(r, s, base, node);
	case SETTING_RELAYS: return read_relay(r, s, node);
	case SETTING_FLAGS: return read_flag(r, s, node);
	case SETTING_PREFIXES: return read_prefix(r, s, node);
	case SETTING_CORES: return read_core_item(r, s, node);
	default: return read_secret_item(r, s, node);
	}
}

/* Where a list is expected, one entry may stand without its brackets. */
static bool read_list(struct reading *r, const struct setting *s, void *base,
                      const yaml_node_t *node)
{
	if (s->type == SETTING_FLAGS)
		for (const struct setting_choice *c = s->choices; c->name != NULL; c++)
			*(bool *)((char *)r->cfg + c->value) = false;
	if (config_node_is_empty(node))
		return config_fail_value(r, s, node, "");
	if (node->type != YAML_SEQUENCE_NODE)
		return read_item(r, s, base, node);
	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top; i++)
		if (!read_item(r, s, base, config_node_at(r, *i)))
			return false;
	return true;
}

static bool read_advertise(struct reading *r, const struct setting *s, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key = config_node_at(r, pair->key),
			  *value = config_node_at(r, pair->value);
	const char *real = config_read_text(r, s->key, key);
	const char *told = real != NULL ? config_read_text(r, s->key, value) : NULL;
	char quoted[CONFIG_QUOTE_MAX];

	if (told == NULL)
		return false;
	if (r->n_advertise == CONFIG_ADVERTISE_MAX)
		return config_fail(r, config_node_line(key), s->key, "more than %u addresses",
		                   s->max);
	if (!addr_parse(real, &r->advertise[r->n_advertise].real))
		return config_fail(r, config_node_line(key), s->key, "'%s' is not an IP address",
		                   config_quote(real, quoted));
	if (!addr_parse(told, &r->advertise[r->n_advertise].told))
		return config_fail(r, config_node_line(value), s->key, "'%s' is not an IP address",
		                   config_quote(told, quoted));
	r->advertise_line[r->n_advertise++] = config_node_line(key);
	return true;
}

/* The setting's own limits are those of the name; a password has its own. */
static bool read_user(struct reading *r, const struct setting *s, const yaml_node_pair_t *pair)
{
	static const struct setting password = {
		.key = "auth.users", .type = SETTING_SECRET, .min = 1, .max = 1000
	};
	const yaml_node_t *key = config_node_at(r, pair->key);
	struct config_user *u = &r->cfg->users[r->cfg->n_users];
	const char *name = config_read_text(r, s->key, key);

	if (name == NULL || !config_read_opaque(r, s, key, name, &u->name))
		return false;
	r->cfg->n_users++;
	return config_read_secret(r, &password, config_node_at(r, pair->value), &u->password);
}

static int compare_users(const void *a, const void *b)
{
	const struct config_user *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Names may be many and are compared as they came out of OpaqueString. */
static bool users_are_unique(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	const unsigned n = r->cfg->n_users;
	const struct config_user **order = calloc(n + 1, sizeof(struct config_user *));
	const struct config_user *twice = NULL;
	char quoted[CONFIG_QUOTE_MAX];

	if (order == NULL)
		return config_fail(r, config_node_line(node), s->key, "out of memory");
	for (unsigned i = 0; i < n; i++)
		order[i] = &r->cfg->users[i];
	qsort(order, n, sizeof(struct config_user *), compare_users);
	for (unsigned i = 1; i < n && twice == NULL; i++)
		if (strcmp(order[i - 1]->name, order[i]->name) == 0)
			twice = order[i] > order[i - 1] ? order[i] : order[i - 1];
	free(order);
	if (twice == NULL)
		return true;
	const yaml_node_pair_t *pair = node->data.mapping.pairs.start + (twice - r->cfg->users);
	return config_fail(r, config_node_line(config_node_at(r, pair->key)), s->key,
	                   "user '%s' is given twice", config_quote(twice->name, quoted));
}

static bool read_free_map(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	const bool users = s->type == SETTING_USERS;

	if (node->type != YAML_MAPPING_NODE)
		return config_node_is_empty(node) ? config_fail_value(r, s, node, "")
		                                  : config_fail_kind(r, s, node);
	if (users) {
		r->cfg->users = calloc(
			(size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start) + 1,
			sizeof(*r->cfg->users));
		if (r->cfg->users == NULL)
			return config_fail(r, config_node_line(node), s->key, "out of memory");
	}
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
	     p++)
		if (!(users ? read_user(r, s, p) : read_advertise(r, s, p)))
			return false;
	return !users || users_are_unique(r, s, node);
}

bool config_read_value(struct reading *r, const struct setting *s, void *base,
                       const yaml_node_t *node)
{
	switch (s->type) {
	case SETTING_PORTS:
	case SETTING_LISTENERS:
	case SETTING_CIDRS:
	case SETTING_RELAYS:
	case SETTING_FLAGS:
	case SETTING_PREFIXES:
	case SETTING_CORES:
	case SETTING_SECRETS: return read_list(r, s, base, node);
	case SETTING_ADVERTISE:
	case SETTING_USERS: return read_free_map(r, s, node);
	case SETTING_SECRET: return config_read_secret(r, s, node, (char **)((char *)base + s->at));
	default:
		if (node->type != YAML_SCALAR_NODE)
			return config_fail_kind(r, s, node);
		return config_read_scalar(r, s, base, node);
	}
}
