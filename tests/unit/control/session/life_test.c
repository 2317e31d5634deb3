/* Sessions from their making to their end: checks, rows, media, consent. */
#include <stdio.h>

#include "tests/rig/session_rig.h"
#include "tests/support.h"

static struct session_rig r;

/* Two legs, their other ends, everything exchanged; at the end both say something. */
static uint64_t call(bool full, bool controlling, struct sr_peer *p[2])
{
	const uint64_t id = sr_create(&r, 2, full, controlling);

	CHECK(id != 0, "made");
	for (unsigned i = 0; i < 2; i++) {
		p[i] = sr_peer(&r, id, i + 1, !controlling, false, false);
		CHECK(sr_exchange(&r, p[i]) == SESSION_OK, "exchanged");
	}
	sr_run(&r, 5000);
	return id;
}

static void expect_media(struct sr_peer *from, struct sr_peer *to, bool comes, const char *what)
{
	const uint64_t had = to->data;

	CHECK(sr_say(&r, from), what);
	sr_run(&r, 100);
	CHECK((to->data > had) == comes, what);
}

static void both_ways(bool full, bool controlling)
{
	struct sr_peer *p[2];
	struct session_leg_info info;
	uint64_t id;

	sr_open(&r, NULL);
	id = call(full, controlling, p);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(p[i]->state == ICE_COMPLETED, "the other end is connected");
		CHECK(session_leg(r.srv, id, i + 1, &info) && info.state == ICE_COMPLETED &&
		              info.selected,
		      "and the leg");
		CHECK(endpoint_equal(&info.pair.remote.at, &p[i]->at), "to where it is");
		CHECK(sr_count(&r, SESSION_EVENT_SELECTED, id, i + 1) == 1, "told once");
		CHECK(sr_flowing(&r, id, i + 1) != NULL, "a row with a peer");
	}
	expect_media(p[0], p[1], true, "from the first to the second");
	expect_media(p[1], p[0], true, "and back");
	CHECK(session_leg(r.srv, id, 1, &info) && info.counts.from_packets == 1 &&
	              info.counts.to_packets == 1 && info.counts.to_octets == 6,
	      "counted");
	const unsigned punts = r.n_punts;

	sr_run(&r, 60000);
	CHECK(p[0]->state == ICE_COMPLETED && sr_flowing(&r, id, 1) && sr_flowing(&r, id, 2),
	      "consent goes on");
	if (!full)
		CHECK(r.n_punts == punts && r.n_answered > 10,
		      "ICE-193: control has no part in it");
	CHECK(session_delete(r.srv, id, net_now(r.net)) == SESSION_OK, "deleted");
	sr_drain(&r);
	const struct session_event *const e = sr_last(&r, SESSION_EVENT_ENDED, id, 0);

	CHECK(e && e->counts.from_packets == 2 && e->counts.to_packets == 2, "final counts");
	CHECK(r.n_ports == 0 && r.n_rows == 0, "ports and rows are back");
	CHECK(session_count(r.srv, NULL) == 0 && session_ending(r.srv) == 0, "nothing is left");
	expect_media(p[0], p[1], false, "nobody is there");
	sr_close(&r);
}

static void test_lite(void)
{
	both_ways(false, false);
}

static void test_controlling(void)
{
	both_ways(true, true);
}

static void test_controlled(void)
{
	both_ways(true, false);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "two lite legs (ICE-162, ICE-163, ICE-168)", test_lite },
		{ "two full legs, controlling", test_controlling },
		{ "two full legs, controlled", test_controlled },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/session/life", tests);
}
