#include "control/ready.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

/* One descriptor, one line: `ready: LISTENERS`. */
static void tell_supervisor(const char *listeners)
{
	const char *const env = getenv("TURNPIKE_READY_FD");
	char *end = NULL;
	const long fd = env ? strtol(env, &end, 10) : -1;

	if (!env || fd < 0 || fd > INT32_MAX || *end)
		return;
	if (dprintf((int)fd, "ready: %s\n", listeners) < 0)
		log_warning("relay", "ready", "ready_fd=%ld error=\"%s\"", fd, strerror(errno));
	close((int)fd);
	unsetenv("TURNPIKE_READY_FD");
}

/* What libsystemd's sd_notify() does; a library for one datagram would be much. */
static void tell_manager(const char *state)
{
	const char *const path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(at.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(at.sun_path, path, len);
	if (path[0] == '@')
		at.sun_path[0] = '\0'; /* abstract */
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const socklen_t at_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);

	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&at, at_len) <
	    0)
		log_warning("relay", "notify", "socket=%s error=\"%s\"", path, strerror(errno));
	close(fd);
}

void ready_tell(const char *listeners)
{
	char state[512];

	tell_supervisor(listeners);
	snprintf(state, sizeof(state), "READY=1\nSTATUS=serving %.400s", listeners);
	tell_manager(state);
}

void ready_tell_stopping(void)
{
	tell_manager("STOPPING=1\nSTATUS=ending allocations");
}
