#include "control/intake.h"

#include <string.h>

void intake_begin(struct intake *in, struct ring_reader *rings, unsigned n_rings)
{
	in->rings = rings;
	in->n_rings = n_rings;
	in->next = 0;
	in->synced = false;
}

static bool take_request(struct intake *in, struct turn_server *srv, uint32_t octets,
                         uint64_t now_ns, uint32_t wall_s)
{
	struct punt p;

	if (octets < sizeof(p))
		return false;
	memcpy(&p, in->record, sizeof(p));
	if (p.octets > PUNT_OCTETS_MAX || p.octets != octets - sizeof(p) ||
	    (p.local_kind != LOCAL_LISTENER && p.local_kind != LOCAL_RELAY))
		return false;
	in->stats->count[CONTROL_PUNTS]++;
	if (now_ns > p.received_ns && now_ns - p.received_ns > PUNT_STALE_NS) {
		in->stats->count[CONTROL_PUNTS_STALE]++; /* the client has asked again since */
		return true;
	}
	turn_on_request(srv, &p, in->record + sizeof(p), p.octets, now_ns / 1000000, wall_s);
	return true;
}

static bool take_row(struct intake *in, struct turn_server *srv, uint32_t octets, uint64_t now_ns)
{
	struct punt_row ev;

	if (octets != sizeof(ev))
		return false;
	memcpy(&ev, in->record, sizeof(ev));
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
	turn_on_row(srv, &ev, now_ns / 1000000);
	return true;
}

static enum intake_result run_ring(struct intake *in, struct ring_reader *r,
                                   struct turn_server *srv, unsigned budget, uint64_t now_ns,
                                   uint32_t wall_s)
{
	for (; budget > 0; budget--) {
		uint16_t kind;
		const int octets = ring_read(r, &kind, in->record, sizeof(in->record));
		bool good = true;

		if (octets < 0)
			return r->broken ? INTAKE_BROKEN : INTAKE_EMPTY;
		switch (kind) {
		case PUNT_REQUEST:
			good = take_request(in, srv, (uint32_t)octets, now_ns, wall_s);
			break;
		case PUNT_ROW: good = take_row(in, srv, (uint32_t)octets, now_ns); break;
		case PUNT_TABLES: return INTAKE_TABLES;
		default: in->stats->count[CONTROL_PUNTS_UNKNOWN]++;
		}
		if (!good)
			return INTAKE_BROKEN;
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
