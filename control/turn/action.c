/* The queue of actions. */
#include <stdlib.h>
#include <string.h>

#include "control/turn/action.h"

/* The queue holds actions as they are handed out, cut behind their body. */
enum { FILLER = 0xFF, VOID = 0xFE, RESPONSES = 4 << 20 };
enum { HEADER = offsetof(struct turn_action, body), ALIGN = 16 };
static_assert(HEADER <= ALIGN, "whatever is left at the end of the queue holds a filler");

static uint64_t entry_octets(uint32_t body)
{
	return (HEADER + body + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
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

/* Whoever asks for all of them first gets each: the second bound is the lower one. */
bool action_room_for(const struct turn_server *srv, uint32_t octets)
{
	return action_room(srv) && room(srv) > 2 * srv->queue_burst + octets;
}

bool action_room_small(const struct turn_server *srv, uint32_t octets)
{
	return room(srv) > srv->queue_burst + 2 * entry_octets(octets);
}

static struct turn_action *at(const struct turn_server *srv, uint64_t position)
{
	return (struct turn_action *)(void *)(srv->queue + (position & (srv->queue_size - 1)));
}

static void *push(struct turn_server *srv, enum turn_action_kind kind, unsigned command,
                  uint32_t octets)
{
	const uint64_t need = entry_octets(octets);
	const uint64_t left = srv->queue_size - (srv->queue_head & (srv->queue_size - 1));
	struct turn_action *a;

	if (need > left) { /* a record is contiguous */
		a = at(srv, srv->queue_head);
		a->kind = (enum turn_action_kind)FILLER;
		a->octets = (uint32_t)(left - HEADER);
		srv->queue_head += left;
	}
	if (room(srv) < need)
		abort(); /* action_room() was not asked: a fault of this program */
	a = at(srv, srv->queue_head);
	a->kind = kind;
	a->command = (enum cmd_kind)command;
	a->octets = octets;
	srv->queue_head += need;
	srv->n_queued++;
	return a->body;
}

void *action_command(struct turn_server *srv, enum cmd_kind command, uint32_t octets)
{
	return push(srv, ACTION_COMMAND, command, octets);
}

struct turn_info *action_info(struct turn_server *srv, enum turn_action_kind kind)
{
	struct turn_info *info = push(srv, kind, 0, sizeof(*info));

	memset(info, 0, sizeof(*info));
	return info;
}

void action_void_commands(struct turn_server *srv)
{
	for (uint64_t p = srv->queue_tail; p < srv->queue_head;) {
		struct turn_action *a = at(srv, p);

		if (a->kind == ACTION_COMMAND) {
			a->kind = (enum turn_action_kind)VOID;
			srv->n_queued--;
		}
		p += entry_octets(a->octets);
	}
}

const struct turn_action *turn_next_action(struct turn_server *srv)
{
	for (;;) {
		if (srv->queue_tail == srv->queue_head &&
		    (!server_background(srv) || srv->queue_tail == srv->queue_head))
			return NULL;
		const struct turn_action *a = at(srv, srv->queue_tail);

		if ((unsigned)a->kind != FILLER && (unsigned)a->kind != VOID)
			return a;
		srv->queue_tail += entry_octets(a->octets);
	}
}

void turn_pop_action(struct turn_server *srv)
{
	const struct turn_action *a;

	if (srv->queue_tail == srv->queue_head)
		return;
	a = at(srv, srv->queue_tail);
	srv->queue_tail += entry_octets(a->octets);
	if ((unsigned)a->kind == FILLER || (unsigned)a->kind == VOID)
		return;
	srv->n_queued--;
	if (srv->queue_tail == srv->queue_head) /* stay in the same few lines of memory */
		srv->queue_tail = srv->queue_head = 0;
}
