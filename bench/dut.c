#include "bench/dut.h"

#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/adjacency.h"
#include "dataplane/answer.h"
#include "dataplane/flow.h"
#include "dataplane/local.h"
#include "dataplane/worker.h"
#include "wire/bytes.h"

enum {
	PORTS_PER_RELAY = 64512, /* from 1024 */
	CLIENTS_PER_ADDRESS = 16,
	LISTEN = 3478,
	PEER_PORT = 7000,
	CHANNEL = 0x4000,
	HOP = 1,
};

struct dut {
	struct config cfg;
	struct dataplane dp;
	struct port port;
	struct worker worker;
	struct adjacency_table *adjacency;
};

const uint8_t dut_macs[12] = { 2, 0, 0, 0, 0, 1, 2, 2, 3, 4, 5, 6 };

static void die(const char *what)
{
	fprintf(stderr, "bench: relay: %s\n", what);
	exit(1);
}

static struct endpoint four(uint32_t ip, uint16_t port)
{
	uint8_t octets[4];

	be32_store(octets, ip);
	return (struct endpoint){ addr_from4(octets), port };
}

struct endpoint dut_client(uint32_t i)
{
	return four(0x0A000000 + i / CLIENTS_PER_ADDRESS,
	            (uint16_t)(2000 + i % CLIENTS_PER_ADDRESS));
}

struct endpoint dut_peer(uint32_t i)
{
	return four(0xC6120000 + (i & 0x1FFFF), PEER_PORT);
}

struct endpoint dut_relayed(uint32_t i)
{
	return four(0xCB007100 + i / PORTS_PER_RELAY, (uint16_t)(1024 + i % PORTS_PER_RELAY));
}

struct endpoint dut_listener(void)
{
	return four(0xC6336401, LISTEN);
}

uint16_t dut_channel(void)
{
	return CHANNEL;
}

static void make_config(struct dut *d, unsigned relays)
{
	struct config *const c = &d->cfg;

	c->n_ports = 1;
	c->listeners[0] = (struct config_listener){ TRANSPORT_UDP, dut_listener() };
	c->n_listeners = 1;
	for (unsigned i = 0; i < relays; i++)
		c->relays[i].addr = c->relays[i].advertise = dut_relayed(i * PORTS_PER_RELAY).addr;
	c->n_relays = relays;
	c->relay_port_min = 49152;
	c->relay_port_max = 65535;
	c->workers = 1;
	c->cores[0] = -1;
	c->service_core = -1;
	c->fragment_mtu = 1500;
	c->limit_binding_per_prefix = 10000;
	c->ttl_decrement = true;
	c->idle = IDLE_ADAPTIVE;
}

static struct cmd_flow flow(uint8_t kind, uint32_t i)
{
	struct cmd_flow c = { .kind = kind,
		              .client_port = dut_client(i).port,
		              .peer_port = PEER_PORT,
		              .channel = CHANNEL,
		              .relay = (uint16_t)(i / PORTS_PER_RELAY),
		              .relayed_port = dut_relayed(i).port,
		              .deadline_s = UINT32_MAX,
		              .deadline_in_s = UINT32_MAX };
	const struct addr client = dut_client(i).addr, peer = dut_peer(i).addr;

	memcpy(c.client_ip, client.ip, 16);
	memcpy(c.peer_ip, peer.ip, 16);
	return c;
}

static void set(struct dut *d, uint8_t kind, uint32_t i)
{
	const struct cmd_flow c = flow(kind, i);
	uint32_t row;

	if (flow_set(d->dp.flows, &c, HOP, false, false, &row) != FLOW_OK)
		die("the flow table is full");
}

void dut_change(struct dut *d, uint32_t i)
{
	const struct cmd_flow c = flow(FLOW_CHANNEL, i);
	struct flow_final finals[4];
	uint16_t adjacency;

	flow_delete(d->dp.flows, &c, 0, &adjacency);
	set(d, FLOW_CHANNEL, i);
	flow_reclaim(d->dp.flows, finals, 4);
}

static void make_tables(struct dut *d, uint32_t flows, unsigned relays)
{
	const uint64_t secret[2] = { UINT64_C(0x243F6A8885A308D3), UINT64_C(0x13198A2E03707344) };
	const uint32_t rows = 2 * flows + 1024;
	const struct region_want want[] = {
		{ SECTION_COUNTERS, 0, sizeof(struct stats) },
		{ SECTION_ROWS, 0, (uint64_t)rows * sizeof(struct row) },
		{ SECTION_ROWS_WIDE, 0, sizeof(struct row_wide) },
		{ SECTION_FOREIGN, 0, (uint64_t)rows * sizeof(struct row_counts) },
		{ SECTION_FOREIGN, 1, sizeof(struct row_counts) },
	};
	struct dataplane *const dp = &d->dp;

	if (region_create(&dp->region, "bench", 1, want, RTE_DIM(want), true, -1) != 0)
		die("no room for the rows");
	dp->local = local_build(&d->cfg, NULL);
	d->adjacency = calloc(1, sizeof(*d->adjacency));
	dp->qsbr = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(1) + 63) & ~(size_t)63);
	if (!dp->local || !d->adjacency || !dp->qsbr)
		die("memory");
	dp->adjacency = d->adjacency;
	d->adjacency->entry[HOP] = (struct adjacency){
		.mac_state = (uint64_t)NEIGHBOUR_RESOLVED << 48 | 0x060504030202,
		.src_mac = { 2, 0, 0, 0, 0, 1 },
		.mtu = 1500,
	};
	rte_rcu_qsbr_init(dp->qsbr, 1);
	dp->flows = flow_create(&dp->region, rows, 1, relays, secret, dp->qsbr);
	if (!dp->flows)
		die("tables");
	flow_use_local(dp->flows, dp->local);
}

struct dut *dut_new(uint32_t flows, uint16_t ethdev, void *mbuf_pool)
{
	struct dut *const d = aligned_alloc(64, (sizeof(*d) + 63) & ~(size_t)63);
	const unsigned relays = (flows + PORTS_PER_RELAY - 1) / PORTS_PER_RELAY;

	if (!d)
		die("memory");
	memset(d, 0, sizeof(*d));
	make_config(d, relays);
	d->dp.cfg = &d->cfg;
	make_tables(d, flows, relays);
	d->port = (struct port){ .ethdev = ethdev,
		                 .n_queues = 1,
		                 .mtu = 1500,
		                 .mac.addr_bytes = { 2, 0, 0, 0, 0, 1 },
		                 .tap_fd = -1,
		                 .rx_fd = { -1 },
		                 .multicast_fd = -1,
		                 .pool = mbuf_pool };
	d->dp.ports = &d->port;
	d->dp.n_ports = 1;
	d->dp.workers = &d->worker;
	d->dp.n_workers = 1;
	for (uint32_t i = 0; i < flows; i++) {
		set(d, FLOW_ALLOCATION4, i);
		set(d, FLOW_CHANNEL, i);
	}
	return d;
}

void dut_free(struct dut *d)
{
	flow_destroy(d->dp.flows);
	local_free(d->dp.local);
	region_leave(&d->dp.region);
	free(d->dp.qsbr);
	free(d->adjacency);
	free(d);
}

void dut_start(struct dut *d)
{
	/* Rings of a worker have names: of several relays only the one that runs has any. */
	if (worker_init(&d->worker, &d->dp, 0) != 0)
		die("worker");
	d->worker.answer = answer_new(&d->dp);
	if (!d->worker.answer)
		die("answers");
	atomic_store(&d->dp.stop, false);
}

void dut_run(struct dut *d)
{
	worker_run(&d->worker);
}

void dut_spin(struct dut *d, bool spin)
{
	d->cfg.idle = spin ? IDLE_POLL : IDLE_ADAPTIVE;
}

void dut_stop(struct dut *d)
{
	atomic_store(&d->dp.stop, true);
}

void dut_end(struct dut *d)
{
	answer_free(d->worker.answer);
	worker_fini(&d->worker);
}
