/*
 * One line of the control socket: JSON-RPC 2.0 in, JSON-RPC 2.0 out, newline-delimited.
 *
 *   {"jsonrpc":"2.0","id":1,"method":"show allocation","params":{"id":7}}
 *   {"jsonrpc":"2.0","id":1,"result":{"id":7,...}}
 *   {"jsonrpc":"2.0","id":1,"error":{"code":2,"message":"no allocation
 * 8","data":{"kind":"not-found"}}}
 *
 * A request without id is a notification: done, not answered. Batches are refused.
 * Threads    Pure functions over the line.
 */
#pragma once

#include <jansson.h>

#include "control/ctl/grammar.h"

/* `kind` in the error's data is stable for scripts; the text is for people. */
enum ctl_error_code {
	CTL_OK = 0,
	CTL_ERROR_DENIED = 1,
	CTL_ERROR_NOT_FOUND = 2,
	CTL_ERROR_EXISTS = 3,
	CTL_ERROR_UNAVAILABLE = 4,
	CTL_ERROR_REFUSED =
		5, /* asked for something that cannot be: a file with errors, a full table */
	CTL_ERROR_BUSY = 6, /* too many connections */
	CTL_ERROR_PARSE = -32700,
	CTL_ERROR_INVALID = -32600,
	CTL_ERROR_METHOD = -32601,
	CTL_ERROR_PARAMS = -32602,
	CTL_ERROR_INTERNAL = -32603,
};
const char *ctl_error_kind(enum ctl_error_code code);

struct ctl_error {
	enum ctl_error_code code;
	char text[512];
};

/* Fills the error; always NULL, so that a command may return it. */
json_t *ctl_fail(struct ctl_error *err, enum ctl_error_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

struct control;
struct ctl_request;
/* Carries a command out; NULL: err says why. */
typedef json_t *ctl_body(struct control *c, const struct ctl_request *req, struct ctl_error *err);

struct ctl_request {
	json_t *id; /* NULL: a notification; owned by the request */
	const struct ctl_command *command;
	struct ctl_args args;
};

/*
 * Parses and checks a line (without its newline). On an error `err` is filled and `req->id` is what
 * was found of it, or null. Release in any case.
 */
bool ctl_request_parse(struct ctl_request *req, const char *line, size_t len,
                       struct ctl_error *err);
/* The value of a parameter; one not given where there is none. */
const struct ctl_value *ctl_arg(const struct ctl_request *req, const char *name);
void ctl_request_release(struct ctl_request *req);

/*
 * The reply line with its newline, malloc'd; takes over `result`. `result` NULL: the error. NULL
 * when there is no memory.
 */
char *ctl_reply_print(const json_t *id, json_t *result, const struct ctl_error *err, size_t *len);
