/* Sessions for people. */
#include <string.h>
#include <time.h>

#include "control/ctl/text.h"

static const struct text_column sessions[] = {
	{ "ID", "id", true },     { "NAME", "name", false }, { "LEGS", "n_legs", true },
	{ "AGE", "age_s", true }, { NULL, NULL, false },
};

static const struct text_column legs[] = {
	{ "LEG", "leg", true },
	{ "ROLE", "role", false },
	{ "DIRECTION", "direction", false },
	{ "STATE", "state", false },
	{ "REASON", "reason", false },
	{ "LOCAL", "pair.local", false },
	{ "REMOTE", "pair.remote", false },
	{ "TYPE", "pair.remote_type", false },
	{ "TO-PEER", "to_peer.packets", true },
	{ "OCTETS", "to_peer.octets", true },
	{ "FROM-PEER", "from_peer.packets", true },
	{ "OCTETS", "from_peer.octets", true },
	{ NULL, NULL, false },
};

static const char *text_at(const json_t *row, const char *key)
{
	const char *const text = json_string_value(json_object_get(row, key));

	return text ? text : "-";
}

static long long number_at(const json_t *row, const char *key)
{
	return (long long)json_integer_value(json_object_get(row, key));
}

/* What to hand to the other side. */
static void hand_on(FILE *out, const json_t *leg)
{
	fprintf(out, "leg %lld, %s: give its other side this line, or the SDP of --json\n%s\n",
	        number_at(leg, "leg"), text_at(leg, "role"), text_at(leg, "line"));
}

static void whole(FILE *out, const json_t *r)
{
	fprintf(out, "session %lld %s, %lld s old\n", number_at(r, "id"), text_at(r, "name"),
	        number_at(r, "age_s"));
	text_table(out, json_object_get(r, "legs"), legs);
}

void text_session(FILE *out, enum ctl_id id, const json_t *r)
{
	const json_t *leg;
	size_t i;

	switch (id) {
	case CTL_SESSION_CREATE:
		fprintf(out, "session %lld\n", number_at(r, "id"));
		json_array_foreach(json_object_get(r, "legs"), i, leg) hand_on(out, leg);
		break;
	case CTL_SESSION_ADD_LEG:
	case CTL_SESSION_RESTART: hand_on(out, r); break;
	case CTL_SESSION_SET_REMOTE:
		fprintf(out, "leg %lld of session %lld is %s\n", number_at(r, "leg"),
		        number_at(r, "session"), text_at(r, "state"));
		break;
	case CTL_SESSION_ADD_CANDIDATE: fprintf(out, "taken\n"); break;
	case CTL_SESSION_DELETE:
		fprintf(out, "session %lld ended\n", number_at(r, "deleted"));
		break;
	default:
		if (json_object_get(r, "legs") && json_is_array(json_object_get(r, "legs")))
			whole(out, r);
		else
			text_table(out, json_object_get(r, "sessions"), sessions);
	}
}

void text_event(FILE *out, const json_t *e)
{
	const json_t *const pair = json_object_get(e, "pair");
	const time_t wall = time(NULL);
	struct tm tm;
	char clock[16];

	localtime_r(&wall, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (json_object_get(e, "count")) {
		fprintf(out, "%s %lld events were lost\n", clock, number_at(e, "count"));
		return;
	}
	fprintf(out, "%s session %lld", clock, number_at(e, "session"));
	if (json_object_get(e, "leg"))
		fprintf(out, " leg %lld", number_at(e, "leg"));
	fprintf(out, " %s", text_at(e, "event"));
	if (json_object_get(e, "state"))
		fprintf(out, " %s", text_at(e, "state"));
	if (json_object_get(e, "candidate"))
		fprintf(out, " %s", text_at(e, "candidate"));
	if (pair)
		fprintf(out, " %s %s to %s %s", text_at(pair, "local_type"), text_at(pair, "local"),
		        text_at(pair, "remote_type"), text_at(pair, "remote"));
	if (json_object_get(e, "text"))
		fprintf(out, ": %s", text_at(e, "text"));
	fputc('\n', out);
}
