/* Lines in, lines out: every command, every kind of refusal, levels, pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/ctl/commands.h"
#include "control/ctl/socket.h"
#include "control/loop.h"
#include "engine_stub.h"
#include "tests/support.h"

static const char config_text[] = "ports:\n"
				  "  - device: af_packet:eth0\n"
				  "    addresses: [198.18.0.1/24, \"fd00:18::1/64\"]\n"
				  "listeners: [198.18.0.1:3478, \"[fd00:18::1]:3478\"]\n"
				  "relay:\n"
				  "  addresses: [198.18.0.1, \"fd00:18::1\"]\n"
				  "  advertise: { 198.18.0.1: 203.0.113.7 }\n"
				  "auth:\n"
				  "  realm: example.org\n"
				  "  users: { alice: wonderland }\n"
				  "  rest-secrets: [northern]\n"
				  "run-dir: %s\n";

struct rig {
	char dir[64], file[96];
	struct control *c;
	struct turn_server *srv;
	struct store *store;
};

static void rig_begin(struct rig *r)
{
	struct config_error err = { "" };
	char path[128];
	bool found;

	strcpy(r->dir, "/tmp/turnpike-commands-XXXXXX");
	CHECK(mkdtemp(r->dir) != NULL, "a directory");
	snprintf(r->file, sizeof(r->file), "%s/turnpike.yaml", r->dir);
	FILE *const f = fopen(r->file, "w");

	fprintf(f, config_text, r->dir);
	fclose(f);
	struct config *const cfg = config_load(r->file, CONFIG_ALL, &err);

	CHECK(cfg != NULL, err.text);
	snprintf(path, sizeof(path), "%s/store", r->dir);
	CHECK(store_open(&r->store, path, 16, &found) == 0, "a store");
	r->srv = stub_new();
	r->c = loop_new(cfg, r->store, r->srv, stub_random, &err);
	CHECK(r->c != NULL, err.text);
	struct abi_relay relay = { .id = 0, .port_min = 49152, .port_max = 65535, .live = 1 };
	const struct addr at = addr_from4((const uint8_t[]){ 198, 18, 0, 1 });

	memcpy(relay.ip, at.ip, 16);
	memcpy(relay.advertise, at.ip, 16);
	session_set_tables(r->c->sessions, &relay, 1, loop_now_ms());
	session_sync(r->c->sessions, loop_now_ms());
}

static void rig_end(struct rig *r)
{
	loop_free(r->c);
	turn_free(r->srv);
	store_close(r->store, false);
	unlink(r->file);
	CHECK(rmdir(r->dir) == 0, "socket and store are removed");
}

/* A reply as JSON; NULL if none came. */
static json_t *ask(struct rig *r, enum ctl_level level, const char *line)
{
	const size_t len = strlen(line);
	size_t reply_len = 0;
	char *const exact = malloc(len); /* no NUL behind it, for ASan */

	memcpy(exact, line, len);
	char *const reply = ctl_answer(r->c, level, exact, len, &reply_len);

	free(exact);
	if (!reply)
		return NULL;
	CHECK(reply[reply_len - 1] == '\n' && memchr(reply, '\n', reply_len - 1) == NULL,
	      "one line");
	json_t *const root = json_loadb(reply, reply_len, 0, NULL);

	CHECK(root != NULL, "a reply is JSON");
	free(reply);
	return root;
}

static json_t *call(struct rig *r, enum ctl_level level, const char *method, const char *params)
{
	char line[4096];

	snprintf(line, sizeof(line), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"%s%s}", method,
	         params ? ",\"params\":" : "", params ? params : "");
	return ask(r, level, line);
}

static int code_of(const json_t *reply)
{
	return (int)json_integer_value(json_object_get(json_object_get(reply, "error"), "code"));
}

static const char *text_of(const json_t *reply)
{
	const char *const text =
		json_string_value(json_object_get(json_object_get(reply, "error"), "message"));

	return text ? text : "";
}

static json_t *result_of(const json_t *reply, const char *name)
{
	return json_object_get(json_object_get(reply, "result"), name);
}

static void every_command_is_whole(void)
{
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++) {
		const struct ctl_command *const c = &ctl_commands[i];
		bool optional = false;

		CHECK(c->name && c->help && c->level, c->name ? c->name : "no name");
		CHECK(ctl_find(c->name) == c && ctl_id_of(c) == (enum ctl_id)i, c->name);
		CHECK(c->help[0] && c->help[strlen(c->help) - 1] != '.', "help is one line");
		for (const struct ctl_param *p = c->params; p->type != CTL_END; p++) {
			CHECK(p->name && p->help, "a parameter has name and help");
			CHECK(p->type != CTL_WORD || p->words, "a word has its words");
			CHECK(p->type != CTL_FLAG || p->use == CTL_OPTION, "a flag is an option");
			CHECK(p->use != CTL_REQUIRED || !optional, "required ones come first");
			optional |= p->use == CTL_OPTIONAL;
		}
	}
}

#define SDP                                                                                  \
	"v=0\\r\\no=- 0 0 IN IP4 0.0.0.0\\r\\ns=-\\r\\nt=0 0\\r\\nm=audio 9 RTP/AVP 0\\r\\n" \
	"c=IN IP4 0.0.0.0\\r\\na=ice-ufrag:abcd\\r\\na=ice-pwd:0123456789012345678901\\r\\n"

static void each_answers(void)
{
	static const struct {
		const char *method, *params, *member;
	} cases[] = {
		{ "status", NULL, "rates" },
		{ "show allocations", NULL, "allocations" },
		{ "show allocation", "{\"id\":2}", "peers" },
		{ "show workers", NULL, "workers" },
		{ "show ports", NULL, "ports" },
		{ "show neighbours", NULL, "neighbours" },
		{ "show counters", NULL, "turn_allocate" },
		{ "show config", NULL, "yaml" },
		{ "show users", NULL, "users" },
		{ "session create", "{\"legs\":3,\"role\":\"full\",\"controlling\":\"1,3\"}",
		  "legs" },
		{ "session create", NULL, "legs" },
		{ "session show", NULL, "sessions" },
		{ "session show", "{\"id\":1}", "legs" },
		{ "session set-remote", "{\"id\":1,\"leg\":1,\"description\":\"" SDP "\"}",
		  "state" },
		{ "session add-candidate",
		  "{\"id\":1,\"leg\":1,\"candidate\":\"candidate:1 1 UDP 1 198.18.0.9 9 typ "
		  "host\"}",
		  "leg" },
		{ "session add-leg", "{\"id\":1,\"direction\":\"recvonly\"}", "sdp" },
		{ "session restart", "{\"id\":1,\"leg\":1}", "pwd" },
		{ "session events", NULL, "listening" },
		{ "session delete", "{\"id\":1}", "deleted" },
		{ "delete allocation", "{\"id\":2}", "deleted" },
		{ "add user", "{\"name\":\"bob\",\"password\":\"x\"}", "added" },
		{ "delete user", "{\"name\":\"bob\"}", "deleted" },
		{ "credential", "{\"user\":\"carol\",\"ttl\":60}", "password" },
		{ "reload", "{}", "reloaded" },
		{ "set log-level", "{\"level\":\"error\"}", "log-level" },
		{ "drain", "{\"state\":\"off\"}", "draining" },
		{ "help", NULL, "commands" },
		{ "help", "{\"command\":\"show ports\"}", "commands" },
		{ "stop", "{\"keep\":true}", "keep" },
	};
	bool tried[CTL_COMMAND_COUNT] = { false };
	struct rig r;

	rig_begin(&r);
	stub_allocate(r.srv, 2);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *const reply = call(&r, CTL_ADMIN, cases[i].method, cases[i].params);

		CHECK(result_of(reply, cases[i].member) != NULL, cases[i].method);
		tried[ctl_id_of(ctl_find(cases[i].method))] = true;
		json_decref(reply);
	}
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++)
		CHECK(tried[i] || ctl_commands[i].local, ctl_commands[i].name);
	CHECK(r.srv->deleted == 2 && r.srv->reloads == 1, "the engine was asked");
	CHECK(strcmp(r.srv->added, "bob") == 0 && strcmp(r.srv->added_password, "x") == 0, "user");
	CHECK(r.c->stop == LOOP_STOPS_KEEPING, "stop --keep keeps");
	rig_end(&r);
}

static const char *session_params(const struct ctl_command *c)
{
	switch (ctl_id_of(c)) {
	case CTL_SESSION_SET_REMOTE: return "{\"id\":1,\"leg\":1,\"description\":\"x\"}";
	case CTL_SESSION_ADD_CANDIDATE: return "{\"id\":1,\"leg\":1,\"candidate\":\"x\"}";
	case CTL_SESSION_RESTART: return "{\"id\":1,\"leg\":1}";
	case CTL_SESSION_ADD_LEG:
	case CTL_SESSION_DELETE: return "{\"id\":1}";
	default: return "{}";
	}
}

static void levels(void)
{
	struct rig r;

	rig_begin(&r);
	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++) {
		const struct ctl_command *const c = &ctl_commands[i];
		const bool needs_id =
			strstr(c->name, "allocation") && !strstr(c->name, "allocations");
		json_t *const reply =
			call(&r, CTL_READ, c->name,
		             strncmp(c->name, "session ", 8) == 0 ? session_params(c)
		             : needs_id                           ? "{\"id\":1}"
		             : ctl_id_of(c) == CTL_ADD_USER ? "{\"name\":\"a\",\"password\":\"b\"}"
		             : ctl_id_of(c) == CTL_DELETE_USER   ? "{\"name\":\"a\"}"
		             : ctl_id_of(c) == CTL_CREDENTIAL    ? "{\"user\":\"a\"}"
		             : ctl_id_of(c) == CTL_SET_LOG_LEVEL ? "{\"level\":\"info\"}"
		                                                 : "{}");

		if (c->local)
			CHECK(code_of(reply) == CTL_ERROR_METHOD, "not a method");
		else
			CHECK((code_of(reply) == CTL_ERROR_DENIED) == (c->level == CTL_ADMIN),
			      c->name);
		json_decref(reply);
	}
	CHECK(r.c->stop == LOOP_RUNS && r.srv->added[0] == '\0', "nothing was done");

	json_t *reply = call(&r, CTL_READ, "show config", "{\"secrets\":true}");

	CHECK(code_of(reply) == CTL_ERROR_DENIED, "secrets need the admin level");
	json_decref(reply);
	reply = call(&r, CTL_READ, "show config", "{\"secrets\":false}");
	CHECK(strstr(json_string_value(result_of(reply, "yaml")), "wonderland") == NULL,
	      "redacted");
	CHECK(strstr(json_string_value(result_of(reply, "yaml")), "northern") == NULL, "redacted");
	json_decref(reply);
	reply = call(&r, CTL_ADMIN, "show config", "{\"secrets\":true}");
	CHECK(strstr(json_string_value(result_of(reply, "yaml")), "wonderland") != NULL, "shown");
	json_decref(reply);
	rig_end(&r);
}

static void refusals(void)
{
	static const struct {
		const char *what, *line;
		int code;
		const char *says;
	} cases[] = {
		{ "empty", "", CTL_ERROR_PARSE, "not JSON" },
		{ "garbage", "hello", CTL_ERROR_PARSE, "not JSON" },
		{ "binary", "\x16\x03\x01\x02", CTL_ERROR_PARSE, "not JSON" },
		{ "half", "{\"jsonrpc\":\"2.0\",", CTL_ERROR_PARSE, "not JSON" },
		{ "twice", "{\"id\":1,\"id\":2}", CTL_ERROR_PARSE, "duplicate" },
		{ "batch", "[]", CTL_ERROR_INVALID, "batches" },
		{ "string", "\"status\"", CTL_ERROR_PARSE, "not JSON" },
		{ "no version", "{\"id\":1,\"method\":\"status\"}", CTL_ERROR_INVALID, "jsonrpc" },
		{ "version 1", "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"status\"}",
		  CTL_ERROR_INVALID, "jsonrpc" },
		{ "no method", "{\"jsonrpc\":\"2.0\",\"id\":1}", CTL_ERROR_INVALID, "method" },
		{ "id an object", "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"status\"}",
		  CTL_ERROR_INVALID, "id" },
		{ "unknown", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats\"}",
		  CTL_ERROR_METHOD, "did you mean 'status'" },
		{ "far away", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"frobnicate\"}",
		  CTL_ERROR_METHOD, "try 'help'" },
		{ "params a list",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\",\"params\":[1]}",
		  CTL_ERROR_PARAMS, "object" },
		{ "unknown param",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\",\"params\":{\"x\":1}}",
		  CTL_ERROR_PARAMS, "takes no 'x'" },
		{ "local param",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"credential\",\"params\":{\"user\":"
		  "\"a\",\"uclient\":true}}",
		  CTL_ERROR_PARAMS, "takes no 'uclient'" },
		{ "missing", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show allocation\"}",
		  CTL_ERROR_PARAMS, "show allocation ID" },
		{ "no number",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show "
		  "allocation\",\"params\":{\"id\":\"x\"}}",
		  CTL_ERROR_PARAMS, "'id' must be 1" },
		{ "negative",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show "
		  "allocation\",\"params\":{\"id\":-1}}",
		  CTL_ERROR_PARAMS, "'id' must be 1" },
		{ "a real",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show "
		  "allocation\",\"params\":{\"id\":1.5}}",
		  CTL_ERROR_PARAMS, "must be a number" },
		{ "no such",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show "
		  "allocation\",\"params\":{\"id\":99}}",
		  CTL_ERROR_NOT_FOUND, "no allocation 99" },
		{ "limit too high",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show "
		  "allocations\",\"params\":{\"limit\":100001}}",
		  CTL_ERROR_PARAMS, "1 to 100000" },
		{ "no address",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show "
		  "allocations\",\"params\":{\"client\":\"eth0\"}}",
		  CTL_ERROR_PARAMS, "IPv4 or IPv6" },
		{ "no flag",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stop\",\"params\":{\"keep\":\"yes\"}"
		  "}",
		  CTL_ERROR_PARAMS, "true or false" },
		{ "no level",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"set "
		  "log-level\",\"params\":{\"level\":\"loud\"}}",
		  CTL_ERROR_PARAMS, "error warning info debug" },
		{ "level's beginning",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"set "
		  "log-level\",\"params\":{\"level\":\"err\"}}",
		  CTL_ERROR_PARAMS, "one of" },
		{ "empty name",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"add "
		  "user\",\"params\":{\"name\":\"\",\"password\":\"x\"}}",
		  CTL_ERROR_PARAMS, "'name' must have 1" },
	};
	struct rig r;

	rig_begin(&r);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *const reply = ask(&r, CTL_ADMIN, cases[i].line);

		CHECK(code_of(reply) == cases[i].code, cases[i].what);
		CHECK(strstr(text_of(reply), cases[i].says) != NULL, cases[i].what);
		CHECK(json_object_get(reply, "id") != NULL, "an error has an id, or null");
		json_decref(reply);
	}
	CHECK(r.c->stats.count[CONTROL_CTL_ERRORS] == sizeof(cases) / sizeof(cases[0]), "counted");
	CHECK(r.c->stop == LOOP_RUNS, "nothing was done");
	rig_end(&r);
}

static void engine_refusals_have_kinds(void)
{
	static const struct {
		enum turn_user_result result;
		const char *kind;
	} cases[] = {
		{ USER_EXISTS, "exists" },     { USER_UNKNOWN, "not-found" },
		{ USER_FROM_FILE, "refused" }, { USER_FULL, "unavailable" },
		{ USER_BAD_NAME, "usage" },
	};
	struct rig r;

	rig_begin(&r);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r.srv->user_result = cases[i].result;
		json_t *const reply = call(&r, CTL_ADMIN, "add user",
		                           "{\"name\":\"alice\",\"password\":\"secretive\"}");
		const json_t *const data = json_object_get(json_object_get(reply, "error"), "data");

		CHECK(strcmp(json_string_value(json_object_get(data, "kind")), cases[i].kind) == 0,
		      cases[i].kind);
		CHECK(strstr(text_of(reply), "secretive") == NULL, "no password in an error");
		json_decref(reply);
	}
	rig_end(&r);
}

static void notifications_are_silent(void)
{
	struct rig r;

	rig_begin(&r);
	CHECK(ask(&r, CTL_ADMIN, "{\"jsonrpc\":\"2.0\",\"method\":\"drain\"}") == NULL, "silent");
	CHECK(r.srv->draining, "but done");
	CHECK(ask(&r, CTL_ADMIN, "{\"jsonrpc\":\"2.0\",\"method\":\"nonsense\"}") == NULL,
	      "silent");
	rig_end(&r);
}

static void lists_are_filtered_and_paged(void)
{
	struct rig r;
	json_int_t after = 0;
	unsigned rows = 0, pages = 0;

	rig_begin(&r);
	for (uint64_t id = 1; id <= 2500; id++)
		stub_allocate(r.srv, id);
	for (bool more = true; more && pages < 10; pages++) {
		char params[64];

		snprintf(params, sizeof(params), "{\"limit\":5000,\"after\":%lld}",
		         (long long)after);
		json_t *const reply = call(&r, CTL_READ, "show allocations", params);

		rows += (unsigned)json_array_size(result_of(reply, "allocations"));
		more = json_is_integer(result_of(reply, "next"));
		after = json_integer_value(result_of(reply, "next"));
		CHECK(json_integer_value(result_of(reply, "total")) == 2500, "total");
		json_decref(reply);
	}
	CHECK(rows == 2500 && pages == 3, "all, in pages of 1000");

	static const struct {
		const char *params;
		size_t rows;
	} cases[] = {
		{ "{\"limit\":7}", 7 },
		{ "{\"user\":\"alice\",\"after\":2400}", 50 },
		{ "{\"user\":\"bob\",\"after\":2400}", 50 }, /* of 1800000000:bob */
		{ "{\"user\":\"1800000000:bob\",\"after\":2400}", 50 },
		{ "{\"user\":\"ob\",\"after\":2400}", 0 },
		{ "{\"client\":\"198.18.0.3\",\"after\":2400}", 33 },
		{ "{\"client\":\"198.18.0.3\",\"user\":\"alice\",\"after\":2400}", 17 },
		{ "{\"peer\":\"198.18.0.10\",\"after\":2400}", 50 },
		{ "{\"peer\":\"198.18.0.11\",\"after\":2400}", 0 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *const reply = call(&r, CTL_READ, "show allocations", cases[i].params);

		CHECK(json_array_size(result_of(reply, "allocations")) == cases[i].rows,
		      cases[i].params);
		json_decref(reply);
	}
	rig_end(&r);
}

/* Names that scripts rely on. */
static void rows_have_their_names(void)
{
	static const char *const names[] = { "id",       "user",        "realm",     "client",
		                             "relayed",  "transport",   "expires_s", "permissions",
		                             "channels", "from_client", "to_client" };
	struct rig r;

	rig_begin(&r);
	stub_allocate(r.srv, 1);
	json_t *reply = call(&r, CTL_READ, "show allocations", NULL);
	const json_t *const row = json_array_get(result_of(reply, "allocations"), 0);

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(json_object_get(row, names[i]) != NULL, names[i]);
	CHECK(json_array_size(json_object_get(row, "relayed")) == 2, "both families");
	CHECK(json_integer_value(json_object_get(json_object_get(row, "from_client"), "octets")) ==
	              300,
	      "octets");
	json_decref(reply);
	reply = call(&r, CTL_ADMIN, "credential", "{\"user\":\"carol\"}");
	CHECK(json_integer_value(result_of(reply, "ttl")) == 86400, "a day");
	CHECK(json_string_value(result_of(reply, "username")) != NULL, "username");
	CHECK(strcmp(json_string_value(json_array_get(result_of(reply, "uris"), 0)),
	             "turn:203.0.113.7:3478?transport=udp") == 0,
	      "the advertised address");
	CHECK(strcmp(json_string_value(json_array_get(result_of(reply, "uris"), 1)),
	             "turn:[fd00:18::1]:3478?transport=udp") == 0,
	      "IPv6 in brackets");
	json_decref(reply);
	reply = call(&r, CTL_READ, "show counters", "{\"match\":\"control_socket\"}");
	CHECK(json_object_size(json_object_get(reply, "result")) == 7, "only what matches");
	json_decref(reply);
	rig_end(&r);
}

static void bad_reload_keeps_the_old(void)
{
	struct rig r;

	rig_begin(&r);
	FILE *const f = fopen(r.file, "a");

	fputs("nonsense: 1\n", f);
	fclose(f);
	json_t *const reply = call(&r, CTL_ADMIN, "reload", NULL);

	CHECK(code_of(reply) == CTL_ERROR_REFUSED, "refused");
	CHECK(strstr(text_of(reply), "nonsense") && strstr(text_of(reply), "stays"), "says what");
	CHECK(r.srv->reloads == 0 && r.c->cfg->n_users == 1, "the old one stays");
	json_decref(reply);
	rig_end(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "every command is whole", every_command_is_whole },
		{ "each answers", each_answers },
		{ "levels", levels },
		{ "refusals", refusals },
		{ "what the engine refuses has a kind", engine_refusals_have_kinds },
		{ "notifications are silent", notifications_are_silent },
		{ "lists are filtered and paged", lists_are_filtered_and_paged },
		{ "rows have their names", rows_have_their_names },
		{ "a bad file keeps the old configuration", bad_reload_keeps_the_old },
		CU_TEST_INFO_NULL,
	};

	log_open("commands_test", LOG_LEVEL_ERROR, LOG_TEXT);
	return run_suite("commands", tests);
}
