/* Mirrors include/wire/turn.h: STUN-024, STUN-032 to STUN-035, DEMUX-011 to DEMUX-014. */
#include "tests/support.h"
#include "wire/turn.h"

/* Of all types of all methods only these are taken. */
static void test_serves(void)
{
	static const uint16_t udp[] = { 0x0001, 0x0011, 0x0003, 0x0004, 0x0016, 0x0008, 0x0009 };
	unsigned by_udp = 0, by_tcp = 0;

	for (size_t i = 0; i < sizeof(udp) / sizeof(udp[0]); i++)
		CHECK(turn_serves(udp[i]) && turn_serves_tcp(udp[i]), "served");
	CHECK(turn_serves_tcp(0x000A) && turn_serves_tcp(0x000B), "Connect, ConnectionBind");
	for (unsigned type = 0; type < 0x4000; type++) {
		by_udp += turn_serves((uint16_t)type);
		by_tcp += turn_serves_tcp((uint16_t)type);
	}
	CHECK(by_udp == 7, "nothing else");
	CHECK(by_tcp == 9, "nothing else with TCP allocations");
}

static void test_reasons(void)
{
	CHECK(strcmp(stun_reason(STUN_TRY_ALTERNATE), "Try Alternate") == 0, "300");
	CHECK(strcmp(stun_reason(438), "Stale Nonce") == 0, "438");
	CHECK(strcmp(stun_reason(STUN_INSUFFICIENT_CAPACITY), "Insufficient Capacity") == 0, "508");
	CHECK(stun_reason(404)[0] == '\0' && stun_reason(0)[0] == '\0', "unknown");
	CHECK(STUN_UNAUTHENTICATED == 401 && STUN_ALLOCATION_MISMATCH == 437, "numbers");
}

static void test_known(void)
{
	/* STUN-043: off unless the caller adds them. */
	CHECK((TURN_KNOWN & STUN_BIT(STUN_CHANGE_REQUEST)) == 0, "CHANGE-REQUEST");
	CHECK((TURN_KNOWN & STUN_BIT(STUN_ACCESS_TOKEN)) == 0, "ACCESS-TOKEN");
	CHECK((TURN_KNOWN & STUN_BIT(STUN_RESPONSE_ADDRESS)) == 0, "RESPONSE-ADDRESS");
	CHECK((TURN_KNOWN & STUN_BIT(STUN_PRIORITY)) != 0, "ICE's are known");
	CHECK((TURN_KNOWN & STUN_BIT(TURN_CONNECTION_ID)) != 0, "the last");
	CHECK((TURN_KNOWN & 1) == 0, "type 0 is unknown");
}

static const struct {
	const char *name;
	size_t len;
	uint8_t bytes[12];
	uint16_t max;
	bool opens;
	uint16_t number, data;
} cases[] = {
	/* clang-format off */
	{ "empty data",          4, { 0x40, 0, 0, 0 },             CHANNEL_MAX, true,  0x4000, 0 },
	{ "one octet",           5, { 0x40, 1, 0, 1, 9 },          CHANNEL_MAX, true,  0x4001, 1 },
	{ "padding",             8, { 0x40, 1, 0, 1, 9, 0, 0, 0 }, CHANNEL_MAX, true,  0x4001, 1 },
	{ "more than padding",   9, { 0x4F, 0xFF, 0, 1, 9 },       CHANNEL_MAX, true,  0x4FFF, 1 },
	{ "cut by one",          5, { 0x40, 0, 0, 2, 9 },          CHANNEL_MAX, false, 0, 0 },
	{ "length 65535",        8, { 0x40, 0, 0xFF, 0xFF },       CHANNEL_MAX, false, 0, 0 },
	{ "three octets",        3, { 0x40, 0, 0 },                CHANNEL_MAX, false, 0, 0 },
	{ "nothing",             0, { 0 },                         CHANNEL_MAX, false, 0, 0 },
	{ "below the range",     4, { 0x3F, 0xFF, 0, 0 },          CHANNEL_MAX, false, 0, 0 },
	{ "above the range",     4, { 0x50, 0, 0, 0 },             CHANNEL_MAX, false, 0, 0 },
	{ "old range",           4, { 0x50, 0, 0, 0 },             CHANNEL_MAX_5766, true, 0x5000, 0 },
	{ "old range, last",     4, { 0x7F, 0xFF, 0, 0 },          CHANNEL_MAX_5766, true, 0x7FFF, 0 },
	{ "above the old range", 4, { 0x80, 0, 0, 0 },             CHANNEL_MAX_5766, false, 0, 0 },
	/* clang-format on */
};

static void test_channel(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *pkt = copy_exact(cases[i].bytes, cases[i].len);
		uint8_t hdr[CHANNEL_HDR_LEN];
		struct channel_data cd;
		const bool opens = channel_open(pkt, cases[i].len, cases[i].max, &cd);

		CHECK(opens == cases[i].opens, cases[i].name);
		if (opens) {
			CHECK(cd.number == cases[i].number && cd.len == cases[i].data,
			      cases[i].name);
			CHECK(cd.data == pkt + 4, cases[i].name);
			channel_put(hdr, cd.number, cd.len);
			CHECK(memcmp(hdr, pkt, 4) == 0, cases[i].name);
		}
		free(pkt);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "what a server takes", test_serves },
		{ "reason phrases", test_reasons },
		{ "known types", test_known },
		{ "ChannelData", test_channel },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/turn", tests);
}
