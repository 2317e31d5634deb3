/*
 * Reading the store back: ids, sessions, heads of legs, their pieces. What counts for nothing (legs
 * of a session that was not committed or is deleted, pieces of a change that was not) is freed.
 */
#include <stdlib.h>
#include <string.h>

#include "control/session/record.h"
#include "crypto.h"

/* A record by what it is sorted by. */
struct found {
	uint64_t session;
	store_ref ref, head;
	uint8_t order; /* leg number, piece */
};

struct harvest {
	struct found *session, *leg, *more;
	uint32_t n_sessions, n_legs, n_more;
};

static int compare(const void *x, const void *y)
{
	const struct found *const a = x, *const b = y;

	if (a->session != b->session)
		return a->session < b->session ? -1 : 1;
	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	return (int)a->order - (int)b->order;
}

static void sweep(struct session_server *srv, store_ref ref)
{
	record_wipe(srv->setup.store, ref);
	session_stat(srv, SESSION_STAT_SWEPT);
}

static void take_ids(struct session_server *srv, store_ref ref, const struct body_ids *b)
{
	srv->ids_ref = ref;
	srv->next_id = srv->ids_until = b->next;
}

static void sort_one(struct session_server *srv, store_ref ref, struct harvest *h)
{
	const void *const body = store_body(srv->setup.store, ref, NULL);
	const struct body_session *const s = body;
	const struct body_leg *const l = body;
	const struct body_more *const m = body;

	switch (s->sort) {
	case RECORD_SESSION:
		h->session[h->n_sessions++] = (struct found){ .session = s->id, .ref = ref };
		break;
	case RECORD_LEG:
		h->leg[h->n_legs++] =
			(struct found){ .session = l->session, .ref = ref, .order = l->number };
		break;
	case RECORD_MORE:
		h->more[h->n_more++] = (struct found){
			.session = m->session, .ref = ref, .head = m->head, .order = m->piece
		};
		break;
	case RECORD_IDS: take_ids(srv, ref, body); break;
	default: sweep(srv, ref);
	}
}

static bool harvest(struct session_server *srv, struct harvest *h)
{
	struct store *const s = srv->setup.store;
	const size_t n = store_used(s) + 1;

	*h = (struct harvest){ .session = calloc(n, sizeof(struct found)),
		               .leg = calloc(n, sizeof(struct found)),
		               .more = calloc(n, sizeof(struct found)) };
	if (!h->session || !h->leg || !h->more)
		return false;
	for (store_ref r = store_next(s, 0), next; r != 0; r = next) {
		enum store_kind kind;

		next = store_next(s, r);
		if (store_body(s, r, &kind) && kind == STORE_SESSION)
			sort_one(srv, r, h);
	}
	qsort(h->session, h->n_sessions, sizeof(struct found), compare);
	qsort(h->leg, h->n_legs, sizeof(struct found), compare);
	qsort(h->more, h->n_more, sizeof(struct found), compare);
	return true;
}

static void load_session(struct session_server *srv, const struct found *f)
{
	const struct body_session *const b = store_body(srv->setup.store, f->ref, NULL);
	const uint32_t n = life_find(srv, b->id) == NONE ? life_take_session(srv) : NONE;
	struct session *const s = n != NONE ? &srv->sessions[n] : NULL;

	if (!s) {
		sweep(srv, f->ref);
		return;
	}
	s->id = b->id;
	s->ref = f->ref;
	s->created_ms = b->created_ms < srv->now_ms ? b->created_ms : srv->now_ms;
	memcpy(s->name, b->name, sizeof(s->name));
	s->name[sizeof(s->name) - 1] = '\0';
	life_publish(srv, n);
	if (s->id >= srv->next_id)
		srv->next_id = s->id + 1;
}

/* Puts the image together; the pieces that count are marked by head 0. 0: one is missing. */
static size_t gather(struct session_server *srv, const struct body_leg *b, const struct found *f,
                     struct harvest *h, uint8_t image[IMAGE_MAX], struct leg *to)
{
	const struct found key = { .session = f->session, .head = f->ref };
	uint32_t low = 0, high = h->n_more;
	size_t at = HEAD_PART;

	if (b->octets > IMAGE_MAX)
		return 0;
	memcpy(image, b->part, HEAD_PART);
	while (low < high) { /* the first that is not before the key */
		const uint32_t middle = low + (high - low) / 2;

		if (compare(&h->more[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	to->n_pieces = 0;
	for (; at < b->octets && low < h->n_more; low++) {
		const struct body_more *const m =
			store_body(srv->setup.store, h->more[low].ref, NULL);

		if (h->more[low].session != f->session || h->more[low].head != f->ref)
			break;
		if (m->stamp != b->stamp || m->piece != to->n_pieces)
			continue; /* of a change that was not, or is no more */
		memcpy(image + at, m->part, MORE_PART);
		at += MORE_PART;
		to->piece[to->n_pieces++] = h->more[low].ref;
		h->more[low].order = UINT8_MAX; /* it counts */
	}
	return at < b->octets ? 0 : b->octets;
}

static bool load_leg(struct session_server *srv, const struct found *f, struct harvest *h)
{
	const struct body_leg *const b = store_body(srv->setup.store, f->ref, NULL);
	const uint32_t session = life_find(srv, b->session);
	struct leg at = { .ref = f->ref, .stamp = b->stamp };
	uint8_t octets[IMAGE_MAX + MORE_PART];
	size_t len = 0;
	struct image image;
	uint32_t n = NONE;

	if (session != NONE && b->number == srv->sessions[session].n_legs + 1)
		len = gather(srv, b, f, h, octets, &at);
	if (len && image_unpack(srv, octets, len, &image)) {
		image.heard_s = b->heard_s;
		n = leg_restore(srv, session, &image);
	}
	crypto_wipe(octets, sizeof(octets));
	if (n == NONE) {
		for (unsigned i = 0; i < at.n_pieces; i++)
			sweep(srv, at.piece[i]);
		sweep(srv, f->ref);
		return false;
	}
	srv->legs[n].ref = at.ref;
	srv->legs[n].stamp = at.stamp;
	srv->legs[n].n_pieces = at.n_pieces;
	memcpy(srv->legs[n].piece, at.piece, sizeof(at.piece));
	media_look(srv, n);
	srv->legs[n].unsaved = false; /* it was read a moment ago */
	media_run(srv, n);
	return true;
}

/* A session that has lost a leg is none: nobody could tell which. */
static void drop_broken(struct session_server *srv, const struct harvest *h, const bool *broken)
{
	for (uint32_t i = 0; i < h->n_sessions; i++) {
		const uint32_t n = life_find(srv, h->session[i].session);

		if (n == NONE || (!broken[i] && srv->sessions[n].n_legs > 0))
			continue;
		session_stat(srv, SESSION_STAT_SWEPT);
		life_end(srv, n);
	}
}

static void mark_broken(const struct harvest *h, uint64_t session, bool *broken)
{
	for (uint32_t low = 0, high = h->n_sessions; low < high;) {
		const uint32_t middle = low + (high - low) / 2;

		if (h->session[middle].session == session) {
			broken[middle] = true;
			return;
		}
		if (h->session[middle].session < session)
			low = middle + 1;
		else
			high = middle;
	}
}

static unsigned load(struct session_server *srv, struct harvest *h, bool *broken)
{
	for (uint32_t i = 0; i < h->n_sessions; i++)
		load_session(srv, &h->session[i]);
	for (uint32_t i = 0; i < h->n_legs; i++)
		if (!load_leg(srv, &h->leg[i], h))
			mark_broken(h, h->leg[i].session, broken);
	for (uint32_t i = 0; i < h->n_more; i++)
		if (h->more[i].order != UINT8_MAX)
			sweep(srv, h->more[i].ref);
	drop_broken(srv, h, broken);
	row_flush(srv); /* of those: there is no data plane yet, they are gone at once */
	return srv->n_sessions;
}

unsigned session_restore(struct session_server *srv, uint64_t now_ms)
{
	struct harvest h;
	unsigned n = 0;
	bool *broken;

	life_now(srv, now_ms);
	if (!srv->setup.store || store_used(srv->setup.store) == 0)
		return 0;
	broken = calloc(store_used(srv->setup.store) + 1, sizeof(*broken));
	if (harvest(srv, &h) && broken)
		n = load(srv, &h, broken);
	free(broken);
	free(h.session);
	free(h.leg);
	free(h.more);
	return n;
}

uint32_t session_store_records(unsigned legs_max)
{
	/* A session of one leg: itself, the head, three pieces at most, and one change of one leg.
	 */
	return legs_max * 5 + LEG_PIECES_MAX + 2;
}
