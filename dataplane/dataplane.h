/*
 * The data plane as one struct: who exists and who owns what. Built at start by main.c, then each
 * part is touched only by the threads its own header names.
 *
 * Threads: workers (one per configured worker) and the service turn, a role that runs on a core of
 * its own or inside worker 0 once per loop.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/region.h"
#include "abi/stats.h"
#include "config.h"

struct adjacency_table; /* adjacency.h */
struct flow_table;      /* flow.h */
struct local_table;     /* local.h */
struct port;            /* port.h */
struct rte_rcu_qsbr;
struct service; /* service.h */
struct worker;  /* worker.h */

struct dataplane {
	const struct config *cfg;
	struct region region; /* region D: what control may read */
	uint64_t generation;

	struct port *ports; /* cfg->n_ports */
	unsigned n_ports;
	struct worker *workers; /* cfg->workers */
	unsigned n_workers;
	struct service *service;

	struct local_table *local;         /* our addresses, listeners, relayed addresses */
	struct adjacency_table *adjacency; /* next hops */
	struct flow_table *flows;
	struct rte_rcu_qsbr
		*qsbr; /* worker i is thread i; the service turn on its own core is n_workers */

	_Atomic bool stop;
	_Atomic bool control_joined; /* punts have a reader */
};
