/* Mirrors pkt-gen/live.c. */
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pkt-gen/report.h"
#include "tests/support.h"

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
		n++;
	return n;
}

static struct tally at(double s, double pps)
{
	return (struct tally){ .sent = (uint64_t)(s * pps),
		               .received = (uint64_t)(s * pps * 0.99) };
}

static void test_off(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct live *l = live_new(out, false);
	const struct tally t = at(1, 1000);

	live_show(l, "trial", &t, 1, 0.5, 1);
	live_free(l);
	live_free(NULL);
	fclose(out);
	CHECK(len == 0, "off is silent");
	free(text);
}

/* Elsewhere than on a terminal: a line a second, no escapes. */
static void test_lines(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct live *l = live_new(out, true);

	for (unsigned trial = 0; trial < 2; trial++) {
		for (unsigned i = 1; i <= 30; i++) {
			const struct tally t = at(i * 0.1, 120000);
			live_show(l, "trial 4: 120 kpps", &t, i * 0.1, 0.54, 12.3);
		}
	}
	live_free(l);
	fclose(out);
	CHECK(count(text, "\n") == 6, "a line a second, over two trials");
	CHECK(strchr(text, '\033') == NULL, "no escapes");
	CHECK(strstr(text, "trial 4: 120 kpps: 54 %, 12.3 s left, sent 120.0 kpps, received 118.8 "
	                   "kpps, ") != NULL,
	      "what it says");
	free(text);
}

/* A terminal: both ends of a pseudo terminal. */
struct terminal {
	int master;
	FILE *out;
	char text[65536];
};

static struct terminal *terminal(unsigned short columns)
{
	struct terminal *t = calloc(1, sizeof(*t));
	struct winsize size = { .ws_row = 24, .ws_col = columns };
	int slave;

	CHECK(openpty(&t->master, &slave, NULL, NULL, &size) == 0, "a terminal");
	t->out = fdopen(slave, "w");
	setenv("TERM", "xterm", 1);
	return t;
}

/* What was written since the last time: a mark behind it says when all of it is here. */
static const char *shown(struct terminal *t)
{
	struct pollfd p = { .fd = t->master, .events = POLLIN };
	size_t len = 0;

	fputc('\005', t->out);
	fflush(t->out);
	while (len + 1 < sizeof(t->text) && poll(&p, 1, 5000) > 0) {
		const ssize_t n = read(t->master, t->text + len, sizeof(t->text) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (t->text[len - 1] == '\005')
			break;
	}
	CHECK(len > 0 && t->text[len - 1] == '\005', "all of it came");
	t->text[len > 0 ? len - 1 : 0] = '\0';
	return t->text;
}

static void terminal_free(struct terminal *t)
{
	fclose(t->out);
	close(t->master);
	free(t);
}

/* No line is longer than the terminal is wide; escapes take no room. */
static bool narrower(const char *text, unsigned width)
{
	unsigned column = 0, widest = 0;

	for (; *text != '\0'; text++) {
		if (*text == '\033') {
			while (*text != '\0' && strchr("AKJ", *text) == NULL)
				text++;
			continue;
		}
		column = *text == '\r' || *text == '\n' ? 0 : column + 1;
		widest = column > widest ? column : widest;
	}
	return widest < width;
}

static void test_terminal(void)
{
	struct terminal *t = terminal(60);
	struct live *l = live_new(t->out, true);
	struct tally now = at(1, 120000);

	now.latency = histogram_new();
	histogram_record(now.latency, 5000);
	live_show(l, "trial 1: 120 kpps", &now, 1, 0.25, 30);
	const char *first = shown(t);
	CHECK(count(first, "\n") == 4, "four lines");
	CHECK(strstr(first, "[##......]  25 %  30.0 s left") != NULL, "how far");
	CHECK(strstr(first, "\033[4A") == NULL, "nothing to draw over yet");
	CHECK(strstr(first, "sent 120.0 kpps, received 118.8 kpps") != NULL, "rates");
	CHECK(strstr(first, "p99 5.00 us") != NULL, "latency");
	CHECK(narrower(first, 60), "as wide as the terminal");
	now.duplicated = 3;
	now.sent = 240000;
	now.received = 240000;
	live_show(l, "trial 1: 120 kpps", &now, 2, 0.5, 20);
	const char *second = shown(t);
	CHECK(strncmp(second, "\r\033[4A", 5) == 0, "over the last frame");
	CHECK(count(second, "\033[K") == 4 && count(second, "\n") == 4, "each line to its end");
	CHECK(strstr(second, "missing 0 (0 %), 3 again") != NULL, "faults that there are");
	/* Fewer lines: those left over go. */
	live_show(l, "teardown", &(struct tally){ 0 }, 0.1, -1, 0);
	const char *third = shown(t);
	CHECK(count(third, "\n") == 1 && strstr(third, "\n\033[J") != NULL,
	      "what is left is wiped");
	/* A narrower terminal from one frame to the next. */
	const struct winsize size = { .ws_row = 24, .ws_col = 30 };
	ioctl(t->master, TIOCSWINSZ, &size);
	live_show(l, "trial 2: a long name that does not fit at all", &now, 1, 0.5, 20);
	CHECK(narrower(shown(t), 30), "its width now");
	live_free(l);
	const char *last = shown(t);
	CHECK(strstr(last, "\033[4A\033[J") != NULL, "wiped in the end");
	CHECK(strstr(last, "\033[?25l") == NULL, "the cursor was never hidden");
	histogram_free(now.latency);
	terminal_free(t);
}

static void test_dumb(void)
{
	struct terminal *t = terminal(80);
	const struct tally now = at(1, 1000);

	setenv("TERM", "dumb", 1);
	struct live *l = live_new(t->out, true);
	live_show(l, "trial", &now, 1, 2, -1);
	const char *text = shown(t);
	CHECK(strchr(text, '\033') == NULL && strstr(text, "100 %") != NULL, "no escapes, 100 %");
	live_free(l);
	terminal_free(t);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "off", test_off },
		{ "lines", test_lines },
		{ "terminal", test_terminal },
		{ "dumb terminal", test_dumb },
		CU_TEST_INFO_NULL,
	};

	return run_suite("pkt-gen/live", tests);
}
