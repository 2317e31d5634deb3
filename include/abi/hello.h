/*
 * Sending, receiving and judging a hello (abi.h): one SOCK_SEQPACKET message with its descriptors.
 * Used by both ends of the join; nothing here blocks.
 */
#pragma once

#include <stdbool.h>

#include "abi/abi.h"

enum { HELLO_FDS_MAX = 3 };

/* Who we are, in messages. */
enum hello_side { HELLO_DATAPLANE, HELLO_CONTROL };

/* A hello of this program's version; the caller fills in the rest. */
struct hello hello_make(enum hello_kind kind, uint64_t generation);

/* 0 or -errno (-EAGAIN: no room, -EPIPE: hung up). */
int hello_send(int sock, const struct hello *h, const int *fds, unsigned n_fds);

/*
 * 0: one message is in *h (text NUL-terminated), its descriptors in fds[0..*n_fds), which are now
 * the caller's. -EAGAIN: nothing there. -EPIPE: the other side hung up. -EPROTO: not a hello.
 * -errno. Nothing is left open on error.
 */
int hello_receive(int sock, struct hello *h, int fds[HELLO_FDS_MAX], unsigned *n_fds);

/* true if magic and version can be talked to; else `text` says why with both versions. */
bool hello_check(const struct hello *h, enum hello_side we, char text[88]);
