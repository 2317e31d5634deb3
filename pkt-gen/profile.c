#include "pkt-gen/profile.h"

#include <stdlib.h>
#include <string.h>

#include "pkt-gen/stamp.h"

static const struct profile profiles[] = {
	/* The small ones spread out, so that a short piece of the cycle is a mix too. */
	{ "imix", { 24, 544, 24, 24, 544, 24, 24, 1400, 544, 24, 24, 544 }, 12, 0, 1 },
	{ "audio", { 160 }, 1, 50, 1 },
	{ "video", { 1190 }, 1, 210, 7 },
};

bool profile_parse(const char *text, struct profile *out)
{
	for (unsigned i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
		if (strcmp(text, profiles[i].name) == 0) {
			*out = profiles[i];
			return true;
		}
	}
	char *end;
	const unsigned long size = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || size < STAMP_LEN ||
	    size > STAMP_PAYLOAD_MAX)
		return false;
	*out = (struct profile){ .name = text, .n_sizes = 1, .burst = 1 };
	out->size[0] = (uint16_t)size;
	return true;
}

double profile_mean(const struct profile *p)
{
	double sum = 0;

	for (unsigned i = 0; i < p->n_sizes; i++)
		sum += p->size[i];
	return p->n_sizes ? sum / p->n_sizes : 0;
}
