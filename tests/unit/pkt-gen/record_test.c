/* Mirrors pkt-gen/record.c: what went by a port of rings, read back by libpcap and by tshark. */
#include <pcap/pcap.h>
#include <stdio.h>
#include <unistd.h>

#include "loop.h"
#include "pkt-gen/record.h"

static char path[] = "/tmp/turnpike-record-XXXXXX";

/* n packets out and back in again. */
static void round_trip(struct loop *l, unsigned n)
{
	struct rte_mbuf *m[LOOP_RING];

	CU_ASSERT_EQUAL(loop_send(l, n, 160, true), n);
	CU_ASSERT_EQUAL(loop_take(l, m, n), n);
	loop_give(l, m, n);
}

static unsigned count(const char *file)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(file, error);
	struct pcap_pkthdr *head;
	const u_char *octets;
	unsigned n = 0;

	CHECK(pcap != NULL, error);
	if (pcap == NULL)
		return 0;
	while (pcap_next_ex(pcap, &head, &octets) == 1) {
		CHECK(head->caplen == head->len && head->len >= 42 + 160, "whole frames");
		n++;
	}
	pcap_close(pcap);
	return n;
}

/* Lines of tshark's that hold `what`; -1: there is no tshark. */
static int dissected(const char *what)
{
	char command[256], line[256];
	FILE *in;
	int n = 0;

	if (system("command -v tshark >/dev/null 2>&1") != 0)
		return -1;
	snprintf(command, sizeof(command),
	         "tshark -n -r %s -T fields -e frame.packet_flags_direction -e udp.length 2>&1",
	         path);
	in = popen(command, "r");
	CHECK(in != NULL, "tshark");
	while (in != NULL && fgets(line, sizeof(line), in) != NULL)
		n += strncmp(line, what, strlen(what)) == 0;
	if (in != NULL)
		pclose(in);
	return n;
}

static void test_both_ways(void)
{
	struct loop l;
	struct record *r;
	int in, out;

	loop_open(&l, 4096);
	r = record_open(path, &l.lane, 1);
	CHECK(r != NULL, "opens");
	if (r != NULL) {
		round_trip(&l, 100);
		CHECK(record_turn(r) != 0, "writes");
		CU_ASSERT_EQUAL(record_close(r), 0);
		CU_ASSERT_EQUAL(count(path), 200);
		out = dissected("0x00000002");
		in = dissected("0x00000001");
		CHECK(out == -1 || out == 100, "out");
		CHECK(in == -1 || in == 100, "in");
	}
	/* Nobody listens any more. */
	round_trip(&l, 10);
	CU_ASSERT_EQUAL(count(path), 200);
	loop_close(&l);
}

/* What nobody wrote in time is lost, and told to the frame. */
static void test_losses(void)
{
	struct loop l;
	struct record *r;
	unsigned written;
	uint64_t lost;

	loop_open(&l, 4096);
	r = record_open(path, &l.lane, 1);
	CHECK(r != NULL, "opens");
	for (unsigned i = 0; i < 9 && r != NULL; i++)
		round_trip(&l, 500);
	lost = record_close(r);
	written = count(path);
	CHECK(lost > 0, "more than there is room for");
	CU_ASSERT_EQUAL(written + lost, 9000);
	loop_close(&l);
}

static void test_no_file(void)
{
	struct loop l;

	loop_open(&l, 4096);
	CHECK(record_open("/nonexistent/file.pcapng", &l.lane, 1) == NULL, "no such folder");
	CHECK(record_open("/dev/full", &l.lane, 1) == NULL, "no room for its head");
	loop_close(&l);
	CU_ASSERT_EQUAL(record_close(NULL), 0);
}

int main(void)
{
	CU_TestInfo tests[] = { { "both directions", test_both_ways },
		                { "losses", test_losses },
		                { "no file", test_no_file },
		                CU_TEST_INFO_NULL };
	int status;

	loop_start_eal();
	const int fd = mkstemp(path);
	if (fd < 0)
		return 2;
	close(fd);
	status = run_suite("record", tests);
	unlink(path);
	return status;
}
