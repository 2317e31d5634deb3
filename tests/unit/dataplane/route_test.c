/* Longest prefix match against a slow model, and routes as this kernel tells them. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/lpm.h"
#include "dataplane/netlink.h"
#include "dataplane/port.h"
#include "dataplane/route.h"
#include "tests/support.h"

enum { MODEL_MAX = 400, ROUNDS = 4000 };

static uint32_t seed = 1;

static uint32_t draw(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* --- against the model --- */

static struct lpm_route model[MODEL_MAX];
static unsigned n_model;

static struct addr some_address(void)
{
	struct addr a = { 0 };

	if (draw(2) == 0)
		a = addr_from4((const uint8_t[4]){ 10, (uint8_t)draw(3), (uint8_t)draw(4),
		                                   (uint8_t)draw(256) });
	else
		a.ip[0] = 0xFD, a.ip[3] = (uint8_t)draw(3), a.ip[7] = (uint8_t)draw(4),
		a.ip[15] = (uint8_t)draw(256);
	return a;
}

static struct lpm_route some_route(void)
{
	struct lpm_route r = { .metric = draw(3), .link = draw(2), .port = (uint16_t)draw(4) };
	const struct addr a = some_address();

	r.prefix.len = addr_is4(&a) ? (uint8_t)(96 + draw(33)) : (uint8_t)draw(129);
	r.prefix.addr = lpm_mask(&a, r.prefix.len);
	return r;
}

static bool same(const struct lpm_route *a, const struct lpm_route *b)
{
	return a->prefix.len == b->prefix.len && addr_equal(&a->prefix.addr, &b->prefix.addr) &&
	       a->metric == b->metric && a->link == b->link;
}

static const struct lpm_route *model_find(const struct addr *dest, unsigned longest)
{
	const struct lpm_route *best = NULL;

	for (unsigned i = 0; i < n_model; i++) {
		const struct lpm_route *r = &model[i];

		if (r->prefix.len > longest || !prefix_contains(&r->prefix, dest))
			continue;
		if (best == NULL || r->prefix.len > best->prefix.len ||
		    (r->prefix.len == best->prefix.len && r->metric < best->metric))
			best = r;
	}
	return best;
}

static void model_step(struct lpm *t)
{
	struct lpm_route r = some_route();
	unsigned i = 0;

	if (n_model > 0 && draw(3) == 0)
		r = model[draw(n_model)];
	while (i < n_model && !same(&model[i], &r))
		i++;
	if (draw(5) < 3 && (i < n_model || n_model < MODEL_MAX)) {
		r.port = (uint16_t)draw(4);
		CHECK(lpm_set(t, &r), "set");
		model[i] = r;
		n_model += i == n_model;
	} else {
		CHECK(lpm_remove(t, &r) == (i < n_model), "remove says whether it was there");
		if (i < n_model) {
			n_model--;
			memmove(&model[i], &model[i + 1], (n_model - i) * sizeof(model[0]));
		}
	}
}

static void test_model(void)
{
	struct lpm *t = lpm_new(MODEL_MAX);

	n_model = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		model_step(t);
		CHECK(lpm_count(t) == n_model, "count");
		for (unsigned k = 0; k < 8; k++) {
			const struct addr dest = some_address();
			const unsigned longest = draw(4) == 0 ? draw(129) : 128;
			const struct lpm_route *got = lpm_find(t, &dest, longest);
			const struct lpm_route *want = model_find(&dest, longest);

			CHECK((got == NULL) == (want == NULL), "found or not");
			if (got != NULL && want != NULL)
				CHECK(got->prefix.len == want->prefix.len &&
				              got->metric == want->metric,
				      "the longest, then the cheapest");
		}
	}
	lpm_free(t);
}

static void test_full_and_sweep(void)
{
	struct lpm *t = lpm_new(4);
	struct lpm_route r = { .prefix.len = 128 };
	struct addr dest = { 0 };

	for (unsigned i = 0; i < 4; i++) {
		r.prefix.addr.ip[15] = (uint8_t)i;
		r.generation = i < 3;
		CHECK(lpm_set(t, &r), "room");
	}
	r.prefix.addr.ip[15] = 9;
	CHECK(!lpm_set(t, &r), "full");
	CHECK(lpm_sweep(t, 1) == 1 && lpm_count(t) == 3, "one is old");
	CHECK(lpm_set(t, &r), "room again");
	dest.ip[15] = 3;
	CHECK(lpm_find(t, &dest, 128) == NULL, "swept");
	lpm_free(t);
}

/* ::/0 says nothing about IPv4, 0.0.0.0/0 nothing about IPv6. */
static void test_families(void)
{
	struct lpm *t = lpm_new(4);
	const struct lpm_route all6 = { .port = 6 };
	const struct lpm_route all4 = { .prefix = { addr_from4((const uint8_t[4]){ 0 }), 96 },
		                        .port = 4 };
	const struct addr four = addr_from4((const uint8_t[4]){ 10, 0, 0, 1 });
	const struct addr six = { .ip = { 0xFD } };

	lpm_set(t, &all6);
	CHECK(lpm_find(t, &four, 128) == NULL, "IPv4 has no route");
	lpm_set(t, &all4);
	CHECK(lpm_find(t, &four, 128)->port == 4 && lpm_find(t, &six, 128)->port == 6,
	      "each its own");
	lpm_free(t);
}

/* --- as the kernel tells it --- */

static struct dataplane dp;
static struct port port;
static struct config_port cfg_port = { .name = "tp0" };
static struct mnl_socket *nl;
static bool in_namespace;

static int make_tap(void)
{
	struct ifreq ifr = { .ifr_name = "tp0", .ifr_flags = IFF_TAP | IFF_NO_PI };
	const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) != 0)
		return -1;
	return fd;
}

static struct prefix cidr(const char *text)
{
	struct prefix p = { 0 };

	CHECK(cidr_parse(text, &p), text);
	return p;
}

static struct addr address(const char *text)
{
	struct addr a = { 0 };

	CHECK(addr_parse(text, &a), text);
	return a;
}

/* `via` NULL: on the link. */
static int route(uint16_t type, uint16_t flags, const char *dest, const char *via, uint32_t metric)
{
	uint8_t buffer[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	const struct prefix p = cidr(dest);
	const bool ip4 = addr_is4(&p.addr);
	const unsigned skip = ip4 ? 12 : 0, len = ip4 ? 4 : 16;
	struct rtmsg *m;

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->rtm_family = ip4 ? AF_INET : AF_INET6;
	m->rtm_dst_len = (uint8_t)(p.len - (ip4 ? 96 : 0));
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = type == RTM_DELROUTE  ? RT_SCOPE_NOWHERE
	               : via != NULL || !ip4 ? RT_SCOPE_UNIVERSE
	                                     : RT_SCOPE_LINK;
	m->rtm_type = RTN_UNICAST;
	if (m->rtm_dst_len > 0)
		mnl_attr_put(h, RTA_DST, len, p.addr.ip + skip);
	if (via != NULL) {
		const struct addr gateway = address(via);

		mnl_attr_put(h, RTA_GATEWAY, len, gateway.ip + skip);
	}
	mnl_attr_put_u32(h, RTA_OIF, port.tap_ifindex);
	if (metric != 0)
		mnl_attr_put_u32(h, RTA_PRIORITY, metric);
	return netlink_ask(nl, h);
}

/* What a host on the link would answer. */
static int neighbour(uint16_t type, const char *ip, uint8_t last, uint16_t state)
{
	uint8_t buffer[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	const struct addr a = address(ip);
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, last };
	struct ndmsg *m;

	h->nlmsg_type = type;
	h->nlmsg_flags = type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ndm_family = addr_is4(&a) ? AF_INET : AF_INET6;
	m->ndm_ifindex = (int)port.tap_ifindex;
	m->ndm_state = state;
	mnl_attr_put(h, NDA_DST, addr_is4(&a) ? 4 : 16, a.ip + (addr_is4(&a) ? 12 : 0));
	if (type == RTM_NEWNEIGH)
		mnl_attr_put(h, NDA_LLADDR, 6, mac);
	return netlink_ask(nl, h);
}

struct looking {
	struct addr ip;
	int state;
};

static int look(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	struct looking *l = arg;
	struct nlattr *a;
	struct addr ip;

	mnl_attr_for_each(a, h, sizeof(*m)) if (mnl_attr_get_type(a) == NDA_DST &&
	                                        netlink_addr(m->ndm_family, mnl_attr_get_payload(a),
	                                                     mnl_attr_get_payload_len(a), &ip) &&
	                                        addr_equal(&ip, &l->ip)) l->state = m->ndm_state;
	return MNL_CB_OK;
}

static int neighbour_state(const char *ip)
{
	struct looking l = { address(ip), -1 };

	CHECK(netlink_dump(nl, RTM_GETNEIGH, AF_INET, look, &l) == 0, "neighbours");
	return l.state;
}

static void settle(struct route *r)
{
	for (unsigned i = 0; i < 60; i++) {
		const struct timespec ms = { .tv_nsec = 1000000 };

		nanosleep(&ms, NULL);
		route_poll(r);
	}
}

static unsigned last_octet(uint16_t adjacency, unsigned *state)
{
	uint8_t eth[12];

	*state = adjacency_fill(&dp.adjacency->entry[adjacency], eth);
	return *state == NEIGHBOUR_RESOLVED ? eth[5] : 0;
}

static unsigned events[8];

static void on_event(struct dataplane *d, uint16_t adjacency, enum neighbour_state state)
{
	(void)d;
	(void)adjacency;
	events[state]++;
}

static struct route *begin(void)
{
	struct route *r = in_namespace ? route_open(&dp) : NULL;

	if (r == NULL)
		printf("(skipped: no network namespace of our own) ");
	else
		route_on_event(r, on_event);
	memset(events, 0, sizeof(events));
	return r;
}

static uint16_t to(struct route *r, const char *ip)
{
	const struct addr a = address(ip);

	return route_adjacency(r, &a);
}

static void test_on_link(void)
{
	struct route *r = begin();
	unsigned state;
	uint16_t a, b;

	if (r == NULL)
		return;
	a = to(r, "198.18.0.9");
	b = to(r, "fd00:18::9");
	CHECK(a != ADJACENCY_NONE && b != ADJACENCY_NONE && a != b, "both families");
	CHECK(to(r, "198.18.0.9") == a, "the same again");
	CHECK(last_octet(a, &state) == 0 && state == NEIGHBOUR_RESOLVING, "not known yet");
	CHECK(neighbour(RTM_NEWNEIGH, "198.18.0.9", 9, NUD_REACHABLE) == 0, "answered");
	CHECK(neighbour(RTM_NEWNEIGH, "fd00:18::9", 8, NUD_REACHABLE) == 0, "answered");
	settle(r);
	CHECK(last_octet(a, &state) == 9 && last_octet(b, &state) == 8, "resolved");
	CHECK(events[NEIGHBOUR_RESOLVED] == 2, "told");
	CHECK(neighbour(RTM_NEWNEIGH, "198.18.0.9", 10, NUD_REACHABLE) == 0, "moved");
	settle(r);
	CHECK(last_octet(a, &state) == 10, "the same index, another MAC");
	CHECK(dp.adjacency->entry[a].src_mac[5] == 0x77 && dp.adjacency->entry[a].mtu == 1500,
	      "ours");
	neighbour(RTM_DELNEIGH, "198.18.0.9", 0, 0);
	settle(r);
	last_octet(a, &state);
	CHECK(state != NEIGHBOUR_RESOLVED, "deleted: asked for again");
	CHECK(to(r, "192.0.2.1") == ADJACENCY_NONE, "no route");
	CHECK(to(r, "198.18.0.1") == ADJACENCY_NONE, "the host itself");
	CHECK(to(r, "198.18.0.255") == ADJACENCY_NONE, "broadcast");
	route_close(r);
}

static void test_known_before(void)
{
	struct route *r;
	unsigned state;
	uint16_t a;

	if (!in_namespace)
		return;
	CHECK(neighbour(RTM_NEWNEIGH, "198.18.0.30", 30, NUD_PERMANENT) == 0, "known");
	r = begin();
	a = to(r, "198.18.0.30");
	settle(r);
	CHECK(last_octet(a, &state) == 30, "learned although nothing changed");
	CHECK(neighbour_state("198.18.0.30") == NUD_PERMANENT, "left permanent");
	a = to(r, "198.18.0.31");
	settle(r);
	CHECK(neighbour_state("198.18.0.31") == NUD_INCOMPLETE, "asked for");
	(void)a;
	route_close(r);
}

static void test_gateway(void)
{
	struct route *r = begin();
	unsigned state;
	uint16_t a, b;

	if (r == NULL)
		return;
	const uint32_t before = route_epoch(r);

	CHECK(to(r, "192.0.2.1") == ADJACENCY_NONE, "no way yet");
	CHECK(route(RTM_NEWROUTE, NLM_F_CREATE, "0.0.0.0/0", "198.18.0.20", 0) == 0, "default");
	neighbour(RTM_NEWNEIGH, "198.18.0.20", 20, NUD_REACHABLE);
	neighbour(RTM_NEWNEIGH, "198.18.0.21", 21, NUD_REACHABLE);
	settle(r);
	CHECK(route_epoch(r) != before, "who asked in vain may ask again");
	a = to(r, "192.0.2.1");
	CHECK(a != ADJACENCY_NONE && a == to(r, "203.0.113.7"), "one index for all behind it");
	settle(r);
	CHECK(last_octet(a, &state) == 20, "by the gateway");

	/* Another gateway: every row follows. */
	CHECK(route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "0.0.0.0/0", "198.18.0.21", 0) == 0,
	      "replaced");
	settle(r);
	CHECK(last_octet(a, &state) == 21, "re-pointed in place");

	/* A better metric wins, and its end gives way again. */
	CHECK(route(RTM_NEWROUTE, NLM_F_CREATE, "0.0.0.0/0", "198.18.0.20", 5) == 0,
	      "worse metric");
	settle(r);
	CHECK(last_octet(a, &state) == 21, "stays");
	CHECK(route(RTM_DELROUTE, 0, "0.0.0.0/0", "198.18.0.21", 0) == 0, "deleted");
	settle(r);
	CHECK(last_octet(a, &state) == 20, "the next best");

	/* A longer prefix below one in use cannot be followed by the index: the epoch says so. */
	const uint32_t epoch = route_epoch(r);

	CHECK(route(RTM_NEWROUTE, NLM_F_CREATE, "192.0.2.0/24", "198.18.0.21", 0) == 0, "longer");
	settle(r);
	CHECK(route_epoch(r) != epoch, "epoch");
	b = to(r, "192.0.2.1");
	CHECK(b != a, "asked again, another index");
	settle(r);
	CHECK(last_octet(b, &state) == 21, "by the longer prefix");
	CHECK(route(RTM_DELROUTE, 0, "192.0.2.0/24", NULL, 0) == 0, "gone");
	settle(r);
	CHECK(last_octet(b, &state) == 20, "falls back to the default route");
	CHECK(route(RTM_DELROUTE, 0, "0.0.0.0/0", NULL, 0) == 0, "all gone");
	settle(r);
	last_octet(a, &state);
	CHECK(state == NEIGHBOUR_FAILED, "no way");
	route_close(r);
}

/* IPv4 routes vanish with an address and nobody is told. */
static void test_silent_loss(void)
{
	struct route *r = begin();
	const struct prefix extra = cidr("198.18.7.1/24");
	unsigned state;
	uint16_t a;

	if (r == NULL)
		return;
	CHECK(netlink_add_address(nl, port.tap_ifindex, &extra, 0) == 0, "second network");
	settle(r);
	a = to(r, "198.18.7.9");
	CHECK(a != ADJACENCY_NONE, "on the link");
	CHECK(netlink_delete_address(nl, port.tap_ifindex, &extra) == 0, "taken away");
	settle(r);
	last_octet(a, &state);
	CHECK(state == NEIGHBOUR_FAILED && to(r, "198.18.7.9") == ADJACENCY_NONE, "noticed");
	route_close(r);
}

static void test_broadcast(void)
{
	struct route *r = begin();

	static const struct {
		const char *ip;
		bool is;
	} rows[] = { { "198.18.0.255", true },    { "198.18.0.0", true },
		     { "255.255.255.255", true }, { "198.18.0.1", false },
		     { "198.18.1.255", false },   { "fd00:18::ffff", false } };

	if (r == NULL)
		return;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct addr a = address(rows[i].ip);

		CHECK(route_is_broadcast(r, &a) == rows[i].is, rows[i].ip);
	}
	route_close(r);
}

/* Many at once, more than the socket's buffer may hold: nothing is missed in the end. */
static void test_flood(void)
{
	struct route *r = begin();
	unsigned state;
	char text[32];

	if (r == NULL)
		return;
	neighbour(RTM_NEWNEIGH, "198.18.0.20", 20, NUD_REACHABLE);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "10.%u.%u.0/24", i >> 8, i & 255);
		if (route(RTM_NEWROUTE, NLM_F_CREATE, text, "198.18.0.20", 0) != 0)
			CHECK(false, text);
	}
	for (unsigned i = 0; i < 30; i++)
		settle(r);
	for (unsigned i = 0; i < 20000; i += 997) {
		snprintf(text, sizeof(text), "10.%u.%u.5", i >> 8, i & 255);
		CHECK(to(r, text) != ADJACENCY_NONE, text);
	}
	settle(r);
	CHECK(last_octet(to(r, "10.1.1.1"), &state) == 20, "resolved");
	route_close(r);
}

static bool set_up(void)
{
	struct prefix four, six;

	if (unshare(CLONE_NEWNET) != 0 || !cidr_parse("198.18.0.1/24", &four) ||
	    !cidr_parse("fd00:18::1/64", &six))
		return false;
	port = (struct port){ .cfg = &cfg_port,
		              .mtu = 1500,
		              .mac.addr_bytes = { 2, 0, 0, 0, 0, 0x77 } };
	port.tap_fd = make_tap();
	port.tap_ifindex = if_nametoindex("tp0");
	nl = netlink_open();
	dp.ports = &port;
	dp.n_ports = 1;
	dp.adjacency = calloc(1, sizeof(*dp.adjacency));
	return port.tap_fd >= 0 && nl != NULL && dp.adjacency != NULL &&
	       netlink_link_up(nl, port.tap_ifindex, true) == 0 &&
	       netlink_add_address(nl, port.tap_ifindex, &four, 0) == 0 &&
	       netlink_add_address(nl, port.tap_ifindex, &six, 0x02 /* no DAD */) == 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "random routes against a slow model", test_model },
		{ "full, and swept", test_full_and_sweep },
		{ "families are apart", test_families },
		{ "a neighbour on the link", test_on_link },
		{ "a neighbour known before", test_known_before },
		{ "behind a gateway", test_gateway },
		{ "routes that vanish silently", test_silent_loss },
		{ "broadcast addresses", test_broadcast },
		{ "a flood of routes", test_flood },
		CU_TEST_INFO_NULL,
	};
	int rc;

	in_namespace = geteuid() == 0 && access("/dev/net/tun", F_OK) == 0;
	if (in_namespace)
		in_namespace = set_up();
	rc = run_suite("route", tests);
	free(dp.adjacency);
	return rc;
}
