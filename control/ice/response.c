/* An answer to a check (ICE-121 to ICE-133), and what a role conflict does (ICE-083 to ICE-090). */
#include "control/ice/parts.h"
#include "wire/attr.h"

void role_switch(struct ice_agent *a, bool controlling, bool new_tie, const char *why)
{
	if (new_tie)
		a->c.random(a->c.random_arg, &a->tie, sizeof(a->tie));
	if (a->controlling == controlling)
		return;
	a->controlling = controlling;
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_ROLE,
	                                         .controlling = controlling,
	                                         .tie = a->tie,
	                                         .why = why });
	/* The duty to nominate moves with the role (ICE-090). */
	for (int i = 0; i < a->room.pairs; i++)
		a->pair[i].nominate = a->pair[i].told = false;
	for (unsigned s = 0; s < a->c.n_streams; s++)
		memset(a->stream[s].nominating, 0, sizeof(a->stream[s].nominating));
	pair_reprice(a);
}

/* ICE-127 to ICE-129: the candidate that the peer saw us at. */
static int seen_as(struct ice_agent *a, const struct pair *p, const struct endpoint *mapped,
                   uint32_t priority)
{
	const struct local *const l = &a->local[p->local];
	int i = local_at(a, p->stream, p->component, mapped, &l->base);

	if (i == NONE)
		i = local_at(a, p->stream, p->component, mapped, NULL);
	return i != NONE ? i : local_learn(a, p, mapped, priority);
}

/* ICE-128: the pair that is valid by this success. */
static int valid_of(struct ice_agent *a, int checked, int local)
{
	const struct pair *const p = &a->pair[checked];

	if (local == NONE || local == p->local)
		return checked;
	for (int i = 0; i < a->room.pairs; i++)
		if (a->pair[i].id && a->pair[i].stream == p->stream && a->pair[i].local == local &&
		    a->pair[i].remote == p->remote)
			return i;
	const int i = pair_add(a, p->stream, local, p->remote, false, "valid");

	return i != NONE ? i : checked;
}

/* false: nothing has come of it, the transaction goes on. */
static bool success(struct ice_agent *a, struct transaction *t, const struct stun_msg *m)
{
	const int checked = t->pair;
	struct pair *const p = &a->pair[checked];
	struct endpoint mapped;
	struct stun_attr attr;

	if (!stun_find(m, STUN_XOR_MAPPED_ADDRESS, &attr) || !stun_xor_addr(m, &attr, &mapped)) {
		trace_drop(a, t->via.base, &t->to, "no_mapped_address");
		return false;
	}
	rate_answered(a, &t->to.addr);
	if (t->sends == 1)
		p->rtt_ms = (uint32_t)(a->now_ms - t->first_ms);
	if (p->queued && !p->nominate && !p->told)
		queue_remove(a, checked); /* ICE-132 */
	const int local = seen_as(a, p, &mapped, t->priority);
	const int valid = valid_of(a, checked, local);

	pair_state(a, checked, ICE_SUCCEEDED, "response");
	pair_state(a, valid, ICE_SUCCEEDED, "response");
	p->valid_pair = valid;
	a->pair[valid].rtt_ms = p->rtt_ms;
	pair_unfreeze(a, checked);
	conclude_valid(a, valid);
	if ((t->use_candidate && a->controlling) || (p->told && !a->controlling))
		conclude_nominated(a, checked);
	return true;
}

/* The pair fails with its check, unless it has succeeded by another (ICE-102). */
static void pair_failed(struct ice_agent *a, const struct transaction *t, const char *why)
{
	if (t->use_candidate)
		conclude_nomination_failed(a, t->pair);
	else if (!t->cancelled && a->pair[t->pair].state == ICE_IN_PROGRESS)
		pair_state(a, t->pair, ICE_PAIR_FAILED, why);
}

/* ICE-086, ICE-087: by the role that the request was sent in. */
static void conflict(struct ice_agent *a, struct transaction *t)
{
	const int i = t->pair;

	if (t->controlling == a->controlling) {
		if (a->conflicts == CONFLICTS_MAX) { /* the peer refuses either role */
			pair_failed(a, t, "error");
			return;
		}
		a->conflicts++;
		role_switch(a, !t->controlling, true, "487");
	}
	if (a->pair[i].state == ICE_IN_PROGRESS)
		pair_state(a, i, ICE_WAITING, "conflict");
	if (a->pair[i].state != ICE_SUCCEEDED)
		queue_push(a, i, false);
}

static bool error(struct ice_agent *a, struct transaction *t, const struct stun_msg *m)
{
	struct stun_attr attr;
	const uint8_t *reason;
	size_t len;
	const unsigned code =
		stun_find(m, STUN_ERROR_CODE, &attr) ? stun_error_code(&attr, &reason, &len) : 0;

	if (code == 0 || code >= 500)
		return false;
	if (code == 487) {
		conflict(a, t);
		return true;
	}
	pair_failed(a, t, "error");
	return true;
}

void response_take(struct ice_agent *a, struct transaction *t, struct via via,
                   const struct endpoint *from, const struct stun_msg *m)
{
	const bool good = stun_class(m->type) == STUN_SUCCESS;
	struct pair *const p = &a->pair[t->pair];
	struct stun_marks marks;
	bool done = true;

	if (!stun_scan(m, &marks) || !message_verify(m, &marks, &a->stream[t->stream].now.theirs)) {
		a->unverified++; /* ICE-122 */
		trace_drop(a, via.base, from, "bad_integrity");
		return;
	}
	struct ice_trace_record r = { .event = ICE_TRACE_RX,
		                      .stream = t->stream,
		                      .component = p->component,
		                      .id = t->pair_id,
		                      .base = a->base[via.base].b.at,
		                      .peer = *from,
		                      .cls = (uint8_t)stun_class(m->type),
		                      .method = STUN_BINDING,
		                      .what = t->what,
		                      .verified = true,
		                      .use_candidate = t->use_candidate };

	memcpy(r.txid, t->txid, sizeof(r.txid));
	if (p->id && via.alloc != NONE)
		r.base = a->local[p->local].base;
	trace_put(a, &r);
	if (p->id != t->pair_id) {
		check_end(a, t);
		return;
	}
	if (!endpoint_equal(from, &t->to) || !via_equal(via, t->via)) { /* ICE-123 */
		p->asymmetric = true;
		pair_failed(a, t, "asymmetric");
	} else if (good) {
		done = success(a, t, m);
	} else {
		done = error(a, t, m);
	}
	if (done)
		check_end(a, t);
}
