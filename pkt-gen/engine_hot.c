/*
 * The bursts of an engine: judging what came, making what is due. In passes, each fetching for the
 * next: stream lines are cold when there are many.
 */
#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "dataplane/port.h"
#include "pkt-gen/engine_parts.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/turn.h"

enum { ETH = 14, UDP = 8, IP4 = 34, IP6 = 54, HEAD_LINE = 48 /* octets of head in line one */ };

static inline uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline void store64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

/* Both words of eight octets. */
static inline uint64_t words(uint64_t w)
{
	return (w & 0xFFFFFFFF) + (w >> 32);
}

/* --- receiving --- */

static inline bool find_udp(const uint8_t *f, uint32_t len, struct seen *out, uint32_t *room)
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

static inline bool find_indication(const uint8_t *f, uint32_t udp_len, uint32_t run,
                                   struct seen *out)
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

/* Plain UDP and ChannelData mixed are the usual load: no branch tells them apart. */
static inline bool find_stamp(const uint8_t *f, uint32_t len, uint32_t run, struct seen *out)
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
static inline bool sum_headers(const struct seen *s, uint64_t *sum)
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

static inline bool checksums_right(const struct lane *lane, struct rte_mbuf *m,
                                   const struct seen *s, uint64_t sum)
{
	const uint8_t *const f = s->frame;
	const uint32_t udp_len = be16_load(f + s->udp + 4);
	const uint32_t behind = s->udp + udp_len - s->at - s->len;

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

static inline bool arrived_right(const struct heard *h, const struct seen *s)
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

static inline enum hearing hear(struct heard *h, uint32_t seq)
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

struct counts {
	uint64_t received, octets, reordered, duplicated, corrupted, misdelivered, checksum, late;
};

static inline void judge(struct engine *e, const struct lane *lane, struct rte_mbuf *m,
                         const struct seen *s, uint64_t now, const bool check, struct counts *c)
{
	const uint8_t *const payload = s->frame + s->at;
	const uint32_t seq = load32(payload + 8);
	const uint64_t due = load64(payload + 16);
	uint64_t sum;

	if (check && __builtin_expect(!stamp_check(payload, s->len, &sum), 0)) {
		c->corrupted++;
		return;
	}
	if (__builtin_expect(s->stream >= e->s->n, 0)) {
		c->corrupted++;
		return;
	}
	if (__builtin_expect((int64_t)(due - e->reset_at) < 0, 0)) {
		c->late++;
		return;
	}
	if (check && __builtin_expect(!checksums_right(lane, m, s, sum), 0)) {
		c->checksum++;
		return;
	}
	struct heard *const h = &e->s->in[s->stream];

	if (__builtin_expect(!arrived_right(h, s), 0)) {
		c->misdelivered++;
		return;
	}
	switch (hear(h, seq)) {
	case HEARD_BEHIND: c->reordered++; break;
	case HEARD_NEW: break;
	case HEARD_AGAIN: c->duplicated++; return;
	case HEARD_TOO_OLD: c->late++; return;
	case HEARD_ABSURD: c->corrupted++; return;
	}
	c->received++;
	c->octets += s->len;
	histogram_record(e->tally.latency, now > due ? now - due : 0);
}

static inline __attribute__((always_inline)) void receive(struct engine *e, unsigned lane,
                                                          struct rte_mbuf **m, unsigned n,
                                                          uint64_t now, const bool check)
{
	struct seen seen[ENGINE_BURST];
	struct rte_mbuf *ours[ENGINE_BURST], *strange[ENGINE_BURST];
	struct counts c = { 0 };
	unsigned k = 0, n_strange = 0;
	const uint32_t run = e->s->run, n_streams = e->s->n;

	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(m[i]);
	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], const uint8_t *));
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *const f = rte_pktmbuf_mtod(m[i], const uint8_t *);
		const uint32_t len = m[i]->data_len;

		if (__builtin_expect(find_stamp(f, len, run, &seen[k]), 1)) {
			ours[k] = m[i];
			if (seen[k].stream < n_streams)
				__builtin_prefetch(&e->s->in[seen[k].stream], 1, 3);
			k++;
			if (check)
				for (uint32_t line = 64; line < len; line += 64)
					rte_prefetch0(f + line);
		} else {
			strange[n_strange++] = m[i];
		}
	}
	for (unsigned i = 0; i < k; i++)
		judge(e, &e->lane[lane], ours[i], &seen[i], now, check, &c);
	struct stash *const to = &e->stash[e->stash_of[lane]];

	for (unsigned i = 0; i < k; i++) {
		if (__builtin_expect(ours[i]->pool == to->pool && to->n < ENGINE_STASH &&
		                             engine_plain(ours[i]),
		                     1))
			to->m[to->n++] = ours[i];
		else
			engine_stash_put(e, ours[i]);
	}
	engine_count(&e->tally.received, c.received);
	engine_count(&e->tally.octets_received, c.octets);
	if (__builtin_expect(c.received != k, 0)) {
		engine_count(&e->tally.duplicated, c.duplicated);
		engine_count(&e->tally.corrupted, c.corrupted);
		engine_count(&e->tally.misdelivered, c.misdelivered);
		engine_count(&e->tally.checksum, c.checksum);
		engine_count(&e->tally.late, c.late);
	}
	if (c.reordered)
		engine_count(&e->tally.reordered, c.reordered);
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

static inline uint32_t draw(struct engine *e)
{
	uint32_t i;

	if (e->burst_left > 0) {
		e->burst_left--;
		return e->drawn[(e->tail - 1) % ENGINE_AHEAD];
	}
	e->burst_left = e->burst - 1;
	if (e->in_order) {
		i = e->at;
		e->at += e->stride;
		if (e->at >= e->n_active)
			e->at -= e->n_active;
	} else {
		uint64_t x = e->random;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		e->random = x;
		i = (uint32_t)((x >> 32) * e->n_active >> 32);
	}
	return e->active ? e->active[i] : e->first + i;
}

/* The next streams, their lines on the way. */
static inline void draw_ahead(struct engine *e)
{
	while (e->tail - e->head < ENGINE_BURST) {
		const uint32_t i = draw(e);
		const struct stream *const s = &e->s->out[i];

		e->drawn[e->tail++ % ENGINE_AHEAD] = i;
		__builtin_prefetch(s, 1, 3);
		if (e->wide)
			rte_prefetch0((const uint8_t *)s + 64);
	}
}

/* What is due, and when it was: at most `n`. */
static inline unsigned take_due(struct engine *e, uint64_t now, unsigned n, uint64_t *due)
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

static inline void make(struct engine *e, struct rte_mbuf *m, struct stream *s, uint32_t index,
                        uint32_t len, uint64_t due, const bool check)
{
	uint8_t *const f = (uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM;
	const uint32_t head = s->head_len, at = s->six ? IP6 : IP4, seq = s->seq++;
	const uint32_t pad = s->wrap == WRAP_INDICATION ? -len & 3 : 0;
	const uint32_t udp_len = head - at + len + pad;
	const uint16_t be_udp = __builtin_bswap16((uint16_t)udp_len);
	const uint16_t be_len = __builtin_bswap16((uint16_t)len);
	uint64_t sum = (uint64_t)s->sum + 2u * be_udp + (s->wrap ? be_len : 0);

	memcpy(f, s->head, HEAD_LINE);
	if (head > HEAD_LINE)
		memcpy(f + HEAD_LINE, s->head + HEAD_LINE, STREAM_HEAD_MAX - HEAD_LINE);
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
	if (__builtin_expect(s->wrap == WRAP_INDICATION, 0)) {
		const uint16_t stun = __builtin_bswap16((uint16_t)(udp_len - UDP - STUN_HDR_LEN));

		memcpy(f + at + UDP + 2, &stun, 2);
		sum += stun;
	}
	uint16_t udp_sum = 0;

	if (check || s->six) {
		sum += stamp_make(f + head, len, e->s->run, index, seq, due);
		memset(f + head + len, 0, pad);
		udp_sum = csum_finish(sum);
		udp_sum = udp_sum ? udp_sum : 0xFFFF;
	} else {
		store64(f + head, e->s->run | (uint64_t)index << 32);
		store64(f + head + 8, seq);
		store64(f + head + 16, due);
	}
	memcpy(f + at + 6, &udp_sum, 2);

	const uint64_t rearm = RTE_PKTMBUF_HEADROOM | UINT64_C(1) << 16 | UINT64_C(1) << 32;
	const uint32_t whole = head + len + pad;

	memcpy(&m->rearm_data, &rearm, 8);
	m->ol_flags = 0;
	m->packet_type = 0;
	m->pkt_len = whole;
	m->data_len = (uint16_t)whole;
}

static inline __attribute__((always_inline)) unsigned fill(struct engine *e, uint64_t now,
                                                           const bool check)
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

	for (unsigned i = 0; i < n; i++) {
		const uint32_t index = e->drawn[e->head++ % ENGINE_AHEAD];
		struct stream *const s = &e->s->out[index];
		struct stash *const from = &e->stash[e->stash_of[s->lane]];
		struct outbox *const out = &e->out[s->lane];
		struct rte_mbuf *const m = from->m[--from->n];
		const uint32_t len = e->size[e->at_size];

		if (++e->at_size == e->n_sizes)
			e->at_size = 0;
		make(e, m, s, index, len, due[i], check);
		out->stream[out->n] = index;
		out->octets[out->n] = (uint16_t)len;
		out->m[out->n++] = m;
		behind += now - due[i] > e->behind;
	}
	if (n)
		draw_ahead(e);
	if (behind)
		engine_count(&e->tally.behind, behind);
	return n;
}

unsigned engine_hot_fill(struct engine *e, uint64_t now)
{
	return e->check ? fill(e, now, true) : fill(e, now, false);
}
