/* Request -> record. */
#include "dataplane/punt.h"

/* Tells a cookie from a number that happens to be small. */
#define COOKIE_MARK (UINT64_C(0x9C) << 56)

uint64_t punt_cookie_make(uint16_t worker, uint16_t port)
{
	return COOKIE_MARK | (uint64_t)worker << 16 | port;
}

bool punt_cookie_read(const struct dataplane *dp, uint64_t cookie, struct punt_cookie *out)
{
	const struct punt_cookie c = { (uint16_t)(cookie >> 16), (uint16_t)cookie };

	if (punt_cookie_make(c.worker, c.port) != cookie || c.worker > dp->n_workers ||
	    c.port >= dp->n_ports)
		return false;
	*out = c;
	return true;
}

enum stat_id punt_message(struct worker *w, const struct port *port, enum punt_kind kind,
                          const struct punt *head, const uint8_t *stun, uint32_t octets)
{
	if (!atomic_load_explicit(&w->dp->control_joined, memory_order_acquire))
		return STAT_NO_CONTROL;
	if (octets > PUNT_OCTETS_MAX)
		return STAT_PUNT_TOO_LONG;
	struct punt *p = ring_reserve(&w->punt, (uint16_t)kind, (uint32_t)sizeof(*p) + octets);

	if (p == NULL)
		return STAT_PUNT_FULL;
	*p = *head;
	p->received_ns = w->now_ns;
	p->cookie = punt_cookie_make((uint16_t)w->index, port->index);
	p->octets = octets;
	memcpy(p + 1, stun, octets);
	ring_publish(&w->punt);
	ring_wake(&w->punt);
	return STAT_PUNTED;
}
