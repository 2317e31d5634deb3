#include "pkt-gen/place.h"

#include "wire/bytes.h"

/* The first address of the family that the port has, as a prefix of one. */
static struct prefix own(const struct option_port *port, unsigned family)
{
	for (unsigned i = 0; i < port->n_addresses; i++)
		if (addr_family(&port->address[i].addr) == family)
			return (struct prefix){ .addr = port->address[i].addr, .len = 128 };
	return (struct prefix){ .len = 0 };
}

struct prefix place_of_clients(const struct options *o)
{
	return o->clients_from.len != 0 ? o->clients_from : own(&o->port[0], o->client_family);
}

struct prefix place_of_peers(const struct options *o)
{
	struct prefix p = o->peers_from;

	for (unsigned i = o->n_ports; i > 0 && p.len == 0; i--)
		p = own(&o->port[i - 1], o->peer_family);
	return p;
}

/* The network's own and the broadcast address of an IPv4 prefix are nobody's. */
static bool has_edges(const struct prefix *p)
{
	return addr_is4(&p->addr) && p->len <= 126;
}

static uint64_t addresses(const struct prefix *p)
{
	const unsigned bits = 128u - p->len;
	const uint64_t n = UINT64_C(1) << (bits < 40 ? bits : 40);

	return p->len == 0 ? 0 : has_edges(p) ? n - 2 : n;
}

uint64_t place_room(const struct prefix *from, uint16_t port_min, uint16_t port_max)
{
	return addresses(from) * (uint64_t)(port_max - port_min + 1);
}

static struct endpoint nth(const struct prefix *from, uint16_t min, uint16_t max, uint64_t n)
{
	const uint64_t ports = (uint64_t)(max - min + 1);
	struct endpoint at = { .addr = from->addr, .port = (uint16_t)(min + n % ports) };
	uint64_t add = n / ports + (has_edges(from) ? 1 : 0);

	for (int i = 15; i >= 0 && add != 0; i--) {
		add += at.addr.ip[i];
		at.addr.ip[i] = (uint8_t)add;
		add >>= 8;
	}
	return at;
}

struct endpoint place_client(const struct options *o, uint32_t client)
{
	const struct prefix from = place_of_clients(o);

	return nth(&from, o->client_port_min, o->client_port_max, client);
}

struct endpoint place_peer(const struct options *o, uint32_t client, uint32_t peer)
{
	const struct prefix from = place_of_peers(o);

	return nth(&from, o->peer_port_min, o->peer_port_max, (uint64_t)client * o->peers + peer);
}

bool place_is_ours(const struct options *o, const struct addr *a)
{
	if (o->clients_from.len != 0 && prefix_contains(&o->clients_from, a))
		return true;
	if (o->peers_from.len != 0 && prefix_contains(&o->peers_from, a))
		return true;
	for (unsigned i = 0; i < o->n_ports; i++)
		for (unsigned k = 0; k < o->port[i].n_addresses; k++)
			if (addr_equal(&o->port[i].address[k].addr, a))
				return true;
	return false;
}

bool place_find_client(const struct options *o, const struct endpoint *at, uint32_t *client)
{
	const struct prefix from = place_of_clients(o);
	const uint64_t ports = (uint64_t)(o->client_port_max - o->client_port_min + 1);
	uint64_t n;

	if (from.len == 0 || !prefix_contains(&from, &at->addr) || at->port < o->client_port_min ||
	    at->port > o->client_port_max)
		return false;
	n = (uint64_t)be32_load(at->addr.ip + 8) << 32 | be32_load(at->addr.ip + 12);
	n -= (uint64_t)be32_load(from.addr.ip + 8) << 32 | be32_load(from.addr.ip + 12);
	if (has_edges(&from) && n-- == 0)
		return false;
	n = n * ports + (uint64_t)(at->port - o->client_port_min);
	if (n >= o->clients)
		return false;
	*client = (uint32_t)n;
	return true;
}
