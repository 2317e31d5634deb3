/* Random relayed ports. */
#include <stdlib.h>
#include <string.h>

#include "control/turn/ports.h"

enum { GONE = 0xFFFF }; /* as a position: not in the array */
enum port_state { PORT_FREE, PORT_TAKEN, PORT_RESTING };

/* A set of numbers with uniform draw: the members, and where each stands. */
struct set {
	uint16_t *member, *at;
	uint32_t n;
};

struct ports {
	uint16_t min, max;
	uint32_t n;
	uint32_t n_taken;
	struct set single[2]; /* by parity of the port; members are offsets from min */
	struct set pair;      /* offsets of even ports whose next one is free too */
	uint8_t *state;
	struct {
		uint16_t offset;
		uint32_t until_s;
	} * rest; /* a ring of n entries */
	uint32_t rest_first, rest_n;
};

static bool set_init(struct set *s, uint32_t n)
{
	s->member = malloc(n * sizeof(uint16_t));
	s->at = malloc(n * sizeof(uint16_t));
	s->n = 0;
	if (s->member == NULL || s->at == NULL)
		return false;
	memset(s->at, 0xFF, n * sizeof(uint16_t));
	return true;
}

static void set_done(struct set *s)
{
	free(s->member);
	free(s->at);
}

static void set_add(struct set *s, uint32_t offset)
{
	s->at[offset] = (uint16_t)s->n;
	s->member[s->n++] = (uint16_t)offset;
}

static void set_remove(struct set *s, uint32_t offset)
{
	const uint16_t at = s->at[offset];

	if (at == GONE)
		return;
	const uint16_t last = s->member[--s->n];
	s->member[at] = last;
	s->at[last] = at;
	s->at[offset] = GONE;
}

static unsigned parity(const struct ports *p, uint32_t offset)
{
	return (p->min + offset) & 1u;
}

/* The even port of the pair that `offset` belongs to, if both lie in the range. */
static bool pair_of(const struct ports *p, uint32_t offset, uint32_t *even)
{
	if (parity(p, offset) == 0)
		*even = offset;
	else if (offset > 0)
		*even = offset - 1;
	else
		return false;
	return *even + 1 < p->n;
}

static void mark_free(struct ports *p, uint32_t offset)
{
	uint32_t even;

	p->state[offset] = PORT_FREE;
	set_add(&p->single[parity(p, offset)], offset);
	if (pair_of(p, offset, &even) && p->state[even] == PORT_FREE &&
	    p->state[even + 1] == PORT_FREE)
		set_add(&p->pair, even);
}

static void mark_taken(struct ports *p, uint32_t offset)
{
	uint32_t even;

	p->state[offset] = PORT_TAKEN;
	p->n_taken++;
	set_remove(&p->single[parity(p, offset)], offset);
	if (pair_of(p, offset, &even))
		set_remove(&p->pair, even);
}

struct ports *ports_new(uint16_t min, uint16_t max)
{
	struct ports *p = calloc(1, sizeof(*p));

	if (p == NULL || min > max || min == 0) {
		free(p);
		return NULL;
	}
	p->min = min;
	p->max = max;
	p->n = (uint32_t)max - min + 1;
	if (!set_init(&p->single[0], p->n) || !set_init(&p->single[1], p->n) ||
	    !set_init(&p->pair, p->n) || (p->state = malloc(p->n)) == NULL ||
	    (p->rest = calloc(p->n, sizeof(*p->rest))) == NULL) {
		ports_free(p);
		return NULL;
	}
	memset(p->state, PORT_TAKEN, p->n);
	for (uint32_t i = 0; i < p->n; i++)
		mark_free(p, i);
	return p;
}

void ports_free(struct ports *p)
{
	if (p == NULL)
		return;
	set_done(&p->single[0]);
	set_done(&p->single[1]);
	set_done(&p->pair);
	free(p->state);
	free(p->rest);
	free(p);
}

static void wake_one(struct ports *p)
{
	const uint32_t offset = p->rest[p->rest_first].offset;

	p->rest_first = (p->rest_first + 1) % p->n;
	p->rest_n--;
	mark_free(p, offset);
}

/* At most two rests end per call: as fast as they can begin, and never a scan. */
static void wake_rested(struct ports *p, uint32_t now_s)
{
	for (unsigned i = 0; i < 2 && p->rest_n > 0; i++) {
		if (p->rest[p->rest_first].until_s > now_s)
			return;
		wake_one(p);
	}
}

/* Offsets the kind can be drawn from. */
static uint32_t choices(const struct ports *p, enum ports_want want)
{
	switch (want) {
	case PORTS_EVEN: return p->single[0].n;
	case PORTS_PAIR: return p->pair.n;
	case PORTS_ANY: break;
	}
	return p->single[0].n + p->single[1].n;
}

uint16_t ports_take(struct ports *p, enum ports_want want, uint32_t now_s, ports_draw *draw,
                    void *arg)
{
	uint32_t offset;

	wake_rested(p, now_s);
	/*
	 * Short: less rest (TURN-060). Bounded, because an even one or a pair may be far back in
	 * the queue: what is woken stays awake for the next call.
	 */
	for (unsigned i = 0; i < 64 && choices(p, want) == 0 && p->rest_n > 0; i++)
		wake_one(p);
	const uint32_t n = choices(p, want);
	if (n == 0)
		return 0;

	const uint32_t i = draw(arg, n);
	if (want == PORTS_PAIR)
		offset = p->pair.member[i];
	else if (i < p->single[0].n)
		offset = p->single[0].member[i];
	else
		offset = p->single[1].member[i - p->single[0].n];
	mark_taken(p, offset);
	if (want == PORTS_PAIR)
		mark_taken(p, offset + 1);
	return (uint16_t)(p->min + offset);
}

bool ports_take_this(struct ports *p, uint16_t port)
{
	if (!ports_holds(p, port) || p->state[port - p->min] != PORT_FREE)
		return false;
	mark_taken(p, (uint32_t)port - p->min);
	return true;
}

void ports_release(struct ports *p, uint16_t port, uint32_t now_s, uint32_t rest_s)
{
	const uint32_t offset = (uint32_t)port - p->min;

	if (!ports_taken(p, port))
		return;
	p->n_taken--;
	if (rest_s == 0) {
		mark_free(p, offset);
		return;
	}
	const uint32_t slot = (p->rest_first + p->rest_n++) % p->n;
	p->state[offset] = PORT_RESTING;
	p->rest[slot].offset = (uint16_t)offset;
	p->rest[slot].until_s = now_s + rest_s;
}

bool ports_holds(const struct ports *p, uint16_t port)
{
	return port >= p->min && port <= p->max;
}

bool ports_taken(const struct ports *p, uint16_t port)
{
	return ports_holds(p, port) && p->state[port - p->min] == PORT_TAKEN;
}

uint32_t ports_left(const struct ports *p)
{
	return p->n - p->n_taken;
}

uint16_t ports_min(const struct ports *p)
{
	return p->min;
}

uint16_t ports_max(const struct ports *p)
{
	return p->max;
}
