/*
 * Single-producer single-consumer ring of records in 64-octet lines, payload inside, in order.
 *
 * Nothing is owned outside the ring, so a death at any instruction leaves at most one unpublished
 * record. The producer part lies in the producer's region, the consumer part in the consumer's;
 * each side maps the other's read-only. Positions count lines and never wrap in practice (64 bits).
 * A record is contiguous: one that would cross the end of the ring is preceded by filler.
 *
 * Threads    One writer, one reader, each with its own private struct below; C11 atomics, no lock.
 * Trust      The reader bounds every length by what is published and copies out before it returns.
 * Wake-up    One place for both: reader: set flag, fence, look again, sleep; writer: publish, fence,
 *            look at the flag. Neither makes a system call under load.
 */
#pragma once

#include <stdbool.h>

#include "abi/abi.h"

enum { RING_RECORD_MAX = 4096 - 8 /* octets of body */ };

/* Producer part: this line, then n_lines lines. n_lines is a power of two. */
struct ring_head {
	alignas(ABI_LINE) _Atomic uint64_t head; /* lines published */
};

/* Consumer part. */
struct ring_tail {
	alignas(ABI_LINE) _Atomic uint64_t tail; /* lines consumed */
	_Atomic uint32_t sleeping;               /* 1: write to the eventfd after a push */
};

struct ring_writer {
	uint8_t *lines;
	struct ring_head *shared;
	const struct ring_tail *peer;
	uint64_t head, published, tail_seen;
	uint32_t n_lines;
	int wake_fd;      /* eventfd; -1: nobody sleeps on this ring */
	uint64_t refused; /* reserves that found no room */
};

struct ring_reader {
	const uint8_t *lines;
	const struct ring_head *peer;
	struct ring_tail *shared;
	uint64_t tail, head_seen;
	uint32_t n_lines;
	bool broken; /* a length or position that cannot be: the other side lies; sticky */
};

/* Octets of a producer part with that many lines. */
size_t ring_octets(uint32_t n_lines);

/* `part` is a section of ring_octets(n_lines) octets. The writer continues where `shared` stands. */
void ring_writer_init(struct ring_writer *w, void *part, uint32_t n_lines,
                      const struct ring_tail *peer, int wake_fd);
void ring_reader_init(struct ring_reader *r, const void *part, uint32_t n_lines,
                      struct ring_tail *tail);

/*
 * Room for one record, or NULL when the ring is full (counted in w->refused). The pointer is to
 * `octets` octets in the ring, 8-aligned; fill it, reserve more if wanted, then ring_publish().
 */
void *ring_reserve(struct ring_writer *w, uint16_t kind, uint32_t octets);

/* Makes every reserved record visible; one release store. */
void ring_publish(struct ring_writer *w);

/* After a publish: wakes the reader if it sleeps. true if a system call was made. */
bool ring_wake(struct ring_writer *w);

/*
 * Copies the next record's body to `body` (cap octets) and consumes it. Returns octets >= 0, or -1
 * when there is none or r->broken. A record larger than cap makes the ring broken.
 */
int ring_read(struct ring_reader *r, uint16_t *kind, void *body, uint32_t cap);

/* Tells the writer how far we are; call once per batch of ring_read(). */
void ring_release(struct ring_reader *r);

/* Sets the flag, fences, looks again. true: nothing there, go to sleep on the eventfd. */
bool ring_sleep(struct ring_reader *r);
void ring_awake(struct ring_reader *r);
