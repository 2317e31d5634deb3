/*
 * The service turn: the single writer of every table. Commands of control checked and applied,
 * replies and kernel frames handed to inject rings, reassembly, ICMP, frames that wait for a
 * neighbour, netlink, join, reload, port statistics. It never transmits.
 *
 * Threads    One: a core of its own, or worker 0 once per loop.
 */
#pragma once

#include <rte_mbuf.h>

#include "dataplane/dataplane.h"

/* Why a worker gives a frame to the service turn; travels in the mbuf (m->hash.usr). m->port is the
 * index of the dataplane port it came by. */
enum give {
	GIVE_KERNEL = 1, /* to the exception port */
	GIVE_FRAGMENT,   /* to reassembly */
	GIVE_ICMP,       /* quotes a relayed packet */
	GIVE_UNRESOLVED, /* finished frame, adjacency (upper 16 bits) not resolved yet: hold and
	                    kick */
};

struct service *service_new(struct dataplane *dp);
void service_free(struct service *s);

/* From any worker; false (counted by the caller as service_full, or exception_full) when full. */
bool service_give(struct dataplane *dp, struct rte_mbuf *m, enum give why, uint16_t aux);

/* One turn of at most `budget` units of work each kind; returns how much was done. */
unsigned service_turn(struct service *s, unsigned budget);

/* Descriptors to sleep on besides the ports': returns how many were written. */
unsigned service_fds(struct service *s, int *fds, unsigned cap);
/* Before sleeping: marks the command ring's reader asleep and looks once more; true: may sleep. */
bool service_sleep(struct service *s);
void service_awake(struct service *s);

/* Loop for a core of its own. */
void service_run(struct service *s);
