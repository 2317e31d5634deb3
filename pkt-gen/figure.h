/*
 * Figures as people read them: four digits, a unit, separators where a count is long. The text
 * report, the page and the live view write them alike.
 *
 * Ownership  Each writes to the text given and returns it. FIGURE(rate, pps) is one that lives
 * until the end of the block.
 */
#pragma once

#include <stdint.h>

enum { FIGURE_MAX = 32 };

#define FIGURE(kind, value) figure_##kind((char[FIGURE_MAX]){ 0 }, (value))

/* "950 pps", "12.34 kpps", "1.234 Mpps" */
char *figure_rate(char text[FIGURE_MAX], double pps);
/* "12.34 Mbit/s" */
char *figure_bits(char text[FIGURE_MAX], double bit_per_s);
/* "1,234,567" */
char *figure_count(char text[FIGURE_MAX], uint64_t n);
/* Of microseconds: "0.85 us", "12.3 us", "1.23 ms", "2.5 s" */
char *figure_time(char text[FIGURE_MAX], double us);
/* Of seconds that go by: "45 ms", "4.2 s", "3 min 20 s" */
char *figure_seconds(char text[FIGURE_MAX], double s);
/* "0 %", "0.0012 %", "12.3 %" */
char *figure_ratio(char text[FIGURE_MAX], double ratio);
