/*
 * Requests that control must decide: copied into a record of the worker's punt ring (abi/punt.h).
 *
 * Threads    The worker that owns the ring.
 */
#pragma once

#include "abi/punt.h"
#include "dataplane/classify.h"
#include "dataplane/worker.h"

/*
 * Punts the STUN message in `stun`, a PUNT_REQUEST or PUNT_ICE; the frame stays the caller's.
 * STAT_PUNTED, or the name of the drop: no_control, punt_full, punt_too_long. Control is woken if
 * it sleeps.
 */
enum stat_id punt_message(struct worker *w, const struct port *port, enum punt_kind kind,
                          const struct punt *head, const uint8_t *stun, uint32_t octets);

/*
 * What a punt carries so that its reply leaves where the request came in; checked when it comes
 * back, because control may have written anything. A worker past the last one is the service turn.
 */
struct punt_cookie {
	uint16_t worker;
	uint16_t port;
};
uint64_t punt_cookie_make(uint16_t worker, uint16_t port);
/* false: none (0), or none of ours. */
bool punt_cookie_read(const struct dataplane *dp, uint64_t cookie, struct punt_cookie *out);
