/* The slow path: TURN-086 to TURN-148 for datagrams that are large, fragmented or odd. */
#include "dataplane/slow.h"

#include <stdlib.h>

#include "dataplane/reassembly.h"
#include "tests/unit/dataplane/bed.h"
#include "wire/checksum.h"
#include "wire/stun_build.h"

static const char *const client[2] = { "198.18.0.9:40000", "[fd00:18::9]:40000" };
static const char *const listener[2] = { "198.18.0.1:3478", "[fd00:18::1]:3478" };
static const char *const peer[2] = { "198.18.1.5:5000", "[fd00:18::1:5]:5000" };
static const char *const other[2] = { "198.18.1.5:5001", "[fd00:18::1:5]:5001" };
static const char *const relay_of[2][2] = { { "198.18.0.1:50000", "[fd00:18::1]:50001" },
	                                    { "198.18.0.1:50002", "[fd00:18::1]:50003" } };

static uint8_t in[BED_FRAME], out[BED_FRAME], payload[BED_FRAME], data[BED_FRAME];

/* Both clients, both families of relay, one channel (0x4000 + family) and permission each. */
static void begin(const char *more)
{
	bed_start(more);
	for (unsigned c = 0; c < 2; c++)
		for (unsigned p = 0; p < 2; p++) {
			const struct cmd_flow a = bed_allocation(client[c], (uint16_t)p,
			                                         (uint16_t)(50000 + 2 * c + p));
			const struct cmd_flow perm = bed_permission(client[c], peer[p]);
			const struct cmd_flow ch =
				bed_channel(client[c], (uint16_t)(0x4000 + p), peer[p]);

			bed_set(&a);
			bed_set(&perm);
			bed_set(&ch);
		}
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + (i >> 8));
	bed_zero();
}

enum way { TO_PEER_CHANNEL, TO_PEER_SEND, FROM_PEER_CHANNEL, FROM_PEER_DATA, WAYS };
static const char *const way_name[] = { "channel to peer", "Send to peer", "peer to channel",
	                                "peer to Data" };
static const enum stat_id way_stat[] = { STAT_CHANNEL_TO_PEER, STAT_SEND_TO_PEER,
	                                 STAT_PEER_TO_CHANNEL, STAT_PEER_TO_DATA };

/* A frame of `len` octets of application data into `in`; its octets. */
static uint32_t make(enum way way, unsigned c, unsigned p, uint32_t len, bool dont_fragment)
{
	static const uint8_t txid[12] = { 9 };
	struct stun_builder b;
	const struct endpoint e = bed_ep(peer[p]);

	switch (way) {
	case TO_PEER_CHANNEL:
		channel_put(payload, (uint16_t)(0x4000 + p), (uint16_t)len);
		memcpy(payload + 4, data, len);
		return bed_udp(in, client[c], listener[c], payload, len + 4);
	case TO_PEER_SEND:
		stun_begin(&b, payload, sizeof(payload), 0x0016, txid);
		stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, &e);
		if (dont_fragment)
			stun_put(&b, TURN_DONT_FRAGMENT, NULL, 0);
		stun_put(&b, TURN_DATA_ATTR, data, (uint16_t)len);
		return bed_udp(in, client[c], listener[c], payload, (uint32_t)stun_finish(&b));
	case FROM_PEER_CHANNEL: return bed_udp(in, peer[p], relay_of[c][p], data, len);
	default: return bed_udp(in, other[p], relay_of[c][p], data, len);
	}
}

/* What must have come out, given one datagram in `out` of `n` octets. */
static bool right(enum way way, unsigned c, unsigned p, uint32_t len, uint32_t n)
{
	const bool to_peer = way <= TO_PEER_SEND;
	const unsigned six = to_peer ? p : c;
	const uint8_t *ip = out + 14, *udp = ip + (six ? 40 : 20), *app = udp + 8;
	const uint32_t octets = be16_load(udp + 4) - 8u;
	struct stun_msg msg;
	struct stun_attr a;
	struct endpoint e, want = bed_ep(way == FROM_PEER_CHANNEL ? peer[p] : other[p]);

	if (ip[0] >> 4 != (six ? 6 : 4) || n != (uint32_t)(app - out) + octets ||
	    !csum_udp_right(ip + (six ? 8 : 12), ip + (six ? 24 : 16), six ? 16 : 4, udp,
	                    be16_load(udp + 4)))
		return false;
	if (to_peer)
		return octets == len && memcmp(app, data, len) == 0 && be16_load(udp + 2) == 5000 &&
		       be16_load(udp) == 50000 + 2 * c + p;
	if (be16_load(udp) != 3478 || be16_load(udp + 2) != 40000)
		return false;
	if (way == FROM_PEER_CHANNEL)
		return octets == len + 4 && be16_load(app) == 0x4000 + p &&
		       be16_load(app + 2) == len && memcmp(app + 4, data, len) == 0;
	/* TURN-093 to TURN-095: two attributes and no more. */
	return stun_open(app, octets, &msg) && msg.type == 0x0017 &&
	       octets == 20 + (p ? 24u : 12u) + 4 + pad4(len) &&
	       stun_find(&msg, TURN_XOR_PEER_ADDRESS, &a) && stun_xor_addr(&msg, &a, &e) &&
	       endpoint_equal(&e, &want) && stun_find(&msg, TURN_DATA_ATTR, &a) && a.len == len &&
	       memcmp(a.value, data, len) == 0;
}

static unsigned sent_joined(uint32_t *octets, unsigned *fragments)
{
	struct rte_mbuf *m[BED_REPLIES];
	const unsigned n = bed_sent(m);

	*octets = 0;
	*fragments = 0;
	if (n)
		*octets = bed_join(m, n, out, fragments);
	bed_free(m, n);
	return n;
}

/* TURN-088, TURN-093, TURN-096, TURN-111, TURN-112: every way, family pair and size. */
static void test_sizes(void)
{
	static const uint32_t sizes[] = { 0,    1,    2,    3,    4,     5,     1000, 1400,
		                          1472, 1473, 3000, 9000, 65000, 65455, 65507 };
	char name[80];

	begin(NULL);
	for (enum way way = 0; way < WAYS; way++)
		for (unsigned c = 0; c < 2; c++)
			for (unsigned p = 0; p < 2; p++)
				for (unsigned i = 0; i < RTE_DIM(sizes); i++) {
					const uint32_t len = sizes[i];
					const unsigned six_in = way <= TO_PEER_SEND ? c : p;
					const unsigned six_out = way <= TO_PEER_SEND ? p : c;
					const uint32_t most_in =
						(six_in ? 65527 : 65507) -
						(way == TO_PEER_CHANNEL ? 4
					         : way == TO_PEER_SEND  ? p ? 48 : 36
					                                : 0);
					const uint32_t wrap =
						way == FROM_PEER_CHANNEL ? len + 4
						: way == FROM_PEER_DATA
							? (uint32_t)pad4(len) + (p ? 48u : 36u)
							: len;
					uint32_t n;
					unsigned fragments;

					if (len > most_in)
						continue;
					snprintf(name, sizeof(name),
					         "%s, client IPv%c, peer IPv%c, %u", way_name[way],
					         c ? '6' : '4', p ? '6' : '4', len);
					bed_zero();
					n = make(way, c, p, len, false);
					slow_reassembled(&bed.worker[0], &bed.port, in, n,
					                 worker_send);
					const unsigned frames = sent_joined(&n, &fragments);

					if (wrap > (six_out ? 65527u : 65507u)) {
						CHECK(frames == 0 && bed_count(STAT_TOO_BIG) == 1,
						      name);
						continue;
					}
					CHECK(frames > 0 && right(way, c, p, len, n) &&
					              bed_count(way_stat[way]) == 1,
					      name);
					const uint32_t packet = wrap + 8 + (six_out ? 40 : 20);

					CHECK((frames > 1) ==
					              (packet > (six_in == six_out || !six_out
					                                 ? 1500u
					                                 : 1280u) ||
					               (six_in && six_out && packet + 8 > 1280)),
					      name);
					CHECK(bed_count(STAT_FRAGMENTS_SENT) ==
					              (frames > 1 ? frames : 0),
					      name);
				}
	bed_stop();
}

/* --- header fields --- */

static struct rte_mbuf *one[BED_REPLIES];

/* Through slow_relay(); how many frames came out (in `one`). */
static unsigned through(uint32_t len)
{
	uint8_t *exact = malloc(len);

	memcpy(exact, in, len);
	bed.worker[0].now_ns += 1;
	slow_relay(&bed.worker[0], &bed.port, exact, len, worker_send);
	free(exact);
	return bed_sent(one);
}

static void set_df(bool df)
{
	in[14 + 6] = df ? 0x40 : 0;
	bed_fix(in);
}

/* TURN-131, TURN-140: IPv4 to IPv4. TURN-133, TURN-142 where a leg is IPv6. */
static void test_df(void)
{
	begin(NULL);
	for (unsigned df = 0; df < 2; df++) {
		uint32_t len = make(TO_PEER_CHANNEL, 0, 0, 100, false);

		set_df(df);
		CHECK(through(len) == 1 && bed_see(one[0], "44").df == df, "DF out = DF in");
		bed_free(one, 1);
		len = make(TO_PEER_SEND, 0, 0, 100, true);
		set_df(df);
		CHECK(through(len) == 1 && bed_see(one[0], "44 Send").df, "DONT-FRAGMENT sets it");
		bed_free(one, 1);
	}
	/* 64: at most 1260 octets of IPv4 packet may be cut by a router. */
	CHECK(through(make(TO_PEER_CHANNEL, 1, 0, 1232, false)) == 1 && !bed_see(one[0], "64").df,
	      "TURN-142: 1260");
	bed_free(one, 1);
	CHECK(through(make(TO_PEER_CHANNEL, 1, 0, 1233, false)) == 1 && bed_see(one[0], "64").df,
	      "TURN-142: 1261");
	bed_free(one, 1);
	CHECK(through(make(TO_PEER_SEND, 1, 0, 10, true)) == 1 && !bed_see(one[0], "64").df,
	      "TURN-133");
	bed_free(one, 1);
	bed_stop();
}

/* The ICMP error that came back to the sender; its MTU field. */
static uint32_t error_mtu(const struct rte_mbuf *m, uint8_t type, uint8_t code, uint32_t in_len)
{
	const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *), *ip = f + 14;
	const bool is4 = ip[0] >> 4 == 4;
	const uint8_t *icmp = ip + (is4 ? 20 : 40);
	const uint32_t len = m->pkt_len - (uint32_t)(icmp - f);
	uint8_t pseudo[8] = { 0, 0, (uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0, 58 };
	uint64_t sum = csum_add(0, icmp, len);

	CHECK(memcmp(f, in + 6, 6) == 0 && memcmp(f + 6, in, 6) == 0, "back where it came from");
	CHECK(memcmp(ip + (is4 ? 12 : 8), in + 14 + (is4 ? 16 : 24), is4 ? 4 : 16) == 0 &&
	              memcmp(ip + (is4 ? 16 : 24), in + 14 + (is4 ? 12 : 8), is4 ? 4 : 16) == 0,
	      "from the address it was sent to");
	if (is4)
		CHECK(csum_right(csum_add(0, ip, 20)) && ip[9] == 1, "IPv4 header");
	else
		sum = csum_add(csum_add(sum, ip + 8, 32), pseudo, 8);
	CHECK(csum_right(sum), "ICMP checksum");
	CHECK(icmp[0] == type && icmp[1] == code, "type and code");
	const uint32_t quoted = RTE_MIN(len - 8, in_len - 14);

	CHECK(quoted >= 28 && memcmp(icmp + 8, in + 14, quoted) == 0, "quotes what came");
	CHECK(m->pkt_len - 14 <= (is4 ? 576u : 1280u), "and is no longer than it may be");
	return be32_load(icmp + 4);
}

/* TURN-140 to TURN-144: what is too big is told to the sender, with what it may send. */
static void test_too_big(void)
{
	uint32_t len;

	begin(NULL);
	len = make(FROM_PEER_DATA, 0, 0, 1472, false);
	set_df(true);
	CHECK(through(len) == 1 && error_mtu(one[0], 3, 4, len) == 1452, "TURN-144: 44");
	CHECK(bed_count(STAT_TOO_BIG) == 1, "dropped");
	bed_free(one, 1);
	len = make(FROM_PEER_CHANNEL, 1, 1, 1452, false);
	CHECK(through(len) == 2, "TURN-143, alternate: 66 is fragmented");
	CHECK(rte_pktmbuf_mtod(one[0], uint8_t *)[20] == 44 && one[0]->pkt_len <= 1514 &&
	              one[0]->pkt_len > 1294,
	      "Fragment header, up to the MTU");
	bed_free(one, 2);
	len = make(FROM_PEER_CHANNEL, 1, 0, 1472, false);
	set_df(true);
	CHECK(through(len) == 1 && error_mtu(one[0], 3, 4, len) == 1432, "TURN-141: 46");
	bed_free(one, 1);
	len = make(FROM_PEER_DATA, 0, 1, 1452, false);
	CHECK(through(len) == 2 && !(rte_pktmbuf_mtod(one[0], uint8_t *)[20] & 0x40),
	      "TURN-142, alternate: 64 is fragmented, DF clear");
	bed_free(one, 2);
	/* DF clear: fragments as a kernel would send. */
	len = make(FROM_PEER_CHANNEL, 0, 0, 1472, false);
	CHECK(through(len) == 2, "TURN-140: fragments");
	CHECK((rte_pktmbuf_mtod(one[0], uint8_t *)[20] & 0x20) &&
	              !(rte_pktmbuf_mtod(one[1], uint8_t *)[20] & 0x20) &&
	              be16_load(rte_pktmbuf_mtod(one[0], uint8_t *) + 18) ==
	                      be16_load(rte_pktmbuf_mtod(one[1], uint8_t *) + 18),
	      "MF and identification");
	bed_free(one, 2);
	/* 46 with DF clear: at most 1280, without Fragment header where it fits. */
	len = make(TO_PEER_CHANNEL, 0, 1, 1232, false);
	CHECK(through(len) == 1, "TURN-141: 1280 fits");
	bed_free(one, 1);
	len = make(TO_PEER_CHANNEL, 0, 1, 1233, false);
	CHECK(through(len) == 2 && one[0]->pkt_len <= 1294 && one[1]->pkt_len <= 1294, "TURN-141");
	bed_free(one, 2);
	len = make(TO_PEER_CHANNEL, 0, 1, 1400, false);
	set_df(true);
	CHECK(through(len) == 1 && bed_see(one[0], "46 DF").len == 1400,
	      "TURN-141: DF, fits the link");
	bed_free(one, 1);
	/* Errors of our own are limited. */
	unsigned n = 0;

	len = make(FROM_PEER_DATA, 0, 0, 1472, false);
	set_df(true);
	for (unsigned i = 0; i < 300; i++) {
		slow_relay(&bed.worker[0], &bed.port, in, len, worker_send);
		const unsigned k = bed_sent(one);

		bed_free(one, k);
		n += k;
	}
	CHECK(n <= 100, "TURN-126");
	bed_stop();
}

/* TURN-127, TURN-129, TURN-134, TURN-135 */
static void test_ttl(void)
{
	begin(NULL);
	for (unsigned c = 0; c < 2; c++)
		for (unsigned p = 0; p < 2; p++)
			for (unsigned ttl = 0; ttl < 4; ttl++) {
				const uint32_t len = make(TO_PEER_CHANNEL, c, p, 20, false);

				in[14 + (c ? 7 : 8)] = (uint8_t)ttl;
				bed_fix(in);
				const unsigned n = through(len);

				if (ttl >= 2) {
					const struct bed_seen s = bed_see(one[0], "ttl");

					CHECK(n == 1 && s.ttl == ttl - 1 && s.tos == 0xB9,
					      "one less, DSCP and ECN as they came");
				} else if (c || p) {
					CHECK(n == 1, "TURN-135: the sender is told");
					error_mtu(one[0], c ? 3 : 11, 0, len);
				} else {
					CHECK(n == 0, "TURN-134: dropped");
				}
				bed_free(one, n);
			}
	CHECK(bed_count(STAT_TTL_EXPIRED) == 8, "ttl_expired");
	bed_stop();
	bed_extra_relay = "  ttl-decrement: false\n";
	begin(NULL);
	bed_extra_relay = "";
	const uint32_t len = make(TO_PEER_CHANNEL, 0, 0, 20, false);

	in[14 + 8] = 1;
	bed_fix(in);
	CHECK(through(len) == 1 && bed_see(one[0], "reset").ttl == 64, "TURN-134: reset to 64");
	bed_free(one, 1);
	bed_stop();
}

/* --- options and extension headers --- */

/* Puts `head` octets behind the IPv4 header of `in`. */
static uint32_t with_options(uint32_t len, const uint8_t *options, uint32_t n)
{
	uint8_t *ip = in + 14;

	memmove(ip + 20 + n, ip + 20, len - 34);
	memcpy(ip + 20, options, n);
	ip[0] = (uint8_t)(0x45 + n / 4);
	be16_store(ip + 2, (uint16_t)(be16_load(ip + 2) + n));
	csum_store(ip + 10, 0);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, 20 + n)));
	return len + n;
}

static uint32_t with_extension(uint32_t len, uint8_t kind, const uint8_t *header, uint32_t n)
{
	uint8_t *ip = in + 14;

	memmove(ip + 40 + n, ip + 40, len - 54);
	memcpy(ip + 40, header, n);
	ip[40] = ip[6];
	ip[6] = kind;
	be16_store(ip + 4, (uint16_t)(be16_load(ip + 4) + n));
	return len + n;
}

/* TURN-138, TURN-139; through the worker, which finds them odd. */
static void test_options(void)
{
	static const struct {
		const char *name;
		uint8_t options[12];
		bool pass;
	} rows[] = {
		{ "router alert", { 148, 4, 0, 0 }, true },
		{ "no operation, end", { 1, 1, 0, 0 }, true },
		{ "record route", { 7, 7, 4, 0, 0, 0, 0, 0 }, true },
		{ "loose source route, hops left", { 131, 7, 4, 1, 2, 3, 4, 0 }, false },
		{ "strict source route, hops left", { 137, 7, 4, 1, 2, 3, 4, 0 }, false },
		{ "loose source route behind another", { 1, 131, 7, 4, 1, 2, 3, 4 }, false },
		{ "loose source route, over", { 131, 7, 8, 1, 2, 3, 4, 0 }, true },
		{ "a length that lies", { 148, 40, 0, 0 }, true },
		{ "a length of zero", { 148, 0, 0, 0 }, true },
	};

	begin(NULL);
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		const uint32_t n = i < 2 || i > 6 ? 4 : 8;
		const uint32_t len =
			with_options(make(TO_PEER_CHANNEL, 0, 0, 33, false), rows[i].options, n);
		struct rte_mbuf *m = bed_mbuf(in, len);

		bed_zero();
		worker_burst(&bed.worker[0], &bed.port, &m, 1);
		const unsigned sent = bed_sent(one);

		CHECK(sent == rows[i].pass, rows[i].name);
		if (sent)
			CHECK(bed_see(one[0], rows[i].name).len == 33, rows[i].name);
		CHECK(bed_count(rows[i].pass ? STAT_CHANNEL_TO_PEER : STAT_SOURCE_ROUTE) == 1,
		      rows[i].name);
		bed_free(one, sent);
	}
	/* STUN with options is answered without. */
	static const uint8_t txid[12] = { 0 };
	struct stun_builder b;

	stun_begin(&b, payload, 100, STUN_BINDING, txid);
	struct rte_mbuf *m =
		bed_mbuf(in, with_options(bed_udp(in, client[0], listener[0], payload, 20),
	                                  rows[0].options, 4));

	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	CHECK(bed_sent(one) == 1 && bed_see(one[0], "Binding").len == 32, "Binding with options");
	bed_free(one, 1);
	bed_stop();
}

static void test_extensions(void)
{
	static const struct {
		const char *name;
		uint8_t kind, header[16];
		uint32_t n;
		enum stat_id expect;
	} rows[] = {
		{ "hop by hop", 0, { 0, 0, 5, 2, 0, 0, 1, 0 }, 8, STAT_CHANNEL_TO_PEER },
		{ "destination options", 60, { 0, 1, 1, 12 }, 16, STAT_CHANNEL_TO_PEER },
		{ "routing, over", 43, { 0, 0, 0, 0 }, 8, STAT_CHANNEL_TO_PEER },
		{ "routing, segments left", 43, { 0, 0, 0, 1 }, 8, STAT_SOURCE_ROUTE },
		{ "authentication", 51, { 0, 2 }, 16, STAT_CHANNEL_TO_PEER },
	};

	begin(NULL);
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		const uint32_t len = with_extension(make(TO_PEER_CHANNEL, 1, 1, 33, false),
		                                    rows[i].kind, rows[i].header, rows[i].n);
		struct rte_mbuf *m = bed_mbuf(in, len);

		bed_zero();
		worker_burst(&bed.worker[0], &bed.port, &m, 1);
		const unsigned sent = bed_sent(one);

		CHECK(bed_count(rows[i].expect) == 1, rows[i].name);
		CHECK(sent == (rows[i].expect == STAT_CHANNEL_TO_PEER), rows[i].name);
		if (sent)
			CHECK(bed_see(one[0], rows[i].name).len == 33, rows[i].name);
		bed_free(one, sent);
	}
	bed_stop();
}

/* --- checksums --- */

/* TURN-146, DEMUX-072, DEMUX-073, DEMUX-077 across every pair, on the long way. */
static void test_checksum(void)
{
	begin(NULL);
	for (unsigned c = 0; c < 2; c++)
		for (unsigned p = 0; p < 2; p++) {
			uint32_t len = make(FROM_PEER_CHANNEL, c, p, 333, false);
			uint8_t *udp = in + 14 + (p ? 40 : 20);

			in[len - 1] ^= 0x40; /* broken on its way here */
			CHECK(through(len) == 1, "relayed all the same");
			const uint8_t *ip = rte_pktmbuf_mtod(one[0], uint8_t *) + 14;
			const uint8_t *u = ip + (c ? 40 : 20);

			CHECK(!csum_udp_right(ip + (c ? 8 : 12), ip + (c ? 24 : 16), c ? 16 : 4, u,
			                      be16_load(u + 4)),
			      "wrong stays wrong");
			bed_free(one, 1);
			if (p)
				continue;
			in[len - 1] ^= 0x40;
			be16_store(udp + 6, 0);
			CHECK(through(len) == 1, "no checksum");
			ip = rte_pktmbuf_mtod(one[0], uint8_t *) + 14;
			u = ip + (c ? 40 : 20);
			CHECK((be16_load(u + 6) == 0) == !c,
			      "0 stays 0 over IPv4, is made for IPv6");
			bed_see(one[0], "no checksum in");
			bed_free(one, 1);
		}
	bed_stop();
}

/* TURN-147 and DEMUX-007: what is behind the UDP length is not relayed. */
static void test_surplus(void)
{
	begin(NULL);
	const uint32_t len = make(FROM_PEER_CHANNEL, 0, 0, 50, false);

	be16_store(in + 16, (uint16_t)(be16_load(in + 16) + 9));
	memset(in + len, 0xEE, 9);
	csum_store(in + 24, 0);
	csum_store(in + 24, csum_finish(csum_add(0, in + 14, 20)));
	CHECK(through(len + 9) == 1 && bed_see(one[0], "surplus").len == 54, "surplus");
	bed_free(one, 1);
	bed_stop();
}

/* Next hops: unresolved, none, small. */
static void test_hops(void)
{
	begin(NULL);
	static const struct {
		const char *peer;
		enum stat_id expect;
		unsigned frames;
	} rows[] = {
		{ "198.18.1.88:5000", STAT_NO_ROUTE, 0 },
		{ "198.18.1.77:5000", STAT_CHANNEL_TO_PEER, 2 },
		{ "198.18.1.66:5000", STAT_CHANNEL_TO_PEER, 0 },
	};

	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		const struct cmd_flow c =
			bed_channel(client[0], (uint16_t)(0x4100 + i), rows[i].peer);

		bed_set(&c);
		const uint32_t len = make(TO_PEER_CHANNEL, 0, 0, 1400, false);

		be16_store(in + 42, (uint16_t)(0x4100 + i));
		bed_fix(in);
		bed_zero();
		CHECK(through(len) == rows[i].frames && bed_count(rows[i].expect) == 1,
		      rows[i].peer);
		bed_free(one, rows[i].frames);
	}
	bed_turn();
	CHECK(bed_sent(one) == 0 && bed.kicks == 1, "one waits");
	bed_resolve(BED_UNRESOLVED, NEIGHBOUR_RESOLVED);
	CHECK(bed_sent(one) == 1 && bed_see(one[0], "resolved").len == 1400, "and is sent");
	bed_free(one, 1);
	bed_stop();
}

/* No buffer left: counted, nothing half sent, and it recovers. */
static void test_no_mbuf(void)
{
	static struct rte_mbuf *all[4096];
	unsigned n = 0;
	uint32_t len;

	begin(NULL);
	while (n < RTE_DIM(all) && (all[n] = rte_pktmbuf_alloc(bed.pool)) != NULL)
		n++;
	rte_pktmbuf_free(all[--n]);
	len = make(FROM_PEER_CHANNEL, 0, 0, 1472, false); /* needs two */
	CHECK(through(len) == 0 && bed_count(STAT_NO_MBUF) == 1, "no_mbuf");
	bed_free(all, n);
	CHECK(through(len) == 2, "recovers");
	bed_free(one, 2);
	bed_stop();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "sizes and families (TURN-096)", test_sizes },
		{ "DF (TURN-131, TURN-142)", test_df },
		{ "too big (TURN-140 to TURN-144)", test_too_big },
		{ "TTL (TURN-134, TURN-135)", test_ttl },
		{ "options (TURN-138, TURN-139)", test_options },
		{ "extension headers (TURN-139)", test_extensions },
		{ "checksum (TURN-146)", test_checksum },
		{ "surplus (TURN-147)", test_surplus },
		{ "next hops", test_hops },
		{ "no_mbuf", test_no_mbuf },
		CU_TEST_INFO_NULL,
	};

	return run_suite("dataplane/slow", tests);
}
