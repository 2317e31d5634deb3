/* Mirrors include/wire/demux.h: DEMUX-001 to DEMUX-022, one row of the table for each octet. */
#include "tests/support.h"
#include "wire/demux.h"

/* DEMUX-001: every first octet, in a datagram that is well formed as far as that can be. */
static void test_every_octet(void)
{
	unsigned seen[DEMUX_COUNT] = { 0 };

	for (unsigned o = 0; o < 256; o++) {
		const uint8_t bytes[20] = { (uint8_t)o, 0xFE, 0, 0, 0x21, 0x12, 0xA4, 0x42 };
		uint8_t *pkt = copy_exact(bytes, 20);
		const enum demux is = demux_datagram(pkt, 20, DEMUX_SERVE_DTLS);
		enum demux want = DEMUX_RESERVED;

		if (o <= 3)
			want = DEMUX_STUN;
		else if (o >= 16 && o <= 19)
			want = DEMUX_ZRTP;
		else if (o >= 20 && o <= 63)
			want = o <= 26 || o >= 32 ? DEMUX_DTLS : DEMUX_DTLS_MALFORMED;
		else if (o >= 64 && o <= 79)
			want = DEMUX_CHANNEL;
		else if (o >= 128 && o <= 191)
			want = DEMUX_RTP;
		CHECK(is == want, demux_name(want));
		CHECK(demux_refuses(is) ==
		              (is != DEMUX_STUN && is != DEMUX_DTLS && is != DEMUX_CHANNEL),
		      demux_name(is));
		seen[is]++;

		/* Without DTLS, and with channel numbers of RFC 5766. */
		const enum demux off = demux_datagram(pkt, 20, 0);
		CHECK(off == (o >= 20 && o <= 63 ? DEMUX_DTLS_OFF : want), "DEMUX-022");
		const enum demux old =
			demux_datagram(pkt, 20, DEMUX_SERVE_RFC5766 | DEMUX_SERVE_DTLS);
		CHECK(old == (o >= 80 && o <= 127 ? DEMUX_CHANNEL : want), "TURN-100");
		free(pkt);
	}
	CHECK(seen[DEMUX_STUN] == 4 && seen[DEMUX_CHANNEL] == 16 && seen[DEMUX_RTP] == 64,
	      "ranges");
	CHECK(seen[DEMUX_ZRTP] == 4 && seen[DEMUX_DTLS] == 7 + 32 &&
	              seen[DEMUX_DTLS_MALFORMED] == 5,
	      "ranges");
	CHECK(seen[DEMUX_RESERVED] == 12 + 48 + 64, "ranges");
}

static const struct {
	const char *name;
	size_t len;
	uint8_t bytes[28];
	unsigned serve;
	enum demux want;
} cases[] = {
	/* clang-format off */
	{ "empty",                  0,  { 0 },                                       7, DEMUX_EMPTY },
	{ "one zero",               1,  { 0 },                                       7, DEMUX_STUN_MALFORMED },
	{ "19 octets",              19, { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 },      7, DEMUX_STUN_MALFORMED },
	{ "length long",            20, { 0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42 },      7, DEMUX_STUN_MALFORMED },
	{ "length short",           24, { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 },      7, DEMUX_STUN_MALFORMED },
	{ "unaligned",              22, { 0, 1, 0, 2, 0x21, 0x12, 0xA4, 0x42 },      7, DEMUX_STUN_MALFORMED },
	{ "bad cookie",             20, { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x43 },      5, DEMUX_STUN_BAD_COOKIE },
	{ "RFC 3489 served",        20, { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x43 },      2, DEMUX_CLASSIC },
	{ "of it only Binding",     20, { 0, 3, 0, 0, 0x21, 0x12, 0xA4, 0x43 },      2, DEMUX_STUN_BAD_COOKIE },
	{ "of it no indication",    20, { 0, 0x11, 0, 0, 9 },                        2, DEMUX_STUN_BAD_COOKIE },
	{ "of it lengths too",      20, { 0, 1, 0, 4, 9 },                           2, DEMUX_STUN_MALFORMED },
	{ "channel, 3 octets",      3,  { 0x40, 0, 0 },                              0, DEMUX_CD_MALFORMED },
	{ "channel, empty",         4,  { 0x40, 0, 0, 0 },                           0, DEMUX_CHANNEL },
	{ "channel, cut",           4,  { 0x40, 0, 0, 1 },                           0, DEMUX_CD_MALFORMED },
	{ "channel, trailing",      9,  { 0x4F, 0xFF, 0, 1 },                        0, DEMUX_CHANNEL },
	{ "old channel, cut",       4,  { 0x7F, 0xFF, 0, 1 },                        4, DEMUX_CD_MALFORMED },
	{ "DTLS 1.2",               13, { 22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 1, DEMUX_DTLS },
	{ "DTLS 1.2 with a body",   14, { 22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 1, DEMUX_DTLS },
	{ "its body cut",           13, { 22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 1, DEMUX_DTLS_MALFORMED },
	{ "12 octets",              12, { 22, 0xFE, 0xFD },                          1, DEMUX_DTLS_MALFORMED },
	{ "TLS version",            13, { 22, 3, 3 },                                1, DEMUX_DTLS_MALFORMED },
	{ "first type",             13, { 20, 0xFE },                                1, DEMUX_DTLS },
	{ "last type",              13, { 26, 0xFE },                                1, DEMUX_DTLS },
	{ "27",                     13, { 27, 0xFE },                                1, DEMUX_DTLS_MALFORMED },
	{ "31",                     13, { 31, 0xFE },                                1, DEMUX_DTLS_MALFORMED },
	{ "DTLS 1.3",               3,  { 32, 0, 0 },                                1, DEMUX_DTLS },
	{ "DTLS 1.3, last",         3,  { 63, 0, 0 },                                1, DEMUX_DTLS },
	{ "DTLS 1.3, two octets",   2,  { 32, 0 },                                   1, DEMUX_DTLS_MALFORMED },
	{ "DTLS off",               13, { 22, 0xFE },                                6, DEMUX_DTLS_OFF },
	{ "one octet of ZRTP",      1,  { 16 },                                      7, DEMUX_ZRTP },
	{ "one octet of RTP",       1,  { 0x80 },                                    7, DEMUX_RTP },
	{ "one octet of nothing",   1,  { 0xFF },                                    7, DEMUX_RESERVED },
	/* clang-format on */
};

static void test_lengths(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *pkt = copy_exact(cases[i].bytes, cases[i].len);

		CHECK(demux_datagram(pkt, cases[i].len, cases[i].serve) == cases[i].want,
		      cases[i].name);
		free(pkt);
	}
}

/* The record check by itself, past the edges that the classifier never shows it. */
static void test_record(void)
{
	for (unsigned o = 0; o < 256; o++) {
		const uint8_t p[13] = { (uint8_t)o, 0xFE };

		CHECK(demux_dtls_record(p, 13) == ((o >= 20 && o <= 26) || (o >= 32 && o <= 63)),
		      "first octet");
	}
}

static void test_names(void)
{
	CHECK(strcmp(demux_name(DEMUX_EMPTY), "demux_empty") == 0, "first refusal");
	CHECK(strcmp(demux_name(DEMUX_STUN_BAD_COOKIE), "stun_bad_cookie") == 0, "last");
	CHECK(demux_name(DEMUX_COUNT)[0] == '\0', "past the end");
	CHECK(!demux_refuses(DEMUX_DTLS) && demux_refuses(DEMUX_EMPTY), "edge");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "every first octet", test_every_octet },
		{ "lengths", test_lengths },
		{ "DTLS record", test_record },
		{ "names", test_names },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/demux", tests);
}
