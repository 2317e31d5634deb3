/* Legs of ICE sessions: rows, media to one and to several, checks (ICE-168, ICE-191, ICE-194). */
#include "dataplane/leg.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "crypto.h"
#include "tests/unit/dataplane/leg_bed.h"
#include "wire/check.h"
#include "wire/crc.h"
#include "wire/integrity.h"
#include "wire/stun_build.h"

/* What left, in order: n frames from leg to its peer with that payload. */
static bool came(unsigned n, const unsigned *to, const void *data, uint32_t len)
{
	struct rte_mbuf *m[BED_REPLIES];
	const unsigned sent = bed_sent(m);
	bool good = sent == n;

	for (unsigned i = 0; i < sent && i < n; i++) {
		CHECK(rte_pktmbuf_linearize(m[i]) == 0, "one segment");
		const struct bed_seen s = bed_see(m[i], "media");
		const struct endpoint src = bed_ep(leg_at[to[i]]), dst = bed_ep(leg_peer[to[i]]);

		good = good && endpoint_equal(&s.src, &src) && endpoint_equal(&s.dst, &dst) &&
		       s.len == len && memcmp(s.data, data, len) == 0;
	}
	bed_free(m, sent);
	return good;
}

static const struct row_leg *row_of(uint32_t row)
{
	return flow_row_leg(flow_row(bed.dp.flows, row));
}

/* --- media --- */

static void test_media(void)
{
	static const uint8_t rtp[100] = { 0x80, 1, 2, 3 }, dtls[50] = { 22, 0xFE, 0xFD },
			     empty[1] = { 0 };
	struct leg_wanted a, b;

	leg_begin(&a, &b);
	leg_put(leg_peer[A], leg_at[A], rtp, sizeof(rtp));
	CHECK(came(1, &(unsigned){ B }, rtp, sizeof(rtp)), "to b");
	leg_put(leg_peer[B], leg_at[B], dtls, sizeof(dtls));
	CHECK(came(1, &(unsigned){ A }, dtls, sizeof(dtls)), "back");
	leg_put(leg_peer[B], leg_at[B], empty, 0);
	CHECK(came(1, &(unsigned){ A }, empty, 0), "nothing in it");
	CHECK(bed_count(STAT_LEG_TO_LEG) == 3, "three outcomes");
	const struct row_leg *const r = row_of(~*flow_port(bed.dp.flows, 0, htons(50000)));

	CHECK(r->from.packets == 1 && r->from.octets == 100 && r->row.counts.packets == 2 &&
	              r->row.counts.octets == 50,
	      "counted both ways");
	/* ICE-191: from elsewhere only what had a good check. */
	leg_put("198.18.1.5:5999", leg_at[A], rtp, sizeof(rtp));
	CHECK(came(0, NULL, NULL, 0) && bed_count(STAT_LEG_UNKNOWN_SOURCE) == 1, "a stranger");
	const struct endpoint also = bed_ep("198.18.1.5:5999");

	memcpy(a.c.source[2].ip, also.addr.ip, 16);
	a.c.source[2].port = also.port;
	leg_set_ok(&a);
	leg_put("198.18.1.5:5999", leg_at[A], rtp, sizeof(rtp));
	CHECK(came(1, &(unsigned){ B }, rtp, sizeof(rtp)), "no stranger any more");
	bed_stop();
}

/* ICE-164, ICE-194: nothing leaves without a path, or after its consent. */
static void test_no_path(void)
{
	static const uint8_t rtp[100] = { 0x80 };
	struct leg_wanted a, b;
	struct punt_row ev;

	leg_begin(&a, &b);
	b.c.deadline_s = bed.worker[0].now_s;
	CHECK(leg_set(&b, &ev) == ROW_OK, "consent ends");
	leg_put(leg_peer[A], leg_at[A], rtp, sizeof(rtp));
	CHECK(came(0, NULL, NULL, 0) && bed_count(STAT_LEG_NO_CONSENT) == 1 &&
	              bed_count(STAT_LEG_NOT_CONNECTED) == 1,
	      "no consent");
	b = leg_make(B, false, 1, &(unsigned){ A });
	CHECK(leg_set(&b, &ev) == ROW_OK, "no path yet");
	leg_put(leg_peer[A], leg_at[A], rtp, sizeof(rtp));
	CHECK(came(0, NULL, NULL, 0) && bed_count(STAT_LEG_NOT_CONNECTED) == 2, "not connected");
	CHECK(bed_command(CMD_LEG_DELETE, &b.c, sizeof(b.c)), "room");
	bed_turn();
	leg_put(leg_peer[A], leg_at[A], rtp, sizeof(rtp));
	CHECK(came(0, NULL, NULL, 0) && bed_count(STAT_LEG_NOT_CONNECTED) == 3, "gone");
	leg_put(leg_peer[B], leg_at[B], rtp, sizeof(rtp));
	CHECK(bed_count(STAT_RELAY_NO_ALLOCATION) == 1, "no leg there");
	bed_stop();
}

/* One to many, both families among them; sizes on either side of where copies become clones. */
static void test_fan(void)
{
	static const uint32_t sizes[] = { 0, 1, 100, 255, 256, 257, 1000, 1400 };
	static uint8_t rtp[1400] = { 0x80 };

	bed_start(NULL);
	for (unsigned i = 4; i < sizeof(rtp); i++)
		rtp[i] = (uint8_t)(i * 3);
	for (unsigned i = 0; i < LEGS; i++) {
		unsigned to[LEGS], n = 0;

		for (unsigned k = 0; k < LEGS; k++)
			if (k != i)
				to[n++] = k;
		const struct leg_wanted w = leg_make(i, true, n, to);

		leg_set_ok(&w);
	}
	for (unsigned segments = 0; segments < 2; segments++) {
		bed.port.segments = segments;
		for (unsigned i = 0; i < RTE_DIM(sizes); i++) {
			const uint32_t len = sizes[i] < 1232 ? sizes[i] : 1232;

			bed_zero();
			leg_put(leg_peer[A], leg_at[A], rtp, len);
			CHECK(came(3, (unsigned[]){ B, C, SIX }, rtp, len), "from a");
			CHECK(bed_count(STAT_LEG_TO_LEG) == 1 && bed_count(STAT_LEG_COPY) == 2,
			      "one outcome, two copies");
			leg_put(leg_peer[SIX], leg_at[SIX], rtp, len);
			CHECK(came(3, (unsigned[]){ A, B, C }, rtp, len), "from IPv6");
		}
	}
	/* Too large for one of them: all the long way, in fragments where need be. */
	bed_zero();
	leg_put(leg_peer[A], leg_at[A], rtp, sizeof(rtp));
	struct rte_mbuf *m[BED_REPLIES];
	const unsigned n = bed_sent(m);

	CHECK(n == 4 && bed_count(STAT_LEG_TO_LEG) == 1 && bed_count(STAT_LEG_COPY) == 2 &&
	              bed_count(STAT_FRAGMENTED) == 1,
	      "fragments to IPv6");
	bed_free(m, n);
	bed_stop();
}

/* --- checks --- */

/* The one frame that left is the answer that control would give, octet for octet. */
static bool answered(const uint8_t *request, const char *from, const char *to)
{
	struct rte_mbuf *m[BED_REPLIES];
	uint8_t want[CHECK_ANSWER_MAX];
	const struct endpoint f = bed_ep(from), t = bed_ep(to);
	const struct crypto_hmac_sha1 key = leg_key_for(LEG_PWD);
	const unsigned n = bed_sent(m);
	const size_t len = check_answer(request + 8, &f, &key, want);
	bool good = n == 1;

	if (n) {
		const struct bed_seen s = bed_see(m[0], "answer");

		good = good && endpoint_equal(&s.src, &t) && endpoint_equal(&s.dst, &f) &&
		       s.len == len && memcmp(s.data, want, len) == 0;
	}
	bed_free(m, n);
	return good;
}

static bool punted(const uint8_t *octets, uint32_t len, const char *from, uint16_t relay,
                   uint16_t port)
{
	alignas(8) uint8_t body[RING_RECORD_MAX];
	const struct endpoint f = bed_ep(from);
	uint16_t kind;
	const int n = bed_punt(&kind, body, sizeof(body));
	const struct punt *const p = (const struct punt *)(const void *)body;

	return n == (int)(sizeof(*p) + len) && kind == PUNT_ICE && p->local_kind == LOCAL_RELAY &&
	       p->local == relay && p->local_port == port && p->remote_port == f.port &&
	       memcmp(p->remote_ip, f.addr.ip, 16) == 0 && memcmp(p + 1, octets, len) == 0;
}

static void test_answers(void)
{
	uint8_t q[512];
	uint32_t len;
	struct leg_wanted a, b;

	leg_begin(&a, &b);
	len = leg_check(q, "leg0:them", LEG_PWD, 0);
	leg_put(leg_peer[A], leg_at[A], q, len);
	CHECK(answered(q, leg_peer[A], leg_at[A]) && bed_count(STAT_LEG_CHECK) == 1, "consent");
	len = leg_check(q, "leg0:them", LEG_PWD, CHECK_USE);
	leg_put(leg_peer[A], leg_at[A], q, len);
	CHECK(answered(q, leg_peer[A], leg_at[A]), "the selected peer nominates again");
	const struct leg_wanted six = leg_make(SIX, true, 0, NULL);

	leg_set_ok(&six);
	len = leg_check(q, "leg3:them", LEG_PWD, 0);
	leg_put(leg_peer[SIX], leg_at[SIX], q, len);
	CHECK(answered(q, leg_peer[SIX], leg_at[SIX]), "IPv6");
	/* A known source may ask, and not nominate. */
	const struct endpoint also = bed_ep("198.18.1.5:5999");

	memcpy(a.c.source[0].ip, also.addr.ip, 16);
	a.c.source[0].port = also.port;
	leg_set_ok(&a);
	len = leg_check(q, "leg0:them", LEG_PWD, 0);
	leg_put("198.18.1.5:5999", leg_at[A], q, len);
	CHECK(answered(q, "198.18.1.5:5999", leg_at[A]), "a known source");
	len = leg_check(q, "leg0:them", LEG_PWD, CHECK_USE);
	leg_put("198.18.1.5:5999", leg_at[A], q, len);
	CHECK(punted(q, len, "198.18.1.5:5999", 0, 50000), "which nominates");
	/* The generation before a restart. */
	a.c.key[1] = a.c.key[0];
	memcpy(a.c.key[0].ufrag, "new!", 4);
	leg_set_ok(&a);
	len = leg_check(q, "leg0:them", LEG_PWD, 0);
	leg_put(leg_peer[A], leg_at[A], q, len);
	CHECK(answered(q, leg_peer[A], leg_at[A]), "the generation before");
	len = leg_check(q, "new!:them", LEG_PWD, 0);
	leg_put(leg_peer[A], leg_at[A], q, len);
	CHECK(answered(q, leg_peer[A], leg_at[A]), "and that of now");
	bed_stop();
}

static void test_decisions(void)
{
	static const struct {
		const char *from, *name, *pwd;
		unsigned how, flags;
		enum stat_id outcome;
		const char *what;
	} cases[] = {
		{ "198.18.1.5:5999", "leg0:x", LEG_PWD, 0, LEG_ANSWERS, STAT_PUNTED,
		  "unknown source" },
		{ "198.18.1.5:5000", "leg0:x", LEG_PWD, 0, 0, STAT_PUNTED,
		  "control wants them all" },
		{ "198.18.1.5:5000", "leg0:x", LEG_PWD, CHECK_NO_PRIORITY, LEG_ANSWERS, STAT_PUNTED,
		  "PRIORITY" },
		{ "198.18.1.5:5000", "leg0:x", LEG_PWD, CHECK_CONTROLLED, LEG_ANSWERS, STAT_PUNTED,
		  "conflict" },
		{ "198.18.1.5:5000", "leg0:x", LEG_PWD, 0, LEG_ANSWERS | LEG_CONTROLLING,
		  STAT_PUNTED, "conflict the other way" },
		{ "198.18.1.5:5000", "leg0:x", LEG_PWD, CHECK_STRANGE, LEG_ANSWERS, STAT_PUNTED,
		  "420" },
		{ "198.18.1.5:5000", "leg0:x", "wrong", 0, LEG_ANSWERS, STAT_LEG_UNAUTHENTICATED,
		  "password" },
		{ "198.18.1.5:5000", "leg1:x", LEG_PWD, 0, LEG_ANSWERS, STAT_LEG_UNAUTHENTICATED,
		  "another leg's name" },
		{ "198.18.1.5:5000", "leg0", LEG_PWD, 0, LEG_ANSWERS, STAT_LEG_UNAUTHENTICATED,
		  "no colon" },
		{ "198.18.1.5:5000", "leg0:x", LEG_PWD, CHECK_NO_FINGERPRINT, LEG_ANSWERS,
		  STAT_STUN_FINGERPRINT, "no FINGERPRINT" },
		{ "198.18.1.5:5000", "leg0:x", LEG_PWD, CHECK_BAD_FINGERPRINT, LEG_ANSWERS,
		  STAT_STUN_FINGERPRINT, "wrong FINGERPRINT" },
	};
	struct leg_wanted a, b;
	uint8_t q[512];

	leg_begin(&a, &b);
	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		const uint32_t len = leg_check(q, cases[i].name, cases[i].pwd, cases[i].how);

		a.c.flags = (uint8_t)cases[i].flags;
		leg_set_ok(&a);
		bed_zero();
		leg_put(cases[i].from, leg_at[A], q, len);
		CHECK(bed_count(cases[i].outcome) == 1 && came(0, NULL, NULL, 0), cases[i].what);
		CHECK(punted(q, len, cases[i].from, 0, 50000) == (cases[i].outcome == STAT_PUNTED),
		      cases[i].what);
	}
	bed_stop();
}

/* Responses go to a full leg's control; indications nowhere; other methods have a name. */
static void test_other_stun(void)
{
	static const uint8_t txid[12] = { 3 };
	struct leg_wanted a, b;
	struct stun_builder s;
	uint8_t q[64];
	uint32_t len;

	leg_begin(&a, &b);
	stun_begin(&s, q, sizeof(q), stun_type(STUN_BINDING, STUN_SUCCESS), txid);
	len = (uint32_t)stun_finish(&s);
	leg_put(leg_peer[A], leg_at[A], q, len);
	CHECK(bed_count(STAT_LEG_RESPONSE) == 1, "to a lite leg");
	a.c.flags = LEG_ANSWERS;
	leg_set_ok(&a);
	leg_put(leg_peer[A], leg_at[A], q, len);
	CHECK(punted(q, len, leg_peer[A], 0, 50000), "to a full one");
	stun_begin(&s, q, sizeof(q), stun_type(STUN_BINDING, STUN_INDICATION), txid);
	leg_put(leg_peer[A], leg_at[A], q, (uint32_t)stun_finish(&s));
	CHECK(bed_count(STAT_LEG_KEEPALIVE) == 1, "keepalive");
	stun_begin(&s, q, sizeof(q), stun_type(3, STUN_REQUEST), txid);
	leg_put(leg_peer[A], leg_at[A], q, (uint32_t)stun_finish(&s));
	CHECK(bed_count(STAT_STUN_METHOD) == 1, "method");
	be16_store(q + 2, 400);
	leg_put(leg_peer[A], leg_at[A], q, 20);
	CHECK(bed_count(STAT_STUN_MALFORMED) == 1, "length");
	/* Without the cookie it is somebody's media. */
	be16_store(q + 2, 0);
	q[4] ^= 1;
	leg_put(leg_peer[A], leg_at[A], q, 20);
	CHECK(came(1, &(unsigned){ B }, q, 20), "no cookie");
	bed_stop();
}

/* A lite leg lives by what is heard from its peer; control may be slower than the worker. */
static void test_patience(void)
{
	struct leg_wanted a, b;
	struct punt_row ev;
	uint8_t q[512];

	leg_begin(&a, &b);
	a.c.patience_s = 20;
	const uint32_t row = leg_set_ok(&a), now_s = bed.worker[0].now_s;

	const uint32_t then_s = bed.worker[0].now_s += 15;
	const uint32_t len = leg_check(q, "leg0:x", LEG_PWD, 0);

	leg_put(leg_peer[A], leg_at[A], q, len);
	CHECK(answered(q, leg_peer[A], leg_at[A]), "heard");
	CHECK(row_of(row)->heard_s == then_s && then_s == now_s + 15 &&
	              row_of(row)->row.deadline_s == then_s + 20,
	      "and lives on");
	a.c.flags |= LEG_SILENT;
	CHECK(leg_set(&a, &ev) == -1 && row_of(row)->row.deadline_s == then_s + 20,
	      "an older deadline of control's takes nothing away");
	a.c.patience_s = 0;
	CHECK(leg_set(&a, &ev) == ROW_OK && ev.row != row && row_of(ev.row)->heard_s == then_s,
	      "told although silent: another row");
	bed_stop();
}

/* --- commands --- */

static void test_rows(void)
{
	struct leg_wanted a, b;
	struct punt_row ev;
	static const uint8_t rtp[40] = { 0x80 };

	leg_n_final = 0;
	leg_begin(&a, &b);
	const unsigned used = bed_used();

	CHECK(bed.uses[BED_WIRE] == 2, "a next hop each");
	const uint32_t row = leg_set_ok(&a);

	CHECK(leg_set_ok(&a) == row && bed.uses[BED_WIRE] <= 3, "the same row");
	leg_put(leg_peer[A], leg_at[A], rtp, sizeof(rtp));
	leg_put(leg_peer[B], leg_at[B], rtp, sizeof(rtp));
	CHECK(bed_count(STAT_LEG_TO_LEG) == 2, "media");
	struct rte_mbuf *m[BED_REPLIES];

	bed_free(m, bed_sent(m));
	/* Another peer: another row; the old one comes back with its own tag and counts. */
	struct leg_wanted moved = leg_make(A, true, 1, &(unsigned){ B });
	const struct endpoint e = bed_ep("198.18.1.9:6000");
	unsigned finals = 0;

	memcpy(moved.c.peer_ip, e.addr.ip, 16);
	moved.c.peer_port = e.port;
	CHECK(leg_set(&moved, &ev) == ROW_OK && ev.row != row, "another row");
	bed_turn();
	bed_turn();
	leg_said(&ev);
	for (unsigned i = 0; i < leg_n_final; i++)
		finals += leg_final[i].tag == a.c.tag && leg_final[i].packets == 1 &&
		          leg_final[i].octets == 40 && leg_final[i].from_packets == 1 &&
		          leg_final[i].from_octets == 40;
	CHECK(finals == 1, "final counts");
	/* Allocations and legs keep off each other's ports. */
	const struct cmd_flow al = bed_allocation("198.18.0.9:40000", 0, 50000);
	struct leg_wanted on = leg_make(C, true, 0, NULL);
	const struct cmd_flow other = bed_allocation("198.18.0.9:40000", 0, 50010);

	CHECK(bed_flow(CMD_SET, &al), "room");
	bed_turn();
	CHECK(bed_status(&ev) == ROW_REFUSED, "a leg is there");
	bed_set(&other);
	on.c.port = 50010;
	CHECK(leg_set(&on, &ev) == ROW_REFUSED, "an allocation is there");
	CHECK(bed_flow(CMD_DELETE, &other) && bed_command(CMD_LEG_DELETE, &moved.c, sizeof(a.c)) &&
	              bed_command(CMD_LEG_DELETE, &b.c, sizeof(b.c)) &&
	              bed_command(CMD_LEG_DELETE, &b.c, sizeof(b.c)),
	      "room");
	bed_turn();
	bed_turn();
	CHECK(leg_said(&ev) == ROW_UNKNOWN && ev.tag == b.c.tag, "twice");
	CHECK(leg_n_final == finals + 3, "deleted");
	CHECK(bed.uses[BED_WIRE] == 0 && flow_used(bed.dp.flows) == 0, "nothing is left");
	CHECK(bed.disconnects == 0 && bed_used() == used, "all in good order");
	bed_stop();
}

/* A sync keeps the legs it names and sweeps the rest. */
static void test_sync(void)
{
	const struct cmd_sync sync = { .tag = 77 };
	struct leg_wanted a, b;

	leg_begin(&a, &b);
	CHECK(bed_command(CMD_SYNC_BEGIN, &sync, sizeof(sync)), "room");
	leg_set_ok(&a);
	CHECK(bed_command(CMD_SYNC_END, &sync, sizeof(sync)), "room");
	for (unsigned i = 0; i < 200; i++)
		bed_turn();
	CHECK(flow_leg_at(bed.dp.flows, 0, htons(50000)) != NULL &&
	              flow_leg_at(bed.dp.flows, 0, htons(50001)) == NULL &&
	              flow_used(bed.dp.flows) == 1,
	      "one of two");
	bed_stop();
}

static void test_refused(void)
{
	struct leg_wanted a, b;
	struct punt_row ev;
	const struct endpoint own = bed_ep("198.18.0.1:3478"), denied = bed_ep("127.0.0.1:9");

	leg_begin(&a, &b);
	struct leg_wanted w = leg_make(C, true, 0, NULL);

	memcpy(w.c.peer_ip, own.addr.ip, 16);
	CHECK(leg_set(&w, &ev) == ROW_REFUSED, "our own address");
	memcpy(w.c.peer_ip, denied.addr.ip, 16);
	CHECK(leg_set(&w, &ev) == ROW_REFUSED, "denied by the policy");
	w = leg_make(C, false, 0, NULL);
	w.c.port = 1;
	CHECK(leg_set(&w, &ev) == ROW_REFUSED, "outside the range");
	CHECK(bed.disconnects == 0, "in good faith");
	bed_stop();
}

/* "Commands cannot hurt": each of these ends the connection. */
static void test_invalid(void)
{
	for (unsigned i = 0; i < 12; i++) {
		struct leg_wanted w;
		char name[16];

		bed_start(NULL);
		w = leg_make(A, true, 1, &(unsigned){ B });
		uint32_t octets = sizeof(w.c) + sizeof(w.to[0]);
		const struct endpoint six = bed_ep(leg_peer[SIX]);

		switch (i) {
		case 0: octets--; break;
		case 1: octets += 4; break;
		case 2: w.c.relay = 100; break;
		case 3: w.c.port = 0; break;
		case 4: w.c.flags = 0x80; break;
		case 5: w.c.deadline_s = UINT32_MAX - 1; break;
		case 6: w.c.patience_s = UINT32_MAX; break;
		case 7: memcpy(w.c.peer_ip, six.addr.ip, 16); break;
		case 8: w.c.key[1].ufrag_len = LEG_UFRAG_MAX + 1; break;
		case 9: w.to[0].relay = 100; break;
		case 10: w.to[0].port = 0; break;
		default: w.c.source[3].port = 9; break; /* of an address that is none */
		}
		snprintf(name, sizeof(name), "case %u", i);
		CHECK(bed_command(CMD_LEG, &w, octets), "room");
		bed_turn();
		CHECK(bed.disconnects == 1 && flow_used(bed.dp.flows) == 0, name);
		bed_stop();
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "media from leg to leg", test_media },
		{ "no path, no consent", test_no_path },
		{ "one to many", test_fan },
		{ "checks answered", test_answers },
		{ "checks that need a decision", test_decisions },
		{ "other STUN", test_other_stun },
		{ "patience", test_patience },
		{ "rows", test_rows },
		{ "sync", test_sync },
		{ "refused", test_refused },
		{ "invalid", test_invalid },
		CU_TEST_INFO_NULL,
	};

	return run_suite("dataplane/leg", tests);
}
