/* Mirrors control/ice/pair.c: which pairs there are, and which go first (ICE-092 to ICE-101). */
#include "tests/rig/ice_one.h"
#include "tests/support.h"

static struct one o;

static void open_with(const struct ice_config *c)
{
	o.has_tie = false;
	one_open(&o, c);
}

static void close_clean(void)
{
	CHECK(one_close(&o) == 0, "no invariant is broken");
}

/* ICE-092: families do not mix, link-local only with its like. */
static void test_joins(void)
{
	static const char *const mine[] = { "198.18.0.1:5000", "[fd00::1]:5000", "[fe80::1]:5000" };
	static const char *const theirs[] = { "198.18.0.2:6000", "[fd00::2]:6000",
		                              "[fe80::2]:6000" };
	const struct ice_config c = one_config();

	open_with(&c);
	for (unsigned i = 0; i < 3; i++)
		one_base(&o, 0, 1, mine[i]);
	one_gather(&o);
	for (unsigned i = 0; i < 3; i++)
		one_candidate(&o, 0, 1, ICE_HOST, theirs[i], 2130706431 - i * 256);
	one_remote(&o);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < 3; k++)
			CHECK((one_state(&o, mine[i], theirs[k]) >= 0) == (i == k), theirs[k]);
	close_clean();
}

/* ICE-093: two components against one, and after a restart two again. */
static void test_components(void)
{
	struct ice_config c = one_config();

	c.n_components = 2;
	open_with(&c);
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_base(&o, 0, 2, "198.18.0.1:5001");
	one_gather(&o);
	one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.2:6000", 2130706431);
	o.theirs->stream[0].n_components = 1;
	one_remote(&o);
	one_serve(&o, o.now_ms + 300, 10, NULL);
	CHECK(one_session(&o) == ICE_COMPLETED, "one is enough");
	ice_restart(o.a, o.now_ms);
	one_poll(&o);
	ice_local(o.a, o.mine);
	o.theirs->stream[0].n_components = 2;
	memcpy(o.theirs->stream[0].ufrag, "peeragain", 10);
	o.theirs->stream[0].pwd[0] = 'P';
	one_candidate(&o, 0, 2, ICE_HOST, "198.18.0.2:6001", 2130706430);
	CHECK(one_remote(&o) == ICE_OK, "taken");
	CHECK(one_state(&o, "198.18.0.1:5001", "198.18.0.2:6001") >= 0, "two again");
	close_clean();
}

/* ICE-095: never more than the limit, and of a full list the lowest go. */
static void test_limit(void)
{
	struct ice_config c = one_config();
	char at[40];

	c.pairs_max = 20;
	open_with(&c);
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_gather(&o);
	for (unsigned i = 0; i < 40; i++) { /* the best come last */
		snprintf(at, sizeof(at), "198.18.1.%u:6000", i + 1);
		one_candidate(&o, 0, 1, ICE_HOST, at, 2130706431 - (39 - i) * 256);
	}
	ice_remote(o.a, o.now_ms, o.theirs);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(at, sizeof(at), "198.18.1.%u:6000", i + 1);
		CHECK((one_state(&o, "198.18.0.1:5000", at) >= 0) == (i >= 20), at);
	}
	close_clean();
}

/*
 * ICE-098, ICE-099, ICE-101: two streams of two components, one foundation: the first component of
 * the first stream waits; its success lets the others go; its failure does not (ICE-100).
 */
static void test_frozen(void)
{
	for (unsigned answered_first = 0; answered_first < 2; answered_first++)
		for (unsigned works = 0; works < 2; works++) {
			static const char *const mine[] = { "198.18.0.1:5001", "198.18.0.1:5002",
				                            "198.18.0.1:5003", "198.18.0.1:5004" };
			static const char *const theirs[] = { "198.18.0.2:6001", "198.18.0.2:6002",
				                              "198.18.0.2:6003",
				                              "198.18.0.2:6004" };
			struct ice_config c = one_config();

			c.n_streams = c.n_components = 2;
			c.controlling = false;
			open_with(&c);
			for (unsigned i = 0; i < 4; i++)
				one_base(&o, i / 2, 1 + i % 2, mine[i]);
			for (unsigned i = 4; i-- > 0;) /* in no good order */
				one_candidate(&o, i / 2, 1 + i % 2, ICE_HOST, theirs[i],
				              2130706431 - i % 2);
			/* The answerer has their description before it gives its own. */
			if (answered_first) {
				ice_remote(o.a, o.now_ms, o.theirs);
				ice_local(o.a, o.mine);
			} else {
				ice_local(o.a, o.mine);
				ice_remote(o.a, o.now_ms, o.theirs);
			}
			for (unsigned i = 0; i < 4; i++)
				CHECK(one_state(&o, mine[i], theirs[i]) ==
				              (i == 0 ? ICE_WAITING : ICE_FROZEN),
				      mine[i]);
			one_poll(&o);
			one_answer(&o, one_next(&o, theirs[0]),
			           &(struct one_response){ .base = -1, .code = works ? 0 : 400 });
			for (unsigned i = 1; i < 4; i++)
				CHECK(one_state(&o, mine[i], theirs[i]) ==
				              (works ? ICE_WAITING : ICE_FROZEN),
				      mine[i]);
			close_clean();
		}
}

/* ICE-101: what is trickled: behind a better one of its foundation it waits for that. */
static void test_trickled(void)
{
	const struct ice_config c = one_config();
	struct ice_candidate more = { .foundation = "same",
		                      .component = 1,
		                      .priority = 2130706431 - 256 };

	open_with(&c);
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_gather(&o);
	one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.2:6000", 2130706431);
	memcpy(o.theirs->stream[0].candidate[0].foundation, "same", 5);
	one_remote(&o);
	more.at = one_at("198.18.0.2:6001");
	ice_remote_candidate(o.a, o.now_ms, 0, ONE_UFRAG, &more);
	CHECK(one_state(&o, "198.18.0.1:5000", "198.18.0.2:6001") == ICE_FROZEN, "behind");
	more.at = one_at("198.18.0.2:6002");
	more.priority = 2130706432;
	ice_remote_candidate(o.a, o.now_ms, 0, ONE_UFRAG, &more);
	CHECK(one_state(&o, "198.18.0.1:5000", "198.18.0.2:6002") == ICE_WAITING, "topmost");
	memcpy(more.foundation, "other", 6);
	more.at = one_at("198.18.0.2:6003");
	more.priority = 5;
	ice_remote_candidate(o.a, o.now_ms, 0, ONE_UFRAG, &more);
	CHECK(one_state(&o, "198.18.0.1:5000", "198.18.0.2:6003") == ICE_WAITING, "of its own");
	close_clean();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "who joins whom (ICE-092)", test_joins },
		{ "components (ICE-093)", test_components },
		{ "limit (ICE-095)", test_limit },
		{ "frozen (ICE-098..100)", test_frozen },
		{ "trickled (ICE-101)", test_trickled },
		CU_TEST_INFO_NULL,
	};
	return run_suite("ice pair", tests);
}
