/* The loop with a data plane made of its own join code and nothing behind: join, sync, punts, back
 * pressure, death and return. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl/client.h"
#include "dataplane/join.h"
#include "log.h"
#include "loop_rig.h"
#include "tests/support.h"

struct plane {
	struct region region;
	struct ring_writer worker, service;
	struct ring_writer *punt[2];
	_Atomic bool joined;
	struct join *join;
	struct life *life;
	bool left;
};

static void plane_open(struct plane *p, const struct loop_rig *r, uint64_t generation)
{
	const struct join_sizes sizes = { .n_workers = 1,
		                          .rows = 64,
		                          .rows_wide = 64,
		                          .listeners = 4,
		                          .relays = 4,
		                          .ports = 1,
		                          .neighbours = 4,
		                          .punt_lines = 1024 };
	int rc = 0;

	memset(p, 0, sizeof(*p));
	p->punt[0] = &p->worker;
	p->punt[1] = &p->service;
	CHECK(join_create_region(&p->region, &sizes, generation, false, -1) == 0, "region D");
	p->life = region_section(&p->region, SECTION_LIFE, 0, NULL);
	struct abi_listener *const l = region_section(&p->region, SECTION_LISTENERS, 0, NULL);
	struct endpoint at;

	endpoint_parse("198.18.0.1:3478", &at);
	memcpy(l->ip, at.addr.ip, sizeof(l->ip));
	l->port = at.port;
	l->transport = TRANSPORT_UDP;
	l->live = 1;
	atomic_store(&p->life->n_listeners, 1);
	atomic_store(&p->life->n_workers, 1);
	atomic_store(&p->life->flows_max, 128);
	const struct join_setup setup = { .path = r->dp_path,
		                          .region = &p->region,
		                          .n_workers = 1,
		                          .punt = p->punt,
		                          .joined = &p->joined };

	p->join = join_open(&setup, &rc);
	CHECK(p->join != NULL, "listening");
}

static void plane_close(struct plane *p)
{
	join_close(p->join);
	region_leave(&p->region);
}

static uint64_t ms(void)
{
	return loop_now_ms();
}

static bool plane_waits_for(struct plane *p, enum join_event want)
{
	for (unsigned i = 0; i < 5000; i++) {
		if (join_poll(p->join, ms()) == want)
			return true;
		usleep(1000);
	}
	return false;
}

/* The next command, waiting for it. Its kind, or 0 after 5 s. */
static uint16_t plane_reads(struct plane *p, void *body, uint32_t cap)
{
	for (unsigned i = 0; i < 5000; i++) {
		struct ring_reader *const r = join_command(p->join);
		uint16_t kind;

		if (r && ring_read(r, &kind, body, cap) >= 0) {
			ring_release(r);
			return kind;
		}
		usleep(1000);
		join_poll(p->join, ms());
	}
	return 0;
}

static void plane_punts(struct plane *p, unsigned ring, uint16_t kind, const void *body,
                        uint32_t octets)
{
	void *const room = ring_reserve(p->punt[ring], kind, octets);

	CHECK(room != NULL, "room in the punt ring");
	if (!room)
		return;
	memcpy(room, body, octets);
	ring_publish(p->punt[ring]);
	ring_wake(p->punt[ring]);
}

/* Begin, two sets, end; then what it says. */
static void plane_syncs(struct plane *p, uint64_t tag)
{
	union {
		struct cmd_sync sync;
		struct cmd_flow flow;
		uint8_t octets[64];
	} body;

	CHECK(plane_reads(p, &body, sizeof(body)) == CMD_SYNC_BEGIN && body.sync.tag == tag,
	      "begin");
	CHECK(plane_reads(p, &body, sizeof(body)) == CMD_SET && body.flow.tag == 1, "set");
	CHECK(plane_reads(p, &body, sizeof(body)) == CMD_SET && body.flow.tag == 2, "set");
	CHECK(plane_reads(p, &body, sizeof(body)) == CMD_SYNC_END, "end");
	plane_punts(p, 1, PUNT_ROW,
	            &(struct punt_row){ .tag = tag, .row = ROW_NONE, .status = ROW_SYNCED },
	            sizeof(struct punt_row));
}

static void plane_requests(struct plane *p, const uint8_t *octets, uint32_t len)
{
	uint8_t body[sizeof(struct punt) + 64];
	const struct punt head = { .local_kind = LOCAL_LISTENER,
		                   .received_ns = ms() * 1000000,
		                   .octets = len };

	memcpy(body, &head, sizeof(head));
	memcpy(body + sizeof(head), octets, len);
	plane_punts(p, 0, PUNT_REQUEST, body, (uint32_t)sizeof(head) + len);
}

static bool joined_says(const struct loop_rig *r, bool want)
{
	for (unsigned i = 0; i < 500; i++) {
		struct client_error err;
		const int fd = client_connect(r->ctl_path, &err);
		json_t *const status = fd < 0 ? NULL : client_call(fd, "status", NULL, &err);
		const bool is = json_is_true(
			json_object_get(json_object_get(status, "dataplane"), "joined"));

		json_decref(status);
		if (fd >= 0)
			close(fd);
		if (status && is == want)
			return true;
		usleep(10000);
	}
	return false;
}

static void stop(struct loop_rig *r, bool keep)
{
	struct client_error err;
	const int fd = client_connect(r->ctl_path, &err);
	json_t *const reply = client_call(fd, "stop", json_pack("{s:b}", "keep", (int)keep), &err);

	CHECK(json_is_true(json_object_get(reply, "stopping")), reply ? "stopping" : err.text);
	json_decref(reply);
	rig_join(r);
	CHECK(client_wait_end(fd, 5), "then the end");
	close(fd);
}

static void joins_syncs_and_is_ready(void)
{
	struct loop_rig r;
	struct plane p;
	int ready[2];
	char line[128] = "", number[16];

	CHECK(pipe(ready) == 0, "a pipe");
	snprintf(number, sizeof(number), "%d", ready[1]);
	setenv("TURNPIKE_READY_FD", number, 1);
	rig_start(&r);
	plane_open(&p, &r, 77);
	CHECK(plane_waits_for(&p, JOIN_JOINED), "control comes by itself");
	plane_syncs(&p, 1);
	CHECK(rig_counter_becomes(&r, "control_syncs", 1), "synced");
	struct pollfd early = { .fd = ready[0], .events = POLLIN };

	CHECK(poll(&early, 1, 150) == 0, "not ready before the ports are");
	atomic_store(&p.life->ready, 1);
	CHECK(poll(&early, 1, 2000) == 1 && read(ready[0], line, sizeof(line) - 1) > 0, "told");
	CHECK(strcmp(line, "ready: udp:198.18.0.1:3478\n") == 0, line);
	stop(&r, false);
	CHECK(r.stopped == LOOP_STOPS && r.srv->ended_all == 1, "all were ended");
	CHECK(r.srv->tables == 1 && r.srv->n_listeners == 1, "tables were read");
	CHECK(r.srv->rows_max == 128, "and how many rows there are");
	CHECK(plane_waits_for(&p, JOIN_LEFT), "the data plane sees it go");
	plane_close(&p);
	rig_end(&r);
	close(ready[0]);
}

/* A data plane whose ports are up, but whose flows are not yet what the store says. */
static void not_ready_before_the_sync(void)
{
	struct loop_rig r;
	struct plane p;
	int ready[2];
	char number[16];

	CHECK(pipe(ready) == 0, "a pipe");
	snprintf(number, sizeof(number), "%d", ready[1]);
	setenv("TURNPIKE_READY_FD", number, 1);
	rig_start(&r);
	plane_open(&p, &r, 77);
	atomic_store(&p.life->ready, 1);
	CHECK(plane_waits_for(&p, JOIN_JOINED), "joined");
	struct pollfd told = { .fd = ready[0], .events = POLLIN };

	CHECK(poll(&told, 1, 200) == 0, "not yet");
	plane_syncs(&p, 1);
	CHECK(poll(&told, 1, 2000) == 1, "now");
	stop(&r, false);
	plane_close(&p);
	rig_end(&r);
	close(ready[0]);
}

static void punts_arrive_and_answers_wait_for_room(void)
{
	struct loop_rig r;
	struct plane p;
	const uint8_t burst[3] = { STUB_BURST, 0x1F, 0x40 }; /* 8000 answers of two lines each */
	struct cmd_flow flow;
	unsigned n = 0;

	rig_start(&r);
	plane_open(&p, &r, 77);
	CHECK(plane_waits_for(&p, JOIN_JOINED), "joined");
	plane_syncs(&p, 1);
	plane_requests(&p, (const uint8_t *)"x", 1);
	CHECK(rig_counter_becomes(&r, "control_punts", 1), "one punt, from sleep");
	for (unsigned i = 0; i < 2; i++)
		plane_requests(&p, burst, sizeof(burst));
	CHECK(rig_counter_becomes(&r, "control_punts", 3), "two more");
	for (unsigned i = 0; i < 100 && rig_counter(&r, "control_commands_held") <= 0; i++)
		usleep(10000);
	CHECK(rig_counter(&r, "control_commands_held") > 0, "held back");
	for (; n < 16000; n++)
		if (plane_reads(&p, &flow, sizeof(flow)) != CMD_SET || flow.tag != n % 8000)
			break;
	CHECK(n == 16000, "all, in order");
	stop(&r, true);
	CHECK(r.stopped == LOOP_STOPS_KEEPING && r.srv->ended_all == 0, "kept");
	plane_close(&p);
	rig_end(&r);
}

static void survives_deaths(void)
{
	struct loop_rig r;
	struct plane p;

	rig_start(&r);
	CHECK(joined_says(&r, false), "alone");
	for (uint64_t life = 1; life <= 3; life++) {
		plane_open(&p, &r, life);
		CHECK(plane_waits_for(&p, JOIN_JOINED), "joined");
		plane_syncs(&p, life);
		CHECK(rig_counter_becomes(&r, "control_syncs", (long long)life), "synced");
		/* Punted before the end: still taken. */
		plane_requests(&p, (const uint8_t *)"x", 1);
		plane_close(&p);
		CHECK(rig_counter_becomes(&r, "control_hangups", (long long)life), "seen");
		CHECK(rig_counter(&r, "control_punts") == (long long)life, "last words");
		CHECK(joined_says(&r, false), "alone again");
	}
	stop(&r, false);
	CHECK(r.srv->hangups >= 3 && r.srv->syncs == 3, "the engine was told");
	rig_end(&r);
}

static void lies_end_the_join(void)
{
	struct loop_rig r;
	struct plane p;

	rig_start(&r);
	plane_open(&p, &r, 5);
	CHECK(plane_waits_for(&p, JOIN_JOINED), "joined");
	plane_syncs(&p, 1);
	plane_punts(&p, 0, PUNT_ROW, "short", 5);
	CHECK(plane_waits_for(&p, JOIN_LEFT), "let go");
	CHECK(plane_waits_for(&p, JOIN_JOINED), "and joined again");
	plane_syncs(&p, 2);
	CHECK(rig_counter_becomes(&r, "control_syncs", 2), "as if nothing had been");
	CHECK(rig_counter(&r, "control_punts_bad") == 1, "counted");
	stop(&r, false);
	plane_close(&p);
	rig_end(&r);
}

static void tables_change(void)
{
	struct loop_rig r;
	struct plane p;

	rig_start(&r);
	plane_open(&p, &r, 5);
	CHECK(plane_waits_for(&p, JOIN_JOINED), "joined");
	plane_syncs(&p, 1);
	atomic_store(&p.life->n_listeners, 3);
	plane_punts(&p, 1, PUNT_TABLES, "", 0);
	plane_requests(&p, (const uint8_t *)"x", 1);
	CHECK(rig_counter_becomes(&r, "control_punts", 1), "what follows is taken too");
	stop(&r, false);
	CHECK(r.srv->tables == 2 && r.srv->n_listeners == 3, "read again");
	plane_close(&p);
	rig_end(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "joins, syncs, says ready", joins_syncs_and_is_ready },
		{ "not ready before the sync", not_ready_before_the_sync },
		{ "punts arrive, answers wait for room", punts_arrive_and_answers_wait_for_room },
		{ "survives deaths of the data plane", survives_deaths },
		{ "lies end the join", lies_end_the_join },
		{ "tables change", tables_change },
		CU_TEST_INFO_NULL,
	};

	log_open("loop_test", LOG_LEVEL_ERROR, LOG_TEXT);
	return run_suite("loop", tests);
}
