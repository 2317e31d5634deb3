/* Any ethdev: probe, queues, offloads where there are any, statistics. */
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "dataplane/eal.h"
#include "dataplane/kernel.h"
#include "dataplane/port.h"
#include "exit.h"
#include "log.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum {
	DESCRIPTORS = 1024,
	AF_PACKET_RING = 8 << 20, /* octets, each direction and queue */
	AF_PACKET_FRAMES = 2048,  /* at most */
	AF_PACKET_CUT = 96, /* of a frame's slot: its header, and what the kernel keeps free */
	FDS_MAX = 256,
};

static int refuse(const struct port *p, int code, const char *what)
{
	static const char *const kinds[] = { "pci:", "af_packet:", "af_xdp:", "memif:", "" };

	log_error("port", "open", "port=%s device=%s%s error=\"%s\"", p->cfg->name,
	          kinds[p->cfg->kind], p->cfg->device, what);
	return code;
}

static bool is_kernel_kind(const struct config_port *cfg)
{
	return cfg->kind == DEVICE_AF_PACKET || cfg->kind == DEVICE_AF_XDP;
}

/* --- the kernel's device behind a port --- */

static int kernel_ioctl(const struct port *p, unsigned long request, struct ifreq *ifr)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	memcpy(ifr->ifr_name, p->kernel_device, IFNAMSIZ);
	rc = ioctl(fd, request, ifr) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

/* Queues that af_xdp can have: veth, like others, has one whatever its rx and tx counts say. */
static unsigned channels_of(const struct port *p)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&channels };

	if (kernel_ioctl(p, SIOCETHTOOL, &ifr) != 0 || channels.combined_count == 0)
		return 1;
	return channels.combined_count;
}

static int find_kernel_device(struct port *p)
{
	struct ifreq ifr = { 0 };
	char text[160];
	int fd;

	snprintf(p->kernel_device, sizeof(p->kernel_device), "%.*s",
	         (int)strcspn(p->cfg->device, ","), p->cfg->device);
	p->kernel_ifindex = if_nametoindex(p->kernel_device);
	if (p->kernel_ifindex == 0) {
		snprintf(text, sizeof(text),
		         "there is no network device %s here (ip link shows all)",
		         p->kernel_device);
		return refuse(p, EXIT_CODE_RESOURCE, text);
	}
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return refuse(p, EXIT_CODE_RESOURCE,
		              errno == EPERM ? "not permitted; run as root or with CAP_NET_RAW and "
		                               "CAP_NET_ADMIN"
		                             : strerror(errno));
	/* Nobody joins groups on a device that IPv6 was taken from: solicited-node addresses would
	 * be filtered by a NIC. The membership lives as long as this descriptor. */
	const struct packet_mreq all = { .mr_ifindex = (int)p->kernel_ifindex,
		                         .mr_type = PACKET_MR_ALLMULTI };

	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) != 0)
		log_warning("port", "multicast", "port=%s error=\"%s\"", p->cfg->name,
		            strerror(errno));
	p->multicast_fd = fd;
	if (kernel_ioctl(p, SIOCGIFMTU, &ifr) == 0)
		p->mtu = (uint16_t)(ifr.ifr_mtu < UINT16_MAX ? ifr.ifr_mtu : UINT16_MAX);
	if (kernel_ioctl(p, SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & IFF_UP) == 0) {
		ifr.ifr_flags |= IFF_UP;
		if (kernel_ioctl(p, SIOCSIFFLAGS, &ifr) != 0)
			return refuse(p, EXIT_CODE_RESOURCE,
			              "the device is down and cannot be set up");
		log_info("port", "up", "port=%s device=%s", p->cfg->name, p->kernel_device);
	}
	return EXIT_CODE_OK;
}

/* --- the drivers' own sockets, to sleep on --- */

static unsigned list_sockets(int domain, unsigned ifindex, int *fds)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	if (d == NULL)
		return 0;
	for (struct dirent *e; (e = readdir(d)) != NULL && n < FDS_MAX;) {
		struct sockaddr_ll at = { 0 };
		const int fd = atoi(e->d_name);
		socklen_t len = sizeof(int);
		int found = 0;

		if (e->d_name[0] == '.' ||
		    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &found, &len) != 0 || found != domain)
			continue;
		len = sizeof(at);
		if (domain == AF_PACKET && (getsockname(fd, (struct sockaddr *)&at, &len) != 0 ||
		                            (unsigned)at.sll_ifindex != ifindex))
			continue;
		fds[n++] = fd;
	}
	closedir(d);
	return n;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static bool is_among(const int *fds, unsigned n, int fd)
{
	for (unsigned i = 0; i < n; i++)
		if (fds[i] == fd)
			return true;
	return false;
}

/* Sockets that are there now and were not before the driver opened its own, queue by queue. */
static void adopt_sockets(struct port *p, const int *before, unsigned n_before)
{
	int fds[FDS_MAX];
	const bool packet = p->cfg->kind == DEVICE_AF_PACKET;
	const unsigned n = list_sockets(packet ? AF_PACKET : AF_XDP, p->kernel_ifindex, fds);
	unsigned q = 0;

	qsort(fds, n, sizeof(fds[0]), by_number);
	for (unsigned i = 0; i < n && q < p->n_queues; i++) {
		const int one = 1;

		if (is_among(before, n_before, fds[i]))
			continue;
		p->rx_fd[q++] = fds[i];
		/* What the kernel itself still sends on the device is not input. */
		if (packet)
			setsockopt(fds[i], SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	}
	if (q < p->n_queues)
		log_warning("port", "sleep",
		            "port=%s note=\"no descriptor to sleep on; polled each ms\"",
		            p->cfg->name);
}

/* --- probing --- */

/* The vdev's name and arguments. */
static void vdev_text(const struct port *p, unsigned queues, char name[64], char *args, size_t cap)
{
	const char *device = p->cfg->device;
	const unsigned room = eal_port_room(p->cfg);
	const char *more =
		strchr(device, ','); /* the operator's own arguments win: they come last */

	switch (p->cfg->kind) {
	case DEVICE_AF_PACKET:
		snprintf(name, 64, "net_af_packet%u", p->index);
		snprintf(args, cap, "iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u%s",
		         p->kernel_device, queues, RTE_MAX(room, 4096u), room,
		         RTE_MIN(AF_PACKET_RING / room, (unsigned)AF_PACKET_FRAMES),
		         more != NULL ? more : "");
		break;
	case DEVICE_AF_XDP:
		snprintf(name, 64, "net_af_xdp%u", p->index);
		snprintf(args, cap, "iface=%s,start_queue=0,queue_count=%u%s", p->kernel_device,
		         queues, more != NULL ? more : "");
		break;
	case DEVICE_MEMIF:
		snprintf(name, 64, "net_memif%u", p->index);
		snprintf(args, cap, "socket=%.*s,socket-abstract=no%s", (int)strcspn(device, ","),
		         device, more != NULL ? more : "");
		break;
	default:
		snprintf(name, 64, "%.*s", (int)strcspn(device, ","), device);
		snprintf(args, cap, "%s", more != NULL ? more + 1 : "");
		break;
	}
}

static int probe(struct port *p, unsigned queues)
{
	char name[64], args[2 * CONFIG_DEVICE_MAX], text[400];
	int rc;

	vdev_text(p, queues, name, args, sizeof(args));
	if (p->cfg->kind != DEVICE_PCI) {
		rc = rte_eal_hotplug_add("vdev", name, args);
		if (rc < 0) {
			snprintf(text, sizeof(text),
			         "DPDK cannot open %s with '%.150s': %s; is it in use, or not "
			         "permitted?",
			         name, args, rte_strerror(-rc));
			return refuse(p, EXIT_CODE_RESOURCE, text);
		}
	}
	if (rte_eth_dev_get_port_by_name(name, &p->ethdev) != 0)
		return refuse(p, EXIT_CODE_RESOURCE,
		              p->cfg->kind == DEVICE_PCI
		                      ? "no such device, or it is not bound to vfio-pci"
		                      : "the device string names no network device");
	return EXIT_CODE_OK;
}

/* --- configuring --- */

static void deal_queues(struct port *p, unsigned n_workers)
{
	for (unsigned q = 0; q < p->n_queues; q++)
		p->owner[q] = (uint16_t)(p->n_queues < n_workers ? (p->index + q) % n_workers
		                                                 : q % n_workers);
}

static int set_mtu(struct port *p, const struct rte_eth_dev_info *info)
{
	const uint32_t want = p->cfg->mtu;
	uint16_t mtu = p->mtu;

	if (is_kernel_kind(p->cfg)) {
		/* The kernel's device has it; the configuration may only ask for less. */
		if (want != 0 && want < mtu)
			mtu = (uint16_t)want;
		else if (want > mtu)
			log_warning("port", "mtu", "port=%s want=%u device_mtu=%u", p->cfg->name,
			            want, mtu);
		if (mtu > info->max_mtu)
			mtu = info->max_mtu;
		if (p->cfg->kind == DEVICE_AF_PACKET &&
		    mtu > EAL_ROOM_AF_PACKET_MAX - AF_PACKET_CUT)
			mtu = EAL_ROOM_AF_PACKET_MAX - AF_PACKET_CUT;
	} else {
		if (rte_eth_dev_get_mtu(p->ethdev, &mtu) != 0)
			mtu = RTE_ETHER_MTU;
		if (want != 0 && want != mtu &&
		    rte_eth_dev_set_mtu(p->ethdev, (uint16_t)want) != 0 && want > mtu &&
		    p->cfg->kind == DEVICE_PCI)
			return refuse(p, EXIT_CODE_CONFIG, "the device does not take this mtu");
		if (want != 0)
			mtu = (uint16_t)want;
	}
	p->mtu = mtu;
	return EXIT_CODE_OK;
}

static int configure(struct port *p, struct rte_eth_dev_info *info)
{
	static const uint64_t sums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
	                             RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	struct rte_eth_conf conf = { 0 };
	int rc;

	conf.rxmode.offloads = info->rx_offload_capa & sums;
	conf.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (p->n_queues > 1 && info->flow_type_rss_offloads != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			info->flow_type_rss_offloads &
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP);
	}
	p->segments = conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	p->rx_checksum = conf.rxmode.offloads == sums;
	rc = rte_eth_dev_configure(p->ethdev, p->n_queues, p->n_queues, &conf);
	if (rc != 0)
		return refuse(p, EXIT_CODE_RESOURCE, rte_strerror(-rc));
	return set_mtu(p, info);
}

static int set_up_queues(struct port *p, const struct rte_eth_dev_info *info)
{
	uint16_t n_rx = DESCRIPTORS, n_tx = DESCRIPTORS;
	struct rte_eth_rxconf rx = info->default_rxconf;
	struct rte_eth_txconf tx = info->default_txconf;
	const int node = rte_eth_dev_socket_id(p->ethdev);

	rx.offloads = 0; /* the port's own apply */
	tx.offloads = 0;
	if (p->cfg->kind == DEVICE_AF_XDP)
		n_rx = n_tx = 2048; /* its rings and fill queue come in one size */
	rte_eth_dev_adjust_nb_rx_tx_desc(p->ethdev, &n_rx, &n_tx);
	p->n_desc = n_rx;
	for (uint16_t q = 0; q < p->n_queues; q++) {
		int rc = rte_eth_rx_queue_setup(p->ethdev, q, n_rx, (unsigned)node, &rx, p->pool);

		if (rc == 0)
			rc = rte_eth_tx_queue_setup(p->ethdev, q, n_tx, (unsigned)node, &tx);
		if (rc != 0)
			return refuse(
				p, EXIT_CODE_RESOURCE,
				p->cfg->kind == DEVICE_AF_XDP
					? "no AF_XDP socket: another program uses the queue, or it "
					  "wants CAP_BPF and CAP_NET_RAW"
					: rte_strerror(-rc));
	}
	return EXIT_CODE_OK;
}

static int start(struct port *p)
{
	const int rc = rte_eth_dev_start(p->ethdev);

	if (rc != 0)
		return refuse(p, EXIT_CODE_RESOURCE, rte_strerror(-rc));
	/* Kernel devices have their membership; the rest must let solicited-node addresses in. */
	if (!is_kernel_kind(p->cfg) && rte_eth_allmulticast_enable(p->ethdev) != 0 &&
	    rte_eth_promiscuous_enable(p->ethdev) != 0)
		log_debug("port", "multicast", "port=%s note=\"no filter to open\"", p->cfg->name);
	return EXIT_CODE_OK;
}

static int open_port(struct dataplane *dp, struct port *p)
{
	const struct config *cfg = dp->cfg;
	unsigned queues = p->cfg->queues != 0 ? p->cfg->queues : cfg->workers;
	struct rte_eth_dev_info info;
	int before[FDS_MAX], rc;
	unsigned n_before = 0;
	char name[32];

	if (is_kernel_kind(p->cfg)) {
		rc = find_kernel_device(p);
		if (rc != EXIT_CODE_OK)
			return rc;
		if (p->cfg->kind == DEVICE_AF_XDP) {
			const unsigned channels = channels_of(p);

			kernel_clear_pass(p);
			if (p->cfg->queues > channels)
				return refuse(p, EXIT_CODE_CONFIG,
				              "more queues asked for than the device has channels "
				              "(a veth has one: use two ports for two workers)");
			queues = queues < channels ? queues : channels;
		}
		n_before = list_sockets(p->cfg->kind == DEVICE_AF_PACKET ? AF_PACKET : AF_XDP,
		                        p->kernel_ifindex, before);
	}
	rc = probe(p, queues);
	if (rc != EXIT_CODE_OK)
		return rc;
	p->open = true;
	if (rte_eth_dev_info_get(p->ethdev, &info) != 0)
		return refuse(p, EXIT_CODE_RESOURCE, "the device does not describe itself");
	queues = queues < info.max_rx_queues ? queues : info.max_rx_queues;
	queues = queues < info.max_tx_queues ? queues : info.max_tx_queues;
	p->n_queues = (uint16_t)(queues < PORT_QUEUES_MAX ? queues : PORT_QUEUES_MAX);
	deal_queues(p, cfg->workers);
	rc = configure(p, &info);
	if (rc != EXIT_CODE_OK)
		return rc;
	snprintf(name, sizeof(name), "port%u", p->index);
	p->pool = eal_pool(name, eal_port_mbufs(cfg, p->index, p->n_queues), eal_port_room(p->cfg),
	                   rte_eth_dev_socket_id(p->ethdev));
	if (p->pool == NULL)
		return EXIT_CODE_RESOURCE;
	rc = set_up_queues(p, &info);
	if (rc == EXIT_CODE_OK)
		rc = start(p);
	if (rc != EXIT_CODE_OK)
		return rc;
	if (is_kernel_kind(p->cfg))
		adopt_sockets(p, before, n_before);
	if (rte_eth_macaddr_get(p->ethdev, &p->mac) != 0)
		return refuse(p, EXIT_CODE_RESOURCE, "the device has no MAC address");
	return EXIT_CODE_OK;
}

/* --- what others see of it --- */

static void show(struct port *p, struct abi_port *shown)
{
	static const char *const kinds[] = { "pci:", "af_packet:", "af_xdp:", "memif:", "" };

	p->shown = shown;
	snprintf(shown->name, sizeof(shown->name), "%s", p->cfg->name);
	snprintf(shown->device, sizeof(shown->device), "%s%.36s", kinds[p->cfg->kind],
	         p->cfg->device);
	memcpy(shown->mac, p->mac.addr_bytes, 6);
	shown->mtu = p->mtu;
	shown->n_queues = p->n_queues;
	shown->kind = (uint16_t)p->cfg->kind;
}

int port_open_all(struct dataplane *dp)
{
	struct abi_port *shown =
		region_find(&dp->region, SECTION_PORTS, 0, dp->n_ports * sizeof(struct abi_port));

	for (unsigned i = 0; i < dp->n_ports; i++) {
		struct port *p = &dp->ports[i];
		char mac[RTE_ETHER_ADDR_FMT_SIZE];
		int rc;

		*p = (struct port){ .index = (uint16_t)i,
			            .cfg = &dp->cfg->ports[i],
			            .software = dp->cfg->ports[i].kind != DEVICE_PCI,
			            .tap_fd = -1,
			            .multicast_fd = -1 };
		for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
			p->rx_fd[q] = -1;
		rc = open_port(dp, p);
		if (rc != EXIT_CODE_OK) {
			dp->n_ports = i + 1;
			port_close_all(dp);
			return rc;
		}
		if (shown != NULL)
			show(p, &shown[i]);
		rte_ether_format_addr(mac, sizeof(mac), &p->mac);
		log_info("port", "open",
		         "port=%s device=%s mac=%s mtu=%u queues=%u offload_checksum=%s",
		         p->cfg->name, p->cfg->device, mac, p->mtu, p->n_queues,
		         p->rx_checksum ? "yes" : "no");
	}
	return EXIT_CODE_OK;
}

void port_close_all(struct dataplane *dp)
{
	for (unsigned i = 0; i < dp->n_ports; i++) {
		struct port *p = &dp->ports[i];

		if (p->open) {
			rte_eth_dev_stop(p->ethdev);
			rte_eth_dev_close(p->ethdev);
		}
		rte_mempool_free(p->pool);
		if (p->multicast_fd >= 0)
			close(p->multicast_fd);
		p->open = false;
		p->pool = NULL;
		p->multicast_fd = -1;
	}
}

int port_numa_node(const struct config_port *cfg)
{
	char path[CONFIG_DEVICE_MAX + 64];
	const int len = (int)strcspn(cfg->device, ",");
	int node = -1;
	FILE *f;

	if (cfg->kind == DEVICE_PCI)
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.*s/numa_node", len,
		         cfg->device);
	else if (is_kernel_kind(cfg))
		snprintf(path, sizeof(path), "/sys/class/net/%.*s/device/numa_node", len,
		         cfg->device);
	else
		return -1;
	f = fopen(path, "re");
	if (f == NULL)
		return -1;
	if (fscanf(f, "%d", &node) != 1)
		node = -1;
	fclose(f);
	return node;
}

int port_queue_of(const struct port *p, unsigned worker)
{
	for (unsigned q = 0; q < p->n_queues; q++)
		if (p->owner[q] == worker)
			return (int)q;
	return -1;
}

/* The af_packet and af_xdp drivers say that every link is up; the kernel knows. */
bool port_link_up(const struct port *p)
{
	struct rte_eth_link link;
	struct ifreq ifr = { 0 };

	if (is_kernel_kind(p->cfg))
		return kernel_ioctl(p, SIOCGIFFLAGS, &ifr) == 0 &&
		       (ifr.ifr_flags & IFF_RUNNING) != 0;
	return rte_eth_link_get_nowait(p->ethdev, &link) == 0 && link.link_status;
}

static void set64(_Atomic uint64_t *to, uint64_t value)
{
	atomic_store_explicit(to, value, memory_order_relaxed);
}

void port_publish(struct dataplane *dp)
{
	for (unsigned i = 0; i < dp->n_ports; i++) {
		const struct port *p = &dp->ports[i];
		struct rte_eth_stats s;
		struct rte_eth_link link;

		if (p->shown == NULL)
			continue;
		if (rte_eth_stats_get(p->ethdev, &s) == 0) {
			set64(&p->shown->rx_packets, s.ipackets);
			set64(&p->shown->rx_octets, s.ibytes);
			set64(&p->shown->tx_packets, s.opackets);
			set64(&p->shown->tx_octets, s.obytes);
			set64(&p->shown->rx_missed, s.imissed + s.rx_nombuf);
			set64(&p->shown->tx_errors, s.oerrors);
		}
		atomic_store_explicit(&p->shown->link_up, port_link_up(p), memory_order_relaxed);
		if (rte_eth_link_get_nowait(p->ethdev, &link) == 0 &&
		    link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
			atomic_store_explicit(&p->shown->speed_mbps, link.link_speed,
			                      memory_order_relaxed);
	}
}
