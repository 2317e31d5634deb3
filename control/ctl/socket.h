/*
 * The control socket: run-dir/control.sock, mode 0660, JSON-RPC lines (request.h).
 *
 * Identity   SO_PEERCRED. Admin: root and the user this process runs as. Read-only: members of the
 *            socket's group (socket-group of the configuration, else this process's own).
 * Bounds     CTL_CLIENTS_MAX connections, the last CTL_CLIENTS_ADMIN of them for admins; a line of
 *            CTL_LINE_MAX; the next request is read when the reply to the last one is gone, so a
 *            connection holds one reply; whoever does not read or says nothing is disconnected.
 * Threads    Control thread only.
 */
#pragma once

#include "config.h"
#include "control/ctl/grammar.h"

#include <jansson.h>

struct control;
struct ctl_socket;

enum {
	CTL_CLIENTS_MAX = 64,
	CTL_CLIENTS_ADMIN = 8,
	CTL_WRITE_TIMEOUT_S = 10, /* no octet of a reply taken for so long */
	CTL_READ_TIMEOUT_S = 300, /* nothing asked for so long; not for those who listen */
	CTL_UNREAD_MAX = 1 << 20, /* octets of events that wait for a client */
};

/* Binds and listens; a socket left behind is replaced (the store's lock proves it is nobody's). */
struct ctl_socket *ctl_socket_new(struct control *c, struct config_error *err);
/* Hands out what is still queued, as far as sockets take it at once; removes the file. */
void ctl_socket_free(struct ctl_socket *s);

/* How many clients asked for events. */
unsigned ctl_socket_listeners(const struct ctl_socket *s);
/*
 * One line to each client that listens to this session; 0: to each that listens at all. Who does
 * not read is let go when CTL_UNREAD_MAX octets wait.
 */
void ctl_socket_tell(struct ctl_socket *s, uint64_t session, const json_t *said);

/*
 * One line to one reply line (malloc'd; NULL: nothing is due). The whole path of a request but the
 * socket.
 */
char *ctl_answer(struct control *c, enum ctl_level level, const char *line, size_t len,
                 size_t *reply_len);
