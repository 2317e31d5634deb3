/*
 * Descriptions from anywhere: what is read stays in its bounds, and what is written of it reads as
 * the same again, as a whole description and as one line.
 */
#include <string.h>

#include "control/ice/sdp.h"
#include "tests/fuzz/must.h"

static void bounded(const struct ice_description *d)
{
	MUST(d->n_streams <= ICE_STREAMS_MAX && d->pacing_ms <= 10000);
	for (unsigned i = 0; i < d->n_streams; i++) {
		const struct ice_stream_description *const s = &d->stream[i];

		MUST(s->n_candidates <= ICE_CANDIDATES_MAX && s->n_components >= 1 &&
		     s->n_components <= 256);
		MUST(memchr(s->mid, '\0', sizeof(s->mid)) != NULL);
		MUST(memchr(s->ufrag, '\0', sizeof(s->ufrag)) != NULL);
		MUST(memchr(s->pwd, '\0', sizeof(s->pwd)) != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static struct ice_description d, again;
	static char text[1 << 20];
	const char *const in = (const char *)octets;
	struct sdp_skipped skipped;
	char err[128];
	size_t n;

	if (sdp_parse(in, len, &d, &skipped, err)) {
		bounded(&d);
		n = sdp_print(&d, text, sizeof(text));
		MUST(n > 0 && sdp_parse(text, n, &again, &skipped, err));
		for (unsigned i = 0; i < d.n_streams; i++)
			MUST(again.stream[i].n_candidates == d.stream[i].n_candidates &&
			     memcmp(again.stream[i].candidate[0].foundation,
			            d.stream[i].candidate[0].foundation, ICE_FOUNDATION_MAX) == 0);
	} else {
		MUST(*err);
	}
	if (sdp_fragment_parse(in, len, &d, err))
		bounded(&d);
	if (sdp_line_parse(in, len, &d, err)) {
		bounded(&d);
		n = sdp_line_print(&d, text, sizeof(text));
		MUST(n > 0 && sdp_line_parse(text, n, &again, err));
		MUST(memcmp(&d, &again, sizeof(d)) == 0);
	}
	return 0;
}
