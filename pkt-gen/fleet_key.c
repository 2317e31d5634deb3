/* Realms as servers tell them, keys by name and realm, nonces. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkt-gen/fleet_parts.h"

static bool pattern_open(struct pattern *p, const char *text)
{
	const char *mark = text == NULL ? NULL : strstr(text, "%u");

	*p = (struct pattern){ .numbered = mark != NULL };
	if (text == NULL)
		return true;
	p->head_len = (uint16_t)(mark == NULL ? strlen(text) : (size_t)(mark - text));
	if (strlen(text) + 10 > FLEET_TEXT_MAX)
		return false;
	memcpy(p->head, text, p->head_len);
	if (mark != NULL) {
		p->tail_len = (uint16_t)strlen(mark + 2);
		memcpy(p->tail, mark + 2, p->tail_len);
	}
	return true;
}

static size_t pattern_fill(const struct pattern *p, uint32_t number, char out[FLEET_TEXT_MAX + 1])
{
	char digits[10];
	size_t len = p->head_len, n = 0;

	memcpy(out, p->head, len);
	if (p->numbered) {
		do
			digits[n++] = (char)('0' + number % 10);
		while ((number /= 10) != 0);
		while (n > 0)
			out[len++] = digits[--n];
	}
	memcpy(out + len, p->tail, p->tail_len);
	len += p->tail_len;
	out[len] = '\0';
	return len;
}

bool fleet_key_open(struct fleet *f)
{
	const struct fleet_config *cfg = &f->cfg;

	if (!pattern_open(&f->user, cfg->user) || !pattern_open(&f->password, cfg->password)) {
		errno = ENAMETOOLONG;
		return false;
	}
	if (cfg->rest_secret != NULL)
		crypto_hmac_sha1_key(&f->secret, cfg->rest_secret, strlen(cfg->rest_secret));
	f->key_each = f->user.numbered || (cfg->rest_secret == NULL && f->password.numbered);
	f->key = calloc(f->key_each ? cfg->clients : (size_t)REALMS_MAX, sizeof(struct key));
	return f->key != NULL;
}

void fleet_key_close(struct fleet *f)
{
	if (f->key != NULL)
		crypto_wipe(f->key, (f->key_each ? f->cfg.clients : (size_t)REALMS_MAX) *
		                            sizeof(struct key));
	free(f->key);
	crypto_wipe(&f->password, sizeof(f->password));
	crypto_wipe(&f->secret, sizeof(f->secret));
}

/* SHA-256 where both are offered (STUN-117); false: nothing that we know (STUN-116). */
static bool choose(const struct stun_attr *algorithms, uint8_t *kind)
{
	struct stun_algorithm_iter it = stun_algorithms(algorithms);
	struct stun_algorithm a;
	bool md5 = false, sha256 = false;

	while (stun_algorithms_next(&it, &a)) {
		md5 |= a.number == STUN_ALGORITHM_MD5;
		sha256 |= a.number == STUN_ALGORITHM_SHA256;
	}
	*kind = sha256 ? KEY_SHA256 : KEY_SHA256_MD5;
	return !it.bad && (md5 || sha256);
}

unsigned fleet_key_realm(struct fleet *f, const struct stun_attr *realm,
                         const struct stun_attr *algorithms, bool userhash)
{
	char name[FLEET_TEXT_MAX + 1];
	uint8_t kind = KEY_SHA1;
	struct realm *r;

	for (unsigned i = 0; i < f->n_realms; i++) {
		r = &f->realm[i];
		if (r->text_len == realm->len && memcmp(r->text, realm->value, realm->len) == 0 &&
		    r->userhash == userhash && r->algorithms_len == algorithms->len &&
		    (algorithms->len == 0 ||
		     memcmp(r->algorithms, algorithms->value, algorithms->len) == 0))
			return i;
	}
	/* A NUL in a realm is no text; nothing is signed for it. */
	if (f->n_realms == REALMS_MAX || realm->len > FLEET_TEXT_MAX ||
	    algorithms->len > ALGORITHMS_MAX || memchr(realm->value, '\0', realm->len) != NULL)
		return REALMS_MAX;
	if (algorithms->len > 0 && !choose(algorithms, &kind))
		return REALMS_MAX;
	r = &f->realm[f->n_realms];
	memcpy(r->text, realm->value, realm->len);
	r->text[realm->len] = '\0';
	r->text_len = (uint8_t)realm->len;
	if (algorithms->len > 0)
		memcpy(r->algorithms, algorithms->value, algorithms->len);
	r->algorithms_len = (uint8_t)algorithms->len;
	r->userhash = userhash;
	r->kind = kind;
	if (!f->user.numbered)
		crypto_userhash(name, fleet_key_user(f, 0, name), r->text, r->hash);
	return f->n_realms++;
}

size_t fleet_key_user(const struct fleet *f, uint32_t i, char out[FLEET_TEXT_MAX + 1])
{
	return pattern_fill(&f->user, i, out);
}

const struct key *fleet_key(struct fleet *f, uint32_t i, unsigned realm)
{
	struct key *k = &f->key[f->key_each ? i : realm];
	const struct realm *r = &f->realm[realm];
	char user[FLEET_TEXT_MAX + 1], password[FLEET_TEXT_MAX + 1];
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN];
	size_t user_len, password_len;

	if (k->made_for == realm + 1)
		return k;
	user_len = fleet_key_user(f, i, user);
	if (f->cfg.rest_secret != NULL) {
		crypto_rest_password(&f->secret, user, user_len, password);
		password_len = strlen(password);
	} else {
		password_len = pattern_fill(&f->password, i, password);
	}
	crypto_long_term(user, user_len, r->text, password, password_len, md5, sha256);
	switch ((enum key_kind)r->kind) {
	case KEY_SHA1: crypto_hmac_sha1_key(&k->u.sha1, md5, sizeof(md5)); break;
	case KEY_SHA256_MD5: crypto_hmac_sha256_key(&k->u.sha256, md5, sizeof(md5)); break;
	case KEY_SHA256: crypto_hmac_sha256_key(&k->u.sha256, sha256, sizeof(sha256)); break;
	}
	k->made_for = realm + 1;
	crypto_wipe(password, sizeof(password));
	crypto_wipe(md5, sizeof(md5));
	crypto_wipe(sha256, sizeof(sha256));
	return k;
}

void fleet_key_mac(const struct key *k, enum key_kind kind, const struct crypto_piece *pieces,
                   unsigned n, uint8_t mac[CRYPTO_SHA256_LEN])
{
	if (kind == KEY_SHA1)
		crypto_hmac_sha1(&k->u.sha1, pieces, n, mac);
	else
		crypto_hmac_sha256(&k->u.sha256, pieces, n, mac);
}

const uint8_t *fleet_nonce(const struct client *c)
{
	return c->nonce_len > FLEET_NONCE_INLINE ? c->nonce.heap : c->nonce.octets;
}

bool fleet_set_nonce(struct client *c, const uint8_t *octets, size_t len)
{
	uint8_t *heap = NULL;

	if (len > FLEET_TEXT_MAX)
		return false;
	if (len > FLEET_NONCE_INLINE) {
		heap = malloc(len);
		if (heap == NULL)
			return false;
		memcpy(heap, octets, len);
	}
	fleet_forget_nonce(c);
	if (heap != NULL)
		c->nonce.heap = heap;
	else
		memcpy(c->nonce.octets, octets, len);
	c->nonce_len = (uint16_t)len;
	return true;
}

void fleet_forget_nonce(struct client *c)
{
	if (c->nonce_len > FLEET_NONCE_INLINE)
		free(c->nonce.heap);
	c->nonce_len = 0;
}
