/* An agent's later life on the simulated network: consent, restarts, rebindings, lite peers, ends.
 */
#include <stdio.h>

#include "tests/rig/ice_world.h"
#include "tests/support.h"

static struct world_plan plan(uint64_t seed, enum world_kind a, enum world_kind b)
{
	return (struct world_plan){ .seed = seed,
		                    .kind = { a, b },
		                    .link = { .delay_ms = 15, .jitter_ms = 3 },
		                    .stun = true,
		                    .turn = true,
		                    .trickle = true,
		                    .signal_ms = 20 };
}

static struct world *connected(const struct world_plan *p)
{
	struct world *const w = world_new(p);

	world_settle(w, 20000);
	for (unsigned i = 0; i < 2; i++)
		CHECK(ice_state(w->side[i].a, NULL) == ICE_COMPLETED, "connected");
	return w;
}

static void clean(struct world *w)
{
	for (unsigned i = 0; i < 2; i++)
		CHECK(ice_check_end(w->side[i].check) == 0, "no invariant is broken");
	world_free(w);
}

static enum ice_state state(const struct world *w, unsigned side)
{
	return ice_state(w->side[side].a, NULL);
}

/* ICE-182 to ICE-184, INV-35: half an hour, answered all the time; allocations live (ICE-022). */
static void test_long_call(void)
{
	const struct world_plan p = plan(1, WORLD_SYMMETRIC, WORLD_PORT);
	struct world *const w = connected(&p);

	world_run(w, 1800000, 1000);
	CHECK(state(w, 0) == ICE_COMPLETED && state(w, 1) == ICE_COMPLETED, "still there");
	CHECK(w->side[0].data > 1700 && w->side[1].data > 1700, "data all the time");
	CHECK(net_allocations(w->net) >= 1, "the allocation lives");
	clean(w);
}

/* ICE-151: what was not selected is given back three seconds after. */
static void test_unused_freed(void)
{
	const struct world_plan p = plan(2, WORLD_PUBLIC, WORLD_PUBLIC);
	struct world *const w = connected(&p);
	const uint64_t at = w->side[0].completed_ms;

	world_run(w, at + 2900, 0);
	CHECK(net_allocations(w->net) == 2, "both sides have one, kept for three seconds");
	world_run(w, at + 4500, 0);
	CHECK(net_allocations(w->net) == 0, "given back");
	clean(w);
}

/* ICE-184, ICE-187: shown after ten seconds at most, lost after thirty, never later. */
static void test_consent_lost(void)
{
	const struct world_plan p = plan(3, WORLD_PUBLIC, WORLD_PUBLIC);
	struct world *const w = connected(&p);
	const uint64_t at = world_now(w);

	net_part(w->net, w->side[0].host[0], w->side[1].host[0], true);
	world_run(w, at + 11000, 0);
	CHECK(state(w, 0) == ICE_DISCONNECTED && state(w, 1) == ICE_DISCONNECTED, "disconnected");
	world_run(w, at + 37000, 100);
	CHECK(state(w, 0) == ICE_FAILED && state(w, 1) == ICE_FAILED, "lost");
	CHECK(w->side[0].why == ICE_WHY_CONSENT_LOST, "and said why");
	CHECK(w->side[0].failed_ms >= at + 24000 && w->side[0].failed_ms <= at + 36100, "at 30 s");
	CHECK(w->side[0].restarts_wanted == 1, "a restart is asked for");
	const unsigned sent = w->side[0].tx;

	world_run(w, world_now(w) + 20000, 100);
	CHECK(w->side[0].tx == sent, "nothing is sent any more (INV-36)");
	clean(w);
}

/* ICE-187: what heals in time is connected again. */
static void test_heals(void)
{
	const struct world_plan p = plan(4, WORLD_PUBLIC, WORLD_PUBLIC);
	struct world *const w = connected(&p);

	net_part(w->net, w->side[0].host[0], w->side[1].host[0], true);
	world_run(w, world_now(w) + 15000, 0);
	CHECK(state(w, 0) == ICE_DISCONNECTED, "shaky");
	net_part(w->net, 0, 0, false);
	world_run(w, world_now(w) + 8000, 0);
	CHECK(state(w, 0) == ICE_COMPLETED && state(w, 1) == ICE_COMPLETED, "healed");
	clean(w);
}

/* ICE-170 to ICE-174, INV-33: no gap in the data while a new pair is sought. */
static void test_restart(void)
{
	for (unsigned trickle = 0; trickle < 2; trickle++)
		for (unsigned side = 0; side < 2; side++) {
			struct world_plan p = plan(5 + side, WORLD_PORT, WORLD_CONE);

			p.trickle = trickle;
			struct world *const w = connected(&p);
			const enum ice_role role = ice_role(w->side[0].a);

			world_run(w, world_now(w) + 3000, 50);
			const uint64_t before = w->side[0].data + w->side[1].data;

			world_restart(w, side);
			world_run(w, world_now(w) + 4000, 50);
			CHECK(state(w, 0) == ICE_COMPLETED && state(w, 1) == ICE_COMPLETED,
			      "new pair");
			CHECK(w->side[0].data + w->side[1].data - before >= 150, "no gap");
			CHECK(ice_generation(w->side[0].a) == 1 &&
			              ice_generation(w->side[1].a) == 1,
			      "one generation on, at both ends (ICE-172)");
			CHECK(ice_role(w->side[0].a) == role, "roles stay (ICE-082)");
			clean(w);
		}
}

/* A NAT forgets: the next restart finds the way again. */
static void test_rebind(void)
{
	const struct world_plan p = plan(7, WORLD_PORT, WORLD_PORT);
	struct world *const w = connected(&p);

	net_rebind(w->net, w->side[0].network);
	world_run(w, world_now(w) + 12000, 100);
	world_restart(w, 0);
	world_run(w, world_now(w) + 5000, 100);
	CHECK(state(w, 0) == ICE_COMPLETED && state(w, 1) == ICE_COMPLETED, "again");
	const uint64_t data = w->side[1].data;

	world_run(w, world_now(w) + 1000, 100);
	CHECK(w->side[1].data >= data + 8, "data flows");
	clean(w);
}

/* ICE-081, ICE-162, ICE-163, ICE-167, INV-30. */
static void test_lite(void)
{
	for (unsigned k = WORLD_PUBLIC; k <= WORLD_TWICE; k++) {
		struct world_plan p = plan(20 + k, (enum world_kind)k, WORLD_PUBLIC);

		p.lite = true;
		p.components = 2;
		p.streams = 2;
		struct world *const w = connected(&p);

		CHECK(ice_role(w->side[0].a) == ICE_CONTROLLING, "the full one controls");
		world_run(w, world_now(w) + 40000, 100);
		CHECK(state(w, 0) == ICE_COMPLETED, "consent is answered");
		CHECK(w->side[0].data > 300 && w->side[1].data > 300, "data both ways");
		clean(w);
	}
}

/* ICE-155, ICE-160: nobody there; not before the patience has run out. */
static void test_nobody(void)
{
	struct world_plan p = plan(30, WORLD_SYMMETRIC, WORLD_SYMMETRIC);

	p.turn = false;
	struct world *const w = world_new(&p);

	world_settle(w, 60000);
	CHECK(state(w, 0) == ICE_FAILED && w->side[0].why == ICE_WHY_NO_ANSWER, "no answer");
	CHECK(w->side[0].failed_ms >= 39500, "patience (RFC 8863)");
	clean(w);
}

/* ICE-025: a server that is dead delays nothing. */
static void test_dead_server(void)
{
	struct world_plan p = plan(31, WORLD_PUBLIC, WORLD_PUBLIC);
	struct world *const w = world_new(&p);

	net_server_on(w->net, false);
	world_settle(w, 60000);
	CHECK(state(w, 0) == ICE_COMPLETED && w->side[0].completed_ms < 500, "by the host path");
	clean(w);
}

/* ICE-112: everything is lost for two seconds, then nothing. */
static void test_late_network(void)
{
	struct world_plan p = plan(32, WORLD_PORT, WORLD_PORT);
	struct world *const w = world_new(&p);

	net_set_loss(w->net, 1000);
	world_run(w, 2000, 0);
	net_set_loss(w->net, 0);
	world_settle(w, 30000);
	CHECK(state(w, 0) == ICE_COMPLETED && state(w, 1) == ICE_COMPLETED, "connects");
	clean(w);
}

/* ICE-012, ICE-177: the address of the path goes. */
static void test_base_gone(void)
{
	const struct world_plan p = plan(33, WORLD_PUBLIC, WORLD_PUBLIC);
	struct world *const w = connected(&p);

	ice_drop_base(w->side[0].a, world_now(w), 0);
	world_run(w, world_now(w) + 1000, 100);
	CHECK(state(w, 0) == ICE_FAILED && w->side[0].why == ICE_WHY_BASE_GONE, "told");
	CHECK(w->side[0].restarts_wanted == 1, "a restart is asked for");
	clean(w);
}

/* P-43, ICE-139: port-restricted on both sides, no waiting for a retransmission. */
static void test_quick(void)
{
	unsigned slow = 0;

	for (uint64_t seed = 100; seed < 200; seed++) {
		const struct world_plan p = plan(seed, WORLD_PORT, WORLD_PORT);
		struct world *const w = connected(&p);

		/* Gathering two round trips, signalling, checks: a retransmission would be 500
		 * more. */
		slow += w->side[0].completed_ms > 900;
		clean(w);
	}
	CHECK(slow <= 5, "p95 without a retransmission");
}

/* ICE-004: the same inputs give the same outputs. */
static void test_same_again(void)
{
	uint64_t end[2];
	unsigned tx[2];

	for (unsigned i = 0; i < 2; i++) {
		struct world_plan p = plan(77, WORLD_PORT, WORLD_SYMMETRIC);

		p.link.loss = 50;
		struct world *const w = world_new(&p);

		world_settle(w, 60000);
		end[i] = world_now(w);
		tx[i] = w->side[0].tx * 100000 + w->side[1].tx;
		world_free(w);
	}
	CHECK(end[0] == end[1] && tx[0] == tx[1], "bit for bit");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "half an hour (ICE-022, ICE-182..184)", test_long_call },
		{ "unused allocations (ICE-151)", test_unused_freed },
		{ "consent lost (ICE-184, ICE-187)", test_consent_lost },
		{ "consent heals (ICE-187)", test_heals },
		{ "restart (ICE-170..174)", test_restart },
		{ "rebinding", test_rebind },
		{ "lite (ICE-162..167)", test_lite },
		{ "nobody there (ICE-155)", test_nobody },
		{ "dead server (ICE-025)", test_dead_server },
		{ "late network (ICE-112)", test_late_network },
		{ "base gone (ICE-012, ICE-177)", test_base_gone },
		{ "no waiting (ICE-139)", test_quick },
		{ "same again (ICE-004)", test_same_again },
		CU_TEST_INFO_NULL,
	};
	setbuf(stdout, NULL);
	return run_suite("ice life", tests);
}
