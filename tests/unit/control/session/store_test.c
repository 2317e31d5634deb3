/* Sessions outlive control: legs go on as they were, what was not committed never was. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/rig/session_rig.h"
#include "tests/support.h"

static struct session_rig r;

static void kept(struct session_rig *rig)
{
	rig->n_records = 4096;
}

static uint64_t call(bool full, bool controlling, struct sr_peer *p[2])
{
	const uint64_t id = sr_create(&r, 2, full, controlling);

	CHECK(id != 0, "made");
	for (unsigned i = 0; i < 2; i++) {
		p[i] = sr_peer(&r, id, i + 1, !controlling, false, false);
		CHECK(sr_exchange(&r, p[i]) == SESSION_OK, "exchanged");
	}
	sr_run(&r, 5000);
	return id;
}

static void expect_media(struct sr_peer *from, struct sr_peer *to, const char *what)
{
	const uint64_t had = to->data;

	CHECK(sr_say(&r, from), what);
	sr_run(&r, 100);
	CHECK(to->data > had, what);
}

struct seen {
	char ufrag[ICE_UFRAG_MAX + 1], pwd[ICE_PWD_MAX + 1];
	struct endpoint at[SESSION_ADDRESSES_MAX];
	unsigned n, generation;
	bool full, has_remote;
	enum session_direction direction;
};

static struct seen look(uint64_t id, unsigned leg)
{
	struct session_leg_info info;
	struct seen s;

	memset(&s, 0, sizeof(s));
	if (!session_leg(r.srv, id, leg, &info))
		return s;
	const struct ice_stream_description *const d = &info.local->stream[0];

	snprintf(s.ufrag, sizeof(s.ufrag), "%s", d->ufrag);
	snprintf(s.pwd, sizeof(s.pwd), "%s", d->pwd);
	for (s.n = 0; s.n < d->n_candidates && s.n < SESSION_ADDRESSES_MAX; s.n++)
		s.at[s.n] = d->candidate[s.n].at;
	s.generation = info.generation;
	s.full = info.full;
	s.has_remote = info.has_remote;
	s.direction = info.direction;
	return s;
}

static bool same(const struct seen *a, const struct seen *b)
{
	return memcmp(a, b, sizeof(*a)) == 0 && a->ufrag[0];
}

/* Media and consent go on while control is away, and afterwards. */
static void goes_on(bool full, bool controlling)
{
	struct session_leg_info info;
	struct sr_peer *p[2];
	struct seen before[2];
	uint64_t id;

	sr_open(&r, kept);
	id = call(full, controlling, p);
	for (unsigned i = 0; i < 2; i++)
		before[i] = look(id, i + 1);
	sr_down(&r);
	sr_run(&r, 3000);
	expect_media(p[0], p[1], "while nobody controls");
	expect_media(p[1], p[0], "both ways");
	r.n_events = 0;
	CHECK(sr_up(&r) == 1, "one session");
	CHECK(sr_stat(&r, "session_restored") == 2, "two legs as they were");
	for (unsigned i = 0; i < 2; i++) {
		const struct seen after = look(id, i + 1);

		CHECK(same(&before[i], &after), "the same credentials, ports and wishes");
		CHECK(session_leg(r.srv, id, i + 1, &info) && info.state == ICE_COMPLETED &&
		              info.selected && endpoint_equal(&info.pair.remote.at, &p[i]->at),
		      "the same pair");
		CHECK(sr_flowing(&r, id, i + 1) != NULL, "the same row");
	}
	expect_media(p[0], p[1], "afterwards");
	expect_media(p[1], p[0], "both ways");
	sr_run(&r, 60000);
	CHECK(p[0]->state == ICE_COMPLETED && p[1]->state == ICE_COMPLETED, "consent goes on");
	CHECK(sr_count(&r, SESSION_EVENT_CONSENT_LOST, id, 0) == 0, "both ways");
	expect_media(p[0], p[1], "a minute later");
	CHECK(session_leg(r.srv, id, 1, &info) && info.counts.from_packets >= 3,
	      "the row went on counting");
	CHECK(session_restart(r.srv, id, 1, net_now(r.net)) == SESSION_OK, "a restart");
	sr_drain(&r);
	CHECK(sr_exchange(&r, p[0]) == SESSION_OK && sr_exchange(&r, p[0]) == SESSION_OK,
	      "exchanged");
	sr_run(&r, 5000);
	expect_media(p[0], p[1], "after a restart");
	CHECK(session_delete(r.srv, id, net_now(r.net)) == SESSION_OK, "deleted");
	sr_drain(&r);
	CHECK(r.n_ports == 0 && r.n_rows == 0, "all is back");
	sr_close(&r);
}

static void test_goes_on(void)
{
	goes_on(false, false);
	goes_on(true, true);
	goes_on(true, false);
}

/* Both processes die: the new data plane is told all by the restored control. */
static void test_both(void)
{
	struct sr_peer *p[2];
	uint64_t id;

	sr_open(&r, kept);
	id = call(false, false, p);
	sr_hangup(&r);
	sr_down(&r);
	sr_run(&r, 2000);
	CHECK(sr_up(&r) == 1, "restored");
	sr_run(&r, 100);
	sr_join(&r);
	expect_media(p[0], p[1], "again");
	expect_media(p[1], p[0], "both ways");
	CHECK(sr_count(&r, SESSION_EVENT_CONSENT_LOST, id, 0) == 0, "nothing was lost");
	sr_close(&r);
}

/* A leg that was not connected yet is what it was told of itself: its peer still can. */
static void early(bool full)
{
	struct sr_peer *p;
	struct seen before, after;
	uint64_t id;

	sr_open(&r, kept);
	id = sr_create(&r, 1, full, full);
	before = look(id, 1);
	sr_down(&r);
	CHECK(sr_up(&r) == 1, "restored");
	after = look(id, 1);
	CHECK(same(&before, &after), "the same");
	p = sr_peer(&r, id, 1, !full, false, false);
	CHECK(sr_exchange(&r, p) == SESSION_OK, "exchanged");
	sr_down(&r);
	CHECK(sr_up(&r) == 1, "restored in the middle");
	CHECK(sr_exchange(&r, p) == SESSION_OK, "told again");
	sr_run(&r, 5000);
	CHECK(sr_flowing(&r, id, 1) != NULL && p->state == ICE_COMPLETED, "connected");
	sr_close(&r);
}

static void test_early(void)
{
	early(true);
	early(false);
}

static void test_ids(void)
{
	struct session_info info = { .id = 0 };
	uint64_t a, b, c;

	sr_open(&r, kept);
	a = sr_create(&r, 1, false, false);
	b = sr_create(&r, 3, false, false);
	CHECK(session_delete(r.srv, b, net_now(r.net)) == SESSION_OK, "deleted");
	sr_drain(&r);
	sr_down(&r);
	CHECK(sr_up(&r) == 1, "one is left");
	CHECK(session_list(r.srv, 0, &info) && info.id == a && strcmp(info.name, "test") == 0,
	      "the first");
	CHECK(!session_list(r.srv, a, &info), "only that");
	c = sr_create(&r, 1, false, false);
	CHECK(c > b, "no id twice");
	sr_down(&r);
	CHECK(sr_up(&r) == 2, "two");
	CHECK(session_list(r.srv, 0, &info) && info.id == a && session_list(r.srv, a, &info) &&
	              info.id == c,
	      "in order");
	CHECK(r.n_ports == 4 && r.n_rows == 4, "their ports are taken, no others");
	sr_close(&r);
}

static void tight(struct session_rig *rig)
{
	rig->n_records = 8;
}

static void test_full(void)
{
	struct session_wanted w = { .n_legs = 2 };
	unsigned ports, rows, n = 0;
	uint64_t id;
	char why[128];

	for (unsigned i = 0; i < 2; i++)
		w.leg[i] = (struct session_leg_wanted){ .ip4 = true };
	sr_open(&r, tight);
	do {
		sr_drain(&r);
		ports = r.n_ports;
		rows = r.n_rows;
	} while (session_create(r.srv, &w, net_now(r.net), &id, why) == SESSION_OK && ++n < 9);
	CHECK(n > 0 && n < 4, "some");
	CHECK(strstr(why, "store") != NULL, "says why");
	CHECK(r.n_ports == ports && r.n_rows == rows && session_count(r.srv, NULL) == n,
	      "nothing has changed");
	sr_down(&r);
	CHECK(sr_up(&r) == n, "none by half");
	sr_close(&r);
}

/* An address that the configuration has no more: its sessions are no more either. */
static void test_no_port(void)
{
	uint64_t id;

	sr_open(&r, kept);
	id = sr_create(&r, 2, false, false);
	CHECK(id != 0, "made");
	sr_down(&r);
	r.ports_max = 1;
	CHECK(sr_up(&r) == 0, "gone");
	CHECK(r.n_ports == 0 && r.n_rows == 0, "and its ports");
	CHECK(sr_count(&r, SESSION_EVENT_ENDED, id, 0) == 1, "told");
	sr_down(&r);
	r.ports_max = 20000;
	CHECK(sr_up(&r) == 0, "for good");
	sr_close(&r);
}

/* --- killed at any instruction --- */

enum { KILLS = 60 };

struct shared {
	_Atomic uint32_t rounds;
	_Atomic uint64_t last; /* id of the last session that create told of */
};

/* A description whose length tells what its credentials are. */
static size_t describe(unsigned i, char *out, size_t cap)
{
	char ufrag[241], pwd[241];

	memset(ufrag, 'a' + (int)(i % 26), sizeof(ufrag));
	memset(pwd, 'a' + (int)(i % 26), sizeof(pwd));
	ufrag[4 + i * 7 % 230] = '\0';
	pwd[22 + i * 11 % 210] = '\0';
	return (size_t)snprintf(out, cap,
	                        "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\nm=audio 9 RTP/AVP "
	                        "0\r\na=mid:0\r\n",
	                        ufrag, pwd);
}

/* Sessions come and go, legs are told things, until it is killed. */
static void serve(struct shared *s)
{
	char text[1024], why[128];
	uint64_t id[4] = { 0 };

	sr_up(&r);
	for (unsigned i = 0;; i++) {
		const unsigned k = i % 4;

		if (id[k])
			session_delete(r.srv, id[k], net_now(r.net));
		id[k] = sr_create(&r, 1 + i % 3, (i & 1) != 0, false);
		if (!id[k])
			_exit(1);
		atomic_store(&s->last, id[k]);
		for (unsigned n = 0; n < 3; n++) {
			const size_t len = describe(i + n * 5, text, sizeof(text));

			if (session_set_remote(r.srv, id[k], 1, text, len, net_now(r.net), why) !=
			    SESSION_OK)
				_exit(2);
			if (session_restart(r.srv, id[k], 1, net_now(r.net)) != SESSION_OK)
				_exit(3);
		}
		sr_drain(&r);
		atomic_fetch_add(&s->rounds, 1);
	}
}

/* Whole sessions, each leg with an agent; the rest of the store is free. */
static void judge(uint64_t last)
{
	struct session_info info = { .id = 0 };
	unsigned legs = 0, n = 0;

	while (session_list(r.srv, info.id, &info)) {
		n++;
		for (unsigned i = 1; i <= info.n_legs; i++) {
			const struct seen s = look(info.id, i);

			CHECK(s.n == 2 && strlen(s.ufrag) == 8 && strlen(s.pwd) == 24, "whole");
			legs++;
		}
		CHECK(info.id <= last + 1, "none from nowhere");
	}
	CHECK(n <= 5 && r.n_ports == 2 * legs, "none too many, every port once");
	CHECK(sr_create(&r, 1, false, false) > last, "no id twice");
}

static void test_kills(void)
{
	struct shared *const s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct session_info info;
	unsigned served = 0;

	sr_open(&r, kept);
	r.port_span = 256; /* the network of the rig has not room for more */
	for (unsigned k = 0; k < KILLS; k++) {
		const struct timespec pause = { 0, 500000 };
		int status = 0;

		sr_down(&r);
		atomic_store(&s->rounds, 0);
		r.random += k * 2 + 1;
		const pid_t pid = fork();

		if (pid == 0)
			serve(s);
		CHECK(pid > 0, "forked");
		while (atomic_load(&s->rounds) == 0 && waitpid(pid, &status, WNOHANG) == 0)
			nanosleep(&pause, NULL);
		const struct timespec more = { 0, (long)(k * 37 % 61) * 50000 };

		nanosleep(&more, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "killed, not given up");
		served += atomic_load(&s->rounds);
		sr_up(&r);
		judge(atomic_load(&s->last));
		for (info.id = 0; session_list(r.srv, 0, &info);)
			CHECK(session_delete(r.srv, info.id, net_now(r.net)) == SESSION_OK, "end");
		sr_drain(&r);
		CHECK(store_used(r.setup.store) == 1, "nothing but the ids is left");
	}
	CHECK(served > KILLS, "it did serve");
	sr_close(&r);
	munmap(s, sizeof(*s));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "legs go on (ICE-193)", test_goes_on },
		{ "both processes die", test_both },
		{ "legs that were not connected", test_early },
		{ "ids, order, what was deleted", test_ids },
		{ "a full store", test_full },
		{ "ports that are others' now", test_no_port },
		{ "sixty kills", test_kills },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/session/store", tests);
}
