/*
 * Config -> EAL: memory, file prefix, the log, buffer pools. Devices are probed later (port.c), so
 * that a device that is missing is one clear line and not a failed start of everything.
 *
 * Memory     With enough free hugepages `--in-memory`, which needs no mount; else `--no-huge` of a
 *            size computed from the config. The two exclude each other; one message says which.
 * Threads    Main. Workers are ordinary threads registered with rte_thread_register(): EAL pins
 *            nothing by itself, so that many relays may share two cores.
 */
#pragma once

#include <rte_mempool.h>
#include <stdbool.h>

#include "config.h"

enum {
	EAL_PRIVATE = 8, /* of each mbuf: puts the Ethernet header at octet 8 of a cache line */
	EAL_ROOM_AF_XDP =
		2048, /* XDP's headroom of 256 and a frame; the chunk stays below a page */
	EAL_ROOM_AF_PACKET_MAX = 16384,
	EAL_CACHE = 256,
};

/* 0 or an enum exit_code, the reason logged. */
int eal_start(const struct config *cfg);
/* Ends EAL and removes its runtime directory. */
void eal_stop(void);

/* Packet memory lies on hugepages. */
bool eal_hugepages(void);

/* Mbufs that a port needs, and octets of data in each, headroom not counted. */
unsigned eal_port_mbufs(const struct config *cfg, unsigned port, unsigned n_queues);
unsigned eal_port_room(const struct config_port *port);

/* A pool of packet buffers in one piece; NULL with the reason logged. */
struct rte_mempool *eal_pool(const char *name, unsigned n, unsigned room, int numa_node);
