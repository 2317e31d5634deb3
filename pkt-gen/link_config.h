/*
 * The data plane's configuration as the generator needs it: ports, memory, a run directory. Private
 * to link*.c.
 *
 * The run directory is named after network namespace and device, so that a start after a kill finds
 * the record of what is to be given back.
 */
#pragma once

#include "config.h"
#include "pkt-gen/options.h"

/* Some port belongs to the kernel, or the kernel is to find neighbours: exception ports are made.
 */
bool link_wants_kernel(const struct options *o);

/* NULL: no memory. */
struct config *link_config_new(const struct options *o);
void link_config_free(struct config *cfg);

/* Makes the run directory and holds it: 0 with *fd, or an enum exit_code, logged. */
int link_config_lock(const struct config *cfg, int *fd);
/* Removes it with all in it. */
void link_config_unlock(const struct config *cfg, int fd);
