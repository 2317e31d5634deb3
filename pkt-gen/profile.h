/*
 * What a call sends: sizes and times. A profile is a cycle of payload sizes and, for profiles of
 * calls, how often a call sends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { PROFILE_SIZES_MAX = 64 };

struct profile {
	const char *name;
	uint16_t size[PROFILE_SIZES_MAX]; /* octets of payload, in turn */
	unsigned n_sizes;
	double pps;     /* of each direction of a call; 0: paced by --rate alone */
	unsigned burst; /* packets that leave back to back, as a video frame's do; 1: none */
};

/*
 * "160" and other numbers of octets, and these; false: not known, or out of range.
 *
 *   imix     Simple IMIX, seven small to four middle to one large: of frames of 64, 594 and 1518
 *            octets, as payloads of 24 (a stamp alone), 544 and 1400, which fits an MTU of 1500 in
 *            every wrapping and either family
 *   audio    160 octets every 20 ms, as G.711 sends
 *   video    about 2 Mbit/s: thirty frames a second of seven packets of 1190 octets
 *
 * `name` is `text` for a number, and lives as long as it does.
 */
bool profile_parse(const char *text, struct profile *out);
/* Octets of payload per packet in the mean. */
double profile_mean(const struct profile *p);
