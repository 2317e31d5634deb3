/* A check of the peer: answered at once, then learned from (ICE-134 to ICE-140, ICE-162, ICE-163).
 */
#include "control/ice/parts.h"
#include "wire/crc.h"

/* What a check may carry that must be understood. */
#define CHECK_KNOWN                                                          \
	(STUN_BIT(STUN_USERNAME) | STUN_BIT(STUN_MESSAGE_INTEGRITY) |        \
	 STUN_BIT(STUN_MESSAGE_INTEGRITY_SHA256) | STUN_BIT(STUN_PRIORITY) | \
	 STUN_BIT(STUN_USE_CANDIDATE))

struct check {
	struct via via;
	struct endpoint from;
	const struct stun_msg *m;
	struct stun_marks marks;
	unsigned stream, component;
	bool old;              /* of the generation before */
	const uint8_t *theirs; /* what the peer calls itself */
	size_t theirs_len;
	bool has_priority, use_candidate, has_controlling, has_controlled;
	uint32_t priority;
	uint16_t unknown; /* an attribute that had to be understood */
	uint64_t tie;
};

static void answer(struct ice_agent *a, const struct check *c, unsigned code, bool bare)
{
	struct answer w = { .via = c->via,
		            .to = c->from,
		            .code = (uint16_t)code,
		            .unknown = c->unknown,
		            .stream = (uint8_t)c->stream,
		            .old = c->old,
		            .bare = bare };

	if (a->n_answers == ANSWERS_MAX) {
		trace_drop(a, c->via.base, &c->from, "answers_full");
		return;
	}
	memcpy(w.txid, c->m->txid, sizeof(w.txid));
	a->answer[a->n_answers++] = w;
}

/* USERNAME is "ours:theirs"; which of our generations is meant? false: none. */
static bool find_generation(const struct ice_agent *a, struct check *c,
                            const struct stun_attr *name)
{
	const struct stream *const s = &a->stream[c->stream];
	const uint8_t *const colon = memchr(name->value, ':', name->len);
	const size_t len = colon ? (size_t)(colon - name->value) : 0;

	if (!colon)
		return false;
	c->theirs = colon + 1;
	c->theirs_len = name->len - len - 1;
	if (strlen(s->now.mine.ufrag) == len && memcmp(s->now.mine.ufrag, name->value, len) == 0)
		return true;
	c->old = true;
	return s->has_before && strlen(s->before.mine.ufrag) == len &&
	       memcmp(s->before.mine.ufrag, name->value, len) == 0;
}

static uint64_t tie_of(const struct stun_attr *attr)
{
	return (uint64_t)be32_load(attr->value) << 32 | be32_load(attr->value + 4);
}

static void read(struct check *c)
{
	struct stun_iter it = stun_attrs(c->m);
	struct stun_attr attr;

	while (stun_next_counted(&it, &attr)) {
		if (attr.type == STUN_PRIORITY && !c->has_priority)
			c->has_priority = stun_u32(&attr, &c->priority);
		else if (attr.type == STUN_USE_CANDIDATE)
			c->use_candidate = true;
		else if (attr.type == STUN_ICE_CONTROLLING && attr.len == 8) {
			c->has_controlling = true;
			c->tie = tie_of(&attr);
		} else if (attr.type == STUN_ICE_CONTROLLED && attr.len == 8) {
			c->has_controlled = true;
			c->tie = tie_of(&attr);
		}
	}
}

/* 0, or the code of the refusal; *bare: we do not know who asks. */
static unsigned judge(struct ice_agent *a, struct check *c, bool *bare)
{
	const struct stream *const s = &a->stream[c->stream];
	struct stun_unknown unknown = { .any = false };
	struct stun_attr name;

	*bare = true;
	if (!stun_find(c->m, STUN_USERNAME, &name) || !c->marks.integrity.value)
		return 400;
	if (!find_generation(a, c, &name) ||
	    !message_verify(c->m, &c->marks, c->old ? &s->before.mine : &s->now.mine))
		return 401;
	*bare = false;
	if (stun_unknown(c->m, CHECK_KNOWN, &unknown)) {
		c->unknown = unknown.type[0];
		return 420;
	}
	read(c);
	if (c->has_controlling && c->has_controlled)
		return 400; /* ICE-089 */
	if (!c->has_priority && !a->c.lite)
		return 400; /* ICE-137 */
	return 0;
}

/* ICE-084, ICE-085, ICE-091. true: the peer has to give way. */
static bool repair(struct ice_agent *a, const struct check *c)
{
	if (a->c.lite) {
		if (c->has_controlled && !a->controlling && !a->their_lite)
			return true;
		return false;
	}
	if (a->controlling && c->has_controlling) {
		if (a->tie >= c->tie)
			return true;
		role_switch(a, false, false, "request");
	} else if (!a->controlling && c->has_controlled) {
		if (a->tie < c->tie)
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
	else if (!p->queued)
		queue_push(a, pair, false);
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
	if (s->list == LIST_FAILED && a->state != ICE_FAILED) {
		trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_LIST,
		                                         .stream = p->stream,
		                                         .from = LIST_FAILED,
		                                         .to = LIST_RUNNING,
		                                         .why = "trigger" });
		s->list = LIST_RUNNING;
	}
}

/* What a good check teaches: its sender is a candidate, its way a pair. */
static void learn(struct ice_agent *a, unsigned stream, int local, const struct endpoint *from,
                  uint32_t priority, bool use_candidate)
{
	struct stream *const s = &a->stream[stream];
	const unsigned component = a->local[local].c.component;
	int remote = remote_at(s, component, ICE_UDP, from), i;

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
	const unsigned n = s->n_early;

	s->n_early = 0;
	for (unsigned i = 0; i < n; i++)
		if (a->local[s->early[i].local].id)
			learn(a, stream, s->early[i].local, &s->early[i].from, s->early[i].priority,
			      s->early[i].use_candidate);
}

/* ICE-163: the peer decides, this agent only follows. */
static void follow(struct ice_agent *a, const struct check *c, int local)
{
	struct stream *const s = &a->stream[c->stream];
	int remote = remote_at(s, c->component, ICE_UDP, &c->from), i;

	i = pair_find(a, c->stream, c->via, c->component, &c->from);
	if (i == NONE && !c->use_candidate)
		return;
	if (remote == NONE)
		remote = remote_learn(a, c->stream, c->component, &c->from,
		                      c->has_priority && c->priority ? c->priority : 1);
	if (i == NONE && remote != NONE)
		i = pair_add(a, c->stream, local, remote, true, "followed");
	if (i == NONE)
		return;
	a->pair[i].heard = true;
	if (!c->use_candidate)
		return;
	pair_state(a, i, ICE_SUCCEEDED, "followed");
	a->pair[i].valid_pair = i;
	if (s->done[c->component - 1]) {
		renominate(a, c->stream, c->component, i);
		return;
	}
	conclude_valid(a, i);
	conclude_nominated(a, i);
}

static void accept(struct ice_agent *a, const struct check *c, int local)
{
	struct stream *const s = &a->stream[c->stream];
	const struct credentials *const theirs = &s->now.theirs;

	if (a->c.lite) {
		follow(a, c, local);
		return;
	}
	if (!theirs->set) { /* ICE-136 */
		if (s->n_early < EARLY_MAX)
			s->early[s->n_early++] =
				(struct early){ local, c->from, c->priority, c->use_candidate };
		return;
	}
	if (c->theirs_len != strlen(theirs->ufrag) ||
	    memcmp(c->theirs, theirs->ufrag, c->theirs_len) != 0) {
		trace_drop(a, c->via.base, &c->from, "other_ufrag"); /* ICE-140 */
		return;
	}
	learn(a, c->stream, local, &c->from, c->priority, c->use_candidate);
}

static void trace_rx(struct ice_agent *a, const struct check *c, int local)
{
	struct ice_trace_record r = {
		.event = ICE_TRACE_RX,
		.stream = (uint8_t)c->stream,
		.component = (uint8_t)c->component,
		.base = a->local[local].base,
		.peer = c->from,
		.cls = STUN_REQUEST,
		.method = STUN_BINDING,
		.verified = true,
		.controlling = c->has_controlling,
		.use_candidate = c->use_candidate,
		.tie = c->tie,
		.priority = c->priority,
	};

	memcpy(r.txid, c->m->txid, sizeof(r.txid));
	trace_put(a, &r);
}

enum ice_input request_take(struct ice_agent *a, struct via via, const struct endpoint *from,
                            const struct stun_msg *m)
{
	const struct ice_base *const b = &a->base[via.base].b;
	struct check c = {
		.via = via, .from = *from, .m = m, .stream = b->stream, .component = b->component
	};
	unsigned code;
	bool bare;

	if (!stun_scan(m, &c.marks) ||
	    stun_fingerprint_check(m, &c.marks) != STUN_FINGERPRINT_RIGHT) {
		trace_drop(a, via.base, from, "no_fingerprint");
		return ICE_DROPPED;
	}
	const int local = local_of_via(a, c.stream, via, addr_family(&from->addr));

	if (local == NONE) {
		trace_drop(a, via.base, from, "no_candidate");
		return ICE_DROPPED;
	}
	code = judge(a, &c, &bare);
	if (code == 0)
		trace_rx(a, &c, local);
	if (code == 0 && !c.old && repair(a, &c))
		code = 487;
	answer(a, &c, code, bare);
	if (code) {
		trace_drop(a, via.base, from, code == 487 ? "conflict" : "refused");
		return ICE_TAKEN;
	}
	if (!c.old)
		accept(a, &c, local);
	return ICE_TAKEN;
}
