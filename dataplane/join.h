/*
 * The data plane's end of the join: who may be control, and arming the rings for it.
 *
 * A state machine, polled by the service turn; nothing blocks.
 *   LISTENING  nobody; a connection of the same user, root or the group is offered region D
 *   OFFERED    control has JOIN_WAIT_MS to answer with its region C
 *   JOINED     rings run; the socket is silent, its hang-up is the death notice
 *   DRAINING   control is gone, `joined` is false; workers may still be inside a push
 * Whoever else connects meanwhile is refused with a sentence, or waits in the backlog (DRAINING).
 *
 * Rings restart empty at each join: DRAINING ends with the grace period, after which no worker
 * touches its punt writer, and only then are positions set to 0 and writers pointed at the new
 * control's region. A worker loads `joined` (acquire) once per burst, before its first push, and
 * may push until its next quiescent state.
 *
 * Threads    Service turn only, but for what workers do as just said.
 * Trust      Region C is checked by region_join(); ring contents by ring.h and the service turn.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/region.h"
#include "abi/ring.h"

struct join;

enum join_event { JOIN_NONE, JOIN_JOINED, JOIN_LEFT };
enum { JOIN_WAIT_MS = 2000, JOIN_WORKERS_MAX = 64 };

/* The grace period, without waiting: `start` gives a token, `over` says whether it has passed. */
struct join_grace {
	uint64_t (*start)(void *arg);
	bool (*over)(void *arg, uint64_t token);
	void *arg;
};

struct join_setup {
	const char *path;            /* of the socket: run-dir/dataplane.sock */
	const char *group;           /* may join too and owns the socket; NULL: none */
	const struct region *region; /* D */
	unsigned n_workers;
	struct ring_writer *const *punt; /* n_workers + 1: the workers', then the service turn's */
	_Atomic bool *joined;            /* punts have a reader */
	struct join_grace grace;         /* functions NULL: over at once (no workers) */
};

/* What the data plane keeps in region D. */
struct join_sizes {
	unsigned n_workers;
	uint32_t rows, rows_wide;
	uint32_t listeners, relays, ports, neighbours; /* entries */
	uint32_t punt_lines;                           /* of each punt ring; power of two */
};

/* Region D of that many things: every section of abi.h's first list. 0 or -errno. */
int join_create_region(struct region *out, const struct join_sizes *sizes, uint64_t generation,
                       bool huge, int numa_node);

/*
 * Listens. NULL: the reason is logged and *rc is -errno (-EADDRINUSE: another data plane serves
 * this socket). A socket left by a dead one is replaced. The setup's pointers must outlive it.
 */
struct join *join_open(const struct join_setup *setup, int *rc);
/* No worker may run any more. */
void join_close(struct join *j);

/*
 * Looks at the sockets at most once per millisecond of `now_ms`, so that calling it every turn
 * costs a compare. JOIN_LEFT: what control published before it died can still be read from
 * join_command(); nothing that it writes afterwards.
 */
enum join_event join_poll(struct join *j, uint64_t now_ms);

/* The command ring, or NULL while there is none. Valid until the next join_poll(). */
struct ring_reader *join_command(struct join *j);

/* A bad record or generation: hangs up on control; join_poll() tells JOIN_LEFT next. */
void join_disconnect(struct join *j, const char *why);

/* Descriptors to sleep on (listener, control, eventfd); they change with each join. Returns <= 3.
 */
unsigned join_fds(const struct join *j, int *fds, unsigned cap);
/*
 * The command ring's two halves of sleeping (ring.h); awake drains the eventfd. No sleep while a
 * grace period runs.
 */
bool join_sleep(struct join *j);
void join_awake(struct join *j);

/* Of the joined control; 0 if none. */
uint32_t join_pid(const struct join *j);
