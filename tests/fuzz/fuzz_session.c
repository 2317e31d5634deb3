/*
 * Sessions in a hostile world: checks that are signed rightly and hold anything, octets of
 * strangers, descriptions and candidates as text, row events that nobody asked for, a data plane
 * that goes and comes, a queue without room. Commands stay well-formed and name only ports that are
 * taken and peers the policy allows, and at the end every port and row is given back.
 */
#include <stdalign.h>
#include <string.h>

#include "control/session/session.h"
#include "crypto.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/signed_check.h"
#include "wire/crc.h"
#include "wire/integrity.h"

enum { RELAYS = 2, FIRST_PORT = 50000, PORTS = 64, COMMANDS = 4096, BODY = 2600, LEGS = 12 };

struct command {
	enum cmd_kind kind;
	uint32_t octets;
	alignas(8) uint8_t body[BODY];
};

struct world {
	struct session_server *srv;
	uint64_t now_ms, random, id;
	bool joined, no_room;
	bool taken[RELAYS][PORTS];
	int rows;
	uint16_t first_id;
	struct command *command;
	unsigned n_commands;
	uint64_t tag; /* of the last set */
	uint16_t relay, port;
};

static struct world w;

static const struct addr relays[RELAYS] = {
	{ { [10] = 0xFF, [11] = 0xFF, 198, 18, 0, 9 } },
	{ { 0xFD, [15] = 9 } },
};

static unsigned relay_of(const struct addr *a)
{
	return addr_is4(a) ? 0 : 1;
}

static bool take_this(void *arg, const struct addr *relay, uint16_t port)
{
	bool *const t = &w.taken[relay_of(relay)][port - FIRST_PORT];

	(void)arg;
	if (*t)
		return false;
	return *t = true;
}

static uint16_t take_port(void *arg, const struct addr *relay)
{
	for (uint16_t p = FIRST_PORT; p < FIRST_PORT + PORTS; p++)
		if (take_this(arg, relay, p))
			return p;
	return 0;
}

static void release_port(void *arg, const struct addr *relay, uint16_t port)
{
	bool *const t = &w.taken[relay_of(relay)][port - FIRST_PORT];

	(void)arg;
	MUST(*t);
	*t = false;
}

static bool rows(void *arg, int n)
{
	(void)arg;
	if (w.rows + n > 16)
		return false;
	w.rows += n;
	MUST(w.rows >= 0);
	return true;
}

static bool room(void *arg, uint32_t octets)
{
	(void)arg, (void)octets;
	return w.joined && !w.no_room;
}

static void *command(void *arg, enum cmd_kind kind, uint32_t octets)
{
	(void)arg;
	if (!w.joined || w.no_room || w.n_commands == COMMANDS)
		return NULL;
	MUST(octets <= BODY);
	w.command[w.n_commands] = (struct command){ .kind = kind, .octets = octets };
	return w.command[w.n_commands++].body;
}

static bool denied(const struct addr *a)
{
	return addr_is4(a) && a->ip[12] == 10;
}

static bool peer_allowed(void *arg, const struct endpoint *peer)
{
	(void)arg;
	return !denied(&peer->addr);
}

static bool counts(void *arg, uint32_t row, struct session_counts *out)
{
	(void)arg;
	*out = (struct session_counts){ .to_packets = row };
	return row != 0;
}

static void draw(void *arg, void *out, size_t n)
{
	(void)arg;
	for (size_t i = 0; i < n; i++) {
		w.random = w.random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		((uint8_t *)out)[i] = (uint8_t)(w.random >> 40);
	}
}

/* --- what comes out --- */

static bool is_taken(uint16_t relay, uint16_t port)
{
	return relay >= w.first_id && relay < w.first_id + RELAYS && port >= FIRST_PORT &&
	       port < FIRST_PORT + PORTS && w.taken[relay - w.first_id][port - FIRST_PORT];
}

static void look_at_leg(const struct cmd_leg *c, uint32_t octets)
{
	const struct cmd_leg_to *const to = (const struct cmd_leg_to *)(const void *)(c + 1);
	struct addr peer;

	MUST(octets == sizeof(*c) + c->n_to * sizeof(*to) && c->n_to <= LEG_TO_MAX);
	MUST(c->tag >> 60 == SESSION_TAG && c->key[0].ufrag_len > 0);
	MUST(c->key[0].ufrag_len <= LEG_UFRAG_MAX && c->key[1].ufrag_len <= LEG_UFRAG_MAX);
	memcpy(peer.ip, c->peer_ip, 16);
	MUST(c->peer_port == 0 || (!denied(&peer) && c->deadline_s > 0));
	for (unsigned i = 0; i < c->n_to; i++)
		MUST(to[i].port != c->port || to[i].relay != c->relay);
	w.tag = c->tag;
	w.relay = c->relay;
	w.port = c->port;
}

static void look_at(const struct command *c)
{
	const void *const body = c->body;
	const struct cmd_leg *const leg = body;
	const struct cmd_transmit *const t = body;
	struct addr to;

	switch (c->kind) {
	case CMD_LEG: look_at_leg(leg, c->octets); break;
	case CMD_LEG_DELETE: MUST(c->octets == sizeof(*leg) && leg->port); break;
	case CMD_TRANSMIT:
		MUST(c->octets == sizeof(*t) + t->octets && t->octets > 0 && t->dest_port);
		MUST(t->source_kind == LOCAL_RELAY && is_taken(t->source, t->source_port));
		memcpy(to.ip, t->dest_ip, 16);
		MUST(!denied(&to));
		break;
	default: MUST(false);
	}
}

static void rest(void)
{
	struct session_event e;

	for (unsigned i = 0; i < w.n_commands; i++)
		look_at(&w.command[i]);
	w.n_commands = 0;
	while (session_next_event(w.srv, &e))
		MUST(e.session != 0);
	session_on_time(w.srv, w.now_ms);
	MUST(session_deadline_ms(w.srv) > w.now_ms);
}

/* --- what goes in --- */

static void join(bool both)
{
	struct abi_relay r[RELAYS] = { { .live = 1 }, { .live = 1 } };

	w.joined = true;
	w.first_id = (uint16_t)(w.first_id + 10);
	w.n_commands = 0;
	for (unsigned i = 0; i < RELAYS; i++) {
		memcpy(r[i].ip, relays[i].ip, 16);
		memcpy(r[i].advertise, relays[i].ip, 16);
		r[i].id = (uint16_t)(w.first_id + i);
	}
	session_set_tables(w.srv, r, both ? RELAYS : 1, w.now_ms);
	session_sync(w.srv, w.now_ms);
	w.no_room = false;
	while (!session_sync_step(w.srv, w.now_ms))
		w.n_commands = 0;
}

static void make(unsigned what)
{
	struct session_wanted wanted = { .n_legs = what & 3 };
	char why[128];

	for (unsigned i = 0; i < 3; i++)
		wanted.leg[i] = (struct session_leg_wanted){
			.full = (what & 4) != 0,
			.controlling = (what & 12) == 12,
			.direction = (enum session_direction)((what >> 4) % 3),
			.ip4 = true,
			.ip6 = (what & 64) != 0,
		};
	session_create(w.srv, &wanted, w.now_ms, &w.id, why);
}

static void punt(unsigned who, const uint8_t *octets, size_t len)
{
	const struct punt p = {
		.local_kind = LOCAL_RELAY,
		.local = who & 1 ? w.relay : w.first_id,
		.local_port = who & 1 ? w.port : FIRST_PORT,
		.remote_port = (uint16_t)(5000 + (who >> 1 & 3)),
		.remote_ip = { [10] = 0xFF, [11] = 0xFF, who & 8 ? 10 : 198, 18, 0, 7 },
	};
	uint8_t *const exact = malloc(len);

	memcpy(exact, octets, len);
	session_on_ice(w.srv, &p, exact, len, w.now_ms);
	free(exact);
}

/* Rightly signed for the leg, whatever it holds. */
static void known(unsigned who, const uint8_t *in, size_t len)
{
	struct session_leg_info info;
	uint8_t out[1024];

	if (!session_leg(w.srv, w.id, 1 + (who >> 4 & 1), &info))
		return;
	punt(who | 1, out, signed_check(&info.local->stream[0], in, len, out, sizeof(out)));
}

static void row_event(unsigned what, const uint8_t *in, size_t len)
{
	struct punt_row ev = { .tag = w.tag, .row = what >> 4, .status = what & 7 };

	if (what & 8)
		memcpy(&ev.tag, in, len < 8 ? len : 8);
	session_on_row(w.srv, &ev, w.now_ms);
}

static void outside(unsigned what)
{
	char why[128];
	unsigned leg;

	switch (what & 7) {
	case 0: w.no_room = !w.no_room; break;
	case 1:
		w.joined = false;
		session_on_hangup(w.srv, w.now_ms);
		break;
	case 2: join(true); break;
	case 3: join(false); break;
	case 4: session_delete(w.srv, w.id, w.now_ms); break;
	case 5: session_restart(w.srv, w.id, 1 + (what >> 3 & 1), w.now_ms); break;
	case 6:
		session_add_leg(w.srv, w.id,
		                &(struct session_leg_wanted){ .ip4 = true, .full = what & 8 },
		                w.now_ms, &leg, why);
		break;
	default: make(what >> 1); break;
	}
}

static void step(unsigned what, unsigned who, const uint8_t *in, size_t len)
{
	char *const text = malloc(len);
	char why[128];

	memcpy(text, in, len);
	switch (what & 7) {
	case 0: punt(who, in, len); break;
	case 1:
	case 2: known(who, in, len); break;
	case 3: session_set_remote(w.srv, w.id, 1 + (who & 1), text, len, w.now_ms, why); break;
	case 4:
		session_add_candidate(w.srv, w.id, 1 + (who & 1), who & 2 ? "peer" : NULL, text,
		                      len, w.now_ms, why);
		break;
	case 5: row_event(who, in, len); break;
	case 6: w.now_ms += who * 50; break;
	default: outside(who); break;
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size)
{
	static struct command list[COMMANDS];
	const struct session_setup setup = {
		.world = { NULL, take_port, take_this, release_port, rows, room, command,
		           peer_allowed, counts, draw },
		.legs_max = LEGS,
		.ta_ms = 50,
		.patience_s = 30,
		.follow_ms = 2000,
	};
	struct input in = { octets, size };

	w = (struct world){ .random = 7, .now_ms = 1000, .command = list };
	w.srv = session_server_new(&setup, w.now_ms);
	MUST(w.srv);
	join(true);
	make(input_octet(&in));
	rest();
	while (in.left > 0) {
		const unsigned what = input_octet(&in), who = input_octet(&in);
		size_t len = what & 8 ? input_pair(&in) : input_octet(&in);
		const uint8_t *const piece = input_take(&in, &len);

		step(what, who, piece, len);
		rest();
	}
	session_end_all(w.srv, w.now_ms);
	for (unsigned i = 0; i < 4; i++) {
		w.no_room = false;
		w.now_ms += 3000;
		rest();
	}
	MUST(session_count(w.srv, NULL) == 0 && session_ending(w.srv) == 0 && w.rows == 0);
	for (unsigned i = 0; i < PORTS; i++)
		MUST(!w.taken[0][i] && !w.taken[1][i]);
	session_server_free(w.srv);
	return 0;
}
