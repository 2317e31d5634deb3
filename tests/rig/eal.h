/*
 * EAL for tests and benches: no PCI, no telemetry, a file prefix and a runtime directory of its own
 * that goes away at exit. The program does not pin anything but the calling thread, to `core`.
 *
 * Threads    Main, once.
 */
#pragma once

#include <stdbool.h>

enum { EAL_RIG_ANY_CORE = -1 };

/*
 * `mib` of ordinary pages; or, with `huge_wanted` > 0 and so many free hugepages of 2 MB, those.
 * True: hugepages. Ends the program (status 2) with one line on failure.
 */
bool eal_rig_start(const char *name, unsigned mib, int core, unsigned huge_wanted);
