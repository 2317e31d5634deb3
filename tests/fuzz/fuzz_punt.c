/*
 * The engine fed with what a hostile client, a hostile data plane and time can bring, in any order:
 * punts with any header and octets, requests whose attributes are arbitrary but whose credentials
 * are right (a fixer signs them), row events, hang-ups, syncs, restarts.
 *
 * Input      Operations: a kind, then what it needs (below). Properties: every invariant of TURN's
 *            state model; an answer is STUN, fits its request, is not larger than 1232 octets, has
 *            zeros as padding (TURN-021) and right integrity whenever it should have any; what was
 *            allocated is what was announced.
 */
#include <string.h>

#include "tests/fuzz/input.h"
#include "tests/fuzz/must.h"
#include "tests/rig/turn_rig.h"
#include "wire/crc.h"

enum { CLIENTS = 4, OPERATIONS_MAX = 64 };

static void tweak(struct rig *r)
{
	r->cfg.limit_allocations = 6;
	r->cfg.limit_allocations_per_user = 3;
	r->cfg.limit_permissions = 5;
	r->cfg.limit_channels = 4;
	r->cfg.relay_port_min = 50000;
	r->cfg.relay_port_max = 50015;
	r->n_records = 40; /* runs full */
}

static void check_answer(const struct rig *r, const struct rig_client *c, int got, bool fixed)
{
	struct stun_msg msg;
	struct stun_marks marks;
	struct stun_iter it;
	struct stun_attr attr;

	if (got == -1)
		return;
	MUST(r->answer_len <= 1232 && stun_open(r->answer, r->answer_len, &msg) &&
	     stun_scan(&msg, &marks));
	it = stun_attrs(&msg);
	while (stun_next(&it, &attr))
		for (size_t i = attr.len; i < pad4(attr.len); i++)
			MUST(attr.value[i] == 0);
	MUST(stun_fingerprint_check(&msg, &marks) != STUN_FINGERPRINT_WRONG);
	MUST(got == 0 || (got >= 300 && got <= 699));
	if (got == 401)
		MUST(marks.integrity.value == NULL && marks.sha256.value == NULL);
	if (got == 0)
		MUST(marks.integrity.value != NULL || marks.sha256.value != NULL);
	if (fixed && got != 401 && got != 400 && got != 438)
		MUST(rig_signed(r, c, 0));
}

/* [client][flags][length 2][octets]: flags 1: fixed, then the method comes from the flags. */
static void request(struct rig *r, struct rig_client *clients, struct input *in)
{
	static const uint16_t methods[] = { TURN_ALLOCATE, TURN_REFRESH, TURN_CREATE_PERMISSION,
		                            TURN_CHANNEL_BIND };
	const unsigned who = input_octet(in), flags = input_octet(in);
	struct rig_client *c = &clients[who % CLIENTS], copy;
	size_t len = input_pair(in) & 0x7FF;
	const uint8_t *octets = input_take(in, &len);
	struct rig_message m;
	int got;

	c->listener = (uint16_t)(10 + (who >> 2) % 4); /* one of four is nobody's */
	if ((flags & 1) == 0) {
		if (len < STUN_HDR_LEN) /* the rig compares what it sent with the answer */
			return;
		copy = *c;
		got = rig_send_octets(r, &copy, octets, len);
		check_answer(r, c, got, false);
		return;
	}
	if (c->listener == 13)
		return;
	rig_begin(r, &m, methods[flags >> 1 & 3]);
	if (c->nonce_len == 0 || (flags & 0x40) != 0) {
		rig_send(r, c, &m);
		rig_begin(r, &m, methods[flags >> 1 & 3]);
	}
	len &= ~(size_t)3;
	if (len > 1024)
		len = 1024;
	memcpy(m.buf + m.b.len, octets, len); /* attributes as they come, well formed or not */
	m.b.len += len;
	be16_store(m.buf + 2, (uint16_t)(m.b.len - STUN_HDR_LEN));
	c->sha256 = (flags & 8) != 0;
	c->fingerprint = (flags & 16) != 0;
	c->userhash = (flags & 32) != 0;
	rig_sign(r, &m, c);
	copy = *c;
	got = rig_send(r, c, &m);
	/* Attributes of the input may stand in for the fixer's: then anything may be wrong. */
	check_answer(r, &copy, got, false);
}

static void row(struct rig *r, struct input *in)
{
	struct punt_row ev = { .row = input_octet(in), .status = input_octet(in) % 9 };
	const unsigned i = input_octet(in);

	if (r->n_flows > 0 && i < 200)
		ev.tag = r->flows[i % r->n_flows].flow.tag;
	else
		ev.tag = (uint64_t)input_pair(in) << 48 | (uint64_t)input_pair(in) << 32 |
		         input_pair(in);
	ev.packets = ev.octets = i;
	turn_on_row(r->srv, &ev, r->now_ms);
	rig_drain(r);
}

static void operate(struct rig *r, struct rig_client *clients, struct input *in)
{
	struct turn_info info;

	switch (input_octet(in) % 16) {
	case 0: rig_wait(r, input_pair(in) * 20u); break;
	case 1: row(r, in); break;
	case 2: rig_restart(r); break;
	case 3:
		turn_on_hangup(r->srv, r->now_ms);
		rig_drain(r);
		r->n_flows = 0;
		break;
	case 4: rig_sync(r); break;
	case 5:
		if (turn_list(r->srv, 0, &info))
			turn_delete(r->srv, info.id, END_DELETED, r->now_ms);
		rig_drain(r);
		break;
	case 6: r->deaf = !r->deaf; break;
	case 7: turn_set_capacity(r->srv, input_octet(in)); break;
	default: request(r, clients, in); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct rig_client clients[CLIENTS];
	struct rig r;

	rig_open(&r, tweak);
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i] = i == 3 ? rig_client6(i) : rig_client4(i);
	clients[2].user = "bob";
	clients[2].password = "correct horse battery staple";
	for (unsigned n = 0; in.left > 0 && n < OPERATIONS_MAX; n++) {
		const char *bad;

		operate(&r, clients, &in);
		if (n % 4 != 3 && in.left > 0) /* the check costs more than the operations */
			continue;
		bad = turn_check_invariants(r.srv);
		if (bad != NULL)
			fprintf(stderr, "after operation %u: %s\n", n, bad);
		MUST(bad == NULL);
		MUST(turn_allocations(r.srv) <= 6);
	}
	rig_close(&r);
	return 0;
}
