/*
 * Fragments of our UDP, put together (TURN-145): a fixed number of places of one datagram each, a
 * bound per source prefix, a timeout. A datagram with overlapping fragments is dropped whole
 * (RFC 5722); a copy of octets that are there already is ignored.
 *
 * Our own rather than rte_ip_frag: Debian builds that for eight fragments a datagram, and 65,507
 * octets come in 45.
 *
 * Threads    Service turn only.
 */
#pragma once

#include <rte_mbuf.h>

#include "config.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

#define REASSEMBLY_NS UINT64_C(5000000000)

struct reassembly;

/* As many places as cfg->limit_reassembly; a source prefix gets a sixteenth of them, at least 8. */
struct reassembly *reassembly_new(const struct config *cfg);
void reassembly_free(struct reassembly *r);

/* Consumes m, a fragment that classify() saw. The last one sends the datagram through slow.c. */
void reassembly_take(struct reassembly *r, struct worker *w, const struct port *port,
                     struct rte_mbuf *m);
/* Drops what has waited too long. */
void reassembly_expire(struct reassembly *r, struct worker *w);
/* Datagrams being put together. */
unsigned reassembly_count(const struct reassembly *r);
