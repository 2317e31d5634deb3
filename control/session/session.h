/*
 * ICE sessions on the relay. A session has legs; each leg is an ICE agent (ice.h) whose host
 * candidates are relayed transport addresses that the data plane serves, and whose selected pair
 * becomes a row there (abi/command.h, struct cmd_leg). Media that comes to a leg goes to the legs
 * it is bridged to; what is in it is nobody's business here. What a session border controller,
 * media gateway or selective forwarder needs.
 *
 *   two legs           one to one
 *   more               one to many: each leg that sends to every other one that receives
 *
 * The server is sans I/O: punts, row events, operators' calls and time in; commands and events out,
 * in order. Rows a call implies are commanded before its result is told, and the rows of a leg
 * without consent are deleted before that is told (ICE-194).
 *
 * Life       Sessions outlive control: they are records of the store, and legs are resumed as they
 *            were, with their credentials and selected pair. Gathering has nothing to wait for.
 * Bounds     setup.legs_max legs in all, SESSION_LEGS_MAX of a session; a call beyond them is
 * refused with nothing changed. Source     RFC 8445, 7675, 8838, 8839; ICE-162 to ICE-169, ICE-193,
 * ICE-194. Threads    Control thread only. Secrets    Passwords of legs are told to those who
 * create and restart; never logged.
 */
#pragma once

#include "abi/command.h"
#include "abi/punt.h"
#include "control/ice/ice.h"
#include "control/store.h"

enum {
	SESSION_LEGS_MAX = LEG_TO_MAX + 1,
	SESSION_NAME_MAX = 64,
	SESSION_ADDRESSES_MAX = 2, /* relayed addresses of a leg: one of a family */
	SESSION_DESCRIPTION_MAX = 16384,
};

struct session_server;

struct session_counts {
	uint64_t to_packets, to_octets;     /* to the peer */
	uint64_t from_packets, from_octets; /* from it */
	uint32_t heard_s;
};

/*
 * What sessions need of the rest of control. Ports come from the same pool as those of allocations,
 * rows from the same budget, and commands go into the same queue, which keeps their order.
 */
struct session_world {
	void *arg;
	/* A relayed port of that address, or 0: none left. The second: that very one (restored). */
	uint16_t (*take_port)(void *arg, const struct addr *relay);
	bool (*take_this)(void *arg, const struct addr *relay, uint16_t port);
	void (*release_port)(void *arg, const struct addr *relay, uint16_t port);
	/* `n` wide rows more (less, if negative). false: the data plane has not so many. */
	bool (*rows)(void *arg, int n);
	/* Would commands of so many octets in all be taken now, 32 more for each? */
	bool (*room)(void *arg, uint32_t octets);
	/* Room for a command's octets; NULL: no data plane, or the queue is full for now. */
	void *(*command)(void *arg, enum cmd_kind kind, uint32_t octets);
	/* A remote candidate may be an address of this policy only (ICE-216, peers.allow). */
	bool (*peer_allowed)(void *arg, const struct endpoint *peer);
	/* What the rows of a leg show: live. false: no such row. */
	bool (*counts)(void *arg, uint32_t row, struct session_counts *out);
	void (*random)(void *arg, void *out, size_t n);
};

struct session_setup {
	struct session_world world;
	struct store *store; /* NULL: sessions end with control */
	unsigned legs_max;
	uint32_t ta_ms;      /* pacing of full legs' checks */
	uint32_t patience_s; /* 30: silence that ends the consent of a lite leg */
	uint32_t follow_ms;  /* 2000: ICE-169; 0: a leg's peer moves by nomination only */
};

/* NULL: no memory. */
struct session_server *session_server_new(const struct session_setup *setup, uint64_t now_ms);
void session_server_free(struct session_server *srv);
/* Records a store may need for sessions, beside turn_store_records(). */
uint32_t session_store_records(unsigned legs_max);
/* Sessions of an earlier life; how many. Before the first join. */
unsigned session_restore(struct session_server *srv, uint64_t now_ms);

/* --- the data plane --- */

/* Relayed addresses there are now, and their ids; legs whose address is gone fail (BASE_GONE). */
void session_set_tables(struct session_server *srv, const struct abi_relay *relays, unsigned n,
                        uint64_t now_ms);
/* A check or an answer that came to a leg. */
void session_on_ice(struct session_server *srv, const struct punt *p, const uint8_t *octets,
                    size_t len, uint64_t now_ms);
/* Tags of legs have SESSION_TAG as their top four bits; others are not ours. */
#define SESSION_TAG 8
void session_on_row(struct session_server *srv, const struct punt_row *ev, uint64_t now_ms);
void session_on_hangup(struct session_server *srv, uint64_t now_ms);
/* Names every leg again, between the sync's begin and its end: call session_sync() behind
 * turn_sync(), and give session_sync_step() to turn_set_also(). true: all are named; false: call
 * again when commands were taken. */
void session_sync(struct session_server *srv, uint64_t now_ms);
bool session_sync_step(struct session_server *srv, uint64_t now_ms);

/* Checks, consent, timers. Call at session_deadline_ms() or later; ask again after any other call.
 */
void session_on_time(struct session_server *srv, uint64_t now_ms);
uint64_t session_deadline_ms(const struct session_server *srv);

/* --- operators --- */

enum session_result {
	SESSION_OK,
	SESSION_UNKNOWN,    /* no such session or leg */
	SESSION_FULL,       /* legs_max, ports, rows or store */
	SESSION_NO_ADDRESS, /* no relayed address of the families wanted */
	SESSION_NO_DATA_PLANE,
	SESSION_BAD,   /* the description or candidate; `why` says what */
	SESSION_STALE, /* of another generation */
};

enum session_direction { SESSION_SENDRECV, SESSION_SENDONLY, SESSION_RECVONLY };

struct session_leg_wanted {
	bool full;        /* else lite */
	bool controlling; /* the side that offers: full legs only */
	enum session_direction
		direction; /* seen from the leg's peer, as in SDP: sendonly sends to us */
	bool ip4, ip6;
};

struct session_wanted {
	char name[SESSION_NAME_MAX]; /* for people; may be empty */
	unsigned n_legs;
	struct session_leg_wanted leg[SESSION_LEGS_MAX];
};

/* *id is never reused within the life of the store. */
enum session_result session_create(struct session_server *srv, const struct session_wanted *w,
                                   uint64_t now_ms, uint64_t *id, char why[128]);
enum session_result session_add_leg(struct session_server *srv, uint64_t id,
                                    const struct session_leg_wanted *w, uint64_t now_ms,
                                    unsigned *leg, char why[128]);
/* Its legs' peers hear no more; final counts come with SESSION_EVENT_ENDED. */
enum session_result session_delete(struct session_server *srv, uint64_t id, uint64_t now_ms);
/* Legs are numbered from 1. SDP (sdp.h), a fragment, or the one-line form. */
enum session_result session_set_remote(struct session_server *srv, uint64_t id, unsigned leg,
                                       const char *text, size_t len, uint64_t now_ms,
                                       char why[128]);
/* One candidate line; an empty one or "end-of-candidates" is the end. ufrag NULL: of now. */
enum session_result session_add_candidate(struct session_server *srv, uint64_t id, unsigned leg,
                                          const char *ufrag, const char *text, size_t len,
                                          uint64_t now_ms, char why[128]);
/* New credentials; media goes on over the old pair until the new one is selected. */
enum session_result session_restart(struct session_server *srv, uint64_t id, unsigned leg,
                                    uint64_t now_ms);
void session_end_all(struct session_server *srv, uint64_t now_ms);

struct session_info {
	uint64_t id;
	char name[SESSION_NAME_MAX];
	unsigned n_legs;
	uint64_t age_s;
};
struct session_leg_info {
	unsigned leg;
	bool full, controlling;
	enum session_direction direction;
	enum ice_state state;
	enum ice_reason why;
	unsigned generation;
	const struct ice_description *local; /* until the next call */
	bool has_remote, selected;
	struct ice_selected pair;
	struct session_counts counts;
};
/* `after` 0 begins; false at the end. */
bool session_list(struct session_server *srv, uint64_t after, struct session_info *out);
bool session_find(struct session_server *srv, uint64_t id, struct session_info *out);
bool session_leg(struct session_server *srv, uint64_t id, unsigned leg,
                 struct session_leg_info *out);
unsigned session_count(const struct session_server *srv, unsigned *legs);
/* Deleted ones that wait for the last counts of their rows. */
unsigned session_ending(const struct session_server *srv);

/* --- what happened, for whoever listens --- */

enum session_event_kind {
	SESSION_EVENT_CREATED,
	SESSION_EVENT_CANDIDATE,    /* leg, candidate: gathered */
	SESSION_EVENT_STATE,        /* leg, state, why */
	SESSION_EVENT_SELECTED,     /* leg, pair */
	SESSION_EVENT_CONSENT_LOST, /* leg, why */
	SESSION_EVENT_ENDED,        /* counts of all legs, as last booked */
};
struct session_event {
	enum session_event_kind kind;
	uint64_t session;
	unsigned leg; /* 0: the whole */
	enum ice_state state;
	enum ice_reason why;
	struct ice_candidate candidate;
	struct ice_selected pair;
	struct session_counts counts;
};
/* false: nothing happened since. Those nobody fetched beyond a bound are dropped, counted. */
bool session_next_event(struct session_server *srv, struct session_event *out);

/* Counters: sessions created, ended, refused; checks by answerer; consent lost ... One list. */
struct session_stat_name {
	const char *name, *help;
};
unsigned session_stats(const struct session_server *srv, const struct session_stat_name **names,
                       const uint64_t **values);
