/* Mirrors pkt-gen/stamp.c: a payload is ours and whole, or it is not. */
#include "pkt-gen/stamp.h"

#include "tests/support.h"
#include "wire/checksum.h"

static const uint32_t lens[] = {
	24, 25, 31, 32, 55, 56, 87, 88, 89, 151, 152, 160, 1001, 1472, 9000
};

enum { LENS = sizeof(lens) / sizeof(*lens) };

/* Exactly as long as it is, for ASan. */
static uint8_t *made(uint32_t len, uint32_t stream, uint32_t seq, uint64_t *sum)
{
	static uint8_t room[STAMP_PAYLOAD_MAX + 64];

	*sum = stamp_make(room, len, 0x123456F0, stream, seq, 0xFEDCBA9876543210 + seq);
	return copy_exact(room, len);
}

static void test_whole(void)
{
	for (unsigned i = 0; i < LENS; i++) {
		for (uint32_t k = 0; k < 200; k++) {
			uint64_t sum, again = 0;
			uint8_t *const p = made(lens[i], k * 7919, k * k, &sum);

			CHECK(stamp_check(p, lens[i], &again), "whole");
			CHECK(stamp_fold(sum) == csum_fold(csum_add(0, p, lens[i])),
			      "its sum is that of its octets");
			CHECK(stamp_fold(again) == stamp_fold(sum), "for both sides");
			free(p);
		}
	}
}

/* Any octet changed in any bit is found; so are swapped halves and a length that is wrong. */
static void test_damage(void)
{
	for (unsigned i = 0; i < LENS - 1; i++) {
		uint64_t sum;
		uint8_t *const p = made(lens[i], 5, 9, &sum);

		for (uint32_t bit = 0; bit < lens[i] * 8; bit++) {
			p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CHECK(!stamp_check(p, lens[i], &sum), "one bit");
			p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		CHECK(lens[i] == STAMP_LEN || !stamp_check(p, lens[i] - 1, &sum), "shorter by one");
		CHECK(stamp_check(p, lens[i], &sum), "and it is whole again");
		free(p);
	}
}

/* The body of one packet does not pass for that of the next. */
static void test_bodies(void)
{
	uint64_t sum;
	uint8_t *const a = made(160, 5, 9, &sum), *const b = made(160, 5, 10, &sum);

	memcpy(b + STAMP_LEN, a + STAMP_LEN, 160 - STAMP_LEN);
	CHECK(!stamp_check(b, 160, &sum), "of another number");
	free(a);
	free(b);
}

static void test_run(void)
{
	for (uint64_t i = 0; i < 1000; i++) {
		const uint32_t run = stamp_run(i * UINT64_C(0x9E3779B97F4A7C15));
		uint8_t first;

		memcpy(&first, &run, 1);
		CHECK(first >= 128, "neither STUN nor ChannelData");
	}
	CHECK(stamp_run(1) != stamp_run(2), "of the random number");
}

static void test_body_sum(void)
{
	for (uint32_t slice = 0; slice < 2 * STAMP_SLICES; slice += 2)
		for (uint32_t n = 0; n < 200; n++)
			CHECK(csum_fold(stamp_body_sum(slice, n)) ==
			              csum_fold(csum_add(0, stamp_pattern + slice, n)),
			      "from the table");
}

int main(void)
{
	CU_TestInfo tests[] = { { "whole", test_whole },       { "damage", test_damage },
		                { "bodies", test_bodies },     { "run", test_run },
		                { "body sum", test_body_sum }, CU_TEST_INFO_NULL };

	stamp_prepare();
	return run_suite("stamp", tests);
}
