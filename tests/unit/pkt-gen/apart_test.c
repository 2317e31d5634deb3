/* Mirrors pkt-gen/apart.c. */
#include "pkt-gen/apart.h"
#include "tests/support.h"

static struct options options(const char *address)
{
	struct options o = { .n_ports = 1,
		             .client_port_min = 10000,
		             .client_port_max = 29999,
		             .peer_port_min = 30000,
		             .peer_port_max = 49999,
		             .client_family = 4,
		             .peer_family = 4 };

	CHECK(cidr_parse(address, &o.port[0].address[0]), address);
	o.port[0].n_addresses = 1;
	return o;
}

static void test_ports(void)
{
	static const struct {
		uint16_t clients[2], peers[2], min, n;
	} rows[] = {
		{ { 10000, 29999 }, { 30000, 49999 }, 50000, 7768 },
		{ { 30000, 49999 }, { 10000, 29999 }, 50000, 7768 },
		{ { 1024, 40000 }, { 50000, 65535 }, 40001, 4999 },
		{ { 2000, 65535 }, { 3000, 4000 }, 1024, 488 },
		{ { 1, 65535 }, { 3000, 4000 }, 0, 0 },
		{ { 1024, 65534 }, { 5, 6 }, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct options o = options("198.18.0.2/24");
		struct apart a;

		o.client_port_min = rows[i].clients[0];
		o.client_port_max = rows[i].clients[1];
		o.peer_port_min = rows[i].peers[0];
		o.peer_port_max = rows[i].peers[1];
		CU_ASSERT_EQUAL(apart_open(&a, &o), rows[i].n != 0);
		CU_ASSERT_EQUAL(a.ports, rows[i].n);
		if (rows[i].n != 0)
			CU_ASSERT_EQUAL(a.port_min, rows[i].min);
	}
}

/* apart_index() undoes apart_at(), and knows nobody else's. */
static void test_round_trip(void)
{
	struct options o = options("198.18.0.2/24");
	struct apart a;
	struct endpoint e;

	CHECK(prefix_parse("198.18.16.0/28", &o.clients_from), "prefix");
	CHECK(apart_open(&a, &o), "opens");
	CU_ASSERT_EQUAL(a.clients, 14);
	CU_ASSERT_EQUAL(apart_count(&a), 14u * 7768u);
	for (uint64_t i = 0; i < apart_count(&a); i += 997) {
		e = apart_at(&a, i);
		CU_ASSERT_EQUAL(apart_index(&a, &e), i);
		CHECK(prefix_contains(&o.clients_from, &e.addr), "inside");
		CHECK(e.addr.ip[15] != 0 && e.addr.ip[15] != 15, "no edge");
	}
	e = apart_at(&a, apart_count(&a));
	CU_ASSERT_EQUAL(apart_index(&a, &e), 0);
	e.port = 20000;
	CU_ASSERT_EQUAL(apart_index(&a, &e), apart_count(&a));
	CHECK(endpoint_parse("198.18.16.15:50000", &e), "parse");
	CU_ASSERT_EQUAL(apart_index(&a, &e), apart_count(&a));
	CHECK(endpoint_parse("198.18.16.0:50000", &e), "parse");
	CU_ASSERT_EQUAL(apart_index(&a, &e), apart_count(&a));
	CHECK(endpoint_parse("[fd00::1]:50000", &e), "parse");
	CU_ASSERT_EQUAL(apart_index(&a, &e), apart_count(&a));
}

/* Each peer is another address as long as there are any. */
static void test_peers(void)
{
	struct options o = options("fd00:18::2/64");
	struct endpoint e[3];
	struct apart a;

	o.client_family = o.peer_family = 6;
	CHECK(prefix_parse("fd00:19::/64", &o.peers_from), "prefix");
	CHECK(apart_open(&a, &o), "opens");
	CU_ASSERT_EQUAL(a.clients, 1);
	for (unsigned i = 0; i < 3; i++) {
		e[i] = apart_peer(&a, i);
		CHECK(apart_is_peer(&a, &e[i]), "a peer");
		CHECK(i == 0 || !addr_equal(&e[i].addr, &e[i - 1].addr), "another address");
	}
	e[0] = apart_at(&a, 0);
	CHECK(!apart_is_peer(&a, &e[0]), "a client is no peer");

	/* Nor where both have the one address of the port. */
	o = options("198.18.0.2/24");
	CHECK(apart_open(&a, &o), "opens");
	for (unsigned i = 0; i < 8000; i++) {
		e[0] = apart_peer(&a, i);
		e[1] = apart_at(&a, i);
		CHECK(apart_index(&a, &e[0]) == apart_count(&a), "a peer is no client");
		CHECK(!apart_is_peer(&a, &e[1]), "a client is no peer");
	}
}

static void test_no_address(void)
{
	struct options o = options("198.18.0.2/24");
	struct apart a;

	o.client_family = 6;
	CHECK(!apart_open(&a, &o), "no IPv6 address");
}

int main(void)
{
	CU_TestInfo tests[] = { { "the widest run of free ports", test_ports },
		                { "number and endpoint", test_round_trip },
		                { "peers", test_peers },
		                { "no address of the family", test_no_address },
		                CU_TEST_INFO_NULL };

	return run_suite("apart", tests);
}
