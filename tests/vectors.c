#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vectors.h"

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint8_t *vectors_hex(const char *text, size_t *len)
{
	const size_t n = strlen(text) / 2;
	uint8_t *out = malloc(n == 0 ? 1 : n);

	if (out == NULL || strlen(text) % 2 != 0) {
		free(out);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		const int hi = nibble(text[2 * i]), lo = nibble(text[2 * i + 1]);

		if (hi < 0 || lo < 0) {
			free(out);
			return NULL;
		}
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	*len = n;
	if (n > 0)
		return out;
	/* An address for an empty datagram, with nothing behind it that may be read. */
	free(out);
	return malloc(0);
}

const char *vectors_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

static void fail(const char *path, const char *what, const char *which)
{
	fprintf(stderr, "%s: %s %s\n", path, what, which);
	exit(2);
}

struct vectors *vectors_load(void)
{
	const char *path = getenv("VECTORS_JSON");
	struct vectors *vs = calloc(1, sizeof(*vs));
	json_error_t err;
	json_t *v;
	size_t i;

	if (path == NULL)
		path = VECTORS_JSON;
	vs->doc = json_load_file(path, JSON_ALLOW_NUL, &err);
	if (vs->doc == NULL)
		fail(path, "cannot be read:", err.text);

	const json_t *list = json_object_get(vs->doc, "vectors");
	const json_t *contexts = json_object_get(vs->doc, "contexts");
	vs->n = json_array_size(list);
	if (vs->n == 0)
		fail(path, "holds no", "vectors");
	vs->list = calloc(vs->n, sizeof(*vs->list));
	json_array_foreach(list, i, v)
	{
		const json_t *expect = json_object_get(v, "expect");
		struct vector *out = &vs->list[i];

		*out = (struct vector){
			.name = vectors_text(v, "name"),
			.kind = vectors_text(v, "kind"),
			.context = vectors_text(v, "context"),
			.transport = vectors_text(v, "transport"),
			.action = vectors_text(expect, "action"),
			.why = vectors_text(expect, "why"),
			.code = (unsigned)json_integer_value(json_object_get(expect, "code")),
			.json = v,
		};
		out->octets = vectors_hex(vectors_text(v, "hex"), &out->len);
		if (out->octets == NULL)
			fail(path, "bad hex in", out->name);
		if (out->context[0] == '\0')
			continue;
		out->receiver = json_object_get(contexts, out->context);
		if (out->receiver == NULL)
			fail(path, "unknown context in", out->name);
	}
	return vs;
}

void vectors_free(struct vectors *vs)
{
	for (size_t i = 0; i < vs->n; i++)
		free(vs->list[i].octets);
	free(vs->list);
	json_decref(vs->doc);
	free(vs);
}

const struct vector *vectors_find(const struct vectors *vs, const char *name)
{
	for (size_t i = 0; i < vs->n; i++)
		if (strcmp(vs->list[i].name, name) == 0)
			return &vs->list[i];
	return NULL;
}
