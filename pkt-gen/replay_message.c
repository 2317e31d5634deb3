/* A captured message, made anew for the target: addresses, transaction id, credentials. */
#include "pkt-gen/replay_parts.h"
#include "wire/crc.h"
#include "wire/integrity.h"

struct endpoint replay_peer(const struct replay *r, const struct endpoint *captured)
{
	const struct endpoint ip = { .addr = captured->addr };
	struct endpoint now = { .port = 0 };
	uint8_t key[REPLAY_KEY];
	int32_t i;

	index_endpoint(key, captured);
	i = index_find(&r->relays, key);
	if (i != REPLAY_NONE)
		return r->relayed[i].live;
	i = index_find(&r->peers, key);
	index_endpoint(key, &ip);
	if (index_find(&r->relay_ips, key) != REPLAY_NONE) {
		/* A permission names the address, and any port of it. */
		for (int32_t k = 0; k < r->relays.n; k++)
			if (r->relayed[k].live.port != 0) {
				now = r->relayed[k].live;
				now.port = captured->port != 0 ? captured->port : now.port;
				break;
			}
		return now;
	}
	return apart_peer_at(&r->apart, (uint32_t)index_find(&r->peer_ips, key), (uint32_t)i);
}

/* "%u" is the client's number. */
static size_t text_of(const char *format, int32_t client, char *out, size_t cap)
{
	const char *at = strstr(format, "%u");
	const int n = at == NULL ? snprintf(out, cap, "%s", format)
	                         : snprintf(out, cap, "%.*s%d%s", (int)(at - format), format,
	                                    client, at + 2);

	return n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1;
}

bool replay_learn(const struct replay *r, int32_t client, const struct stun_msg *msg)
{
	struct replay_client *c = &r->client[client];
	char name[512], password[512];
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN];
	struct stun_attr realm, nonce;
	size_t name_len, password_len;

	if (!stun_find(msg, STUN_REALM, &realm) || !stun_find(msg, STUN_NONCE, &nonce) ||
	    realm.len > REPLAY_TEXT_MAX || nonce.len > REPLAY_TEXT_MAX || nonce.len == 0)
		return false;
	memcpy(c->nonce, nonce.value, nonce.len);
	c->nonce_len = (uint8_t)nonce.len;
	if (c->realm_len == realm.len && realm.len != 0 &&
	    memcmp(c->realm, realm.value, realm.len) == 0)
		return true;
	memcpy(c->realm, realm.value, realm.len);
	c->realm[realm.len] = '\0';
	c->realm_len = (uint8_t)realm.len;
	if (r->user == NULL || r->password == NULL)
		return true;
	name_len = text_of(r->user, client, name, sizeof(name));
	password_len = text_of(r->password, client, password, sizeof(password));
	crypto_long_term(name, name_len, c->realm, password, password_len, md5, sha256);
	crypto_hmac_sha1_key(&c->key, md5, sizeof(md5));
	crypto_wipe(password, sizeof(password));
	crypto_wipe(md5, sizeof(md5));
	crypto_wipe(sha256, sizeof(sha256));
	return true;
}

/* Whoever does not speak of algorithms uses MD5 and SHA-1 (RFC 8489 §9.2.4). */
static void sign(const struct replay *r, int32_t client, struct stun_builder *b)
{
	const struct replay_client *c = &r->client[client];
	uint8_t mac[CRYPTO_SHA1_LEN], *dst;
	char name[512];
	size_t covered;

	stun_put(b, STUN_USERNAME, name, (uint16_t)text_of(r->user, client, name, sizeof(name)));
	stun_put(b, STUN_REALM, c->realm, c->realm_len);
	stun_put(b, STUN_NONCE, c->nonce, c->nonce_len);
	dst = stun_reserve_integrity(b, STUN_MESSAGE_INTEGRITY, &covered);
	if (dst == NULL)
		return;
	const struct crypto_piece piece = { b->buf, covered };
	crypto_hmac_sha1(&c->key, &piece, 1, mac);
	memcpy(dst, mac, sizeof(mac));
}

static bool is_credential(uint16_t type)
{
	switch (type) {
	case STUN_USERNAME:
	case STUN_REALM:
	case STUN_NONCE:
	case STUN_USERHASH:
	case STUN_PASSWORD_ALGORITHM:
	case STUN_PASSWORD_ALGORITHMS:
	case STUN_MESSAGE_INTEGRITY:
	case STUN_MESSAGE_INTEGRITY_SHA256:
	case STUN_FINGERPRINT: return true;
	default: return false;
	}
}

/* The relayed address is of the family that our peers have. */
static void put_family(const struct replay *r, struct stun_builder *b)
{
	if (r->field.options->peer_family == 6)
		stun_put_u8(b, TURN_REQUESTED_ADDRESS_FAMILY, TURN_FAMILY_IPV6);
}

/* false: it goes to a relayed address that the target has not given yet. */
static bool put_attributes(const struct replay *r, const struct stun_msg *msg,
                           struct stun_builder *b)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr attr;
	struct endpoint peer;

	while (stun_next(&it, &attr)) {
		if (is_credential(attr.type) || attr.type == TURN_REQUESTED_ADDRESS_FAMILY ||
		    attr.type == TURN_ADDITIONAL_ADDRESS_FAMILY)
			continue;
		if (attr.type == TURN_XOR_PEER_ADDRESS && stun_xor_addr(msg, &attr, &peer) != 0) {
			peer = replay_peer(r, &peer);
			if (peer.port == 0)
				return false;
			stun_put_xor_addr(b, attr.type, &peer);
			continue;
		}
		stun_put(b, attr.type, attr.value, attr.len);
	}
	return true;
}

size_t replay_message(const struct replay *r, const struct replay_item *item,
                      const uint8_t txid[STUN_TXID_LEN], uint8_t *out, size_t cap)
{
	const struct replay_transaction *t =
		item->kind == REPLAY_REQUEST ? &r->transaction[item->what] : NULL;
	const bool authenticated = t != NULL && t->authenticated;
	struct stun_marks marks;
	struct stun_builder b;
	struct stun_msg msg;

	if (!stun_open(r->octets + item->octets, item->len, &msg))
		return 0;
	/* Without credentials, and what cannot be walked: as it is, wrong or right. A Binding
	 * request's integrity is not ours either. */
	if ((authenticated && r->user == NULL) || !stun_scan(&msg, &marks) ||
	    (!authenticated && (marks.integrity.value != NULL || marks.sha256.value != NULL))) {
		if (item->len > cap)
			return 0;
		memcpy(out, r->octets + item->octets, item->len);
		return item->len;
	}
	stun_begin(&b, out, cap, msg.type, txid);
	if (!put_attributes(r, &msg, &b))
		return 0;
	if (t != NULL && t->method == TURN_ALLOCATE)
		put_family(r, &b);
	if (authenticated && r->client[item->client].nonce_len != 0)
		sign(r, item->client, &b);
	if (marks.fingerprint.value != NULL)
		stun_put_fingerprint(&b);
	return stun_finish(&b);
}
