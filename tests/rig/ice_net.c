/* A simulated network for ICE agents. */
#include "tests/rig/ice_net.h"

#include <stdlib.h>
#include <string.h>

#include "tests/rig/ice_server.h"

enum { NATS_MAX = 8, HOSTS_MAX = 2048, MAPPINGS_MAX = 512, FLYING_MAX = 4096, PARTS_MAX = 16 };

struct mapping {
	bool used;
	struct endpoint inside, to; /* to: as far as the rule looks at it */
	uint16_t port;
	struct endpoint heard[64]; /* whom it has sent to */
	unsigned n_heard;
};

struct nat {
	struct net_nat is;
	struct mapping mapping[MAPPINGS_MAX];
	uint16_t next_port;
};

struct host {
	unsigned network;
	struct endpoint at;
	int owner;
	bool dead;
};

struct flying {
	uint64_t at_ms, order;
	struct net_arrival a;
};

struct net {
	uint64_t now_ms, state, order;
	struct net_link link;
	struct nat *nat[NATS_MAX + 1];
	unsigned n_nats;
	struct host host[HOSTS_MAX];
	unsigned n_hosts;
	int part[PARTS_MAX][2];
	unsigned n_parts;
	struct flying *flying;
	unsigned n_flying;
	struct ice_server_sim *server;
	bool server_on;
};

const struct endpoint net_server4 = { .addr = { .ip = { [10] = 0xFF, [11] = 0xFF, 198, 18, 0, 1 } },
	                              .port = 3478 };
const struct endpoint net_server6 = { .addr = { .ip = { 0xFD, [15] = 1 } }, .port = 3478 };

uint32_t net_random(struct net *n, uint32_t below)
{
	n->state = n->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return below ? (uint32_t)(n->state >> 33) % below : 0;
}

struct net *net_new(uint64_t seed, const struct net_link *link)
{
	struct net *const n = calloc(1, sizeof(*n));

	n->state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	n->link = *link;
	n->flying = calloc(FLYING_MAX, sizeof(*n->flying));
	n->server = ice_server_new(seed);
	n->server_on = true;
	return n;
}

void net_free(struct net *n)
{
	for (unsigned i = 0; i <= NATS_MAX; i++)
		free(n->nat[i]);
	ice_server_free(n->server);
	free(n->flying);
	free(n);
}

uint64_t net_now(const struct net *n)
{
	return n->now_ms;
}

unsigned net_add_nat(struct net *n, const struct net_nat *nat)
{
	struct nat *const t = calloc(1, sizeof(*t));

	t->is = *nat;
	t->next_port = (uint16_t)(20000 + net_random(n, 20000));
	n->nat[++n->n_nats] = t;
	return n->n_nats;
}

void net_rebind(struct net *n, unsigned network)
{
	struct nat *const t = n->nat[network];

	memset(t->mapping, 0, sizeof(t->mapping));
	t->next_port = (uint16_t)(40000 + net_random(n, 20000));
}

int net_add_host(struct net *n, unsigned network, const struct endpoint *at, int owner)
{
	n->host[n->n_hosts] = (struct host){ network, *at, owner, false };
	return (int)n->n_hosts++;
}

void net_kill(struct net *n, int host, bool dead)
{
	n->host[host].dead = dead;
}

void net_part(struct net *n, int host, int other, bool apart)
{
	if (!apart) {
		n->n_parts = 0;
		return;
	}
	n->part[n->n_parts][0] = host;
	n->part[n->n_parts++][1] = other;
}

void net_set_loss(struct net *n, unsigned loss)
{
	n->link.loss = loss;
}

void net_server_on(struct net *n, bool on)
{
	n->server_on = on;
}

unsigned net_allocations(const struct net *n)
{
	return ice_server_allocations(n->server);
}

/* --- NATs --- */

static bool same(enum net_rule rule, const struct endpoint *a, const struct endpoint *b)
{
	return rule == NET_ENDPOINT ||
	       (addr_equal(&a->addr, &b->addr) && (rule == NET_ADDRESS || a->port == b->port));
}

static struct mapping *outward(struct nat *t, const struct endpoint *inside,
                               const struct endpoint *to)
{
	struct mapping *free_one = NULL;

	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		struct mapping *const m = &t->mapping[i];

		if (!m->used && !free_one)
			free_one = m;
		if (m->used && endpoint_equal(&m->inside, inside) &&
		    same(t->is.mapping, &m->to, to))
			return m;
	}
	if (!free_one)
		return NULL;
	*free_one = (struct mapping){
		.used = true, .inside = *inside, .to = *to, .port = t->next_port++
	};
	return free_one;
}

static struct endpoint translate(struct nat *t, const struct endpoint *inside,
                                 const struct endpoint *to)
{
	struct mapping *const m = outward(t, inside, to);
	bool known = false;

	if (!m)
		return (struct endpoint){ .port = 0 };
	for (unsigned i = 0; i < m->n_heard; i++)
		known |= endpoint_equal(&m->heard[i], to);
	if (!known && m->n_heard < 64)
		m->heard[m->n_heard++] = *to;
	return (struct endpoint){ t->is.at, m->port };
}

/* The inside of what comes to the NAT's own address; NULL: filtered. */
static const struct endpoint *inward(struct nat *t, const struct endpoint *from, uint16_t port)
{
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		struct mapping *const m = &t->mapping[i];

		if (!m->used || m->port != port)
			continue;
		if (t->is.filtering == NET_ENDPOINT)
			return &m->inside;
		for (unsigned k = 0; k < m->n_heard; k++)
			if (same(t->is.filtering, &m->heard[k], from))
				return &m->inside;
		return NULL;
	}
	return NULL;
}

/* --- the way of a packet --- */

static void fly(struct net *n, int host, const struct endpoint *from, const void *octets,
                size_t len)
{
	struct flying *const f = &n->flying[n->n_flying];

	if (n->n_flying == FLYING_MAX || len > sizeof(f->a.octets) ||
	    net_random(n, 1000) < n->link.loss)
		return;
	f->at_ms = n->now_ms + n->link.delay_ms + net_random(n, n->link.jitter_ms + 1);
	f->order = n->order++;
	f->a.host = host;
	f->a.owner = n->host[host].owner;
	f->a.from = *from;
	f->a.len = len;
	memcpy(f->a.octets, octets, len);
	n->n_flying++;
}

static bool parted(const struct net *n, int host, int other)
{
	for (unsigned i = 0; i < n->n_parts; i++)
		if ((n->part[i][0] == host && n->part[i][1] == other) ||
		    (n->part[i][1] == host && n->part[i][0] == other))
			return true;
	return false;
}

/* Inside `network`, to a host of it or down through a NAT that stands in it. */
static void arrive(struct net *n, unsigned network, int sender, const struct endpoint *from,
                   const struct endpoint *to, const void *octets, size_t len)
{
	for (unsigned i = 0; i < n->n_hosts; i++) {
		const struct host *const h = &n->host[i];

		if (h->network == network && endpoint_equal(&h->at, to) && !h->dead &&
		    !(sender >= 0 && parted(n, sender, (int)i))) {
			fly(n, (int)i, from, octets, len);
			return;
		}
	}
	for (unsigned i = 1; i <= n->n_nats; i++) {
		struct nat *const t = n->nat[i];
		const struct endpoint *inside;

		if (t->is.outer != network || !addr_equal(&t->is.at, &to->addr))
			continue;
		inside = inward(t, from, to->port);
		if (inside)
			arrive(n, i, sender, from, inside, octets, len);
		return;
	}
}

static bool is_in(const struct net *n, unsigned network, const struct addr *at)
{
	for (unsigned i = 0; i < n->n_hosts; i++)
		if (n->host[i].network == network && addr_equal(&n->host[i].at.addr, at))
			return true;
	for (unsigned i = 1; i <= n->n_nats; i++)
		if (n->nat[i]->is.outer == network && addr_equal(&n->nat[i]->is.at, at))
			return true;
	return false;
}

static bool is_server(const struct addr *at)
{
	return addr_equal(at, &net_server4.addr) || addr_equal(at, &net_server6.addr);
}

static void route(struct net *n, unsigned network, int sender, struct endpoint from,
                  const struct endpoint *to, const void *octets, size_t len);

/* What the server sends goes into the network outside. */
static void server_sends(void *arg, const struct endpoint *from, const struct endpoint *to,
                         const void *octets, size_t len)
{
	route(arg, 0, -1, *from, to, octets, len);
}

static void route(struct net *n, unsigned network, int sender, struct endpoint from,
                  const struct endpoint *to, const void *octets, size_t len)
{
	for (;;) {
		struct nat *const t = network ? n->nat[network] : NULL;

		if (t && addr_equal(&t->is.at, &to->addr)) {
			if (t->is.hairpin) {
				from = translate(t, &from, to);
				arrive(n, t->is.outer, sender, &from, to, octets, len);
			}
			return;
		}
		if (is_in(n, network, &to->addr)) {
			arrive(n, network, sender, &from, to, octets, len);
			return;
		}
		if (!t)
			break;
		if (t->is.blocked && !is_server(&to->addr))
			return;
		from = translate(t, &from, to);
		if (!from.port)
			return;
		network = t->is.outer;
	}
	if (is_server(&to->addr) && n->server_on)
		ice_server_input(n->server, n->now_ms, &from, to, octets, len, server_sends, n);
}

void net_send(struct net *n, int host, const struct endpoint *to, const void *octets, size_t len)
{
	const struct host *const h = &n->host[host];

	if (h->dead || h->network > n->n_nats || net_random(n, 1000) < n->link.loss / 2)
		return;
	route(n, h->network, host, h->at, to, octets, len);
}

bool net_next(struct net *n, uint64_t until_ms, struct net_arrival *out)
{
	unsigned first = 0;

	for (unsigned i = 1; i < n->n_flying; i++)
		if (n->flying[i].at_ms < n->flying[first].at_ms ||
		    (n->flying[i].at_ms == n->flying[first].at_ms &&
		     n->flying[i].order < n->flying[first].order))
			first = i;
	if (n->n_flying == 0 || n->flying[first].at_ms > until_ms) {
		n->now_ms = until_ms;
		return false;
	}
	n->now_ms = n->flying[first].at_ms;
	*out = n->flying[first].a;
	n->flying[first] = n->flying[--n->n_flying];
	return !n->host[out->host].dead || net_next(n, until_ms, out);
}
