/* What both suites over the vectors need. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "tests/support.h"
#include "tests/vectors.h"

static struct vectors *all;

#define EACH(v, wanted)                                                       \
	for (const struct vector *v = all->list; v < all->list + all->n; v++) \
		if (strcmp(v->kind, wanted) == 0)

static inline unsigned number(const json_t *object, const char *key)
{
	return (unsigned)json_integer_value(json_object_get(object, key));
}

/* Octets of a hex string equal `n` octets at `p`. */
static inline bool hex_equal(const char *hex, const uint8_t *p, size_t n)
{
	size_t len;
	uint8_t *want = vectors_hex(hex, &len);
	const bool same = want != NULL && len == n && memcmp(want, p, n) == 0;

	free(want);
	return same;
}
