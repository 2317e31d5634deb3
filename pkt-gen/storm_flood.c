/* Storms of frames from a template: binding, spoofed, scan. Nothing is remembered of a packet. */
#include <stdlib.h>

#include "log.h"
#include "pkt-gen/storm_parts.h"
#include "wire/stun_build.h"

enum { SOURCES = 4096 /* five-tuples of a flood from our own addresses */ };

/* Benchmark addresses (RFC 2544, RFC 5180): nobody's, wherever the answers go. */
static const uint8_t spoofed4[2] = { 198, 19 };
static const uint8_t spoofed6[6] = { 0x20, 0x01, 0x00, 0x02, 0x00, 0x00 };

struct flood {
	struct packet_template t;
	uint64_t n; /* of the next packet */
};

static bool open_with(struct storm *s, const void *octets, size_t len)
{
	struct flood *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return false;
	packet_template(&f->t, s->field.macs, &s->server.addr, octets, len);
	s->own = f;
	return true;
}

static void close_flood(struct storm *s)
{
	free(s->own);
}

static void set_len(struct rte_mbuf *m, uint16_t len)
{
	m->data_len = len;
	m->pkt_len = len;
}

/* Our tag, and a number: the answer brings both back. */
static void put_txid(uint8_t txid[STUN_TXID_LEN], uint32_t tag, uint64_t n)
{
	memcpy(txid, &tag, 4);
	memcpy(txid + 4, &n, 8);
}

static bool ours(const struct storm *s, const uint8_t *octets, size_t len)
{
	return len >= STUN_HDR_LEN && memcmp(octets + 8, &s->tag, 4) == 0;
}

typedef struct endpoint source_at(struct storm *s, uint64_t i);

static unsigned flood(struct storm *s, unsigned due, source_at *source)
{
	struct flood *f = s->own;
	unsigned done = 0;

	while (done < due) {
		struct rte_mbuf *m[ENGINE_BURST];
		const unsigned n = storm_buffers(s, m, due - done);

		if (n == 0)
			break;
		for (unsigned i = 0; i < n; i++, f->n++) {
			const struct endpoint from = source(s, f->n);
			uint8_t txid[STUN_TXID_LEN];

			put_txid(txid, s->tag, f->n);
			packet_stamp(rte_pktmbuf_mtod(m[i], uint8_t *), &f->t, &from,
			             s->server.port, txid);
			set_len(m[i], f->t.len);
		}
		storm_send(s, m, n);
		s->sent += n;
		done += n;
	}
	s->skipped += due - done;
	return done;
}

static void say_answered(const struct storm *s, struct report_storm *out, const char *what)
{
	const double seconds = out->seconds > 0 ? out->seconds : 1;

	snprintf(out->said, sizeof(out->said), "%.0f %s a second, %.0f a second answered (%.1f %%)",
	         (double)s->sent / seconds, what, (double)s->answered / seconds,
	         s->sent != 0 ? 100.0 * (double)s->answered / (double)s->sent : 0);
}

/* --- binding --- */

static bool binding_open(struct storm *s)
{
	static const uint8_t no_txid[STUN_TXID_LEN];
	uint8_t octets[STUN_HDR_LEN];
	struct stun_builder b;

	stun_begin(&b, octets, sizeof(octets), stun_type(STUN_BINDING, STUN_REQUEST), no_txid);
	return open_with(s, octets, stun_finish(&b));
}

static struct endpoint own_source(struct storm *s, uint64_t i)
{
	return apart_at(&s->apart, i % SOURCES);
}

static unsigned binding_turn(struct storm *s, uint64_t now_ns, unsigned due)
{
	(void)now_ns;
	return flood(s, due, own_source);
}

static bool own_input(struct storm *s, uint64_t now_ns, const struct endpoint *at,
                      const struct endpoint *from, const void *octets, size_t len)
{
	(void)now_ns;
	(void)from;
	if (apart_index(&s->apart, at) == apart_count(&s->apart))
		return false;
	if (ours(s, octets, len))
		storm_answer(s, octets, len);
	return true;
}

static void binding_report(const struct storm *s, struct report_storm *out)
{
	say_answered(s, out, "Binding requests");
}

const struct storm_kind storm_binding = {
	.name = "binding",
	.help = "a flood of Binding requests",
	.rate = 10000,
	.open = binding_open,
	.close = close_flood,
	.turn = binding_turn,
	.input = own_input,
	.report = binding_report,
};

/* --- spoofed --- */

static bool spoofed_open(struct storm *s)
{
	static const uint8_t no_txid[STUN_TXID_LEN];
	uint8_t octets[64];
	struct stun_builder b;

	stun_begin(&b, octets, sizeof(octets), stun_type(TURN_ALLOCATE, STUN_REQUEST), no_txid);
	stun_put_u8(&b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
	return open_with(s, octets, stun_finish(&b));
}

static struct endpoint spoofed_source(struct storm *s, uint64_t i)
{
	const uint64_t r = storm_draw(&s->random);
	struct endpoint e = { .port = (uint16_t)(1024 + (r >> 48) % 64512) };

	(void)i;
	if (addr_is4(&s->server.addr)) {
		const uint8_t ip4[4] = { spoofed4[0], spoofed4[1], (uint8_t)(r >> 8), (uint8_t)r };

		e.addr = addr_from4(ip4);
	} else {
		memcpy(e.addr.ip, spoofed6, sizeof(spoofed6));
		memcpy(e.addr.ip + 8, &r, 8);
	}
	return e;
}

static unsigned spoofed_turn(struct storm *s, uint64_t now_ns, unsigned due)
{
	(void)now_ns;
	return flood(s, due, spoofed_source);
}

static bool is_spoofed(const struct endpoint *at)
{
	return addr_is4(&at->addr) ? memcmp(at->addr.ip + 12, spoofed4, sizeof(spoofed4)) == 0
	                           : memcmp(at->addr.ip, spoofed6, sizeof(spoofed6)) == 0;
}

/* Where the server's way to the block ends here, its answers are seen. */
static bool spoofed_input(struct storm *s, uint64_t now_ns, const struct endpoint *at,
                          const struct endpoint *from, const void *octets, size_t len)
{
	(void)now_ns;
	(void)from;
	if (!is_spoofed(at))
		return false;
	if (ours(s, octets, len))
		storm_answer(s, octets, len);
	return true;
}

static void spoofed_report(const struct storm *s, struct report_storm *out)
{
	say_answered(s, out, "spoofed Allocate requests");
}

const struct storm_kind storm_spoofed = {
	.name = "spoofed",
	.help = "unauthenticated Allocate requests from spoofed sources",
	.rate = 10000,
	.open = spoofed_open,
	.close = close_flood,
	.turn = spoofed_turn,
	.input = spoofed_input,
	.report = spoofed_report,
};

/* --- scan --- */

enum { SCAN_FIRST = 49152, SCAN_LAST = 65535, SCAN_PROBES = 5, SCAN_LOOK = 256 };

struct scan {
	struct packet_template probe[SCAN_PROBES]; /* one after another, a pass over the ports each
	                                            */
	uint32_t first, ports, stride;
	bool spoofs; /* our own addresses are peers of somebody: strangers come from elsewhere */
	uint64_t n;
};

/* The media's relayed addresses say where the range is, if they are of our family. */
static void find_range(const struct storm *s, struct endpoint *at, struct scan *c)
{
	uint32_t low = SCAN_FIRST, high = SCAN_LAST;

	*at = s->server;
	for (uint32_t i = 0; s->field.fleet != NULL && i < s->field.options->clients; i++) {
		struct endpoint relayed;

		if (i == SCAN_LOOK)
			break;
		if (!fleet_relayed(s->field.fleet, i, &relayed) ||
		    addr_is4(&relayed.addr) != addr_is4(&s->server.addr))
			continue;
		*at = relayed;
		low = relayed.port < low ? relayed.port & ~UINT32_C(1023) : low;
	}
	c->first = low;
	c->ports = high + 1 - low;
}

static uint32_t divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		const uint32_t r = a % b;

		a = b;
		b = r;
	}
	return a;
}

static bool scan_open(struct storm *s)
{
	static const uint8_t no_txid[STUN_TXID_LEN];
	struct scan *c = calloc(1, sizeof(*c));
	uint8_t stun[STUN_HDR_LEN], zero[1] = { 0 }, channel[8] = { 0x40, 0, 0, 4 };
	uint8_t rtp[32] = { 0x80, 0x60 };
	struct stun_builder b;
	struct endpoint at;

	if (c == NULL)
		return false;
	s->own = c;
	find_range(s, &at, c);
	c->spoofs = memcmp(s->apart.client.ip, s->apart.peer.ip, 14) == 0;
	stun_begin(&b, stun, sizeof(stun), stun_type(STUN_BINDING, STUN_REQUEST), no_txid);
	packet_template(&c->probe[0], s->field.macs, &at.addr, NULL, 0);
	packet_template(&c->probe[1], s->field.macs, &at.addr, zero, sizeof(zero));
	packet_template(&c->probe[2], s->field.macs, &at.addr, stun, stun_finish(&b));
	packet_template(&c->probe[3], s->field.macs, &at.addr, channel, sizeof(channel));
	packet_template(&c->probe[4], s->field.macs, &at.addr, rtp, sizeof(rtp));
	/* Every port once a pass, no two neighbours together. */
	c->stride = c->ports / 3 * 2 + 1;
	while (divisor(c->stride, c->ports) != 1)
		c->stride++;
	return true;
}

static unsigned scan_turn(struct storm *s, uint64_t now_ns, unsigned due)
{
	struct scan *c = s->own;
	unsigned done = 0;

	(void)now_ns;
	while (done < due) {
		struct rte_mbuf *m[ENGINE_BURST];
		const unsigned n = storm_buffers(s, m, due - done);

		if (n == 0)
			break;
		for (unsigned i = 0; i < n; i++, c->n++) {
			const uint64_t pass = c->n / c->ports;
			const struct packet_template *t = &c->probe[pass % SCAN_PROBES];
			const struct endpoint from = c->spoofs
			                                     ? spoofed_source(s, c->n)
			                                     : apart_at(&s->apart, pass % SOURCES);
			const uint16_t to = (uint16_t)(c->first + c->n * c->stride % c->ports);

			packet_stamp(rte_pktmbuf_mtod(m[i], uint8_t *), t, &from, to, NULL);
			set_len(m[i], t->len);
		}
		storm_send(s, m, n);
		s->sent += n;
		done += n;
	}
	s->skipped += due - done;
	return done;
}

/*
 * Nothing may answer a stranger on a relayed port: whatever comes is a finding. What reaches the
 * media's clients they count as stray.
 */
static bool scan_input(struct storm *s, uint64_t now_ns, const struct endpoint *at,
                       const struct endpoint *from, const void *octets, size_t len)
{
	(void)now_ns;
	(void)from;
	if (!is_spoofed(at) && apart_index(&s->apart, at) == apart_count(&s->apart))
		return false;
	storm_answer(s, octets, len);
	return true;
}

static void scan_report(const struct storm *s, struct report_storm *out)
{
	const struct scan *c = s->own;

	snprintf(out->said, sizeof(out->said),
	         "ports %u-%u probed %.1f times over, %.0f a second; %llu answers", c->first,
	         c->first + c->ports - 1, (double)s->sent / c->ports,
	         out->seconds > 0 ? (double)s->sent / out->seconds : 0,
	         (unsigned long long)s->answered);
}

const struct storm_kind storm_scan = {
	.name = "scan",
	.help = "a port scan of the relayed range, from strangers",
	.rate = 10000,
	.open = scan_open,
	.close = close_flood,
	.turn = scan_turn,
	.input = scan_input,
	.report = scan_report,
};
