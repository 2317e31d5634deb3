/* Mirrors control/turn/perm.c, chan.c, peer.c and flow.c: permissions, channels, whom they reach.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/rig/turn_rig.h"
#include "tests/support.h"
#include "tests/unit/control/turn/suite.h"
#include "wire/attr.h"

static uint32_t now_s(const struct rig *r)
{
	return (uint32_t)(r->now_ms / 1000);
}

/* The relays and listeners of the rig: 198.18.0.1 advertised as 203.0.113.7, fd00:18::1. */
static const struct {
	const char *name, *peer;
	int permit, bind;
} peers[] = {
	/* clang-format off */
	{ "allowed",                                "198.18.1.9:4000",          0,   0 },
	{ "not allowed (TURN-218)",                 "198.18.2.9:4000",          403, 403 },
	{ "public",                                 "8.8.8.8:53",               0,   0 },
	{ "private",                                "10.1.2.3:4000",            403, 403 },
	{ "metadata",                               "169.254.169.254:80",       403, 403 },
	{ "loopback",                               "127.0.0.1:80",             403, 403 },
	{ "unspecified",                            "0.0.0.0:80",               403, 403 },
	{ "multicast",                              "224.0.0.1:80",             403, 403 },
	{ "broadcast",                              "255.255.255.255:80",       403, 403 },
	{ "relay, real form (TURN-211, TURN-214)",  "198.18.0.1:50000",         0,   0 },
	{ "relay, advertised form",                 "203.0.113.7:50000",        0,   0 },
	{ "relay, port below the range (TURN-215)", "198.18.0.1:22",            0,   403 },
	{ "advertised, port below the range",       "203.0.113.7:49151",        0,   403 },
	{ "the listener on the relay's address",    "198.18.0.1:3478",          0,   403 },
	{ "another listener's address",             "198.18.0.3:3479",          403, 403 },
	{ "another port of a listener's address",   "198.18.0.3:50000",         403, 403 },
	{ "an address of a port",                   "198.18.0.4:50000",         403, 403 },
	/* clang-format on */
};

static void open_all(struct rig *r)
{
	/* TURN-215: no allow entry lifts it. */
	r->allow[r->cfg.n_allow] = (struct prefix){ rig_at("198.18.0.0:1").addr, 120 };
	r->cfg.n_allow++;
}

static void test_policy(void)
{
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
		for (unsigned open = 0; open < 2; open++) {
			struct rig r;
			struct rig_client c = rig_client4(1);
			const struct endpoint at = rig_at(peers[i].peer);

			rig_open(&r, open ? open_all : NULL);
			CHECK(rig_allocate(&r, &c) == 0, "one");
			CHECK(rig_bind(&r, &c, 0x4000, &at) == peers[i].bind, peers[i].name);
			CHECK(rig_permit(&r, &c, &at, 1) == peers[i].permit, peers[i].name);
			CHECK((r.n_refused > 0) == (peers[i].bind == 403), "TURN-226: told");
			SOUND(&r);
			rig_close(&r);
		}
}

/* IPv6 peers, and IPv4 ones in their clothes: TURN-219, TURN-220. */
static void test_disguise(void)
{
	static const uint8_t mapped[16] = {
		[10] = 255, [11] = 255, [12] = 8, [13] = 8, [14] = 8, [15] = 8
	};
	struct rig r;
	struct rig_client c = rig_client6(1);
	struct rig_message m;

	rig_open(&r, NULL);
	rig_begin(&r, &m, TURN_ALLOCATE);
	stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, 17);
	stun_put_u8(&m.b, TURN_REQUESTED_ADDRESS_FAMILY, 2);
	CHECK(rig_ask(&r, &c, &m) == 0, "an IPv6 relay");
	for (unsigned bind = 0; bind < 2; bind++) {
		uint8_t value[20] = { 0, 2, 0, 9 };

		rig_begin(&r, &m, bind ? TURN_CHANNEL_BIND : TURN_CREATE_PERMISSION);
		if (bind)
			stun_put_u32(&m.b, TURN_CHANNEL_NUMBER, 0x40000000);
		memcpy(value + 4, mapped, 16);
		stun_xor(value, 20, m.buf + 4);
		stun_put(&m.b, TURN_XOR_PEER_ADDRESS, value, 20);
		CHECK(rig_ask(&r, &c, &m) == 403, "mapped: never, whatever is inside");
	}
	static const char *const bad[] = {
		"[::1]:9",     "[::]:9",      "[64:ff9b::a01:203]:9", "[2002:808:808::1]:9",
		"[fe80::1]:9", "[ff02::1]:9", "[fd00:ec2::254]:9",    "[::8.8.8.8]:9"
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct endpoint at = rig_at(bad[i]);

		CHECK(rig_permit(&r, &c, &at, 1) == 403 && rig_bind(&r, &c, 0x4000, &at) == 403,
		      bad[i]);
	}
	const struct endpoint good = rig_at("[2a00:1450::5]:9"), four = rig_at("8.8.8.8:9");
	CHECK(rig_bind(&r, &c, 0x4000, &good) == 0, "global unicast");
	CHECK(rig_permit(&r, &c, &four, 1) == 443, "TURN-081");
	CHECK(rig_bind(&r, &c, 0x4001, &four) == 443, "TURN-103");
	SOUND(&r);
	rig_close(&r);
}

/* TURN-079, TURN-080, TURN-082, TURN-084, TURN-085. */
static void test_create(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message m;
	struct endpoint many[40];
	struct turn_info info;
	static const uint8_t short_peer[4] = { 0, 1, 0, 0 };

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0, "one");
	rig_begin(&r, &m, TURN_CREATE_PERMISSION);
	CHECK(rig_ask(&r, &c, &m) == 400, "TURN-080: none");
	for (unsigned order = 0; order < 2; order++) {
		many[order] = rig_at("198.18.1.5:1");
		many[1 - order] = rig_at("10.0.0.1:1");
		CHECK(rig_permit(&r, &c, many, 2) == 403, "TURN-082: one denied");
		many[1 - order] = rig_at("[2a00::1]:1");
		CHECK(rig_permit(&r, &c, many, 2) == 443, "TURN-081: one of the other family");
		rig_begin(&r, &m, TURN_CREATE_PERMISSION);
		if (order == 0)
			stun_put(&m.b, TURN_XOR_PEER_ADDRESS, short_peer, 4);
		stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, &many[order]);
		if (order == 1)
			stun_put(&m.b, TURN_XOR_PEER_ADDRESS, short_peer, 4);
		CHECK(rig_ask(&r, &c, &m) == 400, "TURN-080: one malformed");
	}
	CHECK(r.n_flows == 1, "TURN-080: none installed");
	for (unsigned i = 0; i < 40; i++)
		many[i] = rig_peer4(i % 20, (uint16_t)(1000 + i)); /* each twice, other port */
	CHECK(rig_permit(&r, &c, many, 40) == 0, "TURN-079: twenty");
	CHECK(r.n_flows == 21 && r.sets_before_answer == 20, "duplicates are one; TURN-020");
	CHECK(rig_attr_count(&r, STUN_MESSAGE_INTEGRITY) == 1 && r.answer_len == 20 + 24,
	      "TURN-084: no attributes");
	SOUND(&r);
	rig_wait(&r, 100000);
	rig_begin(&r, &m, TURN_CREATE_PERMISSION);
	stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, &many[0]);
	stun_put_u32(&m.b, TURN_LIFETIME, 0);
	CHECK(rig_ask(&r, &c, &m) == 0, "TURN-085: LIFETIME is ignored");
	CHECK(rig_flow_of(&r, &c, FLOW_PERMISSION, &many[0])->deadline_s == now_s(&r) + 300 &&
	              rig_flow_of(&r, &c, FLOW_PERMISSION, &many[1])->deadline_s == now_s(&r) + 200,
	      "TURN-076: that one again, no other");
	CHECK(turn_list(r.srv, 0, &info) && info.permissions == 20, "twenty");
	rig_restart(&r);
	SOUND(&r);
	CHECK(r.n_flows == 21, "all restored");
	rig_wait(&r, 200000);
	CHECK(r.n_flows == 2, "TURN-076: nineteen gone at 300");
	rig_wait(&r, 100000);
	CHECK(r.n_flows == 1, "and the last");
	SOUND(&r);
	rig_close(&r);
}

static void limits(struct rig *r)
{
	r->cfg.limit_permissions = 5;
	r->cfg.limit_channels = 3;
}

/* TURN-083, TURN-105. */
static void test_limits(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct endpoint p[6];

	rig_open(&r, limits);
	CHECK(rig_allocate(&r, &c) == 0, "one");
	for (unsigned i = 0; i < 6; i++)
		p[i] = rig_peer4(i, 9);
	CHECK(rig_permit(&r, &c, p, 6) == 508 && r.n_flows == 1, "six at once");
	CHECK(rig_permit(&r, &c, p, 5) == 0, "five");
	CHECK(rig_permit(&r, &c, &p[5], 1) == 508, "TURN-083: the sixth");
	CHECK(rig_permit(&r, &c, p, 5) == 0, "TURN-083: refreshing still works");
	for (unsigned i = 0; i < 3; i++)
		CHECK(rig_bind(&r, &c, (uint16_t)(0x4000 + i), &p[i]) == 0, "three");
	CHECK(rig_bind(&r, &c, 0x4003, &p[3]) == 508, "TURN-105: no room");
	CHECK(rig_bind(&r, &c, 0x4002, &p[2]) == 0, "the same again");
	SOUND(&r);
	rig_close(&r);
}

static void old_numbers(struct rig *r)
{
	r->cfg.rfc5766_channels = true;
}

/* TURN-098 to TURN-100, TURN-104. */
static void test_numbers(void)
{
	static const struct {
		uint16_t number;
		int want, want_old;
	} cases[] = { { 0, 400, 400 },    { 0x3FFF, 400, 400 }, { 0x4000, 0, 0 },
		      { 0x4FFF, 0, 0 },   { 0x5000, 400, 0 },   { 0x7FFE, 400, 0 },
		      { 0x7FFF, 400, 0 }, { 0x8000, 400, 400 }, { 0xFFFF, 400, 400 } };

	for (unsigned old = 0; old < 2; old++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct rig r;
			struct rig_client c = rig_client4(1);
			const struct endpoint at = rig_peer4(1, 1);

			rig_open(&r, old ? old_numbers : NULL);
			rig_allocate(&r, &c);
			CHECK(rig_bind(&r, &c, cases[i].number, &at) ==
			              (old ? cases[i].want_old : cases[i].want),
			      "TURN-099, TURN-100");
			rig_close(&r);
		}

	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message m;
	struct endpoint at = rig_peer4(1, 0);

	rig_open(&r, NULL);
	rig_allocate(&r, &c);
	CHECK(rig_bind(&r, &c, 0x4000, &at) == 400, "TURN-104: port 0");
	at.port = 5;
	rig_begin(&r, &m, TURN_CHANNEL_BIND);
	stun_put_u32(&m.b, TURN_CHANNEL_NUMBER, 0x40000000);
	CHECK(rig_ask(&r, &c, &m) == 400, "TURN-098: no peer");
	rig_begin(&r, &m, TURN_CHANNEL_BIND);
	stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, &at);
	CHECK(rig_ask(&r, &c, &m) == 400, "TURN-098: no number");
	rig_begin(&r, &m, TURN_CHANNEL_BIND);
	stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, &at);
	stun_put(&m.b, TURN_CHANNEL_NUMBER, "\x40\0", 2);
	CHECK(rig_ask(&r, &c, &m) == 400, "TURN-004: number of two octets");
	rig_begin(&r, &m, TURN_CHANNEL_BIND);
	stun_put_u32(&m.b, TURN_CHANNEL_NUMBER, 0x4000FFFF);
	stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, &at);
	CHECK(rig_ask(&r, &c, &m) == 0, "TURN-005: RFFU is ignored");
	rig_close(&r);
}

/* TURN-102, TURN-106, TURN-107, TURN-110. */
static void test_bind(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1), d = rig_client4(2);
	const struct endpoint a = rig_peer4(1, 10), b = rig_peer4(1, 11), e = rig_peer4(2, 10);

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0 && rig_refresh(&r, &c, 3600) == 0, "one");
	CHECK(rig_bind(&r, &c, 0x4000, &a) == 0 && r.sets_before_answer == 2,
	      "TURN-106: both flows");
	CHECK(rig_bind(&r, &c, 0x4000, &b) == 400, "TURN-102: number taken");
	CHECK(rig_bind(&r, &c, 0x4001, &a) == 400, "TURN-102: peer taken");
	CHECK(rig_bind(&r, &c, 0x4001, &b) == 0, "another port of the address is another peer");
	CHECK(r.n_flows == 4, "one permission, two channels");
	CHECK(rig_allocate(&r, &d) == 0 && rig_bind(&r, &d, 0x4000, &e) == 0, "TURN-110: private");
	SOUND(&r);
	rig_wait(&r, 200000);
	CHECK(rig_bind(&r, &c, 0x4000, &a) == 0, "again");
	CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &a)->deadline_s == now_s(&r) + 600 &&
	              rig_flow_of(&r, &c, FLOW_CHANNEL, &b)->deadline_s == now_s(&r) + 400,
	      "TURN-102: C reset, of that pair only");
	rig_restart(&r);
	SOUND(&r);
	CHECK(rig_bind(&r, &c, 0x4000, &e) == 400, "the number is taken in the next life too");
	rig_wait(&r, 399999);
	CHECK(rig_bind(&r, &c, 0x4002, &b) == 400, "TURN-107: taken until 600");
	rig_wait(&r, 1);
	CHECK(rig_bind(&r, &c, 0x4002, &b) == 0, "TURN-107: peer anew at once");
	CHECK(rig_bind(&r, &c, 0x4001, &e) == 0, "TURN-107: number anew at once");
	SOUND(&r);
	rig_restart(&r);
	SOUND(&r);
	CHECK(rig_bind(&r, &c, 0x4001, &e) == 0 && rig_bind(&r, &c, 0x4002, &b) == 0, "kept");
	rig_close(&r);
}

static void strict(struct rig *r)
{
	r->cfg.strict_permissions = true;
}

/* TURN-108, TURN-109: the deadlines that rows get. */
static void test_deadlines(void)
{
	for (unsigned s = 0; s < 2; s++) {
		struct rig r;
		struct rig_client c = rig_client4(1);
		const struct endpoint a = rig_peer4(1, 10);
		const struct cmd_flow *f;

		rig_open(&r, s ? strict : NULL);
		CHECK(rig_allocate(&r, &c) == 0 && rig_refresh(&r, &c, 3600) == 0, "one");
		const uint32_t t0 = now_s(&r);
		CHECK(rig_bind(&r, &c, 0x4000, &a) == 0, "bound");
		f = rig_flow_of(&r, &c, FLOW_CHANNEL, &a);
		CHECK(f->deadline_s == t0 + 600, "towards the peer: the binding");
		CHECK(f->deadline_in_s == (s ? t0 + 300 : t0 + 600), "from it");
		CHECK(rig_flow_of(&r, &c, FLOW_PERMISSION, &a)->deadline_s ==
		              (s ? t0 + 300 : t0 + 600),
		      "the permission");
		rig_wait(&r, 299000);
		CHECK(rig_flow_of(&r, &c, FLOW_PERMISSION, &a) != NULL, "at 299");
		rig_wait(&r, 2000);
		CHECK((rig_flow_of(&r, &c, FLOW_PERMISSION, &a) == NULL) == (s == 1), "at 301");
		CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &a) != NULL, "the binding lives");
		SOUND(&r);
		rig_restart(&r);
		SOUND(&r);
		CHECK((rig_flow_of(&r, &c, FLOW_PERMISSION, &a) == NULL) == (s == 1),
		      "restored so");
		CHECK(rig_permit(&r, &c, &a, 1) == 0, "permission anew");
		f = rig_flow_of(&r, &c, FLOW_CHANNEL, &a);
		CHECK(f->deadline_in_s == t0 + 600, "the binding follows it");
		SOUND(&r);
		rig_wait(&r, 299000);
		CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &a) == NULL, "TURN-107: gone at 600");
		CHECK(rig_flow_of(&r, &c, FLOW_PERMISSION, &a) != NULL, "the permission's own 300");
		rig_wait(&r, 1000);
		CHECK(rig_flow_of(&r, &c, FLOW_PERMISSION, &a) == NULL, "TURN-076: to the second");
		SOUND(&r);
		rig_close(&r);
	}
}

/* Rows end with the allocation, and follow its refresh. */
static void test_capped(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct endpoint a = rig_peer4(1, 10);

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0, "600");
	const uint32_t t0 = now_s(&r);
	rig_wait(&r, 400000);
	CHECK(rig_bind(&r, &c, 0x4000, &a) == 0, "bound");
	CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &a)->deadline_s == t0 + 600,
	      "min(channel, allocation)");
	CHECK(rig_flow_of(&r, &c, FLOW_PERMISSION, &a)->deadline_s == t0 + 600,
	      "the permission too");
	CHECK(rig_refresh(&r, &c, 800) == 0, "refreshed");
	CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &a)->deadline_s == t0 + 1000, "the binding's own");
	CHECK(rig_refresh(&r, &c, 600) == 0, "TURN-068");
	CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &a)->deadline_s == t0 + 1000, "600 from now");
	rig_wait(&r, 300000);
	CHECK(rig_refresh(&r, &c, 600) == 0 && r.sets_before_answer == 1, "TURN-072: only E");
	SOUND(&r);
	rig_close(&r);
}

/* 4096 numbers over a few addresses (TURN-105), and all of them through a restart. */
static void test_all_numbers(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct turn_info info;

	rig_open(&r, NULL);
	r.index_flows = false; /* an array would be slow */
	CHECK(rig_allocate(&r, &c) == 0, "one");
	for (unsigned i = 0; i < 4096; i++) {
		const struct endpoint at = rig_peer4(i % 16, (uint16_t)(1000 + i));

		CHECK(rig_bind(&r, &c, (uint16_t)(0x4000 + i), &at) == 0, "each");
	}
	const struct endpoint more = rig_peer4(1, 9);
	CHECK(rig_bind(&r, &c, 0x5000, &more) == 400, "the next one");
	SOUND(&r);
	rig_restart(&r);
	SOUND(&r);
	CHECK(turn_list(r.srv, 0, &info) && info.channels == 4096 && info.permissions == 16,
	      "kept");
	CHECK(rig_refresh(&r, &c, 3600) == 0, "one request, 4113 flows");
	CHECK(rig_refresh(&r, &c, 0) == 0, "the end of all of them");
	rig_wait(&r, 2000);
	CHECK(turn_ending(r.srv) == 0, "done");
	SOUND(&r);
	rig_close(&r);
}

/* TURN-224: a new policy acts on what lives; ROW_REFUSED of the data plane likewise. */
static void test_new_policy(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct endpoint a = rig_peer4(1, 10), b = rig_at("8.8.8.8:10");
	struct config_error err;

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0 && rig_bind(&r, &c, 0x4000, &a) == 0 &&
	              rig_bind(&r, &c, 0x4001, &b) == 0,
	      "two");
	r.deny[0] = (struct prefix){ a.addr, 128 };
	r.cfg.n_deny = 1;
	CHECK(turn_reload(r.srv, &r.cfg, &err), "denied now");
	rig_wait(&r, 0);
	CHECK(rig_flow_of(&r, &c, FLOW_PERMISSION, &a) == NULL &&
	              rig_flow_of(&r, &c, FLOW_CHANNEL, &a) == NULL,
	      "TURN-224: gone");
	CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &b) != NULL, "the other lives");
	SOUND(&r);
	r.cfg.n_deny = 0;
	CHECK(turn_reload(r.srv, &r.cfg, &err), "allowed again");
	rig_wait(&r, 0);
	rig_restart(&r);
	SOUND(&r);
	CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &a) == NULL, "not back from the store");

	const struct punt_row refused = { .tag = rig_flow_of(&r, &c, FLOW_CHANNEL, &b)->tag,
		                          .status = ROW_REFUSED };
	turn_on_row(r.srv, &refused, r.now_ms);
	rig_drain(&r);
	CHECK(rig_flow_of(&r, &c, FLOW_CHANNEL, &b) == NULL && turn_allocations(r.srv) == 1,
	      "that channel, not the allocation");
	SOUND(&r);
	rig_close(&r);
}

/* Events that come late, twice, or lie. */
static void test_events(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct endpoint a = rig_peer4(1, 10);

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0 && rig_bind(&r, &c, 0x4000, &a) == 0, "one");
	const uint64_t tag = rig_flow_of(&r, &c, FLOW_CHANNEL, &a)->tag;
	for (unsigned i = 0; i < 300; i++) {
		const struct punt_row ev = {
			.tag = i < 100 ? tag + i
			               : (uint64_t)rig_random(UINT32_MAX) << 32 |
			                         rig_random(UINT32_MAX),
			.row = rig_random(1000),
			.status = i < 100 ? ROW_DELETED : rig_random(8),
		};

		if (ev.tag != tag || ev.status == ROW_DELETED)
			turn_on_row(r.srv, &ev, r.now_ms);
	}
	SOUND(&r);
	rig_close(&r);
}

/* A request while a sync is under way: its allocation is named first. */
static void test_sync(void)
{
	struct rig r;
	struct rig_client c[30];
	const struct endpoint a = rig_peer4(1, 10);

	rig_open(&r, NULL);
	for (unsigned i = 0; i < 30; i++) {
		c[i] = rig_client4(i);
		CHECK(rig_allocate(&r, &c[i]) == 0, "many");
	}
	turn_on_hangup(r.srv, r.now_ms);
	CHECK(turn_allocations(r.srv) == 30, "allocations outlive the data plane");
	SOUND(&r);
	r.n_flows = 0;
	turn_sync(r.srv, r.now_ms);
	rig_drain(&r);
	CHECK(rig_bind(&r, &c[20], 0x4000, &a) == 0 && r.n_flows == 3, "parent first, then both");
	CHECK(rig_refresh(&r, &c[21], 0) == 0 && r.n_end == 1, "an end of what was not named yet");
	SOUND(&r);
	while (!turn_sync_step(r.srv, r.now_ms))
		rig_drain(&r);
	rig_drain(&r);
	CHECK(r.n_flows == 31 && r.n_synced == 2, "29 allocations and two");
	SOUND(&r);

	/* Tables without a relay: its allocations end. */
	struct abi_listener l = { .port = 3478, .id = 10, .transport = TRANSPORT_UDP, .live = 1 };
	memcpy(l.ip, r.cfg.listeners[0].at.addr.ip, 16);
	turn_set_tables(r.srv, &l, 1, NULL, 0, r.now_ms);
	rig_wait(&r, 0);
	CHECK(turn_allocations(r.srv) == 0 && r.end.end == END_GONE, "gone");
	SOUND(&r);
	rig_close(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "peer policy", test_policy },
		{ "disguises", test_disguise },
		{ "CreatePermission", test_create },
		{ "limits", test_limits },
		{ "channel numbers", test_numbers },
		{ "ChannelBind", test_bind },
		{ "deadlines, both modes", test_deadlines },
		{ "capped by the allocation", test_capped },
		{ "all numbers", test_all_numbers },
		{ "a new policy", test_new_policy },
		{ "late and lying events", test_events },
		{ "requests during a sync", test_sync },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/perm", tests);
}
