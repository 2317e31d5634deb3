/* A TURN client of one base and one server. */
#include "control/ice/allocation_parts.h"

size_t allocation_size(void)
{
	return sizeof(struct allocation);
}

void allocation_init(struct allocation *al, const struct allocation_config *c)
{
	*al = (struct allocation){ .c = *c, .state = ALLOCATION_IDLE };
	c->random(c->random_arg, &al->next_channel, sizeof(al->next_channel));
	al->next_channel = CHANNEL_MIN + (al->next_channel & 0xFFF);
}

void allocation_wipe(struct allocation *al)
{
	longterm_wipe(&al->credentials);
}

struct allocation_facts allocation_facts(const struct allocation *al)
{
	struct allocation_facts f = al->facts;

	f.state = al->state;
	return f;
}

void allocation_want(struct allocation *al, uint16_t method, uint64_t at_ms)
{
	al->want = method;
	al->want_ms = at_ms;
}

void allocation_start(struct allocation *al, uint64_t now_ms)
{
	if (al->state != ALLOCATION_IDLE)
		return;
	al->state = ALLOCATION_ASKING;
	al->binding_only = !al->c.server.turn;
	al->sent_ms = now_ms;
	allocation_want(al, al->binding_only ? STUN_BINDING : TURN_ALLOCATE, now_ms);
}

void allocation_close(struct allocation *al, uint64_t now_ms)
{
	if (al->state == ALLOCATION_UP && !al->binding_only) {
		al->state = ALLOCATION_CLOSING;
		for (unsigned k = 0; k < KINDS; k++)
			al->transaction[k].live = false;
		allocation_want(al, TURN_REFRESH, now_ms);
	} else if (al->state != ALLOCATION_CLOSING) {
		al->state = ALLOCATION_CLOSED;
		for (unsigned k = 0; k < KINDS; k++)
			al->transaction[k].live = false;
		allocation_want(al, 0, 0);
	}
}

/* --- peers --- */

static struct peer *find_addr(struct allocation *al, const struct addr *at)
{
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++)
		if (al->peer[i].used && !al->peer[i].channel &&
		    addr_equal(&al->peer[i].at.addr, at))
			return &al->peer[i];
	return NULL;
}

struct peer *allocation_channel_of(const struct allocation *al, const struct endpoint *at)
{
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++)
		if (al->peer[i].used && al->peer[i].channel && endpoint_equal(&al->peer[i].at, at))
			return (struct peer *)(uintptr_t)&al->peer[i];
	return NULL;
}

static struct peer *place(struct allocation *al, const struct endpoint *at)
{
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++)
		if (!al->peer[i].used) {
			al->peer[i] = (struct peer){ .used = true, .at = *at };
			return &al->peer[i];
		}
	return NULL;
}

bool allocation_permit(struct allocation *al, uint64_t now_ms, const struct addr *peer)
{
	struct peer *p;

	for (unsigned i = 0; i < 2; i++)
		if (al->facts.relayed[i].port &&
		    addr_family(&al->facts.relayed[i].addr) == addr_family(peer)) {
			p = find_addr(al, peer);
			if (!p) {
				p = place(al, &(struct endpoint){ .addr = *peer });
				if (p)
					p->again_ms = now_ms;
			}
			return p != NULL;
		}
	return false;
}

bool allocation_permitted(const struct allocation *al, uint64_t now_ms, const struct addr *peer)
{
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++)
		if (al->peer[i].used && al->peer[i].until_ms > now_ms &&
		    addr_equal(&al->peer[i].at.addr, peer))
			return true;
	return false;
}

bool allocation_bind(struct allocation *al, uint64_t now_ms, const struct endpoint *peer)
{
	struct peer *p = allocation_channel_of(al, peer);

	if (p)
		return true;
	p = place(al, peer);
	if (!p)
		return false;
	p->channel = al->next_channel;
	p->again_ms = now_ms;
	al->next_channel = CHANNEL_MIN + ((al->next_channel + 1) & 0xFFF);
	return true;
}

bool allocation_bound(const struct allocation *al, const struct endpoint *peer)
{
	const struct peer *const p = allocation_channel_of(al, peer);

	return p && p->bound;
}

/* --- what waits for its turn --- */

static bool wants_peers(const struct allocation *al, uint64_t now_ms, bool channel)
{
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++)
		if (al->peer[i].used && (al->peer[i].channel != 0) == channel &&
		    al->peer[i].again_ms <= now_ms)
			return true;
	return false;
}

static enum kind next_kind(const struct allocation *al, uint64_t now_ms)
{
	if (al->want && al->want_ms <= now_ms && !al->transaction[KIND_MAIN].live)
		return KIND_MAIN;
	if (al->state != ALLOCATION_UP || al->binding_only)
		return KINDS;
	if (!al->transaction[KIND_PERMIT].live && wants_peers(al, now_ms, false))
		return KIND_PERMIT;
	if (!al->transaction[KIND_BIND].live && wants_peers(al, now_ms, true))
		return KIND_BIND;
	return KINDS;
}

bool allocation_wants(const struct allocation *al, uint64_t now_ms)
{
	return next_kind(al, now_ms) != KINDS;
}

/* --- requests --- */

static void put_allocate(const struct allocation *al, struct stun_builder *b)
{
	stun_put_u8(b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
	if (addr_is4(&al->c.server.at.addr))
		return;
	/* Over IPv6: its own family, or both where this host has no IPv4 (ICE-023). */
	stun_put_u8(
		b, al->c.want_ipv4 ? TURN_ADDITIONAL_ADDRESS_FAMILY : TURN_REQUESTED_ADDRESS_FAMILY,
		TURN_FAMILY_IPV6);
}

static void put_peers(struct allocation *al, struct stun_builder *b, uint64_t now_ms)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++) {
		struct peer *const p = &al->peer[i];

		p->asked = p->channel ? p->asked : false;
		if (!p->used || p->channel || p->again_ms > now_ms || n == 16 || (p->alone && n))
			continue;
		stun_put_xor_addr(b, TURN_XOR_PEER_ADDRESS, &p->at);
		p->asked = true;
		n++;
		if (p->alone)
			return;
	}
}

static void put_channel(struct allocation *al, struct stun_builder *b, uint64_t now_ms)
{
	struct peer *first = NULL;

	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++) {
		struct peer *const p = &al->peer[i];

		if (!p->used || !p->channel)
			continue;
		p->asked = false;
		if (p->again_ms <= now_ms && !first)
			first = p;
	}
	if (!first)
		return;
	first->asked = true;
	stun_put_u32(b, TURN_CHANNEL_NUMBER, (uint32_t)first->channel << 16);
	stun_put_xor_addr(b, TURN_XOR_PEER_ADDRESS, &first->at);
}

static void put_body(struct allocation *al, struct stun_builder *b, uint16_t method,
                     uint64_t now_ms)
{
	if (method == TURN_ALLOCATE)
		put_allocate(al, b);
	else if (method == TURN_REFRESH && al->state == ALLOCATION_CLOSING)
		stun_put_u32(b, TURN_LIFETIME, 0);
	else if (method == TURN_CREATE_PERMISSION)
		put_peers(al, b, now_ms);
	else if (method == TURN_CHANNEL_BIND)
		put_channel(al, b, now_ms);
}

static size_t hand_out(struct allocation *al, struct transaction *t, uint64_t now_ms, uint8_t *out,
                       size_t cap)
{
	if (t->len > cap)
		return 0;
	memcpy(out, t->octets, t->len);
	t->sends++;
	t->next_ms = now_ms + (t->sends < TRIES_MAX ? (uint64_t)al->c.rto_ms << (t->sends - 1)
	                                            : (uint64_t)al->c.rto_ms * 16);
	al->sent_ms = now_ms;
	return t->len;
}

size_t allocation_begin(struct allocation *al, uint64_t now_ms, uint8_t *out, size_t cap)
{
	const enum kind kind = next_kind(al, now_ms);
	struct transaction *const t = &al->transaction[kind == KINDS ? 0 : kind];
	struct stun_builder b;

	if (kind == KINDS)
		return 0;
	*t = (struct transaction){ .live = true };
	t->method = kind == KIND_MAIN     ? al->want
	            : kind == KIND_PERMIT ? TURN_CREATE_PERMISSION
	                                  : TURN_CHANNEL_BIND;
	if (kind == KIND_MAIN)
		al->want = 0;
	al->c.random(al->c.random_arg, t->txid, sizeof(t->txid));
	stun_begin(&b, t->octets, sizeof(t->octets), stun_type(t->method, STUN_REQUEST), t->txid);
	put_body(al, &b, t->method, now_ms);
	if (t->method != STUN_BINDING) { /* ICE-018 */
		t->is_signed = al->credentials.known;
		longterm_sign(&al->credentials, &b, al->c.server.user);
	}
	stun_put_fingerprint(&b);
	t->len = (uint16_t)stun_finish(&b);
	return hand_out(al, t, now_ms, out, cap);
}

/* --- time --- */

static void expire(struct allocation *al, uint64_t now_ms)
{
	for (unsigned k = 0; k < KINDS; k++) {
		struct transaction *const t = &al->transaction[k];

		if (!t->live || t->sends < TRIES_MAX || t->next_ms > now_ms)
			continue;
		t->live = false;
		allocation_refused(al, (enum kind)k, t->method, now_ms, 0);
	}
	if (al->state == ALLOCATION_UP && !al->binding_only && now_ms >= al->until_ms)
		al->state = ALLOCATION_LOST;
}

static bool keeps_alive(const struct allocation *al)
{
	return al->state == ALLOCATION_UP && !al->binding_only;
}

size_t allocation_poll(struct allocation *al, uint64_t now_ms, uint8_t *out, size_t cap)
{
	expire(al, now_ms);
	for (unsigned k = 0; k < KINDS; k++) {
		struct transaction *const t = &al->transaction[k];

		if (t->live && t->sends < TRIES_MAX && t->next_ms <= now_ms)
			return hand_out(al, t, now_ms, out, cap);
	}
	if (!keeps_alive(al) || now_ms < al->sent_ms + KEEPALIVE_MS)
		return 0;
	/* The NAT before us forgets sooner than the server does. */
	uint8_t txid[STUN_TXID_LEN];
	struct stun_builder b;

	al->c.random(al->c.random_arg, txid, sizeof(txid));
	stun_begin(&b, out, cap, stun_type(STUN_BINDING, STUN_INDICATION), txid);
	stun_put_fingerprint(&b);
	al->sent_ms = now_ms;
	return stun_finish(&b);
}

uint64_t allocation_next_ms(const struct allocation *al)
{
	uint64_t next = UINT64_MAX;

	if (al->state == ALLOCATION_CLOSED || al->state == ALLOCATION_LOST)
		return next;
	for (unsigned k = 0; k < KINDS; k++)
		if (al->transaction[k].live && al->transaction[k].next_ms < next)
			next = al->transaction[k].next_ms;
	if (al->want && al->want_ms < next && !al->transaction[KIND_MAIN].live)
		next = al->want_ms;
	if (!keeps_alive(al))
		return next;
	if (al->sent_ms + KEEPALIVE_MS < next)
		next = al->sent_ms + KEEPALIVE_MS;
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++)
		if (al->peer[i].used && al->peer[i].again_ms < next &&
		    !al->transaction[al->peer[i].channel ? KIND_BIND : KIND_PERMIT].live)
			next = al->peer[i].again_ms;
	return next;
}
