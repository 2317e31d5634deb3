/*
 * Part of the slow path (slow.h).
 */
#pragma once

#include <stdbool.h>

#include "abi/stats.h"

/*
 * The frame without options and extension headers: itself, or a copy in `scratch`, which holds a
 * datagram of 64 KiB and headers. STAT_COUNT, or the name of the drop. *fragmented: it had a
 * fragment header that says "all of it".
 */
enum stat_id slow_plain(uint8_t *scratch, const uint8_t **frame, uint32_t *len, bool *fragmented);
