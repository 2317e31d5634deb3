/*
 * OpaqueString: names and passwords in one form. libunistring knows the characters: it is small and
 * already there wherever GnuTLS or libidn2 is; ICU would be thirty times its size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "opaque.h"

enum verdict { DISALLOWED, VALID, CONTEXT };

/* RFC 5892 §2.6, which RFC 8264 §9.6 takes over. */
static const struct {
	uint32_t first, last;
	enum verdict verdict;
} exceptions[] = {
	{ 0x00B7, 0x00B7, CONTEXT },    { 0x00DF, 0x00DF, VALID },
	{ 0x0375, 0x0375, CONTEXT },    { 0x03C2, 0x03C2, VALID },
	{ 0x05F3, 0x05F4, CONTEXT },    { 0x0640, 0x0640, DISALLOWED },
	{ 0x0660, 0x0669, CONTEXT },    { 0x06F0, 0x06F9, CONTEXT },
	{ 0x06FD, 0x06FE, VALID },      { 0x07FA, 0x07FA, DISALLOWED },
	{ 0x0F0B, 0x0F0B, VALID },      { 0x3007, 0x3007, VALID },
	{ 0x302E, 0x302F, DISALLOWED }, { 0x3031, 0x3035, DISALLOWED },
	{ 0x303B, 0x303B, DISALLOWED }, { 0x30FB, 0x30FB, CONTEXT },
	{ 0x200C, 0x200D, CONTEXT }, /* the joiners, §9.8 */
};

static bool is_old_jamo(uint32_t c)
{
	return (c >= 0x1100 && c <= 0x11FF) || (c >= 0xA960 && c <= 0xA97C) ||
	       (c >= 0xD7B0 && c <= 0xD7FB);
}

/* RFC 8264 §8 for the FreeformClass: letters, marks, digits, spaces, symbols and punctuation. */
static enum verdict judge(uint32_t c)
{
	if (c >= 0x20 && c < 0x7F)
		return VALID;
	for (unsigned i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		if (c >= exceptions[i].first && c <= exceptions[i].last)
			return exceptions[i].verdict;
	if (is_old_jamo(c) || uc_is_property_default_ignorable_code_point(c) ||
	    uc_is_property_not_a_character(c))
		return DISALLOWED;
	return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M |
	                                                   UC_CATEGORY_MASK_N | UC_CATEGORY_MASK_S |
	                                                   UC_CATEGORY_MASK_P | UC_CATEGORY_MASK_Zs)
	               ? VALID
	               : DISALLOWED;
}

static bool is_script(uint32_t c, const char *name)
{
	const uc_script_t *script = uc_script(c);

	return script != NULL && strcmp(script->name, name) == 0;
}

/* RFC 5892 A.1: between letters that join, transparent marks aside. */
static bool joins(const uint32_t *text, size_t n, size_t at)
{
	size_t before = at, after = at + 1;
	int type = UC_JOINING_TYPE_T;

	while (before > 0 && type == UC_JOINING_TYPE_T)
		type = uc_joining_type(text[--before]);
	if (type != UC_JOINING_TYPE_L && type != UC_JOINING_TYPE_D)
		return false;
	type = UC_JOINING_TYPE_T;
	while (after < n && type == UC_JOINING_TYPE_T)
		type = uc_joining_type(text[after++]);
	return type == UC_JOINING_TYPE_R || type == UC_JOINING_TYPE_D;
}

static bool any_in(const uint32_t *text, size_t n, uint32_t first, uint32_t last)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] >= first && text[i] <= last)
			return true;
	return false;
}

/* RFC 5892 appendix A: characters that are good in some places only. */
static bool is_placed(const uint32_t *text, size_t n, size_t at)
{
	const uint32_t before = at > 0 ? text[at - 1] : 0, after = at + 1 < n ? text[at + 1] : 0;

	switch (text[at]) {
	case 0x200C:
		if (joins(text, n, at))
			return true;
		/* fall through */
	case 0x200D: return at > 0 && uc_combining_class(before) == UC_CCC_VR;
	case 0x00B7: return before == 'l' && after == 'l';
	case 0x0375: return at + 1 < n && is_script(after, "Greek");
	case 0x05F3:
	case 0x05F4: return at > 0 && is_script(before, "Hebrew");
	case 0x30FB:
		for (size_t i = 0; i < n; i++)
			if (is_script(text[i], "Hiragana") || is_script(text[i], "Katakana") ||
			    is_script(text[i], "Han"))
				return true;
		return false;
	default: /* Arabic-Indic digits of the two kinds do not mix */
		return text[at] < 0x06F0 ? !any_in(text, n, 0x06F0, 0x06F9)
		                         : !any_in(text, n, 0x0660, 0x0669);
	}
}

static enum opaque_error check(uint32_t *text, size_t n, uint32_t *bad)
{
	for (size_t i = 0; i < n; i++) {
		const enum verdict v = judge(text[i]);

		if (v == DISALLOWED || (v == CONTEXT && !is_placed(text, n, i))) {
			*bad = text[i];
			return OPAQUE_DISALLOWED;
		}
	}
	for (size_t i = 0; i < n; i++)
		if (uc_is_general_category_withtable(text[i], UC_CATEGORY_MASK_Zs))
			text[i] = ' ';
	return OPAQUE_OK;
}

/* The two forms on the heap may be secrets. */
static void wipe(void *p, size_t octets)
{
	if (p != NULL)
		explicit_bzero(p, octets);
	free(p);
}

enum opaque_error opaque_enforce(const char *text, char *out, size_t cap, uint32_t *bad)
{
	const uint8_t *octets = (const uint8_t *)text;
	const size_t len = strlen(text);
	size_t n = 0, n_normal = 0, n_out = cap;
	enum opaque_error error = OPAQUE_TOO_LONG;

	if (len == 0)
		return OPAQUE_EMPTY;
	if (u8_check(octets, len) != NULL)
		return OPAQUE_NOT_UTF8;
	uint32_t *points = u8_to_u32(octets, len, NULL, &n), *normal = NULL;
	if (points != NULL)
		error = check(points, n, bad);
	if (error == OPAQUE_OK) {
		normal = u32_normalize(UNINORM_NFC, points, n, NULL, &n_normal);
		/* Given room it does not have, it would turn to the heap. */
		uint8_t *done =
			normal != NULL ? u32_to_u8(normal, n_normal, (uint8_t *)out, &n_out) : NULL;

		if (done == (uint8_t *)out && n_out < cap) {
			out[n_out] = '\0';
		} else {
			error = OPAQUE_TOO_LONG;
			if (done != NULL && done != (uint8_t *)out)
				wipe(done, n_out);
		}
	}
	wipe(points, n * sizeof(*points));
	wipe(normal, n_normal * sizeof(*normal));
	return error;
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
