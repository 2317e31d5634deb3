/* Values of parameters, usage lines, nearest names. */
#include <string.h>

#include "control/ctl/grammar.h"
#include "tests/support.h"

static void values(void)
{
	static const struct ctl_param seconds = { "ttl", CTL_SECONDS, CTL_OPTION, false,
		                                  1,     604800,      NULL,       "" },
				      number = { "id", CTL_NUMBER, CTL_REQUIRED, false,
		                                 1,    INT64_MAX,  NULL,         "" },
				      word = { "state", CTL_WORD, CTL_OPTIONAL, false,
		                               0,       0,        "on off",     "" },
				      address = { "client", CTL_ADDRESS, CTL_OPTION, false,
		                                  0,        0,           NULL,       "" };
	static const struct {
		const struct ctl_param *p;
		const char *text;
		bool good;
		uint64_t n;
	} cases[] = {
		{ &seconds, "90", true, 90 },
		{ &seconds, "90s", true, 90 },
		{ &seconds, "10m", true, 600 },
		{ &seconds, "24h", true, 86400 },
		{ &seconds, "7d", true, 604800 },
		{ &seconds, "8d", false, 0 },
		{ &seconds, "0", false, 0 },
		{ &seconds, "s", false, 0 },
		{ &seconds, "1w", false, 0 },
		{ &seconds, "9999999999999999999d", false, 0 },
		{ &number, "9223372036854775807", true, INT64_MAX },
		{ &number, "9223372036854775808", false, 0 },
		{ &number, "18446744073709551617", false, 0 }, /* wraps to 1 */
		{ &number, "5s", false, 0 },
		{ &number, "+5", false, 0 },
		{ &number, "", false, 0 },
		{ &word, "on", true, 0 },
		{ &word, "off", true, 0 },
		{ &word, "o", false, 0 },
		{ &word, "on off", false, 0 },
		{ &word, "", false, 0 },
		{ &address, "198.18.0.1", true, 0 },
		{ &address, "fd00::1", true, 0 },
		{ &address, "198.18.0.1:80", false, 0 },
		{ &address, "example.org", false, 0 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ctl_value v = { .given = false };
		struct ctl_complaint why;

		CHECK(ctl_take_text(cases[i].p, cases[i].text, strlen(cases[i].text), &v, &why) ==
		              cases[i].good,
		      cases[i].text);
		CHECK(v.given == cases[i].good && v.number == cases[i].n, cases[i].text);
	}
}

static void long_text_is_refused(void)
{
	static const struct ctl_param text = { "name", CTL_TEXT, CTL_REQUIRED, false,
		                               1,      508,      NULL,         "" };
	static char octets[CTL_TEXT_MAX + 1];
	struct ctl_value v = { .given = false };
	struct ctl_complaint why;

	memset(octets, 'a', sizeof(octets));
	CHECK(ctl_take_text(&text, octets, 508, &v, &why), "508 are a user name (STUN-079)");
	CHECK(!ctl_take_text(&text, octets, 509, &v, &why), "509 are not");
	CHECK(!ctl_take_text(&text, octets, sizeof(octets), &v, &why), "nor what does not fit");
	octets[3] = '\0';
	CHECK(!ctl_take_text(&text, octets, 5, &v, &why), "nor with a NUL inside");
}

static void usage_lines(void)
{
	char text[256];

	ctl_usage(ctl_find("show allocation"), text, sizeof(text));
	CHECK(strcmp(text, "show allocation ID") == 0, text);
	ctl_usage(ctl_find("credential"), text, sizeof(text));
	CHECK(strcmp(text, "credential USER [--ttl TTL] [--ice-servers] [--uclient]") == 0, text);
	ctl_usage(ctl_find("drain"), text, sizeof(text));
	CHECK(strcmp(text, "drain [STATE]") == 0, text);
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++)
		CHECK(strlen(ctl_usage(&ctl_commands[i], text, sizeof(text))) < sizeof(text) - 1,
		      "fits");
	CHECK(strlen(ctl_usage(ctl_find("credential"), text, 12)) < 12, "is cut where it must");
}

static void nearest(void)
{
	static const char *const cases[][2] = {
		{ "stauts", "status" },
		{ "show alloc", "show allocation" },
		{ "show worker", "show workers" },
		{ "del user", "delete user" },
		{ "sh all", "show allocations" },
		{ "reloud", "reload" },
		{ "xyzzy", NULL },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const near = ctl_nearest(cases[i][0]);

		if (!cases[i][1])
			CHECK(near == NULL, cases[i][0]);
		else
			CHECK(near && strncmp(near, cases[i][1], strlen(cases[i][1])) == 0,
			      cases[i][0]);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "values", values },
		{ "long text is refused", long_text_is_refused },
		{ "usage lines", usage_lines },
		{ "nearest", nearest },
		CU_TEST_INFO_NULL,
	};

	return run_suite("grammar", tests);
}
