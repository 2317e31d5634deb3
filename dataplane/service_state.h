/* What the files of the service turn share: service.c, service_commands.c, service_reload.c. */
#pragma once

#include "abi/punt.h"
#include "dataplane/answer.h"
#include "dataplane/hold.h"
#include "dataplane/join.h"
#include "dataplane/retire.h"
#include "dataplane/route.h"
#include "dataplane/service.h"
#include "dataplane/worker.h"
#include "policy.h"

enum { SERVICE_EVENTS = 8192 };

struct icmp;
struct reassembly;

struct service {
	struct dataplane *dp;
	/*
	 * The service turn as a worker: what answer.c, slow.c and datagram.c need. It owns no
	 * queue, so what it sends goes through the foreign ring of the port's owner.
	 */
	struct worker self;
	struct answer *answers[CONFIG_WORKERS_MAX + 1];

	struct rte_ring *work, *kernel; /* from the workers */
	int wake_fd;
	_Atomic uint32_t sleeping;
	bool own_core; /* else a part of worker 0 */

	struct route *route;
	struct join *join;
	struct ring_writer *punts[CONFIG_WORKERS_MAX + 1];
	struct retire retire;
	struct hold *hold;
	struct reassembly *reassembly;
	struct icmp *icmp;

	struct policy policy;
	const struct config *first; /* ports borrow from it; main's to free */
	struct config *reloaded;    /* the newest configuration, when it is not the first */
	struct life *life;

	/* Row events that found the punt ring full; commands wait while there is no room. */
	struct {
		uint16_t kind;
		struct punt_row row;
	} event[SERVICE_EVENTS];
	unsigned first_event, n_events;
	bool syncing; /* CMD_SYNC_END is being carried out */
	uint64_t sync_tag;
	uint32_t deletes; /* whose grace period is not over */

	uint32_t route_epoch, followed; /* rows were led by that epoch; places looked at since */
	uint64_t next_ms, next_s;       /* when the slower chores are due, in ns */
	uint64_t exception_ns;          /* token bucket of the exception port */
	uint32_t exception_tokens;
	bool ready;
};

/* service.c: hands a finished frame to worker `worker`, which owns a queue on `port`. */
void service_inject(struct service *s, unsigned worker, uint16_t port, struct rte_mbuf *m);
/* Fills in the Ethernet addresses and sends, or lets the frame wait for its neighbour. */
void service_leave(struct service *s, uint16_t adjacency, unsigned worker, struct rte_mbuf *m);
/* Queues a row event for control (or PUNT_TABLES, row NULL). There is room for it. */
void service_event(struct service *s, uint16_t kind, const struct punt_row *row);
bool service_event_room(const struct service *s, unsigned n);

/* service_commands.c: up to `budget` commands; how many. */
unsigned service_commands(struct service *s, unsigned budget);
/* Rows whose grace period is over: their final counts. */
unsigned service_finals(struct service *s);
/* A control joined: nothing of the last one's is left to say. */
void service_commands_begin(struct service *s);

/* service_routes.c: rows follow routes that came after them, a few at a time. */
void service_follow_routes(struct service *s);

/* service_reload.c: reads the file again; the old configuration stays when it is refused. */
bool service_reload(struct service *s);
/* Listeners, relays and the rest of what stands in region D about the configuration. */
void service_publish(struct service *s);
