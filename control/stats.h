/*
 * Counters of the control process: the one list that `show counters` and the manual read. What the
 * data plane counts is in abi/stats.h, what the TURN engine counts in turn_stats().
 *
 * Threads    Control thread only.
 */
#pragma once

#include <stdint.h>

/* clang-format off */
/* X(ID, name, help) */
#define CONTROL_STATS(X)                                                                       \
	X(PUNTS, "control_punts", "requests taken from the punt rings")                        \
	X(PUNTS_STALE, "control_punts_stale", "requests dropped because they waited too long") \
	X(PUNTS_BAD, "control_punts_bad", "records from the data plane that cannot be; each disconnects") \
	X(PUNTS_UNKNOWN, "control_punts_unknown", "records of a kind this version does not know") \
	X(ROW_EVENTS, "control_row_events", "answers of the data plane to commands")           \
	X(ROWS_FULL, "control_rows_full", "flows the data plane had no room for")              \
	X(ROWS_REFUSED, "control_rows_refused", "flows the data plane refused by its own checks") \
	X(COMMANDS, "control_commands", "commands put into the command ring")                  \
	X(COMMANDS_HELD, "control_commands_held", "times the command ring was full and commands waited") \
	X(COMMANDS_DROPPED, "control_commands_dropped", "commands not sent: no data plane; the next sync makes up for them") \
	X(JOINS, "control_joins", "times a data plane was joined")                             \
	X(JOINS_REFUSED, "control_joins_refused", "joins that failed: version, region or peer") \
	X(HANGUPS, "control_hangups", "times the data plane went away or was let go")          \
	X(SYNCS, "control_syncs", "syncs the data plane confirmed")                            \
	X(BEGINS, "control_allocation_begins", "allocations begun")                            \
	X(ENDS, "control_allocation_ends", "allocations ended, each with one end record")      \
	X(REFUSALS, "control_refusals", "requests refused that are worth a log line")          \
	X(RELOADS, "control_reloads", "configurations taken")                                  \
	X(RELOADS_FAILED, "control_reloads_failed", "configurations refused; the old one stayed") \
	X(CTL_CLIENTS, "control_socket_clients", "connections to the control socket")          \
	X(CTL_REFUSED, "control_socket_refused", "connections refused: too many, or no right to be there") \
	X(CTL_REQUESTS, "control_socket_requests", "requests on the control socket")           \
	X(CTL_ERRORS, "control_socket_errors", "requests answered with an error")              \
	X(CTL_DENIED, "control_socket_denied", "requests that needed the admin level")         \
	X(CTL_TOO_LONG, "control_socket_too_long", "connections ended: a line over the limit") \
	X(CTL_SLOW, "control_socket_slow", "connections ended: idle, or the reader too slow")
/* clang-format on */

#define CONTROL_STAT_ENUM(id, name, help) CONTROL_##id,
enum control_stat { CONTROL_STATS(CONTROL_STAT_ENUM) CONTROL_STAT_COUNT };
#undef CONTROL_STAT_ENUM

struct control_stats {
	uint64_t count[CONTROL_STAT_COUNT];
};
