/* Streams of bindings: where each way of a call leaves, and how it has to arrive. */
#include <stdlib.h>

#include "pkt-gen/place.h"
#include "pkt-gen/run_parts.h"

enum { HOPS_SLOTS = 16384, HOPS_KEPT = 8192, HOP_WAIT_MS = 3000, REFLECT_PORT = 49152 };

/* Next hops that were asked for, by both addresses; open addressing. Asking again costs a turn of
 * the engine's thread, a millisecond when it sleeps: too much for each of a million streams. */
struct hops {
	struct hop {
		struct addr from, to;
		uint8_t macs[12], lane;
		bool used;
	} slot[HOPS_SLOTS];
	unsigned n;
};

/* A binding and all that is known of it. */
struct binding {
	uint32_t client, peer; /* peer: of the client */
	struct endpoint at, peer_at, server, relayed;
	uint16_t channel; /* 0: none */
};

/* The pair's slot, or the free one that it would take. */
static struct hop *hop_of(struct hops *h, const struct addr *from, const struct addr *to)
{
	uint32_t hash = 2166136261u;

	for (unsigned i = 0; i < 16; i++)
		hash = ((hash ^ from->ip[i]) * 16777619u ^ to->ip[i]) * 16777619u;
	for (;; hash++) {
		struct hop *const s = &h->slot[hash % HOPS_SLOTS];

		if (!s->used || (addr_equal(&s->to, to) && addr_equal(&s->from, from)))
			return s;
	}
}

static bool find_hop(struct run *r, struct hops *h, struct stream_leg *leg)
{
	struct hop *const s = hop_of(h, &leg->from.addr, &leg->to.addr);

	if (s->used) {
		memcpy(leg->macs, s->macs, 12);
		leg->lane = s->lane;
		return true;
	}
	if (!link_next_hop(r->link, &leg->from.addr, &leg->to.addr, HOP_WAIT_MS, leg->macs,
	                   &leg->lane)) {
		char text[ADDR_TEXT_MAX];

		run_fail(r, "nobody answers on the way to %s", addr_print(&leg->to.addr, text));
		return false;
	}
	if (h->n == HOPS_KEPT)
		return true;
	h->n++;
	*s = (struct hop){
		.from = leg->from.addr, .to = leg->to.addr, .lane = leg->lane, .used = true
	};
	memcpy(s->macs, leg->macs, 12);
	return true;
}

/* --- what is known of a binding --- */

/* What would be, were there a server: the forwarder sends it back. */
static void imagine(const struct run *r, uint32_t b, struct binding *out)
{
	out->relayed = r->options->server[r->options->peer_family == 4 ? 0 : 1];
	out->relayed.port = (uint16_t)(REFLECT_PORT + b % 16384);
	if (!r->options->permissions_only && r->options->wrap != OPTION_SEND)
		out->channel = (uint16_t)(0x4000 + out->peer % 0x1000);
}

/* false: it does not stand. */
static bool look_up(const struct run *r, uint32_t b, struct binding *out)
{
	const struct options *o = r->options;

	*out = (struct binding){ .client = b / o->peers,
		                 .peer = b % o->peers,
		                 .server = r->server };
	out->at = place_client(o, out->client);
	if (o->direction != DIRECTION_C2C)
		out->peer_at = place_peer(o, out->client, out->peer);
	if (o->bias)
		return true;
	if (o->setup != SETUP_TURN) {
		imagine(r, b, out);
		if (o->direction == DIRECTION_C2C)
			out->peer_at = out->relayed;
		return true;
	}
	if (!fleet_relayed(r->fleet, out->client, &out->relayed))
		return false;
	if (o->direction == DIRECTION_C2C &&
	    !fleet_relayed(r->fleet, out->client ^ (out->peer + 1), &out->peer_at))
		return false;
	out->channel = fleet_channel(r->fleet, out->client, out->peer);
	return out->channel != 0 || o->wrap == OPTION_SEND;
}

/* --- legs --- */

/* From the client into the relay. */
static void leave_client(const struct run *r, uint32_t b, const struct binding *x,
                         struct stream_leg *leg)
{
	const enum option_wrap wrap = r->options->wrap;

	*leg = (struct stream_leg){
		.from = x->at, .to = x->server, .wrap = WRAP_CHANNEL, .channel = x->channel
	};
	if (wrap == OPTION_SEND || (wrap == OPTION_MIXED && b % 2 == 1)) {
		leg->wrap = WRAP_INDICATION;
		leg->channel = 0;
		leg->peer = x->peer_at;
	}
}

/* At a client whose peer is `peer`. */
static struct stream_arrival reach_client(const struct endpoint *at, uint16_t channel,
                                          const struct endpoint *peer)
{
	if (channel != 0)
		return (struct stream_arrival){ .at = *at,
			                        .wrap = WRAP_CHANNEL,
			                        .channel = channel };
	return (struct stream_arrival){ .at = *at, .wrap = WRAP_INDICATION, .peer = *peer };
}

/* As a forwarder sends it back: as it left, to where it was sent or to where it came from. */
static struct stream_arrival reflected(const struct run *r, const struct stream_leg *leg)
{
	return (struct stream_arrival){ .at = r->options->setup == SETUP_SWAP ? leg->from : leg->to,
		                        .wrap = leg->wrap,
		                        .channel = leg->channel,
		                        .peer = leg->peer };
}

static void client_to_peer(const struct run *r, uint32_t b, const struct binding *x,
                           struct stream_leg *leg, struct stream_arrival *at)
{
	if (r->options->bias) {
		*leg = (struct stream_leg){ .from = x->at, .to = x->peer_at, .wrap = WRAP_NONE };
		*at = (struct stream_arrival){ .at = x->peer_at, .wrap = WRAP_NONE };
		return;
	}
	leave_client(r, b, x, leg);
	if (r->options->setup != SETUP_TURN)
		*at = reflected(r, leg);
	else
		*at = (struct stream_arrival){ .at = x->peer_at, .wrap = WRAP_NONE };
}

static void peer_to_client(const struct run *r, const struct binding *x, struct stream_leg *leg,
                           struct stream_arrival *at)
{
	*leg = (struct stream_leg){ .from = x->peer_at,
		                    .to = r->options->bias ? x->at : x->relayed,
		                    .wrap = WRAP_NONE };
	if (r->options->bias)
		*at = (struct stream_arrival){ .at = x->at, .wrap = WRAP_NONE };
	else if (r->options->setup != SETUP_TURN)
		*at = reflected(r, leg);
	else
		*at = reach_client(&x->at, x->channel, &x->peer_at);
}

/* The client's peer is another client's relayed address, and the other way round (run_setup.c). */
static void client_to_client(const struct run *r, uint32_t b, const struct binding *x,
                             struct stream_leg *leg, struct stream_arrival *at)
{
	const uint32_t other = x->client ^ (x->peer + 1);
	const struct endpoint other_at = place_client(r->options, other);

	leave_client(r, b, x, leg);
	if (r->options->setup != SETUP_TURN)
		*at = reflected(r, leg);
	else
		*at = reach_client(&other_at, fleet_channel(r->fleet, other, x->peer), &x->relayed);
}

static bool make(struct run *r, struct hops *h, uint32_t b, unsigned way)
{
	const enum option_direction d = r->options->direction;
	struct stream_leg leg;
	struct stream_arrival at;
	struct binding x;
	const uint32_t i = b * r->ways + way;

	if (!look_up(r, b, &x))
		return false;
	if (d == DIRECTION_C2C)
		client_to_client(r, b, &x, &leg, &at);
	else if (d == DIRECTION_P2C || way == 1)
		peer_to_client(r, &x, &leg, &at);
	else
		client_to_peer(r, b, &x, &leg, &at);
	if (!find_hop(r, h, &leg))
		return false;
	stream_make(&r->streams->out[i], &leg);
	streams_expect(r->streams, i, &at);
	return true;
}

uint32_t run_streams_make(struct run *r)
{
	const uint32_t end = r->fleet != NULL ? r->grown * r->options->peers : r->n_bindings;
	struct hops *h = calloc(1, sizeof(*h));
	uint32_t n = 0;

	for (uint32_t b = r->made; b < end && h != NULL && !run_stopped(); b++) {
		bool stands = true;

		for (unsigned way = 0; way < r->ways && stands; way++)
			stands = make(r, h, b, way);
		/* `reserved` remembers that it stands, `idle` whether it sends now. */
		for (unsigned way = 0; way < r->ways; way++) {
			struct stream *s = &r->streams->out[b * r->ways + way];

			s->idle = 1;
			s->reserved = stands;
		}
		r->made = b + 1;
	}
	free(h);
	for (uint32_t b = 0; b < r->made; b++)
		n += r->streams->out[b * r->ways].reserved;
	return n;
}

uint32_t run_streams_use(struct run *r, uint32_t n)
{
	uint32_t used = 0;

	for (uint32_t b = 0; b < r->made; b++) {
		const bool use = r->streams->out[b * r->ways].reserved && used < n;

		for (unsigned way = 0; way < r->ways; way++)
			r->streams->out[b * r->ways + way].idle = !use;
		used += use;
	}
	r->calls = used;
	return used;
}
