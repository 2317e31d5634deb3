/* CreatePermission, and the judgement of peers. */
#include <string.h>

#include "control/turn/flow.h"
#include "control/turn/list.h"
#include "control/turn/peer.h"
#include "control/turn/perm.h"
#include "control/turn/record.h"

enum { ADDRESSES_MAX = PUNT_OCTETS_MAX / 12 /* of one request */ };

/* An address of the server itself: TURN-211, TURN-214, TURN-215. */
enum own { OWN_NOT, OWN_RELAY, OWN_OTHER };

static enum own own_address(const struct turn_server *srv, const struct endpoint *peer)
{
	bool relay = false;

	for (unsigned i = 0; i < srv->n_relays; i++) {
		const struct relay *r = &srv->relays[i];

		relay |= r->configured && (addr_equal(&r->addr, &peer->addr) ||
		                           addr_equal(&r->advertise, &peer->addr));
	}
	if (relay && peer->port == 0)
		return OWN_RELAY;
	for (unsigned i = 0; i < srv->n_own; i++) {
		const struct endpoint *own = &srv->own[i];

		if (addr_equal(&own->addr, &peer->addr) &&
		    (own->port == 0 ? !relay : own->port == peer->port || !relay))
			return OWN_OTHER;
	}
	if (!relay)
		return OWN_NOT;
	return peer->port >= srv->cfg->relay_port_min && peer->port <= srv->cfg->relay_port_max
	               ? OWN_RELAY
	               : OWN_OTHER;
}

static enum turn_stat stat_of(enum policy_verdict v)
{
	switch (v) {
	case POLICY_DENIED: return TURN_STAT_PEER_DENIED;
	case POLICY_NEVER: return TURN_STAT_PEER_NEVER;
	case POLICY_DISGUISE: return TURN_STAT_PEER_DISGUISE;
	case POLICY_OK:
	case POLICY_SPECIAL: break;
	}
	return TURN_STAT_PEER_SPECIAL;
}

int perm_judge(struct turn_server *srv, const struct alloc *a, const struct endpoint *peer)
{
	enum policy_verdict verdict;

	switch (own_address(srv, peer)) {
	case OWN_RELAY: return TURN_OK; /* no allow entry is needed */
	case OWN_OTHER:
		stat_count(srv, TURN_STAT_PEER_OWN);
		list_refused(srv, a, peer, STUN_FORBIDDEN, "own");
		return STUN_FORBIDDEN;
	case OWN_NOT: break;
	}
	verdict = policy_check(&srv->policy, &peer->addr);
	if (verdict == POLICY_OK)
		return TURN_OK;
	stat_count(srv, stat_of(verdict));
	list_refused(srv, a, peer, STUN_FORBIDDEN, policy_verdict_name(verdict));
	return STUN_FORBIDDEN;
}

bool perm_allowed(const struct turn_server *srv, const struct endpoint *peer)
{
	const enum own own = own_address(srv, peer);

	return own == OWN_RELAY ||
	       (own == OWN_NOT && policy_check(&srv->policy, &peer->addr) == POLICY_OK);
}

/* The request's addresses, each once. 0: none, or one is malformed. */
static unsigned read_addresses(const struct request *r, struct endpoint *out,
                               bool mapped[ADDRESSES_MAX])
{
	struct stun_iter it = stun_attrs(&r->msg);
	struct stun_attr attr;
	unsigned n = 0;

	while (stun_next_counted(&it, &attr)) {
		unsigned i = 0;

		if (attr.type != TURN_XOR_PEER_ADDRESS)
			continue;
		if (n == ADDRESSES_MAX)
			return 0;
		const unsigned family = stun_xor_addr(&r->msg, &attr, &out[n]);
		if (family == 0)
			return 0;
		out[n].port = 0; /* TURN-075: ports are ignored */
		mapped[n] = family == 6 && addr_is4(&out[n].addr);
		while (i < n && (mapped[i] != mapped[n] || !addr_equal(&out[i].addr, &out[n].addr)))
			i++;
		if (i == n)
			n++;
	}
	return n;
}

/* Room for `fresh` more permissions among `all`; counts what is missing. */
static bool room_for(struct turn_server *srv, const struct alloc *a, unsigned fresh, unsigned all)
{
	if (a->n_perms + fresh > srv->cfg->limit_permissions || srv->pool_peer.n_spare < fresh ||
	    srv->pool_over.n_spare < fresh)
		stat_count(srv, TURN_STAT_FULL_PEERS);
	else if (!flow_room(srv, fresh * ROWS_PERM))
		stat_count(srv, TURN_STAT_FULL_ROWS);
	else if (!record_room(srv, all + 1))
		stat_count(srv, TURN_STAT_FULL_STORE);
	else
		return true;
	return false;
}

void perm_tell_channels(struct turn_server *srv, uint32_t perm)
{
	if (!srv->cfg->strict_permissions)
		return;
	for (uint32_t c = srv->peers[perm].chans; c != NONE; c = srv->peers[c].sib)
		flow_set_peer(srv, c);
}

int perm_on_create(struct turn_server *srv, struct request *r, struct stun_builder *b)
{
	struct alloc *a = r->alloc;
	struct endpoint at[ADDRESSES_MAX];
	bool mapped[ADDRESSES_MAX];
	uint32_t perm[ADDRESSES_MAX];
	unsigned fresh = 0;
	const unsigned n = read_addresses(r, at, mapped);

	(void)b;
	if (n == 0)
		return STUN_BAD_REQUEST;
	for (unsigned i = 0; i < n; i++)
		if (!leg_live(&a->leg[mapped[i] ? 1 : leg_of(&at[i].addr)]))
			return STUN_PEER_FAMILY_MISMATCH;
	for (unsigned i = 0; i < n; i++) {
		/* IPv4 in IPv6 clothes is refused whatever is inside (TURN-219). */
		if (mapped[i]) {
			stat_count(srv, TURN_STAT_PEER_NEVER);
			list_refused(srv, a, &at[i], STUN_FORBIDDEN, "never");
			return STUN_FORBIDDEN;
		}
		const int err = perm_judge(srv, a, &at[i]);
		if (err != TURN_OK)
			return err;
		perm[i] = peer_find_perm(srv, a, &at[i].addr);
		fresh += perm[i] == NONE;
	}
	if (!room_for(srv, a, fresh, n))
		return STUN_INSUFFICIENT_CAPACITY;

	for (unsigned i = 0; i < n; i++) {
		if (perm[i] == NONE)
			perm[i] = peer_make(srv, a, &at[i], 0);
		peer_renew(srv, perm[i], srv->now_s + PERMISSION_S);
		stat_count(srv, TURN_STAT_PERMITTED);
	}
	record_peers(srv, a);
	for (unsigned i = 0; i < n; i++) {
		flow_set_peer(srv, perm[i]);
		perm_tell_channels(srv, perm[i]);
	}
	return TURN_OK;
}
