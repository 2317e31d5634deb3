#include "tests/unit/dataplane/bed.h"

#include <dirent.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/flow.h"
#include "dataplane/kernel.h"
#include "log.h"
#include "wire/checksum.h"

struct bed bed;
const char *bed_extra_relay = "";

enum { LINES = 4096, POOL = 2047 };
static struct {
	_Alignas(64) uint8_t command[(LINES + 1) * 64];
	struct ring_tail command_tail, punt_tail, event_tail;
} shared;

static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 1 }, their_mac[6] = { 2, 0, 0, 0, 0, 9 };

/* --- what stands in for the world --- */

struct route {
	int unused;
};
static struct route the_route;

struct route *route_open(struct dataplane *dp)
{
	(void)dp;
	return &the_route;
}

void route_close(struct route *r)
{
	(void)r;
}

uint16_t route_adjacency(struct route *r, const struct addr *dest)
{
	uint16_t a = BED_WIRE;

	(void)r;
	if (dest->ip[15] == 66)
		a = BED_UNRESOLVED;
	if (dest->ip[15] == 77 || bed.epoch > 0)
		a = BED_SMALL;
	if (dest->ip[15] == 88)
		return ADJACENCY_NONE;
	bed.uses[a]++;
	return a;
}

uint32_t route_epoch(const struct route *r)
{
	(void)r;
	return bed.epoch;
}

void route_release(struct route *r, uint16_t adjacency)
{
	(void)r;
	CU_ASSERT_FATAL(bed.uses[adjacency] > 0);
	bed.uses[adjacency]--;
}

void route_kick(struct route *r, uint16_t adjacency)
{
	(void)r;
	(void)adjacency;
	bed.kicks++;
}

unsigned route_poll(struct route *r)
{
	(void)r;
	return 0;
}

int route_fd(const struct route *r)
{
	(void)r;
	return -1;
}

void route_on_event(struct route *r, route_event *fn)
{
	(void)r;
	bed.on_neighbour = fn;
}

bool kernel_ready(struct dataplane *dp)
{
	(void)dp;
	return true;
}

bool kernel_give(struct port *p, struct rte_mbuf *m)
{
	(void)p;
	CU_ASSERT_FATAL(bed.n_kernel < RTE_DIM(bed.kernel));
	bed.kernel[bed.n_kernel++] = m;
	return true;
}

unsigned kernel_take(struct port *p, struct rte_mempool *pool, struct rte_mbuf **out, unsigned n)
{
	(void)p;
	(void)pool;
	(void)out;
	(void)n;
	return 0;
}

void port_publish(struct dataplane *dp)
{
	(void)dp;
}

int port_queue_of(const struct port *p, unsigned worker)
{
	return p->owner[0] == worker ? 0 : -1;
}

bool port_complete_checksum(struct rte_mbuf *m)
{
	(void)m;
	return false;
}

static struct ring_reader commands;

struct join *join_open(const struct join_setup *setup, int *rc)
{
	(void)setup;
	*rc = 0;
	return (struct join *)&commands;
}

void join_close(struct join *j)
{
	(void)j;
}

enum join_event join_poll(struct join *j, uint64_t now_ms)
{
	(void)j;
	(void)now_ms;
	return JOIN_NONE;
}

struct ring_reader *join_command(struct join *j)
{
	(void)j;
	return &commands;
}

void join_disconnect(struct join *j, const char *why)
{
	(void)j;
	(void)why;
	bed.disconnects++;
}

unsigned join_fds(const struct join *j, int *fds, unsigned cap)
{
	(void)j;
	(void)fds;
	(void)cap;
	return 0;
}

bool join_sleep(struct join *j)
{
	(void)j;
	return true;
}

void join_awake(struct join *j)
{
	(void)j;
}

uint32_t join_pid(const struct join *j)
{
	(void)j;
	return 1;
}

/* --- beginning and end --- */

void bed_config(const char *more)
{
	FILE *f = fopen(bed.file, "w");

	CU_ASSERT_FATAL(f != NULL);
	fprintf(f,
	        "ports:\n"
	        "  - device: net_null0\n"
	        "    addresses: [198.18.0.1/24, 198.18.0.2/24, 198.18.0.3/24, \"fd00:18::1/64\"]\n"
	        "listeners: [198.18.0.1:3478, \"[fd00:18::1]:3478\"]\n"
	        "relay:\n"
	        "  addresses: [198.18.0.1, \"fd00:18::1\", 198.18.0.2]\n"
	        "  advertise: { 198.18.0.2: 203.0.113.2 }\n"
	        "%s"
	        "auth:\n"
	        "  realm: example.org\n"
	        "  users: { alice: secret }\n"
	        "peers:\n"
	        "  allow: [198.18.0.0/15, \"fd00:18::/32\"]\n"
	        "workers: 2\n"
	        "run-dir: %s\n"
	        "%s",
	        bed_extra_relay, bed.dir, more ? more : "");
	fclose(f);
}

/* Also when a check ended the test, or a fuzz target never stops the bed. */
static void clean_up(void)
{
	if (bed.dir[0] == '\0')
		return;
	unlink(bed.file);
	rmdir(bed.dir);
}

/* What EAL leaves behind under its runtime directory. */
static void stop_eal(void)
{
	const char *path = rte_eal_get_runtime_dir();
	DIR *dir = opendir(path);
	const struct dirent *e;

	clean_up();
	while (dir != NULL && (e = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), e->d_name, 0);
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

static void start_eal(void)
{
	static bool done;
	char prefix[64];
	char *argv[] = { (char[]){ "bed" },
		         (char[]){ "--no-huge" },
		         (char[]){ "-m" },
		         (char[]){ "64" },
		         (char[]){ "--no-pci" },
		         (char[]){ "--no-shconf" },
		         (char[]){ "--no-telemetry" },
		         (char[]){ "--log-level=3" },
		         (char[]){ "-l" },
		         (char[]){ "0" },
		         (char[]){ "--file-prefix" },
		         prefix };

	if (done)
		return;
	done = true;
	atexit(stop_eal);
	snprintf(prefix, sizeof(prefix), "bed%d", (int)getpid());
	CU_ASSERT_FATAL(rte_eal_init(RTE_DIM(argv), argv) >= 0);
}

enum { ROWS = 4096, ROWS_WIDE = 1024, PUNT_LINES = 1024 };

/* As join_create_region() does, whose file this one stands in for. */
static void start_region(void)
{
	const struct region_want want[] = {
		{ SECTION_LIFE, 0, sizeof(struct life) },
		{ SECTION_LISTENERS, 0, LOCAL_LISTENERS_MAX * sizeof(struct abi_listener) },
		{ SECTION_RELAYS, 0, LOCAL_RELAYS_MAX * sizeof(struct abi_relay) },
		{ SECTION_ROWS, 0, ROWS * sizeof(struct row) },
		{ SECTION_ROWS_WIDE, 0, ROWS_WIDE * sizeof(struct row_wide) },
		{ SECTION_FOREIGN, 0, ROWS * sizeof(struct row_counts) },
		{ SECTION_FOREIGN, 1, ROWS_WIDE * sizeof(struct row_counts) },
		{ SECTION_COUNTERS, 0, sizeof(struct stats) },
		{ SECTION_COUNTERS, 1, sizeof(struct stats) },
		{ SECTION_COUNTERS, 2, sizeof(struct stats) },
		{ SECTION_PUNT, 0, ring_octets(PUNT_LINES) },
		{ SECTION_PUNT, 1, ring_octets(PUNT_LINES) },
		{ SECTION_PUNT, 2, ring_octets(PUNT_LINES) },
	};

	CU_ASSERT_FATAL(region_create(&bed.dp.region, "bed", 7, want, RTE_DIM(want), false, -1) ==
	                0);
}

static void start_rings(void)
{
	uint64_t octets;
	void *part;

	memset(&shared, 0, sizeof(shared));
	ring_writer_init(&bed.command, shared.command, LINES, &shared.command_tail, -1);
	ring_reader_init(&commands, shared.command, LINES, &shared.command_tail);
	part = region_section(&bed.dp.region, SECTION_PUNT, 0, &octets);
	ring_writer_init(&bed.worker[0].punt, part, ring_lines(octets), &shared.punt_tail, -1);
	ring_reader_init(&bed.punts, part, ring_lines(octets), &shared.punt_tail);
	part = region_section(&bed.dp.region, SECTION_PUNT, 2, &octets);
	ring_writer_init(&bed.service->self.punt, part, ring_lines(octets), &shared.event_tail, -1);
	ring_reader_init(&bed.events, part, ring_lines(octets), &shared.event_tail);
	atomic_store(&bed.dp.control_joined, true);
}

static void start_adjacencies(void)
{
	for (uint16_t i = BED_WIRE; i < BED_ADJACENCIES; i++) {
		struct adjacency *a = &bed.dp.adjacency->entry[i];

		memcpy(a->src_mac, our_mac, 6);
		a->mtu = i == BED_SMALL ? 1280 : 1500;
		a->kind = ADJACENCY_WIRE;
		bed_resolve(i, i == BED_UNRESOLVED ? NEIGHBOUR_RESOLVING : NEIGHBOUR_RESOLVED);
	}
}

void bed_start(const char *more)
{
	const uint64_t secret[2] = { 0x123456789ABCDEF, 0xFEDCBA987654321 };
	struct dataplane *dp = &bed.dp;
	struct config_error err;

	clean_up(); /* of a test that a check ended */
	memset(&bed, 0, sizeof(bed));
	log_open("bed", LOG_LEVEL_ERROR, LOG_TEXT);
	start_eal();
	snprintf(bed.dir, sizeof(bed.dir), "/tmp/bed.XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(bed.dir) != NULL);
	snprintf(bed.file, sizeof(bed.file), "%s/turnpike.yaml", bed.dir);
	bed_config(more);
	dp->cfg = bed.cfg = config_load(bed.file, CONFIG_NO_SECRETS, &err);
	if (dp->cfg == NULL)
		fprintf(stderr, "%s\n", err.text);
	CU_ASSERT_FATAL(dp->cfg != NULL);
	start_region();
	bed.pool = rte_pktmbuf_pool_create("bed", POOL, 0, 0, RTE_PKTMBUF_HEADROOM + 4096, 0);
	dp->adjacency = rte_zmalloc(NULL, sizeof(*dp->adjacency), 64);
	dp->qsbr = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(3), 64);
	dp->local = local_build(dp->cfg, NULL);
	CU_ASSERT_FATAL(bed.pool != NULL && dp->adjacency != NULL && dp->qsbr != NULL &&
	                dp->local != NULL && rte_rcu_qsbr_init(dp->qsbr, 3) == 0);
	dp->flows = flow_create(&dp->region, ROWS, ROWS_WIDE, LOCAL_RELAYS_MAX, secret, dp->qsbr);
	CU_ASSERT_FATAL(dp->flows != NULL);
	bed.port = (struct port){ .n_queues = 1, .mtu = 1500, .tap_fd = -1, .pool = bed.pool };
	memcpy(bed.port.mac.addr_bytes, our_mac, 6);
	dp->ports = &bed.port;
	dp->n_ports = 1;
	dp->workers = bed.worker;
	dp->n_workers = 2;
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_FATAL(worker_init(&bed.worker[i], dp, i) == 0);
		bed.worker[i].tx[0].queue = -1; /* to the ring that bed_sent() empties */
		bed.worker[i].local = dp->local;
	}
	start_adjacencies();
	bed.service = service_new(dp);
	CU_ASSERT_FATAL(bed.service != NULL);
	start_rings();
	bed_turn();
}

void bed_stop(void)
{
	struct rte_mbuf *m[BED_REPLIES];

	bed_free(m, bed_sent(m));
	bed_free(bed.kernel, bed.n_kernel);
	service_free(bed.service);
	for (unsigned i = 0; i < 2; i++)
		worker_fini(&bed.worker[i]);
	CHECK(bed_used() == 0, "no packet buffer is lost");
	config_free(bed.cfg);
	flow_destroy(bed.dp.flows);
	local_free(bed.dp.local);
	region_leave(&bed.dp.region);
	rte_free(bed.dp.qsbr);
	rte_free(bed.dp.adjacency);
	rte_mempool_free(bed.pool);
	clean_up();
}

/* --- turns --- */

void bed_turn(void)
{
	service_turn(bed.service, 64);
	service_turn(bed.service, 64);
	bed.worker[0].now_s = bed.worker[1].now_s = bed.service->self.now_s;
	if (bed.worker[0].now_ns < bed.service->self.now_ns)
		bed.worker[0].now_ns = bed.worker[1].now_ns = bed.service->self.now_ns;
}

void bed_time(uint64_t add_ns)
{
	bed.worker[0].now_ns += add_ns;
}

void bed_resolve(uint16_t adjacency, enum neighbour_state state)
{
	union {
		uint8_t octet[8];
		uint64_t word;
	} u = { .word = 0 };

	memcpy(u.octet, their_mac, 6);
	u.octet[6] = (uint8_t)state;
	atomic_store(&bed.dp.adjacency->entry[adjacency].mac_state, u.word);
	if (bed.on_neighbour)
		bed.on_neighbour(&bed.dp, adjacency, state);
}

unsigned bed_sent(struct rte_mbuf *out[BED_REPLIES])
{
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++)
		worker_flush(&bed.worker[i]);
	if (bed.service)
		worker_flush(&bed.service->self);
	for (unsigned i = 0; i < 2; i++) {
		n += rte_ring_dequeue_burst(bed.worker[i].foreign, (void **)(out + n),
		                            BED_REPLIES - n, NULL);
		n += rte_ring_dequeue_burst(bed.worker[i].inject, (void **)(out + n),
		                            BED_REPLIES - n, NULL);
	}
	return n;
}

void bed_free(struct rte_mbuf **m, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		rte_pktmbuf_free(m[i]);
}

unsigned bed_used(void)
{
	return rte_mempool_in_use_count(bed.pool);
}

uint64_t bed_count(enum stat_id id)
{
	return stat_read(bed.worker[0].stats, id) + stat_read(bed.worker[1].stats, id) +
	       stat_read(bed.service->self.stats, id);
}

void bed_zero(void)
{
	memset(bed.worker[0].stats, 0, sizeof(struct stats));
	memset(bed.worker[1].stats, 0, sizeof(struct stats));
	memset(bed.service->self.stats, 0, sizeof(struct stats));
}

/* --- control --- */

bool bed_command(uint16_t kind, const void *body, uint32_t octets)
{
	void *to = ring_reserve(&bed.command, kind, octets);

	if (to == NULL)
		return false;
	if (octets)
		memcpy(to, body, octets);
	ring_publish(&bed.command);
	return true;
}

bool bed_flow(uint16_t kind, const struct cmd_flow *c)
{
	return bed_command(kind, c, sizeof(*c));
}

int bed_event(uint16_t *kind, void *body, uint32_t cap)
{
	const int n = ring_read(&bed.events, kind, body, cap);

	ring_release(&bed.events);
	return n;
}

int bed_punt(uint16_t *kind, void *body, uint32_t cap)
{
	const int n = ring_read(&bed.punts, kind, body, cap);

	ring_release(&bed.punts);
	return n;
}

int bed_status(struct punt_row *ev)
{
	uint16_t kind;

	if (bed_event(&kind, ev, sizeof(*ev)) != sizeof(*ev) || kind != PUNT_ROW)
		return -1;
	return (int)ev->status;
}

struct endpoint bed_ep(const char *text)
{
	struct endpoint e;

	CU_ASSERT_FATAL(endpoint_parse(text, &e));
	return e;
}

static struct cmd_flow flow_of(const char *client)
{
	static uint64_t tag = 1;
	const struct endpoint e = bed_ep(client);
	struct cmd_flow c = { .tag = tag++,
		              .client_port = e.port,
		              .listener = addr_is4(&e.addr) ? 0 : 1,
		              .deadline_s = bed.service->self.now_s + 600,
		              .deadline_in_s = bed.service->self.now_s + 600 };

	memcpy(c.client_ip, e.addr.ip, 16);
	return c;
}

struct cmd_flow bed_allocation(const char *client, uint16_t relay, uint16_t port)
{
	struct cmd_flow c = flow_of(client);

	c.kind = relay == 1 ? FLOW_ALLOCATION6 : FLOW_ALLOCATION4;
	c.relay = relay;
	c.relayed_port = port;
	return c;
}

struct cmd_flow bed_permission(const char *client, const char *peer)
{
	struct cmd_flow c = flow_of(client);

	c.kind = FLOW_PERMISSION;
	memcpy(c.peer_ip, bed_ep(peer).addr.ip, 16);
	return c;
}

struct cmd_flow bed_channel(const char *client, uint16_t channel, const char *peer)
{
	struct cmd_flow c = bed_permission(client, peer);

	c.kind = FLOW_CHANNEL;
	c.channel = channel;
	c.peer_port = bed_ep(peer).port;
	return c;
}

void bed_set(const struct cmd_flow *c)
{
	struct punt_row ev;

	CHECK(bed_flow(CMD_SET, c), "the command ring has room");
	bed_turn();
	CU_ASSERT_FATAL(bed_status(&ev) == ROW_OK && ev.tag == c->tag);
}

/* --- frames --- */

static void ip_sum(uint8_t *ip)
{
	csum_store(ip + 10, 0);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, (ip[0] & 15u) * 4)));
}

void bed_fix(uint8_t *frame)
{
	uint8_t *ip = frame + 14;
	const bool is4 = ip[0] >> 4 == 4;
	uint8_t *udp = ip + (is4 ? (ip[0] & 15u) * 4 : 40);

	if (is4)
		ip_sum(ip);
	csum_store(udp + 6, 0);
	csum_store(udp + 6, csum_udp(ip + (is4 ? 12 : 8), ip + (is4 ? 16 : 24), is4 ? 4 : 16, udp,
	                             be16_load(udp + 4)));
}

uint32_t bed_udp(uint8_t *frame, const char *src, const char *dst, const void *data, uint32_t len)
{
	const struct endpoint s = bed_ep(src), d = bed_ep(dst);
	const bool is4 = addr_is4(&s.addr);
	uint8_t *ip = frame + 14, *udp = ip + (is4 ? 20 : 40);

	memcpy(frame, our_mac, 6);
	memcpy(frame + 6, their_mac, 6);
	be16_store(frame + 12, is4 ? 0x0800 : 0x86DD);
	if (is4) {
		be16_store(ip, 0x45B9);
		be16_store(ip + 2, (uint16_t)(28 + len));
		be16_store(ip + 4, 0x1234);
		be16_store(ip + 6, 0);
		ip[8] = 64;
		ip[9] = 17;
		memcpy(ip + 12, s.addr.ip + 12, 4);
		memcpy(ip + 16, d.addr.ip + 12, 4);
	} else {
		be32_store(ip, 0x6B900000);
		be16_store(ip + 4, (uint16_t)(8 + len));
		ip[6] = 17;
		ip[7] = 64;
		memcpy(ip + 8, s.addr.ip, 16);
		memcpy(ip + 24, d.addr.ip, 16);
	}
	be16_store(udp, s.port);
	be16_store(udp + 2, d.port);
	be16_store(udp + 4, (uint16_t)(8 + len));
	if (len)
		memmove(udp + 8, data, len);
	bed_fix(frame);
	return (uint32_t)(udp + 8 + len - frame);
}

struct rte_mbuf *bed_mbuf(const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(bed.pool);

	CU_ASSERT_FATAL(m != NULL);
	void *to = rte_pktmbuf_append(m, (uint16_t)len);

	CU_ASSERT_FATAL(to != NULL);
	memcpy(to, frame, len);
	return m;
}

static void see(const uint8_t *frame, uint32_t len, const char *name, struct bed_seen *s)
{
	const uint8_t *ip = frame + 14;
	const bool is4 = ip[0] >> 4 == 4;
	const uint8_t *udp = ip + (is4 ? 20 : 40);

	CHECK(memcmp(frame, their_mac, 6) == 0 && memcmp(frame + 6, our_mac, 6) == 0, name);
	CHECK(be16_load(frame + 12) == (is4 ? 0x0800 : 0x86DD), name);
	s->family = is4 ? 4 : 6;
	if (is4) {
		CHECK(ip[0] == 0x45 && ip[9] == 17 && be16_load(ip + 2) + 14u == len, name);
		CHECK(csum_right(csum_add(0, ip, 20)), name);
		s->src.addr = addr_from4(ip + 12);
		s->dst.addr = addr_from4(ip + 16);
		s->tos = ip[1];
		s->ttl = ip[8];
		s->df = (ip[6] & 0x40) != 0;
	} else {
		CHECK(ip[6] == 17 && be16_load(ip + 4) + 54u == len, name);
		memcpy(s->src.addr.ip, ip + 8, 16);
		memcpy(s->dst.addr.ip, ip + 24, 16);
		s->tos = (uint8_t)(be16_load(ip) >> 4);
		s->ttl = ip[7];
	}
	CHECK(be16_load(udp + 4) == len - (uint32_t)(udp - frame), name);
	s->src.port = be16_load(udp);
	s->dst.port = be16_load(udp + 2);
	s->data = udp + 8;
	s->len = be16_load(udp + 4) - 8u;
	CHECK((is4 && csum_load(udp + 6) == 0) ||
	              csum_udp_right(ip + (is4 ? 12 : 8), ip + (is4 ? 16 : 24), is4 ? 4 : 16, udp,
	                             be16_load(udp + 4)),
	      name);
}

struct bed_seen bed_see(const struct rte_mbuf *m, const char *name)
{
	struct bed_seen s = { 0 };

	CHECK(m->nb_segs == 1 && m->pkt_len == m->data_len, name);
	see(rte_pktmbuf_mtod(m, const uint8_t *), m->pkt_len, name, &s);
	return s;
}

uint32_t bed_join(struct rte_mbuf *const *m, unsigned n, uint8_t *frame, unsigned *fragments)
{
	uint32_t total = 0;

	*fragments = 0;
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *f = rte_pktmbuf_mtod(m[i], const uint8_t *), *ip = f + 14;
		const bool is4 = ip[0] >> 4 == 4, fragment = is4 || ip[6] == 44;
		const uint32_t head = is4 ? 20 : fragment ? 48 : 40;
		const uint32_t at = is4        ? (be16_load(ip + 6) & 0x1FFFu) * 8
		                    : fragment ? be16_load(ip + 42) & 0xFFF8u
		                               : 0;
		const uint32_t len = (is4 ? be16_load(ip + 2) : 40u + be16_load(ip + 4)) - head;

		CU_ASSERT_FATAL(at + len <= 65535 && m[i]->pkt_len == 14 + head + len);
		if (at == 0)
			memcpy(frame, f, is4 ? 34 : 54);
		memcpy(frame + (is4 ? 34 : 54) + at, ip + head, len);
		total = RTE_MAX(total, at + len);
		*fragments += is4 ? n > 1 : fragment;
	}
	uint8_t *ip = frame + 14;

	if (ip[0] >> 4 == 4) {
		be16_store(ip + 2, (uint16_t)(20 + total));
		be16_store(ip + 6, be16_load(ip + 6) & 0x4000);
		ip_sum(ip);
		return 34 + total;
	}
	be16_store(ip + 4, (uint16_t)total);
	ip[6] = 17;
	return 54 + total;
}
