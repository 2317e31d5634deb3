/*
 * ICE sessions through the engine, in process, beside a real TURN server whose ports, queue and
 * store they share. A session of two lite legs is made, both other ends are described to it as
 * text, and the nominating check of each is taken and answered; commands are taken out and
 * acknowledged as the data plane does. The clients' own work (building and signing) is not
 * measured. Then what legs cost while nothing happens, per second of theirs, and what memory a leg
 * takes.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "control/session/session.h"
#include "crypto.h"
#include "tests/rig/turn_rig.h"
#include "wire/crc.h"
#include "wire/integrity.h"

enum { SESSIONS = 5000, ROUNDS = 6, IDLE_S = 60, TEXT = 256, CHECK = 160 };

struct end {
	struct endpoint at;
	struct punt punt;
	char text[TEXT];
	uint8_t check[CHECK];
	size_t text_len, check_len;
};

static struct rig rig;
static struct session_server *srv;
static struct end *ends;
static uint64_t ids[SESSIONS];

/* Time of this thread: one thread is measured, and others may build beside it. */
static uint64_t cpu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* --- the rest of control, as the loop has it --- */

static uint16_t take_port(void *arg, const struct addr *relay)
{
	return turn_port_take(arg, relay);
}

static bool take_this(void *arg, const struct addr *relay, uint16_t port)
{
	return turn_port_take_this(arg, relay, port);
}

static void release_port(void *arg, const struct addr *relay, uint16_t port)
{
	turn_port_release(arg, relay, port);
}

static bool rows(void *arg, int n)
{
	return turn_rows(arg, n);
}

static bool room(void *arg, uint32_t octets)
{
	return turn_room(arg, octets);
}

static void *command(void *arg, enum cmd_kind kind, uint32_t octets)
{
	return turn_command(arg, kind, octets);
}

static bool peer_allowed(void *arg, const struct endpoint *peer)
{
	return turn_peer_allowed(arg, peer);
}

static bool counts(void *arg, uint32_t row, struct session_counts *out)
{
	(void)arg;
	*out = (struct session_counts){ .heard_s = (uint32_t)(rig.now_ms / 1000) };
	return row != ROW_NONE;
}

static void draw(void *arg, void *out, size_t n)
{
	(void)arg;
	for (uint8_t *p = out; n > 0; n--)
		*p++ = (uint8_t)rig_random(256);
}

/* --- the data plane --- */

static uint32_t next_row = 1;
static unsigned n_answers, n_peers;

static void acknowledge(const struct cmd_leg *c, enum row_status status)
{
	const struct punt_row ev = { .tag = c->tag, .row = next_row++, .status = status };

	session_on_row(srv, &ev, rig.now_ms);
}

static void drain(void)
{
	const struct turn_action *a;

	while ((a = turn_next_action(rig.srv)) != NULL) {
		const void *const body = a->body;
		struct cmd_leg c = { .tag = 0 };
		const bool set = a->kind == ACTION_COMMAND && a->command == CMD_LEG;
		const bool deleted = a->kind == ACTION_COMMAND && a->command == CMD_LEG_DELETE;

		n_answers += a->kind == ACTION_COMMAND && a->command == CMD_TRANSMIT;
		if (set || deleted)
			memcpy(&c, body, sizeof(c));
		turn_pop_action(rig.srv);
		n_peers += set && c.peer_port;
		if (deleted || (set && !(c.flags & LEG_SILENT)))
			acknowledge(&c, deleted ? ROW_DELETED : ROW_OK);
	}
}

static void more_ports(struct rig *r)
{
	r->cfg.limit_allocations = 64;
	r->cfg.relay_port_min = 1024;
	r->cfg.n_relays = 1;
	r->n_records = turn_store_records(&r->cfg) + session_store_records(2 * SESSIONS);
	r->index_flows = false;
}

static void open_all(void)
{
	struct abi_relay relay = { .live = 1, .id = 20 };
	struct session_setup setup = {
		.world = { NULL, take_port, take_this, release_port, rows, room, command,
		           peer_allowed, counts, draw },
		.legs_max = 2 * SESSIONS,
		.ta_ms = 50,
		.patience_s = 30,
		.follow_ms = 2000,
	};

	rig_open(&rig, more_ports);
	setup.world.arg = rig.srv;
	setup.store = rig.store;
	srv = session_server_new(&setup, rig.now_ms);
	if (!srv)
		abort();
	memcpy(relay.ip, rig.cfg.relays[0].addr.ip, 16);
	memcpy(relay.advertise, rig.cfg.relays[0].advertise.ip, 16);
	session_set_tables(srv, &relay, 1, rig.now_ms);
	session_sync(srv, rig.now_ms);
	while (!session_sync_step(srv, rig.now_ms))
		drain();
	drain();
}

static void fetch_events(void)
{
	struct session_event e;

	while (session_next_event(srv, &e))
		;
}

/* --- the clients --- */

static void sign(struct end *e, const struct ice_stream_description *d)
{
	struct crypto_hmac_sha1 key;
	struct stun_builder b;
	uint8_t txid[STUN_TXID_LEN], *mac;
	char name[64];
	size_t covered;

	draw(NULL, txid, sizeof(txid));
	snprintf(name, sizeof(name), "%.20s:peer", d->ufrag);
	stun_begin(&b, e->check, sizeof(e->check), stun_type(STUN_BINDING, STUN_REQUEST), txid);
	stun_put(&b, STUN_USERNAME, name, (uint16_t)strlen(name));
	stun_put_u32(&b, STUN_PRIORITY, 0x6e0001ff);
	stun_put(&b, STUN_USE_CANDIDATE, NULL, 0);
	stun_put(&b, STUN_ICE_CONTROLLING, "12345678", 8);
	crypto_hmac_sha1_key(&key, d->pwd, strlen(d->pwd));
	mac = stun_reserve_integrity(&b, STUN_MESSAGE_INTEGRITY, &covered);
	crypto_hmac_sha1(&key, &(struct crypto_piece){ e->check, covered }, 1, mac);
	stun_put_fingerprint(&b);
	e->check_len = stun_finish(&b);
}

static void prepare(unsigned i)
{
	struct session_leg_info info;
	struct end *const e = &ends[i];
	char text[ADDR_TEXT_MAX];

	if (!session_leg(srv, ids[i / 2], 1 + i % 2, &info))
		abort();
	e->at = rig_peer4(i % 200, (uint16_t)(2000 + i / 200));
	e->text_len = (size_t)snprintf(
		e->text, sizeof(e->text),
		"a=ice-options:ice2\r\na=ice-ufrag:peer\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
		"m=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
		"a=candidate:1 1 udp 2130706431 %s %u typ host\r\n",
		addr_print(&e->at.addr, text), e->at.port);
	sign(e, &info.local->stream[0]);
	e->punt = (struct punt){ .local_kind = LOCAL_RELAY,
		                 .local = 20,
		                 .local_port = info.local->stream[0].candidate[0].at.port,
		                 .remote_port = e->at.port,
		                 .octets = (uint32_t)e->check_len };
	memcpy(e->punt.remote_ip, e->at.addr.ip, 16);
}

static void create_all(void)
{
	const struct session_wanted w = { .n_legs = 2,
		                          .leg = { { .ip4 = true }, { .ip4 = true } } };
	char why[128];

	for (unsigned i = 0; i < SESSIONS; i++) {
		if (session_create(srv, &w, rig.now_ms, &ids[i], why) != SESSION_OK) {
			fprintf(stderr, "session %u: %s\n", i, why);
			exit(1);
		}
		drain();
	}
}

static void connect_all(void)
{
	char why[128];

	for (unsigned i = 0; i < 2 * SESSIONS; i++) {
		struct end *const e = &ends[i];

		if (session_set_remote(srv, ids[i / 2], 1 + i % 2, e->text, e->text_len, rig.now_ms,
		                       why) != SESSION_OK) {
			fprintf(stderr, "leg %u: %s\n", i, why);
			exit(1);
		}
		session_on_ice(srv, &e->punt, e->check, e->check_len, rig.now_ms);
		drain();
	}
}

/* The timers of a minute in which every peer is heard by the workers. */
static double idle(void)
{
	const uint64_t from_ns = cpu_now_ns();
	const uint64_t until_ms = rig.now_ms + IDLE_S * 1000;

	while (rig.now_ms < until_ms) {
		const uint64_t next_ms = session_deadline_ms(srv);

		rig.now_ms = next_ms > rig.now_ms ? next_ms : rig.now_ms + 1;
		if (rig.now_ms > until_ms)
			rig.now_ms = until_ms;
		session_on_time(srv, rig.now_ms);
		drain();
	}
	return (double)(cpu_now_ns() - from_ns) / IDLE_S / (2 * SESSIONS);
}

static size_t heap(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

struct figures {
	double setup, idle, octets;
};

static struct figures run(struct bench *b)
{
	struct figures f;
	uint64_t ns;

	open_all();
	n_answers = n_peers = 0;
	const size_t had = heap();
	const uint64_t from_ns = cpu_now_ns();

	create_all();
	ns = cpu_now_ns() - from_ns;
	fetch_events();
	for (unsigned i = 0; i < 2 * SESSIONS; i++)
		prepare(i);
	const uint64_t again_ns = cpu_now_ns();

	connect_all();
	ns += cpu_now_ns() - again_ns;
	fetch_events();
	f.setup = SESSIONS / ((double)ns * 1e-9) * 1e-3;
	f.octets = (double)(heap() - had) / (2 * SESSIONS);
	if (n_answers != 2 * SESSIONS || n_peers < 2 * SESSIONS)
		bench_fail(b, "not every leg was connected");
	rig.now_ms += 5000;
	session_on_time(srv, rig.now_ms);
	drain();
	f.idle = idle();
	session_server_free(srv);
	rig_close(&rig);
	return f;
}

int main(int argc, char **argv)
{
	double setup[ROUNDS], still[ROUNDS], octets[ROUNDS];
	struct bench b;

	bench_begin(&b, argc, argv);
	bench_pin(0);
	ends = calloc(2 * SESSIONS, sizeof(*ends));
	if (!ends)
		abort();
	const unsigned rounds = b.quick ? 3 : ROUNDS;

	for (unsigned i = 0; i < rounds; i++) {
		const struct figures f = run(&b);

		setup[i] = f.setup;
		still[i] = f.idle;
		octets[i] = f.octets;
	}
	bench_report(&b, &(struct bench_line){ "session.setup.inproc", "k/s", setup, rounds, NULL,
	                                       NULL });
	bench_report(&b,
	             &(struct bench_line){ "session.idle", "ns/leg/s", still, rounds, NULL, NULL });
	bench_report(&b, &(struct bench_line){ "session.memory", "octets/leg", octets, rounds, NULL,
	                                       NULL });
	free(ends);
	return bench_end(&b);
}
