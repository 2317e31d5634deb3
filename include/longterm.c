/* The client's half of long-term credentials. */
#include "longterm.h"

#include "wire/attr.h"
#include "wire/integrity.h"
#include "wire/turn.h"

enum { FEATURE_ALGORITHMS = 1, FEATURE_ANONYMITY = 2, COOKIE_LEN = 9, FEATURES_LEN = 4 };

static int base64_value(uint8_t c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *const at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

/* The bits behind the cookie, the first bit of the first octet lowest; 0 without a cookie. */
static unsigned features(const uint8_t *nonce, size_t len)
{
	int first;

	if (len < COOKIE_LEN + FEATURES_LEN || memcmp(nonce, "obMatJos2", COOKIE_LEN) != 0)
		return 0;
	first = base64_value(nonce[COOKIE_LEN]);
	if (first < 0)
		return 0;
	return (first & 0x20 ? FEATURE_ALGORITHMS : 0u) | (first & 0x10 ? FEATURE_ANONYMITY : 0u);
}

/* TURN-237: what the cookie promises has to be there, and SHA-256 is used where it is offered. */
static bool take_algorithms(struct longterm *l, const struct stun_msg *m, unsigned bits)
{
	struct stun_algorithm_iter it;
	struct stun_algorithm a;
	struct stun_attr attr;
	bool md5 = false, sha256 = false;

	l->sha256 = false;
	l->algorithms_len = 0;
	if (!stun_find(m, STUN_PASSWORD_ALGORITHMS, &attr))
		return !(bits & FEATURE_ALGORITHMS);
	if (!(bits & FEATURE_ALGORITHMS))
		return true; /* not promised: not believed */
	if (attr.len > sizeof(l->algorithms))
		return false;
	it = stun_algorithms(&attr);
	while (stun_algorithms_next(&it, &a)) {
		md5 |= a.number == STUN_ALGORITHM_MD5;
		sha256 |= a.number == STUN_ALGORITHM_SHA256;
	}
	if (it.bad || (!md5 && !sha256))
		return false;
	memcpy(l->algorithms, attr.value, attr.len);
	l->algorithms_len = attr.len;
	l->sha256 = sha256;
	return true;
}

static void make_keys(struct longterm *l, const char *user, const char *password)
{
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN];

	crypto_long_term(user, strlen(user), l->realm, password, strlen(password), md5, sha256);
	if (l->sha256)
		crypto_hmac_sha256_key(&l->sha256_key, sha256, sizeof(sha256));
	crypto_hmac_sha1_key(&l->sha1_key, l->sha256 ? sha256 : md5,
	                     l->sha256 ? sizeof(sha256) : sizeof(md5));
	crypto_wipe(md5, sizeof(md5));
	crypto_wipe(sha256, sizeof(sha256));
}

enum longterm_learned longterm_learn(struct longterm *l, const struct stun_msg *m, unsigned code,
                                     const char *user, const char *password)
{
	struct longterm n = *l;
	struct stun_attr realm, nonce;

	if (code == 401 && l->known)
		return LONGTERM_REFUSED;
	if (!stun_find(m, STUN_NONCE, &nonce) || nonce.len == 0 || nonce.len > sizeof(n.nonce))
		return LONGTERM_IGNORED;
	if (stun_find(m, STUN_REALM, &realm)) {
		if (realm.len == 0 || realm.len > LONGTERM_REALM_MAX ||
		    memchr(realm.value, '\0', realm.len))
			return LONGTERM_IGNORED;
		memcpy(n.realm, realm.value, realm.len);
		n.realm[realm.len] = '\0';
	} else if (!l->known) {
		return LONGTERM_IGNORED;
	}
	memcpy(n.nonce, nonce.value, nonce.len);
	n.nonce_len = nonce.len;
	const unsigned bits = features(nonce.value, nonce.len);

	if (!take_algorithms(&n, m, bits))
		return LONGTERM_IGNORED;
	n.userhash = bits & FEATURE_ANONYMITY;
	if (!l->known || n.sha256 != l->sha256 || strcmp(n.realm, l->realm) != 0)
		make_keys(&n, user, password);
	n.known = true;
	*l = n;
	crypto_wipe(&n, sizeof(n));
	return LONGTERM_AGAIN;
}

static void put_name(const struct longterm *l, struct stun_builder *b, const char *user)
{
	uint8_t hash[CRYPTO_SHA256_LEN];

	if (!l->userhash) {
		stun_put(b, STUN_USERNAME, user, (uint16_t)strlen(user));
		return;
	}
	crypto_userhash(user, strlen(user), l->realm, hash);
	stun_put(b, STUN_USERHASH, hash, sizeof(hash));
}

void longterm_sign(const struct longterm *l, struct stun_builder *b, const char *user)
{
	const uint16_t chosen = STUN_ALGORITHM_SHA256;
	const uint16_t md5 = STUN_ALGORITHM_MD5;
	size_t covered;
	uint8_t *mac;

	if (!l->known)
		return;
	put_name(l, b, user);
	stun_put(b, STUN_REALM, l->realm, (uint16_t)strlen(l->realm));
	stun_put(b, STUN_NONCE, l->nonce, l->nonce_len);
	if (l->algorithms_len) {
		stun_put(b, STUN_PASSWORD_ALGORITHMS, l->algorithms, l->algorithms_len);
		stun_put_algorithms(b, STUN_PASSWORD_ALGORITHM, l->sha256 ? &chosen : &md5, 1);
	}
	mac = stun_reserve_integrity(
		b, l->sha256 ? STUN_MESSAGE_INTEGRITY_SHA256 : STUN_MESSAGE_INTEGRITY, &covered);
	if (!mac)
		return;
	const struct crypto_piece all = { b->buf, covered };

	if (l->sha256)
		crypto_hmac_sha256(&l->sha256_key, &all, 1, mac);
	else
		crypto_hmac_sha1(&l->sha1_key, &all, 1, mac);
}

bool longterm_verify(const struct longterm *l, const struct stun_msg *m)
{
	uint8_t mac[CRYPTO_SHA256_LEN];
	struct stun_marks marks;

	if (!l->known || !stun_scan(m, &marks))
		return false;
	const struct stun_attr *const at = l->sha256 ? &marks.sha256 : &marks.integrity;

	if (!at->value || !stun_integrity_len_ok(at->type, at->len) ||
	    (l->sha256 && at->len != CRYPTO_SHA256_LEN))
		return false;
	const struct stun_integrity in = stun_integrity_locate(m, at);
	const struct crypto_piece pieces[] = { { in.head, sizeof(in.head) },
		                               { in.rest, in.rest_len } };

	if (l->sha256)
		crypto_hmac_sha256(&l->sha256_key, pieces, 2, mac);
	else
		crypto_hmac_sha1(&l->sha1_key, pieces, 2, mac);
	return crypto_equal(mac, in.mac, in.mac_len);
}

void longterm_wipe(struct longterm *l)
{
	crypto_wipe(l, sizeof(*l));
}
