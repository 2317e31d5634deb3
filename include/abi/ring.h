/*
 * Single-producer single-consumer ring of records in 64-octet lines, payload inside, in order.
 *
 * Nothing is owned outside the ring, so a death at any instruction leaves at most one unpublished
 * record. The producer part lies in the producer's region, the consumer part in the consumer's;
 * each side maps the other's read-only. Positions count lines and never wrap in practice (64 bits).
 * A record is contiguous: one that would cross the end of the ring is preceded by filler.
 *
 * Threads    One writer, one reader, each with its own private struct below; C11 atomics, no lock.
 * Trust      Each side believes nothing the other wrote: the reader bounds every length by what is
 *            published, loads it once and copies out before it returns; the writer refuses a tail
 *            that cannot be. What cannot be makes the ring `broken`, which is sticky: disconnect.
 * Wake-up    One place for both: reader: set flag, fence, look again, sleep; writer: publish,
 * fence, look at the flag. Neither makes a system call under load. The flag is the number of the
 * sleep, so that a writer wakes each sleep once, however much it pushes meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "abi/abi.h"

enum {
	RING_MARK = 8,                      /* octets of a record's mark: length, kind */
	RING_RECORD_MAX = 4096 - RING_MARK, /* octets of body */
	RING_RECORD_LINES = 64,             /* of the largest record */
	RING_LINES_MIN = 128, /* the largest record and the filler before it fit at any position */
	RING_FILLER = 0,      /* kind: nothing up to the end of the ring; records begin at kind 1 */
};
#define RING_LINES_MAX (UINT32_C(1) << 24)

/*
 * Lines ahead that the writer asks for ownership of: the reader's core has them, and fetching one
 * by one as stores retire halves the rate between cores that share no cache (50 against 85 M/s).
 */
enum { RING_AHEAD = 16 };

/* Producer part: this line, then n_lines lines. n_lines is a power of two. */
struct ring_head {
	alignas(ABI_LINE) _Atomic uint64_t head; /* lines published */
};
static_assert(sizeof(struct ring_head) == ABI_LINE, "");

/* Consumer part. */
struct ring_tail {
	alignas(ABI_LINE) _Atomic uint64_t tail; /* lines consumed */
	_Atomic uint32_t
		sleeping; /* 0: awake; else the number of the sleep: write to the eventfd */
};
static_assert(sizeof(struct ring_tail) == ABI_LINE && offsetof(struct ring_tail, sleeping) == 8,
              "");

/*
 * What a record begins with, as one 64-bit word in host order: octets of body in the low 32 bits,
 * kind in the next 16, 16 reserved as zero. One word, so that the reader loads it once.
 */
static inline uint64_t ring_mark(uint16_t kind, uint32_t octets)
{
	return (uint64_t)kind << 32 | octets;
}

struct ring_writer {
	uint8_t *lines;
	struct ring_head *shared;
	const struct ring_tail *peer;
	uint64_t head, published, tail_seen;
	uint32_t n_lines;
	int wake_fd;      /* eventfd, not blocking; -1: nobody sleeps on this ring */
	uint32_t woken;   /* the last sleep this writer ended */
	bool broken;      /* a tail that cannot be; sticky, everything is refused */
	uint64_t refused; /* reserves that found no room */
};

struct ring_reader {
	const uint8_t *lines;
	const struct ring_head *peer;
	struct ring_tail *shared;
	uint64_t tail, head_seen;
	uint32_t n_lines;
	uint32_t sleeps; /* the number of the last sleep */
	bool broken;     /* a length or position that cannot be: the other side lies; sticky */
};

/* Octets of a producer part with that many lines. */
size_t ring_octets(uint32_t n_lines);

/* The reverse: lines of a producer part of that size, 0 if no ring has it. */
uint32_t ring_lines(uint64_t octets);

/*
 * `part` is a section of ring_octets(n_lines) octets. Both sides continue where their own shared
 * part stands. n_lines is a power of two from RING_LINES_MIN to RING_LINES_MAX.
 */
void ring_writer_init(struct ring_writer *w, void *part, uint32_t n_lines,
                      const struct ring_tail *peer, int wake_fd);
void ring_reader_init(struct ring_reader *r, const void *part, uint32_t n_lines,
                      struct ring_tail *tail);

/* The cold halves of the functions below. */
bool ring_room(struct ring_writer *w, uint32_t lines);
bool ring_wake_now(struct ring_writer *w, uint32_t sleep);

static inline void ring_own(const void *line)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0"
	                 :
	                 : "m"(*(const char *)line)); /* the builtin needs -mprfchw */
#else
	__builtin_prefetch(line, 1);
#endif
}

/*
 * Room for one record, or NULL when the ring is full or the record too long (counted in
 * w->refused). The pointer is to `octets` octets in the ring, 8-aligned; fill it, reserve more if
 * wanted, then ring_publish(). `kind` is not RING_FILLER.
 */
static inline void *ring_reserve(struct ring_writer *w, uint16_t kind, uint32_t octets)
{
	if (octets > RING_RECORD_MAX) {
		w->refused++;
		return NULL;
	}
	const uint32_t lines = (RING_MARK + octets + ABI_LINE - 1) / ABI_LINE;
	uint32_t at = (uint32_t)w->head & (w->n_lines - 1);
	const uint32_t to_end = w->n_lines - at;
	const uint32_t filler = lines > to_end ? to_end : 0;

	if (w->head + filler + lines - w->tail_seen > w->n_lines && !ring_room(w, filler + lines)) {
		w->refused++;
		return NULL;
	}
	if (filler) {
		atomic_store_explicit((_Atomic uint64_t *)(w->lines + (size_t)at * ABI_LINE),
		                      ring_mark(RING_FILLER, 0), memory_order_relaxed);
		w->head += filler;
		at = 0;
	}
	uint8_t *const line = w->lines + (size_t)at * ABI_LINE;

	/* Not what the reader may still be reading. */
	if (w->head + RING_AHEAD - w->tail_seen < w->n_lines)
		ring_own(w->lines + (size_t)((at + RING_AHEAD) & (w->n_lines - 1)) * ABI_LINE);
	atomic_store_explicit((_Atomic uint64_t *)line, ring_mark(kind, octets),
	                      memory_order_relaxed);
	w->head += lines;
	return line + RING_MARK;
}

/* Makes every reserved record visible; one release store. */
static inline void ring_publish(struct ring_writer *w)
{
	/* Nothing new: do not take the line away from a reader that polls it. */
	if (w->head == w->published)
		return;
	w->published = w->head;
	atomic_store_explicit(&w->shared->head, w->head, memory_order_release);
}

/* After a publish: wakes the reader if it sleeps. true if a system call was made. */
static inline bool ring_wake(struct ring_writer *w)
{
	if (w->wake_fd < 0)
		return false;
	/* Publish before the look; ring_sleep() has the other half. */
	atomic_thread_fence(memory_order_seq_cst);
	const uint32_t sleep = atomic_load_explicit(&w->peer->sleeping, memory_order_relaxed);

	return sleep && sleep != w->woken && ring_wake_now(w, sleep);
}

/* true if there is something to read; loads the shared head only when the last look is used up. */
static inline bool ring_look(struct ring_reader *r)
{
	if (r->tail != r->head_seen)
		return true;
	if (r->broken)
		return false;
	const uint64_t head = atomic_load_explicit(&r->peer->head, memory_order_acquire);

	if (head - r->tail > r->n_lines) {
		r->broken = true;
		return false;
	}
	r->head_seen = head;
	return head != r->tail;
}

/* Gives up on the ring; always -1. */
static inline int ring_break(struct ring_reader *r)
{
	r->broken = true;
	r->head_seen = r->tail;
	return -1;
}

/*
 * Copies the next record's body to `body` (cap octets) and consumes it. Returns octets >= 0, or -1
 * when there is none or r->broken. A record larger than cap makes the ring broken. Octets of
 * `body` behind the record's, up to cap, are left undefined.
 */
static inline int ring_read(struct ring_reader *r, uint16_t *kind, void *body, uint32_t cap)
{
	if (!ring_look(r))
		return -1;
	uint32_t at = (uint32_t)r->tail & (r->n_lines - 1);
	uint32_t to_end = r->n_lines - at;
	const uint8_t *line = r->lines + (size_t)at * ABI_LINE;
	uint64_t mark = atomic_load_explicit((const _Atomic uint64_t *)line, memory_order_relaxed);

	if ((uint16_t)(mark >> 32) == RING_FILLER) {
		/* A record is published together with its filler, and starts the ring. */
		if (to_end >= RING_RECORD_LINES || r->head_seen - r->tail <= to_end)
			return ring_break(r);
		r->tail += to_end;
		to_end = r->n_lines;
		line = r->lines;
		mark = atomic_load_explicit((const _Atomic uint64_t *)line, memory_order_relaxed);
		if ((uint16_t)(mark >> 32) == RING_FILLER)
			return ring_break(r);
	}
	const uint32_t octets = (uint32_t)mark;
	const uint64_t left = r->head_seen - r->tail;

	if (octets > RING_RECORD_MAX || octets > cap)
		return ring_break(r);
	const uint32_t lines = (RING_MARK + octets + ABI_LINE - 1) / ABI_LINE;

	if (lines > left || lines > to_end)
		return ring_break(r);
	/* A whole line of known size is four moves; a length would be a call. */
	if (lines == 1 && cap >= ABI_LINE - RING_MARK)
		memcpy(body, line + RING_MARK, ABI_LINE - RING_MARK);
	else if (octets)
		memcpy(body, line + RING_MARK, octets);
	*kind = (uint16_t)(mark >> 32);
	r->tail += lines;
	return (int)octets;
}

/* Tells the writer how far we are; call once per batch of ring_read(). */
static inline void ring_release(struct ring_reader *r)
{
	atomic_store_explicit(&r->shared->tail, r->tail, memory_order_release);
}

/*
 * Sets the flag, fences, looks again. true: nothing there, go to sleep on the eventfd. With several
 * rings on one eventfd, sleep when it is true of all of them. After waking: ring_awake(), drain the
 * eventfd, read; draining after the next ring_sleep() would swallow its wake-up.
 */
bool ring_sleep(struct ring_reader *r);
void ring_awake(struct ring_reader *r);
