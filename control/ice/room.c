/* How much of everything an agent has, and where it lies: behind the agent itself, in one piece. */
#include "control/ice/parts.h"

enum { PAIRS_HARD_MAX = 256, HARD_MAX = 1024, ALIGN = 16 };

static uint16_t within(unsigned n, unsigned least, unsigned most)
{
	return (uint16_t)(n < least ? least : n > most ? most : n);
}

/* A lite agent makes no checks and asks no servers: what that takes it does not have. */
struct room room_of(const struct ice_config *c)
{
	const uint16_t pairs = within(c->pairs_max, 1, PAIRS_HARD_MAX);
	struct room r = {
		.streams = within(c->n_streams, 1, ICE_STREAMS_MAX),
		.components = within(c->n_components, 1, ICE_COMPONENTS_MAX),
		.bases = within(c->bases_max, 1, ICE_BASES_MAX),
		.locals = within(c->locals_max, 1, HARD_MAX),
		.signalled = within(c->candidates_max, 1, ICE_CANDIDATES_MAX),
		.answers = within(c->answers_max, 1, HARD_MAX),
		.told = within(c->told_max, 4, HARD_MAX),
		.pairs = pairs,
	};

	r.remotes = r.signalled + within(c->learned_max, 1, HARD_MAX);
	if (c->lite)
		return r;
	r.pairs = (uint16_t)(2 * pairs); /* each listed one can make one valid that is not listed */
	r.queue = pairs;
	r.transactions = within(c->transactions_max, 1, HARD_MAX);
	r.early = within(c->early_max, 1, HARD_MAX);
	r.servers = within(c->n_servers, 0, ICE_SERVERS_MAX);
	r.gather = (uint16_t)(r.bases * r.servers);
	return r;
}

/* Takes room for n of `each` octets; NULL while it is only counted. */
static void *take(uint8_t *at, size_t *used, size_t n, size_t each)
{
	uint8_t *const here = at ? at + *used : NULL;

	*used += (n * each + ALIGN - 1) / ALIGN * ALIGN;
	return here;
}

static void lay_stream(struct stream *s, const struct room *r, uint8_t *at, size_t *used)
{
	s->remote = take(at, used, r->remotes, sizeof(*s->remote));
	s->queue = take(at, used, r->queue, sizeof(*s->queue));
	s->early = take(at, used, r->early, sizeof(*s->early));
	s->path = take(at, used, r->components, sizeof(*s->path));
	s->old_path = take(at, used, r->components, sizeof(*s->old_path));
}

size_t room_lay(struct ice_agent *a, const struct room *r, void *at)
{
	struct stream scratch;
	size_t used = 0;

	a->room = *r;
	a->base = take(at, &used, r->bases, sizeof(*a->base));
	a->local = take(at, &used, r->locals, sizeof(*a->local));
	a->foundation = take(at, &used, r->locals, sizeof(*a->foundation));
	a->pair = take(at, &used, r->pairs, sizeof(*a->pair));
	a->transaction = take(at, &used, r->transactions, sizeof(*a->transaction));
	a->answer = take(at, &used, r->answers, sizeof(*a->answer));
	a->told = take(at, &used, r->told, sizeof(*a->told));
	a->stream = take(at, &used, r->streams, sizeof(*a->stream));
	for (unsigned i = 0; i < r->streams; i++)
		lay_stream(at ? &a->stream[i] : &scratch, r, at, &used);
	a->server = take(at, &used, r->servers, sizeof(*a->server));
	a->gather = take(at, &used, r->gather, sizeof(*a->gather));
	for (unsigned i = 0; i < r->gather; i++) {
		struct allocation *const al = take(at, &used, 1, allocation_size());

		if (at)
			a->gather[i].al = al;
	}
	return used;
}

size_t ice_octets(const struct ice_config *c)
{
	const struct room r = room_of(c);
	struct ice_agent scratch;

	return sizeof(scratch) + room_lay(&scratch, &r, NULL);
}
