#include "control/ctl/client.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/ctl/request.h"
#include "exit.h"

static json_t *fail(struct client_error *err, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static json_t *fail(struct client_error *err, int status, const char *fmt, ...)
{
	va_list ap;

	err->status = status;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return NULL;
}

static const char *advice(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return "is turnpike running with this configuration? start it, or give another -c "
		       "FILE or --socket PATH";
	case EACCES:
		return "only root, the relay's user and members of the socket's group may; try "
		       "sudo";
	case EAGAIN: return "the relay has too many connections waiting; try again";
	default: return "see the relay's log";
	}
}

int client_connect(const char *path, struct client_error *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const struct timeval wait = { .tv_sec = CLIENT_TIMEOUT_S };

	if (strlen(path) >= sizeof(at.sun_path)) {
		fail(err, EXIT_CODE_USAGE, "%s is too long for a socket address", path);
		return -1;
	}
	memcpy(at.sun_path, path, strlen(path));
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		fail(err, EXIT_CODE_RESOURCE, "cannot reach %s: %s: %s", path, strerror(errno),
		     advice(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	return fd;
}

/* false when the other side is gone; a refusal may still lie in our buffer. */
static bool send_all(int fd, const char *text, size_t len)
{
	while (len) {
		const ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

/* One line, malloc'd, NUL-terminated. */
static char *read_line(int fd, size_t *len, struct client_error *err)
{
	size_t cap = 0, n = 0;
	char *line = NULL;

	for (;;) {
		if (n + 1 >= cap) {
			char *const more =
				cap < CLIENT_REPLY_MAX ? realloc(line, cap += 65536) : NULL;

			if (!more) {
				fail(err, EXIT_CODE_FAILURE, "the reply is larger than %d octets",
				     CLIENT_REPLY_MAX);
				break;
			}
			line = more;
		}
		const ssize_t got = recv(fd, line + n, cap - 1 - n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			fail(err, EXIT_CODE_RESOURCE, "%s",
			     got == 0 ? "the relay hung up without an answer"
			              : "the relay did not answer in time; is it stopped or "
			                "overloaded?");
			break;
		}
		char *const end = memchr(line + n, '\n', (size_t)got);

		n += (size_t)got;
		if (end) {
			*end = '\0';
			*len = (size_t)(end - line);
			return line;
		}
	}
	free(line);
	return NULL;
}

static json_t *take_reply(json_t *reply, struct client_error *err)
{
	json_t *const result = json_object_get(reply, "result");
	json_t *const error = json_object_get(reply, "error");

	if (result)
		return json_incref(result);
	const char *const text = json_string_value(json_object_get(error, "message"));
	const json_int_t code = json_integer_value(json_object_get(error, "code"));

	if (!text)
		return fail(err, EXIT_CODE_FAILURE, "the answer is neither result nor error");
	return fail(err,
	            code == CTL_ERROR_PARAMS || code == CTL_ERROR_METHOD ? EXIT_CODE_USAGE
	            : code == CTL_ERROR_BUSY                             ? EXIT_CODE_RESOURCE
	                                                                 : EXIT_CODE_FAILURE,
	            "%s", text);
}

/* false: err says why. */
static bool send_request(int fd, const char *method, json_t *params, struct client_error *err)
{
	json_t *const request = json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id", 1,
	                                  "method", method, "params", params);
	char *const text = json_dumps(request, JSON_COMPACT);

	json_decref(request);
	if (!text) {
		fail(err, EXIT_CODE_USAGE, "a parameter is not UTF-8");
		return false;
	}
	/* A refusal may have come before we could ask: read even if sending fails. */
	(void)(send_all(fd, text, strlen(text)) && send_all(fd, "\n", 1));
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	return true;
}

json_t *client_call(int fd, const char *method, json_t *params, struct client_error *err)
{
	size_t len = 0;
	char *const line = send_request(fd, method, params, err) ? read_line(fd, &len, err) : NULL;

	if (!line)
		return NULL;
	json_error_t where;
	json_t *const reply = json_loadb(line, len, 0, &where);
	json_t *const result =
		reply ? take_reply(reply, err)
		      : fail(err, EXIT_CODE_FAILURE, "the answer is not JSON: %s", where.text);

	OPENSSL_cleanse(line, len);
	free(line);
	json_decref(reply);
	return result;
}

/* false: that was the reply, and it says no. */
static bool take_line(json_t *line, void (*said)(void *, const json_t *), void *arg,
                      struct client_error *err)
{
	json_t *const params = json_object_get(line, "params");

	if (params) {
		said(arg, params);
		return true;
	}
	json_t *const result = take_reply(line, err);

	json_decref(result);
	return result != NULL;
}

void client_follow(int fd, const char *method, json_t *params, void (*said)(void *, const json_t *),
                   void *arg, struct client_error *err)
{
	static const struct timeval forever = { 0 };
	FILE *const in = fdopen(dup(fd), "r");
	bool good = in && send_request(fd, method, params, err);
	char *line = NULL;
	size_t cap = 0;

	fail(err, EXIT_CODE_RESOURCE, "the relay hung up");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	while (good && getline(&line, &cap, in) > 0) {
		json_t *const one = json_loads(line, 0, NULL);

		good = one && take_line(one, said, arg, err);
		json_decref(one);
	}
	free(line);
	if (in)
		fclose(in);
}

bool client_wait_end(int fd, int timeout_s)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char octet;

	return poll(&p, 1, timeout_s * 1000) == 1 && recv(fd, &octet, 1, MSG_DONTWAIT) <= 0;
}
