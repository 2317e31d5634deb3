#include "control/intake.h"

#include <string.h>

void intake_begin(struct intake *in, struct ring_reader *rings, unsigned n_rings)
{
	in->rings = rings;
	in->n_rings = n_rings;
	in->next = 0;
	in->synced = false;
}

static const struct punt *punt_of(const struct intake_record *rec)
{
	const struct punt *p = (const struct punt *)(const void *)rec->body;

	if (rec->octets < sizeof(*p) || p->octets > PUNT_OCTETS_MAX ||
	    p->octets != rec->octets - sizeof(*p) ||
	    (p->local_kind != LOCAL_LISTENER && p->local_kind != LOCAL_RELAY))
		return NULL;
	return p;
}

/* Tells the engine which requests of the burst are coming. */
static void expect(struct intake *in, struct turn_server *srv, unsigned n, uint64_t now_ns)
{
	struct turn_request list[TURN_BURST];
	unsigned wanted = 0;

	for (unsigned i = 0; i < n; i++) {
		struct intake_record *const rec = &in->record[i];
		const struct punt *const p = rec->kind == PUNT_REQUEST ? punt_of(rec) : NULL;

		if (!p)
			continue;
		rec->stale = now_ns > p->received_ns && now_ns - p->received_ns > PUNT_STALE_NS;
		if (!rec->stale)
			list[wanted++] =
				(struct turn_request){ p, rec->body + sizeof(*p), p->octets };
	}
	turn_expect(srv, list, wanted);
}

static bool take_request(struct intake *in, struct turn_server *srv,
                         const struct intake_record *rec, uint64_t now_ns, uint32_t wall_s)
{
	const struct punt *const p = punt_of(rec);

	if (!p)
		return false;
	in->stats->count[CONTROL_PUNTS]++;
	if (rec->stale) {
		in->stats->count[CONTROL_PUNTS_STALE]++; /* the client has asked again since */
		return true;
	}
	turn_on_request(srv, p, rec->body + sizeof(*p), p->octets, now_ns / 1000000, wall_s);
	return true;
}

static bool take_ice(struct intake *in, const struct intake_record *rec, uint64_t now_ns)
{
	const struct punt *const p = punt_of(rec);

	if (!p || p->local_kind != LOCAL_RELAY)
		return false;
	in->stats->count[CONTROL_PUNTS]++;
	if (in->sessions)
		session_on_ice(in->sessions, p, rec->body + sizeof(*p), p->octets,
		               now_ns / 1000000);
	return true;
}

static bool take_row(struct intake *in, struct turn_server *srv, const struct intake_record *rec,
                     uint64_t now_ns)
{
	struct punt_row ev;

	if (rec->octets != sizeof(ev))
		return false;
	memcpy(&ev, rec->body, sizeof(ev));
	if (ev.status > ROW_NO_PARENT)
		return false;
	in->stats->count[CONTROL_ROW_EVENTS]++;
	if (ev.status == ROW_FULL)
		in->stats->count[CONTROL_ROWS_FULL]++;
	if (ev.status == ROW_REFUSED)
		in->stats->count[CONTROL_ROWS_REFUSED]++;
	if (ev.status == ROW_SYNCED) {
		in->stats->count[CONTROL_SYNCS]++;
		in->synced = true;
	}
	if (ev.tag >> 60 != SESSION_TAG)
		turn_on_row(srv, &ev, now_ns / 1000000);
	else if (in->sessions)
		session_on_row(in->sessions, &ev, now_ns / 1000000);
	return true;
}

/* Copies out at most n records; *tables: the last thing taken says that tables changed. */
static unsigned take_burst(struct intake *in, struct ring_reader *r, unsigned n, bool *tables)
{
	unsigned taken = 0;

	while (taken < n && !*tables) {
		struct intake_record *const rec = &in->record[taken];
		const int octets = ring_read(r, &rec->kind, rec->body, sizeof(rec->body));

		if (octets < 0)
			break;
		rec->octets = (uint32_t)octets;
		*tables = rec->kind == PUNT_TABLES;
		taken += !*tables;
	}
	return taken;
}

static bool give(struct intake *in, struct turn_server *srv, const struct intake_record *rec,
                 uint64_t now_ns, uint32_t wall_s)
{
	switch (rec->kind) {
	case PUNT_REQUEST: return take_request(in, srv, rec, now_ns, wall_s);
	case PUNT_ICE: return take_ice(in, rec, now_ns);
	case PUNT_ROW: return take_row(in, srv, rec, now_ns);
	default: in->stats->count[CONTROL_PUNTS_UNKNOWN]++;
	}
	return true;
}

static enum intake_result run_ring(struct intake *in, struct ring_reader *r,
                                   struct turn_server *srv, unsigned budget, uint64_t now_ns,
                                   uint32_t wall_s)
{
	while (budget > 0) {
		const unsigned want = budget < TURN_BURST ? budget : TURN_BURST;
		bool tables = false;
		const unsigned n = take_burst(in, r, want, &tables);

		expect(in, srv, n, now_ns);
		for (unsigned i = 0; i < n; i++)
			if (!give(in, srv, &in->record[i], now_ns, wall_s))
				return INTAKE_BROKEN;
		if (tables)
			return INTAKE_TABLES;
		if (n < want)
			return r->broken ? INTAKE_BROKEN : INTAKE_EMPTY;
		budget -= n;
	}
	return ring_look(r) ? INTAKE_MORE : INTAKE_EMPTY;
}

enum intake_result intake_run(struct intake *in, struct turn_server *srv, unsigned budget,
                              uint64_t now_ns, uint32_t wall_s)
{
	enum intake_result all = INTAKE_EMPTY;

	for (unsigned i = 0; i < in->n_rings; i++) {
		struct ring_reader *const r = &in->rings[in->next];
		const enum intake_result one = run_ring(in, r, srv, budget, now_ns, wall_s);

		ring_release(r);
		if (one == INTAKE_BROKEN)
			in->stats->count[CONTROL_PUNTS_BAD]++;
		if (one == INTAKE_BROKEN || one == INTAKE_TABLES)
			return one;
		if (one == INTAKE_MORE)
			all = INTAKE_MORE;
		in->next = (in->next + 1) % in->n_rings;
	}
	return all;
}
