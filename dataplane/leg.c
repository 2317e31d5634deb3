/* Checks of legs, answered in place. */
#include "dataplane/leg.h"

#include <arpa/inet.h>

#include "dataplane/limit.h"
#include "dataplane/punt.h"
#include "dataplane/reply.h"

/* One STUN message being looked at. */
struct message {
	struct worker *w;
	const struct port *port;
	struct row *row;
	const struct flow_leg *leg;
	const struct leg_message *it;
	struct stun_msg msg;
	uint8_t *answer;
	size_t *answer_len;
};

static enum stat_id punt(const struct message *x)
{
	struct punt head = {
		.local_kind = LOCAL_RELAY,
		.ecn_dscp = x->it->tos,
		.local = x->row->relay,
		.local_port = ntohs(x->row->relayed_port),
		.remote_port = x->it->from.port,
	};

	if (!limit_punt(x->w->limit, &x->it->from.addr, x->w->now_ns))
		return STAT_LIMIT_PUNT;
	memcpy(head.remote_ip, x->it->from.addr.ip, 16);
	return punt_message(x->w, x->port, PUNT_ICE, &head, x->msg.octets,
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
	return c->use_candidate ||
	       !flow_leg_source(x->leg, x->it->from.addr.ip, htons(x->it->from.port));
}

static enum stat_id request(const struct message *x)
{
	struct check c;

	if (!check_read(&x->msg, &c))
		return STAT_STUN_FINGERPRINT;
	const struct crypto_hmac_sha1 *const key = key_of(x->leg, &c);
	const unsigned refused = check_judge(&c, key);

	if (!c.verified)
		return STAT_LEG_UNAUTHENTICATED;
	const struct endpoint *const from = &x->it->from;
	const bool peer = flow_leg_is_peer(x->row, from->addr.ip, htons(from->port));

	if (refused || needs_decision(x, &c, peer))
		return punt(x);
	if (peer)
		flow_leg_heard(flow_row_leg(x->row), x->leg->c.patience_s, x->w->now_s);
	*x->answer_len = check_answer(x->msg.txid, from, key, x->answer);
	return STAT_LEG_CHECK;
}

enum stat_id leg_decide(struct worker *w, const struct port *port, struct row *leg,
                        const struct leg_message *it, uint8_t answer[CHECK_ANSWER_MAX],
                        size_t *answer_len)
{
	struct message x = {
		.w = w,
		.port = port,
		.row = leg,
		.leg = flow_leg_of(w->dp->flows, leg),
		.it = it,
		.answer = answer,
		.answer_len = answer_len,
	};

	if (!stun_open(it->data, it->len, &x.msg))
		return STAT_STUN_MALFORMED;
	if (stun_method(x.msg.type) != STUN_BINDING)
		return STAT_STUN_METHOD;
	switch (stun_class(x.msg.type)) {
	case STUN_REQUEST: return request(&x);
	case STUN_INDICATION: return STAT_LEG_KEEPALIVE;
	default: return x.leg->c.flags & LEG_LITE ? STAT_LEG_RESPONSE : punt(&x);
	}
}

void leg_stun(struct worker *w, const struct port *port, struct rte_mbuf *m, const struct parsed *p,
              struct row *leg)
{
	const uint8_t *const ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, RTE_ETHER_HDR_LEN);
	struct leg_message it = {
		.data = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->data_at),
		.len = p->data_len,
		.from.port = ntohs(p->key.port),
		.tos = p->family == 4 ? ip[1] : (uint8_t)(be16_load(ip) >> 4),
	};
	uint8_t answer[CHECK_ANSWER_MAX];
	size_t len;

	memcpy(it.from.addr.ip, p->key.ip, 16);
	enum stat_id outcome = reply_sum_right(port, m, p)
	                               ? leg_decide(w, port, leg, &it, answer, &len)
	                               : STAT_UDP_CHECKSUM;

	if (outcome == STAT_LEG_CHECK) {
		if (reply_in_place(w, port, m, p, answer, (uint32_t)len)) {
			stat_add(w->stats, outcome, 1);
			return;
		}
		outcome = STAT_NO_MBUF;
	}
	worker_drop(w, m, outcome);
}
