/*
 * A data plane that damages what it relays, so that a generator can show that it sees it. Between
 * burst.c and tx.c by the linker (--wrap of the three functions below): no shipped code knows.
 *
 *   FAULT         drop       the datagram vanishes
 *                 duplicate  it goes twice
 *                 reorder    it goes behind the next one of its flow
 *                 corrupt    an octet of the payload is turned, the checksum is not mended
 *                 falsify    the same with a right checksum: only the payload's own sum can tell
 *                 checksum   its UDP checksum is turned, all else is whole
 *                 misdeliver it goes with the headers of another flow, checksums right
 *   FAULT_EVERY   each so-many-th relayed datagram, 100
 *   FAULT_LOG     where the number of faults is written at the end
 *
 * Relayed is ChannelData and Data indications from port 3478, and anything from port 49152 and up.
 * Threads    One worker.
 */
#include <stdio.h>

#include <rte_mbuf.h>

#include "dataplane/worker.h"
#include "wire/checksum.h"
#include "wire/turn.h"

enum { ETH = 14, LISTENER = 3478, RELAY_FIRST = 49152, HEAD_MAX = 62, HOLD_MS = 200 };

enum fault { FAULT_NONE, DROP, DUPLICATE, REORDER, CORRUPT, FALSIFY, CHECKSUM, MISDELIVER };

static const char *const names[] = {
	[FAULT_NONE] = "none",     [DROP] = "drop",
	[DUPLICATE] = "duplicate", [REORDER] = "reorder",
	[CORRUPT] = "corrupt",     [FALSIFY] = "falsify",
	[CHECKSUM] = "checksum",   [MISDELIVER] = "misdeliver",
};

/* Where a frame's parts are; head: octets up to the payload. */
struct parts {
	uint8_t *eth, *ip, *udp, *payload;
	size_t head, len;
	bool six, channel;
};

static enum fault fault;
static unsigned long every = 100;
static const char *log_path;
static unsigned long relayed, done;

static struct {
	struct rte_mbuf *m;
	uint64_t since_ns;
	uint16_t port;
} held;

/* Headers of the last frames of either kind, of two flows: one of them is another than ours. */
static struct other {
	size_t head;
	uint8_t octets[HEAD_MAX];
} others[2][2];

void __real_worker_send(struct worker *w, uint16_t port, struct rte_mbuf *m);
void __wrap_worker_send(struct worker *w, uint16_t port, struct rte_mbuf *m);
void __wrap_worker_send_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n);
void __real_worker_flush(struct worker *w);
void __wrap_worker_flush(struct worker *w);

__attribute__((constructor)) static void begin(void)
{
	const char *name = getenv("FAULT"), *n = getenv("FAULT_EVERY");

	for (unsigned i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			fault = (enum fault)i;
	if (name != NULL && strcmp(names[fault], name) != 0) {
		fprintf(stderr, "FAULT=%s: no such fault\n", name);
		exit(2);
	}
	every = n != NULL && strtoul(n, NULL, 10) != 0 ? strtoul(n, NULL, 10) : 100;
	log_path = getenv("FAULT_LOG");
}

__attribute__((destructor)) static void end(void)
{
	FILE *out = log_path != NULL ? fopen(log_path, "w") : NULL;

	if (out == NULL)
		return;
	fprintf(out, "{\"fault\": \"%s\", \"done\": %lu, \"relayed\": %lu}\n", names[fault], done,
	        relayed);
	fclose(out);
}

static bool read_parts(struct rte_mbuf *m, struct parts *p)
{
	p->eth = rte_pktmbuf_mtod(m, uint8_t *);
	p->ip = p->eth + ETH;
	if (m->nb_segs != 1 || m->data_len < 42)
		return false;
	p->six = be16_load(p->eth + 12) == 0x86DD;
	if (p->six ? m->data_len < 62 || p->ip[6] != 17
	           : be16_load(p->eth + 12) != 0x0800 || p->ip[0] != 0x45 || p->ip[9] != 17 ||
	                     (be16_load(p->ip + 6) & 0x3FFF) != 0)
		return false;
	p->udp = p->ip + (p->six ? 40 : 20);
	p->payload = p->udp + 8;
	p->head = (size_t)(p->payload - p->eth);
	p->len = be16_load(p->udp + 4) - 8u;
	return p->len >= 24 && p->head + p->len <= m->data_len;
}

static bool is_relayed(struct parts *p)
{
	const uint16_t from = be16_load(p->udp);

	p->channel = from == LISTENER && p->payload[0] >= 0x40 && p->payload[0] <= 0x4F;
	return from >= RELAY_FIRST || p->channel ||
	       (from == LISTENER && be16_load(p->payload) == stun_type(TURN_DATA, STUN_INDICATION));
}

/* The last octet turned; it is payload in every wrapping but a padded Data indication. */
static void turn_octet(const struct parts *p, bool mend)
{
	uint8_t *at = p->payload + ((p->len - 1) & ~(size_t)1);
	const size_t n = p->len % 2 == 0 ? 2 : 1;
	uint64_t change = csum_sub(0, at, n);

	at[n - 1] ^= 0x20;
	change = csum_add(change, at, n);
	if (mend)
		csum_store(p->udp + 6, csum_udp_update(csum_load(p->udp + 6), change));
}

static bool same_flow(const struct parts *p, const struct other *o)
{
	const size_t at = p->six ? 8 + ETH : 12 + ETH, n = p->six ? 36 : 12;

	return o->head == p->head && memcmp(p->eth + at, o->octets + at, n) == 0;
}

static void remember(const struct parts *p, struct other pair[2])
{
	if (same_flow(p, &pair[0]))
		return;
	pair[1] = pair[0];
	pair[0].head = p->head;
	memcpy(pair[0].octets, p->eth, p->head);
}

/* The other flow's addresses and ports, our lengths, all checksums made anew. */
static bool misdeliver(const struct parts *p, const struct other *o)
{
	const uint16_t udp_len = (uint16_t)(p->len + 8);
	const size_t a = p->six ? 16 : 4;

	if (o->head != p->head || same_flow(p, o))
		return false;
	memcpy(p->eth, o->octets, o->head);
	be16_store(p->udp + 4, udp_len);
	be16_store(p->udp + 6, 0);
	if (p->six) {
		be16_store(p->ip + 4, udp_len);
	} else {
		be16_store(p->ip + 2, (uint16_t)(20 + udp_len));
		be16_store(p->ip + 10, 0);
		csum_store(p->ip + 10, csum_finish(csum_add(0, p->ip, 20)));
	}
	const uint8_t *src = p->ip + (p->six ? 8 : 12);
	csum_store(p->udp + 6, csum_udp(src, src + a, a, p->udp, udp_len));
	return true;
}

/* The held frame goes when another of its flow has gone before it. */
static void let_go(struct worker *w, const struct parts *p)
{
	struct parts h;
	struct other o;

	if (held.m == NULL || !read_parts(held.m, &h))
		return;
	o.head = h.head;
	memcpy(o.octets, h.eth, h.head);
	if (!same_flow(p, &o))
		return;
	__real_worker_send(w, held.port, held.m);
	held.m = NULL;
	done++;
}

void __wrap_worker_send(struct worker *w, uint16_t port, struct rte_mbuf *m)
{
	struct rte_mbuf *copy;
	struct other *pair;
	struct parts p;

	if (fault == FAULT_NONE || !read_parts(m, &p) || !is_relayed(&p)) {
		__real_worker_send(w, port, m);
		return;
	}
	pair = others[p.channel];
	remember(&p, pair);
	if (++relayed % every != 0) {
		__real_worker_send(w, port, m);
		let_go(w, &p);
		return;
	}
	switch (fault) {
	case DROP:
		rte_pktmbuf_free(m);
		done++;
		return;
	case DUPLICATE:
		copy = rte_pktmbuf_copy(m, w->pool, 0, UINT32_MAX);
		if (copy != NULL) {
			__real_worker_send(w, port, copy);
			done++;
		}
		break;
	case REORDER:
		if (held.m != NULL)
			break;
		held.m = m;
		held.port = port;
		held.since_ns = w->now_ns;
		return;
	case CORRUPT:
	case FALSIFY:
		turn_octet(&p, fault == FALSIFY);
		done++;
		break;
	case CHECKSUM:
		p.udp[6] ^= 0x55;
		p.udp[7] ^= 0x55;
		done++;
		break;
	case MISDELIVER: done += misdeliver(&p, &pair[same_flow(&p, &pair[0])]); break;
	default: break;
	}
	__real_worker_send(w, port, m);
	let_go(w, &p);
}

void __wrap_worker_send_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		__wrap_worker_send(w, port, m[i]);
}

/* Whoever waits in vain for a later one of its flow goes at last, in order. */
void __wrap_worker_flush(struct worker *w)
{
	if (held.m != NULL && w->now_ns - held.since_ns > HOLD_MS * UINT64_C(1000000)) {
		__real_worker_send(w, held.port, held.m);
		held.m = NULL;
	}
	__real_worker_flush(w);
}
