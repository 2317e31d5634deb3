/* Where clients and peers are: ports first, then addresses. */
#include "pkt-gen/place.h"
#include "tests/support.h"

static struct options some(const char *clients, const char *peers)
{
	struct options o = { .n_ports = 1,
		             .clients = 100000,
		             .peers = 2,
		             .client_family = 4,
		             .peer_family = 4,
		             .client_port_min = 10,
		             .client_port_max = 19,
		             .peer_port_min = 30,
		             .peer_port_max = 32 };

	cidr_parse("198.18.0.2/24", &o.port[0].address[0]);
	cidr_parse("fd00:18::2/64", &o.port[0].address[1]);
	o.port[0].n_addresses = 2;
	if (clients != NULL)
		prefix_parse(clients, &o.clients_from);
	if (peers != NULL)
		prefix_parse(peers, &o.peers_from);
	return o;
}

static bool is(struct endpoint at, const char *text)
{
	char got[ENDPOINT_TEXT_MAX];

	return strcmp(endpoint_print(&at, got), text) == 0;
}

static void test_own_address(void)
{
	struct options o = some(NULL, NULL);

	CHECK(is(place_client(&o, 0), "198.18.0.2:10"), "first");
	CHECK(is(place_client(&o, 9), "198.18.0.2:19"), "last port");
	CHECK(is(place_peer(&o, 1, 0), "198.18.0.2:32"), "peers of all clients in a row");
	o.client_family = 6;
	CHECK(is(place_client(&o, 1), "[fd00:18::2]:11"), "the family's own");
	CHECK(place_room(&(struct prefix){ .len = 128 }, 10, 19) == 10, "room");
	o.port[0].n_addresses = 1;
	CHECK(place_of_clients(&o).len == 0, "no address of the family");
}

static void test_prefix(void)
{
	const struct options o = some("10.0.255.0/24", "fd00:19::/64");
	const struct prefix clients = place_of_clients(&o);

	CHECK(is(place_client(&o, 0), "10.0.255.1:10"), "the network's own address is nobody's");
	CHECK(is(place_client(&o, 9), "10.0.255.1:19"), "all ports first");
	CHECK(is(place_client(&o, 10), "10.0.255.2:10"), "then the next address");
	CHECK(is(place_client(&o, 2539), "10.0.255.254:19"), "the last one");
	CHECK(place_room(&clients, 10, 19) == 2540, "254 addresses");
	CHECK(is(place_peer(&o, 0, 0), "[fd00:19::]:30"), "IPv6 has no broadcast");
	CHECK(is(place_peer(&o, 1, 1), "[fd00:19::1]:30"), "next address");
	CHECK(is(place_peer(&o, 98304, 0), "[fd00:19::1:0]:30"), "a carry");
}

static void test_find(void)
{
	struct options o = some("10.0.0.0/22", NULL);
	uint32_t found = 7;

	o.clients = 10000;
	for (uint32_t i = 0; i < o.clients; i += 13) {
		const struct endpoint at = place_client(&o, i);

		CHECK(place_find_client(&o, &at, &found) && found == i, "back again");
	}
	o.clients = 25;
	struct endpoint at = place_client(&o, 25);

	CHECK(!place_find_client(&o, &at, &found), "one too many");
	at = place_client(&o, 24);
	CHECK(place_find_client(&o, &at, &found) && found == 24, "the last one");
	at.port = 9;
	CHECK(!place_find_client(&o, &at, &found), "a port below");
	at.port = 20;
	CHECK(!place_find_client(&o, &at, &found), "a port above");
	at.port = 10;
	addr_parse("10.0.0.0", &at.addr);
	CHECK(!place_find_client(&o, &at, &found), "the network's own");
	addr_parse("10.0.4.0", &at.addr);
	CHECK(!place_find_client(&o, &at, &found), "outside");
}

static void test_ours(void)
{
	const struct options o = some("10.0.0.0/22", "fd00:19::/64");
	static const struct {
		const char *text;
		bool ours;
	} rows[] = { { "198.18.0.2", true }, { "fd00:18::2", true }, { "198.18.0.1", false },
		     { "10.0.3.255", true }, { "10.0.4.0", false },  { "fd00:19::ffff", true },
		     { "fd00:18::3", false } };

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a;

		CHECK(addr_parse(rows[i].text, &a), rows[i].text);
		CHECK(place_is_ours(&o, &a) == rows[i].ours, rows[i].text);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the port's own address", test_own_address },
		{ "a prefix", test_prefix },
		{ "back from an endpoint", test_find },
		{ "ours", test_ours },
		CU_TEST_INFO_NULL,
	};

	return run_suite("place", tests);
}
