/* Mirrors control/ice/path.c and restart.c: consent, lite agents, restarts, trickle (ICE-161 to
 * ICE-206). */
#include "tests/unit/control/ice/one_suite.h"

/* --- consent --- */

/* ICE-182, ICE-183: a check in all but repetition; 4 to 6 s apart, drawn anew. */
static void test_consent(void)
{
	uint64_t last = 0, least = UINT64_MAX, most = 0;
	unsigned n = 0, near = 0;
	struct one_read r;

	open_connected(true);
	o.n_seen = o.n_sent;
	const unsigned from = o.n_sent;

	while (n < 300) {
		one_serve(&o, o.now_ms + 100000, 10, NULL);
		n = one_count(&o, from, STUN_REQUEST, PEER);
	}
	for (unsigned i = from; i < o.n_sent; i++) {
		const uint64_t gap = o.sent[i].ms - last;

		one_read(&o, &o.sent[i], NULL, &r);
		CHECK(r.cls == STUN_REQUEST && *r.username && r.has_priority && r.has_controlling &&
		              !r.use_candidate && r.integrity && r.fingerprint,
		      "whole");
		if (last) {
			least = gap < least ? gap : least;
			most = gap > most ? gap : most;
			near += gap >= 4900 && gap <= 5100;
		}
		last = o.sent[i].ms;
	}
	CHECK(least >= 4000 && least < 4100 && most <= 6000 && most > 5900, "all of 4 to 6 s");
	CHECK(near > n / 20 && near < n / 5, "evenly");
	CHECK(one_session(&o) == ICE_COMPLETED, "connected all the time");
	CHECK(one_count(&o, from, STUN_INDICATION, PEER) == 0, "and no keepalives (ICE-180)");
	close_clean();
}

/* ICE-184, ICE-186: neither data nor checks keep consent; nothing is sent after 30 s. */
static void test_consent_lost(void)
{
	static struct ice_datagram d;
	const struct endpoint peer = one_at(PEER);
	struct ice_data data;

	open_connected(true);
	const uint64_t begin = o.now_ms;

	for (unsigned i = 1; i <= 29; i++) {
		one_run(&o, begin + i * 1000);
		one_ask(&o, &(struct one_request){ .base = 0 });
		one_poll(&o);
		CHECK(ice_input(o.a, o.now_ms, 0, &peer, "media", 5, &data) == ICE_DATA, "taken");
	}
	CHECK(one_session(&o) == ICE_DISCONNECTED, "shaky (ICE-187)");
	CHECK(ice_send(o.a, o.now_ms, 0, 1, "x", 1, &d), "may still send");
	one_run(&o, begin + 30100);
	CHECK(one_session(&o) == ICE_FAILED, "lost");
	CHECK(!ice_send(o.a, o.now_ms, 0, 1, "x", 1, &d), "nothing more");
	CHECK(one_events(&o, ICE_EVENT_RESTART) == 1, "ICE-177");
	const unsigned n = o.n_sent;

	for (unsigned i = 0; i < n; i++) /* later answers do not revive it */
		if (o.sent[i].ms > begin + 20000)
			one_answer(&o, &o.sent[i], ONE_SUCCESS);
	one_run(&o, begin + 90000);
	CHECK(one_session(&o) == ICE_FAILED && one_count(&o, n, STUN_REQUEST, NULL) == 0, "dead");
	close_clean();
}

/* ICE-185: 403 ends it, if it is the peer's. */
static void test_revoked(void)
{
	for (unsigned is_signed = 0; is_signed < 2; is_signed++) {
		open_connected(true);
		o.n_seen = o.n_sent;
		one_run(&o, o.now_ms + 6100);
		one_answer(&o, one_next(&o, PEER),
		           &(struct one_response){
				   .base = -1, .code = 403, .no_integrity = !is_signed });
		one_poll(&o);
		CHECK(one_session(&o) == (is_signed ? ICE_FAILED : ICE_COMPLETED), "by signature");
		CHECK(!is_signed || one_why(&o) == ICE_WHY_REVOKED, "and said why");
		CHECK(is_signed || one_drops(&o, "bad_consent") == 1, "counted");
		close_clean();
	}
}

/* ICE-178, ICE-179: without consent a keepalive of 28 octets each 15 s of silence. */
static void test_keepalive(void)
{
	static struct ice_datagram d;
	struct ice_config c = one_config();
	unsigned n = 0;

	c.no_consent = true;
	open_with(&c);
	one_pair(&o);
	one_serve(&o, o.now_ms + 300, 10, NULL);
	const unsigned from = o.n_sent;
	const uint64_t begin = o.now_ms;

	one_run(&o, begin + 61000);
	for (unsigned i = from; i < o.n_sent; i++, n++) {
		struct one_read r;

		one_read(&o, &o.sent[i], NULL, &r);
		CHECK(o.sent[i].d.len == 28 && r.cls == STUN_INDICATION && r.fingerprint, "28");
	}
	CHECK(n == 4, "four in a minute");
	one_run(&o, begin + 70000);
	CHECK(ice_send(o.a, o.now_ms, 0, 1, "x", 1, &d), "data");
	const unsigned sent = o.n_sent;

	one_run(&o, begin + 84999);
	CHECK(o.n_sent == sent, "counts as well");
	one_run(&o, begin + 85001);
	CHECK(o.n_sent == sent + 1, "and no longer");
	one_asked(&o, &(struct one_request){ .base = 0 });
	close_clean();
}

/* --- lite --- */

/* ICE-162 to ICE-164, ICE-091: two components, followed where the peer leads. */
static void test_lite(void)
{
	struct ice_config c = one_config();
	static struct ice_datagram d;

	c.lite = true;
	c.controlling = false;
	c.n_components = 2;
	open_with(&c);
	one_base(&o, 0, 1, MINE);
	one_base(&o, 0, 2, "198.18.0.1:5001");
	one_gather(&o);
	const struct one_read early = one_asked(&o, &(struct one_request){ .controlled = true });

	CHECK(early.ok && early.code == 0, "who knows yet whether the peer is full");
	one_candidate(&o, 0, 1, ICE_HOST, PEER, 2130706431);
	one_candidate(&o, 0, 2, ICE_HOST, "198.18.0.2:6001", 2130706430);
	one_remote(&o);
	CHECK(one_asked(&o, &(struct one_request){ .controlled = true }).code == 487,
	      "a full peer has to control");
	one_asked(&o, &(struct one_request){ .base = 0 });
	CHECK(one_session(&o) == ICE_RUNNING, "a check alone says nothing");
	one_asked(&o, &(struct one_request){ .use_candidate = true });
	CHECK(!ice_send(o.a, o.now_ms, 0, 1, "x", 1, &d), "one of two is none");
	one_asked(&o, &(struct one_request){
			      .use_candidate = true, .base = 1, .from = "198.18.0.2:6001" });
	CHECK(one_session(&o) == ICE_COMPLETED, "both");
	CHECK(ice_send(o.a, o.now_ms, 0, 1, "x", 1, &d), "now");
	one_run(&o, o.now_ms + 60000);
	CHECK(one_count(&o, 0, STUN_REQUEST, NULL) == 0, "it never asks (INV-30)");
	close_clean();
}

/* ICE-081, ICE-082: who controls. */
static void test_roles(void)
{
	for (unsigned k = 0; k < 8; k++) {
		struct ice_config c = one_config();
		const bool lite = k & 1, theirs = k & 2, offers = k & 4;

		c.lite = lite;
		c.controlling = offers;
		open_with(&c);
		o.theirs->lite = theirs;
		one_pair(&o);
		CHECK((ice_role(o.a) == ICE_CONTROLLING) == (lite == theirs ? offers : theirs),
		      "the full one, else who offers");
		close_clean();
	}
}

/* --- restarts and trickle --- */

/* ICE-170 to ICE-175. */
static void test_restart(void)
{
	struct ice_candidate late;
	char ufrag[ICE_UFRAG_MAX + 1], pwd[ICE_PWD_MAX + 1];
	static struct ice_datagram d;

	open_connected(true);
	late = o.theirs->stream[0].candidate[0];
	late.at.port = 7777;
	o.theirs->stream[0].pwd[0] = 'P';
	CHECK(one_remote(&o) == ICE_HALF_RESTART, "one alone is an error");
	memcpy(ufrag, o.mine->stream[0].ufrag, sizeof(ufrag));
	memcpy(pwd, o.mine->stream[0].pwd, sizeof(pwd));
	ice_restart(o.a, o.now_ms);
	ice_local(o.a, o.mine);
	CHECK(strcmp(ufrag, o.mine->stream[0].ufrag) && strcmp(pwd, o.mine->stream[0].pwd),
	      "both new");
	CHECK(ice_role(o.a) == ICE_CONTROLLING, "the role stays");
	CHECK(ice_send(o.a, o.now_ms, 0, 1, "x", 1, &d), "data goes on (ICE-173)");
	CHECK(ice_remote_candidate(o.a, o.now_ms, 0, ONE_UFRAG, &late) == ICE_OLD_GENERATION,
	      "late, before the answer");
	CHECK(one_asked(&o, &(struct one_request){ .ours = ufrag, .pwd = pwd }).ok,
	      "the old name is answered (ICE-174)");
	const unsigned notes = one_notes(&o, ICE_TRACE_NOMINATED, NULL);

	one_asked(&o, &(struct one_request){ .ours = ufrag, .pwd = pwd, .use_candidate = true });
	CHECK(one_notes(&o, ICE_TRACE_NOMINATED, NULL) == notes, "and decides nothing");
	close_clean();
}

/* ICE-053: new each time. */
static void test_credentials(void)
{
	static char seen[5000][ICE_UFRAG_MAX + 1];

	open_pair(true);
	for (unsigned i = 0; i < COUNT(seen); i++) {
		ice_restart(o.a, o.now_ms);
		o.n_notes = 0; /* the rig's place is for short lives */
		one_poll(&o);
		o.n_told = 0;
		ice_local(o.a, o.mine);
		memcpy(seen[i], o.mine->stream[0].ufrag, sizeof(seen[i]));
		if (i == 0)
			CHECK(strlen(seen[0]) == 8 && strlen(o.mine->stream[0].pwd) == 24,
			      "lengths");
	}
	qsort(seen, COUNT(seen), sizeof(seen[0]), (int (*)(const void *, const void *))strcmp);
	for (unsigned i = 1; i < COUNT(seen); i++)
		CHECK(strcmp(seen[i], seen[i - 1]) != 0, "no repetition");
	one_close(&o);
}

/* ICE-058, ICE-202: bounds, and what comes after the end. */
static void test_trickled(void)
{
	struct ice_candidate c = { .foundation = "1", .component = 1, .priority = 5 };

	open_pair(true);
	for (unsigned i = 1; i < ICE_CANDIDATES_MAX; i++) {
		c.at = one_at("198.18.5.1:1000");
		c.at.port = (uint16_t)(1000 + i);
		CHECK(ice_remote_candidate(o.a, o.now_ms, 0, ONE_UFRAG, &c) == ICE_OK, "taken");
	}
	c.at.port = 999;
	CHECK(ice_remote_candidate(o.a, o.now_ms, 0, ONE_UFRAG, &c) == ICE_TOO_MANY, "one more");
	CHECK(ice_remote_candidate(o.a, o.now_ms, 0, "other", &c) == ICE_OLD_GENERATION, "other");
	CHECK(ice_remote_end(o.a, o.now_ms, 0, "other") == ICE_OLD_GENERATION, "its end, too");
	CHECK(ice_remote_end(o.a, o.now_ms, 0, ONE_UFRAG) == ICE_OK, "end");
	CHECK(ice_remote_candidate(o.a, o.now_ms, 0, ONE_UFRAG, &c) == ICE_CLOSED_ALREADY, "after");
	close_clean();
}

/* ICE-205, P-10: the peer's own name for what was learned: before, during and after its check. */
static void test_merged(void)
{
	for (unsigned when = 0; when < 3; when++) {
		struct ice_config c = one_config();
		struct ice_candidate named = { .foundation = "7",
			                       .component = 1,
			                       .type = ICE_SRFLX,
			                       .priority = 1694498815,
			                       .at = one_at(PEER) };

		c.controlling = false;
		open_with(&c);
		one_base(&o, 0, 1, MINE);
		one_gather(&o);
		one_remote(&o);
		one_ask(&o, &(struct one_request){ .base = 0 });
		if (when > 0)
			one_run(&o, o.now_ms + 50);
		if (when > 1)
			one_answer(&o, one_next(&o, PEER), ONE_SUCCESS);
		const int state = one_state(&o, MINE, PEER);

		CHECK(state == (when == 0   ? ICE_WAITING
		                : when == 1 ? ICE_IN_PROGRESS
		                            : ICE_SUCCEEDED),
		      "as meant");
		CHECK(ice_remote_candidate(o.a, o.now_ms, 0, ONE_UFRAG, &named) == ICE_OK, "taken");
		CHECK(one_state(&o, MINE, PEER) == state, "the state stays");
		CHECK(one_priority(&o, MINE, PEER) ==
		              (UINT64_C(1694498815) << 32) + UINT64_C(2) * 2130706431,
		      "the priority is the named one's");
		CHECK(one_notes(&o, ICE_TRACE_PAIR, "triggered") == 1 &&
		              one_notes(&o, ICE_TRACE_PAIR, "formed") == 0,
		      "one pair");
		close_clean();
	}
}

/* ICE-057: the higher of both; none is 50. */
static void test_pacing(void)
{
	static const struct {
		unsigned ours, theirs, ms;
	} cases[] = { { 20, 0, 50 }, { 20, 100, 100 }, { 80, 20, 80 }, { 20, 20, 20 } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ice_config c = one_config();

		c.ta_ms = cases[i].ours;
		open_with(&c);
		o.theirs->pacing_ms = cases[i].theirs;
		one_base(&o, 0, 1, MINE);
		one_gather(&o);
		one_candidate(&o, 0, 1, ICE_HOST, PEER, 2130706431);
		one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.3:1", 2130706430);
		one_remote(&o);
		one_run(&o, o.now_ms + 400);
		CHECK(o.n_sent == 2 && o.sent[1].ms - o.sent[0].ms == cases[i].ms, "so far apart");
		one_close(&o); /* the checker knows what was offered, not what was agreed */
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "consent (ICE-180, ICE-182, ICE-183)", test_consent },
		{ "consent lost (ICE-184, ICE-186, ICE-187)", test_consent_lost },
		{ "revoked (ICE-185)", test_revoked },
		{ "keepalives (ICE-178, ICE-179)", test_keepalive },
		{ "lite (ICE-091, ICE-162..164)", test_lite },
		{ "roles (ICE-081)", test_roles },
		{ "restart (ICE-170..175)", test_restart },
		{ "credentials (ICE-053)", test_credentials },
		{ "trickled (ICE-058, ICE-175, ICE-202)", test_trickled },
		{ "merged (ICE-205)", test_merged },
		{ "pacing (ICE-057)", test_pacing },
		CU_TEST_INFO_NULL,
	};
	return run_suite("ice path", tests);
}
