#include "control/join.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/hello.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int join_link_open(struct dp_link *l, const char *path, uint32_t command_lines, bool huge,
                   uint64_t now_ms)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	*l = (struct dp_link){
		.fd = -1, .wake_fd = -1, .command_lines = command_lines, .huge = huge
	};
	l->d.fd = l->c.fd = -1;
	l->command.wake_fd = -1;
	if (ring_lines(ring_octets(command_lines)) != command_lines)
		return -EINVAL;
	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	memcpy(at.sun_path, path, strlen(path));
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		const int rc = -errno;

		close(fd);
		return rc;
	}
	l->fd = fd;
	l->state = LINK_OFFER;
	l->deadline_ms = now_ms + LINK_WAIT_MS;
	return 0;
}

/* The socket goes, mappings stay. */
static enum link_event end(struct dp_link *l, enum link_event event, const char *why)
{
	if (why != l->reason)
		snprintf(l->reason, sizeof(l->reason), "%s", why);
	close_fd(&l->fd);
	if (event == LINK_REFUSED)
		l->n_punt = 0; /* no reader was made */
	l->state = LINK_OVER;
	return event;
}

/* Our region: the command ring and where we are in each punt ring. */
static int create_c(struct dp_link *l)
{
	struct region_want want[1 + LINK_WORKERS_MAX + 1] = {
		{ SECTION_COMMAND, 0, ring_octets(l->command_lines) },
	};
	unsigned n = 1;

	for (uint16_t i = 0; i < l->n_punt; i++)
		want[n++] = (struct region_want){ SECTION_PUNT_TAIL, i, sizeof(struct ring_tail) };
	return region_create(&l->c, "turnpike-control", l->d.generation, want, n, l->huge, -1);
}

/* Region D has what we are going to use; ring sizes are the readers' business in wire_up(). */
static bool complete(struct dp_link *l)
{
	uint64_t octets = 0;

	for (uint16_t i = 0; i < l->n_punt; i++) {
		if (!region_section(&l->d, SECTION_PUNT, i, &octets) || !ring_lines(octets)) {
			snprintf(l->reason, sizeof(l->reason),
			         "region D has no punt ring %u of a possible size", i);
			return false;
		}
	}
	if (!region_find(&l->d, SECTION_COMMAND_TAIL, 0, sizeof(struct ring_tail)) ||
	    !region_find(&l->d, SECTION_LIFE, 0, sizeof(struct life))) {
		snprintf(l->reason, sizeof(l->reason), "region D has no command tail or no life");
		return false;
	}
	return true;
}

static bool take_offer(struct dp_link *l, const struct hello *h, int *fds, unsigned n_fds)
{
	struct region_error error = { "" };

	if (h->kind == HELLO_REFUSE) {
		snprintf(l->reason, sizeof(l->reason), "%s", h->text);
		return false;
	}
	if (!hello_check(h, HELLO_CONTROL, l->reason))
		return false;
	if (h->kind != HELLO_OFFER || n_fds != 3 || !h->n_workers ||
	    h->n_workers > LINK_WORKERS_MAX) {
		snprintf(l->reason, sizeof(l->reason),
		         "expected OFFER with 3 descriptors, got kind %u with %u (%u workers)",
		         h->kind, n_fds, h->n_workers);
		return false;
	}
	if (region_join(&l->d, fds[0], h->region_octets, &error)) {
		snprintf(l->reason, sizeof(l->reason), "%s", error.text);
		return false;
	}
	fds[0] = -1;
	l->n_punt = h->n_workers + 1;
	l->pid = h->pid;
	if (l->d.generation != h->generation) {
		snprintf(l->reason, sizeof(l->reason), "hello and region D differ in generation");
		return false;
	}
	if (!complete(l))
		return false;
	const int rc = create_c(l);

	if (rc) {
		snprintf(l->reason, sizeof(l->reason), "no memory for region C: %s", strerror(-rc));
		return false;
	}
	l->command.wake_fd = fds[1]; /* kept there until wire_up() */
	l->wake_fd = fds[2];
	fds[1] = fds[2] = -1;
	return true;
}

static enum link_event read_offer(struct dp_link *l)
{
	struct hello h;
	int fds[HELLO_FDS_MAX];
	unsigned n_fds = 0;
	int rc = hello_receive(l->fd, &h, fds, &n_fds);

	if (rc == -EAGAIN)
		return LINK_NONE;
	if (rc)
		return end(l, LINK_REFUSED,
		           rc == -EPIPE ? "the data plane hung up before its offer"
		                        : "what came was not a hello");
	const bool taken = take_offer(l, &h, fds, n_fds);

	for (unsigned i = 0; i < n_fds; i++)
		close_fd(&fds[i]);
	if (!taken)
		return end(l, LINK_REFUSED, l->reason);
	h = hello_make(HELLO_JOIN, l->d.generation);
	h.region_octets = l->c.octets;
	rc = hello_send(l->fd, &h, &l->c.fd, 1);
	if (rc)
		return end(l, LINK_REFUSED, "the data plane hung up on our join");
	close_fd(&l->c.fd);
	l->state = LINK_WELCOME;
	return LINK_NONE;
}

/* The data plane has set its positions to 0 before it says welcome; ours are 0 because C is new. */
static void wire_up(struct dp_link *l)
{
	const int wake_dp_fd = l->command.wake_fd;

	ring_writer_init(&l->command, region_section(&l->c, SECTION_COMMAND, 0, NULL),
	                 l->command_lines, region_section(&l->d, SECTION_COMMAND_TAIL, 0, NULL),
	                 wake_dp_fd);
	for (uint16_t i = 0; i < l->n_punt; i++) {
		uint64_t octets = 0;
		const void *const part = region_section(&l->d, SECTION_PUNT, i, &octets);

		ring_reader_init(&l->punt[i], part, ring_lines(octets),
		                 region_section(&l->c, SECTION_PUNT_TAIL, i, NULL));
	}
}

static enum link_event read_welcome(struct dp_link *l)
{
	struct hello h;
	int fds[HELLO_FDS_MAX];
	unsigned n_fds = 0;
	const int rc = hello_receive(l->fd, &h, fds, &n_fds);

	if (rc == -EAGAIN)
		return LINK_NONE;
	for (unsigned i = 0; i < n_fds; i++)
		close_fd(&fds[i]);
	if (rc)
		return end(l, LINK_REFUSED,
		           rc == -EPIPE ? "the data plane hung up on our join"
		                        : "what came was not a hello");
	if (h.kind != HELLO_WELCOME)
		return end(l, LINK_REFUSED,
		           h.kind == HELLO_REFUSE ? h.text : "neither WELCOME nor REFUSE came");
	wire_up(l);
	l->state = LINK_UP;
	return LINK_JOINED;
}

/* Silent while joined; a message now is as much an end as a hang-up. */
static enum link_event read_up(struct dp_link *l)
{
	char octet;
	const ssize_t n = recv(l->fd, &octet, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return LINK_NONE;
	return end(l, LINK_LEFT,
	           n > 0 ? "the data plane spoke out of turn" : "the data plane hung up");
}

enum link_event join_link_poll(struct dp_link *l, uint64_t now_ms)
{
	enum link_event event = LINK_NONE;

	switch (l->state) {
	case LINK_CLOSED:
	case LINK_OVER: return LINK_NONE;
	case LINK_UP: return read_up(l);
	case LINK_OFFER: event = read_offer(l); break;
	case LINK_WELCOME: event = read_welcome(l); break;
	}
	if (event == LINK_NONE && now_ms >= l->deadline_ms)
		return end(l, LINK_REFUSED, "the data plane did not answer in time");
	return event;
}

int join_link_fd(const struct dp_link *l)
{
	return l->state == LINK_CLOSED ? -1 : l->fd;
}

void join_link_hang_up(struct dp_link *l, const char *why)
{
	if (l->state != LINK_CLOSED && l->state != LINK_OVER)
		end(l, LINK_LEFT, why);
}

void join_link_close(struct dp_link *l)
{
	if (l->state == LINK_CLOSED)
		return;
	close_fd(&l->fd);
	close_fd(&l->wake_fd);
	close_fd(&l->command.wake_fd);
	region_leave(&l->d);
	region_leave(&l->c);
	l->state = LINK_CLOSED;
	l->n_punt = 0;
}

bool join_link_sleep(struct dp_link *l)
{
	bool nothing = true;

	for (unsigned i = 0; i < l->n_punt && l->state == LINK_UP; i++)
		nothing = ring_sleep(&l->punt[i]) && nothing;
	for (unsigned i = 0; i < l->n_punt && !nothing; i++)
		ring_awake(&l->punt[i]);
	return nothing;
}

void join_link_awake(struct dp_link *l)
{
	uint64_t n;

	if (l->state != LINK_UP && l->state != LINK_OVER)
		return;
	for (unsigned i = 0; i < l->n_punt; i++)
		ring_awake(&l->punt[i]);
	/* Empty says EAGAIN, which is as good. */
	if (l->wake_fd >= 0 && read(l->wake_fd, &n, sizeof(n)) < 0)
		return;
}
