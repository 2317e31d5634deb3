/* Counters of the engine, from one list: `show counters`, the metrics and the manual read it. */
#pragma once

/* X(ID, name, help) */
/* clang-format off */
#define TURN_STATS(X)                                                                              \
	X(REQUEST_ALLOCATE, "turn_allocate", "Allocate requests taken from the data plane")        \
	X(REQUEST_REFRESH, "turn_refresh", "Refresh requests taken from the data plane")           \
	X(REQUEST_PERMISSION, "turn_create_permission", "CreatePermission requests taken")         \
	X(REQUEST_CHANNEL, "turn_channel_bind", "ChannelBind requests taken")                      \
	X(SUCCESS, "turn_success", "requests answered with success")                               \
	X(REPLAYED, "turn_replayed", "retransmitted requests answered as before")                  \
	X(ANSWER_300, "turn_answer_300", "requests answered 300")                                  \
	X(ANSWER_400, "turn_answer_400", "requests answered 400")                                  \
	X(ANSWER_401, "turn_answer_401", "requests answered 401")                                  \
	X(ANSWER_403, "turn_answer_403", "requests answered 403")                                  \
	X(ANSWER_405, "turn_answer_405", "requests answered 405")                                  \
	X(ANSWER_420, "turn_answer_420", "requests answered 420")                                  \
	X(ANSWER_437, "turn_answer_437", "requests answered 437")                                  \
	X(ANSWER_438, "turn_answer_438", "requests answered 438")                                  \
	X(ANSWER_440, "turn_answer_440", "requests answered 440")                                  \
	X(ANSWER_441, "turn_answer_441", "requests answered 441")                                  \
	X(ANSWER_442, "turn_answer_442", "requests answered 442")                                  \
	X(ANSWER_443, "turn_answer_443", "requests answered 443")                                  \
	X(ANSWER_486, "turn_answer_486", "requests answered 486")                                  \
	X(ANSWER_500, "turn_answer_500", "requests answered 500")                                  \
	X(ANSWER_508, "turn_answer_508", "requests answered 508")                                  \
	X(DROP_STALE, "turn_drop_stale", "requests that waited too long in the ring")              \
	X(DROP_BACKLOG, "turn_drop_backlog", "requests dropped because answers wait for the ring") \
	X(DROP_LISTENER, "turn_drop_listener", "requests at a listener that is not known")         \
	X(DROP_MALFORMED, "turn_drop_malformed", "messages that are not STUN")                     \
	X(DROP_METHOD, "turn_drop_method", "methods or classes not served here")                   \
	X(DROP_FINGERPRINT, "turn_drop_fingerprint", "FINGERPRINT that does not match")            \
	X(DROP_LOGIN_LIMIT, "turn_drop_login_limit", "requests beyond the limit of failed logins") \
	X(DROP_TOO_BIG, "turn_drop_too_big", "answers that would not fit")                         \
	X(AUTH_INCOMPLETE, "turn_auth_incomplete", "credentials incomplete or contradictory")      \
	X(AUTH_USER, "turn_auth_user", "unknown user")                                             \
	X(AUTH_REALM, "turn_auth_realm", "another realm")                                          \
	X(AUTH_INTEGRITY, "turn_auth_integrity", "wrong integrity")                                \
	X(AUTH_EXPIRED, "turn_auth_expired", "time-limited name that has expired")                 \
	X(NONCE_STALE, "turn_nonce_stale", "nonce of ours that has expired")                       \
	X(NONCE_FOREIGN, "turn_nonce_foreign", "nonce that is not ours")                           \
	X(PEER_OWN, "turn_peer_own", "peers refused: an address of the relay itself")              \
	X(PEER_SPECIAL, "turn_peer_special", "peers refused: special-purpose block")               \
	X(PEER_DENIED, "turn_peer_denied", "peers refused: deny list")                             \
	X(PEER_NEVER, "turn_peer_never", "peers refused: block that nothing opens")                \
	X(PEER_DISGUISE, "turn_peer_disguise", "peers refused: IPv4 address in disguise")          \
	X(CLIENT_TUNNEL, "turn_client_tunnel", "clients refused: Teredo or 6to4")                  \
	X(FULL_ALLOCATIONS, "turn_full_allocations", "refused: allocations in total")              \
	X(FULL_USER, "turn_full_user", "refused: allocations of the user")                         \
	X(FULL_PORTS, "turn_full_ports", "refused: no relayed port")                               \
	X(FULL_PEERS, "turn_full_peers", "refused: permissions or channels")                       \
	X(FULL_ROWS, "turn_full_rows", "refused: rows of the data plane")                          \
	X(FULL_STORE, "turn_full_store", "refused: records of the store")                          \
	X(FULL_USERS, "turn_full_users", "refused: users or names in use")                         \
	X(FULL_DRAIN, "turn_full_drain", "refused: draining")                                      \
	X(ALLOCATED, "turn_allocated", "allocations made")                                         \
	X(ENDED, "turn_ended", "allocations ended")                                                \
	X(PERMITTED, "turn_permitted", "permissions made or refreshed")                            \
	X(BOUND, "turn_bound", "channels bound or refreshed")                                      \
	X(ROW_FULL, "turn_row_full", "sets the data plane had no room for")                        \
	X(ROW_REFUSED, "turn_row_refused", "sets the data plane refused")                          \
	X(ROW_ORPHAN, "turn_row_orphan", "sets whose allocation the data plane did not know")      \
	X(ROW_LATE, "turn_row_late", "row events about flows that are gone")                       \
	X(ROW_UNANSWERED, "turn_row_unanswered", "deletes never acknowledged")                     \
	X(RESTORED, "turn_restored", "allocations taken over from the store")                      \
	X(SWEPT, "turn_swept", "store records that counted for nothing at start")
/* clang-format on */

#define TURN_STAT_ENUM(id, name, help) TURN_STAT_##id,
enum turn_stat { TURN_STATS(TURN_STAT_ENUM) TURN_STAT_COUNT };
#undef TURN_STAT_ENUM
