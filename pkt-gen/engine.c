#include "pkt-gen/engine_parts.h"

#include <math.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "wire/bytes.h"

enum { STASH_SPARE = 256, BEHIND_PER_S = 10000, GIVE_UP_DIVISOR = 10 };

/* --- streams --- */

static void *pages(size_t octets)
{
	const size_t huge = 2u << 20, len = (octets + huge - 1) & ~(huge - 1);
	const int how = MAP_PRIVATE | MAP_ANONYMOUS;
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, how | MAP_HUGETLB | MAP_POPULATE, -1, 0);

	if (p != MAP_FAILED)
		return p;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, how, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, len, MADV_HUGEPAGE);
	return p;
}

static void pages_free(void *p, size_t octets)
{
	const size_t huge = 2u << 20;

	if (p)
		munmap(p, (octets + huge - 1) & ~(huge - 1));
}

struct streams *streams_new(uint32_t n)
{
	struct streams *const s = calloc(1, sizeof(*s));
	uint64_t random;

	if (!s)
		return NULL;
	stamp_prepare();
	s->n = n;
	s->out = pages((size_t)n * sizeof(*s->out));
	s->in = pages((size_t)n * sizeof(*s->in));
	if (!s->out || !s->in || getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		streams_free(s);
		return NULL;
	}
	s->run = stamp_run(random);
	return s;
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	pages_free(s->out, (size_t)s->n * sizeof(*s->out));
	pages_free(s->in, (size_t)s->n * sizeof(*s->in));
	free(s);
}

void streams_expect(struct streams *s, uint32_t stream, const struct stream_arrival *at)
{
	struct heard *const h = &s->in[stream];
	const uint16_t channel = at->wrap == WRAP_CHANNEL ? at->channel : 0;

	memcpy(h->at, at->at.addr.ip, 16);
	h->tail = heard_tail(__builtin_bswap16(at->at.port), __builtin_bswap16(channel), at->wrap);
	h->peer = h->quick = 0;
	if (at->wrap != WRAP_INDICATION && addr_is4(&at->at.addr)) {
		uint32_t ip4;

		memcpy(&ip4, at->at.addr.ip + 12, 4);
		h->quick = heard_quick(ip4, __builtin_bswap16(at->at.port),
		                       __builtin_bswap16(channel));
	}
	if (at->wrap == WRAP_INDICATION) {
		uint64_t ip[2];

		memcpy(ip, at->peer.addr.ip, 16);
		h->peer = heard_peer(ip[0], ip[1], __builtin_bswap16(at->peer.port));
	}
}

/* --- the hot build of this processor --- */

#ifdef BURST_BUILDS
static engine_receive_fn *receive_chosen = engine_hot_receive_v2;
static engine_fill_fn *fill_chosen = engine_hot_fill_v2;

static void choose(void)
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
	    __builtin_cpu_supports("fma")) {
		receive_chosen = engine_hot_receive_v3;
		fill_chosen = engine_hot_fill_v3;
	}
	if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq")) {
		receive_chosen = engine_hot_receive_v4;
		fill_chosen = engine_hot_fill_v4;
	}
}
#else
static engine_receive_fn *const receive_chosen = engine_hot_receive;
static engine_fill_fn *const fill_chosen = engine_hot_fill;

static void choose(void)
{
}
#endif

/* --- life --- */

struct engine *engine_new(struct streams *s, uint32_t first, uint32_t n, const struct lane *lanes,
                          unsigned n_lanes, engine_other *other, void *arg)
{
	struct engine *const e = aligned_alloc(1024, sizeof(*e));
	uint64_t random;

	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->s = s;
	e->first = first;
	e->n = n;
	e->other = other;
	e->arg = arg;
	e->hz = rte_get_tsc_hz();
	e->behind = e->hz / BEHIND_PER_S;
	e->n_lanes = n_lanes < ENGINE_LANES_MAX ? n_lanes : ENGINE_LANES_MAX;
	for (unsigned i = 0; i < e->n_lanes; i++) {
		unsigned k = 0;

		e->lane[i] = lanes[i];
		while (k < e->n_stashes && e->stash[k].pool != lanes[i].pool)
			k++;
		e->stash[k].pool = lanes[i].pool;
		e->n_stashes = k == e->n_stashes ? k + 1 : e->n_stashes;
		e->stash_of[i] = (uint8_t)k;
		e->out[i].from = &e->stash[k];
	}
	e->indexes = malloc((n ? n : 1) * sizeof(*e->indexes));
	e->tally.latency = histogram_new();
	e->check = true;
	choose();
	if (!e->tally.latency || !e->indexes ||
	    getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		engine_free(e);
		return NULL;
	}
	e->random = random | 1;
	histogram_scale(e->tally.latency, 1e9 / (double)e->hz);
	return e;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	for (unsigned i = 0; i < e->n_lanes; i++)
		rte_pktmbuf_free_bulk(e->out[i].m, e->out[i].n);
	for (unsigned i = 0; i < e->n_stashes; i++)
		if (e->stash[i].n)
			rte_mempool_put_bulk(e->stash[i].pool, (void **)e->stash[i].m,
			                     e->stash[i].n);
	histogram_free(e->tally.latency);
	free(e->indexes);
	free(e);
}

unsigned engine_stash_fill(struct stash *s, unsigned want)
{
	const unsigned more = s->n + STASH_SPARE <= ENGINE_STASH ? STASH_SPARE : want - s->n;

	if (s->n >= want)
		return s->n;
	if (rte_mempool_get_bulk(s->pool, (void **)(s->m + s->n), more) == 0)
		s->n += more;
	while (s->n < want && rte_mempool_get(s->pool, (void **)(s->m + s->n)) == 0)
		s->n++;
	return s->n;
}

void engine_stash_put(struct engine *e, struct rte_mbuf *m)
{
	if (engine_plain(m)) {
		for (unsigned i = 0; i < e->n_stashes; i++) {
			struct stash *const s = &e->stash[i];

			if (s->pool != m->pool)
				continue;
			if (s->n == ENGINE_STASH) {
				s->n -= STASH_SPARE;
				rte_mempool_put_bulk(s->pool, (void **)(s->m + s->n), STASH_SPARE);
			}
			s->m[s->n++] = m;
			return;
		}
	}
	rte_pktmbuf_free(m);
}

/* --- plans --- */

static uint32_t greatest_common(uint32_t a, uint32_t b)
{
	while (b) {
		const uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Far from the neighbour, and every stream before any a second time. */
static uint32_t stride_of(uint32_t n)
{
	uint32_t stride = (uint32_t)((double)n * 0.6180339887);

	if (n < 3)
		return 1 % (n ? n : 1);
	while (greatest_common(stride, n) != 1)
		stride++;
	return stride;
}

static void find_active(struct engine *e)
{
	uint32_t k = 0;

	e->wide = false;
	for (uint32_t i = 0; i < e->n; i++) {
		const struct stream *const s = &e->s->out[e->first + i];

		k += !s->idle;
		e->wide |= s->head_len > 48;
	}
	e->n_active = k;
	e->active = NULL;
	if (k == e->n)
		return;
	e->active = e->indexes;
	k = 0;
	for (uint32_t i = 0; i < e->n; i++)
		if (!e->s->out[e->first + i].idle)
			e->active[k++] = e->first + i;
}

static void set_pace(struct engine *e, const struct engine_plan *plan)
{
	const unsigned burst = plan->profile.burst ? plan->profile.burst : 1;
	double pps = plan->pps;

	if (pps <= 0 && plan->profile.pps > 0)
		pps = plan->profile.pps * e->n_active;
	e->plan_pps = pps;
	e->burst = burst;
	e->step = e->step_frac = 0;
	if (pps <= 0)
		return;
	const double ticks = (double)e->hz * burst / pps;

	e->step = (uint64_t)ticks;
	e->step_frac = (uint64_t)ldexp(ticks - (double)e->step, 64);
}

void engine_start(struct engine *e, const struct engine_plan *plan)
{
	e->plan = *plan;
	tally_clear(&e->tally);
	for (uint32_t i = 0; i < e->n; i++) {
		struct heard *const h = &e->s->in[e->first + i];

		e->s->out[e->first + i].seq = 0;
		h->window[0] = h->window[1] = 0;
		h->next = h->received = 0;
	}
	find_active(e);
	set_pace(e, plan);
	e->check = plan->check_payload;
	e->in_order = plan->round_robin || plan->profile.pps > 0;
	e->stride =
		plan->round_robin ? 1 % (e->n_active ? e->n_active : 1) : stride_of(e->n_active);
	e->n_sizes = plan->profile.n_sizes ? plan->profile.n_sizes : 1;
	memcpy(e->size, plan->profile.size, sizeof(e->size));
	if (e->size[0] < STAMP_LEN)
		e->size[0] = STAMP_LEN;
	e->head = e->tail = e->at = e->at_size = e->burst_left = e->due_of_burst = 0;
	e->due_frac = 0;
	e->left = plan->packets ? plan->packets : UINT64_MAX;
	e->planned = e->fresh = e->n_active > 0;
	e->done = false;
	e->began = e->last_sent = e->reset_at = rte_rdtsc();
}

/* How many a pace comes to in that time: whole bursts, the first at once. */
static uint64_t packets_in(const struct engine *e, double seconds)
{
	return (uint64_t)ceil(seconds * e->plan_pps / e->burst - 1e-6) * e->burst;
}

static void begin(struct engine *e, uint64_t now)
{
	double seconds = e->plan.seconds;

	if (e->plan_pps > 0 && seconds > 0) {
		const uint64_t n = packets_in(e, seconds);

		e->left = n < e->left ? n : e->left;
	}
	if (e->plan_pps > 0 && e->plan.packets && e->left == e->plan.packets)
		seconds = (double)e->left / e->plan_pps;
	const double ticks = seconds * (double)e->hz;

	e->fresh = false;
	e->began = e->last_sent = e->due = now;
	e->end = seconds > 0 ? now + (uint64_t)ticks : UINT64_MAX;
	e->give_up = e->end;
	if (e->plan_pps > 0 && seconds > 0)
		e->give_up += (uint64_t)(ticks / GIVE_UP_DIVISOR) + e->hz / 10;
}

/* --- turns --- */

/* Octets of payload of what stands in an outbox from `first` on. */
static uint64_t octets_from(const struct engine *e, const struct outbox *o, unsigned first)
{
	uint64_t octets = 0;

	for (unsigned i = first; i < o->n; i++) {
		const struct stream *const s = &e->s->out[o->stream[i]];
		const uint8_t *const f = rte_pktmbuf_mtod(o->m[i], const uint8_t *);

		/* Lengths of wrappings stand in front of the data; plain UDP has no padding. */
		octets +=
			s->wrap ? be16_load(f + s->head_len - 2) : o->m[i]->data_len - s->head_len;
	}
	return octets;
}

/* What a full port left. As fast as it goes: it waits. Else it never left, or is lost. */
static void refused(struct engine *e, unsigned lane, unsigned sent, bool wait)
{
	struct outbox *const o = &e->out[lane];
	const unsigned n = o->n - sent;

	o->octets = octets_from(e, o, sent);
	if (wait) {
		memmove(o->m, o->m + sent, n * sizeof(*o->m));
		memmove(o->stream, o->stream + sent, n * sizeof(*o->stream));
		o->n = n;
		return;
	}
	for (unsigned i = sent; i < o->n; i++) {
		if (!e->lane[lane].full_is_loss)
			e->s->out[o->stream[i]]
				.seq--; /* the last of its stream: nobody misses it */
		engine_stash_put(e, o->m[i]);
	}
	if (e->lane[lane].full_is_loss) {
		engine_count(&e->tally.sent, n);
		engine_count(&e->tally.octets_sent, o->octets);
	}
	engine_count(&e->tally.tx_full, n);
	o->n = 0;
	o->octets = 0;
}

/* false: something waits. */
static bool flush(struct engine *e, bool wait)
{
	bool all = true;

	for (unsigned l = 0; l < e->n_lanes; l++) {
		struct outbox *const o = &e->out[l];

		if (o->n == 0)
			continue;
		/* The device owns what it takes: nothing of a frame is read behind this. */
		const uint64_t before = o->octets;
		const unsigned sent =
			rte_eth_tx_burst(e->lane[l].ethdev, e->lane[l].queue, o->m, (uint16_t)o->n);

		engine_count(&e->tally.sent, sent);
		e->moved += sent;
		if (sent == o->n) {
			engine_count(&e->tally.octets_sent, before);
			o->n = 0;
			o->octets = 0;
			continue;
		}
		engine_count(&e->tally.octets_sent, before - octets_from(e, o, sent));
		refused(e, l, sent, wait);
		all &= !wait;
	}
	return all;
}

static bool send_due(struct engine *e)
{
	const bool flat_out = e->plan_pps <= 0;
	const uint64_t now = rte_rdtsc();

	if (e->fresh)
		begin(e, now);
	if (now >= e->give_up) {
		for (unsigned l = 0; l < e->n_lanes; l++)
			if (e->out[l].n) {
				const bool loss = e->lane[l].full_is_loss;

				e->lane[l].full_is_loss = false; /* these never were offered */
				refused(e, l, 0, false);
				e->lane[l].full_is_loss = loss;
			}
		return false;
	}
	if (flat_out && !flush(e, true))
		return true;
	if (fill_chosen(e, now) > 0) {
		flush(e, flat_out);
		e->last_sent = now;
	}
	for (unsigned l = 0; l < e->n_lanes; l++)
		if (e->out[l].n)
			return true;
	return e->left > 0;
}

bool engine_turn(struct engine *e)
{
	struct rte_mbuf *m[ENGINE_BURST];

	e->moved = 0;
	for (unsigned l = 0; l < e->n_lanes; l++) {
		const unsigned n =
			rte_eth_rx_burst(e->lane[l].ethdev, e->lane[l].queue, m, ENGINE_BURST);

		if (n == 0)
			continue;
		receive_chosen(e, l, m, n, rte_rdtsc());
		e->moved += n;
	}
	if (!e->planned || e->done)
		return false;
	e->done = !send_due(e);
	return !e->done;
}

unsigned engine_moved(const struct engine *e)
{
	return e->moved;
}

void engine_send(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n)
{
	const unsigned sent =
		rte_eth_tx_burst(e->lane[lane].ethdev, e->lane[lane].queue, m, (uint16_t)n);

	rte_pktmbuf_free_bulk(m + sent, n - sent);
}

void engine_finish(struct engine *e)
{
	uint64_t sent = 0, heard = 0;

	for (unsigned l = 0; l < e->n_lanes; l++)
		if (e->out[l].n) {
			e->lane[l].full_is_loss &= e->plan_pps > 0;
			refused(e, l, 0, false);
		}
	for (uint32_t i = 0; i < e->n; i++) {
		sent += e->s->out[e->first + i].seq;
		heard += e->s->in[e->first + i].received;
	}
	e->planned = false;
	e->tally.lost = sent - heard;
	e->tally.in_flight = 0;
}

const struct tally *engine_tally(const struct engine *e)
{
	return &e->tally;
}

struct tally engine_snapshot(const struct engine *e)
{
	struct tally t = { 0 };

#define X(name, what) t.name = __atomic_load_n(&e->tally.name, __ATOMIC_RELAXED);
	TALLY_LIST(X)
#undef X
	return t;
}

uint64_t engine_next_ns(const struct engine *e)
{
	const uint64_t now = rte_rdtsc();

	if (!e->planned || e->done)
		return UINT64_MAX;
	if (e->fresh || e->plan_pps <= 0 || e->due <= now)
		return 0;
	return (uint64_t)((double)(e->due - now) * 1e9 / (double)e->hz);
}

double engine_seconds(const struct engine *e)
{
	const bool kept = e->done && e->plan_pps > 0 && e->last_sent < e->end;

	return (double)((kept ? e->end : e->last_sent) - e->began) / (double)e->hz;
}

double engine_pps(const struct engine *e)
{
	return e->plan_pps;
}

uint32_t engine_active(const struct engine *e)
{
	return e->n_active;
}
