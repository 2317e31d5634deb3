/*
 * The hot code, built several times: worker_burst() of worker.h is the one that suits the
 * processor. Each takes at most WORKER_BURST frames.
 */
#pragma once

#include "dataplane/worker.h"

typedef void burst_fn(struct worker *w, const struct port *port, struct rte_mbuf **rx, unsigned n);

burst_fn burst_v2, burst_v3, burst_v4;

#ifndef BURST_NAME
#define BURST_NAME burst_v2
#endif
