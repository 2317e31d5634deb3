#include "bench/pump.h"

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/adjacency.h"
#include "dataplane/eal.h"
#include "dataplane/flow.h"
#include "dataplane/local.h"
#include "wire/attr.h"
#include "wire/stun_build.h"
#include "wire/checksum.h"

enum {
	ETH = 14,
	FRAME_MAX = 256,         /* headers of any path */
	DRAWN = 1 << 20,         /* flows drawn in advance */
	PORTS_PER_RELAY = 64512, /* from 1024 */
	LISTEN = 3478,
	PEER_PORT = 7000,
	OTHER_PORT = 7001, /* of the same peer, not bound: Data */
	CHANNEL = 0x4000,
	CLIENTS_PER_ADDRESS = 16,
	HOP = 1,
};

const char *const pump_path_name[PUMP_PATHS] = { "cd2udp", "udp2cd", "send2udp", "udp2data",
	                                         "hairpin" };
const char *const pump_family_name[PUMP_FAMILIES] = { "v4", "v6", "v4v6", "v6v4" };

struct pump {
	enum pump_family family;
	enum pump_path path;
	unsigned flows, relays, payload;
	bool client6, peer6, in6, turned;
	struct config cfg;
	struct dataplane dp;
	struct port port;
	struct worker worker;
	struct adjacency_table *adjacency;
	struct textbook *textbook;
	struct rte_mempool *pool;
	struct rte_mbuf *m[PUMP_MBUFS];
	unsigned relayed;
	/* The template of a frame, and the flows it is made for, in turn. */
	uint8_t frame[FRAME_MAX];
	unsigned head, len, peer_at;
	uint64_t ip_sum;
	uint32_t *drawn;
	unsigned next;
};

/* worker_send() of this program ends here: the frame stays where it is, for the next round. */
static struct pump *pumping;

void worker_send(struct worker *w, uint16_t port, struct rte_mbuf *m)
{
	(void)w;
	(void)port;
	(void)m;
	pumping->relayed++;
}

void worker_send_burst(struct worker *w, uint16_t port, struct rte_mbuf **m, unsigned n)
{
	(void)w;
	(void)port;
	(void)m;
	pumping->relayed += n;
}

void worker_flush(struct worker *w)
{
	(void)w;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_r0: %s\n", what);
	exit(1);
}

/* --- who is who, by number of flow --- */

static struct addr six(uint32_t net, uint32_t i)
{
	struct addr a = { .ip = { 0x20, 0x01, 0x0D, 0xB8 } };

	be32_store(a.ip + 4, net);
	be32_store(a.ip + 12, i);
	return a;
}

static struct addr four(uint32_t ip)
{
	uint8_t octets[4];

	be32_store(octets, ip);
	return addr_from4(octets);
}

static inline uint32_t client_ip4(unsigned i)
{
	return 0x0A000000 + i / CLIENTS_PER_ADDRESS;
}

static inline uint16_t client_port(unsigned i)
{
	return (uint16_t)(2000 + i % CLIENTS_PER_ADDRESS);
}

static inline uint32_t peer_ip4(unsigned i)
{
	return 0xC6120000 + (i & 0x1FFFF);
}

static inline uint16_t relay_of(unsigned i)
{
	return (uint16_t)(i / PORTS_PER_RELAY);
}

static inline uint16_t relayed_port(unsigned i)
{
	return (uint16_t)(1024 + i % PORTS_PER_RELAY);
}

static struct addr client_of(const struct pump *p, unsigned i)
{
	return p->client6 ? six(0xC0000, i) : four(client_ip4(i));
}

static struct addr peer_of(const struct pump *p, unsigned i)
{
	return p->peer6 ? six(0x70000, i) : four(peer_ip4(i));
}

static struct addr relay_addr(const struct pump *p, unsigned relay)
{
	return p->peer6 ? six(0x10000, relay) : four(0xCB007100 + relay);
}

static struct addr listener_addr(const struct pump *p)
{
	return p->client6 ? six(0, 1) : four(0xC6336401);
}

/* --- building --- */

static void make_config(struct pump *p)
{
	struct config *const c = &p->cfg;

	c->n_ports = 1;
	c->listeners[0] = (struct config_listener){ TRANSPORT_UDP, { listener_addr(p), LISTEN } };
	c->n_listeners = 1;
	for (unsigned i = 0; i < p->relays; i++)
		c->relays[i].addr = c->relays[i].advertise = relay_addr(p, i);
	c->n_relays = p->relays;
	c->relay_port_min = 49152;
	c->relay_port_max = 65535;
	c->workers = 1;
	c->service_core = -1;
	c->fragment_mtu = 1500;
	c->ttl_decrement = true;
}

static struct cmd_flow flow(const struct pump *p, uint8_t kind, unsigned i)
{
	struct cmd_flow c = { .kind = kind,
		              .client_port = client_port(i),
		              .peer_port = PEER_PORT,
		              .channel = CHANNEL,
		              .relay = relay_of(i),
		              .relayed_port = relayed_port(i),
		              .deadline_s = UINT32_MAX,
		              .deadline_in_s = UINT32_MAX };
	const struct addr client = client_of(p, i), peer = peer_of(p, i);

	memcpy(c.client_ip, client.ip, 16);
	memcpy(c.peer_ip, peer.ip, 16);
	if (p->turned) {
		const struct addr relay = relay_addr(p, relay_of(i ^ 1));

		memcpy(c.peer_ip, relay.ip, 16);
		c.peer_port = relayed_port(i ^ 1);
	}
	return c;
}

static void add_flow(struct pump *p, unsigned i)
{
	const uint8_t kinds[] = { p->peer6 ? FLOW_ALLOCATION6 : FLOW_ALLOCATION4, FLOW_CHANNEL,
		                  FLOW_PERMISSION };
	uint32_t row;

	for (unsigned k = 0; k < RTE_DIM(kinds); k++) {
		const struct cmd_flow c = flow(p, kinds[k], i);

		if (flow_set(p->dp.flows, &c, HOP, p->turned && kinds[k] != kinds[0], false,
		             &row) != FLOW_OK)
			die("the flow table is full");
	}
}

/* One entry for each direction and wrap, as a relay of its kind would have it. */
static void add_textbook(struct pump *p, unsigned i)
{
	const struct addr client = client_of(p, i), peer = peer_of(p, i);
	const struct addr relay = relay_addr(p, relay_of(i)), listener = listener_addr(p);
	struct textbook_key key = { .port = rte_cpu_to_be_16(client_port(i)),
		                    .local_port = rte_cpu_to_be_16(LISTEN) };
	struct textbook_flow out = { .sport = rte_cpu_to_be_16(relayed_port(i)),
		                     .dport = rte_cpu_to_be_16(PEER_PORT) };

	memcpy(key.ip, client.ip, 16);
	memcpy(out.src, relay.ip, 16);
	memcpy(out.dst, peer.ip, 16);
	if (p->path == CD2UDP || p->path == HAIRPIN)
		key.channel = rte_cpu_to_be_16(CHANNEL);
	if (p->path == UDP2CD || p->path == UDP2DATA) {
		memcpy(key.ip, peer.ip, 16);
		key.port = rte_cpu_to_be_16(p->path == UDP2CD ? PEER_PORT : OTHER_PORT);
		key.local_port = rte_cpu_to_be_16(relayed_port(i));
		memcpy(out.src, listener.ip, 16);
		memcpy(out.dst, client.ip, 16);
		out.sport = rte_cpu_to_be_16(LISTEN);
		out.dport = rte_cpu_to_be_16(client_port(i));
		out.channel = rte_cpu_to_be_16(CHANNEL);
	}
	if (p->path == HAIRPIN) {
		const struct addr other = client_of(p, i ^ 1);

		memcpy(out.src, listener.ip, 16);
		memcpy(out.dst, other.ip, 16);
		out.sport = rte_cpu_to_be_16(LISTEN);
		out.dport = rte_cpu_to_be_16(client_port(i ^ 1));
		out.channel = rte_cpu_to_be_16(CHANNEL);
	}
	if (!textbook_add(p->textbook, &key, &out))
		die("the textbook's table is full");
}

struct pump *pump_new(enum pump_family family, unsigned flows, bool turned, bool textbook)
{
	struct pump *const p = aligned_alloc(64, (sizeof(*p) + 63) & ~(size_t)63);
	const uint64_t secret[2] = { UINT64_C(0x243F6A8885A308D3), UINT64_C(0x13198A2E03707344) };
	uint64_t seed = 12345;

	if (!p)
		die("memory");
	memset(p, 0, sizeof(*p));
	p->family = family;
	p->flows = flows;
	p->turned = turned;
	p->client6 = family == V6 || family == V6V4;
	p->peer6 = family == V6 || family == V4V6;
	p->relays = (flows + PORTS_PER_RELAY - 1) / PORTS_PER_RELAY;
	make_config(p);
	const uint32_t wide = p->peer6 ? 2 * flows : 1;
	const uint32_t rows = p->peer6 ? flows : 3 * flows;
	const struct region_want want[] = {
		{ SECTION_COUNTERS, 0, sizeof(struct stats) },
		{ SECTION_ROWS, 0, (uint64_t)rows * sizeof(struct row) },
		{ SECTION_ROWS_WIDE, 0, (uint64_t)wide * sizeof(struct row_wide) },
		{ SECTION_FOREIGN, 0, (uint64_t)rows * sizeof(struct row_counts) },
		{ SECTION_FOREIGN, 1, (uint64_t)wide * sizeof(struct row_counts) },
	};
	struct dataplane *const dp = &p->dp;

	dp->cfg = &p->cfg;
	if (region_create(&dp->region, "bench", 1, want, RTE_DIM(want), true, -1) != 0)
		die("no room for the rows");
	dp->local = local_build(&p->cfg, NULL);
	p->adjacency = calloc(1, sizeof(*p->adjacency));
	dp->adjacency = p->adjacency;
	p->adjacency->entry[HOP] = (struct adjacency){
		.mac_state = (uint64_t)NEIGHBOUR_RESOLVED << 48 | 0x060504030202,
		.src_mac = { 2, 0, 0, 0, 0, 1 },
		.mtu = 1500,
	};
	dp->qsbr = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(1) + 63) & ~(size_t)63);
	rte_rcu_qsbr_init(dp->qsbr, 1);
	dp->flows = flow_create(&dp->region, rows, wide, p->relays, secret, dp->qsbr);
	if (!dp->flows || !dp->local)
		die("tables");
	flow_use_local(dp->flows, dp->local);
	p->port = (struct port){ .mtu = 1500, .mac.addr_bytes = { 2, 0, 0, 0, 0, 1 } };
	dp->ports = &p->port;
	dp->workers = &p->worker;
	dp->n_workers = 1;
	if (worker_init(&p->worker, dp, 0) != 0)
		die("worker");
	p->pool = rte_pktmbuf_pool_create("pump", PUMP_MBUFS + 1, 0, EAL_PRIVATE, 2176,
	                                  SOCKET_ID_ANY);
	if (!p->pool || rte_pktmbuf_alloc_bulk(p->pool, p->m, PUMP_MBUFS) != 0)
		die("mbufs");
	for (unsigned i = 0; i < flows; i++)
		add_flow(p, i);
	p->drawn = malloc(DRAWN * sizeof(*p->drawn));
	for (unsigned i = 0; p->drawn && i < DRAWN; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		p->drawn[i] = (uint32_t)((seed >> 32) * flows >> 32);
	}
	p->textbook = textbook ? textbook_new(flows) : NULL;
	if (textbook && !p->textbook)
		die("the textbook's table");
	pumping = p;
	return p;
}

void pump_free(struct pump *p)
{
	rte_pktmbuf_free_bulk(p->m, PUMP_MBUFS);
	rte_mempool_free(p->pool);
	worker_fini(&p->worker);
	flow_destroy(p->dp.flows);
	local_free(p->dp.local);
	region_leave(&p->dp.region);
	if (p->textbook)
		textbook_free(p->textbook);
	free(p->dp.qsbr);
	free(p->adjacency);
	free(p->drawn);
	free(p);
}

/* --- the frame of a path --- */

static unsigned put_payload_head(struct pump *p, uint8_t *out)
{
	const struct endpoint peer = { peer_of(p, 0), PEER_PORT };
	static const uint8_t txid[12] = "bench bench";
	struct stun_builder b;

	if (p->path == UDP2CD || p->path == UDP2DATA)
		return 0;
	if (p->path == CD2UDP || p->path == HAIRPIN) {
		channel_put(out, CHANNEL, (uint16_t)p->payload);
		return CHANNEL_HDR_LEN;
	}
	stun_begin(&b, out, FRAME_MAX, stun_type(TURN_SEND, STUN_INDICATION), txid);
	stun_put_xor_addr(&b, TURN_XOR_PEER_ADDRESS, &peer);
	p->peer_at = (unsigned)(b.len - (p->peer6 ? 16 : 4));
	stun_put(&b, TURN_DATA_ATTR, NULL, 0);
	be16_store(out + 2, (uint16_t)(b.len - STUN_HDR_LEN + pad4(p->payload)));
	be16_store(out + b.len - 2, (uint16_t)p->payload);
	return (unsigned)b.len;
}

static void make_template(struct pump *p)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 9, 9, 9, 9, 9 };
	const bool inward = p->path == UDP2CD || p->path == UDP2DATA;
	uint8_t *const ip = p->frame + ETH;

	p->in6 = inward ? p->peer6 : p->client6;
	const unsigned ip_len = p->in6 ? 40 : 20;
	uint8_t *const udp = ip + ip_len;
	const unsigned wrap = put_payload_head(p, udp + 8);
	const uint16_t udp_len = (uint16_t)(8 + wrap + pad4(p->payload));
	const struct addr src = inward ? peer_of(p, 0) : client_of(p, 0);
	const struct addr dst = inward ? relay_addr(p, 0) : listener_addr(p);

	memcpy(p->frame, macs, 12);
	be16_store(p->frame + 12, p->in6 ? 0x86DD : 0x0800);
	p->head = ETH + ip_len + 8 + wrap;
	p->len = ETH + ip_len + udp_len;
	p->peer_at += ETH + ip_len + 8;
	be16_store(udp, inward ? (p->path == UDP2CD ? PEER_PORT : OTHER_PORT) : client_port(0));
	be16_store(udp + 2, inward ? relayed_port(0) : LISTEN);
	be16_store(udp + 4, udp_len);
	be16_store(udp + 6, 0x1234); /* nobody looks whether it is right */
	if (p->in6) {
		be32_store(ip, 6u << 28);
		be32_store(ip + 4, (uint32_t)udp_len << 16 | 17u << 8 | 64);
		memcpy(ip + 8, src.ip, 16);
		memcpy(ip + 24, dst.ip, 16);
		return;
	}
	be32_store(ip, 0x45000000 | (20u + udp_len));
	be32_store(ip + 4, 0x00004000);
	be32_store(ip + 8, 64u << 24 | 17u << 16);
	memcpy(ip + 12, src.ip + 12, 4);
	memcpy(ip + 16, dst.ip + 12, 4);
	/* Of what does not change from flow to flow. */
	p->ip_sum = csum_add(0, ip, 12);
}

void pump_load(struct pump *p, enum pump_path path, unsigned payload)
{
	p->path = path;
	p->payload = payload;
	p->peer_at = 0;
	make_template(p);
	for (unsigned i = 0; i < PUMP_MBUFS; i++)
		memset((uint8_t *)p->m[i]->buf_addr + RTE_PKTMBUF_HEADROOM, 0x5A, 1600);
	if (!p->textbook)
		return;
	textbook_free(p->textbook);
	p->textbook = textbook_new(p->flows);
	if (!p->textbook)
		die("the textbook's table");
	for (unsigned i = 0; i < p->flows; i++)
		add_textbook(p, i);
}

/* --- pumping --- */

/* The frame for flow i. Both sides of a comparison pay for this, and it is subtracted. */
static inline void make_frame(struct pump *p, struct rte_mbuf *m, unsigned i)
{
	uint8_t *const f = (uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM;
	uint8_t *const ip = f + ETH;
	const bool inward = p->path == UDP2CD || p->path == UDP2DATA;

	memcpy(f, p->frame, p->head);
	uint8_t *const udp = ip + (p->in6 ? 40 : 20);

	if (inward)
		be16_store(udp + 2, relayed_port(i));
	else
		be16_store(udp, client_port(i));
	if (p->in6) {
		be32_store(ip + 20, i);
		if (inward)
			be32_store(ip + 36, relay_of(i));
	} else {
		be32_store(ip + 12, inward ? peer_ip4(i) : client_ip4(i));
		if (inward)
			be32_store(ip + 16, 0xCB007100 + relay_of(i));
		csum_store(ip + 10, csum_finish(csum_add(p->ip_sum, ip + 12, 8)));
	}
	if (p->path == SEND2UDP) {
		if (p->peer6) /* xored with the end of the transaction id */
			be32_store(f + p->peer_at + 12, i ^ be32_load(p->frame + p->peer_at + 12));
		else
			be32_store(f + p->peer_at, peer_ip4(i) ^ STUN_COOKIE);
	}
	m->data_off = RTE_PKTMBUF_HEADROOM;
	m->data_len = (uint16_t)p->len;
	m->pkt_len = p->len;
	m->ol_flags = 0;
}

unsigned pump_round(struct pump *p, enum pump_run run)
{
	static const enum textbook_wrap in[PUMP_PATHS] = { TEXTBOOK_CHANNEL, TEXTBOOK_PLAIN,
		                                           TEXTBOOK_STUN, TEXTBOOK_PLAIN,
		                                           TEXTBOOK_CHANNEL };
	static const enum textbook_wrap out[PUMP_PATHS] = { TEXTBOOK_PLAIN, TEXTBOOK_CHANNEL,
		                                            TEXTBOOK_PLAIN, TEXTBOOK_STUN,
		                                            TEXTBOOK_CHANNEL };
	unsigned found = 0;

	for (unsigned i = 0; i < PUMP_MBUFS; i++)
		make_frame(p, p->m[i], p->drawn[(p->next + i) % DRAWN]);
	p->next = (p->next + PUMP_MBUFS) % DRAWN;
	if (run == PUMP_REST)
		return PUMP_MBUFS;
	p->relayed = 0;
	for (unsigned i = 0; i < PUMP_MBUFS; i += WORKER_BURST) {
		if (run == PUMP_OURS)
			worker_burst(&p->worker, &p->port, p->m + i, WORKER_BURST);
		else
			found += textbook_burst(p->textbook, p->m + i, WORKER_BURST, in[p->path],
			                        out[p->path]);
	}
	return run == PUMP_OURS ? p->relayed : found;
}

const struct rte_mbuf *pump_frame(const struct pump *p)
{
	return p->m[0];
}
