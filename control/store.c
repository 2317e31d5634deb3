#include "control/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/memory.h"
#include "log.h"

#define MAGIC UINT64_C(0x455A4953544F5245)
enum { MAJOR = 2, MINOR = 0, HEADER = 4096, BOOT_ID = 36, RECORDS_MAX = 1 << 26 };
enum { GROW = 4096, PAGE = 4096 }; /* records at a time: a megabyte */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

struct header {
	_Atomic uint64_t magic; /* written last: a file without it was never finished */
	uint16_t major, minor;
	uint32_t record_octets;
	_Atomic uint32_t n_records;
	uint32_t reserved;
	char boot_id[BOOT_ID];
};
static_assert(offsetof(struct header, boot_id) == 24 && sizeof(struct header) <= HEADER, "");

/* The word: bit 0 which body, bits 8..15 kind, bits 32..63 generation. */
struct record {
	_Atomic uint64_t word;
	uint32_t sum[2]; /* of each body and the word it was published with: against bugs, not kills
	                  */
	uint8_t reserved[16];
	uint8_t body[2][STORE_BODY];
};
static_assert(sizeof(struct record) == 256 && offsetof(struct record, body) == 32, "");

enum state { FREE, TAKEN, USED };

struct store {
	struct header *header; /* the mapping */
	struct record *record;
	size_t octets;
	uint32_t n;      /* most there may be */
	uint32_t n_file; /* those the file has */
	uint32_t n_used, n_free;
	uint32_t fresh;   /* records behind it were never taken */
	uint8_t *state;   /* of each record: enum state */
	store_ref *free_; /* stack of free refs that were taken before */
	bool grow_told;
	char *path;
	int fd;
};

static uint64_t word_make(unsigned active, enum store_kind kind, uint32_t generation)
{
	return active | (uint64_t)kind << 8 | (uint64_t)generation << 32;
}

static unsigned word_active(uint64_t word)
{
	return word & 1;
}

static enum store_kind word_kind(uint64_t word)
{
	return (enum store_kind)(word >> 8 & 0xFF);
}

static uint32_t word_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

/* Two chains of odd multiplications, so that one does not wait for the other. */
static uint32_t body_sum(const uint8_t *body, uint64_t word)
{
	uint64_t a = word, b = ~word, w[STORE_BODY / 8];

	static_assert(STORE_BODY % 16 == 0, "pairs of words");
	memcpy(w, body, STORE_BODY);
	for (unsigned i = 0; i < STORE_BODY / 8; i += 2) {
		a = (a ^ w[i]) * UINT64_C(0x9E3779B97F4A7C15);
		b = (b ^ w[i + 1]) * UINT64_C(0xC2B2AE3D27D4EB4F);
		a ^= a >> 32;
		b ^= b >> 29;
	}
	a = (a ^ (b << 32 | b >> 32)) * UINT64_C(0x9E3779B97F4A7C15);
	return (uint32_t)(a >> 32);
}

static uint64_t word_of(const struct store *s, store_ref ref)
{
	assert(ref && ref <= s->n);
	return atomic_load_explicit(&s->record[ref - 1].word, memory_order_acquire);
}

/* --- opening --- */

static int read_boot_id(char out[BOOT_ID])
{
	const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	const ssize_t n = read(fd, out, BOOT_ID);

	close(fd);
	return n == BOOT_ID ? 0 : -EIO;
}

/*
 * Open and locked. The one before us may have unlinked the file between our open and our lock; then
 * what we hold has no name, and we try again.
 */
static int open_locked(const char *path)
{
	for (;;) {
		struct stat held, named;
		const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			const int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;

			close(fd);
			return rc;
		}
		if (fstat(fd, &held) == 0 && stat(path, &named) == 0 &&
		    held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
			if (S_ISREG(held.st_mode))
				return fd;
			close(fd);
			return -EINVAL;
		}
		close(fd);
	}
}

/* What an earlier life left: 1 its records are good, 0 start empty (said why), or -errno. */
static int judge(const struct header *h, size_t octets, const char *boot_id, const char *path)
{
	if (octets < HEADER || atomic_load_explicit(&h->magic, memory_order_acquire) != MAGIC)
		return 0; /* new, or its maker died before it was finished: nothing was promised */
	if (h->major != MAJOR || h->record_octets != sizeof(struct record)) {
		log_error(
			"store", "version",
			"path=%s found=%u.%u known=%d.%d hint=start-the-other-release-or-remove-it",
			path, h->major, h->minor, MAJOR, MINOR);
		return -EPROTO;
	}
	const uint32_t n = atomic_load_explicit(&h->n_records, memory_order_relaxed);

	if (n > RECORDS_MAX || HEADER + (size_t)n * sizeof(struct record) > octets) {
		log_error("store", "cut-short", "path=%s records=%u octets=%zu hint=remove-it",
		          path, n, octets);
		return -EPROTO;
	}
	if (memcmp(h->boot_id, boot_id, BOOT_ID) != 0) {
		log_warning("store", "other-boot", "path=%s records=%u action=start-empty", path,
		            n);
		return 0;
	}
	return 1;
}

/* An empty store on a file of zeros; the magic comes last. */
static void format(struct store *s, const char *boot_id)
{
	struct header *const h = s->header;

	atomic_store_explicit(&h->magic, 0, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst); /* a kill sees stores in program order */
	h->major = MAJOR;
	h->minor = MINOR;
	h->record_octets = sizeof(struct record);
	atomic_store_explicit(&h->n_records, s->n_file, memory_order_relaxed);
	memcpy(h->boot_id, boot_id, BOOT_ID);
	atomic_store_explicit(&h->magic, MAGIC, memory_order_release);
}

/* Which records are free is derived, never stored. Records with a wrong sum are freed and told. */
static int derive(struct store *s, bool found)
{
	uint32_t damaged = 0;

	s->state = memory_array(s->n, sizeof(*s->state));
	s->free_ = memory_array(s->n, sizeof(*s->free_));
	if (!s->state || !s->free_)
		return -ENOMEM;
	if (!found) /* all are fresh, none need be read */
		return 0;
	s->fresh = s->n_file;
	for (store_ref ref = s->n_file; ref > 0; ref--) {
		struct record *const r = &s->record[ref - 1];
		const uint64_t word = word_of(s, ref);
		const unsigned active = word_active(word);

		if (word_kind(word) != STORE_FREE) {
			if (word_kind(word) < STORE_KIND_END &&
			    r->sum[active] == body_sum(r->body[active], word)) {
				s->state[ref - 1] = USED;
				s->n_used++;
				continue;
			}
			damaged++;
			atomic_store_explicit(&r->word,
			                      word_make(active, STORE_FREE, word_generation(word)),
			                      memory_order_release);
		}
		s->free_[s->n_free++] = ref;
	}
	if (damaged)
		log_error("store", "damaged", "path=%s records=%u action=dropped", s->path,
		          damaged);
	return 0;
}

/*
 * More records in the file. Every page now: a hole on a full tmpfs would be SIGBUS in the middle of
 * a request.
 */
static int grow(struct store *s, uint32_t n)
{
	const size_t had = s->n_file ? HEADER + (size_t)s->n_file * sizeof(struct record) : 0;
	const size_t octets = HEADER + (size_t)n * sizeof(struct record);
	const int rc = posix_fallocate(s->fd, 0, (off_t)octets);

	if (rc)
		return -rc;
	/* Mapped now, too, where the kernel can; else at first touch. */
	const size_t from = had & ~(size_t)(PAGE - 1);
	madvise((uint8_t *)s->header + from, octets - from, MADV_POPULATE_WRITE);
	s->n_file = n;
	return 0;
}

/* Maps what is there and decides; everything gained is in *s for store_open() to undo. */
static int open_file(struct store *s, uint32_t n_first, uint32_t n_max, bool *found)
{
	char boot_id[BOOT_ID];
	struct stat st;
	int rc = read_boot_id(boot_id);

	if (rc)
		return rc;
	if (fstat(s->fd, &st) < 0)
		return -errno;
	const size_t had = (size_t)st.st_size;

	rc = posix_fallocate(s->fd, 0, HEADER);
	if (rc)
		return -rc;
	s->octets = HEADER + (size_t)n_max * sizeof(struct record);
	if (s->octets < had)
		s->octets = had;
	s->header = mmap(NULL, s->octets, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->header == MAP_FAILED) {
		s->header = NULL;
		return -errno;
	}
	madvise(s->header, s->octets, MADV_DONTDUMP);
	s->record = (struct record *)((uint8_t *)s->header + HEADER);
	rc = judge(s->header, had, boot_id, s->path);
	if (rc < 0)
		return rc;
	*found = rc == 1;
	/* Records never go away with a smaller limit; with a larger one there are more. */
	uint32_t n = *found ? atomic_load_explicit(&s->header->n_records, memory_order_relaxed) : 0;

	if (n < n_first)
		n = n_first;
	s->n = n > n_max ? n : n_max;
	if (!*found && ftruncate(s->fd, 0) < 0)
		return -errno;
	rc = grow(s, n);
	if (rc)
		return rc;
	if (*found)
		atomic_store_explicit(&s->header->n_records, n, memory_order_release);
	else
		format(s, boot_id);
	return derive(s, *found);
}

static void release(struct store *s)
{
	if (s->header)
		munmap(s->header, s->octets);
	if (s->fd >= 0)
		close(s->fd);
	memory_free(s->state);
	memory_free(s->free_);
	free(s->path);
	free(s);
}

int store_open(struct store **out, const char *path, uint32_t n_records, bool *found)
{
	return store_open_growing(out, path, n_records, n_records, found);
}

int store_open_growing(struct store **out, const char *path, uint32_t n_first, uint32_t n_max,
                       bool *found)
{
	if (!n_first || n_max < n_first || n_max > RECORDS_MAX)
		return -EINVAL;
	struct store *const s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->path = strdup(path);
	if (!s->path) {
		release(s);
		return -ENOMEM;
	}
	struct stat before;
	const bool existed = stat(path, &before) == 0;
	bool there = false;
	int rc = s->fd = open_locked(path);

	if (s->fd >= 0) {
		rc = open_file(s, n_first, n_max, &there);
		if (rc && !existed)
			unlink(path);
	}
	if (rc < 0) {
		log_error("store", "not-opened", "path=%s records=%u error=\"%s%s\"", path, n_first,
		          strerror(-rc),
		          rc == -ENOSPC ? "; give run-dir more room or lower limits.allocations"
		                        : "");
		release(s);
		return rc;
	}
	*found = there;
	*out = s;
	return 0;
}

void store_close(struct store *s, bool keep)
{
	if (!s)
		return;
	if (!keep)
		unlink(s->path); /* still locked: nobody else's file has this name */
	release(s);
}

/* --- records --- */

bool store_room(struct store *s, uint32_t n)
{
	while (s->n_free + (s->n_file - s->fresh) < n) {
		const uint32_t more = s->n - s->n_file < GROW ? s->n - s->n_file : GROW;
		const int rc = more ? grow(s, s->n_file + more) : -ENOSPC;

		if (rc) {
			if (!s->grow_told)
				log_error("store", "full", "path=%s records=%u max=%u error=\"%s\"",
				          s->path, s->n_file, s->n, strerror(-rc));
			s->grow_told = true;
			return false;
		}
		s->grow_told = false;
		atomic_store_explicit(&s->header->n_records, s->n_file, memory_order_release);
	}
	return true;
}

void store_prefetch(const struct store *s, uint32_t i)
{
	const struct record *r;

	if (i < s->n_free)
		r = &s->record[s->free_[s->n_free - 1 - i] - 1];
	else if (s->fresh + (i - s->n_free) < s->n_file)
		r = &s->record[s->fresh + (i - s->n_free)];
	else
		return;
	for (unsigned line = 0; line < sizeof(*r); line += 64)
		__builtin_prefetch((const uint8_t *)r + line, 1);
}

store_ref store_take(struct store *s)
{
	if (!store_room(s, 1))
		return 0;
	const store_ref ref = s->n_free ? s->free_[--s->n_free] : ++s->fresh;

	s->state[ref - 1] = TAKEN;
	return ref;
}

/*
 * The acquire load of the word keeps the compiler from writing the idle body before the flip that
 * made it idle; the release store keeps the body before its own flip.
 */
void store_commit(struct store *s, store_ref ref, enum store_kind kind, const void *body)
{
	const uint64_t old = word_of(s, ref);
	const unsigned idle = !word_active(old);
	const uint64_t word = word_make(idle, kind, word_generation(old) + 1);
	struct record *const r = &s->record[ref - 1];

	assert(s->state[ref - 1] != FREE && kind != STORE_FREE && kind < STORE_KIND_END);
	memcpy(r->body[idle], body, STORE_BODY);
	r->sum[idle] = body_sum(r->body[idle], word);
	atomic_store_explicit(&r->word, word, memory_order_release);
	if (s->state[ref - 1] == TAKEN) {
		s->state[ref - 1] = USED;
		s->n_used++;
	}
}

void store_free(struct store *s, store_ref ref)
{
	const uint64_t word = word_of(s, ref);

	assert(s->state[ref - 1] != FREE);
	if (s->state[ref - 1] == USED) {
		atomic_store_explicit(
			&s->record[ref - 1].word,
			word_make(word_active(word), STORE_FREE, word_generation(word)),
			memory_order_release);
		s->n_used--;
	}
	s->state[ref - 1] = FREE;
	s->free_[s->n_free++] = ref;
}

const void *store_body(const struct store *s, store_ref ref, enum store_kind *kind)
{
	const uint64_t word = word_of(s, ref);

	if (word_kind(word) == STORE_FREE)
		return NULL;
	if (kind)
		*kind = word_kind(word);
	return s->record[ref - 1].body[word_active(word)];
}

uint32_t store_generation(const struct store *s, store_ref ref)
{
	return word_generation(word_of(s, ref));
}

store_ref store_next(const struct store *s, store_ref ref)
{
	while (ref < s->fresh)
		if (s->state[ref++] == USED)
			return ref;
	return 0;
}

uint32_t store_used(const struct store *s)
{
	return s->n_used;
}

uint32_t store_capacity(const struct store *s)
{
	return s->n;
}
