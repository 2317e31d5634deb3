/* Structured, rate-limited lines. */
#include "log.h"
