/*
 * A data plane without devices, routes, kernel or control: everything else is the code that ships.
 * What workers send is caught in bed_sent(); control is a pair of rings in this process.
 *
 * Addresses  Listeners 0: 198.18.0.1:3478, 1: [fd00:18::1]:3478. Relays 0: 198.18.0.1, 1:
 * fd00:18::1, 2: 198.18.0.2 advertised as 203.0.113.2 (an address of its own), ports 49152..65535.
 * Next hops  By the destination's last octet: 66 has no MAC yet, 77 an MTU of 1280, 88 no route;
 *            everything else an MTU of 1500. One port, one neighbour each.
 */
#pragma once

#include <rte_mbuf.h>

#include "abi/punt.h"
#include "dataplane/datagram.h"
#include "dataplane/service_state.h"
#ifdef BED_FUZZ /* no suite is running */
#include <stdlib.h>
#define CHECK(cond, what) ((cond) ? (void)(what) : abort())
#define CU_ASSERT_FATAL(cond) ((cond) ? (void)0 : abort())
#else
#include "tests/support.h"
#endif

enum { BED_WIRE = 1, BED_SMALL = 2, BED_UNRESOLVED = 3, BED_ADJACENCIES = 4 };
enum { BED_FRAME = 66000, BED_REPLIES = 128 };

struct bed {
	struct dataplane dp;
	struct config *cfg; /* the first */
	struct port port;
	struct worker worker[2];
	struct rte_mempool *pool;
	struct service *service;
	char dir[64], file[96];
	/* Control's ends. */
	struct ring_writer command;
	struct ring_reader events, punts;
	unsigned disconnects;
	unsigned uses[BED_ADJACENCIES]; /* of each next hop */
	unsigned kicks;
	uint32_t epoch; /* of routes; from 1 on BED_WIRE's destinations go by BED_SMALL */
	route_event *on_neighbour;
	struct rte_mbuf *kernel[256]; /* given to the exception port */
	unsigned n_kernel;
};
extern struct bed bed;
extern const char *bed_extra_relay; /* YAML lines inside `relay:` */

/* `more` is YAML appended to the configuration. Checks everything. */
void bed_start(const char *more);
void bed_stop(void);
void bed_config(const char *more); /* writes the file again, for a reload */

/* One service turn, as control is joined. */
void bed_turn(void);
void bed_time(uint64_t add_ns); /* moves worker 0's clock; the service turn's is real */
void bed_resolve(uint16_t adjacency, enum neighbour_state state);

/* Frames sent since the last call, by any worker; the caller frees with bed_free(). */
unsigned bed_sent(struct rte_mbuf *out[BED_REPLIES]);
void bed_free(struct rte_mbuf **m, unsigned n);
/* mbufs in use; a test that ends with another number than it began with leaks. */
unsigned bed_used(void);

uint64_t bed_count(enum stat_id id); /* over all workers and the service turn */
void bed_zero(void);                 /* all counters */

/* Control writes a command; false: the ring is full. */
bool bed_command(uint16_t kind, const void *body, uint32_t octets);
bool bed_flow(uint16_t kind, const struct cmd_flow *c);
/* Control's next event or punt; octets or -1. */
int bed_event(uint16_t *kind, void *body, uint32_t cap);
int bed_punt(uint16_t *kind, void *body, uint32_t cap);
/* The status of the next row event, or -1. */
int bed_status(struct punt_row *ev);

struct endpoint bed_ep(const char *text);
/* An allocation of `client` at listener 0 or 1, with the relayed port; a permission; a channel. */
struct cmd_flow bed_allocation(const char *client, uint16_t relay, uint16_t port);
struct cmd_flow bed_permission(const char *client, const char *peer);
struct cmd_flow bed_channel(const char *client, uint16_t channel, const char *peer);
/* Carries out and checks that it went well. */
void bed_set(const struct cmd_flow *c);

/* A UDP frame to our MAC with right checksums; octets. TTL 64, TOS 0xB9 unless changed after. */
uint32_t bed_udp(uint8_t *frame, const char *src, const char *dst, const void *data, uint32_t len);
/* Sets the UDP checksum right (plain frames). */
void bed_fix(uint8_t *frame);
struct rte_mbuf *bed_mbuf(const uint8_t *frame, uint32_t len);

/* What a caught plain frame is; checks that all checksums are right. `name` is for messages. */
struct bed_seen {
	unsigned family;
	struct endpoint src, dst;
	uint8_t tos, ttl;
	bool df;
	const uint8_t *data;
	uint32_t len;
};
struct bed_seen bed_see(const struct rte_mbuf *m, const char *name);
/* Puts the fragments of one datagram together (flat, options gone); octets from Ethernet on. */
uint32_t bed_join(struct rte_mbuf *const *m, unsigned n, uint8_t *frame, unsigned *fragments);
