/* What suites of single rules begin with: one agent, opened and closed under the checker. */
#pragma once

#include "tests/rig/ice_one.h"
#include "tests/support.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MINE "198.18.0.1:5000"
#define PEER "198.18.0.2:6000"

static struct one o;

static inline void open_with(const struct ice_config *c)
{
	o.has_tie = false;
	one_open(&o, c);
}

static inline void open_pair(bool controlling)
{
	struct ice_config c = one_config();

	c.controlling = controlling;
	open_with(&c);
	one_pair(&o);
}

static inline void close_clean(void)
{
	CHECK(one_close(&o) == 0, "no invariant is broken");
}

/* Completed by the peer's nomination, or by ours. */
static inline void open_connected(bool controlling)
{
	open_pair(controlling);
	if (!controlling)
		one_asked(&o, &(struct one_request){ .use_candidate = true });
	one_serve(&o, o.now_ms + 300, 10, NULL);
	CHECK(one_session(&o) == ICE_COMPLETED, "connected");
}
