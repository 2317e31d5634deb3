/* Nomination, completion, failure (ICE-141 to ICE-160). */
#include "control/ice/parts.h"

enum { FREE_AFTER_MS = 3000, PATIENCE_MIN_MS = 100 };

static const char *const reasons[] = {
	[ICE_WHY_NONE] = "",
	[ICE_WHY_NO_LOCAL] = "no candidates could be gathered here",
	[ICE_WHY_NO_REMOTE] = "the other side sent no candidates",
	[ICE_WHY_NO_ANSWER] = "no answer came over any path",
	[ICE_WHY_ASYMMETRIC] = "answers came back only from other addresses than were asked",
	[ICE_WHY_NEVER_NOMINATED] = "paths work, but the other side never chose one",
	[ICE_WHY_NOMINATION_LOST] =
		"paths worked, but the chosen one went dead before it was agreed on",
	[ICE_WHY_CONSENT_LOST] = "the other side has not answered for 30 seconds",
	[ICE_WHY_REVOKED] = "the other side has ended its consent",
	[ICE_WHY_ROLE] = "both sides keep claiming the same role",
	[ICE_WHY_CREDENTIALS] = "the other side uses other credentials than it sent",
	[ICE_WHY_BASE_GONE] = "the local address of the path is gone",
	[ICE_WHY_ALLOCATION_LOST] = "the relay has dropped the allocation of the path",
	[ICE_WHY_CLOSED] = "closed here",
};

const char *ice_reason_text(enum ice_reason why)
{
	return reasons[why];
}

void agent_state(struct ice_agent *a, enum ice_state to, enum ice_reason why)
{
	if (a->state == to)
		return;
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_SESSION,
	                                         .from = (uint8_t)a->state,
	                                         .to = (uint8_t)to,
	                                         .why = ice_reason_text(why) });
	a->state = to;
	a->why = why;
	agent_tell(a, &(struct told){ .kind = ICE_EVENT_STATE, .state = to, .why = why });
}

static void list_state(struct ice_agent *a, unsigned stream, enum list_state to, const char *why)
{
	struct stream *const s = &a->stream[stream];

	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_LIST,
	                                         .stream = (uint8_t)stream,
	                                         .from = s->list,
	                                         .to = (uint8_t)to,
	                                         .why = why });
	s->list = (uint8_t)to;
}

/* --- valid pairs --- */

static int best_valid(const struct ice_agent *a, unsigned stream, unsigned component)
{
	int best = NONE;

	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (p->id && p->valid && p->stream == stream && p->component == component &&
		    (best == NONE || p->priority > a->pair[best].priority))
			best = i;
	}
	return best;
}

/* The pair whose check made `valid` so. */
static int checked_of(const struct ice_agent *a, int valid)
{
	for (int i = 0; i < a->room.pairs; i++)
		if (a->pair[i].id && a->pair[i].listed && a->pair[i].valid_pair == valid)
			return i;
	return NONE;
}

void conclude_valid(struct ice_agent *a, int valid)
{
	struct pair *const p = &a->pair[valid];
	struct stream *const s = &a->stream[p->stream];
	bool all = true;

	if (!p->valid)
		trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_VALID,
		                                         .stream = p->stream,
		                                         .component = p->component,
		                                         .id = p->id,
		                                         .at = a->local[p->local].c.at,
		                                         .peer = s->remote[p->remote].c.at,
		                                         .pair_priority = p->priority,
		                                         .why = "added" });
	p->valid = true;
	if (!s->first_valid_ms[p->component - 1])
		s->first_valid_ms[p->component - 1] = a->now_ms;
	for (unsigned c = 0; c < s->n_components; c++)
		all &= s->first_valid_ms[c] != 0;
	if (all && !s->all_valid_ms)
		s->all_valid_ms = a->now_ms;
}

/* --- nomination by the controlling agent (ICE-141) --- */

static bool relayed(const struct ice_agent *a, const struct pair *p)
{
	return a->local[p->local].via.alloc != NONE ||
	       a->stream[p->stream].remote[p->remote].c.type == ICE_RELAY;
}

static bool direct(const struct ice_agent *a, const struct pair *p)
{
	return a->local[p->local].c.type == ICE_HOST &&
	       a->stream[p->stream].remote[p->remote].c.type == ICE_HOST;
}

/* A pair that would be better may still come; *asked: each such pair has been, once at least. */
static bool better_open(const struct ice_agent *a, const struct pair *than, bool *asked)
{
	bool open = false;

	*asked = true;
	for (int i = 0; i < a->room.pairs; i++) {
		const struct pair *const p = &a->pair[i];

		if (p->id && p->listed && p->stream == than->stream &&
		    p->component == than->component && p->priority > than->priority &&
		    p->state != ICE_SUCCEEDED && p->state != ICE_PAIR_FAILED) {
			open = true;
			*asked = *asked && p->state == ICE_IN_PROGRESS;
		}
	}
	return open;
}

/*
 * How long better pairs are given after the first valid one. A direct one that works answers in the
 * time of the others: once all have been asked, a few times that is enough, and at most the
 * setting. By a relay there is always an answer, while NATs are still being opened: the whole
 * setting.
 */
static uint64_t patience_ms(const struct ice_agent *a, const struct pair *best, bool asked)
{
	const int checked = checked_of(a, (int)(best - a->pair));
	const uint32_t rtt_ms = checked == NONE ? 0 : a->pair[checked].rtt_ms;
	const uint32_t enough_ms = 4 * rtt_ms > PATIENCE_MIN_MS ? 4 * rtt_ms : PATIENCE_MIN_MS;

	if (relayed(a, best))
		return a->c.nominate_relay_ms;
	return asked && enough_ms < a->c.nominate_ms ? enough_ms : a->c.nominate_ms;
}

/* When the choice is due; UINT64_MAX: there is none to make. */
static uint64_t choice_ms(const struct ice_agent *a, unsigned stream, unsigned component)
{
	const struct stream *const s = &a->stream[stream];
	bool asked;
	int best;

	if (!a->controlling || a->c.lite || s->list != LIST_RUNNING || s->done[component - 1] ||
	    s->nominating[component - 1])
		return UINT64_MAX;
	best = best_valid(a, stream, component);
	if (best == NONE)
		return UINT64_MAX;
	const struct pair *const p = &a->pair[best];

	if (direct(a, p) || !better_open(a, p, &asked))
		return a->now_ms;
	return s->first_valid_ms[component - 1] + patience_ms(a, p, asked);
}

static void choose(struct ice_agent *a, unsigned stream, unsigned component)
{
	const int valid = best_valid(a, stream, component);
	const int i = checked_of(a, valid);

	if (i == NONE)
		return;
	a->stream[stream].nominating[component - 1] = true;
	a->pair[i].nominate = true;
	queue_push(a, i, true);
}

static bool all_lists(const struct ice_agent *a, enum list_state state)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		if (a->stream[s].list != state)
			return false;
	return true;
}

bool conclude_all_done(const struct ice_agent *a, unsigned stream)
{
	const struct stream *const s = &a->stream[stream];

	for (unsigned c = 0; c < s->n_components; c++)
		if (!s->done[c])
			return false;
	return true;
}

static void complete(struct ice_agent *a, unsigned stream)
{
	if (!conclude_all_done(a, stream))
		return;
	list_state(a, stream, LIST_COMPLETED, "nominated");
	if (!all_lists(a, LIST_COMPLETED))
		return;
	a->free_ms = a->now_ms + FREE_AFTER_MS;
	for (unsigned i = 0; i < a->c.n_streams; i++)
		if (a->stream[i].has_before)
			a->stream[i].before_until_ms = a->now_ms + FREE_AFTER_MS;
	agent_state(a, ICE_COMPLETED, ICE_WHY_NONE);
}

/* ICE-149: nothing else of the component is tried any more. */
static void forget_others(struct ice_agent *a, unsigned stream, unsigned component, int checked,
                          int valid)
{
	for (int i = 0; i < a->room.pairs; i++)
		if (a->pair[i].id && a->pair[i].stream == stream &&
		    a->pair[i].component == component && i != checked && i != valid)
			pair_drop(a, i, "concluded");
	check_cancel(a, checked);
	queue_remove(a, checked);
}

void conclude_nominated(struct ice_agent *a, int checked)
{
	const int valid = a->pair[checked].valid_pair;
	const unsigned stream = a->pair[checked].stream, component = a->pair[checked].component;
	struct stream *const s = &a->stream[stream];

	if (valid == NONE)
		return;
	if (s->done[component - 1]) { /* a nomination that follows another: ICE-148 */
		path_select(a, stream, component, valid);
		return;
	}
	a->pair[checked].nominate = false;
	a->pair[valid].nominated = true;
	s->nominating[component - 1] = false;
	s->done[component - 1] = true;
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_NOMINATED,
	                                         .stream = (uint8_t)stream,
	                                         .component = (uint8_t)component,
	                                         .id = a->pair[valid].id });
	forget_others(a, stream, component, checked, valid);
	path_select(a, stream, component, valid);
	complete(a, stream);
}

/* ICE-144: the next valid pair gets its turn. */
void conclude_nomination_failed(struct ice_agent *a, int checked)
{
	struct pair *const p = &a->pair[checked];
	struct stream *const s = &a->stream[p->stream];
	const int valid = p->valid_pair;

	s->nominating[p->component - 1] = false;
	s->nomination_lost = true;
	p->nominate = false;
	if (valid != NONE && a->pair[valid].valid) {
		a->pair[valid].valid = false;
		trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_VALID,
		                                         .stream = p->stream,
		                                         .component = p->component,
		                                         .id = a->pair[valid].id,
		                                         .why = "nomination_failed" });
		if (valid != checked)
			pair_state(a, valid, ICE_PAIR_FAILED, "nomination_failed");
	}
	p->valid_pair = NONE;
	pair_state(a, checked, ICE_PAIR_FAILED, "nomination_failed");
	if (best_valid(a, p->stream, p->component) == NONE) {
		s->first_valid_ms[p->component - 1] = 0;
		s->all_valid_ms = 0;
	}
}

/* --- failure (ICE-154 to ICE-160) --- */

static enum ice_reason why_failed(const struct ice_agent *a, unsigned stream)
{
	const struct stream *const s = &a->stream[stream];
	bool asymmetric = false, remote = false, local = false;

	for (int i = 0; i < a->room.pairs; i++)
		asymmetric |= a->pair[i].id && a->pair[i].asymmetric;
	for (int i = 0; i < a->room.remotes; i++)
		remote |= s->remote[i].id != 0;
	for (int i = 0; i < a->room.locals; i++)
		local |= a->local[i].id && !a->local[i].hidden && a->local[i].stream == stream;
	if (!local)
		return ICE_WHY_NO_LOCAL;
	if (!remote)
		return ICE_WHY_NO_REMOTE;
	if (s->nomination_lost)
		return ICE_WHY_NOMINATION_LOST;
	if (asymmetric)
		return ICE_WHY_ASYMMETRIC;
	if (a->conflicts == CONFLICTS_MAX)
		return ICE_WHY_ROLE;
	return a->unverified ? ICE_WHY_CREDENTIALS : ICE_WHY_NO_ANSWER;
}

static bool list_lost(const struct ice_agent *a, unsigned stream)
{
	const struct stream *const s = &a->stream[stream];
	bool all = true;

	if (s->list != LIST_RUNNING || !a->pac_ms || a->now_ms < a->pac_ms || a->c.lite ||
	    a->gathering)
		return false;
	for (int i = 0; i < a->room.pairs; i++)
		if (a->pair[i].id && a->pair[i].listed && a->pair[i].stream == stream &&
		    a->pair[i].state != ICE_SUCCEEDED && a->pair[i].state != ICE_PAIR_FAILED)
			return false;
	for (unsigned c = 1; c <= s->n_components; c++)
		all &= s->done[c - 1] || best_valid(a, stream, c) != NONE;
	return !all;
}

static bool old_path_lives(const struct ice_agent *a)
{
	for (unsigned s = 0; s < a->c.n_streams; s++)
		for (unsigned c = 0; c < a->c.n_components; c++)
			if (a->stream[s].old_path[c].live && !a->stream[s].old_path[c].lost)
				return true;
	return false;
}

static void fail_list(struct ice_agent *a, unsigned stream)
{
	const enum ice_reason why = why_failed(a, stream);

	list_state(a, stream, LIST_FAILED, ice_reason_text(why));
	agent_tell(a, &(struct told){ .kind = ICE_EVENT_STREAM_FAILED,
	                              .stream = (uint8_t)stream,
	                              .why = why });
	if (!all_lists(a, LIST_FAILED))
		return;
	/* ICE-174: a restart that fails keeps the call. */
	agent_state(a, old_path_lives(a) ? ICE_COMPLETED : ICE_FAILED, why);
}

/* --- everything that time brings --- */

static void end_before(struct ice_agent *a, unsigned stream)
{
	struct stream *const s = &a->stream[stream];

	s->has_before = false;
	s->before_until_ms = 0;
	crypto_wipe(&s->before, sizeof(s->before));
	memset(s->old_path, 0, a->c.n_components * sizeof(*s->old_path));
}

void conclude_run(struct ice_agent *a)
{
	if (a->state == ICE_CLOSED)
		return;
	check_expire(a);
	if (a->c.lite)
		request_follow(a);
	for (unsigned i = 0; i < a->c.n_streams; i++) {
		struct stream *const s = &a->stream[i];

		for (unsigned c = 1; c <= s->n_components; c++)
			if (choice_ms(a, i, c) <= a->now_ms)
				choose(a, i, c);
		if (list_lost(a, i))
			fail_list(a, i);
		if (s->has_before && s->before_until_ms && s->before_until_ms <= a->now_ms)
			end_before(a, i);
		if (!a->controlling && s->list == LIST_RUNNING && s->all_valid_ms && !a->c.lite &&
		    a->state == ICE_RUNNING &&
		    a->now_ms >= s->all_valid_ms + a->c.wait_nomination_ms)
			agent_state(a, ICE_FAILED, ICE_WHY_NEVER_NOMINATED);
	}
	if (a->free_ms && a->free_ms <= a->now_ms) {
		a->free_ms = 0;
		gather_free_unused(a);
	}
}

static void sooner(uint64_t *next, uint64_t ms)
{
	if (ms < *next)
		*next = ms;
}

uint64_t conclude_next_ms(const struct ice_agent *a)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < a->c.n_streams; i++) {
		const struct stream *const s = &a->stream[i];

		for (unsigned c = 1; c <= s->n_components; c++)
			sooner(&next, choice_ms(a, i, c));
		if (s->has_before && s->before_until_ms)
			sooner(&next, s->before_until_ms);
		if (!a->controlling && s->list == LIST_RUNNING && s->all_valid_ms && !a->c.lite &&
		    a->state == ICE_RUNNING)
			sooner(&next, s->all_valid_ms + a->c.wait_nomination_ms);
		if (s->list == LIST_RUNNING && a->pac_ms > a->now_ms)
			sooner(&next, a->pac_ms);
	}
	if (a->free_ms)
		sooner(&next, a->free_ms);
	return next;
}
