/*
 * Relayed ports of one relay address: which are free, drawn at random in constant time.
 *
 * A bitmap of free ports; a draw guesses a few times and then selects the n-th free port by counts,
 * so every free port is equally likely, independent of earlier draws, and the last free port is
 * found within a bounded time (TURN-056 to TURN-060). A freed port rests in a queue first; when
 * nothing else is free the longest-resting one is taken.
 *
 * Units      Ports in host order; seconds of CLOCK_MONOTONIC.
 * Threads    One owner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ports;

enum ports_want { PORTS_ANY, PORTS_EVEN, PORTS_PAIR };

/* A number uniform in 0..below-1, cryptographic. */
typedef uint32_t ports_draw(void *arg, uint32_t below);

struct ports *ports_new(uint16_t min, uint16_t max);
void ports_free(struct ports *p);

/*
 * A port, or 0 when there is none of that kind. PAIR takes the even port and the next one: release
 * each by itself.
 */
uint16_t ports_take(struct ports *p, enum ports_want want, uint32_t now_s, ports_draw *draw,
                    void *arg);
/* That very port, when state is restored. false: out of range or taken. */
bool ports_take_this(struct ports *p, uint16_t port);
/* Back to the pool after rest_s; 0: at once. */
void ports_release(struct ports *p, uint16_t port, uint32_t now_s, uint32_t rest_s);

bool ports_holds(const struct ports *p, uint16_t port); /* in the range */
bool ports_taken(const struct ports *p, uint16_t port);
/* Not taken: free or at rest. */
uint32_t ports_left(const struct ports *p);
uint16_t ports_min(const struct ports *p);
uint16_t ports_max(const struct ports *p);
