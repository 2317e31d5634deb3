/* What operators see. */
#include <stdio.h>
#include <string.h>

#include "control/turn/action.h"
#include "control/turn/alloc.h"
#include "control/turn/flow.h"
#include "control/turn/list.h"
#include "control/turn/peer.h"

static uint32_t left_s(const struct turn_server *srv, uint32_t deadline_s)
{
	return deadline_s > srv->now_s ? deadline_s - srv->now_s : 0;
}

const char *turn_end_name(enum turn_end e)
{
	switch (e) {
	case END_EXPIRED: return "expired";
	case END_REFRESH: return "refresh";
	case END_DELETED: return "deleted";
	case END_STOPPED: return "stopped";
	case END_ROLLED_BACK: return "rolled_back";
	case END_GONE: return "gone";
	}
	return "unknown";
}

static void fill_names(struct turn_server *srv, const struct cred *cred, struct turn_info *out)
{
	const struct name *n = &cred->name;

	log_escape(n->text, n->len <= NAME_SHORT ? n->len : NAME_HEAD, out->user,
	           sizeof(out->user));
	log_escape(srv->realms[cred->realm].text, strlen(srv->realms[cred->realm].text), out->realm,
	           sizeof(out->realm));
}

/* Into a zeroed one. */
static void fill(struct turn_server *srv, const struct alloc *a, struct turn_info *out)
{
	const struct listener *l = &srv->listeners[a->listener];
	uint32_t expires_s = 0;

	out->id = a->id;
	fill_names(srv, &srv->creds[a->cred], out);
	out->client = a->client;
	out->server = l->at;
	out->transport = l->transport;
	for (unsigned i = 0; i < 2; i++) {
		if (!leg_live(&a->leg[i]))
			continue;
		out->relayed[i].addr = srv->relays[a->leg[i].relay].advertise;
		out->relayed[i].port = a->leg[i].port;
		if (a->leg[i].expires_s > expires_s)
			expires_s = a->leg[i].expires_s;
	}
	if (out->relayed[0].port == 0) { /* the first one is there */
		out->relayed[0] = out->relayed[1];
		out->relayed[1].port = 0;
	}
	out->expires_s = left_s(srv, expires_s);
	out->permissions = a->n_perms;
	out->channels = a->n_chans;
	out->age_s = srv->now_ms / 1000 > a->created_s ? srv->now_ms / 1000 - a->created_s : 0;
	out->end = (enum turn_end)a->end;
	out->from_client_packets = a->from_packets;
	out->from_client_octets = a->from_octets;
	out->to_client_packets = a->to_packets;
	out->to_client_octets = a->to_octets;
	flow_live_counts(srv, a, out);
}

void list_fill(struct turn_server *srv, const struct alloc *a, struct turn_info *out)
{
	memset(out, 0, sizeof(*out));
	fill(srv, a, out);
}

void list_begin(struct turn_server *srv, const struct alloc *a)
{
	fill(srv, a, action_info(srv, ACTION_BEGIN));
}

void list_end(struct turn_server *srv, const struct alloc *a)
{
	fill(srv, a, action_info(srv, ACTION_END));
}

void list_refused(struct turn_server *srv, const struct alloc *a, const struct endpoint *peer,
                  uint16_t code, const char *why)
{
	struct turn_info *info = action_info(srv, ACTION_REFUSED);

	info->id = a->id;
	info->client = a->client;
	info->code = code;
	info->peer = *peer;
	fill_names(srv, &srv->creds[a->cred], info);
	info->server = srv->listeners[a->listener].at;
	snprintf(info->why, sizeof(info->why), "%s", why);
}

void list_login(struct turn_server *srv, const struct endpoint *client, uint8_t listener,
                const void *name, size_t len, uint16_t code, const char *why)
{
	struct turn_info *info = action_info(srv, ACTION_REFUSED);

	info->client = *client;
	info->code = code;
	info->server = srv->listeners[listener].at;
	log_escape(name, len, info->user, sizeof(info->user));
	snprintf(info->why, sizeof(info->why), "%s", why);
}

/* Where the allocation `id` stands or, if it ended since it was listed, stood. */
static uint32_t place_of(const struct turn_server *srv, uint64_t id)
{
	const struct alloc *a = alloc_find_id(srv, id);

	if (a != NULL)
		return (uint32_t)(a - srv->allocs);
	for (unsigned i = 0; i < LIST_HINTS; i++)
		if (srv->hints[i].id == id)
			return srv->hints[i].at;
	return NONE;
}

bool turn_list(struct turn_server *srv, uint64_t after, struct turn_info *out)
{
	const uint32_t at = after == 0 ? NONE : place_of(srv, after);

	if (after != 0 && at == NONE)
		return false;
	for (uint32_t n = at + 1; n < srv->pool_alloc.fresh; n++) /* NONE + 1 is 0 */
		if (srv->allocs[n].state == ELEMENT_LIVE) {
			list_fill(srv, &srv->allocs[n], out);
			srv->hints[srv->next_hint].id = out->id;
			srv->hints[srv->next_hint].at = n;
			srv->next_hint = (srv->next_hint + 1) % LIST_HINTS;
			return true;
		}
	return false;
}

bool turn_find(struct turn_server *srv, uint64_t id, struct turn_info *out)
{
	const struct alloc *a = alloc_find_id(srv, id);

	if (a == NULL)
		return false;
	list_fill(srv, a, out);
	return true;
}

bool turn_peer(struct turn_server *srv, uint64_t id, unsigned i, struct turn_peer *out)
{
	const struct alloc *a = alloc_find_id(srv, id);
	uint32_t n = a != NULL ? a->peers : NONE, in_s;

	for (; n != NONE; n = srv->peers[n].next)
		if (srv->peers[n].state == ELEMENT_LIVE && i-- == 0)
			break;
	if (n == NONE)
		return false;

	const struct peer *p = &srv->peers[n];
	*out = (struct turn_peer){ .peer = p->at, .channel = p->channel };
	out->expires_s = left_s(srv, flow_deadline(srv, p, &in_s));
	if (p->row != NONE && srv->counts != NULL)
		srv->counts(p->row, &out->packets, &out->octets);
	return true;
}

uint32_t turn_allocations(const struct turn_server *srv)
{
	return srv->n_live;
}

uint32_t turn_ending(const struct turn_server *srv)
{
	return srv->n_ending;
}

unsigned turn_stats(const struct turn_server *srv, const struct turn_stat_name **names,
                    const uint64_t **values)
{
#define STAT_NAME(id, text, why) [TURN_STAT_##id] = { text, why },
	static const struct turn_stat_name list[TURN_STAT_COUNT] = { TURN_STATS(STAT_NAME) };
#undef STAT_NAME

	*names = list;
	*values = srv->stats;
	return TURN_STAT_COUNT;
}
