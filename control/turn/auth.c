/* Credentials, nonce, integrity. */
#include <string.h>

#include "control/turn/auth.h"
#include "control/turn/limit.h"
#include "control/turn/list.h"
#include "control/turn/user.h"
#include "wire/attr.h"

/* Step 4: what has to be there, and be well formed, before anybody is looked up. */
static bool complete(const struct request *r)
{
	const struct stun_attr *mi = &r->marks.integrity, *mi256 = &r->marks.sha256;

	if (attr_there(mi) && !stun_integrity_len_ok(STUN_MESSAGE_INTEGRITY, mi->len))
		return false;
	if (attr_there(mi256) && !stun_integrity_len_ok(STUN_MESSAGE_INTEGRITY_SHA256, mi256->len))
		return false;
	if (attr_there(&r->username) == attr_there(&r->userhash)) /* STUN-087, STUN-099 */
		return false;
	if (r->username.len > NAME_MAX_WIRE)
		return false;
	if (attr_there(&r->userhash) && r->userhash.len != CRYPTO_SHA256_LEN)
		return false;
	return attr_there(&r->realm) && attr_there(&r->nonce);
}

/* The nonce says that PASSWORD-ALGORITHMS was offered with it (STUN-088, STUN-104). */
static bool nonce_offers(const struct request *r)
{
	const uint8_t c = r->nonce.len > 9 ? r->nonce.value[9] : 0;

	if (r->nonce.len < NONCE_PREFIX_LEN || memcmp(r->nonce.value, "obMatJos2", 9) != 0)
		return false;
	/* Bit 0 is the top bit of the first base64 character: 'g'..'z', '0'..'9', '+', '/'. */
	return (c >= 'g' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

static int read_algorithm(const struct turn_server *srv, struct request *r)
{
	const bool one = attr_there(&r->algorithm), list = attr_there(&r->algorithms);

	r->key = KEY_MD5;
	if (srv->algorithms_len == 0 || !nonce_offers(r))
		return TURN_OK;
	if (!one && !list) /* an old client: MD5 is implied (STUN-112) */
		return srv->cfg->auth_md5 ? TURN_OK : STUN_UNAUTHENTICATED;
	if (!one || !list)
		return STUN_BAD_REQUEST;
	switch (stun_algorithm_chosen(&r->algorithm, &r->algorithms, srv->algorithms,
	                              srv->algorithms_len)) {
	case STUN_ALGORITHM_MD5: break;
	case STUN_ALGORITHM_SHA256: r->key = KEY_SHA256; break;
	default: return STUN_BAD_REQUEST;
	}
	r->answer_sha256 = true; /* STUN-094 */
	return TURN_OK;
}

/* MESSAGE-INTEGRITY-SHA256 decides where it is there (STUN-064), and whole (STUN-062). */
static bool verify(const struct request *r, struct cred *cred)
{
	const bool sha256 = attr_there(&r->marks.sha256);
	const struct stun_integrity in =
		stun_integrity_locate(&r->msg, sha256 ? &r->marks.sha256 : &r->marks.integrity);
	const struct crypto_piece pieces[] = { { in.head, sizeof(in.head) },
		                               { in.rest, in.rest_len } };
	uint8_t mac[CRYPTO_SHA256_LEN];

	if (sha256) {
		if (in.mac_len != CRYPTO_SHA256_LEN)
			return false;
		crypto_hmac_sha256(user_hmac_sha256(cred, r->key), pieces, 2, mac);
	} else {
		crypto_hmac_sha1(user_hmac_sha1(cred, r->key), pieces, 2, mac);
	}
	return crypto_equal(mac, in.mac, in.mac_len);
}

static bool realm_equal(const struct realm *realm, const struct stun_attr *attr)
{
	return attr->len == strlen(realm->text) && memcmp(attr->value, realm->text, attr->len) == 0;
}

/* The request names the user of this credential. */
static bool names(const struct request *r, const struct cred *cred)
{
	if (attr_there(&r->userhash))
		return memcmp(r->userhash.value, cred->userhash, CRYPTO_SHA256_LEN) == 0;
	return name_equal(&r->name, &cred->name);
}

/*
 * A time-limited name: any of the secrets may have made its password (TURN-197). Its expiry counts
 * where there is no allocation yet (TURN-196).
 */
static int try_rest(struct turn_server *srv, struct request *r)
{
	const char *realm = srv->realms[r->realm_slot].text;
	uint64_t expiry_s;

	if (srv->n_rest == 0 || !attr_there(&r->username) ||
	    !user_rest_name(srv, r->username.value, r->username.len, &expiry_s, &r->owner)) {
		stat_count(srv, TURN_STAT_AUTH_USER);
		r->refusal = "unknown user";
		return STUN_UNAUTHENTICATED;
	}
	if (expiry_s <= srv->wall_s) {
		stat_count(srv, TURN_STAT_AUTH_EXPIRED);
		r->refusal = "expired";
		return STUN_UNAUTHENTICATED;
	}
	memset(&srv->tried, 0, sizeof(srv->tried));
	srv->tried.name = r->name;
	srv->tried.realm = r->realm_slot;
	srv->tried.flags = CRED_USED;
	for (unsigned i = 0; i < srv->n_rest; i++) {
		user_rest_keys(srv, i, r->username.value, r->username.len, realm, &srv->tried);
		if (verify(r, &srv->tried)) {
			r->who = &srv->tried;
			return TURN_OK;
		}
	}
	stat_count(srv, TURN_STAT_AUTH_INTEGRITY);
	r->refusal = "wrong password";
	return STUN_UNAUTHENTICATED;
}

static bool accept(struct turn_server *srv, struct request *r, struct cred *cred)
{
	if (!verify(r, cred))
		return false;
	r->who = cred;
	r->owner = srv->owners[cred->owner].name;
	return true;
}

/* Step 5. On an allocation its owner's key is the one that counts (TURN-025, TURN-035). */
static int identify(struct turn_server *srv, struct request *r)
{
	uint32_t c;

	if (attr_there(&r->username) && !r->named)
		name_make(&r->name, r->username.value, r->username.len);
	if (attr_there(&r->userhash) && !srv->anonymity)
		c = NONE;
	else if (r->alloc != NULL && names(r, &srv->creds[r->alloc->cred]) &&
	         accept(srv, r, &srv->creds[r->alloc->cred]))
		return TURN_OK;
	else if (r->alloc != NULL && names(r, &srv->creds[r->alloc->cred]) &&
	         r->method != TURN_ALLOCATE)
		goto wrong;
	else if (attr_there(&r->userhash))
		c = user_find_hash(srv, r->userhash.value);
	else
		c = r->named && r->hashed_realm == r->realm_slot
		            ? user_find_hashed(srv, r->hash_name, &r->name, r->realm_slot)
		            : user_find(srv, &r->name, r->realm_slot);
	if (c == NONE)
		return try_rest(srv, r);
	if (accept(srv, r, &srv->creds[c]))
		return TURN_OK;
wrong:
	stat_count(srv, TURN_STAT_AUTH_INTEGRITY);
	r->refusal = "wrong password";
	return STUN_UNAUTHENTICATED;
}

int auth_check(struct turn_server *srv, struct request *r)
{
	const struct listener *l = &srv->listeners[r->listener];
	enum nonce_verdict nonce;
	int err;

	r->realm_slot = r->alloc != NULL ? srv->creds[r->alloc->cred].realm : srv->realm;
	if (!attr_there(&r->marks.integrity) && !attr_there(&r->marks.sha256))
		return STUN_UNAUTHENTICATED;
	err = complete(r) ? read_algorithm(srv, r) : STUN_BAD_REQUEST;
	if (err != TURN_OK) {
		stat_count(srv, TURN_STAT_AUTH_INCOMPLETE);
		return err;
	}
	nonce = nonce_check(srv->nonces, srv->prefix, l->scope, &r->client, r->nonce.value,
	                    r->nonce.len, srv->wall_s, srv->cfg->nonce_lifetime_s);
	if (nonce == NONCE_FOREIGN) { /* STUN-092 */
		stat_count(srv, TURN_STAT_NONCE_FOREIGN);
		return STUN_STALE_NONCE;
	}
	if (!realm_equal(&srv->realms[r->realm_slot], &r->realm)) {
		stat_count(srv, TURN_STAT_AUTH_REALM);
		return STUN_UNAUTHENTICATED;
	}
	const struct stun_attr *who = attr_there(&r->username) ? &r->username : &r->userhash;
	if (!limit_passes(srv, &r->client.addr, who->value, who->len)) {
		stat_count(srv, TURN_STAT_DROP_LOGIN_LIMIT);
		return TURN_SILENT;
	}
	err = identify(srv, r);
	if (err != TURN_OK) {
		limit_failed(srv, &r->client.addr, who->value, who->len);
		list_login(srv, &r->client, r->listener, r->username.value, r->username.len,
		           (uint16_t)err, r->refusal);
		return err;
	}
	if (nonce == NONCE_EXPIRED) {
		stat_count(srv, TURN_STAT_NONCE_STALE);
		return STUN_STALE_NONCE;
	}
	return TURN_OK;
}

void auth_seal(struct request *r, struct stun_builder *b)
{
	size_t covered;
	uint8_t *mac;

	if (r->who == NULL)
		return;
	mac = stun_reserve_integrity(
		b, r->answer_sha256 ? STUN_MESSAGE_INTEGRITY_SHA256 : STUN_MESSAGE_INTEGRITY,
		&covered);
	if (mac == NULL)
		return;

	const struct crypto_piece piece = { b->buf, covered };
	if (r->answer_sha256)
		crypto_hmac_sha256(user_hmac_sha256(r->who, r->key), &piece, 1, mac);
	else
		crypto_hmac_sha1(user_hmac_sha1(r->who, KEY_MD5), &piece, 1, mac);
}

size_t auth_put_challenge(struct turn_server *srv, uint8_t listener, uint8_t realm,
                          const struct endpoint *client, struct stun_builder *b)
{
	const char *text = srv->realms[realm].text;
	uint8_t *nonce;

	stun_put(b, STUN_REALM, text, (uint16_t)strlen(text));
	nonce = stun_reserve(b, STUN_NONCE, NONCE_LEN);
	if (nonce == NULL)
		return 0;
	const size_t at = (size_t)(nonce - b->buf);
	if (client != NULL)
		nonce_make(srv->nonces, srv->prefix, srv->listeners[listener].scope, client,
		           srv->wall_s, (char *)nonce);
	if (srv->algorithms_len > 0)
		stun_put(b, STUN_PASSWORD_ALGORITHMS, srv->algorithms,
		         (uint16_t)srv->algorithms_len);
	return at;
}
