/* Mirrors control/ice/conclude.c: nomination, and why it fails (ICE-141 to ICE-160). */
#include "tests/unit/control/ice/one_suite.h"

/* --- nomination --- */

/* ICE-141: a host pair is nominated at once; ICE-143: and is not until that is answered. */
static void test_nominate(void)
{
	struct one_read r;

	open_pair(true);
	one_answer(&o, one_next(&o, PEER), ONE_SUCCESS);
	one_run(&o, o.now_ms + 50);
	one_read(&o, one_next(&o, PEER), NULL, &r);
	CHECK(r.use_candidate && r.has_controlling, "the check again, with USE-CANDIDATE");
	CHECK(one_state(&o, MINE, PEER) == ICE_SUCCEEDED, "the pair stays what it was");
	CHECK(one_session(&o) == ICE_RUNNING && one_notes(&o, ICE_TRACE_NOMINATED, NULL) == 0,
	      "sent is not nominated (P-17)");
	one_run(&o, o.now_ms + 3600); /* three are lost */
	CHECK(one_session(&o) == ICE_RUNNING, "still not");
	one_answer(&o, &o.sent[o.n_sent - 1], ONE_SUCCESS);
	one_poll(&o);
	CHECK(one_session(&o) == ICE_COMPLETED, "answered: nominated");
	const unsigned sent = o.n_sent;

	one_asked(&o, &(struct one_request){ .base = 0 }); /* ICE-181 */
	one_run(&o, o.now_ms + 3000);
	CHECK(one_count(&o, sent, STUN_SUCCESS, PEER) == 1, "answered after the end, too");
	CHECK(one_count(&o, sent, STUN_REQUEST, PEER) == 0, "ICE-142: never again");
	close_clean();
}

/* ICE-141: a better pair may come for 500 ms, for 1500 if the best so far goes by a relay. */
static void test_patience(void)
{
	static const struct {
		enum ice_type type;
		unsigned wait_ms;
	} cases[] = { { ICE_SRFLX, 100 }, { ICE_RELAY, 1500 } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ice_config c = one_config();
		struct one_read r;

		open_with(&c);
		one_base(&o, 0, 1, MINE);
		one_gather(&o);
		one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.3:6000", 2130706431);
		one_candidate(&o, 0, 1, cases[i].type, PEER, i ? 16777215 : 1694498815);
		one_remote(&o);
		one_run(&o, o.now_ms + 60);
		const struct one_sent *const s = one_next(&o, PEER);
		const uint64_t valid = o.now_ms;
		const struct one_sent *n;

		one_answer(&o, s, ONE_SUCCESS);
		one_run(&o, valid + cases[i].wait_ms - 1);
		CHECK(one_next(&o, PEER) == NULL, "it waits");
		one_run(&o, valid + cases[i].wait_ms + 100);
		n = one_next(&o, PEER);
		one_read(&o, n, NULL, &r);
		CHECK(n && r.use_candidate && n->ms >= valid + cases[i].wait_ms, "then it chooses");
		close_clean();
	}
}

/* ICE-144: the chosen path dies before it is agreed on; the next one is taken. An answer from
 * elsewhere is no agreement either. */
static void test_nomination_fails(void)
{
	static const struct one_response how[] = { { .base = -1, .code = 400 },
		                                   { .base = -1, .from = "198.18.0.9:9" } };

	for (size_t i = 0; i < COUNT(how); i++) {
		struct ice_config c = one_config();
		struct ice_selected s;

		open_with(&c);
		one_base(&o, 0, 1, MINE);
		one_gather(&o);
		one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.3:6000", 2130706431);
		one_candidate(&o, 0, 1, ICE_HOST, PEER, 2130706431 - 256);
		one_remote(&o);
		one_run(&o, o.now_ms + 60);
		one_answer(&o, one_next(&o, "198.18.0.3:6000"), ONE_SUCCESS);
		one_answer(&o, one_next(&o, PEER), ONE_SUCCESS);
		one_run(&o, o.now_ms + 60);
		one_answer(&o, one_next(&o, "198.18.0.3:6000"), &how[i]);
		one_poll(&o);
		CHECK(one_state(&o, MINE, "198.18.0.3:6000") == ICE_PAIR_FAILED, "failed");
		one_serve(&o, o.now_ms + 300, 10, "198.18.0.3:6000");
		const struct endpoint to = one_at(PEER);

		CHECK(ice_selected(o.a, 0, 1, &s) && endpoint_equal(&s.remote.at, &to), "the next");
		close_clean();
	}
}

/* ICE-145, P-16, P-18: named before it has succeeded; selected when it has. Never by being asked
 * alone. */
static void test_told(void)
{
	struct ice_selected s;

	open_pair(false);
	one_asked(&o, &(struct one_request){ .use_candidate = true });
	CHECK(!ice_selected(o.a, 0, 1, &s), "not before an answer of its own");
	one_serve(&o, o.now_ms + 200, 10, NULL);
	CHECK(ice_selected(o.a, 0, 1, &s), "then it is");
	for (unsigned i = 0; i < o.n_sent; i++) {
		struct one_read r;

		one_read(&o, &o.sent[i], NULL, &r);
		CHECK(!r.use_candidate, "a controlled agent names nothing (INV-24)");
	}
	close_clean();
}

/* ICE-148: towards a peer with ice2 the first stays; towards an old one the latest counts. */
static void test_renominated(void)
{
	for (unsigned ice2 = 0; ice2 < 2; ice2++) {
		struct ice_config c = one_config();
		const struct endpoint first = one_at(PEER), then = one_at("198.18.0.3:6000");
		struct ice_selected s;

		c.controlling = false;
		open_with(&c);
		o.theirs->ice2 = ice2;
		one_pair(&o);
		one_asked(&o, &(struct one_request){ .use_candidate = true });
		one_serve(&o, o.now_ms + 200, 10, NULL);
		CHECK(ice_selected(o.a, 0, 1, &s) && endpoint_equal(&s.remote.at, &first), "first");
		one_asked(&o, &(struct one_request){ .use_candidate = true,
		                                     .from = "198.18.0.3:6000" });
		one_serve(&o, o.now_ms + 200, 10, NULL);
		CHECK(ice_selected(o.a, 0, 1, &s) && endpoint_equal(&s.remote.at, &first),
		      "who names every pair is not followed about");
		one_serve(&o, o.now_ms + 3100, 10, NULL);
		CHECK(one_asked(&o, &(struct one_request){ .use_candidate = true,
		                                           .from = "198.18.0.3:6000" })
		              .ok,
		      "answered in any case");
		one_serve(&o, o.now_ms + 200, 10, NULL);
		CHECK(ice_selected(o.a, 0, 1, &s) &&
		              endpoint_equal(&s.remote.at, ice2 ? &first : &then),
		      "by what the peer speaks");
		close_clean();
	}
}

/* --- ICE-160: each reason --- */

static void wait_failed(enum ice_reason why)
{
	one_run(&o, o.now_ms + 45000);
	CHECK(one_session(&o) == ICE_FAILED, ice_reason_text(why));
	CHECK(one_why(&o) == why, ice_reason_text(why));
	CHECK(*ice_reason_text(why), "has a sentence");
}

static void test_reasons(void)
{
	struct ice_config c = one_config();

	open_with(&c);
	one_gather(&o);
	one_candidate(&o, 0, 1, ICE_HOST, PEER, 1);
	one_remote(&o);
	wait_failed(ICE_WHY_NO_LOCAL);
	close_clean();

	open_with(&c);
	one_base(&o, 0, 1, MINE);
	one_gather(&o);
	one_remote(&o);
	const uint64_t begin = o.now_ms;

	one_run(&o, begin + 39499);
	CHECK(one_session(&o) == ICE_RUNNING, "patience (ICE-155)");
	wait_failed(ICE_WHY_NO_REMOTE);
	close_clean();

	open_pair(true);
	wait_failed(ICE_WHY_NO_ANSWER);
	CHECK(one_events(&o, ICE_EVENT_STREAM_FAILED) == 1, "ICE-158");
	close_clean();

	open_pair(true);
	one_answer(&o, one_next(&o, PEER),
	           &(struct one_response){ .base = -1, .from = "198.18.0.3:1" });
	wait_failed(ICE_WHY_ASYMMETRIC);
	close_clean();

	open_pair(true);
	one_answer(&o, one_next(&o, PEER),
	           &(struct one_response){ .base = -1, .pwd = "wrongwrongwrongwrongwr" });
	wait_failed(ICE_WHY_CREDENTIALS);
	close_clean();

	open_pair(false);
	one_answer(&o, one_next(&o, PEER), ONE_SUCCESS);
	one_run(&o, o.now_ms + 29000);
	CHECK(one_session(&o) == ICE_RUNNING, "not yet (ICE-157)");
	wait_failed(ICE_WHY_NEVER_NOMINATED);
	CHECK(one_asked(&o, &(struct one_request){ .base = 0 }).ok, "answers all the same");
	close_clean();

	open_pair(true);
	one_answer(&o, one_next(&o, PEER), ONE_SUCCESS);
	wait_failed(ICE_WHY_NOMINATION_LOST);
	close_clean();
}

/* ICE-160: 487 whatever role is taken. */
static void test_reason_role(void)
{
	open_pair(true);
	for (unsigned i = 0; i < 10; i++) {
		const struct one_sent *const s = one_next(&o, PEER);

		if (s)
			one_answer(&o, s, &(struct one_response){ .base = -1, .code = 487 });
		one_run(&o, o.now_ms + 50);
	}
	CHECK(one_notes(&o, ICE_TRACE_ROLE, NULL) == 4, "it does not go on for ever (INV-31)");
	wait_failed(ICE_WHY_ROLE);
	close_clean();
}

static void test_reasons_late(void)
{
	open_connected(true);
	one_run(&o, o.now_ms + 31000);
	CHECK(one_session(&o) == ICE_FAILED && one_why(&o) == ICE_WHY_CONSENT_LOST, "consent");
	close_clean();

	open_connected(true);
	ice_drop_base(o.a, o.now_ms, 0);
	one_poll(&o);
	CHECK(one_session(&o) == ICE_FAILED && one_why(&o) == ICE_WHY_BASE_GONE, "base");
	close_clean();

	open_connected(true);
	ice_close(o.a, o.now_ms);
	one_run(&o, o.now_ms + 60000);
	CHECK(one_session(&o) == ICE_CLOSED && one_why(&o) == ICE_WHY_CLOSED, "closed");
	CHECK(ice_next_ms(o.a) == UINT64_MAX, "nothing is armed (INV-41)");
	close_clean();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "nominating (ICE-141..143, ICE-181)", test_nominate },
		{ "patience (ICE-141)", test_patience },
		{ "a nomination fails (ICE-144, ICE-123)", test_nomination_fails },
		{ "told (ICE-145)", test_told },
		{ "told again (ICE-148)", test_renominated },
		{ "reasons (ICE-154..160)", test_reasons },
		{ "reason: role (ICE-160)", test_reason_role },
		{ "reasons after the start (ICE-160)", test_reasons_late },
		CU_TEST_INFO_NULL,
	};
	return run_suite("ice conclude", tests);
}
