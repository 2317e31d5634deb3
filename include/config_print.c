/* A configuration as YAML that parses again to the same; the settings table as a manual. */
#include <string.h>

#include "config_table.h"

static const char *const device_kinds[] = {
	[DEVICE_PCI] = "pci:",       [DEVICE_AF_PACKET] = "af_packet:",
	[DEVICE_AF_XDP] = "af_xdp:", [DEVICE_MEMIF] = "memif:",
	[DEVICE_VDEV] = "",
};

/* No value holds a control character: the reader saw to it. */
static void put_text(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void put_secret(FILE *out, const char *secret, bool secrets)
{
	put_text(out, secrets && secret != NULL ? secret : config_redacted);
}

/* `true` while items follow; writes what stands between them. */
static bool put_item(FILE *out, unsigned i, unsigned n)
{
	if (i < n && i > 0)
		fputs(", ", out);
	return i < n;
}

static void put_prefixes(FILE *out, const struct prefix *list, unsigned n)
{
	char text[PREFIX_TEXT_MAX];

	fputc('[', out);
	for (unsigned i = 0; put_item(out, i, n); i++)
		fprintf(out, "\"%s\"", prefix_print(&list[i], text));
	fputs("]\n", out);
}

static void put_core(FILE *out, int32_t core)
{
	if (core < 0)
		fputs("none", out);
	else
		fprintf(out, "%d", core);
}

static void put_cores(FILE *out, const struct config *cfg)
{
	fputc('[', out);
	for (unsigned i = 0; put_item(out, i, cfg->workers); i++)
		put_core(out, cfg->cores[i]);
	fputs("]\n", out);
}

static void put_flags(FILE *out, const struct setting *s, const struct config *cfg)
{
	unsigned n = 0;

	fputc('[', out);
	for (const struct setting_choice *c = s->choices; c->name != NULL; c++)
		if (*(const bool *)((const char *)cfg + c->value))
			fprintf(out, "%s%s", n++ > 0 ? ", " : "", c->name);
	fputs("]\n", out);
}

static void put_listeners(FILE *out, const struct config *cfg)
{
	char text[ENDPOINT_TEXT_MAX];

	fputc('[', out);
	for (unsigned i = 0; put_item(out, i, cfg->n_listeners); i++)
		fprintf(out, "\"udp:%s\"", endpoint_print(&cfg->listeners[i].at, text));
	fputs("]\n", out);
}

static void put_relays(FILE *out, const struct config *cfg)
{
	char text[ADDR_TEXT_MAX];

	fputc('[', out);
	for (unsigned i = 0; put_item(out, i, cfg->n_relays); i++)
		fprintf(out, "\"%s\"", addr_print(&cfg->relays[i].addr, text));
	fputs("]\n", out);
}

static void put_advertise(FILE *out, const struct config *cfg)
{
	char real[ADDR_TEXT_MAX], told[ADDR_TEXT_MAX];
	unsigned n = 0;

	fputc('{', out);
	for (unsigned i = 0; i < cfg->n_relays; i++) {
		const struct config_relay *relay = &cfg->relays[i];

		if (!addr_equal(&relay->addr, &relay->advertise))
			fprintf(out, "%s\"%s\": \"%s\"", n++ > 0 ? ", " : " ",
			        addr_print(&relay->addr, real),
			        addr_print(&relay->advertise, told));
	}
	fputs(n > 0 ? " }\n" : "}\n", out);
}

static void put_secrets(FILE *out, const struct config *cfg, bool secrets)
{
	fputc('[', out);
	for (unsigned i = 0; put_item(out, i, cfg->n_rest_secrets); i++)
		put_secret(out, cfg->rest_secrets[i], secrets);
	fputs("]\n", out);
}

static void put_users(FILE *out, const struct config *cfg, bool secrets)
{
	fputs(cfg->n_users > 0 ? "\n" : "{}\n", out);
	for (unsigned i = 0; i < cfg->n_users; i++) {
		fputs("    ", out);
		put_text(out, cfg->users[i].name);
		fputs(": ", out);
		put_secret(out, cfg->users[i].password, secrets);
		fputc('\n', out);
	}
}

static void put_choice(FILE *out, const struct setting *s, int value)
{
	for (const struct setting_choice *c = s->choices; c->name != NULL; c++)
		if ((int)c->value == value)
			fprintf(out, "%s\n", c->name);
}

static void put_ports(FILE *out, const struct config *cfg, bool secrets);

/* What stands behind the colon, line end included. */
static void put_value(FILE *out, const struct setting *s, const struct config *cfg,
                      const void *base, bool secrets)
{
	const void *at = (const char *)base + s->at;
	const struct config_port *port = base;

	switch (s->type) {
	case SETTING_U32_OR_AUTO:
		if (*(const uint32_t *)at == 0) {
			fputs("auto\n", out);
			break;
		}
		/* fall through */
	case SETTING_U32: fprintf(out, "%u\n", *(const uint32_t *)at); break;
	case SETTING_BOOL: fputs(*(const bool *)at ? "true\n" : "false\n", out); break;
	case SETTING_CHOICE: put_choice(out, s, *(const int *)at); break;
	case SETTING_FLAGS: put_flags(out, s, cfg); break;
	case SETTING_CORE: put_core(out, *(const int32_t *)at), fputc('\n', out); break;
	case SETTING_CORES: put_cores(out, cfg); break;
	case SETTING_NAME: put_text(out, at), fputc('\n', out); break;
	case SETTING_TEXT:
	case SETTING_OPAQUE:
	case SETTING_PATH: put_text(out, *(char *const *)at), fputc('\n', out); break;
	case SETTING_LETTER:
		fprintf(out, "\"%s%c\"\n", *(const char *)at == '\\' ? "\\" : "",
		        *(const char *)at);
		break;
	case SETTING_SECRET: put_secret(out, *(char *const *)at, secrets), fputc('\n', out); break;
	case SETTING_SECRETS: put_secrets(out, cfg, secrets); break;
	case SETTING_USERS: put_users(out, cfg, secrets); break;
	case SETTING_PORTS: put_ports(out, cfg, secrets); break;
	case SETTING_DEVICE:
		fprintf(out, "\"%s", device_kinds[port->kind]);
		for (const char *c = port->device; *c != '\0'; c++)
			fprintf(out, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
		fputs("\"\n", out);
		break;
	case SETTING_CIDRS: put_prefixes(out, port->addresses, port->n_addresses); break;
	case SETTING_LISTENERS: put_listeners(out, cfg); break;
	case SETTING_RELAYS: put_relays(out, cfg); break;
	case SETTING_RANGE:
		fprintf(out, "%u-%u\n", cfg->relay_port_min, cfg->relay_port_max);
		break;
	case SETTING_ADVERTISE: put_advertise(out, cfg); break;
	case SETTING_PREFIXES:
		put_prefixes(out, *(struct prefix *const *)at,
		             *(const unsigned *)((const char *)base + s->count));
		break;
	case SETTING_TRANSPORT:
	case SETTING_ENDPOINT: break; /* listeners are printed as text */
	}
}

static void put_ports(FILE *out, const struct config *cfg, bool secrets)
{
	fputc('\n', out);
	for (unsigned i = 0; i < cfg->n_ports; i++) {
		const char *lead = "  - ";

		for (unsigned k = 0; k < config_n_settings; k++) {
			const struct setting *s = &config_settings[k];

			if (s->scope != IN_PORT)
				continue;
			fprintf(out, "%s%s: ", lead, strchr(s->key, '.') + 1);
			put_value(out, s, cfg, &cfg->ports[i], secrets);
			lead = "    ";
		}
	}
}

/* Texts that are not set have no form in the file but to be left out. */
static bool is_unset(const struct setting *s, const struct config *cfg)
{
	const bool pointer = s->type == SETTING_TEXT || s->type == SETTING_SECRET ||
	                     s->type == SETTING_PATH || s->type == SETTING_OPAQUE;

	return pointer && *(char *const *)((const char *)cfg + s->at) == NULL;
}

void config_print(const struct config *cfg, FILE *out, bool secrets)
{
	const char *group = "";
	size_t group_len = 0;

	for (unsigned i = 0; i < config_n_settings; i++) {
		const struct setting *s = &config_settings[i];
		const char *dot = strchr(s->key, '.');
		const size_t len = dot != NULL ? (size_t)(dot - s->key) : 0;

		if (s->scope != IN_CONFIG || is_unset(s, cfg))
			continue;
		if (len > 0 && (len != group_len || strncmp(group, s->key, len) != 0))
			fprintf(out, "%.*s:\n", (int)len, s->key);
		group = s->key;
		group_len = len;
		fprintf(out, "%s%s:", len > 0 ? "  " : "", len > 0 ? dot + 1 : s->key);
		if (s->type != SETTING_PORTS && (s->type != SETTING_USERS || cfg->n_users == 0))
			fputc(' ', out); /* else a block follows */
		put_value(out, s, cfg, cfg, secrets);
	}
}
