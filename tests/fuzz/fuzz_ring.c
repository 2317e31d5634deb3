/*
 * A ring whose other side is hostile.
 *
 * First octet even: the rest is position of the reader (8), lines published (8), size of the
 * reader's buffer (2) and the ring's lines from the reader's position on. Properties: what is read
 * lies inside what is published, is what stands there, and ends; broken is sticky.
 * First octet odd: pairs of an octet (what the reader's tail does) and two octets (what the writer
 * reserves). Properties: what is handed out lies in the ring, on a line, and never more than the
 * ring has is handed out beyond an honest tail.
 */
#include <string.h>

#include "abi/ring.h"
#include "tests/fuzz/must.h"

enum { LINES = RING_LINES_MIN };

static uint64_t take(const uint8_t **data, size_t *size, unsigned octets)
{
	uint64_t v = 0;

	for (unsigned i = 0; i<octets && * size> 0; i++, (*size)--)
		v |= (uint64_t) * (*data)++ << 8 * i;
	return v;
}

/* Exactly the producer part, so that an octet beyond it is seen. */
static uint8_t *part_new(void)
{
	uint8_t *const part = aligned_alloc(ABI_LINE, ring_octets(LINES));

	MUST(part != NULL);
	memset(part, 0, ring_octets(LINES));
	return part;
}

static void read_hostile(const uint8_t *data, size_t size)
{
	uint8_t *const part = part_new();
	uint8_t *const lines = part + sizeof(struct ring_head);
	struct ring_tail *const tail = aligned_alloc(ABI_LINE, sizeof(*tail));
	struct ring_reader r;

	memset(tail, 0, sizeof(*tail));
	const uint64_t at = take(&data, &size, 8);
	const uint64_t published = take(&data, &size, 8);
	const uint32_t cap = (uint32_t)take(&data, &size, 2);
	uint8_t *const body = malloc(cap ? cap : 1);

	for (size_t i = 0; i < size && i < (size_t)LINES * ABI_LINE; i++)
		lines[(at % LINES * ABI_LINE + i) % ((size_t)LINES * ABI_LINE)] = data[i];
	atomic_store(&((struct ring_head *)part)->head, at + published);
	atomic_store(&tail->tail, at);
	ring_reader_init(&r, part, LINES, tail);
	for (unsigned n = 0;; n++) {
		uint16_t kind = RING_FILLER;
		const int octets = ring_read(&r, &kind, body, cap);

		MUST(n <= LINES);
		MUST(r.tail - at <= LINES && (published > LINES || r.tail - at <= published));
		if (octets < 0)
			break;
		const size_t record = ((size_t)octets + RING_MARK + ABI_LINE - 1) / ABI_LINE;
		const size_t begin = (size_t)((r.tail - record) % LINES);

		MUST(kind != RING_FILLER && (uint32_t)octets <= cap && octets <= RING_RECORD_MAX);
		MUST(begin + record <= LINES);
		MUST(memcmp(body, lines + begin * ABI_LINE + RING_MARK, (size_t)octets) == 0);
	}
	MUST(r.broken || r.tail == at + published);
	if (r.broken) {
		uint16_t kind;

		atomic_store(&((struct ring_head *)part)->head, r.tail + 1);
		MUST(ring_read(&r, &kind, body, cap) == -1 && ring_sleep(&r));
	}
	free(body);
	free(tail);
	free(part);
}

static void write_hostile(const uint8_t *data, size_t size)
{
	uint8_t *const part = part_new();
	uint8_t *const lines = part + sizeof(struct ring_head);
	struct ring_tail *const tail = aligned_alloc(ABI_LINE, sizeof(*tail));
	struct ring_writer w;
	uint64_t best = 0; /* the furthest tail that could be true */

	memset(tail, 0, sizeof(*tail));
	ring_writer_init(&w, part, LINES, tail, -1);
	while (size > 0) {
		const uint64_t move = take(&data, &size, 1);
		const uint32_t octets = (uint32_t)take(&data, &size, 2) % (RING_RECORD_MAX + 9);
		uint64_t t = atomic_load(&tail->tail);

		if (move < 128)
			t = move < 64 ? w.published : t + move - 64;
		else
			t = move < 192 ? t - (move - 128) : t << (move - 192);
		atomic_store(&tail->tail, t);
		if (t <= w.published && t > best)
			best = t;
		const uint64_t head = w.head;
		uint8_t *const body = ring_reserve(&w, 1, octets);

		if (!body) {
			MUST(w.head == head);
		} else {
			MUST(body >= lines + RING_MARK &&
			     (size_t)(body - lines) % ABI_LINE == RING_MARK);
			MUST((size_t)(body - lines) + octets <= (size_t)LINES * ABI_LINE);
			MUST(octets <= RING_RECORD_MAX && w.head - best <= LINES);
			memset(body, 0xA5, octets);
		}
		if (move & 1)
			ring_publish(&w);
	}
	free(tail);
	free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		read_hostile(data + 1, size - 1);
	else
		write_hostile(data + 1, size - 1);
	return 0;
}
