/* The store: what is kept, what is refused, and a tmpfs that is full. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/store.h"
#include "tests/support.h"

static char dir[] = "/tmp/turnpike-store-test-XXXXXX";
static char path[sizeof(dir) + 8];

static void make_body(uint8_t *body, unsigned seed)
{
	for (unsigned i = 0; i < STORE_BODY; i++)
		body[i] = (uint8_t)(seed * 17 + i);
}

static bool body_is(const struct store *s, store_ref ref, unsigned seed)
{
	uint8_t want[STORE_BODY];
	const void *const have = store_body(s, ref, NULL);

	make_body(want, seed);
	return have && memcmp(have, want, STORE_BODY) == 0;
}

static store_ref put(struct store *s, enum store_kind kind, unsigned seed)
{
	uint8_t *const body = malloc(STORE_BODY); /* exactly: ASan sees an octet too far */
	const store_ref ref = store_take(s);

	make_body(body, seed);
	if (ref)
		store_commit(s, ref, kind, body);
	free(body);
	return ref;
}

static struct store *opened(uint32_t n, bool want_found)
{
	struct store *s = NULL;
	bool found = !want_found;

	CU_ASSERT_FATAL(store_open(&s, path, n, &found) == 0);
	CHECK(found == want_found, "found");
	return s;
}

static void test_life(void)
{
	struct store *s = opened(10, false);
	enum store_kind kind = STORE_FREE;

	CHECK(store_used(s) == 0 && store_capacity(s) == 10 && store_next(s, 0) == 0, "empty");
	const store_ref a = put(s, STORE_ALLOCATION, 1), b = put(s, STORE_USER, 2);

	CHECK(a && b && a != b && store_used(s) == 2, "two");
	CHECK(body_is(s, a, 1) && body_is(s, b, 2), "as written");
	CHECK(store_body(s, b, &kind) && kind == STORE_USER, "kind");
	const uint32_t generation = store_generation(s, a);
	const void *const before = store_body(s, a, NULL);
	uint8_t body[STORE_BODY];

	make_body(body, 3);
	store_commit(s, a, STORE_ALLOCATION, body);
	CHECK(body_is(s, a, 3) && store_generation(s, a) == generation + 1, "changed");
	make_body(body, 1);
	CHECK(memcmp(before, body, STORE_BODY) == 0, "the body before is still there");
	const store_ref c = store_take(s);

	CHECK(c && !store_body(s, c, NULL) && store_used(s) == 2, "taken is not used");
	store_free(s, c);
	store_free(s, b);
	CHECK(!store_body(s, b, NULL) && store_used(s) == 1, "freed");
	CHECK(store_next(s, 0) == a && store_next(s, a) == 0, "walk");
	const uint32_t freed = store_generation(s, b);
	unsigned n = 0;

	while (put(s, STORE_OVERFLOW, 9))
		n++;
	CHECK(n == 9 && store_used(s) == 10 && store_take(s) == 0, "full");
	CHECK(store_generation(s, b) == freed + 1, "generations go on over a free");
	store_close(s, false);
	CHECK(access(path, F_OK) < 0, "removed");
}

/* Another life finds what was committed, and only that. */
static void test_keep(void)
{
	struct store *s = opened(10, false);
	const store_ref a = put(s, STORE_ALLOCATION, 1), b = put(s, STORE_USER, 2);
	const store_ref c = put(s, STORE_NONCE, 3);
	const uint32_t generation = store_generation(s, c);

	store_free(s, b);
	CHECK(store_take(s) != 0, "taken, never committed");
	store_close(s, true);
	s = opened(10, true);
	CHECK(store_used(s) == 2 && body_is(s, a, 1) && !store_body(s, b, NULL), "as left");
	CHECK(body_is(s, c, 3) && store_generation(s, c) == generation, "with its generation");
	unsigned n = 0;

	while (put(s, STORE_OVERFLOW, 9))
		n++;
	CHECK(n == 8, "what was only taken is free again");
	store_close(s, true);
	s = opened(20, true);
	CHECK(store_capacity(s) == 20 && store_used(s) == 10 && body_is(s, a, 1), "grown");
	n = 0;
	while (put(s, STORE_OVERFLOW, 9))
		n++;
	CHECK(n == 10, "grown by as much");
	store_close(s, true);
	s = opened(5, true);
	CHECK(store_capacity(s) == 20 && store_used(s) == 20, "a smaller limit takes nothing");
	store_close(s, false);
}

static void test_lock(void)
{
	struct store *s = opened(10, false), *second = NULL;
	bool found;

	CHECK(store_open(&second, path, 10, &found) == -EBUSY && !second, "another control");
	CHECK(access(path, F_OK) == 0, "which keeps its file");
	store_close(s, false);
	CHECK(store_open(&second, path, 0, &found) == -EINVAL, "no records");
	CHECK(store_open(&second, "/nowhere/store", 1, &found) == -ENOENT, "no directory");
}

static void poke(off_t at, const void *octets, size_t n)
{
	const int fd = open(path, O_RDWR);

	CU_ASSERT_FATAL(fd >= 0 && pwrite(fd, octets, n, at) == (ssize_t)n);
	close(fd);
}

/* Offsets as store.c lays its header out: magic 8, major 2, minor 2, octets 4, n 4, 4, boot id. */
static void test_headers(void)
{
	struct store *s = opened(10, false);
	bool found = false;
	const uint16_t other = 3;
	const uint32_t many = 11;

	put(s, STORE_USER, 1);
	store_close(s, true);
	poke(24, "00000000-0000-0000-0000-000000000000", 36);
	s = opened(10, false);
	CHECK(store_used(s) == 0, "another boot: empty");
	put(s, STORE_USER, 1);
	store_close(s, true);
	poke(0, "12345678", 8);
	s = opened(10, false);
	CHECK(store_used(s) == 0, "never finished: empty");
	put(s, STORE_USER, 1);
	store_close(s, true);
	poke(16, &many, 4);
	CHECK(store_open(&s, path, 10, &found) == -EPROTO, "cut short");
	poke(16, "\x0a\0\0\0", 4);
	poke(8, &other, 2);
	CHECK(store_open(&s, path, 10, &found) == -EPROTO, "another version");
	CHECK(access(path, F_OK) == 0, "is left alone");
	poke(8, "\2\0", 2);
	s = opened(10, true);
	CHECK(store_used(s) == 1, "and was not touched");
	store_close(s, false);
}

/* A scribble is found by its sum, dropped and told; others stay. */
static void test_scribble(void)
{
	struct store *s = opened(10, false);
	const store_ref a = put(s, STORE_USER, 1), b = put(s, STORE_USER, 2);

	store_close(s, true);
	for (unsigned body = 0; body < 2; body++)
		poke(4096 + (off_t)(a - 1) * 256 + 32 + body * STORE_BODY + 50, "x", 1);
	s = opened(10, true);
	CHECK(!store_body(s, a, NULL) && body_is(s, b, 2), "only the one");
	store_close(s, true);
	poke(4096 + (off_t)(b - 1) * 256 + 1, "\xEE", 1); /* a kind that is none */
	s = opened(10, true);
	CHECK(store_used(s) == 0, "word and body belong together");
	store_close(s, false);
}

/* Records come as they are needed, and are there in the next life. */
static void test_grow(void)
{
	enum { FIRST = 10, MAX = 10000 };
	struct store *s = NULL;
	struct stat small, large;
	bool found = false;

	CHECK(store_open_growing(&s, path, FIRST, MAX, &found) == 0 && !found, "new");
	CHECK(store_capacity(s) == MAX && stat(path, &small) == 0, "as many as there may be");
	for (unsigned i = 0; i < MAX; i++)
		CU_ASSERT_FATAL(put(s, STORE_USER, i) == i + 1);
	CHECK(!store_room(s, 1) && store_take(s) == 0, "full");
	CHECK(stat(path, &large) == 0 && large.st_size == 4096 + MAX * 256 &&
	              small.st_size == 4096 + FIRST * 256,
	      "no larger than it has to be");
	store_free(s, 5);
	CHECK(store_room(s, 1) && !store_room(s, 2), "one came back");
	store_close(s, true);
	CHECK(store_open_growing(&s, path, FIRST, FIRST, &found) == 0 && found, "the same");
	CHECK(store_capacity(s) == MAX && store_used(s) == MAX - 1 && body_is(s, 77, 76), "all");
	CHECK(put(s, STORE_USER, 1) == 5, "the free one");
	store_close(s, false);
}

/* In a mount namespace of its own: 0 right, 77 impossible here, else what went wrong. */
static int full_tmpfs(void)
{
	struct store *s = NULL;
	bool found;
	char file[64];

	if (geteuid() == 0 ? unshare(CLONE_NEWNS) : unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return 77;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", dir, "tmpfs", 0, "size=256k"))
		return 77;
	snprintf(file, sizeof(file), "%s/full", dir);
	if (store_open(&s, file, 2000, &found) != -ENOSPC)
		return 1;
	if (access(file, F_OK) == 0)
		return 2; /* a file that cannot be used must not stay */
	if (store_open(&s, file, 900, &found) != 0)
		return 3;
	while (put(s, STORE_USER, 5))
		;
	if (store_used(s) != 900)
		return 4;
	store_close(s, true);
	if (store_open(&s, file, 2000, &found) != -ENOSPC) /* growing */
		return 5;
	if (store_open(&s, file, 900, &found) != 0 || !found || store_used(s) != 900)
		return 6;
	store_close(s, false);
	if (store_open_growing(&s, file, 100, 100000, &found) != 0)
		return 7;
	while (put(s, STORE_USER, 5))
		;
	if (store_room(s, 1) || store_used(s) < 100 || store_used(s) >= 1024)
		return 8;
	store_close(s, false);
	return 0;
}

static void test_full_tmpfs(void)
{
	fflush(stdout);
	const pid_t pid = fork();

	if (pid == 0)
		_exit(full_tmpfs());
	int status = 0;

	CHECK(waitpid(pid, &status, 0) == pid, "child");
	CHECK(!WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS, "SIGBUS");
	CU_ASSERT_FATAL(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		printf("(skipped: no mount namespace here) ");
	else
		CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "life", test_life },
		{ "keep", test_keep },
		{ "lock", test_lock },
		{ "headers", test_headers },
		{ "scribble", test_scribble },
		{ "grow", test_grow },
		{ "full tmpfs", test_full_tmpfs },
		CU_TEST_INFO_NULL,
	};

	if (!mkdtemp(dir))
		return 2;
	snprintf(path, sizeof(path), "%s/store", dir);
	const int rc = run_suite("store", tests);

	unlink(path);
	rmdir(dir);
	return rc;
}
