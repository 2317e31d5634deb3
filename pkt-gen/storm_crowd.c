/* A storm's own clients. */
#include <stdlib.h>
#include <sys/random.h>

#include <rte_cycles.h>

#include "log.h"
#include "pkt-gen/storm_parts.h"

struct endpoint crowd_at(const struct crowd *c, uint32_t client)
{
	const uint64_t lives = apart_count(&c->storm->apart) / c->clients;
	const uint64_t moved = c->moves ? (c->life[client] + 1u) / 2 % lives : 0;

	return apart_at(&c->storm->apart, moved * c->clients + client);
}

struct endpoint crowd_peer(const struct crowd *c, uint32_t client, uint32_t peer)
{
	const uint64_t before = (uint64_t)c->life[client] * c->clients + client;

	return apart_peer(&c->storm->apart, before * (c->peers + c->pool) + peer);
}

static struct endpoint client_at(void *arg, uint32_t client)
{
	return crowd_at(arg, client);
}

static struct endpoint peer_at(void *arg, uint32_t client, uint32_t peer)
{
	return crowd_peer(arg, client, peer);
}

bool crowd_open(struct crowd *c, struct storm *s, uint32_t clients, uint32_t peers, uint32_t pool,
                double rate)
{
	const struct options *o = s->field.options;
	const bool given = s->field.user != NULL;
	struct fleet_config cfg = {
		.server = s->server,
		.user = given ? s->field.user : o->user,
		.password = given ? s->field.password : o->password,
		.rest_secret = given ? NULL : o->rest_secret,
		.clients = clients,
		.peers = peers,
		.channels = true,
		.rfc5766_channels = o->old_channels,
		.relayed_ipv6 = o->peer_family == 6,
		.lifetime_s = o->lifetime_s,
		.rate = rate,
		.mismatch = FLEET_MISMATCH_DELETE, /* who comes back takes what it left */
		.client_at = client_at,
		.peer_at = peer_at,
		.arg = c,
	};

	/* Not from the storm's seed: a server remembers transactions of the run before. */
	if (getrandom(&cfg.seed, sizeof(cfg.seed), 0) != sizeof(cfg.seed))
		cfg.seed = rte_get_tsc_cycles();
	*c = (struct crowd){ .storm = s, .clients = clients, .peers = peers, .pool = pool };
	if (clients == 0 || clients > apart_count(&s->apart)) {
		log_error("storm", "clients", "wanted=%u endpoints=%llu", clients,
		          (unsigned long long)apart_count(&s->apart));
		return false;
	}
	c->life = calloc(clients, sizeof(*c->life));
	c->fleet = c->life != NULL ? fleet_new(&cfg) : NULL;
	if (c->fleet != NULL)
		return true;
	log_error("storm", "memory", "clients=%u", clients);
	crowd_close(c);
	return false;
}

bool crowd_settled(const struct crowd *c)
{
	const struct fleet_counts *n = fleet_counts(c->fleet);

	return n->under_way == 0 && n->waiting == 0;
}

void crowd_close(struct crowd *c)
{
	if (c->fleet != NULL)
		fleet_free(c->fleet);
	free(c->life);
	c->fleet = NULL;
	c->life = NULL;
}

unsigned crowd_turn(struct crowd *c, uint64_t now_ns)
{
	struct storm *s = c->storm;
	struct fleet_datagram d[32];
	struct rte_mbuf *m[32];
	unsigned n, done = 0, frames = 0;

	while (done < STORM_TURN && (n = fleet_poll(c->fleet, now_ns, d, 32)) != 0) {
		frames = 0;
		for (unsigned i = 0; i < n; i++) {
			const struct endpoint from = crowd_at(c, d[i].client);

			/* Without a buffer it is lost, and comes again by its timer. */
			m[frames] =
				storm_frame(&s->field, &from, &s->server, d[i].octets, d[i].len);
			frames += m[frames] != NULL;
		}
		storm_send(s, m, frames);
		done += n;
	}
	return done;
}

bool crowd_input(struct crowd *c, uint64_t now_ns, const struct endpoint *at,
                 const struct endpoint *from, const void *octets, size_t len)
{
	const struct storm *s = c->storm;
	const uint64_t i = apart_index(&s->apart, at);

	if (i == apart_count(&s->apart))
		return apart_is_peer(&s->apart, at);
	/* An answer to an earlier life of the client is nobody's. */
	const struct endpoint now = crowd_at(c, (uint32_t)(i % c->clients));
	if (endpoint_equal(&now, at) && endpoint_equal(from, &s->server))
		fleet_input(c->fleet, now_ns, at, octets, len);
	return true;
}
