/* Maps of settings and the text of one node; how a refusal is worded. */
#include <string.h>

#include "config_table.h"

unsigned config_node_line(const yaml_node_t *node)
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
const char *config_quote(const char *text, char out[CONFIG_QUOTE_MAX])
{
	size_t n = 0;

	for (; *text != '\0' && n < CONFIG_QUOTE_MAX - 8; text++) {
		const uint8_t c = (uint8_t)*text;

		n += (size_t)snprintf(out + n, CONFIG_QUOTE_MAX - n,
		                      c < 0x20 || c == 0x7F ? "\\x%02x" : "%c", c);
	}
	snprintf(out + n, CONFIG_QUOTE_MAX - n, "%s", *text != '\0' ? "..." : "");
	return out;
}

static const char *kind_name(const yaml_node_t *node)
{
	return node->type == YAML_SEQUENCE_NODE  ? "a list"
	       : node->type == YAML_MAPPING_NODE ? "a map"
	                                         : "a single value";
}

bool config_fail_value(struct reading *r, const struct setting *s, const yaml_node_t *node,
                       const char *text)
{
	char allowed[320], quoted[CONFIG_QUOTE_MAX];

	config_table_allowed(s, allowed, sizeof(allowed));
	if (text[0] == '\0')
		return config_fail(r, config_node_line(node), s->key,
		                   "the value is missing; expected %s", allowed);
	return config_fail(r, config_node_line(node), s->key, "'%s' is not %s",
	                   config_quote(text, quoted), allowed);
}

bool config_fail_kind(struct reading *r, const struct setting *s, const yaml_node_t *node)
{
	char allowed[320];

	config_table_allowed(s, allowed, sizeof(allowed));
	return config_fail(r, config_node_line(node), s->key, "%s stands where %s is expected",
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
 * characters, line separators, the byte order mark and what is no character have no business in any
 * value.
 */
static bool is_clean(const uint8_t *p, size_t len)
{
	static const struct {
		uint8_t lead, second, low, high; /* the third octet, from low to high */
	} bad[] = {
		{ 0xE2, 0x80, 0xA8, 0xA9 }, /* U+2028, U+2029 */
		{ 0xEF, 0xBB, 0xBF, 0xBF }, /* U+FEFF */
		{ 0xEF, 0xBF, 0xBE, 0xBF }, /* U+FFFE, U+FFFF */
	};

	for (size_t i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7F)
			return false;
		if (p[i] == 0xC2 && i + 1 < len && p[i + 1] < 0xA0)
			return false;
		for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]) && i + 2 < len; k++)
			if (p[i] == bad[k].lead && p[i + 1] == bad[k].second &&
			    p[i + 2] >= bad[k].low && p[i + 2] <= bad[k].high)
				return false;
	}
	return true;
}

const char *config_read_text(struct reading *r, const char *key, const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE) {
		config_fail(r, config_node_line(node), key,
		            "%s stands where a single value is expected", kind_name(node));
		return NULL;
	}
	if (!is_clean(node->data.scalar.value, node->data.scalar.length)) {
		config_fail(r, config_node_line(node), key, "the value holds a control character");
		return NULL;
	}
	return (const char *)node->data.scalar.value;
}

yaml_node_t *config_node_at(struct reading *r, int id)
{
	return yaml_document_get_node(&r->doc, id);
}

bool config_node_is_empty(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
	       node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool fail_unknown(struct reading *r, const yaml_node_t *node, const char *key,
                         enum setting_scope scope)
{
	char quoted[CONFIG_QUOTE_MAX], near[CONFIG_KEY_MAX];

	if (config_table_nearest(key, scope, near, sizeof(near)))
		return config_fail(r, config_node_line(node), NULL,
		                   "'%s' is not a setting; did you mean '%s'?",
		                   config_quote(key, quoted), near);
	return config_fail(r, config_node_line(node), NULL,
	                   "'%s' is not a setting; see turnpike.yaml(5) for those there are",
	                   config_quote(key, quoted));
}

static bool is_duplicate(struct reading *r, const yaml_node_t *map, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key = config_node_at(r, pair->key);

	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++)
		if (strcmp((char *)config_node_at(r, p->key)->data.scalar.value,
		           (char *)key->data.scalar.value) == 0)
			return true;
	return false;
}

static bool read_pair(struct reading *r, const char *group, enum setting_scope scope, void *base,
                      const yaml_node_t *map, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key_node = config_node_at(r, pair->key),
			  *value = config_node_at(r, pair->value);
	char key[CONFIG_KEY_MAX], whole[CONFIG_QUOTE_MAX];
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
		return config_fail(r, config_node_line(key_node), key, "given twice");
	if (s == NULL) {
		if (config_node_is_empty(value))
			return true;
		if (value->type != YAML_MAPPING_NODE)
			return config_fail(r, config_node_line(value), key,
			                   "%s stands where a map of settings is expected",
			                   kind_name(value));
		strcat(key, ".");
		return config_read_map(r, key, scope, base, value);
	}
	unsigned *seen = &r->seen[s - config_settings];
	if (*seen > 0)
		return config_fail(r, config_node_line(key_node), key,
		                   "given twice, first in line %u", *seen);
	*seen = config_node_line(key_node);
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
bool config_read_entry(struct reading *r, const struct setting *s, enum setting_scope scope,
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
			return config_fail(r, config_node_line(node), config_settings[i].key,
			                   "the setting is missing");
	return true;
}
