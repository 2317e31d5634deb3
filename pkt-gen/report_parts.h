/* What the parts of the page share. */
#pragma once

#include "pkt-gen/report.h"

/* The figures that are drawn; those without data are left out. */
void report_plots(const struct report *r, FILE *out);
/* How a trial of a search came out: the class of its mark and a word for it. */
struct report_mark {
	const char *class, *word;
	unsigned shape; /* enum plot_mark */
};
struct report_mark report_mark(const struct report *r, const struct report_trial *t);
