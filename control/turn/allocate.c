/* Allocate and Refresh. */
#include <string.h>

#include "control/turn/alloc.h"
#include "control/turn/allocate.h"
#include "control/turn/flow.h"
#include "control/turn/list.h"
#include "control/turn/record.h"
#include "control/turn/reserve.h"
#include "control/turn/user.h"

/* Everything an Allocate asked for, checked. */
struct wish {
	uint32_t lifetime_s;
	bool family[2]; /* wanted: IPv4, IPv6 */
	bool dual;
	enum ports_want ports;
	struct reservation *token;
};

static uint32_t grant(const struct turn_server *srv, bool asked, uint32_t lifetime_s)
{
	const uint32_t max_s = srv->cfg->limit_lifetime_s;

	if (!asked || lifetime_s < LIFETIME_MIN_S)
		return LIFETIME_MIN_S; /* TURN-054 */
	return lifetime_s > max_s && max_s >= LIFETIME_MIN_S ? max_s : lifetime_s;
}

static bool family_served(const struct turn_server *srv, unsigned leg)
{
	for (unsigned i = 0; i < srv->n_relays; i++) {
		const struct relay *r = &srv->relays[i];

		if (r->configured && r->known && leg_of(&r->addr) == leg)
			return true;
	}
	return false;
}

/* Steps 14 to 16 of the order of refusals. */
static int read_family(struct turn_server *srv, const struct request *r, bool reserve,
                       struct wish *w)
{
	uint8_t family = TURN_FAMILY_IPV4, additional = 0;

	if ((attr_there(&r->family) && !stun_u8(&r->family, &family)) ||
	    (attr_there(&r->additional) && !stun_u8(&r->additional, &additional)))
		return STUN_BAD_REQUEST;
	if (attr_there(&r->family) && attr_there(&r->additional))
		return STUN_BAD_REQUEST;
	if (attr_there(&r->additional)) {
		if (additional != TURN_FAMILY_IPV6 || reserve)
			return STUN_BAD_REQUEST;
		w->dual = w->family[0] = w->family[1] = true;
		if (!family_served(srv, 0) && !family_served(srv, 1))
			return STUN_FAMILY_NOT_SUPPORTED;
		return TURN_OK;
	}
	if ((family != TURN_FAMILY_IPV4 && family != TURN_FAMILY_IPV6) ||
	    !family_served(srv, family - 1u))
		return STUN_FAMILY_NOT_SUPPORTED;
	w->family[family - 1u] = true;
	return TURN_OK;
}

/* Steps 11 to 17. */
static int read_allocate(struct turn_server *srv, const struct request *r, struct wish *w)
{
	uint32_t lifetime_s = 0;
	uint8_t transport;
	bool reserve = false;

	*w = (struct wish){ .ports = PORTS_ANY };
	if (!attr_there(&r->transport) || !stun_u8(&r->transport, &transport))
		return STUN_BAD_REQUEST;
	if (transport != TURN_TRANSPORT_UDP)
		return STUN_UNSUPPORTED_TRANSPORT;
	if ((attr_there(&r->lifetime) && !stun_u32(&r->lifetime, &lifetime_s)) ||
	    (attr_there(&r->even_port) && !stun_even_port(&r->even_port, &reserve)) ||
	    (attr_there(&r->dont_fragment) && r->dont_fragment.len != 0) ||
	    (attr_there(&r->token) && r->token.len != TURN_RESERVATION_TOKEN_LEN))
		return STUN_BAD_REQUEST;
	w->lifetime_s = grant(srv, attr_there(&r->lifetime), lifetime_s);
	if (attr_there(&r->even_port))
		w->ports = reserve ? PORTS_PAIR : PORTS_EVEN;
	if (attr_there(&r->token)) {
		if (attr_there(&r->even_port) || attr_there(&r->family) ||
		    attr_there(&r->additional))
			return STUN_BAD_REQUEST; /* TURN-042 */
		w->token = reserve_find(srv, r->token.value, &r->owner);
		if (w->token == NULL) {
			stat_count(srv, TURN_STAT_FULL_PORTS);
			return STUN_INSUFFICIENT_CAPACITY; /* TURN-043, TURN-045 */
		}
	} else {
		const int err = read_family(srv, r, reserve, w);

		if (err != TURN_OK)
			return err;
	}
	/* Mobility is not offered: an empty ticket is an unknown optional attribute (TURN-178). */
	if (attr_there(&r->ticket) && r->ticket.len > 0)
		return STUN_BAD_REQUEST;
	return TURN_OK;
}

/* Step 18 and the part of 19 that is not about ports. */
static int admit(struct turn_server *srv, const struct request *r, const struct wish *w)
{
	const uint32_t legs = w->dual ? 2 : 1;
	const struct owner *owner = NULL;

	if (policy_client_is_tunnel(&r->client.addr)) {
		stat_count(srv, TURN_STAT_CLIENT_TUNNEL);
		return STUN_FORBIDDEN;
	}
	if (srv->draining) {
		stat_count(srv, TURN_STAT_FULL_DRAIN);
		return STUN_INSUFFICIENT_CAPACITY;
	}
	if (r->who == &srv->tried) {
		const uint32_t o = owner_take(srv, &r->owner);

		if (o == NONE) {
			stat_count(srv, TURN_STAT_FULL_USERS);
			return STUN_INSUFFICIENT_CAPACITY;
		}
		owner = &srv->owners[o];
		const uint32_t count = owner->count;
		owner_drop(srv, o);
		if (count >= srv->cfg->limit_allocations_per_user) {
			stat_count(srv, TURN_STAT_FULL_USER);
			return STUN_QUOTA_REACHED;
		}
	} else if (srv->owners[r->who->owner].count >= srv->cfg->limit_allocations_per_user) {
		stat_count(srv, TURN_STAT_FULL_USER);
		return STUN_QUOTA_REACHED;
	}
	if (srv->n_live >= srv->cfg->limit_allocations || srv->pool_alloc.n_spare == 0) {
		stat_count(srv, TURN_STAT_FULL_ALLOCATIONS);
		return STUN_INSUFFICIENT_CAPACITY;
	}
	if (!flow_room(srv, legs * ROWS_LEG)) {
		stat_count(srv, TURN_STAT_FULL_ROWS);
		return STUN_INSUFFICIENT_CAPACITY;
	}
	if (!record_room(srv, 5)) { /* allocation, user, realm, listener, reservation */
		stat_count(srv, TURN_STAT_FULL_STORE);
		return STUN_INSUFFICIENT_CAPACITY;
	}
	return TURN_OK;
}

/* A port of one family, from a relay address drawn at random, else the next that has one. */
static bool take_port(struct turn_server *srv, unsigned leg, enum ports_want want, struct leg *out)
{
	const unsigned n = srv->n_relays, from = n > 1 ? server_below(srv, n) : 0;

	for (unsigned i = 0; i < n; i++) {
		const unsigned slot = (from + i) % n;
		const struct relay *r = &srv->relays[slot];

		if (!r->configured || !r->known || r->ports == NULL || leg_of(&r->addr) != leg)
			continue;
		out->port = ports_take(r->ports, want, srv->now_s, server_below, srv);
		if (out->port != 0) {
			out->relay = (uint8_t)slot;
			return true;
		}
	}
	return false;
}

/* Ports for what was wished; *partial is the error of the family that could not be had. */
static int take_ports(struct turn_server *srv, const struct wish *w, struct leg leg[2],
                      uint16_t *partial)
{
	bool any = false;

	*partial = 0;
	if (w->token != NULL) {
		struct leg *l = &leg[leg_of(&srv->relays[w->token->relay].addr)];

		l->relay = w->token->relay;
		l->port = w->token->port;
		return TURN_OK;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (!w->family[i])
			continue;
		if (take_port(srv, i, w->ports, &leg[i]))
			any = true;
		else if (w->dual)
			*partial = family_served(srv, i) ? STUN_INSUFFICIENT_CAPACITY
			                                 : STUN_FAMILY_NOT_SUPPORTED;
	}
	if (any)
		return TURN_OK;
	stat_count(srv, TURN_STAT_FULL_PORTS);
	return STUN_INSUFFICIENT_CAPACITY;
}

/* The user's credential in the pool, made if it is a time-limited name's first allocation. */
static uint32_t credential(struct turn_server *srv, const struct request *r)
{
	if (r->who == &srv->tried)
		return user_rest_intern(srv, &srv->tried, &r->owner);
	return (uint32_t)(r->who - srv->creds);
}

static void give_back(struct turn_server *srv, const struct wish *w, struct alloc *a)
{
	for (unsigned i = 0; i < 2 && w->token == NULL; i++) {
		if (!leg_live(&a->leg[i]))
			continue;
		ports_release(srv->relays[a->leg[i].relay].ports, a->leg[i].port, srv->now_s, 0);
		if (w->ports == PORTS_PAIR && !a->has_token)
			ports_release(srv->relays[a->leg[i].relay].ports,
			              (uint16_t)(a->leg[i].port + 1), srv->now_s, 0);
	}
	a->state = ELEMENT_FREE;
	pool_give(&srv->pool_alloc, (uint32_t)(a - srv->allocs));
}

/* The allocation with its ports, token and record; nothing is left behind on failure. */
static int make(struct turn_server *srv, struct request *r, const struct wish *w,
                struct alloc **out)
{
	struct alloc *a = alloc_take(srv);
	struct reservation *res = NULL;
	struct cred *const asked = r->who;
	const int err = take_ports(srv, w, a->leg, &a->partial);

	if (err != TURN_OK) {
		a->state = ELEMENT_FREE;
		pool_give(&srv->pool_alloc, (uint32_t)(a - srv->allocs));
		return err;
	}
	a->cred = credential(srv, r);
	if (a->cred == NONE) {
		stat_count(srv, TURN_STAT_FULL_USERS);
		give_back(srv, w, a);
		return STUN_INSUFFICIENT_CAPACITY;
	}
	user_ref(srv, a->cred);
	r->who = &srv->creds[a->cred];
	a->id = srv->next_id++;
	a->client = r->client;
	a->listener = r->listener;
	a->created_s = srv->now_s;
	memcpy(a->txid, r->msg.txid, STUN_TXID_LEN);
	for (unsigned i = 0; i < 2; i++)
		a->leg[i].expires_s = srv->now_s + w->lifetime_s;
	if (w->ports == PORTS_PAIR) {
		const struct leg *l = &a->leg[leg_live(&a->leg[0]) ? 0 : 1];

		res = reserve_make(srv, l->relay, (uint16_t)(l->port + 1), r->who->owner, a->id);
		if (res != NULL) {
			a->has_token = true;
			memcpy(a->token, res->token, sizeof(a->token));
		}
	}
	if ((w->ports == PORTS_PAIR && res == NULL) || !record_alloc(srv, a)) {
		stat_count(srv, TURN_STAT_FULL_STORE);
		if (res != NULL)
			reserve_end(srv, res, true);
		give_back(srv, w, a);
		user_unref(srv, a->cred);
		r->who = asked;
		return STUN_INSUFFICIENT_CAPACITY;
	}
	if (w->token != NULL)
		reserve_end(srv, w->token, false);
	alloc_publish(srv, a);
	user_unref(srv, a->cred); /* alloc_publish() took one for the allocation */
	*out = a;
	return TURN_OK;
}

static uint32_t left_s(const struct turn_server *srv, const struct alloc *a)
{
	const struct leg *l = &a->leg[leg_live(&a->leg[0]) ? 0 : 1];

	return l->expires_s > srv->now_s ? l->expires_s - srv->now_s : 0;
}

/* ADDRESS-ERROR-CODE (RFC 8656 §18.12): which family is missing, and why. */
static void put_partial(const struct alloc *a, struct stun_builder *b)
{
	const char *reason = stun_reason(a->partial);
	const size_t len = strlen(reason);
	uint8_t *v = stun_reserve(b, TURN_ADDRESS_ERROR_CODE, (uint16_t)(4 + len));

	if (v == NULL)
		return;
	v[0] = leg_live(&a->leg[0]) ? TURN_FAMILY_IPV6 : TURN_FAMILY_IPV4;
	v[2] = (uint8_t)(a->partial / 100);
	v[3] = (uint8_t)(a->partial % 100);
	memcpy(v + 4, reason, len);
}

void allocate_replay(struct turn_server *srv, const struct alloc *a, struct stun_builder *b)
{
	for (unsigned i = 0; i < 2; i++)
		if (leg_live(&a->leg[i])) {
			const struct endpoint at = { srv->relays[a->leg[i].relay].advertise,
				                     a->leg[i].port };

			stun_put_xor_addr(b, TURN_XOR_RELAYED_ADDRESS, &at);
		}
	stun_put_u32(b, TURN_LIFETIME, left_s(srv, a));
	stun_put_xor_addr(b, STUN_XOR_MAPPED_ADDRESS, &a->client);
	if (a->has_token)
		stun_put(b, TURN_RESERVATION_TOKEN, a->token, TURN_RESERVATION_TOKEN_LEN);
	if (a->partial != 0)
		put_partial(a, b);
}

int allocate_on_request(struct turn_server *srv, struct request *r, struct stun_builder *b)
{
	struct alloc *a = NULL;
	struct wish w;
	int err = read_allocate(srv, r, &w);

	if (err == TURN_OK)
		err = admit(srv, r, &w);
	if (err == TURN_OK)
		err = make(srv, r, &w, &a);
	if (err != TURN_OK)
		return err;
	for (unsigned i = 0; i < 2; i++)
		if (leg_live(&a->leg[i]))
			flow_set_leg(srv, a, i);
	stat_count(srv, TURN_STAT_ALLOCATED);
	list_begin(srv, a);
	allocate_replay(srv, a, b);
	return TURN_OK;
}

/* --- Refresh --- */

int allocate_on_refresh(struct turn_server *srv, struct request *r, struct stun_builder *b)
{
	struct alloc *a = r->alloc;
	uint32_t lifetime_s = LIFETIME_MIN_S;
	uint8_t family = 0;

	if ((attr_there(&r->lifetime) && !stun_u32(&r->lifetime, &lifetime_s)) ||
	    (attr_there(&r->family) && !stun_u8(&r->family, &family)))
		return STUN_BAD_REQUEST;
	if (attr_there(&r->family) && ((family != TURN_FAMILY_IPV4 && family != TURN_FAMILY_IPV6) ||
	                               !leg_live(&a->leg[family - 1u])))
		return STUN_PEER_FAMILY_MISMATCH; /* TURN-069 */

	if (lifetime_s == 0) {
		memo_add(srv, &r->client, r->listener, TURN_REFRESH, r->msg.txid,
		         srv->now_s + MEMORY_S);
		if (family == 0 || !leg_live(&a->leg[2u - family]))
			alloc_end(srv, a, END_REFRESH);
		else
			alloc_end_leg(srv, a, family - 1u);
		stun_put_u32(b, TURN_LIFETIME, 0);
		return TURN_OK;
	}
	lifetime_s = grant(srv, attr_there(&r->lifetime), lifetime_s);
	for (unsigned i = 0; i < 2; i++)
		if (leg_live(&a->leg[i]) && (family == 0 || family - 1u == i)) {
			a->leg[i].expires_s = srv->now_s + lifetime_s;
			flow_set_leg(srv, a, i);
			flow_set_peers(srv, a, i);
		}
	alloc_time(srv, a);
	record_alloc_again(srv, a);
	stun_put_u32(b, TURN_LIFETIME, lifetime_s);
	return TURN_OK;
}
