/* One address form: compare, print, parse. */
#include "addr.h"
