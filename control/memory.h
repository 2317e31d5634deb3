/*
 * Zeroed arrays that live as long as the process. Large ones ask the kernel for huge pages: pools
 * and indexes are read at random, and with a hundred thousand allocations most reads would miss the
 * TLB as well. Pages are not touched before they are used.
 *
 * Threads    Any.
 */
#pragma once

#include <stddef.h>

/* n elements of `size` octets; NULL: no memory. */
void *memory_array(size_t n, size_t size);
void memory_free(void *p); /* NULL is fine */
