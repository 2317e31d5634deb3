/*
 * Mirrors pkt-gen/engine.c, engine_hot.c, stranger.c: each fault that a server can commit is
 * committed here, and counts under its own name and no other; the sum closes whatever happens.
 */
#include "loop.h"

#include <rte_cycles.h>
#include <unistd.h>

#include "pkt-gen/stamp.h"
#include "wire/checksum.h"
#include "wire/stun_build.h"
#include "wire/turn.h"

enum { ALL = LOOP_STREAMS, HEADS = 14 + 40 + 8 + 48 };

static struct loop l;

static const struct tally *finish(void)
{
	engine_finish(l.engine);
	return engine_tally(l.engine);
}

/* Names that hold a fault, and their counts. */
static uint64_t faults(const struct tally *t)
{
	return t->duplicated + t->reordered + t->corrupted + t->misdelivered + t->checksum +
	       t->late + t->stray;
}

/* One fault, of the name at that place, `lost` packets, the rest received; closed. */
static void check_one(const struct tally *t, size_t name, unsigned lost, const char *what)
{
	uint64_t found;

	memcpy(&found, (const uint8_t *)t + name, sizeof(found));
	CHECK(found == 1 && faults(t) == 1, what);
	CHECK(t->lost == lost && t->received == t->sent - lost && tally_gap(t) == 0, what);
}

static uint8_t *frame_of(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, uint8_t *);
}

static unsigned udp_at(const uint8_t *f)
{
	return f[12] == 0x86 ? 54 : 34;
}

/* Makes both checksums right again. */
static void mend(struct rte_mbuf *m)
{
	uint8_t *const f = frame_of(m), *const ip = f + 14, *const udp = f + udp_at(f);
	const bool six = udp_at(f) == 54;
	const uint8_t *const src = ip + (six ? 8 : 12);
	const unsigned len = six ? 16 : 4;

	if (!six) {
		csum_store(ip + 10, 0);
		csum_store(ip + 10, csum_finish(csum_add(0, ip, 20)));
	}
	csum_store(udp + 6, 0);
	csum_store(udp + 6, csum_udp(src, src + len, len, udp, be16_load(udp + 4)));
}

static const uint16_t sizes[] = {
	24, 25, 26, 27, 31, 32, 55, 57, 87, 88, 120, 160, 161, 1199, 1472
};

/* All wrappings and families, odd sizes too, come whole, and their checksums are right. */
static void test_clean(void)
{
	struct rte_mbuf *m[4 * ALL];

	for (unsigned k = 0; k < 2 * RTE_DIM(sizes); k++) {
		const bool check = k % 2 == 0;
		const uint16_t octets = sizes[k / 2];

		loop_open(&l, LOOP_RING);
		CHECK(loop_send(&l, 4 * ALL, octets, check) == 4 * ALL, "sent");
		const unsigned n = loop_take(&l, m, 4 * ALL);

		for (unsigned i = 0; check && i < n; i++) {
			const uint8_t *const f = frame_of(m[i]), *const udp = f + udp_at(f);
			const bool six = udp_at(f) == 54;
			const uint8_t *const src = f + 14 + (six ? 8 : 12);
			const unsigned len = six ? 16 : 4;

			CHECK(csum_udp_right(src, src + len, len, udp, be16_load(udp + 4)),
			      "UDP checksum");
			CHECK(six || csum_right(csum_add(0, f + 14, 20)), "IP checksum");
			CHECK(m[i]->data_len == m[i]->pkt_len &&
			              m[i]->data_len == udp - f + be16_load(udp + 4),
			      "length");
		}
		loop_give(&l, m, n);
		const struct tally *const t = finish();

		CHECK(t->sent == 4 * ALL && t->received == 4 * ALL && t->lost == 0 &&
		              faults(t) == 0 && t->tx_full == 0 && tally_gap(t) == 0,
		      "all received");
		CHECK(t->octets_sent == 4u * ALL * octets && t->octets_received == t->octets_sent,
		      "octets");
		CHECK(histogram_count(t->latency) == t->received, "each has a latency");
		CHECK(l.strangers == 0, "no strangers");
		loop_close(&l);
	}
}

/* Sends, hands frame `which` to `spoil` and the rest on. */
static const struct tally *spoilt(unsigned which, unsigned octets, bool check,
                                  void (*spoil)(struct rte_mbuf *))
{
	struct rte_mbuf *m[2 * ALL];

	loop_send(&l, 2 * ALL, octets, check);
	const unsigned n = loop_take(&l, m, 2 * ALL);

	spoil(m[which]);
	loop_give(&l, m, n);
	return finish();
}

static void test_drop(void)
{
	struct rte_mbuf *m[2 * ALL];

	loop_open(&l, LOOP_RING);
	loop_send(&l, 2 * ALL, 160, true);
	const unsigned n = loop_take(&l, m, 2 * ALL);

	rte_pktmbuf_free_bulk(m + 3, 5);
	loop_give(&l, m, 3);
	loop_give(&l, m + 8, n - 8);
	const struct tally *const t = finish();

	CHECK(t->lost == 5 && t->received == 2 * ALL - 5 && faults(t) == 0 && tally_gap(t) == 0,
	      "lost, and nothing else");
	CHECK(tally_loss(t) > 0.208 && tally_loss(t) < 0.209, "ratio");
	loop_close(&l);
}

static void test_duplicate(void)
{
	struct rte_mbuf *m[2 * ALL + 1];

	for (unsigned which = 0; which < ALL; which++) {
		loop_open(&l, LOOP_RING);
		loop_send(&l, 2 * ALL, 160, which % 2);
		const unsigned n = loop_take(&l, m, 2 * ALL);

		m[n] = loop_copy(&l, m[which]);
		loop_give(&l, m, n + 1);
		check_one(finish(), offsetof(struct tally, duplicated), 0, "duplicated");
		loop_close(&l);
	}
}

static void test_reorder(void)
{
	struct rte_mbuf *m[2 * ALL];

	for (unsigned which = 0; which < ALL; which++) {
		loop_open(&l, LOOP_RING);
		loop_send(&l, 2 * ALL, 160, true);
		const unsigned n = loop_take(&l, m, 2 * ALL);
		struct rte_mbuf *const first = m[which];

		m[which] = m[which + ALL];
		m[which + ALL] = first;
		loop_give(&l, m, n);
		check_one(finish(), offsetof(struct tally, reordered), 0, "reordered");
		loop_close(&l);
	}
}

/* The window: 127 behind is still known, 128 behind is late. */
static void test_window(void)
{
	enum { N = 130 };
	struct rte_mbuf *m[N];

	for (unsigned behind = 126; behind <= 129; behind++) {
		loop_open(&l, LOOP_RING);
		for (unsigned i = 1; i < ALL; i++)
			l.streams->out[i].idle = true;
		CHECK(loop_send(&l, N, 160, true) == N, "one stream sends all");
		loop_take(&l, m, N);
		loop_give(&l, m + 1, behind);
		loop_give(&l, m, 1);
		loop_give(&l, m + 1 + behind, N - 1 - behind);
		const struct tally *const t = finish();

		if (behind <= 127)
			check_one(t, offsetof(struct tally, reordered), 0, "within the window");
		else
			check_one(t, offsetof(struct tally, late), 1,
			          "out of the window: late, and lost");
		loop_close(&l);
	}
}

/* Numbers that jump over the whole window, and back. */
static void test_gap(void)
{
	enum { N = 400 };
	struct rte_mbuf *m[N];

	loop_open(&l, LOOP_RING);
	for (unsigned i = 1; i < ALL; i++)
		l.streams->out[i].idle = true;
	loop_send(&l, N, 24, true);
	loop_take(&l, m, N);
	loop_give(&l, m, 1);
	loop_give(&l, m + 65, 1);
	loop_give(&l, m + 64, 1);
	loop_give(&l, m + 399, 1);
	loop_give(&l, m + 272, 1);
	rte_pktmbuf_free_bulk(m + 1, 63);
	rte_pktmbuf_free_bulk(m + 66, 206);
	rte_pktmbuf_free_bulk(m + 273, 126);
	const struct tally *const t = finish();

	CHECK(t->received == 5 && t->reordered == 2 && t->lost == N - 5 && tally_gap(t) == 0,
	      "gaps of more than a window");
	loop_close(&l);
}

/* --- octets --- */

/*
 * One bit anywhere from the type field to the end: exactly one fault, one packet lost, and never a
 * reception. (A MAC address is the port's business.)
 */
static void test_any_bit(void)
{
	enum { OCTETS = 40 };
	struct rte_mbuf *m[2 * ALL];

	for (unsigned which = 0; which < 6; which++) {
		loop_open(&l, LOOP_RING);
		loop_send(&l, ALL, OCTETS, true);
		loop_take(&l, m, ALL);
		const unsigned len = m[which]->data_len, payload = len - OCTETS;

		loop_give(&l, m, ALL);
		finish();
		for (unsigned bit = 12 * 8; bit < len * 8; bit++) {
			l.strangers = 0;
			loop_send(&l, ALL, OCTETS, true);
			loop_take(&l, m, ALL);
			frame_of(m[which])[bit / 8] ^= (uint8_t)(1 << bit % 8);
			loop_give(&l, m, ALL);
			const struct tally *const t = finish();
			char what[64];

			snprintf(what, sizeof(what), "stream %u octet %u bit %u", which, bit / 8,
			         bit % 8);
			/* IPv6's traffic class, flow label and hop limit change on the way. */
			const bool free = which >= 3 && ((bit >= 14 * 8 && bit < 18 * 8 &&
			                                  (bit >= 15 * 8 || bit % 8 < 4)) ||
			                                 bit / 8 == 21);

			if (free) {
				CHECK(t->received == ALL && faults(t) == 0, what);
				continue;
			}
			CHECK(t->lost == 1 && t->received == ALL - 1 && tally_gap(t) == 0, what);
			CHECK(faults(t) == 1 && l.strangers == 0, what);
			if (bit / 8 >= payload)
				CHECK(t->corrupted == 1, what);
		}
		loop_close(&l);
	}
}

static void flip_last(struct rte_mbuf *m)
{
	frame_of(m)[m->data_len - 1] ^= 1;
}

static void flip_last_and_mend(struct rte_mbuf *m)
{
	flip_last(m);
	mend(m);
}

static void cut(struct rte_mbuf *m)
{
	uint8_t *const f = frame_of(m);

	rte_pktmbuf_trim(m, 8);
	be16_store(f + 16, (uint16_t)(be16_load(f + 16) - 8));
	be16_store(f + 38, (uint16_t)(be16_load(f + 38) - 8));
	mend(m);
}

static void swap_halves(struct rte_mbuf *m)
{
	uint8_t *const end = frame_of(m) + m->data_len;
	uint8_t half[64];

	memcpy(half, end - 128, 64);
	memcpy(end - 128, end - 64, 64);
	memcpy(end - 64, half, 64);
}

/* Damage that a server hides behind a right UDP checksum is found all the same. */
static void test_corrupt(void)
{
	static void (*const how[])(struct rte_mbuf *) = { flip_last, flip_last_and_mend,
		                                          swap_halves };

	for (unsigned k = 0; k < RTE_DIM(how); k++) {
		for (unsigned which = 0; which < 6; which++) {
			loop_open(&l, LOOP_RING);
			check_one(spoilt(which, 160, true, how[k]),
			          offsetof(struct tally, corrupted), 1, "corrupted");
			loop_close(&l);
		}
	}
	loop_open(&l, LOOP_RING); /* plain UDP over IPv4, cut short */
	check_one(spoilt(0, 160, true, cut), offsetof(struct tally, corrupted), 1, "cut short");
	loop_close(&l);
}

static void wrong_udp(struct rte_mbuf *m)
{
	frame_of(m)[udp_at(frame_of(m)) + 6] ^= 0x10;
}

static void wrong_ip(struct rte_mbuf *m)
{
	frame_of(m)[24] ^= 0x10;
}

static void no_udp(struct rte_mbuf *m)
{
	csum_store(frame_of(m) + udp_at(frame_of(m)) + 6, 0);
}

static void test_checksum(void)
{
	for (unsigned which = 0; which < 6; which++) {
		loop_open(&l, LOOP_RING);
		check_one(spoilt(which, 160, true, wrong_udp), offsetof(struct tally, checksum), 1,
		          "UDP checksum");
		loop_close(&l);
		if (which >= 3)
			continue;
		loop_open(&l, LOOP_RING);
		check_one(spoilt(which, 160, true, wrong_ip), offsetof(struct tally, checksum), 1,
		          "IP checksum");
		loop_close(&l);
		loop_open(&l, LOOP_RING);
		CHECK(spoilt(which, 160, true, no_udp)->received == 2 * ALL, "none over IPv4");
		loop_close(&l);
		loop_open(&l, LOOP_RING);
		check_one(spoilt(which + 3, 160, true, no_udp), offsetof(struct tally, checksum), 1,
		          "none over IPv6");
		loop_close(&l);
	}
}

/* The folded sum of the pseudo-header: what a kernel leaves to an offload that never comes. */
static void partial(struct rte_mbuf *m)
{
	uint8_t *const f = frame_of(m), *const udp = f + 34;

	csum_store(udp + 6, csum_fold(csum_pseudo_udp(f + 26, f + 30, 4, be16_load(udp + 4))));
}

static void test_partial(void)
{
	for (unsigned software = 0; software < 2; software++) {
		loop_open(&l, LOOP_RING);
		l.lane.software = software;
		const struct tally *const t = spoilt(1, 160, true, partial);

		if (software)
			CHECK(t->received == 2 * ALL && faults(t) == 0, "completed");
		else
			check_one(t, offsetof(struct tally, checksum), 1,
			          "not on a port that sums");
		loop_close(&l);
	}
}

/* --- where it arrives --- */

static void other_port(struct rte_mbuf *m)
{
	frame_of(m)[udp_at(frame_of(m)) + 3] ^= 1;
	mend(m);
}

static void other_address(struct rte_mbuf *m)
{
	frame_of(m)[udp_at(frame_of(m)) - 1] ^= 4;
	mend(m);
}

static void other_wrap(struct rte_mbuf *m)
{
	uint8_t *const p = frame_of(m) + udp_at(frame_of(m)) + 8;

	if (*p == 0x40)
		p[1] ^= 1; /* another channel */
	else if (*p == 0)
		p[20 + 4 + 7] ^= 1; /* another peer */
	else
		frame_of(m)[udp_at(frame_of(m)) + 2] ^= 1;
	mend(m);
}

static void test_misdelivered(void)
{
	static void (*const how[])(struct rte_mbuf *) = { other_port, other_address, other_wrap };

	for (unsigned k = 0; k < 2 * RTE_DIM(how); k++) {
		for (unsigned which = 0; which < 6; which++) {
			loop_open(&l, LOOP_RING);
			check_one(spoilt(which, 160, k % 2, how[k / 2]),
			          offsetof(struct tally, misdelivered), 1, "misdelivered");
			loop_close(&l);
		}
	}
}

/* The payload of one stream in the headers of another: as a relay that mixes rows up would do. */
static void test_other_stream(void)
{
	struct rte_mbuf *m[ALL];

	loop_open(&l, LOOP_RING);
	loop_send(&l, ALL, 160, true);
	loop_take(&l, m, ALL);
	memcpy(frame_of(m[1]) + 46, frame_of(m[7]) + 46, 160); /* both ChannelData over IPv4 */
	mend(m[1]);
	loop_give(&l, m, ALL);
	check_one(finish(), offsetof(struct tally, misdelivered), 1, "of another stream");
	loop_close(&l);
}

/* --- time --- */

static void test_late(void)
{
	struct rte_mbuf *m[2 * ALL];

	loop_open(&l, LOOP_RING);
	loop_send(&l, 2 * ALL, 160, true);
	unsigned n = loop_take(&l, m, 2 * ALL);
	struct rte_mbuf *const kept = m[5];

	m[5] = m[--n];
	loop_give(&l, m, n);
	CHECK(finish()->lost == 1, "not there in time");
	loop_send(&l, 2 * ALL, 160, true);
	n = loop_take(&l, m, 2 * ALL);
	loop_give(&l, m, n);
	struct rte_mbuf *late[] = { kept };

	loop_give(&l, late, 1);
	check_one(finish(), offsetof(struct tally, late), 0, "late");
	loop_close(&l);
}

/* Of another run of the generator; ARP; an answer of the server. */
static void test_strangers(void)
{
	static const uint8_t arp[42] = { 2, 0, 0, 0, 0, 1, [12] = 8, [13] = 6, [15] = 1 };
	struct rte_mbuf *m[2 * ALL + 2];
	struct stun_builder b;
	uint8_t txid[12] = { 7 };

	loop_open(&l, LOOP_RING);
	loop_send(&l, 2 * ALL, 160, true);
	unsigned n = loop_take(&l, m, 2 * ALL);

	m[n] = rte_pktmbuf_alloc(l.pool);
	memcpy(rte_pktmbuf_append(m[n], sizeof(arp)), arp, sizeof(arp));
	n++;
	m[n] = loop_copy(&l, m[0]);
	memset(frame_of(m[n]) + 42, 0, 160);
	stun_begin(&b, frame_of(m[n]) + 42, 160, stun_type(TURN_ALLOCATE, STUN_SUCCESS), txid);
	mend(m[n]);
	loop_give(&l, m, n + 1);
	const struct tally *t = finish();

	CHECK(t->received == 2 * ALL && faults(t) == 0 && l.strangers == 2, "to whom they belong");

	loop_send(&l, ALL, 160, true);
	n = loop_take(&l, m, ALL);
	l.streams->run = stamp_run(UINT64_C(0x0123456789ABCDEF));
	l.strangers = 0;
	loop_give(&l, m, n);
	t = finish();
	CHECK(t->stray == ALL && faults(t) == ALL && l.strangers == ALL && t->lost == ALL,
	      "of another run");
	loop_close(&l);
}

/* Octets of no meaning: nothing is received, nothing breaks (ASan), the sum closes. */
static void test_junk(void)
{
	uint64_t x = 88172645463325252u;
	struct rte_mbuf *m[ALL];

	loop_open(&l, LOOP_RING);
	for (unsigned round = 0; round < 3000; round++) {
		loop_send(&l, ALL, 24 + round % 100, true);
		loop_take(&l, m, ALL);
		for (unsigned i = 0; i < ALL; i++) {
			for (unsigned k = 0; k < 1 + round % 7; k++) {
				x ^= x << 13;
				x ^= x >> 7;
				x ^= x << 17;
				const unsigned at = (unsigned)(x >> 40) % m[i]->data_len;

				if (at < HEADS)
					frame_of(m[i])[12 + at % 100] = (uint8_t)x;
				else
					rte_pktmbuf_trim(m[i], at % 40);
			}
		}
		loop_give(&l, m, ALL);
		CHECK(tally_gap(finish()) == 0, "closes");
	}
	loop_close(&l);
}

/* --- pace --- */

static uint64_t due_of(struct rte_mbuf *m)
{
	uint64_t due;

	memcpy(&due, frame_of(m) + 14 + 20 + 8 + 16, 8);
	return due;
}

static void start(const struct engine_plan *plan)
{
	loop_send(&l, 1, 24, true); /* makes the engine */
	struct rte_mbuf *m;

	while (loop_take(&l, &m, 1))
		rte_pktmbuf_free(m);
	engine_start(l.engine, plan);
}

static void only_first(void)
{
	for (unsigned i = 1; i < ALL; i++)
		l.streams->out[i].idle = true;
}

static struct engine_plan paced(double pps, double seconds)
{
	return (struct engine_plan){ .pps = pps,
		                     .seconds = seconds,
		                     .profile = { .size = { 24 }, .n_sizes = 1, .burst = 1 },
		                     .check_payload = true };
}

/* The due times are those of the plan, to a thousandth and better, and a stall moves none. */
static void test_pace(void)
{
	enum { N = 2000 };
	const struct engine_plan plan = paced(10000, 0.2);
	struct rte_mbuf *m[N + 8];
	unsigned n = 0;
	bool stalled = false;

	loop_open(&l, 4096);
	only_first();
	start(&plan);
	while (engine_turn(l.engine)) {
		n += loop_take(&l, m + n, N + 8 - n);
		if (n > N / 2 && !stalled) {
			usleep(20000);
			stalled = true;
		}
	}
	n += loop_take(&l, m + n, N + 8 - n);
	CHECK(n == N, "as many as the plan says");
	const double hz = (double)rte_get_tsc_hz(), step = hz / 10000;
	unsigned wrong = 0;

	for (unsigned i = 1; i < n; i++) {
		const double at = (double)(due_of(m[i]) - due_of(m[0]));

		wrong += at < i * step - 2 || at > i * step + 2;
	}
	CHECK(wrong == 0, "due times within two ticks of the plan");
	CHECK(engine_seconds(l.engine) > 0.1999 && engine_seconds(l.engine) < 0.21, "seconds");
	loop_give(&l, m, n);
	const struct tally *const t = finish();

	CHECK(t->sent == N && t->received == N && tally_gap(t) == 0, "all");
	CHECK(t->behind >= 190, "what left late is said");
	loop_close(&l);
}

/* Fractions of a tick are kept: at a rate whose step is no whole number. */
static void test_rate(void)
{
	enum { N = 3000 };
	const double pps = 1234567.0;
	struct engine_plan plan = paced(pps, 0);
	struct rte_mbuf *m[N];
	unsigned n = 0;

	plan.packets = N;
	loop_open(&l, 4096);
	only_first();
	start(&plan);
	for (unsigned i = 0; i < 10000000 && engine_turn(l.engine); i++)
		n += loop_take(&l, m + n, N - n);
	n += loop_take(&l, m + n, N - n);
	CHECK(n == N, "all");
	const double want = (N - 1) * (double)rte_get_tsc_hz() / pps;
	const double found = (double)(due_of(m[N - 1]) - due_of(m[0]));

	CHECK(found > want * 0.999999 - 1 && found < want * 1.000001 + 1, "rate error <= 1e-6");
	loop_give(&l, m, n);
	CHECK(finish()->received == N, "received");
	loop_close(&l);
}

/* Calls: each stream at its own equal distances, not in the order of their numbers. */
static void test_calls(void)
{
	enum { N = 40 };
	struct engine_plan plan = { .seconds = 0.2, .check_payload = true };
	struct rte_mbuf *m[ALL * N];
	uint64_t last[ALL] = { 0 };
	unsigned n = 0, count[ALL] = { 0 }, wrong = 0, neighbours = 0;

	CHECK(profile_parse("audio", &plan.profile), "audio");
	loop_open(&l, 4096);
	l.streams->out[4].idle = true;
	start(&plan);
	while (engine_turn(l.engine))
		n += loop_take(&l, m + n, ALL * N - n);
	n += loop_take(&l, m + n, ALL * N - n);
	CHECK(n == 10 * (ALL - 1), "50 a second of each for a fifth of a second");
	const double period = (double)rte_get_tsc_hz() / 50;
	uint32_t before = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *const p = frame_of(m[i]) + m[i]->data_len - 160;
		uint32_t stream;
		uint64_t due;

		memcpy(&stream, p + 4, 4);
		memcpy(&due, p + 16, 8);
		neighbours += stream == before + 1;
		before = stream;
		count[stream]++;
		if (last[stream] && ((double)(due - last[stream]) < period * 0.999 ||
		                     (double)(due - last[stream]) > period * 1.001))
			wrong++;
		last[stream] = due;
	}
	CHECK(wrong == 0, "20 ms apart");
	CHECK(count[4] == 0, "idle streams are silent");
	for (unsigned i = 0; i < ALL; i++)
		CHECK(i == 4 || count[i] == 10, "all in turn");
	CHECK(neighbours < n / 2, "neighbours are not together");
	loop_give(&l, m, n);
	CHECK(finish()->received == n, "received");
	loop_close(&l);
}

/* Video: seven of one stream are due at once, then another stream's turn comes. */
static void test_video(void)
{
	struct engine_plan plan = { .seconds = 0.1, .check_payload = true };
	struct rte_mbuf *m[512];
	unsigned n = 0, wrong = 0;

	CHECK(profile_parse("video", &plan.profile), "video");
	loop_open(&l, 4096);
	start(&plan);
	while (engine_turn(l.engine))
		n += loop_take(&l, m + n, 512 - n);
	n += loop_take(&l, m + n, 512 - n);
	CHECK(n == 3 * 7 * ALL, "three frames of seven packets of each");
	for (unsigned i = 0; i + 6 < n; i += 7) {
		const uint8_t *const a = frame_of(m[i]) + m[i]->data_len - 1190 + 4;
		const uint8_t *const b = frame_of(m[i + 6]) + m[i + 6]->data_len - 1190 + 4;

		/* stream, and due, which stands behind number and sum; Send is padded */
		if (m[i]->data_len != m[i + 6]->data_len ||
		    (memcmp(a, b, 4) != 0 && (m[i]->data_len & 3) == 0))
			wrong++;
	}
	CHECK(wrong == 0, "of one stream");
	loop_give(&l, m, n);
	const struct tally *const t = finish();

	CHECK(t->received == n && faults(t) == 0, "in order");
	loop_close(&l);
}

/* Uniform over the streams; a mix of sizes as the profile says. */
static void test_random(void)
{
	enum { N = 960 };
	struct engine_plan plan = { .packets = N, .check_payload = true };
	struct rte_mbuf *m[N];
	unsigned count[ALL] = { 0 }, large = 0;

	CHECK(profile_parse("imix", &plan.profile), "imix");
	loop_open(&l, LOOP_RING);
	start(&plan);
	while (engine_turn(l.engine))
		;
	const unsigned n = loop_take(&l, m, N);

	CHECK(n == N, "all");
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *const f = frame_of(m[i]);

		count[be16_load(f + udp_at(f)) - 4000]++;
		large += m[i]->data_len > 1300;
	}
	for (unsigned i = 0; i < ALL; i++)
		CHECK(count[i] > 40 && count[i] < 130, "about 80 each");
	CHECK(large == N / 12, "one in twelve is large");
	loop_give(&l, m, n);
	CHECK(finish()->received == N && tally_gap(engine_tally(l.engine)) == 0, "received");
	loop_close(&l);
}

/* A full port: ours is tx_full and no loss; a ring's is the receiver's, and lost; else it waits. */
static void test_full(void)
{
	struct rte_mbuf *m[128];

	for (unsigned loss = 0; loss < 2; loss++) {
		struct engine_plan plan = paced(1000000, 0);

		plan.packets = 200;
		loop_open(&l, 64);
		l.lane.full_is_loss = loss;
		start(&plan);
		while (engine_turn(l.engine))
			;
		const unsigned n = loop_take(&l, m, 128);

		CHECK(n == 63, "what a ring of 64 holds");
		loop_give(&l, m, n);
		const struct tally *const t = finish();

		CHECK(t->tx_full == 200 - 63 && t->received == 63 && tally_gap(t) == 0, "full");
		CHECK(t->sent == (loss ? 200 : 63) && t->lost == (loss ? 137 : 0) && faults(t) == 0,
		      "whose it is");
		loop_close(&l);
	}
	loop_open(&l, 64);
	only_first();
	const struct engine_plan flat = { .packets = 200,
		                          .profile = { .size = { 24 }, .n_sizes = 1, .burst = 1 },
		                          .check_payload = true };
	unsigned n = 0;

	start(&flat);
	for (unsigned i = 0; i < 1000 && engine_turn(l.engine); i++) {
		const unsigned k = i % 4 == 3 ? loop_take(&l, m, 20) : 0;

		n += k;
		if (k)
			loop_give(&l, m, k);
	}
	for (unsigned k; (k = loop_take(&l, m, 128)) > 0; n += k)
		loop_give(&l, m, k);
	const struct tally *const t = finish();

	CHECK(n == 200 && t->sent == 200 && t->received == 200 && t->tx_full == 0 && faults(t) == 0,
	      "it waits");
	loop_close(&l);
}

int main(void)
{
	CU_TestInfo tests[] = { { "clean", test_clean },
		                { "drop", test_drop },
		                { "duplicate", test_duplicate },
		                { "reorder", test_reorder },
		                { "window", test_window },
		                { "gap", test_gap },
		                { "any bit", test_any_bit },
		                { "corrupt", test_corrupt },
		                { "checksum", test_checksum },
		                { "partial checksum", test_partial },
		                { "misdelivered", test_misdelivered },
		                { "other stream", test_other_stream },
		                { "late", test_late },
		                { "strangers", test_strangers },
		                { "junk", test_junk },
		                { "pace", test_pace },
		                { "rate", test_rate },
		                { "calls", test_calls },
		                { "video", test_video },
		                { "random", test_random },
		                { "full", test_full },
		                CU_TEST_INFO_NULL };

	loop_start_eal();
	return run_suite("engine", tests);
}
