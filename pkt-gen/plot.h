/*
 * Plots as SVG inside a page: axes with round ticks, lines, areas, marks, levels. Colours and fonts
 * are the page's: everything has a class.
 *
 * Units      Data are in the units of their axis; the drawing is PLOT_WIDTH by PLOT_HEIGHT and as
 *            wide as the page lets it be.
 * Threads    Main.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "pkt-gen/figure.h"

enum { PLOT_WIDTH = 480, PLOT_HEIGHT = 250, PLOT_TICKS_MAX = 16 };

struct plot_axis {
	double low, high;
	bool log;
	const char *title; /* with its unit; NULL: none, the ticks say it */
	unsigned n_ticks;
	struct {
		double at;
		char text[FIGURE_MAX];
	} tick[PLOT_TICKS_MAX];
};

enum plot_mark { PLOT_DOT, PLOT_CROSS, PLOT_TRIANGLE, PLOT_RING };

struct plot {
	FILE *out;
	struct plot_axis x, y;
};

/* From 0 to what holds `high`; round ticks, told in units of `unit`. */
struct plot_axis plot_linear(double high, double unit, const char *title);
/* Microseconds, with ticks that name their unit; low and high above 0. */
struct plot_axis plot_log_time(double low, double high, const char *title);

/* `name` is for those who cannot see it. */
void plot_open(struct plot *p, FILE *out, const char *name, const struct plot_axis *x,
               const struct plot_axis *y);
void plot_line(struct plot *p, const char *class, const double *x, const double *y, unsigned n);
/* A filled step from each point to the one before. */
void plot_steps(struct plot *p, const char *class, const double *x, const double *y, unsigned n);
/* `said` is shown when it is pointed at. */
void plot_mark(struct plot *p, const char *class, enum plot_mark mark, double x, double y,
               const char *said);
/* A dashed line across, with its name; `below` the line or above it. */
void plot_level(struct plot *p, const char *class, double y, const char *name, bool below);
void plot_close(struct plot *p);

/* A mark alone, for a legend. */
void plot_legend_mark(FILE *out, const char *class, enum plot_mark mark);
