/*
 * What does a packet between two legs of an ICE session cost, a copy to one of eight legs, and a
 * check that a worker answers? Frames are made again and again in the same mbufs, each for a leg
 * drawn at random, and pushed through worker_burst() without ports; making them is timed alone and
 * subtracted. Names r0.leg.PATH.LEGS and ice.legs.LEGS: how many legs one core keeps alive, if each
 * is asked once in five seconds.
 *
 *   bench_leg [--quick | --long] [--out FILE]
 */
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "crypto.h"
#include "dataplane/adjacency.h"
#include "dataplane/eal.h"
#include "dataplane/flow_leg.h"
#include "dataplane/local.h"
#include "dataplane/worker.h"
#include "tests/rig/eal.h"
#include "wire/check.h"
#include "wire/checksum.h"
#include "wire/crc.h"
#include "wire/integrity.h"

enum {
	SAMPLES = 16,
	SAMPLES_QUICK = 8,
	ETH = 14,
	HEADERS = ETH + 28,
	FRAME = 256,
	MBUFS = 1024,
	SPARE = 8192, /* copies on their way */
	PAYLOAD = 160,
	DRAWN = 1 << 16,
	PORTS_PER_RELAY = 64512, /* from 1024 */
	PEER_PORT = 7000,
	FAN = 8,
	HOP = 1,
	CONSENT_S = 5,
};

enum path { MEDIA, FAN8, CHECK, PATHS };
static const char *const path_name[PATHS] = { "udp", "fan8", "check" };

static struct config cfg;
static struct dataplane dp;
static struct port port;
static struct worker worker;
static struct adjacency_table adjacency;
static struct rte_mempool *pool, *copies;
static struct rte_mbuf *m[MBUFS];
static uint8_t (*frames)[FRAME]; /* one for each leg drawn from */
static uint16_t *frame_len;
static uint32_t drawn[DRAWN];
static unsigned next, sent;

/* worker_send() of this program ends here; copies go back. */
static void leave(struct rte_mbuf *one)
{
	sent++;
	if (one->pool == copies)
		rte_pktmbuf_free(one);
}

void worker_send(struct worker *w, uint16_t to, struct rte_mbuf *one)
{
	(void)w, (void)to;
	leave(one);
}

void worker_send_burst(struct worker *w, uint16_t to, struct rte_mbuf **all, unsigned n)
{
	(void)w, (void)to;
	for (unsigned i = 0; i < n; i++)
		leave(all[i]);
}

void worker_flush(struct worker *w)
{
	(void)w;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_leg: %s\n", what);
	exit(1);
}

static struct addr four(uint32_t ip)
{
	uint8_t octets[4];

	be32_store(octets, ip);
	return addr_from4(octets);
}

static uint16_t relay_of(unsigned i)
{
	return (uint16_t)(i / PORTS_PER_RELAY);
}

static uint16_t port_of(unsigned i)
{
	return (uint16_t)(1024 + i % PORTS_PER_RELAY);
}

static void open_relay(unsigned n)
{
	const uint64_t secret[2] = { UINT64_C(0x243F6A8885A308D3), UINT64_C(0x13198A2E03707344) };
	const struct region_want want[] = {
		{ SECTION_COUNTERS, 0, sizeof(struct stats) },
		{ SECTION_ROWS, 0, sizeof(struct row) },
		{ SECTION_ROWS_WIDE, 0, (uint64_t)n * sizeof(struct row_wide) },
		{ SECTION_FOREIGN, 0, sizeof(struct row_counts) },
		{ SECTION_FOREIGN, 1, (uint64_t)n * sizeof(struct row_counts) },
	};

	memset(&cfg, 0, sizeof(cfg));
	memset(&dp, 0, sizeof(dp));
	cfg.n_ports = cfg.workers = 1;
	cfg.n_relays = (n + PORTS_PER_RELAY - 1) / PORTS_PER_RELAY;
	for (unsigned i = 0; i < cfg.n_relays; i++)
		cfg.relays[i].addr = cfg.relays[i].advertise = four(0xCB007100 + i);
	cfg.relay_port_min = 49152;
	cfg.relay_port_max = 65535;
	cfg.service_core = -1;
	cfg.fragment_mtu = 1500;
	cfg.ttl_decrement = true;
	dp.cfg = &cfg;
	if (region_create(&dp.region, "bench", 1, want, RTE_DIM(want), true, -1) != 0)
		die("no room for the rows");
	dp.local = local_build(&cfg, NULL);
	dp.adjacency = &adjacency;
	adjacency.entry[HOP] = (struct adjacency){
		.mac_state = (uint64_t)NEIGHBOUR_RESOLVED << 48 | 0x060504030202,
		.src_mac = { 2, 0, 0, 0, 0, 1 },
		.mtu = 1500,
	};
	dp.qsbr = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(1) + 63) & ~(size_t)63);
	rte_rcu_qsbr_init(dp.qsbr, 1);
	dp.flows = flow_create(&dp.region, 1, n, cfg.n_relays, secret, dp.qsbr);
	if (!dp.flows || !dp.local)
		die("tables");
	flow_use_local(dp.flows, dp.local);
	port = (struct port){ .mtu = 1500, .mac.addr_bytes = { 2, 0, 0, 0, 0, 1 } };
	dp.ports = &port;
	dp.workers = &worker;
	dp.n_workers = 1;
	if (worker_init(&worker, &dp, 0) != 0)
		die("worker");
	worker.pool = copies;
}

static void close_relay(void)
{
	worker_fini(&worker);
	flow_destroy(dp.flows);
	local_free(dp.local);
	region_leave(&dp.region);
	free(dp.qsbr);
}

static void put_key(struct cmd_leg_key *k, unsigned i, struct crypto_hmac_sha1 *key)
{
	char pwd[25];

	snprintf(pwd, sizeof(pwd), "%024u", i);
	crypto_hmac_sha1_key(key, pwd, 24);
	k->ufrag_len = (uint32_t)snprintf(k->ufrag, LEG_UFRAG_MAX, "leg%05u", i % 100000);
	memcpy(k->inner, key->inner, sizeof(k->inner));
	memcpy(k->outer, key->outer, sizeof(k->outer));
}

/* Of sessions of two legs, or of FAN + 1. */
static void add_leg(unsigned i, enum path path)
{
	struct {
		struct cmd_leg c;
		struct cmd_leg_to to[FAN];
	} w = { .c = { .relay = relay_of(i),
		       .port = port_of(i),
		       .peer_port = PEER_PORT,
		       .flags = LEG_ANSWERS | LEG_LITE,
		       .deadline_s = UINT32_MAX } };
	const unsigned group = path == FAN8 ? FAN + 1 : 2, first = i - i % group;
	const struct addr peer = four(0x0A000000 + i);
	struct crypto_hmac_sha1 key;
	uint32_t row;
	bool fresh;

	memcpy(w.c.peer_ip, peer.ip, 16);
	put_key(&w.c.key[0], i, &key);
	for (unsigned k = first; k < first + group; k++)
		if (k != i)
			w.to[w.c.n_to++] = (struct cmd_leg_to){ relay_of(k), port_of(k) };
	if (flow_leg_set(dp.flows, &w.c, w.to, HOP, false, &row, &fresh) != FLOW_OK)
		die("the flow table is full");
}

static uint16_t put_check(uint8_t *out, unsigned i)
{
	static const uint8_t txid[12] = "bench bench";
	struct cmd_leg_key k = { .ufrag_len = 0 };
	struct crypto_hmac_sha1 key;
	struct stun_builder b;
	char name[64];
	size_t covered;
	uint8_t *mac;

	put_key(&k, i, &key);
	const int n = snprintf(name, sizeof(name), "%s:peer", k.ufrag);

	stun_begin(&b, out, FRAME - HEADERS, stun_type(STUN_BINDING, STUN_REQUEST), txid);
	stun_put(&b, STUN_USERNAME, name, (uint16_t)n);
	stun_put_u32(&b, STUN_PRIORITY, 1862270975);
	memset(stun_reserve(&b, STUN_ICE_CONTROLLING, 8), 7, 8);
	mac = stun_reserve_integrity(&b, STUN_MESSAGE_INTEGRITY, &covered);
	crypto_hmac_sha1(&key, &(struct crypto_piece){ out, covered }, 1, mac);
	stun_put_fingerprint(&b);
	return (uint16_t)stun_finish(&b);
}

static void make_frame(unsigned i, enum path path)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 9, 9, 9, 9, 9 };
	uint8_t *const f = frames[i], *const ip = f + ETH, *const udp = ip + 20;
	uint16_t len = PAYLOAD;

	memset(udp + 8, 0x80, PAYLOAD);
	if (path == CHECK)
		len = put_check(udp + 8, i);
	memcpy(f, macs, 12);
	be16_store(f + 12, 0x0800);
	be32_store(ip, 0x45000000 | (28u + len));
	be32_store(ip + 4, 0x00004000);
	be32_store(ip + 8, 64u << 24 | 17u << 16);
	be32_store(ip + 12, 0x0A000000 + i);
	be32_store(ip + 16, 0xCB007100 + relay_of(i));
	csum_store(ip + 10, csum_finish(csum_add(0, ip, 20)));
	be16_store(udp, PEER_PORT);
	be16_store(udp + 2, port_of(i));
	be16_store(udp + 4, (uint16_t)(8 + len));
	csum_store(udp + 6, 0);
	csum_store(udp + 6, csum_udp(ip + 12, ip + 16, 4, udp, (uint16_t)(8 + len)));
	frame_len[i] = (uint16_t)(HEADERS + len);
}

/* --- timing --- */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static double timed(unsigned rounds, bool relay)
{
	const uint64_t start = cpu_ns();

	sent = 0;
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned i = 0; i < MBUFS; i++) {
			const unsigned of = drawn[next++ % DRAWN];

			m[i]->data_off = RTE_PKTMBUF_HEADROOM;
			m[i]->data_len = frame_len[of];
			m[i]->pkt_len = frame_len[of];
			m[i]->ol_flags = 0;
			memcpy(rte_pktmbuf_mtod(m[i], void *), frames[of], FRAME);
		}
		for (unsigned i = 0; relay && i < MBUFS; i += WORKER_BURST)
			worker_burst(&worker, &port, m + i, WORKER_BURST);
	}
	return (double)(cpu_ns() - start) / ((double)rounds * MBUFS);
}

static void measure(struct bench *b, enum path path, unsigned n, const char *size)
{
	double ns[SAMPLES], kept[SAMPLES];
	const unsigned samples = b->quick ? SAMPLES_QUICK : SAMPLES, each = path == FAN8 ? FAN : 1;
	const unsigned rounds = b->lengthy ? 600 : b->quick ? 60 : 200;
	char name[64];

	open_relay(n);
	frames = malloc((size_t)n * FRAME);
	frame_len = malloc(n * sizeof(*frame_len));
	if (!frames || !frame_len)
		die("memory");
	for (unsigned i = 0; i < n; i++) {
		add_leg(i, path);
		make_frame(i, path);
	}
	srand(12345);
	for (unsigned i = 0; i < DRAWN; i++)
		drawn[i] = (unsigned)(((uint64_t)rand() * n) >> 31);
	for (unsigned i = 0; i < samples; i++) {
		const double rest = timed(rounds, false);

		ns[i] = (timed(rounds, true) - rest) / each;
		if (sent != rounds * MBUFS * each)
			bench_fail(b, "not every packet left");
		kept[i] = CONSENT_S * 1000 / ns[i];
	}
	snprintf(name, sizeof(name), "r0.leg.%s.%s", path_name[path], size);
	bench_report(b, &(struct bench_line){ name,
	                                      path == FAN8    ? "ns/copy"
	                                      : path == CHECK ? "ns/check"
	                                                      : "ns/packet",
	                                      ns, samples, NULL, NULL });
	snprintf(name, sizeof(name), "ice.legs.%s", size);
	if (path == CHECK)
		bench_report(b, &(struct bench_line){ name, "M/core", kept, samples, NULL, NULL });
	free(frames);
	free(frame_len);
	close_relay();
}

int main(int argc, char **argv)
{
	struct bench b;

	bench_begin(&b, argc, argv);
	eal_rig_start("leg", 1024, bench_pin(bench_cores() - 1), 500);
	pool = rte_pktmbuf_pool_create("leg", MBUFS + 1, 0, EAL_PRIVATE, 2176, SOCKET_ID_ANY);
	copies = rte_pktmbuf_pool_create("copies", SPARE, 128, 0, 2176, SOCKET_ID_ANY);
	if (!pool || !copies || rte_pktmbuf_alloc_bulk(pool, m, MBUFS) != 0)
		die("mbufs");
	measure(&b, MEDIA, 1000, "1k");
	measure(&b, MEDIA, 100000, "100k");
	measure(&b, FAN8, 900, "1k");
	measure(&b, CHECK, 1000, "1k");
	measure(&b, CHECK, 100000, "100k");
	return bench_end(&b);
}
