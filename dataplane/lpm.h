/*
 * Longest prefix match over the kernel's routes, both families in one table: a hash of prefixes and
 * a count of how many routes have each length. Add and remove are constant time, so that a full
 * BGP table may churn; a lookup probes once per length in use, longest first.
 *
 * Threads    Service turn only.
 * Memory     A fixed number of routes, allocated once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

enum { LPM_ROUTES_MAX = 1 << 17, LPM_NO_PORT = 0xFFFF /* blackhole, or a link that is not ours */ };

struct lpm_route {
	struct prefix prefix; /* host bits zero; an IPv4 length is 96 and up */
	struct addr via;      /* next hop, of either family, if has_via */
	uint32_t metric;      /* smaller wins */
	uint32_t link;        /* ifindex: part of what tells two routes apart */
	uint16_t port;        /* index into dataplane.ports, or LPM_NO_PORT */
	uint16_t mtu;         /* 0: the port's */
	bool has_via;
	uint8_t generation; /* the caller's, for lpm_sweep() */
};

struct lpm;

struct lpm *lpm_new(unsigned max);
void lpm_free(struct lpm *t);

/* Adds; a route with equal prefix, metric, link and via is replaced. false: full. */
bool lpm_set(struct lpm *t, const struct lpm_route *r);
/* Removes that one; false: not there. */
bool lpm_remove(struct lpm *t, const struct lpm_route *r);
/* Removes all with this prefix and metric, as a kernel's replace does. */
void lpm_remove_all(struct lpm *t, const struct prefix *prefix, uint32_t metric);

/*
 * The route for `dest`, none longer than `longest` bits (128: any), or NULL. Valid until the table
 * changes.
 */
const struct lpm_route *lpm_find(const struct lpm *t, const struct addr *dest, unsigned longest);

/* Removes what has another generation; returns how many. */
unsigned lpm_sweep(struct lpm *t, uint8_t generation);
unsigned lpm_count(const struct lpm *t);

/* `a` with all but the first `len` bits cleared. */
struct addr lpm_mask(const struct addr *a, unsigned len);
