/* Descriptions: ours out, the other side's in (ICE-052 to ICE-058, ICE-072 to ICE-077). */
#include "control/ice/parts.h"

/* ICE-076. */
static const struct local *default_of(const struct ice_agent *a, unsigned stream,
                                      unsigned component)
{
	static const uint8_t order[ICE_TYPES] = {
		[ICE_RELAY] = 3, [ICE_SRFLX] = 2, [ICE_HOST] = 1
	};
	const struct local *best = NULL;

	for (int i = 0; i < a->room.locals; i++) {
		const struct local *const l = &a->local[i];

		if (!l->id || l->hidden || l->stream != stream || l->c.component != component ||
		    l->c.type == ICE_PRFLX)
			continue;
		if (!best || order[l->c.type] > order[best->c.type] ||
		    (order[l->c.type] == order[best->c.type] && l->c.priority > best->c.priority))
			best = l;
	}
	return best;
}

void ice_local(struct ice_agent *a, struct ice_description *out)
{
	*out = (struct ice_description){ .lite = a->c.lite,
		                         .ice2 = true,
		                         .trickle = a->c.trickle,
		                         .pacing_ms = a->c.lite ? 0 : a->c.ta_ms,
		                         .n_streams = a->c.n_streams };
	/* The lists that the peer's description began were empty: now they begin (ICE-098). */
	const bool begins = a->has_remote && !a->described;

	for (unsigned s = 0; s < a->c.n_streams; s++) {
		struct ice_stream_description *const d = &out->stream[s];
		const struct stream *const mine = &a->stream[s];

		memcpy(d->mid, mine->mid, sizeof(d->mid));
		memcpy(d->ufrag, mine->now.mine.ufrag, sizeof(mine->now.mine.ufrag));
		memcpy(d->pwd, mine->now.mine.pwd, sizeof(mine->now.mine.pwd));
		d->n_components = a->c.n_components;
		d->mismatch = mine->mismatch;
		d->end_of_candidates = a->gathered || a->c.lite;
		for (unsigned c = 1; c <= a->c.n_components; c++) {
			const struct local *const l = default_of(a, s, c);

			if (l)
				d->chosen[c - 1] = l->c.at;
		}
		for (int i = 0; i < a->room.locals && !mine->mismatch; i++) {
			struct local *const l = &a->local[i];

			if (!l->id || l->hidden || l->stream != s || l->c.type == ICE_PRFLX ||
			    d->n_candidates == ICE_CANDIDATES_MAX)
				continue;
			l->signalled = true;
			d->candidate[d->n_candidates++] = l->c;
			if (a->c.policy == ICE_RELAY_ONLY) /* ICE-215 */
				d->candidate[d->n_candidates - 1].related.port = 0;
		}
		if (begins)
			a->stream[s].formed = false;
		if (mine->now.theirs.set)
			pair_form(a, s);
	}
	a->described = true;
	agree_describe(a, out);
	if (!begins)
		return;
	pair_begin(a);
	a->pac_ms = a->now_ms + a->c.pac_ms; /* ICE-155: both have spoken */
	agree_run(a, NULL);
}

bool ice_local_key(const struct ice_agent *a, unsigned stream, bool before, struct ice_key *out)
{
	const struct stream *const s = &a->stream[stream];
	const struct credentials *const c = before ? &s->before.mine : &s->now.mine;

	if (before && !s->has_before)
		return false;
	*out = (struct ice_key){ c->ufrag, c->key };
	return true;
}

/* --- remote side --- */

/* ICE-072. */
static bool mismatched(const struct ice_stream_description *d)
{
	for (unsigned c = 0; c < ICE_COMPONENTS_MAX && c < d->n_components; c++) {
		const struct endpoint *const to = &d->chosen[c];
		bool found = to->port == 0;
		uint8_t any = 0;

		for (unsigned k = addr_is4(&to->addr) ? 12 : 0; k < 16; k++)
			any |= to->addr.ip[k];
		found |= to->port == 9 && !any;
		for (unsigned i = 0; i < d->n_candidates && !found; i++)
			found = d->candidate[i].component == c + 1 &&
			        endpoint_equal(&d->candidate[i].at, to);
		if (!found)
			return true;
	}
	return false;
}

static bool has_password(const struct their_credentials *c, const char *pwd)
{
	struct crypto_hmac_sha1 key;

	crypto_hmac_sha1_key(&key, pwd, strlen(pwd));
	const bool same = crypto_equal(&key, &c->key, sizeof(key));

	crypto_wipe(&key, sizeof(key));
	return same;
}

/* ICE-064, ICE-072, ICE-170: before anything is changed. */
static enum ice_refused judge(struct ice_agent *a, const struct ice_description *d, bool *restart)
{
	*restart = false;
	if (a->state == ICE_CLOSED)
		return ICE_CLOSED_ALREADY;
	if (d->n_streams < a->c.n_streams)
		return ICE_NO_CREDENTIALS;
	for (unsigned s = 0; s < a->c.n_streams; s++) {
		const struct ice_stream_description *const t = &d->stream[s];
		const struct their_credentials *const known = &a->stream[s].now.theirs;

		if (!*t->ufrag || !*t->pwd)
			return ICE_NO_CREDENTIALS;
		if (strlen(t->ufrag) < 4 || strlen(t->pwd) < 22)
			return ICE_BAD_CREDENTIALS;
		if (known->set) {
			const bool ufrag = strcmp(known->ufrag, t->ufrag) != 0;
			const bool pwd = !has_password(known, t->pwd);

			if (ufrag != pwd)
				return ICE_HALF_RESTART;
			*restart |= ufrag;
		}
		if (mismatched(t)) {
			a->stream[s].mismatch = true;
			return ICE_MISMATCH;
		}
	}
	return ICE_OK;
}

static void take_stream(struct ice_agent *a, unsigned i, const struct ice_description *d)
{
	const struct ice_stream_description *const t = &d->stream[i];
	struct stream *const s = &a->stream[i];

	memcpy(s->mid, t->mid, sizeof(s->mid));
	s->now.theirs_ice2 = d->ice2;
	s->now.theirs_lite = d->lite;
	if (!s->now.theirs.set) {
		credentials_set(&s->now.theirs, t->ufrag, t->pwd);
		trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_PARAM,
		                                         .stream = (uint8_t)i,
		                                         .lite = d->lite,
		                                         .text = s->now.theirs.ufrag });
	}
	if (t->n_components < s->n_components) /* ICE-093 */
		s->n_components = t->n_components ? t->n_components : 1;
	for (unsigned k = 0; k < t->n_candidates; k++)
		remote_add(a, i, &t->candidate[k]);
	s->their_end |= t->end_of_candidates;
	pair_form(a, i);
}

/* ICE-081, ICE-057. */
static void settle(struct ice_agent *a, const struct ice_description *d)
{
	const uint32_t theirs = d->pacing_ms ? d->pacing_ms : d->lite ? 0 : PACING_DEFAULT_MS;

	a->their_lite = d->lite;
	a->no_trickle = !d->trickle;
	if (theirs > a->ta_ms)
		a->ta_ms = theirs;
	if (d->lite && !a->c.lite)
		role_switch(a, true, false, "peer_lite");
	else if (a->c.lite && !d->lite)
		role_switch(a, false, false, "lite");
}

enum ice_refused ice_remote(struct ice_agent *a, uint64_t now_ms, const struct ice_description *d)
{
	bool restart;

	a->now_ms = now_ms;
	const enum ice_refused refused = judge(a, d, &restart);

	if (refused != ICE_OK)
		return refused;
	if (restart) /* ICE-172 */
		ice_restart(a, now_ms);
	const bool first = !a->has_remote;

	settle(a, d);
	a->has_remote = true;
	for (unsigned s = 0; s < a->c.n_streams; s++)
		take_stream(a, s, d);
	if (!first) {
		agree_run(a, d);
		return ICE_OK;
	}
	pair_begin(a);
	a->pac_ms = now_ms + a->c.pac_ms; /* ICE-155 */
	/* A lite agent may have been nominated to before it was told by whom. */
	if (a->state == ICE_NEW || a->state == ICE_GATHERING)
		agent_state(a, ICE_RUNNING, ICE_WHY_NONE);
	for (unsigned s = 0; s < a->c.n_streams; s++)
		request_replay_early(a, s);
	agree_run(a, NULL);
	return ICE_OK;
}

/* ICE-175: of the generation that is. */
static bool current(const struct ice_agent *a, unsigned stream, const char *ufrag)
{
	return !ufrag || !*ufrag || strcmp(a->stream[stream].now.theirs.ufrag, ufrag) == 0;
}

/* After a restart, before the peer's answer: what is still on its way of the generation before. */
static bool past(const struct ice_agent *a, unsigned stream, const char *ufrag)
{
	const struct stream *const s = &a->stream[stream];

	return ufrag && s->has_before && strcmp(s->before.theirs.ufrag, ufrag) == 0;
}

enum ice_refused ice_remote_candidate(struct ice_agent *a, uint64_t now_ms, unsigned stream,
                                      const char *ufrag, const struct ice_candidate *c)
{
	a->now_ms = now_ms;
	if (a->state == ICE_CLOSED || stream >= a->c.n_streams)
		return ICE_CLOSED_ALREADY;
	if (a->stream[stream].now.theirs.set ? !current(a, stream, ufrag) : past(a, stream, ufrag))
		return ICE_OLD_GENERATION;
	if (a->stream[stream].their_end) /* ICE-202 */
		return ICE_CLOSED_ALREADY;
	const enum ice_refused refused = remote_add(a, stream, c);

	if (refused == ICE_OK && a->stream[stream].now.theirs.set)
		pair_form(a, stream);
	return refused;
}

enum ice_refused ice_remote_end(struct ice_agent *a, uint64_t now_ms, int stream, const char *ufrag)
{
	a->now_ms = now_ms;
	for (unsigned s = 0; s < a->c.n_streams; s++) {
		if (stream != NONE && s != (unsigned)stream)
			continue;
		if (!current(a, s, ufrag))
			return ICE_OLD_GENERATION;
		a->stream[s].their_end = true;
	}
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_EOC });
	return ICE_OK;
}
