/* Zeroed arrays on huge pages where they are large. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "control/memory.h"

enum { HEADER = 64, PAGE = 4096, HUGE_PAGE = 2 << 20, MAPPED = 1 << 18 };

/* In front of the array, a line long. */
struct header {
	void *map; /* NULL: from aligned_alloc() */
	size_t octets;
};
_Static_assert(sizeof(struct header) <= HEADER, "the array begins on a line");

void *memory_array(size_t n, size_t size)
{
	size_t octets;
	uint8_t *p, *map;

	if (__builtin_mul_overflow(n, size, &octets) ||
	    __builtin_add_overflow(octets, (size_t)HEADER + 2 * HUGE_PAGE, &octets))
		return NULL;
	const bool huge = octets >= 4 * (size_t)HUGE_PAGE;

	if (octets < MAPPED + 2 * (size_t)HUGE_PAGE) {
		octets = (octets - 2 * HUGE_PAGE + HEADER - 1) & ~(size_t)(HEADER - 1);
		p = aligned_alloc(HEADER, octets);
		if (p == NULL)
			return NULL;
		memset(p, 0, octets);
		return p + HEADER;
	}
	octets &= ~(size_t)(PAGE - 1);
	map = mmap(NULL, octets, PROT_READ | PROT_WRITE,
	           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	/* The header's page is an ordinary one: huge ones are there when the array is used. */
	p = (uint8_t *)(((uintptr_t)map + HEADER + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
	if (huge) /* refused: ordinary pages do as well */
		madvise(p, octets - (size_t)(p - map), MADV_HUGEPAGE);
	*(struct header *)(void *)(p - HEADER) = (struct header){ map, octets };
	return p;
}

void memory_free(void *p)
{
	struct header *h;

	if (p == NULL)
		return;
	h = (struct header *)(void *)((uint8_t *)p - HEADER);
	if (h->map != NULL)
		munmap(h->map, h->octets);
	else
		free(h);
}
