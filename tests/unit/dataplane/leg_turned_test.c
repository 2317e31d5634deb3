/*
 * Legs whose peers are relayed addresses of our own, and clients whose peers are legs: everything
 * turns round inside (TURN-211 to TURN-215, ICE-168). Mirrors dataplane/slow_leg.c.
 */
#include <arpa/inet.h>

#include "tests/unit/dataplane/leg_bed.h"
#include "wire/attr.h"
#include "wire/check.h"
#include "wire/stun_build.h"

#define CLIENT "198.18.0.9:40000"
#define OTHER "198.18.0.8:41000"
#define SERVER "198.18.0.1:3478"
#define RELAYED "198.18.0.1:50010" /* of CLIENT */
#define PARTNER "198.18.0.1:50011" /* of OTHER */

enum { CHANNEL = 0x4001 };

static const uint8_t rtp[100] = { 0x80, 1, 2, 3 };

static void peer_is(struct leg_wanted *w, const char *peer)
{
	const struct endpoint e = bed_ep(peer);

	memcpy(w->c.peer_ip, e.addr.ip, 16);
	w->c.peer_port = e.port;
}

static void allocate(const char *client, uint16_t relay, uint16_t port, const char *peer,
                     bool channel)
{
	const struct cmd_flow a = bed_allocation(client, relay, port);
	const struct cmd_flow p = bed_permission(client, peer);
	const struct cmd_flow c = bed_channel(client, CHANNEL, peer);

	bed_set(&a);
	bed_set(&p);
	if (channel)
		bed_set(&c);
}

/* What came out: one datagram from there to there; its payload. */
static bool one(const char *from, const char *to, uint8_t *payload, uint32_t *len)
{
	struct rte_mbuf *m[BED_REPLIES];
	const unsigned n = bed_sent(m);
	bool good = n == 1;

	*len = 0;
	if (good) {
		const struct bed_seen s = bed_see(m[0], from);
		const struct endpoint src = bed_ep(from), dst = bed_ep(to);

		good = endpoint_equal(&s.src, &src) && endpoint_equal(&s.dst, &dst);
		*len = s.len;
		memcpy(payload, s.data, s.len);
	}
	bed_free(m, n);
	return good;
}

static bool none(void)
{
	struct rte_mbuf *m[BED_REPLIES];
	const unsigned n = bed_sent(m);

	bed_free(m, n);
	return n == 0;
}

static bool media_out(const char *from, const char *to)
{
	uint8_t got[2048];
	uint32_t len;

	return one(from, to, got, &len) && len == sizeof(rtp) && memcmp(got, rtp, len) == 0;
}

/* The same as ChannelData. */
static bool channel_out(const char *client, const void *octets, size_t want)
{
	uint8_t got[2048];
	uint32_t len;

	return one(SERVER, client, got, &len) && len >= CHANNEL_HDR_LEN + want &&
	       be16_load(got) == CHANNEL && be16_load(got + 2) == want &&
	       memcmp(got + CHANNEL_HDR_LEN, octets, want) == 0;
}

static void by_channel(const char *client, const void *data, uint32_t len)
{
	uint8_t d[2048];

	channel_put(d, CHANNEL, (uint16_t)len);
	memcpy(d + CHANNEL_HDR_LEN, data, len);
	leg_put(client, SERVER, d, CHANNEL_HDR_LEN + len);
}

static void by_send(const char *client, const char *peer, const void *data, uint32_t len)
{
	static const uint8_t txid[12] = { 9 };
	const struct endpoint e = bed_ep(peer);
	struct stun_builder b;
	uint8_t d[2048];

	stun_begin(&b, d, sizeof(d), stun_type(TURN_SEND, STUN_INDICATION), txid);
	stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, &e);
	stun_put(&b, TURN_DATA_ATTR, data, (uint16_t)len);
	leg_put(client, SERVER, d, (uint32_t)stun_finish(&b));
}

static bool punted(const uint8_t *octets, uint32_t len, const char *from, uint16_t port)
{
	alignas(8) uint8_t body[RING_RECORD_MAX];
	const struct punt *const p = (const struct punt *)(const void *)body;
	const struct endpoint f = bed_ep(from);
	uint16_t kind;
	int n = bed_punt(&kind, body, sizeof(body));

	if (n < 0) /* of the service turn */
		n = bed_event(&kind, body, sizeof(body));
	return n == (int)(sizeof(*p) + len) && kind == PUNT_ICE && p->local_kind == LOCAL_RELAY &&
	       p->local_port == port && p->remote_port == f.port &&
	       memcmp(p->remote_ip, f.addr.ip, 16) == 0 && memcmp(p + 1, octets, len) == 0;
}

/* Every frame received has one outcome. */
static bool closes(unsigned received)
{
	uint64_t sum = 0;
#define ADD(id, name, help) sum += bed_count(STAT_##id);
	STATS_OUTCOME(ADD)
	STATS_DROP(ADD)
#undef ADD
	return sum == received;
}

/* A's peer is a client of ours, B's is on the wire. */
static void begin(bool channel)
{
	struct leg_wanted a, b;

	leg_begin(&a, &b);
	allocate(CLIENT, 0, 50010, leg_at[A], channel);
	peer_is(&a, RELAYED);
	leg_set_ok(&a);
	CHECK(flow_leg_at(bed.dp.flows, 0, htons(50000))->flags & ROW_FLAG_TURNED, "turned");
	bed_zero();
}

static void test_media(void)
{
	uint8_t got[2048];
	uint32_t len;

	begin(true);
	by_channel(CLIENT, rtp, sizeof(rtp));
	CHECK(media_out(leg_at[B], leg_peer[B]) && bed_count(STAT_LEG_TO_LEG) == 1, "out");
	leg_put(leg_peer[B], leg_at[B], rtp, sizeof(rtp));
	CHECK(channel_out(CLIENT, rtp, sizeof(rtp)) && bed_count(STAT_LEG_TO_LEG) == 2, "and in");
	by_send(CLIENT, leg_at[A], rtp, sizeof(rtp));
	CHECK(media_out(leg_at[B], leg_peer[B]), "by Send");
	CHECK(closes(3), "accounts");
	const struct row_leg *const a = flow_row_leg(flow_leg_at(bed.dp.flows, 0, htons(50000)));

	CHECK(a->from.packets == 2 && a->from.octets == 200 && a->row.counts.packets == 1 &&
	              a->row.counts.octets == 100,
	      "counted once, both ways");
	bed_stop();

	begin(false);
	leg_put(leg_peer[B], leg_at[B], rtp, sizeof(rtp));
	CHECK(one(SERVER, CLIENT, got, &len) && be16_load(got) == 0x0017 && closes(1),
	      "a Data indication");
	bed_stop();
}

/* What has no permission, no check, no life left. */
static void test_refused(void)
{
	struct leg_wanted a, b;

	leg_begin(&a, &b);
	allocate(CLIENT, 0, 50010, leg_at[A], true);
	by_channel(CLIENT, rtp, sizeof(rtp));
	CHECK(none() && bed_count(STAT_LEG_UNKNOWN_SOURCE) == 1, "no good check came from there");
	peer_is(&a, PARTNER);
	leg_set_ok(&a);
	leg_put(leg_peer[B], leg_at[B], rtp, sizeof(rtp));
	CHECK(none() && bed_count(STAT_RELAY_NO_ALLOCATION) == 1, "nobody has that port");
	const struct cmd_flow alone = bed_allocation(OTHER, 0, 50011);

	bed_set(&alone);
	leg_put(leg_peer[B], leg_at[B], rtp, sizeof(rtp));
	CHECK(none() && bed_count(STAT_NO_PERMISSION) == 1, "who has it does not know us");
	a.c.deadline_s = bed.worker[0].now_s;
	leg_set_ok(&a);
	leg_put(leg_peer[B], leg_at[B], rtp, sizeof(rtp));
	CHECK(none() && bed_count(STAT_LEG_NO_CONSENT) == 1 &&
	              bed_count(STAT_LEG_NOT_CONNECTED) == 1,
	      "no consent (ICE-194)");
	CHECK(closes(4), "accounts");
	bed_stop();
}

static void test_checks(void)
{
	const struct crypto_hmac_sha1 key = leg_key_for(LEG_PWD);
	const struct endpoint relayed = bed_ep(RELAYED);
	uint8_t q[512], want[CHECK_ANSWER_MAX], bad[600];
	uint32_t len;
	size_t n;

	begin(true);
	len = leg_check(q, "leg0:x", LEG_PWD, CHECK_USE);
	n = check_answer(q + 8, &relayed, &key, want);
	by_channel(CLIENT, q, len);
	CHECK(channel_out(CLIENT, want, n) && bed_count(STAT_LEG_CHECK) == 1, "answered");
	by_send(CLIENT, leg_at[A], q, len);
	CHECK(channel_out(CLIENT, want, n) && bed_count(STAT_LEG_CHECK) == 2, "by Send, too");
	len = leg_check(q, "leg0:x", LEG_PWD, CHECK_NO_PRIORITY);
	by_channel(CLIENT, q, len);
	CHECK(none() && punted(q, len, RELAYED, 50000), "needs a decision");
	len = leg_check(q, "leg0:x", "wrong", 0);
	by_channel(CLIENT, q, len);
	CHECK(none() && bed_count(STAT_LEG_UNAUTHENTICATED) == 1, "unauthenticated");
	/* DEMUX-009: the sum of what it came in. */
	len = leg_check(q, "leg0:x", LEG_PWD, 0);
	channel_put(bad, CHANNEL, (uint16_t)len);
	memcpy(bad + CHANNEL_HDR_LEN, q, len);

	static uint8_t f[BED_FRAME];
	const uint32_t octets = bed_udp(f, CLIENT, SERVER, bad, CHANNEL_HDR_LEN + len);

	f[14 + 20 + 6] ^= 0x55;
	struct rte_mbuf *m = bed_mbuf(f, octets);

	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	CHECK(none() && bed_count(STAT_UDP_CHECKSUM) == 1, "a wrong sum");
	CHECK(closes(5), "accounts");
	bed_stop();
}

/* Both ends of a session are clients of ours: two turns. And one that others know otherwise. */
static void test_twice(void)
{
	struct leg_wanted a, b;

	leg_begin(&a, &b);
	allocate(CLIENT, 0, 50010, leg_at[A], true);
	allocate(OTHER, 2, 50011, leg_at[B], true);
	peer_is(&a, RELAYED);
	peer_is(&b, "203.0.113.2:50011");
	leg_set_ok(&a);
	leg_set_ok(&b);
	bed_zero();
	by_channel(CLIENT, rtp, sizeof(rtp));
	CHECK(channel_out(OTHER, rtp, sizeof(rtp)), "there");
	by_channel(OTHER, rtp, sizeof(rtp));
	CHECK(channel_out(CLIENT, rtp, sizeof(rtp)), "and back");
	CHECK(bed_count(STAT_LEG_TO_LEG) == 2 && closes(2), "accounts");
	bed_stop();
}

/* Legs that have each other, with listeners: it ends, and not with all there is. */
static void test_round_and_round(void)
{
	struct leg_wanted w[3];
	struct rte_mbuf *m[BED_REPLIES];

	bed_start(NULL);
	for (unsigned i = 0; i < 3; i++) {
		w[i] = leg_make(i, true, 3, (unsigned[]){ A, B, C });
		if (i < 2)
			peer_is(&w[i], leg_at[!i]);
		leg_set_ok(&w[i]);
	}
	bed_zero();
	leg_put(leg_peer[C], leg_at[C], rtp, sizeof(rtp));
	const unsigned n = bed_sent(m);

	CHECK(n > 1 && n <= 1 + 2 + 4 + 8 + 16, "bounded by its turns");
	CHECK(bed_count(STAT_LEG_TO_LEG) == 1 && closes(1), "one outcome");
	bed_free(m, n);
	bed_stop();

	/* Of 63 that each go to all of them only so many copies are made. */
	bed_start(NULL);
	for (unsigned i = 0; i < LEG_TO_MAX; i++) {
		struct leg_wanted l = leg_make(A, true, 0, NULL);

		l.c.port = (uint16_t)(50000 + i);
		if (i > 0)
			peer_is(&l, "198.18.0.1:50000");
		l.c.source[0].port = 50001; /* as which each comes to the first */
		memcpy(l.c.source[0].ip, bed_ep("198.18.0.1:1").addr.ip, 16);
		l.c.n_to = LEG_TO_MAX;
		for (unsigned k = 0; k < LEG_TO_MAX; k++)
			l.to[k] = (struct cmd_leg_to){ 0, (uint16_t)(50000 + k) };
		leg_set_ok(&l);
	}
	bed_zero();
	leg_put(leg_peer[A], leg_at[A], rtp, sizeof(rtp));
	const unsigned all = bed_sent(m);

	CHECK(all >= 1 && all <= 2 * LEG_TO_MAX && bed_count(STAT_LEG_COPY_LOST) > 0, "bounded");
	CHECK(closes(1), "one outcome");
	bed_free(m, all);
	bed_stop();
}

static void transmit(uint16_t relay, uint16_t port, const char *to, const void *data, uint32_t len)
{
	const struct endpoint e = bed_ep(to);
	struct {
		struct cmd_transmit c;
		uint8_t octets[512];
	} t = { .c = { .source_kind = LOCAL_RELAY,
		       .source = relay,
		       .source_port = port,
		       .dest_port = e.port,
		       .octets = len } };

	memcpy(t.c.dest_ip, e.addr.ip, 16);
	memcpy(t.octets, data, len);
	CHECK(bed_command(CMD_TRANSMIT, &t, (uint32_t)sizeof(t.c) + len), "room");
	bed_turn();
}

/* What control sends from a leg to one of ours. */
static void test_transmit(void)
{
	const struct crypto_hmac_sha1 key = leg_key_for(LEG_PWD);
	uint8_t q[512], answer[CHECK_ANSWER_MAX];
	struct leg_wanted c;

	begin(true);
	const uint32_t len = leg_check(q, "them:leg0", LEG_PWD, 0);

	transmit(0, 50000, RELAYED, q, len);
	CHECK(channel_out(CLIENT, q, len) && bed_count(STAT_TRANSMITTED) == 1, "a check");
	/* Its answer comes to the leg, a full one, and to control. */
	c = leg_make(C, true, 0, NULL);
	c.c.flags = LEG_ANSWERS;
	peer_is(&c, leg_at[A]);
	leg_set_ok(&c);
	const struct endpoint from = bed_ep(leg_at[C]);
	const size_t n = check_answer(q + 8, &from, &key, answer);

	transmit(0, 50000, leg_at[C], answer, (uint32_t)n);
	CHECK(none() && punted(answer, (uint32_t)n, leg_at[A], 50002), "leg to leg");
	/* A check of another leg that it answers by itself. */
	const uint32_t again = leg_check(q, "leg2:leg0", LEG_PWD, 0);
	struct leg_wanted a = leg_make(A, true, 1, &(unsigned){ B });

	a.c.flags = LEG_ANSWERS;
	peer_is(&a, leg_at[C]);
	leg_set_ok(&a);
	transmit(0, 50000, leg_at[C], q, again);
	const struct endpoint asker = bed_ep(leg_at[A]);
	const size_t m = check_answer(q + 8, &asker, &key, answer);

	CHECK(none() && punted(answer, (uint32_t)m, leg_at[C], 50000), "answered by a leg");
	/* What is ours and no relayed address is nobody's peer, and no reason to part. */
	transmit(0, 50000, SERVER, q, again);
	CHECK(none() && bed_count(STAT_PEER_DENIED) == 1 && bed.disconnects == 0, "a listener");
	transmit(0, 50000, "198.18.0.1:50020", q, again);
	CHECK(none() && bed_count(STAT_RELAY_NO_ALLOCATION) == 1, "nobody there");
	bed_stop();
}

/* Rows of both kinds of peers change into each other, and keep no next hop that is not theirs. */
static void test_rows(void)
{
	struct leg_wanted a, b;

	leg_begin(&a, &b);
	const unsigned uses = bed.uses[BED_WIRE];

	peer_is(&a, RELAYED);
	const uint32_t row = leg_set_ok(&a);

	for (unsigned i = 0; i < 3; i++)
		bed_turn();
	CHECK(bed.uses[BED_WIRE] == uses - 1, "given back");
	CHECK(leg_set_ok(&a) == row, "the same");
	peer_is(&a, leg_peer[A]);
	CHECK(leg_set_ok(&a) != row, "another");
	for (unsigned i = 0; i < 3; i++)
		bed_turn();
	CHECK(bed.uses[BED_WIRE] == uses, "and taken again");
	bed_stop();
}

/* What takes the long way is counted once. */
static void test_long_way(void)
{
	static uint8_t big[1460] = { 0x80 };
	struct rte_mbuf *m[BED_REPLIES];
	struct leg_wanted a, b;

	leg_begin(&a, &b);
	peer_is(&b, "198.18.1.77:5001"); /* an MTU of 1280 */
	leg_set_ok(&b);
	bed_zero();
	leg_put(leg_peer[A], leg_at[A], big, sizeof(big));
	const unsigned n = bed_sent(m);
	const struct row_leg *const r = flow_row_leg(flow_leg_at(bed.dp.flows, 0, htons(50000)));

	CHECK(n == 2 && r->from.packets + r->from_other.packets == 1 &&
	              bed_count(STAT_LEG_TO_LEG) == 1 && closes(1),
	      "in fragments");
	bed_free(m, n);
	bed_stop();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "media of a client", test_media },
		{ "refused", test_refused },
		{ "checks of a client", test_checks },
		{ "twice", test_twice },
		{ "round and round", test_round_and_round },
		{ "transmitted", test_transmit },
		{ "rows", test_rows },
		{ "the long way", test_long_way },
		CU_TEST_INFO_NULL,
	};

	return run_suite("dataplane/leg_turned", tests);
}
