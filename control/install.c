#include "control/install.h"

#include <string.h>

#include "control/logbook.h"

/* false: no room, the action stays. */
static bool push(struct install *in, enum cmd_kind kind, const void *body, uint32_t octets)
{
	void *const room = ring_reserve(in->ring, kind, octets);

	if (!room)
		return false;
	if (octets)
		memcpy(room, body, octets);
	in->stats->count[CONTROL_COMMANDS]++;
	return true;
}

static void publish(struct install *in)
{
	ring_publish(in->ring);
	ring_wake(in->ring);
}

enum install_result install_run(struct install *in, struct turn_server *srv, unsigned budget)
{
	const struct turn_action *a;
	unsigned pushed = 0;
	bool full = false;

	for (; budget > 0 && (a = turn_next_action(srv)); budget--) {
		if (a->kind != ACTION_COMMAND)
			logbook_write(a, in->stats);
		else if (!in->ring)
			in->stats->count[CONTROL_COMMANDS_DROPPED]++;
		else if (push(in, a->command, a->body, a->octets))
			pushed++;
		else {
			full = true;
			break;
		}
		turn_pop_action(srv);
	}
	if (pushed)
		publish(in);
	if (in->ring && in->ring->broken)
		return INSTALL_BROKEN;
	if (full) {
		in->stats->count[CONTROL_COMMANDS_HELD]++;
		return INSTALL_FULL;
	}
	return turn_next_action(srv) ? INSTALL_MORE : INSTALL_IDLE;
}

bool install_command(struct install *in, enum cmd_kind kind, const void *body, uint32_t octets)
{
	if (!in->ring || !push(in, kind, body, octets))
		return false;
	publish(in);
	return true;
}
