/* Mirrors dataplane/flow.c, flow_table.c, flow_rows.c. */
#include "lab.h"

#include <pthread.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>

#include "dataplane/flow_table.h"

enum { ROWS = 1 << 20, WIDE = 1 << 16, RELAYS = 3 };

static uint64_t seed = UINT64_C(0x2545F4914F6CDD1D);

static uint32_t draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((seed >> 32) * below >> 32);
}

/* --- a table of its own for each test --- */

struct bed {
	struct region region;
	struct rte_rcu_qsbr *qsbr;
	struct flow_table *t;
};

static struct bed bed_new(uint32_t rows, uint32_t wide)
{
	const struct region_want want[] = {
		{ SECTION_ROWS, 0, (uint64_t)rows * sizeof(struct row) },
		{ SECTION_ROWS_WIDE, 0, (uint64_t)wide * sizeof(struct row_wide) },
		{ SECTION_FOREIGN, 0, (uint64_t)rows * sizeof(struct row_counts) },
		{ SECTION_FOREIGN, 1, (uint64_t)wide * sizeof(struct row_counts) },
	};
	const uint64_t secret[2] = { UINT64_C(0x243F6A8885A308D3), UINT64_C(0x13198A2E03707344) };
	struct bed b = { .t = NULL };

	if (region_create(&b.region, "bed", 1, want, RTE_DIM(want), false, -1) != 0)
		exit(2);
	b.qsbr = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(8) + 63) & ~(size_t)63);
	if (!b.qsbr || rte_rcu_qsbr_init(b.qsbr, 8) != 0)
		exit(2);
	b.t = flow_create(&b.region, rows, wide, RELAYS, secret, b.qsbr);
	if (!b.t)
		exit(2);
	flow_use_local(b.t, lab.dp.local);
	return b;
}

static void bed_free(struct bed *b)
{
	flow_destroy(b->t);
	region_leave(&b->region);
	free(b->qsbr);
}

static unsigned reclaim_all(struct flow_table *t)
{
	struct flow_final final[64];
	unsigned n, all = 0;

	while ((n = flow_reclaim(t, final, 64)) > 0)
		all += n;
	return all;
}

static enum flow_result set(struct flow_table *t, const struct cmd_flow *c)
{
	uint32_t row;

	return flow_set(t, c, 1, false, false, &row);
}

static enum flow_result delete (struct flow_table *t, const struct cmd_flow *c) {
	uint16_t adjacency;

	return flow_delete(t, c, c->tag, &adjacency);
}

static struct cmd_flow allocation(uint32_t i)
{
	struct cmd_flow c = lab_flow(FLOW_ALLOCATION4, "10.0.0.1", 0, NULL, 0, 0, 0);

	c.client_ip[13] = (uint8_t)(i >> 16);
	c.client_ip[14] = (uint8_t)(i >> 8);
	c.client_ip[15] = (uint8_t)i;
	c.client_port = (uint16_t)(1024 + (i >> 8) % 7);
	c.relay = (uint16_t)(i / 60000 % RELAYS);
	c.relayed_port = (uint16_t)(2000 + i % 60000);
	return c;
}

static struct cmd_flow child(uint32_t i, uint8_t kind, uint32_t k)
{
	struct cmd_flow c = allocation(i);
	const struct addr peer = lab_addr("198.18.0.0");

	c.kind = kind;
	memcpy(c.peer_ip, peer.ip, 16);
	c.peer_ip[14] = (uint8_t)(k >> 8);
	c.peer_ip[15] = (uint8_t)k;
	c.peer_port = kind == FLOW_CHANNEL ? (uint16_t)(7000 + k) : 0;
	c.channel = kind == FLOW_CHANNEL ? (uint16_t)(0x4000 + k) : 0;
	return c;
}

static void client_key(const struct cmd_flow *c, struct flow_key *k)
{
	memset(k, 0, sizeof(*k));
	memcpy(k->ip, c->client_ip, 16);
	k->port = rte_cpu_to_be_16(c->client_port);
	k->channel = rte_cpu_to_be_16(c->channel);
	k->listener = c->listener;
	k->kind = c->kind;
}

/* --- the bare table against rte_hash, readers running --- */

/*
 * Keys live in rows of the test's own: key i is in row i. Even keys come and go, odd ones are
 * always there; readers look for odd keys only and must never miss one, whatever is displaced.
 */
struct race {
	struct flow_table *t;
	uint32_t n;
	_Atomic bool stop;
	_Atomic uint64_t lookups, missed, wrong;
};

static struct flow_key number_key(uint32_t i)
{
	struct flow_key k = { .kind = FLOW_CHANNEL, .listener = 1 };

	k.ip[10] = k.ip[11] = 0xFF;
	k.ip[12] = 10;
	memcpy(k.ip + 13, &i, 3);
	k.port = (uint16_t)(i * 40503u);
	k.channel = (uint16_t)(0x40 | i >> 12);
	return k;
}

static void *reader(void *arg)
{
	struct race *const r = arg;
	uint64_t mine = (uintptr_t)&mine, lookups = 0, missed = 0, wrong = 0;

	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		struct flow_key keys[64];
		uint32_t number[64], rows[64];

		for (unsigned i = 0; i < 64; i++) {
			mine = mine * UINT64_C(6364136223846793005) + 1442695040888963407;
			number[i] = (uint32_t)((mine >> 32) * r->n >> 32) | 1;
			keys[i] = number_key(number[i]);
		}
		flow_lookup_bulk(r->t, keys, 64, rows);
		for (unsigned i = 0; i < 64; i++) {
			missed += rows[i] == ROW_NONE;
			wrong += rows[i] != ROW_NONE && rows[i] != number[i];
		}
		lookups += 64;
	}
	atomic_fetch_add(&r->lookups, lookups);
	atomic_fetch_add(&r->missed, missed);
	atomic_fetch_add(&r->wrong, wrong);
	return NULL;
}

static void test_oracle(void)
{
	enum { CHURN = 1500000, CHECKED = 1 << 18 };
	struct bed b = bed_new(ROWS, 16);
	const struct rte_hash_parameters p = { .name = "oracle",
		                               .entries = ROWS,
		                               .key_len = sizeof(struct flow_key),
		                               .hash_func = rte_hash_crc,
		                               .socket_id = SOCKET_ID_ANY };
	struct rte_hash *oracle = rte_hash_create(&p);
	/* Few buckets for so many keys: displacement is the rule, not the exception. */
	struct flow_bucket *const buckets = b.t->buckets;
	const uint64_t mask = b.t->bucket_mask;
	struct race r = { .t = b.t, .n = ROWS };
	pthread_t thread[2];
	unsigned full = 0, differ = 0;

	CHECK(oracle != NULL, "oracle");
	b.t->bucket_mask = ROWS / 8 - 1 < mask ? ROWS / 8 - 1 : mask;
	for (uint32_t i = 0; i < ROWS; i++) {
		flow_at(b.t, i)->key = number_key(i);
		if (i % 2 && !flow_insert(b.t, &flow_at(b.t, i)->key, i))
			full++;
		if (i % 2)
			rte_hash_add_key(oracle, &flow_at(b.t, i)->key);
	}
	CHECK(full == 0, "half a million always there");
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, reader, &r);
	const uint32_t moves = atomic_load(&b.t->moves);
	for (unsigned i = 0; i < CHURN; i++) {
		const uint32_t n = draw(ROWS) & ~1u;
		const struct flow_key *const k = &flow_at(b.t, n)->key;

		if (rte_hash_lookup(oracle, k) >= 0) {
			flow_remove(b.t, k, n);
			rte_hash_del_key(oracle, k);
		} else if (flow_insert(b.t, k, n)) {
			rte_hash_add_key(oracle, k);
		} else {
			full++;
		}
	}
	atomic_store(&r.stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (uint32_t i = 0; i < CHECKED; i++) {
		const uint32_t n = draw(ROWS);
		const struct flow_key k = number_key(n);

		differ += (flow_find(b.t, &k) == n) != (rte_hash_lookup(oracle, &k) >= 0);
	}
	printf("\n    %u displaced, %u full, %llu look-ups beside them ",
	       atomic_load(&b.t->moves) - moves, full, (unsigned long long)r.lookups);
	CHECK(atomic_load(&b.t->moves) - moves > 10000, "entries were displaced");
	CHECK(full == 0, "three quarters full is not full");
	CHECK(r.lookups > 100000, "readers ran");
	CHECK(r.missed == 0, "what is always there is always found");
	CHECK(r.wrong == 0, "and is itself");
	CHECK(differ == 0, "equal to the oracle");
	(void)buckets;
	rte_hash_free(oracle);
	bed_free(&b);
}

/*
 * The same in so few buckets that what is looked for is moved all the time: only the second look
 * after a miss (the move counter) finds a key that went the other way meanwhile.
 */
static void test_displacement(void)
{
	enum { BUCKETS = 8, KEYS = 120, TRIES = 1500000 };
	struct bed b = bed_new(1024, 16);
	struct race r = { .t = b.t };
	pthread_t thread[2];
	bool in[KEYS] = { false };

	b.t->bucket_mask = BUCKETS - 1;
	for (uint32_t i = 0; i < KEYS; i++)
		flow_at(b.t, i)->key = number_key(i);
	/* The first 40 are odd numbers below 80: always there. The rest comes and goes. */
	r.n = 80;
	for (uint32_t i = 1; i < 80; i += 2)
		CHECK(flow_insert(b.t, &flow_at(b.t, i)->key, i), "always there");
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, reader, &r);
	for (unsigned i = 0; i < TRIES; i++) {
		const uint32_t n = draw(2) ? draw(40) * 2 : 80 + draw(40);

		if (in[n])
			flow_remove(b.t, &flow_at(b.t, n)->key, n);
		in[n] = !in[n] && flow_insert(b.t, &flow_at(b.t, n)->key, n);
	}
	atomic_store(&r.stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	printf("\n    %u displaced, %llu look-ups beside them ", atomic_load(&b.t->moves),
	       (unsigned long long)r.lookups);
	CHECK(atomic_load(&b.t->moves) > 100000, "entries were displaced");
	CHECK(r.missed == 0, "what is always there is always found");
	CHECK(r.wrong == 0, "and is itself");
	bed_free(&b);
}

/* Keys that collide under one secret are spread under another: flooding needs the secret. */
static void test_flooding(void)
{
	enum { TRIED = 1 << 20 };
	struct bed a = bed_new(1024, 16), b = bed_new(1024, 16);
	struct flow_key same[64];
	unsigned n = 0, together = 0;
	const uint64_t secret[4] = { 7, 11, 13, 17 };

	memcpy(a.t->secret, secret, sizeof(secret)); /* as if the attacker knew them */
	for (uint32_t i = 0; i < TRIED && n < 64; i++) {
		const struct flow_key k = number_key(i);

		if ((flow_hash(a.t, &k) & a.t->bucket_mask) == 0)
			same[n++] = k;
	}
	CHECK(n == 64, "colliding keys are easy to find for whoever has the secret");
	for (unsigned i = 1; i < n; i++)
		together += (flow_hash(b.t, &same[i]) & b.t->bucket_mask) ==
		            (flow_hash(b.t, &same[0]) & b.t->bucket_mask);
	CHECK(together < 8, "and do not collide for others");
	/* Not linear: the xor of two keys' hashes says nothing of a third pair's. */
	unsigned linear = 0;
	for (uint32_t i = 0; i < 1000; i++) {
		struct flow_key w = number_key(i), x = w, y = number_key(i + 5000), z = y;

		x.port ^= 0x0101;
		z.port ^= 0x0101;
		linear += (flow_hash(b.t, &w) ^ flow_hash(b.t, &x)) ==
		          (flow_hash(b.t, &y) ^ flow_hash(b.t, &z));
	}
	CHECK(linear == 0, "differences do not carry over");
	bed_free(&a);
	bed_free(&b);
}

/* --- flows --- */

static void test_full(void)
{
	struct bed b = bed_new(1000, 16);
	uint32_t i = 0;
	uint32_t row;

	while (i < 2000) {
		const struct cmd_flow c = allocation(i);

		if (set(b.t, &c) != FLOW_OK)
			break;
		i++;
	}
	CHECK(i == 1000 && flow_used(b.t) == 1000, "every row can be used");
	struct cmd_flow c = allocation(5000);
	CHECK(set(b.t, &c) == FLOW_FULL, "then it is full");
	c = child(3, FLOW_CHANNEL, 1);
	CHECK(set(b.t, &c) == FLOW_FULL, "for children too");
	c = allocation(7);
	CHECK(set(b.t, &c) == FLOW_OK, "what is there can be refreshed");
	CHECK(delete (b.t, &c) == FLOW_OK, "and goes");
	CHECK(delete (b.t, &c) == FLOW_UNKNOWN, "once");
	reclaim_all(b.t);
	c = allocation(5000);
	CHECK(flow_set(b.t, &c, 1, false, false, &row) == FLOW_OK, "room comes back");
	bed_free(&b);
}

/* The same set again: same row, new deadline; one use of an adjacency is given back each time. */
static void test_refresh(void)
{
	struct bed b = bed_new(100, 100);
	struct cmd_flow a = allocation(1), c = child(1, FLOW_CHANNEL, 5);
	uint32_t first, again;
	struct flow_final f[8];

	CHECK(flow_set(b.t, &c, 3, false, false, &first) == FLOW_NO_PARENT, "parents first");
	CHECK(flow_set(b.t, &a, 2, false, false, &first) == FLOW_OK, "allocation");
	CHECK(flow_set(b.t, &c, 3, false, false, &first) == FLOW_OK, "channel");
	c.deadline_s += 50;
	c.deadline_in_s += 70;
	CHECK(flow_set(b.t, &c, 4, true, false, &again) == FLOW_OK && first == again, "again");
	CHECK(flow_row(b.t, first)->deadline_s == c.deadline_s, "new deadline");
	CHECK(flow_row(b.t, first)->adjacency == 4, "new next hop");
	CHECK(flow_row(b.t, first)->flags & ROW_FLAG_TURNED, "new flag");
	const uint32_t parent = flow_by_port(b.t, a.relay, rte_cpu_to_be_16(a.relayed_port));
	CHECK(parent != ROW_NONE && flow_row(b.t, parent)->channel != 0, "port and inline peer");
	CHECK(flow_row(b.t, parent)->deadline_s == c.deadline_in_s, "deadline inward");
	CHECK(flow_reclaim(b.t, f, 8) == 1 && f[0].row == ROW_NONE && f[0].adjacency == 3,
	      "the old use comes back");
	/* The number bound to another peer: another row, the old one reported. */
	struct cmd_flow d = child(1, FLOW_CHANNEL, 6);
	d.channel = c.channel;
	d.tag = 9;
	CHECK(flow_set(b.t, &d, 5, false, false, &again) == FLOW_OK && again != first, "rebound");
	struct flow_key k;
	client_key(&c, &k);
	CHECK(flow_find(b.t, &k) == again, "under the same key");
	CHECK(flow_row(b.t, again)->peer_port == rte_cpu_to_be_16(d.peer_port), "with its peer");
	CHECK(flow_reclaim(b.t, f, 8) == 1 && f[0].row == first && f[0].adjacency == 4, "old row");
	CHECK(delete (b.t, &a) == FLOW_OK, "delete");
	CHECK(flow_find(b.t, &k) == ROW_NONE, "children go along");
	reclaim_all(b.t);
	CHECK(flow_used(b.t) == 0, "all rows are back");
	bed_free(&b);
}

/* A row index used again does not make old children match: the generation is in their keys. */
static void test_generation(void)
{
	struct bed b = bed_new(64, 16);
	struct cmd_flow a = allocation(1);
	uint32_t row, again;
	struct flow_key stale;

	CHECK(flow_set(b.t, &a, 1, false, false, &row) == FLOW_OK, "allocation");
	flow_peer_key(&stale, a.peer_ip, 0, row, flow_row(b.t, row)->generation, FLOW_PERMISSION);
	delete (b.t, &a);
	reclaim_all(b.t);
	CHECK(flow_set(b.t, &a, 1, false, false, &again) == FLOW_OK && again == row,
	      "the same row again");
	struct flow_key fresh;
	flow_peer_key(&fresh, a.peer_ip, 0, row, flow_row(b.t, row)->generation, FLOW_PERMISSION);
	CHECK(!flow_key_equal(&stale, &fresh), "another generation");
	bed_free(&b);
}

/* Further bound peers have rows of their own; the inline place is used again after a grace period.
 */
static void test_spill(void)
{
	struct bed b = bed_new(4096, 16);
	struct cmd_flow a = allocation(1);
	uint32_t row, parent;

	rte_rcu_qsbr_thread_register(b.qsbr, 0);
	rte_rcu_qsbr_thread_online(b.qsbr, 0);
	CHECK(flow_set(b.t, &a, 1, false, false, &parent) == FLOW_OK, "allocation");
	for (uint32_t k = 0; k < 1000; k++) {
		const struct cmd_flow c = child(1, FLOW_CHANNEL, k);

		CHECK(flow_set(b.t, &c, 1, false, false, &row) == FLOW_OK, "channel");
	}
	const struct row *const r = flow_row(b.t, parent);
	CHECK(r->flags & ROW_FLAG_SPILL, "said in the row");
	CHECK(flow_used(b.t) == 1 + 1000 + 999, "a row each, but one");
	struct cmd_flow c = child(1, FLOW_CHANNEL, 0);
	delete (b.t, &c);
	CHECK(r->channel == 0, "the inline one is gone");
	c = child(1, FLOW_CHANNEL, 1000);
	CHECK(flow_set(b.t, &c, 1, false, false, &row) == FLOW_OK && r->channel == 0,
	      "not before the grace period is over");
	rte_rcu_qsbr_quiescent(b.qsbr, 0);
	c = child(1, FLOW_CHANNEL, 1001);
	CHECK(flow_set(b.t, &c, 1, false, false, &row) == FLOW_OK &&
	              r->channel == rte_cpu_to_be_16(c.channel),
	      "then again");
	for (uint32_t k = 1; k < 1002; k++) {
		c = child(1, FLOW_CHANNEL, k);
		CHECK(delete (b.t, &c) == FLOW_OK, "delete");
	}
	CHECK(!(r->flags & ROW_FLAG_SPILL), "none is left");
	struct flow_final f[4];
	CHECK(flow_reclaim(b.t, f, 4) == 1, "what was deleted before the quiescent state");
	CHECK(flow_reclaim(b.t, f, 4) == 0, "rows wait for the readers");
	rte_rcu_qsbr_quiescent(b.qsbr, 0);
	reclaim_all(b.t);
	CHECK(flow_used(b.t) == 1, "only the allocation");
	bed_free(&b);
}

/* A sync makes the tables equal to what was set between its begin and its end. */
static void test_sync(void)
{
	struct bed b = bed_new(8192, 16);
	unsigned kept = 0, turns = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		const struct cmd_flow a = allocation(i), c = child(i, FLOW_CHANNEL, i % 50),
				      p = child(i, FLOW_PERMISSION, i % 50);

		CHECK(set(b.t, &a) == FLOW_OK && set(b.t, &c) == FLOW_OK && set(b.t, &p) == FLOW_OK,
		      "set");
	}
	reclaim_all(b.t);
	CHECK(flow_sync_end(b.t, 1), "no sync, nothing to do");
	flow_sync_begin(b.t);
	for (uint32_t i = 0; i < 1000; i += 2) {
		const struct cmd_flow a = allocation(i), p = child(i, FLOW_PERMISSION, i % 50);

		CHECK(set(b.t, &a) == FLOW_OK, "kept");
		if (i % 4 == 0)
			CHECK(set(b.t, &p) == FLOW_OK, "kept with its permission");
	}
	while (!flow_sync_end(b.t, 16) && turns < 10000)
		turns++;
	CHECK(turns > 10 && turns < 10000, "a few rows a turn");
	for (uint32_t i = 0; i < 1000; i++) {
		struct flow_key k;
		struct cmd_flow c = allocation(i);

		client_key(&c, &k);
		const uint32_t row = flow_find(b.t, &k);
		CHECK((row != ROW_NONE) == (i % 2 == 0), "allocations");
		CHECK((flow_by_port(b.t, c.relay, rte_cpu_to_be_16(c.relayed_port)) != ROW_NONE) ==
		              (i % 2 == 0),
		      "ports");
		c = child(i, FLOW_CHANNEL, i % 50);
		client_key(&c, &k);
		CHECK(flow_find(b.t, &k) == ROW_NONE, "no channel was named");
		kept += row != ROW_NONE ? 1 + (i % 4 == 0) : 0;
	}
	reclaim_all(b.t);
	CHECK(flow_used(b.t) == kept, "rows");
	bed_free(&b);
}

/* --- counts --- */

struct counter {
	struct flow_table *t;
	uint32_t row;
	uint8_t worker;
};
enum { COUNTED = 200000 };

static void *count(void *arg)
{
	const struct counter *const c = arg;
	struct row *const r = flow_row(c->t, c->row);

	for (unsigned i = 0; i < COUNTED; i++)
		flow_count(c->t, c->row, r, c->worker, 3);
	return NULL;
}

/* Two workers on one row: the owner in the row, the other beside it, nothing lost (design 2.8). */
static void test_counts(void)
{
	struct bed b = bed_new(64, 16);
	const struct cmd_flow a = allocation(1);
	uint32_t row;
	pthread_t thread[2];
	struct flow_final f[4];

	CHECK(flow_set(b.t, &a, 1, false, false, &row) == FLOW_OK, "allocation");
	CHECK(flow_row(b.t, row)->owner == 0xFF, "nobody's");
	struct counter c[2] = { { b.t, row, 0 }, { b.t, row, 1 } };
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, count, &c[i]);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	const struct row *const r = flow_row(b.t, row);
	CHECK(r->owner < 2, "claimed");
	CHECK(r->counts.packets == COUNTED, "the owner's");
	delete (b.t, &a);
	CHECK(flow_reclaim(b.t, f, 4) == 1 && f[0].packets == 2 * COUNTED &&
	              f[0].octets == UINT64_C(6) * COUNTED,
	      "both, in the final count");
	CHECK(flow_set(b.t, &a, 1, false, false, &row) == FLOW_OK &&
	              flow_row(b.t, row)->counts.packets == 0 && flow_row(b.t, row)->owner == 0xFF,
	      "a row used again begins at nothing");
	bed_free(&b);
}

/* --- everything at once: random sets and deletes, a model, readers of whole flows --- */

enum { MODEL = 4000, PEERS = 4 };

struct traffic {
	struct bed *bed;
	_Atomic bool stop;
	_Atomic uint64_t looked, torn;
	unsigned id;
};

/* A reader in the manner of a worker: what it finds belongs together. */
static void *worker_like(void *arg)
{
	struct traffic *const x = arg;
	struct flow_table *const t = x->bed->t;
	uint64_t mine = x->id, looked = 0, torn = 0;

	rte_rcu_qsbr_thread_register(x->bed->qsbr, x->id);
	rte_rcu_qsbr_thread_online(x->bed->qsbr, x->id);
	while (!atomic_load_explicit(&x->stop, memory_order_relaxed)) {
		mine = mine * UINT64_C(6364136223846793005) + 1442695040888963407;
		const uint32_t i = (uint32_t)((mine >> 32) * MODEL >> 32);
		const struct cmd_flow a = allocation(i);
		const uint32_t row = flow_by_port(t, a.relay, rte_cpu_to_be_16(a.relayed_port));

		rte_rcu_qsbr_quiescent(x->bed->qsbr, x->id);
		if (row == ROW_NONE)
			continue;
		const uint32_t now = flow_by_port(t, a.relay, rte_cpu_to_be_16(a.relayed_port));
		if (now == ROW_NONE)
			continue;
		const struct row *const r = flow_row(t, now);
		const uint16_t channel = __atomic_load_n(&r->channel, __ATOMIC_ACQUIRE);

		looked++;
		torn += memcmp(r->key.ip, a.client_ip, 16) != 0;
		/* child(): channel and peer port are numbers of the same k. */
		if (channel)
			torn += rte_be_to_cpu_16(channel) - 0x4000 !=
			        rte_be_to_cpu_16(r->peer_port) - 7000;
		for (uint32_t k = 0; k < PEERS; k++) {
			const struct cmd_flow c = child(i, FLOW_CHANNEL, k);
			struct flow_key key;

			client_key(&c, &key);
			const uint32_t found = flow_find(t, &key);
			if (found != ROW_NONE)
				torn += rte_be_to_cpu_16(flow_row(t, found)->peer_port) - 7000u !=
				        k;
		}
	}
	atomic_fetch_add(&x->looked, looked);
	atomic_fetch_add(&x->torn, torn);
	rte_rcu_qsbr_thread_offline(x->bed->qsbr, x->id);
	rte_rcu_qsbr_thread_unregister(x->bed->qsbr, x->id);
	return NULL;
}

static void test_model(void)
{
	enum { STEPS = 400000 };
	static bool there[MODEL], channel[MODEL][PEERS], permission[MODEL][PEERS];
	struct bed b = bed_new(60000, 16);
	struct traffic x[2];
	pthread_t thread[2];
	unsigned differ = 0, expected = 0;

	for (unsigned i = 0; i < 2; i++) {
		x[i] = (struct traffic){ .bed = &b, .id = i };
		pthread_create(&thread[i], NULL, worker_like, &x[i]);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		const uint32_t i = draw(MODEL), k = draw(PEERS);
		const struct cmd_flow a = allocation(i), c = child(i, FLOW_CHANNEL, k),
				      p = child(i, FLOW_PERMISSION, k);
		enum flow_result got = FLOW_OK, want = FLOW_OK;
		struct flow_final f[16];

		switch (draw(8)) {
		case 0:
		case 1:
			got = set(b.t, &a);
			there[i] |= got == FLOW_OK;
			break;
		case 2:
			got = delete (b.t, &a);
			want = there[i] ? FLOW_OK : FLOW_UNKNOWN;
			there[i] = false;
			memset(channel[i], 0, sizeof(channel[i]));
			memset(permission[i], 0, sizeof(permission[i]));
			break;
		case 3:
		case 4:
			got = set(b.t, &c);
			want = there[i] ? FLOW_OK : FLOW_NO_PARENT;
			channel[i][k] |= there[i];
			break;
		case 5:
			got = set(b.t, &p);
			want = there[i] ? FLOW_OK : FLOW_NO_PARENT;
			permission[i][k] |= there[i];
			break;
		case 6:
			got = delete (b.t, &c);
			want = channel[i][k] ? FLOW_OK : FLOW_UNKNOWN;
			channel[i][k] = false;
			break;
		default:
			got = delete (b.t, &p);
			want = permission[i][k] ? FLOW_OK : FLOW_UNKNOWN;
			permission[i][k] = false;
		}
		/* Readers may hold everything up for a while. */
		differ += got != want && got != FLOW_FULL;
		if (got == FLOW_FULL)
			step--;
		flow_reclaim(b.t, f, 16);
	}
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&x[i].stop, true);
		pthread_join(thread[i], NULL);
	}
	CHECK(differ == 0, "results");
	for (uint32_t i = 0; i < MODEL; i++) {
		unsigned spilled = 0;

		expected += there[i];
		for (uint32_t k = 0; k < PEERS; k++) {
			struct flow_key key;
			const struct cmd_flow c = child(i, FLOW_CHANNEL, k);

			client_key(&c, &key);
			differ += (flow_find(b.t, &key) != ROW_NONE) != channel[i][k];
			expected += channel[i][k] + permission[i][k];
			spilled += channel[i][k];
		}
		const struct cmd_flow a = allocation(i);
		const uint32_t row = flow_by_port(b.t, a.relay, rte_cpu_to_be_16(a.relayed_port));
		differ += (row != ROW_NONE) != there[i];
		if (row != ROW_NONE)
			expected += spilled - (flow_row(b.t, row)->channel != 0);
	}
	reclaim_all(b.t);
	printf("\n    %llu looks beside the writer ",
	       (unsigned long long)(x[0].looked + x[1].looked));
	CHECK(differ == 0, "equal to the model");
	CHECK(flow_used(b.t) == expected, "no row is lost");
	CHECK(x[0].looked + x[1].looked > 1000, "readers ran");
	CHECK(x[0].torn + x[1].torn == 0, "readers saw whole flows");
	bed_free(&b);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "flooding", test_flooding },
		{ "full and recovery", test_full },
		{ "refresh and rebind", test_refresh },
		{ "generation", test_generation },
		{ "spilled peers", test_spill },
		{ "sync", test_sync },
		{ "counts", test_counts },
		{ "model", test_model },
		{ "displacement", test_displacement },
		{ "oracle", test_oracle },
		CU_TEST_INFO_NULL,
	};

	lab_start(64, 16, 0);
	const int status = run_suite("dataplane/flow", tests);

	lab_stop();
	return status;
}
