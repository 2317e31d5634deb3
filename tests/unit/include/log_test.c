/* Mirrors include/log.c: what a line looks like, escapes, and how many there are. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "log.h"
#include "tests/support.h"

enum { TEXT_MAX = 65536 };

static int saved = -1;
static FILE *captured;

static void capture_begin(void)
{
	captured = tmpfile();
	saved = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

/* What was written to stderr since; a static buffer. */
static const char *capture_end(void)
{
	static char text[TEXT_MAX];

	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(captured);
	text[fread(text, 1, sizeof(text) - 1, captured)] = '\0';
	fclose(captured);
	return text;
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void test_text(void)
{
	unsigned year;

	log_open("test", LOG_LEVEL_INFO, LOG_TEXT);
	capture_begin();
	log_info("allocation", "begin", "user=%s relayed=%s", "alice", "192.0.2.1:50000");
	log_debug("never", "seen", "x=1");
	log_error("store", "bad\nevent", "path=a\nb\033[1m");
	log_info("alone", "nothing", "%s", "");
	const char *text = capture_end();
	CHECK(sscanf(text, "%u-", &year) == 1 && year > 2000 && text[23] == 'Z', "time");
	CHECK(strstr(text, "Z info allocation begin user=alice relayed=192.0.2.1:50000\n") != NULL,
	      "line");
	CHECK(strstr(text, "never") == NULL, "level");
	CHECK(strstr(text, "path=a?b?[1m\n") != NULL, "control octets");
	CHECK(strstr(text, " alone nothing\n") != NULL, "no pairs");
}

/* TURN-210: names from the wire. */
static void test_escape(void)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} cases[] = {
		{ "alice@example.org", 17, "alice@example.org" },
		{ "a b", 3, "a\\x20b" },
		{ "%s%n", 4, "%s%n" },
		{ "a\nb\033[1m", 7, "a\\x0ab\\x1b[1m" },
		{ "q\"'\\", 4, "q\\x22\\x27\\x5c" },
		{ "caf\303\251", 5, "caf\\xc3\\xa9" },
		{ "\0\177", 2, "\\x00\\x7f" },
		{ "", 0, "" },
	};
	char out[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *in = malloc(cases[i].len + 1);
		memcpy(in, cases[i].in, cases[i].len);
		in = realloc(in, cases[i].len > 0 ? cases[i].len : 1);
		CHECK(strcmp(log_escape(in, cases[i].len, out, sizeof(out)), cases[i].out) == 0,
		      cases[i].out);
		free(in);
	}
	for (size_t cap = 1; cap < 10; cap++) { /* never half an escape */
		char *tight = malloc(cap);
		log_escape("a\nb", 3, tight, cap);
		CHECK(strcmp(tight, cap >= 7   ? "a\\x0ab"
		                    : cap >= 6 ? "a\\x0a"
		                    : cap >= 2 ? "a"
		                               : "") == 0,
		      "cut");
		free(tight);
	}
}

static void test_json(void)
{
	char value[4096];

	log_open("test", LOG_LEVEL_DEBUG, LOG_JSON);
	capture_begin();
	log_debug("a", "b", "user=al\\x20ice error=\"two words\" n=5 flag  odd=\"open caf\303\251");
	memset(value, '\\', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	log_warning("a", "long", "x=1 v=%s y=2", value);
	const char *text = capture_end(), *second = strchr(text, '\n') + 1;
	CHECK(lines(text) == 2, "two lines");
	json_t *j = json_loadb(text, (size_t)(second - text), 0, NULL);
	CHECK(j != NULL, text);
	CHECK(strcmp(json_string_value(json_object_get(j, "user")), "al\\x20ice") == 0, "user");
	CHECK(strcmp(json_string_value(json_object_get(j, "error")), "two words") == 0, "quoted");
	CHECK(strcmp(json_string_value(json_object_get(j, "level")), "debug") == 0, "level");
	CHECK(strcmp(json_string_value(json_object_get(j, "program")), "test") == 0, "program");
	CHECK(strcmp(json_string_value(json_object_get(j, "event")), "b") == 0, "event");
	CHECK(json_object_get(j, "flag") != NULL && json_object_get(j, "time") != NULL, "flag");
	json_decref(j);
	j = json_loads(second, 0, NULL);
	CHECK(j != NULL, "a line that was cut is JSON still");
	CHECK(j != NULL && json_object_get(j, "x") != NULL, "with what fitted");
	json_decref(j);
	log_open("test", LOG_LEVEL_INFO, LOG_TEXT);
}

static void burst(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		log_info("burst", "line", "i=%u", i);
}

static void test_rate(void)
{
	/* A second may end within the burst; then there are twice as many, and no more. */
	capture_begin();
	burst(1000);
	const unsigned n = lines(capture_end());
	CHECK(n >= LOG_BURST && n <= 2 * LOG_BURST, "held back");
	usleep(1100000);
	capture_begin();
	burst(1);
	log_info("other", "site", "x=1");
	const char *text = capture_end();
	CHECK(lines(text) == 2, "goes on");
	char told[32];
	snprintf(told, sizeof(told), "i=0 suppressed=%u\n", 1000 - n);
	CHECK(strstr(text, told) != NULL || n > LOG_BURST, "told how many");
	CHECK(strstr(text, "x=1\n") != NULL, "another site is not held back");
}

static void test_levels(void)
{
	enum log_level level;

	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
		CHECK(log_level_parse(log_level_name((enum log_level)i), &level) &&
		              level == (enum log_level)i,
		      "name");
	CHECK(!log_level_parse("loud", &level), "unknown");
	log_set_level(LOG_LEVEL_ERROR);
	CHECK(log_get_level() == LOG_LEVEL_ERROR, "set");
	capture_begin();
	log_warning("a", "b", "c=1");
	CHECK(capture_end()[0] == '\0', "below the level");
	log_set_level(LOG_LEVEL_INFO);
}

/* The journal stamps the time and wants a priority. */
static void test_journal(void)
{
	struct stat st;
	char name[64];

	capture_begin();
	fstat(STDERR_FILENO, &st);
	snprintf(name, sizeof(name), "%llu:%llu", (unsigned long long)st.st_dev,
	         (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", name, 1);
	log_open("test", LOG_LEVEL_INFO, LOG_TEXT);
	log_warning("a", "b", "c=1");
	const char *text = capture_end();
	unsetenv("JOURNAL_STREAM");
	log_open("test", LOG_LEVEL_INFO, LOG_TEXT);
	CHECK(strcmp(text, "<4>warning a b c=1\n") == 0, text);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "text", test_text },     { "TURN-210 escapes", test_escape },
		{ "JSON", test_json },     { "rate", test_rate },
		{ "levels", test_levels }, { "journal", test_journal },
		CU_TEST_INFO_NULL,
	};
	return run_suite("include/log", tests);
}
