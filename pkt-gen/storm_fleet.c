/* Storms of clients that do everything right, but much of it: allocate, churn, vanish. */
#include <stdlib.h>

#include "log.h"
#include "pkt-gen/storm_parts.h"

enum {
	ALLOCATE_MAX = 4 << 20,
	CHURN_MAX = 4096,
	CHURN_POOL = 500, /* peers of each client; a client has 4,096 channel numbers */
	VANISH_MAX = 4096,
};
static const uint64_t away_ns = 500000000; /* that a client is gone */

enum life { LIFE_NONE, LIFE_RISING, LIFE_UP, LIFE_AWAY };

struct lives {
	struct crowd crowd;
	bool begun;
	uint8_t *life;   /* enum life, of each client */
	uint32_t *queue; /* of those that are away, oldest first: a ring of crowd.clients */
	uint64_t *since; /* beside the queue */
	uint32_t head, queued, next;
	uint64_t went, back, up_again;
	uint64_t moves; /* of the churn */
};

static void told(void *arg, enum fleet_event what, uint32_t client)
{
	struct storm *s = arg;
	struct lives *l = s->own;

	switch (what) {
	case FLEET_READY:
		s->answered++;
		l->up_again += l->crowd.life[client] != 0;
		l->life[client] = LIFE_UP;
		break;
	case FLEET_FAILED:
		s->failed++;
		l->life[client] = LIFE_NONE;
		break;
	case FLEET_LOST:
		s->failed++;
		if (l->life[client] == LIFE_UP)
			l->life[client] = LIFE_NONE;
		break;
	}
}

static void close_lives(struct storm *s)
{
	struct lives *l = s->own;

	crowd_close(&l->crowd);
	free(l->life);
	free(l->queue);
	free(l->since);
	free(l);
}

static bool open_lives(struct storm *s, uint32_t clients, uint32_t peers, uint32_t pool,
                       double rate)
{
	struct lives *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return false;
	s->own = l;
	l->life = calloc(clients, sizeof(*l->life));
	l->queue = calloc(clients, sizeof(*l->queue));
	l->since = calloc(clients, sizeof(*l->since));
	if (l->life == NULL || l->queue == NULL || l->since == NULL ||
	    !crowd_open(&l->crowd, s, clients, peers, pool, rate))
		return false;
	fleet_on(l->crowd.fleet, told, s);
	return true;
}

static void go_up(struct storm *s, uint32_t client, uint64_t now_ns)
{
	struct lives *l = s->own;

	l->life[client] = LIFE_RISING;
	s->sent++;
	fleet_go(l->crowd.fleet, FLEET_UP, client, 1, now_ns);
}

static void begin(struct storm *s, uint64_t now_ns)
{
	struct lives *l = s->own;

	if (l->begun)
		return;
	l->begun = true;
	s->sent += l->crowd.clients;
	memset(l->life, LIFE_RISING, l->crowd.clients);
	fleet_go(l->crowd.fleet, FLEET_UP, 0, l->crowd.clients, now_ns);
}

static void queue_put(struct lives *l, uint32_t client, uint64_t now_ns)
{
	const uint32_t at = (l->head + l->queued++) % l->crowd.clients;

	l->queue[at] = client;
	l->since[at] = now_ns;
}

static uint32_t queue_take(struct lives *l)
{
	const uint32_t client = l->queue[l->head];

	l->head = (l->head + 1) % l->crowd.clients;
	l->queued--;
	return client;
}

/* The next client that stands; those that failed are sent up once more on the way. */
static bool next_up(struct storm *s, uint64_t now_ns, uint32_t *client)
{
	struct lives *l = s->own;

	for (uint32_t i = 0; i < l->crowd.clients; i++) {
		const uint32_t c = l->next;

		l->next = (c + 1) % l->crowd.clients;
		if (l->life[c] == LIFE_UP) {
			*client = c;
			return true;
		}
		if (l->life[c] == LIFE_NONE) {
			l->crowd.life[c]++;
			go_up(s, c, now_ns);
			return false;
		}
	}
	return false;
}

static void input_codes(const struct storm *s, struct report_storm *out)
{
	const struct lives *l = s->own;
	const struct fleet_counts *n = fleet_counts(l->crowd.fleet);

	for (unsigned i = 0; i < 700; i++)
		out->code[i] += n->error[i];
}

static bool lives_input(struct storm *s, uint64_t now_ns, const struct endpoint *at,
                        const struct endpoint *from, const void *octets, size_t len)
{
	struct lives *l = s->own;

	return crowd_input(&l->crowd, now_ns, at, from, octets, len);
}

static void lives_stop(struct storm *s, uint64_t now_ns)
{
	struct lives *l = s->own;

	fleet_go(l->crowd.fleet, FLEET_DOWN, 0, l->crowd.clients, now_ns);
}

static bool lives_done(const struct storm *s)
{
	const struct lives *l = s->own;

	return crowd_settled(&l->crowd);
}

/* " 486: 12, 508: 3", or nothing. */
static void say_codes(const struct report_storm *out, char *text, size_t cap)
{
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < 700 && n + 1 < cap; i++)
		if (out->code[i] != 0)
			n += (size_t)snprintf(text + n, cap - n, "%s%u: %llu", n != 0 ? ", " : "",
			                      i, (unsigned long long)out->code[i]);
}

/* --- allocate --- */

static bool allocate_open(struct storm *s)
{
	const double want = s->rate * s->field.options->duration_s;
	const uint64_t room = apart_count(&s->apart);
	uint64_t n = want < 1 ? 1 : want > ALLOCATE_MAX ? ALLOCATE_MAX : (uint64_t)want;

	n = n > room ? room : n;
	return open_lives(s, (uint32_t)n, 0, 0, s->rate);
}

static unsigned allocate_turn(struct storm *s, uint64_t now_ns, unsigned due)
{
	struct lives *l = s->own;

	(void)due; /* the fleet keeps the pace */
	if (!s->stopped)
		begin(s, now_ns);
	return crowd_turn(&l->crowd, now_ns);
}

static void allocate_report(const struct storm *s, struct report_storm *out)
{
	const struct lives *l = s->own;
	const struct fleet_counts *n = fleet_counts(l->crowd.fleet);
	char codes[96];

	input_codes(s, out);
	say_codes(out, codes, sizeof(codes));
	snprintf(out->said, sizeof(out->said),
	         "%llu of %u allocations (%.0f a second, %.0f wanted), %llu failed%s%s%s; %llu "
	         "requests went again",
	         (unsigned long long)s->answered, l->crowd.clients,
	         out->seconds > 0 ? (double)s->answered / out->seconds : 0, s->rate,
	         (unsigned long long)s->failed, codes[0] != '\0' ? " (" : "", codes,
	         codes[0] != '\0' ? ")" : "", (unsigned long long)n->retransmissions);
}

const struct storm_kind storm_allocate = {
	.name = "allocate",
	.help = "new allocations, up to as many as the duration takes",
	.rate = 100,
	.open = allocate_open,
	.close = close_lives,
	.turn = allocate_turn,
	.input = lives_input,
	.stop = lives_stop,
	.done = lives_done,
	.report = allocate_report,
};

/* --- churn --- */

static bool churn_open(struct storm *s)
{
	/* A client has one request at a time: enough of them for answers that take 20 ms. */
	const double want = s->rate / 50 + 4;

	return open_lives(s, want > CHURN_MAX ? CHURN_MAX : (uint32_t)want, 1, CHURN_POOL, 0);
}

static unsigned churn_turn(struct storm *s, uint64_t now_ns, unsigned due)
{
	static const enum fleet_churn turns[] = { FLEET_PERMIT, FLEET_BIND, FLEET_REBIND };
	struct lives *l = s->own;

	if (!s->stopped)
		begin(s, now_ns);
	for (unsigned i = 0; i < due; i++) {
		/* Nobody is free: what could not be done now is not done later either. */
		if (!fleet_churn(l->crowd.fleet, turns[l->moves % 3], CHURN_POOL, now_ns)) {
			s->skipped += due - i;
			break;
		}
		l->moves++;
	}
	return crowd_turn(&l->crowd, now_ns);
}

static void churn_report(const struct storm *s, struct report_storm *out)
{
	const struct lives *l = s->own;
	const struct fleet_counts *n = fleet_counts(l->crowd.fleet);
	char codes[96];

	input_codes(s, out);
	out->sent = l->moves;
	out->answered = n->churned;
	say_codes(out, codes, sizeof(codes));
	snprintf(out->said, sizeof(out->said),
	         "%.0f permissions and channels made a second (%.0f wanted) by %u clients, %llu of "
	         "%llu, %llu clients failed%s%s%s",
	         out->seconds > 0 ? (double)n->churned / out->seconds : 0, s->rate,
	         l->crowd.clients, (unsigned long long)n->churned, (unsigned long long)l->moves,
	         (unsigned long long)s->failed, codes[0] != '\0' ? " (" : "", codes,
	         codes[0] != '\0' ? ")" : "");
}

const struct storm_kind storm_churn = {
	.name = "churn",
	.help = "permissions and channels made anew all the time",
	.rate = 1000,
	.open = churn_open,
	.close = close_lives,
	.turn = churn_turn,
	.input = lives_input,
	.stop = lives_stop,
	.done = lives_done,
	.report = churn_report,
};

/* --- vanish --- */

static bool vanish_open(struct storm *s)
{
	const double want = s->rate * 2 + 4;
	struct lives *l;

	if (!open_lives(s, want > VANISH_MAX ? VANISH_MAX : (uint32_t)want, 1, 0, 0))
		return false;
	l = s->own;
	l->crowd.moves = true;
	return true;
}

static unsigned vanish_turn(struct storm *s, uint64_t now_ns, unsigned due)
{
	struct lives *l = s->own;
	uint32_t client;

	if (!s->stopped)
		begin(s, now_ns);
	while (!s->stopped && l->queued != 0 && now_ns - l->since[l->head] >= away_ns) {
		client = queue_take(l);
		l->crowd.life[client]++;
		l->back++;
		go_up(s, client, now_ns);
	}
	for (unsigned i = 0; i < due; i++) {
		if (!next_up(s, now_ns, &client)) {
			s->skipped += due - i;
			break;
		}
		l->life[client] = LIFE_AWAY;
		l->went++;
		fleet_go(l->crowd.fleet, FLEET_VANISH, client, 1, now_ns);
		queue_put(l, client, now_ns);
	}
	return crowd_turn(&l->crowd, now_ns);
}

static void vanish_report(const struct storm *s, struct report_storm *out)
{
	const struct lives *l = s->own;
	char codes[96];

	input_codes(s, out);
	say_codes(out, codes, sizeof(codes));
	snprintf(out->said, sizeof(out->said),
	         "%llu clients went without a word, %llu came back, %llu of them are up again, "
	         "every second one from another port%s%s",
	         (unsigned long long)l->went, (unsigned long long)l->back,
	         (unsigned long long)l->up_again, codes[0] != '\0' ? "; refused with " : "", codes);
}

const struct storm_kind storm_vanish = {
	.name = "vanish",
	.help = "clients that go without a word, then come back",
	.rate = 50,
	.open = vanish_open,
	.close = close_lives,
	.turn = vanish_turn,
	.input = lives_input,
	.stop = lives_stop,
	.done = lives_done,
	.report = vanish_report,
};
