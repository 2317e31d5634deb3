/* The invariants of TURN's state model, for tests (turn_check_invariants in turn.h). */
#include <stdlib.h>
#include <string.h>

#include "control/turn/alloc.h"
#include "control/turn/flow.h"
#include "control/turn/peer.h"
#include "control/turn/record.h"

#define MUST(cond, what)             \
	do {                         \
		if (!(cond))         \
			return what; \
	} while (0)

struct sums {
	uint32_t *owner_count, *owner_refs, *cred_refs;
	uint8_t *port; /* [relay][65536]: who has it */
	uint32_t live, dying, rows, peers, overs, reservations, taken[RELAY_SLOTS];
};

static const char *check_port(const struct turn_server *srv, struct sums *s, uint8_t relay,
                              uint16_t port)
{
	uint8_t *mine = &s->port[(size_t)relay * 65536 + port];

	MUST(*mine == 0, "(1) two owners of one relayed transport address");
	*mine = 1;
	s->taken[relay]++;
	MUST(srv->relays[relay].ports == NULL || ports_taken(srv->relays[relay].ports, port),
	     "(1) a port in use that the pool calls free");
	return NULL;
}

static const char *check_peer(const struct turn_server *srv, const struct alloc *a, uint32_t n,
                              struct sums *s)
{
	const struct peer *p = &srv->peers[n];

	s->peers++;
	MUST(p->state != ELEMENT_FREE && &srv->allocs[p->alloc] == a, "(4) a foreign entry");
	if (p->flow != FLOW_OFF)
		s->rows += p->channel != 0 ? ROWS_CHAN : ROWS_PERM;
	if (p->state == ELEMENT_DYING) {
		MUST(p->flow == FLOW_DELETING, "a dying entry that waits for nothing");
		return NULL;
	}
	MUST(a->state == ELEMENT_LIVE, "(4) a permission or channel outlives its allocation");
	MUST(leg_live(&a->leg[leg_of(&p->at.addr)]), "(3) a peer whose family has no relay");
	MUST(p->flow != FLOW_DELETING, "a live entry whose flow is being deleted");
	MUST(!srv->connected || srv->sync_cursor != NONE || p->flow == FLOW_SET,
	     "(7) a live entry without flow");
	MUST(timer_is_set(srv->timers, srv->timer_peer + n), "an entry without timer");
	if (p->channel == 0) {
		MUST(peer_find_perm(srv, a, &p->at.addr) == n, "two permissions for one address");
		MUST(p->over == NONE ? a->inline_perm == n : srv->overs[p->over].perm[p->slot] == n,
		     "a permission that is not in its record");
		return NULL;
	}
	MUST(peer_find_number(srv, a, p->channel) == n, "(2) one number, two peers");
	MUST(peer_find_bound(srv, a, &p->at) == n, "(2) one peer, two numbers");
	MUST(p->over == NONE ? a->inline_chan == n : srv->overs[p->over].chan[p->slot] == n,
	     "a channel that is not in its record");
	MUST(p->perm == peer_find_perm(srv, a, &p->at.addr), "a channel's permission is another");
	MUST(srv->cfg->strict_permissions || p->perm != NONE,
	     "a live channel without permission (TURN-109)");
	return NULL;
}

static const char *check_peers(const struct turn_server *srv, const struct alloc *a, struct sums *s)
{
	uint32_t perms = 0, chans = 0, orphans = 0, dying = 0;

	for (uint32_t n = a->peers; n != NONE; n = srv->peers[n].next) {
		const struct peer *p = &srv->peers[n];
		const char *bad = check_peer(srv, a, n, s);

		if (bad != NULL)
			return bad;
		dying += p->state == ELEMENT_DYING;
		perms += p->state == ELEMENT_LIVE && p->channel == 0;
		chans += p->state == ELEMENT_LIVE && p->channel != 0;
		orphans += p->state == ELEMENT_LIVE && p->channel != 0 && p->perm == NONE;
	}
	MUST(perms == a->n_perms && chans == a->n_chans && orphans == a->n_orphans,
	     "counts of permissions and channels");
	for (unsigned i = 0; i < 2; i++)
		dying += a->leg[i].flow == FLOW_DELETING;
	MUST(dying == a->pending, "deletes awaited");
	for (uint32_t o = a->overs; o != NONE; o = srv->overs[o].next) {
		s->overs++;
		MUST(srv->overs[o].ref != 0, "an overflow record that was never written");
	}
	return NULL;
}

static const char *check_record(const struct turn_server *srv, const struct alloc *a)
{
	enum store_kind kind;
	const struct body_alloc *b = store_body(srv->store, a->ref, &kind);
	const struct leg *leg = &a->leg[leg_live(&a->leg[0]) ? 0 : 1];

	MUST(b != NULL && kind == STORE_ALLOCATION && b->id == a->id, "no record");
	MUST(memcmp(b->client_ip, a->client.addr.ip, 16) == 0 && b->client_port == a->client.port,
	     "the record says another client");
	MUST(b->expires_s == leg->expires_s && b->relay_port == leg->port,
	     "the record says another relay");
	MUST(b->stamp == a->stamp && b->user == srv->creds[a->cred].ref, "the record is old");
	return NULL;
}

static const char *check_alloc(const struct turn_server *srv, const struct alloc *a, struct sums *s)
{
	const struct cred *cred = &srv->creds[a->cred];
	const char *bad = check_peers(srv, a, s);

	if (bad != NULL)
		return bad;
	s->cred_refs[a->cred]++;
	for (unsigned i = 0; i < 2; i++)
		s->rows += a->leg[i].flow != FLOW_OFF;
	if (a->state == ELEMENT_DYING) {
		s->dying++;
		MUST(a->overs == NONE && a->ref == 0, "(4) records of an ended allocation");
		return NULL;
	}
	s->live++;
	s->owner_count[cred->owner]++;
	MUST(alloc_find(srv, &a->client, a->listener) == a, "(1) two on one five-tuple");
	MUST(alloc_find_id(srv, a->id) == a, "an id twice");
	MUST(leg_live(&a->leg[0]) || leg_live(&a->leg[1]), "an allocation without relay");
	for (unsigned i = 0; i < 2; i++) {
		if (!leg_live(&a->leg[i]))
			continue;
		MUST(leg_of(&srv->relays[a->leg[i].relay].addr) == i, "a leg of the wrong family");
		bad = check_port(srv, s, a->leg[i].relay, a->leg[i].port);
		if (bad != NULL)
			return bad;
		MUST(!srv->connected || srv->sync_cursor != NONE || a->leg[i].flow == FLOW_SET,
		     "(7) a relay without flow");
	}
	return check_record(srv, a);
}

static const char *check_all(const struct turn_server *srv, struct sums *s)
{
	const char *bad;

	for (uint32_t n = 0; n < srv->pool_alloc.fresh; n++)
		if (srv->allocs[n].state != ELEMENT_FREE &&
		    (bad = check_alloc(srv, &srv->allocs[n], s)) != NULL)
			return bad;
	for (uint32_t n = 0; n < srv->pool_reservation.fresh; n++) {
		const struct reservation *r = &srv->reservations[n];

		if (!timer_is_set(srv->timers, srv->timer_reservation + n))
			continue;
		s->reservations++;
		s->owner_refs[r->owner]++;
		bad = check_port(srv, s, r->relay, r->port); /* (5) */
		if (bad != NULL)
			return bad;
	}
	for (uint32_t n = 0; n < srv->pool_cred.n; n++) {
		if ((srv->creds[n].flags & CRED_USED) == 0)
			continue;
		s->owner_refs[srv->creds[n].owner]++;
		MUST(srv->creds[n].refs == s->cred_refs[n], "users of a credential");
	}
	for (uint32_t n = 0; n < srv->pool_owner.fresh; n++) {
		MUST(s->owner_refs[n] == 0 || srv->owners[n].refs == s->owner_refs[n],
		     "users of an owner");
		MUST(s->owner_refs[n] == 0 || srv->owners[n].count == s->owner_count[n],
		     "(6) a user's allocations are not what the quota counts");
	}
	for (unsigned i = 0; i < srv->n_relays; i++)
		if (srv->relays[i].ports != NULL) {
			const struct ports *p = srv->relays[i].ports;
			const uint32_t n = (uint32_t)ports_max(p) - ports_min(p) + 1;

			MUST(n - ports_left(p) == s->taken[i], "a port that is lost");
		}
	MUST(s->live == srv->n_live && s->dying == srv->n_ending, "allocations in total");
	MUST(s->rows == srv->rows_used, "rows in use");
	MUST(srv->pool_alloc.n - srv->pool_alloc.n_spare == s->live + s->dying,
	     "pool of allocations");
	MUST(srv->pool_peer.n - srv->pool_peer.n_spare == s->peers, "pool of entries");
	MUST(srv->pool_over.n - srv->pool_over.n_spare == s->overs, "pool of overflow records");
	MUST(srv->pool_reservation.n - srv->pool_reservation.n_spare == s->reservations,
	     "pool of reservations");
	return NULL;
}

const char *turn_check_invariants(const struct turn_server *srv)
{
	struct sums s = { 0 };
	const char *bad = "no memory for the check";

	s.owner_count = calloc(srv->pool_owner.n, sizeof(uint32_t));
	s.owner_refs = calloc(srv->pool_owner.n, sizeof(uint32_t));
	s.cred_refs = calloc(srv->pool_cred.n, sizeof(uint32_t));
	s.port = calloc(srv->n_relays > 0 ? srv->n_relays : 1, 65536);
	if (s.owner_count != NULL && s.owner_refs != NULL && s.cred_refs != NULL && s.port != NULL)
		bad = check_all(srv, &s);
	free(s.owner_count);
	free(s.owner_refs);
	free(s.cred_refs);
	free(s.port);
	return bad;
}
