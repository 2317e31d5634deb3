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

#include "log.h"
#include "wire/crc.h"

#define MAGIC UINT64_C(0x455A4953544F5245)
enum { MAJOR = 1, MINOR = 0, HEADER = 4096, BOOT_ID = 36, RECORDS_MAX = 1 << 26 };

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
	uint32_t crc[2]; /* of each body and the word it was published with: against bugs, not kills
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
	uint32_t n, n_used, n_free;
	uint8_t *state;   /* of each record: enum state */
	store_ref *free_; /* stack of free refs */
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

static uint32_t body_crc(const uint8_t *body, uint64_t word)
{
	uint8_t octets[STORE_BODY + sizeof(word)];

	memcpy(octets, body, STORE_BODY);
	memcpy(octets + STORE_BODY, &word, sizeof(word));
	return crc32_ieee(octets, sizeof(octets));
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

/* An empty store; the magic comes last. */
static void format(struct store *s, const char *boot_id)
{
	struct header *const h = s->header;

	atomic_store_explicit(&h->magic, 0, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst); /* a kill sees stores in program order */
	memset(s->record, 0, (size_t)s->n * sizeof(struct record));
	h->major = MAJOR;
	h->minor = MINOR;
	h->record_octets = sizeof(struct record);
	atomic_store_explicit(&h->n_records, s->n, memory_order_relaxed);
	memcpy(h->boot_id, boot_id, BOOT_ID);
	atomic_store_explicit(&h->magic, MAGIC, memory_order_release);
}

/* Which records are free is derived, never stored. Records with a wrong sum are freed and told. */
static int derive(struct store *s)
{
	uint32_t damaged = 0;

	s->state = calloc(s->n, sizeof(*s->state));
	s->free_ = calloc(s->n, sizeof(*s->free_));
	if (!s->state || !s->free_)
		return -ENOMEM;
	for (store_ref ref = s->n; ref > 0; ref--) {
		struct record *const r = &s->record[ref - 1];
		const uint64_t word = word_of(s, ref);
		const unsigned active = word_active(word);

		if (word_kind(word) != STORE_FREE) {
			if (word_kind(word) < STORE_KIND_END &&
			    r->crc[active] == body_crc(r->body[active], word)) {
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

/* Maps what is there and decides; everything gained is in *s for store_open() to undo. */
static int open_file(struct store *s, uint32_t n_records, bool *found)
{
	char boot_id[BOOT_ID];
	struct stat st;
	int rc = read_boot_id(boot_id);

	if (rc)
		return rc;
	if (fstat(s->fd, &st) < 0)
		return -errno;
	const size_t had = (size_t)st.st_size;
	size_t octets = HEADER + (size_t)n_records * sizeof(struct record);

	if (had > octets)
		octets = had;
	/* Every page now: a hole on a full tmpfs would be SIGBUS in the middle of a request. */
	rc = posix_fallocate(s->fd, 0, (off_t)octets);
	if (rc)
		return -rc;
	s->header = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, s->fd, 0);
	if (s->header == MAP_FAILED) {
		s->header = NULL;
		return -errno;
	}
	s->octets = octets;
	madvise(s->header, octets, MADV_DONTDUMP);
	s->record = (struct record *)((uint8_t *)s->header + HEADER);
	s->n = n_records;
	rc = judge(s->header, had, boot_id, s->path);
	if (rc < 0)
		return rc;
	*found = rc == 1;
	if (!*found) {
		format(s, boot_id);
	} else {
		/* Records never go away with a smaller limit; with a larger one there are more. */
		const uint32_t n =
			atomic_load_explicit(&s->header->n_records, memory_order_relaxed);

		if (n >= n_records)
			s->n = n;
		else
			atomic_store_explicit(&s->header->n_records, n_records,
			                      memory_order_release);
	}
	return derive(s);
}

static void release(struct store *s)
{
	if (s->header)
		munmap(s->header, s->octets);
	if (s->fd >= 0)
		close(s->fd);
	free(s->state);
	free(s->free_);
	free(s->path);
	free(s);
}

int store_open(struct store **out, const char *path, uint32_t n_records, bool *found)
{
	if (!n_records || n_records > RECORDS_MAX)
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
		rc = open_file(s, n_records, &there);
		if (rc && !existed)
			unlink(path);
	}
	if (rc < 0) {
		log_error("store", "not-opened", "path=%s records=%u error=\"%s%s\"", path,
		          n_records, strerror(-rc),
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

store_ref store_take(struct store *s)
{
	if (!s->n_free)
		return 0;
	const store_ref ref = s->free_[--s->n_free];

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
	r->crc[idle] = body_crc(r->body[idle], word);
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
	while (ref < s->n)
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
