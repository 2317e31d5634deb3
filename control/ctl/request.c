#include "control/ctl/request.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	enum ctl_error_code code;
	const char *kind;
} kinds[] = {
	{ CTL_ERROR_DENIED, "denied" },          { CTL_ERROR_NOT_FOUND, "not-found" },
	{ CTL_ERROR_EXISTS, "exists" },          { CTL_ERROR_UNAVAILABLE, "unavailable" },
	{ CTL_ERROR_REFUSED, "refused" },        { CTL_ERROR_BUSY, "busy" },
	{ CTL_ERROR_PARSE, "not-json" },         { CTL_ERROR_INVALID, "not-a-request" },
	{ CTL_ERROR_METHOD, "unknown-command" }, { CTL_ERROR_PARAMS, "usage" },
	{ CTL_ERROR_INTERNAL, "internal" },
};

const char *ctl_error_kind(enum ctl_error_code code)
{
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].code == code)
			return kinds[i].kind;
	return "internal";
}

json_t *ctl_fail(struct ctl_error *err, enum ctl_error_code code, const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return NULL;
}

static bool take_param(const struct ctl_param *p, const json_t *given, struct ctl_value *out,
                       struct ctl_complaint *why)
{
	if (p->type == CTL_FLAG) {
		if (!json_is_boolean(given)) {
			snprintf(why->text, sizeof(why->text), "'%s' must be true or false",
			         p->name);
			return false;
		}
		out->given = json_is_true(given);
		out->number = out->given;
		return true;
	}
	if (json_is_integer(given))
		return ctl_take_number(p, json_integer_value(given), out, why);
	if (json_is_string(given))
		return ctl_take_text(p, json_string_value(given), json_string_length(given), out,
		                     why);
	snprintf(why->text, sizeof(why->text), "'%s' must be a %s", p->name,
	         p->type == CTL_NUMBER || p->type == CTL_SECONDS ? "number" : "string");
	return false;
}

static bool take_params(struct ctl_request *req, json_t *params, struct ctl_error *err)
{
	const struct ctl_command *const c = req->command;
	struct ctl_complaint why;
	const char *name;
	json_t *given;

	if (params && !json_is_object(params)) {
		ctl_fail(err, CTL_ERROR_PARAMS, "params must be an object with names");
		return false;
	}
	json_object_foreach(params, name, given)
	{
		const int i = ctl_param_find(c, name, strlen(name));

		if (i < 0 || c->params[i].local) {
			ctl_fail(err, CTL_ERROR_PARAMS, "'%s' takes no '%.64s'", c->name, name);
			return false;
		}
		if (!take_param(&c->params[i], given, &req->args.value[i], &why)) {
			ctl_fail(err, CTL_ERROR_PARAMS, "%s", why.text);
			return false;
		}
	}
	for (int i = 0; c->params[i].type != CTL_END; i++)
		if (c->params[i].use == CTL_REQUIRED && !req->args.value[i].given) {
			char usage[256];

			ctl_fail(err, CTL_ERROR_PARAMS, "'%s' is missing; usage: %s",
			         c->params[i].name, ctl_usage(c, usage, sizeof(usage)));
			return false;
		}
	return true;
}

static bool take_object(struct ctl_request *req, json_t *root, struct ctl_error *err)
{
	const json_t *const id = json_object_get(root, "id");
	const char *const version = json_string_value(json_object_get(root, "jsonrpc"));
	const char *const method = json_string_value(json_object_get(root, "method"));

	req->id = json_null();
	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id)) {
		ctl_fail(err, CTL_ERROR_INVALID, "id must be a string or a number");
		return false;
	}
	if (id)
		req->id = json_deep_copy(id);
	if (!version || strcmp(version, "2.0") != 0 || !method) {
		ctl_fail(err, CTL_ERROR_INVALID,
		         "not a request: needs \"jsonrpc\":\"2.0\" and a \"method\"");
		return false;
	}
	if (!id)
		req->id = NULL;
	req->command = ctl_find(method);
	if (!req->command || req->command->local) {
		const char *const near = ctl_nearest(method);

		req->command = NULL;
		ctl_fail(err, CTL_ERROR_METHOD, "no command '%.64s'%s%s%s; try 'help'", method,
		         near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
		return false;
	}
	return take_params(req, json_object_get(root, "params"), err);
}

bool ctl_request_parse(struct ctl_request *req, const char *line, size_t len, struct ctl_error *err)
{
	json_error_t where;
	json_t *const root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	bool good = false;

	memset(req, 0, sizeof(*req));
	req->id = json_null();
	if (!root)
		ctl_fail(err, CTL_ERROR_PARSE, "not JSON: %.160s (octet %d)", where.text,
		         where.position);
	else if (json_is_array(root))
		ctl_fail(err, CTL_ERROR_INVALID, "batches are not taken; one request a line");
	else if (!json_is_object(root))
		ctl_fail(err, CTL_ERROR_INVALID, "a request is an object");
	else
		good = take_object(req, root, err);
	json_decref(root);
	return good;
}

const struct ctl_value *ctl_arg(const struct ctl_request *req, const char *name)
{
	static const struct ctl_value none;
	const int i = ctl_param_find(req->command, name, strlen(name));

	return i < 0 ? &none : &req->args.value[i];
}

void ctl_request_release(struct ctl_request *req)
{
	json_decref(req->id);
	ctl_args_release(&req->args); /* a password may be among them */
	req->id = NULL;
}

/* where.text quotes the line, which need not be UTF-8; JSON is. */
static json_t *text_of(const char *text)
{
	json_t *const whole = json_string(text);
	char plain[512];
	size_t n = 0;

	if (whole)
		return whole;
	for (; text[n] && n < sizeof(plain) - 1; n++)
		plain[n] = (unsigned char)text[n] < 0x7F ? text[n] : '?';
	plain[n] = '\0';
	return json_string(plain);
}

char *ctl_reply_print(const json_t *id, json_t *result, const struct ctl_error *err, size_t *len)
{
	json_t *const root = json_object();
	char *line = NULL;

	json_object_set_new(root, "jsonrpc", json_string("2.0"));
	json_object_set_new(root, "id", id ? json_deep_copy(id) : json_null());
	if (result)
		json_object_set_new(root, "result", result);
	else
		json_object_set_new(root, "error",
		                    json_pack("{s:i, s:o, s:{s:s}}", "code", (int)err->code,
		                              "message", text_of(err->text), "data", "kind",
		                              ctl_error_kind(err->code)));
	const size_t need = json_dumpb(root, NULL, 0, JSON_COMPACT);

	if (need && (line = malloc(need + 1))) {
		json_dumpb(root, line, need, JSON_COMPACT);
		line[need] = '\n';
		*len = need + 1;
	}
	json_decref(root);
	return line;
}
