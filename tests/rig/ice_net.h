/*
 * A simulated network with a simulated clock, for ICE agents: hosts, NATs of each kind of RFC 4787
 * in one level or two, one STUN and TURN server, delay, loss and reordering by a seed. No socket,
 * no thread, no real time.
 *
 * Networks   0 is the outside; network i > 0 lies behind NAT i; a host in a network that there is
 * not hears and reaches nobody. IPv6 hosts stand outside. Addresses  Each host is in one network,
 * at an address of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

enum net_rule { NET_ENDPOINT, NET_ADDRESS, NET_PORT }; /* independent, by address, by port */

struct net_nat {
	enum net_rule mapping, filtering;
	bool hairpin;
	bool blocked;   /* UDP passes to the server only */
	unsigned outer; /* network it stands in */
	struct addr at; /* its outside address */
};

struct net_link {
	unsigned delay_ms, jitter_ms;
	unsigned loss; /* per mille */
};

struct net;

struct net *net_new(uint64_t seed, const struct net_link *link);
void net_free(struct net *n);
uint64_t net_now(const struct net *n);
uint32_t net_random(struct net *n, uint32_t below);

/* The network behind it. */
unsigned net_add_nat(struct net *n, const struct net_nat *nat);
/* Forgets all mappings and takes ports elsewhere from now on: a rebinding. */
void net_rebind(struct net *n, unsigned network);
/* `owner` is what net_next() tells; dead: what it sends and gets vanishes. */
int net_add_host(struct net *n, unsigned network, const struct endpoint *at, int owner);
void net_kill(struct net *n, int host, bool dead);
/* Paths between two hosts vanish, the server stays in reach. */
void net_part(struct net *n, int host, int other, bool apart);
void net_set_loss(struct net *n, unsigned loss);

/* The server: STUN without credentials, TURN for alice:secret, at both families. */
extern const struct endpoint net_server4, net_server6;
void net_server_on(struct net *n, bool on);
/* Allocations that live. */
unsigned net_allocations(const struct net *n);

void net_send(struct net *n, int host, const struct endpoint *to, const void *octets, size_t len);

struct net_arrival {
	int owner, host;
	struct endpoint from;
	size_t len;
	uint8_t octets[2048];
};
/* Moves the clock to `until_ms` or to the next arrival before it; true: there is one. */
bool net_next(struct net *n, uint64_t until_ms, struct net_arrival *out);
