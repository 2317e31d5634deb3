/*
 * A hierarchical wheel: six levels of 64 slots, each 64 times coarser. A slot's nodes are a
 * doubly linked list of indices; a bitmap per level finds the next slot in use.
 */
#include <string.h>

#include "control/memory.h"
#include "control/timer.h"

enum { LEVELS = 6, BITS = 6, SLOTS = 1 << BITS };
static const uint32_t NONE = 0xFFFFFFFF;

struct node {
	uint64_t deadline_ms;
	uint32_t prev, next;
	uint16_t slot; /* level * SLOTS + slot; UNSET */
};
enum { UNSET = 0xFFFF, DUE = LEVELS * SLOTS }; /* DUE: the list of what timer_take() gives out */

struct timer_wheel {
	uint64_t now_ms; /* every slot before it has been emptied */
	uint64_t used[LEVELS];
	uint32_t head[LEVELS * SLOTS + 1];
	uint32_t n_nodes;
	struct node nodes[];
};

struct timer_wheel *timer_new(uint32_t n_nodes, uint64_t now_ms)
{
	struct timer_wheel *w = memory_array(1, sizeof(*w) + n_nodes * sizeof(struct node));

	if (w == NULL)
		return NULL;
	w->now_ms = now_ms;
	w->n_nodes = n_nodes;
	memset(w->head, 0xFF, sizeof(w->head));
	for (uint32_t i = 0; i < n_nodes; i++)
		w->nodes[i].slot = UNSET;
	return w;
}

void timer_free(struct timer_wheel *w)
{
	memory_free(w);
}

static void link_node(struct timer_wheel *w, uint32_t n, unsigned slot)
{
	struct node *node = &w->nodes[n];

	node->slot = (uint16_t)slot;
	node->prev = NONE;
	node->next = w->head[slot];
	if (node->next != NONE)
		w->nodes[node->next].prev = n;
	w->head[slot] = n;
	if (slot < DUE)
		w->used[slot / SLOTS] |= UINT64_C(1) << (slot % SLOTS);
}

static void unlink_node(struct timer_wheel *w, uint32_t n)
{
	struct node *node = &w->nodes[n];
	const unsigned slot = node->slot;

	if (node->prev != NONE)
		w->nodes[node->prev].next = node->next;
	else
		w->head[slot] = node->next;
	if (node->next != NONE)
		w->nodes[node->next].prev = node->prev;
	if (slot < DUE && w->head[slot] == NONE)
		w->used[slot / SLOTS] &= ~(UINT64_C(1) << (slot % SLOTS));
	node->slot = UNSET;
}

/* The finest level on which the deadline and now_ms differ in that level's digit only. */
static unsigned slot_of(const struct timer_wheel *w, uint64_t deadline_ms)
{
	if (deadline_ms <= w->now_ms)
		return DUE;

	const uint64_t differ = deadline_ms ^ w->now_ms;
	unsigned level = (63u - (unsigned)__builtin_clzll(differ)) / BITS;

	if (level >= LEVELS) { /* beyond the horizon: parked in the top level, looked at again */
		level = LEVELS - 1;
		const uint64_t digit = (w->now_ms >> (level * BITS)) + SLOTS - 1;
		return level * SLOTS + (unsigned)(digit % SLOTS);
	}
	return level * SLOTS + (unsigned)(deadline_ms >> (level * BITS)) % SLOTS;
}

void timer_set(struct timer_wheel *w, uint32_t node, uint64_t deadline_ms)
{
	timer_clear(w, node);
	w->nodes[node].deadline_ms = deadline_ms;
	link_node(w, node, slot_of(w, deadline_ms));
}

void timer_clear(struct timer_wheel *w, uint32_t node)
{
	if (w->nodes[node].slot != UNSET)
		unlink_node(w, node);
}

bool timer_is_set(const struct timer_wheel *w, uint32_t node)
{
	return w->nodes[node].slot != UNSET;
}

uint64_t timer_deadline_of(const struct timer_wheel *w, uint32_t node)
{
	return timer_is_set(w, node) ? w->nodes[node].deadline_ms : UINT64_MAX;
}

/* Start of the next slot in use behind now_ms on one level. */
static uint64_t next_slot_ms(const struct timer_wheel *w, unsigned level)
{
	const unsigned shift = level * BITS;
	const uint64_t now = w->now_ms >> shift;
	const unsigned at = (unsigned)(now % SLOTS);
	const uint64_t used = w->used[level];

	if (used == 0)
		return UINT64_MAX;
	/* Rotated so that bit 0 is the slot behind `at`. */
	const unsigned turn = (at + 1) % SLOTS;
	const uint64_t ahead = turn == 0 ? used : used >> turn | used << (SLOTS - turn);
	return (now + 1 + (unsigned)__builtin_ctzll(ahead)) << shift;
}

uint64_t timer_next(const struct timer_wheel *w)
{
	uint64_t next = UINT64_MAX;

	if (w->head[DUE] != NONE)
		return w->now_ms;
	for (unsigned level = 0; level < LEVELS; level++) {
		const uint64_t at = next_slot_ms(w, level);

		if (at < next)
			next = at;
	}
	return next;
}

/* Moves the wheel to `to_ms`, at which a slot begins, and deals that slot's nodes out anew. */
static void advance(struct timer_wheel *w, uint64_t to_ms)
{
	w->now_ms = to_ms;
	for (unsigned level = 0; level < LEVELS; level++) {
		const unsigned slot = level * SLOTS + (unsigned)(to_ms >> (level * BITS)) % SLOTS;

		if (level > 0 && (to_ms & ((UINT64_C(1) << (level * BITS)) - 1)) != 0)
			break; /* coarser slots do not begin here */
		while (w->head[slot] != NONE) {
			const uint32_t n = w->head[slot];

			unlink_node(w, n);
			link_node(w, n, slot_of(w, w->nodes[n].deadline_ms));
		}
	}
}

bool timer_take(struct timer_wheel *w, uint64_t now_ms, uint32_t *node)
{
	while (w->head[DUE] == NONE) {
		const uint64_t next = timer_next(w);

		if (next > now_ms) {
			if (now_ms > w->now_ms) /* no slot in use begins on the way */
				w->now_ms = now_ms;
			return false;
		}
		advance(w, next);
	}
	*node = w->head[DUE];
	unlink_node(w, *node);
	return true;
}
