/* Answers in place. What is looked at lies in the packet and in what control published. */
#include "dataplane/answer.h"

#include <netinet/in.h>
#include <openssl/crypto.h>
#include <rte_ether.h>
#include <stdlib.h>

#include "abi/command.h"
#include "dataplane/datagram.h"
#include "dataplane/limit.h"
#include "dataplane/punt.h"
#include "dataplane/reply.h"
#include "nonce.h"
#include "wire/checksum.h"
#include "wire/crc.h"
#include "wire/stun_build.h"

enum { CODES = 3, VARIANTS = 3, BINDING_MAX = 512 };

/* The longest first; later ones lack SOFTWARE, then the reason phrase too (STUN-149). */
struct variant {
	uint16_t octets, nonce_at;
	uint8_t body[ANSWER_TEMPLATE_MAX];
};

/* One version of what control said of a listener; never changed after it is published. */
struct offer {
	bool realm; /* scope, prefix and lifetime are set */
	uint8_t scope[NONCE_SCOPE_LEN];
	char prefix[NONCE_PREFIX_LEN];
	uint32_t lifetime_s;
	struct variant template[CODES][VARIANTS]; /* octets 0: none */
	unsigned users; /* struct answers that hold it; service turn only */
};

struct key {
	bool set, current;
	uint8_t epoch;
	uint8_t octets[NONCE_KEY_LEN];
};

struct answer {
	_Atomic(struct offer *) offer[LOCAL_LISTENERS_MAX]; /* shared by all workers */
	_Atomic(struct nonce_keys *) keys;                  /* this worker's own */
	struct key key[2];                                  /* service turn only */
};

static const uint16_t codes[CODES] = { STUN_BAD_REQUEST, STUN_UNAUTHENTICATED, STUN_STALE_NONCE };
static const enum stat_id code_stat[CODES] = { STAT_ANSWER_400, STAT_ANSWER_401, STAT_ANSWER_438 };

/* One request being looked at. */
struct question {
	struct worker *w;
	const struct port *port;
	struct rte_mbuf *m;
	const struct parsed *p;
	uint8_t *ip, *udp, *payload;
	struct stun_msg msg;
	struct stun_marks marks;
	struct endpoint client;
	uint32_t in; /* octets of the IP packet */
	bool classic;
};

/* --- sending --- */

static unsigned ip_len(const struct question *q)
{
	return q->p->family == 4 ? DATAGRAM_IP4 : DATAGRAM_IP6;
}

/* At IP level, out octets are at most tenths/10 of what came. */
static bool within(const struct question *q, uint32_t stun, unsigned tenths)
{
	return (ip_len(q) + DATAGRAM_UDP + stun) * 10 <= q->in * tenths;
}

/* The frame goes back with `len` octets of STUN. */
static enum stat_id reply(const struct question *q, const uint8_t *body, uint32_t len,
                          enum stat_id outcome)
{
	if (!reply_in_place(q->w, q->port, q->m, q->p, body, len))
		return STAT_NO_MBUF;
	stat_add(q->w->stats, outcome, 1);
	return STAT_COUNT;
}

/* --- Binding --- */

static enum stat_id binding_refuse(const struct question *q, const struct stun_unknown *u)
{
	uint8_t body[BINDING_MAX];
	struct stun_builder b;
	size_t len = 0;

	for (unsigned terse = 0; terse < 2; terse++) {
		const char *reason = terse ? "" : stun_reason(STUN_UNKNOWN_ATTRIBUTE);

		if (q->classic) {
			stun_begin_classic(&b, body, sizeof(body), STUN_ERROR, &q->msg);
			/* STUN-136: a length that needs no padding. */
			stun_put_error(&b, STUN_UNKNOWN_ATTRIBUTE,
			               terse ? "" : "Unknown Attribute   ");
			stun_put_unknown_classic(&b, u);
		} else {
			stun_begin(&b, body, sizeof(body), stun_type(STUN_BINDING, STUN_ERROR),
			           q->msg.txid);
			stun_put_error(&b, STUN_UNKNOWN_ATTRIBUTE, reason);
			stun_put_unknown(&b, u);
			if (q->marks.fingerprint.value != NULL)
				stun_put_fingerprint(&b);
		}
		len = stun_finish(&b);
		if (len && within(q, (uint32_t)len, 14))
			return reply(q, body, (uint32_t)len, STAT_ANSWER_420);
	}
	return STAT_AMPLIFICATION;
}

static enum stat_id binding_accept(const struct question *q)
{
	const struct config *cfg = __atomic_load_n(&q->w->dp->cfg, __ATOMIC_ACQUIRE);
	const char *software = cfg->software;
	uint8_t body[BINDING_MAX];
	struct stun_builder b;
	size_t len = 0;

	for (unsigned terse = software == NULL || software[0] == '\0'; terse < 2; terse++) {
		if (q->classic) {
			/* STUN-134: nothing else. */
			stun_begin_classic(&b, body, sizeof(body), STUN_SUCCESS, &q->msg);
			stun_put_addr(&b, STUN_MAPPED_ADDRESS, &q->client);
		} else {
			stun_begin(&b, body, sizeof(body), stun_type(STUN_BINDING, STUN_SUCCESS),
			           q->msg.txid);
			stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, &q->client);
			if (!terse)
				stun_put(&b, STUN_SOFTWARE, software, (uint16_t)strlen(software));
			if (q->marks.fingerprint.value != NULL) /* STUN-052 */
				stun_put_fingerprint(&b);
		}
		len = stun_finish(&b);
		if (len && within(q, (uint32_t)len, 14))
			return reply(q, body, (uint32_t)len, STAT_BINDING);
	}
	return STAT_AMPLIFICATION;
}

static enum stat_id binding(const struct question *q)
{
	/* In a classic message 0x0008 and 0x001C are no integrity, but known all the same. */
	struct stun_unknown u;

	if (!limit_binding(q->w->limit, &q->client.addr, q->w->now_ns))
		return STAT_LIMIT_BINDING;
	return stun_unknown(&q->msg, TURN_KNOWN, &u) ? binding_refuse(q, &u) : binding_accept(q);
}

/* --- requests of TURN --- */

enum { FINGERPRINT_LEN = STUN_ATTR_HDR_LEN + 4 };

static uint32_t fingerprint_len(const struct question *q)
{
	return q->marks.fingerprint.value != NULL ? FINGERPRINT_LEN : 0;
}

/* The longest that the question allows, or NULL. */
static const struct variant *choose(const struct question *q, const struct variant *v)
{
	for (unsigned i = 0; i < VARIANTS; i++)
		if (within(q, v[i].octets + fingerprint_len(q), 25))
			return &v[i];
	return NULL;
}

static enum stat_id refuse(const struct question *q, unsigned code, const struct offer *o)
{
	struct nonce_keys *keys = atomic_load_explicit(&q->w->answer->keys, memory_order_acquire);
	uint8_t out[ANSWER_TEMPLATE_MAX + FINGERPRINT_LEN];

	if (o == NULL || o->template[code][0].octets == 0 ||
	    (o->template[code][0].nonce_at && (keys == NULL || !o->realm)))
		return STAT_NO_CONTROL;
	const struct variant *v = choose(q, o->template[code]);

	if (v == NULL)
		return STAT_AMPLIFICATION;
	const uint32_t len = v->octets + fingerprint_len(q);

	/* Before any MAC is computed (STUN-150). */
	if (!limit_error(q->w->limit, &q->client.addr, q->w->now_ns, q->in,
	                 ip_len(q) + DATAGRAM_UDP + len))
		return STAT_LIMIT_ERROR;
	memcpy(out, v->body, v->octets);
	be16_store(out, stun_type(stun_method(q->msg.type), STUN_ERROR));
	memcpy(out + 8, q->msg.txid, STUN_TXID_LEN);
	if (v->nonce_at)
		nonce_make(keys, o->prefix, o->scope, &q->client, q->w->wall_s,
		           (char *)out + v->nonce_at);
	if (fingerprint_len(q)) {
		struct stun_builder b = { .buf = out, .cap = sizeof(out), .len = v->octets };

		stun_put_fingerprint(&b);
	}
	return reply(q, out, len, code_stat[code]);
}

enum { CODE_400, CODE_401, CODE_438 }; /* indexes of `codes` */

/* Steps 23 to 26. */
static enum stat_id turn(const struct question *q)
{
	const struct offer *o =
		atomic_load_explicit(&q->w->answer->offer[q->p->local], memory_order_acquire);
	struct nonce_keys *keys = atomic_load_explicit(&q->w->answer->keys, memory_order_acquire);
	struct stun_attr name, hash, realm, nonce;

	if (q->marks.integrity.value == NULL && q->marks.sha256.value == NULL)
		return refuse(q, CODE_401, o);
	if ((!stun_find(&q->msg, STUN_USERNAME, &name) &&
	     !stun_find(&q->msg, STUN_USERHASH, &hash)) ||
	    !stun_find(&q->msg, STUN_REALM, &realm) || !stun_find(&q->msg, STUN_NONCE, &nonce))
		return refuse(q, CODE_400, o);
	if (o == NULL || !o->realm || keys == NULL)
		return STAT_NO_CONTROL;
	const enum nonce_verdict verdict =
		nonce_check(keys, o->prefix, o->scope, &q->client, nonce.value, nonce.len,
	                    q->w->wall_s, o->lifetime_s);

	if (verdict == NONCE_FOREIGN)
		return refuse(q, CODE_438, o);
	if (verdict == NONCE_FRESH)
		limit_verified(q->w->limit, &q->client.addr, q->w->now_ns);
	if (!limit_punt(q->w->limit, &q->client.addr, q->w->now_ns))
		return STAT_LIMIT_PUNT;
	struct punt head = {
		.local_kind = LOCAL_LISTENER,
		.ecn_dscp = q->p->family == 4 ? q->ip[1] : (uint8_t)(be16_load(q->ip) >> 4),
		.local = q->p->local,
		.local_port = be16_load(q->udp + 2),
		.remote_port = q->client.port,
	};

	memcpy(head.remote_ip, q->client.addr.ip, 16);
	const enum stat_id outcome = punt_message(q->w, q->port, PUNT_REQUEST, &head, q->msg.octets,
	                                          (uint32_t)stun_len(&q->msg));

	if (outcome != STAT_PUNTED)
		return outcome;
	stat_add(q->w->stats, STAT_PUNTED, 1);
	rte_pktmbuf_free(q->m);
	return STAT_COUNT;
}

/* --- what came --- */

static void locate(struct question *q)
{
	uint8_t *frame = rte_pktmbuf_mtod(q->m, uint8_t *);

	q->udp = frame + q->p->udp_at;
	q->payload = q->udp + DATAGRAM_UDP;
	q->ip = q->udp - ip_len(q);
	q->client.port = be16_load(q->udp);
	if (q->p->family == 4) {
		q->client.addr = addr_from4(q->ip + 12);
		q->in = be16_load(q->ip + 2);
	} else {
		memcpy(q->client.addr.ip, q->ip + 8, 16);
		q->in = DATAGRAM_IP6 + (uint32_t)be16_load(q->ip + 4);
	}
}

/*
 * STAT_COUNT: m is gone and counted; else what m is dropped or counted as. classify() has looked at
 * FINGERPRINT already (STUN-069), and at whether RFC 3489 is served.
 */
static enum stat_id judge(struct question *q)
{
	struct stun_unknown unknown;

	q->classic = !stun_open(q->payload, q->p->payload, &q->msg);
	if (q->classic && !stun_open_classic(q->payload, q->p->payload, &q->msg))
		return STAT_STUN_MALFORMED;
	if (!stun_scan(&q->msg, &q->marks))
		return STAT_STUN_MALFORMED;
	const enum stun_class cls = stun_class(q->msg.type);

	if (cls == STUN_SUCCESS || cls == STUN_ERROR)
		return STAT_STUN_RESPONSE;
	if (!reply_sum_right(q->port, q->m, q->p))
		return STAT_UDP_CHECKSUM;
	switch (q->msg.type) {
	case STUN_BINDING: return binding(q);
	case STUN_BINDING | 0x0010: /* indication: STUN-037 */
		return stun_unknown(&q->msg, TURN_KNOWN, &unknown) ? STAT_STUN_UNKNOWN_ATTRIBUTE
		                                                   : STAT_BINDING_INDICATION;
	case TURN_ALLOCATE:
	case TURN_REFRESH:
	case TURN_CREATE_PERMISSION:
	case TURN_CHANNEL_BIND: return turn(q);
	default: return STAT_STUN_METHOD;
	}
}

void answer_request(struct worker *w, const struct port *port, struct rte_mbuf *m,
                    const struct parsed *p)
{
	struct question q = { .w = w, .port = port, .m = m, .p = p };

	locate(&q);
	const enum stat_id outcome = judge(&q);

	if (outcome != STAT_COUNT)
		worker_drop(w, m, outcome);
}

/* --- what control publishes --- */

struct answer *answer_new(struct dataplane *dp)
{
	(void)dp;
	return calloc(1, sizeof(struct answer));
}

static void free_keys(void *k)
{
	nonce_keys_free(k);
}

void answer_free(struct answer *a)
{
	if (a == NULL)
		return;
	for (unsigned l = 0; l < LOCAL_LISTENERS_MAX; l++) {
		struct offer *o = atomic_load_explicit(&a->offer[l], memory_order_relaxed);

		if (o != NULL && --o->users == 0)
			free(o);
	}
	nonce_keys_free(atomic_load_explicit(&a->keys, memory_order_relaxed));
	OPENSSL_cleanse(a->key, sizeof(a->key));
	free(a);
}

/* A changed copy of a listener's offer, or NULL. */
static struct offer *offer_copy(struct answer *const *all, uint16_t listener)
{
	const struct offer *now =
		atomic_load_explicit(&all[0]->offer[listener], memory_order_relaxed);
	struct offer *o = calloc(1, sizeof(*o));

	if (o != NULL && now != NULL)
		*o = *now;
	return o;
}

static void offer_publish(struct answer *const *all, unsigned n, struct retire *r,
                          uint16_t listener, struct offer *o)
{
	struct offer *was = atomic_load_explicit(&all[0]->offer[listener], memory_order_relaxed);

	o->users = n;
	for (unsigned i = 0; i < n; i++)
		atomic_store_explicit(&all[i]->offer[listener], o, memory_order_release);
	retire_later(r, was, free);
}

static bool prefix_right(const uint8_t *prefix)
{
	char want[NONCE_PREFIX_LEN];

	for (unsigned i = 0; i < 4; i++) {
		nonce_prefix(i & 1, i & 2, want);
		if (memcmp(prefix, want, NONCE_PREFIX_LEN) == 0)
			return true;
	}
	return false;
}

static bool apply_realm(struct answer *const *all, unsigned n, struct retire *r,
                        const struct cmd_realm *c)
{
	enum { LIFETIME_MAX_S = 86400 };

	if (c->listener >= LOCAL_LISTENERS_MAX || !prefix_right(c->prefix) ||
	    c->nonce_lifetime_s == 0 || c->nonce_lifetime_s > LIFETIME_MAX_S)
		return false;
	struct offer *o = offer_copy(all, c->listener);

	if (o == NULL)
		return false;
	o->realm = true;
	o->lifetime_s = c->nonce_lifetime_s;
	memcpy(o->scope, c->scope, NONCE_SCOPE_LEN);
	memcpy(o->prefix, c->prefix, NONCE_PREFIX_LEN);
	offer_publish(all, n, r, c->listener, o);
	return true;
}

/* One variant of a template, attribute by attribute. false: it does not hold together. */
static bool build(struct variant *v, const struct stun_msg *msg, unsigned terse)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr a;
	struct stun_builder b;

	v->nonce_at = 0;
	stun_begin(&b, v->body, sizeof(v->body), msg->type, msg->txid);
	while (stun_next(&it, &a)) {
		if (a.type == STUN_SOFTWARE && terse > 0)
			continue;
		if (a.type == STUN_NONCE)
			v->nonce_at = (uint16_t)(b.len + STUN_ATTR_HDR_LEN);
		stun_put(&b, a.type, a.value, a.type == STUN_ERROR_CODE && terse > 1 ? 4 : a.len);
	}
	v->octets = (uint16_t)stun_finish(&b);
	return v->octets != 0 && !it.bad;
}

static bool template_right(const struct cmd_template *c, const struct stun_msg *msg)
{
	struct stun_attr a;
	const uint8_t *reason;
	size_t reason_len;
	struct stun_marks marks;

	if (stun_class(msg->type) != STUN_ERROR || !stun_scan(msg, &marks) ||
	    marks.fingerprint.value != NULL || marks.integrity.value != NULL ||
	    marks.sha256.value != NULL)
		return false;
	if (!stun_find(msg, STUN_ERROR_CODE, &a) ||
	    stun_error_code(&a, &reason, &reason_len) != c->code)
		return false;
	if (!stun_find(msg, STUN_NONCE, &a))
		return c->nonce_at == 0 && c->code == STUN_BAD_REQUEST;
	return a.len == NONCE_LEN && a.value == msg->octets + c->nonce_at;
}

static bool apply_template(struct answer *const *all, unsigned n, struct retire *r,
                           const struct cmd_template *c, const uint8_t *octets)
{
	struct stun_msg msg;
	unsigned code = 0;

	while (code < CODES && codes[code] != c->code)
		code++;
	if (code == CODES || c->listener >= LOCAL_LISTENERS_MAX ||
	    c->octets > ANSWER_TEMPLATE_MAX || !stun_open(octets, c->octets, &msg) ||
	    !template_right(c, &msg))
		return false;
	struct offer *o = offer_copy(all, c->listener);
	bool right = o != NULL;

	for (unsigned i = 0; right && i < VARIANTS; i++)
		right = build(&o->template[code][i], &msg, i);
	if (!right) {
		free(o);
		return false;
	}
	offer_publish(all, n, r, c->listener, o);
	return true;
}

/* The two newest epochs, as nonce.h keeps them. */
static void remember(struct key key[2], const struct cmd_nonce_key *c)
{
	unsigned at = key[0].set && key[0].current ? 1 : 0;

	for (unsigned i = 0; i < 2; i++)
		if (!key[i].set)
			at = i;
	for (unsigned i = 0; i < 2; i++)
		if (key[i].set && key[i].epoch == c->epoch)
			at = i;
	if (c->current)
		key[0].current = key[1].current = false;
	key[at].set = true;
	key[at].epoch = c->epoch;
	key[at].current |= c->current != 0;
	memcpy(key[at].octets, c->key, NONCE_KEY_LEN);
}

static struct nonce_keys *make_keys(const struct key key[2])
{
	struct nonce_keys *k = nonce_keys_new();

	for (unsigned i = 0; k != NULL && i < 2; i++)
		if (key[i].set && !nonce_keys_set(k, key[i].epoch, key[i].octets, key[i].current)) {
			nonce_keys_free(k);
			return NULL;
		}
	return k;
}

static bool apply_key(struct answer *const *all, unsigned n, struct retire *r,
                      const struct cmd_nonce_key *c)
{
	if (c->current > 1)
		return false;
	for (unsigned i = 0; i < n; i++) {
		struct key key[2];

		memcpy(key, all[i]->key, sizeof(key));
		remember(key, c);
		struct nonce_keys *k = make_keys(key);

		if (k != NULL) {
			memcpy(all[i]->key, key, sizeof(key));
			retire_later(
				r, atomic_exchange_explicit(&all[i]->keys, k, memory_order_acq_rel),
				free_keys);
		}
		OPENSSL_cleanse(key, sizeof(key));
		if (k == NULL)
			return false;
	}
	return true;
}

bool answer_apply(struct answer *const *all, unsigned n, struct retire *r, uint16_t kind,
                  const void *body, uint32_t octets)
{
	const struct cmd_template *t = body;

	switch (kind) {
	case CMD_REALM: return octets == sizeof(struct cmd_realm) && apply_realm(all, n, r, body);
	case CMD_NONCE_KEY:
		return octets == sizeof(struct cmd_nonce_key) && apply_key(all, n, r, body);
	case CMD_TEMPLATE:
		return octets >= sizeof(*t) && octets - sizeof(*t) == t->octets &&
		       apply_template(all, n, r, t, (const uint8_t *)(t + 1));
	default: return false;
	}
}
