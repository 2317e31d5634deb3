/*
 * stdin and stdout as a reliable stream: SCTP over the path, by usrsctp, the stack of WebRTC's data
 * channels, in its form without threads. Both ends connect at once, as those do.
 *
 * An end of input is a message of its own kind (payload protocol identifier), since SCTP closes
 * only both ways together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usrsctp.h>

#include "control/agent/agent.h"

enum {
	PORT = 0x9000, /* its first octet is no STUN and no ChannelData */
	PATH_MTU = 1180,
	TICK_MS = 10,
	CHUNK = 16384,
	BUFFER = 4 << 20,
	PPID_DATA = 1,
	PPID_END = 2,
};

struct reliable {
	struct socket *sock;
	struct event *readable, *tick;
	uint8_t held[CHUNK]; /* read from stdin, not yet taken by SCTP */
	size_t n_held;
	bool ended, end_sent, their_end, up;
	uint64_t ticked_ms;
};

/* Set while SCTP calls back: there is one agent in the process. */
static struct agent *the_agent;

static int on_packet(void *addr, void *octets, size_t len, uint8_t tos, uint8_t set_df)
{
	(void)addr;
	(void)tos;
	(void)set_df;
	session_send(the_agent, octets, len);
	return 0;
}

static bool put(struct reliable *r, const void *octets, size_t len, uint32_t ppid)
{
	struct sctp_sndinfo info = { .snd_ppid = htonl(ppid) };

	return usrsctp_sendv(r->sock, octets, len, NULL, 0, &info, sizeof(info), SCTP_SENDV_SNDINFO,
	                     0) >= 0;
}

/* As much as SCTP takes; stdin waits meanwhile. */
static void feed(struct agent *g)
{
	struct reliable *const r = g->reliable;

	if (r->n_held > 0 && put(r, r->held, r->n_held, PPID_DATA)) {
		g->sent++;
		r->n_held = 0;
	}
	if (r->n_held == 0 && !r->ended && !event_pending(r->readable, EV_READ, NULL))
		event_add(r->readable, NULL);
	if (r->n_held == 0 && r->ended && !r->end_sent)
		r->end_sent = put(r, "", 1, PPID_END);
}

static void on_stdin(evutil_socket_t fd, short what, void *arg)
{
	struct agent *const g = arg;
	struct reliable *const r = g->reliable;
	ssize_t n;

	(void)what;
	if (r->n_held > 0 || !r->up)
		return;
	n = read(fd, r->held, sizeof(r->held));
	if (n <= 0)
		r->ended = true;
	else
		r->n_held = (size_t)n;
	feed(g);
	if (r->n_held > 0 || r->ended)
		event_del(r->readable);
}

static void write_all(const uint8_t *octets, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(STDOUT_FILENO, octets, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		octets += n;
		len -= (size_t)n;
	}
}

static void drain(struct agent *g)
{
	static uint8_t octets[65536];
	struct reliable *const r = g->reliable;

	for (;;) {
		struct sctp_rcvinfo info = { 0 };
		socklen_t from_len = 0, info_len = sizeof(info);
		unsigned type = 0;
		int flags = 0;
		const ssize_t n = usrsctp_recvv(r->sock, octets, sizeof(octets), NULL, &from_len,
		                                &info, &info_len, &type, &flags);

		if (n <= 0)
			return;
		if (flags & MSG_NOTIFICATION)
			continue;
		if (ntohl(info.rcv_ppid) == PPID_END) {
			r->their_end = true;
			continue;
		}
		g->received++;
		write_all(octets, (size_t)n);
	}
}

static void on_sctp(struct socket *sock, void *arg, int flags)
{
	struct agent *const g = arg;
	struct reliable *const r = g->reliable;
	const int events = usrsctp_get_events(sock);

	(void)flags;
	if (events & SCTP_EVENT_READ)
		drain(g);
	if (events & SCTP_EVENT_WRITE) {
		r->up = true;
		feed(g);
	}
}

/* Nothing of ours is under way any more. */
static bool delivered(const struct reliable *r)
{
	struct sctp_status s;
	socklen_t len = sizeof(s);

	memset(&s, 0, sizeof(s));
	return usrsctp_getsockopt(r->sock, IPPROTO_SCTP, SCTP_STATUS, &s, &len) != 0 ||
	       (s.sstat_unackdata == 0);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct agent *const g = arg;
	struct reliable *const r = g->reliable;
	const uint64_t now = agent_now_ms();

	(void)fd;
	(void)what;
	usrsctp_handle_timers((uint32_t)(now - r->ticked_ms));
	r->ticked_ms = now;
	if (r->end_sent && r->their_end && delivered(r))
		agent_end(g, 0);
}

static struct sockaddr_conn address(struct agent *g)
{
	struct sockaddr_conn a = { .sconn_family = AF_CONN,
		                   .sconn_port = htons(PORT),
		                   .sconn_addr = g };

	return a;
}

static void set_up(struct agent *g)
{
	struct reliable *const r = g->reliable;
	const struct linger linger = { .l_onoff = 1 };
	const int on = 1, size = BUFFER;
	struct sctp_paddrparams params = { 0 };
	struct sockaddr_conn a = address(g);

	usrsctp_set_non_blocking(r->sock, 1);
	usrsctp_setsockopt(r->sock, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	usrsctp_setsockopt(r->sock, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	usrsctp_setsockopt(r->sock, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	usrsctp_setsockopt(r->sock, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on));
	usrsctp_setsockopt(r->sock, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof(on));
	usrsctp_set_upcall(r->sock, on_sctp, g);
	usrsctp_bind(r->sock, (struct sockaddr *)&a, sizeof(a));
	usrsctp_connect(r->sock, (struct sockaddr *)&a, sizeof(a));
	memcpy(&params.spp_address, &a, sizeof(a));
	params.spp_flags = SPP_PMTUD_DISABLE;
	params.spp_pathmtu = PATH_MTU;
	usrsctp_setsockopt(r->sock, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &params, sizeof(params));
}

void reliable_open(struct agent *g)
{
	struct reliable *r;
	const struct timeval t = { .tv_usec = TICK_MS * 1000 };

	if (g->reliable)
		return;
	r = calloc(1, sizeof(*r));
	g->reliable = r;
	if (!r)
		return;
	the_agent = g;
	usrsctp_init_nothreads(0, on_packet, NULL);
	usrsctp_sysctl_set_sctp_ecn_enable(0);
	usrsctp_register_address(g);
	r->ticked_ms = agent_now_ms();
	r->readable = event_new(g->loop, STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, g);
	r->tick = event_new(g->loop, -1, EV_PERSIST, on_tick, g);
	event_add(r->tick, &t);
	r->sock = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
	if (!r->sock) {
		fprintf(stderr, "turnpike-agent: no SCTP: %s\n", strerror(errno));
		agent_end(g, 1);
		return;
	}
	set_up(g);
}

void reliable_input(struct agent *g, const uint8_t *octets, size_t len)
{
	if (!g->reliable)
		reliable_open(g);
	if (g->reliable && g->reliable->sock)
		usrsctp_conninput(g, octets, len, 0);
}

void reliable_close(struct agent *g)
{
	struct reliable *const r = g->reliable;

	if (!r)
		return;
	if (r->sock)
		usrsctp_close(r->sock);
	usrsctp_deregister_address(g);
	usrsctp_finish();
	event_free(r->readable);
	event_free(r->tick);
	free(r);
}
