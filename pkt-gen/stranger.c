/*
 * Frames that carry no stamp of this run where one ought to be. Nothing may stay unexplained: one
 * of ours that was damaged in its headers or its stamp is corrupted and not a stranger.
 */
#include "pkt-gen/engine_parts.h"
#include "wire/attr.h"
#include "wire/checksum.h"
#include "wire/turn.h"

enum { ETH = 14, UDP = 8, IP4 = 34, IP6 = 54, STAMP_AT_MAX = IP6 + UDP + 48 };

bool stranger_indication(const uint8_t *frame, uint16_t udp, uint16_t udp_len, struct seen *out)
{
	const uint8_t *const p = frame + udp + UDP;
	struct stun_msg s;
	struct stun_attr peer, data;

	if (!stun_open(p, udp_len - UDP, &s) ||
	    (s.type != stun_type(TURN_DATA, STUN_INDICATION) &&
	     s.type != stun_type(TURN_SEND, STUN_INDICATION)) ||
	    !stun_find(&s, TURN_XOR_PEER_ADDRESS, &peer) || !stun_find(&s, TURN_DATA_ATTR, &data))
		return false;
	if (peer.len != 8 && peer.len != 20)
		return false;
	out->wrap = WRAP_INDICATION;
	out->peer = (uint16_t)(peer.value - frame);
	out->at = (uint16_t)(data.value - frame);
	out->len = data.len;
	return true;
}

/* A datagram that carries data to us: offset and length of what it carries. */
static bool data_of(const uint8_t *f, uint32_t len, struct seen *out)
{
	uint32_t room;

	if (len < IP4 + UDP + STAMP_LEN || (f[0] & 1) != 0)
		return false;
	if (be16_load(f + 12) == 0x0800 && f[14] == 0x45 && f[23] == 17 &&
	    (be16_load(f + 20) & 0x3FFF) == 0) {
		out->udp = IP4;
		room = len - IP4;
	} else if (be16_load(f + 12) == 0x86DD && f[14] >> 4 == 6 && f[20] == 17 &&
	           len >= IP6 + UDP + STAMP_LEN) {
		out->udp = IP6;
		room = len - IP6;
	} else {
		return false;
	}
	const uint16_t udp_len = be16_load(f + out->udp + 4);
	struct channel_data cd;
	const uint8_t *const p = f + out->udp + UDP;

	if (udp_len < UDP + STAMP_LEN || udp_len > room)
		return false;
	if (channel_open(p, udp_len - UDP, CHANNEL_MAX_5766, &cd)) {
		out->at = (uint16_t)(out->udp + UDP + CHANNEL_HDR_LEN);
		out->len = cd.len;
	} else if (p[0] <= 3 && be32_load(p + 4) == STUN_COOKIE) {
		if (!stranger_indication(f, out->udp, udp_len, out))
			return false; /* an answer, a request: no data */
	} else {
		out->at = (uint16_t)(out->udp + UDP);
		out->len = (uint16_t)(udp_len - UDP);
	}
	return out->len >= STAMP_LEN;
}

/* Whole but for the word that says which run. */
static bool other_run(const struct streams *all, const uint8_t *payload, uint32_t len)
{
	uint8_t copy[STAMP_PAYLOAD_MAX];
	uint64_t sum;

	if (len > sizeof(copy))
		return false;
	memcpy(copy, payload, len);
	memcpy(copy, &all->run, 4);
	return stamp_check(copy, len, &sum);
}

/* The word of this run stands where a stamp may begin: ours, with broken headers. */
static bool broken(const struct streams *all, const uint8_t *f, uint32_t len)
{
	const bool four = be16_load(f + 12) == 0x0800, six = be16_load(f + 12) == 0x86DD;
	uint32_t limit = STAMP_AT_MAX, run;

	if (four && len >= IP4 && f[14] == 0x45) {
		/* ICMP quotes us from octet 70 on; a fragment is what it says. */
		if (csum_right(csum_add(0, f + ETH, 20))) {
			if ((be16_load(f + 20) & 0x3FFF) != 0)
				return false;
			if (f[23] == 1)
				limit = IP4 + UDP + CHANNEL_HDR_LEN;
		}
	} else if (six && len >= IP6) {
		if (f[20] == 58)
			limit = IP6 + UDP + CHANNEL_HDR_LEN;
		if (f[20] == 44)
			return false;
	}
	for (uint32_t at = IP4 + UDP - 4; at <= limit && at + STAMP_LEN <= len; at += 2) {
		memcpy(&run, f + at, 4);
		if (run == all->run)
			return true;
	}
	return false;
}

/* One name for it; true: it is ours, whatever became of it. */
static bool damaged(struct engine *e, const uint8_t *f, uint32_t len)
{
	struct seen s;

	if (len < IP4 + UDP + STAMP_LEN)
		return false;
	if (broken(e->s, f, len)) {
		engine_count(&e->tally.corrupted, 1);
		return true;
	}
	if (!data_of(f, len, &s))
		return false;
	if (e->check && other_run(e->s, f + s.at, s.len)) {
		engine_count(&e->tally.corrupted, 1);
		return true;
	}
	engine_count(&e->tally.stray, 1);
	return false;
}

void stranger_judge(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n)
{
	unsigned others = 0;

	for (unsigned i = 0; i < n; i++) {
		if (damaged(e, rte_pktmbuf_mtod(m[i], const uint8_t *), m[i]->data_len))
			engine_stash_put(e, m[i]);
		else
			m[others++] = m[i];
	}
	if (others && e->other)
		e->other(e->arg, lane, m, others);
	else
		rte_pktmbuf_free_bulk(m, others);
}
