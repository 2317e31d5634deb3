#include "abi/ring.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

size_t ring_octets(uint32_t n_lines)
{
	return sizeof(struct ring_head) + (size_t)n_lines * ABI_LINE;
}

static bool lines_valid(uint64_t n_lines)
{
	return n_lines >= RING_LINES_MIN && n_lines <= RING_LINES_MAX &&
	       (n_lines & (n_lines - 1)) == 0;
}

uint32_t ring_lines(uint64_t octets)
{
	if (octets < sizeof(struct ring_head) || octets % ABI_LINE)
		return 0;
	const uint64_t n_lines = (octets - sizeof(struct ring_head)) / ABI_LINE;

	return lines_valid(n_lines) ? (uint32_t)n_lines : 0;
}

void ring_writer_init(struct ring_writer *w, void *part, uint32_t n_lines,
                      const struct ring_tail *peer, int wake_fd)
{
	assert(lines_valid(n_lines));
	struct ring_head *const shared = part;
	const uint64_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);

	*w = (struct ring_writer){
		.lines = (uint8_t *)part + sizeof(*shared),
		.shared = shared,
		.peer = peer,
		.head = head,
		.published = head,
		/* As if full: the first reserve looks at the true tail and judges it. */
		.tail_seen = head - n_lines,
		.n_lines = n_lines,
		.wake_fd = wake_fd,
	};
}

void ring_reader_init(struct ring_reader *r, const void *part, uint32_t n_lines,
                      struct ring_tail *tail)
{
	assert(lines_valid(n_lines));
	const uint64_t at = atomic_load_explicit(&tail->tail, memory_order_relaxed);

	*r = (struct ring_reader){
		.lines = (const uint8_t *)part + sizeof(struct ring_head),
		.peer = part,
		.shared = tail,
		.tail = at,
		.head_seen = at,
		.n_lines = n_lines,
	};
}

bool ring_room(struct ring_writer *w, uint32_t lines)
{
	if (w->broken)
		return false;
	/* Acquire: the reader's copies out of these lines happened before we write them again. */
	const uint64_t tail = atomic_load_explicit(&w->peer->tail, memory_order_acquire);

	/* Between what it said last and what there is; tail_seen is at most a ring behind. */
	if (tail - w->tail_seen > w->published - w->tail_seen) {
		w->broken = true;
		return false;
	}
	w->tail_seen = tail;
	return w->head + lines - tail <= w->n_lines;
}

bool ring_wake_now(struct ring_writer *w, uint32_t sleep)
{
	const uint64_t one = 1;

	w->woken = sleep;
	/* EAGAIN is a counter at its top: awake all the same. */
	while (write(w->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return true;
}

bool ring_sleep(struct ring_reader *r)
{
	if (++r->sleeps == 0)
		r->sleeps = 1;
	atomic_store_explicit(&r->shared->sleeping, r->sleeps, memory_order_relaxed);
	/* Flag before the second look; ring_wake() has the other half. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!ring_look(r))
		return true;
	ring_awake(r);
	return false;
}

void ring_awake(struct ring_reader *r)
{
	atomic_store_explicit(&r->shared->sleeping, 0, memory_order_relaxed);
}
