/*
 * Next hops: a small table that rows name by index. A MAC that changes (VRRP, a replaced host) is
 * one store here and touches no row.
 *
 * Threads    Written by the service turn (route.c). Read by workers: one 64-bit load gives MAC and
 *            state together, so a reader never sees half a change.
 * Lifetime   An index is given once per (port, next hop) and stays for the life of the process
 * while rows use it; unused entries are reused after a grace period.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "abi/abi.h"
#include "addr.h"

enum { ADJACENCY_MAX = 65535, ADJACENCY_NONE = 0 /* index 0 is never a next hop */ };

enum adjacency_kind {
	ADJACENCY_WIRE = 1,
	ADJACENCY_TURNED = 2 /* hairpin */,
	ADJACENCY_STREAM = 3
};

struct adjacency {
	/* Octets 0..5 destination MAC, octet 6 enum neighbour_state, octet 7 zero. */
	_Atomic uint64_t mac_state;
	uint8_t src_mac[6];
	uint16_t port; /* index into dataplane.ports */
	uint16_t mtu;  /* largest IP packet */
	uint8_t kind;
	uint8_t reserved[5];
	uint64_t reserved2;
};
static_assert(sizeof(struct adjacency) == 32, "two to a line");

struct adjacency_table {
	struct adjacency entry[ADJACENCY_MAX + 1];
};

/* Writes the twelve octets of MACs to `eth`. Returns the state; the MACs count only if RESOLVED. */
static inline unsigned adjacency_fill(const struct adjacency *a, uint8_t *eth)
{
	union {
		uint64_t word;
		uint8_t octet[8];
	} u = { .word = atomic_load_explicit(&a->mac_state, memory_order_acquire) };

	memcpy(eth, u.octet, 6);
	memcpy(eth + 6, a->src_mac, 6);
	return u.octet[6];
}
