/*
 * The result of every request: 0 is success, any other value is the STUN error code the client will
 * read (enum stun_code in wire/turn.h), or TURN_SILENT. Nothing translates errors on the way out.
 */
#pragma once

#include "wire/turn.h"

#define MUST_CHECK __attribute__((warn_unused_result))

enum { TURN_OK = 0, TURN_SILENT = 1 /* no answer is due; the counter has been moved */ };
