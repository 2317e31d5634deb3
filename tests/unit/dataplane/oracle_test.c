/*
 * The slow path as the oracle of the fast one: the same frames through worker_burst() and
 * slow_relay(), the same frames and counters out, byte for byte but for IPv4 identifications.
 */
#include <stdlib.h>

#include "dataplane/slow.h"
#include "tests/unit/dataplane/bed.h"
#include "wire/checksum.h"
#include "wire/crc.h"
#include "wire/stun_build.h"

enum { ROUNDS = 60000 };

static uint64_t state = 88172645463325252;

static uint32_t draw(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 11) % n);
}

static const char *const clients[] = { "198.18.0.9:40000", "[fd00:18::9]:40000",
	                               "198.18.0.10:40000", "[fd00:18::10]:40000" };
static const char *const listeners[] = { "198.18.0.1:3478", "[fd00:18::1]:3478" };
static const char *const peers[] = {
	"198.18.1.5:5000",    "[fd00:18::1:5]:5000",  "198.18.1.6:6000",  "[fd00:18::1:6]:6000",
	"198.18.1.77:7000",   "[fd00:18::1:77]:7000", "198.18.1.66:7000", "198.18.1.88:7000",
	"198.18.1.5:5001",    "[fd00:18::1:5]:5001",  "203.0.113.9:9",    "198.18.0.1:50002",
	"[fd00:18::1]:50003", "203.0.113.2:50004",    "198.18.0.1:50000", "198.18.0.1:60000",
	"198.18.0.1:3478",    "198.18.0.1:80"
};
static const char *const relays[] = { "198.18.0.1:50000", "[fd00:18::1]:50001",
	                              "198.18.0.1:50002", "[fd00:18::1]:50003",
	                              "198.18.0.2:50004", "198.18.0.1:55555",
	                              "198.18.0.1:50005", "[fd00:18::1]:50006" };

/* Clients 0 and 1 have an allocation of each family; 2 and 3 of one. */
static void install(void)
{
	static const struct {
		unsigned client;
		uint16_t relay, port;
	} allocations[] = { { 0, 0, 50000 }, { 0, 1, 50001 }, { 1, 0, 50002 },
		            { 1, 1, 50003 }, { 2, 2, 50004 }, { 3, 1, 50006 } };
	static const struct {
		unsigned client;
		uint16_t channel;
		unsigned peer;
	} channels[] = { { 0, 0x4000, 0 },  { 0, 0x4001, 1 },  { 1, 0x4000, 0 },  { 1, 0x4001, 1 },
		         { 0, 0x4002, 2 },  { 0, 0x4003, 3 },  { 1, 0x4004, 4 },  { 1, 0x4005, 5 },
		         { 0, 0x4006, 6 },  { 0, 0x4007, 7 },  { 0, 0x4008, 11 }, { 0, 0x4009, 12 },
		         { 0, 0x400A, 13 }, { 1, 0x400B, 14 }, { 0, 0x400C, 14 }, { 2, 0x400D, 14 },
		         { 2, 0x400E, 13 } };
	static const struct {
		unsigned client;
		const char *peer;
	} permissions[] = {
		{ 0, "198.18.1.5:1" },      { 0, "198.18.1.6:1" },  { 0, "[fd00:18::1:5]:1" },
		{ 1, "198.18.1.5:1" },      { 1, "198.18.1.77:1" }, { 1, "[fd00:18::1:5]:1" },
		{ 1, "[fd00:18::1:77]:1" }, { 0, "198.18.0.1:1" },  { 1, "198.18.0.1:1" },
		{ 0, "203.0.113.2:1" },     { 2, "198.18.0.1:1" },  { 0, "[fd00:18::1]:1" },
		{ 1, "[fd00:18::1]:1" },    { 0, "198.18.1.66:1" }, { 2, "203.0.113.2:1" },
	};

	for (unsigned i = 0; i < RTE_DIM(allocations); i++) {
		const struct cmd_flow c = bed_allocation(clients[allocations[i].client],
		                                         allocations[i].relay, allocations[i].port);
		bed_set(&c);
	}
	for (unsigned i = 0; i < RTE_DIM(permissions); i++) {
		const struct cmd_flow c =
			bed_permission(clients[permissions[i].client], permissions[i].peer);
		bed_set(&c);
	}
	for (unsigned i = 0; i < RTE_DIM(channels); i++) {
		struct cmd_flow c = bed_channel(clients[channels[i].client], channels[i].channel,
		                                peers[channels[i].peer]);
		if (i == 5) /* over, one way or the other */
			c.deadline_s = 1;
		if (i == 4)
			c.deadline_in_s = 1;
		bed_set(&c);
	}
}

static uint8_t frame[BED_FRAME], payload[4000];

static uint32_t channel_payload(uint32_t len)
{
	const uint32_t extra = draw(3) ? 0 : draw(9);

	be16_store(payload, (uint16_t)(0x4000 + draw(18)));
	be16_store(payload + 2, (uint16_t)len);
	for (uint32_t i = 0; i < len + extra; i++)
		payload[4 + i] = (uint8_t)draw(256);
	return 4 + len + extra;
}

static uint32_t send_payload(uint32_t len)
{
	static uint8_t data[4000];
	const struct endpoint peer = bed_ep(peers[draw(RTE_DIM(peers))]);
	uint8_t txid[12];
	struct stun_builder b;

	for (unsigned i = 0; i < 12; i++)
		txid[i] = (uint8_t)draw(256);
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)draw(256);
	stun_begin(&b, payload, sizeof(payload), stun_type(TURN_SEND, STUN_INDICATION), txid);
	if (draw(2))
		stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, &peer);
	if (draw(6) == 0)
		stun_put(&b, TURN_DONT_FRAGMENT, NULL, 0);
	if (draw(6) == 0)
		stun_put(&b, STUN_SOFTWARE, "some client", 11);
	stun_put(&b, TURN_DATA_ATTR, data, (uint16_t)len);
	if (!draw(12) || b.len > 0)
		stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, &peer);
	if (draw(3) == 0)
		stun_put_fingerprint(&b);
	return (uint32_t)stun_finish(&b);
}

/* A frame of one of the three ways; octets. */
static uint32_t make(void)
{
	static const uint32_t sizes[] = { 0,    1,    2,    3,    4,    5,    7,    160,  172,
		                          1000, 1200, 1201, 1240, 1400, 1424, 1440, 1468, 1472 };
	const uint32_t data = draw(4) ? sizes[draw(RTE_DIM(sizes))] : draw(1473);
	const unsigned way = draw(3);
	uint32_t n;

	if (way == 2) {
		for (uint32_t i = 0; i < data; i++)
			payload[i] = (uint8_t)draw(256);
		n = data;
	} else {
		n = way ? send_payload(data) : channel_payload(data);
	}
	const char *to, *from;

	if (way == 2) {
		to = relays[draw(RTE_DIM(relays))];
		do
			from = peers[draw(11)];
		while ((from[0] == '[') != (to[0] == '['));
	} else {
		const unsigned c = draw(RTE_DIM(clients));

		from = clients[c];
		to = listeners[c % 2];
	}
	if (n > 3500)
		n = 3500;
	return bed_udp(frame, from, to, payload, n);
}

/* Header fields and checksums as they may come. */
static void season(uint32_t len)
{
	uint8_t *ip = frame + 14;
	const bool is4 = ip[0] >> 4 == 4;
	uint8_t *udp = ip + (is4 ? 20 : 40);
	static const uint8_t lives[] = { 64, 64, 64, 255, 3, 2, 1, 0 };

	if (is4) {
		ip[1] = (uint8_t)draw(256);
		ip[8] = lives[draw(8)];
		ip[6] = draw(2) ? 0x40 : 0;
	} else {
		be32_store(ip, 0x60000000 | draw(0x10000000));
		ip[7] = lives[draw(8)];
	}
	bed_fix(frame);
	switch (draw(8)) {
	case 0: udp[6] ^= (uint8_t)(1 + draw(255)); break;
	case 1:
		if (is4)
			be16_store(udp + 6, 0);
		break;
	case 2: frame[len - 1] ^= 1; break;
	default: break;
	}
	if (be16_load(udp + 6) == 0 && !is4)
		be16_store(udp + 6, 1);
}

struct run {
	struct rte_mbuf *m[BED_REPLIES];
	unsigned n;
	uint64_t count[STAT_COUNT];
};

static void constant_random(struct worker *w)
{
	memset(w->random, 0x5A, sizeof(w->random));
	w->random_left = sizeof(w->random);
}

static void finish(struct run *r)
{
	r->n = bed_sent(r->m);
	/* What waits for a neighbour is flushed out of the service turn's ring. */
	struct rte_mbuf *m;

	while (rte_ring_dequeue(bed.service->work, (void **)&m) == 0 && r->n < BED_REPLIES)
		r->m[r->n++] = m;
	for (unsigned i = 0; i < STAT_COUNT; i++)
		r->count[i] = bed_count((enum stat_id)i);
	r->count[STAT_RX_PACKETS] = r->count[STAT_RX_OCTETS] = 0;
}

static void fast(struct run *r, uint32_t len)
{
	struct rte_mbuf *m = bed_mbuf(frame, len);

	bed_zero();
	constant_random(&bed.worker[0]);
	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	finish(r);
}

static void slow(struct run *r, uint32_t len)
{
	uint8_t *exact = malloc(len); /* ASan sees an overread */

	memcpy(exact, frame, len);
	bed_zero();
	constant_random(&bed.worker[0]);
	slow_relay(&bed.worker[0], &bed.port, exact, len, worker_send);
	free(exact);
	finish(r);
}

static void mask(struct rte_mbuf *m)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *) + 14;

	if (ip[0] >> 4 != 4)
		return;
	CHECK(csum_right(csum_add(0, ip, 20)), "IPv4 header checksum");
	memset(ip + 4, 0, 2);
	memset(ip + 10, 0, 2);
}

static void dump(const char *name, const struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);

	fprintf(stderr, "%s:", name);
	for (unsigned i = 0; i < m->data_len && i < 120; i++)
		fprintf(stderr, "%s%02x", i % 2 ? "" : " ", p[i]);
	fprintf(stderr, " (%u)\n", m->data_len);
}

static bool same(struct run *f, struct run *s)
{
	bool equal = f->n == s->n && memcmp(f->count, s->count, sizeof(f->count)) == 0;

	for (unsigned i = 0; i < f->n; i++)
		mask(f->m[i]);
	for (unsigned i = 0; i < s->n; i++)
		mask(s->m[i]);
	for (unsigned i = 0; equal && i < f->n; i++)
		equal = f->m[i]->data_len == s->m[i]->data_len &&
		        memcmp(rte_pktmbuf_mtod(f->m[i], void *), rte_pktmbuf_mtod(s->m[i], void *),
		               f->m[i]->data_len) == 0;
	return equal;
}

static void tell(const struct run *f, const struct run *s, uint32_t len)
{
	struct rte_mbuf *m = bed_mbuf(frame, len);

	dump("in", m);
	rte_pktmbuf_free(m);
	for (unsigned i = 0; i < f->n; i++)
		dump("fast", f->m[i]);
	for (unsigned i = 0; i < s->n; i++)
		dump("slow", s->m[i]);
	for (unsigned i = 0; i < STAT_COUNT; i++)
		if (f->count[i] != s->count[i])
			fprintf(stderr, "%s: fast %lu, slow %lu\n", stat_names[i].name, f->count[i],
			        s->count[i]);
}

static void compare(const char *more)
{
	uint64_t total[STAT_COUNT] = { 0 };
	unsigned different = 0;

	bed_start(more);
	install();
	for (unsigned i = 0; i < ROUNDS; i++) {
		const uint32_t len = make();
		struct run f, s;

		season(len);
		/* Errors of our own are limited: not in one run and out in the other. */
		bed.worker[0].now_ns += UINT64_C(1000000000);
		fast(&f, len);
		bed.worker[0].now_ns += UINT64_C(1000000000);
		slow(&s, len);
		if (!same(&f, &s) && different++ < 5)
			tell(&f, &s, len);
		for (unsigned j = 0; j < STAT_COUNT; j++)
			total[j] += f.count[j];
		bed_free(f.m, f.n);
		bed_free(s.m, s.n);
	}
	if (different)
		fprintf(stderr, "%u of %u differ\n", different, ROUNDS);
	CHECK(different == 0, "fast and slow agree");
	/* The frames were worth it. */
	static const enum stat_id seen[] = {
		STAT_CHANNEL_TO_PEER,
		STAT_SEND_TO_PEER,
		STAT_PEER_TO_CHANNEL,
		STAT_PEER_TO_DATA,
		STAT_HAIRPIN,
		STAT_CD_UNBOUND,
		STAT_CD_EXPIRED,
		STAT_NO_ALLOCATION,
		STAT_NO_PERMISSION,
		STAT_TTL_EXPIRED,
		STAT_RELAY_NO_ALLOCATION,
		STAT_TOO_BIG,
		STAT_FRAGMENTED,
		STAT_NO_ROUTE,
	};

	for (unsigned i = 0; i < RTE_DIM(seen); i++)
		CHECK(total[seen[i]] > 0, stat_names[seen[i]].name);
	bed_stop();
}

static void test_same(void)
{
	compare(NULL);
}

/* TURN-134: the other setting. */
static void test_same_reset(void)
{
	bed_extra_relay = "  ttl-decrement: false\n";
	compare(NULL);
	bed_extra_relay = "";
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "fast and slow agree", test_same },
		{ "fast and slow agree, TTL reset (TURN-134)", test_same_reset },
		CU_TEST_INFO_NULL,
	};

	return run_suite("dataplane/oracle", tests);
}
