/* Counters of the session engine, from one list: `show counters`, the metrics and the manual. */
#pragma once

/* X(ID, name, help) */
/* clang-format off */
#define SESSION_STATS(X)                                                                           \
	X(CREATED, "session_created", "ICE sessions made")                                         \
	X(ENDED, "session_ended", "ICE sessions ended")                                            \
	X(LEGS, "session_legs", "legs made")                                                       \
	X(REFUSED_FULL, "session_refused_full", "calls refused: legs, ports, rows, store or queue") \
	X(REFUSED_ALONE, "session_refused_alone", "calls refused: no data plane is joined")        \
	X(REFUSED_ADDRESS, "session_refused_address", "calls refused: no relayed address")         \
	X(REFUSED_BAD, "session_refused_bad", "descriptions and candidates refused")               \
	X(REFUSED_STALE, "session_refused_stale", "candidates of another generation")              \
	X(OFF_POLICY, "session_off_policy", "remote candidates the peer policy denies")            \
	X(RESTARTS, "session_restarts", "restarts of legs, by either side")                        \
	X(CHECKS, "session_checks", "checks and answers taken from the data plane")                \
	X(DROP_UNKNOWN, "session_drop_unknown", "messages for a port that is no leg's")            \
	X(DROP_STALE, "session_drop_stale", "messages that waited too long in the ring")           \
	X(DROP_SOURCE, "session_drop_source", "messages of a source the peer policy denies")       \
	X(DROP_REFUSED, "session_drop_refused", "messages the agent had no use for")               \
	X(SENT, "session_sent", "checks and answers sent")                                         \
	X(ANSWERED, "session_answered", "checks answered here with success")                       \
	X(SEND_FULL, "session_send_full", "messages not sent: no data plane, or no room")          \
	X(SELECTED, "session_selected", "pairs selected")                                          \
	X(MOVED, "session_moved", "selected peers that moved to another address")                  \
	X(CONSENT_LOST, "session_consent_lost", "consents lost or revoked")                        \
	X(FAILED, "session_failed", "legs that failed")                                            \
	X(RENEWED, "session_renewed", "rows set again for a new deadline only")                    \
	X(ROW_FULL, "session_row_full", "sets the data plane had no room for")                     \
	X(ROW_REFUSED, "session_row_refused", "sets the data plane refused")                       \
	X(ROW_LATE, "session_row_late", "row events about rows that are gone")                     \
	X(ROW_UNANSWERED, "session_row_unanswered", "rows whose end was never acknowledged")       \
	X(EVENTS_DROPPED, "session_events_dropped", "events nobody fetched")                       \
	X(STORE_FULL, "session_store_full", "changes of legs the store had no room for")          \
	X(RESTORED, "session_restored", "legs taken over from the store as they were")             \
	X(REMADE, "session_remade", "legs taken over from the store that were not connected yet")   \
	X(SWEPT, "session_swept", "store records that counted for nothing at start")
/* clang-format on */

#define SESSION_STAT_ENUM(id, name, help) SESSION_STAT_##id,
enum session_stat { SESSION_STATS(SESSION_STAT_ENUM) SESSION_STAT_COUNT };
#undef SESSION_STAT_ENUM
