/* OpaqueString: names and passwords in one form. */
#include <stdio.h>
#include <string.h>

#include "opaque.h"

/* One code point from UTF-8, shortest form only; octets taken, or 0. */
static size_t utf8_next(const uint8_t *p, uint32_t *out)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xE0, 0xC0, 0x80 },
		      { 0xF0, 0xE0, 0x800 },
		      { 0xF8, 0xF0, 0x10000 } };

	for (size_t n = 0; n < 4; n++) {
		uint32_t c = p[0] & (uint8_t)~forms[n].mask;

		if ((p[0] & forms[n].mask) != forms[n].lead)
			continue;
		for (size_t i = 1; i <= n; i++) {
			if ((p[i] & 0xC0) != 0x80)
				return 0;
			c = c << 6 | (p[i] & 0x3Fu);
		}
		if (c < forms[n].least || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
			return 0;
		*out = c;
		return n + 1;
	}
	return 0;
}

static bool is_disallowed(uint32_t c)
{
	return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD;
}

enum opaque_error opaque_enforce(const char *text, char *out, size_t cap, uint32_t *bad)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t n;
	uint32_t c;

	if (*text == '\0')
		return OPAQUE_EMPTY;
	for (; *p != 0; p += n) {
		n = utf8_next(p, &c);
		if (n == 0)
			return OPAQUE_NOT_UTF8;
		if (is_disallowed(c)) {
			*bad = c;
			return OPAQUE_DISALLOWED;
		}
	}
	if (strlen(text) >= cap)
		return OPAQUE_TOO_LONG;
	strcpy(out, text);
	return OPAQUE_OK;
}

char *opaque_explain(enum opaque_error error, uint32_t bad, char *out, size_t cap)
{
	static const char *const said[] = {
		[OPAQUE_OK] = "is good",
		[OPAQUE_EMPTY] = "is empty",
		[OPAQUE_NOT_UTF8] = "is not UTF-8",
		[OPAQUE_TOO_LONG] = "is too long",
	};

	if (error == OPAQUE_DISALLOWED)
		snprintf(out, cap, "holds U+%04X, which names and passwords may not", bad);
	else
		snprintf(out, cap, "%s", said[error]);
	return out;
}
