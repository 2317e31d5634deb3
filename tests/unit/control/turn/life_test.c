/* Mirrors control/turn/alloc.c, flow.c and list.c: how allocations end, and what operators see. */
#include <string.h>

#include "tests/rig/turn_rig.h"
#include "tests/support.h"
#include "tests/unit/control/turn/suite.h"

/* One attribute of an Allocate: type, length of value, value. */
struct put {
	uint16_t type;
	uint16_t len;
	uint8_t value[8];
};

#define UDP                                  \
	{                                    \
		TURN_REQUESTED_TRANSPORT, 4, \
		{                            \
			17                   \
		}                            \
	}
#define DUAL                                       \
	{                                          \
		TURN_ADDITIONAL_ADDRESS_FAMILY, 4, \
		{                                  \
			2                          \
		}                                  \
	}

static int allocate_with(struct rig *r, struct rig_client *c, const struct put *puts, unsigned n)
{
	struct rig_message m;

	rig_begin(r, &m, TURN_ALLOCATE);
	for (unsigned i = 0; i < n && puts[i].type != 0; i++)
		stun_put(&m.b, puts[i].type, puts[i].value, puts[i].len);
	return rig_ask(r, c, &m);
}

static void few(struct rig *r)
{
	r->cfg.limit_allocations = 4;
}

/* TURN-204, TURN-206. */
static void test_total(void)
{
	struct rig r;
	struct rig_client c[6];

	rig_open(&r, few);
	for (unsigned i = 0; i < 6; i++) {
		c[i] = rig_client4(i);
		CHECK(rig_allocate(&r, &c[i]) == (i < 4 ? 0 : 508), "TURN-206: a cap on all");
	}
	CHECK(rig_refresh(&r, &c[0], 0) == 0 && rig_allocate(&r, &c[5]) == 0, "recovers");
	turn_set_drain(r.srv, true);
	rig_refresh(&r, &c[1], 0);
	CHECK(rig_allocate(&r, &c[0]) == 508, "TURN-204: draining");
	CHECK(rig_refresh(&r, &c[2], 900) == 0, "TURN-073: live ones go on");
	turn_set_drain(r.srv, false);
	CHECK(rig_allocate(&r, &c[0]) == 0, "and after it");
	SOUND(&r);
	rig_close(&r);
}

static void small_store(struct rig *r)
{
	r->n_records = 12;
	r->cfg.port_rest_s = 0;
}

static void test_full_store(void)
{
	struct rig r;
	unsigned n = 0;
	int err = 0;

	rig_open(&r, small_store);
	for (unsigned i = 0; i < 20 && err == 0; i++) {
		struct rig_client c = rig_client4(i);

		err = rig_allocate(&r, &c);
		n += err == 0;
		SOUND(&r);
	}
	CHECK(err == 508 && n > 2, "TURN-206: a full store is 508");
	struct rig_client first = rig_client4(0);
	CHECK(rig_refresh(&r, &first, -1) == 0, "and costs nobody else anything");
	CHECK(rig_refresh(&r, &first, 0) == 0 && rig_allocate(&r, &first) == 0, "recovers");
	rig_close(&r);
}

static void test_rows(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1), d = rig_client4(2);
	const struct endpoint peers[] = { rig_peer4(1, 1), rig_peer4(2, 1), rig_peer4(3, 1) };

	rig_open(&r, NULL);
	turn_set_capacity(r.srv, 4);
	CHECK(rig_allocate(&r, &c) == 0 && rig_permit(&r, &c, peers, 1) == 0, "two rows");
	CHECK(rig_permit(&r, &c, peers, 1) == 0, "refreshing needs none");
	CHECK(rig_bind(&r, &c, 0x4000, &peers[0]) == 0, "two more");
	CHECK(rig_allocate(&r, &d) == 508, "508 before the answer, not ROW_FULL after it");
	CHECK(rig_permit(&r, &c, peers, 3) == 508, "permissions too");
	CHECK(rig_bind(&r, &c, 0x4001, &peers[1]) == 508, "TURN-105: and channels");
	CHECK(rig_refresh(&r, &c, 0) == 0 && rig_allocate(&r, &d) == 0, "recovers");
	SOUND(&r);
	rig_close(&r);
}

/* TURN-065, TURN-071: the end, whatever the traffic. */
static void test_expiry(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct endpoint peer = rig_peer4(9, 4000);

	rig_open(&r, NULL);
	r.count_packets = 3;
	r.count_octets = 300;
	CHECK(rig_allocate(&r, &c) == 0 && rig_bind(&r, &c, 0x4000, &peer) == 0, "bound");
	rig_wait(&r, 599000);
	CHECK(turn_allocations(r.srv) == 1, "lives at 599");
	rig_wait(&r, 1000);
	CHECK(turn_allocations(r.srv) == 0 && r.n_flows == 0, "TURN-065: gone at 600, rows too");
	CHECK(r.n_end == 1 && r.end.end == END_EXPIRED, "told");
	CHECK(r.end.to_client_packets == 3 && r.end.from_client_packets == 6, "final counts");
	CHECK(r.end.from_client_octets == 600 && r.end.age_s == 600, "of all rows");
	CHECK(rig_refresh(&r, &c, -1) == 437, "TURN-065: later requests");
	CHECK(rig_allocate(&r, &c) == 0, "and a new one");
	SOUND(&r);
	rig_close(&r);
}

/* Deletes that nobody acknowledges: the end is told after 2 s, with what rows still show. */
static void test_unacknowledged(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct endpoint peer = rig_peer4(9, 4000);

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0 && rig_bind(&r, &c, 0x4000, &peer) == 0, "bound");
	r.deaf = true;
	r.count_packets = 5;
	CHECK(rig_refresh(&r, &c, 0) == 0 && r.n_end == 0 && turn_ending(r.srv) == 1, "waits");
	CHECK(rig_allocate(&r, &c) == 0, "the five-tuple is free meanwhile");
	SOUND(&r);
	rig_wait(&r, 1999);
	CHECK(r.n_end == 0, "not yet");
	rig_wait(&r, 1);
	CHECK(r.n_end == 1 && turn_ending(r.srv) == 0, "2 s");
	CHECK(r.end.to_client_packets == 5 && r.end.from_client_packets == 10, "what rows show");
	SOUND(&r);
	CHECK(rig_refresh(&r, &c, 0) == 0, "another one");
	turn_on_hangup(r.srv, r.now_ms);
	rig_drain(&r);
	CHECK(r.n_end == 2 && turn_ending(r.srv) == 0, "the data plane is gone: at once");
	SOUND(&r);
	rig_close(&r);
}

/* TURN-070, TURN-069 on a dual allocation. */
static void test_dual(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct put puts[] = { UDP, DUAL };
	const struct endpoint both[] = { rig_peer4(1, 5), rig_peer6(1, 5) };
	struct rig_message m;

	rig_open(&r, NULL);
	CHECK(allocate_with(&r, &c, puts, 2) == 0 &&
	              rig_attr_count(&r, TURN_XOR_RELAYED_ADDRESS) == 2,
	      "TURN-052");
	CHECK(rig_permit(&r, &c, both, 2) == 0, "TURN-081: families mixed");
	CHECK(rig_bind(&r, &c, 0x4000, &both[0]) == 0 && rig_bind(&r, &c, 0x4001, &both[1]) == 0,
	      "a channel each");
	SOUND(&r);
	rig_restart(&r);
	SOUND(&r);
	CHECK(r.n_flows == 6, "restored");
	rig_begin(&r, &m, TURN_REFRESH);
	stun_put_u8(&m.b, TURN_REQUESTED_ADDRESS_FAMILY, 2);
	stun_put_u32(&m.b, TURN_LIFETIME, 1000);
	CHECK(rig_ask(&r, &c, &m) == 0, "IPv6 only");
	CHECK(rig_flow_of(&r, &c, FLOW_ALLOCATION6, NULL)->deadline_s == r.now_ms / 1000 + 1000 &&
	              rig_flow_of(&r, &c, FLOW_ALLOCATION4, NULL)->deadline_s ==
	                      r.now_ms / 1000 + 600,
	      "TURN-070: only that family is refreshed");
	rig_begin(&r, &m, TURN_REFRESH);
	stun_put_u8(&m.b, TURN_REQUESTED_ADDRESS_FAMILY, 2);
	stun_put_u32(&m.b, TURN_LIFETIME, 0);
	rig_sign(&r, &m, &c);
	CHECK(rig_send(&r, &c, &m) == 0 && r.n_flows == 3, "TURN-070: only that one is deleted");
	CHECK(rig_send(&r, &c, &m) == 0 && r.n_flows == 3, "TURN-014: and again, the same");
	CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &both[0]) != NULL, "IPv4's channel goes on");
	SOUND(&r);
	rig_begin(&r, &m, TURN_REFRESH);
	stun_put_u8(&m.b, TURN_REQUESTED_ADDRESS_FAMILY, 2);
	CHECK(rig_ask(&r, &c, &m) == 443, "TURN-070: then Refresh for IPv6");
	CHECK(rig_permit(&r, &c, &both[1], 1) == 443, "TURN-081");
	rig_restart(&r);
	SOUND(&r);
	CHECK(r.n_flows == 3, "restored with one family");
	rig_begin(&r, &m, TURN_REFRESH);
	stun_put_u8(&m.b, TURN_REQUESTED_ADDRESS_FAMILY, 1);
	stun_put_u32(&m.b, TURN_LIFETIME, 0);
	CHECK(rig_ask(&r, &c, &m) == 0 && turn_allocations(r.srv) == 0, "the last family");
	SOUND(&r);
	rig_close(&r);
}

static void test_operators(void)
{
	struct rig r;
	struct turn_info info;
	struct turn_peer peer;
	uint64_t after = 0;
	unsigned n = 0;
	const struct endpoint at = rig_peer4(3, 77);

	rig_open(&r, NULL);
	for (unsigned i = 0; i < 20; i++) {
		struct rig_client c = rig_client4(i);

		CHECK(rig_allocate(&r, &c) == 0, "many");
		if (i == 0)
			CHECK(rig_bind(&r, &c, 0x4000, &at) == 0, "one bound");
	}
	while (turn_list(r.srv, after, &info)) {
		after = info.id;
		n++;
		if (n % 3 == 0) /* one that ends while it is listed loses no place */
			CHECK(turn_delete(r.srv, info.id, END_DELETED, r.now_ms), "deleted");
	}
	CHECK(n == 20 && turn_allocations(r.srv) == 14, "each once");
	rig_drain(&r);
	CHECK(r.n_end == 6 && r.end.end == END_DELETED, "told");
	CHECK(!turn_delete(r.srv, 999999, END_DELETED, r.now_ms), "unknown");
	CHECK(turn_list(r.srv, 0, &info) && turn_find(r.srv, info.id, &info) && info.channels == 1,
	      "the first");
	CHECK(turn_peer(r.srv, info.id, 0, &peer) && turn_peer(r.srv, info.id, 1, &peer) &&
	              !turn_peer(r.srv, info.id, 2, &peer),
	      "its permission and channel");
	turn_end_all(r.srv, END_STOPPED, r.now_ms);
	rig_wait(&r, 0);
	CHECK(turn_allocations(r.srv) == 0 && r.n_end == 20 && r.n_flows == 0, "all ended");
	SOUND(&r);
	rig_close(&r);
}

static void test_row_full(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);

	rig_open(&r, NULL);
	r.full = true;
	CHECK(rig_allocate(&r, &c) == 0, "the answer is out before the data plane says no");
	CHECK(r.n_end == 1 && r.end.end == END_ROLLED_BACK && turn_allocations(r.srv) == 0,
	      "ended, and told");
	SOUND(&r);
	r.full = false;
	CHECK(rig_allocate(&r, &c) == 0, "recovers");
	r.full = true;
	const struct endpoint peer = rig_peer4(1, 1);
	CHECK(rig_permit(&r, &c, &peer, 1) == 0 && turn_allocations(r.srv) == 0, "by a permission");
	SOUND(&r);
	rig_close(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "cap and drain", test_total },
		{ "full store", test_full_store },
		{ "rows of the data plane", test_rows },
		{ "expiry", test_expiry },
		{ "unacknowledged deletes", test_unacknowledged },
		{ "dual allocation", test_dual },
		{ "operators' view", test_operators },
		{ "ROW_FULL after the answer", test_row_full },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/life", tests);
}
