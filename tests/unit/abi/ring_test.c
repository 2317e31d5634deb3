/* The ring alone: order and contents at every position, and what a lying peer gets. */
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "abi/ring.h"
#include "tests/support.h"

enum { LINES = RING_LINES_MIN };

struct pair {
	uint8_t *part; /* exactly the producer part: ASan sees a line too far */
	struct ring_tail *tail;
	struct ring_writer w;
	struct ring_reader r;
};

static struct pair pair_new(int wake_fd)
{
	struct pair p;

	p.part = aligned_alloc(ABI_LINE, ring_octets(LINES));
	p.tail = aligned_alloc(ABI_LINE, sizeof(*p.tail));
	memset(p.part, 0, ring_octets(LINES));
	memset(p.tail, 0, sizeof(*p.tail));
	ring_writer_init(&p.w, p.part, LINES, p.tail, wake_fd);
	ring_reader_init(&p.r, p.part, LINES, p.tail);
	return p;
}

static void pair_free(struct pair *p)
{
	free(p->part);
	free(p->tail);
}

static void fill(uint8_t *body, uint32_t octets, uint32_t seed)
{
	for (uint32_t i = 0; i < octets; i++)
		body[i] = (uint8_t)(seed * 31 + i * 7);
}

static bool filled(const uint8_t *body, uint32_t octets, uint32_t seed)
{
	for (uint32_t i = 0; i < octets; i++)
		if (body[i] != (uint8_t)(seed * 31 + i * 7))
			return false;
	return true;
}

static bool push(struct pair *p, uint32_t octets, uint32_t seed)
{
	uint8_t *const body = ring_reserve(&p->w, (uint16_t)(1 + seed % 9), octets);

	if (!body)
		return false;
	fill(body, octets, seed);
	return true;
}

/* Into a buffer of exactly `cap`, so that an octet too many is seen. */
static bool pull(struct pair *p, uint32_t cap, uint32_t octets, uint32_t seed)
{
	uint8_t *const body = malloc(cap ? cap : 1);
	uint16_t kind = 0;
	const int n = ring_read(&p->r, &kind, body, cap);
	const bool right = n == (int)octets && kind == 1 + seed % 9 && filled(body, octets, seed);

	free(body);
	return right;
}

static void test_sizes(void)
{
	CHECK(ring_octets(LINES) == 64 + 64 * LINES, "octets");
	CHECK(ring_lines(ring_octets(LINES)) == LINES, "lines of octets");
	CHECK(ring_lines(ring_octets(LINES) + 64) == 0, "not a power of two");
	CHECK(ring_lines(ring_octets(LINES) + 1) == 0, "not whole lines");
	CHECK(ring_lines(ring_octets(LINES / 2)) == 0, "too few lines for the largest record");
	CHECK(ring_lines(0) == 0 && ring_lines(63) == 0, "no room for the head");
	CHECK(ring_lines(UINT64_MAX) == 0 && ring_lines(UINT64_MAX - 63) == 0, "overflow");
}

/* Every size that changes the number of lines, begun at every position of the ring. */
static void test_every_position(void)
{
	static const uint32_t sizes[] = { 0,   1,   55,  56,   57,   63,   64,
		                          119, 120, 121, 1000, 2048, 4087, RING_RECORD_MAX };
	struct pair p = pair_new(-1);
	unsigned wrong = 0;

	for (uint32_t at = 0; at < LINES; at++) {
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			/* Walk to the position with records of one line. */
			while ((p.w.head & (LINES - 1)) != at) {
				wrong += !push(&p, 8, at);
				ring_publish(&p.w);
				wrong += !pull(&p, 8, 8, at);
				ring_release(&p.r);
			}
			wrong += !push(&p, sizes[i], i);
			ring_publish(&p.w);
			wrong += !pull(&p, sizes[i], sizes[i], i);
			ring_release(&p.r);
		}
	}
	CHECK(wrong == 0, "a record was refused or changed");
	CHECK(p.w.refused == 0 && !p.w.broken && !p.r.broken, "an empty ring takes anything");
	pair_free(&p);
}

static void test_random(void)
{
	struct pair p = pair_new(-1);
	uint32_t pushed = 0, pulled = 0, wrong = 0, state = 12345;
	uint32_t size[4096];

	while (pulled < 200000) {
		state = state * 1664525 + 1013904223;
		const uint32_t burst = (state >> 16) % 20;

		for (uint32_t i = 0; i < burst; i++) {
			state = state * 1664525 + 1013904223;
			const uint32_t octets = state >> 30 ? (state >> 16) % 130
			                                    : (state >> 8) % (RING_RECORD_MAX + 1);

			if (!push(&p, octets, pushed))
				break;
			size[pushed++ % 4096] = octets;
		}
		ring_publish(&p.w);
		state = state * 1664525 + 1013904223;
		for (uint32_t i = (state >> 16) % 20; i > 0 && pulled < pushed; i--, pulled++)
			wrong += !pull(&p, size[pulled % 4096] + (i & 1) * 64, size[pulled % 4096],
			               pulled);
		ring_release(&p.r);
	}
	CHECK(wrong == 0, "in order, whole");
	CHECK(p.w.refused > 0, "the ring was full now and then");
	CHECK(!p.w.broken && !p.r.broken, "nobody lied");
	pair_free(&p);
}

static void test_full(void)
{
	struct pair p = pair_new(-1);
	uint32_t n = 0;

	while (push(&p, 56, n))
		n++;
	CHECK(n == LINES, "every line is used");
	CHECK(p.w.refused == 1, "the refusal is counted");
	uint16_t kind;
	uint8_t body[56];

	CHECK(ring_read(&p.r, &kind, body, 56) == -1 && !p.r.broken, "nothing before publish");
	ring_publish(&p.w);
	CHECK(pull(&p, 56, 56, 0), "first record");
	CHECK(!push(&p, 56, n), "read is not released");
	ring_release(&p.r);
	CHECK(push(&p, 56, n) && !push(&p, 56, n), "room for what was released");
	CHECK(!ring_reserve(&p.w, 1, RING_RECORD_MAX + 1), "too long");
	CHECK(!ring_reserve(&p.w, 1, UINT32_MAX), "far too long");
	CHECK(p.w.refused == 5 && !p.w.broken, "all refusals are counted");
	pair_free(&p);
}

/* A record that needs the beginning again is refused while the reader is still there. */
static void test_full_with_filler(void)
{
	struct pair p = pair_new(-1);

	for (unsigned i = 0; i < LINES - 2; i++)
		push(&p, 56, i);
	ring_publish(&p.w);
	for (unsigned i = 0; i < 3; i++)
		CHECK(pull(&p, 56, 56, i), "read three");
	ring_release(&p.r);
	CHECK(!push(&p, 56 + 3 * 64, 1), "2 of filler and 4 lines do not fit into 3");
	CHECK(push(&p, 56 + 2 * 64, 1), "2 of filler and 3 lines do");
	pair_free(&p);
}

static void test_restart(void)
{
	struct pair p = pair_new(-1);

	for (unsigned i = 0; i < 5; i++)
		push(&p, 100, i);
	ring_publish(&p.w);
	CHECK(pull(&p, 100, 100, 0) && pull(&p, 100, 100, 1), "two");
	ring_release(&p.r);
	push(&p, 100, 77); /* never published: dies with its writer */
	ring_writer_init(&p.w, p.part, LINES, p.tail, -1);
	ring_reader_init(&p.r, p.part, LINES, p.tail);
	push(&p, 100, 5);
	ring_publish(&p.w);
	for (unsigned i = 2; i < 6; i++)
		CHECK(pull(&p, 100, 100, i), "the rest, in order, without the unpublished one");
	pair_free(&p);
}

/* --- lies --- */

static struct lie {
	const char *what;
	uint64_t mark, head; /* of the first record; lines published */
	uint64_t at;         /* position of both sides before */
	uint32_t cap;
} lies[] = {
	{ "longer than published", 1ull << 32 | 57, 1, 0, 4096 },
	{ "longer than a record may be", 1ull << 32 | (RING_RECORD_MAX + 1), 128, 0, 65536 },
	{ "length of all ones", 1ull << 32 | 0xFFFFFFFF, 128, 0, 0xFFFFFFFF },
	{ "length that wraps 32 bits", 1ull << 32 | 0xFFFFFFF8, 128, 0, 0xFFFFFFFF },
	{ "longer than the buffer", 1ull << 32 | 56, 1, 0, 55 },
	{ "across the end", 1ull << 32 | 57, 128, 127, 4096 },
	{ "filler at the beginning", 0, 128, 0, 4096 },
	{ "filler of 64 lines", 0, 128, 64, 4096 },
	{ "filler and nothing behind it", 0, 28, 100, 4096 },
	{ "filler beyond what is published", 0, 5, 100, 4096 },
	{ "more published than there are lines", 1ull << 32 | 8, 129, 0, 4096 },
	{ "published far ahead", 1ull << 32 | 8, UINT64_C(1) << 63, 0, 4096 },
	{ "published goes back", 1ull << 32 | 8, UINT64_MAX, 5, 4096 },
};

static void test_lying_writer(void)
{
	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct lie *const lie = &lies[i];
		struct pair p = pair_new(-1);
		uint16_t kind = 0;
		uint8_t body[4096];

		atomic_store(&p.tail->tail, lie->at);
		ring_reader_init(&p.r, p.part, LINES, p.tail);
		memcpy(p.part + 64 + 64 * (lie->at % LINES), &lie->mark, 8);
		atomic_store(&((struct ring_head *)p.part)->head, lie->at + lie->head);
		CHECK(ring_read(&p.r, &kind, body, lie->cap) == -1, lie->what);
		CHECK(p.r.broken, lie->what);
		/* Sticky: a ring that lied is not believed again. */
		const uint64_t honest = ring_mark(1, 8);

		memcpy(p.part + 64 + 64 * (lie->at % LINES), &honest, 8);
		atomic_store(&((struct ring_head *)p.part)->head, lie->at + 1);
		CHECK(ring_read(&p.r, &kind, body, 4096) == -1, "sticky");
		CHECK(ring_sleep(&p.r), "a broken ring has nothing: the reader may sleep");
		pair_free(&p);
	}
	/* Filler twice: at the end and again at the beginning. */
	struct pair p = pair_new(-1);
	uint16_t kind;
	uint8_t body[64];

	atomic_store(&p.tail->tail, 100);
	ring_reader_init(&p.r, p.part, LINES, p.tail);
	atomic_store(&((struct ring_head *)p.part)->head, 160);
	CHECK(ring_read(&p.r, &kind, body, 64) == -1 && p.r.broken, "filler twice");
	pair_free(&p);
}

static void test_lying_reader(void)
{
	static const uint64_t tails[] = { 6, 1000, UINT64_MAX, UINT64_C(1) << 63 };

	for (unsigned i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		struct pair p = pair_new(-1);

		for (unsigned n = 0; n < 5; n++)
			push(&p, 56, n);
		ring_publish(&p.w);
		atomic_store(&p.tail->tail, tails[i]);
		unsigned taken = 0;

		while (taken < 2 * LINES && push(&p, 56, taken))
			taken++;
		CHECK(taken <= LINES, "never more than there are lines");
		CHECK(p.w.broken, "a tail beyond what is published");
		atomic_store(&p.tail->tail, 5);
		CHECK(!push(&p, 56, 0), "sticky");
		pair_free(&p);
	}
	/* A tail that goes back: the writer ran ahead of it by more than the ring. */
	struct pair p = pair_new(-1);

	for (unsigned n = 0; n < 300; n++) {
		push(&p, 8, n);
		ring_publish(&p.w);
		atomic_store(&p.tail->tail, n + 1);
	}
	atomic_store(&p.tail->tail, 3);
	unsigned taken = 0;

	while (taken < 2 * LINES && push(&p, 56, taken))
		taken++;
	CHECK(taken <= LINES && p.w.broken, "a tail that goes back");
	pair_free(&p);
}

/* --- wake-up --- */

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void test_wake(void)
{
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct pair p = pair_new(fd);
	uint64_t n;

	push(&p, 8, 0);
	ring_publish(&p.w);
	CHECK(!ring_wake(&p.w) && !readable(fd), "awake: no system call");
	CHECK(!ring_sleep(&p.r), "something there: no sleep");
	CHECK(atomic_load(&p.tail->sleeping) == 0, "and the flag is down");
	CHECK(pull(&p, 8, 8, 0), "read it");
	ring_release(&p.r);
	CHECK(ring_sleep(&p.r), "nothing there: sleep");
	push(&p, 8, 1);
	ring_publish(&p.w);
	CHECK(ring_wake(&p.w) && readable(fd), "asleep: woken");
	push(&p, 8, 2);
	ring_publish(&p.w);
	CHECK(!ring_wake(&p.w), "each sleep is ended once");
	ring_awake(&p.r);
	CHECK(read(fd, &n, sizeof(n)) == 8 && n == 1, "one write");
	CHECK(pull(&p, 8, 8, 1) && pull(&p, 8, 8, 2), "both");
	CHECK(ring_sleep(&p.r) && ring_sleep(&p.r), "sleeping twice is a new sleep");
	push(&p, 8, 3);
	ring_publish(&p.w);
	CHECK(ring_wake(&p.w), "and is woken");
	p.r.sleeps = UINT32_MAX;
	CHECK(pull(&p, 8, 8, 3) && ring_sleep(&p.r), "the number of the sleep wraps");
	CHECK(atomic_load(&p.tail->sleeping) != 0, "but is never 0");
	close(fd);
	pair_free(&p);
}

/* A counter at its top must neither block the writer nor stop the wake-up. */
static void test_wake_saturated(void)
{
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	const uint64_t top = UINT64_MAX - 1;
	struct pair p = pair_new(fd);

	CHECK(write(fd, &top, sizeof(top)) == 8, "fill the counter");
	CHECK(ring_sleep(&p.r), "sleep");
	push(&p, 8, 0);
	ring_publish(&p.w);
	CHECK(ring_wake(&p.w) && readable(fd), "readable all the same");
	close(fd);
	pair_free(&p);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "sizes", test_sizes },
		{ "every position", test_every_position },
		{ "random", test_random },
		{ "full", test_full },
		{ "full with filler", test_full_with_filler },
		{ "restart", test_restart },
		{ "lying writer", test_lying_writer },
		{ "lying reader", test_lying_reader },
		{ "wake", test_wake },
		{ "wake saturated", test_wake_saturated },
		CU_TEST_INFO_NULL,
	};

	return run_suite("ring", tests);
}
