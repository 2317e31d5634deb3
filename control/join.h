/*
 * Control's end of the join: from connect() to two regions and rings ready to use.
 *
 * One struct dp_link is one life of a joined data plane. It outlives that data plane: after
 * LINK_LEFT region D stays mapped, so that what was punted before the death can still be read and
 * the last counts booked; a new link is opened beside it, and the old one closed when done with.
 *
 * Threads    Control thread only. Nothing blocks: watch join_link_fd(), call join_link_poll().
 * Trust      Whoever may create run-dir/dataplane.sock is the data plane; contents of region D are
 *            checked all the same.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/region.h"
#include "abi/ring.h"

enum { LINK_WORKERS_MAX = 64, LINK_WAIT_MS = 5000 };

enum link_event {
	LINK_NONE,
	LINK_JOINED,  /* rings are ready; everything has to be set again (sync) */
	LINK_REFUSED, /* see `reason`; the link is over */
	LINK_LEFT,    /* the data plane hung up: D stays readable until join_link_close() */
};

enum link_state { LINK_CLOSED, LINK_OFFER, LINK_WELCOME, LINK_UP, LINK_OVER };

struct dp_link {
	struct region d, c;
	struct ring_writer command;
	struct ring_reader punt[LINK_WORKERS_MAX + 1]; /* n_punt; the last is the service turn's */
	unsigned n_punt;
	int fd;      /* the socket: hang-up is the death notice */
	int wake_fd; /* eventfd: readable when a punt ring has something and we said we sleep */
	enum link_state state;
	uint32_t command_lines;
	uint32_t pid; /* of the data plane */
	uint64_t deadline_ms;
	bool huge;        /* C on hugepages when there are any */
	char reason[192]; /* of LINK_REFUSED and LINK_LEFT, for people */
};

/*
 * Connects. `command_lines` is the size of the command ring, a power of two (ring.h). 0; -ENOENT
 * or -ECONNREFUSED: no data plane there yet, try again later; -EACCES: rights of the socket;
 * -errno. The link is zeroed first; on error it needs no close.
 */
int join_link_open(struct dp_link *l, const char *path, uint32_t command_lines, bool huge,
                   uint64_t now_ms);

/* Call when join_link_fd() is readable, and on a timer until LINK_JOINED (the wait is bounded). */
enum link_event join_link_poll(struct dp_link *l, uint64_t now_ms);

/* To watch for reading: hello and hang-up. -1 when there is none. */
int join_link_fd(const struct dp_link *l);

/* Ends it on our side (a bad record of the data plane's, a clean stop). D stays until close. */
void join_link_hang_up(struct dp_link *l, const char *why);

/* Unmaps and closes everything. Harmless on a zeroed or closed link. */
void join_link_close(struct dp_link *l);

/* All punt rings say "asleep" and were looked at again: true: wait on wake_fd. */
bool join_link_sleep(struct dp_link *l);
/* Awake again; drains wake_fd. */
void join_link_awake(struct dp_link *l);
