/* What the storm's files share: storm.c has the table and the pace, the others the rows. */
#pragma once

#include "pkt-gen/apart.h"
#include "pkt-gen/packet.h"
#include "pkt-gen/storm.h"

enum { STORM_TURN = 512 /* of a turn, at most */ };

struct storm_kind {
	const char *name, *help;
	double rate; /* a second, where --storm-rate does not say */
	/* false: what it needs is not there, logged. */
	bool (*open)(struct storm *s);
	void (*close)(struct storm *s);
	/* Makes `due` of whatever the row counts; returns how much it did. */
	unsigned (*turn)(struct storm *s, uint64_t now_ns, unsigned due);
	bool (*input)(struct storm *s, uint64_t now_ns, const struct endpoint *at,
	              const struct endpoint *from, const void *octets, size_t len);
	void (*stop)(struct storm *s, uint64_t now_ns); /* NULL: nothing to take down */
	bool (*done)(const struct storm *s);
	/* Counts that the row keeps elsewhere, and out->said. */
	void (*report)(const struct storm *s, struct report_storm *out);
};

struct storm {
	const struct storm_kind *kind;
	struct storm_field field;
	struct endpoint server;
	struct apart apart;
	double rate;
	bool begun, stopped;
	uint64_t begin_ns, now_ns, end_ns;
	uint64_t due;     /* of the pace, so far */
	uint64_t skipped; /* too late */
	uint64_t sent, answered, failed;
	uint64_t code[700];
	uint64_t random; /* state */
	uint32_t tag;    /* first word of our transaction ids */
	void *own;       /* the row's */
};

/* splitmix64: seeded, so that a storm comes again. */
static inline uint64_t storm_draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* Up to n buffers, at most ENGINE_BURST; 0: the pool is empty, which is for the next turn. */
unsigned storm_buffers(const struct storm *s, struct rte_mbuf **m, unsigned n);
/* Sends finished frames. */
void storm_send(struct storm *s, struct rte_mbuf **m, unsigned n);
/* A whole frame as an mbuf, or NULL. */
struct rte_mbuf *storm_frame(const struct storm_field *field, const struct endpoint *from,
                             const struct endpoint *to, const void *octets, size_t len);
/* Counts an answer of STUN: its code if it is an error. */
void storm_answer(struct storm *s, const void *octets, size_t len);
double storm_seconds(const struct storm *s);

/*
 * A storm's own clients: a fleet at the endpoints beside the media's (storm_crowd.c). Peers are at
 * apart_peer(), other ones in each life of a client.
 */
struct crowd {
	struct storm *storm;
	struct fleet *fleet;
	uint32_t clients, peers;
	uint32_t pool;  /* peers of its churn, of each client */
	uint16_t *life; /* of each client: how often it came back */
	bool moves;     /* a client comes back from another port, every second time */
};

/* False, logged: no memory, more clients than endpoints. rate 0: as fast as answers come. pool:
 * peers of a client's churn. */
bool crowd_open(struct crowd *c, struct storm *s, uint32_t clients, uint32_t peers, uint32_t pool,
                double rate);
void crowd_close(struct crowd *c);
/* Sends what the fleet wants sent. */
unsigned crowd_turn(struct crowd *c, uint64_t now_ns);
bool crowd_input(struct crowd *c, uint64_t now_ns, const struct endpoint *at,
                 const struct endpoint *from, const void *octets, size_t len);
/* Nobody is on the way up or down. */
bool crowd_settled(const struct crowd *c);
/* Where a client is in its present life. */
struct endpoint crowd_at(const struct crowd *c, uint32_t client);
struct endpoint crowd_peer(const struct crowd *c, uint32_t client, uint32_t peer);

extern const struct storm_kind storm_allocate, storm_binding, storm_spoofed, storm_mutated,
	storm_churn, storm_vanish, storm_scan;
