/*
 * The TAP itself. Persistent, so that it keeps its addresses and the host its connections while the
 * data plane restarts; without IFF_VNET_HDR, so that frames from the kernel are complete and no
 * longer than the MTU.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/kernel_parts.h"
#include "exit.h"
#include "log.h"

enum { SEGMENTS_MAX = 16 };

static int refuse(const struct port *p, const char *what, int error)
{
	log_error("kernel", "tap", "port=%s error=\"%s: %s\"", p->cfg->name, what, strerror(error));
	return EXIT_CODE_RESOURCE;
}

static int link_ioctl(const struct port *p, unsigned long request, struct ifreq *ifr)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	memcpy(ifr->ifr_name, p->cfg->name, sizeof(p->cfg->name));
	rc = ioctl(fd, request, ifr) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

static int shape(struct port *p)
{
	struct ifreq ifr = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	int rc;

	memcpy(ifr.ifr_hwaddr.sa_data, p->mac.addr_bytes, 6);
	rc = link_ioctl(p, SIOCSIFHWADDR, &ifr);
	if (rc != 0)
		return refuse(p, "cannot give the TAP the port's MAC address", -rc);
	ifr = (struct ifreq){ .ifr_mtu = p->mtu };
	rc = link_ioctl(p, SIOCSIFMTU, &ifr);
	if (rc != 0)
		return refuse(p, "cannot give the TAP the port's MTU", -rc);
	ifr = (struct ifreq){ 0 };
	rc = link_ioctl(p, SIOCGIFINDEX, &ifr);
	if (rc != 0)
		return refuse(p, "the TAP is gone", -rc);
	p->tap_ifindex = (unsigned)ifr.ifr_ifindex;
	return EXIT_CODE_OK;
}

int tap_open(struct takeover *t)
{
	struct port *p = t->port;
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int rc;

	p->tap_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p->tap_fd < 0)
		return refuse(p,
		              "cannot open /dev/net/tun (modprobe tun, or give the container the "
		              "device)",
		              errno);
	memcpy(ifr.ifr_name, p->cfg->name, sizeof(p->cfg->name));
	if (ioctl(p->tap_fd, TUNSETIFF, &ifr) != 0)
		rc = refuse(p,
		            errno == EBUSY    ? "another relay here has the TAP; stop it"
		            : errno == EINVAL ? "another kind of device has the TAP's name"
		                              : "cannot make the TAP, CAP_NET_ADMIN is needed",
		            errno);
	else if (ioctl(p->tap_fd, TUNSETPERSIST, 1) != 0 || ioctl(p->tap_fd, TUNSETOFFLOAD, 0) != 0)
		rc = refuse(p, "cannot set up the TAP", errno);
	else
		rc = shape(p);
	if (rc != EXIT_CODE_OK) {
		close(p->tap_fd);
		p->tap_fd = -1;
	}
	return rc;
}

void tap_remove(struct port *p)
{
	if (p->tap_fd < 0)
		return;
	ioctl(p->tap_fd, TUNSETPERSIST, 0);
	close(p->tap_fd);
	p->tap_fd = -1;
}

/* --- frames --- */

static void count(_Atomic uint64_t *at)
{
	atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + 1,
	                      memory_order_relaxed);
}

bool kernel_give(struct port *p, struct rte_mbuf *m)
{
	struct iovec part[SEGMENTS_MAX];
	int n = 0;
	bool given = false;

	for (const struct rte_mbuf *s = m; s != NULL && n < SEGMENTS_MAX; s = s->next, n++)
		part[n] = (struct iovec){ rte_pktmbuf_mtod(s, void *), rte_pktmbuf_data_len(s) };
	if (p->tap_fd >= 0 && m->nb_segs <= SEGMENTS_MAX)
		given = writev(p->tap_fd, part, n) > 0;
	if (given && p->shown != NULL)
		count(&p->shown->tap_out);
	rte_pktmbuf_free(m);
	return given;
}

unsigned kernel_take(struct port *p, struct rte_mempool *pool, struct rte_mbuf **out, unsigned n)
{
	unsigned i = 0;

	if (p->tap_fd < 0)
		return 0;
	while (i < n) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		ssize_t got;

		if (m == NULL)
			break;
		got = read(p->tap_fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
		if (got <= 0) {
			rte_pktmbuf_free(m);
			break;
		}
		m->data_len = (uint16_t)got;
		m->pkt_len = (uint32_t)got;
		m->port = p->index;
		out[i++] = m;
		if (p->shown != NULL)
			count(&p->shown->tap_in);
	}
	return i;
}
