/*
 * Properties of include/config*.c, for any octets:
 *   refusal   is one line that begins with the file's name
 *   print     what parses is printed so that it parses again, to the same print; redacted too
 *   view      a file that is good with its secrets is good without them, and then holds none
 *   sense     what parses keeps its own promises: ranges, no doubles, addresses that a host can
 * have
 */
#include <string.h>

#include "config.h"
#include "tests/fuzz/must.h"

static char *print(const struct config *cfg, bool secrets, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	MUST(f != NULL);
	config_print(cfg, f, secrets);
	MUST(fclose(f) == 0);
	return text;
}

static void refusal_property(const struct config_error *err)
{
	MUST(strncmp(err->text, "fuzz:", 5) == 0);
	for (const char *c = err->text; *c != '\0'; c++)
		MUST((uint8_t)*c >= 0x20);
}

static void print_property(const struct config *cfg, bool secrets)
{
	struct config_error err;
	size_t len, len_again;
	char *text = print(cfg, secrets, &len);
	struct config *again = config_parse(text, len, "fuzz", CONFIG_ALL, &err);

	if (again == NULL)
		fprintf(stderr, "%s\n%s\n", text, err.text);
	MUST(again != NULL);
	char *second = print(again, secrets, &len_again);
	MUST(len == len_again && memcmp(text, second, len) == 0);
	config_free(again);
	free(second);
	free(text);
}

static void view_property(const uint8_t *data, size_t size)
{
	struct config_error err;
	struct config *cfg =
		config_parse((const char *)data, size, "fuzz", CONFIG_NO_SECRETS, &err);

	MUST(cfg != NULL && cfg->n_rest_secrets == 0 && cfg->nonce_secret == NULL);
	for (unsigned i = 0; i < cfg->n_users; i++)
		MUST(cfg->users[i].password == NULL);
	config_free(cfg);
}

static void sense_property(const struct config *cfg)
{
	MUST(cfg->n_ports > 0 && cfg->n_listeners > 0 && cfg->n_relays > 0);
	MUST(cfg->realm != NULL && cfg->realm[0] != '\0' && cfg->run_dir[0] == '/');
	MUST(cfg->relay_port_min >= 1024 && cfg->relay_port_min <= cfg->relay_port_max);
	MUST(cfg->workers >= 1 && cfg->workers <= CONFIG_WORKERS_MAX);
	MUST(cfg->auth_md5 || cfg->auth_sha256);
	for (unsigned i = 0; i < cfg->n_listeners; i++) {
		MUST(cfg->listeners[i].transport == TRANSPORT_UDP && cfg->listeners[i].at.port > 0);
		for (unsigned k = 0; k < i; k++)
			MUST(!endpoint_equal(&cfg->listeners[i].at, &cfg->listeners[k].at));
	}
	for (unsigned i = 0; i < cfg->n_users; i++)
		MUST(cfg->users[i].name[0] != '\0' && cfg->users[i].password[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_error err;
	struct config *cfg = config_parse((const char *)data, size, "fuzz", CONFIG_ALL, &err);

	if (cfg == NULL) {
		refusal_property(&err);
		return 0;
	}
	sense_property(cfg);
	print_property(cfg, true);
	print_property(cfg, false);
	view_property(data, size);
	config_free(cfg);
	return 0;
}
