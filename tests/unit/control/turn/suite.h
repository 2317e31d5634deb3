/* What the suites of the engine share, on top of the rig. */
#pragma once

#include <string.h>

#include "tests/rig/turn_rig.h"
#include "tests/support.h"

/* The invariants of the state model hold; the one that does not is named. */
#define SOUND(r)                                                         \
	do {                                                             \
		const char *bad_ = turn_check_invariants((r)->srv);      \
		CHECK(bad_ == NULL, bad_ != NULL ? bad_ : "invariants"); \
	} while (0)

/* A counter of the engine by name; UINT64_MAX: there is none. */
static inline uint64_t stat_of(const struct rig *r, const char *name)
{
	const struct turn_stat_name *names;
	const uint64_t *values;
	const unsigned n = turn_stats(r->srv, &names, &values);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(names[i].name, name) == 0)
			return values[i];
	return UINT64_MAX;
}

/* The first, bare Allocate, whose 401 tells realm and nonce. */
static inline void learn_nonce(struct rig *r, struct rig_client *c)
{
	struct rig_message m;

	rig_begin(r, &m, TURN_ALLOCATE);
	CHECK(rig_send(r, c, &m) == 401, "TURN-022: bare");
}
