/* Names and explanations of the counters, from their one list. */
#include "abi/stats.h"

#define STAT_NAME(id, text, why) [STAT_##id] = { text, why },
const struct stat_name stat_names[STAT_COUNT] = { STATS_ALL(STAT_NAME) };
#undef STAT_NAME
