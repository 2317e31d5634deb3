#include "control/counts.h"

#include "abi/row.h"
#include "control/session/session.h"

/* A row array and its cold one. */
struct counted {
	const uint8_t *rows;
	const struct row_counts *foreign;
	uint64_t n, n_foreign, size;
};

static struct counted narrow, wide;

static struct counted counted_in(const struct region *d, uint16_t kind, uint16_t instance,
                                 uint64_t size)
{
	struct counted c = { .size = size };
	uint64_t octets = 0;

	c.rows = region_section(d, kind, 0, &octets);
	c.n = c.rows ? octets / size : 0;
	octets = 0;
	c.foreign = region_section(d, SECTION_FOREIGN, instance, &octets);
	c.n_foreign = c.foreign ? octets / sizeof(struct row_counts) : 0;
	return c;
}

void counts_open(const struct region *d)
{
	narrow = wide = (struct counted){ 0 };
	if (!d)
		return;
	narrow = counted_in(d, SECTION_ROWS, 0, sizeof(struct row));
	wide = counted_in(d, SECTION_ROWS_WIDE, 1, sizeof(struct row_wide));
}

static void add(const struct row_counts *c, uint64_t *packets, uint64_t *octets)
{
	*packets += atomic_load_explicit(&c->packets, memory_order_relaxed);
	*octets += atomic_load_explicit(&c->octets, memory_order_relaxed);
}

bool counts_read(uint32_t row, uint64_t *packets, uint64_t *octets)
{
	const struct counted *const c = row & ROW_WIDE ? &wide : &narrow;
	const uint32_t i = row & ~ROW_WIDE;

	if (row == ROW_NONE || i >= c->n)
		return false;
	*packets = *octets = 0;
	/* A wide row begins with a row. */
	add(&((const struct row *)(c->rows + i * c->size))->counts, packets, octets);
	if (i < c->n_foreign)
		add(&c->foreign[i], packets, octets);
	return true;
}

bool counts_read_leg(uint32_t row, struct session_counts *out)
{
	const uint32_t i = row & ~ROW_WIDE;

	*out = (struct session_counts){ 0 };
	if (!(row & ROW_WIDE) || !counts_read(row, &out->to_packets, &out->to_octets))
		return false;
	const struct row_leg *const l =
		(const struct row_leg *)(const void *)(wide.rows + i * wide.size);

	add(&l->from, &out->from_packets, &out->from_octets);
	add(&l->from_other, &out->from_packets, &out->from_octets);
	out->heard_s = atomic_load_explicit(&l->heard_s, memory_order_relaxed);
	return true;
}
