/* A description as one line. */
#include "control/ice/sdp.h"
#include "control/ice/text.h"
#include "wire/crc.h"

static const char *const protocols[] = { "udp", "tcp-active", "tcp-passive" };

static void put_candidate(struct text_out *o, const struct ice_candidate *c)
{
	char at[ADDR_TEXT_MAX];

	text_put(o, " c=%s,%u,%s,%s,%u,%s,%u", c->foundation, c->component, protocols[c->protocol],
	         ice_type_name[c->type], c->priority, addr_print(&c->at.addr, at), c->at.port);
	if (c->related.port)
		text_put(o, ",%s,%u", addr_print(&c->related.addr, at), c->related.port);
}

size_t sdp_line_print(const struct ice_description *d, char *out, size_t cap)
{
	struct text_out o = { out, cap, 0 };

	text_put(&o, "ice1%s%s%s", d->lite ? " lite" : "", d->ice2 ? " ice2" : "",
	         d->trickle ? " trickle" : "");
	if (d->pacing_ms)
		text_put(&o, " pace=%u", d->pacing_ms);
	for (unsigned i = 0; i < d->n_streams; i++) {
		const struct ice_stream_description *const s = &d->stream[i];

		text_put(&o, " stream=%s,%u,%s,%s", s->mid, s->n_components, s->ufrag, s->pwd);
		for (unsigned k = 0; k < s->n_candidates; k++)
			put_candidate(&o, &s->candidate[k]);
		if (s->end_of_candidates)
			text_put(&o, " end");
	}
	if (text_end(&o) == 0)
		return 0;
	text_put(&o, " #%08x", crc32_ieee((const uint8_t *)out, o.len));
	return text_end(&o);
}

static bool name_in(const char *const *names, unsigned n, struct text t, unsigned *out)
{
	for (*out = 0; *out < n; (*out)++)
		if (text_is(t, names[*out]))
			return true;
	return false;
}

static bool read_candidate(struct text v, struct ice_candidate *c)
{
	struct text f[9];
	uint64_t component, priority, port, related = 0;
	unsigned n = 0, protocol, type;

	*c = (struct ice_candidate){ .component = 0 };
	while (n < 9 && text_split(&v, ',', &f[n]))
		n++;
	if ((n != 7 && n != 9) || v.len > 0 ||
	    !text_ice(f[0], 1, ICE_FOUNDATION_MAX, c->foundation) ||
	    !text_number(f[1], 3, 256, &component) || component == 0 ||
	    !name_in(protocols, 3, f[2], &protocol) ||
	    !name_in(ice_type_name, ICE_TYPES, f[3], &type) ||
	    !text_number(f[4], 10, UINT32_MAX, &priority) || priority == 0 ||
	    !text_addr(f[5], &c->at.addr) || !text_number(f[6], 5, 65535, &port) || port == 0)
		return false;
	if (n == 9 &&
	    (!text_addr(f[7], &c->related.addr) || !text_number(f[8], 5, 65535, &related)))
		return false;
	c->component = (uint16_t)component;
	c->protocol = (enum ice_protocol)protocol;
	c->type = (enum ice_type)type;
	c->priority = (uint32_t)priority;
	c->at.port = (uint16_t)port;
	c->related.port = (uint16_t)related;
	return true;
}

static bool read_stream(struct text v, struct ice_stream_description *s)
{
	struct text mid, components, ufrag, pwd;
	uint64_t n;

	if (!text_split(&v, ',', &mid) || mid.len >= sizeof(s->mid) ||
	    !text_split(&v, ',', &components) || !text_number(components, 3, 256, &n) || n == 0 ||
	    !text_split(&v, ',', &ufrag) || !text_ice(ufrag, 4, ICE_UFRAG_MAX, s->ufrag) ||
	    !text_split(&v, ',', &pwd) || !text_ice(pwd, 22, ICE_PWD_MAX, s->pwd) || v.len > 0)
		return false;
	memcpy(s->mid, mid.at, mid.len);
	s->mid[mid.len] = '\0';
	s->n_components = (unsigned)n;
	return true;
}

/* One word. NULL, or what is wrong. */
static const char *read_word(struct ice_description *d, struct text w)
{
	struct ice_stream_description *const s = d->n_streams ? &d->stream[d->n_streams - 1] : NULL;
	uint64_t n;

	if (text_cut(&w, "stream=")) {
		if (d->n_streams == ICE_STREAMS_MAX)
			return "more streams than this agent can hold";
		return read_stream(w, &d->stream[d->n_streams++]) ? NULL
		                                                  : "a stream that cannot be read";
	}
	if (text_cut(&w, "c=")) {
		if (!s || s->n_candidates == ICE_CANDIDATES_MAX)
			return s ? "too many candidates" : "a candidate before its stream";
		return read_candidate(w, &s->candidate[s->n_candidates++])
		               ? NULL
		               : "a candidate that cannot be read";
	}
	if (text_cut(&w, "pace=")) {
		if (!text_number(w, 5, 10000, &n))
			return "a pace that is no number of milliseconds";
		d->pacing_ms = (uint32_t)n;
	} else if (text_is(w, "end") && s) {
		s->end_of_candidates = true;
	} else if (text_is(w, "lite")) {
		d->lite = true;
	} else if (text_is(w, "ice2")) {
		d->ice2 = true;
	} else if (text_is(w, "trickle")) {
		d->trickle = true;
	}
	return NULL; /* what is not known is for later versions */
}

bool sdp_line_parse(const char *line, size_t len, struct ice_description *out, char err[128])
{
	struct text rest = { line, len }, word;
	const char *wrong = NULL;
	char want[16];

	*out = (struct ice_description){ .lite = false };
	err[0] = '\0';
	while (rest.len > 0 && strchr(" \t\r\n", rest.at[rest.len - 1]))
		rest.len--;
	if (!text_cut(&rest, "ice1")) {
		snprintf(err, 128, "this is no description: it does not begin with ice1");
		return false;
	}
	if (rest.len < 10 || memcmp(rest.at + rest.len - 10, " #", 2) != 0) {
		snprintf(err, 128, "the description was cut: its check sum is missing");
		return false;
	}
	rest.len -= 10;
	snprintf(want, sizeof(want), "%08x",
	         crc32_ieee((const uint8_t *)rest.at - 4, rest.len + 4));
	if (memcmp(want, rest.at + rest.len + 2, 8) != 0) {
		snprintf(err, 128,
		         "the description was changed on its way: its check sum is wrong");
		return false;
	}
	while (!wrong && text_word(&rest, &word))
		wrong = read_word(out, word);
	if (!wrong && out->n_streams == 0)
		wrong = "no stream";
	if (wrong)
		snprintf(err, 128, "the description holds %s", wrong);
	return !wrong;
}
