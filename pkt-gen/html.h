/* Text of others into a page: nothing of it is markup, and the page stays UTF-8 and XML. */
#pragma once

#include <stdio.h>

/* Octets that are no UTF-8 and controls become U+FFFD. */
void html_text(FILE *out, const char *text);
