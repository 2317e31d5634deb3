/* The octets of checks, answers and keepalives, and whose they are. */
#include <stdio.h>

#include "control/ice/parts.h"
#include "wire/check.h"
#include "wire/crc.h"
#include "wire/integrity.h"

static void sign(struct stun_builder *b, const struct crypto_hmac_sha1 *key)
{
	size_t covered;
	uint8_t *const mac = stun_reserve_integrity(b, STUN_MESSAGE_INTEGRITY, &covered);
	const struct crypto_piece all = { b->buf, covered };

	if (mac)
		crypto_hmac_sha1(key, &all, 1, mac);
}

bool message_verify(const struct stun_msg *m, const struct stun_marks *marks,
                    const struct their_credentials *c)
{
	return c->set && check_verify(m, marks, &c->key);
}

/* ICE-115, ICE-182. */
size_t message_check(const struct generation *g, const struct transaction *t, uint8_t *out,
                     size_t cap)
{
	char name[2 * ICE_UFRAG_MAX + 2];
	struct stun_builder b;
	uint8_t *tie;
	const int n = snprintf(name, sizeof(name), "%s:%s", g->theirs.ufrag, g->mine.ufrag);

	stun_begin(&b, out, cap, stun_type(STUN_BINDING, STUN_REQUEST), t->txid);
	stun_put(&b, STUN_USERNAME, name, (uint16_t)n);
	stun_put_u32(&b, STUN_PRIORITY, t->priority);
	tie = stun_reserve(&b, t->controlling ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED, 8);
	if (tie) {
		be32_store(tie, (uint32_t)(t->tie >> 32));
		be32_store(tie + 4, (uint32_t)t->tie);
	}
	if (t->use_candidate)
		stun_put(&b, STUN_USE_CANDIDATE, NULL, 0);
	sign(&b, &g->theirs.key);
	stun_put_fingerprint(&b);
	return stun_finish(&b);
}

/* ICE-135; errors to those who could not say who they are carry no integrity. */
size_t message_answer(const struct ice_agent *a, const struct answer *w, uint8_t *out, size_t cap)
{
	const struct stream *const s = &a->stream[w->stream];
	const struct credentials *const mine = w->old ? &s->before.mine : &s->now.mine;
	struct stun_builder b;

	if (!w->code)
		return check_answer(w->txid, &w->to, &mine->key, out);
	stun_begin(&b, out, cap, stun_type(STUN_BINDING, STUN_ERROR), w->txid);
	stun_put_error(&b, w->code, stun_reason(w->code));
	if (w->code == 420) {
		struct stun_unknown u = { .type = { w->unknown }, .listed = 1 };

		stun_put_unknown(&b, &u);
	}
	if (!w->bare)
		sign(&b, &mine->key);
	stun_put_fingerprint(&b);
	return stun_finish(&b);
}

/* ICE-179: 28 octets. */
size_t message_keepalive(struct ice_agent *a, uint8_t *out, size_t cap)
{
	uint8_t txid[STUN_TXID_LEN];
	struct stun_builder b;

	a->c.random(a->c.random_arg, txid, sizeof(txid));
	stun_begin(&b, out, cap, stun_type(STUN_BINDING, STUN_INDICATION), txid);
	stun_put_fingerprint(&b);
	return stun_finish(&b);
}

bool message_send(struct ice_agent *a, struct via via, const struct endpoint *to,
                  const uint8_t *octets, size_t len, struct ice_event *out)
{
	struct ice_datagram *const d = &out->datagram;

	out->kind = ICE_EVENT_SEND;
	d->base = via.base;
	d->dscp = 0;
	if (via.alloc == NONE) {
		d->to = *to;
		d->len = len <= sizeof(d->octets) ? len : 0;
		memcpy(d->octets, octets, d->len);
	} else {
		const struct gather *const g = &a->gather[via.alloc];

		d->to = a->server[g->server].at;
		d->len = allocation_wrap(g->al, to, octets, len, d->octets, sizeof(d->octets));
	}
	return d->len > 0;
}
