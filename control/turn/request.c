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

/* Step 1: silence, by name. */
static bool open_request(struct turn_server *srv, struct request *r, const uint8_t *octets,
                         size_t len, unsigned *method)
{
	if (!stun_open(octets, len, &r->msg) || !stun_scan(&r->msg, &r->marks)) {
		stat_count(srv, TURN_STAT_DROP_MALFORMED);
		return false;
	}
	r->method = stun_method(r->msg.type);
	*method = 0;
	while (*method < METHODS && methods[*method].method != r->method)
		++*method;
	if (*method == METHODS || stun_class(r->msg.type) != STUN_REQUEST) {
		stat_count(srv, TURN_STAT_DROP_METHOD);
		return false;
	}
	if (stun_fingerprint_check(&r->msg, &r->marks) == STUN_FINGERPRINT_WRONG) {
		stat_count(srv, TURN_STAT_DROP_FINGERPRINT);
		return false;
	}
	read_attributes(r);
	return true;
}

/* A request that came before, to an allocation that is gone or not the same any more. */
static bool remembered(struct turn_server *srv, const struct request *r)
{
	return (r->method == TURN_REFRESH || r->method == TURN_ALLOCATE) &&
	       memo_find(srv, &r->client, r->listener, r->method, r->msg.txid);
}

static int decide(struct turn_server *srv, struct request *r, unsigned method,
                  struct stun_builder *b)
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
	return methods[method].decide(srv, r, b);
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
static void answer(struct turn_server *srv, struct request *r, unsigned method)
{
	uint8_t buf[RESPONSE_MAX];
	struct stun_builder b;
	uint32_t held = NONE;
	int err = auth_check(srv, r);

	if (err == TURN_SILENT)
		return;
	if (r->who != NULL && r->who != &r->tried) { /* a Refresh may end what holds it */
		held = (uint32_t)(r->who - srv->creds);
		user_ref(srv, held);
	}
	stun_begin(&b, buf, sizeof(buf), stun_type(r->method, STUN_SUCCESS), r->msg.txid);
	if (err == TURN_OK)
		err = decide(srv, r, method, &b);
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

void turn_on_request(struct turn_server *srv, const struct punt *p, const uint8_t *octets,
                     size_t len, uint64_t now_ms, uint32_t wall_s)
{
	struct request r = { 0 };
	unsigned method;

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
	if (p->local_kind != LOCAL_LISTENER || srv->listener_of_id[p->local] == 0xFF) {
		stat_count(srv, TURN_STAT_DROP_LISTENER);
		return;
	}
	if (len > PUNT_OCTETS_MAX) {
		stat_count(srv, TURN_STAT_DROP_MALFORMED);
		return;
	}
	r.listener = srv->listener_of_id[p->local];
	memcpy(r.client.addr.ip, p->remote_ip, 16);
	r.client.port = p->remote_port;
	r.cookie = p->cookie;
	if (!open_request(srv, &r, octets, len, &method))
		return;
	stat_count(srv, methods[method].stat);
	r.alloc = alloc_find(srv, &r.client, r.listener);
	answer(srv, &r, method);
	if ((r.tried.flags & CRED_USED) != 0)
		crypto_wipe(&r.tried, sizeof(r.tried));
}
