/*
 * What route.c (next hops) and route_kernel.c (netlink) share.
 *
 * A *hop* is one adjacency index: for a destination on the link its own address, for one behind a
 * gateway the prefix of the route that leads there, so that a million clients behind one router
 * share one index. A *neighbour* is who answers on the link; several hops may name one.
 */
#pragma once

#include "dataplane/lpm.h"
#include "dataplane/port.h"
#include "dataplane/route.h"

enum { NEIGHBOURS_MAX = 65535, OWN_MAX = 512, CHANGES_MAX = 16 };

struct neighbour {
	struct addr ip;
	uint16_t port;
	uint8_t mac[6];
	uint8_t state; /* enum neighbour_state */
	uint8_t generation;
	bool permanent;     /* made by hand, or needs no resolution: not ours to ask for */
	uint16_t first_hop; /* 0: not in use */
	uint16_t hash_next;
	uint32_t asked_ms;
};

enum hop_life { HOP_FREE, HOP_LIVE, HOP_RESTING };

struct hop {
	struct prefix key; /* a destination (bits 128) or a route's prefix */
	uint8_t by_route;
	uint8_t life;
	uint16_t neighbour; /* 0: no way there */
	uint16_t hash_next;
	uint16_t same_next, same_prev; /* of one neighbour */
	uint16_t list_next, list_prev; /* idle ones by age; free and resting ones */
	uint32_t users, idle_ms;
	uint64_t token; /* RESTING: of the grace period */
};

/* Interface addresses on the TAPs. */
struct own {
	struct prefix prefix;
	uint32_t link;
	uint8_t generation;
};

struct list {
	uint16_t first, last;
};

struct route {
	struct dataplane *dp;
	struct lpm *lpm;
	struct own own[OWN_MAX];
	unsigned n_own;
	struct neighbour *neighbour; /* NEIGHBOURS_MAX + 1 */
	struct hop *hop;             /* ADJACENCY_MAX + 1 */
	uint16_t *neighbour_bucket, *hop_bucket;
	uint16_t neighbour_free, neighbour_fresh, hop_fresh;
	struct list idle, resting;
	uint16_t hop_free;
	route_event *on_event;
	uint32_t epoch;
	bool missed; /* somebody asked for a way and there was none */

	/* What changed since hops were last pointed; more than fit: everything. */
	struct prefix change[CHANGES_MAX];
	unsigned n_changes;

	/* route_kernel.c */
	struct mnl_socket *socket;
	uint64_t poll_at, poll_every; /* in TSC cycles */
	uint32_t now_ms, chores_ms;
	uint8_t generation;
	uint8_t dumping;  /* stage, 0: none */
	bool again;       /* another resync is due */
	bool dump_broken; /* the tables changed under the dump */
	bool managed;     /* the kernel takes NTF_EXT_MANAGED */
	bool full_told;
	uint32_t sequence;
	uint32_t link_flags[CONFIG_PORTS_MAX];
	struct abi_neighbour *shown;
	uint64_t n_shown;
};

/* --- route.c --- */

/* A neighbour's news: every hop that names it follows. */
void route_neighbour_set(struct route *r, struct neighbour *n, enum neighbour_state state,
                         const uint8_t *mac);
struct neighbour *route_neighbour_find(struct route *r, uint16_t port, const struct addr *ip);
/* An address of the host on one of the TAPs. */
bool route_is_own(const struct route *r, const struct addr *a);
/* Routes under `p` came or went: hops are pointed again at the end of route_poll(). */
void route_changed(struct route *r, const struct prefix *p, bool added);
void route_point_all(struct route *r);
/* Frees hops that nobody used for a while. */
void route_expire(struct route *r);

/* --- route_kernel.c --- */

/* Asks the kernel to find the neighbour and to keep knowing it. */
void route_ask(struct route *r, struct neighbour *n);
/* The kernel need not keep it known any longer. */
void route_forget(struct route *r, const struct neighbour *n);
bool route_kernel_open(struct route *r);
void route_kernel_close(struct route *r);
