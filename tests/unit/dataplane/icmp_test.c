/* ICMP errors that quote what we relayed: TURN-119 to TURN-126, DEMUX-034, DEMUX-035. */
#include "dataplane/icmp.h"

#include "tests/unit/dataplane/bed.h"
#include "wire/checksum.h"
#include "wire/stun_build.h"

static const char *const client[2] = { "198.18.0.9:40000", "[fd00:18::9]:40000" };
static const char *const peer[2] = { "198.18.1.5:5000", "[fd00:18::1:5]:5000" };
static const char *const relayed[2] = { "198.18.0.1:50000", "[fd00:18::1]:50001" };
static uint8_t frame[BED_FRAME], quoted[BED_FRAME];

/* The IPv4 client relays to both families. */
static void begin(void)
{
	bed_start(NULL);
	for (unsigned six = 0; six < 2; six++) {
		const struct cmd_flow a =
			bed_allocation(client[0], (uint16_t)six, (uint16_t)(50000 + six));
		const struct cmd_flow p = bed_permission(client[0], peer[six]);
		const struct cmd_flow c =
			bed_channel(client[0], (uint16_t)(0x4000 + six), peer[six]);

		bed_set(&a);
		bed_set(&p);
		bed_set(&c);
	}
	bed_zero();
}

static void resum(uint32_t len)
{
	const bool six = frame[14] >> 4 == 6;
	uint8_t *icmp = frame + (six ? 54 : 34);
	const uint32_t n = len - (uint32_t)(icmp - frame);
	const uint8_t rest[8] = { 0, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, 58 };

	if (!six) {
		csum_store(frame + 24, 0);
		csum_store(frame + 24, csum_finish(csum_add(0, frame + 14, 20)));
	}
	csum_store(icmp + 2, 0);
	uint64_t sum = csum_add(0, icmp, n);

	if (six)
		sum = csum_add(csum_add(sum, frame + 22, 32), rest, 8);
	csum_store(icmp + 2, csum_finish(sum));
}

/* An error from a router in the middle, quoting `n` octets of a datagram we sent. */
static uint32_t make(bool six, uint8_t type, uint8_t code, uint32_t data, const char *from,
                     const char *to, uint32_t n)
{
	bed_udp(frame, six ? "[fd00:18::ff]:1" : "198.18.0.200:1",
	        six ? "[fd00:18::1]:1" : "198.18.0.1:1", NULL, 0);
	bed_udp(quoted, from, to, "some data that was relayed", 26);
	uint8_t *icmp = frame + (six ? 54 : 34);

	icmp[0] = type;
	icmp[1] = code;
	be32_store(icmp + 4, data);
	memcpy(icmp + 8, quoted + 14, n);
	frame[six ? 20 : 23] = six ? 58 : 1;
	be16_store(frame + (six ? 18 : 16), (uint16_t)((six ? 8 : 28) + n));
	const uint32_t len = (uint32_t)(icmp - frame) + 8 + n;

	resum(len);
	return len;
}

static void come(uint32_t len)
{
	struct rte_mbuf *m = bed_mbuf(frame, len);

	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	bed_turn();
}

static void test_told(void)
{
	static const struct {
		bool six;
		uint8_t type, code;
		uint32_t data, shown;
	} rows[] = {
		{ false, 3, 0, 0x01020304, 0 },
		{ false, 3, 1, 0, 0 },
		{ false, 3, 2, 0, 0 },
		{ false, 3, 3, 0, 0 },
		{ false, 3, 4, 0x0000 << 16 | 1400, 1400 },
		{ false, 11, 0, 7, 0 },
		{ true, 1, 4, 9, 0 },
		{ true, 2, 0, 1300, 1300 },
		{ true, 3, 0, 1, 0 },
	};

	begin();
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		const bool six = rows[i].six;
		struct rte_mbuf *m[BED_REPLIES];
		struct stun_msg msg = { 0 };
		struct stun_attr a;
		struct endpoint e;
		const struct endpoint want = bed_ep(peer[six]);
		struct turn_icmp icmp;

		come(make(six, rows[i].type, rows[i].code, rows[i].data, relayed[six], peer[six],
		          six ? 48 : 28));
		CU_ASSERT_FATAL(bed_sent(m) == 1);
		const struct bed_seen s = bed_see(m[0], "indication");

		CHECK(s.dst.port == 40000 && s.src.port == 3478 && stun_open(s.data, s.len, &msg) &&
		              msg.type == 0x0017,
		      "TURN-121");
		CHECK(s.len == 20 + (six ? 24u : 12u) + 12, "no DATA, nothing else");
		CHECK(stun_find(&msg, TURN_XOR_PEER_ADDRESS, &a) && stun_xor_addr(&msg, &a, &e) &&
		              endpoint_equal(&e, &want),
		      "TURN-121: the quoted destination");
		CHECK(stun_find(&msg, TURN_ICMP_ATTR, &a) && stun_icmp(&a, &icmp) &&
		              icmp.type == rows[i].type && icmp.code == rows[i].code &&
		              icmp.data == rows[i].shown,
		      "TURN-122");
		bed_free(m, 1);
		if (i % 5 == 4)
			icmp_free(bed.service->icmp), bed.service->icmp = icmp_new();
	}
	CHECK(bed_count(STAT_ICMP_TO_CLIENT) == RTE_DIM(rows), "icmp_to_client");
	bed_stop();
}

static void unmatched(const char *name)
{
	struct rte_mbuf *m[BED_REPLIES];

	CHECK(bed_sent(m) == 0 && bed.n_kernel == 0 && bed_count(STAT_ICMP_UNMATCHED) == 1, name);
	bed_zero();
}

/* TURN-120, TURN-123, DEMUX-035 */
static void test_unmatched(void)
{
	uint32_t len;

	begin();
	come(make(false, 3, 3, 0, relayed[0], "198.18.1.9:5000", 28));
	unmatched("a peer without permission");
	come(make(false, 3, 3, 0, "198.18.0.1:60000", peer[0], 28));
	unmatched("a port without allocation");
	come(make(false, 3, 3, 0, relayed[0], peer[0], 27));
	unmatched("a quotation too short");
	len = make(false, 3, 3, 0, relayed[0], peer[0], 28);
	frame[len - 1] ^= 1;
	come(len);
	unmatched("a wrong ICMP checksum");
	len = make(false, 3, 3, 0, relayed[0], peer[0], 28);
	be16_store(frame + 42 + 6, 0x0010);
	resum(len);
	come(len);
	unmatched("a fragment that is not the first");
	len = make(true, 1, 4, 0, relayed[1], peer[1], 47);
	come(len);
	unmatched("IPv6, too short");
	/* IPv4 options in the quotation. */
	struct rte_mbuf *m[BED_REPLIES];

	len = make(false, 3, 3, 0, relayed[0], peer[0], 40);
	memmove(frame + 42 + 24, frame + 42 + 20, 16);
	frame[42] = 0x46;
	resum(len);
	come(len);
	CHECK(bed_sent(m) == 1, "options are skipped");
	bed_free(m, 1);
	bed_stop();
}

/* TURN-119, TURN-125: everything else is the kernel's. */
static void test_others(void)
{
	static const struct {
		bool six;
		uint8_t type;
	} rows[] = { { false, 5 }, { false, 8 },  { false, 0 }, { false, 12 },
		     { true, 4 },  { true, 128 }, { true, 129 } };

	begin();
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		come(make(rows[i].six, rows[i].type, 0, 0, relayed[rows[i].six], peer[rows[i].six],
		          rows[i].six ? 48 : 28));
		CHECK(bed.n_kernel == 1, "to the kernel");
		bed_free(bed.kernel, bed.n_kernel);
		bed.n_kernel = 0;
	}
	come(make(false, 3, 3, 0, "198.18.0.1:3478", client[0], 28));
	CHECK(bed.n_kernel == 1, "about what a client was sent: the kernel's, nothing changes");
	bed_free(bed.kernel, bed.n_kernel);
	bed.n_kernel = 0;
	bed_stop();
}

/* TURN-124 */
static void test_limited(void)
{
	struct rte_mbuf *m[BED_REPLIES];

	begin();
	for (unsigned i = 0; i < 1000; i++)
		come(make(false, 3, 3, 0, relayed[0], peer[0], 28));
	const unsigned n = bed_sent(m);

	CHECK(n >= ICMP_PER_ALLOCATION && n <= ICMP_PER_ALLOCATION + 3, "ten at once");
	CHECK(bed_count(STAT_ICMP_LIMITED) == 1000 - n, "icmp_limited");
	bed_free(m, n);
	come(make(true, 1, 4, 0, relayed[1], peer[1], 48));
	CHECK(bed_sent(m) == 1, "another allocation has its own");
	bed_free(m, 1);
	bed_stop();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "told to the client (TURN-121, TURN-122)", test_told },
		{ "unmatched (TURN-120, TURN-123)", test_unmatched },
		{ "others (TURN-119, TURN-125)", test_others },
		{ "limited (TURN-124)", test_limited },
		CU_TEST_INFO_NULL,
	};

	return run_suite("dataplane/icmp", tests);
}
