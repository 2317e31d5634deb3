/*
 * The ICE agent, sans I/O: datagrams, candidates, descriptions and a clock in; datagrams and events
 * out. One agent is one session: an ordered set of streams, each with components; full or lite.
 *
 *   agent = ice_new(&config);
 *   ice_add_base(...) for each socket; ice_gather();        events: candidates, gathering done
 *   ice_local() -> sdp.h -> the other side; ice_remote()    checks begin
 *   ice_input() for each datagram, ice_poll() for what is due and what happened, until ICE_CLOSED
 *
 * Same inputs give the same outputs: random octets and time are passed in, nothing is read from the
 * system. Everything that happens is told to the trace (trace.h) with its reason.
 *
 * Source     RFC 8445, 8421, 8838, 8839, 8863, 7675; requirements ICE-001 and on.
 * Memory     One allocation, sized by the config at ice_new(): ice_octets(). Nothing comes later.
 * Threads    One.
 * Secrets    Passwords are wiped when their generation ends; MACs are compared in constant time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "control/ice/trace.h"
#include "crypto.h"

enum {
	ICE_STREAMS_MAX = 16,
	ICE_COMPONENTS_MAX = 2,
	ICE_SERVERS_MAX = 8,
	ICE_BASES_MAX = 32,       /* sockets, of all streams and components */
	ICE_CANDIDATES_MAX = 100, /* of a stream and side */
	ICE_UFRAG_MAX = 256,
	ICE_PWD_MAX = 256,
	ICE_MY_UFRAG_LEN = 8, /* of what is drawn here */
	ICE_MY_PWD_LEN = 24,
	ICE_FOUNDATION_MAX = 32,
	ICE_DATAGRAM_MAX = 2048,
	ICE_INTERFACE_MAX = 16,
};

/* One octet each: there are many candidates. */
enum __attribute__((packed)) ice_type { ICE_HOST, ICE_SRFLX, ICE_PRFLX, ICE_RELAY, ICE_TYPES };
enum __attribute__((packed)) ice_protocol { ICE_UDP, ICE_TCP_ACTIVE, ICE_TCP_PASSIVE };
enum ice_role { ICE_CONTROLLED, ICE_CONTROLLING };

/* "host", "srflx", "prflx", "relay". */
extern const char *const ice_type_name[ICE_TYPES];

enum ice_policy {
	ICE_ALL,
	ICE_DEFAULT_ROUTE,
	ICE_DEFAULT_ROUTE_ONLY,
	ICE_RELAY_ONLY
}; /* ICE-215 */

/* A candidate as it is exchanged (ICE-002, ICE-052). */
struct ice_candidate {
	uint32_t priority;
	uint16_t component;
	enum ice_protocol protocol;
	enum ice_type type;
	struct endpoint at;
	struct endpoint related; /* port 0: none */
	char foundation[ICE_FOUNDATION_MAX + 1];
};

/* What one side tells the other of one stream. */
struct ice_stream_description {
	char mid[33];
	char ufrag[ICE_UFRAG_MAX + 1], pwd[ICE_PWD_MAX + 1];
	unsigned n_components;
	struct ice_candidate candidate[ICE_CANDIDATES_MAX];
	unsigned n_candidates;
	/* Default destination, m= and c= (ICE-072); port 0: a name, or not said. */
	struct endpoint chosen[ICE_COMPONENTS_MAX];
	struct endpoint remote[ICE_COMPONENTS_MAX]; /* remote-candidates; port 0: none */
	bool end_of_candidates, mismatch;
};

struct ice_description {
	bool lite, ice2, trickle;
	uint32_t pacing_ms; /* 0: not said */
	struct ice_stream_description stream[ICE_STREAMS_MAX];
	unsigned n_streams;
};

struct ice_server {
	bool turn; /* else STUN only */
	struct endpoint at;
	const char *user, *password; /* TURN */
};

/* `n` unpredictable octets. */
typedef void ice_random(void *arg, void *out, size_t n);

/*
 * Keeps new transactions of all agents that share it 5 ms apart (ICE-103): all of them, or, on a
 * relay, those from one local address to one /24 or /48. Zeroed to begin with; owned by the caller.
 */
enum { ICE_PACER_PLACES = 1024 };
struct ice_pacer {
	bool by_peer;
	uint64_t next_ms[ICE_PACER_PLACES];
};

struct ice_config {
	bool lite, controlling; /* controlling: the side that offers */
	bool trickle;           /* half trickle until the peer says it can (ICE-195) */
	unsigned n_streams, n_components;
	enum ice_policy policy;
	const struct ice_server *server; /* n_servers, copied by ice_new() */
	unsigned n_servers;
	const struct prefix *allow, *deny; /* of local and remote candidates; owned by the caller */
	unsigned n_allow, n_deny;
	bool allow_loopback;                     /* for tests on one machine */
	uint32_t ta_ms;                          /* 50 */
	uint32_t gather_ms;                      /* cap for non-trickle use, 5000 (ICE-025) */
	uint32_t pac_ms;                         /* 39500 (ICE-155) */
	uint32_t nominate_ms, nominate_relay_ms; /* at most 500, and 1500 (ICE-141) */
	uint32_t wait_nomination_ms;             /* 30000 (ICE-159) */
	/* How many of each there is room for; what does not fit is refused, the trace says what. */
	unsigned bases_max;        /* 32 */
	unsigned locals_max;       /* 160: candidates of ours, learned ones too */
	unsigned candidates_max;   /* 100: of the peer, of a stream, as signalled */
	unsigned learned_max;      /* 32: the same, beside them, from its checks */
	unsigned pairs_max;        /* 100 */
	unsigned transactions_max; /* 512: checks under way; a lite agent has none */
	unsigned answers_max;      /* 64: to be sent by the next ice_poll() */
	unsigned early_max;        /* 32: checks before the peer's description, of a stream */
	unsigned told_max;         /* 256: events not polled yet */
	uint32_t patience_ms; /* lite: silence of the peer that ends its consent; 0: nothing does */
	uint32_t follow_ms;   /* lite: ICE-169; 0: the peer moves by nomination only */
	bool no_consent;      /* keepalives only: peers of old, lite ones that answer nothing */
	struct ice_pacer *pacer; /* NULL: by itself */
	ice_random *random;
	void *random_arg;
	/* Is it another live agent's ufrag? Then another is drawn (ICE-054). NULL: never. */
	bool (*taken)(void *arg, const char *ufrag);
	void *taken_arg;
	ice_trace *trace; /* NULL: none */
	void *trace_arg;
};

/* Defaults as the comments above say; no servers, one stream, one component. */
struct ice_config ice_defaults(void);
/*
 * The same for one of many legs on a relay: one stream, one component, no servers, and room for 4
 * bases, 16 candidates of the peer and 24 pairs.
 */
struct ice_config ice_defaults_leg(bool lite);

struct ice_agent;

/* What an agent of that config takes, in one piece. */
size_t ice_octets(const struct ice_config *c);

struct ice_agent *ice_new(const struct ice_config *c, uint64_t now_ms);
void ice_free(struct ice_agent *a);

/* --- local side --- */

struct ice_base {
	uint8_t stream, component; /* component from 1 */
	struct endpoint at;        /* of the socket, exact address (ICE-013) */
	struct endpoint outside;   /* 1:1 NAT: advertised beside it (ICE-014); port 0: none */
	char interface[ICE_INTERFACE_MAX];
	uint32_t scope; /* interface index, for link-local */
	bool temporary; /* IPv6 privacy address (ICE-009, ICE-010) */
	bool costly;    /* tunnels, cellular: last (ICE-044) */
	bool default_route;
};

/* The base's id, or -1: refused, by policy or for no room; the trace says why. */
int ice_add_base(struct ice_agent *a, uint64_t now_ms, const struct ice_base *b);
/* The address or its interface went away (ICE-012). */
void ice_drop_base(struct ice_agent *a, uint64_t now_ms, int base);
void ice_gather(struct ice_agent *a, uint64_t now_ms);
/* What there is so far. Candidates handed out count as signalled (ICE-199). */
void ice_local(struct ice_agent *a, struct ice_description *out);
/*
 * Both sides are lite, several pairs could be, and this side controls: ice_local() has to go over
 * once more; it says which, and the peer's answer to it ends the session's choice (ICE-165).
 */
bool ice_wants_update(const struct ice_agent *a);

/* --- remote side --- */

/* Why something of the peer was refused; ICE_OK: it was not. */
enum ice_refused {
	ICE_OK,
	ICE_NO_CREDENTIALS,
	ICE_BAD_CREDENTIALS,
	ICE_MISMATCH,
	ICE_HALF_RESTART,
	ICE_TOO_MANY,
	ICE_BAD_CANDIDATE,
	ICE_OLD_GENERATION,
	ICE_OFF_POLICY,
	ICE_KNOWN,
	ICE_CLOSED_ALREADY
};

/* First description, a later one, or a restart of the peer (both ufrag and pwd new). */
enum ice_refused ice_remote(struct ice_agent *a, uint64_t now_ms, const struct ice_description *d);
enum ice_refused ice_remote_candidate(struct ice_agent *a, uint64_t now_ms, unsigned stream,
                                      const char *ufrag, const struct ice_candidate *c);
/* stream -1: all. */
enum ice_refused ice_remote_end(struct ice_agent *a, uint64_t now_ms, int stream,
                                const char *ufrag);

/* --- datagrams and time --- */

enum ice_input {
	ICE_TAKEN, /* STUN of ours: consumed */
	ICE_DATA,  /* application data; *data and *len say where (behind TURN framing if relayed) */
	ICE_DROPPED /* refused, with the reason in the trace and the counters */
};

struct ice_data {
	uint8_t stream, component;
	const uint8_t *octets; /* inside what was passed in */
	size_t len;
};

/* A datagram that came to base's socket. */
enum ice_input ice_input(struct ice_agent *a, uint64_t now_ms, int base,
                         const struct endpoint *from, const void *octets, size_t len,
                         struct ice_data *data);
/* An ICMP error that quotes a datagram of ours (ICE-124). hard: port, host or protocol unreachable.
 */
void ice_unreachable(struct ice_agent *a, uint64_t now_ms, int base, const struct endpoint *to,
                     const void *quoted, size_t len, bool hard);

/* Application data: writes the datagram to send. false: no pair may carry it now (ICE-188). */
struct ice_datagram {
	int base;
	struct endpoint to;
	uint8_t dscp;
	size_t len;
	uint8_t octets[ICE_DATAGRAM_MAX];
};
bool ice_send(struct ice_agent *a, uint64_t now_ms, unsigned stream, unsigned component,
              const void *octets, size_t len, struct ice_datagram *out);

/*
 * Until when the peer consents to data, if nothing more is heard of it: for whoever sends the data
 * in the agent's place. 0: nothing may be sent now; UINT64_MAX: nothing ends it.
 */
uint64_t ice_send_until_ms(struct ice_agent *a, unsigned stream, unsigned component);

/* Whoever answers checks in a lite agent's place: the selected peer was last heard then. */
void ice_heard(struct ice_agent *a, uint64_t heard_ms);
/*
 * What whoever answers in the agent's place has to know of a stream: our ufrag, and the key of our
 * password. before: of the generation before a restart. false: there is none.
 */
struct ice_key {
	const char *ufrag; /* until the next call */
	struct crypto_hmac_sha1 key;
};
bool ice_local_key(const struct ice_agent *a, unsigned stream, bool before, struct ice_key *out);

enum ice_event_kind {
	ICE_EVENT_SEND,      /* datagram is to be sent */
	ICE_EVENT_CANDIDATE, /* a local one, to be trickled: stream, candidate */
	ICE_EVENT_GATHERED,  /* end of candidates of all streams */
	ICE_EVENT_STATE,     /* state, reason */
	ICE_EVENT_SELECTED,  /* stream, component, pair */
	ICE_EVENT_STREAM_FAILED,
	ICE_EVENT_RESTART /* a restart is needed, reason (ICE-177); ice_restart() if you agree */
};

enum ice_state {
	ICE_NEW,
	ICE_GATHERING,
	ICE_RUNNING,
	ICE_COMPLETED,
	ICE_DISCONNECTED,
	ICE_FAILED,
	ICE_CLOSED
};

/* ICE-160. */
enum ice_reason {
	ICE_WHY_NONE,
	ICE_WHY_NO_LOCAL,
	ICE_WHY_NO_REMOTE,
	ICE_WHY_NO_ANSWER,
	ICE_WHY_ASYMMETRIC,
	ICE_WHY_NEVER_NOMINATED,
	ICE_WHY_NOMINATION_LOST,
	ICE_WHY_CONSENT_LOST,
	ICE_WHY_REVOKED,
	ICE_WHY_ROLE,
	ICE_WHY_CREDENTIALS,
	ICE_WHY_BASE_GONE,
	ICE_WHY_ALLOCATION_LOST,
	ICE_WHY_CLOSED
};
/* One sentence for people. */
const char *ice_reason_text(enum ice_reason why);

struct ice_selected {
	struct ice_candidate local, remote;    /* as signalled */
	enum ice_type local_seen, remote_seen; /* as seen on the path (ICE-152) */
	int base;
	uint32_t rtt_ms;
	bool channel; /* relayed, and a channel is bound */
};

struct ice_event {
	enum ice_event_kind kind;
	uint8_t stream, component;
	enum ice_state state;
	enum ice_reason why;
	union {
		struct ice_datagram datagram;
		struct ice_candidate candidate;
		struct ice_selected selected;
	};
};

/* Next thing to do or to know; false: nothing before ice_next_ms(). */
bool ice_poll(struct ice_agent *a, uint64_t now_ms, struct ice_event *out);
/* When to call ice_poll() again; UINT64_MAX: only after an input. */
uint64_t ice_next_ms(const struct ice_agent *a);

enum ice_state ice_state(const struct ice_agent *a, enum ice_reason *why);
enum ice_role ice_role(const struct ice_agent *a);
/* Counts restarts. */
unsigned ice_generation(const struct ice_agent *a);
bool ice_selected(const struct ice_agent *a, unsigned stream, unsigned component,
                  struct ice_selected *out);

/* New ufrag and password, gathering again; data goes on over the old pair (ICE-170 to ICE-177). */
void ice_restart(struct ice_agent *a, uint64_t now_ms);
/* Ends allocations, then ICE_CLOSED. */
void ice_close(struct ice_agent *a, uint64_t now_ms);

/*
 * An agent of one stream and component that outlives its process: credentials of both sides, role
 * and selected pair, as octets for the same machine. 0: does not fit, or is no such agent.
 *
 * A pair that was selected is so again, and consent is asked for within the interval it would be
 * anyway: many agents resumed at one moment do not ask at one moment. `heard_ms`: when the peer was
 * last known to consent. An agent that had none yet keeps credentials; candidates of the peer are
 * forgotten, and come back with its description or its checks. Nothing of it is told as an event.
 */
enum { ICE_SAVED_MAX = 1400 };
size_t ice_save(const struct ice_agent *a, void *out, size_t cap);
/* `bases` are those it had, in that order. NULL: no memory, or octets that cannot be. */
struct ice_agent *ice_resume(const struct ice_config *c, const struct ice_base *bases,
                             unsigned n_bases, const void *saved, size_t len, uint64_t heard_ms,
                             uint64_t now_ms);

/* How often something was dropped for that reason, or taken although it was odd (ICE-005). */
unsigned ice_counted(const struct ice_agent *a, const char *why);
/* The check lists as a table for people; NUL-terminated, cut at cap. */
size_t ice_explain(const struct ice_agent *a, char *out, size_t cap);
