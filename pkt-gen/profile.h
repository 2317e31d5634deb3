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

/* "160", "imix", "audio" (160 octets, 50 a second), "video" (about 2 Mbit/s in frames at 30 a
 * second). false: not known. */
bool profile_parse(const char *text, struct profile *out);
/* Octets of payload per packet in the mean. */
double profile_mean(const struct profile *p);
