/* The state of a server, to compare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/rig/snapshot.h"

static int by_id(const void *a, const void *b)
{
	const struct snapshot_entry *x = a, *y = b;

	return (x->info.id > y->info.id) - (x->info.id < y->info.id);
}

static int by_peer(const void *a, const void *b)
{
	const struct turn_peer *x = a, *y = b;

	if (x->channel != y->channel)
		return x->channel < y->channel ? -1 : 1;
	return memcmp(x->peer.addr.ip, y->peer.addr.ip, 16);
}

static int by_key(const void *a, const void *b)
{
	const struct cmd_flow *x = &((const struct rig_flow *)a)->flow;
	const struct cmd_flow *y = &((const struct rig_flow *)b)->flow;

	return memcmp(x->client_ip, y->client_ip,
	              sizeof(*x) - offsetof(struct cmd_flow, client_ip));
}

void snapshot_take(struct snapshot *s, struct rig *r)
{
	struct turn_info info;
	uint64_t after = 0;

	*s = (struct snapshot){ .n = 0 };
	while (turn_list(r->srv, after, &info)) {
		struct snapshot_entry e = { .info = info };
		struct turn_peer p;

		after = info.id;
		while (turn_peer(r->srv, info.id, e.n_peers, &p)) {
			e.peers = realloc(e.peers, (e.n_peers + 1) * sizeof(p));
			memset(&e.peers[e.n_peers], 0, sizeof(p));
			e.peers[e.n_peers].peer = p.peer;
			e.peers[e.n_peers].channel = p.channel;
			e.peers[e.n_peers].expires_s = p.expires_s;
			e.n_peers++;
		}
		if (e.n_peers > 0)
			qsort(e.peers, e.n_peers, sizeof(p), by_peer);
		s->list = realloc(s->list, (s->n + 1) * sizeof(e));
		s->list[s->n++] = e;
	}
	if (s->n > 0)
		qsort(s->list, s->n, sizeof(s->list[0]), by_id);
	s->n_flows = r->n_flows;
	s->flows = calloc(r->n_flows + 1, sizeof(s->flows[0]));
	for (size_t i = 0; i < r->n_flows; i++) {
		s->flows[i] = r->flows[i];
		s->flows[i].flow.flags = 0;
		if (s->flows[i].flow.deadline_in_s <= r->now_ms / 1000)
			s->flows[i].flow.deadline_in_s = 0; /* long passed or never: both refuse */
	}
	qsort(s->flows, s->n_flows, sizeof(s->flows[0]), by_key);
}

static bool entry_equal(const struct snapshot_entry *a, const struct snapshot_entry *b)
{
	const struct turn_info *x = &a->info, *y = &b->info;

	if (x->id != y->id || strcmp(x->user, y->user) != 0 || strcmp(x->realm, y->realm) != 0 ||
	    !endpoint_equal(&x->client, &y->client) || !endpoint_equal(&x->server, &y->server) ||
	    !endpoint_equal(&x->relayed[0], &y->relayed[0]) ||
	    !endpoint_equal(&x->relayed[1], &y->relayed[1]) || x->expires_s != y->expires_s ||
	    x->permissions != y->permissions || x->channels != y->channels || x->age_s != y->age_s)
		return false;
	if (a->n_peers != b->n_peers)
		return false;
	for (unsigned i = 0; i < a->n_peers; i++)
		if (a->peers[i].channel != b->peers[i].channel ||
		    a->peers[i].expires_s != b->peers[i].expires_s ||
		    !endpoint_equal(&a->peers[i].peer, &b->peers[i].peer))
			return false;
	return true;
}

bool snapshot_equal(const struct snapshot *a, const struct snapshot *b)
{
	if (a->n != b->n || a->n_flows != b->n_flows) {
		fprintf(stderr, "snapshot: %u and %u allocations, %zu and %zu flows\n", a->n, b->n,
		        a->n_flows, b->n_flows);
		return false;
	}
	for (unsigned i = 0; i < a->n; i++)
		if (!entry_equal(&a->list[i], &b->list[i])) {
			fprintf(stderr, "snapshot: allocation %llu differs\n",
			        (unsigned long long)a->list[i].info.id);
			return false;
		}
	for (size_t i = 0; i < a->n_flows; i++)
		if (by_key(&a->flows[i], &b->flows[i]) != 0) {
			fprintf(stderr, "snapshot: a flow of kind %u differs\n",
			        a->flows[i].flow.kind);
			return false;
		}
	return true;
}

void snapshot_free(struct snapshot *s)
{
	for (unsigned i = 0; i < s->n; i++)
		free(s->list[i].peers);
	free(s->list);
	free(s->flows);
}
