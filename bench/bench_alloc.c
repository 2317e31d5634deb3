/*
 * Authenticated Allocates through the engine, in process: parse, verify, allocate, build, sign, and
 * take the actions out, in bursts as they come from a punt ring. One user for each of 100,000
 * clients; the store is the real one. Baseline `evp_new`: the same engine with an EVP HMAC context
 * made for every message (the linker wraps the two calls). And the HMAC-SHA1 of a request of 120
 * octets by itself.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "crypto.h"
#include "tests/rig/turn_rig.h"
#include "wire/stun_build.h"

enum { CLIENTS = 100000, PAIRS_MAX = 12, MESSAGE_MAX = 160, HMACS = 200000, MESSAGE = 120 };

/* Time of this thread: one thread is measured, and others may build beside it. */
static uint64_t cpu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* --- the baseline --- */

static bool evp; /* the wraps below use EVP */
static EVP_MAC *hmac;

/* What evp_new keeps of a key, in the place of the midstates. */
struct raw_key {
	uint8_t len;
	uint8_t key[sizeof(struct crypto_hmac_sha1) - 1];
};

static void evp_new(const void *key, size_t key_len, const struct crypto_piece *pieces, unsigned n,
                    uint8_t *mac)
{
	char digest[] = "SHA1";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *c = EVP_MAC_CTX_new(hmac);
	size_t len;

	if (c == NULL || !EVP_MAC_init(c, key, key_len, params))
		abort();
	for (unsigned i = 0; i < n; i++)
		EVP_MAC_update(c, pieces[i].octets, pieces[i].len);
	EVP_MAC_final(c, mac, &len, CRYPTO_SHA1_LEN);
	EVP_MAC_CTX_free(c);
}

void __real_crypto_hmac_sha1_key(struct crypto_hmac_sha1 *out, const void *key, size_t len);
void __real_crypto_hmac_sha1(const struct crypto_hmac_sha1 *key, const struct crypto_piece *pieces,
                             unsigned n, uint8_t mac[CRYPTO_SHA1_LEN]);
void __wrap_crypto_hmac_sha1_key(struct crypto_hmac_sha1 *out, const void *key, size_t len);
void __wrap_crypto_hmac_sha1(const struct crypto_hmac_sha1 *key, const struct crypto_piece *pieces,
                             unsigned n, uint8_t mac[CRYPTO_SHA1_LEN]);

void __wrap_crypto_hmac_sha1_key(struct crypto_hmac_sha1 *out, const void *key, size_t len)
{
	struct raw_key raw = { .len = (uint8_t)len };

	if (!evp) {
		__real_crypto_hmac_sha1_key(out, key, len);
		return;
	}
	memcpy(raw.key, key, len);
	memcpy(out, &raw, sizeof(raw));
}

void __wrap_crypto_hmac_sha1(const struct crypto_hmac_sha1 *key, const struct crypto_piece *pieces,
                             unsigned n, uint8_t mac[CRYPTO_SHA1_LEN])
{
	struct raw_key raw;

	if (!evp) {
		__real_crypto_hmac_sha1(key, pieces, n, mac);
		return;
	}
	memcpy(&raw, key, sizeof(raw));
	evp_new(raw.key, raw.len, pieces, n, mac);
}

/* --- Allocates --- */

struct client {
	struct rig_client c;
	uint8_t message[MESSAGE_MAX];
	uint16_t len;
	char user[16];
};

static struct client *clients;
static struct config_user *users;
static char password[] = "secret";

static void many_users(struct rig *r)
{
	r->cfg.users = users;
	r->cfg.n_users = CLIENTS;
	r->cfg.limit_allocations = CLIENTS;
	r->cfg.limit_allocations_per_user = 1;
	r->cfg.relay_port_min = 1024;
	for (unsigned i = 0; i < 3; i++) { /* 193,536 ports */
		r->cfg.relays[i].addr = rig_peer4(i, 1).addr;
		r->cfg.relays[i].advertise = r->cfg.relays[i].addr;
	}
	r->cfg.n_relays = 3;
	r->index_flows = false;
}

static void make_clients(void)
{
	clients = calloc(CLIENTS, sizeof(*clients));
	users = calloc(CLIENTS, sizeof(*users));
	if (clients == NULL || users == NULL)
		abort();
	for (unsigned i = 0; i < CLIENTS; i++) {
		snprintf(clients[i].user, sizeof(clients[i].user), "user%06u", i);
		users[i].name = clients[i].user;
		users[i].password = password;
	}
}

/* Every client's nonce and signed Allocate, made before the clock starts. */
static void sign_all(struct rig *r)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];
		struct rig_message m;

		c->c = rig_client4(i);
		c->c.user = c->user;
		c->c.password = password;
		rig_begin(r, &m, TURN_ALLOCATE);
		stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
		if (rig_send(r, &c->c, &m) != 401)
			abort();
		rig_begin(r, &m, TURN_ALLOCATE);
		stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
		rig_sign(r, &m, &c->c);
		if (stun_finish(&m.b) > MESSAGE_MAX)
			abort();
		c->len = (uint16_t)stun_finish(&m.b);
		memcpy(c->message, m.buf, c->len);
	}
}

/* As the intake does: what a burst will touch is fetched for all of it at once. */
static unsigned allocate_burst(struct rig *r, unsigned from)
{
	const unsigned n = CLIENTS - from < TURN_BURST ? CLIENTS - from : TURN_BURST;
	struct turn_request list[TURN_BURST];
	struct punt punt[TURN_BURST];
	const struct turn_action *a;
	unsigned answers = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct client *c = &clients[from + i];

		punt[i] = (struct punt){
			.local_kind = LOCAL_LISTENER,
			.local = 10,
			.remote_port = c->c.at.port,
			.octets = c->len,
		};
		memcpy(punt[i].remote_ip, c->c.at.addr.ip, 16);
		list[i] = (struct turn_request){ &punt[i], c->message, c->len };
	}
	turn_expect(r->srv, list, n);
	for (unsigned i = 0; i < n; i++)
		turn_on_request(r->srv, &punt[i], list[i].octets, list[i].len, r->now_ms,
		                r->wall_s);
	while ((a = turn_next_action(r->srv)) != NULL) {
		answers += a->kind == ACTION_COMMAND && a->command == CMD_TRANSMIT;
		turn_pop_action(r->srv);
	}
	return answers;
}

static double allocate_all(struct bench *b, bool with_evp)
{
	struct rig r;
	unsigned answers = 0;

	evp = with_evp;
	rig_open(&r, many_users);
	evp = false; /* the clients' own HMACs are not measured */
	sign_all(&r);
	evp = with_evp;
	const uint64_t from_ns = cpu_now_ns();
	for (unsigned i = 0; i < CLIENTS; i += TURN_BURST)
		answers += allocate_burst(&r, i);
	const double seconds = (double)(cpu_now_ns() - from_ns) * 1e-9;
	if (answers != CLIENTS || turn_allocations(r.srv) != CLIENTS)
		bench_fail(b, "not every Allocate was granted");
	evp = false;
	rig_close(&r);
	return CLIENTS / seconds * 1e-6;
}

/* --- one HMAC --- */

enum way { MIDSTATES, EVP_NEW, EVP_REINIT };

static double hmac_all(enum way way)
{
	static uint8_t message[MESSAGE], mac[CRYPTO_SHA1_LEN], key[CRYPTO_MD5_LEN] = { 1 };
	struct crypto_hmac_sha1 k;
	char digest[] = "SHA1";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *c = EVP_MAC_CTX_new(hmac);
	unsigned wrong = 0;
	size_t len;

	__real_crypto_hmac_sha1_key(&k, key, sizeof(key));
	if (c == NULL || !EVP_MAC_init(c, key, sizeof(key), params))
		abort();
	const uint64_t from_ns = cpu_now_ns();
	for (unsigned i = 0; i < HMACS; i++) {
		const struct crypto_piece pieces[] = { { message, 4 },
			                               { message + 4, MESSAGE - 4 } };

		message[10] = (uint8_t)i;
		if (way == MIDSTATES) {
			__real_crypto_hmac_sha1(&k, pieces, 2, mac);
		} else if (way == EVP_NEW) {
			evp_new(key, sizeof(key), pieces, 2, mac);
		} else {
			EVP_MAC_init(c, NULL, 0, NULL);
			EVP_MAC_update(c, message, MESSAGE);
			EVP_MAC_final(c, mac, &len, sizeof(mac));
		}
		wrong += !crypto_equal(mac, message + 20, CRYPTO_SHA1_LEN);
	}
	const double ns = (double)(cpu_now_ns() - from_ns) / HMACS;
	EVP_MAC_CTX_free(c);
	return wrong > 0 ? ns : 0;
}

int main(int argc, char **argv)
{
	double ours[PAIRS_MAX], theirs[PAIRS_MAX], reinit[PAIRS_MAX];
	struct bench b;

	bench_begin(&b, argc, argv);
	bench_pin(0);
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (hmac == NULL)
		abort();
	make_clients();

	const unsigned n = b.quick ? 4 : PAIRS_MAX;
	for (unsigned i = 0; i < n; i++) {
		ours[i] = hmac_all(MIDSTATES);
		theirs[i] = hmac_all(EVP_NEW);
		reinit[i] = hmac_all(EVP_REINIT);
	}
	bench_report(&b, &(struct bench_line){ "hmac.verify", "ns", ours, n, "evp_new", theirs });
	bench_report(&b,
	             &(struct bench_line){ "hmac.verify", "ns", ours, n, "evp_reinit", reinit });
	bench_bar("hmac.verify", bench_median(ours, n), "<= 200 ns", bench_median(ours, n) <= 200);

	const unsigned rounds = b.quick ? 3 : 6;
	for (unsigned i = 0; i < rounds; i++) {
		ours[i] = allocate_all(&b, false);
		theirs[i] = allocate_all(&b, true);
	}
	bench_report(
		&b, &(struct bench_line){ "alloc.inproc", "M/s", ours, rounds, "evp_new", theirs });
	bench_bar("alloc.inproc", bench_median(ours, rounds), ">= 1 M/s",
	          bench_median(ours, rounds) >= 1);
	return bench_end(&b);
}
