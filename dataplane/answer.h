/*
 * Answers that need no state: Binding, 401, 400 (incomplete credentials), 420 to Binding, 438; and
 * the decision to punt (DEMUX steps 20 to 26). The frame is rewritten in place and goes back where
 * it came from; control never sees the unauthenticated world.
 *
 * Source     RFC 8489 §6.3, §9.2.4, §11; RFC 8656 §5; design 2.11; STUN-023 to STUN-037,
 *            STUN-084 to STUN-095, STUN-101, STUN-133 to STUN-138, STUN-149 to STUN-154.
 * Threads    One struct answer per worker (and one of the service turn), changed by the service
 *            turn: the new version is built aside and published by one pointer store, the old
 *            freed after a grace period. Versions of a listener are shared and immutable; nonce
 *            keys are each worker's own.
 * Memory     Applying allocates, at joins, key changes and reloads; answering never does.
 */
#pragma once

#include "dataplane/classify.h"
#include "dataplane/retire.h"
#include "dataplane/worker.h"

enum { ANSWER_TEMPLATE_MAX = 1024 /* octets of a template */ };

/* Templates, realms and nonce keys as control published them. */
struct answer;

struct answer *answer_new(struct dataplane *dp);
/* When no reader is left. */
void answer_free(struct answer *a);

/* Consumes m: answered through worker_send(), punted, or dropped by name. */
void answer_request(struct worker *w, const struct port *port, struct rte_mbuf *m,
                    const struct parsed *p);

/*
 * Service turn: applies one CMD_REALM, CMD_TEMPLATE or CMD_NONCE_KEY to all of `all`; what it
 * replaces goes to `r`, where there is room for n + 1. false: refused (range), nothing changed.
 */
bool answer_apply(struct answer *const *all, unsigned n, struct retire *r, uint16_t kind,
                  const void *body, uint32_t octets);
