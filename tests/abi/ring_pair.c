/*
 * Writer and reader of one ring that both sleep at random, as two processes with real regions or as
 * two threads. Finds records that are torn, lost or out of order, and wake-ups that are lost: the
 * writer pushes at random distances from the moment at which the reader goes to sleep, which is
 * where a missing fence or a missing second look shows. (TSan cannot see those; it sees the rest.)
 *
 *   ring_pair processes|threads ROUNDS [SEED]
 *
 * Exit status 0; 1 and a sentence if anything was lost.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/region.h"
#include "abi/ring.h"

enum { LINES = 256, KIND_DATA = 5, KIND_END = 6, BODY_MAX = 1200, LOST_MS = 5000 };

struct end {
	void *part;             /* producer part, as this side sees it */
	struct ring_tail *tail; /* consumer part, as this side sees it */
	int wake_fd;
	unsigned rounds, seed;
	const char *lost; /* what went wrong; NULL: nothing */
	unsigned slept, woken;
};

static unsigned draw(unsigned *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void spin(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		__asm__ volatile("" ::: "memory");
}

/* Record n: its number, then octets that follow from it. */
static uint32_t body_octets(uint32_t number)
{
	return number % 7 ? 4 + number * 13 % 120 : 4 + number * 13 % (BODY_MAX - 4);
}

static bool body_right(const uint8_t *body, uint32_t octets, uint32_t number)
{
	uint32_t there;

	memcpy(&there, body, 4);
	if (there != number || octets != body_octets(number))
		return false;
	for (uint32_t i = 4; i < octets; i++)
		if (body[i] != (uint8_t)(number + i))
			return false;
	return true;
}

/* --- writer --- */

static void pause_at_random(unsigned *state)
{
	const unsigned what = draw(state) % 200;

	if (what == 0)
		usleep(draw(state) % 500);
	else
		spin(draw(state) % (what % 4 ? 400 : 3000));
}

static void wait_empty(const struct end *e, const struct ring_writer *w)
{
	for (unsigned i = 1;
	     atomic_load_explicit(&e->tail->tail, memory_order_relaxed) != w->published; i++)
		if (i % 50000 == 0)
			usleep(10);
}

static void push(struct ring_writer *w, uint16_t kind, uint32_t number)
{
	const uint32_t octets = body_octets(number);
	uint8_t *body;

	while (!(body = ring_reserve(w, kind, octets))) {
		/* Full: the reader has all of it and must be coming. */
		ring_publish(w);
		ring_wake(w);
		usleep(1);
	}
	memcpy(body, &number, 4);
	for (uint32_t i = 4; i < octets; i++)
		body[i] = (uint8_t)(number + i);
}

static void *write_all(void *arg)
{
	struct end *const e = arg;
	struct ring_writer w;
	unsigned state = e->seed;
	uint32_t number = 0;

	ring_writer_init(&w, e->part, LINES, e->tail, e->wake_fd);
	for (unsigned round = 0; round < e->rounds; round++) {
		/* Mostly from empty: only then is the reader about to sleep. Without an end: were
		 * it asleep for ever, the next push would only hide that. */
		if (draw(&state) % 8)
			wait_empty(e, &w);
		pause_at_random(&state);
		for (unsigned n = 1 + draw(&state) % 3; n > 0; n--)
			push(&w, KIND_DATA, number++);
		ring_publish(&w);
		e->woken += ring_wake(&w);
	}
	push(&w, KIND_END, number);
	ring_publish(&w);
	ring_wake(&w);
	if (w.broken)
		e->lost = "the writer found a tail that cannot be";
	return NULL;
}

/* --- reader --- */

/* Sleeps as told; true unless somebody forgot us. */
static bool doze(struct end *e, struct ring_reader *r)
{
	struct pollfd p = { .fd = e->wake_fd, .events = POLLIN };
	uint64_t n;

	e->slept++;
	if (poll(&p, 1, LOST_MS) == 0) {
		e->lost = ring_look(r)
		                  ? "a wake-up was lost: asleep, and there is something to read"
		                  : "the writer has died or is stuck";
		return false;
	}
	ring_awake(r);
	if (read(e->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		e->lost = "eventfd";
	return true;
}

static void *read_all(void *arg)
{
	struct end *const e = arg;
	struct ring_reader r;
	unsigned state = e->seed + 1;
	uint8_t body[BODY_MAX];
	uint32_t number = 0;

	ring_reader_init(&r, e->part, LINES, e->tail);
	for (;;) {
		uint16_t kind = 0;
		const int n = ring_read(&r, &kind, body, sizeof(body));

		if (n < 0) {
			ring_release(&r);
			if (r.broken) {
				e->lost = "the reader found a length that cannot be";
				return NULL;
			}
			/* So that it meets the writer, who has to see the release first. */
			if (draw(&state) % 4)
				spin(draw(&state) % 1500);
			if (ring_sleep(&r) && !doze(e, &r))
				return NULL;
			continue;
		}
		if (!body_right(body, (uint32_t)n, number++)) {
			e->lost = "a record is torn or out of order";
			return NULL;
		}
		if (draw(&state) % 3 == 0)
			ring_release(&r);
		if (kind == KIND_END)
			return NULL;
	}
}

/* --- the two ways to run it --- */

static int verdict(const struct end *reader, const struct end *writer, double seconds)
{
	const char *const lost = reader->lost ? reader->lost : writer->lost;

	if (lost) {
		printf("ring_pair: seed %u: %s\n", reader->seed, lost);
		return 1;
	}
	printf("ring_pair: %u rounds, reader slept %u times, %.1f s: nothing lost\n",
	       reader->rounds, reader->slept, seconds);
	return 0;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_threads(unsigned rounds, unsigned seed, int wake_fd)
{
	void *const part = aligned_alloc(ABI_LINE, ring_octets(LINES));
	struct ring_tail *const tail = aligned_alloc(ABI_LINE, sizeof(*tail));
	struct end reader = {
		.part = part, .tail = tail, .wake_fd = wake_fd, .rounds = rounds, .seed = seed
	};
	struct end writer = reader;
	const double begin = now_s();
	pthread_t thread;

	memset(part, 0, ring_octets(LINES));
	memset(tail, 0, sizeof(*tail));
	if (pthread_create(&thread, NULL, write_all, &writer))
		return 2;
	read_all(&reader);
	if (reader.lost) {
		/* The writer may wait for ever for a reader that gave up. */
		fflush(stdout);
		const int status = verdict(&reader, &reader, now_s() - begin);

		fflush(stdout);
		_exit(status);
	}
	pthread_join(thread, NULL);
	free(part);
	free(tail);
	return verdict(&reader, &writer, now_s() - begin);
}

/* Gives up what the other process owns, and joins it. */
static int join_only(struct region *peer, struct region *theirs)
{
	const int fd = dup(theirs->fd);
	const uint64_t octets = theirs->octets;

	region_leave(theirs);
	return region_join(peer, fd, octets, NULL);
}

/* Each process owns its region and has the other's read-only, as in a real join. */
static int run_processes(unsigned rounds, unsigned seed, int wake_fd)
{
	const struct region_want want_d[] = { { SECTION_PUNT, 0, ring_octets(LINES) } };
	const struct region_want want_c[] = { { SECTION_PUNT_TAIL, 0, sizeof(struct ring_tail) } };
	struct region d, c, peer;
	struct end reader = { .wake_fd = wake_fd, .rounds = rounds, .seed = seed };
	struct end writer = reader;

	if (region_create(&d, "ring-d", 1, want_d, 1, false, -1) ||
	    region_create(&c, "ring-c", 1, want_c, 1, false, -1))
		return 2;
	const double begin = now_s();
	const pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (join_only(&peer, &c))
			_exit(2);
		writer.part = region_section(&d, SECTION_PUNT, 0, NULL);
		writer.tail = region_section(&peer, SECTION_PUNT_TAIL, 0, NULL);
		write_all(&writer);
		_exit(writer.lost != NULL);
	}
	if (pid < 0 || join_only(&peer, &d))
		return 2;
	reader.part = region_section(&peer, SECTION_PUNT, 0, NULL);
	reader.tail = region_section(&c, SECTION_PUNT_TAIL, 0, NULL);
	read_all(&reader);
	if (reader.lost)
		kill(pid, SIGKILL);
	int status = 0;

	waitpid(pid, &status, 0);
	if (!reader.lost && status)
		writer.lost = "the writer found a tail that cannot be";
	region_leave(&peer);
	region_leave(&c);
	return verdict(&reader, &writer, now_s() - begin);
}

int main(int argc, char **argv)
{
	const bool threads = argc > 1 && strcmp(argv[1], "threads") == 0;

	if (argc < 3 || (!threads && strcmp(argv[1], "processes") != 0)) {
		fprintf(stderr, "usage: %s processes|threads ROUNDS [SEED]\n", argv[0]);
		return 2;
	}
	const unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
	const unsigned seed = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : (unsigned)getpid();
	const int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (wake_fd < 0)
		return 2;
	return threads ? run_threads(rounds, seed, wake_fd) : run_processes(rounds, seed, wake_fd);
}
