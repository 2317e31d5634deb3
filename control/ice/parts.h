/*
 * The inside of an agent: what its files share. Nobody outside control/ice includes this.
 *
 *   agent.c      new, free, datagrams in, what is due out
 *   room.c       how much of everything there is, and where it lies
 *   agree.c      two lite agents
 *   base.c       local addresses
 *   describe.c   descriptions of both sides
 *   candidate.c  local and remote candidates: foundations, priorities, what is redundant
 *   gather.c     server-reflexive and relayed candidates, by allocation.c
 *   pair.c       check lists: pairs, their order, their states
 *   check.c      Ta, transactions, what is sent when
 *   response.c   an answer to a check
 *   rate.c       how fast checks may leave
 *   request.c    a check of the peer
 *   conclude.c   nomination, completion, failure
 *   path.c       selected pairs: data, keepalives, consent
 *   restart.c    generations
 *   save.c       an agent as octets, and back
 *   message.c    the octets of checks and answers
 *
 * Indexes      Candidates and pairs never move; a pair is found by index, `id` tells it from one
 * that had the place before.
 */
#pragma once

#include "control/ice/allocation.h"
#include "control/ice/ice.h"
#include "crypto.h"
#include "wire/stun.h"

enum {
	SENDS_MAX = 7,
	CHECKS_MAX = 100,  /* to destinations that have not answered (ICE-216) */
	CONFLICTS_MAX = 4, /* roles changed by 487 in a generation; one is usual */
	PACING_DEFAULT_MS = 50,
	RTO_MIN_MS = 500,
	RTO_MAX_MS = 3000,
	NONE = -1,
};

/* Where a datagram leaves or came in: a socket, or an allocation behind it. */
struct via {
	int16_t base;
	int16_t alloc; /* index of a->gather, NONE: directly */
};

/* What was drawn here. */
struct credentials {
	char ufrag[ICE_MY_UFRAG_LEN + 1], pwd[ICE_MY_PWD_LEN + 1];
	struct crypto_hmac_sha1 key; /* of the password */
};

/* What the peer drew: of its password only the key is kept, which tells two passwords apart too. */
struct their_credentials {
	bool set;
	char ufrag[ICE_UFRAG_MAX + 1];
	struct crypto_hmac_sha1 key;
};

struct local {
	uint32_t id; /* 0: free */
	struct ice_candidate c;
	struct via via;
	struct endpoint base; /* of ICE-002 */
	uint8_t stream;
	int8_t server;   /* NONE: host */
	bool hidden : 1; /* not a candidate: only what others have as base (ICE-215) */
	bool signalled : 1;
};

struct remote {
	uint32_t id; /* 0: free */
	struct ice_candidate c;
	bool learned;    /* peer-reflexive, not signalled */
	bool answered;   /* somebody at its address has, to a check */
	uint16_t checks; /* begun */
};

struct pair {
	uint32_t id; /* 0: free */
	uint8_t stream, component;
	uint8_t state;       /* enum ice_pair_state */
	uint8_t unreachable; /* hard ICMP errors */
	uint64_t priority;
	int16_t local, remote;
	int16_t valid_pair; /* what its success made valid, NONE */
	bool listed : 1;    /* in the check list; else a valid pair that no check was made for */
	bool queued : 1;    /* in the triggered-check queue */
	bool valid : 1;     /* in the valid list */
	bool nominate : 1;  /* [C] its next check carries USE-CANDIDATE */
	bool told : 1;      /* [D] the peer nominated it: decided when it succeeds */
	bool nominated : 1;
	bool heard : 1;      /* the peer's own authenticated check came this way */
	bool asymmetric : 1; /* it failed for an answer from elsewhere */
	uint32_t rtt_ms;
};

struct transaction {
	bool live : 1, cancelled : 1, controlling : 1, use_candidate : 1;
	uint8_t what; /* enum ice_what */
	uint8_t sends;
	uint8_t stream;
	int16_t pair;
	uint32_t pair_id;
	uint32_t priority, rto_ms;
	uint64_t tie, first_ms, next_ms;
	uint64_t sent_ms[2]; /* the last two sends */
	struct via via;
	struct endpoint to;
	uint8_t txid[STUN_TXID_LEN];
};

/* An answer that is to be sent now. */
struct answer {
	struct via via;
	struct endpoint to;
	uint16_t code; /* 0: success */
	uint16_t unknown;
	uint8_t txid[STUN_TXID_LEN];
	uint8_t stream;
	bool old;  /* of the generation before */
	bool bare; /* without integrity: we do not know who asks */
};

/* A check that came before the peer's description (ICE-136). */
struct early {
	int16_t local;
	struct endpoint from;
	uint32_t priority;
	bool use_candidate;
	uint32_t theirs; /* check sum of what the peer called itself (ICE-140) */
};

/* A path that data goes over. */
struct path {
	bool live;
	bool lost; /* consent is gone: nothing may be sent any more */
	struct via via;
	struct endpoint to;
	int16_t pair; /* NONE: of the generation before */
	uint32_t pair_id;
	uint64_t consent_ms;             /* last authenticated answer */
	uint64_t ask_ms;                 /* next consent request */
	uint64_t sent_ms;                /* last of anything */
	unsigned unanswered;             /* consent requests in a row */
	uint8_t asked[8][STUN_TXID_LEN]; /* the last ones */
	unsigned n_asked;
	struct ice_selected facts;
	struct endpoint other; /* lite: not the peer, heard since (ICE-169); port 0: none */
	uint64_t other_ms;
	struct via other_via;
};

struct generation {
	struct credentials mine;
	struct their_credentials theirs;
	bool theirs_ice2, theirs_lite;
};

enum list_state { LIST_RUNNING, LIST_COMPLETED, LIST_FAILED };

struct stream {
	struct generation now, before;
	bool has_before;
	uint64_t before_until_ms; /* 0: until the new one is decided */
	bool mismatch;            /* ICE-073 */
	struct remote *remote; /* room.signalled for what the peer says, behind them learned ones */
	unsigned n_components; /* of both sides */
	bool formed;           /* the list was made once (ICE-098) */
	bool their_end;
	bool nomination_lost; /* one failed (ICE-144) */
	uint8_t list;         /* enum list_state */
	int16_t *queue;
	unsigned n_queue;
	struct early *early;
	unsigned n_early;
	struct path *path, *old_path;                /* of each component */
	uint64_t first_valid_ms[ICE_COMPONENTS_MAX]; /* 0: none yet */
	uint64_t all_valid_ms;                       /* since each component has one; 0 */
	bool nominating[ICE_COMPONENTS_MAX];
	bool done[ICE_COMPONENTS_MAX]; /* nominated */
	uint32_t next_foundation;      /* of learned candidates */
	char mid[33];
};

struct gather {
	bool used, done;
	int16_t base, server;
	struct allocation *al;
	bool has_srflx, has_relay[2];
};

/* What ice_poll() will tell besides datagrams. */
struct told {
	enum ice_event_kind kind;
	uint8_t stream, component;
	enum ice_state state;
	enum ice_reason why;
	int16_t local; /* ICE_EVENT_CANDIDATE */
};

/* A socket. */
struct base {
	struct ice_base b;
	bool used, gone;
	unsigned rank;
};

/* How many of each there are: by the config. */
struct room {
	uint16_t streams, components, bases, servers, gather, locals;
	uint16_t signalled, remotes; /* of a stream: as the peer says, and with those learned */
	uint16_t pairs, queue, transactions, answers, early, told;
};

struct foundation {
	uint8_t type, protocol;
	struct addr base, server;
};

struct ice_agent {
	struct ice_config c;
	struct room room;
	size_t octets; /* of all of it */
	struct ice_server *server;
	uint64_t now_ms;
	enum ice_state state;
	enum ice_reason why;
	bool controlling, their_lite, has_remote;
	bool agreeing, agree_told; /* both lite: a choice is open; it was told (ICE-165) */
	bool no_trickle;           /* the peer's description does not offer it (ICE-196) */
	unsigned conflicts;        /* roles changed by 487 */
	uint64_t tie;
	uint32_t ta_ms;
	uint16_t generation;
	uint32_t last_id;

	struct base *base;
	unsigned n_bases;
	struct local *local;
	struct stream *stream;
	struct pair *pair;
	struct transaction *transaction;
	unsigned n_transactions; /* that live */
	struct answer *answer;
	unsigned n_answers;
	struct told *told;
	unsigned told_first, n_told;
	struct foundation *foundation;
	unsigned n_foundations;

	struct gather *gather; /* n_gather in use */
	unsigned n_gather, gather_turn;
	bool gathering, gathered, end_told;
	uint64_t gather_until_ms;

	uint64_t tick_ms; /* the next new transaction may leave then */
	bool tick_turn;   /* whose turn it is: gathering or checks */
	unsigned list_turn;
	uint64_t pac_ms; /* 0: not running yet */
	uint64_t free_ms, auto_restart_ms;
	unsigned unverified; /* answers that were dropped for it: a hint in the reason of a failure
	                      */
	struct {
		const char *why;
		unsigned n;
	} counted[32]; /* ICE-005 */
	unsigned n_counted;
	bool described; /* ice_local() was called: what comes is trickled */
};

/* --- room.c --- */
struct room room_of(const struct ice_config *c);
/* Lays the tables of `a` out in `at`, or says only how much that takes (`at` NULL). */
size_t room_lay(struct ice_agent *a, const struct room *r, void *at);

/* --- candidate.c --- */
uint32_t candidate_priority(enum ice_type type, unsigned preference, unsigned component);
int local_add(struct ice_agent *a, const struct local *l);
void local_drop(struct ice_agent *a, int i, const char *why);
int local_at(const struct ice_agent *a, unsigned stream, unsigned component,
             const struct endpoint *at, const struct endpoint *base);
/* The candidate that stands for datagrams that came in by `via`: host or relayed. */
int local_of_via(const struct ice_agent *a, unsigned stream, struct via via, unsigned family);
int local_learn(struct ice_agent *a, const struct pair *p, const struct endpoint *mapped,
                uint32_t priority);
unsigned local_preference(const struct ice_agent *a, int base, int server, enum ice_type type,
                          bool other_family);
int remote_at(const struct ice_agent *a, const struct stream *s, unsigned component,
              enum ice_protocol protocol, const struct endpoint *at);
int remote_learn(struct ice_agent *a, unsigned stream, unsigned component,
                 const struct endpoint *from, uint32_t priority);
enum ice_refused remote_add(struct ice_agent *a, unsigned stream, const struct ice_candidate *c);
bool candidate_allowed(const struct ice_agent *a, const struct addr *at);

/* --- pair.c --- */
uint64_t pair_priority(const struct ice_agent *a, uint32_t local, uint32_t remote);
/* All pairs of a list that are not there yet; states by ICE-098 the first time, then ICE-101. */
void pair_form(struct ice_agent *a, unsigned stream);
void pair_begin(struct ice_agent *a);
int pair_find(const struct ice_agent *a, unsigned stream, struct via via, unsigned component,
              const struct endpoint *remote);
int pair_add(struct ice_agent *a, unsigned stream, int local, int remote, bool listed,
             const char *why);
void pair_drop(struct ice_agent *a, int i, const char *why);
void pair_state(struct ice_agent *a, int i, enum ice_pair_state to, const char *why);
void pair_unfreeze(struct ice_agent *a, int i);
void pair_reprice(struct ice_agent *a);
bool pair_same_foundation(const struct ice_agent *a, int i, int k);
void queue_push(struct ice_agent *a, int i, bool front);
void queue_remove(struct ice_agent *a, int i);
void queue_take(struct ice_agent *a, int i);

/* --- check.c --- */
/* A new check or request leaves now if Ta allows it: fills *out. */
bool check_tick(struct ice_agent *a, struct ice_event *out);
bool check_retransmit(struct ice_agent *a, struct ice_event *out);
void check_expire(struct ice_agent *a);
void check_cancel(struct ice_agent *a, int pair);
struct transaction *check_find(struct ice_agent *a, const uint8_t *txid);
/* The transaction is over. */
void check_end(struct ice_agent *a, struct transaction *t);
uint64_t check_next_ms(const struct ice_agent *a);

/* --- rate.c --- */
/* When a transaction of that base may leave to `to`, as far as other agents go (ICE-103). */
uint64_t rate_pacer_ms(const struct ice_agent *a, int base, const struct addr *to);
void rate_pacer_take(struct ice_agent *a, int base, const struct addr *to);
/* When a check of the pair may leave, by the pacer and by ICE-216; in the past: now. */
uint64_t rate_ms(const struct ice_agent *a, int pair);
/* No check more to who has not answered (ICE-216). */
bool rate_exhausted(struct ice_agent *a, int pair);
/* A retransmission that is not sent, as if it were lost. */
bool rate_skips(const struct ice_agent *a, const struct transaction *t);
void rate_sent(struct ice_agent *a, struct transaction *t);
void rate_answered(struct ice_agent *a, const struct addr *from);
bool rate_has_answered(const struct ice_agent *a, const struct addr *at);

/* --- message.c --- */
/* Puts octets for `to` into a datagram event, wrapped where they go through an allocation. */
bool message_send(struct ice_agent *a, struct via via, const struct endpoint *to,
                  const uint8_t *octets, size_t len, struct ice_event *out);
/* A Binding request by what `t` says, under the credentials of `g`. */
size_t message_check(const struct generation *g, const struct transaction *t, uint8_t *out,
                     size_t cap);
size_t message_keepalive(struct ice_agent *a, uint8_t *out, size_t cap);
size_t message_answer(const struct ice_agent *a, const struct answer *w, uint8_t *out, size_t cap);
bool message_verify(const struct stun_msg *m, const struct stun_marks *marks,
                    const struct their_credentials *c);

/* --- response.c, request.c --- */
void response_take(struct ice_agent *a, struct transaction *t, struct via via,
                   const struct endpoint *from, const struct stun_msg *m);
enum ice_input request_take(struct ice_agent *a, struct via via, const struct endpoint *from,
                            const struct stun_msg *m);
/* A lite agent's peer that is elsewhere since a while. */
void request_follow(struct ice_agent *a);
void request_replay_early(struct ice_agent *a, unsigned stream);
void role_switch(struct ice_agent *a, bool controlling, bool new_tie, const char *why);

/* --- conclude.c --- */
void conclude_valid(struct ice_agent *a, int valid);
/* Each component of the stream is nominated. */
bool conclude_all_done(const struct ice_agent *a, unsigned stream);
void conclude_nominated(struct ice_agent *a, int pair);
void conclude_nomination_failed(struct ice_agent *a, int pair);
/* Timers and states that follow from states; after every input and before every output. */
void conclude_run(struct ice_agent *a);
uint64_t conclude_next_ms(const struct ice_agent *a);
void agent_state(struct ice_agent *a, enum ice_state to, enum ice_reason why);
void agent_tell(struct ice_agent *a, const struct told *t);

/* --- path.c --- */
void path_select(struct ice_agent *a, unsigned stream, unsigned component, int pair);
/* Selected in another life; the peer was heard then. */
void path_resume(struct ice_agent *a, int pair, uint64_t heard_ms);
bool path_poll(struct ice_agent *a, struct ice_event *out);
/* [L] A good check of `from`. true: the peer is there now, and nowhere else (ICE-169). */
/* The other one is the peer by now: the peer has missed its consent (ICE-169). */
bool path_follow_due(const struct ice_agent *a, unsigned stream, unsigned component);
bool path_heard(struct ice_agent *a, unsigned stream, unsigned component, struct via via,
                const struct endpoint *from);
bool path_answered(struct ice_agent *a, struct via via, const struct endpoint *from,
                   const struct stun_msg *m);
struct path *path_for_data(struct ice_agent *a, unsigned stream, unsigned component);
bool path_known(const struct ice_agent *a, unsigned stream, struct via via,
                const struct endpoint *from);
uint64_t path_next_ms(const struct ice_agent *a);

/* --- gather.c --- */
bool gather_tick(struct ice_agent *a, struct ice_event *out);
bool gather_poll(struct ice_agent *a, struct ice_event *out);
/* A datagram from a server we asked. */
enum allocation_input gather_input(struct ice_agent *a, int base, const struct endpoint *from,
                                   const uint8_t *octets, size_t len, struct via *via,
                                   struct endpoint *peer, const uint8_t **data, size_t *data_len);
void gather_permit(struct ice_agent *a, const struct addr *peer);
bool gather_permitted(const struct ice_agent *a, struct via via, const struct addr *peer);
void gather_look(struct ice_agent *a);
void gather_free_unused(struct ice_agent *a);
void gather_close(struct ice_agent *a);
bool gather_closed(const struct ice_agent *a);
uint64_t gather_next_ms(const struct ice_agent *a);

/* --- agree.c --- */
/* After each description: the first of either side, update NULL; a later one of the peer. */
void agree_run(struct ice_agent *a, const struct ice_description *update);
/* Leaves in what ice_local() says only what was chosen. */
void agree_describe(struct ice_agent *a, struct ice_description *d);

/* --- restart.c --- */
void credentials_draw(struct ice_agent *a, struct credentials *c);
void credentials_set(struct their_credentials *c, const char *ufrag, const char *pwd);

/* --- trace.c --- */
void trace_put(struct ice_agent *a, struct ice_trace_record *r);
/* Drops, and what is odd but taken. */
void trace_count(struct ice_agent *a, const char *why);
void trace_drop(struct ice_agent *a, int base, const struct endpoint *from, const char *why);

static inline bool via_equal(struct via a, struct via b)
{
	return a.base == b.base && a.alloc == b.alloc;
}
