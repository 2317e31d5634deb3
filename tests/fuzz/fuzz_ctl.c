/*
 * Properties of the control socket, for any line at the read-only level:
 *   reply     none (a notification), or one line of JSON with the id and either result or error; an
 *             error has a code, a kind and a text
 *   request   what was understood, written down again, is understood the same
 *   level     nothing that needs the admin level is done, and no password of a leg is told
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl/commands.h"
#include "control/ctl/socket.h"
#include "control/loop.h"
#include "control/world.h"
#include "log.h"
#include "tests/fuzz/must.h"
#include "tests/unit/control/engine_stub.h"

enum { N_SESSIONS = 3 };

static void make_sessions(struct session_server *srv)
{
	struct abi_relay relay = { .id = 0, .port_min = 49152, .port_max = 65535, .live = 1 };
	const struct session_wanted w = { .name = "a call",
		                          .n_legs = 2,
		                          .leg = { { .ip4 = true },
		                                   { .full = true, .ip4 = true } } };
	const struct addr at = addr_from4((const uint8_t[]){ 198, 18, 0, 1 });
	uint64_t id;
	char why[128];

	memcpy(relay.ip, at.ip, sizeof(relay.ip));
	memcpy(relay.advertise, at.ip, sizeof(relay.advertise));
	session_set_tables(srv, &relay, 1, loop_now_ms());
	session_sync(srv, loop_now_ms());
	for (unsigned i = 0; i < N_SESSIONS; i++)
		MUST(session_create(srv, &w, loop_now_ms(), &id, why) == SESSION_OK);
}

static struct session_server *sessions;

/* Their agents hang on memory that a leak checker does not look into. */
static void end(void)
{
	session_server_free(sessions);
}

static struct control *rig(void)
{
	static const char text[] = "ports: [{ device: \"af_packet:eth0\" }]\n"
				   "listeners: [198.18.0.1:3478]\n"
				   "relay: { addresses: [198.18.0.1] }\n"
				   "auth: { realm: example.org, users: { alice: wonderland } }\n"
				   "run-dir: /nowhere\n";
	static struct control c;
	char path[] = "/tmp/turnpike-fuzz-ctl-XXXXXX", store[64];
	struct config_error err;
	bool found;

	if (c.cfg)
		return &c;
	const int fd = mkstemp(path);

	MUST(fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	close(fd);
	c.cfg = config_load(path, CONFIG_ALL, &err);
	unlink(path);
	snprintf(store, sizeof(store), "%s.store", path);
	MUST(c.cfg && store_open(&c.store, store, 16, &found) == 0);
	unlink(store);
	c.turn = stub_new();
	for (uint64_t id = 1; id <= 40; id++)
		stub_allocate(c.turn, id);
	c.random = stub_random;
	c.sessions = sessions = world_sessions(&c);
	MUST(sessions && atexit(end) == 0);
	make_sessions(sessions);
	return &c;
}

static json_t *params_of(const struct ctl_request *req)
{
	json_t *const params = json_object();

	for (int i = 0; req->command->params[i].type != CTL_END; i++) {
		const struct ctl_param *const p = &req->command->params[i];
		const struct ctl_value *const v = &req->args.value[i];

		if (v->given)
			json_object_set_new(
				params, p->name,
				p->type == CTL_FLAG ? json_true()
				: p->type == CTL_NUMBER || p->type == CTL_SECONDS
					? json_integer((json_int_t)v->number)
					: json_string(p->type == CTL_LONG ? v->longer : v->text));
	}
	return params;
}

static void request_property(const uint8_t *data, size_t size)
{
	struct ctl_request req, again;
	struct ctl_error err = { .code = CTL_OK };

	if (!ctl_request_parse(&req, (const char *)data, size, &err)) {
		MUST(err.code != CTL_OK && err.text[0] && ctl_error_kind(err.code)[0]);
		ctl_request_release(&req);
		return;
	}
	json_t *const root = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1, "method",
	                               req.command->name, "params", params_of(&req));
	char *const line = json_dumps(root, JSON_COMPACT);

	MUST(line && ctl_request_parse(&again, line, strlen(line), &err));
	MUST(again.command == req.command);
	for (unsigned i = 0; i < CTL_PARAMS_MAX; i++) {
		MUST(again.args.value[i].given == req.args.value[i].given);
		MUST(again.args.value[i].number == req.args.value[i].number);
		MUST(strcmp(again.args.value[i].text, req.args.value[i].text) == 0);
		const char *const one = again.args.value[i].longer;
		const char *const other = req.args.value[i].longer;

		MUST(one && other ? strcmp(one, other) == 0 : one == other);
	}
	free(line);
	json_decref(root);
	ctl_request_release(&req);
	ctl_request_release(&again);
}

static void reply_property(struct control *c, const uint8_t *data, size_t size)
{
	size_t len = 0;
	char *const reply = ctl_answer(c, CTL_READ, (const char *)data, size, &len);

	MUST(c->stop == LOOP_RUNS && !c->draining && !c->turn->deleted && !c->turn->added[0]);
	MUST(session_count(c->sessions, NULL) == N_SESSIONS);
	if (!reply)
		return;
	MUST(len > 0 && reply[len - 1] == '\n' && !memchr(reply, '\n', len - 1));
	MUST(!memmem(reply, len, "\"pwd\":", 6));
	json_t *const root = json_loadb(reply, len, 0, NULL);
	const json_t *const result = json_object_get(root, "result");
	const json_t *const error = json_object_get(root, "error");

	MUST(root && json_object_get(root, "id"));
	MUST((result != NULL) != (error != NULL));
	MUST(!error || (json_integer_value(json_object_get(error, "code")) != 0 &&
	                json_string_length(json_object_get(error, "message")) > 0));
	json_decref(root);
	free(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control *const c = rig();

	request_property(data, size);
	reply_property(c, data, size);
	return 0;
}
