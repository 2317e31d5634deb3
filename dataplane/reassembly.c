/*
 * A place holds the payload where it will be read, with room for headers before it, and a bit for
 * each eight octets that have come.
 */
#include "dataplane/reassembly.h"

#include <netinet/in.h>
#include <openssl/rand.h>
#include <rte_ether.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dataplane/datagram.h"
#include "dataplane/slow.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

enum {
	ROOM = 64, /* Ethernet and IP headers */
	PAYLOAD_MAX = 65535,
	UNITS = (PAYLOAD_MAX + 7) / 8,
	SOURCES = 4096,
	HEADERS_MAX = 8,
};
#define NOBODY UINT32_MAX

/* What fragments of one datagram have in common. */
struct name {
	struct addr src, dst;
	uint32_t id;
	uint16_t port; /* dataplane port: addresses of two links are not one */
	uint8_t family;
	uint8_t reserved;
};
static_assert(sizeof(struct name) == 40, "compared as octets");

struct place {
	struct name name;
	uint64_t until_ns;
	uint32_t total; /* octets of payload; 0: the last fragment has not come */
	uint32_t have;
	uint32_t next;         /* of the same hash, or free */
	uint32_t older, newer; /* by age */
	uint16_t source;
	uint8_t eth[12];
	uint8_t tos, ttl, protocol;
	bool first; /* the fragment at 0 has come */
	uint64_t unit[(UNITS + 63) / 64];
	uint8_t octets[ROOM + PAYLOAD_MAX + 1];
};

struct reassembly {
	struct place *place; /* only pages that were used take memory */
	size_t mapped;
	uint32_t n, used, free;
	uint32_t oldest, newest;
	uint32_t *bucket; /* n_buckets, a power of two */
	uint32_t n_buckets;
	uint16_t per_source;
	uint16_t count[SOURCES];
	uint64_t secret[2];
};

/* A fragment as it lies in its frame. */
struct fragment {
	struct name name;
	const uint8_t *data;
	uint32_t at, len;
	bool more;
	uint8_t tos, ttl, protocol;
};

/* --- places --- */

struct reassembly *reassembly_new(const struct config *cfg)
{
	struct reassembly *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->n = cfg->limit_reassembly;
	r->per_source = (uint16_t)RTE_MIN(RTE_MAX(r->n / 16, 8u), (uint32_t)UINT16_MAX);
	r->n_buckets = rte_align32pow2(r->n);
	r->bucket = malloc(r->n_buckets * sizeof(*r->bucket));
	r->mapped = r->n * sizeof(*r->place);
	r->place = mmap(NULL, r->mapped, PROT_READ | PROT_WRITE,
	                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->place == MAP_FAILED)
		r->place = NULL;
	if (r->bucket == NULL || r->place == NULL ||
	    RAND_bytes((unsigned char *)r->secret, sizeof(r->secret)) != 1) {
		reassembly_free(r);
		return NULL;
	}
	memset(r->bucket, 0xFF, r->n_buckets * sizeof(*r->bucket));
	r->oldest = r->newest = r->free = NOBODY;
	return r;
}

void reassembly_free(struct reassembly *r)
{
	if (r == NULL)
		return;
	if (r->place != NULL)
		munmap(r->place, r->mapped);
	free(r->bucket);
	free(r);
}

unsigned reassembly_count(const struct reassembly *r)
{
	return r->used;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	const __uint128_t m = (__uint128_t)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Keyed, so that nobody chooses whose chain grows. */
static uint64_t hash(const struct reassembly *r, const void *octets, size_t words)
{
	uint64_t h = r->secret[0], w;

	for (size_t i = 0; i < words; i++) {
		memcpy(&w, (const uint8_t *)octets + 8 * i, 8);
		h = fold(h ^ w, r->secret[1] | 1);
	}
	return h;
}

static uint32_t bucket_of(const struct reassembly *r, const struct name *n)
{
	return (uint32_t)hash(r, n, sizeof(*n) / 8) & (r->n_buckets - 1);
}

/* /24 or /56, hashed: two prefixes may share a bound. */
static uint16_t source_of(const struct reassembly *r, const struct addr *a)
{
	struct addr prefix = *a;

	if (addr_is4(a))
		prefix.ip[15] = 0;
	else
		memset(prefix.ip + 7, 0, 9);
	return (uint16_t)(hash(r, prefix.ip, 2) % SOURCES);
}

static uint32_t find(const struct reassembly *r, const struct name *n)
{
	uint32_t i = r->bucket[bucket_of(r, n)];

	while (i != NOBODY && memcmp(&r->place[i].name, n, sizeof(*n)) != 0)
		i = r->place[i].next;
	return i;
}

static void give_back(struct reassembly *r, uint32_t i)
{
	struct place *p = &r->place[i];
	uint32_t *at = &r->bucket[bucket_of(r, &p->name)];

	while (*at != i)
		at = &r->place[*at].next;
	*at = p->next;
	*(p->older == NOBODY ? &r->oldest : &r->place[p->older].newer) = p->newer;
	*(p->newer == NOBODY ? &r->newest : &r->place[p->newer].older) = p->older;
	r->count[p->source]--;
	p->next = r->free;
	r->free = i;
	r->used--;
}

/* NOBODY: no room, in all or for this source. */
static uint32_t take(struct reassembly *r, const struct fragment *f, uint64_t now_ns)
{
	const uint16_t source = source_of(r, &f->name.src);
	uint32_t i = r->free, *bucket;

	if (r->used == r->n || r->count[source] >= r->per_source)
		return NOBODY;
	/* Places are first used in order, so those never used have no page yet. */
	if (i != NOBODY)
		r->free = r->place[i].next;
	else
		i = r->used;
	struct place *p = &r->place[i];

	bucket = &r->bucket[bucket_of(r, &f->name)];
	p->name = f->name;
	p->until_ns = now_ns + REASSEMBLY_NS;
	p->total = p->have = 0;
	p->first = false;
	p->tos = f->tos;
	p->source = source;
	p->next = *bucket;
	p->older = r->newest;
	p->newer = NOBODY;
	memset(p->unit, 0, sizeof(p->unit));
	*bucket = i;
	*(r->newest == NOBODY ? &r->oldest : &r->place[r->newest].newer) = i;
	r->newest = i;
	r->count[source]++;
	r->used++;
	return i;
}

/* --- fragments --- */

static bool read4(const uint8_t *ip, uint32_t room, struct fragment *f)
{
	if (room < DATAGRAM_IP4)
		return false;
	const uint32_t head = (ip[0] & 15u) * 4, total = be16_load(ip + 2);
	const uint16_t frag = be16_load(ip + 6);

	if (head < DATAGRAM_IP4 || total <= head || total > room)
		return false;
	f->name.src = addr_from4(ip + 12);
	f->name.dst = addr_from4(ip + 16);
	f->name.id = be16_load(ip + 4);
	f->at = (frag & 0x1FFF) * 8u;
	f->more = (frag & 0x2000) != 0;
	f->data = ip + head;
	f->len = total - head;
	f->tos = ip[1];
	f->ttl = ip[8];
	f->protocol = ip[9];
	return true;
}

/* Headers before the Fragment header are skipped; a route that is not over was looked for. */
static bool read6(const uint8_t *ip, uint32_t room, struct fragment *f, bool *routed)
{
	if (room < DATAGRAM_IP6)
		return false;
	const uint32_t total = DATAGRAM_IP6 + be16_load(ip + 4);
	uint32_t at = DATAGRAM_IP6;
	uint8_t next = ip[6];

	if (total > room)
		return false;
	for (unsigned i = 0; next != IPPROTO_FRAGMENT; i++) {
		if (i == HEADERS_MAX || total < at + 8 ||
		    (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_AH &&
		     next != IPPROTO_DSTOPTS))
			return false;
		*routed |= next == IPPROTO_ROUTING && ip[at + 3] != 0;
		next = ip[at];
		at += next == IPPROTO_AH ? (ip[at + 1] + 2u) * 4 : (ip[at + 1] + 1u) * 8;
	}
	if (total <= at + 8)
		return false;
	memcpy(f->name.src.ip, ip + 8, 16);
	memcpy(f->name.dst.ip, ip + 24, 16);
	f->name.id = be32_load(ip + at + 4);
	f->at = be16_load(ip + at + 2) & 0xFFF8u;
	f->more = (ip[at + 3] & 1) != 0;
	f->protocol = ip[at];
	f->data = ip + at + 8;
	f->len = total - at - 8;
	f->tos = (uint8_t)(be16_load(ip) >> 4);
	f->ttl = ip[7];
	return true;
}

static bool unit_set(const struct place *p, uint32_t i)
{
	return p->unit[i / 64] >> i % 64 & 1;
}

enum fit { FITS, COPY, BAD };

/* May these octets come, given those that are there? */
static enum fit judge(const struct place *p, const struct fragment *f)
{
	const uint32_t end = f->at + f->len;
	const uint32_t most = p->name.family == 4 ? PAYLOAD_MAX - DATAGRAM_IP4 : PAYLOAD_MAX;
	const uint32_t first = f->at / 8, last = (end - 1) / 8;
	uint32_t there = 0;

	if (end > most || (f->more && f->len % 8) || (p->total && end > p->total) ||
	    (!f->more && p->total && end != p->total))
		return BAD;
	for (uint32_t i = first; i <= last; i++)
		there += unit_set(p, i);
	if (there == last - first + 1)
		return memcmp(p->octets + ROOM + f->at, f->data, f->len) == 0 ? COPY : BAD;
	if (there)
		return BAD;
	/* A last fragment before what has come already. */
	for (uint32_t i = last + 1; !f->more && i < UNITS; i++)
		if (unit_set(p, i))
			return BAD;
	return FITS;
}

static void put(struct place *p, const struct fragment *f, const uint8_t *eth)
{
	memcpy(p->octets + ROOM + f->at, f->data, f->len);
	for (uint32_t i = f->at / 8; i <= (f->at + f->len - 1) / 8; i++)
		p->unit[i / 64] |= UINT64_C(1) << i % 64;
	p->have += f->len;
	if (!f->more)
		p->total = f->at + f->len;
	/* RFC 3168 §5.3: congestion seen by one of them is seen by all. */
	if ((f->tos & 3) == 3)
		p->tos |= 3;
	if (f->at != 0)
		return;
	p->first = true;
	p->ttl = f->ttl;
	p->protocol = f->protocol;
	p->tos = (uint8_t)((f->tos & 0xFC) | ((p->tos & 3) == 3 ? 3 : f->tos & 3));
	memcpy(p->eth, eth, sizeof(p->eth));
}

/* The whole datagram, with headers as if it had come in one. */
static void done(struct place *p, struct worker *w, const struct port *port)
{
	const bool is4 = p->name.family == 4;
	const uint32_t head = is4 ? DATAGRAM_IP4 : DATAGRAM_IP6;
	uint8_t *ip = p->octets + ROOM - head, *eth = ip - DATAGRAM_ETH;

	memcpy(eth, p->eth, sizeof(p->eth));
	be16_store(eth + 12, is4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	if (is4) {
		be16_store(ip, 0x4500 | p->tos);
		be16_store(ip + 2, (uint16_t)(DATAGRAM_IP4 + p->total));
		be32_store(ip + 4, p->name.id << 16);
		ip[8] = p->ttl;
		ip[9] = p->protocol;
		csum_store(ip + 10, 0);
		memcpy(ip + 12, p->name.src.ip + 12, 4);
		memcpy(ip + 16, p->name.dst.ip + 12, 4);
		csum_store(ip + 10, csum_finish(csum_add(0, ip, DATAGRAM_IP4)));
	} else {
		be32_store(ip, UINT32_C(6) << 28 | (uint32_t)p->tos << 20);
		be16_store(ip + 4, (uint16_t)p->total);
		ip[6] = p->protocol;
		ip[7] = p->ttl;
		memcpy(ip + 8, p->name.src.ip, 16);
		memcpy(ip + 24, p->name.dst.ip, 16);
	}
	stat_add(w->stats, STAT_REASSEMBLED, 1);
	slow_reassembled(w, port, eth, DATAGRAM_ETH + head + p->total, worker_send);
}

void reassembly_take(struct reassembly *r, struct worker *w, const struct port *port,
                     struct rte_mbuf *m)
{
	const uint8_t *eth = rte_pktmbuf_mtod(m, const uint8_t *), *ip = eth + DATAGRAM_ETH;
	const uint32_t room = m->data_len < DATAGRAM_ETH ? 0 : m->data_len - DATAGRAM_ETH;
	struct fragment f = { .name.port = port->index };
	bool routed = false, read;

	f.name.family = room && ip[0] >> 4 == 4 ? 4 : 6;
	read = f.name.family == 4 ? read4(ip, room, &f) : read6(ip, room, &f, &routed);
	if (!read || routed) {
		worker_drop(w, m, routed ? STAT_SOURCE_ROUTE : STAT_IP_MALFORMED);
		return;
	}
	uint32_t i = find(r, &f.name);

	if (i == NOBODY)
		i = take(r, &f, w->now_ns);
	if (i == NOBODY) {
		worker_drop(w, m, STAT_REASSEMBLY_FULL);
		return;
	}
	struct place *p = &r->place[i];

	switch (judge(p, &f)) {
	case BAD:
		worker_drop(w, m, STAT_REASSEMBLY_BAD);
		give_back(r, i);
		return;
	case COPY: break;
	case FITS: put(p, &f, eth); break;
	}
	rte_pktmbuf_free(m);
	if (p->total == 0 || p->have != p->total)
		return;
	done(p, w, port);
	give_back(r, i);
}

void reassembly_expire(struct reassembly *r, struct worker *w)
{
	while (r->oldest != NOBODY && r->place[r->oldest].until_ns <= w->now_ns) {
		stat_add(w->stats, STAT_REASSEMBLY_BAD, 1);
		give_back(r, r->oldest);
	}
}
