/* The processes of one relay as children. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/supervise.h"
#include "exit.h"
#include "log.h"

enum {
	BACKOFF_FIRST_MS = 100,
	BACKOFF_LAST_MS = 5000,
	LIFE_GOOD_MS = 10000, /* who lived that long starts afresh */
	READY_MAX = 4096,
};

enum { CONTROL, DATAPLANE, CHILDREN };

struct child {
	const char *name, *override;
	pid_t pid; /* 0: not running */
	uint64_t started_ms, start_at_ms, kill_at_ms;
	uint32_t backoff_ms;
};

struct supervisor {
	struct child child[CHILDREN];
	const char *config_path;
	sigset_t before; /* the signal mask that children get back */
	int signals, ready_in, ready_out;
	char ready[READY_MAX];
	size_t ready_len;
	bool was_ready, stopping, keep;
	int code;
};

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Beside our own executable; else the name alone, for PATH. */
static void program_path(const struct child *c, char *out, size_t cap)
{
	const char *named = getenv(c->override);
	char self[3072];

	if (named != NULL) {
		snprintf(out, cap, "%s", named);
		return;
	}
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(self, '/');
	if (slash != NULL) {
		*slash = '\0';
		snprintf(out, cap, "%s/%s", self, c->name);
		if (access(out, X_OK) == 0)
			return;
	}
	snprintf(out, cap, "%s", c->name);
}

static void become(const struct supervisor *s, const struct child *c, pid_t parent)
{
	static const int restored[] = { SIGPIPE, SIGHUP, SIGUSR1, SIGTERM, SIGINT, SIGCHLD };
	char path[4096], fd[16];

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) /* it died before the line above */
		_exit(EXIT_CODE_FAILURE);
	for (unsigned i = 0; i < sizeof(restored) / sizeof(restored[0]); i++)
		signal(restored[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
	if (c == &s->child[CONTROL]) {
		snprintf(fd, sizeof(fd), "%d", s->ready_out);
		setenv("TURNPIKE_READY_FD", fd, 1);
		fcntl(s->ready_out, F_SETFD, 0);
	}
	program_path(c, path, sizeof(path));
	execlp(path, c->name, "-c", s->config_path, (char *)NULL);
	fprintf(stderr, "turnpike: cannot start '%s': %s\n", path, strerror(errno));
	_exit(EXIT_CODE_RESOURCE);
}

static void child_start(struct supervisor *s, struct child *c)
{
	const pid_t parent = getpid();

	c->started_ms = clock_ms();
	c->start_at_ms = 0;
	c->pid = fork();
	if (c->pid == 0)
		become(s, c, parent);
	if (c->pid > 0) {
		log_info("supervisor", "started", "program=%s pid=%d", c->name, (int)c->pid);
		return;
	}
	log_error("supervisor", "no-process", "program=%s error=\"%s\"", c->name, strerror(errno));
	c->pid = 0;
	c->start_at_ms = c->started_ms + BACKOFF_LAST_MS;
}

static void child_signal(struct child *c, int signal_number)
{
	if (c->pid > 0)
		kill(c->pid, signal_number);
}

/* Asked once; killed when its patience is over. */
static void child_stop(struct child *c)
{
	c->start_at_ms = 0;
	if (c->pid == 0 || c->kill_at_ms != 0)
		return;
	child_signal(c, SIGTERM);
	c->kill_at_ms = clock_ms() + SUPERVISE_PATIENCE_MS;
}

/* Control ends first: it books the last counts, for which it needs the data plane. */
static void stop_step(struct supervisor *s)
{
	child_stop(&s->child[CONTROL]);
	if (s->child[CONTROL].pid == 0)
		child_stop(&s->child[DATAPLANE]);
}

static void stop(struct supervisor *s, int code)
{
	if (!s->stopping) {
		s->stopping = true;
		s->code = code;
	}
	stop_step(s);
}

static void tell_death(const struct child *c, int status, const char *next)
{
	if (WIFSIGNALED(status))
		log_warning("supervisor", "died", "program=%s pid=%d signal=%d%s", c->name,
		            (int)c->pid, WTERMSIG(status), next);
	else
		log_warning("supervisor", "died", "program=%s pid=%d status=%d%s", c->name,
		            (int)c->pid, WEXITSTATUS(status), next);
}

static void child_died(struct supervisor *s, struct child *c, int status)
{
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	const uint64_t now_ms = clock_ms();
	char next[32];

	if (c == &s->child[CONTROL] && (code == EXIT_CODE_OK || code == SUPERVISE_KEPT)) {
		s->keep = code == SUPERVISE_KEPT;
		c->pid = 0;
		stop(s, EXIT_CODE_OK);
		return;
	}
	if (s->stopping) {
		if (code != EXIT_CODE_OK)
			tell_death(c, status, "");
		c->pid = 0;
		stop_step(s);
		return;
	}
	if (!s->was_ready && (code == EXIT_CODE_RESOURCE || code == EXIT_CODE_CONFIG)) {
		c->pid = 0; /* it has told why */
		stop(s, code);
		return;
	}
	if (now_ms - c->started_ms >= LIFE_GOOD_MS)
		c->backoff_ms = BACKOFF_FIRST_MS;
	snprintf(next, sizeof(next), " restart_ms=%u", c->backoff_ms);
	tell_death(c, status, next);
	c->pid = 0;
	c->start_at_ms = now_ms + c->backoff_ms;
	c->backoff_ms = c->backoff_ms * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : c->backoff_ms * 2;
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned i = 0; i < CHILDREN; i++)
			if (s->child[i].pid == pid)
				child_died(s, &s->child[i], status);
}

static void on_signal(struct supervisor *s)
{
	struct signalfd_siginfo si;

	while (read(s->signals, &si, sizeof(si)) == sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGHUP:
		case SIGUSR1: child_signal(&s->child[CONTROL], (int)si.ssi_signo); break;
		case SIGTERM:
		case SIGINT:
			log_info("supervisor", "stop", "signal=%u", si.ssi_signo);
			stop(s, EXIT_CODE_OK);
			break;
		case SIGCHLD: reap(s); break;
		default: break;
		}
	}
}

/* A line from control. A longer one than fits is cut by whoever wrote it. */
static void on_ready(struct supervisor *s)
{
	const ssize_t n = read(s->ready_in, s->ready + s->ready_len, READY_MAX - s->ready_len);

	if (n <= 0)
		return;
	s->ready_len += (size_t)n;
	char *end = memchr(s->ready, '\n', s->ready_len);
	if (end == NULL && s->ready_len < READY_MAX)
		return;
	if (end != NULL && !s->was_ready) {
		s->was_ready = true;
		fwrite(s->ready, 1, (size_t)(end - s->ready) + 1, stdout);
		fflush(stdout);
	} else if (end != NULL) {
		log_info("supervisor", "ready-again", "pid=%d", (int)s->child[CONTROL].pid);
	}
	s->ready_len = 0;
}

static int next_event_ms(const struct supervisor *s, uint64_t now_ms)
{
	uint64_t at = UINT64_MAX;

	for (unsigned i = 0; i < CHILDREN; i++) {
		const struct child *c = &s->child[i];
		const uint64_t due = c->pid > 0 ? c->kill_at_ms : c->start_at_ms;

		if (due != 0 && due < at)
			at = due;
	}
	return at == UINT64_MAX ? -1 : at <= now_ms ? 0 : (int)(at - now_ms);
}

static void on_time(struct supervisor *s, uint64_t now_ms)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *c = &s->child[i];

		if (c->pid == 0 && c->start_at_ms != 0 && c->start_at_ms <= now_ms && !s->stopping)
			child_start(s, c);
		if (c->pid > 0 && c->kill_at_ms != 0 && c->kill_at_ms <= now_ms) {
			log_error("supervisor", "killed", "program=%s pid=%d reason=did-not-stop",
			          c->name, (int)c->pid);
			child_signal(c, SIGKILL);
			c->kill_at_ms = now_ms + SUPERVISE_PATIENCE_MS;
		}
	}
}

static bool any_alive(const struct supervisor *s)
{
	return s->child[CONTROL].pid > 0 || s->child[DATAPLANE].pid > 0;
}

static bool open_sources(struct supervisor *s)
{
	sigset_t set;
	int ends[2];

	sigemptyset(&set);
	const int numbers[] = { SIGHUP, SIGUSR1, SIGTERM, SIGINT, SIGCHLD };
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	signal(SIGPIPE, SIG_IGN); /* who reads our stdout may go away */
	signal(SIGCHLD, SIG_DFL); /* where it was ignored, there would be nothing to wait for */
	if (sigprocmask(SIG_BLOCK, &set, &s->before) != 0)
		return false;
	s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->signals < 0 || pipe2(ends, O_CLOEXEC) != 0)
		return false;
	s->ready_in = ends[0];
	s->ready_out = ends[1];
	return fcntl(s->ready_in, F_SETFL, O_NONBLOCK) == 0;
}

int supervise_run(const char *config_path, bool *keep)
{
	struct supervisor s = {
		.child = { [CONTROL] = { .name = "turnpike-control",
		                         .override = "TURNPIKE_CONTROL",
		                         .backoff_ms = BACKOFF_FIRST_MS },
		           [DATAPLANE] = { .name = "turnpike-dataplane",
		                           .override = "TURNPIKE_DATAPLANE",
		                           .backoff_ms = BACKOFF_FIRST_MS } },
		.config_path = config_path,
	};

	*keep = false;
	if (!open_sources(&s)) {
		log_error("supervisor", "no-descriptor", "error=\"%s\"", strerror(errno));
		return EXIT_CODE_RESOURCE;
	}
	child_start(&s, &s.child[DATAPLANE]);
	child_start(&s, &s.child[CONTROL]);
	while (!s.stopping || any_alive(&s)) {
		struct pollfd fds[] = { { .fd = s.signals, .events = POLLIN },
			                { .fd = s.ready_in, .events = POLLIN } };

		poll(fds, 2, next_event_ms(&s, clock_ms()));
		if (fds[1].revents & POLLIN)
			on_ready(&s);
		if (fds[0].revents & POLLIN)
			on_signal(&s);
		on_time(&s, clock_ms());
	}
	close(s.signals);
	close(s.ready_in);
	close(s.ready_out);
	*keep = s.keep;
	return s.code;
}
