/* The lines operators bill and search by. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/logbook.h"
#include "log.h"
#include "tests/support.h"

static char said[1 << 18];

/* Standard error of one call. */
static void write_records(const struct turn_action *a, unsigned times, struct control_stats *stats)
{
	char path[] = "/tmp/turnpike-logbook-XXXXXX";
	const int fd = mkstemp(path), saved = dup(STDERR_FILENO);

	unlink(path);
	dup2(fd, STDERR_FILENO);
	for (unsigned i = 0; i < times; i++)
		logbook_write(a, stats);
	dup2(saved, STDERR_FILENO);
	close(saved);
	const ssize_t n = pread(fd, said, sizeof(said) - 1, 0);

	said[n > 0 ? n : 0] = '\0';
	close(fd);
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *c = said; *c; c++)
		n += *c == '\n';
	return n;
}

static struct turn_action action(enum turn_action_kind kind)
{
	struct turn_action a = { .kind = kind };

	a.info = (struct turn_info){
		.id = 7,
		.user = "alice",
		.realm = "example.org",
		.expires_s = 600,
		.age_s = 61,
		.from_client_packets = 1,
		.from_client_octets = 22,
		.to_client_packets = 333,
		.to_client_octets = 4444,
		.end = END_EXPIRED,
		.code = 403,
		.why = "special",
	};
	endpoint_parse("198.18.0.2:4000", &a.info.client);
	endpoint_parse("198.18.0.1:3478", &a.info.server);
	endpoint_parse("203.0.113.7:50000", &a.info.relayed[0]);
	endpoint_parse("[fd00:18::1]:50001", &a.info.relayed[1]);
	return a;
}

static void begin_and_end(void)
{
	struct control_stats stats = { { 0 } };
	struct turn_action a = action(ACTION_BEGIN);

	write_records(&a, 1, &stats);
	CHECK(strstr(said, "allocation begin id=7 user=alice realm=example.org "
	                   "client=198.18.0.2:4000 server=198.18.0.1:3478 "
	                   "relayed=203.0.113.7:50000,[fd00:18::1]:50001 lifetime_s=600\n") != NULL,
	      said);
	a = action(ACTION_END);
	a.info.relayed[1].port = 0;
	write_records(&a, 1, &stats);
	CHECK(strstr(said, "allocation end id=7 user=alice realm=example.org "
	                   "client=198.18.0.2:4000 relayed=203.0.113.7:50000 reason=expired "
	                   "age_s=61 from_client_packets=1 from_client_octets=22 "
	                   "to_client_packets=333 to_client_octets=4444\n") != NULL,
	      said);
	CHECK(stats.count[CONTROL_BEGINS] == 1 && stats.count[CONTROL_ENDS] == 1, "counted");
}

static void records_are_never_held_back(void)
{
	struct control_stats stats = { { 0 } };
	const struct turn_action a = action(ACTION_END);

	write_records(&a, 10 * LOG_BURST, &stats);
	CHECK(lines() == 10 * LOG_BURST, "each has its line");
}

static void refusals_are(void)
{
	struct control_stats stats = { { 0 } };
	struct turn_action a = action(ACTION_REFUSED);

	endpoint_parse("127.0.0.1:22", &a.info.peer);
	write_records(&a, 1, &stats);
	CHECK(strstr(said, "request refused code=403 user=alice client=198.18.0.2:4000 "
	                   "peer=127.0.0.1:22 why=special\n") != NULL,
	      said);
	a.info.user[0] = '\0';
	a.info.peer = (struct endpoint){ .port = 0 };
	write_records(&a, 1, &stats);
	CHECK(strstr(said, "user=- ") && strstr(said, "peer=- "), "what is not known is a dash");
	write_records(&a, 10 * LOG_BURST, &stats);
	CHECK(lines() < 4 * LOG_BURST, "held back");
	CHECK(stats.count[CONTROL_REFUSALS] == 10 * LOG_BURST + 2, "but counted");
}

static void a_quiet_level_is_quiet(void)
{
	struct control_stats stats = { { 0 } };
	const struct turn_action a = action(ACTION_END);

	log_set_level(LOG_LEVEL_WARNING);
	write_records(&a, 1, &stats);
	CHECK(said[0] == '\0' && stats.count[CONTROL_ENDS] == 1, "counted, not written");
	log_set_level(LOG_LEVEL_INFO);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "begin and end", begin_and_end },
		{ "records are never held back", records_are_never_held_back },
		{ "refusals are", refusals_are },
		{ "a quiet level is quiet", a_quiet_level_is_quiet },
		CU_TEST_INFO_NULL,
	};

	log_open("logbook_test", LOG_LEVEL_INFO, LOG_TEXT);
	return run_suite("logbook", tests);
}
