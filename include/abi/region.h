/*
 * Building and joining a region: a sealed memfd that begins with a directory.
 *
 * The four verbs: create formats (magic last), share seals and hands over, join checks and maps
 * read-only, leave unmaps. A named file would let the joiner's truncate kill the owner.
 */
#pragma once

#include <stdbool.h>

#include "abi/abi.h"

enum { REGION_SECTIONS_MAX = 256 };

struct region {
	uint8_t *base;      /* writable in the owner, read-only in the joiner */
	uint64_t octets;
	int fd;             /* memfd, sealed; -1 once handed over and closed */
	bool huge;          /* on hugepages */
	bool owner;
};

struct region_want {
	uint16_t kind, instance;
	uint64_t octets;
};

/*
 * Creates, maps, zeroes and seals (SHRINK, GROW, FUTURE_WRITE) a region with these sections, laid
 * out in order, each on a line (rows on a page). Hugepages when `huge` and there are any, else
 * ordinary pages. `numa_node` -1: anywhere. Returns 0 or -errno.
 */
int region_create(struct region *r, const char *name, uint64_t generation,
                  const struct region_want *want, unsigned n, bool huge, int numa_node);

/* Maps the other side's region read-only, checks magic, version, seals and every section's bounds. */
int region_join(struct region *r, int fd, uint64_t octets);
void region_leave(struct region *r);

/* NULL if there is none; *octets (may be NULL) is the section's size. */
void *region_section(const struct region *r, uint16_t kind, uint16_t instance, uint64_t *octets);
