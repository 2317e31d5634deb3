#include "pkt-gen/stamp.h"

uint8_t stamp_pattern[STAMP_PATTERN_LEN];
uint32_t stamp_prefix[STAMP_PATTERN_LEN / 2 + 1];

static_assert(STAMP_PATTERN_LEN % 8 == 0, "filled in words");

/* Octets without a period, the same in every run, so that a capture can be compared. */
void stamp_prepare(void)
{
	uint64_t state = UINT64_C(0x243F6A8885A308D3);

	for (unsigned i = 0; i < STAMP_PATTERN_LEN; i += 8) {
		uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);

		z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
		z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
		z ^= z >> 31;
		memcpy(stamp_pattern + i, &z, 8);
	}
	for (unsigned i = 0; i < STAMP_PATTERN_LEN / 2; i++) {
		uint16_t word;

		memcpy(&word, stamp_pattern + 2 * i, 2);
		stamp_prefix[i + 1] = stamp_prefix[i] + word;
	}
}

uint32_t stamp_run(uint64_t random)
{
	const uint8_t first = (uint8_t)random | 0x80;
	uint8_t octets[4];

	memcpy(octets, &random, 4);
	octets[0] = first;
	octets[3] ^= (uint8_t)(random >> 32);
	uint32_t run;

	memcpy(&run, octets, 4);
	return run;
}
