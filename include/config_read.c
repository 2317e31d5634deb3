/* One map, one value: from YAML nodes into the struct, by the settings table. */
#include <stdlib.h>
#include <string.h>

#include "config_table.h"
#include "opaque.h"

enum { QUOTE_MAX = 160 };

static unsigned line_of(const yaml_node_t *node)
{
	return (unsigned)node->start_mark.line + 1;
}

bool config_fail(struct reading *r, unsigned line, const char *key, const char *fmt, ...)
{
	char *text = r->err->text;
	const size_t cap = sizeof(r->err->text);
	size_t n;
	va_list ap;

	if (line > 0)
		n = (size_t)snprintf(text, cap, "%s:%u: ", r->path, line);
	else
		n = (size_t)snprintf(text, cap, "%s: ", r->path);
	if (key != NULL && n < cap)
		n += (size_t)snprintf(text + n, cap - n, "%s: ", key);
	if (n < cap) {
		va_start(ap, fmt);
		vsnprintf(text + n, cap - n, fmt, ap);
		va_end(ap);
	}
	return false;
}

/* What stood there, printable and not too long. */
static const char *quote(const char *text, char out[QUOTE_MAX])
{
	size_t n = 0;

	for (; *text != '\0' && n < QUOTE_MAX - 8; text++) {
		const uint8_t c = (uint8_t)*text;

		n += (size_t)snprintf(out + n, QUOTE_MAX - n,
		                      c < 0x20 || c == 0x7F ? "\\x%02x" : "%c", c);
	}
	snprintf(out + n, QUOTE_MAX - n, "%s", *text != '\0' ? "..." : "");
	return out;
}

static const char *kind_name(const yaml_node_t *node)
{
	return node->type == YAML_SEQUENCE_NODE  ? "a list"
	       : node->type == YAML_MAPPING_NODE ? "a map"
	                                         : "a single value";
}

static bool fail_value(struct reading *r, const struct setting *s, const yaml_node_t *node,
                       const char *text)
{
	char allowed[320], quoted[QUOTE_MAX];

	config_table_allowed(s, allowed, sizeof(allowed));
	if (text[0] == '\0')
		return config_fail(r, line_of(node), s->key, "the value is missing; expected %s",
		                   allowed);
	return config_fail(r, line_of(node), s->key, "'%s' is not %s", quote(text, quoted),
	                   allowed);
}

static bool fail_kind(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	char allowed[320];

	config_table_allowed(s, allowed, sizeof(allowed));
	return config_fail(r, line_of(node), s->key, "%s stands where %s is expected",
	                   kind_name(node), allowed);
}

unsigned config_line(const struct reading *r, const char *key)
{
	for (unsigned i = 0; i < config_n_settings; i++)
		if (strcmp(config_settings[i].key, key) == 0 && r->seen[i] > 0)
			return r->seen[i];
	return 1;
}

/*
 * libyaml has checked that the octets are UTF-8, but escapes can name any character. Control
 * characters, line separators and the byte order mark have no business in any value.
 */
static bool is_clean(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7F)
			return false;
		if (p[i] == 0xC2 && i + 1 < len && p[i + 1] < 0xA0)
			return false;
		if (i + 2 < len &&
		    ((p[i] == 0xE2 && p[i + 1] == 0x80 && (p[i + 2] & 0xFE) == 0xA8) ||
		     (p[i] == 0xEF && p[i + 1] == 0xBB && p[i + 2] == 0xBF)))
			return false;
	}
	return true;
}

const char *config_read_text(struct reading *r, const char *key, const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE) {
		config_fail(r, line_of(node), key, "%s stands where a single value is expected",
		            kind_name(node));
		return NULL;
	}
	if (!is_clean(node->data.scalar.value, node->data.scalar.length)) {
		config_fail(r, line_of(node), key, "the value holds a control character");
		return NULL;
	}
	return (const char *)node->data.scalar.value;
}

static yaml_node_t *node_at(struct reading *r, int id)
{
	return yaml_document_get_node(&r->doc, id);
}

static bool is_empty(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
	       node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool fail_unknown(struct reading *r, const yaml_node_t *node, const char *key,
                         enum setting_scope scope)
{
	char quoted[QUOTE_MAX], near[CONFIG_KEY_MAX];

	if (config_table_nearest(key, scope, near, sizeof(near)))
		return config_fail(r, line_of(node), NULL,
		                   "'%s' is not a setting; did you mean '%s'?", quote(key, quoted),
		                   near);
	return config_fail(r, line_of(node), NULL,
	                   "'%s' is not a setting; see turnpike.yaml(5) for those there are",
	                   quote(key, quoted));
}

static bool is_duplicate(struct reading *r, const yaml_node_t *map, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key = node_at(r, pair->key);

	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++)
		if (strcmp((char *)node_at(r, p->key)->data.scalar.value,
		           (char *)key->data.scalar.value) == 0)
			return true;
	return false;
}

static bool read_pair(struct reading *r, const char *group, enum setting_scope scope, void *base,
                      const yaml_node_t *map, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key_node = node_at(r, pair->key), *value = node_at(r, pair->value);
	char key[CONFIG_KEY_MAX], whole[QUOTE_MAX];
	bool is_group;

	const char *word = config_read_text(r, NULL, key_node);
	if (word == NULL)
		return false;
	snprintf(whole, sizeof(whole), "%s%s", group, word);
	if (strlen(whole) >= sizeof(key))
		return fail_unknown(r, key_node, whole, scope);
	strcpy(key, whole);
	const struct setting *s = config_table_find(key, scope, &is_group);
	if (s == NULL && !is_group)
		return fail_unknown(r, key_node, key, scope);
	if (is_duplicate(r, map, pair))
		return config_fail(r, line_of(key_node), key, "given twice");
	if (s == NULL) {
		if (is_empty(value))
			return true;
		if (value->type != YAML_MAPPING_NODE)
			return config_fail(r, line_of(value), key,
			                   "%s stands where a map of settings is expected",
			                   kind_name(value));
		strcat(key, ".");
		return config_read_map(r, key, scope, base, value);
	}
	unsigned *seen = &r->seen[s - config_settings];
	if (*seen > 0)
		return config_fail(r, line_of(key_node), key, "given twice, first in line %u",
		                   *seen);
	*seen = line_of(key_node);
	return config_read_value(r, s, base, value);
}

bool config_read_map(struct reading *r, const char *group, enum setting_scope scope, void *base,
                     const yaml_node_t *node)
{
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
	     p++)
		if (!read_pair(r, group, scope, base, node, p))
			return false;
	return true;
}

/* An entry of a list: a map with a scope of its own, whose keys count afresh. */
static bool read_entry(struct reading *r, const struct setting *s, enum setting_scope scope,
                       void *base, const yaml_node_t *node)
{
	char group[CONFIG_KEY_MAX];

	for (unsigned i = 0; i < config_n_settings; i++)
		if (config_settings[i].scope == scope)
			r->seen[i] = 0;
	snprintf(group, sizeof(group), "%s.", s->key);
	if (!config_read_map(r, group, scope, base, node))
		return false;
	for (unsigned i = 0; i < config_n_settings; i++)
		if (config_settings[i].scope == scope && config_settings[i].required &&
		    r->seen[i] == 0)
			return config_fail(r, line_of(node), config_settings[i].key,
			                   "the setting is missing");
	return true;
}

/* Digits only: strtoul would take " 7", "+7" and "-7". */
static bool number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (*text == '\0' || strlen(text) > 10 || strspn(text, "0123456789") != strlen(text))
		return false;
	for (; *text != '\0'; text++)
		n = n * 10 + (uint64_t)(*text - '0');
	if (n < min || n > max)
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool is_name(const char *text, const struct setting *s)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const size_t len = strlen(text);

	return len >= s->min && len <= s->max && strspn(text, letters) == len &&
	       strchr("-_.", text[0]) == NULL;
}

static bool set_text(char **out, const char *text)
{
	free(*out);
	*out = strdup(text);
	return *out != NULL;
}

static bool read_device(struct config_port *port, const char *text)
{
	static const struct {
		const char *prefix;
		enum config_device kind;
	} kinds[] = {
		{ "pci:", DEVICE_PCI },
		{ "af_packet:", DEVICE_AF_PACKET },
		{ "af_xdp:", DEVICE_AF_XDP },
		{ "memif:", DEVICE_MEMIF },
	};

	if (strlen(text) >= sizeof(port->device) || strchr(text, ' ') != NULL)
		return false;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const size_t len = strlen(kinds[i].prefix);
		const char *rest = text + len;

		if (strncmp(text, kinds[i].prefix, len) != 0)
			continue;
		if (rest[0] == '\0' || (kinds[i].kind == DEVICE_MEMIF && rest[0] != '/'))
			return false;
		if ((kinds[i].kind == DEVICE_AF_PACKET || kinds[i].kind == DEVICE_AF_XDP) &&
		    strcspn(rest, ",") > 15) /* a kernel interface name */
			return false;
		port->kind = kinds[i].kind;
		strcpy(port->device, rest);
		return true;
	}
	if (strncmp(text, "net_", 4) != 0 && strncmp(text, "eth_", 4) != 0)
		return false;
	port->kind = DEVICE_VDEV;
	strcpy(port->device, text);
	return true;
}

static bool read_range(struct config *cfg, const struct setting *s, const char *text)
{
	char first[8];
	const size_t len = strcspn(text, "-");
	uint32_t lo, hi;

	if (len >= sizeof(first))
		return false;
	memcpy(first, text, len);
	first[len] = '\0';
	if (!number(first, s->min, s->max, &lo))
		return false;
	hi = lo;
	if (text[len] == '-' && !number(text + len + 1, lo, s->max, &hi))
		return false;
	cfg->relay_port_min = (uint16_t)lo;
	cfg->relay_port_max = (uint16_t)hi;
	return true;
}

static bool read_core(const struct setting *s, const char *text, int32_t *out)
{
	uint32_t n;

	if (strcmp(text, "none") == 0) {
		*out = -1;
		return true;
	}
	if (!number(text, 0, s->max, &n))
		return false;
	*out = (int32_t)n;
	return true;
}

static bool read_choice(const struct setting *s, const char *text, void *at)
{
	for (const struct setting_choice *c = s->choices; c->name != NULL; c++)
		if (strcmp(c->name, text) == 0) {
			*(int *)at = (int)c->value;
			return true;
		}
	return false;
}

static bool read_opaque(struct reading *r, const struct setting *s, const yaml_node_t *node,
                        const char *text, char **out)
{
	char form[1024], why[80];
	uint32_t bad = 0;
	const enum opaque_error error = opaque_enforce(text, form, s->max + 1, &bad);

	if (error != OPAQUE_OK)
		return config_fail(r, line_of(node), s->key, "the text %s",
		                   opaque_explain(error, bad, why, sizeof(why)));
	return set_text(out, form);
}

/* The types of one line of text. */
static bool read_scalar(struct reading *r, const struct setting *s, void *base,
                        const yaml_node_t *node)
{
	const char *text = config_read_text(r, s->key, node);
	void *at = (char *)base + s->at;
	const size_t len = text != NULL ? strlen(text) : 0;
	bool good = false;

	if (text == NULL)
		return false;
	switch (s->type) {
	case SETTING_U32_OR_AUTO:
		if (strcmp(text, "auto") == 0) {
			*(uint32_t *)at = 0;
			return true;
		}
		good = number(text, s->min, s->max, at);
		break;
	case SETTING_U32: good = number(text, s->min, s->max, at); break;
	case SETTING_BOOL:
		*(bool *)at = strcmp(text, "true") == 0;
		good = *(bool *)at || strcmp(text, "false") == 0;
		break;
	case SETTING_CHOICE:
	case SETTING_TRANSPORT: good = read_choice(s, text, at); break;
	case SETTING_CORE: good = read_core(s, text, at); break;
	case SETTING_NAME:
		good = is_name(text, s);
		if (good)
			strcpy(at, text);
		break;
	case SETTING_TEXT: good = len >= s->min && len <= s->max && set_text(at, text); break;
	case SETTING_PATH:
		good = text[0] == '/' && len >= s->min && len <= s->max && set_text(at, text);
		break;
	case SETTING_OPAQUE: return read_opaque(r, s, node, text, at);
	case SETTING_LETTER:
		good = len == 1 && strchr("!#$%&()*+,-./:;<=>?@[]^_{|}~", text[0]) != NULL;
		if (good)
			*(char *)at = text[0];
		break;
	case SETTING_DEVICE: good = read_device(base, text); break;
	case SETTING_RANGE: good = read_range(base, s, text); break;
	case SETTING_ENDPOINT: good = endpoint_parse(text, at); break;
	default: break;
	}
	return good || fail_value(r, s, node, text);
}

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
		return config_fail(r, line_of(node), s->key, "more than %u listeners", s->max);
	*l = (struct config_listener){ .transport = TRANSPORT_UDP };
	if (node->type == YAML_MAPPING_NODE) {
		if (!read_entry(r, s, IN_LISTENER, l, node))
			return false;
	} else {
		const char *text = config_read_text(r, s->key, node);

		if (text == NULL)
			return false;
		if (!endpoint_parse(after_transport(text, &l->transport), &l->at)) {
			char quoted[QUOTE_MAX];

			return config_fail(r, line_of(node), s->key,
			                   "'%s' is not ADDRESS:PORT, as 192.0.2.1:3478 or "
			                   "\"[2001:db8::1]:3478\"",
			                   quote(text, quoted));
		}
	}
	if (l->transport != TRANSPORT_UDP)
		return config_fail(r, line_of(node), s->key,
		                   "%s listeners are not served yet; udp is", names[l->transport]);
	r->listener_line[r->cfg->n_listeners++] = line_of(node);
	return true;
}

static bool read_port(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	struct config_port *port = &r->cfg->ports[r->cfg->n_ports];

	if (r->cfg->n_ports == CONFIG_PORTS_MAX)
		return config_fail(r, line_of(node), s->key, "more than %u ports", s->max);
	if (node->type != YAML_MAPPING_NODE)
		return fail_kind(r, s, node);
	r->port_line[r->cfg->n_ports] = line_of(node);
	if (!read_entry(r, s, IN_PORT, port, node))
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
		return config_fail(r, line_of(node), s->key, "more than %u addresses", s->max);
	if (!cidr_parse(text, &port->addresses[port->n_addresses]))
		return fail_value(r, s, node, text);
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
		return config_fail(r, line_of(node), s->key, "more than %u addresses", s->max);
	if (!addr_parse(text, &relay->addr))
		return fail_value(r, s, node, text);
	relay->advertise = relay->addr;
	r->relay_line[r->cfg->n_relays++] = line_of(node);
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
	return fail_value(r, s, node, text);
}

/* TURN-223: nothing is skipped; the message says what is wrong with the entry. */
static bool read_prefix(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	struct prefix **list = (struct prefix **)((char *)r->cfg + s->at);
	unsigned *n = (unsigned *)((char *)r->cfg + s->count);
	const char *text = config_read_text(r, s->key, node);
	char quoted[QUOTE_MAX], fixed[PREFIX_TEXT_MAX];
	struct prefix p;

	if (text == NULL)
		return false;
	if (!prefix_parse(text, &p)) {
		if (!cidr_parse(text, &p))
			return fail_value(r, s, node, text);
		for (unsigned bit = p.len; bit < 128; bit++)
			p.addr.ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
		return config_fail(r, line_of(node), s->key,
		                   "'%s' has bits after its length; did you mean %s?",
		                   quote(text, quoted), prefix_print(&p, fixed));
	}
	if (*n == s->max)
		return config_fail(r, line_of(node), s->key, "more than %u entries", s->max);
	if ((*n & (*n - 1)) == 0) { /* grows at powers of two */
		struct prefix *grown = realloc(*list, (*n > 0 ? 2 * *n : 1) * sizeof(**list));

		if (grown == NULL)
			return config_fail(r, line_of(node), s->key, "out of memory");
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
		return config_fail(r, line_of(node), s->key, "more than %u cores",
		                   CONFIG_WORKERS_MAX);
	if (!read_core(s, text, &r->cfg->cores[r->n_cores]))
		return config_fail(r, line_of(node), s->key,
		                   "'%s' is not none or a core number from 0 to %u", text, s->max);
	r->n_cores++;
	return true;
}

static bool read_secret_item(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	struct config *cfg = r->cfg;
	char *secret = NULL;

	if (cfg->n_rest_secrets == CONFIG_REST_SECRETS_MAX)
		return config_fail(r, line_of(node), s->key, "more than %u secrets",
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
	if (is_empty(node))
		return fail_value(r, s, node, "");
	if (node->type != YAML_SEQUENCE_NODE)
		return read_item(r, s, base, node);
	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top; i++)
		if (!read_item(r, s, base, node_at(r, *i)))
			return false;
	return true;
}

static bool read_advertise(struct reading *r, const struct setting *s, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key = node_at(r, pair->key), *value = node_at(r, pair->value);
	const char *real = config_read_text(r, s->key, key);
	const char *told = real != NULL ? config_read_text(r, s->key, value) : NULL;
	char quoted[QUOTE_MAX];

	if (told == NULL)
		return false;
	if (r->n_advertise == CONFIG_ADVERTISE_MAX)
		return config_fail(r, line_of(key), s->key, "more than %u addresses", s->max);
	if (!addr_parse(real, &r->advertise[r->n_advertise].real))
		return config_fail(r, line_of(key), s->key, "'%s' is not an IP address",
		                   quote(real, quoted));
	if (!addr_parse(told, &r->advertise[r->n_advertise].told))
		return config_fail(r, line_of(value), s->key, "'%s' is not an IP address",
		                   quote(told, quoted));
	r->advertise_line[r->n_advertise++] = line_of(key);
	return true;
}

/* The setting's own limits are those of the name; a password has its own. */
static bool read_user(struct reading *r, const struct setting *s, const yaml_node_pair_t *pair)
{
	static const struct setting password = {
		.key = "auth.users", .type = SETTING_SECRET, .min = 1, .max = 1000
	};
	const yaml_node_t *key = node_at(r, pair->key);
	struct config_user *u = &r->cfg->users[r->cfg->n_users];
	const char *name = config_read_text(r, s->key, key);

	if (name == NULL || !read_opaque(r, s, key, name, &u->name))
		return false;
	r->cfg->n_users++;
	return config_read_secret(r, &password, node_at(r, pair->value), &u->password);
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
	char quoted[QUOTE_MAX];

	if (order == NULL)
		return config_fail(r, line_of(node), s->key, "out of memory");
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
	return config_fail(r, line_of(node_at(r, pair->key)), s->key, "user '%s' is given twice",
	                   quote(twice->name, quoted));
}

static bool read_free_map(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	const bool users = s->type == SETTING_USERS;

	if (node->type != YAML_MAPPING_NODE)
		return is_empty(node) ? fail_value(r, s, node, "") : fail_kind(r, s, node);
	if (users) {
		r->cfg->users = calloc(
			(size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start) + 1,
			sizeof(*r->cfg->users));
		if (r->cfg->users == NULL)
			return config_fail(r, line_of(node), s->key, "out of memory");
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
			return fail_kind(r, s, node);
		return read_scalar(r, s, base, node);
	}
}
