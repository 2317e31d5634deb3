/* A check of the peer: answered at once, then learned from (ICE-134 to ICE-140, ICE-162, ICE-163).
 */
#include "control/ice/parts.h"
#include "wire/check.h"
#include "wire/crc.h"

struct request {
	struct via via;
	struct endpoint from;
	struct check c;
	unsigned stream, component;
	bool old; /* of the generation before */
};

static void answer(struct ice_agent *a, const struct request *q, unsigned code)
{
	struct answer w = { .via = q->via,
		            .to = q->from,
		            .code = (uint16_t)code,
		            .unknown = q->c.unknown,
		            .stream = (uint8_t)q->stream,
		            .old = q->old,
		            .bare = !q->c.verified };

	if (a->n_answers == a->room.answers) {
		trace_drop(a, q->via.base, &q->from, "answers_full");
		return;
	}
	memcpy(w.txid, q->c.msg->txid, sizeof(w.txid));
	a->answer[a->n_answers++] = w;
}

static bool is_for(const struct credentials *mine, const struct check *c)
{
	return check_is_for(c, mine->ufrag, strlen(mine->ufrag));
}

/* 0, or the code of the refusal. Which of our generations is meant? */
static unsigned judge(const struct ice_agent *a, struct request *q)
{
	const struct stream *const s = &a->stream[q->stream];
	const struct crypto_hmac_sha1 *key = NULL;
	unsigned code;

	if (is_for(&s->now.mine, &q->c)) {
		key = &s->now.mine.key;
	} else if (s->has_before && is_for(&s->before.mine, &q->c)) {
		q->old = true;
		key = &s->before.mine.key;
	}
	code = check_judge(&q->c, key);
	if (code == 0 && !q->c.has_priority && !a->c.lite)
		return 400; /* ICE-137 */
	return code;
}

/* ICE-084, ICE-085, ICE-091. true: the peer has to give way. */
static bool repair(struct ice_agent *a, const struct request *q)
{
	if (a->c.lite) {
		return q->c.has_controlled && !a->controlling && a->has_remote && !a->their_lite;
	}
	if (a->controlling && q->c.has_controlling) {
		if (a->tie >= q->c.tie)
			return true;
		role_switch(a, false, false, "request");
	} else if (!a->controlling && q->c.has_controlled) {
		if (a->tie < q->c.tie)
			return true;
		role_switch(a, true, false, "request");
	}
	return false;
}

/* ICE-147, ICE-148: the component is decided, and the peer names another pair. */
static void renominate(struct ice_agent *a, unsigned stream, unsigned component, int pair)
{
	const struct stream *const s = &a->stream[stream];
	const struct pair *const p = &a->pair[pair];
	const int selected = s->path[component - 1].pair;

	if (a->controlling || (s->now.theirs_ice2 && !a->c.lite) || pair == selected)
		return;
	if (selected != NONE && s->list != LIST_COMPLETED &&
	    a->pair[selected].priority > p->priority)
		return;
	if (p->state == ICE_SUCCEEDED)
		path_select(a, stream, component, pair);
	else if (s->list != LIST_COMPLETED || !a->free_ms) {
		/* Right after the end it is a check on its way of a peer that names each pair. */
		pair_state(a, pair, ICE_WAITING, "trigger");
		queue_push(a, pair, false);
	}
}

/* ICE-138: what the peer reached us by is tried the other way at once. */
static void trigger(struct ice_agent *a, int i, bool use_candidate)
{
	struct pair *const p = &a->pair[i];
	struct stream *const s = &a->stream[p->stream];

	if (use_candidate && !a->controlling)
		p->told = true;
	if (s->done[p->component - 1]) {
		if (use_candidate)
			renominate(a, p->stream, p->component, i);
		return;
	}
	if (p->state == ICE_SUCCEEDED) {
		if (p->told && !a->controlling)
			conclude_nominated(a, i);
		return;
	}
	if (p->state == ICE_IN_PROGRESS)
		check_cancel(a, i); /* ICE-139 */
	pair_state(a, i, ICE_WAITING, "trigger");
	queue_push(a, i, false);
	if (s->list == LIST_FAILED) {
		trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_LIST,
		                                         .stream = p->stream,
		                                         .from = LIST_FAILED,
		                                         .to = LIST_RUNNING,
		                                         .why = "trigger" });
		s->list = LIST_RUNNING;
		if (a->state == ICE_FAILED)
			agent_state(a, ICE_RUNNING, ICE_WHY_NONE);
	}
}

/* What a good check teaches: its sender is a candidate, its way a pair. */
static void learn(struct ice_agent *a, unsigned stream, int local, const struct endpoint *from,
                  uint32_t priority, bool use_candidate)
{
	struct stream *const s = &a->stream[stream];
	const unsigned component = a->local[local].c.component;
	int remote = remote_at(a, s, component, ICE_UDP, from), i;

	i = pair_find(a, stream, a->local[local].via, component, from);
	if (i == NONE && s->done[component - 1] && !use_candidate)
		return;
	if (remote == NONE)
		remote = remote_learn(a, stream, component, from, priority ? priority : 1);
	if (remote == NONE)
		return;
	if (i == NONE)
		i = pair_add(a, stream, local, remote, true, "triggered");
	if (i == NONE)
		return;
	a->pair[i].heard = true;
	trigger(a, i, use_candidate);
}

void request_replay_early(struct ice_agent *a, unsigned stream)
{
	struct stream *const s = &a->stream[stream];
	const char *const ufrag = s->now.theirs.ufrag;
	const uint32_t theirs = crc32_ieee((const uint8_t *)ufrag, strlen(ufrag));
	const unsigned n = s->n_early;

	s->n_early = 0;
	for (unsigned i = 0; i < n; i++)
		if (a->local[s->early[i].local].id && s->early[i].theirs == theirs)
			learn(a, stream, s->early[i].local, &s->early[i].from, s->early[i].priority,
			      s->early[i].use_candidate);
}

/* ICE-163: the peer decides, this agent only follows. `moved`: it decided by being elsewhere. */
static void follow_to(struct ice_agent *a, const struct request *q, int local, bool moved)
{
	struct stream *const s = &a->stream[q->stream];
	int remote = remote_at(a, s, q->component, ICE_UDP, &q->from), i;

	i = pair_find(a, q->stream, q->via, q->component, &q->from);
	if (i == NONE && !q->c.use_candidate && !moved)
		return;
	if (remote == NONE)
		remote = remote_learn(a, q->stream, q->component, &q->from,
		                      q->c.has_priority && q->c.priority ? q->c.priority : 1);
	if (i == NONE && remote != NONE)
		i = pair_add(a, q->stream, local, remote, true, "followed");
	if (i == NONE)
		return;
	a->pair[i].heard = true;
	if (!q->c.use_candidate && !moved)
		return;
	pair_state(a, i, ICE_SUCCEEDED, "followed");
	a->pair[i].valid_pair = i;
	if (s->done[q->component - 1]) {
		if (moved)
			path_select(a, q->stream, q->component, i);
		else
			renominate(a, q->stream, q->component, i);
		return;
	}
	conclude_valid(a, i);
	conclude_nominated(a, i);
}

static void follow(struct ice_agent *a, const struct request *q, int local)
{
	follow_to(a, q, local, path_heard(a, q->stream, q->component, q->via, &q->from));
}

void request_follow(struct ice_agent *a)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 1; c <= a->stream[s].n_components; c++) {
			const struct path *const p = &a->stream[s].path[c - 1];
			const struct request q = {
				.via = p->other_via, .from = p->other, .stream = s, .component = c
			};
			int local;

			if (!path_follow_due(a, s, c))
				continue;
			local = local_of_via(a, s, q.via, addr_family(&q.from.addr));
			if (local != NONE)
				follow_to(a, &q, local, true);
		}
}

/* ICE-136: until it is known whose they are. */
static void keep_early(struct ice_agent *a, struct stream *s, const struct request *q, int local)
{
	const struct early e = { .local = (int16_t)local,
		                 .from = q->from,
		                 .priority = q->c.priority,
		                 .use_candidate = q->c.use_candidate,
		                 .theirs = crc32_ieee(q->c.theirs, q->c.theirs_len) };

	for (unsigned i = 0; i < s->n_early; i++)
		if (s->early[i].local == local && s->early[i].theirs == e.theirs &&
		    endpoint_equal(&s->early[i].from, &q->from)) {
			s->early[i].use_candidate |= e.use_candidate;
			return;
		}
	if (s->n_early < a->room.early)
		s->early[s->n_early++] = e;
	else
		trace_drop(a, q->via.base, &q->from, "early_full");
}

/* ICE-140: it knows our credentials, but is not whom the description spoke for. */
static bool stranger(const struct ice_agent *a, const struct request *q)
{
	const struct their_credentials *const theirs = &a->stream[q->stream].now.theirs;

	return !a->c.lite && theirs->set && !q->old &&
	       (q->c.theirs_len != strlen(theirs->ufrag) ||
	        memcmp(q->c.theirs, theirs->ufrag, q->c.theirs_len) != 0);
}

/* ICE-215: nothing goes there, not even an answer. */
static bool off_policy(const struct ice_agent *a, struct via via, const struct endpoint *from)
{
	return (a->c.policy == ICE_RELAY_ONLY && via.alloc == NONE) ||
	       !candidate_allowed(a, &from->addr);
}

static void accept(struct ice_agent *a, const struct request *q, int local)
{
	struct stream *const s = &a->stream[q->stream];
	const struct their_credentials *const theirs = &s->now.theirs;

	if (a->c.lite) {
		follow(a, q, local);
		return;
	}
	if (!theirs->set) {
		keep_early(a, s, q, local);
		return;
	}
	learn(a, q->stream, local, &q->from, q->c.priority, q->c.use_candidate);
}

static void trace_rx(struct ice_agent *a, const struct request *q, int local)
{
	struct ice_trace_record r = {
		.event = ICE_TRACE_RX,
		.stream = (uint8_t)q->stream,
		.component = (uint8_t)q->component,
		.base = a->local[local].base,
		.peer = q->from,
		.cls = STUN_REQUEST,
		.method = STUN_BINDING,
		.verified = true,
		.controlling = q->c.has_controlling,
		.use_candidate = q->c.use_candidate,
		.tie = q->c.tie,
		.priority = q->c.priority,
	};

	memcpy(r.txid, q->c.msg->txid, sizeof(r.txid));
	trace_put(a, &r);
}

enum ice_input request_take(struct ice_agent *a, struct via via, const struct endpoint *from,
                            const struct stun_msg *m)
{
	const struct ice_base *const b = &a->base[via.base].b;
	struct request q = {
		.via = via, .from = *from, .stream = b->stream, .component = b->component
	};
	unsigned code;

	if (!check_read(m, &q.c)) {
		trace_drop(a, via.base, from, "no_fingerprint");
		return ICE_DROPPED;
	}
	const int local = local_of_via(a, q.stream, via, addr_family(&from->addr));

	if (local == NONE) {
		trace_drop(a, via.base, from, "no_candidate");
		return ICE_DROPPED;
	}
	if (off_policy(a, via, from)) {
		trace_drop(a, via.base, from, "off_policy");
		return ICE_DROPPED;
	}
	code = judge(a, &q);
	if (code == 0)
		trace_rx(a, &q, local);
	if (code == 0 && stranger(a, &q)) {
		answer(a, &q, 0);
		trace_drop(a, via.base, from, "other_ufrag");
		return ICE_TAKEN;
	}
	if (code == 0 && !q.c.has_controlling && !q.c.has_controlled)
		trace_count(a, "no_role"); /* ICE-089 */
	if (code == 0 && !q.old && repair(a, &q))
		code = 487;
	answer(a, &q, code);
	if (code) {
		trace_drop(a, via.base, from, code == 487 ? "conflict" : "refused");
		return ICE_TAKEN;
	}
	if (!q.old)
		accept(a, &q, local);
	return ICE_TAKEN;
}
