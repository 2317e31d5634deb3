/* The service turn: commands, events, transmissions, frames that wait, the exception port. */
#include <stdlib.h>
#include <time.h>

#include "dataplane/flow.h"
#include "dataplane/limit.h"
#include "dataplane/punt.h"
#include "tests/unit/dataplane/bed.h"
#include "wire/stun_build.h"

#define CLIENT "198.18.0.9:40000"
#define PEER "198.18.1.5:5000"

static struct cmd_flow allocation(void)
{
	return bed_allocation(CLIENT, 0, 50000);
}

static int set_status(const struct cmd_flow *c, struct punt_row *ev)
{
	CHECK(bed_flow(CMD_SET, c), "room");
	bed_turn();
	return bed_status(ev);
}

/* --- flows --- */

static void test_flows(void)
{
	struct punt_row ev;
	struct cmd_flow a, p, ch;

	bed_start(NULL);
	a = allocation();
	p = bed_permission(CLIENT, PEER);
	ch = bed_channel(CLIENT, 0x4000, PEER);
	CHECK(set_status(&p, &ev) == ROW_NO_PARENT && ev.tag == p.tag, "no parent");
	bed_set(&a);
	bed_set(&p);
	bed_set(&ch);
	CHECK(bed.uses[BED_WIRE] == 3, "three rows use the next hop");
	/* A refresh is one more set: uses do not grow. */
	bed_set(&p);
	bed_set(&ch);
	bed_set(&a);
	bed_turn();
	CHECK(bed.uses[BED_WIRE] == 3, "still three");
	a.flags = FLOW_FLAG_SILENT;
	CHECK(bed_flow(CMD_SET, &a), "room");
	bed_turn();
	CHECK(bed_status(&ev) == -1, "silent");
	a.flags = 0;
	CHECK(bed_flow(CMD_DELETE, &ch) && bed_flow(CMD_DELETE, &p) && bed_flow(CMD_DELETE, &a) &&
	              bed_flow(CMD_DELETE, &a),
	      "room");
	bed_turn();
	unsigned deleted = 0, unknown = 0;

	for (int status; (status = bed_status(&ev)) >= 0;) {
		deleted += status == ROW_DELETED &&
		           (ev.tag == ch.tag || ev.tag == p.tag || ev.tag == a.tag);
		unknown += status == ROW_UNKNOWN && ev.tag == a.tag;
	}
	CHECK(deleted == 3 && unknown == 1, "deleted, with tags");
	CHECK(bed.uses[BED_WIRE] == 0 && flow_used(bed.dp.flows) == 0, "nothing is left");
	CHECK(bed.disconnects == 0, "all in good order");
	bed_stop();
}

/* Rows that were there before a route came follow it; uses of the old next hop come back. */
static void test_follow_routes(void)
{
	struct cmd_flow a, a6, p, ch, ch6;

	bed_start(NULL);
	a = allocation();
	a6 = bed_allocation("[fd00:18::9]:40000", 1, 50001);
	p = bed_permission(CLIENT, PEER);
	ch = bed_channel(CLIENT, 0x4000, PEER);
	ch6 = bed_channel("[fd00:18::9]:40000", 0x4001, "[fd00:18::5]:5000");
	ch6.listener = a6.listener;
	bed_set(&a);
	bed_set(&a6);
	bed_set(&p);
	bed_set(&ch);
	bed_set(&ch6);
	CHECK(bed.uses[BED_WIRE] == 5 && bed.uses[BED_SMALL] == 0, "by the wire");
	bed.epoch++;
	for (unsigned i = 0; i < 2000 && bed.uses[BED_WIRE] > 0; i++) {
		const struct timespec ms = { .tv_nsec = 1000000 };

		nanosleep(&ms, NULL);
		bed_turn();
	}
	CHECK(bed.uses[BED_WIRE] == 0 && bed.uses[BED_SMALL] == 5, "every row followed");
	bed_stop();
}

/* Final counts come with the delete's event (design 2.8). */
static void test_counts(void)
{
	static uint8_t frame[BED_FRAME];
	struct rte_mbuf *m[BED_REPLIES];
	struct punt_row ev;
	struct cmd_flow a = { 0 }, ch;

	bed_start(NULL);
	a = allocation();
	ch = bed_channel(CLIENT, 0x4000, PEER);
	bed_set(&a);
	bed_set(&ch);
	for (unsigned i = 0; i < 10; i++) {
		const uint8_t cd[] = { 0x40, 0, 0, 5, 1, 2, 3, 4, 5 };
		struct rte_mbuf *f =
			bed_mbuf(frame, bed_udp(frame, CLIENT, "198.18.0.1:3478", cd, sizeof(cd)));

		worker_burst(&bed.worker[i % 2], &bed.port, &f, 1);
	}
	const unsigned n = bed_sent(m);

	CHECK(n == 10, "relayed");
	bed_free(m, n);
	CHECK(bed_flow(CMD_DELETE, &ch), "room");
	bed_turn();
	CHECK(bed_status(&ev) == ROW_DELETED && ev.packets == 10 && ev.octets == 50,
	      "final counts");
	bed_stop();
}

/* What no right control writes: counted, and the connection ends. One field wrong at a time. */
static void test_invalid(void)
{
	static const struct {
		const char *name;
		size_t at, octets;
		uint32_t value;
	} rows[] = {
#define ROW(name, field, v) \
	{ name, offsetof(struct cmd_flow, field), sizeof(((struct cmd_flow *)0)->field), v }
		ROW("kind 1", kind, FLOW_BOUND_PEER),
		ROW("kind 3", kind, 3),
		ROW("kind 255", kind, 255),
		ROW("flags", flags, 2),
		ROW("reserved", reserved, 1),
		ROW("listener", listener, 2),
		ROW("listener, far", listener, 0xFFFF),
		ROW("listener of the other family", listener, 1),
		ROW("client port 0", client_port, 0),
		ROW("relay", relay, 3),
		ROW("relay, far", relay, 0xFFFF),
		ROW("relay of the other family", relay, 1),
		ROW("relayed port 0", relayed_port, 0),
		ROW("a deadline in a year", deadline_s, 0),
	};

	bed_start(NULL);
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		struct cmd_flow c = allocation();
		const uint32_t value = i + 1 == RTE_DIM(rows)
		                               ? bed.service->self.now_s + 365 * 86400
		                               : rows[i].value;
		const uint64_t before = bed_count(STAT_CMD_INVALID);

		memcpy((uint8_t *)&c + rows[i].at, &value, rows[i].octets);
		bed.disconnects = 0;
		CHECK(bed_flow(CMD_SET, &c), "room");
		bed_turn();
		CHECK(bed.disconnects == 1 && bed_count(STAT_CMD_INVALID) == before + 1,
		      rows[i].name);
	}
	struct punt_row ev;

	CHECK(bed_status(&ev) == -1 && flow_used(bed.dp.flows) == 0, "nothing came of it");
	bed.disconnects = 0;
	const struct cmd_flow a = allocation();

	bed_set(&a);
	struct cmd_flow c = bed_channel(CLIENT, 0x3FFF, PEER);

	CHECK(bed_flow(CMD_SET, &c), "room");
	bed_turn();
	c = bed_channel(CLIENT, 0x8000, PEER);
	CHECK(bed_flow(CMD_SET, &c), "room");
	bed_turn();
	c = bed_channel(CLIENT, 0x4000, PEER);
	c.peer_port = 0;
	CHECK(bed_flow(CMD_SET, &c), "room");
	bed_turn();
	c.peer_port = 5000;
	CHECK(bed_command(CMD_SET, &c, sizeof(c) - 8) && bed_command(0x77, &c, 8) &&
	              bed_command(CMD_SYNC_BEGIN, &c, 0),
	      "room");
	for (unsigned i = 0; i < 3; i++)
		bed_turn();
	CHECK(bed.disconnects == 6, "channels out of range, port 0, lengths, kinds");
	bed_stop();
}

/* TURN-214, TURN-215, TURN-217 to TURN-219: judged again where the command is applied. */
static void test_peers(void)
{
	static const struct {
		const char *peer;
		bool channel, allowed;
	} rows[] = {
		{ "198.18.1.5:5000", true, true },
		{ "8.8.8.8:53", true, true },
		{ "10.0.0.1:53", true, false }, /* private */
		{ "10.0.0.1:53", false, false },
		{ "127.0.0.1:53", true, false },     /* loopback */
		{ "224.0.0.1:53", false, false },    /* a group */
		{ "198.18.0.1:3478", true, false },  /* our listener, though its block is allowed */
		{ "198.18.0.1:80", true, false },    /* another port of ours */
		{ "198.18.0.3:50000", true, false }, /* an address of ours that relays nothing */
		{ "198.18.0.3:1", false, false },
		{ "198.18.0.1:50002", true, true },  /* a relayed address: turns round */
		{ "198.18.0.1:1", false, true },     /* a permission names no port */
		{ "203.0.113.2:50000", true, true }, /* advertised, in a block that is denied */
		{ "203.0.113.2:1", false, true },
		{ "203.0.113.3:50000", true, false }, /* its neighbour */
		{ "198.18.0.255:5000", true, false }, /* broadcast on a link of ours */
		{ "198.18.0.255:1", false, false },
	};
	struct punt_row ev;

	bed_start(NULL);
	const struct cmd_flow a = allocation();

	bed_set(&a);
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		const struct cmd_flow c =
			rows[i].channel ? bed_channel(CLIENT, (uint16_t)(0x4100 + i), rows[i].peer)
					: bed_permission(CLIENT, rows[i].peer);

		CHECK(set_status(&c, &ev) == (rows[i].allowed ? ROW_OK : ROW_REFUSED),
		      rows[i].peer);
	}
	/* In good faith, too: ports out of the range, our own address as a client. */
	struct cmd_flow c = bed_allocation("198.18.0.8:1", 0, 1000);

	CHECK(set_status(&c, &ev) == ROW_REFUSED, "a port outside of the range");
	c = bed_allocation("198.18.0.2:1", 0, 50010);
	CHECK(set_status(&c, &ev) == ROW_REFUSED, "ourselves as a client");
	c = bed_channel(CLIENT, 0x5000, PEER);
	CHECK(set_status(&c, &ev) == ROW_REFUSED, "an old channel number, not configured");
	CHECK(bed.disconnects == 0, "no reason to hang up");
	bed_stop();
}

/* Refused when full, and taken when room returns. */
static void test_full(void)
{
	struct punt_row ev;
	struct cmd_flow c;
	unsigned set = 0, full = 0;

	bed_start(NULL);
	const struct cmd_flow a = allocation();

	bed_set(&a);
	for (unsigned i = 0; i < 5000; i++) {
		char peer[40];

		snprintf(peer, sizeof(peer), "198.19.%u.%u:1", i >> 7, 100 + (i & 127));
		c = bed_permission(CLIENT, peer);
		CHECK(bed_flow(CMD_SET, &c), "room");
		bed_turn();
		const int status = bed_status(&ev);

		set += status == ROW_OK;
		full += status == ROW_FULL;
	}
	CHECK(set > 3000 && full > 0 && set + full == 5000, "cmd_table_full");
	CHECK(bed_count(STAT_CMD_TABLE_FULL) == full, "counted");
	CHECK(bed.uses[BED_WIRE] == set + 1, "what was refused uses no next hop");
	CHECK(bed_flow(CMD_DELETE, &a), "room");
	bed_turn();
	CHECK(flow_used(bed.dp.flows) == 0, "all gone with the allocation");
	for (unsigned i = 0; i < 20; i++) {
		while (bed_status(&ev) >= 0)
			full += ev.status == ROW_DELETED;
		bed_turn();
	}
	CHECK(full == 5001, "each is told");
	CHECK(bed.uses[BED_WIRE] == 0, "no next hop is kept");
	bed_set(&a);
	bed_stop();
}

/* --- sync --- */

static void test_sync(void)
{
	struct cmd_sync s = { .tag = 77 };
	struct punt_row ev;
	struct cmd_flow a, b, p;

	bed_start(NULL);
	a = allocation();
	b = bed_allocation("198.18.0.10:1", 0, 50001);
	p = bed_permission("198.18.0.10:1", PEER);
	bed_set(&a);
	bed_set(&b);
	bed_set(&p);
	CHECK(bed_command(CMD_SYNC_BEGIN, &s, sizeof(s)) && bed_flow(CMD_SET, &a) &&
	              bed_command(CMD_SYNC_END, &s, sizeof(s)),
	      "room");
	for (unsigned i = 0; i < 5; i++)
		bed_turn();
	CHECK(bed_status(&ev) == ROW_OK && ev.tag == a.tag, "named");
	CHECK(bed_status(&ev) == ROW_SYNCED && ev.tag == 77, "synced");
	CHECK(bed_status(&ev) == -1, "what was swept is told to nobody");
	CHECK(flow_used(bed.dp.flows) == 1 && bed.uses[BED_WIRE] == 1, "the rest is swept");
	bed_stop();
}

/* --- transmissions --- */

static _Alignas(8) uint8_t record[sizeof(struct cmd_transmit) + CMD_OCTETS_MAX + 8];
static struct cmd_transmit *const t = (struct cmd_transmit *)record;

static void prepare(const char *dest, uint32_t octets)
{
	const struct endpoint e = bed_ep(dest);

	*t = (struct cmd_transmit){ .source_kind = LOCAL_LISTENER,
		                    .source = addr_is4(&e.addr) ? 0 : 1,
		                    .dscp = 46,
		                    .dest_port = e.port,
		                    .octets = octets };
	memcpy(t->dest_ip, e.addr.ip, 16);
	for (uint32_t i = 0; i < octets; i++)
		((uint8_t *)(t + 1))[i] = (uint8_t)i;
}

static unsigned transmit(struct rte_mbuf **m)
{
	CHECK(bed_command(CMD_TRANSMIT, record, (uint32_t)sizeof(*t) + t->octets), "room");
	bed_turn();
	return bed_sent(m);
}

static void test_transmit(void)
{
	struct rte_mbuf *m[BED_REPLIES];
	struct bed_seen s;

	bed_start(NULL);
	for (unsigned six = 0; six < 2; six++) {
		const char *dest = six ? "[fd00:18::9]:40000" : CLIENT;
		const struct endpoint to = bed_ep(dest);

		prepare(dest, 100);
		CU_ASSERT_FATAL(transmit(m) == 1);
		s = bed_see(m[0], dest);
		CHECK(endpoint_equal(&s.dst, &to) && s.src.port == 3478 && s.tos == 46 << 2 &&
		              s.ttl == 64 && s.len == 100 && memcmp(s.data, t + 1, 100) == 0,
		      "as asked");
		bed_free(m, 1);
	}
	/* From a relayed address. */
	prepare(CLIENT, 8);
	t->source_kind = LOCAL_RELAY;
	t->source = 2;
	t->source_port = 50000;
	CHECK(transmit(m) == 1, "relay");
	s = bed_see(m[0], "relay");
	CHECK(s.src.port == 50000 && s.src.addr.ip[15] == 2, "from the real address");
	bed_free(m, 1);
	prepare(CLIENT, 1473);
	CHECK(transmit(m) == 2 && bed_count(STAT_FRAGMENTS_SENT) == 2, "in fragments");
	bed_free(m, 2);
	prepare("198.18.1.88:5", 10);
	CHECK(transmit(m) == 0 && bed_count(STAT_NO_ROUTE) == 1, "no route");
	CHECK(bed_count(STAT_TRANSMITTED) == 4, "transmitted");
	CHECK(bed.uses[BED_WIRE] == 0 && bed.disconnects == 0, "no use is kept");
	bed_stop();
}

/* A reply leaves by the worker that punted the request, if it owns a queue of the port. */
static void test_cookie(void)
{
	struct rte_mbuf *m[BED_REPLIES];
	struct punt_cookie c;

	bed_start(NULL);
	CHECK(punt_cookie_read(&bed.dp, punt_cookie_make(1, 0), &c) && c.worker == 1 && c.port == 0,
	      "read back");
	CHECK(!punt_cookie_read(&bed.dp, punt_cookie_make(3, 0), &c), "no such worker");
	CHECK(!punt_cookie_read(&bed.dp, punt_cookie_make(0, 1), &c), "no such port");
	CHECK(!punt_cookie_read(&bed.dp, 0, &c) && !punt_cookie_read(&bed.dp, 1, &c), "not ours");
	for (uint16_t worker = 0; worker < 3; worker++) {
		prepare(CLIENT, 10);
		t->cookie = punt_cookie_make(worker, 0);
		bed.port.owner[0] = 1;
		CHECK(bed_command(CMD_TRANSMIT, record, (uint32_t)sizeof(*t) + t->octets), "room");
		bed_turn();
		CHECK(rte_ring_count(bed.worker[1].inject) == 1, "the owner sends");
		bed_free(m, bed_sent(m));
	}
	bed.port.owner[0] = 0;
	bed_stop();
}

/* TURN-137: one label for all that goes from the listener to a client, another for others. */
static void test_flow_label(void)
{
	static uint8_t frame[BED_FRAME];
	static const char *const client[2] = { "[fd00:18::9]:40000", "[fd00:18::10]:40000" };
	uint32_t label[2][3];

	bed_start(NULL);
	for (unsigned c = 0; c < 2; c++) {
		struct rte_mbuf *m[BED_REPLIES], *in;
		static const uint8_t binding[20] = { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 };
		const struct cmd_flow a = bed_allocation(client[c], 1, (uint16_t)(50000 + c));
		const struct cmd_flow p = bed_permission(client[c], "[fd00:18::1:5]:1");

		bed_set(&a);
		bed_set(&p);
		in = bed_mbuf(frame, bed_udp(frame, client[c], "[fd00:18::1]:3478", binding, 20));
		worker_burst(&bed.worker[0], &bed.port, &in, 1);
		in = bed_mbuf(frame,
		              bed_udp(frame, "[fd00:18::1:5]:1",
		                      c ? "[fd00:18::1]:50001" : "[fd00:18::1]:50000", "x", 1));
		worker_burst(&bed.worker[0], &bed.port, &in, 1);
		prepare(client[c], 10);
		CU_ASSERT_FATAL(transmit(m) == 3);
		for (unsigned i = 0; i < 3; i++)
			label[c][i] =
				be32_load(rte_pktmbuf_mtod(m[i], const uint8_t *) + 14) & 0xFFFFF;
		bed_free(m, 3);
		CHECK(label[c][0] == label[c][1] && label[c][1] == label[c][2], "one flow");
	}
	CHECK(label[0][0] != label[1][0], "another flow");
	bed_stop();
}

static void test_transmit_invalid(void)
{
	struct rte_mbuf *m[BED_REPLIES];
	unsigned n = 0;

	bed_start(NULL);
#define WRONG(what, change)                                              \
	do {                                                             \
		prepare(CLIENT, 10);                                     \
		change;                                                  \
		CHECK(transmit(m) == 0 && bed.disconnects == ++n, what); \
	} while (0)
	WRONG("source kind 0", t->source_kind = 0);
	WRONG("source kind 3", t->source_kind = 3);
	WRONG("listener", t->source = 2);
	WRONG("relay", (t->source_kind = LOCAL_RELAY, t->source = 3));
	WRONG("the other family", t->source = 1);
	WRONG("DSCP", t->dscp = 64);
	WRONG("port 0", t->dest_port = 0);
	WRONG("reserved", t->reserved = 1);
	WRONG("cookie", t->cookie = 5);
	WRONG("a group", memcpy(t->dest_ip + 12, "\xE0\0\0\1", 4));
	WRONG("nowhere", memset(t->dest_ip, 0, 16));
	WRONG("ourselves", memcpy(t->dest_ip, bed_ep("198.18.0.3:1").addr.ip, 16));
	prepare(CLIENT, 10);
	t->octets = 12;
	CHECK(bed_command(CMD_TRANSMIT, record, (uint32_t)sizeof(*t) + 10), "room");
	bed_turn();
	CHECK(bed.disconnects == ++n, "octets");
	prepare(CLIENT, CMD_OCTETS_MAX);
	t->octets = CMD_OCTETS_MAX + 4;
	CHECK(bed_command(CMD_TRANSMIT, record, (uint32_t)sizeof(*t) + t->octets), "room");
	bed_turn();
	CHECK(bed.disconnects == ++n, "too many octets");
	/* A port outside of the range is a reload that control has not heard of. */
	prepare(CLIENT, 10);
	t->source_kind = LOCAL_RELAY;
	t->source_port = 9;
	CHECK(transmit(m) == 0 && bed.disconnects == n, "not sent, no offence");
	bed_stop();
}

/* --- waiting for a neighbour --- */

static void test_hold(void)
{
	struct rte_mbuf *m[BED_REPLIES];

	bed_start(NULL);
	for (unsigned i = 0; i < HOLD_PER_NEIGHBOUR + 3; i++) {
		prepare("198.18.1.66:5", 10);
		((uint8_t *)(t + 1))[0] = (uint8_t)i;
		CHECK(transmit(m) == 0, "nothing leaves");
	}
	CHECK(bed_count(STAT_NEIGHBOUR_UNRESOLVED) == 3 && bed.kicks == 1, "a few wait");
	bed_resolve(BED_UNRESOLVED, NEIGHBOUR_RESOLVED);
	const unsigned n = bed_sent(m);

	CHECK(n == HOLD_PER_NEIGHBOUR, "and leave");
	for (unsigned i = 0; i < n; i++)
		CHECK(bed_see(m[i], "held").data[0] == i, "in order");
	bed_free(m, n);
	bed_resolve(BED_UNRESOLVED, NEIGHBOUR_RESOLVING);
	CHECK(transmit(m) == 0, "another");
	bed_resolve(BED_UNRESOLVED, NEIGHBOUR_FAILED);
	CHECK(bed_sent(m) == 0 && bed_count(STAT_NEIGHBOUR_UNRESOLVED) == 4, "it failed");
	bed_resolve(BED_UNRESOLVED, NEIGHBOUR_RESOLVING);
	CHECK(transmit(m) == 0, "and another, which waits too long");
	struct rte_mbuf *late = hold_expired(bed.service->hold, bed.service->self.now_ns + HOLD_NS);

	CHECK(late != NULL && hold_expired(bed.service->hold, UINT64_MAX / 2) == NULL, "expired");
	rte_pktmbuf_free(late);
	bed_stop();
}

static void test_hold_full(void)
{
	static struct rte_mbuf *m;

	bed_start(NULL);
	struct hold *h = hold_new();
	unsigned held = 0;

	for (uint16_t a = 1; a < 40; a++)
		for (unsigned i = 0; i < HOLD_PER_NEIGHBOUR; i++) {
			m = rte_pktmbuf_alloc(bed.pool);
			if (hold_put(h, a, m, i))
				held++;
			else
				rte_pktmbuf_free(m);
		}
	CHECK(held == HOLD_MAX, "a bound in all");
	m = hold_take(h, 3);
	rte_pktmbuf_free(m);
	m = rte_pktmbuf_alloc(bed.pool);
	CHECK(hold_put(h, 3, m, 0) && hold_count(h, 3) == HOLD_PER_NEIGHBOUR, "room returns");
	hold_free(h);
	bed_stop();
}

/* --- rings that are full --- */

static void test_events_wait(void)
{
	struct punt_row ev;
	unsigned told = 0;

	bed_start(NULL);
	const struct cmd_flow a = allocation();

	bed_set(&a);
	/* Nobody reads: the punt ring fills, then the queue, then commands wait. */
	for (unsigned i = 0; i < 12000; i++) {
		while (!bed_flow(CMD_SET, &a)) {
			if (!bed.service->n_events)
				break;
			bed_turn();
			if (bed.service->n_events > SERVICE_EVENTS - 2)
				break;
		}
		if (bed.service->n_events > SERVICE_EVENTS - 2)
			break;
		bed_turn();
	}
	CHECK(bed.service->n_events >= SERVICE_EVENTS - 2, "events wait");
	const uint64_t applied = bed_count(STAT_COMMANDS);

	bed_turn();
	CHECK(bed_count(STAT_COMMANDS) == applied, "and so do commands");
	for (unsigned quiet = 0; quiet < 3;) {
		const unsigned before = told;

		while (bed_status(&ev) >= 0)
			told++;
		bed_turn();
		quiet = told == before ? quiet + 1 : 0;
	}
	CHECK(told == bed_count(STAT_COMMANDS) - 1, "each is told in the end");
	bed_stop();
}

static void test_inject_full(void)
{
	struct rte_mbuf *m[BED_REPLIES];
	unsigned n = 0;

	bed_start(NULL);
	for (unsigned i = 0; i < WORKER_RING + 10; i++) {
		prepare(CLIENT, 10);
		CHECK(bed_command(CMD_TRANSMIT, record, (uint32_t)sizeof(*t) + 10), "room");
		bed_turn();
	}
	CHECK(bed_count(STAT_INJECT_FULL) > 0, "inject_full");
	for (unsigned k; (k = bed_sent(m)) > 0; n += k)
		bed_free(m, k);
	CHECK(n + bed_count(STAT_INJECT_FULL) == WORKER_RING + 10, "none is lost uncounted");
	prepare(CLIENT, 10);
	CHECK(transmit(m) == 1, "and it recovers");
	bed_free(m, 1);
	bed_stop();
}

static void test_give(void)
{
	static uint8_t frame[BED_FRAME];
	struct rte_mbuf *m;
	unsigned given = 0;

	bed_start(NULL);
	const uint32_t len = bed_udp(frame, "198.18.1.5:53", "198.18.0.1:33333", "x", 1);

	m = bed_mbuf(frame, len);
	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	bed_turn();
	CHECK(bed.n_kernel == 1 && bed_count(STAT_TO_KERNEL) == 1 &&
	              bed.kernel[0]->data_len == len &&
	              memcmp(rte_pktmbuf_mtod(bed.kernel[0], void *), frame, len) == 0,
	      "the host's own UDP goes to the kernel unchanged (DEMUX-060)");
	bed_free(bed.kernel, 1);
	bed.n_kernel = 0;
	for (;;) {
		m = rte_pktmbuf_alloc(bed.pool);
		if (m == NULL)
			break;
		if (!service_give(&bed.dp, m, GIVE_ICMP, 0)) {
			rte_pktmbuf_free(m);
			break;
		}
		given++;
	}
	CHECK(given > 1000, "the ring is bounded");
	for (unsigned i = 0; i < 100; i++)
		bed_turn();
	CHECK(bed_count(STAT_ICMP_UNMATCHED) == given, "and emptied");
	bed_stop();
}

/* DEMUX-062: a bounded queue, and a bounded rate. */
static void test_exception_full(void)
{
	static uint8_t frame[BED_FRAME];
	unsigned to_kernel = 0;

	bed_start(NULL);
	const uint32_t len = bed_udp(frame, "198.18.1.5:53", "198.18.0.1:33333", "x", 1);

	for (unsigned i = 0; bed_count(STAT_EXCEPTION_FULL) == 0 && i < 4096; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(bed.pool);

		if (m == NULL)
			break;
		memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
		worker_burst(&bed.worker[0], &bed.port, &m, 1);
	}
	for (unsigned i = 0; i < 100; i++) {
		bed_turn();
		to_kernel += bed.n_kernel;
		bed_free(bed.kernel, bed.n_kernel);
		bed.n_kernel = 0;
	}
	CHECK(to_kernel == bed_count(STAT_TO_KERNEL), "all that was taken is given");
	/* More than the rate allows at once. */
	bed_zero();
	to_kernel = 0;
	for (unsigned i = 0; i < 12000; i++) {
		struct rte_mbuf *m = bed_mbuf(frame, len);

		worker_burst(&bed.worker[0], &bed.port, &m, 1);
		if (i % 64 == 63) {
			bed.service->exception_tokens = 0; /* a burst went before */
			bed.service->exception_ns = bed.service->self.now_ns;
			service_turn(bed.service, 64);
			to_kernel += bed.n_kernel;
			bed_free(bed.kernel, bed.n_kernel);
			bed.n_kernel = 0;
		}
	}
	CHECK(bed_count(STAT_EXCEPTION_FULL) > 0 && to_kernel < 12000, "exception_full");
	bed_stop();
}

/* --- reload --- */

static void test_reload(void)
{
	struct punt_row ev;
	uint16_t kind;
	uint64_t octets;
	const struct life *life = bed.service ? bed.service->life : NULL;

	bed_start(NULL);
	life = bed.service->life;
	const struct abi_listener *l =
		region_section(&bed.dp.region, SECTION_LISTENERS, 0, &octets);
	const struct abi_relay *r = region_section(&bed.dp.region, SECTION_RELAYS, 0, NULL);

	CHECK(atomic_load(&life->n_listeners) == 2 && atomic_load(&life->n_relays) == 3 &&
	              l[0].port == 3478 && l[0].live && l[1].id == 1 && r[2].live &&
	              r[2].advertise[15] == 2 && r[0].port_min == 49152,
	      "published at start");
	const struct config *before = bed.dp.cfg;

	bed_config("compat: { rfc5766-channels: true }\n");
	CHECK(bed_command(CMD_RELOAD, NULL, 0), "room");
	bed_turn();
	CHECK(bed_event(&kind, &ev, sizeof(ev)) == 0 && kind == PUNT_TABLES, "tables changed");
	CHECK(bed.dp.cfg != before && bed.dp.cfg->rfc5766_channels, "taken");
	CHECK(atomic_load(&life->config_epoch) == 1, "counted");
	const struct cmd_flow a = allocation();

	bed_set(&a);
	const struct cmd_flow ch = bed_channel(CLIENT, 0x5000, PEER);

	bed_set(&ch);
	/* What is wrong leaves everything as it is. */
	before = bed.dp.cfg;
	bed_config("nonsense: 1\n");
	CHECK(bed_command(CMD_RELOAD, NULL, 0), "room");
	bed_turn();
	CHECK(bed.dp.cfg == before && bed_event(&kind, &ev, sizeof(ev)) == -1, "refused");
	/* A restart is needed for more workers. */
	bed_config("idle: poll\n");
	FILE *f = fopen(bed.file, "r+");
	char text[4096];
	const size_t n = fread(text, 1, sizeof(text) - 1, f);

	text[n] = '\0';
	char *at = strstr(text, "workers: 2");

	CU_ASSERT_FATAL(at != NULL);
	at[9] = '1';
	rewind(f);
	fwrite(text, 1, n, f);
	fclose(f);
	CHECK(bed_command(CMD_RELOAD, NULL, 0), "room");
	bed_turn();
	CHECK(bed.dp.cfg == before && bed.disconnects == 0, "workers cannot change");
	for (unsigned i = 0; i < 10; i++) {
		bed_config(i % 2 ? NULL : "idle: poll\n");
		CHECK(bed_command(CMD_RELOAD, NULL, 0), "room");
		bed_turn();
	}
	CHECK(atomic_load(&life->config_epoch) == 11, "again and again");
	before = bed.dp.cfg;
	bed_stop();
}

/* Ids stay with what they stand for; what is gone is refused in good faith. */
static void test_reload_listeners(void)
{
	struct punt_row ev;
	struct rte_mbuf *m[BED_REPLIES];
	uint16_t kind;
	char text[4096];

	bed_start(NULL);
	const struct abi_listener *l = region_section(&bed.dp.region, SECTION_LISTENERS, 0, NULL);
	const struct abi_relay *r = region_section(&bed.dp.region, SECTION_RELAYS, 0, NULL);
	const struct cmd_flow before = allocation();

	bed_set(&before);
	FILE *f = fopen(bed.file, "r+");
	const size_t n = fread(text, 1, sizeof(text) - 1, f);

	text[n] = '\0';
	char *at = strstr(text, "198.18.0.1:3478");

	CU_ASSERT_FATAL(at != NULL);
	memcpy(at + 11, "3479", 4);
	rewind(f);
	fwrite(text, 1, n, f);
	fclose(f);
	CHECK(bed_command(CMD_RELOAD, NULL, 0), "room");
	bed_turn();
	CHECK(bed_event(&kind, &ev, sizeof(ev)) == 0 && kind == PUNT_TABLES, "tables");
	CHECK(atomic_load(&bed.service->life->n_listeners) == 3 && !l[0].live && l[1].live &&
	              l[2].live && l[2].port == 3479 && l[0].port == 3478 && r[0].live,
	      "a new id; the old one stays, not live");
	struct cmd_flow c = bed_allocation("198.18.0.8:1", 0, 50010);

	CHECK(set_status(&c, &ev) == ROW_REFUSED, "the listener is gone");
	c.listener = 2;
	CHECK(set_status(&c, &ev) == ROW_OK, "the new one serves");
	prepare(CLIENT, 10);
	CHECK(transmit(m) == 0, "nothing is sent from one that is gone");
	t->source = 2;
	CHECK(transmit(m) == 1 && bed_see(m[0], "new").src.port == 3479, "but from the new one");
	bed_free(m, 1);
	CHECK(bed.disconnects == 0, "no reason to hang up");
	bed_stop();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "flows", test_flows },
		{ "rows follow routes", test_follow_routes },
		{ "counts", test_counts },
		{ "invalid commands", test_invalid },
		{ "peers (TURN-214 to TURN-219)", test_peers },
		{ "tables full", test_full },
		{ "sync", test_sync },
		{ "transmit", test_transmit },
		{ "cookie", test_cookie },
		{ "flow label (TURN-137)", test_flow_label },
		{ "invalid transmissions", test_transmit_invalid },
		{ "hold", test_hold },
		{ "hold, full", test_hold_full },
		{ "events wait", test_events_wait },
		{ "inject_full", test_inject_full },
		{ "exception port, ring to the service turn", test_give },
		{ "exception_full", test_exception_full },
		{ "reload", test_reload },
		{ "reload of listeners", test_reload_listeners },
		CU_TEST_INFO_NULL,
	};

	return run_suite("dataplane/service", tests);
}
