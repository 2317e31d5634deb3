/* Mirrors include/wire/attr.h: STUN-020, STUN-022, STUN-038 to STUN-040, STUN-046, STUN-056,
 * STUN-057, STUN-088. */
#include "tests/support.h"
#include "wire/stun_build.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct stun_attr make(uint16_t type, const void *value, size_t len, void **owned)
{
	*owned = copy_exact(value, len);
	return (struct stun_attr){ .type = type, .len = (uint16_t)len, .value = *owned };
}

static void test_addr(void)
{
	static const struct {
		const char *name;
		size_t len;
		uint8_t value[24];
		unsigned family;
	} rows[] = {
		/* clang-format off */
		{ "IPv4",               8,  { 0, 1, 0x80, 0x55, 192, 0, 2, 1 }, 4 },
		{ "reserved octet set", 8,  { 0xFF, 1, 0x80, 0x55, 192, 0, 2, 1 }, 4 },
		{ "IPv6",               20, { 0, 2, 0x80, 0x55, 0x20, 1 }, 6 },
		{ "family 0",           8,  { 0, 0, 0x80, 0x55, 192, 0, 2, 1 }, 0 },
		{ "family 3",           8,  { 0, 3, 0x80, 0x55, 192, 0, 2, 1 }, 0 },
		{ "IPv4 in 20",         20, { 0, 1, 0x80, 0x55, 192, 0, 2, 1 }, 0 },
		{ "IPv6 in 8",          8,  { 0, 2, 0x80, 0x55, 0x20, 1 }, 0 },
		{ "7 octets",           7,  { 0, 1, 0x80, 0x55, 192, 0, 2 }, 0 },
		{ "9 octets",           9,  { 0, 1, 0x80, 0x55, 192, 0, 2, 1, 0 }, 0 },
		{ "19 octets",          19, { 0, 2 }, 0 },
		{ "21 octets",          21, { 0, 2 }, 0 },
		{ "one octet",          1,  { 0 }, 0 },
		{ "none",               0,  { 0 }, 0 },
		/* clang-format on */
	};
	static const uint8_t header[20] = { 1, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1,  2,
		                            3, 4, 5, 6, 7,    8,    9,    10,   11, 12 };
	static const uint16_t types[] = {
		STUN_MAPPED_ADDRESS,     STUN_RESPONSE_ADDRESS, STUN_SOURCE_ADDRESS,
		STUN_CHANGED_ADDRESS,    STUN_REFLECTED_FROM,   TURN_XOR_PEER_ADDRESS,
		STUN_XOR_MAPPED_ADDRESS, STUN_ALTERNATE_SERVER, TURN_XOR_RELAYED_ADDRESS,
		STUN_RESPONSE_ORIGIN,    STUN_OTHER_ADDRESS,
	};
	struct stun_msg msg = { 0 };

	CHECK(stun_open(header, 20, &msg), "opens");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct endpoint e = { .port = 7 }, x = { .port = 7 };
		void *owned;
		struct stun_attr attr =
			make(STUN_MAPPED_ADDRESS, rows[i].value, rows[i].len, &owned);

		CHECK(stun_addr(&attr, &e) == rows[i].family, rows[i].name);
		CHECK(stun_xor_addr(&msg, &attr, &x) == rows[i].family, rows[i].name);
		CHECK(stun_well_formed(&attr) == (rows[i].family != 0), rows[i].name);
		for (size_t j = 0; j < COUNT(types); j++) {
			attr.type = types[j];
			CHECK(stun_well_formed(&attr) == (rows[i].family != 0), rows[i].name);
		}
		CHECK(e.port == (rows[i].family != 0 ? 0x8055 : 7), "left alone when malformed");
		CHECK(x.port == (rows[i].family != 0 ? (0x8055 ^ 0x2112) : 7), "port");
		if (rows[i].family == 4) {
			CHECK(memcmp(e.addr.ip + 12, rows[i].value + 4, 4) == 0, "address");
			CHECK(be32_load(x.addr.ip + 12) == (0xC0000201 ^ STUN_COOKIE), "xored");
			CHECK(addr_is4(&e.addr) && addr_is4(&x.addr), "one form");
		} else if (rows[i].family == 6) {
			CHECK(memcmp(e.addr.ip, rows[i].value + 4, 16) == 0, "address");
			for (size_t j = 0; j < 16; j++)
				CHECK(x.addr.ip[j] == (rows[i].value[4 + j] ^ header[4 + j]),
				      "xored");
		}
		free(owned);
	}
}

/* STUN-058: told apart from family 1, though the endpoint is the same. */
static void test_disguise(void)
{
	static const uint8_t mapped[20] = { 0, 2, 0, 9, [14] = 0xFF, 0xFF, 192, 0, 2, 1 };
	const struct stun_attr attr = { .len = 20, .value = mapped };
	struct endpoint e;

	CHECK(stun_addr(&attr, &e) == 6 && addr_family(&e.addr) == 4, "6 on the wire, 4 in form");
}

static void test_numbers(void)
{
	static const uint8_t octets[8] = { 0x81, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF };

	for (size_t len = 0; len <= 8; len++) {
		void *owned;
		const struct stun_attr attr = make(0x7FFF, octets, len, &owned);
		struct turn_icmp icmp = { 0 };
		uint32_t v32 = 0;
		uint16_t number = 0, port = 0;
		uint8_t v8 = 0;
		bool reserve = false;

		CHECK(stun_u32(&attr, &v32) == (len == 4), "u32");
		CHECK(v32 == (len == 4 ? 0x81234567 : 0), "u32");
		CHECK(stun_u8(&attr, &v8) == (len == 4) && v8 == (len == 4 ? 0x81 : 0), "u8");
		CHECK(stun_channel(&attr, &number) == (len == 4), "channel");
		CHECK(number == (len == 4 ? 0x8123 : 0), "channel");
		CHECK(stun_even_port(&attr, &reserve) == (len == 1), "even port");
		CHECK(reserve == (len == 1), "reserve");
		CHECK(stun_response_port(&attr, &port) == (len == 2 || len == 4), "response port");
		CHECK(port == (len == 2 || len == 4 ? 0x8123 : 0), "response port");
		CHECK(stun_icmp(&attr, &icmp) == (len == 8), "icmp");
		CHECK(icmp.type == (len == 8 ? 0x45 : 0) && icmp.code == (len == 8 ? 0x67 : 0) &&
		              icmp.data == (len == 8 ? 0x89ABCDEF : 0),
		      "icmp");
		free(owned);
	}
	bool reserve = true;
	CHECK(stun_even_port(&(struct stun_attr){ .len = 1, .value = (const uint8_t *)"\x7F" },
	                     &reserve) &&
	              !reserve,
	      "the seven other bits mean nothing");
}

static void test_error_code(void)
{
	static const struct {
		const char *name;
		size_t len;
		uint8_t value[8];
		unsigned code;
	} rows[] = {
		/* clang-format off */
		{ "300",            4, { 0, 0, 3, 0 }, 300 },
		{ "699",            4, { 0, 0, 6, 99 }, 699 },
		{ "with reason",    6, { 0, 0, 4, 1, 'n', 'o' }, 401 },
		{ "reserved bits",  4, { 0xFF, 0xFF, 0xFC, 38 }, 438 },
		{ "class 2",        4, { 0, 0, 2, 99 }, 0 },
		{ "class 7",        4, { 0, 0, 7, 0 }, 0 },
		{ "number 100",     4, { 0, 0, 4, 100 }, 0 },
		{ "three octets",   3, { 0, 0, 4 }, 0 },
		{ "none",           0, { 0 }, 0 },
		/* clang-format on */
	};
	const uint8_t *reason = NULL;
	size_t reason_len = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		void *owned;
		struct stun_attr attr = make(STUN_ERROR_CODE, rows[i].value, rows[i].len, &owned);

		CHECK(stun_error_code(&attr, &reason, &reason_len) == rows[i].code, rows[i].name);
		CHECK(stun_well_formed(&attr) == (rows[i].code != 0), rows[i].name);
		attr.type = TURN_ADDRESS_ERROR_CODE;
		CHECK(stun_well_formed(&attr) == (rows[i].code != 0), rows[i].name);
		if (rows[i].code != 0)
			CHECK(reason == attr.value + 4 && reason_len == rows[i].len - 4,
			      rows[i].name);
		free(owned);
	}

	/* STUN-047: 763 octets of reason are read, 764 are not. */
	uint8_t *longest = calloc(1, 768);
	longest[2] = 4;
	struct stun_attr attr = { .type = STUN_ERROR_CODE, .len = 767, .value = longest };
	CHECK(stun_error_code(&attr, &reason, &reason_len) == 400 && reason_len == 763, "763");
	CHECK(stun_well_formed(&attr), "763");
	attr.len = 768;
	CHECK(stun_error_code(&attr, &reason, &reason_len) == 0, "764");
	CHECK(!stun_well_formed(&attr), "764");
	free(longest);
}

/* STUN-020: for each type the first and last length that can be, and their neighbours that cannot.
 */
static void test_well_formed(void)
{
	static const struct {
		uint16_t type;
		uint16_t good[4], bad[4];
	} rows[] = {
		/* clang-format off */
		{ STUN_CHANGE_REQUEST,               { 4, 4, 4, 4 },     { 0, 3, 5, 8 } },
		{ STUN_USERNAME,                     { 0, 1, 508, 763 }, { 764, 765, 1000, 65535 } },
		{ STUN_REALM,                        { 0, 1, 509, 763 }, { 764, 765, 1000, 65535 } },
		{ STUN_NONCE,                        { 0, 1, 509, 763 }, { 764, 765, 1000, 65535 } },
		{ STUN_SOFTWARE,                     { 0, 1, 509, 763 }, { 764, 765, 1000, 65535 } },
		{ STUN_THIRD_PARTY_AUTHORIZATION,    { 0, 1, 509, 763 }, { 764, 765, 1000, 65535 } },
		{ STUN_MESSAGE_INTEGRITY,            { 20, 20, 20, 20 }, { 0, 19, 21, 32 } },
		{ STUN_MESSAGE_INTEGRITY_SHA256,     { 16, 20, 28, 32 }, { 12, 18, 33, 36 } },
		{ STUN_UNKNOWN_ATTRIBUTES,           { 0, 2, 6, 65534 }, { 1, 3, 7, 65535 } },
		{ TURN_CHANNEL_NUMBER,               { 4, 4, 4, 4 },     { 0, 2, 5, 8 } },
		{ TURN_LIFETIME,                     { 4, 4, 4, 4 },     { 0, 3, 5, 8 } },
		{ TURN_REQUESTED_ADDRESS_FAMILY,     { 4, 4, 4, 4 },     { 0, 1, 3, 5 } },
		{ TURN_ADDITIONAL_ADDRESS_FAMILY,    { 4, 4, 4, 4 },     { 0, 1, 3, 5 } },
		{ TURN_EVEN_PORT,                    { 1, 1, 1, 1 },     { 0, 2, 4, 5 } },
		{ TURN_REQUESTED_TRANSPORT,          { 4, 4, 4, 4 },     { 0, 1, 3, 5 } },
		{ TURN_DONT_FRAGMENT,                { 0, 0, 0, 0 },     { 1, 2, 3, 4 } },
		{ STUN_USERHASH,                     { 32, 32, 32, 32 }, { 0, 31, 33, 64 } },
		{ TURN_RESERVATION_TOKEN,            { 8, 8, 8, 8 },     { 0, 7, 9, 16 } },
		{ STUN_PRIORITY,                     { 4, 4, 4, 4 },     { 0, 3, 5, 8 } },
		{ STUN_USE_CANDIDATE,                { 0, 0, 0, 0 },     { 1, 2, 3, 4 } },
		{ STUN_RESPONSE_PORT,                { 2, 4, 2, 4 },     { 0, 1, 3, 6 } },
		{ TURN_CONNECTION_ID,                { 4, 4, 4, 4 },     { 0, 3, 5, 8 } },
		{ STUN_ALTERNATE_DOMAIN,             { 1, 2, 254, 255 }, { 0, 256, 300, 763 } },
		{ TURN_ICMP_ATTR,                    { 8, 8, 8, 8 },     { 0, 4, 7, 9 } },
		{ STUN_TRANSACTION_TRANSMIT_COUNTER, { 4, 4, 4, 4 },     { 0, 3, 5, 8 } },
		{ STUN_FINGERPRINT,                  { 4, 4, 4, 4 },     { 0, 3, 5, 8 } },
		{ STUN_ICE_CONTROLLED,               { 8, 8, 8, 8 },     { 0, 7, 9, 4 } },
		{ STUN_ICE_CONTROLLING,              { 8, 8, 8, 8 },     { 0, 7, 9, 4 } },
		{ STUN_ECN_CHECK,                    { 4, 4, 4, 4 },     { 0, 3, 5, 8 } },
		/* clang-format on */
	};
	uint8_t *zeros = calloc(1, 65536);

	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t j = 0; j < 4; j++) {
			char name[32];

			snprintf(name, sizeof(name), "0x%04X", rows[i].type);
			CHECK(stun_well_formed(
				      &(struct stun_attr){ rows[i].type, rows[i].good[j], zeros }),
			      name);
			CHECK(!stun_well_formed(
				      &(struct stun_attr){ rows[i].type, rows[i].bad[j], zeros }),
			      name);
		}
	}
	for (uint16_t len = 0; len < 9; len++) {
		CHECK(stun_well_formed(&(struct stun_attr){ 0x7777, len, zeros }), "no rule");
		CHECK(stun_well_formed(&(struct stun_attr){ TURN_DATA_ATTR, len, zeros }), "DATA");
		CHECK(stun_well_formed(&(struct stun_attr){ TURN_MOBILITY_TICKET, len, zeros }),
		      "ticket");
	}
	free(zeros);
}

static void test_unknown(void)
{
	static const uint8_t txid[12] = { 0 };
	uint8_t buf[600];
	struct stun_builder b;
	struct stun_msg msg = { 0 };
	struct stun_unknown u;

	/* STUN-040: 40 types, each twice, among known and optional ones. */
	stun_begin(&b, buf, sizeof(buf), 0x0001, txid);
	for (uint16_t i = 0; i < 40; i++) {
		stun_put(&b, (uint16_t)(0x7000 + i), "", 0);
		stun_put(&b, 0x7000, "", 0);
		stun_put(&b, STUN_USERNAME, "", 0);
	}
	CHECK(stun_open(buf, stun_finish(&b), &msg), "opens");
	CHECK(stun_unknown(&msg, TURN_KNOWN, &u) && u.any && u.listed == 16, "16 listed");
	for (uint16_t i = 0; i < 16; i++)
		CHECK(u.type[i] == 0x7000 + i, "in order, each once");

	/* The edges of the bit set and of comprehension-required; what integrity seals off. */
	stun_begin(&b, buf, sizeof(buf), 0x0001, txid);
	stun_put(&b, 0x003F, "", 0);
	stun_put(&b, 0x0040, "", 0);
	stun_put(&b, 0x7FFF, "", 0);
	stun_put(&b, 0x8000, "", 0);
	stun_put(&b, 0x0000, "", 0);
	stun_reserve(&b, STUN_MESSAGE_INTEGRITY, 20);
	stun_put(&b, 0x7001, "", 0);
	CHECK(stun_open(buf, stun_finish(&b), &msg), "opens");
	CHECK(stun_unknown(&msg, TURN_KNOWN, &u) && u.listed == 4, "four");
	CHECK(u.type[0] == 0x3F && u.type[1] == 0x40 && u.type[2] == 0x7FFF && u.type[3] == 0,
	      "which");
	CHECK(stun_unknown(&msg, TURN_KNOWN | STUN_BIT(0x3F), &u) && u.listed == 3, "bit 63");
	stun_begin(&b, buf, sizeof(buf), 0x0001, txid);
	stun_put(&b, STUN_CHANGE_REQUEST, "\0\0\0\4", 4);
	CHECK(stun_open(buf, stun_finish(&b), &msg), "opens");
	CHECK(stun_unknown(&msg, TURN_KNOWN, &u), "STUN-043: off");
	CHECK(!stun_unknown(&msg, TURN_KNOWN | STUN_BIT(STUN_CHANGE_REQUEST), &u) && !u.any &&
	              u.listed == 0,
	      "on");
}

/* STUN-088, STUN-110, STUN-111. */
static void test_algorithms(void)
{
	static const uint8_t sent[] = { 0, 2, 0, 0, 0, 1, 0, 0 };
	static const struct {
		const char *name;
		size_t one_len, list_len;
		uint8_t one[12], list[12];
		unsigned chosen;
		bool one_ok;
	} rows[] = {
		/* clang-format off */
		{ "SHA-256",         4, 8, { 0, 2, 0, 0 }, { 0, 2, 0, 0, 0, 1, 0, 0 }, 2, true },
		{ "MD5",             4, 8, { 0, 1, 0, 0 }, { 0, 2, 0, 0, 0, 1, 0, 0 }, 1, true },
		{ "not offered",     4, 8, { 0, 3, 0, 0 }, { 0, 2, 0, 0, 0, 1, 0, 0 }, 0, true },
		{ "list reordered",  4, 8, { 0, 1, 0, 0 }, { 0, 1, 0, 0, 0, 2, 0, 0 }, 0, true },
		{ "list cut",        4, 4, { 0, 2, 0, 0 }, { 0, 2, 0, 0 },             0, true },
		{ "list longer",     4, 12, { 0, 2, 0, 0 }, { 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0 }, 0, true },
		{ "two chosen",      8, 8, { 0, 2, 0, 0, 0, 1, 0, 0 }, { 0, 2, 0, 0, 0, 1, 0, 0 }, 0, false },
		{ "overrun",         4, 8, { 0, 2, 0, 1 }, { 0, 2, 0, 0, 0, 1, 0, 0 }, 0, false },
		{ "parameters",      6, 8, { 0, 2, 0, 2, 1, 1 }, { 0, 2, 0, 0, 0, 1, 0, 0 }, 0, true },
		{ "three octets",    3, 8, { 0, 2, 0 },    { 0, 2, 0, 0, 0, 1, 0, 0 }, 0, false },
		{ "none",            0, 8, { 0 },          { 0, 2, 0, 0, 0, 1, 0, 0 }, 0, false },
		/* clang-format on */
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		void *one_owned, *list_owned;
		const struct stun_attr one =
			make(STUN_PASSWORD_ALGORITHM, rows[i].one, rows[i].one_len, &one_owned);
		const struct stun_attr list =
			make(STUN_PASSWORD_ALGORITHMS, rows[i].list, rows[i].list_len, &list_owned);

		CHECK(stun_algorithm_chosen(&one, &list, sent, sizeof(sent)) == rows[i].chosen,
		      rows[i].name);
		CHECK(stun_well_formed(&one) == rows[i].one_ok, rows[i].name);
		CHECK(stun_well_formed(&list), rows[i].name);
		free(one_owned);
		free(list_owned);
	}
}

/* Parameters, padded between entries and not behind the last. */
static void test_algorithm_parameters(void)
{
	static const uint8_t value[] = { 0, 7, 0, 5, 'a', 'b', 'c', 'd', 'e',
		                         0, 0, 0, 0, 8,   0,   1,   'z' };
	void *owned;
	struct stun_attr attr = make(STUN_PASSWORD_ALGORITHMS, value, sizeof(value), &owned);
	struct stun_algorithm_iter it = stun_algorithms(&attr);
	struct stun_algorithm a;

	CHECK(stun_algorithms_next(&it, &a) && a.number == 7 && a.parameters_len == 5 &&
	              memcmp(a.parameters, "abcde", 5) == 0,
	      "first");
	CHECK(stun_algorithms_next(&it, &a) && a.number == 8 && a.parameters_len == 1 &&
	              a.parameters[0] == 'z',
	      "second");
	CHECK(!stun_algorithms_next(&it, &a) && !it.bad, "end");
	CHECK(stun_well_formed(&attr), "well formed");

	/* The same choice needs the same parameters. */
	struct stun_attr one = { STUN_PASSWORD_ALGORITHM, 9, value };
	CHECK(stun_algorithm_chosen(&one, &attr, value, sizeof(value)) == 7, "chosen");
	static const uint8_t other[] = { 0, 7, 0, 5, 'a', 'b', 'c', 'd', 'f' };
	one.value = other;
	CHECK(stun_algorithm_chosen(&one, &attr, value, sizeof(value)) == 0, "other parameters");

	one = (struct stun_attr){ STUN_PASSWORD_ALGORITHM, 5, (const uint8_t *)"\0\7\0\1p" };
	CHECK(stun_well_formed(&one), "a parameter of one octet");

	attr.len = 16;
	it = stun_algorithms(&attr);
	CHECK(stun_algorithms_next(&it, &a) && !stun_algorithms_next(&it, &a) && it.bad, "cut");
	CHECK(!stun_algorithms_next(&it, &a), "stays bad");
	CHECK(!stun_well_formed(&attr), "malformed");
	attr.len = 15;
	CHECK(!stun_well_formed(&attr), "cut in the entry's header");
	attr.len = 10; /* within the padding of the first */
	CHECK(stun_well_formed(&attr), "padding of the last is not counted");
	attr.len = 0;
	CHECK(!stun_well_formed(&attr), "empty");
	free(owned);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "addresses", test_addr },
		{ "IPv4 in IPv6 clothes", test_disguise },
		{ "numbers", test_numbers },
		{ "error code", test_error_code },
		{ "well formed", test_well_formed },
		{ "unknown attributes", test_unknown },
		{ "password algorithms", test_algorithms },
		{ "password algorithms with parameters", test_algorithm_parameters },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/attr", tests);
}
