/* The state of a server as its operators see it, to compare two lives of it. */
#pragma once

#include "tests/rig/turn_rig.h"

struct snapshot_entry {
	struct turn_info info;
	struct turn_peer *peers;
	unsigned n_peers;
};

struct snapshot {
	struct snapshot_entry *list; /* by id */
	unsigned n;
	size_t n_flows;
	struct rig_flow *flows; /* sorted */
};

void snapshot_take(struct snapshot *s, struct rig *r);
bool snapshot_equal(const struct snapshot *a, const struct snapshot *b);
void snapshot_free(struct snapshot *s);
