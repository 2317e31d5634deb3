/* Mirrors control/turn/template.c: nonces, their keys, what workers and control answer strangers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "nonce.h"
#include "tests/rig/turn_rig.h"
#include "tests/support.h"
#include "tests/unit/control/turn/suite.h"
#include "wire/integrity.h"

/* TURN-030, TURN-031, STUN-106, STUN-107. */
static void test_nonce(void)
{
	struct rig r;
	struct rig_client a = rig_client4(1), b = rig_client4(2), c;

	rig_open(&r, NULL);
	learn_nonce(&r, &a);
	learn_nonce(&r, &b);
	CHECK(memcmp(a.nonce, b.nonce, 31) != 0, "STUN-106");
	r.retry = false;
	c = b;
	memcpy(c.nonce, a.nonce, 31);
	CHECK(rig_allocate(&r, &c) == 438, "TURN-030: of address A used at B");
	c = a;
	c.listener = 12;
	CHECK(rig_allocate(&r, &c) == 438, "STUN-107: of another listener");
	for (unsigned bit = 0; bit < 31 * 8; bit++) {
		c = a;
		c.nonce[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(rig_allocate(&r, &c) == 438 || bit / 8 < 13, "TURN-031: any bit");
	}
	rig_wait(&r, 598000);
	c = a;
	CHECK(rig_allocate(&r, &c) == 0 && rig_refresh(&r, &c, 0) == 0, "good at 598");
	rig_wait(&r, 3000);
	CHECK(rig_allocate(&r, &c) == 438, "TURN-030: stale at 601");
	CHECK(rig_allocate(&r, &c) == 0, "TURN-032: the retry succeeds");
	rig_restart(&r);
	CHECK(rig_refresh(&r, &c, -1) == 0, "TURN-031, STUN-109: good after a restart");
	rig_close(&r);
}

/* TURN-033, STUN-108: keys change at the very moment. */
static void test_rotation(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);

	rig_open(&r, NULL);
	CHECK(r.n_keys == 1, "one key to begin with");
	rig_wait(&r, 86399000);
	learn_nonce(&r, &c);
	rig_wait(&r, 59000);
	CHECK(r.n_keys == 3, "both keys are told");
	r.retry = false;
	CHECK(rig_allocate(&r, &c) == 0, "TURN-033: the one before is good 60 s at least");
	rig_restart(&r);
	CHECK(rig_refresh(&r, &c, -1) == 0, "after a restart too");
	rig_wait(&r, 86400000);
	CHECK(rig_refresh(&r, &c, -1) == 438, "not for ever");
	rig_close(&r);
}

static void fleet(struct rig *r)
{
	static char secret[] = "a secret of the fleet";

	r->cfg.nonce_secret = secret;
}

/* TURN-031: servers with the same secret accept each other's, over midnight too. */
static void test_fleet(void)
{
	struct rig a, b;
	struct rig_client c = rig_client4(1);

	rig_open(&a, fleet);
	rig_open(&b, fleet);
	const uint32_t to_midnight_s = 86400 - a.wall_s % 86400;
	a.retry = b.retry = false;
	rig_wait(&a, (to_midnight_s - 5) * 1000ull);
	rig_wait(&b, (to_midnight_s - 5) * 1000ull);
	learn_nonce(&a, &c);
	CHECK(rig_allocate(&b, &c) == 0 && rig_refresh(&b, &c, 0) == 0, "the other server's");
	rig_wait(&a, 3000); /* its clock is a little behind */
	rig_wait(&b, 7000);
	learn_nonce(&a, &c);
	CHECK(rig_allocate(&b, &c) == 0, "of yesterday");
	learn_nonce(&b, &c);
	b.now_ms = a.now_ms;
	rig_wait(&a, 3000);
	CHECK(rig_allocate(&a, &c) == 0, "of tomorrow");
	rig_close(&a);
	rig_close(&b);
}

/* Templates: TURN-207, STUN-149. */
static void test_templates(void)
{
	struct rig r;
	unsigned n401 = 0, n400 = 0, n438 = 0;

	rig_open(&r, NULL);
	for (unsigned i = 0; i < r.n_templates && i < 16; i++) {
		const struct cmd_template *t = &r.templates[i];
		struct stun_msg msg = { 0 };
		struct stun_attr attr = { 0 };
		const uint8_t *reason = NULL;
		size_t reason_len = 0;

		CHECK(stun_open(r.template_octets[i], t->octets, &msg), "STUN");
		CHECK(stun_class(msg.type) == STUN_ERROR && stun_find(&msg, STUN_ERROR_CODE, &attr),
		      "an error");
		CHECK(stun_error_code(&attr, &reason, &reason_len) == t->code && reason_len == 0,
		      "TURN-207: without phrase");
		CHECK(28u + t->octets <= 120, "STUN-149: 401 to a 20-octet Allocate");
		n401 += t->code == 401;
		n400 += t->code == 400;
		n438 += t->code == 438;
		CHECK(stun_find(&msg, STUN_REALM, &attr) == (t->code != 400), "REALM");
		CHECK(stun_find(&msg, STUN_PASSWORD_ALGORITHMS, &attr) == (t->code != 400),
		      "PASSWORD-ALGORITHMS");
		if (t->code == 400) {
			CHECK(t->nonce_at == 0 && !stun_find(&msg, STUN_NONCE, &attr), "no nonce");
		} else {
			CHECK(stun_find(&msg, STUN_NONCE, &attr) && attr.len == 31 &&
			              attr.value == r.template_octets[i] + t->nonce_at,
			      "where the nonce goes");
		}
	}
	CHECK(n401 == 3 && n400 == 3 && n438 == 3, "for each listener");
	CHECK(r.n_realms == 3 && r.realms[0].nonce_lifetime_s == 600, "and its realm");
	rig_close(&r);
}

/* TURN-207: what control itself answers strangers stays small. */
static void test_small(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message m;
	static char software[] = "a name that would be rather long in an answer";

	rig_open(&r, NULL);
	r.cfg.software = software;
	rig_begin(&r, &m, TURN_ALLOCATE);
	CHECK(rig_send(&r, &c, &m) == 401 && r.answer_len <= 92, "no phrase, no SOFTWARE");
	rig_close(&r);
}

/* Requests that waited too long, and a queue that is full. */
static void test_load(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message m;
	struct punt p = { .local_kind = LOCAL_LISTENER, .local = 10, .remote_port = 5 };
	unsigned n = 0;

	rig_open(&r, NULL);
	rig_begin(&r, &m, TURN_ALLOCATE);
	memcpy(p.remote_ip, c.at.addr.ip, 16);
	p.received_ns = (r.now_ms - 2001) * 1000000;
	turn_on_request(r.srv, &p, m.buf, 20, r.now_ms, r.wall_s);
	CHECK(stat_of(&r, "turn_drop_stale") == 1 && turn_next_action(r.srv) == NULL, "stale");
	p.received_ns = r.now_ms * 1000000;
	while (stat_of(&r, "turn_drop_backlog") == 0 && n < 10000) {
		turn_on_request(r.srv, &p, m.buf, 20, r.now_ms, r.wall_s);
		n++;
	}
	CHECK(n == TURN_BACKLOG_MAX + 1, "bounded, counted");
	rig_drain(&r);
	CHECK(rig_send(&r, &c, &m) == 401, "recovers when room returns");
	rig_close(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "nonces", test_nonce },
		{ "nonce keys change", test_rotation },
		{ "a fleet's nonces", test_fleet },
		{ "templates", test_templates },
		{ "small answers to strangers", test_small },
		{ "stale and too many", test_load },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/nonce", tests);
}
