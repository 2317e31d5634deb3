/* Mirrors control/ice/rate.c: how fast checks may leave (ICE-103, ICE-106, ICE-216). */
#include "tests/rig/ice_one.h"
#include "tests/support.h"

#define MINE "198.18.0.1:5000"

static struct one o, p;

static void open_at(struct one *one, const struct ice_config *c, const char *at)
{
	one->has_tie = false;
	one_open(one, c);
	one_base(one, 0, 1, at);
	one_gather(one);
}

/* `n` candidates at ports of one address. */
static void aim(struct one *one, unsigned n, const char *ip)
{
	for (unsigned i = 0; i < n; i++) {
		char at[40];

		snprintf(at, sizeof(at), "%s:%u", ip, 6000 + i);
		one_candidate(one, 0, 1, ICE_HOST, at, 2130706431 - i * 256);
		/* All of them at once, if nothing held them back. */
		snprintf(one->theirs->stream[0].candidate[i].foundation, 33, "x%u", i);
	}
	one_remote(one);
}

static void check_window(const struct one *one)
{
	for (unsigned i = 5; i < one->n_sent; i++)
		CHECK(one->sent[i].ms >= one->sent[i - 5].ms + 1000, "five in any second");
}

/* ICE-216: a hundred candidates at one target. */
static void test_target(void)
{
	const struct ice_config c = one_config();

	open_at(&o, &c, MINE);
	aim(&o, 100, "198.18.0.2");
	one_run(&o, o.now_ms + 60000);
	CHECK(o.n_sent > 100, "it tries all the time");
	check_window(&o);
	CHECK(one_close(&o) == 0, "no invariant is broken");
}

/* ICE-216: whoever has answered is asked as fast as Ta allows. */
static void test_answered(void)
{
	struct ice_config c = one_config();

	c.controlling = false;
	open_at(&o, &c, MINE);
	aim(&o, 30, "198.18.0.2");
	one_run(&o, o.now_ms + 240);
	CHECK(o.n_sent == 5, "five");
	one_run(&o, o.now_ms + 400);
	CHECK(o.n_sent == 5, "and no more for now");
	/* Answered, but with a candidate that is never nominated: the agent is controlled. */
	one_answer(&o, one_next(&o, NULL), ONE_SUCCESS);
	const uint64_t begin = o.now_ms;

	one_run(&o, begin + 500);
	CHECK(one_count(&o, 5, STUN_REQUEST, NULL) >= 10, "then one each Ta");
	CHECK(one_close(&o) == 0, "no invariant is broken");
}

/* ICE-216: no more than a hundred checks to who does not answer, however often it is asked for. */
static void test_total(void)
{
	const struct ice_config c = one_config();
	uint8_t txid[400][12];
	unsigned n = 0;

	open_at(&o, &c, MINE);
	one_remote(&o);
	for (unsigned i = 0; i < 150; i++) {
		char at[40];

		snprintf(at, sizeof(at), "198.18.3.%u:1", 1 + i % 30);
		one_asked(&o, &(struct one_request){ .from = at });
		one_run(&o, o.now_ms + 250);
	}
	for (unsigned i = 0; i < o.n_sent; i++) {
		struct one_read r;
		bool known = false;

		one_read(&o, &o.sent[i], NULL, &r);
		if (r.cls != STUN_REQUEST)
			continue;
		for (unsigned k = 0; k < n; k++)
			known |= memcmp(txid[k], r.txid, 12) == 0;
		if (!known && n < 400)
			memcpy(txid[n++], r.txid, 12);
	}
	CHECK(n == 100, "a hundred");
	CHECK(ice_counted(o.a, "checks_limit") > 0, "and counted");
	CHECK(one_close(&o) == 0, "no invariant is broken");
}

/* Both agents in turn, in steps of a millisecond; the least distance between two of their sends. */
static uint64_t least_gap(const char *where_o, const char *where_p, struct ice_pacer *pacer)
{
	struct ice_config c = one_config();
	uint64_t least = UINT64_MAX, last = 0;

	c.pacer = pacer;
	open_at(&o, &c, MINE);
	open_at(&p, &c, MINE);
	aim(&o, 3, where_o);
	aim(&p, 3, where_p);
	for (unsigned ms = 0; ms < 200; ms++) {
		const unsigned before_o = o.n_sent, before_p = p.n_sent;

		one_run(&o, o.now_ms + 1);
		one_run(&p, p.now_ms + 1);
		for (unsigned k = before_o + before_p; k < o.n_sent + p.n_sent; k++) {
			if (last && o.now_ms - last < least)
				least = o.now_ms - last;
			last = o.now_ms;
		}
	}
	CHECK(o.n_sent == 3 && p.n_sent == 3, "all of both go");
	CHECK(one_close(&o) == 0 && one_close(&p) == 0, "no invariant is broken");
	return least;
}

/* ICE-103: the floor over agents, the literal one and that of a relay. */
static void test_pacer(void)
{
	static struct ice_pacer all, by_peer = { .by_peer = true };
	static struct ice_pacer again = { .by_peer = true };

	CHECK(least_gap("198.18.0.2", "198.18.7.2", NULL) == 0, "by themselves: at once");
	CHECK(least_gap("198.18.0.2", "198.18.7.2", &all) >= 5, "5 ms apart");
	CHECK(least_gap("198.18.0.2", "198.18.7.2", &by_peer) < 5, "other peers do not wait");
	CHECK(least_gap("198.18.0.2", "198.18.0.77", &again) >= 5, "those of one /24 do");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "one target (ICE-216)", test_target },
		{ "answered (ICE-216)", test_answered },
		{ "a hundred (ICE-216)", test_total },
		{ "pacer (ICE-103, ICE-106)", test_pacer },
		CU_TEST_INFO_NULL,
	};
	return run_suite("ice rate", tests);
}
