/* Whole agents on a simulated network: what wins, what fails and why, and the invariants of all. */
#include <stdio.h>

#include "tests/rig/ice_world.h"
#include "tests/support.h"

enum path { PATH_HOST, PATH_REFLEXIVE, PATH_RELAY, PATH_NONE };
static const char *const path_name[] = { "host", "reflexive", "relay", "none" };

/* --- what has to come out (spec/nat-behaviour) --- */

static bool is_symmetric(enum world_kind k)
{
	return k == WORLD_SYMMETRIC || k == WORLD_TWICE;
}

/* A port-restricted filter cannot be met by somebody whose port is another each time. */
static bool is_strict(enum world_kind k)
{
	return k == WORLD_PORT || k == WORLD_BROKEN_SIX || is_symmetric(k);
}

static bool has_six(enum world_kind k)
{
	return k == WORLD_SIX;
}

static enum path expected(const struct world_plan *p)
{
	const enum world_kind a = p->kind[0], b = p->kind[1];
	const enum path relayed = p->turn ? PATH_RELAY : PATH_NONE;

	if (p->same_nat)
		return PATH_HOST;
	if (has_six(a) != has_six(b))
		return relayed;
	if (has_six(a))
		return PATH_HOST;
	if (a == WORLD_BLOCKED || b == WORLD_BLOCKED)
		return relayed;
	if (a == WORLD_PUBLIC && b == WORLD_PUBLIC)
		return PATH_HOST;
	if ((is_symmetric(a) && is_strict(b)) || (is_symmetric(b) && is_strict(a)))
		return relayed;
	if ((a != WORLD_PUBLIC && b != WORLD_PUBLIC) && !p->stun && !p->turn)
		return PATH_NONE;
	return PATH_REFLEXIVE;
}

static enum path found(const struct world_side *s)
{
	struct ice_selected f;

	if (!ice_selected(s->a, 0, 1, &f))
		return PATH_NONE;
	if (f.local.type == ICE_RELAY || f.remote.type == ICE_RELAY)
		return PATH_RELAY;
	return f.local.type == ICE_HOST && f.remote.type == ICE_HOST ? PATH_HOST : PATH_REFLEXIVE;
}

/* Either end may be the one that the relay serves: it sees the other as it comes from there. */
static enum path path_of(const struct world *w)
{
	const enum path a = found(&w->side[0]), b = found(&w->side[1]);

	return a > b ? a : b;
}

static void check_clean(struct world *w, const char *what)
{
	for (unsigned i = 0; i < 2; i++)
		CHECK(ice_check_end(w->side[i].check) == 0, what);
}

/* INV-38: each end names the other's addresses. */
static void check_agree(struct world *w, const char *what)
{
	struct ice_selected a, b;

	for (unsigned st = 0; st < w->plan.streams; st++)
		for (unsigned c = 1; c <= w->plan.components; c++) {
			if (!ice_selected(w->side[0].a, st, c, &a) ||
			    !ice_selected(w->side[1].a, st, c, &b))
				continue;
			CHECK(endpoint_equal(&a.local.at, &b.remote.at), what);
			CHECK(endpoint_equal(&b.local.at, &a.remote.at), what);
		}
}

static void name_plan(const struct world_plan *p, char *out, size_t cap)
{
	snprintf(out, cap, "%s x %s%s%s%s seed %lu", world_kind_name[p->kind[0]],
	         world_kind_name[p->kind[1]],
	         p->turn   ? " turn"
	         : p->stun ? " stun"
	                   : "",
	         p->trickle ? " trickle" : "", p->same_nat ? " same NAT" : "",
	         (unsigned long)p->seed);
}

/* One run to its decision; then data both ways, then a quiet end. */
static void run_one(const struct world_plan *p)
{
	struct world *const w = world_new(p);
	const enum path want = expected(p);
	char what[200];

	name_plan(p, what, sizeof(what));
	world_settle(w, 70000);
	const enum path got = path_of(w);

	if (got != want)
		printf("    %s: %s, expected %s\n", what, path_name[got], path_name[want]);
	CHECK(got == want, what);
	for (unsigned i = 0; i < 2; i++) {
		const enum ice_state s = ice_state(w->side[i].a, NULL);

		CHECK(s == (want == PATH_NONE ? ICE_FAILED : ICE_COMPLETED), what);
		if (want == PATH_NONE)
			CHECK(w->side[i].failed_ms >= 39500, what); /* ICE-155 */
	}
	if (want != PATH_NONE) {
		world_run(w, world_now(w) + 2000, 100);
		CHECK(w->side[0].data > 10 && w->side[1].data > 10, what);
	}
	check_agree(w, what);
	check_clean(w, what);
	for (unsigned i = 0; i < 2; i++)
		ice_close(w->side[i].a, world_now(w));
	world_run(w, world_now(w) + 45000, 0);
	CHECK(net_allocations(w->net) == 0, what);
	world_free(w);
}

/* --- every pair of kinds, without loss: the right one wins (INV-40) --- */

static void test_matrix(void)
{
	for (unsigned a = 0; a < WORLD_KIND_COUNT; a++)
		for (unsigned b = 0; b < WORLD_KIND_COUNT; b++)
			for (unsigned how = 0; how < 4; how++)
				run_one(&(struct world_plan){
					.seed = a * 100 + b * 10 + how + 1,
					.kind = { (enum world_kind)a, (enum world_kind)b },
					.link = { .delay_ms = 20, .jitter_ms = 5 },
					.stun = true,
					.turn = how < 2,
					.trickle = how & 1,
					.signal_ms = 30,
				});
}

static void test_same_nat(void)
{
	for (unsigned k = WORLD_CONE; k <= WORLD_TWICE; k++)
		for (unsigned hairpin = 0; hairpin < 2; hairpin++)
			run_one(&(struct world_plan){
				.seed = k + 1,
				.kind = { (enum world_kind)k, (enum world_kind)k },
				.same_nat = true,
				.hairpin = hairpin,
				.link = { .delay_ms = 10 },
				.stun = true,
				.turn = true,
				.trickle = true,
				.signal_ms = 20 });
}

/*
 * --- thousands of random ones, with loss: somebody always gets through (INV-39) ---
 * ICE_SEEDS=n: so many; ICE_SEED=k ICE_TRACE=1: that one, with all that it tells.
 */

static void random_plan(uint64_t seed, struct world_plan *p)
{
	uint64_t r = seed * UINT64_C(0x9E3779B97F4A7C15);

	r ^= r >> 29;
	*p = (struct world_plan){
		.seed = seed,
		.kind = { (enum world_kind)(r % WORLD_KIND_COUNT),
		          (enum world_kind)(r / 16 % WORLD_KIND_COUNT) },
		.link = { .delay_ms = 1 + (unsigned)(r >> 8 & 127),
		          .jitter_ms = (unsigned)(r >> 16 & 63),
		          .loss = (unsigned)(r >> 24 & 63) },
		.stun = true,
		.turn = true,
		.trickle = r >> 32 & 1,
		.streams = 1 + (r >> 33 & 1),
		.components = 1 + (r >> 34 & 1),
		.signal_ms = (unsigned)(r >> 40 & 255),
		.both_control = (r >> 50 & 3) == 0,
	};
}

static void test_random(void)
{
	const char *const more = getenv("ICE_SEEDS"), *const one = getenv("ICE_SEED");
	const uint64_t first = one ? strtoull(one, NULL, 10) : 1;
	const uint64_t n = one ? 1 : more ? strtoull(more, NULL, 10) : 1500;
	unsigned decided = 0;

	for (uint64_t seed = first; seed < first + n; seed++) {
		struct world_plan p;
		char what[200];

		random_plan(seed, &p);
		name_plan(&p, what, sizeof(what));
		struct world *const w = world_new(&p);

		world_settle(w, 120000);
		const bool both = ice_state(w->side[0].a, NULL) == ICE_COMPLETED &&
		                  ice_state(w->side[1].a, NULL) == ICE_COMPLETED;

		decided += both;
		if (!both)
			printf("    %s: %s / %s\n", what, ice_reason_text(w->side[0].why),
			       ice_reason_text(w->side[1].why));
		CHECK(ice_role(w->side[0].a) != ice_role(w->side[1].a), what);
		if (p.both_control) /* ICE-084: the larger keeps its role */
			CHECK((ice_role(w->side[0].a) == ICE_CONTROLLING) ==
			              (ice_check_tie(w->side[0].check) >=
			               ice_check_tie(w->side[1].check)),
			      what);
		check_agree(w, what);
		check_clean(w, what);
		world_free(w);
	}
	printf("    %u of %lu connected\n", decided, (unsigned long)n);
	CHECK(decided >= n - n / 500, "all but what seven lost sends explain");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "every pair of NATs (INV-38, INV-40)", test_matrix },
		{ "both behind one NAT", test_same_nat },
		{ "random topologies with loss (INV-1..42)", test_random },
		CU_TEST_INFO_NULL,
	};
	setbuf(stdout, NULL);
	return run_suite("ice world", tests);
}
