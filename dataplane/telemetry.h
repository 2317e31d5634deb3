/*
 * The counters on DPDK's telemetry socket: /turnpike/counters, all workers summed, the same names
 * as everywhere (abi/stats.h).
 *
 * Threads    Registered by main; read by the telemetry thread.
 */
#pragma once

#include "dataplane/dataplane.h"

/* `dp` must live until rte_eal_cleanup(). */
void telemetry_register(const struct dataplane *dp);
