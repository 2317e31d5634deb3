/* Generations (ICE-053, ICE-054, ICE-170 to ICE-177). */
#include "control/ice/parts.h"

enum { DRAWS_MAX = 8 };

static void draw(struct ice_agent *a, char *out, unsigned n)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	a->c.random(a->c.random_arg, out, n);
	for (unsigned i = 0; i < n; i++)
		out[i] = alphabet[(uint8_t)out[i] & 63];
	out[n] = '\0';
}

void credentials_draw(struct ice_agent *a, struct credentials *c)
{
	for (unsigned i = 0; i < DRAWS_MAX; i++) {
		draw(a, c->ufrag, ICE_MY_UFRAG_LEN);
		if (!a->c.taken || !a->c.taken(a->c.taken_arg, c->ufrag))
			break;
	}
	draw(a, c->pwd, ICE_MY_PWD_LEN);
	crypto_hmac_sha1_key(&c->key, c->pwd, ICE_MY_PWD_LEN);
}

void credentials_set(struct their_credentials *c, const char *ufrag, const char *pwd)
{
	memcpy(c->ufrag, ufrag, sizeof(c->ufrag));
	crypto_hmac_sha1_key(&c->key, pwd, strlen(pwd));
	c->set = true;
}

/* What the new generation does not take over: ICE-171. */
static void flush(struct ice_agent *a, unsigned stream)
{
	struct stream *const s = &a->stream[stream];

	for (int i = 0; i < a->room.pairs; i++)
		if (a->pair[i].id && a->pair[i].stream == stream)
			pair_drop(a, i, "restart");
	for (unsigned i = 0; i < a->room.transactions; i++)
		if (a->transaction[i].live && a->transaction[i].stream == stream)
			check_end(a, &a->transaction[i]);
	memset(s->remote, 0, a->room.remotes * sizeof(*s->remote));
	memset(s->first_valid_ms, 0, sizeof(s->first_valid_ms));
	memset(s->nominating, 0, sizeof(s->nominating));
	memset(s->done, 0, sizeof(s->done));
	s->all_valid_ms = 0;
	s->n_early = 0;
	s->formed = s->their_end = s->mismatch = s->nomination_lost = false;
	s->n_components = a->c.n_components; /* until the peer says how many (ICE-093) */
	s->list = LIST_RUNNING;
}

static void keep_path(const struct ice_agent *a, struct stream *s)
{
	for (unsigned c = 0; c < a->c.n_components; c++) {
		if (!s->path[c].live)
			continue;
		s->old_path[c] = s->path[c];
		s->old_path[c].pair = NONE;
		s->path[c] = (struct path){ .pair = NONE };
	}
}

/* Learned addresses go; what was asked of servers is asked anew (ICE-176). */
static void flush_locals(struct ice_agent *a)
{
	for (int i = 0; i < a->room.locals; i++) {
		if (!a->local[i].id)
			continue;
		a->local[i].signalled = false;
		if (a->local[i].c.type == ICE_PRFLX || a->local[i].c.type == ICE_SRFLX)
			local_drop(a, i, "restart");
	}
	for (unsigned i = 0; i < a->n_gather; i++) {
		struct gather *const g = &a->gather[i];
		const enum allocation_state state = allocation_facts(g->al).state;

		g->has_srflx = false;
		if (state == ALLOCATION_UP && a->server[g->server].turn)
			continue;
		g->done = g->has_relay[0] = g->has_relay[1] = false;
		for (int k = 0; k < a->room.locals; k++)
			if (a->local[k].id && a->local[k].via.alloc == (int)i)
				local_drop(a, k, "restart");
		allocation_wipe(g->al);
		allocation_init(g->al, &(struct allocation_config){
					       .server = a->server[g->server],
					       .rto_ms = RTO_MIN_MS,
					       .random = a->c.random,
					       .random_arg = a->c.random_arg,
				       });
		allocation_start(g->al, a->now_ms);
	}
}

void ice_restart(struct ice_agent *a, uint64_t now_ms)
{
	a->now_ms = now_ms;
	if (a->state == ICE_CLOSED)
		return;
	a->generation++;
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_RESTART,
	                                         .number = a->generation });
	for (unsigned i = 0; i < a->c.n_streams; i++) {
		struct stream *const s = &a->stream[i];

		s->before = s->now;
		s->has_before = true;
		s->before_until_ms = 0;
		keep_path(a, s);
		flush(a, i);
		memset(&s->now, 0, sizeof(s->now));
		credentials_draw(a, &s->now.mine);
		trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_PARAM,
		                                         .stream = (uint8_t)i,
		                                         .local = true,
		                                         .controlling = a->controlling,
		                                         .tie = a->tie,
		                                         .number = a->ta_ms,
		                                         .text = s->now.mine.ufrag });
	}
	flush_locals(a);
	a->has_remote = a->described = false;
	a->pac_ms = a->free_ms = 0;
	a->unverified = a->conflicts = 0;
	a->agreeing = a->agree_told = false;
	a->state = ICE_NEW;
	ice_gather(a, now_ms);
}
