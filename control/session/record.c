/* Writing the store. */
#include <string.h>

#include "control/session/record.h"
#include "crypto.h"

static void commit(struct session_server *srv, store_ref ref, const void *body)
{
	store_commit(srv->setup.store, ref, STORE_SESSION, body);
}

void record_wipe(struct store *store, store_ref ref)
{
	static const uint8_t nothing[STORE_BODY];

	for (unsigned i = 0; i < 2; i++) /* a record has two bodies */
		store_commit(store, ref, STORE_SESSION, nothing);
	store_free(store, ref);
}

static void release(struct session_server *srv, store_ref *ref)
{
	if (*ref != 0)
		record_wipe(srv->setup.store, *ref);
	*ref = 0;
}

static void commit_pieces(struct session_server *srv, const struct leg *l, const uint8_t *image,
                          size_t len, const store_ref *piece, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct body_more b = { .sort = RECORD_MORE,
			               .piece = (uint8_t)i,
			               .stamp = l->stamp + 1,
			               .session = srv->sessions[l->session].id,
			               .head = l->ref };
		const size_t at = HEAD_PART + (size_t)i * MORE_PART;
		const size_t left = len - at;

		memcpy(b.part, image + at, left < MORE_PART ? left : MORE_PART);
		commit(srv, piece[i], &b);
		crypto_wipe(&b, sizeof(b));
	}
}

static void commit_head(struct session_server *srv, const struct leg *l, const uint8_t *image,
                        size_t len)
{
	struct body_leg b = { .sort = RECORD_LEG,
		              .number = l->number,
		              .octets = (uint16_t)len,
		              .stamp = l->stamp + 1,
		              .session = srv->sessions[l->session].id,
		              .heard_s = l->heard_s };

	memcpy(b.part, image, len < HEAD_PART ? len : HEAD_PART);
	commit(srv, l->ref, &b);
	crypto_wipe(&b, sizeof(b));
}

static unsigned pieces_of(size_t len)
{
	return len <= HEAD_PART ? 0 : (unsigned)((len - HEAD_PART + MORE_PART - 1) / MORE_PART);
}

bool record_leg(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];
	store_ref old[LEG_PIECES_MAX];
	uint8_t image[IMAGE_MAX];
	size_t len;

	if (!srv->setup.store)
		return true;
	len = image_pack(srv, l, image);
	const unsigned n_old = l->n_pieces, n_new = pieces_of(len);

	if (len == 0 || !store_room(srv->setup.store, n_new + (l->ref == 0))) {
		crypto_wipe(image, sizeof(image));
		return false;
	}
	if (l->ref == 0)
		l->ref = store_take(srv->setup.store);
	memcpy(old, l->piece, sizeof(old));
	for (unsigned i = 0; i < n_new; i++)
		l->piece[i] = store_take(srv->setup.store);
	l->n_pieces = (uint8_t)n_new;
	commit_pieces(srv, l, image, len, l->piece, n_new);
	commit_head(srv, l, image, len);
	l->stamp++;
	for (unsigned i = 0; i < n_old; i++)
		release(srv, &old[i]);
	crypto_wipe(image, sizeof(image));
	return true;
}

void record_heard(struct session_server *srv, uint32_t n, uint32_t heard_s)
{
	struct leg *const l = &srv->legs[n];
	struct body_leg b;

	if (l->heard_s == heard_s)
		return;
	l->heard_s = heard_s;
	if (l->ref == 0)
		return;
	memcpy(&b, store_body(srv->setup.store, l->ref, NULL), sizeof(b));
	b.heard_s = heard_s;
	commit(srv, l->ref, &b);
	crypto_wipe(&b, sizeof(b));
}

void record_leg_free(struct session_server *srv, uint32_t n)
{
	struct leg *const l = &srv->legs[n];

	release(srv, &l->ref);
	for (unsigned i = 0; i < l->n_pieces; i++)
		release(srv, &l->piece[i]);
	l->n_pieces = 0;
}

bool record_session(struct session_server *srv, uint32_t n)
{
	struct session *const s = &srv->sessions[n];
	struct body_session b = { .sort = RECORD_SESSION,
		                  .id = s->id,
		                  .created_ms = s->created_ms };

	if (!srv->setup.store)
		return true;
	if (s->ref == 0)
		s->ref = store_take(srv->setup.store);
	if (s->ref == 0)
		return false;
	memcpy(b.name, s->name, sizeof(b.name));
	commit(srv, s->ref, &b);
	return true;
}

void record_session_free(struct session_server *srv, uint32_t n)
{
	struct session *const s = &srv->sessions[n];

	if (s->ref != 0)
		store_free(srv->setup.store, s->ref);
	s->ref = 0;
}

uint64_t record_next_id(struct session_server *srv)
{
	struct body_ids b = { .sort = RECORD_IDS, .next = srv->next_id + IDS_AHEAD };

	if (srv->setup.store && srv->next_id >= srv->ids_until) {
		if (srv->ids_ref == 0)
			srv->ids_ref = store_take(srv->setup.store);
		if (srv->ids_ref == 0)
			return 0;
		commit(srv, srv->ids_ref, &b);
		srv->ids_until = b.next;
	}
	return srv->next_id++;
}
