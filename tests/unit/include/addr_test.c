/* Mirrors include/addr.c. */
#include <stdlib.h>

#include "addr.h"
#include "tests/support.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* From a buffer of exactly its size, so that ASan sees a read behind the NUL. */
static char *exact(const char *text)
{
	return strdup(text);
}

/* What is printed; NULL: refused. */
static const struct {
	const char *text, *addr, *prefix, *cidr;
} addresses[] = {
	/* clang-format off */
	{ "192.0.2.1",            "192.0.2.1",   "192.0.2.1/32",   "192.0.2.1/32" },
	{ "0.0.0.0",              "0.0.0.0",     "0.0.0.0/32",     "0.0.0.0/32" },
	{ "255.255.255.255",      "255.255.255.255", "255.255.255.255/32", "255.255.255.255/32" },
	{ "2001:DB8:0:0::1",      "2001:db8::1", "2001:db8::1/128", "2001:db8::1/128" },
	{ "::",                   "::",          "::/128",         "::/128" },
	{ "::1",                  "::1",         "::1/128",        "::1/128" },
	{ "64:ff9b::192.0.2.1",   "64:ff9b::c000:201", "64:ff9b::c000:201/128", "64:ff9b::c000:201/128" },
	{ "1:2:3:4:5:6:7:8",      "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8/128", "1:2:3:4:5:6:7:8/128" },
	{ "10.0.0.0/8",           NULL,          "10.0.0.0/8",     "10.0.0.0/8" },
	{ "198.18.0.1/24",        NULL,          NULL,             "198.18.0.1/24" },
	{ "198.18.0.1/15",        NULL,          NULL,             "198.18.0.1/15" },
	{ "198.18.0.0/15",        NULL,          "198.18.0.0/15",  "198.18.0.0/15" },
	{ "0.0.0.0/0",            NULL,          "0.0.0.0/0",      "0.0.0.0/0" },
	{ "::/0",                 NULL,          "::/0",           "::/0" },
	{ "::/96",                NULL,          "::/96",          "::/96" },
	{ "fd00::/8",             NULL,          "fd00::/8",       "fd00::/8" },
	{ "fd00::1/8",            NULL,          NULL,             "fd00::1/8" },
	{ "2a00:0:8000::/33",     NULL,          "2a00:0:8000::/33", "2a00:0:8000::/33" },
	{ "2a00:0:8000::/32",     NULL,          NULL,             "2a00:0:8000::/32" },
	{ "10.0.0.0/33", NULL, NULL, NULL },     { "fd00::/129", NULL, NULL, NULL },
	{ "10.0.0.0/", NULL, NULL, NULL },       { "10.0.0.0/08", NULL, NULL, NULL },
	{ "10.0.0.0/+8", NULL, NULL, NULL },     { "10.0.0.0/8 ", NULL, NULL, NULL },
	{ "10.0.0.0/4294967304", NULL, NULL, NULL }, { "/8", NULL, NULL, NULL },
	{ "10.0.0", NULL, NULL, NULL },          { "10.0.0.0.0", NULL, NULL, NULL },
	{ "10.0.0.256", NULL, NULL, NULL },      { "010.0.0.1", NULL, NULL, NULL },
	{ "0x0a.0.0.1", NULL, NULL, NULL },      { "", NULL, NULL, NULL },
	{ " 10.0.0.1", NULL, NULL, NULL },       { "fe80::1%eth0", NULL, NULL, NULL },
	{ "::ffff:10.0.0.1", NULL, NULL, NULL }, { "::ffff:a00:1", NULL, NULL, NULL },
	{ "::ffff:0:0/96", NULL, NULL, NULL },   { "0:0:0:0:0:ffff:0a00:0001", NULL, NULL, NULL },
	{ ":::", NULL, NULL, NULL },             { "1:2:3:4:5:6:7", NULL, NULL, NULL },
	{ "[::1]", NULL, NULL, NULL },           { "localhost", NULL, NULL, NULL },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL, NULL },
	{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:1", NULL, NULL, NULL },
	/* clang-format on */
};

static void same(bool parsed, const char *printed, const char *expected, const char *what)
{
	CHECK(parsed == (expected != NULL), what);
	if (parsed && expected != NULL)
		CHECK(strcmp(printed, expected) == 0, what);
}

static void test_addresses(void)
{
	for (size_t i = 0; i < COUNT(addresses); i++) {
		char *text = exact(addresses[i].text), out[64];
		struct addr a;
		struct prefix p;

		bool parsed = addr_parse(text, &a);
		same(parsed, parsed ? addr_print(&a, out) : "", addresses[i].addr, text);
		parsed = prefix_parse(text, &p);
		same(parsed, parsed ? prefix_print(&p, out) : "", addresses[i].prefix, text);
		parsed = cidr_parse(text, &p);
		same(parsed, parsed ? prefix_print(&p, out) : "", addresses[i].cidr, text);
		free(text);
	}
}

static const struct {
	const char *text, *printed;
	unsigned port, family;
} endpoints[] = {
	/* clang-format off */
	{ "192.0.2.1:3478",       "192.0.2.1:3478",      3478, 4 },
	{ "192.0.2.1:1",          "192.0.2.1:1",         1, 4 },
	{ "[2001:db8::1]:65535",  "[2001:db8::1]:65535", 65535, 6 },
	{ "[::]:53",              "[::]:53",             53, 6 },
	{ "192.0.2.1:0", NULL, 0, 0 },        { "192.0.2.1:65536", NULL, 0, 0 },
	{ "192.0.2.1", NULL, 0, 0 },          { "192.0.2.1:", NULL, 0, 0 },
	{ "192.0.2.1:03478", NULL, 0, 0 },    { "192.0.2.1:34 ", NULL, 0, 0 },
	{ "[192.0.2.1]:3478", NULL, 0, 0 },   { "2001:db8::1:3478", NULL, 0, 0 },
	{ "[2001:db8::1]", NULL, 0, 0 },      { "[2001:db8::1]3478", NULL, 0, 0 },
	{ "[2001:db8::1:3478", NULL, 0, 0 },  { "[::ffff:192.0.2.1]:3478", NULL, 0, 0 },
	{ "[]:3478", NULL, 0, 0 },            { ":3478", NULL, 0, 0 },
	{ "", NULL, 0, 0 },                   { "[", NULL, 0, 0 },
	{ "[]", NULL, 0, 0 },                 { "[fe80::1%1]:3478", NULL, 0, 0 },
	/* clang-format on */
};

static void test_endpoints(void)
{
	for (size_t i = 0; i < COUNT(endpoints); i++) {
		char *text = exact(endpoints[i].text), out[ENDPOINT_TEXT_MAX];
		struct endpoint e = { .port = 7 };
		const bool parsed = endpoint_parse(text, &e);

		same(parsed, parsed ? endpoint_print(&e, out) : "", endpoints[i].printed, text);
		if (parsed)
			CHECK(e.port == endpoints[i].port &&
			              addr_family(&e.addr) == endpoints[i].family,
			      text);
		else
			CHECK(e.port == 7, "untouched when refused");
		free(text);
	}
}

/* TURN-222: any length, not only multiples of 8; the families never meet. */
static void test_contains(void)
{
	static const struct {
		const char *block, *in, *out;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },
		{ "172.16.0.0/12", "172.31.255.255", "172.32.0.0" },
		{ "198.18.0.0/15", "198.19.255.255", "198.20.0.0" },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.0" },
		{ "192.0.2.0/31", "192.0.2.1", "192.0.2.2" },
		{ "0.0.0.0/0", "255.255.255.255", "::" },
		{ "::/0", "ffff::1", "192.0.2.1" },
		{ "::/64", "::1", "10.0.0.1" },
		{ "::/95", "::1:0:1", "10.0.0.1" },
		{ "2000::/3", "3fff::1", "4000::" },
		{ "fc00::/7", "fdff::1", "fe00::" },
		{ "2001:20::/28", "2001:2f:ffff::", "2001:30::" },
		{ "2a00:0:8000::/33", "2a00:0:8000::1", "2a00:0:7fff::1" },
		{ "fd00::1", "fd00::1", "fd00::2" },
		{ "fd00::/127", "fd00::1", "fd00::2" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct prefix p;
		struct addr in, out;

		CHECK(prefix_parse(cases[i].block, &p), cases[i].block);
		CHECK(addr_parse(cases[i].in, &in) && addr_parse(cases[i].out, &out), "addresses");
		CHECK(prefix_contains(&p, &in), cases[i].block);
		CHECK(!prefix_contains(&p, &out), cases[i].block);
	}
	const uint8_t four[4] = { 10, 1, 2, 3 };
	const struct addr a = addr_from4(four);
	struct addr b;
	CHECK(addr_parse("10.1.2.3", &b) && addr_equal(&a, &b) && addr_is4(&a), "from four octets");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "addresses and blocks", test_addresses },
		{ "endpoints", test_endpoints },
		{ "TURN-222 contains", test_contains },
		CU_TEST_INFO_NULL,
	};
	return run_suite("include/addr", tests);
}
