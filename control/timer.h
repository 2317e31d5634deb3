/*
 * One timing wheel, in milliseconds. Nodes are numbers 0..n-1 that the owner gives meaning to; a
 * node has at most one deadline. Setting, clearing and taking are O(1); nothing is allocated after
 * timer_new().
 *
 * Units      ms of whatever clock the owner passes; deadlines may lie up to 2^36 ms ahead.
 * Threads    One owner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timer_wheel;

struct timer_wheel *timer_new(uint32_t n_nodes, uint64_t now_ms);
void timer_free(struct timer_wheel *w);

/* Sets or moves the deadline. One that has passed is taken by the next timer_take(). */
void timer_set(struct timer_wheel *w, uint32_t node, uint64_t deadline_ms);
void timer_clear(struct timer_wheel *w, uint32_t node);
/* The node will be set soon. */
void timer_prefetch(const struct timer_wheel *w, uint32_t node);
bool timer_is_set(const struct timer_wheel *w, uint32_t node);
uint64_t timer_deadline_of(const struct timer_wheel *w, uint32_t node);

/*
 * Takes one node whose deadline is now_ms or earlier, and clears it; false: none. Call until false,
 * or stop early: what is left comes next time. Within one millisecond the order is unspecified.
 */
bool timer_take(struct timer_wheel *w, uint64_t now_ms, uint32_t *node);

/* When to call timer_take() next: never later than the earliest deadline. UINT64_MAX: none set. */
uint64_t timer_next(const struct timer_wheel *w);

enum { TIMER_NONE = 0xFFFFFFFF };
