/* Mirrors include/wire/turn.h: STUN-024, STUN-032 to STUN-035, DEMUX-011 to DEMUX-014. */
#include "tests/support.h"
#include "wire/attr.h"

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

/* As registered. The readers and the vectors would not notice all of them. */
static void test_numbers(void)
{
	static const uint16_t attributes[][2] = {
		{ STUN_MAPPED_ADDRESS, 0x0001 },
		{ STUN_RESPONSE_ADDRESS, 0x0002 },
		{ STUN_CHANGE_REQUEST, 0x0003 },
		{ STUN_SOURCE_ADDRESS, 0x0004 },
		{ STUN_CHANGED_ADDRESS, 0x0005 },
		{ STUN_USERNAME, 0x0006 },
		{ STUN_MESSAGE_INTEGRITY, 0x0008 },
		{ STUN_ERROR_CODE, 0x0009 },
		{ STUN_UNKNOWN_ATTRIBUTES, 0x000A },
		{ STUN_REFLECTED_FROM, 0x000B },
		{ STUN_REALM, 0x0014 },
		{ STUN_NONCE, 0x0015 },
		{ STUN_ACCESS_TOKEN, 0x001B },
		{ STUN_MESSAGE_INTEGRITY_SHA256, 0x001C },
		{ STUN_PASSWORD_ALGORITHM, 0x001D },
		{ STUN_USERHASH, 0x001E },
		{ STUN_XOR_MAPPED_ADDRESS, 0x0020 },
		{ STUN_PRIORITY, 0x0024 },
		{ STUN_USE_CANDIDATE, 0x0025 },
		{ STUN_PADDING, 0x0026 },
		{ STUN_RESPONSE_PORT, 0x0027 },
		{ STUN_PASSWORD_ALGORITHMS, 0x8002 },
		{ STUN_ALTERNATE_DOMAIN, 0x8003 },
		{ STUN_SOFTWARE, 0x8022 },
		{ STUN_ALTERNATE_SERVER, 0x8023 },
		{ STUN_TRANSACTION_TRANSMIT_COUNTER, 0x8025 },
		{ STUN_CACHE_TIMEOUT, 0x8027 },
		{ STUN_FINGERPRINT, 0x8028 },
		{ STUN_ICE_CONTROLLED, 0x8029 },
		{ STUN_ICE_CONTROLLING, 0x802A },
		{ STUN_RESPONSE_ORIGIN, 0x802B },
		{ STUN_OTHER_ADDRESS, 0x802C },
		{ STUN_ECN_CHECK, 0x802D },
		{ STUN_THIRD_PARTY_AUTHORIZATION, 0x802E },
		{ TURN_CHANNEL_NUMBER, 0x000C },
		{ TURN_LIFETIME, 0x000D },
		{ TURN_XOR_PEER_ADDRESS, 0x0012 },
		{ TURN_DATA_ATTR, 0x0013 },
		{ TURN_XOR_RELAYED_ADDRESS, 0x0016 },
		{ TURN_REQUESTED_ADDRESS_FAMILY, 0x0017 },
		{ TURN_EVEN_PORT, 0x0018 },
		{ TURN_REQUESTED_TRANSPORT, 0x0019 },
		{ TURN_DONT_FRAGMENT, 0x001A },
		{ TURN_RESERVATION_TOKEN, 0x0022 },
		{ TURN_CONNECTION_ID, 0x002A },
		{ TURN_ADDITIONAL_ADDRESS_FAMILY, 0x8000 },
		{ TURN_ADDRESS_ERROR_CODE, 0x8001 },
		{ TURN_ICMP_ATTR, 0x8004 },
		{ TURN_MOBILITY_TICKET, 0x8030 },
	};

	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		CHECK(attributes[i][0] == attributes[i][1], "attribute");
	CHECK(TURN_ALLOCATE == 3 && TURN_REFRESH == 4 && TURN_SEND == 6 && TURN_DATA == 7,
	      "methods");
	CHECK(TURN_CREATE_PERMISSION == 8 && TURN_CHANNEL_BIND == 9, "methods");
	CHECK(TURN_CONNECT == 10 && TURN_CONNECTION_BIND == 11 && TURN_CONNECTION_ATTEMPT == 12,
	      "methods");
	CHECK(TURN_TRANSPORT_UDP == 17 && TURN_TRANSPORT_TCP == 6, "protocols");
	CHECK(STUN_CHANGE_IP == 4 && STUN_CHANGE_PORT == 2, "CHANGE-REQUEST");
	CHECK(STUN_ALGORITHM_MD5 == 1 && STUN_ALGORITHM_SHA256 == 2, "algorithms");
	CHECK(TURN_RESERVATION_TOKEN_LEN == 8 && TURN_EVEN_PORT_RESERVE == 0x80, "forms");
	CHECK(CHANNEL_MIN == 0x4000 && CHANNEL_MAX == 0x4FFF && CHANNEL_MAX_5766 == 0x7FFF,
	      "channels");
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
		{ "numbers", test_numbers },
		{ "known types", test_known },
		{ "ChannelData", test_channel },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/turn", tests);
}
