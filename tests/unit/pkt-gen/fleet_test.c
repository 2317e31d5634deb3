/* The fleet against the real server engine, and against what servers must not do. */
#include <stdio.h>

#include "tests/support.h"
#include "tests/unit/pkt-gen/fleet_world.h"
#include "wire/stun_build.h"

static const struct fleet_config alice = {
	.user = "alice", .password = "secret", .clients = 1, .peers = 1, .channels = true
};

static void up(struct world *w)
{
	fleet_go(w->fleet, FLEET_UP, 0, w->cfg.clients, world_now_ns(w));
}

static void down(struct world *w)
{
	fleet_go(w->fleet, FLEET_DOWN, 0, w->cfg.clients, world_now_ns(w));
}

/* Opens a world, brings the fleet up and says how many got ready. */
static uint64_t risen(struct world *w, rig_tweak *tweak, const struct fleet_config *cfg)
{
	world_open(w, tweak, cfg);
	up(w);
	CHECK(world_settle(w, 600000), "it settles");
	return fleet_counts(w->fleet)->ready;
}

static void test_one(void)
{
	struct world w;
	struct endpoint relayed = { .port = 0 };
	const struct fleet_counts *n;

	CHECK(risen(&w, NULL, &alice) == 1, "ready");
	n = fleet_counts(w.fleet);
	CHECK(n->transactions == 3 && n->answered == 3, "Allocate twice, ChannelBind");
	CHECK(n->challenges == 1 && n->retransmissions == 0 && n->stray == 0, "as it should be");
	CHECK(w.n_ready == 1 && w.n_failed == 0, "told so");
	CHECK(fleet_relayed(w.fleet, 0, &relayed) && relayed.port >= 49152, "relayed");
	CHECK(fleet_channel(w.fleet, 0, 0) == 0x4000, "a channel");
	CHECK(turn_allocations(w.rig.srv) == 1, "one allocation at the server");
	CHECK(histogram_count(fleet_rtt(w.fleet)) == 3, "times were taken");
	CHECK(n->last_s > n->first_s && n->last_s - n->first_s < 0.01, "six milliseconds");
	down(&w);
	CHECK(world_settle(&w, 60000) && n->gone == 1 && n->ready == 0, "gone");
	CHECK(turn_allocations(w.rig.srv) == 0, "nothing is left");
	CHECK(!fleet_relayed(w.fleet, 0, &relayed), "not relayed any more");
	CHECK(fleet_next_ns(w.fleet) == UINT64_MAX, "nothing is due");
	world_close(&w);
}

/* STUN-120: 500 ms doubled, seven sends, 16 times 500 ms at the end. */
static uint64_t send_ms[16];

static bool note_time(struct world *w, const struct endpoint *from, const uint8_t *octets,
                      size_t len)
{
	(void)from;
	(void)octets;
	(void)len;
	if (w->seen < 16)
		send_ms[w->seen] = w->rig.now_ms;
	w->seen++;
	return false;
}

static void retransmits(uint32_t rto_ms)
{
	static const uint64_t at[] = { 0, 500, 1500, 3500, 7500, 15500, 31500 };
	struct fleet_config cfg = alice;
	struct world w;

	cfg.rto_ms = rto_ms;
	world_open(&w, NULL, &cfg);
	w.watch = note_time;
	up(&w);
	const uint64_t from_ms = w.rig.now_ms + 1;
	const uint64_t rto = rto_ms == 0 ? 500 : rto_ms;
	world_run(&w, rto * 79 - 1);
	CHECK(w.seen == 7, "seven sends");
	for (unsigned i = 0; i < 7; i++)
		CHECK(send_ms[i] - from_ms == at[i] * rto / 500, "at its time");
	CHECK(fleet_counts(w.fleet)->under_way == 1, "it still waits");
	world_run(&w, 1);
	CHECK(fleet_counts(w.fleet)->failed == 1 && fleet_counts(w.fleet)->timeouts == 1,
	      "39.5 s, then it fails");
	CHECK(w.n_failed == 1 && fleet_counts(w.fleet)->retransmissions == 6, "told so");
	world_close(&w);
}

static void test_retransmission(void)
{
	retransmits(0);
	retransmits(100);
}

/* A retransmission is bit-identical (STUN-009). */
static uint8_t first_sent[1024];

static bool note_equal(struct world *w, const struct endpoint *from, const uint8_t *octets,
                       size_t len)
{
	(void)from;
	if (be16_load(octets) != TURN_CHANNEL_BIND)
		return true;
	if (w->seen++ == 0)
		memcpy(first_sent, octets, len);
	else
		CHECK(memcmp(first_sent, octets, len) == 0, "the same octets");
	return w->seen == 3;
}

static void test_identical(void)
{
	struct world w;

	world_open(&w, NULL, &alice);
	w.watch = note_equal;
	up(&w);
	CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->ready == 1,
	      "the third came through");
	CHECK(fleet_counts(w.fleet)->retransmissions == 2, "two retransmissions");
	world_close(&w);
}

/* Loss, duplicates and reordering: everybody gets there, and nothing is left behind. */
static void through_weather(uint64_t seed, const struct fleet_config *cfg)
{
	struct world w;
	const struct fleet_counts *n;

	world_open(&w, NULL, cfg);
	rig_seed(seed);
	w.lost = 100;
	w.doubled = 50;
	w.delay_min_ms = 5;
	w.delay_max_ms = 60;
	n = fleet_counts(w.fleet);
	up(&w);
	CHECK(world_settle(&w, 600000), "it settles");
	CHECK(n->ready + n->failed == cfg->clients && n->failed <= 1, "ready");
	CHECK(n->failed == n->timeouts, "only time can stop one");
	CHECK(turn_allocations(w.rig.srv) == cfg->clients, "each has one");
	world_run(&w, 3 * 3600 * 1000);
	CHECK(n->ready + n->failed + n->lost == cfg->clients && n->lost <= 1, "three hours later");
	CHECK(turn_check_invariants(w.rig.srv) == NULL, "the server is sane");
	down(&w);
	CHECK(world_settle(&w, 600000), "it settles again");
	world_run(&w, 1000);
	CHECK(turn_allocations(w.rig.srv) == n->timeouts - n->failed - n->lost ||
	              turn_allocations(w.rig.srv) <= 1,
	      "nothing is left but what nobody answered for");
	CHECK(n->unproven == 0 && n->malformed == 0 && n->bid_down == 0, "no false suspicion");
	CHECK(n->stray > 0 && n->retransmissions > 0, "the weather was bad");
	world_close(&w);
}

static void test_weather(void)
{
	struct fleet_config cfg = alice;

	cfg.clients = 100;
	cfg.window = 20;
	cfg.peers = 3;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		cfg.seed = seed;
		cfg.channels = seed != 2;
		through_weather(seed, &cfg);
	}
}

/* Refreshes keep allocations, permissions and channels for hours (TURN-246, TURN-248, TURN-249). */
static void kept(struct fleet_config cfg, uint64_t ms)
{
	struct world w;
	const struct fleet_counts *n;

	CHECK(risen(&w, NULL, &cfg) == cfg.clients, "ready");
	n = fleet_counts(w.fleet);
	for (uint64_t t = 0; t < ms; t += 10000) {
		const uint32_t peers = cfg.peers;
		unsigned live = 0;

		world_run(&w, 10000);
		for (size_t i = 0; i < w.rig.n_flows; i++)
			live += w.rig.flows[i].flow.kind ==
			        (cfg.channels ? FLOW_CHANNEL : FLOW_PERMISSION);
		CHECK(live == cfg.clients * peers, "all are in the tables all the time");
	}
	CHECK(n->ready == cfg.clients && n->lost == 0 && n->timeouts == 0, "kept");
	CHECK(turn_allocations(w.rig.srv) == cfg.clients, "at the server too");
	/* Renewed, but not more often than needed: six requests in 600 s are too many. */
	CHECK(n->transactions < cfg.clients * (4 + cfg.peers) +
	                                cfg.clients * (1 + 3 * cfg.peers) * (ms / 540000 + 1),
	      "frugally");
	world_close(&w);
}

static void test_kept(void)
{
	struct fleet_config cfg = alice;

	cfg.clients = 5;
	kept(cfg, 4 * 3600 * 1000);
	cfg.peers = 7;
	kept(cfg, 3600 * 1000);
	cfg.channels = false;
	kept(cfg, 3600 * 1000);
	cfg.lifetime_s = 3600;
	kept(cfg, 2 * 3600 * 1000);
}

static bool count_permits(struct world *w, const struct endpoint *from, const uint8_t *octets,
                          size_t len)
{
	(void)from;
	(void)len;
	w->seen += be16_load(octets) == TURN_CREATE_PERMISSION;
	return true;
}

/* TURN-248: several peers in one request where there are no channels. */
static void test_batches(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.peers = 50;
	cfg.channels = false;
	world_open(&w, NULL, &cfg);
	w.watch = count_permits;
	up(&w);
	CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->ready == 1, "ready");
	CHECK(w.seen == 3, "50 peers in three requests");
	CHECK(w.rig.n_flows >= 50, "50 permissions");
	world_close(&w);
}

static void test_ipv6(void)
{
	struct fleet_config cfg = alice;
	struct endpoint relayed;
	struct world w;

	cfg.relayed_ipv6 = true;
	cfg.server = rig_at("[fd00:18::1]:3478");
	cfg.peers = 2;
	CHECK(risen(&w, NULL, &cfg) == 1, "ready");
	CHECK(fleet_relayed(w.fleet, 0, &relayed) && !addr_is4(&relayed.addr), "IPv6");
	world_close(&w);
}

/* TURN-244: what an Allocate may end with; the code is counted, nothing is repeated. */
static void test_wrong_password(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.clients = 10;
	cfg.password = "wrong";
	CHECK(risen(&w, NULL, &cfg) == 0, "nobody is ready");
	CHECK(fleet_counts(w.fleet)->error[401] == 10 && w.n_failed == 10, "401");
	CHECK(fleet_counts(w.fleet)->transactions == 20, "asked twice, not more (STUN-116)");
	CHECK(fleet_counts(w.fleet)->last_s == fleet_counts(w.fleet)->first_s, "it took no time");
	world_close(&w);
	cfg = alice;
	cfg.user = "nobody";
	CHECK(risen(&w, NULL, &cfg) == 0 && fleet_counts(w.fleet)->error[401] == 1, "unknown");
	world_close(&w);
}

static void two_a_user(struct rig *r)
{
	r->cfg.limit_allocations_per_user = 2;
}

static void five_in_all(struct rig *r)
{
	r->cfg.limit_allocations = 5;
}

static void test_quota(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.clients = 10;
	CHECK(risen(&w, two_a_user, &cfg) == 2, "two are ready");
	CHECK(fleet_counts(w.fleet)->error[486] == 8 && fleet_counts(w.fleet)->failed == 8, "486");
	world_close(&w);
	CHECK(risen(&w, five_in_all, &cfg) == 5, "five are ready");
	CHECK(fleet_counts(w.fleet)->error[508] == 5, "508");
	world_close(&w);
}

static struct endpoint forbidden(void *arg, uint32_t client, uint32_t peer)
{
	(void)arg;
	(void)client;
	return peer == 0 ? rig_peer4(1, 1000) : rig_at("127.0.0.1:1000");
}

static void test_forbidden(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.peers = 2;
	cfg.peer_at = forbidden;
	for (unsigned i = 0; i < 2; i++) {
		cfg.channels = i == 0;
		CHECK(risen(&w, NULL, &cfg) == 0 && fleet_counts(w.fleet)->error[403] == 1, "403");
		CHECK(turn_allocations(w.rig.srv) == 1, "it has an allocation");
		down(&w);
		CHECK(world_settle(&w, 60000) && turn_allocations(w.rig.srv) == 0,
		      "which can be taken down");
		CHECK(fleet_counts(w.fleet)->gone == 1, "gone");
		world_close(&w);
	}
}

/* STUN-117, STUN-114: SHA-256 where it is offered; USERHASH where the nonce says so (STUN-116). */
static uint64_t attrs_seen;

static bool note_attrs(struct world *w, const struct endpoint *from, const uint8_t *octets,
                       size_t len)
{
	struct stun_msg msg;
	struct stun_attr attr;

	(void)from;
	(void)w;
	if (stun_open(octets, len, &msg)) {
		struct stun_iter it = stun_attrs(&msg);

		while (stun_next(&it, &attr))
			if (attr.type < 64)
				attrs_seen |= STUN_BIT(attr.type);
	}
	return true;
}

static void md5_only(struct rig *r)
{
	r->cfg.auth_sha256 = false;
}

static void sha256_only(struct rig *r)
{
	r->cfg.auth_md5 = false;
}

static char rest_secret[] = "north";

static void rest(struct rig *r)
{
	r->cfg.n_rest_secrets = 1;
	r->cfg.rest_secrets[0] = rest_secret;
}

static void test_algorithms(void)
{
	static const struct {
		const char *what;
		rig_tweak *tweak;
		uint64_t must, must_not;
	} rows[] = {
		{ "both", NULL,
		  STUN_BIT(STUN_MESSAGE_INTEGRITY_SHA256) | STUN_BIT(STUN_PASSWORD_ALGORITHM) |
		          STUN_BIT(STUN_USERHASH),
		  STUN_BIT(STUN_MESSAGE_INTEGRITY) | STUN_BIT(STUN_USERNAME) },
		{ "SHA-256 only", sha256_only, STUN_BIT(STUN_MESSAGE_INTEGRITY_SHA256),
		  STUN_BIT(STUN_MESSAGE_INTEGRITY) },
		{ "MD5 only", md5_only, 0, 0 },
		{ "with REST secrets, no anonymity", rest, STUN_BIT(STUN_USERNAME),
		  STUN_BIT(STUN_USERHASH) },
	};
	struct world w;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_open(&w, rows[i].tweak, &alice);
		attrs_seen = 0;
		w.watch = note_attrs;
		up(&w);
		CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->ready == 1, rows[i].what);
		CHECK((attrs_seen & rows[i].must) == rows[i].must, rows[i].what);
		CHECK((attrs_seen & rows[i].must_not) == 0, rows[i].what);
		world_run(&w, 3600 * 1000);
		CHECK(fleet_counts(w.fleet)->ready == 1 && fleet_counts(w.fleet)->lost == 0,
		      rows[i].what);
		world_close(&w);
	}
}

static void many_users(struct rig *r)
{
	for (unsigned i = 2; i < RIG_USERS; i++) {
		char text[32];

		snprintf(text, sizeof(text), "user%u", i - 2);
		r->users[i].name = strdup(text);
		snprintf(text, sizeof(text), "pass%uword", i - 2);
		r->users[i].password = strdup(text);
	}
	r->cfg.n_users = RIG_USERS;
	r->cfg.limit_allocations_per_user = 1;
}

/* %u gives each client its own name; time-limited names come with a minted password. */
static void test_names(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.clients = RIG_USERS;
	cfg.user = "user%u";
	cfg.password = "pass%uword";
	CHECK(risen(&w, many_users, &cfg) == RIG_USERS - 2, "those that there are");
	CHECK(fleet_counts(w.fleet)->error[401] == 2, "and two that there are not");
	world_close(&w);

	cfg.user = "1800000000:client%u";
	cfg.password = NULL;
	cfg.rest_secret = rest_secret;
	CHECK(risen(&w, rest, &cfg) == RIG_USERS, "by minted passwords");
	world_close(&w);
}

static void short_nonces(struct rig *r)
{
	r->cfg.nonce_lifetime_s = 60;
}

/* 438 costs nothing but a transaction (STUN-118). */
static void test_stale(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.clients = 20;
	CHECK(risen(&w, short_nonces, &cfg) == 20, "ready");
	const uint64_t before = fleet_counts(w.fleet)->challenges;
	world_run(&w, 3600 * 1000);
	CHECK(fleet_counts(w.fleet)->ready == 20 && fleet_counts(w.fleet)->lost == 0, "kept");
	CHECK(fleet_counts(w.fleet)->challenges > before + 20, "by way of 438");
	CHECK(fleet_counts(w.fleet)->error[438] == 0, "none of them final");
	down(&w);
	CHECK(world_settle(&w, 60000) && turn_allocations(w.rig.srv) == 0, "gone");
	world_close(&w);
}

/* Every loop ends (TURN-260). */
static size_t always_stale(struct world *w, uint8_t *octets, size_t len)
{
	struct stun_builder b;
	uint8_t txid[STUN_TXID_LEN];
	char nonce[16];

	(void)len;
	memcpy(txid, octets + 8, sizeof(txid));
	snprintf(nonce, sizeof(nonce), "nonce%u", w->seen++);
	stun_begin(&b, octets, 1024, stun_type(TURN_ALLOCATE, STUN_ERROR), txid);
	stun_put_error(&b, w->seen == 1 ? 401 : 438, NULL);
	stun_put(&b, STUN_REALM, "r", 1);
	stun_put(&b, STUN_NONCE, nonce, (uint16_t)strlen(nonce));
	return stun_finish(&b);
}

static void test_always_stale(void)
{
	struct world w;

	world_open(&w, NULL, &alice);
	w.mangle = always_stale;
	up(&w);
	CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->error[438] == 1, "438 at last");
	CHECK(fleet_counts(w.fleet)->transactions == 5, "after three more");
	world_close(&w);
}

/* STUN-115: PASSWORD-ALGORITHMS cut out of a 401 whose nonce speaks of it. */
static size_t cut_algorithms(struct world *w, uint8_t *octets, size_t len)
{
	struct stun_msg msg;
	struct stun_iter it;
	struct stun_attr attr;

	if (w->seen++ > 0 || !stun_open(octets, len, &msg))
		return len;
	it = stun_attrs(&msg);
	while (stun_next(&it, &attr))
		if (attr.type == STUN_PASSWORD_ALGORITHMS)
			octets[attr.value - 4 - octets] = 0xC0; /* something else, optional */
	return len;
}

static void test_bid_down(void)
{
	struct world w;

	world_open(&w, NULL, &alice);
	w.mangle = cut_algorithms;
	up(&w);
	world_run(&w, 400);
	CHECK(fleet_counts(w.fleet)->bid_down == 1 && fleet_counts(w.fleet)->under_way == 1,
	      "it is not taken");
	CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->ready == 1, "the next one is");
	world_close(&w);
}

/* TURN-238, STUN-119: forged answers are waited out. */
static unsigned forge;
enum { FORGE_BIT, FORGE_BARE_SUCCESS, FORGE_BARE_437, FORGE_BARE_400, FORGE_SHA1, FORGE_N };

static size_t forge_answer(struct world *w, uint8_t *octets, size_t len)
{
	struct stun_builder b;
	uint8_t txid[STUN_TXID_LEN];
	const struct endpoint relay = rig_at("192.0.2.99:50000");

	if (w->seen++ != 1) /* that of the first Allocate with credentials */
		return len;
	memcpy(txid, octets + 8, sizeof(txid));
	if (forge == FORGE_BIT) {
		octets[len - 1] ^= 1;
		return len;
	}
	stun_begin(&b, octets, 1024,
	           stun_type(TURN_ALLOCATE, forge == FORGE_BARE_437 || forge == FORGE_BARE_400
	                                            ? STUN_ERROR
	                                            : STUN_SUCCESS),
	           txid);
	if (forge == FORGE_BARE_437 || forge == FORGE_BARE_400) {
		stun_put_error(&b, forge == FORGE_BARE_437 ? 437 : 400, NULL);
		return stun_finish(&b);
	}
	stun_put_xor_addr(&b, TURN_XOR_RELAYED_ADDRESS, &relay);
	stun_put_u32(&b, TURN_LIFETIME, 600);
	if (forge == FORGE_SHA1)
		stun_put(&b, STUN_MESSAGE_INTEGRITY, "twenty octets of mac", 20);
	return stun_finish(&b);
}

static void test_forged(void)
{
	struct endpoint relayed;
	struct world w;

	for (forge = 0; forge < FORGE_N; forge++) {
		world_open(&w, NULL, &alice);
		w.mangle = forge_answer;
		up(&w);
		world_run(&w, 400);
		CHECK(fleet_counts(w.fleet)->unproven == 1, "it proves nothing");
		CHECK(!fleet_relayed(w.fleet, 0, &relayed), "and nothing is believed");
		CHECK(fleet_counts(w.fleet)->under_way == 1, "it goes on waiting");
		CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->ready == 1,
		      "the retransmission is answered");
		CHECK(fleet_relayed(w.fleet, 0, &relayed) && relayed.port >= 49152, "rightly");
		world_close(&w);
	}
}

/* Servers that answer errors bare: after the timeout, or at once where that is wanted. */
static size_t only_bare(struct world *w, uint8_t *octets, size_t len)
{
	struct stun_builder b;
	uint8_t txid[STUN_TXID_LEN];

	if (w->seen++ == 0)
		return len;
	memcpy(txid, octets + 8, sizeof(txid));
	stun_begin(&b, octets, 1024, stun_type(TURN_ALLOCATE, STUN_ERROR), txid);
	stun_put_error(&b, 486, NULL);
	return stun_finish(&b);
}

static void test_bare(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	for (unsigned i = 0; i < 2; i++) {
		cfg.bare_errors = i == 1;
		world_open(&w, NULL, &cfg);
		w.mangle = only_bare;
		up(&w);
		world_run(&w, 39000);
		CHECK(fleet_counts(w.fleet)->failed == i, "not before its time");
		world_run(&w, 2000);
		CHECK(fleet_counts(w.fleet)->error[486] == 1, "the code is known in the end");
		CHECK(fleet_counts(w.fleet)->failed == 1 && fleet_counts(w.fleet)->timeouts == 0,
		      "and is the reason");
		world_close(&w);
	}
}

/* A server that asks nobody who he is. */
static size_t grants(struct world *w, uint8_t *octets, size_t len)
{
	struct stun_builder b;
	uint8_t txid[STUN_TXID_LEN];
	const struct endpoint relay = rig_at("192.0.2.99:50000");
	const unsigned method = stun_method(be16_load(octets));

	(void)w;
	(void)len;
	memcpy(txid, octets + 8, sizeof(txid));
	stun_begin(&b, octets, 1024, stun_type(method, STUN_SUCCESS), txid);
	if (method == TURN_ALLOCATE) {
		stun_put_xor_addr(&b, TURN_XOR_RELAYED_ADDRESS, &relay);
		stun_put_u32(&b, TURN_LIFETIME, 600);
	}
	return stun_finish(&b);
}

static void test_userless(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.user = cfg.password = NULL;
	world_open(&w, NULL, &cfg);
	w.mangle = grants;
	up(&w);
	CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->ready == 1, "ready");
	CHECK(fleet_counts(w.fleet)->transactions == 2, "without a word");
	world_close(&w);

	world_open(&w, NULL, &alice);
	w.mangle = grants;
	up(&w);
	CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->ready == 0,
	      "who has a name wants proof");
	world_close(&w);
	CHECK(risen(&w, NULL, &cfg) == 0 && fleet_counts(w.fleet)->error[401] == 1,
	      "no name where one is asked for");
	world_close(&w);
}

/* A client that vanished finds its five-tuple taken (TURN-243). */
static void comes_back(enum fleet_mismatch rule, uint64_t after_ms, unsigned ready,
                       unsigned at_server)
{
	struct fleet_config cfg = alice;
	const struct fleet_counts *n;
	struct endpoint relayed;
	struct world w;

	cfg.clients = 10;
	cfg.mismatch = rule;
	CHECK(risen(&w, NULL, &cfg) == 10, "ready");
	n = fleet_counts(w.fleet);
	fleet_go(w.fleet, FLEET_VANISH, 0, 10, world_now_ns(&w));
	CHECK(n->ready == 0 && n->wanted == 0 && !fleet_relayed(w.fleet, 0, &relayed), "vanished");
	CHECK(fleet_next_ns(w.fleet) == UINT64_MAX, "without a word");
	world_run(&w, 30000);
	CHECK(turn_allocations(w.rig.srv) == 10, "the server does not know");
	up(&w);
	world_run(&w, after_ms);
	CHECK(n->ready == ready, "back");
	CHECK(n->error[437] == 10 - ready, "or refused");
	CHECK(turn_allocations(w.rig.srv) == at_server, "as the rule has it");
	world_close(&w);
}

static void test_come_back(void)
{
	comes_back(FLEET_MISMATCH_FAIL, 10000, 0, 10);
	comes_back(FLEET_MISMATCH_DELETE, 10000, 10, 10);
	comes_back(FLEET_MISMATCH_MOVE, 10000, 10, 20);
	comes_back(FLEET_MISMATCH_WAIT, 720000, 10, 10);
}

/* The server dies: allocations are lost, and told so. */
static void test_lost(void)
{
	struct fleet_config cfg = alice;
	const struct fleet_counts *n;
	struct world w;

	cfg.clients = 5;
	CHECK(risen(&w, NULL, &cfg) == 5, "ready");
	n = fleet_counts(w.fleet);
	w.dead = true;
	world_run(&w, 330000);
	CHECK(n->lost == 5 && n->ready == 0 && w.n_lost == 5, "lost");
	w.dead = false;
	up(&w);
	CHECK(world_settle(&w, 60000) && n->ready == 5, "they come back");
	CHECK(n->lost == 5, "the loss is remembered");

	struct turn_info info;
	CHECK(turn_list(w.rig.srv, 0, &info), "one to be cut");
	turn_delete(w.rig.srv, info.id, END_DELETED, w.rig.now_ms);
	rig_drain(&w.rig);
	world_run(&w, 600000);
	CHECK(n->lost == 6 && n->ready == 4 && n->error[437] == 1, "437: it is gone");
	world_close(&w);
}

/* Rate and window. */
static uint64_t started[64];

static bool note_start(struct world *w, const struct endpoint *from, const uint8_t *octets,
                       size_t len)
{
	(void)from;
	if (be16_load(octets) == TURN_ALLOCATE && len < 40 && w->seen < 64)
		started[w->seen++] = w->rig.now_ms;
	return true;
}

static void test_pace(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.clients = 50;
	cfg.rate = 100;
	world_open(&w, NULL, &cfg);
	w.watch = note_start;
	up(&w);
	CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->ready == 50, "ready");
	for (unsigned i = 0; i < 50; i++)
		CHECK(started[i] - started[0] == i * 10, "one each ten milliseconds");
	world_close(&w);

	cfg.rate = 0;
	cfg.window = 4;
	world_open(&w, NULL, &cfg);
	w.watch = note_start;
	w.delay_min_ms = w.delay_max_ms = 50;
	up(&w);
	world_run(&w, 100);
	CHECK(w.seen == 4, "four at once");
	for (unsigned i = 0; i < 100; i++) {
		world_run(&w, 37);
		CHECK(fleet_counts(w.fleet)->under_way <= 4, "never more");
	}
	CHECK(world_settle(&w, 60000) && fleet_counts(w.fleet)->ready == 50, "ready");
	world_close(&w);
}

/* A peer that is another client's relayed address is waited for, outside the window. */
static struct endpoint neighbour(void *arg, uint32_t client, uint32_t peer)
{
	const struct world *w = arg;
	struct endpoint at = { .port = 0 };

	(void)peer;
	if (!fleet_relayed(w->fleet, client ^ 1, &at))
		at.port = 0;
	return at;
}

static void test_neighbours(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.clients = 20;
	cfg.window = 1;
	cfg.peer_at = neighbour;
	CHECK(risen(&w, NULL, &cfg) == 20, "a window of one does not stand in the way");
	world_close(&w);
}

/* Down while under way: nothing is left, whatever was in flight. */
static void test_turn_back(void)
{
	struct fleet_config cfg = alice;
	struct world w;

	cfg.clients = 60;
	cfg.peers = 4;
	for (unsigned ms = 1; ms < 60; ms += 2) {
		world_open(&w, NULL, &cfg);
		rig_seed(ms);
		w.delay_min_ms = 3;
		w.delay_max_ms = 5;
		up(&w);
		world_run(&w, ms);
		down(&w);
		CHECK(fleet_counts(w.fleet)->wanted == 0, "nobody wants");
		CHECK(world_settle(&w, 60000), "it settles");
		world_run(&w, 100);
		CHECK(turn_allocations(w.rig.srv) == 0, "nothing is left");
		CHECK(fleet_counts(w.fleet)->ready == 0 && fleet_counts(w.fleet)->failed == 0,
		      "nobody counts");
		world_close(&w);
	}
}

/* Rest is remembered: a short one costs a binding, a long one the allocation. */
static void test_rest(void)
{
	const struct fleet_counts *n;
	struct world w;

	CHECK(risen(&w, NULL, &alice) == 1, "ready");
	n = fleet_counts(w.fleet);
	fleet_go(w.fleet, FLEET_REST, 0, 1, world_now_ns(&w));
	CHECK(n->ready == 0 && fleet_next_ns(w.fleet) == UINT64_MAX, "at rest");
	world_run(&w, 100000);
	up(&w);
	CHECK(world_settle(&w, 60000) && n->ready == 1 && n->allocated == 1, "goes on");
	fleet_go(w.fleet, FLEET_REST, 0, 1, world_now_ns(&w));
	world_run(&w, 700000);
	up(&w);
	CHECK(world_settle(&w, 60000) && n->ready == 1 && n->allocated == 2, "begins anew");
	world_close(&w);
}

static void test_churn(void)
{
	struct fleet_config cfg = alice;
	const struct fleet_counts *n;
	struct world w;
	unsigned asked = 0;

	cfg.clients = 10;
	cfg.peers = 2;
	world_open(&w, NULL, &cfg);
	CHECK(!fleet_churn(w.fleet, FLEET_REBIND, 0, world_now_ns(&w)), "nobody is ready");
	up(&w);
	CHECK(world_settle(&w, 60000), "ready");
	n = fleet_counts(w.fleet);
	CHECK(!fleet_churn(w.fleet, FLEET_PERMIT, 0, world_now_ns(&w)), "a pool of none");
	for (unsigned i = 0; i < 3000; i++) {
		asked += fleet_churn(w.fleet, (enum fleet_churn)(i % 3), 20, world_now_ns(&w));
		world_run(&w, 100);
	}
	world_run(&w, 1000);
	/* Where all renew at the same moment there is nobody to do it. */
	CHECK(asked >= 2990 && n->churned == asked, "all were done");
	CHECK(n->ready == 10 && n->lost == 0, "and cost nobody anything");
	for (uint32_t i = 0; i < 10; i++)
		for (uint32_t p = 0; p < 2; p++)
			CHECK(fleet_channel(w.fleet, i, p) == 0x4000 + p, "channels stay");
	world_close(&w);
}

/* The same seed, the same octets. */
static uint64_t digest;

static bool note_octets(struct world *w, const struct endpoint *from, const uint8_t *octets,
                        size_t len)
{
	(void)w;
	(void)from;
	for (size_t i = 0; i < len; i++)
		digest = (digest ^ octets[i]) * 1099511628211u;
	return true;
}

static uint64_t run_digest(uint64_t seed)
{
	struct fleet_config cfg = alice;
	struct world w;

	digest = 0;
	cfg.clients = 30;
	cfg.seed = seed;
	world_open(&w, NULL, &cfg);
	w.lost = 200;
	w.delay_max_ms = 40;
	w.watch = note_octets;
	up(&w);
	world_settle(&w, 600000);
	world_close(&w);
	return digest;
}

static void test_deterministic(void)
{
	const uint64_t once = run_digest(5);

	CHECK(once == run_digest(5), "the same again");
	CHECK(once != run_digest(6), "another one is another");
}

/* What is not an answer of ours is nobody's; answers to nothing are strays. */
static void test_strangers(void)
{
	struct world w;
	struct endpoint at;
	uint8_t txid[STUN_TXID_LEN], buf[64];
	struct fleet_datagram out[1];
	struct stun_builder b;

	world_open(&w, NULL, &alice);
	at = w.cfg.client_at(&w, 0);
	up(&w);
	CHECK(fleet_poll(w.fleet, world_now_ns(&w), out, 1) == 1, "a request");
	CHECK(fleet_poll(w.fleet, world_now_ns(&w), out, 0) == 0, "no room, no datagram");
	memcpy(txid, out[0].octets + 8, sizeof(txid));
	for (unsigned i = 0; i < 6; i++) {
		struct endpoint to = at;
		uint8_t id[STUN_TXID_LEN], *copy;
		bool ours;

		memcpy(id, txid, sizeof(id));
		if (i == 0)
			id[0] ^= 1; /* another tag */
		else if (i == 1)
			id[4] ^= 1; /* no such client */
		else if (i == 2)
			to.port++;
		else if (i == 4)
			id[11] ^= 1; /* another transaction */
		stun_begin(&b, buf, sizeof(buf),
		           stun_type(i == 5 ? TURN_REFRESH : TURN_ALLOCATE,
		                     i == 3 ? STUN_REQUEST : STUN_SUCCESS),
		           id);
		copy = copy_exact(buf, stun_finish(&b));
		ours = fleet_input(w.fleet, world_now_ns(&w), &to, copy, stun_finish(&b));
		free(copy);
		CHECK(ours == (i >= 4), "whose it is");
	}
	CHECK(fleet_counts(w.fleet)->stray == 2, "two strays");
	CHECK(!fleet_input(w.fleet, world_now_ns(&w), &at, "", 0), "nothing at all");
	world_close(&w);
}

static void test_too_long(void)
{
	struct fleet_config cfg = alice;
	char name[400];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cfg.user = name;
	CHECK(fleet_new(&cfg) == NULL, "refused");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "one client", test_one },
		{ "retransmission times (STUN-120, TURN-234)", test_retransmission },
		{ "retransmissions are identical (STUN-009)", test_identical },
		{ "loss, duplicates, reordering", test_weather },
		{ "kept for hours (TURN-246, TURN-248, TURN-249)", test_kept },
		{ "several peers in one request (TURN-248)", test_batches },
		{ "IPv6", test_ipv6 },
		{ "wrong password (STUN-116)", test_wrong_password },
		{ "quota and capacity (TURN-244)", test_quota },
		{ "forbidden peers", test_forbidden },
		{ "algorithms and anonymity (STUN-114, STUN-117)", test_algorithms },
		{ "names by number, minted passwords", test_names },
		{ "stale nonces (STUN-118)", test_stale },
		{ "always stale (TURN-260)", test_always_stale },
		{ "bid down (STUN-115)", test_bid_down },
		{ "forged answers (TURN-238, STUN-119)", test_forged },
		{ "bare errors", test_bare },
		{ "userless", test_userless },
		{ "vanish and come back (TURN-243)", test_come_back },
		{ "lost", test_lost },
		{ "rate and window", test_pace },
		{ "peers that are clients", test_neighbours },
		{ "down while under way", test_turn_back },
		{ "rest", test_rest },
		{ "churn", test_churn },
		{ "deterministic", test_deterministic },
		{ "strangers", test_strangers },
		{ "too long a name", test_too_long },
		CU_TEST_INFO_NULL,
	};

	return run_suite("fleet", tests);
}
