#include "abi/region.h"

#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define HUGE_PAGE (UINT64_C(2) << 20)
/* Linux 5.14; the headers of Debian 12 know them, an older kernel says EINVAL. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

static const int seals_wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

/* Version of the sections this program knows; unknown kinds are nobody's business. */
static const struct {
	uint16_t kind, major;
} known[] = {
	{ SECTION_LIFE, 1 },      { SECTION_LISTENERS, 1 },  { SECTION_RELAYS, 1 },
	{ SECTION_COUNTERS, 1 },  { SECTION_PUNT, 1 },       { SECTION_COMMAND_TAIL, 1 },
	{ SECTION_ROWS, 1 },      { SECTION_ROWS_WIDE, 1 },  { SECTION_FOREIGN, 1 },
	{ SECTION_PORTS, 1 },     { SECTION_NEIGHBOURS, 1 }, { SECTION_COMMAND, 1 },
	{ SECTION_PUNT_TAIL, 1 },
};

static uint16_t section_major(uint16_t kind)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].kind == kind)
			return known[i].major;
	return 0;
}

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* Offsets of every section; returns the octets of the whole, 0 if that is too much. */
static uint64_t lay_out(struct section *section, const struct region_want *want, unsigned n)
{
	uint64_t at = sizeof(struct directory) + n * sizeof(*section);

	for (unsigned i = 0; i < n; i++) {
		if (want[i].octets > REGION_OCTETS_MAX)
			return 0;
		at = round_up(at, want[i].octets >= PAGE ? PAGE : ABI_LINE);
		section[i] = (struct section){
			.kind = want[i].kind,
			.instance = want[i].instance,
			.major = section_major(want[i].kind),
			.offset = at,
			.octets = want[i].octets,
		};
		at += want[i].octets;
		if (at > REGION_OCTETS_MAX)
			return 0;
	}
	return at;
}

/* Faulted in now, so that neither a packet core nor a hugepage pool that ran dry finds out later.
 */
static int populate(uint8_t *base, uint64_t octets)
{
	if (madvise(base, octets, MADV_POPULATE_WRITE) == 0)
		return 0;
	return errno == EINVAL ? 0 : -errno;
}

static void place(void *base, uint64_t octets, int numa_node)
{
	if (numa_node >= 0 && numa_available() >= 0 && numa_node <= numa_max_node())
		numa_tonode_memory(base, octets, numa_node);
}

/* One memfd, mapped and faulted in. Returns the fd or -errno. */
static int back(const char *name, uint64_t octets, unsigned flags, int numa_node, uint8_t **base)
{
	const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0)
		return -errno;
	int rc = 0;
	uint8_t *map = MAP_FAILED;

	if (ftruncate(fd, (off_t)octets) < 0)
		rc = -errno;
	if (!rc) {
		map = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			rc = -errno;
	}
	if (!rc) {
		place(map, octets, numa_node);
		if (!(flags & MFD_HUGETLB))
			madvise(map, octets, MADV_HUGEPAGE); /* only where the host allows it */
		madvise(map, octets, MADV_DONTDUMP);
		rc = populate(map, octets);
	}
	if (!rc && fcntl(fd, F_ADD_SEALS, seals_wanted) < 0)
		rc = -errno;
	if (rc) {
		if (map != MAP_FAILED)
			munmap(map, octets);
		close(fd);
		return rc;
	}
	*base = map;
	return fd;
}

int region_create(struct region *r, const char *name, uint64_t generation,
                  const struct region_want *want, unsigned n, bool huge, int numa_node)
{
	if (n > REGION_SECTIONS_MAX)
		return -EINVAL;
	struct section *const section = calloc(n ? n : 1, sizeof(*section));

	if (!section)
		return -ENOMEM;
	const uint64_t octets = lay_out(section, want, n);

	if (!octets) {
		free(section);
		return -EFBIG;
	}
	uint8_t *base = NULL;
	uint64_t size = round_up(octets, HUGE_PAGE);
	int fd = -ENOMEM;

	if (huge)
		fd = back(name, size, MFD_HUGETLB | MFD_HUGE_2MB, numa_node, &base);
	const bool got_huge = fd >= 0;

	if (fd < 0) {
		size = round_up(octets, PAGE);
		fd = back(name, size, 0, numa_node, &base);
	}
	if (fd < 0) {
		free(section);
		return fd;
	}
	struct directory *const dir = (struct directory *)base;

	dir->major = ABI_MAJOR;
	dir->minor = ABI_MINOR;
	dir->n_sections = n;
	dir->octets = size;
	dir->generation = generation;
	memcpy(dir->section, section, n * sizeof(*section));
	atomic_thread_fence(memory_order_release);
	dir->magic = ABI_MAGIC;
	*r = (struct region){ .base = base,
		              .octets = size,
		              .generation = generation,
		              .sections = section,
		              .n_sections = n,
		              .fd = fd,
		              .huge = got_huge,
		              .owner = true };
	return 0;
}

static int refuse(struct region_error *error, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(struct region_error *error, int rc, const char *fmt, ...)
{
	if (!error)
		return rc;
	va_list args;

	va_start(args, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, args);
	va_end(args);
	return rc;
}

/* What must hold before the memory may be touched at all. */
static int check_fd(int fd, uint64_t octets, struct region_error *error)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0)
		return refuse(error, -EPERM, "region is not a memfd that can be sealed");
	if ((seals & seals_wanted) != seals_wanted)
		return refuse(error, -EPERM,
		              "region lacks seals: has 0x%x, needs 0x%x (shrink, grow, future "
		              "write, seal)",
		              (unsigned)seals, (unsigned)seals_wanted);
	if (fstat(fd, &st) < 0)
		return refuse(error, -errno, "region cannot be examined: %s", strerror(errno));
	if (octets < sizeof(struct directory) || octets > REGION_OCTETS_MAX ||
	    (uint64_t)st.st_size != octets)
		return refuse(error, -EPROTO, "region has %lld octets, its hello says %llu",
		              (long long)st.st_size, (unsigned long long)octets);
	return 0;
}

static int check_section(const struct section *s, unsigned i, uint64_t begin, uint64_t octets,
                         struct region_error *error)
{
	const uint16_t major = section_major(s->kind);

	if (s->offset % ABI_LINE || s->offset < begin || s->offset > octets ||
	    s->octets > octets - s->offset)
		return refuse(
			error, -EPROTO,
			"section %u (kind %u) lies at %llu + %llu, outside a region of %llu octets",
			i, s->kind, (unsigned long long)s->offset, (unsigned long long)s->octets,
			(unsigned long long)octets);
	if (major && s->major != major)
		return refuse(error, -EPROTO,
		              "section kind %u has version %u.%u there, %u.0 is known here",
		              s->kind, s->major, s->minor, major);
	return 0;
}

/* Copies the directory out, then validates the copy; *out is the caller's to free. */
static int read_directory(const uint8_t *base, uint64_t octets, struct directory *head,
                          struct section **out, struct region_error *error)
{
	memcpy(head, base, sizeof(*head));
	atomic_signal_fence(memory_order_seq_cst); /* the copy, not the memory, is used from here */
	if (head->magic != ABI_MAGIC)
		return refuse(error, -EPROTO, "region has the wrong magic number");
	if (head->major != ABI_MAJOR)
		return refuse(error, -EPROTO, "region has ABI version %u.%u, %d.%d is known here",
		              head->major, head->minor, ABI_MAJOR, ABI_MINOR);
	if (head->octets != octets)
		return refuse(error, -EPROTO, "directory says %llu octets, the region has %llu",
		              (unsigned long long)head->octets, (unsigned long long)octets);
	const uint64_t begin = sizeof(*head) + (uint64_t)head->n_sections * sizeof(struct section);

	if (head->n_sections > REGION_SECTIONS_MAX || begin > octets)
		return refuse(error, -EPROTO, "directory has %u sections, %d are possible",
		              head->n_sections, REGION_SECTIONS_MAX);
	struct section *const section = calloc(head->n_sections + 1, sizeof(*section));

	if (!section)
		return refuse(error, -ENOMEM, "no memory for the directory");
	memcpy(section, base + sizeof(*head), head->n_sections * sizeof(*section));
	atomic_signal_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < head->n_sections; i++) {
		const int rc = check_section(&section[i], i, begin, octets, error);

		if (rc) {
			free(section);
			return rc;
		}
	}
	*out = section;
	return 0;
}

int region_join(struct region *r, int fd, uint64_t octets, struct region_error *error)
{
	int rc = check_fd(fd, octets, error);

	if (rc)
		return rc;
	uint8_t *const base = mmap(NULL, octets, PROT_READ, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return refuse(error, -errno, "region cannot be mapped: %s", strerror(errno));
	madvise(base, octets, MADV_DONTDUMP);
	struct directory head;
	struct section *section = NULL;

	/* The seals forbid new holes, so what is there now stays: later reads cannot fault. */
	if (madvise(base, octets, MADV_POPULATE_READ) < 0 && errno != EINVAL)
		rc = refuse(error, -errno, "region cannot be faulted in: %s", strerror(errno));
	if (!rc)
		rc = read_directory(base, octets, &head, &section, error);
	if (rc) {
		munmap(base, octets);
		return rc;
	}
	*r = (struct region){ .base = base,
		              .octets = octets,
		              .generation = head.generation,
		              .sections = section,
		              .n_sections = head.n_sections,
		              .fd = fd,
		              .owner = false };
	return 0;
}

void region_leave(struct region *r)
{
	if (r->base)
		munmap(r->base, r->octets);
	if (r->base && r->fd >= 0)
		close(r->fd);
	free(r->sections);
	*r = (struct region){ .fd = -1 };
}

void *region_section(const struct region *r, uint16_t kind, uint16_t instance, uint64_t *octets)
{
	for (uint32_t i = 0; i < r->n_sections; i++) {
		const struct section *const s = &r->sections[i];

		if (s->kind != kind || s->instance != instance)
			continue;
		if (octets)
			*octets = s->octets;
		return r->base + s->offset;
	}
	return NULL;
}

void *region_find(const struct region *r, uint16_t kind, uint16_t instance, uint64_t octets)
{
	uint64_t has = 0;
	void *const section = region_section(r, kind, instance, &has);

	return has >= octets ? section : NULL;
}
