/*
 * A leg as octets, for the store: addresses, not ids; numbers in host order, for no other machine
 * reads them.
 *
 *   flags, direction, number of bases; of each its address, the one that is told, the port; what
 * the agent says of itself
 */
#include <string.h>

#include "control/session/record.h"

enum { IMAGE_FULL = 1, IMAGE_REMOTE = 2 };
enum { FIXED = 4, PER_BASE = 34 };

size_t image_pack(const struct session_server *srv, const struct leg *l, uint8_t out[IMAGE_MAX])
{
	size_t at = FIXED, agent;

	out[0] = (uint8_t)((l->full ? IMAGE_FULL : 0) | (l->has_remote ? IMAGE_REMOTE : 0));
	out[1] = l->direction;
	out[2] = l->n_bases;
	out[3] = 0;
	for (unsigned b = 0; b < l->n_bases; b++, at += PER_BASE) {
		memcpy(out + at, srv->relay[l->base[b].relay].addr.ip, 16);
		memcpy(out + at + 16, srv->relay[l->base[b].relay].advertise.ip, 16);
		memcpy(out + at + 32, &l->base[b].port, 2);
	}
	agent = leg_save(l, out + at, IMAGE_MAX - at);
	return agent ? at + agent : 0;
}

bool image_unpack(struct session_server *srv, const uint8_t *in, size_t len, struct image *out)
{
	size_t at = FIXED;

	if (len < FIXED || in[2] == 0 || in[2] > SESSION_ADDRESSES_MAX ||
	    in[1] > SESSION_RECVONLY || len < FIXED + (size_t)in[2] * PER_BASE)
		return false;
	*out = (struct image){ .plan.wanted.full = (in[0] & IMAGE_FULL) != 0,
		               .plan.wanted.direction = (enum session_direction)in[1],
		               .plan.n_bases = in[2],
		               .has_remote = (in[0] & IMAGE_REMOTE) != 0 };
	for (unsigned b = 0; b < in[2]; b++, at += PER_BASE) {
		struct addr a;
		int slot;

		memcpy(a.ip, in + at, 16);
		memcpy(&out->plan.port[b], in + at + 32, 2);
		slot = life_relay(srv, &a);
		if (slot < 0 || out->plan.port[b] == 0)
			return false;
		out->plan.relay[b] = (uint8_t)slot;
		if (!srv->relay[slot].known) /* no data plane has told it yet */
			memcpy(srv->relay[slot].advertise.ip, in + at + 16, 16);
	}
	out->agent = in + at;
	out->agent_len = len - at;
	return true;
}
