/* One agent and a peer made by hand. */
#include "tests/rig/ice_one.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto.h"
#include "tests/support.h"
#include "wire/attr.h"
#include "wire/crc.h"
#include "wire/integrity.h"

enum { SPINS_MAX = 1000, USUAL_PRIORITY = 1862270975 };

#define PEER "198.18.0.2:6000"

static void draw(void *arg, void *out, size_t n)
{
	struct one *const o = arg;

	if (o->has_tie && n == sizeof(o->fixed_tie)) {
		memcpy(out, &o->fixed_tie, n);
		o->has_tie = false;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		o->random = o->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		((uint8_t *)out)[i] = (uint8_t)(o->random >> 40);
	}
}

static void on_trace(void *arg, const struct ice_trace_record *r)
{
	struct one *const o = arg;
	struct one_note *const n = &o->note[o->n_notes];

	ice_check_record(o->check, r);
	if (o->n_notes == ONE_NOTES_MAX)
		abort(); /* a test that is too long for this rig */
	o->n_notes++;
	n->r = *r;
	snprintf(n->why, sizeof(n->why), "%s", r->why ? r->why : "");
	snprintf(n->foundation, sizeof(n->foundation), "%s", r->foundation ? r->foundation : "");
	n->r.why = n->why;
	n->r.foundation = n->foundation;
	n->r.text = NULL;
}

struct ice_config one_config(void)
{
	return ice_defaults();
}

void one_open(struct one *o, const struct ice_config *c)
{
	const bool has_tie = o->has_tie;
	const uint64_t tie = o->fixed_tie;

	*o = (struct one){ .c = *c, .now_ms = 1000, .random = 1, .has_tie = has_tie };
	o->fixed_tie = tie;
	o->mine = calloc(1, sizeof(*o->mine));
	o->theirs = calloc(1, sizeof(*o->theirs));
	o->sent = calloc(ONE_SENT_MAX, sizeof(*o->sent));
	o->told = calloc(ONE_TOLD_MAX, sizeof(*o->told));
	o->note = calloc(ONE_NOTES_MAX, sizeof(*o->note));
	o->check = ice_check_new("one", c->lite);
	o->c.random = draw;
	o->c.random_arg = o;
	o->c.trace = on_trace;
	o->c.trace_arg = o;
	o->a = ice_new(&o->c, o->now_ms);
	o->theirs->ice2 = true;
	o->theirs->trickle = true;
	o->theirs->pacing_ms = c->ta_ms;
	o->theirs->n_streams = c->n_streams;
	for (unsigned i = 0; i < c->n_streams; i++) {
		struct ice_stream_description *const s = &o->theirs->stream[i];

		snprintf(s->mid, sizeof(s->mid), "%u", i);
		snprintf(s->ufrag, sizeof(s->ufrag), "%s", ONE_UFRAG);
		snprintf(s->pwd, sizeof(s->pwd), "%s", ONE_PWD);
		s->n_components = c->n_components;
	}
}

unsigned one_close(struct one *o)
{
	const unsigned breaches = ice_check_end(o->check);

	ice_free(o->a);
	ice_check_free(o->check);
	free(o->mine);
	free(o->theirs);
	free(o->sent);
	free(o->told);
	free(o->note);
	CHECK(o->spins < SPINS_MAX, "no wake-up without cause");
	return breaches;
}

struct endpoint one_at(const char *text)
{
	struct endpoint e;

	if (!endpoint_parse(text, &e))
		abort();
	return e;
}

int one_base_as(struct one *o, const struct ice_base *b)
{
	const int i = ice_add_base(o->a, o->now_ms, b);

	if (i >= 0)
		o->base[i] = *b;
	return i;
}

int one_base(struct one *o, unsigned stream, unsigned component, const char *at)
{
	const struct ice_base b = { .stream = (uint8_t)stream,
		                    .component = (uint8_t)component,
		                    .at = one_at(at),
		                    .default_route = true };

	return one_base_as(o, &b);
}

void one_gather(struct one *o)
{
	ice_gather(o->a, o->now_ms);
	one_poll(o);
	ice_local(o->a, o->mine);
	one_poll(o);
}

void one_candidate(struct one *o, unsigned stream, unsigned component, enum ice_type type,
                   const char *at, uint32_t priority)
{
	struct ice_stream_description *const s = &o->theirs->stream[stream];
	struct ice_candidate *const c = &s->candidate[s->n_candidates++];

	*c = (struct ice_candidate){ .component = (uint16_t)component,
		                     .type = type,
		                     .priority = priority,
		                     .at = one_at(at) };
	snprintf(c->foundation, sizeof(c->foundation), "%c%x", 'h' + (int)type,
	         c->at.addr.ip[15] | c->at.addr.ip[14] << 8);
}

enum ice_refused one_remote(struct one *o)
{
	const enum ice_refused why = ice_remote(o->a, o->now_ms, o->theirs);

	one_poll(o);
	return why;
}

void one_pair(struct one *o)
{
	one_base(o, 0, 1, "198.18.0.1:5000");
	one_gather(o);
	one_candidate(o, 0, 1, ICE_HOST, PEER, 2130706431);
	one_remote(o);
}

/* --- time --- */

static unsigned poll_all(struct one *o)
{
	struct ice_event e;
	unsigned n = 0;

	while (ice_poll(o->a, o->now_ms, &e)) {
		n++;
		if (e.kind == ICE_EVENT_SEND) {
			if (o->n_sent == ONE_SENT_MAX)
				abort();
			o->sent[o->n_sent++] = (struct one_sent){ o->now_ms, e.datagram };
		} else {
			if (o->n_told == ONE_TOLD_MAX)
				abort();
			o->told[o->n_told++] = e;
		}
	}
	return n;
}

void one_poll(struct one *o)
{
	poll_all(o);
}

void one_run(struct one *o, uint64_t until_ms)
{
	for (;;) {
		const unsigned n = poll_all(o);
		const uint64_t next = ice_next_ms(o->a);

		if (next > until_ms || o->spins > SPINS_MAX)
			break;
		if (next <= o->now_ms && n == 0) {
			o->spins++;
			o->now_ms++;
		} else if (next > o->now_ms) {
			o->now_ms = next;
		}
	}
	if (o->now_ms < until_ms) {
		o->now_ms = until_ms;
		poll_all(o);
	}
}

/* --- reading --- */

static void read_attribute(const struct stun_msg *m, const struct stun_attr *attr,
                           struct one_read *out)
{
	const uint8_t *reason;
	size_t len;

	switch (attr->type) {
	case STUN_USERNAME:
		snprintf(out->username, sizeof(out->username), "%.*s", attr->len,
		         (const char *)attr->value);
		break;
	case STUN_PRIORITY: out->has_priority = stun_u32(attr, &out->priority); break;
	case STUN_USE_CANDIDATE: out->use_candidate = attr->len == 0; break;
	case STUN_ICE_CONTROLLING:
	case STUN_ICE_CONTROLLED:
		*(attr->type == STUN_ICE_CONTROLLING ? &out->has_controlling
		                                     : &out->has_controlled) = attr->len == 8;
		out->tie = (uint64_t)be32_load(attr->value) << 32 | be32_load(attr->value + 4);
		break;
	case STUN_XOR_MAPPED_ADDRESS: stun_xor_addr(m, attr, &out->mapped); break;
	case STUN_ERROR_CODE: out->code = stun_error_code(attr, &reason, &len); break;
	case STUN_UNKNOWN_ATTRIBUTES:
		out->unknown = attr->len >= 2 ? be16_load(attr->value) : 0;
		break;
	default: break;
	}
}

static bool verify(const struct stun_msg *m, const struct stun_marks *marks, const char *pwd)
{
	struct crypto_hmac_sha1 key;
	uint8_t mac[CRYPTO_SHA1_LEN];

	if (!marks->integrity.value || marks->integrity.len != CRYPTO_SHA1_LEN)
		return false;
	const struct stun_integrity in = stun_integrity_locate(m, &marks->integrity);
	const struct crypto_piece pieces[] = { { in.head, sizeof(in.head) },
		                               { in.rest, in.rest_len } };

	crypto_hmac_sha1_key(&key, pwd, strlen(pwd));
	crypto_hmac_sha1(&key, pieces, 2, mac);
	return crypto_equal(mac, in.mac, sizeof(mac));
}

void one_read(const struct one *o, const struct one_sent *s, const char *pwd, struct one_read *out)
{
	struct stun_msg m;
	struct stun_marks marks;
	struct stun_attr attr;

	*out = (struct one_read){ .ok = false };
	if (!s || !stun_open(s->d.octets, s->d.len, &m) || !stun_scan(&m, &marks))
		return;
	struct stun_iter it = stun_attrs(&m);

	out->ok = true;
	out->cls = stun_class(m.type);
	out->method = stun_method(m.type);
	memcpy(out->txid, m.txid, sizeof(out->txid));
	while (stun_next(&it, &attr)) {
		out->attributes++;
		read_attribute(&m, &attr, out);
	}
	if (!pwd)
		pwd = out->cls == STUN_REQUEST ? o->theirs->stream[0].pwd
		                               : o->mine->stream[o->base[s->d.base].stream].pwd;
	out->integrity = verify(&m, &marks, pwd);
	out->fingerprint = stun_fingerprint_check(&m, &marks) == STUN_FINGERPRINT_RIGHT;
}

static bool is_class(const struct one_sent *s, enum stun_class cls)
{
	struct stun_msg m;

	return stun_open(s->d.octets, s->d.len, &m) && stun_class(m.type) == cls &&
	       stun_method(m.type) == STUN_BINDING;
}

static bool goes_to(const struct one_sent *s, const char *to)
{
	const struct endpoint e = to ? one_at(to) : s->d.to;

	return endpoint_equal(&e, &s->d.to);
}

const struct one_sent *one_next(struct one *o, const char *to)
{
	while (o->n_seen < o->n_sent) {
		const struct one_sent *const s = &o->sent[o->n_seen++];

		if (is_class(s, STUN_REQUEST) && goes_to(s, to))
			return s;
	}
	return NULL;
}

unsigned one_count(const struct one *o, unsigned from, enum stun_class cls, const char *to)
{
	unsigned n = 0;

	for (unsigned i = from; i < o->n_sent; i++)
		n += is_class(&o->sent[i], cls) && goes_to(&o->sent[i], to);
	return n;
}

/* --- what the peer sends --- */

static void sign(struct stun_builder *b, const char *pwd)
{
	struct crypto_hmac_sha1 key;
	size_t covered;
	uint8_t *const mac = stun_reserve_integrity(b, STUN_MESSAGE_INTEGRITY, &covered);

	crypto_hmac_sha1_key(&key, pwd, strlen(pwd));
	crypto_hmac_sha1(&key, &(struct crypto_piece){ b->buf, covered }, 1, mac);
}

/* A copy of exactly the message's length, so that a read behind it is seen. */
static enum ice_input input(struct one *o, int base, const char *from, const uint8_t *octets,
                            size_t len)
{
	uint8_t *const exact = copy_exact(octets, len);
	const struct endpoint e = one_at(from);
	struct ice_data data;
	const enum ice_input what = ice_input(o->a, o->now_ms, base, &e, exact, len, &data);

	free(exact);
	return what;
}

static void put_role(const struct one *o, struct stun_builder *b, const struct one_request *q)
{
	const bool mine = ice_role(o->a) == ICE_CONTROLLING;
	const bool neither = !q->controlling && !q->controlled;
	const uint64_t tie = q->tie;

	for (unsigned k = 0; k < 2 && !q->no_role; k++) {
		uint8_t *at;

		if (!(k ? q->controlled || (neither && mine)
		        : q->controlling || (neither && !mine)))
			continue;
		at = stun_reserve(b, k ? STUN_ICE_CONTROLLED : STUN_ICE_CONTROLLING, 8);
		be32_store(at, (uint32_t)(tie >> 32));
		be32_store(at + 4, (uint32_t)tie);
	}
}

enum ice_input one_ask(struct one *o, const struct one_request *q)
{
	uint8_t octets[1024], txid[STUN_TXID_LEN];
	char name[2 * ICE_UFRAG_MAX + 2];
	struct stun_builder b;
	const struct ice_stream_description *const mine = &o->mine->stream[o->base[q->base].stream];
	const int n = snprintf(name, sizeof(name), "%s:%s", q->ours ? q->ours : mine->ufrag,
	                       q->theirs ? q->theirs : ONE_UFRAG);

	draw(o, txid, sizeof(txid));
	stun_begin(&b, octets, sizeof(octets), stun_type(STUN_BINDING, STUN_REQUEST), txid);
	if (!q->no_username)
		stun_put(&b, STUN_USERNAME, name, (uint16_t)n);
	if (!q->no_priority)
		stun_put_u32(&b, STUN_PRIORITY, q->priority ? q->priority : USUAL_PRIORITY);
	put_role(o, &b, q);
	if (q->use_candidate)
		stun_put(&b, STUN_USE_CANDIDATE, NULL, 0);
	if (q->extra)
		stun_put_u32(&b, q->extra, 1);
	if (!q->no_integrity)
		sign(&b, q->pwd ? q->pwd : mine->pwd);
	if (!q->no_fingerprint)
		stun_put_fingerprint(&b);
	const size_t len = stun_finish(&b);

	if (q->bad_fingerprint)
		octets[len - 1] ^= 1;
	return input(o, q->base, q->from ? q->from : PEER, octets, len);
}

struct one_read one_asked(struct one *o, const struct one_request *q)
{
	const unsigned from = o->n_sent;
	const struct endpoint to = one_at(q->from ? q->from : PEER);
	struct one_read r = { .ok = false };

	one_ask(o, q);
	one_poll(o);
	for (unsigned i = from; i < o->n_sent && !r.ok; i++)
		if (endpoint_equal(&o->sent[i].d.to, &to) && o->sent[i].d.base == q->base &&
		    !is_class(&o->sent[i], STUN_REQUEST))
			one_read(o, &o->sent[i], q->ours ? q->pwd : NULL, &r);
	return r;
}

enum ice_input one_answer(struct one *o, const struct one_sent *to, const struct one_response *r)
{
	char text[ENDPOINT_TEXT_MAX];
	uint8_t octets[512], txid[STUN_TXID_LEN];
	struct stun_builder b;

	memcpy(txid, to->d.octets + 8, sizeof(txid));
	txid[0] ^= r->other_txid;
	stun_begin(&b, octets, sizeof(octets),
	           stun_type(STUN_BINDING, r->code ? STUN_ERROR : STUN_SUCCESS), txid);
	if (r->code) {
		stun_put_error(&b, r->code, NULL);
	} else if (!r->no_mapped) {
		struct endpoint e = o->base[to->d.base].at;

		if (r->mapped)
			e = one_at(r->mapped);
		stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, &e);
	}
	if (!r->no_integrity)
		sign(&b, r->pwd ? r->pwd : ONE_PWD);
	stun_put_fingerprint(&b);
	return input(o, r->base >= 0 ? r->base : to->d.base,
	             r->from ? r->from : endpoint_print(&to->d.to, text), octets, stun_finish(&b));
}

void one_serve(struct one *o, uint64_t until_ms, unsigned rtt_ms, const char *but)
{
	unsigned done = o->n_seen;

	while (o->now_ms < until_ms) {
		uint64_t next = ice_next_ms(o->a);

		if (done < o->n_sent && o->sent[done].ms + rtt_ms < next)
			next = o->sent[done].ms + rtt_ms;
		one_run(o, next > until_ms ? until_ms : next <= o->now_ms ? o->now_ms + 1 : next);
		while (done < o->n_sent && o->sent[done].ms + rtt_ms <= o->now_ms) {
			const struct one_sent *const s = &o->sent[done++];

			if (is_class(s, STUN_REQUEST) && !(but && goes_to(s, but)))
				one_answer(o, s, ONE_SUCCESS);
		}
		one_poll(o);
	}
	o->n_seen = done;
}

/* --- what was told and traced --- */

const struct ice_event *one_event(const struct one *o, enum ice_event_kind kind, unsigned from)
{
	for (unsigned i = from; i < o->n_told; i++)
		if (o->told[i].kind == kind)
			return &o->told[i];
	return NULL;
}

unsigned one_events(const struct one *o, enum ice_event_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < o->n_told; i++)
		n += o->told[i].kind == kind;
	return n;
}

unsigned one_notes(const struct one *o, enum ice_trace_event event, const char *why)
{
	unsigned n = 0;

	for (unsigned i = 0; i < o->n_notes; i++)
		n += o->note[i].r.event == event && (!why || strcmp(o->note[i].why, why) == 0);
	return n;
}

unsigned one_drops(const struct one *o, const char *why)
{
	return one_notes(o, ICE_TRACE_DROP, why);
}

static bool pair_added(const char *why)
{
	return strcmp(why, "formed") == 0 || strcmp(why, "triggered") == 0 ||
	       strcmp(why, "followed") == 0;
}

int one_state(const struct one *o, const char *base, const char *remote)
{
	const struct endpoint b = one_at(base), r = one_at(remote);
	uint32_t id = 0;
	int state = -1;

	for (unsigned i = 0; i < o->n_notes; i++) {
		const struct one_note *const n = &o->note[i];

		if (n->r.event == ICE_TRACE_PAIR && pair_added(n->why) &&
		    endpoint_equal(&n->r.at, &b) && endpoint_equal(&n->r.peer, &r)) {
			id = n->r.id;
			state = ICE_FROZEN;
		} else if (id && n->r.id == id && n->r.event == ICE_TRACE_STATE) {
			state = n->r.to;
		} else if (id && n->r.id == id && n->r.event == ICE_TRACE_PAIR &&
		           strcmp(n->why, "changed") != 0) {
			state = -1;
		}
	}
	return state;
}

uint64_t one_priority(const struct one *o, const char *base, const char *remote)
{
	const struct endpoint b = one_at(base), r = one_at(remote);
	uint64_t priority = 0;

	for (unsigned i = 0; i < o->n_notes; i++) {
		const struct ice_trace_record *const n = &o->note[i].r;

		if (n->event == ICE_TRACE_PAIR && endpoint_equal(&n->at, &b) &&
		    endpoint_equal(&n->peer, &r))
			priority = n->pair_priority;
	}
	return priority;
}

enum ice_state one_session(const struct one *o)
{
	return ice_state(o->a, NULL);
}

enum ice_reason one_why(const struct one *o)
{
	enum ice_reason why;

	ice_state(o->a, &why);
	return why;
}
