/* Failed logins by source prefix and user name. */
#include <stdlib.h>
#include <string.h>

#include "control/turn/limit.h"

enum { SETS = 4096, WAYS = 4 };

struct bucket {
	uint64_t tag;      /* of prefix and name; 0: free */
	uint64_t empty_ms; /* when the bucket was, or will be, without debt */
};

struct login {
	uint64_t clean_ms; /* from then on nobody is in debt */
	struct bucket set[SETS][WAYS];
};

bool limit_init(struct turn_server *srv)
{
	srv->logins = calloc(1, sizeof(*srv->logins));
	return srv->logins != NULL;
}

static uint64_t tag_of(const struct turn_server *srv, const struct addr *client, const void *name,
                       size_t len)
{
	uint8_t key[16 + CRYPTO_SHA256_LEN] = { 0 };
	uint64_t words[sizeof(key) / 8];

	memcpy(key, client->ip, addr_is4(client) ? 15 : 7); /* /24 and /56 */
	if (len > CRYPTO_SHA256_LEN)
		crypto_sha256(&(struct crypto_piece){ name, len }, 1, key + 16);
	else
		memcpy(key + 16, name, len);
	memcpy(words, key, sizeof(words));
	return index_hash(&srv->by_name, words, sizeof(words) / 8) | 1;
}

static struct bucket *find(struct turn_server *srv, uint64_t tag)
{
	struct bucket *set = srv->logins->set[tag / 2 % SETS];

	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].tag == tag)
			return &set[i];
	return NULL;
}

bool limit_passes(struct turn_server *srv, const struct addr *client, const void *name, size_t len)
{
	const struct bucket *b;

	if (srv->logins->clean_ms <= srv->now_ms)
		return true;
	b = find(srv, tag_of(srv, client, name, len));
	return b == NULL ||
	       b->empty_ms <= srv->now_ms + (uint64_t)(LIMIT_BURST - 1) * LIMIT_REFILL_MS;
}

void limit_failed(struct turn_server *srv, const struct addr *client, const void *name, size_t len)
{
	const uint64_t tag = tag_of(srv, client, name, len);
	struct bucket *b = find(srv, tag);

	if (b == NULL) {
		struct bucket *set = srv->logins->set[tag / 2 % SETS];

		b = &set[0];
		for (unsigned i = 1; i < WAYS; i++)
			if (set[i].empty_ms < b->empty_ms)
				b = &set[i];
		*b = (struct bucket){ .tag = tag };
	}
	if (b->empty_ms < srv->now_ms)
		b->empty_ms = srv->now_ms;
	b->empty_ms += LIMIT_REFILL_MS;
	if (srv->logins->clean_ms < b->empty_ms)
		srv->logins->clean_ms = b->empty_ms;
}
