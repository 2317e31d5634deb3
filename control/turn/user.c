/* Users, credentials, quotas' owners. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/turn/record.h"
#include "control/turn/user.h"

enum { REST_DIGITS_MAX = 19, NAME_SENT_MAX = 508 /* STUN-071 */ };

void name_make(struct name *n, const void *text, size_t len)
{
	memset(n, 0, sizeof(*n));
	n->len = (uint16_t)len;
	if (len <= NAME_SHORT) {
		memcpy(n->text, text, len);
		return;
	}
	memcpy(n->text, text, NAME_HEAD);
	crypto_sha256(&(struct crypto_piece){ text, len }, 1, n->text + NAME_HEAD);
}

static uint64_t name_hash(const struct index *x, const struct name *name, uint8_t realm)
{
	uint64_t words[sizeof(*name) / 8 + 1];

	static_assert(sizeof(*name) % 8 == 0, "a name is whole words");
	memcpy(words, name, sizeof(*name));
	words[sizeof(*name) / 8] = realm;
	return index_hash(x, words, sizeof(*name) / 8 + 1);
}

static uint64_t userhash_hash(const struct index *x, const uint8_t hash[CRYPTO_SHA256_LEN])
{
	uint64_t words[CRYPTO_SHA256_LEN / 8];

	memcpy(words, hash, sizeof(words));
	return index_hash(x, words, CRYPTO_SHA256_LEN / 8);
}

uint32_t owner_take(struct turn_server *srv, const struct name *name)
{
	const uint64_t hash = name_hash(&srv->by_owner, name, 0);
	uint32_t o;

	for (o = index_first(&srv->by_owner, hash); o != NONE; o = index_after(&srv->by_owner, o))
		if (name_equal(&srv->owners[o].name, name))
			break;
	if (o == NONE) {
		o = pool_take(&srv->pool_owner);
		if (o == NONE)
			return NONE;
		srv->owners[o] = (struct owner){ .name = *name };
		index_add(&srv->by_owner, hash, o);
	}
	srv->owners[o].refs++;
	return o;
}

void owner_drop(struct turn_server *srv, uint32_t owner)
{
	struct owner *o = &srv->owners[owner];

	if (--o->refs > 0)
		return;
	index_remove(&srv->by_owner, name_hash(&srv->by_owner, &o->name, 0), owner);
	pool_give(&srv->pool_owner, owner);
}

uint64_t user_hash(const struct turn_server *srv, const struct name *name, uint8_t realm)
{
	return name_hash(&srv->by_name, name, realm);
}

uint32_t user_find(const struct turn_server *srv, const struct name *name, uint8_t realm)
{
	return user_find_hashed(srv, user_hash(srv, name, realm), name, realm);
}

uint32_t user_find_hashed(const struct turn_server *srv, uint64_t hash, const struct name *name,
                          uint8_t realm)
{
	uint32_t c = index_first(&srv->by_name, hash);

	for (; c != NONE; c = index_after(&srv->by_name, c)) {
		const struct cred *cred = &srv->creds[c];

		if ((cred->flags & (CRED_FILE | CRED_RUNTIME)) != 0 && cred->realm == realm &&
		    name_equal(&cred->name, name))
			return c;
	}
	return NONE;
}

uint32_t user_find_hash(const struct turn_server *srv, const uint8_t hash[CRYPTO_SHA256_LEN])
{
	uint32_t c = index_first(&srv->by_userhash, userhash_hash(&srv->by_userhash, hash));

	for (; c != NONE; c = index_after(&srv->by_userhash, c))
		if (memcmp(srv->creds[c].userhash, hash, CRYPTO_SHA256_LEN) == 0 &&
		    srv->creds[c].realm == srv->realm)
			return c;
	return NONE;
}

uint32_t user_make(struct turn_server *srv, const struct name *name, const struct name *owner,
                   uint8_t realm, const uint8_t md5[CRYPTO_MD5_LEN],
                   const uint8_t sha256[CRYPTO_SHA256_LEN])
{
	const uint32_t c = pool_take(&srv->pool_cred);
	struct cred *cred;

	if (c == NONE)
		return NONE;
	const uint32_t o = owner_take(srv, owner);
	if (o == NONE) {
		pool_give(&srv->pool_cred, c);
		return NONE;
	}
	cred = &srv->creds[c];
	*cred = (struct cred){ .name = *name, .owner = o, .realm = realm, .list_at = NONE };
	memcpy(cred->md5, md5, CRYPTO_MD5_LEN);
	memcpy(cred->sha256, sha256, CRYPTO_SHA256_LEN);
	cred->flags = CRED_USED;
	srv->realms[realm].refs++;
	index_add(&srv->by_name, name_hash(&srv->by_name, &cred->name, cred->realm), c);
	return c;
}

void user_publish(struct turn_server *srv, uint32_t c, uint8_t flags)
{
	struct cred *cred = &srv->creds[c];

	cred->flags |= flags;
	if ((flags & CRED_REST) != 0)
		return;
	index_add(&srv->by_userhash, userhash_hash(&srv->by_userhash, cred->userhash), c);
	cred->list_at = srv->n_listed;
	srv->listed[srv->n_listed++] = c;
	if ((flags & CRED_RUNTIME) != 0)
		srv->n_runtime++;
}

/* No longer a current user; what refers to the credential keeps it. */
static void withdraw(struct turn_server *srv, uint32_t c)
{
	struct cred *cred = &srv->creds[c];
	const uint8_t flags = cred->flags;

	if ((flags & (CRED_FILE | CRED_RUNTIME | CRED_REST)) == 0)
		return;
	cred->flags = CRED_USED;
	if ((flags & CRED_REST) != 0)
		return;
	index_remove(&srv->by_userhash, userhash_hash(&srv->by_userhash, cred->userhash), c);
	const uint32_t last = srv->listed[--srv->n_listed];
	srv->listed[cred->list_at] = last;
	srv->creds[last].list_at = cred->list_at;
	cred->list_at = NONE;
	if ((flags & CRED_RUNTIME) != 0)
		srv->n_runtime--;
}

/* Frees what neither an allocation nor an operator refers to any more. */
static void user_settle(struct turn_server *srv, uint32_t c)
{
	struct cred *cred = &srv->creds[c];

	if (cred->refs > 0 || (cred->flags & (CRED_FILE | CRED_RUNTIME)) != 0)
		return;
	withdraw(srv, c);
	index_remove(&srv->by_name, name_hash(&srv->by_name, &cred->name, cred->realm), c);
	if (cred->ref != 0)
		store_free(srv->store, cred->ref);
	srv->realms[cred->realm].refs--;
	owner_drop(srv, cred->owner);
	crypto_wipe(cred, sizeof(*cred));
	pool_give(&srv->pool_cred, c);
}

void user_ref(struct turn_server *srv, uint32_t cred)
{
	srv->creds[cred].refs++;
}

void user_unref(struct turn_server *srv, uint32_t cred)
{
	srv->creds[cred].refs--;
	user_settle(srv, cred);
}

/* true: already current with these keys. A changed password withdraws the old credential. */
static bool user_current(struct turn_server *srv, const struct name *name, const uint8_t *md5,
                         const uint8_t *sha256, uint8_t flag)
{
	const uint32_t c = user_find(srv, name, srv->realm);

	if (c == NONE)
		return false;
	struct cred *cred = &srv->creds[c];
	if (crypto_equal(cred->md5, md5, CRYPTO_MD5_LEN) &&
	    crypto_equal(cred->sha256, sha256, CRYPTO_SHA256_LEN)) {
		if ((cred->flags & CRED_RUNTIME) != 0)
			srv->n_runtime--;
		cred->flags = (uint8_t)(CRED_USED | flag);
		return true;
	}
	withdraw(srv, c);
	user_settle(srv, c);
	return false;
}

/* A credential an earlier life left for its allocations, with exactly these keys. */
static uint32_t user_left(struct turn_server *srv, const struct name *name, const uint8_t *md5)
{
	uint32_t c = index_first(&srv->by_name, name_hash(&srv->by_name, name, srv->realm));

	for (; c != NONE; c = index_after(&srv->by_name, c))
		if (srv->creds[c].flags == CRED_USED && srv->creds[c].realm == srv->realm &&
		    name_equal(&srv->creds[c].name, name) &&
		    crypto_equal(srv->creds[c].md5, md5, CRYPTO_MD5_LEN))
			return c;
	return NONE;
}

static bool load_one(struct turn_server *srv, const struct config_user *user)
{
	const size_t len = strlen(user->name);
	const char *password = user->password != NULL ? user->password : "";
	const char *realm = srv->realms[srv->realm].text;
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN];
	struct name name;
	uint32_t c;

	name_make(&name, user->name, len);
	crypto_long_term(user->name, len, realm, password, strlen(password), md5, sha256);
	if (user_current(srv, &name, md5, sha256, CRED_FILE))
		return true;
	c = user_left(srv, &name, md5);
	if (c == NONE)
		c = user_make(srv, &name, &name, srv->realm, md5, sha256);
	if (c != NONE) {
		crypto_userhash(user->name, len, realm, srv->creds[c].userhash);
		user_hmac_sha1(&srv->creds[c], KEY_MD5); /* what nearly every client uses */
		user_publish(srv, c, CRED_FILE);
	}
	crypto_wipe(md5, sizeof(md5));
	crypto_wipe(sha256, sizeof(sha256));
	return c != NONE;
}

bool user_load(struct turn_server *srv, struct config_error *err)
{
	const struct config *cfg = srv->cfg;

	/* Users the file no longer has, or has in another realm, stop being current. */
	for (uint32_t i = srv->n_listed; i-- > 0;) {
		const uint32_t c = srv->listed[i];

		if ((srv->creds[c].flags & CRED_FILE) != 0) {
			withdraw(srv, c);
			user_settle(srv, c);
		}
	}
	for (unsigned i = 0; i < cfg->n_users; i++)
		if (!load_one(srv, &cfg->users[i])) {
			snprintf(err->text, sizeof(err->text),
			         "%s: auth.users: more than the %u users there was room for at "
			         "start; restart to take them",
			         cfg->path != NULL ? cfg->path : "config", srv->pool_cred.n);
			return false;
		}
	for (unsigned i = 0; i < cfg->n_rest_secrets; i++)
		crypto_hmac_sha1_key(&srv->rest[i], cfg->rest_secrets[i],
		                     strlen(cfg->rest_secrets[i]));
	srv->n_rest = cfg->n_rest_secrets;
	return true;
}

bool user_rest_name(const struct turn_server *srv, const uint8_t *name, size_t len,
                    uint64_t *expiry_s, struct name *owner)
{
	const char separator = srv->cfg->rest_separator != '\0' ? srv->cfg->rest_separator : ':';
	uint64_t v = 0;
	size_t i = 0;

	while (i < len && name[i] >= '0' && name[i] <= '9' && i < REST_DIGITS_MAX)
		v = v * 10 + (uint64_t)(name[i++] - '0');
	if (i == 0 || (i < len && name[i] != (uint8_t)separator))
		return false;
	*expiry_s = v;
	if (i + 1 < len) /* TURN-063: the id is counted, whatever the expiry before it */
		name_make(owner, name + i + 1, len - i - 1);
	else
		name_make(owner, name, len);
	return true;
}

void user_rest_keys(const struct turn_server *srv, unsigned i, const uint8_t *name, size_t len,
                    const char *realm, struct cred *out)
{
	char password[CRYPTO_BASE64_SHA1 + 1];

	crypto_rest_password(&srv->rest[i], name, len, password);
	crypto_long_term(name, len, realm, password, strlen(password), out->md5, out->sha256);
	out->ready = 0;
	crypto_wipe(password, sizeof(password));
}

uint32_t user_rest_intern(struct turn_server *srv, const struct cred *like,
                          const struct name *owner)
{
	const uint64_t hash = name_hash(&srv->by_name, &like->name, like->realm);
	uint32_t c;

	for (c = index_first(&srv->by_name, hash); c != NONE; c = index_after(&srv->by_name, c)) {
		const struct cred *cred = &srv->creds[c];

		if ((cred->flags & CRED_REST) != 0 && cred->realm == like->realm &&
		    name_equal(&cred->name, &like->name) &&
		    crypto_equal(cred->md5, like->md5, CRYPTO_MD5_LEN))
			return c;
	}
	c = user_make(srv, &like->name, owner, like->realm, like->md5, like->sha256);
	if (c != NONE)
		user_publish(srv, c, CRED_REST);
	return c;
}

const struct crypto_hmac_sha1 *user_hmac_sha1(struct cred *cred, unsigned key)
{
	if ((cred->ready & 1u << key) == 0) {
		crypto_hmac_sha1_key(&cred->hmac_sha1[key],
		                     key == KEY_MD5 ? cred->md5 : cred->sha256,
		                     key == KEY_MD5 ? CRYPTO_MD5_LEN : CRYPTO_SHA256_LEN);
		cred->ready |= (uint8_t)(1u << key);
	}
	return &cred->hmac_sha1[key];
}

const struct crypto_hmac_sha256 *user_hmac_sha256(struct cred *cred, unsigned key)
{
	if ((cred->ready & 4u << key) == 0) {
		crypto_hmac_sha256_key(&cred->hmac_sha256[key],
		                       key == KEY_MD5 ? cred->md5 : cred->sha256,
		                       key == KEY_MD5 ? CRYPTO_MD5_LEN : CRYPTO_SHA256_LEN);
		cred->ready |= (uint8_t)(4u << key);
	}
	return &cred->hmac_sha256[key];
}

/* What may be a name here; OpaqueString's tables are not applied to names added at run time. */
static bool name_good(const char *name, size_t max)
{
	const size_t len = strlen(name);

	if (len == 0 || len > max)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)name[i] < 0x20 || name[i] == 0x7F)
			return false;
	return true;
}

enum turn_user_result turn_user_add(struct turn_server *srv, const char *name, const char *password)
{
	const char *realm = srv->realms[srv->realm].text;
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN];
	struct name id;
	uint32_t c;

	/* A longer name is kept as a digest, which USERHASH cannot be made from again. */
	if (!name_good(name, NAME_SHORT) || !name_good(password, NAME_SENT_MAX))
		return USER_BAD_NAME;
	name_make(&id, name, strlen(name));
	if (user_find(srv, &id, srv->realm) != NONE)
		return USER_EXISTS;
	if (srv->n_runtime >= RUNTIME_USERS_MAX)
		return USER_FULL;
	crypto_long_term(name, strlen(name), realm, password, strlen(password), md5, sha256);
	c = user_make(srv, &id, &id, srv->realm, md5, sha256);
	crypto_wipe(md5, sizeof(md5));
	crypto_wipe(sha256, sizeof(sha256));
	if (c == NONE)
		return USER_FULL;
	crypto_userhash(name, strlen(name), realm, srv->creds[c].userhash);
	user_publish(srv, c, CRED_RUNTIME);
	if (!record_user(srv, c)) {
		withdraw(srv, c);
		user_settle(srv, c);
		return USER_FULL;
	}
	return USER_OK;
}

enum turn_user_result turn_user_delete(struct turn_server *srv, const char *name)
{
	struct name id;

	if (strlen(name) > NAME_MAX_WIRE)
		return USER_UNKNOWN;
	name_make(&id, name, strlen(name));
	const uint32_t c = user_find(srv, &id, srv->realm);
	if (c == NONE)
		return USER_UNKNOWN;
	if ((srv->creds[c].flags & CRED_FILE) != 0)
		return USER_FROM_FILE;
	withdraw(srv, c);
	if (srv->creds[c].refs > 0) /* live allocations keep the key, the next life not the user */
		record_user(srv, c);
	user_settle(srv, c);
	return USER_OK;
}

bool turn_user_list(struct turn_server *srv, unsigned i, struct turn_user_info *out)
{
	if (i >= srv->n_listed)
		return false;
	const struct cred *cred = &srv->creds[srv->listed[i]];
	const size_t len = cred->name.len <= NAME_SHORT ? cred->name.len : NAME_HEAD;

	log_escape(cred->name.text, len, out->name, sizeof(out->name));
	out->from_file = (cred->flags & CRED_FILE) != 0;
	out->allocations = srv->owners[cred->owner].count;
	return true;
}

bool turn_credential(const struct config *cfg, const char *user, uint32_t ttl_s, uint32_t wall_s,
                     char *username, size_t username_cap, char password[32])
{
	struct crypto_hmac_sha1 key;
	int len;

	if (cfg->n_rest_secrets == 0 || cfg->rest_secrets[0] == NULL)
		return false;
	len = snprintf(username, username_cap, "%llu%c%s", (unsigned long long)wall_s + ttl_s,
	               cfg->rest_separator != '\0' ? cfg->rest_separator : ':', user);
	if (len < 0 || (size_t)len >= username_cap || len > NAME_SENT_MAX)
		return false;
	crypto_hmac_sha1_key(&key, cfg->rest_secrets[0], strlen(cfg->rest_secrets[0]));
	crypto_rest_password(&key, username, (size_t)len, password);
	crypto_wipe(&key, sizeof(key));
	return true;
}
