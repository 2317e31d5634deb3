/*
 * Many TURN clients, sans I/O: datagrams and a clock in, datagrams and events out. Each client has
 * a five-tuple, an allocation, and some peers with a permission and a channel each. It works
 * against any server: long-term credentials by SHA-1 or SHA-256, stale nonces, errors,
 * retransmission by the timers of RFC 8489, refreshes while it runs, a Refresh of zero at the end.
 *
 * A client has one transaction at a time; what runs in parallel are the clients. Timers tick in
 * milliseconds and never fire early.
 *
 * Memory     Sized at the start: 124 octets a client and 4 a peer, and 68 a client where each has
 *            its own name or password. Only nonces longer than FLEET_NONCE_INLINE are put on the
 *            heap, when a server turns out to use such. A transaction id names its client, so an
 *            answer finds it without a search.
 * Threads    One.
 * Source     RFC 8489, RFC 8656; requirements of a client: T-rows of TURN-*.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "pkt-gen/histogram.h"

enum { FLEET_NONCE_INLINE = 48, FLEET_TEXT_MAX = 255 /* of names, passwords, realms, nonces */ };

/* What a client does when its five-tuple still has an allocation at the server: 437 to Allocate,
 * as after it vanished and came back. */
enum fleet_mismatch {
	FLEET_MISMATCH_FAIL,
	FLEET_MISMATCH_DELETE, /* it is its own: Refresh of zero, then Allocate again */
	FLEET_MISMATCH_MOVE,   /* another port, at most three in all (TURN-243): cfg.move */
	FLEET_MISMATCH_WAIT    /* tries again every 120 s until an hour has gone */
};

struct fleet_config {
	struct endpoint server;
	/* "%u" in either is the client's number. user NULL: a server that asks nobody who he is. */
	const char *user, *password;
	const char *rest_secret; /* instead of a password: it is minted from the user name */
	uint32_t clients;
	uint32_t peers;        /* of each client */
	bool channels;         /* bind one to each peer; else permissions only */
	bool rfc5766_channels; /* numbers from 0x4000 to 0x7FFF, begun anywhere */
	bool relayed_ipv6;     /* REQUESTED-ADDRESS-FAMILY */
	uint32_t lifetime_s;   /* asked for; 0: what the server likes */
	double rate;           /* clients a second that set out; 0: as fast as answers come */
	uint32_t window;       /* clients that may be under way at once; 0: all */
	uint32_t rto_ms;       /* first retransmission; 0: 500 */
	uint64_t seed;         /* of transaction ids and draws */
	enum fleet_mismatch mismatch;
	/*
	 * Some servers send errors to authenticated requests without integrity, which a client has
	 * to discard (RFC 8489 §9.2.5). false: they count only when no better answer came until the
	 * transaction timed out; true: at once. Successes always need their integrity.
	 */
	bool bare_errors;
	/* Where a client is, and peer p of client c; the same every time while a request is under
	 * way. A peer with port 0 is not known yet (it is another client's relayed address): it is
	 * asked for again. Peers from cfg.peers on are those of fleet_churn(). */
	struct endpoint (*client_at)(void *arg, uint32_t client);
	struct endpoint (*peer_at)(void *arg, uint32_t client, uint32_t peer);
	/* FLEET_MISMATCH_MOVE: from now on the client is elsewhere; false: there is no place. */
	bool (*move)(void *arg, uint32_t client);
	void *arg;
};

enum fleet_goal {
	FLEET_REST,  /* answer nothing, send nothing; what it has is remembered */
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
/* It may call anything of this header but fleet_free(). */
typedef void fleet_told(void *arg, enum fleet_event what, uint32_t client);

struct fleet_counts {
	/* now: clients whose goal is UP; of those, ready; that failed; that set out, up or down;
	 * that have a goal and wait for their turn. A fleet has settled when nobody is under way or
	 * waiting. */
	uint64_t wanted, ready, failed, under_way, waiting;
	/* so far */
	uint64_t lost, gone; /* failed while up; taken down */
	uint64_t allocated;  /* successes of Allocate */
	uint64_t churned;    /* successes of fleet_churn() */
	uint64_t transactions, retransmissions, timeouts;
	uint64_t answered;   /* transactions that an answer ended */
	uint64_t stray;      /* answers to no transaction under way: duplicates and late ones */
	uint64_t malformed;  /* answers that cannot be read */
	uint64_t unproven;   /* without integrity or with a wrong one, where it has to be */
	uint64_t bid_down;   /* the nonce speaks of algorithms that were cut out (STUN-115) */
	uint64_t challenges; /* 401 and 438 on the way to success */
	uint64_t error[700]; /* by STUN error code, final ones; [0]: a success that says nothing */
	double first_s, last_s; /* when the first began and the last was ready, of now_ns */
};

struct fleet;

/* NULL: no memory, or a name or password that is too long (errno ENOMEM, ENAMETOOLONG). */
struct fleet *fleet_new(const struct fleet_config *cfg);
/* Wipes keys. */
void fleet_free(struct fleet *f);
void fleet_on(struct fleet *f, fleet_told *fn, void *arg);

/*
 * Sets the goal of clients first..first+n-1; they go there by cfg.rate and cfg.window. A client
 * that failed or was lost rests until its goal is set again; what it may still have at the server
 * is taken down by FLEET_DOWN.
 */
void fleet_go(struct fleet *f, enum fleet_goal goal, uint32_t first, uint32_t n, uint64_t now_ns);

/*
 * Churn: one request more by a random client that is ready and idle. It does not touch what keeps
 * its own peers alive, and an error other than 437 and 441 costs it nothing.
 */
enum fleet_churn {
	FLEET_REBIND, /* the channel (else the permission) of one of its own peers again */
	FLEET_PERMIT, /* a permission for a peer of the churn */
	FLEET_BIND    /* a channel for a peer of the churn */
};
/* Peers of the churn are cfg.peers .. cfg.peers + pool - 1 of that client, drawn at random. false:
 * found no client to do it. */
bool fleet_churn(struct fleet *f, enum fleet_churn what, uint32_t pool, uint64_t now_ns);

/* Up to n datagrams that are due. 0: nothing before fleet_next_ns(). */
unsigned fleet_poll(struct fleet *f, uint64_t now_ns, struct fleet_datagram *out, unsigned n);
/* UINT64_MAX: never, unless something comes in. */
uint64_t fleet_next_ns(const struct fleet *f);

/* A datagram from the server to that address and port: false if it is no answer of ours. */
bool fleet_input(struct fleet *f, uint64_t now_ns, const struct endpoint *at, const void *octets,
                 size_t len);

const struct fleet_counts *fleet_counts(const struct fleet *f);
/* Of answered transactions, nanoseconds from the first sending. */
const struct histogram *fleet_rtt(const struct fleet *f);
/* The client's relayed transport address; false: it has none. */
bool fleet_relayed(const struct fleet *f, uint32_t client, struct endpoint *out);
/* Channel number of peer p, 0: none. */
uint16_t fleet_channel(const struct fleet *f, uint32_t client, uint32_t peer);
/* All its peers are bound. */
bool fleet_is_ready(const struct fleet *f, uint32_t client);
