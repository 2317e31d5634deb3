/* Mirrors include/wire/stun.h and bytes.h: STUN-001 to STUN-008, STUN-013 to STUN-019. */
#include "tests/support.h"
#include "wire/stun.h"

#define HDR(len) 0, 1, 0, (len), 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
#define MI 0, 8, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define MI256_16 0, 0x1C, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define FP 0x80, 0x28, 0, 4, 0, 0, 0, 0
#define X 0x12, 0x34, 0, 0
#define Y 0x56, 0x78, 0, 0

static const struct {
	const char *name;
	size_t len;
	uint8_t bytes[40];
	bool opens;
	unsigned attrs; /* walked before the iterator stops */
	bool bad;
} cases[] = {
	/* clang-format off */
	{ "header only",             20, { HDR(0) },                                  true,  0, false },
	{ "flag attribute",          24, { HDR(4), 0x00, 0x25, 0, 0 },                true,  1, false },
	{ "padding is skipped",      28, { HDR(8), 0x80, 0x22, 0, 1, 'x', 0, 0, 0 },  true,  1, false },
	{ "padding may hold anything", 28, { HDR(8), 0x80, 0x22, 0, 1, 'x', 9, 9, 9 }, true, 1, false },
	{ "one after padding",       32, { HDR(12), 0x80, 0x22, 0, 3, 1, 2, 3, 9, 0, 0x25, 0, 0 }, true, 2, false },
	{ "value ends the message",  28, { HDR(8), 0x80, 0x22, 0, 4, 1, 2, 3, 4 },    true,  1, false },
	{ "one octet over the end",  28, { HDR(8), 0x80, 0x22, 0, 5, 1, 2, 3, 4 },    true,  0, true  },
	{ "value overruns",          24, { HDR(4), 0x00, 0x06, 0, 1 },                true,  0, true  },
	{ "second one overruns",     28, { HDR(8), 0, 0x25, 0, 0, 0, 6, 0xFF, 0xFF }, true,  1, true  },
	{ "largest length overruns", 24, { HDR(4), 0, 6, 0xFF, 0xFD },                true,  0, true  },
	{ "type 0 is an attribute",  28, { HDR(8), 0, 0, 0, 0, 0, 0, 0, 0 },          true,  2, false },
	{ "empty",                   0,  { 0 },                                       false, 0, false },
	{ "one octet",               1,  { 0 },                                       false, 0, false },
	{ "shorter than a header",   5,  { HDR(0) },                                  false, 0, false },
	{ "a header less one",       19, { HDR(0) },                                  false, 0, false },
	{ "length says more",        20, { HDR(4) },                                  false, 0, false },
	{ "bytes after the end",     24, { HDR(0) },                                  false, 0, false },
	{ "length not a 4-multiple", 22, { HDR(2), 0x00, 0x25 },                      false, 0, false },
	{ "unaligned, length less",  23, { HDR(0), 1, 2, 3 },                         false, 0, false },
	{ "top bits not zero",       20, { 0x40, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 },   false, 0, false },
	{ "both top bits",           20, { 0xC0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 },   false, 0, false },
	{ "octet 0 is 3",            20, { 3, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 },      true,  0, false },
	{ "octet 0 is 4 (STUN-005)", 20, { 4, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 },      false, 0, false },
	{ "wrong cookie, last bit",  20, { 0x00, 1, 0, 0, 0x21, 0x12, 0xA4, 0x43 },   false, 0, false },
	{ "wrong cookie, first bit", 20, { 0x00, 1, 0, 0, 0xA1, 0x12, 0xA4, 0x42 },   false, 0, false },
	/* clang-format on */
};

static void test_open_and_walk(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *pkt = copy_exact(cases[i].bytes, cases[i].len);
		struct stun_msg msg = { 0 };
		struct stun_marks marks;
		struct stun_attr attr;
		unsigned attrs = 0;
		const bool opens = stun_open(pkt, cases[i].len, &msg);

		CHECK(opens == cases[i].opens, cases[i].name);
		if (opens) {
			struct stun_iter it = stun_attrs(&msg);
			while (stun_next(&it, &attr))
				attrs++;
			CHECK(attrs == cases[i].attrs, cases[i].name);
			CHECK(it.bad == cases[i].bad, cases[i].name);
			CHECK(!stun_next(&it, &attr), "stays at the end");
			CHECK(stun_scan(&msg, &marks) != cases[i].bad, cases[i].name);
			CHECK(stun_len(&msg) == cases[i].len, cases[i].name);
		}
		free(pkt);
	}
}

static void test_fields(void)
{
	static const uint8_t bytes[] = { 0x01, 0x13, 0, 8, 0x21, 0x12, 0xA4, 0x42, 1,  2,
		                         3,    4,    5, 6, 7,    8,    9,    10,   11, 12,
		                         0x80, 0x22, 0, 3, 'a',  'b',  'c',  0 };
	uint8_t *pkt = copy_exact(bytes, sizeof(bytes));
	struct stun_msg msg = { 0 };
	struct stun_attr attr;

	CHECK(stun_open(pkt, sizeof(bytes), &msg), "opens");
	CHECK(msg.type == 0x0113 && msg.octets == pkt && msg.txid == pkt + 8, "header");
	CHECK(msg.attrs == pkt + 20 && msg.end == pkt + 28, "bounds");
	CHECK(stun_find(&msg, STUN_SOFTWARE, &attr), "found");
	CHECK(attr.type == 0x8022 && attr.len == 3 && attr.value == pkt + 24, "attribute");
	CHECK(!stun_find(&msg, STUN_USERNAME, &attr) && attr.value == NULL, "not found: NULL");
	free(pkt);
}

/* STUN-003 to STUN-005: every pair goes round, and the bits lie where the RFC draws them. */
static void test_types(void)
{
	for (unsigned method = 0; method < 0x1000; method++) {
		for (unsigned cls = 0; cls < 4; cls++) {
			unsigned drawn = cls & 1 ? 0x0010 : 0;
			const uint16_t type = stun_type(method, (enum stun_class)cls);

			drawn |= cls & 2 ? 0x0100 : 0;
			for (unsigned bit = 0, at = 0; bit < 12; bit++, at++) {
				at += at == 4 || at == 8;
				drawn |= (method >> bit & 1) << at;
			}
			CHECK(type == drawn, "drawn");
			CHECK(stun_method(type) == method, "method");
			CHECK(stun_class(type) == cls, "class");
			CHECK((type >> 8 <= 3) == (method <= STUN_METHOD_MAX), "first octet");
		}
	}
	CHECK(stun_type(STUN_BINDING, STUN_REQUEST) == 0x0001, "Binding request");
	CHECK(stun_type(STUN_BINDING, STUN_INDICATION) == 0x0011, "Binding indication");
	CHECK(stun_type(STUN_BINDING, STUN_SUCCESS) == 0x0101, "Binding success");
	CHECK(stun_type(STUN_BINDING, STUN_ERROR) == 0x0111, "Binding error");
	CHECK(stun_required(0) && stun_required(0x7FFF), "STUN-019: required");
	CHECK(!stun_required(0x8000) && !stun_required(0xFFFF), "STUN-019: optional");
}

/* STUN-133: a Binding request of RFC 3489 only. */
static void test_classic(void)
{
	static const struct {
		const char *name;
		size_t len;
		uint8_t bytes[24];
		bool opens;
	} rows[] = {
		/* clang-format off */
		{ "no cookie",         20, { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x43 },    true },
		{ "zeros",             20, { 0, 1, 0, 0 },                            true },
		{ "with an attribute", 24, { 0, 1, 0, 4, 9, [20] = 0, 3, 0, 0 },      true },
		{ "the cookie",        20, { 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42 },    false },
		{ "indication",        20, { 0, 0x11, 0, 0, 9 },                      false },
		{ "response",          20, { 1, 1, 0, 0, 9 },                         false },
		{ "Allocate",          20, { 0, 3, 0, 0, 9 },                         false },
		{ "length",            24, { 0, 1, 0, 0, 9 },                         false },
		{ "short",             19, { 0, 1, 0, 0, 9 },                         false },
		{ "seven octets",      7,  { 0, 1, 0, 0, 9 },                         false },
		/* clang-format on */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t *pkt = copy_exact(rows[i].bytes, rows[i].len);
		struct stun_msg msg = { 0 };

		CHECK(stun_open_classic(pkt, rows[i].len, &msg) == rows[i].opens, rows[i].name);
		free(pkt);
	}
}

/* What counts behind integrity (STUN-016 to STUN-018), and what the scan says of it. */
static const struct {
	const char *name;
	size_t len;
	uint8_t bytes[96];
	unsigned all, counted;
	bool x, y;            /* stun_find() of X and Y */
	size_t mi, mi256, fp; /* offsets of the values; 0: none */
	size_t end;           /* of what counts */
	bool fp_last;
} seals[] = {
	/* clang-format off */
	{ "nothing",               20, { HDR(0) },                   0, 0, false, false, 0,  0,  0,  20, false },
	{ "no seal",               28, { HDR(8), X, Y },             2, 2, true,  true,  0,  0,  0,  28, false },
	{ "behind MI",             52, { HDR(32), X, MI, Y },        3, 2, true,  false, 28, 0,  0,  24, false },
	{ "behind SHA256",         48, { HDR(28), X, MI256_16, Y },  3, 2, true,  false, 0,  28, 0,  24, false },
	{ "both, then one",        72, { HDR(52), X, MI, MI256_16, Y }, 4, 3, true, false, 28, 52, 0, 24, false },
	{ "between the two, reversed", 72, { HDR(52), X, MI256_16, Y, MI }, 4, 3, true, false, 52, 28, 0, 24, false },
	{ "MI, X, SHA256",         68, { HDR(48), MI, X, MI256_16 }, 3, 2, false, false, 24, 52, 0, 20, false },
	{ "FINGERPRINT last",      32, { HDR(12), X, FP },           2, 2, true,  false, 0,  0,  28, 32, true },
	{ "MI and FINGERPRINT",    56, { HDR(36), X, MI, FP },       3, 3, true,  false, 28, 0,  52, 24, true },
	{ "FINGERPRINT not last",  36, { HDR(16), X, FP, Y },        3, 3, true,  true,  0,  0,  28, 36, false },
	{ "FINGERPRINT before MI", 56, { HDR(36), FP, X, MI },       3, 3, true,  false, 36, 0,  24, 32, false },
	{ "two FINGERPRINTs",      40, { HDR(20), X, FP, FP },       3, 3, true,  false, 0,  0,  28, 40, false },
	{ "the first of two MI",   72, { HDR(52), MI, X, MI },       3, 2, false, false, 24, 0,  0,  20, false },
	/* clang-format on */
};

static size_t offset(const struct stun_msg *msg, const struct stun_attr *attr)
{
	return attr->value == NULL ? 0 : (size_t)(attr->value - msg->octets);
}

static void test_seals(void)
{
	for (size_t i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
		uint8_t *pkt = copy_exact(seals[i].bytes, seals[i].len);
		unsigned all = 0, counted = 0;
		struct stun_msg msg = { 0 };
		struct stun_marks marks;
		struct stun_attr attr;

		CHECK(stun_open(pkt, seals[i].len, &msg), seals[i].name);
		struct stun_iter a = stun_attrs(&msg), c = stun_attrs(&msg);
		while (stun_next(&a, &attr))
			all++;
		while (stun_next_counted(&c, &attr))
			counted++;
		CHECK(all == seals[i].all && counted == seals[i].counted, seals[i].name);
		CHECK(stun_find(&msg, 0x1234, &attr) == seals[i].x, seals[i].name);
		CHECK(stun_find(&msg, 0x5678, &attr) == seals[i].y, seals[i].name);
		CHECK(stun_scan(&msg, &marks), seals[i].name);
		CHECK(offset(&msg, &marks.integrity) == seals[i].mi, seals[i].name);
		CHECK(offset(&msg, &marks.sha256) == seals[i].mi256, seals[i].name);
		CHECK(offset(&msg, &marks.fingerprint) == seals[i].fp, seals[i].name);
		CHECK(marks.counted == pkt + seals[i].end, seals[i].name);
		CHECK(marks.fingerprint_last == seals[i].fp_last, seals[i].name);
		free(pkt);
	}
}

/* STUN-016: the first of a type, by value. */
static void test_first(void)
{
	static const uint8_t bytes[] = { HDR(16), 0,    0x0D, 0, 4, 0, 0, 0, 1,
		                         0,       0x0D, 0,    4, 0, 0, 0, 2 };
	struct stun_msg msg = { 0 };
	struct stun_attr attr;

	CHECK(stun_open(bytes, sizeof(bytes), &msg), "opens");
	CHECK(stun_find(&msg, 0x000D, &attr) && be32_load(attr.value) == 1, "the first");
}

/* STUN-012: the largest message there can be, one attribute of 65,528 octets. */
static void test_largest(void)
{
	uint8_t *pkt = calloc(1, STUN_LEN_MAX);
	struct stun_msg msg = { 0 };
	struct stun_attr attr;

	be16_store(pkt, 0x0016);
	be16_store(pkt + 2, 0xFFFC);
	be32_store(pkt + 4, STUN_COOKIE);
	be16_store(pkt + 20, 0x0013);
	be16_store(pkt + 22, 0xFFF8);
	CHECK(stun_open(pkt, STUN_LEN_MAX, &msg), "opens");
	CHECK(stun_find(&msg, 0x0013, &attr) && attr.len == 0xFFF8, "fits");
	be16_store(pkt + 22, 0xFFF9);
	CHECK(!stun_find(&msg, 0x0013, &attr), "one more does not");
	free(pkt);
}

static void test_bytes(void)
{
	uint8_t buf[9];

	/* Any alignment. */
	for (unsigned at = 0; at < 2; at++) {
		be64_store(buf + at, UINT64_C(0x0123456789ABCDEF));
		CHECK(buf[at] == 0x01 && buf[at + 7] == 0xEF, "be64_store");
		CHECK(be64_load(buf + at) == UINT64_C(0x0123456789ABCDEF), "be64_load");
		CHECK(be32_load(buf + at) == 0x01234567, "be32_load");
		CHECK(be16_load(buf + at + 6) == 0xCDEF, "be16_load");
		be32_store(buf + at, 0xFEDCBA98);
		be16_store(buf + at + 4, 0x7654);
		CHECK(be64_load(buf + at) == UINT64_C(0xFEDCBA987654CDEF), "stores");
	}
	CHECK(pad4(0) == 0 && pad4(1) == 4 && pad4(3) == 4 && pad4(4) == 4 && pad4(5) == 8, "pad4");
	CHECK(pad4(0xFFFF) == 0x10000, "pad4 does not wrap at 16 bits");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "open and walk", test_open_and_walk },
		{ "fields", test_fields },
		{ "types: all 4096 x 4", test_types },
		{ "classic", test_classic },
		{ "what counts behind integrity", test_seals },
		{ "the first counts", test_first },
		{ "the largest", test_largest },
		{ "bytes", test_bytes },
		CU_TEST_INFO_NULL,
	};

	return run_suite("wire/stun", tests);
}
