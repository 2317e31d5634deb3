/* A TURN client of one base and one server. */
#include "control/ice/allocation.h"

#include "longterm.h"
#include "wire/attr.h"
#include "wire/crc.h"
#include "wire/integrity.h"

enum {
	TRIES_MAX = 7,
	CHALLENGES_MAX = 4, /* in a row */
	PERMISSION_MS = 300000,
	PERMISSION_AGAIN_MS = 240000, /* TURN-248, TURN-249 */
	CHANNEL_MS = 600000,
	KEEPALIVE_MS = 15000,
	RETRY_MS = 60000, /* what was refused for now */
	OCTETS_MAX = 1024,
};

/* One request at a time of each kind. */
enum kind { KIND_MAIN /* Allocate, Binding, Refresh */, KIND_PERMIT, KIND_BIND, KINDS };

struct transaction {
	bool live;
	uint16_t method;
	uint8_t txid[STUN_TXID_LEN];
	uint8_t sends;
	uint64_t next_ms;
	uint16_t len;
	bool is_signed;
	uint8_t octets[OCTETS_MAX];
};

struct peer {
	bool used;
	struct endpoint at; /* port 0: a permission only */
	uint16_t channel;   /* 0: none wanted */
	bool alone;         /* asked for by itself, after a refusal together with others */
	bool asked;         /* in the request that is under way */
	bool bound;
	uint64_t until_ms; /* of the permission; of the channel if one is bound */
	uint64_t again_ms; /* when it is asked for (again) */
};

struct allocation {
	struct allocation_config c;
	enum allocation_state state;
	struct allocation_facts facts;
	struct longterm credentials;
	struct transaction transaction[KINDS];
	unsigned challenges;
	uint16_t want;     /* method the main transaction is wanted for, 0: none */
	uint64_t want_ms;  /* and from when on */
	bool binding_only; /* no TURN, or refused */
	uint64_t until_ms; /* of the allocation */
	uint64_t sent_ms;
	struct peer peer[ALLOCATION_PEERS_MAX];
	uint16_t next_channel;
};

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

static void want(struct allocation *al, uint16_t method, uint64_t at_ms)
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
	want(al, al->binding_only ? STUN_BINDING : TURN_ALLOCATE, now_ms);
}

void allocation_close(struct allocation *al, uint64_t now_ms)
{
	if (al->state == ALLOCATION_UP && !al->binding_only) {
		al->state = ALLOCATION_CLOSING;
		for (unsigned k = 0; k < KINDS; k++)
			al->transaction[k].live = false;
		want(al, TURN_REFRESH, now_ms);
	} else if (al->state != ALLOCATION_CLOSING) {
		al->state = ALLOCATION_CLOSED;
		for (unsigned k = 0; k < KINDS; k++)
			al->transaction[k].live = false;
		want(al, 0, 0);
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

static struct peer *find_channel(const struct allocation *al, const struct endpoint *at)
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
	struct peer *p = find_channel(al, peer);

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
	const struct peer *const p = find_channel(al, peer);

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

/* --- outcomes --- */

static void refuse(struct allocation *al, uint64_t now_ms, unsigned code)
{
	al->facts.error = code;
	if (!al->binding_only && (code == 486 || code == 508)) { /* ICE-019 */
		al->binding_only = true;
		want(al, STUN_BINDING, now_ms);
		return;
	}
	al->state = ALLOCATION_REFUSED;
}

static void refused_main(struct allocation *al, uint16_t method, uint64_t now_ms, unsigned code)
{
	if (al->state == ALLOCATION_CLOSING)
		al->state = ALLOCATION_CLOSED;
	else if (method == TURN_REFRESH && code != 437 && now_ms < al->until_ms)
		want(al, TURN_REFRESH, now_ms + 1000); /* TURN-246 */
	else if (method == TURN_REFRESH)
		al->state = ALLOCATION_LOST;
	else if (method == STUN_BINDING && al->state == ALLOCATION_UP)
		want(al, STUN_BINDING, now_ms + KEEPALIVE_MS);
	else
		refuse(al, now_ms, code);
}

static void refused_peers(struct allocation *al, bool channel, uint64_t now_ms)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++)
		n += al->peer[i].used && al->peer[i].asked && (al->peer[i].channel != 0) == channel;
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++) {
		struct peer *const p = &al->peer[i];

		if (!p->used || !p->asked || (p->channel != 0) != channel)
			continue;
		/* One bad address spoils the request for all: each gets its own. */
		p->again_ms = n > 1 ? now_ms : now_ms + RETRY_MS;
		p->alone = true;
		p->asked = false;
	}
}

static void refused(struct allocation *al, enum kind kind, uint16_t method, uint64_t now_ms,
                    unsigned code)
{
	if (kind == KIND_MAIN)
		refused_main(al, method, now_ms, code);
	else if (code == 437)
		al->state = ALLOCATION_LOST;
	else
		refused_peers(al, kind == KIND_BIND, now_ms);
}

static void take_mapped(struct allocation *al, const struct stun_msg *m)
{
	struct stun_attr attr;

	if (stun_find(m, STUN_XOR_MAPPED_ADDRESS, &attr))
		stun_xor_addr(m, &attr, &al->facts.mapped);
	else if (stun_find(m, STUN_MAPPED_ADDRESS, &attr)) /* ICE-018 */
		stun_addr(&attr, &al->facts.mapped);
}

static void take_relayed(struct allocation *al, const struct stun_msg *m)
{
	struct stun_iter it = stun_attrs(m);
	struct stun_attr attr;
	struct endpoint e;

	while (stun_next_counted(&it, &attr))
		if (attr.type == TURN_XOR_RELAYED_ADDRESS && stun_xor_addr(m, &attr, &e) && e.port)
			al->facts.relayed[addr_is4(&e.addr) ? 0 : 1] = e;
}

/* TURN-246: a minute before the end, at half of a short one. */
static void take_lifetime(struct allocation *al, const struct stun_msg *m, uint64_t now_ms)
{
	struct stun_attr attr;
	uint32_t s = 600;

	if (stun_find(m, TURN_LIFETIME, &attr))
		stun_u32(&attr, &s);
	al->until_ms = now_ms + (uint64_t)s * 1000;
	want(al, TURN_REFRESH, now_ms + (s < 120 ? (uint64_t)s * 500 : (uint64_t)(s - 60) * 1000));
}

static void granted_peers(struct allocation *al, bool channel, uint64_t now_ms)
{
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++) {
		struct peer *const p = &al->peer[i];

		if (!p->used || !p->asked || (p->channel != 0) != channel)
			continue;
		p->asked = false;
		p->bound = channel;
		p->until_ms = now_ms + (channel ? CHANNEL_MS : PERMISSION_MS);
		p->again_ms = now_ms + PERMISSION_AGAIN_MS;
	}
}

static void granted(struct allocation *al, const struct transaction *t, const struct stun_msg *m,
                    uint64_t now_ms)
{
	al->challenges = 0;
	switch (t->method) {
	case TURN_ALLOCATE:
		take_mapped(al, m);
		take_relayed(al, m);
		take_lifetime(al, m, now_ms);
		al->state = al->facts.relayed[0].port || al->facts.relayed[1].port
		                    ? ALLOCATION_UP
		                    : ALLOCATION_REFUSED;
		break;
	case TURN_REFRESH:
		if (al->state == ALLOCATION_CLOSING)
			al->state = ALLOCATION_CLOSED;
		else
			take_lifetime(al, m, now_ms);
		break;
	case STUN_BINDING:
		take_mapped(al, m);
		al->state = al->c.server.turn ? ALLOCATION_REFUSED : ALLOCATION_UP;
		if (al->state == ALLOCATION_UP) /* ICE-022 */
			want(al, STUN_BINDING, now_ms + KEEPALIVE_MS);
		break;
	case TURN_CREATE_PERMISSION: granted_peers(al, false, now_ms); break;
	default: granted_peers(al, true, now_ms); break;
	}
}

/* The same request again, by the credentials as they are now. */
static void again(struct allocation *al, const struct transaction *t, enum kind kind,
                  uint64_t now_ms)
{
	if (kind == KIND_MAIN) {
		want(al, t->method, now_ms);
		return;
	}
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++)
		if (al->peer[i].used && al->peer[i].asked &&
		    (al->peer[i].channel != 0) == (kind == KIND_BIND))
			al->peer[i].again_ms = now_ms;
}

static void challenged(struct allocation *al, struct transaction *t, enum kind kind,
                       const struct stun_msg *m, unsigned code, uint64_t now_ms)
{
	const enum longterm_learned learned =
		longterm_learn(&al->credentials, m, code, al->c.server.user, al->c.server.password);

	if (learned == LONGTERM_IGNORED)
		return; /* as if it had not come (TURN-237) */
	t->live = false;
	if (learned == LONGTERM_AGAIN && ++al->challenges <= CHALLENGES_MAX)
		again(al, t, kind, now_ms);
	else
		refused(al, kind, t->method, now_ms, code);
}

static void answered(struct allocation *al, struct transaction *t, enum kind kind,
                     const struct stun_msg *m, uint64_t now_ms)
{
	struct stun_attr attr;
	const uint8_t *reason;
	size_t len;
	unsigned code = 0;

	if (stun_class(m->type) == STUN_ERROR) {
		code = stun_find(m, STUN_ERROR_CODE, &attr) ? stun_error_code(&attr, &reason, &len)
		                                            : 0;
		if (code == 0)
			return;
		if (code == 401 || code == 438) {
			challenged(al, t, kind, m, code, now_ms);
			return;
		}
	}
	/* TURN-238: whoever could sign and did not is not the server. */
	if (t->is_signed && code != 300 && !longterm_verify(&al->credentials, m))
		return;
	t->live = false;
	if (code)
		refused(al, kind, t->method, now_ms, code);
	else
		granted(al, t, m, now_ms);
}

/* --- time --- */

static void expire(struct allocation *al, uint64_t now_ms)
{
	for (unsigned k = 0; k < KINDS; k++) {
		struct transaction *const t = &al->transaction[k];

		if (!t->live || t->sends < TRIES_MAX || t->next_ms > now_ms)
			continue;
		t->live = false;
		refused(al, (enum kind)k, t->method, now_ms, 0);
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

/* --- datagrams --- */

static const struct peer *by_number(const struct allocation *al, uint16_t number)
{
	for (unsigned i = 0; i < ALLOCATION_PEERS_MAX; i++)
		if (al->peer[i].used && al->peer[i].channel == number && number)
			return &al->peer[i];
	return NULL;
}

/* TURN-250: from the moment it was asked for. */
static enum allocation_input channel_data(const struct allocation *al, const uint8_t *octets,
                                          size_t len, struct endpoint *peer, const uint8_t **data,
                                          size_t *data_len)
{
	const struct peer *p;

	if (len < 4 || be16_load(octets + 2) > len - 4)
		return ALLOCATION_TAKEN;
	p = by_number(al, be16_load(octets));
	if (!p)
		return ALLOCATION_TAKEN;
	*peer = p->at;
	*data = octets + 4;
	*data_len = be16_load(octets + 2);
	return ALLOCATION_DATA;
}

/* TURN-252, TURN-253. */
static enum allocation_input indication(const struct allocation *al, uint64_t now_ms,
                                        const struct stun_msg *m, struct endpoint *peer,
                                        const uint8_t **data, size_t *data_len)
{
	struct stun_attr attr;

	if (stun_method(m->type) != TURN_DATA || !stun_find(m, TURN_XOR_PEER_ADDRESS, &attr) ||
	    !stun_xor_addr(m, &attr, peer))
		return ALLOCATION_TAKEN;
	if (stun_find(m, TURN_ICMP_ATTR, &attr))
		return ALLOCATION_ICMP;
	if (!stun_find(m, TURN_DATA_ATTR, &attr) || !allocation_permitted(al, now_ms, &peer->addr))
		return ALLOCATION_TAKEN;
	*data = attr.value;
	*data_len = attr.len;
	return ALLOCATION_DATA;
}

enum allocation_input allocation_input(struct allocation *al, uint64_t now_ms, const void *octets,
                                       size_t len, struct endpoint *peer, const uint8_t **data,
                                       size_t *data_len)
{
	const uint8_t *const o = octets;
	struct stun_msg m;

	if (len > 0 && o[0] >= 0x40 && o[0] <= 0x4F && al->state == ALLOCATION_UP)
		return channel_data(al, o, len, peer, data, data_len);
	if (!stun_open(o, len, &m))
		return ALLOCATION_OTHER;
	if (stun_class(m.type) == STUN_INDICATION && al->state == ALLOCATION_UP)
		return indication(al, now_ms, &m, peer, data, data_len);
	if (stun_class(m.type) != STUN_SUCCESS && stun_class(m.type) != STUN_ERROR)
		return ALLOCATION_OTHER;
	for (unsigned k = 0; k < KINDS; k++) {
		struct transaction *const t = &al->transaction[k];

		if (t->live && stun_method(m.type) == t->method &&
		    memcmp(t->txid, m.txid, sizeof(t->txid)) == 0) {
			answered(al, t, (enum kind)k, &m, now_ms);
			return ALLOCATION_TAKEN;
		}
	}
	return ALLOCATION_OTHER;
}

size_t allocation_wrap(struct allocation *al, const struct endpoint *peer, const void *octets,
                       size_t len, uint8_t *out, size_t cap)
{
	const struct peer *const p = find_channel(al, peer);
	uint8_t txid[STUN_TXID_LEN];
	struct stun_builder b;

	if (al->state != ALLOCATION_UP || len > cap)
		return 0;
	if (p && p->bound) {
		if (len + 4 > cap || len > 0xFFFF)
			return 0;
		be16_store(out, p->channel);
		be16_store(out + 2, (uint16_t)len);
		memcpy(out + 4, octets, len);
		return len + 4;
	}
	al->c.random(al->c.random_arg, txid, sizeof(txid));
	stun_begin(&b, out, cap, stun_type(TURN_SEND, STUN_INDICATION), txid);
	stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, peer);
	stun_put(&b, TURN_DATA_ATTR, octets, (uint16_t)len);
	return stun_finish(&b);
}
