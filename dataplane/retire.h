/*
 * Memory that workers may still read: freed when each of them has gone through a quiescent state.
 *
 * Threads    Service turn only.
 */
#pragma once

#include "dataplane/dataplane.h"

enum { RETIRE_MAX = 512 };

struct retire {
	struct rte_rcu_qsbr *qsbr; /* NULL: no readers, everything is freed at once */
	struct {
		void *what;
		void (*release)(void *what);
		uint64_t token;
	} entry[RETIRE_MAX];
	unsigned first, n;
};

/* Room for `n` more; when there is not, take no command that retires anything. */
bool retire_room(const struct retire *r, unsigned n);
/* NULL is nothing. There must be room. */
void retire_later(struct retire *r, void *what, void (*release)(void *));
/* Frees what is due; never waits. */
void retire_run(struct retire *r);
/* No reader is left: frees everything. */
void retire_all(struct retire *r);
