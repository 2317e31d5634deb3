/*
 * The fleet of clients fed with what a hostile server, a hostile network and time can bring: right
 * answers, the same with octets changed, arbitrary attributes signed and unsigned, strays.
 *
 * Input      One octet of configuration, then operations: a kind, then what it needs (below).
 * Properties An allocation is believed only after an answer with right integrity said so, and is
 *            the one that it said; what the fleet sends is STUN and fits; it never spins; its
 *            counts fit together.
 */
#include <string.h>

#include "crypto.h"
#include "pkt-gen/fleet.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/must.h"
#include "wire/integrity.h"

enum { CLIENTS = 4, PEERS = 3, OPERATIONS_MAX = 96, ANSWER_MAX = 1024 };

struct field {
	struct fleet *fleet;
	struct fleet_datagram last[CLIENTS]; /* len 0: none */
	bool granted[CLIENTS];               /* a right answer said so */
	bool anything[CLIENTS];              /* and one that may say what it likes */
	uint64_t now_ns;
	bool userless;
	unsigned nonces;
};

static struct endpoint client_at(void *arg, uint32_t client)
{
	static const uint8_t ip[4] = { 198, 18, 0, 2 };

	(void)arg;
	return (struct endpoint){ addr_from4(ip), (uint16_t)(2000 + client) };
}

/* Some are not known for a while. */
static struct endpoint peer_at(void *arg, uint32_t client, uint32_t peer)
{
	const struct field *x = arg;
	static const uint8_t ip[4] = { 198, 19, 0, 2 };

	return (struct endpoint){ addr_from4(ip), peer == 2 && x->now_ns / 4000000000u % 2 == 0
		                                          ? 0
		                                          : (uint16_t)(3000 + client * 16 + peer) };
}

static bool move(void *arg, uint32_t client)
{
	(void)arg;
	return client % 2 == 0;
}

/* As the request was signed; nothing where it was not. */
static void sign(struct stun_builder *b, const struct fleet_datagram *request)
{
	uint8_t md5[CRYPTO_MD5_LEN], sha256[CRYPTO_SHA256_LEN], *to;
	struct stun_attr realm, one;
	struct stun_algorithm chosen = { .number = 0 };
	struct stun_algorithm_iter it;
	struct stun_msg msg;
	char text[256];
	size_t covered;

	MUST(stun_open(request->octets, request->len, &msg));
	if (!stun_find(&msg, STUN_REALM, &realm))
		return;
	memcpy(text, realm.value, realm.len);
	text[realm.len] = '\0';
	crypto_long_term("alice", 5, text, "secret", 6, md5, sha256);
	if (!stun_find(&msg, STUN_PASSWORD_ALGORITHM, &one)) {
		struct crypto_hmac_sha1 k;

		crypto_hmac_sha1_key(&k, md5, sizeof(md5));
		to = stun_reserve_integrity(b, STUN_MESSAGE_INTEGRITY, &covered);
		if (to != NULL)
			crypto_hmac_sha1(&k, &(struct crypto_piece){ b->buf, covered }, 1, to);
		return;
	}

	struct crypto_hmac_sha256 k;
	it = stun_algorithms(&one);
	MUST(stun_algorithms_next(&it, &chosen));
	if (chosen.number == STUN_ALGORITHM_SHA256)
		crypto_hmac_sha256_key(&k, sha256, sizeof(sha256));
	else
		crypto_hmac_sha256_key(&k, md5, sizeof(md5));
	to = stun_reserve_integrity(b, STUN_MESSAGE_INTEGRITY_SHA256, &covered);
	if (to != NULL)
		crypto_hmac_sha256(&k, &(struct crypto_piece){ b->buf, covered }, 1, to);
}

static void put_challenge(struct field *x, struct stun_builder *b, unsigned how)
{
	static const char *const prefixes[] = { "obMatJos2wAAA", "obMatJos2gAAA", "", "obMatJos2" };
	static const uint16_t algorithms[] = { 2, 1, 7 };
	char nonce[128];

	/* Longer than what stands in a client, sometimes. */
	snprintf(nonce, sizeof(nonce), "%s%0*u", prefixes[how % 4], how & 64 ? 80 : 8, x->nonces++);
	stun_put_error(b, how & 16 ? 438 : 401, NULL);
	stun_put(b, STUN_REALM, how & 32 ? "elsewhere" : "example.org", how & 32 ? 9 : 11);
	stun_put(b, STUN_NONCE, nonce, (uint16_t)strlen(nonce));
	if ((how & 4) == 0)
		stun_put_algorithms(b, STUN_PASSWORD_ALGORITHMS, algorithms + (how >> 3 & 1), 2);
}

static void give(struct field *x, unsigned client, const uint8_t *octets, size_t len)
{
	const struct endpoint at = client_at(NULL, client);
	uint8_t *exact = malloc(len > 0 ? len : 1);

	memcpy(exact, octets, len);
	fleet_input(x->fleet, x->now_ns, &at, exact, len);
	free(exact);
}

static bool is_signed(const struct fleet_datagram *d)
{
	struct stun_msg msg;
	struct stun_attr realm;

	return stun_open(d->octets, d->len, &msg) && stun_find(&msg, STUN_REALM, &realm);
}

/* The answer to a transaction is always the same. */
static struct endpoint relay_of(unsigned client, uint32_t seq)
{
	static const uint8_t ip[4] = { 198, 18, 0, 1 };

	return (struct endpoint){ addr_from4(ip),
		                  (uint16_t)(50000 + seq % 2000 * CLIENTS + client) };
}

/* What a right server says; `how` picks the kind of success or challenge. */
static size_t right_answer(struct field *x, unsigned client, unsigned how, uint8_t *buf)
{
	const struct fleet_datagram *d = &x->last[client];
	const unsigned method = stun_method(be16_load(d->octets));
	struct stun_builder b;
	const bool ok = (is_signed(d) || x->userless) && (how & 128) == 0;

	stun_begin(&b, buf, ANSWER_MAX, stun_type(method, ok ? STUN_SUCCESS : STUN_ERROR),
	           d->octets + 8);
	if (!ok) {
		put_challenge(x, &b, how);
		return stun_finish(&b);
	}
	if (method == TURN_ALLOCATE) {
		const struct endpoint relay = relay_of(client, be32_load(d->octets + 16));

		stun_put_xor_addr(&b, TURN_XOR_RELAYED_ADDRESS, &relay);
	}
	if (method == TURN_ALLOCATE || method == TURN_REFRESH)
		stun_put_u32(&b, TURN_LIFETIME, how & 1 ? 600 : how & 2 ? 20 : 3600);
	sign(&b, d);
	return stun_finish(&b);
}

/* Of the transaction that the client has under way; else it is a stray. */
static void answer(struct field *x, struct input *in, bool change)
{
	const unsigned client = input_octet(in) % CLIENTS, how = input_octet(in);
	uint8_t buf[ANSWER_MAX], whole[ANSWER_MAX];
	struct fleet_datagram *d = &x->last[client];
	size_t len;

	if (d->len == 0)
		return;
	len = right_answer(x, client, how, buf);
	memcpy(whole, buf, len);
	for (unsigned n = change ? 1 + input_octet(in) % 4 : 0; n > 0; n--) {
		const size_t at = input_pair(in) % len;

		buf[at] ^= (uint8_t)input_octet(in);
	}
	if (change && (how & 8) != 0)
		len -= input_octet(in) % (len + 1);
	if (x->userless)
		x->anything[client] = true; /* nothing proves anything there */
	else if (memcmp(whole, buf, len) == 0 && be16_load(whole + 2) == len - STUN_HDR_LEN)
		x->granted[client] |= be16_load(buf) == (TURN_ALLOCATE | 0x0100);
	give(x, client, buf, len);
}

/* [client][flags][length 2][attributes]: flags 1: signed, 2: success, then a code. */
static void made_up(struct field *x, struct input *in)
{
	const unsigned client = input_octet(in) % CLIENTS, flags = input_octet(in);
	size_t len = input_pair(in) & 0x1FC;
	const uint8_t *octets = input_take(in, &len);
	const struct fleet_datagram *d = &x->last[client];
	const unsigned method = stun_method(be16_load(d->octets));
	uint8_t buf[ANSWER_MAX];
	struct stun_builder b;

	if (d->len == 0)
		return;
	stun_begin(&b, buf, sizeof(buf), stun_type(method, flags & 2 ? STUN_SUCCESS : STUN_ERROR),
	           d->octets + 8);
	if ((flags & 2) == 0)
		stun_put_error(&b, 300 + input_octet(in) % 200 + (flags & 4 ? 200 : 0), NULL);
	len &= ~(size_t)3;
	memcpy(buf + b.len, octets, len);
	b.len += len;
	be16_store(buf + 2, (uint16_t)(b.len - STUN_HDR_LEN));
	if ((flags & 1) != 0)
		sign(&b, d);
	if (((flags & 1) != 0 && is_signed(d)) || x->userless)
		x->anything[client] = true;
	give(x, client, buf, stun_finish(&b));
}

static void poll(struct field *x, unsigned room)
{
	struct fleet_datagram out[8];
	unsigned n, turns = 0;

	do {
		n = fleet_poll(x->fleet, x->now_ns, out, room);
		MUST(n <= room);
		for (unsigned i = 0; i < n; i++) {
			struct stun_msg msg;
			struct stun_marks marks;

			MUST(out[i].client < CLIENTS && out[i].len <= sizeof(out[i].octets));
			MUST(stun_open(out[i].octets, out[i].len, &msg) && stun_scan(&msg, &marks));
			MUST(stun_class(msg.type) == STUN_REQUEST);
			x->last[out[i].client] = out[i];
		}
		MUST(turns++ < 64);
	} while (n == room);
	MUST(fleet_next_ns(x->fleet) > x->now_ns);
}

static void check(const struct field *x)
{
	const struct fleet_counts *n = fleet_counts(x->fleet);
	struct endpoint relay;

	MUST(n->ready + n->failed + n->under_way + n->waiting <= CLIENTS && n->wanted <= CLIENTS);
	MUST(n->answered + n->timeouts <= n->transactions);
	MUST(n->lost <= n->transactions && n->gone <= n->transactions);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		MUST(!fleet_is_ready(x->fleet, i) || fleet_relayed(x->fleet, i, &relay));
		if (!fleet_relayed(x->fleet, i, &relay))
			continue;
		MUST(x->granted[i] || x->anything[i]);
		MUST(x->anything[i] || (relay.port - 50000u) % CLIENTS == i);
	}
}

static void operate(struct field *x, struct input *in)
{
	const unsigned kind = input_octet(in) % 12;
	unsigned client, arg;
	size_t len;

	switch (kind) {
	case 0:
	case 1:
		x->now_ns += input_pair(in) * (kind == 0 ? UINT64_C(100000) : UINT64_C(20000000));
		break;
	case 2:
		x->now_ns = fleet_next_ns(x->fleet) > x->now_ns + 4000000000000u
		                    ? x->now_ns
		                    : fleet_next_ns(x->fleet);
		break;
	case 3:
		client = input_octet(in);
		arg = input_octet(in);
		fleet_go(x->fleet, (enum fleet_goal)(arg % 4), client % CLIENTS, 1 + arg / 64,
		         x->now_ns);
		break;
	case 4:
		arg = input_octet(in);
		fleet_churn(x->fleet, (enum fleet_churn)(arg % 3), arg / 16, x->now_ns);
		break;
	case 5:
		client = input_octet(in) % CLIENTS;
		len = input_octet(in);
		const uint8_t *octets = input_take(in, &len);
		give(x, client, octets, len);
		break;
	case 6: made_up(x, in); break;
	case 7:
	case 8: answer(x, in, true); break;
	default: answer(x, in, false); break;
	}
	poll(x, 1 + kind % 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	const unsigned how = input_octet(&in);
	struct field x = { .now_ns = 1000000000, .userless = (how & 8) != 0 };
	const struct fleet_config cfg = {
		.user = x.userless ? NULL : "alice",
		.password = "secret",
		.clients = CLIENTS,
		.peers = how & 1 ? PEERS : 1,
		.channels = (how & 2) != 0,
		.bare_errors = (how & 4) != 0,
		.window = how & 64 ? 2 : 0,
		.rate = how & 128 ? 10 : 0,
		.mismatch = (enum fleet_mismatch)(how >> 4 & 3),
		.seed = how,
		.client_at = client_at,
		.peer_at = peer_at,
		.move = move,
		.arg = &x,
	};

	x.fleet = fleet_new(&cfg);
	MUST(x.fleet != NULL);
	fleet_go(x.fleet, FLEET_UP, 0, CLIENTS, x.now_ns);
	poll(&x, 8);
	for (unsigned n = 0; in.left > 0 && n < OPERATIONS_MAX; n++) {
		operate(&x, &in);
		check(&x);
	}
	fleet_free(x.fleet);
	return 0;
}
