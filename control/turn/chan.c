/* ChannelBind. */
#include "control/turn/chan.h"
#include "control/turn/flow.h"
#include "control/turn/list.h"
#include "control/turn/peer.h"
#include "control/turn/perm.h"
#include "control/turn/record.h"

static bool number_served(const struct turn_server *srv, uint16_t number)
{
	const uint16_t max = srv->cfg->rfc5766_channels ? CHANNEL_MAX_5766 : CHANNEL_MAX;

	return number >= CHANNEL_MIN && number <= max; /* TURN-099, TURN-100 */
}

static bool room_for(struct turn_server *srv, const struct alloc *a, bool new_perm, bool new_chan)
{
	const uint32_t fresh = (new_perm ? 1u : 0) + (new_chan ? 1u : 0);
	const uint32_t rows = (new_perm ? ROWS_PERM : 0u) + (new_chan ? ROWS_CHAN : 0u);

	if ((new_chan && a->n_chans >= srv->cfg->limit_channels) ||
	    (new_perm && a->n_perms >= srv->cfg->limit_permissions) ||
	    srv->pool_peer.n_spare < fresh || srv->pool_over.n_spare < fresh)
		stat_count(srv, TURN_STAT_FULL_PEERS);
	else if (!flow_room(srv, rows))
		stat_count(srv, TURN_STAT_FULL_ROWS);
	else if (!record_room(srv, 3))
		stat_count(srv, TURN_STAT_FULL_STORE);
	else
		return true;
	return false;
}

int chan_on_bind(struct turn_server *srv, struct request *r, struct stun_builder *b)
{
	struct alloc *a = r->alloc;
	struct endpoint at;
	uint16_t number;
	unsigned family;

	(void)b;
	if (!attr_there(&r->channel) || !stun_channel(&r->channel, &number) ||
	    !attr_there(&r->peer) || (family = stun_xor_addr(&r->msg, &r->peer, &at)) == 0)
		return STUN_BAD_REQUEST;
	if (!number_served(srv, number) || at.port == 0)
		return STUN_BAD_REQUEST;

	const bool mapped = family == 6 && addr_is4(&at.addr);
	uint32_t chan = peer_find_number(srv, a, number);
	if (mapped ? chan != NONE : peer_find_bound(srv, a, &at) != chan)
		return STUN_BAD_REQUEST; /* one number, one peer, both ways (TURN-102) */
	if (!leg_live(&a->leg[mapped ? 1 : leg_of(&at.addr)]))
		return STUN_PEER_FAMILY_MISMATCH;
	if (mapped) {
		stat_count(srv, TURN_STAT_PEER_NEVER);
		list_refused(srv, a, &at, STUN_FORBIDDEN, "never");
		return STUN_FORBIDDEN;
	}
	const int err = perm_judge(srv, a, &at);
	if (err != TURN_OK)
		return err;

	uint32_t perm = peer_find_perm(srv, a, &at.addr);
	if (!room_for(srv, a, perm == NONE, chan == NONE))
		return STUN_INSUFFICIENT_CAPACITY;
	if (perm == NONE)
		perm = peer_make(srv, a, &at, 0);
	if (chan == NONE)
		chan = peer_make(srv, a, &at, number);
	peer_renew(srv, perm, srv->now_s + PERMISSION_S); /* TURN-106 */
	peer_renew(srv, chan, srv->now_s + CHANNEL_S);
	record_peers(srv, a);
	flow_set_peer(srv, perm);
	flow_set_peer(srv, chan);
	perm_tell_channels(srv, perm);
	stat_count(srv, TURN_STAT_BOUND);
	return TURN_OK;
}
