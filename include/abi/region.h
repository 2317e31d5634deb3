/*
 * Building and joining a region: a sealed memfd that begins with a directory.
 *
 * The four verbs: create formats (magic last) and seals, the join of either process hands the fd
 * over, join checks and maps read-only, leave unmaps. A named file would let the joiner's truncate
 * kill the owner.
 *
 * Trust      The joiner believes nothing: seals, size, magic, versions and the bounds of every
 *            section are checked on a private copy of the directory, and pages are faulted in
 *            before anyone reads, so that a hole cannot become SIGBUS later. Contents are the
 *            readers' to check.
 * Threads    Create, join and leave: one thread. region_section(): any.
 * Memory     Left out of core dumps (keys and packets lie there).
 */
#pragma once

#include <stdbool.h>

#include "abi/abi.h"

enum { REGION_SECTIONS_MAX = 256 };
#define REGION_OCTETS_MAX (UINT64_C(1) << 40)

struct region {
	uint8_t *base; /* writable in the owner, read-only in the joiner; NULL: none */
	uint64_t octets;
	uint64_t generation;      /* as the directory said at create or join */
	struct section *sections; /* a private copy of the directory's */
	uint32_t n_sections;
	int fd;    /* memfd, sealed; -1 once handed over and closed */
	bool huge; /* on hugepages */
	bool owner;
};

struct region_want {
	uint16_t kind, instance;
	uint64_t octets;
};

struct region_error {
	char text[160]; /* what, found and wanted, no newline */
};

/*
 * Creates, maps, zeroes, faults in and seals (SHRINK, GROW, FUTURE_WRITE, SEAL) a region with these
 * sections, laid out in order, each on a line (rows and whatever has a page or more on a page).
 * Hugepages when `huge` and there are enough, else ordinary pages. `numa_node` -1: anywhere; a node
 * that cannot be had is not an error. Returns 0 or -errno; *r is untouched on error.
 */
int region_create(struct region *r, const char *name, uint64_t generation,
                  const struct region_want *want, unsigned n, bool huge, int numa_node);

/*
 * Maps the other side's region read-only after the checks above. Takes `fd` on success (r->fd).
 * Returns 0; -EPERM: seals are missing; -EPROTO: magic, version or bounds; -errno. `error` (may be
 * NULL) then says it in words.
 */
int region_join(struct region *r, int fd, uint64_t octets, struct region_error *error);
void region_leave(struct region *r);

/* NULL if there is none; *octets (may be NULL) is the section's size. */
void *region_section(const struct region *r, uint16_t kind, uint16_t instance, uint64_t *octets);

/* The same, but NULL too if the section has fewer than `octets` octets. */
void *region_find(const struct region *r, uint16_t kind, uint16_t instance, uint64_t octets);
