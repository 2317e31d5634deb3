/* Rings through one array of nodes; slots and queues are nodes too. */
#include <stdlib.h>

#include "pkt-gen/fleet_wheel.h"

static uint32_t slot_node(const struct wheel *w, unsigned level, unsigned slot)
{
	return w->n + level * WHEEL_SLOTS + slot;
}

static uint32_t queue_node(const struct wheel *w, enum wheel_queue q)
{
	return w->n + WHEEL_LEVELS * WHEEL_SLOTS + (uint32_t)q;
}

static void take_out(struct wheel *w, uint32_t i)
{
	struct wheel_node *node = &w->node[i];

	w->node[node->prev].next = node->next;
	w->node[node->next].prev = node->prev;
	node->next = node->prev = i;
}

static void put_before(struct wheel *w, uint32_t head, uint32_t i)
{
	struct wheel_node *node = &w->node[i], *h = &w->node[head];

	node->prev = h->prev;
	node->next = head;
	w->node[h->prev].next = i;
	h->prev = i;
}

bool wheel_open(struct wheel *w, uint32_t n)
{
	const uint32_t all = n + WHEEL_LEVELS * WHEEL_SLOTS + WHEEL_QUEUES;

	*w = (struct wheel){ .n = n, .node = malloc(all * sizeof(struct wheel_node)) };
	if (w->node == NULL)
		return false;
	for (uint32_t i = 0; i < all; i++)
		w->node[i] = (struct wheel_node){ .next = i, .prev = i };
	return true;
}

void wheel_close(struct wheel *w)
{
	free(w->node);
	w->node = NULL;
}

void wheel_remove(struct wheel *w, uint32_t i)
{
	take_out(w, i);
}

void wheel_queue(struct wheel *w, uint32_t i, enum wheel_queue q)
{
	take_out(w, i);
	put_before(w, queue_node(w, q), i);
}

void wheel_arm(struct wheel *w, uint32_t i, uint32_t due_ms)
{
	const uint32_t differ = due_ms ^ w->now_ms;
	unsigned level = 0, slot;

	if (due_ms <= w->now_ms) {
		wheel_queue(w, i, WHEEL_DUE);
		return;
	}
	take_out(w, i);
	while (level < WHEEL_LEVELS - 1 && differ >> (8 * (level + 1)) != 0)
		level++;
	slot = due_ms >> (8 * level) & 0xFF;
	w->node[i].due_ms = due_ms;
	w->used[level][slot / 64] |= UINT64_C(1) << (slot % 64);
	put_before(w, slot_node(w, level, slot), i);
}

uint32_t wheel_first(const struct wheel *w, enum wheel_queue q)
{
	const uint32_t head = queue_node(w, q), first = w->node[head].next;

	return first == head ? WHEEL_NONE : first;
}

/* The first slot of a level behind `after` that holds something; WHEEL_SLOTS: none. */
static unsigned next_slot(const struct wheel *w, unsigned level, unsigned after)
{
	unsigned slot = after + 1;

	while (slot < WHEEL_SLOTS) {
		const uint64_t bits = w->used[level][slot / 64] >> (slot % 64);

		if (bits == 0) {
			slot = (slot / 64 + 1) * 64;
			continue;
		}
		slot += (unsigned)__builtin_ctzll(bits);
		const uint32_t head = slot_node(w, level, slot);
		if (w->node[head].next != head)
			return slot;
		slot++;
	}
	return WHEEL_SLOTS;
}

bool wheel_next(const struct wheel *w, uint32_t *at_ms)
{
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		const unsigned shift = 8 * level;
		const unsigned slot = next_slot(w, level, w->now_ms >> shift & 0xFF);

		if (slot < WHEEL_SLOTS) {
			/* Whole turns of this wheel, then the slot; nothing of the lower ones. */
			const uint32_t turns = shift + 8 == 32 ? 0 : w->now_ms >> (shift + 8);

			*at_ms = (shift + 8 == 32 ? 0 : turns << (shift + 8)) | slot << shift;
			return true;
		}
	}
	return false;
}

/* Everything in the slot is armed anew: it moves down a wheel, or is due. */
static void spill(struct wheel *w, unsigned level)
{
	const unsigned slot = w->now_ms >> (8 * level) & 0xFF;
	const uint32_t head = slot_node(w, level, slot);

	w->used[level][slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	while (w->node[head].next != head) {
		const uint32_t i = w->node[head].next;

		wheel_arm(w, i, w->node[i].due_ms);
	}
}

void wheel_advance(struct wheel *w, uint32_t now_ms)
{
	uint32_t at_ms;

	while (wheel_next(w, &at_ms) && at_ms <= now_ms) {
		w->now_ms = at_ms;
		for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--)
			if ((at_ms & ((UINT32_C(1) << (8 * level)) - 1)) == 0)
				spill(w, level);
		spill(w, 0);
	}
	if (now_ms > w->now_ms)
		w->now_ms = now_ms;
}
