#include "control/ctl/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *endpoint(const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];

	return json_string(endpoint_print(e, text));
}

static json_t *address(const uint8_t ip[16])
{
	struct addr a;
	char text[ADDR_TEXT_MAX];

	memcpy(a.ip, ip, sizeof(a.ip));
	return json_string(addr_print(&a, text));
}

static const char *transport_name(unsigned transport)
{
	static const char *const names[] = {
		[TRANSPORT_UDP] = "udp",
		[TRANSPORT_TCP] = "tcp",
		[TRANSPORT_TLS] = "tls",
		[TRANSPORT_DTLS] = "dtls",
	};

	return transport >= TRANSPORT_UDP && transport <= TRANSPORT_DTLS ? names[transport] : "?";
}

static json_t *amount(uint64_t packets, uint64_t octets)
{
	return json_pack("{s:o, s:o}", "packets", number(packets), "octets", number(octets));
}

json_t *reply_allocation(const struct turn_info *info)
{
	json_t *const relayed = json_array();

	for (unsigned i = 0; i < 2; i++)
		if (info->relayed[i].port)
			json_array_append_new(relayed, endpoint(&info->relayed[i]));
	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:s, s:i, s:o, s:i, s:i, s:o, s:o}", "id",
	                 number(info->id), "user", info->user, "realm", info->realm, "client",
	                 endpoint(&info->client), "server", endpoint(&info->server), "relayed",
	                 relayed, "transport", transport_name(info->transport), "expires_s",
	                 (int)info->expires_s, "age_s", number(info->age_s), "permissions",
	                 (int)info->permissions, "channels", (int)info->channels, "from_client",
	                 amount(info->from_client_packets, info->from_client_octets), "to_client",
	                 amount(info->to_client_packets, info->to_client_octets));
}

json_t *reply_peers(struct control *c, uint64_t id)
{
	json_t *const peers = json_array();
	struct turn_peer p;

	for (unsigned i = 0; turn_peer(c->turn, id, i, &p); i++) {
		json_t *const row = json_object();

		json_object_set_new(row, "kind", json_string(p.channel ? "channel" : "permission"));
		json_object_set_new(row, "peer",
		                    p.peer.port ? endpoint(&p.peer) : address(p.peer.addr.ip));
		json_object_set_new(row, "channel", p.channel ? number(p.channel) : json_null());
		json_object_set_new(row, "expires_s", number(p.expires_s));
		json_object_set_new(row, "to_peer", amount(p.packets, p.octets));
		json_array_append_new(peers, row);
	}
	return peers;
}

/* The joined data plane's life, or NULL. */
static const struct life *life_of(const struct control *c)
{
	return c->joined ? region_find(&c->link.d, SECTION_LIFE, 0, sizeof(struct life)) : NULL;
}

static const struct stats *stats_of(const struct control *c, unsigned i)
{
	return region_find(&c->link.d, SECTION_COUNTERS, (uint16_t)i, sizeof(struct stats));
}

/* An array section and how many entries of it may be read. */
static const void *table_of(const struct control *c, uint16_t kind, size_t size, uint32_t want,
                            uint32_t *n)
{
	uint64_t octets = 0;
	const void *const at = c->joined ? region_section(&c->link.d, kind, 0, &octets) : NULL;
	const uint64_t there = at ? octets / size : 0;

	*n = want < there ? want : (uint32_t)there;
	return at;
}

static double since_s(uint64_t then_ns)
{
	const uint64_t now_ns = loop_now_ms() * 1000000;

	return now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0;
}

static json_t *dataplane_status(const struct control *c)
{
	const struct life *const life = life_of(c);
	char generation[20];

	if (!life)
		return json_pack("{s:b, s:i}", "joined", 0, "lives", (int)c->lives);
	snprintf(generation, sizeof(generation), "%016" PRIx64, c->link.d.generation);
	return json_pack(
		"{s:b, s:b, s:b, s:i, s:s, s:I, s:f, s:i, s:b, s:i, s:i}", "joined", 1, "synced",
		c->intake.synced && !c->syncing, "ready", (int)(atomic_load(&life->ready) != 0),
		"pid", (int)c->link.pid, "generation", generation, "uptime_s",
		(json_int_t)since_s(atomic_load(&life->started_ns)), "heartbeat_s",
		since_s(atomic_load(&life->turn_ns)), "workers", (int)atomic_load(&life->n_workers),
		"hugepages", (int)(atomic_load(&life->hugepages) != 0), "config_epoch",
		(int)atomic_load(&life->config_epoch), "lives", (int)c->lives);
}

static json_t *listeners_status(const struct control *c)
{
	const struct life *const life = life_of(c);
	json_t *const all = json_array();
	uint32_t n = 0;
	const struct abi_listener *const l = table_of(
		c, SECTION_LISTENERS, sizeof(*l), life ? atomic_load(&life->n_listeners) : 0, &n);

	for (uint32_t i = 0; i < n; i++) {
		struct endpoint at = { .port = l[i].port };
		char text[ENDPOINT_TEXT_MAX], whole[ENDPOINT_TEXT_MAX + 8];

		if (!l[i].live)
			continue;
		memcpy(at.addr.ip, l[i].ip, sizeof(at.addr.ip));
		snprintf(whole, sizeof(whole), "%s:%s", transport_name(l[i].transport),
		         endpoint_print(&at, text));
		json_array_append_new(all, json_string(whole));
	}
	return all;
}

static json_t *relays_status(const struct control *c)
{
	const struct life *const life = life_of(c);
	json_t *const all = json_array();
	uint32_t n = 0;
	const struct abi_relay *const r = table_of(c, SECTION_RELAYS, sizeof(*r),
	                                           life ? atomic_load(&life->n_relays) : 0, &n);

	for (uint32_t i = 0; i < n; i++)
		if (r[i].live)
			json_array_append_new(
				all, json_pack("{s:o, s:o, s:i, s:i}", "address", address(r[i].ip),
			                       "advertise", address(r[i].advertise), "port_min",
			                       (int)r[i].port_min, "port_max", (int)r[i].port_max));
	return all;
}

static json_t *rates_status(const struct control *c)
{
	static const char *const names[RATE_COUNT] = {
		[RATE_RX_PACKETS] = "rx_packets", [RATE_RX_OCTETS] = "rx_octets",
		[RATE_TX_PACKETS] = "tx_packets", [RATE_TX_OCTETS] = "tx_octets",
		[RATE_RELAYED] = "relayed",       [RATE_DROPPED] = "dropped",
		[RATE_PUNTED] = "punted",
	};
	json_t *const rates = json_object();

	for (unsigned i = 0; i < RATE_COUNT; i++)
		json_object_set_new(rates, names[i], json_real(c->rates.per_s[i]));
	return rates;
}

static const char *state_name(const struct control *c)
{
	const struct life *const life = life_of(c);

	if (c->stop != LOOP_RUNS)
		return "stopping";
	if (!life)
		return "waiting for the data plane";
	if (!c->intake.synced || c->syncing)
		return "setting up flows";
	if (!atomic_load(&life->ready))
		return "ports not up yet";
	return c->draining ? "draining" : "serving";
}

json_t *reply_status(struct control *c)
{
	const struct life *const life = life_of(c);

	return json_pack(
		"{s:s, s:s, s:s, s:{s:i, s:o, s:b, s:s}, s:o, s:{s:i, s:i, s:i}, s:{s:i, s:i},"
		" s:{s:i, s:i}, s:o, s:o, s:o}",
		"version", TURNPIKE_VERSION, "name", c->cfg->name, "state", state_name(c),
		"control", "pid", (int)getpid(), "uptime_s",
		number((loop_now_ms() - c->started_ms) / 1000), "draining", c->draining,
		"log-level", log_level_name(log_get_level()), "dataplane", dataplane_status(c),
		"allocations", "live", (int)turn_allocations(c->turn), "max",
		(int)c->cfg->limit_allocations, "max_per_user",
		(int)c->cfg->limit_allocations_per_user, "rows", "used",
		life ? (int)atomic_load(&life->flows) : 0, "max",
		life ? (int)atomic_load(&life->flows_max) : 0, "store", "used",
		(int)store_used(c->store), "max", (int)store_capacity(c->store), "listeners",
		listeners_status(c), "relays", relays_status(c), "rates", rates_status(c));
}

json_t *reply_workers(struct control *c)
{
	static const enum stat_id shown[] = { STAT_RX_PACKETS, STAT_RX_OCTETS, STAT_TX_PACKETS,
		                              STAT_TX_OCTETS,  STAT_PUNTED,    STAT_SLEEPS };
	const struct life *const life = life_of(c);
	const uint32_t n = life ? atomic_load(&life->n_workers) : 0;
	json_t *const rows = json_array();

	for (uint32_t i = 0; life && i <= n && i < c->link.n_punt; i++) {
		const struct stats *const s = stats_of(c, i);
		json_t *const row = json_object();
		uint64_t dropped = 0, relayed = 0;

		if (!s)
			continue;
		for (unsigned d = STAT_FRAME_SHORT; d <= STAT_NO_MBUF; d++)
			dropped += stat_read(s, (enum stat_id)d);
		for (unsigned r = STAT_CHANNEL_TO_PEER; r <= STAT_HAIRPIN; r++)
			relayed += stat_read(s, (enum stat_id)r);
		json_object_set_new(row, "worker", i < n ? number(i) : json_string("service"));
		for (unsigned k = 0; k < sizeof(shown) / sizeof(shown[0]); k++)
			json_object_set_new(row, stat_names[shown[k]].name,
			                    number(stat_read(s, shown[k])));
		json_object_set_new(row, "relayed", number(relayed));
		json_object_set_new(row, "dropped", number(dropped));
		json_array_append_new(rows, row);
	}
	return json_pack("{s:o}", "workers", rows);
}

static const char *device_name(unsigned kind)
{
	static const char *const names[] = {
		[DEVICE_PCI] = "pci",       [DEVICE_AF_PACKET] = "af_packet",
		[DEVICE_AF_XDP] = "af_xdp", [DEVICE_MEMIF] = "memif",
		[DEVICE_VDEV] = "vdev",
	};

	return kind <= DEVICE_VDEV ? names[kind] : "?";
}

static json_t *mac(const uint8_t m[6])
{
	char text[20];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
	         m[5]);
	return json_string(text);
}

/* Text of the other process: bounded, and whatever octets it holds. */
static json_t *foreign_text(const char *text, size_t cap)
{
	char plain[4 * 64 + 1];

	return json_string(log_escape(text, strnlen(text, cap), plain, sizeof(plain)));
}

json_t *reply_ports(struct control *c)
{
	const struct life *const life = life_of(c);
	json_t *const rows = json_array();
	uint32_t n = 0;
	const struct abi_port *const p =
		table_of(c, SECTION_PORTS, sizeof(*p), life ? atomic_load(&life->n_ports) : 0, &n);

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(rows,
		                      json_pack("{s:o, s:s, s:o, s:o, s:i, s:i, s:b, s:i, s:o, "
		                                "s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		                                "name", foreign_text(p[i].name, sizeof(p[i].name)),
		                                "kind", device_name(p[i].kind), "device",
		                                foreign_text(p[i].device, sizeof(p[i].device)),
		                                "mac", mac(p[i].mac), "mtu", (int)p[i].mtu,
		                                "queues", (int)p[i].n_queues, "link",
		                                (int)(atomic_load(&p[i].link_up) != 0),
		                                "speed_mbps", (int)atomic_load(&p[i].speed_mbps),
		                                "rx_packets", number(atomic_load(&p[i].rx_packets)),
		                                "rx_octets", number(atomic_load(&p[i].rx_octets)),
		                                "tx_packets", number(atomic_load(&p[i].tx_packets)),
		                                "tx_octets", number(atomic_load(&p[i].tx_octets)),
		                                "rx_missed", number(atomic_load(&p[i].rx_missed)),
		                                "tx_errors", number(atomic_load(&p[i].tx_errors)),
		                                "from_kernel", number(atomic_load(&p[i].tap_in)),
		                                "to_kernel", number(atomic_load(&p[i].tap_out))));
	return json_pack("{s:o}", "ports", rows);
}

json_t *reply_neighbours(struct control *c)
{
	static const char *const states[] = { "none", "resolving", "resolved", "failed" };
	const struct life *const life = life_of(c);
	json_t *const rows = json_array();
	uint32_t n = 0, n_ports = 0;
	const struct abi_neighbour *const all =
		table_of(c, SECTION_NEIGHBOURS, sizeof(*all), UINT32_MAX, &n);
	const struct abi_port *const ports = table_of(
		c, SECTION_PORTS, sizeof(*ports), life ? atomic_load(&life->n_ports) : 0, &n_ports);

	for (uint32_t i = 0; i < n; i++) {
		const uint32_t state = atomic_load(&all[i].state);
		const uint16_t port = all[i].port;

		if (state == NEIGHBOUR_NONE || state > NEIGHBOUR_FAILED)
			continue;
		json_array_append_new(
			rows, json_pack("{s:o, s:o, s:s, s:o, s:i}", "address", address(all[i].ip),
		                        "mac", mac(all[i].mac), "state", states[state], "port",
		                        port < n_ports ? foreign_text(ports[port].name,
		                                                      sizeof(ports[port].name))
		                                       : json_null(),
		                        "rows", (int)atomic_load(&all[i].users)));
	}
	return json_pack("{s:o}", "neighbours", rows);
}

static void put_counter(json_t *out, const char *name, uint64_t value, const char *match,
                        bool nonzero)
{
	if ((value || !nonzero) && strstr(name, match))
		json_object_set_new(out, name, number(value));
}

json_t *reply_counters(struct control *c, const char *match, bool nonzero)
{
#define NAME(id, name, help) name,
	static const char *const own[] = { CONTROL_STATS(NAME) };
#undef NAME
	json_t *const out = json_object();
	const struct turn_stat_name *names;
	const uint64_t *values;
	const unsigned n = turn_stats(c->turn, &names, &values);

	for (unsigned i = 0; i < STAT_COUNT; i++)
		put_counter(out, stat_names[i].name, rates_stat(&c->link, (enum stat_id)i), match,
		            nonzero);
	for (unsigned i = 0; i < n; i++)
		put_counter(out, names[i].name, values[i], match, nonzero);
	if (c->sessions) {
		const struct session_stat_name *what;
		const uint64_t *count;
		const unsigned all = session_stats(c->sessions, &what, &count);

		for (unsigned i = 0; i < all; i++)
			put_counter(out, what[i].name, count[i], match, nonzero);
	}
	for (unsigned i = 0; i < CONTROL_STAT_COUNT; i++)
		put_counter(out, own[i], c->stats.count[i], match, nonzero);
	return out;
}

json_t *reply_users(struct control *c)
{
	json_t *const rows = json_array();
	struct turn_user_info u;

	for (unsigned i = 0; turn_user_list(c->turn, i, &u); i++)
		json_array_append_new(rows, json_pack("{s:s, s:s, s:i}", "name", u.name, "from",
		                                      u.from_file ? "config" : "command",
		                                      "allocations", (int)u.allocations));
	return json_pack("{s:o}", "users", rows);
}

json_t *reply_config(struct control *c, bool secrets)
{
	char *text = NULL;
	size_t len = 0;
	FILE *const out = open_memstream(&text, &len);
	json_t *reply = NULL;

	if (!out)
		return NULL;
	config_print(c->cfg, out, secrets);
	if (fclose(out) == 0)
		reply = json_pack("{s:s, s:s#}", "file", c->cfg->path, "yaml", text, (int)len);
	free(text);
	return reply;
}

json_t *reply_uris(const struct config *cfg)
{
	json_t *const uris = json_array();

	for (unsigned i = 0; i < cfg->n_listeners; i++) {
		const struct config_listener *const l = &cfg->listeners[i];
		struct endpoint at = l->at;
		char text[ENDPOINT_TEXT_MAX], uri[ENDPOINT_TEXT_MAX + 32];

		/* Behind a 1:1 translation clients know the address by its outer name. */
		for (unsigned r = 0; r < cfg->n_relays; r++)
			if (addr_equal(&cfg->relays[r].addr, &at.addr))
				at.addr = cfg->relays[r].advertise;
		endpoint_print(&at, text);
		snprintf(uri, sizeof(uri), "%s:%s?transport=%s",
		         l->transport >= TRANSPORT_TLS ? "turns" : "turn", text,
		         l->transport == TRANSPORT_UDP || l->transport == TRANSPORT_DTLS ? "udp"
		                                                                         : "tcp");
		json_array_append_new(uris, json_string(uri));
	}
	return uris;
}
