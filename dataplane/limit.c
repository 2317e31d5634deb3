/* Buckets by source prefix, in sets of four ways. */
#include "dataplane/limit.h"

#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { WAYS = 4, SETS = 4096, VERIFIED_SETS = 1024 };
#define NS_PER_S UINT64_C(1000000000)

/* Tokens are thousandths, so that a slow rate loses nothing between two packets. */
struct bucket {
	uint64_t prefix; /* 0: free */
	uint64_t used_ns;
	uint64_t binding_ns, punt_ns; /* of the last refill */
	uint32_t binding, punt;       /* packets left, in thousandths */
	uint32_t error_s;             /* the second that the three below count in */
	uint32_t errors;
	uint64_t credit; /* octets in, less octets out, after the first errors */
};

struct verified {
	uint64_t prefix;
	uint64_t until_ns;
};

struct limit {
	uint64_t secret[2];
	_Atomic uint32_t binding_rate, punt_rate, errors; /* limit_set() may be another thread */
	_Atomic uint32_t errors_rate;                     /* this worker's part of the total */
	uint32_t icmp, error;                             /* tokens, as in a bucket */
	uint64_t icmp_ns, error_ns;
	struct bucket bucket[SETS][WAYS];
	struct verified verified[VERIFIED_SETS][WAYS];
};

static void store(_Atomic uint32_t *to, uint32_t v)
{
	atomic_store_explicit(to, v, memory_order_relaxed);
}

static uint32_t load(const _Atomic uint32_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

void limit_set(struct limit *l, const struct config *cfg)
{
	/* Thousandths of them must fit 32 bits. */
	const uint32_t most = UINT32_MAX / 1000;

	const uint32_t binding = cfg->limit_binding_per_prefix, punt = cfg->limit_punt_per_prefix;

	store(&l->binding_rate, binding < most ? binding : most);
	store(&l->punt_rate, punt < most ? punt : most);
	store(&l->errors, cfg->limit_error_per_prefix);
	/* A shared count would be a line that all workers write for every stranger. */
	const uint32_t workers = cfg->workers > 0 ? (uint32_t)cfg->workers : 1;
	const uint32_t part = cfg->limit_error_total / workers;

	store(&l->errors_rate, part == 0 ? 1 : part < most ? part : most);
}

struct limit *limit_new(const struct config *cfg)
{
	struct limit *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	if (RAND_bytes((unsigned char *)l->secret, sizeof(l->secret)) != 1) {
		free(l);
		return NULL;
	}
	limit_set(l, cfg);
	return l;
}

void limit_free(struct limit *l)
{
	free(l);
}

/* /24 or /56 with the family in the top bits; never 0. */
static uint64_t prefix_of(const struct addr *a)
{
	const bool is4 = addr_is4(a);
	const uint8_t *ip = is4 ? a->ip + 12 : a->ip;
	uint64_t p = is4 ? 4 : 6;

	for (unsigned i = 0; i < (is4 ? 3 : 7); i++)
		p = p << 8 | ip[i];
	return p;
}

/* Multiply and fold with secrets: a source cannot choose whose set it lands in. */
static uint64_t spread(const struct limit *l, uint64_t prefix)
{
	const __uint128_t m = (__uint128_t)(prefix ^ l->secret[0]) *
	                      (prefix ^ l->secret[1] ^ l->secret[0] << 1 ^ 1);

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static struct bucket *find(struct limit *l, const struct addr *source, uint64_t now_ns)
{
	const uint64_t prefix = prefix_of(source);
	struct bucket *set = l->bucket[spread(l, prefix) % SETS], *oldest = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].prefix == prefix) {
			set[i].used_ns = now_ns;
			return &set[i];
		}
		if (set[i].used_ns < oldest->used_ns)
			oldest = &set[i];
	}
	*oldest = (struct bucket){ .prefix = prefix,
		                   .used_ns = now_ns,
		                   .binding_ns = now_ns,
		                   .punt_ns = now_ns,
		                   .binding = load(&l->binding_rate) * 1000,
		                   .punt = load(&l->punt_rate) * 1000 };
	return oldest;
}

/* A bucket as deep as a second's worth. */
static bool take(uint32_t *tokens, uint64_t *since_ns, uint32_t rate, uint64_t now_ns)
{
	const uint64_t full = (uint64_t)rate * 1000, passed = now_ns - *since_ns;

	if (passed >= NS_PER_S) {
		*tokens = (uint32_t)full;
		*since_ns = now_ns;
	} else {
		const uint64_t gained = passed * rate / (NS_PER_S / 1000), sum = *tokens + gained;

		/* What is less than a thousandth keeps counting. */
		if (gained) {
			*tokens = (uint32_t)(sum < full ? sum : full);
			*since_ns = now_ns;
		}
	}
	if (*tokens < 1000)
		return false;
	*tokens -= 1000;
	return true;
}

bool limit_binding(struct limit *l, const struct addr *source, uint64_t now_ns)
{
	struct bucket *b = find(l, source, now_ns);

	return take(&b->binding, &b->binding_ns, load(&l->binding_rate), now_ns);
}

bool limit_punt(struct limit *l, const struct addr *source, uint64_t now_ns)
{
	struct bucket *b = find(l, source, now_ns);

	return take(&b->punt, &b->punt_ns, load(&l->punt_rate), now_ns);
}

static struct verified *verified_set(struct limit *l, uint64_t prefix)
{
	return l->verified[spread(l, prefix) % VERIFIED_SETS];
}

static bool prefix_error(struct limit *l, const struct addr *source, uint64_t now_ns, uint32_t in,
                         uint32_t out)
{
	const uint32_t now_s = (uint32_t)(now_ns / NS_PER_S);
	struct bucket *b = find(l, source, now_ns);

	if (b->error_s != now_s) {
		b->error_s = now_s;
		b->errors = 0;
		b->credit = 0;
	}
	if (b->errors < load(&l->errors)) {
		b->errors++;
		return true;
	}
	b->credit += in;
	if (b->credit < out)
		return false;
	b->credit -= out;
	return true;
}

bool limit_error(struct limit *l, const struct addr *source, uint64_t now_ns, uint32_t in,
                 uint32_t out)
{
	const uint64_t prefix = prefix_of(source);
	const struct verified *set = verified_set(l, prefix);

	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].prefix == prefix && set[i].until_ns > now_ns)
			return true;
	return prefix_error(l, source, now_ns, in, out) &&
	       take(&l->error, &l->error_ns, load(&l->errors_rate), now_ns);
}

void limit_verified(struct limit *l, const struct addr *source, uint64_t now_ns)
{
	const uint64_t prefix = prefix_of(source);
	struct verified *set = verified_set(l, prefix), *at = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].prefix == prefix) {
			at = &set[i];
			break;
		}
		if (set[i].until_ns < at->until_ns)
			at = &set[i];
	}
	*at = (struct verified){ prefix, now_ns + LIMIT_VERIFIED_S * NS_PER_S };
}

bool limit_icmp(struct limit *l, uint64_t now_ns)
{
	return take(&l->icmp, &l->icmp_ns, LIMIT_ICMP, now_ns);
}
