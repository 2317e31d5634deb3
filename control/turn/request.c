/*
 * One request in, one response out. allocate.c, perm.c and chan.c decide; this file answers.
 *
 * The order of refusals is the table of TURN's state model: not STUN, no answer; credentials
 * (auth.c); the creating request again; unknown attributes; no allocation or one too many; another
 * user's; then the method's own checks.
 */
#include <string.h>

#include "control/turn/action.h"
#include "control/turn/alloc.h"
#include "control/turn/allocate.h"
#include "control/turn/auth.h"
#include "control/turn/chan.h"
#include "control/turn/perm.h"
#include "control/turn/request.h"
#include "control/turn/reserve.h"
#include "control/turn/user.h"
#include "wire/crc.h"

enum { RESPONSE_MAX = 1232 /* STUN-011: largest that fits an IPv6 packet of 1280 */ };

static const struct {
	uint16_t method;
	enum turn_stat stat;
	int (*decide)(struct turn_server *, struct request *, struct stun_builder *);
} methods[] = {
	{ TURN_ALLOCATE, TURN_STAT_REQUEST_ALLOCATE, allocate_on_request },
	{ TURN_REFRESH, TURN_STAT_REQUEST_REFRESH, allocate_on_refresh },
	{ TURN_CREATE_PERMISSION, TURN_STAT_REQUEST_PERMISSION, perm_on_create },
	{ TURN_CHANNEL_BIND, TURN_STAT_REQUEST_CHANNEL, chan_on_bind },
};
enum { METHODS = sizeof(methods) / sizeof(methods[0]) };

static struct stun_attr *place_of(struct request *r, uint16_t type)
{
	switch (type) {
	case STUN_USERNAME: return &r->username;
	case STUN_USERHASH: return &r->userhash;
	case STUN_REALM: return &r->realm;
	case STUN_NONCE: return &r->nonce;
	case STUN_PASSWORD_ALGORITHM: return &r->algorithm;
	case STUN_PASSWORD_ALGORITHMS: return &r->algorithms;
	case TURN_LIFETIME: return &r->lifetime;
	case TURN_REQUESTED_TRANSPORT: return &r->transport;
	case TURN_REQUESTED_ADDRESS_FAMILY: return &r->family;
	case TURN_ADDITIONAL_ADDRESS_FAMILY: return &r->additional;
	case TURN_EVEN_PORT: return &r->even_port;
	case TURN_RESERVATION_TOKEN: return &r->token;
	case TURN_DONT_FRAGMENT: return &r->dont_fragment;
	case TURN_MOBILITY_TICKET: return &r->ticket;
	case TURN_CHANNEL_NUMBER: return &r->channel;
	case TURN_XOR_PEER_ADDRESS: return &r->peer;
	default: return NULL;
	}
}

static void read_attributes(struct request *r)
{
	struct stun_iter it = stun_attrs(&r->msg);
	struct stun_attr attr;

	while (stun_next_counted(&it, &attr)) {
		struct stun_attr *place = place_of(r, attr.type);

		if (place != NULL && !attr_there(place)) /* the first counts (TURN-007) */
			*place = attr;
		if (stun_required(attr.type) &&
		    (attr.type >= 64 || (TURN_KNOWN >> attr.type & 1) == 0))
			r->unknown = true;
	}
}

/* Step 1: silence, by name; TURN_STAT_COUNT: it is a request. */
static enum turn_stat open_request(struct request *r)
{
	if (!stun_open(r->octets, r->len, &r->msg) || !stun_scan(&r->msg, &r->marks))
		return TURN_STAT_DROP_MALFORMED;
	r->method = stun_method(r->msg.type);
	while (r->decision < METHODS && methods[r->decision].method != r->method)
		r->decision++;
	if (r->decision == METHODS || stun_class(r->msg.type) != STUN_REQUEST)
		return TURN_STAT_DROP_METHOD;
	if (stun_fingerprint_check(&r->msg, &r->marks) == STUN_FINGERPRINT_WRONG)
		return TURN_STAT_DROP_FINGERPRINT;
	read_attributes(r);
	return TURN_STAT_COUNT;
}

/* All that can be known from the octets and where they came from. */
static void read_request(const struct turn_server *srv, struct request *r, const struct punt *p,
                         const uint8_t *octets, size_t len)
{
	memset(r, 0, sizeof(*r));
	r->octets = octets;
	r->len = len;
	memcpy(r->client.addr.ip, p->remote_ip, 16);
	r->client.port = p->remote_port;
	r->cookie = p->cookie;
	r->drop = TURN_STAT_DROP_LISTENER;
	if (p->local_kind != LOCAL_LISTENER || srv->listener_of_id[p->local] == 0xFF)
		return;
	r->listener = srv->listener_of_id[p->local];
	r->drop = len > PUNT_OCTETS_MAX ? TURN_STAT_DROP_MALFORMED : open_request(r);
	if (r->drop == TURN_STAT_COUNT)
		r->hash_tuple = alloc_hash(srv, &r->client, r->listener);
}

/* A request that came before, to an allocation that is gone or not the same any more. */
static bool remembered(struct turn_server *srv, const struct request *r)
{
	return (r->method == TURN_REFRESH || r->method == TURN_ALLOCATE) &&
	       memo_find(srv, &r->client, r->listener, r->method, r->msg.txid);
}

static int decide(struct turn_server *srv, struct request *r, struct stun_builder *b)
{
	const bool allocate = r->method == TURN_ALLOCATE;

	if (allocate && r->alloc != NULL && &srv->creds[r->alloc->cred] == r->who &&
	    memcmp(r->alloc->txid, r->msg.txid, STUN_TXID_LEN) == 0) {
		stat_count(srv, TURN_STAT_REPLAYED);
		allocate_replay(srv, r->alloc, b);
		return TURN_OK;
	}
	if (remembered(srv, r)) { /* TURN-067; the Allocate of an ended one starts nothing anew */
		stat_count(srv, TURN_STAT_REPLAYED);
		if (allocate)
			return STUN_ALLOCATION_MISMATCH;
		stun_put_u32(b, TURN_LIFETIME, 0);
		return TURN_OK;
	}
	if (r->unknown)
		return STUN_UNKNOWN_ATTRIBUTE;
	if (allocate == (r->alloc != NULL))
		return STUN_ALLOCATION_MISMATCH;
	if (!allocate && &srv->creds[r->alloc->cred] != r->who)
		return STUN_WRONG_CREDENTIALS;
	return methods[r->decision].decide(srv, r, b);
}

static enum turn_stat answer_stat(int err)
{
	switch (err) {
	case STUN_TRY_ALTERNATE: return TURN_STAT_ANSWER_300;
	case STUN_BAD_REQUEST: return TURN_STAT_ANSWER_400;
	case STUN_UNAUTHENTICATED: return TURN_STAT_ANSWER_401;
	case STUN_FORBIDDEN: return TURN_STAT_ANSWER_403;
	case STUN_MOBILITY_FORBIDDEN: return TURN_STAT_ANSWER_405;
	case STUN_UNKNOWN_ATTRIBUTE: return TURN_STAT_ANSWER_420;
	case STUN_ALLOCATION_MISMATCH: return TURN_STAT_ANSWER_437;
	case STUN_STALE_NONCE: return TURN_STAT_ANSWER_438;
	case STUN_FAMILY_NOT_SUPPORTED: return TURN_STAT_ANSWER_440;
	case STUN_WRONG_CREDENTIALS: return TURN_STAT_ANSWER_441;
	case STUN_UNSUPPORTED_TRANSPORT: return TURN_STAT_ANSWER_442;
	case STUN_PEER_FAMILY_MISMATCH: return TURN_STAT_ANSWER_443;
	case STUN_QUOTA_REACHED: return TURN_STAT_ANSWER_486;
	case STUN_INSUFFICIENT_CAPACITY: return TURN_STAT_ANSWER_508;
	default: return TURN_STAT_ANSWER_500;
	}
}

/* Strangers get no reason phrase: what they draw has to stay small (TURN-207). */
static void put_error(struct turn_server *srv, struct request *r, int err, struct stun_builder *b)
{
	stun_begin(b, b->buf, b->cap, stun_type(r->method, STUN_ERROR), r->msg.txid);
	stun_put_error(b, (unsigned)err, r->who != NULL ? stun_reason((unsigned)err) : NULL);
	if (err == STUN_UNKNOWN_ATTRIBUTE) {
		struct stun_unknown unknown;

		stun_unknown(&r->msg, TURN_KNOWN, &unknown);
		stun_put_unknown(b, &unknown);
	}
	if (err == STUN_UNAUTHENTICATED || err == STUN_STALE_NONCE)
		auth_put_challenge(srv, r->listener, r->realm_slot, &r->client, b);
}

static void transmit(struct turn_server *srv, const struct request *r, const uint8_t *octets,
                     size_t len)
{
	struct cmd_transmit *t = action_command(srv, CMD_TRANSMIT, (uint32_t)(sizeof(*t) + len));

	memset(t, 0, sizeof(*t));
	t->source_kind = LOCAL_LISTENER;
	t->source = srv->listeners[r->listener].id;
	t->dest_port = r->client.port;
	memcpy(t->dest_ip, r->client.addr.ip, 16);
	t->cookie = r->cookie;
	t->octets = (uint32_t)len;
	memcpy(t + 1, octets, len);
}

/* The single reply site. */
static void answer(struct turn_server *srv, struct request *r)
{
	uint8_t buf[RESPONSE_MAX];
	struct stun_builder b;
	uint32_t held = NONE;
	int err = auth_check(srv, r);

	if (err == TURN_SILENT)
		return;
	if (r->who != NULL && r->who != &srv->tried) { /* a Refresh may end what holds it */
		held = (uint32_t)(r->who - srv->creds);
		user_ref(srv, held);
	}
	stun_begin(&b, buf, sizeof(buf), stun_type(r->method, STUN_SUCCESS), r->msg.txid);
	if (err == TURN_OK)
		err = decide(srv, r, &b);
	stat_count(srv, err == TURN_OK ? TURN_STAT_SUCCESS : answer_stat(err));
	if (err != TURN_OK)
		put_error(srv, r, err, &b);
	if (r->who != NULL && (r->method == TURN_ALLOCATE || r->method == TURN_REFRESH) &&
	    srv->cfg->software != NULL && srv->cfg->software[0] != '\0') /* TURN-015 */
		stun_put(&b, STUN_SOFTWARE, srv->cfg->software,
		         (uint16_t)strlen(srv->cfg->software));
	auth_seal(r, &b);
	if (r->marks.fingerprint.value != NULL)
		stun_put_fingerprint(&b);
	if (held != NONE)
		user_unref(srv, held);

	const size_t len = stun_finish(&b);
	if (len == 0) {
		stat_count(srv, TURN_STAT_DROP_TOO_BIG);
		return;
	}
	transmit(srv, r, buf, len);
}

/* --- ahead of time --- */

static void prefetch_lines(const void *at, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		__builtin_prefetch((const uint8_t *)at + 64 * i, 1);
}

/* The places in the tables, whose lines have to come before anything can be found by them. */
static void prefetch_tables(struct turn_server *srv, struct request *r)
{
	index_prefetch(&srv->by_tuple, r->hash_tuple);
	if (!attr_there(&r->username) || r->username.len > NAME_SHORT)
		return; /* a digest is not for those whose nonce is not ours */
	name_make(&r->name, r->username.value, r->username.len);
	r->named = true;
	r->hashed_realm = srv->realm;
	r->hash_name = user_hash(srv, &r->name, srv->realm);
	index_prefetch(&srv->by_name, r->hash_name);
}

/* What an Allocate takes from the pools and fills: the i-th of those expected. */
static void prefetch_room(const struct turn_server *srv, unsigned i)
{
	const uint32_t n = pool_peek(&srv->pool_alloc, i);

	if (n == NONE)
		return;
	prefetch_lines(&srv->allocs[n], 0, (sizeof(struct alloc) + 63) / 64);
	timer_prefetch(srv->timers, n);
	store_prefetch(srv->store, 2 * i); /* the user's and its own */
	store_prefetch(srv->store, 2 * i + 1);
}

static void prefetch_found(const struct turn_server *srv, const struct request *r)
{
	const uint32_t a = index_first(&srv->by_tuple, r->hash_tuple);
	const uint32_t c = r->named ? index_first(&srv->by_name, r->hash_name) : NONE;

	if (a != NONE)
		prefetch_lines(&srv->allocs[a], 0, 3);
	if (c != NONE)
		prefetch_lines(&srv->creds[c], 0, r->method == TURN_ALLOCATE ? 4 : 2);
}

static void prefetch_owner(const struct turn_server *srv, const struct request *r)
{
	uint32_t c = r->named ? index_first(&srv->by_name, r->hash_name) : NONE;

	while (c != NONE && !name_equal(&srv->creds[c].name, &r->name))
		c = index_after(&srv->by_name, c);
	if (c != NONE)
		prefetch_lines(&srv->owners[srv->creds[c].owner], 0, 1);
}

void turn_expect(struct turn_server *srv, const struct turn_request *list, unsigned n)
{
	struct request *const r = srv->expected;
	unsigned n_allocates = 0;

	if (n > TURN_BURST)
		n = TURN_BURST;
	srv->n_expected = n;
	srv->next_expected = 0;
	for (unsigned i = 0; i < n; i++) {
		read_request(srv, &r[i], list[i].punt, list[i].octets, list[i].len);
		if (r[i].drop == TURN_STAT_COUNT)
			prefetch_tables(srv, &r[i]);
	}
	if (n < 2)
		return;
	for (unsigned i = 0; i < n; i++)
		if (r[i].drop == TURN_STAT_COUNT) {
			prefetch_found(srv, &r[i]);
			if (r[i].method == TURN_ALLOCATE)
				prefetch_room(srv, n_allocates++);
		}
	for (unsigned i = 0; i < n; i++)
		if (r[i].drop == TURN_STAT_COUNT)
			prefetch_owner(srv, &r[i]);
}

/* The request as it was read before, or NULL if it is not the one that was expected next. */
static struct request *take_expected(struct turn_server *srv, const struct punt *p,
                                     const uint8_t *octets, size_t len)
{
	struct request *r;

	if (srv->next_expected == srv->n_expected)
		return NULL;
	r = &srv->expected[srv->next_expected++];
	if (r->octets == octets && r->len == len && r->cookie == p->cookie &&
	    r->client.port == p->remote_port && memcmp(r->client.addr.ip, p->remote_ip, 16) == 0 &&
	    (r->drop == TURN_STAT_DROP_LISTENER || r->listener == srv->listener_of_id[p->local]))
		return r;
	srv->n_expected = srv->next_expected = 0;
	return NULL;
}

void turn_on_request(struct turn_server *srv, const struct punt *p, const uint8_t *octets,
                     size_t len, uint64_t now_ms, uint32_t wall_s)
{
	struct request *r = take_expected(srv, p, octets, len), one;

	server_set_now(srv, now_ms);
	srv->wall_s = wall_s;
	if (p->received_ns != 0 && now_ms > (p->received_ns + PUNT_STALE_NS) / 1000000) {
		stat_count(srv, TURN_STAT_DROP_STALE);
		return;
	}
	if (!action_room(srv)) {
		stat_count(srv, TURN_STAT_DROP_BACKLOG);
		return;
	}
	if (r == NULL) {
		r = &one;
		read_request(srv, r, p, octets, len);
	}
	if (r->drop != TURN_STAT_COUNT) {
		stat_count(srv, r->drop);
		return;
	}
	stat_count(srv, methods[r->decision].stat);
	r->alloc = alloc_find_hashed(srv, r->hash_tuple, &r->client, r->listener);
	answer(srv, r);
	if ((srv->tried.flags & CRED_USED) != 0)
		crypto_wipe(&srv->tried, sizeof(srv->tried));
}
