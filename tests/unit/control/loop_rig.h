/*
 * A whole control process in a thread of the test, with the engine stub and a run directory of its
 * own. The control socket is there when rig_start() returns.
 */
#pragma once

#include <pthread.h>

#include "control/loop.h"
#include "engine_stub.h"

struct loop_rig {
	char dir[64], file[96], ctl_path[96], dp_path[96];
	struct control *c;
	struct turn_server *srv;
	struct store *store;
	pthread_t thread;
	enum loop_stop stopped; /* after rig_join() */
};

void rig_start(struct loop_rig *r);
/* Waits for the loop to end; the engine stays until rig_end(). */
void rig_join(struct loop_rig *r);
void rig_end(struct loop_rig *r);

/* One counter by name, asked for through the control socket. */
long long rig_counter(const struct loop_rig *r, const char *name);
/* Asks until it is so, 5 s at most. */
bool rig_counter_becomes(const struct loop_rig *r, const char *name, long long want);
