/* Mirrors control/ice/agree.c: two lite agents (ICE-165). */
#include "tests/rig/ice_one.h"
#include "tests/support.h"

static struct one left, right;

static void open_at(struct one *o, bool controlling, unsigned hosts, const char *net)
{
	struct ice_config c = one_config();

	c.lite = true;
	c.controlling = controlling;
	c.n_components = 2;
	o->has_tie = false;
	one_open(o, &c);
	for (unsigned i = 0; i < hosts; i++)
		for (unsigned k = 1; k <= 2; k++) {
			char at[40];

			snprintf(at, sizeof(at), "%s.%u:%u", net, i + 1, 5000 + k);
			one_base(o, 0, k, at);
		}
	one_gather(o);
}

static void tell(struct one *from, struct one *to)
{
	ice_local(from->a, from->mine);
	one_poll(from);
	CHECK(ice_remote(to->a, to->now_ms, from->mine) == ICE_OK, "taken");
	one_poll(to);
}

static void check_agreed(unsigned component)
{
	struct ice_selected a, b;
	static struct ice_datagram d;

	CHECK(one_session(&left) == ICE_COMPLETED && one_session(&right) == ICE_COMPLETED, "both");
	CHECK(ice_selected(left.a, 0, component, &a) && ice_selected(right.a, 0, component, &b),
	      "selected");
	CHECK(endpoint_equal(&a.local.at, &b.remote.at) &&
	              endpoint_equal(&b.local.at, &a.remote.at),
	      "the same pair (INV-38)");
	CHECK(ice_send(left.a, left.now_ms, 0, component, "x", 1, &d), "data");
}

static void close_both(void)
{
	one_run(&left, left.now_ms + 40000);
	one_run(&right, right.now_ms + 40000);
	CHECK(one_count(&left, 0, STUN_REQUEST, NULL) == 0 &&
	              one_count(&right, 0, STUN_REQUEST, NULL) == 0,
	      "nobody checks (INV-30)");
	CHECK(one_count(&left, 0, STUN_INDICATION, NULL) > 0 || one_session(&left) != ICE_COMPLETED,
	      "but keeps alive");
	CHECK(one_close(&left) == 0 && one_close(&right) == 0, "no invariant is broken");
}

/* One pair for each component: nothing to agree on. Who offers controls (ICE-081). */
static void test_one(void)
{
	open_at(&left, true, 1, "198.18.0");
	open_at(&right, false, 1, "198.18.1");
	tell(&left, &right);
	CHECK(one_session(&right) == ICE_COMPLETED, "at once");
	tell(&right, &left);
	CHECK(ice_role(left.a) == ICE_CONTROLLING && ice_role(right.a) == ICE_CONTROLLED, "roles");
	CHECK(!ice_wants_update(left.a) && !ice_wants_update(right.a), "and no more to say");
	check_agreed(1);
	check_agreed(2);
	close_both();
}

/* Several: the controlling side says which, and only then it is done. */
static void test_several(void)
{
	struct ice_selected s;

	open_at(&left, true, 2, "198.18.0");
	open_at(&right, false, 3, "198.18.1");
	tell(&left, &right);
	tell(&right, &left);
	CHECK(one_session(&left) == ICE_RUNNING && one_session(&right) == ICE_RUNNING, "open");
	CHECK(!ice_selected(left.a, 0, 1, &s), "nothing is selected");
	CHECK(ice_wants_update(left.a) && !ice_wants_update(right.a), "one of them has to speak");
	tell(&left, &right);
	CHECK(left.mine->stream[0].n_candidates == 2, "one for each component");
	CHECK(left.mine->stream[0].remote[0].port && left.mine->stream[0].remote[1].port,
	      "and of the other side, too (ICE-068)");
	CHECK(one_session(&right) == ICE_COMPLETED && one_session(&left) == ICE_RUNNING, "half");
	tell(&right, &left);
	check_agreed(1);
	check_agreed(2);
	close_both();
}

/* A description that comes again says nothing about what was chosen here. */
static void test_again(void)
{
	open_at(&left, true, 2, "198.18.0");
	open_at(&right, false, 1, "198.18.1");
	tell(&left, &right);
	struct ice_description *const first = copy_exact(left.mine, sizeof(*first));

	tell(&right, &left);
	tell(&right, &left);
	CHECK(one_session(&left) == ICE_RUNNING && ice_wants_update(left.a), "still to be said");
	CHECK(ice_remote(right.a, right.now_ms, first) == ICE_OK, "taken");
	CHECK(one_session(&right) == ICE_RUNNING, "nor is it told by what was there before");
	free(first);
	close_both();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "one pair (ICE-081, ICE-165)", test_one },
		{ "several (ICE-165)", test_several },
		{ "told again (ICE-165)", test_again },
		CU_TEST_INFO_NULL,
	};
	return run_suite("ice agree", tests);
}
