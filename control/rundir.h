/*
 * The run directory of one relay: made, locked against a second start, removed at a clean stop.
 *
 * The lock is flock(2) on `lock` inside; the file holds the owner's pid for people. Children
 * inherit it, so that it is free only when none of them is left.
 */
#pragma once

#include <stdbool.h>

#include "config.h"

struct rundir {
	const char *path; /* borrowed from the config */
	int lock;         /* descriptor */
};

/* An enum exit_code; anything but EXIT_CODE_OK has told the reason on stderr. */
int rundir_open(struct rundir *d, const struct config *cfg);

/* With `keep` all but the lock stays. What is not of a relay is never removed. */
void rundir_close(struct rundir *d, bool keep);
