/*
 * Properties of the control socket, for any line at the read-only level:
 *   reply     none (a notification), or one line of JSON with the id and either result or error; an
 *             error has a code, a kind and a text
 *   request   what was understood, written down again, is understood the same
 *   level     nothing that needs the admin level is done
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl/commands.h"
#include "control/ctl/socket.h"
#include "control/loop.h"
#include "log.h"
#include "tests/fuzz/must.h"
#include "tests/unit/control/engine_stub.h"

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
	return &c;
}

static json_t *params_of(const struct ctl_request *req)
{
	json_t *const params = json_object();

	for (int i = 0; req->command->params[i].type != CTL_END; i++) {
		const struct ctl_param *const p = &req->command->params[i];
		const struct ctl_value *const v = &req->args.value[i];

		if (v->given)
			json_object_set_new(params, p->name,
			                    p->type == CTL_FLAG ? json_true()
			                    : p->type == CTL_NUMBER || p->type == CTL_SECONDS
			                            ? json_integer((json_int_t)v->number)
			                            : json_string(v->text));
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
	if (!reply)
		return;
	MUST(len > 0 && reply[len - 1] == '\n' && !memchr(reply, '\n', len - 1));
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
