/* The control socket and people who do not mean well. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/ctl/client.h"
#include "control/ctl/socket.h"
#include "log.h"
#include "loop_rig.h"
#include "tests/support.h"

static const char status_line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n";

static struct loop_rig rig;

static int begin(void)
{
	rig_start(&rig);
	return 0;
}

static int end(void)
{
	struct client_error err;
	const int fd = client_connect(rig.ctl_path, &err);

	json_decref(client_call(fd, "stop", NULL, &err));
	close(fd);
	rig_join(&rig);
	rig_end(&rig);
	return 0;
}

static int dial(void)
{
	struct client_error err;

	return client_connect(rig.ctl_path, &err);
}

static bool put(int fd, const char *text, size_t len)
{
	while (len) {
		const ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

/* Octets up to the end of a line, or of the connection; 5 s at most. */
static size_t take(int fd, char *out, size_t cap)
{
	size_t n = 0;

	while (n < cap - 1) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 5000) != 1 || recv(fd, out + n, 1, 0) != 1)
			break;
		if (out[n++] == '\n')
			break;
	}
	out[n] = '\0';
	return n;
}

static bool hangs_up(int fd)
{
	char octet;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 5000) == 1 && recv(fd, &octet, 1, 0) <= 0;
}

static bool answers(void)
{
	const int fd = dial();
	char line[4096];
	const bool good = put(fd, status_line, strlen(status_line)) &&
	                  take(fd, line, sizeof(line)) && strstr(line, "\"result\"");

	close(fd);
	return good;
}

static void garbage(void)
{
	const int fd = dial();
	char line[4096];

	put(fd, "\x16\x03\x01 GET / HTTP/1.1\r\n", 20);
	CHECK(take(fd, line, sizeof(line)) && strstr(line, "-32700"), "an error");
	put(fd, "\n\n", 2);
	CHECK(take(fd, line, sizeof(line)) && strstr(line, "-32700"), "an empty line is one too");
	CHECK(take(fd, line, sizeof(line)) && strstr(line, "-32700"), "and another");
	put(fd, status_line, strlen(status_line));
	CHECK(take(fd, line, sizeof(line)) && strstr(line, "\"result\""), "and goes on");
	close(fd);
}

static void half_a_line(void)
{
	const int fd = dial(), other = dial();
	char line[4096];

	put(fd, status_line, 20);
	CHECK(answers(), "others are served meanwhile");
	put(fd, status_line + 20, strlen(status_line) - 20);
	CHECK(take(fd, line, sizeof(line)) && strstr(line, "\"result\""), "the other half");
	put(other, status_line, 20);
	close(fd);
	close(other); /* in the middle */
	CHECK(answers(), "no harm done");
}

static void long_line(void)
{
	const int fd = dial();
	char *const octets = malloc(10 << 20);
	char line[4096];

	memset(octets, 'a', 10 << 20);
	put(fd, octets, 10 << 20); /* fails in the middle: nobody takes so much */
	CHECK(take(fd, line, sizeof(line)) && strstr(line, "65536"), "an error");
	CHECK(hangs_up(fd), "and the end");
	close(fd);
	free(octets);
	CHECK(rig_counter(&rig, "control_socket_too_long") >= 1, "counted");
}

/* The longest line there may be is a request like any other. */
static void longest_line(void)
{
	const int fd = dial();
	char *const octets = malloc(CTL_LINE_MAX);
	char line[4096];

	memset(octets, ' ', CTL_LINE_MAX);
	memcpy(octets, status_line, strlen(status_line) - 1);
	octets[CTL_LINE_MAX - 1] = '\n';
	put(fd, octets, CTL_LINE_MAX);
	CHECK(take(fd, line, sizeof(line)) && strstr(line, "\"result\""), "answered");
	close(fd);
	free(octets);
}

static void pipelined_then_closed(void)
{
	const int fd = dial();
	char line[4096];
	unsigned n = 0;

	for (unsigned i = 0; i < 50; i++)
		put(fd, status_line, strlen(status_line));
	put(fd, status_line, 10); /* never finished */
	shutdown(fd, SHUT_WR);
	while (take(fd, line, sizeof(line)) && strstr(line, "\"result\""))
		n++;
	CHECK(n == 50, "each whole line is answered");
	close(fd);
}

static void crowd(void)
{
	enum { CROWD = 1000 };
	static int fd[CROWD];
	unsigned refused = 0, open_ = 0;
	char line[4096];

	for (unsigned i = 0; i < CROWD; i++)
		fd[i] = dial();
	for (unsigned i = 0; i < CROWD; i++) {
		struct pollfd p = { .fd = fd[i], .events = POLLIN };

		if (fd[i] < 0)
			continue;
		if (poll(&p, 1, i < CTL_CLIENTS_MAX ? 0 : 2000) == 1 &&
		    take(fd[i], line, sizeof(line)) && strstr(line, "\"busy\""))
			refused++;
		else
			open_++;
	}
	CHECK(open_ == CTL_CLIENTS_MAX, "so many are let in");
	CHECK(refused == CROWD - CTL_CLIENTS_MAX, "the others are told why");
	put(fd[0], status_line, strlen(status_line));
	CHECK(take(fd[0], line, sizeof(line)) && strstr(line, "\"result\""), "those inside go on");
	for (unsigned i = 0; i < CROWD; i++)
		close(fd[i]);
	CHECK(rig_counter_becomes(&rig, "control_socket_refused", CROWD - CTL_CLIENTS_MAX),
	      "counted, and there is room again");
}

/* Asks and asks and never reads: the relay stops listening to it, and to it alone. */
static void slow_reader(void)
{
	const char ask[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show counters\"}\n";
	const int fd = dial();
	size_t sent = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (unsigned idle = 0; idle < 20;) {
		const ssize_t n = send(fd, ask, strlen(ask), MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n, idle = 0;
		else
			usleep(10000), idle++;
	}
	CHECK(sent < 4 << 20, "what it may leave with us is bounded");
	CHECK(answers(), "others are served");
	close(fd);
}

static void mode(void)
{
	struct stat st;

	CHECK(stat(rig.ctl_path, &st) == 0 && (st.st_mode & 07777) == 0660, "0660");
}

/* As another user: in the group it may read; outside it may not even connect. */
static char ask_as(gid_t group, const char *text)
{
	int out[2];
	char verdict = '?';

	if (pipe(out) < 0)
		return '?';
	const pid_t pid = fork();

	if (pid == 0) {
		char line[4096] = "";
		int fd = -1;

		if (setgroups(0, NULL) == 0 && setresgid(group, group, group) == 0 &&
		    setresuid(65534, 65534, 65534) == 0) {
			fd = dial();
			if (fd < 0)
				verdict = 'x';
			else if (put(fd, text, strlen(text)) && take(fd, line, sizeof(line)))
				verdict = strstr(line, "\"denied\"")   ? 'd'
				          : strstr(line, "\"result\"") ? 'r'
				                                       : 'e';
		}
		_exit(write(out[1], &verdict, 1) != 1);
	}
	close(out[1]);
	if (read(out[0], &verdict, 1) != 1)
		verdict = '?';
	close(out[0]);
	waitpid(pid, NULL, 0);
	return verdict;
}

static void levels_by_peer(void)
{
	if (geteuid() != 0)
		return; /* only root can be somebody else */
	CHECK(ask_as(getegid(), status_line) == 'r', "a member reads");
	CHECK(ask_as(getegid(), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stop\"}\n") == 'd',
	      "but does not stop it");
	CHECK(ask_as(65534, status_line) == 'x', "a stranger stays outside");
	CHECK(answers(), "still there");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "garbage", garbage },
		{ "half a line", half_a_line },
		{ "a line of 10 MB", long_line },
		{ "the longest line", longest_line },
		{ "many lines, then half closed", pipelined_then_closed },
		{ "1000 clients", crowd },
		{ "a slow reader", slow_reader },
		{ "mode of the file", mode },
		{ "levels by SO_PEERCRED", levels_by_peer },
		CU_TEST_INFO_NULL,
	};

	log_open("socket_test", LOG_LEVEL_ERROR, LOG_TEXT);
	begin();
	const int failed = run_suite("socket", tests);

	end();
	return failed;
}
