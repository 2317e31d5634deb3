/*
 * A TURN client of one base and one server, sans I/O: allocation, permissions, channels, Send and
 * Data, kept alive until it is closed. Also the STUN client of that base and server (Binding), for
 * server-reflexive candidates.
 *
 * Pacing     New transactions are started only when asked to (allocation_start() and the like say
 *            that one is wanted; allocation_begin() starts it), so that the agent's Ta rules.
 * Source     RFC 8656, RFC 8489; TURN-235 to TURN-253, ICE-016 to ICE-026.
 * Threads    One.
 */
#pragma once

#include "control/ice/ice.h"

enum { ALLOCATION_PEERS_MAX = 128 };

enum allocation_state {
	ALLOCATION_IDLE,
	ALLOCATION_ASKING,
	ALLOCATION_UP,
	ALLOCATION_REFUSED,
	ALLOCATION_LOST,
	ALLOCATION_CLOSING,
	ALLOCATION_CLOSED
};

struct allocation_config {
	struct ice_server server;
	bool want_ipv4; /* REQUESTED-ADDRESS-FAMILY / ADDITIONAL on an IPv6 leg (ICE-023) */
	uint32_t rto_ms;
	ice_random *random;
	void *random_arg;
};

struct allocation;

size_t allocation_size(void);
void allocation_init(struct allocation *al, const struct allocation_config *c);
void allocation_wipe(struct allocation *al);

/* What the world gets to know. */
struct allocation_facts {
	enum allocation_state state;
	struct endpoint mapped;     /* port 0: not known; server-reflexive */
	struct endpoint relayed[2]; /* IPv4, IPv6; port 0: none */
	unsigned error;             /* STUN code of the refusal; 0: none, or no answer */
};
struct allocation_facts allocation_facts(const struct allocation *al);

void allocation_start(struct allocation *al, uint64_t now_ms);
/* A permission for the address; asked together with others that are wanted. */
bool allocation_permit(struct allocation *al, uint64_t now_ms, const struct addr *peer);
bool allocation_permitted(const struct allocation *al, uint64_t now_ms, const struct addr *peer);
/* Wants a channel to that peer; kept alive from then on. */
bool allocation_bind(struct allocation *al, uint64_t now_ms, const struct endpoint *peer);
bool allocation_bound(const struct allocation *al, const struct endpoint *peer);
void allocation_close(struct allocation *al, uint64_t now_ms);

/* A new transaction waits for its turn. */
bool allocation_wants(const struct allocation *al, uint64_t now_ms);
/* Starts it: the octets to send to the server. */
size_t allocation_begin(struct allocation *al, uint64_t now_ms, uint8_t *out, size_t cap);
/* Retransmissions and timers that are due now; call until 0. */
size_t allocation_poll(struct allocation *al, uint64_t now_ms, uint8_t *out, size_t cap);
uint64_t allocation_next_ms(const struct allocation *al);

enum allocation_input {
	ALLOCATION_OTHER /* not ours */,
	ALLOCATION_TAKEN,
	ALLOCATION_DATA,
	ALLOCATION_ICMP
};
/* A datagram from the server. ALLOCATION_DATA: *peer and *data say what came from whom. */
enum allocation_input allocation_input(struct allocation *al, uint64_t now_ms, const void *octets,
                                       size_t len, struct endpoint *peer, const uint8_t **data,
                                       size_t *data_len);
/* `octets` for a peer, wrapped for the server: ChannelData where a channel is bound, else Send. 0:
 * no permission, or it does not fit. */
size_t allocation_wrap(struct allocation *al, const struct endpoint *peer, const void *octets,
                       size_t len, uint8_t *out, size_t cap);
