/*
 * What engine.c (plans, life) and engine_hot.c (bursts) share. Private to them.
 *
 * engine_hot.c is built once for each level of the processor, as the data plane's burst is;
 * engine.c chooses at start.
 */
#pragma once

#include "pkt-gen/engine.h"
#include "pkt-gen/stamp.h"

enum {
	ENGINE_AHEAD = 2 * ENGINE_BURST, /* streams drawn before their turn, a power of two */
	ENGINE_STASH = 512,              /* buffers kept at hand for each pool */
	HEARD_WINDOW = 128,
};

/* Of a stream, as its receiver sees it: one line. */
struct heard {
	alignas(64) uint64_t at[2]; /* where it has to arrive: address, as it lies in struct addr */
	uint64_t tail;              /* heard_tail() */
	uint64_t peer;              /* heard_peer() of the peer an indication names, else 0 */
	uint64_t window[2];         /* bit i: number next - 1 - i was heard */
	uint32_t next;              /* one above the highest number heard */
	uint32_t received;
	/* The same place in one word, for plain UDP and ChannelData over IPv4: heard_quick(); 0:
	 * no.
	 */
	uint64_t quick;
};
static_assert(sizeof(struct heard) == 64, "one line");

/* Port and channel as they lie in a frame. */
static inline uint64_t heard_tail(uint16_t port, uint16_t channel, enum stream_wrap wrap)
{
	return (uint64_t)port | (uint64_t)channel << 16 | (uint64_t)wrap << 32;
}

/* Address, port and channel as they lie in a frame; channel 0: plain. A port is never 0. */
static inline uint64_t heard_quick(uint32_t ip4, uint16_t port, uint16_t channel)
{
	return ip4 | (uint64_t)channel << 32 | (uint64_t)port << 48;
}

/* One to one for IPv4. */
static inline uint64_t heard_peer(uint64_t high, uint64_t low, uint16_t port)
{
	return (high * UINT64_C(0x9E3779B97F4A7C15) ^ low) * UINT64_C(0xD6E8FEB86659FD93) + port +
	       1;
}

/* Buffers of one pool, all as a pool wants them back: alone, whole, referred to once. */
struct stash {
	struct rte_mempool *pool;
	unsigned n;
	struct rte_mbuf *m[ENGINE_STASH];
};

struct outbox {
	alignas(1024) struct rte_mbuf *m[ENGINE_BURST];
	uint32_t stream[ENGINE_BURST];
	struct stash *from;
	unsigned n;
	uint64_t octets; /* of payload, of all in it */
};

struct engine {
	struct streams *s;
	uint32_t first, n;
	uint32_t n_active;
	uint32_t *active, *indexes; /* of streams that are not idle; NULL: all of the slice are */
	unsigned n_lanes, n_stashes;
	struct lane lane[ENGINE_LANES_MAX];
	uint8_t stash_of[ENGINE_LANES_MAX];
	engine_other *other;
	void *arg;

	/* The plan, and where it stands. */
	bool planned, fresh, check, in_order, wide, done;
	uint64_t due, due_frac;   /* of the next packet: ticks, and 2^-64 ticks */
	uint64_t step, step_frac; /* 0: as fast as it goes */
	uint64_t left;            /* packets */
	uint64_t end, give_up;    /* of the plan; and the latest to catch up */
	uint64_t began, last_sent;
	uint64_t reset_at; /* what was due before belongs to an earlier trial */
	uint64_t hz, behind;
	double plan_pps;
	unsigned burst, burst_left, due_of_burst, n_sizes, at_size;
	uint16_t size[PROFILE_SIZES_MAX];
	struct engine_plan plan;

	/* Streams drawn ahead: their lines are under way. */
	uint64_t random;
	uint32_t at, stride;
	uint32_t drawn[ENGINE_AHEAD];
	unsigned head, tail;

	unsigned moved;
	struct tally tally;
	struct stash stash[ENGINE_LANES_MAX];
	struct outbox out[ENGINE_LANES_MAX];
};

/* Where things stand in a frame that carries a stamp of this run. */
struct seen {
	const uint8_t *frame;
	uint32_t stream;
	uint16_t udp, at, len; /* offsets of UDP header and payload, octets of payload */
	uint16_t peer;         /* WRAP_INDICATION: offset of XOR-PEER-ADDRESS's value */
	uint8_t wrap, six;
};

/* Consumes n frames of a lane that came at `now`. */
typedef void engine_receive_fn(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n,
                               uint64_t now);
/* Makes up to ENGINE_BURST frames that are due at `now` and puts them into outboxes. How many. */
typedef unsigned engine_fill_fn(struct engine *e, uint64_t now);

#ifdef BURST_BUILDS
engine_receive_fn engine_hot_receive_v2, engine_hot_receive_v3, engine_hot_receive_v4;
engine_fill_fn engine_hot_fill_v2, engine_hot_fill_v3, engine_hot_fill_v4;
#else
engine_receive_fn engine_hot_receive;
engine_fill_fn engine_hot_fill;
#endif

/* Frames without a stamp of this run where one ought to be: judged at leisure. stranger.c. */
void stranger_judge(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n);
/* A Data or Send indication in any order of attributes. false: it carries no data. */
bool stranger_indication(const uint8_t *frame, uint16_t udp, uint16_t udp_len, struct seen *out);

/* Makes the stash hold `want` buffers, if the pool has them; how many it holds. */
unsigned engine_stash_fill(struct stash *s, unsigned want);
/* Frees a frame, or keeps it. */
void engine_stash_put(struct engine *e, struct rte_mbuf *m);

static inline void engine_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* As its pool wants it back: one reference, one segment, its own memory. */
static inline bool engine_plain(const struct rte_mbuf *m)
{
	uint64_t rearm;

	memcpy(&rearm, &m->rearm_data, 8);
	return (rearm >> 16 & 0xFFFFFFFF) == 0x00010001 &&
	       !(m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL));
}
