/*
 * Results of commands as text for people: aligned columns, units that can be read.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "control/ctl/grammar.h"

struct text_column {
	const char *head;
	const char *path; /* keys, separated by dots */
	bool right;       /* numbers stand to the right */
};
/* The columns end with one without a head. */
void text_table(FILE *out, const json_t *rows, const struct text_column *columns);

/* text_session.c: results of `session ...`, and one event as a line. */
void text_session(FILE *out, enum ctl_id id, const json_t *result);
void text_event(FILE *out, const json_t *event);

void text_print(FILE *out, enum ctl_id id, const json_t *result);

/* `show counters --describe`. */
void text_counters(FILE *out, const json_t *result, bool describe);

/* What to paste: a browser's RTCPeerConnection configuration; a command line. */
void text_ice_servers(FILE *out, const json_t *credential);
void text_uclient(FILE *out, const json_t *credential);

/* One line of `watch`: the difference of two `show counters`, and a head line before the first. */
void text_watch_head(FILE *out);
void text_watch(FILE *out, const json_t *status, const json_t *before, const json_t *now,
                double passed_s);

/* 1234567 → "1.23 M"; into a static ring of buffers, so a few may stand in one printf. */
const char *text_amount(double n);
