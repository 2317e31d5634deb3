/* Secrets: written in the file, or named there and kept in a file or the environment. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_table.h"
#include "opaque.h"

const char config_redacted[] = "(redacted)";

/* A redacted secret parses, but nobody knows what it became. */
static bool draw(struct reading *r, unsigned line, const char *key, char **out)
{
	uint8_t random[24];

	*out = calloc(1, 2 * sizeof(random) + 1);
	if (*out == NULL || getrandom(random, sizeof(random), 0) != sizeof(random))
		return config_fail(r, line, key, "no random octets");
	for (unsigned i = 0; i < sizeof(random); i++)
		snprintf(*out + 2 * i, 3, "%02x", random[i]);
	return true;
}

/* A relative path starts where the configuration lies. */
static void file_path(const struct reading *r, const char *name, char *out, size_t cap)
{
	const char *slash = strrchr(r->path, '/');

	if (name[0] == '/' || slash == NULL)
		snprintf(out, cap, "%s", name);
	else
		snprintf(out, cap, "%.*s/%s", (int)(slash - r->path), r->path, name);
}

/* The whole of a small regular file, less one newline at its end. */
static bool read_file(struct reading *r, const struct setting *s, unsigned line, const char *name,
                      char *out, size_t cap)
{
	char path[4096];
	struct stat st;
	size_t n = 0;
	ssize_t got = 0;

	file_path(r, name, path, sizeof(path));
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return config_fail(r, line, s->key, "file '%s': %s", path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return config_fail(r, line, s->key, "file '%s' is not a regular file", path);
	}
	while (n < cap && (got = read(fd, out + n, cap - n)) > 0)
		n += (size_t)got;
	const int error = errno;
	close(fd);
	if (got < 0)
		return config_fail(r, line, s->key, "file '%s': %s", path, strerror(error));
	if (n == cap)
		return config_fail(r, line, s->key, "file '%s' holds more than %u octets", path,
		                   s->max);
	if (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	if (strlen(out) != n)
		return config_fail(r, line, s->key, "file '%s' holds a zero octet", path);
	return true;
}

static bool take(struct reading *r, const struct setting *s, unsigned line, const char *text,
                 char **out)
{
	char form[2048], why[80];
	uint32_t bad = 0;

	if (strcmp(text, config_redacted) == 0)
		return draw(r, line, s->key, out);
	const enum opaque_error error = opaque_enforce(text, form, s->max + 1, &bad);
	const size_t len = error == OPAQUE_OK ? strlen(form) : 0;
	if (error == OPAQUE_OK && len >= s->min)
		*out = strdup(form);
	explicit_bzero(form, sizeof(form));
	if (error != OPAQUE_OK)
		return config_fail(r, line, s->key, "the secret %s",
		                   opaque_explain(error, bad, why, sizeof(why)));
	if (len < s->min)
		return config_fail(r, line, s->key, "the secret has %zu octets, fewer than %u", len,
		                   s->min);
	return *out != NULL || config_fail(r, line, s->key, "out of memory");
}

/* { file: PATH } or { env: NAME }, and nothing beside it. */
static bool read_reference(struct reading *r, const struct setting *s, const yaml_node_t *node,
                           char **out)
{
	const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	const unsigned line = (unsigned)node->start_mark.line + 1;
	char text[2048];
	bool good;

	if (node->data.mapping.pairs.top - pair != 1)
		return config_fail(r, line, s->key,
		                   "a secret is a text, { file: PATH } or { env: NAME }");
	const char *from = config_read_text(r, s->key, yaml_document_get_node(&r->doc, pair->key));
	const char *name =
		from == NULL
			? NULL
			: config_read_text(r, s->key, yaml_document_get_node(&r->doc, pair->value));
	if (name == NULL)
		return false;
	const bool file = strcmp(from, "file") == 0;
	if (!file && strcmp(from, "env") != 0)
		return config_fail(r, line, s->key,
		                   "a secret is a text, { file: PATH } or { env: NAME }");
	if (name[0] == '\0')
		return config_fail(r, line, s->key, "the %s has no name",
		                   file ? "file" : "environment variable");
	if (r->view == CONFIG_NO_SECRETS)
		return true;
	if (file) {
		good = read_file(r, s, line, name, text, s->max + 2);
	} else {
		const char *value = getenv(name);

		good = value != NULL && strlen(value) < sizeof(text);
		if (good)
			strcpy(text, value);
		else
			config_fail(r, line, s->key, "environment variable '%s' is %s", name,
			            value == NULL ? "not set" : "too long");
	}
	good = good && take(r, s, line, text, out);
	explicit_bzero(text, sizeof(text));
	return good;
}

bool config_read_secret(struct reading *r, const struct setting *s, const yaml_node_t *node,
                        char **out)
{
	if (node->type == YAML_MAPPING_NODE)
		return read_reference(r, s, node, out);
	const char *text = config_read_text(r, s->key, node);
	if (text == NULL)
		return false;
	return r->view == CONFIG_NO_SECRETS ||
	       take(r, s, (unsigned)node->start_mark.line + 1, text, out);
}
