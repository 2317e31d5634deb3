/* Rows: taken, given back after the grace period, their last counts read then. */
#include "dataplane/flow_leg.h"

#include <rte_rcu_qsbr.h>
#include <stdlib.h>

enum {
	GRAVES_BESIDE_ROWS = 4096, /* places for adjacencies that rows let go */
	ROWS_MIN = 4096,
	ROWS_MAX = 1 << 24,
};

static uint32_t clamp_rows(uint64_t n)
{
	return (uint32_t)(n < ROWS_MIN ? ROWS_MIN : n > ROWS_MAX ? ROWS_MAX : n);
}

void flow_sizes(const struct config *cfg, uint32_t *rows, uint32_t *rows_wide)
{
	bool six = false;

	for (unsigned i = 0; i < cfg->n_relays; i++)
		six |= !addr_is4(&cfg->relays[i].addr);
	/* An allocation, and on average three channels or permissions. */
	*rows = clamp_rows((uint64_t)cfg->limit_allocations * 4);
	/* IPv6 peers need a relayed address of their family; a reload may still add one. */
	const uint64_t peers6 =
		six ? (uint64_t)cfg->limit_allocations * 2 : cfg->limit_allocations / 8;

	/* A leg that changes has two rows for a moment. */
	*rows_wide = clamp_rows(peers6 + cfg->limit_legs + cfg->limit_legs / 4);
}

bool flow_rows_init(struct flow_table *t)
{
	const size_t n = (size_t)t->n_rows + t->n_wide;

	t->n_grave = (uint32_t)n + GRAVES_BESIDE_ROWS;
	t->meta = calloc(n, sizeof(*t->meta));
	t->free = calloc((size_t)t->n_rows + 1, sizeof(*t->free));
	t->free_wide = calloc((size_t)t->n_wide + 1, sizeof(*t->free_wide));
	t->grave = calloc(t->n_grave, sizeof(*t->grave));
	t->leg = calloc((size_t)t->n_wide + 1, sizeof(struct flow_leg *));
	if (!t->meta || !t->free || !t->free_wide || !t->grave || !t->leg)
		return false;
	return true; /* the lowest index is taken first; what was never taken is not written down */
}

void flow_rows_fini(struct flow_table *t)
{
	for (uint32_t i = 0; t->leg && i < t->fresh_wide; i++)
		flow_leg_free(t, i);
	free(t->leg);
	free(t->meta);
	free(t->free);
	free(t->free_wide);
	free(t->grave);
}

static struct row_counts *foreign_of(struct flow_table *t, uint32_t row)
{
	return row & ROW_WIDE ? &t->foreign_wide[row & ~ROW_WIDE] : &t->foreign[row];
}

static uint32_t take(struct flow_table *t, bool wide)
{
	if (wide && t->n_free_wide > 0)
		return t->free_wide[--t->n_free_wide];
	if (wide)
		return t->fresh_wide < t->n_wide ? t->fresh_wide++ | ROW_WIDE : ROW_NONE;
	if (t->n_free > 0)
		return t->free[--t->n_free];
	return t->fresh < t->n_rows ? t->fresh++ : ROW_NONE;
}

uint32_t flow_row_new(struct flow_table *t, bool wide)
{
	const uint32_t row = take(t, wide);

	if (row == ROW_NONE)
		return ROW_NONE;
	struct flow_meta *const m = flow_meta(t, row);
	struct row *const r = flow_at(t, row);
	struct row_counts *const f = foreign_of(t, row);
	const uint8_t generation = (uint8_t)(m->generation + 1);

	/* Before the row is readable: nobody counts here, and control reads what it was told. */
	*m = (struct flow_meta){ .parent = ROW_NONE,
		                 .twin = ROW_NONE,
		                 .next = ROW_NONE,
		                 .prev = ROW_NONE,
		                 .first_child = ROW_NONE,
		                 .state = FLOW_LIVE,
		                 .generation = generation };
	memset(r, 0, wide ? sizeof(struct row_wide) : sizeof(struct row));
	r->generation = generation;
	atomic_store_explicit(&r->owner, 0xFF, memory_order_relaxed);
	atomic_store_explicit(&f->packets, 0, memory_order_relaxed);
	atomic_store_explicit(&f->octets, 0, memory_order_relaxed);
	t->used++;
	return row;
}

void flow_row_unused(struct flow_table *t, uint32_t row)
{
	flow_meta(t, row)->state = FLOW_FREE;
	t->used--;
	if (row & ROW_WIDE)
		t->free_wide[t->n_free_wide++] = row;
	else
		t->free[t->n_free++] = row;
}

static void bury(struct flow_table *t, uint32_t row, uint64_t tag, uint16_t adjacency)
{
	t->grave[t->grave_head++ % t->n_grave] =
		(struct flow_grave){ rte_rcu_qsbr_start(t->qsbr), tag, row, adjacency };
}

void flow_row_bury(struct flow_table *t, uint32_t row, uint64_t tag)
{
	flow_meta(t, row)->state = FLOW_DYING;
	bury(t, row, tag, flow_at(t, row)->adjacency);
}

bool flow_row_let_go(struct flow_table *t, uint16_t adjacency)
{
	/* A place for every row stays free: a delete cannot fail. */
	if (t->n_let_go == GRAVES_BESIDE_ROWS)
		return false;
	t->n_let_go++;
	bury(t, ROW_NONE, 0, adjacency);
	return true;
}

static void last_of_leg(struct flow_table *t, struct flow_final *f)
{
	const struct row_leg *const l = flow_row_leg(flow_at(t, f->row));

	f->from_packets = atomic_load_explicit(&l->from.packets, memory_order_relaxed) +
	                  atomic_load_explicit(&l->from_other.packets, memory_order_relaxed);
	f->from_octets = atomic_load_explicit(&l->from.octets, memory_order_relaxed) +
	                 atomic_load_explicit(&l->from_other.octets, memory_order_relaxed);
	flow_leg_free(t, f->row);
}

unsigned flow_reclaim(struct flow_table *t, struct flow_final *out, unsigned n)
{
	unsigned done = 0;

	while (done < n && t->grave_head != t->grave_tail) {
		const struct flow_grave *const g = &t->grave[t->grave_tail % t->n_grave];

		if (rte_rcu_qsbr_check(t->qsbr, g->token, false) != 1)
			break;
		struct flow_final *const f = &out[done++];

		*f = (struct flow_final){ .tag = g->tag, .row = g->row, .adjacency = g->adjacency };
		t->grave_tail++;
		if (f->row == ROW_NONE) {
			t->n_let_go--;
			continue;
		}
		/* Nobody counts any more. */
		const struct row *const r = flow_at(t, f->row);
		const struct row_counts *const c = foreign_of(t, f->row);

		f->packets = atomic_load_explicit(&r->counts.packets, memory_order_relaxed) +
		             atomic_load_explicit(&c->packets, memory_order_relaxed);
		f->octets = atomic_load_explicit(&r->counts.octets, memory_order_relaxed) +
		            atomic_load_explicit(&c->octets, memory_order_relaxed);
		if (r->flags & ROW_FLAG_LEG)
			last_of_leg(t, f);
		flow_row_unused(t, f->row);
	}
	return done;
}

/* Claims a row for the worker that hits it first; counts in the cold array otherwise. */
void flow_count_other(struct flow_table *t, uint32_t row, struct row *r, uint8_t worker,
                      uint32_t octets)
{
	uint8_t nobody = 0xFF;

	if (atomic_load_explicit(&r->owner, memory_order_relaxed) == nobody &&
	    (atomic_compare_exchange_strong_explicit(&r->owner, &nobody, worker,
	                                             memory_order_relaxed, memory_order_relaxed) ||
	     nobody == worker)) {
		flow_count_inline(t, r, worker, octets);
		return;
	}
	struct row_counts *const f = foreign_of(t, row);

	atomic_fetch_add_explicit(&f->packets, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&f->octets, octets, memory_order_relaxed);
}

void flow_count(struct flow_table *t, uint32_t row, struct row *r, uint8_t worker, uint32_t octets)
{
	(void)row; /* `r` tells */
	flow_count_inline(t, r, worker, octets);
}
