#include "dataplane/join.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/hello.h"
#include "abi/punt.h"
#include "abi/stats.h"
#include "log.h"

enum { BACKLOG = 8, REFUSALS_PER_POLL = 4, GROUPS_MAX = 256 };

enum state { LISTENING, OFFERED, JOINED, DRAINING };

struct join {
	struct join_setup setup;
	struct sockaddr_un at;
	enum state state;
	int listen_fd, peer_fd;
	int wake_dp_fd,
		wake_control_fd; /* new for each join: an old control must not eat wake-ups */
	gid_t gid;               /* of the group, or (gid_t)-1 */
	uint64_t last_ms, deadline_ms;
	uint64_t grace_token;
	uint32_t pid;
	bool left;            /* join_disconnect() happened; the event is still to be told */
	bool have_command;    /* `command` reads something mapped */
	struct region region; /* C */
	struct ring_reader command;
	struct ring_head frozen; /* what the command ring's head was at hang-up */
};

/* --- region D --- */

int join_create_region(struct region *out, const struct join_sizes *sizes, uint64_t generation,
                       bool huge, int numa_node)
{
	if (!sizes->n_workers || sizes->n_workers > JOIN_WORKERS_MAX ||
	    ring_lines(ring_octets(sizes->punt_lines)) != sizes->punt_lines)
		return -EINVAL;
	const struct region_want fixed[] = {
		{ SECTION_LIFE, 0, sizeof(struct life) },
		{ SECTION_COMMAND_TAIL, 0, sizeof(struct ring_tail) },
		{ SECTION_LISTENERS, 0, (uint64_t)sizes->listeners * sizeof(struct abi_listener) },
		{ SECTION_RELAYS, 0, (uint64_t)sizes->relays * sizeof(struct abi_relay) },
		{ SECTION_PORTS, 0, (uint64_t)sizes->ports * sizeof(struct abi_port) },
		{ SECTION_NEIGHBOURS, 0,
		  (uint64_t)sizes->neighbours * sizeof(struct abi_neighbour) },
		{ SECTION_ROWS, 0, (uint64_t)sizes->rows * sizeof(struct row) },
		{ SECTION_ROWS_WIDE, 0, (uint64_t)sizes->rows_wide * sizeof(struct row_wide) },
		{ SECTION_FOREIGN, 0, (uint64_t)sizes->rows * sizeof(struct row_counts) },
		{ SECTION_FOREIGN, 1, (uint64_t)sizes->rows_wide * sizeof(struct row_counts) },
	};
	enum { N_FIXED = sizeof(fixed) / sizeof(fixed[0]) };
	struct region_want want[N_FIXED + 2 * (JOIN_WORKERS_MAX + 1)];
	unsigned n = N_FIXED;

	memcpy(want, fixed, sizeof(fixed));
	for (uint16_t i = 0; i <= sizes->n_workers; i++) {
		want[n++] = (struct region_want){ SECTION_COUNTERS, i, sizeof(struct stats) };
		want[n++] = (struct region_want){ SECTION_PUNT, i, ring_octets(sizes->punt_lines) };
	}
	return region_create(out, "turnpike-dataplane", generation, want, n, huge, numa_node);
}

/* --- who may join --- */

static bool find_group(const char *name, gid_t *gid)
{
	struct group entry, *found = NULL;
	char text[16384];

	if (getgrnam_r(name, &entry, text, sizeof(text), &found) || !found)
		return false;
	*gid = found->gr_gid;
	return true;
}

static bool in_group(int fd, const struct ucred *peer, gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	socklen_t octets = sizeof(groups);

	if (gid == (gid_t)-1)
		return false;
	if (peer->gid == gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &octets) < 0)
		return false;
	for (size_t i = 0; i < octets / sizeof(gid_t); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* The peer's credentials at connect time; false: it may not join. */
static bool admit(const struct join *j, int fd, struct ucred *peer)
{
	socklen_t octets = sizeof(*peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &octets) < 0)
		return false;
	return peer->uid == 0 || peer->uid == geteuid() || in_group(fd, peer, j->gid);
}

static void refuse(const struct join *j, int fd, const char *why)
{
	struct hello h = hello_make(HELLO_REFUSE, j->setup.region->generation);

	snprintf(h.text, sizeof(h.text), "%s", why);
	hello_send(fd, &h, NULL, 0);
}

/* --- the four states --- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void hang_up(struct join *j)
{
	close_fd(&j->peer_fd);
	j->pid = 0;
	j->state = LISTENING;
}

/* Workers are told first; everything they may still touch stays until the grace period is over. */
static void leave(struct join *j, bool keep_commands)
{
	atomic_store_explicit(j->setup.joined, false, memory_order_release);
	hang_up(j);
	if (keep_commands && !j->command.broken) {
		/* A control that hung up but lives on must not add to what it said. */
		atomic_store_explicit(
			&j->frozen.head,
			atomic_load_explicit(&j->command.peer->head, memory_order_acquire),
			memory_order_relaxed);
		j->command.peer = &j->frozen;
	} else {
		j->have_command = false;
	}
	if (j->setup.grace.start)
		j->grace_token = j->setup.grace.start(j->setup.grace.arg);
	j->state = DRAINING;
}

static bool drained(const struct join *j)
{
	return !j->setup.grace.over || j->setup.grace.over(j->setup.grace.arg, j->grace_token);
}

static int offer(struct join *j, int fd, uint64_t now_ms)
{
	const struct region *const d = j->setup.region;
	struct hello h = hello_make(HELLO_OFFER, d->generation);

	close_fd(&j->wake_dp_fd);
	close_fd(&j->wake_control_fd);
	j->wake_dp_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	j->wake_control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->wake_dp_fd < 0 || j->wake_control_fd < 0)
		return -errno;
	h.region_octets = d->octets;
	h.n_workers = j->setup.n_workers;
	const int fds[] = { d->fd, j->wake_dp_fd, j->wake_control_fd };
	const int rc = hello_send(fd, &h, fds, 3);

	if (rc)
		return rc;
	j->peer_fd = fd;
	j->deadline_ms = now_ms + JOIN_WAIT_MS;
	j->state = OFFERED;
	return 0;
}

/* One connection from the backlog. */
static void take_connection(struct join *j, uint64_t now_ms)
{
	const int fd = accept4(j->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct ucred peer = { 0 };

	if (fd < 0)
		return;
	if (!admit(j, fd, &peer)) {
		log_warning("join", "denied",
		            "uid=%u gid=%u pid=%d hint=same-user-root-or-group-only", peer.uid,
		            peer.gid, peer.pid);
		refuse(j, fd,
		       "this user may not join: same user, root or the configured group only");
	} else if (j->state != LISTENING) {
		char why[88];

		snprintf(why, sizeof(why),
		         "another control is joined already (pid %u): stop it first", j->pid);
		log_warning("join", "refused", "pid=%d joined=%u", peer.pid, j->pid);
		refuse(j, fd, why);
	} else {
		const int rc = offer(j, fd, now_ms);

		if (!rc) {
			j->pid = (uint32_t)peer.pid;
			return;
		}
		log_warning("join", "offer-failed", "pid=%d error=%d", peer.pid, -rc);
	}
	close(fd);
}

/* Both regions and every ring in them fit; *lines is the command ring's. */
static bool fits(const struct join *j, const struct region *c, uint32_t *lines, char why[88])
{
	uint64_t octets = 0;

	if (!region_section(c, SECTION_COMMAND, 0, &octets) || !(*lines = ring_lines(octets))) {
		snprintf(why, 88, "region C has no command ring of a possible size");
		return false;
	}
	for (uint16_t i = 0; i <= j->setup.n_workers; i++) {
		if (!region_find(c, SECTION_PUNT_TAIL, i, sizeof(struct ring_tail))) {
			snprintf(why, 88, "region C has no punt tail %u; %u are needed", i,
			         j->setup.n_workers + 1);
			return false;
		}
	}
	return true;
}

/* No worker is in a push (LISTENING comes after the grace period), so positions may go back to 0.
 */
static void arm(struct join *j, const struct region *c, uint32_t command_lines)
{
	const struct region *const d = j->setup.region;
	struct ring_tail *const tail =
		region_find(d, SECTION_COMMAND_TAIL, 0, sizeof(struct ring_tail));

	region_leave(&j->region);
	j->region = *c;
	atomic_store_explicit(&tail->tail, 0, memory_order_relaxed);
	atomic_store_explicit(&tail->sleeping, 0, memory_order_relaxed);
	ring_reader_init(&j->command, region_section(c, SECTION_COMMAND, 0, NULL), command_lines,
	                 tail);
	j->have_command = true;
	for (uint16_t i = 0; i <= j->setup.n_workers; i++) {
		uint64_t octets = 0;
		struct ring_head *const head = region_section(d, SECTION_PUNT, i, &octets);

		atomic_store_explicit(&head->head, 0, memory_order_relaxed);
		ring_writer_init(j->setup.punt[i], head, ring_lines(octets),
		                 region_section(c, SECTION_PUNT_TAIL, i, NULL), j->wake_control_fd);
	}
	atomic_store_explicit(j->setup.joined, true, memory_order_release);
}

/* JOIN is there. true: welcome; false: refused, `why` says it. */
static bool take_join(struct join *j, const struct hello *h, const int *fds, unsigned n_fds,
                      char why[88])
{
	struct region c = { .fd = -1 };
	struct region_error error = { "" };
	uint32_t lines = 0;

	if (!hello_check(h, HELLO_DATAPLANE, why))
		return false;
	if (h->kind != HELLO_JOIN || n_fds != 1) {
		snprintf(why, 88, "expected JOIN with one descriptor, got kind %u with %u", h->kind,
		         n_fds);
		return false;
	}
	if (h->generation != j->setup.region->generation) {
		snprintf(why, 88, "JOIN names another generation of the data plane: connect again");
		return false;
	}
	if (region_join(&c, fds[0], h->region_octets, &error)) {
		snprintf(why, 88, "%.80s", error.text);
		return false;
	}
	c.fd = -1; /* the mapping is enough; the caller closes */
	if (!fits(j, &c, &lines, why)) {
		region_leave(&c);
		return false;
	}
	arm(j, &c, lines);
	return true;
}

static enum join_event read_offered(struct join *j)
{
	struct hello h;
	int fds[HELLO_FDS_MAX];
	unsigned n_fds = 0;
	char why[88] = "";
	const int rc = hello_receive(j->peer_fd, &h, fds, &n_fds);

	if (rc == -EAGAIN)
		return JOIN_NONE;
	bool welcome = false;

	if (!rc)
		welcome = take_join(j, &h, fds, n_fds, why);
	else if (rc == -EPROTO)
		snprintf(why, sizeof(why), "not a hello: wrong length or too many descriptors");
	for (unsigned i = 0; i < n_fds; i++)
		close(fds[i]);
	if (!welcome) {
		if (why[0]) {
			log_warning("join", "refused", "pid=%u why=\"%s\"", j->pid, why);
			refuse(j, j->peer_fd, why);
		}
		hang_up(j);
		return JOIN_NONE;
	}
	h = hello_make(HELLO_WELCOME, j->setup.region->generation);
	/* Should it not arrive, control is gone and the hang-up follows. */
	hello_send(j->peer_fd, &h, NULL, 0);
	j->state = JOINED;
	log_info("join", "joined", "pid=%u", j->pid);
	return JOIN_JOINED;
}

/* The socket is silent while joined: whatever is readable now is an end of it. */
static enum join_event read_joined(struct join *j)
{
	log_info("join", "left", "pid=%u", j->pid);
	leave(j, true);
	return JOIN_LEFT;
}

enum join_event join_poll(struct join *j, uint64_t now_ms)
{
	if (j->left) {
		j->left = false;
		return JOIN_LEFT;
	}
	if (now_ms == j->last_ms)
		return JOIN_NONE;
	j->last_ms = now_ms;
	if (j->state == DRAINING) {
		if (!drained(j))
			return JOIN_NONE;
		j->state = LISTENING;
	}
	struct pollfd p[] = { { .fd = j->listen_fd, .events = POLLIN },
		              { .fd = j->peer_fd, .events = POLLIN } };

	if (poll(p, 2, 0) < 0)
		return JOIN_NONE;
	enum join_event event = JOIN_NONE;

	if (p[1].revents)
		event = j->state == JOINED ? read_joined(j) : read_offered(j);
	if (j->state == OFFERED && now_ms >= j->deadline_ms) {
		log_warning("join", "timeout", "pid=%u waited_ms=%d", j->pid, JOIN_WAIT_MS);
		refuse(j, j->peer_fd, "no JOIN came in time");
		hang_up(j);
	}
	/* In DRAINING the backlog waits: nobody can be armed yet. */
	for (int i = 0; p[0].revents && i < REFUSALS_PER_POLL && j->state != DRAINING; i++)
		take_connection(j, now_ms);
	return event;
}

struct ring_reader *join_command(struct join *j)
{
	return j->have_command ? &j->command : NULL;
}

void join_disconnect(struct join *j, const char *why)
{
	if (j->state != JOINED) {
		j->have_command = false; /* the rest of a dead one's */
		return;
	}
	log_warning("join", "disconnected", "pid=%u why=\"%s\"", j->pid, why);
	leave(j, false);
	j->left = true;
}

/* --- sleeping --- */

unsigned join_fds(const struct join *j, int *fds, unsigned cap)
{
	/* While draining nobody is accepted, so the backlog must not wake. */
	const int all[] = { j->state == DRAINING ? -1 : j->listen_fd, j->peer_fd,
		            j->state == JOINED ? j->wake_dp_fd : -1 };
	unsigned n = 0;

	for (unsigned i = 0; i < 3 && n < cap; i++)
		if (all[i] >= 0)
			fds[n++] = all[i];
	return n;
}

bool join_sleep(struct join *j)
{
	/* The end of a grace period wakes nobody. */
	if (j->state == DRAINING)
		return false;
	return !j->have_command || ring_sleep(&j->command);
}

void join_awake(struct join *j)
{
	uint64_t n;

	if (!j->have_command)
		return;
	ring_awake(&j->command);
	/* An empty eventfd says EAGAIN, which is as good. */
	if (j->wake_dp_fd >= 0 && read(j->wake_dp_fd, &n, sizeof(n)) < 0)
		return;
}

uint32_t join_pid(const struct join *j)
{
	return j->state == JOINED ? j->pid : 0;
}

/* --- the socket --- */

/* Somebody answers there: not ours to replace. */
static bool served(const struct sockaddr_un *at)
{
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return false;
	const int rc = connect(fd, (const struct sockaddr *)at, sizeof(*at));
	const bool yes = rc == 0 || errno == EAGAIN;

	close(fd);
	return yes;
}

/* Bound, owned and only then listening, so nobody connects under the wrong mode. -errno. */
static int serve(struct join *j)
{
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	j->listen_fd = fd;
	if (served(&j->at))
		return -EADDRINUSE;
	if (unlink(j->at.sun_path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&j->at, sizeof(j->at)) < 0)
		return -errno;
	if (j->gid != (gid_t)-1 && chown(j->at.sun_path, (uid_t)-1, j->gid) < 0)
		return -errno;
	if (chmod(j->at.sun_path, 0660) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

static struct join *fail(struct join *j, int *rc, int error, const char *path, const char *hint)
{
	log_error("join", "no-socket", "path=%s error=\"%s\" hint=\"%s\"", path, strerror(-error),
	          hint);
	if (j && j->listen_fd >= 0)
		close(j->listen_fd);
	free(j);
	*rc = error;
	return NULL;
}

struct join *join_open(const struct join_setup *setup, int *rc)
{
	struct join *const j = calloc(1, sizeof(*j));

	if (!j)
		return fail(NULL, rc, -ENOMEM, setup->path, "free memory");
	j->setup = *setup;
	j->listen_fd = j->peer_fd = j->wake_dp_fd = j->wake_control_fd = -1;
	j->region.fd = -1;
	j->gid = (gid_t)-1;
	j->last_ms = UINT64_MAX;
	j->at.sun_family = AF_UNIX;
	if (strlen(setup->path) >= sizeof(j->at.sun_path))
		return fail(j, rc, -ENAMETOOLONG, setup->path, "choose a shorter run-dir");
	memcpy(j->at.sun_path, setup->path, strlen(setup->path));
	if (setup->group && !find_group(setup->group, &j->gid))
		return fail(j, rc, -ENOENT, setup->path, "the configured group does not exist");
	const int error = serve(j);

	if (error)
		return fail(j, rc, error, setup->path,
		            error == -EADDRINUSE ? "another data plane uses this run-dir"
		                                 : "check the run-dir and its rights");
	*rc = 0;
	return j;
}

void join_close(struct join *j)
{
	if (!j)
		return;
	atomic_store_explicit(j->setup.joined, false, memory_order_release);
	close_fd(&j->peer_fd);
	close_fd(&j->listen_fd);
	unlink(j->at.sun_path);
	close_fd(&j->wake_dp_fd);
	close_fd(&j->wake_control_fd);
	region_leave(&j->region);
	free(j);
}
