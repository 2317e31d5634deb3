/* What a server sends: answers, and what peers sent through it. */
#include "control/ice/allocation_parts.h"

/* --- outcomes --- */

static void refuse(struct allocation *al, uint64_t now_ms, unsigned code)
{
	al->facts.error = code;
	if (!al->binding_only && (code == 486 || code == 508)) { /* ICE-019 */
		al->binding_only = true;
		allocation_want(al, STUN_BINDING, now_ms);
		return;
	}
	al->state = ALLOCATION_REFUSED;
}

static void refused_main(struct allocation *al, uint16_t method, uint64_t now_ms, unsigned code)
{
	if (al->state == ALLOCATION_CLOSING)
		al->state = ALLOCATION_CLOSED;
	else if (method == TURN_REFRESH && code != 437 && now_ms < al->until_ms)
		allocation_want(al, TURN_REFRESH, now_ms + 1000); /* TURN-246 */
	else if (method == TURN_REFRESH)
		al->state = ALLOCATION_LOST;
	else if (method == STUN_BINDING && al->state == ALLOCATION_UP)
		allocation_want(al, STUN_BINDING, now_ms + KEEPALIVE_MS);
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

void allocation_refused(struct allocation *al, enum kind kind, uint16_t method, uint64_t now_ms,
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
	allocation_want(al, TURN_REFRESH,
	                now_ms + (s < 120 ? (uint64_t)s * 500 : (uint64_t)(s - 60) * 1000));
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
			allocation_want(al, STUN_BINDING, now_ms + KEEPALIVE_MS);
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
		allocation_want(al, t->method, now_ms);
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
		allocation_refused(al, kind, t->method, now_ms, code);
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
		allocation_refused(al, kind, t->method, now_ms, code);
	else
		granted(al, t, m, now_ms);
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
	const struct peer *const p = allocation_channel_of(al, peer);
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
