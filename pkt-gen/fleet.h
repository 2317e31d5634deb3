/*
 * Many TURN clients, sans I/O: datagrams and a clock in, datagrams and events out. Each client has
 * a five-tuple, an allocation, and some peers with a permission and a channel each. It works
 * against any server: long-term credentials by SHA-1 or SHA-256, stale nonces, errors,
 * retransmission by the timers of RFC 8489, refreshes while it runs, a Refresh of zero at the end.
 *
 * Memory     Sized at the start, some hundred octets a client; a transaction id names its client,
 * so an answer finds it without a search. Threads    One. Source     RFC 8489, RFC 8656;
 * requirements of a client: T-rows of TURN-*.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "pkt-gen/histogram.h"

struct fleet_config {
	struct endpoint server;
	/* "%u" in either is the client's number. */
	const char *user, *password;
	uint32_t clients;
	uint32_t peers;        /* of each client */
	bool channels;         /* bind one to each peer; else permissions only */
	bool rfc5766_channels; /* numbers from 0x4000 to 0x7FFF */
	bool relayed_ipv6;     /* REQUESTED-ADDRESS-FAMILY */
	uint32_t lifetime_s;   /* asked for; 0: what the server likes */
	double rate;           /* new clients a second; 0: as fast as answers come */
	uint32_t window;       /* clients that may be under way at once */
	uint32_t rto_ms;       /* first retransmission, 500 */
	uint64_t seed;         /* of transaction ids */
	/* Where a client is, and peer p of client c. A peer with port 0 is not known yet (it is
	 * another client's relayed address): it is asked for again. */
	struct endpoint (*client_at)(void *arg, uint32_t client);
	struct endpoint (*peer_at)(void *arg, uint32_t client, uint32_t peer);
	void *arg;
};

enum fleet_goal {
	FLEET_REST,  /* answer nothing, send nothing */
	FLEET_UP,    /* allocate, permit, bind, then keep alive */
	FLEET_DOWN,  /* Refresh of zero */
	FLEET_VANISH /* forget everything, say nothing */
};

struct fleet_datagram {
	uint32_t client;
	uint16_t len;
	uint8_t octets[1024];
};

/* What happened to a client. */
enum fleet_event {
	FLEET_READY /* all peers bound */,
	FLEET_FAILED,
	FLEET_LOST /* while it was up */
};
typedef void fleet_told(void *arg, enum fleet_event what, uint32_t client);

struct fleet_counts {
	uint64_t wanted, ready, failed, under_way, lost, gone;
	uint64_t transactions, retransmissions, timeouts, stray;
	uint64_t challenges;    /* 401 and 438 on the way to success */
	uint64_t error[700];    /* by STUN error code, final ones */
	double first_s, last_s; /* when the first began and the last was ready, of now_ns */
};

struct fleet;

struct fleet *fleet_new(const struct fleet_config *cfg);
void fleet_free(struct fleet *f);
void fleet_on(struct fleet *f, fleet_told *fn, void *arg);

/* Sets the goal of clients first..first+n-1; they go there by cfg.rate and cfg.window. */
void fleet_go(struct fleet *f, enum fleet_goal goal, uint32_t first, uint32_t n, uint64_t now_ns);

/* Up to n datagrams that are due. 0: nothing before fleet_next_ns(). */
unsigned fleet_poll(struct fleet *f, uint64_t now_ns, struct fleet_datagram *out, unsigned n);
uint64_t fleet_next_ns(const struct fleet *f);

/* A datagram from the server to that address and port: false if it is no answer of ours. */
bool fleet_input(struct fleet *f, uint64_t now_ns, const struct endpoint *at, const void *octets,
                 size_t len);

const struct fleet_counts *fleet_counts(const struct fleet *f);
/* Of answered transactions, nanoseconds. */
const struct histogram *fleet_rtt(const struct fleet *f);
/* The client's relayed transport address; false: it has none. */
bool fleet_relayed(const struct fleet *f, uint32_t client, struct endpoint *out);
/* Channel number of peer p, 0: none. */
uint16_t fleet_channel(const struct fleet *f, uint32_t client, uint32_t peer);
