/*
 * Legs of ICE sessions in the flow table (abi/command.h, struct cmd_leg): rows that are found by
 * their port alone. A row and what belongs to it never change but for deadline and next hop: a leg
 * that is set to anything else gets a new row, put into the port table by one store, and the old
 * one is reported with the tag it was set with.
 *
 * Threads    As flow.h.
 */
#pragma once

#include "abi/command.h"
#include "dataplane/flow_table.h"

/* What a leg has besides its row: as control said it. Freed with the row. */
struct flow_leg {
	struct cmd_leg c;
	struct cmd_leg_to to[]; /* c.n_to */
};

static inline struct row_leg *flow_row_leg(struct row *r)
{
	return (struct row_leg *)(void *)r;
}

/* Of a row that is a leg's; valid until the reader's next quiescent state. */
static inline const struct flow_leg *flow_leg_of(const struct flow_table *t, const struct row *r)
{
	return t->leg[(const struct row_wide *)(const void *)r - t->wide];
}

/* The row of a leg at that port, or NULL: none, or an allocation's. Port in network order. */
static inline struct row *flow_leg_at(const struct flow_table *t, uint16_t relay, uint16_t port)
{
	struct row *const r = flow_row_or_null(t, flow_port_row(t, relay, port));

	return r && r->flags & ROW_FLAG_LEG ? r : NULL;
}

/*
 * `c` has been checked; `to` are c->n_to legs. *row is the row that counts, *fresh: it is another
 * one than before. FLOW_UNKNOWN: the port is an allocation's. `adjacency` as in flow_set().
 */
enum flow_result flow_leg_set(struct flow_table *t, const struct cmd_leg *c,
                              const struct cmd_leg_to *to, uint16_t adjacency, bool turned,
                              uint32_t *row, bool *fresh);
enum flow_result flow_leg_delete(struct flow_table *t, const struct cmd_leg *c);

static inline bool flow_leg_is_peer(const struct row *leg, const uint8_t ip[16], uint16_t port)
{
	return leg->key.port == port && port != 0 && memcmp(leg->key.ip, ip, 16) == 0;
}

/* Another address than the selected peer's from where a good check came. Port in network order. */
bool flow_leg_source(const struct flow_leg *l, const uint8_t ip[16], uint16_t port);

/* For flow.c: the row of a leg goes, and is reported with `tag`. */
void flow_leg_drop(struct flow_table *t, uint32_t row, uint64_t tag);
/* For flow_rows.c: nobody reads it any more. */
void flow_leg_free(struct flow_table *t, uint32_t row);

/* A datagram came from the leg's peer. */
static inline void flow_leg_count(struct row_leg *l, uint8_t worker, uint32_t octets)
{
	uint8_t nobody = 0xFF;

	if (atomic_load_explicit(&l->from_owner, memory_order_relaxed) == worker ||
	    (atomic_load_explicit(&l->from_owner, memory_order_relaxed) == nobody &&
	     atomic_compare_exchange_strong_explicit(&l->from_owner, &nobody, worker,
	                                             memory_order_relaxed, memory_order_relaxed))) {
		abi_count(&l->from.packets, 1);
		abi_count(&l->from.octets, octets);
		return;
	}
	atomic_fetch_add_explicit(&l->from_other.packets, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->from_other.octets, octets, memory_order_relaxed);
}

/* The peer was heard: a lite leg's consent lasts `patience_s` from now. Any worker. */
static inline void flow_leg_heard(struct row_leg *l, uint32_t patience_s, uint32_t now_s)
{
	atomic_store_explicit(&l->heard_s, now_s, memory_order_relaxed);
	if (patience_s)
		atomic_store_explicit(&l->row.deadline_s, now_s + patience_s, memory_order_relaxed);
}
