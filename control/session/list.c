/* What operators see. */
#include <string.h>

#include "control/session/parts.h"

static void describe(const struct session_server *srv, const struct session *s,
                     struct session_info *out)
{
	*out = (struct session_info){ .id = s->id,
		                      .n_legs = s->n_legs,
		                      .age_s = (srv->now_ms - s->created_ms) / 1000 };
	memcpy(out->name, s->name, sizeof(out->name));
}

bool session_list(struct session_server *srv, uint64_t after, struct session_info *out)
{
	const uint32_t here = after ? life_find(srv, after) : NONE;
	uint32_t n = here != NONE ? srv->sessions[here].next : srv->oldest;

	while (n != NONE && srv->sessions[n].id <= after) /* it has ended meanwhile */
		n = srv->sessions[n].next;
	if (n == NONE)
		return false;
	describe(srv, &srv->sessions[n], out);
	return true;
}

bool session_find(struct session_server *srv, uint64_t id, struct session_info *out)
{
	const uint32_t n = life_find(srv, id);

	if (n == NONE)
		return false;
	describe(srv, &srv->sessions[n], out);
	return true;
}

uint32_t list_leg(const struct session_server *srv, uint64_t id, unsigned leg)
{
	const uint32_t n = life_find(srv, id);
	uint32_t l = n != NONE ? srv->sessions[n].first : NONE;

	while (l != NONE && srv->legs[l].number != leg)
		l = srv->legs[l].next;
	return l;
}

bool session_leg(struct session_server *srv, uint64_t id, unsigned leg,
                 struct session_leg_info *out)
{
	const uint32_t n = list_leg(srv, id, leg);

	if (n == NONE)
		return false;
	const struct leg *const l = &srv->legs[n];

	*out = (struct session_leg_info){ .leg = leg,
		                          .full = l->full,
		                          .controlling = ice_role(l->agent) == ICE_CONTROLLING,
		                          .direction = (enum session_direction)l->direction,
		                          .generation = ice_generation(l->agent),
		                          .local = srv->ours,
		                          .has_remote = l->has_remote,
		                          .counts = media_counts(srv, l) };
	out->state = ice_state(l->agent, &out->why);
	ice_local(l->agent, srv->ours);
	out->selected = ice_selected(l->agent, 0, 1, &out->pair);
	return true;
}

unsigned session_count(const struct session_server *srv, unsigned *legs)
{
	if (legs)
		*legs = srv->n_legs;
	return srv->n_sessions;
}

unsigned session_ending(const struct session_server *srv)
{
	return srv->n_ending + (srv->ending_all ? srv->n_sessions : 0);
}
