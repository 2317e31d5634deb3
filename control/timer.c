/*
 * A hierarchical wheel: six levels of 64 slots, each 64 times coarser. A slot's nodes are a
 * doubly linked list of indices; a bitmap per level finds the next slot in use.
 */
#include <string.h>

#include "control/memory.h"
#include "control/timer.h"

enum { LEVELS = 6, BITS = 6, SLOTS = 1 << BITS };
static const uint32_t NONE = 0xFFFFFFFF;

/* Sixteen octets, and zero is unset: there are millions, most of them never used. */
struct node {
	uint64_t when; /* deadline_ms << 16 | 1 + level * SLOTS + slot; 0 in the low bits: unset */
	uint32_t prev, next;
};
enum { DUE = LEVELS * SLOTS }; /* the list of what timer_take() gives out */
#define DEADLINE_MAX ((UINT64_C(1) << 48) - 1)

static bool node_set(const struct node *n)
{
	return (n->when & 0xFFFF) != 0;
}

static unsigned node_slot(const struct node *n)
{
	return (unsigned)(n->when & 0xFFFF) - 1;
}

static uint64_t node_deadline_ms(const struct node *n)
{
	return n->when >> 16;
}

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
	return w;
}

void timer_free(struct timer_wheel *w)
{
	memory_free(w);
}

static void link_node(struct timer_wheel *w, uint32_t n, uint64_t deadline_ms, unsigned slot)
{
	struct node *node = &w->nodes[n];

	node->when = deadline_ms << 16 | (slot + 1);
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
	const unsigned slot = node_slot(node);

	if (node->prev != NONE)
		w->nodes[node->prev].next = node->next;
	else
		w->head[slot] = node->next;
	if (node->next != NONE)
		w->nodes[node->next].prev = node->prev;
	if (slot < DUE && w->head[slot] == NONE)
		w->used[slot / SLOTS] &= ~(UINT64_C(1) << (slot % SLOTS));
	node->when = 0;
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
	if (deadline_ms > DEADLINE_MAX)
		deadline_ms = DEADLINE_MAX;
	link_node(w, node, deadline_ms, slot_of(w, deadline_ms));
}

void timer_clear(struct timer_wheel *w, uint32_t node)
{
	if (node_set(&w->nodes[node]))
		unlink_node(w, node);
}

void timer_prefetch(const struct timer_wheel *w, uint32_t node)
{
	__builtin_prefetch(&w->nodes[node], 1);
}

bool timer_is_set(const struct timer_wheel *w, uint32_t node)
{
	return node_set(&w->nodes[node]);
}

uint64_t timer_deadline_of(const struct timer_wheel *w, uint32_t node)
{
	return timer_is_set(w, node) ? node_deadline_ms(&w->nodes[node]) : UINT64_MAX;
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
			const uint64_t deadline_ms = node_deadline_ms(&w->nodes[n]);

			unlink_node(w, n);
			link_node(w, n, deadline_ms, slot_of(w, deadline_ms));
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
