/* Mirrors control/ice/check.c, request.c and response.c: checks out, answers in, checks in
 * (ICE-081 to ICE-140). */
#include "tests/rig/ice_one.h"
#include "tests/support.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MINE "198.18.0.1:5000"
#define PEER "198.18.0.2:6000"

static struct one o;

/* An agent and one pair; the clock has not moved since. */
static void open_pair(bool controlling)
{
	struct ice_config c = one_config();

	c.controlling = controlling;
	o.has_tie = true;
	o.fixed_tie = 1000;
	one_open(&o, &c);
	one_pair(&o);
}

static void close_clean(void)
{
	CHECK(one_close(&o) == 0, "no invariant is broken");
}

/* ICE-115, ICE-116, ICE-119, ICE-120, ICE-083: the octets of a check. */
static void test_contents(void)
{
	char name[300];
	struct one_read r;

	for (unsigned controlling = 0; controlling < 2; controlling++) {
		open_pair(controlling);
		const struct one_sent *const s = one_next(&o, PEER);

		one_read(&o, s, NULL, &r);
		snprintf(name, sizeof(name), "%s:%s", ONE_UFRAG, o.mine->stream[0].ufrag);
		CHECK(r.ok && r.method == STUN_BINDING && r.cls == STUN_REQUEST, "a request");
		CHECK(strcmp(r.username, name) == 0, "theirs before ours");
		CHECK(r.has_priority && r.priority == 1862270975, "PRIORITY (ICE-038)");
		CHECK(r.has_controlling == controlling && r.has_controlled != controlling, "role");
		CHECK(r.tie == 1000, "tie-breaker");
		CHECK(!r.use_candidate, "no nomination yet");
		CHECK(r.integrity && r.fingerprint, "signed and sealed");
		CHECK(r.attributes == 5, "and nothing else");
		CHECK(s && s->d.len <= 548, "small enough for any path");
		close_clean();
	}
}

/* ICE-116: no check before the peer's credentials. ICE-206: what came before waits for them. */
static void test_no_credentials(void)
{
	struct ice_config c = one_config();

	one_open(&o, &c);
	one_base(&o, 0, 1, MINE);
	one_gather(&o);
	one_candidate(&o, 0, 1, ICE_HOST, PEER, 2130706431);
	CHECK(ice_remote_candidate(o.a, o.now_ms, 0, ONE_UFRAG,
	                           &o.theirs->stream[0].candidate[0]) == ICE_OK,
	      "kept");
	one_run(&o, 5000);
	CHECK(one_count(&o, 0, STUN_REQUEST, NULL) == 0, "silent");
	o.theirs->stream[0].n_candidates = 0;
	one_remote(&o);
	CHECK(one_count(&o, 0, STUN_REQUEST, PEER) == 1, "now");
	close_clean();
}

/* ICE-107: seven sends, then sixteen times the first wait; ICE-125: failed. */
static void test_retransmissions(void)
{
	static const unsigned at[] = { 0, 500, 1500, 3500, 7500, 15500, 31500 };
	const struct one_sent *s;
	unsigned n = 0;

	open_pair(true);
	const uint64_t begin = o.now_ms;

	one_run(&o, begin + 39499);
	CHECK(one_state(&o, MINE, PEER) == ICE_IN_PROGRESS, "not before");
	one_run(&o, begin + 39500);
	CHECK(one_state(&o, MINE, PEER) == ICE_PAIR_FAILED || one_session(&o) == ICE_FAILED,
	      "failed at 39.5 s");
	while ((s = one_next(&o, PEER)) != NULL) {
		CHECK(n < COUNT(at) && s->ms == begin + at[n], "in its time");
		CHECK(memcmp(s->d.octets, o.sent[0].d.octets, s->d.len) == 0, "the same octets");
		n++;
	}
	CHECK(n == 7, "seven");
	close_clean();
}

/* ICE-103, ICE-104, ICE-109: one check each Ta, the first at once; RTO by how many wait. */
static void test_pacing(void)
{
	static const struct {
		unsigned pairs, rto_ms;
	} cases[] = { { 5, 500 }, { 10, 500 }, { 40, 2000 }, { 100, 3000 } };

	for (size_t k = 0; k < COUNT(cases); k++) {
		struct ice_config c = one_config();
		char at[40];

		one_open(&o, &c);
		one_base(&o, 0, 1, MINE);
		one_gather(&o);
		for (unsigned i = 0; i < cases[k].pairs; i++) {
			snprintf(at, sizeof(at), "198.18.%u.%u:6000", 1 + i / 50, 1 + i % 50);
			one_candidate(&o, 0, 1, ICE_HOST, at, 2130706431 - i * 256);
		}
		one_remote(&o);
		const uint64_t begin = o.now_ms;

		one_run(&o, begin + cases[k].rto_ms - 1);
		for (unsigned i = 0; i < o.n_sent; i++)
			CHECK(o.sent[i].ms == begin + i * 50, "one each 50 ms");
		CHECK(one_count(&o, 0, STUN_REQUEST, "198.18.1.1:6000") == 1, "no repetition yet");
		one_run(&o, begin + cases[k].rto_ms);
		CHECK(one_count(&o, 0, STUN_REQUEST, "198.18.1.1:6000") == 2, "but now");
		close_clean();
	}
}

/* ICE-113: after a gap no burst. */
static void test_gap(void)
{
	struct ice_config c = one_config();

	one_open(&o, &c);
	one_base(&o, 0, 1, MINE);
	one_gather(&o);
	for (unsigned i = 0; i < 10; i++) {
		char at[40];

		snprintf(at, sizeof(at), "198.18.1.%u:6000", 1 + i);
		one_candidate(&o, 0, 1, ICE_HOST, at, 2130706431 - i * 256);
	}
	one_remote(&o);
	o.now_ms += 10000;
	one_poll(&o);
	for (unsigned i = 2; i < 10; i++) {
		char at[40];

		snprintf(at, sizeof(at), "198.18.1.%u:6000", 1 + i);
		CHECK(one_count(&o, 0, STUN_REQUEST, at) == 0, "one at a time");
	}
	CHECK(one_count(&o, 0, STUN_REQUEST, "198.18.1.2:6000") == 1, "the next one goes");
	close_clean();
}

/* ICE-121 to ICE-123, ICE-126: what answers do to the pair. */
static const struct {
	const char *what;
	struct one_response r;
	int state;
	const char *drop; /* NULL: none */
} answers[] = {
	{ "success", { .base = -1 }, ICE_SUCCEEDED, NULL },
	{ "another transaction",
	  { .base = -1, .other_txid = true },
	  ICE_IN_PROGRESS,
	  "unknown_transaction" },
	{ "no integrity", { .base = -1, .no_integrity = true }, ICE_IN_PROGRESS, "bad_integrity" },
	{ "wrong password",
	  { .base = -1, .pwd = "wrongwrongwrongwrongwr" },
	  ICE_IN_PROGRESS,
	  "bad_integrity" },
	{ "400 unsigned",
	  { .base = -1, .code = 400, .no_integrity = true },
	  ICE_IN_PROGRESS,
	  "bad_integrity" },
	{ "401 unsigned",
	  { .base = -1, .code = 401, .no_integrity = true },
	  ICE_IN_PROGRESS,
	  "bad_integrity" },
	{ "487 unsigned",
	  { .base = -1, .code = 487, .no_integrity = true },
	  ICE_IN_PROGRESS,
	  "bad_integrity" },
	{ "no mapped address",
	  { .base = -1, .no_mapped = true },
	  ICE_IN_PROGRESS,
	  "no_mapped_address" },
	{ "from elsewhere", { .base = -1, .from = "198.18.0.3:6000" }, ICE_PAIR_FAILED, NULL },
	{ "from another port", { .base = -1, .from = "198.18.0.2:6001" }, ICE_PAIR_FAILED, NULL },
	{ "400", { .base = -1, .code = 400 }, ICE_PAIR_FAILED, NULL },
	{ "401", { .base = -1, .code = 401 }, ICE_PAIR_FAILED, NULL },
	{ "403", { .base = -1, .code = 403 }, ICE_PAIR_FAILED, NULL },
	{ "420", { .base = -1, .code = 420 }, ICE_PAIR_FAILED, NULL },
	{ "500", { .base = -1, .code = 500 }, ICE_IN_PROGRESS, NULL },
	{ "503", { .base = -1, .code = 503 }, ICE_IN_PROGRESS, NULL },
};

static void test_answers(void)
{
	for (size_t i = 0; i < COUNT(answers); i++) {
		open_pair(false);
		one_answer(&o, one_next(&o, PEER), &answers[i].r);
		one_poll(&o);
		CHECK(one_state(&o, MINE, PEER) == answers[i].state, answers[i].what);
		CHECK(one_drops(&o, NULL) == (answers[i].drop != NULL), answers[i].what);
		if (answers[i].drop)
			CHECK(one_drops(&o, answers[i].drop) == 1 &&
			              ice_counted(o.a, answers[i].drop) == 1,
			      answers[i].what);
		if (answers[i].state == ICE_IN_PROGRESS) { /* P-19: it goes on, and succeeds */
			one_run(&o, o.now_ms + 600);
			const struct one_sent *const again = one_next(&o, PEER);

			CHECK(again != NULL, answers[i].what);
			if (again)
				one_answer(&o, again, ONE_SUCCESS);
			CHECK(one_state(&o, MINE, PEER) == ICE_SUCCEEDED, answers[i].what);
		}
		close_clean();
	}
}

/* ICE-134, ICE-135, ICE-089, ICE-137: what requests are answered with. */
static const struct {
	const char *what;
	struct one_request q;
	bool answered;
	unsigned code;
	bool is_signed;
	const char *drop;
} requests[] = {
	{ "good", { .base = 0 }, true, 0, true, NULL },
	{ "of nobody we know", { .from = "198.18.0.7:7000" }, true, 0, true, NULL },
	{ "without FINGERPRINT", { .no_fingerprint = true }, false, 0, false, "no_fingerprint" },
	{ "wrong FINGERPRINT", { .bad_fingerprint = true }, false, 0, false, "no_fingerprint" },
	{ "without USERNAME", { .no_username = true }, true, 400, false, "refused" },
	{ "without integrity", { .no_integrity = true }, true, 400, false, "refused" },
	{ "wrong ufrag",
	  { .ours = "somebody", .pwd = "wrongwrongwrongwrongwr" },
	  true,
	  401,
	  false,
	  "refused" },
	{ "wrong password", { .pwd = "wrongwrongwrongwrongwr" }, true, 401, false, "refused" },
	{ "unknown attribute", { .extra = 0x0077 }, true, 420, true, "refused" },
	{ "unknown optional attribute", { .extra = 0x8077 }, true, 0, true, NULL },
	{ "both roles", { .controlling = true, .controlled = true }, true, 400, true, "refused" },
	{ "no role", { .no_role = true }, true, 0, true, NULL },
	{ "no PRIORITY", { .no_priority = true }, true, 400, true, "refused" },
	{ "of another ufrag", { .theirs = "other" }, true, 0, true, "other_ufrag" },
};

static void test_requests(void)
{
	for (size_t i = 0; i < COUNT(requests); i++) {
		open_pair(false);
		const struct one_read r = one_asked(&o, &requests[i].q);
		const struct endpoint from = one_at(requests[i].q.from ? requests[i].q.from : PEER);

		CHECK(r.ok == requests[i].answered, requests[i].what);
		CHECK(r.code == requests[i].code, requests[i].what);
		CHECK(!r.ok || r.fingerprint, requests[i].what);
		CHECK(r.integrity == requests[i].is_signed, requests[i].what);
		CHECK(!*r.username, "no USERNAME in answers");
		CHECK(!r.ok || r.code || endpoint_equal(&r.mapped, &from), requests[i].what);
		CHECK(r.code != 420 || r.unknown == 0x0077, "and which one");
		CHECK(one_drops(&o, NULL) == (requests[i].drop != NULL), requests[i].what);
		if (requests[i].drop)
			CHECK(ice_counted(o.a, requests[i].drop) == 1, requests[i].what);
		CHECK(ice_counted(o.a, "no_role") == requests[i].q.no_role, requests[i].what);
		close_clean();
	}
}

/* ICE-140: who has another ufrag is answered and changes nothing: no role, no pair. */
static void test_stranger(void)
{
	open_pair(true);
	const struct one_read r = one_asked(&o, &(struct one_request){ .theirs = "other",
	                                                               .from = "198.18.0.7:7000",
	                                                               .controlling = true,
	                                                               .tie = UINT64_MAX });

	CHECK(r.ok && r.code == 0, "answered");
	CHECK(ice_role(o.a) == ICE_CONTROLLING, "the role stays");
	one_run(&o, o.now_ms + 200);
	CHECK(one_count(&o, 0, STUN_REQUEST, "198.18.0.7:7000") == 0, "and nothing is tried");
	close_clean();
}

/* ICE-084, ICE-085: own above, equal, below, in both roles. */
static void test_conflicts(void)
{
	static const struct {
		bool controlling;
		uint64_t theirs;
		bool keeps; /* its role, and says 487 */
	} cases[] = {
		{ true, 999, true },   { true, 1000, true },   { true, 1001, false },
		{ false, 999, false }, { false, 1000, false }, { false, 1001, true },
		{ true, 0, true }, /* P-15: zero is a tie-breaker */
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const bool c = cases[i].controlling;

		open_pair(c);
		const struct one_read r = one_asked(
			&o, &(struct one_request){
				    .controlling = c, .controlled = !c, .tie = cases[i].theirs });

		CHECK(r.ok && r.code == (cases[i].keeps ? 487 : 0), "answered so");
		CHECK(r.integrity && r.fingerprint, "ICE-088");
		CHECK((ice_role(o.a) == ICE_CONTROLLING) == (c == cases[i].keeps), "role");
		CHECK(one_drops(&o, "conflict") == cases[i].keeps, "counted");
		close_clean();
	}
}

/* ICE-086, ICE-083: 487 turns the role, draws a new tie-breaker, and the check goes again at once.
 */
static void test_487(void)
{
	for (unsigned controlling = 0; controlling < 2; controlling++) {
		struct one_read r;

		open_pair(controlling);
		one_answer(&o, one_next(&o, PEER),
		           &(struct one_response){ .base = -1, .code = 487 });
		CHECK((ice_role(o.a) == ICE_CONTROLLING) != controlling, "turned");
		CHECK(one_state(&o, MINE, PEER) == ICE_WAITING, "waits");
		one_run(&o, o.now_ms + 50);
		one_read(&o, one_next(&o, PEER), NULL, &r);
		CHECK(r.ok && r.has_controlling != controlling && r.tie != 1000, "and goes again");
		CHECK(r.integrity, "with credentials (P-14)");
		close_clean();
	}
}

/* ICE-087: five of them in flight turn it once. */
static void test_487_many(void)
{
	struct ice_config c = one_config();

	one_open(&o, &c);
	one_base(&o, 0, 1, MINE);
	one_gather(&o);
	for (unsigned i = 0; i < 5; i++) {
		char at[40];

		snprintf(at, sizeof(at), "198.18.1.%u:6000", 1 + i);
		one_candidate(&o, 0, 1, ICE_HOST, at, 2130706431 - i * 256);
	}
	one_remote(&o);
	one_run(&o, o.now_ms + 240);
	CHECK(o.n_sent == 5, "five checks");
	for (unsigned i = 0; i < 5; i++)
		one_answer(&o, &o.sent[i], &(struct one_response){ .base = -1, .code = 487 });
	CHECK(ice_role(o.a) == ICE_CONTROLLED, "turned");
	CHECK(one_notes(&o, ICE_TRACE_ROLE, NULL) == 1, "once");
	one_run(&o, o.now_ms + 400);
	CHECK(one_count(&o, 5, STUN_REQUEST, NULL) == 5, "all go again");
	close_clean();
}

/* ICE-136: early checks are answered at once and tried in their order; each once; another's not. */
static void test_early(void)
{
	static const char *const from[] = { "198.18.0.4:1", "198.18.0.3:1", "198.18.0.5:1" };
	struct ice_config c = one_config();

	one_open(&o, &c);
	one_base(&o, 0, 1, MINE);
	one_gather(&o);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned twice = 0; twice < 2; twice++)
			CHECK(one_asked(&o, &(struct one_request){ .from = from[i] }).ok, from[i]);
	one_asked(&o, &(struct one_request){ .from = "198.18.0.6:1", .theirs = "other" });
	CHECK(one_count(&o, 0, STUN_REQUEST, NULL) == 0, "nothing is tried yet");
	one_remote(&o);
	one_run(&o, o.now_ms + 400);
	for (unsigned i = 0; i < 3; i++) {
		const struct one_sent *const s = one_next(&o, NULL);
		const struct endpoint to = one_at(from[i]);

		CHECK(s && endpoint_equal(&s->d.to, &to), "in order");
	}
	CHECK(one_next(&o, NULL) == NULL, "and no more");
	close_clean();
}

/* ICE-136: no more than 32; ICE-005. */
static void test_early_full(void)
{
	struct ice_config c = one_config();
	char at[40];

	one_open(&o, &c);
	one_base(&o, 0, 1, MINE);
	one_gather(&o);
	for (unsigned i = 0; i < 33; i++) {
		snprintf(at, sizeof(at), "198.18.2.%u:1", 1 + i);
		one_asked(&o, &(struct one_request){ .from = at });
	}
	CHECK(one_drops(&o, "early_full") == 1, "the 33rd is not kept");
	close_clean();
}

/* ICE-138, ICE-139: what a check of the peer does to the pair, by its state. */
static void test_trigger(void)
{
	open_pair(false); /* In-Progress */
	one_next(&o, PEER);
	one_asked(&o, &(struct one_request){ .base = 0 });
	CHECK(one_state(&o, MINE, PEER) == ICE_WAITING, "the running check is given up");
	one_run(&o, o.now_ms + 50);
	const struct one_sent *const again = one_next(&o, PEER);

	CHECK(again && memcmp(again->d.octets + 8, o.sent[0].d.octets + 8, 12) != 0,
	      "another goes at the next tick");
	one_answer(&o, &o.sent[0], ONE_SUCCESS); /* ICE-132: the late answer counts */
	CHECK(one_state(&o, MINE, PEER) == ICE_SUCCEEDED, "late but good");
	if (again)
		one_answer(&o, again, &(struct one_response){ .base = -1, .code = 400 });
	CHECK(one_state(&o, MINE, PEER) == ICE_SUCCEEDED, "and the other's error is nothing");
	const unsigned sent = o.n_sent;

	one_asked(&o, &(struct one_request){ .base = 0 });
	one_run(&o, o.now_ms + 1000);
	CHECK(one_count(&o, sent, STUN_REQUEST, PEER) == 0, "Succeeded: nothing");
	close_clean();

	open_pair(false); /* Failed */
	one_answer(&o, one_next(&o, PEER), &(struct one_response){ .base = -1, .code = 400 });
	one_asked(&o, &(struct one_request){ .base = 0 });
	CHECK(one_state(&o, MINE, PEER) == ICE_WAITING, "Failed: again");
	one_run(&o, o.now_ms + 50);
	CHECK(one_next(&o, PEER) != NULL, "and sent");
	close_clean();

	open_pair(false); /* not there */
	one_asked(&o, &(struct one_request){ .from = "198.18.0.9:9", .priority = 77 });
	CHECK(one_state(&o, MINE, "198.18.0.9:9") == ICE_WAITING, "made");
	CHECK(one_priority(&o, MINE, "198.18.0.9:9") ==
	              (UINT64_C(77) << 32) + UINT64_C(2) * 2130706431,
	      "of the PRIORITY it came with (ICE-039)");
	close_clean();
}

/* ICE-138: a list, and a session, that had failed run again. */
static void test_revived(void)
{
	open_pair(false);
	one_run(&o, o.now_ms + 40000);
	CHECK(one_session(&o) == ICE_FAILED && one_why(&o) == ICE_WHY_NO_ANSWER, "failed");
	one_asked(&o, &(struct one_request){ .use_candidate = true });
	CHECK(one_session(&o) == ICE_RUNNING, "runs again");
	one_serve(&o, o.now_ms + 500, 20, NULL);
	CHECK(one_session(&o) == ICE_COMPLETED, "and gets there");
	close_clean();
}

/* ICE-124: an ICMP error is believed at the second, or late, and only if it quotes the check. */
static void test_unreachable(void)
{
	const struct endpoint to = one_at(PEER), other = one_at("198.18.0.3:1");

	open_pair(true);
	const struct one_sent s = o.sent[0];

	ice_unreachable(o.a, o.now_ms, 0, &to, s.d.octets, s.d.len, false);
	ice_unreachable(o.a, o.now_ms, 0, &other, s.d.octets, s.d.len, true);
	ice_unreachable(o.a, o.now_ms, 0, &to, s.d.octets, 8, true);
	ice_unreachable(o.a, o.now_ms, 0, &to, s.d.octets, s.d.len, true);
	CHECK(one_state(&o, MINE, PEER) == ICE_IN_PROGRESS, "once is nothing");
	ice_unreachable(o.a, o.now_ms, 0, &to, s.d.octets, s.d.len, true);
	CHECK(one_state(&o, MINE, PEER) == ICE_PAIR_FAILED, "twice is");
	close_clean();
	open_pair(true);
	one_run(&o, o.now_ms + 1600);
	ice_unreachable(o.a, o.now_ms, 0, &to, o.sent[0].d.octets, o.sent[0].d.len, true);
	CHECK(one_state(&o, MINE, PEER) == ICE_PAIR_FAILED, "or once after two repetitions");
	close_clean();
}

/* ICE-127, ICE-128, ICE-039: an address nobody knew; its priority is the PRIORITY sent. */
static void test_mapped(void)
{
	bool found = false;

	open_pair(false);
	one_answer(&o, one_next(&o, PEER),
	           &(struct one_response){ .base = -1, .mapped = "198.18.0.99:99" });
	one_poll(&o);
	const struct endpoint at = one_at("198.18.0.99:99");

	for (unsigned i = 0; i < o.n_notes; i++) {
		const struct ice_trace_record *const r = &o.note[i].r;

		if (r->event == ICE_TRACE_CAND && r->local && endpoint_equal(&r->at, &at)) {
			found = true;
			CHECK(r->type == ICE_PRFLX && r->priority == 1862270975 && !r->signalled,
			      "peer-reflexive");
		}
	}
	CHECK(found, "made");
	CHECK(one_event(&o, ICE_EVENT_CANDIDATE, 0) == NULL, "and not told");
	CHECK(one_notes(&o, ICE_TRACE_PAIR, "valid") == 1, "a valid pair of its own");
	close_clean();
}

/* ICE-215: whom policy forbids is not answered and not tried. */
static void test_policy(void)
{
	struct ice_config c = one_config();
	struct prefix deny;

	prefix_parse("198.18.9.0/24", &deny);
	c.deny = &deny;
	c.n_deny = 1;
	one_open(&o, &c);
	one_base(&o, 0, 1, MINE);
	one_gather(&o);
	one_candidate(&o, 0, 1, ICE_HOST, "198.18.9.1:1", 2130706431);
	one_remote(&o);
	CHECK(!one_asked(&o, &(struct one_request){ .from = "198.18.9.1:1" }).ok, "silent");
	CHECK(one_drops(&o, "off_policy") == 1, "counted");
	one_run(&o, o.now_ms + 500);
	CHECK(o.n_sent == 0, "not one packet");
	close_clean();
	c = one_config();
	c.policy = ICE_RELAY_ONLY;
	one_open(&o, &c);
	one_base(&o, 0, 1, MINE);
	one_gather(&o);
	one_candidate(&o, 0, 1, ICE_HOST, PEER, 2130706431);
	one_remote(&o);
	CHECK(!one_asked(&o, &(struct one_request){ .base = 0 }).ok, "relay only: not directly");
	one_run(&o, o.now_ms + 500);
	CHECK(o.n_sent == 0 && o.mine->stream[0].n_candidates == 0, "nothing leaves the host");
	close_clean();
}

/* ICE-121, ICE-191, ICE-005: what else is dropped, by its name. */
static void test_drops(void)
{
	static const uint8_t allocate[28] = { 0x00, 0x03, 0x00,        0x08, 0x21, 0x12,
		                              0xA4, 0x42, [20] = 0x80, 0x22, 0x00, 0x04 };
	const struct endpoint from = one_at("198.18.0.7:7"), peer = one_at(PEER);
	struct ice_data data;

	open_pair(false);
	CHECK(ice_input(o.a, o.now_ms, 0, &from, "hello", 5, &data) == ICE_DROPPED, "a stranger");
	CHECK(one_drops(&o, "unknown_source") == 1, "said so");
	CHECK(ice_input(o.a, o.now_ms, 0, &peer, allocate, sizeof(allocate), &data) == ICE_DROPPED,
	      "no method of ours");
	CHECK(one_drops(&o, "method") == 1, "said so");
	for (unsigned i = 0; i < 70; i++)
		one_ask(&o, &(struct one_request){ .base = 0 });
	CHECK(one_drops(&o, "answers_full") == 6, "no more answers than 64 at a time");
	one_close(&o); /* INV-19 is broken by that, and so counted */
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "contents (ICE-115..120)", test_contents },
		{ "no credentials (ICE-116, ICE-206)", test_no_credentials },
		{ "retransmissions (ICE-107, ICE-125)", test_retransmissions },
		{ "pacing, RTO (ICE-103, ICE-104, ICE-109)", test_pacing },
		{ "gap (ICE-113)", test_gap },
		{ "answers (ICE-121..126)", test_answers },
		{ "requests (ICE-089, ICE-134, ICE-135, ICE-137)", test_requests },
		{ "other ufrag (ICE-140)", test_stranger },
		{ "conflicts (ICE-083..085, ICE-088)", test_conflicts },
		{ "487 (ICE-086)", test_487 },
		{ "487 five times (ICE-087)", test_487_many },
		{ "early checks (ICE-136)", test_early },
		{ "too many early checks (ICE-136)", test_early_full },
		{ "triggered (ICE-132, ICE-137..139)", test_trigger },
		{ "revived (ICE-138)", test_revived },
		{ "unreachable (ICE-124)", test_unreachable },
		{ "mapped address (ICE-127, ICE-128, ICE-039)", test_mapped },
		{ "policy (ICE-215)", test_policy },
		{ "drops (ICE-005)", test_drops },
		CU_TEST_INFO_NULL,
	};
	return run_suite("ice check", tests);
}
