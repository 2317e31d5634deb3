/* Random relayed ports. */
#include <stdlib.h>
#include <string.h>

#include "control/turn/ports.h"

/*
 * A bit for each of the 65,536 ports, and counts of free ones by groups of 1,024. A draw is a guess
 * while guesses are likely to hit, else a selection by the counts; both are uniform over what is
 * free. Lists of free ports would be 1 MB an address, and a draw five cold lines of it.
 */
enum {
	PORTS = 65536,
	WORDS = PORTS / 64,
	GROUP_WORDS = 16,
	GROUPS = WORDS / GROUP_WORDS,
	GUESSES = 4,
};
static const uint64_t EVEN = UINT64_C(0x5555555555555555);

struct ports {
	uint16_t min, max;
	uint32_t n;
	uint32_t n_taken;
	uint32_t left[3]; /* by enum ports_want: free ports, even ones, whole pairs */
	uint16_t group[GROUPS];
	uint64_t free_[WORDS], taken[WORDS]; /* neither: at rest, or out of the range */
	uint32_t rest_first, rest_n;
	struct {
		uint32_t until_s;
		uint16_t port;
	} rest[]; /* a ring of n entries */
};

static bool bit(const uint64_t *words, uint32_t port)
{
	return words[port / 64] >> (port % 64) & 1;
}

static void flip(uint64_t *words, uint32_t port)
{
	words[port / 64] ^= UINT64_C(1) << (port % 64);
}

/* The bits of a word a kind can be drawn from. */
static uint64_t choices_of(uint64_t word, enum ports_want want)
{
	switch (want) {
	case PORTS_EVEN: return word & EVEN;
	case PORTS_PAIR: return word & word >> 1 & EVEN;
	case PORTS_ANY: break;
	}
	return word;
}

/* One more or less is free; the bit says what was before. */
static void count(struct ports *p, uint32_t port, uint32_t by)
{
	const bool other = bit(p->free_, port ^ 1);

	p->group[port / 64 / GROUP_WORDS] = (uint16_t)(p->group[port / 64 / GROUP_WORDS] + by);
	p->left[PORTS_ANY] += by;
	p->left[PORTS_EVEN] += port % 2 == 0 ? by : 0;
	p->left[PORTS_PAIR] += other ? by : 0;
}

static void mark_free(struct ports *p, uint32_t port)
{
	count(p, port, 1);
	flip(p->free_, port);
}

static void mark_taken(struct ports *p, uint32_t port)
{
	count(p, port, UINT32_MAX); /* one less */
	flip(p->free_, port);
	flip(p->taken, port);
	p->n_taken++;
}

struct ports *ports_new(uint16_t min, uint16_t max)
{
	struct ports *p;

	if (min > max || min == 0)
		return NULL;
	const uint32_t n = (uint32_t)max - min + 1;
	p = calloc(1, sizeof(*p) + n * sizeof(p->rest[0]));
	if (p == NULL)
		return NULL;
	p->min = min;
	p->max = max;
	p->n = n;
	for (uint32_t i = min; i <= max; i++)
		mark_free(p, i);
	return p;
}

void ports_free(struct ports *p)
{
	free(p);
}

static void wake_one(struct ports *p)
{
	const uint16_t port = p->rest[p->rest_first].port;

	p->rest_first = (p->rest_first + 1) % p->n;
	p->rest_n--;
	mark_free(p, port);
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

/* The i-th choice by number. */
static uint32_t select_choice(const struct ports *p, enum ports_want want, uint32_t i)
{
	uint32_t w = 0;

	if (want == PORTS_ANY)
		for (; i >= p->group[w / GROUP_WORDS]; w += GROUP_WORDS)
			i -= p->group[w / GROUP_WORDS];
	for (;; w++) {
		uint64_t word = choices_of(p->free_[w], want);
		const uint32_t here = (uint32_t)__builtin_popcountll(word);

		if (i >= here) {
			i -= here;
			continue;
		}
		while (i-- > 0)
			word &= word - 1;
		return w * 64 + (uint32_t)__builtin_ctzll(word);
	}
}

static uint32_t draw_choice(const struct ports *p, enum ports_want want, ports_draw *draw,
                            void *arg)
{
	const uint32_t step = want == PORTS_ANY ? 1 : 2;
	const uint32_t from = (p->min + step - 1) / step * step;
	const uint32_t all = (p->max - from) / step + 1;

	for (unsigned i = 0; i < GUESSES; i++) {
		const uint32_t port = from + draw(arg, all) * step;

		if (choices_of(p->free_[port / 64], want) >> (port % 64) & 1)
			return port;
	}
	return select_choice(p, want, draw(arg, p->left[want]));
}

uint16_t ports_take(struct ports *p, enum ports_want want, uint32_t now_s, ports_draw *draw,
                    void *arg)
{
	wake_rested(p, now_s);
	/*
	 * Short: less rest (TURN-060). Bounded, because an even one or a pair may be far back in
	 * the queue: what is woken stays awake for the next call.
	 */
	for (unsigned i = 0; i < 64 && p->left[want] == 0 && p->rest_n > 0; i++)
		wake_one(p);
	if (p->left[want] == 0)
		return 0;

	const uint32_t port = draw_choice(p, want, draw, arg);
	mark_taken(p, port);
	if (want == PORTS_PAIR)
		mark_taken(p, port + 1);
	return (uint16_t)port;
}

bool ports_take_this(struct ports *p, uint16_t port)
{
	if (!bit(p->free_, port))
		return false;
	mark_taken(p, port);
	return true;
}

void ports_release(struct ports *p, uint16_t port, uint32_t now_s, uint32_t rest_s)
{
	if (!ports_taken(p, port))
		return;
	flip(p->taken, port);
	p->n_taken--;
	if (rest_s == 0) {
		mark_free(p, port);
		return;
	}
	const uint32_t slot = (p->rest_first + p->rest_n++) % p->n;
	p->rest[slot].port = port;
	p->rest[slot].until_s = now_s + rest_s;
}

bool ports_holds(const struct ports *p, uint16_t port)
{
	return port >= p->min && port <= p->max;
}

bool ports_taken(const struct ports *p, uint16_t port)
{
	return bit(p->taken, port);
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
