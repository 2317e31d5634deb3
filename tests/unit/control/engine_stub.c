#include "engine_stub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct turn_server *stub_new(void)
{
	return calloc(1, sizeof(struct turn_server));
}

struct turn_server *turn_new(const struct config *cfg, struct store *store, turn_random *random,
                             uint64_t now_ms, uint32_t wall_s, struct config_error *err)
{
	(void)cfg, (void)store, (void)random, (void)now_ms, (void)wall_s, (void)err;
	return stub_new();
}

void turn_free(struct turn_server *srv)
{
	while (stub_waiting(srv))
		turn_pop_action(srv);
	free(srv);
}

static struct turn_action *push(struct turn_server *srv)
{
	return srv->actions[srv->last++ % STUB_ACTIONS_MAX] = calloc(1, sizeof(struct turn_action));
}

void stub_command(struct turn_server *srv, enum cmd_kind kind, const void *body, uint32_t octets)
{
	struct turn_action *const a = push(srv);

	a->kind = ACTION_COMMAND;
	a->command = kind;
	a->octets = octets;
	memcpy(a->body, body, octets);
}

static void fill(struct turn_info *info, uint64_t id)
{
	snprintf(info->user, sizeof(info->user), id % 2 ? "alice" : "1800000000:bob");
	snprintf(info->realm, sizeof(info->realm), "example.org");
	info->id = id;
	endpoint_parse(id % 3 ? "198.18.0.2:4000" : "198.18.0.3:4000", &info->client);
	endpoint_parse("198.18.0.1:3478", &info->server);
	endpoint_parse("198.18.0.1:50000", &info->relayed[0]);
	endpoint_parse("[fd00:18::1]:50000", &info->relayed[1]);
	info->transport = TRANSPORT_UDP;
	info->expires_s = 600;
	info->from_client_packets = 3;
	info->from_client_octets = 300;
	info->why[0] = 'x';
	info->end = END_DELETED;
}

void stub_record(struct turn_server *srv, enum turn_action_kind kind, uint64_t id)
{
	struct turn_action *const a = push(srv);

	a->kind = kind;
	fill(&a->info, id);
}

void stub_allocate(struct turn_server *srv, uint64_t id)
{
	srv->ids[srv->n_ids++] = id;
}

unsigned stub_waiting(const struct turn_server *srv)
{
	return srv->last - srv->first;
}

bool turn_reload(struct turn_server *srv, const struct config *cfg, struct config_error *err)
{
	(void)cfg, (void)err;
	srv->reloads++;
	return true;
}

void turn_set_tables(struct turn_server *srv, const struct abi_listener *listeners,
                     unsigned n_listeners, const struct abi_relay *relays, unsigned n_relays,
                     uint64_t now_ms)
{
	(void)listeners, (void)relays, (void)now_ms;
	srv->tables++;
	srv->n_listeners = n_listeners;
	srv->n_relays = n_relays;
}

void turn_set_capacity(struct turn_server *srv, uint32_t rows)
{
	srv->rows_max = rows;
}

const char *turn_end_name(enum turn_end e)
{
	(void)e;
	return "deleted";
}

const struct turn_action *turn_next_action(struct turn_server *srv)
{
	return stub_waiting(srv) ? srv->actions[srv->first % STUB_ACTIONS_MAX] : NULL;
}

void turn_pop_action(struct turn_server *srv)
{
	free(srv->actions[srv->first++ % STUB_ACTIONS_MAX]);
}

void turn_on_request(struct turn_server *srv, const struct punt *p, const uint8_t *octets,
                     size_t len, uint64_t now_ms, uint32_t wall_s)
{
	(void)now_ms, (void)wall_s;
	srv->as_expected += srv->n_expected > 0 && srv->expected[0] == octets;
	if (srv->n_expected > 0)
		memmove(srv->expected, srv->expected + 1,
		        --srv->n_expected * sizeof(srv->expected[0]));
	srv->requests++;
	srv->punt = *p;
	srv->request_len = len;
	/* "burst": as many answers as the rest of the request says. */
	for (uint16_t i = 0; len >= 3 && octets[0] == STUB_BURST && i < octets[1] * 256 + octets[2];
	     i++)
		stub_command(srv, CMD_SET, &(struct cmd_flow){ .tag = i }, sizeof(struct cmd_flow));
	memcpy(srv->request, octets, len < sizeof(srv->request) ? len : sizeof(srv->request));
}

void turn_expect(struct turn_server *srv, const struct turn_request *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		srv->expected[i] = list[i].octets;
	srv->n_expected = n;
}

void turn_on_row(struct turn_server *srv, const struct punt_row *ev, uint64_t now_ms)
{
	(void)now_ms;
	srv->rows++;
	srv->row = *ev;
}

void turn_on_time(struct turn_server *srv, uint64_t now_ms, uint32_t wall_s)
{
	(void)srv, (void)now_ms, (void)wall_s;
}

uint64_t turn_deadline_ms(const struct turn_server *srv)
{
	(void)srv;
	return UINT64_MAX;
}

void turn_sync(struct turn_server *srv, uint64_t now_ms)
{
	(void)now_ms;
	srv->syncs++;
	srv->sync_steps = 0;
	stub_command(srv, CMD_SYNC_BEGIN, &(struct cmd_sync){ .tag = srv->syncs },
	             sizeof(struct cmd_sync));
}

bool turn_sync_step(struct turn_server *srv, uint64_t now_ms)
{
	srv->sync_steps++;
	if (srv->sync_steps < 3)
		stub_command(srv, CMD_SET, &(struct cmd_flow){ .tag = srv->sync_steps },
		             sizeof(struct cmd_flow));
	if (srv->sync_steps == 3 && srv->also)
		srv->also(srv->also_arg, now_ms);
	if (srv->sync_steps == 3)
		stub_command(srv, CMD_SYNC_END, &(struct cmd_sync){ .tag = srv->syncs },
		             sizeof(struct cmd_sync));
	return srv->sync_steps >= 3;
}

void turn_on_hangup(struct turn_server *srv, uint64_t now_ms)
{
	(void)now_ms;
	srv->hangups++;
}

void turn_set_drain(struct turn_server *srv, bool on)
{
	srv->draining = on;
}

uint32_t turn_allocations(const struct turn_server *srv)
{
	return srv->n_ids;
}

uint32_t turn_ending(const struct turn_server *srv)
{
	(void)srv;
	return 0;
}

void turn_set_counts(struct turn_server *srv, turn_counts *counts)
{
	(void)srv, (void)counts;
}

bool turn_list(struct turn_server *srv, uint64_t after, struct turn_info *out)
{
	for (unsigned i = 0; i < srv->n_ids; i++)
		if (srv->ids[i] > after) {
			*out = (struct turn_info){ 0 };
			fill(out, srv->ids[i]);
			return true;
		}
	return false;
}

bool turn_find(struct turn_server *srv, uint64_t id, struct turn_info *out)
{
	for (unsigned i = 0; i < srv->n_ids; i++)
		if (srv->ids[i] == id) {
			*out = (struct turn_info){ 0 };
			fill(out, id);
			return true;
		}
	return false;
}

/* Each has a permission; each even one a channel too. */
bool turn_peer(struct turn_server *srv, uint64_t id, unsigned i, struct turn_peer *out)
{
	(void)srv;
	if (i > (id % 2 == 0))
		return false;
	*out = (struct turn_peer){ .expires_s = 300 };
	if (i == 0) {
		addr_parse("198.18.0.9", &out->peer.addr);
	} else {
		endpoint_parse("198.18.0.10:5000", &out->peer);
		out->channel = 0x4000;
	}
	return true;
}

bool turn_delete(struct turn_server *srv, uint64_t id, enum turn_end why, uint64_t now_ms)
{
	struct turn_info info;

	(void)why, (void)now_ms;
	if (!turn_find(srv, id, &info))
		return false;
	srv->deleted = id;
	return true;
}

void turn_end_all(struct turn_server *srv, enum turn_end why, uint64_t now_ms)
{
	(void)why, (void)now_ms;
	srv->ended_all++;
}

enum turn_user_result turn_user_add(struct turn_server *srv, const char *name, const char *password)
{
	snprintf(srv->added, sizeof(srv->added), "%s", name);
	snprintf(srv->added_password, sizeof(srv->added_password), "%s", password);
	return srv->user_result;
}

enum turn_user_result turn_user_delete(struct turn_server *srv, const char *name)
{
	(void)name;
	return srv->user_result;
}

bool turn_user_list(struct turn_server *srv, unsigned i, struct turn_user_info *out)
{
	(void)srv;
	if (i > 0)
		return false;
	*out = (struct turn_user_info){ .name = "alice", .from_file = true, .allocations = 2 };
	return true;
}

bool turn_credential(const struct config *cfg, const char *user, uint32_t ttl_s, uint32_t wall_s,
                     char *username, size_t username_cap, char password[32])
{
	(void)cfg, (void)wall_s;
	snprintf(password, 32, "cGFzc3dvcmQ=");
	return (size_t)snprintf(username, username_cap, "%u:%s", ttl_s, user) < username_cap;
}

unsigned turn_stats(const struct turn_server *srv, const struct turn_stat_name **names,
                    const uint64_t **values)
{
	static const struct turn_stat_name list[] = { { "turn_allocate", "Allocate requests" } };
	static const uint64_t of[] = { 7 };

	(void)srv;
	*names = list;
	*values = of;
	return 1;
}

void stub_random(void *out, size_t len)
{
	static uint8_t next;

	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)(next += 37);
}

/* --- what sessions share with it --- */

uint16_t turn_port_take(struct turn_server *srv, const struct addr *relay)
{
	(void)relay;
	return (uint16_t)(50000 + srv->ports++);
}

bool turn_port_take_this(struct turn_server *srv, const struct addr *relay, uint16_t port)
{
	(void)srv, (void)relay, (void)port;
	return true;
}

void turn_port_release(struct turn_server *srv, const struct addr *relay, uint16_t port)
{
	(void)relay, (void)port;
	srv->ports_back++;
}

bool turn_rows(struct turn_server *srv, int n)
{
	srv->wide_rows += n;
	return true;
}

bool turn_room(const struct turn_server *srv, uint32_t octets)
{
	(void)srv, (void)octets;
	return true;
}

void *turn_command(struct turn_server *srv, enum cmd_kind kind, uint32_t octets)
{
	struct turn_action *const a = push(srv);

	a->kind = ACTION_COMMAND;
	a->command = kind;
	a->octets = octets;
	return a->body;
}

bool turn_peer_allowed(const struct turn_server *srv, const struct endpoint *peer)
{
	(void)srv, (void)peer;
	return true;
}

void turn_set_also(struct turn_server *srv, turn_also *also, void *arg)
{
	srv->also = also;
	srv->also_arg = arg;
}
