/* A leg: made, restored, ended; its ports and its agent. */
#include <string.h>

#include "control/session/record.h"
#include "crypto.h"

/* --- made and ended --- */

static uint32_t take(struct session_server *srv)
{
	uint32_t n = srv->legs_spare;

	if (n != NONE)
		srv->legs_spare = srv->legs[n].next;
	else if (srv->legs_fresh < srv->setup.legs_max)
		n = srv->legs_fresh++;
	return n;
}

/* Tags of an earlier leg of the place mean nothing to the next. */
static void clear(struct leg *l)
{
	uint32_t gen[SESSION_ADDRESSES_MAX];

	for (unsigned b = 0; b < SESSION_ADDRESSES_MAX; b++)
		gen[b] = l->base[b].gen + 1;
	crypto_wipe(l, sizeof(*l));
	for (unsigned b = 0; b < SESSION_ADDRESSES_MAX; b++)
		l->base[b].gen = l->base[b].gen_first = gen[b];
	l->session = l->next = l->dirty_next = NONE;
	l->at = -1;
}

void leg_give(struct session_server *srv, uint32_t n)
{
	clear(&srv->legs[n]);
	timer_clear(srv->timers, n);
	timer_clear(srv->timers, srv->setup.legs_max + n);
	srv->legs[n].next = srv->legs_spare;
	srv->legs_spare = n;
}

static bool take_base(struct session_server *srv, uint32_t n, uint8_t slot, uint16_t port)
{
	const struct session_world *const w = &srv->setup.world;
	struct leg *const l = &srv->legs[n];
	struct base *const b = &l->base[l->n_bases];

	if (!w->rows(w->arg, ROWS_BASE))
		return false;
	if (port == 0)
		port = w->take_port(w->arg, &srv->relay[slot].addr);
	else if (!w->take_this(w->arg, &srv->relay[slot].addr, port))
		port = 0;
	if (port == 0) {
		w->rows(w->arg, -ROWS_BASE);
		return false;
	}
	b->port = port;
	b->relay = slot;
	b->row = b->old_row = ROW_NONE;
	srv->relay[slot].by_port[port] = 1 + n * SESSION_ADDRESSES_MAX + l->n_bases++;
	return true;
}

void leg_close_base(struct session_server *srv, struct base *b)
{
	const struct session_world *const w = &srv->setup.world;

	if (!b->port)
		return;
	w->release_port(w->arg, &srv->relay[b->relay].addr, b->port);
	w->rows(w->arg, -ROWS_BASE);
	b->port = 0;
}

static uint64_t hash_ufrag(const struct session_server *srv, const char ufrag[LEG_UFRAG_MAX])
{
	uint64_t words[LEG_UFRAG_MAX / 8];

	memcpy(words, ufrag, sizeof(words));
	return index_hash(&srv->by_ufrag, words, LEG_UFRAG_MAX / 8);
}

/* ICE-054. */
static bool ufrag_taken(void *arg, const char *ufrag)
{
	const struct session_server *const srv = arg;
	char padded[LEG_UFRAG_MAX] = "";

	memcpy(padded, ufrag, strnlen(ufrag, sizeof(padded)));
	for (uint32_t n = index_first(&srv->by_ufrag, hash_ufrag(srv, padded)); n != NONE;
	     n = index_after(&srv->by_ufrag, n))
		if (memcmp(srv->legs[n].key[0].ufrag, padded, sizeof(padded)) == 0)
			return true;
	return false;
}

static struct ice_config config_of(struct session_server *srv, const struct leg *l,
                                   bool controlling)
{
	struct ice_config c = ice_defaults_leg(!l->full);

	c.controlling = l->full && controlling;
	c.ta_ms = srv->setup.ta_ms;
	c.patience_ms = l->full ? 0 : srv->setup.patience_s * 1000;
	c.follow_ms = srv->setup.follow_ms;
	c.allow_loopback = true; /* the relay's addresses are the operator's choice */
	c.random = srv->setup.world.random;
	c.random_arg = srv->setup.world.arg;
	c.pacer = &srv->pacer;
	c.taken = ufrag_taken;
	c.taken_arg = srv;
	return c;
}

/* In the form that peers are told and reach: which it is here, only rows know. */
static struct ice_base base_of(const struct session_server *srv, const struct base *b)
{
	return (struct ice_base){ .component = 1,
		                  .at = { srv->relay[b->relay].advertise, b->port },
		                  .default_route = true };
}

static struct ice_agent *make_agent(struct session_server *srv, const struct leg *l,
                                    bool controlling)
{
	const struct ice_config c = config_of(srv, l, controlling);
	struct ice_agent *const a = ice_new(&c, srv->now_ms);

	for (unsigned i = 0; a && i < l->n_bases; i++) {
		const struct ice_base is = base_of(srv, &l->base[i]);

		if (ice_add_base(a, srv->now_ms, &is) != (int)i) {
			ice_free(a);
			return NULL;
		}
	}
	if (a)
		ice_gather(a, srv->now_ms);
	return a;
}

static void link_leg(struct session_server *srv, uint32_t n)
{
	struct session *const s = &srv->sessions[srv->legs[n].session];
	uint32_t *at = &s->first;

	while (*at != NONE)
		at = &srv->legs[*at].next;
	*at = n;
	srv->legs[n].number = ++s->n_legs;
	srv->n_legs++;
}

static void unlink_leg(struct session_server *srv, uint32_t n)
{
	struct session *const s = &srv->sessions[srv->legs[n].session];
	uint32_t *at = &s->first;

	while (*at != n)
		at = &srv->legs[*at].next;
	*at = srv->legs[n].next;
	s->n_legs--;
	srv->n_legs--;
}

static void unindex(struct session_server *srv, struct leg *l)
{
	if (l->indexed)
		index_remove(&srv->by_ufrag, hash_ufrag(srv, l->key[0].ufrag),
		             (uint32_t)(l - srv->legs));
	l->indexed = false;
}

static void take_key(const struct leg *l, bool before, struct cmd_leg_key *k)
{
	struct ice_key key;

	*k = (struct cmd_leg_key){ .ufrag_len = 0 };
	if (!ice_local_key(l->agent, 0, before, &key))
		return;
	k->ufrag_len = (uint32_t)strnlen(key.ufrag, LEG_UFRAG_MAX);
	memcpy(k->ufrag, key.ufrag, k->ufrag_len);
	memcpy(k->inner, key.key.inner, sizeof(k->inner));
	memcpy(k->outer, key.key.outer, sizeof(k->outer));
	crypto_wipe(&key, sizeof(key));
}

/* The keys by which workers know checks, of both generations. */
void leg_take_keys(struct session_server *srv, struct leg *l)
{
	unindex(srv, l);
	take_key(l, false, &l->key[0]);
	take_key(l, true, &l->key[1]);
	l->generation = (uint16_t)ice_generation(l->agent);
	index_add(&srv->by_ufrag, hash_ufrag(srv, l->key[0].ufrag), (uint32_t)(l - srv->legs));
	l->indexed = true;
}

/* With its ports, without an agent. */
static uint32_t begin(struct session_server *srv, uint32_t session, const struct leg_plan *plan,
                      const char **why)
{
	const uint32_t n = take(srv);
	struct leg *const l = n != NONE ? &srv->legs[n] : NULL;

	if (!l) {
		*why = "as many legs as the relay is configured for are there already";
		return NONE;
	}
	clear(l);
	l->stage = STAGE_LIVE;
	l->session = session;
	l->full = plan->wanted.full;
	l->direction = (uint8_t)plan->wanted.direction;
	l->patience_s = l->full ? 0 : srv->setup.patience_s;
	link_leg(srv, n);
	for (unsigned i = 0; i < plan->n_bases; i++)
		if (!take_base(srv, n, plan->relay[i], plan->port[i])) {
			*why = "no relayed port or no row of the data plane is left";
			leg_undo(srv, n);
			return NONE;
		}
	return n;
}

static uint32_t finish(struct session_server *srv, uint32_t n, const char **why)
{
	if (!srv->legs[n].agent) {
		*why = "no memory for another leg";
		leg_undo(srv, n);
		return NONE;
	}
	leg_take_keys(srv, &srv->legs[n]);
	srv->legs[n].controlling = ice_role(srv->legs[n].agent) == ICE_CONTROLLING;
	return n;
}

uint32_t leg_make(struct session_server *srv, uint32_t session, const struct leg_plan *plan,
                  const char **why)
{
	const uint32_t n = begin(srv, session, plan, why);
	struct leg *const l = n != NONE ? &srv->legs[n] : NULL;

	if (!l)
		return NONE;
	l->agent = make_agent(srv, l, plan->wanted.controlling);
	return finish(srv, n, why);
}

size_t leg_save(const struct leg *l, void *out, size_t cap)
{
	return ice_save(l->agent, out, cap);
}

/*
 * When its peer last consented, as far as is known: of a lite leg the row will show it, so that it
 * gets a little more time than the record says.
 */
static uint64_t heard_ms(const struct session_server *srv, const struct leg *l,
                         const struct image *image)
{
	const uint64_t known = (uint64_t)image->heard_s * 1000;
	const uint64_t spent = (uint64_t)l->patience_s * 1000 - GRANT_MS;
	const uint64_t granted = srv->now_ms > spent ? srv->now_ms - spent : 0;

	return l->full || l->patience_s * 1000 <= GRANT_MS || known > granted ? known : granted;
}

uint32_t leg_restore(struct session_server *srv, uint32_t session, const struct image *image)
{
	struct ice_base bases[SESSION_ADDRESSES_MAX];
	const char *why;
	const uint32_t n = begin(srv, session, &image->plan, &why);
	struct leg *const l = n != NONE ? &srv->legs[n] : NULL;

	if (!l)
		return NONE;
	const struct ice_config c = config_of(srv, l, false);

	for (unsigned i = 0; i < l->n_bases; i++)
		bases[i] = base_of(srv, &l->base[i]);
	l->agent = ice_resume(&c, bases, l->n_bases, image->agent, image->agent_len,
	                      heard_ms(srv, l, image), srv->now_ms);
	if (finish(srv, n, &why) == NONE)
		return NONE;
	l->has_remote = image->has_remote;
	l->heard_s = image->heard_s;
	l->state = (uint8_t)ice_state(l->agent, NULL);
	session_stat(srv, ice_selected(l->agent, 0, 1, &(struct ice_selected){ .base = 0 })
	                          ? SESSION_STAT_RESTORED
	                          : SESSION_STAT_REMADE);
	return n;
}

static void unhear(struct session_server *srv, struct leg *l)
{
	for (unsigned b = 0; b < l->n_bases; b++)
		srv->relay[l->base[b].relay].by_port[l->base[b].port] = 0;
}

void leg_undo(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];

	ice_free(l->agent);
	l->agent = NULL;
	unindex(srv, l);
	record_leg_free(srv, n);
	unhear(srv, l);
	for (unsigned b = 0; b < l->n_bases; b++)
		leg_close_base(srv, &l->base[b]);
	unlink_leg(srv, n);
	leg_give(srv, n);
}

void leg_end(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];

	ice_free(l->agent);
	l->agent = NULL;
	unindex(srv, l);
	l->stage = STAGE_DYING;
	unhear(srv, l);
	timer_clear(srv->timers, n);
	srv->n_legs--;
	row_touch(srv, n, -1);
}
