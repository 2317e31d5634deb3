/* Session descriptions and fragments: what ICE reads and writes of them (RFC 8839, RFC 8840). */
#include "control/ice/sdp.h"
#include "control/ice/text.h"

enum { PACING_MAX_MS = 10000, PACING_MIN_MS = 5, PACING_DEFAULT_MS = 50 };

/* Attributes that may stand at either level. */
struct level {
	char ufrag[ICE_UFRAG_MAX + 1], pwd[ICE_PWD_MAX + 1];
	struct addr c;
	bool has_c, trickle, ice2, end;
};

struct parse {
	struct ice_description *d;
	struct ice_stream_description *s; /* NULL: session level */
	struct level session, media;
	uint16_t port, rtcp_port; /* of this media */
	struct addr rtcp;
	bool has_rtcp_addr;
	bool all_trickle;
	struct sdp_skipped *skipped;
	char *err;
};

static bool fail(struct parse *p, const char *what)
{
	if (p->s)
		snprintf(p->err, 128, "stream %u: %s", p->d->n_streams, what);
	else
		snprintf(p->err, 128, "session: %s", what);
	return false;
}

static struct level *level(struct parse *p)
{
	return p->s ? &p->media : &p->session;
}

/* --- attributes --- */

static bool take_ufrag(struct parse *p, struct text v)
{
	return text_ice(v, 4, ICE_UFRAG_MAX, level(p)->ufrag) ||
	       fail(p, "ice-ufrag is not 4 to 256 letters, digits, + or /");
}

static bool take_pwd(struct parse *p, struct text v)
{
	return text_ice(v, 22, ICE_PWD_MAX, level(p)->pwd) ||
	       fail(p, "ice-pwd is not 22 to 256 letters, digits, + or /");
}

static bool take_options(struct parse *p, struct text v)
{
	struct text tag;

	while (text_word(&v, &tag)) {
		level(p)->ice2 |= text_is(tag, "ice2");
		level(p)->trickle |= text_is(tag, "trickle");
	}
	return true;
}

static bool take_lite(struct parse *p, struct text v)
{
	(void)v;
	if (!p->s)
		p->d->lite = true;
	return true;
}

static bool take_pacing(struct parse *p, struct text v)
{
	uint64_t ms;

	if (p->s)
		return true;
	if (!text_number(v, 10, UINT64_C(9999999999), &ms))
		return fail(p, "ice-pacing is not a number of milliseconds");
	p->d->pacing_ms = (uint32_t)(ms < PACING_MIN_MS   ? PACING_MIN_MS
	                             : ms > PACING_MAX_MS ? PACING_MAX_MS
	                                                  : ms);
	return true;
}

static bool take_mismatch(struct parse *p, struct text v)
{
	(void)v;
	if (p->s)
		p->s->mismatch = true;
	return true;
}

static bool take_end(struct parse *p, struct text v)
{
	(void)v;
	level(p)->end = true;
	return true;
}

static bool take_mid(struct parse *p, struct text v)
{
	if (p->s && v.len > 0 && v.len < sizeof(p->s->mid)) {
		memcpy(p->s->mid, v.at, v.len);
		p->s->mid[v.len] = '\0';
	}
	return true;
}

/* "9" or "9 IN IP4 192.0.2.1" (RFC 3605). */
static bool take_rtcp(struct parse *p, struct text v)
{
	struct text port, net, type, at;
	uint64_t n;

	if (!p->s || !text_word(&v, &port) || !text_number(port, 5, 65535, &n))
		return true;
	p->rtcp_port = (uint16_t)n;
	p->has_rtcp_addr = text_word(&v, &net) && text_word(&v, &type) && text_word(&v, &at) &&
	                   text_addr(at, &p->rtcp);
	return true;
}

/* Triples of component, address and port (RFC 8839 §5.2). */
static bool take_remote(struct parse *p, struct text v)
{
	struct text component, at, port;
	struct endpoint e;
	uint64_t c, n;

	while (p->s && text_word(&v, &component)) {
		if (!text_word(&v, &at) || !text_word(&v, &port) ||
		    !text_number(component, 3, 256, &c) || c == 0 || !text_addr(at, &e.addr) ||
		    !text_number(port, 5, 65535, &n))
			return fail(
				p,
				"remote-candidates are not triples of component, address and port");
		e.port = (uint16_t)n;
		if (c <= ICE_COMPONENTS_MAX)
			p->s->remote[c - 1] = e;
	}
	return true;
}

static const struct {
	const char *name;
	bool (*take)(struct parse *p, struct text value);
} attributes[] = {
	{ "end-of-candidates", take_end },    { "ice-lite", take_lite },
	{ "ice-mismatch", take_mismatch },    { "ice-options", take_options },
	{ "ice-pacing", take_pacing },        { "ice-pwd", take_pwd },
	{ "ice-ufrag", take_ufrag },          { "mid", take_mid },
	{ "remote-candidates", take_remote }, { "rtcp", take_rtcp },
};

static void take_candidate(struct parse *p, struct text line)
{
	struct ice_candidate c;

	if (sdp_candidate_parse(line.at, line.len, &c, p->skipped) != SDP_CANDIDATE || !p->s)
		return;
	if (p->s->n_candidates == ICE_CANDIDATES_MAX) {
		p->skipped->too_many++;
		return;
	}
	p->s->candidate[p->s->n_candidates++] = c;
	if (c.component > p->s->n_components)
		p->s->n_components = c.component;
}

static bool take_attribute(struct parse *p, struct text line)
{
	struct text value = line, name;

	if (line.len > 10 && memcmp(line.at, "candidate:", 10) == 0) {
		take_candidate(p, line);
		return true;
	}
	if (!text_split(&value, ':', &name))
		return true;
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		if (name.len == strlen(attributes[i].name) &&
		    memcmp(name.at, attributes[i].name, name.len) == 0)
			return attributes[i].take(p, value);
	return true;
}

/* --- levels --- */

/* The stream's own, else the session's: ICE-064. */
static bool settle(struct parse *p)
{
	struct ice_stream_description *const s = p->s;
	const struct level *const m = &p->media, *const whole = &p->session;
	const struct level *const c = m->has_c ? m : whole;

	if (!s)
		return true;
	memcpy(s->ufrag, *m->ufrag ? m->ufrag : whole->ufrag, sizeof(s->ufrag));
	memcpy(s->pwd, *m->pwd ? m->pwd : whole->pwd, sizeof(s->pwd));
	s->end_of_candidates = m->end || whole->end;
	p->d->ice2 |= m->ice2;
	p->all_trickle &= m->trickle || whole->trickle;
	for (unsigned i = 0; i + 1 < p->d->n_streams; i++)
		if (*s->ufrag && strcmp(p->d->stream[i].ufrag, s->ufrag) == 0 &&
		    strcmp(p->d->stream[i].pwd, s->pwd) != 0)
			return fail(p, "one ice-ufrag with two passwords");
	if (c->has_c && p->port)
		s->chosen[0] = (struct endpoint){ c->c, p->port };
	if (s->n_components > 1 && (p->rtcp_port || p->port) && (p->has_rtcp_addr || c->has_c))
		s->chosen[1] = (struct endpoint){
			p->has_rtcp_addr ? p->rtcp : c->c,
			p->rtcp_port ? p->rtcp_port : (uint16_t)(p->port + 1),
		};
	return true;
}

static bool begin_stream(struct parse *p, struct text line)
{
	struct text kind, port;
	uint64_t n = 0;

	if (!settle(p))
		return false;
	if (p->d->n_streams == ICE_STREAMS_MAX) {
		p->s = NULL;
		return fail(p, "more streams than this agent can hold");
	}
	p->s = &p->d->stream[p->d->n_streams++];
	p->s->n_components = 1;
	snprintf(p->s->mid, sizeof(p->s->mid), "%u", p->d->n_streams - 1);
	p->media = (struct level){ .has_c = false };
	p->rtcp_port = 0;
	p->has_rtcp_addr = false;
	if (text_word(&line, &kind) && text_word(&line, &port))
		text_number(port, 5, 65535, &n);
	p->port = (uint16_t)n;
	return true;
}

/* "IN IP4 192.0.2.1", a time to live behind a slash ignored. A name leaves nothing (ICE-072). */
static void take_connection(struct parse *p, struct text v)
{
	struct text net, type, at, host;

	if (text_word(&v, &net) && text_word(&v, &type) && text_word(&v, &at) &&
	    text_split(&at, '/', &host))
		level(p)->has_c = text_addr(host, &level(p)->c);
}

static bool take_line(struct parse *p, struct text line)
{
	if (text_cut(&line, "m="))
		return begin_stream(p, line);
	if (text_cut(&line, "c=")) {
		take_connection(p, line);
		return true;
	}
	if (!text_cut(&line, "a=") && line.len > 1 && line.at[1] == '=')
		return true;
	return take_attribute(p, line);
}

static bool parse(struct parse *p, const char *text, size_t len)
{
	struct text rest = { text, len }, line;

	while (text_split(&rest, '\n', &line)) {
		if (line.len > 0 && line.at[line.len - 1] == '\r')
			line.len--;
		if (line.len > 0 && !take_line(p, line))
			return false;
	}
	if (!settle(p))
		return false;
	p->d->ice2 |= p->session.ice2;
	p->d->trickle = p->d->n_streams ? p->all_trickle : p->session.trickle;
	return true;
}

bool sdp_parse(const char *text, size_t len, struct ice_description *out,
               struct sdp_skipped *skipped, char err[128])
{
	struct parse p = { .d = out, .skipped = skipped, .err = err, .all_trickle = true };

	*out = (struct ice_description){ .lite = false };
	*skipped = (struct sdp_skipped){ .transport = 0 };
	err[0] = '\0';
	if (!parse(&p, text, len))
		return false;
	return out->n_streams > 0 || fail(&p, "no m= line");
}

bool sdp_fragment_parse(const char *text, size_t len, struct ice_description *out, char err[128])
{
	struct sdp_skipped skipped = { .transport = 0 };
	struct parse p = { .d = out, .skipped = &skipped, .err = err, .all_trickle = true };

	*out = (struct ice_description){ .lite = false };
	err[0] = '\0';
	if (!parse(&p, text, len))
		return false;
	if (out->n_streams == 0) { /* credentials, or an end for all */
		if (!begin_stream(&p, (struct text){ "", 0 }) || !settle(&p))
			return false;
		p.s->mid[0] = '\0';
	}
	return true;
}

/* --- writing --- */

static void put_options(struct text_out *o, const struct ice_description *d)
{
	if (d->ice2 || d->trickle)
		text_put(o, "a=ice-options:%s%s%s\r\n", d->ice2 ? "ice2" : "",
		         d->ice2 && d->trickle ? " " : "", d->trickle ? "trickle" : "");
	if (d->lite)
		text_put(o, "a=ice-lite\r\n");
	else if (d->pacing_ms)
		text_put(o, "a=ice-pacing:%u\r\n", d->pacing_ms);
}

static void put_remote(struct text_out *o, const struct ice_stream_description *s)
{
	char at[ADDR_TEXT_MAX];
	bool any = false;

	for (unsigned i = 0; i < ICE_COMPONENTS_MAX; i++) {
		if (!s->remote[i].port)
			continue;
		text_put(o, "%s%u %s %u", any ? " " : "a=remote-candidates:", i + 1,
		         addr_print(&s->remote[i].addr, at), s->remote[i].port);
		any = true;
	}
	if (any)
		text_put(o, "\r\n");
}

static void put_credentials(struct text_out *o, const struct ice_stream_description *s)
{
	if (*s->ufrag)
		text_put(o, "a=ice-ufrag:%s\r\n", s->ufrag);
	if (*s->pwd)
		text_put(o, "a=ice-pwd:%s\r\n", s->pwd);
}

static void put_candidates(struct text_out *o, const struct ice_stream_description *s)
{
	char line[256];

	for (unsigned i = 0; i < s->n_candidates; i++)
		if (sdp_candidate_print(&s->candidate[i], false, line, sizeof(line)))
			text_put(o, "a=%s\r\n", line);
	if (s->end_of_candidates)
		text_put(o, "a=end-of-candidates\r\n");
}

static void put_stream(struct text_out *o, const struct ice_stream_description *s)
{
	const struct endpoint *const to = &s->chosen[0];
	char at[ADDR_TEXT_MAX];

	text_put(o, "m=audio %u RTP/AVP 0\r\n", to->port ? to->port : 9);
	if (to->port)
		text_put(o, "c=IN IP%u %s\r\n", addr_family(&to->addr), addr_print(&to->addr, at));
	else
		text_put(o, "c=IN IP4 0.0.0.0\r\n");
	if (s->n_components > 1 && s->chosen[1].port)
		text_put(o, "a=rtcp:%u IN IP%u %s\r\n", s->chosen[1].port,
		         addr_family(&s->chosen[1].addr), addr_print(&s->chosen[1].addr, at));
	if (*s->mid)
		text_put(o, "a=mid:%s\r\n", s->mid);
	put_credentials(o, s);
	if (s->mismatch)
		text_put(o, "a=ice-mismatch\r\n");
	put_remote(o, s);
	put_candidates(o, s);
}

size_t sdp_print(const struct ice_description *d, char *out, size_t cap)
{
	struct text_out o = { out, cap, 0 };

	text_put(&o, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n");
	put_options(&o, d);
	for (unsigned i = 0; i < d->n_streams; i++)
		put_stream(&o, &d->stream[i]);
	return text_end(&o);
}

size_t sdp_fragment_print(const struct ice_description *d, char *out, size_t cap)
{
	struct text_out o = { out, cap, 0 };

	for (unsigned i = 0; i < d->n_streams; i++) {
		const struct ice_stream_description *const s = &d->stream[i];

		text_put(&o, "m=audio 9 RTP/AVP 0\r\n");
		if (*s->mid)
			text_put(&o, "a=mid:%s\r\n", s->mid);
		put_credentials(&o, s);
		put_candidates(&o, s);
	}
	return text_end(&o);
}
