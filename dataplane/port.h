/*
 * Ports: whatever rte_eth_dev gives. Ask the device, use what it has, do the rest in software.
 *
 * Threads    Opened and closed by main. A queue pair belongs to one worker.
 */
#pragma once

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <stdbool.h>

#include "config.h"
#include "dataplane/dataplane.h"

enum { PORT_BURST = 64, PORT_QUEUES_MAX = CONFIG_WORKERS_MAX };

struct takeover;

struct port {
	uint16_t ethdev; /* rte_eth port id */
	uint16_t index;  /* in dataplane.ports */
	uint16_t n_queues;
	uint16_t mtu;
	uint16_t n_desc;
	struct rte_ether_addr mac;
	bool open;        /* the device is ours to close */
	bool software;    /* frames may carry a partial checksum: complete it (design 2.2) */
	bool segments;    /* it sends frames of several segments */
	bool rx_checksum; /* the device says whether sums are right (PKT_RX flags) */
	const struct config_port *cfg;
	char kernel_device[16]; /* eth0 for af_packet and af_xdp; else empty */
	unsigned kernel_ifindex;
	int multicast_fd; /* holds the kernel device's filter open for all groups; -1: none */
	int tap_fd;       /* exception port, kernel.h */
	struct takeover *takeover; /* private to kernel_*.c */
	unsigned tap_ifindex;
	int rx_fd[PORT_QUEUES_MAX]; /* the PMD's own socket to sleep on; -1: none, poll each ms */
	uint16_t owner[PORT_QUEUES_MAX]; /* worker of queue q */
	struct rte_mempool *pool;
	struct abi_port *shown; /* in region D */
};

/*
 * Probes, configures and starts every port of the config and deals queues to workers: queue q of
 * port p goes to worker (p + q) mod n_workers when a port has fewer queues than workers, else one
 * to each. 0 or an enum exit_code, the reason logged (device missing: 75; not permitted: 75).
 */
int port_open_all(struct dataplane *dp);
void port_close_all(struct dataplane *dp);

/* Worker w's own queue on a port, or -1: then frames for it go through the owner's foreign ring. */
int port_queue_of(const struct port *p, unsigned worker);

/* NUMA node of the device behind a port, or -1; before it is opened. */
int port_numa_node(const struct config_port *cfg);

/* A system call; not for workers. */
bool port_link_up(const struct port *p);

/* Copies rte_eth_stats into region D; service turn, once a second. */
void port_publish(struct dataplane *dp);

/*
 * The frame's IPv4/IPv6 TCP/UDP checksum is the folded pseudo-header sum only: complete it in
 * place. Returns true if it was partial and is now complete. Any worker, before anything else, for
 * software ports; two adds and a compare when it is not partial.
 */
bool port_complete_checksum(struct rte_mbuf *m);
