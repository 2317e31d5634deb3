/*
 * Answers that need no state: Binding, 401, 400 (incomplete credentials), 420 to Binding, 438; and
 * the decision to punt (DEMUX steps 16 to 26). The frame is rewritten in place and goes back where
 * it came from; control never sees the unauthenticated world.
 *
 * Threads    One struct answer per worker, changed by the service turn: the new version is built
 *            aside and published by one pointer store, the old freed after a grace period.
 */
#pragma once

#include "dataplane/classify.h"
#include "dataplane/worker.h"

/* Templates, realms and nonce keys as control published them; shared by all workers, immutable. */
struct answer;

struct answer *answer_new(struct dataplane *dp);
void answer_free(struct answer *a);

/* Consumes m: answered through worker_send(), punted, or dropped by name. */
void answer_request(struct worker *w, const struct port *port, struct rte_mbuf *m,
                    const struct parsed *p);

/* Service turn: applies one CMD_REALM, CMD_TEMPLATE or CMD_NONCE_KEY; false: refused (range). */
bool answer_apply(struct dataplane *dp, uint16_t kind, const void *body, uint32_t octets);
