/* One line of text into one field, by the type of its setting. */
#include <stdlib.h>
#include <string.h>

#include "config_table.h"
#include "opaque.h"

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

bool config_read_core(const struct setting *s, const char *text, int32_t *out)
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

bool config_read_opaque(struct reading *r, const struct setting *s, const yaml_node_t *node,
                        const char *text, char **out)
{
	char form[1024], why[80];
	uint32_t bad = 0;
	const enum opaque_error error = opaque_enforce(text, form, s->max + 1, &bad);

	if (error != OPAQUE_OK)
		return config_fail(r, config_node_line(node), s->key, "the text %s",
		                   opaque_explain(error, bad, why, sizeof(why)));
	return set_text(out, form);
}

/* The types of one line of text. */
bool config_read_scalar(struct reading *r, const struct setting *s, void *base,
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
	case SETTING_CORE: good = config_read_core(s, text, at); break;
	case SETTING_NAME:
		good = is_name(text, s);
		if (good)
			strcpy(at, text);
		break;
	case SETTING_TEXT: good = len >= s->min && len <= s->max && set_text(at, text); break;
	case SETTING_PATH:
		good = text[0] == '/' && len >= s->min && len <= s->max && set_text(at, text);
		break;
	case SETTING_OPAQUE: return config_read_opaque(r, s, node, text, at);
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
	return good || config_fail_value(r, s, node, text);
}
