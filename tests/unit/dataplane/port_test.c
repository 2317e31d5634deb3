/* Partial checksums, queues dealt to workers, and what of a port needs no device. */
#include <stdlib.h>

#include <rte_mbuf.h>

#include "dataplane/eal.h"
#include "dataplane/port.h"
#include "tests/support.h"

enum { ETH = 14, IP4 = 20, IP6 = 40 };

/* A frame in memory of exactly its size, so that a read beyond it is found. */
struct frame {
	struct rte_mbuf m;
	uint8_t *octets;
	unsigned len;
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void frame_make(struct frame *f, unsigned len)
{
	memset(f, 0, sizeof(*f));
	f->octets = malloc(len);
	f->len = len;
	for (unsigned i = 0; i < len; i++)
		f->octets[i] = (uint8_t)(i * 37 + 11);
	f->m.buf_addr = f->octets;
	f->m.buf_len = (uint16_t)len;
	f->m.data_len = (uint16_t)len;
	f->m.pkt_len = len;
	f->m.nb_segs = 1;
}

static void frame_free(struct frame *f)
{
	free(f->octets);
}

/* The slow and obvious sum over pseudo-header and segment, field included. */
static uint16_t sum16(const uint8_t *p, unsigned len, uint64_t sum)
{
	for (unsigned i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint64_t)p[i] << 8 : p[i];
	while (sum > 0xFFFF)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)sum;
}

struct shape {
	const char *name;
	unsigned family, proto, options,
		payload; /* options: octets of IP options or extension header */
};

static unsigned transport_at(const struct shape *s)
{
	return ETH + (s->family == 4 ? IP4 : IP6) + s->options;
}

static unsigned field_at(const struct shape *s)
{
	return transport_at(s) + (s->proto == 17 ? 6 : 16);
}

static unsigned segment_len(const struct shape *s)
{
	return s->payload + (s->proto == 17 ? 8 : 20);
}

static uint64_t pseudo(const struct shape *s, const uint8_t *frame)
{
	const uint8_t *ip = frame + ETH;

	return (uint64_t)sum16(s->family == 4 ? ip + 12 : ip + 8, s->family == 4 ? 8 : 32, 0) +
	       s->proto + segment_len(s);
}

static void shape_make(const struct shape *s, struct frame *f)
{
	uint8_t *ip;

	frame_make(f, transport_at(s) + segment_len(s));
	ip = f->octets + ETH;
	put16(f->octets + 12, s->family == 4 ? 0x0800 : 0x86DD);
	if (s->family == 4) {
		ip[0] = (uint8_t)(0x40 | (IP4 + s->options) / 4);
		put16(ip + 2, IP4 + s->options + segment_len(s));
		put16(ip + 6, 0x4000);
		ip[9] = (uint8_t)s->proto;
	} else {
		ip[0] = 0x60;
		put16(ip + 4, s->options + segment_len(s));
		ip[6] = s->options != 0 ? 60 : (uint8_t)s->proto; /* destination options */
		if (s->options != 0) {
			ip[IP6] = (uint8_t)s->proto;
			ip[IP6 + 1] = (uint8_t)(s->options / 8 - 1);
		}
	}
	if (s->proto == 17)
		put16(f->octets + transport_at(s) + 4, segment_len(s));
	put16(f->octets + field_at(s), sum16(NULL, 0, pseudo(s, f->octets)));
}

static bool is_right(const struct shape *s, const struct frame *f)
{
	return sum16(f->octets + transport_at(s), segment_len(s), pseudo(s, f->octets)) == 0xFFFF;
}

static const struct shape shapes[] = {
	{ "udp4", 4, 17, 0, 100 },          { "udp4 empty", 4, 17, 0, 0 },
	{ "udp4 odd", 4, 17, 0, 33 },       { "udp4 options", 4, 17, 8, 33 },
	{ "udp4 full", 4, 17, 0, 1472 },    { "udp4 put together", 4, 17, 0, 9000 },
	{ "udp6", 6, 17, 0, 100 },          { "udp6 odd", 6, 17, 0, 1 },
	{ "udp6 extension", 6, 17, 16, 7 }, { "tcp4", 4, 6, 0, 0 },
	{ "tcp4 data", 4, 6, 0, 1460 },     { "tcp6", 6, 6, 0, 11 },
};

static void test_partial(void)
{
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		struct frame f;

		shape_make(s, &f);
		CHECK(!is_right(s, &f), s->name);
		CHECK(port_complete_checksum(&f.m), s->name);
		CHECK(is_right(s, &f), s->name);
		CHECK(!port_complete_checksum(&f.m), s->name);
		CHECK(is_right(s, &f), s->name);
		frame_free(&f);
	}
}

/* Corruption must stay visible to the endpoint: only the pseudo-header sum is completed. */
static void test_wrong_stays_wrong(void)
{
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		struct frame f;

		shape_make(s, &f);
		CHECK(port_complete_checksum(&f.m), s->name);
		f.octets[field_at(s) + 1] ^= 1;
		CHECK(!port_complete_checksum(&f.m), s->name);
		CHECK(!is_right(s, &f), s->name);
		frame_free(&f);
	}
}

/* A right checksum that happens to equal the pseudo-header sum is given back as it was. */
static void test_coincidence(void)
{
	const struct shape s = { "coincidence", 4, 17, 0, 4 };
	struct frame f;
	uint16_t rest;

	shape_make(&s, &f);
	/* Payload such that everything but pseudo-header and field sums to 0xFFFF - 2 x pseudo. */
	memset(f.octets + transport_at(&s) + 8, 0, 4);
	rest = (uint16_t)~sum16(f.octets + transport_at(&s), segment_len(&s), pseudo(&s, f.octets));
	put16(f.octets + transport_at(&s) + 8, rest);
	CHECK(is_right(&s, &f), "made to be right");
	const unsigned before = f.octets[field_at(&s)] << 8 | f.octets[field_at(&s) + 1];

	port_complete_checksum(&f.m);
	CHECK((f.octets[field_at(&s)] << 8 | f.octets[field_at(&s) + 1]) == (int)before,
	      "same value");
	frame_free(&f);
}

/* RFC 768: a computed 0x0000 is sent as 0xFFFF, for 0 means that there is none. */
static void test_never_zero(void)
{
	const struct shape s = { "zero", 4, 17, 0, 4 };
	struct frame f;
	uint16_t sum;

	shape_make(&s, &f);
	memset(f.octets + transport_at(&s) + 8, 0, 4);
	/* The field itself is summed too: with this payload everything adds up to 0xFFFF. */
	sum = sum16(f.octets + transport_at(&s), segment_len(&s), 0);
	put16(f.octets + transport_at(&s) + 8, (uint16_t)~sum);
	CHECK(port_complete_checksum(&f.m), "partial");
	CHECK(f.octets[field_at(&s)] == 0xFF && f.octets[field_at(&s) + 1] == 0xFF, "0xFFFF");
	frame_free(&f);
}

static void test_left_alone(void)
{
	const struct shape s = { "udp4", 4, 17, 0, 64 };
	struct frame f;

	shape_make(&s, &f);
	put16(f.octets + ETH + 6, 0x2000);
	CHECK(!port_complete_checksum(&f.m), "first fragment");
	put16(f.octets + ETH + 6, 1);
	CHECK(!port_complete_checksum(&f.m), "later fragment");
	put16(f.octets + ETH + 6, 0);
	put16(f.octets + ETH + 2, IP4 + segment_len(&s) + 1);
	CHECK(!port_complete_checksum(&f.m), "longer than the frame");
	put16(f.octets + ETH + 2, IP4 - 1);
	CHECK(!port_complete_checksum(&f.m), "shorter than its header");
	put16(f.octets + ETH + 2, IP4 + 7);
	CHECK(!port_complete_checksum(&f.m), "no room for UDP");
	put16(f.octets + ETH + 2, IP4 + segment_len(&s));
	f.octets[ETH + 9] = 1;
	CHECK(!port_complete_checksum(&f.m), "ICMP");
	f.octets[ETH + 9] = 17;
	put16(f.octets + 12, 0x0806);
	CHECK(!port_complete_checksum(&f.m), "ARP");
	put16(f.octets + 12, 0x0800);
	put16(f.octets + field_at(&s), 0);
	CHECK(!port_complete_checksum(&f.m), "no checksum at all");
	frame_free(&f);
}

/* Every length that a frame can be cut to: nothing is read beyond it (ASan), nothing changes. */
static void test_cut(void)
{
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		struct frame whole;

		shape_make(s, &whole);
		for (unsigned len = 0; len < whole.len && len < 120; len++) {
			struct frame f;

			frame_make(&f, len);
			memcpy(f.octets, whole.octets, len);
			CHECK(!port_complete_checksum(&f.m), s->name);
			CHECK(memcmp(f.octets, whole.octets, len) == 0, s->name);
			frame_free(&f);
		}
		frame_free(&whole);
	}
}

static void test_two_segments(void)
{
	const struct shape s = { "udp4 in two", 4, 17, 0, 101 };
	struct frame f;
	struct rte_mbuf second;

	shape_make(&s, &f);
	memset(&second, 0, sizeof(second));
	second.buf_addr = f.octets + 60;
	second.data_len = (uint16_t)(f.len - 60);
	f.m.data_len = 60;
	f.m.nb_segs = 2;
	f.m.next = &second;
	CHECK(port_complete_checksum(&f.m), "partial");
	CHECK(is_right(&s, &f), "complete over both");
	frame_free(&f);
}

static void test_queues(void)
{
	struct port p = { .n_queues = 3, .owner = { 0, 1, 2 } };

	CHECK(port_queue_of(&p, 1) == 1, "its own");
	CHECK(port_queue_of(&p, 3) == -1, "none");
	p = (struct port){ .n_queues = 1, .owner = { 2 } };
	CHECK(port_queue_of(&p, 2) == 0 && port_queue_of(&p, 0) == -1, "one queue, one owner");
}

static void test_room(void)
{
	struct config_port p = { .kind = DEVICE_PCI };

	CHECK(eal_port_room(&p) == 2048, "default");
	p.mtu = 9000;
	CHECK(eal_port_room(&p) >= 9000 + 128, "jumbo frames and what they grow by");
	p.kind = DEVICE_AF_XDP;
	CHECK(eal_port_room(&p) + 128 + 128 + 64 + EAL_PRIVATE <= 4096, "a chunk fits a page");
	p.kind = DEVICE_AF_PACKET;
	CHECK(eal_port_room(&p) == 2048, "the ring's frames divide its blocks");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "a partial checksum is completed", test_partial },
		{ "a wrong one stays wrong", test_wrong_stays_wrong },
		{ "a right one that looks partial", test_coincidence },
		{ "zero is sent as 0xFFFF", test_never_zero },
		{ "what is left alone", test_left_alone },
		{ "cut frames", test_cut },
		{ "two segments", test_two_segments },
		{ "queues of workers", test_queues },
		{ "room in buffers", test_room },
		CU_TEST_INFO_NULL,
	};

	return run_suite("port", tests);
}
