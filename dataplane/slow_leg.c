/* Between legs, and what turns round inside: from one relayed address of ours to another. */
#include <arpa/inet.h>

#include "dataplane/slow_parts.h"

static struct endpoint place_of(const struct passage *x, const struct row *r)
{
	return (struct endpoint){ x->w->dp->local->relay[r->relay].addr, ntohs(r->relayed_port) };
}

/* The same as others know it. */
static struct endpoint name_of(const struct passage *x, const struct row *r)
{
	return (struct endpoint){ x->w->dp->local->relay[r->relay].advertise,
		                  ntohs(r->relayed_port) };
}

/* --- media --- */

static bool leg_passes(struct passage *x, struct row *to, enum stat_id *drop)
{
	struct flow_table *const flows = x->w->dp->flows;
	struct endpoint src, peer;
	enum stat_id outcome;

	if (!to || to->key.port == 0)
		return false;
	if (!slow_live(x, to)) {
		stat_add(x->w->stats, STAT_LEG_NO_CONSENT, 1);
		return false;
	}
	if (x->left == 0) {
		stat_add(x->w->stats, STAT_LEG_COPY_LOST, 1);
		return false;
	}
	x->left--;
	peer.port = ntohs(to->key.port);
	memcpy(peer.addr.ip, to->key.ip, 16);
	if (to->flags & ROW_FLAG_TURNED) {
		src = name_of(x, to);
		*drop = slow_turn(x, &src, &peer, &outcome);
	} else {
		src = place_of(x, to);
		*drop = slow_pass(x, &src, &peer, to->adjacency);
	}
	if (*drop != STAT_COUNT)
		return false;
	flow_count(flows, flow_index(flows, to), to, (uint8_t)x->w->index, x->data_len);
	return true;
}

enum stat_id slow_leg_gets(struct passage *x, struct row *leg, enum stat_id *outcome)
{
	const struct flow_table *const flows = x->w->dp->flows;
	const struct flow_leg *const l = flow_leg_of(flows, leg);
	enum stat_id drop = STAT_LEG_NOT_CONNECTED;
	unsigned sent = 0;

	if (!flow_leg_is_peer(leg, x->src.addr.ip, htons(x->src.port)) &&
	    !flow_leg_source(l, x->src.addr.ip, htons(x->src.port)))
		return STAT_LEG_UNKNOWN_SOURCE;
	flow_leg_count(flow_row_leg(leg), (uint8_t)x->w->index, x->data_len);
	for (unsigned i = 0; i < l->c.n_to; i++)
		sent += leg_passes(x, flow_leg_at(flows, l->to[i].relay, htons(l->to[i].port)),
		                   &drop);
	if (sent == 0)
		return drop;
	stat_add(x->w->stats, STAT_LEG_COPY, sent - 1);
	*outcome = STAT_LEG_TO_LEG;
	return STAT_COUNT;
}

/* --- STUN --- */

/* The leg's answer goes where the check came from: it turns round, too. */
static enum stat_id answer(struct passage *x, const struct row *leg, const uint8_t *octets,
                           size_t len)
{
	struct passage back = {
		.w = x->w,
		.port = x->port,
		.send = x->send,
		.frame = x->frame,
		.len = x->len,
		.p.family = (uint8_t)addr_family(&x->src.addr),
		.tos = x->tos & 0xFC, /* DSCP as it came, not ECN */
		.ttl = DATAGRAM_TTL,
		.data = octets,
		.data_len = (uint32_t)len,
		.turns = x->turns,
		.left = x->left,
	};
	const struct endpoint self = name_of(x, leg);
	enum stat_id outcome;

	return slow_turn(&back, &self, &x->src, &outcome);
}

static enum stat_id leg_hears(struct passage *x, struct row *leg, enum stat_id *outcome)
{
	const struct leg_message it = {
		.data = x->data, .len = x->data_len, .from = x->src, .tos = x->tos
	};
	uint8_t octets[CHECK_ANSWER_MAX];
	size_t len;

	if (x->error)
		return STAT_UDP_CHECKSUM;
	*outcome = leg_decide(x->w, x->port, leg, &it, octets, &len);
	switch (*outcome) {
	case STAT_LEG_CHECK: return answer(x, leg, octets, len);
	case STAT_LEG_KEEPALIVE:
	case STAT_PUNTED: return STAT_COUNT;
	default: return *outcome;
	}
}

/* --- round --- */

enum stat_id slow_turn(struct passage *x, const struct endpoint *sender, const struct endpoint *to,
                       enum stat_id *outcome)
{
	const struct flow_table *const flows = x->w->dp->flows;
	const uint16_t relay = local_relay_at(x->w->dp->local, &to->addr, to->port);
	struct passage inside = *x;
	enum stat_id drop;

	if (relay == LOCAL_NONE) /* a listener or another port of ours (TURN-215) */
		return STAT_PEER_DENIED;
	if (inside.turns++ == SLOW_TURNS_MAX)
		return STAT_TTL_EXPIRED;
	const uint32_t row = flow_port_row(flows, relay, htons(to->port));
	struct row *const r = flow_row_or_null(flows, row);

	if (!r)
		return STAT_RELAY_NO_ALLOCATION;
	inside.src = *sender;
	if (!(r->flags & ROW_FLAG_LEG)) {
		drop = slow_client_gets(&inside, row, sender, outcome);
		*outcome = STAT_HAIRPIN;
	} else if (leg_is_stun(x->data, x->data_len)) {
		drop = leg_hears(&inside, r, outcome);
	} else {
		drop = slow_leg_gets(&inside, r, outcome);
	}
	x->left = inside.left;
	return drop;
}

enum stat_id slow_transmit(struct worker *w, const struct port *port, uint16_t relay,
                           uint16_t relayed_port, const struct datagram *d, slow_send *send)
{
	struct passage x = {
		.w = w,
		.port = port,
		.send = send,
		.p.family = (uint8_t)addr_family(&d->dst.addr),
		.tos = d->tos,
		.ttl = DATAGRAM_TTL,
		.data = d->data,
		.data_len = d->data_len,
		.left = SLOW_SENDS_MAX,
	};
	const struct endpoint sender = { w->dp->local->relay[relay].advertise, relayed_port };
	enum stat_id outcome;

	return slow_turn(&x, &sender, &d->dst, &outcome);
}
