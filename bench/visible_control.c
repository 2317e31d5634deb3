/* Control on a thread of its own, and a client of it. */
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/visible_control.h"
#include "control/install.h"
#include "control/intake.h"
#include "log.h"
#include "tests/rig/turn_rig.h"

static struct {
	struct config *cfg;
	struct store *store;
	struct turn_server *srv;
	struct control_stats stats;
	struct intake in;
	struct install out;
	struct ring_reader rings[2];
	char path[64];
	pthread_t thread;
	_Atomic bool stop, synced;
} c;

static struct rig_client client;
static const char peer[] = "198.18.1.9:7000";

static void die(const char *what)
{
	fprintf(stderr, "bench_visible: %s\n", what);
	exit(1);
}

static void draw(void *out, size_t len)
{
	if (RAND_bytes(out, (int)len) != 1)
		abort();
}

static uint32_t wall_s(void)
{
	return (uint32_t)time(NULL);
}

/* What control's loop does when it has been woken. */
static void *run(void *arg)
{
	bool syncing = true;

	(void)arg;
	bench_pin(1);
	while (!atomic_load_explicit(&c.stop, memory_order_relaxed)) {
		const uint64_t now_ns = bench_now_ns();

		if (intake_run(&c.in, c.srv, 256, now_ns, wall_s()) == INTAKE_BROKEN)
			die("a punt that cannot be");
		if (syncing)
			syncing = !turn_sync_step(c.srv, now_ns / 1000000);
		install_run(&c.out, c.srv, 256);
		if (c.in.synced)
			atomic_store_explicit(&c.synced, true, memory_order_release);
	}
	return NULL;
}

static void set_tables(void)
{
	struct abi_listener listeners[2] = { 0 };
	struct abi_relay relays[3] = { 0 };

	for (unsigned i = 0; i < c.cfg->n_listeners && i < 2; i++) {
		memcpy(listeners[i].ip, c.cfg->listeners[i].at.addr.ip, 16);
		listeners[i].port = c.cfg->listeners[i].at.port;
		listeners[i].id = (uint16_t)i;
		listeners[i].transport = (uint8_t)c.cfg->listeners[i].transport;
		listeners[i].live = 1;
	}
	for (unsigned i = 0; i < c.cfg->n_relays && i < 3; i++) {
		memcpy(relays[i].ip, c.cfg->relays[i].addr.ip, 16);
		memcpy(relays[i].advertise, c.cfg->relays[i].advertise.ip, 16);
		relays[i].id = (uint16_t)i;
		relays[i].port_min = c.cfg->relay_port_min;
		relays[i].port_max = c.cfg->relay_port_max;
		relays[i].live = 1;
	}
	turn_set_tables(c.srv, listeners, 2, relays, 3, bench_now_ns() / 1000000);
}

void visible_control_start(const char *config, struct ring_writer *command,
                           struct ring_reader *punts, struct ring_reader *events)
{
	struct config_error err;
	bool found;
	const uint64_t now_ms = bench_now_ns() / 1000000;

	snprintf(c.path, sizeof(c.path), "/dev/shm/bench-visible-%d", (int)getpid());
	c.cfg = config_load(config, CONFIG_ALL, &err);
	if (c.cfg == NULL)
		die(err.text);
	if (store_open(&c.store, c.path, turn_store_records(c.cfg), &found) != 0)
		die("no store");
	unlink(c.path); /* nothing is left of it, whatever ends this process */
	c.srv = turn_new(c.cfg, c.store, draw, now_ms, wall_s(), &err);
	if (c.srv == NULL)
		die(err.text);
	c.in.stats = c.out.stats = &c.stats;
	c.out.ring = command;
	c.rings[0] = *punts;
	c.rings[1] = *events;
	intake_begin(&c.in, c.rings, 2);
	set_tables();
	turn_sync(c.srv, now_ms);
	client = (struct rig_client){ .at = rig_at("198.18.0.50:2000"),
		                      .user = "alice",
		                      .password = "secret" };
	if (pthread_create(&c.thread, NULL, run, NULL) != 0)
		die("no thread");
}

bool visible_control_ready(void)
{
	return atomic_load_explicit(&c.synced, memory_order_acquire);
}

void visible_control_stop(void)
{
	atomic_store(&c.stop, true);
	pthread_join(c.thread, NULL);
	turn_free(c.srv);
	store_close(c.store, false);
	config_free(c.cfg);
}

uint32_t visible_control_ask(uint8_t *message, enum visible_ask what)
{
	static const unsigned method[] = {
		[VISIBLE_BARE] = TURN_ALLOCATE,
		[VISIBLE_ALLOCATE] = TURN_ALLOCATE,
		[VISIBLE_BIND] = TURN_CHANNEL_BIND,
		[VISIBLE_REFRESH] = TURN_REFRESH,
	};
	const struct endpoint to = rig_at(peer);
	struct rig_message m;

	rig_begin(NULL, &m, method[what]);
	if (what == VISIBLE_BARE || what == VISIBLE_ALLOCATE)
		stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
	if (what == VISIBLE_BIND) {
		stun_put_u32(&m.b, TURN_CHANNEL_NUMBER, VISIBLE_CHANNEL << 16);
		stun_put_xor_addr(&m.b, TURN_XOR_PEER_ADDRESS, &to);
	}
	if (what != VISIBLE_BARE)
		rig_sign(NULL, &m, &client);

	const size_t len = stun_finish(&m.b);
	if (len == 0 || len > VISIBLE_MESSAGE_MAX)
		die("a message of the client's is too long");
	memcpy(message, m.buf, len);
	return (uint32_t)len;
}

bool visible_control_learn(const uint8_t *octets, uint32_t len)
{
	struct stun_msg msg;
	struct stun_attr attr;

	if (!stun_open(octets, len, &msg))
		return false;
	if (stun_class(msg.type) == STUN_SUCCESS)
		return true;
	if (!stun_find(&msg, STUN_NONCE, &attr) || attr.len > sizeof(client.nonce))
		return false;
	memcpy(client.nonce, attr.value, attr.len);
	client.nonce_len = attr.len;
	if (!stun_find(&msg, STUN_REALM, &attr) || attr.len >= sizeof(client.realm))
		return false;
	memcpy(client.realm, attr.value, attr.len);
	client.realm[attr.len] = '\0';
	return true;
}
