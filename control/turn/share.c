/* What ICE sessions share with allocations: ports, rows, the queue, the sync. */
#include "control/turn/action.h"
#include "control/turn/flow.h"
#include "control/turn/perm.h"

static struct ports *ports_of(const struct turn_server *srv, const struct addr *relay)
{
	for (unsigned i = 0; i < srv->n_relays; i++)
		if (addr_equal(&srv->relays[i].addr, relay))
			return srv->relays[i].ports;
	return NULL;
}

uint16_t turn_port_take(struct turn_server *srv, const struct addr *relay)
{
	struct ports *const p = ports_of(srv, relay);

	return p != NULL ? ports_take(p, PORTS_ANY, srv->now_s, server_below, srv) : 0;
}

bool turn_port_take_this(struct turn_server *srv, const struct addr *relay, uint16_t port)
{
	struct ports *const p = ports_of(srv, relay);

	return p != NULL && ports_holds(p, port) && ports_take_this(p, port);
}

void turn_port_release(struct turn_server *srv, const struct addr *relay, uint16_t port)
{
	struct ports *const p = ports_of(srv, relay);

	if (p != NULL)
		ports_release(p, port, srv->now_s, srv->cfg->port_rest_s);
}

bool turn_rows(struct turn_server *srv, int n)
{
	if (n > 0 && !flow_room(srv, (uint32_t)n))
		return false;
	srv->rows_used += (uint32_t)n;
	return true;
}

bool turn_room(const struct turn_server *srv, uint32_t octets)
{
	return srv->connected && action_room_for(srv, octets);
}

void *turn_command(struct turn_server *srv, enum cmd_kind kind, uint32_t octets)
{
	if (!srv->connected || !action_room_small(srv, octets))
		return NULL;
	return action_command(srv, kind, octets);
}

bool turn_peer_allowed(const struct turn_server *srv, const struct endpoint *peer)
{
	return perm_allowed(srv, peer);
}

void turn_set_also(struct turn_server *srv, turn_also *also, void *arg)
{
	srv->also = also;
	srv->also_arg = arg;
}
