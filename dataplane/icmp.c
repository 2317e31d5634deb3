/* Errors quoted, and errors sent. */
#include "dataplane/icmp.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <stdlib.h>

#include "dataplane/classify.h"
#include "dataplane/flow_table.h"
#include "dataplane/limit.h"
#include "wire/checksum.h"
#include "wire/stun_build.h"

enum {
	ICMP_LEN = 8,
	BUCKETS = 1024,
	HEADERS_MAX = 8,
	QUOTE4_MAX = 548,  /* RFC 1812 §4.3.2.3: 576 octets in all */
	QUOTE6_MAX = 1232, /* RFC 4443 §2.4: 1280 */
	HEAD_MAX = 64,
};

enum icmp_type {
	ICMP4_UNREACHABLE = 3,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
};
enum { CODE4_NEEDS_FRAGMENTING = 4 };

/* One allocation's tokens; a colliding one begins anew, which costs an error or ten. */
struct icmp {
	struct {
		uint32_t row;
		uint32_t tokens; /* in thousandths */
		uint64_t since_ns;
	} bucket[BUCKETS];
};

struct icmp *icmp_new(void)
{
	struct icmp *x = calloc(1, sizeof(*x));

	for (unsigned i = 0; x != NULL && i < BUCKETS; i++)
		x->bucket[i].row = ROW_NONE;
	return x;
}

void icmp_free(struct icmp *x)
{
	free(x);
}

static bool limited(struct icmp *x, uint32_t row, uint64_t now_ns)
{
	const uint32_t full = ICMP_PER_ALLOCATION * 1000;
	uint32_t *tokens = &x->bucket[row % BUCKETS].tokens;
	uint64_t *since_ns = &x->bucket[row % BUCKETS].since_ns;

	if (x->bucket[row % BUCKETS].row != row) {
		x->bucket[row % BUCKETS].row = row;
		*tokens = full;
		*since_ns = now_ns;
	}
	const uint64_t gained = (now_ns - *since_ns) / 1000 * full / 1000000;

	if (gained) {
		*tokens = (uint32_t)RTE_MIN(*tokens + gained, (uint64_t)full);
		*since_ns = now_ns;
	}
	if (*tokens < 1000)
		return true;
	*tokens -= 1000;
	return false;
}

/* --- what is quoted --- */

struct quote {
	unsigned family;
	struct turn_icmp icmp;
	struct endpoint from, to; /* of the quoted datagram: our relayed address, the peer */
};

/* Where UDP begins in the quotation; 0: it does not. */
static uint32_t quoted4(const uint8_t *q, uint32_t room)
{
	if (room < DATAGRAM_IP4)
		return 0;
	const uint32_t head = (q[0] & 15u) * 4;

	if (q[0] >> 4 != 4 || head < DATAGRAM_IP4 || q[9] != IPPROTO_UDP ||
	    (be16_load(q + 6) & 0x1FFF) || room < head + DATAGRAM_UDP)
		return 0;
	return head;
}

static uint32_t quoted6(const uint8_t *q, uint32_t room)
{
	uint32_t at = DATAGRAM_IP6;

	if (room < DATAGRAM_IP6 || q[0] >> 4 != 6)
		return 0;
	uint8_t next = q[6];

	for (unsigned i = 0; next != IPPROTO_UDP; i++) {
		if (i == HEADERS_MAX || room < at + 8 ||
		    (next != IPPROTO_FRAGMENT && next != IPPROTO_HOPOPTS &&
		     next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS))
			return 0;
		if (next == IPPROTO_FRAGMENT && be16_load(q + at + 2) & 0xFFF8)
			return 0;
		const uint32_t len = next == IPPROTO_FRAGMENT ? 8 : (q[at + 1] + 1u) * 8;

		next = q[at];
		at += len;
	}
	return room < at + DATAGRAM_UDP ? 0 : at;
}

static bool checksum_right(const uint8_t *ip, const uint8_t *icmp, uint32_t len, unsigned family)
{
	uint8_t rest[8];
	uint64_t sum = csum_add(0, icmp, len);

	if (family == 4)
		return csum_right(sum);
	be32_store(rest, len);
	be32_store(rest + 4, IPPROTO_ICMPV6);
	return csum_right(csum_add(csum_add(sum, ip + 8, 32), rest, sizeof(rest)));
}

/* TURN-122: the MTU where the error is about it, else 0. */
static void read_icmp(const uint8_t *icmp, unsigned family, struct turn_icmp *out)
{
	*out = (struct turn_icmp){ .type = icmp[0], .code = icmp[1] };
	if (family == 6 && icmp[0] == ICMP6_TOO_BIG)
		out->data = be32_load(icmp + 4);
	else if (family == 4 && icmp[0] == ICMP4_UNREACHABLE && icmp[1] == CODE4_NEEDS_FRAGMENTING)
		out->data = be16_load(icmp + 6);
}

/* The ICMP message of a frame, past options and extension headers; false: none. */
static bool find_icmp(const uint8_t *ip, uint32_t room, unsigned family, uint32_t *at,
                      uint32_t *end)
{
	if (family == 4) {
		if (room < DATAGRAM_IP4)
			return false;
		*at = (ip[0] & 15u) * 4;
		*end = be16_load(ip + 2);
		return *at >= DATAGRAM_IP4 && *end <= room && *end >= *at + ICMP_LEN;
	}
	if (room < DATAGRAM_IP6)
		return false;
	uint8_t next = ip[6];

	*at = DATAGRAM_IP6;
	*end = DATAGRAM_IP6 + be16_load(ip + 4);
	for (unsigned i = 0; next != IPPROTO_ICMPV6; i++) {
		if (i == HEADERS_MAX || *end > room || *end < *at + 8 ||
		    (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS))
			return false;
		next = ip[*at];
		*at += (ip[*at + 1] + 1u) * 8;
	}
	return *end <= room && *end >= *at + ICMP_LEN;
}

static bool read_quote(const uint8_t *frame, uint32_t len, struct quote *q)
{
	const uint8_t *ip = frame + DATAGRAM_ETH;
	uint32_t at, end, udp;

	if (len < DATAGRAM_ETH + 1)
		return false;
	q->family = ip[0] >> 4;
	if ((q->family != 4 && q->family != 6) ||
	    !find_icmp(ip, len - DATAGRAM_ETH, q->family, &at, &end))
		return false;
	const uint8_t *icmp = ip + at, *inner = icmp + ICMP_LEN;
	const uint32_t room = end - at - ICMP_LEN;

	if (!checksum_right(ip, icmp, end - at, q->family))
		return false;
	read_icmp(icmp, q->family, &q->icmp);
	udp = q->family == 4 ? quoted4(inner, room) : quoted6(inner, room);
	if (udp == 0)
		return false;
	if (q->family == 4) {
		q->from.addr = addr_from4(inner + 12);
		q->to.addr = addr_from4(inner + 16);
	} else {
		memcpy(q->from.addr.ip, inner + 8, 16);
		memcpy(q->to.addr.ip, inner + 24, 16);
	}
	q->from.port = be16_load(inner + udp);
	q->to.port = be16_load(inner + udp + 2);
	return true;
}

/* --- to the client --- */

static bool permitted(struct flow_table *flows, uint32_t row, const struct addr *peer,
                      uint32_t now_s)
{
	struct flow_key k;

	flow_peer_key(&k, peer->ip, 0, row, flow_row(flows, row)->generation, FLOW_PERMISSION);
	const uint32_t found = flow_find(flows, &k);

	return found != ROW_NONE &&
	       now_s < atomic_load_explicit(&flow_row(flows, found)->deadline_s,
	                                    memory_order_relaxed);
}

static enum stat_id tell_client(struct worker *w, uint32_t row, const struct quote *q)
{
	const struct row *r = flow_row(w->dp->flows, row);
	uint8_t txid[STUN_TXID_LEN], head[HEAD_MAX];
	struct stun_builder b;
	struct datagram d = {
		.src = w->dp->local->listener[r->key.listener].at,
		.dst.port = ntohs(r->key.port),
		.ttl = DATAGRAM_TTL,
		.head = head,
	};

	memcpy(d.dst.addr.ip, r->key.ip, 16);
	worker_random(w, txid, sizeof(txid));
	stun_begin(&b, head, sizeof(head), stun_type(TURN_DATA, STUN_INDICATION), txid);
	stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, &q->to);
	stun_put_icmp(&b, &q->icmp);
	d.head_len = (uint32_t)stun_finish(&b);
	const enum stat_id drop = slow_emit(w, &d, r->adjacency, worker_send);

	return drop == STAT_COUNT ? STAT_ICMP_TO_CLIENT : drop;
}

static enum stat_id judge(struct icmp *x, struct worker *w, const uint8_t *frame, uint32_t len)
{
	struct flow_table *flows = w->dp->flows;
	struct quote q;

	if (!read_quote(frame, len, &q))
		return STAT_ICMP_UNMATCHED;
	const uint16_t relay = local_relay_at(w->dp->local, &q.from.addr, q.from.port);
	const uint32_t row =
		relay == LOCAL_NONE ? ROW_NONE : flow_by_port(flows, relay, htons(q.from.port));

	if (row == ROW_NONE || flow_row(flows, row)->flags & ROW_FLAG_LEG ||
	    !permitted(flows, row, &q.to.addr, w->now_s))
		return STAT_ICMP_UNMATCHED;
	if (limited(x, row, w->now_ns))
		return STAT_ICMP_LIMITED;
	return tell_client(w, row, &q);
}

void icmp_take(struct icmp *x, struct worker *w, const struct port *port, struct rte_mbuf *m)
{
	(void)port;
	stat_add(w->stats, judge(x, w, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len), 1);
	rte_pktmbuf_free(m);
}

/* --- to the sender --- */

/* TURN-126: no answer to a group, and none from one. */
static bool told(const uint8_t *frame, bool is4)
{
	const uint8_t *ip = frame + DATAGRAM_ETH;

	if (frame[0] & 1)
		return false;
	if (is4)
		return ip[12] != 0 && ip[12] < 224 && ip[16] < 224;
	return ip[8] != 0xFF && ip[24] != 0xFF;
}

static void put_header4(struct worker *w, uint8_t *ip, const uint8_t *in, uint16_t total)
{
	be16_store(ip, 0x4500);
	be16_store(ip + 2, total);
	worker_random(w, ip + 4, 2);
	be16_store(ip + 6, 0);
	ip[8] = DATAGRAM_TTL;
	ip[9] = IPPROTO_ICMP;
	csum_store(ip + 10, 0);
	memcpy(ip + 12, in + 16, 4);
	memcpy(ip + 16, in + 12, 4);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, DATAGRAM_IP4)));
}

static void put_header6(uint8_t *ip, const uint8_t *in, uint16_t payload)
{
	be32_store(ip, UINT32_C(6) << 28);
	be16_store(ip + 4, payload);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = DATAGRAM_TTL;
	memcpy(ip + 8, in + 24, 16);
	memcpy(ip + 24, in + 8, 16);
}

/* Back where the frame came from, by its own MACs. */
static void send_error(struct worker *w, const struct port *port, const uint8_t *frame,
                       uint32_t len, uint8_t type, uint8_t code, uint32_t data, slow_send *send)
{
	const uint8_t *in = frame + DATAGRAM_ETH;
	const bool is4 = in[0] >> 4 == 4;
	const uint16_t head = is4 ? DATAGRAM_IP4 : DATAGRAM_IP6;
	const uint16_t quote =
		(uint16_t)RTE_MIN(len - DATAGRAM_ETH, (uint32_t)(is4 ? QUOTE4_MAX : QUOTE6_MAX));

	if (!told(frame, is4) || !limit_icmp(w->limit, w->now_ns))
		return;
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	uint8_t *eth = m == NULL ? NULL
	                         : (uint8_t *)rte_pktmbuf_append(
					   m, (uint16_t)(DATAGRAM_ETH + head + ICMP_LEN + quote));

	if (eth == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	uint8_t *ip = eth + DATAGRAM_ETH, *icmp = ip + head;

	memcpy(eth, frame + 6, 6);
	memcpy(eth + 6, port->mac.addr_bytes, 6);
	memcpy(eth + 12, frame + 12, 2);
	icmp[0] = type;
	icmp[1] = code;
	csum_store(icmp + 2, 0);
	be32_store(icmp + 4, data);
	memcpy(icmp + ICMP_LEN, in, quote);
	uint64_t sum = csum_add(0, icmp, ICMP_LEN + quote);

	if (is4) {
		put_header4(w, ip, in, (uint16_t)(DATAGRAM_IP4 + ICMP_LEN + quote));
	} else {
		uint8_t rest[8];

		put_header6(ip, in, (uint16_t)(ICMP_LEN + quote));
		be32_store(rest, (uint32_t)ICMP_LEN + quote);
		be32_store(rest + 4, IPPROTO_ICMPV6);
		sum = csum_add(csum_add(sum, ip + 8, 32), rest, sizeof(rest));
	}
	csum_store(icmp + 2, csum_finish(sum));
	send(w, port->index, m);
}

void icmp_too_big(struct worker *w, const struct port *port, const uint8_t *frame, uint32_t len,
                  uint32_t mtu, slow_send *send)
{
	send_error(w, port, frame, len, ICMP4_UNREACHABLE, CODE4_NEEDS_FRAGMENTING,
	           RTE_MIN(mtu, 0xFFFFu), send);
}

void icmp_time_exceeded(struct worker *w, const struct port *port, const uint8_t *frame,
                        uint32_t len, slow_send *send)
{
	send_error(w, port, frame, len,
	           frame[DATAGRAM_ETH] >> 4 == 4 ? ICMP4_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED, 0, 0,
	           send);
}
