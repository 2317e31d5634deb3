/* What is told: events, counters. */
#include "control/session/parts.h"

void tell_push(struct session_server *srv, const struct session_event *e, uint32_t behind)
{
	if (srv->n_events == EVENTS_MAX) {
		srv->events_first = (srv->events_first + 1) % EVENTS_MAX;
		srv->n_events--;
		session_stat(srv, SESSION_STAT_EVENTS_DROPPED);
	}
	srv->events[(srv->events_first + srv->n_events++) % EVENTS_MAX] =
		(struct queued_event){ *e, behind };
}

bool session_next_event(struct session_server *srv, struct session_event *out)
{
	const struct queued_event *const q = &srv->events[srv->events_first];

	if (srv->n_events == 0 || (q->behind != NONE && !row_settled(srv, q->behind)))
		return false;
	*out = q->e;
	srv->events_first = (srv->events_first + 1) % EVENTS_MAX;
	srv->n_events--;
	return true;
}

unsigned session_stats(const struct session_server *srv, const struct session_stat_name **names,
                       const uint64_t **values)
{
	static const struct session_stat_name list[] = {
#define NAME(id, name, help) { name, help },
		SESSION_STATS(NAME)
#undef NAME
	};

	*names = list;
	*values = srv->stats;
	return SESSION_STAT_COUNT;
}
