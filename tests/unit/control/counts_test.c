/* Counts of rows: both owners added up, nothing read outside the region. */
#include "control/counts.h"

#include "abi/row.h"
#include "tests/support.h"

enum { ROWS = 4, WIDE = 2 };

static void region_of_rows(struct region *r)
{
	const struct region_want want[] = {
		{ SECTION_ROWS, 0, ROWS * sizeof(struct row) },
		{ SECTION_ROWS_WIDE, 0, WIDE * sizeof(struct row_wide) },
		{ SECTION_FOREIGN, 0, ROWS * sizeof(struct row_counts) },
		{ SECTION_FOREIGN, 1, WIDE * sizeof(struct row_counts) },
	};

	CHECK(region_create(r, "counts-test", 1, want, 4, false, -1) == 0, "a region");
}

static void put(struct row_counts *c, uint64_t packets, uint64_t octets)
{
	atomic_store(&c->packets, packets);
	atomic_store(&c->octets, octets);
}

static void both_owners_add_up(void)
{
	struct region r;
	uint64_t packets = 0, octets = 0;

	region_of_rows(&r);
	struct row *const rows = region_section(&r, SECTION_ROWS, 0, NULL);
	struct row_wide *const wide = region_section(&r, SECTION_ROWS_WIDE, 0, NULL);
	struct row_counts *const foreign = region_section(&r, SECTION_FOREIGN, 0, NULL);
	struct row_counts *const foreign_wide = region_section(&r, SECTION_FOREIGN, 1, NULL);

	put(&rows[3].counts, 10, 1000);
	put(&foreign[3], 5, 500);
	put(&wide[1].row.counts, 7, 700);
	put(&foreign_wide[1], 1, 100);
	counts_open(&r);
	CHECK(counts_read(3, &packets, &octets) && packets == 15 && octets == 1500, "narrow");
	CHECK(counts_read(ROW_WIDE | 1, &packets, &octets) && packets == 8 && octets == 800,
	      "wide");
	CHECK(counts_read(0, &packets, &octets) && packets == 0 && octets == 0, "untouched");
	counts_open(NULL);
	region_leave(&r);
}

static void nothing_outside(void)
{
	struct region r;
	uint64_t packets = 42, octets = 42;

	region_of_rows(&r);
	CHECK(!counts_read(0, &packets, &octets), "no region yet");
	counts_open(&r);
	CHECK(!counts_read(ROWS, &packets, &octets), "behind the last row");
	CHECK(!counts_read(ROW_WIDE | WIDE, &packets, &octets), "behind the last wide row");
	CHECK(!counts_read(ROW_NONE, &packets, &octets), "no row");
	CHECK(packets == 42 && octets == 42, "outputs are left alone");
	counts_open(NULL);
	CHECK(!counts_read(0, &packets, &octets), "no region any more");
	region_leave(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "both owners add up", both_owners_add_up },
		{ "nothing outside", nothing_outside },
		CU_TEST_INFO_NULL,
	};

	return run_suite("counts", tests);
}
