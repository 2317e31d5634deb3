/* Mirrors control/ice/base.c and candidate.c: what is a candidate, what is it worth (ICE-006 to
 * ICE-051). */
#include "control/ice/parts.h"
#include "tests/rig/ice_one.h"
#include "tests/support.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct one o;

static void open_with(const struct ice_config *c)
{
	o.has_tie = false;
	one_open(&o, c);
}

static void open_plain(void)
{
	const struct ice_config c = one_config();

	open_with(&c);
}

static void close_clean(void)
{
	CHECK(one_close(&o) == 0, "no invariant is broken");
}

static const struct ice_candidate *mine(const char *at)
{
	const struct endpoint e = one_at(at);

	for (unsigned s = 0; s < o.mine->n_streams; s++)
		for (unsigned i = 0; i < o.mine->stream[s].n_candidates; i++)
			if (endpoint_equal(&o.mine->stream[s].candidate[i].at, &e))
				return &o.mine->stream[s].candidate[i];
	return NULL;
}

/* ICE-007, ICE-008: what is never a candidate. */
static void test_unfit(void)
{
	static const struct {
		const char *at;
		bool fit;
	} cases[] = {
		{ "127.0.0.1:5000", false },       { "127.255.0.9:5000", false },
		{ "[::1]:5000", false },           { "[fec0::1]:5000", false },
		{ "[feff::1]:5000", false },       { "[::198.18.0.1]:5000", false },
		{ "224.0.0.1:5000", false },       { "[ff02::1]:5000", false },
		{ "0.0.0.1:5000", false },         { "198.18.0.1:5000", true },
		{ "[fd00::1]:5000", true },        { "[fe80::1]:5000", true },
		{ "255.255.255.255:5000", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		open_plain();
		CHECK((one_base(&o, 0, 1, cases[i].at) >= 0) == cases[i].fit, cases[i].at);
		CHECK(one_drops(&o, NULL) == !cases[i].fit, cases[i].at);
		close_clean();
	}
}

/* ICE-009, ICE-010: a temporary address before a permanent one, and in place of one that can be
 * tracked; in whatever order they come. */
static void test_temporary(void)
{
	static const char *const eui = "[fd00::0200:5eff:fe00:5301]:5000";
	static const char *const stable = "[fd00::1234:5678:9abc:def0]:5000";
	static const char *const tmp = "[fd00::8888:1111:2222:3333]:5000";
	static const char *const link = "[fe80::0200:5eff:fe00:5301]:5000";

	for (unsigned turn = 0; turn < 2; turn++) {
		const char *const first[] = { eui, stable, link, tmp };
		const char *const then[] = { tmp, link, stable, eui };

		open_plain();
		for (unsigned i = 0; i < 4; i++) {
			const char *const at = (turn ? then : first)[i];
			struct ice_base b = { .component = 1,
				              .at = one_at(at),
				              .interface = "eth0",
				              .temporary = at == tmp };

			one_base_as(&o, &b);
		}
		one_gather(&o);
		CHECK(mine(eui) == NULL, "what can be tracked is not told");
		CHECK(mine(link) == NULL, "nor the link-local one");
		CHECK(mine(tmp) && mine(stable), "the others are");
		CHECK(mine(tmp) && mine(stable) && mine(tmp)->priority > mine(stable)->priority,
		      "the temporary one first");
		close_clean();
	}
}

/* ICE-009: another interface's addresses are not concerned. */
static void test_temporary_elsewhere(void)
{
	struct ice_base b = { .component = 1,
		              .at = one_at("[fd00::8888:1111:2222:3333]:5000"),
		              .interface = "eth0",
		              .temporary = true };

	open_plain();
	one_base_as(&o, &b);
	b.temporary = false;
	b.at = one_at("[fd00:0:0:1:0200:5eff:fe00:5301]:5000");
	memcpy(b.interface, "eth1", 5);
	one_base_as(&o, &b);
	one_gather(&o);
	CHECK(mine("[fd00:0:0:1:0200:5eff:fe00:5301]:5000") != NULL, "kept");
	close_clean();
}

/* ICE-011: components that there are not. */
static void test_components(void)
{
	open_plain();
	CHECK(one_base(&o, 0, 0, "198.18.0.1:5000") < 0, "no component 0");
	CHECK(one_base(&o, 0, 2, "198.18.0.1:5000") < 0, "nor one more than said");
	CHECK(one_base(&o, 1, 1, "198.18.0.1:5000") < 0, "nor a stream more");
	CHECK(one_base(&o, 0, 1, "198.18.0.1:5000") == 0, "but the first");
	close_clean();
}

/* ICE-014: the outside of a one-to-one NAT, beside the inside; its base is the inside. */
static void test_outside(void)
{
	struct ice_base b = { .component = 1,
		              .at = one_at("10.0.0.1:5000"),
		              .outside = one_at("198.18.0.1:5000") };

	open_plain();
	one_base_as(&o, &b);
	one_gather(&o);
	CHECK(o.mine->stream[0].n_candidates == 2, "both");
	CHECK(mine("198.18.0.1:5000") && mine("198.18.0.1:5000")->type == ICE_HOST, "a host");
	CHECK(mine("10.0.0.1:5000") && mine("198.18.0.1:5000") &&
	              strcmp(mine("10.0.0.1:5000")->foundation,
	                     mine("198.18.0.1:5000")->foundation) == 0,
	      "of one base (ICE-027)");
	one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.2:6000", 2130706431);
	one_remote(&o);
	CHECK(one_next(&o, NULL) && !one_next(&o, NULL), "and one check, from the inside");
	close_clean();
}

/* ICE-032, ICE-034. */
static void test_priority(void)
{
	CHECK(candidate_priority(ICE_HOST, 65535, 1) == 2130706431, "host");
	CHECK(candidate_priority(ICE_HOST, 65535, 2) == 2130706430, "its second component");
	CHECK(candidate_priority(ICE_SRFLX, 65535, 1) == 1694498815, "server-reflexive");
	CHECK(candidate_priority(ICE_PRFLX, 65535, 1) == 1862270975, "peer-reflexive");
	CHECK(candidate_priority(ICE_RELAY, 65535, 1) == 16777215, "relayed");
	CHECK(candidate_priority(ICE_HOST, 65535, 256) == 2130706176, "component 256");
	open_plain();
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_gather(&o);
	CHECK(mine("198.18.0.1:5000")->priority == 2130706431, "a single address (ICE-035)");
	close_clean();
}

/* ICE-040, ICE-041: both roles; and all over again when the role changes. */
static void test_pair_priority(void)
{
	for (unsigned controlling = 0; controlling < 2; controlling++) {
		struct ice_config c = one_config();

		c.controlling = controlling;
		open_with(&c);
		one_base(&o, 0, 1, "198.18.0.1:5000");
		one_gather(&o);
		one_candidate(&o, 0, 1, ICE_SRFLX, "198.18.0.2:6000", 1694498815);
		one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.3:6000", 2130706431);
		one_remote(&o);
		CHECK(one_priority(&o, "198.18.0.1:5000", "198.18.0.2:6000") ==
		              (controlling ? UINT64_C(7277816997797167103)
		                           : UINT64_C(7277816997797167102)),
		      "the controlling side's in the last bit");
		CHECK(one_priority(&o, "198.18.0.1:5000", "198.18.0.3:6000") ==
		              UINT64_C(9151314442783293438),
		      "equals");
		one_asked(&o, &(struct one_request){ .controlling = controlling,
		                                     .controlled = !controlling,
		                                     .tie = controlling ? UINT64_MAX : 0 });
		CHECK(ice_role(o.a) == (controlling ? ICE_CONTROLLED : ICE_CONTROLLING), "changed");
		CHECK(one_priority(&o, "198.18.0.1:5000", "198.18.0.2:6000") ==
		              (controlling ? UINT64_C(7277816997797167102)
		                           : UINT64_C(7277816997797167103)),
		      "and so are the pairs");
		close_clean();
	}
}

/* ICE-035, ICE-043, ICE-047: the order of a component's addresses, by family and number. */
static void test_interleave(void)
{
	struct ice_config c = one_config();
	static const char *const want[] = { "[fd00::1]:", "[fd00::2]:", "[fd00::3]:", "[fd00::4]:",
		                            "10.0.0.1:",  "[fd00::5]:", "[fd00::6]:", "10.0.0.2:" };
	static const char *const added[] = {
		"10.0.0.1:",  "10.0.0.2:",  "[fd00::1]:", "[fd00::2]:",
		"[fd00::3]:", "[fd00::4]:", "[fd00::5]:", "[fd00::6]:"
	};
	char at[40], before[40];

	c.n_components = 2;
	open_with(&c);
	for (unsigned i = 0; i < COUNT(added); i++)
		for (unsigned k = 1; k <= 2; k++) {
			snprintf(at, sizeof(at), "%s%u", added[i], 5000 + k);
			one_base(&o, 0, k, at);
		}
	one_gather(&o);
	for (unsigned i = 0; i < COUNT(want); i++) {
		snprintf(at, sizeof(at), "%s5001", want[i]);
		const uint32_t one = mine(at)->priority;

		CHECK((one & 0xFF) == 255, "the component keeps its place");
		snprintf(before, sizeof(before), "%s5002", want[i]);
		CHECK(mine(before)->priority == one - 1, "both components alike");
		if (i == 0)
			continue;
		snprintf(before, sizeof(before), "%s5001", want[i - 1]);
		CHECK(mine(before)->priority > one, want[i]);
	}
	close_clean();
}

/* ICE-043: one of each, IPv6 first. ICE-044: what costs comes last, of whatever family. */
static void test_one_of_each(void)
{
	struct ice_base costly = { .component = 1, .at = one_at("[fd00::9]:5000"), .costly = true };

	open_plain();
	one_base_as(&o, &costly);
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_base(&o, 0, 1, "[fd00::1]:5000");
	one_gather(&o);
	CHECK(mine("[fd00::1]:5000")->priority > mine("198.18.0.1:5000")->priority, "v6, v4");
	CHECK(mine("198.18.0.1:5000")->priority > mine("[fd00::9]:5000")->priority, "costly last");
	close_clean();
}

/* ICE-027, ICE-030: equal base, type and protocol, equal foundation; ports do not count. */
static void test_foundations(void)
{
	struct ice_config c = one_config();
	const char *f[4];

	c.n_components = 2;
	open_with(&c);
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_base(&o, 0, 2, "198.18.0.1:5001");
	one_base(&o, 0, 1, "198.18.0.9:5000");
	one_base(&o, 0, 1, "[fd00::1]:5000");
	one_gather(&o);
	f[0] = mine("198.18.0.1:5000")->foundation;
	f[1] = mine("198.18.0.1:5001")->foundation;
	f[2] = mine("198.18.0.9:5000")->foundation;
	f[3] = mine("[fd00::1]:5000")->foundation;
	CHECK(strcmp(f[0], f[1]) == 0, "one address");
	CHECK(strcmp(f[0], f[2]) && strcmp(f[0], f[3]) && strcmp(f[2], f[3]), "three addresses");
	for (unsigned i = 0; i < 4; i++)
		CHECK(strlen(f[i]) >= 1 && strlen(f[i]) <= 32 &&
		              strspn(f[i], "0123456789") == strlen(f[i]),
		      "ICE-028");
	close_clean();
}

/* ICE-030: ("1", "23") and ("12", "3") are two; a pair of one waits for no pair of the other. */
static void test_pair_foundations(void)
{
	open_plain();
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_gather(&o);
	one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.2:6000", 2130706431);
	one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.2:6001", 2130706431 - 256);
	memcpy(o.theirs->stream[0].candidate[0].foundation, "1", 2);
	memcpy(o.theirs->stream[0].candidate[1].foundation, "11", 3);
	ice_remote(o.a, o.now_ms, o.theirs);
	CHECK(one_state(&o, "198.18.0.1:5000", "198.18.0.2:6000") == ICE_WAITING, "first");
	CHECK(one_state(&o, "198.18.0.1:5000", "198.18.0.2:6001") == ICE_WAITING, "second too");
	close_clean();
}

/* ICE-048, ICE-049: an address that was there already. */
static void test_redundant(void)
{
	open_plain();
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_gather(&o);
	CHECK(o.mine->stream[0].n_candidates == 1, "once");
	CHECK(one_notes(&o, ICE_TRACE_CAND, "redundant") == 1, "and told");
	close_clean();
}

/* ICE-042: odd priorities of old peers are taken, and counted. */
static void test_odd_priorities(void)
{
	static const uint32_t odd[] = { 0, UINT32_C(0x80000000), UINT32_MAX };

	open_plain();
	one_base(&o, 0, 1, "198.18.0.1:5000");
	one_gather(&o);
	for (unsigned i = 0; i < COUNT(odd); i++) {
		char at[40];

		snprintf(at, sizeof(at), "198.18.0.2:%u", 6000 + i);
		one_candidate(&o, 0, 1, ICE_HOST, at, odd[i]);
	}
	CHECK(one_remote(&o) == ICE_OK, "taken");
	CHECK(one_priority(&o, "198.18.0.1:5000", "198.18.0.2:6000") ==
	              (UINT64_C(1) << 32) + UINT64_C(2) * 2130706431 + 1,
	      "nothing counts as one");
	CHECK(one_priority(&o, "198.18.0.1:5000", "198.18.0.2:6002") ==
	              (UINT64_C(2130706431) << 32) + UINT64_C(2) * UINT32_MAX,
	      "the rest as it is");
	CHECK(ice_counted(o.a, "priority_odd") == 3, "counted");
	close_clean();
}

/* ICE-051: what is known already changes nothing. */
static void test_known_remote(void)
{
	struct ice_candidate c;

	open_plain();
	one_pair(&o);
	c = o.theirs->stream[0].candidate[0];
	c.priority = 1;
	CHECK(ice_remote_candidate(o.a, o.now_ms, 0, NULL, &c) == ICE_KNOWN, "known");
	CHECK(one_notes(&o, ICE_TRACE_PAIR, "formed") == 1 &&
	              one_notes(&o, ICE_TRACE_PAIR, "changed") == 0,
	      "and left alone");
	close_clean();
}

/* ICE-031, ICE-161: a lite agent's hosts: one for each address, foundations by address. */
static void test_lite(void)
{
	struct ice_config c = one_config();
	struct ice_base b = { .component = 1,
		              .at = one_at("10.0.0.1:5000"),
		              .outside = one_at("198.18.0.1:5000") };

	c.lite = true;
	open_with(&c);
	one_base_as(&o, &b);
	CHECK(one_base(&o, 0, 1, "10.0.0.1:5002") < 0, "one for each address");
	one_gather(&o);
	CHECK(o.mine->stream[0].n_candidates == 2, "both sides of the NAT");
	CHECK(strcmp(mine("10.0.0.1:5000")->foundation, mine("198.18.0.1:5000")->foundation) != 0,
	      "two addresses, two foundations");
	CHECK(mine("10.0.0.1:5000")->priority == 2130706431, "type 126, preference 65535");
	CHECK(o.mine->stream[0].end_of_candidates && o.mine->pacing_ms == 0, "ICE-204, ICE-067");
	close_clean();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "unfit addresses (ICE-007, ICE-008)", test_unfit },
		{ "temporary addresses (ICE-009, ICE-010)", test_temporary },
		{ "temporary, other interface (ICE-009)", test_temporary_elsewhere },
		{ "components (ICE-011)", test_components },
		{ "one-to-one NAT (ICE-014)", test_outside },
		{ "priorities (ICE-032..035)", test_priority },
		{ "pair priorities (ICE-040, ICE-041)", test_pair_priority },
		{ "families take turns (ICE-035, ICE-043, ICE-047)", test_interleave },
		{ "one of each, costly last (ICE-043, ICE-044)", test_one_of_each },
		{ "foundations (ICE-027, ICE-028)", test_foundations },
		{ "foundations of pairs (ICE-030)", test_pair_foundations },
		{ "redundant (ICE-048, ICE-049)", test_redundant },
		{ "odd priorities (ICE-042)", test_odd_priorities },
		{ "known remote (ICE-051)", test_known_remote },
		{ "lite (ICE-031, ICE-161)", test_lite },
		CU_TEST_INFO_NULL,
	};
	return run_suite("ice candidate", tests);
}
