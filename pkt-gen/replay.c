/* Sends a plan: in its own time, each client in its own order, and counts what comes back. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <rte_cycles.h>

#include "log.h"
#include "pkt-gen/replay_parts.h"
#include "wire/attr.h"

enum { ATTEMPTS_MAX = 3, LOOK = 1024 /* clients whose answers are overdue, of a turn */ };

static const uint64_t wait_ns = UINT64_C(1000000000); /* for an answer */
static const uint64_t end_ns = UINT64_C(500000000);   /* for what comes behind the last */

static struct replay *open_stream(FILE *in, const char *path, double speed,
                                  const struct storm_field *field)
{
	const struct options *o = field->options;
	struct replay *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		fclose(in);
		return NULL;
	}
	r->field = *field;
	r->server = o->server[o->client_family == 6];
	r->speed = speed > 0 ? speed : 1;
	/* Not from the seed: a server remembers transactions of the run before (RFC 8489 §6.3.1).
	 */
	if (getrandom(&r->tag, sizeof(r->tag), 0) != sizeof(r->tag))
		r->tag = (uint32_t)rte_get_tsc_cycles();
	r->user = field->user != NULL ? field->user : o->user;
	r->password = field->user != NULL ? field->password : o->password;
	if (!replay_load(r, in, path) || !apart_open(&r->apart, o)) {
		replay_free(r);
		return NULL;
	}
	if ((uint64_t)r->clients.n > apart_count(&r->apart)) {
		log_error("replay", "clients", "file=%s clients=%d endpoints=%llu", path,
		          r->clients.n, (unsigned long long)apart_count(&r->apart));
		replay_free(r);
		return NULL;
	}
	r->client = calloc((size_t)r->clients.n + 1, sizeof(*r->client));
	if (r->client == NULL) {
		replay_free(r);
		return NULL;
	}
	for (int32_t i = 0; i < r->clients.n; i++) {
		r->client[i].pending = REPLAY_NONE;
		r->client[i].first = r->client[i].last = REPLAY_NONE;
	}
	return r;
}

struct replay *replay_open_stream(FILE *in, const char *path, double speed,
                                  const struct storm_field *field)
{
	struct replay *r = open_stream(in, path, speed, field);

	if (r == NULL)
		return NULL;
	memcpy(r->peer_macs, field->macs, sizeof(r->peer_macs));
	r->peer_lane = field->lane;
	return r;
}

struct replay *replay_open(const char *path, double speed, const struct storm_field *field)
{
	FILE *in = fopen(path, "rb");
	struct replay *r;

	if (in == NULL) {
		log_error("replay", "file", "file=%s error=\"%s\"", path, strerror(errno));
		return NULL;
	}
	r = replay_open_stream(in, path, speed, field);
	if (r == NULL)
		return NULL;
	/* The peers may live behind a port of their own. */
	if (field->options->n_ports > 1 &&
	    !link_next_hop(field->link, &r->apart.peer, &r->server.addr, 3000, r->peer_macs,
	                   &r->peer_lane))
		log_warning("replay", "peers",
		            "error=\"no way to the server from the peers' port; their packets go "
		            "by the clients'\"");
	log_info("replay", "plan",
	         "file=%s datagrams=%d clients=%d peers=%d requests=%d relayed=%d seconds=%.1f "
	         "fragments=%llu cut=%llu malformed=%llu other=%llu foreign=%llu too_long=%llu",
	         path, r->items, r->clients.n, r->peers.n, r->txids.n, r->relays.n,
	         (double)r->item[r->items - 1].at_ns / 1e9,
	         (unsigned long long)r->seen[CAPTURE_FRAGMENT],
	         (unsigned long long)r->seen[CAPTURE_CUT],
	         (unsigned long long)r->seen[CAPTURE_MALFORMED],
	         (unsigned long long)r->seen[CAPTURE_OTHER], (unsigned long long)r->foreign,
	         (unsigned long long)r->too_long);
	return r;
}

void replay_free(struct replay *r)
{
	if (r == NULL)
		return;
	rte_pktmbuf_free_bulk(r->out, r->out_n);
	if (r->client != NULL)
		crypto_wipe(r->client, (size_t)r->clients.n * sizeof(*r->client));
	index_free(&r->txids);
	index_free(&r->clients);
	index_free(&r->peers);
	index_free(&r->peer_ips);
	index_free(&r->relays);
	index_free(&r->relay_ips);
	free(r->octets);
	free(r->item);
	free(r->transaction);
	free(r->client);
	free(r->relayed);
	free(r);
}

/* --- sending --- */

static void flush(struct replay *r)
{
	if (r->out_n != 0)
		engine_send(r->field.engine, r->out_lane, r->out, r->out_n);
	r->out_n = 0;
}

static bool put(struct replay *r, const struct endpoint *from, const struct endpoint *to,
                const void *octets, size_t len, bool peer)
{
	struct storm_field field = r->field;
	struct rte_mbuf *m;

	/* No datagram goes between families. */
	if (addr_family(&from->addr) != addr_family(&to->addr)) {
		r->unmapped++;
		return false;
	}
	if (peer) {
		memcpy(field.macs, r->peer_macs, sizeof(field.macs));
		field.lane = r->peer_lane;
	}
	m = storm_frame(&field, from, to, octets, len);
	if (m == NULL) {
		r->no_room++;
		return false;
	}
	if (r->out_n == ENGINE_BURST || (r->out_n != 0 && r->out_lane != field.lane))
		flush(r);
	r->out_lane = field.lane;
	r->out[r->out_n++] = m;
	r->sent++;
	r->last_ns = r->now_ns;
	return true;
}

/* Number and attempt, so that an answer to an earlier one is told apart. */
static void put_txid(uint8_t txid[STUN_TXID_LEN], uint32_t tag, uint32_t number, uint32_t attempt)
{
	memcpy(txid, &tag, 4);
	memcpy(txid + 4, &number, 4);
	memcpy(txid + 8, &attempt, 4);
}

static void put_request(struct replay *r, const struct replay_item *item)
{
	struct replay_transaction *t = &r->transaction[item->what];
	struct replay_client *c = &r->client[item->client];
	const struct endpoint from = apart_at(&r->apart, (uint64_t)item->client);
	uint8_t out[PACKET_MAX], txid[STUN_TXID_LEN];
	size_t len;

	if (t->state == REPLAY_ANSWERED) {
		r->repeats++; /* the capture's network lost an answer that ours did not */
		return;
	}
	put_txid(txid, r->tag, (uint32_t)item->what, t->attempt);
	len = replay_message(r, item, txid, out, sizeof(out));
	if (len == 0) {
		r->unmapped++;
		return;
	}
	if (!put(r, &from, &r->server, out, len, false))
		return;
	r->method[t->method % REPLAY_METHODS].asked += t->state == REPLAY_UNSENT;
	r->method[t->method % REPLAY_METHODS].unanswered -= t->state == REPLAY_UNANSWERED;
	memcpy(t->txid, out + 8, STUN_TXID_LEN);
	if (c->pending == REPLAY_NONE)
		r->pending++;
	t->state = REPLAY_PENDING;
	c->pending = item->what;
	c->until_ns = r->now_ns + wait_ns;
}

static struct endpoint peer_at(const struct replay *r, int32_t peer)
{
	struct endpoint e;

	memcpy(e.addr.ip, r->peers.key[peer], 16);
	memcpy(&e.port, r->peers.key[peer] + 16, 2);
	return replay_peer(r, &e);
}

static void put_item(struct replay *r, const struct replay_item *item)
{
	const struct endpoint at = apart_at(&r->apart, (uint64_t)item->client);
	uint8_t out[PACKET_MAX], txid[STUN_TXID_LEN];
	struct endpoint from;
	size_t len;

	switch ((enum replay_kind)item->kind) {
	case REPLAY_REQUEST: put_request(r, item); break;
	case REPLAY_INDICATION:
		/* Numbers behind those of requests. */
		put_txid(txid, r->tag, (uint32_t)r->txids.n, (uint32_t)r->sent);
		len = replay_message(r, item, txid, out, sizeof(out));
		if (len == 0)
			r->unmapped++;
		else
			put(r, &at, &r->server, out, len, false);
		break;
	case REPLAY_DATA:
		put(r, &at, &r->server, r->octets + item->octets, item->len, false);
		break;
	case REPLAY_PEER:
		from = peer_at(r, item->peer);
		if (r->relayed[item->what].live.port == 0 || from.port == 0)
			r->unmapped++;
		else
			r->from_peers += put(r, &from, &r->relayed[item->what].live,
			                     r->octets + item->octets, item->len, true);
		break;
	}
}

/* Nothing of a client overtakes a request of its own that waits for an answer. */
static void release(struct replay *r, int32_t i)
{
	struct replay_item *item = &r->item[i];
	struct replay_client *c = &r->client[item->client];
	const bool again = item->kind == REPLAY_REQUEST && item->what == c->pending;

	if (c->pending == REPLAY_NONE || again) {
		put_item(r, item);
		return;
	}
	if (c->first == REPLAY_NONE)
		c->first = i;
	else
		r->item[c->last].next = i;
	c->last = i;
	r->waiting++;
}

static void settle(struct replay *r, int32_t client)
{
	struct replay_client *c = &r->client[client];

	c->pending = REPLAY_NONE;
	r->pending--;
	while (c->first != REPLAY_NONE && c->pending == REPLAY_NONE) {
		struct replay_item *item = &r->item[c->first];

		c->first = item->next;
		item->next = REPLAY_NONE;
		r->waiting--;
		put_item(r, item);
	}
}

static void give_up_overdue(struct replay *r)
{
	for (int32_t i = 0; i < LOOK && i < r->clients.n && r->pending != 0; i++) {
		const struct replay_client *c = &r->client[r->look];
		struct replay_transaction *t;

		if (c->pending != REPLAY_NONE && r->now_ns >= c->until_ns) {
			t = &r->transaction[c->pending];
			t->state = REPLAY_UNANSWERED;
			r->method[t->method % REPLAY_METHODS].unanswered++;
			settle(r, r->look);
		}
		r->look = (r->look + 1) % r->clients.n;
	}
}

unsigned replay_turn(struct replay *r, uint64_t now_ns)
{
	const uint64_t before = r->sent;

	if (!r->begun) {
		r->begun = true;
		r->begin_ns = r->last_ns = now_ns;
	}
	r->now_ns = now_ns;
	give_up_overdue(r);
	while (r->next < r->items && r->sent - before < STORM_TURN &&
	       (double)(now_ns - r->begin_ns) * r->speed >= (double)r->item[r->next].at_ns)
		release(r, r->next++);
	flush(r);
	return (unsigned)(r->sent - before);
}

/* --- hearing --- */

static struct replay_transaction *find_transaction(struct replay *r, int32_t client,
                                                   const struct stun_msg *msg)
{
	const uint16_t method = (uint16_t)stun_method(msg->type);
	struct replay_transaction *t;
	uint8_t key[REPLAY_KEY];
	uint32_t number;
	int32_t i;

	if (memcmp(msg->txid, &r->tag, 4) == 0) {
		memcpy(&number, msg->txid + 4, 4);
		i = number < (uint32_t)r->txids.n ? (int32_t)number : REPLAY_NONE;
	} else {
		index_txid(key, client, method, msg->txid);
		i = index_find(&r->txids, key);
	}
	if (i == REPLAY_NONE)
		return NULL;
	t = &r->transaction[i];
	return t->client == client && t->method == method && t->state == REPLAY_PENDING &&
	                       memcmp(t->txid, msg->txid, STUN_TXID_LEN) == 0
	               ? t
	               : NULL;
}

/* Addresses of an Allocate's answer, in the order of their families, are those of the capture. */
static void learn_relayed(struct replay *r, const struct replay_transaction *t,
                          const struct stun_msg *msg)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr attr;
	struct endpoint e;

	while (stun_next(&it, &attr)) {
		if (attr.type != TURN_XOR_RELAYED_ADDRESS || stun_xor_addr(msg, &attr, &e) == 0)
			continue;
		for (int32_t i = 0; i < r->relays.n; i++)
			if (r->relayed[i].live.port == 0 &&
			    &r->transaction[r->relayed[i].transaction] == t) {
				r->relayed[i].live = e;
				break;
			}
	}
}

static void hear_answer(struct replay *r, struct replay_transaction *t, const struct stun_msg *msg)
{
	const uint8_t *reason;
	struct stun_attr attr;
	unsigned code = 0;
	size_t n;

	if (stun_class(msg->type) == STUN_ERROR)
		code = stun_find(msg, STUN_ERROR_CODE, &attr) ? stun_error_code(&attr, &reason, &n)
		                                              : STUN_BAD_REQUEST;
	else if (t->method == TURN_ALLOCATE) {
		learn_relayed(r, t, msg);
	}
	const bool learned = (code == STUN_UNAUTHENTICATED || code == STUN_STALE_NONCE) &&
	                     replay_learn(r, t->client, msg);
	if (learned && t->authenticated && r->user != NULL && t->attempt + 1 < ATTEMPTS_MAX) {
		t->attempt++;
		put_request(r, &r->item[t->item]);
		return;
	}
	t->state = REPLAY_ANSWERED;
	t->got = (int16_t)code;
	r->method[t->method % REPLAY_METHODS].answered++;
	r->method[t->method % REPLAY_METHODS].code[code]++;
	r->method[t->method % REPLAY_METHODS].differs += t->code >= 0 && t->code != t->got;
	settle(r, t->client);
}

static void hear_client(struct replay *r, int32_t client, const uint8_t *octets, size_t len)
{
	struct replay_transaction *t;
	struct stun_msg msg;

	if (!stun_open(octets, len, &msg)) {
		r->to_clients++;
		return;
	}
	switch (stun_class(msg.type)) {
	case STUN_SUCCESS:
	case STUN_ERROR:
		t = find_transaction(r, client, &msg);
		if (t != NULL)
			hear_answer(r, t, &msg);
		else
			r->stray++;
		break;
	default: r->to_clients++; break;
	}
}

bool replay_input(struct replay *r, uint64_t now_ns, const struct endpoint *at,
                  const struct endpoint *from, const void *octets, size_t len)
{
	const uint64_t i = apart_index(&r->apart, at);

	r->now_ns = now_ns;
	if (i < (uint64_t)r->clients.n && endpoint_equal(from, &r->server)) {
		hear_client(r, (int32_t)i, octets, len);
		flush(r);
		return true;
	}
	if (apart_is_peer(&r->apart, at)) {
		r->to_peers++;
		return true;
	}
	r->stray += i != apart_count(&r->apart);
	return i != apart_count(&r->apart);
}

bool replay_done(const struct replay *r)
{
	return r->next == r->items && r->waiting == 0 && r->pending == 0 &&
	       r->now_ns - r->last_ns >= end_ns;
}

/* --- telling --- */

static const char *method_name(unsigned method)
{
	switch (method) {
	case STUN_BINDING: return "Binding";
	case TURN_ALLOCATE: return "Allocate";
	case TURN_REFRESH: return "Refresh";
	case TURN_CREATE_PERMISSION: return "CreatePermission";
	case TURN_CHANNEL_BIND: return "ChannelBind";
	case TURN_CONNECT: return "Connect";
	case TURN_CONNECTION_BIND: return "ConnectionBind";
	default: return "others";
	}
}

void replay_report(const struct replay *r, struct report_storm *out)
{
	const uint64_t skipped = r->seen[CAPTURE_FRAGMENT] + r->seen[CAPTURE_CUT] +
	                         r->seen[CAPTURE_MALFORMED] + r->too_long;
	size_t n = 0;

	snprintf(out->name, sizeof(out->name), "replay");
	out->seconds = (double)(r->last_ns - r->begin_ns) / 1e9;
	out->sent = r->sent;
	out->answered = out->failed = 0;
	memset(out->code, 0, sizeof(out->code));
	for (unsigned m = 0; m < REPLAY_METHODS; m++) {
		char codes[160] = "";
		size_t k = 0;

		if (r->method[m].asked == 0)
			continue;
		out->answered += r->method[m].answered;
		out->failed += r->method[m].unanswered + r->method[m].differs;
		for (unsigned c = 0; c < 700; c++) {
			if (r->method[m].code[c] == 0)
				continue;
			out->code[c] += c != 0 ? r->method[m].code[c] : 0;
			if (k + 1 < sizeof(codes))
				k += (size_t)snprintf(codes + k, sizeof(codes) - k, " code_%u=%llu",
				                      c, (unsigned long long)r->method[m].code[c]);
		}
		log_info("replay", "method",
		         "method=%s sent=%llu answered=%llu unanswered=%llu differs=%llu%s",
		         method_name(m), (unsigned long long)r->method[m].asked,
		         (unsigned long long)r->method[m].answered,
		         (unsigned long long)r->method[m].unanswered,
		         (unsigned long long)r->method[m].differs, codes);
		if (n + 1 < sizeof(out->said))
			n += (size_t)snprintf(out->said + n, sizeof(out->said) - n,
			                      "%s %llu/%llu, ", method_name(m),
			                      (unsigned long long)r->method[m].answered,
			                      (unsigned long long)r->method[m].asked);
	}
	if (n < sizeof(out->said))
		snprintf(out->said + n, sizeof(out->said) - n,
		         "%llu datagrams from peers, %llu relayed to peers, %llu to clients; %llu "
		         "had "
		         "nowhere to go, %llu of the capture left out",
		         (unsigned long long)r->from_peers, (unsigned long long)r->to_peers,
		         (unsigned long long)r->to_clients,
		         (unsigned long long)(r->unmapped + r->no_room),
		         (unsigned long long)skipped);
}
