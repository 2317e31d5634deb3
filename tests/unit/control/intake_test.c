/* Punt records, good and impossible ones. */
#include <stdlib.h>
#include <string.h>

#include "control/intake.h"
#include "engine_stub.h"
#include "tests/support.h"

enum { LINES = 1024, RINGS = 3 };
#define NOW_NS UINT64_C(10000000000)

struct rig {
	uint8_t *part[RINGS];
	struct ring_tail *tail[RINGS];
	struct ring_writer writer[RINGS];
	struct ring_reader reader[RINGS];
	struct turn_server *srv;
	struct control_stats stats;
	struct intake in;
};

static void rig_begin(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < RINGS; i++) {
		r->part[i] = aligned_alloc(ABI_LINE, ring_octets(LINES));
		memset(r->part[i], 0, ring_octets(LINES));
		r->tail[i] = aligned_alloc(ABI_LINE, sizeof(struct ring_tail));
		memset(r->tail[i], 0, sizeof(struct ring_tail));
		ring_writer_init(&r->writer[i], r->part[i], LINES, r->tail[i], -1);
		ring_reader_init(&r->reader[i], r->part[i], LINES, r->tail[i]);
	}
	r->srv = stub_new();
	r->in.stats = &r->stats;
	intake_begin(&r->in, r->reader, RINGS);
}

static void rig_end(struct rig *r)
{
	turn_free(r->srv);
	for (unsigned i = 0; i < RINGS; i++) {
		free(r->part[i]);
		free(r->tail[i]);
	}
}

static void put(struct ring_writer *w, uint16_t kind, const void *body, uint32_t octets)
{
	memcpy(ring_reserve(w, kind, octets), body, octets);
	ring_publish(w);
}

static void put_request(struct ring_writer *w, uint64_t received_ns, uint32_t octets)
{
	uint8_t body[sizeof(struct punt) + 64];
	struct punt p = { .local_kind = LOCAL_LISTENER,
		          .local = 1,
		          .received_ns = received_ns,
		          .cookie = 42,
		          .octets = octets };

	memset(body, 0xAB, sizeof(body));
	memcpy(body, &p, sizeof(p));
	put(w, PUNT_REQUEST, body, (uint32_t)sizeof(p) + octets);
}

static enum intake_result go(struct rig *r, unsigned budget)
{
	return intake_run(&r->in, r->srv, budget, NOW_NS, 1800000000);
}

static void requests_are_copied(void)
{
	struct rig r;

	rig_begin(&r);
	put_request(&r.writer[1], NOW_NS - 1000, 20);
	CHECK(go(&r, 64) == INTAKE_EMPTY, "one record, then nothing");
	CHECK(r.srv->requests == 1 && r.srv->request_len == 20, "octets without the header");
	CHECK(r.srv->request[0] == 0xAB && r.srv->punt.cookie == 42, "what was punted");
	CHECK(r.stats.count[CONTROL_PUNTS] == 1, "counted");
	rig_end(&r);
}

static void stale_requests_are_dropped(void)
{
	struct rig r;

	rig_begin(&r);
	put_request(&r.writer[0], NOW_NS - PUNT_STALE_NS, 20);
	put_request(&r.writer[0], NOW_NS - PUNT_STALE_NS - 1, 20);
	put_request(&r.writer[0], NOW_NS + 5000, 20); /* our clock reading is the older one */
	go(&r, 64);
	CHECK(r.srv->requests == 2, "just in time, and from the future");
	CHECK(r.stats.count[CONTROL_PUNTS_STALE] == 1, "one too old");
	rig_end(&r);
}

static void budget_is_shared_fairly(void)
{
	struct rig r;

	rig_begin(&r);
	for (unsigned i = 0; i < 10; i++)
		put_request(&r.writer[0], NOW_NS, 20);
	put_request(&r.writer[2], NOW_NS, 20);
	CHECK(go(&r, 4) == INTAKE_MORE, "ring 0 has more");
	CHECK(r.srv->requests == 5, "4 of ring 0, 1 of ring 2");
	CHECK(atomic_load(&r.tail[0]->tail) == 4 * 2, "the writer is told");
	CHECK(go(&r, 64) == INTAKE_EMPTY && r.srv->requests == 11, "the rest");
	rig_end(&r);
}

static void rows_and_sync(void)
{
	struct rig r;
	struct punt_row ev = { .tag = 9, .row = 3, .status = ROW_FULL };

	rig_begin(&r);
	put(&r.writer[2], PUNT_ROW, &ev, sizeof(ev));
	go(&r, 64);
	CHECK(r.srv->rows == 1 && r.srv->row.tag == 9 && r.stats.count[CONTROL_ROWS_FULL] == 1,
	      "full");
	CHECK(!r.in.synced, "not yet");
	ev.status = ROW_SYNCED;
	put(&r.writer[2], PUNT_ROW, &ev, sizeof(ev));
	go(&r, 64);
	CHECK(r.in.synced, "synced");
	intake_begin(&r.in, NULL, 0);
	CHECK(!r.in.synced && go(&r, 64) == INTAKE_EMPTY, "a new join begins anew");
	rig_end(&r);
}

/* The engine is told of every request before its burst, of nothing else, in order. */
static void bursts_are_told(void)
{
	const struct punt_row ev = { .tag = 9, .row = 3, .status = ROW_OK };
	struct rig r;

	rig_begin(&r);
	for (unsigned i = 0; i < 40; i++) {
		put_request(&r.writer[0], i % 7 == 3 ? NOW_NS - PUNT_STALE_NS - 1 : NOW_NS, 20);
		if (i % 3 == 0)
			put(&r.writer[0], PUNT_ROW, &ev, sizeof(ev));
	}
	CHECK(go(&r, 64) == INTAKE_EMPTY, "all");
	CHECK(r.srv->requests == 34 && r.srv->as_expected == 34 && r.srv->n_expected == 0,
	      "six were stale");
	CHECK(r.srv->rows == 14 && r.stats.count[CONTROL_PUNTS_STALE] == 6, "the rest came too");
	rig_end(&r);
}

/* What stands behind a change of tables is judged by the new tables. */
static void tables_stop_the_batch(void)
{
	struct rig r;

	rig_begin(&r);
	put_request(&r.writer[0], NOW_NS, 20);
	put(&r.writer[0], PUNT_TABLES, "", 0);
	put_request(&r.writer[0], NOW_NS, 20);
	CHECK(go(&r, 64) == INTAKE_TABLES && r.srv->requests == 1, "stops there");
	CHECK(go(&r, 64) == INTAKE_EMPTY && r.srv->requests == 2, "goes on behind it");
	rig_end(&r);
}

static void unknown_kinds_are_skipped(void)
{
	struct rig r;

	rig_begin(&r);
	put(&r.writer[0], 77, "xyz", 3);
	put_request(&r.writer[0], NOW_NS, 20);
	CHECK(go(&r, 64) == INTAKE_EMPTY && r.srv->requests == 1, "skipped");
	CHECK(r.stats.count[CONTROL_PUNTS_UNKNOWN] == 1, "counted");
	rig_end(&r);
}

static void impossible_records_disconnect(void)
{
	const struct punt longer = { .local_kind = LOCAL_LISTENER, .octets = 21 },
			  nowhere = { .local_kind = 9, .octets = 0 };
	const struct punt_row strange = { .status = ROW_NO_PARENT + 1 };
	const struct {
		const char *what;
		uint16_t kind;
		const void *body;
		uint32_t octets;
	} cases[] = {
		{ "request shorter than its header", PUNT_REQUEST, &longer, 47 },
		{ "request longer than its record", PUNT_REQUEST, &longer, sizeof(longer) },
		{ "neither listener nor relay", PUNT_REQUEST, &nowhere, sizeof(nowhere) },
		{ "row event too short", PUNT_ROW, &strange, 31 },
		{ "row event too long", PUNT_ROW, &longer, 40 },
		{ "row status unknown", PUNT_ROW, &strange, sizeof(strange) },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;

		rig_begin(&r);
		put(&r.writer[1], cases[i].kind, cases[i].body, cases[i].octets);
		CHECK(go(&r, 64) == INTAKE_BROKEN, cases[i].what);
		CHECK(r.srv->requests == 0 && r.srv->rows == 0, cases[i].what);
		CHECK(r.stats.count[CONTROL_PUNTS_BAD] == 1, cases[i].what);
		rig_end(&r);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "requests are copied out", requests_are_copied },
		{ "stale requests are dropped", stale_requests_are_dropped },
		{ "each ring has its share", budget_is_shared_fairly },
		{ "row events and sync", rows_and_sync },
		{ "bursts are told", bursts_are_told },
		{ "a change of tables stops the batch", tables_stop_the_batch },
		{ "unknown kinds are skipped", unknown_kinds_are_skipped },
		{ "impossible records disconnect", impossible_records_disconnect },
		CU_TEST_INFO_NULL,
	};

	return run_suite("intake", tests);
}
