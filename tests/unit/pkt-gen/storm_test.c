/*
 * Mirrors pkt-gen/storm.c and its rows, against a server that is a few lines. Its clock is ours;
 * the lane is engine_send() below, which answers.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <rte_mbuf.h>

#include "pkt-gen/storm_parts.h"
#include "tests/rig/eal.h"
#include "tests/support.h"
#include "wire/stun_build.h"

enum { FIVE_TUPLES = 1 << 16, ANSWERS = 8192 };

static const uint64_t ms = 1000000;

/* What the server knows and what it did. */
static struct {
	bool allocated[FIVE_TUPLES]; /* by port: all clients have one address */
	unsigned allocations, quota;
	unsigned challenge; /* answers every Allocate with 401 */
	bool mute, scan_answers;
	uint64_t frames, odd, binding, allocate, permissions, channels, refreshes, other;
	uint64_t digest;
	uint32_t port_seen[65536];
	struct {
		struct endpoint at, from;
		uint16_t len;
		uint8_t octets[256];
	} answer[ANSWERS];
	unsigned answers;
} server;

static struct rte_mempool *pool;
static struct endpoint server_at;

static void put_answer(const struct packet *p, const struct stun_builder *b)
{
	CHECK(server.answers < ANSWERS, "room for answers");
	server.answer[server.answers].at = p->from;
	server.answer[server.answers].from = p->to;
	server.answer[server.answers].len = (uint16_t)stun_finish(b);
	memcpy(server.answer[server.answers].octets, b->buf, stun_finish(b));
	server.answers++;
}

static unsigned decide(unsigned method, const struct stun_msg *msg, const struct packet *p,
                       struct stun_builder *ok)
{
	struct endpoint relayed = server_at;
	struct stun_attr attr;
	bool *stands = &server.allocated[p->from.port];
	uint32_t lifetime = 600;

	switch (method) {
	case STUN_BINDING:
		server.binding++;
		stun_put_xor_addr(ok, STUN_XOR_MAPPED_ADDRESS, &p->from);
		return 0;
	case TURN_ALLOCATE:
		server.allocate++;
		if (server.challenge)
			return 401;
		if (*stands)
			return 437;
		if (server.allocations == server.quota)
			return 486;
		*stands = true;
		server.allocations++;
		relayed.port = p->from.port;
		stun_put_xor_addr(ok, TURN_XOR_RELAYED_ADDRESS, &relayed);
		stun_put_u32(ok, TURN_LIFETIME, lifetime);
		stun_put_xor_addr(ok, STUN_XOR_MAPPED_ADDRESS, &p->from);
		return 0;
	case TURN_REFRESH:
		server.refreshes++;
		if (stun_find(msg, TURN_LIFETIME, &attr) && stun_u32(&attr, &lifetime) &&
		    lifetime == 0 && *stands) {
			*stands = false;
			server.allocations--;
		}
		stun_put_u32(ok, TURN_LIFETIME, lifetime);
		return 0;
	case TURN_CREATE_PERMISSION: server.permissions++; return *stands ? 0 : 437;
	case TURN_CHANNEL_BIND: server.channels++; return *stands ? 0 : 437;
	default: return 400;
	}
}

static void serve(const struct packet *p)
{
	struct stun_msg msg;
	struct stun_builder ok, bad;
	uint8_t good[256], wrong[256];

	if (!stun_open(p->octets, p->len, &msg) || stun_class(msg.type) != STUN_REQUEST ||
	    server.mute) {
		server.other++;
		return;
	}
	const unsigned method = stun_method(msg.type);
	stun_begin(&ok, good, sizeof(good), stun_type(method, STUN_SUCCESS), msg.txid);
	struct stun_attr name;
	/* Ours sign nothing: whoever gives a name is a mutant, and nobody made its MAC. */
	const unsigned code =
		stun_find(&msg, STUN_USERNAME, &name) ? 400 : decide(method, &msg, p, &ok);
	if (code == 0) {
		put_answer(p, &ok);
		return;
	}
	stun_begin(&bad, wrong, sizeof(wrong), stun_type(method, STUN_ERROR), msg.txid);
	stun_put_error(&bad, code, NULL);
	if (code == 401) {
		stun_put(&bad, STUN_REALM, "r", 1);
		stun_put(&bad, STUN_NONCE, "n", 1);
	}
	put_answer(p, &bad);
}

void engine_send(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n)
{
	(void)e;
	CU_ASSERT_EQUAL(lane, 3);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *f = rte_pktmbuf_mtod(m[i], const uint8_t *);
		struct packet p;

		server.frames++;
		/* Of strangers: what clients of ours ask has other transaction ids every time. */
		for (unsigned k = 0; be16_load(f + 34) >= 50008 && k < m[i]->data_len; k++)
			server.digest = (server.digest ^ f[k]) * UINT64_C(0x100000001B3);
		if (!packet_read(f, m[i]->data_len, &p)) {
			server.odd++;
		} else if (endpoint_equal(&p.to, &server_at)) {
			serve(&p);
		} else {
			server.port_seen[p.to.port]++;
			if (server.scan_answers) {
				struct packet back = p;
				struct stun_builder b;
				uint8_t octets[32];

				stun_begin(&b, octets, sizeof(octets), 0x0101,
				           (const uint8_t *)"0123456789ab");
				put_answer(&back, &b);
			}
		}
	}
	rte_pktmbuf_free_bulk(m, n);
}

static struct options options(void)
{
	struct options o = { .n_ports = 1,
		             .client_port_min = 10000,
		             .client_port_max = 29999,
		             .peer_port_min = 30000,
		             .peer_port_max = 49999,
		             .client_family = 4,
		             .peer_family = 4,
		             .duration_s = 2,
		             .seed = 7 };

	CHECK(cidr_parse("198.18.0.2/24", &o.port[0].address[0]), "address");
	o.port[0].n_addresses = 1;
	CHECK(endpoint_parse("198.18.0.1:3478", &o.server[0]), "server");
	server_at = o.server[0];
	return o;
}

static struct storm *make(const char *name, struct options *o)
{
	struct storm_field field = { .options = o, .pool = pool, .lane = 3 };

	memset(&server, 0, sizeof(server));
	server.quota = UINT32_MAX;
	return storm_new(name, &field);
}

static uint64_t clock_ns;

static void deliver(struct storm *s)
{
	const unsigned n = server.answers;

	for (unsigned i = 0; i < n; i++) {
		uint8_t *exact = copy_exact(server.answer[i].octets, server.answer[i].len);

		CHECK(storm_input(s, clock_ns, &server.answer[i].at, &server.answer[i].from, exact,
		                  server.answer[i].len),
		      "the storm's own");
		free(exact);
	}
	server.answers = 0;
}

static void run(struct storm *s, double seconds)
{
	const uint64_t end = clock_ns + (uint64_t)(seconds * 1e9);

	for (; clock_ns < end; clock_ns += ms) {
		storm_turn(s, clock_ns);
		deliver(s);
	}
}

static struct report_storm finish(struct storm *s)
{
	static struct report_storm r;

	storm_stop(s, clock_ns);
	for (unsigned i = 0; i < 3000 && !storm_done(s); i++)
		run(s, 0.001);
	CHECK(storm_done(s), "comes to an end");
	memset(&r, 0, sizeof(r));
	storm_report(s, &r);
	storm_free(s);
	printf("\n    %s: %s", r.name, r.said);
	return r;
}

static bool near(double a, double b, double part)
{
	return a >= b * (1 - part) && a <= b * (1 + part);
}

static void test_names(void)
{
	static const char *const names[] = { "allocate", "binding", "spoofed", "mutated",
		                             "churn",    "vanish",  "scan" };
	struct options o = options();
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	storm_list(out);
	fclose(out);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct storm *s = make(names[i], &o);

		CHECK(s != NULL, names[i]);
		CHECK(strstr(text, names[i]) != NULL, names[i]);
		storm_free(s);
	}
	free(text);
	CHECK(make("hail", &o) == NULL, "no such storm");
	o.client_family = 6;
	CHECK(make("binding", &o) == NULL, "no server of the family");
	storm_free(NULL);
}

static void test_binding(void)
{
	struct options o = options();
	struct report_storm r;
	struct endpoint stranger = server_at;
	struct storm *s;

	o.storm_rate = 20000;
	s = make("binding", &o);
	run(s, 1);
	CHECK(!storm_input(s, clock_ns, &stranger, &server_at, "x", 1), "another's datagram");
	r = finish(s);
	CHECK(near((double)r.sent, 20000, 0.01), "rate");
	CU_ASSERT_EQUAL(r.sent, server.frames);
	CU_ASSERT_EQUAL(server.binding, r.sent);
	CU_ASSERT_EQUAL(r.answered, r.sent);
	CU_ASSERT_EQUAL(server.odd, 0);
	CHECK(near(r.seconds, 1, 0.01), "seconds");
	CHECK(strstr(r.said, "100.0 %") != NULL, "says so");
}

static void test_spoofed(void)
{
	struct options o = options();
	struct report_storm r;
	struct storm *s;

	o.storm_rate = 5000;
	s = make("spoofed", &o);
	server.challenge = true;
	run(s, 1);
	r = finish(s);
	CHECK(near((double)r.sent, 5000, 0.01), "rate");
	CU_ASSERT_EQUAL(server.allocate, r.sent);
	CU_ASSERT_EQUAL(r.answered, r.sent);
	CU_ASSERT_EQUAL(r.code[401], r.sent);
}

/* Each port of the range once a pass, and none beside it. */
static void test_scan(void)
{
	struct options o = options();
	struct report_storm r;
	struct storm *s;

	o.storm_rate = 16384;
	s = make("scan", &o);
	run(s, 2.001);
	r = finish(s);
	for (unsigned port = 0; port < 65536; port++)
		if (port < 49152)
			CU_ASSERT_EQUAL(server.port_seen[port], 0)
		else
			CHECK(server.port_seen[port] >= 2 && server.port_seen[port] <= 3,
			      "twice over");
	CU_ASSERT_EQUAL(r.answered, 0);
	CU_ASSERT_EQUAL(server.odd, 0);

	s = make("scan", &o);
	server.scan_answers = true;
	run(s, 0.1);
	r = finish(s);
	CU_ASSERT_EQUAL(r.answered, r.sent);
}

/* A turn that comes late makes up for a tenth of a second, no more. */
static void test_pace(void)
{
	struct options o = options();
	struct report_storm r;
	struct storm *s;

	o.storm_rate = 10000;
	s = make("binding", &o);
	run(s, 0.01);
	clock_ns += 5000 * ms;
	run(s, 0.01);
	r = finish(s);
	CHECK(r.sent < 3000 && r.sent > 1000, "not fifty thousand");
	CHECK(strstr(r.said, "too late") != NULL, "told");
}

/* An empty pool is no crash, and what it could not make is told. */
static void test_no_buffers(void)
{
	struct options o = options();
	struct rte_mbuf *all[8192];
	struct report_storm r;
	unsigned n = 0;
	struct storm *s;

	o.storm_rate = 1000;
	s = make("binding", &o);
	while (n < 8192 && (all[n] = rte_pktmbuf_alloc(pool)) != NULL)
		n++;
	run(s, 0.1);
	CU_ASSERT_EQUAL(server.frames, 0);
	rte_pktmbuf_free_bulk(all, n);
	run(s, 0.1);
	CHECK(server.frames > 50, "goes on");
	r = finish(s);
	CHECK(strstr(r.said, "too late") != NULL, "told");
}

static void test_allocate(void)
{
	struct options o = options();
	struct report_storm r;
	struct storm *s;

	o.storm_rate = 200;
	s = make("allocate", &o);
	server.quota = 300;
	run(s, 2.2);
	CU_ASSERT_EQUAL(server.allocations, 300);
	r = finish(s);
	CU_ASSERT_EQUAL(r.sent, 400);
	CU_ASSERT_EQUAL(r.answered, 300);
	CU_ASSERT_EQUAL(r.failed, 100);
	CU_ASSERT_EQUAL(r.code[486], 100);
	CU_ASSERT_EQUAL(server.allocations, 0);
	CHECK(strstr(r.said, "300 of 400") != NULL && strstr(r.said, "486: 100") != NULL,
	      "says so");
}

static void test_allocate_paced(void)
{
	struct options o = options();
	struct storm *s;

	o.storm_rate = 200;
	s = make("allocate", &o);
	run(s, 1);
	CHECK(near(server.allocations, 200, 0.05), "half of them in half of the time");
	finish(s);
}

/* Nobody answers: the storm ends nevertheless. */
static void test_no_server(void)
{
	struct options o = options();
	struct report_storm r;
	struct storm *s;

	s = make("allocate", &o);
	server.mute = true;
	run(s, 1);
	storm_stop(s, clock_ns);
	for (unsigned i = 0; i < 6000 && !storm_done(s); i++)
		run(s, 0.001);
	CHECK(storm_done(s), "comes to an end");
	memset(&r, 0, sizeof(r));
	storm_report(s, &r);
	CU_ASSERT_EQUAL(r.answered, 0);
	storm_free(s);
}

static void test_churn(void)
{
	struct options o = options();
	struct report_storm r;
	struct storm *s;

	o.storm_rate = 600;
	s = make("churn", &o);
	run(s, 2);
	r = finish(s);
	CHECK(near((double)r.answered, 1200, 0.1), "rate");
	CHECK(server.permissions > 300 && server.channels > 500, "both kinds");
	CU_ASSERT_EQUAL(r.failed, 0);
	CU_ASSERT_EQUAL(server.allocations, 0);
}

static void test_vanish(void)
{
	struct options o = options();
	struct report_storm r;
	struct storm *s;

	o.storm_rate = 20;
	s = make("vanish", &o);
	run(s, 3);
	CHECK(server.allocations > 40, "the vanished leave theirs behind");
	r = finish(s);
	CHECK(r.answered >= 44 + 45 && r.answered <= 44 + 55, "up, and up again");
	CU_ASSERT_EQUAL(r.failed, 0);
}

/* Of the eight clients that the storm brings up for itself. */
static unsigned own_allocations(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 8; i++)
		n += server.allocated[50000 + i];
	return n;
}

static void test_mutated(void)
{
	struct options o = options();
	struct report_storm r;
	uint64_t digest[3];

	o.storm_rate = 5000;
	for (unsigned i = 0; i < 3; i++) {
		struct storm *s;

		o.seed = i < 2 ? 3 : 4;
		s = make("mutated", &o);
		clock_ns = 1000 * ms;
		run(s, 1);
		digest[i] = server.digest;
		CU_ASSERT_EQUAL(own_allocations(), 8);
		r = finish(s);
		CU_ASSERT_EQUAL(own_allocations(), 0);
	}
	CHECK(near((double)r.sent, 5000, 0.01), "rate");
	CHECK(digest[0] == digest[1], "same seed, same packets");
	CHECK(digest[0] != digest[2], "another seed, others");
	CHECK(r.answered > 50, "some are good enough to be answered");
	CHECK(strstr(r.said, "16 kinds with 21 damages") != NULL, "all of them");
}

static void test_judge(void)
{
	struct report_storm r = { .said = "did something" };

	storm_judge(&r);
	CU_ASSERT_STRING_EQUAL(r.said, "did something"); /* no media */
	r.before.tally = (struct tally){ .sent = 1000, .received = 1000 };
	r.during.tally = (struct tally){ .sent = 1000, .received = 990, .lost = 10 };
	r.after.tally = (struct tally){ .sent = 1000, .received = 1000 };
	r.during.latency.p99 = 123;
	storm_judge(&r);
	CHECK(strstr(r.said, "did something; media: loss 0.000, 1.000, 0.000 %") != NULL, r.said);
	CHECK(strstr(r.said, "123") != NULL, r.said);
	/* A line that is full already stays one. */
	memset(r.said, 'x', sizeof(r.said) - 1);
	r.said[sizeof(r.said) - 1] = '\0';
	storm_judge(&r);
	CU_ASSERT_EQUAL(strlen(r.said), sizeof(r.said) - 1);
}

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of processor time, without the port: a million a second is 1,000 ns. Sanitizers cost more. */
#if defined(__SANITIZE_ADDRESS__)
enum { COST_NS = 10000 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { COST_NS = 10000 };
#else
enum { COST_NS = 1000 };
#endif
#else
enum { COST_NS = 1000 };
#endif

static void test_cost(void)
{
	static const char *const floods[] = { "binding", "spoofed", "scan", "mutated" };
	struct options o = options();

	o.storm_rate = 1e9;
	for (unsigned i = 0; i < 4; i++) {
		struct storm *s = make(floods[i], &o);
		double began, took = 0;

		server.mute = true;
		for (unsigned k = 0; k < 200; k++, clock_ns += ms) {
			began = cpu_s();
			storm_turn(s, clock_ns);
			took += cpu_s() - began;
			server.answers = 0;
		}
		printf("\n    %s: %.0f ns a packet, sink and all", floods[i],
		       took * 1e9 / (double)server.frames);
		CHECK(took * 1e9 / (double)server.frames < COST_NS, floods[i]);
		storm_stop(s, clock_ns);
		storm_free(s);
	}
}

int main(void)
{
	CU_TestInfo tests[] = { { "every name", test_names },
		                { "binding", test_binding },
		                { "spoofed", test_spoofed },
		                { "scan", test_scan },
		                { "late turns", test_pace },
		                { "no buffers", test_no_buffers },
		                { "allocate, with refusals", test_allocate },
		                { "allocate, paced", test_allocate_paced },
		                { "nobody answers", test_no_server },
		                { "churn", test_churn },
		                { "vanish", test_vanish },
		                { "mutated", test_mutated },
		                { "what the media saw", test_judge },
		                { "cost of a packet", test_cost },
		                CU_TEST_INFO_NULL };

	eal_rig_start("storm", 64, EAL_RIG_ANY_CORE, 0);
	pool = rte_pktmbuf_pool_create("storm", 4095, 0, 0, 2176, SOCKET_ID_ANY);
	if (pool == NULL)
		return 2;
	clock_ns = 1000 * ms;
	return run_suite("storm", tests);
}
