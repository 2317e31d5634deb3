/*
 * OpaqueString (RFC 8265 §4.2) for user names, passwords and the realm, applied once where they are
 * configured or created (STUN-073 to STUN-075); never on the packet path.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opaque_error {
	OPAQUE_OK = 0,
	OPAQUE_EMPTY, /* nothing, or nothing left */
	OPAQUE_NOT_UTF8,
	OPAQUE_DISALLOWED, /* a code point outside the FreeformClass; *bad names it */
	OPAQUE_TOO_LONG,   /* does not fit `cap` */
};

/* The enforced form of `text` into `out`, NUL-terminated; *bad is set by OPAQUE_DISALLOWED only. */
enum opaque_error opaque_enforce(const char *text, char *out, size_t cap, uint32_t *bad);

/* A few words for messages, such as "is not UTF-8"; a disallowed code point is named. */
char *opaque_explain(enum opaque_error error, uint32_t bad, char *out, size_t cap);
