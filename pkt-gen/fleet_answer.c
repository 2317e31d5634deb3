/* Answers: read, proven, decided. Nothing is believed before its integrity. */
#include "pkt-gen/fleet_parts.h"
#include "wire/crc.h"

enum {
	LIFETIME_USUAL_S = 600,  /* where a server does not say (Q-13 has it that all do) */
	LIFETIME_MAX_S = 1000000 /* a timer holds it */
};

struct answer {
	struct stun_msg msg;
	struct stun_marks marks;
	struct stun_attr error, realm, nonce, algorithms, relayed, lifetime;
	unsigned code; /* 0: success */
};

static struct stun_attr *slot(struct answer *a, uint16_t type)
{
	switch (type) {
	case STUN_ERROR_CODE: return &a->error;
	case STUN_REALM: return &a->realm;
	case STUN_NONCE: return &a->nonce;
	case STUN_PASSWORD_ALGORITHMS: return &a->algorithms;
	case TURN_XOR_RELAYED_ADDRESS: return &a->relayed;
	case TURN_LIFETIME: return &a->lifetime;
	default: return NULL;
	}
}

/* false: it cannot be read, or says things that a client does not know and may not skip. */
static bool read_answer(struct answer *a)
{
	struct stun_iter it = stun_attrs(&a->msg);
	struct stun_attr attr;
	const uint8_t *reason;
	size_t reason_len;

	if (!stun_scan(&a->msg, &a->marks) ||
	    stun_fingerprint_check(&a->msg, &a->marks) == STUN_FINGERPRINT_WRONG)
		return false;
	while (stun_next_counted(&it, &attr)) {
		struct stun_attr *s = slot(a, attr.type);

		if (s != NULL && s->value == NULL)
			*s = attr;
		else if (stun_required(attr.type) &&
		         (attr.type >= 64 || (TURN_KNOWN >> attr.type & 1) == 0))
			return false;
	}
	if (stun_class(a->msg.type) == STUN_SUCCESS)
		return true;
	a->code = a->error.value == NULL ? 0 : stun_error_code(&a->error, &reason, &reason_len);
	return a->code != 0;
}

/* Feature bits of a nonce (STUN-104), as the first of their four characters has them. */
enum { FEATURE_ALGORITHMS = 32, FEATURE_ANONYMITY = 16 };

static unsigned features(const struct stun_attr *nonce)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at;

	if (nonce->value == NULL || nonce->len < 13 || memcmp(nonce->value, "obMatJos2", 9) != 0)
		return 0;
	at = strchr(digits, nonce->value[9]);
	return at == NULL || *at == '\0' ? 0 : (unsigned)(at - digits);
}

enum proof { PROOF_NONE, PROOF_WRONG, PROOF_RIGHT };

/* The kind that the request had; another one proves nothing. */
static enum proof prove(struct fleet *f, uint32_t i, const struct answer *a)
{
	const unsigned realm = f->client[i].realm;
	const enum key_kind kind = (enum key_kind)f->realm[realm].kind;
	const struct stun_attr *attr = kind == KEY_SHA1 ? &a->marks.integrity : &a->marks.sha256;
	const unsigned len = kind == KEY_SHA1 ? CRYPTO_SHA1_LEN : CRYPTO_SHA256_LEN;
	uint8_t mac[CRYPTO_SHA256_LEN];

	if (a->marks.integrity.value == NULL && a->marks.sha256.value == NULL)
		return PROOF_NONE;
	if (attr->value == NULL || attr->len != len)
		return PROOF_WRONG;

	const struct stun_integrity in = stun_integrity_locate(&a->msg, attr);
	const struct crypto_piece pieces[] = { { in.head, 4 }, { in.rest, in.rest_len } };
	fleet_key_mac(fleet_key(f, i, realm), kind, pieces, 2, mac);
	return crypto_equal(mac, in.mac, len) ? PROOF_RIGHT : PROOF_WRONG;
}

/* --- success --- */

static void set_lifetime(struct fleet *f, struct client *c, uint32_t lifetime_s)
{
	const uint32_t now_ms = fleet_ms(f);

	if (lifetime_s > LIFETIME_MAX_S)
		lifetime_s = LIFETIME_MAX_S;
	c->end_ms = now_ms + lifetime_s * 1000;
	/* TURN-246 */
	c->refresh_ms = lifetime_s >= 120 ? c->end_ms - 60000 : now_ms + lifetime_s * 500;
}

static uint32_t lifetime_of(const struct answer *a)
{
	uint32_t lifetime_s;

	return a->lifetime.value != NULL && stun_u32(&a->lifetime, &lifetime_s) ? lifetime_s
	                                                                        : LIFETIME_USUAL_S;
}

static void on_allocated(struct fleet *f, uint32_t i, const struct answer *a)
{
	struct client *c = &f->client[i];
	const uint32_t lifetime_s = lifetime_of(a);
	struct endpoint relay = { .port = 0 };
	const unsigned family =
		a->relayed.value == NULL ? 0 : stun_xor_addr(&a->msg, &a->relayed, &relay);

	c->flags &= (uint8_t)~PERHAPS;
	c->flags |= ALLOCATED;
	c->peer = 0;
	memset(fleet_renewals(f, i), 0, f->cfg.peers * sizeof(uint32_t));
	set_lifetime(f, c, lifetime_s);
	/* TURN-241: of no use; it is taken down with the rest. */
	if (family != (f->cfg.relayed_ipv6 ? 6 : 4) || relay.port == 0 || lifetime_s == 0) {
		c->relay_port = 0;
		f->counts.error[0]++;
		fleet_fail(f, i);
		return;
	}
	c->relay = relay.addr;
	c->relay_port = relay.port;
	f->counts.allocated++;
	fleet_step(f, i);
}

static void on_bound(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];
	const uint32_t renew_ms = fleet_ms(f) + RENEW_MS;

	for (unsigned p = 0; p < c->batch; p++)
		fleet_renewals(f, i)[c->peer + p] = renew_ms;
	c->peer += c->batch;
	if (c->phase == PHASE_READY && c->peer >= f->cfg.peers)
		c->peer = 0;
	fleet_step(f, i);
}

static void on_success(struct fleet *f, uint32_t i, const struct answer *a)
{
	struct client *c = &f->client[i];
	const enum doing doing = (enum doing)c->doing;

	c->doing = DO_NOTHING;
	c->stale = 0;
	if (doing != DO_CLEAR) /* what follows may be 437 again */
		c->tries = 0;
	switch (doing) {
	case DO_ALLOCATE: on_allocated(f, i, a); break;
	case DO_BIND:
	case DO_PERMIT: on_bound(f, i); break;
	case DO_REFRESH:
		set_lifetime(f, c, lifetime_of(a));
		if (c->end_ms > fleet_ms(f)) {
			fleet_step(f, i);
			break;
		}
		c->flags &= (uint8_t)~ALLOCATED;
		f->counts.error[0]++;
		fleet_fail(f, i);
		break;
	case DO_DELETE: fleet_gone(f, i); break;
	case DO_CLEAR: fleet_step(f, i); break;
	case DO_CHURN_BIND:
	case DO_CHURN_PERMIT:
		f->counts.churned++;
		fleet_step(f, i);
		break;
	case DO_NOTHING: break;
	}
}

/* --- errors --- */

static void end_with(struct fleet *f, uint32_t i, unsigned code)
{
	f->counts.error[code]++;
	fleet_fail(f, i);
}

/* 437 to Allocate: the five-tuple has an allocation. */
static void mismatched(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];
	const struct fleet_config *cfg = &f->cfg;
	/* One of its own whose answer it never saw is taken down whatever the rule is. */
	const enum fleet_mismatch rule =
		(c->flags & PERHAPS) != 0 ? FLEET_MISMATCH_DELETE : cfg->mismatch;

	c->tries++;
	if (c->goal == FLEET_DOWN) {
		end_with(f, i, STUN_ALLOCATION_MISMATCH);
	} else if (rule == FLEET_MISMATCH_DELETE && c->tries <= MOVES_MAX) {
		c->flags &= (uint8_t)~PERHAPS;
		fleet_begin(f, i, DO_CLEAR);
	} else if (rule == FLEET_MISMATCH_MOVE && c->tries < MOVES_MAX && cfg->move != NULL &&
	           cfg->move(cfg->arg, i)) {
		/* Nonces may be made for an address. */
		fleet_forget_nonce(c);
		c->realm = REALMS_MAX;
		fleet_step(f, i);
	} else if (rule == FLEET_MISMATCH_WAIT && c->tries <= WAITS_MAX) {
		fleet_park(f, i, WAIT_MS);
	} else {
		end_with(f, i, STUN_ALLOCATION_MISMATCH);
	}
}

void fleet_refused(struct fleet *f, uint32_t i, unsigned code)
{
	struct client *c = &f->client[i];
	const enum doing doing = (enum doing)c->doing;
	const bool churns = doing == DO_CHURN_BIND || doing == DO_CHURN_PERMIT;

	c->doing = DO_NOTHING;
	if (code == STUN_ALLOCATION_MISMATCH && doing == DO_DELETE) {
		fleet_gone(f, i);
	} else if (code == STUN_ALLOCATION_MISMATCH && doing == DO_CLEAR) {
		fleet_step(f, i);
	} else if (code == STUN_ALLOCATION_MISMATCH && doing == DO_ALLOCATE) {
		mismatched(f, i);
	} else if (code >= 500 && code != STUN_INSUFFICIENT_CAPACITY && !churns &&
	           c->tries < TRIES_MAX) {
		fleet_park(f, i, f->cfg.rto_ms << c->tries++);
	} else if (churns && code != STUN_ALLOCATION_MISMATCH && code != STUN_WRONG_CREDENTIALS) {
		f->counts.error[code]++;
		fleet_step(f, i);
	} else {
		if (code == STUN_ALLOCATION_MISMATCH)
			c->flags &= (uint8_t)~ALLOCATED;
		end_with(f, i, code);
	}
}

/* 401 and 438. */
static void challenged(struct fleet *f, uint32_t i, const struct answer *a)
{
	static const struct stun_attr none = { .len = 0 };
	struct client *c = &f->client[i];
	const unsigned bits = features(&a->nonce);
	const bool fresh = a->nonce.len != c->nonce_len ||
	                   memcmp(a->nonce.value, fleet_nonce(c), c->nonce_len) != 0;
	unsigned realm = c->realm;
	bool again;

	if (a->realm.value != NULL)
		realm = fleet_key_realm(f, &a->realm,
		                        (bits & FEATURE_ALGORITHMS) != 0 ? &a->algorithms : &none,
		                        (bits & FEATURE_ANONYMITY) != 0);
	/* Without news a second 401 says that the password is wrong (STUN-116); once they were
	 * right, some servers mean a stale nonce. */
	again = f->cfg.user != NULL && realm != REALMS_MAX && c->stale < STALE_MAX;
	if (a->code == STUN_UNAUTHENTICATED && realm == c->realm)
		again = again && (c->flags & PROVEN) != 0 && fresh;
	if (!again || !fleet_set_nonce(c, a->nonce.value, a->nonce.len)) {
		fleet_refused(f, i, a->code);
		return;
	}
	if (c->realm != REALMS_MAX)
		c->stale++;
	if (c->doing == DO_ALLOCATE && c->realm != REALMS_MAX && c->sends > 1)
		c->flags |= PERHAPS; /* an earlier sending may have been served */
	c->realm = (uint8_t)realm;
	f->counts.challenges++;
	if (c->doing == DO_PERMIT) {
		const unsigned fits = fleet_ask_batch(f, i, c->peer);

		c->batch = (uint8_t)(fits < c->batch ? fits : c->batch);
	}
	fleet_begin(f, i, (enum doing)c->doing);
}

/* May the answer be acted on? */
static bool believed(struct fleet *f, uint32_t i, const struct answer *a)
{
	struct client *c = &f->client[i];
	const bool bare_may = a->code == STUN_UNAUTHENTICATED || a->code == STUN_STALE_NONCE ||
	                      a->code == STUN_TRY_ALTERNATE;

	if (!fleet_signs(f, c)) /* nobody asked: only a server without users may say yes */
		return a->code != 0 || f->cfg.user == NULL;
	switch (prove(f, i, a)) {
	case PROOF_RIGHT: c->flags |= PROVEN; return true;
	case PROOF_WRONG: return false;
	case PROOF_NONE: break;
	}
	if (a->code != 0 && (bare_may || f->cfg.bare_errors))
		return true;
	if (a->code != 0)
		c->bare = (uint16_t)a->code;
	return false;
}

bool fleet_input(struct fleet *f, uint64_t now_ns, const struct endpoint *at, const void *octets,
                 size_t len)
{
	struct fleet_counts *n = &f->counts;
	struct answer a = { .code = 0 };
	struct endpoint home;
	struct client *c;
	uint32_t i;

	if (!stun_open(octets, len, &a.msg) || (a.msg.type & 0x0100) == 0 ||
	    be32_load(a.msg.txid) != f->tag)
		return false;
	i = be32_load(a.msg.txid + 4);
	if (i >= f->cfg.clients)
		return false;
	home = f->cfg.client_at(f->cfg.arg, i);
	if (!endpoint_equal(at, &home))
		return false;
	c = &f->client[i];
	if (now_ns > f->now_ns)
		f->now_ns = now_ns;
	if (c->doing == DO_NOTHING || c->sends == 0 || be32_load(a.msg.txid + 8) != c->seq ||
	    stun_method(a.msg.type) != fleet_method((enum doing)c->doing)) {
		n->stray++;
		return true;
	}
	if (!read_answer(&a)) {
		n->malformed++;
		return true;
	}
	if ((features(&a.nonce) & FEATURE_ALGORITHMS) != 0 && a.algorithms.value == NULL) {
		n->bid_down++;
		return true;
	}
	if (!believed(f, i, &a)) {
		n->unproven++;
		return true;
	}
	if ((a.code == STUN_UNAUTHENTICATED || a.code == STUN_STALE_NONCE) &&
	    a.nonce.value == NULL) {
		n->malformed++;
		return true;
	}
	n->answered++;
	histogram_record(f->rtt, f->now_ns - c->first_ns);
	if (a.code == 0)
		on_success(f, i, &a);
	else if (a.code == STUN_UNAUTHENTICATED || a.code == STUN_STALE_NONCE)
		challenged(f, i, &a);
	else
		fleet_refused(f, i, a.code);
	return true;
}
