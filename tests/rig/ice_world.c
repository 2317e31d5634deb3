/* Two agents on the simulated network. */
#include "tests/rig/ice_world.h"

#include <stdio.h>
#include <stdlib.h>

enum { POSTS_MAX = 256, POLLS_MAX = 20000 };

#define X(name, text) text,
const char *const world_kind_name[WORLD_KIND_COUNT] = { WORLD_KINDS(X) };
#undef X

/* A description or a candidate on its way over the signalling. */
struct signal_post {
	uint64_t at_ms;
	unsigned to;
	bool whole, end;
	unsigned stream;
	char ufrag[ICE_UFRAG_MAX + 1];
	struct ice_candidate candidate;
	struct ice_description *d;
};

static void draw(void *arg, void *out, size_t n)
{
	struct world_side *const s = arg;

	for (size_t i = 0; i < n; i++) {
		s->random = s->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		((uint8_t *)out)[i] = (uint8_t)(s->random >> 40);
	}
}

static struct endpoint endpoint4(unsigned a, unsigned b, unsigned c, uint16_t port)
{
	const uint8_t ip[4] = { (uint8_t)a, (uint8_t)b, (uint8_t)c, 2 };

	return (struct endpoint){ addr_from4(ip), port };
}

static unsigned add_nats(struct world *w, unsigned side, enum world_kind kind)
{
	static const struct net_nat kinds[WORLD_KIND_COUNT] = {
		[WORLD_CONE] = { NET_ENDPOINT, NET_ENDPOINT, .hairpin = false },
		[WORLD_ADDRESS] = { NET_ENDPOINT, NET_ADDRESS, .hairpin = false },
		[WORLD_PORT] = { NET_ENDPOINT, NET_PORT, .hairpin = false },
		[WORLD_SYMMETRIC] = { NET_PORT, NET_PORT, .hairpin = false },
		[WORLD_TWICE] = { NET_PORT, NET_PORT, .hairpin = false },
		[WORLD_BLOCKED] = { NET_ENDPOINT, NET_PORT, .blocked = true },
		[WORLD_BROKEN_SIX] = { NET_ENDPOINT, NET_PORT, .hairpin = false },
	};
	struct net_nat nat = kinds[kind];
	unsigned network = 0;

	if (kind == WORLD_PUBLIC || kind == WORLD_SIX)
		return 0;
	nat.hairpin = w->plan.hairpin;
	nat.at = endpoint4(198, 19, side, 1).addr;
	if (kind == WORLD_TWICE) {
		network = net_add_nat(w->net, &nat);
		nat.outer = network;
		nat.at = endpoint4(100, 64 + side, 0, 1).addr;
	}
	return net_add_nat(w->net, &nat);
}

static void add_base(struct world *w, unsigned side, unsigned network, struct endpoint at,
                     unsigned stream, unsigned component)
{
	struct world_side *const s = &w->side[side];
	struct ice_base b = { .stream = (uint8_t)stream,
		              .component = (uint8_t)component,
		              .default_route = true };

	at.port = (uint16_t)(at.port + stream * 16 + component);
	b.at = at;
	const int i = ice_add_base(s->a, net_now(w->net), &b);

	if (i < 0)
		return;
	s->host[i] = net_add_host(w->net, network, &at, (int)side);
	s->n_bases = (unsigned)i + 1;
}

static void add_bases(struct world *w, unsigned side)
{
	const enum world_kind kind = w->plan.kind[side];
	struct endpoint six = { .addr = { .ip = { 0xFD, 0, 0, 1, [15] = (uint8_t)(side + 2) } },
		                .port = 6000 };
	const unsigned network = w->side[side].network;
	const struct endpoint four =
		network ? endpoint4(10, side + 1, 0, 5000) : endpoint4(198, 18, side + 2, 5000);

	for (unsigned st = 0; st < w->plan.streams; st++)
		for (unsigned c = 1; c <= w->plan.components; c++) {
			if (kind != WORLD_SIX)
				add_base(w, side, network, four, st, c);
			/* Broken IPv6: a network of its own, from where nothing comes. */
			if (kind == WORLD_SIX || kind == WORLD_BROKEN_SIX)
				add_base(w, side, kind == WORLD_SIX ? 0 : 99, six, st, c);
		}
}

static void add_servers(const struct world *w, struct ice_server *server, struct ice_config *c)
{
	const struct endpoint *const at[] = { &net_server4, &net_server6 };

	for (unsigned i = 0; i < 2; i++) {
		struct ice_server *const s = &server[c->n_servers];

		if (!w->plan.stun && !w->plan.turn)
			return;
		*s = (struct ice_server){
			.turn = w->plan.turn, .at = *at[i], .user = "alice", .password = "secret"
		};
		c->n_servers++;
	}
	c->server = server;
}

static void begin(struct world *w, unsigned side)
{
	struct world_side *const s = &w->side[side];
	struct ice_server server[2];
	const bool lite = w->plan.lite && side == 1;
	struct ice_config c = w->plan.leg && side == 1 ? ice_defaults_leg(lite) : ice_defaults();

	c.lite = lite;
	c.controlling = side == 0 || w->plan.both_control;
	c.trickle = w->plan.trickle;
	c.n_streams = w->plan.streams;
	c.n_components = w->plan.components;
	c.random = draw;
	c.random_arg = s;
	c.trace = ice_check_record;
	s->check = ice_check_new(side ? "B" : "A", c.lite);
	c.trace_arg = s->check;
	if (!c.lite)
		add_servers(w, server, &c);
	s->a = ice_new(&c, net_now(w->net));
	add_bases(w, side);
	ice_gather(s->a, net_now(w->net));
}

struct world *world_new(const struct world_plan *plan)
{
	struct world *const w = calloc(1, sizeof(*w));

	w->plan = *plan;
	if (!w->plan.streams)
		w->plan.streams = 1;
	if (!w->plan.components)
		w->plan.components = 1;
	w->net = net_new(plan->seed, &plan->link);
	w->post = calloc(POSTS_MAX, sizeof(*w->post));
	for (unsigned i = 0; i < 2; i++) {
		w->side[i].random = plan->seed * 7919 + i + 1;
		w->side[i].network =
			i && plan->same_nat ? w->side[0].network : add_nats(w, i, plan->kind[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		begin(w, i);
	return w;
}

void world_free(struct world *w)
{
	for (unsigned i = 0; i < 2; i++) {
		ice_free(w->side[i].a);
		ice_check_free(w->side[i].check);
	}
	for (unsigned i = 0; i < w->n_posts; i++)
		free(w->post[i].d);
	free(w->post);
	net_free(w->net);
	free(w);
}

uint64_t world_now(const struct world *w)
{
	return net_now(w->net);
}

/* --- signalling --- */

static struct signal_post *post(struct world *w, unsigned to)
{
	struct signal_post *const p = &w->post[w->n_posts];

	if (w->n_posts == POSTS_MAX)
		abort();
	w->n_posts++;
	*p = (struct signal_post){ .at_ms = net_now(w->net) + w->plan.signal_ms, .to = to };
	return p;
}

static void describe(struct world *w, unsigned side)
{
	struct signal_post *const p = post(w, !side);

	p->whole = true;
	p->d = calloc(1, sizeof(*p->d));
	ice_local(w->side[side].a, p->d);
	w->side[side].described = true;
}

/* The offerer speaks when it may, the answerer when it has been spoken to; without trickle only
 * when all is gathered. */
static void may_describe(struct world *w, unsigned side)
{
	const struct world_side *const s = &w->side[side];

	if (!s->described && (w->plan.trickle || s->gathered) && (side == 0 || s->asked))
		describe(w, side);
}

/* What a side has to say it says anew. */
static void renew(struct world_side *s)
{
	s->described = s->gathered = false;
	s->asked = true;
	s->completed_ms = 0;
}

static void deliver(struct world *w, const struct signal_post *p)
{
	struct world_side *const s = &w->side[p->to];
	const uint64_t now = net_now(w->net);

	if (p->whole) {
		const unsigned before = ice_generation(s->a);

		ice_remote(s->a, now, p->d);
		s->asked = true;
		if (ice_generation(s->a) != before)
			renew(s);
	} else if (p->end) {
		ice_remote_end(s->a, now, -1, p->ufrag);
	} else {
		ice_remote_candidate(s->a, now, p->stream, p->ufrag, &p->candidate);
	}
	free(p->d);
}

/* In order, as ICE-197 wants it. */
static void deliver_due(struct world *w)
{
	while (w->n_posts && w->post[0].at_ms <= net_now(w->net)) {
		const struct signal_post p = w->post[0];

		memmove(w->post, w->post + 1, --w->n_posts * sizeof(*w->post));
		deliver(w, &p);
	}
}

static void tell(struct world *w, unsigned side, const struct ice_event *e)
{
	struct world_side *const s = &w->side[side];
	struct ice_description *d;
	struct signal_post *p;

	if (!s->described)
		return;
	d = malloc(sizeof(*d));
	ice_local(s->a, d);
	p = post(w, !side);
	p->end = e->kind == ICE_EVENT_GATHERED;
	p->stream = e->stream;
	memcpy(p->ufrag, d->stream[e->stream].ufrag, sizeof(p->ufrag));
	if (!p->end)
		p->candidate = e->candidate;
	free(d);
}

/* --- running --- */

static void take(struct world *w, unsigned side, const struct ice_event *e)
{
	struct world_side *const s = &w->side[side];
	const uint64_t now = net_now(w->net);

	switch (e->kind) {
	case ICE_EVENT_SEND:
		s->tx++;
		net_send(w->net, s->host[e->datagram.base], &e->datagram.to, e->datagram.octets,
		         e->datagram.len);
		break;
	case ICE_EVENT_CANDIDATE: tell(w, side, e); break;
	case ICE_EVENT_GATHERED:
		if (s->described && w->plan.trickle)
			tell(w, side, e);
		s->gathered = true;
		break;
	case ICE_EVENT_STATE:
		if (e->state == ICE_COMPLETED && !s->completed_ms)
			s->completed_ms = now;
		if (e->state == ICE_FAILED) {
			s->failed_ms = now;
			s->why = e->why;
		}
		break;
	case ICE_EVENT_RESTART: s->restarts_wanted++; break;
	default: break;
	}
}

static void poll_all(struct world *w)
{
	static struct ice_event e;

	for (unsigned i = 0; i < 2; i++) {
		unsigned n = 0;

		while (ice_poll(w->side[i].a, net_now(w->net), &e) && n++ < POLLS_MAX)
			take(w, i, &e);
		may_describe(w, i);
		if (n >= POLLS_MAX)
			abort(); /* an agent that never rests */
	}
}

static void send_data(struct world *w, unsigned side)
{
	static struct ice_datagram d;
	static const uint8_t payload[] = { 0x80, 'd', 'a', 't', 'a' };
	struct world_side *const s = &w->side[side];

	for (unsigned st = 0; st < w->plan.streams; st++)
		if (ice_send(s->a, net_now(w->net), st, 1, payload, sizeof(payload), &d))
			net_send(w->net, s->host[d.base], &d.to, d.octets, d.len);
}

static void take_arrival(struct world *w, const struct net_arrival *a)
{
	struct world_side *const s = &w->side[a->owner];
	struct ice_data data;
	int base = 0;

	while (s->host[base] != a->host)
		base++;
	uint8_t *const exact = malloc(a->len);

	memcpy(exact, a->octets, a->len);
	if (ice_input(s->a, net_now(w->net), base, &a->from, exact, a->len, &data) == ICE_DATA) {
		s->data++;
		s->last_data_ms = net_now(w->net);
	}
	free(exact);
}

static bool decided(const struct world_side *s)
{
	const enum ice_state state = ice_state(s->a, NULL);

	return state == ICE_COMPLETED || state == ICE_FAILED;
}

static void run(struct world *w, uint64_t until_ms, unsigned data_ms, bool settle)
{
	static struct net_arrival a;
	uint64_t next_data = data_ms ? net_now(w->net) + data_ms : UINT64_MAX;

	for (;;) {
		uint64_t next = until_ms;

		deliver_due(w);
		poll_all(w);
		if (net_now(w->net) >= until_ms ||
		    (settle && decided(&w->side[0]) && decided(&w->side[1])))
			return;
		for (unsigned i = 0; i < 2; i++) {
			uint64_t ms = ice_next_ms(w->side[i].a);

			ms = ms <= net_now(w->net) ? net_now(w->net) + 1 : ms;
			next = ms < next ? ms : next;
		}
		if (w->n_posts && w->post[0].at_ms < next)
			next = w->post[0].at_ms;
		next = next_data < next ? next_data : next;
		if (net_next(w->net, next, &a))
			take_arrival(w, &a);
		if (net_now(w->net) >= next_data) {
			send_data(w, 0);
			send_data(w, 1);
			next_data += data_ms;
		}
	}
}

void world_run(struct world *w, uint64_t until_ms, unsigned data_ms)
{
	run(w, until_ms, data_ms, false);
}

void world_settle(struct world *w, uint64_t until_ms)
{
	run(w, until_ms, 0, true);
}

void world_restart(struct world *w, unsigned side)
{
	renew(&w->side[side]);
	w->side[!side].completed_ms = 0;
	ice_restart(w->side[side].a, net_now(w->net));
}
