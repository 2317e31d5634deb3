/* Ports without a kernel behind them: lanes, fixed next hops, frames. Needs no privilege. */
#include <stdlib.h>

#include <rte_mbuf.h>

#include "pkt-gen/link.h"
#include "tests/support.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

static const uint8_t hop[6] = { 0x02, 1, 2, 3, 4, 5 };

static struct options o;
static struct link *l;

static struct endpoint at(const char *text)
{
	struct endpoint e = { .port = 0 };

	CHECK(endpoint_parse(text, &e), text);
	return e;
}

static int open_ports(void)
{
	int code = -1;

	o = (struct options){ .n_ports = 2,
		              .clients = 4,
		              .peers = 1,
		              .client_family = 4,
		              .peer_family = 4,
		              .client_port_min = 10,
		              .client_port_max = 99,
		              .peer_port_min = 10,
		              .peer_port_max = 99,
		              .has_next_hop = true };
	memcpy(o.next_hop, hop, 6);
	strcpy(o.port[0].device, "net_null0");
	strcpy(o.port[1].device, "net_null1");
	prefix_parse("10.1.0.0/16", &o.clients_from);
	prefix_parse("10.2.0.0/16", &o.peers_from);
	l = link_open(&o, &code);
	return code;
}

static void test_lanes(void)
{
	struct lane lane[4];

	CHECK(link_ports(l) == 2, "two ports");
	CHECK(link_lanes(l, 0, lane, 4) == 2, "two lanes");
	CHECK(lane[0].ethdev != lane[1].ethdev && lane[0].queue == 0, "of a port each");
	CHECK(lane[0].pool != NULL && lane[1].pool != NULL && lane[0].pool != lane[1].pool,
	      "pools");
	CHECK(link_lanes(l, 0, lane, 1) == 1, "no more than there is room for");
	CHECK(strcmp(link_device(l, 1), "net_null1") == 0, "as it was given");
	CHECK(link_ready(l), "nothing to wait for");
}

static void test_next_hop(void)
{
	const struct endpoint client = at("10.1.0.1:10"), peer = at("10.2.0.1:10"),
			      server = at("198.18.0.1:3478");
	struct lane lane[2];
	uint8_t macs[12], from_client[6], n;

	link_lanes(l, 0, lane, 2);
	CHECK(link_next_hop(l, &client.addr, &server.addr, 0, macs, &n), "always known");
	CHECK(memcmp(macs, hop, 6) == 0 && n == 0, "clients leave by the first port");
	memcpy(from_client, macs + 6, 6);
	CHECK(link_next_hop(l, &peer.addr, &server.addr, 0, macs, &n), "always known");
	CHECK(memcmp(macs, hop, 6) == 0 && n == 1, "peers by the last");
	CHECK(memcmp(macs + 6, from_client, 6) != 0, "with its own address");
	CHECK(link_ours(l, &client.addr) && link_ours(l, &peer.addr) && !link_ours(l, &server.addr),
	      "ours");
}

/* Right lengths, right checksums, for even and odd lengths of either family. */
static void test_frame(void)
{
	static const char *const rows[][2] = { { "10.1.0.1:4000", "198.18.0.1:3478" },
		                               { "[fd00::1]:4000", "[fd00:18::1]:3478" } };
	const uint8_t macs[12] = { 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4 };

	for (unsigned i = 0; i < 2; i++)
		for (size_t len = 0; len < 1000; len += len < 70 ? 1 : 311) {
			const struct endpoint from = at(rows[i][0]), to = at(rows[i][1]);
			const size_t ip_len = i == 0 ? 20 : 40, addr_len = i == 0 ? 4 : 16;
			uint8_t *octets = malloc(len + 1);
			struct rte_mbuf *m;

			for (size_t k = 0; k < len; k++)
				octets[k] = (uint8_t)(k * 7 + 1);
			m = link_frame(l, &from, &to, macs, 1, octets, len);
			CHECK(m != NULL && m->pkt_len == 14 + ip_len + 8 + len, "length");
			if (m == NULL) {
				free(octets);
				continue;
			}
			const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *), *ip = f + 14,
				      *udp = ip + ip_len, *src = i == 0 ? ip + 12 : ip + 8;

			CHECK(memcmp(f, macs, 12) == 0, "MACs");
			CHECK(be16_load(f + 12) == (i == 0 ? 0x0800 : 0x86DD), "type");
			if (i == 0) {
				CHECK(ip[0] == 0x45 && be16_load(ip + 2) == 28 + len, "IPv4");
				CHECK(csum_right(csum_add(0, ip, 20)), "its checksum");
			} else {
				CHECK(ip[0] == 0x60 && be16_load(ip + 4) == 8 + len, "IPv6");
			}
			CHECK(memcmp(src, from.addr.ip + 16 - addr_len, addr_len) == 0, "from");
			CHECK(memcmp(src + addr_len, to.addr.ip + 16 - addr_len, addr_len) == 0,
			      "to");
			CHECK(be16_load(udp) == 4000 && be16_load(udp + 2) == 3478, "ports");
			CHECK(be16_load(udp + 4) == 8 + len, "UDP length");
			CHECK(be16_load(udp + 6) != 0, "a checksum");
			CHECK(csum_udp_right(src, src + addr_len, addr_len, udp,
			                     (uint16_t)(8 + len)),
			      "the right one");
			CHECK(memcmp(udp + 8, octets, len) == 0, "octets");
			rte_pktmbuf_free(m);
			free(octets);
		}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "lanes", test_lanes },
		{ "next hops", test_next_hop },
		{ "frames", test_frame },
		CU_TEST_INFO_NULL,
	};
	int rc = open_ports();

	if (rc != 0) {
		printf("skipped: DPDK does not start here (%d)\n", rc);
		return 77;
	}
	rc = run_suite("link", tests);
	link_close(l);
	return rc;
}
