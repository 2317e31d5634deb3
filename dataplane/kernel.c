/* Take-over and give-back, in order. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "dataplane/kernel_parts.h"
#include "exit.h"
#include "log.h"

enum { LINK_PATIENCE_S = 3, BACKLOG_BURSTS = 64 };

static int refuse(const struct port *p, const char *what, int rc)
{
	log_error("kernel", "take_over", "port=%s device=%s error=\"%s: %s\"", p->cfg->name,
	          p->kernel_device, what, strerror(-rc));
	return EXIT_CODE_RESOURCE;
}

/* Everything that is to be given back is on disk before the first change. */
static int remember(struct takeover *t, const struct config *cfg, struct mnl_socket *s)
{
	struct port *p = t->port;
	int rc;

	saved_load(t);
	if (p->kernel_ifindex != 0) {
		mute_note(t);
		rc = move_collect(t, s);
		if (rc != 0)
			return refuse(p, "cannot read the device's addresses and routes", rc);
	}
	reserved_note(t, cfg);
	for (unsigned i = 0; i < p->cfg->n_addresses; i++) {
		bool known = false;

		for (unsigned k = 0; k < t->n_own; k++)
			known |= memcmp(&t->own[k], &p->cfg->addresses[i], sizeof(t->own[k])) == 0;
		if (!known && t->n_own < CONFIG_PORT_ADDRESSES_MAX)
			t->own[t->n_own++] = p->cfg->addresses[i];
	}
	rc = saved_store(t);
	return rc == 0 ? 0 : refuse(p, "cannot write the record of what to give back", rc);
}

/*
 * One relay a device: two would each answer, and the first to stop would unmute it under the other.
 * An abstract name is of this network namespace and goes with whoever has it.
 */
static int claim(struct takeover *t)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	const int n = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "turnpike/device/%s",
	                       t->port->kernel_device);

	t->claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (t->claim >= 0 && bind(t->claim, (const struct sockaddr *)&name,
	                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) == 0)
		return 0;
	return refuse(t->port,
	              errno == EADDRINUSE ? "another relay here has the device; stop it"
	                                  : "cannot claim the device",
	              -errno);
}

static int take_over(struct takeover *t, const struct config *cfg, struct mnl_socket *s)
{
	struct port *p = t->port;
	int rc = p->kernel_ifindex != 0 ? claim(t) : 0;

	if (rc == 0)
		rc = remember(t, cfg, s);
	if (rc == 0)
		rc = tap_open(t);
	if (rc != 0)
		return rc;
	t->taken = true;
	if (p->kernel_ifindex != 0) {
		rc = mute_device(t);
		if (rc != 0)
			return refuse(p, "cannot mute the device: neither nftables nor sysctls",
			              rc);
	}
	rc = move_to_tap(t, s);
	if (rc != 0)
		return refuse(p, "cannot set up the exception port", rc);
	reserved_add(t, cfg);
	log_info("kernel", "take_over", "port=%s device=%s after_crash=%s mute=%s", p->cfg->name,
	         p->kernel_ifindex != 0 ? p->kernel_device : "none", t->adopted ? "yes" : "no",
	         p->kernel_ifindex == 0 ? "none"
	         : t->muted_by_nft      ? "nftables"
	                                : "sysctl");
	return 0;
}

static struct takeover *takeover_new(const struct config *cfg, struct port *p)
{
	struct takeover *t = calloc(1, sizeof(*t));
	struct timespec now;

	if (t == NULL)
		return NULL;
	clock_gettime(CLOCK_MONOTONIC, &now);
	t->patience_s = now.tv_sec + LINK_PATIENCE_S;
	t->port = p;
	t->gro = t->lro = t->claim = -1;
	if (asprintf(&t->path, "%s/kernel-%s", cfg->run_dir, p->cfg->name) < 0) {
		free(t);
		return NULL;
	}
	return t;
}

/*
 * What arrived before the take-over went to the kernel too, and what the device itself sent then is
 * in the ring as well: its neighbour solicitations would look like another host with our address.
 */
static void forget_backlog(const struct port *p)
{
	struct rte_mbuf *m[PORT_BURST];

	for (uint16_t q = 0; q < p->n_queues && p->kernel_ifindex != 0; q++)
		for (unsigned k = 0; k < BACKLOG_BURSTS; k++) {
			const uint16_t n = rte_eth_rx_burst(p->ethdev, q, m, PORT_BURST);

			rte_pktmbuf_free_bulk(m, n);
			if (n == 0)
				break;
		}
}

int kernel_take_over(struct dataplane *dp)
{
	struct mnl_socket *s = netlink_open();
	int rc = s == NULL ? refuse(&dp->ports[0], "cannot open netlink", -errno) : 0;

	for (unsigned i = 0; i < dp->n_ports && rc == 0; i++) {
		struct port *p = &dp->ports[i];

		p->takeover = takeover_new(dp->cfg, p);
		rc = p->takeover != NULL ? take_over(p->takeover, dp->cfg, s)
		                         : refuse(p, "out of memory", -ENOMEM);
	}
	if (s != NULL)
		mnl_socket_close(s);
	for (unsigned i = 0; i < dp->n_ports && rc == 0; i++)
		forget_backlog(&dp->ports[i]);
	return rc;
}

static void give_back(struct takeover *t, struct mnl_socket *s)
{
	struct port *p = t->port;

	if (!t->taken) { /* nothing was changed: another program has the TAP, or the record failed
		          */
		if (!t->adopted)
			saved_remove(t);
		return;
	}
	/* With the TAP go its addresses and routes, which the device could not have beside it. */
	tap_remove(p);
	if (p->kernel_ifindex != 0) {
		mute_end(t);
		saved_sysctl_restore(t);
		if (s != NULL)
			move_back(t, s);
	}
	reserved_restore(t);
	saved_remove(t);
	log_info("kernel", "give_back", "port=%s device=%s", p->cfg->name,
	         p->kernel_ifindex != 0 ? p->kernel_device : "none");
}

void kernel_give_back(struct dataplane *dp)
{
	struct mnl_socket *s = netlink_open();

	for (unsigned i = 0; i < dp->n_ports; i++) {
		struct takeover *t = dp->ports[i].takeover;

		if (t == NULL)
			continue;
		give_back(t, s);
		if (t->claim >= 0)
			close(t->claim);
		saved_free(t);
		free(t);
		dp->ports[i].takeover = NULL;
	}
	if (s != NULL)
		mnl_socket_close(s);
}

/* --- ready --- */

struct looking {
	const struct dataplane *dp;
	bool tentative;
	const struct port *duplicate;
	struct addr address; /* the duplicate one */
};

static void take_address(const struct nlmsghdr *h, uint8_t family, struct addr *out)
{
	struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct ifaddrmsg))
	{
		if (mnl_attr_get_type(a) == IFA_ADDRESS)
			netlink_addr(family, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a),
			             out);
	}
}

static int look_at_address(const struct nlmsghdr *h, void *arg)
{
	struct looking *l = arg;
	const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);

	for (unsigned i = 0; i < l->dp->n_ports; i++) {
		const struct port *p = &l->dp->ports[i];

		if (p->tap_ifindex != a->ifa_index)
			continue;
		if ((a->ifa_flags & IFA_F_DADFAILED) != 0) {
			l->duplicate = p;
			take_address(h, a->ifa_family, &l->address);
		}
		if ((a->ifa_flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == IFA_F_TENTATIVE)
			l->tentative = true;
	}
	return MNL_CB_OK;
}

/* A port whose other end is not there yet (memif) does not keep the others from serving. */
static bool links_up(const struct dataplane *dp)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (unsigned i = 0; i < dp->n_ports; i++) {
		const struct port *p = &dp->ports[i];

		if (port_link_up(p))
			continue;
		if (p->takeover == NULL || now.tv_sec < p->takeover->patience_s)
			return false;
		log_warning("kernel", "link",
		            "port=%s note=\"the link is down; serving without it\"", p->cfg->name);
	}
	return true;
}

bool kernel_ready(struct dataplane *dp)
{
	struct looking l = { .dp = dp };
	char text[ADDR_TEXT_MAX];
	struct mnl_socket *s;

	if (!links_up(dp))
		return false;
	s = netlink_open();
	if (s == NULL)
		return false;
	if (netlink_dump(s, RTM_GETADDR, AF_INET6, look_at_address, &l) != 0)
		l.tentative = true;
	mnl_socket_close(s);
	if (!l.tentative && l.duplicate != NULL)
		log_error("kernel", "duplicate",
		          "port=%s address=%s error=\"another host on the link has it\"",
		          l.duplicate->cfg->name, addr_print(&l.address, text));
	return !l.tentative;
}
