/* Mirrors include/wire/frame.h: DEMUX-040 to DEMUX-044, STUN-141, STUN-142, TURN-101, TURN-115,
 * TURN-117. */
#include "tests/support.h"
#include "wire/frame.h"

static const struct {
	const char *name;
	size_t len;
	uint8_t bytes[28];
	enum frame want;
	size_t whole;
} cases[] = {
	/* clang-format off */
	{ "nothing yet",            0,  { 0 },                                  FRAME_WAIT,    0 },
	{ "one octet of STUN",      1,  { 3 },                                  FRAME_WAIT,    0 },
	{ "7 octets, bad so far",   7,  { 0, 1, 0, 1, 9, 9, 9 },                FRAME_WAIT,    0 },
	{ "8 octets, bad cookie",   8,  { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x43 }, FRAME_CLOSE,   0 },
	{ "8 octets, unaligned",    8,  { 0, 1, 0, 1, 0x21, 0x12, 0xA4, 0x42 }, FRAME_CLOSE,   0 },
	{ "8 octets, unaligned, 2", 8,  { 0, 1, 0, 2, 0x21, 0x12, 0xA4, 0x42 }, FRAME_CLOSE,   0 },
	{ "8 octets",               8,  { 0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42 }, FRAME_WAIT,    0 },
	{ "19 octets",              19, { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 }, FRAME_WAIT,    0 },
	{ "20 octets",              20, { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 }, FRAME_STUN,    20 },
	{ "20 of 24",               20, { 0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42 }, FRAME_WAIT,    0 },
	{ "23 of 24",               23, { 0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42 }, FRAME_WAIT,    0 },
	{ "24 of 24",               24, { 0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42 }, FRAME_STUN,    24 },
	{ "one behind",             28, { 0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42 }, FRAME_STUN,    24 },
	{ "4",                      1,  { 4 },                                  FRAME_CLOSE,   0 },
	{ "63",                     1,  { 63 },                                 FRAME_CLOSE,   0 },
	{ "64",                     1,  { 64 },                                 FRAME_WAIT,    0 },
	{ "127",                    1,  { 127 },                                FRAME_WAIT,    0 },
	{ "128",                    1,  { 128 },                                FRAME_CLOSE,   0 },
	{ "channel, 3 octets",      3,  { 0x40, 0, 0 },                         FRAME_WAIT,    0 },
	{ "channel, empty",         4,  { 0x40, 0, 0, 0 },                      FRAME_CHANNEL, 4 },
	{ "channel, no padding yet", 7, { 0x40, 0, 0, 1, 9, 0, 0 },             FRAME_WAIT,    0 },
	{ "channel, padded",        8,  { 0x40, 0, 0, 1, 9, 7, 7, 7 },          FRAME_CHANNEL, 8 },
	{ "channel, 4 of data",     8,  { 0x40, 0, 0, 4 },                      FRAME_CHANNEL, 8 },
	{ "channel, 5 of data",     11, { 0x40, 0, 0, 5 },                      FRAME_WAIT,    0 },
	{ "channel, one behind",    9,  { 0x40, 0, 0, 4 },                      FRAME_CHANNEL, 8 },
	{ "unbound number",         4,  { 0x7F, 0xFF, 0, 0 },                   FRAME_CHANNEL, 4 },
	/* clang-format on */
};

static void test_next(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *pkt = copy_exact(cases[i].bytes, cases[i].len);
		size_t whole = 0;

		CHECK(frame_next(pkt, cases[i].len, &whole) == cases[i].want, cases[i].name);
		CHECK(whole == cases[i].whole, cases[i].name);
		free(pkt);
	}
}

/* TURN-117: in more than 16 bits of arithmetic. */
static void test_largest(void)
{
	uint8_t *pkt = calloc(1, FRAME_LEN_MAX);
	size_t whole = 0;

	be32_store(pkt, 0x4000FFFF);
	CHECK(frame_next(pkt, 65539, &whole) == FRAME_WAIT, "ChannelData, one missing");
	CHECK(frame_next(pkt, 65540, &whole) == FRAME_CHANNEL && whole == 65540, "ChannelData");
	be32_store(pkt, 0x0001FFFC);
	be32_store(pkt + 4, STUN_COOKIE);
	CHECK(frame_next(pkt, FRAME_LEN_MAX - 1, &whole) == FRAME_WAIT, "STUN, one missing");
	CHECK(frame_next(pkt, FRAME_LEN_MAX, &whole) == FRAME_STUN && whole == FRAME_LEN_MAX,
	      "STUN");
	free(pkt);
}

static void test_sniff(void)
{
	for (unsigned o = 0; o < 256; o++)
		CHECK(frame_sniff((uint8_t)o) == (o <= 3    ? SNIFF_STUN
		                                  : o == 22 ? SNIFF_TLS
		                                            : SNIFF_CLOSE),
		      "DEMUX-040");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "next", test_next },
		{ "the largest", test_largest },
		{ "sniff", test_sniff },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/frame", tests);
}
