/* Checks of legs, answered in place. */
#include "dataplane/leg.h"

#include <arpa/inet.h>

#include "dataplane/limit.h"
#include "dataplane/punt.h"
#include "dataplane/reply.h"
#include "wire/check.h"

/* One STUN message being looked at. */
struct message {
	struct worker *w;
	const struct port *port;
	struct rte_mbuf *m;
	const struct parsed *p;
	struct row *row;
	const struct flow_leg *leg;
	struct stun_msg msg;
	struct endpoint from;
};

static enum stat_id punt(const struct message *x)
{
	const uint8_t *const ip = rte_pktmbuf_mtod_offset(x->m, const uint8_t *, RTE_ETHER_HDR_LEN);
	const struct punt head = {
		.local_kind = LOCAL_RELAY,
		.ecn_dscp = x->p->family == 4 ? ip[1] : (uint8_t)(be16_load(ip) >> 4),
		.local = x->p->local,
		.local_port = ntohs(x->row->relayed_port),
		.remote_port = x->from.port,
	};
	struct punt full = head;

	if (!limit_punt(x->w->limit, &x->from.addr, x->w->now_ns))
		return STAT_LIMIT_PUNT;
	memcpy(full.remote_ip, x->from.addr.ip, 16);
	return punt_message(x->w, x->port, PUNT_ICE, &full, x->msg.octets,
	                    (uint32_t)stun_len(&x->msg));
}

/* Of which generation's password; NULL: of none. */
static const struct crypto_hmac_sha1 *key_of(const struct flow_leg *leg, const struct check *c)
{
	static_assert(offsetof(struct cmd_leg_key, outer) - offsetof(struct cmd_leg_key, inner) ==
	                              offsetof(struct crypto_hmac_sha1, outer) &&
	                      sizeof(struct crypto_hmac_sha1) == 40,
	              "midstates as they were sent");
	for (unsigned i = 0; i < LEG_KEYS; i++) {
		const struct cmd_leg_key *const k = &leg->c.key[i];

		if (k->ufrag_len && check_is_for(c, k->ufrag, k->ufrag_len))
			return (const struct crypto_hmac_sha1 *)(const void *)k->inner;
	}
	return NULL;
}

/* ICE-168. Of the generation before only the answer is wanted. */
static bool needs_decision(const struct message *x, const struct check *c, bool peer)
{
	const uint8_t flags = x->leg->c.flags;

	if (!(flags & LEG_ANSWERS) || !c->has_priority ||
	    (flags & LEG_CONTROLLING ? c->has_controlling : c->has_controlled))
		return true;
	if (peer)
		return false;
	return c->use_candidate || !flow_leg_source(x->leg, x->p->key.ip, x->p->key.port);
}

static enum stat_id request(const struct message *x)
{
	uint8_t body[CHECK_ANSWER_MAX];
	struct check c;

	if (!check_read(&x->msg, &c))
		return STAT_STUN_FINGERPRINT;
	const struct crypto_hmac_sha1 *const key = key_of(x->leg, &c);
	const unsigned refused = check_judge(&c, key);

	if (!c.verified)
		return STAT_LEG_UNAUTHENTICATED;
	const bool peer = flow_leg_is_peer(x->row, x->p->key.ip, x->p->key.port);

	if (refused || needs_decision(x, &c, peer))
		return punt(x);
	if (peer)
		flow_leg_heard(flow_row_leg(x->row), x->leg->c.patience_s, x->w->now_s);
	const size_t len = check_answer(x->msg.txid, &x->from, key, body);

	if (!reply_in_place(x->w, x->port, x->m, x->p, body, (uint32_t)len))
		return STAT_NO_MBUF;
	stat_add(x->w->stats, STAT_LEG_CHECK, 1);
	return STAT_COUNT;
}

static enum stat_id judge(struct message *x)
{
	const uint8_t *const data = rte_pktmbuf_mtod_offset(x->m, const uint8_t *, x->p->data_at);

	if (!stun_open(data, x->p->data_len, &x->msg))
		return STAT_STUN_MALFORMED;
	if (!reply_sum_right(x->port, x->m, x->p))
		return STAT_UDP_CHECKSUM;
	if (stun_method(x->msg.type) != STUN_BINDING)
		return STAT_STUN_METHOD;
	memcpy(x->from.addr.ip, x->p->key.ip, 16);
	x->from.port = ntohs(x->p->key.port);
	switch (stun_class(x->msg.type)) {
	case STUN_REQUEST: return request(x);
	case STUN_INDICATION: return STAT_LEG_KEEPALIVE;
	default: return x->leg->c.flags & LEG_LITE ? STAT_LEG_RESPONSE : punt(x);
	}
}

void leg_stun(struct worker *w, const struct port *port, struct rte_mbuf *m, const struct parsed *p,
              struct row *leg)
{
	struct message x = {
		.w = w,
		.port = port,
		.m = m,
		.p = p,
		.row = leg,
		.leg = flow_leg_of(w->dp->flows, leg),
	};
	const enum stat_id why = judge(&x);

	if (why != STAT_COUNT)
		worker_drop(w, m, why);
}
