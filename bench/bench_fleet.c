/*
 * How many messages a second one core of the generator's fleet sends and takes, and what a client
 * costs in memory. Setup of all clients (Allocate, 401, Allocate, ChannelBind), then rounds of
 * renewals, where both ways carry integrity.
 *
 * Method     A server of a few lines answers between the timed stretches; what counts is the CPU
 *            time of this thread within fleet_poll() and fleet_input(), in bursts of 64.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "crypto.h"
#include "pkt-gen/fleet.h"
#include "wire/integrity.h"

enum { BURST = 64, RUNS = 6 };

static const char realm[] = "example.org", name[] = "alice", password[] = "secret";
static const char nonce[] = "0123456789abcdef0123456789abcde";    /* 31 characters */
static const char nonce256[] = "obMatJos2gAAA9abcdef0123456789a"; /* with algorithms */

struct server {
	bool sha256;
	bool each; /* every client has a name of its own */
	struct crypto_hmac_sha1 *key;
	struct crypto_hmac_sha256 key256;
	uint8_t answer[BURST][256];
	size_t len[BURST];
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static struct endpoint client_at(void *arg, uint32_t client)
{
	const uint8_t ip[4] = { 198, 18, (uint8_t)(client / 60000), 2 };

	(void)arg;
	return (struct endpoint){ addr_from4(ip), (uint16_t)(2000 + client % 60000) };
}

static struct endpoint peer_at(void *arg, uint32_t client, uint32_t peer)
{
	const uint8_t ip[4] = { 198, 19, (uint8_t)(client / 60000), 2 };

	(void)arg;
	(void)peer;
	return (struct endpoint){ addr_from4(ip), (uint16_t)(2000 + client % 60000) };
}

static void server_open(struct server *s, uint32_t clients)
{
	const uint32_t n = s->each ? clients : 1;
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN];
	char text[32];

	s->key = malloc(n * sizeof(*s->key));
	if (s->key == NULL)
		exit(1);
	for (uint32_t i = 0; i < n; i++) {
		const int len = s->each ? snprintf(text, sizeof(text), "%s%u", name, i)
		                        : snprintf(text, sizeof(text), "%s", name);

		crypto_long_term(text, (size_t)len, realm, password, strlen(password), md5, sha256);
		crypto_hmac_sha1_key(&s->key[i], md5, sizeof(md5));
	}
	crypto_hmac_sha256_key(&s->key256, sha256, sizeof(sha256));
}

static void put_integrity(const struct server *s, struct stun_builder *b, uint32_t client)
{
	size_t covered;
	uint8_t *mac = stun_reserve_integrity(
		b, s->sha256 ? STUN_MESSAGE_INTEGRITY_SHA256 : STUN_MESSAGE_INTEGRITY, &covered);
	const struct crypto_piece all = { b->buf, covered };

	if (s->sha256)
		crypto_hmac_sha256(&s->key256, &all, 1, mac);
	else
		crypto_hmac_sha1(&s->key[s->each ? client : 0], &all, 1, mac);
}

static size_t answer(const struct server *s, const struct fleet_datagram *d, uint8_t *out,
                     size_t cap)
{
	static const uint16_t algorithms[] = { STUN_ALGORITHM_SHA256, STUN_ALGORITHM_MD5 };
	const struct endpoint at = client_at(NULL, d->client), relay = peer_at(NULL, d->client, 0);
	const unsigned method = stun_method(be16_load(d->octets));
	const bool bare = method == TURN_ALLOCATE && d->len < 40;
	struct stun_builder b;

	stun_begin(&b, out, cap, stun_type(method, bare ? STUN_ERROR : STUN_SUCCESS),
	           d->octets + 8);
	if (bare) {
		stun_put_error(&b, STUN_UNAUTHENTICATED, stun_reason(STUN_UNAUTHENTICATED));
		stun_put(&b, STUN_REALM, realm, sizeof(realm) - 1);
		stun_put(&b, STUN_NONCE, s->sha256 ? nonce256 : nonce, 31);
		if (s->sha256)
			stun_put_algorithms(&b, STUN_PASSWORD_ALGORITHMS, algorithms, 2);
		return stun_finish(&b);
	}
	if (method == TURN_ALLOCATE) {
		stun_put_xor_addr(&b, TURN_XOR_RELAYED_ADDRESS, &relay);
		stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, &at);
		stun_put_u32(&b, TURN_LIFETIME, 3600);
	}
	put_integrity(s, &b, d->client);
	return stun_finish(&b);
}

/* Until nothing is due at that time; messages both ways, and the CPU time that they took. */
static uint64_t drain(struct fleet *f, struct server *s, uint64_t now_ns, uint64_t *spent_ns)
{
	static struct fleet_datagram out[BURST];
	uint64_t messages = 0;
	unsigned n;

	for (;;) {
		uint64_t from = cpu_ns();

		n = fleet_poll(f, now_ns, out, BURST);
		*spent_ns += cpu_ns() - from;
		if (n == 0)
			return messages;
		for (unsigned i = 0; i < n; i++)
			s->len[i] = answer(s, &out[i], s->answer[i], sizeof(s->answer[i]));
		from = cpu_ns();
		for (unsigned i = 0; i < n; i++) {
			const struct endpoint at = client_at(NULL, out[i].client);

			fleet_input(f, now_ns, &at, s->answer[i], s->len[i]);
		}
		*spent_ns += cpu_ns() - from;
		messages += 2 * n;
	}
}

static size_t heap(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

struct figures {
	double setup[RUNS], renew[RUNS]; /* millions of messages a second */
	double octets;                   /* a client */
};

static bool run(struct figures *out, unsigned r, uint32_t clients, bool sha256, bool each)
{
	static struct server s;
	const struct fleet_config cfg = {
		.user = each ? "alice%u" : name,
		.password = password,
		.clients = clients,
		.peers = 1,
		.channels = true,
		.seed = r,
		.window = 1024,
		.client_at = client_at,
		.peer_at = peer_at,
	};
	const size_t before = heap();
	struct fleet *f = fleet_new(&cfg);
	uint64_t ns = 0, messages, now_ns = UINT64_C(1000000000);
	bool ok;

	if (f == NULL)
		return false;
	out->octets = (double)(heap() - before) / clients;
	s.sha256 = sha256;
	s.each = each;
	server_open(&s, clients);
	fleet_go(f, FLEET_UP, 0, clients, now_ns);
	messages = drain(f, &s, now_ns, &ns);
	out->setup[r] = (double)messages * 1e3 / (double)ns;
	ok = fleet_counts(f)->ready == clients;
	ns = 0;
	now_ns += UINT64_C(241000000000);
	messages = drain(f, &s, now_ns, &ns);
	out->renew[r] = (double)messages * 1e3 / (double)ns;
	ok = ok && messages == 2 * (uint64_t)clients && fleet_counts(f)->ready == clients &&
	     fleet_counts(f)->unproven == 0;
	fleet_free(f);
	free(s.key);
	return ok;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *setup, *renew, *memory;
		bool sha256, each;
	} rows[] = {
		{ "gen.fleet.setup.sha1", "gen.fleet.renew.sha1", "gen.fleet.memory.sha1", false,
		  false },
		{ "gen.fleet.setup.names", "gen.fleet.renew.names", "gen.fleet.memory.names", false,
		  true },
		{ "gen.fleet.setup.sha256", "gen.fleet.renew.sha256", "gen.fleet.memory.sha256",
		  true, false },
	};
	struct figures fig;
	struct bench b;

	bench_begin(&b, argc, argv);
	bench_pin(0);
	const uint32_t clients = b.quick ? 50000 : 1000000;
	const unsigned runs = b.quick ? 4 : RUNS;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double memory[RUNS];

		for (unsigned r = 0; r < runs; r++) {
			if (!run(&fig, r, clients, rows[i].sha256, rows[i].each)) {
				bench_fail(&b, "the fleet did not get ready");
				return bench_end(&b);
			}
			memory[r] = fig.octets;
		}
		bench_report(&b, &(struct bench_line){ rows[i].setup, "M messages/s", fig.setup,
		                                       runs, NULL, NULL });
		bench_report(&b, &(struct bench_line){ rows[i].renew, "M messages/s", fig.renew,
		                                       runs, NULL, NULL });
		bench_report(&b, &(struct bench_line){ rows[i].memory, "octets/client", memory,
		                                       runs, NULL, NULL });
	}
	return bench_end(&b);
}
