/*
 * ICE sessions under test: the engine on the simulated network (ice_net.h), with a real agent as
 * the other end of each leg, a clock and a random source the test owns, and a data plane made of
 * one array that keeps rows, answers checks and forwards media as abi/command.h says.
 *
 * Ownership  sr_open() makes everything, sr_close() removes it, the store's file too.
 */
#pragma once

#include <stdalign.h>

#include "control/session/session.h"
#include "tests/rig/ice_net.h"

enum {
	SR_PEERS = 24,
	SR_ROWS = 256,
	SR_HOSTS = 2000,
	SR_EVENTS = 4096,
	SR_RELAY4 = 20, /* ids in the first life of the data plane; 100 more in each that follows */
	SR_RELAY6 = 21,
};

struct sr_row {
	bool used;
	bool named; /* in the sync under way */
	struct cmd_leg leg;
	struct cmd_leg_to to[LEG_TO_MAX];
	uint32_t row;
	struct session_counts counts;
	int host; /* of the network */
};

/* A port of the relay on the network. */
struct sr_host {
	unsigned relay;
	uint16_t port;
	int host;
};

/* The other end of a leg. */
struct sr_peer {
	struct ice_agent *agent;
	uint64_t session;
	unsigned leg;
	struct endpoint at;
	int host;
	bool silent; /* sends nothing */
	enum ice_state state;
	uint64_t data; /* datagrams of media that came */
	struct endpoint data_from;
	unsigned answers_seen;
	uint64_t random;
};

struct sr_command {
	enum cmd_kind kind;
	uint32_t octets;
	alignas(8) uint8_t
		body[sizeof(struct cmd_leg) + LEG_TO_MAX * sizeof(struct cmd_leg_to) + 2048];
};

struct session_rig {
	struct net *net;
	struct session_setup setup;
	struct session_server *srv;
	char path[64];
	uint32_t n_records;
	uint64_t random;
	unsigned n_same; /* so many draws of eight octets come out alike */

	/* the world */
	bool no_room, deaf; /* deaf: row events are swallowed */
	unsigned rows_left, n_rows;
	uint8_t port_taken[65536];              /* of both relays: bit 0 and 1 */
	unsigned n_ports, ports_max, port_span; /* drawn from so many */
	struct endpoint relay[2], advertise[2]; /* ports 0 */
	unsigned n_relays;                      /* that the data plane serves now */
	uint16_t first_id;                      /* of the relays */
	bool joined;

	/* the data plane */
	struct sr_command *queue;
	unsigned n_queue;
	struct sr_row row[SR_ROWS];
	uint32_t next_row;
	struct sr_host host[SR_HOSTS];
	unsigned n_hosts;
	unsigned n_set, n_deleted, n_transmit, n_punts, n_answered, n_refused;
	uint64_t refuse_peer_port; /* sets with it are refused */
	bool full;                 /* sets get ROW_FULL */
	uint64_t dropped_media;

	unsigned network; /* of the network, that peers are put into */
	struct sr_peer peer[SR_PEERS];
	unsigned n_peers;

	struct session_event event[SR_EVENTS];
	unsigned n_events;
	unsigned flowing_at_loss; /* rows with a peer of a leg whose loss was just told */
};

typedef void sr_tweak(struct session_rig *r);
void sr_open(struct session_rig *r, sr_tweak *tweak);
void sr_close(struct session_rig *r);
/* Control dies and comes back on the same store, the data plane lives on; the two halves of it. */
void sr_down(struct session_rig *r);
unsigned sr_up(struct session_rig *r);
/* The data plane dies; another one joins. */
void sr_hangup(struct session_rig *r);
void sr_join(struct session_rig *r);

/* A session with `n` legs, all alike; its id, 0: refused. */
uint64_t sr_create(struct session_rig *r, unsigned n, bool full, bool controlling);
/* The other end of a leg, at an address of its own; descriptions are not exchanged yet. */
struct sr_peer *sr_peer(struct session_rig *r, uint64_t session, unsigned leg, bool controlling,
                        bool lite, bool six);
/* Both sides get the other's description. */
enum session_result sr_exchange(struct session_rig *r, struct sr_peer *p);
/* Runs the clock. */
void sr_run(struct session_rig *r, uint64_t ms);
/* Carries commands out, fetches events. */
void sr_drain(struct session_rig *r);
/* A datagram of media; false: the peer has no path. */
bool sr_say(struct session_rig *r, struct sr_peer *p);

struct sr_row *sr_row(struct session_rig *r, uint16_t relay, uint16_t port);
/* The row of a leg that has a peer; NULL: none has. */
struct sr_row *sr_flowing(struct session_rig *r, uint64_t session, unsigned leg);
unsigned sr_count(const struct session_rig *r, enum session_event_kind kind, uint64_t session,
                  unsigned leg);
const struct session_event *sr_last(const struct session_rig *r, enum session_event_kind kind,
                                    uint64_t session, unsigned leg);
uint64_t sr_stat(const struct session_rig *r, const char *name);
