/* Reservations, and what is remembered of ended allocations. */
#include <string.h>

#include "control/turn/record.h"
#include "control/turn/reserve.h"
#include "control/turn/user.h"

static uint64_t hash_token(const struct turn_server *srv, const uint8_t *token)
{
	uint64_t word;

	memcpy(&word, token, sizeof(word));
	return index_hash(&srv->by_token, &word, 1);
}

static uint32_t number_of(const struct turn_server *srv, const struct reservation *r)
{
	return (uint32_t)(r - srv->reservations);
}

void reserve_publish(struct turn_server *srv, struct reservation *r)
{
	index_add(&srv->by_token, hash_token(srv, r->token), number_of(srv, r));
	timer_set(srv->timers, srv->timer_reservation + number_of(srv, r),
	          (uint64_t)r->expires_s * 1000);
}

struct reservation *reserve_make(struct turn_server *srv, uint8_t relay, uint16_t port,
                                 uint32_t owner, uint64_t alloc_id)
{
	const uint32_t n = pool_take(&srv->pool_reservation);
	struct reservation *r;

	if (n == NONE)
		return NULL;
	r = &srv->reservations[n];
	*r = (struct reservation){
		.relay = relay,
		.port = port,
		.owner = owner,
		.alloc_id = alloc_id,
		.expires_s = srv->now_s + srv->cfg->reservation_s,
	};
	server_random(srv, r->token, sizeof(r->token));
	if (!record_reservation(srv, r)) {
		pool_give(&srv->pool_reservation, n);
		return NULL;
	}
	srv->owners[owner].refs++;
	reserve_publish(srv, r);
	return r;
}

struct reservation *reserve_find(const struct turn_server *srv, const uint8_t *token,
                                 const struct name *owner)
{
	uint32_t n = index_first(&srv->by_token, hash_token(srv, token));

	for (; n != NONE; n = index_after(&srv->by_token, n)) {
		struct reservation *r = &srv->reservations[n];

		if (crypto_equal(r->token, token, sizeof(r->token)) &&
		    (uint64_t)r->expires_s * 1000 > srv->now_ms &&
		    name_equal(&srv->owners[r->owner].name, owner))
			return r;
	}
	return NULL;
}

void reserve_end(struct turn_server *srv, struct reservation *r, bool port_too)
{
	struct ports *ports = srv->relays[r->relay].ports;
	const uint32_t n = number_of(srv, r);

	index_remove(&srv->by_token, hash_token(srv, r->token), n);
	timer_clear(srv->timers, srv->timer_reservation + n);
	if (port_too && ports != NULL) /* nobody ever received on it: no rest is due */
		ports_release(ports, r->port, srv->now_s, 0);
	store_free(srv->store, r->ref);
	owner_drop(srv, r->owner);
	crypto_wipe(r->token, sizeof(r->token));
	pool_give(&srv->pool_reservation, n);
}

static uint64_t hash_memo(const struct turn_server *srv, const struct endpoint *client,
                          uint8_t listener, unsigned method, const uint8_t *txid)
{
	uint64_t words[5] = { 0 };

	memcpy(words, client->addr.ip, 16);
	memcpy(words + 2, txid, STUN_TXID_LEN);
	words[4] = (uint64_t)client->port << 32 | (uint64_t)method << 8 | listener;
	return index_hash(&srv->by_memo, words, 5);
}

void memo_add(struct turn_server *srv, const struct endpoint *client, uint8_t listener,
              unsigned method, const uint8_t *txid, uint32_t until_s)
{
	const uint32_t n = srv->memo_next;
	struct memo *m = &srv->memos[n];

	srv->memo_next = (n + 1) % MEMO_MAX;
	if (m->used)
		index_remove(&srv->by_memo,
		             hash_memo(srv, &m->client, m->listener, m->method, m->txid), n);
	*m = (struct memo){
		.client = *client,
		.listener = listener,
		.method = (uint16_t)method,
		.until_s = until_s,
		.used = true,
	};
	memcpy(m->txid, txid, STUN_TXID_LEN);
	if (srv->memo_until_s < until_s)
		srv->memo_until_s = until_s;
	index_add(&srv->by_memo, hash_memo(srv, client, listener, method, txid), n);
}

bool memo_find(const struct turn_server *srv, const struct endpoint *client, uint8_t listener,
               unsigned method, const uint8_t *txid)
{
	uint32_t n;

	if ((uint64_t)srv->memo_until_s * 1000 <= srv->now_ms) /* the last one is forgotten */
		return false;
	n = index_first(&srv->by_memo, hash_memo(srv, client, listener, method, txid));
	for (; n != NONE; n = index_after(&srv->by_memo, n)) {
		const struct memo *m = &srv->memos[n];

		if (m->listener == listener && m->method == method &&
		    endpoint_equal(&m->client, client) && memcmp(m->txid, txid, STUN_TXID_LEN) == 0)
			return (uint64_t)m->until_s * 1000 > srv->now_ms;
	}
	return false;
}
