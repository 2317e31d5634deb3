/* turnpike.yaml to struct: reading, freeing, asking. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config_table.h"

/* The text of all defaults, by whole keys, so that one reader serves them and the file. */
static char *defaults_text(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return NULL;
	for (unsigned i = 0; i < config_n_settings; i++)
		if (config_settings[i].scope == IN_CONFIG && config_settings[i].def != NULL)
			fprintf(f, "%s: %s\n", config_settings[i].key, config_settings[i].def);
	fclose(f);
	return text;
}

/* What libyaml leaves behind in memory is wiped as far as it can be reached. */
static void wipe_document(yaml_document_t *doc)
{
	for (yaml_node_t *n = doc->nodes.start; n != NULL && n < doc->nodes.top; n++)
		if (n->type == YAML_SCALAR_NODE)
			explicit_bzero(n->data.scalar.value, n->data.scalar.length);
	yaml_document_delete(doc);
}

static void wipe_parser(yaml_parser_t *parser)
{
	if (parser->buffer.start != NULL)
		explicit_bzero(parser->buffer.start,
		               (size_t)(parser->buffer.end - parser->buffer.start));
	if (parser->raw_buffer.start != NULL)
		explicit_bzero(parser->raw_buffer.start,
		               (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
	yaml_parser_delete(parser);
}

/* Octets that are not UTF-8 are told by their place only; the line is what people look for. */
static unsigned line_at(const char *text, size_t len, size_t offset)
{
	unsigned line = 1;

	for (size_t i = 0; i < len && i < offset; i++)
		line += text[i] == '\n';
	return line;
}

static bool fail_syntax(struct reading *r, const yaml_parser_t *parser, const char *text,
                        size_t len)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return config_fail(r, 0, NULL, "out of memory");
	const unsigned line = parser->error == YAML_READER_ERROR
	                              ? line_at(text, len, parser->problem_offset)
	                              : (unsigned)parser->problem_mark.line + 1;
	return config_fail(r, line, NULL, "not YAML: %s%s%s", parser->problem,
	                   parser->context != NULL ? ", " : "",
	                   parser->context != NULL ? parser->context : "");
}

/* The one document into r->doc; the caller wipes it if this returns true. */
static bool load_document(struct reading *r, const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_document_t second;

	if (!yaml_parser_initialize(&parser))
		return config_fail(r, 0, NULL, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	bool good = yaml_parser_load(&parser, &r->doc);
	if (!good) {
		fail_syntax(r, &parser, text, len);
	} else if (yaml_document_get_root_node(&r->doc) != NULL) {
		good = yaml_parser_load(&parser, &second);
		if (!good) {
			fail_syntax(r, &parser, text, len);
		} else {
			const yaml_node_t *root = yaml_document_get_root_node(&second);

			if (root != NULL)
				good = config_fail(r, (unsigned)root->start_mark.line + 1, NULL,
				                   "a second document begins; there may be one");
			wipe_document(&second);
		}
		if (!good)
			wipe_document(&r->doc);
	}
	wipe_parser(&parser);
	return good;
}

static bool read_text(struct reading *r, const char *text, size_t len)
{
	if (!load_document(r, text, len))
		return false;
	const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
	bool good;
	if (root == NULL)
		good = config_fail(
			r, 0, NULL,
			"the file is empty; at least ports, listeners, relay.addresses and "
			"auth.realm are needed");
	else if (root->type != YAML_MAPPING_NODE)
		good = config_fail(r, (unsigned)root->start_mark.line + 1, NULL,
		                   "a map of settings is expected");
	else
		good = config_read_map(r, "", IN_CONFIG, r->cfg, root);
	wipe_document(&r->doc);
	return good;
}

static bool read_all(struct reading *r, const char *text, size_t len)
{
	char *defaults = defaults_text();

	for (unsigned i = 0; i < CONFIG_WORKERS_MAX; i++)
		r->cfg->cores[i] = -1;
	if (defaults == NULL)
		return config_fail(r, 0, NULL, "out of memory");
	const bool good = read_text(r, defaults, strlen(defaults));
	free(defaults);
	memset(r->seen, 0, sizeof(r->seen));
	return good && read_text(r, text, len) && config_check(r);
}

static struct config *parse(const char *text, size_t len, const char *path, const char *real,
                            enum config_view view, struct config_error *err)
{
	struct reading *r = calloc(1, sizeof(*r));
	struct config *cfg = calloc(1, sizeof(*cfg));
	bool good = false;

	err->text[0] = '\0';
	if (r != NULL && cfg != NULL && (cfg->path = strdup(real)) != NULL) {
		r->cfg = cfg;
		r->err = err;
		r->path = path;
		r->view = view;
		good = read_all(r, text, len);
	} else {
		snprintf(err->text, sizeof(err->text), "%s: out of memory", path);
	}
	free(r);
	if (good)
		return cfg;
	config_free(cfg);
	return NULL;
}

struct config *config_parse(const char *text, size_t len, const char *path, enum config_view view,
                            struct config_error *err)
{
	return parse(text, len, path, path, view, err);
}

/* The whole file, or NULL with errno. */
static char *read_file(const char *path, size_t *len)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t cap = 65536, n = 0;
	ssize_t got = -1;
	char *text = NULL;

	if (fd < 0)
		return NULL;
	text = malloc(cap);
	while (text != NULL && (got = read(fd, text + n, cap - n)) > 0) {
		n += (size_t)got;
		if (n < cap)
			continue;
		/* Not realloc: it would leave the secrets of the old copy behind. */
		char *grown = n < CONFIG_FILE_MAX ? malloc(2 * cap) : NULL;
		if (grown != NULL)
			memcpy(grown, text, n);
		explicit_bzero(text, n);
		free(text);
		text = grown;
		cap *= 2;
		got = -1;
		errno = EFBIG;
	}
	const int error = text == NULL ? EFBIG : errno;
	close(fd);
	errno = error;
	if (got == 0) {
		*len = n;
		return text;
	}
	free(text);
	return NULL;
}

struct config *config_load(const char *path, enum config_view view, struct config_error *err)
{
	size_t len = 0;
	char *text = read_file(path, &len), *real = text != NULL ? realpath(path, NULL) : NULL;
	struct config *cfg = NULL;

	if (real == NULL)
		snprintf(err->text, sizeof(err->text), "%s: cannot read the configuration: %s",
		         path, strerror(errno));
	else
		cfg = parse(text, len, path, real, view, err);
	if (text != NULL)
		explicit_bzero(text, len);
	free(text);
	free(real);
	return cfg;
}

static void free_secret(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void config_free(struct config *cfg)
{
	if (cfg == NULL)
		return;
	for (unsigned i = 0; i < cfg->n_users; i++) {
		free(cfg->users[i].name);
		free_secret(cfg->users[i].password);
	}
	for (unsigned i = 0; i < CONFIG_REST_SECRETS_MAX; i++)
		free_secret(cfg->rest_secrets[i]);
	free_secret(cfg->nonce_secret);
	char *const texts[] = { cfg->path, cfg->run_dir, cfg->realm, cfg->software,
		                cfg->socket_group };
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	struct prefix *const lists[] = { cfg->allow, cfg->deny, cfg->nat64, cfg->sixrd,
		                         cfg->links };
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		free(lists[i]);
	free(cfg->users);
	explicit_bzero(cfg, sizeof(*cfg));
	free(cfg);
}

struct policy config_policy(const struct config *cfg)
{
	return (struct policy){
		.allow = cfg->allow,
		.n_allow = cfg->n_allow,
		.deny = cfg->deny,
		.n_deny = cfg->n_deny,
		.nat64 = cfg->nat64,
		.n_nat64 = cfg->n_nat64,
		.sixrd = cfg->sixrd,
		.n_sixrd = cfg->n_sixrd,
		.links = cfg->links,
		.n_links = cfg->n_links,
		.allow_loopback = cfg->allow_loopback,
	};
}

bool config_run_path(const struct config *cfg, const char *file, char *out, size_t cap)
{
	const int n = snprintf(out, cap, "%s/%s", cfg->run_dir, file);

	return n > 0 && (size_t)n < cap &&
	       (size_t)n < sizeof(((struct sockaddr_un *)NULL)->sun_path);
}
