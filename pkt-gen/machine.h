/*
 * The machine a figure was measured on, for a figure alone says nothing.
 *
 * Source     /proc and uname(2); what cannot be read is empty or 0.
 */
#pragma once

#include <stdint.h>

struct machine {
	char cpu[96], kernel[96];
	unsigned cores;                  /* that this process may use */
	unsigned hugepages;              /* reserved, */
	unsigned huge_free;              /* and unused */
	unsigned huge_kb;                /* size of one */
	uint64_t all_ticks, steal_ticks; /* of /proc/stat when it was read */
};

void machine_read(struct machine *m);
/* Share of the processors' time since then that the hypervisor gave to others. */
double machine_steal(const struct machine *since);
