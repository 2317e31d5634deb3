/*
 * The bursts of an engine: judging what came, making what is due. In passes, each fetching for the
 * next: stream lines are cold when there are many.
 */
#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "dataplane/port.h"
#include "pkt-gen/engine_fast.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/turn.h"

enum { ETH = 14, UDP = 8, IP4 = 34, IP6 = 54, HEAD_LINE = 48 /* octets of head in line one */ };

/* Both words of eight octets. */
static inline uint64_t words(uint64_t w)
{
	return (w & 0xFFFFFFFF) + (w >> 32);
}

/* --- receiving --- */

static bool find_udp(const uint8_t *f, uint32_t len, struct seen *out, uint32_t *room)
{
	const uint32_t type = load32(f + 12);

	if ((type & 0xFFFFFF) == 0x450008) {
		const uint64_t mid = load64(f + 16); /* length, id, fragment, TTL, protocol */
		const uint32_t total = __builtin_bswap16((uint16_t)mid);

		if ((mid & UINT64_C(0xFF00FF3F00000000)) != UINT64_C(0x1100000000000000) ||
		    total > len - ETH)
			return false;
		out->udp = IP4;
		out->six = false;
		*room = total - 20;
		return total >= 28;
	}
	if ((type & 0xF0FFFF) != 0x60DD86 || f[20] != 17)
		return false;
	*room = be16_load(f + 18);
	out->udp = IP6;
	out->six = true;
	return *room >= UDP && *room <= len - IP6;
}

static bool find_indication(const uint8_t *f, uint32_t udp_len, uint32_t run, struct seen *out)
{
	const uint8_t *const p = f + out->udp + UDP;

	/* Data, or Send that comes back; XOR-PEER-ADDRESS and DATA, as relays write it. */
	if ((p[0] | (p[1] ^ 0x16) >> 1) != 0 || load32(p + 4) != 0x42A41221)
		return false;
	const uint32_t first = load32(p + 20);

	if (udp_len >= UDP + 36 + STAMP_LEN && (first == 0x08001200 || first == 0x14001200)) {
		const uint32_t data = first == 0x08001200 ? 32 : 44;
		const uint32_t len = be16_load(p + data + 2);

		if (load16(p + data) == 0x1300 && data + 4 + len <= udp_len - UDP) {
			out->peer = (uint16_t)(out->udp + UDP + 24);
			out->at = (uint16_t)(out->udp + UDP + data + 4);
			out->len = (uint16_t)len;
			return len >= STAMP_LEN && load32(f + out->at) == run;
		}
	}
	return stranger_indication(f, out->udp, (uint16_t)udp_len, out) && out->len >= STAMP_LEN &&
	       load32(f + out->at) == run;
}

static bool find_stamp(const uint8_t *f, uint32_t len, uint32_t run, struct seen *out)
{
	uint32_t room;

	out->frame = f;
	if (len < IP4 + UDP + STAMP_LEN || !find_udp(f, len, out, &room))
		return false;
	const uint32_t udp_len = be16_load(f + out->udp + 4);

	if (udp_len > room || udp_len < UDP + STAMP_LEN)
		return false;
	const uint32_t word = load32(f + out->udp + UDP);
	const uint32_t wrap = word == run ? 0 : CHANNEL_HDR_LEN;
	const uint32_t inner = udp_len - UDP - wrap;
	const uint32_t told = __builtin_bswap16((uint16_t)(word >> 16));
	const uint32_t n = wrap ? told : inner;

	out->at = (uint16_t)(out->udp + UDP + wrap);
	if (load32(f + out->at) == run && n <= inner && n >= STAMP_LEN) {
		out->wrap = wrap ? WRAP_CHANNEL : WRAP_NONE;
		out->len = (uint16_t)n;
		out->stream = load32(f + out->at + 4);
		return !wrap || (word & 0xC0) == 0x40;
	}
	out->wrap = WRAP_INDICATION;
	if (!find_indication(f, udp_len, run, out))
		return false;
	out->stream = load32(f + out->at + 4);
	return true;
}

/* One's complement sum of pseudo-header, UDP header and wrapping; true if "none" is a sum too. */
static bool sum_headers(const struct seen *s, uint64_t *sum)
{
	const uint8_t *const f = s->frame, *const udp = f + s->udp;
	const uint64_t header = load64(udp);

	*sum += words(header) + (header >> 32 & 0xFFFF) + 0x1100;
	if (s->six)
		*sum += words(load64(f + 22)) + words(load64(f + 30)) + words(load64(f + 38)) +
		        words(load64(f + 46));
	else
		*sum += words(load64(f + 26));
	if (s->wrap == WRAP_CHANNEL)
		*sum += load32(udp + UDP);
	else if (s->wrap == WRAP_INDICATION)
		*sum = csum_add(*sum, udp + UDP, s->at - s->udp - UDP);
	return !s->six && header >> 48 == 0;
}

static bool checksums_right(const struct lane *lane, struct rte_mbuf *m, const struct seen *s,
                            uint64_t sum)
{
	const uint8_t *const f = s->frame;
	const uint32_t udp_len = be16_load(f + s->udp + 4);
	const uint32_t behind = s->udp + udp_len - s->at - s->len;

	sum = stamp_fold(sum);
	if (!s->six) {
		const uint64_t ip =
			words(load64(f + ETH)) + words(load64(f + ETH + 8)) + load32(f + ETH + 16);

		if (csum_fold(ip) != 0xFFFF)
			return false;
	}
	if (sum_headers(s, &sum))
		return true;
	if (__builtin_expect(behind != 0, 0)) {
		const uint16_t more = csum_fold(csum_add(0, f + s->at + s->len, behind));

		sum += s->len % 2 ? __builtin_bswap16(more) : more;
	}
	if (__builtin_expect(csum_fold(sum) == 0xFFFF && load16(f + s->udp + 6) != 0, 1))
		return true;
	return lane->software && port_complete_checksum(m);
}

static bool arrived_right(const struct heard *h, const struct seen *s)
{
	const uint8_t *const f = s->frame, *const udp = f + s->udp;
	const uint16_t channel = s->wrap == WRAP_CHANNEL ? load16(udp + UDP) : 0;
	uint64_t high = 0, low = UINT64_C(0xFFFF0000) | (uint64_t)load32(f + 30) << 32, peer = 0;

	if (s->six) {
		high = load64(f + 38);
		low = load64(f + 46);
	}
	if (s->wrap == WRAP_INDICATION) {
		const uint8_t *const a = f + s->peer, *const cookie = udp + UDP + 4;
		const uint16_t port = load16(a + 2) ^ load16(cookie);

		peer = a[1] == TURN_FAMILY_IPV4
		               ? heard_peer(0,
		                            UINT64_C(0xFFFF0000) |
		                                    (uint64_t)(load32(a + 4) ^ load32(cookie))
		                                            << 32,
		                            port)
		               : heard_peer(load64(a + 4) ^ load64(cookie),
		                            load64(a + 12) ^ load64(cookie + 8), port);
	}
	return ((h->at[0] ^ high) | (h->at[1] ^ low) | (h->peer ^ peer) |
	        (h->tail ^ heard_tail(load16(udp + 2), channel, (enum stream_wrap)s->wrap))) == 0;
}

enum hearing { HEARD_NEW, HEARD_BEHIND, HEARD_AGAIN, HEARD_TOO_OLD, HEARD_ABSURD };

static INLINE enum hearing hear(struct heard *h, uint32_t seq)
{
	const uint32_t ahead = seq - h->next;

	if (__builtin_expect(ahead == 0, 1)) {
		h->window[1] = h->window[1] << 1 | h->window[0] >> 63;
		h->window[0] = h->window[0] << 1 | 1;
		h->next = seq + 1;
		h->received++;
		return HEARD_NEW;
	}
	if (ahead < UINT32_C(1) << 31) {
		const uint32_t shift = ahead + 1;

		if (shift > 1 << 26) /* a number that was damaged where nobody looks at sums */
			return HEARD_ABSURD;
		const unsigned __int128 w = (unsigned __int128)h->window[1] << 64 | h->window[0];
		const unsigned __int128 to = (shift < HEARD_WINDOW ? w << shift : 0) | 1;

		h->window[0] = (uint64_t)to;
		h->window[1] = (uint64_t)(to >> 64);
		h->next = seq + 1;
		h->received++;
		return HEARD_NEW;
	}
	const uint32_t back = h->next - 1 - seq;

	if (back >= HEARD_WINDOW)
		return HEARD_TOO_OLD;
	const uint64_t bit = UINT64_C(1) << back % 64;

	if (h->window[back / 64] & bit)
		return HEARD_AGAIN;
	h->window[back / 64] |= bit;
	h->received++;
	return HEARD_BEHIND;
}

/* What came in a burst; latencies from `now`. */
struct counts {
	uint64_t received, octets, reordered, duplicated, corrupted, misdelivered, checksum, late;
	uint64_t first_due, last_due;
};

static INLINE void heard(struct engine *e, struct heard *h, uint32_t seq, uint32_t len,
                         uint64_t due, uint64_t now, struct counts *c)
{
	const enum hearing how = hear(h, seq);

	if (__builtin_expect(how > HEARD_BEHIND, 0)) {
		c->duplicated += how == HEARD_AGAIN;
		c->late += how == HEARD_TOO_OLD;
		c->corrupted += how == HEARD_ABSURD;
		return;
	}
	c->reordered += how == HEARD_BEHIND;
	c->received++;
	c->octets += len;
	due = due < now ? due : now;
	c->first_due = due < c->first_due ? due : c->first_due;
	c->last_due = due > c->last_due ? due : c->last_due;
	histogram_place(e->tally.latency, now - due);
}

/* The long way. false: it carries no stamp of this run. */
static __attribute__((noinline)) bool judge(struct engine *e, const struct lane *lane,
                                            struct rte_mbuf *m, uint64_t now, struct counts *c)
{
	struct seen s;
	uint64_t sum = 0;

	if (!find_stamp(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, e->s->run, &s))
		return false;
	const uint8_t *const payload = s.frame + s.at;
	const uint64_t due = load64(payload + 16);

	if ((e->check && !stamp_check(payload, s.len, &sum)) || s.stream >= e->s->n)
		c->corrupted++;
	else if ((int64_t)(due - e->reset_at) < 0)
		c->late++;
	else if (e->check && !checksums_right(lane, m, &s, sum))
		c->checksum++;
	else if (!arrived_right(&e->s->in[s.stream], &s))
		c->misdelivered++;
	else
		heard(e, &e->s->in[s.stream], load32(payload + 8), s.len, due, now, c);
	return true;
}

static void add_received(struct engine *e, const struct counts *c, uint64_t now)
{
	struct tally *const t = &e->tally;

	if (c->received == 0)
		return;
	engine_count(&t->received, c->received);
	engine_count(&t->octets_received, c->octets);
	histogram_placed(t->latency, c->received, now - c->last_due, now - c->first_due);
}

static void add_faults(struct engine *e, const struct counts *c)
{
	struct tally *const t = &e->tally;

	engine_count(&t->reordered, c->reordered);
	engine_count(&t->duplicated, c->duplicated);
	engine_count(&t->corrupted, c->corrupted);
	engine_count(&t->misdelivered, c->misdelivered);
	engine_count(&t->checksum, c->checksum);
	engine_count(&t->late, c->late);
}

static INLINE void receive(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n,
                           uint64_t now, const bool check)
{
	struct rte_mbuf *strange[ENGINE_BURST];
	/* Two, for the address of one goes out of hand, and the other stays in registers. */
	struct counts c = { .first_due = UINT64_MAX }, slow = { .first_due = UINT64_MAX };
	struct stash *const to = &e->stash[e->stash_of[lane]];
	const struct streams all = *e->s;
	const uint64_t reset_at = e->reset_at;
	unsigned n_strange = 0, stashed = to->n;

	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(m[i]);
	for (unsigned i = 0; i < n; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(m[i], const uint8_t *));
		rte_prefetch0(rte_pktmbuf_mtod_offset(m[i], const uint8_t *, 64));
	}
	for (unsigned i = 0; i < n; i++)
		fast_fetch(&all, rte_pktmbuf_mtod(m[i], const uint8_t *));
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *const f = rte_pktmbuf_mtod(m[i], const uint8_t *);
		const uint32_t len = m[i]->data_len;
		struct fast got;

		if (__builtin_expect(len >= FAST_BODY + STAMP_LEN &&
		                             fast_accept(&all, f, len, reset_at, check, &got),
		                     1)) {
			heard(e, got.heard, got.seq, got.len, got.due, now, &c);
		} else if (!judge(e, &e->lane[lane], m[i], now, &slow)) {
			strange[n_strange++] = m[i];
			continue;
		}
		if (__builtin_expect(m[i]->pool == to->pool && stashed < ENGINE_STASH &&
		                             engine_plain(m[i]),
		                     1)) {
			to->m[stashed++] = m[i];
			continue;
		}
		to->n = stashed;
		engine_stash_put(e, m[i]);
		stashed = to->n;
	}
	to->n = stashed;
	add_received(e, &c, now);
	if (__builtin_expect(c.received != n || c.reordered > 0, 0)) {
		add_faults(e, &c);
		add_received(e, &slow, now);
		add_faults(e, &slow);
	}
	if (__builtin_expect(n_strange != 0, 0))
		stranger_judge(e, lane, strange, n_strange);
}

void engine_hot_receive(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n,
                        uint64_t now)
{
	if (e->check)
		receive(e, lane, m, n, now, true);
	else
		receive(e, lane, m, n, now, false);
}

/* --- sending --- */

/* The next streams, their lines on the way. */
static INLINE void draw_ahead(struct engine *e)
{
	const struct stream *const out = e->s->out;
	const uint32_t n_active = e->n_active, first = e->first, *const active = e->active;
	const unsigned from = e->tail, to = e->head + ENGINE_BURST;
	const bool in_order = e->in_order, wide = e->wide;
	unsigned burst_left = e->burst_left;
	uint32_t at = e->at, i = e->drawn[(from - 1) % ENGINE_AHEAD];
	uint64_t x = e->random;

	for (unsigned k = from; k != to; k++) {
		if (burst_left > 0) {
			burst_left--;
		} else if (in_order) {
			burst_left = e->burst - 1;
			i = active ? active[at] : first + at;
			at += e->stride;
			at = at >= n_active ? at - n_active : at;
		} else {
			burst_left = e->burst - 1;
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			i = (uint32_t)((x >> 32) * n_active >> 32);
			i = active ? active[i] : first + i;
		}
		e->drawn[k % ENGINE_AHEAD] = i;
		__builtin_prefetch(&out[i], 1, 3);
		if (wide)
			rte_prefetch0((const uint8_t *)&out[i] + 64);
	}
	e->tail = to;
	e->burst_left = burst_left;
	e->at = at;
	e->random = x;
}

/* What is due, and when it was: at most `n`. */
static INLINE unsigned take_due(struct engine *e, uint64_t now, unsigned n, uint64_t *due)
{
	unsigned k = 0;

	n = e->left < n ? (unsigned)e->left : n;
	if (e->step == 0 && e->step_frac == 0) {
		for (; k < n; k++)
			due[k] = now;
		e->left -= k;
		return k;
	}
	unsigned of_burst = e->due_of_burst;

	while (k < n && (int64_t)(now - e->due) >= 0) {
		due[k++] = e->due;
		if (++of_burst < e->burst)
			continue;
		of_burst = 0;
		e->due += e->step + __builtin_add_overflow(e->due_frac, e->step_frac, &e->due_frac);
	}
	e->due_of_burst = of_burst;
	e->left -= k;
	return k;
}

/* Any stream; the fast way is fast_make(). Octets of the frame. */
static __attribute__((noinline)) uint32_t make(uint8_t *f, const struct stream *s, uint32_t seq,
                                               uint32_t run, uint32_t index, uint32_t len,
                                               uint64_t due, bool check)
{
	const uint32_t head = s->head_len, at = s->six ? IP6 : IP4;
	const uint32_t pad = s->wrap == WRAP_INDICATION ? -len & 3 : 0;
	const uint32_t udp_len = head - at + len + pad;
	const uint16_t be_udp = __builtin_bswap16((uint16_t)udp_len);
	const uint16_t be_len = __builtin_bswap16((uint16_t)len);
	uint64_t sum = (uint64_t)s->sum + 2u * be_udp + (s->wrap ? be_len : 0);

	memcpy(f, s->head, STREAM_HEAD_MAX);
	if (s->six) {
		memcpy(f + 18, &be_udp, 2);
	} else {
		const uint16_t total = __builtin_bswap16((uint16_t)(20 + udp_len));
		const uint32_t ip = (uint32_t)s->ip_sum + total;
		const uint16_t folded = (uint16_t) ~(uint16_t)(ip + (ip >> 16));

		memcpy(f + 16, &total, 2);
		memcpy(f + 24, &folded, 2);
	}
	memcpy(f + at + 4, &be_udp, 2);
	/* The last field of any wrapping is the length; of none it is the checksum, below. */
	memcpy(f + head - 2, &be_len, 2);
	if (s->wrap == WRAP_INDICATION) {
		const uint16_t stun = __builtin_bswap16((uint16_t)(udp_len - UDP - STUN_HDR_LEN));

		memcpy(f + at + UDP + 2, &stun, 2);
		sum += stun;
	}
	uint16_t udp_sum = 0;

	if (check || s->six) {
		sum += stamp_fold(stamp_make(f + head, len, run, index, seq, due));
		udp_sum = csum_finish(sum);
		udp_sum = udp_sum ? udp_sum : 0xFFFF;
	} else {
		store64(f + head, run | (uint64_t)index << 32);
		store64(f + head + 8, seq);
		store64(f + head + 16, due);
	}
	memset(f + head + len, 0, pad);
	memcpy(f + at + 6, &udp_sum, 2);
	return head + len + pad;
}

static INLINE void set_mbuf(struct rte_mbuf *m, uint32_t octets)
{
	const uint64_t rearm = RTE_PKTMBUF_HEADROOM | UINT64_C(1) << 16 | UINT64_C(1) << 32;

	memcpy(&m->rearm_data, &rearm, 8);
	m->ol_flags = 0;
	m->packet_type = 0;
	m->pkt_len = octets;
	m->data_len = (uint16_t)octets;
}

static INLINE uint32_t make_any(uint8_t *f, const struct stream *s, uint32_t seq, uint32_t run,
                                uint32_t index, uint32_t len, uint64_t due, const bool check)
{
	if (__builtin_expect(s->head_len <= HEAD_LINE, 1))
		return fast_make(f, s, seq, run, index, len, due, check);
	return make(f, s, seq, run, index, len, due, check);
}

/* Frames for n due times, into outboxes that are empty. */
static INLINE void make_all(struct engine *e, const uint64_t *due, unsigned n, const bool check,
                            const bool one_lane)
{
	const uint32_t run = e->s->run;
	struct stream *const streams = e->s->out;
	struct outbox *const only = &e->out[0];
	struct rte_mbuf *const *const top = only->from->m + only->from->n;
	const unsigned head = e->head, n_sizes = e->n_sizes;
	unsigned at_size = e->at_size;
	uint64_t octets = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint32_t index = e->drawn[(head + i) % ENGINE_AHEAD];
		struct stream *const s = &streams[index];
		struct outbox *const out = one_lane ? only : &e->out[s->lane];
		struct rte_mbuf *const m =
			one_lane ? top[-1 - (int)i] : out->from->m[--out->from->n];
		uint8_t *const f = (uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM;
		const uint32_t len = e->size[at_size], seq = s->seq++;

		at_size = at_size + 1 == n_sizes ? 0 : at_size + 1;
		set_mbuf(m, make_any(f, s, seq, run, index, len, due[i], check));
		if (one_lane) {
			out->stream[i] = index;
			out->m[i] = m;
			octets += len;
			continue;
		}
		out->stream[out->n] = index;
		out->m[out->n++] = m;
		out->octets += len;
	}
	e->at_size = at_size;
	if (one_lane) {
		only->from->n -= n;
		only->n = n;
		only->octets = octets;
	}
}

static INLINE unsigned fill(struct engine *e, uint64_t now, const bool check)
{
	uint64_t due[ENGINE_BURST];
	uint64_t behind = 0;
	unsigned room = ENGINE_BURST;

	draw_ahead(e); /* the first time */
	for (unsigned i = 0; i < e->n_stashes; i++) {
		unsigned have = e->stash[i].n;

		if (__builtin_expect(have < ENGINE_BURST, 0))
			have = engine_stash_fill(&e->stash[i], ENGINE_BURST);
		room = have < room ? have : room;
	}
	const unsigned n = take_due(e, now, room, due);

	if (n == 0)
		return 0;
	if (e->n_lanes == 1)
		make_all(e, due, n, check, true);
	else
		make_all(e, due, n, check, false);
	e->head += n;
	draw_ahead(e);
	for (unsigned i = 0; i < n && now - due[i] > e->behind; i++)
		behind++; /* due times only grow */
	if (behind)
		engine_count(&e->tally.behind, behind);
	return n;
}

unsigned engine_hot_fill(struct engine *e, uint64_t now)
{
	return e->check ? fill(e, now, true) : fill(e, now, false);
}
