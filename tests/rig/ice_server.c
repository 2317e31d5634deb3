/* A small STUN and TURN server. */
#include "tests/rig/ice_server.h"

#include <stdlib.h>

#include "crypto.h"
#include "wire/attr.h"
#include "wire/crc.h"
#include "wire/integrity.h"

enum { ALLOCATIONS = 64, PEERS = 64, SERVER_PORT = 3478 };

struct known {
	struct endpoint at; /* port 0: a permission */
	uint16_t channel;
	uint64_t until_ms;
};

struct lease {
	bool used;
	struct endpoint client, server, relayed;
	uint64_t until_ms;
	uint8_t txid[STUN_TXID_LEN]; /* of the request that made it */
	struct known peer[PEERS];
	unsigned n_peers;
};

struct ice_server_sim {
	struct lease lease[ALLOCATIONS];
	uint16_t next_port;
	struct crypto_hmac_sha1 key;
};

struct ask {
	struct ice_server_sim *s;
	uint64_t now_ms;
	const struct endpoint *from, *to;
	const struct stun_msg *m;
	ice_server_send *send;
	void *arg;
};

struct ice_server_sim *ice_server_new(uint64_t seed)
{
	struct ice_server_sim *const s = calloc(1, sizeof(*s));
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN];

	s->next_port = (uint16_t)(50000 + seed % 1000);
	crypto_long_term("alice", 5, "sim", "secret", 6, md5, sha256);
	crypto_hmac_sha1_key(&s->key, md5, sizeof(md5));
	return s;
}

void ice_server_free(struct ice_server_sim *s)
{
	free(s);
}

unsigned ice_server_allocations(const struct ice_server_sim *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ALLOCATIONS; i++)
		n += s->lease[i].used;
	return n;
}

static struct lease *lease_of(const struct ask *a)
{
	for (unsigned i = 0; i < ALLOCATIONS; i++) {
		struct lease *const l = &a->s->lease[i];

		if (l->used && l->until_ms <= a->now_ms)
			l->used = false;
		if (l->used && endpoint_equal(&l->client, a->from) &&
		    endpoint_equal(&l->server, a->to))
			return l;
	}
	return NULL;
}

static struct stun_builder begin(const struct ask *a, enum stun_class cls, uint8_t *buf, size_t cap)
{
	struct stun_builder b;

	stun_begin(&b, buf, cap, stun_type(stun_method(a->m->type), cls), a->m->txid);
	return b;
}

static void finish(const struct ask *a, struct stun_builder *b, bool sign)
{
	size_t covered;

	if (sign) {
		uint8_t *const mac = stun_reserve_integrity(b, STUN_MESSAGE_INTEGRITY, &covered);

		crypto_hmac_sha1(&a->s->key, &(struct crypto_piece){ b->buf, covered }, 1, mac);
	}
	stun_put_fingerprint(b);
	a->send(a->arg, a->to, a->from, b->buf, stun_finish(b));
}

static void refuse(const struct ask *a, unsigned code, bool sign)
{
	uint8_t buf[512];
	struct stun_builder b = begin(a, STUN_ERROR, buf, sizeof(buf));

	stun_put_error(&b, code, stun_reason(code));
	if (code == 401) {
		stun_put(&b, STUN_REALM, "sim", 3);
		stun_put(&b, STUN_NONCE, "obMatJos2AAAAnonce", 18);
	}
	finish(a, &b, sign);
}

static bool authentic(const struct ask *a)
{
	struct stun_marks marks;
	uint8_t mac[CRYPTO_SHA1_LEN];

	if (!stun_scan(a->m, &marks) || !marks.integrity.value)
		return false;
	const struct stun_integrity in = stun_integrity_locate(a->m, &marks.integrity);
	const struct crypto_piece p[] = { { in.head, 4 }, { in.rest, in.rest_len } };

	crypto_hmac_sha1(&a->s->key, p, 2, mac);
	return crypto_equal(mac, in.mac, sizeof(mac));
}

static void allocate(const struct ask *a)
{
	struct lease *l = lease_of(a);
	struct stun_attr attr;
	uint8_t buf[512], family = TURN_FAMILY_IPV4;
	struct addr at = a->to->addr;

	const bool again = l && memcmp(l->txid, a->m->txid, sizeof(l->txid)) == 0;

	if (l && !again) {
		refuse(a, 437, true);
		return;
	}
	for (unsigned i = 0; i < ALLOCATIONS && !l; i++)
		if (!a->s->lease[i].used)
			l = &a->s->lease[i];
	if (!l) {
		refuse(a, 508, true);
		return;
	}
	if (stun_find(a->m, TURN_REQUESTED_ADDRESS_FAMILY, &attr))
		stun_u8(&attr, &family);
	if (family == TURN_FAMILY_IPV4 && !addr_is4(&at))
		at = addr_from4((const uint8_t[]){ 198, 18, 0, 1 });
	if (!again)
		*l = (struct lease){ .used = true,
			             .client = *a->from,
			             .server = *a->to,
			             .relayed = { at, a->s->next_port++ },
			             .until_ms = a->now_ms + 600000 };
	memcpy(l->txid, a->m->txid, sizeof(l->txid));
	struct stun_builder b = begin(a, STUN_SUCCESS, buf, sizeof(buf));

	stun_put_xor_addr(&b, TURN_XOR_RELAYED_ADDRESS, &l->relayed);
	stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, a->from);
	stun_put_u32(&b, TURN_LIFETIME, 600);
	finish(a, &b, true);
}

static void learn(struct lease *l, const struct endpoint *at, uint16_t channel, uint64_t until_ms)
{
	unsigned i = 0;

	while (i < l->n_peers && !(l->peer[i].channel == channel &&
	                           (channel ? endpoint_equal(&l->peer[i].at, at)
	                                    : addr_equal(&l->peer[i].at.addr, &at->addr))))
		i++;
	if (i == PEERS)
		return;
	if (i == l->n_peers)
		l->n_peers++;
	l->peer[i] = (struct known){ *at, channel, until_ms };
}

static void grant(const struct ask *a, struct lease *l)
{
	const unsigned method = stun_method(a->m->type);
	struct stun_iter it = stun_attrs(a->m);
	uint16_t channel = 0;
	uint32_t lifetime = 600;
	struct stun_attr attr;
	struct endpoint peer;
	uint8_t buf[512];

	if (stun_find(a->m, TURN_CHANNEL_NUMBER, &attr))
		stun_channel(&attr, &channel);
	if (stun_find(a->m, TURN_LIFETIME, &attr))
		stun_u32(&attr, &lifetime);
	while (stun_next(&it, &attr)) {
		if (attr.type != TURN_XOR_PEER_ADDRESS || !stun_xor_addr(a->m, &attr, &peer))
			continue;
		learn(l, &peer, 0, a->now_ms + 300000);
		if (channel)
			learn(l, &peer, channel, a->now_ms + 600000);
	}
	struct stun_builder b = begin(a, STUN_SUCCESS, buf, sizeof(buf));

	if (method == TURN_REFRESH) {
		l->until_ms = a->now_ms + (uint64_t)lifetime * 1000;
		l->used = lifetime > 0;
		stun_put_u32(&b, TURN_LIFETIME, lifetime);
	}
	finish(a, &b, true);
}

static bool permitted(const struct lease *l, const struct addr *at, uint64_t now_ms)
{
	for (unsigned i = 0; i < l->n_peers; i++)
		if (addr_equal(&l->peer[i].at.addr, at) && l->peer[i].until_ms > now_ms)
			return true;
	return false;
}

static void to_client(struct ice_server_sim *s, uint64_t now_ms, const struct endpoint *from,
                      const struct endpoint *to, const void *octets, size_t len,
                      ice_server_send *send, void *arg)
{
	for (unsigned i = 0; i < ALLOCATIONS; i++) {
		const struct lease *const l = &s->lease[i];
		static const uint8_t txid[STUN_TXID_LEN] = { 1 };
		struct stun_builder b;
		uint8_t buf[2048];

		if (!l->used || l->until_ms <= now_ms || !endpoint_equal(&l->relayed, to) ||
		    !permitted(l, &from->addr, now_ms))
			continue;
		for (unsigned k = 0; k < l->n_peers; k++) {
			if (!l->peer[k].channel || !endpoint_equal(&l->peer[k].at, from))
				continue;
			be16_store(buf, l->peer[k].channel);
			be16_store(buf + 2, (uint16_t)len);
			memcpy(buf + 4, octets, len);
			send(arg, &l->server, &l->client, buf, len + 4);
			return;
		}
		stun_begin(&b, buf, sizeof(buf), stun_type(TURN_DATA, STUN_INDICATION), txid);
		stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, from);
		stun_put(&b, TURN_DATA_ATTR, octets, (uint16_t)len);
		send(arg, &l->server, &l->client, buf, stun_finish(&b));
	}
}

/* Own relayed addresses are peers like any other: the packet turns round in here. */
static void to_peer(const struct ask *a, const struct lease *l, const struct endpoint *peer,
                    const void *octets, size_t len)
{
	if (!permitted(l, &peer->addr, a->now_ms))
		return;
	if (addr_equal(&peer->addr, &l->relayed.addr))
		to_client(a->s, a->now_ms, &l->relayed, peer, octets, len, a->send, a->arg);
	else
		a->send(a->arg, &l->relayed, peer, octets, len);
}

static void request(const struct ask *a)
{
	const unsigned method = stun_method(a->m->type);
	struct lease *const l = lease_of(a);
	uint8_t buf[128];

	if (method == STUN_BINDING) {
		struct stun_builder b = begin(a, STUN_SUCCESS, buf, sizeof(buf));

		stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, a->from);
		finish(a, &b, false);
	} else if (!authentic(a)) {
		refuse(a, 401, false);
	} else if (method == TURN_ALLOCATE) {
		allocate(a);
	} else if (!l) {
		refuse(a, 437, true);
	} else {
		grant(a, l);
	}
}

static void client(const struct ask *a, const uint8_t *octets, size_t len)
{
	const struct lease *const l = lease_of(a);
	struct endpoint peer;
	struct stun_attr attr;

	if (octets[0] >= 0x40 && octets[0] < 0x50) {
		for (unsigned i = 0; l && len >= 4 && i < l->n_peers; i++)
			if (l->peer[i].channel == be16_load(octets) && l->peer[i].channel)
				to_peer(a, l, &l->peer[i].at, octets + 4, be16_load(octets + 2));
		return;
	}
	if (stun_class(a->m->type) == STUN_REQUEST)
		request(a);
	else if (l && stun_method(a->m->type) == TURN_SEND &&
	         stun_find(a->m, TURN_XOR_PEER_ADDRESS, &attr) &&
	         stun_xor_addr(a->m, &attr, &peer) && stun_find(a->m, TURN_DATA_ATTR, &attr))
		to_peer(a, l, &peer, attr.value, attr.len);
}

void ice_server_input(struct ice_server_sim *s, uint64_t now_ms, const struct endpoint *from,
                      const struct endpoint *to, const void *octets, size_t len,
                      ice_server_send *send, void *arg)
{
	struct stun_msg m = { .type = STUN_INDICATION };
	const struct ask a = { s, now_ms, from, to, &m, send, arg };

	if (to->port != SERVER_PORT)
		to_client(s, now_ms, from, to, octets, len, send, arg);
	else if (len >= 4 && (((const uint8_t *)octets)[0] >= 0x40 || stun_open(octets, len, &m)))
		client(&a, octets, len);
}
