/* Sessions from their making to their end: checks, rows, media, consent. */
#include <stdio.h>

#include "control/ice/sdp.h"
#include "tests/rig/session_rig.h"
#include "tests/support.h"

static struct session_rig r;

/* Two legs, their other ends, everything exchanged; at the end both say something. */
static uint64_t call(bool full, bool controlling, struct sr_peer *p[2])
{
	const uint64_t id = sr_create(&r, 2, full, controlling);

	CHECK(id != 0, "made");
	for (unsigned i = 0; i < 2; i++) {
		p[i] = sr_peer(&r, id, i + 1, !controlling, false, false);
		CHECK(sr_exchange(&r, p[i]) == SESSION_OK, "exchanged");
	}
	sr_run(&r, 5000);
	return id;
}

static void expect_media(struct sr_peer *from, struct sr_peer *to, bool comes, const char *what)
{
	const uint64_t had = to->data;

	CHECK(sr_say(&r, from), what);
	sr_run(&r, 100);
	CHECK((to->data > had) == comes, what);
}

static void both_ways(bool full, bool controlling)
{
	struct sr_peer *p[2];
	struct session_leg_info info;
	uint64_t id;

	sr_open(&r, NULL);
	id = call(full, controlling, p);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(p[i]->state == ICE_COMPLETED, "the other end is connected");
		CHECK(session_leg(r.srv, id, i + 1, &info) && info.state == ICE_COMPLETED &&
		              info.selected,
		      "and the leg");
		CHECK(endpoint_equal(&info.pair.remote.at, &p[i]->at), "to where it is");
		CHECK(sr_count(&r, SESSION_EVENT_SELECTED, id, i + 1) == 1, "told once");
		CHECK(sr_flowing(&r, id, i + 1) != NULL, "a row with a peer");
	}
	expect_media(p[0], p[1], true, "from the first to the second");
	expect_media(p[1], p[0], true, "and back");
	CHECK(session_leg(r.srv, id, 1, &info) && info.counts.from_packets == 1 &&
	              info.counts.to_packets == 1 && info.counts.to_octets == 6,
	      "counted");
	const unsigned punts = r.n_punts;

	sr_run(&r, 60000);
	CHECK(p[0]->state == ICE_COMPLETED && sr_flowing(&r, id, 1) && sr_flowing(&r, id, 2),
	      "consent goes on");
	if (!full)
		CHECK(r.n_punts == punts && r.n_answered > 10,
		      "ICE-193: control has no part in it");
	CHECK(session_delete(r.srv, id, net_now(r.net)) == SESSION_OK, "deleted");
	sr_drain(&r);
	const struct session_event *const e = sr_last(&r, SESSION_EVENT_ENDED, id, 0);

	CHECK(e && e->counts.from_packets == 2 && e->counts.to_packets == 2, "final counts");
	CHECK(r.n_ports == 0 && r.n_rows == 0, "ports and rows are back");
	CHECK(session_count(r.srv, NULL) == 0 && session_ending(r.srv) == 0, "nothing is left");
	expect_media(p[0], p[1], false, "nobody is there");
	sr_close(&r);
}

static void test_lite(void)
{
	both_ways(false, false);
}

static void test_controlling(void)
{
	both_ways(true, true);
}

static void test_controlled(void)
{
	both_ways(true, false);
}

static void behind_nat(struct session_rig *rig)
{
	endpoint_parse("203.0.113.7:1", &rig->advertise[0]);
	rig->n_relays = 1;
}

/* ICE-014: peers are told the outside address and reach it; commands name the relay by its id. */
static void test_advertised(void)
{
	struct sr_peer *p[2];
	struct session_leg_info info;
	uint64_t id;

	sr_open(&r, behind_nat);
	id = call(true, true, p);
	CHECK(session_leg(r.srv, id, 1, &info) && info.local->stream[0].n_candidates == 1, "one");
	CHECK(addr_equal(&info.local->stream[0].candidate[0].at.addr, &r.advertise[0].addr),
	      "the outside address only");
	CHECK(info.state == ICE_COMPLETED && p[0]->state == ICE_COMPLETED, "connected");
	expect_media(p[0], p[1], true, "media");
	CHECK(addr_equal(&p[1]->data_from.addr, &r.advertise[0].addr), "from there");
	sr_close(&r);
}

static uint64_t create_of(unsigned n, const enum session_direction *d)
{
	struct session_wanted w = { .n_legs = n };
	uint64_t id = 0;
	char why[128];

	for (unsigned i = 0; i < n; i++)
		w.leg[i] =
			(struct session_leg_wanted){ .ip4 = true, .ip6 = true, .direction = d[i] };
	CHECK(session_create(r.srv, &w, net_now(r.net), &id, why) == SESSION_OK, why);
	sr_drain(&r);
	return id;
}

/* One to many, by the directions; the last leg comes later and over IPv6. */
static void test_fan_out(void)
{
	const enum session_direction d[] = { SESSION_SENDRECV, SESSION_SENDRECV, SESSION_SENDONLY,
		                             SESSION_RECVONLY };
	const bool sends[] = { true, true, true, false }, hears[] = { true, true, false, true };
	const struct session_leg_wanted six = { .ip4 = true, .ip6 = true };
	struct sr_peer *p[5];
	char why[128];
	unsigned leg;
	uint64_t id;

	sr_open(&r, NULL);
	id = create_of(4, d);
	for (unsigned i = 0; i < 4; i++) {
		p[i] = sr_peer(&r, id, i + 1, true, false, i == 2);
		CHECK(sr_exchange(&r, p[i]) == SESSION_OK, "exchanged");
	}
	sr_run(&r, 3000);
	CHECK(session_add_leg(r.srv, id, &six, net_now(r.net), &leg, why) == SESSION_OK, why);
	CHECK(leg == 5, "the fifth");
	sr_drain(&r);
	p[4] = sr_peer(&r, id, 5, true, false, true);
	CHECK(sr_exchange(&r, p[4]) == SESSION_OK, "exchanged");
	sr_run(&r, 3000);
	for (unsigned from = 0; from < 5; from++) {
		uint64_t had[5];

		for (unsigned i = 0; i < 5; i++)
			had[i] = p[i]->data;
		CHECK(sr_say(&r, p[from]), "it has a path");
		sr_run(&r, 100);
		for (unsigned i = 0; i < 5; i++)
			CHECK(p[i]->data - had[i] == (i != from && (from == 4 || sends[from]) &&
			                              (i == 4 || hears[i])),
			      "each that receives hears each other one that sends");
	}
	CHECK(session_delete(r.srv, id, net_now(r.net)) == SESSION_OK, "deleted");
	sr_drain(&r);
	CHECK(r.n_ports == 0 && r.n_rows == 0, "all is back");
	sr_close(&r);
}

/* Descriptions without candidates, which come one by one; then the end. */
static void trickle(bool full)
{
	struct session_leg_info info;
	struct sr_peer *p;
	static struct ice_description d;
	char text[1024], why[128];
	uint64_t id;

	sr_open(&r, NULL);
	id = sr_create(&r, 1, full, full);
	p = sr_peer(&r, id, 1, !full, false, false);
	ice_local(p->agent, &d);
	const struct ice_candidate c = d.stream[0].candidate[0];

	snprintf(
		text, sizeof(text),
		"a=ice-options:trickle ice2\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\nm=audio 9 RTP/AVP "
		"0\r\na=mid:0\r\n",
		d.stream[0].ufrag, d.stream[0].pwd);
	CHECK(session_set_remote(r.srv, id, 1, text, strlen(text), net_now(r.net), why) ==
	              SESSION_OK,
	      why);
	CHECK(session_leg(r.srv, id, 1, &info), "leg");
	CHECK(ice_remote(p->agent, net_now(r.net), info.local) == ICE_OK, "told");
	p->silent = full; /* so that only the candidate can make it work */
	sr_run(&r, 1000);
	CHECK(sdp_candidate_print(&c, false, text, sizeof(text)), "printed");
	CHECK(session_add_candidate(r.srv, id, 1, "other", text, strlen(text), net_now(r.net),
	                            why) == SESSION_STALE,
	      "ICE-175: of another generation");
	CHECK(session_add_candidate(r.srv, id, 1, d.stream[0].ufrag, text, strlen(text),
	                            net_now(r.net), why) == SESSION_OK,
	      why);
	CHECK(session_add_candidate(r.srv, id, 1, NULL, "rubbish", 7, net_now(r.net), why) ==
	              SESSION_BAD,
	      "not a candidate");
	static const char off[] = "candidate:1 1 udp 2130706431 10.0.0.1 99 typ host";

	CHECK(session_add_candidate(r.srv, id, 1, NULL, off, strlen(off), net_now(r.net), why) ==
	              SESSION_OK,
	      "ICE-216: of no use, and no error");
	CHECK(session_add_candidate(r.srv, id, 1, NULL, "", 0, net_now(r.net), why) == SESSION_OK,
	      "the end");
	p->silent = false;
	sr_run(&r, 5000);
	CHECK(session_leg(r.srv, id, 1, &info) && info.state == ICE_COMPLETED, "connected");
	CHECK(sr_stat(&r, "session_off_policy") == 1, "counted");
	sr_close(&r);
}

static void test_trickle(void)
{
	trickle(true);
	trickle(false);
}

/* Media goes on over the old pair until the new one is there (ICE-173), both keys answer. */
static void restart(bool full)
{
	struct session_leg_info info;
	struct sr_peer *p[2];
	char ufrag[ICE_UFRAG_MAX + 1];
	uint64_t id;

	sr_open(&r, NULL);
	id = call(full, full, p);
	CHECK(session_leg(r.srv, id, 1, &info), "leg");
	memcpy(ufrag, info.local->stream[0].ufrag, sizeof(ufrag));
	CHECK(session_restart(r.srv, id, 1, net_now(r.net)) == SESSION_OK, "restarted");
	sr_drain(&r);
	CHECK(session_leg(r.srv, id, 1, &info) && info.generation == 1 &&
	              strcmp(ufrag, info.local->stream[0].ufrag) != 0 && !info.has_remote,
	      "ICE-170: other credentials");
	struct sr_row *const row = sr_flowing(&r, id, 1);

	CHECK(row != NULL, "the old pair keeps its row");
	CHECK(row && row->leg.key[0].ufrag_len == strlen(info.local->stream[0].ufrag) &&
	              memcmp(row->leg.key[0].ufrag, info.local->stream[0].ufrag, 8) == 0 &&
	              memcmp(row->leg.key[1].ufrag, ufrag, 8) == 0,
	      "ICE-174: both generations");
	for (unsigned i = 0; i < 20; i++) {
		expect_media(p[0], p[1], true, "media goes on");
		expect_media(p[1], p[0], true, "both ways");
		sr_run(&r, 1000);
	}
	CHECK(sr_exchange(&r, p[0]) == SESSION_OK, "the new description");
	CHECK(sr_exchange(&r, p[0]) == SESSION_OK, "and the answer to it");
	sr_run(&r, 5000);
	CHECK(session_leg(r.srv, id, 1, &info) && info.state == ICE_COMPLETED && info.selected,
	      "connected anew");
	CHECK(sr_count(&r, SESSION_EVENT_SELECTED, id, 1) == 2, "told again");
	CHECK(sr_count(&r, SESSION_EVENT_CONSENT_LOST, id, 0) == 0, "nothing was lost");
	expect_media(p[0], p[1], true, "media over the new one");
	expect_media(p[1], p[0], true, "both ways");
	sr_close(&r);
}

static void test_restart(void)
{
	restart(true);
	restart(false);
}

/* ICE-184, ICE-194: thirty seconds of silence; the row is gone when anybody hears of it. */
static void test_consent_lost(void)
{
	struct session_leg_info info;
	struct sr_peer *p[2];
	uint64_t id, from_ms, lost_ms = 0;

	sr_open(&r, NULL);
	id = call(true, true, p);
	p[0]->silent = true;
	from_ms = net_now(r.net);
	while (net_now(r.net) < from_ms + 40000 && !lost_ms) {
		sr_run(&r, 100);
		if (sr_last(&r, SESSION_EVENT_CONSENT_LOST, id, 1))
			lost_ms = net_now(r.net);
	}
	CHECK(lost_ms > from_ms + 20000 && lost_ms < from_ms + 30500, "within thirty seconds");
	CHECK(r.flowing_at_loss == 0, "its row was gone before");
	CHECK(sr_last(&r, SESSION_EVENT_CONSENT_LOST, id, 1) &&
	              sr_last(&r, SESSION_EVENT_CONSENT_LOST, id, 1)->why == ICE_WHY_CONSENT_LOST,
	      "with its reason");
	CHECK(session_leg(r.srv, id, 1, &info) && info.state == ICE_FAILED, "failed");
	CHECK(sr_flowing(&r, id, 1) == NULL && sr_flowing(&r, id, 2) != NULL, "only that leg");
	const uint64_t had = p[0]->data;

	CHECK(sr_say(&r, p[1]), "the other one speaks");
	sr_run(&r, 1000);
	CHECK(p[0]->data == had, "to nobody");
	p[0]->silent = false;
	CHECK(session_restart(r.srv, id, 1, net_now(r.net)) == SESSION_OK, "restart");
	sr_drain(&r);
	CHECK(sr_exchange(&r, p[0]) == SESSION_OK && sr_exchange(&r, p[0]) == SESSION_OK,
	      "exchanged");
	sr_run(&r, 5000);
	CHECK(sr_flowing(&r, id, 1) != NULL, "it is back");
	sr_close(&r);
}

/* A queue without room while consent goes: nobody hears of it before the row is gone. */
static void test_lost_without_room(void)
{
	struct sr_peer *p[2];
	uint64_t id;

	sr_open(&r, NULL);
	id = call(true, true, p);
	p[0]->silent = true;
	sr_run(&r, 24000);
	r.no_room = true;
	sr_run(&r, 8000);
	CHECK(sr_last(&r, SESSION_EVENT_CONSENT_LOST, id, 1) == NULL, "not told");
	CHECK(sr_flowing(&r, id, 1) != NULL, "for the row could not be taken away");
	r.no_room = false;
	sr_run(&r, 100);
	CHECK(sr_last(&r, SESSION_EVENT_CONSENT_LOST, id, 1) != NULL && r.flowing_at_loss == 0,
	      "now both");
	sr_close(&r);
}

struct taken {
	unsigned sessions, legs, ports, rows, commands;
};

static struct taken what_is_taken(void)
{
	struct taken t = { .ports = r.n_ports, .rows = r.n_rows, .commands = r.n_set };

	t.sessions = session_count(r.srv, &t.legs);
	return t;
}

static void expect_refusal(enum session_result want, unsigned n, const char *what)
{
	struct session_wanted w = { .n_legs = n };
	const struct taken before = what_is_taken();
	uint64_t id = 77;
	char why[128] = "";

	for (unsigned i = 0; i < n && i < SESSION_LEGS_MAX; i++)
		w.leg[i] = (struct session_leg_wanted){ .ip4 = true, .ip6 = true };
	CHECK(session_create(r.srv, &w, net_now(r.net), &id, why) == want, what);
	CHECK(id == 77 && why[0], "says why");
	r.no_room = false;
	sr_drain(&r);
	const struct taken after = what_is_taken();

	CHECK(memcmp(&before, &after, sizeof(before)) == 0, what);
}

static void few(struct session_rig *rig)
{
	rig->setup.legs_max = 8;
}

static void test_refusals(void)
{
	uint64_t id;
	char why[128];

	sr_open(&r, few);
	id = sr_create(&r, 2, false, false);
	CHECK(id != 0, "one");
	expect_refusal(SESSION_BAD, 0, "no legs");
	expect_refusal(SESSION_FULL, 7, "more than legs_max");
	r.rows_left = 3;
	expect_refusal(SESSION_FULL, 2, "rows");
	r.rows_left = 100;
	r.ports_max = r.n_ports + 3;
	expect_refusal(SESSION_FULL, 2, "ports");
	r.ports_max = 20000;
	r.no_room = true;
	expect_refusal(SESSION_FULL, 2, "the queue");
	static const struct {
		enum session_result want;
		const char *text;
	} bad[] = {
		{ SESSION_BAD, "" },
		{ SESSION_BAD, "v=0\r\nm=audio 1 RTP/AVP 0\r\n" },
		{ SESSION_BAD, "ice1 cut" },
		{ SESSION_BAD, "a=ice-ufrag:abc\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n" },
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct taken before = what_is_taken();

		why[0] = '\0';
		CHECK(session_set_remote(r.srv, id, 1, bad[i].text, strlen(bad[i].text),
		                         net_now(r.net), why) == bad[i].want,
		      bad[i].text);
		CHECK(why[0], "says why");
		sr_drain(&r);
		const struct taken after = what_is_taken();

		CHECK(memcmp(&before, &after, sizeof(before)) == 0, "nothing has changed");
	}
	CHECK(session_delete(r.srv, 999, net_now(r.net)) == SESSION_UNKNOWN, "unknown");
	CHECK(session_restart(r.srv, id, 3, net_now(r.net)) == SESSION_UNKNOWN, "no such leg");
	r.n_relays = 0;
	sr_hangup(&r);
	expect_refusal(SESSION_NO_DATA_PLANE, 1, "no data plane");
	sr_join(&r);
	expect_refusal(SESSION_NO_ADDRESS, 1, "no address");
	CHECK(sr_stat(&r, "session_refused_full") == 4, "counted");
	sr_close(&r);
}

/* A data plane dies and another comes: rows are named anew by its ids, counts are kept. */
static void test_join(void)
{
	struct session_leg_info info;
	struct sr_peer *p[2];
	uint64_t id;

	sr_open(&r, NULL);
	id = call(false, false, p);
	expect_media(p[0], p[1], true, "before");
	sr_hangup(&r);
	sr_run(&r, 3000);
	expect_media(p[0], p[1], false, "nobody there");
	sr_join(&r);
	CHECK(sr_flowing(&r, id, 1) && sr_flowing(&r, id, 1)->leg.relay == SR_RELAY4 + 100,
	      "by the new id");
	expect_media(p[0], p[1], true, "after");
	expect_media(p[1], p[0], true, "after");
	CHECK(session_leg(r.srv, id, 1, &info) && info.counts.from_packets == 2, "counts go on");
	CHECK(session_delete(r.srv, id, net_now(r.net)) == SESSION_OK, "deleted");
	sr_hangup(&r); /* the acknowledgements never come */
	CHECK(session_ending(r.srv) == 0 && r.n_ports == 0 && r.n_rows == 0, "it has ended");
	CHECK(sr_last(&r, SESSION_EVENT_ENDED, id, 0) != NULL, "and is told");
	sr_close(&r);
}

/* The address of a leg is gone: BASE_GONE, rows gone, others go on. */
static void test_address_gone(void)
{
	struct session_leg_info info;
	struct sr_peer *p[2];
	uint64_t id;

	sr_open(&r, NULL);
	id = sr_create(&r, 2, true, true);
	for (unsigned i = 0; i < 2; i++) {
		p[i] = sr_peer(&r, id, i + 1, false, false, i == 1);
		CHECK(sr_exchange(&r, p[i]) == SESSION_OK, "exchanged");
	}
	sr_run(&r, 5000);
	CHECK(sr_flowing(&r, id, 2) && sr_flowing(&r, id, 2)->leg.relay == SR_RELAY6, "IPv6");
	expect_media(p[0], p[1], true, "across families");
	expect_media(p[1], p[0], true, "across families");
	r.n_relays = 1;
	sr_hangup(&r);
	sr_join(&r);
	CHECK(session_leg(r.srv, id, 2, &info) && info.state == ICE_FAILED &&
	              info.why == ICE_WHY_BASE_GONE,
	      "the second has lost its address");
	CHECK(session_leg(r.srv, id, 1, &info) && info.state == ICE_COMPLETED, "not the first");
	sr_close(&r);
}

/* Acknowledgements that never come: after two seconds it is over, with what the rows showed. */
static void test_deaf(void)
{
	struct sr_peer *p[2];
	uint64_t id;

	sr_open(&r, NULL);
	id = call(false, false, p);
	r.deaf = true;
	CHECK(session_delete(r.srv, id, net_now(r.net)) == SESSION_OK, "deleted");
	sr_run(&r, 1000);
	CHECK(session_ending(r.srv) == 1 && r.n_ports == 4, "waits");
	sr_run(&r, 1500);
	CHECK(session_ending(r.srv) == 0 && r.n_ports == 0, "no longer");
	CHECK(sr_stat(&r, "session_row_unanswered") == 4, "counted");
	sr_close(&r);
}

/* The data plane denies the peer: nothing flows, and it is told. */
static void test_row_refused(void)
{
	struct sr_peer *p;
	uint64_t id;

	sr_open(&r, NULL);
	id = sr_create(&r, 1, false, false);
	p = sr_peer(&r, id, 1, true, false, false);
	r.refuse_peer_port = p->at.port;
	CHECK(sr_exchange(&r, p) == SESSION_OK, "exchanged");
	sr_run(&r, 2000);
	CHECK(sr_flowing(&r, id, 1) == NULL && sr_stat(&r, "session_row_refused") == 1, "refused");
	CHECK(sr_last(&r, SESSION_EVENT_STATE, id, 1) &&
	              sr_last(&r, SESSION_EVENT_STATE, id, 1)->state == ICE_FAILED,
	      "told");
	sr_close(&r);
}

/* A data plane without rows for now: later it has. */
static void test_row_full(void)
{
	struct sr_peer *p[2];
	uint64_t id;

	sr_open(&r, NULL);
	r.full = true;
	id = sr_create(&r, 2, false, false);
	sr_run(&r, 2500);
	r.full = false;
	for (unsigned i = 0; i < 2; i++) {
		p[i] = sr_peer(&r, id, i + 1, true, false, false);
		CHECK(sr_exchange(&r, p[i]) == SESSION_OK, "exchanged");
	}
	sr_run(&r, 5000);
	expect_media(p[0], p[1], true, "in the end");
	CHECK(sr_stat(&r, "session_row_full") > 4, "tried again");
	sr_close(&r);
}

/* Punts that are nobody's, stale, or of a source the policy denies. */
static void test_drops(void)
{
	struct punt p = {
		.local_kind = LOCAL_RELAY, .local = SR_RELAY4, .local_port = 50000, .remote_port = 9
	};
	struct session_leg_info info;
	uint64_t id;

	sr_open(&r, NULL);
	id = sr_create(&r, 1, false, false);
	CHECK(session_leg(r.srv, id, 1, &info), "leg");
	for (unsigned i = 0; i < info.local->stream[0].n_candidates; i++)
		if (addr_is4(&info.local->stream[0].candidate[i].at.addr))
			p.local_port = info.local->stream[0].candidate[i].at.port;
	p.local = 999;
	session_on_ice(r.srv, &p, (const uint8_t *)"x", 1, 10000);
	p.local = SR_RELAY4;
	p.local_port ^= 1;
	session_on_ice(r.srv, &p, (const uint8_t *)"x", 1, 10000);
	CHECK(sr_stat(&r, "session_drop_unknown") == 2, "nobody's");
	p.local_port ^= 1;
	p.received_ns = 7000000000;
	session_on_ice(r.srv, &p, (const uint8_t *)"x", 1, 10000);
	CHECK(sr_stat(&r, "session_drop_stale") == 1, "stale");
	p.received_ns = 9000000000;
	p.remote_ip[10] = p.remote_ip[11] = 0xFF;
	p.remote_ip[12] = 10;
	session_on_ice(r.srv, &p, (const uint8_t *)"x", 1, 10000);
	CHECK(sr_stat(&r, "session_drop_source") == 1, "ICE-216");
	p.remote_ip[12] = 198;
	session_on_ice(r.srv, &p, (const uint8_t *)"x", 1, 10000);
	CHECK(sr_stat(&r, "session_drop_refused") == 1, "no STUN");
	sr_close(&r);
}

/* A lite leg asks for nothing: silence ends it, checks that workers answer keep it. */
static void test_patience(void)
{
	struct sr_peer *p[2];
	uint64_t id, from_ms, lost_ms = 0;

	sr_open(&r, NULL);
	id = call(false, false, p);
	sr_run(&r, 120000);
	CHECK(sr_flowing(&r, id, 1) && sr_flowing(&r, id, 2), "kept for two minutes");
	CHECK(sr_count(&r, SESSION_EVENT_CONSENT_LOST, id, 0) == 0, "nothing was lost");
	p[0]->silent = true;
	from_ms = net_now(r.net);
	while (net_now(r.net) < from_ms + 40000 && !lost_ms) {
		sr_run(&r, 100);
		if (sr_last(&r, SESSION_EVENT_CONSENT_LOST, id, 1))
			lost_ms = net_now(r.net);
	}
	CHECK(lost_ms > from_ms + 20000 && lost_ms < from_ms + 31000, "within thirty seconds");
	CHECK(r.flowing_at_loss == 0 && sr_flowing(&r, id, 2), "its row was gone before");
	sr_close(&r);
}

/* ICE-169: a NAT gives the peer another port in the middle of the call. */
static void moves(bool may_follow)
{
	const struct net_nat nat = { .mapping = NET_ENDPOINT,
		                     .filtering = NET_PORT,
		                     .at = { { [10] = 0xFF, [11] = 0xFF, 198, 18, 5, 1 } } };
	struct sr_peer *p[2];
	struct endpoint before;
	uint64_t id, from_ms, back_ms = 0;

	sr_open(&r, NULL);
	r.setup.follow_ms = may_follow ? 2000 : 0;
	sr_down(&r);
	sr_up(&r);
	id = sr_create(&r, 2, false, false);
	r.network = net_add_nat(r.net, &nat);
	p[0] = sr_peer(&r, id, 1, true, false, false);
	r.network = 0;
	p[1] = sr_peer(&r, id, 2, true, false, false);
	for (unsigned i = 0; i < 2; i++)
		CHECK(sr_exchange(&r, p[i]) == SESSION_OK, "exchanged");
	sr_run(&r, 5000);
	expect_media(p[1], p[0], true, "through the NAT");
	CHECK(sr_flowing(&r, id, 1) != NULL, "connected");
	before.port = sr_flowing(&r, id, 1)->leg.peer_port;
	net_rebind(r.net, 1);
	from_ms = net_now(r.net);
	while (net_now(r.net) < from_ms + 20000 && !back_ms) {
		const uint64_t had = p[0]->data;

		sr_say(&r, p[1]);
		sr_run(&r, 100);
		if (p[0]->data > had)
			back_ms = net_now(r.net);
	}
	if (may_follow) {
		CHECK(back_ms > from_ms && back_ms < from_ms + 10000, "back within ten seconds");
		CHECK(sr_flowing(&r, id, 1)->leg.peer_port != before.port, "at its new port");
		CHECK(sr_stat(&r, "session_moved") == 1, "counted");
		sr_run(&r, 20000);
		CHECK(sr_flowing(&r, id, 1)->leg.flags & LEG_ANSWERS, "workers answer again");
		sr_run(&r, 60000);
		CHECK(p[0]->state == ICE_COMPLETED, "and it stays");
		expect_media(p[0], p[1], true, "both ways");
	} else {
		CHECK(back_ms == 0, "it moves by nomination only");
	}
	sr_close(&r);
}

static void test_moves(void)
{
	moves(true);
	moves(false);
}

/* ICE-054: two legs that would draw the same ufrag, at once and at a restart. */
static void test_ufrag(void)
{
	struct session_leg_info info;
	uint64_t id;

	sr_open(&r, NULL);
	r.n_same = 4; /* tie-breaker and ufrag of both */
	id = sr_create(&r, 2, true, true);
	CHECK(r.n_same == 0, "drawn");
	CHECK(session_leg(r.srv, id, 1, &info) &&
	              strcmp(info.local->stream[0].ufrag, "AAAAAAAA") == 0,
	      "the first has it");
	CHECK(session_leg(r.srv, id, 2, &info) &&
	              strcmp(info.local->stream[0].ufrag, "AAAAAAAA") != 0,
	      "the second another");
	r.n_same = 1;
	CHECK(session_restart(r.srv, id, 2, net_now(r.net)) == SESSION_OK, "restarted");
	CHECK(r.n_same == 0 && session_leg(r.srv, id, 2, &info) &&
	              strcmp(info.local->stream[0].ufrag, "AAAAAAAA") != 0,
	      "another again");
	CHECK(session_restart(r.srv, id, 1, net_now(r.net)) == SESSION_OK, "it is given up");
	r.n_same = 1;
	CHECK(session_restart(r.srv, id, 2, net_now(r.net)) == SESSION_OK, "restarted");
	CHECK(session_leg(r.srv, id, 2, &info) &&
	              strcmp(info.local->stream[0].ufrag, "AAAAAAAA") == 0,
	      "and free for others");
	sr_close(&r);
}

/* Listing by id, with one that ended meanwhile; then all end. */
static void test_list(void)
{
	struct session_info info = { .id = 0 };
	uint64_t id[4];
	unsigned n = 0;

	sr_open(&r, NULL);
	for (unsigned i = 0; i < 4; i++)
		id[i] = sr_create(&r, 1, false, false);
	while (session_list(r.srv, info.id, &info)) {
		CHECK(info.id == id[n] && info.n_legs == 1, "in order");
		if (n++ == 1)
			CHECK(session_delete(r.srv, id[1], net_now(r.net)) == SESSION_OK, "gone");
	}
	CHECK(n == 4, "all of them");
	session_end_all(r.srv, net_now(r.net));
	sr_run(&r, 100);
	CHECK(session_count(r.srv, NULL) == 0 && session_ending(r.srv) == 0 && r.n_ports == 0,
	      "all ended");
	CHECK(sr_stat(&r, "session_ended") == 4, "counted");
	sr_close(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "two lite legs (ICE-162, ICE-163, ICE-168)", test_lite },
		{ "two full legs, controlling", test_controlling },
		{ "two full legs, controlled", test_controlled },
		{ "behind 1:1 NAT (ICE-014)", test_advertised },
		{ "one to many, directions, another leg", test_fan_out },
		{ "trickled candidates (ICE-175, ICE-216)", test_trickle },
		{ "restart keeps media (ICE-170 to ICE-174)", test_restart },
		{ "consent lost (ICE-184, ICE-194)", test_consent_lost },
		{ "consent lost, no room for commands", test_lost_without_room },
		{ "refusals change nothing", test_refusals },
		{ "another data plane", test_join },
		{ "an address that is gone (ICE-177)", test_address_gone },
		{ "ends without acknowledgement", test_deaf },
		{ "a peer the data plane denies", test_row_refused },
		{ "no rows for now", test_row_full },
		{ "what is dropped (ICE-005)", test_drops },
		{ "a lite leg's patience", test_patience },
		{ "a peer that a NAT has moved (ICE-169)", test_moves },
		{ "no ufrag twice (ICE-054)", test_ufrag },
		{ "listing, and the end of all", test_list },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/session/life", tests);
}
