/* Token buckets by prefix: design 2.11, STUN-150, STUN-154. */
#include "dataplane/limit.h"
#include "tests/support.h"

#define S UINT64_C(1000000000)

static const struct config cfg = { .limit_binding_per_prefix = 100,
	                           .limit_punt_per_prefix = 10,
	                           .limit_error_per_prefix = 4,
	                           .limit_error_total = 2000000,
	                           .workers = 2 };

static struct addr a(const char *text)
{
	struct addr out;

	CHECK(addr_parse(text, &out), text);
	return out;
}

static unsigned passed(struct limit *l, bool (*fn)(struct limit *, const struct addr *, uint64_t),
                       const char *source, uint64_t now_ns, unsigned n)
{
	const struct addr from = a(source);
	unsigned yes = 0;

	while (n--)
		yes += fn(l, &from, now_ns);
	return yes;
}

static void test_rate(void)
{
	struct limit *l = limit_new(&cfg);
	const uint64_t t = 1000 * S;

	CHECK(passed(l, limit_binding, "192.0.2.1", t, 200) == 100, "a second's worth at once");
	CHECK(passed(l, limit_binding, "192.0.2.200", t, 10) == 0, "the /24 shares it");
	CHECK(passed(l, limit_binding, "192.0.3.1", t, 200) == 100, "its neighbour does not");
	CHECK(passed(l, limit_punt, "192.0.2.1", t, 20) == 10, "punts have their own");
	CHECK(passed(l, limit_binding, "192.0.2.1", t + S / 4, 200) == 25, "a quarter later");
	CHECK(passed(l, limit_binding, "192.0.2.1", t + 10 * S, 200) == 100,
	      "never more than full");
	CHECK(passed(l, limit_binding, "2001:db8:1:100::1", t, 200) == 100, "IPv6");
	CHECK(passed(l, limit_binding, "2001:db8:1:1ff:9::1", t, 10) == 0, "the /56 shares it");
	CHECK(passed(l, limit_binding, "2001:db8:1:200::1", t, 10) == 10, "the next does not");
	limit_free(l);
}

/* Small steps lose nothing. */
static void test_steps(void)
{
	struct limit *l = limit_new(&cfg);
	uint64_t t = 1000 * S;
	unsigned yes = passed(l, limit_punt, "192.0.2.1", t, 20);

	for (unsigned i = 0; i < 100000; i++, t += S / 10000)
		yes += passed(l, limit_punt, "192.0.2.1", t, 1);
	CHECK(yes >= 108 && yes <= 111, "ten seconds at ten a second, and the first ten");
	limit_free(l);
}

static void test_error(void)
{
	struct limit *l = limit_new(&cfg);
	const struct addr from = a("192.0.2.1");
	const uint64_t t = 1000 * S;
	unsigned yes = 0;

	for (unsigned i = 0; i < 4; i++)
		yes += limit_error(l, &from, t, 50, 120);
	CHECK(yes == 4, "the first are always answered");
	yes = 0;
	for (unsigned i = 0; i < 100; i++)
		yes += limit_error(l, &from, t + 1, 50, 120);
	CHECK(yes == 100 * 50 / 120, "then octets out stay below octets in");
	yes = 0;
	for (unsigned i = 0; i < 10; i++)
		yes += limit_error(l, &from, t + S, 50, 120);
	CHECK(yes == 4 + 6 * 50 / 120, "the next second begins anew");
	limit_free(l);
}

static void test_verified(void)
{
	struct limit *l = limit_new(&cfg);
	const struct addr from = a("192.0.2.1"), neighbour = a("192.0.2.77"),
			  other = a("192.0.3.1");
	const uint64_t t = 1000 * S;
	unsigned yes = 0, no = 0;

	limit_verified(l, &from, t);
	for (unsigned i = 0; i < 100; i++) {
		yes += limit_error(l, &neighbour, t + 10 * S - 1, 50, 120);
		no += limit_error(l, &other, t, 10, 120);
	}
	CHECK(yes == 100, "exempt for ten seconds");
	CHECK(no < 100, "others are not");
	yes = 0;
	for (unsigned i = 0; i < 100; i++)
		yes += limit_error(l, &from, t + 10 * S, 10, 120);
	CHECK(yes < 100, "and no longer");
	limit_free(l);
}

/* A flood of prefixes crowds nobody out who was verified, and costs no memory. */
static void test_flood(void)
{
	struct limit *l = limit_new(&cfg);
	const struct addr from = a("192.0.2.1");
	uint64_t t = 1000 * S;
	unsigned yes = 0;

	limit_verified(l, &from, t);
	for (uint32_t i = 0; i < 200000; i++) {
		const uint8_t ip[4] = { (uint8_t)(i >> 16 | 1), (uint8_t)(i >> 8), (uint8_t)i, 1 };
		const struct addr source = addr_from4(ip);

		yes += limit_error(l, &source, t++, 50, 120);
	}
	CHECK(yes == 200000, "each prefix has its first");
	for (unsigned i = 0; i < 100; i++)
		CHECK(limit_error(l, &from, t, 50, 120), "the verified one still is");
	limit_free(l);
}

static void test_icmp_and_set(void)
{
	struct limit *l = limit_new(&cfg);
	struct config more = cfg;
	unsigned yes = 0;

	for (unsigned i = 0; i < 300; i++)
		yes += limit_icmp(l, 1000 * S);
	CHECK(yes == LIMIT_ICMP, "ICMP of our own (TURN-126)");
	more.limit_punt_per_prefix = 3;
	limit_set(l, &more);
	CHECK(passed(l, limit_punt, "192.0.2.1", 1000 * S, 20) == 3, "another rate after a reload");
	limit_free(l);
	limit_free(NULL);
}

/* STUN-150: a flood from everywhere at once meets a total, of which a worker has its part. */
static void test_total(void)
{
	struct config few = cfg;
	const struct addr known = a("198.51.100.1");
	unsigned yes = 0;
	struct addr from = a("10.0.0.1");

	few.limit_error_total = 1000;
	struct limit *l = limit_new(&few);

	for (unsigned i = 0; i < 2000; i++) {
		from.ip[13] = (uint8_t)(i >> 8);
		from.ip[14] = (uint8_t)i;
		yes += limit_error(l, &from, 1000 * S, 100, 200);
	}
	CHECK(yes == 500, "half of 1000: two workers");
	limit_verified(l, &known, 1000 * S);
	CHECK(limit_error(l, &known, 1000 * S, 100, 200), "who is known is not held up by it");
	CHECK(limit_error(l, &from, 1000 * S + S / 10, 100, 200), "and it fills again");
	limit_free(l);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "rate by prefix", test_rate },       { "small steps", test_steps },
		{ "errors by octets", test_error },    { "verified", test_verified },
		{ "flood of prefixes", test_flood },   { "all prefixes together", test_total },
		{ "ICMP, reload", test_icmp_and_set }, CU_TEST_INFO_NULL,
	};

	return run_suite("dataplane/limit", tests);
}
