/*
 * Who listens to events at the control socket: what comes to whom, and what becomes of those who do
 * not read. One thread: the test turns the loop, and owns the clock.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "control/ctl/client.h"
#include "control/ctl/socket.h"
#include "control/loop.h"
#include "engine_stub.h"
#include "log.h"
#include "tests/support.h"

static const char config_text[] =
	"ports: [{ device: \"af_packet:eth0\", addresses: [198.18.0.1/24] }]\n"
	"listeners: [198.18.0.1:3478]\n"
	"relay: { addresses: [198.18.0.1] }\n"
	"auth: { realm: example.org, users: { alice: wonderland } }\n"
	"run-dir: %s\n";

/* Seconds by which everything in this process is ahead: libevent's timers, too. */
static time_t ahead_s;

int clock_gettime(clockid_t id, struct timespec *at)
{
	const long rc = syscall(SYS_clock_gettime, id, at);

	if (rc == 0 && id != CLOCK_REALTIME)
		at->tv_sec += ahead_s;
	return (int)rc;
}

static struct {
	char dir[64], file[96], path[96];
	struct control *c;
	struct turn_server *turn;
	struct store *store;
} rig;

static void begin(void)
{
	struct config_error err = { "" };
	char path[128];
	bool found;

	strcpy(rig.dir, "/tmp/turnpike-listen-XXXXXX");
	CHECK(mkdtemp(rig.dir) != NULL, "a directory");
	snprintf(rig.file, sizeof(rig.file), "%s/turnpike.yaml", rig.dir);
	snprintf(rig.path, sizeof(rig.path), "%s/control.sock", rig.dir);
	FILE *const f = fopen(rig.file, "w");

	fprintf(f, config_text, rig.dir);
	fclose(f);
	struct config *const cfg = config_load(rig.file, CONFIG_ALL, &err);

	snprintf(path, sizeof(path), "%s/store", rig.dir);
	CHECK(cfg && store_open(&rig.store, path, 16, &found) == 0, err.text);
	rig.turn = stub_new();
	rig.c = loop_new(cfg, rig.store, rig.turn, stub_random, &err);
	CHECK(rig.c && rig.c->sessions, err.text);
	struct abi_relay relay = { .id = 0, .port_min = 49152, .port_max = 65535, .live = 1 };
	const struct addr at = addr_from4((const uint8_t[]){ 198, 18, 0, 1 });

	memcpy(relay.ip, at.ip, 16);
	memcpy(relay.advertise, at.ip, 16);
	session_set_tables(rig.c->sessions, &relay, 1, loop_now_ms());
	session_sync(rig.c->sessions, loop_now_ms());
}

static void end(void)
{
	loop_free(rig.c);
	turn_free(rig.turn);
	store_close(rig.store, false);
	unlink(rig.file);
	CHECK(rmdir(rig.dir) == 0, "nothing is left");
}

static void turn_loop(void)
{
	for (unsigned i = 0; i < 20; i++)
		event_base_loop(rig.c->base, EVLOOP_NONBLOCK);
}

static uint64_t counter(enum control_stat which)
{
	return rig.c->stats.count[which];
}

/* --- clients --- */

struct listener {
	int fd;
	char *octets; /* what came and was not taken yet */
	size_t len;
	bool ended;
};

static struct listener dial(void)
{
	struct client_error err;
	const struct listener l = { .fd = client_connect(rig.path, &err) };

	CHECK(l.fd >= 0, err.text);
	turn_loop();
	return l;
}

static void hang_up(struct listener *l)
{
	close(l->fd);
	free(l->octets);
	l->octets = NULL;
	turn_loop();
}

/* Reads what is there. */
static void collect(struct listener *l)
{
	static char some[1 << 18];

	for (;;) {
		turn_loop();
		const ssize_t n = recv(l->fd, some, sizeof(some), MSG_DONTWAIT);

		l->ended |= n == 0;
		if (n <= 0)
			return;
		l->octets = realloc(l->octets, l->len + (size_t)n);
		memcpy(l->octets + l->len, some, (size_t)n);
		l->len += (size_t)n;
	}
}

/* The next line as JSON; NULL: there is none. */
static json_t *next(struct listener *l)
{
	collect(l);
	const char *const newline = l->len ? memchr(l->octets, '\n', l->len) : NULL;

	if (!newline)
		return NULL;
	const size_t n = (size_t)(newline - l->octets);
	json_t *const line = json_loadb(l->octets, n, 0, NULL);

	CHECK(line != NULL, "each line is JSON");
	l->len -= n + 1;
	memmove(l->octets, newline + 1, l->len);
	return line;
}

static unsigned count_lines(struct listener *l)
{
	unsigned n = 0;

	for (json_t *line; (line = next(l)); n++)
		json_decref(line);
	return n;
}

static void ask(struct listener *l, const char *method, const char *params)
{
	char line[512];
	const int n = snprintf(line, sizeof(line),
	                       "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"%s\",\"params\":%s}\n",
	                       method, params);

	CHECK(send(l->fd, line, (size_t)n, MSG_NOSIGNAL) == n, "asked");
}

/* true: it has the result. */
static bool answered(struct listener *l)
{
	json_t *const reply = next(l);
	const bool good = json_object_get(reply, "result") &&
	                  json_integer_value(json_object_get(reply, "id")) == 5;

	json_decref(reply);
	return good;
}

static struct listener listen_to(const char *params)
{
	struct listener l = dial();

	ask(&l, "session events", params);
	CHECK(answered(&l), "listening");
	return l;
}

/* The next line is a notification of this event; the session it is about, 0: it is not. */
static json_int_t hear(struct listener *l, const char *event)
{
	json_t *const line = next(l);
	const json_t *const p = json_object_get(line, "params");
	const char *const method = json_string_value(json_object_get(line, "method")),
			  *const got = json_string_value(json_object_get(p, "event"));
	json_int_t session = 0;

	if (method && strcmp(method, "session.event") == 0 && !json_object_get(line, "id") && got &&
	    strcmp(got, event) == 0)
		session = json_integer_value(json_object_get(p, "session"));
	json_decref(line);
	return session;
}

/* --- what happens --- */

/* Carries a command out as an admin does, over another way; the result is the caller's. */
static json_t *command(const char *method, const char *params)
{
	char line[512];
	const int n = snprintf(line, sizeof(line),
	                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
	                       method, params);
	size_t len = 0;
	char *const text = ctl_answer(rig.c, CTL_ADMIN, line, (size_t)n, &len);
	json_t *const reply = json_loadb(text, len, 0, NULL);
	json_t *const result = json_incref(json_object_get(reply, "result"));

	CHECK(result != NULL, method);
	free(text);
	json_decref(reply);
	turn_loop();
	return result;
}

static json_int_t create(void)
{
	json_t *const result = command("session create", "{}");
	const json_int_t id = json_integer_value(json_object_get(result, "id"));

	json_decref(result);
	return id;
}

static void delete (json_int_t id)
{
	char params[64];

	snprintf(params, sizeof(params), "{\"id\":%lld}", (long long)id);
	json_decref(command("session delete", params));
}

static void tell(uint64_t session)
{
	json_t *const said =
		json_pack("{s:s, s:s, s:{s:s, s:I}}", "jsonrpc", "2.0", "method", "session.event",
	                  "params", "event", "state", "session", (json_int_t)session);

	ctl_socket_tell(rig.c->ctl, session, said);
	json_decref(said);
}

/* --- cases --- */

static void test_life(void)
{
	begin();
	struct listener l = listen_to("{}"), deaf = dial();
	json_t *const made = command("session create", "{\"legs\":2}");
	const json_int_t id = json_integer_value(json_object_get(made, "id"));
	const json_t *leg, *candidate;
	size_t i, k;

	CHECK(hear(&l, "created") == id, "made");
	json_array_foreach(json_object_get(made, "legs"), i, leg)
	{
		CHECK(hear(&l, "state") == id, "gathering");
		json_array_foreach(json_object_get(leg, "candidates"), k, candidate)
		{
			json_t *const line = next(&l);
			const json_t *const p = json_object_get(line, "params");

			CHECK(json_equal(json_object_get(p, "candidate"), candidate),
			      "each candidate, as the command told it");
			CHECK(json_integer_value(json_object_get(p, "leg")) == (json_int_t)i + 1,
			      "of which leg");
			json_decref(line);
		}
		CHECK(k > 0, "there are some");
	}
	json_decref(made);
	count_lines(&l);
	delete (id);
	session_on_hangup(rig.c->sessions, loop_now_ms()); /* its rows are gone */
	loop_pump(rig.c);
	bool ended = false;

	for (json_t *line; (line = next(&l)); json_decref(line))
		ended |= strcmp(json_string_value(
					json_object_get(json_object_get(line, "params"), "event")),
		                "ended") == 0;
	CHECK(ended, "and its end");
	CHECK(count_lines(&deaf) == 0, "who did not ask hears nothing");
	hang_up(&deaf);
	hang_up(&l);
	end();
}

static void test_one_session(void)
{
	char params[64];

	begin();
	const json_int_t id[] = { create(), create(), create() };

	snprintf(params, sizeof(params), "{\"session\":%lld}", (long long)id[1]);
	struct listener one = listen_to(params), all = listen_to("{}");

	for (unsigned i = 0; i < 3; i++)
		tell((uint64_t)id[i]);
	for (unsigned i = 0; i < 3; i++)
		CHECK(hear(&all, "state") == id[i], "all");
	CHECK(hear(&one, "state") == id[1], "of that one");
	CHECK(count_lines(&one) == 0 && count_lines(&all) == 0, "once each");
	hang_up(&one);
	hang_up(&all);
	end();
}

/* Asking again changes what is listened to, and nothing is heard twice. */
static void test_again(void)
{
	begin();
	struct listener l = listen_to("{\"session\":1}");

	ask(&l, "session events", "{\"session\":2}");
	CHECK(answered(&l), "again");
	CHECK(ctl_socket_listeners(rig.c->ctl) == 1, "one listener");
	tell(1);
	tell(2);
	CHECK(hear(&l, "state") == 2 && count_lines(&l) == 0, "the second one only");
	ask(&l, "status", "{}");
	CHECK(answered(&l), "other things may be asked on the same connection");
	hang_up(&l);
	CHECK(ctl_socket_listeners(rig.c->ctl) == 0, "gone");
	tell(2); /* to nobody */
	end();
}

/* A refused subscription is none. */
static void test_refused(void)
{
	begin();
	struct listener l = dial();

	ask(&l, "session events", "{\"session\":0}");
	json_t *const reply = next(&l);

	CHECK(json_object_get(reply, "error") != NULL, "no session has this number");
	CHECK(ctl_socket_listeners(rig.c->ctl) == 0, "nobody listens");
	json_decref(reply);
	tell(1);
	CHECK(count_lines(&l) == 0, "and nothing is told");
	hang_up(&l);
	end();
}

/* More than the relay keeps for one; the one that reads misses nothing. */
static void test_slow(void)
{
	enum { BATCH = 500, ROUNDS = 60 };
	const uint64_t slow_before = (begin(), counter(CONTROL_CTL_SLOW));
	struct listener slow = listen_to("{}"), quick = listen_to("{}");
	unsigned heard = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned k = 0; k < BATCH; k++)
			tell(i * BATCH + k + 1);
		heard += count_lines(&quick);
	}
	CHECK(heard == ROUNDS * BATCH, "who reads hears everything");
	CHECK(counter(CONTROL_CTL_SLOW) == slow_before + 1, "let go, counted once");
	collect(&slow);
	const size_t kept = slow.len;
	json_t *last = NULL;
	unsigned n = 0;

	for (json_t *line; (line = next(&slow)); n++) {
		json_decref(last);
		last = line;
	}
	CHECK(kept < CTL_UNREAD_MAX + (1 << 20) && n < heard, "what was kept for it is bounded");
	CHECK(n > 1000, "and was not thrown away");
	const char *const text =
		json_string_value(json_object_get(json_object_get(last, "error"), "message"));

	CHECK(text && strstr(text, "not read in time"), "it learns why");
	CHECK(slow.ended, "then the end");
	CHECK(ctl_socket_listeners(rig.c->ctl) == 1, "the other one goes on");
	json_decref(last);
	hang_up(&slow);
	hang_up(&quick);
	end();
}

/* Who takes nothing at all is gone 10 s later, whether or not there is more to tell. */
static void test_stuck(void)
{
	begin();
	const uint64_t before = counter(CONTROL_CTL_SLOW);
	struct listener dismissed = listen_to("{}");

	for (unsigned i = 0; i < 30000; i++)
		tell(1);
	turn_loop();
	CHECK(counter(CONTROL_CTL_SLOW) == before + 1, "dismissed");
	struct listener stuck = listen_to("{}");

	for (unsigned i = 0; i < 6000; i++) /* more than a socket takes, less than is kept */
		tell(1);
	turn_loop();
	CHECK(ctl_socket_listeners(rig.c->ctl) == 2, "both are there");
	ahead_s += CTL_WRITE_TIMEOUT_S + 1;
	turn_loop();
	CHECK(ctl_socket_listeners(rig.c->ctl) == 0, "both are gone");
	CHECK(counter(CONTROL_CTL_SLOW) == before + 2, "each counted once");
	hang_up(&dismissed);
	hang_up(&stuck);
	end();
}

/* Hours may pass without an event: that is no reason to hang up, on those who listen. */
static void test_idle(void)
{
	begin();
	struct listener l = listen_to("{}"), idle = dial();

	ahead_s += CTL_READ_TIMEOUT_S + 1;
	turn_loop();
	collect(&idle);
	CHECK(idle.ended, "who neither asks nor listens is let go");
	ahead_s += 24 * 3600;
	tell(9);
	CHECK(hear(&l, "state") == 9 && !l.ended, "the listener still hears");
	hang_up(&idle);
	hang_up(&l);
	end();
}

/* More at once than are kept: every listener learns how many it did not hear, then hears the rest.
 */
static void test_lost(void)
{
	begin();
	const json_int_t id = create();
	struct listener all = listen_to("{}"), other = listen_to("{\"session\":77}");

	for (unsigned i = 0; i < 5000; i++) {
		CHECK(session_restart(rig.c->sessions, (uint64_t)id, 1, loop_now_ms()) ==
		              SESSION_OK,
		      "restarted");
		while (stub_waiting(rig.turn))
			turn_pop_action(rig.turn);
	}
	loop_pump(rig.c);
	json_t *const first = next(&all), *const same = next(&other);
	const json_t *const p = json_object_get(first, "params");
	const char *const event = json_string_value(json_object_get(p, "event"));

	CHECK(event && strcmp(event, "lost") == 0, "told first");
	CHECK(json_integer_value(json_object_get(p, "count")) > 0, "how many");
	CHECK(json_equal(first, same), "whatever is listened to");
	CHECK(hear(&all, "state") == id, "then those that were kept");
	count_lines(&all);
	CHECK(count_lines(&other) == 0, "of that session only");
	loop_pump(rig.c);
	CHECK(count_lines(&all) + count_lines(&other) == 0, "once");
	json_decref(first);
	json_decref(same);
	hang_up(&all);
	hang_up(&other);
	end();
}

/* Listeners take places as others do, and give them back. */
static void test_crowd(void)
{
	struct listener l[CTL_CLIENTS_MAX];

	begin();
	for (unsigned i = 0; i < CTL_CLIENTS_MAX; i++)
		l[i] = listen_to("{}");
	struct listener more = dial();
	json_t *const refusal = next(&more);

	CHECK(json_object_get(refusal, "error") != NULL && (collect(&more), more.ended), "full");
	json_decref(refusal);
	tell(4);
	for (unsigned i = 0; i < CTL_CLIENTS_MAX; i++)
		CHECK(hear(&l[i], "state") == 4, "each hears");
	for (unsigned i = 0; i < CTL_CLIENTS_MAX; i += 2)
		hang_up(&l[i]);
	CHECK(ctl_socket_listeners(rig.c->ctl) == CTL_CLIENTS_MAX / 2, "half of them went");
	tell(5);
	for (unsigned i = 1; i < CTL_CLIENTS_MAX; i += 2) {
		CHECK(hear(&l[i], "state") == 5, "the others go on");
		hang_up(&l[i]);
	}
	hang_up(&more);
	end();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "a session's life", test_life },
		{ "of one session", test_one_session },
		{ "asked again", test_again },
		{ "a refused subscription", test_refused },
		{ "a slow listener", test_slow },
		{ "listeners that take nothing", test_stuck },
		{ "a silent day", test_idle },
		{ "more than is kept", test_lost },
		{ "as many as there is room for", test_crowd },
		CU_TEST_INFO_NULL,
	};

	log_open("ctl_listen_test", LOG_LEVEL_ERROR, LOG_TEXT);
	return run_suite("listen", tests);
}
