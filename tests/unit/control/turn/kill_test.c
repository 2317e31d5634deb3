/*
 * A control process killed at any instruction while it serves: the next life finds each request
 * whole or not at all. One CreatePermission renews twenty permissions, in the allocation's record
 * and several more, at one moment; after the kill all of them end at one moment.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/rig/turn_rig.h"
#include "tests/support.h"

enum { KILLS = 100, PEERS = 20 };

struct shared {
	_Atomic uint64_t now_ms; /* of the last request begun */
	_Atomic uint32_t rounds;
};

/* Serves until it is killed. */
static void serve(struct rig *r, struct rig_client *c, struct shared *s)
{
	struct endpoint at[PEERS];

	for (unsigned i = 0; i < PEERS; i++)
		at[i] = rig_peer4(i, 9);
	rig_up(r);
	for (;;) {
		struct rig_client other = rig_client4(100 + rig_random(5));

		r->now_ms += 1000;
		r->wall_s++;
		atomic_store(&s->now_ms, r->now_ms);
		if (rig_refresh(r, c, 3600) != 0 || rig_permit(r, c, at, PEERS) != 0)
			_exit(1);
		/* Others come and go, so that records are freed and taken again. */
		if (rig_allocate(r, &other) == 0 && rig_permit(r, &other, at, 7) != 0)
			_exit(1);
		if (rig_random(2) == 0)
			rig_refresh(r, &other, 0);
		atomic_fetch_add(&s->rounds, 1);
	}
}

/* All permissions of the first allocation end together. */
static void judge(struct rig *r)
{
	struct turn_info info;
	struct turn_peer p;
	uint32_t expires_s = 0;
	unsigned n = 0;

	CHECK(turn_find(r->srv, 1, &info), "the allocation is there");
	for (; turn_peer(r->srv, 1, n, &p); n++) {
		CHECK(n == 0 || p.expires_s == expires_s, "one request, one moment");
		expires_s = p.expires_s;
	}
	CHECK(n == 0 || n == PEERS, "all or none");
	CHECK(turn_check_invariants(r->srv) == NULL, "invariants");
}

static void test_kills(void)
{
	struct shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct rig r;
	struct rig_client c = rig_client4(1);
	unsigned served = 0;

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0, "one");
	atomic_store(&s->now_ms, r.now_ms);
	for (unsigned k = 0; k < KILLS; k++) {
		rig_down(&r);
		atomic_store(&s->rounds, 0);
		const pid_t pid = fork();
		if (pid == 0) {
			rig_seed(k);
			serve(&r, &c, s);
		}
		CHECK(pid > 0, "forked");
		const struct timespec pause = { 0, 1000000 };
		int status = 0;
		while (atomic_load(&s->rounds) == 0 && waitpid(pid, &status, WNOHANG) == 0)
			nanosleep(&pause, NULL);
		rig_seed(k * 7919);
		const struct timespec more = { 0, rig_random(3000000) };
		nanosleep(&more, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "killed, not given up");
		served += atomic_load(&s->rounds);
		r.wall_s += (uint32_t)((atomic_load(&s->now_ms) - r.now_ms) / 1000);
		r.now_ms = atomic_load(&s->now_ms);
		rig_up(&r);
		judge(&r);
	}
	CHECK(served > KILLS, "it did serve");
	CHECK(rig_refresh(&r, &c, -1) == 0, "and still does");
	rig_close(&r);
	munmap(s, sizeof(*s));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "a hundred kills", test_kills },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/kill", tests);
}
