#include "pkt-gen/tally.h"

void tally_clear(struct tally *t)
{
	struct histogram *const latency = t->latency;

	*t = (struct tally){ .latency = latency };
	if (latency)
		histogram_clear(latency);
}

void tally_add(struct tally *to, const struct tally *from)
{
#define X(name, what) to->name += from->name;
	TALLY_LIST(X)
#undef X
	if (to->latency && from->latency)
		histogram_add(to->latency, from->latency);
}

int64_t tally_gap(const struct tally *t)
{
	return (int64_t)(t->sent - t->received - t->lost - t->in_flight);
}

double tally_loss(const struct tally *t)
{
	const uint64_t over = t->sent - t->in_flight;

	return over ? (double)t->lost / (double)over : 0;
}
