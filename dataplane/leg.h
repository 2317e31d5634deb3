/*
 * STUN at a leg of an ICE session: checks that need no decision are answered here (ICE-168), the
 * others, if they know the password, go to control; so do responses to a full leg.
 *
 * Source     RFC 8445 §7.3, RFC 7675; abi/command.h, struct cmd_leg; ICE-168, ICE-191, ICE-193.
 * Threads    Any worker; the leg's row may change under it and says so by being another one.
 */
#pragma once

#include "dataplane/classify.h"
#include "dataplane/flow_leg.h"
#include "dataplane/worker.h"
#include "wire/check.h"

/* Message type, length, magic cookie: on a leg's port everything else is media. */
static inline bool leg_is_stun(const uint8_t *data, uint32_t len)
{
	return len >= STUN_HDR_LEN && data[0] < 4 && be32_load(data + 4) == STUN_COOKIE;
}

/* STUN that a leg hears. */
struct leg_message {
	const uint8_t *data; /* leg_is_stun(), and no sum says that it is wrong */
	uint32_t len;
	struct endpoint from;
	uint8_t tos;
};

/*
 * What becomes of it: the outcome, not yet counted. STAT_LEG_CHECK: `answer`, *answer_len octets,
 * is still to be sent. `port` is where it came by, for a punt.
 */
enum stat_id leg_decide(struct worker *w, const struct port *port, struct row *leg,
                        const struct leg_message *it, uint8_t answer[CHECK_ANSWER_MAX],
                        size_t *answer_len);

/* The same for a frame from the wire, answered in place. Consumes m, whose payload leg_is_stun().
 */
void leg_stun(struct worker *w, const struct port *port, struct rte_mbuf *m, const struct parsed *p,
              struct row *leg);
