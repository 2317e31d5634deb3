/*
 * A data plane without ports: region, tables, two workers, mbufs. What workers send, give away,
 * answer or pass to the long way is caught here (lab.c stands in for tx.c, service.c, answer.c,
 * slow.c and limit.c).
 *
 * Addresses  Those of the vectors: listeners and relays 198.51.100.1 and 2001:db8::1, port 3478,
 *            relay ports 49152..65535; 192.0.2.200 is a host address that serves nothing;
 *            203.0.113.200 a relay address of its own, advertised as 203.0.113.250.
 * Ids        listener 0 and relay 0 are IPv4, 1 and 1 IPv6, relay 2 is 203.0.113.200.
 * Next hops  LAB_WIRE port 0, LAB_OTHER port 1, LAB_SMALL port 0 with MTU 600, LAB_DEAD unresolved.
 */
#pragma once

#include <rte_mbuf.h>

#include "dataplane/adjacency.h"
#include "dataplane/classify.h"
#include "dataplane/flow.h"
#include "dataplane/service.h"
#include "dataplane/worker.h"
#include "tests/support.h"

enum { LAB_WIRE = 1, LAB_OTHER = 2, LAB_SMALL = 3, LAB_DEAD = 4 };
enum { LAB_SENT_MAX = 256, LAB_NOW_S = 1000 };

struct lab_sent {
	uint16_t port;
	struct rte_mbuf *m;
};

struct lab {
	struct config cfg;
	struct dataplane dp;
	struct port port[2];
	struct worker worker[2];
	struct rte_mempool *pool;
	/* Caught since lab_clear(). */
	struct lab_sent sent[LAB_SENT_MAX];
	unsigned n_sent, given[8], answered, slow;
};

extern struct lab lab;

/* Starts EAL without hugepages, builds everything; ends the program on failure. */
void lab_start(uint32_t n_rows, uint32_t n_rows_wide, unsigned mbufs);
void lab_stop(void);
/* Frees what was caught, zeroes the counters. */
void lab_clear(void);

/* An mbuf with these octets from the Ethernet header on. */
struct rte_mbuf *lab_mbuf(const void *frame, unsigned len);
/* Ethernet header to our MAC in front of an IP packet; the frame's length. */
unsigned lab_frame(uint8_t *frame, const void *ip, unsigned len);

/*
 * UDP over IPv4 or IPv6 with right checksums, DSCP 0x2E, TTL 64, DF; the frame's length. `data` may
 * be NULL for zeros.
 */
unsigned lab_udp(uint8_t *frame, const char *src, uint16_t sport, const char *dst, uint16_t dport,
                 const void *data, unsigned len);
/* IPv4 header sum and UDP sum after a change; a UDP sum of zero stays. */
void lab_resum(uint8_t *frame);
/* Both sums are right; a UDP sum of zero counts as right on IPv4. */
bool lab_sums_right(const uint8_t *frame, unsigned len);

struct addr lab_addr(const char *text);
struct cmd_flow lab_flow(uint8_t kind, const char *client, uint16_t client_port, const char *peer,
                         uint16_t peer_port, uint16_t channel, uint16_t relayed_port);

/* One frame through worker 0; the only counter of an outcome that went up, or STAT_COUNT. */
enum stat_id lab_one(const void *frame, unsigned len);
uint64_t lab_outcomes(unsigned worker);
uint64_t lab_count(unsigned worker, enum stat_id id);
