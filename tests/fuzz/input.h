/* A fuzzer's octets, read piece by piece; behind the end there are zeros. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct input {
	const uint8_t *p;
	size_t left;
};

static inline unsigned input_octet(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static inline unsigned input_pair(struct input *in)
{
	const unsigned high = input_octet(in);

	return high << 8 | input_octet(in);
}

/* *len octets, or as many as there are: *len says it. */
static inline const uint8_t *input_take(struct input *in, size_t *len)
{
	const uint8_t *const p = in->p;

	if (*len > in->left)
		*len = in->left;
	in->p += *len;
	in->left -= *len;
	return p;
}
