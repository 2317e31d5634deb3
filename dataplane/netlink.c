/* One request, one answer. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <time.h>

#include "dataplane/netlink.h"

static unsigned sequence;

struct mnl_socket *netlink_open(void)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (s != NULL && mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) != 0) {
		mnl_socket_close(s);
		return NULL;
	}
	return s;
}

static int exchange(struct mnl_socket *s, struct nlmsghdr *h, mnl_cb_t each, void *arg)
{
	uint8_t buffer[32768];
	const unsigned seq = ++sequence, port = mnl_socket_get_portid(s);
	int rc;

	h->nlmsg_seq = seq;
	if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
		return -errno;
	do {
		const ssize_t n = mnl_socket_recvfrom(s, buffer, sizeof(buffer));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n < 0 || ((const struct nlmsghdr *)buffer)->nlmsg_seq != seq)
			rc = MNL_CB_OK; /* the rest of a dump that was given up */
		else
			rc = mnl_cb_run(buffer, (size_t)n, seq, port, each, arg);
	} while (rc > MNL_CB_STOP);
	return rc < 0 ? -errno : 0;
}

int netlink_ask(struct mnl_socket *s, struct nlmsghdr *h)
{
	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	return exchange(s, h, NULL, NULL);
}

int netlink_dump(struct mnl_socket *s, uint16_t type, uint8_t family, mnl_cb_t each, void *arg)
{
	uint8_t buffer[MNL_NLMSG_HDRLEN + 64];
	int rc;

	/* A dump that the tables changed under is taken again. */
	for (unsigned i = 0; i < 5; i++) {
		struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

		h->nlmsg_type = type;
		h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		if (type == RTM_GETROUTE)
			((struct rtmsg *)mnl_nlmsg_put_extra_header(h, sizeof(struct rtmsg)))
				->rtm_family = family;
		else
			((struct ifaddrmsg *)mnl_nlmsg_put_extra_header(h,
			                                                sizeof(struct ifaddrmsg)))
				->ifa_family = family;
		rc = exchange(s, h, each, arg);
		if (rc != -EINTR)
			break;
	}
	return rc;
}

int netlink_link_up(struct mnl_socket *s, unsigned ifindex, bool up)
{
	uint8_t buffer[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link;

	h->nlmsg_type = RTM_NEWLINK;
	link = mnl_nlmsg_put_extra_header(h, sizeof(*link));
	link->ifi_family = AF_UNSPEC;
	link->ifi_index = (int)ifindex;
	link->ifi_flags = up ? IFF_UP : 0;
	link->ifi_change = IFF_UP;
	return netlink_ask(s, h);
}

static int address(struct mnl_socket *s, uint16_t type, unsigned ifindex, const struct prefix *p,
                   uint32_t flags)
{
	uint8_t buffer[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	const bool ip4 = addr_is4(&p->addr);
	const unsigned len = ip4 ? p->len - 96u : p->len;
	struct ifaddrmsg *a;

	h->nlmsg_type = type;
	h->nlmsg_flags = type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0;
	a = mnl_nlmsg_put_extra_header(h, sizeof(*a));
	a->ifa_family = ip4 ? AF_INET : AF_INET6;
	a->ifa_prefixlen = (uint8_t)len;
	a->ifa_index = ifindex;
	if (ip4) {
		mnl_attr_put(h, IFA_LOCAL, 4, p->addr.ip + 12);
		mnl_attr_put(h, IFA_ADDRESS, 4, p->addr.ip + 12);
		if (len < 31 && type == RTM_NEWADDR) {
			uint8_t broadcast[4];

			for (unsigned i = 0; i < 4; i++) {
				const unsigned bits = len < 8 * i        ? 0
				                      : len - 8 * i >= 8 ? 8
				                                         : len - 8 * i;

				broadcast[i] = p->addr.ip[12 + i] | (uint8_t)(0xFFu >> bits);
			}
			mnl_attr_put(h, IFA_BROADCAST, 4, broadcast);
		}
	} else {
		mnl_attr_put(h, IFA_LOCAL, 16, p->addr.ip);
		mnl_attr_put(h, IFA_ADDRESS, 16, p->addr.ip);
	}
	mnl_attr_put_u32(h, IFA_FLAGS, flags);
	return netlink_ask(s, h);
}

int netlink_add_address(struct mnl_socket *s, unsigned ifindex, const struct prefix *p,
                        uint32_t flags)
{
	return address(s, RTM_NEWADDR, ifindex, p, flags);
}

int netlink_delete_address(struct mnl_socket *s, unsigned ifindex, const struct prefix *p)
{
	return address(s, RTM_DELADDR, ifindex, p, 0);
}

bool netlink_addr(uint8_t family, const void *octets, size_t len, struct addr *out)
{
	if (family == AF_INET && len == 4)
		*out = addr_from4(octets);
	else if (family == AF_INET6 && len == 16)
		memcpy(out->ip, octets, 16);
	else
		return false;
	return true;
}
