/*
 * Both ends of the join against each other and against liars: who may join, what a version mismatch
 * says, what is left after a death, and workers that push while control comes and goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/hello.h"
#include "abi/punt.h"
#include "abi/row.h"
#include "control/join.h"
#include "dataplane/join.h"
#include "log.h"
#include "tests/support.h"

enum { WORKERS = 2, NOBODY = 65534, COMMAND_LINES = 256 };

static char dir[] = "/tmp/turnpike-join-XXXXXX";
static char path[sizeof(dir) + 16];

/* The data plane's side of a test. */
struct rig {
	struct region d;
	struct join *join;
	struct ring_writer punt[WORKERS + 1];
	struct ring_writer *punts[WORKERS + 1];
	_Atomic bool joined;
	uint64_t now_ms;
	bool grace_over; /* what the fake grace period answers */
	unsigned graces;
};

static uint64_t grace_start(void *arg)
{
	return ++((struct rig *)arg)->graces;
}

static bool grace_over(void *arg, uint64_t token)
{
	const struct rig *const r = arg;

	return token == r->graces && r->grace_over;
}

static int rig_open(struct rig *r, const char *group)
{
	const struct join_sizes sizes = { .n_workers = WORKERS,
		                          .rows = 64,
		                          .rows_wide = 8,
		                          .listeners = 4,
		                          .relays = 4,
		                          .ports = 2,
		                          .neighbours = 4,
		                          .punt_lines = 256 };
	int rc = 0;

	memset(r, 0, sizeof(*r));
	r->grace_over = true;
	for (unsigned i = 0; i <= WORKERS; i++)
		r->punts[i] = &r->punt[i];
	CU_ASSERT_FATAL(join_create_region(&r->d, &sizes, 77, false, -1) == 0);
	const struct join_setup setup = { .path = path,
		                          .group = group,
		                          .region = &r->d,
		                          .n_workers = WORKERS,
		                          .punt = r->punts,
		                          .joined = &r->joined,
		                          .grace = { grace_start, grace_over, r } };

	r->join = join_open(&setup, &rc);
	if (!r->join)
		region_leave(&r->d);
	return rc;
}

static void rig_close(struct rig *r)
{
	join_close(r->join);
	region_leave(&r->d);
}

static enum join_event rig_poll(struct rig *r)
{
	return join_poll(r->join, ++r->now_ms);
}

enum { LONG_MS = 10000 /* for what must happen, however busy the machine */, SHORT_MS = 50 };

/* Turns both sides until control is told something. */
static enum link_event settle(struct rig *r, struct dp_link *l, unsigned for_ms)
{
	for (unsigned i = 0; i < for_ms; i++) {
		rig_poll(r);
		const enum link_event event = join_link_poll(l, 0);

		if (event != LINK_NONE)
			return event;
		usleep(1000);
	}
	return LINK_NONE;
}

static struct dp_link joined_link(struct rig *r)
{
	struct dp_link l;

	CU_ASSERT_FATAL(join_link_open(&l, path, COMMAND_LINES, false, 0) == 0);
	CU_ASSERT_FATAL(settle(r, &l, LONG_MS) == LINK_JOINED);
	return l;
}

static bool push_number(struct ring_writer *w, uint16_t kind, uint64_t number)
{
	uint64_t *const body = ring_reserve(w, kind, sizeof(number));

	if (!body)
		return false;
	*body = number;
	ring_publish(w);
	return true;
}

static bool pull_number(struct ring_reader *r, uint16_t kind, uint64_t number)
{
	uint16_t have_kind = 0;
	uint64_t have = 0;
	const int n = ring_read(r, &have_kind, &have, sizeof(have));

	ring_release(r);
	return n == sizeof(have) && have_kind == kind && have == number;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return fd >= 0 && poll(&p, 1, 0) == 1;
}

static bool any_readable(const struct join *j)
{
	int fds[3];
	bool any = false;

	for (unsigned i = 0, n = join_fds(j, fds, 3); i < n; i++)
		any |= readable(fds[i]);
	return any;
}

static void test_both_ways(void)
{
	struct rig r;

	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	CHECK(!join_command(r.join) && !atomic_load(&r.joined) && !join_pid(r.join), "nobody");
	struct dp_link l = joined_link(&r);

	CHECK(atomic_load(&r.joined) && join_pid(r.join) == (uint32_t)getpid(), "joined");
	CHECK(l.n_punt == WORKERS + 1 && l.d.generation == 77, "as offered");
	CHECK(region_find(&l.d, SECTION_ROWS, 0, 64 * sizeof(struct row)) != NULL, "rows");
	CHECK(region_find(&l.d, SECTION_FOREIGN, 1, 8 * sizeof(struct row_counts)) != NULL, "cold");
	for (unsigned i = 0; i < l.n_punt; i++) {
		CHECK(push_number(&r.punt[i], PUNT_REQUEST, i), "push");
		CHECK(pull_number(&l.punt[i], PUNT_REQUEST, i), "punt");
	}
	CHECK(push_number(&l.command, CMD_SET, 9), "push");
	CHECK(pull_number(join_command(r.join), CMD_SET, 9), "command");
	/* Each side asleep, woken by the other. */
	CHECK(join_sleep(r.join) && !any_readable(r.join), "data plane asleep");
	push_number(&l.command, CMD_SET, 10);
	CHECK(ring_wake(&l.command) && any_readable(r.join), "woken");
	join_awake(r.join);
	CHECK(!any_readable(r.join) && !join_sleep(r.join), "something to read: no sleep");
	CHECK(pull_number(join_command(r.join), CMD_SET, 10), "command");
	CHECK(join_link_sleep(&l) && !readable(l.wake_fd), "control asleep");
	push_number(&r.punt[1], PUNT_ROW, 11);
	CHECK(ring_wake(&r.punt[1]) && readable(l.wake_fd), "woken");
	join_link_awake(&l);
	CHECK(!readable(l.wake_fd) && !join_link_sleep(&l), "something to read: no sleep");
	CHECK(!ring_wake(&r.punt[0]), "and no flag is left up");
	CHECK(pull_number(&l.punt[1], PUNT_ROW, 11), "punt");
	join_link_close(&l);
	CHECK(rig_poll(&r) == JOIN_LEFT, "left");
	rig_close(&r);
	CHECK(access(path, F_OK) < 0, "no socket left behind");
}

static void test_second(void)
{
	struct rig r;
	struct dp_link second;
	char pid[16];

	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	struct dp_link l = joined_link(&r);

	CHECK(join_link_open(&second, path, COMMAND_LINES, false, 0) == 0, "connects");
	CHECK(settle(&r, &second, LONG_MS) == LINK_REFUSED, "refused");
	snprintf(pid, sizeof(pid), "%d", getpid());
	CHECK(strstr(second.reason, pid) != NULL, second.reason);
	join_link_close(&second);
	CHECK(join_link_poll(&l, 0) == LINK_NONE && atomic_load(&r.joined), "the first stays");
	join_link_close(&l);
	CHECK(rig_poll(&r) == JOIN_LEFT, "left");
	l = joined_link(&r);
	join_link_close(&l);
	rig_close(&r);
}

/* Commands said before the death are read, later ones are not; then everything begins at 0. */
static void test_left(void)
{
	struct rig r;

	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	struct dp_link l = joined_link(&r), next;

	r.grace_over = false;
	push_number(&r.punt[0], PUNT_REQUEST, 1);
	push_number(&l.command, CMD_DELETE, 1);
	push_number(&l.command, CMD_DELETE, 2);
	join_link_hang_up(&l, "test"); /* hangs up and lives on: a liar's way */
	CHECK(rig_poll(&r) == JOIN_LEFT && !atomic_load(&r.joined) && r.graces == 1, "left");
	push_number(&l.command, CMD_DELETE, 3);
	CHECK(pull_number(join_command(r.join), CMD_DELETE, 1), "first");
	CHECK(pull_number(join_command(r.join), CMD_DELETE, 2), "second");
	CHECK(!pull_number(join_command(r.join), CMD_DELETE, 3), "not what came after");
	CHECK(push_number(&r.punt[0], PUNT_REQUEST, 2), "a worker may still be in a push");
	CHECK(join_link_open(&next, path, COMMAND_LINES, false, 0) == 0, "waits in the backlog");
	CHECK(settle(&r, &next, SHORT_MS) == LINK_NONE && next.state == LINK_OFFER,
	      "until the grace is over");
	CHECK(!any_readable(r.join) && !join_sleep(r.join), "which has to be looked at");
	CHECK(pull_number(&l.punt[0], PUNT_REQUEST, 1) && pull_number(&l.punt[0], PUNT_REQUEST, 2),
	      "its rings can be read to the end");
	r.grace_over = true;
	CHECK(settle(&r, &next, LONG_MS) == LINK_JOINED, "joined");
	CHECK(!pull_number(join_command(r.join), CMD_DELETE, 3), "nothing of the old one");
	CHECK(!pull_number(&next.punt[0], PUNT_REQUEST, 2), "punts begin empty");
	push_number(&r.punt[0], PUNT_REQUEST, 5);
	push_number(&next.command, CMD_SET, 6);
	CHECK(pull_number(&next.punt[0], PUNT_REQUEST, 5), "and run");
	CHECK(pull_number(join_command(r.join), CMD_SET, 6), "both ways");
	join_link_close(&l);
	CHECK(join_link_poll(&next, 0) == LINK_NONE, "closing the old one disturbs nothing");
	join_link_close(&next);
	rig_close(&r);
}

static void test_disconnect(void)
{
	struct rig r;

	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	struct dp_link l = joined_link(&r);

	push_number(&l.command, CMD_SET, 1);
	join_disconnect(r.join, "test");
	CHECK(!atomic_load(&r.joined) && !join_command(r.join), "a liar's commands are not read");
	CHECK(rig_poll(&r) == JOIN_LEFT && rig_poll(&r) == JOIN_NONE, "told once");
	CHECK(join_link_poll(&l, 0) == LINK_LEFT, "control hears it");
	CHECK(join_link_poll(&l, 0) == LINK_NONE, "once");
	CHECK(region_find(&l.d, SECTION_LIFE, 0, sizeof(struct life)) != NULL, "D stays");
	join_link_close(&l);
	join_link_close(&l); /* harmless twice */
	l = joined_link(&r);
	join_link_close(&l);
	rig_close(&r);
}

/* --- deaths --- */

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void test_control_killed(void)
{
	struct rig r;

	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	fflush(stdout);
	const pid_t pid = fork();

	if (pid == 0) {
		struct dp_link l;

		if (join_link_open(&l, path, COMMAND_LINES, false, 0))
			_exit(1);
		while (join_link_poll(&l, 0) != LINK_JOINED)
			usleep(100);
		for (uint64_t i = 0;; i++)
			push_number(&l.command, CMD_SET, i);
	}
	enum join_event event = JOIN_NONE;

	for (unsigned i = 0; i < 2000 && event != JOIN_JOINED; i++, usleep(1000))
		event = rig_poll(&r);
	CHECK(event == JOIN_JOINED, "joined");
	usleep(2000);
	kill(pid, SIGKILL);
	const uint64_t killed = now_us();

	while (!any_readable(r.join) && now_us() - killed < 1000000)
		;
	const uint64_t took = now_us() - killed;

	waitpid(pid, NULL, 0);
	CHECK(rig_poll(&r) == JOIN_LEFT && took < 500000, "the hang-up is the death notice");
	uint64_t n = 0;

	while (pull_number(join_command(r.join), CMD_SET, n))
		n++;
	CHECK(n > 0 && !join_command(r.join)->broken, "whole records up to the last");
	printf("(%llu us) ", (unsigned long long)took);
	rig_close(&r);
}

static void test_dataplane_killed(void)
{
	struct rig r;
	struct dp_link l;

	fflush(stdout);
	const pid_t pid = fork();

	if (pid == 0) {
		if (rig_open(&r, NULL))
			_exit(1);
		struct life *const life = region_find(&r.d, SECTION_LIFE, 0, sizeof(struct life));

		while (rig_poll(&r) != JOIN_JOINED)
			usleep(100);
		push_number(&r.punt[WORKERS], PUNT_ROW, 5);
		atomic_store(&life->flows, 1234);
		for (;;)
			pause();
	}
	unsigned tries = 0;

	while (join_link_open(&l, path, COMMAND_LINES, false, 0) && ++tries < 2000)
		usleep(1000);
	enum link_event event = LINK_NONE;

	while (event == LINK_NONE && ++tries < 4000) {
		usleep(1000);
		event = join_link_poll(&l, 0);
	}
	CU_ASSERT_FATAL(event == LINK_JOINED);
	const struct life *const life = region_find(&l.d, SECTION_LIFE, 0, sizeof(struct life));

	while (atomic_load(&life->flows) != 1234 && ++tries < 6000)
		usleep(1000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK(readable(join_link_fd(&l)) && join_link_poll(&l, 0) == LINK_LEFT, l.reason);
	CHECK(atomic_load(&life->flows) == 1234, "last counts can be booked");
	CHECK(pull_number(&l.punt[WORKERS], PUNT_ROW, 5), "last words can be read");
	join_link_close(&l);
	/* Its socket is still there, and nobody behind it: the next one takes its place. */
	CHECK(access(path, F_OK) == 0, "stale socket");
	CHECK(join_link_open(&l, path, COMMAND_LINES, false, 0) == -ECONNREFUSED, "nobody there");
	CHECK(rig_open(&r, NULL) == 0, "replaced");
	l = joined_link(&r);
	join_link_close(&l);
	rig_close(&r);
}

/* --- liars and strangers --- */

static int dial(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, path, sizeof(path));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The offer is taken, `h` with `fds` is sent instead of a good JOIN; the answer's text. */
static bool lie(struct rig *r, const struct hello *h, const int *fds, unsigned n_fds, char *text)
{
	struct hello got = { 0 };
	int taken[HELLO_FDS_MAX];
	unsigned n = 0;
	const int fd = dial();

	rig_poll(r);
	CHECK(hello_receive(fd, &got, taken, &n) == 0 && got.kind == HELLO_OFFER && n == 3,
	      "offer");
	while (n > 0)
		close(taken[--n]);
	hello_send(fd, h, fds, n_fds);
	rig_poll(r);
	const bool refused = hello_receive(fd, &got, taken, &n) == 0 && got.kind == HELLO_REFUSE;

	snprintf(text, 88, "%s", refused ? got.text : "");
	close(fd);
	rig_poll(r);
	CHECK(!atomic_load(&r->joined) && !join_command(r->join), "not joined");
	return refused;
}

static struct region region_c(unsigned n_tails, uint64_t ring)
{
	const struct region_want want[] = { { SECTION_COMMAND, 0, ring },
		                            { SECTION_PUNT_TAIL, 0, 64 },
		                            { SECTION_PUNT_TAIL, 1, 64 },
		                            { SECTION_PUNT_TAIL, 2, 64 } };
	struct region c = { .fd = -1 };

	CHECK(region_create(&c, "test", 1, want, 1 + n_tails, false, -1) == 0, "C");
	return c;
}

static void test_liars(void)
{
	struct rig r;
	struct region good = region_c(3, ring_octets(256)), few = region_c(2, ring_octets(256)),
		      odd = region_c(3, ring_octets(256) + 64);
	const int open_fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char text[88];

	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	struct hello h = hello_make(HELLO_JOIN, 77);

	h.region_octets = good.octets;
	const struct hello right = h;
	const int two[] = { good.fd, good.fd };

	h.major = 9;
	h.minor = 4;
	CHECK(lie(&r, &h, &good.fd, 1, text), "another version");
	CHECK(strstr(text, "9.4") && strstr(text, "2.0"), text);
	h = right;
	h.magic++;
	CHECK(lie(&r, &h, &good.fd, 1, text) && strstr(text, "magic"), text);
	h = right;
	h.generation = 78;
	CHECK(lie(&r, &h, &good.fd, 1, text) && strstr(text, "generation"), text);
	h = right;
	h.kind = HELLO_OFFER;
	CHECK(lie(&r, &h, &good.fd, 1, text) && strstr(text, "JOIN"), text);
	CHECK(lie(&r, &right, NULL, 0, text) && strstr(text, "JOIN"), text);
	CHECK(lie(&r, &right, two, 2, text) && strstr(text, "JOIN"), text);
	h = right;
	h.region_octets = 64;
	CHECK(lie(&r, &h, &good.fd, 1, text) && strstr(text, "octets"), text);
	CHECK(ftruncate(open_fd, (off_t)right.region_octets) == 0, "grow");
	CHECK(lie(&r, &right, &open_fd, 1, text) && strstr(text, "seals"), text);
	h = right;
	h.region_octets = few.octets;
	CHECK(lie(&r, &h, &few.fd, 1, text) && strstr(text, "tail"), text);
	h.region_octets = odd.octets;
	CHECK(lie(&r, &h, &odd.fd, 1, text) && strstr(text, "command ring"), text);
	/* Not even a hello. */
	const int fd = dial();
	struct hello got;
	int fds[HELLO_FDS_MAX];
	unsigned n = 0;

	rig_poll(&r);
	hello_receive(fd, &got, fds, &n);
	while (n > 0)
		close(fds[--n]);
	CHECK(send(fd, "hello", 5, 0) == 5, "five octets");
	rig_poll(&r);
	CHECK(hello_receive(fd, &got, fds, &n) == 0 && got.kind == HELLO_REFUSE, "refused");
	close(fd);
	struct dp_link l = joined_link(&r); /* and after all that an honest one */

	join_link_close(&l);
	close(open_fd);
	region_leave(&good);
	region_leave(&few);
	region_leave(&odd);
	rig_close(&r);
}

/* Nobody may hold the door by saying nothing. */
static void test_timeout(void)
{
	struct rig r;

	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	const int fd = dial();
	struct dp_link l;

	rig_poll(&r);
	CHECK(join_link_open(&l, path, COMMAND_LINES, false, 0) == 0 &&
	              settle(&r, &l, LONG_MS) == LINK_REFUSED,
	      "the other waits for its answer");
	join_link_close(&l);
	r.now_ms += JOIN_WAIT_MS;
	rig_poll(&r);
	l = joined_link(&r);
	join_link_close(&l);
	close(fd);
	rig_close(&r);
	/* And a data plane that says nothing. */
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, path, sizeof(path));
	CHECK(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(listener, 1) == 0,
	      "listen");
	CHECK(join_link_open(&l, path, COMMAND_LINES, false, 100) == 0, "connects");
	CHECK(join_link_poll(&l, 100 + LINK_WAIT_MS - 1) == LINK_NONE, "patient");
	CHECK(join_link_poll(&l, 100 + LINK_WAIT_MS) == LINK_REFUSED, l.reason);
	join_link_close(&l);
	/* One that offers another version. */
	CHECK(join_link_open(&l, path, COMMAND_LINES, false, 0) == 0, "connects");
	const int first = accept(listener, NULL, NULL), second = accept(listener, NULL, NULL);
	struct hello h = hello_make(HELLO_OFFER, 1);

	h.major = 5;
	h.minor = 6;
	hello_send(second, &h, NULL, 0);
	CHECK(join_link_poll(&l, 0) == LINK_REFUSED && strstr(l.reason, "5.6") &&
	              strstr(l.reason, "2.0"),
	      l.reason);
	join_link_close(&l);
	close(first);
	close(second);
	close(listener);
	unlink(path);
}

/* As another user. What became of it: 1 no connection, 2 refused, 3 offered; 64 cannot try. */
static int as_nobody(gid_t extra)
{
	struct hello h;
	int fds[HELLO_FDS_MAX];
	unsigned n;

	if (setgroups(extra ? 1 : 0, &extra) || setgid(NOBODY) || setuid(NOBODY))
		return 64;
	const int fd = dial();

	if (fd < 0)
		return errno == EACCES ? 1 : 65;
	for (unsigned i = 0; i < 2000; i++, usleep(1000))
		if (hello_receive(fd, &h, fds, &n) == 0)
			return h.kind == HELLO_REFUSE ? 2 : 3;
	return 66;
}

static int try_as_nobody(struct rig *r, gid_t extra)
{
	int status = 0;

	fflush(stdout);
	const pid_t pid = fork();

	if (pid == 0)
		_exit(as_nobody(extra));
	while (waitpid(pid, &status, WNOHANG) == 0) {
		rig_poll(r);
		usleep(500);
	}
	rig_poll(r);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_strangers(void)
{
	struct rig r;
	struct stat st;
	struct group *group;

	if (geteuid() != 0) {
		printf("(skipped: needs root) ");
		return;
	}
	chmod(dir, 0755);
	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0660, "mode 0660");
	CHECK(try_as_nobody(&r, 0) == 1, "the file system keeps strangers out");
	chmod(path, 0666);
	CHECK(try_as_nobody(&r, 0) == 2, "and so does SO_PEERCRED");
	rig_close(&r);
	group = getgrnam("daemon");
	if (!group) {
		printf("(no group daemon) ");
		return;
	}
	const gid_t gid = group->gr_gid;

	CU_ASSERT_FATAL(rig_open(&r, "daemon") == 0);
	CHECK(stat(path, &st) == 0 && st.st_gid == gid && (st.st_mode & 0777) == 0660,
	      "its socket");
	CHECK(try_as_nobody(&r, gid) == 3, "a member is offered");
	CHECK(try_as_nobody(&r, 0) == 1, "others are not");
	rig_close(&r);
}

static void test_socket(void)
{
	struct rig r, second;
	char saved[sizeof(path)], longer[200];

	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	CHECK(rig_open(&second, NULL) == -EADDRINUSE, "another data plane is there");
	rig_poll(&r);
	struct dp_link l = joined_link(&r); /* and was not disturbed */

	CHECK(rig_open(&second, NULL) == -EADDRINUSE, "joined or not");
	join_link_close(&l);
	rig_close(&r);
	CHECK(rig_open(&second, "no-such-group-here") == -ENOENT, "unknown group");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CHECK(join_link_open(&l, longer, COMMAND_LINES, false, 0) == -ENAMETOOLONG, "too long");
	CHECK(join_link_open(&l, path, COMMAND_LINES, false, 0) == -ENOENT, "nobody there");
	CHECK(join_link_open(&l, path, 100, false, 0) == -EINVAL, "not a power of two");
	memcpy(saved, path, sizeof(path));
	snprintf(path, sizeof(path), "/nowhere/x");
	CHECK(rig_open(&second, NULL) == -ENOENT, "no run-dir");
	memcpy(path, saved, sizeof(path));
}

/* --- workers that push while control comes and goes --- */

struct pusher {
	struct rig *rig;
	unsigned index;
	_Atomic uint64_t quiet; /* goes up once a loop, outside of any push */
	_Atomic bool stop;
};

static struct pusher pushers[WORKERS];

/* A worker that loses its core between its look at `joined` and its push: what the grace is for. */
static bool push_late(struct ring_writer *w, uint64_t number)
{
	usleep(3000);
	return push_number(w, PUNT_REQUEST, number);
}

static void *push_all(void *arg)
{
	struct pusher *const p = arg;
	uint64_t number = 0;
	unsigned turn = 0;

	while (!atomic_load(&p->stop)) {
		if (atomic_load_explicit(&p->rig->joined, memory_order_acquire)) {
			struct ring_writer *const w = &p->rig->punt[p->index];

			/* A new ring begins at number 0 again: so the reader can check it. */
			if (w->head == 0)
				number = 0;
			for (unsigned i = 0; i < 8; i++)
				if (push_number(w, PUNT_REQUEST, number))
					number++;
			number += turn++ % 16 == 0 && push_late(w, number);
			ring_wake(w);
		}
		atomic_fetch_add(&p->quiet, 1);
	}
	return NULL;
}

static uint64_t quiet_at[WORKERS];

static uint64_t quiet_start(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < WORKERS; i++)
		quiet_at[i] = atomic_load(&pushers[i].quiet);
	return 0;
}

static bool quiet_over(void *arg, uint64_t token)
{
	(void)arg;
	(void)token;
	for (unsigned i = 0; i < WORKERS; i++)
		if (atomic_load(&pushers[i].quiet) < quiet_at[i] + 2)
			return false;
	return true;
}

/* Until each worker was heard `wanted` times; false: out of order, or nothing for 5 s. */
static bool read_some(struct dp_link *l, uint64_t *next, uint64_t wanted)
{
	const uint64_t begin = now_us();
	uint16_t kind;
	uint64_t number;

	for (unsigned i = 0; i < WORKERS; i++) {
		while (next[i] < wanted) {
			if (ring_read(&l->punt[i], &kind, &number, sizeof(number)) >= 0) {
				if (number != next[i]++)
					return false;
				continue;
			}
			ring_release(&l->punt[i]);
			if (l->punt[i].broken || now_us() - begin > 5000000)
				return false;
			usleep(50);
		}
		ring_release(&l->punt[i]);
	}
	return true;
}

static void test_comings_and_goings(void)
{
	struct rig r;
	pthread_t thread[WORKERS];
	unsigned wrong = 0;

	CU_ASSERT_FATAL(rig_open(&r, NULL) == 0);
	join_close(r.join);
	const struct join_setup setup = { .path = path,
		                          .region = &r.d,
		                          .n_workers = WORKERS,
		                          .punt = r.punts,
		                          .joined = &r.joined,
		                          .grace = { quiet_start, quiet_over, NULL } };
	int rc = 0;

	r.join = join_open(&setup, &rc);
	CU_ASSERT_FATAL(r.join != NULL);
	for (unsigned i = 0; i < WORKERS; i++) {
		pushers[i] = (struct pusher){ .rig = &r, .index = i };
		pthread_create(&thread[i], NULL, push_all, &pushers[i]);
	}
	for (unsigned life = 0; life < 200; life++) {
		uint64_t next[WORKERS] = { 0 };
		struct dp_link l = joined_link(&r);

		wrong += !read_some(&l, next, life % 20 * 40);
		if (life % 3 == 0)
			join_disconnect(r.join, "test");
		join_link_close(&l);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		atomic_store(&pushers[i].stop, true);
		pthread_join(thread[i], NULL);
	}
	CHECK(wrong == 0, "each life reads from 0 on, in order");
	rig_close(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "both ways", test_both_ways },
		{ "second joiner", test_second },
		{ "left", test_left },
		{ "disconnect", test_disconnect },
		{ "control killed", test_control_killed },
		{ "data plane killed", test_dataplane_killed },
		{ "liars", test_liars },
		{ "timeout", test_timeout },
		{ "strangers", test_strangers },
		{ "socket", test_socket },
		{ "comings and goings", test_comings_and_goings },
		CU_TEST_INFO_NULL,
	};

	if (!mkdtemp(dir))
		return 2;
	snprintf(path, sizeof(path), "%s/dataplane.sock", dir);
	log_open("join_test", LOG_LEVEL_ERROR, LOG_TEXT);
	const int rc = run_suite("join", tests);

	unlink(path);
	rmdir(dir);
	return rc;
}
