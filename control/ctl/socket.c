#include "control/ctl/socket.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/ctl/commands.h"
#include "control/loop.h"

enum { GROUPS_MAX = 256, BACKLOG = 128, REPLY_MAX = 8 * 1024 * 1024 };

struct client {
	struct ctl_socket *socket;
	struct bufferevent *bev;
	enum ctl_level level;
	bool closing; /* disconnect when the last reply is out */
	bool listens; /* to events of `session`, or 0: of all */
	uint64_t session;
	bool eof; /* nothing more will be asked; what was asked is still answered */
	struct client *next, **link;
};

struct ctl_socket {
	struct control *control;
	struct evconnlistener *listener;
	char path[108];
	gid_t group;
	struct client *clients;
	unsigned n_clients, n_listen;
};

char *ctl_answer(struct control *c, enum ctl_level level, const char *line, size_t len,
                 size_t *reply_len)
{
	struct ctl_error err = { .code = CTL_OK };
	struct ctl_request req;
	json_t *result = NULL;
	char *reply = NULL;

	c->stats.count[CONTROL_CTL_REQUESTS]++;
	if (ctl_request_parse(&req, line, len, &err))
		result = ctl_run(c, level, &req, &err);
	if (!result)
		c->stats.count[CONTROL_CTL_ERRORS]++;
	if (req.id)
		reply = ctl_reply_print(req.id, result, &err, reply_len);
	else
		json_decref(result);
	ctl_request_release(&req);
	return reply;
}

static void client_free(struct client *cl)
{
	*cl->link = cl->next;
	if (cl->next)
		cl->next->link = cl->link;
	cl->socket->n_clients--;
	cl->socket->n_listen -= cl->listens;
	bufferevent_free(cl->bev);
	free(cl);
}

/* An error without a request, then the end. */
static void dismiss(struct client *cl, enum ctl_error_code code, const char *why)
{
	struct ctl_error err;
	size_t len;

	ctl_fail(&err, code, "%s", why);
	char *const line = ctl_reply_print(NULL, NULL, &err, &len);

	if (line)
		bufferevent_write(cl->bev, line, len);
	free(line);
	cl->closing = true;
	bufferevent_disable(cl->bev, EV_READ);
}

/* Soon, but after the other events: nobody is served twice in a row. */
static void look_again(struct client *cl)
{
	bufferevent_trigger(cl->bev, EV_READ,
	                    BEV_TRIG_DEFER_CALLBACKS | BEV_TRIG_IGNORE_WATERMARKS);
}

static void begin_listening(struct client *cl, uint64_t session)
{
	static const struct timeval write_timeout = { .tv_sec = CTL_WRITE_TIMEOUT_S };

	cl->socket->n_listen += !cl->listens;
	cl->listens = true;
	cl->session = session;
	bufferevent_set_timeouts(cl->bev, NULL, &write_timeout);
}

unsigned ctl_socket_listeners(const struct ctl_socket *s)
{
	return s->n_listen;
}

void ctl_socket_tell(struct ctl_socket *s, uint64_t session, const json_t *said)
{
	char *const line = json_dumps(said, JSON_COMPACT);

	for (struct client *cl = s->clients; line && cl; cl = cl->next) {
		if (!cl->listens || cl->closing ||
		    (session && cl->session && cl->session != session))
			continue;
		if (evbuffer_get_length(bufferevent_get_output(cl->bev)) > CTL_UNREAD_MAX) {
			s->control->stats.count[CONTROL_CTL_SLOW]++;
			dismiss(cl, CTL_ERROR_BUSY, "events were not read in time");
			continue;
		}
		bufferevent_write(cl->bev, line, strlen(line));
		bufferevent_write(cl->bev, "\n", 1);
	}
	free(line);
}

/* Answers at most one line; the next one waits until this reply is gone (on_written). */
static void serve(struct client *cl)
{
	struct evbuffer *const in = bufferevent_get_input(cl->bev);
	size_t len, reply_len = 0;
	char *const line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);

	if (!line) {
		if (evbuffer_get_length(in) >= CTL_LINE_MAX) {
			cl->socket->control->stats.count[CONTROL_CTL_TOO_LONG]++;
			dismiss(cl, CTL_ERROR_INVALID, "a line has at most 65536 octets");
		}
		return;
	}
	struct control *const c = cl->socket->control;

	c->listen.asked = false;
	char *const reply = ctl_answer(c, cl->level, line, len, &reply_len);

	if (c->listen.asked)
		begin_listening(cl, c->listen.session);

	OPENSSL_cleanse(line, len);
	free(line);
	if (reply && reply_len <= REPLY_MAX)
		bufferevent_write(cl->bev, reply, reply_len);
	else if (reply)
		dismiss(cl, CTL_ERROR_INTERNAL, "the reply is too large; ask for fewer rows");
	if (reply)
		OPENSSL_cleanse(reply, reply_len);
	free(reply);
	if (evbuffer_get_length(bufferevent_get_output(cl->bev)))
		bufferevent_disable(cl->bev, EV_READ);
	else if (evbuffer_get_length(in)) /* that was a notification */
		look_again(cl);
}

static bool line_waits(const struct client *cl)
{
	return evbuffer_search(bufferevent_get_input(cl->bev), "\n", 1, NULL).pos >= 0;
}

/* The next line, or the end. */
static void go_on(struct client *cl)
{
	struct evbuffer *const out = bufferevent_get_output(cl->bev);

	if (!cl->closing && !evbuffer_get_length(out))
		serve(cl);
	if (!evbuffer_get_length(out) && (cl->closing || (cl->eof && !line_waits(cl))))
		client_free(cl);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
	(void)bev;
	go_on(arg);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct client *const cl = arg;

	if (!cl->closing && !cl->eof)
		bufferevent_enable(bev, EV_READ);
	if (cl->closing || cl->eof || evbuffer_get_length(bufferevent_get_input(bev)))
		look_again(cl);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *const cl = arg;

	(void)bev;
	if ((what & BEV_EVENT_TIMEOUT) && !cl->closing) /* else it was counted already */
		cl->socket->control->stats.count[CONTROL_CTL_SLOW]++;
	if (!(what & BEV_EVENT_EOF)) {
		client_free(cl);
		return;
	}
	cl->eof = true;
	go_on(cl);
}

/* The peer's groups, as it had them when it connected. */
static bool in_group(int fd, gid_t primary, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (primary == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static enum ctl_level level_of(const struct ctl_socket *s, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return CTL_NOBODY;
	if (peer.uid == 0 || peer.uid == geteuid())
		return CTL_ADMIN;
	return in_group(fd, peer.gid, s->group) ? CTL_READ : CTL_NOBODY;
}

/* Refused before it costs anything: one line into an empty socket buffer, then the end. */
static void refuse(struct ctl_socket *s, int fd, enum ctl_error_code code, const char *why)
{
	struct ctl_error err;
	size_t len;

	s->control->stats.count[CONTROL_CTL_REFUSED]++;
	ctl_fail(&err, code, "%s", why);
	char *const line = ctl_reply_print(NULL, NULL, &err, &len);

	if (line)
		(void)!send(fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(line);
	close(fd);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int from_len, void *arg)
{
	static const struct timeval read_timeout = { .tv_sec = CTL_READ_TIMEOUT_S },
				    write_timeout = { .tv_sec = CTL_WRITE_TIMEOUT_S };
	struct ctl_socket *const s = arg;
	const enum ctl_level level = level_of(s, fd);
	const unsigned max = CTL_CLIENTS_MAX - (level == CTL_ADMIN ? 0 : CTL_CLIENTS_ADMIN);

	(void)listener, (void)from, (void)from_len;
	s->control->stats.count[CONTROL_CTL_CLIENTS]++;
	if (level == CTL_NOBODY) {
		refuse(s, fd, CTL_ERROR_DENIED, "you are not in the group of this socket");
		return;
	}
	if (s->n_clients >= max) {
		refuse(s, fd, CTL_ERROR_BUSY, "too many connections; try again later");
		return;
	}
	struct client *const cl = calloc(1, sizeof(*cl));
	struct bufferevent *const bev =
		cl ? bufferevent_socket_new(s->control->base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;

	if (!bev) {
		free(cl);
		refuse(s, fd, CTL_ERROR_BUSY, "no memory");
		return;
	}
	*cl = (struct client){ .socket = s, .bev = bev, .level = level, .next = s->clients };
	cl->link = &s->clients;
	if (cl->next)
		cl->next->link = &cl->next;
	s->clients = cl;
	s->n_clients++;
	bufferevent_setcb(bev, on_readable, on_written, on_event, cl);
	/* The high mark stops reading, so a line without end costs no more than this. */
	bufferevent_setwatermark(bev, EV_READ, 0, CTL_LINE_MAX);
	bufferevent_set_timeouts(bev, &read_timeout, &write_timeout);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* Out of descriptors: the backlog waits, calls go on. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	(void)listener, (void)arg;
	log_warning("control-socket", "accept", "error=\"%s\"", strerror(errno));
}

static bool find_group(const struct config *cfg, gid_t *group, struct config_error *err)
{
	*group = getegid();
	if (!cfg->socket_group)
		return true;
	const struct group *const g = getgrnam(cfg->socket_group);

	if (!g) {
		snprintf(err->text, sizeof(err->text),
		         "control socket: no group '%s'; create it, or change socket-group in %s",
		         cfg->socket_group, cfg->path);
		return false;
	}
	*group = g->gr_gid;
	return true;
}

static int bind_at(const struct ctl_socket *s, struct config_error *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(at.sun_path, s->path, sizeof(at.sun_path));
	unlink(s->path);
	const mode_t mask = umask(0117); /* born with mode 0660 */
	const int rc = fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&at, sizeof(at));

	umask(mask);
	if (rc < 0) {
		snprintf(err->text, sizeof(err->text), "control socket %s: %s", s->path,
		         strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (s->group != getegid() && chown(s->path, (uid_t)-1, s->group) < 0)
		log_warning(
			"control-socket", "group",
			"socket=%s gid=%u error=\"%s\" do=\"add this process's user to the group\"",
			s->path, (unsigned)s->group, strerror(errno));
	return fd;
}

struct ctl_socket *ctl_socket_new(struct control *c, struct config_error *err)
{
	struct ctl_socket *const s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->control = c;
	if (!config_run_path(c->cfg, "control.sock", s->path, sizeof(s->path))) {
		snprintf(err->text, sizeof(err->text),
		         "control socket: run-dir %s is too long for a socket address",
		         c->cfg->run_dir);
		free(s);
		return NULL;
	}
	const int fd = find_group(c->cfg, &s->group, err) ? bind_at(s, err) : -1;

	if (fd >= 0)
		s->listener = evconnlistener_new(c->base, on_accept, s,
		                                 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
		                                 BACKLOG, fd);
	if (!s->listener) {
		if (fd >= 0) {
			snprintf(err->text, sizeof(err->text), "control socket %s: %s", s->path,
			         strerror(errno));
			close(fd);
			unlink(s->path);
		}
		free(s);
		return NULL;
	}
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	return s;
}

void ctl_socket_free(struct ctl_socket *s)
{
	while (s->clients) {
		struct client *const cl = s->clients;

		/* The reply to `stop` has had no turn of the loop to leave. */
		evbuffer_unfreeze(bufferevent_get_output(cl->bev), 1);
		evbuffer_write(bufferevent_get_output(cl->bev), bufferevent_getfd(cl->bev));
		client_free(cl);
	}
	evconnlistener_free(s->listener);
	unlink(s->path);
	free(s);
}
