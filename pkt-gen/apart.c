/* Addresses beside the media's. */
#include "log.h"
#include "pkt-gen/apart.h"
#include "pkt-gen/place.h"
#include "wire/bytes.h"

enum { PORT_FIRST = 1024, PORT_LAST = 65535 };

/* The first address of a block and how many follow; a block of one is itself. */
static void block(const struct prefix *p, struct addr *first, uint32_t *n)
{
	const unsigned host = 128u - p->len;

	*first = p->addr;
	*n = host >= 20 ? APART_ADDRESSES_MAX : UINT32_C(1) << host;
	if (*n < 4)
		return;
	/* Neither the network's own address nor its broadcast. */
	first->ip[15] |= 1;
	*n -= 2;
}

/* The widest run of ports that neither range touches. */
static void widest(struct apart *a, const struct options *o)
{
	const unsigned low[2] = { o->client_port_min, o->peer_port_min };
	const unsigned high[2] = { o->client_port_max, o->peer_port_max };
	unsigned from = PORT_FIRST, best = 0, at = 0;

	while (from <= PORT_LAST) {
		unsigned next = PORT_LAST + 1, skip = 0;

		for (unsigned i = 0; i < 2; i++) {
			if (high[i] < from || high[i] == 0)
				continue;
			if (low[i] <= from)
				skip = high[i] + 1 > skip ? high[i] + 1 : skip;
			else if (low[i] < next)
				next = low[i];
		}
		if (skip != 0) {
			from = skip;
			continue;
		}
		if (next - from > best) {
			best = next - from;
			at = from;
		}
		from = next;
	}
	a->port_min = (uint16_t)at;
	a->ports = (uint16_t)(best / 2);
}

bool apart_open(struct apart *a, const struct options *o)
{
	const struct prefix clients = place_of_clients(o), peers = place_of_peers(o);

	widest(a, o);
	if (a->ports == 0) {
		log_error("storm", "ports",
		          "error=\"--client-ports and --peer-ports leave no two of 1024-65535\"");
		return false;
	}
	if (clients.len == 0 || peers.len == 0) {
		log_error("storm", "address", "error=\"no IPv%u --address for %s\"",
		          clients.len == 0 ? o->client_family : o->peer_family,
		          clients.len == 0 ? "clients" : "peers");
		return false;
	}
	block(&clients, &a->client, &a->clients);
	block(&peers, &a->peer, &a->peers);
	return true;
}

static struct endpoint count_up(const struct addr *first, uint32_t by, uint16_t port)
{
	struct endpoint e = { .addr = *first, .port = port };

	be32_store(e.addr.ip + 12, be32_load(e.addr.ip + 12) + by);
	return e;
}

struct endpoint apart_at(const struct apart *a, uint64_t i)
{
	return count_up(&a->client, (uint32_t)(i / a->ports % a->clients),
	                (uint16_t)(a->port_min + i % a->ports));
}

struct endpoint apart_peer(const struct apart *a, uint64_t i)
{
	return apart_peer_at(a, (uint32_t)(i % a->peers), (uint32_t)(i / a->peers % a->ports));
}

struct endpoint apart_peer_at(const struct apart *a, uint32_t address, uint32_t port)
{
	return count_up(&a->peer, address % a->peers,
	                (uint16_t)(a->port_min + a->ports + port % a->ports));
}

static bool within(const struct apart *a, const struct addr *first, uint32_t n, unsigned port_min,
                   const struct endpoint *at)
{
	return memcmp(first->ip, at->addr.ip, 12) == 0 && at->port >= port_min &&
	       at->port - port_min < a->ports &&
	       be32_load(at->addr.ip + 12) - be32_load(first->ip + 12) < n;
}

uint64_t apart_index(const struct apart *a, const struct endpoint *at)
{
	if (!within(a, &a->client, a->clients, a->port_min, at))
		return apart_count(a);
	return (uint64_t)(be32_load(at->addr.ip + 12) - be32_load(a->client.ip + 12)) * a->ports +
	       (at->port - a->port_min);
}

bool apart_is_peer(const struct apart *a, const struct endpoint *at)
{
	return within(a, &a->peer, a->peers, (unsigned)a->port_min + a->ports, at);
}
