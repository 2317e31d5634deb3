/*
 * What an agent tells of itself (ICE-218): one record for every state change, transmission,
 * reception and decision, with its reason. Text and JSON are two printings of the same record; the
 * checker of invariants reads nothing else.
 *
 * Ownership  Texts in a record live as long as the call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

/* event, which fields of the record it fills besides time, stream and component. */
#define ICE_TRACE_LIST(X)                                                                         \
	X(PARAM) /* text: ufrag; local, lite, role, tie, number: Ta, generation */                \
	X(CAND)  /* id, local, type, at, base, priority, foundation, why: added, changed, ... */  \
	X(PAIR)  /* id, at: local base, peer, foundation, priority, why: added or dropped */      \
	X(STATE) /* id, from, to, why */                                                          \
	X(QUEUE) /* id, why: pushed, popped */                                                    \
	X(TX)    /* id: pair or 0, base, peer, txid, method, cls, what, number: retransmission */ \
	X(RX)    /* the same; verified */                                                         \
	X(VALID) /* id, at: local, peer, priority, why */                                         \
	X(NOMINATED) /* id */                                                                     \
	X(SELECTED)  /* id, at, peer */                                                           \
	X(LIST)      /* from, to, why */                                                          \
	X(SESSION)   /* from, to, why */                                                          \
	X(ROLE)      /* role, tie, why */                                                         \
	X(EOC)       /* local */                                                                  \
	X(DATA)      /* id: pair, peer */                                                         \
	X(RESTART)   /* number: generation */                                                     \
	X(DROP)      /* base, peer, why: an input that was dropped (ICE-005) */

enum ice_trace_event {
#define X(name) ICE_TRACE_##name,
	ICE_TRACE_LIST(X)
#undef X
		ICE_TRACE_EVENTS
};

/* What a request was sent for. */
enum ice_what {
	ICE_ORDINARY,
	ICE_TRIGGERED,
	ICE_NOMINATING,
	ICE_CONSENT,
	ICE_KEEPALIVE,
	ICE_GATHER,
	ICE_ANSWER
};

enum ice_pair_state { ICE_FROZEN, ICE_WAITING, ICE_IN_PROGRESS, ICE_SUCCEEDED, ICE_PAIR_FAILED };

struct ice_trace_record {
	uint64_t now_ms;
	enum ice_trace_event event;
	uint8_t stream, component;
	uint16_t generation;
	uint32_t id;   /* of a pair or candidate, never reused within a session */
	bool local;    /* PARAM, CAND, EOC: of ours */
	bool verified; /* RX */
	bool lite, controlling, use_candidate, signalled;
	uint8_t type;     /* enum ice_type */
	uint8_t what;     /* enum ice_what */
	uint8_t from, to; /* states */
	uint8_t cls;      /* enum stun_class */
	uint16_t method, code;
	uint32_t priority;      /* of a candidate; PRIORITY of a request */
	uint64_t pair_priority; /* of a pair */
	uint64_t tie, number;
	struct endpoint base, at, peer;
	uint8_t txid[12];
	const char *foundation; /* pairs: "local remote" */
	const char *text;
	const char *why; /* a short name: "response", "timeout", "trigger", "unfreeze" ... */
};

typedef void ice_trace(void *arg, const struct ice_trace_record *r);

/* One line without its end; cut at cap. */
size_t ice_trace_text(const struct ice_trace_record *r, char *out, size_t cap);
size_t ice_trace_json(const struct ice_trace_record *r, char *out, size_t cap);
