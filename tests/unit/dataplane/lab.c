#include "lab.h"

#include <rte_eal.h>
#include <rte_rcu_qsbr.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/answer.h"
#include "dataplane/leg.h"
#include "dataplane/limit.h"
#include "dataplane/service.h"
#include "dataplane/slow.h"
#include "tests/rig/eal.h"
#include "wire/checksum.h"
#include "wire/bytes.h"

struct lab lab;
static struct adjacency_table adjacency;

/* --- stand-ins --- */

#ifndef LAB_REAL_TX
void worker_send(struct worker *w, uint16_t port, struct rte_mbuf *m)
{
	(void)w;
	if (lab.n_sent < LAB_SENT_MAX)
		lab.sent[lab.n_sent++] = (struct lab_sent){ port, m };
	else
		rte_pktmbuf_free(m);
}

void worker_send_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		worker_send(w, port, m[i]);
}

void worker_flush(struct worker *w)
{
	(void)w;
}
#endif

bool service_give(struct dataplane *dp, struct rte_mbuf *m, enum give why, uint16_t aux)
{
	(void)dp;
	(void)aux;
	lab.given[why]++;
	rte_pktmbuf_free(m);
	return true;
}

unsigned service_turn(struct service *s, unsigned budget)
{
	(void)s;
	(void)budget;
	return 0;
}

unsigned service_fds(struct service *s, int *fds, unsigned cap)
{
	(void)s;
	(void)fds;
	(void)cap;
	return 0;
}

bool service_sleep(struct service *s)
{
	(void)s;
	return true;
}

void service_awake(struct service *s)
{
	(void)s;
}

void answer_request(struct worker *w, const struct port *port, struct rte_mbuf *m,
                    const struct parsed *p)
{
	(void)port;
	(void)p;
	lab.answered++;
	worker_drop(w, m, STAT_BINDING);
}

void leg_stun(struct worker *w, const struct port *port, struct rte_mbuf *m, const struct parsed *p,
              struct row *leg)
{
	(void)leg;
	answer_request(w, port, m, p);
}

void slow_relay(struct worker *w, const struct port *port, const uint8_t *frame, uint32_t len,
                slow_send *send)
{
	(void)port;
	(void)frame;
	(void)len;
	(void)send;
	lab.slow++;
	stat_add(w->stats, STAT_TOO_BIG, 1);
}

struct limit *limit_new(const struct config *cfg)
{
	(void)cfg;
	return malloc(1);
}

void limit_free(struct limit *l)
{
	free(l);
}

/* --- building --- */

static void die(const char *what)
{
	fprintf(stderr, "lab: %s\n", what);
	exit(2);
}

struct addr lab_addr(const char *text)
{
	struct addr a;

	if (!addr_parse(text, &a))
		die(text);
	return a;
}

static void next_hop(unsigned i, uint16_t port, uint16_t mtu, uint64_t state)
{
	adjacency.entry[i] =
		(struct adjacency){ .mac_state = UINT64_C(0x060504030202) | state << 48,
		                    .src_mac = { 2, 0, 0, 0, 0, 1 },
		                    .port = port,
		                    .mtu = mtu,
		                    .kind = ADJACENCY_WIRE };
}

static void make_config(struct config *c)
{
	c->n_ports = 2;
	prefix_parse("192.0.2.200", &c->ports[0].addresses[0]);
	c->ports[0].n_addresses = 1;
	c->listeners[0] =
		(struct config_listener){ TRANSPORT_UDP, { lab_addr("198.51.100.1"), 3478 } };
	c->listeners[1] =
		(struct config_listener){ TRANSPORT_UDP, { lab_addr("2001:db8::1"), 3478 } };
	c->n_listeners = 2;
	c->relays[0].addr = c->relays[0].advertise = lab_addr("198.51.100.1");
	c->relays[1].addr = c->relays[1].advertise = lab_addr("2001:db8::1");
	c->relays[2].addr = lab_addr("203.0.113.200");
	c->relays[2].advertise = lab_addr("203.0.113.250");
	c->n_relays = 3;
	c->relay_port_min = 49152;
	c->relay_port_max = 65535;
	c->workers = 2;
	c->service_core = -1;
	c->fragment_mtu = 1280;
	c->ttl_decrement = true;
}

void lab_start(uint32_t n_rows, uint32_t n_rows_wide, unsigned mbufs)
{
	const struct region_want want[] = {
		{ SECTION_COUNTERS, 0, sizeof(struct stats) },
		{ SECTION_COUNTERS, 1, sizeof(struct stats) },
		{ SECTION_ROWS, 0, (uint64_t)n_rows * sizeof(struct row) },
		{ SECTION_ROWS_WIDE, 0, (uint64_t)n_rows_wide * sizeof(struct row_wide) },
		{ SECTION_FOREIGN, 0, (uint64_t)n_rows * sizeof(struct row_counts) },
		{ SECTION_FOREIGN, 1, (uint64_t)n_rows_wide * sizeof(struct row_counts) },
	};
	const uint64_t secret[2] = { UINT64_C(0x243F6A8885A308D3), UINT64_C(0x13198A2E03707344) };
	struct dataplane *const dp = &lab.dp;

	eal_rig_start("lab", 512, EAL_RIG_ANY_CORE, 0);
	make_config(&lab.cfg);
	dp->cfg = &lab.cfg;
	if (region_create(&dp->region, "lab", 1, want, RTE_DIM(want), false, -1) != 0)
		die("region");
	dp->local = local_build(&lab.cfg, NULL);
	dp->adjacency = &adjacency;
	next_hop(LAB_WIRE, 0, 1500, NEIGHBOUR_RESOLVED);
	next_hop(LAB_OTHER, 1, 1500, NEIGHBOUR_RESOLVED);
	next_hop(LAB_SMALL, 0, 600, NEIGHBOUR_RESOLVED);
	next_hop(LAB_DEAD, 0, 1500, NEIGHBOUR_RESOLVING);
	const size_t octets = rte_rcu_qsbr_get_memsize(4);

	dp->qsbr = aligned_alloc(64, (octets + 63) & ~(size_t)63);
	if (!dp->qsbr || !dp->local || rte_rcu_qsbr_init(dp->qsbr, 4) != 0)
		die("tables");
	dp->flows = flow_create(&dp->region, n_rows, n_rows_wide, 3, secret, dp->qsbr);
	if (!dp->flows)
		die("flow table");
	flow_use_local(dp->flows, dp->local);
	if (mbufs) {
		lab.pool = rte_pktmbuf_pool_create("lab", mbufs, 0, 0, 2176, SOCKET_ID_ANY);
		if (!lab.pool)
			die("mbufs");
	}
	dp->ports = lab.port;
	dp->n_ports = 2;
	dp->workers = lab.worker;
	dp->n_workers = 2;
	for (unsigned i = 0; i < 2; i++) {
		lab.port[i] = (struct port){ .index = (uint16_t)i,
			                     .mtu = 1500,
			                     .mac.addr_bytes = { 2, 0, 0, 0, 0, 1 },
			                     .software = true,
			                     .pool = lab.pool };
		if (worker_init(&lab.worker[i], dp, i) != 0)
			die("worker");
		lab.worker[i].now_s = LAB_NOW_S;
	}
}

void lab_stop(void)
{
	lab_clear();
	for (unsigned i = 0; i < 2; i++)
		worker_fini(&lab.worker[i]);
	flow_destroy(lab.dp.flows);
	local_free(lab.dp.local);
	free(lab.dp.qsbr);
	region_leave(&lab.dp.region);
	rte_mempool_free(lab.pool);
	rte_eal_cleanup();
}

void lab_clear(void)
{
	for (unsigned i = 0; i < lab.n_sent; i++)
		rte_pktmbuf_free(lab.sent[i].m);
	lab.n_sent = lab.answered = lab.slow = 0;
	memset(lab.given, 0, sizeof(lab.given));
	for (unsigned i = 0; i < 2; i++)
		memset(lab.worker[i].stats, 0, sizeof(struct stats));
}

/* --- frames --- */

struct rte_mbuf *lab_mbuf(const void *frame, unsigned len)
{
	struct rte_mbuf *const m = rte_pktmbuf_alloc(lab.pool);

	if (!m || len > rte_pktmbuf_tailroom(m))
		die("mbuf");
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	return m;
}

unsigned lab_frame(uint8_t *frame, const void *ip, unsigned len)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 9, 9, 9, 9, 9 };

	memcpy(frame, macs, 12);
	memcpy(frame + 14, ip, len);
	be16_store(frame + 12, *(const uint8_t *)ip >> 4 == 6 ? 0x86DD : 0x0800);
	return 14 + len;
}

unsigned lab_udp(uint8_t *frame, const char *src, uint16_t sport, const char *dst, uint16_t dport,
                 const void *data, unsigned len)
{
	const struct addr from = lab_addr(src), to = lab_addr(dst);
	const bool six = !addr_is4(&from);
	uint8_t ip[2100] = { 0 };
	const unsigned head = six ? 40 : 20;

	if (six) {
		be32_store(ip, 0x6B8ABCDE); /* traffic class 0xB8, a flow label */
		be16_store(ip + 4, (uint16_t)(8 + len));
		ip[6] = 17;
		ip[7] = 64;
		memcpy(ip + 8, from.ip, 16);
		memcpy(ip + 24, to.ip, 16);
	} else {
		be32_store(ip, 0x45B80000 | (28 + len));
		be32_store(ip + 4, 0x12344000);
		ip[8] = 64;
		ip[9] = 17;
		memcpy(ip + 12, from.ip + 12, 4);
		memcpy(ip + 16, to.ip + 12, 4);
	}
	be16_store(ip + head, sport);
	be16_store(ip + head + 2, dport);
	be16_store(ip + head + 4, (uint16_t)(8 + len));
	if (data)
		memcpy(ip + head + 8, data, len);
	ip[head + 6] = 1;
	const unsigned n = lab_frame(frame, ip, head + 8 + len);

	lab_resum(frame);
	return n;
}

void lab_resum(uint8_t *frame)
{
	uint8_t *const ip = frame + 14;
	const bool six = ip[0] >> 4 == 6;
	const unsigned head = six ? 40 : (ip[0] & 15u) * 4, at = six ? 8 : 12, n = six ? 16 : 4;
	uint8_t *const udp = ip + head;

	if (!six) {
		csum_store(ip + 10, 0);
		csum_store(ip + 10, csum_finish(csum_add(0, ip, head)));
	}
	if (csum_load(udp + 6) == 0)
		return;
	csum_store(udp + 6, 0);
	csum_store(udp + 6, csum_udp(ip + at, ip + at + n, n, udp, be16_load(udp + 4)));
}

bool lab_sums_right(const uint8_t *frame, unsigned len)
{
	const uint8_t *const ip = frame + 14;
	const bool six = ip[0] >> 4 == 6;
	const unsigned head = six ? 40 : 20, at = six ? 8 : 12, n = six ? 16 : 4;
	const uint8_t *const udp = ip + head;

	if (len < 14 + head + 8 || 14 + head + be16_load(udp + 4) != len)
		return false;
	if (!six && !csum_right(csum_add(0, ip, 20)))
		return false;
	if (csum_load(udp + 6) == 0)
		return !six;
	return csum_udp_right(ip + at, ip + at + n, n, udp, be16_load(udp + 4));
}

struct cmd_flow lab_flow(uint8_t kind, const char *client, uint16_t client_port, const char *peer,
                         uint16_t peer_port, uint16_t channel, uint16_t relayed_port)
{
	struct cmd_flow c = { .kind = kind,
		              .client_port = client_port,
		              .peer_port = peer_port,
		              .channel = channel,
		              .relayed_port = relayed_port,
		              .relay = kind == FLOW_ALLOCATION6,
		              .deadline_s = LAB_NOW_S + 600,
		              .deadline_in_s = LAB_NOW_S + 600,
		              .tag = 1 };
	const struct addr from = lab_addr(client);

	c.listener = !addr_is4(&from);
	memcpy(c.client_ip, from.ip, 16);
	if (peer) {
		const struct addr to = lab_addr(peer);

		memcpy(c.peer_ip, to.ip, 16);
	}
	return c;
}

/* --- counters --- */

#define LAB_ID(id, name, help) STAT_##id,
static const enum stat_id outcomes[] = { STATS_OUTCOME(LAB_ID) STATS_DROP(LAB_ID) };
#undef LAB_ID

uint64_t lab_outcomes(unsigned worker)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < RTE_DIM(outcomes); i++)
		sum += stat_read(lab.worker[worker].stats, outcomes[i]);
	return sum;
}

uint64_t lab_count(unsigned worker, enum stat_id id)
{
	return stat_read(lab.worker[worker].stats, id);
}

enum stat_id lab_one(const void *frame, unsigned len)
{
	struct rte_mbuf *m = lab_mbuf(frame, len);
	enum stat_id found = STAT_COUNT;

	lab_clear();
	worker_burst(&lab.worker[0], &lab.port[0], &m, 1);
	if (lab_outcomes(0) != 1)
		return STAT_COUNT;
	for (unsigned i = 0; i < RTE_DIM(outcomes); i++)
		if (stat_read(lab.worker[0].stats, outcomes[i]) == 1)
			found = outcomes[i];
	return found;
}
