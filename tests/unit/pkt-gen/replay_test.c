/*
 * Mirrors pkt-gen/replay.c, replay_load.c and replay_message.c: captures that the test makes, sent
 * to a target that is a few lines, asks for credentials and gives other relayed addresses.
 */
#include <stdio.h>
#include <unistd.h>

#include <pcap/pcap.h>
#include <rte_mbuf.h>

#include "crypto.h"
#include "pkt-gen/apart.h"
#include "pkt-gen/replay.h"
#include "pkt-gen/packet.h"
#include "tests/rig/eal.h"
#include "tests/support.h"
#include "wire/crc.h"
#include "wire/integrity.h"

enum { ANSWERS = 256, CLIENTS = 2 };

static const uint64_t ms = 1000000;
static const uint8_t no_macs[12];
static struct rte_mempool *pool;
static uint64_t clock_ns;

static struct endpoint at(const char *text)
{
	struct endpoint e = { .port = 0 };

	CHECK(endpoint_parse(text, &e), text);
	return e;
}

/* --- a capture --- */

/* The world of the capture, nothing of which is in the target's. */
#define THEN_SERVER "203.0.113.1:3478"
#define THEN_CLIENT "192.0.2.10:40000"
#define THEN_OTHER "192.0.2.11:40000"
#define THEN_PEER "192.0.2.77:7000"
#define THEN_RELAYED "203.0.113.1:51000"

struct tape {
	pcap_t *dead;
	pcap_dumper_t *dump;
	char *octets;
	size_t len;
	FILE *out;
	uint64_t at_ns;
};

static void tape_open(struct tape *t)
{
	t->out = open_memstream(&t->octets, &t->len);
	t->dead =
		pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO);
	t->dump = pcap_dump_fopen(t->dead, t->out);
	t->at_ns = UINT64_C(1700000000) * 1000 * ms;
}

static void tape_put(struct tape *t, const uint8_t *frame, size_t captured, size_t len)
{
	const struct pcap_pkthdr head = {
		.ts = { .tv_sec = (time_t)(t->at_ns / (1000 * ms)),
		        .tv_usec = (suseconds_t)(t->at_ns % (1000 * ms)) },
		.caplen = (bpf_u_int32)captured,
		.len = (bpf_u_int32)len,
	};

	pcap_dump((u_char *)t->dump, &head, frame);
	t->at_ns += 10 * ms;
}

static void tape_udp(struct tape *t, const char *from, const char *to, const void *octets,
                     size_t len)
{
	const struct endpoint a = at(from), b = at(to);
	uint8_t frame[PACKET_MAX + 1000];
	const size_t n = packet_make(frame, sizeof(frame), no_macs, &a, &b, octets, len);

	tape_put(t, frame, n, n);
}

static FILE *tape_file(struct tape *t)
{
	pcap_dump_close(t->dump); /* closes the stream */
	pcap_close(t->dead);
	return fmemopen(t->octets, t->len, "rb");
}

struct build {
	struct stun_builder b;
	uint8_t octets[512], txid[STUN_TXID_LEN];
};

static void begin(struct build *m, unsigned method, enum stun_class cls, unsigned number)
{
	memset(m->txid, (int)number, sizeof(m->txid));
	stun_begin(&m->b, m->octets, sizeof(m->octets), stun_type(method, cls), m->txid);
}

/* Credentials of then: nobody has their password. */
static void then_signed(struct build *m)
{
	uint8_t *mac;
	size_t covered;

	stun_put(&m->b, STUN_USERNAME, "then", 4);
	stun_put(&m->b, STUN_REALM, "then.example", 12);
	stun_put(&m->b, STUN_NONCE, "then-nonce", 10);
	mac = stun_reserve_integrity(&m->b, STUN_MESSAGE_INTEGRITY, &covered);
	memset(mac, 0xAB, STUN_SHA1_LEN);
}

static void put(struct tape *t, const char *from, const char *to, struct build *m)
{
	tape_udp(t, from, to, m->octets, stun_finish(&m->b));
}

static void put_request(struct tape *t, const char *client, unsigned method, unsigned number,
                        bool signed_, const char *peer)
{
	struct build m;

	begin(&m, method, STUN_REQUEST, number);
	if (method == TURN_ALLOCATE)
		stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
	if (method == TURN_REFRESH)
		stun_put_u32(&m.b, TURN_LIFETIME, 0);
	if (method == TURN_CHANNEL_BIND)
		stun_put_u32(&m.b, TURN_CHANNEL_NUMBER, UINT32_C(0x40010000));
	if (peer != NULL) {
		const struct endpoint e = at(peer);

		stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, &e);
	}
	if (signed_)
		then_signed(&m);
	stun_put_fingerprint(&m.b);
	put(t, client, THEN_SERVER, &m);
}

static void put_answer(struct tape *t, const char *client, unsigned method, unsigned number,
                       unsigned code, const char *relayed)
{
	struct build m;

	begin(&m, method, code == 0 ? STUN_SUCCESS : STUN_ERROR, number);
	if (code != 0)
		stun_put_error(&m.b, code, NULL);
	if (relayed != NULL) {
		const struct endpoint e = at(relayed);

		stun_put_xor_addr(&m.b, TURN_XOR_RELAYED_ADDRESS, &e);
		stun_put_u32(&m.b, TURN_LIFETIME, 600);
	}
	put(t, THEN_SERVER, client, &m);
}

/* A call as a browser makes it, with what else is on a wire between. */
static void tape_call(struct tape *t)
{
	static const uint8_t channel[] = { 0x40, 0x01, 0, 5, 'h', 'e', 'l', 'l', 'o' };
	const struct endpoint peer = at(THEN_PEER);
	uint8_t frame[PACKET_MAX];
	struct build m;
	size_t n;

	tape_udp(t, "192.0.2.10:5353", "224.0.0.251:5353", "query", 5);
	put_request(t, THEN_CLIENT, TURN_ALLOCATE, 1, false, NULL);
	put_answer(t, THEN_CLIENT, TURN_ALLOCATE, 1, 401, NULL);
	put_request(t, THEN_CLIENT, TURN_ALLOCATE, 2, true, NULL);
	put_request(t, THEN_CLIENT, TURN_ALLOCATE, 2, true, NULL); /* again */
	put_answer(t, THEN_CLIENT, TURN_ALLOCATE, 2, 0, THEN_RELAYED);
	put_request(t, THEN_CLIENT, TURN_CREATE_PERMISSION, 3, true, THEN_PEER);
	put_answer(t, THEN_CLIENT, TURN_CREATE_PERMISSION, 3, 0, NULL);
	put_request(t, THEN_CLIENT, TURN_CHANNEL_BIND, 4, true, THEN_PEER);
	put_answer(t, THEN_CLIENT, TURN_CHANNEL_BIND, 4, 0, NULL);
	tape_udp(t, THEN_CLIENT, THEN_SERVER, channel, sizeof(channel));
	begin(&m, TURN_SEND, STUN_INDICATION, 5);
	stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, &peer);
	stun_put(&m.b, TURN_DATA_ATTR, "sent", 4);
	put(t, THEN_CLIENT, THEN_SERVER, &m);
	tape_udp(t, THEN_PEER, THEN_RELAYED, "from the peer", 13);
	tape_udp(t, "192.0.2.78:1", "203.0.113.1:52000", "to nobody", 9);
	put_request(t, THEN_OTHER, STUN_BINDING, 6, false, NULL);
	put_answer(t, THEN_OTHER, STUN_BINDING, 6, 0, NULL);
	/* A fragment, a packet cut short, one that lies, and ARP. */
	const struct endpoint a = at(THEN_CLIENT), b = at(THEN_SERVER);
	n = packet_make(frame, sizeof(frame), no_macs, &a, &b, channel, sizeof(channel));
	frame[PACKET_ETH + 6] = 0x20;
	tape_put(t, frame, n, n);
	frame[PACKET_ETH + 6] = 0;
	tape_put(t, frame, n - 3, n);
	frame[PACKET_ETH + 2] = 0xFF;
	tape_put(t, frame, n, n);
	be16_store(frame + 12, 0x0806);
	tape_put(t, frame, n, n);
	put_request(t, THEN_CLIENT, TURN_REFRESH, 7, true, NULL);
	put_answer(t, THEN_CLIENT, TURN_REFRESH, 7, 0, NULL);
}

/* --- the target --- */

static const char target_realm[] = "now.example", target_password[] = "now-secret";

static struct {
	struct endpoint at;
	struct crypto_hmac_sha1 key;
	bool open; /* asks for no credentials */
	bool mute;
	unsigned stale;               /* so many signed requests get 438 first */
	struct endpoint client, peer; /* that we saw */
	unsigned asked[16], good_mac, bad_mac, bare, channel, sent, peer_data, fingerprints, other;
	bool same_txid[256];
	char order[64];
	struct {
		struct endpoint to, from;
		uint16_t len;
		uint8_t octets[256];
	} answer[ANSWERS];
	unsigned answers;
} target;

#define NOW_RELAYED "198.18.0.1:60001"

static void answer(const struct packet *p, const struct stun_builder *b)
{
	CHECK(target.answers < ANSWERS, "room");
	target.answer[target.answers].to = p->from;
	target.answer[target.answers].from = p->to;
	target.answer[target.answers].len = (uint16_t)stun_finish(b);
	memcpy(target.answer[target.answers++].octets, b->buf, stun_finish(b));
}

static bool mac_right(const struct stun_msg *msg, const struct stun_attr *mac)
{
	const struct stun_integrity in = stun_integrity_locate(msg, mac);
	const struct crypto_piece pieces[2] = { { in.head, 4 }, { in.rest, in.rest_len } };
	uint8_t want[CRYPTO_SHA1_LEN];

	crypto_hmac_sha1(&target.key, pieces, 2, want);
	return in.mac_len == sizeof(want) && memcmp(in.mac, want, sizeof(want)) == 0;
}

static unsigned judge(const struct stun_msg *msg, unsigned method)
{
	struct stun_attr mac, name, nonce;

	if (target.open || method == STUN_BINDING)
		return 0;
	if (!stun_find(msg, STUN_MESSAGE_INTEGRITY, &mac)) {
		target.bare++;
		return 401;
	}
	if (!stun_find(msg, STUN_USERNAME, &name) || !stun_find(msg, STUN_NONCE, &nonce) ||
	    nonce.len != 9 || memcmp(nonce.value, "now-nonce", 9) != 0 || !mac_right(msg, &mac)) {
		target.bad_mac++;
		return 401;
	}
	if (target.stale > 0) {
		target.stale--;
		return 438;
	}
	target.good_mac++;
	return 0;
}

static void note(char c)
{
	const size_t n = strlen(target.order);

	if (n + 1 < sizeof(target.order))
		target.order[n] = c;
}

static void serve_request(const struct packet *p, const struct stun_msg *msg)
{
	static const char letters[] = "?B?AR???PC";
	const unsigned method = stun_method(msg->type), code = judge(msg, method);
	const struct endpoint relayed = at(NOW_RELAYED);
	struct stun_builder b;
	struct stun_attr attr;
	uint8_t octets[256];

	target.asked[method % 16]++;
	target.same_txid[msg->txid[5]] |= msg->txid[0] == msg->txid[5];
	if (code == 0)
		note(letters[method % 10]);
	if (stun_find(msg, TURN_XOR_PEER_ADDRESS, &attr))
		stun_xor_addr(msg, &attr, &target.peer);
	stun_begin(&b, octets, sizeof(octets),
	           stun_type(method, code == 0 ? STUN_SUCCESS : STUN_ERROR), msg->txid);
	if (code != 0) {
		stun_put_error(&b, code, NULL);
		stun_put(&b, STUN_REALM, target_realm, sizeof(target_realm) - 1);
		stun_put(&b, STUN_NONCE, "now-nonce", 9);
	} else if (method == TURN_ALLOCATE) {
		target.client = p->from;
		stun_put_xor_addr(&b, TURN_XOR_RELAYED_ADDRESS, &relayed);
	}
	answer(p, &b);
}

static void serve(const struct packet *p)
{
	const struct endpoint relayed = at(NOW_RELAYED);
	struct channel_data cd;
	struct stun_marks marks;
	struct stun_msg msg;
	struct stun_attr attr;

	if (endpoint_equal(&p->to, &relayed)) {
		target.peer_data++;
		note('p');
		CHECK(p->len == 13 && memcmp(p->octets, "from the peer", 13) == 0, "whole");
		CHECK(target.open || endpoint_equal(&p->from, &target.peer),
		      "the peer that was permitted");
		return;
	}
	CHECK(endpoint_equal(&p->to, &target.at), "to the target");
	if (target.mute) {
		target.other++;
		return;
	}
	if (stun_open(p->octets, p->len, &msg)) {
		CHECK(stun_scan(&msg, &marks), "attributes fit");
		target.fingerprints +=
			stun_fingerprint_check(&msg, &marks) == STUN_FINGERPRINT_RIGHT;
		CHECK(stun_fingerprint_check(&msg, &marks) != STUN_FINGERPRINT_WRONG ||
		              target.open || target.bad_mac != 0,
		      "FINGERPRINT");
		if (stun_class(msg.type) == STUN_REQUEST) {
			serve_request(p, &msg);
		} else if (stun_method(msg.type) == TURN_SEND) {
			struct endpoint e = { .port = 0 };

			target.sent++;
			note('s');
			CHECK(stun_find(&msg, TURN_XOR_PEER_ADDRESS, &attr) &&
			              stun_xor_addr(&msg, &attr, &e) == 4 &&
			              (target.open || endpoint_equal(&e, &target.peer)),
			      "to the peer that was permitted");
		}
	} else if (channel_open(p->octets, p->len, CHANNEL_MAX, &cd)) {
		target.channel++;
		note('c');
		CHECK(cd.number == 0x4001 && cd.len == 5, "ChannelData as it was");
	} else {
		target.other++;
	}
}

void engine_send(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n)
{
	(void)e;
	(void)lane;
	for (unsigned i = 0; i < n; i++) {
		struct packet p;

		CHECK(packet_read(rte_pktmbuf_mtod(m[i], const uint8_t *), m[i]->data_len, &p),
		      "a sound frame");
		serve(&p);
	}
	rte_pktmbuf_free_bulk(m, n);
}

static struct options options(const char *user)
{
	struct options o = { .n_ports = 1,
		             .client_port_min = 10000,
		             .client_port_max = 29999,
		             .peer_port_min = 30000,
		             .peer_port_max = 49999,
		             .client_family = 4,
		             .peer_family = 4,
		             .user = user,
		             .password = user != NULL ? target_password : NULL,
		             .seed = 7 };

	CHECK(cidr_parse("198.18.0.2/24", &o.port[0].address[0]), "address");
	o.port[0].n_addresses = 1;
	o.server[0] = at("198.18.0.1:3478");
	return o;
}

static void target_begin(const char *user)
{
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN];

	memset(&target, 0, sizeof(target));
	target.at = at("198.18.0.1:3478");
	if (user == NULL)
		return;
	crypto_long_term(user, strlen(user), target_realm, target_password, strlen(target_password),
	                 md5, sha256);
	crypto_hmac_sha1_key(&target.key, md5, sizeof(md5));
}

static void turn(struct replay *r)
{
	replay_turn(r, clock_ns);
	for (unsigned i = 0; i < target.answers; i++) {
		uint8_t *exact = copy_exact(target.answer[i].octets, target.answer[i].len);
		const struct endpoint to = target.answer[i].to, from = target.answer[i].from;

		CHECK(replay_input(r, clock_ns, &to, &from, exact, target.answer[i].len), "ours");
		free(exact);
	}
	target.answers = 0;
	clock_ns += ms;
}

static struct report_storm run(struct replay *r, unsigned turns_max)
{
	static struct report_storm out;
	unsigned n = 0;

	CHECK(r != NULL, "opens");
	memset(&out, 0, sizeof(out));
	if (r == NULL)
		return out;
	while (!replay_done(r) && n++ < turns_max)
		turn(r);
	CHECK(replay_done(r), "comes to an end");
	replay_report(r, &out);
	replay_free(r);
	return out;
}

static struct replay *open_file(FILE *in, double speed, struct options *o)
{
	const struct storm_field field = { .options = o, .pool = pool };

	return replay_open_stream(in, "the test's", speed, &field);
}

static void check_call(const struct report_storm *out)
{
	CU_ASSERT_STRING_EQUAL(target.order, "APCcspBR");
	CU_ASSERT_EQUAL(target.good_mac, 4);
	CU_ASSERT_EQUAL(target.bad_mac, 0);
	CU_ASSERT_EQUAL(target.bare, 1);
	CU_ASSERT_EQUAL(target.asked[TURN_ALLOCATE], 2);
	CU_ASSERT_EQUAL(target.fingerprints, 6);
	CU_ASSERT_EQUAL(out->sent, 9);
	CU_ASSERT_EQUAL(out->answered, 6);
	CU_ASSERT_EQUAL(out->failed, 0);
	CU_ASSERT_EQUAL(out->code[401], 1);
	CHECK(strstr(out->said, "Allocate 2/2") != NULL, out->said);
	CHECK(strstr(out->said, "Refresh 1/1") != NULL, out->said);
	CHECK(strstr(out->said, "1 datagrams from peers") != NULL, out->said);
	CHECK(strstr(out->said, "3 of the capture left out") != NULL, out->said);
}

static void test_call(void)
{
	struct options o = options("alice");
	struct report_storm out;
	struct tape t;

	tape_open(&t);
	tape_call(&t);
	target_begin("alice");
	out = run(open_file(tape_file(&t), 1, &o), 2000);
	check_call(&out);
	/* 210 ms between the first that was sent and the last. */
	CHECK(out.seconds > 0.19 && out.seconds < 0.24, "its own time");
	free(t.octets);
}

/* However fast: nothing overtakes a request that waits, so the same things happen. */
static void test_fast(void)
{
	struct options o = options("alice");
	struct report_storm out;
	struct tape t;

	tape_open(&t);
	tape_call(&t);
	target_begin("alice");
	out = run(open_file(tape_file(&t), 100000, &o), 2000);
	CU_ASSERT_EQUAL(target.good_mac, 4);
	CU_ASSERT_EQUAL(out.failed, 0);
	CHECK(out.seconds < 0.03, "faster");
	/* Only the other client's Binding request need not wait. */
	CHECK(strstr(target.order, "AP") != NULL || strstr(target.order, "ABP") != NULL ||
	              strstr(target.order, "BAP") != NULL,
	      target.order);
	CHECK(strchr(target.order, 'A') < strchr(target.order, 'P') &&
	              strchr(target.order, 'C') < strchr(target.order, 'c') &&
	              strchr(target.order, 'c') < strchr(target.order, 's') &&
	              strchr(target.order, 'p') < strchr(target.order, 'R'),
	      target.order);
	free(t.octets);
}

/* The number of the client stands in its name; a stale nonce is taken as it is meant. */
static void test_stale(void)
{
	struct options o = options("user-%u");
	struct report_storm out;
	struct tape t;

	tape_open(&t);
	tape_call(&t);
	target_begin("user-0");
	target.stale = 1;
	out = run(open_file(tape_file(&t), 1, &o), 2000);
	CU_ASSERT_EQUAL(target.good_mac, 4);
	CU_ASSERT_EQUAL(out.failed, 0);
	CU_ASSERT_EQUAL(out.code[438], 0);
	free(t.octets);
}

/* A capture that begins in the middle: the first signed request goes bare, and learns. */
static void test_middle(void)
{
	struct options o = options("alice");
	struct report_storm out;
	struct tape t;

	tape_open(&t);
	put_request(&t, THEN_CLIENT, TURN_REFRESH, 1, true, NULL);
	put_answer(&t, THEN_CLIENT, TURN_REFRESH, 1, 0, NULL);
	target_begin("alice");
	out = run(open_file(tape_file(&t), 1, &o), 2000);
	CU_ASSERT_EQUAL(target.bare, 1);
	CU_ASSERT_EQUAL(target.good_mac, 1);
	CU_ASSERT_EQUAL(out.answered, 1);
	CU_ASSERT_EQUAL(out.failed, 0);
	free(t.octets);
}

/* Wrong password: three attempts at most, and told as differing from the capture. */
static void test_refused(void)
{
	struct options o = options("alice");
	struct report_storm out;
	struct tape t;

	tape_open(&t);
	put_request(&t, THEN_CLIENT, TURN_ALLOCATE, 1, true, NULL);
	put_answer(&t, THEN_CLIENT, TURN_ALLOCATE, 1, 0, THEN_RELAYED);
	target_begin("mallory");
	out = run(open_file(tape_file(&t), 1, &o), 2000);
	CU_ASSERT_EQUAL(target.asked[TURN_ALLOCATE], 3);
	CU_ASSERT_EQUAL(out.code[401], 1);
	CU_ASSERT_EQUAL(out.failed, 1);
	free(t.octets);
}

/* Without credentials, signed requests keep their octets and their transaction ids. */
static void test_kept(void)
{
	struct options o = options(NULL);
	struct report_storm out;
	struct tape t;

	tape_open(&t);
	tape_call(&t);
	target_begin(NULL);
	target.open = true;
	out = run(open_file(tape_file(&t), 1, &o), 2000);
	CU_ASSERT_EQUAL(target.asked[TURN_ALLOCATE], 2);
	CHECK(target.same_txid[2] && target.same_txid[3] && target.same_txid[7], "kept");
	CHECK(!target.same_txid[1] && !target.same_txid[6], "the others are renewed");
	CU_ASSERT_EQUAL(out.answered, 6);
	CU_ASSERT_EQUAL(out.failed, 1); /* the first was refused then, and is not now */
	free(t.octets);
}

static void test_nobody(void)
{
	struct options o = options("alice");
	struct report_storm out;
	struct tape t;

	tape_open(&t);
	tape_call(&t);
	target_begin("alice");
	target.mute = true;
	out = run(open_file(tape_file(&t), 10, &o), 20000);
	CU_ASSERT_EQUAL(out.answered, 0);
	CU_ASSERT_EQUAL(out.failed, 6);
	CHECK(strstr(out.said, "Allocate 0/2") != NULL, out.said);
	CHECK(strstr(out.said, "1 had nowhere to go") != NULL, out.said);
	free(t.octets);
}

/* pcapng by hand: a section, an interface of raw IP, two packets. */
static void block(FILE *f, uint32_t type, const void *body, uint32_t len)
{
	const uint32_t total = 12 + ((len + 3) & ~UINT32_C(3)), zero = 0;

	fwrite(&type, 4, 1, f);
	fwrite(&total, 4, 1, f);
	fwrite(body, len, 1, f);
	fwrite(&zero, (4 - len % 4) % 4, 1, f);
	fwrite(&total, 4, 1, f);
}

static void ng_packet(FILE *f, uint32_t micros, const char *from, const char *to,
                      const struct build *m)
{
	const struct endpoint a = at(from), b = at(to);
	struct {
		uint32_t interface, high, low, captured, len;
		uint8_t octets[600];
	} body = { .low = micros };
	uint8_t frame[600];
	const size_t n =
		packet_make(frame, sizeof(frame), no_macs, &a, &b, m->octets, stun_finish(&m->b)) -
		PACKET_ETH;

	body.captured = body.len = (uint32_t)n;
	memcpy(body.octets, frame + PACKET_ETH, n);
	block(f, 6, &body, (uint32_t)(20 + n));
}

static void test_pcapng(void)
{
	static const uint32_t section[4] = { 0x1A2B3C4D, 1, 0xFFFFFFFF, 0xFFFFFFFF };
	static const uint32_t interface[2] = { 101 /* LINKTYPE_RAW */, 65535 };
	struct options o = options("alice");
	struct report_storm out;
	struct build m;
	char *octets = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&octets, &len);

	block(f, 0x0A0D0D0A, section, sizeof(section));
	block(f, 1, interface, sizeof(interface));
	begin(&m, STUN_BINDING, STUN_REQUEST, 1);
	ng_packet(f, 1000, THEN_CLIENT, THEN_SERVER, &m);
	begin(&m, STUN_BINDING, STUN_REQUEST, 2);
	ng_packet(f, 51000, THEN_CLIENT, THEN_SERVER, &m);
	fclose(f);
	target_begin("alice");
	out = run(open_file(fmemopen(octets, len, "rb"), 1, &o), 2000);
	CU_ASSERT_EQUAL(out.answered, 2);
	CHECK(out.seconds > 0.045 && out.seconds < 0.06, "fifty milliseconds");
	free(octets);
}

/* What is no capture, or has nothing for us, is refused with a line. */
static void test_nothing(void)
{
	static const char text[] = "this is no capture at all, but long enough to be one";
	struct options o = options("alice");
	const struct storm_field field = { .options = &o, .pool = pool };
	struct tape t;

	CHECK(replay_open("/nonexistent/file.pcap", 1, &field) == NULL, "no file");
	CHECK(open_file(fmemopen((void *)(uintptr_t)text, sizeof(text), "rb"), 1, &o) == NULL,
	      "no capture");
	tape_open(&t);
	tape_udp(&t, "192.0.2.1:53", "192.0.2.2:53", "\200domain", 7);
	CHECK(open_file(tape_file(&t), 1, &o) == NULL, "nothing in it");
	free(t.octets);
}

/* Cut at every octet, and with every octet of the headers turned: no crash, no endless loop. */
static void test_hostile(void)
{
	struct options o = options("alice");
	struct tape t;
	unsigned whole = 0;

	tape_open(&t);
	tape_call(&t);
	fclose(tape_file(&t));
	for (size_t cut = 1; cut < t.len; cut += 7) {
		char *part = copy_exact(t.octets, cut);
		struct replay *r = open_file(fmemopen(part, cut, "rb"), 1e6, &o);

		target_begin("alice");
		for (unsigned i = 0; r != NULL && i < 20; i++)
			turn(r);
		whole += r != NULL;
		replay_free(r);
		free(part);
	}
	CHECK(whole > 50, "most have something in them");
	for (size_t i = 24; i < t.len; i += 5) {
		char *turned = copy_exact(t.octets, t.len);

		turned[i] = (char)(turned[i] ^ 0xFF);
		struct replay *r = open_file(fmemopen(turned, t.len, "rb"), 1e6, &o);
		target_begin("alice");
		target.mute = true;
		for (unsigned k = 0; r != NULL && k < 5; k++)
			turn(r);
		replay_free(r);
		free(turned);
	}
	free(t.octets);
}

int main(void)
{
	CU_TestInfo tests[] = { { "a call", test_call },
		                { "fast", test_fast },
		                { "stale nonce, numbered names", test_stale },
		                { "from the middle", test_middle },
		                { "refused", test_refused },
		                { "without credentials", test_kept },
		                { "nobody answers", test_nobody },
		                { "pcapng", test_pcapng },
		                { "nothing to replay", test_nothing },
		                { "hostile captures", test_hostile },
		                CU_TEST_INFO_NULL };

	eal_rig_start("replay", 64, EAL_RIG_ANY_CORE, 0);
	pool = rte_pktmbuf_pool_create("replay", 1023, 0, 0, 2176, SOCKET_ID_ANY);
	if (pool == NULL)
		return 2;
	clock_ns = 1000 * ms;
	return run_suite("replay", tests);
}
