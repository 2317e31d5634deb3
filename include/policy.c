/* Whom the relay will talk to. */
#include "policy.h"
