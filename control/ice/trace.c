/* Two printings of one record (ICE-218). */
#include <inttypes.h>

#include "control/ice/parts.h"
#include "control/ice/text.h"

#define X(name) #name,
static const char *const event_names[] = { ICE_TRACE_LIST(X) };
#undef X
static const char *const what_names[] = { "ordinary",  "triggered", "nominating", "consent",
	                                  "keepalive", "gather",    "answer" };
static const char *const state_names[] = { "frozen", "waiting", "in-progress", "succeeded",
	                                   "failed" };
static const char *const list_names[] = { "running", "completed", "failed" };
static const char *const session_names[] = { "new",          "gathering", "running", "completed",
	                                     "disconnected", "failed",    "closed" };
static const char *const class_names[] = { "request", "indication", "success", "error" };

/* The name of a state in the words of the event. */
static const char *state_name(const struct ice_trace_record *r, uint8_t state)
{
	return r->event == ICE_TRACE_STATE  ? state_names[state]
	       : r->event == ICE_TRACE_LIST ? list_names[state]
	                                    : session_names[state];
}

/* Every field that says something, in either form: key=value or "key":value. */
struct form {
	struct text_out o;
	bool json;
};

static void put(struct form *f, const char *key, const char *value, bool quoted)
{
	if (f->json)
		text_put(&f->o, quoted ? ",\"%s\":\"%s\"" : ",\"%s\":%s", key, value);
	else
		text_put(&f->o, " %s=%s", key, value);
}

static void put_number(struct form *f, const char *key, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	put(f, key, text, false);
}

static void put_endpoint(struct form *f, const char *key, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];

	if (e->port)
		put(f, key, endpoint_print(e, text), true);
}

static void put_flag(struct form *f, const char *key, bool set)
{
	if (set)
		put(f, key, f->json ? "true" : "yes", false);
}

static bool carries_states(const struct ice_trace_record *r)
{
	return r->event == ICE_TRACE_STATE || r->event == ICE_TRACE_LIST ||
	       r->event == ICE_TRACE_SESSION;
}

static void put_message(struct form *f, const struct ice_trace_record *r)
{
	char txid[25];

	for (unsigned i = 0; i < 12; i++)
		snprintf(txid + 2 * i, 3, "%02x", r->txid[i]);
	put(f, "class", class_names[r->cls & 3], true);
	put_number(f, "method", r->method);
	put(f, "what", what_names[r->what], true);
	put(f, "txid", txid, true);
	put_number(f, "sends", r->number);
	put_flag(f, "verified", r->verified);
	put_flag(f, "use_candidate", r->use_candidate);
}

static void put_fields(struct form *f, const struct ice_trace_record *r)
{
	put_number(f, "stream", r->stream);
	if (r->component)
		put_number(f, "component", r->component);
	if (r->id)
		put_number(f, "id", r->id);
	put_flag(f, "local", r->local);
	put_endpoint(f, "base", &r->base);
	put_endpoint(f, "at", &r->at);
	put_endpoint(f, "peer", &r->peer);
	if (r->event == ICE_TRACE_CAND)
		put(f, "type", ice_type_name[r->type], true);
	if (carries_states(r)) {
		put(f, "from", state_name(r, r->from), true);
		put(f, "to", state_name(r, r->to), true);
	}
	if (r->event == ICE_TRACE_TX || r->event == ICE_TRACE_RX)
		put_message(f, r);
	else if (r->number)
		put_number(f, "number", r->number);
	if (r->priority)
		put_number(f, "priority", r->priority);
	if (r->pair_priority)
		put_number(f, "pair_priority", r->pair_priority);
	if (r->foundation)
		put(f, "foundation", r->foundation, true);
	put_flag(f, "signalled", r->signalled);
	put_flag(f, "lite", r->lite);
	put_flag(f, "controlling", r->controlling);
	if (r->text)
		put(f, "text", r->text, true);
	if (r->why && *r->why)
		put(f, "why", r->why, true);
}

size_t ice_trace_text(const struct ice_trace_record *r, char *out, size_t cap)
{
	struct form f = { .o = { out, cap, 0 } };

	text_put(&f.o, "%" PRIu64 " %s", r->now_ms, event_names[r->event]);
	put_fields(&f, r);
	return text_end(&f.o);
}

size_t ice_trace_json(const struct ice_trace_record *r, char *out, size_t cap)
{
	struct form f = { .o = { out, cap, 0 }, .json = true };

	text_put(&f.o, "{\"ms\":%" PRIu64 ",\"event\":\"%s\"", r->now_ms, event_names[r->event]);
	put_fields(&f, r);
	text_put(&f.o, "}");
	return text_end(&f.o);
}

void trace_put(struct ice_agent *a, struct ice_trace_record *r)
{
	r->now_ms = a->now_ms;
	r->generation = a->generation;
	if (a->c.trace)
		a->c.trace(a->c.trace_arg, r);
}

void trace_count(struct ice_agent *a, const char *why)
{
	const unsigned places = sizeof(a->counted) / sizeof(a->counted[0]);
	unsigned i = 0;

	while (i < a->n_counted && strcmp(a->counted[i].why, why) != 0)
		i++;
	if (i == a->n_counted && i < places)
		a->counted[a->n_counted++].why = why;
	if (i < places)
		a->counted[i].n++;
}

unsigned ice_counted(const struct ice_agent *a, const char *why)
{
	for (unsigned i = 0; i < a->n_counted; i++)
		if (strcmp(a->counted[i].why, why) == 0)
			return a->counted[i].n;
	return 0;
}

/* ICE-005: counted by its reason. */
void trace_drop(struct ice_agent *a, int base, const struct endpoint *from, const char *why)
{
	trace_count(a, why);
	trace_put(a, &(struct ice_trace_record){ .event = ICE_TRACE_DROP,
	                                         .base = a->base[base].b.at,
	                                         .peer = *from,
	                                         .why = why });
}
