/*
 * The kernel's side of routes and neighbours: one netlink socket for events, dumps and requests, so
 * that everything is heard in the order in which it happened.
 *
 * A resync dumps addresses, routes and neighbours one after the other, marks what it sees with a
 * new generation and sweeps the rest. It runs at the beginning, after ENOBUFS, and where the kernel
 * drops routes without a word: IPv4 routes go silently with their address or link.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <rte_cycles.h>

#include "dataplane/netlink.h"
#include "dataplane/route_parts.h"
#include "log.h"

#ifndef NTF_EXT_MANAGED
#define NTF_EXT_MANAGED (1 << 0)
#endif

enum stage { IDLE, ADDRESSES4, ADDRESSES6, ROUTES4, ROUTES6, NEIGHBOURS4, NEIGHBOURS6, STAGES };

enum {
	POLL_US = 500,    /* a look at the socket costs a system call */
	POLL_BUDGET = 16, /* datagrams a look; each holds many messages */
	CHORES_MS = 1000,
	REFRESH_MS = 15000, /* where the kernel does not manage neighbours for us */
	OPEN_MS = 5000,
	RECEIVE_OCTETS = 4 << 20,
	SEQ_ASK = 1 << 24, /* low bits: the neighbour */
	SEQ_DUMP = 1 << 25,
	SEQ_LOOK = 1 << 26, /* low bits: the neighbour */
	INDEX_MASK = 0xFFFF,
};

static uint32_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint32_t)((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000);
}

static uint16_t port_of_link(const struct route *r, uint32_t link)
{
	for (unsigned i = 0; i < r->dp->n_ports; i++)
		if (r->dp->ports[i].tap_ifindex == link && link != 0)
			return (uint16_t)i;
	return LPM_NO_PORT;
}

static void send_message(struct route *r, struct nlmsghdr *h, uint32_t seq)
{
	h->nlmsg_flags |= NLM_F_REQUEST;
	h->nlmsg_seq = seq;
	if (mnl_socket_sendto(r->socket, h, h->nlmsg_len) < 0)
		log_warning("route", "netlink", "error=\"%s\"", strerror(errno));
}

/* --- asking for neighbours --- */

static struct nlmsghdr *neighbour_message(const struct route *r, const struct neighbour *n,
                                          uint16_t type, uint8_t flags, uint8_t *buffer)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct ndmsg *m;

	h->nlmsg_type = type;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ndm_family = addr_is4(&n->ip) ? AF_INET : AF_INET6;
	m->ndm_ifindex = (int)r->dp->ports[n->port].tap_ifindex;
	m->ndm_flags = flags;
	if (addr_is4(&n->ip))
		mnl_attr_put(h, NDA_DST, 4, n->ip.ip + 12);
	else
		mnl_attr_put(h, NDA_DST, 16, n->ip.ip);
	return h;
}

/* Find it and, where the kernel can, keep it known. */
static void solicit(struct route *r, const struct neighbour *n, bool manage)
{
	uint8_t buffer[256];
	struct nlmsghdr *h = neighbour_message(r, n, RTM_NEWNEIGH, NTF_USE, buffer);

	h->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	if (manage)
		mnl_attr_put_u32(h, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	send_message(r, h, SEQ_ASK | (uint32_t)(n - r->neighbour));
}

/*
 * Looks first: to solicit an entry that an administrator made permanent would take that from it,
 * and one that is known already changes nothing and so tells nothing. The answer goes on in
 * looked().
 */
void route_ask(struct route *r, struct neighbour *n)
{
	uint8_t buffer[256];

	n->asked_ms = r->now_ms;
	send_message(r, neighbour_message(r, n, RTM_GETNEIGH, 0, buffer),
	             SEQ_LOOK | (uint32_t)(n - r->neighbour));
}

void route_forget(struct route *r, const struct neighbour *n)
{
	if (r->socket != NULL && r->managed && !n->permanent)
		solicit(r, n, false);
}

/* --- what comes in --- */

static void take_neighbour(struct route *r, const struct nlmsghdr *h)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	const uint16_t port = port_of_link(r, (uint32_t)m->ndm_ifindex);
	const uint8_t *mac = NULL;
	struct neighbour *n;
	struct nlattr *a;
	struct addr ip;
	bool found = false;

	if (port == LPM_NO_PORT)
		return;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		if (mnl_attr_get_type(a) == NDA_DST)
			found = netlink_addr(m->ndm_family, mnl_attr_get_payload(a),
			                     mnl_attr_get_payload_len(a), &ip);
		else if (mnl_attr_get_type(a) == NDA_LLADDR && mnl_attr_get_payload_len(a) == 6)
			mac = mnl_attr_get_payload(a);
	}
	n = found ? route_neighbour_find(r, port, &ip) : NULL;
	if (n == NULL)
		return;
	n->permanent =
		h->nlmsg_type == RTM_NEWNEIGH && (m->ndm_state & (NUD_PERMANENT | NUD_NOARP)) != 0;
	if (h->nlmsg_type == RTM_DELNEIGH) {
		route_neighbour_set(r, n, NEIGHBOUR_RESOLVING, NULL);
		route_ask(r, n);
	} else if ((m->ndm_state & NUD_FAILED) != 0) {
		route_neighbour_set(r, n, NEIGHBOUR_FAILED, NULL);
	} else if ((m->ndm_state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE |
	                            NUD_PERMANENT | NUD_NOARP)) != 0 &&
	           mac != NULL) {
		route_neighbour_set(r, n, NEIGHBOUR_RESOLVED, mac);
	} else if (n->state != NEIGHBOUR_FAILED || r->now_ms - n->asked_ms < CHORES_MS) {
		/* A managed neighbour that failed is tried again and again: still failed. */
		route_neighbour_set(r, n, NEIGHBOUR_RESOLVING, NULL);
	}
	n->generation = r->generation;
}

static void take_address(struct route *r, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct own own = { .link = m->ifa_index, .generation = r->generation };
	struct nlattr *a;
	bool found = false, local = false;

	if (port_of_link(r, m->ifa_index) == LPM_NO_PORT)
		return;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		const uint16_t type = mnl_attr_get_type(a);

		/* On point-to-point links ADDRESS is the other end's. */
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !local))
			found |= netlink_addr(m->ifa_family, mnl_attr_get_payload(a),
			                      mnl_attr_get_payload_len(a), &own.prefix.addr);
		local |= type == IFA_LOCAL;
	}
	if (!found)
		return;
	own.prefix.len = (uint8_t)(m->ifa_prefixlen + (m->ifa_family == AF_INET ? 96 : 0));
	for (unsigned i = 0; i < r->n_own; i++) {
		struct own *old = &r->own[i];

		if (old->link != own.link || old->prefix.len != own.prefix.len ||
		    !addr_equal(&old->prefix.addr, &own.prefix.addr))
			continue;
		if (h->nlmsg_type == RTM_DELADDR)
			*old = r->own[--r->n_own];
		else
			old->generation = r->generation;
		r->again |= h->nlmsg_type == RTM_DELADDR && m->ifa_family == AF_INET;
		return;
	}
	if (h->nlmsg_type == RTM_NEWADDR && r->n_own < OWN_MAX)
		r->own[r->n_own++] = own;
}

/* The first next hop by a link of ours, else the first. Groups are for another day. */
static void take_hops(struct route *r, struct nlattr *list, struct lpm_route *out, uint8_t family)
{
	struct rtnexthop *hop = mnl_attr_get_payload(list);
	int left = (int)mnl_attr_get_payload_len(list);
	bool first = true;

	for (; RTNH_OK(hop, left); left -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		const uint16_t port = port_of_link(r, (uint32_t)hop->rtnh_ifindex);
		struct rtattr *a = RTNH_DATA(hop);
		int rest = (int)(hop->rtnh_len - sizeof(*hop));

		if ((hop->rtnh_flags & RTNH_F_DEAD) != 0 || (!first && port == LPM_NO_PORT))
			continue;
		first = false;
		out->link = (uint32_t)hop->rtnh_ifindex;
		out->port = port;
		out->has_via = false;
		for (; RTA_OK(a, rest); a = RTA_NEXT(a, rest))
			if (a->rta_type == RTA_GATEWAY)
				out->has_via = netlink_addr(family, RTA_DATA(a), RTA_PAYLOAD(a),
				                            &out->via);
		if (port != LPM_NO_PORT)
			return;
	}
}

static uint16_t route_mtu(struct nlattr *metrics)
{
	struct nlattr *a;

	mnl_attr_for_each_nested(a, metrics) if (mnl_attr_get_type(a) == RTAX_MTU &&
	                                         mnl_attr_get_payload_len(a) == 4)
	{
		const uint32_t mtu = mnl_attr_get_u32(a);

		return mtu < UINT16_MAX ? (uint16_t)mtu : 0;
	}
	return 0;
}

/* RFC 5549: an IPv4 route by an IPv6 router. */
static bool take_via(struct nlattr *a, struct addr *out)
{
	const struct rtvia *via = mnl_attr_get_payload(a);
	const size_t len = mnl_attr_get_payload_len(a);

	return len >= sizeof(*via) &&
	       netlink_addr((uint8_t)via->rtvia_family, via->rtvia_addr, len - sizeof(*via), out);
}

static void take_attribute(struct nlattr *a, const struct rtmsg *m, struct lpm_route *out,
                           uint32_t *table)
{
	void *value = mnl_attr_get_payload(a);
	const size_t len = mnl_attr_get_payload_len(a);

	switch (mnl_attr_get_type(a)) {
	case RTA_DST: netlink_addr(m->rtm_family, value, len, &out->prefix.addr); break;
	case RTA_OIF: out->link = mnl_attr_get_u32(a); break;
	case RTA_GATEWAY: out->has_via = netlink_addr(m->rtm_family, value, len, &out->via); break;
	case RTA_VIA: out->has_via = take_via(a, &out->via); break;
	case RTA_PRIORITY: out->metric = mnl_attr_get_u32(a); break;
	case RTA_TABLE: *table = mnl_attr_get_u32(a); break;
	case RTA_METRICS: out->mtu = route_mtu(a); break;
	default: break;
	}
}

static void take_route(struct route *r, const struct nlmsghdr *h)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct lpm_route out = { .generation = r->generation };
	uint32_t table = m->rtm_table;
	struct nlattr *a, *hops = NULL;

	if ((m->rtm_flags & RTM_F_CLONED) != 0 ||
	    (m->rtm_family != AF_INET && m->rtm_family != AF_INET6))
		return;
	if (m->rtm_family == AF_INET)
		out.prefix.addr = addr_from4((const uint8_t[4]){ 0 });
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		take_attribute(a, m, &out, &table);
		if (mnl_attr_get_type(a) == RTA_MULTIPATH)
			hops = a;
	}
	if (table != RT_TABLE_MAIN && table != RT_TABLE_DEFAULT)
		return;
	out.prefix.len = (uint8_t)(m->rtm_dst_len + (m->rtm_family == AF_INET ? 96 : 0));
	out.port = m->rtm_type == RTN_UNICAST ? port_of_link(r, out.link) : LPM_NO_PORT;
	if (hops != NULL)
		take_hops(r, hops, &out, m->rtm_family);
	if (h->nlmsg_type == RTM_DELROUTE || (m->rtm_flags & RTNH_F_DEAD) != 0) {
		if (lpm_remove(r->lpm, &out))
			route_changed(r, &out.prefix, false);
		return;
	}
	if ((h->nlmsg_flags & NLM_F_REPLACE) != 0)
		lpm_remove_all(r->lpm, &out.prefix, out.metric);
	if (!lpm_set(r->lpm, &out) && !r->full_told) {
		log_error("route", "full", "routes=%u note=\"more are not followed\"",
		          LPM_ROUTES_MAX);
		r->full_told = true;
	}
	route_changed(r, &out.prefix, true);
}

static void take_link(struct route *r, const struct nlmsghdr *h)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	const uint16_t port = port_of_link(r, (uint32_t)m->ifi_index);
	const uint32_t flags = m->ifi_flags & (IFF_UP | IFF_RUNNING);

	if (port == LPM_NO_PORT || r->link_flags[port] == flags)
		return;
	r->again |= r->link_flags[port] != 0;
	r->link_flags[port] = flags;
}

/* --- resync --- */

static void dump(struct route *r, enum stage stage)
{
	static const struct {
		uint16_t type;
		uint8_t family;
	} what[STAGES] = {
		[ADDRESSES4] = { RTM_GETADDR, AF_INET },
		[ADDRESSES6] = { RTM_GETADDR, AF_INET6 },
		[ROUTES4] = { RTM_GETROUTE, AF_INET },
		[ROUTES6] = { RTM_GETROUTE, AF_INET6 },
		[NEIGHBOURS4] = { RTM_GETNEIGH, AF_INET },
		[NEIGHBOURS6] = { RTM_GETNEIGH, AF_INET6 },
	};
	uint8_t buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

	h->nlmsg_type = what[stage].type;
	h->nlmsg_flags = NLM_F_DUMP;
	/* rtmsg, ifaddrmsg and ndmsg all begin with the family and are no longer than this. */
	*(uint8_t *)mnl_nlmsg_put_extra_header(h, sizeof(struct rtmsg)) = what[stage].family;
	r->dumping = (uint8_t)stage;
	send_message(r, h, SEQ_DUMP | stage);
}

static void resync(struct route *r)
{
	r->generation++;
	r->again = false;
	r->dump_broken = false;
	dump(r, ADDRESSES4);
}

static void sweep(struct route *r)
{
	for (unsigned i = r->n_own; i > 0; i--)
		if (r->own[i - 1].generation != r->generation)
			r->own[i - 1] = r->own[--r->n_own];
	if (lpm_sweep(r->lpm, r->generation) > 0)
		r->n_changes = CHANGES_MAX + 1;
	for (unsigned i = 1; i <= r->neighbour_fresh; i++) {
		struct neighbour *n = &r->neighbour[i];

		if (n->first_hop == 0 || n->generation == r->generation)
			continue;
		route_neighbour_set(r, n, NEIGHBOUR_RESOLVING, NULL);
		route_ask(r, n);
	}
}

static void dump_done(struct route *r)
{
	if (r->dumping + 1 < STAGES) {
		dump(r, (enum stage)(r->dumping + 1));
		return;
	}
	r->dumping = IDLE;
	if (r->dump_broken || r->again)
		resync(r);
	else
		sweep(r);
}

static void take_error(struct route *r, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
	struct neighbour *n = &r->neighbour[h->nlmsg_seq & INDEX_MASK];

	if (e->error == 0)
		return;
	if ((h->nlmsg_seq & SEQ_DUMP) != 0 && r->dumping == (h->nlmsg_seq & INDEX_MASK)) {
		r->dump_broken = true;
		dump_done(r);
	} else if ((h->nlmsg_seq & SEQ_LOOK) != 0 && n->first_hop != 0) {
		solicit(r, n, r->managed); /* not known at all */
	} else if ((h->nlmsg_seq & SEQ_ASK) != 0 && r->managed && n->first_hop != 0) {
		r->managed = false; /* an older kernel: we ask again now and then */
		solicit(r, n, false);
	}
}

/* What the kernel knew when we looked. */
static void looked(struct route *r, const struct nlmsghdr *h)
{
	const struct neighbour *n = &r->neighbour[h->nlmsg_seq & INDEX_MASK];

	if (n->first_hop != 0 && !n->permanent)
		solicit(r, n, r->managed);
}

static void take_message(struct route *r, const struct nlmsghdr *h)
{
	const bool dumped = (h->nlmsg_seq & SEQ_DUMP) != 0;

	if (dumped && (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
		r->dump_broken = true;
	switch (h->nlmsg_type) {
	case NLMSG_ERROR: take_error(r, h); break;
	case NLMSG_DONE:
		if (dumped && r->dumping == (h->nlmsg_seq & INDEX_MASK))
			dump_done(r);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR: take_address(r, h); break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE: take_route(r, h); break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		take_neighbour(r, h);
		if (h->nlmsg_pid == mnl_socket_get_portid(r->socket) &&
		    (h->nlmsg_seq & ~(uint32_t)INDEX_MASK) == SEQ_LOOK)
			looked(r, h);
		break;
	case RTM_NEWLINK: take_link(r, h); break;
	default: break;
	}
}

/* One datagram; false when there is none. */
static bool receive(struct route *r, unsigned *messages)
{
	static _Thread_local uint8_t buffer[32768] __attribute__((aligned(8)));
	const ssize_t n = recv(mnl_socket_get_fd(r->socket), buffer, sizeof(buffer),
	                       MSG_DONTWAIT | MSG_TRUNC);
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buffer;
	int left;

	if (n < 0) {
		if (errno != ENOBUFS)
			return false;
		log_warning("route", "resync", "why=\"the kernel's news came too fast\"");
		r->again = true;
		(*messages)++;
		return true;
	}
	if ((size_t)n > sizeof(buffer)) {
		r->again = true;
		return true;
	}
	for (left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		take_message(r, h);
		(*messages)++;
	}
	return true;
}

static void chores(struct route *r)
{
	r->chores_ms = r->now_ms;
	route_expire(r);
	if (r->managed)
		return;
	for (unsigned i = 1; i <= r->neighbour_fresh; i++) {
		struct neighbour *n = &r->neighbour[i];

		if (n->first_hop != 0 && r->now_ms - n->asked_ms >= REFRESH_MS)
			route_ask(r, n);
	}
}

unsigned route_poll(struct route *r)
{
	const uint64_t now = rte_rdtsc();
	unsigned messages = 0;

	if (now < r->poll_at)
		return 0;
	r->poll_at = now + r->poll_every;
	r->now_ms = now_ms();
	for (unsigned i = 0; i < POLL_BUDGET && receive(r, &messages); i++)
		;
	if (r->again && r->dumping == IDLE)
		resync(r);
	route_point_all(r);
	if (r->now_ms - r->chores_ms >= CHORES_MS)
		chores(r);
	return messages;
}

int route_fd(const struct route *r)
{
	return r->socket != NULL ? mnl_socket_get_fd(r->socket) : -1;
}

static bool join_groups(struct route *r)
{
	static const int groups[] = { RTNLGRP_LINK,        RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR,
		                      RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE };

	for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(r->socket, NETLINK_ADD_MEMBERSHIP, &group,
		                          sizeof(group)) != 0)
			return false;
	}
	return true;
}

bool route_kernel_open(struct route *r)
{
	const int octets = RECEIVE_OCTETS;
	const uint32_t began = now_ms();

	r->socket = netlink_open();
	if (r->socket == NULL || !join_groups(r)) {
		log_error("route", "open", "error=\"netlink: %s\"", strerror(errno));
		return false;
	}
	if (setsockopt(route_fd(r), SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof(octets)) != 0)
		setsockopt(route_fd(r), SOL_SOCKET, SO_RCVBUF, &octets, sizeof(octets));
	r->managed = true;
	r->now_ms = began;
	r->poll_every = rte_get_tsc_hz() / 1000000 * POLL_US;
	resync(r);
	while (r->dumping != IDLE) {
		struct pollfd p = { .fd = route_fd(r), .events = POLLIN };
		unsigned messages = 0;

		poll(&p, 1, 100);
		while (r->dumping != IDLE && receive(r, &messages))
			;
		if (now_ms() - began > OPEN_MS) {
			log_error("route", "open", "error=\"the kernel's routes cannot be read\"");
			return false;
		}
	}
	route_point_all(r);
	return true;
}

void route_kernel_close(struct route *r)
{
	if (r->socket == NULL)
		return;
	for (unsigned i = 1; i <= r->neighbour_fresh; i++)
		if (r->neighbour[i].first_hop != 0)
			route_forget(r, &r->neighbour[i]);
	mnl_socket_close(r->socket);
	r->socket = NULL;
}
