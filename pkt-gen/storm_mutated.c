/*
 * The storm of mutants. Half of them come from five-tuples that have an allocation with a bound
 * channel, so that damage reaches what lies behind the lookup.
 */
#include <stdlib.h>

#include "log.h"
#include "pkt-gen/mutant.h"
#include "pkt-gen/storm_parts.h"

enum { CROWD = 8, CROWD_PEERS = 2, SOURCES = 1024 };

struct mutated {
	struct mutants g;
	struct crowd crowd;
	bool up;
};

static bool mutated_open(struct storm *s)
{
	struct mutated *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return false;
	s->own = x;
	x->g.random = s->field.options->seed;
	memcpy(x->g.macs, s->field.macs, sizeof(x->g.macs));
	x->g.server = s->server;
	return crowd_open(&x->crowd, s, CROWD, CROWD_PEERS, 0, 0);
}

static void mutated_close(struct storm *s)
{
	struct mutated *x = s->own;

	crowd_close(&x->crowd);
	free(x);
}

/*
 * Mutant n's sender: what is drawn of it does not hang on how far the clients are, for the same
 * seed shall make the same packets.
 */
static struct mutant_source source(const struct storm *s, uint64_t n)
{
	const struct mutated *x = s->own;
	const uint32_t client = (uint32_t)(n / 2 % CROWD);
	const bool stranger = n % 2 != 0;

	return (struct mutant_source){
		.from = stranger ? apart_at(&s->apart, CROWD + n / 2 % SOURCES)
		                 : crowd_at(&x->crowd, client),
		.channel = CHANNEL_MIN,
		.peer = crowd_peer(&x->crowd, client, 0),
		.user = "mutant",
	};
}

static unsigned mutated_turn(struct storm *s, uint64_t now_ns, unsigned due)
{
	struct mutated *x = s->own;
	unsigned done = 0;

	if (!x->up && !s->stopped) {
		x->up = true;
		fleet_go(x->crowd.fleet, FLEET_UP, 0, CROWD, now_ns);
	}
	while (done < due) {
		struct rte_mbuf *m[ENGINE_BURST];
		const unsigned n = storm_buffers(s, m, due - done);

		if (n == 0)
			break;
		for (unsigned i = 0; i < n; i++) {
			const struct mutant_source from = source(s, s->sent + i);
			const size_t len =
				mutant_next(&x->g, &from, rte_pktmbuf_mtod(m[i], uint8_t *));

			m[i]->data_len = (uint16_t)len;
			m[i]->pkt_len = (uint32_t)len;
		}
		storm_send(s, m, n);
		s->sent += n;
		done += n;
	}
	s->skipped += due - done;
	return done + crowd_turn(&x->crowd, now_ns);
}

static bool mutated_input(struct storm *s, uint64_t now_ns, const struct endpoint *at,
                          const struct endpoint *from, const void *octets, size_t len)
{
	struct mutated *x = s->own;
	const uint64_t i = apart_index(&s->apart, at);

	if (i < CROWD && endpoint_equal(from, &s->server) &&
	    fleet_input(x->crowd.fleet, now_ns, at, octets, len))
		return true;
	if (i == apart_count(&s->apart))
		return apart_is_peer(&s->apart, at);
	storm_answer(s, octets, len);
	return true;
}

static void mutated_stop(struct storm *s, uint64_t now_ns)
{
	struct mutated *x = s->own;

	fleet_go(x->crowd.fleet, FLEET_DOWN, 0, CROWD, now_ns);
}

static bool mutated_done(const struct storm *s)
{
	const struct mutated *x = s->own;

	return crowd_settled(&x->crowd);
}

static void mutated_report(const struct storm *s, struct report_storm *out)
{
	const struct mutated *x = s->own;
	unsigned kinds = 0, damages = 0;

	for (unsigned i = 0; i < MUTANT_KIND_COUNT; i++)
		kinds += x->g.kind[i] != 0;
	for (unsigned i = 0; i < MUTANT_DAMAGE_COUNT; i++)
		damages += x->g.damage[i] != 0;
	snprintf(out->said, sizeof(out->said),
	         "%llu mutants of %u kinds with %u damages, %.0f a second, seed %llu; %llu answers",
	         (unsigned long long)s->sent, kinds, damages,
	         out->seconds > 0 ? (double)s->sent / out->seconds : 0,
	         (unsigned long long)s->field.options->seed, (unsigned long long)s->answered);
}

const struct storm_kind storm_mutated = {
	.name = "mutated",
	.help = "damaged packets of every kind, by --storm-seed",
	.rate = 10000,
	.open = mutated_open,
	.close = mutated_close,
	.turn = mutated_turn,
	.input = mutated_input,
	.stop = mutated_stop,
	.done = mutated_done,
	.report = mutated_report,
};
