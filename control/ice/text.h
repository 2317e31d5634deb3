/*
 * Words of a line, and text that is built piece by piece with a sticky overflow.
 *
 * Threads    Pure functions; no state.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "addr.h"

struct text {
	const char *at;
	size_t len;
};

/* Takes the text up to the next `sep` from *rest, and the separator. false: nothing is left. */
static inline bool text_split(struct text *rest, char sep, struct text *out)
{
	const char *const end = rest->len ? memchr(rest->at, sep, rest->len) : NULL;

	if (rest->len == 0)
		return false;
	*out = (struct text){ rest->at, end ? (size_t)(end - rest->at) : rest->len };
	rest->at += out->len + (end != NULL);
	rest->len -= out->len + (end != NULL);
	return true;
}

/* The next word; runs of blanks count as one. */
static inline bool text_word(struct text *rest, struct text *out)
{
	while (rest->len > 0 && *rest->at == ' ') {
		rest->at++;
		rest->len--;
	}
	return text_split(rest, ' ', out);
}

static inline bool text_is(struct text t, const char *word)
{
	return t.len == strlen(word) && strncasecmp(t.at, word, t.len) == 0;
}

/* If `t` begins with `prefix` it is cut off. */
static inline bool text_cut(struct text *t, const char *prefix)
{
	const size_t n = strlen(prefix);

	if (t->len < n || memcmp(t->at, prefix, n) != 0)
		return false;
	t->at += n;
	t->len -= n;
	return true;
}

/* 1 to `digits` decimal digits, at most `max`. */
static inline bool text_number(struct text t, unsigned digits, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (t.len == 0 || t.len > digits)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(t.at[i] - '0');
	}
	if (n > max)
		return false;
	*out = n;
	return true;
}

static inline bool text_addr(struct text t, struct addr *out)
{
	char copy[ADDR_TEXT_MAX];

	if (t.len >= sizeof(copy) || memchr(t.at, '\0', t.len) != NULL)
		return false;
	memcpy(copy, t.at, t.len);
	copy[t.len] = '\0';
	return addr_parse(copy, out);
}

/* min to max ice-chars (RFC 8839 §5.1), with a NUL behind them. */
static inline bool text_ice(struct text t, size_t min, size_t max, char *out)
{
	if (t.len < min || t.len > max)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		const char c = t.at[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '+' || c == '/'))
			return false;
	}
	memcpy(out, t.at, t.len);
	out[t.len] = '\0';
	return true;
}

struct text_out {
	char *buf;
	size_t cap, len; /* len + 1 > cap: it did not fit */
};

__attribute__((format(printf, 2, 3))) static inline void text_put(struct text_out *o,
                                                                  const char *format, ...)
{
	const size_t room = o->len < o->cap ? o->cap - o->len : 0;
	va_list args;

	va_start(args, format);
	const int n = vsnprintf(room ? o->buf + o->len : NULL, room, format, args);

	va_end(args);
	o->len += n > 0 ? (size_t)n : 0;
}

/* Length without the NUL, or 0 if it did not fit. */
static inline size_t text_end(const struct text_out *o)
{
	return o->len < o->cap ? o->len : 0;
}
