/*
 * Flow tables: a bucketed cuckoo table by key and a direct table by relayed port, both naming rows.
 * Layouts in abi/row.h; rows and their cold counts lie in region D, everything else is private.
 *
 * Threads    One writer, the service turn. Lock-free readers, the workers, who go through a
 *            quiescent state once per loop (QSBR). A displaced entry is copied before the old one
 * is cleared; a reader that misses re-reads a move counter and retries only if it changed. Lifetime
 * Rows are freed after the grace period; final counts are read then.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/row.h"
#include "abi/punt.h"
#include "dataplane/dataplane.h"

/* row.flags */
enum row_flag {
	ROW_FLAG_WIDE = 1u << 0,   /* peer address in the second line */
	ROW_FLAG_TURNED = 1u << 1, /* the peer is one of our relayed addresses: hairpin */
	ROW_FLAG_METERED = 1u << 2,
	ROW_FLAG_MIRRORED = 1u << 3,
	ROW_FLAG_MEASURED = 1u << 4,
	ROW_FLAG_NOTIFY = 1u << 5,
	ROW_FLAG_LEG = 1u << 6, /* of an ICE session: struct row_leg */
	ROW_FLAG_STREAM = 1u << 7,
	ROW_FLAG_STRICT = 1u << 8,
	ROW_FLAG_CLIENT6 = 1u << 9, /* the client leg is IPv6 */
	ROW_FLAG_PEER6 = 1u << 10,  /* the peer leg is IPv6 */
	ROW_FLAG_SPILL = 1u << 11,  /* allocation: further bound peers have rows of their own */
};

struct flow_table;

/* `rows`, `rows_wide`, `foreign` are the sections of region D. `secret`: two words for the hash. */
struct flow_table *flow_create(struct region *region, uint32_t n_rows, uint32_t n_rows_wide,
                               unsigned n_relays, const uint64_t secret[2],
                               struct rte_rcu_qsbr *qsbr);
/* Rows for this configuration, narrow ones and those of IPv6 peers. */
void flow_sizes(const struct config *cfg, uint32_t *rows, uint32_t *rows_wide);
void flow_destroy(struct flow_table *t);

/*
 * Listener and relayed addresses behind the ids, for precomputed checksums: after flow_create() and
 * after each reload, before the next set. Ids never change what they stand for.
 */
struct local_table;
void flow_use_local(struct flow_table *t, const struct local_table *local);

/* --- readers --- */

/* rows[i] is the row index of keys[i], or ROW_NONE. n <= 64; prefetches in stages. */
void flow_lookup_bulk(const struct flow_table *t, const struct flow_key *keys, unsigned n,
                      uint32_t *rows);
/* One key, in any order with the writer; ROW_NONE. */
uint32_t flow_find(const struct flow_table *t, const struct flow_key *key);
struct row *flow_row(const struct flow_table *t, uint32_t row);
/* The allocation row behind relayed address id and port (network order), or ROW_NONE. */
uint32_t flow_by_port(const struct flow_table *t, uint16_t relay, uint16_t port);
/* Counts one packet on `row` for `worker` (claims, counts in the row or in the cold array). */
void flow_count(struct flow_table *t, uint32_t row, struct row *r, uint8_t worker, uint32_t octets);

/* --- the writer --- */

enum flow_result { FLOW_OK, FLOW_FULL, FLOW_NO_PARENT, FLOW_UNKNOWN };

/*
 * Compiles one flow of control's into rows: idempotent; a second set of the same key changes data
 * and deadlines in place without a moment in which readers see neither. `adjacency` is the next hop
 * of the row's packets (allocation: to the client; channel and permission: to the peer), `turned`
 * marks a peer of our own. On FLOW_OK *row is the index that counts, and the set keeps the caller's
 * use of `adjacency` until flow_reclaim() gives one back; on anything else the caller keeps it.
 *
 * A channel gives two directions: the client's row, and inward the first bound peer inside the
 * allocation's row or a FLOW_BOUND_PEER row of its own. One that is bound to another peer gets a
 * new row by one store; the old one is reported with the tag it was set with. So is what an
 * allocation still has under it when it goes.
 *
 * Allocation rows count everything to the client, channel rows what the client sends by channel,
 * permission rows what it sends by Send.
 */
enum flow_result flow_set(struct flow_table *t, const struct cmd_flow *c, uint16_t adjacency,
                          bool turned, bool strict, uint32_t *row);
/* Unlinks now; the row returns to the pool after the grace period, then flow_reclaim() reports it.
 * *adjacency is told for the record: workers may still use it until then. */
enum flow_result flow_delete(struct flow_table *t, const struct cmd_flow *c, uint64_t tag,
                             uint16_t *adjacency);

/*
 * Rows whose grace period is over, with final counts; `adjacency` is one use given back
 * (ADJACENCY_NONE: none). row ROW_NONE: only an adjacency that a refreshed row let go. At most n;
 * returns how many. Nobody asked for those with tag 0.
 */
struct flow_final {
	uint64_t tag;
	uint32_t row;
	uint64_t packets, octets;
	uint64_t from_packets, from_octets; /* of a leg */
	uint16_t adjacency;
};
unsigned flow_reclaim(struct flow_table *t, struct flow_final *out, unsigned n);

/* Sync: flows not set between begin and end are swept, a few per turn; true when done. */
void flow_sync_begin(struct flow_table *t);
bool flow_sync_end(struct flow_table *t, unsigned budget);

/*
 * Places for rows, for whoever looks through all of them. flow_towards(): the place holds a row
 * with a next hop of its own, and where its packets go. flow_lead() gives it another next hop; the
 * old one comes back through flow_reclaim() after the grace period. false: no room for that now.
 */
uint32_t flow_places(const struct flow_table *t);
bool flow_towards(struct flow_table *t, uint32_t place, struct addr *to, uint16_t *adjacency);
bool flow_lead(struct flow_table *t, uint32_t place, uint16_t adjacency);

uint32_t flow_used(const struct flow_table *t);
