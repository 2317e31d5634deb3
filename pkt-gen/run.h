/*
 * A run from ports to report: takes the ports, starts the engines, sets allocations up, does what
 * was asked for, gives allocations and ports back, and reports. Every way out passes through the
 * giving back.
 *
 * Threads    Main. Engines have threads of their own; engine 0's also serves TAPs, netlink, TURN
 *            clients, storms and replays (run_field.c).
 */
#pragma once

#include "pkt-gen/options.h"

/* An enum exit_code. */
int run(const struct options *o, int argc, char **argv);

/*
 * Ends the run early; the report says so, the fleet takes its leave. A second time: without the
 * fleet's leave. From a signal handler.
 */
void run_interrupt(void);
