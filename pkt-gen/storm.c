/* The table of storms, their pace, and what they say at the end. */
#include <math.h>
#include <stdlib.h>

#include "log.h"
#include "pkt-gen/storm_parts.h"
#include "wire/attr.h"

static const struct storm_kind *const kinds[] = {
	&storm_allocate, &storm_binding, &storm_spoofed, &storm_mutated,
	&storm_churn,    &storm_vanish,  &storm_scan,
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const uint64_t second_ns = UINT64_C(1000000000);

void storm_list(FILE *out)
{
	for (unsigned i = 0; i < KINDS; i++)
		fprintf(out, "  %-10s %s (%.0f a second)\n", kinds[i]->name, kinds[i]->help,
		        kinds[i]->rate);
}

static const struct storm_kind *find(const char *name)
{
	for (unsigned i = 0; i < KINDS; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	fprintf(stderr, "--storm: no storm \"%s\"; there are:\n", name);
	storm_list(stderr);
	return NULL;
}

struct storm *storm_new(const char *name, const struct storm_field *field)
{
	const struct options *o = field->options;
	const struct storm_kind *kind = find(name);
	struct storm *s;

	if (kind == NULL)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		log_error("storm", "memory", "name=%s", name);
		return NULL;
	}
	s->kind = kind;
	s->field = *field;
	s->server = o->server[o->client_family == 6];
	s->rate = o->storm_rate > 0 ? o->storm_rate : kind->rate;
	s->random = o->seed;
	s->tag = (uint32_t)storm_draw(&s->random);
	if (s->server.port == 0)
		log_error("storm", "server", "error=\"--server has no IPv%u address\"",
		          o->client_family == 6 ? 6 : 4);
	else if (apart_open(&s->apart, o) && kind->open(s))
		return s;
	storm_free(s);
	return NULL;
}

void storm_free(struct storm *s)
{
	if (s == NULL)
		return;
	if (s->own != NULL)
		s->kind->close(s);
	free(s);
}

/* What is due of the pace; what is due since more than a tenth of a second is given up. */
static unsigned due(struct storm *s, uint64_t now_ns)
{
	const double want = (double)(now_ns - s->begin_ns) * s->rate / 1e9;
	const uint64_t late = (uint64_t)(s->rate / 10) + STORM_TURN;
	const uint64_t all = (uint64_t)want;
	uint64_t n = all > s->due ? all - s->due : 0;

	if (n > late) {
		s->skipped += n - late;
		s->due += n - late;
		n = late;
	}
	if (n > STORM_TURN)
		n = STORM_TURN;
	s->due += n;
	return (unsigned)n;
}

unsigned storm_turn(struct storm *s, uint64_t now_ns)
{
	if (!s->begun) {
		s->begun = true;
		s->begin_ns = now_ns;
	}
	s->now_ns = now_ns;
	return s->kind->turn(s, now_ns, s->stopped ? 0 : due(s, now_ns));
}

bool storm_input(struct storm *s, uint64_t now_ns, const struct endpoint *at,
                 const struct endpoint *from, const void *octets, size_t len)
{
	return s->kind->input(s, now_ns, at, from, octets, len);
}

void storm_stop(struct storm *s, uint64_t now_ns)
{
	if (s->stopped)
		return;
	s->stopped = true;
	s->end_ns = now_ns;
	s->now_ns = now_ns;
	if (s->begun && s->kind->stop != NULL)
		s->kind->stop(s, now_ns);
}

bool storm_done(const struct storm *s)
{
	/* Nobody waits longer for a server that is gone. */
	return s->stopped &&
	       (s->kind->done == NULL || s->kind->done(s) || s->now_ns - s->end_ns > 5 * second_ns);
}

double storm_seconds(const struct storm *s)
{
	return (double)((s->stopped ? s->end_ns : s->now_ns) - s->begin_ns) / 1e9;
}

void storm_report(const struct storm *s, struct report_storm *out)
{
	snprintf(out->name, sizeof(out->name), "%s", s->kind->name);
	out->seconds = storm_seconds(s);
	out->sent = s->sent;
	out->answered = s->answered;
	out->failed = s->failed;
	memcpy(out->code, s->code, sizeof(out->code));
	s->kind->report(s, out);
	if (s->skipped != 0) {
		const size_t n = strlen(out->said);

		snprintf(out->said + n, sizeof(out->said) - n, "; %llu came too late to be made",
		         (unsigned long long)s->skipped);
	}
}

void storm_judge(struct report_storm *out)
{
	const struct report_trial *t[3] = { &out->before, &out->during, &out->after };
	const size_t n = strlen(out->said);
	double loss[3];

	if (t[0]->tally.sent + t[1]->tally.sent + t[2]->tally.sent == 0)
		return; /* there was none */
	for (unsigned i = 0; i < 3; i++)
		loss[i] = 100 * tally_loss(&t[i]->tally);
	snprintf(out->said + n, sizeof(out->said) - n,
	         "%smedia: loss %.3f, %.3f, %.3f %%, p99 %.0f, %.0f, %.0f us (before, during, "
	         "after)",
	         n != 0 ? "; " : "", loss[0], loss[1], loss[2], t[0]->latency.p99,
	         t[1]->latency.p99, t[2]->latency.p99);
}

unsigned storm_buffers(const struct storm *s, struct rte_mbuf **m, unsigned n)
{
	if (n > ENGINE_BURST)
		n = ENGINE_BURST;
	return n != 0 && rte_pktmbuf_alloc_bulk(s->field.pool, m, n) == 0 ? n : 0;
}

void storm_send(struct storm *s, struct rte_mbuf **m, unsigned n)
{
	if (n != 0)
		engine_send(s->field.engine, s->field.lane, m, n);
}

struct rte_mbuf *storm_frame(const struct storm_field *field, const struct endpoint *from,
                             const struct endpoint *to, const void *octets, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(field->pool);
	size_t n;

	if (m == NULL)
		return NULL;
	n = packet_make(rte_pktmbuf_mtod(m, uint8_t *), rte_pktmbuf_tailroom(m), field->macs, from,
	                to, octets, len);
	if (n == 0) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	m->data_len = (uint16_t)n;
	m->pkt_len = (uint32_t)n;
	return m;
}

void storm_answer(struct storm *s, const void *octets, size_t len)
{
	const uint8_t *reason;
	struct stun_attr attr;
	struct stun_msg msg;
	size_t n;

	s->answered++;
	if (!stun_open(octets, len, &msg) || stun_class(msg.type) != STUN_ERROR ||
	    !stun_find(&msg, STUN_ERROR_CODE, &attr))
		return;
	s->code[stun_error_code(&attr, &reason, &n)]++;
}
