/* Mirrors include/opaque.c: STUN-073 to STUN-075. */
#include <stdlib.h>
#include <string.h>

#include "opaque.h"
#include "tests/support.h"

static const struct {
	const char *name, *in, *out; /* NULL: refused */
	enum opaque_error error;
	uint32_t bad;
} cases[] = {
	/* clang-format off */
	{ "ASCII",              "correct horse",          "correct horse",  OPAQUE_OK, 0 },
	{ "all of ASCII",       " !\"#$%&'()*+,-./0129:;<=>?@AZ[\\]^_`az{|}~", " !\"#$%&'()*+,-./0129:;<=>?@AZ[\\]^_`az{|}~", OPAQUE_OK, 0 },
	{ "letters",            "\u03c0\u00df\u00e5",     "\u03c0\u00df\u00e5", OPAQUE_OK, 0 },
	{ "symbol",             "Jack of \u2666s",        "Jack of \u2666s", OPAQUE_OK, 0 },
	{ "ogham space",        "foo\u1680bar",           "foo bar",        OPAQUE_OK, 0 },
	{ "spaces",             "foo\u00a0bar\u3000x",    "foo bar x",      OPAQUE_OK, 0 },
	{ "NFC",                "e\u0301",                "\u00e9",         OPAQUE_OK, 0 },
	{ "no compatibility",   "\u2168\u00aa\uff21",     "\u2168\u00aa\uff21", OPAQUE_OK, 0 },
	{ "angstrom",           "\u212b",                 "\u00c5",         OPAQUE_OK, 0 },
	{ "katakana",           "\u30de\u30c8\u30ea\u30c3\u30af\u30b9", "\u30de\u30c8\u30ea\u30c3\u30af\u30b9", OPAQUE_OK, 0 },
	{ "no case mapping",    "ABC\u0130",              "ABC\u0130",      OPAQUE_OK, 0 },
	{ "beyond 16 bits",     "\U0001F511",             "\U0001F511",     OPAQUE_OK, 0 },
	{ "empty",              "",                       NULL, OPAQUE_EMPTY, 0 },
	{ "soft hyphen",        "I\u00adX",               NULL, OPAQUE_DISALLOWED, 0xAD },
	{ "tab",                "tab\there",              NULL, OPAQUE_DISALLOWED, 9 },
	{ "delete",             "a\x7f",                  NULL, OPAQUE_DISALLOWED, 0x7F },
	{ "C1",                 "a\302\205",               NULL, OPAQUE_DISALLOWED, 0x85 },
	{ "private use",        "\ue000",                 NULL, OPAQUE_DISALLOWED, 0xE000 },
	{ "zero width space",   "\u200bx",                NULL, OPAQUE_DISALLOWED, 0x200B },
	{ "line separator",     "a\u2028",                NULL, OPAQUE_DISALLOWED, 0x2028 },
	{ "unassigned",         "\u0378",                 NULL, OPAQUE_DISALLOWED, 0x378 },
	{ "no character",       "\ufdd0",                 NULL, OPAQUE_DISALLOWED, 0xFDD0 },
	{ "variation selector", "a\ufe0f",                NULL, OPAQUE_DISALLOWED, 0xFE0F },
	{ "tatweel",            "\u0640",                 NULL, OPAQUE_DISALLOWED, 0x640 },
	{ "old jamo",           "\u1100",                 NULL, OPAQUE_DISALLOWED, 0x1100 },
	{ "joiner alone",       "a\u200db",               NULL, OPAQUE_DISALLOWED, 0x200D },
	{ "joiner at the start", "\u200da",               NULL, OPAQUE_DISALLOWED, 0x200D },
	{ "joiner, virama",     "\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937", OPAQUE_OK, 0 },
	{ "non-joiner, Arabic", "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc", "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc", OPAQUE_OK, 0 },
	{ "non-joiner after alef", "\u0627\u200c\u0627",   NULL, OPAQUE_DISALLOWED, 0x200C },
	{ "middle dot, Catalan", "col\u00b7lega",         "col\u00b7lega",  OPAQUE_OK, 0 },
	{ "middle dot",         "a\u00b7b",               NULL, OPAQUE_DISALLOWED, 0xB7 },
	{ "middle dot at the end", "l\u00b7",             NULL, OPAQUE_DISALLOWED, 0xB7 },
	{ "keraia",             "\u0375\u03b1",           "\u0375\u03b1",   OPAQUE_OK, 0 },
	{ "keraia alone",       "\u0375",                 NULL, OPAQUE_DISALLOWED, 0x375 },
	{ "geresh",             "\u05d0\u05f3",           "\u05d0\u05f3",   OPAQUE_OK, 0 },
	{ "geresh alone",       "a\u05f3",                NULL, OPAQUE_DISALLOWED, 0x5F3 },
	{ "katakana dot",       "\u30a2\u30fb",           "\u30a2\u30fb",   OPAQUE_OK, 0 },
	{ "katakana dot alone", "a\u30fb",                NULL, OPAQUE_DISALLOWED, 0x30FB },
	{ "digits of one kind", "\u0661\u0662",           "\u0661\u0662",   OPAQUE_OK, 0 },
	{ "digits mixed",       "\u0661\u06f2",           NULL, OPAQUE_DISALLOWED, 0x661 },
	{ "not UTF-8",          "a\377",                  NULL, OPAQUE_NOT_UTF8, 0 },
	{ "overlong",           "\300\257",               NULL, OPAQUE_NOT_UTF8, 0 },
	{ "surrogate",          "\355\240\200",           NULL, OPAQUE_NOT_UTF8, 0 },
	{ "cut",                "\342\202",               NULL, OPAQUE_NOT_UTF8, 0 },
	/* clang-format on */
};

static void test_table(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *in = strdup(cases[i].in), out[128], again[128];
		uint32_t bad = 0;

		const enum opaque_error error = opaque_enforce(in, out, sizeof(out), &bad);
		CHECK(error == cases[i].error, cases[i].name);
		if (cases[i].bad != 0)
			CHECK(bad == cases[i].bad, cases[i].name);
		if (error == OPAQUE_OK && cases[i].out != NULL) {
			CHECK(strcmp(out, cases[i].out) == 0, cases[i].name);
			CHECK(opaque_enforce(out, again, sizeof(again), &bad) == OPAQUE_OK &&
			              strcmp(out, again) == 0,
			      "a second time changes nothing");
		}
		free(in);
	}
}

static void test_room(void)
{
	for (size_t cap = 1; cap < 8; cap++) {
		char *out = malloc(cap); /* exactly sized, for ASan */
		uint32_t bad;

		CHECK((opaque_enforce("ae\u0301", out, cap, &bad) == OPAQUE_OK) == (cap >= 4),
		      "room");
		free(out);
	}
}

static void test_explain(void)
{
	char text[80];

	CHECK(strstr(opaque_explain(OPAQUE_DISALLOWED, 0xAD, text, sizeof(text)), "U+00AD") != NULL,
	      "named");
	CHECK(strcmp(opaque_explain(OPAQUE_EMPTY, 0, text, sizeof(text)), "is empty") == 0,
	      "empty");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "STUN-073, STUN-075 table", test_table },
		{ "room", test_room },
		{ "explain", test_explain },
		CU_TEST_INFO_NULL,
	};
	return run_suite("include/opaque", tests);
}
