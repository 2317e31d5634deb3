/*
 * turnpikectl as a program, before a relay that says what the test wants: long texts from its
 * command line, standard input and files; sessions and their events for people and for programs.
 *
 *   ctl_program_test PATH-OF-TURNPIKECTL
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "control/ctl/grammar.h"
#include "exit.h"
#include "tests/support.h"

enum { WAIT_MS = 10000, SHORT = 64 * 1024 };

static const char *program;
static char place[64], socket_path[96], file_path[96];

/* What the program did. */
struct outcome {
	int status;
	json_t *request; /* NULL: it asked nothing */
	char out[SHORT], err[SHORT];
};

static void release(struct outcome *o)
{
	json_decref(o->request);
	free(o);
}

static void write_file(const char *path, const char *octets, size_t len)
{
	FILE *const f = fopen(path, "w");

	CHECK(f && fwrite(octets, 1, len, f) == len, path);
	if (f)
		fclose(f);
}

static void read_file(const char *name, char out[SHORT])
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", place, name);
	FILE *const f = fopen(path, "r");

	out[f ? fread(out, 1, SHORT - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
	unlink(path);
}

static int listen_at(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, socket_path, strlen(socket_path) + 1);
	unlink(socket_path);
	CHECK(bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0,
	      strerror(errno));
	return fd;
}

static void redirect(int to, const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", place, name);
	const int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0 || dup2(fd, to) < 0)
		_exit(99);
}

static pid_t start(const char *const words[])
{
	const char *argv[16] = { program, "--socket", socket_path };
	const pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (unsigned i = 0; words[i] && i < 12; i++)
		argv[3 + i] = words[i];
	redirect(STDIN_FILENO, "in", O_RDONLY);
	redirect(STDOUT_FILENO, "out", O_WRONLY | O_CREAT | O_TRUNC);
	redirect(STDERR_FILENO, "err", O_WRONLY | O_CREAT | O_TRUNC);
	execv(program, (char *const *)(uintptr_t)argv);
	_exit(99);
}

/* Takes one line, answers with `reply`, hangs up. */
static json_t *serve(int listener, const char *reply)
{
	static char line[CTL_LINE_MAX + 1];
	const int fd = accept(listener, NULL, NULL);
	json_t *request = NULL;
	size_t n = 0;

	while (fd >= 0 && n < sizeof(line)) {
		const ssize_t got = recv(fd, line + n, sizeof(line) - n, 0);

		if (got <= 0)
			break;
		n += (size_t)got;
		if (line[n - 1] != '\n')
			continue;
		request = json_loadb(line, n - 1, 0, NULL);
		CHECK(send(fd, reply, strlen(reply), MSG_NOSIGNAL) == (ssize_t)strlen(reply),
		      "answered");
		break;
	}
	close(fd);
	return request;
}

/* `given`: standard input. */
static struct outcome *run(const char *const words[], const char *given, const char *reply)
{
	struct outcome *const o = calloc(1, sizeof(*o));
	struct pollfd p = { .fd = listen_at(), .events = POLLIN };
	char path[128];
	int status = -1, waited_ms = 0;

	snprintf(path, sizeof(path), "%s/in", place);
	write_file(path, given, strlen(given));
	const pid_t pid = start(words);

	for (; waitpid(pid, &status, WNOHANG) == 0 && waited_ms < WAIT_MS; waited_ms += 5)
		if (poll(&p, 1, 5) == 1)
			o->request = serve(p.fd, reply);
	CHECK(waited_ms < WAIT_MS, "it comes to an end");
	if (waited_ms >= WAIT_MS) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	close(p.fd);
	unlink(path);
	read_file("out", o->out);
	read_file("err", o->err);
	o->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return o;
}

#define WORDS(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define RESULT(json) "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":" json "}\n"
#define EVENT(params) "{\"jsonrpc\":\"2.0\",\"method\":\"session.event\",\"params\":{" params "}}\n"

static const char taken[] = RESULT("{\"session\":3,\"leg\":2,\"state\":\"running\"}");
static const char sdp[] = "v=0\r\na=ice-ufrag:abcd\r\n\r\na=x:\"\\\t\xc3\xa9\n";

static const char *member(const json_t *request, const char *name)
{
	const char *const text =
		json_string_value(json_object_get(json_object_get(request, "params"), name));

	return text ? text : "";
}

/* --- long texts --- */

static void check_sent(const char *word, const char *given, const char *want, size_t len)
{
	struct outcome *const o = run(WORDS("session", "set-remote", "3", "2", word), given, taken);
	const json_t *const params = json_object_get(o->request, "params");
	const char *const method = json_string_value(json_object_get(o->request, "method"));

	CHECK(o->status == EXIT_CODE_OK, o->err);
	CHECK(method && strcmp(method, "session set-remote") == 0, "the method");
	CHECK(json_integer_value(json_object_get(params, "id")) == 3 &&
	              json_integer_value(json_object_get(params, "leg")) == 2,
	      "whose");
	CHECK(json_string_length(json_object_get(params, "description")) == len &&
	              memcmp(member(o->request, "description"), want, len) == 0,
	      "octet for octet");
	CHECK(strcmp(o->out, "leg 2 of session 3 is running\n") == 0, o->out);
	release(o);
}

static void check_refused(const char *word, const char *given, const char *says)
{
	struct outcome *const o = run(WORDS("session", "set-remote", "3", "2", word), given, taken);

	CHECK(o->status == EXIT_CODE_USAGE, "usage");
	CHECK(o->request == NULL, "nothing was asked");
	CHECK(strstr(o->err, says) != NULL, o->err);
	release(o);
}

static const char *at_file(void)
{
	static char word[128];

	snprintf(word, sizeof(word), "@%s", file_path);
	return word;
}

static void test_where_texts_come_from(void)
{
	check_sent("ice1 lite", "not this", "ice1 lite", 9);
	check_sent("-", sdp, sdp, strlen(sdp));
	write_file(file_path, sdp, strlen(sdp));
	check_sent(at_file(), "not this", sdp, strlen(sdp));
	unlink(file_path);
}

static void test_bounds_of_texts(void)
{
	static char octets[CTL_LONG_MAX + 1];

	memset(octets, 'a', sizeof(octets));
	write_file(file_path, octets, CTL_LONG_MAX);
	check_sent(at_file(), "", octets, CTL_LONG_MAX);
	write_file(file_path, octets, CTL_LONG_MAX + 1);
	check_refused(at_file(), "", "too long");
	write_file(file_path, "", 0);
	check_refused(at_file(), "", "'description' must have 1 to 16384 octets");
	check_refused("-", "", "'description' must have");
	write_file(file_path, "v=0\0a=x", 7);
	check_refused(at_file(), "", "NUL");
	unlink(file_path);
	check_refused(at_file(), "", "cannot be read");
	char directory[80];

	snprintf(directory, sizeof(directory), "@%s", place);
	check_refused(directory, "", "cannot be read");
}

/* JSON carries nothing else, so it says so, rather than ask for what was given. */
static void test_not_utf8(void)
{
	struct outcome *const o =
		run(WORDS("session", "set-remote", "3", "2", "-"), "v=0\xff\n", taken);

	CHECK(o->status == EXIT_CODE_USAGE && o->request == NULL, "refused");
	CHECK(strstr(o->err, "UTF-8") != NULL, o->err);
	release(o);
}

/* --- events --- */

/* clang-format off */
static const char some_events[] =
	RESULT("{\"listening\":true}")
	EVENT("\"event\":\"created\",\"session\":1")
	EVENT("\"event\":\"candidate\",\"session\":1,\"leg\":2,\"candidate\":\"candidate:1 1 UDP 7 "
              "198.18.0.1 5 typ host\"")
	EVENT("\"event\":\"state\",\"session\":1,\"leg\":2,\"state\":\"failed\",\"reason\":"
              "\"no-answer\",\"text\":\"no check was answered\"")
	EVENT("\"event\":\"selected\",\"session\":1,\"leg\":2,\"pair\":{\"local\":"
              "\"198.18.0.1:5\",\"local_type\":\"host\",\"remote\":\"[fd00:18::2]:6\","
              "\"remote_type\":\"prflx\",\"rtt_ms\":3}")
	EVENT("\"event\":\"ended\",\"session\":1,\"to_peers\":{\"packets\":1,\"octets\":2},"
              "\"from_peers\":{\"packets\":3,\"octets\":4}")
	EVENT("\"event\":\"lost\",\"count\":17");
/* clang-format on */

/* Lines without "HH:MM:SS ". */
static void test_events_for_people(void)
{
	static const char *const wanted[] = {
		"session 1 created",
		"session 1 leg 2 candidate candidate:1 1 UDP 7 198.18.0.1 5 typ host",
		"session 1 leg 2 state failed: no check was answered",
		"session 1 leg 2 selected host 198.18.0.1:5 to prflx [fd00:18::2]:6",
		"session 1 ended",
		"17 events were lost",
	};
	struct outcome *const o = run(WORDS("session", "events"), "", some_events);
	char *rest = o->out, *line;

	for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		line = strsep(&rest, "\n");
		CHECK(line && strlen(line) > 9 && line[2] == ':' && line[8] == ' ', wanted[i]);
		CHECK(line && strlen(line) > 9 && strcmp(line + 9, wanted[i]) == 0,
		      line ? line : "no line");
	}
	CHECK(rest && *rest == '\0', "and no more");
	CHECK(o->status == EXIT_CODE_RESOURCE && strstr(o->err, "hung up"), o->err);
	release(o);
}

static void test_events_for_programs(void)
{
	struct outcome *const o =
		run(WORDS("--json", "session", "events", "--session", "1"), "", some_events);
	char *rest = o->out, *line;
	unsigned n = 0;

	CHECK(json_integer_value(
		      json_object_get(json_object_get(o->request, "params"), "session")) == 1,
	      "of that one");
	while ((line = strsep(&rest, "\n")) && *line) {
		json_t *const one = json_loads(line, 0, NULL);

		CHECK(json_string_value(json_object_get(one, "event")) != NULL, line);
		CHECK(json_integer_value(json_object_get(one, n < 5 ? "session" : "count")) ==
		              (n < 5 ? 1 : 17),
		      line);
		json_decref(one);
		n++;
	}
	CHECK(n == 6, "one line each");
	release(o);
}

static void test_events_that_end(void)
{
	struct outcome *o =
		run(WORDS("session", "events"), "",
	            "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":4,\"message\":\"no sessions "
	            "are served; set limits.legs\"}}\n");

	CHECK(o->status == EXIT_CODE_FAILURE && strstr(o->err, "set limits.legs"), o->err);
	CHECK(o->out[0] == '\0', "no event");
	release(o);
	o = run(WORDS("session", "events"), "",
	        RESULT("{\"listening\":true}")
	                EVENT("\"event\":\"created\",\"session\":1") "{"
	                                                             "\"jsonrpc\":\"2.0\",\"id\":"
	                                                             "null,\"error\":{\"code\":6,"
	                                                             "\"message\":\"events were "
	                                                             "not read in time\"}}\n");
	CHECK(o->status == EXIT_CODE_RESOURCE && strstr(o->err, "not read in time"), o->err);
	CHECK(strstr(o->out, "created") != NULL, "what came before is told");
	release(o);
}

/* --- sessions --- */

static void test_create_for_people(void)
{
	struct outcome *const o =
		run(WORDS("session", "create", "--legs", "2", "--role", "full", "--controlling",
	                  "2", "--name", "call 17"),
	            "",
	            RESULT("{\"id\":3,\"name\":\"call 17\",\"n_legs\":2,\"legs\":["
	                   "{\"leg\":1,\"role\":\"full\",\"line\":\"ice1 first\"},"
	                   "{\"leg\":2,\"role\":\"full\",\"line\":\"ice1 second\"}]}"));

	CHECK(o->status == EXIT_CODE_OK, o->err);
	CHECK(json_integer_value(json_object_get(json_object_get(o->request, "params"), "legs")) ==
	              2,
	      "a number");
	CHECK(strcmp(member(o->request, "role"), "full") == 0 &&
	              strcmp(member(o->request, "controlling"), "2") == 0 &&
	              strcmp(member(o->request, "name"), "call 17") == 0,
	      "words");
	CHECK(strncmp(o->out, "session 3\n", 10) == 0, o->out);
	CHECK(strstr(o->out, "\nice1 first\n") && strstr(o->out, "\nice1 second\n"),
	      "lines to hand on stand alone");
	release(o);
}

static void test_show_for_people(void)
{
	struct outcome *o = run(
		WORDS("session", "show"), "",
		RESULT("{\"sessions\":[{\"id\":12,\"name\":\"call\",\"n_legs\":3,\"age_s\":70}],"
	               "\"next\":null,\"total\":1,\"legs\":3}"));

	CHECK(o->status == EXIT_CODE_OK, o->err);
	CHECK(strncmp(o->out, "ID  NAME  LEGS  AGE\n", 20) == 0 && strstr(o->out, "12  call"),
	      o->out);
	release(o);
	o = run(WORDS("session", "show", "12"), "",
	        RESULT("{\"id\":12,\"name\":\"call\",\"n_legs\":1,\"age_s\":70,\"legs\":[{\"leg\":"
	               "1,"
	               "\"role\":\"lite\",\"direction\":\"sendrecv\",\"state\":\"running\","
	               "\"pair\":null,\"to_peer\":{\"packets\":1,\"octets\":20},"
	               "\"from_peer\":{\"packets\":300,\"octets\":4000}}]}"));
	CHECK(strncmp(o->out, "session 12 call, 70 s old\n", 26) == 0, o->out);
	CHECK(strstr(o->out, "lite") && strstr(o->out, "running") && strstr(o->out, "4000"),
	      o->out);
	release(o);
}

int main(int argc, char *argv[])
{
	CU_TestInfo tests[] = {
		{ "a description from the command line, stdin, a file",
		  test_where_texts_come_from },
		{ "bounds of long texts", test_bounds_of_texts },
		{ "a text that is not UTF-8", test_not_utf8 },
		{ "events for people", test_events_for_people },
		{ "events for programs", test_events_for_programs },
		{ "events come to an end", test_events_that_end },
		{ "session create", test_create_for_people },
		{ "session show", test_show_for_people },
		CU_TEST_INFO_NULL,
	};

	if (argc != 2)
		return EXIT_CODE_USAGE;
	program = argv[1];
	strcpy(place, "/tmp/turnpike-ctl-XXXXXX");
	if (!mkdtemp(place))
		return EXIT_CODE_FAILURE;
	snprintf(socket_path, sizeof(socket_path), "%s/control.sock", place);
	snprintf(file_path, sizeof(file_path), "%s/description", place);
	const int failed = run_suite("turnpikectl", tests);

	unlink(socket_path);
	if (rmdir(place) != 0) {
		fprintf(stderr, "%s is not empty\n", place);
		return EXIT_CODE_FAILURE;
	}
	return failed;
}
