/* Requests, built anew for every sending: a client keeps no octets. */
#include "pkt-gen/fleet_parts.h"

enum { PEER_LEN = 24 /* XOR-PEER-ADDRESS of IPv6 with its header */ };

unsigned fleet_method(enum doing doing)
{
	static const uint16_t methods[] = {
		[DO_NOTHING] = 0,
		[DO_ALLOCATE] = TURN_ALLOCATE,
		[DO_PERMIT] = TURN_CREATE_PERMISSION,
		[DO_BIND] = TURN_CHANNEL_BIND,
		[DO_REFRESH] = TURN_REFRESH,
		[DO_DELETE] = TURN_REFRESH,
		[DO_CLEAR] = TURN_REFRESH,
		[DO_CHURN_PERMIT] = TURN_CREATE_PERMISSION,
		[DO_CHURN_BIND] = TURN_CHANNEL_BIND,
	};

	return methods[doing];
}

bool fleet_signs(const struct fleet *f, const struct client *c)
{
	return f->cfg.user != NULL && c->realm != REALMS_MAX;
}

uint16_t fleet_number(const struct fleet *f, uint32_t i, uint32_t peer)
{
	const uint32_t all = CHANNEL_MAX_5766 - CHANNEL_MIN + 1;

	if (!f->cfg.rfc5766_channels)
		return (uint16_t)(CHANNEL_MIN + peer % (CHANNEL_MAX - CHANNEL_MIN + 1));
	return (uint16_t)(CHANNEL_MIN + ((i * UINT32_C(2654435761) >> 16) + peer) % all);
}

/* Octets of a signed request without what it asks for. */
static size_t credentials_len(const struct fleet *f, uint32_t i)
{
	const struct client *c = &f->client[i];
	char user[FLEET_TEXT_MAX + 1];

	if (!fleet_signs(f, c))
		return STUN_HDR_LEN;
	const struct realm *r = &f->realm[c->realm];
	size_t len = STUN_HDR_LEN + 4 + pad4(r->text_len) + 4 + pad4(c->nonce_len) + 4;

	len += pad4(r->userhash ? (size_t)CRYPTO_SHA256_LEN : fleet_key_user(f, i, user));
	if (r->algorithms_len > 0)
		len += 4 + pad4(r->algorithms_len) + 8;
	return len + 4 + CRYPTO_SHA256_LEN;
}

unsigned fleet_ask_batch(struct fleet *f, uint32_t i, uint32_t first)
{
	const size_t room = sizeof(((struct fleet_datagram *)NULL)->octets) - credentials_len(f, i);
	uint32_t left = f->cfg.peers - first;
	unsigned n = 0;

	if (left > room / PEER_LEN)
		left = (uint32_t)(room / PEER_LEN);
	if (left > BATCH_MAX)
		left = BATCH_MAX;
	while (n < left && f->cfg.peer_at(f->cfg.arg, i, first + n).port != 0)
		n++;
	return n;
}

static void put_peers(struct fleet *f, uint32_t i, struct stun_builder *b, uint32_t first,
                      unsigned n)
{
	for (unsigned p = 0; p < n; p++) {
		const struct endpoint at = f->cfg.peer_at(f->cfg.arg, i, first + p);

		stun_put_xor_addr(b, TURN_XOR_PEER_ADDRESS, &at);
	}
}

static void put_method(struct fleet *f, uint32_t i, struct stun_builder *b)
{
	const struct client *c = &f->client[i];
	const bool churns = c->doing == DO_CHURN_BIND || c->doing == DO_CHURN_PERMIT;
	const uint32_t peer = churns ? c->extra : c->peer;

	switch ((enum doing)c->doing) {
	case DO_ALLOCATE:
		stun_put_u8(b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
		if (f->cfg.relayed_ipv6)
			stun_put_u8(b, TURN_REQUESTED_ADDRESS_FAMILY, TURN_FAMILY_IPV6);
		if (f->cfg.lifetime_s != 0)
			stun_put_u32(b, TURN_LIFETIME, f->cfg.lifetime_s);
		break;
	case DO_REFRESH:
		if (f->cfg.lifetime_s != 0)
			stun_put_u32(b, TURN_LIFETIME, f->cfg.lifetime_s);
		break;
	case DO_DELETE:
	case DO_CLEAR: stun_put_u32(b, TURN_LIFETIME, 0); break;
	case DO_BIND:
	case DO_CHURN_BIND:
		stun_put_u32(b, TURN_CHANNEL_NUMBER, (uint32_t)fleet_number(f, i, peer) << 16);
		put_peers(f, i, b, peer, 1);
		break;
	case DO_PERMIT: put_peers(f, i, b, peer, c->batch); break;
	case DO_CHURN_PERMIT: put_peers(f, i, b, peer, 1); break;
	case DO_NOTHING: break;
	}
}

static void put_user(struct fleet *f, uint32_t i, struct stun_builder *b, const struct realm *r)
{
	char user[FLEET_TEXT_MAX + 1];
	uint8_t hash[CRYPTO_SHA256_LEN];

	if (r->userhash && !f->user.numbered) {
		stun_put(b, STUN_USERHASH, r->hash, sizeof(r->hash));
		return;
	}

	const size_t len = fleet_key_user(f, i, user);
	if (r->userhash) {
		crypto_userhash(user, len, r->text, hash);
		stun_put(b, STUN_USERHASH, hash, sizeof(hash));
	} else {
		stun_put(b, STUN_USERNAME, user, (uint16_t)len);
	}
}

static void sign(struct fleet *f, uint32_t i, struct stun_builder *b)
{
	const struct client *c = &f->client[i];
	const struct realm *r = &f->realm[c->realm];
	const bool sha1 = r->kind == KEY_SHA1;
	uint8_t mac[CRYPTO_SHA256_LEN], *to;
	size_t covered;

	put_user(f, i, b, r);
	stun_put(b, STUN_REALM, r->text, r->text_len);
	stun_put(b, STUN_NONCE, fleet_nonce(c), c->nonce_len);
	if (r->algorithms_len > 0) {
		const uint16_t chosen =
			r->kind == KEY_SHA256 ? STUN_ALGORITHM_SHA256 : STUN_ALGORITHM_MD5;

		stun_put(b, STUN_PASSWORD_ALGORITHMS, r->algorithms, r->algorithms_len);
		stun_put_algorithms(b, STUN_PASSWORD_ALGORITHM, &chosen, 1);
	}
	to = stun_reserve_integrity(
		b, sha1 ? STUN_MESSAGE_INTEGRITY : STUN_MESSAGE_INTEGRITY_SHA256, &covered);
	if (to == NULL)
		return;

	const struct crypto_piece all = { b->buf, covered };
	fleet_key_mac(fleet_key(f, i, c->realm), (enum key_kind)r->kind, &all, 1, mac);
	memcpy(to, mac, sha1 ? CRYPTO_SHA1_LEN : CRYPTO_SHA256_LEN);
}

size_t fleet_ask(struct fleet *f, uint32_t i, uint8_t *out, size_t cap)
{
	const struct client *c = &f->client[i];
	uint8_t txid[STUN_TXID_LEN];
	struct stun_builder b;

	be32_store(txid, f->tag);
	be32_store(txid + 4, i);
	be32_store(txid + 8, c->seq);
	stun_begin(&b, out, cap, stun_type(fleet_method((enum doing)c->doing), STUN_REQUEST), txid);
	put_method(f, i, &b);
	if (fleet_signs(f, c))
		sign(f, i, &b);
	return stun_finish(&b);
}
