#include "pkt-gen/figure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* So many digits that four are significant, whole where there is no fraction. */
static int places(double v, int digits)
{
	int n = digits - 1;

	for (double limit = 10; v >= limit - 0.5 && n > 0; limit *= 10)
		n--;
	return n;
}

static char *scaled(char text[FIGURE_MAX], double v, const char *unit)
{
	static const char *const prefix[] = { "", "k", "M", "G", "T" };
	unsigned i = 0;

	if (!isfinite(v) || v < 0)
		v = 0;
	while (v >= 999.95 && i < 4) {
		v /= 1000;
		i++;
	}
	const int n = i == 0 && v == floor(v) ? 0 : places(v, 4);
	snprintf(text, FIGURE_MAX, "%.*f %s%s", n, v, prefix[i], unit);
	return text;
}

char *figure_rate(char text[FIGURE_MAX], double pps)
{
	return scaled(text, pps, "pps");
}

char *figure_bits(char text[FIGURE_MAX], double bit_per_s)
{
	return scaled(text, bit_per_s, "bit/s");
}

char *figure_count(char text[FIGURE_MAX], uint64_t n)
{
	char digits[24], *to = text;
	const int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

char *figure_time(char text[FIGURE_MAX], double us)
{
	static const char *const unit[] = { "us", "ms", "s" };
	unsigned i = 0;

	if (!isfinite(us) || us < 0)
		us = 0;
	while (us >= 999.5 && i < 2) {
		us /= 1000;
		i++;
	}
	snprintf(text, FIGURE_MAX, "%.*f %s", us == 0 ? 0 : places(us, 3), us, unit[i]);
	return text;
}

char *figure_seconds(char text[FIGURE_MAX], double s)
{
	if (!isfinite(s) || s < 0)
		s = 0;
	if (s > 0 && s < 0.0995)
		snprintf(text, FIGURE_MAX, "%.0f ms", s * 1000);
	else if (s < 99.95)
		snprintf(text, FIGURE_MAX, "%.1f s", s);
	else if (s < 3600)
		snprintf(text, FIGURE_MAX, "%u min %02u s", (unsigned)s / 60, (unsigned)s % 60);
	else
		snprintf(text, FIGURE_MAX, "%.0f h %02u min", floor(fmin(s, 1e9) / 3600),
		         (unsigned)fmin(s, 1e9) / 60 % 60);
	return text;
}

char *figure_ratio(char text[FIGURE_MAX], double ratio)
{
	const double percent = isfinite(ratio) && ratio > 0 ? ratio * 100 : 0;

	if (percent == 0)
		strcpy(text, "0 %");
	else if (percent < 1e-5)
		strcpy(text, "< 0.00001 %");
	else if (percent >= 99.995)
		strcpy(text, "100 %");
	else /* Two digits that mean something, three of larger ones. */
		snprintf(text, FIGURE_MAX, "%.*f %%",
		         percent >= 10  ? 1
		         : percent >= 1 ? 2
		                        : 1 + (int)ceil(-log10(percent)),
		         percent);
	return text;
}
