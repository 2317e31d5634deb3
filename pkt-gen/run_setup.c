/* Neighbours and allocations: set up before, taken down after. */
#include <stdlib.h>
#include <time.h>

#include "crypto.h"
#include "pkt-gen/place.h"
#include "pkt-gen/run_parts.h"

enum {
	READY_MS = 6000,
	SERVER_MS = 4000,
	LEAVE_MS = 8000, /* Refresh of zero: two retransmissions and a little */
	TURN_MS = 20,
	REST_LIFE_S = 86400,
};

static struct endpoint client_at(void *arg, uint32_t client)
{
	const struct run *r = arg;

	return place_client(r->options, client);
}

/*
 * Client to client: peer p of client c is client c XOR (p + 1), so that c is peer p of its peer and
 * both have a permission for each other.
 */
static struct endpoint peer_at(void *arg, uint32_t client, uint32_t peer)
{
	const struct run *r = arg;
	struct endpoint at = { .port = 0 };

	if (r->options->direction != DIRECTION_C2C)
		return place_peer(r->options, client, peer);
	if (!fleet_relayed(r->fleet, client ^ (peer + 1), &at))
		at.port = 0;
	return at;
}

/* TURN-195: "TIME:NAME", and its HMAC as the password. */
static void mint(struct run *r)
{
	const struct options *o = r->options;
	char password[CRYPTO_BASE64_SHA1 + 1];
	struct crypto_hmac_sha1 key;

	if (o->rest_secret == NULL) {
		snprintf(r->user, sizeof(r->user), "%s", o->user != NULL ? o->user : "");
		snprintf(r->password, sizeof(r->password), "%s",
		         o->password != NULL ? o->password : "");
		return;
	}
	snprintf(r->user, sizeof(r->user), "%lld:%s", (long long)time(NULL) + REST_LIFE_S, o->user);
	crypto_hmac_sha1_key(&key, o->rest_secret, strlen(o->rest_secret));
	crypto_rest_password(&key, r->user, strlen(r->user), password);
	snprintf(r->password, sizeof(r->password), "%s", password);
	crypto_wipe(&key, sizeof(key));
	crypto_wipe(password, sizeof(password));
}

static bool wait_for_links(struct run *r)
{
	const uint64_t until = run_now_ns() + READY_MS * UINT64_C(1000000);

	r->what = "waiting for links";
	while (!link_ready(r->link) && !run_stopped()) {
		if (run_now_ns() > until) {
			run_fail(r, "the links do not come up");
			return false;
		}
		run_nap(TURN_MS);
	}
	return true;
}

static bool find_server(struct run *r)
{
	const struct options *o = r->options;
	const struct prefix clients = place_of_clients(o);
	char text[ENDPOINT_TEXT_MAX];

	r->server = o->server[o->client_family == 4 ? 0 : 1];
	r->what = "looking for the server";
	for (uint64_t until = run_now_ns() + SERVER_MS * UINT64_C(1000000); !run_stopped();) {
		if (link_next_hop(r->link, &clients.addr, &r->server.addr, 200, r->server_macs,
		                  &r->server_lane))
			return true;
		if (run_now_ns() > until)
			break;
	}
	if (!run_stopped())
		run_fail(r, "nobody answers on the way to %s: is it up, and is there a route?",
		         endpoint_print(&r->server, text));
	return false;
}

/* --- the fleet --- */

static void begin(struct run *r, void *arg)
{
	r->fleet = arg;
}

static void send_out(struct run *r, void *arg)
{
	const uint32_t *n = arg;

	fleet_go(r->fleet, FLEET_UP, r->grown, *n - r->grown, run_now_ns());
}

/* What most were refused with; 0: with nothing. */
static unsigned worst_of(const struct fleet_counts *c)
{
	unsigned worst = 0;

	for (unsigned code = 1; code < sizeof(c->error) / sizeof(c->error[0]); code++)
		if (c->error[code] > (worst != 0 ? c->error[worst] : 0))
			worst = code;
	return worst;
}

static void say_failed(struct run *r, const struct fleet_counts *c)
{
	const unsigned worst = worst_of(c);

	if (worst != 0)
		run_fail(r, "%llu of %u clients failed; the server said %u to %llu requests",
		         (unsigned long long)c->failed, r->grown, worst,
		         (unsigned long long)c->error[worst]);
	else
		run_fail(r, "%llu of %u clients failed; %llu requests were never answered",
		         (unsigned long long)c->failed, r->grown, (unsigned long long)c->timeouts);
}

static void note_setup(struct run *r)
{
	const struct fleet_counts *c = fleet_counts(r->fleet);

	r->report->has_setup = true;
	r->report->setup = *c;
	/* Between the steps of a search for calls media runs. */
	r->report->setup_s =
		r->options->find == FIND_CAPACITY ? r->grown_s : c->last_s - c->first_s;
	r->report->setup_rtt = report_latency(fleet_rtt(r->fleet));
}

static struct fleet *make_fleet(struct run *r)
{
	const struct options *o = r->options;
	const struct fleet_config cfg = { .server = r->server,
		                          .user = r->user,
		                          .password = r->password,
		                          .rest_secret = o->rest_secret, /* each name has its own */
		                          .clients = o->clients,
		                          .peers = o->peers,
		                          .channels = o->wrap != OPTION_SEND,
		                          .rfc5766_channels = o->old_channels,
		                          .relayed_ipv6 = o->peer_family == 6,
		                          .lifetime_s = o->lifetime_s,
		                          .rate = o->setup_rate,
		                          .window = o->setup_window,
		                          .rto_ms = 500,
		                          .seed = o->seed ^ run_now_ns(),
		                          /* A run that was killed may have left its own. */
		                          .mismatch = FLEET_MISMATCH_DELETE,
		                          .client_at = client_at,
		                          .peer_at = peer_at,
		                          .arg = r };

	return fleet_new(&cfg);
}

static bool set_fleet_up(struct run *r)
{
	struct fleet *f = make_fleet(r);
	unsigned code;

	if (f == NULL) {
		run_fail(r, "no memory for %u clients", r->options->clients);
		return false;
	}
	run_ask(r, begin, f);
	if (r->options->find == FIND_CAPACITY)
		return true; /* as many as it asks for, step by step */
	return run_grow(r, r->options->clients, &code);
}

bool run_grow(struct run *r, uint32_t n, unsigned *code)
{
	const struct fleet_counts *c = fleet_counts(r->fleet);
	const uint64_t began = run_now_ns(), failed = c->failed;
	const uint32_t from = r->grown;
	const struct tally none = { 0 };
	char text[ENDPOINT_TEXT_MAX];

	if (n > r->options->clients)
		n = r->options->clients;
	if (n > from) {
		run_ask(r, send_out, &n);
		r->grown = n;
	}
	while ((c->waiting > 0 || c->under_way > 0) && !run_stopped()) {
		const double done =
			n > from ? 1 - (double)(c->waiting + c->under_way) / (n - from) : 1;
		const double s = (double)(run_now_ns() - began) / 1e9;

		/* The others would learn the same, a window of them every 40 s. */
		if (c->answered == 0 && c->timeouts > 0) {
			*code = 0;
			run_fail(r, "no TURN server answers at %s",
			         endpoint_print(&r->server, text));
			return false;
		}
		live_show(r->live, "allocating", &none, s, done, done > 0.02 ? s / done - s : 0);
		run_nap(TURN_MS);
	}
	r->grown_s += (double)(run_now_ns() - began) / 1e9;
	note_setup(r);
	if (c->failed > failed && r->options->find != FIND_CAPACITY)
		say_failed(r, c);
	*code = worst_of(c);
	return c->ready > 0;
}

bool run_setup(struct run *r)
{
	const struct options *o = r->options;

	mint(r);
	if (!wait_for_links(r) || run_stopped())
		return false;
	if (o->bias || o->setup != SETUP_TURN) {
		r->server = o->server[o->client_family == 4 ? 0 : 1];
		return true;
	}
	if (!find_server(r))
		return false;
	return r->n_bindings == 0 || set_fleet_up(r);
}

static void leave(struct run *r, void *arg)
{
	(void)arg;
	fleet_go(r->fleet, FLEET_DOWN, 0, r->grown, run_now_ns());
}

static void forget(struct run *r, void *arg)
{
	struct fleet **f = arg;

	*f = r->fleet;
	r->fleet = NULL;
}

void run_teardown(struct run *r)
{
	const uint64_t until = run_now_ns() + LEAVE_MS * UINT64_C(1000000);
	const struct tally none = { 0 };
	struct fleet *f = NULL;

	if (r->fleet == NULL)
		return;
	if (!run_hurried() && r->grown > 0)
		run_ask(r, leave, NULL);
	while (!run_hurried()) {
		const struct fleet_counts *c = fleet_counts(r->fleet);

		if (c->waiting == 0 && c->under_way == 0)
			break;
		if (run_now_ns() > until) {
			fprintf(stderr,
			        "turnpike-gen: %llu allocations were not given up in time\n",
			        (unsigned long long)(c->waiting + c->under_way));
			break;
		}
		live_show(r->live, "taking leave", &none, 0, -1, 0);
		run_nap(TURN_MS);
	}
	run_ask(r, forget, &f);
	fleet_free(f);
	crypto_wipe(r->password, sizeof(r->password));
}
