/* The engine under test, and a data plane made of one array. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto.h"
#include "tests/rig/turn_rig.h"
#include "wire/crc.h"
#include "wire/integrity.h"

static uint64_t state = 88172645463325252u;

void rig_seed(uint64_t seed)
{
	state = seed * 2685821657736338717u + 88172645463325252u;
}

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 2685821657736338717u;
}

uint32_t rig_random(uint32_t below)
{
	return below == 0 ? 0 : (uint32_t)((next_random() >> 32) % below);
}

static void rig_octets(void *out, size_t len)
{
	for (uint8_t *p = out; len > 0; len--)
		*p++ = (uint8_t)(next_random() >> 56);
}

struct endpoint rig_at(const char *text)
{
	struct endpoint e = { .port = 0 };

	if (!endpoint_parse(text, &e)) {
		fprintf(stderr, "rig: bad endpoint %s\n", text);
		exit(2);
	}
	return e;
}

static struct prefix prefix_of(const char *text)
{
	struct prefix p;

	if (!prefix_parse(text, &p)) {
		fprintf(stderr, "rig: bad prefix %s\n", text);
		exit(2);
	}
	return p;
}

static void default_config(struct rig *r)
{
	struct config *c = &r->cfg;
	static char realm[] = "example.org";

	memset(c, 0, sizeof(*c));
	c->listeners[0] = (struct config_listener){ TRANSPORT_UDP, rig_at("198.18.0.1:3478") };
	c->listeners[1] = (struct config_listener){ TRANSPORT_UDP, rig_at("[fd00:18::1]:3478") };
	c->listeners[2] = (struct config_listener){ TRANSPORT_UDP, rig_at("198.18.0.3:3479") };
	c->n_listeners = 3;
	c->ports[0].addresses[0] = (struct prefix){ rig_at("198.18.0.1:1").addr, 120 };
	c->ports[0].addresses[1] = (struct prefix){ rig_at("198.18.0.4:1").addr, 120 };
	c->ports[0].n_addresses = 2;
	c->n_ports = 1;
	c->relays[0].addr = rig_at("198.18.0.1:1").addr;
	c->relays[0].advertise = rig_at("203.0.113.7:1").addr;
	c->relays[1].addr = c->relays[1].advertise = rig_at("[fd00:18::1]:1").addr;
	c->n_relays = 2;
	c->relay_port_min = 49152;
	c->relay_port_max = 65535;
	c->realm = realm;
	r->users[0] = (struct config_user){ strdup("alice"), strdup("secret") };
	r->users[1] = (struct config_user){ strdup("bob"), strdup("correct horse battery staple") };
	c->users = r->users;
	c->n_users = 2;
	c->rest_separator = ':';
	c->nonce_lifetime_s = 600;
	c->auth_md5 = c->auth_sha256 = true;
	c->limit_allocations = 2000;
	c->limit_allocations_per_user = 1000;
	c->limit_permissions = 1024;
	c->limit_channels = 4096;
	c->limit_lifetime_s = 3600;
	c->reservation_s = 30;
	c->port_rest_s = 30;
	r->allow[0] = prefix_of("198.18.1.0/24");
	r->allow[1] = prefix_of("fd00:19::/32");
	c->allow = r->allow;
	c->n_allow = 2;
	c->deny = r->deny;
	c->n_deny = 0;
	c->software = NULL;
}

static void join(struct rig *r)
{
	struct abi_listener listeners[RIG_LISTENERS] = { 0 };
	struct abi_relay relays[CONFIG_RELAYS_MAX] = { 0 };

	for (unsigned i = 0; i < r->cfg.n_listeners; i++) {
		memcpy(listeners[i].ip, r->cfg.listeners[i].at.addr.ip, 16);
		listeners[i].port = r->cfg.listeners[i].at.port;
		listeners[i].id = (uint16_t)(10 + i);
		listeners[i].transport = (uint8_t)r->cfg.listeners[i].transport;
		listeners[i].live = 1;
	}
	for (unsigned i = 0; i < r->cfg.n_relays; i++) {
		memcpy(relays[i].ip, r->cfg.relays[i].addr.ip, 16);
		memcpy(relays[i].advertise, r->cfg.relays[i].advertise.ip, 16);
		relays[i].id = (uint16_t)(20 + i);
		relays[i].port_min = r->cfg.relay_port_min;
		relays[i].port_max = r->cfg.relay_port_max;
		relays[i].live = 1;
	}
	turn_set_tables(r->srv, listeners, r->cfg.n_listeners, relays, r->cfg.n_relays, r->now_ms);
}

void rig_sync(struct rig *r)
{
	turn_sync(r->srv, r->now_ms);
	while (!turn_sync_step(r->srv, r->now_ms))
		rig_drain(r);
	rig_drain(r);
}

static struct rig *counted; /* turn_counts has no argument */

static bool row_counts(uint32_t row, uint64_t *packets, uint64_t *octets)
{
	(void)row;
	*packets = counted->count_packets;
	*octets = counted->count_octets;
	return true;
}

static void boot(struct rig *r)
{
	struct config_error err = { "" };

	r->srv = turn_new(&r->cfg, r->store, rig_octets, r->now_ms, r->wall_s, &err);
	if (r->srv == NULL) {
		fprintf(stderr, "rig: %s\n", err.text);
		exit(2);
	}
	counted = r;
	turn_set_counts(r->srv, row_counts);
	join(r);
	rig_sync(r);
}

static void open_store(struct rig *r)
{
	const uint32_t first = turn_store_first(&r->cfg);
	bool found;
	const int rc =
		store_open_growing(&r->store, r->path, first < r->n_records ? first : r->n_records,
	                           r->n_records, &found);

	if (rc != 0) {
		fprintf(stderr, "rig: %s: %s\n", r->path, strerror(-rc));
		exit(2);
	}
}

/* Stores of open rigs: a test that dies leaves none behind. */
static char left[4][64];

static void on_death(int signal_number)
{
	for (unsigned i = 0; i < 4; i++)
		if (left[i][0] != '\0')
			unlink(left[i]);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void remember(const char *path)
{
	static const int deaths[] = { SIGABRT, SIGSEGV, SIGBUS, SIGTERM, SIGINT };

	for (unsigned i = 0; i < 4; i++)
		if (left[i][0] == '\0') {
			snprintf(left[i], sizeof(left[i]), "%s", path);
			break;
		}
	for (unsigned i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
		signal(deaths[i], on_death);
}

static void forget(const char *path)
{
	for (unsigned i = 0; i < 4; i++)
		if (strcmp(left[i], path) == 0)
			left[i][0] = '\0';
}

void rig_open(struct rig *r, rig_tweak *tweak)
{
	memset(r, 0, sizeof(*r));
	rig_seed(1);
	default_config(r);
	r->now_ms = 5000000;
	r->wall_s = 1700000000;
	r->index_flows = true;
	r->retry = true;
	r->n_records = 0;
	if (tweak != NULL)
		tweak(r);
	if (r->n_records == 0)
		r->n_records = turn_store_records(&r->cfg);
	/* tmpfs, as in earnest, where there is one. */
	snprintf(r->path, sizeof(r->path), "/dev/shm/turn-rig-XXXXXX");
	int fd = mkstemp(r->path);
	if (fd < 0) {
		snprintf(r->path, sizeof(r->path), "/tmp/turn-rig-XXXXXX");
		fd = mkstemp(r->path);
	}
	if (fd < 0) {
		perror("rig: mkstemp");
		exit(2);
	}
	close(fd);
	remember(r->path);
	open_store(r);
	boot(r);
}

void rig_close(struct rig *r)
{
	turn_free(r->srv);
	store_close(r->store, false);
	forget(r->path);
	for (unsigned i = 0; i < RIG_USERS; i++) {
		free(r->users[i].name);
		free(r->users[i].password);
	}
	free(r->flows);
}

void rig_down(struct rig *r)
{
	turn_free(r->srv);
	store_close(r->store, true);
	r->srv = NULL;
	r->store = NULL;
}

void rig_up(struct rig *r)
{
	open_store(r);
	boot(r);
}

void rig_restart(struct rig *r)
{
	rig_down(r);
	rig_up(r);
}

/* --- the data plane --- */

static bool same_key(const struct cmd_flow *a, const struct cmd_flow *b)
{
	if (a->kind != b->kind || a->client_port != b->client_port || a->listener != b->listener ||
	    memcmp(a->client_ip, b->client_ip, 16) != 0)
		return false;
	if (a->kind == FLOW_CHANNEL)
		return a->channel == b->channel;
	return a->kind != FLOW_PERMISSION || memcmp(a->peer_ip, b->peer_ip, 16) == 0;
}

static struct rig_flow *find_flow(struct rig *r, const struct cmd_flow *c)
{
	for (size_t i = 0; i < r->n_flows; i++)
		if (same_key(&r->flows[i].flow, c))
			return &r->flows[i];
	return NULL;
}

static bool has_parent(const struct rig *r, const struct cmd_flow *c)
{
	struct addr peer;
	const struct rig_flow *f = r->flows;

	memcpy(peer.ip, c->peer_ip, 16);
	for (size_t i = 0; i < r->n_flows; i++, f++)
		if (f->flow.kind == addr_family(&peer) && f->flow.client_port == c->client_port &&
		    f->flow.listener == c->listener &&
		    memcmp(f->flow.client_ip, c->client_ip, 16) == 0)
			return true;
	return false;
}

static void on_set(struct rig *r, const struct cmd_flow *c)
{
	struct punt_row ev = { .tag = c->tag, .row = ROW_NONE, .status = ROW_FULL };
	struct rig_flow *f;

	r->n_sets++;
	r->sets_since++;
	if (!r->index_flows) {
		ev.row = r->next_row++;
		ev.status = ROW_OK;
	} else if (!r->full) {
		f = find_flow(r, c);
		if (c->kind < FLOW_ALLOCATION4 && !has_parent(r, c)) {
			ev.status = ROW_NO_PARENT;
		} else {
			if (f == NULL) {
				if (r->n_flows == r->flows_cap) {
					r->flows_cap = r->flows_cap * 2 + 64;
					r->flows = realloc(r->flows, r->flows_cap * sizeof(*f));
				}
				f = &r->flows[r->n_flows++];
				f->row = r->next_row++;
			}
			f->flow = *c;
			ev.row = f->row;
			ev.status = ROW_OK;
		}
	}
	if (!r->deaf && ((c->flags & FLOW_FLAG_SILENT) == 0 || ev.status != ROW_OK))
		turn_on_row(r->srv, &ev, r->now_ms);
}

static void on_delete(struct rig *r, const struct cmd_flow *c)
{
	struct punt_row ev = { .tag = c->tag, .row = ROW_NONE, .status = ROW_UNKNOWN };
	struct rig_flow *f = find_flow(r, c);

	r->n_deletes++;
	if (f != NULL) {
		*f = r->flows[--r->n_flows];
		ev.status = ROW_DELETED;
		ev.packets = r->count_packets;
		ev.octets = r->count_octets;
	}
	if (!r->deaf)
		turn_on_row(r->srv, &ev, r->now_ms);
}

static void on_command(struct rig *r, const struct turn_action *a)
{
	struct cmd_flow flow;

	switch (a->command) {
	case CMD_SET:
	case CMD_DELETE:
		memcpy(&flow, a->body, sizeof(flow));
		const enum cmd_kind kind = a->command;

		turn_pop_action(r->srv);
		if (r->on_flow != NULL) {
			struct punt_row ev = { .tag = flow.tag };

			r->on_flow(kind, &flow, &ev);
			if ((flow.flags & FLOW_FLAG_SILENT) == 0 || ev.status != ROW_OK)
				turn_on_row(r->srv, &ev, r->now_ms);
		} else if (kind == CMD_SET)
			on_set(r, &flow);
		else
			on_delete(r, &flow);
		return;
	case CMD_SYNC_BEGIN: r->n_flows = 0; break; /* stands for the sweep at the end */
	case CMD_SYNC_END: r->n_synced++; break;
	case CMD_NONCE_KEY: r->n_keys++; break;
	case CMD_REALM:
		memcpy(&r->realms[r->n_realms++ % 16], a->body, sizeof(r->realms[0]));
		break;
	case CMD_TEMPLATE:
		memcpy(&r->templates[r->n_templates % 16], a->body, sizeof(r->templates[0]));
		memcpy(r->template_octets[r->n_templates++ % 16], a->body + sizeof(r->templates[0]),
		       a->octets - sizeof(r->templates[0]));
		break;
	case CMD_TRANSMIT:
		memcpy(&r->transmit, a->body, sizeof(r->transmit));
		r->answer_len = r->transmit.octets;
		memcpy(r->answer, a->body + sizeof(r->transmit), r->answer_len);
		r->sets_before_answer = r->sets_since;
		r->sets_since = 0;
		break;
	default: abort();
	}
	turn_pop_action(r->srv);
}

void rig_drain(struct rig *r)
{
	const struct turn_action *a;

	while ((a = turn_next_action(r->srv)) != NULL) {
		switch (a->kind) {
		case ACTION_BEGIN:
			r->begin = a->info;
			r->n_begin++;
			turn_pop_action(r->srv);
			break;
		case ACTION_END:
			r->end = a->info;
			r->n_end++;
			turn_pop_action(r->srv);
			break;
		case ACTION_REFUSED:
			r->refused = a->info;
			r->n_refused++;
			turn_pop_action(r->srv);
			break;
		case ACTION_COMMAND:
			if (r->detached)
				turn_pop_action(r->srv);
			else
				on_command(r, a);
			break;
		}
	}
}

void rig_wait(struct rig *r, uint64_t ms)
{
	const uint64_t end_ms = r->now_ms + ms, wall_from = r->wall_s, from_ms = r->now_ms;

	for (;;) {
		const uint64_t next = turn_deadline_ms(r->srv);

		if (next > end_ms)
			break;
		if (next > r->now_ms)
			r->now_ms = next;
		r->wall_s = (uint32_t)(wall_from + (r->now_ms - from_ms) / 1000);
		turn_on_time(r->srv, r->now_ms, r->wall_s);
		rig_drain(r);
	}
	r->now_ms = end_ms;
	r->wall_s = (uint32_t)(wall_from + ms / 1000);
	turn_on_time(r->srv, r->now_ms, r->wall_s);
	rig_drain(r);
}

/* --- clients --- */

struct rig_client rig_client4(unsigned i)
{
	struct rig_client c = { .listener = 10, .user = "alice", .password = "secret" };
	char text[64];

	snprintf(text, sizeof(text), "192.0.2.%u:%u", 1 + i / 60000 % 250, 2000 + i % 60000);
	c.at = rig_at(text);
	return c;
}

struct rig_client rig_client6(unsigned i)
{
	struct rig_client c = { .listener = 11, .user = "alice", .password = "secret" };
	char text[64];

	snprintf(text, sizeof(text), "[2001:db8::%x]:%u", 1 + i / 60000, 2000 + i % 60000);
	c.at = rig_at(text);
	return c;
}

struct endpoint rig_peer4(unsigned i, uint16_t port)
{
	char text[64];

	snprintf(text, sizeof(text), "198.18.1.%u:%u", i % 256, port == 0 ? 1u : port);
	struct endpoint e = rig_at(text);
	e.port = port;
	return e;
}

struct endpoint rig_peer6(unsigned i, uint16_t port)
{
	char text[64];

	snprintf(text, sizeof(text), "[fd00:19::%x]:%u", i & 0xFFFF, port == 0 ? 1u : port);
	struct endpoint e = rig_at(text);
	e.port = port;
	return e;
}

void rig_begin(struct rig *r, struct rig_message *m, unsigned method)
{
	uint8_t txid[STUN_TXID_LEN];

	(void)r;
	rig_octets(txid, sizeof(txid));
	m->method = method;
	stun_begin(&m->b, m->buf, sizeof(m->buf), stun_type(method, STUN_REQUEST), txid);
}

static void client_keys(const struct rig_client *c, uint8_t md5[16], uint8_t sha256[32])
{
	crypto_long_term(c->user, strlen(c->user), c->realm, c->password, strlen(c->password), md5,
	                 sha256);
}

static void hmac(bool sha256, const uint8_t *key, size_t key_len, const void *head, size_t head_len,
                 const void *rest, size_t rest_len, uint8_t *mac)
{
	const struct crypto_piece pieces[] = { { head, head_len }, { rest, rest_len } };

	if (sha256) {
		struct crypto_hmac_sha256 k;

		crypto_hmac_sha256_key(&k, key, key_len);
		crypto_hmac_sha256(&k, pieces, 2, mac);
	} else {
		struct crypto_hmac_sha1 k;

		crypto_hmac_sha1_key(&k, key, key_len);
		crypto_hmac_sha1(&k, pieces, 2, mac);
	}
}

void rig_sign(struct rig *r, struct rig_message *m, const struct rig_client *c)
{
	static const uint8_t offered[] = { 0, 2, 0, 0, 0, 1, 0, 0 }, chosen[] = { 0, 2, 0, 0 };
	uint8_t md5[16], sha256[32], hash[32];
	size_t covered;
	uint8_t *mac;

	(void)r;
	if (c->userhash) {
		crypto_userhash(c->user, strlen(c->user), c->realm, hash);
		stun_put(&m->b, STUN_USERHASH, hash, 32);
	} else {
		stun_put(&m->b, STUN_USERNAME, c->user, (uint16_t)strlen(c->user));
	}
	stun_put(&m->b, STUN_REALM, c->realm, (uint16_t)strlen(c->realm));
	stun_put(&m->b, STUN_NONCE, c->nonce, (uint16_t)c->nonce_len);
	if (c->sha256) {
		stun_put(&m->b, STUN_PASSWORD_ALGORITHMS, offered, sizeof(offered));
		stun_put(&m->b, STUN_PASSWORD_ALGORITHM, chosen, sizeof(chosen));
	}
	client_keys(c, md5, sha256);
	mac = stun_reserve_integrity(
		&m->b, c->sha256 ? STUN_MESSAGE_INTEGRITY_SHA256 : STUN_MESSAGE_INTEGRITY,
		&covered);
	if (mac != NULL)
		hmac(c->sha256, c->sha256 ? sha256 : md5, c->sha256 ? 32 : 16, m->buf, covered, "",
		     0, mac);
	if (c->fingerprint)
		stun_put_fingerprint(&m->b);
}

static void learn(struct rig *r, struct rig_client *c)
{
	struct stun_attr attr;

	if (rig_attr(r, STUN_REALM, &attr) && attr.len < sizeof(c->realm)) {
		memcpy(c->realm, attr.value, attr.len);
		c->realm[attr.len] = '\0';
	}
	if (rig_attr(r, STUN_NONCE, &attr) && attr.len <= sizeof(c->nonce)) {
		memcpy(c->nonce, attr.value, attr.len);
		c->nonce_len = attr.len;
	}
}

int rig_send_octets(struct rig *r, struct rig_client *c, const uint8_t *octets, size_t len)
{
	struct punt p = {
		.local_kind = LOCAL_LISTENER,
		.local = c->listener,
		.local_port = 3478,
		.remote_port = c->at.port,
		.received_ns = r->now_ms * 1000000,
		.cookie = 0xC00C1E00 + c->at.port,
		.octets = (uint32_t)len,
	};
	uint8_t *exact = malloc(len > 0 ? len : 1); /* ASan sees a read too far */
	struct stun_msg msg;
	struct stun_attr attr;
	const uint8_t *reason;
	size_t reason_len;

	memcpy(p.remote_ip, c->at.addr.ip, 16);
	memcpy(exact, octets, len);
	rig_drain(r);
	r->answer_len = 0;
	r->sets_since = 0;
	turn_on_request(r->srv, &p, exact, len, r->now_ms, r->wall_s);
	rig_drain(r);
	free(exact);
	if (r->answer_len == 0)
		return -1;
	if (!stun_open(r->answer, r->answer_len, &msg) || memcmp(msg.txid, octets + 8, 12) != 0 ||
	    stun_method(msg.type) != stun_method((uint16_t)(octets[0] << 8 | octets[1])) ||
	    r->transmit.cookie != p.cookie || r->transmit.source != p.local ||
	    r->transmit.source_kind != LOCAL_LISTENER || r->transmit.dest_port != c->at.port ||
	    memcmp(r->transmit.dest_ip, c->at.addr.ip, 16) != 0) {
		fprintf(stderr, "rig: an answer that does not fit its request\n");
		abort();
	}
	if (stun_class(msg.type) == STUN_SUCCESS)
		return 0;
	learn(r, c);
	return stun_find(&msg, STUN_ERROR_CODE, &attr)
	               ? (int)stun_error_code(&attr, &reason, &reason_len)
	               : -2;
}

int rig_send(struct rig *r, struct rig_client *c, const struct rig_message *m)
{
	return rig_send_octets(r, c, m->buf, stun_finish(&m->b));
}

int rig_ask(struct rig *r, struct rig_client *c, struct rig_message *m)
{
	if (c->nonce_len == 0) {
		struct rig_message bare;

		rig_begin(r, &bare, TURN_ALLOCATE);
		if (rig_send(r, c, &bare) != STUN_UNAUTHENTICATED)
			return -3;
	}

	const size_t plain = m->b.len;
	rig_sign(r, m, c);
	const int err = rig_send(r, c, m);
	if (err != STUN_STALE_NONCE || !r->retry)
		return err;
	m->b.len = plain; /* again, in a transaction of its own, with the new nonce */
	rig_octets(m->buf + 8, STUN_TXID_LEN);
	rig_sign(r, m, c);
	return rig_send(r, c, m);
}

int rig_allocate(struct rig *r, struct rig_client *c)
{
	struct rig_message m;

	rig_begin(r, &m, TURN_ALLOCATE);
	stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
	return rig_ask(r, c, &m);
}

int rig_refresh(struct rig *r, struct rig_client *c, int64_t lifetime_s)
{
	struct rig_message m;

	rig_begin(r, &m, TURN_REFRESH);
	if (lifetime_s >= 0)
		stun_put_u32(&m.b, TURN_LIFETIME, (uint32_t)lifetime_s);
	return rig_ask(r, c, &m);
}

int rig_permit(struct rig *r, struct rig_client *c, const struct endpoint *peer, unsigned n)
{
	struct rig_message m;

	rig_begin(r, &m, TURN_CREATE_PERMISSION);
	for (unsigned i = 0; i < n; i++)
		stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, &peer[i]);
	return rig_ask(r, c, &m);
}

int rig_bind(struct rig *r, struct rig_client *c, uint16_t number, const struct endpoint *peer)
{
	struct rig_message m;

	rig_begin(r, &m, TURN_CHANNEL_BIND);
	stun_put_u32(&m.b, TURN_CHANNEL_NUMBER, (uint32_t)number << 16);
	stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, peer);
	return rig_ask(r, c, &m);
}

bool rig_attr(const struct rig *r, uint16_t type, struct stun_attr *out)
{
	struct stun_msg msg;

	return stun_open(r->answer, r->answer_len, &msg) && stun_find(&msg, type, out);
}

unsigned rig_attr_count(const struct rig *r, uint16_t type)
{
	struct stun_msg msg;
	struct stun_iter it;
	struct stun_attr attr;
	unsigned n = 0;

	if (!stun_open(r->answer, r->answer_len, &msg))
		return 0;
	it = stun_attrs(&msg);
	while (stun_next(&it, &attr))
		n += attr.type == type;
	return n;
}

struct endpoint rig_relayed(const struct rig *r, unsigned i)
{
	struct endpoint e = { .port = 0 };
	struct stun_msg msg;
	struct stun_iter it;
	struct stun_attr attr;

	if (!stun_open(r->answer, r->answer_len, &msg))
		return e;
	it = stun_attrs(&msg);
	while (stun_next(&it, &attr))
		if (attr.type == TURN_XOR_RELAYED_ADDRESS && i-- == 0) {
			stun_xor_addr(&msg, &attr, &e);
			break;
		}
	return e;
}

uint32_t rig_lifetime(const struct rig *r)
{
	struct stun_attr attr;
	uint32_t v;

	return rig_attr(r, TURN_LIFETIME, &attr) && stun_u32(&attr, &v) ? v : UINT32_MAX;
}

bool rig_signed(const struct rig *r, const struct rig_client *c, uint16_t type)
{
	const uint16_t want = c->sha256 ? STUN_MESSAGE_INTEGRITY_SHA256 : STUN_MESSAGE_INTEGRITY;
	uint8_t md5[16], sha256[32], mac[32];
	struct stun_msg msg;
	struct stun_attr attr;

	if (type != 0 && type != want)
		return false;
	if (!stun_open(r->answer, r->answer_len, &msg) || !stun_find(&msg, want, &attr))
		return false;
	const struct stun_integrity in = stun_integrity_locate(&msg, &attr);
	client_keys(c, md5, sha256);
	hmac(c->sha256, c->sha256 ? sha256 : md5, c->sha256 ? 32 : 16, in.head, 4, in.rest,
	     in.rest_len, mac);
	return memcmp(mac, in.mac, in.mac_len) == 0;
}

const struct cmd_flow *rig_flow_of(const struct rig *r, const struct rig_client *c, uint8_t kind,
                                   const struct endpoint *peer)
{
	for (size_t i = 0; i < r->n_flows; i++) {
		const struct cmd_flow *f = &r->flows[i].flow;

		if (f->kind == kind && f->client_port == c->at.port && f->listener == c->listener &&
		    memcmp(f->client_ip, c->at.addr.ip, 16) == 0 &&
		    (peer == NULL || (memcmp(f->peer_ip, peer->addr.ip, 16) == 0 &&
		                      (kind != FLOW_CHANNEL || f->peer_port == peer->port))))
			return f;
	}
	return NULL;
}
