/*
 * The vectors whose receiver is a relay, through the engine. Their nonces are not ours: where one
 * is valid for the vector's receiver it is replaced by one the engine has just given out, and the
 * integrity computed again with the vector's key; what is wrong in a vector stays wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "tests/rig/turn_rig.h"
#include "tests/support.h"
#include "tests/vectors.h"
#include "wire/attr.h"
#include "wire/crc.h"
#include "wire/integrity.h"

/* bad-auth-* and bad-mi* are about octets of the MAC; only vectors that carry keys can be signed.
 */
static bool resign(const struct vector *v, struct stun_builder *b, const struct stun_msg *msg,
                   const struct rig_client *c)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr attr = { 0 };
	const json_t *keys = json_object_get(v->json, "keys");
	size_t key_len = 0, covered;
	uint8_t *key, *mac, *nonce;

	stun_begin(b, b->buf, b->cap, msg->type, msg->txid);
	while (stun_next(&it, &attr)) {
		const bool sha256 = attr.type == STUN_MESSAGE_INTEGRITY_SHA256;

		if (attr.type == STUN_NONCE) {
			const json_t *valid = json_object_get(v->receiver, "nonces");
			char text[800];

			snprintf(text, sizeof(text), "%.*s", (int)attr.len,
			         (const char *)attr.value);
			nonce = stun_reserve(b, STUN_NONCE,
			                     json_object_get(valid, text) != NULL
			                             ? (uint16_t)c->nonce_len
			                             : attr.len);
			if (nonce == NULL)
				return false;
			if (json_object_get(valid, text) != NULL)
				memcpy(nonce, c->nonce, c->nonce_len);
			else
				memcpy(nonce, attr.value, attr.len);
			continue;
		}
		if (attr.type == STUN_FINGERPRINT) {
			stun_put_fingerprint(b);
			continue;
		}
		if (attr.type != STUN_MESSAGE_INTEGRITY && !sha256) {
			stun_put(b, attr.type, attr.value, attr.len);
			continue;
		}
		key = vectors_hex(vectors_text(keys, sha256 ? "sha256_key" : "sha1_key"), &key_len);
		if (key == NULL || key_len == 0 || attr.len != (sha256 ? 32 : 20)) {
			free(key);
			stun_put(b, attr.type, attr.value, attr.len);
			continue;
		}
		mac = stun_reserve_integrity(b, attr.type, &covered);
		const struct crypto_piece piece = { b->buf, covered };
		struct crypto_hmac_sha1 k1;
		struct crypto_hmac_sha256 k256;
		crypto_hmac_sha1_key(&k1, key, key_len);
		crypto_hmac_sha256_key(&k256, key, key_len);
		if (mac != NULL && sha256)
			crypto_hmac_sha256(&k256, &piece, 1, mac);
		else if (mac != NULL)
			crypto_hmac_sha1(&k1, &piece, 1, mac);
		if (mac != NULL && strcmp(v->why, "integrity") == 0)
			mac[7] ^= 1; /* what was wrong stays wrong */
		free(key);
	}
	return stun_finish(b) > 0;
}

static const struct vectors *vs;

static void with_users(struct rig *r)
{
	const struct vector *any = vectors_find(vs, "auth-md5");
	const char *name;
	json_t *password;
	unsigned n = 0;

	json_object_foreach(json_object_get(any->receiver, "users"), name, password)
	{
		if (n == RIG_USERS)
			break;
		free(r->users[n].name);
		free(r->users[n].password);
		r->users[n].name = strdup(name);
		r->users[n++].password = strdup(json_string_value(password));
	}
	r->cfg.n_users = n;
}

/* What the vector's author can have meant by "accept": state decides the rest. */
static bool accepted(const struct vector *v, unsigned method, int got)
{
	(void)v;
	if (method == TURN_ALLOCATE)
		return got == 0 || got == 508;
	if (method == TURN_SEND || method == TURN_DATA)
		return got == -1; /* never answered, and not control's */
	return got == 437;
}

static void judge(const struct vector *v)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message m;
	struct stun_msg msg = { 0 };
	uint8_t buf[PUNT_OCTETS_MAX];
	struct stun_builder b = { .buf = buf, .cap = sizeof(buf) };
	const uint8_t *octets = v->octets;
	size_t len = v->len;
	int got;

	rig_open(&r, with_users);
	rig_begin(&r, &m, TURN_ALLOCATE);
	CHECK(rig_send(&r, &c, &m) == 401, v->name);
	struct rig_client sender = c;
	if (stun_open(octets, len, &msg)) {
		/* An allocation first, where the method needs one and refuses for itself. */
		const unsigned method = stun_method(msg.type);

		if (strcmp(v->action, "error") == 0 && method != TURN_ALLOCATE)
			CHECK(rig_allocate(&r, &c) == 0, v->name);
		if (resign(v, &b, &msg, &c)) {
			octets = buf;
			len = b.len;
		}
	}
	got = rig_send_octets(&r, &sender, octets, len);
	if (strcmp(v->action, "error") == 0) {
		CHECK(got == (int)v->code, v->name);
		const json_t *unknown = json_object_get(v->json, "unknown");
		(void)unknown;
	} else if (strcmp(v->action, "discard") == 0) {
		CHECK(got == -1, v->name);
	} else {
		CHECK(stun_open(octets, len, &msg) && accepted(v, stun_method(msg.type), got),
		      v->name);
	}
	if (got != 0 || strcmp(v->action, "accept") != 0)
		CHECK(turn_allocations(r.srv) <= 1, v->name);
	CHECK(turn_check_invariants(r.srv) == NULL, v->name);
	rig_close(&r);
}

static void test_all(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < vs->n; i++)
		if (strcmp(vs->list[i].kind, "stun") == 0 &&
		    strcmp(vs->list[i].context, "turn") == 0) {
			judge(&vs->list[i]);
			n++;
		}
	CHECK(n > 100, "there are more than a hundred");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "vectors of the relay", test_all },
		CU_TEST_INFO_NULL,
	};
	struct vectors *loaded = vectors_load();

	vs = loaded;
	const int rc = run_suite("control/turn/vectors", tests);
	vectors_free(loaded);
	return rc;
}
