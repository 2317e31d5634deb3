/* Rows follow routes that came after them. */
#include "dataplane/flow.h"
#include "dataplane/service_state.h"

enum { PLACES = 512 /* looked at in a turn: some 10 us */ };

/* false: no room to let the old next hop go; the same place is due again. */
static bool follow(struct service *s, uint32_t place)
{
	uint16_t old, new;
	struct addr to;

	if (!flow_towards(s->dp->flows, place, &to, &old))
		return true;
	new = route_adjacency(s->route, &to);
	if (new != old &&new != ADJACENCY_NONE && flow_lead(s->dp->flows, place, new))
		return true;
	route_release(s->route, new);
	return new == old || new == ADJACENCY_NONE;
}

void service_follow_routes(struct service *s)
{
	const uint32_t places = flow_places(s->dp->flows);

	if (s->followed == places) {
		if (s->route_epoch == route_epoch(s->route))
			return;
		s->route_epoch = route_epoch(s->route);
		s->followed = 0;
	}
	for (unsigned i = 0; i < PLACES && s->followed < places; i++, s->followed++)
		if (!follow(s, s->followed))
			return;
}
