/* Mirrors dataplane/burst.c, classify.c, rewrite.h, hairpin.c: frames in, frames out. */
#include "lab.h"

#include <stdlib.h>

#include "dataplane/burst.h"
#include "tests/vectors.h"
#include "wire/attr.h"
#include "wire/checksum.h"
#include "wire/crc.h"

#define CLIENT4 "192.0.2.1"
#define PEER4 "203.0.113.7"
#define RELAY4 "198.51.100.1"
#define CLIENT6 "2001:db8:c::1"
#define PEER6 "2001:db8:7::9"
#define RELAY6 "2001:db8::1"

static uint32_t set(const struct cmd_flow *c, uint16_t adjacency, bool turned)
{
	uint32_t row = ROW_NONE;

	CHECK(flow_set(lab.dp.flows, c, adjacency, turned, false, &row) == FLOW_OK, "set");
	return row;
}

static void delete (const struct cmd_flow *c)
{
	struct flow_final final[8];
	uint16_t adjacency;

	CHECK(flow_delete(lab.dp.flows, c, 7, &adjacency) == FLOW_OK, "delete");
	while (flow_reclaim(lab.dp.flows, final, 8) > 0)
		;
}

static struct flow_final delete_and_count(const struct cmd_flow *c)
{
	struct flow_final final[8], found = { .row = ROW_NONE };
	uint16_t adjacency;
	unsigned n;

	CHECK(flow_delete(lab.dp.flows, c, 77, &adjacency) == FLOW_OK, "delete");
	while ((n = flow_reclaim(lab.dp.flows, final, 8)) > 0)
		for (unsigned i = 0; i < n; i++)
			if (final[i].tag == 77)
				found = final[i];
	return found;
}

static const uint8_t *sent_octets(unsigned i)
{
	return rte_pktmbuf_mtod(lab.sent[i].m, const uint8_t *);
}

/* --- vectors of kind sum: the real rewrite against an independent one --- */

struct ip {
	uint8_t *octets;
	size_t len;
	unsigned head;
	struct endpoint src, dst;
};

static struct ip open_ip(const char *hex)
{
	struct ip p = { .octets = NULL };

	p.octets = vectors_hex(hex, &p.len);
	const bool six = p.octets[0] >> 4 == 6;
	const uint8_t *const o = p.octets;

	p.head = six ? 40 : 20;
	p.src.addr = six ? p.src.addr : addr_from4(o + 12);
	p.dst.addr = six ? p.dst.addr : addr_from4(o + 16);
	if (six) {
		memcpy(p.src.addr.ip, o + 8, 16);
		memcpy(p.dst.addr.ip, o + 24, 16);
	}
	p.src.port = be16_load(o + p.head);
	p.dst.port = be16_load(o + p.head + 2);
	return p;
}

static struct cmd_flow flow_of(uint8_t kind, const struct endpoint *client,
                               const struct endpoint *relay, const struct endpoint *peer,
                               uint16_t channel)
{
	struct cmd_flow c = { .kind = kind,
		              .client_port = client->port,
		              .peer_port = peer->port,
		              .relayed_port = relay->port,
		              .channel = channel,
		              .listener = !addr_is4(&client->addr),
		              .relay = !addr_is4(&relay->addr),
		              .deadline_s = LAB_NOW_S + 1,
		              .deadline_in_s = LAB_NOW_S + 1 };

	memcpy(c.client_ip, client->addr.ip, 16);
	memcpy(c.peer_ip, peer->addr.ip, 16);
	return c;
}

static void run_pair(const struct vector *v)
{
	struct ip before = open_ip(vectors_text(v->json, "before"));
	struct ip after = open_ip(vectors_text(v->json, "after"));
	const char *const op = vectors_text(v->json, "op");
	const bool inward = strncmp(op, "UDP from", 8) == 0;
	const bool data = strstr(op, "Data indication") != NULL;
	const bool send = strncmp(op, "Send", 4) == 0;
	const struct endpoint *const client = inward ? &after.dst : &before.src;
	const struct endpoint *const relay = inward ? &before.dst : &after.src;
	const struct endpoint *const peer = inward ? &before.src : &after.dst;
	const struct ip *const wrapped = inward ? &after : &before;
	const uint8_t kind = addr_is4(&peer->addr) ? FLOW_ALLOCATION4 : FLOW_ALLOCATION6;
	const struct cmd_flow allocation = flow_of(kind, client, relay, peer, 0);
	const struct cmd_flow child =
		flow_of(data || send ? FLOW_PERMISSION : FLOW_CHANNEL, client, relay, peer,
	                be16_load(wrapped->octets + wrapped->head + 8));
	uint8_t frame[2048];

	set(&allocation, LAB_WIRE, false);
	set(&child, LAB_WIRE, false);
	const unsigned len = lab_frame(frame, before.octets, (unsigned)before.len);
	const enum stat_id want = data     ? STAT_PEER_TO_DATA
	                          : send   ? STAT_SEND_TO_PEER
	                          : inward ? STAT_PEER_TO_CHANNEL
	                                   : STAT_CHANNEL_TO_PEER;

	CHECK(lab_one(frame, len) == want, v->name);
	CHECK(lab.n_sent == 1, v->name);
	if (lab.n_sent == 1) {
		const uint8_t *const out = sent_octets(0);
		uint8_t *const udp = after.octets + after.head;
		const bool wrong = strcmp(vectors_text(v->json, "state_after"), "wrong") == 0;

		CHECK(lab.sent[0].m->pkt_len == 14 + after.len, v->name);
		CHECK(lab_sums_right(out, lab.sent[0].m->pkt_len) == !wrong, v->name);
		if (data) { /* the transaction id is ours, and what is xored with it */
			memcpy(udp + 6, out + 14 + after.head + 6, 2);
			memcpy(udp + 16, out + 14 + after.head + 16, 12);
			if (!addr_is4(&peer->addr))
				for (unsigned i = 0; i < 16; i++)
					udp[36 + i] = peer->addr.ip[i] ^ udp[12 + i];
		}
		CHECK(memcmp(out + 14 + after.head, udp, after.len - after.head) == 0, v->name);
		const unsigned at = after.head == 40 ? 8 : 12, n = after.head == 40 ? 32 : 8;
		CHECK(memcmp(out + 14 + at, after.octets + at, n) == 0, v->name);
	}
	delete (&child);
	delete (&allocation);
	free(before.octets);
	free(after.octets);
}

static void run_single(const struct vector *v)
{
	struct ip p = open_ip(vectors_text(v->json, "before"));
	uint8_t frame[2048];
	const unsigned len = lab_frame(frame, p.octets, (unsigned)p.len);
	const struct cmd_flow allocation = flow_of(FLOW_ALLOCATION4, &p.src, &p.dst, &p.src, 0);
	const struct cmd_flow channel = flow_of(FLOW_CHANNEL, &p.src, &p.dst, &p.src, 0x4000);
	static const struct {
		const char *why;
		enum stat_id outcome;
	} whys[] = {
		{ "udp-zero-checksum6", STAT_UDP_ZERO_CHECKSUM6 },
		{ "udp-length", STAT_UDP_MALFORMED },
		{ "ip-checksum", STAT_IP_MALFORMED },
	};

	if (strcmp(v->action, "accept") == 0) {
		set(&allocation, LAB_WIRE, false);
		set(&channel, LAB_WIRE, false);
		CHECK(lab_one(frame, len) == STAT_PEER_TO_CHANNEL, v->name);
		size_t n;
		uint8_t *data = vectors_hex(vectors_text(v->json, "data"), &n);
		CHECK(lab.sent[0].m->pkt_len == 14 + 28 + 4 + n, v->name); /* TURN-147 */
		CHECK(memcmp(sent_octets(0) + 46, data, n) == 0, v->name);
		free(data);
		delete (&channel);
		delete (&allocation);
	}
	for (unsigned i = 0; i < RTE_DIM(whys); i++)
		if (strcmp(v->why, whys[i].why) == 0)
			CHECK(lab_one(frame, len) == whys[i].outcome, v->name);
	free(p.octets);
}

static void test_vectors(void)
{
	struct vectors *vs = vectors_load();
	unsigned pairs = 0, singles = 0;

	for (size_t i = 0; i < vs->n; i++) {
		const struct vector *const v = &vs->list[i];

		if (strcmp(v->kind, "sum") != 0)
			continue;
		if (json_object_get(v->json, "after")) {
			run_pair(v);
			pairs++;
		} else if (json_object_get(v->json, "before")) {
			run_single(v);
			singles++;
		}
	}
	CHECK(pairs == 25 && singles == 5, "all vectors of the kind were run");
	vectors_free(vs);
}

/* --- all paths, all family pairs, all lengths --- */

struct pair {
	const char *client, *listener, *peer, *relay;
	uint8_t kind;
};
static const struct pair pairs[] = {
	{ CLIENT4, RELAY4, PEER4, RELAY4, FLOW_ALLOCATION4 },
	{ CLIENT6, RELAY6, PEER6, RELAY6, FLOW_ALLOCATION6 },
	{ CLIENT4, RELAY4, PEER6, RELAY6, FLOW_ALLOCATION6 },
	{ CLIENT6, RELAY6, PEER4, RELAY4, FLOW_ALLOCATION4 },
};

/* A Send indication for a peer; its octets. */
static unsigned send_indication(uint8_t *out, const char *peer, uint16_t port, const void *data,
                                uint16_t len, bool df, bool fingerprint)
{
	const uint8_t txid[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	const struct endpoint to = { lab_addr(peer), port };
	struct stun_builder b;

	stun_begin(&b, out, 2048, stun_type(TURN_SEND, STUN_INDICATION), txid);
	stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, &to);
	if (df)
		stun_put(&b, TURN_DONT_FRAGMENT, NULL, 0);
	stun_put(&b, TURN_DATA_ATTR, data, len);
	if (fingerprint)
		stun_put_fingerprint(&b);
	return (unsigned)stun_finish(&b);
}

static unsigned channel_data(uint8_t *out, uint16_t number, const void *data, uint16_t len,
                             unsigned trail)
{
	channel_put(out, number, len);
	memcpy(out + 4, data, len);
	memset(out + 4 + len, 0xA5, trail);
	return 4 + len + trail;
}

/* Header rules: DSCP and ECN as they came, one hop less, addresses and ports, both sums. */
static void check_headers(const char *src, uint16_t sport, const char *dst, uint16_t dport,
                          unsigned payload, const char *what)
{
	CHECK(lab.n_sent == 1, what);
	if (lab.n_sent != 1)
		return;
	const uint8_t *const f = sent_octets(0), *const ip = f + 14;
	const struct addr from = lab_addr(src), to = lab_addr(dst);
	const bool six = !addr_is4(&from);
	const unsigned head = six ? 40 : 20;

	CHECK(lab_sums_right(f, lab.sent[0].m->pkt_len), what); /* TURN-146 */
	CHECK(lab.sent[0].m->pkt_len == 14 + head + 8 + payload, what);
	CHECK(lab.sent[0].m->data_len == lab.sent[0].m->pkt_len, what);
	CHECK(be16_load(f + 12) == (six ? 0x86DD : 0x0800), what);
	CHECK(memcmp(f, (const uint8_t[]){ 2, 2, 3, 4, 5, 6, 2, 0, 0, 0, 0, 1 }, 12) == 0, what);
	if (six) {
		CHECK((be16_load(ip) >> 4 & 0xFF) == 0xB8, what);  /* TURN-127, TURN-129 */
		CHECK(ip[6] == 17 && ip[7] == 63, what);           /* TURN-135 */
		CHECK((be32_load(ip) & 0xFFFFF) != 0xABCDE, what); /* TURN-137 */
		CHECK(memcmp(ip + 8, from.ip, 16) == 0 && memcmp(ip + 24, to.ip, 16) == 0, what);
	} else {
		CHECK(ip[0] == 0x45 && ip[1] == 0xB8, what);
		CHECK(ip[8] == 63 && ip[9] == 17, what); /* TURN-134 */
		CHECK((ip[6] & 0x3F) == 0 && ip[7] == 0, what);
		CHECK(memcmp(ip + 12, from.ip + 12, 4) == 0 && memcmp(ip + 16, to.ip + 12, 4) == 0,
		      what);
	}
	CHECK(be16_load(ip + head) == sport && be16_load(ip + head + 2) == dport, what);
}

static const uint8_t *payload_of(const char *src)
{
	const struct addr from = lab_addr(src);

	return sent_octets(0) + 14 + (addr_is4(&from) ? 20 : 40) + 8;
}

static void relay_lengths(const struct pair *p)
{
	uint8_t data[1400], wrapped[2048], frame[2048];
	const struct addr peer = lab_addr(p->peer);
	const struct cmd_flow allocation = lab_flow(p->kind, p->client, 4000, NULL, 0, 0, 50000);
	const struct cmd_flow permission =
		lab_flow(FLOW_PERMISSION, p->client, 4000, p->peer, 0, 0, 0);
	const struct cmd_flow channel =
		lab_flow(FLOW_CHANNEL, p->client, 4000, p->peer, 7000, 0x4001, 0);
	const struct cmd_flow second =
		lab_flow(FLOW_CHANNEL, p->client, 4000, p->peer, 7001, 0x4002, 0);
	uint64_t to_client = 0, by_send = 0, by_channel = 0, octets = 0;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + 1);
	set(&allocation, LAB_WIRE, false);
	set(&permission, LAB_WIRE, false);
	set(&channel, LAB_WIRE, false);
	set(&second, LAB_WIRE, false);
	for (uint16_t len = 0; len <= 1400; len = (uint16_t)(len < 40 ? len + 1 : len + 136)) {
		unsigned n = channel_data(wrapped, 0x4001, data, len, len % 5);

		/* ChannelData to the peer; what trails is not relayed (TURN-114). */
		n = lab_udp(frame, p->client, 4000, p->listener, 3478, wrapped, n);
		CHECK(lab_one(frame, n) == STAT_CHANNEL_TO_PEER, "channel to peer");
		check_headers(p->relay, 50000, p->peer, 7000, len, "channel to peer");
		CHECK(memcmp(payload_of(p->relay), data, len) == 0, "data");
		by_channel++;
		octets += len;

		/* Send to another port of the same address: permissions have none (TURN-075). */
		n = send_indication(wrapped, p->peer, 7777, data, len, false, len % 2);
		n = lab_udp(frame, p->client, 4000, p->listener, 3478, wrapped, n);
		CHECK(lab_one(frame, n) == STAT_SEND_TO_PEER, "send to peer");
		check_headers(p->relay, 50000, p->peer, 7777, len, "send to peer");
		CHECK(memcmp(payload_of(p->relay), data, len) == 0, "data");
		by_send++;

		/* From the bound peers: ChannelData, in the row and beside it (TURN-111). */
		for (uint16_t i = 0; i < 2; i++) {
			n = lab_udp(frame, p->peer, (uint16_t)(7000 + i), p->relay, 50000, data,
			            len);
			CHECK(lab_one(frame, n) == STAT_PEER_TO_CHANNEL, "peer to channel");
			check_headers(p->listener, 3478, p->client, 4000, len + 4u,
			              "peer to channel"); /* no padding: DEMUX-014 */
			CHECK(be16_load(payload_of(p->listener)) == 0x4001 + i, "number");
			CHECK(be16_load(payload_of(p->listener) + 2) == len, "length");
			CHECK(memcmp(payload_of(p->listener) + 4, data, len) == 0, "data");
			to_client++;
		}

		/* From another port: Data indication (TURN-093). */
		n = lab_udp(frame, p->peer, 7777, p->relay, 50000, data, len);
		CHECK(lab_one(frame, n) == STAT_PEER_TO_DATA, "peer to data");
		const unsigned overhead = addr_is4(&peer) ? 36 : 48;
		check_headers(p->listener, 3478, p->client, 4000, overhead + (unsigned)pad4(len),
		              "peer to data");
		struct stun_msg msg = { .octets = data, .attrs = data, .end = data };
		struct stun_attr a;
		struct endpoint from;
		CHECK(stun_open(payload_of(p->listener), overhead + pad4(len), &msg), "STUN");
		CHECK(msg.type == stun_type(TURN_DATA, STUN_INDICATION), "type");
		CHECK(stun_find(&msg, TURN_XOR_PEER_ADDRESS, &a) &&
		              stun_xor_addr(&msg, &a, &from) != 0 &&
		              addr_equal(&from.addr, &peer) && from.port == 7777,
		      "peer");
		CHECK(stun_find(&msg, TURN_DATA_ATTR, &a) && a.len == len &&
		              memcmp(a.value, data, len) == 0,
		      "data");
		to_client++;
	}
	/* Counts: application data, by the row that each way has (final, after the grace period).
	 */
	const struct flow_final of_channel = delete_and_count(&channel);
	CHECK(of_channel.packets == by_channel && of_channel.octets == octets, "channel counts");
	delete (&second);
	const struct flow_final of_permission = delete_and_count(&permission);
	CHECK(of_permission.packets == by_send && of_permission.octets == octets, "send counts");
	const struct flow_final of_allocation = delete_and_count(&allocation);
	CHECK(of_allocation.packets == to_client && of_allocation.octets == 3 * octets,
	      "counts to the client");
	CHECK(flow_used(lab.dp.flows) == 0, "all rows are back");
}

static void test_paths(void)
{
	for (unsigned i = 0; i < RTE_DIM(pairs); i++)
		relay_lengths(&pairs[i]);
}

/* --- one frame for each name --- */

static unsigned to_listener(uint8_t *frame, const void *data, unsigned len)
{
	return lab_udp(frame, CLIENT4, 4000, RELAY4, 3478, data, len);
}

static void expect(const uint8_t *frame, unsigned len, enum stat_id want)
{
	const enum stat_id found = lab_one(frame, len);

	CHECK(found == want, stat_names[want].name);
	if (found != want)
		printf("\n    %s: was %s", stat_names[want].name,
		       found == STAT_COUNT ? "not one outcome" : stat_names[found].name);
}

static void expect_stun(unsigned method, enum stun_class cls, enum stat_id want)
{
	uint8_t msg[64], frame[256];
	struct stun_builder b;
	const uint8_t txid[12] = { 0 };

	stun_begin(&b, msg, sizeof(msg), stun_type(method, cls), txid);
	expect(frame, to_listener(frame, msg, (unsigned)stun_finish(&b)), want);
}

static void test_drops_of_frames(void)
{
	uint8_t f[2048], g[2048];
	const uint8_t cd[8] = { 0x40, 0, 0, 4, 1, 2, 3, 4 };
	unsigned n = to_listener(f, cd, 8);

	expect(f, 13, STAT_FRAME_SHORT);
	memcpy(g, f, n);
	be16_store(g + 12, 0x8100);
	be16_store(g + 16, 0x88A8);
	expect(g, 17, STAT_FRAME_SHORT);
	expect(g, 21, STAT_FRAME_SHORT);
	expect(g, 22, STAT_TO_KERNEL);
	expect(f, 33, STAT_IP_MALFORMED);
	expect(f, n - 1, STAT_IP_MALFORMED); /* shorter than its IP length says (design 2.2) */
	memcpy(g, f, n);
	g[24] ^= 1; /* header sum */
	expect(g, n, STAT_IP_MALFORMED);
	memcpy(g, f, n);
	g[14] = 0x44;
	expect(g, n, STAT_IP_MALFORMED);
	memcpy(g, f, n);
	be16_store(g + 38, 7);
	expect(g, n, STAT_UDP_MALFORMED);
	be16_store(g + 38, 17);
	expect(g, n, STAT_UDP_MALFORMED);
	n = lab_udp(f, CLIENT6, 4000, RELAY6, 3478, cd, 8);
	be16_store(f + 60, 0);
	expect(f, n, STAT_UDP_ZERO_CHECKSUM6);
	expect(f, 53, STAT_IP_MALFORMED);
	n = lab_udp(f, CLIENT4, 0, RELAY4, 3478, cd, 8);
	expect(f, n, STAT_BAD_SOURCE);
	static const char *const bad[] = { "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255" };
	for (unsigned i = 0; i < RTE_DIM(bad); i++)
		expect(f, lab_udp(f, bad[i], 4000, RELAY4, 3478, cd, 8), STAT_BAD_SOURCE);
	static const char *const bad6[] = { "::", "::1", "ff02::1" };
	for (unsigned i = 0; i < RTE_DIM(bad6); i++)
		expect(f, lab_udp(f, bad6[i], 4000, RELAY6, 3478, cd, 8), STAT_BAD_SOURCE);
	expect(f, lab_udp(f, RELAY4, 4000, RELAY4, 3478, cd, 8), STAT_LOOP);
	expect(f, lab_udp(f, RELAY4, 50000, RELAY4, 50001, cd, 8), STAT_LOOP);
	expect(f, lab_udp(f, "203.0.113.200", 50000, RELAY4, 50001, cd, 8), STAT_LOOP);
}

static void test_drops_of_datagrams(void)
{
	uint8_t f[2048], d[256] = { 0 };

	expect(f, to_listener(f, NULL, 0), STAT_DEMUX_EMPTY);
	for (unsigned o = 0; o < 256; o++) {
		d[0] = (uint8_t)o; /* DEMUX-001, every octet */
		const enum stat_id want = o < 4     ? STAT_STUN_BAD_COOKIE
		                          : o < 16  ? STAT_DEMUX_RESERVED
		                          : o < 20  ? STAT_DEMUX_ZRTP
		                          : o < 64  ? STAT_DEMUX_DTLS_OFF
		                          : o < 80  ? STAT_CD_UNBOUND
		                          : o < 128 ? STAT_DEMUX_RESERVED
		                          : o < 192 ? STAT_DEMUX_RTP
		                                    : STAT_DEMUX_RESERVED;
		expect(f, to_listener(f, d, 20), want);
	}
	memcpy(d, (const uint8_t[]){ 0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42 }, 8);
	expect(f, to_listener(f, d, 20), STAT_STUN_MALFORMED);
	be16_store(d + 2, 8);
	be32_store(d + 20, 0x00060009); /* an attribute that overruns: STUN-015 */
	expect(f, to_listener(f, d, 28), STAT_STUN_MALFORMED);
	be32_store(d + 20, 0x80280004);
	expect(f, to_listener(f, d, 28), STAT_STUN_FINGERPRINT);
	expect_stun(STUN_BINDING, STUN_SUCCESS, STAT_STUN_RESPONSE);
	expect_stun(TURN_DATA, STUN_INDICATION, STAT_STUN_METHOD);
	expect_stun(TURN_SEND, STUN_REQUEST, STAT_STUN_METHOD);
	expect_stun(2, STUN_REQUEST, STAT_STUN_METHOD);
	expect_stun(STUN_BINDING, STUN_REQUEST, STAT_BINDING);
	CHECK(lab.answered == 1, "Binding goes to the answers");
	d[0] = 0x40;
	be16_store(d + 2, 17);
	expect(f, to_listener(f, d, 20), STAT_CD_MALFORMED);
	expect(f, to_listener(f, d, 3), STAT_CD_MALFORMED);
}

/* A Send indication of raw attributes. */
static unsigned raw_send(uint8_t *frame, const void *attrs, unsigned len)
{
	uint8_t d[128] = { 0, 0x16, 0, (uint8_t)len, 0x21, 0x12, 0xA4, 0x42 };

	memcpy(d + 20, attrs, len);
	return to_listener(frame, d, 20 + len);
}

static void test_drops_of_sends(void)
{
	uint8_t f[2048], d[2048];
	static const uint8_t peer[] = { 0, 0x12, 0, 8, 0, 1, 1, 1, 1, 1, 1, 1 };
	static const uint8_t data[] = { 0, 0x13, 0, 0 };
	uint8_t both[16], more[24];

	memcpy(both, peer, 12);
	memcpy(both + 12, data, 4);
	expect(f, raw_send(f, peer, 12), STAT_SEND_MALFORMED); /* TURN-086 */
	expect(f, raw_send(f, data, 4), STAT_SEND_MALFORMED);
	expect(f, raw_send(f, both, 16), STAT_NO_ALLOCATION);
	both[5] = 3;
	expect(f, raw_send(f, both, 16), STAT_SEND_MALFORMED);
	both[5] = 2; /* of IPv6, with the length of IPv4 */
	expect(f, raw_send(f, both, 16), STAT_SEND_MALFORMED);
	both[5] = 1;
	memcpy(both + 6, (const uint8_t[]){ 0x21, 0x12 }, 2); /* port 0: TURN-090 */
	expect(f, raw_send(f, both, 16), STAT_SEND_MALFORMED);
	memcpy(both, peer, 12);
	memcpy(more, both, 16);
	memcpy(more + 16, (const uint8_t[]){ 0x7F, 0xFF, 0, 0, 0, 0, 0, 0 }, 8);
	expect(f, raw_send(f, more, 20), STAT_STUN_UNKNOWN_ATTRIBUTE); /* STUN-037 */
	memcpy(more + 16, (const uint8_t[]){ 0xC0, 0x57, 0, 0 }, 4);
	expect(f, raw_send(f, more, 20), STAT_NO_ALLOCATION); /* STUN-041 */
	memcpy(more + 16, (const uint8_t[]){ 0, 6, 0, 9 }, 4);
	expect(f, raw_send(f, more, 20), STAT_STUN_MALFORMED);
	const unsigned n = send_indication(d, PEER4, 7000, "x", 1, false, true);
	d[n - 1] ^= 1;
	expect(f, to_listener(f, d, n), STAT_STUN_FINGERPRINT);
}

static void test_drops_of_flows(void)
{
	uint8_t f[2048], d[2048];
	const struct cmd_flow allocation =
		lab_flow(FLOW_ALLOCATION4, CLIENT4, 4000, NULL, 0, 0, 50000);
	struct cmd_flow channel = lab_flow(FLOW_CHANNEL, CLIENT4, 4000, PEER4, 7000, 0x4001, 0);
	struct cmd_flow permission = lab_flow(FLOW_PERMISSION, CLIENT4, 4000, PEER4, 0, 0, 0);
	const unsigned n_cd = channel_data(d, 0x4001, "abcd", 4, 0);

	expect(f, lab_udp(f, PEER4, 7000, RELAY4, 50000, "x", 1), STAT_RELAY_NO_ALLOCATION);
	/* An address of its own: never the kernel's (DEMUX-063). */
	expect(f, lab_udp(f, PEER4, 7000, "203.0.113.200", 80, "x", 1), STAT_RELAY_NO_ALLOCATION);
	expect(f, lab_udp(f, PEER4, 7000, "203.0.113.200", 1024, "x", 1), STAT_RELAY_NO_ALLOCATION);
	set(&allocation, LAB_WIRE, false);
	expect(f, lab_udp(f, PEER4, 7000, RELAY4, 50000, "x", 1), STAT_NO_PERMISSION);
	set(&permission, LAB_WIRE, false);
	set(&channel, LAB_WIRE, false);
	expect(f, lab_udp(f, "203.0.113.8", 7000, RELAY4, 50000, "x", 1), STAT_NO_PERMISSION);
	expect(f, to_listener(f, d, n_cd), STAT_CHANNEL_TO_PEER);
	expect(f, lab_udp(f, CLIENT4, 4001, RELAY4, 3478, d, n_cd), STAT_CD_UNBOUND);

	/* Deadlines are in the row (DEMUX-017, TURN-107). */
	channel.deadline_s = channel.deadline_in_s = LAB_NOW_S;
	set(&channel, LAB_WIRE, false);
	expect(f, to_listener(f, d, n_cd), STAT_CD_EXPIRED);
	expect(f, lab_udp(f, PEER4, 7000, RELAY4, 50000, "x", 1), STAT_PEER_TO_DATA);
	permission.deadline_s = LAB_NOW_S;
	set(&permission, LAB_WIRE, false);
	expect(f, lab_udp(f, PEER4, 7000, RELAY4, 50000, "x", 1), STAT_NO_PERMISSION);
	unsigned n = send_indication(d, PEER4, 7000, "x", 1, false, false);
	expect(f, to_listener(f, d, n), STAT_NO_PERMISSION);
	n = send_indication(d, PEER6, 7000, "x", 1, false, false);
	expect(f, to_listener(f, d, n), STAT_NO_ALLOCATION); /* TURN-090 */
	lab.worker[0].now_s = LAB_NOW_S + 600;
	delete (&channel);
	expect(f, lab_udp(f, PEER4, 7000, RELAY4, 50000, "x", 1), STAT_RELAY_NO_ALLOCATION);
	n = send_indication(d, PEER4, 7000, "x", 1, false, false);
	expect(f, to_listener(f, d, n), STAT_NO_ALLOCATION);
	lab.worker[0].now_s = LAB_NOW_S;
	delete (&permission);
	delete (&allocation);
}

/* --- header rules --- */

static void test_headers(void)
{
	uint8_t f[2048], d[2048];
	const struct cmd_flow allocation =
		lab_flow(FLOW_ALLOCATION4, CLIENT4, 4000, NULL, 0, 0, 50000);
	const struct cmd_flow permission = lab_flow(FLOW_PERMISSION, CLIENT4, 4000, PEER4, 0, 0, 0);
	const struct cmd_flow channel =
		lab_flow(FLOW_CHANNEL, CLIENT4, 4000, PEER4, 7000, 0x4001, 0);
	const unsigned n_cd = channel_data(d, 0x4001, "abcd", 4, 0);
	unsigned n = to_listener(f, d, n_cd);

	set(&allocation, LAB_WIRE, false);
	set(&permission, LAB_WIRE, false);
	set(&channel, LAB_WIRE, false);
	/* TURN-131: DF as it came. */
	expect(f, n, STAT_CHANNEL_TO_PEER);
	CHECK((sent_octets(0)[20] & 0x40) != 0, "DF stays");
	const uint16_t id = be16_load(sent_octets(0) + 18);
	f[20] = 0;
	lab_resum(f);
	expect(f, n, STAT_CHANNEL_TO_PEER);
	CHECK(sent_octets(0)[20] == 0, "no DF stays none");
	CHECK(be16_load(sent_octets(0) + 18) != id, "an identification of its own");
	/* TURN-134 */
	static const uint8_t ttl[] = { 0, 1, 2 };
	for (unsigned i = 0; i < 3; i++) {
		f[22] = ttl[i];
		lab_resum(f);
		expect(f, n, i < 2 ? STAT_TTL_EXPIRED : STAT_CHANNEL_TO_PEER);
	}
	CHECK(sent_octets(0)[22] == 1, "2 becomes 1");
	lab.worker[0].keep_ttl = true;
	expect(f, n, STAT_CHANNEL_TO_PEER);
	CHECK(sent_octets(0)[22] == 64, "reset to 64");
	lab.worker[0].keep_ttl = false;
	/* TURN-091: DONT-FRAGMENT sets DF. */
	for (unsigned df = 0; df < 2; df++) {
		const unsigned m = send_indication(d, PEER4, 7000, "x", 1, df, false);

		n = to_listener(f, d, m);
		f[20] = 0;
		lab_resum(f);
		expect(f, n, STAT_SEND_TO_PEER);
		CHECK((sent_octets(0)[20] & 0x40) == (df ? 0x40 : 0), "DONT-FRAGMENT");
	}
	/* Larger than the next hop takes: the long way, frame as it came (TURN-140). */
	uint8_t big[1500] = { 0 };
	set(&channel, LAB_SMALL, false);
	n = channel_data(d, 0x4001, big, 573, 0);
	expect(f, to_listener(f, d, n), STAT_TOO_BIG);
	CHECK(lab.slow == 1, "600 octets are the limit");
	n = channel_data(d, 0x4001, big, 572, 0);
	expect(f, to_listener(f, d, n), STAT_CHANNEL_TO_PEER);
	/* A port of another worker or device: where the adjacency says. */
	set(&channel, LAB_OTHER, false);
	expect(f, to_listener(f, d, n), STAT_CHANNEL_TO_PEER);
	CHECK(lab.n_sent == 1 && lab.sent[0].port == 1, "egress port");
	set(&channel, LAB_DEAD, false);
	expect(f, to_listener(f, d, n), STAT_CHANNEL_TO_PEER);
	CHECK(lab.n_sent == 0 && lab.given[GIVE_UNRESOLVED] == 1, "waits for its neighbour");
	delete (&channel);
	delete (&permission);
	delete (&allocation);
}

/* TURN-141, TURN-142: between the families. */
static void test_crossings(void)
{
	uint8_t f[2048], d[2048], big[1500] = { 0 };
	const struct cmd_flow a46 = lab_flow(FLOW_ALLOCATION6, CLIENT4, 4000, NULL, 0, 0, 50000);
	const struct cmd_flow c46 = lab_flow(FLOW_CHANNEL, CLIENT4, 4000, PEER6, 7000, 0x4001, 0);
	const struct cmd_flow a64 = lab_flow(FLOW_ALLOCATION4, CLIENT6, 4000, NULL, 0, 0, 50000);
	const struct cmd_flow c64 = lab_flow(FLOW_CHANNEL, CLIENT6, 4000, PEER4, 7000, 0x4001, 0);

	set(&a46, LAB_WIRE, false);
	set(&c46, LAB_WIRE, false);
	unsigned n = to_listener(f, d, channel_data(d, 0x4001, big, 1232, 0));
	f[20] = 0;
	lab_resum(f);
	expect(f, n, STAT_CHANNEL_TO_PEER); /* 1280 with its header */
	n = to_listener(f, d, channel_data(d, 0x4001, big, 1233, 0));
	expect(f, n, STAT_CHANNEL_TO_PEER); /* DF: up to the link */
	f[20] = 0;
	lab_resum(f);
	expect(f, n, STAT_TOO_BIG); /* the long way, in fragments */
	CHECK(lab.slow == 1, "no DF and over 1280");
	n = to_listener(f, d, channel_data(d, 0x4001, "abc", 3, 1));
	f[22] = 1;
	lab_resum(f);
	expect(f, n, STAT_TOO_BIG);
	CHECK(lab.slow == 1, "a hop limit used up is told: TURN-135");
	f[22] = 9;
	be16_store(f + 40, 0); /* DEMUX-073: no sum towards IPv6 is none */
	lab_resum(f);
	expect(f, n, STAT_CHANNEL_TO_PEER);
	CHECK(lab_sums_right(sent_octets(0), lab.sent[0].m->pkt_len), "whole sum");
	const uint32_t label = be32_load(sent_octets(0) + 14) & 0xFFFFF;
	expect(f, n, STAT_CHANNEL_TO_PEER);
	CHECK((be32_load(sent_octets(0) + 14) & 0xFFFFF) == label, "label of the flow");
	delete (&c46);
	delete (&a46);

	set(&a64, LAB_WIRE, false);
	set(&c64, LAB_WIRE, false);
	n = channel_data(d, 0x4001, big, 1232, 0);
	expect(f, lab_udp(f, CLIENT6, 4000, RELAY6, 3478, d, n), STAT_CHANNEL_TO_PEER);
	CHECK((sent_octets(0)[20] & 0x40) == 0, "1260: DF 0");
	n = channel_data(d, 0x4001, big, 1233, 0);
	expect(f, lab_udp(f, CLIENT6, 4000, RELAY6, 3478, d, n), STAT_CHANNEL_TO_PEER);
	CHECK((sent_octets(0)[20] & 0x40) != 0, "1261: DF 1");
	delete (&c64);
	delete (&a64);
}

/* --- hairpin --- */

static void test_hairpin(void)
{
	uint8_t f[2048], d[2048];
	struct cmd_flow a = lab_flow(FLOW_ALLOCATION4, CLIENT4, 4000, NULL, 0, 0, 50000);
	struct cmd_flow b = lab_flow(FLOW_ALLOCATION4, CLIENT6, 5000, NULL, 0, 0, 50001);
	/* a's relay 198.51.100.1, b's 203.0.113.200, advertised as 203.0.113.250. */
	b.relay = 2;
	struct cmd_flow ab =
		lab_flow(FLOW_CHANNEL, CLIENT4, 4000, "203.0.113.250", 50001, 0x4001, 0);
	struct cmd_flow ap = lab_flow(FLOW_PERMISSION, CLIENT4, 4000, "203.0.113.250", 0, 0, 0);
	struct cmd_flow ba = lab_flow(FLOW_CHANNEL, CLIENT6, 5000, RELAY4, 50000, 0x4002, 0);
	struct cmd_flow bp = lab_flow(FLOW_PERMISSION, CLIENT6, 5000, RELAY4, 0, 0, 0);
	const unsigned n_cd = channel_data(d, 0x4001, "abcde", 5, 3);

	set(&a, LAB_WIRE, false);
	set(&b, LAB_OTHER, false);
	set(&ab, LAB_DEAD, true);
	expect(f, to_listener(f, d, n_cd), STAT_NO_PERMISSION); /* b has none: TURN-211 */
	set(&bp, LAB_DEAD, true);
	expect(f, to_listener(f, d, n_cd), STAT_HAIRPIN);
	check_headers(RELAY6, 3478, CLIENT6, 5000, 36 + 8, "turned to Data");
	CHECK(lab.sent[0].port == 1, "by the receiver's port");
	struct stun_msg msg = { .octets = d, .attrs = d, .end = d };
	struct stun_attr attr;
	struct endpoint from;
	CHECK(stun_open(payload_of(RELAY6), 44, &msg) &&
	              stun_find(&msg, TURN_XOR_PEER_ADDRESS, &attr) &&
	              stun_xor_addr(&msg, &attr, &from) == 4 && from.port == 50000,
	      "the sender's relayed address");
	set(&ba, LAB_DEAD, true);
	expect(f, to_listener(f, d, n_cd), STAT_HAIRPIN);
	check_headers(RELAY6, 3478, CLIENT6, 5000, 4 + 5, "turned to ChannelData");
	CHECK(be16_load(payload_of(RELAY6)) == 0x4002, "the receiver's number");
	/* Back, by Send: b is known by its advertised form. */
	uint8_t s[256];
	const unsigned n_send = send_indication(s, RELAY4, 50000, "hey", 3, false, true);
	unsigned n = lab_udp(f, CLIENT6, 5000, RELAY6, 3478, s, n_send);
	expect(f, n, STAT_HAIRPIN);
	check_headers(RELAY4, 3478, CLIENT4, 4000, 4 + 3, "back");
	CHECK(be16_load(payload_of(RELAY4)) == 0x4001, "a's number for b");
	delete (&ab);
	expect(f, n, STAT_NO_PERMISSION);
	set(&ap, LAB_DEAD, true);
	expect(f, n, STAT_HAIRPIN);
	CHECK(stun_open(payload_of(RELAY4), 40, &msg) &&
	              stun_find(&msg, TURN_XOR_PEER_ADDRESS, &attr) &&
	              stun_xor_addr(&msg, &attr, &from) == 4 && from.port == 50001 &&
	              memcmp(from.addr.ip + 12, (const uint8_t[]){ 203, 0, 113, 250 }, 4) == 0,
	      "the advertised form");
	/* Own ports that are no relayed ones (TURN-215), and relayed ones nobody has. */
	const struct {
		uint16_t port;
		enum stat_id outcome;
	} own[] = { { 3478, STAT_PEER_DENIED },
		    { 80, STAT_PEER_DENIED },
		    { 50009, STAT_RELAY_NO_ALLOCATION } };
	for (unsigned i = 0; i < RTE_DIM(own); i++) {
		const unsigned m = send_indication(s, RELAY4, own[i].port, "x", 1, false, false);

		expect(f, lab_udp(f, CLIENT6, 5000, RELAY6, 3478, s, m), own[i].outcome);
	}
	/* TURN-213: to oneself, once. */
	struct cmd_flow self = lab_flow(FLOW_CHANNEL, CLIENT4, 4000, RELAY4, 50000, 0x4003, 0);
	set(&self, LAB_DEAD, true);
	const unsigned n_self = channel_data(d, 0x4003, "abcde", 5, 0);
	expect(f, to_listener(f, d, n_self), STAT_HAIRPIN);
	check_headers(RELAY4, 3478, CLIENT4, 4000, 9, "to oneself");
	CHECK(lab.n_sent == 1 && be16_load(payload_of(RELAY4)) == 0x4003, "once");
	f[22] = 1;
	lab_resum(f);
	expect(f, 14 + 28 + 9, STAT_TTL_EXPIRED); /* one TTL step: TURN-212 */
	delete (&self);
	delete (&a);
	delete (&b);
	CHECK(flow_used(lab.dp.flows) == 0, "an allocation takes its own along");
}

/* --- the rest of the table --- */

static unsigned icmp_error(uint8_t *frame, uint8_t type, const char *quoted_src, uint16_t port,
                           unsigned quoted)
{
	uint8_t inner[256], ip[256] = { 0x45, 0, 0, 0, 0, 1, 0, 0, 64, 1 };

	lab_udp(inner, quoted_src, port, PEER4, 9, "xxxxxxxx", 8);
	be16_store(ip + 2, (uint16_t)(28 + quoted));
	memcpy(ip + 12, lab_addr("192.0.2.254").ip + 12, 4);
	memcpy(ip + 16, lab_addr(RELAY4).ip + 12, 4);
	ip[20] = type;
	memcpy(ip + 28, inner + 14, quoted);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, 20)));
	return lab_frame(frame, ip, 28 + quoted);
}

static void test_kernel(void)
{
	uint8_t f[2048], d[8] = { 0x40 };
	unsigned n = to_listener(f, d, 8);

	f[0] = 3; /* another MAC */
	expect(f, n, STAT_TO_KERNEL);
	n = to_listener(f, d, 8);
	be16_store(f + 12, 0x0806);
	expect(f, n, STAT_TO_KERNEL);
	expect(f, lab_udp(f, CLIENT4, 53, "192.0.2.9", 3478, d, 8), STAT_TO_KERNEL);
	expect(f, lab_udp(f, CLIENT4, 53, "192.0.2.200", 3478, d, 8), STAT_TO_KERNEL);
	expect(f, lab_udp(f, CLIENT4, 53, RELAY4, 3479, d, 8), STAT_TO_KERNEL);
	n = to_listener(f, d, 8);
	f[23] = 6; /* TCP */
	lab_resum(f);
	expect(f, n, STAT_TO_KERNEL);
	/* Fragments: only where UDP could be ours. */
	n = to_listener(f, d, 8);
	be16_store(f + 20, 0x2000);
	lab_resum(f);
	expect(f, n, STAT_FRAGMENT_HELD);
	n = lab_udp(f, CLIENT4, 53, "192.0.2.200", 3478, d, 8);
	be16_store(f + 20, 0x2000);
	lab_resum(f);
	expect(f, n, STAT_TO_KERNEL);
	/* The last fragment may be as short as one octet. */
	uint8_t ip[21] = { 0x45, 0, 0, 21, 0, 1, 0, 1, 64, 17 };
	memcpy(ip + 12, lab_addr(CLIENT4).ip + 12, 4);
	memcpy(ip + 16, lab_addr(RELAY4).ip + 12, 4);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, 20)));
	expect(f, lab_frame(f, ip, 21), STAT_FRAGMENT_HELD);
}

static void test_icmp(void)
{
	uint8_t f[2048];

	struct {
		uint8_t type;
		const char *src;
		uint16_t port;
		unsigned quoted;
		bool ours;
	} cases[] = {
		{ 3, RELAY4, 50000, 36, true },         { 11, RELAY4, 50000, 28, true },
		{ 5, RELAY4, 50000, 36, false },        { 3, RELAY4, 3478, 36, false },
		{ 3, "192.0.2.200", 50000, 36, false }, { 3, RELAY4, 50000, 20, true },
		{ 3, RELAY4, 50000, 12, false },
	};
	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		const unsigned n =
			icmp_error(f, cases[i].type, cases[i].src, cases[i].port, cases[i].quoted);
		struct rte_mbuf *m = lab_mbuf(f, n);

		lab_clear();
		worker_burst(&lab.worker[0], &lab.port[0], &m, 1);
		CHECK(lab.given[GIVE_ICMP] == cases[i].ours, "ICMP error: DEMUX-034");
		CHECK(lab.given[GIVE_KERNEL] == !cases[i].ours, "ICMP error: the kernel's");
	}
}

/* Options and extension headers of our UDP go the long way; others to the kernel (step 8). */
static void test_odd_headers(void)
{
	uint8_t f[2048], ip[128] = { 0x46, 0, 0, 36, 0, 1, 0, 0, 64, 17 };
	struct rte_mbuf *m;

	memcpy(ip + 12, lab_addr(CLIENT4).ip + 12, 4);
	memcpy(ip + 16, lab_addr(RELAY4).ip + 12, 4);
	ip[20] = 0x94; /* router alert */
	ip[21] = 4;
	be16_store(ip + 24, 4000);
	be16_store(ip + 26, 3478);
	be16_store(ip + 28, 12);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, 24)));
	m = lab_mbuf(f, lab_frame(f, ip, 36));
	lab_clear();
	worker_burst(&lab.worker[0], &lab.port[0], &m, 1);
	CHECK(lab.slow == 1, "IPv4 options");

	uint8_t six[128] = { 0x60, 0, 0, 0, 0, 20, 60, 64 };
	memcpy(six + 8, lab_addr(CLIENT6).ip, 16);
	memcpy(six + 24, lab_addr(RELAY6).ip, 16);
	six[40] = 17; /* destination options of eight octets, then UDP */
	be16_store(six + 48, 4000);
	be16_store(six + 50, 3478);
	be16_store(six + 52, 12);
	be16_store(six + 54, 1);
	m = lab_mbuf(f, lab_frame(f, six, 60));
	lab_clear();
	worker_burst(&lab.worker[0], &lab.port[0], &m, 1);
	CHECK(lab.slow == 1, "IPv6 extension header");
	be16_store(six + 54, 0);
	expect(f, lab_frame(f, six, 60), STAT_UDP_ZERO_CHECKSUM6);
	be16_store(six + 50, 99);
	be16_store(six + 54, 1);
	expect(f, lab_frame(f, six, 60), STAT_TO_KERNEL);
	six[41] = 9; /* longer than the packet */
	expect(f, lab_frame(f, six, 60), STAT_IP_MALFORMED);
	six[41] = 0;
	six[6] = 44;
	expect(f, lab_frame(f, six, 60), STAT_FRAGMENT_HELD);
	six[40] = 6;
	expect(f, lab_frame(f, six, 60), STAT_TO_KERNEL);
}

/* --- sums balance, bursts do not matter, nothing leaks --- */

static uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);

static uint32_t draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((seed >> 33) % below);
}

/* A frame of any path, then some octets changed; half of the time the sums are made right again. */
static unsigned mutated(uint8_t *f)
{
	uint8_t d[512];
	const struct pair *const p = &pairs[draw(4)];
	const uint16_t len = (uint16_t)draw(64);
	unsigned n;

	memset(d, 0x5A, sizeof(d));
	switch (draw(4)) {
	case 0:
		n = channel_data(d, (uint16_t)(0x4001 + draw(3)), f, len, draw(4));
		n = lab_udp(f, p->client, 4000, p->listener, 3478, d, n);
		break;
	case 1:
		n = send_indication(d, p->peer, 7000, f, len, draw(2), draw(2));
		n = lab_udp(f, p->client, 4000, p->listener, 3478, d, n);
		break;
	case 2: n = lab_udp(f, p->peer, (uint16_t)(7000 + draw(3)), p->relay, 50000, d, len); break;
	default:
		d[0] = (uint8_t)draw(256);
		n = lab_udp(f, p->client, 4000, p->listener, 3478, d, len + 1);
	}
	for (unsigned i = draw(4); i > 0; i--)
		f[draw(draw(2) ? n : 60) % n] = (uint8_t)(draw(2) ? draw(256) : 1u << draw(8));
	if (draw(2) && f[14] == 0x45 && n >= 14 + 28 && be16_load(f + 38) <= n - 34)
		lab_resum(f);
	return draw(8) ? n : 1 + draw(n);
}

static void set_all(struct cmd_flow flows[4][3])
{
	for (unsigned i = 0; i < 4; i++) {
		const struct pair *const p = &pairs[i];

		flows[i][0] = lab_flow(p->kind, p->client, 4000, NULL, 0, 0, 50000);
		flows[i][0].relay = p->kind == FLOW_ALLOCATION6;
		/* Two allocations cannot share one relayed port. */
		flows[i][0].relayed_port = (uint16_t)(i < 2 ? 50000 : 50001);
		flows[i][1] = lab_flow(FLOW_CHANNEL, p->client, 4000, p->peer, 7000,
		                       (uint16_t)(0x4001 + (i >= 2)), 0);
		flows[i][2] = lab_flow(FLOW_PERMISSION, p->client, 4000, p->peer, 0, 0, 0);
		for (unsigned j = 0; j < 3; j++)
			set(&flows[i][j], LAB_WIRE, false);
	}
}

enum { ROUNDS = 16000, PER_ROUND = 64 };

/* DEMUX-017, DEMUX-019; a million frames. */
static void test_balance(void)
{
	struct cmd_flow flows[4][3];
	static uint8_t frames[PER_ROUND][2048];
	unsigned len[PER_ROUND], differ = 0, unbalanced = 0, sent = 0;
	const unsigned free_before = rte_mempool_avail_count(lab.pool);

	set_all(flows);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct rte_mbuf *m[PER_ROUND];
		const bool compare = round % 16 == 0;
		const unsigned size = round % 2 ? 32 : 1 + draw(64);
		struct stats whole;

		for (unsigned i = 0; i < PER_ROUND; i++)
			len[i] = mutated(frames[i]);
		for (unsigned i = 0; i < PER_ROUND; i++)
			m[i] = lab_mbuf(frames[i], len[i]);
		lab_clear();
		for (unsigned i = 0; i < PER_ROUND; i += size)
			worker_burst(&lab.worker[0], &lab.port[0], m + i,
			             RTE_MIN(size, PER_ROUND - i));
		sent += lab.n_sent;
		unbalanced += lab_outcomes(0) + lab.given[GIVE_ICMP] != PER_ROUND;
		if (!compare)
			continue;
		memcpy(&whole, lab.worker[0].stats, sizeof(whole));
		lab_clear();
		for (unsigned i = 0; i < PER_ROUND; i++) {
			struct rte_mbuf *one = lab_mbuf(frames[i], len[i]);

			worker_burst(&lab.worker[0], &lab.port[0], &one, 1);
		}
		differ += memcmp(&whole, lab.worker[0].stats, sizeof(whole)) != 0;
	}
	lab_clear();
	printf("\n    %u of %u relayed ", sent, ROUNDS * PER_ROUND);
	CHECK(sent > ROUNDS * PER_ROUND / 8, "enough get through");
	CHECK(unbalanced == 0, "every frame has one outcome");
	CHECK(differ == 0, "bursts of any size have the same outcomes");
	CHECK(rte_mempool_avail_count(lab.pool) == free_before, "no mbuf is lost");
	for (unsigned i = 0; i < 4; i++)
		for (unsigned j = 3; j > 0; j--)
			delete (&flows[i][j - 1]);
}

/* Frames in segments, and one too long to be made whole. */
static void test_segments(void)
{
	uint8_t f[2048], d[256] = { 0x40, 1, 0, 200 };
	const unsigned n = to_listener(f, d, 204);
	struct rte_mbuf *m = lab_mbuf(f, 50), *tail = lab_mbuf(f + 50, n - 50);

	rte_pktmbuf_chain(m, tail);
	lab_clear();
	worker_burst(&lab.worker[0], &lab.port[0], &m, 1);
	CHECK(lab_count(0, STAT_CD_UNBOUND) == 1, "two segments are one frame");
	m = lab_mbuf(f, n);
	rte_pktmbuf_append(m, (uint16_t)(rte_pktmbuf_tailroom(m) - 10));
	rte_pktmbuf_chain(m, lab_mbuf(f, 100));
	lab_clear();
	worker_burst(&lab.worker[0], &lab.port[0], &m, 1);
	CHECK(lab_count(0, STAT_TOO_BIG) == 1 && lab_outcomes(0) == 1, "too long for one");
}

/* The builds of the hot code agree (those that this processor runs). */
static void test_builds(void)
{
	struct cmd_flow flows[4][3];
	uint8_t frame[2048];
	unsigned differ = 0;
	burst_fn *const builds[] = {
		burst_v2,
#ifdef BURST_BUILDS
		__builtin_cpu_supports("avx2") ? burst_v3 : burst_v2,
		__builtin_cpu_supports("avx512vl") ? burst_v4 : burst_v2,
#endif
	};

	set_all(flows);
	for (unsigned round = 0; round < 4000; round++) {
		const unsigned len = mutated(frame);
		uint8_t out[2048] = { 0 };
		uint32_t out_len = 0;
		struct stats first;

		for (unsigned b = 0; b < RTE_DIM(builds); b++) {
			struct rte_mbuf *m = lab_mbuf(frame, len);

			lab_clear();
			lab.worker[0].ip_id = 7;
			lab.worker[0].random_left = 0;
			builds[b](&lab.worker[0], &lab.port[0], &m, 1);
			const bool data = lab_count(0, STAT_PEER_TO_DATA) > 0;

			if (b == 0) {
				memcpy(&first, lab.worker[0].stats, sizeof(first));
				out_len = lab.n_sent ? lab.sent[0].m->pkt_len : 0;
				if (out_len)
					memcpy(out, sent_octets(0), out_len);
				continue;
			}
			differ += memcmp(&first, lab.worker[0].stats, sizeof(first)) != 0;
			differ += out_len != (lab.n_sent ? lab.sent[0].m->pkt_len : 0);
			if (out_len && lab.n_sent && !data)
				differ += memcmp(out, sent_octets(0), out_len) != 0;
		}
	}
	CHECK(differ == 0, "v2, v3, v4");
	for (unsigned i = 0; i < 4; i++)
		for (unsigned j = 3; j > 0; j--)
			delete (&flows[i][j - 1]);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "vectors", test_vectors },
		{ "paths, families, lengths", test_paths },
		{ "drops of frames", test_drops_of_frames },
		{ "drops of datagrams", test_drops_of_datagrams },
		{ "drops of sends", test_drops_of_sends },
		{ "drops of flows", test_drops_of_flows },
		{ "headers", test_headers },
		{ "crossings", test_crossings },
		{ "hairpin", test_hairpin },
		{ "the kernel's", test_kernel },
		{ "ICMP errors", test_icmp },
		{ "options and extension headers", test_odd_headers },
		{ "segments", test_segments },
		{ "builds", test_builds },
		{ "balance", test_balance },
		CU_TEST_INFO_NULL,
	};

	lab_start(4096, 1024, 1024);
	const int status = run_suite("dataplane/burst", tests);

	lab_stop();
	return status;
}
