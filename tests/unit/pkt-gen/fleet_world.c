/* The clock goes from event to event: a datagram that arrives, a timer of either side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pkt-gen/fleet_world.h"

static bool before(const struct parcel *a, const struct parcel *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct parcel *a, struct parcel *b)
{
	const struct parcel t = *a;

	*a = *b;
	*b = t;
}

static void push(struct world *w, const struct parcel *p)
{
	size_t i = w->n++;

	if (w->n > w->cap) {
		w->cap = w->cap * 2 + 64;
		w->heap = realloc(w->heap, w->cap * sizeof(*w->heap));
	}
	for (w->heap[i] = *p; i > 0 && before(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&w->heap[i], &w->heap[(i - 1) / 2]);
}

static struct parcel pop(struct world *w)
{
	const struct parcel top = w->heap[0];
	size_t i = 0, child;

	w->heap[0] = w->heap[--w->n];
	while ((child = 2 * i + 1) < w->n) {
		if (child + 1 < w->n && before(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!before(&w->heap[child], &w->heap[i]))
			break;
		swap(&w->heap[i], &w->heap[child]);
		i = child;
	}
	return top;
}

static void post(struct world *w, bool up, const struct endpoint *client, const uint8_t *octets,
                 size_t len)
{
	const unsigned copies = rig_random(1000) < w->lost      ? 0
	                        : rig_random(1000) < w->doubled ? 2
	                                                        : 1;

	for (unsigned i = 0; i < copies; i++) {
		struct parcel p = {
			.at_ms = w->rig.now_ms + w->delay_min_ms +
			         rig_random(w->delay_max_ms - w->delay_min_ms + 1),
			.order = w->order++,
			.client = *client,
			.up = up,
			.len = len,
			.octets = malloc(len),
		};

		memcpy(p.octets, octets, len);
		push(w, &p);
	}
}

static struct endpoint client_at(void *arg, uint32_t client)
{
	const struct world *w = arg;

	return w->cfg.server.addr.ip[10] == 0xFF
	               ? rig_client4(client + WORLD_CLIENTS_MAX * w->moved[client]).at
	               : rig_client6(client + WORLD_CLIENTS_MAX * w->moved[client]).at;
}

static struct endpoint peer_at(void *arg, uint32_t client, uint32_t peer)
{
	const struct world *w = arg;

	return w->cfg.relayed_ipv6 ? rig_peer6(client * 64 + peer, (uint16_t)(1000 + peer))
	                           : rig_peer4(client * 7 + peer, (uint16_t)(1000 + peer));
}

static bool move(void *arg, uint32_t client)
{
	struct world *w = arg;

	w->moved[client]++;
	return true;
}

static void told(void *arg, enum fleet_event what, uint32_t client)
{
	struct world *w = arg;

	(void)client;
	w->n_ready += what == FLEET_READY;
	w->n_failed += what == FLEET_FAILED;
	w->n_lost += what == FLEET_LOST;
}

void world_open(struct world *w, rig_tweak *tweak, const struct fleet_config *cfg)
{
	memset(w, 0, sizeof(*w));
	rig_open(&w->rig, tweak);
	w->cfg = *cfg;
	w->cfg.arg = w;
	w->cfg.client_at = client_at;
	if (w->cfg.peer_at == NULL)
		w->cfg.peer_at = peer_at;
	w->cfg.move = move;
	if (w->cfg.server.port == 0)
		w->cfg.server = w->rig.cfg.listeners[0].at;
	w->delay_min_ms = w->delay_max_ms = 1;
	w->fleet = fleet_new(&w->cfg);
	if (w->fleet == NULL) {
		perror("world: fleet");
		exit(2);
	}
	fleet_on(w->fleet, told, w);
}

void world_close(struct world *w)
{
	while (w->n > 0)
		free(pop(w).octets);
	free(w->heap);
	fleet_free(w->fleet);
	rig_close(&w->rig);
}

uint64_t world_now_ns(const struct world *w)
{
	return w->rig.now_ms * 1000000;
}

static void serve(struct world *w, const struct parcel *p)
{
	struct rig_client c = { .at = p->client, .listener = addr_is4(&p->client.addr) ? 10 : 11 };
	size_t len;

	if (w->watch != NULL && !w->watch(w, &p->client, p->octets, p->len))
		return;
	if (w->dead || rig_send_octets(&w->rig, &c, p->octets, p->len) == -1)
		return;
	len = w->rig.answer_len;
	if (w->mangle != NULL)
		len = w->mangle(w, w->rig.answer, len);
	if (len > 0)
		post(w, false, &p->client, w->rig.answer, len);
}

static void send_due(struct world *w)
{
	struct fleet_datagram out[8];
	unsigned n;

	while ((n = fleet_poll(w->fleet, world_now_ns(w), out, 8)) > 0)
		for (unsigned i = 0; i < n; i++) {
			const struct endpoint at = client_at(w, out[i].client);

			post(w, true, &at, out[i].octets, out[i].len);
		}
}

/* One event, not after end_ms; false: there is none. */
static bool event(struct world *w, uint64_t end_ms)
{
	const uint64_t next_ns = fleet_next_ns(w->fleet);
	uint64_t at_ms = next_ns == UINT64_MAX ? UINT64_MAX : (next_ns + 999999) / 1000000;

	if (at_ms < w->rig.now_ms)
		at_ms = w->rig.now_ms;
	if (w->n > 0 && w->heap[0].at_ms < at_ms)
		at_ms = w->heap[0].at_ms;
	if (at_ms > end_ms)
		return false;
	rig_wait(&w->rig, at_ms - w->rig.now_ms);
	while (w->n > 0 && w->heap[0].at_ms <= at_ms) {
		const struct parcel p = pop(w);

		if (p.up)
			serve(w, &p);
		else
			fleet_input(w->fleet, world_now_ns(w), &p.client, p.octets, p.len);
		free(p.octets);
	}
	send_due(w);
	return true;
}

void world_run(struct world *w, uint64_t ms)
{
	const uint64_t end_ms = w->rig.now_ms + ms;

	while (event(w, end_ms))
		;
	rig_wait(&w->rig, end_ms - w->rig.now_ms);
}

bool world_settle(struct world *w, uint64_t ms)
{
	const uint64_t end_ms = w->rig.now_ms + ms;
	const struct fleet_counts *n = fleet_counts(w->fleet);

	while (n->under_way + n->waiting > 0)
		if (!event(w, end_ms))
			return false;
	return true;
}
