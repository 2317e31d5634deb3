/*
 * turnpike-agent: an ICE agent as a program. One struct; its files are its parts:
 *
 *   main.c        from options to exit code
 *   session.c     the agent, its timer, what it tells
 *   sockets.c     local addresses, UDP sockets, ICMP errors
 *   rendezvous.c  descriptions out and in
 *   lines.c       stdin and stdout as datagrams
 *   reliable.c    stdin and stdout as a stream, by SCTP
 *   nat_type.c    RFC 5780
 *
 * Threads    One; libevent's loop.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "control/agent/options.h"
#include "control/ice/ice.h"

struct agent;

struct agent_socket {
	struct agent *agent;
	int fd;
	int base; /* of the ICE agent */
	struct endpoint at;
	struct event *readable;
	bool gone;
};

struct lines;
struct reliable;

struct agent {
	struct agent_options o;
	struct event_base *loop;
	struct ice_agent *ice;
	struct event *timer, *watch, *interrupt;
	struct agent_socket socket[ICE_BASES_MAX];
	unsigned n_sockets;

	bool gathered, described, connected, finished;
	bool awaiting;            /* the other side's description, first or after a restart */
	unsigned lost_generation; /* of ICE: the last one that had a path */
	char *last_remote;        /* the text that was taken */
	uint64_t waiting_since_ms, remote_ms, connect_ms;
	uint64_t sent, received, lost;
	struct ice_selected first; /* path found first */
	FILE *trace;
	int code;

	struct lines *lines;
	struct reliable *reliable;
};

uint64_t agent_now_ms(void);
/* Ends the loop. */
void agent_end(struct agent *g, int code);

/* session.c */
bool session_open(struct agent *g);
void session_close(struct agent *g);
/* Does what is due, sets the timer. After every input. */
void session_run(struct agent *g);
bool session_send(struct agent *g, const void *octets, size_t len);
void session_restart(struct agent *g);
const char *session_path_text(const struct agent *g, char *out, size_t cap);

/* sockets.c */
/* A socket on each local address that has none yet; how many there are. */
unsigned sockets_open(struct agent *g);
void sockets_close(struct agent *g);
void sockets_send(struct agent *g, const struct ice_datagram *d);
/* Drops the bases whose address went away; true: something changed. */
bool sockets_look(struct agent *g);

/* rendezvous.c */
bool rendezvous_write(struct agent *g);
void rendezvous_watch(struct agent *g);
/* A description is awaited from now on. */
void rendezvous_await(struct agent *g);
/* Ends the program if it has been awaited for too long. */
void rendezvous_look(struct agent *g);
void rendezvous_close(struct agent *g);

/* lines.c, reliable.c: what the path carries. */
void lines_open(struct agent *g);
void lines_input(struct agent *g, const uint8_t *octets, size_t len);
void lines_close(struct agent *g);
void reliable_open(struct agent *g);
void reliable_input(struct agent *g, const uint8_t *octets, size_t len);
void reliable_close(struct agent *g);

/* nat_type.c: an exit code. */
int nat_type_run(const struct ice_server *server);
