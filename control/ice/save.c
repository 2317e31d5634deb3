/* An agent as octets, and back. */
#include "control/ice/parts.h"

enum { SAVED_VERSION = 1 };
enum { OLD_PATH = 1, NEW_PATH = 2 };

/* What both directions walk over. */
struct image {
	uint8_t *out; /* NULL: it is read */
	const uint8_t *in;
	size_t at, len;
	bool bad;
};

static void piece(struct image *m, void *what, size_t n)
{
	if (m->bad || n > m->len - m->at) {
		m->bad = true;
		return;
	}
	if (m->out)
		memcpy(m->out + m->at, what, n);
	else
		memcpy(what, m->in + m->at, n);
	m->at += n;
}

static void flag(struct image *m, bool *what)
{
	uint8_t octet = *what;

	piece(m, &octet, sizeof(octet));
	*what = octet != 0;
}

/* A string of at most `cap` - 1 octets, with its length before it. */
static void text(struct image *m, char *what, size_t cap)
{
	uint16_t n = m->out ? (uint16_t)strlen(what) : 0;

	piece(m, &n, sizeof(n));
	if (n >= cap)
		m->bad = true;
	if (m->bad)
		return;
	piece(m, what, n);
	if (!m->out)
		what[n] = '\0';
}

struct saved_path {
	uint8_t base, type;
	bool learned;
	uint32_t priority;
	struct endpoint to;
	char foundation[ICE_FOUNDATION_MAX + 1];
};

struct saved {
	uint8_t version;
	bool controlling, has_remote, has_before, their_lite;
	uint8_t paths;  /* OLD_PATH: of the generation before */
	uint8_t failed; /* enum ice_reason, if its state is that */
	uint16_t generation;
	uint32_t ta_ms;
	uint64_t tie;
	struct generation now, before;
	struct saved_path path;
};

static void credentials(struct image *m, struct credentials *c)
{
	text(m, c->ufrag, sizeof(c->ufrag));
	text(m, c->pwd, sizeof(c->pwd));
}

static void their_credentials(struct image *m, struct their_credentials *c)
{
	flag(m, &c->set);
	text(m, c->ufrag, sizeof(c->ufrag));
	piece(m, &c->key, sizeof(c->key));
}

static void generation(struct image *m, struct generation *g)
{
	credentials(m, &g->mine);
	their_credentials(m, &g->theirs);
	flag(m, &g->theirs_ice2);
	flag(m, &g->theirs_lite);
}

static void walk(struct image *m, struct saved *s)
{
	piece(m, &s->version, sizeof(s->version));
	if (s->version != SAVED_VERSION)
		m->bad = true;
	flag(m, &s->controlling);
	flag(m, &s->has_remote);
	flag(m, &s->has_before);
	flag(m, &s->their_lite);
	piece(m, &s->paths, sizeof(s->paths));
	piece(m, &s->failed, sizeof(s->failed));
	piece(m, &s->generation, sizeof(s->generation));
	piece(m, &s->ta_ms, sizeof(s->ta_ms));
	piece(m, &s->tie, sizeof(s->tie));
	generation(m, &s->now);
	if (!m->bad && s->has_before)
		generation(m, &s->before);
	if (m->bad || !s->paths)
		return;
	piece(m, &s->path.base, sizeof(s->path.base));
	piece(m, &s->path.type, sizeof(s->path.type));
	flag(m, &s->path.learned);
	piece(m, &s->path.priority, sizeof(s->path.priority));
	piece(m, &s->path.to, sizeof(s->path.to));
	text(m, s->path.foundation, sizeof(s->path.foundation));
}

static struct saved_path path_of(const struct path *p)
{
	struct saved_path s = { .base = (uint8_t)p->via.base,
		                .type = (uint8_t)p->facts.remote.type,
		                .learned = p->facts.remote_seen == ICE_PRFLX,
		                .priority = p->facts.remote.priority,
		                .to = p->to };

	memcpy(s.foundation, p->facts.remote.foundation, sizeof(s.foundation));
	return s;
}

size_t ice_save(const struct ice_agent *a, void *out, size_t cap)
{
	const struct stream *const t = &a->stream[0];
	struct image m = { .out = out, .len = cap };
	struct saved s = { .version = SAVED_VERSION,
		           .controlling = a->controlling,
		           .has_remote = a->has_remote,
		           .has_before = t->has_before,
		           .their_lite = a->their_lite,
		           .generation = a->generation,
		           .failed = a->state == ICE_FAILED ? (uint8_t)a->why : 0,
		           .ta_ms = a->ta_ms,
		           .tie = a->tie,
		           .now = t->now,
		           .before = t->before };

	if (a->c.n_streams != 1 || a->c.n_components != 1 || a->c.n_servers)
		return 0;
	if (t->path[0].live && !t->path[0].lost) {
		s.paths = NEW_PATH;
		s.path = path_of(&t->path[0]);
	} else if (t->has_before && t->old_path[0].live && !t->old_path[0].lost) {
		s.paths = OLD_PATH;
		s.path = path_of(&t->old_path[0]);
	}
	walk(&m, &s);
	crypto_wipe(&s, sizeof(s));
	return m.bad ? 0 : m.at;
}

/* --- back --- */

static void take_generation(struct generation *g, const struct generation *saved)
{
	*g = *saved;
	crypto_hmac_sha1_key(&g->mine.key, g->mine.pwd, strlen(g->mine.pwd));
}

/* The host candidate that stands for a base. */
static int local_at_base(const struct ice_agent *a, int base)
{
	return local_of_via(a, 0, (struct via){ base, NONE },
	                    addr_family(&a->base[base].b.at.addr));
}

static int remote_again(struct ice_agent *a, const struct saved_path *p)
{
	struct ice_candidate c = {
		.component = 1, .type = (enum ice_type)p->type, .priority = p->priority, .at = p->to
	};

	memcpy(c.foundation, p->foundation, sizeof(c.foundation));
	if (p->learned || p->type == ICE_PRFLX)
		return remote_learn(a, 0, 1, &p->to, p->priority);
	return remote_add(a, 0, &c) == ICE_OK ? remote_at(a, &a->stream[0], 1, ICE_UDP, &p->to)
	                                      : NONE;
}

/* As if it had just succeeded and been nominated. */
static bool pair_again(struct ice_agent *a, const struct saved_path *p, uint64_t heard_ms)
{
	struct stream *const s = &a->stream[0];
	const bool sane = p->base < a->n_bases && p->type < ICE_TYPES;
	const int local = sane ? local_at_base(a, p->base) : NONE;
	const int remote = local != NONE && p->to.port ? remote_again(a, p) : NONE;
	const int i = remote != NONE ? pair_add(a, 0, local, remote, true, "resumed") : NONE;

	if (i == NONE)
		return false;
	pair_state(a, i, ICE_SUCCEEDED, "resumed");
	a->pair[i].valid = a->pair[i].nominated = a->pair[i].heard = true;
	a->pair[i].valid_pair = i;
	s->first_valid_ms[0] = s->all_valid_ms = a->now_ms;
	s->done[0] = s->formed = true;
	path_resume(a, i, heard_ms);
	return true;
}

/* A restart was under way: its old path goes on, the pair of the new generation is to be found. */
static void path_back(struct ice_agent *a)
{
	struct stream *const s = &a->stream[0];
	const int i = s->path[0].pair;

	s->old_path[0] = s->path[0];
	s->old_path[0].pair = NONE;
	s->path[0] = (struct path){ .pair = NONE };
	pair_drop(a, i, "restart");
	for (int r = 0; r < a->room.remotes; r++)
		s->remote[r].id = 0;
	s->done[0] = s->formed = false;
	s->first_valid_ms[0] = s->all_valid_ms = 0;
}

static bool take(struct ice_agent *a, const struct saved *s, uint64_t heard_ms)
{
	struct stream *const t = &a->stream[0];

	a->controlling = s->controlling;
	a->has_remote = s->has_remote;
	a->their_lite = s->their_lite;
	a->generation = s->generation;
	a->ta_ms = s->ta_ms > a->ta_ms ? s->ta_ms : a->ta_ms;
	a->tie = s->tie;
	take_generation(&t->now, &s->now);
	t->has_before = s->has_before;
	if (s->has_before)
		take_generation(&t->before, &s->before);
	if (s->paths && !pair_again(a, &s->path, heard_ms))
		return false;
	if (s->paths == OLD_PATH)
		path_back(a);
	t->list = s->paths == NEW_PATH ? LIST_COMPLETED : LIST_RUNNING;
	if (s->paths == NEW_PATH && t->has_before)
		t->before_until_ms = a->now_ms;
	a->state = s->paths == NEW_PATH ? ICE_COMPLETED : s->has_remote ? ICE_RUNNING : a->state;
	if (s->failed && s->failed <= ICE_WHY_CLOSED) {
		a->state = ICE_FAILED;
		a->why = (enum ice_reason)s->failed;
		t->list = LIST_FAILED;
	}
	if (a->state == ICE_RUNNING) {
		t->formed = true;
		a->pac_ms = a->now_ms + a->c.pac_ms;
	}
	return *t->now.mine.ufrag && *t->now.mine.pwd;
}

struct ice_agent *ice_resume(const struct ice_config *c, const struct ice_base *bases,
                             unsigned n_bases, const void *saved, size_t len, uint64_t heard_ms,
                             uint64_t now_ms)
{
	struct image m = { .in = saved, .len = len };
	struct saved s = { .version = 0 };
	struct ice_agent *a = NULL;

	walk(&m, &s);
	if (!m.bad && m.at == len && c->n_streams == 1 && c->n_components == 1)
		a = ice_new(c, now_ms);
	for (unsigned i = 0; a && i < n_bases; i++)
		ice_add_base(a, now_ms, &bases[i]);
	if (a) {
		ice_gather(a, now_ms);
		gather_look(a);
		for (int i = 0; i < a->room.locals; i++)
			a->local[i].signalled = a->local[i].id && !a->local[i].hidden;
		a->described = true;
	}
	if (a && (a->n_bases != n_bases || !take(a, &s, heard_ms))) {
		ice_free(a);
		a = NULL;
	}
	if (a)
		a->n_told = 0;
	crypto_wipe(&s, sizeof(s));
	return a;
}
