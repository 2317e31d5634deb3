/*
 * A datagram answered in its own frame: turned round, with another body.
 *
 * Threads    The worker that has the frame.
 */
#pragma once

#include "dataplane/classify.h"
#include "dataplane/worker.h"

/* DEMUX-009: what is answered or punted must be right. No checksum is right over IPv4. */
bool reply_sum_right(const struct port *port, const struct rte_mbuf *m, const struct parsed *p);

/*
 * The frame, without options or extension headers, goes back by the port it came from, from where
 * it was sent to, with the `len` octets of `body` (not inside the frame) behind UDP. false: no
 * room, and the frame is as it was.
 */
bool reply_in_place(struct worker *w, const struct port *port, struct rte_mbuf *m,
                    const struct parsed *p, const uint8_t *body, uint32_t len);
