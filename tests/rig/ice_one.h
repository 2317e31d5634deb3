/*
 * One ICE agent and a peer made by hand: a clock that the test moves, messages that the test
 * builds, and all that the agent sent, told and traced kept for looking at. The checker of
 * invariants listens all the time.
 *
 *   one_open(&o, &config);  one_base(&o, 0, 1, "198.18.0.1:5000");  one_gather(&o);
 *   one_candidate(&o, 0, 1, ICE_HOST, "198.18.0.2:6000", 2130706431);  one_remote(&o);
 *   one_run(&o, 1000);  one_ask(&o, ...);  one_answer(&o, ...);  one_close(&o);
 */
#pragma once

#include "control/ice/ice.h"
#include "tests/rig/ice_check.h"
#include "wire/stun.h"

enum {
	ONE_SENT_MAX = 2048,
	ONE_TOLD_MAX = 512,
	ONE_NOTES_MAX = 16384,
};

/* What the peer calls itself, and its password. */
#define ONE_UFRAG "peer"
#define ONE_PWD "peerpeerpeerpeerpeerpe"

struct one_sent {
	uint64_t ms;
	struct ice_datagram d;
};

struct one_note {
	struct ice_trace_record r;
	char why[64], foundation[80];
};

struct one {
	struct ice_agent *a;
	struct ice_config c;
	struct ice_check *check;
	struct ice_description *mine, *theirs; /* theirs: what one_remote() will hand over */
	uint64_t now_ms, random;
	uint64_t fixed_tie; /* what the next eight octets drawn are, if has_tie */
	bool has_tie;
	struct one_sent *sent;
	unsigned n_sent, n_seen; /* n_seen: of one_next() */
	struct ice_event *told;
	unsigned n_told;
	struct one_note *note;
	unsigned n_notes;
	struct ice_base base[ICE_BASES_MAX];
	unsigned spins; /* wake-ups that nothing came of: a busy loop */
};

/* ice_defaults() with the rig's own random octets. */
struct ice_config one_config(void);
/* What one_open() takes from `c` is all but random and trace. */
void one_open(struct one *o, const struct ice_config *c);
/* Ends the agent; breaches of invariants that the checker saw. */
unsigned one_close(struct one *o);

struct endpoint one_at(const char *text);
int one_base_as(struct one *o, const struct ice_base *b);
int one_base(struct one *o, unsigned stream, unsigned component, const char *at);
/* Gathers and takes the description; what is due is done. */
void one_gather(struct one *o);
/* One more candidate of the peer's description. */
void one_candidate(struct one *o, unsigned stream, unsigned component, enum ice_type type,
                   const char *at, uint32_t priority);
enum ice_refused one_remote(struct one *o);
/* A host base 198.18.0.1:5000, a host candidate of the peer 198.18.0.2:6000, both described. */
void one_pair(struct one *o);

/* Does all that is due up to then, each thing in its time. */
void one_run(struct one *o, uint64_t until_ms);
/* What is due now, and nothing of the clock. */
void one_poll(struct one *o);

/* --- reading what was sent --- */

struct one_read {
	bool ok; /* STUN, and well formed */
	enum stun_class cls;
	unsigned method, code;
	uint8_t txid[STUN_TXID_LEN];
	char username[600];
	bool has_priority, has_controlling, has_controlled, use_candidate;
	uint32_t priority;
	uint64_t tie;
	bool integrity, fingerprint; /* there, and right under the password given */
	struct endpoint mapped;      /* port 0: none */
	uint16_t unknown;            /* first of UNKNOWN-ATTRIBUTES */
	unsigned attributes;
};
/* pwd NULL: ours for answers, the peer's for requests. */
void one_read(const struct one *o, const struct one_sent *s, const char *pwd, struct one_read *out);
/* The next Binding request since the last call that went to `to` (NULL: anybody); NULL: none. */
const struct one_sent *one_next(struct one *o, const char *to);
/* Datagrams of one class sent to `to` since place `from` of o->sent. */
unsigned one_count(const struct one *o, unsigned from, enum stun_class cls, const char *to);

/* --- what the peer sends --- */

struct one_request {
	const char *from; /* NULL: 198.18.0.2:6000 */
	int base;
	const char *ours, *theirs, *pwd; /* NULL: as they are */
	uint32_t priority;               /* 0: a usual one */
	bool controlling, controlled;    /* neither: by what the agent is not */
	uint64_t tie;                    /* 0: such that the agent keeps its role */
	bool use_candidate;
	bool no_priority, no_role, no_username, no_integrity, no_fingerprint, bad_fingerprint;
	uint16_t extra; /* an attribute type that nobody knows; 0: none */
};
enum ice_input one_ask(struct one *o, const struct one_request *q);
/* As one_ask(), then what is due; the answer read. */
struct one_read one_asked(struct one *o, const struct one_request *q);

struct one_response {
	const char *from, *mapped; /* NULL: symmetric, unchanged */
	const char *pwd;           /* NULL: the peer's */
	int base;                  /* -1: where the request came from */
	unsigned code;             /* 0: success */
	bool no_integrity, no_mapped, other_txid;
};
#define ONE_SUCCESS (&(struct one_response){ .base = -1 })
enum ice_input one_answer(struct one *o, const struct one_sent *to, const struct one_response *r);
/* Answers all requests that one_next() has not given, until then, each `rtt_ms` after it was sent,
 * but none to `but` (NULL: all). */
void one_serve(struct one *o, uint64_t until_ms, unsigned rtt_ms, const char *but);

/* --- what was told and traced --- */

/* The first event of a kind from place `from` on, NULL: none. */
const struct ice_event *one_event(const struct one *o, enum ice_event_kind kind, unsigned from);
unsigned one_events(const struct one *o, enum ice_event_kind kind);
/* How often an input was dropped for that reason. */
unsigned one_drops(const struct one *o, const char *why);
/* Records of one kind; why NULL: any. */
unsigned one_notes(const struct one *o, enum ice_trace_event event, const char *why);
/* The state of the pair as the trace has it; -1: there is none (any more). */
int one_state(const struct one *o, const char *base, const char *remote);
uint64_t one_priority(const struct one *o, const char *base, const char *remote);
enum ice_state one_session(const struct one *o);
enum ice_reason one_why(const struct one *o);
