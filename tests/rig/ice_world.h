/*
 * Two agents on the simulated network, each behind what a kind says, and the trace of both under
 * the eyes of the checker (ice_check.h).
 */
#pragma once

#include "control/ice/ice.h"
#include "tests/rig/ice_check.h"
#include "tests/rig/ice_net.h"

/* Where a side is. */
#define WORLD_KINDS(X)                         \
	X(PUBLIC, "public")                    \
	X(CONE, "full cone")                   \
	X(ADDRESS, "address-restricted")       \
	X(PORT, "port-restricted")             \
	X(SYMMETRIC, "symmetric")              \
	X(TWICE, "symmetric behind symmetric") \
	X(BLOCKED, "UDP to the relay only")    \
	X(SIX, "IPv6 only")                    \
	X(BROKEN_SIX, "dual stack with broken IPv6")

enum world_kind {
#define X(name, text) WORLD_##name,
	WORLD_KINDS(X)
#undef X
		WORLD_KIND_COUNT
};
extern const char *const world_kind_name[WORLD_KIND_COUNT];

struct world_plan {
	uint64_t seed;
	enum world_kind kind[2];
	bool same_nat, hairpin; /* both behind kind[0]'s NAT */
	struct net_link link;
	bool stun, turn; /* servers of both sides */
	bool trickle;
	unsigned streams, components;
	unsigned signal_ms; /* how long descriptions and candidates travel */
	bool both_control;  /* a role conflict */
	bool lite;          /* side 1 */
	bool leg;           /* side 1 is sized as a leg on a relay */
	bool late;          /* side 1 describes itself only after its checks could have come */
};

struct world_side {
	struct ice_agent *a;
	int host[ICE_BASES_MAX];
	unsigned n_bases;
	unsigned network; /* 0: none of its own */
	uint64_t completed_ms, failed_ms, ended_ms;
	enum ice_reason why;
	unsigned restarts_wanted;
	uint64_t data; /* datagrams of the other side that came */
	uint64_t last_data_ms;
	bool described, gathered, asked;
	uint64_t random;
	struct ice_check *check;
	unsigned tx;
};

struct signal_post;

struct world {
	struct world_plan plan;
	struct net *net;
	struct world_side side[2];
	struct signal_post *post;
	unsigned n_posts;
};

struct world *world_new(const struct world_plan *plan);
void world_free(struct world *w);
/* Runs the clock to `until_ms`; data_ms: each side sends a datagram so often, 0: never. */
void world_run(struct world *w, uint64_t until_ms, unsigned data_ms);
/* Until both sides have decided, at most until `until_ms`. */
void world_settle(struct world *w, uint64_t until_ms);
/* A side restarts and both exchange descriptions anew. */
void world_restart(struct world *w, unsigned side);
uint64_t world_now(const struct world *w);
