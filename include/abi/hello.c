#include "abi/hello.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct hello hello_make(enum hello_kind kind, uint64_t generation)
{
	return (struct hello){
		.magic = ABI_MAGIC,
		.major = ABI_MAJOR,
		.minor = ABI_MINOR,
		.kind = kind,
		.generation = generation,
		.pid = (uint32_t)getpid(),
	};
}

int hello_send(int sock, const struct hello *h, const int *fds, unsigned n_fds)
{
	union {
		char octets[CMSG_SPACE(HELLO_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct hello copy = *h;
	struct iovec iov = { .iov_base = &copy, .iov_len = sizeof(copy) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds > HELLO_FDS_MAX)
		return -EINVAL;
	if (n_fds) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *const c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	const ssize_t n = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : 0;
}

/* Takes what came, keeps at most HELLO_FDS_MAX of it; returns how many are kept. */
static unsigned take_fds(struct msghdr *msg, int fds[HELLO_FDS_MAX])
{
	unsigned kept = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (kept < HELLO_FDS_MAX)
				fds[kept++] = fd;
			else
				close(fd);
		}
	}
	return kept;
}

int hello_receive(int sock, struct hello *h, int fds[HELLO_FDS_MAX], unsigned *n_fds)
{
	union {
		char octets[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct hello got;
	struct iovec iov = { .iov_base = &got, .iov_len = sizeof(got) };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = &control,
		              .msg_controllen = sizeof(control) };
	int taken[HELLO_FDS_MAX];
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	const unsigned kept = take_fds(&msg, taken);

	if (n != (ssize_t)sizeof(got) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (unsigned i = 0; i < kept; i++)
			close(taken[i]);
		return n == 0 ? -EPIPE : -EPROTO;
	}
	got.text[sizeof(got.text) - 1] = '\0';
	*h = got;
	memcpy(fds, taken, kept * sizeof(int));
	*n_fds = kept;
	return 0;
}

bool hello_check(const struct hello *h, enum hello_side we, char text[88])
{
	if (h->magic != ABI_MAGIC) {
		snprintf(text, 88, "not a hello of this program (wrong magic number)");
		return false;
	}
	if (h->major == ABI_MAJOR)
		return true;
	const unsigned dp_major = we == HELLO_DATAPLANE ? ABI_MAJOR : h->major;
	const unsigned dp_minor = we == HELLO_DATAPLANE ? ABI_MINOR : h->minor;
	const unsigned c_major = we == HELLO_DATAPLANE ? h->major : ABI_MAJOR;
	const unsigned c_minor = we == HELLO_DATAPLANE ? h->minor : ABI_MINOR;

	snprintf(text, 88,
	         "data plane has ABI %u.%u, control has %u.%u: install one version of both",
	         dp_major, dp_minor, c_major, c_minor);
	return false;
}
