/*
 * Kills a writer of the store at random instants and looks at what it left.
 *
 *   store_kill [KILLS] [two-bodies|in-place] [SEED]
 *
 * After each kill every record must be whole, and be what the writer last acknowledged or what it
 * was about to: nothing torn, nothing acknowledged lost. Now and then the kill hits the making of
 * the store. `in-place` writes into the valid body instead, which this tool must find (a test that
 * should fail). Exit status 0, or 1 with the figures.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/store.h"
#include "log.h"

enum { RECORDS = 1024, WORDS = STORE_BODY / 8 };

/* What a record should be: its number, or 0 when free. Shared with the writer, outlives it. */
struct truth {
	_Atomic uint64_t acked, begun;
};

struct shared {
	_Atomic uint32_t open; /* store_open() returned */
	_Atomic uint64_t updates;
	struct truth truth[RECORDS];
};

static char dir[] = "/dev/shm/turnpike-store-XXXXXX";
static char path[sizeof(dir) + 8];

static unsigned draw(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(*state >> 33);
}

static void make_body(uint64_t *body, store_ref ref, uint64_t number)
{
	body[0] = number;
	body[1] = ref;
	for (unsigned i = 2; i < WORDS; i++)
		body[i] = (number * UINT64_C(0x9E3779B97F4A7C15)) ^ ((uint64_t)ref << 32) ^ i;
}

static bool body_whole(const uint64_t *body, store_ref ref)
{
	uint64_t want[WORDS];

	make_body(want, ref, body[0]);
	return memcmp(body, want, sizeof(want)) == 0;
}

/* --- the writer: until it is killed --- */

static void update(struct store *s, struct shared *sh, store_ref ref, uint64_t number,
                   bool in_place)
{
	struct truth *const t = &sh->truth[ref - 1];
	uint64_t body[WORDS];
	const void *const now = store_body(s, ref, NULL);

	make_body(body, ref, number);
	atomic_store_explicit(&t->begun, number, memory_order_release);
	if (in_place && now)
		memcpy((void *)(uintptr_t)now, body, sizeof(body));
	else
		store_commit(s, ref, STORE_ALLOCATION, body);
	atomic_store_explicit(&t->acked, number, memory_order_release);
	atomic_fetch_add_explicit(&sh->updates, 1, memory_order_relaxed);
}

static void end_record(struct store *s, struct shared *sh, store_ref ref)
{
	struct truth *const t = &sh->truth[ref - 1];

	atomic_store_explicit(&t->begun, 0, memory_order_release);
	store_free(s, ref);
	atomic_store_explicit(&t->acked, 0, memory_order_release);
}

static void write_until_killed(struct shared *sh, uint64_t seed, bool in_place)
{
	struct store *s;
	bool found = false;
	uint64_t state = seed, number = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (store_open(&s, path, RECORDS, &found))
		_exit(2);
	for (unsigned i = 0; i < RECORDS; i++)
		if (number < atomic_load(&sh->truth[i].begun))
			number = atomic_load(&sh->truth[i].begun);
	atomic_store(&sh->open, 1);
	for (;;) {
		const store_ref ref = 1 + draw(&state) % RECORDS;

		if (store_body(s, ref, NULL)) {
			if (draw(&state) % 8)
				update(s, sh, ref, ++number, in_place);
			else
				end_record(s, sh, ref);
		} else {
			const store_ref taken = store_take(s);

			if (taken)
				update(s, sh, taken, ++number, in_place);
		}
	}
}

/* --- the judge --- */

struct figures {
	uint64_t torn, lost, kills, formats;
};

/* An acknowledged end of the making must be found; what one record may be is told above. */
static void judge(struct shared *sh, struct figures *f)
{
	struct store *s;
	bool found = false;

	if (store_open(&s, path, RECORDS, &found)) {
		f->lost += RECORDS;
		return;
	}
	if (atomic_load(&sh->open) && !found)
		f->lost += RECORDS;
	for (store_ref ref = 1; ref <= RECORDS; ref++) {
		struct truth *const t = &sh->truth[ref - 1];
		const uint64_t acked = atomic_load(&t->acked), begun = atomic_load(&t->begun);
		const uint64_t *const body = store_body(s, ref, NULL);
		const uint64_t number = body ? body[0] : 0;

		if (body && !body_whole(body, ref))
			f->torn++;
		else if (number != acked && number != begun)
			f->lost++;
		atomic_store(&t->acked, number);
		atomic_store(&t->begun, number);
	}
	store_close(s, true);
}

static void clean_up(void)
{
	unlink(path);
	rmdir(dir);
}

static void on_term(int signal_number)
{
	(void)signal_number;
	clean_up();
	_exit(1);
}

static void kill_one(struct shared *sh, uint64_t *state, bool in_place, struct figures *f)
{
	if (draw(state) % 20 == 0) {
		unlink(path); /* the next writer makes a new one, and may die doing it */
		memset(sh->truth, 0, sizeof(sh->truth));
		f->formats++;
	}
	atomic_store(&sh->open, 0);
	const pid_t pid = fork();

	if (pid == 0)
		write_until_killed(sh, *state, in_place);
	if (pid < 0)
		return;
	/* One in ten dies while opening. */
	if (draw(state) % 10)
		for (unsigned i = 0; i < 20000 && !atomic_load(&sh->open); i++)
			usleep(50);
	const struct timespec wait = { .tv_nsec = draw(state) % 2000000 };
	int status = 0;

	nanosleep(&wait, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	f->kills += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

int main(int argc, char **argv)
{
	const unsigned kills = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 3000;
	const bool in_place = argc > 2 && strcmp(argv[2], "in-place") == 0;
	uint64_t state = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)getpid();
	struct figures f = { 0 };
	struct shared *const sh =
		mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (sh == MAP_FAILED || !mkdtemp(dir)) {
		fprintf(stderr, "store_kill: no shared memory: %m\n");
		return 77;
	}
	snprintf(path, sizeof(path), "%s/store", dir);
	signal(SIGTERM, on_term);
	signal(SIGINT, on_term);
	log_open("store_kill", LOG_LEVEL_ERROR, LOG_TEXT);
	for (unsigned i = 0; i < kills; i++) {
		kill_one(sh, &state, in_place, &f);
		judge(sh, &f);
	}
	clean_up();
	printf("store_kill: %s: %llu kills (%llu of new stores), %llu updates: %llu torn, "
	       "%llu acknowledged but lost\n",
	       in_place ? "in place" : "two bodies", (unsigned long long)f.kills,
	       (unsigned long long)f.formats, (unsigned long long)atomic_load(&sh->updates),
	       (unsigned long long)f.torn, (unsigned long long)f.lost);
	return f.kills != kills || f.torn || f.lost;
}
