/* Commands in order through a ring that is too small, records into the log, nothing lost. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/install.h"
#include "engine_stub.h"
#include "log.h"
#include "tests/support.h"

enum { LINES = RING_LINES_MIN };

/* Both ends of a command ring in this process, as two regions would hold them. */
struct rig {
	uint8_t *part;
	struct ring_tail *tail;
	struct ring_writer writer;
	struct ring_reader reader;
	struct turn_server *srv;
	struct control_stats stats;
	struct install install;
	int wake;
};

static void rig_begin(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->part = aligned_alloc(ABI_LINE, ring_octets(LINES));
	memset(r->part, 0, ring_octets(LINES));
	r->tail = aligned_alloc(ABI_LINE, sizeof(*r->tail));
	memset(r->tail, 0, sizeof(*r->tail));
	r->wake = eventfd(0, EFD_NONBLOCK);
	ring_writer_init(&r->writer, r->part, LINES, r->tail, r->wake);
	ring_reader_init(&r->reader, r->part, LINES, r->tail);
	r->srv = stub_new();
	r->install = (struct install){ .ring = &r->writer, .stats = &r->stats };
}

static void rig_end(struct rig *r)
{
	turn_free(r->srv);
	close(r->wake);
	free(r->part);
	free(r->tail);
}

/* What the data plane would do: take everything, check that tags ascend. Returns how many. */
static unsigned drain(struct rig *r, uint64_t *next_tag)
{
	struct cmd_flow flow;
	uint16_t kind;
	unsigned n = 0;

	while (ring_read(&r->reader, &kind, &flow, sizeof(flow)) == (int)sizeof(flow)) {
		CHECK(kind == CMD_SET && flow.tag == *next_tag, "commands arrive in order");
		(*next_tag)++;
		n++;
	}
	ring_release(&r->reader);
	return n;
}

static void full_ring_keeps_order(void)
{
	struct rig r;
	uint64_t next_tag = 0;
	unsigned rounds = 0, got = 0;

	rig_begin(&r);
	for (uint64_t tag = 0; tag < 1000; tag++) {
		const struct cmd_flow flow = { .tag = tag };

		stub_command(r.srv, CMD_SET, &flow, sizeof(flow));
	}
	CHECK(install_run(&r.install, r.srv, 10000) == INSTALL_FULL, "1000 do not fit");
	CHECK(stub_waiting(r.srv) == 1000 - LINES / 2,
	      "what does not fit waits"); /* two lines each */
	CHECK(install_run(&r.install, r.srv, 10000) == INSTALL_FULL, "and goes on waiting");
	CHECK(r.stats.count[CONTROL_COMMANDS_HELD] == 2, "each time is counted");
	while (got < 1000 && rounds++ < 100) {
		got += drain(&r, &next_tag);
		install_run(&r.install, r.srv, 10000);
	}
	CHECK(got == 1000 && stub_waiting(r.srv) == 0, "all arrive in the end");
	CHECK(r.stats.count[CONTROL_COMMANDS] == 1000, "each is counted once");
	CHECK(install_run(&r.install, r.srv, 10000) == INSTALL_IDLE, "then nothing waits");
	rig_end(&r);
}

/* A record behind a command that does not fit waits too: the end is told after its deletes. */
static void records_wait_in_line(void)
{
	struct rig r;
	const struct cmd_flow flow = { .tag = 0 };
	uint64_t next_tag = 0;

	rig_begin(&r);
	for (unsigned i = 0; i < LINES / 2; i++)
		stub_command(r.srv, CMD_SET, &(struct cmd_flow){ .tag = i }, sizeof(flow));
	CHECK(install_run(&r.install, r.srv, 10000) == INSTALL_IDLE, "exactly full");
	stub_command(r.srv, CMD_SET, &(struct cmd_flow){ .tag = LINES / 2 }, sizeof(flow));
	stub_record(r.srv, ACTION_END, 7);
	stub_record(r.srv, ACTION_BEGIN, 8);
	CHECK(install_run(&r.install, r.srv, 10000) == INSTALL_FULL, "one too many");
	CHECK(r.stats.count[CONTROL_ENDS] == 0, "the record behind it waits");
	drain(&r, &next_tag);
	CHECK(install_run(&r.install, r.srv, 10000) == INSTALL_IDLE, "room came back");
	CHECK(r.stats.count[CONTROL_ENDS] == 1 && r.stats.count[CONTROL_BEGINS] == 1,
	      "then it is written");
	rig_end(&r);
}

static void budget_bounds_a_run(void)
{
	struct rig r;

	rig_begin(&r);
	for (unsigned i = 0; i < 20; i++)
		stub_command(r.srv, CMD_SET, &(struct cmd_flow){ .tag = i },
		             sizeof(struct cmd_flow));
	CHECK(install_run(&r.install, r.srv, 15) == INSTALL_MORE, "more waits");
	CHECK(stub_waiting(r.srv) == 5, "15 were carried out");
	rig_end(&r);
}

static void no_dataplane_drops(void)
{
	struct rig r;

	rig_begin(&r);
	r.install.ring = NULL;
	stub_command(r.srv, CMD_SET, &(struct cmd_flow){ .tag = 1 }, sizeof(struct cmd_flow));
	stub_record(r.srv, ACTION_END, 7);
	stub_record(r.srv, ACTION_REFUSED, 0);
	CHECK(install_run(&r.install, r.srv, 100) == INSTALL_IDLE, "nothing is held back");
	CHECK(r.stats.count[CONTROL_COMMANDS_DROPPED] == 1, "the command is counted");
	CHECK(r.stats.count[CONTROL_ENDS] == 1 && r.stats.count[CONTROL_REFUSALS] == 1,
	      "records are written all the same");
	CHECK(!install_command(&r.install, CMD_RELOAD, NULL, 0), "nobody to reload");
	rig_end(&r);
}

static void sleeping_reader_is_woken_once(void)
{
	struct rig r;
	uint64_t n = 0;

	rig_begin(&r);
	CHECK(ring_sleep(&r.reader), "nothing there: asleep");
	CHECK(install_command(&r.install, CMD_RELOAD, NULL, 0), "room for one");
	CHECK(read(r.wake, &n, sizeof(n)) == sizeof(n) && n == 1, "woken");
	CHECK(install_command(&r.install, CMD_RELOAD, NULL, 0), "room for another");
	CHECK(read(r.wake, &n, sizeof(n)) < 0, "not woken twice for one sleep");
	rig_end(&r);
}

static void lying_tail_breaks(void)
{
	struct rig r;

	rig_begin(&r);
	for (unsigned i = 0; i < LINES; i++)
		stub_command(r.srv, CMD_SET, &(struct cmd_flow){ .tag = i },
		             sizeof(struct cmd_flow));
	atomic_store(&r.tail->tail, 1 << 20); /* further than anything was written */
	CHECK(install_run(&r.install, r.srv, 10000) == INSTALL_BROKEN, "disconnect");
	rig_end(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "a full ring keeps everything, in order", full_ring_keeps_order },
		{ "records wait in line behind commands", records_wait_in_line },
		{ "a run is bounded by its budget", budget_bounds_a_run },
		{ "without a data plane commands are dropped", no_dataplane_drops },
		{ "a sleeping reader is woken once", sleeping_reader_is_woken_once },
		{ "a tail that cannot be ends it", lying_tail_breaks },
		CU_TEST_INFO_NULL,
	};

	log_open("install_test", LOG_LEVEL_ERROR, LOG_TEXT);
	return run_suite("install", tests);
}
