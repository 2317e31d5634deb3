/* Life of the server: pools, configuration, tables of the data plane, time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/memory.h"
#include "control/turn/action.h"
#include "control/turn/alloc.h"
#include "control/turn/limit.h"
#include "control/turn/peer.h"
#include "control/turn/perm.h"
#include "control/turn/record.h"
#include "control/turn/reserve.h"
#include "control/turn/template.h"
#include "control/turn/user.h"

void server_set_now(struct turn_server *srv, uint64_t now_ms)
{
	if (now_ms < srv->now_ms)
		return;
	srv->now_ms = now_ms;
	srv->now_s = (uint32_t)((now_ms + 999) / 1000);
}

void server_random(struct turn_server *srv, void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		if (srv->entropy_left == 0) {
			srv->random(srv->entropy, sizeof(srv->entropy));
			srv->entropy_left = sizeof(srv->entropy);
		}
		const size_t take = len < srv->entropy_left ? len : srv->entropy_left;

		srv->entropy_left -= (unsigned)take;
		memcpy(p, srv->entropy + srv->entropy_left, take);
		memset(srv->entropy + srv->entropy_left, 0, take); /* given out once */
		p += take;
		len -= take;
	}
}

uint32_t server_below(void *arg, uint32_t below)
{
	const uint32_t limit = UINT32_MAX - UINT32_MAX % below; /* every remainder equally often */
	uint32_t v;

	do
		server_random(arg, &v, sizeof(v));
	while (v >= limit);
	return v % below;
}

bool pool_init(struct pool *p, uint32_t n)
{
	p->spare = memory_array(n, sizeof(*p->spare));
	p->n = p->n_spare = n;
	p->fresh = 0;
	return p->spare != NULL;
}

/* Free ones that were taken before: the stack. */
static uint32_t n_used_before(const struct pool *p)
{
	return p->n_spare - (p->n - p->fresh);
}

uint32_t pool_peek(const struct pool *p, uint32_t i)
{
	const uint32_t n = n_used_before(p);

	if (i >= p->n_spare)
		return NONE;
	return i < n ? p->spare[n - 1 - i] : p->fresh + (i - n);
}

uint32_t pool_take(struct pool *p)
{
	const uint32_t n = n_used_before(p);

	if (p->n_spare == 0)
		return NONE;
	p->n_spare--;
	return n > 0 ? p->spare[n - 1] : p->fresh++;
}

void pool_give(struct pool *p, uint32_t element)
{
	p->spare[n_used_before(p)] = element;
	p->n_spare++;
}

/* --- slots --- */

int server_realm_slot(struct turn_server *srv, const char *text, size_t len)
{
	int spare = -1, empty = -1;

	if (len == 0 || len > REALM_MAX)
		return -1;
	for (int i = 0; i < REALMS_MAX; i++) {
		struct realm *r = &srv->realms[i];

		if (strlen(r->text) == len && memcmp(r->text, text, len) == 0)
			return i;
		if (r->text[0] == '\0')
			empty = i;
		else if (r->refs == 0 && i != srv->realm)
			spare = i;
	}
	if (empty >= 0)
		spare = empty;
	if (spare < 0)
		return -1;
	if (srv->realms[spare].ref != 0)
		store_free(srv->store, srv->realms[spare].ref);
	srv->realms[spare] = (struct realm){ .ref = 0 };
	memcpy(srv->realms[spare].text, text, len);
	return spare;
}

uint8_t server_listener_slot(struct turn_server *srv, const struct endpoint *at, uint8_t transport)
{
	uint8_t spare = 0xFF, empty = 0xFF;

	for (uint8_t i = 0; i < LISTENER_SLOTS; i++) {
		const struct listener *l = &srv->listeners[i];

		if (l->transport == transport && endpoint_equal(&l->at, at))
			return i;
		if (l->transport == 0)
			empty = i;
		else if (l->refs == 0 && !l->known)
			spare = i;
	}
	if (empty != 0xFF)
		spare = empty;
	if (spare == 0xFF || transport == 0)
		return 0xFF;
	if (srv->listeners[spare].ref != 0)
		store_free(srv->store, srv->listeners[spare].ref);
	srv->listeners[spare] = (struct listener){ .at = *at, .transport = transport };
	return spare;
}

uint8_t server_relay_slot(struct turn_server *srv, const struct addr *addr)
{
	unsigned i = 0;

	while (i < srv->n_relays && !addr_equal(&srv->relays[i].addr, addr))
		i++;
	if (i == RELAY_SLOTS)
		return NO_RELAY;
	if (i == srv->n_relays) {
		srv->relays[i] = (struct relay){ .addr = *addr, .advertise = *addr, .used = true };
		srv->n_relays++;
	}
	return (uint8_t)i;
}

/* --- configuration --- */

static bool fail(struct config_error *err, const struct config *cfg, const char *text)
{
	snprintf(err->text, sizeof(err->text), "%s: %s", cfg->path != NULL ? cfg->path : "config",
	         text);
	return false;
}

static bool take_relays(struct turn_server *srv, const struct config *cfg, struct config_error *err)
{
	for (unsigned i = 0; i < srv->n_relays; i++)
		srv->relays[i].configured = false;
	for (unsigned i = 0; i < cfg->n_relays; i++) {
		const uint8_t slot = server_relay_slot(srv, &cfg->relays[i].addr);
		struct relay *r = &srv->relays[slot];

		if (slot == NO_RELAY)
			return fail(err, cfg, "relay.addresses: too many; restart the relay");
		if (r->ports == NULL)
			r->ports = ports_new(cfg->relay_port_min, cfg->relay_port_max);
		if (r->ports == NULL)
			return fail(err, cfg, "relay.ports: no memory for them");
		if (ports_min(r->ports) != cfg->relay_port_min ||
		    ports_max(r->ports) != cfg->relay_port_max)
			return fail(err, cfg,
			            "relay.ports: cannot change while allocations live; restart "
			            "the relay");
		r->advertise = cfg->relays[i].advertise;
		r->configured = true;
	}
	return true;
}

/* Our own addresses: listeners by port, what the ports have whole. */
static bool take_own(struct turn_server *srv, const struct config *cfg)
{
	struct endpoint *own;
	unsigned n = cfg->n_listeners;

	for (unsigned i = 0; i < cfg->n_ports; i++)
		n += cfg->ports[i].n_addresses;
	own = calloc(n > 0 ? n : 1, sizeof(*own));
	if (own == NULL)
		return false;
	n = 0;
	for (unsigned i = 0; i < cfg->n_listeners; i++)
		own[n++] = cfg->listeners[i].at;
	for (unsigned i = 0; i < cfg->n_ports; i++)
		for (unsigned j = 0; j < cfg->ports[i].n_addresses; j++)
			own[n++].addr = cfg->ports[i].addresses[j].addr;
	free(srv->own);
	srv->own = own;
	srv->n_own = n;
	return true;
}

static bool take_config(struct turn_server *srv, const struct config *cfg, struct config_error *err)
{
	const char *realm = cfg->realm != NULL ? cfg->realm : "";
	const int slot = server_realm_slot(srv, realm, strlen(realm));

	if (slot < 0)
		return fail(err, cfg,
		            strlen(realm) > REALM_MAX || realm[0] == '\0'
		                    ? "auth.realm: 1 to 92 octets are allowed; a longer one would "
		                      "not fit the answer to a first request"
		                    : "auth.realm: too many realms with live allocations");
	if (!take_relays(srv, cfg, err))
		return false;
	if (!take_own(srv, cfg))
		return fail(err, cfg, "no memory");
	srv->realm = (uint8_t)slot;
	srv->cfg = cfg;
	srv->policy = config_policy(cfg);
	template_prepare(srv);
	return true;
}

/* --- pools --- */

static uint32_t overs_for(const struct config *cfg)
{
	/* One for each, and room for a few with very many peers; never more than can be filled. */
	const uint64_t all =
		((uint64_t)cfg->limit_permissions + cfg->limit_channels) * cfg->limit_allocations;

	return cfg->limit_allocations + (all < 4096 ? (uint32_t)all : 4096);
}

uint32_t turn_store_records(const struct config *cfg)
{
	const uint64_t n = (uint64_t)cfg->limit_allocations * 2 /* and as many users */ +
	                   overs_for(cfg) + cfg->limit_allocations / 8 /* reservations */ +
	                   RUNTIME_USERS_MAX + cfg->n_users + 4096 + 1024;

	return n > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)n;
}

uint32_t turn_store_first(const struct config *cfg)
{
	const uint64_t n = (uint64_t)cfg->limit_allocations + cfg->n_users + 1024;
	const uint32_t all = turn_store_records(cfg);

	return n < all ? (uint32_t)n : all;
}

static bool make_indexes(struct turn_server *srv)
{
	uint64_t key[2];
	const uint32_t n_alloc = srv->pool_alloc.n, n_peer = srv->pool_peer.n;
	const uint32_t usual = srv->cfg->limit_allocations;

	server_random(srv, key, sizeof(key));
	const uint32_t n_reservation = srv->pool_reservation.n;
	const uint32_t n_cred = srv->pool_cred.n, n_owner = srv->pool_owner.n;

	/* Most allocations have a permission and a channel; a chain may be longer with more. */
	return index_init(&srv->by_tuple, n_alloc, usual, key) &&
	       index_init(&srv->by_id, n_alloc, usual, key) &&
	       index_init(&srv->by_perm, n_peer, usual, key) &&
	       index_init(&srv->by_number, n_peer, usual, key) &&
	       index_init(&srv->by_peer, n_peer, usual, key) &&
	       index_init(&srv->by_token, n_reservation, n_reservation, key) &&
	       index_init(&srv->by_name, n_cred, n_cred, key) &&
	       index_init(&srv->by_userhash, n_cred, n_cred, key) &&
	       index_init(&srv->by_owner, n_owner, n_owner, key) &&
	       index_init(&srv->by_memo, MEMO_MAX, MEMO_MAX, key);
}

static bool make_pools(struct turn_server *srv, const struct config *cfg)
{
	uint32_t had[STORE_KIND_END];

	restore_count(srv->store, had);
	/* Beyond the limit: what waits for its last counts, and more than a lowered limit takes. */
	uint32_t n_alloc = cfg->limit_allocations + cfg->limit_allocations / 8 + 64;
	if (n_alloc < had[STORE_ALLOCATION] + 64)
		n_alloc = had[STORE_ALLOCATION] + 64;
	const uint32_t n_over = overs_for(cfg) + had[STORE_OVERFLOW];
	const uint32_t n_peer = n_alloc * 2 + n_over * 2 * OVER_SLOTS;
	const uint32_t n_cred =
		cfg->n_users * 2 + RUNTIME_USERS_MAX + n_alloc + had[STORE_USER] + 1024;
	const uint32_t n_reservation = cfg->limit_allocations / 8 + 4096 + had[STORE_RESERVATION];

	if (!pool_init(&srv->pool_alloc, n_alloc) || !pool_init(&srv->pool_peer, n_peer) ||
	    !pool_init(&srv->pool_over, n_over) || !pool_init(&srv->pool_cred, n_cred) ||
	    !pool_init(&srv->pool_owner, n_cred + n_reservation) ||
	    !pool_init(&srv->pool_reservation, n_reservation))
		return false;
	srv->allocs = memory_array(n_alloc, sizeof(*srv->allocs));
	srv->peers = memory_array(n_peer, sizeof(*srv->peers));
	srv->overs = memory_array(n_over, sizeof(*srv->overs));
	srv->creds = memory_array(n_cred, sizeof(*srv->creds));
	srv->owners = memory_array(n_cred + n_reservation, sizeof(*srv->owners));
	srv->reservations = memory_array(n_reservation, sizeof(*srv->reservations));
	srv->memos = memory_array(MEMO_MAX, sizeof(*srv->memos));
	srv->expected = memory_array(TURN_BURST, sizeof(*srv->expected));
	srv->listed = memory_array(n_cred, sizeof(*srv->listed));
	srv->timer_peer = n_alloc;
	srv->timer_reservation = n_alloc + n_peer;
	srv->timer_nonce = n_alloc + n_peer + n_reservation;
	srv->timers = timer_new(srv->timer_nonce + 1, srv->now_ms);
	return srv->allocs != NULL && srv->peers != NULL && srv->overs != NULL &&
	       srv->creds != NULL && srv->owners != NULL && srv->reservations != NULL &&
	       srv->memos != NULL && srv->expected != NULL && srv->listed != NULL &&
	       srv->timers != NULL && make_indexes(srv) && action_init(srv) && limit_init(srv);
}

/* Credentials of the earlier life that no allocation and no operator needs. */
static void settle_users(struct turn_server *srv)
{
	for (uint32_t c = 0; c < srv->pool_cred.fresh; c++)
		if ((srv->creds[c].flags & CRED_USED) != 0) {
			user_ref(srv, c);
			user_unref(srv, c);
		}
}

struct turn_server *turn_new(const struct config *cfg, struct store *store, turn_random *random,
                             uint64_t now_ms, uint32_t wall_s, struct config_error *err)
{
	struct turn_server *srv = calloc(1, sizeof(*srv));

	if (srv == NULL) {
		fail(err, cfg, "no memory for the TURN server");
		return NULL;
	}
	srv->cfg = cfg;
	srv->store = store;
	srv->random = random;
	srv->wall_s = wall_s;
	srv->next_id = 1;
	srv->sync_cursor = srv->end_cursor = srv->policy_cursor = srv->placing = NONE;
	memset(srv->listener_of_id, 0xFF, sizeof(srv->listener_of_id));
	server_set_now(srv, now_ms);
	if (!make_pools(srv, cfg)) {
		fail(err, cfg, "limits: no memory for so many allocations; lower them");
		turn_free(srv);
		return NULL;
	}
	if (!take_config(srv, cfg, err) || !restore_all(srv) || !user_load(srv, err)) {
		turn_free(srv);
		return NULL;
	}
	settle_users(srv);
	template_prepare(srv);
	if (!template_keys(srv)) {
		fail(err, cfg, "no nonce keys: the crypto library or memory failed");
		turn_free(srv);
		return NULL;
	}
	return srv;
}

static void free_pool(struct pool *p)
{
	memory_free(p->spare);
}

void turn_free(struct turn_server *srv)
{
	if (srv == NULL)
		return;
	for (unsigned i = 0; i < srv->n_relays; i++)
		ports_free(srv->relays[i].ports);
	for (uint32_t c = 0; srv->creds != NULL && c < srv->pool_cred.fresh; c++)
		if ((srv->creds[c].flags & CRED_USED) != 0)
			crypto_wipe(&srv->creds[c], sizeof(srv->creds[c]));
	struct index *const indexes[] = { &srv->by_tuple,  &srv->by_id,       &srv->by_perm,
		                          &srv->by_number, &srv->by_peer,     &srv->by_token,
		                          &srv->by_name,   &srv->by_userhash, &srv->by_owner,
		                          &srv->by_memo };
	for (unsigned i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++)
		index_done(indexes[i]);
	struct pool *const pools[] = { &srv->pool_alloc,       &srv->pool_peer, &srv->pool_over,
		                       &srv->pool_reservation, &srv->pool_cred, &srv->pool_owner };
	for (unsigned i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
		free_pool(pools[i]);
	void *const arrays[] = { srv->allocs,       srv->peers,  srv->overs,
		                 srv->reservations, srv->creds,  srv->owners,
		                 srv->memos,        srv->listed, srv->expected };
	for (unsigned i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		memory_free(arrays[i]);
	free(srv->own);
	free(srv->queue);
	free(srv->logins);
	timer_free(srv->timers);
	nonce_keys_free(srv->nonces);
	crypto_wipe(srv, sizeof(*srv));
	free(srv);
}

bool turn_reload(struct turn_server *srv, const struct config *cfg, struct config_error *err)
{
	if (cfg->limit_permissions > srv->cfg->limit_permissions ||
	    cfg->limit_channels > srv->cfg->limit_channels)
		return fail(err, cfg,
		            "limits: permissions and channels per allocation can only be lowered "
		            "while running; restart the relay");
	if (!take_config(srv, cfg, err) || !user_load(srv, err))
		return false;
	if (srv->cfg->nonce_secret != NULL && !template_keys(srv))
		return fail(err, cfg, "auth.nonce-secret: no nonce keys could be made");
	template_emit(srv);
	srv->policy_cursor = 0; /* TURN-224 */
	return true;
}

/* --- tables of the data plane --- */

static bool served(const struct turn_server *srv, const struct alloc *a)
{
	if (!srv->listeners[a->listener].known)
		return false;
	for (unsigned i = 0; i < 2; i++)
		if (leg_live(&a->leg[i]) && !srv->relays[a->leg[i].relay].known)
			return false;
	return true;
}

void turn_set_tables(struct turn_server *srv, const struct abi_listener *listeners,
                     unsigned n_listeners, const struct abi_relay *relays, unsigned n_relays,
                     uint64_t now_ms)
{
	server_set_now(srv, now_ms);
	memset(srv->listener_of_id, 0xFF, sizeof(srv->listener_of_id));
	turn_expect(srv, NULL, 0);
	for (unsigned i = 0; i < LISTENER_SLOTS; i++)
		srv->listeners[i].known = false;
	for (unsigned i = 0; i < srv->n_relays; i++)
		srv->relays[i].known = false;
	for (unsigned i = 0; i < n_listeners; i++) {
		const struct abi_listener *l = &listeners[i];
		struct endpoint at = { .port = l->port };
		uint8_t slot;

		memcpy(at.addr.ip, l->ip, 16);
		if (l->live == 0 || (slot = server_listener_slot(srv, &at, l->transport)) == 0xFF)
			continue;
		srv->listeners[slot].known = true;
		srv->listeners[slot].id = l->id;
		srv->listener_of_id[l->id] = slot;
	}
	for (unsigned i = 0; i < n_relays; i++) {
		struct addr addr;
		uint8_t slot;

		memcpy(addr.ip, relays[i].ip, 16);
		if (relays[i].live == 0 || (slot = server_relay_slot(srv, &addr)) == NO_RELAY)
			continue;
		srv->relays[slot].known = true;
		srv->relays[slot].id = relays[i].id;
	}
	for (uint32_t n = 0; n < srv->pool_alloc.fresh; n++)
		if (srv->allocs[n].state == ELEMENT_LIVE && !served(srv, &srv->allocs[n]))
			alloc_end_soon(srv, &srv->allocs[n], END_GONE);
	template_prepare(srv);
	template_emit(srv);
}

void turn_set_capacity(struct turn_server *srv, uint32_t rows)
{
	srv->rows_max = rows;
}

void turn_set_drain(struct turn_server *srv, bool on)
{
	srv->draining = on;
}

/* --- time --- */

static bool end_more(struct turn_server *srv)
{
	bool any = false;

	while (srv->end_cursor != NONE && action_room(srv)) {
		struct alloc *a = &srv->allocs[srv->end_cursor];

		if (a->state == ELEMENT_LIVE) {
			alloc_end(srv, a, srv->end_why);
			any = true;
		}
		if (++srv->end_cursor >= srv->pool_alloc.fresh)
			srv->end_cursor = NONE;
	}
	return any;
}

static bool judge_more(struct turn_server *srv)
{
	bool any = false;

	while (srv->policy_cursor != NONE && action_room(srv)) {
		const struct peer *p = &srv->peers[srv->policy_cursor];

		if (p->state == ELEMENT_LIVE &&
		    perm_judge(srv, &srv->allocs[p->alloc], &p->at) != TURN_OK) {
			peer_revoke(srv, srv->policy_cursor, 0, NULL);
			any = true;
		}
		if (++srv->policy_cursor >= srv->pool_peer.fresh)
			srv->policy_cursor = NONE;
	}
	return any;
}

bool server_background(struct turn_server *srv)
{
	const bool ended = end_more(srv);

	return judge_more(srv) || ended;
}

void turn_on_time(struct turn_server *srv, uint64_t now_ms, uint32_t wall_s)
{
	uint32_t n;

	server_set_now(srv, now_ms);
	srv->wall_s = wall_s;
	while (action_room(srv) && timer_take(srv->timers, srv->now_ms, &n)) {
		if (n < srv->timer_peer)
			alloc_on_timer(srv, &srv->allocs[n]);
		else if (n < srv->timer_reservation)
			peer_on_timer(srv, n - srv->timer_peer);
		else if (n < srv->timer_nonce)
			reserve_end(srv, &srv->reservations[n - srv->timer_reservation], true);
		else
			template_on_time(srv);
	}
	server_background(srv);
}

uint64_t turn_deadline_ms(const struct turn_server *srv)
{
	uint64_t next = timer_next(srv->timers);

	if (srv->end_cursor != NONE || srv->policy_cursor != NONE)
		next = srv->now_ms;
	if (!action_room(srv) && next < srv->now_ms + 10)
		next = srv->now_ms + 10; /* the queue has to drain first */
	return next;
}
