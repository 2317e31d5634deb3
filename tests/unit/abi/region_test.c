/* Regions: what is laid out, what a joiner may not do, what a lying owner gets. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/region.h"
#include "abi/ring.h"
#include "abi/row.h"
#include "tests/support.h"

enum { NOBODY = 65534 };

static const struct region_want want[] = {
	{ SECTION_LIFE, 0, sizeof(struct life) },
	{ SECTION_PUNT, 0, 64 + 128 * 64 },
	{ SECTION_PUNT, 1, 64 + 128 * 64 },
	{ SECTION_ROWS, 0, 1000 * sizeof(struct row) },
	{ 999, 3, 100 },
	{ SECTION_PORTS, 0, 0 },
};
enum { N_WANT = sizeof(want) / sizeof(want[0]) };

static struct region made(void)
{
	struct region r = { .fd = -1 };

	CHECK(region_create(&r, "test", 42, want, N_WANT, false, -1) == 0, "create");
	return r;
}

static void test_layout(void)
{
	struct region r = made();
	uint64_t octets = 0, end = 0;

	for (unsigned i = 0; i < N_WANT; i++) {
		uint8_t *const s = region_section(&r, want[i].kind, want[i].instance, &octets);

		CHECK(s && octets == want[i].octets, "section");
		CHECK((uintptr_t)s % ABI_LINE == 0, "on a line");
		CHECK((uint64_t)(s - r.base) >= end, "behind the one before");
		for (uint64_t k = 0; k < octets; k++)
			CU_ASSERT_FATAL(s[k] == 0);
		end = (uint64_t)(s - r.base) + octets;
	}
	CHECK(end <= r.octets, "all inside");
	CHECK((uintptr_t)region_section(&r, SECTION_ROWS, 0, NULL) % 4096 == 0, "rows on a page");
	CHECK(!region_section(&r, SECTION_PUNT, 2, NULL), "no such instance");
	CHECK(!region_section(&r, SECTION_RELAYS, 0, NULL), "no such kind");
	CHECK(!region_find(&r, SECTION_LIFE, 0, sizeof(struct life) + 1), "too small for that");
	CHECK(region_find(&r, SECTION_LIFE, 0, sizeof(struct life)) != NULL, "large enough");
	CHECK(fcntl(r.fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | 0x10),
	      "sealed");
	memset(region_section(&r, SECTION_ROWS, 0, NULL), 7, 64);
	region_leave(&r);
	region_leave(&r); /* harmless twice */
}

static void test_impossible(void)
{
	struct region r = { .octets = 7 };
	const struct region_want huge[] = { { 1, 0, UINT64_MAX }, { 1, 1, UINT64_MAX } };

	CHECK(region_create(&r, "test", 1, huge, 2, false, -1) == -EFBIG, "sum would wrap");
	CHECK(region_create(&r, "test", 1, want, REGION_SECTIONS_MAX + 1, false, -1) == -EINVAL,
	      "too many sections");
	CHECK(r.octets == 7, "untouched on error");
}

/* Wanting hugepages works with or without any; a node that is not there is no error. */
static void test_hugepages(void)
{
	struct region r = { .fd = -1 }, d = { .fd = -1 };

	CHECK(region_create(&r, "test", 1, want, N_WANT, true, 0) == 0, "wanted");
	CHECK(r.octets % (r.huge ? 2u << 20 : 4096u) == 0, "whole pages");
	CHECK(region_join(&d, dup(r.fd), r.octets, NULL) == 0, "joined");
	region_leave(&d);
	region_leave(&r);
	CHECK(region_create(&r, "test", 1, want, N_WANT, false, 1000) == 0, "no such node");
	region_leave(&r);
}

static void test_join(void)
{
	struct region r = made(), d = { .fd = -1 };
	struct region_error error = { "" };
	_Atomic uint64_t *const there =
		&((struct life *)region_section(&r, SECTION_LIFE, 0, NULL))->turn_ns;

	CHECK(region_join(&d, dup(r.fd), r.octets, &error) == 0, error.text);
	CHECK(d.generation == 42 && d.n_sections == N_WANT && !d.owner, "directory");
	atomic_store(there, 17);
	const struct life *const here = region_section(&d, SECTION_LIFE, 0, NULL);

	CHECK(here && &here->turn_ns != there && atomic_load(&here->turn_ns) == 17,
	      "the same memory");
	CHECK(region_section(&d, 999, 3, NULL) != NULL, "unknown kinds are carried, not judged");
	region_leave(&r);
	CHECK(atomic_load(&here->turn_ns) == 17, "the joiner's mapping outlives the owner");
	region_leave(&d);
}

/* As somebody without any rights: every way to write or shrink must fail. Bits say which did not.
 */
static int attack(int fd, uint64_t octets)
{
	struct region d = { .fd = -1 };
	char path[64];
	int got = 0;

	if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		return 64;
	if (region_join(&d, fd, octets, NULL) < 0)
		got |= 1;
	if (mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED ||
	    errno != EPERM)
		got |= 2;
	if (ftruncate(fd, 0) == 0 || errno != EPERM)
		got |= 4;
	if (ftruncate(fd, (off_t)octets * 2) == 0 || errno != EPERM)
		got |= 4;
	if (mprotect(d.base, octets, PROT_READ | PROT_WRITE) == 0)
		got |= 8;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0)
		got |= 16;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	const int again = open(path, O_RDWR);

	if (again >= 0 &&
	    mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) != MAP_FAILED)
		got |= 32;
	if (pwrite(fd, "x", 1, 0) == 1)
		got |= 32;
	return got;
}

static void test_attack(void)
{
	struct region r = made();
	const pid_t pid = fork();

	if (pid == 0)
		_exit(attack(r.fd, r.octets));
	int status = -1;

	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "child");
	const int got = WEXITSTATUS(status);

	CHECK(!(got & 64), "becoming nobody");
	CHECK(!(got & 1), "nobody may join and read");
	CHECK(!(got & 2), "second writable map: EPERM");
	CHECK(!(got & 4), "truncate: EPERM");
	CHECK(!(got & 8), "mprotect");
	CHECK(!(got & 16), "punch a hole");
	CHECK(!(got & 32), "reopen and map, or write()");
	region_leave(&r);
}

/* --- lying owners --- */

/* A memfd with this content and these seals, as a hostile owner would make it. */
static int forge(const void *content, size_t n, size_t octets, int seals)
{
	const int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)octets) < 0 || pwrite(fd, content, n, 0) != (ssize_t)n ||
	    fcntl(fd, F_ADD_SEALS, seals) < 0)
		abort();
	return fd;
}

enum { ALL_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | 0x10 /* FUTURE_WRITE */ };

enum { FORGED_SECTIONS = 2 };

/* A directory and its sections, as octets to be spoilt one by one. */
struct forged {
	uint8_t octets[sizeof(struct directory) + FORGED_SECTIONS * sizeof(struct section)];
};

static struct forged honest(void)
{
	const struct directory dir = { .magic = ABI_MAGIC,
		                       .major = ABI_MAJOR,
		                       .minor = ABI_MINOR,
		                       .n_sections = FORGED_SECTIONS,
		                       .octets = 8192,
		                       .generation = 1 };
	const struct section section[FORGED_SECTIONS] = { { SECTION_LIFE, 0, 1, 0, 128, 64 },
		                                          { SECTION_PUNT, 0, 1, 0, 4096, 4096 } };
	struct forged f;

	memcpy(f.octets, &dir, sizeof(dir));
	memcpy(f.octets + sizeof(dir), section, sizeof(section));
	return f;
}

static int try(const struct forged *f, uint64_t said, int seals, struct region_error *error)
{
	struct region d = { .fd = -1 };
	const int fd = forge(f, sizeof(*f), 8192, seals);
	const int rc = region_join(&d, fd, said, error);

	if (rc)
		close(fd);
	else
		region_leave(&d);
	return rc;
}

static void test_seals(void)
{
	const struct forged f = honest();
	struct region_error error;
	struct region d;

	CHECK(try(&f, 8192, ALL_SEALS, &error) == 0, "honest");
	CHECK(try(&f, 8192, ALL_SEALS & ~F_SEAL_SHRINK, &error) == -EPERM, "could be truncated");
	CHECK(try(&f, 8192, ALL_SEALS & ~F_SEAL_GROW, &error) == -EPERM, "could grow");
	CHECK(try(&f, 8192, ALL_SEALS & ~F_SEAL_SEAL, &error) == -EPERM, "seals could change");
	CHECK(try(&f, 8192, ALL_SEALS & ~0x10, &error) == -EPERM, "others could write");
	CHECK(strstr(error.text, "seal") != NULL, "said in words");
	FILE *const file = tmpfile();

	CHECK(region_join(&d, fileno(file), 8192, &error) == -EPERM, "not a memfd");
	CHECK(region_join(&d, -1, 8192, &error) == -EPERM, "not a descriptor");
	fclose(file);
}

static struct {
	const char *what;
	size_t at; /* offset into the octets */
	uint64_t value;
	unsigned octets;
	int want;
} edits[] = {
#define DIR(field) offsetof(struct directory, field)
#define SEC(i, field) \
	(sizeof(struct directory) + (i) * sizeof(struct section) + offsetof(struct section, field))
	{ "magic", DIR(magic), 1, 8, -EPROTO },
	{ "major", DIR(major), ABI_MAJOR + 1, 2, -EPROTO },
	{ "minor is compatible", DIR(minor), ABI_MINOR + 1, 2, 0 },
	{ "sections beyond the limit", DIR(n_sections), REGION_SECTIONS_MAX + 1, 4, -EPROTO },
	{ "sections beyond anything", DIR(n_sections), UINT32_MAX, 4, -EPROTO },
	{ "sections, of which the rest is zero", DIR(n_sections), 200, 4, -EPROTO },
	{ "octets too few", DIR(octets), 4096, 8, -EPROTO },
	{ "octets too many", DIR(octets), 16384, 8, -EPROTO },
	{ "section in the directory", SEC(0, offset), 64, 8, -EPROTO },
	{ "section not on a line", SEC(0, offset), 129, 8, -EPROTO },
	{ "section beyond the end", SEC(0, offset), 8192 + 64, 8, -EPROTO },
	{ "section at the end, empty is asked for more", SEC(0, offset), 8192, 8, -EPROTO },
	{ "section one octet too long", SEC(1, octets), 4097, 8, -EPROTO },
	{ "section just to the end", SEC(0, octets), 8192 - 128, 8, 0 },
	{ "section whose end wraps", SEC(1, octets), UINT64_MAX - 4095, 8, -EPROTO },
	{ "section offset of all ones", SEC(1, offset), UINT64_MAX - 63, 8, -EPROTO },
	{ "known section, other version", SEC(1, major), 2, 2, -EPROTO },
	{ "unknown section, any version", SEC(1, kind), 777, 2, 0 },
};

static void test_directory(void)
{
	for (unsigned i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		struct forged f = honest();
		struct region_error error = { "" };

		memcpy(f.octets + edits[i].at, &edits[i].value, edits[i].octets);
		CHECK(try(&f, 8192, ALL_SEALS, &error) == edits[i].want, edits[i].what);
		CHECK((error.text[0] != '\0') == (edits[i].want != 0), "said in words");
	}
	const struct forged f = honest();
	struct region_error error;

	CHECK(try(&f, 4096, ALL_SEALS, &error) == -EPROTO, "the hello says less than there is");
	CHECK(try(&f, 1 << 20, ALL_SEALS, &error) == -EPROTO, "the hello says more than there is");
	CHECK(try(&f, 0, ALL_SEALS, &error) == -EPROTO, "the hello says nothing");
}

/* Versions of both sides in one line (abi.h: printed on mismatch). */
static void test_version_text(void)
{
	struct forged f = honest();
	struct region_error error;

	memcpy(f.octets + DIR(major), (const uint16_t[]){ 7, 3 }, 4);
	CHECK(try(&f, 8192, ALL_SEALS, &error) == -EPROTO, "refused");
	CHECK(strstr(error.text, "7.3") && strstr(error.text, "2.0"), error.text);
}

/* The owner changes its directory after the check: the joiner must go by its own copy. */
static void test_directory_changes(void)
{
	struct region r = made(), d = { .fd = -1 };
	uint64_t octets = 0;

	CHECK(region_join(&d, dup(r.fd), r.octets, NULL) == 0, "join");
	struct directory *const dir = (struct directory *)r.base;

	for (unsigned i = 0; i < N_WANT; i++)
		dir->section[i].offset = dir->section[i].octets = UINT64_MAX / 2;
	dir->n_sections = UINT32_MAX;
	CHECK(region_section(&d, SECTION_LIFE, 0, &octets) && octets == sizeof(struct life),
	      "as it was checked");
	CHECK((uint8_t *)region_section(&d, SECTION_LIFE, 0, NULL) < d.base + d.octets, "inside");
	region_leave(&d);
	region_leave(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "layout", test_layout },
		{ "impossible", test_impossible },
		{ "hugepages", test_hugepages },
		{ "join", test_join },
		{ "attack as nobody", test_attack },
		{ "seals", test_seals },
		{ "directory", test_directory },
		{ "version text", test_version_text },
		{ "directory changes", test_directory_changes },
		CU_TEST_INFO_NULL,
	};

	return run_suite("region", tests);
}
