/* The queue of actions. */
#include <stdlib.h>
#include <string.h>

#include "control/turn/action.h"

struct entry {
	uint8_t kind; /* enum turn_action_kind; FILLER, VOID */
	uint8_t command;
	uint16_t reserved;
	uint32_t octets;
};
static_assert(sizeof(struct entry) == 8, "bodies stay aligned");
enum { FILLER = 0xFF, VOID = 0xFE, RESPONSES = 4 << 20 };

static uint64_t entry_octets(uint32_t body)
{
	return sizeof(struct entry) + ((body + 7u) & ~UINT32_C(7));
}

bool action_init(struct turn_server *srv)
{
	const uint64_t peers = (uint64_t)srv->cfg->limit_permissions + srv->cfg->limit_channels;
	uint64_t size = 1;

	/* One allocation with every peer it may have, and room to answer. */
	srv->queue_burst = (peers + 64) * entry_octets(sizeof(struct cmd_flow)) +
	                   8 * entry_octets(sizeof(struct turn_info)) +
	                   CONFIG_LISTENERS_MAX * 4 * entry_octets(512);
	while (size < 4 * srv->queue_burst + RESPONSES)
		size *= 2;
	srv->queue = malloc(size);
	srv->queue_size = size;
	return srv->queue != NULL;
}

static uint64_t room(const struct turn_server *srv)
{
	return srv->queue_size - (srv->queue_head - srv->queue_tail);
}

bool action_room(const struct turn_server *srv)
{
	return srv->n_queued < TURN_BACKLOG_MAX && room(srv) > 2 * srv->queue_burst;
}

static void *push(struct turn_server *srv, uint8_t kind, uint8_t command, uint32_t octets)
{
	const uint64_t need = entry_octets(octets);
	const uint64_t at = srv->queue_head & (srv->queue_size - 1);

	if (at + need > srv->queue_size) { /* a record is contiguous */
		const struct entry filler = {
			.kind = FILLER,
			.octets = (uint32_t)(srv->queue_size - at - sizeof(struct entry)),
		};

		memcpy(srv->queue + at, &filler, sizeof(filler));
		srv->queue_head += srv->queue_size - at;
	}
	if (room(srv) < need)
		abort(); /* action_room() was not asked: a fault of this program */

	uint8_t *p = srv->queue + (srv->queue_head & (srv->queue_size - 1));
	const struct entry e = { .kind = kind, .command = command, .octets = octets };

	memcpy(p, &e, sizeof(e));
	srv->queue_head += need;
	srv->n_queued++;
	return p + sizeof(e);
}

void *action_command(struct turn_server *srv, enum cmd_kind command, uint32_t octets)
{
	return push(srv, ACTION_COMMAND, (uint8_t)command, octets);
}

void action_info(struct turn_server *srv, enum turn_action_kind kind, const struct turn_info *info)
{
	memcpy(push(srv, (uint8_t)kind, 0, sizeof(*info)), info, sizeof(*info));
}

void action_void_commands(struct turn_server *srv)
{
	for (uint64_t at = srv->queue_tail; at < srv->queue_head;) {
		uint8_t *p = srv->queue + (at & (srv->queue_size - 1));
		struct entry e;

		memcpy(&e, p, sizeof(e));
		if (e.kind == ACTION_COMMAND) {
			e.kind = VOID;
			memcpy(p, &e, sizeof(e));
			srv->n_queued--;
		}
		at += entry_octets(e.octets);
	}
	srv->current_valid = false;
}

const struct turn_action *turn_next_action(struct turn_server *srv)
{
	if (srv->current_valid)
		return &srv->current;
	for (;;) {
		struct entry e;

		if (srv->queue_tail == srv->queue_head &&
		    (!server_background(srv) || srv->queue_tail == srv->queue_head))
			return NULL;
		const uint8_t *p = srv->queue + (srv->queue_tail & (srv->queue_size - 1));
		memcpy(&e, p, sizeof(e));
		if (e.kind == FILLER || e.kind == VOID) {
			srv->queue_tail += entry_octets(e.octets);
			continue;
		}
		srv->current.kind = (enum turn_action_kind)e.kind;
		srv->current.command = (enum cmd_kind)e.command;
		srv->current.octets = e.octets;
		memcpy(srv->current.body, p + sizeof(e), e.octets);
		srv->current_valid = true;
		return &srv->current;
	}
}

void turn_pop_action(struct turn_server *srv)
{
	if (!srv->current_valid)
		return;
	srv->current_valid = false;
	srv->queue_tail += entry_octets(srv->current.octets);
	srv->n_queued--;
	if (srv->queue_tail == srv->queue_head) /* stay in the same few lines of memory */
		srv->queue_tail = srv->queue_head = 0;
}
