/* turnpike.yaml to struct, by one settings table. */
#include "config.h"
