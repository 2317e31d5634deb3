/*
 * Moving a device's addresses and routes to the TAP and back. Messages of the kernel are kept as
 * they came, less what only describes their present state, and sent again with another link index:
 * so metrics, labels, lifetimes and what a later kernel invents survive.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/kernel_parts.h"
#include "log.h"

enum { PASSES = 4 };

/* State, not settings. */
#define ADDRESS_STATE                                                             \
	(IFA_F_TENTATIVE | IFA_F_PERMANENT | IFA_F_DADFAILED | IFA_F_DEPRECATED | \
	 IFA_F_OPTIMISTIC | IFA_F_SECONDARY | IFA_F_STABLE_PRIVACY)

struct collecting {
	struct takeover *t;
	bool full;
};

/* --- what is there --- */

static int collect_address(const struct nlmsghdr *h, void *arg)
{
	struct collecting *c = arg;
	const struct ifaddrmsg *in = mnl_nlmsg_get_payload(h);
	uint8_t buffer[NETLINK_OCTETS];
	struct nlmsghdr *copy = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *out = mnl_nlmsg_put_extra_header(copy, sizeof(*out));
	struct nlattr *a;
	uint32_t flags = in->ifa_flags;
	bool for_ever = true;

	if (in->ifa_index != c->t->port->kernel_ifindex)
		return MNL_CB_OK;
	*out = *in;
	mnl_attr_for_each(a, h, sizeof(*in))
	{
		const uint16_t type = mnl_attr_get_type(a);
		const struct ifa_cacheinfo *life = mnl_attr_get_payload(a);

		if (type == IFA_FLAGS)
			flags = mnl_attr_get_u32(a);
		else if (type == IFA_CACHEINFO)
			for_ever =
				life->ifa_valid == UINT32_MAX && life->ifa_prefered == UINT32_MAX;
	}
	/* Privacy addresses are made anew wherever the host lives. */
	if (in->ifa_family == AF_INET6 && (flags & IFA_F_TEMPORARY) != 0)
		return MNL_CB_OK;
	out->ifa_flags = (uint8_t)(flags & ~(uint32_t)ADDRESS_STATE);
	mnl_attr_for_each(a, h, sizeof(*in))
	{
		const uint16_t type = mnl_attr_get_type(a);

		if (type == IFA_FLAGS || (type == IFA_CACHEINFO && for_ever))
			continue;
		mnl_attr_put(copy, type, mnl_attr_get_payload_len(a), mnl_attr_get_payload(a));
	}
	mnl_attr_put_u32(copy, IFA_FLAGS, flags & ~(uint32_t)ADDRESS_STATE);
	if (!saved_add(c->t, RTM_NEWADDR, out, mnl_nlmsg_get_payload_len(copy)))
		c->full = true;
	return MNL_CB_OK;
}

/* Sets every link index `from` in the route to `to`; returns how many there were. */
static unsigned repoint(struct nlmsghdr *h, unsigned from, unsigned to)
{
	struct nlattr *a;
	unsigned n = 0;

	mnl_attr_for_each(a, h, sizeof(struct rtmsg))
	{
		uint8_t *value = mnl_attr_get_payload(a);
		size_t left = mnl_attr_get_payload_len(a);
		uint32_t index;

		if (mnl_attr_get_type(a) == RTA_OIF && left == sizeof(index)) {
			memcpy(&index, value, sizeof(index));
			if (index == from) {
				index = to;
				memcpy(value, &index, sizeof(index));
				n++;
			}
		}
		if (mnl_attr_get_type(a) != RTA_MULTIPATH)
			continue;
		while (left >= sizeof(struct rtnexthop)) {
			struct rtnexthop *hop = (struct rtnexthop *)(void *)value;
			const size_t len = (hop->rtnh_len + 3u) & ~3u;

			if (hop->rtnh_len < sizeof(*hop) || len > left)
				break;
			if (hop->rtnh_ifindex == (int)from) {
				hop->rtnh_ifindex = (int)to;
				n++;
			}
			value += len;
			left -= len;
		}
	}
	return n;
}

static int collect_route(const struct nlmsghdr *h, void *arg)
{
	struct collecting *c = arg;
	const struct rtmsg *in = mnl_nlmsg_get_payload(h);
	const unsigned link = c->t->port->kernel_ifindex;
	uint8_t buffer[NETLINK_OCTETS];
	struct nlmsghdr *copy = mnl_nlmsg_put_header(buffer);
	struct rtmsg *out = mnl_nlmsg_put_extra_header(copy, sizeof(*out));
	struct nlattr *a;

	/* Addresses bring theirs; router advertisements are heard again on the TAP. */
	if ((in->rtm_flags & RTM_F_CLONED) != 0 || in->rtm_table == RT_TABLE_LOCAL ||
	    in->rtm_protocol == RTPROT_KERNEL || in->rtm_protocol == RTPROT_RA ||
	    in->rtm_protocol == RTPROT_REDIRECT || mnl_nlmsg_get_payload_len(h) > SAVED_OCTETS)
		return MNL_CB_OK;
	*out = *in;
	out->rtm_flags &= RTNH_F_ONLINK;
	mnl_attr_for_each(a, h, sizeof(*in))
	{
		const uint16_t type = mnl_attr_get_type(a);

		if (type == RTA_NH_ID) {
			log_warning("kernel", "route",
			            "device=%s note=\"a route with a next-hop object stays where "
			            "it is\"",
			            c->t->port->kernel_device);
			return MNL_CB_OK;
		}
		if (type != RTA_CACHEINFO && type != RTA_EXPIRES)
			mnl_attr_put(copy, type, mnl_attr_get_payload_len(a),
			             mnl_attr_get_payload(a));
	}
	if (repoint(copy, link, link) == 0)
		return MNL_CB_OK;
	if (!saved_add(c->t, RTM_NEWROUTE, out, mnl_nlmsg_get_payload_len(copy)))
		c->full = true;
	return MNL_CB_OK;
}

int move_collect(struct takeover *t, struct mnl_socket *s)
{
	struct collecting c = { .t = t };
	int rc = netlink_dump(s, RTM_GETADDR, AF_INET, collect_address, &c);

	if (rc == 0)
		rc = netlink_dump(s, RTM_GETADDR, AF_INET6, collect_address, &c);
	if (rc == 0)
		rc = netlink_dump(s, RTM_GETROUTE, AF_INET, collect_route, &c);
	if (rc == 0)
		rc = netlink_dump(s, RTM_GETROUTE, AF_INET6, collect_route, &c);
	if (rc == 0 && c.full)
		rc = -ENOSPC;
	return rc;
}

/* --- sending them again --- */

enum where { ON_DEVICE, ON_TAP };

static bool is_link_local(const struct saved_message *m)
{
	struct ifaddrmsg head;

	memcpy(&head, m->octets, sizeof(head));
	return head.ifa_family == AF_INET6 && head.ifa_scope == RT_SCOPE_LINK;
}

static int send_saved(const struct takeover *t, struct mnl_socket *s, const struct saved_message *m,
                      bool add, enum where where)
{
	uint8_t buffer[NETLINK_OCTETS];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	const unsigned link = where == ON_TAP ? t->port->tap_ifindex : t->port->kernel_ifindex;
	uint8_t family;

	memcpy(mnl_nlmsg_put_extra_header(h, m->len), m->octets, m->len);
	family = *(const uint8_t *)mnl_nlmsg_get_payload(h);
	if (m->type == RTM_NEWROUTE) {
		h->nlmsg_type = add ? RTM_NEWROUTE : RTM_DELROUTE;
		repoint(h, t->port->kernel_ifindex, link);
		if (add)
			h->nlmsg_flags =
				NLM_F_CREATE | (family == AF_INET ? NLM_F_APPEND : NLM_F_EXCL);
		return netlink_ask(s, h);
	}
	h->nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR;
	((struct ifaddrmsg *)mnl_nlmsg_get_payload(h))->ifa_index = link;
	if (add)
		h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	if (where == ON_TAP) {
		struct nlattr *a;

		mnl_attr_for_each(a, h, sizeof(struct ifaddrmsg))
		{
			uint32_t flags;

			if (mnl_attr_get_type(a) == IFA_LABEL)
				a->nla_type = IFA_UNSPEC; /* labels begin with the link's name */
			if (mnl_attr_get_type(a) == IFA_FLAGS && family == AF_INET6) {
				/* It was probed for on the device. */
				memcpy(&flags, mnl_attr_get_payload(a), sizeof(flags));
				flags |= IFA_F_NODAD;
				memcpy(mnl_attr_get_payload(a), &flags, sizeof(flags));
			}
		}
	}
	return netlink_ask(s, h);
}

static void complain(const struct takeover *t, const struct saved_message *m, const char *what,
                     int rc)
{
	log_warning("kernel", what, "port=%s device=%s error=\"%s: %s\"", t->port->cfg->name,
	            t->port->kernel_device, m->type == RTM_NEWADDR ? "an address" : "a route",
	            strerror(-rc));
}

static void add_addresses(const struct takeover *t, struct mnl_socket *s, enum where where)
{
	for (unsigned i = 0; i < t->n_messages; i++) {
		const struct saved_message *m = &t->message[i];
		int rc;

		if (m->type != RTM_NEWADDR)
			continue;
		rc = send_saved(t, s, m, true, where);
		/* Link-local addresses make themselves, and may be there already. */
		if (rc != 0 && rc != -EEXIST && !is_link_local(m))
			complain(t, m, where == ON_TAP ? "take_over" : "give_back", rc);
	}
}

/* A route may lean on another that stands behind it in the list: several passes. */
static void add_routes(const struct takeover *t, struct mnl_socket *s, enum where where)
{
	bool done[SAVED_MESSAGES_MAX] = { false };

	for (unsigned pass = 1; pass <= PASSES; pass++)
		for (unsigned i = 0; i < t->n_messages; i++) {
			const struct saved_message *m = &t->message[i];
			int rc;

			if (m->type != RTM_NEWROUTE || done[i])
				continue;
			rc = send_saved(t, s, m, true, where);
			done[i] = rc == 0 || rc == -EEXIST;
			if (!done[i] && pass == PASSES)
				complain(t, m, where == ON_TAP ? "take_over" : "give_back", rc);
		}
}

/* --- the TAP --- */

static bool is_configured(const struct port *p, const struct prefix *a)
{
	for (unsigned i = 0; i < p->cfg->n_addresses; i++)
		if (p->cfg->addresses[i].len == a->len &&
		    addr_equal(&p->cfg->addresses[i].addr, &a->addr))
			return true;
	return false;
}

static int add_configured(struct takeover *t, struct mnl_socket *s)
{
	struct port *p = t->port;

	/* A configuration that changed between a crash and this start. */
	for (unsigned i = 0; i < t->n_own; i++)
		if (!is_configured(p, &t->own[i]))
			netlink_delete_address(s, p->tap_ifindex, &t->own[i]);
	for (unsigned i = 0; i < p->cfg->n_addresses; i++) {
		const struct prefix *a = &p->cfg->addresses[i];
		char text[PREFIX_TEXT_MAX];
		const int rc = netlink_add_address(s, p->tap_ifindex, a, 0);

		if (rc == 0 || rc == -EEXIST)
			continue;
		log_error("kernel", "take_over", "port=%s address=%s error=\"%s\"", p->cfg->name,
		          prefix_print(a, text), strerror(-rc));
		return rc;
	}
	return 0;
}

int move_to_tap(struct takeover *t, struct mnl_socket *s)
{
	struct port *p = t->port;
	int rc = netlink_link_up(s, p->tap_ifindex, true);

	if (rc != 0)
		return rc;
	add_addresses(t, s, ON_TAP);
	rc = add_configured(t, s);
	if (rc != 0)
		return rc;
	for (unsigned i = t->n_messages; i > 0; i--) /* routes first, as they came after */
		send_saved(t, s, &t->message[i - 1], false, ON_DEVICE);
	add_routes(t, s, ON_TAP);
	return 0;
}

void move_back(struct takeover *t, struct mnl_socket *s)
{
	add_addresses(t, s, ON_DEVICE);
	add_routes(t, s, ON_DEVICE);
}
