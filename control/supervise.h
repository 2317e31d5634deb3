/*
 * The processes of one relay as children: started, restarted, signalled, stopped.
 *
 * Children   turnpike-dataplane and turnpike-control stand beside the own executable, else in PATH;
 *            TURNPIKE_DATAPLANE and TURNPIKE_CONTROL name others, for tests. Each is a process
 * group of its own, so that Ctrl-C reaches the supervisor alone, and is sent TERM by the kernel
 *            when the supervisor dies, however it dies.
 * Ready      Control writes one line `ready: LISTENERS` to the descriptor in TURNPIKE_READY_FD; the
 *            first goes to stdout.
 * Exits      Before the first ready line a child's 75 or 78 stops everything. Control's 0 is a
 * clean stop, its SUPERVISE_KEPT one that keeps the store. Any other death is followed by a restart
 * after 100 ms, doubling to 5 s, and 100 ms again after 10 s of life. Signals    TERM and INT stop
 * control first, then the data plane, each killed after SUPERVISE_PATIENCE_MS. HUP and USR1 go to
 * control, which passes on what concerns the data plane.
 */
#pragma once

#include <stdbool.h>

enum { SUPERVISE_KEPT = 10, SUPERVISE_PATIENCE_MS = 10000 };

/* Runs until stopped; an enum exit_code. *keep: the store stays. */
int supervise_run(const char *config_path, bool *keep);
