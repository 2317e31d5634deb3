/* Goals, pace, timers: when a client moves. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkt-gen/fleet_parts.h"

enum { LATE_NS = 10000000 /* what is behind its pace by more is not made up for */ };

static const uint64_t MS = 1000000;

static void set_now(struct fleet *f, uint64_t now_ns)
{
	if (!f->started) {
		f->started = true;
		f->zero_ms = now_ns / MS;
	}
	if (now_ns > f->now_ns)
		f->now_ns = now_ns;
}

uint32_t fleet_ms(const struct fleet *f)
{
	return (uint32_t)(f->now_ns / MS - f->zero_ms);
}

/* Timers never fire early: a started millisecond counts. */
static void arm_in(struct fleet *f, uint32_t i, uint32_t ms)
{
	wheel_arm(&f->wheel, i, (uint32_t)((f->now_ns + MS - 1) / MS - f->zero_ms) + ms);
}

static uint64_t draw(struct fleet *f)
{
	/* splitmix64 */
	uint64_t z = f->random += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

uint32_t *fleet_renewals(const struct fleet *f, uint32_t i)
{
	return f->renew_ms + (size_t)i * f->cfg.peers;
}

static bool make(struct fleet *f)
{
	const size_t clients = f->cfg.clients > 0 ? f->cfg.clients : 1;
	const size_t peers = f->cfg.peers > 0 ? f->cfg.peers : 1;

	if (!fleet_key_open(f))
		return false;
	errno = ENOMEM;
	f->client = calloc(clients, sizeof(struct client));
	f->renew_ms = calloc(clients, peers * sizeof(uint32_t));
	f->rtt = histogram_new();
	if (f->client == NULL || f->renew_ms == NULL || f->rtt == NULL ||
	    !wheel_open(&f->wheel, f->cfg.clients))
		return false;
	for (uint32_t i = 0; i < f->cfg.clients; i++)
		f->client[i].realm = REALMS_MAX;
	return true;
}

struct fleet *fleet_new(const struct fleet_config *cfg)
{
	struct fleet *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->cfg = *cfg;
	if (f->cfg.rto_ms == 0)
		f->cfg.rto_ms = 500;
	f->random = cfg->seed;
	f->tag = (uint32_t)draw(f);
	f->gap_ns = cfg->rate > 0 ? (uint64_t)(1e9 / cfg->rate) : 0;
	if (!make(f)) {
		fleet_free(f);
		return NULL;
	}
	return f;
}

void fleet_free(struct fleet *f)
{
	if (f == NULL)
		return;
	for (uint32_t i = 0; f->client != NULL && i < f->cfg.clients; i++)
		fleet_forget_nonce(&f->client[i]);
	free(f->client);
	free(f->renew_ms);
	histogram_free(f->rtt);
	wheel_close(&f->wheel);
	fleet_key_close(f);
	free(f);
}

void fleet_on(struct fleet *f, fleet_told *fn, void *arg)
{
	f->told = fn;
	f->told_arg = arg;
}

/* --- phases --- */

static void leave_window(struct fleet *f, struct client *c)
{
	if ((c->flags & IN_WINDOW) != 0)
		f->in_window--;
	c->flags &= (uint8_t)~IN_WINDOW;
}

/* Every change of phase goes through here, so that the counts of now are right. */
static void set_phase(struct fleet *f, uint32_t i, enum phase to)
{
	struct client *c = &f->client[i];
	struct fleet_counts *n = &f->counts;
	uint64_t *const held[] = {
		[PHASE_REST] = NULL,
		[PHASE_WAITING] = &n->waiting,
		[PHASE_RISING] = &n->under_way,
		[PHASE_READY] = &n->ready,
		[PHASE_SINKING] = &n->under_way,
		[PHASE_FAILED] = &n->failed,
		[PHASE_LOST] = NULL,
	};

	/* In this order: another thread that looks never finds nobody on the way too early. */
	if (held[to] != NULL)
		++*held[to];
	if (held[c->phase] != NULL)
		--*held[c->phase];
	c->phase = (uint8_t)to;
	c->doing = DO_NOTHING;
	if (to != PHASE_RISING && to != PHASE_SINKING)
		leave_window(f, c);
	if (to == PHASE_WAITING)
		wheel_queue(&f->wheel, i, WHEEL_WAITING);
	else
		wheel_remove(&f->wheel, i);
}

static void tell(struct fleet *f, enum fleet_event what, uint32_t i)
{
	if (f->told != NULL)
		f->told(f->told_arg, what, i);
}

void fleet_begin(struct fleet *f, uint32_t i, enum doing doing)
{
	struct client *c = &f->client[i];

	c->doing = (uint8_t)doing;
	c->seq++;
	c->sends = 0;
	c->bare = 0;
	f->counts.transactions++;
	if (c->phase != PHASE_READY && (c->flags & IN_WINDOW) == 0) {
		c->flags |= IN_WINDOW;
		f->in_window++;
	}
	wheel_queue(&f->wheel, i, WHEEL_DUE);
}

void fleet_park(struct fleet *f, uint32_t i, uint32_t ms)
{
	f->client[i].doing = DO_NOTHING;
	leave_window(f, &f->client[i]);
	arm_in(f, i, ms);
}

/* There is, or may be, an allocation of its own at the server. */
static bool has_something(const struct fleet *f, const struct client *c)
{
	return (c->flags & PERHAPS) != 0 ||
	       ((c->flags & ALLOCATED) != 0 && fleet_ms(f) < c->end_ms);
}

static void rest(struct fleet *f, uint32_t i)
{
	set_phase(f, i, f->client[i].goal == FLEET_UP ? PHASE_WAITING : PHASE_REST);
}

void fleet_gone(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];

	c->flags &= (uint8_t) ~(ALLOCATED | PERHAPS);
	f->counts.gone++;
	rest(f, i);
}

void fleet_fail(struct fleet *f, uint32_t i)
{
	const enum phase was = (enum phase)f->client[i].phase;

	if (was == PHASE_SINKING) {
		rest(f, i);
	} else if (was == PHASE_RISING && f->client[i].goal == FLEET_DOWN) {
		set_phase(f, i, has_something(f, &f->client[i]) ? PHASE_WAITING : PHASE_REST);
	} else if (was == PHASE_RISING) {
		set_phase(f, i, PHASE_FAILED);
		tell(f, FLEET_FAILED, i);
	} else if (was == PHASE_READY) {
		f->counts.lost++;
		set_phase(f, i, PHASE_LOST);
		tell(f, FLEET_LOST, i);
	}
}

/* --- what comes next --- */

/* Binds or permits the next peer, or those that go with it; false: it is not known yet. */
static bool next_peer(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];

	if (f->cfg.channels) {
		if (f->cfg.peer_at(f->cfg.arg, i, c->peer).port == 0)
			return false;
		c->batch = 1;
		fleet_begin(f, i, DO_BIND);
		return true;
	}
	c->batch = (uint8_t)fleet_ask_batch(f, i, c->peer);
	if (c->batch == 0)
		return false;
	fleet_begin(f, i, DO_PERMIT);
	return true;
}

static void become_ready(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];

	set_phase(f, i, PHASE_READY);
	c->peer = 0;
	f->counts.last_s = (double)f->now_ns / 1e9;
	fleet_step(f, i);
	tell(f, FLEET_READY, i);
}

static void step_rising(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];

	if (c->goal == FLEET_DOWN) /* it only waited for Allocate to be answered */
		set_phase(f, i, has_something(f, c) ? PHASE_WAITING : PHASE_REST);
	else if ((c->flags & ALLOCATED) == 0)
		fleet_begin(f, i, DO_ALLOCATE);
	else if (fleet_ms(f) >= c->refresh_ms)
		fleet_begin(f, i, DO_REFRESH);
	else if (c->peer >= f->cfg.peers)
		become_ready(f, i);
	else if (next_peer(f, i))
		c->asked = 0;
	else
		fleet_park(f, i, c->asked < 6 ? ASK_AGAIN_MS << c->asked++ : 1000);
}

static void step_ready(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];
	uint32_t *renew_ms = fleet_renewals(f, i) + c->peer;
	const uint32_t now_ms = fleet_ms(f);

	if (now_ms >= c->refresh_ms) {
		fleet_begin(f, i, DO_REFRESH);
		return;
	}
	/* They were bound in order and are renewed in order: the first is due first. */
	if (f->cfg.peers > 0 && now_ms >= *renew_ms) {
		if (next_peer(f, i))
			return;
		*renew_ms = now_ms + 1000; /* its address is being looked for */
	}
	wheel_arm(&f->wheel, i,
	          f->cfg.peers > 0 && *renew_ms < c->refresh_ms ? *renew_ms : c->refresh_ms);
}

void fleet_step(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];

	c->doing = DO_NOTHING;
	if (c->phase == PHASE_RISING)
		step_rising(f, i);
	else if (c->phase == PHASE_READY)
		step_ready(f, i);
	else if (c->phase == PHASE_SINKING)
		fleet_begin(f, i, DO_DELETE);
}

/* --- goals --- */

/* An Allocate is under way that a server may grant. */
static bool may_allocate(const struct fleet *f, const struct client *c)
{
	return c->doing == DO_ALLOCATE && c->sends > 0 &&
	       (fleet_signs(f, c) || f->cfg.user == NULL);
}

/* Drops the transaction under way, which may have worked all the same. */
static void abandon(struct fleet *f, struct client *c)
{
	if (c->sends == 0)
		c->doing = DO_NOTHING;
	if (may_allocate(f, c))
		c->flags |= PERHAPS;
	if (c->doing == DO_DELETE) {
		c->flags &= (uint8_t)~ALLOCATED;
		c->flags |= PERHAPS;
	}
	c->doing = DO_NOTHING;
}

static void go_down(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];

	if (c->phase == PHASE_SINKING)
		return;
	/* An Allocate under way is waited for: it may be served after the Refresh. */
	if (c->phase == PHASE_RISING && (c->doing == DO_CLEAR || may_allocate(f, c)))
		return;
	if (!has_something(f, c))
		set_phase(f, i, PHASE_REST);
	else if (c->phase != PHASE_WAITING)
		set_phase(f, i, PHASE_WAITING);
}

static void forget(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];

	fleet_forget_nonce(c);
	c->realm = REALMS_MAX;
	c->relay_port = 0;
	c->flags = 0;
	memset(fleet_renewals(f, i), 0, f->cfg.peers * sizeof(uint32_t));
}

static void go(struct fleet *f, uint32_t i, enum fleet_goal goal)
{
	struct client *c = &f->client[i];

	f->counts.wanted += (uint64_t)(goal == FLEET_UP) - (uint64_t)(c->goal == FLEET_UP);
	c->goal = (uint8_t)goal;
	switch (goal) {
	case FLEET_UP:
		if (c->phase == PHASE_REST || c->phase == PHASE_FAILED || c->phase == PHASE_LOST)
			set_phase(f, i, PHASE_WAITING);
		break;
	case FLEET_DOWN: go_down(f, i); break;
	case FLEET_REST:
		abandon(f, c);
		set_phase(f, i, PHASE_REST);
		break;
	case FLEET_VANISH:
		set_phase(f, i, PHASE_REST);
		forget(f, i);
		break;
	}
}

void fleet_go(struct fleet *f, enum fleet_goal goal, uint32_t first, uint32_t n, uint64_t now_ns)
{
	set_now(f, now_ns);
	for (uint32_t i = first; i < f->cfg.clients && i - first < n; i++)
		go(f, i, goal);
}

/* A client whose turn it is sets out for its goal. */
static void set_out(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];

	if (f->counts.transactions == 0)
		f->counts.first_s = f->counts.last_s = (double)f->now_ns / 1e9;
	if (f->gap_ns != 0) {
		if (f->next_start_ns + LATE_NS < f->now_ns)
			f->next_start_ns = f->now_ns;
		f->next_start_ns += f->gap_ns;
	}
	c->tries = c->stale = c->asked = 0;
	c->peer = 0;
	if (c->goal == FLEET_DOWN && !has_something(f, c)) {
		set_phase(f, i, PHASE_REST);
		return;
	}
	if ((c->flags & ALLOCATED) != 0 && fleet_ms(f) >= c->end_ms)
		c->flags &= (uint8_t)~ALLOCATED;
	set_phase(f, i, c->goal == FLEET_DOWN ? PHASE_SINKING : PHASE_RISING);
	fleet_step(f, i);
}

bool fleet_churn(struct fleet *f, enum fleet_churn what, uint32_t pool, uint64_t now_ns)
{
	const uint32_t n = f->cfg.clients;
	uint32_t i, looked = 0;

	set_now(f, now_ns);
	if (n == 0 || (what == FLEET_REBIND ? f->cfg.peers : pool) == 0)
		return false;
	for (i = (uint32_t)(draw(f) % n); looked < 64 && looked < n; i = (i + 1) % n, looked++) {
		struct client *c = &f->client[i];

		if (c->phase != PHASE_READY || c->doing != DO_NOTHING)
			continue;
		c->extra = what == FLEET_REBIND ? (uint32_t)(draw(f) % f->cfg.peers)
		                                : f->cfg.peers + (uint32_t)(draw(f) % pool);
		if (f->cfg.peer_at(f->cfg.arg, i, c->extra).port == 0)
			continue;
		fleet_begin(f, i,
		            what == FLEET_BIND || (what == FLEET_REBIND && f->cfg.channels)
		                    ? DO_CHURN_BIND
		                    : DO_CHURN_PERMIT);
		return true;
	}
	return false;
}

/* --- time --- */

static void timed_out(struct fleet *f, uint32_t i)
{
	struct client *c = &f->client[i];
	const enum doing doing = (enum doing)c->doing;
	const uint32_t now_ms = fleet_ms(f);
	const uint32_t lapse_ms = doing == DO_REFRESH || f->cfg.peers == 0
	                                  ? c->end_ms
	                                  : fleet_renewals(f, i)[c->peer] + LAPSE_MS - RENEW_MS;

	if (c->bare != 0) {
		fleet_refused(f, i, c->bare);
		return;
	}
	f->counts.timeouts++;
	abandon(f, c);
	if (doing == DO_CHURN_BIND || doing == DO_CHURN_PERMIT ||
	    (c->phase == PHASE_READY && now_ms < c->end_ms && now_ms < lapse_ms))
		fleet_step(f, i);
	else
		fleet_fail(f, i);
}

static void send(struct fleet *f, uint32_t i, struct fleet_datagram *out)
{
	struct client *c = &f->client[i];

	if (c->sends == 0)
		c->first_ns = f->now_ns;
	else
		f->counts.retransmissions++;
	c->sends++;
	arm_in(f, i,
	       c->sends < SENDS ? f->cfg.rto_ms << (c->sends - 1) : f->cfg.rto_ms * LAST_WAIT);
	out->client = i;
	out->len = (uint16_t)fleet_ask(f, i, out->octets, sizeof(out->octets));
}

static bool may_start(const struct fleet *f)
{
	return wheel_first(&f->wheel, WHEEL_WAITING) != WHEEL_NONE &&
	       (f->cfg.window == 0 || f->in_window < f->cfg.window);
}

/* The next client that does something; WHEEL_NONE: none. Those that go on and those that set out
 * take turns. */
static uint32_t next_client(struct fleet *f)
{
	const uint32_t due = wheel_first(&f->wheel, WHEEL_DUE);
	const bool starts = may_start(f) && f->now_ns >= f->next_start_ns;

	if (due != WHEEL_NONE && (!starts || !f->turn)) {
		f->turn = true;
		wheel_remove(&f->wheel, due);
		if (f->client[due].doing == DO_NOTHING)
			fleet_step(f, due);
		return due;
	}
	if (!starts)
		return WHEEL_NONE;
	f->turn = false;

	const uint32_t i = wheel_first(&f->wheel, WHEEL_WAITING);
	set_out(f, i);
	return i;
}

unsigned fleet_poll(struct fleet *f, uint64_t now_ns, struct fleet_datagram *out, unsigned n)
{
	unsigned filled = 0;
	uint32_t i;

	set_now(f, now_ns);
	wheel_advance(&f->wheel, fleet_ms(f));
	while (filled < n && (i = next_client(f)) != WHEEL_NONE) {
		const struct client *c = &f->client[i];

		if (c->doing == DO_NOTHING)
			continue;
		if (c->sends == SENDS) {
			timed_out(f, i);
			continue;
		}
		send(f, i, &out[filled]);
		if (out[filled].len > 0)
			filled++;
	}
	return filled;
}

uint64_t fleet_next_ns(const struct fleet *f)
{
	uint64_t at_ns = UINT64_MAX;
	uint32_t at_ms;

	if (wheel_first(&f->wheel, WHEEL_DUE) != WHEEL_NONE)
		return 0;
	if (may_start(f))
		at_ns = f->next_start_ns;
	if (wheel_next(&f->wheel, &at_ms) && (f->zero_ms + at_ms) * MS < at_ns)
		at_ns = (f->zero_ms + at_ms) * MS;
	return at_ns;
}

/* --- what it has --- */

const struct fleet_counts *fleet_counts(const struct fleet *f)
{
	return &f->counts;
}

const struct histogram *fleet_rtt(const struct fleet *f)
{
	return f->rtt;
}

bool fleet_relayed(const struct fleet *f, uint32_t client, struct endpoint *out)
{
	const struct client *c = &f->client[client];

	if (client >= f->cfg.clients || (c->flags & ALLOCATED) == 0 || c->relay_port == 0)
		return false;
	*out = (struct endpoint){ c->relay, c->relay_port };
	return true;
}

uint16_t fleet_channel(const struct fleet *f, uint32_t client, uint32_t peer)
{
	const struct client *c = &f->client[client];

	if (client >= f->cfg.clients || peer >= f->cfg.peers || !f->cfg.channels ||
	    (c->flags & ALLOCATED) == 0 || fleet_renewals(f, client)[peer] == 0)
		return 0;
	return fleet_number(f, client, peer);
}

bool fleet_is_ready(const struct fleet *f, uint32_t client)
{
	return client < f->cfg.clients && f->client[client].phase == PHASE_READY;
}
