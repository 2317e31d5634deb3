/* Nonces without state. The algorithm is fetched once per process, a context is keyed per epoch. */
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#include "nonce.h"

enum {
	EPOCHS = 2,
	MAC_LEN = 8,
	STAMP_LEN = 1 + 4 + MAC_LEN, /* what is behind the prefix, before base64 */
	INPUT_LEN = NONCE_PREFIX_LEN + 1 + 4 + NONCE_SCOPE_LEN + 16 + 2,
	/*
	 * Threads read the wall clock at different moments; a client that answers within the same
	 * millisecond may meet one that is a tick behind.
	 */
	AHEAD_S = 1,
};
static_assert(NONCE_PREFIX_LEN + (STAMP_LEN * 8 + 5) / 6 == NONCE_LEN, "no base64 padding");

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct nonce_keys {
	struct {
		EVP_MAC_CTX *mac;
		uint8_t key[NONCE_KEY_LEN];
		uint8_t epoch;
		bool set;
	} slot[EPOCHS];
	unsigned current;
};

static EVP_MAC *siphash;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	siphash = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
}

struct nonce_keys *nonce_keys_new(void)
{
	pthread_once(&once, fetch);
	struct nonce_keys *k = siphash != NULL ? calloc(1, sizeof(*k)) : NULL;

	if (k == NULL)
		return NULL;
	for (unsigned i = 0; i < EPOCHS; i++) {
		size_t size = MAC_LEN;
		const OSSL_PARAM params[] = {
			OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
			OSSL_PARAM_construct_end(),
		};

		k->slot[i].mac = EVP_MAC_CTX_new(siphash);
		if (k->slot[i].mac == NULL || !EVP_MAC_CTX_set_params(k->slot[i].mac, params)) {
			nonce_keys_free(k);
			return NULL;
		}
	}
	return k;
}

void nonce_keys_free(struct nonce_keys *k)
{
	if (k == NULL)
		return;
	for (unsigned i = 0; i < EPOCHS; i++)
		EVP_MAC_CTX_free(k->slot[i].mac);
	OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

bool nonce_keys_set(struct nonce_keys *k, uint8_t epoch, const uint8_t key[NONCE_KEY_LEN],
                    bool current)
{
	/* The epoch's own place; else a free one; else the one that is not current. */
	unsigned at = 1 - k->current;

	for (unsigned i = 0; i < EPOCHS; i++)
		if (!k->slot[i].set)
			at = i;
	for (unsigned i = 0; i < EPOCHS; i++)
		if (k->slot[i].set && k->slot[i].epoch == epoch)
			at = i;
	if (!EVP_MAC_init(k->slot[at].mac, key, NONCE_KEY_LEN, NULL))
		return false;
	memcpy(k->slot[at].key, key, NONCE_KEY_LEN);
	k->slot[at].epoch = epoch;
	k->slot[at].set = true;
	if (current || !k->slot[k->current].set)
		k->current = at;
	return true;
}

void nonce_scope(const struct endpoint *listener, uint8_t transport, const char *realm,
                 const void *algorithms, unsigned algorithms_len, uint8_t scope[NONCE_SCOPE_LEN])
{
	const size_t realm_len = strlen(realm);
	/* Lengths stand before what they count, so that no two inputs look alike. */
	const uint8_t fixed[] = { (uint8_t)(listener->port >> 8),
		                  (uint8_t)listener->port,
		                  transport,
		                  (uint8_t)(realm_len >> 8),
		                  (uint8_t)realm_len,
		                  (uint8_t)(algorithms_len >> 8),
		                  (uint8_t)algorithms_len };
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	const bool ok = md != NULL && EVP_DigestInit_ex2(md, EVP_sha256(), NULL) &&
	                EVP_DigestUpdate(md, listener->addr.ip, sizeof(listener->addr.ip)) &&
	                EVP_DigestUpdate(md, fixed, sizeof(fixed)) &&
	                EVP_DigestUpdate(md, realm, realm_len) &&
	                (algorithms_len == 0 || EVP_DigestUpdate(md, algorithms, algorithms_len)) &&
	                EVP_DigestFinal_ex(md, digest, NULL);
	EVP_MD_CTX_free(md);
	if (!ok) /* no SHA-256 in this process: nothing that follows could be trusted */
		abort();
	memcpy(scope, digest, NONCE_SCOPE_LEN);
}

void nonce_prefix(bool algorithms, bool anonymity, char prefix[NONCE_PREFIX_LEN])
{
	memcpy(prefix, "obMatJos2AAAA", NONCE_PREFIX_LEN);
	/* RFC 8489 §9.2: bit 0 is the top bit of the first octet, so both lie in one character. */
	prefix[9] = alphabet[(algorithms ? 32 : 0) | (anonymity ? 16 : 0)];
}

static void base64(const uint8_t in[STAMP_LEN], char *out)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (unsigned i = 0; i < STAMP_LEN; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = alphabet[bits >> (have - 6) & 63];
	}
	if (have)
		*out = alphabet[bits << (6 - have) & 63];
}

/* The value of one character, or -1. */
static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The nonce of one slot, client and second; false if the MAC cannot be computed. */
static bool make(struct nonce_keys *k, unsigned slot, const char *prefix, const uint8_t *scope,
                 const struct endpoint *client, uint32_t made_s, char out[NONCE_LEN])
{
	uint8_t input[INPUT_LEN], stamp[STAMP_LEN], *p = input;
	size_t len = 0;

	stamp[0] = k->slot[slot].epoch;
	for (unsigned i = 0; i < 4; i++)
		stamp[1 + i] = (uint8_t)(made_s >> (24 - 8 * i));
	memcpy(p, prefix, NONCE_PREFIX_LEN);
	memcpy(p += NONCE_PREFIX_LEN, stamp, 5);
	memcpy(p += 5, scope, NONCE_SCOPE_LEN);
	memcpy(p += NONCE_SCOPE_LEN, client->addr.ip, 16);
	p[16] = (uint8_t)(client->port >> 8);
	p[17] = (uint8_t)client->port;
	EVP_MAC_CTX *mac = k->slot[slot].mac;

	if (!EVP_MAC_init(mac, k->slot[slot].key, NONCE_KEY_LEN, NULL) ||
	    !EVP_MAC_update(mac, input, sizeof(input)) ||
	    !EVP_MAC_final(mac, stamp + 5, &len, MAC_LEN) || len != MAC_LEN)
		return false;
	memcpy(out, prefix, NONCE_PREFIX_LEN);
	base64(stamp, out + NONCE_PREFIX_LEN);
	return true;
}

void nonce_make(struct nonce_keys *k, const char prefix[NONCE_PREFIX_LEN],
                const uint8_t scope[NONCE_SCOPE_LEN], const struct endpoint *client, uint32_t now_s,
                char out[NONCE_LEN])
{
	/* Without a key: a nonce that nobody accepts. */
	if (!k->slot[k->current].set || !make(k, k->current, prefix, scope, client, now_s, out)) {
		memcpy(out, prefix, NONCE_PREFIX_LEN);
		memset(out + NONCE_PREFIX_LEN, 'A', NONCE_LEN - NONCE_PREFIX_LEN);
	}
}

enum nonce_verdict nonce_check(struct nonce_keys *k, const char prefix[NONCE_PREFIX_LEN],
                               const uint8_t scope[NONCE_SCOPE_LEN], const struct endpoint *client,
                               const void *nonce, unsigned len, uint32_t now_s, uint32_t lifetime_s)
{
	const uint8_t *text = (const uint8_t *)nonce + NONCE_PREFIX_LEN;
	uint64_t bits = 0; /* 42 bits: epoch, time and two of the MAC */
	char ours[NONCE_LEN];

	if (len != NONCE_LEN || memcmp(nonce, prefix, NONCE_PREFIX_LEN) != 0)
		return NONCE_FOREIGN;
	for (unsigned i = 0; i < 7; i++) {
		const int v = base64_value(text[i]);

		if (v < 0)
			return NONCE_FOREIGN;
		bits = bits << 6 | (unsigned)v;
	}
	const uint8_t epoch = (uint8_t)(bits >> 34);
	const uint32_t made_s = (uint32_t)(bits >> 2);
	unsigned slot = 0;

	while (slot < EPOCHS && !(k->slot[slot].set && k->slot[slot].epoch == epoch))
		slot++;
	/* Made again and compared whole: no second spelling of the same bits passes. */
	if (slot == EPOCHS || !make(k, slot, prefix, scope, client, made_s, ours) ||
	    CRYPTO_memcmp(ours, nonce, NONCE_LEN) != 0)
		return NONCE_FOREIGN;
	if (made_s > now_s)
		return made_s - now_s <= AHEAD_S ? NONCE_FRESH : NONCE_FOREIGN;
	return now_s - made_s > lifetime_s ? NONCE_EXPIRED : NONCE_FRESH;
}
