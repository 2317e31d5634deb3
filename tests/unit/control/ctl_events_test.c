/* What happened to sessions, and how they are, as JSON that scripts rely on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/events.h"
#include "control/ice/sdp.h"
#include "tests/support.h"

enum { N_REASONS = ICE_WHY_CLOSED + 1 };

static struct ice_candidate candidate(const char *at, enum ice_type type)
{
	struct ice_candidate c = {
		.foundation = "1", .component = 1, .type = type, .priority = 2130705919
	};

	CHECK(endpoint_parse(at, &c.at), at);
	return c;
}

/* Equal in every member: nothing more, nothing less. */
static void expect(json_t *got, const char *wanted, const char *what)
{
	json_t *const want = json_loads(wanted, 0, NULL);

	CHECK(want != NULL, wanted);
	if (!json_equal(got, want)) {
		char *const text = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS);

		CU_FAIL(what);
		fprintf(stderr, "%s: got %s\n", what, text ? text : "nothing");
		free(text);
	}
	json_decref(want);
	json_decref(got);
}

#define TOLD(params) "{\"jsonrpc\":\"2.0\",\"method\":\"session.event\",\"params\":{" params "}}"

static void whole_sessions(void)
{
	const struct session_event made = { .kind = SESSION_EVENT_CREATED, .session = 7 };
	const struct session_event ended = {
		.kind = SESSION_EVENT_ENDED,
		.session = INT64_MAX,
		.counts = { .to_packets = 1,
		            .to_octets = 5000000000,
		            .from_packets = 3,
		            .from_octets = 4 },
	};

	expect(events_json(&made), TOLD("\"event\":\"created\",\"session\":7"), "created");
	expect(events_json(&ended),
	       TOLD("\"event\":\"ended\",\"session\":9223372036854775807,"
	            "\"to_peers\":{\"packets\":1,\"octets\":5000000000},"
	            "\"from_peers\":{\"packets\":3,\"octets\":4}"),
	       "ended, with counts beyond 32 bits");
}

static void candidates(void)
{
	struct session_event e = { .kind = SESSION_EVENT_CANDIDATE, .session = 1, .leg = 2 };

	e.candidate = candidate("198.18.0.1:54226", ICE_HOST);
	expect(events_json(&e),
	       TOLD("\"event\":\"candidate\",\"session\":1,\"leg\":2,\"candidate\":"
	            "\"candidate:1 1 UDP 2130705919 198.18.0.1 54226 typ host\""),
	       "IPv4");
	e.candidate = candidate("[fd00:18::1]:54226", ICE_HOST);
	expect(events_json(&e),
	       TOLD("\"event\":\"candidate\",\"session\":1,\"leg\":2,\"candidate\":"
	            "\"candidate:1 1 UDP 2130705919 fd00:18::1 54226 typ host\""),
	       "IPv6");
}

static void pairs(void)
{
	struct session_event e = { .kind = SESSION_EVENT_SELECTED, .session = 1, .leg = 2 };

	e.pair = (struct ice_selected){
		.local = candidate("198.18.0.1:61452", ICE_HOST),
		.remote = candidate("198.18.14.1:34002", ICE_HOST),
		.remote_seen = ICE_PRFLX, /* as it is on the path, whatever was signalled */
		.rtt_ms = 12,
	};
	expect(events_json(&e),
	       TOLD("\"event\":\"selected\",\"session\":1,\"leg\":2,\"pair\":{"
	            "\"local\":\"198.18.0.1:61452\",\"local_type\":\"host\","
	            "\"remote\":\"198.18.14.1:34002\",\"remote_type\":\"prflx\",\"rtt_ms\":12}"),
	       "a selected pair");
}

static void states(void)
{
	static const char *const names[] = { "new",          "gathering", "running", "completed",
		                             "disconnected", "failed",    "closed" };
	struct session_event e = { .kind = SESSION_EVENT_STATE, .session = 3, .leg = 1 };
	char wanted[256];

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		e.state = (enum ice_state)i;
		snprintf(wanted, sizeof(wanted),
		         TOLD("\"event\":\"state\",\"session\":3,\"leg\":1,\"state\":\"%s\""),
		         names[i]);
		expect(events_json(&e), wanted, names[i]);
		CHECK(strcmp(events_state(e.state), names[i]) == 0, names[i]);
	}
}

/* Each has a name of its own, and a sentence beside it; where there is none, neither is said. */
static void reasons(void)
{
	struct session_event e = { .kind = SESSION_EVENT_STATE, .session = 3, .leg = 1 };

	for (unsigned i = 0; i < N_REASONS; i++) {
		e.why = (enum ice_reason)i;
		const char *const name = events_reason(e.why);

		CHECK(name && name[0], "a name");
		for (unsigned k = 0; name && k < i; k++)
			CHECK(strcmp(name, events_reason((enum ice_reason)k)) != 0, name);
		json_t *const said = events_json(&e);
		const json_t *const p = json_object_get(said, "params"),
				    *const reason = json_object_get(p, "reason"),
				    *const text = json_object_get(p, "text");

		if (e.why == ICE_WHY_NONE) {
			CHECK(!reason && !text, "no reason, none told");
		} else {
			CHECK(reason && strcmp(json_string_value(reason), name) == 0, name);
			CHECK(text && strcmp(json_string_value(text), ice_reason_text(e.why)) == 0,
			      name);
		}
		json_decref(said);
	}
}

/* ICE-194: what is told when consent is gone. */
static void lost_consent(void)
{
	const struct session_event e = { .kind = SESSION_EVENT_CONSENT_LOST,
		                         .session = 3,
		                         .leg = 1,
		                         .why = ICE_WHY_CONSENT_LOST };
	char wanted[512];

	snprintf(wanted, sizeof(wanted),
	         TOLD("\"event\":\"consent-lost\",\"session\":3,\"leg\":1,"
	              "\"reason\":\"consent-lost\",\"text\":\"%s\""),
	         ice_reason_text(ICE_WHY_CONSENT_LOST));
	expect(events_json(&e), wanted, "consent lost");
}

static void lost_events(void)
{
	expect(events_lost(5000000000), TOLD("\"event\":\"lost\",\"count\":5000000000"), "lost");
}

static void rows(void)
{
	const struct session_info s = { .id = 4, .name = "call-17 é", .n_legs = 2, .age_s = 90 };

	expect(events_session(&s), "{\"id\":4,\"name\":\"call-17 é\",\"n_legs\":2,\"age_s\":90}",
	       "a row of the list");
}

static const char password[] = "x4yvSECRETxxxxxxxxxxxx";

static struct ice_description *description(bool lite)
{
	struct ice_description *const d = calloc(1, sizeof(*d));

	*d = (struct ice_description){ .lite = lite, .ice2 = true, .n_streams = 1 };
	struct ice_stream_description *const s = &d->stream[0];

	strcpy(s->mid, "0");
	strcpy(s->ufrag, "W3jBZUAc");
	strcpy(s->pwd, password);
	s->n_components = 1;
	s->candidate[0] = candidate("198.18.0.1:54226", ICE_HOST);
	s->candidate[1] = candidate("[fd00:18::1]:54226", ICE_HOST);
	strcpy(s->candidate[1].foundation, "2");
	s->n_candidates = 2;
	s->end_of_candidates = true;
	return d;
}

static struct session_leg_info leg_info(const struct ice_description *d)
{
	return (struct session_leg_info){
		.leg = 2,
		.full = !d->lite,
		.controlling = !d->lite,
		.direction = SESSION_RECVONLY,
		.state = ICE_RUNNING,
		.generation = 1,
		.local = d,
		.has_remote = true,
		.counts = { .to_packets = 1, .to_octets = 2, .from_packets = 3, .from_octets = 4 },
	};
}

#define CANDIDATES                                                    \
	"\"candidates\":["                                            \
	"\"candidate:1 1 UDP 2130705919 198.18.0.1 54226 typ host\"," \
	"\"candidate:2 1 UDP 2130705919 fd00:18::1 54226 typ host\"],"

static void legs(void)
{
	struct ice_description *const d = description(false);
	struct session_leg_info l = leg_info(d);

	expect(events_leg(&l, false),
	       "{\"leg\":2,\"role\":\"full\",\"controlling\":true,\"direction\":\"recvonly\","
	       "\"state\":\"running\",\"generation\":1,\"described\":true,"
	       "\"ufrag\":\"W3jBZUAc\"," CANDIDATES "\"pair\":null,"
	       "\"to_peer\":{\"packets\":1,\"octets\":2},"
	       "\"from_peer\":{\"packets\":3,\"octets\":4}}",
	       "a leg on its way");
	l.state = ICE_FAILED;
	l.why = ICE_WHY_NO_ANSWER;
	l.selected = true;
	l.pair.local = d->stream[0].candidate[1];
	l.pair.remote = candidate("[fd00:18::2]:9", ICE_HOST);
	json_t *const leg = events_leg(&l, false);

	CHECK(strcmp(json_string_value(json_object_get(leg, "reason")), "no-answer") == 0, "why");
	CHECK(strcmp(json_string_value(json_object_get(json_object_get(leg, "pair"), "remote")),
	             "[fd00:18::2]:9") == 0,
	      "the pair");
	json_decref(leg);
	free(d);
}

static void directions(void)
{
	static const char *const names[] = { [SESSION_SENDRECV] = "sendrecv",
		                             [SESSION_SENDONLY] = "sendonly",
		                             [SESSION_RECVONLY] = "recvonly" };
	struct ice_description *const d = description(true);
	struct session_leg_info l = leg_info(d);

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		l.direction = (enum session_direction)i;
		json_t *const leg = events_leg(&l, false);

		CHECK(strcmp(json_string_value(json_object_get(leg, "direction")), names[i]) == 0,
		      names[i]);
		CHECK(strcmp(json_string_value(json_object_get(leg, "role")), "lite") == 0, "lite");
		CHECK(json_is_false(json_object_get(leg, "controlling")), "controlled");
		json_decref(leg);
	}
	free(d);
}

/* Whoever may only look is told no password, in no form. */
static void secrets(void)
{
	struct ice_description *const d = description(true);
	const struct session_leg_info l = leg_info(d);
	json_t *const shown = events_leg(&l, false), *const told = events_leg(&l, true);
	char *const text = json_dumps(shown, 0);

	CHECK(strstr(text, password) == NULL, "not shown");
	CHECK(!json_object_get(shown, "pwd") && !json_object_get(shown, "sdp") &&
	              !json_object_get(shown, "line"),
	      "nor what holds it");
	CHECK(strcmp(json_string_value(json_object_get(told, "pwd")), password) == 0, "told");
	free(text);
	json_decref(shown);
	json_decref(told);
	free(d);
}

static void same(const struct ice_description *got, const struct ice_description *want,
                 const char *what)
{
	const struct ice_stream_description *const a = &got->stream[0], *const b = &want->stream[0];

	CHECK(got->lite == want->lite && got->n_streams == 1, what);
	CHECK(strcmp(a->ufrag, b->ufrag) == 0 && strcmp(a->pwd, b->pwd) == 0, what);
	CHECK(a->n_candidates == b->n_candidates && a->end_of_candidates, what);
	for (unsigned i = 0; i < b->n_candidates; i++)
		CHECK(endpoint_equal(&a->candidate[i].at, &b->candidate[i].at) &&
		              a->candidate[i].priority == b->candidate[i].priority,
		      what);
}

/* Both forms of a leg's description say the same; a lite one says so at session level (ICE-066). */
static void what_is_handed_on(void)
{
	struct ice_description *const got = malloc(sizeof(*got));
	struct sdp_skipped skipped;
	char err[128] = "";

	for (unsigned lite = 0; lite < 2; lite++) {
		struct ice_description *const d = description(lite);
		const struct session_leg_info l = leg_info(d);
		json_t *const leg = events_leg(&l, true);
		const char *const sdp = json_string_value(json_object_get(leg, "sdp")),
				  *const line = json_string_value(json_object_get(leg, "line"));
		const char *const mark = strstr(sdp, "a=ice-lite\r\n"), *const media =
										strstr(sdp, "m=");

		CHECK(sdp_parse(sdp, strlen(sdp), got, &skipped, err), err);
		same(got, d, "SDP");
		CHECK(media && (lite ? mark && mark < media : !mark), "a=ice-lite");
		CHECK(strchr(line, '\n') == NULL, "one line");
		CHECK(sdp_line_parse(line, strlen(line), got, err), err);
		same(got, d, "the line");
		json_decref(leg);
		free(d);
	}
	free(got);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "sessions begin and end", whole_sessions },
		{ "candidates", candidates },
		{ "selected pairs", pairs },
		{ "states", states },
		{ "reasons", reasons },
		{ "ICE-194: lost consent", lost_consent },
		{ "lost events", lost_events },
		{ "rows of the list", rows },
		{ "legs", legs },
		{ "directions", directions },
		{ "who only looks learns no password", secrets },
		{ "what is handed on", what_is_handed_on },
		CU_TEST_INFO_NULL,
	};

	return run_suite("events", tests);
}
