/* Agents as legs on a relay: what they take, and another life after their process has died
 * (ICE-162 to ICE-174, ICE-184). */
#include <stdio.h>

#include "tests/rig/ice_world.h"
#include "tests/support.h"

static void draw(void *arg, void *out, size_t n)
{
	uint64_t *const state = arg;

	for (size_t i = 0; i < n; i++) {
		*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
		((uint8_t *)out)[i] = (uint8_t)(*state >> 40);
	}
}

/* --- memory --- */

/* A leg is small, a lite one smaller; each number asked for is one that is taken. */
static void test_octets(void)
{
	const struct ice_config full = ice_defaults_leg(false), lite = ice_defaults_leg(true);
	struct ice_config more = full;

	CHECK(ice_octets(&full) <= 12288, "a full leg");
	CHECK(ice_octets(&lite) <= 9216 && ice_octets(&lite) < ice_octets(&full), "a lite leg");
	more.transactions_max += 10;
	CHECK(ice_octets(&more) > ice_octets(&full), "transactions");
	more = full;
	more.candidates_max += 10;
	CHECK(ice_octets(&more) > ice_octets(&full), "candidates");
	more = lite;
	more.transactions_max += 100;
	CHECK(ice_octets(&more) == ice_octets(&lite), "a lite agent has no transactions");
}

/* What does not fit is refused: bases by the config, candidates by theirs. */
static void test_full(void)
{
	uint64_t state = 1;
	struct ice_config c = ice_defaults_leg(false);
	struct ice_base b = { .component = 1 };
	struct ice_candidate r = { .priority = 1, .component = 1, .foundation = "1" };
	unsigned taken = 0;

	c.random = draw;
	c.random_arg = &state;
	struct ice_agent *const a = ice_new(&c, 1);

	for (unsigned i = 0; i < 8; i++) {
		b.at.addr = addr_from4((const uint8_t[]){ 198, 18, 0, (uint8_t)(i + 1) });
		b.at.port = 5000;
		taken += ice_add_base(a, 1, &b) >= 0;
	}
	CHECK(taken == c.bases_max, "bases");
	taken = 0;
	for (unsigned i = 0; i < 64; i++) {
		r.at.addr = addr_from4((const uint8_t[]){ 198, 18, 1, (uint8_t)(i + 1) });
		r.at.port = 5000;
		const enum ice_refused why = ice_remote_candidate(a, 1, 0, NULL, &r);

		taken += why == ICE_OK;
		CHECK(why == (i < c.candidates_max ? ICE_OK : ICE_TOO_MANY), "in or refused");
	}
	CHECK(taken == c.candidates_max, "candidates");
	ice_free(a);
}

/* --- another life --- */

static struct world *connected(enum world_kind kind, bool lite)
{
	const struct world_plan p = { .seed = 5,
		                      .kind = { kind, WORLD_PUBLIC },
		                      .link = { .delay_ms = 15 },
		                      .lite = lite,
		                      .leg = true,
		                      .trickle = true,
		                      .signal_ms = 20 };
	struct world *const w = world_new(&p);

	world_settle(w, 20000);
	CHECK(ice_state(w->side[1].a, NULL) == ICE_COMPLETED, "connected");
	world_run(w, world_now(w) + 5000, 100);
	return w;
}

static uint64_t reborn_state = 99;

/* Side 1's process dies and comes back with what it saved. */
static void die_and_resume(struct world *w, const struct ice_config *c)
{
	struct world_side *const s = &w->side[1];
	const struct ice_base b = { .component = 1,
		                    .at = { addr_from4((const uint8_t[]){ 198, 18, 3, 2 }), 5001 },
		                    .default_route = true };
	static struct ice_description before, after;
	struct ice_selected was, is;
	const enum ice_role role = ice_role(s->a);
	uint8_t saved[ICE_SAVED_MAX];
	const size_t len = ice_save(s->a, saved, sizeof(saved));

	CHECK(len > 0 && ice_selected(s->a, 0, 1, &was), "saved");
	ice_local(s->a, &before);
	ice_free(s->a);
	uint8_t *const exact = copy_exact(saved, len);

	s->a = ice_resume(c, &b, 1, exact, len, world_now(w), world_now(w));
	free(exact);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s->a);
	ice_local(s->a, &after);
	CHECK(strcmp(before.stream[0].ufrag, after.stream[0].ufrag) == 0 &&
	              strcmp(before.stream[0].pwd, after.stream[0].pwd) == 0,
	      "the same credentials");
	CHECK(ice_state(s->a, NULL) == ICE_COMPLETED && ice_role(s->a) == role, "as it was");
	CHECK(ice_selected(s->a, 0, 1, &is) && endpoint_equal(&is.remote.at, &was.remote.at) &&
	              endpoint_equal(&is.local.at, &was.local.at),
	      "the same pair");
	/* Cut short anywhere it is refused, nothing else. */
	for (size_t n = 0; n < len; n++) {
		uint8_t *const cut = copy_exact(saved, n);

		CHECK(!ice_resume(c, &b, 1, cut, n, world_now(w), world_now(w)), "cut");
		free(cut);
	}
}

static struct ice_config reborn(bool lite)
{
	struct ice_config c = ice_defaults_leg(lite);

	c.controlling = false;
	c.random = draw;
	c.random_arg = &reborn_state;
	return c;
}

/* Data and consent go on for a minute; a restart later finds a pair; silence ends it. */
static void resumed_life(struct world *w, bool lite)
{
	struct ice_config c = reborn(lite);

	c.patience_ms = lite ? 30000 : 0;
	die_and_resume(w, &c);
	uint64_t data = w->side[1].data, back = w->side[0].data;
	const unsigned sent = w->side[1].tx;

	world_run(w, world_now(w) + 7000, 100);
	CHECK(w->side[1].tx > sent, "consent is asked for or answered promptly");
	world_run(w, world_now(w) + 60000, 100);
	CHECK(w->side[1].data - data > 600 && w->side[0].data - back > 600, "data both ways");
	for (unsigned i = 0; i < 2; i++)
		CHECK(ice_state(w->side[i].a, NULL) == ICE_COMPLETED, "consent goes on");
	world_restart(w, 0);
	data = w->side[1].data;
	world_run(w, world_now(w) + 5000, 100);
	for (unsigned i = 0; i < 2; i++)
		CHECK(ice_state(w->side[i].a, NULL) == ICE_COMPLETED, "a later restart");
	CHECK(w->side[1].data - data > 40, "data all the time");
	net_part(w->net, w->side[0].host[0], w->side[1].host[0], true);
	const uint64_t at = world_now(w);

	world_run(w, at + 23000, 0);
	CHECK(ice_state(w->side[1].a, NULL) != ICE_FAILED, "not before its time");
	world_run(w, at + 37000, 0);
	enum ice_reason why = ICE_WHY_NONE;

	CHECK(ice_state(w->side[1].a, &why) == ICE_FAILED && why == ICE_WHY_CONSENT_LOST,
	      "lost after 30 s");
}

static void test_resume_full(void)
{
	struct world *const w = connected(WORLD_PUBLIC, false);

	resumed_life(w, false);
	world_free(w);
}

static void test_resume_lite(void)
{
	struct world *const w = connected(WORLD_PUBLIC, true);

	resumed_life(w, true);
	world_free(w);
}

/* A selected pair of a learned candidate comes back as well. */
static void test_resume_learned(void)
{
	for (unsigned lite = 0; lite < 2; lite++) {
		struct world *const w = connected(WORLD_SYMMETRIC, lite);
		struct ice_config c = reborn(lite);

		die_and_resume(w, &c);
		const uint64_t data = w->side[0].data;

		world_run(w, world_now(w) + 20000, 100);
		CHECK(w->side[0].data - data > 150, "data through the NAT");
		CHECK(ice_state(w->side[0].a, NULL) == ICE_COMPLETED, "consent");
		world_free(w);
	}
}

/* ICE-169: the NAT forgets; data follows the peer's checks, if it may. */
static void test_follow(void)
{
	for (unsigned may = 0; may < 2; may++) {
		struct world *const w = connected(WORLD_CONE, true);
		struct ice_config c = reborn(true);

		c.follow_ms = may ? 2000 : 0;
		die_and_resume(w, &c);
		net_rebind(w->net, w->side[0].network);
		world_run(w, world_now(w) + 13000, 0);
		const uint64_t data = w->side[0].data;

		world_run(w, world_now(w) + 2000, 100);
		CHECK(may ? w->side[0].data > data : w->side[0].data == data, "followed");
		world_free(w);
	}
}

/* Heard by whoever answers in its place, a silent peer stays. */
static void test_heard(void)
{
	struct world *const w = connected(WORLD_PUBLIC, true);
	struct ice_config c = reborn(true);

	c.patience_ms = 30000;
	die_and_resume(w, &c);
	net_part(w->net, w->side[0].host[0], w->side[1].host[0], true);
	const uint64_t at = world_now(w);

	world_run(w, at + 25000, 0);
	ice_heard(w->side[1].a, world_now(w));
	world_run(w, at + 54000, 0);
	CHECK(ice_state(w->side[1].a, NULL) == ICE_COMPLETED, "still there");
	world_run(w, at + 56000, 0);
	CHECK(ice_state(w->side[1].a, NULL) == ICE_FAILED, "lost 30 s after it was heard");
	world_free(w);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "octets of a leg", test_octets },
		{ "what does not fit", test_full },
		{ "another life, full (ICE-182)", test_resume_full },
		{ "another life, lite (ICE-163)", test_resume_lite },
		{ "another life, learned peer", test_resume_learned },
		{ "following the peer (ICE-169)", test_follow },
		{ "heard by others", test_heard },
		CU_TEST_INFO_NULL,
	};
	setbuf(stdout, NULL);
	return run_suite("ice leg", tests);
}
