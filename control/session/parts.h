/*
 * The inside of the session server: what its files share. The contract is session.h.
 *
 *   life.c     life, tables of the data plane, time   leg.c      a leg: its ports, its agent
 *   media.c    what the agent tells: where media goes  row.c      rows of the data plane, the sync
 *   operate.c  operators' calls                        list.c     what operators see
 *   tell.c     events, counters                        record.c   what the store holds
 *   image.c    a leg as octets                         restore.c  reading the store back
 *
 * Legs and sessions are elements of fixed pools, named by their number; NONE is none.
 */
#pragma once

#include "control/session/session.h"
#include "control/session/stats.h"
#include "control/timer.h"
#include "control/turn/index.h"

static const uint32_t NONE = INDEX_NONE;

enum {
	RELAYS_MAX = 128,
	EVENTS_MAX = 4096,
	ROWS_BASE = 1,     /* of the data plane, for each base */
	ACK_MS = 2000,     /* how long the end of a row may stay unacknowledged */
	RETRY_MS = 1000,   /* after ROW_FULL */
	QUEUE_FULL_MS = 1, /* after a command had no room */
	END_BURST = 256,   /* sessions ended in one go */
	CONSENT_S = 30,    /* of a full leg (ICE-184) */
	WATCH_MS = 15000,  /* how long a new source is watched: it asks for consent thrice */
	GRANT_MS = 10000,  /* a lite leg that is restored: until its row shows when it was heard */
	LEG_PIECES_MAX = 20, /* records of a leg beside its first */
	COMMAND_OCTETS = 32, /* of the queue itself, for each command */
};

enum stage { STAGE_FREE, STAGE_LIVE, STAGE_DYING };
enum base_state { BASE_OFF, BASE_SET, BASE_DELETING };

/*
 * One relayed address and port of a leg; the agent's base of the same number. A set that says more
 * than another deadline has a tag of its own (gen), asks for an event, and may get a row of its
 * own: the row of before comes back then, under the tag it was set with.
 */
struct base {
	uint16_t port;
	uint8_t relay;     /* slot */
	uint8_t state;     /* enum base_state */
	bool gone;         /* its address is no more */
	bool dirty;        /* the data plane has to be told */
	bool changed;      /* of more than a deadline */
	bool full;         /* it had no row: later */
	uint8_t n_asked;   /* sets without an event yet */
	uint8_t n_leaving; /* rows that others have replaced, whose end is not acknowledged */
	uint32_t gen, gen_first;
	uint32_t row, old_row; /* of now, and the last that was replaced and has not come back */
	struct endpoint peer;  /* as told; port 0: none */
};

/* A source that had a good check (ICE-191). */
struct source {
	struct endpoint at;
	uint8_t base;
};

struct leg {
	uint8_t stage;  /* enum stage */
	uint8_t number; /* in its session, from 1 */
	uint8_t n_bases, n_sources;
	uint8_t direction; /* enum session_direction */
	int8_t at;         /* base of the selected pair; -1: none yet */
	bool full, has_remote;
	bool controlling; /* its role, as told */
	bool answers;     /* workers may answer checks */
	bool queued;      /* in the list of dirty ones */
	uint32_t session, next, dirty_next;
	struct ice_agent *agent;
	struct endpoint peer; /* where media goes; port 0: nowhere */
	uint32_t deadline_s;  /* of consent; UINT32_MAX: none */
	uint32_t told_s;      /* the data plane has, at least: workers move that of a lite leg */
	uint64_t watch_ms;    /* until then a lite leg looks whether its peer has moved (ICE-169) */
	uint32_t patience_s;
	uint16_t generation;
	bool indexed;  /* by its ufrag */
	uint8_t state; /* enum ice_state, as told */
	struct base base[SESSION_ADDRESSES_MAX];
	struct source source[LEG_SOURCES_MAX]; /* the newest last */
	struct cmd_leg_key key[LEG_KEYS];
	struct session_counts booked; /* of rows that are gone */
	store_ref ref, piece[LEG_PIECES_MAX];
	uint32_t stamp;   /* of the record: pieces with it count */
	uint32_t heard_s; /* as recorded */
	uint8_t n_pieces;
	bool unsaved;
};

struct session {
	uint8_t stage; /* enum stage */
	uint8_t n_legs, n_dying;
	uint64_t id, created_ms;
	uint32_t first; /* leg; in the order of their numbers */
	uint32_t prev, next;
	struct session_counts final;
	store_ref ref;
	char name[SESSION_NAME_MAX];
};

struct relay {
	struct addr addr, advertise;
	bool known;
	uint16_t id;
	uint32_t *by_port; /* of 65536: 1 + leg * SESSION_ADDRESSES_MAX + base; 0: no leg's */
};

struct queued_event {
	struct session_event e;
	uint32_t behind; /* leg whose rows have to be gone first; NONE */
};

struct session_server {
	struct session_setup setup;
	uint64_t now_ms;
	struct ice_pacer pacer; /* of all legs: by local address and peer (ICE-103) */
	bool connected;
	uint64_t cookie; /* of the punt that is worked on */
	struct endpoint cookie_to;

	struct leg *legs;
	struct session *sessions;
	uint32_t legs_fresh, sessions_fresh; /* the first that was never taken */
	uint32_t legs_spare, sessions_spare; /* lists of those given back; NONE */
	uint32_t n_legs, n_sessions, n_ending;
	uint32_t oldest, newest; /* list of live sessions by id */
	struct index by_id;
	struct index by_ufrag; /* legs, by the ufrag of now (ICE-054) */
	uint64_t next_id, ids_until;
	store_ref ids_ref;

	struct relay relay[RELAYS_MAX];
	unsigned n_relays;
	uint8_t relay_of_id[65536]; /* slot + 1 */

	struct timer_wheel *timers;       /* of legs: the agent's, then that of rows */
	uint32_t dirty_first, dirty_last; /* legs the data plane has to be told of */
	uint64_t flush_ms;                /* try again then; UINT64_MAX */
	uint32_t sync_cursor;             /* next leg to name; NONE: no sync is under way */
	bool ending_all;

	struct queued_event *events;
	uint32_t events_first, n_events;
	struct ice_description *theirs, *ours; /* scratch */
	uint64_t stats[SESSION_STAT_COUNT];
};

static inline void session_stat(struct session_server *srv, enum session_stat id)
{
	srv->stats[id]++;
}

static inline bool leg_sends(const struct leg *l)
{
	return l->direction != SESSION_RECVONLY;
}

static inline bool leg_receives(const struct leg *l)
{
	return l->direction != SESSION_SENDONLY;
}

/* --- life.c --- */
void life_now(struct session_server *srv, uint64_t now_ms);
int life_relay(struct session_server *srv, const struct addr *a);
uint32_t life_take_session(struct session_server *srv);
void life_give_session(struct session_server *srv, uint32_t n);
uint32_t life_find(const struct session_server *srv, uint64_t id);
/* Into the index and at the end of the list. */
void life_publish(struct session_server *srv, uint32_t n);
/* Its legs end, then it: at once, or when their rows are acknowledged. */
void life_end(struct session_server *srv, uint32_t n);
/* A leg has ended. */
void life_leg_done(struct session_server *srv, uint32_t leg);

/* --- leg.c --- */
struct leg_plan {
	struct session_leg_wanted wanted;
	uint8_t relay[SESSION_ADDRESSES_MAX];
	uint16_t port[SESSION_ADDRESSES_MAX]; /* 0: any; else that one, already taken */
	unsigned n_bases;
};
/* A leg of that session, behind its others; NONE with *why: FULL. Nothing is commanded. */
uint32_t leg_make(struct session_server *srv, uint32_t session, const struct leg_plan *plan,
                  const char **why);
/* What its agent needs to go on in another life; 0: does not fit. */
size_t leg_save(const struct leg *l, void *out, size_t cap);
struct image;
/* A leg of an earlier life, with the ports it had. */
uint32_t leg_restore(struct session_server *srv, uint32_t session, const struct image *image);
/* It has told nobody of itself yet: everything is given back. */
void leg_undo(struct session_server *srv, uint32_t n);
/* It sends no more; its rows are to be deleted. */
void leg_end(struct session_server *srv, uint32_t n);
/* The port of a base, and the row there might be for it, are others'. */
void leg_close_base(struct session_server *srv, struct base *b);
/* Its place is free. */
void leg_give(struct session_server *srv, uint32_t n);
/* The keys by which workers know its checks, of both generations. */
void leg_take_keys(struct session_server *srv, struct leg *l);

/* --- media.c --- */
/* What is due and what happened: after each input, and at its time. */
void media_run(struct session_server *srv, uint32_t n);
/* Where media goes to and how long, from what the agent says now. */
void media_look(struct session_server *srv, uint32_t n);
struct session_counts media_counts(const struct session_server *srv, const struct leg *l);

/* --- row.c --- */
/* The base of that leg, or all of them (-1), have to be told anew; renew: only its deadline. */
void row_touch(struct session_server *srv, uint32_t leg, int base);
void row_renew(struct session_server *srv, uint32_t leg, int base);
/* Legs that send to this one name where it is. */
void row_touch_senders(struct session_server *srv, uint32_t leg);
/* Tells the data plane; what has no room stays for later. */
void row_flush(struct session_server *srv);
/* What was due for its rows: an acknowledgement that did not come, another try. */
void row_overdue(struct session_server *srv, uint32_t leg);
/* Would the data plane take all rows of a session with so many legs, set or deleted, now? */
bool row_room(const struct session_server *srv, unsigned n_legs);
/* Are rows of former peers gone, and is nothing to be told any more? */
bool row_settled(const struct session_server *srv, uint32_t leg);

/* --- list.c --- */
/* The leg of that number; NONE: no such session or leg. */
uint32_t list_leg(const struct session_server *srv, uint64_t id, unsigned leg);

/* --- tell.c --- */
/* `behind`: a leg whose rows have to be gone before anybody hears of it (ICE-194); NONE. */
void tell_push(struct session_server *srv, const struct session_event *e, uint32_t behind);
