/* Mirrors control/turn/record.c and restore.c: what one life leaves, the next one finds. */
#include <stdlib.h>
#include <string.h>

#include "tests/rig/snapshot.h"
#include "tests/rig/turn_rig.h"
#include "tests/support.h"
#include "tests/unit/control/turn/suite.h"

static void secrets(struct rig *r)
{
	static char north[] = "north";

	r->cfg.rest_secrets[0] = north;
	r->cfg.n_rest_secrets = 1;
	r->cfg.limit_permissions = 40;
	r->cfg.limit_channels = 60;
}

/* One random operation of one of n clients. */
static void operate(struct rig *r, struct rig_client *c, unsigned n)
{
	struct rig_client *who = &c[rig_random(n)];
	struct endpoint at[8];
	struct rig_message m;
	const unsigned n_at = 1 + rig_random(8);

	for (unsigned i = 0; i < n_at; i++)
		at[i] = rig_random(6) == 0
		                ? rig_peer6(rig_random(40), (uint16_t)(1 + rig_random(3)))
		                : rig_peer4(rig_random(40), (uint16_t)(1 + rig_random(3)));
	switch (rig_random(12)) {
	case 0:
	case 1:
		rig_begin(r, &m, TURN_ALLOCATE);
		stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, 17);
		switch (rig_random(5)) {
		case 0: stun_put_u8(&m.b, TURN_REQUESTED_ADDRESS_FAMILY, 2); break;
		case 1: stun_put_u8(&m.b, TURN_ADDITIONAL_ADDRESS_FAMILY, 2); break;
		case 2: stun_put(&m.b, TURN_EVEN_PORT, "\x80", 1); break;
		default: break;
		}
		rig_ask(r, who, &m);
		break;
	case 2: rig_refresh(r, who, rig_random(4) == 0 ? 0 : 600 + rig_random(3000)); break;
	case 3:
		rig_begin(r, &m, TURN_REFRESH);
		stun_put_u8(&m.b, TURN_REQUESTED_ADDRESS_FAMILY, (uint8_t)(1 + rig_random(2)));
		stun_put_u32(&m.b, TURN_LIFETIME, rig_random(2) * 700);
		rig_ask(r, who, &m);
		break;
	case 4: rig_wait(r, rig_random(60000)); break;
	case 5: rig_wait(r, rig_random(400)); break;
	case 6:
	case 7:
	case 8: rig_permit(r, who, at, n_at); break;
	default: rig_bind(r, who, (uint16_t)(0x4000 + rig_random(50)), &at[0]); break;
	}
}

static void run(uint64_t seed, rig_tweak *tweak, bool is_strict)
{
	enum { CLIENTS = 12 };
	struct rig r;
	struct rig_client c[CLIENTS];
	struct snapshot before, after;

	rig_open(&r, tweak);
	r.cfg.strict_permissions = is_strict;
	rig_seed(seed);
	for (unsigned i = 0; i < CLIENTS; i++) {
		c[i] = i % 3 == 2 ? rig_client6(i) : rig_client4(i);
		c[i].sha256 = i % 2 == 1;
		if (i % 4 == 3) {
			c[i].user = "bob";
			c[i].password = "correct horse battery staple";
		}
	}
	for (unsigned step = 0; step < 400; step++) {
		operate(&r, c, CLIENTS);
		if (step % 10 == 0)
			SOUND(&r);
		if (rig_random(25) != 0)
			continue;
		snapshot_take(&before, &r);
		rig_restart(&r);
		snapshot_take(&after, &r);
		SOUND(&r);
		CHECK(snapshot_equal(&before, &after), "the next life has the same state");
		snapshot_free(&before);
		snapshot_free(&after);
	}
	SOUND(&r);
	rig_close(&r);
}

static void test_random(void)
{
	for (uint64_t seed = 1; seed <= 24; seed++)
		run(seed, seed % 2 == 0 ? secrets : NULL, seed % 5 == 0);
}

/* An allocation whose lifetime passed between the lives ends, told, with the next one. */
static void test_passed(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct endpoint a = rig_peer4(1, 10);

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0 && rig_bind(&r, &c, 0x4000, &a) == 0, "one");
	r.now_ms += 700000;
	rig_restart(&r);
	rig_wait(&r, 0);
	CHECK(turn_allocations(r.srv) == 0 && r.end.end == END_EXPIRED && r.n_flows == 0, "over");
	CHECK(rig_allocate(&r, &c) == 0, "and anew");
	SOUND(&r);
	rig_close(&r);
}

static void lower(struct rig *r)
{
	r->cfg.limit_allocations = 50;
}

static void test_lower_limit(void)
{
	struct rig r;

	rig_open(&r, lower);
	for (unsigned i = 0; i < 50; i++) {
		struct rig_client c = rig_client4(i);

		CHECK(rig_allocate(&r, &c) == 0, "fifty");
	}
	r.cfg.limit_allocations = 5;
	rig_restart(&r);
	CHECK(turn_allocations(r.srv) == 50, "a lower limit costs no live one");
	struct rig_client c = rig_client4(60);
	CHECK(rig_allocate(&r, &c) == 508, "but new ones");
	SOUND(&r);
	rig_close(&r);
}

/* Records that refer to nothing, of every kind, are swept and hurt nothing. */
static void test_garbage(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct endpoint a = rig_peer4(1, 10);

	for (uint64_t seed = 1; seed <= 60; seed++) {
		rig_open(&r, NULL);
		rig_seed(seed);
		CHECK(rig_allocate(&r, &c) == 0 && rig_bind(&r, &c, 0x4000, &a) == 0, "one");
		const uint32_t used = store_used(r.store);
		for (unsigned i = 0; i < 200; i++) {
			uint8_t body[STORE_BODY];
			const store_ref ref = store_take(r.store);

			for (unsigned k = 0; k < STORE_BODY; k++)
				body[k] = (uint8_t)rig_random(rig_random(3) == 0 ? 256 : 4);
			store_commit(r.store, ref,
			             (enum store_kind)(1 + rig_random(STORE_KIND_END - 1)), body);
		}
		rig_restart(&r);
		SOUND(&r);
		CHECK(turn_allocations(r.srv) >= 1 && rig_refresh(&r, &c, -1) == 0, "lives on");
		CHECK(store_used(r.store) < used + 100, "swept");
		rig_close(&r);
		c.nonce_len = 0;
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "random operations and restarts", test_random },
		{ "passed between two lives", test_passed },
		{ "a lower limit", test_lower_limit },
		{ "garbage in the store", test_garbage },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/restore", tests);
}
