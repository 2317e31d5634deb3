/* Templates and nonce keys. */
#include <string.h>

#include "control/turn/action.h"
#include "control/turn/auth.h"
#include "control/turn/record.h"
#include "control/turn/template.h"
#include "wire/stun_build.h"

enum { HALF_DAY_S = NONCE_KEY_S / 2, TEMPLATE_MAX = 256 };

void template_prepare(struct turn_server *srv)
{
	const struct config *cfg = srv->cfg;
	uint8_t *p = srv->algorithms;

	srv->algorithms_len = 0;
	if (cfg->auth_sha256) { /* the order is our preference (STUN-110) */
		be16_store(p, STUN_ALGORITHM_SHA256);
		be16_store(p + 2, 0);
		srv->algorithms_len = 4;
	}
	if (cfg->auth_sha256 && cfg->auth_md5) {
		be16_store(p + 4, STUN_ALGORITHM_MD5);
		be16_store(p + 6, 0);
		srv->algorithms_len = 8;
	}
	srv->anonymity = cfg->n_rest_secrets == 0; /* STUN-100 */
	nonce_prefix(srv->algorithms_len > 0, srv->anonymity, srv->prefix);
	for (unsigned i = 0; i < LISTENER_SLOTS; i++) {
		struct listener *l = &srv->listeners[i];

		if (l->transport != 0)
			nonce_scope(&l->at, l->transport, srv->realms[srv->realm].text,
			            srv->algorithms, srv->algorithms_len, l->scope);
	}
}

static void emit_template(struct turn_server *srv, uint8_t slot, int code)
{
	static const uint8_t no_txid[STUN_TXID_LEN];
	uint8_t buf[TEMPLATE_MAX];
	struct stun_builder b;
	size_t nonce_at = 0;

	/* No reason phrase, no SOFTWARE: TURN-207. */
	stun_begin(&b, buf, sizeof(buf), stun_type(TURN_ALLOCATE, STUN_ERROR), no_txid);
	stun_put_error(&b, (unsigned)code, NULL);
	if (code != STUN_BAD_REQUEST)
		nonce_at = auth_put_challenge(srv, slot, srv->realm, NULL, &b);

	const size_t len = stun_finish(&b);
	struct cmd_template *t = action_command(srv, CMD_TEMPLATE, (uint32_t)(sizeof(*t) + len));
	*t = (struct cmd_template){
		.listener = srv->listeners[slot].id,
		.code = (uint16_t)code,
		.octets = (uint16_t)len,
		.nonce_at = (uint16_t)nonce_at,
	};
	memcpy(t + 1, buf, len);
}

static void emit_listener(struct turn_server *srv, uint8_t slot)
{
	const struct listener *l = &srv->listeners[slot];
	struct cmd_realm *c = action_command(srv, CMD_REALM, sizeof(*c));

	memset(c, 0, sizeof(*c));
	c->listener = l->id;
	c->nonce_lifetime_s = srv->cfg->nonce_lifetime_s;
	memcpy(c->scope, l->scope, sizeof(c->scope));
	memcpy(c->prefix, srv->prefix, sizeof(c->prefix));
	emit_template(srv, slot, STUN_UNAUTHENTICATED);
	emit_template(srv, slot, STUN_BAD_REQUEST);
	emit_template(srv, slot, STUN_STALE_NONCE);
}

static void emit_keys(struct turn_server *srv)
{
	for (unsigned i = 2; i-- > 0;) { /* the current one last */
		const struct nonce_key *k = &srv->nonce_key[i];
		struct cmd_nonce_key *c;

		if (!k->used)
			continue;
		c = action_command(srv, CMD_NONCE_KEY, sizeof(*c));
		memset(c, 0, sizeof(*c));
		c->epoch = k->epoch;
		c->current = i == 0;
		memcpy(c->key, k->key, sizeof(c->key));
	}
}

void template_emit(struct turn_server *srv)
{
	if (!srv->connected)
		return;
	emit_keys(srv);
	for (unsigned i = 0; i < LISTENER_SLOTS; i++)
		if (srv->listeners[i].known)
			emit_listener(srv, (uint8_t)i);
}

/* --- keys --- */

static bool load_keys(struct turn_server *srv)
{
	struct nonce_keys *keys = nonce_keys_new();

	if (keys == NULL)
		return false;
	for (unsigned i = 2; i-- > 0;)
		if (srv->nonce_key[i].used &&
		    !nonce_keys_set(keys, srv->nonce_key[i].epoch, srv->nonce_key[i].key, i == 0)) {
			nonce_keys_free(keys);
			return false;
		}
	nonce_keys_free(srv->nonces);
	srv->nonces = keys;
	return true;
}

/* A fleet's key of one day. */
static void derive(const struct turn_server *srv, uint32_t day, struct nonce_key *out)
{
	const char *secret = srv->cfg->nonce_secret;
	struct crypto_hmac_sha256 key;
	uint8_t number[4], mac[CRYPTO_SHA256_LEN];

	be32_store(number, day);
	crypto_hmac_sha256_key(&key, secret, strlen(secret));
	crypto_hmac_sha256(&key,
	                   (const struct crypto_piece[]){ { "turnpike nonce key", 18 },
	                                                  { number, sizeof(number) } },
	                   2, mac);
	memcpy(out->key, mac, sizeof(out->key));
	out->epoch = (uint8_t)day;
	out->made_s = day * NONCE_KEY_S;
	out->used = true;
	crypto_wipe(&key, sizeof(key));
	crypto_wipe(mac, sizeof(mac));
}

/* Today's key, and the one of the day that is nearer: clocks of a fleet differ. */
static void derive_both(struct turn_server *srv)
{
	const uint32_t half = srv->wall_s / HALF_DAY_S, day = half / 2;

	derive(srv, day, &srv->nonce_key[0]);
	derive(srv, half % 2 == 0 ? day - 1 : day + 1, &srv->nonce_key[1]);
	srv->nonce_half = half;
}

static void draw_next(struct turn_server *srv)
{
	struct nonce_key *k = srv->nonce_key;
	const store_ref spare = k[1].ref;
	const uint8_t epoch = k[0].used ? (uint8_t)(k[0].epoch + 1) : 0;

	k[1] = k[0];
	k[0] = (struct nonce_key){ .epoch = epoch, .made_s = srv->wall_s, .used = true };
	k[0].ref = spare;
	server_random(srv, k[0].key, sizeof(k[0].key));
	record_nonce(srv, &k[0]);
	if (k[1].used)
		record_nonce(srv, &k[1]);
}

static bool time_is_up(const struct turn_server *srv)
{
	if (srv->cfg->nonce_secret != NULL)
		return srv->wall_s / HALF_DAY_S != srv->nonce_half;
	return srv->wall_s - srv->nonce_key[0].made_s >= NONCE_KEY_S;
}

static void set_timer(struct turn_server *srv)
{
	const uint32_t age_s = srv->wall_s - srv->nonce_key[0].made_s;
	uint32_t wait_s = age_s < NONCE_KEY_S ? NONCE_KEY_S - age_s : 1;

	if (srv->cfg->nonce_secret != NULL)
		wait_s = HALF_DAY_S - srv->wall_s % HALF_DAY_S;
	timer_set(srv->timers, srv->timer_nonce, srv->now_ms + (uint64_t)wait_s * 1000);
}

bool template_keys(struct turn_server *srv)
{
	if (srv->cfg->nonce_secret != NULL)
		derive_both(srv);
	else if (!srv->nonce_key[0].used || time_is_up(srv))
		draw_next(srv);
	set_timer(srv);
	return load_keys(srv);
}

void template_on_time(struct turn_server *srv)
{
	if (time_is_up(srv)) {
		if (srv->cfg->nonce_secret != NULL)
			derive_both(srv);
		else
			draw_next(srv);
		if (load_keys(srv) && srv->connected)
			emit_keys(srv);
	}
	set_timer(srv);
}
